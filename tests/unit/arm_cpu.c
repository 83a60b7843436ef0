/* SPDX-License-Identifier: BSD-2-Clause */
/* Exceptions and the stage-1 walk of ARM64 guests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "arm_machine.h"

static struct vcpu *v;

static int setup(void **state)
{
    (void)state;
    fake_start(1);
    fake_machine();
    v = &fake_vcpu[0];
    set_sysreg(0, ARM_VBAR_EL1, 0xffff800000010000);
    set_sysreg(0, ARM_SCTLR_EL1, SCTLR_SPAN | SCTLR_M);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_stop();
    return 0;
}

/* ---- exceptions ---- */

static void take(uint64_t pstate, uint64_t vector, uint64_t after)
{
    v->regs.pc = 0x1234;
    v->regs.flags = pstate;
    arm_raise_sync(v, 0x96000010, 0xabc);
    assert_int_equal(v->regs.pc, 0xffff800000010000 + vector);
    assert_int_equal(v->regs.flags, after);
    assert_int_equal(sysreg(0, ARM_SPSR_EL1), pstate);
    assert_int_equal(sysreg(0, ARM_ELR_EL1), 0x1234);
    assert_int_equal(sysreg(0, ARM_ESR_EL1), 0x96000010);
    assert_int_equal(sysreg(0, ARM_FAR_EL1), 0xabc);
}

static void test_vectors(void **state)
{
    (void)state;
    take(0xa0000005, 0x200, 0xa00003c5); /* EL1h; N and C stay */
    take(0x60000004, 0x000, 0x600003c5); /* EL1t */
    take(0x80000000, 0x400, 0x800003c5); /* EL0, AArch64 */
    take(0x600f0030, 0x600, 0x600003c5); /* EL0, AArch32, Thumb, GE */
    take(0x80000000 | PSTATE_SS | PSTATE_IL | PSTATE_BTYPE | PSTATE_UAO | PSTATE_SSBS, 0x400,
         0x800003c5);
    take(0x5 | PSTATE_DIT, 0x200, 0x3c5 | PSTATE_DIT);
    take(0x5 | PSTATE_PAN, 0x200, 0x3c5 | PSTATE_PAN);
}

static void test_pan_and_ssbs(void **state)
{
    (void)state;
    set_sysreg(0, ARM_SCTLR_EL1, SCTLR_M | SCTLR_DSSBS); /* SPAN 0, but no FEAT_PAN */
    take(0x5, 0x200, 0x3c5 | PSTATE_SSBS);
    set_sysreg(0, ARM_SYSREG(3, 0, 0, 7, 1), 1 << 20);
    take(0x5, 0x200, 0x3c5 | PSTATE_SSBS | PSTATE_PAN);
}

static void test_others(void **state)
{
    (void)state;
    set_sysreg(0, ARM_FAR_EL1, 0x77);
    v->regs.flags = PSTATE_RESET;
    arm_raise_undefined(v);
    assert_int_equal(sysreg(0, ARM_ESR_EL1), 0x02000000);
    assert_int_equal(sysreg(0, ARM_FAR_EL1), 0x77);
    arm_raise_serror(v, 0x1ff0000ff);
    assert_int_equal(sysreg(0, ARM_VSESR_EL2), 0x10000ff);
    v->regs.flags = 0;
    arm_raise_abort(v, ISS_CM, 0x1000, false, true, 0x07); /* 16-bit T32: IL 0 */
    assert_int_equal(sysreg(0, ARM_ESR_EL1), 0x24ull << 26 | ISS_CM | ISS_WNR | 7);
    v->regs.flags = 0;
    arm_raise_abort(v, ISS_CM, 0x1000, true, true, 0x10);
    assert_int_equal(sysreg(0, ARM_ESR_EL1), 0x20ull << 26 | ESR_IL | 0x10);
}

/* ---- the walk ---- */

static void put(uint64_t at, uint64_t d)
{
    assert_int_equal(gmem_write(&fake_vm, gpa(at), &d, 8), 0);
}

#define T0 (PLAT_RAM + 0x100000)
#define LEAF 0x403ull /* AF, page or table */
#define BLOCK 0x401ull
static const struct arm_access_kind rd, wr = { .write = true }, rd0 = { .el0 = true },
                                        wr0 = { .write = true, .el0 = true }, ex = { .exec = true };

