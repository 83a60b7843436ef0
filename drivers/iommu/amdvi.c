/* SPDX-License-Identifier: BSD-2-Clause */
/* amdvi.c: an AMD-Vi unit: taking it over, its device table, its domains. */
#include "amdvi.h"

#include <hv/assert.h>
#include <hv/irq.h>
#include <hv/pmm.h>
#include <hv/time.h>

#define STOP_NS 100000000ull
#define BLOCKED \
    (DTE_VALID | DTE_TRANSLATED) /* translated by no table, and neither read nor write */

/* ---- registers ---- */

uint64_t amdvi_read(const struct amdvi *v, uint32_t reg)
{
    return host_reg_read(v->regs + reg, 4) | (uint64_t)host_reg_read(v->regs + reg + 4, 4) << 32;
}

void amdvi_write(const struct amdvi *v, uint32_t reg, uint64_t val)
{
    host_reg_write(v->regs + reg, 4, (uint32_t)val);
    host_reg_write(v->regs + reg + 4, 4, (uint32_t)(val >> 32));
}

/* ---- the device table ---- */

/* The word that lets the device reach something goes last, and went first. */
static int amdvi_set_locked(struct amdvi *v, uint16_t rid, const struct iommu_domain *d, bool quiet)
{
    struct amdvi_dte *e = &v->devtab[rid];
    uint16_t old = (uint16_t)e->q[1];
    int err;

    debug_assert_held(&v->lock);
    __atomic_store_n(&e->q[0], BLOCKED, __ATOMIC_RELEASE);
    __atomic_store_n(&e->q[1], d ? d->id : quiet ? DTE_QUIET : 0, __ATOMIC_RELEASE);
    if (d)
        __atomic_store_n(&e->q[0],
                         d->gmem.pt.root.v | DTE_LEVELS(amdvi_format.levels) | BLOCKED | DTE_READ |
                             DTE_WRITE,
                         __ATOMIC_RELEASE);
    err = amdvi_forget_device(v, rid);
    if (!err)
        err = amdvi_forget_range(v, old, 0, UINT64_MAX);
    if (!err && d)
        err = amdvi_forget_range(v, (uint16_t)d->id, 0, UINT64_MAX);
    return err;
}

static int amdvi_set(struct iommu_unit *u, uint32_t stream, struct iommu_domain *d, bool quiet)
{
    struct amdvi *v = container_of(u, struct amdvi, unit);
    int err;

    spin_lock(&v->lock);
    err = amdvi_set_locked(v, (uint16_t)stream, d, quiet);
    spin_unlock(&v->lock);
    return err;
}

static int amdvi_flush(struct iommu_unit *u, struct iommu_domain *d, gpa_t at, uint64_t len)
{
    struct amdvi *v = container_of(u, struct amdvi, unit);
    int err;

    spin_lock(&v->lock);
    err = amdvi_forget_range(v, (uint16_t)d->id, at.v, len);
    spin_unlock(&v->lock);
    return err;
}

/* ---- domains ---- */

static int amdvi_domain_init(struct iommu_unit *u, struct iommu_domain *d, pt_pay *pay, void *payer)
{
    struct amdvi *v = container_of(u, struct amdvi, unit);
    int err;

    assert_cpu0();
    for (d->id = 1; d->id < AMDVI_IDS && v->ids[d->id / 64] >> d->id % 64 & 1;)
        d->id++;
    if (d->id == AMDVI_IDS)
        return -ENOSPC;
    err = pt_init(&d->gmem.pt, &amdvi_format, pay, payer);
    if (!err)
        v->ids[d->id / 64] |= 1ull << d->id % 64;
    return err;
}

static void amdvi_domain_fini(struct iommu_unit *u, struct iommu_domain *d)
{
    struct amdvi *v = container_of(u, struct amdvi, unit);

    assert_cpu0();
    v->ids[d->id / 64] &= ~(1ull << d->id % 64);
}

