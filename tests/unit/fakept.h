/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A page-table format that no hardware has, and pages that can run out, for the tests of the
 * walker.
 */
#pragma once
#include <hv/pmm.h>
#include <hv/pt.h>
#include <stdlib.h>
#include <string.h>

#define FAKE_TABLE 1ull
#define FAKE_LEAF 2ull

static int pages_left = 1 << 20, pages_out;

hpa_t pmm_alloc_zero(unsigned order, enum pmm_owner owner)
{
    (void)owner;
    if (pages_left < 1 << order)
        return hpa(0);
    pages_left -= 1 << order;
    pages_out += 1 << order;
    void *p = aligned_alloc(PAGE_SIZE << order, PAGE_SIZE << order);
    memset(p, 0, PAGE_SIZE << order);
    return hpa((uint64_t)p);
}

void pmm_free(hpa_t pa, unsigned order, enum pmm_owner owner)
{
    (void)owner;
    pages_left += 1 << order;
    pages_out -= 1 << order;
    free((void *)pa.v);
}

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

static const struct pt_format fake_format = {
    .name = "fake",
    .levels = 3,
    .ia_bits = 39,
    .leaf_levels = 7,
    .leaf = fake_leaf,
    .table = fake_table,
    .kind = fake_kind,
    .addr = fake_addr,
    .prot = fake_prot,
    .type = fake_type,
};
