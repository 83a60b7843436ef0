/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <unistd.h>
#include <cmocka.h>

#include <hv/vm.h>

#include "hv/vm/queue.h"
#include "tests/unit/simsched.h"

/* Within `tolerance` percent of `ms`. */
static void expect_ran(const struct vcpu *v, uint64_t ms, unsigned tolerance)
{
    assert_in_range(sim_ran[v - sim], ms * (100 - tolerance) / 100, ms * (100 + tolerance) / 100);
}

static int end(void **state)
{
    (void)state;
    for (host_cpu = 0; host_cpu < cpu_count; host_cpu++)
        if (on_cpu[host_cpu] && on_cpu[host_cpu]->sched.state == SCHED_RUNNING)
            sched_put(on_cpu[host_cpu], false);
    host_cpu = 0;
    while (sim_n)
        sched_remove(&sim[--sim_n]);
    return 0;
}

static void test_fair_over_cpus(void **state)
{
    (void)state;
    sim_start(2);
    for (unsigned i = 0; i < 3; i++)
        sched_wake(sim_add(100, 0));
    sim_run(3000);
    for (unsigned i = 0; i < 3; i++)
        expect_ran(&sim[i], 2000, 5);
}

static void test_weights(void **state)
{
    (void)state;
    sim_start(1);
    sched_wake(sim_add(100, 0));
    sched_wake(sim_add(300, 0));
    sim_run(4000);
    expect_ran(&sim[0], 1000, 6);
    expect_ran(&sim[1], 3000, 6);
}

static void test_pinning(void **state)
{
    (void)state;
    sim_start(2);
    sched_wake(sim_add(100, 1));
    sched_wake(sim_add(100, 1));
    sched_wake(sim_add(100, 0));
    sim_run(2000);
    expect_ran(&sim[0], 1000, 6);
    expect_ran(&sim[1], 1000, 6);
    expect_ran(&sim[2], 2000, 6);
    /* Pinned to a CPU that is not there: runs all the same. */
    sim_start(1);
    sched_wake(sim_add(100, 1ull << 9));
    host_cpu = 0;
    sim_pick(0);
    assert_ptr_equal(on_cpu[0], &sim[0]);
}

/* A sleeper that wakes beside a busy one runs at once. */
static void test_wake_latency(void **state)
{
    (void)state;
    sim_start(1);
    struct vcpu *hog = sim_add(100, 0), *sleeper = sim_add(100, 0);
    sched_wake(hog);
    sim_run(100);
    for (unsigned i = 0; i < 20; i++) {
        uint64_t before = sim_ran[sleeper - sim];

        sched_wake(sleeper);
        sim_run(1);
        assert_int_equal(sim_ran[sleeper - sim], before + 1);
        sim_block(0);
        sim_run(15);
    }
    assert_int_equal(sim_ran[sleeper - sim], 20);
}

/*
 * As cpu_loop() does: `gap` ns after the vCPU left its CPU, an event wakes `woken`; then somebody
 * is picked. The CPU is not called for that: it would leave the guest again before that has run.
 */
static void sim_interrupt(struct vcpu *woken, uint64_t gap)
{
    host_cpu = 0;
    percpus[0].wake = 0;
    percpus[0].current = NULL;
    if (on_cpu[0])
        sched_put(on_cpu[0], true);
    host_now += gap;
    sched_wake(woken);
    assert_false(percpus[0].wake);
    sim_pick(0);
    percpus[0].current = &sim_current;
}

/*
 * The same where the CPU itself takes the interrupt: the interrupted one is to go on, but the
 * sleeper runs first, 0 ns after its wake.
 */
static void test_wake_by_event(void **state)
{
    static const unsigned hogs[] = { 2, 8, 32 };

    for (unsigned n = 0; n < 3; n++) {
        sim_start(1);
        for (unsigned i = 0; i < hogs[n]; i++)
            sched_wake(sim_add(100, 0));
        struct vcpu *sleeper = sim_add(100, 0);
        sim_run(300);
        for (unsigned i = 0; i < 1000; i++) {
            host_now += 995000;
            sim_interrupt(sleeper, 0);
            assert_ptr_equal(on_cpu[0], sleeper);
            host_now += 5000;
            sim_block(0);
            assert_ptr_not_equal(on_cpu[0], sleeper);
        }
        for (unsigned i = 0; i < hogs[n]; i++)
            assert_in_range(sched_ran_ns(&sim[i]), 1100000000 / hogs[n], 1500000000 / hogs[n]);
        (void)end(state);
    }
}

