/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vtd_pt.c: second-level page tables, section 9.8. An entry without rights is a hole.
 */
#include <arch/mmu.h>

#include "vtd.h"

#define PTE_R 1ull
#define PTE_W 2ull
#define PTE_PS (1ull << 7)
#define PTE_SNP                                                                       \
    (1ull << 11) /* accesses look into the CPUs' caches, whatever the device asks for \
                  */
#define PTE_ADDR 0x000ffffffffff000ull

static uint64_t vtd_leaf(hpa_t pa, unsigned level, unsigned prot, enum memtype type)
{
    uint64_t pte = pa.v | (prot & PROT_R ? PTE_R : 0) | (prot & PROT_W ? PTE_W : 0);

    (void)type;
    return level ? pte | PTE_PS : pte;
}

static uint64_t vtd_leaf_snooping(hpa_t pa, unsigned level, unsigned prot, enum memtype type)
{
    return vtd_leaf(pa, level, prot, type) | PTE_SNP;
}

static uint64_t vtd_table(hpa_t pa, unsigned level)
{
    (void)level;
    return pa.v | PTE_R | PTE_W;
}

static enum pte_kind vtd_kind(uint64_t pte, unsigned level)
{
    if (!(pte & (PTE_R | PTE_W)))
        return PTE_HOLE;
    return level == 0 || pte & PTE_PS ? PTE_LEAF : PTE_TABLE;
}

static hpa_t vtd_addr(uint64_t pte, unsigned level)
{
    (void)level;
    return hpa(pte & PTE_ADDR);
}

static unsigned vtd_prot(uint64_t pte, unsigned level)
{
    (void)level;
    return (pte & PTE_R ? (unsigned)PROT_R : 0u) | (pte & PTE_W ? (unsigned)PROT_W : 0u);
}

/* SAGAW: bit n: tables of n + 2 levels. Four levels reach as far as a guest's stage 2 does. */
static unsigned vtd_levels(uint64_t cap)
{
    static const uint8_t wanted[] = { 2, 1, 3 };

    for (unsigned i = 0; i < sizeof wanted; i++)
        if (CAP_SAGAW(cap) >> wanted[i] & 1)
            return wanted[i] + 2u;
    return 0;
}

int vtd_format(struct vtd *v)
{
    unsigned levels = vtd_levels(v->cap);

    v->format = (struct pt_format){
        .name = "VT-d",
        .levels = (uint8_t)levels,
        .ia_bits = (uint8_t)min_u64(CAP_MGAW(v->cap), PAGE_SHIFT + 9ull * levels),
        .leaf_levels = (uint8_t)(1u | (CAP_SLLPS(v->cap) & 3u) << 1),
        .clean_to_ram = !(v->ecap & ECAP_COHERENT),
        .leaf = v->ecap & ECAP_SC ? vtd_leaf_snooping : vtd_leaf,
        .table = vtd_table,
        .kind = vtd_kind,
        .addr = vtd_addr,
        .prot = vtd_prot,
    };
    return levels ? 0 : -ENOTSUP;
}

void vtd_clean(const struct vtd *v, const void *at, uint64_t len)
{
    if (v->format.clean_to_ram)
        arch_clean_to_ram(at, len);
}
