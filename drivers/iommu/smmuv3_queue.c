/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * smmuv3_queue.c: commands to an SMMU. Every batch ends with CMD_SYNC and is waited for, so that
 * the ring is empty when the next begins. An index of the unit's that cannot be, an error, or an
 * answer that does not come in time: it is dead, and is asked nothing any more.
 */
#include "smmuv3.h"

#include <arch/barrier.h>
#include <arch/mmu.h>

#include <hv/assert.h>
#include <hv/log.h>
#include <hv/pmm.h>
#include <hv/time.h>

enum { CMD_WORDS = 2 };
#define FORGET_PAGES 32u /* more are forgotten with all that the domain has */

/* ---- indices: `bits` of place and one that turns with each round (§3.5.1) ---- */

static uint32_t queue_mask(const struct smmu_queue *q) { return (2u << q->bits) - 1; }

static uint32_t queue_used(const struct smmu_queue *q, uint32_t prod, uint32_t cons)
{
    return (prod - cons) & queue_mask(q);
}

int smmu_queue_init(struct smmu *s, struct smmu_queue *q, unsigned bits, unsigned words,
                    hpa_t *base)
{
    uint64_t bytes = (uint64_t)words << (bits + 3);
    unsigned order = pmm_order(bytes);
    volatile void *at;

    *base = smmu_alloc(s, order, &at);
    if (base->v && !s->caps.coherent)
        at = mmu_map_device(*base, PAGE_SIZE << order);
    *q = (struct smmu_queue){ .at = at, .bits = bits };
    return q->at ? 0 : -ENOMEM;
}

/* ---- commands ---- */

static int queue_dead(struct smmu *s, const char *why, uint64_t what)
{
    assert_held(&s->lock);
    s->dead = true;
    log_err("IOMMU %s: %s (%llx)", s->unit.name, why, (unsigned long long)what);
    return -EIO;
}

/* Where the unit is. -EIO: where it cannot be, or at a command that it does not like. */
static int queue_look(struct smmu *s)
{
    struct smmu_queue *q = &s->cmdq;
    uint32_t cons = smmu_read(s, SMMU_CMDQ_CONS),
             error = smmu_read(s, SMMU_GERROR) ^ smmu_read(s, SMMU_GERRORN);

    if (error & GERROR_CMDQ)
        return queue_dead(s, "it refuses a command; CMDQ_CONS is", cons);
    if (error & GERROR_SFM)
        return queue_dead(s, "it has failed; GERROR is", error);
    cons &= queue_mask(q);
    if (queue_used(q, q->prod, cons) > queue_used(q, q->prod, q->cons))
        return queue_dead(s, "it took commands that were not there; CMDQ_CONS is", cons);
    q->cons = cons;
    return 0;
}

/* Until at most `left` commands wait. */
static int queue_wait(struct smmu *s, uint32_t left)
{
    uint64_t end = time_ns() + SMMU_WAIT_NS;

    for (;;) {
        bool late = time_ns() >= end;
        int err = queue_look(s);

        if (err || queue_used(&s->cmdq, s->cmdq.prod, s->cmdq.cons) <= left)
            return err;
        if (late)
            return queue_dead(s, "it takes no commands; CMDQ_CONS is", s->cmdq.cons);
    }
}

static void queue_ring(struct smmu *s)
{
    dma_wmb(); /* the commands, and all that they are about, before the index */
    smmu_write(s, SMMU_CMDQ_PROD, s->cmdq.prod);
}

static int queue_put(struct smmu *s, const struct smmu_cmd *c)
{
    struct smmu_queue *q = &s->cmdq;
    volatile uint64_t *to;

    assert_held(&s->lock);
    if (queue_used(q, q->prod, q->cons) == 1u << q->bits) {
        int err;

        queue_ring(s);
        err = queue_wait(s, (1u << q->bits) - 1);
        if (err)
            return err;
    }
    to = q->at + (q->prod & ((1u << q->bits) - 1)) * CMD_WORDS;
    to[0] = c->word[0];
    to[1] = c->word[1];
    q->prod = (q->prod + 1) & queue_mask(q);
    return 0;
}

/* CS 0: done when the unit has taken it (§4.7.3). */
static int queue_sync(struct smmu *s)
{
    int err = queue_put(s, &(struct smmu_cmd){ { CMD_SYNC, 0 } });

    if (err)
        return err;
    queue_ring(s);
    return queue_wait(s, 0);
}

int smmu_commands(struct smmu *s, const struct smmu_cmd *c, unsigned n)
{
    int err;

    spin_lock(&s->lock);
    err = s->dead ? -EIO : 0;
    for (unsigned i = 0; !err && i < n; i++)
        err = queue_put(s, &c[i]);
    if (!err)
        err = queue_sync(s);
    spin_unlock(&s->lock);
    return err;
}

/* ---- forgetting translations, §4.4 ---- */

/* All of the domain: by its ASID, or by its VMID. */
static struct smmu_cmd forget_all(const struct smmu *s, uint32_t id)
{
    return s->caps.stage2 ? (struct smmu_cmd){ { CMD_TLBI_S12_VMALL | (uint64_t)id << 32, 0 } }
                          : (struct smmu_cmd){ { CMD_TLBI_NH_ASID | (uint64_t)id << 48, 0 } };
}

/* One page, and the tables that led to it (Leaf is 0). */
static struct smmu_cmd forget_page(const struct smmu *s, uint32_t id, uint64_t at)
{
    return s->caps.stage2 ? (struct smmu_cmd){ { CMD_TLBI_S2_IPA | (uint64_t)id << 32, at } }
                          : (struct smmu_cmd){ { CMD_TLBI_NH_VA | (uint64_t)id << 48, at } };
}

int smmu_forget(struct smmu *s, uint32_t id, uint64_t at, uint64_t len)
{
    struct smmu_cmd c[FORGET_PAGES] = { { { 0 } } };
    unsigned n = 0;

    if (!len || len > FORGET_PAGES * PAGE_SIZE)
        c[n++] = forget_all(s, id);
    else
        for (uint64_t o = 0; o < len; o += PAGE_SIZE)
            c[n++] = forget_page(s, id, at + o);
    return smmu_commands(s, c, n);
}

/* ---- what the unit says is wrong with it, §7.5 ---- */

bool smmu_global_errors(struct smmu *s)
{
    uint32_t error;

    spin_lock(&s->lock);
    error = s->dead ? 0 : smmu_read(s, SMMU_GERROR) ^ smmu_read(s, SMMU_GERRORN);
    if (error & (GERROR_CMDQ | GERROR_SFM))
        (void)queue_dead(s, "it has failed; GERROR is", error);
    else if (error) {
        log_warn("IOMMU %s: an access of its own failed; GERROR is %x", s->unit.name, error);
        smmu_write(s, SMMU_GERRORN, smmu_read(s, SMMU_GERROR));
    }
    error = s->dead;
    spin_unlock(&s->lock);
    return !error;
}