static void ok(uint64_t va, struct arm_access_kind kind, uint64_t want)
{
    unsigned fsc = 0;
    uint64_t pa = 0;

    if (arm_walk(v, va, kind, &pa, &fsc))
        fail_msg("%llx: fault %x", (unsigned long long)va, fsc);
    assert_int_equal(pa, want);
}

static void fault(uint64_t va, struct arm_access_kind kind, unsigned want)
{
    unsigned fsc = 0;
    uint64_t pa;

    assert_int_equal(arm_walk(v, va, kind, &pa, &fsc), -EFAULT);
    assert_int_equal(fsc, want);
}

static void test_walk_off(void **state)
{
    (void)state;
    set_sysreg(0, ARM_SCTLR_EL1, 0);
    ok(0x12345, rd, 0x12345);
    set_sysreg(0, ARM_TCR_EL1, 1ull << 37);
    ok(0xff00000000012345, rd, 0x12345);
}

static void test_walk_4k(void **state)
{
    (void)state;
    set_sysreg(0, ARM_TCR_EL1, 16 | 16 << 16 | 2u << 30); /* 48 bits, 4 KiB granules */
    set_sysreg(0, ARM_TTBR0_EL1, T0 | 1 | 5ull << 48);    /* CnP, ASID 5 */
    set_sysreg(0, ARM_TTBR1_EL1, T0 + 0x1000);
    put(T0, (T0 + 0x2000) | 3), put(T0 + 0x1000 + 8 * 256, (T0 + 0x2000) | 3);
    put(T0 + 0x2000, (T0 + 0x3000) | 3), put(T0 + 0x2008, 0x80000000 | BLOCK);
    put(T0 + 0x3000, (T0 + 0x4000) | 3), put(T0 + 0x3008, 0x90200000 | BLOCK);
    put(T0 + 0x4000, 0xa0000000 | LEAF), put(T0 + 0x4008, 0xa0001000 | LEAF | 1 << 6),
        put(T0 + 0x4010, 0xa0002000 | LEAF | 1 << 7);
    put(T0 + 0x4018, 0xa0003000 | 3), put(T0 + 0x4020, 0xa0004000 | 0x401),
        put(T0 + 0x4028, 0xa0005000 | LEAF | 3 << 6);
    ok(0x123, wr, 0xa0000123);
    ok(0x40012345, wr, 0x80012345);         /* 1 GiB */
    ok(0x212345, wr, 0x90212345);           /* 2 MiB */
    ok(0xffff800000000456, rd, 0xa0000456); /* TTBR1 */
    fault(0xffff000000000000, rd, 0x04);
    fault(0x0000800000000000, rd, 0x04); /* entry 256 of TTBR0's */
    fault(0x0001000000000000, rd, 0x04); /* beyond 48 bits */
    fault(0x400000, rd, 0x06);
    /* a block descriptor at level 3 is reserved */
    fault(0x4000, rd, 0x07);
    fault(0x3000, rd, 0x0b); /* access flag */
    set_sysreg(0, ARM_TCR_EL1, sysreg(0, ARM_TCR_EL1) | 1ull << 39);
    ok(0x3000, rd, 0xa0003000); /* the CPU would set it */
    fault(0x0, rd0, 0x0f);
    ok(0x1000, wr0, 0xa0001000);
    ok(0x1000, wr, 0xa0001000);
    fault(0x2000, wr, 0x0f);
    ok(0x5000, rd0, 0xa0005000);
    fault(0x5000, wr0, 0x0f);
    v->regs.flags = PSTATE_RESET | PSTATE_PAN;
    fault(0x1000, rd, 0x0f);
    ok(0x1000, ex, 0xa0001000);
    v->regs.flags = PSTATE_RESET;
    put(T0 + 0x3000, (T0 + 0x4000) | 3 | 1ull << 61); /* APTable: nothing for EL0 */
    fault(0x1000, rd0, 0x0f);
    put(T0 + 0x3000, (T0 + 0x4000) | 3 | 1ull << 62); /* read-only */
    fault(0x1000, wr, 0x0f);
    set_sysreg(0, ARM_TCR_EL1, sysreg(0, ARM_TCR_EL1) | 1ull << 41);
    ok(0x1000, wr, 0xa0001000); /* HPD0 */
}

