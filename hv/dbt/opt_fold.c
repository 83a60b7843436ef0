/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Constants, identities and known bits. A value's known bits: which are 0, and whether it is its
 * own lower half sign-extended, as most riscv64 values of 32 bits are.
 */
#include <hv/ir_opt.h>

static bool of_wide(unsigned type) { return type == IR_I64; }

static bool of_const(const struct ir_unit *u, uint16_t v, uint64_t *c)
{
    *c = (uint64_t)u->ins[v].imm;
    if (u->ins[v].type == IR_I32)
        *c = (uint32_t)*c;
    return u->ins[v].op == IR_CONST;
}

static int64_t of_sign(unsigned type, uint64_t v)
{
    return of_wide(type) ? (int64_t)v : (int64_t)(int32_t)v;
}

static bool of_compare(unsigned cond, unsigned type, uint64_t a, uint64_t b)
{
    int64_t sa = of_sign(type, a), sb = of_sign(type, b);

    switch (cond) {
    case IR_EQ: return a == b;
    case IR_NE: return a != b;
    case IR_LT: return sa < sb;
    case IR_LE: return sa <= sb;
    case IR_GT: return sa > sb;
    case IR_GE: return sa >= sb;
    case IR_LTU: return a < b;
    case IR_LEU: return a <= b;
    case IR_GTU: return a > b;
    default: return a >= b;
    }
}

/* The constant that an operation on constants is; false: not worked out here. */
static bool of_value(const struct ir_ins *i, uint64_t a, uint64_t b, unsigned from, uint64_t *v)
{
    unsigned n = (unsigned)b & (of_wide(i->type) ? 63 : 31);

    switch (i->op) {
    case IR_ADD: *v = a + b; return true;
    case IR_SUB: *v = a - b; return true;
    case IR_MUL: *v = a * b; return true;
    case IR_AND: *v = a & b; return true;
    case IR_OR: *v = a | b; return true;
    case IR_XOR: *v = a ^ b; return true;
    case IR_SHL: *v = a << n; return true;
    case IR_SHR: *v = a >> n; return true;
    case IR_SAR: *v = (uint64_t)(of_sign(i->type, a) >> n); return true;
    case IR_CMP: *v = of_compare(i->cond, from, a, b); return true;
    case IR_SEXT8: *v = (uint64_t)(int8_t)a; return true;
    case IR_SEXT16: *v = (uint64_t)(int16_t)a; return true;
    case IR_SEXT32: *v = (uint64_t)(int32_t)a; return true;
    case IR_ZEXT8: *v = (uint8_t)a; return true;
    case IR_ZEXT16: *v = (uint16_t)a; return true;
    case IR_ZEXT32:
    case IR_TRUNC: *v = (uint32_t)a; return true;
    default: return false;
    }
}

static bool of_constant(struct ir_unit *u, struct ir_ins *i)
{
    uint64_t a = 0, b = 0, v;

    if (!(ir_info[i->op].flags & IR_F_PURE) || !i->a || !of_const(u, i->a, &a) ||
        (i->b && !of_const(u, i->b, &b)) || !of_value(i, a, b, ir_type_of(u, i->a), &v))
        return false;
    *i = (struct ir_ins){ .op = IR_CONST, .type = i->type, .imm = (int64_t)v };
    if (i->type == IR_I32)
        i->imm = (int32_t)v;
    return true;
}

/* x op constant that is x: the value, or 0. */
static uint16_t of_identity(const struct ir_unit *u, const struct ir_ins *i)
{
    uint64_t ones = of_wide(i->type) ? UINT64_MAX : UINT32_MAX, c;

    if (!i->b || !of_const(u, i->b, &c) || u->ins[i->a].type != i->type)
        return 0;
    switch (i->op) {
    case IR_ADD:
    case IR_SUB:
    case IR_OR:
    case IR_XOR: return c ? 0 : i->a;
    case IR_SHL:
    case IR_SHR:
    case IR_SAR:
    case IR_ROL:
    case IR_ROR: return c & (of_wide(i->type) ? 63 : 31) ? 0 : i->a;
    case IR_AND: return c == ones ? i->a : 0;
    case IR_MUL: return c == 1 ? i->a : 0;
    default: return 0;
    }
}

/* What known bits say is a copy of an operand: the operand, or 0. */
static uint16_t of_superfluous(const struct ir_unit *u, const struct ir_work *w,
                               const struct ir_ins *i)
{
    const struct ir_ins *a = &u->ins[i->a];
    uint64_t c;

    if (i->op == IR_TRUNC)
        return (a->op == IR_SEXT32 || a->op == IR_ZEXT32) && ir_type_of(u, a->a) == IR_I32 ? a->a
                                                                                           : 0;
    /* an extension of the lower half of something that was extended already */
    uint16_t from = a->op == IR_TRUNC ? a->a : i->a;
    uint64_t zero = w->zero[from];
    if (ir_type_of(u, from) != IR_I64)
        return 0;
    switch (i->op) {
    case IR_AND: return of_const(u, i->b, &c) && i->type == IR_I64 && !(~zero & ~c) ? from : 0;
    case IR_ZEXT8: return zero >> 8 == UINT64_MAX >> 8 ? from : 0;
    case IR_ZEXT16: return zero >> 16 == UINT64_MAX >> 16 ? from : 0;
    case IR_ZEXT32: return zero >> 32 == UINT64_MAX >> 32 ? from : 0;
    case IR_SEXT32: return w->sext[from] || zero >> 31 == UINT64_MAX >> 31 ? from : 0;
    default: return 0;
    }
}

