/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Integer instructions, memory and control flow: one row of a table for each operation that has a
 * pattern. What is rare is interpreted: RV_STEP within the unit, RV_INTERPRET where it may change
 * more than registers.
 */
#include <string.h>
#include "hv/dbt/riscv64/region.h"

#define X(n) (offsetof(struct rv_cpu, x) + 8 * (size_t)(n))

enum tr_form {
    TR_NONE,
    TR_RR,  /* rd = rs1 op rs2 */
    TR_RI,  /* rd = rs1 op imm */
    TR_RRW, /* on the lower halves, sign-extended */
    TR_RIW,
    TR_CMP, /* rd = rs1 cond rs2 */
    TR_CMPI,
    TR_UNARY, /* rd = op rs1 */
    TR_UNARYW,
    TR_NOT2,  /* rd = rs1 op ~rs2 */
    TR_SHADD, /* rd = (rs1 << n) + rs2 */
    TR_SHADD_UW,
    TR_MINMAX, /* rd = rs1 cond rs2 ? rs1 : rs2 */
    TR_BIT,    /* rd = rs1 op 1 << rs2 */
    TR_BITI,
    TR_LOAD,
    TR_STORE,
    TR_BRANCH
};

static const struct tr_row {
    uint8_t form, op;
} tr_rows[RV_OPS] = {
    [RV_BEQ] = { TR_BRANCH, IR_EQ },
    [RV_BNE] = { TR_BRANCH, IR_NE },
    [RV_BLT] = { TR_BRANCH, IR_LT },
    [RV_BGE] = { TR_BRANCH, IR_GE },
    [RV_BLTU] = { TR_BRANCH, IR_LTU },
    [RV_BGEU] = { TR_BRANCH, IR_GEU },
    [RV_LB] = { TR_LOAD, 0 | IR_SIGNED },
    [RV_LH] = { TR_LOAD, 1 | IR_SIGNED },
    [RV_LW] = { TR_LOAD, 2 | IR_SIGNED },
    [RV_LD] = { TR_LOAD, 3 },
    [RV_LBU] = { TR_LOAD, 0 },
    [RV_LHU] = { TR_LOAD, 1 },
    [RV_LWU] = { TR_LOAD, 2 },
    [RV_SB] = { TR_STORE, 0 },
    [RV_SH] = { TR_STORE, 1 },
    [RV_SW] = { TR_STORE, 2 },
    [RV_SD] = { TR_STORE, 3 },
    [RV_ADDI] = { TR_RI, IR_ADD },
    [RV_SLTI] = { TR_CMPI, IR_LT },
    [RV_SLTIU] = { TR_CMPI, IR_LTU },
    [RV_XORI] = { TR_RI, IR_XOR },
    [RV_ORI] = { TR_RI, IR_OR },
    [RV_ANDI] = { TR_RI, IR_AND },
    [RV_SLLI] = { TR_RI, IR_SHL },
    [RV_SRLI] = { TR_RI, IR_SHR },
    [RV_SRAI] = { TR_RI, IR_SAR },
    [RV_ADD] = { TR_RR, IR_ADD },
    [RV_SUB] = { TR_RR, IR_SUB },
    [RV_SLL] = { TR_RR, IR_SHL },
    [RV_SLT] = { TR_CMP, IR_LT },
    [RV_SLTU] = { TR_CMP, IR_LTU },
    [RV_XOR] = { TR_RR, IR_XOR },
    [RV_SRL] = { TR_RR, IR_SHR },
    [RV_SRA] = { TR_RR, IR_SAR },
    [RV_OR] = { TR_RR, IR_OR },
    [RV_AND] = { TR_RR, IR_AND },
    [RV_ADDIW] = { TR_RIW, IR_ADD },
    [RV_SLLIW] = { TR_RIW, IR_SHL },
    [RV_SRLIW] = { TR_RIW, IR_SHR },
    [RV_SRAIW] = { TR_RIW, IR_SAR },
    [RV_ADDW] = { TR_RRW, IR_ADD },
    [RV_SUBW] = { TR_RRW, IR_SUB },
    [RV_SLLW] = { TR_RRW, IR_SHL },
    [RV_SRLW] = { TR_RRW, IR_SHR },
    [RV_SRAW] = { TR_RRW, IR_SAR },
    [RV_MUL] = { TR_RR, IR_MUL },
    [RV_MULH] = { TR_RR, IR_MULHS },
    [RV_MULHSU] = { TR_RR, IR_MULHSU },
    [RV_MULHU] = { TR_RR, IR_MULHU },
    [RV_DIV] = { TR_RR, IR_DIVS },
    [RV_DIVU] = { TR_RR, IR_DIVU },
    [RV_REM] = { TR_RR, IR_REMS },
    [RV_REMU] = { TR_RR, IR_REMU },
    [RV_MULW] = { TR_RRW, IR_MUL },
    [RV_DIVW] = { TR_RRW, IR_DIVS },
    [RV_DIVUW] = { TR_RRW, IR_DIVU },
    [RV_REMW] = { TR_RRW, IR_REMS },
    [RV_REMUW] = { TR_RRW, IR_REMU },
    [RV_ADD_UW] = { TR_SHADD_UW, 0 },
    [RV_SH1ADD] = { TR_SHADD, 1 },
    [RV_SH1ADD_UW] = { TR_SHADD_UW, 1 },
    [RV_SH2ADD] = { TR_SHADD, 2 },
    [RV_SH2ADD_UW] = { TR_SHADD_UW, 2 },
    [RV_SH3ADD] = { TR_SHADD, 3 },
    [RV_SH3ADD_UW] = { TR_SHADD_UW, 3 },
    [RV_ANDN] = { TR_NOT2, IR_AND },
    [RV_ORN] = { TR_NOT2, IR_OR },
    [RV_XNOR] = { TR_NOT2, IR_XOR },
    [RV_CLZ] = { TR_UNARY, IR_CLZ },
    [RV_CLZW] = { TR_UNARYW, IR_CLZ },
    [RV_CTZ] = { TR_UNARY, IR_CTZ },
    [RV_CTZW] = { TR_UNARYW, IR_CTZ },
    [RV_CPOP] = { TR_UNARY, IR_POPCNT },
    [RV_CPOPW] = { TR_UNARYW, IR_POPCNT },
    [RV_MAX] = { TR_MINMAX, IR_GT },
    [RV_MAXU] = { TR_MINMAX, IR_GTU },
    [RV_MIN] = { TR_MINMAX, IR_LT },
    [RV_MINU] = { TR_MINMAX, IR_LTU },
    [RV_SEXT_B] = { TR_UNARY, IR_SEXT8 },
    [RV_SEXT_H] = { TR_UNARY, IR_SEXT16 },
    [RV_ZEXT_H] = { TR_UNARY, IR_ZEXT16 },
    [RV_ROL] = { TR_RR, IR_ROL },
    [RV_ROLW] = { TR_RRW, IR_ROL },
    [RV_ROR] = { TR_RR, IR_ROR },
    [RV_RORI] = { TR_RI, IR_ROR },
    [RV_RORIW] = { TR_RIW, IR_ROR },
    [RV_RORW] = { TR_RRW, IR_ROR },
    [RV_REV8] = { TR_UNARY, IR_BSWAP },
    [RV_BCLR] = { TR_BIT, RV_BCLR & 0xff },
    [RV_BCLRI] = { TR_BITI, RV_BCLR & 0xff },
    [RV_BEXT] = { TR_BIT, RV_BEXT & 0xff },
    [RV_BEXTI] = { TR_BITI, RV_BEXT & 0xff },
    [RV_BINV] = { TR_BIT, RV_BINV & 0xff },
    [RV_BINVI] = { TR_BITI, RV_BINV & 0xff },
    [RV_BSET] = { TR_BIT, RV_BSET & 0xff },
    [RV_BSETI] = { TR_BITI, RV_BSET & 0xff },
};

