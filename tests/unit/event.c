/* SPDX-License-Identifier: BSD-2-Clause */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <hv/event.h>
#include <hv/panic.h>
#include <hv/percpu.h>
#include <hv/stretch.h>
#include <stdio.h>
#include <stdlib.h>

#include "arch/host/host.h"

static char trace[64];
static char panic_text[200];
static jmp_buf on_panic;

_Noreturn void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(panic_text, sizeof panic_text, fmt, ap);
    va_end(ap);
    locks_bypass();
    longjmp(on_panic, 1);
}

struct named {
    struct event ev;
    char name;
    unsigned again;
};

static void note(struct event *ev)
{
    struct named *n = container_of(ev, struct named, ev);
    size_t len = strlen(trace);

    trace[len] = n->name;
    trace[len + 1] = '\0';
    if (n->again) {
        n->again--;
        event_post(ev);
    }
}

static void make(struct named *n, char name, uint32_t cpu)
{
    *n = (struct named){ .name = name };
    event_init(&n->ev, note, cpu);
}

static int setup(void **state)
{
    (void)state;
    trace[0] = '\0';
    host_cpu = 0;
    percpus[0].wake = percpus[1].wake = 0;
    percpus[0].events.armed = percpus[1].events.armed = 0;
    host_armed[0] = host_armed[1] = host_kicks[0] = host_kicks[1] = 0;
    return 0;
}

static void test_posts(void **state)
{
    struct named a, b, c;

    (void)state;
    make(&a, 'a', 0);
    make(&b, 'b', 0);
    make(&c, 'c', 0);
    assert_false(event_run());
    event_post(&a.ev);
    event_post(&b.ev);
    event_post(&a.ev); /* once is enough */
    event_post(&c.ev);
    assert_int_equal(percpus[0].wake, 1);
    assert_true(event_run());
    assert_string_equal(trace, "abc");
    assert_false(event_run());
    a.again = 2;
    event_post(&a.ev);
    event_post(&b.ev);
    assert_true(event_run());
    assert_string_equal(trace, "abcabaa");
}

static void stop_here(struct event *ev)
{
    note(ev);
    assert_ptr_equal(percpus[0].events.running, ev);
}

/* In an exit: only what has nobody before it, and what it leaves behind is seen to. */
static void test_at_once(void **state)
{
    struct named a, b, far;

    (void)state;
    make(&a, 'a', 0);
    make(&b, 'b', 0);
    make(&far, 'f', 1);
    a.ev.fn = stop_here;
    assert_true(event_run_at_once(&a.ev));
    assert_string_equal(trace, "a");
    assert_null(percpus[0].events.running);
    assert_int_equal(percpus[0].wake, 0);
    assert_false(event_run_at_once(&far.ev));
    event_post(&b.ev);
    assert_false(event_run_at_once(&a.ev)); /* b was first */
    assert_false(event_run_at_once(&b.ev)); /* it is queued */
    assert_true(event_run());
    assert_string_equal(trace, "ab");
    percpus[0].wake = 0;
    a.again = 1;
    assert_true(event_run_at_once(&a.ev));
    assert_int_equal(percpus[0].wake, 1);
    assert_true(event_run());
    assert_string_equal(trace, "abaa");
    event_kill(&a.ev);
    assert_false(event_run_at_once(&a.ev));
}

static void test_timers(void **state)
{
    struct named t[5];
    const uint64_t at[5] = { 50, 10, 40, 20, 30 };
    uint64_t t0 = host_now;

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        make(&t[i], (char)('a' + i), 0);
        event_at(&t[i].ev, t0 + at[i]);
    }
    assert_int_equal(event_next(), t0 + 10);
    assert_int_equal(host_armed[0], t0 + 10);
    event_at(&t[1].ev, t0 + 60); /* later */
    event_at(&t[0].ev, t0 + 5);  /* sooner */
    event_cancel(&t[4].ev);
    host_now = t0 + 4;
    assert_false(event_run());
    host_now = t0 + 45;
    assert_true(event_run());
    assert_string_equal(trace, "adc");
    host_now = t0 + 100;
    assert_true(event_run());
    assert_string_equal(trace, "adcb");
    assert_int_equal(event_next(), UINT64_MAX);
}

/* The hardware is written when a deadline comes closer, and not when it moves away. */
static void test_arming_is_lazy(void **state)
{
    struct named a;

    (void)state;
    make(&a, 'a', 0);
    event_at(&a.ev, host_now + 100);
    assert_int_equal(host_armed[0], host_now + 100);
    host_armed[0] = 7;
    event_at(&a.ev, host_now + 200);
    event_arm(UINT64_MAX);
    event_arm(host_now + 150);
    assert_int_equal(host_armed[0], 7);
    event_arm(host_now + 50);
    assert_int_equal(host_armed[0], host_now + 50);
    percpus[0].wake = 0;
    event_timer_irq();
    assert_int_equal(percpus[0].wake, 1);
    event_arm(UINT64_MAX);
    assert_int_equal(host_armed[0], host_now + 200);
    event_cancel(&a.ev);
}

