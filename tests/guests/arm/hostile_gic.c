/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile-gic: floods and nonsense for the interrupt controllers. Every part ends; the GIC, set up
 * again, must then still work. Options: rounds=N; storm (CPUs interrupt each other for ever: others
 * must still run); seed=N; emulator.
 */
#include "lib/guest.h"

static uint32_t seed;
static uint32_t rnd(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 8 ^ seed << 16;
}

static uint64_t scratch; /* 256 KiB that tables of garbage may lie in */
static uint64_t rounds;

/*
 * Somewhere: in the scratch memory, or where there is none. Never in memory that this guest needs.
 */
static uint64_t somewhere(void)
{
    return rnd() & 1   ? scratch + (rnd() & 0x3ffff)
           : rnd() & 1 ? (uint64_t)rnd() << 24 | 0x8000000000
                       : rnd() & 0x3fffffff;
}

struct poke {
    uint64_t addr, val;
    unsigned size;
    bool write;
};
static void do_poke(void *arg)
{
    struct poke *p = arg;
    if (!p->write)
        p->val = mmio_read(p->addr, p->size);
    else
        mmio_write(p->addr, p->size, p->val);
}

static unsigned faults;
static void poke(uint64_t addr, unsigned size, uint64_t val, bool write)
{
    struct poke p = { addr, val, size, write };
    faults += trap_try(do_poke, &p) >= 0;
}

static void window(void)
{
    irqs_on();
    irqs_off();
}

static void garbage(const char *what, uint64_t base, uint64_t len)
{
    if (!base)
        return;
    for (uint64_t i = 0; i < rounds; i++) {
        unsigned size = 1u << (rnd() & 3);
        uint64_t off = rnd() & 1 ? rnd() % len : rnd() & (len - 1) & 0xfff,
                 val = rnd() & 1   ? (uint64_t)rnd() << 32 | rnd()
                       : rnd() & 1 ? UINT64_MAX
                                   : 0;
        off = rnd() & 7 ? off & ~(uint64_t)(size - 1) : off % (len - 8);
        bool its = base == boot.its, redist = base == boot.gicr;
        if ((its && off >= 0x80 && off < 0x140) ||
            (redist && (off & 0xffff) >= 0x70 && (off & 0xffff) < 0x80))
            val = (val & 0xff00000000000fff) | somewhere();
        poke(base + off, size, val, rnd() & 3);
        if (i % 32 == 0)
            window();
    }
    print("%s garbage done, %u faults\n", what, faults);
}

/*
 * Fields one by one: all ones, zero, and a walking bit in every 32-bit register of the first 4 KiB
 */
static void walk(uint64_t base)
{
    for (uint64_t off = 0; base && off < 0x1000; off += 4) {
        poke(base + off, 4, 0, false);
        poke(base + off, 4, 0xffffffff, true);
        poke(base + off, 4, 1u << (off / 4 % 32), true);
        poke(base + off, 4, 0, true);
        if (off % 64 == 0)
            window();
    }
}

/*
 * The reserved bits of BPR1 are left 0: QEMU 7.2, also for a guest's guest, takes 8 for 0 and then
 * ends on its own assertion.
 */
static void cpu_interface(void)
{
    for (uint64_t i = 0; i < rounds && boot.gic_version == 3; i++) {
        uint64_t v = (uint64_t)rnd() << 32 | rnd();
        switch (rnd() % 12) {
        case 0: write_reg(ICC_SGI1R, v); break;
        case 1: write_reg(ICC_SGI0R, v); break;
        case 2: write_reg(ICC_ASGI1R, v); break;
        case 3: write_reg(ICC_PMR, v); break;
        case 4: write_reg(ICC_BPR1, v & 7); break;
        case 5: write_reg(ICC_CTLR, v & ~2ull); break;
        case 6: write_reg(ICC_IGRPEN1, v); break;
        case 7: write_reg(ICC_EOIR1, v & 0xffffff); break;
        case 8: write_reg(ICC_DIR, v & 0xffffff); break;
        case 9: read_reg(ICC_IAR1); break;
        case 10: write_reg(ICC_AP1R0, v); break;
        default:
            write_reg(ICC_SGI1R, (v & 0x10f0000) | 1);
            window();
            break;
        }
    }
    for (uint64_t i = 0; i < rounds && boot.gic_version == 2; i++) {
        static const uint16_t regs[] = { 0,    4,    8,    0xc,  0x10, 0x14, 0x18,
                                         0x1c, 0x20, 0x24, 0x28, 0xd0, 0xfc, 0x1000 };
        uint32_t v = rnd();
        unsigned r = regs[rnd() % 14];
        poke(boot.gicc + r, 4, r == 0 ? v & ~0x200u : v, rnd() & 1);
    }
    print("CPU interface done\n");
}

