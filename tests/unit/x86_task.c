/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hardware task switches: CALL and IRET there and back, gates with error codes, what every fault
 * leaves behind, and garbage.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/x86_fake.h"

enum {
    GDT = 0x1000,
    TSS1 = 0x2000,
    TSS2 = 0x3000,
    CODE = 0x08,
    DATA = 0x10,
    SEL1 = 0x18,
    SEL2 = 0x20,
    LDT = 0x28,
    USER = 0x30,
    READ_ONLY = 0x38,
    ABSENT = 0x40,
    STACK = 0x8000,
    GDT_LEN = 0x48
};
static uint8_t ram[0x10000];

static uint8_t *fake_ram(uint64_t a, uint64_t len)
{
    return range_within(a, len, 0, sizeof ram) ? ram + a : NULL;
}
static void fake_device(struct io_access *io) { (void)io; }
static void fake_port(struct io_access *io) { (void)io; }

static void put(uint32_t at, uint32_t val, unsigned len) { memcpy(ram + at, &val, len); }
static uint32_t get(uint32_t at, unsigned len)
{
    uint32_t val = 0;

    memcpy(&val, ram + at, len);
    return val;
}

static void descriptor(unsigned sel, uint32_t base, uint32_t limit, unsigned attr)
{
    uint64_t d = (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
                 (uint64_t)(attr & 0xff) << 40 | (uint64_t)(limit >> 16 & 15) << 48 |
                 (uint64_t)(attr >> 8) << 52 | (uint64_t)(base >> 24) << 56;

    memcpy(ram + GDT + sel, &d, 8);
}

static void new_task(uint32_t pc, uint32_t cs, uint32_t ss)
{
    put(TSS2 + 0x20, pc, 4);
    put(TSS2 + 0x24, 0x202, 4);
    put(TSS2 + 0x28, 0xaaaa, 4);
    put(TSS2 + 0x38, STACK, 4);
    for (unsigned i = 0; i < 6; i++)
        put(TSS2 + 0x48 + 4 * i, i == X86_CS ? cs : i == X86_SS ? ss : i < 4 ? DATA : 0, 4);
}

static int setup(void **state)
{
    (void)state;
    percpus[0].self = &percpus[0];
    fake_reset();
    fake_mode(32);
    memset(ram, 0, sizeof ram);
    fake_machine.cr4_mask = ~0ull;
    descriptor(CODE, 0, 0xfffff, 0xc9b);
    descriptor(DATA, 0, 0xfffff, 0xc93);
    descriptor(SEL1, TSS1, 0x67, 0x8b);
    descriptor(SEL2, TSS2, 0x67, 0x89);
    descriptor(USER, 0, 0xfffff, 0xcf3);
    descriptor(READ_ONLY, 0, 0xfffff, 0xc91);
    descriptor(ABSENT, 0, 0xfffff, 0xc13);
    fake_set(NULL, X86_GDTR_BASE, GDT);
    fake_set(NULL, X86_GDTR_LIMIT, GDT_LEN - 1);
    x86_set_segment(&fake_vcpu, X86_TR, (struct x86_segment){ SEL1, TSS1, 0x67, 0x8b });
    for (unsigned i = X86_ES; i <= X86_GS; i++)
        fake_set(NULL, X86_SEG_SEL + i, i == X86_CS ? CODE : DATA);
    fake_vcpu.regs.pc = 0x5000;
    fake_vcpu.regs.flags = 0x246;
    fake_vcpu.regs.gpr[X86_RAX] = 0x1111;
    new_task(0x6000, CODE, DATA);
    return 0;
}

static void go(enum task_how how, uint16_t sel, uint8_t len)
{
    struct vcpu_exit e = { .reason = EXIT_TASK, .insn_len = len, .isa = { sel, how } };

    assert_int_equal(x86_task_switch(&fake_vcpu, &e), 0);
}

static uint64_t sysreg(uint32_t id)
{
    uint64_t val;

    (void)fake_get(NULL, id, &val);
    return val;
}

static void expect_fault(unsigned vector, uint32_t error, uint64_t pc)
{
    assert_int_equal(fake_vcpu.event.type, VEV_EXCEPTION);
    assert_int_equal(fake_vcpu.event.vector, vector);
    assert_int_equal(fake_vcpu.event.error, error);
    assert_int_equal(fake_vcpu.regs.pc, pc);
}

static void test_call_and_return(void **state)
{
    (void)state;
    fake_set(NULL, X86_DR7, 0x7ff);
    go(TASK_CALL, SEL2, 7);
    assert_int_equal(fake_vcpu.event.type, VEV_NONE);
    assert_int_equal(fake_vcpu.regs.pc, 0x6000);
    assert_int_equal(fake_vcpu.regs.flags, 0x4202); /* NT */
    assert_int_equal(fake_vcpu.regs.gpr[X86_RAX], 0xaaaa);
    assert_int_equal(sysreg(X86_SEG_SEL + X86_TR), SEL2);
    assert_int_equal(sysreg(X86_CR0) & CR0_TS, CR0_TS);
    assert_int_equal(sysreg(X86_DR7), 0x7ff & ~0x155);
    assert_int_equal(get(TSS2, 2), SEL1);
    assert_int_equal(get(TSS1 + 0x20, 4), 0x5007);
    assert_int_equal(get(TSS1 + 0x24, 4), 0x246);
    assert_int_equal(get(TSS1 + 0x28, 4), 0x1111);
    assert_int_equal(ram[GDT + SEL1 + 5] & 2, 2); /* both busy */
    assert_int_equal(ram[GDT + SEL2 + 5] & 2, 2);
    go(TASK_IRET, SEL1, 1);
    assert_int_equal(fake_vcpu.regs.pc, 0x5007);
    assert_int_equal(fake_vcpu.regs.gpr[X86_RAX], 0x1111);
    assert_int_equal(get(TSS2 + 0x24, 4) & 0x4000, 0); /* saved without NT */
    assert_int_equal(ram[GDT + SEL2 + 5] & 2, 0);
    assert_int_equal(fake_vcpu.regs.gpr[X86_RSP], 0);
}

static void test_jump_and_page_tables(void **state)
{
    (void)state;
    put(TSS2 + 0x1c, 0xf000, 4);
    go(TASK_JMP, SEL2, 7);
    assert_int_equal(fake_vcpu.regs.flags, 0x202);
    assert_int_equal(ram[GDT + SEL1 + 5] & 2, 0);
    assert_int_equal(sysreg(X86_CR3), 0); /* no paging: CR3 stays */
    assert_int_equal(get(TSS2, 2), 0);
}

static void test_gate_pushes_the_error_code(void **state)
{
    (void)state;
    fake_vcpu.event = (struct vcpu_event){
        .type = VEV_EXCEPTION, .vector = X86_GP, .has_error = true, .error = 0x1234
    };
    go(TASK_GATE, SEL2, 0);
    assert_int_equal(fake_vcpu.event.type, VEV_NONE);
    assert_int_equal(fake_vcpu.regs.gpr[X86_RSP], STACK - 4);
    assert_int_equal(get(STACK - 4, 4), 0x1234);
    /* RF: the instruction runs again */
    assert_int_equal(get(TSS1 + 0x24, 4), 0x10246);
    assert_int_equal(get(TSS1 + 0x20, 4), 0x5000);
}

static void test_16_bit_task(void **state)
{
    (void)state;
    descriptor(SEL2, TSS2, 0x2b, 0x81);
    put(TSS2 + 0x0e, 0x6000, 2);
    put(TSS2 + 0x10, 0x202, 2);
    put(TSS2 + 0x22, DATA, 2), put(TSS2 + 0x24, CODE, 2), put(TSS2 + 0x26, DATA, 2),
        put(TSS2 + 0x28, DATA, 2), put(TSS2 + 0x2a, 0, 2);
    go(TASK_CALL, SEL2, 5);
    assert_int_equal(fake_vcpu.event.type, VEV_NONE);
    assert_int_equal(fake_vcpu.regs.pc, 0x6000);
    fake_vcpu.regs.pc = 0x6001;
    go(TASK_IRET, SEL1, 1);
    assert_int_equal(get(TSS2 + 0x0e, 2), 0x6002);
    assert_int_equal(fake_vcpu.regs.pc, 0x5005);
}

static void test_virtual_8086_task(void **state)
{
    (void)state;
    put(TSS2 + 0x24, 0x20202, 4);
    put(TSS2 + 0x4c, 0x1234, 4);
    go(TASK_CALL, SEL2, 7);
    assert_int_equal(sysreg(X86_SEG_BASE + X86_CS), 0x12340);
    assert_int_equal(sysreg(X86_SEG_ATTR + X86_CS), 0xf3);
}

/* Faults of the old task change nothing. */
static void test_faults_before(void **state)
{
    static const struct {
        enum task_how how;
        uint16_t sel;
        uint32_t limit;
        unsigned attr;
        unsigned vector;
    } rows[] = {
        { TASK_CALL, SEL2, 0x67, 0x8b, X86_GP },     { TASK_IRET, SEL2, 0x67, 0x89, X86_TS },
        { TASK_JMP, SEL2, 0x67, 0x09, X86_NP },      { TASK_CALL, SEL2, 0x66, 0x89, X86_TS },
        { TASK_CALL, SEL2 | 4, 0x67, 0x89, X86_GP }, { TASK_IRET, 0x100, 0x67, 0x89, X86_TS },
        { TASK_IRET, 0, 0x67, 0x89, X86_TS },        { TASK_JMP, SEL2, 0x67, 0x82, X86_GP },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        setup(state);
        descriptor(SEL2, TSS2, rows[i].limit, rows[i].attr);
        go(rows[i].how, rows[i].sel, 7);
        expect_fault(rows[i].vector, rows[i].sel & ~3u, 0x5000);
        assert_int_equal(sysreg(X86_SEG_SEL + X86_TR), SEL1);
        assert_int_equal(ram[GDT + SEL1 + 5] & 2, 2);
    }
}

/* Faults of the new task come where it would have begun. */
static void test_faults_after(void **state)
{
    static const struct {
        uint32_t at, val, vector, error;
    } rows[] = {
        { 0x4c, 0, X86_TS, 0 },
        { 0x4c, DATA, X86_TS, DATA },
        { 0x4c, CODE | 3, X86_TS, CODE },
        { 0x50, 0, X86_TS, 0 },
        { 0x50, CODE, X86_TS, CODE },
        { 0x50, USER | 3, X86_TS, USER },
        { 0x54, 0x200, X86_TS, 0x200 },
        { 0x60, DATA, X86_TS, DATA },
        { 0x60, 4, X86_TS, 4 },
        { 0x5c, SEL1, X86_TS, SEL1 },
        { 0x50, READ_ONLY, X86_TS, READ_ONLY },
        { 0x50, ABSENT, X86_SS_FAULT, ABSENT },
        { 0x54, ABSENT, X86_NP, ABSENT },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        setup(state);
        put(TSS2 + rows[i].at, rows[i].val, 4);
        go(TASK_CALL, SEL2, 7);
        expect_fault(rows[i].vector, rows[i].error, 0x6000);
        assert_int_equal(sysreg(X86_SEG_SEL + X86_TR), SEL2);
        /* something that an engine accepts */
        assert_int_equal(sysreg(X86_SEG_ATTR + X86_CS) & 0x9b, 0x9b);
    }
}

static void test_fault_on_the_way_of_a_fault(void **state)
{
    (void)state;
    fake_vcpu.event =
        (struct vcpu_event){ .type = VEV_EXCEPTION, .vector = X86_GP, .has_error = true };
    go(TASK_GATE, 0x100, 0);
    assert_int_equal(fake_vcpu.event.vector, X86_DF);
    go(TASK_GATE, 0x100, 0);
    /* the double fault's gate is no better */
    assert_int_equal(fake_resets, 1);
    setup(state);
    fake_vcpu.event = (struct vcpu_event){ .type = VEV_IRQ, .vector = 0x40 };
    go(TASK_GATE, 0x100, 0);
    expect_fault(X86_TS, 0x101, 0x5000); /* EXT */
}

static void test_trap_bit(void **state)
{
    (void)state;
    put(TSS2 + 0x64, 1, 2);
    go(TASK_CALL, SEL2, 7);
    assert_int_equal(fake_vcpu.event.vector, X86_DB);
    assert_int_equal(sysreg(X86_DR6) & 0x8000, 0x8000);
}

/* Tables full of garbage: no access outside RAM, no endless loop, an answer always. */
static void test_garbage(void **state)
{
    uint32_t seed = 1;

    for (unsigned round = 0; round < 20000; round++) {
        setup(state);
        fake_set(NULL, X86_CR0, CR0_PE | CR0_ET | (round & 1 ? (uint64_t)CR0_PG : 0));
        fake_set(NULL, X86_CR3, round & 0xf000);
        for (unsigned n = 0; n < 24; n++) {
            seed = seed * 1664525 + 1013904223;
            ram[(n & 1 ? (unsigned)GDT : (unsigned)TSS2) + (seed >> 16) % 0x68] ^=
                (uint8_t)(seed >> 8);
        }
        go(seed >> 20 & 3, (uint16_t)(seed >> 12 & 0x3f), seed >> 30);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_call_and_return, setup),
        cmocka_unit_test_setup(test_jump_and_page_tables, setup),
        cmocka_unit_test_setup(test_gate_pushes_the_error_code, setup),
        cmocka_unit_test_setup(test_16_bit_task, setup),
        cmocka_unit_test_setup(test_virtual_8086_task, setup),
        cmocka_unit_test_setup(test_faults_before, setup),
        cmocka_unit_test_setup(test_faults_after, setup),
        cmocka_unit_test_setup(test_fault_on_the_way_of_a_fault, setup),
        cmocka_unit_test_setup(test_trap_bit, setup),
        cmocka_unit_test_setup(test_garbage, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
