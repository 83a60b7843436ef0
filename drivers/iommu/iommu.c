/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * iommu.c: the portable core of <hv/iommu.h>: units, which device is behind which, and whose it is.
 * faults.c has what becomes of faults, scope.c what is constant after boot.
 */
#include "iommu.h"

#include <hv/assert.h>
#include <hv/log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct iommu_source *sources; /* under the lock; changed by CPU 0 alone */
static struct spinlock lock = SPINLOCK_INIT(LOCK_IOMMU);

bool iommu_is_broken(const struct iommu_unit *u)
{
    return __atomic_load_n(&u->broken, __ATOMIC_ACQUIRE);
}

/* ---- sources: the streams that somebody has, or had ---- */

struct iommu_source *iommu_find_source(const struct iommu_unit *u, uint32_t stream)
{
    for (struct iommu_source *s = sources; s; s = s->next)
        if (s->unit == u && s->stream == stream)
            return s;
    return NULL;
}

struct iommu_source *iommu_next_source(const struct iommu_unit *u, const struct iommu_source *s)
{
    for (s = s ? s->next : sources; s && s->unit != u; s = s->next)
        ;
    return (struct iommu_source *)(uintptr_t)s;
}

struct iommu_source *iommu_source_of(const struct host_pci_dev *d)
{
    const struct iommu_unit *u = iommu_unit_of(d);
    uint32_t stream;

    return u && iommu_stream_of(u, d->segment, host_pci_rid(d), &stream)
               ? iommu_find_source(u, stream)
               : NULL;
}

struct iommu_source *iommu_make_source(struct iommu_unit *u, uint32_t stream)
{
    struct iommu_source *s = iommu_find_source(u, stream);

    if (s)
        return s;
    s = calloc(1, sizeof *s); /* charge: the host's devices are Trivet's own, and few */
    if (!s)
        return NULL;
    s->unit = u;
    s->stream = stream;
    spin_lock(&lock);
    s->next = sources;
    sources = s;
    spin_unlock(&lock);
    return s;
}

void iommu_set_dev(struct iommu_source *s, const struct host_pci_dev *dev)
{
    spin_lock(&lock);
    s->dev = dev;
    spin_unlock(&lock);
}

/* ---- a unit that does not answer ---- */

/*
 * What the unit still lets through nobody knows: its devices are no bus masters any more, and what
 * they had written before has arrived when this returns.
 */
static void stop_devices(const struct iommu_unit *u)
{
    spin_lock(&lock);
    for (struct iommu_source *s = sources; s; s = s->next)
        if (s->unit == u && s->dev)
            host_pci_stop(s->dev, true);
    spin_unlock(&lock);
}

void iommu_break(struct iommu_unit *u)
{
    bool was = __atomic_exchange_n(&u->broken, true, __ATOMIC_ACQ_REL);

    stop_devices(u); /* a CPU that comes second waits for the first, too */
    if (was)
        return;
    log_err("IOMMU %s does not answer: its devices are stopped for good", u->name);
    iommu_kick(u); /* their owners are told */
}

static void flush(struct gmem_domain *g, gpa_t at, uint64_t len)
{
    struct iommu_domain *d = container_of(g, struct iommu_domain, gmem);

    if (iommu_is_broken(d->unit) || d->unit->ops->flush(d->unit, d, at, len))
        iommu_break(d->unit);
}

static int iommu_set(struct iommu_source *s, struct iommu_domain *d, bool quiet)
{
    int err = iommu_is_broken(s->unit) ? -EIO : s->unit->ops->set(s->unit, s->stream, d, quiet);

    if (err == -EIO)
        iommu_break(s->unit);
    return err;
}

/* ---- domains ---- */

int iommu_domain_init(struct iommu_domain *d, const struct host_pci_dev *dev, const char *owner,
                      pt_pay *pay, void *payer)
{
    struct iommu_unit *u = iommu_unit_of(dev);
    int err;

    assert_cpu0();
    *d = (struct iommu_domain){ .unit = u, .gmem = { .flush = flush } };
    snprintf(d->owner, sizeof d->owner, "%s", owner);
    if (!u)
        return -ENODEV;
    if (iommu_is_broken(u))
        return -EIO;
    err = u->ops->domain_init(u, d, pay, payer);
    u->ndomains += !err;
    return err;
}

