/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Device accesses of ARM64 guests: the decoder against a table made with an assembler, and what an
 * access does to registers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "hv/guest/aarch64/decode.h"
#include "arm_machine.h"

#define DEV 0x09100000ull
static uint8_t dev[PAGE_SIZE];
static unsigned dev_writes;

static int dev_read(void *d, uint64_t off, unsigned size, uint64_t *val)
{
    (void)d;
    *val = 0;
    memcpy(val, dev + off, size);
    return 0;
}
static int dev_write(void *d, uint64_t off, unsigned size, uint64_t val)
{
    (void)d;
    memcpy(dev + off, &val, size);
    dev_writes++;
    return 0;
}
static const struct io_ops dev_ops = { dev_read, dev_write, 1 | 2 | 4 | 8 };

static struct vcpu *v;
#define CODE (PLAT_RAM + 0x10000)

static int setup(void **state)
{
    (void)state;
    fake_start(2);
    fake_machine();
    v = &fake_vcpu[0];
    assert_int_equal(
        io_register(&fake_vm, &(struct io_region){ "dev", IO_MEM, DEV, PAGE_SIZE, &dev_ops, NULL }),
        0);
    for (unsigned i = 0; i < sizeof dev; i++)
        dev[i] = (uint8_t)(i * 7 + 0x81);
    dev_writes = 0;
    v->regs.pc = CODE;
    v->regs.flags = PSTATE_RESET;
    set_sysreg(0, ARM_VBAR_EL1, 0x44440000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_stop();
    return 0;
}

enum { ST, LD, LDS };
static const struct {
    uint32_t insn;
    uint8_t size, count, what;
    bool wide;
    uint8_t rt, rt2, rn, index;
    int64_t imm;
} good[] = {
    { 0x39401483, 1, 1, LD, false, 3, 0, 4, ARM_OFFSET, 5 }, /* ldrb w3, [x4, #5] */
    { 0x79400c83, 2, 1, LD, false, 3, 0, 4, ARM_OFFSET, 6 },
    { 0xb9400883, 4, 1, LD, false, 3, 0, 4, ARM_OFFSET, 8 },
    { 0xf9400883, 8, 1, LD, true, 3, 0, 4, ARM_OFFSET, 16 },
    { 0x390007e5, 1, 1, ST, false, 5, 0, 31, ARM_OFFSET, 1 }, /* strb w5, [sp, #1] */
    { 0xf90007e5, 8, 1, ST, true, 5, 0, 31, ARM_OFFSET, 8 },
    { 0x39c00483, 1, 1, LDS, false, 3, 0, 4, ARM_OFFSET, 1 }, /* ldrsb w3, [x4, #1] */
    { 0x39800483, 1, 1, LDS, true, 3, 0, 4, ARM_OFFSET, 1 },
    { 0x79800483, 2, 1, LDS, true, 3, 0, 4, ARM_OFFSET, 2 },
    { 0xb9800483, 4, 1, LDS, true, 3, 0, 4, ARM_OFFSET, 4 },
    { 0xb85fd083, 4, 1, LD, false, 3, 0, 4, ARM_OFFSET, -3 }, /* ldur */
    { 0xf80ff083, 8, 1, ST, true, 3, 0, 4, ARM_OFFSET, 255 },
    { 0xb8404483, 4, 1, LD, false, 3, 0, 4, ARM_POST, 4 },
    { 0xf81f0c83, 8, 1, ST, true, 3, 0, 4, ARM_PRE, -16 },
    { 0xb8408883, 4, 1, LD, false, 3, 0, 4, ARM_OFFSET, 8 }, /* ldtr */
    { 0x38000883, 1, 1, ST, false, 3, 0, 4, ARM_OFFSET, 0 },
    { 0x297f1483, 4, 2, LD, false, 3, 5, 4, ARM_OFFSET, -8 }, /* ldp w3, w5, [x4, #-8] */
    { 0xa9411483, 8, 2, LD, true, 3, 5, 4, ARM_OFFSET, 16 },
    { 0x69411483, 4, 2, LDS, true, 3, 5, 4, ARM_OFFSET, 8 }, /* ldpsw */
    { 0xa8821483, 8, 2, ST, true, 3, 5, 4, ARM_POST, 32 },
    { 0xa9e01483, 8, 2, LD, true, 3, 5, 4, ARM_PRE, -512 },
    { 0x28409483, 4, 2, LD, false, 3, 5, 4, ARM_OFFSET, 4 }, /* ldnp */
    { 0xa8001483, 8, 2, ST, true, 3, 5, 4, ARM_OFFSET, 0 },
    { 0x88dffc83, 4, 1, LD, false, 3, 0, 4, ARM_OFFSET, 0 }, /* ldar */
    { 0xc89ffc83, 8, 1, ST, true, 3, 0, 4, ARM_OFFSET, 0 },  /* stlr */
    { 0x08dffc83, 1, 1, LD, false, 3, 0, 4, ARM_OFFSET, 0 },
    { 0x88df7c83, 4, 1, LD, false, 3, 0, 4, ARM_OFFSET, 0 },  /* ldlar */
    { 0xb8bfc083, 4, 1, LD, false, 3, 0, 4, ARM_OFFSET, 0 },  /* ldapr */
    { 0x991fc083, 4, 1, ST, false, 3, 0, 4, ARM_OFFSET, -4 }, /* stlur */
    { 0xd9408083, 8, 1, LD, true, 3, 0, 4, ARM_OFFSET, 8 },   /* ldapur */
    { 0x99808083, 4, 1, LDS, true, 3, 0, 4, ARM_OFFSET, 8 },  /* ldapursw */
    { 0xf900009f, 8, 1, ST, true, 31, 0, 4, ARM_OFFSET, 0 },
};

static void test_decode(void **state)
{
    struct arm_ldst l;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
        if (arm_decode_ldst(good[i].insn, &l))
            fail_msg("%08x is refused", good[i].insn);
        assert_int_equal(l.size, good[i].size);
        assert_int_equal(l.count, good[i].count);
        assert_int_equal(l.load, good[i].what != ST);
        assert_int_equal(l.sext, good[i].what == LDS);
        assert_int_equal(l.wide, good[i].wide);
        assert_int_equal(l.rt[0], good[i].rt);
        assert_int_equal(l.rt[1], good[i].rt2);
        assert_int_equal(l.rn, good[i].rn);
        assert_int_equal(l.index, good[i].index);
        assert_int_equal(l.imm, good[i].imm);
        assert_false(l.by_register);
        assert_int_equal(l.unprivileged, good[i].insn == 0xb8408883 || good[i].insn == 0x38000883);
    }
}

