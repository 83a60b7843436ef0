/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each pass on what it is for, and on random units: the evaluator must see no difference.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <hv/ir_opt.h>
#include "tests/unit/jit_run.h"

typedef void (*pass_fn)(struct ir_unit *u, struct ir_work *w);
static struct ir_unit unit, after;
static struct ir_work work;
static struct eval before, plain, changed;

/* Between a label and an exit. */
static void becomes(pass_fn pass, const char *from, const char *to)
{
    char text[2000], want[2000];
    unsigned line, used = 0, at;
    const char *why;

    snprintf(want, sizeof want, "label label=0\n%s", from);
    assert_int_equal(ir_parse(&unit, want, &line), 0);
    assert_int_equal(ir_verify(&unit, &at, &why), 0);
    pass(&unit, &work);
    ir_opt_dead(&unit, &work);
    assert_int_equal(ir_verify(&unit, &at, &why), 0);
    for (unsigned k = 0; k < unit.n; k++) {
        used += ir_print(&unit, k, text + used, 100);
        text[used++] = '\n';
    }
    text[used] = 0;
    snprintf(want, sizeof want, "label label=0\n%s", to);
    assert_string_equal(text, want);
}

#define G8 "%1 = get.i64 imm=8\n"
#define END "exit imm=4\n"

static void state_pass(void **state)
{
    static const char *const stays[] = {
        G8 "call\n%3 = get.i64 imm=8\n%4 = add.i64 %1 %3\nset %4\n" END,
        G8 "%2 = trunc.i32 %1\nset %2 imm=12\n%4 = get.i64 imm=8\nset %4 imm=16\n" END,
        G8 "set %1 imm=16\n%3 = load.i64 %1 size=3\nset %3 imm=16\n" END,
    };

    (void)state;
    becomes(ir_opt_state, G8 "%2 = get.i64 imm=8\n%3 = add.i64 %1 %2\nset %3 imm=16\n" END,
            G8 "%2 = add.i64 %1 %1\nset %2 imm=16\n" END);
    becomes(ir_opt_state, G8 "%2 = add.i64 %1 %1\nset %2 imm=16\nset %1 imm=16\n" END,
            G8 "set %1 imm=16\n" END);
    becomes(ir_opt_state, G8 "set %1 imm=8\n" END, END);
    for (unsigned k = 0; k < ARRAY_SIZE(stays); k++)
        becomes(ir_opt_state, stays[k], stays[k]);
}

static void fold_pass(void **state)
{
    (void)state;
    becomes(ir_opt_fold,
            "%1 = const.i64 imm=5\n%2 = const.i64 imm=-7\n%3 = add.i64 %1 %2\nset %3\n" END,
            "%1 = const.i64 imm=-2\nset %1\n" END);
    becomes(ir_opt_fold, "%1 = const.i32 imm=-1\n%2 = zext32.i64 %1\nset %2\n" END,
            "%1 = const.i64 imm=4294967295\nset %1\n" END);
    becomes(ir_opt_fold, G8 "%2 = const.i64\n%3 = add.i64 %2 %1\nset %3\n" END, G8 "set %1\n" END);
    becomes(ir_opt_fold,
            G8 "%2 = zext8.i64 %1\n%3 = const.i64 imm=255\n%4 = and.i64 %2 %3\nset %4\n" END,
            G8 "%2 = zext8.i64 %1\nset %2\n" END);
    becomes(ir_opt_fold,
            G8 "%2 = trunc.i32 %1\n%3 = sext32.i64 %2\n%4 = trunc.i32 %3\n%5 = sext32.i64 %4\nset "
               "%5\n" END,
            G8 "%2 = trunc.i32 %1\n%3 = sext32.i64 %2\nset %3\n" END);
    becomes(ir_opt_fold, G8 "%2 = load.i64 %1 size=1\n%3 = sext32.i64 %2\nset %3\n" END,
            G8 "%2 = load.i64 %1 size=1\nset %2\n" END);
    becomes(ir_opt_fold,
            "%1 = const.i64 imm=1\n%2 = const.i64 imm=2\nbranch %1 %2 gt label=0\n" END, END);
    becomes(ir_opt_fold,
            "%1 = const.i64 imm=1\n%2 = const.i64 imm=2\nbranch %1 %2 lt label=0\n" END,
            "jump label=0\n");
    /* the sign of a half that is not known */
    becomes(ir_opt_fold, G8 "%2 = zext32.i64 %1\n%3 = sext32.i64 %2\nset %3\n" END,
            G8 "%2 = zext32.i64 %1\n%3 = sext32.i64 %2\nset %3\n" END);
}

