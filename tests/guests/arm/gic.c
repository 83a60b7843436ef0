/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gic: the interrupt controller as software finds it: SGIs, a PPI, SPIs made pending by software,
 * priorities, masking, preemption, active state, both EOI modes, routing, LPIs through the ITS and
 * its commands; GICv2 as far as it has these. Options: emulator.
 */
#include "lib/guest.h"

#define SPI 60
#define SGI 3

static unsigned ncpus;
static volatile uint32_t order[32];
static volatile unsigned norder;

static void check(const char *name, bool ok, uint64_t got)
{
    if (ok)
        pass(name);
    else
        fail(name, "%lx", got);
}

static void note(uint32_t intid)
{
    if (norder < 32)
        order[norder] = intid;
    norder++;
}

static void window(void)
{
    irqs_on();
    delay_us(200);
    irqs_off();
}

/* Another CPU may have to wait for its turn. */
static uint32_t wait_more(unsigned cpu, uint32_t intid, uint32_t before)
{
    window();
    for (struct patience p = patience(2000000);
         irq_count(cpu, intid) == before && patience_left(&p);)
        cpu_pause();
    delay_us(1000);
    return irq_count(cpu, intid) - before;
}

static void prepare(uint32_t intid, uint8_t prio)
{
    irq_handle(intid, note);
    gic_priority(intid, prio);
    if (intid >= 32) {
        gic_edge(intid, true);
        gic_route(intid, 0);
    }
    gic_enable(intid);
    norder = 0;
}

/* ---- identification ---- */
static void identity(void)
{
    uint32_t typer = mmio_r32(boot.gicd + GICD_TYPER),
             pidr2 = mmio_r32(boot.gicd + (boot.gic_version == 3 ? GICD_PIDR2 : 0xfe8));
    print("GICv%u: TYPER %x, IIDR %x, PIDR2 %x, %u INTIDs\n", boot.gic_version, typer,
          mmio_r32(boot.gicd + GICD_IIDR), pidr2, gic_spis());
    check("gic architecture version", (pidr2 >> 4 & 15) == boot.gic_version, pidr2);
    check("gic has SPIs", gic_spis() >= 64, gic_spis());
    if (boot.gic_version != 3)
        return;
    check("gic affinity routing is on", mmio_r32(boot.gicd + GICD_CTLR) & 0x10,
          mmio_r32(boot.gicd + GICD_CTLR));
    unsigned n = 0, last = 0;
    for (uint64_t r = boot.gicr; r < boot.gicr + boot.gicr_size && !last; n++) {
        uint64_t t = mmio_r64(r + GICR_TYPER);
        last = t >> 4 & 1;
        r += t & 2 ? 0x40000 : 0x20000;
    }
    check("gic redistributors", n == boot.ncpus && last, n);
    print("ICC_CTLR %lx, RPR %lx, BPR1 %lx\n", read_reg(ICC_CTLR), read_reg(ICC_RPR),
          read_reg(ICC_BPR1));
    check("gic idle priority", read_reg(ICC_RPR) == 0xff, read_reg(ICC_RPR));
}

/* QEMU alone keeps a pending bit of GICv2 per target, and none for a PPI. */
static bool no_v2(void) { return cmdline_has("emulator") && boot.gic_version == 2; }

