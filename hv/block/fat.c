/* SPDX-License-Identifier: BSD-2-Clause */
/* fat.c: see <hv/fat.h>. The volume's header, and the table of clusters. */
#include <hv/assert.h>
#include <hv/fat.h>
#include <stdio.h>
#include <string.h>

#include "fat_private.h"

/* The header's fields: "Boot Sector and BPB Structure". */
enum {
    BPB_BYTES = 11,
    BPB_PER_CLUSTER = 13,
    BPB_RESERVED = 14,
    BPB_TABLES = 16,
    BPB_ROOT_ENTRIES = 17,
    BPB_TOTAL16 = 19,
    BPB_TABLE16 = 22,
    BPB_TOTAL32 = 32,
    BPB_TABLE32 = 36,
    BPB_FLAGS = 40,
    BPB_VERSION = 42,
    BPB_ROOT = 44,
    BPB_SIGNATURE = 510
};
#define NO_MIRROR 0x80u /* of BPB_FLAGS: one table is in use, its number in the low 4 bits */
/* "FAT Type Determination": the least counts of clusters */
#define LEAST16 4085u
#define LEAST32 65525u

static int fat_why(char *why, size_t n, const char *what)
{
    snprintf(why, n, "%s", what);
    return -EINVAL;
}

static bool is_power(uint32_t v) { return v && !(v & (v - 1)); }

/* Sizes that anything could be, before they are reckoned with. */
static bool sizes_ok(const uint8_t *b, uint32_t disk_block)
{
    uint32_t block = (uint32_t)get_le(b + BPB_BYTES, 2);

    return is_power(block) && block >= 512 && block <= FAT_BLOCK_MAX && block >= disk_block &&
           is_power(b[BPB_PER_CLUSTER]) && get_le(b + BPB_RESERVED, 2) && b[BPB_TABLES];
}

/* Where everything lies. Nothing here can overflow 64 bits. */
static bool fat_lay_out(struct fat *f, const uint8_t *b, uint64_t sectors)
{
    uint64_t total = get_le(b + BPB_TOTAL16, 2), tables = b[BPB_TABLES], clusters;

    f->block = (uint32_t)get_le(b + BPB_BYTES, 2);
    f->per_cluster = b[BPB_PER_CLUSTER];
    total = total ? total : get_le(b + BPB_TOTAL32, 4);
    f->table_blocks = get_le(b + BPB_TABLE16, 2);
    f->bits = f->table_blocks ? 16 : 32;
    if (!f->table_blocks)
        f->table_blocks = get_le(b + BPB_TABLE32, 4);
    f->table = get_le(b + BPB_RESERVED, 2);
    f->root_blocks =
        ((uint32_t)get_le(b + BPB_ROOT_ENTRIES, 2) * FAT_ENTRY + f->block - 1) / f->block;
    f->root_at = f->table + tables * f->table_blocks;
    f->data = f->root_at + f->root_blocks;
    if (total > sectors / (f->block / 512) || f->data >= total || !f->table_blocks)
        return false;
    clusters = (total - f->data) / f->per_cluster;
    if (f->bits == 16 && clusters < LEAST16)
        f->bits = 12;
    if (f->bits == 16 && clusters >= LEAST32)
        return false;
    /* those that the table has no entry for cannot be used */
    f->clusters = (uint32_t)min_u64(min_u64(clusters, 0x0ffffff5),
                                    f->table_blocks * f->block * 8 / f->bits - 2);
    return clusters > 0;
}

/* FAT32's own fields. */
static bool fat_open32(struct fat *f, const uint8_t *b)
{
    uint32_t flags = (uint32_t)get_le(b + BPB_FLAGS, 2), active = flags & 15;

    if (f->bits != 32)
        return f->root_blocks != 0;
    f->root = (uint32_t)get_le(b + BPB_ROOT, 4) & 0x0fffffff;
    if (f->root_blocks || get_le(b + BPB_VERSION, 2) || !fat_is_cluster(f, f->root))
        return false;
    if (flags & NO_MIRROR && active >= b[BPB_TABLES])
        return false;
    if (flags & NO_MIRROR)
        f->table += active * f->table_blocks;
    return true;
}

int fat_mount(struct fat *f, const uint8_t boot[512], uint64_t sectors, uint32_t disk_block,
              char *why, size_t n)
{
    for (unsigned i = 0; i < FAT_WINDOWS; i++)
        f->window[i].at = UINT64_MAX;
    f->root = 0;
    if (memcmp(boot + 3, "EXFAT   ", 8) == 0 || memcmp(boot + 3, "NTFS    ", 8) == 0)
        return fat_why(why, n, "its file system is exFAT or NTFS; it must be FAT");
    if (get_le(boot + BPB_SIGNATURE, 2) != 0xaa55 || !sizes_ok(boot, disk_block))
        return fat_why(why, n, "it holds no FAT file system");
    if (!fat_lay_out(f, boot, sectors) || !fat_open32(f, boot))
        return fat_why(why, n, "the header of its FAT file system is broken");
    return 0;
}

