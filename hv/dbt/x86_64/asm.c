/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The encodings of asm.h: SDM volume 2, chapter 2 (prefixes, ModRM, SIB, REX, VEX) and the
 * instructions' own pages.
 */
#include <string.h>
#include "hv/dbt/x86_64/asm.h"

#define NO_DIGIT 0xff
#define LOCK 0xf0
enum asm_map { MAP_ONE, MAP_0F, MAP_VEX_0F38 };
/* What is a byte register: spl, bpl, sil, dil need a REX prefix. */
#define BYTE_REG 1
#define BYTE_RM 2

struct asm_code {
    uint8_t prefix, map, opcode, digit, bytes;
};
#define PLAIN(op)                   \
    {                               \
        0, MAP_ONE, op, NO_DIGIT, 0 \
    }
#define TWO(prefix, op)                 \
    {                                   \
        prefix, MAP_0F, op, NO_DIGIT, 0 \
    }
#define ONE(op, digit)           \
    {                            \
        0, MAP_ONE, op, digit, 0 \
    }
#define VEX(prefix, op)                       \
    {                                         \
        prefix, MAP_VEX_0F38, op, NO_DIGIT, 0 \
    }

static const struct asm_code asm_table[ASM_OPS] = {
    [ASM_ADD] = PLAIN(0x03),
    [ASM_OR] = PLAIN(0x0b),
    [ASM_AND] = PLAIN(0x23),
    [ASM_SUB] = PLAIN(0x2b),
    [ASM_XOR] = PLAIN(0x33),
    [ASM_CMP] = PLAIN(0x3b),
    [ASM_TEST] = PLAIN(0x85),
    [ASM_MOV] = PLAIN(0x8b),
    [ASM_MOV_STORE] = PLAIN(0x89),
    [ASM_MOV_STORE8] = { 0, MAP_ONE, 0x88, NO_DIGIT, BYTE_REG | BYTE_RM },
    [ASM_MOV_STORE16] = { 0x66, MAP_ONE, 0x89, NO_DIGIT, 0 },
    [ASM_LEA] = PLAIN(0x8d),
    [ASM_XCHG] = PLAIN(0x87),
    [ASM_XADD] = TWO(LOCK, 0xc1),
    [ASM_CMPXCHG] = TWO(LOCK, 0xb1),
    [ASM_IMUL] = TWO(0, 0xaf),
    [ASM_MOVZX8] = { 0, MAP_0F, 0xb6, NO_DIGIT, BYTE_RM },
    [ASM_MOVZX16] = TWO(0, 0xb7),
    [ASM_MOVSX8] = { 0, MAP_0F, 0xbe, NO_DIGIT, BYTE_RM },
    [ASM_MOVSX16] = TWO(0, 0xbf),
    [ASM_MOVSXD] = PLAIN(0x63),
    [ASM_BSF] = TWO(0, 0xbc),
    [ASM_BSR] = TWO(0, 0xbd),
    [ASM_POPCNT] = TWO(0xf3, 0xb8),
    [ASM_SHLX] = VEX(0x66, 0xf7),
    [ASM_SHRX] = VEX(0xf2, 0xf7),
    [ASM_SARX] = VEX(0xf3, 0xf7),
    [ASM_NOT] = ONE(0xf7, 2),
    [ASM_NEG] = ONE(0xf7, 3),
    [ASM_MUL] = ONE(0xf7, 4),
    [ASM_IMUL1] = ONE(0xf7, 5),
    [ASM_DIV] = ONE(0xf7, 6),
    [ASM_IDIV] = ONE(0xf7, 7),
    [ASM_SHL_CL] = ONE(0xd3, 4),
    [ASM_SHR_CL] = ONE(0xd3, 5),
    [ASM_SAR_CL] = ONE(0xd3, 7),
    [ASM_ROL_CL] = ONE(0xd3, 0),
    [ASM_ROR_CL] = ONE(0xd3, 1),
    [ASM_JMP_RM] = ONE(0xff, 4),
    [ASM_CALL_RM] = ONE(0xff, 2),
    [ASM_LDMXCSR] = { 0, MAP_0F, 0xae, 2, 0 },
    [ASM_STMXCSR] = { 0, MAP_0F, 0xae, 3, 0 },
    [ASM_MOVSD] = TWO(0xf2, 0x10),
    [ASM_MOVSS] = TWO(0xf3, 0x10),
    [ASM_MOVSD_STORE] = TWO(0xf2, 0x11),
    [ASM_MOVSS_STORE] = TWO(0xf3, 0x11),
    [ASM_MOVAPS] = TWO(0, 0x28),
    [ASM_MOVQ_TO_X] = TWO(0x66, 0x6e),
    [ASM_MOVQ_FROM_X] = TWO(0x66, 0x7e),
    [ASM_ADDSD] = TWO(0xf2, 0x58),
    [ASM_ADDSS] = TWO(0xf3, 0x58),
    [ASM_SUBSD] = TWO(0xf2, 0x5c),
    [ASM_SUBSS] = TWO(0xf3, 0x5c),
    [ASM_MULSD] = TWO(0xf2, 0x59),
    [ASM_MULSS] = TWO(0xf3, 0x59),
    [ASM_DIVSD] = TWO(0xf2, 0x5e),
    [ASM_DIVSS] = TWO(0xf3, 0x5e),
    [ASM_SQRTSD] = TWO(0xf2, 0x51),
    [ASM_SQRTSS] = TWO(0xf3, 0x51),
    [ASM_UCOMISD] = TWO(0x66, 0x2e),
    [ASM_UCOMISS] = TWO(0, 0x2e),
    [ASM_COMISD] = TWO(0x66, 0x2f),
    [ASM_COMISS] = TWO(0, 0x2f),
    [ASM_XORPS] = TWO(0, 0x57),
    [ASM_ORPS] = TWO(0, 0x56),
    [ASM_CVTSD2SS] = TWO(0xf2, 0x5a),
    [ASM_CVTSS2SD] = TWO(0xf3, 0x5a),
    [ASM_CVTSI2SD] = TWO(0xf2, 0x2a),
    [ASM_CVTSI2SS] = TWO(0xf3, 0x2a),
    [ASM_CVTTSD2SI] = TWO(0xf2, 0x2c),
    [ASM_CVTTSS2SI] = TWO(0xf3, 0x2c),
    [ASM_VFMADD213SD] = VEX(0x66, 0xa9),
    [ASM_VFMADD213SS] = VEX(0x66, 0xa9),
};

