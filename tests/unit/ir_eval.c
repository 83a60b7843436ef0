/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The evaluator: ir_eval.h.
 */
#include <fenv.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/ir_eval.h"

static uint64_t value[IR_MAX_INS];

static uint64_t narrow(unsigned type, uint64_t v)
{
    return type == IR_I32 || type == IR_F32 ? (uint32_t)v : v;
}
static bool wide(unsigned type) { return type == IR_I64 || type == IR_F64; }
static int64_t sign(unsigned type, uint64_t v)
{
    return wide(type) ? (int64_t)v : (int64_t)(int32_t)v;
}
static double as_double(uint64_t v)
{
    double d;

    memcpy(&d, &v, 8);
    return d;
}
static float as_float(uint64_t v)
{
    uint32_t low = (uint32_t)v;
    float f;

    memcpy(&f, &low, 4);
    return f;
}
static uint64_t from_double(double d)
{
    uint64_t v;

    memcpy(&v, &d, 8);
    return isnan(d) ? 0x7ff8ull << 48 : v;
}
static uint64_t from_float(float f)
{
    uint32_t v;

    memcpy(&v, &f, 4);
    return isnan(f) ? 0x7fc00000 : v;
}

static uint64_t divide(unsigned op, unsigned t, uint64_t a, uint64_t b)
{
    bool rem = op == IR_REMS || op == IR_REMU, is_signed = op == IR_DIVS || op == IR_REMS;
    int64_t sa = sign(t, a), sb = sign(t, b);

    a = narrow(t, a), b = narrow(t, b);
    if (!b)
        return rem ? a : ~0ull;
    if (!is_signed)
        return rem ? a % b : a / b;
    if (sb == -1)
        return rem ? 0 : 0 - (uint64_t)sa;
    return (uint64_t)(rem ? sa % sb : sa / sb);
}

static uint64_t shift(unsigned op, unsigned t, uint64_t a, uint64_t b)
{
    unsigned width = wide(t) ? 64 : 32, n = (unsigned)b & (width - 1);

    a = narrow(t, a);
    switch (op) {
    case IR_SHL: return a << n;
    case IR_SHR: return a >> n;
    case IR_SAR: return (uint64_t)(sign(t, a) >> n);
    case IR_ROL: return n ? a << n | a >> (width - n) : a;
    default: return n ? a >> n | a << (width - n) : a;
    }
}

static uint64_t high(unsigned op, uint64_t a, uint64_t b)
{
    if (op == IR_MULHU)
        return (uint64_t)((unsigned __int128)a * b >> 64);
    if (op == IR_MULHS)
        return (uint64_t)((__int128)(int64_t)a * (int64_t)b >> 64);
    return (uint64_t)((__int128)(int64_t)a * (__int128)b >> 64);
}

