/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * acpi_arm.c: an ARM64 machine from ACPI 6.5: MADT (section 5.2.12.14 to 18), GTDT (5.2.25), FADT
 * (5.2.9.4), MCFG; SPCR (revision 1.10) and DBG2 (revision 1.1) for the console.
 */
#include <hv/assert.h>
#include <hv/platform.h>
#include <string.h>

#include "acpi_private.h"

enum { MADT_GICC = 0xb, MADT_GICD = 0xc, MADT_GICR = 0xe, MADT_ITS = 0xf };
#define GICC_ENABLED 1u
#define MPIDR_AFFINITY 0xff00ffffffull
#define ARM_PSCI_COMPLIANT 1u
#define ARM_PSCI_USE_HVC 2u
#define DBG2_SERIAL 0x8000u
#define IRQ_GIC 8u /* SPCR interrupt type: GSIV */

/*
 * The older and shorter forms of a GICC structure lack the redistributor's address, which then
 * reads as 0.
 */
static void on_gicc(struct platform *out, struct bytes e)
{
    uint64_t mpidr = acpi_get(e, 68, 8) & MPIDR_AFFINITY;

    if (e.len < 76 || !(acpi_get(e, 12, 4) & GICC_ENABLED))
        return;
    for (uint32_t i = 0; i < out->ncpus; i++)
        if (out->mpidr[i] == mpidr)
            return;
    if (out->ncpus == PLATFORM_CPUS_MAX) {
        out->cpus_dropped++;
        return;
    }
    if (out->ncpus == 0) { /* the same for all CPUs on a machine that works */
        out->gic.gicc = acpi_get(e, 32, 8);
        out->gic.gicv = acpi_get(e, 40, 8);
        out->gic.gich = acpi_get(e, 48, 8);
        out->gic.maintenance = (uint32_t)acpi_get(e, 56, 4);
    }
    out->mpidr[out->ncpus] = mpidr;
    out->gic.gicr_cpu[out->ncpus++] = acpi_get(e, 60, 8);
}

static void on_gicd(struct platform *out, struct bytes e)
{
    if (e.len < 24 || out->gic.dist)
        return;
    out->gic.dist = acpi_get(e, 8, 8);
    out->gic.version = (uint8_t)acpi_get(e, 20, 1);
}

static void on_gicr(struct platform *out, struct bytes e)
{
    struct platform_range r = { acpi_get(e, 4, 8), acpi_get(e, 12, 4) };

    if (e.len >= 16 && r.base && r.len && r.base + r.len > r.base &&
        out->gic.ngicr < PLATFORM_GICR_MAX)
        out->gic.gicr[out->gic.ngicr++] = r;
}

static void acpi_arm_on_its(struct platform *out, struct bytes e)
{
    uint32_t n = out->gic.nits;

    if (e.len < 20 || !acpi_get(e, 8, 8) || n == PLATFORM_ITS_MAX)
        return;
    out->gic.its[n] = acpi_get(e, 8, 8);
    out->gic.its_id[n] = (uint32_t)acpi_get(e, 4, 4);
    out->gic.nits = n + 1;
}

static void (*const on_entry[])(struct platform *, struct bytes) = {
    [MADT_GICC] = on_gicc,
    [MADT_GICD] = on_gicd,
    [MADT_GICR] = on_gicr,
    [MADT_ITS] = acpi_arm_on_its,
};

/*
 * Version 0 means "ask the hardware", which nobody can before the version is known: redistributors
 * tell it.
 */
static void settle_version(struct platform *out)
{
    uint8_t v = out->gic.version;

    if (v == 0)
        v = out->gic.ngicr || (out->ncpus && out->gic.gicr_cpu[0]) ? 3 : 2;
    out->gic.version = v >= 3 ? 3 : 2;
}

static void parse_madt(struct platform *out, struct bytes b)
{
    struct bytes e;

    for (uint32_t off = 44; acpi_madt_entry(b, &off, &e);)
        if (e.p[0] < ARRAY_SIZE(on_entry) && on_entry[e.p[0]])
            on_entry[e.p[0]](out, e);
    settle_version(out);
}

static void parse_gtdt(struct platform *out, struct bytes b)
{
    out->timer.phys = (uint32_t)acpi_get(b, 56, 4);
    out->timer.virt = (uint32_t)acpi_get(b, 64, 4);
    out->timer.hyp = (uint32_t)acpi_get(b, 72, 4);
    out->timer.hyp_virt = b.len >= 104 ? (uint32_t)acpi_get(b, 96, 4) : 0;
}

