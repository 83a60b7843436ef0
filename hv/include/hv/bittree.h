/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A set of small numbers, as a bitmap with summaries above it: each operation looks at one word a
 * level. Members are below the `members` of bittree_init(). Any CPU; the caller's lock.
 */
#pragma once
#include <hv/types.h>
#define BITTREE_LEVELS 6u /* 64^6 members */
struct bittree {
    /* 0: a bit for each member; above: a bit for each word below that is not 0 */
    uint64_t *level[BITTREE_LEVELS];
    unsigned levels;
};
uint64_t bittree_bytes(uint64_t members); /* of memory for numbers below `members` */
/* empty; mem: bittree_bytes() of zeros, kept */
void bittree_init(struct bittree *, uint64_t members, void *mem);
bool bittree_has(const struct bittree *, uint64_t);
void bittree_add(struct bittree *, uint64_t);           /* harmless when it is there */
void bittree_remove(struct bittree *, uint64_t);        /* one that is there */
bool bittree_first(const struct bittree *, uint64_t *); /* the least; false: it is empty */
