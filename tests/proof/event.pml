/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events: each post is followed by a run of the event's function that sees what was written before the post; the event is never
 * in a list twice; when event_cancel() has returned and nobody posts any more, no CPU touches the event again, so that it may be
 * freed, or moved to another CPU.
 *
 * One event; two CPUs with a queue and a loop each; a poster on a further CPU, which also sets the timer; a second poster, or one
 * that cancels. The function may post its own event once more, or set its timer. With EXITS the CPUs run guests, too, and so many
 * exits have work for the event: it is run at once, in the exit, where it may be, else posted.
 *
 * Assumptions:
 * - The compare-and-exchange loop of event_post() is one step: the stack's order is not what is proved here, only who is in it.
 * - POSTED, `posted`, `running`, `wake` and `where` are changed by read-modify-writes or sequentially consistent stores: memory is
 *   one. What is written before a post is seen by the function, since the push releases and take_posted() acquires.
 * - A timed event is due at once; the hardware timer's interrupt comes while the CPU sleeps.
 * - Dead events (event_kill) are not modelled.
 * - In a guest a CPU stays until an interrupt comes, an exit ends, or the timer that was set is due; no time slice ends.
 * - What holds the queue's lock is one step as far as others look at the queue under the lock; event_post(), which takes none, may
 *   come between any two of its changes.
 *
 * verify POSTS: two posters and the timer, and nobody cancels: nothing is lost
 * verify CANCELS: it is cancelled while others post it, and posted again
 * verify FREES: the poster ends, it is cancelled and freed
 * verify MOVES: the poster ends, it is cancelled, gets another CPU and is posted
 * verify CPUS=1 EXITS=2 POSTS: two exits, and the poster and the timer
 * verify CPUS=1 EXITS=1 CANCELS: it is cancelled while an exit runs it
 * verify CPUS=1 EXITS=1 FREES: the poster and the exit end, it is cancelled and freed
 * refute TEST_THEN_SET POSTS: event_post() looks at POSTED and sets it in two steps
 * refute CLEAR_LATE POSTS: POSTED is cleared when the function has returned
 * refute KICK_FIRST POSTS: event_post() kicks the CPU before the event is in its list
 * refute DUE_TWICE POSTS: take_due() takes an event that is posted already
 * refute NO_RUNNING FREES: event_cancel() does not wait for the function
 * refute RUNNING_LAST FREES: event_cancel() looks at POSTED first, then whether the function runs: it may post itself, and end, in between
 * refute READY_ONLY FREES: event_cancel() looks for the event among those taken, not among those posted, and does not try again
 * refute HEAP_FORGOTTEN FREES: event_cancel() leaves the event in the timer heap
 * refute AT_ONCE_UNSEEN CPUS=1 EXITS=1 CANCELS: event_run_at_once() does not say that the function runs
 * refute AT_ONCE_ELSEWHERE EXITS=1 POSTS: event_run_at_once() does not ask whose event it is
 * refute AT_ONCE_NO_KICK CPUS=1 EXITS=1 POSTS: the function posted to its own CPU in an exit, and nobody leaves the guest for it
 * refute AT_ONCE_NO_ARM CPUS=1 EXITS=1 POSTS: the function set a timer in an exit, and the CPU goes back to the guest without setting its own
 * refute AT_ONCE_ONLY CPUS=1 EXITS=1 POSTS: who could not have it run at once does not post it
 * refute FREES EARLY: it is freed while somebody may still post it
 * refute MOVES EARLY: it is moved while somebody may still post it
 */
#ifndef CPUS
#define CPUS 2
#endif
#ifndef EXITS
#define EXITS 0
#endif
#if defined(POSTS) && !EXITS
#define POSTERS 2
#else
#define POSTERS 1
#endif

mtype = { IN_LOOP, IN_GUEST, ASLEEP };

bool flag;                              /* ev->state & POSTED */
byte on;                                /* ev->cpu */
bool posted[CPUS], ready[CPUS], heap[CPUS], running[CPUS], locked[CPUS], wake[CPUS], ipi[CPUS];
mtype where[CPUS] = IN_LOOP;
byte data, seen, posters = POSTERS;
bool freed, again = true, cancelling;
byte exits = EXITS;                     /* that have work for the event, still to come */
bool asked, old;                        /* event_cancel() was called; a function runs that began before */

