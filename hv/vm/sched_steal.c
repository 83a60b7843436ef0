/* SPDX-License-Identifier: BSD-2-Clause */
/* sched_steal.c: CPUs take vCPUs from the queues of others, and are called for that. */
#include <hv/assert.h>
#include <hv/percpu.h>
#include <hv/vcpu.h>

#include "queue.h"

/* of LOOKS, how many go to other groups of CPUs; the distance between two of them */
#define FAR_LOOKS 2u
#define FAR_STRIDE 61u

/*
 * The first of another CPU's queue, of that group, that may run here: not the one that its CPU
 * still holds. Its queue's lock is held.
 */
static struct vcpu *first_movable(const struct sched_cpu *q, uint32_t from, uint32_t to,
                                  const struct sched_group *group)
{
    struct classes c = classes_for(to, group);
    struct vcpu *v = runtree_first_of(&q->tree, &c);

    debug_assert_held(&q->lock);
    if (v && __atomic_load_n(&percpus[from].loaded, __ATOMIC_ACQUIRE) == v)
        v = runtree_next_of(v, &c);
    return v;
}

static struct vcpu *steal_from(uint32_t from, uint32_t to, uint64_t below,
                               const struct sched_group *group)
{
    struct sched_cpu *q = &queues[from];

    debug_assert(from != to && to == this_cpu()->id);
    if (__atomic_load_n(&q->first_vruntime, __ATOMIC_RELAXED) >= below || !spin_trylock(&q->lock))
        return NULL;
    struct vcpu *v = first_movable(q, from, to, group);
    if (v && v->sched.vruntime < below) {
        queue_take_out(q, v);
        /* before it has another CPU: nobody shall take it for queued there */
        queue_start(v, false);
        __atomic_store_n(&v->sched.cpu, to, __ATOMIC_RELEASE);
    } else {
        v = NULL;
    }
    spin_unlock(&q->lock);
    return v;
}

/* The next CPU with work after *from; MAX_CPUS: none. far: it may be of any group of CPUs. */
static uint32_t next_with_work(uint32_t *from, bool far)
{
    uint32_t cpu = marks_next(&queues_waiting, *from, NULL);

    if (cpu != MAX_CPUS)
        *from = far ? (cpu + FAR_STRIDE) % cpu_count : cpu - cpu % 64 + (cpu + 1) % 64;
    return cpu;
}

/*
 * From whom: the one that called this CPU to take its work, then a few others with work: most of
 * them near, some anywhere, each time the next ones.
 */
struct vcpu *sched_steal(struct sched_cpu *q, uint32_t me, uint64_t below,
                         const struct sched_group *group)
{
    uint32_t offered = __atomic_exchange_n(&q->offered, me, __ATOMIC_RELAXED);
    struct vcpu *v = offered != me ? steal_from(offered, me, below, group) : NULL;

    for (unsigned i = 0; !v && i < LOOKS && cpu_count > 1; i++) {
        bool far = i >= LOOKS - FAR_LOOKS && cpu_count > 64;
        uint32_t cpu = next_with_work(far ? &q->look_far : &q->look, far);

        if (cpu == MAX_CPUS)
            break; /* nobody waits anywhere */
        if (cpu != me)
            v = steal_from(cpu, me, below, group);
    }
    return v;
}

/*
 * Others wait here while a CPU has nothing to do: that CPU shall come and take one. Looks at the
 * first few who wait.
 */
void sched_offer(struct sched_cpu *q, uint32_t me, struct marks *idle)
{
    uint32_t cpu = MAX_CPUS;

    if (!waiting_in(q) || !marks_any(idle))
        return;
    spin_lock(&q->lock);
    struct vcpu *v = q->tree.first;
    for (unsigned i = 0; v && cpu == MAX_CPUS && i < LOOKS; i++) {
        cpu = marks_next(idle, me, class_cpus(v));
        v = runtree_next_of(v, &every_class);
    }
    spin_unlock(&q->lock);
    if (cpu == MAX_CPUS)
        return;
    __atomic_store_n(&queues[cpu].offered, me, __ATOMIC_RELAXED);
    marks_clear(idle, cpu);
    cpu_kick(cpu);
}
