/* SPDX-License-Identifier: BSD-2-Clause */
/* loop.c: the one loop of each CPU. */
#include <arch/irq.h>
#include <hv/assert.h>
#include <hv/event.h>
#include <hv/lock.h>
#include <hv/log.h>
#include <hv/order.h>
#include <hv/percpu.h>
#include <hv/sched.h>
#include <hv/time.h>
#include <hv/vcpu.h>
#include <hv/view.h>

/* a guest runs at least this long between two rounds of events that never end */
#define GUEST_TURN_NS 2000000ull

static void set_where(struct percpu *c, enum cpu_where where)
{
    __atomic_store_n(&c->where, where, __ATOMIC_RELEASE);
    store_before_load();
}

static void loop_idle(struct percpu *c)
{
    uint64_t from = time_ns();

    debug_assert_no_locks();
    debug_assert(!c->current);
    view_enter(c, NULL);
    event_arm(UINT64_MAX);
    __atomic_store_n(&c->idle_since, from, __ATOMIC_RELAXED);
    set_where(c, CPU_ASLEEP);
    if (!__atomic_load_n(&c->wake, __ATOMIC_SEQ_CST))
        irq_wait();
    set_where(c, CPU_IN_LOOP);
    c->idle_ns += time_ns() - from;
    __atomic_store_n(&c->idle_since, 0, __ATOMIC_RELAXED);
}

static void run_guest(struct percpu *c, struct vcpu *v)
{
    uint64_t limit = sched_slice_end(v);

    debug_assert(!c->current);
    debug_assert_on_cpu(v);
    if (event_waits())
        limit = min_u64(limit, time_ns() + GUEST_TURN_NS);
    event_arm(v->ops->run_until && v->ops->run_until(v, limit) ? UINT64_MAX : limit);
    lock_assert_none();
    c->current = v;
    set_where(c, CPU_IN_GUEST);
    vcpu_run(v);
    set_where(c, CPU_IN_LOOP);
    c->current = NULL;
}

_Noreturn void cpu_loop(void)
{
    struct percpu *c = this_cpu();

    for (;;) {
        __atomic_store_n(&c->wake, 0, __ATOMIC_RELEASE);
        store_before_load();
        event_run();
        log_notes();
        struct vcpu *v = sched_pick();
        if (v)
            run_guest(c, v);
        else if (!event_waits())
            loop_idle(c);
    }
}
