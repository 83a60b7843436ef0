/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timer.c: the clock (the physical counter of the generic timer) and this CPU's alarm (the EL2
 * physical timer, CNTHP). Arm ARM D12. The encodings of CNTHP_*_EL2 are the same with VHE and
 * without.
 */
#include <arch/common.h>
#include <arch/timer.h>

#include <hv/assert.h>
#include <hv/event.h>
#include <hv/log.h>
#include <hv/time.h>

#include "private.h"

#define CTL_ENABLE 1u

static uint64_t wall_at_start;

uint64_t time_ns(void) { return clock_ns(time_cycles()); }

uint64_t time_wall_s(void) { return wall_at_start ? wall_at_start + time_ns() / NS_PER_S : 0; }

void timer_set_start(uint64_t cycles)
{
    uint64_t hz = read_sysreg(cntfrq_el0) & 0xffffffff;

    clock_set_base(cycles);
    clock_set_hz(hz < 1000000 ? 0 : hz); /* left unset by the firmware; timer_init() says so */
}

void timer_set_wall(uint64_t seconds, uint64_t cycles)
{
    wall_at_start = seconds ? seconds + time_cycles_to_ns(host_clock.base - cycles) / NS_PER_S : 0;
}

int timer_init(void)
{
    uint64_t hz = host_clock.hz;

    assert_cpu0();
    if (!hz) {
        log_err("no clock: the firmware has not set the generic timer's frequency (CNTFRQ_EL0)");
        return -ENODEV;
    }
    log_info("counter %llu.%03llu MHz, timer: CNTHP", (unsigned long long)(hz / 1000000),
             (unsigned long long)(hz / 1000 % 1000));
    return timer_cpu_init();
}

int timer_cpu_init(void)
{
    timer_arm(UINT64_MAX);
    return 0;
}

/* The deadline is rounded up, so that time_ns() has reached it when the interrupt comes. */
void timer_arm(uint64_t ns)
{
    if (ns > UINT64_MAX / 2) { /* never */
        write_sysreg(cnthp_ctl_el2, 0);
        return;
    }
    write_sysreg(cnthp_cval_el2, host_clock.base + time_ns_to_cycles(ns) + 2);
    write_sysreg(cnthp_ctl_el2, CTL_ENABLE);
    isb();
}

/* The timer's line stays up until it is turned off. */
void timer_irq(void)
{
    write_sysreg(cnthp_ctl_el2, 0);
    isb();
    event_timer_irq();
}
