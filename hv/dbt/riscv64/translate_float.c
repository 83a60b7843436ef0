/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Floating point that the host does the same way: F and D, in the direction of frm, and conversions
 * to integers towards zero. A single whose register is not NaN-boxed, and all the rest, is
 * interpreted.
 */
#include "hv/dbt/riscv64/translate.h"

#define F(n) (offsetof(struct rv_cpu, f) + 8 * (size_t)(n))
enum { RNE, RTZ, RDN, RUP, RMM, DYN = 7 };

enum fl_form {
    FL_NONE,
    FL_BINARY,
    FL_SQRT,
    FL_FMA, /* neg: 1 the product, 2 the addend */
    FL_COMPARE,
    FL_LOAD,
    FL_STORE,
    FL_FROM_INT, /* neg: 1 a word, 2 an unsigned word */
    FL_TO_INT,   /* neg: 1 to a word */
    FL_CONVERT,
    FL_SIGN, /* neg: 0 copied, 1 negated, 2 xor */
    FL_MOVE_TO_X,
    FL_MOVE_FROM_X
};

static const struct fl_row {
    uint8_t form, op, neg;
    bool wide, rounds;
} fl_rows[RV_OPS] = {
    [RV_FLW] = { FL_LOAD, 0, 0, false, false },
    [RV_FSW] = { FL_STORE, 0, 0, false, false },
    [RV_FMADD_S] = { FL_FMA, 0, 0, false, true },
    [RV_FMSUB_S] = { FL_FMA, 0, 2, false, true },
    [RV_FNMSUB_S] = { FL_FMA, 0, 1, false, true },
    [RV_FNMADD_S] = { FL_FMA, 0, 3, false, true },
    [RV_FADD_S] = { FL_BINARY, IR_FADD, 0, false, true },
    [RV_FSUB_S] = { FL_BINARY, IR_FSUB, 0, false, true },
    [RV_FMUL_S] = { FL_BINARY, IR_FMUL, 0, false, true },
    [RV_FDIV_S] = { FL_BINARY, IR_FDIV, 0, false, true },
    [RV_FSQRT_S] = { FL_SQRT, 0, 0, false, true },
    [RV_FSGNJ_S] = { FL_SIGN, 0, 0, false, false },
    [RV_FSGNJN_S] = { FL_SIGN, 0, 1, false, false },
    [RV_FSGNJX_S] = { FL_SIGN, 0, 2, false, false },
    [RV_FCVT_W_S] = { FL_TO_INT, 0, 1, false, false },
    [RV_FCVT_L_S] = { FL_TO_INT, 0, 0, false, false },
    [RV_FMV_X_W] = { FL_MOVE_TO_X, 0, 0, false, false },
    [RV_FEQ_S] = { FL_COMPARE, IR_EQ, 0, false, false },
    [RV_FLT_S] = { FL_COMPARE, IR_LT, 0, false, false },
    [RV_FLE_S] = { FL_COMPARE, IR_LE, 0, false, false },
    [RV_FCVT_S_W] = { FL_FROM_INT, 0, 1, false, true },
    [RV_FCVT_S_WU] = { FL_FROM_INT, 0, 2, false, true },
    [RV_FCVT_S_L] = { FL_FROM_INT, 0, 0, false, true },
    [RV_FMV_W_X] = { FL_MOVE_FROM_X, 0, 0, false, false },
    [RV_FLD] = { FL_LOAD, 0, 0, true, false },
    [RV_FSD] = { FL_STORE, 0, 0, true, false },
    [RV_FMADD_D] = { FL_FMA, 0, 0, true, true },
    [RV_FMSUB_D] = { FL_FMA, 0, 2, true, true },
    [RV_FNMSUB_D] = { FL_FMA, 0, 1, true, true },
    [RV_FNMADD_D] = { FL_FMA, 0, 3, true, true },
    [RV_FADD_D] = { FL_BINARY, IR_FADD, 0, true, true },
    [RV_FSUB_D] = { FL_BINARY, IR_FSUB, 0, true, true },
    [RV_FMUL_D] = { FL_BINARY, IR_FMUL, 0, true, true },
    [RV_FDIV_D] = { FL_BINARY, IR_FDIV, 0, true, true },
    [RV_FSQRT_D] = { FL_SQRT, 0, 0, true, true },
    [RV_FSGNJ_D] = { FL_SIGN, 0, 0, true, false },
    [RV_FSGNJN_D] = { FL_SIGN, 0, 1, true, false },
    [RV_FSGNJX_D] = { FL_SIGN, 0, 2, true, false },
    [RV_FCVT_S_D] = { FL_CONVERT, 0, 0, false, true },
    [RV_FCVT_D_S] = { FL_CONVERT, 0, 0, true, false },
    [RV_FEQ_D] = { FL_COMPARE, IR_EQ, 0, true, false },
    [RV_FLT_D] = { FL_COMPARE, IR_LT, 0, true, false },
    [RV_FLE_D] = { FL_COMPARE, IR_LE, 0, true, false },
    [RV_FCVT_W_D] = { FL_TO_INT, 0, 1, true, false },
    [RV_FCVT_L_D] = { FL_TO_INT, 0, 0, true, false },
    [RV_FMV_X_D] = { FL_MOVE_TO_X, 0, 0, true, false },
    [RV_FCVT_D_W] = { FL_FROM_INT, 0, 1, true, false },
    [RV_FCVT_D_WU] = { FL_FROM_INT, 0, 2, true, false },
    [RV_FCVT_D_L] = { FL_FROM_INT, 0, 0, true, true },
    [RV_FMV_D_X] = { FL_MOVE_FROM_X, 0, 0, true, false },
};

