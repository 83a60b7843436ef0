/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random units: ir_eval.h. Loops end because each block counts and checks what it may still run.
 */
#include <stdio.h>
#include <string.h>
#include "tests/unit/ir_eval.h"

uint64_t eval_random(struct eval_random *r)
{
    uint64_t v = 0;

    if (r->left) {
        size_t n = r->left < 4 ? r->left : 4;
        memcpy(&v, r->data, n);
        r->data += n;
        r->left -= n;
        return v;
    }
    r->seed ^= r->seed << 13;
    r->seed ^= r->seed >> 7;
    r->seed ^= r->seed << 17;
    return r->seed * 0x2545f4914f6cdd1dull >> 16;
}

static unsigned below(struct eval_random *r, unsigned n) { return (unsigned)(eval_random(r) % n); }

static int64_t some_number(struct eval_random *r)
{
    static const int64_t edges[] = { 0,         1,         -1,         2,          31,
                                     32,        63,        64,         127,        -128,
                                     0x7fff,    255,       0xffff,     INT32_MAX,  INT32_MIN,
                                     INT64_MAX, INT64_MIN, 0xffffffff, 0x80000000, 4096,
                                     -4096,     8 };

    switch (below(r, 4)) {
    case 0: return (int64_t)(eval_random(r) << 32 ^ eval_random(r));
    case 1: return (int64_t)below(r, 256) - 128;
    default: return edges[below(r, ARRAY_SIZE(edges))];
    }
}

static uint64_t some_double(struct eval_random *r)
{
    static const uint64_t edges[] = { 0,
                                      1ull << 63,
                                      0x3ff0ull << 48,
                                      0x7ff0ull << 48,
                                      0xfff0ull << 48,
                                      0x7ff8ull << 48,
                                      0x7ff4ull << 48,
                                      1,
                                      0x0010ull << 48,
                                      0x7fefffffffffffff,
                                      0x4000ull << 48,
                                      0x3fd5555555555555,
                                      0xc3e0ull << 48,
                                      0x41dfffffffc00000,
                                      0x7f8000007f800000,
                                      0x3f8000003f800000,
                                      0x7fc000007fa00000,
                                      0x0080000000000001,
                                      0x40490fdb40490fdb,
                                      0x7f7fffff7f7fffff };
    unsigned k = below(r, 2 * ARRAY_SIZE(edges));

    if (k < ARRAY_SIZE(edges))
        return edges[k];
    return ((eval_random(r) << 32 ^ eval_random(r)) & ~(0x3ffull << 52)) |
           (uint64_t)(1000 + below(r, 46)) << 52;
}

void eval_fill(struct eval *e, struct eval_random *r)
{
    for (unsigned k = 0; k < EVAL_STATE / 8; k++) {
        uint64_t v = k < 64 ? (uint64_t)some_number(r) : some_double(r);
        if (k < 8 && !(k & 1))
            v = EVAL_BASE + below(r, EVAL_RAM);
        memcpy(e->state + 8 * k, &v, 8);
    }
    for (unsigned k = 0; k < EVAL_RAM; k += 8) {
        uint64_t v = 0x9e3779b97f4a7c15ull * (k + 1);
        memcpy(e->ram + k, &v, 8);
    }
    e->calls = 1;
    e->reserved = EVAL_RESERVED;
    e->budget = 40 + (int64_t)below(r, 200);
}

struct maker {
    struct ir_unit *u;
    struct eval_random *r;
    unsigned block; /* index of its label */
    unsigned labels;
};

/* A value of the type in this block, or a new one. */
static uint16_t pick(struct maker *m, enum ir_type t)
{
    unsigned n = m->u->n - m->block;

    for (unsigned tries = 0; tries < 6 && n > 1; tries++) {
        unsigned k = m->block + 1 + below(m->r, n - 1);
        if (m->u->ins[k].type == t)
            return (uint16_t)k;
    }
    if (t == IR_I32 || t == IR_I64) {
        if (below(m->r, 2))
            return ir_const(m->u, t, some_number(m->r));
        return ir_get(m->u, t, t == IR_I64 ? 8 * below(m->r, 20) : 256 + 4 * below(m->r, 20));
    }
    return ir_get(m->u, t, t == IR_F64 ? 512 + 8 * below(m->r, 20) : 768 + 4 * below(m->r, 20));
}

