/*
 * Events: the only way to defer work, to wait, or to make another CPU do something. A function runs once for each
 * post, on the CPU ev->cpu, from that CPU's loop, with no lock held and interrupts disabled. It must return in about
 * 2 ms: longer work is cut into pieces that post the event again.
 */
#pragma once
#include <hv/types.h>

struct event {
    void (*fn)(struct event *);
    struct event *next;          /* private to event.c, as are all fields below but cpu */
    uint64_t when;               /* ns of time_ns(); 0: not timed */
    uint32_t heap_idx;           /* position in the CPU's timer heap + 1; 0: not in it */
    uint16_t cpu;                /* set before the first post; may be changed while not queued */
    uint8_t state;
};
struct event_queue;              /* embedded in struct percpu; fields are private to event.c */
#define EVENT_TIMERS_MAX 1024
struct event_queue {
    struct event *posted;        /* lock-free stack of posted events */
    struct event *running;       /* event whose fn runs now */
    struct event **timers;       /* binary heap by when */
    uint32_t ntimers;
    uint64_t armed;              /* deadline that the hardware timer is set to; 0: none */
    uint32_t lock_storage[2];    /* struct spinlock */
};

void event_init(struct event *, void (*fn)(struct event *), uint32_t cpu);
/* Any CPU, any context. Posting an event that is already queued does nothing: fn runs once. */
void event_post(struct event *);
/* Any CPU. Runs fn at or soon after `ns` (time_ns scale); a later call moves the deadline. Cheap when called by ev->cpu. */
void event_at(struct event *, uint64_t ns);
/* Any CPU, not while holding a lock that fn takes. On return fn is neither queued nor running (unless called from fn itself). */
void event_cancel(struct event *);
/* This CPU: runs all due events. True when anything ran. Called by the loop only. */
bool event_run(void);
/* This CPU: ns of the next timed event, or UINT64_MAX. */
uint64_t event_next(void);
/* Monotonic nanoseconds since boot: <hv/time.h>. */