/*
 * One that sleeps for 1 us and runs for 1 us makes its CPU switch all the time: 8 us each time,
 * which are in nobody's turn. It pays for them.
 */
static void test_greedy_sleeper(void **state)
{
    (void)state;
    sim_start(1);
    struct vcpu *hog = sim_add(100, 0), *sleeper = sim_add(100, 0);
    sched_wake(hog);
    sim_run(100);
    uint64_t from = host_now, had = sched_ran_ns(hog);
    while (host_now < from + 1000 * STEP_NS) {
        host_now += 1000;
        if (sleeper->sched.state == SCHED_BLOCKED)
            sim_interrupt(sleeper, 4000);
        else if (sched_should_yield(hog))
            sim_interrupt(hog, 4000);
        if (on_cpu[0] == hog)
            continue;
        host_now += 1000;
        sched_put(sleeper, false);
        host_now += 4000;
        sim_pick(0);
    }
    assert_in_range(sched_ran_ns(hog) - had, 480 * STEP_NS, 1000 * STEP_NS);
    assert_true(sched_ran_ns(sleeper) > 20 * STEP_NS);
}

/*
 * One that has slept for long gets no more at once than 20 ms beyond its share, however often it
 * sleeps.
 */
static void test_sleeper_credit(void **state)
{
    (void)state;
    sim_start(1);
    struct vcpu *hog = sim_add(100, 0), *sleeper = sim_add(100, 0);
    sched_wake(hog);
    sim_run(5000);
    uint64_t had = sched_ran_ns(hog), ran = sched_ran_ns(sleeper);
    for (unsigned i = 0; i < 1000; i++) {
        sim_interrupt(sleeper, 0);
        host_now += STEP_NS;
        if (on_cpu[0] == sleeper && i % 4 == 3)
            sim_block(0);
    }
    assert_in_range(sched_ran_ns(sleeper) - ran, 400 * STEP_NS, 525 * STEP_NS);
    assert_true(sched_ran_ns(hog) - had >= 475 * STEP_NS);
}

static void test_idle_cpu_takes_work(void **state)
{
    (void)state;
    sim_start(4);
    for (unsigned i = 0; i < 8; i++)
        sched_wake(sim_add(100, 0));
    sim_run(200);
    for (uint32_t c = 0; c < 4; c++)
        assert_non_null(on_cpu[c]);
    /* Three CPUs lose their work; what waits on the fourth goes there. */
    for (unsigned i = 0; i < 4; i++)
        sim_block(i % 4);
    sim_run(200);
    for (uint32_t c = 0; c < 4; c++)
        assert_non_null(on_cpu[c]);
}

static void test_many(void **state)
{
    (void)state;
    sim_start(2);
    for (unsigned i = 0; i < 128; i++)
        sched_wake(sim_add(100, 0));
    sim_run(12800);
    for (unsigned i = 0; i < 128; i++)
        expect_ran(&sim[i], 200, 25);
    assert_in_range(sim[5].sched.steal_ns, 12000000000ull, 13000000000ull);
}

static void test_wake_before_block_is_kept(void **state)
{
    (void)state;
    sim_start(1);
    struct vcpu *v = sim_add(100, 0);
    sched_wake(v);
    sim_run(1);
    assert_ptr_equal(on_cpu[0], v);
    sched_wake(v);
    sim_block(0);
    assert_ptr_equal(on_cpu[0], v);
    sim_block(0);
    assert_null(on_cpu[0]);
}

/*
 * A halted vCPU stays on its CPU, which counts as idle: who wakes up gets it at once. Nobody may
 * sleep on a CPU that others wait for.
 */
