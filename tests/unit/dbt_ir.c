/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The intermediate representation: each rule of the verifier, text and back, random units.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "tests/unit/ir_eval.h"

static struct ir_unit unit, again;
static struct eval world;

static const char *verdict(const char *text)
{
    unsigned at, line;
    const char *why;

    assert_int_equal(ir_parse(&unit, text, &line), 0);
    return ir_verify(&unit, &at, &why) ? why : "good";
}

/* Each breaks one rule. */
static void rules(void **state)
{
    static const char *const cases[][2] = {
        { "label label=0\nexit imm=4", "good" },
        { "exit imm=4", "no label at the beginning" },
        { "label label=0", "the unit ends without an exit" },
        { "label label=0\n%1 = const.i64", "the unit ends without an exit" },
        { "label label=0\nexit\nexit", "unreachable: no label" },
        { "label label=0\njump label=3", "a label that is placed never or twice" },
        { "label label=0\nexit\nlabel label=0\nexit", "a label that is placed never or twice" },
        { "label label=0\n%1 = add.i64 %2 %2\nexit",
          "a value of another block, or not defined yet" },
        { "label label=0\n%1 = add.i64\nexit", "a value of another block, or not defined yet" },
        { "label label=0\n%1 = get.i64\njump label=1\nlabel label=1\nset %1\nexit",
          "a value of another block, or not defined yet" },
        { "label label=0\n%1 = get.i64\nset %1\nset %2\nexit", "an operand that is no value" },
        { "label label=0\n%1 = get.i32\n%2 = add.i64 %1 %1\nexit", "an operand of another type" },
        { "label label=0\n%1 = get.f32\n%2 = cmp.i64 %1 %1 eq\nexit",
          "an operand of another type" },
        { "label label=0\n%1 = get.i32\n%2 = get.i64\nbranch %1 %2 eq label=0\nexit",
          "an operand of another type" },
        { "label label=0\n%1 = get.i64\n%2 = bitcast.f32 %1\nexit", "an operand of another type" },
        { "label label=0\n%1 = get.f64\n%2 = fadd.i64 %1 %1\nexit",
          "a type that the operation does not have" },
        { "label label=0\n%1 = get.f64\n%2 = fcmp.i64 %1 %1 gt\nexit",
          "a condition that floats do not have" },
        { "label label=0\n%1 = get.i64 imm=-8\nexit", "an offset into guest state" },
        { "label label=0\n%1 = get.i64 imm=6\nexit", "an offset into guest state" },
        { "label label=0\n%1 = get.i64\n%2 = load.i64 %1 size=8\nexit", "a size" },
        { "label label=0\n%1 = get.i64\n%2 = load.i64 %1 size=3 imm=0x80000000\nexit",
          "a displacement" },
        { "label label=0\ncall imm=65536\nexit", "a helper's number" },
        { "label label=0\n%1 = get.i64\ncall %0 %1\nexit", "an operand is left out" },
    };

    (void)state;
    for (unsigned k = 0; k < ARRAY_SIZE(cases); k++)
        assert_string_equal(verdict(cases[k][0]), cases[k][1]);
}

static void full_unit(void **state)
{
    unsigned at;
    const char *why;

    (void)state;
    ir_begin(&unit);
    for (unsigned k = 0; k < IR_MAX_INS + 10; k++)
        assert_true(ir_const(&unit, IR_I64, 1) < IR_MAX_INS);
    assert_true(unit.full);
    assert_int_equal(ir_verify(&unit, &at, &why), -EINVAL);
    ir_begin(&unit);
    for (unsigned k = 0; k < IR_MAX_LABELS + 10; k++)
        assert_true(ir_label(&unit) < IR_MAX_LABELS);
    assert_true(unit.full);
}

static void not_text(void **state)
{
    static const char *const cases[] = {
        "label label=0\n%2 = const.i64", "label label=0\nfoo", "label label=0\n%1 = const.i65",
        "label label=0\n%1 const.i64",   "exit %1 %2 %3 %4",   "exit 4"
    };
    unsigned line;

    (void)state;
    for (unsigned k = 0; k < ARRAY_SIZE(cases); k++)
        assert_int_equal(ir_parse(&unit, cases[k], &line), -EINVAL);
    char big[300] = { 0 };
    memset(big, ' ', sizeof big - 1);
    assert_int_equal(ir_parse(&unit, big, &line), -EINVAL);
}

static char text[IR_MAX_INS * 100];

static void random_units(void **state)
{
    struct eval_random r = { .seed = 1 };
    unsigned ends[5] = { 0 };

    (void)state;
    for (unsigned n = 0; n < 3000; n++) {
        unsigned at = 0, used = 0, line;
        const char *why;
        eval_make(&unit, &r, 20 + n % 200);
        if (ir_verify(&unit, &at, &why)) {
            eval_show(&unit);
            fail_msg("%u: %s", at, why);
        }
        for (unsigned k = 0; k < unit.n; k++) {
            used += ir_print(&unit, k, text + used, 100);
            text[used++] = '\n';
        }
        text[used] = 0;
        assert_int_equal(ir_parse(&again, text, &line), 0);
        assert_int_equal(unit.n, again.n);
        assert_memory_equal(unit.ins, again.ins, unit.n * sizeof unit.ins[0]);
        eval_fill(&world, &r);
        eval_run(&world, &unit);
        ends[world.end]++;
    }
    assert_int_equal(ends[EVAL_LOST], 0);
    for (unsigned k = EVAL_EXIT; k <= EVAL_TRAP; k++)
        assert_true(ends[k] > 50);
}

/* Cuts a long line and ends it, whatever the room. */
static void short_lines(void **state)
{
    char line[64];

    (void)state;
    assert_string_equal(verdict("label label=0\n%1 = get.i64 imm=8\n%2 = add.i64 %1 %1\nexit"),
                        "good");
    for (unsigned room = 1; room < sizeof line; room++) {
        memset(line, 'x', sizeof line);
        unsigned n = ir_print(&unit, 2, line, room);
        assert_true(n < room && line[n] == 0 && line[room] == 'x');
    }
    assert_string_equal(line, "%2 = add.i64 %1 %1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules),        cmocka_unit_test(full_unit),   cmocka_unit_test(not_text),
        cmocka_unit_test(random_units), cmocka_unit_test(short_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
