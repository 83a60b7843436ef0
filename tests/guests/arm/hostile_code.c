/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile-code: random instructions at EL1, with registers that point to RAM, devices and nowhere.
 * The virtual timer looks after code that loops. It need not survive; everybody else must. Options:
 * seed=N, rounds=N.
 */
#include "lib/guest.h"

static uint32_t seed;
static uint32_t rnd(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 8 ^ seed << 16;
}

static void watchdog(bool on)
{
    write_reg(cntv_tval_el0, ticks_hz / 500);
    write_reg(cntv_ctl_el0, on);
}

/* Loops are ended by the timer's interrupt: it unwinds what was interrupted. */
static void on_trap(struct frame *f)
{
    watchdog(false);
    if (!trap_unwind(f)) /* not yet, or no longer, in the code */
        watchdog(true);
}

/* Loads and stores, system instructions, exception generation, branches near by; or anything. */
static uint32_t instruction(void)
{
    static const uint32_t base[] = { 0x38000000, 0x39000000, 0x28000000, 0x08000000,
                                     0xb8200000, 0x0c000000, 0xd5000000, 0xd5300000,
                                     0xd5100000, 0xd4000000, 0xd6000000, 0x88000000,
                                     0x3c000000, 0x19000000, 0x85000000, 0xa4000000 };
    static const uint32_t free_bits[] = { 0xc7ffffff, 0xc6ffffff, 0xd5ffffff, 0xf7ffffff,
                                          0x47ffffff, 0x73ffffff, 0x003fffff, 0x000fffff,
                                          0x000fffff, 0x00ffffff, 0x01ffffff, 0x77ffffff,
                                          0xc3ffffff, 0xe6ffffff, 0x7affffff, 0x5bffffff };
    unsigned k = rnd() & 31;
    uint32_t word = rnd();
    if (k >= 16)
        return k & 1 ? word : (word & ~0xffffu) | (rnd() & 0xffff);
    return base[k] | (word & free_bits[k]);
}

static uint64_t value(uint64_t ram)
{
    static const uint64_t places[] = { 0x08000000, 0x08080000, 0x080a0000, 0x09000000,  0x09010000,
                                       0x10000000, 0x20000000, 0x0b000000, 0x7000000000 };
    if (rnd() & 1)
        return ram + (rnd() & 0xfff8);
    return rnd() & 1 ? places[rnd() % 9] + (rnd() & 0xffc) : (uint64_t)rnd() << (rnd() & 31);
}

/* What random code may have changed under this guest's feet. */
static void put_back(void)
{
    watchdog(false);
    trap_init_cpu();
    mmu_on();
    write_reg(mdscr_el1, 0);
    __asm__ volatile("msr daifset, #15; msr daifclr, #4; msr spsel, #0");
    if (boot.gic_version == 3) {
        write_reg(ICC_IGRPEN1, 1);
        write_reg(ICC_PMR, 0xff);
        write_reg(ICC_AP1R0, 0);
    }
}

static void one(uint32_t *page, uint64_t ram)
{
    uint32_t code[16];
    unsigned n = 4 + (rnd() & 7);
    struct regs r;
    for (unsigned i = 0; i < n; i++)
        code[i] = instruction();
    for (unsigned i = 0; i < 31; i++)
        r.x[i] = value(ram);
    r.nzcv = rnd() & 0xf0000000;
    code_put(page, code, n);
    watchdog(true);
    irqs_on();
    code_at(page, &r);
    put_back();
}

void guest_main(void)
{
    seed = (uint32_t)cmdline_num("seed", 1);
    gic_init();
    gic_enable(INTID_VTIMER);
    uint32_t *page = page_alloc(16);
    uint64_t ram = (uint64_t)page_alloc(32);
    trap_irqs(on_trap);
    for (uint64_t i = 0; i < cmdline_num("rounds", 50000); i++) {
        one(page + i % 512 * 32, ram);
        if (i % 5000 == 0)
            print("random %lu\n", i);
    }
    pass("hostile-code");
}