static enum ir_type fl_type(bool wide) { return wide ? IR_F64 : IR_F32; }

/* Register n as a number; a single that is no single is left to the interpreter. */
static uint16_t fl_get(struct rv_region *r, unsigned n, bool wide)
{
    uint16_t v = ir_get(r->u, IR_F64, F(n));

    if (wide)
        return v;
    uint16_t bits = ir_op1(r->u, IR_BITCAST, IR_I64, v);
    uint16_t boxed = rv_int(r, (int64_t)(0xffffffffull << 32));
    ir_add(r->u, (struct ir_ins){
                     .op = IR_BRANCH, .cond = IR_LTU, .a = bits, .b = boxed, .label = rv_slow(r) });
    return ir_op1(r->u, IR_UNBOX, IR_F32, v);
}

static void fl_set(struct rv_region *r, uint16_t v, bool wide)
{
    ir_set(r->u, F(r->i->rd), wide ? v : ir_op1(r->u, IR_BOX, IR_F64, v));
}

static void fl_fma(struct rv_region *r, const struct fl_row *row)
{
    enum ir_type t = fl_type(row->wide);
    uint16_t a = fl_get(r, r->i->rs1, row->wide), b = fl_get(r, r->i->rs2, row->wide);
    uint16_t c = fl_get(r, r->i->rs3, row->wide);

    if (row->neg & 1)
        a = ir_op1(r->u, IR_FNEG, t, a);
    if (row->neg & 2)
        c = ir_op1(r->u, IR_FNEG, t, c);
    fl_set(
        r,
        ir_add(r->u, (struct ir_ins){ .op = IR_FMA, .type = (uint8_t)t, .a = a, .b = b, .c = c }),
        row->wide);
}

static void fl_compare(struct rv_region *r, const struct fl_row *row)
{
    uint16_t a = fl_get(r, r->i->rs1, row->wide), b = fl_get(r, r->i->rs2, row->wide);

    rv_set_x(r, r->i->rd,
             ir_add(r->u, (struct ir_ins){
                              .op = IR_FCMP, .type = IR_I64, .cond = row->op, .a = a, .b = b }));
}

static void fl_load(struct rv_region *r, bool wide)
{
    struct ir_ins i = { .op = IR_LOAD,
                        .type = (uint8_t)fl_type(wide),
                        .size = wide ? 3 : 2,
                        .a = rv_x(r, r->i->rs1),
                        .imm = r->i->imm };

    fl_set(r, ir_add(r->u, i), wide);
}

static void fl_store(struct rv_region *r, bool wide)
{
    uint16_t v = ir_get(r->u, IR_F64, F(r->i->rs2));
    struct ir_ins i = { .op = IR_STORE, .size = wide ? 3 : 2, .imm = r->i->imm };

    i.b = wide ? v : ir_op1(r->u, IR_UNBOX, IR_F32, v);
    i.a = rv_x(r, r->i->rs1);
    ir_add(r->u, i);
}

static void fl_from_int(struct rv_region *r, const struct fl_row *row)
{
    uint16_t v = rv_x(r, r->i->rs1);

    if (row->neg == 1)
        v = ir_op1(r->u, IR_TRUNC, IR_I32, v);
    else if (row->neg == 2)
        v = ir_op1(r->u, IR_ZEXT32, IR_I64, v);
    fl_set(r, ir_op1(r->u, IR_I2F, fl_type(row->wide), v), row->wide);
}

static void fl_to_int(struct rv_region *r, const struct fl_row *row)
{
    uint16_t v = fl_get(r, r->i->rs1, row->wide);

    v = ir_op1(r->u, IR_F2I, row->neg ? IR_I32 : IR_I64, v);
    rv_set_x(r, r->i->rd, row->neg ? ir_op1(r->u, IR_SEXT32, IR_I64, v) : v);
}

