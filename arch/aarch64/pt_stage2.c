/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pt_stage2.c: stage 2 with the 4 KiB granule. Arm ARM D8.3.1 (descriptors), D8.6.5 (memory types),
 * D8.2.5 (concatenated tables). pt.c counts levels from the pages up: its level 0 is the manual's
 * level 3. With up to 43 bits of address the walk begins at level 1, with up to 16 tables in a row
 * as its root, above that at level 0.
 */
#include "el2_stage2.h"

enum {
    S2_VALID = 1 << 0,
    S2_TABLE_OR_PAGE = 1 << 1,
    S2_READ = 1 << 6,
    S2_WRITE = 1 << 7,
    S2_SH_INNER = 3 << 8,
    S2_AF = 1 << 10
};
#define S2_ATTR_SHIFT 2
/* not executable at EL1 and EL0: right with and without FEAT_XNX */
#define S2_XN (2ull << 53)
#define S2_ADDR 0x0000fffffffff000ull

/* MemAttr[3:0]: with FWB 6 forces write-back, 5 normal non-cacheable; device nGnRE is 1 in both. */
static uint64_t attrs[] = { [MEM_WB] = 15, [MEM_WC] = 5, [MEM_UC] = 1 };

static uint64_t s2_leaf(hpa_t pa, unsigned level, unsigned prot, enum memtype type)
{
    uint64_t pte = pa.v | S2_VALID | S2_AF | S2_SH_INNER | attrs[type] << S2_ATTR_SHIFT;

    pte |= prot & PROT_R ? S2_READ : 0;
    pte |= prot & PROT_W ? S2_WRITE : 0;
    pte |= prot & PROT_X ? 0 : S2_XN;
    return level ? pte : pte | S2_TABLE_OR_PAGE;
}

static uint64_t s2_table(hpa_t pa, unsigned level)
{
    (void)level;
    return pa.v | S2_VALID | S2_TABLE_OR_PAGE;
}

static enum pte_kind s2_kind(uint64_t pte, unsigned level)
{
    if (!(pte & S2_VALID) || (level == 0 && !(pte & S2_TABLE_OR_PAGE)))
        return PTE_HOLE;
    return level && (pte & S2_TABLE_OR_PAGE) ? PTE_TABLE : PTE_LEAF;
}

static hpa_t s2_addr(uint64_t pte, unsigned level)
{
    (void)level;
    return hpa(pte & S2_ADDR);
}

static unsigned s2_prot(uint64_t pte, unsigned level)
{
    (void)level;
    return (pte & S2_READ ? (unsigned)PROT_R : 0u) | (pte & S2_WRITE ? (unsigned)PROT_W : 0u) |
           (pte & S2_XN ? 0u : (unsigned)PROT_X);
}

static enum memtype s2_type(uint64_t pte, unsigned level)
{
    uint64_t attr = pte >> S2_ATTR_SHIFT & 15;

    (void)level;
    return attr == attrs[MEM_WB] ? MEM_WB : attr == attrs[MEM_WC] ? MEM_WC : MEM_UC;
}

struct pt_format stage2_format = {
    .name = "stage 2",
    .levels = 4,
    .ia_bits = 48,
    .leaf_levels = 0x7,
    .leaf = s2_leaf,
    .table = s2_table,
    .kind = s2_kind,
    .addr = s2_addr,
    .prot = s2_prot,
    .type = s2_type,
};

void stage2_setup(unsigned ipa_bits, bool fwb)
{
    stage2_format.ia_bits = (uint8_t)ipa_bits;
    stage2_format.levels = ipa_bits > 43 ? 4 : 3;
    attrs[MEM_WB] = fwb ? 6 : 15;
}

/*
 * T0SZ, SL0, tables in inner-shareable write-back memory, TG0 4 KiB, PS, VS; access flag and dirty
 * state are not the hardware's to write.
 */
uint64_t stage2_vtcr(unsigned pa_range, bool vmid16)
{
    uint64_t sl0 = stage2_format.levels == 4 ? 2 : 1;

    return (64ull - stage2_format.ia_bits) | sl0 << 6 | 1ull << 8 | 1ull << 10 | 3ull << 12 |
           (uint64_t)pa_range << 16 | (vmid16 ? 1ull << 19 : 0) | 1ull << 31;
}
