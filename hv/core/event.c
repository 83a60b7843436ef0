/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * event.c: posted events, timed events, and their cancelling. Posting takes no lock; the timer heap
 * and the list of events about to run do.
 */
#include <arch/cpu.h>
#include <arch/timer.h>
#include <hv/assert.h>
#include <hv/event.h>
#include <hv/panic.h>
#include <hv/percpu.h>
#include <hv/time.h>

#define POSTED 1u
#define DEAD 4u
static_assert(EVENT_POISON & DEAD && EVENT_POISON != DEAD,
              "freed memory differs from a dead event");
#define RUN_BUDGET_NS 2000000ull /* after this long in events, guests get their turn */
#define OFF_PER_ROUND 4u         /* of those put off, how many a round looks at */

static struct event_queue *queue_of(const struct event *ev) { return &percpus[ev->cpu].events; }

void event_cpu_init(void)
{
    struct event_queue *q = &this_cpu()->events;

    hv_assert(!q->there);
    spin_init(&q->lock, LOCK_EVENT);
    spin_lock(&q->lock);
    q->tail = &q->ready;
    q->off_tail = &q->off;
    q->next_when = UINT64_MAX;
    spin_unlock(&q->lock);
    __atomic_store_n(&q->there, 1, __ATOMIC_RELEASE);
}

void event_init(struct event *ev, void (*fn)(struct event *), uint32_t cpu)
{
    debug_assert(fn && cpu < MAX_CPUS);
    *ev = (struct event){ .fn = fn, .cpu = (uint16_t)cpu };
}

const char *event_name(const struct event *ev)
{
    const char *name;
    uint64_t off;

    return symbol_lookup((uint64_t)(uintptr_t)ev->fn, &name, &off) ? name : "?";
}

/* A use after free, or one that is about to be. Release builds leave the event alone. */
static __attribute__((noinline, cold)) void on_dead(struct event *ev, const char *what)
{
    uint8_t state = __atomic_load_n(&ev->state, __ATOMIC_ACQUIRE) & (uint8_t)~POSTED;

    if (DEBUG_LOCKS && state == DEAD)
        panic("event %s was %s after it was killed", event_name(ev), what);
    if (DEBUG_LOCKS)
        panic("an event in freed memory was %s", what);
}

void event_post(struct event *ev)
{
    struct event_queue *q = queue_of(ev);
    uint8_t was = __atomic_fetch_or(&ev->state, POSTED, __ATOMIC_ACQ_REL);

    if (was & (POSTED | DEAD)) {
        if (was & DEAD)
            on_dead(ev, "posted");
        return;
    }
    debug_assert(ev->fn && ev->cpu < MAX_CPUS);
    struct event *head = __atomic_load_n(&q->posted, __ATOMIC_RELAXED);
    do
        ev->next = head;
    while (!__atomic_compare_exchange_n(&q->posted, &head, ev, true, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED));
    struct percpu *me = this_cpu();
    /* From an event of this CPU: the loop looks again by itself. */
    if (ev->cpu != me->id || !me->events.running)
        cpu_kick(ev->cpu);
}

/*
 * ---- the timed events; the queue's lock is held ----
 *
 * A leftist heap: nobody is due before the one above it, and the way down on the right is never
 * longer than that on the left, so that it is logarithmic. The nodes are the events themselves:
 * however many there are, there is room.
 */

static unsigned rank_of(const struct event *ev) { return ev ? ev->rank : 0; }

/* True: its rank has changed. */
static bool lean_left(struct event *ev)
{
    uint8_t was = ev->rank;

    if (rank_of(ev->left) < rank_of(ev->right)) {
        struct event *left = ev->left;

        ev->left = ev->right;
        ev->right = left;
    }
    ev->rank = (uint8_t)(rank_of(ev->right) + 1);
    return ev->rank != was;
}

static struct event *heap_merge(struct event *a, struct event *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->when < a->when) {
        struct event *first = b;

        b = a;
        a = first;
    }
    a->right = heap_merge(a->right, b);
    a->right->up = a;
    (void)lean_left(a);
    return a;
}

static void heap_note_next(struct event_queue *q)
{
    __atomic_store_n(&q->next_when, q->timers ? q->timers->when : UINT64_MAX, __ATOMIC_RELAXED);
}

