/* SPDX-License-Identifier: BSD-2-Clause */
/* Each assertion of <hv/assert.h>: it holds where it should, and is seen to fail where it should.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <hv/assert.h>
#include <hv/event.h>
#include <hv/vcpu.h>
#include <hv/vm.h>
#include <stdio.h>

#include "arch/host/host.h"
#include "tests/unit/catch_panic.h"

/* Runs a statement: whether it panics. */
#define FAILS(statement)          \
    (setjmp(on_panic) ? true : ({ \
        statement;                \
        false;                    \
    }))
#define HOLDS(statement) (!FAILS(statement))

static int setup(void **state)
{
    (void)state;
    host_init(2, 0);
    host_cpu = 0;
    return 0;
}

static void test_assert(void **state)
{
    volatile int one = 1;

    (void)state;
    assert_true(HOLDS(hv_assert(one == 1)));
    assert_true(FAILS(hv_assert(one == 2)));
    assert_non_null(strstr(panic_text, "asserts.c:"));
    assert_non_null(strstr(panic_text, "one == 2"));
    assert_true(HOLDS(debug_assert(one == 1)));
    assert_true(FAILS(debug_assert(one == 2)));
}

static void test_cpu0(void **state)
{
    (void)state;
    assert_true(HOLDS(assert_cpu0()));
    host_cpu = 1;
    assert_true(FAILS(assert_cpu0()));
    host_cpu = 0;
}

static void test_held(void **state)
{
    static struct spinlock lock = SPINLOCK_INIT(LOCK_VM), other = SPINLOCK_INIT(LOCK_VM);

    (void)state;
    assert_true(FAILS(assert_held(&lock)));
    assert_true(HOLDS(debug_assert_no_locks()));
    spin_lock(&lock);
    assert_true(HOLDS(assert_held(&lock)));
    assert_true(HOLDS(debug_assert_held(&lock)));
    assert_true(FAILS(debug_assert_held(&other))); /* of the same level, and free */
    assert_true(FAILS(debug_assert_no_locks()));
    host_cpu = 1; /* somebody else's */
    assert_true(FAILS(assert_held(&lock)));
    host_cpu = 0;
    spin_unlock(&lock);
    assert_true(FAILS(debug_assert_held(&lock)));
}

static void test_vcpu(void **state)
{
    struct vcpu v = { .sched = { .state = SCHED_RUNNING, .cpu = 0 } };

    (void)state;
    assert_true(HOLDS(assert_on_cpu(&v)));
    assert_true(HOLDS(assert_own_cpu(&v)));
    host_cpu = 1;
    assert_true(FAILS(assert_on_cpu(&v)));
    assert_true(FAILS(assert_own_cpu(&v)));
    assert_true(FAILS(debug_assert_on_cpu(&v)));
    assert_true(FAILS(debug_assert_own_cpu(&v)));
    v.requests = REQ_PARK | REQ_PARKED; /* it leaves its CPU in a moment */
    assert_true(HOLDS(assert_own_cpu(&v)));
    host_cpu = 0;
    v.sched.state = SCHED_BLOCKED;
    assert_true(FAILS(assert_on_cpu(&v)));
    assert_true(HOLDS(assert_own_cpu(&v)));
}

static void test_parked(void **state)
{
    struct vcpu a = { .requests = REQ_PARK | REQ_PARKED }, b = a;
    struct vm vm = { .state = VM_RUNNING, .nvcpus = 2, .vcpu = { &a, &b } };

    (void)state;
    b.sched.state = SCHED_RUNNING; /* it tells so a moment before it has left its CPU */
    assert_true(HOLDS(assert_parked(&vm)));
    b.requests = REQ_PARK; /* it was asked only */
    assert_true(FAILS(assert_parked(&vm)));
    b.sched.state = SCHED_BLOCKED; /* it may be woken */
    assert_true(FAILS(assert_parked(&vm)));
    vm.state = VM_STARTING; /* not let run yet */
    assert_true(HOLDS(assert_parked(&vm)));
    b.sched.state = SCHED_RUNNING;
    assert_true(FAILS(assert_parked(&vm)));
}

static void test_aligned(void **state)
{
    volatile uint64_t v = 0x3000;

    (void)state;
    assert_true(HOLDS(assert_aligned(v, PAGE_SIZE)));
    v = 0x3010;
    assert_true(FAILS(assert_aligned(v, PAGE_SIZE)));
}

/* Two of those that stand in the code: the headers' promises are what they check. */
static void test_in_the_code(void **state)
{
    struct vm *vm = NULL;

    (void)state;
    host_cpu = 1;
    assert_true(FAILS(vm = vm_find("x")));
    assert_null(vm);
    assert_non_null(strstr(panic_text, "list.c:"));
    host_cpu = 0;
    assert_true(HOLDS(vm = vm_find("x")));
    assert_true(FAILS(spin_init(&(struct spinlock){ 0 }, LOCK_SCREEN + 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_assert, setup),
        cmocka_unit_test_setup(test_cpu0, setup),
        cmocka_unit_test_setup(test_held, setup),
        cmocka_unit_test_setup(test_vcpu, setup),
        cmocka_unit_test_setup(test_parked, setup),
        cmocka_unit_test_setup(test_aligned, setup),
        cmocka_unit_test_setup(test_in_the_code, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