/* After any garbage: everything off, no priority active, and up again. */
static void again(void)
{
    uint32_t v3 = boot.gic_version == 3;
    mmio_w32(boot.gicd + GICD_CTLR, 0);
    for (unsigned i = 0; i < 1020; i += 32) {
        gic_set(GICD_ICENABLER, i);
        mmio_w32(boot.gicd + GICD_ICENABLER + i / 8, 0xffffffff);
        mmio_w32(boot.gicd + GICD_ICPENDR + i / 8, 0xffffffff);
        mmio_w32(boot.gicd + GICD_ICACTIVER + i / 8, 0xffffffff);
        if (v3)
            mmio_w32(boot.gicd + GICD_IGROUPR + i / 8, 0xffffffff);
    }
    if (v3) {
        write_reg(ICC_AP1R0, 0);
        write_reg(ICC_IGRPEN0, 0);
    } else {
        mmio_w32(boot.gicc + 0xd0, 0);
        mmio_w32(boot.gicd + GICD_ICACTIVER, 0xffffffff);
        mmio_w32(boot.gicd + GICD_ICPENDR, 0xffffffff);
        mmio_w32(boot.gicd + GICD_CPENDSGIR, 0xffffffff);
    }
    mmio_w32(boot.gicd + GICD_CTLR, v3 ? 0x12 : 1);
    gic_init_cpu();
}

static bool self_sgi(void)
{
    uint32_t before = irq_count(0, 3);
    gic_sgi(0, 3);
    irqs_on();
    delay_us(1000);
    irqs_off();
    return irq_count(0, 3) == before + 1;
}

static void still_works(const char *after)
{
    again();
    window();
    if (self_sgi())
        print("PASS hostile-gic after %s\n", after);
    else
        fail("hostile-gic", "after %s: no SGI any more", after);
}

/*
 * Commands of garbage: opcodes of all kinds with small and wild operands, and the queue's registers
 * with them.
 */
static void random_queue(uint64_t *q)
{
    static const uint8_t op[] = { 1,  3,  4,  5,    8,    9,    10,   11, 12,
                                  13, 14, 15, 0x20, 0x22, 0x2a, 0x2d, 0,  0xff };
    for (unsigned i = 0; i < 4096 / 32; i++) {
        bool small = rnd() & 3;
        q[i * 4] = op[rnd() % 18] | (uint64_t)(small ? rnd() & 7 : rnd()) << 32;
        q[i * 4 + 1] = (small ? rnd() & 15 : rnd()) |
                       (uint64_t)(small ? LPI_FIRST + (rnd() & 31) : rnd()) << 32;
        q[i * 4 + 2] = (uint64_t)(rnd() & 1) << 63 |
                       (small ? (scratch + (rnd() & 0x3ff00)) : (uint64_t)rnd() << 20) |
                       (rnd() & 3);
        q[i * 4 + 3] = rnd() & 1 ? 0 : (uint64_t)rnd() << 16;
    }
}