static void heap_insert(struct event_queue *q, struct event *ev)
{
    debug_assert_held(&q->lock);
    ev->left = ev->right = NULL;
    ev->rank = 1;
    ev->timed = true;
    q->timers = heap_merge(q->timers, ev);
    q->timers->up = NULL;
    heap_note_next(q);
}

static void heap_remove(struct event_queue *q, struct event *ev)
{
    struct event *up = ev->up, *below = heap_merge(ev->left, ev->right);

    debug_assert_held(&q->lock);
    debug_assert(up || q->timers == ev);
    if (below)
        below->up = up;
    if (!up)
        q->timers = below;
    else if (up->left == ev)
        up->left = below;
    else
        up->right = below;
    while (up && lean_left(up))
        up = up->up;
    ev->up = ev->left = ev->right = NULL;
    ev->timed = false;
    heap_note_next(q);
}

/* It may keep its place when it is due at `ns`. */
static bool heap_fits(const struct event *ev, uint64_t ns)
{
    return (!ev->up || ev->up->when <= ns) && (!ev->left || ev->left->when >= ns) &&
           (!ev->right || ev->right->when >= ns);
}

static void heap_set(struct event_queue *q, struct event *ev, uint64_t ns)
{
    bool stays = ev->timed && heap_fits(ev, ns);

    if (ev->timed && !stays)
        heap_remove(q, ev);
    ev->when = ns;
    if (stays)
        heap_note_next(q);
    else
        heap_insert(q, ev);
}

void event_at(struct event *ev, uint64_t ns)
{
    struct event_queue *q = queue_of(ev);
    struct percpu *me = this_cpu();

    if (__builtin_expect(__atomic_load_n(&ev->state, __ATOMIC_ACQUIRE) & DEAD, 0)) {
        on_dead(ev, "armed");
        return;
    }
    spin_lock(&q->lock);
    uint64_t before = q->next_when;
    heap_set(q, ev, ns);
    bool sooner = q->next_when < before;
    spin_unlock(&q->lock);
    if (!sooner)
        return;
    if (ev->cpu != me->id)
        cpu_kick(ev->cpu);
    else if (!q->running)
        event_arm(UINT64_MAX);
}

/* ---- running ---- */

/* `ready` is read without the lock, so it is written whole. */
static void event_append(struct event_queue *q, struct event *ev)
{
    __atomic_store_n(q->tail, ev, __ATOMIC_RELAXED);
    ev->link = q->tail;
    q->tail = &ev->next;
}

/* Moves what was posted to the end of the ready list, oldest first. Under the lock. */
static void take_posted(struct event_queue *q)
{
    struct event *list = __atomic_exchange_n(&q->posted, NULL, __ATOMIC_ACQUIRE), *rev = NULL;

    debug_assert_held(&q->lock);
    while (list) {
        struct event *next = list->next;

        list->next = rev;
        rev = list;
        list = next;
    }
    for (; rev; rev = rev->next)
        event_append(q, rev);
    __atomic_store_n(q->tail, NULL, __ATOMIC_RELAXED);
}

/* Timed events that are due join the ready list, unless they are posted already. Under the lock. */
static void take_due(struct event_queue *q, uint64_t now)
{
    debug_assert_held(&q->lock);
    while (q->timers && q->timers->when <= now) {
        struct event *ev = q->timers;

        heap_remove(q, ev);
        if (__atomic_fetch_or(&ev->state, POSTED, __ATOMIC_ACQ_REL) & POSTED)
            continue;
        ev->next = NULL;
        event_append(q, ev);
    }
}

/* From `ready` or `off`. False: it is in neither. */
static bool unlink_ready(struct event_queue *q, struct event *ev)
{
    struct event **link = ev->link;

    debug_assert_held(&q->lock);
    if (!link)
        return false;
    __atomic_store_n(link, ev->next, __ATOMIC_RELAXED);
    if (ev->next)
        ev->next->link = link;
    else if (q->tail == &ev->next)
        q->tail = link;
    else
        q->off_tail = link;
    ev->link = NULL;
    return true;
}

static struct event *take_first(struct event_queue *q)
{
    struct event *ev = q->ready;

