/* SPDX-License-Identifier: BSD-2-Clause */
/* Arithmetic on x registers: RV64I, M, Zba, Zbb and Zbs, one function for each operation. */
#include "ops.h"

static int64_t s64(uint64_t v) { return (int64_t)v; }
static int32_t s32(uint64_t v) { return (int32_t)v; }
static uint32_t u32(uint64_t v) { return (uint32_t)v; }
static uint64_t u64(int64_t v) { return (uint64_t)v; }
static uint64_t sx(uint64_t v) { return u64(s32(v)); } /* a word, sign-extended */
static uint64_t imm(const struct rv_insn *i) { return u64(i->imm); }
static unsigned sh6(const struct rv_hart *h, const struct rv_insn *i) { return rv_x2(h, i) & 63; }
static unsigned sh5(const struct rv_hart *h, const struct rv_insn *i) { return rv_x2(h, i) & 31; }

static uint64_t mulh_uu(uint64_t a, uint64_t b)
{
    return (uint64_t)((unsigned __int128)a * b >> 64);
}

static uint64_t mulh_ss(uint64_t a, uint64_t b)
{
    return (uint64_t)((__int128)s64(a) * s64(b) >> 64);
}

static uint64_t mulh_su(uint64_t a, uint64_t b) { return mulh_uu(a, b) - (s64(a) < 0 ? b : 0); }

/* Division by zero and overflow do not trap: volume I, table 7.1. */
static uint64_t div_u(uint64_t a, uint64_t b) { return b ? a / b : UINT64_MAX; }
static uint64_t rem_u(uint64_t a, uint64_t b) { return b ? a % b : a; }

static uint64_t div_s(uint64_t a, uint64_t b)
{
    if (b == UINT64_MAX)
        return -a;
    return b ? u64(s64(a) / s64(b)) : UINT64_MAX;
}

static uint64_t rem_s(uint64_t a, uint64_t b)
{
    if (b == UINT64_MAX)
        return 0;
    return b ? u64(s64(a) % s64(b)) : a;
}

static uint64_t clz(uint64_t v) { return v ? (unsigned)__builtin_clzll(v) : 64; }
static uint64_t ctz(uint64_t v) { return v ? (unsigned)__builtin_ctzll(v) : 64; }

static uint64_t cpop(uint64_t v)
{
    v -= v >> 1 & 0x5555555555555555;
    v = (v & 0x3333333333333333) + (v >> 2 & 0x3333333333333333);
    v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0f;
    return v * 0x0101010101010101 >> 56;
}

static uint64_t rotr(uint64_t v, unsigned by) { return v >> (by & 63) | v << (-by & 63); }
static uint32_t rotr32(uint32_t v, unsigned by) { return v >> (by & 31) | v << (-by & 31); }

/* Each byte that is not zero becomes all ones. */
static uint64_t orc_b(uint64_t v)
{
    v |= v >> 4 & 0x0f0f0f0f0f0f0f0f;
    v |= v >> 2 & 0x3333333333333333;
    v |= v >> 1 & 0x5555555555555555;
    return (v & 0x0101010101010101) * 255;
}