static void its_garbage(void)
{
    uint64_t *q = (uint64_t *)(scratch + 0x30000);
    if (!boot.its)
        return;
    for (uint64_t i = 0; i < rounds / 50 + 1; i++) {
        mmio_w32(boot.its, 0);
        mmio_w64(boot.its + 0x80, 1ull << 63 | (rnd() & 7 ? (uint64_t)q : somewhere() & ~0xfffull) |
                                      (rnd() & 7 ? 0 : rnd() & 0xff));
        for (unsigned k = 0; k < 8 && rnd() & 1; k++)
            mmio_w64(boot.its + 0x100 + k * 8,
                     1ull << 63 | (somewhere() & ~0xfffull) | (rnd() & 0x3ff));
        random_queue(q);
        mmio_w32(boot.its, rnd() & 7 ? 1 : rnd());
        mmio_w64(boot.its + 0x88, rnd() & 3 ? 4096 - 32 : rnd());
        delay_us(200);
        mmio_w64(boot.its + 0x88, mmio_r64(boot.its + 0x88) | 1); /* retry */
        poke(boot.its + 0x10040, 4, rnd() & 15, true);
        poke(boot.its + 0x10040, 2, rnd(), true);
        window();
    }
    mmio_w32(boot.its, 0);
    print("ITS garbage done\n");
}

static void its_works(void)
{
    if (!boot.its || cmdline_has("emulator"))
        return;
    mmio_w32(boot.its, 0);
    for (unsigned n = 0; n < 1000000 && !(mmio_r32(boot.its) >> 31); n++)
        cpu_pause();
    bool ok = its_init();
    lpi_set(LPI_FIRST + 9, PRIO_DEFAULT, true);
    its_map_device(0x99);
    its_map(0x99, 2, LPI_FIRST + 9, 0);
    its_cmd(ITS_INV | 0x99ull << 32, 2, 0, 0);
    its_sync(0);
    its_wait();
    uint32_t before = irq_count(0, LPI_FIRST + 9);
    its_cmd(ITS_INT | 0x99ull << 32, 2, 0, 0);
    its_wait();
    irqs_on();
    delay_us(1000);
    irqs_off();
    if (ok && irq_count(0, LPI_FIRST + 9) == before + 1)
        pass("hostile-gic ITS works");
    else
        fail("hostile-gic ITS works", "starts %u, %u came", ok,
             irq_count(0, LPI_FIRST + 9) - before);
}

static void self_flood(void)
{
    for (uint64_t i = 0; i < rounds * 3; i++) {
        gic_sgi(0, i & 15);
        if (i % 3 == 0)
            window();
    }
    for (uint64_t i = 0; i < rounds; i++) {
        gic_set(GICD_ISPENDR, 32 + rnd() % (gic_spis() - 32));
        gic_enable(32 + rnd() % (gic_spis() - 32));
        if (i % 3 == 0)
            window();
    }
    print("floods done\n");
}

static void storm(void *arg)
{
    (void)arg;
    irqs_on();
    for (;;)
        gic_sgi_others(rnd() & 15);
}

void guest_main(void)
{
    seed = (uint32_t)cmdline_num("seed", 1);
    rounds = cmdline_num("rounds", 4000);
    gic_init();
    if (cmdline_has("storm")) {
        unsigned n = smp_start();
        print("storm of %u CPUs\n", n);
        for (unsigned i = 1; i < n; i++)
            smp_run(i, storm, NULL);
        storm(NULL);
    }
    scratch = (uint64_t)page_alloc(64);
    if (cmdline_has("emulator") && boot.gic_version == 2) {
        print("QEMU's own GICv2 ends QEMU here\n");
        return;
    }
    walk(boot.gicd);
    still_works("a walk through the distributor");
    garbage("distributor", boot.gicd, boot.gic_version == 3 ? 0x10000 : 0x1000);
    still_works("distributor garbage");
    garbage("redistributor", boot.gicr, 0x20000);
    garbage("v2m", boot.v2m, 0x1000);
    if (!cmdline_has("emulator")) /* QEMU's own has assertions */
        cpu_interface();
    still_works("redistributor and CPU interface garbage");
    self_flood();
    still_works("floods");
    walk(boot.its);
    garbage("ITS", boot.its, 0x20000);
    its_garbage();
    still_works("ITS garbage");
    its_works();
}