static const struct {
    uint32_t insn;
    uint8_t size, count;
    bool load;
    uint8_t index;
    int64_t imm;
} vectors[] = {
    /* ldr q3, [x4, #32]; str d3, [x4, #16] */
    { 0x3dc00883, 16, 1, true, ARM_OFFSET, 32 },
    { 0xfd000883, 8, 1, false, ARM_OFFSET, 16 },
    { 0xbd400883, 4, 1, true, ARM_OFFSET, 8 },
    { 0x7d000c83, 2, 1, false, ARM_OFFSET, 6 },
    { 0x3d401483, 1, 1, true, ARM_OFFSET, 5 },
    { 0x3cdfd083, 16, 1, true, ARM_OFFSET, -3 },
    { 0x3c810483, 16, 1, false, ARM_POST, 16 },
    { 0xfc5f0c83, 8, 1, true, ARM_PRE, -16 },
    { 0xad7f1483, 16, 2, true, ARM_OFFSET, -32 },
    { 0x6c821483, 8, 2, false, ARM_POST, 32 },
    { 0x2dc11483, 4, 2, true, ARM_PRE, 8 },
    /* ldnp q3, q5 */
    { 0xac409483, 16, 2, true, ARM_OFFSET, 16 },
};

static void test_decode_vectors(void **state)
{
    struct arm_ldst l;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(vectors); i++) {
        if (arm_decode_ldst(vectors[i].insn, &l) || !l.simd || l.size != vectors[i].size ||
            l.count != vectors[i].count || l.load != vectors[i].load ||
            l.index != vectors[i].index || l.imm != vectors[i].imm || l.rt[0] != 3 || l.rn != 4 ||
            (l.count == 2 && l.rt[1] != 5))
            fail_msg("%08x: size %u, count %u, immediate %lld", vectors[i].insn, l.size, l.count,
                     (long long)l.imm);
    }
    assert_int_equal(arm_decode_ldst(0x3ce57883, &l), 0); /* ldr q3, [x4, x5, lsl #4] */
    assert_true(l.simd && l.by_register && l.shift == 4 && l.size == 16);
    assert_int_equal(arm_decode_ldst(0xbc25d883, &l), 0); /* str s3, [x4, w5, sxtw #2] */
    assert_true(l.simd && l.shift == 2 && l.option == 6 && !l.load);
}