/* RV64I: volume I, 2.4 and 5.2 */
void rv_do_lui(struct rv_hart *h, const struct rv_insn *i) { rv_set(h, i, imm(i)); }
void rv_do_auipc(struct rv_hart *h, const struct rv_insn *i) { rv_set(h, i, h->cpu.pc + imm(i)); }
void rv_do_addi(struct rv_hart *h, const struct rv_insn *i) { rv_set(h, i, rv_x1(h, i) + imm(i)); }
void rv_do_slti(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, s64(rv_x1(h, i)) < s64(imm(i)));
}
void rv_do_sltiu(struct rv_hart *h, const struct rv_insn *i) { rv_set(h, i, rv_x1(h, i) < imm(i)); }
void rv_do_xori(struct rv_hart *h, const struct rv_insn *i) { rv_set(h, i, rv_x1(h, i) ^ imm(i)); }
void rv_do_ori(struct rv_hart *h, const struct rv_insn *i) { rv_set(h, i, rv_x1(h, i) | imm(i)); }
void rv_do_andi(struct rv_hart *h, const struct rv_insn *i) { rv_set(h, i, rv_x1(h, i) & imm(i)); }
void rv_do_slli(struct rv_hart *h, const struct rv_insn *i) { rv_set(h, i, rv_x1(h, i) << i->imm); }
void rv_do_srli(struct rv_hart *h, const struct rv_insn *i) { rv_set(h, i, rv_x1(h, i) >> i->imm); }
void rv_do_srai(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, u64(s64(rv_x1(h, i)) >> i->imm));
}
void rv_do_add(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rv_x1(h, i) + rv_x2(h, i));
}
void rv_do_sub(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rv_x1(h, i) - rv_x2(h, i));
}
void rv_do_sll(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rv_x1(h, i) << sh6(h, i));
}
void rv_do_slt(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, s64(rv_x1(h, i)) < s64(rv_x2(h, i)));
}
void rv_do_sltu(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rv_x1(h, i) < rv_x2(h, i));
}
void rv_do_xor(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rv_x1(h, i) ^ rv_x2(h, i));
}
void rv_do_srl(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rv_x1(h, i) >> sh6(h, i));
}
void rv_do_sra(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, u64(s64(rv_x1(h, i)) >> sh6(h, i)));
}
void rv_do_or(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rv_x1(h, i) | rv_x2(h, i));
}
void rv_do_and(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rv_x1(h, i) & rv_x2(h, i));
}
void rv_do_addiw(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set_w(h, i, rv_x1(h, i) + imm(i));
}
void rv_do_slliw(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set_w(h, i, rv_x1(h, i) << i->imm);
}
void rv_do_srliw(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set_w(h, i, u32(rv_x1(h, i)) >> i->imm);
}
void rv_do_sraiw(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set_w(h, i, u64(s32(rv_x1(h, i)) >> i->imm));
}
void rv_do_addw(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set_w(h, i, rv_x1(h, i) + rv_x2(h, i));
}
void rv_do_subw(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set_w(h, i, rv_x1(h, i) - rv_x2(h, i));
}
void rv_do_sllw(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set_w(h, i, rv_x1(h, i) << sh5(h, i));
}
void rv_do_srlw(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set_w(h, i, u32(rv_x1(h, i)) >> sh5(h, i));
}
void rv_do_sraw(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set_w(h, i, u64(s32(rv_x1(h, i)) >> sh5(h, i)));
}

/* M: volume I, chapter 7 */
void rv_do_mul(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rv_x1(h, i) * rv_x2(h, i));
}
void rv_do_mulh(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, mulh_ss(rv_x1(h, i), rv_x2(h, i)));
}
void rv_do_mulhsu(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, mulh_su(rv_x1(h, i), rv_x2(h, i)));
}
void rv_do_mulhu(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, mulh_uu(rv_x1(h, i), rv_x2(h, i)));
}
void rv_do_div(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, div_s(rv_x1(h, i), rv_x2(h, i)));
}
void rv_do_divu(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, div_u(rv_x1(h, i), rv_x2(h, i)));
}
void rv_do_rem(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rem_s(rv_x1(h, i), rv_x2(h, i)));
}
void rv_do_remu(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rem_u(rv_x1(h, i), rv_x2(h, i)));
}
void rv_do_mulw(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set_w(h, i, rv_x1(h, i) * rv_x2(h, i));
}
void rv_do_divw(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set_w(h, i, div_s(sx(rv_x1(h, i)), sx(rv_x2(h, i))));
}
void rv_do_divuw(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set_w(h, i, div_u(u32(rv_x1(h, i)), u32(rv_x2(h, i))));
}
void rv_do_remw(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set_w(h, i, rem_s(sx(rv_x1(h, i)), sx(rv_x2(h, i))));
}
void rv_do_remuw(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set_w(h, i, rem_u(u32(rv_x1(h, i)), u32(rv_x2(h, i))));
}

