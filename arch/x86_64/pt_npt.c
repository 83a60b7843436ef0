/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pt_npt.c: nested page tables, in the format of long mode. AMD APM volume 2 sections 5.3 and
 * 15.25.
 */
#include <hv/pt.h>

#include "svm.h"

enum {
    PTE_P = 1 << 0,
    PTE_W = 1 << 1,
    PTE_U = 1 << 2,
    PTE_PWT = 1 << 3,
    PTE_PCD = 1 << 4,
    PTE_A = 1 << 5,
    PTE_D = 1 << 6,
    PTE_PS = 1 << 7
};
#define PTE_NX (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull

/*
 * The host's PAT (cpu.c): 0 WB, 1 WC, 2 UC-, 3 UC. A nested leaf must have U set: every guest
 * access is a user access (15.25.5).
 */
static uint64_t npt_leaf(hpa_t pa, unsigned level, unsigned prot, enum memtype type)
{
    static const uint64_t types[] = {
        [MEM_WB] = 0, [MEM_WC] = PTE_PWT, [MEM_UC] = PTE_PWT | PTE_PCD
    };
    uint64_t pte = pa.v | types[type] | PTE_P | PTE_U | PTE_A | PTE_D;

    pte |= prot & PROT_W ? PTE_W : 0;
    pte |= prot & PROT_X ? 0 : PTE_NX;
    return level ? pte | PTE_PS : pte;
}

static uint64_t npt_table(hpa_t pa, unsigned level)
{
    (void)level;
    return pa.v | PTE_P | PTE_W | PTE_U | PTE_A;
}

static enum pte_kind npt_kind(uint64_t pte, unsigned level)
{
    if (!(pte & PTE_P))
        return PTE_HOLE;
    return level == 0 || (pte & PTE_PS) ? PTE_LEAF : PTE_TABLE;
}

static hpa_t npt_addr(uint64_t pte, unsigned level)
{
    (void)level;
    return hpa(pte & PTE_ADDR);
}

static unsigned npt_prot(uint64_t pte, unsigned level)
{
    (void)level;
    return (unsigned)PROT_R | (pte & PTE_W ? (unsigned)PROT_W : 0u) |
           (pte & PTE_NX ? 0u : (unsigned)PROT_X);
}

struct pt_format npt_format = {
    .name = "npt",
    .levels = 4,
    .ia_bits = 48,
    .leaf_levels = 0x3,
    .leaf = npt_leaf,
    .table = npt_table,
    .kind = npt_kind,
    .addr = npt_addr,
    .prot = npt_prot,
};
