/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Emulated instructions against the CPU that runs this test: the same bytes, registers, flags and
 * memory, once natively and once through x86_emulate() with the memory as a device. Then what
 * cannot run natively: stack, modes, faults, bounds.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "x86_native.h"

/* Operand-size prefixes in turn: none, 66, REX.W, REX (for SPL and so on). */
static const uint8_t prefix[4][2] = { { 0, 0 }, { 1, 0x66 }, { 1, 0x48 }, { 1, 0x40 } };

struct insn {
    uint8_t b[15];
    unsigned len;
};

static struct insn build(unsigned pre, unsigned map, uint8_t opcode, unsigned reg, unsigned imm_len)
{
    struct insn i = { .len = 0 };

    if (prefix[pre][0] != 0)
        i.b[i.len++] = prefix[pre][1];
    if (map == 1)
        i.b[i.len++] = 0x0f;
    i.b[i.len++] = opcode;
    i.b[i.len++] = (uint8_t)(0x43 | reg << 3); /* [rbx + disp8] */
    i.b[i.len++] = 8;
    for (unsigned k = 0; k < imm_len; k++)
        i.b[i.len++] = (uint8_t)rnd();
    return i;
}

/*
 * A register that the native harness may use: not RSP (AH without REX is fine for bytes), not RBX,
 * which is the address.
 */
static unsigned any_reg(bool byte, unsigned pre)
{
    for (;;) {
        unsigned r = rnd() & 7;

        if (byte && pre < 2 ? r != X86_RBX && r != 7 : r != X86_RSP && r != X86_RBX)
            return r;
    }
}

static unsigned imm_size(unsigned pre, bool byte) { return byte ? 1 : pre == 1 ? 2 : 4; }

#define ROUNDS 40
#define LOGIC (FLAGS_ARITH & ~FLAGS_AF)

static void test_alu(void **state)
{
    (void)state;
    for (unsigned op = 0; op < 8 * 4 * 4 * ROUNDS; op++) {
        unsigned kind = op & 7, col = op >> 3 & 3, pre = op >> 5 & 3;
        bool logic = kind == 1 || kind == 4 || kind == 6, byte = (col & 1) == 0;
        struct insn i = build(pre, 0, (uint8_t)(kind << 3 | col), any_reg(byte, pre), 0);

        compare(i.b, i.len, random_state(), logic ? LOGIC : FLAGS_ARITH);
    }
}

static void test_alu_immediate(void **state)
{
    static const uint8_t opcodes[] = { 0x80, 0x81, 0x83 };

    (void)state;
    for (unsigned n = 0; n < 3 * 8 * 4 * ROUNDS; n++) {
        unsigned reg = n & 7, pre = n >> 3 & 3;
        uint8_t opcode = opcodes[n / 32 % 3];
        struct insn i = build(pre, 0, opcode, reg, opcode == 0x81 ? imm_size(pre, false) : 1);

        compare(i.b, i.len, random_state(), reg == 1 || reg == 4 || reg == 6 ? LOGIC : FLAGS_ARITH);
    }
}

/*
 * Opcodes with a register operand: MOV, TEST, XCHG, XADD, CMPXCHG, MOVZX, MOVSX, MOVNTI, IMUL,
 * MOVSXD.
 */
struct row {
    uint8_t map, opcode;
    uint64_t flags;
    bool byte_reg;
};

