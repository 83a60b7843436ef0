/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Core scheduling: the threads of a core never run vCPUs of two VMs, everybody gets his share, and
 * soon.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <hv/vm.h>

#include "tests/unit/simsched.h"

#define TURN_MS 3
static struct vm vms[8];
/* when each CPU's slice ends, as cpu_loop() has it armed */
static uint64_t armed[MAX_CPUS];
/* steps; steps in which a core's two threads ran */
static uint64_t waited[SIM_VCPUS], longest[SIM_VCPUS], both;

static void start_cores(uint32_t cpus, uint32_t threads, enum sched_smt smt)
{
    host_threads = threads;
    sim_start(cpus);
    sched_set_smt(smt);
    sim_parked = smt == SMT_OFF ? 0xaaaaaaaa : 0;
    memset(armed, 0, sizeof armed);
    memset(waited, 0, sizeof waited);
    memset(longest, 0, sizeof longest);
    both = 0;
}

static struct vcpu *add_to(unsigned vm, uint32_t weight, uint64_t affinity)
{
    return sim_add_to(&vms[vm], weight, affinity);
}

static void check_cores(void)
{
    for (uint32_t c = 0; c < cpu_count; c++)
        for (uint32_t d = 0; d < c; d++)
            if (c / host_threads == d / host_threads && on_cpu[c] && on_cpu[d] &&
                on_cpu[c]->vm != on_cpu[d]->vm)
                abort();
}

static void pick(uint32_t cpu)
{
    host_cpu = cpu;
    percpus[cpu].wake = 0;
    sim_pick(cpu);
    check_cores();
    armed[cpu] = on_cpu[cpu] ? sched_slice_end(on_cpu[cpu]) : UINT64_MAX;
}

static void leave(uint32_t cpu, bool runnable)
{
    host_cpu = cpu;
    if (on_cpu[cpu])
        sched_put(on_cpu[cpu], runnable);
    on_cpu[cpu] = NULL;
}

/*
 * A CPU leaves its guest when it is kicked or when the timer that it has armed goes off, and at no
 * other time.
 */
static void step(void)
{
    unsigned rounds = 0;

    for (bool again = true; again;) {
        again = false;
        if (++rounds > 100) /* they kick one another for ever */
            abort();
        for (uint32_t c = 0; c < cpu_count; c++)
            if (percpus[c].wake || (on_cpu[c] && host_now >= armed[c])) {
                leave(c, true);
                pick(c);
                again = true;
            }
    }
    host_now += STEP_NS;
    for (uint32_t c = 0; c < cpu_count; c++)
        if (on_cpu[c])
            sim_ran[on_cpu[c] - sim]++;
    for (uint32_t c = 0; c < cpu_count; c += 2)
        both += on_cpu[c] && on_cpu[c + 1];
    for (unsigned i = 0; i < sim_n; i++) {
        waited[i] = sim[i].sched.state == SCHED_QUEUED ? waited[i] + 1 : 0;
        longest[i] = max_u64(longest[i], waited[i]);
    }
}

static void run(unsigned ms)
{
    while (ms--)
        step();
}

static void expect_ran(unsigned i, uint64_t ms, unsigned tolerance)
{
    assert_in_range(sim_ran[i], ms * (100 - tolerance) / 100, ms * (100 + tolerance) / 100);
}

/*
 * Two VMs of two vCPUs on one core of two threads: both threads work all the time, half of it for
 * each.
 */
static void test_two_pairs(void **state)
{
    (void)state;
    start_cores(2, 2, SMT_CORE);
    for (unsigned i = 0; i < 4; i++)
        sched_wake(add_to(i / 2, 100, 1 << i % 2));
    run(3000);
    for (unsigned i = 0; i < 4; i++) {
        expect_ran(i, 1500, 6);
        assert_in_range(longest[i], 1, 2 * TURN_MS);
    }
    assert_in_range(both, 2700, 3000);
}

/*
 * Two VMs of one vCPU each, one on each thread: they take turns, and the other thread is idle by
 * force.
 */
static void test_forced_idle(void **state)
{
    struct sched_stats s[2];

    (void)state;
    start_cores(2, 2, SMT_CORE);
    sched_wake(add_to(0, 100, 1));
    sched_wake(add_to(1, 100, 2));
    run(3000);
    expect_ran(0, 1500, 6);
    expect_ran(1, 1500, 6);
    assert_int_equal(both, 0);
    sched_cpu_stats(0, &s[0]);
    sched_cpu_stats(1, &s[1]);
    assert_in_range(s[0].forced_ns + s[1].forced_ns, 2800 * STEP_NS, 3100 * STEP_NS);
    assert_true(longest[0] <= 2 * TURN_MS && longest[1] <= 2 * TURN_MS);
}

static void test_weight_over_turns(void **state)
{
    (void)state;
    start_cores(2, 2, SMT_CORE);
    sched_wake(add_to(0, 300, 1));
    sched_wake(add_to(1, 100, 2));
    run(4000);
    expect_ran(0, 3000, 8);
    expect_ran(1, 1000, 8);
}

