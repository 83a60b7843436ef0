/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * turn.c: core scheduling. The threads of a core share caches and predictors. Where a CPU leaks
 * through these, a core belongs to one VM at a time: its threads run vCPUs of that VM, or none.
 * While others wait for the core, it changes hands after TURN_NS at most; then the VM of the vCPU
 * that has had least gets it, so that shares stay what they are. A thread that may run none of
 * those that wait for it stays idle until the turn passes. Trivet's own code may run on one thread
 * while another runs a guest.
 */
#include <arch/cpu.h>
#include <hv/assert.h>
#include <hv/lock.h>
#include <hv/percpu.h>
#include <hv/time.h>
#include "turn.h"

#define TURN_NS 3000000ull
/* who has waited so long is next, however much it had before others came */
#define LONG_NS 100000000ull
#define AWAY_NS 10000000ull /* what waits on other cores must have had so much less */

struct core {
    struct spinlock lock;
    uint64_t threads; /* bit per CPU */
    /* those that run vCPUs of `vm`, or did and have not picked since */
    uint64_t inside;
    const struct vm *vm; /* whose turn it is */
    uint64_t end;
    uint64_t floor; /* see turn_floor(); atomic: no lock */
    bool closing;   /* the turn is over: nobody enters until all have left */
};

struct turn_claim turn_claims[MAX_CPUS];
struct core *turn_core[MAX_CPUS];
static struct core cores[MAX_CPUS];

uint64_t turn_threads(uint32_t cpu)
{
    uint64_t threads = 0;

    hv_assert(cpu < cpu_count);
    for (uint32_t i = 0; i < cpu_count; i++)
        if (arch_core_id(i) == arch_core_id(cpu))
            threads |= 1ull << i;
    return threads;
}

uint64_t turn_set(enum sched_smt smt)
{
    uint64_t parked = 0;

    assert_cpu0();
    hv_assert(smt != SMT_AUTO);
    for (uint32_t cpu = 0; cpu < cpu_count; cpu++) {
        uint64_t threads = turn_threads(cpu);
        uint32_t first = (uint32_t)__builtin_ctzll(threads);

        turn_core[cpu] = NULL;
        turn_claims[cpu] =
            (struct turn_claim){ .armed = UINT64_MAX, .runs = UINT64_MAX, .had = UINT64_MAX };
        if (smt == SMT_OFF && cpu != first)
            parked |= 1ull << cpu;
        if (smt != SMT_CORE || threads == 1ull << cpu)
            continue;
        if (cpu == first) {
            cores[first] = (struct core){ .threads = threads };
            spin_init(&cores[first].lock, LOCK_SCHED);
        }
        turn_core[cpu] = &cores[first];
    }
    return parked;
}

static const struct vm *claimant(uint32_t cpu)
{
    return __atomic_load_n(&turn_claims[cpu].vm, __ATOMIC_SEQ_CST);
}

bool turn_contended(const struct core *k)
{
    const struct vm *vm = __atomic_load_n(&k->vm, __ATOMIC_RELAXED);

    for (uint64_t rest = k->threads; rest; rest &= rest - 1) {
        const struct vm *first = claimant((uint32_t)__builtin_ctzll(rest));

        if (first && first != vm)
            return true;
    }
    return false;
}

uint64_t turn_end(const struct core *k) { return __atomic_load_n(&k->end, __ATOMIC_RELAXED); }

uint64_t turn_floor(const struct core *k) { return __atomic_load_n(&k->floor, __ATOMIC_RELAXED); }

