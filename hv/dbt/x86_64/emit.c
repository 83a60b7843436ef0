/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The emitter: a unit with its places becomes x86-64 code. One function for each operation, in one
 * table. A result may share its register with any operand that is used for the last time, so each
 * function reads all operands before it writes the result, or writes it through a scratch register.
 */
#include <string.h>
#include "hv/dbt/x86_64/emit.h"

const struct jit_regs jit_host_regs = {
    .ints = { RBX, RSI, RDI, R8, R9, R10, R11, R12, R13, R14 },
    .floats = { 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31 },
    .n_ints = 10,
    .n_floats = 14,
    .int_pins = 8,
    .float_pins = 11,
};

static struct asm_rm emit_slot(unsigned place)
{
    return asm_m(RSP, (int32_t)(place - JIT_SPILL) * 8);
}

struct asm_rm emit_rm(const struct emit *e, uint16_t v)
{
    unsigned p = e->a->place[v];

    return p < JIT_SPILL ? asm_r(p & 15) : emit_slot(p);
}

unsigned emit_reg(struct emit *e, uint16_t v, unsigned scratch)
{
    int64_t imm;

    if (emit_const(e, v, &imm)) {
        asm_mov_imm(&e->b, scratch, (uint64_t)imm);
        return scratch;
    }
    if (e->a->place[v] < JIT_SPILL)
        return e->a->place[v];
    asm_op(&e->b, ASM_MOV, true, scratch, emit_rm(e, v));
    return scratch;
}

struct asm_rm emit_operand(struct emit *e, uint16_t v, unsigned scratch)
{
    return e->u->ins[v].op == IR_CONST ? asm_r(emit_reg(e, v, scratch)) : emit_rm(e, v);
}

unsigned emit_to(const struct emit *e, unsigned scratch)
{
    unsigned p = e->a->place[e->at];

    return p < JIT_SPILL ? p & 15 : scratch;
}

void emit_done(struct emit *e, unsigned reg)
{
    unsigned p = e->a->place[e->at];

    if (p >= JIT_SPILL && p != JIT_NOWHERE)
        asm_op(&e->b, emit_is_float(emit_ins(e)->type) ? ASM_MOVSD_STORE : ASM_MOV_STORE,
               !emit_is_float(emit_ins(e)->type), reg, emit_slot(p));
}

void emit_move(struct emit *e, bool w, unsigned to, unsigned from)
{
    if (to != from)
        asm_op(&e->b, ASM_MOV, w, to, asm_r(from));
}

void emit_load_value(struct emit *e, bool w, unsigned to, uint16_t v)
{
    int64_t imm;

    if (emit_const(e, v, &imm))
        asm_mov_imm(&e->b, to, (uint64_t)imm);
    else if (e->a->place[v] < JIT_SPILL)
        emit_move(e, w, to, e->a->place[v]);
    else
        asm_op(&e->b, ASM_MOV, w, to, emit_rm(e, v));
}

static bool emit_is_reg(const struct emit *e, uint16_t v, unsigned reg)
{
    return e->u->ins[v].op != IR_CONST && e->a->place[v] == reg;
}

static const uint8_t emit_alu[IR_OPS] = {
    [IR_ADD] = ASM_ADD, [IR_SUB] = ASM_SUB, [IR_AND] = ASM_AND,
    [IR_OR] = ASM_OR,   [IR_XOR] = ASM_XOR, [IR_MUL] = ASM_IMUL
};

static void emit_alu_imm(struct emit *e, unsigned to, int32_t imm)
{
    const struct ir_ins *i = emit_ins(e);
    bool w = emit_wide(i->type);

    if (i->op == IR_MUL) {
        asm_imul_imm(&e->b, w, to, emit_operand(e, i->a, RCX), imm);
        return;
    }
    emit_load_value(e, w, to, i->a);
    asm_imm(&e->b, emit_alu[i->op], w, asm_r(to), imm);
}

