/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fat_dir.c: a path's way through directories: "FAT Directory Structure", and "FAT Long Directory
 * Entries". A long name stands before its short one, its last piece first; the pieces' order and a
 * checksum tell whether they belong together.
 */
#include <hv/fat.h>
#include <string.h>

#include "fat_private.h"

enum {
    DIR_NAME = 0,
    DIR_ATTR = 11,
    DIR_CLUSTER_HIGH = 20,
    DIR_CLUSTER_LOW = 26,
    DIR_SIZE = 28,
    LONG_ORDER = 0,
    LONG_SUM = 13
};
enum { ATTR_VOLUME = 8, ATTR_DIRECTORY = 16, ATTR_LONG = 15, ATTR_MASK = 63 };
enum { END = 0, FREE = 0xe5, LAST_PIECE = 0x40 };
/* A directory, from its begin; the next block of this one. */
enum { LOOK_INTO = 1, LOOK_ON };
#define PIECE 13 /* units of a long name's piece */
#define PIECES 20
#define NO_UNIT 0xffffu

static bool fat_is_separator(char c) { return c == '/' || c == '\\'; }

/* ---- names ---- */

/* The next character of UTF-8; 0: it is none. */
static uint32_t utf8_next(const char **s, const char *end)
{
    const uint8_t *p = (const uint8_t *)*s;
    unsigned more = *p < 0x80   ? 0
                    : *p < 0xc2 ? 9
                    : *p < 0xe0 ? 1
                    : *p < 0xf0 ? 2
                    : *p < 0xf5 ? 3
                                : 9;
    uint32_t c = more ? *p & (0x3fu >> more) : *p;

    if (more == 9 || (size_t)(end - *s) <= more)
        return 0;
    for (unsigned i = 1; i <= more; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    *s += more + 1;
    return c > 0x10ffff ? 0 : c;
}

static uint16_t unit_fold(uint16_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint16_t)(c + 'a' - 'A') : c;
}

static bool names_same(const struct fat_find *s, const uint16_t *name, uint32_t n)
{
    if (!n || n != s->want_len)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (unit_fold(name[i]) != unit_fold(s->want[i]))
            return false;
    return true;
}

/* Of the path's rest: behind its separators, and behind what only says "here". */
static const char *skip_to_part(const char *at)
{
    while (fat_is_separator(*at) || (*at == '.' && fat_is_separator(at[1])))
        at++;
    return at;
}

/* The path's next part, in s->want. False: it cannot be a name. */
static bool take_part(struct fat_find *s)
{
    const char *at = s->rest, *end = at;

    while (*end && !fat_is_separator(*end))
        end++;
    for (s->want_len = 0; at < end;) {
        uint32_t c = utf8_next(&at, end);

        if (!c || s->want_len + 2 > FAT_NAME)
            return false;
        if (c >= 0x10000)
            s->want[s->want_len++] = (uint16_t)(0xd800 + ((c - 0x10000) >> 10));
        s->want[s->want_len++] = (uint16_t)(c >= 0x10000 ? 0xdc00 + ((c - 0x10000) & 0x3ff) : c);
    }
    s->rest = skip_to_part(end);
    return true;
}

/* "NAME.EXT"; bytes that are not ASCII are of a code page that nobody knows: they match nothing. */
static uint32_t short_name(const uint8_t *e, uint16_t name[12])
{
    uint32_t n = 0, kept = 0;

    for (unsigned i = 0; i < 11; i++) {
        if (i == 8) {
            n = kept;
            name[n++] = '.';
        }
        name[n++] = e[i] < 0x80 ? e[i] : NO_UNIT;
        if (e[i] != ' ')
            kept = n;
    }
    return kept;
}

static uint8_t short_sum(const uint8_t *e)
{
    uint8_t sum = 0;

    for (unsigned i = 0; i < 11; i++)
        sum = (uint8_t)((sum << 7 | sum >> 1) + e[i]);
    return sum;
}

static void forget_name(struct fat_find *s)
{
    s->piece = 0;
    s->whole = false;
}

/* One piece of a long name; what does not follow from the one before begins anew or is dropped. */
static void take_piece(struct fat_find *s, const uint8_t *e)
{
    static const uint8_t places[PIECE] = { 1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30 };
    unsigned order = e[LONG_ORDER] & (LAST_PIECE - 1u);
    uint16_t *to;

    if (e[LONG_ORDER] & LAST_PIECE && order && order <= PIECES) {
        s->piece = (uint8_t)order;
        s->sum = e[LONG_SUM];
        s->name_len = order * PIECE;
    } else if (!order || order != s->piece || e[LONG_SUM] != s->sum) {
        forget_name(s);
        return;
    }
    to = s->name + (order - 1) * PIECE;
    for (unsigned i = PIECE; i-- > 0;) {
        to[i] = (uint16_t)get_le(e + places[i], 2);
        if (e[LONG_ORDER] & LAST_PIECE && (to[i] == 0 || to[i] == NO_UNIT))
            s->name_len = (order - 1) * PIECE + i;
    }
    s->piece--;
    s->whole = s->piece == 0;
}

