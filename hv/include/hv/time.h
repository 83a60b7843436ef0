/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Time. One clock for all CPUs: monotonic nanoseconds since Trivet started. Implemented by
 * arch/<isa>/timer.c and arch/common/clock.c.
 */
#pragma once
#include <hv/types.h>
uint64_t time_ns(void); /* any context */
#ifdef __aarch64__
/*
 * The raw counter, CNTPCT; any context. On the way of every exit, where a call would cost more than
 * the reading. Without the ISB it may be read before what comes before (Arm ARM D12.1.2).
 */
static inline uint64_t time_cycles(void)
{
    uint64_t cycles;

    __asm__ volatile("isb\n\tmrs %0, cntpct_el0" : "=r"(cycles) : : "memory");
    return cycles;
}
#else
uint64_t time_cycles(void); /* the raw counter: TSC; any context */
#endif
uint64_t time_cycles_hz(void);               /* its frequency in Hz, constant */
uint64_t time_cycles_to_ns(uint64_t cycles); /* exact 128-bit scaling */
uint64_t time_ns_to_cycles(uint64_t ns);
uint64_t time_cycles_at(uint64_t ns); /* what time_cycles() is when time_ns() is ns */
/*
 * Seconds since 1970-01-01 UTC at boot + time_ns(), from the host's real-time clock; 0 when there
 * is none.
 */
uint64_t time_wall_s(void);
