/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nocloud.c: see nocloud.h. A FAT12 volume (Microsoft FAT specification, 2005, §3 to §7): boot
 * sector, two tables, root directory, then each file in clusters that follow one another. The
 * files' names need long entries (§7).
 */
#include "nocloud.h"
#include <hv/assert.h>
#include <string.h>

enum { SECTOR = 512, CLUSTER = 4 * SECTOR, FATS = 2, ROOT_ENTRIES = SECTOR / 32 };
enum { FIRST_CLUSTER = 2, FAT12_END = 0xfff, FAT12_MOST = 4084, MEDIA = 0xf8 };
enum { ATTR_READ_ONLY = 1, ATTR_LABEL = 8, ATTR_LONG = 0xf, LONG_LAST = 0x40, LONG_CHARS = 13 };
#define YEAR_2026 (46u << 9 | 1u << 5 | 1u) /* 1 January: a file has to have a date (§6) */

static_assert(2 * (NOCLOUD_FILE_MAX / CLUSTER + 1) <= FAT12_MOST, "the largest image is FAT12");

struct fat {
    uint32_t clusters; /* of data */
    uint32_t sectors;  /* of one table */
};

static uint32_t clusters_of(const struct nocloud_file *f)
{
    return (uint32_t)(align_up(f->len, CLUSTER) / CLUSTER);
}

static struct fat fat_for(const struct nocloud_file *user, const struct nocloud_file *meta)
{
    uint32_t n = clusters_of(user) + clusters_of(meta) + 1; /* never a volume without any */

    /* 12 bits for each cluster, and for two that do not exist */
    return (struct fat){ n,
                         (uint32_t)(align_up((n + FIRST_CLUSTER) * 3 / 2 + 1, SECTOR) / SECTOR) };
}

static uint32_t data_at(const struct fat *f)
{
    return (1 + FATS * f->sectors) * SECTOR + ROOT_ENTRIES * 32;
}

uint64_t nocloud_size(const struct nocloud_file *user, const struct nocloud_file *meta)
{
    struct fat f = fat_for(user, meta);

    return data_at(&f) + (uint64_t)f.clusters * CLUSTER;
}

/* §3.1 to §3.3 */
static void boot_sector(uint8_t *p, const struct fat *f)
{
    uint32_t sectors = data_at(f) / SECTOR + f->clusters * (CLUSTER / SECTOR);

    memcpy(p, "\xeb\x3c\x90TRIVET  ", 11);
    put_le(p + 11, 2, SECTOR);
    p[13] = CLUSTER / SECTOR;
    put_le(p + 14, 2, 1); /* reserved: this sector */
    p[16] = FATS;
    put_le(p + 17, 2, ROOT_ENTRIES);
    put_le(p + 19, 2, sectors);
    p[21] = MEDIA;
    put_le(p + 22, 2, f->sectors);
    put_le(p + 24, 2, 63); /* sectors a track, heads: no BIOS asks */
    put_le(p + 26, 2, 16);
    p[36] = 0x80;
    p[38] = 0x29; /* what follows is there */
    put_le(p + 39, 4, 0x54525654);
    memcpy(p + 43, "CIDATA     FAT12   ", 19);
    put_le(p + 510, 2, 0xaa55);
}

/* §4.1: two entries share a byte. */
static void fat_set(uint8_t *table, uint32_t cluster, uint32_t v)
{
    uint8_t *p = table + cluster * 3 / 2;

    if (cluster & 1) {
        p[0] = (uint8_t)((p[0] & 0xf) | v << 4);
        p[1] = (uint8_t)(v >> 4);
    } else {
        p[0] = (uint8_t)v;
        p[1] = (uint8_t)((p[1] & 0xf0) | v >> 8);
    }
}

static void fat_chain(uint8_t *table, uint32_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        fat_set(table, first + i, i + 1 < n ? first + i + 1 : FAT12_END);
}

/* §7.2: of the short name, in every long entry. */
static uint8_t name_sum(const char *short_name)
{
    uint8_t sum = 0;

    for (unsigned i = 0; i < 11; i++)
        sum = (uint8_t)((sum << 7 | sum >> 1) + (uint8_t)short_name[i]);
    return sum;
}

/* §7.4: one entry has the 13 characters of a name that is shorter, its end, and ones. */
static void long_entry(uint8_t *p, const char *name, const char *short_name)
{
    static const uint8_t at[LONG_CHARS] = { 1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30 };
    size_t n = strlen(name);

    hv_assert(n < LONG_CHARS);
    p[0] = LONG_LAST | 1;
    p[11] = ATTR_LONG;
    p[13] = name_sum(short_name);
    for (size_t i = 0; i < LONG_CHARS; i++)
        put_le(p + at[i], 2, i < n ? (uint8_t)name[i] : i == n ? 0 : 0xffff);
}

/* Two entries, for a file of `len` bytes from `cluster` on; returns what follows. */
static uint8_t *file_entry(uint8_t *p, const char *name, const char *short_name, uint32_t cluster,
                           uint64_t len)
{
    long_entry(p, name, short_name);
    p += 32;
    memcpy(p, short_name, 11);
    p[11] = ATTR_READ_ONLY;
    put_le(p + 16, 2, YEAR_2026);
    put_le(p + 18, 2, YEAR_2026);
    put_le(p + 24, 2, YEAR_2026);
    put_le(p + 26, 2, len ? cluster : 0);
    put_le(p + 28, 4, (uint32_t)len);
    return p + 32;
}

static uint8_t *label_entry(uint8_t *p)
{
    memcpy(p, "CIDATA     ", 11);
    p[11] = ATTR_LABEL;
    put_le(p + 24, 2, YEAR_2026);
    return p + 32;
}

static void copy_file(uint8_t *data, uint32_t cluster, const struct nocloud_file *f)
{
    if (f->len)
        memcpy(data + (uint64_t)(cluster - FIRST_CLUSTER) * CLUSTER, f->bytes, f->len);
}

void nocloud_write(uint8_t *to, const struct nocloud_file *user, const struct nocloud_file *meta)
{
    struct fat f = fat_for(user, meta);
    uint32_t second = FIRST_CLUSTER + clusters_of(user);
    uint8_t *table = to + SECTOR, *root = table + FATS * f.sectors * SECTOR;

    hv_assert(user->len <= NOCLOUD_FILE_MAX && meta->len <= NOCLOUD_FILE_MAX);
    boot_sector(to, &f);
    fat_set(table, 0, 0xf00 | MEDIA);
    fat_set(table, 1, FAT12_END);
    fat_chain(table, FIRST_CLUSTER, clusters_of(user));
    fat_chain(table, second, clusters_of(meta));
    memcpy(table + f.sectors * SECTOR, table, f.sectors * SECTOR);
    root = label_entry(root);
    root = file_entry(root, "user-data", "USER-D~1   ", FIRST_CLUSTER, user->len);
    (void)file_entry(root, "meta-data", "META-D~1   ", second, meta->len);
    copy_file(to + data_at(&f), FIRST_CLUSTER, user);
    copy_file(to + data_at(&f), second, meta);
}
