/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fakes of the seam in arch/include/arch, for tests that run as ordinary programs. All functions
 * are weak: a test may define its own. Physical addresses are pointers: the direct map is the
 * identity.
 */
#pragma once
#include <hv/types.h>
extern uint64_t host_now; /* what time_ns() and time_cycles() say; a test moves it */
/* which of percpus[] this_cpu() is; 0 at first, a test switches */
extern _Thread_local uint32_t host_cpu;
extern uint64_t host_armed[MAX_CPUS]; /* last timer_arm() of each CPU */
extern uint32_t host_kicks[MAX_CPUS]; /* irq_send_kick() calls to each CPU */
extern uint32_t host_threads;         /* of each core; 1 at first */
/*
 * Makes `cpus` CPUs (events too) and gives pmm `bytes` of RAM (a multiple of 2 MiB; 0: none). RAM
 * once per program.
 */
void host_init(uint32_t cpus, uint64_t bytes);
