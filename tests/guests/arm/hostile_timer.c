/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile-timer: timers asked for too much: compare values in the past, the shortest periods, both
 * timers on every CPU at once. Afterwards they must still work. Options: rounds=N, storm (for
 * ever).
 */
#include "lib/guest.h"

static volatile uint32_t storm_left[MAX_CPUS];

static void on_timer(uint32_t intid)
{
    uint32_t me = this_cpu()->index;
    if (storm_left[me] && --storm_left[me]) {
        if (intid == INTID_VTIMER)
            write_reg(cntv_tval_el0, storm_left[me] & 1);
        else
            write_reg(cntp_tval_el0, storm_left[me] & 1);
        return;
    }
    write_reg(cntv_ctl_el0, 0);
    write_reg(cntp_ctl_el0, 0);
}

static void flood(void *arg)
{
    uint32_t me = this_cpu()->index, n = (uint32_t)cmdline_num("rounds", 5000);
    gic_enable(INTID_VTIMER);
    gic_enable(INTID_PTIMER);
    do {
        storm_left[me] = n;
        write_reg(cntv_cval_el0, 0);
        write_reg(cntp_cval_el0, 0);
        write_reg(cntv_ctl_el0, 1);
        write_reg(cntp_ctl_el0, 1);
        irqs_on();
        for (uint64_t t = ticks(); storm_left[me] > 1 && ticks() - t < ticks_hz * 20;)
            cpu_pause();
        irqs_off();
    } while (arg);
    write_reg(cntv_ctl_el0, 0);
    write_reg(cntp_ctl_el0, 0);
}

/* Written over and over with interrupts off, then halted and woken at once. */
static void rewrite(void)
{
    for (uint64_t i = 0; i < cmdline_num("rounds", 5000); i++) {
        write_reg(cntp_cval_el0, i & 1 ? ticks() + i : UINT64_MAX - i);
        write_reg(cntp_ctl_el0, i & 7);
        write_reg(cntp_tval_el0, i * 0x10001);
        /* with more, QEMU 7.2 adds CNTVOFF_EL2, overflows and fires for ever */
        write_reg(cntv_cval_el0, i & 1 ? 0 : UINT64_MAX >> 1);
        write_reg(cntv_ctl_el0, i & 3);
        if (i % 16 == 0) {
            storm_left[0] = 1;
            write_reg(cntv_cval_el0, 0);
            write_reg(cntv_ctl_el0, 1);
            wait_irq();
        }
    }
    write_reg(cntv_ctl_el0, 0);
    write_reg(cntp_ctl_el0, 0);
    pass("hostile-timer rewritten");
}

static bool works(uint32_t intid)
{
    uint32_t before = irq_count(0, intid);
    storm_left[0] = 1;
    if (intid == INTID_VTIMER) {
        write_reg(cntv_tval_el0, ticks_hz / 1000);
        write_reg(cntv_ctl_el0, 1);
    } else {
        write_reg(cntp_tval_el0, ticks_hz / 1000);
        write_reg(cntp_ctl_el0, 1);
    }
    for (uint64_t t = ticks(); irq_count(0, intid) == before && ticks() - t < ticks_hz * 2;)
        wait_irq();
    return irq_count(0, intid) == before + 1;
}

void guest_main(void)
{
    unsigned n = smp_start();
    irq_handle(INTID_VTIMER, on_timer);
    irq_handle(INTID_PTIMER, on_timer);
    bool ever = cmdline_has("storm");
    print("timer storm on %u CPUs\n", n);
    for (unsigned i = 1; i < n; i++)
        smp_run(i, flood, ever ? &n : NULL);
    flood(ever ? &n : NULL);
    for (unsigned i = 1; i < n; i++)
        smp_wait(i);
    print("%u virtual, %u physical\n", irq_count(0, INTID_VTIMER), irq_count(0, INTID_PTIMER));
    rewrite();
    bool v = works(INTID_VTIMER), p = works(INTID_PTIMER);
    if (v && p)
        pass("hostile-timer");
    else
        fail("hostile-timer", "virtual %u, physical %u", v, p);
}
