/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The decoder against an oracle: which memory does an instruction name? All opcodes that can name
 * memory, with every ModRM byte, the prefixes that matter, in all three code sizes. The oracle is
 * Zydis' library as Debian ships it, with its operand tables, which Trivet's own build of Zydis
 * leaves out: decode.c has tables of its own in their place.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <Zydis/Zydis.h>
#include "hv/guest/x86_64/insn.h"

static struct {
    ZyanStatus (*init)(ZydisDecoder *, ZydisMachineMode, ZydisStackWidth);
    ZyanStatus (*decode)(const ZydisDecoder *, const void *, ZyanUSize, ZydisDecodedInstruction *,
                         ZydisDecodedOperand *);
    ZyanI8 (*reg_id)(ZydisRegister);
    const char *(*mnemonic)(ZydisMnemonic);
} oracle;

static ZydisDecoder decoder[3];
static const unsigned code_bits[3] = { 16, 32, 64 };
static unsigned compared, refused, invalid;

static int setup(void **state)
{
    static const ZydisMachineMode mode[3] = { ZYDIS_MACHINE_MODE_LEGACY_16,
                                              ZYDIS_MACHINE_MODE_LEGACY_32,
                                              ZYDIS_MACHINE_MODE_LONG_64 };
    static const ZydisStackWidth width[3] = { ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_32,
                                              ZYDIS_STACK_WIDTH_64 };
    void *lib = dlopen("libZydis.so.4.0", RTLD_NOW | RTLD_LOCAL);

    (void)state;
    if (lib == NULL)
        return -1;
    *(void **)&oracle.init = dlsym(lib, "ZydisDecoderInit");
    *(void **)&oracle.decode = dlsym(lib, "ZydisDecoderDecodeFull");
    *(void **)&oracle.reg_id = dlsym(lib, "ZydisRegisterGetId");
    *(void **)&oracle.mnemonic = dlsym(lib, "ZydisMnemonicGetString");
    for (unsigned i = 0; i < 3; i++)
        if (!ZYAN_SUCCESS(oracle.init(&decoder[i], mode[i], width[i])))
            return -1;
    return 0;
}

/* ---- what the oracle says ---- */

struct named {
    bool any, hidden;
    uint8_t seg, base, index, scale;
    uint64_t disp;
    unsigned size;
};

static uint8_t seg_of(ZydisRegister r)
{
    return (uint8_t)(r - ZYDIS_REGISTER_ES); /* ES CS SS DS FS GS, as encoded */
}

static uint8_t gpr_of(ZydisRegister r)
{
    if (r == ZYDIS_REGISTER_NONE)
        return NO_REG;
    return r == ZYDIS_REGISTER_RIP || r == ZYDIS_REGISTER_EIP ? REG_RIP : (uint8_t)oracle.reg_id(r);
}

static uint64_t address_mask(unsigned bits) { return bits == 64 ? UINT64_MAX : (1ull << bits) - 1; }

static uint8_t log2_of(uint8_t scale) { return (uint8_t)(scale <= 1 ? 0 : __builtin_ctz(scale)); }

static struct named named_by(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *op)
{
    struct named n = { .any = false };

    for (unsigned i = 0; i < z->operand_count; i++) {
        if (op[i].type != ZYDIS_OPERAND_TYPE_MEMORY || op[i].mem.type == ZYDIS_MEMOP_TYPE_AGEN)
            continue;
        if (op[i].visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN) {
            n.hidden = true;
            continue;
        }
        n.any = true;
        n.seg = seg_of(op[i].mem.segment);
        n.base = gpr_of(op[i].mem.base);
        n.index = gpr_of(op[i].mem.index);
        n.scale = log2_of(op[i].mem.scale);
        n.disp = (uint64_t)op[i].mem.disp.value & address_mask(z->address_width);
        n.size = op[i].size / 8;
    }
    return n;
}

/* ---- what decode.c says ---- */

static bool is_string(const struct x86_insn *in) { return in->op >= OP_MOVS && in->op <= OP_OUTS; }

