/* The area of guest memory that holds ACPI's and EFI's tables, put together in a copy. Private to hv/guest/arm. */
#pragma once
#include "load.h"
#include <string.h>

#define TABLES_ROOM (64 * KIB)
struct tables { const struct load *l; uint8_t *buf; uint64_t used; bool full; };

/* Zeroed room of at most TABLES_ROOM bytes. When it is full, which 32 vCPUs are far from, `full` is set and the start is written over. */
static inline uint8_t *tables_take(struct tables *t, uint64_t len, uint64_t align)
{
    t->used = align_up(t->used, align) + len;
    if (t->used > TABLES_ROOM) {
        t->full = true;
        t->used = len;
    }
    return t->buf + t->used - len;
}
static inline uint64_t tables_address(const struct tables *t, const uint8_t *p) { return t->l->tables + (uint64_t)(p - t->buf); }
static inline void tables_put(uint8_t *p, unsigned off, unsigned size, uint64_t v) { memcpy(p + off, &v, size); }

/* acpi.c: returns the RSDP's guest-physical address. */
uint64_t arm_acpi_build(struct tables *t);
