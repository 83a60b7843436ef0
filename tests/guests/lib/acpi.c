/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A walk through the ACPI tables (ACPI 6.4, 5.2): RSDP, XSDT or RSDT, MADT, MCFG, FADT, and _S5_ by
 * its bytes.
 */
#include "guest.h"

struct acpi acpi;

static uint32_t u32(uint64_t a)
{
    uint32_t v;
    memcpy(&v, (const void *)a, 4);
    return v;
}
static uint64_t u64(uint64_t a)
{
    uint64_t v;
    memcpy(&v, (const void *)a, 8);
    return v;
}
static uint8_t u8(uint64_t a) { return *(const uint8_t *)a; }

static bool sum_ok(uint64_t a, uint32_t len)
{
    uint8_t s = 0;
    for (uint32_t i = 0; i < len; i++)
        s = (uint8_t)(s + u8(a + i));
    return s == 0;
}

static uint64_t scan_rsdp(uint64_t from, uint64_t to)
{
    for (uint64_t a = from; a < to; a += 16)
        if (!memcmp((const void *)a, "RSD PTR ", 8) && sum_ok(a, 20))
            return a;
    return 0;
}

static void add_table(uint64_t t)
{
    if (!t || t >= 0x100000000ull || acpi.ntables == 24)
        return;
    const struct acpi_header *h = (const void *)t;
    if (h->len < sizeof *h || h->len > 0x100000 || !sum_ok(t, h->len)) {
        acpi.bad_sums++;
        return;
    }
    acpi.tables[acpi.ntables++] = t;
}

const struct acpi_header *acpi_find(const char *sig)
{
    for (unsigned i = 0; i < acpi.ntables; i++)
        if (!memcmp((const void *)acpi.tables[i], sig, 4))
            return (const void *)acpi.tables[i];
    return NULL;
}

/* 5.2.12: local APIC (0), IOAPIC (1), interrupt override (2), local x2APIC (9) */
static void madt_entry(uint64_t e)
{
    uint8_t type = u8(e);
    if (type == 0 && (u32(e + 4) & 1) && acpi.ncpus < MAX_CPUS)
        acpi.apic_ids[acpi.ncpus++] = u8(e + 3);
    else if (type == 9 && (u32(e + 8) & 1) && acpi.ncpus < MAX_CPUS)
        acpi.apic_ids[acpi.ncpus++] = u32(e + 4);
    else if (type == 1 && !acpi.ioapic)
        acpi.ioapic = u32(e + 4);
    else if (type == 2 && u8(e + 3) < 16)
        acpi.irq_gsi[u8(e + 3)] = u32(e + 4);
}

static void read_madt(const struct acpi_header *h)
{
    uint64_t e = (uint64_t)h + 44, end = (uint64_t)h + h->len;
    for (; e + 2 <= end && u8(e + 1) >= 2; e += u8(e + 1))
        madt_entry(e);
}

/*
 * _S5_ is a package of at least two integers: NameOp "_S5_" PackageOp length count element element
 */
static void read_s5(uint64_t dsdt)
{
    const struct acpi_header *h = (const void *)dsdt;
    acpi.slp_s5 = 0xffff;
    for (uint64_t a = dsdt + 36; a + 12 < dsdt + h->len; a++) {
        if (memcmp((const void *)a, "_S5_\x12", 5))
            continue;
        uint64_t p = a + 5;
        p += (unsigned)(u8(p) >> 6) + 1u;
        p++;
        acpi.slp_s5 = u8(p) == 0x0a ? u8(p + 1) : u8(p) == 1 ? 1 : 0;
        return;
    }
}

/* 5.2.9 */
static void read_fadt(const struct acpi_header *h)
{
    uint64_t f = (uint64_t)h, dsdt = u32(f + 40);
    acpi.pm1a_evt = u32(f + 56);
    acpi.pm1a_cnt = u32(f + 64);
    acpi.pm_timer = u32(f + 76);
    acpi.pm_timer_32 = u32(f + 112) & 0x100;
    if (h->len >= 129 && (u32(f + 112) & 0x400)) {
        acpi.reset_space = u8(f + 116);
        acpi.reset_addr = u64(f + 120);
        acpi.reset_value = u8(f + 128);
    }
    if (h->len >= 148 && u64(f + 140))
        dsdt = u64(f + 140);
    add_table(dsdt);
    if (acpi_find("DSDT"))
        read_s5((uint64_t)acpi_find("DSDT"));
}

bool acpi_init(void)
{
    if (acpi.ntables)
        return true;
    for (unsigned i = 0; i < 16; i++)
        acpi.irq_gsi[i] = i;
    uint64_t rsdp = boot.rsdp ? boot.rsdp : scan_rsdp(0xe0000, 0x100000);
    if (!rsdp)
        rsdp = scan_rsdp((uint64_t)mmio_r16(0x40e) << 4, 0xa0000);
    if (!rsdp)
        return false;
    boot.rsdp = rsdp;
    bool xsdt = u8(rsdp + 15) >= 2 && u64(rsdp + 24);
    uint64_t root = xsdt ? u64(rsdp + 24) : u32(rsdp + 16);
    add_table(root);
    const struct acpi_header *h = (const void *)root;
    for (uint64_t e = root + 36; acpi.ntables && e + 4 <= root + h->len; e += xsdt ? 8 : 4)
        add_table(xsdt ? u64(e) : u32(e));
    if (acpi_find("APIC"))
        read_madt(acpi_find("APIC"));
    if (acpi_find("FACP"))
        read_fadt(acpi_find("FACP"));
    const struct acpi_header *mcfg = acpi_find("MCFG");
    if (mcfg && mcfg->len >= 60) {
        acpi.ecam = u64((uint64_t)mcfg + 44);
        acpi.ecam_end_bus = u8((uint64_t)mcfg + 55);
    }
    return true;
}
