/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads and stores: Arm ARM C4.1.94, "Loads and Stores". One row per encoding group; vector
 * structures, atomics and exclusives have none.
 */
#include "decode.h"

static uint32_t field(uint32_t insn, unsigned hi, unsigned lo)
{
    return insn >> lo & ((2u << (hi - lo)) - 1);
}

static int64_t sfield(uint32_t insn, unsigned hi, unsigned lo)
{
    return (int64_t)((uint64_t)field(insn, hi, lo) << (63 - (hi - lo))) >> (63 - (hi - lo));
}

/*
 * size 31:30, opc 23:22: store, load, load signed to 64 bits, load signed to 32 bits (C4.1.94,
 * table of "unsigned immediate").
 */
static int single(uint32_t insn, struct arm_ldst *l)
{
    unsigned size = field(insn, 31, 30), opc = field(insn, 23, 22);

    l->size = (uint8_t)(1u << size);
    l->count = 1;
    l->rt[0] = (uint8_t)field(insn, 4, 0);
    l->rn = (uint8_t)field(insn, 9, 5);
    l->load = opc != 0;
    l->sext = opc >= 2;
    l->wide = opc == 2 || size == 3;
    if ((opc == 2 && size == 3) || (opc == 3 && size >= 2))
        return -EINVAL; /* PRFM, or unallocated */
    if (l->index != ARM_OFFSET && l->rn == l->rt[0] && l->rn != 31)
        return -EINVAL; /* CONSTRAINED UNPREDICTABLE */
    return 0;
}

/* SIMD&FP: opc<1>:size is the size, opc<0> says load. */
static int vector(uint32_t insn, struct arm_ldst *l)
{
    unsigned scale = field(insn, 23, 23) << 2 | field(insn, 31, 30);

    if (scale > 4 || l->unprivileged)
        return -EINVAL;
    l->size = (uint8_t)(1u << scale);
    l->count = 1;
    l->simd = true;
    l->rt[0] = (uint8_t)field(insn, 4, 0);
    l->rn = (uint8_t)field(insn, 9, 5);
    l->load = field(insn, 22, 22);
    return 0;
}

static int any(uint32_t insn, struct arm_ldst *l)
{
    return field(insn, 26, 26) ? vector(insn, l) : single(insn, l);
}

/* What an immediate or a register offset is multiplied by, as a shift. */
static unsigned scale_of(uint32_t insn)
{
    return field(insn, 31, 30) + (field(insn, 26, 26) ? field(insn, 23, 23) << 2 : 0);
}

static int simm9(uint32_t insn, struct arm_ldst *l)
{
    static const uint8_t index[4] = { ARM_OFFSET, ARM_POST, ARM_OFFSET, ARM_PRE };

    l->imm = sfield(insn, 20, 12);
    l->index = index[field(insn, 11, 10)];
    l->unprivileged = field(insn, 11, 10) == 2;
    return any(insn, l);
}

static int uimm12(uint32_t insn, struct arm_ldst *l)
{
    l->imm = (int64_t)field(insn, 21, 10) << scale_of(insn);
    return any(insn, l);
}

static int register_offset(uint32_t insn, struct arm_ldst *l)
{
    l->by_register = true;
    l->rm = (uint8_t)field(insn, 20, 16);
    l->option = (uint8_t)field(insn, 15, 13);
    l->shift = (uint8_t)(field(insn, 12, 12) ? scale_of(insn) : 0);
    return l->option & 2 ? any(insn, l) : -EINVAL;
}

/* LDAR, STLR, LDLAR, STLLR; opc's place is taken by o2 and L. */
static int ordered(uint32_t insn, struct arm_ldst *l)
{
    return single((insn & ~(3u << 22)) | field(insn, 22, 22) << 22, l);
}

static int ldapr(uint32_t insn, struct arm_ldst *l)
{
    return single((insn & ~(3u << 22)) | 1u << 22, l);
}

/* LDAPUR, STLUR: as the unscaled ones. */
static int rcpc_unscaled(uint32_t insn, struct arm_ldst *l)
{
    l->imm = sfield(insn, 20, 12);
    return single(insn, l);
}

/* Of S, D or Q registers, by opc 31:30. */
static int vector_pair(unsigned opc, struct arm_ldst *l)
{
    if (opc == 3)
        return -EINVAL;
    l->size = (uint8_t)(4u << opc);
    l->simd = true;
    return 0;
}

static int general_pair(unsigned opc, unsigned kind, struct arm_ldst *l)
{
    if (opc == 3 || (opc == 1 && (!l->load || kind == 0)))
        return -EINVAL;
    l->size = opc == 2 ? 8 : 4;
    l->sext = opc == 1;
    l->wide = opc != 0;
    if (l->index != ARM_OFFSET && l->rn != 31 && (l->rn == l->rt[0] || l->rn == l->rt[1]))
        return -EINVAL;
    return 0;
}

/* opc 31:30: 32-bit, LDPSW, 64-bit; bits 24:23: no-allocate, post, offset, pre. */
static int pair(uint32_t insn, struct arm_ldst *l)
{
    static const uint8_t index[4] = { ARM_OFFSET, ARM_POST, ARM_OFFSET, ARM_PRE };
    unsigned opc = field(insn, 31, 30), kind = field(insn, 24, 23);

    int err;

    l->load = field(insn, 22, 22);
    l->count = 2;
    l->rt[0] = (uint8_t)field(insn, 4, 0);
    l->rt[1] = (uint8_t)field(insn, 14, 10);
    l->rn = (uint8_t)field(insn, 9, 5);
    l->index = index[kind];
    err = field(insn, 26, 26) ? vector_pair(opc, l) : general_pair(opc, kind, l);
    l->imm = sfield(insn, 21, 15) * l->size;
    return l->load && l->rt[0] == l->rt[1] ? -EINVAL : err;
}

/* Bit 26, SIMD&FP, counts where the mask has it. */
static const struct {
    uint32_t mask, value;
    int (*fn)(uint32_t, struct arm_ldst *);
} groups[] = {
    { 0x3b000000, 0x39000000, uimm12 },          { 0x3b200000, 0x38000000, simm9 },
    { 0x3b200c00, 0x38200800, register_offset }, { 0x3a000000, 0x28000000, pair },
    { 0x3fbf7c00, 0x089f7c00, ordered },         { 0x3ffffc00, 0x38bfc000, ldapr },
    { 0x3f200c00, 0x19000000, rcpc_unscaled },
};

int arm_decode_ldst(uint32_t insn, struct arm_ldst *l)
{
    *l = (struct arm_ldst){ 0 };
    for (unsigned i = 0; i < ARRAY_SIZE(groups); i++)
        if ((insn & groups[i].mask) == groups[i].value)
            return groups[i].fn(insn, l);
    return -EINVAL;
}
