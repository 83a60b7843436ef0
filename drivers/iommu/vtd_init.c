/* SPDX-License-Identifier: BSD-2-Clause */
/* vtd_init.c: finds the units that ACPI's DMAR tells of, and switches them on. */
#include <arch/irq.h>
#include <arch/mmu.h>

#include "dmar.h"
#include "iommu.h"
#include "vtd.h"

#include <hv/acpi.h>
#include <hv/assert.h>
#include <hv/log.h>
#include <stdio.h>
#include <stdlib.h>

enum { WINDOW = 4 * 4096 }; /* registers, records of faults with them */
static struct vtd *vtds;

/* ---- what the firmware binds devices to ---- */

static void reserve_one(const struct dmar *d, unsigned i)
{
    const struct dmar_part *part = &d->reserved[i].part;
    struct iommu_scope rid[2];

    for (unsigned k = 0; k < part->nscopes; k++) {
        struct iommu_reserved r = { .segment = part->segment,
                                    .prot = PROT_RW,
                                    .base = d->reserved[i].base,
                                    .len = d->reserved[i].limit - d->reserved[i].base + 1 };

        if (!dmar_scope_rids(&d->scope[part->scope + k], part->segment, rid))
            continue;
        r.first = rid[0].first;
        r.last = rid[0].last;
        log_info("IOMMU: the firmware binds PCI %04x:%02x:%02x.%u to memory at %llx, %llu KiB",
                 r.segment, r.first >> 8, r.first >> 3 & 31u, r.first & 7u,
                 (unsigned long long)r.base, (unsigned long long)(r.len / KIB));
        if (iommu_reserve(&r))
            log_warn("IOMMU: too many such ranges: this one is ignored");
    }
}

/* ---- units ---- */

/* The requester IDs of a unit; I/O APICs and timers are no devices. NULL: none, or no memory. */
static struct iommu_scope *vtd_init_scopes_of(const struct dmar *d, const struct dmar_part *part,
                                              uint32_t *count)
{
    struct iommu_scope *s = calloc(2u * part->nscopes + 1u, sizeof *s); /* charge: Trivet's own */

    *count = 0;
    for (unsigned i = 0; s && i < part->nscopes; i++) {
        const struct dmar_scope *from = &d->scope[part->scope + i];

        if (from->type == DMAR_ENDPOINT || from->type == DMAR_BRIDGE)
            *count += dmar_scope_rids(from, part->segment, &s[*count]);
    }
    return s;
}

static void describe(struct vtd *v)
{
    snprintf(v->unit.features, sizeof v->unit.features, "%u-bit addresses, pages up to %s%s%s",
             v->format.ia_bits,
             v->format.leaf_levels & 4   ? "1 GiB"
             : v->format.leaf_levels & 2 ? "2 MiB"
                                         : "4 KiB",
             v->ecap & ECAP_COHERENT ? "" : ", tables are not snooped",
             v->cap & CAP_CM ? ", holes are cached" : "");
}

static void fault_interrupt(void *arg) { iommu_kick(&((struct vtd *)arg)->unit); }

/* Section 7.4. The unit's own message goes past the remapping of interrupts. */
static void want_faults(struct vtd *v)
{
    struct irq_message m;

    v->unit.polled = irq_message(0, fault_interrupt, v, &m) != 0;
    if (v->unit.polled)
        return;
    vtd_write(v, VTD_FEDATA, m.data);
    vtd_write(v, VTD_FEADDR, (uint32_t)m.address);
    vtd_write(v, VTD_FEUADDR, (uint32_t)(m.address >> 32));
    vtd_write(v, VTD_FECTL, 0);
}

/* ---- interrupts ---- */

static struct {
    uint8_t id;
    uint16_t rid;
    struct vtd *unit;
} ioapics[ACPI_IOAPICS_MAX];
static unsigned nioapics;

static void find_ioapics(struct vtd *v, const struct dmar *d, const struct dmar_part *part)
{
    struct iommu_scope rid[2];

    for (unsigned i = 0; i < part->nscopes && nioapics < ARRAY_SIZE(ioapics); i++) {
        const struct dmar_scope *s = &d->scope[part->scope + i];

        if (s->type != DMAR_IOAPIC || !dmar_scope_rids(s, part->segment, rid))
            continue;
        ioapics[nioapics].id = s->id;
        ioapics[nioapics].unit = v;
        ioapics[nioapics++].rid = rid[0].first;
    }
}