static bool compare(unsigned cond, unsigned t, uint64_t a, uint64_t b)
{
    int64_t sa = sign(t, a), sb = sign(t, b);

    a = narrow(t, a), b = narrow(t, b);
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

static uint64_t unary(unsigned op, unsigned t, uint64_t a)
{
    uint64_t v = narrow(t, a);

    switch (op) {
    case IR_CLZ: return v ? (unsigned)__builtin_clzll(v) - (wide(t) ? 0 : 32) : wide(t) ? 64 : 32;
    case IR_CTZ: return v ? (unsigned)__builtin_ctzll(v) : wide(t) ? 64 : 32;
    case IR_POPCNT: return (unsigned)__builtin_popcountll(v);
    case IR_BSWAP: return wide(t) ? __builtin_bswap64(v) : __builtin_bswap32((uint32_t)v);
    case IR_SEXT8: return (uint64_t)(int8_t)a;
    case IR_SEXT16: return (uint64_t)(int16_t)a;
    case IR_SEXT32: return (uint64_t)(int32_t)a;
    case IR_ZEXT8: return (uint8_t)a;
    case IR_ZEXT16: return (uint16_t)a;
    default: return (uint32_t)a;
    }
}

static uint64_t integer(unsigned op, unsigned t, uint64_t a, uint64_t b)
{
    switch (op) {
    case IR_ADD: return a + b;
    case IR_SUB: return a - b;
    case IR_MUL: return a * b;
    case IR_AND: return a & b;
    case IR_OR: return a | b;
    case IR_XOR: return a ^ b;
    case IR_DIVS:
    case IR_DIVU:
    case IR_REMS:
    case IR_REMU: return divide(op, t, a, b);
    case IR_MULHS:
    case IR_MULHU:
    case IR_MULHSU: return high(op, a, b);
    case IR_SHL:
    case IR_SHR:
    case IR_SAR:
    case IR_ROL:
    case IR_ROR: return shift(op, t, a, b);
    default: return unary(op, t, a);
    }
}

static uint64_t float_double(unsigned op, uint64_t va, uint64_t vb, uint64_t vc)
{
    volatile double a = as_double(va), b = as_double(vb), c = as_double(vc), r;

    switch (op) {
    case IR_FADD: r = a + b; break;
    case IR_FSUB: r = a - b; break;
    case IR_FMUL: r = a * b; break;
    case IR_FDIV: r = a / b; break;
    case IR_FSQRT: r = sqrt(a); break;
    default:
        r = fma(a, b, c);
        if ((isinf(a) && b == 0) || (a == 0 && isinf(b)))
            feraiseexcept(FE_INVALID);
        break;
    }
    return from_double(r);
}

static uint64_t float_single(unsigned op, uint64_t va, uint64_t vb, uint64_t vc)
{
    volatile float a = as_float(va), b = as_float(vb), c = as_float(vc), r;

    switch (op) {
    case IR_FADD: r = a + b; break;
    case IR_FSUB: r = a - b; break;
    case IR_FMUL: r = a * b; break;
    case IR_FDIV: r = a / b; break;
    case IR_FSQRT: r = sqrtf(a); break;
    default:
        r = fmaf(a, b, c);
        if ((isinf(a) && b == 0) || (a == 0 && isinf(b)))
            feraiseexcept(FE_INVALID);
        break;
    }
    return from_float(r);
}

static bool float_compare(unsigned cond, unsigned t, uint64_t va, uint64_t vb)
{
    volatile double a = as_double(va), b = as_double(vb);
    volatile float fa = as_float(va), fb = as_float(vb);

    if (cond != IR_EQ && (t == IR_F32 ? isnan(fa) || isnan(fb) : isnan(a) || isnan(b)))
        feraiseexcept(FE_INVALID); /* the compiler may take a quiet comparison */
    if (t == IR_F32)
        return cond == IR_EQ ? fa == fb : cond == IR_LT ? fa < fb : fa <= fb;
    return cond == IR_EQ ? a == b : cond == IR_LT ? a < b : a <= b;
}

static uint64_t to_integer(unsigned t, unsigned from, uint64_t v)
{
    double d = from == IR_F64 ? as_double(v) : isnan(as_float(v)) ? NAN : (double)as_float(v);
    double low = wide(t) ? -0x1p63 : -0x1p31, top = wide(t) ? 0x1p63 : 0x1p31;
    uint64_t most = wide(t) ? INT64_MAX : INT32_MAX;
    double whole = trunc(d);

    if (isnan(d) || whole >= top || whole < low) {
        feraiseexcept(FE_INVALID);
        return isnan(d) || d > 0 ? most : most + 1;
    }
    if (whole != d)
        feraiseexcept(FE_INEXACT);
    return (uint64_t)(int64_t)whole;
}

static uint64_t convert(const struct ir_ins *i, unsigned from, uint64_t a)
{
    volatile double d;
    volatile float f;

    if (i->op == IR_F2I)
        return to_integer(i->type, from, a);
    if (i->op == IR_I2F) {
        int64_t v = sign(from, a);
        return i->type == IR_F64 ? (d = (double)v, from_double(d)) : (f = (float)v, from_float(f));
    }
    if (i->type == from)
        return a;
    if (i->type == IR_F64)
        return f = as_float(a), d = (double)f, from_double(d);
    return d = as_double(a), f = (float)d, from_float(f);
}

static uint64_t compute(const struct ir_unit *u, const struct ir_ins *i)
{
    uint64_t a = value[i->a], b = value[i->b], c = value[i->c];
    unsigned from = ir_type_of(u, i->a);

    switch (i->op) {
    case IR_CONST: return (uint64_t)i->imm;
    case IR_CMP: return compare(i->cond, from, a, b);
    case IR_SELECT: return c ? a : b;
    case IR_BOX: return a | 0xffffffffull << 32;
    case IR_UNBOX:
    case IR_BITCAST:
    case IR_TRUNC: return a;
    case IR_FADD:
    case IR_FSUB:
    case IR_FMUL:
    case IR_FDIV:
    case IR_FSQRT:
    case IR_FMA:
        return i->type == IR_F64 ? float_double(i->op, a, b, c) : float_single(i->op, a, b, c);
    case IR_FNEG: return a ^ (i->type == IR_F64 ? 1ull << 63 : 1ull << 31);
    case IR_FCMP: return float_compare(i->cond, from, a, b);
    case IR_F2F:
    case IR_I2F:
    case IR_F2I: return convert(i, from, a);
    default: return integer(i->op, i->type, a, b);
    }
}

bool eval_ram(struct eval *e, uint64_t address, unsigned bytes, uint8_t **p)
{
    if (!range_within(address, bytes, EVAL_BASE, EVAL_RAM))
        return false;
    *p = e->ram + (address - EVAL_BASE);
    return true;
}

uint64_t eval_helper(struct eval *e, unsigned number, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t x;

    e->calls = (e->calls ^ (a + 3 * b + 5 * c + number)) * 0x9e3779b97f4a7c15ull + 1;
    memcpy(&x, e->state + 8 * (number % 8), 8);
    x += e->calls;
    memcpy(e->state + 8 * (number % 8), &x, 8);
    return e->calls >> 7;
}

struct frame {
    unsigned insn, counted; /* instructions begun and counted since the last IR_COUNT */
    uint64_t pc;
};

static void leave(struct eval *e, enum eval_end end, uint64_t pc, uint64_t v)
{
    e->end = end;
    e->pc = pc;
    e->value = v;
}

static bool access(struct eval *e, const struct ir_ins *i, uint64_t address, uint64_t *v)
{
    unsigned bytes = 1u << (i->size & IR_SIZE);
    bool write = i->op == IR_STORE;
    uint8_t *p;

    if (e->memory)
        return e->memory(e, address, bytes, write, v);
    if (!eval_ram(e, address, bytes, &p))
        return false;
    memcpy(write ? (void *)p : v, write ? (void *)v : p, bytes);
    return true;
}

/* False: it faulted. */
static bool memory(struct eval *e, const struct ir_unit *u, unsigned at, const struct frame *f)
{
    const struct ir_ins *i = &u->ins[at];
    unsigned bytes = 1u << (i->size & IR_SIZE);
    uint64_t address = value[i->a] + (uint64_t)i->imm, v = i->op == IR_STORE ? value[i->b] : 0;

    if (!access(e, i, address, &v)) {
        e->budget += f->counted - (f->insn ? f->insn - 1 : 0);
        leave(e, EVAL_FAULT, f->pc, address);
        return false;
    }
    if (i->op == IR_STORE)
        return true;
    if (i->size & IR_SIGNED)
        v = (uint64_t)((int64_t)(v << (64 - 8 * bytes)) >> (64 - 8 * bytes));
    value[at] = narrow(i->type, v);
    return true;
}

static uint64_t amo(unsigned kind, unsigned type, uint64_t old, uint64_t b)
{
    static const uint8_t conds[IR_AMOS] = {
        [IR_AMO_MIN] = IR_LT, [IR_AMO_MAX] = IR_GT, [IR_AMO_MINU] = IR_LTU, [IR_AMO_MAXU] = IR_GTU
    };

    switch (kind) {
    case IR_AMO_SWAP: return b;
    case IR_AMO_ADD: return old + b;
    case IR_AMO_XOR: return old ^ b;
    case IR_AMO_AND: return old & b;
    case IR_AMO_OR: return old | b;
    default: return compare(conds[kind], type, old, b) ? old : b;
    }
}

static uint64_t reserving(struct eval *e, bool lr, uint64_t address, unsigned bytes, uint64_t old)
{
    uint64_t is[3] = { bytes, address, old }, was[3];

    memcpy(was, e->state + e->reserved, sizeof was);
    if (!lr)
        is[0] = 0, is[1] = was[1], is[2] = was[2];
    memcpy(e->state + e->reserved, is, sizeof is);
    return was[0] != bytes || was[1] != address || was[2] != old;
}

bool eval_atomic(struct eval *e, unsigned number, unsigned size, uint64_t address, uint64_t operand,
                 uint64_t *v)
{
    struct ir_ins load = { .op = IR_LOAD, .size = (uint8_t)size },
                  store = { .op = IR_STORE, .size = (uint8_t)size };
    unsigned bytes = 1u << size, type = size == 3 ? IR_I64 : IR_I32;
    uint64_t old = 0, fails = 0;

    if (address & (bytes - 1) || !access(e, &load, address, &old))
        return false;
    if (number < 2)
        fails = reserving(e, number == 0, address, bytes, old);
    uint64_t new = number < 2 ? operand : amo(number - 2, type, old, operand);
    if (number && !fails && !access(e, &store, address, &new))
        return false;
    *v = number == 1 ? fails : (uint64_t)sign(type, old);
    return true;
}

/* False: it faulted. */
static bool atomic(struct eval *e, const struct ir_unit *u, unsigned at, const struct frame *f)
{
    const struct ir_ins *i = &u->ins[at];
    unsigned number = i->op == IR_LR ? 0 : i->op == IR_SC ? 1 : 2u + i->cond;

    if (eval_atomic(e, number, i->size, value[i->a], value[i->b], &value[at]))
        return true;
    e->budget += f->counted - (f->insn ? f->insn - 1 : 0);
    leave(e, EVAL_FAULT, f->pc, value[i->a]);
    return false;
}

static unsigned place_of(const struct ir_unit *u, unsigned label)
{
    for (unsigned k = 0; k < u->n; k++)
        if (u->ins[k].op == IR_LABEL && u->ins[k].label == label)
            return k;
    return u->n;
}

static bool count(struct eval *e, const struct ir_ins *i, struct frame *f)
{
    e->budget -= i->size;
    f->insn = 0;
    f->counted = i->size;
    if (!i->cond || e->budget >= 0)
        return true;
    e->budget += i->size;
    leave(e, EVAL_BUDGET, (uint64_t)i->imm, 0);
    return false;
}

/* The index of the next instruction; u->n: the unit was left. */
static unsigned step(struct eval *e, const struct ir_unit *u, unsigned at, struct frame *f)
{
    const struct ir_ins *i = &u->ins[at];
    unsigned from = ir_type_of(u, i->a),
             bytes = i->op == IR_GET ? 4u << wide(i->type) : 4u << wide(from);

    switch (i->op) {
    case IR_GET:
        value[at] = 0;
        memcpy(&value[at], e->state + i->imm, bytes);
        break;
    case IR_SET: memcpy(e->state + i->imm, &value[i->a], bytes); break;
    case IR_LOAD:
    case IR_STORE: return memory(e, u, at, f) ? at + 1 : u->n;
    case IR_AMO:
    case IR_LR:
    case IR_SC: return atomic(e, u, at, f) ? at + 1 : u->n;
    case IR_CALL:
        value[at] = narrow(i->type,
                           eval_helper(e, (unsigned)i->imm, value[i->a], value[i->b], value[i->c]));
        break;
    case IR_INSN: f->insn++, f->pc = (uint64_t)i->imm; break;
    case IR_COUNT: return count(e, i, f) ? at + 1 : u->n;
    case IR_JUMP: return place_of(u, i->label);
    case IR_BRANCH:
        return compare(i->cond, from, value[i->a], value[i->b]) ? place_of(u, i->label) : at + 1;
    case IR_EXIT: leave(e, EVAL_EXIT, (uint64_t)i->imm, 0); return u->n;
    case IR_EXIT_IND: leave(e, EVAL_EXIT, value[i->a], 0); return u->n;
    case IR_TRAP:
        e->budget += f->counted - (f->insn ? f->insn - 1 : 0) + i->size;
        leave(e, EVAL_TRAP, f->pc, value[i->a] + (uint64_t)i->imm);
        return u->n;
    case IR_NOP:
    case IR_FENCE:
    case IR_LABEL: break;
    default: value[at] = narrow(i->type, compute(u, i)); break;
    }
    return at + 1;
}

void eval_run(struct eval *e, const struct ir_unit *u)
{
    struct frame f = { 0 };
    unsigned at = 0;

    value[0] = 0;
    feclearexcept(FE_ALL_EXCEPT);
    for (unsigned steps = 0; at < u->n; steps++) {
        if (steps == 1000000) {
            e->end = EVAL_LOST;
            return;
        }
        at = step(e, u, at, &f);
    }
    e->flags = (unsigned)fetestexcept(FE_ALL_EXCEPT);
}
