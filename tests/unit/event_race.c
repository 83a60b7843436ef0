/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events from every side: each CPU posts, times and cancels the events of all, whose functions run
 * on their own CPUs. The claims of <hv/event.h>: after event_cancel() the function neither runs nor
 * is queued, a post that came after the last run is never lost, and no function runs twice at once.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>
#include <hv/event.h>
#include <hv/percpu.h>
#include <hv/time.h>

#include "arch/host/host.h"

enum { CPUS = 3, EVENTS = 6, ROUNDS = 4000, DRIVERS = 2 };

/*
 * `data` has no lock: the function writes it, and so does who has cancelled the event.
 * ThreadSanitizer sees whether that is in order.
 */
struct item {
    struct event ev;
    uint64_t data, ran;
    uint32_t inside;
};
static struct item items[DRIVERS][EVENTS];
static uint32_t stop, wrong;

uint64_t time_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void fn(struct event *ev)
{
    struct item *it = container_of(ev, struct item, ev);

    if (__atomic_fetch_add(&it->inside, 1, __ATOMIC_RELAXED))
        __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
    it->data++;
    if (it->data % 4 == 1)
        sched_yield(); /* so that some are cancelled while they run */
    it->data++;
    __atomic_fetch_add(&it->ran, 1, __ATOMIC_RELAXED);
    __atomic_fetch_sub(&it->inside, 1, __ATOMIC_RELAXED);
}

/* Of the loops, too: each runs those of its CPU at once, as exits do. */
static struct item own[CPUS];

static void *loop(void *arg)
{
    struct item *mine = &own[(uintptr_t)arg];

    host_cpu = (uint32_t)(uintptr_t)arg;
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
        (void)!event_run_at_once(&mine->ev);
        if (!event_run())
            sched_yield();
    }
    return arg;
}

/* Nothing keeps the loops from going on: whatever is posted or cancelled, fn is never in itself. */
static void *canceller(void *arg)
{
    host_cpu = CPUS + DRIVERS + 1;
    for (unsigned i = 0; !__atomic_load_n(&stop, __ATOMIC_ACQUIRE); i++) {
        if (i % 2)
            event_post(&own[i % CPUS].ev);
        else
            event_cancel(&own[i % CPUS].ev);
        sched_yield();
    }
    return arg;
}

static uint64_t runs(struct item *it) { return __atomic_load_n(&it->ran, __ATOMIC_RELAXED); }

/* A post is followed by a run, and what was written before the post is there. */
static void post_and_wait(struct item *it)
{
    uint64_t before = runs(it);

    event_post(&it->ev);
    while (runs(it) == before)
        sched_yield();
}

static void cancel_and_own(struct item *it)
{
    uint64_t ran;

    event_cancel(&it->ev);
    ran = runs(it);
    it->data += 1000;
    for (unsigned i = 0; i < 50; i++)
        __asm__ volatile("" : : : "memory");
    if (runs(it) != ran)
        __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
    it->data -= 1000;
}

/* Cancelled as soon as it is seen to run. */
static void cancel_within(struct item *it)
{
    uint64_t before = runs(it);

    event_post(&it->ev);
    while (runs(it) == before && !__atomic_load_n(&it->inside, __ATOMIC_RELAXED))
        sched_yield();
    cancel_and_own(it);
}

/*
 * Each driver has events of its own on all CPUs: it alone may say that nobody posts them while it
 * cancels.
 */
static void *drive(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg, seed = 7 + me;

    host_cpu = CPUS + me;
    for (unsigned n = 0; n < ROUNDS; n++) {
        struct item *it = &items[me][(unsigned)rand_r(&seed) % EVENTS];

        switch (rand_r(&seed) % 6) {
        case 0:
        case 1: event_post(&it->ev); break;
        case 2: event_at(&it->ev, time_ns() + (unsigned)rand_r(&seed) % 30000); break;
        case 3: post_and_wait(it); break;
        case 4: cancel_within(it); break;
        default: cancel_and_own(it);
        }
    }
    return arg;
}

/* An event that moves: cancelled, it is given another CPU, and posted there. */
static void *mover(void *arg)
{
    static struct item it;
    uint64_t sum = 0;

    host_cpu = CPUS + DRIVERS;
    for (unsigned n = 0; n < ROUNDS / 4; n++) {
        event_init(&it.ev, fn, n % CPUS);
        post_and_wait(&it);
        event_cancel(&it.ev);
        sum += it.data == 2 * (n + 1);
    }
    if (sum != ROUNDS / 4)
        __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
    return arg;
}

static void test_race(void **state)
{
    pthread_t cpu[CPUS], driver[DRIVERS], move, cancels;
    uint64_t ran = 0;

    (void)state;
    host_init(CPUS + DRIVERS + 2, 0);
    for (unsigned i = 0; i < CPUS; i++)
        event_init(&own[i].ev, fn, i);
    for (unsigned d = 0; d < DRIVERS; d++)
        for (unsigned i = 0; i < EVENTS; i++)
            event_init(&items[d][i].ev, fn, i % CPUS);
    for (uintptr_t i = 0; i < CPUS; i++)
        assert_int_equal(pthread_create(&cpu[i], NULL, loop, (void *)i), 0);
    for (uintptr_t i = 0; i < DRIVERS; i++)
        assert_int_equal(pthread_create(&driver[i], NULL, drive, (void *)i), 0);
    assert_int_equal(pthread_create(&move, NULL, mover, NULL), 0);
    assert_int_equal(pthread_create(&cancels, NULL, canceller, NULL), 0);
    for (unsigned i = 0; i < DRIVERS; i++)
        pthread_join(driver[i], NULL);
    pthread_join(move, NULL);
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    pthread_join(cancels, NULL);
    for (unsigned i = 0; i < CPUS; i++)
        pthread_join(cpu[i], NULL);
    for (unsigned d = 0; d < DRIVERS; d++)
        for (unsigned i = 0; i < EVENTS; i++) {
            event_cancel(&items[d][i].ev);
            assert_true(items[d][i].data == 2 * items[d][i].ran);
            ran += items[d][i].ran;
        }
    print_message("%llu runs\n", (unsigned long long)ran);
    assert_int_equal(wrong, 0);
    assert_true(ran > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_race) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
