/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * jit_run.h: a world whose guest state, TLB and jump table stand as compiled code wants them.
 */
#define _GNU_SOURCE
#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "tests/unit/jit_run.h"

#define CODE (1u << 20)
#define TLB 16
#define JUMPS 64

struct entry {
    uint64_t read, write, host, pa;
};
static struct {
    _Alignas(64) uint8_t state[EVAL_STATE];
    int64_t budget;
    uint32_t mxcsr;
    struct entry tlb[TLB];
    struct jit_jump jumps[JUMPS];
} w;
static const struct jit_layout layout = {
    .tlb = EVAL_STATE + 16,
    .tlb_entries = TLB,
    .tlb_shift = 5,
    .tlb_read = 0,
    .tlb_write = 8,
    .tlb_host = 16,
    .tlb_pa = 24,
    .reserved = EVAL_RESERVED,
    .jumps = EVAL_STATE + 16 + sizeof w.tlb,
    .jump_entries = JUMPS,
    .budget = EVAL_STATE,
    .mxcsr = EVAL_STATE + 8,
};
static_assert(offsetof(__typeof__(w), tlb) == EVAL_STATE + 16, "layout");

static struct jit_memory memory;
static struct jit_stubs stubs;
static struct jit_alloc alloc;
static struct jit_code code;
static _Alignas(16) uint8_t work[JIT_WORK];
static struct eval *eval;

static uint64_t *place(struct jit_frame *f, unsigned p)
{
    return p < JIT_FLOAT   ? &f->gpr[p]
           : p < JIT_SPILL ? &f->xmm[p - JIT_FLOAT]
                           : &f->spill[p - JIT_SPILL];
}

static uint64_t argument(struct jit_frame *f, const struct jit_record *r, unsigned k)
{
    return r->place[k] == JIT_NOWHERE ? (uint64_t)r->arg[k] : *place(f, r->place[k]);
}

static void pins_out(struct jit_frame *f, uint32_t which)
{
    for (unsigned k = 0; k < code.pins; k++)
        if (which >> k & 1)
            memcpy(w.state + code.pin[k].offset, place(f, code.pin[k].reg), 8);
}

static void pins_in(struct jit_frame *f)
{
    for (unsigned k = 0; k < code.pins; k++)
        memcpy(place(f, code.pin[k].reg), w.state + code.pin[k].offset, 8);
}

static uint64_t leave(struct jit_frame *f, const struct jit_record *r, enum eval_end end,
                      uint64_t pc, uint64_t value)
{
    pins_out(f, r->dirty);
    f->gpr[15] += r->refund;
    eval->end = end;
    eval->pc = pc;
    eval->value = value;
    return JIT_LEAVE;
}

static void fill_tlb(uint64_t address)
{
    unsigned i = (address >> PAGE_SHIFT) & (TLB - 1);
    uint8_t *p;

    /* every other page only, so that both ways are gone */
    if (address >> PAGE_SHIFT & 1 || !eval_ram(eval, address & ~0xfffull, PAGE_SIZE, &p))
        return;
    w.tlb[i].read = w.tlb[i].write = address & ~0xfffull;
    w.tlb[i].host = (uintptr_t)p;
    w.tlb[i].pa = address & ~0xfffull;
}

static uint64_t memory_call(struct jit_frame *f, const struct jit_record *r)
{
    uint64_t address = argument(f, r, 0) + (uint64_t)r->imm, v = 0;
    unsigned bytes = 1u << (r->size & IR_SIZE);
    uint8_t *p;

    if (!eval_ram(eval, address, bytes, &p))
        return leave(f, r, EVAL_FAULT, r->pc, address);
    fill_tlb(address);
    if (r->why == JIT_STORE) {
        v = argument(f, r, 1);
        memcpy(p, &v, bytes);
        return JIT_GO_ON;
    }
    memcpy(&v, p, bytes);
    if (r->size & IR_SIGNED)
        v = (uint64_t)((int64_t)(v << (64 - 8 * bytes)) >> (64 - 8 * bytes));
    if (r->to != JIT_NOWHERE)
        *place(f, r->to) = v;
    return JIT_GO_ON;
}

static uint64_t atomic_call(struct jit_frame *f, const struct jit_record *r)
{
    uint64_t address = argument(f, r, 0), v;

    memcpy(eval->state, w.state, sizeof w.state);
    if (!eval_atomic(eval, (unsigned)r->imm, r->size, address, argument(f, r, 1), &v))
        return leave(f, r, EVAL_FAULT, r->pc, address);
    memcpy(w.state, eval->state, sizeof w.state);
    fill_tlb(address);
    if (r->to != JIT_NOWHERE)
        *place(f, r->to) = v;
    return JIT_GO_ON;
}

static uint64_t helper_call(struct jit_frame *f, const struct jit_record *r)
{
    uint64_t v;

    pins_out(f, r->dirty);
    memcpy(eval->state, w.state, sizeof w.state);
    v = eval_helper(eval, (unsigned)r->imm, argument(f, r, 0), argument(f, r, 1),
                    argument(f, r, 2));
    memcpy(w.state, eval->state, sizeof w.state);
    pins_in(f);
    if (r->to != JIT_NOWHERE)
        *place(f, r->to) = v;
    return JIT_GO_ON;
}

