/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sched_yield.c: vCPUs that give up their turn, to one of their VM where they can. That one goes on
 * with the slice, so that a VM has no more turns for it, and nobody waits longer.
 */
#include <hv/assert.h>
#include <hv/irq.h>
#include <hv/percpu.h>
#include <hv/time.h>
#include <hv/vcpu.h>

#include "queue.h"

void sched_step_back(struct vcpu *v)
{
    debug_assert_on_cpu(v);
    v->sched.yielded = 1;
}

/*
 * Exchanges their claims where `to` has had more, so that a pair of vCPUs that yield to each other
 * gains nothing over others. True: it did.
 */
static bool yield_claim(struct sched_cpu *q, struct vcpu *from, struct vcpu *to)
{
    uint64_t had = to->sched.vruntime;

    debug_assert_held(&q->lock);
    if (had <= from->sched.vruntime)
        return false;
    queue_unlink(q, to);
    to->sched.vruntime = from->sched.vruntime;
    set_relaxed(&from->sched.vruntime, had);
    queue_link(q, to);
    return true;
}

/* from runs here: in its own slice, and nobody else is to come first? */
static bool yield_can_hand_on(const struct sched_cpu *q, const struct vcpu *from)
{
    return q == &queues[this_cpu()->id] && !q->prefer && from->sched.errand == ERRAND_NONE &&
           !sched_should_yield(from);
}

static void yield_slice(struct sched_cpu *q, struct vcpu *from, struct vcpu *to)
{
    (void)yield_claim(q, from, to);
    to->sched.slice_start = from->sched.slice_start;
    __atomic_store_n(&q->prefer, to, __ATOMIC_RELAXED);
}

/* With q's lock held. True: `to` waits for another CPU, which shall look. */
static bool yield_in(struct sched_cpu *q, struct vcpu *from, struct vcpu *to)
{
    if (!sched_is_in(q, to))
        return false;
    if (yield_can_hand_on(q, from)) {
        yield_slice(q, from, to);
        return false;
    }
    return yield_claim(q, from, to) && sched_preempt(q, to);
}

void sched_yield_to(struct vcpu *from, struct vcpu *to)
{
    debug_assert_on_cpu(from);
    debug_assert(from->vm == to->vm);
    sched_step_back(from);
    if (from == to)
        return;
    sched_account(from);
    struct sched_cpu *q = sched_lock_queue_of(to);
    bool kick = yield_in(q, from, to);
    uint32_t cpu = to->sched.cpu;
    spin_unlock(&q->lock);
    if (kick)
        cpu_kick(cpu);
}

/*
 * Of those of v's VM that wait here and come next: one that does not spin, which may hold the lock;
 * else the one that has spun longest ago, as locks are mostly handed on in the order in which they
 * were asked for. NULL: none.
 */
static struct vcpu *yield_mate(const struct sched_cpu *q, const struct vcpu *v)
{
    struct classes c = classes_of(v->sched.group);
    struct vcpu *mate = runtree_first_of(&q->tree, &c), *best = mate;

    for (unsigned i = 1; mate && i < LOOKS; i++) {
        mate = runtree_next_of(mate, &c);
        if (mate && mate->sched.spun_ns < best->sched.spun_ns)
            best = mate;
    }
    return best;
}

bool sched_spins(struct vcpu *v, bool anybody)
{
    struct sched_cpu *q = &queues[v->sched.cpu];
    struct vcpu *mate;

    debug_assert_on_cpu(v);
    if (v->sched.yielded)
        return true; /* it has said itself to whom */
    if (!waiting_in(q) && !(anybody && marks_any(&queues_waiting)))
        return false;
    sched_account(v);
    spin_lock(&q->lock);
    mate = yield_mate(q, v);
    if (mate && yield_can_hand_on(q, v))
        yield_slice(q, v, mate);
    spin_unlock(&q->lock);
    if (!mate && !anybody)
        return false;
    sched_step_back(v);
    v->sched.spun_ns = v->sched.since;
    return true;
}
