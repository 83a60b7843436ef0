/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blk_data.h: the data of one request to a disk that reaches memory itself. It is done in steps,
 * each within the disk's limits: segments of guest memory as they are, uncopied; where the guest's
 * buffers begin or end in a way that the disk cannot take, a piece goes through a buffer of the
 * request's own.
 */
#pragma once
#include <hv/blk.h>
#include <hv/types.h>
struct vm;
#define BLK_BOUNCE_ORDER                                                    \
    3 /* of the buffer: 32 KiB, got when first needed and charged to the VM \
       */
#define BLK_BOUNCE (PAGE_SIZE << BLK_BOUNCE_ORDER)
#define BLK_SEGS 130u
#define BLK_DIRECT_LEAST PAGE_SIZE /* a shorter step is bounced, with what follows it */
struct blk_data {
    const struct iov *iov; /* in the view of the VM */
    unsigned niov;
    bool write, bounced;
    uint16_t nseg;
    uint64_t sector;          /* where the data begins on the disk */
    uint64_t bytes, at, step; /* all; done; of this step, which begins at `at` */
    hpa_t bounce;             /* 0: none yet */
    struct blk_seg seg[BLK_SEGS];
};
/* All on the device's CPU, in the VM's view. bytes: a multiple of the disk's block, of the iov. */
void blk_data_begin(struct blk_data *, uint64_t sector, const struct iov *, unsigned niov,
                    uint64_t bytes, bool write);
/* The next step: seg, nseg and *bytes of them, copied into the buffer for a write. -ENOMEM. */
int must_check blk_data_next(struct blk_data *, struct vm *, const struct blk_limits *,
                             uint64_t *bytes);
/* The disk has done the step: what a read left in the buffer goes to the guest. */
void blk_data_took(struct blk_data *);
static inline uint64_t blk_data_left(const struct blk_data *d) { return d->bytes - d->at; }
void blk_data_free(struct blk_data *, struct vm *);
