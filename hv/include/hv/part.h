/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Partition tables: GPT (UEFI 2.10 section 5.3) and MBR (section 5.2.1). Portable, and without side
 * effects: the disk's contents come through a function, all of them are checked, every loop is
 * bounded.
 */
#pragma once
#include <hv/types.h>
#define PARTS_MAX 128
#define PART_LABEL 112 /* bytes: 36 characters of UTF-16, as UTF-8 */
enum part_kind { PART_NONE, PART_MBR, PART_GPT };
struct part {
    uint64_t first, sectors; /* of 512 bytes */
    uint32_t number;         /* from 1; logical MBR partitions from 5 */
    uint8_t guid[16];        /* GPT: of this partition, as it is on the disk */
    uint8_t type[16];        /* GPT: of what it is for, as it is on the disk; MBR: zeroes */
    char label[PART_LABEL];  /* GPT */
};
struct part_table {
    enum part_kind kind;
    bool second;            /* GPT: the first header or its entries are broken */
    uint32_t mbr_signature; /* MBR */
    uint32_t dropped;       /* entries that cannot be, overlap, or are too many */
    uint32_t n;
    const char *why; /* what is wrong with the table; NULL: nothing */
    struct part part[PARTS_MAX];
};
struct part_source {
    /* one block at `lba` into buf; 0 or -Exxx */
    int (*read)(void *ctx, uint64_t lba, void *buf);
    void *ctx;
    uint32_t block;  /* bytes: 512 or 4096 */
    uint64_t blocks; /* at most 2^54 */
};
/* 0, also for a disk without a table; -Exxx of read(). `buf`: room for one block. */
int must_check part_read(const struct part_source *, void *buf, struct part_table *);
/* "8d9a…-…": the GUID as people write it; 37 bytes. */
void part_guid_text(const uint8_t guid[16], char *out);