static void test_register_forms(void **state)
{
    static const struct row rows[] = {
        { 0, 0x84, LOGIC, true },        { 0, 0x85, LOGIC, false },
        { 0, 0x86, FLAGS_ARITH, true },  { 0, 0x87, FLAGS_ARITH, false },
        { 0, 0x88, FLAGS_ARITH, true },  { 0, 0x89, FLAGS_ARITH, false },
        { 0, 0x8a, FLAGS_ARITH, true },  { 0, 0x8b, FLAGS_ARITH, false },
        { 0, 0x63, FLAGS_ARITH, false }, { 1, 0xb0, FLAGS_ARITH, true },
        { 1, 0xb1, FLAGS_ARITH, false }, { 1, 0xb6, FLAGS_ARITH, false },
        { 1, 0xb7, FLAGS_ARITH, false }, { 1, 0xbe, FLAGS_ARITH, false },
        { 1, 0xbf, FLAGS_ARITH, false }, { 1, 0xc0, FLAGS_ARITH, true },
        { 1, 0xc1, FLAGS_ARITH, false }, { 1, 0xaf, FLAGS_CF | FLAGS_OF, false },
    };

    (void)state;
    for (unsigned n = 0; n < ARRAY_SIZE(rows) * 4 * ROUNDS; n++) {
        const struct row *r = &rows[n % ARRAY_SIZE(rows)];
        unsigned pre = (unsigned)(n / ARRAY_SIZE(rows)) & 3;
        struct insn i = build(pre, r->map, r->opcode, any_reg(r->byte_reg, pre), 0);

        compare(i.b, i.len, random_state(), r->flags);
    }
}

static void test_groups(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 4 * 2 * ROUNDS; n++) {
        unsigned pre = n & 3;
        bool byte = (n >> 2 & 1) == 0;
        uint8_t f6 = byte ? 0xf6 : 0xf7, fe = byte ? 0xfe : 0xff, c6 = byte ? 0xc6 : 0xc7;
        struct insn i = build(pre, 0, f6, 0, imm_size(pre, byte));

        /* TEST */
        compare(i.b, i.len, random_state(), LOGIC);
        /* NOT */
        i = build(pre, 0, f6, 2, 0), compare(i.b, i.len, random_state(), FLAGS_ARITH);
        /* NEG */
        i = build(pre, 0, f6, 3, 0), compare(i.b, i.len, random_state(), FLAGS_ARITH);
        /* MUL */
        i = build(pre, 0, f6, 4, 0), compare(i.b, i.len, random_state(), FLAGS_CF | FLAGS_OF);
        /* IMUL */
        i = build(pre, 0, f6, 5, 0), compare(i.b, i.len, random_state(), FLAGS_CF | FLAGS_OF);
        /* INC */
        i = build(pre, 0, fe, 0, 0), compare(i.b, i.len, random_state(), FLAGS_ARITH);
        /* DEC */
        i = build(pre, 0, fe, 1, 0), compare(i.b, i.len, random_state(), FLAGS_ARITH);
        i = build(pre, 0, c6, 0, imm_size(pre, byte)),
        compare(i.b, i.len, random_state(), FLAGS_ARITH);
        i = build(pre, 0, 0x6b, any_reg(false, pre), 1),
        compare(i.b, i.len, random_state(), FLAGS_CF | FLAGS_OF);
        i = build(pre, 0, 0x69, any_reg(false, pre), imm_size(pre, false)),
        compare(i.b, i.len, random_state(), FLAGS_CF | FLAGS_OF);
    }
}

static unsigned operand_bits(unsigned pre, bool byte)
{
    return byte ? 8 : pre == 1 ? 16 : pre == 2 ? 64 : 32;
}

/* Flags that a shift defines, by kind and count: APM vol 3. */
static uint64_t shift_flags(unsigned kind, unsigned count, unsigned bits)
{
    uint64_t f = FLAGS_ARITH;

    count &= bits == 64 ? 63 : 31;
    if (count == 0)
        return f;
    if (kind >= 4)
        f &= ~(uint64_t)FLAGS_AF;
    if (count != 1)
        f &= ~(uint64_t)FLAGS_OF;
    if (kind >= 4 && kind != 7 && count >= bits)
        f &= ~(uint64_t)FLAGS_CF;
    return f;
}

static void test_shifts(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 8 * 4 * 2 * ROUNDS; n++) {
        unsigned kind = n & 7, pre = n >> 3 & 3, bits;
        bool byte = (n >> 5 & 1) == 0;
        struct state s = random_state();
        struct insn i = build(pre, 0, byte ? 0xc0 : 0xc1, kind, 1);

        bits = operand_bits(pre, byte);
        compare(i.b, i.len, s, shift_flags(kind, i.b[i.len - 1], bits));
        i = build(pre, 0, byte ? 0xd0 : 0xd1, kind, 0),
        compare(i.b, i.len, s, shift_flags(kind, 1, bits));
        i = build(pre, 0, byte ? 0xd2 : 0xd3, kind, 0),
        compare(i.b, i.len, s, shift_flags(kind, (unsigned)s.r[X86_RCX] & 0xff, bits));
    }
}

