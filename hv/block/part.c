/* SPDX-License-Identifier: BSD-2-Clause */
/* part.c: partition tables; see <hv/part.h>. */
#include <hv/part.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define MBR_ENTRIES 446
#define MBR_SIGNATURE 440
#define MBR_MAGIC 510
#define LOGICAL_MOST 60
enum { TYPE_NONE = 0, TYPE_EXTENDED = 5, TYPE_EXTENDED_LBA = 15, TYPE_LINUX_EXTENDED = 0x85 };
enum { TYPE_PROTECTIVE = 0xee };

struct mbr_entry {
    uint8_t type;
    uint32_t first, blocks;
};
/* UEFI 2.10 section 5.3.2: offsets in the header */
enum {
    GPT_REVISION = 8,
    GPT_SIZE = 12,
    GPT_CRC = 16,
    GPT_MY_LBA = 24,
    GPT_FIRST = 40,
    GPT_LAST = 48,
    GPT_ENTRIES = 72,
    GPT_COUNT = 80,
    GPT_ENTRY_SIZE = 84,
    GPT_ENTRIES_CRC = 88,
    GPT_LEAST = 92
};
/* section 5.3.3: in an entry */
enum { ENTRY_GUID = 16, ENTRY_FIRST = 32, ENTRY_LAST = 40, ENTRY_NAME = 56, ENTRY_LEAST = 128 };
#define NAME_UNITS 36
#define ENTRIES_MOST 1024u

struct gpt {
    uint64_t first, last, entries, blocks_of_entries;
    uint32_t count, size, crc;
};

static uint32_t le16(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8; }
static uint32_t part_le32(const uint8_t *p) { return le16(p) | le16(p + 2) << 16; }
static uint64_t le64(const uint8_t *p) { return part_le32(p) | (uint64_t)part_le32(p + 4) << 32; }

/* ---- the list ---- */

static bool part_overlaps(const struct part_table *t, uint64_t first, uint64_t sectors)
{
    for (uint32_t i = 0; i < t->n; i++)
        if (first < t->part[i].first + t->part[i].sectors && t->part[i].first < first + sectors)
            return true;
    return false;
}

/* In blocks, within the disk. NULL: dropped. */
static struct part *part_add(const struct part_source *s, struct part_table *t, uint64_t first,
                             uint64_t blocks, uint32_t number)
{
    uint64_t unit = s->block / 512;
    struct part *p;

    if (blocks == 0 || !range_within(first, blocks, 1, s->blocks - 1) || t->n == PARTS_MAX ||
        part_overlaps(t, first * unit, blocks * unit)) {
        t->dropped++;
        return NULL;
    }
    p = &t->part[t->n++];
    *p = (struct part){ .first = first * unit, .sectors = blocks * unit, .number = number };
    return p;
}

/* ---- GPT ---- */

/* What is wrong with the bounds in a header, or NULL. */
static const char *gpt_bounds(const struct part_source *s, const struct gpt *g, uint64_t lba)
{
    if (g->size < ENTRY_LEAST || g->size > s->block || g->size & (g->size - 1))
        return "the size of its entries is not allowed";
    if (g->count == 0 || g->count > ENTRIES_MOST)
        return "the number of its entries is not supported";
    if (g->first > g->last || g->first < 2 || g->last >= s->blocks - 1)
        return "its bounds are not those of the disk";
    if (!range_within(g->entries, g->blocks_of_entries, 2, s->blocks - 2))
        return "its entries are not on the disk";
    if (range_within(lba, 1, g->entries, g->blocks_of_entries) ||
        (g->entries <= g->last && g->first < g->entries + g->blocks_of_entries))
        return "its entries are where partitions are";
    return NULL;
}