static void test_decode_refused(void **state)
{
    static const uint32_t bad[] = {
        /* SIMD and FP: no such size; no such pair; a pair into one; there is no LDTR */
        0x7dc00883,
        0xed401483,
        0xad400c83,
        0x3cdfd883,
        0xc85f7c83,
        0xc8067c83,
        0x885ffc83,
        0xc87f1483, /* exclusives */
        0xb8230085,
        0xf8238085,
        0xc8a37c85,
        0x48227d04, /* atomics */
        0xf9800080,
        0xf8a56880,
        0xf8801080, /* prefetches */
        0x4c407880,
        0x9c000003,
        0xd50b7424,
        0x8b050083,
        0x58000003,
        0,
        0xffffffff,
        /* base = target with write-back; a pair into one register */
        0xf8404c84,
        0xa8c10c83,
        /* STGP, opc 3, LDNP of signed words */
        0x69011483,
        0xe9411483,
        0x68411483,
        /* register offset: option 000; an unscaled one with bit 21 */
        0xb8650883,
        0xb8452083,
    };
    struct arm_ldst l;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(bad) - 1; i++)
        if (arm_decode_ldst(bad[i], &l) == 0)
            fail_msg("%08x is accepted", bad[i]);
}

/* As an engine reports it. */
static struct vcpu_exit mem_exit(uint64_t at, bool write)
{
    struct vcpu_exit e = { .reason = EXIT_MEM,
                           .insn_len = 4,
                           .syndrome = 0x25ull << 26 | ESR_IL | (write ? ISS_WNR : 0) };

    e.mem.gpa = gpa(at);
    e.mem.io.addr = e.mem.gva = at;
    e.mem.prot = write ? PROT_W : PROT_R;
    return e;
}

static void run(uint32_t insn, uint64_t at, bool write)
{
    struct vcpu_exit e = mem_exit(at, write);

    v->regs.pc = CODE;
    memcpy(fake_ram + (CODE - PLAT_RAM), &insn, 4);
    assert_int_equal(arm_emulate(v, &e), 0);
    lock_assert_none();
}

static uint64_t dev_val(unsigned off, unsigned size)
{
    uint64_t val = 0;

    memcpy(&val, dev + off, size);
    return val;
}

static void test_syndrome(void **state)
{
    struct vcpu_exit e = mem_exit(DEV + 4, false);

    (void)state;
    e.mem.decoded = true;
    e.mem.reg = 7;
    e.mem.io.size = 4;
    assert_int_equal(arm_emulate(v, &e), 0);
    assert_int_equal(v->regs.gpr[7], dev_val(4, 4));
    assert_int_equal(v->regs.pc, CODE + 4);
    e.mem.io.size = 1, e.mem.sext = true;
    dev[4] = 0x80;
    assert_int_equal(arm_emulate(v, &e), 0);
    assert_int_equal(v->regs.gpr[7], 0xffffff80);
    e.mem.wide = true;
    assert_int_equal(arm_emulate(v, &e), 0);
    assert_int_equal(v->regs.gpr[7], 0xffffffffffffff80);
    e = mem_exit(DEV + 8, true);
    e.mem.decoded = e.mem.io.write = true;
    e.mem.reg = 31;
    e.mem.io.size = 2;
    v->regs.gpr[31] = 0x5555; /* there is no X31 */
    assert_int_equal(arm_emulate(v, &e), 0);
    assert_int_equal(dev_val(8, 2), 0);
    assert_int_equal(dev_writes, 1);
}

/* A spurious fault on RAM, which the engine decoded like any other: the access is tried again. */
static void test_spurious(void **state)
{
    struct vcpu_exit e = mem_exit(PLAT_RAM + 8, false);

    (void)state;
    e.mem.decoded = true;
    e.mem.io.size = 4;
    assert_int_equal(arm_emulate(v, &e), 0);
    assert_int_equal(v->regs.pc, CODE);
    assert_int_equal(sysreg(0, ARM_ESR_EL1), 0);
}

