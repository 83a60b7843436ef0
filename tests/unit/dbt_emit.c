/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random units as host code against the evaluator.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/jit_run.h"

static struct ir_unit unit;
static struct eval before, plain, compiled;

static void show_state(void)
{
    for (unsigned k = 0; k < EVAL_STATE; k += 8)
        if (memcmp(plain.state + k, compiled.state + k, 8)) {
            uint64_t a, b, c;
            memcpy(&a, before.state + k, 8);
            memcpy(&b, plain.state + k, 8);
            memcpy(&c, compiled.state + k, 8);
            fprintf(stderr, "state %u: was %#llx, should be %#llx, is %#llx\n", k,
                    (unsigned long long)a, (unsigned long long)b, (unsigned long long)c);
        }
    fprintf(stderr, "ends %u %u pc %#llx %#llx flags %#x %#x budget %lld %lld\n", plain.end,
            compiled.end, (unsigned long long)plain.pc, (unsigned long long)compiled.pc,
            plain.flags, compiled.flags, (long long)plain.budget, (long long)compiled.budget);
}

static bool try(uint64_t seed, unsigned most)
{
    struct eval_random r = { .seed = seed * 0x9e3779b97f4a7c15ull + 1 };

    eval_make(&unit, &r, most);
    eval_fill(&before, &r);
    plain = compiled = before;
    eval_run(&plain, &unit);
    if (jit_run(&compiled, &unit))
        return false;
    const char *what = jit_run_differs(&plain, &compiled);
    if (what) {
        eval_show(&unit);
        jit_run_show();
        show_state();
        fail_msg("seed %llu, %u: %s", (unsigned long long)seed, most, what);
    }
    return true;
}

static void random_units(void **state)
{
    unsigned n = getenv("DBT_UNITS") ? (unsigned)atoi(getenv("DBT_UNITS")) : 20000, done = 0;

    (void)state;
    for (unsigned k = 0; k < n; k++)
        done += try(k, 10 + k % 150);
    assert_true(done > n / 10 * 9);
}

/* Whatever a CPU guesses of the comparison before it. */
static void every_access_stays_in_its_page(void **state)
{
    static const uint8_t mask[] = { 0x81, 0xe1, 0xff, 0x0f, 0x00, 0x00 }; /* and ecx, 0xfff */
    unsigned accesses = 0;

    (void)state;
    for (unsigned k = 0; k < 200; k++) {
        unsigned n = 0;

        if (!try(k, 150))
            continue;
        for (unsigned at = 0; at < unit.n; at++)
            n += unit.ins[at].op == IR_LOAD || unit.ins[at].op == IR_STORE ||
                 unit.ins[at].op == IR_AMO || unit.ins[at].op == IR_LR || unit.ins[at].op == IR_SC;
        assert_int_equal(jit_run_count(mask, sizeof mask), n);
        accesses += n;
    }
    assert_true(accesses > 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(random_units),
                                        cmocka_unit_test(every_access_stays_in_its_page) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