static uint16_t translate_float_fl_op(struct rv_region *r, enum ir_op op, uint16_t a, uint16_t b)
{
    return ir_op2(r->u, op, IR_I64, a, b);
}

/* The sign of rs2 (or its inverse, or both signs) on rs1's number. */
static void fl_sign(struct rv_region *r, const struct fl_row *row)
{
    uint64_t bit = 1ull << (row->wide ? 63 : 31);
    uint16_t a = ir_get(r->u, IR_F64, F(r->i->rs1)), b = ir_get(r->u, IR_F64, F(r->i->rs2)), s;

    if (r->i->rs1 == r->i->rs2 && !row->neg && row->wide) {
        ir_set(r->u, F(r->i->rd), a);
        return;
    }
    if (!row->wide) { /* both must be boxed */
        fl_get(r, r->i->rs1, false);
        fl_get(r, r->i->rs2, false);
    }
    a = ir_op1(r->u, IR_BITCAST, IR_I64, a);
    s = translate_float_fl_op(r, IR_AND, ir_op1(r->u, IR_BITCAST, IR_I64, b),
                              rv_int(r, (int64_t)bit));
    if (row->neg == 1)
        s = translate_float_fl_op(r, IR_XOR, s, rv_int(r, (int64_t)bit));
    if (row->neg != 2)
        a = translate_float_fl_op(r, IR_AND, a, rv_int(r, (int64_t)~bit));
    a = translate_float_fl_op(r, row->neg == 2 ? IR_XOR : IR_OR, a, s);
    ir_set(r->u, F(r->i->rd), ir_op1(r->u, IR_BITCAST, IR_F64, a));
}

static void translate_float_fl_move(struct rv_region *r, const struct fl_row *row)
{
    uint16_t v;

    if (row->form == FL_MOVE_TO_X) {
        v = ir_op1(r->u, IR_BITCAST, IR_I64, ir_get(r->u, IR_F64, F(r->i->rs1)));
        rv_set_x(r, r->i->rd, row->wide ? v : ir_op1(r->u, IR_SEXT32, IR_I64, v));
        return;
    }
    v = rv_x(r, r->i->rs1);
    if (!row->wide)
        v = translate_float_fl_op(r, IR_OR, v, rv_int(r, (int64_t)(0xffffffffull << 32)));
    ir_set(r->u, F(r->i->rd), ir_op1(r->u, IR_BITCAST, IR_F64, v));
}

static void fl_arithmetic(struct rv_region *r, const struct fl_row *row)
{
    enum ir_type t = fl_type(row->wide);
    uint16_t a = fl_get(r, r->i->rs1, row->form == FL_CONVERT ? !row->wide : row->wide);

    if (row->form == FL_CONVERT)
        a = ir_op1(r->u, IR_F2F, t, a);
    else if (row->form == FL_SQRT)
        a = ir_op1(r->u, IR_FSQRT, t, a);
    else
        a = ir_op2(r->u, (enum ir_op)row->op, t, a, fl_get(r, r->i->rs2, row->wide));
    fl_set(r, a, row->wide);
}

/* Does the host round as this instruction says? */
static bool fl_can(const struct rv_region *r, const struct fl_row *row)
{
    if (!row->form || !r->in->floats || (row->form == FL_FMA && !r->in->fma))
        return false;
    if (row->form == FL_TO_INT)
        return r->i->rm == RTZ || (r->i->rm == DYN && r->in->frm == RTZ);
    return !row->rounds || r->i->rm == DYN || r->i->rm == r->in->frm;
}

bool rv_translate_float(struct rv_region *r)
{
    const struct fl_row *row = &fl_rows[r->i->op];

    if (!fl_can(r, row))
        return false;
    switch ((enum fl_form)row->form) {
    case FL_BINARY:
    case FL_SQRT:
    case FL_CONVERT: fl_arithmetic(r, row); break;
    case FL_FMA: fl_fma(r, row); break;
    case FL_COMPARE: fl_compare(r, row); break;
    case FL_LOAD: fl_load(r, row->wide); break;
    case FL_STORE: fl_store(r, row->wide); break;
    case FL_FROM_INT: fl_from_int(r, row); break;
    case FL_TO_INT: fl_to_int(r, row); break;
    case FL_SIGN: fl_sign(r, row); break;
    case FL_MOVE_TO_X:
    case FL_MOVE_FROM_X: translate_float_fl_move(r, row); break;
    case FL_NONE:
    default: return false;
    }
    return true;
}
