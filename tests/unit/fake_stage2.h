/* SPDX-License-Identifier: BSD-2-Clause */
/* A format of stage-2 tables that no hardware has: 4 levels. */
#pragma once
#include "fake_entries.h"

/* as EPT against iTLB multihit: large leaves are not executable */
static bool small_exec;

static uint64_t small_exec_leaf(hpa_t pa, unsigned level, unsigned prot, enum memtype type)
{
    return fake_leaf(pa, level, level && small_exec ? prot & ~(unsigned)PROT_X : prot, type);
}

static const struct pt_format format = { .name = "t",
                                         .levels = 4,
                                         .ia_bits = 48,
                                         .leaf_levels = 7,
                                         .leaf = small_exec_leaf,
                                         .table = fake_table,
                                         .kind = fake_kind,
                                         .addr = fake_addr,
                                         .prot = fake_prot,
                                         .type = fake_type };