uint16_t rv_x(struct rv_region *r, unsigned reg)
{
    return reg ? ir_get(r->u, IR_I64, X(reg)) : rv_int(r, 0);
}

void rv_set_x(struct rv_region *r, unsigned reg, uint16_t v)
{
    if (reg)
        ir_set(r->u, X(reg), v);
}

static uint16_t tr_op(struct rv_region *r, unsigned op, uint16_t a, uint16_t b)
{
    return ir_op2(r->u, (enum ir_op)op, IR_I64, a, b);
}

static uint16_t tr_low(struct rv_region *r, uint16_t v)
{
    return ir_op1(r->u, IR_TRUNC, IR_I32, v);
}

static uint16_t tr_compare(struct rv_region *r, unsigned cond, uint16_t a, uint16_t b)
{
    return ir_add(r->u, (struct ir_ins){
                            .op = IR_CMP, .type = IR_I64, .cond = (uint8_t)cond, .a = a, .b = b });
}

static uint16_t tr_word(struct rv_region *r, unsigned op, bool imm)
{
    uint16_t a = tr_low(r, rv_x(r, r->i->rs1));
    uint16_t b = imm ? ir_const(r->u, IR_I32, r->i->imm) : tr_low(r, rv_x(r, r->i->rs2));

    return ir_op1(r->u, IR_SEXT32, IR_I64, ir_op2(r->u, (enum ir_op)op, IR_I32, a, b));
}

