/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of operations, the builder and the verifier of the intermediate representation.
 */
#include <hv/ir.h>
#include <string.h>

#define PURE IR_F_PURE
#define BOTH (IR_F_PURE | IR_F_SWAPS)
#define ENDS (IR_F_ENDS | IR_F_LEAVES)
const struct ir_info ir_info[IR_OPS] = {
    [IR_NOP] = { "nop", "", IR_T_VOID, 0 },
    [IR_CONST] = { "const", "", IR_T_INT, PURE },
    [IR_GET] = { "get", "", IR_T_ANY, 0 },
    [IR_SET] = { "set", "*", IR_T_VOID, 0 },
    [IR_ADD] = { "add", "TT", IR_T_INT, BOTH },
    [IR_SUB] = { "sub", "TT", IR_T_INT, PURE },
    [IR_MUL] = { "mul", "TT", IR_T_INT, BOTH },
    [IR_AND] = { "and", "TT", IR_T_INT, BOTH },
    [IR_OR] = { "or", "TT", IR_T_INT, BOTH },
    [IR_XOR] = { "xor", "TT", IR_T_INT, BOTH },
    [IR_SHL] = { "shl", "TT", IR_T_INT, PURE },
    [IR_SHR] = { "shr", "TT", IR_T_INT, PURE },
    [IR_SAR] = { "sar", "TT", IR_T_INT, PURE },
    [IR_ROL] = { "rol", "TT", IR_T_INT, PURE },
    [IR_ROR] = { "ror", "TT", IR_T_INT, PURE },
    [IR_DIVS] = { "divs", "TT", IR_T_INT, PURE },
    [IR_DIVU] = { "divu", "TT", IR_T_INT, PURE },
    [IR_REMS] = { "rems", "TT", IR_T_INT, PURE },
    [IR_REMU] = { "remu", "TT", IR_T_INT, PURE },
    [IR_MULHS] = { "mulhs", "TT", IR_T_LONG, BOTH },
    [IR_MULHU] = { "mulhu", "TT", IR_T_LONG, BOTH },
    [IR_MULHSU] = { "mulhsu", "TT", IR_T_LONG, PURE },
    [IR_CLZ] = { "clz", "T", IR_T_INT, PURE },
    [IR_CTZ] = { "ctz", "T", IR_T_INT, PURE },
    [IR_POPCNT] = { "popcnt", "T", IR_T_INT, PURE },
    [IR_BSWAP] = { "bswap", "T", IR_T_INT, PURE },
    [IR_CMP] = { "cmp", "is", IR_T_LONG, PURE },
    [IR_SELECT] = { "select", "TTl", IR_T_INT, PURE },
    [IR_SEXT8] = { "sext8", "i", IR_T_LONG, PURE },
    [IR_SEXT16] = { "sext16", "i", IR_T_LONG, PURE },
    [IR_SEXT32] = { "sext32", "i", IR_T_LONG, PURE },
    [IR_ZEXT8] = { "zext8", "i", IR_T_LONG, PURE },
    [IR_ZEXT16] = { "zext16", "i", IR_T_LONG, PURE },
    [IR_ZEXT32] = { "zext32", "i", IR_T_LONG, PURE },
    [IR_TRUNC] = { "trunc", "l", IR_T_WORD, PURE },
    [IR_LOAD] = { "load", "l", IR_T_LONG | IR_T_FLOAT, IR_F_LEAVES },
    [IR_STORE] = { "store", "l*", IR_T_VOID, IR_F_LEAVES },
    [IR_AMO] = { "amo", "ll", IR_T_LONG, IR_F_LEAVES },
    [IR_LR] = { "lr", "l", IR_T_LONG, IR_F_LEAVES },
    [IR_SC] = { "sc", "ll", IR_T_LONG, IR_F_LEAVES },
    [IR_FENCE] = { "fence", "", IR_T_VOID, 0 },
    [IR_CALL] = { "call", "", IR_T_ANY | IR_T_VOID, IR_F_LEAVES },
    [IR_FADD] = { "fadd", "TT", IR_T_FLOAT, 0 },
    [IR_FSUB] = { "fsub", "TT", IR_T_FLOAT, 0 },
    [IR_FMUL] = { "fmul", "TT", IR_T_FLOAT, 0 },
    [IR_FDIV] = { "fdiv", "TT", IR_T_FLOAT, 0 },
    [IR_FSQRT] = { "fsqrt", "T", IR_T_FLOAT, 0 },
    [IR_FMA] = { "fma", "TTT", IR_T_FLOAT, 0 },
    [IR_FNEG] = { "fneg", "T", IR_T_FLOAT, PURE },
    [IR_FCMP] = { "fcmp", "fs", IR_T_LONG, 0 },
    [IR_F2F] = { "f2f", "f", IR_T_FLOAT, 0 },
    [IR_I2F] = { "i2f", "i", IR_T_FLOAT, 0 },
    [IR_F2I] = { "f2i", "f", IR_T_INT, 0 },
    [IR_BITCAST] = { "bitcast", "x", IR_T_ANY, PURE },
    [IR_BOX] = { "box", "n", 1u << IR_F64, PURE },
    [IR_UNBOX] = { "unbox", "d", 1u << IR_F32, PURE },
    [IR_LABEL] = { "label", "", IR_T_VOID, 0 },
    [IR_INSN] = { "insn", "", IR_T_VOID, 0 },
    [IR_COUNT] = { "count", "", IR_T_VOID, IR_F_LEAVES },
    [IR_JUMP] = { "jump", "", IR_T_VOID, ENDS },
    [IR_BRANCH] = { "branch", "is", IR_T_VOID, IR_F_LEAVES },
    [IR_EXIT] = { "exit", "", IR_T_VOID, ENDS },
    [IR_EXIT_IND] = { "exit_ind", "l", IR_T_VOID, ENDS },
    [IR_TRAP] = { "trap", "", IR_T_VOID, ENDS },
};