/* a + b into a third register. */
static bool emit_lea(struct emit *e, unsigned to)
{
    const struct ir_ins *i = emit_ins(e);
    unsigned a = e->a->place[i->a], b = e->a->place[i->b];
    bool w = emit_wide(i->type);
    int32_t imm;

    if ((i->op != IR_ADD && i->op != IR_SUB) || a >= JIT_SPILL || a == to)
        return false;
    if (emit_const32(e, i->b, &imm) && (i->op == IR_ADD || imm != INT32_MIN)) {
        asm_op(&e->b, ASM_LEA, w, to, asm_m(a, i->op == IR_ADD ? imm : -imm));
        return true;
    }
    if (i->op == IR_SUB || e->u->ins[i->b].op == IR_CONST || b >= JIT_SPILL || b == to)
        return false;
    bool slow = (a & 7) == RBP; /* as a base it takes a displacement: 3 parts, a slower LEA */
    asm_op(&e->b, ASM_LEA, w, to, slow ? asm_mx(b, a, 0) : asm_mx(a, b, 0));
    return true;
}

static void emit_binary(struct emit *e)
{
    const struct ir_ins *i = emit_ins(e);
    unsigned to = emit_to(e, RAX), work = to;
    bool w = emit_wide(i->type);
    uint16_t a = i->a, b = i->b;
    int32_t imm;

    if (emit_lea(e, to)) {
        emit_done(e, to);
        return;
    }
    if (emit_const32(e, b, &imm)) {
        emit_alu_imm(e, to, imm);
        emit_done(e, to);
        return;
    }
    if (emit_is_reg(e, b, to) && ir_info[i->op].flags & IR_F_SWAPS)
        a = i->b, b = i->a;
    else if (emit_is_reg(e, b, to) && !emit_is_reg(e, a, to))
        work = RAX;
    struct asm_rm rm = emit_operand(e, b, RCX);
    emit_load_value(e, w, work, a);
    asm_op(&e->b, emit_alu[i->op], w, work, rm);
    emit_move(e, w, to, work);
    emit_done(e, to);
}

static const uint8_t emit_shifts[IR_OPS] = { [IR_SHL] = ASM_SHL_CL,
                                             [IR_SHR] = ASM_SHR_CL,
                                             [IR_SAR] = ASM_SAR_CL,
                                             [IR_ROL] = ASM_ROL_CL,
                                             [IR_ROR] = ASM_ROR_CL };
static const uint8_t emit_shifts3[IR_OPS] = {
    [IR_SHL] = ASM_SHLX, [IR_SHR] = ASM_SHRX, [IR_SAR] = ASM_SARX
};

static void emit_shift(struct emit *e)
{
    const struct ir_ins *i = emit_ins(e);
    unsigned to = emit_to(e, RAX);
    bool w = emit_wide(i->type);
    int64_t imm;

    if (emit_const(e, i->b, &imm)) {
        emit_load_value(e, w, to, i->a);
        if (imm & (w ? 63 : 31))
            asm_shift(&e->b, emit_shifts[i->op], w, asm_r(to), (unsigned)imm & (w ? 63 : 31));
    } else if (emit_has_bmi2 && emit_shifts3[i->op]) {
        unsigned count = emit_reg(e, i->b, RCX);
        asm_op3(&e->b, emit_shifts3[i->op], w, to, emit_operand(e, i->a, RAX), count);
    } else {
        emit_load_value(e, true, RCX, i->b);
        emit_load_value(e, w, RAX, i->a);
        asm_op(&e->b, emit_shifts[i->op], w, 0, asm_r(RAX));
        emit_move(e, w, to, RAX);
    }
    emit_done(e, to);
}

