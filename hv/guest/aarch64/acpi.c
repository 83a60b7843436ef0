/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI tables of an ARM64 guest that asks for them (ACPI 6.4 §5.2; GTDT §5.2.24; IORT: DEN0049;
 * SPCR: Microsoft's; MCFG: PCI Firmware 3.2 §4.1.2; PPTT §5.2.30): hardware-reduced, with PSCI by
 * HVC. They are found through the EFI tables of efi.c.
 */
#include "tables.h"
#include <hv/pci.h>
#include <string.h>

extern const unsigned char arm_dsdt_aml_code[];
extern const unsigned arm_dsdt_aml_len;

/* §5.2.9 */
static uint64_t fadt(struct tables *t)
{
    enum { LEN = 276, HW_REDUCED_ACPI = 1 << 20, PSCI_COMPLIANT = 1, PSCI_USE_HVC = 2 };
    uint8_t *p = tables_begin(t, "FACP", 6, LEN);

    p[45] = 4; /* Preferred_PM_Profile: enterprise server */
    tables_put(p, 112, 4, HW_REDUCED_ACPI);
    tables_put(p, 129, 2, PSCI_COMPLIANT | PSCI_USE_HVC);
    p[131] = 4; /* minor version */
    tables_put(p, 140, 8, tables_copy(t, arm_dsdt_aml_code, arm_dsdt_aml_len));
    memcpy(p + 268, "TRIVET\0", 8);
    return tables_seal(t, p);
}

/* ---- MADT, §5.2.12 ---- */

static uint8_t *gicc(uint8_t *p, uint32_t id, uint8_t gic, uint64_t gicr)
{
    p[0] = 11, p[1] = 80;
    tables_put(p, 4, 4, id), tables_put(p, 8, 4, id);
    tables_put(p, 12, 4, 1); /* enabled */
    if (gic == 2)
        tables_put(p, 32, 8, PLAT_GICC);
    else
        tables_put(p, 60, 8, gicr + id * PLAT_GICR_STRIDE);
    tables_put(p, 68, 8, vgic_affinity(id));
    return p + 80;
}

static void madt_rest(uint8_t *p, uint8_t gic)
{
    p[0] = 12, p[1] = 24; /* GICD */
    tables_put(p, 8, 8, PLAT_GICD);
    p[20] = gic;
    p += 24;
    if (gic == 2) {
        p[0] = 13, p[1] = 24; /* MSI frame; the range is in its MSI_TYPER */
        tables_put(p, 8, 8, PLAT_V2M);
    } else {
        p[0] = 15, p[1] = 20; /* ITS 0 */
        tables_put(p, 8, 8, PLAT_ITS);
    }
}

static uint64_t madt(struct tables *t)
{
    uint8_t gic = arm_machine_of(t->vm->vcpu[0])->gic;
    uint32_t n = t->vm->nvcpus, len = TABLE_HEADER + 8 + 80 * n + 24 + (gic == 2 ? 24 : 20);
    uint8_t *p = tables_begin(t, "APIC", 5, len), *at = p + TABLE_HEADER + 8;

    for (uint32_t i = 0; i < n; i++)
        at = gicc(at, i, gic, plat_gicr(n));
    madt_rest(at, gic);
    return tables_seal(t, p);
}

/* ---- the others ---- */

static uint64_t gtdt(struct tables *t)
{
    enum { LEN = 104, ALWAYS_ON = 1 << 2 };
    static const struct {
        uint8_t at, intid;
    } timers[] = { { 48, 29 }, { 56, ARM_PPI_PTIMER }, { 64, ARM_PPI_VTIMER }, { 72, 26 } };
    uint8_t *p = tables_begin(t, "GTDT", 3, LEN);

    tables_put(p, 36, 8, UINT64_MAX); /* no memory-mapped counter */
    tables_put(p, 80, 8, UINT64_MAX);
    for (unsigned i = 0; i < ARRAY_SIZE(timers); i++) {
        tables_put(p, timers[i].at, 4, timers[i].intid);
        tables_put(p, timers[i].at + 4u, 4, ALWAYS_ON); /* level, active high */
    }
    return tables_seal(t, p);
}

static uint64_t mcfg(struct tables *t)
{
    uint8_t *p = tables_begin(t, "MCFG", 1, TABLE_HEADER + 8 + 16);

    tables_put(p, 44, 8, PLAT_ECAM); /* segment 0, buses 0 to 0 */
    return tables_seal(t, p);
}

/* Requester IDs go to the ITS as DeviceIDs, unchanged; memory accesses are coherent. */
static uint64_t iort(struct tables *t)
{
    enum { ITS_NODE = 48, ROOT_NODE = ITS_NODE + 24, MAPPING = 36, LEN = ROOT_NODE + MAPPING + 20 };
    uint8_t *p = tables_begin(t, "IORT", 0, LEN), *its = p + ITS_NODE, *root = p + ROOT_NODE,
            *map = root + MAPPING;

    tables_put(p, 36, 4, 2), tables_put(p, 40, 4, ITS_NODE);
    its[1] = 24; /* type 0, ITS group: one, number 0 */
    tables_put(its, 16, 4, 1);
    root[0] = 2, root[1] = MAPPING + 20, root[3] = 1; /* root complex, revision 1 */
    tables_put(root, 8, 4, 1), tables_put(root, 12, 4, MAPPING);
    tables_put(root, 16, 4, 1), root[23] = 3; /* cache coherent; CPM and DACS */
    root[32] = 64;                            /* memory address size limit */
    tables_put(map, 4, 4, 0xffff), tables_put(map, 12, 4, ITS_NODE);
    return tables_seal(t, p);
}

static uint64_t spcr(struct tables *t)
{
    enum { LEN = 80, TYPE_PL011 = 3, IRQ_GIC = 1 << 3 };
    uint8_t *p = tables_begin(t, "SPCR", 2, LEN);

    p[36] = TYPE_PL011;
    p[41] = 32, p[43] = 3; /* generic address: memory, 32-bit accesses */
    tables_put(p, 44, 8, PLAT_PL011);
    p[52] = IRQ_GIC;
    tables_put(p, 54, 4, INTID_PL011);
    p[58] = 7, p[60] = 1, p[62] = 3;  /* 115200 baud, 1 stop bit, ANSI */
    tables_put(p, 64, 4, UINT32_MAX); /* no PCI device */
    return tables_seal(t, p);
}

/* ---- processors: devices with the MADT's UIDs, and how they lie together ---- */

/* AML's PkgLength of what follows it, itself included; always three bytes (ACPI 6.4 §20.2.4). */
static uint8_t *aml_length(uint8_t *p, uint32_t rest)
{
    uint32_t len = rest + 3;

    p[0] = (uint8_t)(2 << 6 | (len & 15)), p[1] = (uint8_t)(len >> 4), p[2] = (uint8_t)(len >> 12);
    return p + 3;
}

/*
 * Device (Cxxx) { Name (_HID, "ACPI0007") Name (_UID, id) }: without one a processor of the MADT is
 * nobody's device (§8.4).
 */
enum { AML_NAME = 4, AML_HID = 1 + AML_NAME + 10, AML_UID = 1 + AML_NAME + 3 };
enum { AML_CPU = 2 + 3 + AML_NAME + AML_HID + AML_UID };

static uint8_t *aml_cpu(uint8_t *p, uint32_t id)
{
    static const char digits[] = "0123456789ABCDEF";

    p[0] = 0x5b, p[1] = 0x82; /* DeviceOp */
    p = aml_length(p + 2, AML_NAME + AML_HID + AML_UID);
    p[0] = 'C', p[1] = (uint8_t)digits[id >> 8 & 15], p[2] = (uint8_t)digits[id >> 4 & 15];
    p[3] = (uint8_t)digits[id & 15];
    memcpy(p + 4,
           "\x08_HID\x0d"
           "ACPI0007",
           AML_HID); /* NameOp, StringPrefix, and a NUL */
    p += AML_NAME + AML_HID;
    memcpy(p, "\x08_UID\x0b", 6); /* NameOp, WordPrefix */
    tables_put(p, 6, 2, id);
    return p + AML_UID;
}

static uint64_t ssdt(struct tables *t)
{
    uint32_t n = t->vm->nvcpus, body = 5 + n * AML_CPU;
    uint8_t *p = tables_begin(t, "SSDT", 2, TABLE_HEADER + 1 + 3 + body), *at = p + TABLE_HEADER;

    *at = 0x10; /* ScopeOp */
    at = aml_length(at + 1, body);
    memcpy(at, "\\_SB_", 5);
    at += 5;
    for (uint32_t i = 0; i < n; i++)
        at = aml_cpu(at, i);
    return tables_seal(t, p);
}

/* §5.2.30: one package of as many cores as there are vCPUs. Their caches are in CLIDR_EL1. */
static uint64_t pptt(struct tables *t)
{
    enum { NODE = 20, PACKAGE = 1 << 0, ID_VALID = 1 << 1, LEAF = 1 << 3, IDENTICAL = 1 << 4 };
    uint32_t n = t->vm->nvcpus;
    uint8_t *p = tables_begin(t, "PPTT", 2, TABLE_HEADER + NODE * (1 + n)), *at = p + TABLE_HEADER;

    at[1] = NODE;
    tables_put(at, 4, 4, PACKAGE | IDENTICAL);
    for (uint32_t i = 0; i < n; i++) {
        at += NODE;
        at[1] = NODE;
        tables_put(at, 4, 4, ID_VALID | LEAF);
        tables_put(at, 8, 4, TABLE_HEADER); /* parent: the package */
        tables_put(at, 12, 4, i);
    }
    return tables_seal(t, p);
}

uint64_t arm_acpi_build(struct tables *t)
{
    uint64_t (*const all[])(struct tables *) = { fadt, madt, gtdt, mcfg, spcr, ssdt, pptt, iort };
    unsigned n = arm_machine_of(t->vm->vcpu[0])->gic == 2 ? ARRAY_SIZE(all) - 1 : ARRAY_SIZE(all);
    uint64_t at[ARRAY_SIZE(all)];
    uint8_t *rsdp = tables_take(t, RSDP_LEN, 16);

    for (unsigned i = 0; i < n; i++)
        at[i] = all[i](t);
    return tables_root(t, rsdp, at, n);
}
