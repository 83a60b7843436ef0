/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An IORT of the input's making: nodes and mappings written from a list, so that they refer to one
 * another, then bytes of it changed. Every requester id is asked for by the steps that the answers
 * give, and some again one by one: what is said of a whole run must be true of each id in it.
 */
#include <stdlib.h>
#include <string.h>

#include "hv/firmware/acpi_private.h"

enum { ROOM = 2048, NODES = 12 };
static uint8_t raw[ROOM];
static uint32_t len, where[NODES], nodes;

static void put(uint32_t at, uint64_t val, size_t size)
{
    if (at + size <= ROOM)
        memcpy(raw + at, &val, size);
}

/* One node of 4 bytes of input (type, number), then a mapping for each 6. */
static const uint8_t *add_node(const uint8_t *d, const uint8_t *end)
{
    static const uint8_t sizes[] = { 24, 44, 40, 60, 68, 68, 68 };
    uint8_t type = d[0] % 7, maps = d[1] % 4;
    uint32_t at = len, size = sizes[type];

    put(at, type, 1);
    put(at + 1, size + 20u * maps, 2);
    put(at + 8, maps, 4);
    put(at + 12, size, 4);
    put(at + 16, type ? 0x1000u * (d[2] + 1u) : 1, 4);
    put(at + 20, type ? 0 : d[2] % 3, 4);
    put(at + 28, type == 2 ? d[3] % 2 : 0, 4);
    if (type == 6) { /* two ranges of memory */
        put(at + 20, 2, 4);
        put(at + 24, 28, 4);
        put(at + 28, (uint64_t)d[2] << 56 | (uint64_t)d[3] << 12, 8);
        put(at + 36, 0x1000, 8);
        put(at + 56, (uint64_t)d[3] << 8, 8);
    }
    where[nodes++] = at;
    d += 4;
    for (uint32_t i = 0, m = at + size; i < maps && end - d >= 6; i++, d += 6, m += 20) {
        put(m, (uint32_t)d[0] << 8, 4);
        put(m + 4, (uint32_t)d[1] << 4, 4);
        put(m + 8, (uint32_t)d[2] << 8 | d[3], 4);
        put(m + 12, where[d[4] % nodes] + (d[5] & 0x80 ? 4 : 0), 4);
        put(m + 16, d[5] & 1, 4);
    }
    len = at + size + 20u * maps;
    return d;
}

static bool same(const struct platform_route *a, int err_a, const struct platform_route *b,
                 int err_b, uint32_t off)
{
    if (err_a || err_b)
        return err_a == err_b;
    return a->smmu == b->smmu && a->its == b->its && a->old_smmu == b->old_smmu &&
           (a->smmu < 0 || b->stream - a->stream == off) &&
           (a->its < 0 || b->device - a->device == off);
}

static void ask_all(const struct platform *p, const void *iort, uint16_t segment)
{
    struct platform_route r, in;
    unsigned steps = 0;

    for (uint32_t rid = 0; rid <= 0xffff && steps < 64; rid += r.more + 1, steps++) {
        int err = iort_route(p, iort, segment, (uint16_t)rid, &r);

        if (err && err != -ENOENT && err != -EINVAL)
            abort();
        if (r.smmu >= (int)p->nsmmus || r.its >= (int)p->gic.nits)
            abort();
        for (uint32_t off = r.more; off && rid + off <= 0xffff; off /= 3) {
            int e = iort_route(p, iort, segment, (uint16_t)(rid + off), &in);

            if (!same(&r, err, &in, e, off))
                abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n)
{
    static struct platform p;
    const uint8_t *end = d + n, *change = d;
    struct platform_reserved m;
    struct platform_route r;
    uint8_t *copy;

    if (n < 8)
        return 0;
    memset(raw, 0, sizeof raw);
    memset(&p, 0, sizeof p);
    len = 48;
    nodes = 0;
    for (d += 7; end - d >= 4 && nodes < NODES && len < ROOM - 200;)
        d = add_node(d, end);
    put(36, nodes, 4);
    put(40, 48, 4);
    for (unsigned i = 0; i < 2; i++) /* up to two bytes changed */
        if (change[3 * i + 2])
            raw[36 + (change[3 * i] | (uint32_t)change[3 * i + 1] << 8) % (ROOM - 36)] ^=
                change[3 * i + 2];
    if (change[6] & 1)
        len = 36 + change[6];
    put(4, len, 4);
    copy = malloc(len); /* of exactly that length, so that ASan sees each step beyond it */
    memcpy(copy, raw, len);
    p.gic.nits = 2;
    p.gic.its_id[1] = 1;
    iort_parse(&p, (struct bytes){ copy, len });
    if (p.nsmmus > PLATFORM_SMMUS_MAX)
        abort();
    ask_all(&p, copy, 0);
    ask_all(&p, copy, 1);
    (void)iort_route_named(&p, copy, "\\_SB", 0, &r);
    for (unsigned i = 0; i < 8 && iort_reserved(&p, copy, i, &m); i++)
        if (m.smmu < 0 || m.smmu >= (int)p.nsmmus || m.base + m.len <= m.base || m.last < m.first)
            abort();
    free(copy);
    return 0;
}