static uint64_t called(void *arg, struct jit_frame *f)
{
    struct jit_record r;

    (void)arg;
    memcpy(&r, (const void *)(uintptr_t)f->record, sizeof r);
    f->record += sizeof r;
    switch ((enum jit_why)r.why) {
    case JIT_LOAD:
    case JIT_STORE: return memory_call(f, &r);
    case JIT_ATOMIC: return atomic_call(f, &r);
    case JIT_CALL: return helper_call(f, &r);
    case JIT_TRAP: return leave(f, &r, EVAL_TRAP, r.pc, argument(f, &r, 0) + (uint64_t)r.imm);
    case JIT_BUDGET: return leave(f, &r, EVAL_BUDGET, (uint64_t)r.arg[0], 0);
    case JIT_CHAIN:
    case JIT_INDIRECT:
    default: r.refund = 0; return leave(f, &r, EVAL_EXIT, argument(f, &r, 0), 0);
    }
}

static void set_up(void)
{
    int file = memfd_create("code", 0);

    if (file < 0 || ftruncate(file, CODE) || !jit_host_ready())
        abort();
    memory.w = mmap(NULL, CODE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    uint8_t *x = mmap(NULL, CODE, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
    if (memory.w == MAP_FAILED || x == MAP_FAILED)
        abort();
    memory.room = CODE;
    memory.shift = x - memory.w;
    uint32_t used = jit_emit_stubs(memory, &layout, called, NULL, &stubs);
    if (!used)
        abort();
    memory.w += used;
    memory.room -= used;
}

static unsigned flags_of(uint32_t mxcsr)
{
    return (mxcsr & 1 ? FE_INVALID : 0) | (mxcsr & 4 ? FE_DIVBYZERO : 0) |
           (mxcsr & 8 ? FE_OVERFLOW : 0) | (mxcsr & 16 ? FE_UNDERFLOW : 0) |
           (mxcsr & 32 ? FE_INEXACT : 0);
}

__attribute__((no_sanitize("undefined"))) static void enter(uint64_t at)
{
    ((void (*)(void *, uint64_t))(uintptr_t)stubs.enter)(&w, at);
}

int jit_run(struct eval *e, const struct ir_unit *u)
{
    struct jit_emit in = { u, &alloc, &layout, &stubs, { 0 }, 0, UINT64_MAX, work };
    int err;

    if (!stubs.enter)
        set_up();
    in.m = memory;
    err = jit_allocate(&alloc, u, &jit_host_regs);
    if (err || (err = jit_emit(&in, &code)))
        return err;
    eval = e;
    memcpy(w.state, e->state, sizeof w.state);
    w.budget = e->budget;
    w.mxcsr = 0x1f80;
    for (unsigned k = 0; k < TLB; k++)
        w.tlb[k] = (struct entry){ (k ^ 1) << PAGE_SHIFT, (k ^ 1) << PAGE_SHIFT, 0, 0 };
    for (unsigned k = 0; k < JUMPS; k++)
        w.jumps[k].pc = 1;
    enter((uint64_t)(uintptr_t)memory.w + (uint64_t)memory.shift);
    memcpy(e->state, w.state, sizeof w.state);
    e->budget = w.budget;
    e->flags = flags_of(w.mxcsr);
    return 0;
}

void jit_run_show(void)
{
    char name[] = "/tmp/jit-code-XXXXXX", command[100];
    int file = mkstemp(name);

    for (unsigned k = 0; k < alloc.pins; k++)
        fprintf(stderr, "pin %u: %u in %u%s\n", k, alloc.pin[k].offset, alloc.pin[k].reg,
                alloc.loaded >> k & 1 ? ", loaded" : "");
    if (file < 0 || write(file, memory.w, code.bytes) != (ssize_t)code.bytes)
        return;
    close(file);
    snprintf(command, sizeof command, "objdump -D -b binary -mi386:x86-64 -Mintel %s >&2", name);
    if (system(command))
        fprintf(stderr, "no objdump\n");
    unlink(name);
}

unsigned jit_run_count(const void *bytes, size_t n)
{
    unsigned found = 0;

    for (size_t k = 0; k + n <= code.bytes; k++)
        found += !memcmp(memory.w + k, bytes, n);
    return found;
}

const char *jit_run_differs(const struct eval *a, const struct eval *b)
{
    if (a->end != b->end)
        return "how it ended";
    if (a->pc != b->pc)
        return "where the guest goes on";
    if (a->value != b->value)
        return "the address or operand";
    if (a->budget != b->budget)
        return "how much may still run";
    if (a->calls != b->calls)
        return "the helpers called";
    if (memcmp(a->state, b->state, sizeof a->state))
        return "guest state";
    if (memcmp(a->ram, b->ram, sizeof a->ram))
        return "memory";
    return a->flags != b->flags ? "floating-point exceptions" : NULL;
}