void ir_begin(struct ir_unit *u)
{
    u->n = 0;
    u->labels = 0;
    u->full = false;
    ir_place(u, ir_label(u));
}

uint16_t ir_label(struct ir_unit *u)
{
    if (u->labels == IR_MAX_LABELS) {
        u->full = true;
        return 0;
    }
    return u->labels++;
}

void ir_place(struct ir_unit *u, uint16_t label)
{
    ir_add(u, (struct ir_ins){ .op = IR_LABEL, .label = label });
}

uint16_t ir_add(struct ir_unit *u, struct ir_ins ins)
{
    if (u->n == IR_MAX_INS) {
        u->full = true;
        return (uint16_t)(IR_MAX_INS - 1);
    }
    u->ins[u->n] = ins;
    return u->n++;
}

enum ir_type ir_type_of(const struct ir_unit *u, uint16_t value)
{
    return value < u->n ? u->ins[value].type : IR_VOID;
}

static bool ir_fits(char want, const struct ir_ins *i, enum ir_type first, enum ir_type t)
{
    static const uint8_t other[IR_TYPES] = {
        [IR_I32] = IR_F32, [IR_I64] = IR_F64, [IR_F32] = IR_I32, [IR_F64] = IR_I64
    };

    switch (want) {
    case 'T': return t == i->type;
    case 'l': return t == IR_I64;
    case 'w': return t == IR_I32;
    case 'i': return t == IR_I32 || t == IR_I64;
    case 'f': return t == IR_F32 || t == IR_F64;
    case 'n': return t == IR_F32;
    case 'd': return t == IR_F64;
    case 's': return t == first;
    case 'x': return t == other[i->type];
    default: return t != IR_VOID;
    }
}

static const char *ir_check_value(const struct ir_unit *u, unsigned block, unsigned at, uint16_t v)
{
    if (v <= block || v >= at)
        return "a value of another block, or not defined yet";
    return u->ins[v].type == IR_VOID ? "an operand that is no value" : NULL;
}

/* Helpers and traps take what they are given: operands may be absent, from the last on. */
static const char *ir_check_free(const struct ir_unit *u, unsigned block, unsigned at)
{
    const struct ir_ins *i = &u->ins[at];
    const uint16_t args[] = { i->a, i->b, i->c };

    for (unsigned k = 0; k < 3; k++) {
        const char *why = args[k] ? ir_check_value(u, block, at, args[k]) : NULL;
        if (why)
            return why;
        if (k && args[k] && !args[k - 1])
            return "an operand is left out";
    }
    return i->imm < 0 || i->imm > UINT16_MAX ? "a helper's number" : NULL;
}

static const char *ir_check_args(const struct ir_unit *u, unsigned block, unsigned at)
{
    const struct ir_ins *i = &u->ins[at];
    const uint16_t args[] = { i->a, i->b, i->c };
    const char *want = ir_info[i->op].args;

    if (i->op == IR_CALL || i->op == IR_TRAP)
        return ir_check_free(u, block, at);
    for (unsigned k = 0; want[k]; k++) {
        const char *why = ir_check_value(u, block, at, args[k]);
        if (why)
            return why;
        if (!ir_fits(want[k], i, u->ins[args[0]].type, u->ins[args[k]].type))
            return "an operand of another type";
    }
    return NULL;
}

