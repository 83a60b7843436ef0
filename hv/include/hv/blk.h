/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Block devices of the host: RAM disks, disks, and volumes, which are parts of disks. Nothing
 * sleeps: a request ends with an event.
 *
 * Who owns a request, its memory and what it points to:
 *   before submit             the submitter
 *   from submit to `done`     the device; the submitter reads `status` only. Memory that a device
 *                             was told of cannot be taken back by a call: the hardware gives it up
 *                             when it completes the request or when its controller was reset. Each
 *                             driver does one of them in bounded time, then posts `done`
 *   from `done` on            the submitter
 */
#pragma once
#include <hv/event.h>
#include <hv/types.h>
enum blk_op { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_DISCARD, BLK_WRITE_ZEROES };
struct blk_dev;
/* Memory as a device sees it. */
struct blk_seg {
    hpa_t at;
    uint32_t len; /* bytes */
};
/*
 * sector and nsectors in 512-byte units, multiples of limits.block. Data of nsectors * 512 bytes in
 * all: `seg` for a device with limits.dma, `iov` (reached in the view of the submitter's guest) for
 * the others. The caller has checked that the range lies on the device. status: -EINPROGRESS, then
 * 0 or -Exxx, set before `done` is posted on done.cpu.
 */
struct blk_req {
    struct event done;
    uint64_t sector, nsectors;
    const struct iov *iov;
    const struct blk_seg *seg;
    uint16_t niov, nseg;
    uint8_t op;
    uint8_t tries; /* the device's, as are base, next, at and turn: from submit until done */
    int status;
    /*
     * Optional, RAM disks: asked before each piece is copied, but not before what submit does at
     * once: the submitter has asked. False: the request waits where it is, until blk_ops.resume.
     */
    bool (*may_go)(const struct blk_req *);
    /* bytes of work that submit may do at once; it takes off what it did */
    uint64_t may;
    uint64_t base; /* sector of the disk where the volume begins */
    struct blk_req *next;
    uint64_t at;
    uint64_t turn;
    const void *who; /* whose turn it takes: a VM's; NULL: Trivet's. Never dereferenced */
};
/*
 * What a device asks of a request's data. With dma: the first segment begins at a multiple of
 * `align` bytes, all others begin, and all but the last end, at a multiple of 4096. Constant.
 */
struct blk_limits {
    uint32_t block;     /* bytes; 512 or 4096 */
    uint32_t max_bytes; /* of one request; 0: any */
    uint16_t max_segs;
    uint16_t align;
    bool dma;
    /* most sectors of one BLK_DISCARD, of one BLK_WRITE_ZEROES; 0: -ENOTSUP. Without data */
    uint32_t discard_max, zeroes_max;
    uint32_t physical; /* bytes that it writes best at a time, a power of two; 0: block */
};
struct blk_ops {
    /*
     * Devices with dma: any CPU. Others: all requests of a device from one CPU, done.cpu.
     * 0: `done` will be posted. 1: done already, see status; `done` will not be. -Exxx: not taken
     */
    int (*submit)(struct blk_dev *, struct blk_req *);
    /* Nobody submits, and no request is with it. CPU 0. NULL in a disk, which stays: see volumes */
    void (*destroy)(struct blk_dev *);
    /*
     * Submitter's CPU. True: neither the device nor `done` touches the request or its data any
     * more. False: the hardware has it; `done` comes in bounded time. Harmless when it is done.
     */
    bool (*cancel)(struct blk_dev *, struct blk_req *);
    /*
     * Not for devices with dma (NULL there: wait for each `done`). Any CPU, when nobody submits any
     * more: drops every request. `done` of those that were through may still be posted: cancel it
     * afterwards.
     */
    void (*stop)(struct blk_dev *);
    /* Submitter's CPU: what may_go() held up may go on. NULL in a disk, which never asks it */
    void (*resume)(struct blk_dev *);
    /* Devices with dma: what has completed is noticed now. For the boot, before events run. */
    void (*poll)(struct blk_dev *);
};
struct blk_dev {
    const struct blk_ops *ops;
    uint64_t sectors; /* of 512 bytes */
    struct blk_limits limits;
    bool ro;
    char name[32];
    char id[21]; /* the same at each boot, as far as the disk tells; what guests see as its serial
                  */
};
/*
 * A private, writable copy of a loaded file (copy on write by 64 KiB pieces, so that many guests
 * share one file). -ENOENT: no such file. The pieces are charged to the VM (CHARGE_DISK): a write
 * beyond its limit ends with -ENOSPC. So is the time that they take. CPU 0. -ENOMEM.
 */
#define RAMDISK_PIECE (64 * KIB)
struct guest_disk;
struct vm;
int must_check ramdisk_create(struct vm *, const struct guest_disk *, struct blk_dev **);
/*
 * The same for cloud-init's disk, which is made here and cannot be written: path is the file of its
 * user-data. The image is charged to the VM. -ENOENT; -EFBIG, with vm->why; -ENOMEM.
 */
int must_check ramdisk_create_cloud_init(struct vm *, const struct guest_disk *, struct blk_dev **);
/*
 * Nobody submits any more: frees what it has of its own, at most *budget pieces, which it takes
 * off. True: all is freed.
 */
bool must_check ramdisk_empty(struct blk_dev *, unsigned *budget);
/* Bytes of memory that it has of its own. */
uint64_t ramdisk_bytes(const struct blk_dev *);
