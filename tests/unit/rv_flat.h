/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The least machine that riscv64 code runs on: a hart in machine mode and flat RAM. Its interpreter
 * is the evaluator of the intermediate representation, one instruction at a time, so that compiled
 * code is compared with what the front end means. What the front end does not translate does
 * nothing.
 */
#pragma once
#include <hv/rv_jit.h>
#include "hv/dbt/riscv64/translate.h"
#include "tests/unit/ir_eval.h"

#define FLAT_BASE 0x80000000ull
#define FLAT_TEST 0x100000ull /* SiFive's test device: ends the run */
#define FLAT_TLB 1024

struct flat_entry {
    uint64_t read, write, host, pa;
};
struct flat {
    struct rv_cpu cpu;
    struct rv_jit_near near;
    struct flat_entry tlb[FLAT_TLB];
    struct rv_jit *jit; /* NULL: interpreted only */
    uint8_t *ram;
    uint64_t bytes;
    uint64_t fault;  /* address, if `over` */
    uint64_t result; /* what was written to the test device */
    bool over;
    struct rv_region region;
    struct ir_unit unit;
    struct eval eval;
};

/* Bytes of code memory of the machines to come. */
extern uint32_t flat_code_bytes;
/* A hart at FLAT_BASE with zeroed RAM of that size, a multiple of a page. */
struct flat *flat_new(uint64_t bytes, bool jit, unsigned hot);
void flat_free(struct flat *m);
/* Interprets one instruction. */
void flat_step(void *machine);
/* Runs until `insns` have retired or it is over. */
void flat_run(struct flat *m, uint64_t insns);
void flat_flush(struct flat *m);