static bool names_operand(const struct x86_insn *in)
{
    return in->mem || in->form == FORM_A_OFF || in->form == FORM_OFF_A;
}

/* Bytes of the operand; 0: a hint, which has none. */
static unsigned operand_size(const struct x86_insn *in)
{
    switch (in->op) {
    case OP_NOP: return 0;
    case OP_CMPXCHG8B: return in->size == 8 ? 16 : 8;
    case OP_SETCC: return 1;
    case OP_MOVZX:
    case OP_MOVSX: return in->src_size;
    case OP_FAR: return in->size + 2u;
    default: return in->size;
    }
}

/* Differences are gathered, one line for each mnemonic and kind. */
static unsigned differ;
static struct {
    const char *name, *what;
} told[100];

static void complain(const uint8_t *b, unsigned bits, const char *name, const char *what,
                     uint64_t is, uint64_t want)
{
    unsigned i = 0;

    differ++;
    while (i < ARRAY_SIZE(told) && told[i].name != NULL &&
           (told[i].name != name || told[i].what != what))
        i++;
    if (i == ARRAY_SIZE(told) || told[i].name != NULL)
        return;
    told[i].name = name, told[i].what = what;
    print_error("%02x %02x %02x %02x %02x %02x %02x %02x in %u-bit code (%s): %s is %llx, the "
                "oracle says %llx\n",
                b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], bits, name, what,
                (unsigned long long)is, (unsigned long long)want);
}

#define SAME(what, is, want)                             \
    do {                                                 \
        if ((is) != (want))                              \
            complain(b, bits, name, what, (is), (want)); \
    } while (0)

/*
 * Where the oracle is known to be wrong: it lets REX.B choose R13 as the base where SIB and mod say
 * that there is none. Processors do not (APM vol 3 table A-35, and unit/x86_emulate tries it on
 * this one).
 */
static bool oracle_errs(const struct x86_insn *in, const ZydisDecodedInstruction *z)
{
    return (in->rex & 1) != 0 && z->raw.modrm.mod == 0 && z->raw.modrm.rm == 4 &&
           z->raw.sib.base == 5;
}

static void compare_operand(const struct x86_insn *in, const struct named *n,
                            const ZydisDecodedInstruction *z, const uint8_t *b, unsigned bits,
                            const char *name)
{
    uint64_t mask = address_mask(8u * in->addr_size);

    SAME("a memory operand", names_operand(in), n->any);
    if (!n->any || oracle_errs(in, z))
        return;
    SAME("the base", in->base, n->base);
    SAME("the index", in->index, n->index);
    SAME("the scale", in->index == NO_REG ? 0 : in->scale, n->scale);
    SAME("the displacement", (uint64_t)in->disp & mask, n->disp & mask);
    if (bits != 64 || in->seg >= X86_FS || n->seg >= X86_FS)
        SAME("the segment", in->seg, n->seg);
    if (operand_size(in) != 0)
        SAME("the size", operand_size(in), n->size);
}

/* ---- what is refused ---- */

