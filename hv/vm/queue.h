/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private to sched.c and queue.c: the run queue of one CPU. Unless it says otherwise, the queue's
 * lock is held.
 */
#pragma once
#include <hv/lock.h>
#include <hv/sched.h>

#include "marks.h"
#include "runtree.h"

#define LAG_NS 20000000ull /* so far from the others is a vCPU at most when it joins them */
#define WEIGHT_UNIT 100u

/* An errand: a short turn out of line, see sched_wake_urgent(). */
enum sched_errand { ERRAND_NONE, ERRAND_WAITS /* in its queue's list */, ERRAND_RUNS };

struct own_line sched_cpu {
    struct spinlock lock;
    uint32_t nqueued;
    struct runtree tree;  /* those who wait */
    struct vcpu *running; /* written by this CPU alone, without the lock: see running_in() */
    struct vcpu *prefer;  /* queued; interrupted in its slice, so it goes first */
    uint64_t floor;       /* grows: the least vruntime of those who run and wait here */
    /* queued, too; in the order in which they came */
    struct vcpu *errands, *errands_last;
    /* when the one that yielded to `prefer` was stopped; 0: nobody did */
    uint64_t handed_ns;
    uint64_t errands_ns; /* what errands have had since the last turn that was none */
    /* of `first`, UINT64_MAX without; read by other CPUs without the lock */
    uint64_t first_vruntime;
    uint64_t forced_since, forced_ns; /* idle although vCPUs wait here: another VM has the core */
    /* where its CPU looks for work next: in its group, anywhere; its own */
    uint32_t look, look_far;
    uint32_t offered; /* by which CPU it was called to take work; this one: by none. Atomic */
    /* one who woke up shall run before the running one's slice ends */
    bool resched;
};
extern struct sched_cpu queues[MAX_CPUS];
extern struct marks queues_waiting; /* where vCPUs wait */
/* So many other CPUs does a CPU look at, at once: the next ones the next time. */
#define LOOKS 8u

/* What other CPUs read without this queue's lock is written whole. */
static inline void set_relaxed(uint64_t *p, uint64_t v)
{
    __atomic_store_n(p, v, __ATOMIC_RELAXED);
}

static inline uint32_t waiting_in(const struct sched_cpu *q)
{
    return __atomic_load_n(&q->nqueued, __ATOMIC_RELAXED);
}

/* NULL: none. Read it once: its CPU may change it at any time. */
static inline const struct vcpu *running_in(const struct sched_cpu *q)
{
    return __atomic_load_n(&q->running, __ATOMIC_RELAXED);
}

/* vruntime of one that runs: it changes without the lock, so it is read and written whole. */
static inline uint64_t had_of(const struct sched_entity *se)
{
    return __atomic_load_n(&se->vruntime, __ATOMIC_RELAXED);
}

static inline uint64_t to_virtual(const struct sched_entity *se, uint64_t ns)
{
    return sched_virtual(se->weight, ns);
}

/* What was done for it elsewhere since the last call. */
static inline uint64_t take_charge(struct sched_entity *se)
{
    if (!__atomic_load_n(&se->charged_ns, __ATOMIC_RELAXED))
        return 0;
    return __atomic_exchange_n(&se->charged_ns, 0, __ATOMIC_RELAXED);
}

/* `floor` moves on after what runs or waits has changed. */
void queue_advance(struct sched_cpu *);
/* no lock. Of the whole core where it belongs to one VM at a time */
uint64_t queue_floor(const struct sched_cpu *);
void queue_link(struct sched_cpu *, struct vcpu *);   /* into its place */
void queue_unlink(struct sched_cpu *, struct vcpu *); /* its errand stays in line */
void queue_take_out(struct sched_cpu *, struct vcpu *);
/* It is queued here, and in no errand. `first`: before the other errands. */
void queue_errand(struct sched_cpu *, struct vcpu *, bool first);
void queue_add(struct sched_cpu *, struct vcpu *); /* it begins to wait */
/* What was done elsewhere for those who come first: they pay before they run. */
void queue_collect(struct sched_cpu *);
/* One that was away (it slept, or dozed on this CPU) has no more to catch up with than LAG_NS. */
void queue_catch_up(const struct sched_cpu *, struct sched_entity *);
void queue_clamp(const struct sched_cpu *, struct sched_entity *); /* nor is it further ahead */
/* One of this queue, taken out, runs from now on. goes_on: in the slice that it had. */
void queue_start(struct vcpu *, bool goes_on);

/* ---- sched.c ---- */

/* No lock is held. Locks the queue that holds v or runs it. */
struct sched_cpu *sched_lock_queue_of(struct vcpu *v);
bool sched_is_in(const struct sched_cpu *q, const struct vcpu *v);
/* v waits in q. If it has come to be first there by far, it shall run at once: true. */
bool sched_preempt(struct sched_cpu *q, struct vcpu *v);
void sched_account(struct vcpu *); /* no lock; it runs on this CPU: what it has had until now */

/* ---- sched_steal.c; no lock is held, this CPU is `me` and q is its queue ---- */

/*
 * Takes one from another CPU, of that group (NULL: any), that has had less than `below`. It runs
 * here from now on. NULL: none was found.
 */
struct vcpu *sched_steal(struct sched_cpu *q, uint32_t me, uint64_t below,
                         const struct sched_group *);
/* Calls one of the idle CPUs, if it may take one of those who wait here. */
void sched_offer(struct sched_cpu *q, uint32_t me, struct marks *idle);