/* Upper half of a product: rax * operand -> rdx:rax. */
static void emit_mulh(struct emit *e)
{
    const struct ir_ins *i = emit_ins(e);
    unsigned to = emit_to(e, RAX);

    emit_load_value(e, true, RAX, i->a);
    struct asm_rm rm = emit_operand(e, i->b, RCX);
    if (i->op != IR_MULHSU) {
        asm_op(&e->b, i->op == IR_MULHS ? ASM_IMUL1 : ASM_MUL, true, 0, rm);
    } else { /* the unsigned one, less b where a is negative */
        emit_load_value(e, true, RCX, i->b);
        asm_op(&e->b, ASM_MUL, true, 0, asm_r(RCX));
        emit_load_value(e, true, RAX, i->a);
        asm_shift(&e->b, ASM_SAR_CL, true, asm_r(RAX), 63);
        asm_op(&e->b, ASM_AND, true, RAX, asm_r(RCX));
        asm_op(&e->b, ASM_SUB, true, RDX, asm_r(RAX));
    }
    emit_move(e, true, to, RDX);
    emit_done(e, to);
}

/* rax / rcx where rcx is neither 0 nor, if signed, -1. */
static void emit_divide_plain(struct emit *e, bool w, bool is_signed)
{
    if (is_signed)
        asm_cqo(&e->b, w);
    else
        asm_op(&e->b, ASM_XOR, false, RDX, asm_r(RDX));
    asm_op(&e->b, is_signed ? ASM_IDIV : ASM_DIV, w, 0, asm_r(RCX));
}

static void emit_divide(struct emit *e)
{
    const struct ir_ins *i = emit_ins(e);
    bool w = emit_wide(i->type), is_signed = i->op == IR_DIVS || i->op == IR_REMS;
    bool rem = i->op == IR_REMS || i->op == IR_REMU;
    unsigned to = emit_to(e, RAX);
    uint8_t *one = NULL, *done_one = NULL;

    emit_load_value(e, w, RCX, i->b);
    emit_load_value(e, w, RAX, i->a);
    asm_op(&e->b, ASM_TEST, w, RCX, asm_r(RCX));
    uint8_t *zero = asm_jcc(&e->b, ASM_E);
    if (is_signed) {
        asm_imm(&e->b, ASM_CMP, w, asm_r(RCX), -1);
        one = asm_jcc(&e->b, ASM_E);
    }
    emit_divide_plain(e, w, is_signed);
    uint8_t *done = asm_jmp(&e->b);
    if (is_signed) {
        asm_patch(&e->b, one, e->b.at);
        asm_op(&e->b, ASM_NEG, w, 0, asm_r(RAX));
        asm_op(&e->b, ASM_XOR, false, RDX, asm_r(RDX));
        done_one = asm_jmp(&e->b);
    }
    asm_patch(&e->b, zero, e->b.at);
    asm_op(&e->b, ASM_MOV, w, RDX, asm_r(RAX));
    asm_mov_imm(&e->b, RAX, UINT64_MAX);
    if (is_signed)
        asm_patch(&e->b, done_one, e->b.at);
    asm_patch(&e->b, done, e->b.at);
    emit_move(e, w, to, rem ? RDX : RAX);
    emit_done(e, to);
}

/* Bit counts: of zero, the width. */
static void emit_bits(struct emit *e)
{
    const struct ir_ins *i = emit_ins(e);
    bool w = emit_wide(i->type);
    unsigned to = emit_to(e, RAX), width = w ? 64 : 32;
    struct asm_rm rm = emit_operand(e, i->a, RCX);

    if (i->op == IR_POPCNT) {
        asm_op(&e->b, ASM_POPCNT, w, RAX, rm);
    } else {
        asm_mov_imm(&e->b, RDX, i->op == IR_CTZ ? width : 2 * width - 1);
        asm_op(&e->b, i->op == IR_CTZ ? ASM_BSF : ASM_BSR, w, RAX, rm);
        asm_cmov(&e->b, ASM_E, w, RAX, asm_r(RDX));
        if (i->op == IR_CLZ)
            asm_imm(&e->b, ASM_XOR, w, asm_r(RAX), (int32_t)width - 1);
    }
    emit_move(e, w, to, RAX);
    emit_done(e, to);
}

