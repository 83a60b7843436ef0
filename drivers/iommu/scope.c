/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scope.c: which device is behind which unit, and what the firmware binds it to. Constant after
 * boot.
 */
#include "iommu.h"

#include <hv/assert.h>
#include <hv/log.h>

enum { CFG_SECONDARY = 0x19, CFG_SUBORDINATE = 0x1a, CLASS_BRIDGE = 6, BRIDGE_PCI = 4 };
/* PCI Express Base Specification 4.0 section 7.5.3.2 */
enum { EXPRESS_FLAGS = 2, EXPRESS_TYPE_SHIFT = 4, EXPRESS_TO_PCI = 7 };
enum { RESERVED_MOST = 64 };

static struct iommu_unit *units, **last_unit = &units;
static struct iommu_reserved reserved[RESERVED_MOST];
static unsigned nreserved;

void iommu_add(struct iommu_unit *u)
{
    assert_cpu0();
    hv_assert(u->ops && u->ops->domain_init && u->ops->domain_fini && u->ops->set &&
              u->ops->flush && u->ops->poll && !u->ops->irq == !u->ops->irq_off);
    u->next = NULL;
    *last_unit = u;
    last_unit = &u->next;
    iommu_watch(u);
    log_info("IOMMU %s: %s; %s", u->name, u->ops->name, u->features);
}

const struct iommu_unit *iommu_by_index(unsigned i)
{
    const struct iommu_unit *u = units;

    while (u && i--)
        u = u->next;
    return u;
}

static bool in_scope(const struct iommu_scope *s, uint16_t segment, uint16_t rid)
{
    return s->segment == segment && rid >= s->first && rid <= s->last;
}

static const struct iommu_scope *scope_of(const struct iommu_unit *u, uint16_t segment,
                                          uint16_t rid)
{
    for (uint32_t i = 0; i < u->nscopes; i++)
        if (in_scope(&u->scopes[i], segment, rid))
            return &u->scopes[i];
    return NULL;
}

/*
 * Virtual functions are behind the unit of their physical one, whether the firmware names them or
 * not: Intel VT-d specification 3.4, 8.3.1.
 */
static uint16_t scope_physical(uint16_t segment, uint16_t rid)
{
    uint32_t count;
    const struct host_pci_dev *d = host_pci_devs(&count);

    for (uint32_t i = 0; i < count; i++)
        if (d[i].physical && d[i].segment == segment && host_pci_rid(&d[i]) == rid)
            return host_pci_rid(d[i].physical);
    return rid;
}

static struct iommu_unit *unit_of_rid(uint16_t segment, uint16_t rid)
{
    for (struct iommu_unit *u = units; u; u = u->next)
        if (scope_of(u, segment, rid))
            return u;
    for (struct iommu_unit *u = units; u; u = u->next)
        if (u->all && u->segment == segment)
            return u;
    return NULL;
}

struct iommu_unit *iommu_unit_of(const struct host_pci_dev *d)
{
    return unit_of_rid(d->segment, host_pci_rid(d->physical ? d->physical : d));
}

bool iommu_stream_of(const struct iommu_unit *u, uint16_t segment, uint16_t rid, uint32_t *stream)
{
    const struct iommu_scope *s = scope_of(u, segment, rid);

    *stream = !s ? rid : s->one_stream ? s->stream : s->stream + (rid - s->first);
    return unit_of_rid(segment, scope_physical(segment, rid)) == u;
}

/* ---- bridges ---- */

static bool is_above(const struct host_pci_dev *b, const struct host_pci_dev *d)
{
    return b->header == 1 && b->class == CLASS_BRIDGE && b->subclass == BRIDGE_PCI &&
           b->segment == d->segment && b->bus != d->bus &&
           d->bus >= host_pci_read(b, CFG_SECONDARY, 1) &&
           d->bus <= host_pci_read(b, CFG_SUBORDINATE, 1);
}

/*
 * False: it passes requests on as they are. A bridge from PCI Express to PCI may take its secondary
 * bus with device 0, one from PCI to PCI its own ID.
 */
static bool bridge_rid(const struct host_pci_dev *b, uint16_t *rid)
{
    uint32_t express = host_pci_cap(b, HOST_PCI_CAP_EXPRESS);

    if (!express) {
        *rid = host_pci_rid(b);
        return true;
    }
    *rid = (uint16_t)(host_pci_read(b, CFG_SECONDARY, 1) << 8);
    return (host_pci_read(b, express + EXPRESS_FLAGS, 2) >> EXPRESS_TYPE_SHIFT & 15) ==
           EXPRESS_TO_PCI;
}

unsigned iommu_rids(const struct host_pci_dev *d, uint16_t rid[IOMMU_RIDS])
{
    uint32_t count;
    const struct host_pci_dev *all = host_pci_devs(&count);
    unsigned n = 1;

    rid[0] = host_pci_rid(d);
    for (uint32_t i = 0; i < count && n < IOMMU_RIDS; i++)
        if (is_above(&all[i], d) && bridge_rid(&all[i], &rid[n]) && rid[n] != rid[0])
            n++;
    return n;
}

/* ---- reserved memory ---- */

int iommu_reserve(const struct iommu_reserved *r)
{
    assert_cpu0();
    hv_assert(r->len && !((r->base | r->len) & (PAGE_SIZE - 1)) && r->base + r->len > r->base);
    if (nreserved == RESERVED_MOST)
        return -ENOSPC;
    reserved[nreserved++] = *r;
    return 0;
}

const struct iommu_reserved *iommu_reserved_of(const struct host_pci_dev *d, unsigned n)
{
    for (unsigned i = 0; i < nreserved; i++) {
        const struct iommu_reserved *r = &reserved[i];

        if (r->segment == d->segment && host_pci_rid(d) >= r->first && host_pci_rid(d) <= r->last &&
            n-- == 0)
            return r;
    }
    return NULL;
}