/* Zba */
void rv_do_sh1add(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, (rv_x1(h, i) << 1) + rv_x2(h, i));
}
void rv_do_sh1add_uw(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, ((uint64_t)u32(rv_x1(h, i)) << 1) + rv_x2(h, i));
}
void rv_do_sh2add(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, (rv_x1(h, i) << 2) + rv_x2(h, i));
}
void rv_do_sh2add_uw(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, ((uint64_t)u32(rv_x1(h, i)) << 2) + rv_x2(h, i));
}
void rv_do_sh3add(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, (rv_x1(h, i) << 3) + rv_x2(h, i));
}
void rv_do_sh3add_uw(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, ((uint64_t)u32(rv_x1(h, i)) << 3) + rv_x2(h, i));
}
void rv_do_add_uw(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, u32(rv_x1(h, i)) + rv_x2(h, i));
}
void rv_do_slli_uw(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, (uint64_t)u32(rv_x1(h, i)) << i->imm);
}

/* Zbb */
void rv_do_andn(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rv_x1(h, i) & ~rv_x2(h, i));
}
void rv_do_orn(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rv_x1(h, i) | ~rv_x2(h, i));
}
void rv_do_xnor(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, ~(rv_x1(h, i) ^ rv_x2(h, i)));
}
void rv_do_clz(struct rv_hart *h, const struct rv_insn *i) { rv_set(h, i, clz(rv_x1(h, i))); }
void rv_do_clzw(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, clz(u32(rv_x1(h, i))) - 32);
}
void rv_do_ctz(struct rv_hart *h, const struct rv_insn *i) { rv_set(h, i, ctz(rv_x1(h, i))); }
void rv_do_ctzw(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, ctz(rv_x1(h, i) | 1ull << 32));
}
void rv_do_cpop(struct rv_hart *h, const struct rv_insn *i) { rv_set(h, i, cpop(rv_x1(h, i))); }
void rv_do_cpopw(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, cpop(u32(rv_x1(h, i))));
}
void rv_do_max(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, s64(rv_x1(h, i)) > s64(rv_x2(h, i)) ? rv_x1(h, i) : rv_x2(h, i));
}
void rv_do_maxu(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rv_x1(h, i) > rv_x2(h, i) ? rv_x1(h, i) : rv_x2(h, i));
}
void rv_do_min(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, s64(rv_x1(h, i)) < s64(rv_x2(h, i)) ? rv_x1(h, i) : rv_x2(h, i));
}
void rv_do_minu(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rv_x1(h, i) < rv_x2(h, i) ? rv_x1(h, i) : rv_x2(h, i));
}
void rv_do_sext_b(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, u64((int8_t)rv_x1(h, i)));
}
void rv_do_sext_h(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, u64((int16_t)rv_x1(h, i)));
}
void rv_do_zext_h(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, (uint16_t)rv_x1(h, i));
}
void rv_do_rol(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rotr(rv_x1(h, i), 64 - sh6(h, i)));
}
void rv_do_ror(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rotr(rv_x1(h, i), sh6(h, i)));
}
void rv_do_rori(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rotr(rv_x1(h, i), (unsigned)i->imm));
}
void rv_do_rolw(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set_w(h, i, rotr32(u32(rv_x1(h, i)), 32 - sh5(h, i)));
}
void rv_do_rorw(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set_w(h, i, rotr32(u32(rv_x1(h, i)), sh5(h, i)));
}
void rv_do_roriw(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set_w(h, i, rotr32(u32(rv_x1(h, i)), (unsigned)i->imm));
}
void rv_do_orc_b(struct rv_hart *h, const struct rv_insn *i) { rv_set(h, i, orc_b(rv_x1(h, i))); }
void rv_do_rev8(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, __builtin_bswap64(rv_x1(h, i)));
}

/* Zbs */
void rv_do_bclr(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rv_x1(h, i) & ~(1ull << sh6(h, i)));
}
void rv_do_bclri(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rv_x1(h, i) & ~(1ull << i->imm));
}
void rv_do_binv(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rv_x1(h, i) ^ (1ull << sh6(h, i)));
}
void rv_do_binvi(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rv_x1(h, i) ^ (1ull << i->imm));
}
void rv_do_bset(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rv_x1(h, i) | (1ull << sh6(h, i)));
}
void rv_do_bseti(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rv_x1(h, i) | (1ull << i->imm));
}
void rv_do_bext(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rv_x1(h, i) >> sh6(h, i) & 1);
}
void rv_do_bexti(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, rv_x1(h, i) >> i->imm & 1);
}