void iommu_domain_fini(struct iommu_domain *d)
{
    assert_cpu0();
    hv_assert(d->unit && !d->nstreams);
    d->unit->ops->domain_fini(d->unit, d);
    d->unit->ndomains--;
    pt_fini(&d->gmem.pt);
    d->unit = NULL;
}

/* Maps a range as it is; two devices of the domain may have the same. */
static int map_reserved(struct iommu_domain *d, const struct iommu_reserved *r)
{
    int err = 0;

    for (uint64_t at = r->base; !err && at < r->base + r->len; at += PAGE_SIZE) {
        hpa_t there;
        unsigned prot;

        if (!pt_lookup(&d->gmem.pt, gpa(at), &there, &prot))
            err = pt_map(&d->gmem.pt, gpa(at), hpa(at), PAGE_SIZE, r->prot, MEM_WB);
        else if (there.v != at || (prot & r->prot) != r->prot)
            err = -EEXIST;
    }
    return err;
}

static int map_all_reserved(struct iommu_domain *d, const struct host_pci_dev *dev)
{
    const struct iommu_reserved *r;
    int err = 0;

    for (unsigned i = 0; !err && (r = iommu_reserved_of(dev, i)); i++)
        err = map_reserved(d, r);
    return err;
}

/* ---- attaching ---- */

static void leave_stream(struct iommu_source *s)
{
    struct iommu_domain *d = s->domain;

    if (--s->users)
        return;
    (void)iommu_set(s, NULL, false); /* what goes wrong has stopped the device */
    s->domain = NULL;
    d->nstreams--;
}

static int join_stream(struct iommu_domain *d, const struct host_pci_dev *dev, uint32_t stream,
                       bool own)
{
    struct iommu_source *s = iommu_make_source(d->unit, stream);
    int err = s ? 0 : -ENOMEM;

    if (!err && s->domain && (s->domain != d || (own && s->owned)))
        err = -EBUSY;
    if (!err && !s->domain) {
        err = iommu_set(s, d, false);
        if (!err) {
            s->domain = d;
            s->cut = s->stats.bypass = false;
            s->burst = 0; /* those were of its last owner */
            d->nstreams++;
        }
    }
    if (err)
        return err;
    s->users++;
    if (own || !s->dev)
        iommu_set_dev(s, dev);
    if (own) {
        s->owned = true;
        host_pci_stop(dev, false);
    }
    return 0;
}

static void leave_first(const struct iommu_unit *u, const struct host_pci_dev *dev,
                        const uint16_t *rid, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint32_t stream;
        struct iommu_source *s = NULL;

        if (iommu_stream_of(u, dev->segment, rid[i], &stream))
            s = iommu_find_source(u, stream);
        if (s && i == 0)
            s->owned = false;
        if (s && s->domain)
            leave_stream(s);
    }
}

/* Who is to have it goes before what the firmware wanted, which he maps himself. */
static void give_way(const struct host_pci_dev *dev)
{
    struct iommu_domain *d = iommu_domain_of(dev);

    if (!d || !d->firmware)
        return;
    iommu_detach(dev);
    if (!d->nstreams) {
        iommu_domain_fini(d);
        free(d);
    }
}

static void hold_reserved(const struct host_pci_dev *dev)
{
    struct iommu_domain *d = calloc(1, sizeof *d); /* charge: the host's devices are Trivet's */
    int err = d ? iommu_domain_init(d, dev, "the firmware", NULL, NULL) : -ENOMEM;

    if (!err) {
        d->firmware = true;
        err = iommu_attach(d, dev);
        if (err)
            iommu_domain_fini(d);
    }
    if (!err)
        return;
    free(d);
    log_warn("IOMMU: %04x:%02x:%02x.%u is blocked, although the firmware wants it to reach memory: "
             "error %d",
             dev->segment, dev->bus, dev->devfn >> 3, dev->devfn & 7u, -err);
}

void iommu_hold_reserved(const struct iommu_unit *u)
{
    uint32_t count;
    const struct host_pci_dev *d = host_pci_devs(&count);

    assert_cpu0();
    for (uint32_t i = 0; i < count; i++)
        if (iommu_unit_of(&d[i]) == u && iommu_reserved_of(&d[i], 0))
            hold_reserved(&d[i]);
}

