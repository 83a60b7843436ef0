/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * debug: breakpoints and watchpoints. With on=1 it sets one of each and meets them, again and
 * again; with on=0 it turns monitor debugging on and sets none: another guest's must not be there,
 * though it runs the same code at the same addresses. Options: rounds=N.
 */
#include "lib/guest.h"

#define MDSCR_KDE (1u << 13)
#define MDSCR_MDE (1u << 15)
/* enabled, at EL1, all of an A64 instruction: Arm ARM D19.3.2 */
#define BCR_EL1 (1u | 1u << 1 | 0xfu << 5)
/* enabled, at EL1, stores, eight bytes: D19.3.11 */
#define WCR_EL1 (1u | 1u << 1 | 2u << 3 | 0xffu << 5)

static volatile uint64_t watched, calls;

static __attribute__((noinline)) void target(void) { calls++; }

static void call(void *arg)
{
    (void)arg;
    __asm__ volatile("msr daifclr, #8");
    target();
    __asm__ volatile("msr daifset, #8");
}

static void touch(void *arg)
{
    (void)arg;
    __asm__ volatile("msr daifclr, #8");
    watched = 5;
    __asm__ volatile("msr daifset, #8");
}

static void wait(uint64_t us)
{
    for (uint64_t t = ticks(); ticks() - t < ticks_hz / 1000000 * us;)
        __asm__ volatile("wfe");
}

static void set(bool on)
{
    write_reg(dbgbvr0_el1, on ? (uint64_t)target : 0);
    write_reg(dbgbcr0_el1, on ? BCR_EL1 : 0);
    write_reg(dbgwvr1_el1, on ? (uint64_t)&watched : 0);
    write_reg(dbgwcr1_el1, on ? WCR_EL1 : 0);
}

static bool right(bool on)
{
    int broke = trap_try(call, NULL), hit = trap_try(touch, NULL);

    if (read_reg(dbgbvr0_el1) != (on ? (uint64_t)target : 0) || (read_reg(dbgwcr1_el1) & 1) != on)
        return false;
    return on ? broke == EC_BREAKPOINT && hit == EC_WATCHPOINT : broke < 0 && hit < 0;
}

void guest_main(void)
{
    uint64_t on = cmdline_num("on", 1), rounds = cmdline_num("rounds", 200), wrong = 0;

    if (read_reg(oslsr_el1) & 2)
        fail("debug", "the OS lock is locked");
    write_reg(oslar_el1, 0);
    set(on);
    for (uint64_t r = 0; r < rounds; r++) {
        write_reg(mdscr_el1, MDSCR_KDE | MDSCR_MDE);
        isb();
        wait(200);
        wrong += !right(on);
        /* off for a while: what is set must be there afterwards */
        if (r % 50 == 49) {
            write_reg(mdscr_el1, 0);
            isb();
            wait(10000);
        }
    }
    if (wrong)
        fail("debug", "%lu of %lu rounds wrong", wrong, rounds);
    else
        pass("debug");
}
