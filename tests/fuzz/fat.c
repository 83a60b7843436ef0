/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FAT volumes that the input describes: its first byte chooses the kind, then records of a place
 * and what is there change a sound one. Whatever is found, nothing outside the volume is wanted,
 * and every search and every file ends.
 */
#include <hv/fat.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SECTORS = 1024, RECORD = 8, READS_MAX = 20000 };
static uint8_t volume[SECTORS * 512];
static struct fat fat;
static unsigned reads;

static void put(uint32_t at, unsigned n, uint32_t v) { memcpy(volume + at, &v, n); }

/*
 * A volume with tables at sector 1, the root directory at 9 (cluster 2 of FAT32), "dir/a long
 * name.x" and "file" of several clusters. The kinds: FAT12, FAT16 as far as it goes, FAT32.
 */
static void sound(unsigned kind)
{
    static const char pieces[] = "\x41"
                                 "a\0 \0l\0o\0n\0\x0f\0\0g\0 \0n\0a\0m\0e\0\0\0.\0x\0";
    uint32_t data = kind == 2 ? 9 : 10, dir = data + 1;

    memset(volume, 0, sizeof volume);
    put(11, 2, 512), put(13, 1, 1), put(14, 2, 1), put(16, 1, 1), put(510, 2, 0xaa55);
    put(32, 4, SECTORS);
    put(17, 2, kind == 2 ? 0 : 16), put(22, 2, kind == 2 ? 0 : 8);
    put(36, 4, 8), put(44, 4, 2);
    for (uint32_t c = 2; c < 12; c++) {
        uint32_t next = c < 6 ? 0x0fffffff : c + 1 == 12 ? 0x0fffffff : c + 1;

        if (kind == 2)
            put(512 + 4 * c, 4, next);
        else if (c & 1)
            put(512 + c + c / 2, 2, (next & 0xfff) << 4 | (uint32_t)volume[512 + c + c / 2]);
        else
            put(512 + c + c / 2, 2, next & 0xfff);
    }
    memcpy(volume + 9 * 512, "DIR        \x10", 12), put(9 * 512 + 26, 2, 3);
    memcpy(volume + 9 * 512 + 32, "FILE        ", 12), put(9 * 512 + 58, 2, 6);
    put(9 * 512 + 60, 4, 2900);
    memcpy(volume + dir * 512, pieces, 32);
    volume[dir * 512 + 13] = 0xf3;
    memcpy(volume + dir * 512 + 32, "ALONGN~1X   ", 12), put(dir * 512 + 58, 2, 4);
    put(dir * 512 + 60, 4, 300);
}

static void serve(void)
{
    if (!range_within(fat.want.sector, fat.want.nsectors, 0, SECTORS) ||
        fat.want.nsectors * 512 > FAT_WINDOW || ++reads > READS_MAX)
        abort();
    fat_feed(&fat, volume + fat.want.sector * 512);
}

static void read_all(struct fat_file *f)
{
    struct fat_run run = { 0 };
    uint64_t bytes = 0;
    int res;

    do {
        while ((res = fat_read(&fat, f, 16384, &run)) == 1)
            serve();
        if (res == 0 && run.bytes &&
            (!range_within(run.sector, run.nsectors, 0, SECTORS) || ++reads > READS_MAX ||
             run.bytes > run.nsectors * 512 || run.nsectors > 32))
            abort();
        bytes += run.bytes;
    } while (res == 0 && run.bytes);
    if (bytes > f->size || (res == 0 && bytes != f->size))
        abort();
}

static void look_up(const char *path)
{
    static struct fat_find s;
    int res;

    reads = 0;
    fat_find_begin(&fat, &s, path);
    while ((res = fat_find(&fat, &s)) == 1)
        serve();
    if (res == 0)
        read_all(&s.found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[100], path[128] = "";

    if (size < 1)
        return 0;
    sound(data[0] % 3);
    for (size_t at = 1; at + RECORD <= size; at += RECORD) {
        uint32_t where = (data[at] | (uint32_t)data[at + 1] << 8) % (12 * 512);

        memcpy(volume + where, data + at + 2, RECORD - 2);
    }
    memcpy(path, data + 1, min_u64(size - 1, sizeof path - 1));
    if (fat_mount(&fat, volume, SECTORS, 512, why, sizeof why))
        return 0;
    look_up("dir/a long name.x");
    look_up("file");
    look_up("DIR/ALONGN~1.X");
    look_up(path);
    return 0;
}
