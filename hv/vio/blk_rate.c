/* SPDX-License-Identifier: BSD-2-Clause */
/* blk_rate.c: see blk_rate.h. */
#include "blk_rate.h"

#define SECOND 1000000000ull

void blk_rate_took(struct blk_rate *r, uint64_t now, uint64_t bytes)
{
    uint64_t cost = r->iops ? SECOND / r->iops : 0;

    if (r->bandwidth)
        cost = max_u64(cost, min_u64(bytes, UINT32_MAX) * SECOND / r->bandwidth);
    if (now > BLK_RATE_BURST_NS && r->next < now - BLK_RATE_BURST_NS)
        r->next = now - BLK_RATE_BURST_NS;
    r->next += cost;
}
