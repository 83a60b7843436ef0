/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM whose engine has a page-table format that no hardware has. Included once. */
#pragma once
#include <hv/gmem.h>
#include <hv/vcpu.h>
#include <hv/vm.h>

/* A format of 4 levels; a leaf has bit 1, a table bit 0, rights in bits 2 to 4. */
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
static const struct vcpu_ops ops = { .name = "t", .s2 = &format };
static struct vm vm;
static unsigned flushes;

void vm_tlb_flush(struct vm *v, gpa_t at, uint64_t len)
{
    (void)v, (void)at, (void)len;
    flushes++;
}