/* General-purpose instructions that a kernel may use on a device: none of them may be refused. */
static const ZydisMnemonic general[] = {
    ZYDIS_MNEMONIC_MOV,       ZYDIS_MNEMONIC_MOVZX,      ZYDIS_MNEMONIC_MOVSX,
    ZYDIS_MNEMONIC_MOVSXD,    ZYDIS_MNEMONIC_MOVNTI,     ZYDIS_MNEMONIC_MOVBE,
    ZYDIS_MNEMONIC_ADD,       ZYDIS_MNEMONIC_ADC,        ZYDIS_MNEMONIC_SUB,
    ZYDIS_MNEMONIC_SBB,       ZYDIS_MNEMONIC_AND,        ZYDIS_MNEMONIC_OR,
    ZYDIS_MNEMONIC_XOR,       ZYDIS_MNEMONIC_CMP,        ZYDIS_MNEMONIC_TEST,
    ZYDIS_MNEMONIC_INC,       ZYDIS_MNEMONIC_DEC,        ZYDIS_MNEMONIC_NOT,
    ZYDIS_MNEMONIC_NEG,       ZYDIS_MNEMONIC_MUL,        ZYDIS_MNEMONIC_IMUL,
    ZYDIS_MNEMONIC_DIV,       ZYDIS_MNEMONIC_IDIV,       ZYDIS_MNEMONIC_ROL,
    ZYDIS_MNEMONIC_ROR,       ZYDIS_MNEMONIC_RCL,        ZYDIS_MNEMONIC_RCR,
    ZYDIS_MNEMONIC_SHL,       ZYDIS_MNEMONIC_SHR,        ZYDIS_MNEMONIC_SAR,
    ZYDIS_MNEMONIC_SHLD,      ZYDIS_MNEMONIC_SHRD,       ZYDIS_MNEMONIC_BT,
    ZYDIS_MNEMONIC_BTS,       ZYDIS_MNEMONIC_BTR,        ZYDIS_MNEMONIC_BTC,
    ZYDIS_MNEMONIC_BSF,       ZYDIS_MNEMONIC_BSR,        ZYDIS_MNEMONIC_TZCNT,
    ZYDIS_MNEMONIC_LZCNT,     ZYDIS_MNEMONIC_POPCNT,     ZYDIS_MNEMONIC_CRC32,
    ZYDIS_MNEMONIC_XCHG,      ZYDIS_MNEMONIC_XADD,       ZYDIS_MNEMONIC_CMPXCHG,
    ZYDIS_MNEMONIC_CMPXCHG8B, ZYDIS_MNEMONIC_CMPXCHG16B, ZYDIS_MNEMONIC_PUSH,
    ZYDIS_MNEMONIC_POP,       ZYDIS_MNEMONIC_CALL,       ZYDIS_MNEMONIC_JMP,
    ZYDIS_MNEMONIC_SMSW,      ZYDIS_MNEMONIC_SLDT,       ZYDIS_MNEMONIC_STR,
    ZYDIS_MNEMONIC_LLDT,      ZYDIS_MNEMONIC_LTR,
};
static unsigned refusals[ZYDIS_MNEMONIC_MAX_VALUE + 1];

/* One encoding. */
static void check(const uint8_t *b, unsigned len, unsigned mode)
{
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
    ZydisDecodedInstruction z;
    struct x86_insn in;
    struct named n;
    unsigned bits = code_bits[mode];
    int err = x86_decode(&in, b, len, bits);
    const char *name;

    if (!ZYAN_SUCCESS(oracle.decode(&decoder[mode], b, len, &z, op))) {
        invalid++;
        return;
    }
    n = named_by(&z, op);
    name = oracle.mnemonic(z.mnemonic);
    if (err != 0) {
        refused += n.any || n.hidden;
        refusals[z.mnemonic] += n.any;
        return;
    }
    compared++;
    SAME("the length", (unsigned)in.len, (unsigned)z.length);
    SAME("the address size", 8u * in.addr_size, (unsigned)z.address_width);
    if (is_string(&in) || in.op == OP_XLAT)
        return;
    compare_operand(&in, &n, &z, b, bits, name);
}

/* ---- every encoding ---- */

struct prefix_set {
    uint8_t n, b[3];
    bool only64;
};
static const struct prefix_set prefixes[] = {
    { 0, { 0 }, false },          { 1, { 0x66 }, false },      { 1, { 0x67 }, false },
    { 1, { 0xf2 }, false },       { 1, { 0xf3 }, false },      { 2, { 0x66, 0x67 }, false },
    { 1, { 0x26 }, false },       { 1, { 0x36 }, false },      { 1, { 0x64 }, false },
    { 2, { 0x67, 0x65 }, false }, { 1, { 0xf0 }, false },      { 1, { 0x41 }, true },
    { 1, { 0x42 }, true },        { 1, { 0x44 }, true },       { 1, { 0x4e }, true },
    { 2, { 0x66, 0x48 }, true },  { 2, { 0x67, 0x43 }, true }, { 3, { 0x64, 0x26, 0x49 }, true },
};