static uint16_t tr_unary_word(struct rv_region *r, unsigned op)
{
    uint16_t a = tr_low(r, rv_x(r, r->i->rs1));

    return ir_op1(r->u, IR_SEXT32, IR_I64, ir_op1(r->u, (enum ir_op)op, IR_I32, a));
}

static uint16_t tr_shadd(struct rv_region *r, unsigned n, bool word)
{
    uint16_t a = rv_x(r, r->i->rs1);

    if (word)
        a = ir_op1(r->u, IR_ZEXT32, IR_I64, a);
    if (n)
        a = tr_op(r, IR_SHL, a, rv_int(r, n));
    return tr_op(r, IR_ADD, a, rv_x(r, r->i->rs2));
}

static uint16_t tr_minmax(struct rv_region *r, unsigned cond)
{
    uint16_t a = rv_x(r, r->i->rs1), b = rv_x(r, r->i->rs2), c = tr_compare(r, cond, a, b);

    return ir_add(r->u, (struct ir_ins){ .op = IR_SELECT, .type = IR_I64, .a = a, .b = b, .c = c });
}

/* Zbs: one bit of rs1, of the number in `bit`. */
static uint16_t tr_bit(struct rv_region *r, unsigned what, uint16_t bit)
{
    uint16_t a = rv_x(r, r->i->rs1);

    if (what == (RV_BEXT & 0xff))
        return tr_op(r, IR_AND, tr_op(r, IR_SHR, a, bit), rv_int(r, 1));
    uint16_t mask = tr_op(r, IR_SHL, rv_int(r, 1), bit);
    if (what == (RV_BCLR & 0xff))
        return tr_op(r, IR_AND, a, tr_op(r, IR_XOR, mask, rv_int(r, -1)));
    return tr_op(r, what == (RV_BSET & 0xff) ? IR_OR : IR_XOR, a, mask);
}

