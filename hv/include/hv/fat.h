/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FAT12, FAT16 and FAT32 with long names, read only (Microsoft, "FAT32 File System Specification",
 * 1.03, December 2000: the section numbers here are its). Portable, and without side effects: a
 * call that needs a part of the volume returns 1, with struct fat's `want` saying which; the caller
 * gets it from wherever it is, gives it to fat_feed(), and calls again. Everything that is read is
 * checked, every loop is bounded, and a call looks at 8 KiB at most.
 */
#pragma once
#include <hv/types.h>
#define FAT_BLOCK_MAX 4096
#define FAT_NAME 255                   /* UTF-16 units of a long name */
#define FAT_WINDOW (2 * FAT_BLOCK_MAX) /* bytes, at most, that are wanted at a time */
#define FAT_DIR_MAX (65536 * 32)       /* bytes of a directory */
enum fat_window { FAT_TABLE, FAT_DIR, FAT_WINDOWS };
struct fat {
    uint32_t block;       /* bytes of what the volume calls a sector: 512 to 4096 */
    uint32_t per_cluster; /* blocks */
    uint32_t bits;        /* of a table's entry: 12, 16, 32 */
    uint32_t clusters;    /* they are numbered from 2 */
    uint32_t root;        /* FAT32: the cluster where the root directory begins; else 0 */
    uint32_t root_blocks; /* FAT12 and FAT16 */
    uint64_t table, table_blocks, root_at, data; /* blocks of the volume */
    struct {
        uint64_t sector; /* of 512 bytes */
        uint32_t nsectors;
        uint32_t window; /* enum fat_window */
    } want;
    struct {
        uint64_t at; /* block of the volume; UINT64_MAX: nothing was read */
        uint32_t len;
        uint8_t bytes[FAT_WINDOW];
    } window[FAT_WINDOWS];
};
/*
 * From the first 512 bytes of a volume of so many sectors (512 bytes each), on a disk with blocks
 * of so many bytes. 0; -EINVAL: why[n] says what is wrong with it.
 */
int must_check fat_mount(struct fat *, const uint8_t boot[512], uint64_t sectors,
                         uint32_t disk_block, char *why, size_t n);
/* What was wanted: want.nsectors * 512 bytes. */
void fat_feed(struct fat *, const uint8_t *bytes);

struct fat_file {
    bool dir;
    uint32_t size;    /* bytes */
    uint32_t cluster; /* 0: none */
    /* private to fat_read() */
    uint32_t in, left, mark, steps, until;
};
struct fat_find {
    const char *rest; /* of the path */
    struct fat_file found;
    uint32_t cluster;    /* of the directory; 0: FAT12's and FAT16's root */
    uint32_t in, walked; /* blocks: within the cluster or that root; so far in this directory */
    bool looked;         /* at the block: go on to the next one */
    uint16_t want[FAT_NAME + 1];
    uint32_t want_len;
    uint16_t name[FAT_NAME + 6]; /* the long name whose pieces have come so far */
    uint8_t piece, sum;          /* that comes next, 0: the entry itself; of the short name */
    bool whole;                  /* `name` is one */
    uint32_t name_len;
};
/* UTF-8, parted by / or \; the letters A to Z compare without case. The path outlives the search.
 */
void fat_find_begin(const struct fat *, struct fat_find *, const char *path);
/* 0: see `found`, which fat_read() takes; 1: a part is wanted; -ENOENT; -EINVAL: broken. */
int must_check fat_find(struct fat *, struct fat_find *);

struct fat_run {
    uint64_t sector; /* of 512 bytes */
    uint32_t nsectors;
    uint32_t bytes; /* of the file; 0: it has ended */
};
/*
 * The next bytes of a file that lie behind one another, at most `most` (at least a block; a
 * multiple of FAT_BLOCK_MAX). 0; 1: a part is wanted; -EINVAL: its chain of clusters is broken.
 */
int must_check fat_read(struct fat *, struct fat_file *, uint32_t most, struct fat_run *);
