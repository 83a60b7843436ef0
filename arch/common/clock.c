/* SPDX-License-Identifier: BSD-2-Clause */
/* clock.c: cycles of the host's counter and nanoseconds. */
#include <arch/common.h>
#include <arch/cpu.h>

#include <hv/time.h>

struct host_clock host_clock;

uint64_t time_cycles_hz(void) { return host_clock.hz; }
uint64_t time_cycles_to_ns(uint64_t cycles) { return clock_scale(cycles, host_clock.ns_mult); }
uint64_t time_ns_to_cycles(uint64_t ns) { return clock_scale(ns, host_clock.cycles_mult); }

uint64_t time_cycles_at(uint64_t ns) { return host_clock.base + time_ns_to_cycles(ns); }

void clock_set_base(uint64_t cycles) { host_clock.base = cycles; }

void clock_set_hz(uint64_t hz)
{
    host_clock.hz = hz;
    host_clock.ns_mult = clock_mult(NS_PER_S, hz);
    host_clock.cycles_mult = clock_mult(hz, NS_PER_S);
}