static void test_double_shifts(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 4 * 2 * 3 * ROUNDS; n++) {
        unsigned pre = n & 3, bits = operand_bits(pre, false), count;
        struct insn i = build(pre, 1, (n & 4) != 0 ? 0xac : 0xa4, any_reg(false, pre), 1);

        count = i.b[i.len - 1] & (bits == 64 ? 63u : 31u);
        if (count > bits)
            continue;
        compare(i.b, i.len, random_state(),
                count == 0 ? FLAGS_ARITH : LOGIC & ~(count == 1 ? 0u : FLAGS_OF));
    }
}

static void test_bits(void **state)
{
    static const uint8_t opcodes[] = { 0xa3, 0xab, 0xb3, 0xbb };

    (void)state;
    for (unsigned n = 0; n < 4 * 4 * ROUNDS; n++) {
        unsigned pre = n & 3, reg = any_reg(false, pre), bits = operand_bits(pre, false);
        struct state s = random_state();
        struct insn i = build(pre, 1, opcodes[n >> 2 & 3], reg, 0);

        /* bits before and behind the operand */
        s.r[reg] = (uint64_t)((int64_t)(rnd() % 1600) - 800);
        s.r[reg] = bits == 64 ? s.r[reg]
                              : (rnd() & ~((1ull << bits) - 1)) | (s.r[reg] & ((1ull << bits) - 1));
        compare(i.b, i.len, s, FLAGS_CF | FLAGS_ZF);
        i = build(pre, 1, 0xba, 4 + (n >> 2 & 3), 1), compare(i.b, i.len, s, FLAGS_CF | FLAGS_ZF);
    }
}

static void test_conditions(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 16 * 3 * ROUNDS; n++) {
        unsigned pre = n / 16 % 3;
        struct insn i = build(pre, 1, (uint8_t)(0x40 | (n & 15)), any_reg(false, pre), 0);

        compare(i.b, i.len, random_state(), FLAGS_ARITH);
        i = build(0, 1, (uint8_t)(0x90 | (n & 15)), 0, 0),
        compare(i.b, i.len, random_state(), FLAGS_ARITH);
    }
}

static void test_wide_compare(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 2 * ROUNDS; n++) {
        static const uint8_t b8[] = { 0x0f, 0xc7, 0x4f, 0x08 }, b16[] = { 0x48, 0x0f, 0xc7, 0x0f };
        struct state s = random_state();

        s.r[X86_RDI] = align_up(data_base + 64, 16); /* RBX is data here */
        s.r[X86_RBX] = rnd();
        compare(b8, 4, s, FLAGS_ARITH);
        compare(b16, 4, s, FLAGS_ARITH);
    }
}

static void test_strings(void **state)
{
    static const uint8_t op[] = { 0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf };

    (void)state;
    for (unsigned n = 0; n < ARRAY_SIZE(op) * 3 * 3 * ROUNDS; n++) {
        unsigned pre = (unsigned)(n / ARRAY_SIZE(op)) % 3,
                 rep = (unsigned)(n / ARRAY_SIZE(op) / 3) % 3;
        struct insn i = { .len = 0 };
        struct state s = random_state();

        if (rep != 0)
            i.b[i.len++] = rep == 1 ? 0xf3 : 0xf2;
        if (prefix[pre][0] != 0)
            i.b[i.len++] = prefix[pre][1];
        i.b[i.len++] = op[n % ARRAY_SIZE(op)];
        s.r[X86_RSI] = data_base + 200 + (rnd() & 31);
        s.r[X86_RDI] = data_base + 260 + (rnd() & 31);
        s.r[X86_RCX] = rnd() % 20;
        s.r[X86_RAX] = rnd() & 1 ? 0 : s.r[X86_RAX];
        s.flags |= rnd() & FLAGS_DF;
        compare(i.b, i.len, s, FLAGS_ARITH);
    }
}