static void test_doze(void **state)
{
    (void)state;
    sim_start(2);
    struct vcpu *a = sim_add(100, 1), *b = sim_add(100, 0), *c = sim_add(100, 2),
                *d = sim_add(100, 2);
    sched_wake(a);
    sched_wake(c);
    sim_run(3);
    host_cpu = 0;
    assert_ptr_equal(on_cpu[0], a);
    assert_ptr_equal(on_cpu[1], c);
    assert_true(sched_doze(a));
    uint64_t idle = percpus[0].idle_ns, ran = a->sched.ran_ns;
    assert_int_equal(percpus[0].idle_since, host_now);
    host_now += 7 * STEP_NS;
    host_cpu = 1;
    percpus[0].wake = 0;
    percpus[0].where = CPU_IN_GUEST;
    sched_wake(b);
    assert_int_equal(b->sched.cpu, 0);
    assert_int_equal(percpus[0].wake, 1);
    host_cpu = 0;
    sched_doze_end(a);
    assert_int_equal(percpus[0].idle_ns, idle + 7 * STEP_NS);
    assert_int_equal(percpus[0].idle_since, 0);
    assert_false(sched_doze(a)); /* b waits */
    assert_int_equal(a->sched.ran_ns, ran);
    sim_block(0);
    assert_ptr_equal(on_cpu[0], b);
    /* waits for CPU 1: the same from here, for it might move */
    sched_wake(d);
    assert_false(sched_doze(b));
    host_now += STEP_NS;
    sim_block(0);
    assert_int_equal(percpus[0].idle_ns, idle + 7 * STEP_NS);
    assert_int_equal(b->sched.ran_ns, STEP_NS);
}

static void test_step_back(void **state)
{
    (void)state;
    sim_start(1);
    struct vcpu *a = sim_add(100, 0), *b = sim_add(100, 0);
    sched_wake(a);
    sched_wake(b);
    sim_run(1);
    for (unsigned i = 0; i < 10; i++) {
        struct vcpu *was = on_cpu[0];

        sched_step_back(was);
        sched_put(was, true);
        sim_pick(0);
        assert_ptr_equal(on_cpu[0], was == a ? b : a);
    }
}

/* Who is yielded to goes first, and those two have together no more than their share. */
static void test_yield_to(void **state)
{
    (void)state;
    sim_start(1);
    struct vcpu *a = sim_add(400, 0), *b = sim_add(50, 0), *c = sim_add(100, 0),
                *d = sim_add(100, 0);
    sched_wake(a);
    sched_wake(b);
    sched_wake(c);
    sched_wake(d);
    for (unsigned i = 0; i < 6500; i++) {
        sim_step();
        struct vcpu *was = on_cpu[0], *other = was == a ? b : NULL;
        if (!other)
            continue;
        host_cpu = 0;
        sched_yield_to(was, other);
        sched_put(was, true);
        sim_pick(0);
        assert_ptr_not_equal(on_cpu[0], was);
    }
    /* What b gets it gets from a's share. */
    assert_true(sim_ran[1] > 550);
    assert_in_range(sim_ran[2] + sim_ran[3], 1900, 4500);
}

/* CPU 0 goes on for 10 us, as cpu_loop() does; whom it runs then. */
static struct vcpu *sim_10us(void)
{
    host_cpu = 0;
    if (percpus[0].wake || sched_should_yield(on_cpu[0])) {
        percpus[0].wake = 0;
        sched_put(on_cpu[0], true);
        sim_pick(0);
    }
    host_now += 10000;
    return on_cpu[0];
}

/* One that is sent an interrupt by a mate runs at once, shortly; then the interrupted one goes on.
 */
static void test_errand(void **state)
{
    (void)state;
    sim_start(1);
    for (unsigned i = 0; i < 8; i++)
        sched_wake(sim_add(100, 0));
    do
        sim_step();
    while (host_now - on_cpu[0]->sched.slice_start > STEP_NS);
    struct vcpu *sender = on_cpu[0], *mates[2] = { &sim[0], &sim[1] };
    for (unsigned i = 0; i < 2; i++) {
        if (mates[i] == sender)
            mates[i] = &sim[2];
        sched_wake_urgent(mates[i]);
        sched_wake_urgent(mates[i]); /* once more is the same */
    }
    for (unsigned i = 0; i < 8; i++)
        assert_ptr_equal(sim_10us(), mates[i / 4]);
    uint64_t begun = sender->sched.slice_start;
    assert_ptr_equal(sim_10us(), sender);
    assert_int_equal(sender->sched.slice_start, begun); /* its slice has not begun anew */
    assert_null(queues[0].errands);
}

/* One that woke up, and is due, waits for no more than the errand that runs. */
static void test_errand_and_wake(void **state)
{
    (void)state;
    sim_start(1);
    struct vcpu *sleeper = sim_add(100, 0);
    for (unsigned i = 0; i < 5; i++)
        sched_wake(sim_add(100, 0));
    sim_run(100);
    for (unsigned i = 1; i < 6; i++)
        if (&sim[i] != on_cpu[0])
            sched_wake_urgent(&sim[i]);
    assert_int_equal(sim_10us()->sched.errand, ERRAND_RUNS);
    sched_wake(sleeper);
    assert_ptr_equal(sim_10us(), sleeper);
}

