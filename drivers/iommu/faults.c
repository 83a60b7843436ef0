/* SPDX-License-Identifier: BSD-2-Clause */
/* faults.c: a unit's faults are counted, told, and end a device that has too many. */
#include "iommu.h"

#include <hv/assert.h>
#include <hv/log.h>
#include <hv/time.h>

enum { AT_A_TIME = 16 };
#define POLL_NS 100000000ull
#define SECOND 1000000000ull

const char *iommu_reason_text(uint8_t reason)
{
    static const char *const texts[IOMMU_REASONS] = {
        [IOMMU_BLOCKED] = "the device has no owner",
        [IOMMU_UNMAPPED] = "not mapped for this access",
        [IOMMU_DENIED] = "the mapping forbids this access",
        [IOMMU_RANGE] = "the address is too high",
        [IOMMU_INTERRUPT] = "not an interrupt of this device",
        [IOMMU_BAD_TABLES] = "the unit cannot read its tables",
        [IOMMU_OTHER] = "for another reason",
    };

    return texts[reason < IOMMU_REASONS ? reason : IOMMU_OTHER];
}

/* ---- the log ---- */

static void log_fault(const struct iommu_source *s, const struct iommu_fault *f)
{
    const struct host_pci_dev *d = s->dev;
    const char *what = f->reason == IOMMU_INTERRUPT ? "interrupt"
                       : f->access == IOMMU_WRITE   ? "write to"
                                                    : "read of";

    if (d)
        log_warn("IOMMU %s: %04x:%02x:%02x.%u (%s): %s %llx refused: %s (code %x)", s->unit->name,
                 d->segment, d->bus, d->devfn >> 3, d->devfn & 7u,
                 s->domain ? s->domain->owner : "no owner", what, (unsigned long long)f->addr,
                 iommu_reason_text(f->reason), f->code);
    else
        log_warn("IOMMU %s: stream %x (no owner): %s %llx refused: %s (code %x)", s->unit->name,
                 f->stream, what, (unsigned long long)f->addr, iommu_reason_text(f->reason),
                 f->code);
}

static void faults_tell(struct iommu_source *s, const struct iommu_fault *f, uint64_t now)
{
    if (now / SECOND != s->second) {
        if (s->untold)
            log_warn("IOMMU %s: stream %x: %u further faults", s->unit->name, s->stream, s->untold);
        s->second = now / SECOND;
        s->lines = s->untold = 0;
    }
    if (s->lines == IOMMU_FAULT_LINES) {
        s->untold++;
        return;
    }
    s->lines++;
    log_fault(s, f);
}

/* ---- cutting off ---- */

/* True: that was too many. */
static bool count_burst(struct iommu_source *s, uint64_t now)
{
    uint64_t gone = (now - s->burst_ns) / SECOND;

    s->burst -= min_u64(s->burst, gone);
    s->burst_ns += gone * SECOND;
    return ++s->burst > IOMMU_FAULT_BURST;
}

static bool cut_off(struct iommu_source *s)
{
    iommu_cut(s);
    log_err("IOMMU %s: stream %x (%s) is cut off after %llu faults", s->unit->name, s->stream,
            s->domain ? s->domain->owner : "no owner", (unsigned long long)s->stats.faults);
    return true;
}

/* A device that nobody ever had: a source of its own, if there is such a function. */
static struct iommu_source *stranger_source(struct iommu_unit *u, uint32_t stream)
{
    uint32_t count, its;
    const struct host_pci_dev *d = host_pci_devs(&count);
    struct iommu_source *s;

    for (uint32_t i = 0; i < count; i++) {
        if (iommu_unit_of(&d[i]) != u ||
            !iommu_stream_of(u, d[i].segment, host_pci_rid(&d[i]), &its) || its != stream)
            continue;
        s = iommu_make_source(u, stream);
        if (s)
            iommu_set_dev(s, &d[i]);
        return s;
    }
    return NULL;
}

/* Faults of streams that are no device's: all of a unit together. */
static void tell_unknown(struct iommu_unit *u, const struct iommu_fault *f)
{
    if (u->unknown++ < IOMMU_FAULT_LINES)
        log_warn("IOMMU %s: stream %x, of no known device: access to %llx refused: %s (code %x)",
                 u->name, f->stream, (unsigned long long)f->addr, iommu_reason_text(f->reason),
                 f->code);
}

void iommu_report(struct iommu_unit *u, const struct iommu_fault *f)
{
    struct iommu_source *s = iommu_find_source(u, f->stream);
    uint64_t now = time_ns();
    bool cut;

    assert_cpu0();
    if (!s || !s->dev)
        s = stranger_source(u, f->stream);
    u->faults++;
    if (!s) {
        tell_unknown(u, f);
        return;
    }
    s->stats.faults++;
    s->stats.last = *f;
    faults_tell(s, f, now);
    if (s->cut)
        return;
    cut = count_burst(s, now) && cut_off(s);
    if (s->domain && s->domain->fault && s->dev)
        s->domain->fault(s->domain, s->dev, f, cut);
}

void iommu_dev_stats(const struct host_pci_dev *d, struct iommu_stats *out)
{
    const struct iommu_source *s = iommu_source_of(d);

    *out = s ? s->stats : (struct iommu_stats){ .faults = 0 };
    out->cut = s && s->cut;
}

/* ---- the unit's event ---- */

/* Owners of its devices, once: they were stopped from wherever it did not answer. */
static void tell_broken(struct iommu_unit *u)
{
    if (u->told || !iommu_is_broken(u))
        return;
    u->told = true;
    for (struct iommu_source *s = NULL; (s = iommu_next_source(u, s)) != NULL;)
        if (s->owned && s->domain && s->domain->fault)
            s->domain->fault(s->domain, s->dev, NULL, true);
}

static void faults_look(struct event *ev)
{
    struct iommu_unit *u = container_of(ev, struct iommu_unit, event);

    tell_broken(u);
    if (u->ops->poll(u, AT_A_TIME))
        event_put_off(ev);
    else if (u->polled)
        event_at(ev, time_ns() + POLL_NS);
}

void iommu_watch(struct iommu_unit *u)
{
    event_init(&u->event, faults_look, 0);
    event_post(&u->event);
}

void iommu_kick(struct iommu_unit *u) { event_post(&u->event); }