static void test_addressing(void **state)
{
    static const struct {
        uint8_t b[12];
        uint8_t len;
    } forms[] = {
        { { 0x8b, 0x04, 0x13 }, 3 }, /* mov eax, [rbx + rdx] */
        { { 0x8b, 0x04, 0x53 }, 3 },
        { { 0x8b, 0x44, 0xd3, 0x10 }, 4 },
        { { 0x4b, 0x8b, 0x44, 0x91, 0xf0 }, 5 },
        { { 0x8b, 0x83, 0xf0, 0xff, 0xff, 0xff }, 6 },
        { { 0x41, 0x8b, 0x45, 0x00 }, 4 },
        { { 0x41, 0x8b, 0x04, 0x24 }, 4 },
        { { 0x42, 0x8b, 0x04, 0x23 }, 4 }, /* mov eax, [rbx + r12] */
        { { 0x0f, 0xc3, 0x03 }, 3 },       /* movnti [rbx], eax */
        /* mov eax, [disp32]: address filled in below */
        { { 0x67, 0x8b, 0x04, 0x25, 0, 0, 0, 0 }, 8 },
        /* the same: REX.B makes no base of R13 */
        { { 0x41, 0x8b, 0x04, 0x25, 0, 0, 0, 0 }, 8 },
    };

    (void)state;
    for (unsigned n = 0; n < ARRAY_SIZE(forms) * ROUNDS; n++) {
        struct insn i = { .len = forms[n % ARRAY_SIZE(forms)].len };
        struct state s = random_state();
        uint32_t low = (uint32_t)data_base + 16;

        memcpy(i.b, forms[n % ARRAY_SIZE(forms)].b, sizeof forms[0].b);
        s.r[X86_RDX] = rnd() & 15;
        s.r[9] = s.r[12] = s.r[13] = data_base + 100;
        s.r[10] = rnd() & 31;
        if (i.b[0] == 0x42)
            s.r[12] = rnd() & 63;
        if (i.b[2] == 0x04 && i.b[3] == 0x25)
            memcpy(i.b + 4, &low, 4);
        compare(i.b, i.len, s, FLAGS_ARITH);
    }
}

static void test_movbe(void **state)
{
    static const uint8_t op[2] = { 0xf0, 0xf1 };
    unsigned a, b, c, d;

    (void)state;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & bit_MOVBE) == 0)
        skip();
    for (unsigned n = 0; n < 2 * 3 * ROUNDS; n++) {
        unsigned pre = n % 3;
        struct insn i = { .len = 0 };

        if (prefix[pre][0] != 0)
            i.b[i.len++] = prefix[pre][1];
        i.b[i.len++] = 0x0f, i.b[i.len++] = 0x38, i.b[i.len++] = op[n & 1], i.b[i.len++] = 0x03;
        compare(i.b, i.len, random_state(), FLAGS_ARITH);
    }
}

/*
 * MOV with an absolute offset: no ModRM byte, so that no register may matter. A0..A3, with 8 and
 * with 4 bytes of address.
 */
static void test_absolute(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 4 * 4 * 2 * ROUNDS; n++) {
        unsigned pre = n >> 2 & 3, width = (n >> 4 & 1) != 0 ? 4 : 8;
        uint64_t where = data_base + (rnd() & 127);
        struct insn i = { .len = 0 };

        if (width == 4)
            i.b[i.len++] = 0x67;
        if (prefix[pre][0] != 0)
            i.b[i.len++] = prefix[pre][1];
        i.b[i.len++] = (uint8_t)(0xa0 | (n & 3));
        memcpy(i.b + i.len, &where, width);
        i.len += width;
        compare(i.b, i.len, random_state(), FLAGS_ARITH);
    }
}

/*
 * BSF, BSR, TZCNT, LZCNT, POPCNT and CRC32, of words that are often 0. TZCNT and LZCNT where the
 * CPU has them.
 */
