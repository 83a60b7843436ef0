/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blk_rate.h: how fast a guest may use a disk: `disk = NAME,iops=N,bandwidth=SIZE`. Each request
 * takes time from the device; the next may begin when that is over. What was not used of the last
 * BLK_RATE_BURST_NS may be used at once. Device's CPU.
 */
#pragma once
#include <hv/types.h>

#define BLK_RATE_BURST_NS 100000000ull
struct blk_rate {
    uint32_t iops;      /* requests a second; 0: any */
    bool set;           /* one of the two is not 0 */
    uint64_t bandwidth; /* bytes a second; 0: any */
    uint64_t next;      /* ns of time_ns(): when the next request may begin */
};
static inline struct blk_rate blk_rate_of(uint32_t iops, uint64_t bandwidth)
{
    return (struct blk_rate){ .iops = iops, .set = iops || bandwidth, .bandwidth = bandwidth };
}
/* A request of `bytes` begins. */
void blk_rate_took(struct blk_rate *, uint64_t now, uint64_t bytes);
