/* SPDX-License-Identifier: BSD-2-Clause */
/* A hart's beginning, and its memory's way to the machine. */
#include "cpu.h"
#include <string.h>

static uint8_t *hart_ram(void *owner, uint64_t pa)
{
    struct rv_hart *h = owner;

    return h->machine->ram(h->owner, pa);
}

static bool hart_device_read(void *owner, uint64_t pa, unsigned size, uint64_t *value)
{
    struct rv_hart *h = owner;

    return h->machine->read(h->owner, h, pa, size, value);
}

static bool hart_device_write(void *owner, uint64_t pa, unsigned size, uint64_t value)
{
    struct rv_hart *h = owner;

    return h->machine->write(h->owner, h, pa, size, value);
}

static bool watched(void *owner, uint64_t pa)
{
    struct rv_hart *h = owner;

    return h->machine->watched && h->machine->watched(h->owner, pa);
}

static void stored(void *owner, uint64_t pa, unsigned size)
{
    struct rv_hart *h = owner;

    h->machine->stored(h->owner, pa, size);
}

static const struct dbt_mem_ops mem_ops = {
    .walk = rv_walk,
    .ram = hart_ram,
    .read = hart_device_read,
    .write = hart_device_write,
    .watched = watched,
    .stored = stored,
};

void rv_changed(struct rv_hart *h)
{
    dbt_mem_flush(&h->mem);
    rv_select(h);
    rv_attend(h);
}

void rv_refresh(struct rv_hart *h)
{
    rv_select(h);
    if (h->machine->remapped)
        h->machine->remapped(h->owner, h, NULL);
}

bool rv_forget_page(struct rv_hart *h, uint64_t va)
{
    bool alone = dbt_mem_forget_page(&h->mem, va);

    if (!alone)
        rv_refresh(h);
    else if (h->machine->remapped)
        h->machine->remapped(h->owner, h, &va);
    return alone;
}

void rv_reset(struct rv_hart *h, uint64_t pc)
{
    uint64_t hartid = h->cpu.hartid;

    memset(&h->cpu, 0, sizeof h->cpu);
    h->cpu.hartid = hartid;
    h->cpu.mode = RV_M;
    h->cpu.stimecmp = UINT64_MAX;
    h->cpu.pc = pc;
    rv_changed(h);
}

void rv_hart_init(struct rv_hart *h, const struct rv_machine_ops *machine, void *owner,
                  uint64_t hartid)
{
    memset(h, 0, sizeof *h);
    h->machine = machine;
    h->owner = owner;
    h->cpu.hartid = hartid;
    h->decoded[0] = rv_decode(0); /* no other place may seem to hold instruction 0 */
    dbt_mem_init(&h->mem, &mem_ops, h);
    rv_reset(h, 0);
}