static void test_scans(void **state)
{
    static const struct {
        uint8_t rep, opcode;
        uint64_t flags;
    } row[] = {
        { 0, 0xbc, FLAGS_ZF },
        { 0, 0xbd, FLAGS_ZF },
        { 0xf3, 0xbc, FLAGS_ZF | FLAGS_CF },
        { 0xf3, 0xbd, FLAGS_ZF | FLAGS_CF },
        { 0xf3, 0xb8, FLAGS_ARITH },
    };
    unsigned a, b = 0, c, d, count = 2;

    (void)state;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_BMI) != 0)
        count = ARRAY_SIZE(row);
    for (unsigned n = 0; n < count * 3 * ROUNDS; n++) {
        unsigned which = n % count, pre = n / count % 3;
        struct insn i = { .len = 0 };

        if (row[which].rep != 0)
            i.b[i.len++] = row[which].rep;
        if (prefix[pre][0] != 0)
            i.b[i.len++] = prefix[pre][1];
        i.b[i.len++] = 0x0f, i.b[i.len++] = row[which].opcode, i.b[i.len++] = 0x03;
        zero_data = (rnd() & 3) == 0;
        compare(i.b, i.len, random_state(), row[which].flags);
        zero_data = false;
    }
    for (unsigned n = 0; n < 4 * ROUNDS; n++) {
        struct insn i = { .len = 0 };

        i.b[i.len++] = 0xf2;
        if (prefix[n & 3][0] != 0)
            i.b[i.len++] = prefix[n & 3][1];
        i.b[i.len++] = 0x0f, i.b[i.len++] = 0x38, i.b[i.len++] = (uint8_t)(0xf0 | (n >> 2 & 1)),
        i.b[i.len++] = 0x03;
        compare(i.b, i.len, random_state(), FLAGS_ARITH);
    }
}

/* ---- by hand ---- */

static void at(const void *insn, unsigned len)
{
    put_code(insn, len);
    load_state(&(struct state){ .flags = FLAGS_FIXED });
    fake_vcpu.regs.gpr[X86_RBX] = data_base;
    fake_vcpu.regs.gpr[X86_RSP] = ram_base + 0x1000;
    memset(ram, 0x5a, sizeof ram);
    for (unsigned i = 0; i < DATA; i++)
        fake_data[i] = (uint8_t)i;
    accesses = 0;
}

static uint64_t ram64(uint64_t a)
{
    uint64_t v;

    memcpy(&v, ram + (a - ram_base), 8);
    return v;
}

static void test_stack(void **state)
{
    (void)state;
    at("\xff\x33", 2); /* push qword [rbx] */
    assert_int_equal(emulate(data_base, PROT_R), 0);
    assert_int_equal(fake_vcpu.regs.gpr[X86_RSP], ram_base + 0xff8);
    assert_int_equal(ram64(ram_base + 0xff8), 0x0706050403020100);
    /* pop qword [rsp - 8]: with RSP moved */
    at("\x8f\x44\x24\xf8", 4);
    memset(ram + 0x1000, 0x11, 8);
    assert_int_equal(emulate(0xfff, PROT_R), 0);
    assert_int_equal(fake_vcpu.regs.gpr[X86_RSP], ram_base + 0x1008);
    assert_int_equal(ram64(ram_base + 0x1000), 0x1111111111111111);
    at("\xff\x13", 2); /* call [rbx] */
    memset(fake_data + 6, 0, 2);
    assert_int_equal(emulate(data_base, PROT_R), 0);
    assert_int_equal(fake_vcpu.regs.pc, 0x050403020100);
    assert_int_equal(ram64(ram_base + 0xff8), (uint64_t)code + 2);
    at("\xff\x23", 2); /* jmp [rbx] */
    memset(fake_data + 6, 0, 2);
    assert_int_equal(emulate(data_base, PROT_R), 0);
    assert_int_equal(fake_vcpu.regs.pc, 0x050403020100);
    /* ret 16, stack in the device */
    at("\xc2\x10\x00", 3);
    fake_vcpu.regs.gpr[X86_RSP] = data_base + 8;
    memset(fake_data + 14, 0, 2);
    assert_int_equal(emulate(data_base + 8, PROT_R), 0);
    assert_int_equal(fake_vcpu.regs.pc, 0x0d0c0b0a0908);
    assert_int_equal(fake_vcpu.regs.gpr[X86_RSP], data_base + 32);
    at("\x50", 1); /* push rax, to the device */
    fake_vcpu.regs.gpr[X86_RSP] = data_base + 8;
    assert_int_equal(emulate(data_base, PROT_W), 0);
    assert_int_equal(fake_data[0], 0);
}

