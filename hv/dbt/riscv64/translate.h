/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From riscv64 instructions to the intermediate representation. A region is what can be reached
 * from one instruction within its page by branches and jumps, up to a bound; loops stay inside.
 * Pure functions over a copy of the page. Any context.
 */
#pragma once
#include <hv/ir.h>
#include <hv/riscv64.h>

#define RV_REGION 128 /* instructions of a region at most */

/* Helpers: numbers of IR_CALL and IR_TRAP. */
enum rv_help {
    RV_STEP,     /* interpret this one instruction, then go on behind it */
    RV_INTERPRET /* leave before this instruction and interpret it */
};

struct rv_source {
    uint64_t pc;         /* where the unit begins; even */
    const uint8_t *page; /* a copy of the page that pc is in: the guest may write its own */
    unsigned most;       /* 1 to RV_REGION instructions */
    bool floats;         /* FS is dirty, and the host rounds as frm says */
    uint8_t frm;         /* 0 to 3 where floats */
    bool fma;            /* IR_FMA can be emitted */
};

struct rv_exit {
    uint64_t pc;
    uint16_t label;
    uint8_t refund; /* RV_INTERPRET: instructions counted and not run; 0: a plain exit */
};

/* Working memory of rv_translate(). */
struct rv_region {
    struct rv_insn insn[RV_REGION];
    uint16_t at[RV_REGION];        /* offset in the page of each, in the order found */
    uint16_t index[PAGE_SIZE / 2]; /* of the instruction at each halfword, + 1; 0: none */
    uint8_t leader[PAGE_SIZE / 2]; /* RV_TARGET, RV_BACK */
    uint16_t label[PAGE_SIZE / 2];
    uint16_t todo[RV_REGION];
    unsigned n, n_todo;
    struct rv_exit exit[IR_MAX_LABELS];
    unsigned exits;
    const struct rv_source *in;
    struct ir_unit *u;
    uint64_t base; /* address of the page */
    unsigned entry;
    uint64_t pc;             /* of the instruction being translated */
    const struct rv_insn *i; /* that one */
    unsigned left;           /* counted instructions from this one on */
    uint64_t granules;       /* out: 64-byte pieces of the page that were read, a bit each */
};
#define RV_TARGET 1
#define RV_BACK 2

/*
 * 0; -ENOENT when the first instruction is not wholly in the page, -E2BIG when the unit does not
 * fit (ask for less).
 */
must_check int rv_translate(struct ir_unit *u, struct rv_region *r, const struct rv_source *in);

/* Between the files: one instruction; false: it is none of this file's. */
bool rv_translate_float(struct rv_region *r);
uint16_t rv_x(struct rv_region *r, unsigned reg);
void rv_set_x(struct rv_region *r, unsigned reg, uint16_t v);
/* A label where this instruction is interpreted instead. */
uint16_t rv_slow(struct rv_region *r);
static inline uint16_t rv_int(struct rv_region *r, int64_t v) { return ir_const(r->u, IR_I64, v); }