/* Floats are loaded and stored whole, an i32 has no upper half. */
static bool ir_size_fits(unsigned type, unsigned size)
{
    if (type == IR_F32 || type == IR_F64)
        return size == (type == IR_F64 ? 3 : 2);
    return size <= (IR_SIZE | IR_SIGNED) && (type == IR_I64 || (size & IR_SIZE) < 3);
}

static bool ir_is_atomic(unsigned op) { return op == IR_AMO || op == IR_LR || op == IR_SC; }

static const char *ir_check_atomic(const struct ir_ins *i)
{
    if (i->size != 2 && i->size != 3)
        return "a size";
    if (i->imm < 0 || i->imm > UINT16_MAX)
        return "a number for C";
    return i->op == IR_AMO && i->cond >= IR_AMOS ? "an operation" : NULL;
}

static const char *ir_check_fields(const struct ir_unit *u, const struct ir_ins *i)
{
    bool compares = i->op == IR_CMP || i->op == IR_FCMP || i->op == IR_BRANCH;

    if (!(ir_info[i->op].types & 1u << i->type))
        return "a type that the operation does not have";
    if (compares && i->cond >= IR_CONDS)
        return "a condition";
    if (i->op == IR_FCMP && i->cond != IR_EQ && i->cond != IR_LT && i->cond != IR_LE)
        return "a condition that floats do not have";
    if (i->op == IR_LOAD && !ir_size_fits(i->type, i->size))
        return "a size";
    if (i->op == IR_STORE && !ir_size_fits(ir_type_of(u, i->b), i->size))
        return "a size";
    if ((i->op == IR_LOAD || i->op == IR_STORE) && (i->imm < INT32_MIN || i->imm > INT32_MAX))
        return "a displacement";
    if ((i->op == IR_GET || i->op == IR_SET) && (i->imm < 0 || i->imm > 0x7fff || i->imm & 3))
        return "an offset into guest state";
    if ((i->op == IR_JUMP || i->op == IR_BRANCH || i->op == IR_LABEL) && i->label >= u->labels)
        return "a label that does not exist";
    return ir_is_atomic(i->op) ? ir_check_atomic(i) : NULL;
}

struct ir_places {
    uint16_t at[IR_MAX_LABELS]; /* how often each label is placed */
};

static const char *ir_check_labels(const struct ir_unit *u, struct ir_places *p, unsigned *where)
{
    memset(p, 0, sizeof *p);
    for (unsigned k = 0; k < u->n; k++)
        if (u->ins[k].op == IR_LABEL && u->ins[k].label < IR_MAX_LABELS)
            p->at[u->ins[k].label]++;
    for (unsigned k = 0; k < u->n; k++) {
        const struct ir_ins *i = &u->ins[k];
        bool uses = i->op == IR_LABEL || i->op == IR_JUMP || i->op == IR_BRANCH;
        *where = k;
        if (uses && i->label < IR_MAX_LABELS && p->at[i->label] != 1)
            return "a label that is placed never or twice";
    }
    return NULL;
}

static const char *ir_check_flow(const struct ir_unit *u, unsigned at)
{
    bool ends = ir_info[u->ins[at].op].flags & IR_F_ENDS;

    if (at + 1u == u->n)
        return ends ? NULL : "the unit ends without an exit";
    return ends && u->ins[at + 1].op != IR_LABEL ? "unreachable: no label" : NULL;
}

static const char *ir_check(const struct ir_unit *u, unsigned *where)
{
    struct ir_places places;
    unsigned block = 0;
    const char *why;

    *where = 0;
    if (u->full || u->n > IR_MAX_INS || u->labels > IR_MAX_LABELS)
        return "a unit that did not fit";
    if (!u->n || u->ins[0].op != IR_LABEL)
        return "no label at the beginning";
    for (unsigned k = 0; k < u->n; k++) {
        *where = k;
        if (u->ins[k].op >= IR_OPS || u->ins[k].type >= IR_TYPES)
            return "an operation or type that does not exist";
        if (u->ins[k].op == IR_LABEL)
            block = k;
        if ((why = ir_check_fields(u, &u->ins[k])) || (why = ir_check_args(u, block, k)) ||
            (why = ir_check_flow(u, k)))
            return why;
    }
    return ir_check_labels(u, &places, where);
}

int ir_verify(const struct ir_unit *u, unsigned *where, const char **why)
{
    *why = ir_check(u, where);
    return *why ? -EINVAL : 0;
}