/* Without and with index and base; RSP as index is none, RBP as base with mod 0 is none. */
static const uint8_t sibs[] = { 0x00, 0x24, 0x25, 0x65, 0x8d, 0xe4 };

/* With a prefix, the opcodes' groups and the ways to address need not be tried in each combination.
 */
static bool worthwhile(unsigned modrm, bool all)
{
    unsigned reg = modrm >> 3 & 7;

    return all || reg == 0 || reg == 7 || (modrm & 7) == 1;
}

/* `at`: where ModRM is. What follows looks like a displacement, then an immediate. */
static void every_modrm(uint8_t *b, unsigned at, unsigned mode, bool all)
{
    static const uint8_t tail[12] = { 0x11, 0xa2, 0x33, 0xc4, 0x55, 0xe6,
                                      0x77, 0x08, 0x19, 0x2a, 0x3b, 0x4c };

    for (unsigned modrm = 0; modrm < 256; modrm++) {
        bool sib = (modrm & 7) == 4 && modrm < 0xc0;

        for (unsigned s = 0; worthwhile(modrm, all) && s < (sib ? ARRAY_SIZE(sibs) : 1); s++) {
            b[at] = (uint8_t)modrm;
            b[at + 1] = sibs[s];
            memcpy(b + at + 1 + sib, tail,
                   14 - at - sib > sizeof tail ? sizeof tail : 14 - at - sib);
            check(b, 15, mode);
        }
    }
}

static void one_map(const uint8_t *escape, unsigned n, unsigned mode)
{
    /* the three-byte maps: only the prefixes that choose */
    unsigned sets = n == 2 ? 5 : ARRAY_SIZE(prefixes);

    for (unsigned p = 0; p < sets; p++) {
        if (prefixes[p].only64 && mode != 2)
            continue;
        for (unsigned opcode = 0; opcode < 256; opcode++) {
            uint8_t b[16] = { 0 };
            unsigned at = prefixes[p].n;

            memcpy(b, prefixes[p].b, at);
            memcpy(b + at, escape, n);
            b[at + n] = (uint8_t)opcode;
            every_modrm(b, at + n + 1, mode, p < 2);
        }
    }
}

/* VEX: C5 (R, vvvv = none, L, pp) and C4 (R X B, map, W L pp). */
static void every_vex(unsigned mode)
{
    for (unsigned v = 0; v < 16; v += mode == 2 ? 1 : 5)
        for (unsigned opcode = 0; opcode < 256; opcode++) {
            uint8_t c5[16] = { 0xc5, (uint8_t)(0x78 | (v & 7) | (v & 8) << 4), (uint8_t)opcode };
            uint8_t c4[16] = { 0xc4, (uint8_t)(v & 8 ? 0xe1 : 0xe2), (uint8_t)(0x78 | (v & 7)),
                               (uint8_t)opcode };

            every_modrm(c5, 3, mode, false);
            every_modrm(c4, 4, mode, false);
        }
}

static void test_every_encoding(void **state)
{
    static const uint8_t map_0f[] = { 0x0f }, map_0f38[] = { 0x0f, 0x38 },
                         map_0f3a[] = { 0x0f, 0x3a };

    (void)state;
    for (unsigned mode = 0; mode < 3; mode++) {
        one_map(map_0f, 0, mode);
        one_map(map_0f, 1, mode);
        one_map(map_0f38, 2, mode);
        one_map(map_0f3a, 2, mode);
        every_vex(mode);
    }
    print_message("%u encodings compared, %u differ; %u name memory and are not emulated; %u are "
                  "no instructions\n",
                  compared, differ, refused, invalid);
    for (unsigned i = 0; i < ARRAY_SIZE(general); i++)
        if (refusals[general[i]] != 0)
            fail_msg("%s with an operand in memory is refused", oracle.mnemonic(general[i]));
    assert_int_equal(differ, 0);
    assert_true(compared > 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_encoding) };

    return cmocka_run_group_tests(tests, setup, NULL);
}
