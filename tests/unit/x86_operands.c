/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions that load and store segments and system registers, far branches and stack frames,
 * with their operand or their stack in a device: what each changes, and every fault that the
 * manuals name. APM vol 3; vol 2 section 4.8.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/x86_fake.h"

enum { GDT = 0x1000, PC = 0x2000, STACK = 0x8000, DEVICE = 0x20000, RAM = 0x10000 };
enum {
    CODE = 0x08,
    DATA = 0x10,
    TSS = 0x18,
    LDT = 0x28,
    USER = 0x38,
    READ_ONLY = 0x40,
    ABSENT = 0x48,
    BUSY = 0x50,
    CONFORM = 0x60,
    GATE = 0x68,
    NO_CODE = 0x70,
    GDT_LEN = 0x78
};
static uint8_t ram[RAM], device[64];

static uint8_t *fake_ram(uint64_t a, uint64_t len)
{
    return range_within(a, len, 0, RAM) ? ram + a : NULL;
}
static void fake_port(struct io_access *io) { (void)io; }
static void fake_device(struct io_access *io)
{
    assert_true(range_within(io->addr, io->size, DEVICE, sizeof device));
    if (io->write)
        memcpy(device + (io->addr - DEVICE), &io->val, io->size);
    else
        io->val = 0, memcpy(&io->val, device + (io->addr - DEVICE), io->size);
}

