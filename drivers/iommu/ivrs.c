/* SPDX-License-Identifier: BSD-2-Clause */
/* ivrs.c: see ivrs.h. Sections are those of AMD's specification 48882, revision 3.07. */
#include "ivrs.h"

#include <string.h>

enum { HEAD = 48, BLOCK_LEAST = 4 };
/* 5.2.2: I/O virtualization hardware definition blocks; a later kind says more of the same unit */
enum { IVHD_10 = 0x10, IVHD_11 = 0x11, IVHD_40 = 0x40, IVHD_10_LEN = 24, IVHD_LEN = 40 };
enum { IVHD_RID = 4, IVHD_BASE = 8, IVHD_SEGMENT = 16, IVHD_FEATURES = 24 };
/* 5.2.2.1, 5.2.2.2: device entries */
enum ivhd_entry {
    ENTRY_ALL = 1,
    ENTRY_SELECT = 2,
    ENTRY_START = 3,
    ENTRY_END = 4,
    ENTRY_ALIAS = 0x42,
    ENTRY_ALIAS_START = 0x43,
    ENTRY_EXT = 0x46,
    ENTRY_EXT_START = 0x47,
    ENTRY_SPECIAL = 0x48,
    ENTRY_ACPI = 0xf0,
    ENTRY_ACPI_LEN = 22
};
enum { ENTRY_HANDLE = 4, ENTRY_SOURCE = 5, ENTRY_VARIETY = 7 };
/* 5.2.2.3: memory definition blocks */
enum { IVMD_ALL = 0x20, IVMD_ONE = 0x21, IVMD_RANGE = 0x22, IVMD_LEN = 32 };
enum { IVMD_FLAGS = 1, IVMD_FIRST = 4, IVMD_LAST = 6, IVMD_BASE = 16, IVMD_SIZE = 24 };
enum { FLAG_UNITY = 1, FLAG_READ = 2, FLAG_WRITE = 4, FLAG_EXCLUSION = 8 };

/* ---- device entries ---- */

/* A range that has begun and waits for its end. */
struct open_range {
    bool open, aliased;
    uint16_t first, alias;
};

static bool ivrs_add_range(struct ivrs *v, const struct open_range *r, uint16_t last)
{
    if (v->nranges == IVRS_RANGES || last < r->first)
        return false;
    v->range[v->nranges].first = r->first;
    v->range[v->nranges].last = last;
    v->range[v->nranges].aliased = r->aliased;
    v->range[v->nranges++].alias = r->alias;
    return true;
}

static bool add_special(struct ivrs *v, const uint8_t *e)
{
    if (v->nspecials == IVRS_SPECIALS)
        return false;
    v->special[v->nspecials].id = e[ENTRY_HANDLE];
    v->special[v->nspecials].kind = e[ENTRY_VARIETY];
    v->special[v->nspecials].unit = v->nunits;
    v->special[v->nspecials++].rid = (uint16_t)get_le(e + ENTRY_SOURCE, 2);
    return true;
}

/* False: it is left out. */
static bool ivrs_read_entry(struct ivrs *v, const uint8_t *e, struct open_range *r)
{
    uint16_t rid = (uint16_t)get_le(e + 1, 2);
    bool alias = e[0] == ENTRY_ALIAS || e[0] == ENTRY_ALIAS_START, was_open = r->open;

    if (e[0] == ENTRY_ALL) {
        v->unit[v->nunits].all = true;
    } else if (e[0] == ENTRY_SPECIAL) {
        return add_special(v, e);
    } else if (e[0] == ENTRY_END) {
        r->open = false;
        return was_open && ivrs_add_range(v, r, rid);
    } else if (e[0] == ENTRY_SELECT || e[0] == ENTRY_EXT || e[0] == ENTRY_ALIAS) {
        struct open_range one = { .first = rid, .aliased = alias };

        one.alias = alias ? (uint16_t)get_le(e + ENTRY_SOURCE, 2) : 0;
        return ivrs_add_range(v, &one, rid);
    } else if (e[0] == ENTRY_START || e[0] == ENTRY_EXT_START || e[0] == ENTRY_ALIAS_START) {
        *r = (struct open_range){ .open = true, .first = rid, .aliased = alias };
        r->alias = alias ? (uint16_t)get_le(e + ENTRY_SOURCE, 2) : 0;
        return !was_open;
    }
    return true; /* fill bytes, and kinds that are no PCI functions */
}

