/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tsc_sync.c: whether the CPUs' TSCs agree: the firmware's adjustments, and readings in turn. Intel
 * SDM volume 3 section 18.7.3 (IA32_TSC_ADJUST).
 */
#include <arch/cpu.h>

#include <hv/assert.h>
#include <hv/log.h>
#include <hv/percpu.h>
#include <hv/time.h>

#include "private.h"
#include "tsc.h"

#define MSR_TSC_ADJUST 0x3bu
#define ROUNDS 20u
#define STRIDE 64u /* turns for each CPU: two a round, and the last, which ends it */
#define LONG_ENOUGH_NS 100000000ull

static bool adjustable, disagree;
static uint64_t adjust; /* of the boot CPU */

bool tsc_is_invariant(void) { return x86_features.invariant_tsc && !disagree; }

void tsc_sync_init(void)
{
    assert_cpu0();
    adjustable = x86_features.tsc_adjust;
    adjust = adjustable ? rdmsr(MSR_TSC_ADJUST) : 0;
    if (adjust)
        log_info("the firmware has moved this CPU's TSC by %lld (TSC_ADJUST)", (long long)adjust);
}

/* ---- readings in turn: the boot CPU's, then the new one's ---- */

/*
 * Whose turn it is only ever grows, and each CPU takes the turns from its number times STRIDE on:
 * one that is late finds that they have gone by. `seen` is for the one whose turn it is.
 */
static uint32_t turn;
static struct tsc_warp seen;

static uint32_t turn_now(void) { return __atomic_load_n(&turn, __ATOMIC_ACQUIRE); }

static bool pass_turn(uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(&turn, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* The last turn of a CPU's ends its part, whatever became of it. */
void tsc_meet_boot(uint32_t cpu)
{
    uint32_t at = cpu * STRIDE, before = turn_now();
    uint64_t end = time_ns() + LONG_ENOUGH_NS;

    assert_cpu0();
    seen = (struct tsc_warp){ 0 };
    tsc_warp_see(&seen, rdtsc_ordered());
    (void)pass_turn(before, ++at);
    for (unsigned i = 1; i < ROUNDS; i++, at += 2) {
        while (turn_now() != at + 1 && time_ns() < end)
            cpu_relax();
        if (turn_now() != at + 1)
            break;
        tsc_warp_see(&seen, rdtsc_ordered());
        (void)pass_turn(at + 1, at + 2);
    }
    while (turn_now() == at && time_ns() < end)
        cpu_relax();
    __atomic_store_n(&turn, cpu * STRIDE + STRIDE - 1, __ATOMIC_RELEASE);
    if (!seen.worst)
        return;
    log_warn("the TSC of CPU %u is behind that of CPU 0 by up to %llu cycles: guests are not told "
             "that it is invariant",
             cpu, (unsigned long long)seen.worst);
    disagree = true;
}

static void take_turns(uint32_t cpu)
{
    for (uint32_t at = cpu * STRIDE + 1;; at += 2) {
        while (turn_now() < at)
            cpu_relax();
        if (turn_now() != at)
            return;
        tsc_warp_see(&seen, rdtsc_ordered());
        if (!pass_turn(at, at + 1))
            return;
    }
}

/*
 * CPUs of one machine count from one reset: what differs is what the firmware wrote. Where the TSC
 * is not invariant they may differ for other reasons, and are left alone.
 */
void tsc_meet(void)
{
    uint32_t id = this_cpu()->id;
    uint64_t mine = adjustable ? rdmsr(MSR_TSC_ADJUST) : adjust;

    if (mine != adjust && x86_features.invariant_tsc)
        wrmsr(MSR_TSC_ADJUST, adjust);
    take_turns(id);
    if (mine != adjust)
        log_warn("CPU %u: the firmware had moved its TSC by %lld, not %lld as CPU 0's: %s", id,
                 (long long)mine, (long long)adjust,
                 x86_features.invariant_tsc ? "set equal" : "left so");
}