static void descriptor(unsigned sel, uint32_t base, uint32_t limit, unsigned attr)
{
    uint64_t d = (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
                 (uint64_t)(attr & 0xff) << 40 | (uint64_t)(limit >> 16 & 15) << 48 |
                 (uint64_t)(attr >> 8) << 52 | (uint64_t)(base >> 24) << 56;

    memcpy(ram + GDT + sel, &d, 8);
}

static void tables(unsigned bits)
{
    descriptor(CODE, 0, 0xfffff, bits == 64 ? 0xa9a : 0xc9a);
    descriptor(DATA, 0x5000, 0xfffff, 0xc92);
    descriptor(TSS, 0x6000, 0x67, 0x89);
    descriptor(LDT, 0x7000, 0xff, 0x82);
    descriptor(USER, 0, 0xfffff, 0xcfa);
    descriptor(READ_ONLY, 0, 0xfffff, 0xc90);
    descriptor(ABSENT, 0, 0xfffff, 0xc12);
    descriptor(BUSY, 0, 0x67, 0x8b);
    descriptor(CONFORM, 0, 0xfffff, bits == 64 ? 0xa9e : 0xc9e);
    descriptor(GATE, 0, 0, 0x8c);
    descriptor(NO_CODE, 0, 0xfffff, 0xc1a);
    fake_set(NULL, X86_GDTR_BASE, GDT);
    fake_set(NULL, X86_GDTR_LIMIT, GDT_LEN - 1);
}

/* The instruction at PC, RBX at the device, RSP in RAM. */
static void at(unsigned bits, const void *insn, unsigned len)
{
    fake_reset();
    fake_mode(bits);
    memset(ram, 0, sizeof ram);
    for (unsigned i = 0; i < sizeof device; i++)
        device[i] = (uint8_t)(0x11 + i);
    tables(bits);
    memcpy(ram + PC, insn, len);
    fake_vcpu.regs.pc = PC;
    fake_vcpu.regs.flags = FLAGS_FIXED;
    fake_vcpu.regs.gpr[X86_RBX] = bits == 16 ? 0 : DEVICE;
    fake_set(NULL, X86_SEG_BASE + X86_DS, bits == 16 ? DEVICE : 0);
    fake_vcpu.regs.gpr[X86_RSP] = STACK;
    fake_vm.gmem = (struct gmem){ .hole_at = DEVICE, .hole_len = PAGE_SIZE };
}

static void emulate(void)
{
    struct vcpu_exit e = { .reason = EXIT_MEM, .mem = { .gpa = gpa(0xffff), .prot = PROT_R } };

    assert_int_equal(x86_emulate(&fake_vcpu, &e), 0);
}

static void operand(uint64_t val, unsigned len) { memcpy(device, &val, len); }
static uint64_t reg(uint32_t id) { return x86_get(&fake_vcpu, id); }
static uint64_t stack(uint64_t a)
{
    uint64_t val;

    memcpy(&val, ram + a, 8);
    return val;
}

static void done(unsigned len)
{
    if (fake_vcpu.event.type != VEV_NONE)
        fail_msg("fault %u (%x)", fake_vcpu.event.vector, fake_vcpu.event.error);
    assert_int_equal(fake_vcpu.regs.pc, PC + len);
}

static void faulted(unsigned vector, uint32_t error)
{
    assert_int_equal(fake_vcpu.event.type, VEV_EXCEPTION);
    assert_int_equal(fake_vcpu.event.vector, vector);
    assert_int_equal(fake_vcpu.event.error, error);
    assert_int_equal(fake_vcpu.regs.pc, PC);
}

/* ---- storing ---- */

static void test_store(void **state)
{
    (void)state;
    at(64, "\x0f\x01\x23", 3); /* smsw [rbx]: 16 bits, whatever the prefixes */
    emulate();
    done(3);
    assert_int_equal(device[0] | device[1] << 8, CR0_PE | CR0_ET);
    assert_int_equal(device[2], 0x13);
    at(64, "\x48\x8c\x1b", 3); /* mov [rbx], ds with REX.W */
    fake_set(NULL, X86_SEG_SEL + X86_DS, 0xabcd);
    emulate();
    done(3);
    assert_int_equal(device[0] | device[1] << 8, 0xabcd);
    assert_int_equal(device[2], 0x13);
    at(64, "\x0f\x00\x0b", 3); /* str [rbx] */
    fake_set(NULL, X86_SEG_SEL + X86_TR, 0x18);
    emulate();
    done(3);
    assert_int_equal(device[0], 0x18);
    at(64, "\x0f\x00\x03", 3); /* sldt [rbx] from a program, with UMIP */
    fake_set(NULL, X86_CR4, CR4_PAE | CR4_UMIP);
    fake_set(NULL, X86_CPL, 3);
    emulate();
    faulted(X86_GP, 0);
}

/* ---- segment registers ---- */

static void load(unsigned bits, const char *insn, unsigned len, uint16_t sel, unsigned cpl)
{
    at(bits, insn, len);
    fake_set(NULL, X86_CPL, cpl);
    operand(sel, 2);
    emulate();
}

#define MOV_DS "\x8e\x1b", 2
#define MOV_SS "\x8e\x13", 2
#define MOV_ES "\x8e\x03", 2

static void test_load_data(void **state)
{
    (void)state;
    load(32, MOV_DS, DATA, 0);
    done(2);
    assert_int_equal(reg(X86_SEG_SEL + X86_DS), DATA);
    assert_int_equal(reg(X86_SEG_BASE + X86_DS), 0x5000);
    assert_int_equal(reg(X86_SEG_LIMIT + X86_DS), UINT32_MAX);
    assert_int_equal(reg(X86_SEG_ATTR + X86_DS), 0xc93);
    assert_int_equal(ram[GDT + DATA + 5], 0x93); /* accessed, in the table too */
    load(32, MOV_ES, 0, 0);
    done(2);
    assert_int_equal(reg(X86_SEG_ATTR + X86_ES), 0);
    load(32, MOV_DS, ABSENT, 0), faulted(X86_NP, ABSENT);
    load(32, MOV_DS, TSS, 0), faulted(X86_GP, TSS);
    load(32, MOV_DS, GDT_LEN, 0), faulted(X86_GP, GDT_LEN);
    load(32, MOV_DS, DATA | 3, 3), faulted(X86_GP, DATA);
    load(32, MOV_DS, DATA | 4, 0), faulted(X86_GP, DATA | 4); /* there is no LDT */
    load(32, MOV_DS, CONFORM | 3, 3), done(2); /* readable code that conforms: any level */
    load(16, "\x8e\x1f", 2, 0x1234, 0);        /* mov ds, [bx] */
    done(2);
    assert_int_equal(reg(X86_SEG_BASE + X86_DS), 0x12340);
}

static void test_load_ss(void **state)
{
    (void)state;
    load(32, MOV_SS, DATA, 0);
    done(2);
    assert_int_equal(reg(X86_SEG_ATTR + X86_SS), 0xc93);
    assert_int_equal(reg(X86_INT_SHADOW), 1);
    load(32, MOV_DS, DATA, 0);
    assert_int_equal(reg(X86_INT_SHADOW), 0);
    load(32, MOV_SS, 0, 0), faulted(X86_GP, 0);
    load(64, MOV_SS, 0, 0), done(2);
    load(64, MOV_SS, 3, 3), faulted(X86_GP, 0);
    load(32, MOV_SS, READ_ONLY, 0), faulted(X86_GP, READ_ONLY);
    load(32, MOV_SS, CODE, 0), faulted(X86_GP, CODE);
    load(32, MOV_SS, ABSENT, 0), faulted(X86_SS_FAULT, ABSENT);
    load(32, MOV_SS, DATA | 1, 0), faulted(X86_GP, DATA);
    load(32, "\x8e\x0b", 2, DATA, 0), faulted(X86_UD, 0); /* mov cs, [ebx] */
}

static void test_load_system(void **state)
{
    (void)state;
    load(32, "\x0f\x00\x1b", 3, TSS, 0); /* ltr [ebx] */
    done(3);
    assert_int_equal(reg(X86_SEG_BASE + X86_TR), 0x6000);
    assert_int_equal(reg(X86_SEG_ATTR + X86_TR), 0x8b);
    assert_int_equal(ram[GDT + TSS + 5], 0x8b); /* busy */
    at(64, "\x0f\x00\x1b", 3);
    operand(TSS, 2);
    ram[GDT + TSS + 8] = 0x77; /* the base's upper half */
    emulate();
    done(3);
    assert_int_equal(reg(X86_SEG_BASE + X86_TR), 0x7700006000);
    load(32, "\x0f\x00\x1b", 3, BUSY, 0), faulted(X86_GP, BUSY);
    load(32, "\x0f\x00\x1b", 3, 0, 0), faulted(X86_GP, 0);
    load(32, "\x0f\x00\x1b", 3, TSS, 3), faulted(X86_GP, 0);
    load(16, "\x0f\x00\x1f", 3, TSS, 0), faulted(X86_UD, 0); /* ltr [bx] in real mode */
    load(32, "\x0f\x00\x13", 3, LDT, 0);                     /* lldt [ebx] */
    done(3);
    assert_int_equal(reg(X86_SEG_BASE + X86_LDTR), 0x7000);
    load(32, "\x0f\x00\x13", 3, TSS, 0), faulted(X86_GP, TSS);
}

/* ---- far branches ---- */

static void far(unsigned bits, const char *insn, unsigned len, uint64_t off, unsigned width,
                uint16_t sel)
{
    at(bits, insn, len);
    operand(off, width);
    memcpy(device + width, &sel, 2);
    emulate();
}

static void test_far(void **state)
{
    (void)state;
    far(32, "\xff\x2b", 2, 0x3456, 4, CODE); /* jmp far [ebx] */
    assert_int_equal(fake_vcpu.event.type, VEV_NONE);
    assert_int_equal(fake_vcpu.regs.pc, 0x3456);
    assert_int_equal(reg(X86_SEG_SEL + X86_CS), CODE);
    assert_int_equal(reg(X86_SEG_ATTR + X86_CS), 0xc9b);
    assert_int_equal(ram[GDT + CODE + 5], 0x9b);
    at(32, "\xff\x1b", 2); /* call far [ebx] */
    operand(0x3456 | (uint64_t)CODE << 32, 6);
    fake_set(NULL, X86_SEG_SEL + X86_CS, 0x77);
    emulate();
    assert_int_equal(fake_vcpu.regs.pc, 0x3456);
    assert_int_equal(fake_vcpu.regs.gpr[X86_RSP], STACK - 8);
    assert_int_equal(stack(STACK - 8), (PC + 2) | 0x77ull << 32);
    far(64, "\x48\xff\x2b", 3, 0x123456789a, 8, CODE); /* 64-bit offset */
    assert_int_equal(fake_vcpu.regs.pc, 0x123456789a);
    far(16, "\xff\x2f", 2, 0x44, 2, 0x1230); /* jmp far [bx], real mode */
    assert_int_equal(fake_vcpu.regs.pc, 0x44);
    assert_int_equal(reg(X86_SEG_BASE + X86_CS), 0x12300);
    far(64, "\x48\xff\x2b", 3, 1ull << 60, 8, CODE), faulted(X86_GP, 0);
    far(32, "\xff\x2b", 2, 0x3456, 4, 0), faulted(X86_GP, 0);
    far(32, "\xff\x2b", 2, 0x3456, 4, DATA), faulted(X86_GP, DATA);
    far(32, "\xff\x2b", 2, 0x3456, 4, USER | 3), faulted(X86_GP, USER);
    far(32, "\xff\x2b", 2, 0x3456, 4, NO_CODE), faulted(X86_NP, NO_CODE);
    far(32, "\xff\x2b", 2, 0x3456, 4, GATE), faulted(X86_UD, 0); /* gates are not emulated */
}

static void test_far_call_fault(void **state)
{
    (void)state;
    at(32, "\xff\x1b", 2); /* the second push has no room: nothing moves */
    operand(0x3456 | (uint64_t)CODE << 32, 6);
    fake_set(NULL, X86_SEG_LIMIT + X86_SS, STACK);
    fake_set(NULL, X86_SEG_ATTR + X86_SS, 0xc97); /* expands down: valid above its limit */
    fake_vcpu.regs.gpr[X86_RSP] = STACK + 6;
    emulate();
    faulted(X86_SS_FAULT, 0);
    assert_int_equal(fake_vcpu.regs.gpr[X86_RSP], STACK + 6);
    assert_int_equal(reg(X86_SEG_SEL + X86_CS), 0);
}

/* ---- stack frames ---- */

static void test_leave(void **state)
{
    (void)state;
    at(64, "\xc9", 1); /* leave, the frame in the device */
    fake_vcpu.regs.gpr[X86_RBP] = DEVICE + 8;
    emulate();
    done(1);
    assert_int_equal(fake_vcpu.regs.gpr[X86_RSP], DEVICE + 16);
    assert_int_equal(fake_vcpu.regs.gpr[X86_RBP], 0x201f1e1d1c1b1a19);
    at(64, "\xc9", 1);
    fake_vcpu.regs.gpr[X86_RBP] = 1ull << 60;
    emulate();
    faulted(X86_SS_FAULT, 0);
    assert_int_equal(fake_vcpu.regs.gpr[X86_RSP], STACK);
}

static void test_enter(void **state)
{
    (void)state;
    at(64, "\xc8\x20\x00\x00", 4); /* enter 32, 0 onto the device */
    fake_vcpu.regs.gpr[X86_RSP] = DEVICE + 16;
    fake_vcpu.regs.gpr[X86_RBP] = 0x1122334455667788;
    emulate();
    done(4);
    assert_int_equal(device[8], 0x88);
    assert_int_equal(fake_vcpu.regs.gpr[X86_RBP], DEVICE + 8);
    assert_int_equal(fake_vcpu.regs.gpr[X86_RSP], DEVICE + 8 - 32);
    at(64, "\xc8\x10\x00\x03", 4); /* three levels: two frame pointers are copied from the device */
    fake_vcpu.regs.gpr[X86_RBP] = DEVICE + 16;
    emulate();
    done(4);
    assert_int_equal(stack(STACK - 8), DEVICE + 16);
    assert_int_equal(stack(STACK - 16), 0x201f1e1d1c1b1a19);
    assert_int_equal(stack(STACK - 24), 0x1817161514131211);
    assert_int_equal(stack(STACK - 32), STACK - 8);
    assert_int_equal(fake_vcpu.regs.gpr[X86_RBP], STACK - 8);
    assert_int_equal(fake_vcpu.regs.gpr[X86_RSP], STACK - 32 - 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store),   cmocka_unit_test(test_load_data),
        cmocka_unit_test(test_load_ss), cmocka_unit_test(test_load_system),
        cmocka_unit_test(test_far),     cmocka_unit_test(test_far_call_fault),
        cmocka_unit_test(test_leave),   cmocka_unit_test(test_enter),
    };

    percpus[0].self = &percpus[0];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
