/* SPDX-License-Identifier: BSD-2-Clause */
/* Block devices of the host (RAM disks now). Completion is an event, so nothing ever sleeps. */
#pragma once
#include <hv/event.h>
#include <hv/types.h>
enum blk_op { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_DISCARD, BLK_WRITE_ZEROES };
struct blk_dev;
/*
 * sector and nsectors in 512-byte units; iov for READ (device writes it) and WRITE, of nsectors *
 * 512 bytes in all. The caller has checked that the range lies on the device. status: 0 or -Exxx,
 * set before `done` is posted on done.cpu, which is the submitter's CPU: all requests of a device
 * are submitted there.
 */
struct blk_req {
    struct event done;
    uint64_t sector, nsectors;
    const struct iov *iov;
    uint16_t niov;
    uint8_t op;
    int status;
    /*
     * Optional: asked before each piece is copied. False: the request waits where it is, until
     * blk_ops.resume.
     */
    bool (*may_go)(const struct blk_req *);
    /* bytes of work that submit may do at once; it takes off what it did */
    uint64_t may;
    struct blk_req *next; /* the device's, from submit until done; also `at` */
    uint64_t at;
};
struct blk_ops {
    /*
     * 0: `done` will be posted. 1: done already, see status; `done` will not be. -Exxx: not taken
     */
    int (*submit)(struct blk_dev *, struct blk_req *);
    void (*destroy)(struct blk_dev *);
    /*
     * Submitter's CPU: on return neither the device nor `done` touches the request or its iov.
     * Harmless when it is done already.
     */
    void (*cancel)(struct blk_dev *, struct blk_req *);
    /*
     * Any CPU, when nobody submits any more: drops every request. `done` of those that were through
     * may still be posted: cancel it afterwards.
     */
    void (*stop)(struct blk_dev *);
    /* Submitter's CPU: what may_go() held up may go on. */
    void (*resume)(struct blk_dev *);
};
struct blk_dev {
    const struct blk_ops *ops;
    uint64_t sectors;
    bool ro;
    char name[32];
};
/*
 * A private, writable copy of a loaded file (copy on write by 64 KiB pieces, so that many guests
 * share one file). -ENOENT: no such file. The pieces are charged to the VM (CHARGE_DISK): a write
 * beyond its limit ends with -ENOSPC. So is the time that they take.
 */
#define RAMDISK_PIECE (64 * KIB)
struct guest_disk;
struct vm;
int must_check ramdisk_create(struct vm *, const struct guest_disk *, struct blk_dev **);
/*
 * Nobody submits any more: frees what it has of its own, at most *budget pieces, which it takes
 * off. True: all is freed.
 */
bool must_check ramdisk_empty(struct blk_dev *, unsigned *budget);
/* Bytes of memory that it has of its own. */
uint64_t ramdisk_bytes(const struct blk_dev *);
