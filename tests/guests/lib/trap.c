/* SPDX-License-Identifier: BSD-2-Clause */
/* IDT, task-state segments, and trap_try(): run something that may fault and say what happened. */
#include "guest.h"

struct tss {
    uint32_t res0;
    uint64_t rsp[3];
    uint64_t res1;
    uint64_t ist[7];
    uint64_t res2;
    uint16_t res3, iomap;
} __attribute__((packed));
struct gate {
    uint16_t off0, sel;
    uint8_t ist, type;
    uint16_t off1;
    uint32_t off2, res;
} __attribute__((packed));

#define TSS_SEL 0x40
#define IST_BYTES 8192

struct cpu cpus[MAX_CPUS];
static struct tss tss[MAX_CPUS];
static struct gate idt[256] __attribute__((aligned(16)));
static uint8_t ist_stacks[MAX_CPUS][4][IST_BYTES] __attribute__((aligned(16)));
static trap_fn handlers[256];
static uint8_t code_page[MAX_CPUS][512] __attribute__((aligned(4096)));
extern uint64_t gdt[];
extern uint8_t gdt_ptr[];
extern char trap_stubs[], cpu_stacks[];
void jmp_back(void);
void trap_c(struct frame *f);

/* By the stack it runs on: no instruction that a guest test may have broken is needed. */
struct cpu *this_cpu(void)
{
    uint64_t sp = (uint64_t)__builtin_frame_address(0), ist = (uint64_t)ist_stacks;
    if (sp >= ist && sp < ist + sizeof ist_stacks)
        return &cpus[(sp - ist) / sizeof ist_stacks[0]];
    sp -= (uint64_t)cpu_stacks;
    return &cpus[sp / CPU_STACK % MAX_CPUS];
}

/* Exceptions on stack 1, interrupts on 2, NMI on 3, double fault on 4: a wild %rsp does no harm. */
static uint8_t ist_of(unsigned vec)
{
    if (vec == VEC_NMI)
        return 3;
    if (vec == VEC_DF)
        return 4;
    return vec < 32 ? 1 : 2;
}

static void idt_fill(void)
{
    for (unsigned v = 0; v < 256; v++) {
        uint64_t h = (uint64_t)trap_stubs + v * 16;
        idt[v] = (struct gate){ (uint16_t)h,         0x08, ist_of(v), 0x8e, (uint16_t)(h >> 16),
                                (uint32_t)(h >> 32), 0 };
    }
    idt[VEC_BP].type = 0xee;
    idt[0x80].type = 0xee;
}

void idt_load(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) p = { sizeof idt - 1, (uint64_t)idt };
    __asm__ volatile("lidt %0" : : "m"(p));
}

void gdt_reload(void) { __asm__ volatile("lgdt (%0)" : : "r"(gdt_ptr)); }

void trap_init_cpu(unsigned index)
{
    struct tss *t = &tss[index];
    uint64_t base = (uint64_t)t, *d = &gdt[(TSS_SEL + index * 16) / 8];
    if (!idt[0].type)
        idt_fill();
    for (unsigned i = 0; i < 4; i++)
        t->ist[i] = (uint64_t)ist_stacks[index][i] + IST_BYTES;
    t->rsp[0] = t->ist[0];
    t->iomap = sizeof *t;
    d[0] = (sizeof *t - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
    d[1] = base >> 32;
    cpus[index].index = index;
    idt_load();
    __asm__ volatile("ltr %w0" : : "r"(TSS_SEL + index * 16));
}

void trap_handle(unsigned vec, trap_fn fn) { handlers[vec] = fn; }

static _Noreturn void unexpected(const struct frame *f)
{
    fail("trap", "unexpected vector %lu error %lx rip %lx cr2 %lx rsp %lx cpu %u", f->vec, f->err,
         f->rip, read_cr2(), f->rsp, this_cpu()->index);
    done();
}

bool trap_unwind(struct frame *f)
{
    struct cpu *c = this_cpu();
    if (!c->catch)
        return false;
    c->last = *f;
    c->last_cr2 = read_cr2();
    f->rip = (uint64_t)jmp_back;
    f->rdi = (uint64_t)c->catch;
    f->rsi = f->vec + 1;
    f->cs = 0x08;
    f->ss = 0x10;
    f->rflags = 2;
    f->rsp = c->catch->rsp;
    return true;
}

void trap_c(struct frame *f)
{
    struct cpu *c = this_cpu();
    c->irqs[f->vec & 255]++;
    if (handlers[f->vec & 255]) {
        handlers[f->vec & 255](f);
        return;
    }
    if (f->vec >= 32) {
        apic_eoi();
        return;
    }
    if (!trap_unwind(f))
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

static void call_code(void *r) { regs_call(r, code_page[this_cpu()->index]); }

int code_try(const void *code, size_t len, struct regs *r)
{
    uint8_t *p = code_page[this_cpu()->index];
    if (len > sizeof code_page[0] - 1)
        len = sizeof code_page[0] - 1;
    memcpy(p, code, len);
    p[len] = 0xc3;
    __asm__ volatile("cpuid" : : "a"(0), "c"(0) : "rbx", "rdx", "memory");
    return trap_try(call_code, r);
}
