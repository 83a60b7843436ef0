/* SPDX-License-Identifier: BSD-2-Clause */
/* The command `hardware`: one page about the machine, to be pasted into a report. */
#include "mgmt.h"
#include "out.h"
#include <hv/drivers.h>
#include <hv/host_topology.h>
#include <hv/log.h>
#include <hv/pmm.h>
#include <stdio.h>

enum { PCI_BRIDGE_CLASS = 6 };

static void hardware_firmware(struct out *o)
{
    struct drivers_firmware f;
    struct pmm_stats s;

    drivers_firmware(&f);
    pmm_stats(&s);
    out_text(o, "machine", "Machine", "%s %s", f.smbios.maker, f.smbios.product);
    out_text(o, "firmware", "Firmware", "%s", f.smbios.firmware);
    out_text(o, "acpi_tables", "ACPI tables", "%s", f.tables);
    out_number(o, "memory_bytes", "Memory", s.total, UNIT_BYTES);
}

/* Bridges and what guests have need no driver of Trivet's. */
static void hardware_unused(struct out *o)
{
    static const struct column cols[] = {
        { "address", "Not used", UNIT_NONE, false },
        { "id", "ID", UNIT_NONE, false },
        { "class", "Class", UNIT_NONE, false },
        { "why", "Why", UNIT_NONE, false },
    };
    uint32_t count;
    const struct host_pci_dev *d = host_pci_devs(&count);
    char at[TOPOLOGY_NAME], id[16];

    out_list(o, "unused", cols, ARRAY_SIZE(cols));
    for (uint32_t i = 0; i < count; i++) {
        const struct host_topology *t = host_topology_of(i);

        if (t->use != TOPOLOGY_FREE || d[i].class == PCI_BRIDGE_CLASS)
            continue;
        snprintf(id, sizeof id, "%04x:%04x", d[i].vendor, d[i].device);
        out_row(o);
        out_cell(o, host_pci_name(&d[i], at));
        out_cell(o, id);
        out_cell(o, host_pci_class(&d[i]));
        out_cell(o, t->driver ? "its driver does not use it: see the log" : "no driver for it");
    }
    out_list_end(o);
}

/* The oldest lines known, mostly the start's, and the newest of what went wrong since. */
static void hardware_log(struct out *o)
{
    static const struct column cols[] = { { "line", "", UNIT_NONE, false } };
    enum { FIRST = 60, FAULTS = 40 };
    char text[256];
    uint64_t seq = 0;

    out_list(o, "log", cols, 1);
    for (unsigned n = 0; n < FIRST && log_read(&seq, LOG_INFO, text, sizeof text); n++) {
        out_row(o);
        out_cell(o, text);
    }
    log_newest_rows(o, LOG_WARN, seq, FAULTS);
    out_list_end(o);
}

void cmd_hardware(struct out *o, unsigned argc, char **argv)
{
    (void)argc;
    cmd_version(o, 1, argv);
    hardware_firmware(o);
    cmd_pci(o, 1, argv);
    hardware_unused(o);
    if (!o->json) { /* programs ask for these by their own names */
        cmd_iommu(o, 1, argv);
        cmd_disks(o, 1, argv);
        cmd_nics(o, 1, argv);
    }
    hardware_log(o);
}