/* What is wrong with the header in `b`, or NULL. */
static const char *gpt_header(const struct part_source *s, uint64_t lba, uint8_t *b, struct gpt *g)
{
    uint32_t len = part_le32(b + GPT_SIZE), crc = part_le32(b + GPT_CRC);

    if (memcmp(b, "EFI PART", 8) != 0)
        return "it is not there";
    if (part_le32(b + GPT_REVISION) >> 16 != 1 || len < GPT_LEAST || len > s->block)
        return "its version or length is not supported";
    memset(b + GPT_CRC, 0, 4);
    if (crc32(0, b, len) != crc)
        return "its checksum is wrong";
    if (le64(b + GPT_MY_LBA) != lba)
        return "it belongs to another place";
    *g = (struct gpt){ .first = le64(b + GPT_FIRST),
                       .last = le64(b + GPT_LAST),
                       .entries = le64(b + GPT_ENTRIES),
                       .count = part_le32(b + GPT_COUNT),
                       .size = part_le32(b + GPT_ENTRY_SIZE),
                       .crc = part_le32(b + GPT_ENTRIES_CRC) };
    g->blocks_of_entries = ((uint64_t)g->count * g->size + s->block - 1) / s->block;
    return gpt_bounds(s, g, lba);
}

static void label(char *out, const uint8_t *name)
{
    size_t n = 0;

    for (unsigned i = 0; i < NAME_UNITS; i++) {
        uint32_t c = le16(name + 2 * i);

        if (c == 0)
            break;
        if (c < ' ' || c == 0x7f || (c >= 0xd800 && c < 0xe000))
            c = '?';
        if (c >= 0x800)
            out[n++] = (char)(0xe0 | c >> 12);
        if (c >= 0x80)
            out[n++] = (char)(c >= 0x800 ? 0x80 | (c >> 6 & 0x3f) : 0xc0 | c >> 6);
        out[n++] = (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c);
    }
    out[n] = '\0';
}
static_assert(PART_LABEL > 3 * NAME_UNITS, "each character takes three bytes at most");

static void gpt_entry(const struct part_source *s, const struct gpt *g, const uint8_t *e,
                      uint32_t number, struct part_table *t)
{
    static const uint8_t unused[16];
    uint64_t first = le64(e + ENTRY_FIRST), last = le64(e + ENTRY_LAST);
    struct part *p;

    if (memcmp(e, unused, sizeof unused) == 0)
        return;
    if (first < g->first || last > g->last || first > last) {
        t->dropped++;
        return;
    }
    p = part_add(s, t, first, last - first + 1, number);
    if (!p)
        return;
    memcpy(p->guid, e + ENTRY_GUID, sizeof p->guid);
    memcpy(p->type, e, sizeof p->type);
    label(p->label, e + ENTRY_NAME);
}

/* Reads the entries; what is wrong, or NULL. */
static int gpt_entries(const struct part_source *s, const struct gpt *g, uint8_t *buf,
                       struct part_table *t, const char **why)
{
    uint64_t left = (uint64_t)g->count * g->size;
    uint32_t number = 1;
    uLong crc = 0;

    for (uint64_t i = 0; i < g->blocks_of_entries; i++) {
        uint64_t here = min_u64(left, s->block);
        int err = s->read(s->ctx, g->entries + i, buf);

        if (err)
            return err;
        crc = crc32(crc, buf, (uInt)here);
        for (uint64_t off = 0; off + g->size <= here; off += g->size)
            gpt_entry(s, g, buf + off, number++, t);
        left -= here;
    }
    *why = crc == g->crc ? NULL : "the checksum of its entries is wrong";
    return 0;
}

static int gpt_at(const struct part_source *s, uint64_t lba, uint8_t *buf, struct part_table *t,
                  const char **why)
{
    struct gpt g;
    int err = s->read(s->ctx, lba, buf);

    t->n = t->dropped = 0;
    if (err)
        return err;
    *why = gpt_header(s, lba, buf, &g);
    if (!*why)
        err = gpt_entries(s, &g, buf, t, why);
    if (err || *why)
        t->n = 0;
    return err;
}