/* ---- windows ---- */

int fat_need(struct fat *f, enum fat_window w, uint64_t at, uint32_t blocks)
{
    if (f->window[w].at == at)
        return 0;
    hv_assert(blocks && blocks * f->block <= FAT_WINDOW);
    f->want.sector = at * (f->block / 512);
    f->want.nsectors = blocks * (f->block / 512);
    f->want.window = w;
    return 1;
}

void fat_feed(struct fat *f, const uint8_t *bytes)
{
    hv_assert(f->want.window < FAT_WINDOWS && f->want.nsectors <= FAT_WINDOW / 512);
    f->window[f->want.window].at = f->want.sector / (f->block / 512);
    f->window[f->want.window].len = f->want.nsectors * 512;
    memcpy(f->window[f->want.window].bytes, bytes, f->want.nsectors * 512);
}

/* ---- the table ---- */

bool fat_is_cluster(const struct fat *f, uint32_t cluster)
{
    return cluster >= 2 && cluster - 2 < f->clusters;
}

uint64_t fat_block_of(const struct fat *f, uint32_t cluster)
{
    return f->data + (uint64_t)(cluster - 2) * f->per_cluster;
}

/* Bytes from the table's begin to a cluster's entry. */
static uint64_t fat_entry_at(const struct fat *f, uint32_t cluster)
{
    return f->bits == 12 ? cluster + cluster / 2 : (uint64_t)cluster * (f->bits / 8);
}

/* False: the entry is not in the window. */
static bool entry_cached(const struct fat *f, uint32_t cluster, uint32_t *next)
{
    uint64_t at = fat_entry_at(f, cluster), begin = f->window[FAT_TABLE].at;
    uint32_t size = f->bits == 32 ? 4 : 2, v;

    if (begin == UINT64_MAX)
        return false;
    begin = (begin - f->table) * f->block;
    if (!range_within(at, size, begin, f->window[FAT_TABLE].len))
        return false;
    v = (uint32_t)get_le(f->window[FAT_TABLE].bytes + (at - begin), size);
    *next = f->bits == 32 ? v & 0x0fffffff : f->bits == 16 ? v : cluster & 1 ? v >> 4 : v & 0xfff;
    return true;
}

int fat_next(struct fat *f, uint32_t cluster, uint32_t *next)
{
    uint64_t block = fat_entry_at(f, cluster) / f->block;

    hv_assert(fat_is_cluster(f, cluster) && block < f->table_blocks);
    if (entry_cached(f, cluster, next))
        return 0;
    /* one that no window can hold: its last bytes would lie behind the table */
    if (f->window[FAT_TABLE].at == f->table + block)
        return -EINVAL;
    return fat_need(f, FAT_TABLE, f->table + block,
                    (uint32_t)min_u64(FAT_WINDOW / f->block, f->table_blocks - block));
}

/* ---- a file's contents ---- */

/*
 * On to the next cluster. A chain that comes back to where it was is found by R. Brent's way: a
 * mark is left at each power of two of steps.
 */
static int fat_go_on(const struct fat *f, struct fat_file *r, uint32_t next)
{
    if (!fat_is_cluster(f, next) || next == r->mark || r->steps > f->clusters)
        return -EINVAL;
    if (++r->steps >= r->until) {
        r->mark = next;
        r->until = 2 * r->steps;
    }
    r->cluster = next;
    r->in = 0;
    return 0;
}

static int fat_turn(struct fat *f, struct fat_file *r)
{
    uint32_t next;
    int err;

    if (r->in < f->per_cluster)
        return 0;
    err = fat_next(f, r->cluster, &next);
    return err ? err : fat_go_on(f, r, next);
}

int fat_read(struct fat *f, struct fat_file *r, uint32_t most, struct fat_run *run)
{
    uint64_t blocks, first, n = 0;
    uint32_t next;
    int err;

    *run = (struct fat_run){ 0 };
    if (!r->left)
        return 0;
    if (!fat_is_cluster(f, r->cluster))
        return -EINVAL;
    err = fat_turn(f, r);
    if (err)
        return err;
    blocks = min_u64(most / f->block, ((uint64_t)r->left + f->block - 1) / f->block);
    first = fat_block_of(f, r->cluster) + r->in;
    for (;;) {
        uint64_t take = min_u64(f->per_cluster - r->in, blocks - n);

        n += take;
        r->in += (uint32_t)take;
        if (n == blocks || !entry_cached(f, r->cluster, &next) || next != r->cluster + 1)
            break;
        err = fat_go_on(f, r, next);
        if (err)
            return err;
    }
    run->sector = first * (f->block / 512);
    run->nsectors = (uint32_t)n * (f->block / 512);
    run->bytes = (uint32_t)min_u64(r->left, n * f->block);
    r->left -= run->bytes;
    return 0;
}