    debug_assert_held(&q->lock);
    debug_assert(q == &this_cpu()->events && !q->running);
    if (!ev)
        return NULL;
    (void)unlink_ready(q, ev);
    /* Before POSTED is cleared: event_cancel must see one or the other. */
    __atomic_store_n(&q->running, ev, __ATOMIC_RELEASE);
    __atomic_fetch_and(&ev->state, (uint8_t)~POSTED, __ATOMIC_SEQ_CST);
    return ev;
}

bool event_more(void) { return event_more_in(&this_cpu()->events); }

bool event_waits(void) { return event_waits_in(&this_cpu()->events); }

/* It counts as posted meanwhile: who posts it has nothing to add. */
void event_put_off(struct event *ev)
{
    struct event_queue *q = queue_of(ev);
    uint8_t was = __atomic_fetch_or(&ev->state, POSTED, __ATOMIC_ACQ_REL);

    hv_assert(q == &this_cpu()->events);
    if (was & DEAD)
        on_dead(ev, "put off");
    if (was & (POSTED | DEAD))
        return; /* posted meanwhile: it runs sooner */
    spin_lock(&q->lock);
    ev->next = NULL;
    ev->link = q->off_tail;
    __atomic_store_n(q->off_tail, ev, __ATOMIC_RELAXED);
    q->off_tail = &ev->next;
    spin_unlock(&q->lock);
}

static void take_off(struct event_queue *q)
{
    if (!__atomic_load_n(&q->off, __ATOMIC_RELAXED))
        return;
    spin_lock(&q->lock);
    for (unsigned i = 0; i < OFF_PER_ROUND && q->off; i++) {
        struct event *ev = q->off;

        (void)unlink_ready(q, ev);
        ev->next = NULL;
        event_append(q, ev);
    }
    spin_unlock(&q->lock);
}

/* Its interrupt comes at once, or was lost and never will: the timer is to be set again. */
static inline void forget_overdue(struct event_queue *q, uint64_t now)
{
    if (q->armed <= now)
        q->armed = 0;
}

bool event_run(void)
{
    struct event_queue *q = &this_cpu()->events;
    uint64_t now = time_ns(), end = now + RUN_BUDGET_NS;
    bool ran = false;

    debug_assert_no_locks();
    forget_overdue(q, now);
    take_off(q);
    while (now < end && (event_more() || event_next() <= now)) {
        spin_lock(&q->lock);
        if (!q->ready)
            take_posted(q);
        take_due(q, now);
        struct event *ev = take_first(q);
        spin_unlock(&q->lock);
        if (!ev)
            continue;
        void (*fn)(struct event *) = ev->fn;
        uint64_t from = now;
        fn(ev); /* ev may be gone when it returns */
        __atomic_store_n(&q->running, NULL, __ATOMIC_RELEASE);
        lock_assert_none();
        ran = true;
        now = time_ns();
        if (__builtin_expect(
                now - from > this_cpu()->stretches.longest_ns || now - from > STRETCH_LONG_NS, 0))
            stretch_event(fn, now - from);
    }
    return ran;
}

/*
 * Under the lock, so that who cancels it either sees it running, or what it did before is seen by
 * fn.
 */
static bool start_at_once(struct event_queue *q, struct event *ev)
{
    bool may;

    spin_lock(&q->lock);
    may = !event_waits_in(q) &&
          !(__atomic_load_n(&ev->state, __ATOMIC_SEQ_CST) & (uint8_t)(POSTED | DEAD));
    if (may)
        __atomic_store_n(&q->running, ev, __ATOMIC_RELEASE);
    spin_unlock(&q->lock);
    return may;
}

/* Nobody was kicked for what fn posted to this CPU, and its timers were not armed. */
bool event_run_at_once(struct event *ev)
{
    struct percpu *me = this_cpu();
    struct event_queue *q = &me->events;

    debug_assert_no_locks();
    if (ev->cpu != me->id || q->running || !start_at_once(q, ev))
        return false;
    ev->fn(ev);
    __atomic_store_n(&q->running, NULL, __ATOMIC_RELEASE);
    lock_assert_none();
    if (event_waits_in(q))
        cpu_kick(me->id);
    event_arm(UINT64_MAX);
    return true;
}

uint64_t event_next(void)
{
    return __atomic_load_n(&this_cpu()->events.next_when, __ATOMIC_RELAXED);
}

