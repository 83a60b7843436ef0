/* SPDX-License-Identifier: BSD-2-Clause */
/* ata.c: what ATA disks say of themselves. */
#include "ata.h"

/* ACS section 7.12.7: words of IDENTIFY DEVICE data */
enum { ID_SERIAL = 10, ID_MODEL = 27, ID_SETS = 83, ID_SECTORS = 100, ID_SIZES = 106 };
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

enum ata_command ata_opcode(uint8_t op, bool queued)
{
    if (op == BLK_FLUSH)
        return ATA_FLUSH;
    if (op == BLK_WRITE)
        return queued ? ATA_WRITE_QUEUED : ATA_WRITE;
    return queued ? ATA_READ_QUEUED : ATA_READ;
}
