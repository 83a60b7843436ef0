/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmx_rules.h: decisions of the VMX backend that need no VMX to be made, so that tests can ask for
 * them over recorded fields. Any context; nothing fails.
 */
#pragma once
#include <hv/types.h>

/*
 * GUEST_PENDING_DEBUG as an entry with these fields wants it. In blocking by STI or MOV SS, BS must
 * say whether a single step waits: RFLAGS.TF without DEBUGCTL.BTF (Intel SDM volume 3 section
 * 26.3.1.5). The exit for #DB has cleared it (27.3.4), and an injected #DB does not excuse it.
 */
uint64_t vmx_pending_debug(uint64_t pending, uint64_t interruptibility, uint64_t rflags,
                           uint64_t debugctl);

/*
 * CPUID 1 EAX of a CPU whose VMX-preemption timer does not count down at its rate, or fires late:
 * Intel's specification updates.
 */
bool vmx_timer_is_wrong(uint32_t signature);

/* Exits by an instruction that no guest has: it raises #UD. `reason`: appendix C. */
bool vmx_is_unknown_insn(uint32_t reason);
