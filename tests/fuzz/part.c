/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Partition tables of a disk that the input describes: its first byte chooses the block size, then
 * records of a place and what is there. Checksums are mended, so that what is behind them is
 * reached; every partition that comes out lies on the disk and overlaps no other.
 */
#include <hv/part.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 256, RECORD = 24 };
static uint8_t disk[BLOCKS * 4096], buf[4096];
static uint32_t block;
static unsigned reads;

static int read_block(void *ctx, uint64_t lba, void *to)
{
    (void)ctx;
    if (lba >= BLOCKS || ++reads > 4096)
        abort();
    memcpy(to, disk + lba * block, block);
    return 0;
}

static uint32_t crc(const uint8_t *p, uint64_t n)
{
    uint32_t c = UINT32_MAX;

    while (n--) {
        c ^= *p++;
        for (unsigned k = 0; k < 8; k++)
            c = c >> 1 ^ (c & 1 ? 0xedb88320 : 0);
    }
    return ~c;
}

static void mend(uint64_t lba)
{
    uint8_t *h = disk + lba * block;
    uint64_t entries;
    uint32_t len, n, size, sum;

    memcpy(&len, h + 12, 4);
    memcpy(&entries, h + 72, 8);
    memcpy(&n, h + 80, 4);
    memcpy(&size, h + 84, 4);
    if (entries < BLOCKS && (uint64_t)n * size <= (BLOCKS - entries) * block) {
        sum = crc(disk + entries * block, (uint64_t)n * size);
        memcpy(h + 88, &sum, 4);
    }
    memset(h + 16, 0, 4);
    if (len <= block) {
        sum = crc(h, len);
        memcpy(h + 16, &sum, 4);
    }
}

/* A GPT to begin with, so that few records make a difference. */
static void usual(void)
{
    static const uint64_t places[2] = { 1, BLOCKS - 1 };

    memset(disk, 0, sizeof disk);
    memcpy(disk + 510, "\x55\xaa", 2);
    disk[450] = 0xee;
    for (unsigned i = 0; i < 2; i++) {
        uint8_t *h = disk + places[i] * block;
        uint64_t entries = i ? BLOCKS - 33 : 2, first = 34, last = BLOCKS - 34;
        uint32_t n = 32, size = 128, version = 0x10000, len = 92;

        memcpy(h, "EFI PART", 8);
        memcpy(h + 8, &version, 4);
        memcpy(h + 12, &len, 4);
        memcpy(h + 24, &places[i], 8);
        memcpy(h + 40, &first, 8);
        memcpy(h + 48, &last, 8);
        memcpy(h + 72, &entries, 8);
        memcpy(h + 80, &n, 4);
        memcpy(h + 84, &size, 4);
    }
}

static void check(const struct part_table *t)
{
    uint64_t sectors = (uint64_t)BLOCKS * (block / 512);

    if (t->n > PARTS_MAX)
        abort();
    for (uint32_t i = 0; i < t->n; i++) {
        const struct part *p = &t->part[i];

        if (!p->number || !p->sectors || !range_within(p->first, p->sectors, 1, sectors - 1) ||
            !memchr(p->label, 0, sizeof p->label))
            abort();
        for (uint32_t k = 0; k < i; k++)
            if (p->first < t->part[k].first + t->part[k].sectors &&
                t->part[k].first < p->first + p->sectors)
                abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct part_table t;
    struct part_source s = { read_block, NULL, 0, BLOCKS };

    if (size < 1)
        return 0;
    s.block = block = data[0] & 1 ? 4096 : 512;
    reads = 0;
    usual();
    if (data[0] & 2)
        memset(disk, 0, 510);
    for (size_t at = 1; at + RECORD <= size; at += RECORD) {
        uint32_t where = (data[at] | (uint32_t)data[at + 1] << 8) * 8u;

        where = where % (BLOCKS * block - RECORD);
        memcpy(disk + where, data + at + 2, RECORD - 2);
    }
    if (!(data[0] & 4))
        mend(1);
    if (!(data[0] & 8))
        mend(BLOCKS - 1);
    if (part_read(&s, buf, &t) == 0)
        check(&t);
    return 0;
}