/* What was written is known when it is read, until something else may have been written there. */
static void fold_state(void **state)
{
    static const char *const between[] = {
        "call\n",          "set %1 imm=16\n", "set %1 imm=12\n",
        "set %1 imm=20\n", "label label=1\n", "set %1 imm=1040\n",
    };
    char text[400];

    (void)state;
    becomes(ir_opt_fold,
            G8 "%2 = sext8.i64 %1\nset %2 imm=16\n%4 = get.i64 imm=16\n%5 = sext32.i64 %4\nset %5 "
               "imm=24\n" END,
            G8 "%2 = sext8.i64 %1\nset %2 imm=16\n%4 = get.i64 imm=16\nset %4 imm=24\n" END);
    snprintf(text, sizeof text, "%s",
             G8 "%2 = sext8.i64 %1\nset %2 imm=1040\n%4 = get.i64 imm=16\n%5 = sext32.i64 %4\n"
                "set %5 imm=24\n" END);
    becomes(ir_opt_fold, text, text);
    for (unsigned k = 0; k < ARRAY_SIZE(between); k++) {
        snprintf(text, sizeof text, "%s%s%s", G8 "%2 = sext8.i64 %1\nset %2 imm=16\n", between[k],
                 "%5 = get.i64 imm=16\n%6 = sext32.i64 %5\nset %6 imm=24\n" END);
        becomes(ir_opt_fold, text, text);
    }
}

static void cse_pass(void **state)
{
    (void)state;
    becomes(ir_opt_cse,
            G8 "%2 = add.i64 %1 %1\n%3 = add.i64 %1 %1\n%4 = xor.i64 %2 %3\nset %4\n" END,
            G8 "%2 = add.i64 %1 %1\n%3 = xor.i64 %2 %2\nset %3\n" END);
    becomes(ir_opt_cse,
            G8 "%2 = cmp.i64 %1 %1 lt\n%3 = cmp.i64 %1 %1 ge\n%4 = xor.i64 %2 %3\nset %4\n" END,
            G8 "%2 = cmp.i64 %1 %1 lt\n%3 = cmp.i64 %1 %1 ge\n%4 = xor.i64 %2 %3\nset %4\n" END);
}

static void dead_pass(void **state)
{
    (void)state;
    becomes(ir_opt_dead, G8 "%2 = add.i64 %1 %1\n%3 = get.f64 imm=512\n%4 = fadd.f64 %3 %3\n" END,
            "%1 = get.f64 imm=512\n%2 = fadd.f64 %1 %1\n" END); /* it may raise an exception */
    becomes(ir_opt_dead, G8 "%2 = load.i64 %1 size=3\n" END, G8 "%2 = load.i64 %1 size=3\n" END);
}

static void check_random(uint64_t seed, pass_fn pass, const char *name)
{
    struct eval_random r = { .seed = seed * 0x9e3779b97f4a7c15ull + 7 };
    unsigned at;
    const char *why;

    eval_make(&unit, &r, 10 + seed % 200);
    eval_fill(&before, &r);
    after = unit;
    pass(&after, &work);
    if (ir_verify(&after, &at, &why)) {
        eval_show(&after);
        fail_msg("%s, seed %llu: %u: %s", name, (unsigned long long)seed, at, why);
    }
    plain = changed = before;
    eval_run(&plain, &unit);
    eval_run(&changed, &after);
    why = jit_run_differs(&plain, &changed);
    if (!why && !jit_run(&before, &after))
        why = jit_run_differs(&plain, &before);
    if (why) {
        eval_show(&unit);
        eval_show(&after);
        fail_msg("%s, seed %llu: %s", name, (unsigned long long)seed, why);
    }
}

/* A pass alone leaves gaps that the verifier does not mind. */
static void random_units(void **state)
{
    static const struct {
        pass_fn pass;
        const char *name;
    } passes[] = { { ir_opt_state, "state" },
                   { ir_opt_fold, "fold" },
                   { ir_opt_cse, "cse" },
                   { ir_opt_dead, "dead" },
                   { ir_optimize, "all" } };

    (void)state;
    for (unsigned n = 0; n < 2500; n++)
        for (unsigned k = 0; k < ARRAY_SIZE(passes); k++)
            check_random(n, passes[k].pass, passes[k].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_pass), cmocka_unit_test(fold_pass), cmocka_unit_test(fold_state),
        cmocka_unit_test(cse_pass),   cmocka_unit_test(dead_pass), cmocka_unit_test(random_units),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
