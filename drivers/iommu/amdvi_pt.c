/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * amdvi_pt.c: I/O page tables for the host's translation, section 2.2.3. An entry tells the level
 * of the next; 0: it is a page.
 */
#include "amdvi.h"

#define PTE_PRESENT 1ull
#define PTE_NEXT(level) ((uint64_t)(level) << 9)
#define PTE_NEXT_OF(pte) ((unsigned)((pte) >> 9) & 7u)
#define PTE_COHERENT (1ull << 60) /* accesses look into the CPUs' caches */
#define PTE_READ (1ull << 61)
#define PTE_WRITE (1ull << 62)
#define PTE_ADDR 0x000ffffffffff000ull

static uint64_t amdvi_leaf(hpa_t pa, unsigned level, unsigned prot, enum memtype type)
{
    (void)level, (void)type;
    return pa.v | PTE_PRESENT | PTE_COHERENT | (prot & PROT_R ? PTE_READ : 0) |
           (prot & PROT_W ? PTE_WRITE : 0);
}

/* The walker's level 1 is the specification's 2: what it points to is of the level as we count. */
static uint64_t amdvi_table(hpa_t pa, unsigned level)
{
    return pa.v | PTE_PRESENT | PTE_READ | PTE_WRITE | PTE_NEXT(level);
}

static enum pte_kind amdvi_kind(uint64_t pte, unsigned level)
{
    if (!(pte & PTE_PRESENT))
        return PTE_HOLE;
    return level == 0 || PTE_NEXT_OF(pte) == 0 ? PTE_LEAF : PTE_TABLE;
}

static hpa_t amdvi_addr(uint64_t pte, unsigned level)
{
    (void)level;
    return hpa(pte & PTE_ADDR);
}

static unsigned amdvi_prot(uint64_t pte, unsigned level)
{
    (void)level;
    return (pte & PTE_READ ? (unsigned)PROT_R : 0u) | (pte & PTE_WRITE ? (unsigned)PROT_W : 0u);
}

const struct pt_format amdvi_format = {
    .name = "AMD-Vi",
    .levels = 4,
    .ia_bits = 48,
    .leaf_levels = 7,
    .leaf = amdvi_leaf,
    .table = amdvi_table,
    .kind = amdvi_kind,
    .addr = amdvi_addr,
    .prot = amdvi_prot,
};
