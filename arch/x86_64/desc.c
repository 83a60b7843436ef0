/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * desc.c: segments, the TSS with its stacks for #DF, NMI and #MC, and the IDT. AMD APM volume 2
 * chapters 4 and 8, 12.2.5.
 */
#include "private.h"

/* Gate descriptor in long mode, AMD APM volume 2 section 4.8.3. */
struct gate {
    uint16_t off0, sel;
    uint8_t ist, type;
    uint16_t off1;
    uint32_t off2, zero;
};
static_assert(sizeof(struct gate) == 16, "IDT gate");
static_assert(offsetof(struct gate, sel) == 2, "APM vol 2 §4.8.3");
static_assert(offsetof(struct gate, ist) == 4, "APM vol 2 §4.8.3");
static_assert(offsetof(struct gate, type) == 5, "APM vol 2 §4.8.3");
static_assert(offsetof(struct gate, off1) == 6, "APM vol 2 §4.8.3");
static_assert(offsetof(struct gate, off2) == 8, "APM vol 2 §4.8.3");

struct table_ptr {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));
static_assert(sizeof(struct table_ptr) == 10, "APM vol 2 §4.6.2");
static_assert(offsetof(struct table_ptr, base) == 2, "APM vol 2 §4.6.2");

#define GATE_INTERRUPT 0x8e /* present, DPL 0, interrupt gate: IF is cleared */
/* accessed bits are set, so that the CPU never writes to the GDT */
#define CODE64 0x00af9b000000ffffull
#define DATA64 0x00cf93000000ffffull
#define TSS_TYPE 0x89ull

struct x86_cpu x86_boot_cpu;
static struct gate idt[256];

static void idt_fill(void)
{
    static const uint8_t ist_of[32] = { [2] = IST_NMI, [8] = IST_DF, [18] = IST_MC };

    for (uint32_t v = 0; v < ARRAY_SIZE(idt); v++) {
        uint64_t fn = (uint64_t)x86_stubs + v * 16;

        idt[v] = (struct gate){ .off0 = (uint16_t)fn,
                                .sel = SEL_CODE,
                                .ist = v < 32 ? ist_of[v] : 0,
                                .type = GATE_INTERRUPT,
                                .off1 = (uint16_t)(fn >> 16),
                                .off2 = (uint32_t)(fn >> 32) };
    }
}

static void gdt_fill(struct x86_cpu *c)
{
    uint64_t tss = (uint64_t)&c->tss;

    c->gdt[SEL_CODE / 8] = CODE64;
    c->gdt[SEL_DATA / 8] = DATA64;
    c->gdt[SEL_TSS / 8] =
        (sizeof c->tss - 1) | (tss & 0xffffff) << 16 | TSS_TYPE << 40 | (tss >> 24 & 0xff) << 56;
    c->gdt[SEL_TSS / 8 + 1] = tss >> 32;
}

static void desc_load(struct x86_cpu *c)
{
    struct table_ptr gdtr = { sizeof c->gdt - 1, (uint64_t)c->gdt };
    struct table_ptr idtr = { sizeof idt - 1, (uint64_t)idt };

    __asm__ volatile("lgdt %0" : : "m"(gdtr));
    __asm__ volatile("pushq %0; leaq 1f(%%rip), %%rax; pushq %%rax; lretq; 1:"
                     :
                     : "i"(SEL_CODE)
                     : "rax", "memory");
    __asm__ volatile("movl %0, %%ds; movl %0, %%es; movl %0, %%ss" : : "r"(SEL_DATA));
    /* GS keeps its base: it is set with an MSR, after this */
    __asm__ volatile("movl %0, %%fs" : : "r"(0));
    __asm__ volatile("lidt %0" : : "m"(idtr));
    __asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
}

void x86_desc_init(struct x86_cpu *c)
{
    for (int i = 0; i < IST_COUNT; i++)
        c->tss.ist[i] = (uint64_t)&c->ist[i][IST_SIZE];
    c->tss.iomap = sizeof c->tss; /* no I/O permission map */
    if (!idt[0].type)
        idt_fill();
    gdt_fill(c);
    desc_load(c);
}