static int ioapic_by_id(uint8_t id)
{
    for (unsigned i = 0; i < nioapics; i++)
        if (ioapics[i].id == id)
            return (int)i;
    return -ENOENT;
}

static uint64_t remap_line(const struct irq_line *l)
{
    int i = ioapic_by_id(l->ioapic);

    return i < 0 ? 0 : vtd_line(ioapics[i].unit, ioapics[i].rid, l);
}

/* NULL: all that can interrupt can be remapped. */
static const char *why_no_irqs(const struct dmar *d)
{
    const struct acpi_info *a = acpi_info();

    for (const struct vtd *v = vtds; v; v = v->next)
        if (!(v->ecap & ECAP_IR))
            return "an IOMMU cannot remap interrupts (ECAP.IR)";
    for (uint32_t i = 0; i < a->nioapics; i++)
        if (ioapic_by_id(a->ioapics[i].id) < 0)
            return "the firmware's table DMAR does not say which IOMMU an I/O APIC is behind";
    return d->irqs ? NULL : "the firmware's table DMAR rules it out (INTR_REMAP)";
}

/* All or none: lines of one unit's I/O APIC go to the CPUs as messages of another's devices do. */
static void remap_irqs(const struct dmar *d)
{
    const char *why = why_no_irqs(d);

    if (why) {
        log_warn("IOMMU: interrupts are not remapped: %s", why);
        return;
    }
    for (struct vtd *v = vtds; v; v = v->next) {
        v->unit.no_irqs = vtd_irqs_on(v) != 0;
        if (v->unit.no_irqs)
            iommu_break(&v->unit);
    }
    irq_remap_lines(remap_line);
    log_info("IOMMU: interrupts are remapped");
}

static int vtd_init_bring_up(struct vtd *v)
{
    int err = vtd_begin(v);

    if (!err)
        err = vtd_take_over(v);
    if (err)
        return err;
    describe(v);
    want_faults(v);
    v->unit.no_irqs = true;
    iommu_add(&v->unit);
    v->next = vtds;
    vtds = v;
    return 0;
}

static void vtd_init_make_unit(const struct dmar *d, unsigned i)
{
    struct vtd *v = calloc(1, sizeof *v); /* charge: the machine's units are Trivet's own */
    int err = -ENOMEM;

    if (v) {
        v->unit.scopes = vtd_init_scopes_of(d, &d->unit[i].part, &v->unit.nscopes);
        v->unit.all = d->unit[i].all;
        v->unit.segment = d->unit[i].part.segment;
        snprintf(v->unit.name, sizeof v->unit.name, "vtd%u", i);
        v->regs = mmu_map_device(hpa(d->unit[i].base), WINDOW);
        err = v->unit.scopes && v->regs ? vtd_init_bring_up(v) : -ENOMEM;
        if (!err)
            find_ioapics(v, d, &d->unit[i].part);
    }
    if (err)
        log_err("IOMMU vtd%u at %llx cannot be used: its devices reach all memory: error %d", i,
                (unsigned long long)d->unit[i].base, -err);
}

int vtd_init(void)
{
    static struct dmar d; /* too large for the stack */
    const void *table = acpi_table("DMAR", 0);

    assert_cpu0();
    if (!table)
        return -ENODEV;
    if (!dmar_parse(&d, table)) {
        log_warn("IOMMU: the firmware's table DMAR describes no IOMMU");
        return -ENODEV;
    }
    if (d.bad)
        log_warn("IOMMU: %u parts of the firmware's table DMAR are malformed and ignored", d.bad);
    for (unsigned i = 0; i < d.nreserved; i++)
        reserve_one(&d, i);
    for (unsigned i = 0; i < d.nunits; i++)
        vtd_init_make_unit(&d, i);
    for (struct vtd *v = vtds; v; v = v->next)
        iommu_hold_reserved(&v->unit);
    for (struct vtd *v = vtds; v; v = v->next)
        if (vtd_switch_on(v))
            iommu_break(&v->unit);
    if (vtds)
        remap_irqs(&d);
    return 0;
}