/* ---- registers read back ---- */
static void registers(void)
{
    unsigned bad = failures;
    for (unsigned i = 0; i < 2; i++) {
        uint32_t id = i ? SPI : 20;
        if (i)
            gic_route(id, 0);
        gic_disable(id);
        if (gic_get(GICD_ISENABLER, id))
            fail("gic registers", "%u enabled", id);
        gic_enable(id);
        if (!gic_get(GICD_ISENABLER, id) || !gic_get(GICD_ICENABLER, id))
            fail("gic registers", "%u not enabled", id);
        gic_disable(id);
        for (unsigned p = 0; p < 256; p += 16) {
            gic_priority(id, (uint8_t)p);
            if ((gic_get_priority(id) ^ p) & 0xf0)
                fail("gic registers", "%u priority %x, not %x", id, gic_get_priority(id), p);
        }
        gic_set(GICD_ISPENDR, id);
        if ((!gic_get(GICD_ISPENDR, id) || !gic_get(GICD_ICPENDR, id)) && !(no_v2() && id < 32))
            fail("gic registers", "%u not pending", id);
        gic_set(GICD_ICPENDR, id);
        if (gic_get(GICD_ISPENDR, id))
            fail("gic registers", "%u pending", id);
        gic_set(GICD_ISACTIVER, id);
        if (!gic_get(GICD_ISACTIVER, id))
            fail("gic registers", "%u not active", id);
        gic_set(GICD_ICACTIVER, id);
        if (gic_get(GICD_ISACTIVER, id))
            fail("gic registers", "%u active", id);
        gic_priority(id, PRIO_DEFAULT);
    }
    gic_edge(SPI, true);
    if (!(mmio_r32(boot.gicd + GICD_ICFGR + SPI / 16 * 4) >> (SPI % 16 * 2 + 1) & 1))
        fail("gic registers", "SPI %u is not edge", SPI);
    if (boot.gic_version == 3) {
        mmio_w64(boot.gicd + GICD_IROUTER + SPI * 8, 1ull << 31);
        if (mmio_r64(boot.gicd + GICD_IROUTER + SPI * 8) != 1ull << 31)
            fail("gic registers", "IROUTER: %lx", mmio_r64(boot.gicd + GICD_IROUTER + SPI * 8));
        gic_route(SPI, 0);
        if (mmio_r64(boot.gicd + GICD_IROUTER + SPI * 8) != cpus[0].mpidr ||
            mmio_r32(boot.gicd + GICD_IROUTER + SPI * 8) != (uint32_t)cpus[0].mpidr)
            fail("gic registers", "IROUTER: %lx", mmio_r64(boot.gicd + GICD_IROUTER + SPI * 8));
    }
    if (bad == failures)
        pass("gic registers");
}

/* ---- one interrupt of each kind ---- */
static void kinds(void)
{
    static const uint32_t ids[] = { SGI, 20, SPI };
    for (unsigned i = 0; i < 3; i++) {
        prepare(ids[i], PRIO_DEFAULT);
        if (ids[i] == SGI)
            gic_sgi(0, SGI);
        else
            gic_set(GICD_ISPENDR, ids[i]);
        window();
        bool once = (norder == 1 && order[0] == ids[i]) || (no_v2() && ids[i] == 20);
        check(i == 0   ? "gic SGI"
              : i == 1 ? "gic PPI by software"
                       : "gic SPI by software",
              once, norder);
        if (gic_get(GICD_ISPENDR, ids[i]) || gic_get(GICD_ISACTIVER, ids[i]))
            fail("gic", "%u is pending or active afterwards", ids[i]);
    }
    prepare(SPI, PRIO_DEFAULT);
    gic_disable(SPI);
    gic_set(GICD_ISPENDR, SPI);
    window();
    unsigned off = norder;
    gic_enable(SPI);
    window();
    check("gic disabled, then enabled", off == 0 && norder == 1, norder);
    prepare(SPI, PRIO_DEFAULT);
    gic_disable(SPI);
    gic_set(GICD_ISPENDR, SPI);
    gic_set(GICD_ICPENDR, SPI);
    gic_enable(SPI);
    window();
    check("gic pending taken back", norder == 0, norder);
    uint32_t ctlr = mmio_r32(boot.gicd + GICD_CTLR);
    prepare(SPI, PRIO_DEFAULT);
    mmio_w32(boot.gicd + GICD_CTLR, ctlr & ~3u);
    gic_set(GICD_ISPENDR, SPI);
    window();
    off = norder;
    mmio_w32(boot.gicd + GICD_CTLR, ctlr);
    window();
    check("gic distributor off and on", off == 0 && norder == 1, norder);
}

/* ---- priorities ---- */
static void priorities(void)
{
    for (unsigned i = 0; i < 4; i++)
        prepare(SPI + i, (uint8_t)(0xc0 - i * 0x20));
    for (unsigned i = 0; i < 4; i++)
        gic_set(GICD_ISPENDR, SPI + i);
    check("gic highest pending", gic_highest() == SPI + 3, gic_highest());
    window();
    check("gic order of priority",
          norder == 4 && order[0] == SPI + 3 && order[1] == SPI + 2 && order[2] == SPI + 1 &&
              order[3] == SPI,
          norder);
    norder = 0;
    gic_mask(0x90);
    for (unsigned i = 0; i < 4; i++)
        gic_set(GICD_ISPENDR, SPI + i);
    window();
    unsigned masked = norder;
    gic_mask(0xff);
    window();
    check("gic priority mask", masked == 2 && norder == 4, masked);
    norder = 0;
    for (unsigned i = 0; i < 4; i++) {
        gic_priority(SPI + i, PRIO_DEFAULT);
        gic_set(GICD_ISPENDR, SPI + 3 - i);
    }
    window();
    check("gic many at one priority", norder == 4, norder);
}