static uint64_t of_shifted(const struct ir_unit *u, const struct ir_work *w, const struct ir_ins *i)
{
    uint64_t n;

    if (!of_wide(i->type) || !of_const(u, i->b, &n))
        return 0;
    n &= 63;
    if (i->op == IR_SHL)
        return w->zero[i->a] << n | ((1ull << n) - 1);
    return w->zero[i->a] >> n | ~(UINT64_MAX >> n);
}

static uint64_t of_zero(const struct ir_unit *u, const struct ir_work *w, const struct ir_ins *i)
{
    switch (i->op) {
    case IR_CONST: return i->type == IR_I64 ? ~(uint64_t)i->imm : 0;
    case IR_CMP:
    case IR_FCMP: return ~1ull;
    case IR_ZEXT8: return ~0xffull;
    case IR_ZEXT16: return ~0xffffull;
    case IR_ZEXT32: return ~0xffffffffull;
    case IR_AND: return of_wide(i->type) ? w->zero[i->a] | w->zero[i->b] : 0;
    case IR_OR:
    case IR_XOR: return of_wide(i->type) ? w->zero[i->a] & w->zero[i->b] : 0;
    case IR_SHL:
    case IR_SHR: return of_shifted(u, w, i);
    case IR_LOAD:
        return i->type != IR_I64 || i->size >= 3 ? 0 : ~(UINT64_MAX >> (64 - (8u << i->size)));
    default: return 0;
    }
}

static bool of_sext(const struct ir_work *w, const struct ir_ins *i)
{
    switch (i->op) {
    case IR_CONST: return i->type == IR_I64 && i->imm == (int32_t)i->imm;
    case IR_SEXT8:
    case IR_SEXT16:
    case IR_SEXT32: return true;
    case IR_AND:
    case IR_OR:
    case IR_XOR: return of_wide(i->type) && w->sext[i->a] && w->sext[i->b];
    case IR_LOAD: return i->type == IR_I64 && i->size & IR_SIGNED && (i->size & IR_SIZE) < 3;
    default: return false;
    }
}

/* A condition on constants is decided; what follows a certain jump is never run. */
static void of_branch(struct ir_unit *u, unsigned at)
{
    struct ir_ins *i = &u->ins[at];
    uint64_t a, b;

    if (!of_const(u, i->a, &a) || !of_const(u, i->b, &b))
        return;
    if (!of_compare(i->cond, ir_type_of(u, i->a), a, b)) {
        ir_opt_remove(i);
        return;
    }
    *i = (struct ir_ins){ .op = IR_JUMP, .label = i->label };
    for (unsigned k = at + 1; k < u->n && u->ins[k].op != IR_LABEL; k++)
        ir_opt_remove(&u->ins[k]);
}

static void of_one(struct ir_unit *u, struct ir_work *w, unsigned at)
{
    struct ir_ins *i = &u->ins[at];
    uint16_t same;

    if (ir_info[i->op].flags & IR_F_SWAPS && u->ins[i->a].op == IR_CONST) {
        uint16_t t = i->a;
        i->a = i->b;
        i->b = t;
    }
    if (i->op == IR_BRANCH)
        of_branch(u, at);
    if (!of_constant(u, i) && ir_info[i->op].flags & IR_F_PURE && i->a) {
        same = of_identity(u, i);
        if (!same)
            same = of_superfluous(u, w, i);
        if (same) {
            w->map[at] = same;
            ir_opt_remove(i);
        }
    }
    w->zero[at] = of_zero(u, w, i);
    w->sext[at] = of_sext(w, i);
}

/*
 * What is known of guest state: the values that were written, by offset. A read that became no copy
 * of the value, to spare a register, is known as well as the value. 0 is nothing: a unit begins
 * with what is no value.
 */
#define SLOTS 128u
struct of_state {
    uint16_t value[SLOTS], at[SLOTS]; /* at: of the write */
    uint16_t since;                   /* writes before this may be overwritten */
};

static unsigned of_slot(int64_t offset) { return (uint64_t)offset / 8 % SLOTS; }

static void of_write(const struct ir_unit *u, struct of_state *s, unsigned at)
{
    const struct ir_ins *i = &u->ins[at];
    bool whole = ir_type_of(u, i->a) == IR_I64 && i->imm % 8 == 0;

    s->at[of_slot(i->imm + 7)] = 0; /* a write across two of them */
    s->value[of_slot(i->imm)] = i->a;
    s->at[of_slot(i->imm)] = whole ? (uint16_t)at : 0;
}

static void of_read(const struct ir_unit *u, struct ir_work *w, const struct of_state *s,
                    unsigned at)
{
    const struct ir_ins *i = &u->ins[at];
    unsigned k = of_slot(i->imm), set = s->at[k];

    if (set <= s->since || u->ins[set].imm != i->imm || i->type != IR_I64)
        return;
    w->zero[at] = w->zero[s->value[k]];
    w->sext[at] = w->sext[s->value[k]];
}

void ir_opt_fold(struct ir_unit *u, struct ir_work *w)
{
    struct of_state s = { .since = 0 };

    for (unsigned k = 0; k < u->n; k++) {
        struct ir_ins *i = &u->ins[k];
        w->map[k] = (uint16_t)k;
        ir_opt_operands(i, w);
        of_one(u, w, k);
        if (i->op == IR_LABEL || i->op == IR_CALL)
            s.since = (uint16_t)k;
        else if (i->op == IR_SET)
            of_write(u, &s, k);
        else if (i->op == IR_GET)
            of_read(u, w, &s, k);
    }
    ir_opt_close(u, w);
}
