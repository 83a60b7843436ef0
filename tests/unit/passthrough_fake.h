/* SPDX-License-Identifier: BSD-2-Clause */
/* For programs with a machine's side of passthrough of their own, fn_*: what a guest has mapped. */
#pragma once
#include <hv/gmem.h>
#include <stdlib.h>

#define MACHINE_OPS                                                                      \
    {                                                                                    \
        .open = fn_open, .name = fn_name, .read = fn_read, .cap = fn_cap, .bar = fn_bar, \
        .master = fn_master, .map = fn_map, .mmio_read = fn_mmio_read,                   \
        .mmio_write = fn_mmio_write, .irq = fn_irq, .mask = fn_mask, .reset = fn_reset,  \
        .close = fn_close, .mode = fn_mode, .has_line = fn_has_line, .line = fn_line     \
    }

static struct memslot slots[64];
static unsigned nslots;

int gmem_map(struct vm *m, const struct memslot *s)
{
    (void)m;
    if ((s->base.v | s->len | s->host.v) & (PAGE_SIZE - 1) || !s->len)
        abort();
    for (unsigned i = 0; i < nslots; i++)
        if (s->base.v < slots[i].base.v + slots[i].len && slots[i].base.v < s->base.v + s->len)
            return -EEXIST;
    if (nslots == ARRAY_SIZE(slots))
        return -ENOSPC;
    slots[nslots++] = *s;
    return 0;
}

int gmem_unmap(struct vm *m, gpa_t at, uint64_t len)
{
    (void)m;
    for (unsigned i = 0; i < nslots; i++)
        if (slots[i].base.v == at.v && slots[i].len == len) {
            slots[i] = slots[--nslots];
            return 0;
        }
    abort();
}
