/* SPDX-License-Identifier: BSD-2-Clause */
/* smp: how the boot CPU and one that starts meet, and what becomes of one that is too late. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/common/smp.c"

enum { CPUS = 6, TOO_LATE = 3 };
#define SECOND 1000000000ull
static uint8_t stacks[MAX_CPUS];
static unsigned given[MAX_CPUS], nlooks, comes_at; /* the new CPU arrives at that look; 0: never */
static uint64_t now, per_look;

void *mmu_alloc_stack(uint32_t i)
{
    assert_in_range(i, 1, MAX_CPUS - 1);
    assert_int_equal(given[i]++, 0); /* whoever has it may still come */
    return &stacks[i];
}

uint64_t time_ns(void) { return now; }

void cpu_relax(void)
{
    now += per_look;
    if (++nlooks == comes_at)
        assert_true(leave_starting(AP_UP));
}

/* Whether the next CPU is used. */
static bool starts(unsigned at, uint64_t ns)
{
    struct percpu *p = ap_prepare();

    assert_non_null(p);
    assert_ptr_equal(p, &percpus[cpu_count]);
    nlooks = 0;
    comes_at = at;
    per_look = ns;
    ap_expect();
    if (!ap_answered(SECOND) && ap_give_up())
        return false;
    ap_go();
    return true;
}

/* One that is left out costs nobody else: the next has its number, but a stack of its own. */
static void test_one_is_too_late(void **unused)
{
    (void)unused;
    percpus[0].self = &percpus[0];
    cpu_count = 1;
    for (unsigned i = 1; i < CPUS; i++)
        assert_int_equal(starts(i == TOO_LATE ? 0 : 2, 1000), i != TOO_LATE);
    assert_int_equal(cpu_count, CPUS - 1);
    for (unsigned i = 1; i < cpu_count; i++)
        assert_int_equal(percpus[i].id, i);
}

/* The machine stood for ten seconds: the new CPU has had no time, though the clock says so. */
static void test_the_machine_stood(void **unused)
{
    (void)unused;
    assert_true(starts(500, 10 * SECOND));
    assert_false(starts(0, 10 * SECOND));
    assert_in_range(nlooks, 1000, 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_is_too_late),
        cmocka_unit_test(test_the_machine_stood),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
