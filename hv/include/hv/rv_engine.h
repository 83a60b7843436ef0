/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hart with the compiling engine: <hv/rv_hart.h> and <hv/rv_jit.h> put together. Runs what
 * rv_interpret() would, with the same meaning. One thread or CPU runs it. What others write to
 * code, another hart or a device, it learns of at FENCE.I.
 */
#pragma once
#include <hv/rv_hart.h>
#include <hv/rv_jit.h>

#define RV_ENGINE_TLB 1024
#define RV_ENGINE_LISTED 128 /* entries in use that can be emptied one by one */

struct rv_engine_entry {
    uint64_t read, write; /* the page's address, or one that nothing equals */
    uint64_t host, pa;
};
/* Compiled code reaches all of it from the hart's state. */
struct rv_engine {
    struct rv_hart hart; /* first */
    struct rv_jit_near near;
    struct rv_engine_entry tlb[RV_ENGINE_TLB];
    struct rv_jit *jit;
    const struct rv_machine_ops *machine; /* behind the engine, and its owner */
    void *owner;
    uint32_t leave;                    /* compiled code is to be left; atomic */
    unsigned slow;                     /* expensive things in this pass */
    uint64_t seen_satp, seen_rights;   /* that the TLB is for */
    uint64_t seen_flushes;             /* of the hart's TLB, after which no fence is remembered */
    uint16_t filled[RV_ENGINE_LISTED]; /* the TLB's entries in use: the first `n_filled` */
    unsigned n_filled;                 /* more than there is room for: any may be in use */
};

/*
 * After rv_hart_init(&e->hart, ...). memory: rv_jit_bytes(), page-aligned; hot and clock: as in
 * struct rv_jit_setup. As rv_jit_init().
 */
must_check int rv_engine_init(struct rv_engine *e, void *memory, struct jit_memory code,
                              unsigned hot, uint64_t (*clock)(void));
/* One interrupt that is due, or an instruction, then compiled code; how many ran, 0: it waits. */
uint64_t rv_engine_pass(struct rv_engine *e, uint64_t budget);
/*
 * The hart's state or its mappings were changed from outside of its instructions; to be called in
 * place of rv_changed().
 */
void rv_engine_changed(struct rv_engine *e);
/* As rv_interpret(). */
uint64_t rv_engine_run(struct rv_engine *e, uint64_t budget);
