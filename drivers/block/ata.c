/* SPDX-License-Identifier: BSD-2-Clause */
/* ata.c: what ATA disks say of themselves. */
#include "ata.h"
#include <string.h>

/* ACS section 7.12.7: words of IDENTIFY DEVICE data */
enum {
    ID_SERIAL = 10,
    ID_MODEL = 27,
    ID_SETS = 83,
    ID_EXTRAS = 84,
    ID_ON = 85,
    ID_SECTORS = 100,
    ID_SIZES = 106
};
enum { ID_DATA_SET = 169, DATA_SET_TRIM = 1, RANGES = 512 / 8, RANGE_MOST = 0xffff };
#define DISCARD_MOST (256 * MIB) /* bytes of a command: slow disks are done with it in time */
enum { ID_WORDS = 117, SETS_LBA48 = 1 << 10, SETS_FLUSH = 1 << 13, SIZES_LONG = 1 << 12 };

uint32_t ata_word(const uint8_t *ident, unsigned i)
{
    return ident[2 * i] | (uint32_t)ident[2 * i + 1] << 8;
}

/* Two characters in each word, the first in its upper half. */
static void text(const uint8_t *ident, unsigned from, unsigned n, char *dst)
{
    size_t end = 0;

    for (unsigned i = 0; i < 2 * n; i++) {
        uint8_t c = ident[2 * from + (i ^ 1)];

        dst[i] = c > ' ' && c < 0x7f ? (char)c : ' ';
        if (dst[i] != ' ')
            end = i + 1;
    }
    dst[end] = '\0';
}

/* Bytes of a block; 0: a size that Trivet does not use. */
static uint32_t block_size(const uint8_t *ident)
{
    uint32_t sizes = ata_word(ident, ID_SIZES), n;

    if ((sizes & 0xc000) != 0x4000 || !(sizes & SIZES_LONG))
        return 512;
    n = ata_word(ident, ID_WORDS) | ata_word(ident, ID_WORDS + 1) << 16;
    return n == 2048 ? 4096 : n == 256 ? 512 : 0;
}

int ata_describe(const uint8_t *ident, struct disk *d)
{
    uint32_t sets = ata_word(ident, ID_SETS), block = block_size(ident);
    uint64_t blocks = 0;

    for (unsigned i = 0; i < 4; i++)
        blocks |= (uint64_t)ata_word(ident, ID_SECTORS + i) << (16 * i);
    if ((sets & 0xc000) != 0x4000 || !(sets & SETS_LBA48) || !(sets & SETS_FLUSH) || !block ||
        !blocks || blocks >> 48)
        return -ENOTSUP;
    d->blk.sectors = blocks * (block / 512);
    d->blk.limits.block = block;
    text(ident, ID_MODEL, 20, d->model);
    text(ident, ID_SERIAL, 10, d->serial);
    return 0;
}

uint32_t ata_discard_most(const uint8_t *ident, uint32_t block)
{
    uint64_t most = min_u64(RANGES * RANGE_MOST * (block / 512), DISCARD_MOST / 512);

    return ata_word(ident, ID_DATA_SET) & DATA_SET_TRIM ? (uint32_t)most : 0;
}

void ata_put_ranges(uint8_t ranges[512], uint64_t first, uint64_t blocks)
{
    memset(ranges, 0, 512);
    for (unsigned i = 0; i < RANGES && blocks; i++) {
        uint64_t n = min_u64(blocks, RANGE_MOST);

        put_le(ranges + 8 * i, 8, first | n << 48);
        first += n;
        blocks -= n;
    }
}

/* ---- health: ATA8-ACS sections 7.52.5 and 7.52.7, annex A.17 ---- */

enum { ATTRIBUTES = 30, ATTRIBUTE_LEN = 12, ATTRIBUTE_VALUE = 3, ATTRIBUTE_RAW = 5 };
enum { ATTR_UNCORRECTED = 187, ATTR_AIRFLOW = 190, ATTR_CELSIUS = 194, ERRORS_COUNTED = 452 };

unsigned ata_smart_pages(const uint8_t *ident)
{
    if (!(ata_word(ident, ID_SETS - 1) & ata_word(ident, ID_ON) & 1))
        return 0;
    return (ata_word(ident, ID_EXTRAS) & 0xc001) == 0x4001 ? 2 : 1;
}

static bool sum_is_right(const uint8_t *page)
{
    uint8_t sum = 0;

    for (unsigned i = 0; i < 512; i++)
        sum = (uint8_t)(sum + page[i]);
    return sum == 0;
}

/* One that has this number; NULL: none. */
static const uint8_t *attribute(const uint8_t *page, uint8_t id)
{
    for (unsigned i = 0; i < ATTRIBUTES; i++)
        if (page[2 + ATTRIBUTE_LEN * i] == id)
            return page + 2 + ATTRIBUTE_LEN * i;
    return NULL;
}

bool ata_smart_data(const uint8_t *page, struct disk_health *h)
{
    /* what is left of the life of a disk without moving parts, in percent: the first that it has */
    static const uint8_t lives[] = { 231, 233, 202, 177, 173 };
    const uint8_t *a = attribute(page, ATTR_CELSIUS);

    if (!sum_is_right(page))
        return false;
    a = a ? a : attribute(page, ATTR_AIRFLOW);
    h->celsius = a ? a[ATTRIBUTE_RAW] : DISK_UNTOLD;
    h->worn = DISK_UNTOLD;
    for (unsigned i = 0; i < ARRAY_SIZE(lives); i++) {
        a = attribute(page, lives[i]);
        if (!a)
            continue;
        h->worn = 100 - (uint32_t)min_u64(a[ATTRIBUTE_VALUE], 100);
        break;
    }
    a = attribute(page, ATTR_UNCORRECTED);
    h->media_errors = a ? get_le(a + ATTRIBUTE_RAW, 4) : DISK_UNTOLD;
    return true;
}

bool ata_smart_errors(const uint8_t *page, struct disk_health *h)
{
    if (!sum_is_right(page))
        return false;
    h->logged = get_le(page + ERRORS_COUNTED, 2);
    return true;
}

enum ata_command ata_opcode(uint8_t op, bool queued)
{
    if (op == BLK_FLUSH)
        return ATA_FLUSH;
    if (op == BLK_DISCARD)
        return ATA_DATA_SET;
    if (op == BLK_WRITE)
        return queued ? ATA_WRITE_QUEUED : ATA_WRITE;
    return queued ? ATA_READ_QUEUED : ATA_READ;
}
