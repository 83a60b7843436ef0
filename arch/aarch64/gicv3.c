/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gicv3.c: GICv3 and v4 as the host's interrupt controller. IHI 0069 chapter 12; all interrupts are
 * non-secure group 1.
 */
#include <arch/cpu.h>
#include <arch/io.h>
#include <arch/mmu.h>

#include <hv/log.h>
#include <hv/platform.h>

#include "private.h"

#define GICD_CTLR 0x0000u
#define GICD_TYPER 0x0004u
#define GICD_IROUTER 0x6000u
#define GICR_CTLR 0x0000u
#define GICR_TYPER 0x0008u
#define GICR_WAKER 0x0014u
#define GICR_SGI_FRAME 0x10000u
/* At the same offsets in the distributor and in a redistributor's SGI frame. */
#define GIC_IGROUPR 0x0080u
#define GIC_ISENABLER 0x0100u
#define GIC_ICENABLER 0x0180u
#define GIC_ICPENDR 0x0280u
#define GIC_ISACTIVER 0x0300u
#define GIC_ICACTIVER 0x0380u
#define GIC_IPRIORITYR 0x0400u
#define GIC_ICFGR 0x0c00u

#define GICD_CTLR_ENABLE 0x13u /* ARE_NS, EnableGrp1A, EnableGrp1 (12.9.4) */
#define GICD_CTLR_RWP (1u << 31)
#define GICR_CTLR_LPIS (1u << 0)
#define GICR_CTLR_RWP (1u << 3)
#define TYPER_VLPIS (1u << 1)
#define TYPER_LAST (1u << 4)
#define WAKER_SLEEP (1u << 1)
#define WAKER_ASLEEP (1u << 2)
#define SPINS 1000000u

static volatile uint8_t *gicd;
static volatile uint8_t *gicr[PLATFORM_GICR_MAX];

static bool wait_clear(const volatile uint8_t *reg, uint32_t bits)
{
    for (uint32_t i = 0; i < SPINS; i++) {
        if (!(mmio_read32(reg) & bits))
            return true;
        cpu_relax();
    }
    return false;
}

/* Where the registers of an interrupt lie: PPIs and SGIs belong to the CPU. */
static volatile uint8_t *frame(uint32_t intid)
{
    return intid < 32 ? arm_this()->gicr + GICR_SGI_FRAME : gicd;
}

static void gicv3_settle(uint32_t intid)
{
    if (!(intid < 32 ? wait_clear(arm_this()->gicr, GICR_CTLR_RWP)
                     : wait_clear(gicd, GICD_CTLR_RWP)))
        log_warn("GIC: a register write timed out");
}

static void gicv3_set_bit(uint32_t reg, uint32_t intid)
{
    mmio_write32(frame(intid) + reg + intid / 32 * 4, 1u << intid % 32);
}

static void gicv3_quiet(volatile uint8_t *f, uint32_t first, uint32_t n)
{
    for (uint32_t i = first; i < n; i += 32) {
        mmio_write32(f + GIC_ICENABLER + i / 8, ~0u);
        mmio_write32(f + GIC_ICPENDR + i / 8, ~0u);
        mmio_write32(f + GIC_ICACTIVER + i / 8, ~0u);
        mmio_write32(f + GIC_IGROUPR + i / 8, ~0u);
    }
    for (uint32_t i = first; i < n; i += 4)
        mmio_write32(f + GIC_IPRIORITYR + i, GIC_PRIORITY * 0x01010101u);
}

static int v3_init(void)
{
    const struct platform *p = &the_platform;

    gicd = mmu_map_device(hpa(p->gic.dist), 0x10000);
    for (uint32_t i = 0; i < p->gic.ngicr; i++)
        gicr[i] = mmu_map_device(hpa(p->gic.gicr[i].base), p->gic.gicr[i].len);
    if (!gicd)
        return -ENODEV;
    mmio_write32(gicd + GICD_CTLR, 0);
    if (!wait_clear(gicd + GICD_CTLR, GICD_CTLR_RWP)) {
        log_err("the GIC's distributor does not answer");
        return -EIO;
    }
    gicv3_ops.nr_irqs = ((mmio_read32(gicd + GICD_TYPER) & 31) + 1) * 32;
    if (gicv3_ops.nr_irqs > 1020)
        gicv3_ops.nr_irqs = 1020;
    gicv3_quiet(gicd, 32, gicv3_ops.nr_irqs);
    mmio_write32(gicd + GICD_CTLR, GICD_CTLR_ENABLE);
    return wait_clear(gicd + GICD_CTLR, GICD_CTLR_RWP) ? 0 : -EIO;
}

/* In a row of redistributors, the one whose affinity this is; GICR_TYPER 12.11.37. */
static volatile uint8_t *find_in(volatile uint8_t *f, uint64_t len, uint32_t affinity)
{
    for (uint64_t o = 0; f && o + 2 * GICR_SGI_FRAME <= len;) {
        uint64_t typer = mmio_read64(f + o + GICR_TYPER);

        if (typer >> 32 == affinity)
            return f + o;
        if (typer & TYPER_LAST)
            break;
        o += the_platform.gic.gicr_stride ? the_platform.gic.gicr_stride
             : typer & TYPER_VLPIS        ? 4 * GICR_SGI_FRAME
                                          : 2 * GICR_SGI_FRAME;
    }
    return NULL;
}