static void test_walk_control(void **state)
{
    uint64_t tcr = 16 | 16 << 16 | 2u << 30;

    test_walk_4k(state);
    set_sysreg(0, ARM_TCR_EL1, tcr | 1 << 7);
    fault(0x123, wr, 0x04); /* EPD0 */
    set_sysreg(0, ARM_TCR_EL1, tcr);
    fault(0xab00000000000123, rd, 0x04);
    set_sysreg(0, ARM_TCR_EL1, tcr | 1ull << 37);
    ok(0xab00000000000123, rd, 0xa0000123); /* TBI0 */
    set_sysreg(0, ARM_TCR_EL1, tcr | 1ull << 37 | 1ull << 51);
    fault(0xab00000000000123, ex, 0x04); /* TBID0: not for instructions */
    ok(0xab00000000000123, rd, 0xa0000123);
    set_sysreg(0, ARM_TCR_EL1, tcr | 1ull << 55);
    fault(0x1000, rd0, 0x04); /* E0PD0 */
    for (unsigned tsz = 0; tsz < 64; tsz++) {
        unsigned fsc;
        uint64_t pa;

        set_sysreg(0, ARM_TCR_EL1, (tcr & ~0x3full) | tsz | 1ull << 59);
        (void)arm_walk(v, 0x123, rd, &pa, &fsc); /* no size breaks it */
    }
    set_sysreg(0, ARM_TCR_EL1, tcr);
    set_sysreg(0, ARM_TTBR0_EL1, 0x8000000); /* tables in no RAM */
    fault(0x123, rd, 0x14);
    set_sysreg(0, ARM_TTBR0_EL1, T0);
    put(T0 + 0x3000, 0x8000000 | 3);
    fault(0x123, rd, 0x17);
}

static void test_walk_granules(void **state)
{
    (void)state;
    /* 64 KiB, 48 bits: levels 1 to 3 */
    set_sysreg(0, ARM_TCR_EL1, 16 | 1 << 14);
    set_sysreg(0, ARM_TTBR0_EL1, T0);
    put(T0, (T0 + 0x10000) | 3), put(T0 + 0x10000, (T0 + 0x20000) | 3),
        put(T0 + 0x10008, 0x120000000 | BLOCK);
    put(T0 + 0x20008, 0x770000 | LEAF);
    ok(0x1abcd, rd, 0x77abcd);
    ok(0x20001234, rd, 0x120001234); /* 512 MiB */
    put(T0, 0x80000000 | BLOCK);
    /* no 4 TiB blocks without 52-bit addresses */
    fault(0x0, rd, 0x05);
    put(T0, (T0 + 0x10000) | 3), put(T0 + 0x20008, 0x770000 | LEAF | 0x3000);
    set_sysreg(0, ARM_TCR_EL1, 16 | 1 << 14 | 6ull << 32); /* 52-bit output */
    ok(0x1abcd, rd, 0x300000077abcd);
    /* 16 KiB, 47 bits: levels 1 to 3 */
    set_sysreg(0, ARM_TCR_EL1, 17 | 2 << 14);
    set_sysreg(0, ARM_TTBR0_EL1, T0);
    put(T0, (T0 + 0x4000) | 3), put(T0 + 0x4000, (T0 + 0x8000) | 3),
        put(T0 + 0x4008, 0x84000000 | BLOCK), put(T0 + 0x8010, 0x338000 | LEAF);
    ok(0x8abc, rd, 0x338abc);
    ok(0x2001234, rd, 0x84001234); /* 32 MiB */
    /* 4 KiB, 39 bits: starts at level 1 */
    set_sysreg(0, ARM_TCR_EL1, 25);
    put(T0, 0xc0000000 | BLOCK);
    ok(0x1234567, rd, 0xc1234567);
    fault(0x8000000000, rd, 0x04);
    set_sysreg(0, ARM_TCR_EL1, 12 | 1ull << 59); /* LPA2: level -1, 52 bits */
    put(T0, (T0 + 0x1000) | 3), put(T0 + 0x1000, (T0 + 0x2000) | 3),
        put(T0 + 0x2000, 0xc0000000 | BLOCK | 3ull << 8);
    ok(0x1234567, rd, 0xc0000c1234567);
    fault(1ull << 48, rd, 0x2b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_vectors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pan_and_ssbs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_walk_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_walk_4k, setup, teardown),
        cmocka_unit_test_setup_teardown(test_walk_control, setup, teardown),
        cmocka_unit_test_setup_teardown(test_walk_granules, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
