/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dma.c: see <hv/dma.h>. A device's addresses: first windows, all of the same length, then the
 * memory that it has for good. Each slot has a window of its own; where unmapping is deferred there
 * are more of them, and a request takes one of those that its unit has forgotten. The tables of all
 * that are made at once and stay, so that mapping needs no memory and cannot fail for the lack of
 * it.
 */
#include "dma_late.h"

#include <hv/assert.h>
#include <hv/dma.h>
#include <hv/iommu.h>
#include <hv/log.h>
#include <hv/pmm.h>
#include <stdlib.h>

/* Where no machine has the registers of devices, which bridges would take the address for. */
#define FIRST (16 * MIB)
#define LAST (1 * GIB)
enum { CHUNKS = 64, NO_WINDOW = DMA_LATE_WINDOWS };

struct chunk {
    uint8_t *at;
    uint64_t iova;
    uint8_t order;
    bool used;
};
struct dma {
    struct iommu_domain domain;
    const struct host_pci_dev *pci;
    bool direct; /* no IOMMU: addresses are those of memory */
    unsigned slots;
    uint64_t base, window; /* window: bytes of a slot */
    uint64_t next;         /* the first address that no chunk has */
    uint32_t *used;        /* pages of each slot's window */
    uint16_t *has;         /* the window of each slot, where unmapping is deferred; else NULL */
    struct dma_late late;
    struct chunk chunk[CHUNKS];
};

static uint64_t dma_window_of(const struct dma *d, unsigned slot)
{
    return d->base + (d->has ? d->has[slot] : slot) * d->window;
}

/* ---- making it ---- */

/* The lowest place for [at, at+len) where the firmware has reserved nothing. 0: none. */
static uint64_t dma_place(const struct host_pci_dev *pci, uint64_t at, uint64_t len)
{
    const struct iommu_reserved *r;

    for (unsigned i = 0; (r = iommu_reserved_of(pci, i)); i++)
        if (r->base < at + len && at < r->base + r->len) {
            at = align_up(r->base + r->len, 2 * MIB);
            i = (unsigned)-1; /* from the start */
        }
    return at + len <= LAST ? at : 0;
}

/* Tables for all of [at, at+len): a page in each of the lowest ones, and gone again. */
static int make_tables(struct pt *pt, uint64_t at, uint64_t len)
{
    int err = pt_keep(pt, gpa(at), len);

    for (uint64_t a = align_down(at, 2 * MIB); !err && a < at + len; a += 2 * MIB) {
        err = pt_map(pt, gpa(a), hpa(0), PAGE_SIZE, PROT_R, MEM_WB);
        if (!err)
            err = pt_unmap(pt, gpa(a), PAGE_SIZE);
    }
    return err;
}

/* False: there is no room for the windows that are late. */
static bool dma_may_defer(const struct dma *d)
{
    uint64_t windows = d->slots + DMA_LATE_MOST;

    if (!dma_deferred())
        return false;
    if (windows <= DMA_LATE_WINDOWS &&
        dma_place(d->pci, FIRST, align_up(windows * d->window, 2 * MIB)))
        return true;
    log_warn("PCI %04x:%02x:%02x.%u: its driver has too many requests to defer unmapping",
             d->pci->segment, d->pci->bus, d->pci->devfn >> 3, d->pci->devfn & 7u);
    return false;
}

static int make_late(struct dma *d, uint64_t len)
{
    d->has = calloc(d->slots, sizeof *d->has); /* charge: the host's devices are Trivet's own */
    if (!d->has)
        return -ENOMEM;
    for (unsigned i = 0; i < d->slots; i++)
        d->has[i] = NO_WINDOW;
    return dma_late_open(&d->late, &d->domain.gmem, d->base, len, d->slots + DMA_LATE_MOST);
}

static int make_domain(struct dma *d, const char *owner)
{
    bool late = iommu_unit_of(d->pci) && dma_may_defer(d);
    uint64_t len = align_up((d->slots + (late ? DMA_LATE_MOST : 0)) * d->window, 2 * MIB);
    int err = iommu_domain_init(&d->domain, d->pci, owner, NULL, NULL);

    if (err)
        return err;
    spin_init(&d->domain.gmem.pt.lock, LOCK_DMA_PT); /* within a driver's lock */
    d->base = dma_place(d->pci, FIRST, len);
    d->next = d->base + len;
    err = d->base ? make_tables(&d->domain.gmem.pt, d->base, len) : -ENOSPC;
    if (!err && late)
        err = make_late(d, len);
    if (!err)
        err = iommu_attach(&d->domain, d->pci);
    if (err) {
        dma_late_close(&d->late);
        iommu_domain_fini(&d->domain);
    }
    return err;
}

static void dma_release(struct dma *d)
{
    free(d->has);
    free(d->used);
    free(d);
}

int dma_open(struct dma **out, const struct host_pci_dev *pci, const char *owner, unsigned slots,
             uint32_t bytes, unsigned pieces)
{
    struct dma *d = calloc(1, sizeof *d); /* charge: the host's devices are Trivet's own */
    int err = -ENOMEM;

    assert_cpu0();
    *out = d;
    if (!d)
        return err;
    d->pci = pci;
    d->slots = slots;
    d->window = align_up(bytes, PAGE_SIZE) + pieces * PAGE_SIZE;
    d->used = calloc(slots, sizeof *d->used); /* charge: as above */
    if (d->used)
        err = make_domain(d, owner);
    d->direct = err == -ENODEV;
    if (!err || d->direct)
        return 0;
    dma_release(d);
    *out = NULL;
    return err;
}

