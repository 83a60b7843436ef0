/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices' work beside vCPUs: it is paid for from the guest's share, and waits only for others that
 * want the CPU.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <hv/config.h>
#include <hv/event.h>
#include <hv/share.h>
#include <hv/vm.h>

#include "tests/unit/simsched.h"

#define WORK_NS 100000u
enum { A, B, VMS };
static struct guest_config configs[VMS];
static struct vm vms[VMS];
struct device {
    struct event ev;
    struct vm *vm;
    uint64_t ran, waited, todo;
};
static struct device device[VMS];

/* As a device does: one step, and again while there is more to do. */
static void work(struct event *ev)
{
    struct device *d = container_of(ev, struct device, ev);
    uint64_t from = host_now;

    if (share_wait(d->vm, ev)) {
        d->waited++;
        return;
    }
    host_now += WORK_NS;
    d->ran += WORK_NS;
    share_pay(d->vm, from);
    if (--d->todo)
        event_post(ev);
}

static void start_on(uint32_t cpus, uint32_t weight_a, uint32_t weight_b)
{
    sim_start(cpus);
    memset(vms, 0, sizeof vms);
    for (unsigned i = 0; i < VMS; i++) {
        configs[i].weight = i ? weight_b : weight_a;
        vms[i].config = &configs[i];
        device[i] = (struct device){ .vm = &vms[i], .todo = UINT64_MAX };
        event_init(&device[i].ev, work, 0);
    }
}

static void start(uint32_t weight_a, uint32_t weight_b) { start_on(1, weight_a, weight_b); }

static struct vcpu *add_to(unsigned vm, uint64_t affinity)
{
    struct vcpu *v = sim_add(configs[vm].weight, affinity);

    v->vm = &vms[vm];
    vms[vm].vcpu[vms[vm].nvcpus++] = v;
    return v;
}

static struct vcpu *add(unsigned vm) { return add_to(vm, 0); }

/* cpu_loop(): true when it would sleep. */
static bool round_of(uint64_t most)
{
    percpus[0].wake = 0;
    event_run();
    sim_pick(0);
    if (!on_cpu[0])
        return !event_waits();
    uint64_t end = min_u64(sched_slice_end(on_cpu[0]), host_now + (event_waits() ? 2000000 : most));
    host_now = max_u64(end, host_now);
    return false;
}

static void put(bool runnable)
{
    if (on_cpu[0])
        sched_put(on_cpu[0], runnable);
    on_cpu[0] = NULL;
}

static void run(uint64_t ms)
{
    for (uint64_t end = host_now + ms * STEP_NS; host_now < end; put(true))
        assert_false(round_of(500000));
}

static uint64_t had(unsigned vm)
{
    uint64_t ns = device[vm].ran;

    for (uint32_t i = 0; i < vms[vm].nvcpus; i++)
        ns += sched_ran_ns(vms[vm].vcpu[i]);
    return ns;
}

static void expect_share(uint64_t has, uint64_t all, unsigned percent)
{
    assert_in_range(has * 1000, all * percent * 10 * 97 / 100, all * percent * 10 * 103 / 100);
}

/* Its own vCPU is no reason to wait, whether it spins or halts. */
static void test_own_vcpu(void **state)
{
    (void)state;
    start(100, 100);
    struct vcpu *own = add(A);
    own->sched.weight = 1000; /* so that it is behind the device */
    sched_wake(own);
    event_post(&device[A].ev);
    run(500);
    assert_int_equal(device[A].waited, 0);
    put(false);
    on_cpu[0] = NULL;
    sim_pick(0);
    put(false);
    for (unsigned i = 0; i < 100; i++)
        (void)round_of(500000);
    assert_int_equal(device[A].waited, 0);
}

/*
 * A's device beside B's vCPU: each has its share to 3 %, however the device and A's own vCPUs share
 * theirs.
 */
static void shares(uint32_t weight_a, uint32_t weight_b, unsigned vcpus_a, unsigned vcpus_b,
                   bool device_b)
{
    unsigned all_a = weight_a * (vcpus_a ? vcpus_a : 1), all_b = weight_b * vcpus_b;

    start(weight_a, weight_b);
    struct vcpu *asleep = vcpus_a ? NULL : add(A);
    for (unsigned i = 0; i < vcpus_a; i++)
        sched_wake(add(A));
    for (unsigned i = 0; i < vcpus_b; i++)
        sched_wake(add(B));
    event_post(&device[A].ev);
    if (device_b)
        event_post(&device[B].ev);
    run(500);
    uint64_t from_a = had(A), from_b = had(B), from = host_now;
    run(20000);
    assert_true(!asleep || sched_ran_ns(asleep) == 0);
    expect_share(had(A) - from_a, host_now - from, 100 * all_a / (all_a + all_b));
    expect_share(had(B) - from_b, host_now - from, 100 * all_b / (all_a + all_b));
    assert_true(device[A].ran > 0 && (weight_a == weight_b || device_b || device[A].waited > 0));
}

static int end(void **state)
{
    (void)state;
    put(false);
    for (unsigned i = 0; i < VMS; i++)
        event_kill(&device[i].ev);
    while (sim_n)
        sched_remove(&sim[--sim_n]);
    return 0;
}

