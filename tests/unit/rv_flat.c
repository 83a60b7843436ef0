/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rv_flat.h.
 */
#define _GNU_SOURCE
#include <fenv.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "hv/dbt/riscv64/translate.h"
#include "tests/unit/rv_flat.h"

uint32_t flat_code_bytes = 32u << 20;

static uint8_t *flat_ptr(struct flat *m, uint64_t pa, uint64_t n)
{
    return range_within(pa, n, FLAT_BASE, m->bytes) ? m->ram + (pa - FLAT_BASE) : NULL;
}

void flat_flush(struct flat *m)
{
    for (uint64_t k = 0; k < FLAT_TLB; k++)
        m->tlb[k] = (struct flat_entry){ (k ^ 1) << PAGE_SHIFT, (k ^ 1) << PAGE_SHIFT, 0, 0 };
}

static void flat_fill(struct flat *m, uint64_t va)
{
    uint64_t page = va & ~(PAGE_SIZE - 1), k = (va >> PAGE_SHIFT) & (FLAT_TLB - 1);
    uint8_t *p = flat_ptr(m, page, PAGE_SIZE);
    bool write = (!m->jit || !rv_jit_has_code(m->jit, page));

    if (p)
        m->tlb[k] =
            (struct flat_entry){ page, write ? page : (k ^ 1) << PAGE_SHIFT, (uintptr_t)p, page };
}

static int flat_end(struct flat *m, uint64_t va)
{
    m->over = true;
    m->cpu.waiting = 1;
    m->fault = va;
    return -EFAULT;
}

static int flat_access(struct flat *m, uint64_t va, unsigned bytes, bool write, uint64_t *v)
{
    uint8_t *p = flat_ptr(m, va, bytes);

    if (write && va == FLAT_TEST) {
        m->result = *v >> 16;
        return flat_end(m, va);
    }
    if (!p)
        return flat_end(m, va);
    memcpy(write ? (void *)p : v, write ? (void *)v : p, bytes);
    if (write && m->jit) {
        uint64_t first = min_u64(bytes, PAGE_SIZE - (va & (PAGE_SIZE - 1)));
        rv_jit_written(m->jit, va, first);
        if (first < bytes)
            rv_jit_written(m->jit, va + first, bytes - first);
    }
    return 0;
}

static int flat_load(void *machine, uint64_t va, unsigned size, uint64_t *v)
{
    struct flat *m = machine;

    flat_fill(m, va);
    return flat_access(m, va, 1u << size, false, v);
}

static int flat_store(void *machine, uint64_t va, unsigned size, uint64_t v)
{
    struct flat *m = machine;

    flat_fill(m, va);
    return flat_access(m, va, 1u << size, true, &v);
}

static bool flat_eval_memory(struct eval *e, uint64_t address, unsigned bytes, bool write,
                             uint64_t *v)
{
    return !flat_access(container_of(e, struct flat, eval), address, bytes, write, v);
}

/* The evaluator's, on the hart's own state. */
static int flat_atomic(void *machine, unsigned op, uint64_t va, uint64_t operand, uint64_t *v)
{
    struct flat *m = machine;
    unsigned wide = op >= RV_LR_D;

    flat_fill(m, va);
    memcpy(m->eval.state, &m->cpu, sizeof m->cpu);
    m->eval.memory = flat_eval_memory;
    m->eval.reserved = offsetof(struct rv_cpu, reserved);
    if (!eval_atomic(&m->eval, op - (wide ? RV_LR_D : RV_LR_W), 2 + wide, va, operand, v))
        return flat_end(m, va);
    memcpy(&m->cpu, m->eval.state, sizeof m->cpu);
    return 0;
}

static const uint8_t *flat_code(void *machine, uint64_t va, uint64_t *pa)
{
    *pa = va & ~(PAGE_SIZE - 1);
    return flat_ptr(machine, *pa, PAGE_SIZE);
}

static void flat_protect(void *machine, uint64_t pa)
{
    struct flat *m = machine;
    uint64_t k = (pa >> PAGE_SHIFT) & (FLAT_TLB - 1);

    m->tlb[k].write = (k ^ 1) << PAGE_SHIFT;
}

static unsigned flat_flags(unsigned f)
{
    return (f & FE_INVALID ? 16 : 0) | (f & FE_DIVBYZERO ? 8 : 0) | (f & FE_OVERFLOW ? 4 : 0) |
           (f & FE_UNDERFLOW ? 2 : 0) | (f & FE_INEXACT ? 1 : 0);
}