static void preempting(uint32_t intid)
{
    note(intid);
    gic_set(GICD_ISPENDR, SPI + 1); /* higher: comes in between */
    gic_set(GICD_ISPENDR, SPI + 2); /* lower: waits */
    dsb();
    uint64_t elr = read_reg(elr_el1), spsr = read_reg(spsr_el1);
    irqs_on();
    delay_us(200);
    irqs_off();
    write_reg(elr_el1, elr);
    write_reg(spsr_el1, spsr);
    note(0);
}

static void preemption(void)
{
    prepare(SPI + 1, 0x40);
    prepare(SPI + 2, 0xc0);
    prepare(SPI, 0x80);
    irq_handle(SPI, preempting);
    gic_set(GICD_ISPENDR, SPI);
    window();
    check("gic preemption",
          norder == 4 && order[0] == SPI && order[1] == SPI + 1 && order[2] == 0 &&
              order[3] == SPI + 2,
          norder);
}

/* Pending again while active: once more after the end, not before. */
static void again(uint32_t intid)
{
    note(intid);
    if (norder == 1) {
        gic_set(GICD_ISPENDR, SPI);
        if (!gic_get(GICD_ISACTIVER, SPI) || !gic_get(GICD_ISPENDR, SPI))
            norder = 100;
    }
}

static void active(void)
{
    prepare(SPI, PRIO_DEFAULT);
    irq_handle(SPI, again);
    gic_set(GICD_ISPENDR, SPI);
    window();
    check("gic active and pending", norder == 2, norder);
    irq_handle(SPI, note);
    gic_eoimode(true);
    norder = 0;
    gic_set(GICD_ISPENDR, SPI);
    window();
    check("gic EOI mode 1", norder == 1 && !gic_get(GICD_ISACTIVER, SPI), norder);
    uint32_t iar;
    gic_set(GICD_ISPENDR, SPI);
    iar = gic_ack();
    gic_eoi(iar);
    bool still = gic_get(GICD_ISACTIVER, SPI);
    gic_set(GICD_ISPENDR, SPI);
    uint32_t second = gic_highest();
    gic_dir(iar);
    uint32_t third = gic_ack();
    gic_eoi(third);
    gic_dir(third);
    gic_eoimode(false);
    check("gic priority drop without deactivation",
          (iar & 0x3ff) == SPI && still && second != SPI && (third & 0x3ff) == SPI, second);
    check("gic nothing pending: spurious", (gic_ack() & 0x3ff) == 1023, 0);
    norder = 0;
    prepare(SPI, PRIO_DEFAULT);
    gic_set(GICD_ISACTIVER, SPI);
    gic_set(GICD_ISPENDR, SPI);
    window();
    unsigned held = norder;
    gic_set(GICD_ICACTIVER, SPI);
    window();
    check("gic made active by software", held == 0 && norder == 1, held);
}

/* ---- many at once: more than there are list registers ---- */
static void many(void)
{
    unsigned n = gic_spis() - 32 > 28 ? 28 : gic_spis() - 32;
    for (unsigned i = 0; i < n; i++) {
        prepare(SPI - 28 + i, PRIO_DEFAULT);
        irq_handle(SPI - 28 + i, NULL);
    }
    uint32_t before = 0, after = 0;
    for (unsigned i = 0; i < n; i++)
        before += irq_count(0, SPI - 28 + i);
    for (unsigned k = 0; k < 20; k++) {
        for (unsigned i = 0; i < n; i++)
            gic_set(GICD_ISPENDR, SPI - 28 + i);
        window();
    }
    for (unsigned i = 0; i < n; i++) {
        after += irq_count(0, SPI - 28 + i);
        gic_disable(SPI - 28 + i);
    }
    check("gic many at once", after - before == n * 20, after - before);
}

