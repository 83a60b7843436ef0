/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GICv3 (IHI 0069) by its system registers and GICv2 (IHI 0048) by its pages, as one; all
 * interrupts in group 1 of GICv3.
 */
#include "guest.h"

static irq_fn handlers[IRQS];
static bool split[MAX_CPUS];

static bool v3(void) { return boot.gic_version == 3; }

static void wait_rwp(uint64_t ctlr, uint32_t bit)
{
    for (unsigned n = 0; n < 1000000 && (mmio_r32(ctlr) & bit); n++)
        cpu_pause();
}

/*
 * The redistributor whose TYPER holds this CPU's affinity (12.11.35): frames of 128 KiB, or 256 KiB
 * with virtual LPIs.
 */
static uint64_t find_redist(uint64_t mpidr)
{
    uint32_t aff = (uint32_t)((mpidr & 0xffffff) | (mpidr >> 8 & 0xff000000));
    for (uint64_t r = boot.gicr; r < boot.gicr + boot.gicr_size;) {
        uint64_t t = mmio_r64(r + GICR_TYPER);
        if (t >> 32 == aff)
            return r;
        if (t & 0x10)
            break;
        r += t & 2 ? 0x40000 : 0x20000;
    }
    fail("gic", "no redistributor for %lx", mpidr);
    done();
}

static void init_redist(struct cpu *c)
{
    c->redist = find_redist(c->mpidr);
    mmio_w32(c->redist + GICR_WAKER, mmio_r32(c->redist + GICR_WAKER) & ~2u);
    wait_rwp(c->redist + GICR_WAKER, 4);
    uint64_t s = c->redist + GICR_SGI;
    mmio_w32(s + GICD_IGROUPR, 0xffffffff);
    mmio_w32(s + GICD_ICENABLER, 0xffffffff);
    mmio_w32(s + GICD_ICPENDR, 0xffffffff);
    mmio_w32(s + GICD_ICACTIVER, 0xffffffff);
    for (unsigned i = 0; i < 8; i++)
        mmio_w32(s + GICD_IPRIORITYR + i * 4, PRIO_DEFAULT * 0x01010101u);
    wait_rwp(c->redist + GICR_CTLR, 8);
}

void gic_init_cpu(void)
{
    struct cpu *c = this_cpu();
    if (!v3()) {
        for (unsigned i = 0; i < 8; i++)
            mmio_w32(boot.gicd + GICD_IPRIORITYR + i * 4, PRIO_DEFAULT * 0x01010101u);
        mmio_w32(boot.gicd + GICD_ISENABLER, 0xffff); /* SGIs */
        mmio_w32(boot.gicc + GICC_PMR, 0xff);
        mmio_w32(boot.gicc + GICC_BPR, 0);
        mmio_w32(boot.gicc + GICC_CTLR, 1);
        return;
    }
    init_redist(c);
    write_reg(ICC_SRE, read_reg(ICC_SRE) | 1);
    write_reg(ICC_PMR, 0xff);
    write_reg(ICC_BPR1, 0);
    write_reg(ICC_CTLR, 0);
    write_reg(ICC_IGRPEN1, 1);
    mmio_w32(c->redist + GICR_SGI + GICD_ISENABLER, 0xffff);
}

void gic_init(void)
{
    static bool did;
    if (did)
        return;
    did = true;
    mmio_w32(boot.gicd + GICD_CTLR, 0);
    for (unsigned i = 32; i < gic_spis(); i += 32) {
        mmio_w32(boot.gicd + GICD_ICENABLER + i / 8, 0xffffffff);
        mmio_w32(boot.gicd + GICD_ICPENDR + i / 8, 0xffffffff);
        if (v3())
            mmio_w32(boot.gicd + GICD_IGROUPR + i / 8, 0xffffffff);
    }
    for (unsigned i = 32; i < gic_spis(); i += 4)
        mmio_w32(boot.gicd + GICD_IPRIORITYR + i, PRIO_DEFAULT * 0x01010101u);
    if (v3())
        wait_rwp(boot.gicd + GICD_CTLR, 1u << 31);
    mmio_w32(boot.gicd + GICD_CTLR, v3() ? 0x12 : 1);
    gic_init_cpu();
}

unsigned gic_spis(void)
{
    unsigned n = ((mmio_r32(boot.gicd + GICD_TYPER) & 31) + 1) * 32;
    return n > 1020 ? 1020 : n;
}