/* A branch to an address that is none faults where it is, with nothing changed. */
static void test_bad_targets(void **state)
{
    static const struct {
        const char *b;
        unsigned len;
    } branch[] = { { "\xff\x13", 2 }, { "\xff\x23", 2 }, { "\xc3", 1 }, { "\xc2\x10\x00", 3 } };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(branch); i++) {
        at(branch[i].b, branch[i].len);
        if (i >= 2)
            fake_vcpu.regs.gpr[X86_RSP] = data_base;
        /* the target is 0x0706050403020100 */
        assert_int_equal(emulate(data_base, PROT_R), 0);
        assert_int_equal(fake_vcpu.event.vector, X86_GP);
        assert_int_equal(fake_vcpu.regs.pc, (uint64_t)code);
        assert_int_equal(fake_vcpu.regs.gpr[X86_RSP], i >= 2 ? data_base : ram_base + 0x1000);
        fake_vcpu.event.type = VEV_NONE;
    }
    assert_int_equal(ram64(ram_base + 0xff8), 0x5a5a5a5a5a5a5a5a);
}

static void test_divide(void **state)
{
    (void)state;
    at("\x48\xf7\x33", 3); /* div qword [rbx] */
    fake_vcpu.regs.gpr[X86_RAX] = 1000, fake_vcpu.regs.gpr[X86_RDX] = 0;
    fake_data[0] = 7;
    memset(fake_data + 1, 0, 7);
    assert_int_equal(emulate(data_base, PROT_R), 0);
    assert_int_equal(fake_vcpu.regs.gpr[X86_RAX], 142);
    assert_int_equal(fake_vcpu.regs.gpr[X86_RDX], 6);
    at("\xf6\x3b", 2); /* idiv byte [rbx] */
    fake_vcpu.regs.gpr[X86_RAX] = (uint16_t)-100;
    fake_data[0] = 7;
    assert_int_equal(emulate(data_base, PROT_R), 0);
    assert_int_equal(fake_vcpu.regs.gpr[X86_RAX] & 0xffff, (uint8_t)-14 | (uint8_t)-2 << 8);
    /* div byte, quotient too large */
    at("\xf6\x33", 2);
    fake_vcpu.regs.gpr[X86_RAX] = 0x700;
    fake_data[0] = 7;
    assert_int_equal(emulate(data_base, PROT_R), 0);
    assert_int_equal(fake_vcpu.event.vector, X86_DE);
    assert_int_equal(fake_vcpu.regs.pc, (uint64_t)code);
}

