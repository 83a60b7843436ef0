/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pt_arm.c: Arm's stages with the 4 KiB granule. Arm ARM D8.3.1 (descriptors), D8.4 (permissions),
 * D8.6.5 (memory types of stage 2). pt.c counts levels from the pages up: its level 0 is the
 * manual's level 3.
 */
#include <hv/pt_arm.h>

enum {
    DESC_VALID = 1 << 0,
    DESC_NEXT = 1 << 1, /* a table; at the lowest level a page */
    DESC_SH_INNER = 3 << 8,
    DESC_AF = 1 << 10
};
#define DESC_ADDR 0x0000fffffffff000ull
#define DESC_ATTR_SHIFT 2

static uint64_t arm_table(hpa_t pa, unsigned level)
{
    (void)level;
    return pa.v | DESC_VALID | DESC_NEXT;
}

static enum pte_kind arm_kind(uint64_t pte, unsigned level)
{
    if (!(pte & DESC_VALID) || (level == 0 && !(pte & DESC_NEXT)))
        return PTE_HOLE;
    return level && (pte & DESC_NEXT) ? PTE_TABLE : PTE_LEAF;
}

static hpa_t arm_addr(uint64_t pte, unsigned level)
{
    (void)level;
    return hpa(pte & DESC_ADDR);
}

static uint64_t arm_leaf(hpa_t pa, unsigned level, uint64_t attr)
{
    return pa.v | DESC_VALID | DESC_AF | DESC_SH_INNER | attr << DESC_ATTR_SHIFT |
           (level ? 0 : DESC_NEXT);
}

static enum memtype arm_type(uint64_t pte, uint64_t mask, const uint64_t attrs[3])
{
    uint64_t attr = pte >> DESC_ATTR_SHIFT & mask;

    return attr == attrs[MEM_WB] ? MEM_WB : attr == attrs[MEM_WC] ? MEM_WC : MEM_UC;
}

/* ---- stage 2 ---- */

enum { S2_READ = 1 << 6, S2_WRITE = 1 << 7 };
/* not executable at EL1 and EL0: right with and without FEAT_XNX */
#define S2_XN (2ull << 53)
#define S2_ATTR 15u

/* MemAttr[3:0]: with FWB 6 forces write-back, 5 normal non-cacheable; device nGnRE is 1 in both. */
static const uint64_t s2_attrs[] = { [MEM_WB] = 15, [MEM_WC] = 5, [MEM_UC] = 1 };
static const uint64_t s2_attrs_fwb[] = { [MEM_WB] = 6, [MEM_WC] = 5, [MEM_UC] = 1 };

static uint64_t s2_rights(unsigned prot)
{
    return (prot & PROT_R ? (uint64_t)S2_READ : 0) | (prot & PROT_W ? (uint64_t)S2_WRITE : 0) |
           (prot & PROT_X ? 0 : S2_XN);
}

static uint64_t s2_leaf(hpa_t pa, unsigned level, unsigned prot, enum memtype type)
{
    return arm_leaf(pa, level, s2_attrs[type]) | s2_rights(prot);
}

static uint64_t s2_leaf_fwb(hpa_t pa, unsigned level, unsigned prot, enum memtype type)
{
    return arm_leaf(pa, level, s2_attrs_fwb[type]) | s2_rights(prot);
}

static unsigned s2_prot(uint64_t pte, unsigned level)
{
    (void)level;
    return (pte & S2_READ ? (unsigned)PROT_R : 0u) | (pte & S2_WRITE ? (unsigned)PROT_W : 0u) |
           (pte & S2_XN ? 0u : (unsigned)PROT_X);
}

static enum memtype s2_type(uint64_t pte, unsigned level)
{
    (void)level;
    return arm_type(pte, S2_ATTR, s2_attrs);
}

static enum memtype s2_type_fwb(uint64_t pte, unsigned level)
{
    (void)level;
    return arm_type(pte, S2_ATTR, s2_attrs_fwb);
}

const struct pt_format pt_arm_stage2 = {
    .name = "stage 2",
    .levels = 4,
    .ia_bits = 48,
    .leaf_levels = 0x7,
    .leaf = s2_leaf,
    .table = arm_table,
    .kind = arm_kind,
    .addr = arm_addr,
    .prot = s2_prot,
    .type = s2_type,
};
const struct pt_format pt_arm_stage2_fwb = {
    .name = "stage 2",
    .levels = 4,
    .ia_bits = 48,
    .leaf_levels = 0x7,
    .leaf = s2_leaf_fwb,
    .table = arm_table,
    .kind = arm_kind,
    .addr = arm_addr,
    .prot = s2_prot,
    .type = s2_type_fwb,
};

/* ---- stage 1, for devices ---- */

enum { S1_UNPRIVILEGED = 1 << 6, S1_READ_ONLY = 1 << 7, S1_NOT_GLOBAL = 1 << 11 };
#define S1_XN (3ull << 53) /* PXN and UXN */
#define S1_ATTR 7u
static const uint64_t s1_attrs[] = { [MEM_WB] = 0, [MEM_WC] = 1, [MEM_UC] = 2 }; /* of the MAIR */

static uint64_t s1_leaf(hpa_t pa, unsigned level, unsigned prot, enum memtype type)
{
    return arm_leaf(pa, level, s1_attrs[type]) | S1_NOT_GLOBAL |
           (prot & PROT_RW ? (uint64_t)S1_UNPRIVILEGED : 0) |
           (prot & PROT_W ? 0 : (uint64_t)S1_READ_ONLY) | (prot & PROT_X ? 0 : S1_XN);
}

static unsigned s1_prot(uint64_t pte, unsigned level)
{
    unsigned prot = pte & S1_UNPRIVILEGED ? PROT_R | (pte & S1_READ_ONLY ? 0u : PROT_W) : 0u;

    (void)level;
    return prot | (pte & S1_XN ? 0u : (unsigned)PROT_X);
}

static enum memtype s1_type(uint64_t pte, unsigned level)
{
    (void)level;
    return arm_type(pte, S1_ATTR, s1_attrs);
}

const struct pt_format pt_arm_stage1 = {
    .name = "stage 1",
    .levels = 4,
    .ia_bits = 48,
    .leaf_levels = 0x7,
    .leaf = s1_leaf,
    .table = arm_table,
    .kind = arm_kind,
    .addr = arm_addr,
    .prot = s1_prot,
    .type = s1_type,
};

/* ---- sizes ---- */

void pt_arm_set_bits(struct pt_format *f, unsigned bits)
{
    unsigned three = f->leaf == s1_leaf ? 39 : 43;

    f->ia_bits = (uint8_t)bits;
    f->levels = bits > three ? 4 : 3;
}

uint64_t pt_arm_vtcr(const struct pt_format *f, unsigned pa_range, bool coherent)
{
    uint64_t sl0 = f->levels == 4 ? 2 : 1, cached = coherent ? 1 : 0, shared = coherent ? 3 : 2;

    return (64ull - f->ia_bits) | sl0 << 6 | cached << 8 | cached << 10 | shared << 12 |
           (uint64_t)pa_range << 16;
}