static uint64_t bank(uint32_t intid)
{
    return v3() && intid < 32 ? this_cpu()->redist + GICR_SGI : boot.gicd;
}
void gic_set(unsigned reg, uint32_t intid)
{
    mmio_w32(bank(intid) + reg + intid / 32 * 4, 1u << intid % 32);
}
bool gic_get(unsigned reg, uint32_t intid)
{
    return mmio_r32(bank(intid) + reg + intid / 32 * 4) >> intid % 32 & 1;
}
void gic_enable(uint32_t intid) { gic_set(GICD_ISENABLER, intid); }
void gic_disable(uint32_t intid) { gic_set(GICD_ICENABLER, intid); }
void gic_priority(uint32_t intid, uint8_t prio)
{
    mmio_w8(bank(intid) + GICD_IPRIORITYR + intid, prio);
}
uint8_t gic_get_priority(uint32_t intid) { return mmio_r8(bank(intid) + GICD_IPRIORITYR + intid); }

void gic_edge(uint32_t intid, bool edge)
{
    uint64_t r = bank(intid) + GICD_ICFGR + intid / 16 * 4;
    uint32_t bit = 2u << intid % 16 * 2;
    mmio_w32(r, edge ? mmio_r32(r) | bit : mmio_r32(r) & ~bit);
}

void gic_route(uint32_t intid, unsigned cpu)
{
    if (v3())
        mmio_w64(boot.gicd + GICD_IROUTER + intid * 8, cpus[cpu].mpidr);
    else
        mmio_w8(boot.gicd + GICD_ITARGETSR + intid, (uint8_t)(1u << cpu));
}

void gic_mask(uint8_t prio)
{
    if (v3())
        write_reg(ICC_PMR, prio);
    else
        mmio_w32(boot.gicc + GICC_PMR, prio);
}

uint32_t gic_ack(void)
{
    return v3() ? (uint32_t)read_reg(ICC_IAR1) : mmio_r32(boot.gicc + GICC_IAR);
}

uint32_t gic_highest(void)
{
    return v3() ? (uint32_t)read_reg(ICC_HPPIR1) : mmio_r32(boot.gicc + GICC_HPPIR) & 0x3ff;
}

void gic_eoi(uint32_t iar)
{
    if (v3())
        write_reg(ICC_EOIR1, iar);
    else
        mmio_w32(boot.gicc + GICC_EOIR, iar);
}

void gic_dir(uint32_t iar)
{
    if (v3())
        write_reg(ICC_DIR, iar);
    else
        mmio_w32(boot.gicc + GICC_DIR, iar);
}

void gic_eoimode(bool on)
{
    split[this_cpu()->index] = on;
    if (v3())
        write_reg(ICC_CTLR, on ? 2 : 0);
    else
        mmio_w32(boot.gicc + GICC_CTLR, on ? 0x201 : 1);
}

void gic_sgi(unsigned cpu, unsigned id)
{
    uint64_t m = cpus[cpu].mpidr;
    dsb();
    if (!v3())
        mmio_w32(boot.gicd + GICD_SGIR, 1u << (16 + cpu) | id);
    else
        write_reg(ICC_SGI1R, (m >> 32 & 0xff) << 48 | (m >> 4 & 15) << 44 | (m >> 16 & 0xff) << 32 |
                                 (uint64_t)id << 24 | (m >> 8 & 0xff) << 16 | 1u << (m & 15));
}

void gic_sgi_others(unsigned id)
{
    dsb();
    if (v3())
        write_reg(ICC_SGI1R, 1ull << 40 | (uint64_t)id << 24);
    else
        mmio_w32(boot.gicd + GICD_SGIR, 1u << 24 | id);
}

unsigned irq_index(uint32_t intid)
{
    return intid < 1024 ? intid : 1024 + (intid - LPI_FIRST) % 256;
}

void irq_handle(uint32_t intid, irq_fn fn) { handlers[irq_index(intid)] = fn; }

uint32_t irq_count(unsigned cpu, uint32_t intid) { return cpus[cpu].irqs[irq_index(intid)]; }

void gic_trap(struct frame *f)
{
    struct cpu *c = this_cpu();
    uint32_t iar = gic_ack(), intid = v3() ? iar & 0xffffff : iar & 0x3ff;
    (void)f;
    if (intid >= 1020 && intid < 1024) {
        c->spurious++;
        return;
    }
    c->irqs[irq_index(intid)]++;
    if (handlers[irq_index(intid)])
        handlers[irq_index(intid)](intid);
    gic_eoi(iar);
    if (split[c->index])
        gic_dir(iar);
}
