/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each encoding of the emitter's assembler, with every register and form of operand, against Zydis'
 * library as Debian ships it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <Zydis/Zydis.h>
#include "hv/dbt/x86_64/asm.h"

static struct {
    ZyanStatus (*init)(ZydisDecoder *, ZydisMachineMode, ZydisStackWidth);
    ZyanStatus (*decode)(const ZydisDecoder *, const void *, ZyanUSize, ZydisDecodedInstruction *,
                         ZydisDecodedOperand *);
    ZyanI8 (*reg_id)(ZydisRegister);
    const char *(*mnemonic)(ZydisMnemonic);
} oracle;
static ZydisDecoder decoder;
static ZydisDecodedInstruction insn;
static ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
static uint8_t bytes[8192]; /* only the first are written */
static struct asm_buf buf;
#define ROOM 32

static int load_oracle(void **state)
{
    void *lib = dlopen("libZydis.so.4.0", RTLD_NOW | RTLD_LOCAL);

    (void)state;
    if (!lib)
        return -1;
    *(void **)&oracle.init = dlsym(lib, "ZydisDecoderInit");
    *(void **)&oracle.decode = dlsym(lib, "ZydisDecoderDecodeFull");
    *(void **)&oracle.reg_id = dlsym(lib, "ZydisRegisterGetId");
    *(void **)&oracle.mnemonic = dlsym(lib, "ZydisMnemonicGetString");
    oracle.init(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    return 0;
}

static struct asm_buf *fresh(void)
{
    memset(bytes, 0x90, ROOM);
    buf = (struct asm_buf){ bytes, bytes + ROOM, false };
    return &buf;
}

/* The bytes are one instruction of that name. */
static void is(const char *name)
{
    assert_false(buf.full);
    assert_true(ZYAN_SUCCESS(oracle.decode(&decoder, bytes, ROOM, &insn, operand)));
    assert_int_equal(insn.length, buf.at - bytes);
    assert_string_equal(oracle.mnemonic(insn.mnemonic), name);
}

static void is_reg(unsigned at, unsigned reg, unsigned bits)
{
    assert_int_equal(operand[at].type, ZYDIS_OPERAND_TYPE_REGISTER);
    /* among the byte registers ah, ch, dh and bh come before spl */
    assert_int_equal(oracle.reg_id(operand[at].reg.value), bits == 8 && reg > 3 ? reg + 4 : reg);
    if (bits == 128) /* a scalar's operand may be called 32 or 64 bits wide */
        assert_true(operand[at].reg.value >= ZYDIS_REGISTER_XMM0 &&
                    operand[at].reg.value <= ZYDIS_REGISTER_XMM15);
    else
        assert_int_equal(operand[at].size, bits);
}

static void is_rm(unsigned at, struct asm_rm rm, unsigned bits)
{
    if (!rm.mem) {
        is_reg(at, rm.base, bits);
        return;
    }
    assert_int_equal(operand[at].type, ZYDIS_OPERAND_TYPE_MEMORY);
    assert_int_equal(operand[at].mem.base, (int)ZYDIS_REGISTER_RAX + rm.base);
    assert_int_equal(operand[at].mem.index,
                     rm.index == RSP ? ZYDIS_REGISTER_NONE : (int)ZYDIS_REGISTER_RAX + rm.index);
    assert_int_equal(operand[at].mem.disp.has_displacement ? operand[at].mem.disp.value : 0,
                     rm.disp);
    if (rm.index != RSP)
        assert_int_equal(operand[at].mem.scale, 1);
    if (bits)
        assert_int_equal(operand[at].size, bits);
}

/* Every form: registers, and memory with each base, index and width of displacement. */
static unsigned form(unsigned n, struct asm_rm *rm)
{
    static const int32_t disps[] = { 0, 8, -128, 127, 128, -129, INT32_MAX, INT32_MIN };

    if (n < 16)
        *rm = asm_r(n);
    else if (n < 16 + 16 * 8)
        *rm = asm_m((n - 16) / 8, disps[(n - 16) % 8]);
    else
        *rm = asm_mx((n - 144) / 16 % 16, (n - 144) % 16, disps[n % 8]);
    return n < 144 + 256 * 2;
}

/* Where the reg and rm fields are among the operands, and their sizes: 0, as W says; -1: absent. */
struct row {
    uint8_t op;
    const char *name;
    int8_t reg_at, rm_at;
    int16_t reg_bits, rm_bits;
    bool no_reg_form, no_mem_form, narrow, wide;
};
#define ALU(op, name)                    \
    {                                    \
        op, name, 0, 1, 0, 0, 0, 0, 1, 1 \
    }
#define ONE(op, name)                     \
    {                                     \
        op, name, -1, 0, 0, 0, 0, 0, 1, 1 \
    }
#define SSE(op, name, bits)                   \
    {                                         \
        op, name, 0, 1, 128, bits, 0, 0, 1, 0 \
    }
static const struct row rows[] = {
    ALU(ASM_ADD, "add"),
    ALU(ASM_OR, "or"),
    ALU(ASM_AND, "and"),
    ALU(ASM_SUB, "sub"),
    ALU(ASM_XOR, "xor"),
    ALU(ASM_CMP, "cmp"),
    { ASM_TEST, "test", 1, 0, 0, 0, 0, 0, 1, 1 },
    ALU(ASM_MOV, "mov"),
    { ASM_MOV_STORE, "mov", 1, 0, 0, 0, 0, 0, 1, 1 },
    { ASM_MOV_STORE8, "mov", 1, 0, 8, 8, 0, 0, 1, 0 },
    { ASM_MOV_STORE16, "mov", 1, 0, 16, 16, 0, 0, 1, 0 },
    { ASM_LEA, "lea", 0, 1, 0, 0, 1, 0, 1, 1 },
    { ASM_XCHG, "xchg", 1, 0, 0, 0, 1, 0, 1, 1 },
    { ASM_XADD, "xadd", 1, 0, 0, 0, 1, 0, 1, 1 },
    { ASM_CMPXCHG, "cmpxchg", 1, 0, 0, 0, 1, 0, 1, 1 },
    ALU(ASM_IMUL, "imul"),
    { ASM_MOVZX8, "movzx", 0, 1, 0, 8, 0, 0, 1, 1 },
    { ASM_MOVZX16, "movzx", 0, 1, 0, 16, 0, 0, 1, 1 },
    { ASM_MOVSX8, "movsx", 0, 1, 0, 8, 0, 0, 1, 1 },
    { ASM_MOVSX16, "movsx", 0, 1, 0, 16, 0, 0, 1, 1 },
    { ASM_MOVSXD, "movsxd", 0, 1, 64, 32, 0, 0, 0, 1 },
    ALU(ASM_BSF, "bsf"),
    ALU(ASM_BSR, "bsr"),
    ALU(ASM_POPCNT, "popcnt"),
    ALU(ASM_SHLX, "shlx"),
    ALU(ASM_SHRX, "shrx"),
    ALU(ASM_SARX, "sarx"),
    ONE(ASM_NOT, "not"),
    ONE(ASM_NEG, "neg"),
    ONE(ASM_MUL, "mul"),
    ONE(ASM_IMUL1, "imul"),
    ONE(ASM_DIV, "div"),
    ONE(ASM_IDIV, "idiv"),
    ONE(ASM_SHL_CL, "shl"),
    ONE(ASM_SHR_CL, "shr"),
    ONE(ASM_SAR_CL, "sar"),
    ONE(ASM_ROL_CL, "rol"),
    ONE(ASM_ROR_CL, "ror"),
    { ASM_JMP_RM, "jmp", -1, 0, 0, 64, 0, 0, 1, 0 },
    { ASM_CALL_RM, "call", -1, 0, 0, 64, 0, 0, 1, 0 },
    { ASM_LDMXCSR, "ldmxcsr", -1, 0, 0, 32, 1, 0, 1, 0 },
    { ASM_STMXCSR, "stmxcsr", -1, 0, 0, 32, 1, 0, 1, 0 },
    SSE(ASM_MOVSD, "movsd", -64),
    SSE(ASM_MOVSS, "movss", -32),
    { ASM_MOVSD_STORE, "movsd", 1, 0, 128, -64, 0, 0, 1, 0 },
    { ASM_MOVSS_STORE, "movss", 1, 0, 128, -32, 0, 0, 1, 0 },
    SSE(ASM_MOVAPS, "movaps", 128),
    { ASM_MOVQ_TO_X, "movd", 0, 1, 128, 32, 0, 0, 1, 0 },
    { ASM_MOVQ_TO_X, "movq", 0, 1, 128, 64, 0, 0, 0, 1 },
    { ASM_MOVQ_FROM_X, "movd", 1, 0, 128, 32, 0, 0, 1, 0 },
    { ASM_MOVQ_FROM_X, "movq", 1, 0, 128, 64, 0, 0, 0, 1 },
    SSE(ASM_ADDSD, "addsd", -64),
    SSE(ASM_ADDSS, "addss", -32),
    SSE(ASM_SUBSD, "subsd", -64),
    SSE(ASM_SUBSS, "subss", -32),
    SSE(ASM_MULSD, "mulsd", -64),
    SSE(ASM_MULSS, "mulss", -32),
    SSE(ASM_DIVSD, "divsd", -64),
    SSE(ASM_DIVSS, "divss", -32),
    SSE(ASM_SQRTSD, "sqrtsd", -64),
    SSE(ASM_SQRTSS, "sqrtss", -32),
    SSE(ASM_UCOMISD, "ucomisd", -64),
    SSE(ASM_UCOMISS, "ucomiss", -32),
    SSE(ASM_COMISD, "comisd", -64),
    SSE(ASM_COMISS, "comiss", -32),
    SSE(ASM_XORPS, "xorps", 128),
    SSE(ASM_ORPS, "orps", 128),
    SSE(ASM_CVTSD2SS, "cvtsd2ss", -64),
    SSE(ASM_CVTSS2SD, "cvtss2sd", -32),
    { ASM_CVTSI2SD, "cvtsi2sd", 0, 1, 128, 0, 0, 0, 1, 1 },
    { ASM_CVTSI2SS, "cvtsi2ss", 0, 1, 128, 0, 0, 0, 1, 1 },
    { ASM_CVTTSD2SI, "cvttsd2si", 0, 1, 0, -64, 0, 0, 1, 1 },
    { ASM_CVTTSS2SI, "cvttss2si", 0, 1, 0, -32, 0, 0, 1, 1 },
    { ASM_VFMADD213SD, "vfmadd213sd", 0, 2, 128, -64, 0, 0, 1, 0 },
    { ASM_VFMADD213SS, "vfmadd213ss", 0, 2, 128, -32, 0, 0, 1, 0 },
};

/* A negative size is that of memory; a register is a whole xmm. */
static unsigned bits_of(int bits, bool w, bool mem)
{
    return bits > 0 ? (unsigned)bits : bits < 0 ? (mem ? (unsigned)-bits : 128u) : w ? 64 : 32;
}

static void check(const struct row *r, bool w, unsigned reg, struct asm_rm rm)
{
    unsigned third = (reg * 7 + 3) & 15;

    if ((rm.mem && r->no_mem_form) || (!rm.mem && r->no_reg_form))
        return;
    asm_op3(fresh(), r->op, w, reg, rm, third);
    is(r->name);
    if (r->reg_at >= 0)
        is_reg((unsigned)r->reg_at, reg, bits_of(r->reg_bits, w, false));
    is_rm((unsigned)r->rm_at, rm, r->op == ASM_LEA ? 0 : bits_of(r->rm_bits, w, rm.mem));
    if (r->op == ASM_SHLX || r->op == ASM_SHRX || r->op == ASM_SARX)
        is_reg(2, third, w ? 64 : 32);
    if (r->rm_at == 2)
        is_reg(1, third, 128);
    assert_int_equal(!!(insn.attributes & ZYDIS_ATTRIB_HAS_LOCK),
                     r->op == ASM_XADD || r->op == ASM_CMPXCHG);
}

static void all_operations(void **state)
{
    bool seen[ASM_OPS] = { false };
    struct asm_rm rm;

    (void)state;
    for (unsigned k = 0; k < ARRAY_SIZE(rows); k++) {
        seen[rows[k].op] = true;
        for (unsigned n = 0; form(n, &rm); n++)
            for (unsigned reg = 0; reg < 16; reg++) {
                if (rows[k].narrow)
                    check(&rows[k], false, reg, rm);
                if (rows[k].wide)
                    check(&rows[k], true, reg, rm);
            }
    }
    for (unsigned k = 0; k < ASM_OPS; k++)
        if (!seen[k])
            fail_msg("operation %u is not tested", k);
}

static const int32_t numbers[] = { 0, 1, -1, 127, -128, 128, -129, 4096, INT32_MAX, INT32_MIN };

static void immediates(void **state)
{
    static const struct {
        uint8_t op;
        const char *name;
    } alu[] = { { ASM_ADD, "add" }, { ASM_OR, "or" },   { ASM_AND, "and" },
                { ASM_SUB, "sub" }, { ASM_XOR, "xor" }, { ASM_CMP, "cmp" } };
    struct asm_rm rm;

    (void)state;
    for (unsigned n = 0; form(n, &rm); n++)
        for (unsigned w = 0; w < 2; w++) {
            int32_t v = numbers[n % ARRAY_SIZE(numbers)];
            for (unsigned k = 0; k < ARRAY_SIZE(alu); k++) {
                asm_imm(fresh(), alu[k].op, w, rm, v);
                is(alu[k].name);
                is_rm(0, rm, w ? 64 : 32);
                assert_int_equal((int32_t)operand[1].imm.value.s, v);
            }
            asm_test_imm(fresh(), w, rm, v);
            is("test");
            is_rm(0, rm, w ? 64 : 32);
            assert_int_equal((int32_t)operand[1].imm.value.s, v);
            asm_mov_store_imm(fresh(), w, rm, v);
            is("mov");
            is_rm(0, rm, w ? 64 : 32);
            assert_int_equal((int32_t)operand[1].imm.value.s, v);
            asm_imul_imm(fresh(), w, n & 15, rm, v);
            is("imul");
            is_reg(0, n & 15, w ? 64 : 32);
            is_rm(1, rm, w ? 64 : 32);
            assert_int_equal((int32_t)operand[2].imm.value.s, v);
        }
}

static void shifts_and_conditions(void **state)
{
    static const char *const set[] = { "seto",  "setno",  "setb",  "setnb", "setz", "setnz",
                                       "setbe", "setnbe", "sets",  "setns", "setp", "setnp",
                                       "setl",  "setnl",  "setle", "setnle" };
    static const char *const names[] = { "shl", "shr", "sar", "rol", "ror" };
    struct asm_rm rm;
    char name[16];

    (void)state;
    for (unsigned n = 0; form(n, &rm); n++)
        for (unsigned w = 0; w < 2; w++)
            for (unsigned k = 0; k < 5; k++) {
                asm_shift(fresh(), (enum asm_op)(ASM_SHL_CL + k), w, rm, 1 + n % 31);
                is(names[k]);
                is_rm(0, rm, w ? 64 : 32);
                assert_int_equal(operand[1].imm.value.u, 1 + n % 31);
            }
    for (unsigned c = 0; c < 16; c++)
        for (unsigned reg = 0; reg < 16; reg++) {
            asm_setcc(fresh(), (enum asm_cond)c, reg);
            is(set[c]);
            is_reg(0, reg, 8);
            asm_cmov(fresh(), (enum asm_cond)c, reg & 1, reg, asm_r(15 - reg));
            snprintf(name, sizeof name, "cmov%s", set[c] + 3);
            is(name);
            is_reg(0, reg, reg & 1 ? 64 : 32);
            is_reg(1, 15 - reg, reg & 1 ? 64 : 32);
            uint8_t *at = asm_jcc(fresh(), (enum asm_cond)c);
            asm_patch(&buf, at, bytes + 0x1234);
            snprintf(name, sizeof name, "j%s", set[c] + 3);
            is(name);
            assert_int_equal(operand[0].imm.value.s + insn.length, 0x1234);
        }
}

static void rest(void **state)
{
    static const uint64_t values[] = {
        0,          1,          0x7fffffff,         0x80000000,        0xffffffff,
        1ull << 32, UINT64_MAX, 0xffffffff80000000, 0x123456789abcdef0
    };

    (void)state;
    for (unsigned r = 0; r < 16; r++) {
        for (unsigned k = 0; k < ARRAY_SIZE(values); k++) {
            asm_mov_imm(fresh(), r, values[k]);
            is("mov");
            is_reg(0, r, values[k] <= UINT32_MAX ? 32 : 64);
            uint64_t v = operand[1].imm.value.u;
            assert_true((operand[0].size == 32 ? (uint32_t)v : v) == values[k]);
        }
        for (unsigned w = 0; w < 2; w++) {
            asm_bswap(fresh(), w, r);
            is("bswap");
            is_reg(0, r, w ? 64 : 32);
        }
        asm_push(fresh(), r);
        is("push");
        is_reg(0, r, 64);
        asm_pop(fresh(), r);
        is("pop");
        is_reg(0, r, 64);
    }
    asm_cqo(fresh(), true);
    is("cqo");
    asm_cqo(fresh(), false);
    is("cdq");
    asm_mfence(fresh());
    is("mfence");
    asm_ret(fresh());
    is("ret");
    asm_patch(&buf, asm_jmp(fresh()), bytes + 200);
    is("jmp");
    assert_int_equal(operand[0].imm.value.s + insn.length, 200);
    asm_patch(&buf, asm_call(fresh()), bytes + 100);
    is("call");
    assert_int_equal(operand[0].imm.value.s + insn.length, 100);
}

/* What does not fit writes nothing behind the end. */
static void no_room(void **state)
{
    (void)state;
    for (unsigned room = 0; room < 14; room++) {
        fresh();
        buf.end = bytes + room;
        asm_op(&buf, ASM_ADD, true, R15, asm_mx(R14, R13, 0x12345678));
        asm_patch(&buf, asm_jmp(&buf), bytes);
        asm_mov_imm(&buf, RAX, 1ull << 60);
        assert_true(buf.full);
        for (unsigned k = room; k < ROOM; k++)
            assert_int_equal(bytes[k], 0x90);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_operations),
        cmocka_unit_test(immediates),
        cmocka_unit_test(shifts_and_conditions),
        cmocka_unit_test(rest),
        cmocka_unit_test(no_room),
    };

    return cmocka_run_group_tests(tests, load_oracle, NULL);
}