static void leave(struct dma *d)
{
    if (d->direct)
        return;
    iommu_detach(d->pci);
    dma_late_close(&d->late);
    iommu_domain_fini(&d->domain);
}

void dma_close(struct dma *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < CHUNKS; i++)
        hv_assert(!d->chunk[i].used);
    leave(d);
    dma_release(d);
}

void dma_bypass(struct dma *d)
{
    if (!d->direct)
        iommu_bypass(d->pci);
    leave(d);
    d->direct = true;
}

/* ---- memory that it has for good ---- */

/* One that was given back, of the same size, or a new one. NULL: there are too many. */
static struct chunk *take_chunk(struct dma *d, unsigned order)
{
    struct chunk *free_one = NULL;

    for (unsigned i = 0; i < CHUNKS; i++) {
        struct chunk *c = &d->chunk[i];

        if (!c->used && c->iova && c->order == order)
            return c;
        if (!c->used && !c->iova)
            free_one = c;
    }
    return free_one;
}

static int map_chunk(struct dma *d, struct chunk *c, hpa_t at)
{
    uint64_t len = PAGE_SIZE << c->order;

    if (d->direct)
        return 0;
    if (!c->iova) {
        c->iova = dma_place(d->pci, d->next, len);
        if (!c->iova)
            return -ENOSPC;
        d->next = c->iova + len;
    }
    return pt_map(&d->domain.gmem.pt, gpa(c->iova), at, len, PROT_RW, MEM_WB);
}

static void dma_tell(struct dma *d, uint64_t at, uint64_t len)
{
    d->domain.gmem.flush(&d->domain.gmem, gpa(at), len);
}

void *dma_alloc(struct dma *d, unsigned order)
{
    struct chunk *c = take_chunk(d, order);
    hpa_t at = c ? pmm_alloc_zero(order, PMM_HV) : hpa(0); /* charge: as above */

    assert_cpu0();
    if (!at.v)
        return NULL;
    c->order = (uint8_t)order;
    if (map_chunk(d, c, at)) {
        pmm_free(at, order, PMM_HV);
        return NULL;
    }
    if (d->domain.gmem.tell_maps && !d->direct)
        dma_tell(d, c->iova, PAGE_SIZE << order);
    c->used = true;
    c->at = phys_to_virt(at);
    return c->at;
}

static struct chunk *chunk_of(const struct dma *d, const volatile void *p)
{
    uint64_t at = (uint64_t)(uintptr_t)p;

    for (unsigned i = 0; i < CHUNKS; i++) {
        const struct chunk *c = &d->chunk[i];

        if (c->used && at - (uint64_t)(uintptr_t)c->at < PAGE_SIZE << c->order)
            return (struct chunk *)(uintptr_t)c;
    }
    return NULL;
}

void dma_free(struct dma *d, const volatile void *p, unsigned order)
{
    struct chunk *c;

    assert_cpu0();
    if (!p)
        return;
    c = chunk_of(d, p);
    hv_assert(c && c->order == order);
    if (!d->direct) {
        hv_assert(!pt_unmap(&d->domain.gmem.pt, gpa(c->iova), PAGE_SIZE << order));
        dma_tell(d, c->iova, PAGE_SIZE << order);
    }
    pmm_free(virt_to_phys(c->at), order, PMM_HV);
    c->used = false;
}

uint64_t dma_at(const struct dma *d, const volatile void *p)
{
    const struct chunk *c;

    if (d->direct)
        return virt_to_phys((const void *)(uintptr_t)p).v;
    c = chunk_of(d, p);
    hv_assert(c);
    return c->iova + ((uint64_t)(uintptr_t)p - (uint64_t)(uintptr_t)c->at);
}

/* ---- requests ---- */

int dma_map(struct dma *d, unsigned slot, hpa_t at, uint32_t len, unsigned prot, uint64_t *out)
{
    uint64_t off = at.v & (PAGE_SIZE - 1), size = align_up(off + len, PAGE_SIZE), to;
    int err;

    hv_assert(slot < d->slots);
    *out = at.v;
    if (d->direct)
        return 0;
    to = d->used[slot] * PAGE_SIZE;
    if (!len || size > d->window - to)
        return -EINVAL;
    if (d->has && d->has[slot] == NO_WINDOW)
        d->has[slot] = (uint16_t)dma_late_take(&d->late);
    to += dma_window_of(d, slot);
    prot |= d->domain.unit->no_write_only ? PROT_R : 0u;
    err = pt_map(&d->domain.gmem.pt, gpa(to), hpa(at.v - off), size, prot, MEM_WB);
    if (err)
        return err;
    d->used[slot] += (uint32_t)(size >> PAGE_SHIFT);
    if (d->domain.gmem.tell_maps)
        dma_tell(d, to, size);
    *out = to + off;
    return 0;
}

void dma_unmap(struct dma *d, unsigned slot)
{
    uint64_t len;

    hv_assert(slot < d->slots);
    len = d->used[slot] * PAGE_SIZE;
    if (d->direct || !len)
        return;
    hv_assert(!pt_unmap(&d->domain.gmem.pt, gpa(dma_window_of(d, slot)), len));
    d->used[slot] = 0;
    if (!d->has) {
        dma_tell(d, dma_window_of(d, slot), len);
        return;
    }
    dma_late_give(&d->late, d->has[slot]);
    d->has[slot] = NO_WINDOW;
}