static void asm_byte(struct asm_buf *b, unsigned v)
{
    if (b->at == b->end)
        b->full = true;
    else
        *b->at++ = (uint8_t)v;
}

void asm_bytes(struct asm_buf *b, const void *p, size_t n)
{
    if ((size_t)(b->end - b->at) < n) {
        b->full = true;
        return;
    }
    memcpy(b->at, p, n);
    b->at += n;
}

static void asm_long(struct asm_buf *b, int32_t v) { asm_bytes(b, &v, 4); }

static void asm_modrm(struct asm_buf *b, unsigned reg, struct asm_rm rm)
{
    unsigned low = rm.base & 7, mod = 2, field = (reg & 7) << 3;

    if (!rm.mem) {
        asm_byte(b, 0xc0 | field | low);
        return;
    }
    if (rm.disp == 0 && low != RBP)
        mod = 0;
    else if (rm.disp == (int8_t)rm.disp)
        mod = 1;
    if (low == RSP || rm.index != RSP) {
        asm_byte(b, mod << 6 | field | 4);
        asm_byte(b, (rm.index & 7u) << 3 | low);
    } else {
        asm_byte(b, mod << 6 | field | low);
    }
    if (mod == 1)
        asm_byte(b, (uint8_t)rm.disp);
    else if (mod == 2)
        asm_long(b, rm.disp);
}

static void asm_rex(struct asm_buf *b, bool w, unsigned reg, struct asm_rm rm, bool needed)
{
    unsigned index = rm.mem ? rm.index : 0;
    unsigned rex = (w ? 8u : 0) | (reg & 8) >> 1 | (index & 8) >> 2 | (rm.base & 8) >> 3;

    if (rex || needed)
        asm_byte(b, 0x40 | rex);
}

static void asm_vex(struct asm_buf *b, const struct asm_code *c, bool w, unsigned reg,
                    struct asm_rm rm, unsigned third)
{
    unsigned index = rm.mem ? rm.index : 0;
    unsigned pp = c->prefix == 0x66 ? 1 : c->prefix == 0xf3 ? 2 : 3;

    asm_byte(b, 0xc4);
    asm_byte(b, (~(reg & 8) & 8) << 4 | (~(index & 8) & 8) << 3 | (~(rm.base & 8u) & 8) << 2 | 2);
    asm_byte(b, (w ? 0x80u : 0) | (~third & 15) << 3 | pp);
    asm_byte(b, c->opcode);
    asm_modrm(b, reg, rm);
}

static void asm_encode(struct asm_buf *b, const struct asm_code *c, bool w, unsigned reg,
                       struct asm_rm rm)
{
    bool byte =
        (c->bytes & BYTE_REG && reg >= 4) || (c->bytes & BYTE_RM && !rm.mem && rm.base >= 4);

    if (c->prefix)
        asm_byte(b, c->prefix);
    asm_rex(b, w, reg, rm, byte);
    if (c->map == MAP_0F)
        asm_byte(b, 0x0f);
    asm_byte(b, c->opcode);
    asm_modrm(b, reg, rm);
}

void asm_op3(struct asm_buf *b, enum asm_op op, bool w, unsigned reg, struct asm_rm rm,
             unsigned third)
{
    const struct asm_code *c = &asm_table[op];

    if (c->map == MAP_VEX_0F38)
        asm_vex(b, c, op == ASM_VFMADD213SD || (w && op != ASM_VFMADD213SS), reg, rm, third);
    else
        asm_encode(b, c, w, c->digit == NO_DIGIT ? reg : c->digit, rm);
}

