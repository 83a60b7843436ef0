/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events: the only way to defer work, to wait, or to make another CPU do something. A function runs
 * once for each post, on the CPU ev->cpu, from that CPU's loop (or from an exit there:
 * event_run_at_once()), with no lock held and interrupts disabled. It must return in about 2 ms:
 * longer work is cut into pieces that post the event again.
 */
#pragma once
#include <hv/lock.h>
#include <hv/types.h>

struct event {
    void (*fn)(struct event *);
    struct event *next;  /* private to event.c, as are all fields below but cpu */
    struct event **link; /* in `ready` or `off`: what points to it; else NULL */
    /* while `timed`: ns of time_ns(), and its place in the CPU's heap of timed events */
    uint64_t when;
    struct event *up, *left, *right;
    uint16_t cpu;  /* set before the first post; may be changed while not queued */
    uint8_t state; /* 1: posted, and its fn has not started; 4: dead */
    uint8_t rank;  /* to the nearest place in the heap that is free */
    bool timed;
};
/* embedded in struct percpu; fields are private to event.c and loop.c */
struct event_queue {
    struct event *posted;          /* lock-free stack of posted events, newest first */
    struct event *ready, **tail;   /* taken from it, in order; under lock */
    struct event *off, **off_tail; /* put off, oldest first; under lock */
    struct event *running;         /* event whose fn runs now */
    struct event *timers;          /* a leftist heap by when, under lock */
    uint64_t next_when;            /* timers->when, or UINT64_MAX; read without the lock */
    uint64_t armed;                /* deadline that the hardware timer is set to; 0: none */
    uint32_t there;                /* 1: it was made; atomic */
    struct spinlock lock;
};

/* Each CPU, before its first event: makes its queue. */
void event_cpu_init(void);
/* The event must not be queued. One that was killed lives again. */
void event_init(struct event *, void (*fn)(struct event *), uint32_t cpu);
/* Any CPU, any context. Posting an event that is already queued does nothing: fn runs once. */
void event_post(struct event *);
/*
 * Any CPU. Runs fn at or soon after `ns` (time_ns scale); a later call moves the deadline. Cheap
 * when called by ev->cpu.
 */
void event_at(struct event *, uint64_t ns);
/*
 * From the event's own function: it runs again in one of this CPU's next rounds, after vCPUs had
 * their turn, at once when none wants one. It counts as posted meanwhile.
 */
void event_put_off(struct event *);
/*
 * Any CPU, not while holding a lock that fn takes. On return fn is neither queued nor running
 * (unless called from fn itself).
 */
void event_cancel(struct event *);
/*
 * As event_cancel(), and for ever: call it before the memory that holds the event is freed.
 * Everything that could post or arm the event must be dead or silent before, so an object's own
 * event is the last part of it to die. Posting or arming a dead event panics in debug builds, with
 * the name of its function, and does nothing in release builds. Killing twice is harmless.
 */
void event_kill(struct event *);
/* Any CPU. Debug builds panic if an event within the object is queued, or runs on another CPU. */
void event_assert_none_in(const void *obj, size_t len);
/* What debug builds fill freed objects with: an event in such memory looks dead. */
#define EVENT_POISON 0xa5
/* This CPU: runs all due events. True when anything ran. Called by the loop only. */
bool event_run(void);
/*
 * This CPU, from a vCPU's exit, no lock held: runs fn now, in that vCPU's time, if the event
 * belongs to this CPU and no other waits here. False: it did not run, and is to be posted.
 * event_cancel() waits for it as for any other.
 */
bool event_run_at_once(struct event *);
/* This CPU: ns of the next timed event, or UINT64_MAX. */
uint64_t event_next(void);
/*
 * This CPU: events are waiting that event_run() left for the next round, so that guests get their
 * turn.
 */
bool event_more(void);
static inline bool event_more_in(const struct event_queue *q)
{
    return __atomic_load_n(&q->posted, __ATOMIC_RELAXED) ||
           __atomic_load_n(&q->ready, __ATOMIC_RELAXED);
}
/* This CPU: the same, or events were put off: the loop comes back soon, and does not sleep. */
bool event_waits(void);
static inline bool event_waits_in(const struct event_queue *q)
{
    return event_more_in(q) || __atomic_load_n(&q->off, __ATOMIC_RELAXED);
}
/*
 * This CPU: has the hardware timer interrupt at event_next() or at `limit`, whichever is earlier.
 * Writes the timer only when it must.
 */
void event_arm(uint64_t limit);
/*
 * This CPU, before it sleeps anywhere but in its loop; now: time_ns(). A timer interrupt that was
 * lost is made up for.
 */
void event_check_timer(uint64_t now);
/* The handler of arch's timer interrupt calls this, and nothing else. */
void event_timer_irq(void);
/* The name of an event's function, for the log: "?" when it is not known. */
const char *event_name(const struct event *);
/* Monotonic nanoseconds since boot: <hv/time.h>. */