inline cpu_kick(cpu)
{
    // code hv/core/percpu.c cpu_kick: if (__atomic_exchange_n(&c->wake, 1, __ATOMIC_SEQ_CST)) return;
    d_step { was = wake[cpu]; wake[cpu] = true }
    if
    :: was
    :: else ->
        // code hv/core/percpu.c cpu_kick: __atomic_load_n(&c->where, __ATOMIC_SEQ_CST) != CPU_IN_LOOP
        if :: where[cpu] != IN_LOOP -> ipi[cpu] = true :: else fi
    fi;
    was = false
}

inline push(q) { d_step { assert(!posted[q] && !ready[q] && !freed); posted[q] = true } }

/* own: the caller is the event's function on the CPU `on`, whose loop looks again by itself. */
inline event_post(own)
{
    // code hv/core/event.c event_post: struct event_queue *q = queue_of(ev)
    to = on;
    // code hv/core/event.c event_post: uint8_t was = __atomic_fetch_or(&ev->state, POSTED, __ATOMIC_ACQ_REL)
    // code hv/core/event.c event_post: if (was & (POSTED | DEAD))
#ifdef TEST_THEN_SET
    had = flag;
    flag = true;
#else
    d_step { had = flag; flag = true };
#endif
    if
    :: had
    :: else ->
        // code hv/core/event.c event_post: while (!__atomic_compare_exchange_n(&q->posted, &head, ev, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        // code hv/core/event.c event_post: cpu_kick(ev->cpu)
#ifdef KICK_FIRST
        if :: own :: else -> cpu_kick(to) fi;
        push(to)
#else
        push(to);
        if :: own :: else -> cpu_kick(to) fi
#endif
    fi;
    d_step { had = false; to = 0 }
}

inline event_at()
{
    to = on;
    // code hv/core/event.c event_at: spin_lock(&q->lock)
    // code hv/core/event.c event_at: heap_set(q, ev, ns)
    // code hv/core/event.c event_at: spin_unlock(&q->lock)
    atomic { !locked[to] -> heap[to] = true }
    // code hv/core/event.c event_at: cpu_kick(ev->cpu)
    cpu_kick(to);
    to = 0
}

inline take_posted(q) { d_step { if :: posted[q] -> posted[q] = false; assert(!ready[q]); ready[q] = true :: else fi } }

inline take_due(q)
{
    // code hv/core/event.c take_due: heap_remove(q, ev)
    // code hv/core/event.c take_due: if (__atomic_fetch_or(&ev->state, POSTED, __ATOMIC_ACQ_REL) & POSTED) continue;
    // code hv/core/event.c take_due: append(q, ev)
    if
    :: heap[q] ->
        heap[q] = false;
#ifdef DUE_TWICE
        flag = true;
        d_step { assert(!ready[q]); ready[q] = true }
#else
        d_step { had = flag; flag = true };
        if :: had :: else -> d_step { assert(!ready[q] && !posted[q]); ready[q] = true } fi
#endif
    :: else
    fi;
    had = false
}

/* The event's function. */
inline fn()
{
    d_step { assert(!freed && on == _pid); seen = data; old = !asked }
    if
    :: again && !cancelling -> again = false; data++; event_post(true)
#if EXITS
    :: again && !cancelling -> again = false; data++;
        // code hv/core/event.c event_at: else if (!q->running) event_arm(UINT64_MAX)
        atomic { !locked[_pid] -> heap[_pid] = true }
#endif
    :: true
    fi;
    d_step { assert(!freed); old = false }
}

