/* SPDX-License-Identifier: BSD-2-Clause */
/* The command `iommu`: the machine's IOMMUs, who has which device, and what was refused. */
#include "mgmt.h"
#include "out.h"
#include <hv/dma.h>
#include <hv/iommu.h>
#include <stdio.h>

static void list_units(struct out *o)
{
    static const struct column cols[] = {
        { "name", "Unit", UNIT_NONE, false },       { "kind", "Kind", UNIT_NONE, false },
        { "works", "Works", UNIT_BOOL, false },     { "irqs", "Interrupts", UNIT_BOOL, false },
        { "domains", "Domains", UNIT_NONE, true },  { "faults", "Faults", UNIT_NONE, true },
        { "features", "It has", UNIT_NONE, false },
    };
    const struct iommu_unit *u;

    out_list(o, "units", cols, ARRAY_SIZE(cols));
    for (unsigned i = 0; (u = iommu_by_index(i)); i++) {
        out_row(o);
        out_cell(o, u->name);
        out_cell(o, u->ops->name);
        out_cell_number(o, !__atomic_load_n(&u->broken, __ATOMIC_ACQUIRE));
        out_cell_number(o, u->ops->irq && !u->no_irqs);
        out_cell_number(o, u->ndomains);
        out_cell_number(o, u->faults);
        out_cell(o, u->features);
    }
    out_list_end(o);
}

/* The last access that was refused. */
static const char *last_fault(const struct iommu_stats *s, char *buf, size_t len)
{
    snprintf(buf, len, "%s %llx: %s",
             s->last.reason == IOMMU_INTERRUPT ? "interrupt"
             : s->last.access == IOMMU_WRITE   ? "write to"
                                               : "read of",
             (unsigned long long)s->last.addr, iommu_reason_text(s->last.reason));
    return s->faults ? buf : "";
}

static const char *what_it_reaches(const struct iommu_unit *u, const struct iommu_stats *s,
                                   const char *owner)
{
    if (!u)
        return "all memory";
    if (s->bypass)
        return "all memory: it goes past the unit";
    return s->cut ? "nothing: cut off" : owner ? "its domain" : "nothing";
}

static void iommu_row(struct out *o, const struct host_pci_dev *d, const struct iommu_unit *u)
{
    const char *owner = iommu_owner(d);
    struct iommu_stats s;
    char text[100];

    iommu_dev_stats(d, &s);
    out_row(o);
    snprintf(text, sizeof text, "%04x:%02x:%02x.%u", d->segment, d->bus, d->devfn >> 3,
             d->devfn & 7u);
    out_cell(o, text);
    out_cell(o, u ? u->name : "");
    out_cell(o, owner ? owner : "");
    out_cell(o, what_it_reaches(u, &s, owner));
    out_cell_number(o, s.faults);
    out_cell(o, last_fault(&s, text, sizeof text));
}

static void list_devices(struct out *o)
{
    static const struct column cols[] = {
        { "at", "Device", UNIT_NONE, false },    { "unit", "Unit", UNIT_NONE, false },
        { "owner", "Owner", UNIT_NONE, false },  { "reaches", "Reaches", UNIT_NONE, false },
        { "faults", "Faults", UNIT_NONE, true }, { "last", "Last", UNIT_NONE, false },
    };
    uint32_t count;
    const struct host_pci_dev *d = host_pci_devs(&count);

    out_list(o, "devices", cols, ARRAY_SIZE(cols));
    for (uint32_t i = 0; i < count; i++)
        iommu_row(o, &d[i], iommu_unit_of(&d[i]));
    out_list_end(o);
}

void cmd_iommu(struct out *o, unsigned argc, char **argv)
{
    (void)argc, (void)argv;
    list_units(o);
    list_devices(o);
    if (iommu_by_index(0))
        out_text(o, "unmapping", "Buffers of finished requests are unmapped", "%s",
                 dma_deferred() ? "deferred" : "strict");
    if (!iommu_by_index(0))
        out_line(o, "Trivet drives no IOMMU of this machine: a device that is a bus master reaches "
                    "all memory.");
}
