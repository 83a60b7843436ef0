/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads a flattened device tree (Devicetree Specification 0.4, 5) where it lies: no more than these
 * guests need.
 */
#include "guest.h"

enum { FDT_BEGIN = 1, FDT_END = 2, FDT_PROP = 3, FDT_NOP = 4, FDT_STOP = 9 };
unsigned fdt_faults;

uint32_t fdt32(const void *p)
{
    const uint8_t *b = p;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static uint32_t header(unsigned off) { return fdt32((const void *)(boot.fdt + off)); }
static const char *structure(unsigned off) { return (const char *)(boot.fdt + header(8) + off); }

/* The token after the one at `off`; 0 at the end of the structure block. */
static unsigned next(unsigned off)
{
    unsigned size = header(36);
    uint32_t t = fdt32(structure(off));
    off += 4;
    if (t == FDT_BEGIN)
        off += (unsigned)strlen(structure(off)) + 1;
    else if (t == FDT_PROP)
        off += 8 + fdt32(structure(off));
    else if (t == FDT_STOP)
        return 0;
    else if (t != FDT_END && t != FDT_NOP)
        fdt_faults++;
    off = (off + 3) & ~3u;
    if (off >= size)
        fdt_faults++;
    return off < size ? off : 0;
}

const void *fdt_prop(unsigned node, const char *name, unsigned *len)
{
    for (unsigned off = next(node); off; off = next(off)) {
        uint32_t t = fdt32(structure(off));
        if (t == FDT_BEGIN || t == FDT_END || t == FDT_STOP)
            return NULL;
        if (t != FDT_PROP)
            continue;
        const char *n = (const char *)(boot.fdt + header(12) + fdt32(structure(off + 8)));
        if (strncmp(n, name, strlen(name) + 1))
            continue;
        if (len)
            *len = fdt32(structure(off + 4));
        return structure(off + 12);
    }
    return NULL;
}

static bool is_compatible(unsigned node, const char *compat)
{
    unsigned len = 0;
    const char *list = fdt_prop(node, "compatible", &len);
    for (unsigned i = 0; list && i < len; i += (unsigned)strlen(list + i) + 1)
        if (!strncmp(list + i, compat, strlen(compat) + 1))
            return true;
    return false;
}

static bool is_named(unsigned node, const char *name)
{
    const char *n = structure(node + 4);
    size_t len = strlen(name);
    return !strncmp(n, name, len) && (n[len] == 0 || n[len] == '@');
}

static unsigned find(bool (*match)(unsigned, const char *), const char *what, unsigned nth)
{
    for (unsigned off = next(0); off; off = next(off))
        if (fdt32(structure(off)) == FDT_BEGIN && match(off, what) && nth-- == 0)
            return off;
    return 0;
}

unsigned fdt_compatible(const char *compat, unsigned nth)
{
    return find(is_compatible, compat, nth);
}
unsigned fdt_named(const char *name, unsigned nth) { return find(is_named, name, nth); }

struct span fdt_reg(unsigned node, unsigned nth)
{
    unsigned len = 0;
    const uint8_t *p = fdt_prop(node, "reg", &len);
    if (!p || len < (nth + 1) * 16)
        return (struct span){ 0, 0 };
    p += nth * 16;
    return (struct span){ (uint64_t)fdt32(p) << 32 | fdt32(p + 4),
                          (uint64_t)fdt32(p + 8) << 32 | fdt32(p + 12) };
}
