/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What compiled code calls: memory that the TLB does not answer for, instructions that are
 * interpreted, and where the guest goes on.
 */
#include <string.h>
#include "hv/dbt/riscv64/jit.h"

static uint64_t *call_place(struct jit_frame *f, unsigned p)
{
    if (p < JIT_FLOAT)
        return &f->gpr[p];
    return p < JIT_SPILL ? &f->xmm[p - JIT_FLOAT] : &f->spill[(p - JIT_SPILL) % JIT_SPILLS];
}

static uint64_t call_arg(struct jit_frame *f, const struct jit_record *r, unsigned k)
{
    return r->place[k] == JIT_NOWHERE ? (uint64_t)r->arg[k] : *call_place(f, r->place[k]);
}

static void *call_state(struct rv_jit *j, const struct jit_pin *p)
{
    return (uint8_t *)j->s.cpu + p->offset;
}

static void call_pins_out(struct rv_jit *j, struct jit_frame *f, const struct jit_record *r)
{
    const struct unit *u = &j->units[r->unit];

    for (unsigned k = 0; k < u->pins; k++)
        if (r->dirty >> k & 1)
            memcpy(call_state(j, &u->pin[k]), call_place(f, u->pin[k].reg), 8);
}

static void call_pins_in(struct rv_jit *j, struct jit_frame *f, const struct jit_record *r)
{
    const struct unit *u = &j->units[r->unit];

    for (unsigned k = 0; k < u->pins; k++)
        memcpy(call_place(f, u->pin[k].reg), call_state(j, &u->pin[k]), 8);
}

/* MXCSR's sticky exceptions (SDM volume 1, 10.2.3) into fflags (volume I, 11.2). */
void jit_flags(struct rv_cpu *c, uint32_t *mxcsr)
{
    uint32_t m = *mxcsr;

    c->fflags |=
        (m & 1) << 4 | (m >> 2 & 1) << 3 | (m >> 3 & 1) << 2 | (m >> 4 & 1) << 1 | (m >> 5 & 1);
    *mxcsr = m & ~0x3fu;
}

/* All that the guest can see of the hart is in j->s.cpu, as before the instruction of r. */
static void call_sync(struct rv_jit *j, struct jit_frame *f, const struct jit_record *r)
{
    struct rv_cpu *c = j->s.cpu;

    call_pins_out(j, f, r);
    jit_flags(c, &f->mxcsr);
    c->pc = r->pc;
    c->instret = j->base + (uint64_t)(j->given - ((int64_t)f->gpr[15] + r->refund));
}

static uint64_t call_leave(struct rv_jit *j, enum rv_jit_left left)
{
    j->left = left;
    return JIT_LEAVE;
}

static uint64_t call_extend(uint64_t v, unsigned size)
{
    unsigned drop = 64 - (8u << (size & IR_SIZE));

    return size & IR_SIGNED ? (uint64_t)((int64_t)(v << drop) >> drop) : v;
}

static uint64_t call_memory(struct rv_jit *j, struct jit_frame *f, const struct jit_record *r)
{
    uint64_t at = call_arg(f, r, 0), va = at + (uint64_t)r->imm, v = 0;
    unsigned size = r->size & IR_SIZE;
    int err;

    j->stats.slow_memory++;
    call_sync(j, f, r);
    if (r->why == JIT_STORE)
        err = j->s.ops->store(j->s.machine, va, size, call_arg(f, r, 1));
    else if (r->why == JIT_ATOMIC)
        err = j->s.ops->atomic(j->s.machine, (unsigned)r->imm, at, call_arg(f, r, 1), &v);
    else
        err = j->s.ops->load(j->s.machine, va, size, &v);
    if (err) {
        f->gpr[15] += r->refund;
        return call_leave(j, RV_LEFT_GONE);
    }
    if (r->why != JIT_STORE && r->to != JIT_NOWHERE)
        *call_place(f, r->to) = r->why == JIT_LOAD ? call_extend(v, r->size) : v;
    return JIT_GO_ON;
}

/*
 * An instruction that only the interpreter knows. It counted itself; goes on behind it unless it
 * trapped or changed what this code was made for.
 */
static uint64_t call_step(struct rv_jit *j, struct jit_frame *f, const struct jit_record *r)
{
    struct rv_cpu *c = j->s.cpu;
    uint64_t before;

    j->stats.steps++;
    call_sync(j, f, r);
    before = c->instret;
    j->s.ops->step(j->s.machine);
    uint64_t off = c->pc - r->pc;
    if ((off == 2 || off == 4) && c->instret == before + 1 && jit_state(c) == j->state &&
        !jit_is_to_leave(j)) {
        call_pins_in(j, f, r);
        return JIT_GO_ON;
    }
    /* this instruction retired or not; those behind it did not run */
    f->gpr[15] += r->refund - (c->instret - before);
    return call_leave(j, RV_LEFT_GONE);
}

/* To the code of pc if there is some, and time, else out. */
static uint64_t call_go(struct rv_jit *j, struct jit_frame *f, uint64_t pc, uint8_t *record)
{
    uint32_t unit;
    uint8_t *code;

    j->s.cpu->pc = pc;
    if (jit_is_to_leave(j))
        return call_leave(j, RV_LEFT_GONE);
    code = jit_lookup(j, pc, &unit);
    if (!code) {
        j->chain = record;
        return call_leave(j, RV_LEFT_GONE);
    }
    if (record)
        units_chain(j, record, unit);
    f->record = jit_runs_at(j, code);
    return JIT_GO_ON;
}

uint64_t rv_jit_call(void *jit, struct jit_frame *f)
{
    struct rv_jit *j = jit;
    uint8_t *record = (uint8_t *)(uintptr_t)(f->record - (uint64_t)j->s.code.shift);
    struct jit_record r;

    memcpy(&r, record, sizeof r);
    f->record += sizeof r;
    switch ((enum jit_why)r.why) {
    case JIT_LOAD:
    case JIT_STORE:
    case JIT_ATOMIC: return call_memory(j, f, &r);
    case JIT_CALL: return call_step(j, f, &r);
    case JIT_CHAIN: return call_go(j, f, (uint64_t)r.arg[0], record);
    case JIT_INDIRECT: j->stats.indirect++; return call_go(j, f, call_arg(f, &r, 0), NULL);
    case JIT_BUDGET:
        r.pc = (uint64_t)r.arg[0];
        call_pins_out(j, f, &r);
        f->gpr[15] += r.refund;
        j->s.cpu->pc = r.pc;
        return call_leave(j, RV_LEFT_BUDGET);
    case JIT_TRAP:
    default:
        call_sync(j, f, &r);
        f->gpr[15] += r.refund;
        return call_leave(j, RV_LEFT_INTERPRET);
    }
}