/* 5.2.2: by its kind. 0: it does not fit. */
static unsigned entry_len(const uint8_t *e, unsigned rest)
{
    unsigned n = 4u << (e[0] >> 6);

    if (e[0] == ENTRY_ACPI)
        n = rest < ENTRY_ACPI_LEN ? rest + 1 : (unsigned)ENTRY_ACPI_LEN + e[21];
    return n <= rest ? n : 0;
}

static void read_entries(struct ivrs *v, const uint8_t *p, unsigned at, unsigned len)
{
    struct open_range r = { .open = false };

    while (at < len) {
        unsigned n = entry_len(p + at, len - at);

        if (n == 0) {
            v->bad++;
            break;
        }
        v->bad += !ivrs_read_entry(v, p + at, &r);
        at += n;
    }
    v->bad += r.open;
}

/* ---- blocks ---- */

static bool read_ivhd(struct ivrs *v, const uint8_t *p, unsigned len)
{
    unsigned head = p[0] == IVHD_10 ? IVHD_10_LEN : IVHD_LEN;
    uint64_t base;

    if (len < head || v->nunits == IVRS_UNITS)
        return false;
    base = get_le(p + IVHD_BASE, 8);
    if (!base || base & (16 * KIB - 1))
        return false;
    v->unit[v->nunits].base = base;
    v->unit[v->nunits].features = head == IVHD_LEN ? get_le(p + IVHD_FEATURES, 8) : 0;
    v->unit[v->nunits].segment = (uint16_t)get_le(p + IVHD_SEGMENT, 2);
    v->unit[v->nunits].rid = (uint16_t)get_le(p + IVHD_RID, 2);
    v->unit[v->nunits].flags = p[1];
    v->unit[v->nunits].range = v->nranges;
    read_entries(v, p, head, len);
    v->unit[v->nunits].nranges = v->nranges - v->unit[v->nunits].range;
    v->nunits++;
    return true;
}

static bool read_ivmd(struct ivrs *v, const uint8_t *p, unsigned len)
{
    uint16_t first, last;
    uint64_t base, size;
    uint8_t flags = p[IVMD_FLAGS];

    if (len < IVMD_LEN || v->nreserved == IVRS_RESERVED)
        return false;
    first = p[0] == IVMD_ALL ? 0 : (uint16_t)get_le(p + IVMD_FIRST, 2);
    last = p[0] == IVMD_ALL     ? UINT16_MAX
           : p[0] == IVMD_RANGE ? (uint16_t)get_le(p + IVMD_LAST, 2)
                                : first;
    base = get_le(p + IVMD_BASE, 8);
    size = get_le(p + IVMD_SIZE, 8);
    if (last < first || !size || (base | size) & (PAGE_SIZE - 1) || size > 4 * GIB ||
        base + size < base)
        return false;
    v->reserved[v->nreserved].first = first;
    v->reserved[v->nreserved].last = last;
    v->reserved[v->nreserved].base = base;
    v->reserved[v->nreserved].len = size;
    v->reserved[v->nreserved++].prot =
        (uint8_t)(flags & FLAG_EXCLUSION
                      ? PROT_RW
                      : (flags & FLAG_READ ? PROT_R : 0) | (flags & FLAG_WRITE ? PROT_W : 0));
    return true;
}

/* The latest kind of IVHD that the table has: the others tell of the same units. */
static uint8_t best_kind(const uint8_t *p, uint64_t len)
{
    uint8_t best = IVHD_10;

    for (uint64_t at = HEAD; at + BLOCK_LEAST <= len;) {
        uint64_t n = get_le(p + at + 2, 2);

        if (n < BLOCK_LEAST || n > len - at)
            break;
        if ((p[at] == IVHD_11 || p[at] == IVHD_40) && p[at] > best)
            best = p[at];
        at += n;
    }
    return best;
}

bool ivrs_parse(struct ivrs *v, const void *table)
{
    const uint8_t *p = table;
    uint64_t len = get_le(p + 4, 4);
    uint8_t kind;

    *v = (struct ivrs){ .nunits = 0 };
    if (len < HEAD)
        return false;
    kind = best_kind(p, len);
    for (uint64_t at = HEAD; at < len;) {
        uint64_t rest = len - at, n = rest >= BLOCK_LEAST ? get_le(p + at + 2, 2) : 0;

        if (n < BLOCK_LEAST || n > rest) {
            v->bad++;
            break;
        }
        if (p[at] == kind)
            v->bad += !read_ivhd(v, p + at, (unsigned)n);
        else if (p[at] >= IVMD_ALL && p[at] <= IVMD_RANGE)
            v->bad += !read_ivmd(v, p + at, (unsigned)n);
        at += n;
    }
    return v->nunits > 0;
}