/* ---- cancelling ---- */

/* One try. True when ev is neither queued nor running (or it is its own fn that cancels it). */
static bool cancelled(struct event *ev, struct event_queue *q)
{
    spin_lock(&q->lock);
    if (ev->timed)
        heap_remove(q, ev);
    /* Before POSTED is looked at: fn may post the event, and end, in between. */
    bool running = __atomic_load_n(&q->running, __ATOMIC_SEQ_CST) == ev && q != &this_cpu()->events;
    bool posted = __atomic_load_n(&ev->state, __ATOMIC_SEQ_CST) & POSTED;
    if (posted) {
        take_posted(q);
        /* not found: another CPU is just about to push it */
        posted = !unlink_ready(q, ev);
        if (!posted)
            __atomic_fetch_and(&ev->state, (uint8_t)~POSTED, __ATOMIC_SEQ_CST);
    }
    spin_unlock(&q->lock);
    return !posted && !running;
}

void event_cancel(struct event *ev)
{
    struct event_queue *q = queue_of(ev);

    hv_assert(ev->cpu < MAX_CPUS || ev->state & DEAD);
    /* Dead: it is in no queue. A CPU without a queue: nothing was posted to it. */
    if (!__atomic_load_n(&q->there, __ATOMIC_ACQUIRE) ||
        __atomic_load_n(&ev->state, __ATOMIC_ACQUIRE) & DEAD)
        return;
    while (!cancelled(ev, q))
        cpu_relax();
}

void event_kill(struct event *ev)
{
    event_cancel(ev);
    uint8_t was = __atomic_fetch_or(&ev->state, DEAD, __ATOMIC_ACQ_REL);

    if (was & POSTED && !(was & DEAD))
        on_dead(ev, "posted");
}

static bool lies_in(const struct event *ev, const void *obj, size_t len)
{
    return ev && (uintptr_t)ev - (uintptr_t)obj < len;
}

/* All of them, each before those below it. */
static struct event *heap_next(struct event *ev)
{
    if (ev->left)
        return ev->left; /* where there is nobody on the left, nobody is on the right */
    while (ev->up && (ev == ev->up->right || !ev->up->right))
        ev = ev->up;
    return ev->up ? ev->up->right : NULL;
}

static const struct event *event_find_in(struct event_queue *q, const void *obj, size_t len)
{
    debug_assert_held(&q->lock);
    take_posted(q);
    for (struct event *ev = q->ready; ev; ev = ev->next)
        if (lies_in(ev, obj, len))
            return ev;
    for (struct event *ev = q->off; ev; ev = ev->next)
        if (lies_in(ev, obj, len))
            return ev;
    for (struct event *ev = q->timers; ev; ev = heap_next(ev))
        if (lies_in(ev, obj, len))
            return ev;
    const struct event *running = __atomic_load_n(&q->running, __ATOMIC_SEQ_CST);
    return q != &this_cpu()->events && lies_in(running, obj, len) ? running : NULL;
}

void event_assert_none_in(const void *obj, size_t len)
{
    for (uint32_t i = 0; DEBUG_LOCKS && i < cpu_count; i++) {
        struct event_queue *q = &percpus[i].events;

        if (!__atomic_load_n(&q->there, __ATOMIC_ACQUIRE))
            continue;
        spin_lock(&q->lock);
        const struct event *ev = event_find_in(q, obj, len);
        spin_unlock(&q->lock);
        if (ev)
            panic("memory is freed while event %s in it is queued", event_name(ev));
    }
}

/* ---- the hardware timer ---- */

void event_arm(uint64_t limit)
{
    struct event_queue *q = &this_cpu()->events;
    uint64_t want = min_u64(event_next(), limit);

    /*
     * One that fires too early costs one interrupt now and then; moving it costs a write each time.
     */
    if (want == UINT64_MAX || (q->armed && q->armed <= want))
        return;
    q->armed = want;
    timer_arm(want);
}

void event_check_timer(uint64_t now)
{
    struct event_queue *q = &this_cpu()->events;

    forget_overdue(q, now);
    if (!q->armed)
        event_arm(UINT64_MAX);
}

void event_timer_irq(void)
{
    struct percpu *c = this_cpu();

    c->events.armed = 0;
    c->wake = 1;
}