/*
 * Each more urgent than the one before, made pending from the least on: they come the other way
 * round.
 */
static void many_priorities(void)
{
    unsigned n = gic_spis() - 32 > 24 ? 24 : gic_spis() - 32;
    for (unsigned i = 0; i < n; i++)
        prepare(SPI - 28 + i, (uint8_t)(0xf0 - i * 8));
    for (unsigned i = 0; i < n; i++)
        gic_set(GICD_ISPENDR, SPI - 28 + i);
    irqs_on();
    for (uint64_t t = ticks(); norder < n && ticks() - t < ticks_hz;)
        cpu_pause();
    irqs_off();
    unsigned wrong = norder != n;
    for (unsigned i = 0; i + 1 < n; i++)
        wrong += gic_get_priority(order[i]) > gic_get_priority(order[i + 1]);
    for (unsigned i = 0; i < n; i++)
        gic_disable(SPI - 28 + i);
    check("gic many priorities in order", !wrong, wrong);
}

/* ---- other CPUs ---- */
static void routing(void)
{
    unsigned bad = failures;
    for (unsigned i = 0; i < ncpus; i++) {
        prepare(SPI, PRIO_DEFAULT);
        gic_route(SPI, i);
        uint32_t before = irq_count(i, SPI);
        gic_set(GICD_ISPENDR, SPI);
        uint32_t n = wait_more(i, SPI, before);
        if (n != 1)
            fail("gic routing", "cpu %u got %u", i, n);
    }
    prepare(SPI, PRIO_DEFAULT);
    uint32_t before = irq_count(ncpus - 1, SPI);
    gic_set(GICD_ISPENDR, SPI); /* pending here, then routed away */
    gic_route(SPI, ncpus - 1);
    if (wait_more(ncpus - 1, SPI, before) != 1 && !no_v2())
        fail("gic routing", "pending, then routed to %u: %u", ncpus - 1, norder);
    gic_route(SPI, 0);
    if (bad == failures)
        pass("gic routing");
}

/* ---- LPIs ---- */
enum { DEV = 0x77, LPI = LPI_FIRST + 5 };
static uint32_t lpis(unsigned cpu) { return irq_count(cpu, LPI); }

static uint32_t after_int(unsigned cpu, uint64_t cmd, uint32_t event, bool expect)
{
    uint32_t before = lpis(cpu);
    its_cmd(cmd | (uint64_t)DEV << 32, event, 0, 0);
    if (!its_wait())
        fail("its", "command %lx hangs", cmd);
    if (expect)
        return wait_more(cpu, LPI, before);
    window();
    delay_us(1000);
    return lpis(cpu) - before;
}

static void inv(uint32_t event)
{
    its_cmd(ITS_INV | (uint64_t)DEV << 32, event, 0, 0);
    its_sync(0);
    its_wait();
}

static void its_pending(void)
{
    lpi_set(LPI, PRIO_DEFAULT, false);
    inv(7);
    uint32_t off = after_int(0, ITS_INT, 7, false), before = lpis(0);
    lpi_set(LPI, PRIO_DEFAULT, true);
    inv(7);
    window();
    check("its disabled, pending, enabled", off == 0 && lpis(0) - before == 1, lpis(0) - before);
    lpi_set(LPI, PRIO_DEFAULT, false);
    inv(7);
    after_int(0, ITS_INT, 7, false);
    after_int(0, ITS_CLEAR, 7, false);
    before = lpis(0);
    lpi_set(LPI, PRIO_DEFAULT, true);
    its_cmd(ITS_INVALL, 0, 0, 0);
    its_sync(0);
    check("its INVALL", its_wait(), 0);
    window();
    check("its CLEAR", lpis(0) == before, lpis(0) - before);
}

static void its_moves(void)
{
    if (ncpus < 2)
        return;
    its_cmd(ITS_MOVI | (uint64_t)DEV << 32, 7, 1, 0);
    its_sync(0);
    its_sync(1);
    check("its MOVI", its_wait() && after_int(1, ITS_INT, 7, true) == 1, lpis(1));
    its_cmd(ITS_MOVALL, 0, its_target(1), its_target(0));
    its_sync(0);
    check("its MOVALL", its_wait(), 0);
    its_cmd(ITS_MAPC, 0, 1ull << 63 | its_target(0) | 1, 0); /* collection 1 to CPU 0 */
    its_sync(0);
    its_wait();
    uint32_t one = after_int(0, ITS_INT, 7, true);
    its_cmd(ITS_MAPC, 0, 1ull << 63 | its_target(1) | 1, 0);
    its_cmd(ITS_MOVI | (uint64_t)DEV << 32, 7, 0, 0);
    its_sync(0);
    check("its collection mapped elsewhere",
          its_wait() && one == 1 && after_int(0, ITS_INT, 7, true) == 1, one);
}

