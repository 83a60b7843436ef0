/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs units as host code on this machine: what dbt_emit.c and the fuzzer share. The code is
 * written through one mapping of a memory file and runs through another.
 */
#pragma once
#include "tests/unit/ir_eval.h"
#include <hv/jit.h>

/* Runs a verified unit on `e`, as eval_run() would. -ENOSPC: too many values are alive. */
must_check int jit_run(struct eval *e, const struct ir_unit *u);
/* The code of the last unit, on stderr. */
void jit_run_show(void);
/* How often these bytes are in it. */
unsigned jit_run_count(const void *bytes, size_t n);
/* What differs between two worlds, or NULL. */
const char *jit_run_differs(const struct eval *a, const struct eval *b);
