/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The emitter's own: what its files share. See emit.c.
 *
 * RBP: guest state. R15: budget. RSP: a struct jit_frame's `spill`. RAX, RCX, RDX and xmm0, xmm1
 * are scratch; all others hold pins and values.
 */
#pragma once
#include <hv/jit.h>
#include "hv/dbt/x86_64/asm.h"

#define EMIT_LATERS 1024

/* Code that is rarely run stands behind the unit. */
struct emit_later {
    uint8_t *from;       /* the displacement of the jump to it */
    const uint8_t *back; /* where it goes on; NULL: nowhere */
    uint16_t ins;        /* the instruction that it belongs to */
    uint8_t why;         /* enum jit_why, or LATER_* */
    uint32_t refund;
    uint64_t pc;
};
#define LATER_NAN 32 /* the canonical NaN as the result */
#define LATER_FMA_NAN 33
#define LATER_F2I 34

struct emit_fixup {
    uint8_t *at;
    uint16_t label;
};

struct emit {
    const struct jit_emit *in;
    const struct ir_unit *u;
    const struct jit_alloc *a;
    struct asm_buf b;
    uint8_t *label[IR_MAX_LABELS];
    struct emit_fixup fixup[EMIT_LATERS];
    struct emit_later later[EMIT_LATERS];
    unsigned fixups, laters;
    unsigned at;             /* the instruction */
    unsigned insns, counted; /* guest instructions begun, counted since the last IR_COUNT */
    uint64_t pc;
    uint64_t pointers; /* guest state, 8 bytes each, that the unit writes from loads only */
};

extern bool emit_has_bmi2, emit_has_fma;

static inline const struct ir_ins *emit_ins(const struct emit *e) { return &e->u->ins[e->at]; }
static inline bool emit_wide(unsigned type) { return type == IR_I64 || type == IR_F64; }
static inline bool emit_is_float(unsigned type) { return type == IR_F32 || type == IR_F64; }
static inline bool emit_const(const struct emit *e, uint16_t v, int64_t *imm)
{
    *imm = e->u->ins[v].imm;
    if (e->u->ins[v].type == IR_I32)
        *imm = (int32_t)*imm;
    return e->u->ins[v].op == IR_CONST;
}
static inline bool emit_const32(const struct emit *e, uint16_t v, int32_t *imm)
{
    int64_t wide;
    bool is = emit_const(e, v, &wide) && wide == (int32_t)wide;

    *imm = (int32_t)wide;
    return is;
}
/* A value's register, or memory if spilled; never for constants. */
struct asm_rm emit_rm(const struct emit *e, uint16_t v);
/* The value in a register: its own, or `scratch` after loading it. */
unsigned emit_reg(struct emit *e, uint16_t v, unsigned scratch);
struct asm_rm emit_operand(struct emit *e, uint16_t v, unsigned scratch);
unsigned emit_freg(struct emit *e, uint16_t v, unsigned scratch);
struct asm_rm emit_frm(const struct emit *e, uint16_t v);
/* Where the result is to be made; emit_done() stores it when it has no register. */
unsigned emit_to(const struct emit *e, unsigned scratch);
void emit_done(struct emit *e, unsigned reg);
void emit_move(struct emit *e, bool w, unsigned to, unsigned from);
/* A jump on `c` to code behind the unit; emit_back() says where that returns. */
void emit_later(struct emit *e, enum asm_cond c, unsigned why);
void emit_later_jump(struct emit *e, unsigned why);
void emit_back(struct emit *e);
void emit_writeback(struct emit *e);
void emit_record(struct emit *e, const struct emit_later *l);
void emit_laters(struct emit *e);

typedef void (*emit_fn)(struct emit *e);
void emit_float_op(struct emit *e);
void emit_fsqrt(struct emit *e);
void emit_fma(struct emit *e);
void emit_fneg(struct emit *e);
void emit_fcmp(struct emit *e);
void emit_f2f(struct emit *e);
void emit_i2f(struct emit *e);
void emit_f2i(struct emit *e);
void emit_bitcast(struct emit *e);
void emit_box(struct emit *e);
void emit_unbox(struct emit *e);
void emit_late_float(struct emit *e, const struct emit_later *l);
void emit_find_pointers(struct emit *e); /* sets e->pointers */
void emit_load(struct emit *e);
void emit_store(struct emit *e);
void emit_amo(struct emit *e);
void emit_lr(struct emit *e);
void emit_sc(struct emit *e);
void emit_fence(struct emit *e);
void emit_call(struct emit *e);
/* The value into `to`, whatever it is. */
void emit_load_value(struct emit *e, bool w, unsigned to, uint16_t v);
/*
 * rax: where the TLB's entry of address a + imm is, from rbp + layout.tlb; rcx: the offset in its
 * page. Behind a comparison that finds a miss and a page that is left: then C is called, and
 * emit_back() says where that returns. Atomic: of address a, and what is no multiple of the size is
 * C's, too.
 */
void emit_find(struct emit *e, unsigned tag, unsigned why);
void emit_count(struct emit *e);
void emit_exit(struct emit *e);
void emit_exit_ind(struct emit *e);
