/* ACPI tables of an x86 guest (ACPI 6.4 §5.2): RSDP, XSDT, FADT, FACS, DSDT, MADT, MCFG, in the BIOS area below 1 MiB. */
#include "load.h"
#include "platform.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const unsigned char dsdt_aml_code[];
extern const unsigned dsdt_aml_len;

/* Tables are laid one after another in a copy of the area. */
struct area { uint8_t *buf; uint64_t at; };
#define AREA_LEN (PLAT_ACPI_LOW_END - PLAT_ACPI_LOW)
#define HEADER 36
#define RSDP_LEN 36

static void put(uint8_t *p, unsigned off, unsigned size, uint64_t v)
{
    memcpy(p + off, &v, size);
}

static uint8_t sum(const uint8_t *p, uint64_t len)
{
    uint8_t s = 0;

    for (uint64_t i = 0; i < len; i++)
        s = (uint8_t)(s + p[i]);
    return s;
}

static uint64_t address(const struct area *a, const uint8_t *p)
{
    return PLAT_ACPI_LOW + (uint64_t)(p - a->buf);
}

/* Room for a table; NULL when the area is full, which the bound of 32 vCPUs rules out. */
static uint8_t *take(struct area *a, uint64_t len, uint64_t align)
{
    uint64_t at = align_up(a->at, align);

    if (!range_within(at, len, 0, AREA_LEN))
        return NULL;
    a->at = at + len;
    return a->buf + at;
}

static uint8_t *table(struct area *a, const char *sig, unsigned revision, uint64_t len)
{
    uint8_t *p = take(a, len, 16);

    if (p == NULL)
        return NULL;
    memcpy(p, sig, 4);
    put(p, 4, 4, len);
    p[8] = (uint8_t)revision;
    memcpy(p + 10, "TRIVETTRIVETPC", 14);
    put(p, 24, 4, 1);
    memcpy(p + 28, "TRVT", 4);
    put(p, 32, 4, 1);
    return p;
}

static void seal(uint8_t *p, uint64_t len)
{
    p[9] = 0;
    p[9] = (uint8_t)-sum(p, len);
}

/* Generic Address Structure, §5.2.3.2: an I/O port. */
static void gas_port(uint8_t *p, unsigned off, unsigned bits, unsigned port)
{
    p[off] = 1;
    p[off + 1] = (uint8_t)bits;
    p[off + 3] = bits == 8 ? 1 : bits == 16 ? 2 : 3;
    put(p, off + 4, 8, port);
}

/* §5.2.9, table 5.33. The machine is always in ACPI mode (SMI_CMD 0); the power button is the fixed one. */
enum { FADT_LEN = 276, FADT_WBINVD = 1 << 0, FADT_PROC_C1 = 1 << 2, FADT_SLP_BUTTON = 1 << 5, FADT_FIX_RTC = 1 << 6, FADT_TMR_VAL_EXT = 1 << 8,
       FADT_RESET_REG_SUP = 1 << 10, BOOT_LEGACY_DEVICES = 1 << 0, BOOT_VGA_NOT_PRESENT = 1 << 2 };

static uint8_t *build_fadt(struct area *a, uint64_t facs, uint64_t dsdt)
{
    uint8_t *p = table(a, "FACP", 6, FADT_LEN);

    if (p == NULL)
        return NULL;
    put(p, 36, 4, facs);
    put(p, 40, 4, dsdt);
    p[45] = 4;                                       /* Preferred_PM_Profile: enterprise server */
    put(p, 46, 2, PLAT_GSI_SCI);
    put(p, 56, 4, PORT_PM1_EVT);
    put(p, 64, 4, PORT_PM1_CNT);
    put(p, 76, 4, PORT_PM_TMR);
    p[88] = 4, p[89] = 2, p[91] = 4;                 /* PM1_EVT_LEN, PM1_CNT_LEN, PM_TMR_LEN */
    put(p, 96, 2, 0xfff), put(p, 98, 2, 0xfff);      /* no C2, no C3 */
    p[108] = 0x32;                                   /* CENTURY in CMOS */
    put(p, 109, 2, BOOT_LEGACY_DEVICES | BOOT_VGA_NOT_PRESENT);
    put(p, 112, 4, FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_FIX_RTC | FADT_TMR_VAL_EXT | FADT_RESET_REG_SUP);
    gas_port(p, 116, 8, PORT_RESET);
    p[128] = RESET_VALUE;
    p[131] = 4;                                      /* minor version */
    put(p, 140, 8, dsdt);
    gas_port(p, 148, 32, PORT_PM1_EVT);
    gas_port(p, 172, 16, PORT_PM1_CNT);
    gas_port(p, 208, 32, PORT_PM_TMR);
    memcpy(p + 268, "TRIVET\0", 8);
    seal(p, FADT_LEN);
    return p;
}

static uint8_t *build_facs(struct area *a)
{
    uint8_t *p = take(a, 64, 64);

    if (p == NULL)
        return NULL;
    memcpy(p, "FACS", 4);
    put(p, 4, 4, 64);
    p[32] = 2;
    return p;
}

static uint8_t *build_dsdt(struct area *a)
{
    uint8_t *p = take(a, dsdt_aml_len, 16);

    return p != NULL ? memcpy(p, dsdt_aml_code, dsdt_aml_len) : NULL;
}

