/* SPDX-License-Identifier: BSD-2-Clause */
/* pt_ept.c: extended page tables. Intel SDM volume 3 section 28.2 and tables 28-1 to 28-6. */
#include <hv/pt.h>

#include "vmx.h"

enum {
    EPT_R = 1 << 0,
    EPT_W = 1 << 1,
    EPT_X = 1 << 2,
    EPT_TYPE_SHIFT = 3,
    EPT_PS = 1 << 7,
    EPT_A = 1 << 8,
    EPT_D = 1 << 9
};
enum { TYPE_UC = 0, TYPE_WC = 1, TYPE_WB = 6 };
#define EPT_ADDR 0x000ffffffffff000ull

static bool split_exec;

void ept_split_exec(void) { split_exec = true; }

/*
 * Accessed and dirty are set at once, so that the CPU need not write them; where it has no such
 * bits they are ignored.
 */
static uint64_t ept_leaf(hpa_t pa, unsigned level, unsigned prot, enum memtype type)
{
    static const uint64_t types[] = { [MEM_WB] = TYPE_WB, [MEM_WC] = TYPE_WC, [MEM_UC] = TYPE_UC };
    uint64_t pte = pa.v | types[type] << EPT_TYPE_SHIFT | EPT_R | EPT_A | EPT_D;

    pte |= prot & PROT_W ? EPT_W : 0;
    pte |= (prot & PROT_X) && !(level && split_exec) ? EPT_X : 0;
    return level ? pte | EPT_PS : pte;
}

static uint64_t ept_table(hpa_t pa, unsigned level)
{
    (void)level;
    return pa.v | EPT_R | EPT_W | EPT_X | EPT_A;
}

static enum pte_kind ept_kind(uint64_t pte, unsigned level)
{
    if (!(pte & (EPT_R | EPT_W | EPT_X)))
        return PTE_HOLE;
    return level == 0 || (pte & EPT_PS) ? PTE_LEAF : PTE_TABLE;
}

static hpa_t ept_addr(uint64_t pte, unsigned level)
{
    (void)level;
    return hpa(pte & EPT_ADDR);
}

static unsigned ept_prot(uint64_t pte, unsigned level)
{
    (void)level;
    return (pte & EPT_R ? (unsigned)PROT_R : 0u) | (pte & EPT_W ? (unsigned)PROT_W : 0u) |
           (pte & EPT_X ? (unsigned)PROT_X : 0u);
}

static enum memtype pt_ept_memtype(uint64_t pte, unsigned level)
{
    uint64_t type = pte >> EPT_TYPE_SHIFT & 7;

    (void)level;
    return type == TYPE_WB ? MEM_WB : type == TYPE_WC ? MEM_WC : MEM_UC;
}

struct pt_format ept_format = {
    .name = "ept",
    .levels = 4,
    .ia_bits = 48,
    .leaf_levels = 0x1,
    .leaf = ept_leaf,
    .table = ept_table,
    .kind = ept_kind,
    .addr = ept_addr,
    .prot = ept_prot,
    .type = pt_ept_memtype,
};