/* The second header is asked when the first or its entries are broken, or cannot be read. */
static int gpt_read(const struct part_source *s, uint8_t *buf, struct part_table *t)
{
    const char *second = NULL;
    int err = gpt_at(s, 1, buf, t, &t->why);

    t->kind = PART_GPT;
    if (!err && !t->why)
        return 0;
    if (err)
        t->why = "it cannot be read";
    t->second = true;
    err = gpt_at(s, s->blocks - 1, buf, t, &second);
    if (!err && second)
        t->kind = PART_NONE;
    return err;
}

/* ---- MBR ---- */

static struct mbr_entry mbr_entry(const uint8_t *sector, unsigned i)
{
    const uint8_t *e = sector + MBR_ENTRIES + 16 * i;

    return (struct mbr_entry){ e[4], part_le32(e + 8), part_le32(e + 12) };
}

static bool is_extended(uint8_t type)
{
    return type == TYPE_EXTENDED || type == TYPE_EXTENDED_LBA || type == TYPE_LINUX_EXTENDED;
}

/* The chain of an extended partition: each table has a partition and the place of the next. */
static int mbr_logical(const struct part_source *s, uint8_t *buf, struct part_table *t,
                       struct mbr_entry extended)
{
    uint64_t at = extended.first;

    for (uint32_t i = 0; i < LOGICAL_MOST; i++) {
        struct mbr_entry e, next;
        int err;

        if (!range_within(at, 1, extended.first, extended.blocks) || at >= s->blocks)
            return 0;
        err = s->read(s->ctx, at, buf);
        if (err || le16(buf + MBR_MAGIC) != 0xaa55)
            return err;
        e = mbr_entry(buf, 0);
        next = mbr_entry(buf, 1);
        if (e.type && range_within(at + e.first, e.blocks, extended.first, extended.blocks))
            (void)part_add(s, t, at + e.first, e.blocks, 5 + i);
        else
            t->dropped += e.type != 0;
        if (!is_extended(next.type))
            return 0;
        at = (uint64_t)extended.first + next.first;
    }
    t->dropped++;
    return 0;
}

static int mbr_read(const struct part_source *s, uint8_t *buf, struct part_table *t)
{
    struct mbr_entry e[4];
    int err = 0;

    t->kind = PART_MBR;
    t->mbr_signature = part_le32(buf + MBR_SIGNATURE);
    for (unsigned i = 0; i < 4; i++)
        e[i] = mbr_entry(buf, i);
    for (unsigned i = 0; i < 4; i++)
        if (e[i].type && !is_extended(e[i].type))
            (void)part_add(s, t, e[i].first, e[i].blocks, i + 1);
    for (unsigned i = 0; i < 4 && !err; i++)
        if (is_extended(e[i].type)) {
            err = mbr_logical(s, buf, t, e[i]);
            break; /* there is one at most */
        }
    return err;
}

/* A file system without a table has the same magic number: its boot sector looks unlike a table. */
static bool looks_like_mbr(const uint8_t *b)
{
    unsigned used = 0;

    for (unsigned i = 0; i < 4; i++) {
        if (b[MBR_ENTRIES + 16 * i] & 0x7f)
            return false;
        used += mbr_entry(b, i).type != TYPE_NONE;
    }
    return used > 0;
}

int part_read(const struct part_source *s, void *buf, struct part_table *t)
{
    const uint8_t *b = buf;
    int err;

    memset(t, 0, sizeof *t);
    if (s->blocks < 8)
        return 0;
    err = s->read(s->ctx, 0, buf);
    if (err || le16(b + MBR_MAGIC) != 0xaa55 || !looks_like_mbr(b))
        return err;
    for (unsigned i = 0; i < 4; i++)
        if (mbr_entry(b, i).type == TYPE_PROTECTIVE)
            return gpt_read(s, buf, t);
    return mbr_read(s, buf, t);
}

void part_guid_text(const uint8_t g[16], char *out)
{
    snprintf(out, 37, "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", (unsigned)part_le32(g),
             (unsigned)le16(g + 4), (unsigned)le16(g + 6), g[8], g[9], g[10], g[11], g[12], g[13],
             g[14], g[15]);
}
