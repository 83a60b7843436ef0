/* SPDX-License-Identifier: BSD-2-Clause */
/* vtd.c: a VT-d unit: taking it over, its tables, its domains. */
#include "vtd.h"

#include <hv/assert.h>
#include <hv/irq.h>
#include <hv/pmm.h>
#include <hv/time.h>
#include <string.h>

#define COMMAND_NS 1000000000ull

/* ---- registers ---- */

uint32_t vtd_read(const struct vtd *v, uint32_t reg) { return host_reg_read(v->regs + reg, 4); }

void vtd_write(const struct vtd *v, uint32_t reg, uint32_t val)
{
    host_reg_write(v->regs + reg, 4, val);
}

uint64_t vtd_read64(const struct vtd *v, uint32_t reg)
{
    return vtd_read(v, reg) | (uint64_t)vtd_read(v, reg + 4) << 32;
}

void vtd_write64(const struct vtd *v, uint32_t reg, uint64_t val)
{
    vtd_write(v, reg, (uint32_t)val);
    vtd_write(v, reg + 4, (uint32_t)(val >> 32));
}

int vtd_wait(const struct vtd *v, uint32_t reg, uint32_t mask, uint32_t want)
{
    uint64_t end = time_ns() + COMMAND_NS;

    while ((vtd_read(v, reg) & mask) != want) {
        if (time_ns() >= end)
            return -EIO;
        cpu_relax();
    }
    return 0;
}

int vtd_command(const struct vtd *v, uint32_t bit, bool on)
{
    uint32_t now = vtd_read(v, VTD_GSTS) & VTD_LASTING;

    vtd_write(v, VTD_GCMD, on ? now | bit : now & ~bit);
    return vtd_wait(v, VTD_GSTS, bit, on && bit != VTD_WBF ? bit : 0);
}

/* ---- tables ---- */

static uint64_t *vtd_page(void)
{
    hpa_t at = pmm_alloc_zero(0, PMM_PT); /* charge: a unit's tables are Trivet's own */

    return at.v ? phys_to_virt(at) : NULL;
}

/* The device's context entry (section 9.3). NULL: there is no table yet, and no memory for one. */
static struct vtd_entry *context_of(struct vtd *v, uint16_t rid, bool make)
{
    struct vtd_entry *root = &v->root[rid >> 8];
    struct vtd_entry *table;

    debug_assert_held(&v->lock);
    if (root->lo & ENTRY_PRESENT) {
        table = phys_to_virt(hpa(root->lo & ~(PAGE_SIZE - 1)));
        return &table[rid & 0xff];
    }
    table = make ? (struct vtd_entry *)(void *)vtd_page() : NULL;
    if (!table)
        return NULL;
    vtd_clean(v, table, PAGE_SIZE);
    __atomic_store_n(&root->lo, virt_to_phys(table).v | ENTRY_PRESENT, __ATOMIC_RELEASE);
    vtd_clean(v, root, sizeof *root);
    return &table[rid & 0xff];
}

/* The half that says "present" goes last, and went first. */
static void put_context(struct vtd *v, struct vtd_entry *e, uint64_t lo, uint64_t hi)
{
    __atomic_store_n(&e->lo, 0, __ATOMIC_RELEASE);
    vtd_clean(v, e, sizeof *e);
    e->hi = hi;
    __atomic_store_n(&e->lo, lo, __ATOMIC_RELEASE);
    vtd_clean(v, e, sizeof *e);
}

static int vtd_set_locked(struct vtd *v, uint16_t rid, const struct iommu_domain *d, bool quiet)
{
    struct vtd_entry *e = context_of(v, rid, d || quiet);
    uint16_t old;
    int err;

    if (!e)
        return d || quiet ? -ENOMEM : 0;
    old = e->lo & ENTRY_PRESENT ? CONTEXT_DID(e->hi) : 0;
    if (d)
        put_context(v, e, d->gmem.pt.root.v | ENTRY_PRESENT,
                    (uint64_t)d->id << 8 | CONTEXT_AW(v->format.levels));
    else
        put_context(v, e, quiet ? CONTEXT_QUIET : 0, 0);
    err = vtd_forget_device(v, rid, old);
    /* what was mapped before the domain was anybody's */
    if (!err && d)
        err = vtd_forget_range(v, (uint16_t)d->id, 0, UINT64_MAX - PAGE_SIZE);
    return err;
}

static int vtd_set(struct iommu_unit *u, uint32_t stream, struct iommu_domain *d, bool quiet)
{
    struct vtd *v = container_of(u, struct vtd, unit);
    int err;

    spin_lock(&v->lock);
    err = vtd_set_locked(v, (uint16_t)stream, d, quiet);
    spin_unlock(&v->lock);
    return err;
}

static int vtd_flush(struct iommu_unit *u, struct iommu_domain *d, gpa_t at, uint64_t len)
{
    struct vtd *v = container_of(u, struct vtd, unit);
    int err;

    spin_lock(&v->lock);
    err = vtd_forget_range(v, (uint16_t)d->id, at.v, len);
    spin_unlock(&v->lock);
    return err;
}