static bool entry_matches(struct fat_find *s, const uint8_t *e)
{
    uint16_t name[12];
    bool same = s->whole && s->sum == short_sum(e) && names_same(s, s->name, s->name_len);

    forget_name(s);
    return same || names_same(s, name, short_name(e, name));
}

/* ---- directories ---- */

static void fat_enter(const struct fat *f, struct fat_find *s, uint32_t cluster)
{
    s->cluster = cluster ? cluster : f->root;
    s->in = s->walked = 0;
    s->looked = false;
    forget_name(s);
}

/* An entry is the one that the path names. 0: done; LOOK_INTO; -ENOENT, -EINVAL. */
static int take_entry(const struct fat *f, struct fat_find *s, const uint8_t *e)
{
    uint32_t cluster = (uint32_t)get_le(e + DIR_CLUSTER_LOW, 2);

    if (f->bits == 32)
        cluster |= (uint32_t)get_le(e + DIR_CLUSTER_HIGH, 2) << 16;
    s->found = (struct fat_file){ .dir = e[DIR_ATTR] & ATTR_DIRECTORY,
                                  .size = (uint32_t)get_le(e + DIR_SIZE, 4),
                                  .cluster = cluster,
                                  .until = 1 };
    if (!*s->rest) {
        s->found.left = s->found.size;
        return 0;
    }
    if (!s->found.dir || !take_part(s))
        return -ENOENT;
    if (cluster && !fat_is_cluster(f, cluster))
        return -EINVAL;
    fat_enter(f, s, cluster);
    return LOOK_INTO;
}

/* A block of entries. 0: found; LOOK_INTO, LOOK_ON; -ENOENT, -EINVAL. */
static int look_at(const struct fat *f, struct fat_find *s, const uint8_t *at)
{
    for (uint32_t i = 0; i < f->block; i += FAT_ENTRY) {
        const uint8_t *e = at + i;

        if (e[DIR_NAME] == END)
            return -ENOENT;
        if (e[DIR_NAME] == FREE)
            forget_name(s);
        else if ((e[DIR_ATTR] & ATTR_MASK) == ATTR_LONG)
            take_piece(s, e);
        else if (e[DIR_ATTR] & ATTR_VOLUME)
            forget_name(s);
        else if (entry_matches(s, e))
            return take_entry(f, s, e);
    }
    return LOOK_ON;
}

/* On to the directory's next block. 0; 1: a part is wanted; -ENOENT: it has ended; -EINVAL. */
static int dir_turn(struct fat *f, struct fat_find *s)
{
    uint32_t next;
    int err;

    if (s->in + 1 < (s->cluster ? f->per_cluster : f->root_blocks)) {
        s->in++;
    } else if (!s->cluster) {
        return -ENOENT;
    } else {
        err = fat_next(f, s->cluster, &next);
        if (err)
            return err;
        if (!fat_is_cluster(f, next)) /* free, broken, or its end */
            return next >= (0x0ffffff8u & ((1ull << f->bits) - 1)) ? -ENOENT : -EINVAL;
        s->cluster = next;
        s->in = 0;
    }
    s->looked = false;
    return ++s->walked < FAT_DIR_MAX / f->block ? 0 : -EINVAL;
}

static uint64_t dir_block(const struct fat *f, const struct fat_find *s)
{
    return (s->cluster ? fat_block_of(f, s->cluster) : f->root_at) + s->in;
}

void fat_find_begin(const struct fat *f, struct fat_find *s, const char *path)
{
    memset(s, 0, sizeof *s);
    s->rest = skip_to_part(path);
    if (!take_part(s))
        s->want_len = 0; /* which no name has */
    fat_enter(f, s, 0);
}

int fat_find(struct fat *f, struct fat_find *s)
{
    int res;

    for (unsigned i = 0;; i++) {
        res = s->looked ? dir_turn(f, s) : 0;
        if (res)
            return res;
        if (i == FAT_WINDOW / FAT_BLOCK_MAX) /* what is there again and again is read again */
            f->window[FAT_DIR].at = UINT64_MAX;
        if (fat_need(f, FAT_DIR, dir_block(f, s), 1))
            return 1;
        res = look_at(f, s, f->window[FAT_DIR].bytes);
        if (res <= 0)
            return res;
        s->looked = res == LOOK_ON;
    }
}
