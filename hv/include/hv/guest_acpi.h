/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI tables for a guest, put together in a copy of the area of guest memory that will hold them
 * (ACPI 6.4 §5.2). One CPU, while the machine is built. Numbers are little-endian, lengths in
 * bytes.
 */
#pragma once
#include <hv/types.h>
#include <string.h>
struct vm;

enum { TABLE_HEADER = 36, RSDP_LEN = 36 };
struct tables {
    struct vm *vm;
    uint8_t *buf;              /* zeros; the caller's, of `room` bytes */
    uint64_t base, room, used; /* base: where it will lie, guest-physical */
    const char *model;         /* OEM Table ID, 8 characters */
    bool q35;                  /* x86: for a machine as its firmware lays it out */
    bool full;                 /* something found no room: what was made is of no use */
};

/*
 * Room for len <= room bytes. When the area is full, `full` is set and the start is written over:
 * the caller looks once, at the end.
 */
uint8_t *tables_take(struct tables *, uint64_t len, uint64_t align);
uint64_t tables_address(const struct tables *, const uint8_t *p);
static inline void tables_put(uint8_t *p, unsigned off, unsigned size, uint64_t v)
{
    put_le(p + off, size, v);
}

/*
 * A table with its header, §5.2.6; len includes the header. The checksum comes last:
 * tables_seal(), which returns the table's address.
 */
uint8_t *tables_begin(struct tables *, const char *signature, unsigned revision, uint32_t len);
uint64_t tables_seal(const struct tables *, uint8_t *p);
/* The DSDT as the compiler made it; returns its address. */
uint64_t tables_copy(struct tables *, const uint8_t *table, uint64_t len);
/*
 * XSDT and RSDP, revision 2, §5.2.5 and §5.2.8; `rsdp`: RSDP_LEN bytes from tables_take().
 * Returns the RSDP's address.
 */
uint64_t tables_root(struct tables *, uint8_t *rsdp, const uint64_t *addresses, unsigned n);