static void test_instruction(void **state)
{
    (void)state;
    v->regs.gpr[4] = DEV + 0x10;
    run(0xb8404483, DEV + 0x10, false); /* ldr w3, [x4], #4 */
    assert_int_equal(v->regs.gpr[3], dev_val(0x10, 4));
    assert_int_equal(v->regs.gpr[4], DEV + 0x14);
    assert_int_equal(v->regs.pc, CODE + 4);
    v->regs.gpr[3] = 0x1122334455667788, v->regs.gpr[4] = DEV + 0x30;
    run(0xf81f0c83, DEV + 0x20, true); /* str x3, [x4, #-16]! */
    assert_int_equal(dev_val(0x20, 8), 0x1122334455667788);
    assert_int_equal(v->regs.gpr[4], DEV + 0x20);
    run(0xa9411483, DEV + 0x30, false); /* ldp x3, x5, [x4, #16] */
    assert_int_equal(v->regs.gpr[3], dev_val(0x30, 8));
    assert_int_equal(v->regs.gpr[5], dev_val(0x38, 8));
    dev[0x2b] = 0x80;
    run(0x69411483, DEV + 0x28, false); /* ldpsw x3, x5, [x4, #8] */
    assert_int_equal(v->regs.gpr[3], (uint64_t)(int64_t)(int32_t)dev_val(0x28, 4));
    v->regs.gpr[5] = 0xffffffff00000002;
    run(0xb8655883, DEV + 0x28, false); /* ldr w3, [x4, w5, uxtw #2] */
    assert_int_equal(v->regs.gpr[3], dev_val(0x28, 4));
    v->regs.gpr[5] = 0x00000000fffffffc, v->regs.gpr[3] = 0xabcd;
    run(0xb825c883, DEV + 0x1c, true); /* str w3, [x4, w5, sxtw] */
    assert_int_equal(dev_val(0x1c, 4), 0xabcd);
    v->regs.gpr[5] = 3;
    run(0xf8657883, DEV + 0x38, false); /* ldr x3, [x4, x5, lsl #3] */
    assert_int_equal(v->regs.gpr[3], dev_val(0x38, 8));
    set_sysreg(0, ARM_SP_EL1, DEV + 0x40);
    set_sysreg(0, ARM_SP_EL0, PLAT_RAM);
    v->regs.gpr[5] = 0x77;
    run(0x390007e5, DEV + 0x41, true); /* strb w5, [sp, #1] */
    assert_int_equal(dev[0x41], 0x77);
    assert_int_equal(sysreg(0, ARM_ESR_EL1), 0);
}

static uint64_t vreg(unsigned n, unsigned half) { return sysreg(0, ARM_VREG(n, half)); }

static void set_vreg(unsigned n, uint64_t low, uint64_t high)
{
    set_sysreg(0, ARM_VREG(n, 0), low);
    set_sysreg(0, ARM_VREG(n, 1), high);
}

static void test_vector_registers(void **state)
{
    (void)state;
    v->regs.gpr[4] = DEV;
    set_vreg(3, 7, 7);
    run(0x3dc00883, DEV + 32, false); /* ldr q3, [x4, #32] */
    assert_int_equal(vreg(3, 0), dev_val(32, 8));
    assert_int_equal(vreg(3, 1), dev_val(40, 8));
    run(0xbd400883, DEV + 8, false); /* ldr s3: the rest becomes 0 */
    assert_int_equal(vreg(3, 0), dev_val(8, 4));
    assert_int_equal(vreg(3, 1), 0);
    set_vreg(3, 0x1122334455667788, 0x99aabbccddeeff00);
    set_vreg(5, 0x0102030405060708, 0);
    run(0x3c810483, DEV, true); /* str q3, [x4], #16 */
    assert_int_equal(dev_writes, 2);
    assert_int_equal(dev_val(0, 8), 0x1122334455667788);
    assert_int_equal(dev_val(8, 8), 0x99aabbccddeeff00);
    assert_int_equal(v->regs.gpr[4], DEV + 16);
    run(0x6c821483, DEV + 16, true); /* stp d3, d5, [x4], #32 */
    assert_int_equal(dev_val(16, 8), 0x1122334455667788);
    assert_int_equal(dev_val(24, 8), 0x0102030405060708);
    v->regs.gpr[4] = DEV + 64;
    run(0xad7f1483, DEV + 32, false); /* ldp q3, q5, [x4, #-32] */
    assert_int_equal(vreg(3, 1), dev_val(40, 8));
    assert_int_equal(vreg(5, 0), dev_val(48, 8));
    assert_int_equal(vreg(5, 1), dev_val(56, 8));
    /* the second register's half lies outside: nothing changes */
    v->regs.gpr[4] = DEV - 16;
    set_vreg(3, 1, 2);
    run(0xad400483 | 5u << 10, DEV, false); /* ldp q3, q5, [x4] */
    assert_int_equal(vreg(3, 0), 1);
    assert_int_equal(sysreg(0, ARM_ESR_EL1) & 0x3f, FSC_EXTERNAL);
}