static void emit_bswap(struct emit *e)
{
    bool w = emit_wide(emit_ins(e)->type);
    unsigned to = emit_to(e, RAX);

    emit_load_value(e, w, to, emit_ins(e)->a);
    asm_bswap(&e->b, w, to);
    emit_done(e, to);
}

static const uint8_t emit_conds[IR_CONDS] = {
    [IR_EQ] = ASM_E,  [IR_NE] = ASM_NE, [IR_LT] = ASM_L,   [IR_LE] = ASM_LE, [IR_GT] = ASM_G,
    [IR_GE] = ASM_GE, [IR_LTU] = ASM_B, [IR_LEU] = ASM_BE, [IR_GTU] = ASM_A, [IR_GEU] = ASM_AE
};

/* Sets the flags as of a - b. */
static void emit_compare(struct emit *e)
{
    const struct ir_ins *i = emit_ins(e);
    bool w = emit_wide(ir_type_of(e->u, i->a)), a_const = e->u->ins[i->a].op == IR_CONST;
    struct asm_rm a = emit_operand(e, i->a, RAX);
    int32_t imm;

    if (emit_const32(e, i->b, &imm)) {
        if (!imm && !a.mem)
            asm_op(&e->b, ASM_TEST, w, a.base, a);
        else
            asm_imm(&e->b, ASM_CMP, w, a, imm);
        return;
    }
    unsigned reg = a_const ? RAX : emit_reg(e, i->a, RAX);
    asm_op(&e->b, ASM_CMP, w, reg, emit_operand(e, i->b, RCX));
}

static void emit_cmp(struct emit *e)
{
    unsigned to = emit_to(e, RAX);

    emit_compare(e);
    asm_setcc(&e->b, emit_conds[emit_ins(e)->cond], RAX);
    asm_op(&e->b, ASM_MOVZX8, false, to, asm_r(RAX));
    emit_done(e, to);
}

static void emit_select(struct emit *e)
{
    const struct ir_ins *i = emit_ins(e);
    bool w = emit_wide(i->type);
    unsigned to = emit_to(e, RAX), c = emit_reg(e, i->c, RDX);

    asm_op(&e->b, ASM_TEST, true, c, asm_r(c));
    emit_load_value(e, w, RAX, i->b);
    asm_cmov(&e->b, ASM_NE, w, RAX, emit_operand(e, i->a, RCX));
    emit_move(e, w, to, RAX);
    emit_done(e, to);
}

static void emit_extend(struct emit *e)
{
    static const uint8_t ops[IR_OPS] = {
        [IR_SEXT8] = ASM_MOVSX8, [IR_SEXT16] = ASM_MOVSX16, [IR_SEXT32] = ASM_MOVSXD,
        [IR_ZEXT8] = ASM_MOVZX8, [IR_ZEXT16] = ASM_MOVZX16, [IR_ZEXT32] = ASM_MOV,
        [IR_TRUNC] = ASM_MOV
    };
    const struct ir_ins *i = emit_ins(e);
    unsigned to = emit_to(e, RAX);
    bool sign = i->op == IR_SEXT8 || i->op == IR_SEXT16 || i->op == IR_SEXT32;

    if (i->op == IR_TRUNC && emit_is_reg(e, i->a, to))
        return;
    asm_op(&e->b, ops[i->op], sign, to, emit_operand(e, i->a, RCX));
    emit_done(e, to);
}