static void its(void)
{
    if (!its_init()) {
        print("no ITS\n");
        if (boot.its)
            fail("its", "does not start");
        return;
    }
    print("GITS_TYPER %lx, IIDR %x\n", mmio_r64(boot.its + 8), mmio_r32(boot.its + 4));
    irq_handle(LPI, NULL);
    lpi_set(LPI, PRIO_DEFAULT, true);
    its_map_device(DEV);
    its_map(DEV, 7, LPI, 0);
    inv(7);
    check("its LPI by INT", after_int(0, ITS_INT, 7, true) == 1, lpis(0));
    its_pending();
    its_moves();
    irq_handle(LPI, note);
    norder = 0;
    lpi_set(LPI, 0x20, true);
    inv(7);
    prepare(SPI, 0x40);
    gic_set(GICD_ISPENDR, SPI);
    its_cmd(ITS_INT | (uint64_t)DEV << 32, 7, 0, 0);
    its_wait();
    delay_us(200);
    window();
    check("its LPI priority", norder == 2 && order[0] == LPI && order[1] == SPI, norder);
    irq_handle(LPI, NULL);
    its_cmd(ITS_DISCARD | (uint64_t)DEV << 32, 7, 0, 0);
    its_sync(0);
    its_wait();
    check("its DISCARD", after_int(0, ITS_INT, 7, false) == 0, lpis(0));
    its_map(DEV, 7, LPI, 0);
    check("its mapped again", after_int(0, ITS_INT, 7, true) == 1, lpis(0));
    its_cmd(ITS_MAPD | (uint64_t)DEV << 32, 4, 0, 0);
    its_sync(0);
    its_wait();
    check("its device unmapped", after_int(0, ITS_INT, 7, false) == 0, lpis(0));
}

/* ---- GICv2's SGIs: whom it is from, and pending by register ---- */
static volatile uint32_t sgi_iar;
static void v2_only(void)
{
    if (boot.gic_version != 2)
        return;
    gic_sgi(0, SGI);
    sgi_iar = gic_ack();
    gic_eoi(sgi_iar);
    check("gic2 IAR of an SGI", sgi_iar == SGI, sgi_iar);
    mmio_w32(boot.gicd + GICD_SPENDSGIR, 1u << SGI % 4 * 8);
    bool set = mmio_r32(boot.gicd + GICD_SPENDSGIR) == 1u << SGI % 4 * 8;
    mmio_w32(boot.gicd + GICD_CPENDSGIR, 1u << SGI % 4 * 8);
    check("gic2 SGI pending registers",
          (set || cmdline_has("emulator")) && mmio_r32(boot.gicd + GICD_SPENDSGIR) == 0, set);
    mmio_w32(boot.gicd + GICD_SGIR, 2u << 24 | SGI);
    window();
    check("gic2 SGI to self", irq_count(0, SGI) > 0, irq_count(0, SGI));
    check("gic2 targets of a PPI", mmio_r8(boot.gicd + GICD_ITARGETSR + 20) == 1 || boot.ncpus == 1,
          mmio_r8(boot.gicd + GICD_ITARGETSR + 20));
    if (boot.v2m) {
        uint32_t t = mmio_r32(boot.v2m + 8), spi = t >> 16 & 0x3ff;
        print("v2m: TYPER %x\n", t);
        prepare(spi, PRIO_DEFAULT);
        mmio_w32(boot.v2m + 0x40, spi);
        window();
        check("v2m frame", norder == 1 && order[0] == spi, norder);
    }
}

void guest_main(void)
{
    ncpus = smp_start();
    identity();
    registers();
    kinds();
    priorities();
    preemption();
    active();
    many();
    many_priorities();
    routing();
    v2_only();
    if (boot.gic_version == 3)
        its();
}
