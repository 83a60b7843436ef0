/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of disk drivers share: requests to the disk that was found, in memory of their
 * own, and time in which driver and model move. The model comes first: model_run().
 */
#pragma once
#include "arch/host/host.h"
#include <cmocka.h>
#include <hv/blk.h>
#include <hv/disk.h>
#include <hv/event.h>
#include <stdlib.h>

enum { AREA = 4 << 20 };
static struct disk *d; /* of the last boot() */
static uint8_t *memory;
static unsigned ended; /* requests */

static void memory_init(void)
{
    ended = 0;
    if (memory)
        return;
    host_init(1, 64 * MIB);
    memory = aligned_alloc(4096, AREA);
}

static void done(struct event *ev)
{
    (void)ev;
    ended++;
}

/* The disk that was added last. */
static struct disk *newest(void)
{
    struct disk *last = NULL;

    for (unsigned i = 0; disk_by_index(i); i++)
        last = disk_by_index(i);
    return last;
}

/* Runs driver and controller for so many milliseconds. */
static void run(unsigned ms)
{
    for (uint64_t end = host_now + ms * 1000000ull; host_now < end;) {
        host_now += 200000;
        model_run();
        (void)event_run();
    }
}

static int submit(struct blk_req *r, uint8_t op, uint64_t sector, const struct blk_seg *seg,
                  unsigned nseg)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < nseg; i++)
        bytes += seg[i].len;
    *r = (struct blk_req){
        .sector = sector, .nsectors = bytes / 512, .seg = seg, .nseg = (uint16_t)nseg, .op = op
    };
    event_init(&r->done, done, 0);
    return d->blk.ops->submit(&d->blk, r);
}

static inline int discard(struct blk_req *r, uint64_t sector, uint64_t nsectors)
{
    *r = (struct blk_req){ .op = BLK_DISCARD, .sector = sector, .nsectors = nsectors };
    event_init(&r->done, done, 0);
    return d->blk.ops->submit(&d->blk, r);
}

static struct blk_seg at(uint64_t off, uint32_t len)
{
    return (struct blk_seg){ hpa((uint64_t)memory + off), len };
}