static void emit_get(struct emit *e)
{
    const struct ir_ins *i = emit_ins(e);
    unsigned pin = jit_pin_of(e->a, i->imm), place = e->a->place[e->at];
    bool f = emit_is_float(i->type), w = emit_wide(i->type);
    unsigned to = emit_to(e, 0);

    if (place == JIT_NOWHERE)
        return;
    if (pin < JIT_PINS) {
        unsigned from = e->a->pin[pin].reg;
        if (from == place)
            return;
        if (place >= JIT_SPILL)
            to = from & 15;
        else
            asm_op(&e->b, f ? ASM_MOVAPS : ASM_MOV, w && !f, to, asm_r(from & 15));
    } else {
        asm_op(&e->b,
               !f  ? ASM_MOV
               : w ? ASM_MOVSD
                   : ASM_MOVSS,
               w && !f, to, asm_m(RBP, (int32_t)i->imm));
    }
    emit_done(e, to);
}

/* Guest state that has a register. */
static void emit_set_pin(struct emit *e, unsigned reg)
{
    const struct ir_ins *i = emit_ins(e);

    if (reg >= JIT_FLOAT) {
        struct asm_rm from = emit_frm(e, i->a);
        if (from.mem || from.base != (reg & 15))
            asm_op(&e->b, from.mem ? ASM_MOVSD : ASM_MOVAPS, false, reg & 15, from);
    } else {
        emit_load_value(e, true, reg, i->a);
    }
}

static void emit_set(struct emit *e)
{
    const struct ir_ins *i = emit_ins(e);
    unsigned pin = jit_pin_of(e->a, i->imm), type = ir_type_of(e->u, i->a);
    struct asm_rm to = asm_m(RBP, (int32_t)i->imm);
    bool w = emit_wide(type);
    int32_t imm;

    if (pin < JIT_PINS)
        emit_set_pin(e, e->a->pin[pin].reg);
    else if (emit_is_float(type))
        asm_op(&e->b, w ? ASM_MOVSD_STORE : ASM_MOVSS_STORE, false, emit_freg(e, i->a, 0), to);
    else if (emit_const32(e, i->a, &imm))
        asm_mov_store_imm(&e->b, w, to, imm);
    else
        asm_op(&e->b, ASM_MOV_STORE, w, emit_reg(e, i->a, RAX), to);
}

static void emit_goto(struct emit *e, uint8_t *at)
{
    if (e->fixups == EMIT_LATERS) {
        e->b.full = true;
        return;
    }
    e->fixup[e->fixups++] = (struct emit_fixup){ at, emit_ins(e)->label };
}

static void emit_jump(struct emit *e)
{
    if (e->at + 1u < e->u->n && e->u->ins[e->at + 1].label == emit_ins(e)->label)
        return;
    emit_goto(e, asm_jmp(&e->b));
}

static void emit_branch(struct emit *e)
{
    emit_compare(e);
    emit_goto(e, asm_jcc(&e->b, emit_conds[emit_ins(e)->cond]));
}

static void emit_label(struct emit *e)
{
    if (e->at) /* label 0's place is behind the loading of pins: see jit_emit() */
        e->label[emit_ins(e)->label] = e->b.at;
}

static void emit_insn(struct emit *e)
{
    e->pc = (uint64_t)emit_ins(e)->imm;
    e->insns++;
}

static void emit_nothing(struct emit *e) { (void)e; }