/* ---- domains ---- */

static uint32_t take_domain_id(struct vtd *v)
{
    for (uint32_t id = 1; id < v->nids; id++) {
        if (v->ids[id / 64] >> id % 64 & 1)
            continue;
        v->ids[id / 64] |= 1ull << id % 64;
        return id;
    }
    return 0;
}

static void give_domain_id(struct vtd *v, uint32_t id) { v->ids[id / 64] &= ~(1ull << id % 64); }

static int vtd_domain_init(struct iommu_unit *u, struct iommu_domain *d, pt_pay *pay, void *payer)
{
    struct vtd *v = container_of(u, struct vtd, unit);
    int err;

    assert_cpu0();
    d->id = take_domain_id(v);
    if (!d->id)
        return -ENOSPC;
    /* a unit that remembers holes, or whose chip set keeps writes back, is told of each mapping */
    d->gmem.tell_maps = v->cap & (CAP_CM | CAP_RWBF);
    err = pt_init(&d->gmem.pt, &v->format, pay, payer);
    if (err)
        give_domain_id(v, d->id);
    return err;
}

static void vtd_domain_fini(struct iommu_unit *u, struct iommu_domain *d)
{
    assert_cpu0();
    give_domain_id(container_of(u, struct vtd, unit), d->id);
}

static const struct iommu_ops vtd_ops = {
    .name = "Intel VT-d",
    .domain_init = vtd_domain_init,
    .domain_fini = vtd_domain_fini,
    .set = vtd_set,
    .flush = vtd_flush,
    .poll = vtd_poll,
    .irq = vtd_irq,
    .irq_off = vtd_irq_off,
};

/* ---- taking a unit over ---- */

static bool vtd_usable(const struct vtd *v)
{
    return v->cap != UINT64_MAX && v->ecap & ECAP_QI && CAP_SAGAW(v->cap) & 0xe &&
           CAP_FRO(v->cap) + CAP_NFR(v->cap) * RECORD_LEN <= 4 * PAGE_SIZE;
}

static void free_page(void *p)
{
    if (p)
        pmm_free(virt_to_phys(p), 0, PMM_PT);
}

int vtd_begin(struct vtd *v)
{
    v->cap = vtd_read64(v, VTD_CAP);
    v->ecap = vtd_read64(v, VTD_ECAP);
    if (!vtd_usable(v) || vtd_format(v))
        return -ENOTSUP;
    spin_init(&v->lock, LOCK_IOMMU_UNIT);
    v->nids = (uint32_t)min_u64(1ull << CAP_DOMAINS(v->cap), VTD_IDS);
    v->root = (struct vtd_entry *)(void *)vtd_page();
    v->queue = (struct vtd_entry *)(void *)vtd_page();
    v->status = (volatile uint32_t *)(void *)vtd_page();
    v->unit.ops = &vtd_ops;
    v->unit.no_write_only = !(v->cap & CAP_ZLR); /* reads of no byte: 11.4.2 */
    if (v->root && v->queue && v->status)
        return 0;
    free_page(v->root);
    free_page(v->queue);
    free_page((void *)(uintptr_t)v->status);
    return -ENOMEM;
}

/*
 * One that the firmware left on stays on, but for one in another mode than ours, which cannot
 * change on the way (section 11.4.5): the devices are no bus masters meanwhile.
 */
int vtd_take_over(struct vtd *v)
{
    bool other_mode = vtd_read64(v, VTD_RTADDR) >> 10 & 3;
    int err = 0;

    spin_lock(&v->lock);
    vtd_clean(v, v->root, PAGE_SIZE);
    if (other_mode && vtd_read(v, VTD_GSTS) & VTD_TE)
        err = vtd_command(v, VTD_TE, false);
    if (!err && vtd_read(v, VTD_GSTS) & VTD_IRE) /* the firmware's table is not ours */
        err = vtd_command(v, VTD_IRE, false);
    if (!err && vtd_read(v, VTD_GSTS) & VTD_CFI) /* messages of the old form pass no table */
        err = vtd_command(v, VTD_CFI, false);
    if (!err)
        err = vtd_queue_start(v);
    vtd_write64(v, VTD_RTADDR, virt_to_phys(v->root).v);
    if (!err)
        err = vtd_command(v, VTD_SRTP, true);
    if (!err)
        err = vtd_forget_all(v);
    spin_unlock(&v->lock);
    return err;
}

/* Protected memory is what kept devices off until now (section 11.4.8). */
int vtd_switch_on(struct vtd *v)
{
    int err = vtd_command(v, VTD_TE, true);

    if (err || !(vtd_read(v, VTD_PMEN) & PMEN_STATUS))
        return err;
    vtd_write(v, VTD_PMEN, 0);
    return vtd_wait(v, VTD_PMEN, PMEN_STATUS, 0);
}