void asm_imm(struct asm_buf *b, enum asm_op op, bool w, struct asm_rm rm, int32_t imm)
{
    bool small = imm == (int8_t)imm;
    struct asm_code c = ONE(small ? 0x83 : 0x81, asm_table[op].opcode >> 3);

    asm_encode(b, &c, w, c.digit, rm);
    if (small)
        asm_byte(b, (uint8_t)imm);
    else
        asm_long(b, imm);
}

void asm_test_imm(struct asm_buf *b, bool w, struct asm_rm rm, int32_t imm)
{
    static const struct asm_code c = ONE(0xf7, 0);

    asm_encode(b, &c, w, 0, rm);
    asm_long(b, imm);
}

void asm_imul_imm(struct asm_buf *b, bool w, unsigned reg, struct asm_rm rm, int32_t imm)
{
    static const struct asm_code c = PLAIN(0x69);

    asm_encode(b, &c, w, reg, rm);
    asm_long(b, imm);
}

void asm_shift(struct asm_buf *b, enum asm_op op, bool w, struct asm_rm rm, unsigned count)
{
    struct asm_code c = ONE(0xc1, asm_table[op].digit);

    asm_encode(b, &c, w, c.digit, rm);
    asm_byte(b, count);
}

void asm_mov_imm(struct asm_buf *b, unsigned reg, uint64_t v)
{
    static const struct asm_code c = ONE(0xc7, 0);

    if (v <= UINT32_MAX) {
        asm_rex(b, false, 0, asm_r(reg), false);
        asm_byte(b, 0xb8 | (reg & 7));
        asm_long(b, (int32_t)(uint32_t)v);
    } else if ((int64_t)v == (int32_t)v) {
        asm_encode(b, &c, true, 0, asm_r(reg));
        asm_long(b, (int32_t)v);
    } else {
        asm_rex(b, true, 0, asm_r(reg), false);
        asm_byte(b, 0xb8 | (reg & 7));
        asm_bytes(b, &v, 8);
    }
}

void asm_mov_store_imm(struct asm_buf *b, bool w, struct asm_rm rm, int32_t imm)
{
    static const struct asm_code c = ONE(0xc7, 0);

    asm_encode(b, &c, w, 0, rm);
    asm_long(b, imm);
}

void asm_bswap(struct asm_buf *b, bool w, unsigned reg)
{
    asm_rex(b, w, 0, asm_r(reg), false);
    asm_byte(b, 0x0f);
    asm_byte(b, 0xc8 | (reg & 7));
}

void asm_setcc(struct asm_buf *b, enum asm_cond c, unsigned reg)
{
    struct asm_code code = { 0, MAP_0F, (uint8_t)(0x90 | c), 0, BYTE_RM };

    asm_encode(b, &code, false, 0, asm_r(reg));
}

void asm_cmov(struct asm_buf *b, enum asm_cond c, bool w, unsigned reg, struct asm_rm rm)
{
    struct asm_code code = { 0, MAP_0F, (uint8_t)(0x40 | c), NO_DIGIT, 0 };

    asm_encode(b, &code, w, reg, rm);
}

void asm_mfence(struct asm_buf *b)
{
    static const uint8_t mfence[] = { 0x0f, 0xae, 0xf0 };

    asm_bytes(b, mfence, sizeof mfence);
}

void asm_cqo(struct asm_buf *b, bool w)
{
    if (w)
        asm_byte(b, 0x48);
    asm_byte(b, 0x99);
}

void asm_push(struct asm_buf *b, unsigned reg)
{
    asm_rex(b, false, 0, asm_r(reg), false);
    asm_byte(b, 0x50 | (reg & 7));
}

void asm_pop(struct asm_buf *b, unsigned reg)
{
    asm_rex(b, false, 0, asm_r(reg), false);
    asm_byte(b, 0x58 | (reg & 7));
}

void asm_ret(struct asm_buf *b) { asm_byte(b, 0xc3); }

static uint8_t *asm_relative(struct asm_buf *b)
{
    asm_long(b, 0);
    return b->at - (b->full ? 0 : 4);
}

uint8_t *asm_jcc(struct asm_buf *b, enum asm_cond c)
{
    asm_byte(b, 0x0f);
    asm_byte(b, 0x80u | c);
    return asm_relative(b);
}

uint8_t *asm_jmp(struct asm_buf *b)
{
    asm_byte(b, 0xe9);
    return asm_relative(b);
}

uint8_t *asm_call(struct asm_buf *b)
{
    asm_byte(b, 0xe8);
    return asm_relative(b);
}

void asm_patch(struct asm_buf *b, uint8_t *at, const uint8_t *target)
{
    int32_t d = (int32_t)(target - (at + 4));

    if (!b->full)
        memcpy(at, &d, 4);
}
