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
            log_warn("IOMMU: there is no room to keep that");
    }
}

/* ---- units ---- */

/* The requester IDs of a unit; I/O APICs and timers are no devices. NULL: none, or no memory. */
static struct iommu_scope *scopes_of(const struct dmar *d, const struct dmar_part *part,
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
    snprintf(v->unit.features, sizeof v->unit.features,
             "%u-bit addresses, pages up to %s%s%s, interrupts are not remapped", v->format.ia_bits,
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

static int bring_up(struct vtd *v)
{
    int err = vtd_begin(v);

    if (!err)
        err = vtd_take_over(v);
    if (err)
        return err;
    describe(v);
    want_faults(v);
    iommu_add(&v->unit);
    v->next = vtds;
    vtds = v;
    return 0;
}

static void make_unit(const struct dmar *d, unsigned i)
{
    struct vtd *v = calloc(1, sizeof *v); /* charge: the machine's units are Trivet's own */
    int err = -ENOMEM;

    if (v) {
        v->unit.scopes = scopes_of(d, &d->unit[i].part, &v->unit.nscopes);
        v->unit.all = d->unit[i].all;
        v->unit.segment = d->unit[i].part.segment;
        snprintf(v->unit.name, sizeof v->unit.name, "vtd%u", i);
        v->regs = mmu_map_device(hpa(d->unit[i].base), WINDOW);
        err = v->unit.scopes && v->regs ? bring_up(v) : -ENOMEM;
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
        log_warn("IOMMU: the firmware's table DMAR names no unit");
        return -ENODEV;
    }
    if (d.bad)
        log_warn("IOMMU: %u parts of the firmware's table DMAR are left out: they are broken",
                 d.bad);
    for (unsigned i = 0; i < d.nreserved; i++)
        reserve_one(&d, i);
    for (unsigned i = 0; i < d.nunits; i++)
        make_unit(&d, i);
    for (struct vtd *v = vtds; v; v = v->next)
        iommu_hold_reserved(&v->unit);
    for (struct vtd *v = vtds; v; v = v->next)
        if (vtd_switch_on(v))
            iommu_break(&v->unit);
    return 0;
}
