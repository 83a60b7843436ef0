/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vtd_queue.c: the invalidation queue (section 6.5.2). One request at a time: a few descriptors and
 * one that has the unit write a number when all before it is done.
 */
#include <arch/barrier.h>

#include "vtd.h"

#include <hv/assert.h>
#include <hv/irq.h>
#include <hv/pmm.h>
#include <hv/time.h>

#define ANSWER_NS 100000000ull

/* 6.5.2.1 to 6.5.2.8 */
enum { INV_CONTEXT = 1, INV_IOTLB = 2, INV_IRQ = 4, INV_WAIT = 5 };
enum { GLOBAL = 1, OF_DOMAIN = 2, OF_DEVICE = 3, OF_PAGES = 3 };
#define GRANULARITY(g) ((uint64_t)(g) << 4)
#define DRAIN_WRITES (1ull << 6)
#define DRAIN_READS (1ull << 7)
#define OF_ENTRY (1ull << 4)
#define IRQ_ENTRY(i) ((uint64_t)(i) << 32)
#define DOMAIN(d) ((uint64_t)(d) << 16)
#define SOURCE(rid) ((uint64_t)(rid) << 32)
#define WAIT_STATUS (1ull << 5)
#define WAIT_FENCE (1ull << 6)

int vtd_queue_start(struct vtd *v)
{
    int err = 0;

    if (vtd_read(v, VTD_GSTS) & VTD_QIE) { /* the firmware's: it comes to rest first */
        err = vtd_wait(v, VTD_IQH, 0x7fff0, vtd_read(v, VTD_IQT) & 0x7fff0);
        if (!err)
            err = vtd_command(v, VTD_QIE, false);
    }
    if (err)
        return err;
    vtd_write64(v, VTD_IQT, 0);
    vtd_write64(v, VTD_IQA, virt_to_phys(v->queue).v);
    v->tail = 0;
    return vtd_command(v, VTD_QIE, true);
}

static void vtd_queue_put(struct vtd *v, uint64_t lo, uint64_t hi)
{
    struct vtd_entry *e = &v->queue[v->tail];

    *e = (struct vtd_entry){ lo, hi };
    vtd_clean(v, e, sizeof *e);
    v->tail = (v->tail + 1) % VTD_QUEUE;
}

/* Rings, and waits until all is done. */
static int vtd_queue_finish(struct vtd *v)
{
    uint64_t end = time_ns() + ANSWER_NS;

    debug_assert_held(&v->lock);
    v->serial++;
    vtd_queue_put(v, (uint64_t)v->serial << 32 | WAIT_FENCE | WAIT_STATUS | INV_WAIT,
                  virt_to_phys((const void *)(uintptr_t)v->status).v);
    dma_wmb();
    vtd_write(v, VTD_IQT, v->tail * (uint32_t)sizeof *v->queue);
    while (__atomic_load_n(v->status, __ATOMIC_ACQUIRE) != v->serial) {
        if (vtd_read(v, VTD_FSTS) & FSTS_QUEUE_ERROR || time_ns() >= end)
            return -EIO;
        cpu_relax();
    }
    return 0;
}

static uint64_t drains(const struct vtd *v)
{
    return (v->cap & CAP_DRAIN_WRITES ? DRAIN_WRITES : 0) |
           (v->cap & CAP_DRAIN_READS ? DRAIN_READS : 0);
}

/* 6.8: what the CPU wrote may wait in a buffer of the chip set's. */
static int push_writes(struct vtd *v)
{
    return v->cap & CAP_RWBF ? vtd_command(v, VTD_WBF, true) : 0;
}

int vtd_forget_all(struct vtd *v)
{
    int err = push_writes(v);

    vtd_queue_put(v, GRANULARITY(GLOBAL) | INV_CONTEXT, 0);
    vtd_queue_put(v, drains(v) | GRANULARITY(GLOBAL) | INV_IOTLB, 0);
    return err ? err : vtd_queue_finish(v);
}

int vtd_forget_device(struct vtd *v, uint16_t rid, uint16_t domain)
{
    int err = push_writes(v);

    vtd_queue_put(v, SOURCE(rid) | DOMAIN(domain) | GRANULARITY(OF_DEVICE) | INV_CONTEXT, 0);
    vtd_queue_put(v, DOMAIN(domain) | drains(v) | GRANULARITY(OF_DOMAIN) | INV_IOTLB, 0);
    return err ? err : vtd_queue_finish(v);
}

/* The smallest 2^n pages, aligned, that hold [at, at+len): n. */
static unsigned vtd_queue_order_of(uint64_t at, uint64_t len)
{
    unsigned n = 0;

    while (align_down(at, PAGE_SIZE << n) + (PAGE_SIZE << n) < at + len)
        n++;
    return n;
}

int vtd_forget_range(struct vtd *v, uint16_t domain, uint64_t at, uint64_t len)
{
    int err = push_writes(v);
    bool all = !(v->cap & CAP_PSI) || len > PAGE_SIZE << CAP_MAMV(v->cap);
    unsigned order = all ? 0 : vtd_queue_order_of(at, len);

    if (all || order > CAP_MAMV(v->cap))
        vtd_queue_put(v, DOMAIN(domain) | drains(v) | GRANULARITY(OF_DOMAIN) | INV_IOTLB, 0);
    else
        vtd_queue_put(v, DOMAIN(domain) | drains(v) | GRANULARITY(OF_PAGES) | INV_IOTLB,
                      align_down(at, PAGE_SIZE << order) | order);
    return err ? err : vtd_queue_finish(v);
}

int vtd_forget_irq(struct vtd *v, unsigned entry)
{
    int err = push_writes(v);

    vtd_queue_put(v, IRQ_ENTRY(entry) | OF_ENTRY | INV_IRQ, 0);
    return err ? err : vtd_queue_finish(v);
}

int vtd_forget_irqs(struct vtd *v)
{
    int err = push_writes(v);

    vtd_queue_put(v, INV_IRQ, 0);
    return err ? err : vtd_queue_finish(v);
}
