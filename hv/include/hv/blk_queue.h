/* SPDX-License-Identifier: BSD-2-Clause */
/* What drivers of disks share: requests that wait, and whether a request may go to the disk. */
#pragma once
#include <hv/blk.h>
#define BLK_QUEUE_KNOWN 16 /* submitters that are remembered */
/*
 * Under the driver's lock. Submitters (blk_req.who) have turns, however much each of them has
 * waiting: a request of less than 64 KiB takes one, a larger one more. A submitter that was served
 * goes on behind that, also when nothing of it was waiting meanwhile; with more submitters than are
 * remembered, those that are behind the others forget it. Those of one submitter stay in their
 * order. All of it zero: empty.
 */
struct blk_queue {
    struct blk_req *first;
    uint64_t turn; /* of what was taken last */
    struct {
        const void *who;
        uint64_t end; /* where its next request can be, at the earliest */
    } last[BLK_QUEUE_KNOWN];
};
void blk_queue_add(struct blk_queue *, struct blk_req *);
struct blk_req *blk_queue_take(struct blk_queue *);                /* NULL: it is empty */
bool blk_queue_remove(struct blk_queue *, const struct blk_req *); /* false: it is not in it */
/* Any context. It is the submitter's from here on. */
void blk_complete(struct blk_req *, int status);
/*
 * What the submitter promised of a read, a write or a flush, tried against the disk: a mistake
 * there must not reach it. -EINVAL; -EROFS; -ENOTSUP: discard and the like, whose limit is 0.
 */
int must_check blk_check(const struct blk_dev *, const struct blk_req *);
