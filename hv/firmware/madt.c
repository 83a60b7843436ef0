/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * madt.c: CPUs, IOAPICs and interrupt overrides (ACPI 6.5 section 5.2.12), ECAM windows (MCFG),
 * console and HPET.
 */
#include <string.h>

#include "acpi_private.h"

enum { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_OVERRIDE = 2, MADT_LAPIC_ADDR = 5, MADT_X2APIC = 9 };

static void add_cpu(struct acpi_info *out, uint32_t id, uint32_t flags)
{
    if (!(flags & 1)) /* not enabled; "online capable" CPUs are not there yet */
        return;
    for (uint32_t i = 0; i < out->ncpus; i++)
        if (out->cpus[i] == id)
            return;
    if (out->ncpus == ACPI_CPUS_MAX)
        out->cpus_dropped++;
    else
        out->cpus[out->ncpus++] = id;
}

static void on_lapic(struct acpi_info *out, struct bytes e)
{
    if (e.len >= 8 && acpi_get(e, 3, 1) != 0xff)
        add_cpu(out, (uint32_t)acpi_get(e, 3, 1), (uint32_t)acpi_get(e, 4, 4));
}

static void on_x2apic(struct acpi_info *out, struct bytes e)
{
    if (e.len >= 16 && acpi_get(e, 4, 4) != 0xffffffff)
        add_cpu(out, (uint32_t)acpi_get(e, 4, 4), (uint32_t)acpi_get(e, 8, 4));
}

static void on_ioapic(struct acpi_info *out, struct bytes e)
{
    if (e.len < 12 || out->nioapics == ACPI_IOAPICS_MAX)
        return;
    out->ioapics[out->nioapics++] = (struct acpi_ioapic){ .id = (uint8_t)acpi_get(e, 2, 1),
                                                          .addr = acpi_get(e, 4, 4),
                                                          .gsi = (uint32_t)acpi_get(e, 8, 4) };
}

/*
 * Flags: polarity in bits 1:0 (3 is active low), trigger in bits 3:2 (3 is level); 0 means as the
 * bus has it (ISA: edge, high).
 */
static void on_override(struct acpi_info *out, struct bytes e)
{
    uint32_t flags = (uint32_t)acpi_get(e, 8, 2);

    if (e.len < 10 || out->noverrides == ACPI_OVERRIDES_MAX)
        return;
    out->overrides[out->noverrides++] = (struct acpi_override){ .irq = (uint8_t)acpi_get(e, 3, 1),
                                                                .gsi = (uint32_t)acpi_get(e, 4, 4),
                                                                .low = (flags & 3) == 3,
                                                                .level = (flags >> 2 & 3) == 3 };
}

static void on_lapic_addr(struct acpi_info *out, struct bytes e)
{
    if (e.len >= 12)
        out->lapic = acpi_get(e, 4, 8);
}

static void (*const on_entry[])(struct acpi_info *, struct bytes) = {
    [MADT_LAPIC] = on_lapic,           [MADT_IOAPIC] = on_ioapic, [MADT_OVERRIDE] = on_override,
    [MADT_LAPIC_ADDR] = on_lapic_addr, [MADT_X2APIC] = on_x2apic,
};

bool acpi_madt_entry(struct bytes table, uint32_t *off, struct bytes *entry)
{
    uint32_t at = *off;

    if (at + 2 > table.len || table.p[at + 1] < 2 || table.p[at + 1] > table.len - at)
        return false;
    *entry = (struct bytes){ table.p + at, table.p[at + 1] };
    *off = at + entry->len;
    return true;
}

void acpi_parse_madt(struct acpi_info *out, struct bytes b)
{
    struct bytes e;

    /* a second MADT is a firmware's mistake: the first counts */
    if (out->madt)
        return;
    out->madt = true;
    out->lapic = acpi_get(b, 36, 4);
    out->legacy_pic = acpi_get(b, 40, 4) & 1;
    for (uint32_t off = 44; acpi_madt_entry(b, &off, &e);)
        if (e.p[0] < ARRAY_SIZE(on_entry) && on_entry[e.p[0]])
            on_entry[e.p[0]](out, e);
}

/* PCI firmware specification 3.3, section 4.1.2. */
void acpi_parse_mcfg(struct acpi_info *out, struct bytes b)
{
    for (uint32_t off = 44; off + 16 <= b.len && out->nmcfg < ACPI_MCFG_MAX; off += 16) {
        struct acpi_mcfg m = { .base = acpi_get(b, off, 8),
                               .segment = (uint16_t)acpi_get(b, off + 8, 2),
                               .bus_first = (uint8_t)acpi_get(b, off + 10, 1),
                               .bus_last = (uint8_t)acpi_get(b, off + 11, 1) };

        if (m.base && !(m.base & 0xfffff) && m.bus_first <= m.bus_last)
            out->mcfg[out->nmcfg++] = m;
    }
}

/* Serial Port Console Redirection table, revision 1.07. */
void acpi_parse_spcr(struct acpi_info *out, struct bytes b)
{
    static const uint32_t bauds[] = { [3] = 9600, [4] = 19200, [6] = 57600, [7] = 115200 };
    uint32_t code = (uint32_t)acpi_get(b, 58, 1), kinds = (uint32_t)acpi_get(b, 52, 1);

    if (b.len < 76 || out->spcr.present)
        return;
    out->spcr = (struct acpi_spcr){ .present = true,
                                    .kind = (uint8_t)acpi_get(b, 36, 1),
                                    .reg = acpi_gas_at(b, 40),
                                    .baud = code < ARRAY_SIZE(bauds) ? bauds[code] : 0 };
    if (kinds & 2)
        out->spcr.gsi = (uint32_t)acpi_get(b, 54, 4);
    else if (kinds & 1)
        out->spcr.gsi = (uint32_t)acpi_get(b, 53, 1);
    if (!out->spcr.reg.addr)
        out->spcr.present = false;
}

/* IA-PC HPET specification 1.0a, section 3.2.4. */
void acpi_parse_hpet(struct acpi_info *out, struct bytes b)
{
    if (b.len >= 56 && !out->hpet.addr)
        out->hpet = acpi_gas_at(b, 40);
}
