/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between region.c, which finds a region, and translate.c, which goes through it.
 */
#pragma once
#include "hv/dbt/riscv64/translate.h"

enum region_flow { REGION_NEXT, REGION_BRANCH, REGION_JUMP, REGION_ENDS };

/* Fills r from r->in. 0 or -ENOENT. */
must_check int region_find(struct rv_region *r);
enum region_flow region_flow(const struct rv_insn *i);
/* Offset that a branch or jump at `at` goes to; true: it is in the region. */
bool region_target(const struct rv_region *r, unsigned at, const struct rv_insn *i, unsigned *to);
/* Position of an offset in the unit: from the entry on, then from the page's beginning. */
unsigned region_order(const struct rv_region *r, unsigned at);
/* The offset that comes next in the unit; PAGE_SIZE: none. */
unsigned region_after(const struct rv_region *r, unsigned at);