static const struct iommu_ops amdvi_ops = {
    .name = "AMD-Vi",
    .domain_init = amdvi_domain_init,
    .domain_fini = amdvi_domain_fini,
    .set = amdvi_set,
    .flush = amdvi_flush,
    .poll = amdvi_poll,
    .irq = amdvi_irq,
    .irq_off = amdvi_irq_off,
};

/* ---- taking a unit over ---- */

static void *amdvi_pages(unsigned order)
{
    hpa_t at = pmm_alloc_zero(order, PMM_PT); /* charge: a unit's tables are Trivet's own */

    return at.v ? phys_to_virt(at) : NULL;
}

static void amdvi_free(const volatile void *p, unsigned order)
{
    if (p)
        pmm_free(virt_to_phys((const void *)(uintptr_t)p), order, PMM_PT);
}

/* An entry that is not valid would let its device reach all: 2.2.2.1. */
static void block_all(struct amdvi *v)
{
    for (uint32_t i = 0; i < AMDVI_RIDS; i++)
        v->devtab[i] = (struct amdvi_dte){ { BLOCKED, 0, DTE_IRQS_VALID, 0 } };
}

int amdvi_begin(struct amdvi *v)
{
    if (amdvi_read(v, AMDVI_CONTROL) == UINT64_MAX)
        return -ENOTSUP;
    v->features = amdvi_read(v, AMDVI_FEATURES);
    spin_init(&v->lock, LOCK_IOMMU_UNIT);
    v->unit.ops = &amdvi_ops;
    v->devtab = amdvi_pages(AMDVI_DEVTAB_ORDER);
    v->commands = amdvi_pages(0);
    v->events = amdvi_pages(0);
    v->done = amdvi_pages(0);
    if (v->devtab && v->commands && v->events && v->done) {
        block_all(v);
        return 0;
    }
    amdvi_free(v->devtab, AMDVI_DEVTAB_ORDER);
    amdvi_free(v->commands, 0);
    amdvi_free(v->events, 0);
    amdvi_free(v->done, 0);
    return -ENOMEM;
}

/* 3.4.4: off, and at rest. The devices are no bus masters meanwhile. */
static int amdvi_stop(const struct amdvi *v, uint64_t kept)
{
    uint64_t end = time_ns() + STOP_NS;

    amdvi_write(v, AMDVI_CONTROL, kept);
    while (amdvi_read(v, AMDVI_STATUS) & STATUS_RUNS) {
        if (time_ns() >= end)
            return -EIO;
        cpu_relax();
    }
    return 0;
}

static void amdvi_set_tables(struct amdvi *v)
{
    const uint64_t len = (uint64_t)AMDVI_QUEUE_LEN << 56;

    amdvi_write(v, AMDVI_DEVTAB, virt_to_phys(v->devtab).v | ((1u << AMDVI_DEVTAB_ORDER) - 1));
    amdvi_write(v, AMDVI_CMDBUF, virt_to_phys(v->commands).v | len);
    amdvi_write(v, AMDVI_EVTLOG, virt_to_phys(v->events).v | len);
    amdvi_write(v, AMDVI_EXCLUSION, 0);
    amdvi_write(v, AMDVI_CMD_HEAD, 0);
    amdvi_write(v, AMDVI_CMD_TAIL, 0);
    amdvi_write(v, AMDVI_EVT_HEAD, 0);
    amdvi_write(v, AMDVI_EVT_TAIL, 0);
}

int amdvi_take_over(struct amdvi *v)
{
    uint64_t kept = amdvi_read(v, AMDVI_CONTROL) & CONTROL_KEPT;
    int err = amdvi_stop(v, kept);

    if (err)
        return err;
    amdvi_set_tables(v);
    amdvi_write(v, AMDVI_CONTROL,
                kept | CONTROL_EVENTS | CONTROL_EVENT_IRQ | CONTROL_COMMANDS | CONTROL_ON);
    spin_lock(&v->lock);
    err = amdvi_forget_all(v);
    spin_unlock(&v->lock);
    return err;
}
