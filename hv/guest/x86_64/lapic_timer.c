/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The LAPIC timer: one-shot, periodic, TSC deadline. Intel SDM vol 3 §11.5.4. The bus clock is
 * LAPIC_TIMER_HZ = 1 GHz, so that one count of divider 1 is 1 ns. The event only marks the timer
 * due, wherever it runs; the vCPU's own CPU looks at the clock (lapic_timer_check) and alone
 * touches the state. A guest's pause makes an event early: then it is armed again.
 */
#include <hv/assert.h>
#include <hv/percpu.h>
#include <hv/time.h>
#include <hv/vcpu.h>
#include <hv/vm.h>
#include <hv/x86.h>
#include "x86_devices.h"
#include "x86_intc.h"

/* host events of a periodic timer come no closer; ticks in between are one */
#define PERIOD_MIN_NS 50000ull
/* nor closer than this, where looks come late: see next_gap() */
#define PERIOD_LATE_NS 300000ull
#define EARLY_NS 1000ull
#define FAR_NS (1ull << 60)

static enum lapic_timer_mode mode_of(uint32_t lvt)
{
    return (enum lapic_timer_mode)(lvt >> 17 & 3);
}

static bool masked(const struct lapic *l) { return l->s.lvt[LVT_TIMER] & LVT_MASKED; }

/* Divider: bits 3, 1, 0 of TDCR: 0 -> 2, 1 -> 4 ... 6 -> 128, 7 -> 1. */
static uint64_t divider(uint32_t tdcr)
{
    uint32_t n = (tdcr & 3) | (tdcr >> 1 & 4);

    return 1ull << ((n + 1) & 7);
}

static uint64_t period_ns(const struct lapic *l) { return l->s.tmict * divider(l->s.tdcr); }

static void timer_event(struct event *e)
{
    struct lapic *l = container_of(e, struct lapic, timer);

    __atomic_store_n(&l->timer_due, 1, __ATOMIC_RELEASE);
    vcpu_request(l->v, REQ_IRQ);
}

void lapic_timer_init(struct lapic *l)
{
    assert_cpu0();
    event_init(&l->timer, timer_event, this_cpu()->id);
}

static void arm_host(struct lapic *l, uint64_t host_ns)
{
    uint32_t cpu = this_cpu()->id;

    if (l->timer.cpu != cpu) {
        event_cancel(&l->timer);
        l->timer.cpu = (uint16_t)cpu;
    }
    event_at(&l->timer, host_ns);
}

void lapic_timer_stop(struct lapic *l)
{
    debug_assert_own_cpu(l->v);
    l->s.deadline = l->s.tsc_deadline = 0;
    event_cancel(&l->timer);
    __atomic_store_n(&l->timer_due, 0, __ATOMIC_RELEASE);
}

static void arm_count(struct lapic *l, uint64_t gap)
{
    uint64_t host = vm_time_to_host(l->v->vm, l->s.deadline);

    l->armed = max_u64(host, time_ns() + gap);
    arm_host(l, l->armed);
}

/*
 * From one tick of a periodic timer to the next. Where the way from the host's timer to here and
 * back into the guest takes longer than the shortest period, the guest would get nothing of its
 * CPU: then the gap grows.
 */
static uint64_t next_gap(const struct lapic *l)
{
    uint64_t now = time_ns(), late = now > l->armed ? now - l->armed : 0;

    return min_u64(PERIOD_MIN_NS + 4 * late, PERIOD_LATE_NS);
}

/* TSC ticks until the deadline; 0: reached. Both are unsigned: ~0 is far away, not past. */
static uint64_t tsc_left(const struct lapic *l)
{
    uint64_t offset = 0, now;

    (void)l->v->ops->get_sysreg(l->v, X86_TSC_OFFSET, &offset);
    now = time_cycles() + offset;
    return l->s.tsc_deadline > now ? l->s.tsc_deadline - now : 0;
}

static void check_tsc(struct lapic *l)
{
    uint64_t left;

    if (!l->s.tsc_deadline)
        return;
    left = tsc_left(l);
    if (left) {
        arm_host(l, time_ns() + 1 + min_u64(time_cycles_to_ns(min_u64(left, FAR_NS)), FAR_NS));
        return;
    }
    l->s.tsc_deadline = 0;
    lapic_local(l, LVT_TIMER);
}

/* Moves a periodic deadline past now by whole periods, so that it never drifts. */
static void advance(struct lapic *l, uint64_t now)
{
    uint64_t p = period_ns(l);

    if (p)
        l->s.deadline += ((now - l->s.deadline) / p + 1) * p;
    else
        l->s.deadline = 0;
}