/* A timer interrupt that never came does not leave the CPU without one. */
static void test_a_lost_interrupt_is_made_up_for(void **state)
{
    struct named a, b;

    (void)state;
    make(&a, 'a', 0);
    make(&b, 'b', 0);
    event_at(&a.ev, host_now + 100);
    event_at(&b.ev, host_now + 300);
    host_now += 101;
    event_run();
    event_arm(UINT64_MAX);
    assert_int_equal(host_armed[0], host_now + 199);
    host_armed[0] = 7;
    event_check_timer(host_now);
    assert_int_equal(host_armed[0], 7);
    host_now += 200;
    event_check_timer(host_now);
    assert_int_equal(host_armed[0], host_now - 1); /* at once */
    event_cancel(&b.ev);
}

static void test_cancel(void **state)
{
    struct named a, b, c;

    (void)state;
    make(&a, 'a', 0);
    make(&b, 'b', 0);
    make(&c, 'c', 0);
    event_post(&a.ev);
    event_post(&b.ev);
    event_post(&c.ev);
    event_at(&b.ev, host_now + 1);
    event_cancel(&b.ev);
    event_cancel(&c.ev);
    event_cancel(&c.ev);
    event_post(&c.ev);
    host_now += 10;
    event_run();
    assert_string_equal(trace, "ac");
}

static void test_other_cpu(void **state)
{
    struct named a;

    (void)state;
    make(&a, 'a', 1);
    percpus[1].where = CPU_IN_LOOP;
    event_post(&a.ev);
    assert_true(percpus[1].wake && !percpus[0].wake && !host_kicks[1]);
    assert_false(event_run());
    host_cpu = 1;
    assert_true(event_run());
    percpus[1].wake = 0;
    percpus[1].where = CPU_ASLEEP;
    host_cpu = 0;
    event_at(&a.ev, host_now + 10);
    assert_true(percpus[1].wake && host_kicks[1] == 1 && !host_armed[1]);
    event_at(&a.ev, host_now + 20); /* later: nobody need know */
    assert_int_equal(host_kicks[1], 1);
    event_cancel(&a.ev);
}

/* An event that posts itself for ever leaves time for others. */
static void forever(struct event *ev)
{
    host_now += 1000000;
    event_post(ev);
}

static void six_ms(struct event *ev)
{
    (void)ev;
    host_now += 6000000;
}

static void test_long_stretches_are_counted(void **state)
{
    const struct stretches *c = &this_cpu()->stretches;
    struct event ev = { 0 };

    (void)state;
    stretches_clear();
    event_init(&ev, six_ms, 0);
    for (unsigned i = 1; i <= 2; i++) {
        event_post(&ev);
        event_run();
        assert_int_equal(c->count, i);
        assert_int_equal(c->longest_ns, 6000000);
    }
    stretches_clear();
    assert_true(!c->count && !c->longest_ns && !c->told_ns);
}

static void test_budget(void **state)
{
    struct event ev;

    (void)state;
    event_init(&ev, forever, 0);
    event_post(&ev);
    assert_true(event_run());
    assert_true(event_more());
    event_cancel(&ev);
    assert_false(event_more());
}

static void expect_panic(void (*what)(struct event *), struct event *ev, const char *text)
{
    panic_text[0] = '\0';
    if (!setjmp(on_panic))
        what(ev);
    assert_non_null(strstr(panic_text, text));
}

static void arm(struct event *ev) { event_at(ev, host_now + 10); }
static void free_it(struct event *ev) { event_assert_none_in(ev, sizeof *ev); }

/*
 * Whatever the event waited for, it does not run any more, and who posts or arms it later is
 * caught.
 */
static void test_kill(void **state)
{
    struct named a, b;

    (void)state;
    make(&a, 'a', 0);
    make(&b, 'b', 1);
    event_post(&a.ev);
    event_at(&a.ev, host_now + 1);
    event_post(&b.ev);
    event_kill(&a.ev);
    event_kill(&a.ev);
    event_cancel(&a.ev);
    event_kill(&b.ev);
    host_now += 10;
    assert_false(event_run());
    host_cpu = 1;
    assert_false(event_run());
    host_cpu = 0;
    assert_string_equal(trace, "");
    expect_panic(event_post, &a.ev, "was posted after it was killed");
    expect_panic(arm, &a.ev, "was armed after it was killed");
    expect_panic(event_post, &b.ev, "was posted after it was killed");
    event_init(&a.ev, note, 0);
    event_post(&a.ev);
    assert_true(event_run());
    assert_string_equal(trace, "a");
    memset(&b, EVENT_POISON, sizeof b);
    b.ev.cpu = 0;
    expect_panic(event_post, &b.ev, "an event in freed memory");
}