int iommu_attach(struct iommu_domain *d, const struct host_pci_dev *dev)
{
    struct iommu_unit *u = iommu_unit_of(dev);
    uint16_t rid[IOMMU_RIDS];
    unsigned n = iommu_rids(dev, rid), i;
    int err = !u ? -ENODEV : u != d->unit ? -EXDEV : map_all_reserved(d, dev);

    assert_cpu0();
    if (!err && !d->firmware)
        give_way(dev);
    for (i = 0; !err && i < n; i++) {
        uint32_t stream;

        /* a bridge's own requester ID may be another unit's */
        if (!iommu_stream_of(u, dev->segment, rid[i], &stream))
            err = -EXDEV;
        else
            err = join_stream(d, dev, stream, i == 0);
    }
    if (err && i)
        leave_first(u, dev, rid, i - 1);
    return err;
}

void iommu_detach(const struct host_pci_dev *dev)
{
    struct iommu_source *s = iommu_source_of(dev);
    uint16_t rid[IOMMU_RIDS];

    assert_cpu0();
    if (!s || !s->domain || s->dev != dev)
        return;
    for (unsigned i = 0; i < IOMMU_IRQS; i++)
        if (s->irqs[i / 64] >> i % 64 & 1)
            iommu_irq_off(dev, i);
    leave_first(s->unit, dev, rid, iommu_rids(dev, rid));
}

void iommu_bypass(const struct host_pci_dev *dev)
{
    struct iommu_source *s = iommu_source_of(dev);

    assert_cpu0();
    if (!s)
        return;
    s->stats.bypass = true;
    log_warn("IOMMU %s: PCI %04x:%02x:%02x.%u is not translated: it reaches all memory",
             s->unit->name, dev->segment, dev->bus, dev->devfn >> 3, dev->devfn & 7u);
}

struct iommu_domain *iommu_domain_of(const struct host_pci_dev *dev)
{
    const struct iommu_source *s = iommu_source_of(dev);

    return s ? s->domain : NULL;
}

const char *iommu_owner(const struct host_pci_dev *dev)
{
    const struct iommu_domain *d = iommu_domain_of(dev);

    return d ? d->owner : NULL;
}

void iommu_cut(struct iommu_source *s)
{
    s->cut = true;
    if (s->dev)
        host_pci_stop(s->dev, true);
    (void)iommu_set(s, NULL, true);
}

/* ---- interrupts ---- */

bool iommu_irqs_safe(const struct host_pci_dev *dev)
{
    const struct iommu_unit *u = iommu_unit_of(dev);

    return u && u->ops->irq && !u->no_irqs && !iommu_is_broken(u);
}

/* The stream that the device's messages carry: of the topmost bridge that puts its own there. */
static uint32_t sender_of(const struct iommu_unit *u, const struct host_pci_dev *dev)
{
    uint16_t rid[IOMMU_RIDS];
    unsigned last = iommu_rids(dev, rid) - 1;
    uint32_t stream;

    if (!iommu_stream_of(u, dev->segment, rid[last], &stream))
        (void)iommu_stream_of(u, dev->segment, rid[0], &stream);
    return stream;
}

int iommu_irq(const struct host_pci_dev *dev, unsigned n, const struct irq_message *plain,
              struct irq_message *out)
{
    struct iommu_unit *u = iommu_unit_of(dev);
    struct iommu_source *s;
    uint32_t stream;
    int err;

    assert_cpu0();
    *out = *plain;
    if (!u || !u->ops->irq || u->no_irqs)
        return 0;
    if (iommu_is_broken(u))
        return -EIO;
    if (n >= IOMMU_IRQS || !iommu_stream_of(u, dev->segment, host_pci_rid(dev), &stream))
        return -ENOSPC;
    s = iommu_make_source(u, stream);
    err = s ? u->ops->irq(u, stream, n, sender_of(u, dev), plain, out) : -ENOMEM;
    if (!err)
        s->irqs[n / 64] |= 1ull << n % 64;
    if (err == -EIO)
        iommu_break(u);
    return err;
}

void iommu_irq_off(const struct host_pci_dev *dev, unsigned n)
{
    struct iommu_source *s = iommu_source_of(dev);

    assert_cpu0();
    if (!s || n >= IOMMU_IRQS || !(s->irqs[n / 64] >> n % 64 & 1))
        return;
    s->irqs[n / 64] &= ~(1ull << n % 64);
    if (!iommu_is_broken(s->unit))
        s->unit->ops->irq_off(s->unit, s->stream, n, sender_of(s->unit, dev));
}
