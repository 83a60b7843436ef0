/* SPDX-License-Identifier: BSD-2-Clause */
/* Entries of page tables as no hardware has them, for the formats of tests. */
#pragma once
#include <hv/pt.h>
#include <stdlib.h>

#define FAKE_TABLE 1ull
#define FAKE_LEAF 2ull

/* Rights in bits 2 to 4, memory type in bits 5 and 6, level (to catch mix-ups) in bits 8 to 10. */
static uint64_t fake_leaf(hpa_t pa, unsigned level, unsigned prot, enum memtype type)
{
    return pa.v | FAKE_LEAF | (uint64_t)prot << 2 | (uint64_t)type << 5 | (uint64_t)level << 8;
}

static uint64_t fake_table(hpa_t pa, unsigned level)
{
    return pa.v | FAKE_TABLE | (uint64_t)level << 8;
}

static enum pte_kind fake_kind(uint64_t e, unsigned level)
{
    if (!(e & 3))
        return PTE_HOLE;
    if ((e >> 8 & 7) != level)
        abort();
    return e & FAKE_TABLE ? PTE_TABLE : PTE_LEAF;
}

static hpa_t fake_addr(uint64_t e, unsigned level)
{
    (void)level;
    return hpa(e & ~(PAGE_SIZE - 1));
}

static unsigned fake_prot(uint64_t e, unsigned level)
{
    (void)level;
    return (unsigned)(e >> 2) & 7;
}

static enum memtype fake_type(uint64_t e, unsigned level)
{
    (void)level;
    return (enum memtype)(e >> 5 & 3);
}
