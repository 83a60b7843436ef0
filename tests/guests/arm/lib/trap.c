/* SPDX-License-Identifier: BSD-2-Clause */
/* The vectors' C side, and trap_try(): run something that may fault and say what happened. */
#include "guest.h"

enum { VEC_SYNC = 0, VEC_IRQ = 1, VEC_FIQ = 2, VEC_SERROR = 3 };

struct cpu cpus[MAX_CPUS];
static trap_fn handlers[64], irq_after;
extern char vectors[];
void trap_c(struct frame *f);

/* By the block its stacks are in: no register that a test may have broken is needed. */
struct cpu *this_cpu(void)
{
    return *(struct cpu **)((uint64_t)__builtin_frame_address(0) & ~(uint64_t)(CPU_BLOCK - 1));
}

void trap_init_cpu(void) { write_reg(vbar_el1, vectors); }

void trap_handle(unsigned ec, trap_fn fn) { handlers[ec & 63] = fn; }

void trap_irqs(trap_fn fn) { irq_after = fn; }

static unsigned cause(const struct frame *f)
{
    if ((f->vec & 3) == VEC_SERROR)
        return EC_SERROR;
    return (f->vec & 3) == VEC_FIQ ? EC_NONE + 1 : f->esr >> 26 & 63;
}

static _Noreturn void unexpected(const struct frame *f)
{
    fail("trap",
         "unexpected trap: vector %lu ESR %lx FAR %lx ELR %lx (image + %lx) SPSR %lx SP %lx cpu %u",
         f->vec, f->esr, f->far, f->elr, f->elr - boot.image.base, f->spsr, f->sp,
         this_cpu()->index);
    done();
}

bool trap_unwind(struct frame *f)
{
    struct cpu *c = this_cpu();
    if (!c->catch)
        return false;
    c->last = *f;
    f->elr = (uint64_t)jmp_back;
    f->x[0] = (uint64_t)c->catch;
    f->x[1] = cause(f) + 1;
    f->spsr = 0x3c4 & ~0x100ull; /* EL1 on SP_EL0, interrupts off, SError on */
    return true;
}

void trap_c(struct frame *f)
{
    if ((f->vec & 3) == VEC_IRQ) {
        gic_trap(f);
        if (irq_after)
            irq_after(f);
        return;
    }
    trap_fn fn = handlers[cause(f) & 63];
    if (fn && cause(f) < 64)
        fn(f);
    else if (!trap_unwind(f))
        unexpected(f);
}

int trap_try(void (*fn)(void *), void *arg)
{
    struct cpu *c = this_cpu();
    struct jmp j, *volatile outer = c->catch;
    c->catch = &j;
    int v = jmp_set(&j);
    if (!v)
        fn(arg);
    c = this_cpu();
    c->catch = outer;
    return v - 1;
}

void code_put(void *at, const uint32_t *code, unsigned n)
{
    uint32_t *p = at;
    for (unsigned i = 0; i <= n; i++) {
        p[i] = i < n ? code[i] : 0xd65f03c0; /* RET */
        __asm__ volatile("dc cvau, %0" : : "r"(p + i) : "memory");
    }
    __asm__ volatile("dsb ish" : : : "memory");
    for (unsigned i = 0; i <= n; i++)
        __asm__ volatile("ic ivau, %0" : : "r"(p + i) : "memory");
    __asm__ volatile("dsb ish; isb" : : : "memory");
}

struct at {
    const void *code;
    struct regs *r;
};
static void call_at(void *arg)
{
    struct at *a = arg;
    regs_call(a->r, a->code);
}

int code_at(const void *code, struct regs *r)
{
    struct at a = { code, r };
    return trap_try(call_at, &a);
}

int code_try(const uint32_t *code, unsigned n, struct regs *r)
{
    static uint8_t *page[MAX_CPUS];
    unsigned me = this_cpu()->index;
    if (!page[me])
        page[me] = page_alloc(1);
    code_put(page[me], code, n > 1000 ? 1000 : n);
    return code_at(page[me], r);
}

int insn_try(uint32_t insn, uint64_t *x0)
{
    struct regs r = { .x = { *x0 } };
    int v = code_try(&insn, 1, &r);
    if (v < 0)
        *x0 = r.x[0];
    return v;
}