/*
 * Two that send each other interrupts all the time, beside one that computes: it gets its share,
 * and never waits much longer than without them.
 */
static void expect_errands_cost_nothing(uint32_t weight, unsigned least, unsigned most)
{
    uint64_t ran = 0, waits = 0, longest = 0;
    const unsigned steps = 1000000;

    sim_start(1);
    for (unsigned i = 0; i < 2; i++)
        sched_wake(sim_add(100, 0));
    sched_wake(sim_add(weight, 0));
    sim_pick(0);
    for (unsigned i = 0; i < steps; i++) {
        struct vcpu *now = sim_10us();

        if (now != &sim[2]) {
            sched_wake_urgent(now == &sim[0] ? &sim[1] : &sim[0]);
            longest = max_u64(longest, ++waits);
        } else {
            ran++;
            waits = 0;
        }
    }
    assert_in_range(ran, steps / 100 * least, steps / 100 * most);
    assert_in_range(longest, 1, 1500);
}

static void test_errands_cost_others_nothing(void **state)
{
    (void)state;
    expect_errands_cost_nothing(100, 32, 40);
    (void)end(state);
    expect_errands_cost_nothing(10000, 97, 100);
}

/* One that nobody drives off its CPU has no turn that ends: its time counts all the same. */
static void test_time_of_a_turn_that_lasts(void **state)
{
    (void)state;
    sim_start(1);
    struct vcpu *a = sim_add(100, 0), *b;
    assert_int_equal(sched_ran_ns(a), 0);
    sched_wake(a);
    assert_ptr_equal(sched_pick(), a);
    host_now += 500 * STEP_NS;
    assert_int_equal(sched_ran_ns(a), 500 * STEP_NS);
    b = sim_add(100, 0);
    sched_wake(b);
    host_now += 7 * STEP_NS;
    sched_put(a, true);
    host_now += 11 * STEP_NS;
    assert_int_equal(sched_ran_ns(a), 507 * STEP_NS);
    assert_int_equal(sched_ran_ns(b), 0);
}

/* The timer is not needed while there can be nobody to wait. */
static void test_slice_end(void **state)
{
    (void)state;
    sim_start(2);
    struct vcpu *a = sim_add(100, 1), *b = sim_add(100, 1), *c;
    sched_wake(a);
    sim_run(1);
    host_cpu = 0;
    /* alone: five interrupts a second */
    assert_in_range(sched_slice_end(a), host_now + 100000000, host_now + 200000000);
    sched_wake(b);
    sim_run(1);
    host_cpu = 0;
    assert_true(sched_slice_end(on_cpu[0]) <= host_now + 6000000);
    c = sim_add(100, 0);
    struct vcpu *r = on_cpu[0];
    sched_remove(b == r ? a : b);
    assert_in_range(sched_slice_end(on_cpu[0]), host_now + 100000000, host_now + 200000000);
    sched_remove(c);
    struct sched_stats s;
    sched_cpu_stats(0, &s);
    assert_true(s.queued == 0 && s.runnable == 1);
}

/* Removing waits for the CPU that still runs it. */
static bool left;

static void *leave_later(void *arg)
{
    host_cpu = 0;
    usleep(20000);
    __atomic_store_n(&left, true, __ATOMIC_SEQ_CST);
    sched_put(arg, false);
    return NULL;
}

static void test_remove_waits(void **state)
{
    pthread_t t;

    (void)state;
    sim_start(2);
    struct vcpu *v = sim_add(100, 1);
    sched_wake(v);
    sim_run(1);
    assert_ptr_equal(on_cpu[0], v);
    pthread_create(&t, NULL, leave_later, v);
    host_cpu = 1;
    sched_remove(v);
    assert_true(left);
    assert_int_equal(v->sched.state, SCHED_OFF);
    pthread_join(t, NULL);
}

/*
 * For each millisecond that the first runs, another is worked off elsewhere: it runs half as long
 * as the other.
 */
static void test_charge(void **state)
{
    (void)state;
    sim_start(1);
    struct vcpu *payer = sim_add(100, 0), *other = sim_add(100, 0);

    sched_wake(payer);
    sched_wake(other);
    for (unsigned i = 0; i < 3000; i++) {
        if (on_cpu[0] == payer)
            sched_charge(payer, STEP_NS);
        sim_run(1);
    }
    expect_ran(payer, 1000, 5);
    expect_ran(other, 2000, 5);
}

