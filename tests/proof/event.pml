/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events: each post is followed by a run of the event's function that sees what was written before the post; the event is never
 * in a list twice; when event_cancel() has returned and nobody posts any more, no CPU touches the event again, so that it may be
 * freed, or moved to another CPU.
 *
 * One event; two CPUs with a queue and a loop each; a poster on a further CPU, which also sets the timer; a second poster, or one
 * that cancels. The function may post its own event once more.
 *
 * Assumptions:
 * - The compare-and-exchange loop of event_post() is one step: the stack's order is not what is proved here, only who is in it.
 * - POSTED, `posted`, `running`, `wake` and `where` are changed by read-modify-writes or sequentially consistent stores: memory is
 *   one. What is written before a post is seen by the function, since the push releases and take_posted() acquires.
 * - A timed event is due at once; the hardware timer's interrupt comes while the CPU sleeps.
 * - Dead events (event_kill) are not modelled.
 * - What holds the queue's lock is one step as far as others look at the queue under the lock; event_post(), which takes none, may
 *   come between any two of its changes.
 *
 * verify POSTS: two posters and the timer, and nobody cancels: nothing is lost
 * verify CANCELS: it is cancelled while others post it, and posted again
 * verify FREES: the poster ends, it is cancelled and freed
 * verify MOVES: the poster ends, it is cancelled, gets another CPU and is posted
 * refute TEST_THEN_SET POSTS: event_post() looks at POSTED and sets it in two steps
 * refute CLEAR_LATE POSTS: POSTED is cleared when the function has returned
 * refute KICK_FIRST POSTS: event_post() kicks the CPU before the event is in its list
 * refute DUE_TWICE POSTS: take_due() takes an event that is posted already
 * refute NO_RUNNING FREES: event_cancel() does not wait for the function
 * refute RUNNING_LAST FREES: event_cancel() looks at POSTED first, then whether the function runs: it may post itself, and end, in between
 * refute READY_ONLY FREES: event_cancel() looks for the event among those taken, not among those posted, and does not try again
 * refute HEAP_FORGOTTEN FREES: event_cancel() leaves the event in the timer heap
 * refute FREES EARLY: it is freed while somebody may still post it
 * refute MOVES EARLY: it is moved while somebody may still post it
 */
#define CPUS 2
#ifdef POSTS
#define POSTERS 2
#else
#define POSTERS 1
#endif

mtype = { IN_LOOP, ASLEEP };

bool flag;                              /* ev->state & POSTED */
byte on;                                /* ev->cpu */
bool posted[CPUS], ready[CPUS], heap[CPUS], running[CPUS], locked[CPUS], wake[CPUS], ipi[CPUS];
mtype where[CPUS] = IN_LOOP;
byte data, seen, posters = POSTERS;
bool freed, again = true, cancelling;

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

active [CPUS] proctype cpu()
{
    bool was, had, go;
    byte to;

loop:
    // code hv/vm/loop.c cpu_loop: __atomic_store_n(&c->wake, 0, __ATOMIC_SEQ_CST)
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
        // code hv/core/event.c take_first: __atomic_store_n(&q->running, ev, __ATOMIC_SEQ_CST)
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
            d_step { assert(!freed && on == _pid); seen = data }
            if
            :: again && !cancelling -> again = false; data++; event_post(true)
            :: true
            fi;
            assert(!freed);
#ifdef CLEAR_LATE
            flag = false;
#endif
            // code hv/core/event.c event_run: __atomic_store_n(&q->running, NULL, __ATOMIC_SEQ_CST)
            d_step { running[_pid] = false; go = false }
        :: else
        fi;
        goto more
    :: else
    fi;
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
    event_cancel();
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
    assert(!posted[1] && !ready[1] && !heap[1] && !running[1] && !locked[1]);
    assert(posters == 0);
#ifndef FREES
    assert(seen == data)
#endif
}
