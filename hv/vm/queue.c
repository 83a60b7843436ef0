/* SPDX-License-Identifier: BSD-2-Clause */
/* queue.c: the vCPUs that wait for one CPU, in the order of their virtual run times. */
#include <hv/assert.h>
#include <hv/order.h>
#include <hv/percpu.h>
#include <hv/time.h>
#include <hv/vcpu.h>

#include "queue.h"
#include "turn.h"

struct marks queues_waiting;

uint64_t sched_virtual(uint32_t weight, uint64_t ns)
{
    return ns * WEIGHT_UNIT / (weight ? weight : WEIGHT_UNIT);
}

/* In one order with `armed`: see sched_slice_end(). */
static void queue_claim(struct turn_claim *c, const struct vcpu *first)
{
    set_relaxed(&c->had, first ? first->sched.vruntime : UINT64_MAX);
    set_relaxed(&c->since, first ? first->sched.since : UINT64_MAX);
    __atomic_store_n(&c->group, first ? first->sched.group : NULL, __ATOMIC_RELEASE);
    store_before_load();
}

static void note_first(struct sched_cpu *q)
{
    const struct vcpu *first = q->tree.first;
    uint32_t cpu = (uint32_t)(q - queues);

    debug_assert_held(&q->lock);
    set_relaxed(&q->first_vruntime, first ? first->sched.vruntime : UINT64_MAX);
    if (!first)
        marks_clear(&queues_waiting, cpu);
    else if (!marks_has(&queues_waiting, cpu))
        marks_set(&queues_waiting, cpu);
    if (turn_core[cpu])
        queue_claim(&turn_claims[cpu], first);
}

void queue_advance(struct sched_cpu *q)
{
    const struct vcpu *r = running_in(q);
    uint64_t runs = r ? had_of(&r->sched) : UINT64_MAX;
    uint64_t least = min_u64(runs, q->first_vruntime);
    struct core *core = turn_core[q - queues];

    debug_assert_held(&q->lock);
    if (core) {
        set_relaxed(&turn_claims[q - queues].runs, runs);
        turn_advance(core);
    } else if (least != UINT64_MAX) {
        q->floor = max_u64(q->floor, least);
    }
}

uint64_t queue_floor(const struct sched_cpu *q)
{
    const struct core *core = turn_core[q - queues];

    return core ? turn_floor(core) : q->floor;
}

void queue_link(struct sched_cpu *q, struct vcpu *v)
{
    debug_assert_held(&q->lock);
    debug_assert(q->prefer != v);
    runtree_insert(&q->tree, v);
    __atomic_store_n(&q->nqueued, q->nqueued + 1, __ATOMIC_RELAXED);
    note_first(q);
}

void queue_unlink(struct sched_cpu *q, struct vcpu *v)
{
    debug_assert_held(&q->lock);
    debug_assert(q->nqueued > 0);
    debug_assert(v->sched.up || q->tree.root == v);
    runtree_remove(&q->tree, v);
    if (q->prefer == v)
        __atomic_store_n(&q->prefer, NULL, __ATOMIC_RELAXED);
    __atomic_store_n(&q->nqueued, q->nqueued - 1, __ATOMIC_RELAXED);
    note_first(q);
}

static void errand_drop(struct sched_cpu *q, struct vcpu *v)
{
    struct vcpu *next = v->sched.errand_next, *prev = v->sched.errand_prev;

    if (prev)
        prev->sched.errand_next = next;
    else
        __atomic_store_n(&q->errands, next, __ATOMIC_RELAXED);
    if (next)
        next->sched.errand_prev = prev;
    else
        q->errands_last = prev;
    v->sched.errand_next = v->sched.errand_prev = NULL;
    v->sched.errand = ERRAND_NONE;
}

void queue_take_out(struct sched_cpu *q, struct vcpu *v)
{
    queue_unlink(q, v);
    if (v->sched.errand == ERRAND_WAITS)
        errand_drop(q, v);
}

void queue_errand(struct sched_cpu *q, struct vcpu *v, bool first)
{
    struct vcpu *prev = first ? NULL : q->errands_last, *next = first ? q->errands : NULL;

    v->sched.errand = ERRAND_WAITS;
    v->sched.errand_next = next;
    v->sched.errand_prev = prev;
    if (prev)
        prev->sched.errand_next = v;
    else
        __atomic_store_n(&q->errands, v, __ATOMIC_RELAXED);
    if (next)
        next->sched.errand_prev = v;
    else
        q->errands_last = v;
}

void queue_catch_up(const struct sched_cpu *q, struct sched_entity *se)
{
    uint64_t floor = queue_floor(q);

    debug_assert_held(&q->lock);
    if (floor > LAG_NS)
        se->vruntime = max_u64(se->vruntime, floor - LAG_NS);
}

void queue_clamp(const struct sched_cpu *q, struct sched_entity *se)
{
    uint64_t floor = queue_floor(q);

    queue_catch_up(q, se);
    if (floor)
        se->vruntime = min_u64(se->vruntime, floor + LAG_NS);
}

void queue_add(struct sched_cpu *q, struct vcpu *v)
{
    debug_assert_held(&q->lock);
    debug_assert(v->sched.state != SCHED_QUEUED);
    set_relaxed(&v->sched.since, time_ns());
    __atomic_store_n(&v->sched.state, SCHED_QUEUED, __ATOMIC_RELEASE);
    queue_link(q, v);
}

void queue_collect(struct sched_cpu *q)
{
    debug_assert_held(&q->lock);
    for (uint32_t n = q->nqueued; n && q->tree.first; n--) {
        struct vcpu *v = q->tree.first;
        uint64_t charged = take_charge(&v->sched);

        if (!charged)
            return;
        uint64_t had = v->sched.vruntime + to_virtual(&v->sched, charged);
        const struct vcpu *second = runtree_second(&q->tree);

        if (!second || had < second->sched.vruntime) { /* it stays the first */
            v->sched.vruntime = had;
            note_first(q);
            continue;
        }
        queue_unlink(q, v);
        v->sched.vruntime = had;
        queue_link(q, v);
    }
}

void queue_start(struct vcpu *v, bool goes_on)
{
    struct sched_entity *se = &v->sched;
    uint64_t now = time_ns();

    debug_assert(se->state == SCHED_QUEUED);
    se->steal_ns += now - se->since;
    set_relaxed(&se->since, now);
    if (!goes_on)
        se->slice_start = now;
    __atomic_store_n(&se->wake_pending, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&se->state, SCHED_RUNNING, __ATOMIC_RELEASE);
    store_before_load(); /* what its wakers did before is seen when it looks at `requests` */
}
