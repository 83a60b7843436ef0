/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest did for the first time: so that what it can do without end is logged once for each
 * page, register or port, and only for the first of them. All zeros: nothing yet. Any CPU, no lock.
 */
#pragma once
#include <hv/types.h>
#define SEEN_MAX 32
struct seen {
    uint64_t key[SEEN_MAX]; /* plus 1; 0: free */
};
/* True for one caller only, and no more once SEEN_MAX keys were seen. key: not UINT64_MAX */
bool seen_first(struct seen *, uint64_t key);
