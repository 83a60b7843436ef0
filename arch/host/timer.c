/* SPDX-License-Identifier: BSD-2-Clause */
#include "arch/host/host.h"
#include <arch/timer.h>
#include <hv/percpu.h>
#include <hv/time.h>

uint64_t host_now = 1000000, host_armed[MAX_CPUS];

__attribute__((weak)) uint64_t time_ns(void)
{
    return __atomic_load_n(&host_now, __ATOMIC_RELAXED);
}
__attribute__((weak)) uint64_t time_cycles(void)
{
    return __atomic_load_n(&host_now, __ATOMIC_RELAXED);
}
__attribute__((weak)) uint64_t time_cycles_hz(void) { return 1000000000; }
__attribute__((weak)) uint64_t time_cycles_to_ns(uint64_t c) { return c; }
__attribute__((weak)) uint64_t time_ns_to_cycles(uint64_t ns) { return ns; }
__attribute__((weak)) uint64_t time_cycles_at(uint64_t ns) { return ns; }
__attribute__((weak)) uint64_t time_wall_s(void) { return 1767225600 + host_now / 1000000000; }
__attribute__((weak)) void timer_arm(uint64_t ns) { host_armed[this_cpu()->id] = ns; }