/* It spins; the switch takes 5 us. Who runs then. */
static struct vcpu *sim_spin(void)
{
    host_cpu = 0;
    if (sched_spins(on_cpu[0], false)) {
        sched_put(on_cpu[0], true);
        host_now += 5000;
        sim_pick(0);
    }
    return on_cpu[0];
}

/* One that spins lets its mates go on with its slice, in turn, until that is over. */
static void test_spins(void **state)
{
    static struct vm locks, other;
    const struct vcpu *order[3], *now;

    (void)state;
    sim_start(1);
    for (unsigned i = 0; i < 4; i++)
        sched_wake(sim_add_to(i < 3 ? &locks : &other, 100, 0));
    do
        sim_step();
    while (on_cpu[0] == &sim[3] || sched_should_yield(on_cpu[0]));
    uint64_t begun = on_cpu[0]->sched.slice_start;
    for (unsigned i = 0; i < 12; i++) {
        order[i % 3] = on_cpu[0];
        host_now += 10000;
        now = sim_spin();
        assert_int_equal(now->sched.slice_start, begun);
        for (unsigned k = 0; k < 3 && i > 2; k++)
            assert_true(now == order[(i + 1) % 3]);
    }
    host_now += 6000000;
    assert_ptr_equal(sim_spin(), &sim[3]);
    assert_false(sched_spins(&sim[3], false));
    assert_true(sched_spins(&sim[3], true));
}

/* One that has been interrupted, and does not spin, may have the lock: it comes before the others.
 */
static void test_spins_for_the_holder(void **state)
{
    (void)state;
    sim_start(1);
    for (unsigned i = 0; i < 4; i++)
        sched_wake(sim_add(100, 0));
    sim_step();
    for (unsigned i = 0; i < 4; i++) {
        host_now += 10000;
        (void)sim_spin();
    }
    struct vcpu *holder = on_cpu[0];
    sched_put(holder, true);
    queues[0].prefer = NULL;
    host_now += 10000;
    sim_pick(0);
    assert_ptr_not_equal(on_cpu[0], holder);
    assert_ptr_equal(sim_spin(), holder);
}

/* Two that spin all the time, and so hand on their slices, beside one that computes. */
static void test_spins_cost_others_nothing(void **state)
{
    static struct vm locks, other;
    uint64_t ran = 0, begun, since;

    (void)state;
    sim_start(1);
    for (unsigned i = 0; i < 3; i++)
        sched_wake(sim_add_to(i < 2 ? &locks : &other, 100, 0));
    sim_step();
    begun = since = host_now;
    while (host_now - begun < 3000 * STEP_NS) {
        uint64_t from = host_now;

        if (sim_10us() != &sim[2]) {
            (void)sim_spin();
            assert_true(host_now - since < 13 * STEP_NS);
            continue;
        }
        since = host_now;
        ran += host_now - from;
    }
    assert_in_range(ran, 950 * STEP_NS, 1050 * STEP_NS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_fair_over_cpus, end),
        cmocka_unit_test_teardown(test_weights, end),
        cmocka_unit_test_teardown(test_pinning, end),
        cmocka_unit_test_teardown(test_wake_latency, end),
        cmocka_unit_test_teardown(test_wake_by_event, end),
        cmocka_unit_test_teardown(test_greedy_sleeper, end),
        cmocka_unit_test_teardown(test_sleeper_credit, end),
        cmocka_unit_test_teardown(test_idle_cpu_takes_work, end),
        cmocka_unit_test_teardown(test_many, end),
        cmocka_unit_test_teardown(test_wake_before_block_is_kept, end),
        cmocka_unit_test_teardown(test_step_back, end),
        cmocka_unit_test_teardown(test_doze, end),
        cmocka_unit_test_teardown(test_slice_end, end),
        cmocka_unit_test_teardown(test_time_of_a_turn_that_lasts, end),
        cmocka_unit_test_teardown(test_remove_waits, end),
        cmocka_unit_test_teardown(test_yield_to, end),
        cmocka_unit_test_teardown(test_spins, end),
        cmocka_unit_test_teardown(test_spins_for_the_holder, end),
        cmocka_unit_test_teardown(test_spins_cost_others_nothing, end),
        cmocka_unit_test_teardown(test_charge, end),
        cmocka_unit_test_teardown(test_errand, end),
        cmocka_unit_test_teardown(test_errand_and_wake, end),
        cmocka_unit_test_teardown(test_errands_cost_others_nothing, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