/* What the front end leaves to an interpreter does nothing here. */
static void flat_skip(struct flat *m)
{
    m->cpu.pc += m->region.insn[0].length;
    m->cpu.instret++;
}

/* One instruction as the front end translates it, evaluated. */
static void flat_evaluate(struct flat *m)
{
    static const int round[] = { FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD };
    struct rv_cpu *c = &m->cpu;

    memcpy(m->eval.state, c, sizeof *c);
    m->eval.memory = flat_eval_memory;
    m->eval.reserved = offsetof(struct rv_cpu, reserved);
    m->eval.budget = 1;
    m->eval.calls = 0;
    fesetround(round[c->frm & 3]);
    eval_run(&m->eval, &m->unit);
    fesetround(FE_TONEAREST);
    if (m->eval.end == EVAL_TRAP || m->eval.calls) {
        flat_skip(m);
        return;
    }
    memcpy(c, m->eval.state, sizeof *c);
    c->fflags |= flat_flags(m->eval.flags);
    c->instret += (uint64_t)(1 - m->eval.budget);
    if (m->eval.end != EVAL_FAULT)
        c->pc = m->eval.pc;
    else if (!m->over) /* a misaligned atomic */
        (void)flat_end(m, m->eval.value);
}

void flat_step(void *machine)
{
    struct flat *m = machine;
    uint64_t pa;
    struct rv_source in = { .pc = m->cpu.pc, .page = flat_code(m, m->cpu.pc, &pa), .most = 1 };

    in.floats = (m->cpu.mstatus & RV_MSTATUS_FS) == RV_MSTATUS_FS && m->cpu.frm < 4;
    in.frm = (uint8_t)m->cpu.frm;
    in.fma = true;
    if (!in.page || rv_translate(&m->unit, &m->region, &in))
        m->over = true;
    else
        flat_evaluate(m);
    if (m->over)
        m->cpu.waiting = 1;
}

static const uint8_t *flat_page(void *machine, uint64_t pa)
{
    const struct flat *m = machine;

    return pa - FLAT_BASE < m->bytes ? m->ram + (pa - FLAT_BASE) : NULL;
}

static const struct rv_jit_ops flat_ops = {
    .step = flat_step,
    .load = flat_load,
    .store = flat_store,
    .atomic = flat_atomic,
    .code = flat_code,
    .protect = flat_protect,
    .page = flat_page,
};

static void flat_jit(struct flat *m, unsigned hot)
{
    struct rv_jit_setup s = {
        .ops = &flat_ops, .machine = m, .cpu = &m->cpu, .near = &m->near, .hot = hot
    };
    int file = memfd_create("code", 0);

    if (file < 0 || ftruncate(file, flat_code_bytes))
        abort();
    s.code.w = mmap(NULL, flat_code_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    uint8_t *x = mmap(NULL, flat_code_bytes, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
    close(file);
    s.code.room = flat_code_bytes;
    s.code.shift = x - s.code.w;
    s.layout = (struct jit_layout){ .tlb = offsetof(struct flat, tlb),
                                    .tlb_entries = FLAT_TLB,
                                    .tlb_shift = 5,
                                    .tlb_read = 0,
                                    .tlb_write = 8,
                                    .tlb_host = 16,
                                    .tlb_pa = 24,
                                    .reserved = offsetof(struct rv_cpu, reserved) };
    m->jit = aligned_alloc(PAGE_SIZE, align_up(rv_jit_bytes(), PAGE_SIZE));
    if (s.code.w == MAP_FAILED || x == MAP_FAILED || !m->jit || rv_jit_init(m->jit, &s))
        abort();
}

struct flat *flat_new(uint64_t bytes, bool jit, unsigned hot)
{
    struct flat *m = aligned_alloc(64, align_up(sizeof(struct flat), 64));

    if (!m)
        abort();
    memset(m, 0, sizeof *m);
    m->bytes = bytes;
    m->ram = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    m->cpu.pc = FLAT_BASE;
    m->cpu.mode = RV_M;
    m->cpu.mstatus = RV_MSTATUS_FS;
    flat_flush(m);
    if (jit)
        flat_jit(m, hot);
    return m;
}

void flat_free(struct flat *m)
{
    munmap(m->ram, m->bytes);
    free(m->jit); /* the code's mappings stay: few are made */
    free(m);
}

void flat_run(struct flat *m, uint64_t insns)
{
    uint64_t end = m->cpu.instret + insns;

    while (!m->over && m->cpu.instret < end) {
        if (m->jit)
            rv_jit_run(m->jit, end - m->cpu.instret);
        else
            flat_step(m);
    }
}