static uint16_t pick_for(struct maker *m, char want, const struct ir_ins *i)
{
    static const uint8_t other[IR_TYPES] = {
        [IR_I32] = IR_F32, [IR_I64] = IR_F64, [IR_F32] = IR_I32, [IR_F64] = IR_I64
    };

    switch (want) {
    case 'T': return pick(m, i->type);
    case 'n': return pick(m, IR_F32);
    case 'd': return pick(m, IR_F64);
    case 'l': return pick(m, IR_I64);
    case 'w': return pick(m, IR_I32);
    case 'i': return pick(m, below(m->r, 2) ? IR_I64 : IR_I32);
    case 'f': return pick(m, below(m->r, 2) ? IR_F64 : IR_F32);
    case 's': return pick(m, ir_type_of(m->u, i->a));
    case 'x': return pick(m, other[i->type]);
    default: return pick(m, (enum ir_type)(IR_I32 + below(m->r, 4)));
    }
}

static uint8_t pick_type(struct maker *m, unsigned allowed)
{
    uint8_t t;

    do
        t = (uint8_t)below(m->r, IR_TYPES);
    while (!(allowed & 1u << t));
    return t;
}

static void make_set(struct maker *m)
{
    enum ir_type t = (enum ir_type)(IR_I32 + below(m->r, 4));
    uint16_t v = pick(m, t);
    unsigned slot = below(m->r, 20);
    static const unsigned base[IR_TYPES] = { 0, 256, 0, 768, 512 };

    ir_set(m->u, base[t] + (t == IR_I64 || t == IR_F64 ? 8 : 4) * slot, v);
}

static void make_memory(struct maker *m, struct ir_ins *i)
{
    unsigned slot = 16 * below(m->r, 4);
    bool store = i->op == IR_STORE;

    i->b = store ? pick_for(m, '*', i) : 0;
    i->a = below(m->r, 8) ? ir_get(m->u, IR_I64, slot) : pick(m, IR_I64);
    i->imm = (int64_t)below(m->r, 128) - 64;
    i->size = (uint8_t)below(m->r, store ? 4 : 7);
    enum ir_type t = store ? ir_type_of(m->u, i->b) : (enum ir_type)i->type;
    if (t == IR_F64 || t == IR_F32)
        i->size = t == IR_F64 ? 3 : 2;
    if (store && t == IR_I32)
        i->size = (uint8_t)(i->size % 3);
    ir_add(m->u, *i);
}

static bool is_atomic(unsigned op) { return op == IR_AMO || op == IR_LR || op == IR_SC; }

/* Aligned, most of them; near the addresses that are reserved, half of them. */
static void make_atomic(struct maker *m, struct ir_ins *i)
{
    uint16_t at = ir_get(m->u, IR_I64, below(m->r, 2) ? 0 : 16 * below(m->r, 4));

    i->size = (uint8_t)(2 + below(m->r, 2));
    if (below(m->r, 8))
        at = ir_op2(m->u, IR_AND, IR_I64, at, ir_const(m->u, IR_I64, -8));
    i->a = at;
    i->b = i->op == IR_LR ? 0 : pick(m, IR_I64);
    i->cond = (uint8_t)(i->op == IR_AMO ? below(m->r, IR_AMOS) : 0);
    i->imm = i->op == IR_LR ? 0 : i->op == IR_SC ? 1 : 2 + i->cond;
    ir_add(m->u, *i);
}