/* From an exit: in `go`, whether it ran. */
inline event_run_at_once()
{
    go = false;
    // code hv/core/event.c event_run_at_once: ev->cpu != me->id || q->running || !start_at_once(q, ev)
    if
#ifdef AT_ONCE_ELSEWHERE
    :: true ->
#else
    :: on == _pid && !running[_pid] ->
#endif
        // code hv/core/event.c start_at_once: spin_lock(&q->lock)
        atomic { !locked[_pid] -> locked[_pid] = true }
        // code hv/core/event.c start_at_once: may = !event_waits_in(q) && !(__atomic_load_n(&ev->state, __ATOMIC_SEQ_CST) & (uint8_t)(POSTED | DEAD))
        go = !posted[_pid] && !ready[_pid];
        go = go && !flag;
        // code hv/core/event.c start_at_once: if (may) __atomic_store_n(&q->running, ev, __ATOMIC_RELEASE)
#ifndef AT_ONCE_UNSEEN
        running[_pid] = go;
#endif
        // code hv/core/event.c start_at_once: spin_unlock(&q->lock)
        locked[_pid] = false
    :: else
    fi;
    if
    :: go ->
        // code hv/core/event.c event_run_at_once: ev->fn(ev)
        fn();
        // code hv/core/event.c event_run_at_once: __atomic_store_n(&q->running, NULL, __ATOMIC_RELEASE)
        running[_pid] = false;
        // code hv/core/event.c event_run_at_once: if (event_waits_in(q)) cpu_kick(me->id)
#ifndef AT_ONCE_NO_KICK
        if :: posted[_pid] || ready[_pid] -> cpu_kick(_pid) :: else fi;
#endif
        // code hv/core/event.c event_run_at_once: event_arm(UINT64_MAX)
#ifndef AT_ONCE_NO_ARM
        armed = armed || heap[_pid]
#endif
    :: else
    fi
}

/* Until there is something else to do. The exits are posters: when they are silent, no more come. */
inline run_guest()
{
    // code hv/vm/loop.c run_guest: event_arm(v->ops->run_until
    armed = heap[_pid];
    // code hv/vm/loop.c run_guest: set_where(c, CPU_IN_GUEST)
    where[_pid] = IN_GUEST;
    do
    // code hv/vm/vcpu.c vcpu_enter: if ((__atomic_load_n(&v->requests, __ATOMIC_SEQ_CST) & ~ignore) || c->wake)
    :: wake[_pid] -> break
    :: !wake[_pid] ->
        if
        :: atomic { ipi[_pid] -> ipi[_pid] = false }
        // code hv/core/event.c event_timer_irq: c->wake = 1
        :: atomic { armed -> armed = false; wake[_pid] = true }
        :: atomic { exits > 0 && !cancelling -> exits--; posters++ };
            data++;
            // code hv/vio/virtio.c virtio_notified: if (!may_work_at_once(d) || !event_run_at_once(&d->event)) event_post(&d->event)
            if :: event_run_at_once() :: go = false fi;
#ifndef AT_ONCE_ONLY
            if :: go :: else -> event_post(false) fi;
#endif
            d_step { posters--; go = false }
        fi
    od;
    // code hv/vm/loop.c run_guest: set_where(c, CPU_IN_LOOP)
    where[_pid] = IN_LOOP;
    armed = false;
    goto loop
}

active [CPUS] proctype cpu()
{
    bool was, had, go;
#if EXITS
    bool armed;
#endif
    byte to;

loop:
    // code hv/vm/loop.c cpu_loop: __atomic_store_n(&c->wake, 0, __ATOMIC_RELEASE)
    // code hv/vm/loop.c cpu_loop: store_before_load()
    wake[_pid] = false;
more:
    // code hv/vm/loop.c cpu_loop: event_run()
    // code hv/core/event.c event_run: (event_more() || event_next() <= now)
    if
    :: posted[_pid] || ready[_pid] || heap[_pid] ->
        // code hv/core/event.c event_run: spin_lock(&q->lock)
        atomic { !locked[_pid] -> locked[_pid] = true }
        // code hv/core/event.c event_run: if (!q->ready) take_posted(q);
        // code hv/core/event.c event_run: take_due(q, now)
        if :: !ready[_pid] -> take_posted(_pid) :: else fi;
        take_due(_pid);
        // code hv/core/event.c event_run: take_first(q)
        // code hv/core/event.c take_first: __atomic_store_n(&q->running, ev, __ATOMIC_RELEASE)
        // code hv/core/event.c take_first: __atomic_fetch_and(&ev->state, (uint8_t)~POSTED, __ATOMIC_SEQ_CST)
        d_step { go = ready[_pid]; ready[_pid] = false; assert(!go || !freed) }
        if
        :: go -> running[_pid] = true;
#ifndef CLEAR_LATE
            flag = false
#endif
        :: else
        fi;
        // code hv/core/event.c event_run: spin_unlock(&q->lock)
        locked[_pid] = false;
        if
        :: go ->
            // code hv/core/event.c event_run: fn(ev)
            fn();
#ifdef CLEAR_LATE
            flag = false;
#endif
            // code hv/core/event.c event_run: __atomic_store_n(&q->running, NULL, __ATOMIC_RELEASE)
            d_step { running[_pid] = false; go = false }
        :: else
        fi;
        goto more
    :: else
    fi;
#if EXITS
    // code hv/vm/loop.c cpu_loop: run_guest(c, v)
    if :: run_guest() :: true fi;
#endif
    // code hv/vm/loop.c loop_idle: event_arm(UINT64_MAX)
    // code hv/vm/loop.c loop_idle: set_where(c, CPU_ASLEEP)
    where[_pid] = ASLEEP;
    // code hv/vm/loop.c loop_idle: if (!__atomic_load_n(&c->wake, __ATOMIC_SEQ_CST)) irq_wait();
    if
    :: wake[_pid]
    :: else -> atomic { ipi[_pid] || heap[_pid] -> ipi[_pid] = false }
    fi;
    // code hv/vm/loop.c loop_idle: set_where(c, CPU_IN_LOOP)
    where[_pid] = IN_LOOP;
    goto loop
}