static volatile uint8_t *find_redistributor(uint64_t mpidr)
{
    const struct platform *p = &the_platform;
    volatile uint8_t *found = NULL;

    for (uint32_t i = 0; i < p->gic.ngicr && !found; i++)
        found = find_in(gicr[i], p->gic.gicr[i].len, arm_hw_id(mpidr));
    for (uint32_t i = 0; i < p->ncpus && !found; i++)
        if (p->mpidr[i] == mpidr && p->gic.gicr_cpu[i])
            found = mmu_map_device(hpa(p->gic.gicr_cpu[i]), 2 * GICR_SGI_FRAME);
    return found;
}

/* The CPU interface, by system registers: 12.2. */
static int interface_on(void)
{
    write_sysreg(ICC_SRE_EL2, 0xf); /* Enable, DIB, DFB, SRE */
    isb();
    if (!(read_sysreg(ICC_SRE_EL2) & 1)) {
        log_err("the firmware keeps the GIC's system registers to itself (ICC_SRE_EL2.SRE is 0): "
                "look for a newer firmware");
        return -ENOTSUP;
    }
    write_sysreg(ICC_SRE_EL1, 7);
    write_sysreg(ICC_PMR_EL1, 0xf0);
    write_sysreg(ICC_BPR1_EL1, 0);
    write_sysreg(ICC_CTLR_EL1, 2); /* EOImode: drop and deactivate apart */
    write_sysreg(ICC_IGRPEN1_EL1, 1);
    isb();
    return 0;
}

/* ICC_SGI1R_EL1 (12.2.20) for CPU id: Aff3, Aff2, Aff1, Aff0 as percpu.hw_id has them. */
static uint64_t sgi_target(uint64_t id)
{
    return (id >> 24) << 48 | (id >> 4 & 15) << 44 | (id >> 16 & 0xff) << 32 |
           (id >> 8 & 0xff) << 16 | 1ull << (id & 15);
}

/*
 * LPIs that something before us left on: their pending table lies in memory that is given to others
 * (12.11.2: EnableLPIs may be for good).
 */
static void lpis_off(volatile uint8_t *redistributor)
{
    uint32_t ctlr = mmio_read32(redistributor + GICR_CTLR);

    if (!(ctlr & GICR_CTLR_LPIS))
        return;
    mmio_write32(redistributor + GICR_CTLR, ctlr & ~GICR_CTLR_LPIS);
    if (!wait_clear(redistributor + GICR_CTLR, GICR_CTLR_RWP) ||
        mmio_read32(redistributor + GICR_CTLR) & GICR_CTLR_LPIS)
        log_warn("CPU %u: the firmware left LPIs on, and the GIC does not turn them off: it may "
                 "write to memory in use",
                 this_cpu()->id);
}

static int v3_cpu_init(void)
{
    struct arm_cpu *c = arm_this();

    c->sgi_target = sgi_target(this_cpu()->hw_id);
    c->gicr = find_redistributor(c->mpidr);
    if (!c->gicr) {
        log_err("CPU %u has no GIC redistributor in the firmware's tables", this_cpu()->id);
        return -ENODEV;
    }
    mmio_write32(c->gicr + GICR_WAKER, mmio_read32(c->gicr + GICR_WAKER) & ~WAKER_SLEEP);
    if (!wait_clear(c->gicr + GICR_WAKER, WAKER_ASLEEP)) {
        log_err("the GIC redistributor of CPU %u does not wake up", this_cpu()->id);
        return -EIO;
    }
    lpis_off(c->gicr);
    gicv3_quiet(c->gicr + GICR_SGI_FRAME, 0, 32);
    gicv3_settle(0);
    return interface_on();
}

static uint32_t v3_ack(void)
{
    uint32_t word = (uint32_t)read_sysreg(ICC_IAR1_EL1);

    /* the acknowledge comes before the handler's accesses (4.1.2) */
    dsb_sy();
    return word;
}

static void v3_drop(uint32_t word)
{
    write_sysreg(ICC_EOIR1_EL1, word);
    isb();
}

static void v3_deactivate(uint32_t word)
{
    write_sysreg(ICC_DIR_EL1, word);
    isb();
}

static void v3_sgi(uint32_t cpu, uint32_t intid)
{
    const struct arm_cpu *c = percpus[cpu].arch;

    dsb_ishst();
    write_sysreg(ICC_SGI1R_EL1, c->sgi_target | (uint64_t)intid << 24);
    isb();
}

static void v3_enable(uint32_t intid, bool on)
{
    gicv3_set_bit(on ? GIC_ISENABLER : GIC_ICENABLER, intid);
    if (!on)
        gicv3_settle(intid);
}

static void v3_route(uint32_t intid, bool edge)
{
    uint32_t cfg = mmio_read32(gicd + GIC_ICFGR + intid / 16 * 4);

    mmio_write32(gicd + GIC_ICFGR + intid / 16 * 4,
                 (cfg & ~(2u << intid % 16 * 2)) | (edge ? 2u : 0u) << intid % 16 * 2);
    mmio_write64(gicd + GICD_IROUTER + intid * 8ull, ((struct arm_cpu *)percpus[0].arch)->mpidr);
}

static void v3_set_active(uint32_t intid, bool on)
{
    gicv3_set_bit(on ? GIC_ISACTIVER : GIC_ICACTIVER, intid);
}

struct gic_ops gicv3_ops = {
    .name = "GICv3",
    .init = v3_init,
    .cpu_init = v3_cpu_init,
    .ack = v3_ack,
    .drop = v3_drop,
    .deactivate = v3_deactivate,
    .sgi = v3_sgi,
    .enable = v3_enable,
    .route = v3_route,
    .set_active = v3_set_active,
    .intid_mask = 0xffffff,
};