static void make_one(struct maker *m)
{
    struct ir_ins i = { .op = (uint8_t)below(m->r, IR_OPS) };
    const char *want = ir_info[i.op].args;

    if (i.op == IR_SET || !below(m->r, 4)) {
        make_set(m);
        return;
    }
    if (i.op == IR_COUNT || i.op == IR_LABEL || i.op == IR_INSN ||
        ir_info[i.op].flags & IR_F_ENDS || (i.op == IR_CALL && below(m->r, 4)))
        return;
    i.type = pick_type(m, ir_info[i.op].types);
    i.imm = i.op == IR_CONST ? some_number(m->r) : i.op == IR_INSN ? 0x1000 + m->u->n : 0;
    if (i.op == IR_LOAD || i.op == IR_STORE) {
        make_memory(m, &i);
        return;
    }
    if (is_atomic(i.op)) {
        make_atomic(m, &i);
        return;
    }
    if (i.op == IR_GET) {
        pick(m, i.type);
        return;
    }
    if (i.op == IR_CALL) {
        i.type = IR_I64;
        i.imm = below(m->r, 8);
        want = &"lll"[below(m->r, 4)];
    }
    uint16_t *arg[] = { &i.a, &i.b, &i.c };
    for (unsigned k = 0; want[k]; k++)
        *arg[k] = pick_for(m, want[k], &i);
    i.cond = (uint8_t)(i.op == IR_FCMP ? (const uint8_t[]){ IR_EQ, IR_LT, IR_LE }[below(m->r, 3)]
                       : i.op == IR_CMP || i.op == IR_BRANCH ? below(m->r, IR_CONDS)
                                                             : 0);
    i.label = (uint16_t)(i.op == IR_BRANCH ? 1 + below(m->r, m->labels) : 0);
    ir_add(m->u, i);
}

/* Where instructions may be. */
static uint16_t even(struct maker *m)
{
    uint16_t v = pick(m, IR_I64);

    return ir_op2(m->u, IR_AND, IR_I64, v, ir_const(m->u, IR_I64, -2));
}

static void make_end(struct maker *m)
{
    struct ir_ins i = { .op = IR_JUMP, .label = (uint16_t)(1 + below(m->r, m->labels)) };

    switch (below(m->r, 6)) {
    case 0:
        i = (struct ir_ins){ .op = IR_EXIT, .imm = 0x4000 + 2 * (int64_t)below(m->r, 64) };
        break;
    case 1: i = (struct ir_ins){ .op = IR_EXIT_IND, .a = even(m) }; break;
    case 2:
        i = (struct ir_ins){ .op = IR_TRAP,
                             .a = pick(m, IR_I64),
                             .imm = below(m->r, 16),
                             .size = (uint8_t)below(m->r, 4) };
        break;
    default: break;
    }
    ir_add(m->u, i);
}

void eval_make(struct ir_unit *u, struct eval_random *r, unsigned most)
{
    struct maker m = { u, r, 0, 1 + below(r, 6) };

    ir_begin(u);
    for (unsigned k = 0; k < m.labels; k++)
        ir_label(u);
    for (unsigned k = 0; k <= m.labels; k++) {
        unsigned stop = u->n + most / (m.labels + 1);
        if (k)
            ir_place(u, (uint16_t)k);
        m.block = u->n - 1u;
        unsigned insns = 1 + below(r, 5);
        ir_add(u, (struct ir_ins){
                      .op = IR_COUNT, .cond = 1, .size = (uint8_t)insns, .imm = 0x2000 + k });
        for (unsigned j = 0; j < insns; j++) {
            ir_add(u, (struct ir_ins){ .op = IR_INSN, .imm = 0x3000 + u->n });
            while (u->n < m.block + (stop - m.block) * (j + 1) / insns)
                make_one(&m);
        }
        make_end(&m);
    }
}

void eval_show(const struct ir_unit *u)
{
    char line[200];

    for (unsigned k = 0; k < u->n; k++) {
        ir_print(u, k, line, sizeof line);
        fprintf(stderr, "%4u  %s\n", k, line);
    }
}