/* §5.2.12: processors up to APIC ID 254 by the short entry, above by the x2APIC one; the IOAPIC; two overrides; LINT1 is NMI. */
enum { MADT_LAPIC, MADT_IOAPIC, MADT_OVERRIDE, MADT_LAPIC_NMI = 4, MADT_X2APIC = 9, MADT_PCAT = 1, OVERRIDE_LEVEL_HIGH = 0xd };

static uint8_t *madt_cpu(uint8_t *p, uint32_t id)
{
    if (id >= 255) {
        p[0] = MADT_X2APIC, p[1] = 16;
        put(p, 4, 4, id), put(p, 8, 4, 1), put(p, 12, 4, id);
        return p + 16;
    }
    p[0] = MADT_LAPIC, p[1] = 8, p[2] = (uint8_t)id, p[3] = (uint8_t)id;
    put(p, 4, 4, 1);
    return p + 8;
}

static uint8_t *madt_override(uint8_t *p, unsigned irq, uint32_t gsi, unsigned flags)
{
    p[0] = MADT_OVERRIDE, p[1] = 10, p[3] = (uint8_t)irq;
    put(p, 4, 4, gsi), put(p, 8, 2, flags);
    return p + 10;
}

static uint8_t *build_madt(struct area *a, uint32_t ncpus)
{
    uint64_t len = HEADER + 8 + 12 + 2 * 10 + 6;
    uint8_t *t, *p;

    for (uint32_t i = 0; i < ncpus; i++)
        len += i >= 255 ? 16 : 8;
    t = table(a, "APIC", 5, len);
    if (t == NULL)
        return NULL;
    put(t, 36, 4, PLAT_LAPIC), put(t, 40, 4, MADT_PCAT);
    p = t + HEADER + 8;
    for (uint32_t i = 0; i < ncpus; i++)
        p = madt_cpu(p, i);
    p[0] = MADT_IOAPIC, p[1] = 12, p[2] = IOAPIC_ID;
    put(p, 4, 4, PLAT_IOAPIC), put(p, 8, 4, 0);
    p = madt_override(p + 12, 0, PLAT_GSI_PIT, 0);
    p = madt_override(p, LINE_SCI, PLAT_GSI_SCI, OVERRIDE_LEVEL_HIGH);
    p[0] = MADT_LAPIC_NMI, p[1] = 6, p[2] = 0xff, p[5] = 1;
    seal(t, len);
    return t;
}

static uint8_t *build_mcfg(struct area *a)
{
    uint8_t *p = table(a, "MCFG", 1, HEADER + 8 + 16);

    if (p == NULL)
        return NULL;
    put(p, 44, 8, PLAT_ECAM);
    p[55] = (uint8_t)(PLAT_ECAM_LEN / MIB - 1);      /* last bus: 1 MiB each */
    seal(p, HEADER + 8 + 16);
    return p;
}

static uint8_t *build_xsdt(struct area *a, uint8_t *const tables[], unsigned n)
{
    uint8_t *p = table(a, "XSDT", 1, HEADER + 8ull * n);

    if (p == NULL)
        return NULL;
    for (unsigned i = 0; i < n; i++)
        put(p, HEADER + 8 * i, 8, address(a, tables[i]));
    seal(p, HEADER + 8ull * n);
    return p;
}

static void build_rsdp(uint8_t *p, uint64_t xsdt)
{
    memcpy(p, "RSD PTR ", 8);
    memcpy(p + 9, "TRIVET", 6);
    p[15] = 2;
    put(p, 20, 4, RSDP_LEN);
    put(p, 24, 8, xsdt);
    p[8] = (uint8_t)-sum(p, 20);
    p[32] = (uint8_t)-sum(p, RSDP_LEN);
}

static bool build_all(struct area *a, uint32_t ncpus)
{
    uint8_t *rsdp = take(a, RSDP_LEN, 16), *facs = build_facs(a), *dsdt = build_dsdt(a), *t[3], *xsdt;

    if (rsdp == NULL || facs == NULL || dsdt == NULL)
        return false;
    t[0] = build_fadt(a, address(a, facs), address(a, dsdt));
    t[1] = build_madt(a, ncpus);
    t[2] = build_mcfg(a);
    if (t[0] == NULL || t[1] == NULL || t[2] == NULL)
        return false;
    xsdt = build_xsdt(a, t, ARRAY_SIZE(t));
    if (xsdt != NULL)
        build_rsdp(rsdp, address(a, xsdt));
    return xsdt != NULL;
}

int x86_acpi_build(struct vm *vm, uint64_t *rsdp)
{
    struct area a = { .buf = calloc(1, AREA_LEN) };
    int err = -ENOSPC;

    if (a.buf == NULL)
        return -ENOMEM;
    if (build_all(&a, vm->nvcpus))
        err = gmem_write(vm, gpa(PLAT_ACPI_LOW), a.buf, a.at);
    if (err != 0)
        snprintf(vm->why, sizeof vm->why, "its ACPI tables could not be written: error %d", err);
    free(a.buf);
    *rsdp = PLAT_ACPI_LOW;
    return err;
}
