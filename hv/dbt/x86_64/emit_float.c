/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Floating point: scalar SSE in the guest's rounding direction, exceptions gathered in MXCSR. Every
 * NaN that comes out becomes the canonical one, behind the unit. SDM volume 1, chapter 11 and
 * appendix E.
 */
#include "hv/dbt/x86_64/emit.h"

/* The single's opcode follows the double's in asm.h. */
static enum asm_op emit_float_fl_op(enum asm_op d, bool wide)
{
    return wide ? d : (enum asm_op)(d + 1);
}

struct asm_rm emit_frm(const struct emit *e, uint16_t v) { return emit_rm(e, v); }

unsigned emit_freg(struct emit *e, uint16_t v, unsigned scratch)
{
    struct asm_rm rm = emit_frm(e, v);

    if (!rm.mem)
        return rm.base;
    asm_op(&e->b, ASM_MOVSD, false, scratch, rm);
    return scratch;
}

static void emit_float_fl_move(struct emit *e, unsigned to, struct asm_rm from)
{
    if (from.mem || from.base != to)
        asm_op(&e->b, from.mem ? ASM_MOVSD : ASM_MOVAPS, false, to, from);
}

/* xmm0 is the result. */
static void fl_result(struct emit *e)
{
    unsigned to = emit_to(e, 0);

    emit_float_fl_move(e, to, asm_r(0));
    emit_done(e, to);
}

static void fl_check_nan(struct emit *e, unsigned reg, unsigned why)
{
    bool w = emit_wide(emit_ins(e)->type);

    asm_op(&e->b, emit_float_fl_op(ASM_UCOMISD, w), false, reg, asm_r(reg));
    emit_later(e, ASM_P, why);
    emit_back(e);
}

void emit_float_op(struct emit *e)
{
    static const uint8_t ops[IR_OPS] = {
        [IR_FADD] = ASM_ADDSD, [IR_FSUB] = ASM_SUBSD, [IR_FMUL] = ASM_MULSD, [IR_FDIV] = ASM_DIVSD
    };
    const struct ir_ins *i = emit_ins(e);
    struct asm_rm b = emit_frm(e, i->b);
    unsigned to = emit_to(e, 0), work = !b.mem && b.base == to ? 0 : to;

    emit_float_fl_move(e, work, emit_frm(e, i->a));
    asm_op(&e->b, emit_float_fl_op(ops[i->op], emit_wide(i->type)), false, work, b);
    emit_float_fl_move(e, to, asm_r(work));
    fl_check_nan(e, to, LATER_NAN);
    emit_done(e, to);
}

void emit_fsqrt(struct emit *e)
{
    const struct ir_ins *i = emit_ins(e);
    unsigned to = emit_to(e, 0);

    asm_op(&e->b, emit_float_fl_op(ASM_SQRTSD, emit_wide(i->type)), false, to, emit_frm(e, i->a));
    fl_check_nan(e, to, LATER_NAN);
    emit_done(e, to);
}

/* The result stays in xmm0 until it is known to be no NaN: see fl_late_fma(). */
void emit_fma(struct emit *e)
{
    const struct ir_ins *i = emit_ins(e);
    bool w = emit_wide(i->type);

    emit_float_fl_move(e, 0, emit_frm(e, i->a));
    unsigned b = emit_freg(e, i->b, 1);
    asm_op3(&e->b, w ? ASM_VFMADD213SD : ASM_VFMADD213SS, w, 0, emit_frm(e, i->c), b);
    fl_check_nan(e, 0, LATER_FMA_NAN);
    fl_result(e);
}

void emit_fneg(struct emit *e)
{
    const struct ir_ins *i = emit_ins(e);

    asm_mov_imm(&e->b, RAX, emit_wide(i->type) ? 1ull << 63 : 1ull << 31);
    asm_op(&e->b, ASM_MOVQ_TO_X, true, 0, asm_r(RAX));
    asm_op(&e->b, ASM_XORPS, false, 0, asm_r(emit_freg(e, i->a, 1)));
    fl_result(e);
}

void emit_fcmp(struct emit *e)
{
    const struct ir_ins *i = emit_ins(e);
    bool w = emit_wide(ir_type_of(e->u, i->a)), eq = i->cond == IR_EQ;
    unsigned to = emit_to(e, RAX), reg = emit_freg(e, eq ? i->a : i->b, 0);

    asm_op(&e->b, emit_float_fl_op(eq ? ASM_UCOMISD : ASM_COMISD, w), false, reg,
           emit_frm(e, eq ? i->b : i->a));
    asm_setcc(&e->b, eq ? ASM_E : i->cond == IR_LT ? ASM_A : ASM_AE, RAX);
    if (eq) {
        asm_setcc(&e->b, ASM_NP, RCX);
        asm_op(&e->b, ASM_AND, false, RAX, asm_r(RCX));
    }
    asm_op(&e->b, ASM_MOVZX8, false, to, asm_r(RAX));
    emit_done(e, to);
}

void emit_f2f(struct emit *e)
{
    const struct ir_ins *i = emit_ins(e);
    unsigned to = emit_to(e, 0);

    if (i->type == ir_type_of(e->u, i->a)) {
        emit_float_fl_move(e, to, emit_frm(e, i->a));
    } else {
        asm_op(&e->b, i->type == IR_F64 ? ASM_CVTSS2SD : ASM_CVTSD2SS, false, to,
               emit_frm(e, i->a));
        fl_check_nan(e, to, LATER_NAN);
    }
    emit_done(e, to);
}

