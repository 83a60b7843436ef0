/* SPDX-License-Identifier: BSD-2-Clause */
/* amdvi_init.c: finds the units that ACPI's IVRS tells of, and switches them on. */
#include <arch/mmu.h>

#include "amdvi.h"
#include "iommu.h"
#include "ivrs.h"

#include <hv/acpi.h>
#include <hv/assert.h>
#include <hv/log.h>
#include <stdio.h>
#include <stdlib.h>

/* 5.2.2.1: flags of a block, and the bits of CONTROL that they ask for */
static const struct {
    uint8_t flag;
    uint16_t control;
} asked[] = {
    { 1 << 0, 1 << 1 },  { 1 << 1, 1 << 8 },  { 1 << 2, 1 << 9 },
    { 1 << 3, 1 << 11 }, { 1 << 5, 1 << 10 },
};

static void reserve_all(const struct ivrs *t)
{
    for (unsigned i = 0; i < t->nreserved; i++) {
        struct iommu_reserved r = { .first = t->reserved[i].first,
                                    .last = t->reserved[i].last,
                                    .prot = t->reserved[i].prot,
                                    .base = t->reserved[i].base,
                                    .len = t->reserved[i].len };

        log_info("IOMMU: the firmware binds requesters %04x to %04x to memory at %llx, %llu KiB",
                 r.first, r.last, (unsigned long long)r.base, (unsigned long long)(r.len / KIB));
        if (r.prot && iommu_reserve(&r))
            log_warn("IOMMU: too many such ranges: this one is ignored");
    }
}

static struct iommu_scope *amdvi_init_scopes_of(const struct ivrs *t, unsigned unit)
{
    uint32_t n = t->unit[unit].nranges, from = t->unit[unit].range;
    struct iommu_scope *s = calloc(n + 1u, sizeof *s); /* charge: Trivet's own */

    for (uint32_t i = 0; s && i < n; i++)
        s[i] =
            (struct iommu_scope){ .segment = t->unit[unit].segment,
                                  .first = t->range[from + i].first,
                                  .last = t->range[from + i].last,
                                  .one_stream = t->range[from + i].aliased,
                                  .stream = t->range[from + i].aliased ? t->range[from + i].alias
                                                                       : t->range[from + i].first };
    return s;
}

static const struct host_pci_dev *own_function(uint16_t segment, uint16_t rid)
{
    uint32_t count;
    const struct host_pci_dev *d = host_pci_devs(&count);

    for (uint32_t i = 0; i < count; i++)
        if (d[i].segment == segment && host_pci_rid(&d[i]) == rid)
            return &d[i];
    return NULL;
}

static void event_interrupt(void *arg) { iommu_kick(&((struct amdvi *)arg)->unit); }

/* Before any unit is known to the core: a unit's own message is not remapped. */
static void want_events(struct amdvi *v)
{
    v->unit.polled = true;
    if (!v->pci || host_pci_irq(v->pci, 0, 0, event_interrupt, v))
        return;
    host_pci_command(v->pci, HOST_PCI_MASTER, 0);
    v->unit.polled = false;
}

static int amdvi_init_bring_up(struct amdvi *v, const struct ivrs *t, unsigned unit)
{
    uint64_t control;
    int err = amdvi_begin(v);

    if (err)
        return err;
    control = amdvi_read(v, AMDVI_CONTROL);
    for (unsigned i = 0; i < ARRAY_SIZE(asked); i++)
        control |= t->unit[unit].flags & asked[i].flag ? asked[i].control : 0u;
    amdvi_write(v, AMDVI_CONTROL, control);
    err = amdvi_take_over(v);
    for (unsigned i = 0; !err && i < t->nspecials; i++)
        if (t->special[i].unit == unit && t->special[i].kind == IVRS_IOAPIC)
            err = amdvi_let_lines(v, t->special[i].rid);
    return err;
}

static struct amdvi *amdvi_init_make_unit(const struct ivrs *t, unsigned unit)
{
    struct amdvi *v = calloc(1, sizeof *v); /* charge: the machine's units are Trivet's own */
    int err = -ENOMEM;

    if (v) {
        v->unit.scopes = amdvi_init_scopes_of(t, unit);
        v->unit.nscopes = t->unit[unit].nranges;
        v->unit.all = t->unit[unit].all;
        v->unit.segment = t->unit[unit].segment;
        snprintf(v->unit.name, sizeof v->unit.name, "amdvi%u", unit);
        snprintf(v->unit.features, sizeof v->unit.features,
                 "48-bit addresses, pages up to 1 GiB, interrupts are remapped");
        v->regs = mmu_map_device(hpa(t->unit[unit].base), AMDVI_WINDOW);
        v->pci = own_function(v->unit.segment, t->unit[unit].rid);
        err = v->unit.scopes && v->regs ? amdvi_init_bring_up(v, t, unit) : -ENOMEM;
    }
    if (!err)
        return v;
    log_err("IOMMU amdvi%u at %llx cannot be used: error %d", unit,
            (unsigned long long)t->unit[unit].base, -err);
    return NULL;
}

int amdvi_init(void)
{
    static struct ivrs t; /* too large for the stack */
    static struct amdvi *made[IVRS_UNITS];
    const void *table = acpi_table("IVRS", 0);

    assert_cpu0();
    if (!table)
        return -ENODEV;
    if (!ivrs_parse(&t, table)) {
        log_warn("IOMMU: the firmware's table IVRS describes no IOMMU");
        return -ENODEV;
    }
    if (t.bad)
        log_warn("IOMMU: %u parts of the firmware's table IVRS are malformed and ignored", t.bad);
    reserve_all(&t);
    for (unsigned i = 0; i < t.nunits; i++)
        made[i] = amdvi_init_make_unit(&t, i);
    for (unsigned i = 0; i < t.nunits; i++)
        if (made[i])
            want_events(made[i]);
    for (unsigned i = 0; i < t.nunits; i++)
        if (made[i])
            iommu_add(&made[i]->unit);
    for (unsigned i = 0; i < t.nunits; i++)
        if (made[i])
            iommu_hold_reserved(&made[i]->unit);
    return 0;
}