/* Memory that a queued event lies in is not freed unseen: posted, timed, on any CPU. */
static void test_freed_while_queued(void **state)
{
    struct named a, b;

    (void)state;
    make(&a, 'a', 0);
    make(&b, 'b', 1);
    event_assert_none_in(&a, sizeof a);
    event_post(&a.ev);
    event_at(&b.ev, host_now + 50);
    expect_panic(free_it, &a.ev, "is freed while event");
    expect_panic(free_it, &b.ev, "is freed while event");
    event_kill(&a.ev);
    event_kill(&b.ev);
    event_assert_none_in(&a, sizeof a);
    event_assert_none_in(&b, sizeof b);
}

/*
 * Two CPUs post to a third while it runs and cancels: each post is followed by a run, or by a
 * cancel.
 */
static unsigned posts_seen, runs;
static struct event shared;
static uint32_t stop;

static void count_run(struct event *ev)
{
    (void)ev;
    runs++;
    posts_seen = 1;
}

static void *poster(void *arg)
{
    host_cpu = (uint32_t)(uintptr_t)arg;
    for (unsigned i = 0; i < 20000; i++)
        event_post(&shared);
    __atomic_fetch_add(&stop, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t t[2];

    (void)state;
    event_init(&shared, count_run, 0);
    for (uintptr_t i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, poster, (void *)(i + 1));
    for (unsigned n = 0; __atomic_load_n(&stop, __ATOMIC_SEQ_CST) < 2; n++) {
        event_run();
        if (n % 7 == 0)
            event_cancel(&shared);
    }
    pthread_join(t[0], NULL);
    pthread_join(t[1], NULL);
    posts_seen = 0;
    event_post(&shared);
    event_run();
    assert_true(posts_seen && runs);
    assert_int_equal(shared.state, 0);
    assert_false(event_more());
}

/* As many as guests can have, set, moved and cancelled in any order: they come when they are due.
 */
enum { MANY = 20000 };
static struct timed {
    struct event ev;
    uint64_t due; /* 0: not set */
} many[MANY];
static uint64_t last_due;
static unsigned came, wrong;

static void on_due(struct event *ev)
{
    struct timed *t = container_of(ev, struct timed, ev);

    wrong += !t->due || t->due > host_now || t->due < last_due;
    last_due = t->due;
    t->due = 0;
    came++;
}

static unsigned set_some(unsigned *seed)
{
    unsigned are_set = 0;

    for (unsigned n = 0; n < 3 * MANY; n++) {
        struct timed *t = &many[(unsigned)rand_r(seed) % MANY];

        if (rand_r(seed) % 8 == 0) {
            event_cancel(&t->ev);
            t->due = 0;
        } else {
            t->due = host_now + 1 + (unsigned)rand_r(seed) % 1000;
            event_at(&t->ev, t->due);
        }
    }
    for (unsigned i = 0; i < MANY; i++)
        are_set += many[i].due != 0;
    return are_set;
}

static void test_many_timers(void **state)
{
    unsigned seed = 5, are_set;

    (void)state;
    for (unsigned i = 0; i < MANY; i++)
        event_init(&many[i].ev, on_due, 0);
    for (unsigned round = 0; round < 3; round++) {
        came = wrong = 0;
        last_due = 0;
        are_set = set_some(&seed);
        assert_true(are_set > MANY / 2);
        for (unsigned i = 0; i <= 1000; i++) {
            host_now++;
            (void)event_run();
        }
        assert_int_equal(came, are_set);
        assert_int_equal(wrong, 0);
        assert_true(event_next() == UINT64_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_posts, setup),
        cmocka_unit_test_setup(test_timers, setup),
        cmocka_unit_test_setup(test_arming_is_lazy, setup),
        cmocka_unit_test_setup(test_cancel, setup),
        cmocka_unit_test_setup(test_a_lost_interrupt_is_made_up_for, setup),
        cmocka_unit_test_setup(test_other_cpu, setup),
        cmocka_unit_test_setup(test_many_timers, setup),
        cmocka_unit_test_setup(test_budget, setup),
        cmocka_unit_test_setup(test_long_stretches_are_counted, setup),
        cmocka_unit_test_setup(test_at_once, setup),
        cmocka_unit_test_setup(test_threads, setup),
        /* The last ones: a caught panic leaves the locks out of use. */
        cmocka_unit_test_setup(test_kill, setup),
        cmocka_unit_test_setup(test_freed_while_queued, setup),
    };

    host_init(3, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
