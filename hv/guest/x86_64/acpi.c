/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI tables of an x86 guest (ACPI 6.4 §5.2): RSDP, XSDT, FADT, FACS, DSDT, MADT, MCFG, HPET, in
 * the BIOS area below 1 MiB.
 */
#include "load.h"
#include "platform.h"
#include <hv/assert.h>
#include <hv/guest_acpi.h>
#include <hv/guest_uefi.h>
#include <stdio.h>
#include <string.h>

extern const unsigned char dsdt_aml_code[];
extern const unsigned dsdt_aml_len;

#define AREA_LEN (PLAT_ACPI_LOW_END - PLAT_ACPI_LOW)

/* Generic Address Structure, §5.2.3.2: an I/O port. */
static void gas_port(uint8_t *p, unsigned off, unsigned bits, unsigned port)
{
    p[off] = 1;
    p[off + 1] = (uint8_t)bits;
    p[off + 3] = bits == 8 ? 1 : bits == 16 ? 2 : 3;
    tables_put(p, off + 4, 8, port);
}

/*
 * §5.2.9, table 5.33. The machine is always in ACPI mode (SMI_CMD 0); the power button is the
 * fixed one.
 */
enum {
    FADT_LEN = 276,
    FADT_WBINVD = 1 << 0,
    FADT_PROC_C1 = 1 << 2,
    FADT_SLP_BUTTON = 1 << 5,
    FADT_FIX_RTC = 1 << 6,
    FADT_TMR_VAL_EXT = 1 << 8,
    FADT_RESET_REG_SUP = 1 << 10,
    BOOT_LEGACY_DEVICES = 1 << 0,
    BOOT_VGA_NOT_PRESENT = 1 << 2
};

static uint64_t build_fadt(struct tables *t, uint64_t facs, uint64_t dsdt)
{
    uint8_t *p = tables_begin(t, "FACP", 6, FADT_LEN);

    tables_put(p, 36, 4, facs);
    tables_put(p, 40, 4, dsdt);
    p[45] = 4; /* Preferred_PM_Profile: enterprise server */
    tables_put(p, 46, 2, PLAT_GSI_SCI);
    tables_put(p, 56, 4, PORT_PM1_EVT);
    tables_put(p, 64, 4, PORT_PM1_CNT);
    tables_put(p, 76, 4, PORT_PM_TMR);
    p[88] = 4, p[89] = 2, p[91] = 4; /* PM1_EVT_LEN, PM1_CNT_LEN, PM_TMR_LEN */
    tables_put(p, 96, 2, 0xfff), tables_put(p, 98, 2, 0xfff); /* no C2, no C3 */
    p[108] = 0x32;                                            /* CENTURY in CMOS */
    tables_put(p, 109, 2, BOOT_LEGACY_DEVICES | BOOT_VGA_NOT_PRESENT);
    tables_put(p, 112, 4,
               FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_FIX_RTC | FADT_TMR_VAL_EXT |
                   FADT_RESET_REG_SUP);
    gas_port(p, 116, 8, PORT_RESET);
    p[128] = RESET_VALUE;
    p[131] = 4; /* minor version */
    tables_put(p, 140, 8, dsdt);
    gas_port(p, 148, 32, PORT_PM1_EVT);
    gas_port(p, 172, 16, PORT_PM1_CNT);
    gas_port(p, 208, 32, PORT_PM_TMR);
    memcpy(p + 268, "TRIVET\0", 8);
    return tables_seal(t, p);
}

static uint64_t build_facs(struct tables *t)
{
    uint8_t *p = tables_take(t, 64, 64);

    memcpy(p, "FACS", 4);
    tables_put(p, 4, 4, 64);
    p[32] = 2;
    return tables_address(t, p);
}

/*
 * §5.2.12: processors up to APIC ID 254 by the short entry, above by the x2APIC one; the IOAPIC;
 * two overrides; LINT1 is NMI.
 */
enum {
    MADT_LAPIC,
    MADT_IOAPIC,
    MADT_OVERRIDE,
    MADT_LAPIC_NMI = 4,
    MADT_X2APIC = 9,
    MADT_PCAT = 1,
    OVERRIDE_LEVEL_HIGH = 0xd
};

static uint8_t *madt_cpu(uint8_t *p, uint32_t id)
{
    if (id >= 255) {
        p[0] = MADT_X2APIC, p[1] = 16;
        tables_put(p, 4, 4, id), tables_put(p, 8, 4, 1), tables_put(p, 12, 4, id);
        return p + 16;
    }
    p[0] = MADT_LAPIC, p[1] = 8, p[2] = (uint8_t)id, p[3] = (uint8_t)id;
    tables_put(p, 4, 4, 1);
    return p + 8;
}

static uint8_t *madt_override(uint8_t *p, unsigned irq, uint32_t gsi, unsigned flags)
{
    p[0] = MADT_OVERRIDE, p[1] = 10, p[3] = (uint8_t)irq;
    tables_put(p, 4, 4, gsi), tables_put(p, 8, 2, flags);
    return p + 10;
}