static uint16_t tr_value(struct rv_region *r, const struct tr_row *row)
{
    const struct rv_insn *i = r->i;

    switch ((enum tr_form)row->form) {
    case TR_RR: return tr_op(r, row->op, rv_x(r, i->rs1), rv_x(r, i->rs2));
    case TR_RI: return tr_op(r, row->op, rv_x(r, i->rs1), rv_int(r, i->imm));
    case TR_RRW: return tr_word(r, row->op, false);
    case TR_RIW: return tr_word(r, row->op, true);
    case TR_CMP: return tr_compare(r, row->op, rv_x(r, i->rs1), rv_x(r, i->rs2));
    case TR_CMPI: return tr_compare(r, row->op, rv_x(r, i->rs1), rv_int(r, i->imm));
    case TR_UNARY: return ir_op1(r->u, (enum ir_op)row->op, IR_I64, rv_x(r, i->rs1));
    case TR_UNARYW: return tr_unary_word(r, row->op);
    case TR_NOT2:
        return tr_op(r, row->op, rv_x(r, i->rs1), tr_op(r, IR_XOR, rv_x(r, i->rs2), rv_int(r, -1)));
    case TR_SHADD: return tr_shadd(r, row->op, false);
    case TR_SHADD_UW: return tr_shadd(r, row->op, true);
    case TR_MINMAX: return tr_minmax(r, row->op);
    case TR_BIT: return tr_bit(r, row->op, rv_x(r, i->rs2));
    case TR_BITI: return tr_bit(r, row->op, rv_int(r, i->imm));
    case TR_LOAD:
        return ir_add(r->u, (struct ir_ins){ .op = IR_LOAD,
                                             .type = IR_I64,
                                             .size = row->op,
                                             .a = rv_x(r, i->rs1),
                                             .imm = i->imm });
    case TR_NONE:
    case TR_STORE:
    case TR_BRANCH:
    default: return 0;
    }
}

static uint16_t tr_exit_label(struct rv_region *r, uint64_t pc, unsigned refund)
{
    for (unsigned k = 0; k < r->exits; k++)
        if (r->exit[k].pc == pc && r->exit[k].refund == refund)
            return r->exit[k].label;
    if (r->exits == IR_MAX_LABELS) {
        r->u->full = true;
        return 0;
    }
    r->exit[r->exits] = (struct rv_exit){ pc, ir_label(r->u), (uint8_t)refund };
    return r->exit[r->exits++].label;
}

uint16_t rv_slow(struct rv_region *r) { return tr_exit_label(r, r->pc, r->left); }

static void tr_exit(struct rv_region *r, uint64_t pc)
{
    ir_add(r->u, (struct ir_ins){ .op = IR_EXIT, .imm = (int64_t)pc });
}

/* The label of a target of this instruction, in the region or an exit. */
static uint16_t tr_target(struct rv_region *r)
{
    unsigned at = (unsigned)(r->pc - r->base), to;

    if (region_target(r, at, r->i, &to))
        return r->label[to / 2];
    return tr_exit_label(r, r->pc + (uint64_t)(int64_t)r->i->imm, 0);
}

static void tr_branch(struct rv_region *r, unsigned cond)
{
    uint16_t a = rv_x(r, r->i->rs1), b = rv_x(r, r->i->rs2);

    ir_add(r->u,
           (struct ir_ins){
               .op = IR_BRANCH, .cond = (uint8_t)cond, .a = a, .b = b, .label = tr_target(r) });
}

static void tr_store(struct rv_region *r, unsigned size)
{
    uint16_t a = rv_x(r, r->i->rs1), b = rv_x(r, r->i->rs2);

    ir_add(r->u, (struct ir_ins){
                     .op = IR_STORE, .size = (uint8_t)size, .a = a, .b = b, .imm = r->i->imm });
}

static void tr_jal(struct rv_region *r)
{
    unsigned to;

    if (!r->i->rd && region_target(r, (unsigned)(r->pc - r->base), r->i, &to)) {
        ir_add(r->u, (struct ir_ins){ .op = IR_JUMP, .label = r->label[to / 2] });
        return;
    }
    rv_set_x(r, r->i->rd, rv_int(r, (int64_t)(r->pc + r->i->length)));
    tr_exit(r, r->pc + (uint64_t)(int64_t)r->i->imm);
}

