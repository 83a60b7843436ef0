/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to hv/vio. */
#pragma once
#include <hv/blk.h>
#include <hv/config.h>
#include <hv/virtio.h>

#define VIO_DISKS ARRAY_SIZE(((struct guest_config *)0)->disk)
#define VIO_NETS ARRAY_SIZE(((struct guest_config *)0)->net)
#define CD_BLOCK 2048u /* bytes */
struct vio {
    struct virtio_dev *dev[2 + VIO_DISKS + VIO_NETS];
    unsigned ndevs;
    struct blk_dev *disk[VIO_DISKS];  /* outlive the devices */
    struct volume *volume[VIO_DISKS]; /* behind the disk of the same number; NULL: a RAM disk */
};

/* virtio.c; for state.c */
/*
 * CPU 0: takes no more buffers. 0: nothing of it touches guest memory; -EINPROGRESS: not yet, and
 * vm->lifecycle will be posted.
 */
int must_check virtio_hold(struct virtio_dev *);
void virtio_release(struct virtio_dev *);
/* CPU 0, a new device: takes a state that was checked but for its rings. 0, -EINVAL. */
int must_check virtio_put_state(struct virtio_dev *, const struct virtio_state *,
                                uint32_t reset_queues);

/* blk.c: right after vio_blk_create(): it is a CD. The disk has blocks of at most 2048 bytes. */
void vio_blk_cdrom(struct virtio_dev *);
/* blk.c: right after vio_blk_create(); 0: any. See <hv/config.h>. */
void vio_blk_limit(struct virtio_dev *, uint32_t iops, uint64_t bandwidth);

/* ramdisk.c; CPU 0, nobody submits: a bit for each piece that is gone, in 64-bit words */
size_t ramdisk_state_size(const struct blk_dev *);
void ramdisk_save(const struct blk_dev *, uint64_t *bits);
int must_check ramdisk_restore(struct blk_dev *, const uint64_t *bits);
/* the first changed page of 4 KiB from *page on; NULL: there is none */
const void *ramdisk_page(const struct blk_dev *, uint64_t *page);
/* 0; -EINVAL: there is no such page; -ENOSPC: no memory for it */
int must_check ramdisk_put(struct blk_dev *, uint64_t page, const void *from);
