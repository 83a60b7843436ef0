/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A page-table format that no hardware has, and pages that can run out, for the tests of the
 * walker.
 */
#pragma once
#include <hv/pmm.h>
#include <stdlib.h>
#include <string.h>

#include "fake_entries.h"

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