static void tr_jalr(struct rv_region *r)
{
    uint16_t to = tr_op(r, IR_ADD, rv_x(r, r->i->rs1), rv_int(r, r->i->imm));

    to = tr_op(r, IR_AND, to, rv_int(r, -2));
    rv_set_x(r, r->i->rd, rv_int(r, (int64_t)(r->pc + r->i->length)));
    ir_add(r->u, (struct ir_ins){ .op = IR_EXIT_IND, .a = to });
}

static bool tr_is_atomic(const struct rv_insn *i)
{
    return i->op >= RV_LR_W && i->op <= RV_AMOMAXU_D;
}

static void tr_atomic(struct rv_region *r)
{
    static const uint8_t amos[] = { IR_AMO_SWAP, IR_AMO_ADD, IR_AMO_XOR,  IR_AMO_AND, IR_AMO_OR,
                                    IR_AMO_MIN,  IR_AMO_MAX, IR_AMO_MINU, IR_AMO_MAXU };
    bool wide = r->i->op >= RV_LR_D;
    unsigned kind = r->i->op - (unsigned)(wide ? RV_LR_D : RV_LR_W);
    struct ir_ins i = { .op = IR_LR, .type = IR_I64, .size = wide ? 3 : 2, .imm = r->i->op };

    if (!kind && r->i->imm & RV_RL) /* a load: the host would let it pass earlier stores */
        ir_add(r->u, (struct ir_ins){ .op = IR_FENCE });
    i.a = rv_x(r, r->i->rs1);
    if (kind) {
        i.op = kind == 1 ? IR_SC : IR_AMO;
        i.cond = kind == 1 ? 0 : amos[kind - 2];
        i.b = rv_x(r, r->i->rs2);
    }
    rv_set_x(r, r->i->rd, ir_add(r->u, i));
}

/* Volume I, 2.7. The host keeps every order but that of a store before a load. */
static void tr_fence(struct rv_region *r)
{
    uint32_t bits = r->i->bits;
    bool tso = bits >> 20 == 0x833, stores = bits >> 24 & 5, loads = bits >> 20 & 10;

    if (stores && loads && !tso)
        ir_add(r->u, (struct ir_ins){ .op = IR_FENCE });
}

/* What is not in the table. */
static void tr_other(struct rv_region *r)
{
    const struct rv_insn *i = r->i;

    if (i->op == RV_LUI)
        rv_set_x(r, i->rd, rv_int(r, i->imm));
    else if (i->op == RV_AUIPC)
        rv_set_x(r, i->rd, rv_int(r, (int64_t)(r->pc + (uint64_t)(int64_t)i->imm)));
    else if (i->op == RV_SLLI_UW)
        rv_set_x(
            r, i->rd,
            tr_op(r, IR_SHL, ir_op1(r->u, IR_ZEXT32, IR_I64, rv_x(r, i->rs1)), rv_int(r, i->imm)));
    else if (i->op == RV_JAL)
        tr_jal(r);
    else if (i->op == RV_JALR)
        tr_jalr(r);
    else if (tr_is_atomic(i))
        tr_atomic(r);
    else if (i->op == RV_FENCE)
        tr_fence(r);
    else if (region_flow(i) == REGION_ENDS)
        ir_add(r->u, (struct ir_ins){ .op = IR_TRAP, .imm = RV_INTERPRET });
    else if (!rv_translate_float(r))
        ir_add(r->u, (struct ir_ins){ .op = IR_CALL, .imm = RV_STEP });
}

static void tr_insn(struct rv_region *r)
{
    const struct tr_row *row = &tr_rows[r->i->op];

    ir_add(r->u, (struct ir_ins){ .op = IR_INSN, .imm = (int64_t)r->pc });
    if (row->form == TR_BRANCH)
        tr_branch(r, row->op);
    else if (row->form == TR_STORE)
        tr_store(r, row->op);
    else if (row->form == TR_NONE)
        tr_other(r);
    else if (r->i->rd || row->form == TR_LOAD)
        rv_set_x(r, r->i->rd, tr_value(r, row));
}