static void test_simd(void **state)
{
    (void)state;
    at("\xf3\x0f\x6f\x0b", 4); /* movdqu xmm1, [rbx] */
    memset(fake_xsave, 0, sizeof fake_xsave);
    assert_int_equal(emulate(data_base, PROT_R), 0);
    assert_memory_equal(fake_xsave + 160 + 16, fake_data, 16);
    assert_int_equal(fake_xsave[512] & 2, 2);
    at("\xc5\xfe\x6f\x0b", 4); /* vmovdqu ymm1, [rbx] */
    assert_int_equal(emulate(data_base, PROT_R), 0);
    assert_memory_equal(fake_xsave + 576 + 16, fake_data + 16, 16);
    at("\xc5\xfe\x7f\x4b\x40", 5); /* vmovdqu [rbx + 64], ymm1 */
    assert_int_equal(emulate(data_base + 64, PROT_W), 0);
    for (unsigned i = 0; i < 32; i++)
        assert_int_equal(fake_data[64 + i], i);
    /* movss xmm1, [rbx]: the rest is cleared */
    at("\xf3\x0f\x10\x0b", 4);
    assert_int_equal(emulate(data_base, PROT_R), 0);
    assert_memory_equal(fake_xsave + 160 + 16, "\0\1\2\3\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    assert_int_equal(fake_xsave[576 + 16], 16); /* SSE leaves the upper half */
    at("\x66\x48\x0f\x7e\x4b\x20", 6);          /* movq [rbx + 32], xmm1 */
    assert_int_equal(emulate(data_base + 32, PROT_W), 0);
    assert_memory_equal(fake_data + 32, "\0\1\2\3\0\0\0\0", 8);
}

static void test_modes(void **state)
{
    (void)state;
    fake_mode(32);
    at("\x8b\x03", 2); /* mov eax, [ebx] */
    fake_set(NULL, X86_SEG_BASE + X86_CS, (uint64_t)code);
    fake_vcpu.regs.pc = 0;
    fake_vcpu.regs.gpr[X86_RBX] = 0;
    fake_set(NULL, X86_SEG_BASE + X86_DS, data_base);
    assert_int_equal(emulate(0xfff, PROT_R), 0);
    assert_int_equal(fake_vcpu.regs.pc, 2);
    assert_int_equal(fake_vcpu.regs.gpr[X86_RAX], 0x03020100);
    fake_set(NULL, X86_SEG_LIMIT + X86_DS, 2);
    fake_vcpu.regs.pc = 0;
    assert_int_equal(emulate(0xfff, PROT_R), 0);
    assert_int_equal(fake_vcpu.event.vector, X86_GP);
    fake_mode(16);
    at("\x8b\x40\x01", 3); /* mov ax, [bx + si + 1] */
    fake_set(NULL, X86_SEG_BASE + X86_CS, (uint64_t)code);
    fake_set(NULL, X86_SEG_BASE + X86_DS, data_base);
    fake_vcpu.regs.pc = 0;
    /* wraps at 64 KiB */
    fake_vcpu.regs.gpr[X86_RBX] = 0x10fff0, fake_vcpu.regs.gpr[X86_RSI] = 0x12;
    assert_int_equal(emulate(0xfff, PROT_R), 0);
    assert_int_equal(fake_vcpu.regs.gpr[X86_RAX], 0x0403);
    fake_mode(64);
    memset(fake_regs + (X86_SEG_BASE - X86_CR0), 0, 64);
}

static void test_faults(void **state)
{
    (void)state;
    at("\x8b\x03", 2);
    fake_vcpu.regs.gpr[X86_RBX] = 0x8000000000000000;
    assert_int_equal(emulate(0xfff, PROT_R), 0);
    assert_int_equal(fake_vcpu.event.vector, X86_GP);
    at("\x0f\x0b", 2); /* ud2 */
    assert_int_equal(emulate(0xfff, PROT_R), 0);
    assert_int_equal(fake_vcpu.event.vector, X86_UD);
    at("\x0f\xae\x03", 3); /* fxsave [rbx]: not emulated */
    assert_int_equal(emulate(0xfff, PROT_R), 0);
    assert_int_equal(fake_vcpu.event.vector, X86_UD);
    /* touches nothing: runs again, but not for ever */
    at("\x90", 1);
    for (unsigned i = 0; i < 2000 && fake_vcpu.event.type == VEV_NONE; i++)
        assert_int_equal(emulate(0xfff, PROT_R), 0);
    assert_int_equal(fake_vcpu.event.vector, X86_UD);
    /* delivery of an interrupt hit a device */
    at("\x8b\x03", 2);
    fake_vcpu.event.type = VEV_IRQ;
    assert_true(emulate(0xfff, PROT_R) < 0);
    assert_int_equal(fake_kills, 1);
    fake_vcpu.event.type = VEV_NONE;
}

static void test_string_bound(void **state)
{
    struct vcpu_exit e = { .reason = EXIT_PIO, .pio = { .string = true, .rep = true } };

    (void)state;
    /* rep stosb, far too long for one exit */
    at("\xf3\xaa", 2);
    fake_vcpu.regs.gpr[X86_RCX] = 1000;
    fake_vcpu.regs.gpr[X86_RDI] = data_base + DATA;
    assert_int_equal(emulate(0xfff, PROT_W), 0);
    assert_true(accesses <= 256 && accesses > 0);
    assert_int_equal(fake_vcpu.regs.pc, (uint64_t)code);
    assert_int_equal(fake_vcpu.regs.gpr[X86_RCX], 1000 - accesses);
    at("\xf3\x6d", 2); /* rep insd */
    fake_vcpu.regs.gpr[X86_RCX] = 3;
    fake_vcpu.regs.gpr[X86_RDI] = ram_base;
    assert_int_equal(x86_emulate(&fake_vcpu, &e), 0);
    assert_int_equal(fake_vcpu.regs.pc, (uint64_t)code + 2);
    assert_int_equal(ram64(ram_base), 0x1122334611223345);
    assert_int_equal(accesses, 3);
}

static void test_raise(void **state)
{
    (void)state;
    at("\x90", 1);
    x86_raise(&fake_vcpu, X86_GP, 8);
    assert_true(fake_vcpu.event.has_error && fake_vcpu.event.error == 8);
    x86_raise(&fake_vcpu, X86_NP, 0);
    assert_int_equal(fake_vcpu.event.vector, X86_DF);
    x86_raise(&fake_vcpu, X86_PF, 0);
    assert_int_equal(fake_resets, 1);
    fake_vcpu.event.type = VEV_NONE;
    x86_raise(&fake_vcpu, X86_UD, 0);
    x86_raise(&fake_vcpu, X86_PF, 2);
    assert_int_equal(fake_vcpu.event.vector, X86_PF);
    x86_raise(&fake_vcpu, X86_GP, 0);
    assert_int_equal(fake_vcpu.event.vector, X86_DF);
}

static void test_length(void **state)
{
    (void)state;
    at("\x0f\xa2", 2);
    assert_int_equal(x86_insn_length(&fake_vcpu, 0x0fa2), 2);
    assert_int_equal(x86_insn_length(&fake_vcpu, 0x0fa2), 2);
    at("\x66\xf3\x48\x0f\xa2", 5);
    assert_int_equal(x86_insn_length(&fake_vcpu, 0x0fa2), 5);
    at("\x0f\x01\xd9", 3);
    assert_int_equal(x86_insn_length(&fake_vcpu, 0x0f01d9), 3);
    at("\xf4", 1);
    assert_int_equal(x86_insn_length(&fake_vcpu, 0xf4), 1);
    assert_int_equal(x86_insn_length(&fake_vcpu, 0x0fa2), 0);
    assert_int_equal(fake_vcpu.event.type, VEV_NONE);
}

static int setup(void **state)
{
    (void)state;
    code = mmap((void *)0x10000000, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    native_data = mmap((void *)0x11000000, PAGE_SIZE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code != (void *)0x10000000 || native_data != (void *)0x11000000)
        return -1;
    native_data += 0x340;
    percpus[0].self = &percpus[0];
    fake_reset();
    fake_mode(64);
    data_base = (uint64_t)native_data;
    ram_base = 0x20000000;
    ram_len = sizeof ram;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alu),
        cmocka_unit_test(test_alu_immediate),
        cmocka_unit_test(test_register_forms),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_shifts),
        cmocka_unit_test(test_double_shifts),
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_wide_compare),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_addressing),
        cmocka_unit_test(test_movbe),
        cmocka_unit_test(test_absolute),
        cmocka_unit_test(test_scans),
        cmocka_unit_test(test_bad_targets),
        cmocka_unit_test(test_stack),
        cmocka_unit_test(test_divide),
        cmocka_unit_test(test_simd),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_string_bound),
        cmocka_unit_test(test_raise),
        cmocka_unit_test(test_length),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