void emit_i2f(struct emit *e)
{
    const struct ir_ins *i = emit_ins(e);
    bool w = emit_wide(ir_type_of(e->u, i->a));

    asm_op(&e->b, ASM_XORPS, false, 0, asm_r(0)); /* no wait for what was in it */
    asm_op(&e->b, emit_float_fl_op(ASM_CVTSI2SD, emit_wide(i->type)), w, 0,
           emit_operand(e, i->a, RAX));
    fl_result(e);
}

/* The host gives the most negative number for all that does not fit: only that less 1 overflows. */
void emit_f2i(struct emit *e)
{
    const struct ir_ins *i = emit_ins(e);
    bool w = emit_wide(i->type);
    unsigned to = emit_to(e, RAX);

    asm_op(&e->b, emit_float_fl_op(ASM_CVTTSD2SI, emit_wide(ir_type_of(e->u, i->a))), w, RAX,
           emit_frm(e, i->a));
    asm_imm(&e->b, ASM_CMP, w, asm_r(RAX), 1);
    emit_later(e, ASM_O, LATER_F2I);
    emit_back(e);
    emit_move(e, w, to, RAX);
    emit_done(e, to);
}

void emit_bitcast(struct emit *e)
{
    const struct ir_ins *i = emit_ins(e);
    bool w = emit_wide(i->type), to_float = emit_is_float(i->type);
    struct asm_rm from = emit_operand(e, i->a, RAX);
    unsigned to = emit_to(e, 0);

    if (from.mem)
        asm_op(&e->b, to_float ? ASM_MOVSD : ASM_MOV, !to_float && w, to, from);
    else if (to_float)
        asm_op(&e->b, ASM_MOVQ_TO_X, w, to, from);
    else
        asm_op(&e->b, ASM_MOVQ_FROM_X, w, from.base, asm_r(to));
    emit_done(e, to);
}

void emit_box(struct emit *e)
{
    unsigned to = emit_to(e, 0);

    emit_float_fl_move(e, to, emit_frm(e, emit_ins(e)->a));
    asm_mov_imm(&e->b, RAX, 0xffffffffull << 32);
    asm_op(&e->b, ASM_MOVQ_TO_X, true, 1, asm_r(RAX));
    asm_op(&e->b, ASM_ORPS, false, to, asm_r(1));
    emit_done(e, to);
}

void emit_unbox(struct emit *e)
{
    unsigned to = emit_to(e, 0);

    emit_float_fl_move(e, to, emit_frm(e, emit_ins(e)->a));
    emit_done(e, to);
}

static void fl_canonical(struct emit *e, unsigned to)
{
    bool w = emit_wide(emit_ins(e)->type);

    asm_mov_imm(&e->b, RAX, w ? 0x7ff8ull << 48 : 0x7fc00000);
    asm_op(&e->b, ASM_MOVQ_TO_X, true, to, asm_r(RAX));
}

/*
 * Infinity times zero is invalid even if a quiet NaN is added, which the host does not signal: so
 * multiply, and keep only that flag of the multiplication.
 */
static void fl_late_fma(struct emit *e)
{
    const struct ir_ins *i = emit_ins(e);
    struct asm_rm mxcsr = asm_m(RBP, e->in->l->mxcsr);

    asm_op(&e->b, ASM_STMXCSR, false, 0, mxcsr);
    asm_op(&e->b, ASM_MOV, false, RCX, mxcsr);
    emit_float_fl_move(e, 0, emit_frm(e, i->a));
    asm_op(&e->b, emit_float_fl_op(ASM_MULSD, emit_wide(i->type)), false, 0, emit_frm(e, i->b));
    asm_op(&e->b, ASM_STMXCSR, false, 0, mxcsr);
    asm_op(&e->b, ASM_MOV, false, RAX, mxcsr);
    asm_imm(&e->b, ASM_AND, false, asm_r(RAX), 1);
    asm_op(&e->b, ASM_OR, false, RCX, asm_r(RAX));
    asm_op(&e->b, ASM_MOV_STORE, false, RCX, mxcsr);
    asm_op(&e->b, ASM_LDMXCSR, false, 0, mxcsr);
    fl_canonical(e, 0);
}

/* NaNs and what is too large give the largest number, what is too small stays. */
static void fl_late_f2i(struct emit *e, const uint8_t *back)
{
    const struct ir_ins *i = emit_ins(e);
    bool w = emit_wide(ir_type_of(e->u, i->a));

    asm_op(&e->b, ASM_XORPS, false, 0, asm_r(0));
    asm_op(&e->b, emit_float_fl_op(ASM_UCOMISD, w), false, 0, emit_frm(e, i->a));
    asm_patch(&e->b, asm_jcc(&e->b, ASM_AE), back);
    asm_op(&e->b, ASM_NOT, emit_wide(i->type), 0, asm_r(RAX));
}

void emit_late_float(struct emit *e, const struct emit_later *l)
{
    if (l->why == LATER_F2I)
        fl_late_f2i(e, l->back);
    else if (l->why == LATER_FMA_NAN)
        fl_late_fma(e);
    else
        fl_canonical(e, emit_to(e, 0));
}
