/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The input's bytes choose a unit and a world; host code and the evaluator must agree.
 */
#include <stdlib.h>
#include "tests/unit/jit_run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ir_unit unit;
    static struct eval plain, compiled;
    struct eval_random r = { data, size, 1 };
    unsigned at;
    const char *why;

    eval_make(&unit, &r, 10 + (unsigned)(eval_random(&r) % 300));
    if (ir_verify(&unit, &at, &why))
        abort();
    eval_fill(&plain, &r);
    compiled = plain;
    eval_run(&plain, &unit);
    if (jit_run(&compiled, &unit) || !jit_run_differs(&plain, &compiled))
        return 0;
    eval_show(&unit);
    jit_run_show();
    abort();
}
