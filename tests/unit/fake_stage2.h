/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A format of stage-2 tables that no hardware has: 4 levels; a leaf has bit 1, a table bit 0,
 * rights in bits 2 to 4.
 */
#pragma once
#include <hv/pt.h>

/* as EPT against iTLB multihit: large leaves are not executable */
static bool small_exec;

static uint64_t leaf(hpa_t pa, unsigned level, unsigned prot, enum memtype type)
{
    (void)type;
    prot &= level && small_exec ? ~(unsigned)PROT_X : ~0u;
    return pa.v | 2 | (uint64_t)prot << 2;
}
static uint64_t table(hpa_t pa, unsigned level)
{
    (void)level;
    return pa.v | 1;
}
static enum pte_kind kind(uint64_t e, unsigned level)
{
    (void)level;
    return e & 1 ? PTE_TABLE : e & 2 ? PTE_LEAF : PTE_HOLE;
}
static hpa_t addr(uint64_t e, unsigned level)
{
    (void)level;
    return hpa(e & ~(PAGE_SIZE - 1));
}
static unsigned prot_of(uint64_t e, unsigned level)
{
    (void)level;
    return (unsigned)(e >> 2) & 7;
}
static const struct pt_format format = { .name = "t",
                                         .levels = 4,
                                         .ia_bits = 48,
                                         .leaf_levels = 7,
                                         .leaf = leaf,
                                         .table = table,
                                         .kind = kind,
                                         .addr = addr,
                                         .prot = prot_of };
