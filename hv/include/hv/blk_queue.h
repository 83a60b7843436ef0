/* SPDX-License-Identifier: BSD-2-Clause */
/* What drivers of disks share: requests that wait, and whether a request may go to the disk. */
#pragma once
#include <hv/blk.h>
/* Under the driver's lock. */
struct blk_queue {
    struct blk_req *first, *last;
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