/* Bytes as the CPU would put them on the bus. */
static void test_big_endian(void **state)
{
    uint64_t w;

    (void)state;
    set_sysreg(0, ARM_SCTLR_EL1, SCTLR_EE);
    v->regs.gpr[4] = DEV;
    v->regs.gpr[3] = 0x1122334455667788, v->regs.gpr[5] = 0x99aabbccddeeff00;
    run(0xf9000083, DEV, true); /* str x3, [x4] */
    assert_int_equal(dev_val(0, 8), 0x8877665544332211);
    run(0x29001483, DEV, true); /* stp w3, w5, [x4] */
    assert_int_equal(dev_val(0, 4), 0x88776655);
    assert_int_equal(dev_val(4, 4), 0x00ffeedd);
    memcpy(dev, "\x80\x01\x02\x03", 4);
    run(0xb9400083, DEV, false); /* ldr w3 */
    assert_int_equal(v->regs.gpr[3], 0x80010203);
    run(0x79800083, DEV, false); /* ldrsh x3 */
    assert_int_equal(v->regs.gpr[3], 0xffffffffffff8001);
    run(0x39400083, DEV, false); /* ldrb w3 */
    assert_int_equal(v->regs.gpr[3], 0x80);
    set_vreg(3, 0x0706050403020100, 0x0f0e0d0c0b0a0908);
    /* str q3, [x4], #16: its last byte first */
    run(0x3c810483, DEV, true);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(dev[i], 15 - i);
    v->regs.gpr[4] = DEV - 32;
    run(0x3dc00883, DEV, false); /* ldr q3, [x4, #32] */
    assert_int_equal(vreg(3, 0), 0x0706050403020100);
    assert_int_equal(vreg(3, 1), 0x0f0e0d0c0b0a0908);
    v->regs.gpr[4] = PLAT_RAM + 0x800; /* RAM, too */
    run(0xf9000083, DEV, true);
    memcpy(&w, fake_ram + 0x800, 8);
    assert_int_equal(w, __builtin_bswap64(v->regs.gpr[3]));
    v->regs.gpr[4] = DEV, v->regs.flags = 0; /* EL0 has a bit of its own */
    run(0xb9400083, DEV, false);
    assert_int_equal(v->regs.gpr[3], dev_val(0, 4));
    set_sysreg(0, ARM_SCTLR_EL1, SCTLR_E0E);
    run(0xb9400083, DEV, false);
    assert_int_equal(v->regs.gpr[3], __builtin_bswap32((uint32_t)dev_val(0, 4)));
    v->regs.flags = PSTATE_RESET;
    run(0xb9400083, DEV, false);
    assert_int_equal(v->regs.gpr[3], dev_val(0, 4));
}

