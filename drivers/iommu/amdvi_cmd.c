/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * amdvi_cmd.c: the command buffer (section 2.4). One request at a time: a few commands and one that
 * has the unit write a number when all before it is done.
 */
#include <arch/barrier.h>

#include "amdvi.h"

#include <hv/assert.h>
#include <hv/irq.h>
#include <hv/pmm.h>
#include <hv/time.h>

#define ANSWER_NS 100000000ull
#define COMMAND(code) ((uint64_t)(code) << 60)
/* 2.4.1 to 2.4.8 */
enum { CMD_WAIT = 1, CMD_DEVICE = 2, CMD_PAGES = 3, CMD_IRQS = 5, CMD_ALL = 8 };
#define WAIT_STORE 1ull
#define PAGES_MANY 1ull   /* S: the address tells how many, too */
#define PAGES_TABLES 2ull /* PDE: entries that lead to them as well */
#define PAGES_ALL 0x7ffffffffffff000ull

static void amdvi_cmd_put(struct amdvi *v, uint64_t lo, uint64_t hi)
{
    v->commands[v->tail] = (struct amdvi_entry){ { lo, hi } };
    v->tail = (v->tail + 1) % AMDVI_QUEUE;
}

/* Rings, and waits until all is done. */
static int amdvi_cmd_finish(struct amdvi *v)
{
    uint64_t end = time_ns() + ANSWER_NS;

    debug_assert_held(&v->lock);
    v->serial++;
    amdvi_cmd_put(v,
                  virt_to_phys((const void *)(uintptr_t)v->done).v | WAIT_STORE | COMMAND(CMD_WAIT),
                  v->serial);
    dma_wmb();
    amdvi_write(v, AMDVI_CMD_TAIL, v->tail * sizeof *v->commands);
    while (__atomic_load_n(v->done, __ATOMIC_ACQUIRE) != v->serial) {
        if (time_ns() >= end)
            return -EIO;
        cpu_relax();
    }
    return 0;
}

static void put_pages(struct amdvi *v, uint16_t domain, uint64_t at, uint64_t len)
{
    uint64_t last = at + len - 1, address = at;

    if (len > PAGE_SIZE) { /* the lowest 0 above bit 12 says how many: 2.4.3, as 2.2.3 table 14 */
        unsigned differ = 63u - (unsigned)__builtin_clzll((at ^ last) | PAGE_SIZE);

        address = (at & ~((2ull << differ) - 1)) | ((1ull << differ) - 1);
        address = (address & ~(PAGE_SIZE - 1)) | PAGES_MANY;
        if (differ > 50)
            address = PAGES_ALL | PAGES_MANY;
    }
    amdvi_cmd_put(v, COMMAND(CMD_PAGES) | (uint64_t)domain << 32, address | PAGES_TABLES);
}

int amdvi_forget_device(struct amdvi *v, uint16_t rid)
{
    amdvi_cmd_put(v, COMMAND(CMD_DEVICE) | rid, 0);
    return amdvi_cmd_finish(v);
}

int amdvi_forget_range(struct amdvi *v, uint16_t domain, uint64_t at, uint64_t len)
{
    put_pages(v, domain, at, len);
    return amdvi_cmd_finish(v);
}

int amdvi_forget_irqs(struct amdvi *v, uint16_t rid)
{
    amdvi_cmd_put(v, COMMAND(CMD_IRQS) | rid, 0);
    return amdvi_cmd_finish(v);
}

/* Where the unit has no command for that: entry by entry, in pieces that the buffer holds. */
int amdvi_forget_all(struct amdvi *v)
{
    int err = 0;

    if (v->features & FEATURE_ALL_INVALIDATED) {
        amdvi_cmd_put(v, COMMAND(CMD_ALL), 0);
        return amdvi_cmd_finish(v);
    }
    for (uint32_t i = 0; !err && i < AMDVI_RIDS; i++) {
        amdvi_cmd_put(v, COMMAND(CMD_DEVICE) | i, 0);
        amdvi_cmd_put(v, COMMAND(CMD_IRQS) | i, 0);
        if (i % 64 == 63)
            err = amdvi_cmd_finish(v);
    }
    for (uint32_t id = 0; !err && id < AMDVI_RIDS; id++) {
        put_pages(v, (uint16_t)id, 0, UINT64_MAX);
        if (id % 128 == 127)
            err = amdvi_cmd_finish(v);
    }
    return err;
}
