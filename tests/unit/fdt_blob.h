/* SPDX-License-Identifier: BSD-2-Clause */
/* A device tree in memory, written by libfdt's sequential functions, for tests of its readers. */
#pragma once
#include <hv/types.h>
#include <libfdt.h>

static _Alignas(8) uint8_t tree[8192];

static const void *map(hpa_t phys, uint64_t len)
{
    return range_within(phys.v, len, (uint64_t)tree, sizeof tree) ? (const void *)phys.v : NULL;
}

static void must(int err) { assert_int_equal(err, 0); }

static void cells(const char *name, unsigned n, const uint32_t *v)
{
    fdt32_t be[16];

    for (unsigned i = 0; i < n; i++)
        be[i] = cpu_to_fdt32(v[i]);
    must(fdt_property(tree, name, be, (int)(n * 4)));
}
#define CELLS(name, ...) \
    cells(name, (unsigned)(sizeof((uint32_t[]){ __VA_ARGS__ }) / 4), (uint32_t[]){ __VA_ARGS__ })

static void node(const char *name, const char *compatible)
{
    must(fdt_begin_node(tree, name));
    if (compatible)
        must(fdt_property_string(tree, "compatible", compatible));
}

static void end(void) { must(fdt_end_node(tree)); }
