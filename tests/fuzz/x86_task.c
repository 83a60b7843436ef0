/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hardware task switches: descriptor tables, both TSSs and registers as the guest may have them.
 * Every access stays in guest RAM, the switch always ends, and what it leaves in CS, SS and TR is
 * something that an engine can enter with.
 */
#include "tests/unit/x86_fake.h"

enum {
    GDT = 0x1000,
    LDT = 0x1800,
    TSS1 = 0x2000,
    TSS2 = 0x3000,
    STACK = 0x8000,
    RAM = 0x10000,
    SEL1 = 0x18,
    SEL2 = 0x20,
    OPS = 64
};
static uint8_t *ram;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *fake_ram(uint64_t a, uint64_t len)
{
    return range_within(a, len, 0, RAM) ? ram + a : NULL;
}
static void fake_device(struct io_access *io) { (void)io; }
static void fake_port(struct io_access *io) { (void)io; }

static void descriptor(unsigned at, uint32_t base, uint32_t limit, unsigned attr)
{
    uint64_t d = (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
                 (uint64_t)(attr & 0xff) << 40 | (uint64_t)(limit >> 16 & 15) << 48 |
                 (uint64_t)(attr >> 8) << 52 | (uint64_t)(base >> 24) << 56;

    memcpy(ram + at, &d, 8);
}

static void put32(unsigned at, uint32_t v) { memcpy(ram + at, &v, 4); }

/* Two tasks that could run. */
static void start(void)
{
    static const unsigned attr[] = { 0,     0xc9b, 0xc93, 0x8b,  0x89, 0x82,
                                     0xcf3, 0xcfb, 0x81,  0xc9f, 0x83, 0xc91 };

    percpus[0].self = &percpus[0];
    fake_reset();
    fake_mode(32);
    memset(ram, 0, RAM);
    fake_machine.cr4_mask = ~0ull;
    for (unsigned i = 1; i < ARRAY_SIZE(attr); i++)
        descriptor(GDT + 8 * i,
                   i == 3            ? TSS1
                   : i == 5          ? LDT
                   : attr[i] < 0x100 ? TSS2
                                     : 0,
                   attr[i] < 0x100 ? 0x67 : 0xfffff, attr[i]);
    descriptor(LDT + 8, 0, 0xfffff, 0xc93);
    fake_set(NULL, X86_GDTR_BASE, GDT);
    fake_set(NULL, X86_GDTR_LIMIT, 8 * ARRAY_SIZE(attr) - 1);
    x86_set_segment(&fake_vcpu, X86_TR, (struct x86_segment){ SEL1, TSS1, 0x67, 0x8b });
    for (unsigned i = X86_ES; i <= X86_GS; i++)
        fake_set(NULL, X86_SEG_SEL + i, i == X86_CS ? 8 : 16);
    fake_vcpu.regs.pc = 0x5000;
    fake_vcpu.regs.flags = 0x246;
    put32(TSS2 + 0x20, 0x6000);
    put32(TSS2 + 0x24, 0x202);
    put32(TSS2 + 0x38, STACK);
    for (unsigned i = 0; i < 6; i++)
        put32(TSS2 + 0x48 + 4 * i, i == X86_CS ? 8 : i < 4 ? 16 : 0);
}

static void paging(unsigned tables)
{
    for (unsigned i = 0; i < 1024; i++) {
        put32(0x9000 + 4 * i, i << 12 | 7);
        put32(0xa000 + 4 * i, 0x9000 | 7);
    }
    fake_set(NULL, X86_CR4, 0);
    fake_set(NULL, X86_CR3, tables & 1 ? 0xa000 : tables << 8);
    put32(TSS2 + 0x1c, 0xa000);
    put32(TSS1 + 0x1c, 0xa000);
    fake_set(NULL, X86_CR0, CR0_PE | CR0_ET | CR0_PG);
}

static uint64_t reg(uint32_t id)
{
    uint64_t v;

    (void)fake_get(NULL, id, &v);
    return v;
}

/* Intel SDM vol 3 §26.3.1.2: what makes an entry fail, of what a switch loads. */
static void check(void)
{
    unsigned cs = (unsigned)reg(X86_SEG_ATTR + X86_CS), ss = (unsigned)reg(X86_SEG_ATTR + X86_SS),
             tr = (unsigned)reg(X86_SEG_ATTR + X86_TR);

    if ((tr & 0x97) != 0x83)
        abort();
    if (fake_vcpu.regs.flags & FLAGS_VM ? cs != 0xf3 : (cs & 0x99) != 0x99 || (ss & 0x93) != 0x93)
        abort();
    if (!(fake_vcpu.regs.flags & FLAGS_VM) && (cs >> 5 & 3) > (ss >> 5 & 3))
        abort();
}

static void one(const uint8_t *op)
{
    static const struct vcpu_event events[] = {
        { .type = VEV_NONE },
        { .type = VEV_EXCEPTION, .vector = X86_GP, .has_error = true, .error = 0x1234 },
        { .type = VEV_IRQ, .vector = 0x40 },
        { .type = VEV_EXCEPTION, .vector = X86_DB },
    };
    struct vcpu_exit e = { .reason = EXIT_TASK,
                           .insn_len = op[1] & 15,
                           .isa = { (uint16_t)(op[2] << 3 | (op[1] >> 4 & 7)), op[3] & 3 } };
    static const unsigned at[] = { GDT, TSS2, TSS1, LDT, 0x9000, 0xa000 };
    uint16_t half = (uint16_t)(op[3] | op[4] << 8);

    switch (op[0] % 5) {
    case 0:
    case 1:
        fake_vcpu.event = events[op[3] >> 2 & 3];
        if (x86_task_switch(&fake_vcpu, &e))
            abort();
        check();
        break;
    case 2: memcpy(ram + at[op[1] % ARRAY_SIZE(at)] + (op[2] & 0x7f), &half, 2); break;
    case 3: paging(op[1]); break;
    default:
        fake_set(NULL, op[1] & 1 ? X86_GDTR_LIMIT : X86_SEG_LIMIT + X86_TR,
                 op[1] & 2 ? half : op[2]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!ram)
        ram = malloc(RAM);
    start();
    for (unsigned n = 0; n < OPS && size >= 5; n++, data += 5, size -= 5)
        one(data);
    return 0;
}