/* Where the CPU does not need it, or threads are parked. */
static void test_on_and_off(void **state)
{
    struct sched_stats s;

    (void)state;
    start_cores(2, 2, SMT_ON);
    assert_true(sched_has_threads());
    host_threads = 1; /* for check_cores() */
    assert_false(sched_has_threads());
    sched_wake(add_to(0, 100, 0));
    sched_wake(add_to(1, 100, 0));
    run(1000);
    expect_ran(0, 1000, 1);
    expect_ran(1, 1000, 1);
    for (uint32_t c = 0; c < 2; c++)
        leave(c, false);
    while (sim_n)
        sched_remove(&sim[--sim_n]);
    start_cores(4, 2, SMT_OFF);
    for (unsigned i = 0; i < 4; i++)
        /* one is pinned to a thread that is parked */
        sched_wake(add_to(i, 100, i == 3 ? 1 << 1 : 0));
    run(4000);
    for (unsigned i = 0; i < 4; i++)
        expect_ran(i, 2000, 8);
    assert_true(!on_cpu[1] && !on_cpu[3]);
    sched_cpu_stats(1, &s);
    assert_true(s.parked && s.core == 0 && s.forced_ns == 0);
}

/* One that wakes beside a busy VM waits for its turn, and no longer. */
static void test_latency(void **state)
{
    (void)state;
    start_cores(2, 2, SMT_CORE);
    sched_wake(add_to(0, 100, 1));
    sched_wake(add_to(0, 100, 2));
    struct vcpu *sleeper = add_to(1, 100, 2);
    run(500);
    for (unsigned i = 0; i < 50; i++) {
        unsigned ms = 0;

        sched_wake(sleeper);
        while (on_cpu[1] != sleeper) {
            step();
            assert_true(++ms <= TURN_MS + 1);
        }
        leave(1, false);
        pick(1);
        run(1 + i % 17);
    }
}

static int end(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < cpu_count; c++)
        leave(c, false);
    host_cpu = 0;
    while (sim_n)
        sched_remove(&sim[--sim_n]);
    host_threads = 1;
    sim_parked = 0;
    return 0;
}

/*
 * One thread's vCPU is away for long while its mate keeps the core: it dozes on its CPU, or it
 * sleeps. Then it wants the core all the time. What it did not use is lost: a neighbour has its
 * half.
 */
static void neighbour_beside_idler(bool dozes)
{
    start_cores(2, 2, SMT_CORE);
    struct vcpu *busy = add_to(0, 100, 1), *idler = add_to(0, 100, 2),
                *neighbour = add_to(1, 100, 1);
    sched_wake(busy);
    sched_wake(idler);
    run(10);
    host_cpu = 1;
    if (!dozes)
        leave(1, false);
    else
        assert_true(sched_doze(idler));
    run(5000);
    host_cpu = 1;
    if (dozes)
        sched_doze_end(idler);
    else
        sched_wake(idler);
    armed[1] = host_now;
    sched_wake(neighbour);
    run(50);
    memset(sim_ran, 0, sizeof sim_ran);
    memset(longest, 0, sizeof longest);
    run(2000);
    expect_ran(0, 1000, 8);
    expect_ran(1, 1000, 8);
    expect_ran(2, 1000, 8);
    assert_true(longest[2] <= 2 * TURN_MS);
}

static void test_no_time_is_banked(void **state)
{
    neighbour_beside_idler(false);
    (void)end(state);
    neighbour_beside_idler(true);
}

/* Anything may happen; then all are let run, and nobody has been forgotten. */
static void wander(unsigned seed)
{
    uint32_t cpus = 2u << seed % 3;

    srand(seed);
    start_cores(cpus, 2, SMT_CORE);
    for (unsigned i = 0; i < 2 + seed % 11; i++)
        add_to((unsigned)rand() % 4, 100, rand() % 3 ? 0 : 1ull << (unsigned)rand() % cpus);
    for (unsigned n = 0; n < 1500; n++) {
        uint32_t c = (uint32_t)rand() % cpus;
        struct vcpu *v = &sim[(unsigned)rand() % sim_n];

        host_cpu = c;
        switch (rand() % 6) {
        case 0:
        case 1: sched_wake(v); break;
        case 2:
            leave(c, false);
            pick(c);
            break;
        case 3:
            if (on_cpu[c] && v->vm == on_cpu[c]->vm)
                sched_yield_to(on_cpu[c], v);
            break;
        case 4:
            if (on_cpu[c] && sched_doze(on_cpu[c]))
                sched_doze_end(on_cpu[c]);
            break;
        default: step();
        }
    }
    for (unsigned i = 0; i < sim_n; i++)
        sched_wake(&sim[i]);
    run(200);
    memset(longest, 0, sizeof longest);
    memset(waited, 0, sizeof waited);
    memset(sim_ran, 0, sizeof sim_ran);
    run(2000);
    for (unsigned i = 0; i < sim_n; i++) {
        /*
         * However they are pinned and whatever they had before: who waits 100 ms is next. Shares
         * even out only slowly.
         */
        assert_true(longest[i] <= 100 + 20 * sim_n);
        assert_true(sim_ran[i] >= 2000 / (100 + 20 * sim_n) * TURN_MS / 2);
    }
}

static void test_random(void **state)
{
    for (unsigned seed = 0; seed < 400; seed++) {
        wander(seed);
        (void)end(state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_two_pairs, end),
        cmocka_unit_test_teardown(test_forced_idle, end),
        cmocka_unit_test_teardown(test_weight_over_turns, end),
        cmocka_unit_test_teardown(test_on_and_off, end),
        cmocka_unit_test_teardown(test_latency, end),
        cmocka_unit_test_teardown(test_no_time_is_banked, end),
        cmocka_unit_test_teardown(test_random, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