/* How many instructions run from `at` on before control may go elsewhere. */
static unsigned tr_segment(const struct rv_region *r, unsigned at)
{
    unsigned n = 0;

    for (;;) {
        const struct rv_insn *i = &r->insn[r->index[at / 2] - 1];
        n++;
        if (region_flow(i) != REGION_NEXT)
            return n;
        at += i->length;
        if (at >= PAGE_SIZE || !r->index[at / 2] || r->leader[at / 2])
            return n;
    }
}

static void tr_count(struct rv_region *r, unsigned at)
{
    r->left = tr_segment(r, at);
    ir_add(r->u, (struct ir_ins){ .op = IR_COUNT,
                                  .size = (uint8_t)r->left,
                                  .cond = r->leader[at / 2] & RV_BACK ? 1 : 0,
                                  .imm = (int64_t)(r->base + at) });
}

/* Where control falls to behind an instruction. True: to the next one of the unit. */
static void tr_fall(struct rv_region *r, unsigned at, unsigned after)
{
    unsigned to = at + r->i->length;

    if (region_flow(r->i) == REGION_JUMP || region_flow(r->i) == REGION_ENDS)
        return;
    if (to == after && to < PAGE_SIZE) /* else `after` says that nothing follows */
        return;
    if (to < PAGE_SIZE && r->index[to / 2])
        ir_add(r->u, (struct ir_ins){ .op = IR_JUMP, .label = r->label[to / 2] });
    else
        tr_exit(r, r->base + to);
}

static bool tr_open(const struct ir_unit *u)
{
    return !(ir_info[u->ins[u->n - 1].op].flags & IR_F_ENDS);
}

static void tr_begin(struct rv_region *r, unsigned at)
{
    if (at != r->entry && (r->leader[at / 2] & RV_TARGET)) {
        if (tr_open(r->u))
            ir_add(r->u, (struct ir_ins){ .op = IR_JUMP, .label = r->label[at / 2] });
        ir_place(r->u, r->label[at / 2]);
        r->left = 0;
    }
    if (!r->left)
        tr_count(r, at);
}

static void tr_exits(struct rv_region *r)
{
    for (unsigned k = 0; k < r->exits && !r->u->full; k++) {
        const struct rv_exit *x = &r->exit[k];
        ir_place(r->u, x->label);
        if (!x->refund) {
            tr_exit(r, x->pc);
            continue;
        }
        ir_add(r->u, (struct ir_ins){ .op = IR_COUNT });
        ir_add(r->u, (struct ir_ins){ .op = IR_INSN, .imm = (int64_t)x->pc });
        ir_add(r->u, (struct ir_ins){ .op = IR_TRAP, .size = x->refund, .imm = RV_INTERPRET });
    }
}

static void tr_labels(struct rv_region *r)
{
    for (unsigned k = 0; k < r->n; k++) {
        unsigned at = r->at[k];
        r->label[at / 2] = 0;
        if (at != r->entry && r->leader[at / 2] & RV_TARGET)
            r->label[at / 2] = ir_label(r->u);
    }
}

int rv_translate(struct ir_unit *u, struct rv_region *r, const struct rv_source *in)
{
    int err;

    r->in = in;
    r->u = u;
    if ((err = region_find(r)))
        return err;
    ir_begin(u);
    tr_labels(r);
    r->left = 0;
    for (unsigned at = r->entry, after; at != PAGE_SIZE && !u->full; at = after) {
        after = region_after(r, at);
        r->i = &r->insn[r->index[at / 2] - 1];
        r->pc = r->base + at;
        tr_begin(r, at);
        tr_insn(r);
        r->left--;
        tr_fall(r, at, after);
    }
    tr_exits(r);
    return u->full ? -E2BIG : 0;
}