static uint64_t build_madt(struct tables *t, uint32_t ncpus)
{
    uint32_t len = TABLE_HEADER + 8 + 12 + 2 * 10 + 6;
    uint8_t *madt, *p;

    for (uint32_t i = 0; i < ncpus; i++)
        len += i >= 255 ? 16 : 8;
    madt = tables_begin(t, "APIC", 5, len);
    tables_put(madt, 36, 4, PLAT_LAPIC), tables_put(madt, 40, 4, MADT_PCAT);
    p = madt + TABLE_HEADER + 8;
    for (uint32_t i = 0; i < ncpus; i++)
        p = madt_cpu(p, i);
    p[0] = MADT_IOAPIC, p[1] = 12, p[2] = IOAPIC_ID;
    tables_put(p, 4, 4, PLAT_IOAPIC), tables_put(p, 8, 4, 0);
    p = madt_override(p + 12, 0, PLAT_GSI_PIT, 0);
    p = madt_override(p, LINE_SCI, PLAT_GSI_SCI, OVERRIDE_LEVEL_HIGH);
    p[0] = MADT_LAPIC_NMI, p[1] = 6, p[2] = 0xff, p[5] = 1;
    return tables_seal(t, madt);
}

static uint64_t build_mcfg(struct tables *t)
{
    uint8_t *p = tables_begin(t, "MCFG", 1, TABLE_HEADER + 8 + 16);

    tables_put(p, 44, 8, t->q35 ? PLAT_Q35_ECAM : PLAT_ECAM);
    p[55] = (uint8_t)(PLAT_ECAM_LEN / MIB - 1); /* last bus: 1 MiB each */
    return tables_seal(t, p);
}

/* IA-PC HPET specification 1.0a §3.2.4: its registers in memory; the identifier is theirs. */
static uint64_t build_hpet(struct tables *t)
{
    uint8_t *p = tables_begin(t, "HPET", 1, TABLE_HEADER + 20);

    tables_put(p, 36, 4, HPET_ID);
    p[41] = 64; /* bits of a register, in a generic address of space 0 */
    tables_put(p, 44, 8, PLAT_HPET);
    tables_put(p, 53, 2, 0x80); /* shortest period in ticks */
    return tables_seal(t, p);
}

static uint64_t build_all(struct tables *t, uint32_t ncpus)
{
    uint8_t *rsdp = tables_take(t, RSDP_LEN, 16);
    uint64_t facs = build_facs(t), dsdt = tables_copy(t, dsdt_aml_code, dsdt_aml_len);
    /*
     * One after the other: in an initialiser their order, and so their addresses, would be the
     * compiler's choice.
     */
    uint64_t fadt = build_fadt(t, facs, dsdt), madt = build_madt(t, ncpus), mcfg = build_mcfg(t),
             hpet = build_hpet(t);
    uint64_t all[] = { fadt, madt, mcfg, hpet };

    return tables_root(t, rsdp, all, ARRAY_SIZE(all));
}

/* Two numbers in the DSDT that stand side by side, in place of what the compiler put there. */
static void replace(uint8_t *dsdt, const uint32_t from[2], const uint32_t to[2])
{
    for (uint32_t i = TABLE_HEADER; i + 8 <= dsdt_aml_len; i++)
        if (memcmp(dsdt + i, from, 8) == 0)
            memcpy(dsdt + i, to, 8);
}

/* Configuration space (Memory32Fixed) and the window for BARs (DWordMemory, §6.4.3.5.2). */
static void move_windows(struct tables *t, uint8_t *dsdt)
{
    static const uint32_t moves[][2][2] = {
        { { PLAT_ECAM, PLAT_ECAM_LEN }, { PLAT_Q35_ECAM, PLAT_ECAM_LEN } },
        { { PLAT_MMIO32, PLAT_MMIO32 + PLAT_MMIO32_LEN - 1 },
          { PLAT_MMIO32, PLAT_Q35_MMIO_END - 1 } },
        { { 0, PLAT_MMIO32_LEN }, { 0, PLAT_Q35_MMIO_END - PLAT_MMIO32 } },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(moves); i++)
        replace(dsdt, moves[i][0], moves[i][1]);
    (void)tables_seal(t, dsdt);
}

int x86_acpi_firmware(struct vm *vm)
{
    struct tables t = { .vm = vm, .room = AREA_LEN, .model = "TRIVETPC", .q35 = true };
    uint8_t *dsdt;

    assert_cpu0();
    t.buf = vm_alloc(vm, AREA_LEN);
    if (t.buf == NULL)
        return -ENOMEM;
    (void)build_all(&t, vm->nvcpus);
    if (t.full) {
        vm_free(vm, t.buf, AREA_LEN);
        return -ENOSPC;
    }
    dsdt = t.buf + align_up(RSDP_LEN, 64) + 64;
    hv_assert(memcmp(dsdt, "DSDT", 4) == 0);
    move_windows(&t, dsdt);
    return uefi_tables(vm, t.buf, AREA_LEN, t.used);
}

int x86_acpi_build(struct vm *vm, uint64_t *rsdp)
{
    struct tables t = { .vm = vm,
                        .buf = vm_alloc(vm, AREA_LEN),
                        .base = PLAT_ACPI_LOW,
                        .room = AREA_LEN,
                        .model = "TRIVETPC" };
    int err;

    assert_cpu0();
    if (t.buf == NULL)
        return -ENOMEM;
    *rsdp = build_all(&t, vm->nvcpus);
    err = t.full ? -ENOSPC : gmem_write(vm, gpa(t.base), t.buf, t.used);
    if (err != 0)
        snprintf(vm->why, sizeof vm->why, "its ACPI tables could not be written: error %d", err);
    vm_free(vm, t.buf, AREA_LEN);
    return err;
}
