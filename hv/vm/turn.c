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
#include "queue.h"
#include "turn.h"

#define THREADS 32u /* of a core that share it; further ones are parked */
#define TURN_NS 3000000ull
/* who has waited so long is next, however much it had before others came */
#define LONG_NS 100000000ull
#define AWAY_NS 10000000ull /* what waits on other cores must have had so much less */

struct core {
    struct spinlock lock;
    uint32_t threads;
    uint16_t cpu[THREADS]; /* of each thread */
    /* bit per thread: those that run vCPUs of `group`, or did and have not picked since */
    uint32_t inside;
    const struct sched_group *group; /* whose turn it is */
    uint32_t look;                   /* where to look for work elsewhere; under the lock */
    uint64_t end;
    uint64_t floor; /* see turn_floor(); atomic: no lock */
    bool closing;   /* the turn is over: nobody enters until all have left */
};

struct turn_claim turn_claims[MAX_CPUS];
struct core *turn_core[MAX_CPUS];
static struct core cores[MAX_CPUS];
static uint8_t thread_of[MAX_CPUS]; /* its number in its core; THREADS: there are too many */

static uint32_t turn_bit_of(uint32_t cpu) { return 1u << thread_of[cpu]; }

/* The first CPU of the same core. */
static uint32_t first_thread(uint32_t cpu)
{
    uint32_t first = 0;

    while (arch_core_id(first) != arch_core_id(cpu))
        first++;
    return first;
}

bool turn_has_threads(uint32_t cpu)
{
    hv_assert(cpu < cpu_count);
    for (uint32_t i = 0; i < cpu_count; i++)
        if (i != cpu && arch_core_id(i) == arch_core_id(cpu))
            return true;
    return false;
}

static void join_core(struct core *k, uint32_t cpu)
{
    if (k->threads == THREADS) {
        thread_of[cpu] = THREADS;
        return;
    }
    thread_of[cpu] = (uint8_t)k->threads;
    k->cpu[k->threads++] = (uint16_t)cpu;
}

void turn_set(enum sched_smt smt, struct cpuset *parked)
{
    assert_cpu0();
    hv_assert(smt != SMT_AUTO);
    *parked = (struct cpuset){ { 0 } };
    for (uint32_t cpu = 0; cpu < cpu_count; cpu++) {
        uint32_t first = first_thread(cpu);

        turn_core[cpu] = NULL;
        turn_claims[cpu] =
            (struct turn_claim){ .armed = UINT64_MAX, .runs = UINT64_MAX, .had = UINT64_MAX };
        if (cpu == first) {
            cores[cpu] = (struct core){ .threads = 0 };
            spin_init(&cores[cpu].lock, LOCK_SCHED);
        }
        join_core(&cores[first], cpu);
        if ((smt == SMT_OFF && cpu != first) || (smt == SMT_CORE && thread_of[cpu] == THREADS))
            cpuset_add(parked, cpu);
    }
    for (uint32_t cpu = 0; smt == SMT_CORE && cpu < cpu_count; cpu++) {
        struct core *k = &cores[first_thread(cpu)];

        if (k->threads > 1 && thread_of[cpu] != THREADS)
            turn_core[cpu] = k;
    }
}

static const struct sched_group *claimant(uint32_t cpu)
{
    return __atomic_load_n(&turn_claims[cpu].group, __ATOMIC_SEQ_CST);
}

bool turn_contended(const struct core *k)
{
    const struct sched_group *vm = __atomic_load_n(&k->group, __ATOMIC_RELAXED);

    for (uint32_t i = 0; i < k->threads; i++) {
        const struct sched_group *first = claimant(k->cpu[i]);

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

    for (uint32_t i = 0; i < k->threads; i++) {
        const struct turn_claim *c = &turn_claims[k->cpu[i]];

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

    if (turn_core[cpu] != k)
        return had + AWAY_NS;
    return since < now && now - since > LONG_NS ? 0 : had;
}

struct best {
    const struct sched_group *vm;
    uint64_t had;
};

static void turn_compare(const struct core *k, struct best *best, uint32_t cpu)
{
    const struct sched_group *vm = claimant(cpu);
    uint64_t had = had_by(k, cpu);

    if (!vm || had >= best->had)
        return;
    best->vm = vm;
    best->had = had;
}

/*
 * The VM of the vCPU that has had least. Of other cores it looks at a few where vCPUs wait, each
 * time at the next ones.
 */
static const struct sched_group *turn_least(struct core *k, enum turn_claims which)
{
    struct best best = { NULL, UINT64_MAX };
    uint32_t from = k->look < cpu_count ? k->look : 0;

    for (uint32_t i = 0; i < k->threads; i++)
        turn_compare(k, &best, k->cpu[i]);
    for (unsigned i = 0; which == TURN_ALL && i < LOOKS; i++) {
        uint32_t cpu = marks_next(&queues_waiting, from, NULL);

        if (cpu == MAX_CPUS)
            break;
        turn_compare(k, &best, cpu);
        from = (cpu + 1) % cpu_count;
    }
    k->look = from;
    return best.vm;
}

/* Under the lock; `me` is outside now. */
static const struct sched_group *admit(struct core *k, bool goes_on, bool was_inside,
                                       enum turn_claims which, bool *fresh)
{
    uint64_t now = time_ns();
    bool over = k->closing || now >= k->end;
    const struct sched_group *vm;

    debug_assert_held(&k->lock);
    if (!over && (k->inside || (was_inside && goes_on)))
        return k->group;
    vm = turn_least(k, k->inside ? TURN_CORE : which);
    if (k->inside && (k->closing || (vm && vm != k->group))) {
        k->closing |= was_inside;
        return NULL;
    }
    *fresh = !k->inside;
    k->closing = false;
    __atomic_store_n(&k->end, now + TURN_NS, __ATOMIC_RELAXED);
    if (!k->inside)
        __atomic_store_n(&k->group, vm, __ATOMIC_RELAXED);
    return k->group;
}

const struct sched_group *turn_enter(struct core *k, uint32_t me, bool goes_on,
                                     enum turn_claims which, bool *fresh)
{
    uint32_t bit = turn_bit_of(me);
    const struct sched_group *vm;
    bool was_inside;

    debug_assert(me == this_cpu()->id && turn_core[me] == k);
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
    k->inside &= ~turn_bit_of(me);
    spin_unlock(&k->lock);
}

static uint32_t others_inside(struct core *k, uint32_t me)
{
    uint32_t inside;

    spin_lock(&k->lock);
    inside = k->inside & ~turn_bit_of(me);
    spin_unlock(&k->lock);
    return inside;
}

/* See sched_slice_end(): our claim was written before, so a thread that arms later sees it. */
void turn_call_insiders(struct core *k, uint32_t me)
{
    debug_assert(me == this_cpu()->id);
    for (uint32_t rest = others_inside(k, me); rest; rest &= rest - 1) {
        uint32_t cpu = k->cpu[__builtin_ctz(rest)];

        if (__atomic_load_n(&turn_claims[cpu].armed, __ATOMIC_SEQ_CST) > turn_end(k))
            cpu_kick(cpu);
    }
}

void turn_call_outsiders(struct core *k, uint32_t me, bool fresh)
{
    uint32_t inside = others_inside(k, me), skip = inside | turn_bit_of(me);

    debug_assert(me == this_cpu()->id);
    for (uint32_t i = 0; (fresh || !inside) && i < k->threads; i++)
        if (!(skip >> i & 1) && claimant(k->cpu[i]))
            cpu_kick(k->cpu[i]);
}