static void check_count(struct lapic *l)
{
    uint64_t now = vm_time_ns(l->v->vm);

    if (!l->s.deadline || masked(l))
        return;
    if (now < l->s.deadline) {
        arm_count(l, EARLY_NS);
        return;
    }
    lapic_local(l, LVT_TIMER);
    if (mode_of(l->s.lvt[LVT_TIMER]) == TIMER_PERIODIC) {
        advance(l, now);
        arm_count(l, next_gap(l));
    } else {
        l->s.deadline = 0;
    }
}

void lapic_timer_check(struct lapic *l)
{
    debug_assert_own_cpu(l->v);
    __atomic_store_n(&l->timer_due, 0, __ATOMIC_RELEASE);
    if (mode_of(l->s.lvt[LVT_TIMER]) == TIMER_TSC)
        check_tsc(l);
    else
        check_count(l);
}

/*
 * A count that has run out is judged by the mode and mask under which it ran out. What fell due
 * while masked is lost.
 */
static void settle(struct lapic *l)
{
    uint64_t now = vm_time_ns(l->v->vm);

    if (!l->s.deadline || now < l->s.deadline)
        return;
    if (!masked(l))
        check_count(l);
    else if (mode_of(l->s.lvt[LVT_TIMER]) == TIMER_PERIODIC)
        advance(l, now);
    else
        l->s.deadline = 0;
}

void lapic_timer_set_count(struct lapic *l, uint32_t tmict)
{
    uint64_t p;

    debug_assert_own_cpu(l->v);
    if (mode_of(l->s.lvt[LVT_TIMER]) >= TIMER_TSC)
        return;
    settle(l);
    l->s.tmict = tmict;
    p = period_ns(l);
    if (!p) {
        lapic_timer_stop(l);
        return;
    }
    l->s.deadline = vm_time_ns(l->v->vm) + p;
    if (!masked(l))
        arm_count(l, 0);
}

/* Counts left until the deadline, in units of the divided clock. */
uint32_t lapic_timer_left(const struct lapic *l)
{
    uint64_t now, left;

    if (!l->s.deadline)
        return 0;
    now = vm_time_ns(l->v->vm);
    if (now < l->s.deadline)
        left = l->s.deadline - now;
    else if (mode_of(l->s.lvt[LVT_TIMER]) == TIMER_PERIODIC && period_ns(l))
        left = period_ns(l) - (now - l->s.deadline) % period_ns(l);
    else
        left = 0;
    return (uint32_t)(left / divider(l->s.tdcr));
}

void lapic_timer_set_divider(struct lapic *l, uint32_t tdcr)
{
    uint64_t count;

    debug_assert_own_cpu(l->v);
    if (mode_of(l->s.lvt[LVT_TIMER]) < TIMER_TSC)
        settle(l);
    count = lapic_timer_left(l);
    l->s.tdcr = tdcr;
    if (!l->s.deadline || !count)
        return;
    l->s.deadline = vm_time_ns(l->v->vm) + count * divider(tdcr);
    if (!masked(l))
        arm_count(l, 0);
}

void lapic_timer_set_lvt(struct lapic *l, uint32_t lvt)
{
    uint32_t old = l->s.lvt[LVT_TIMER];
    bool was_tsc = mode_of(old) >= TIMER_TSC, is_tsc = mode_of(lvt) >= TIMER_TSC;

    debug_assert_own_cpu(l->v);
    if (!was_tsc && !is_tsc)
        settle(l);
    __atomic_store_n(&l->s.lvt[LVT_TIMER], lvt, __ATOMIC_RELEASE);
    /* a change to or from TSC-deadline mode disarms (SDM vol 3 §11.5.4.1) */
    if (was_tsc != is_tsc) {
        l->s.tmict = 0;
        lapic_timer_stop(l);
        return;
    }
    if (is_tsc)
        return;
    if (lvt & LVT_MASKED)
        event_cancel(&l->timer);
    else if ((old & LVT_MASKED) && l->s.deadline)
        arm_count(l, 0);
}

void lapic_timer_hold(struct lapic *l) { event_cancel(&l->timer); }

void lapic_timer_release(struct lapic *l) { __atomic_store_n(&l->timer_due, 1, __ATOMIC_RELEASE); }

uint64_t lapic_get_tsc_deadline(struct vcpu *v)
{
    struct lapic *l = lapic_of(v);

    if (l->s.tsc_deadline && !tsc_left(l))
        check_tsc(l);
    return l->s.tsc_deadline;
}

void lapic_set_tsc_deadline(struct vcpu *v, uint64_t tsc)
{
    struct lapic *l = lapic_of(v);

    debug_assert_own_cpu(v);
    if (mode_of(l->s.lvt[LVT_TIMER]) != TIMER_TSC)
        return;
    l->s.tsc_deadline = tsc;
    if (tsc)
        check_tsc(l);
    else
        event_cancel(&l->timer);
}

void lapic_tsc_changed(struct vcpu *v)
{
    debug_assert_own_cpu(v);
    if (lapic_of(v)->s.tsc_deadline)
        check_tsc(lapic_of(v));
}