/* A pair of which one half is RAM, on the page before the device. */
static void test_page_crossing(void **state)
{
    (void)state;
    assert_int_equal(io_register(&fake_vm, &(struct io_region){ "next", IO_MEM, PLAT_RAM + FAKE_RAM,
                                                                PAGE_SIZE, &dev_ops, NULL }),
                     0);
    memset(fake_ram + FAKE_RAM - 8, 0x5a, 8);
    v->regs.gpr[4] = PLAT_RAM + FAKE_RAM - 24;
    run(0xa9411483, PLAT_RAM + FAKE_RAM, false); /* ldp x3, x5, [x4, #16] */
    assert_int_equal(v->regs.gpr[3], 0x5a5a5a5a5a5a5a5a);
    assert_int_equal(v->regs.gpr[5], dev_val(0, 8));
    v->regs.gpr[4] = DEV + 0xffd - 8;
    /* an element across pages: alignment fault */
    run(0xb9400883, DEV + 0xffd, false);
    assert_int_equal(sysreg(0, ARM_ESR_EL1) & 0x3f, FSC_ALIGNMENT);
}

static void test_nobody(void **state)
{
    struct vcpu_exit e = mem_exit(0x0a000000, true);

    (void)state;
    e.mem.decoded = e.mem.io.write = true;
    e.mem.io.size = 4;
    for (unsigned i = 0; i < 3; i++) {
        v->regs.pc = CODE, v->regs.flags = 0x60000000; /* EL0, Z and C */
        assert_int_equal(arm_emulate(v, &e), 0);
    }
    assert_int_equal(fake_logs, 1);
    assert_int_equal(sysreg(0, ARM_ESR_EL1), 0x24ull << 26 | ESR_IL | ISS_WNR | FSC_EXTERNAL);
    assert_int_equal(sysreg(0, ARM_FAR_EL1), 0x0a000000);
    assert_int_equal(sysreg(0, ARM_ELR_EL1), CODE);
    assert_int_equal(v->regs.pc, 0x44440400);
    v->regs.flags = PSTATE_RESET, v->regs.gpr[4] = DEV;
    run(0x4c407080, DEV, false); /* ld1 {v0.16b}, [x4] */
    assert_int_equal(sysreg(0, ARM_ESR_EL1), 0x25ull << 26 | ESR_IL | FSC_EXTERNAL);
    assert_int_equal(v->regs.pc, 0x44440200);
    e = mem_exit(0x0b000000, false);
    e.mem.prot = PROT_X;
    v->regs.flags = PSTATE_RESET, v->regs.pc = 0x0b000000;
    assert_int_equal(arm_emulate(v, &e), 0);
    assert_int_equal(sysreg(0, ARM_ESR_EL1), 0x21ull << 26 | ESR_IL | FSC_EXTERNAL);
    /* the instruction itself cannot be read */
    v->regs.pc = 0x0c000000, v->regs.flags = PSTATE_RESET;
    e = mem_exit(DEV, false);
    assert_int_equal(arm_emulate(v, &e), 0);
    assert_int_equal(sysreg(0, ARM_ESR_EL1), 0x21ull << 26 | ESR_IL | FSC_EXTERNAL);
    assert_int_equal(sysreg(0, ARM_FAR_EL1), 0x0c000000);
}

static void test_odd(void **state)
{
    struct vcpu_exit e = mem_exit(DEV, true);

    (void)state;
    /* DC IVAC on a device: nothing to do */
    e.syndrome |= ISS_CM;
    assert_int_equal(arm_emulate(v, &e), 0);
    assert_int_equal(v->regs.pc, CODE + 4);
    assert_int_equal(dev_writes, 0);
    e = mem_exit(DEV, false);
    /* page tables in a device: 4 KiB granule, level 0 */
    e.syndrome |= ISS_S1PTW;
    e.mem.gva = 0x1000;
    set_sysreg(0, ARM_SCTLR_EL1, SCTLR_M), set_sysreg(0, ARM_TCR_EL1, 16),
        set_sysreg(0, ARM_TTBR0_EL1, DEV);
    v->regs.pc = CODE;
    assert_int_equal(arm_emulate(v, &e), 0);
    assert_int_equal(sysreg(0, ARM_ESR_EL1) & 0x3f, FSC_EXTERNAL_WALK);
    assert_int_equal(sysreg(0, ARM_FAR_EL1), 0x1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_decode, setup, teardown),
        cmocka_unit_test_setup_teardown(test_decode_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_syndrome, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spurious, setup, teardown),
        cmocka_unit_test_setup_teardown(test_instruction, setup, teardown),
        cmocka_unit_test_setup_teardown(test_decode_vectors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_vector_registers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_big_endian, setup, teardown),
        cmocka_unit_test_setup_teardown(test_page_crossing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
