/* SPDX-License-Identifier: BSD-2-Clause */
/* gicv2.c: GICv2 as the host's interrupt controller. IHI 0048 chapter 4, in the non-secure view. */
#include <arch/io.h>
#include <arch/mmu.h>

#include <hv/log.h>
#include <hv/platform.h>

#include "private.h"

#define GICD_CTLR 0x000u
#define GICD_TYPER 0x004u
#define GICD_ISENABLER 0x100u
#define GICD_ICENABLER 0x180u
#define GICD_ICPENDR 0x280u
#define GICD_ISACTIVER 0x300u
#define GICD_ICACTIVER 0x380u
#define GICD_IPRIORITYR 0x400u
#define GICD_ITARGETSR 0x800u
#define GICD_ICFGR 0xc00u
#define GICD_SGIR 0xf00u
#define GICC_CTLR 0x000u
#define GICC_PMR 0x004u
#define GICC_BPR 0x008u
#define GICC_IAR 0x00cu
#define GICC_EOIR 0x010u
#define GICC_DIR 0x1000u
#define GICC_CTLR_ON 0x201u /* EOImode, enable */

static volatile uint8_t *gicd, *gicc;

static void gicv2_set_bit(uint32_t reg, uint32_t intid)
{
    mmio_write32(gicd + reg + intid / 32 * 4, 1u << intid % 32);
}

/* The first 32 are the CPU's own: the registers are banked. */
static void gicv2_quiet(uint32_t first, uint32_t n)
{
    for (uint32_t i = first; i < n; i += 32) {
        mmio_write32(gicd + GICD_ICENABLER + i / 8, ~0u);
        mmio_write32(gicd + GICD_ICPENDR + i / 8, ~0u);
        mmio_write32(gicd + GICD_ICACTIVER + i / 8, ~0u);
    }
    for (uint32_t i = first; i < n; i += 4)
        mmio_write32(gicd + GICD_IPRIORITYR + i, GIC_PRIORITY * 0x01010101u);
}

static int v2_init(void)
{
    gicd = mmu_map_device(hpa(the_platform.gic.dist), 0x1000);
    gicc = mmu_map_device(hpa(the_platform.gic.gicc), 0x2000);
    if (!gicd || !gicc || !the_platform.gic.gicc) {
        log_err("the firmware's tables do not say where the GICv2's CPU interface is");
        return -ENODEV;
    }
    mmio_write32(gicd + GICD_CTLR, 0);
    gicv2_ops.nr_irqs = ((mmio_read32(gicd + GICD_TYPER) & 31) + 1) * 32;
    if (gicv2_ops.nr_irqs > 1020)
        gicv2_ops.nr_irqs = 1020;
    gicv2_quiet(32, gicv2_ops.nr_irqs);
    mmio_write32(gicd + GICD_CTLR, 1);
    return 0;
}

/* Which CPU interface is ours: a banked target register reads as this CPU's bit (4.3.12). */
static uint8_t own_mask(void)
{
    uint32_t all = 0;

    for (uint32_t i = 0; i < 32; i += 4)
        all |= mmio_read32(gicd + GICD_ITARGETSR + i);
    all |= all >> 16;
    return (uint8_t)(all | all >> 8);
}

static int v2_cpu_init(void)
{
    struct arm_cpu *c = arm_this();

    c->gicv2_mask = own_mask();
    if (!c->gicv2_mask) /* one CPU: the registers are not there */
        c->gicv2_mask = 1;
    gicv2_quiet(0, 32);
    mmio_write32(gicc + GICC_PMR, 0xf0);
    mmio_write32(gicc + GICC_BPR, 0);
    mmio_write32(gicc + GICC_CTLR, GICC_CTLR_ON);
    return 0;
}

static uint32_t v2_ack(void)
{
    uint32_t word = mmio_read32(gicc + GICC_IAR);

    dsb_sy();
    return word;
}

static void v2_drop(uint32_t word) { mmio_write32(gicc + GICC_EOIR, word); }

static void v2_deactivate(uint32_t word) { mmio_write32(gicc + GICC_DIR, word); }

static void v2_sgi(uint32_t cpu, uint32_t intid)
{
    dsb_ishst();
    mmio_write32(gicd + GICD_SGIR,
                 (uint32_t)((struct arm_cpu *)percpus[cpu].arch)->gicv2_mask << 16 | intid);
}

static void v2_enable(uint32_t intid, bool on)
{
    gicv2_set_bit(on ? GICD_ISENABLER : GICD_ICENABLER, intid);
}

static void v2_route(uint32_t intid, bool edge)
{
    uint32_t cfg = mmio_read32(gicd + GICD_ICFGR + intid / 16 * 4);

    mmio_write32(gicd + GICD_ICFGR + intid / 16 * 4,
                 (cfg & ~(2u << intid % 16 * 2)) | (edge ? 2u : 0u) << intid % 16 * 2);
    mmio_write8(gicd + GICD_ITARGETSR + intid, ((struct arm_cpu *)percpus[0].arch)->gicv2_mask);
}

static void v2_set_active(uint32_t intid, bool on)
{
    gicv2_set_bit(on ? GICD_ISACTIVER : GICD_ICACTIVER, intid);
}

struct gic_ops gicv2_ops = {
    .name = "GICv2",
    .init = v2_init,
    .cpu_init = v2_cpu_init,
    .ack = v2_ack,
    .drop = v2_drop,
    .deactivate = v2_deactivate,
    .sgi = v2_sgi,
    .enable = v2_enable,
    .route = v2_route,
    .set_active = v2_set_active,
    .intid_mask = 0x3ff,
};