static const emit_fn emit_table[IR_OPS] = {
    [IR_NOP] = emit_nothing,   [IR_CONST] = emit_nothing, [IR_GET] = emit_get,
    [IR_SET] = emit_set,       [IR_ADD] = emit_binary,    [IR_SUB] = emit_binary,
    [IR_MUL] = emit_binary,    [IR_AND] = emit_binary,    [IR_OR] = emit_binary,
    [IR_XOR] = emit_binary,    [IR_SHL] = emit_shift,     [IR_SHR] = emit_shift,
    [IR_SAR] = emit_shift,     [IR_ROL] = emit_shift,     [IR_ROR] = emit_shift,
    [IR_DIVS] = emit_divide,   [IR_DIVU] = emit_divide,   [IR_REMS] = emit_divide,
    [IR_REMU] = emit_divide,   [IR_MULHS] = emit_mulh,    [IR_MULHU] = emit_mulh,
    [IR_MULHSU] = emit_mulh,   [IR_CLZ] = emit_bits,      [IR_CTZ] = emit_bits,
    [IR_POPCNT] = emit_bits,   [IR_BSWAP] = emit_bswap,   [IR_CMP] = emit_cmp,
    [IR_SELECT] = emit_select, [IR_SEXT8] = emit_extend,  [IR_SEXT16] = emit_extend,
    [IR_SEXT32] = emit_extend, [IR_ZEXT8] = emit_extend,  [IR_ZEXT16] = emit_extend,
    [IR_ZEXT32] = emit_extend, [IR_TRUNC] = emit_extend,  [IR_LOAD] = emit_load,
    [IR_STORE] = emit_store,   [IR_AMO] = emit_amo,       [IR_LR] = emit_lr,
    [IR_SC] = emit_sc,         [IR_FENCE] = emit_fence,   [IR_CALL] = emit_call,
    [IR_FADD] = emit_float_op, [IR_FSUB] = emit_float_op, [IR_FMUL] = emit_float_op,
    [IR_FDIV] = emit_float_op, [IR_FSQRT] = emit_fsqrt,   [IR_FMA] = emit_fma,
    [IR_FNEG] = emit_fneg,     [IR_FCMP] = emit_fcmp,     [IR_F2F] = emit_f2f,
    [IR_I2F] = emit_i2f,       [IR_F2I] = emit_f2i,       [IR_BITCAST] = emit_bitcast,
    [IR_BOX] = emit_box,       [IR_UNBOX] = emit_unbox,   [IR_LABEL] = emit_label,
    [IR_INSN] = emit_insn,     [IR_COUNT] = emit_count,   [IR_JUMP] = emit_jump,
    [IR_BRANCH] = emit_branch, [IR_EXIT] = emit_exit,     [IR_EXIT_IND] = emit_exit_ind,
    [IR_TRAP] = emit_call,
};

/* A value that nobody reads and that has no effect needs no code. */
static bool emit_needed(const struct emit *e)
{
    const struct ir_ins *i = emit_ins(e);

    return !(ir_info[i->op].flags & IR_F_PURE) || e->a->place[e->at] != JIT_NOWHERE;
}

static void emit_pins_in(struct emit *e)
{
    for (unsigned k = 0; k < e->a->pins; k++) {
        const struct jit_pin *p = &e->a->pin[k];
        if (e->a->loaded >> k & 1)
            asm_op(&e->b, p->reg < JIT_FLOAT ? ASM_MOV : ASM_MOVSD, p->reg < JIT_FLOAT, p->reg & 15,
                   asm_m(RBP, p->offset));
    }
}

static_assert(sizeof(struct emit) <= JIT_WORK, "the caller's memory is enough");

int jit_emit(const struct jit_emit *in, struct jit_code *code)
{
    struct emit *e = in->work;

    memset(e, 0, offsetof(struct emit, fixup));
    e->in = in, e->u = in->u, e->a = in->a;
    e->fixups = e->laters = 0;
    e->b = (struct asm_buf){ in->m.w, in->m.w + in->m.room, false };
    emit_find_pointers(e);
    emit_pins_in(e);
    e->label[e->u->ins[0].label] = e->b.at;
    for (e->at = 0; e->at < e->u->n && !e->b.full; e->at++)
        if (emit_needed(e))
            emit_table[emit_ins(e)->op](e);
    emit_laters(e);
    for (unsigned k = 0; k < e->fixups; k++)
        asm_patch(&e->b, e->fixup[k].at, e->label[e->fixup[k].label]);
    if (e->b.full)
        return -ENOSPC;
    code->bytes = (uint32_t)(e->b.at - in->m.w);
    code->pins = e->a->pins;
    memcpy(code->pin, e->a->pin, sizeof code->pin);
    return 0;
}
