/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's disks, and volumes: a whole disk or a partition of it, opened for somebody. Disks are
 * added at boot and never go; all of this is for CPU 0, but for the blk_ops of a volume.
 */
#pragma once
#include <disk_source.h>
#include <hv/blk.h>
#include <hv/part.h>
#include <hv/types.h>
struct boot_info;
struct disk;
/* Written by the driver; may be read while it does. Bytes; times. */
struct disk_stats {
    uint64_t read, written, discarded, flushes, errors, retries, timeouts;
};
/*
 * What a disk tells of itself, and when last (time_ns(); 0: it does not tell). What it leaves out
 * is DISK_UNTOLD. CPU 0.
 */
#define DISK_UNTOLD UINT64_MAX
struct disk_health {
    uint64_t asked, media_errors, logged; /* logged: errors that it keeps a log of */
    uint64_t celsius;                     /* 0: 0 or less */
    uint64_t worn; /* of its life, in percent; 100 and more: it has lived as long as it should */
    uint64_t warnings; /* NVM Express Base Specification 2.0, figure 207, byte 0: a bit each */
};
/*
 * One holder of sectors of a disk. While it is open for writing, nobody else has any of its sectors
 * open; any number may read.
 */
struct volume {
    struct blk_dev blk;
    struct disk *disk;
    struct volume *next; /* the disk's list */
    uint64_t first;      /* sector of the disk */
    uint64_t *changes;   /* of disk->changes */
    char holder[40];
};
/* What the driver fills in: blk but its name, model, serial, at, unit. Zeroed otherwise. */
struct disk {
    struct blk_dev blk; /* of the driver */
    char model[41], serial[21];
    char at[24];   /* of the controller: "0000:00:04.0" */
    uint32_t unit; /* NVMe: the namespace */
    struct disk_stats stats;
    struct disk_health health;
    struct part_table *table;
    struct volume *volumes;
    struct volume own; /* what Trivet itself holds of it: the partition it started from */
    /* how often something was to change: of the whole disk, of each partition; atomic */
    uint64_t changes[1 + PARTS_MAX];
    struct disk *next;
};
/*
 * Boot, from a driver's init function: names it `kind` and a number, reads its partitions, logs a
 * line. It works from here on.
 */
void disk_add(struct disk *, const char *kind);
/* Boot, after all drivers: the partition that Trivet started from, if it is on such a disk. */
void disk_hold_boot(const struct boot_info *);
/* That partition, which Trivet reads; NULL: it is on no such disk. */
struct volume *disk_boot_volume(void);
/* A driver, under its lock: a request failed for good. Counts it; logs the 1st, 2nd, 4th, 8th ...
 */
void disk_failed(struct disk *);
/* A driver, under its lock: counts a request that it gives to the disk. */
void disk_count(struct disk *, const struct blk_req *);
/* The i-th, or NULL. */
struct disk *disk_by_index(unsigned i);
/*
 * 0: there is exactly one such disk or partition. -ENOENT; -EEXIST: several (a label, a serial
 * number).
 */
int must_check volume_exists(enum disk_source, const char *name);
/*
 * Opens it. The struct is the caller's, until volume_close(). -ENOENT, -EEXIST; -EBUSY: somebody
 * holds sectors of it; -EROFS: the disk cannot be written. *why, in words.
 */
int must_check volume_open(struct volume *, enum disk_source, const char *name, bool ro,
                           const char *holder, char *why, size_t len);
/*
 * As volume_open(), for the one partition of a GPT type, for writing; -EEXIST: there are several.
 * CPU 0.
 */
int must_check volume_open_type(struct volume *, const uint8_t type[16], const char *holder,
                                char *why, size_t len);
void volume_close(struct volume *); /* no request is under way */
/*
 * Any CPU. A number that grows with each request, by whoever holds them, that may change sectors
 * of the volume: as long as it stays the same nothing has been written to them, in this boot.
 */
uint64_t volume_changes(const struct volume *);
