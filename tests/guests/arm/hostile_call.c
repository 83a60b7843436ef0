/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile-call: HVC and SMC with garbage: every PSCI function with wild arguments, every range of
 * SMCCC, random calls. Not those that end this guest. Then CPUs are switched on at wild entry
 * points. Options: seed=N, rounds=N.
 */
#include "lib/guest.h"

static uint32_t seed;
static uint32_t rnd(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 8 ^ seed << 16;
}

static uint64_t wild(void)
{
    static const uint64_t odd[] = {
        0,          1,          UINT64_MAX, 0x8000000000000000, 0x40000000,
        0x40000001, 0x3fffffff, 0xffffffff, 0x100000000,        0xffffffffffff
    };
    return rnd() & 1 ? odd[rnd() % 10] : (uint64_t)rnd() << (rnd() & 31);
}

/*
 * Bits 15:0 of PSCI functions that end or stop this CPU or the machine: 2 CPU_OFF, 8 OFF, 9 RESET,
 * 12 RESET2, 1 SUSPEND, e SYSTEM_SUSPEND
 */
static bool ends(uint64_t fn)
{
    uint32_t f = (uint32_t)fn & 0xbfffffff, low = f & 0xffff;
    return f >> 16 == 0x8400 && (low == 1 || low == 2 || low == 8 || low == 9 || low == 12 ||
                                 low == 14 || low == 13 || low == 18 || low == 3);
}

struct call {
    uint64_t fn, a, b, c;
    bool smc;
};
static void do_call(void *arg)
{
    struct call *c = arg;
    c->fn =
        (uint64_t)(c->smc ? smc_call(c->fn, c->a, c->b, c->c) : hvc_call(c->fn, c->a, c->b, c->c));
}

static unsigned refused, faults, other;
static void call(uint64_t fn)
{
    if (ends(fn))
        return;
    for (unsigned smc = 0; smc < 2; smc++) {
        struct call c = { fn, wild(), wild(), wild(), smc };
        if (trap_try(do_call, &c) >= 0)
            faults++;
        else if ((int32_t)c.fn == -1)
            refused++;
        else
            other++;
    }
}

static void sweep(void)
{
    for (uint32_t owner = 0; owner < 64; owner++)
        for (uint32_t n = 0; n < 0x30; n++)
            for (uint32_t kind = 0; kind < 4; kind++)
                call((uint64_t)kind << 30 | owner << 24 | n);
    for (uint32_t n = 0; n < 0x100; n++) {
        call(0x84000000 | n);
        call(0xc4000000 | n);
        call(0xc5000000 | n);
        call(0x80000000 | n << 8);
    }
    for (uint64_t i = 0; i < cmdline_num("rounds", 5000); i++)
        call(rnd() & 1 ? wild() : 0x84000000 | (rnd() & 0x4000003f));
    print("calls: %u refused, %u answered, %u faults\n", refused, other, faults);
    pass("hostile-call sweep");
}

/* The immediate of HVC and SMC, all bits */
static void immediates(void)
{
    for (uint32_t bit = 0; bit < 16; bit++)
        for (uint32_t smc = 2; smc < 4; smc++) {
            uint64_t x0 = PSCI_VERSION;
            insn_try(0xd4000000 | 1u << (bit + 5) | smc, &x0);
        }
    pass("hostile-call immediates");
}

/*
 * CPUs that start nowhere: outside RAM, in devices, unaligned, at garbage. Each stays lost; this
 * one goes on.
 */
static void wild_entries(void)
{
    static const uint64_t entries[] = { 0,          2,          0x08000000,     0x09000000,
                                        0x0b000000, UINT64_MAX, 0x7ffffffffffc, 0x40000002 };
    unsigned on = 0;
    for (unsigned i = 0; i < boot.ncpus; i++)
        if (boot.mpidr[i] != cpus[0].mpidr)
            for (unsigned k = 0; k < 8; k++)
                on += psci(PSCI_CPU_ON, boot.mpidr[i], entries[(k + i) % 8], wild()) == 0;
    delay_us(20000);
    print("%u CPUs switched on at wild entries\n", on);
    pass("hostile-call wild entries");
}

/* CPU_SUSPEND in all its forms, with an interrupt pending, so that each returns at once */
static void suspends(void)
{
    gic_init();
    gic_enable(INTID_VTIMER);
    write_reg(cntv_cval_el0, 0);
    write_reg(cntv_ctl_el0, 1);
    for (unsigned i = 0; i < 200; i++)
        psci(i & 1 ? PSCI_CPU_SUSPEND : 0x84000001, wild() & 0x3feffff, wild(), wild());
    write_reg(cntv_ctl_el0, 0);
    pass("hostile-call suspend");
}

void guest_main(void)
{
    seed = (uint32_t)cmdline_num("seed", 1);
    sweep();
    immediates();
    suspends();
    wild_entries();
    int64_t v = psci(PSCI_VERSION, 0, 0, 0);
    if (v >= 0x10000 && v < 0x20000)
        pass("hostile-call goes on");
    else
        fail("hostile-call goes on", "%lx", v);
}
