/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stretches of hypervisor code with interrupts disabled: those that take too long are counted for
 * each CPU, and told now and then.
 */
#pragma once
#include <hv/types.h>
struct event;
#define STRETCH_LONG_NS 5000000ull /* nothing shall take longer; the design says 2 ms */
/* count: of those beyond STRETCH_LONG_NS */
struct stretches {
    uint64_t longest_ns, told_ns;
    uint32_t count;
};
/*
 * This CPU: an event's function took `ns`, or an exit of a guest did. Wall time: what a host under
 * ours takes from us counts too.
 */
void stretch_event(void (*fn)(struct event *), uint64_t ns);
void stretch_exit(const char *guest, const char *reason, uint64_t ns);
/* All CPUs: what was counted so far is forgotten. Any CPU; one that counts meanwhile may be missed.
 */
void stretches_clear(void);