static void test_shares(void **state)
{
    static const struct {
        uint32_t weight_a, weight_b;
        unsigned vcpus_a, vcpus_b;
        bool device_b;
    } cases[] = {
        { 100, 100, 1, 1, false }, { 100, 300, 0, 1, false },  { 100, 100, 0, 1, false },
        { 100, 300, 1, 1, false }, { 100, 300, 1, 1, true },   { 100, 100, 2, 2, true },
        { 100, 300, 8, 8, true },  { 100, 300, 32, 32, true },
    };

    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        shares(cases[i].weight_a, cases[i].weight_b, cases[i].vcpus_a, cases[i].vcpus_b,
               cases[i].device_b);
        (void)end(state);
    }
}

/* What waits for others goes on as soon as these halt, with no timer armed for it. */
static void test_goes_on(void **state)
{
    (void)state;
    start(100, 300);
    struct vcpu *own = add(A), *other = add(B);
    sched_wake(other);
    device[A].todo = 10000;
    event_post(&device[A].ev);
    run(100);
    uint64_t todo = device[A].todo, waited = device[A].waited;
    assert_true(todo > 0 && waited > 0);
    while (on_cpu[0] != other)
        (void)round_of(500000);
    put(false);
    assert_true(event_next() == UINT64_MAX);
    while (!round_of(500000))
        ;
    assert_int_equal(device[A].todo, 0);
    assert_true(device[A].waited <= waited + 1);
    assert_int_equal(own->sched.state, SCHED_BLOCKED);
}

/*
 * Put off, it can be cancelled; and what it had while nobody wanted the CPU is forgotten but for 20
 * ms.
 */
static void test_cancel_and_debt(void **state)
{
    (void)state;
    start(100, 100);
    struct vcpu *other = add(B);
    event_post(&device[A].ev);
    for (unsigned i = 0; i < 500; i++)
        (void)round_of(500000);
    assert_true(device[A].ran > 400 * STEP_NS);
    uint64_t from = host_now, ran = device[A].ran;
    sched_wake(other);
    run(100);
    assert_in_range(device[A].ran - ran, 30 * STEP_NS, 55 * STEP_NS);
    assert_true(host_now >= from + 100 * STEP_NS);
    while (!(percpus[0].events.off))
        (void)round_of(500000), put(true);
    event_cancel(&device[A].ev);
    assert_false(event_waits());
    assert_int_equal(device[A].ev.state, 0);
}

/* A vCPU that this CPU alone runs, for so long, and that waits for it then. */
static void busy(uint32_t cpu, struct vcpu *v, uint64_t ns)
{
    host_cpu = cpu;
    sim_pick(cpu);
    assert_ptr_equal(on_cpu[cpu], v);
    host_now += ns;
    sched_put(v, true);
    on_cpu[cpu] = NULL;
}

/*
 * A second of work on a CPU where others have had much is nothing on one where they have had
 * little, and what a guest has had here is not forgotten for what it does there.
 */
static void test_each_cpu_apart(void **state)
{
    struct vcpu *here, *there;

    (void)state;
    start_on(2, 100, 100);
    here = add_to(B, 1);
    there = add_to(B, 2);
    sched_wake(here);
    sched_wake(there);
    busy(1, there, 1000 * STEP_NS);
    share_pay(&vms[A], host_now - STEP_NS);
    assert_false(share_is_far_ahead(&vms[A]));
    busy(0, here, STEP_NS);
    assert_true(sched_others_want(&vms[A]) && sched_floor() < 100 * STEP_NS);
    assert_false(share_is_far_ahead(&vms[A]));
    share_pay(&vms[A], host_now - 15 * STEP_NS);
    assert_true(share_is_far_ahead(&vms[A]));
    host_cpu = 1;
    share_pay(&vms[A], host_now - STEP_NS);
    host_cpu = 0;
    assert_true(share_is_far_ahead(&vms[A]));
    busy(0, here, 20 * STEP_NS);
    assert_false(share_is_far_ahead(&vms[A]));
    assert_int_equal(vms[A].share.worked_ns, 17 * STEP_NS);
    host_cpu = 0;
}

/* Of more CPUs than there are accounts, two share one: what was had there does not count here. */
static void test_accounts_that_are_shared(void **state)
{
    struct vcpu *here;

    (void)state;
    start_on(2, 100, 100);
    here = add_to(B, 1);
    sched_wake(here);
    vms[A].share.had[0] = 60000 * STEP_NS; /* a minute, by the other's scale */
    busy(0, here, STEP_NS);
    assert_true(share_is_far_ahead(&vms[A]));
    busy(0, here, 20 * STEP_NS);
    assert_false(share_is_far_ahead(&vms[A]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_own_vcpu, end),
        cmocka_unit_test_teardown(test_shares, end),
        cmocka_unit_test_teardown(test_goes_on, end),
        cmocka_unit_test_teardown(test_cancel_and_debt, end),
        cmocka_unit_test_teardown(test_each_cpu_apart, end),
        cmocka_unit_test_teardown(test_accounts_that_are_shared, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