static void parse_fadt(struct platform *out, struct bytes b)
{
    uint32_t flags = (uint32_t)acpi_get(b, 129, 2);

    if (flags & ARM_PSCI_COMPLIANT)
        out->psci = flags & ARM_PSCI_USE_HVC ? PSCI_HVC : PSCI_SMC;
}

static void parse_mcfg(struct platform *out, struct bytes b)
{
    static struct acpi_info info; /* boot CPU only */

    info.nmcfg = 0;
    acpi_parse_mcfg(&info, b);
    static_assert(ACPI_MCFG_MAX <= PLATFORM_ECAM_MAX, "windows");
    out->necam = info.nmcfg;
    for (uint32_t i = 0; i < info.nmcfg; i++)
        out->ecam[i] = (struct platform_ecam){ .base = info.mcfg[i].base,
                                               .segment = info.mcfg[i].segment,
                                               .bus_first = info.mcfg[i].bus_first,
                                               .bus_last = info.mcfg[i].bus_last };
}

/* DBG2 table 3 and SPCR use the same numbers. */
static enum platform_uart uart_kind(uint32_t subtype)
{
    static const uint8_t kinds[] = {
        [0x00] = UART_16550, [0x01] = UART_16550, [0x03] = UART_PL011,
        [0x0d] = UART_SBSA,  [0x0e] = UART_SBSA,  [0x12] = UART_16550
    };

    return subtype < ARRAY_SIZE(kinds) ? (enum platform_uart)kinds[subtype] : UART_NONE;
}

static void acpi_arm_set_uart(struct platform *out, uint32_t subtype, struct acpi_gas reg)
{
    enum platform_uart kind = uart_kind(subtype);

    if (out->uart.kind != UART_NONE || kind == UART_NONE || reg.space != ACPI_MEMORY || !reg.addr)
        return;
    out->uart = (struct platform_serial){ .kind = kind,
                                          .base = reg.addr,
                                          .reg_shift = reg.bits == 32 ? 2 : 0 };
}

static void parse_spcr(struct platform *out, struct bytes b)
{
    if (b.len < 76)
        return;
    acpi_arm_set_uart(out, b.p[36], acpi_gas_at(b, 40));
    if (out->uart.kind != UART_NONE && b.p[52] & IRQ_GIC)
        out->uart.intid = (uint32_t)acpi_get(b, 54, 4);
}

/* Where there is no SPCR, the debug port; it tells no interrupt, so that it is polled. */
static void parse_dbg2(struct platform *out, struct bytes b)
{
    uint32_t off = (uint32_t)acpi_get(b, 36, 4), n = (uint32_t)acpi_get(b, 40, 4);

    for (; n && off + 22ull <= b.len; n--) {
        uint32_t len = (uint32_t)acpi_get(b, off + 1, 2), at = (uint32_t)acpi_get(b, off + 18, 2);

        if (len < 22 || len > b.len - off)
            break;
        if (acpi_get(b, off + 12, 2) == DBG2_SERIAL && b.p[off + 3] && at + 12 <= len)
            acpi_arm_set_uart(out, (uint32_t)acpi_get(b, off + 14, 2), acpi_gas_at(b, off + at));
        off += len;
    }
}

static const struct {
    char sig[5];
    void (*parse)(struct platform *, struct bytes);
} parsers[] = {
    { "APIC", parse_madt }, { "GTDT", parse_gtdt }, { "FACP", parse_fadt }, { "MCFG", parse_mcfg },
    { "SPCR", parse_spcr }, { "DBG2", parse_dbg2 }, { "IORT", iort_parse },
};

bool acpi_parse_platform(struct platform *out, uint64_t rsdp, acpi_map_fn map)
{
    hv_assert(out && map);
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < ARRAY_SIZE(parsers); i++) {
        const struct acpi_header *h = acpi_find(rsdp, map, parsers[i].sig, 0);

        if (h)
            parsers[i].parse(out, acpi_bytes(h));
        if (i == 0 && !out->ncpus) /* no MADT, or that of an x86 machine */
            break;
    }
    if (!out->ncpus) {
        memset(out, 0, sizeof *out);
        return false;
    }
    out->source = PLATFORM_ACPI;
    return true;
}