void turn_advance(struct core *k)
{
    uint64_t least = UINT64_MAX, was = turn_floor(k);

    for (uint64_t rest = k->threads; rest; rest &= rest - 1) {
        const struct turn_claim *c = &turn_claims[__builtin_ctzll(rest)];

        least = min_u64(least, __atomic_load_n(&c->had, __ATOMIC_RELAXED));
        least = min_u64(least, __atomic_load_n(&c->runs, __ATOMIC_RELAXED));
    }
    if (least == UINT64_MAX)
        return;
    while (was < least && !__atomic_compare_exchange_n(&k->floor, &was, least, true,
                                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static uint64_t had_by(const struct core *k, uint32_t cpu)
{
    uint64_t had = __atomic_load_n(&turn_claims[cpu].had, __ATOMIC_RELAXED), now = time_ns();
    uint64_t since = __atomic_load_n(&turn_claims[cpu].since, __ATOMIC_RELAXED);

    if (!(k->threads >> cpu & 1))
        return had + AWAY_NS;
    return since < now && now - since > LONG_NS ? 0 : had;
}

/* The VM of the vCPU that has had least. */
static const struct vm *least(const struct core *k, enum turn_claims which)
{
    const struct vm *best = NULL;
    uint64_t had = UINT64_MAX;

    for (uint32_t cpu = 0; cpu < cpu_count; cpu++) {
        const struct vm *vm = claimant(cpu);
        bool counts = which == TURN_ALL || k->threads >> cpu & 1;

        if (!vm || !counts || had_by(k, cpu) >= had)
            continue;
        best = vm;
        had = had_by(k, cpu);
    }
    return best;
}

/* Under the lock; `me` is outside now. */
static const struct vm *admit(struct core *k, bool goes_on, bool was_inside, enum turn_claims which,
                              bool *fresh)
{
    uint64_t now = time_ns();
    bool over = k->closing || now >= k->end;
    const struct vm *vm;

    debug_assert_held(&k->lock);
    if (!over && (k->inside || (was_inside && goes_on)))
        return k->vm;
    vm = least(k, k->inside ? TURN_CORE : which);
    if (k->inside && (k->closing || (vm && vm != k->vm))) {
        k->closing |= was_inside;
        return NULL;
    }
    *fresh = !k->inside;
    k->closing = false;
    __atomic_store_n(&k->end, now + TURN_NS, __ATOMIC_RELAXED);
    if (!k->inside)
        __atomic_store_n(&k->vm, vm, __ATOMIC_RELAXED);
    return k->vm;
}

const struct vm *turn_enter(struct core *k, uint32_t me, bool goes_on, enum turn_claims which,
                            bool *fresh)
{
    uint64_t bit = 1ull << me;
    const struct vm *vm;
    bool was_inside;

    debug_assert(me == this_cpu()->id && k->threads & bit);
    spin_lock(&k->lock);
    was_inside = k->inside & bit;
    k->inside &= ~bit;
    vm = admit(k, goes_on, was_inside, which, fresh);
    if (vm)
        k->inside |= bit;
    spin_unlock(&k->lock);
    return vm;
}

void turn_leave(struct core *k, uint32_t me)
{
    debug_assert(me == this_cpu()->id);
    spin_lock(&k->lock);
    k->inside &= ~(1ull << me);
    spin_unlock(&k->lock);
}

static uint64_t others_inside(struct core *k, uint32_t me)
{
    uint64_t inside;

    spin_lock(&k->lock);
    inside = k->inside & ~(1ull << me);
    spin_unlock(&k->lock);
    return inside;
}

/* See sched_slice_end(): our claim was written before, so a thread that arms later sees it. */
void turn_call_insiders(struct core *k, uint32_t me)
{
    debug_assert(me == this_cpu()->id);
    for (uint64_t rest = others_inside(k, me); rest; rest &= rest - 1) {
        uint32_t cpu = (uint32_t)__builtin_ctzll(rest);

        if (__atomic_load_n(&turn_claims[cpu].armed, __ATOMIC_SEQ_CST) > turn_end(k))
            cpu_kick(cpu);
    }
}

void turn_call_outsiders(struct core *k, uint32_t me, bool fresh)
{
    uint64_t inside = others_inside(k, me),
             rest = fresh || !inside ? k->threads & ~inside & ~(1ull << me) : 0;

    debug_assert(me == this_cpu()->id);
    for (; rest; rest &= rest - 1) {
        uint32_t cpu = (uint32_t)__builtin_ctzll(rest);

        if (claimant(cpu))
            cpu_kick(cpu);
    }
}