proctype poster(bool timed)
{
    bool was, had;
    byte to;

    data++;
    event_post(false);
    if :: timed -> event_at() :: else fi;
    posters--
}

#ifdef NO_RUNNING
#define LOOK_AT_RUNNING
#else
#define LOOK_AT_RUNNING was = running[to];
#endif

/* From a CPU that does not run the event. */
inline event_cancel()
{
    to = on;
    do
    :: true ->
        // code hv/core/event.c cancelled: spin_lock(&q->lock)
        // code hv/core/event.c cancelled: heap_remove(q, ev)
        atomic { !locked[to] -> locked[to] = true;
#ifndef HEAP_FORGOTTEN
            heap[to] = false
#endif
        }
        // code hv/core/event.c cancelled: __atomic_load_n(&q->running, __ATOMIC_SEQ_CST) == ev
#ifndef RUNNING_LAST
        LOOK_AT_RUNNING
#endif
        // code hv/core/event.c cancelled: __atomic_load_n(&ev->state, __ATOMIC_SEQ_CST) & POSTED
        had = flag;
        // code hv/core/event.c cancelled: take_posted(q)
        // code hv/core/event.c cancelled: posted = !unlink_ready(q, ev)
        if
        :: had ->
#ifdef READY_ONLY
            had = false;
#else
            take_posted(to);
#endif
            // code hv/core/event.c cancelled: __atomic_fetch_and(&ev->state, (uint8_t)~POSTED, __ATOMIC_SEQ_CST)
            d_step { if :: ready[to] -> ready[to] = false; flag = false; had = false :: else fi }
        :: else
        fi;
#ifdef RUNNING_LAST
        LOOK_AT_RUNNING
#endif
        had = had || was;
        was = false;
        // code hv/core/event.c cancelled: spin_unlock(&q->lock)
        locked[to] = false;
        // code hv/core/event.c event_cancel: while (!cancelled(ev, q))
        if :: had :: else -> break fi
    od;
    to = 0
}

#ifndef POSTS
active proctype canceller()
{
    bool was, had;
    byte to;

#ifndef CANCELS
    cancelling = true;                  /* the function, too, posts no more: what it did before is waited for */
#ifndef EARLY
    posters == 0;
#endif
#endif
    asked = true;
    event_cancel();
    assert(!old);
#ifdef FREES
    freed = true
#endif
#ifdef MOVES
    on = 1
#endif
#ifndef FREES
    data++;
    event_post(false)
#endif
}
#endif

init { atomic { run poster(true); if :: POSTERS > 1 -> run poster(false) :: else fi } }

active proctype quiet()
{
    timeout -> 
    assert(!flag || freed);
    assert(!posted[0] && !ready[0] && !heap[0] && !running[0] && !locked[0]);
    assert(!posted[CPUS - 1] && !ready[CPUS - 1] && !heap[CPUS - 1] && !running[CPUS - 1] && !locked[CPUS - 1]);
    assert(posters == 0);
#ifndef FREES
    assert(seen == data)
#endif
}
