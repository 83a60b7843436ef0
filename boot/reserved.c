/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reserved.c: memory that a device tree keeps from the operating system (Devicetree specification
 * 0.4 sections 3.5 and 5.3). Firmware need not say so in its own memory map: U-Boot's calls what is
 * not `no-map` memory of its boot services.
 */
#include <libfdt.h>

#include "pure.h"

struct target {
    struct boot_mem *m;
    uint32_t n, room;
};

static void reserve(struct target *t, uint64_t base, uint64_t len)
{
    uint64_t first = base & ~4095ull, end = (base + len + 4095) & ~4095ull;

    if (!len || base + len < base || end < first || t->n >= t->room)
        return;
    t->n = ranges_insert(
        t->m, t->n,
        (struct boot_mem){ .base = first, .len = end - first, .type = BOOT_MEM_RESERVED });
}

static uint64_t cells(const fdt32_t *p, int n)
{
    uint64_t v = 0;

    while (n--)
        v = v << 32 | fdt32_to_cpu(*p++);
    return v;
}

/* The ranges of one child of /reserved-memory. Without `reg` it wants memory, and has none yet. */
static void reserve_node(struct target *t, const void *fdt, int node, int address, int size)
{
    int bytes, each = (address + size) * (int)sizeof(fdt32_t);
    const fdt32_t *reg = fdt_getprop(fdt, node, "reg", &bytes);

    for (; reg && bytes >= each; bytes -= each, reg += address + size)
        reserve(t, cells(reg, address), cells(reg + address, size));
}

/* Section 2.3.5: a node without them has these. */
static int cells_of(const void *fdt, int node, const char *name, int otherwise)
{
    int bytes;
    const fdt32_t *p = fdt_getprop(fdt, node, name, &bytes);

    return p && bytes == (int)sizeof *p ? (int)fdt32_to_cpu(*p) : otherwise;
}

static void reserve_nodes(struct target *t, const void *fdt)
{
    int parent = fdt_path_offset(fdt, "/reserved-memory"), node;
    int address = parent < 0 ? 0 : cells_of(fdt, parent, "#address-cells", 2);
    int size = parent < 0 ? 0 : cells_of(fdt, parent, "#size-cells", 1);

    if (address < 1 || address > 2 || size < 1 || size > 2)
        return;
    for (node = fdt_first_subnode(fdt, parent); node >= 0; node = fdt_next_subnode(fdt, node))
        reserve_node(t, fdt, node, address, size);
}

uint32_t fdt_reserved(const void *fdt, struct boot_mem *m, uint32_t n, uint32_t room)
{
    struct target t = { m, n, room };
    uint64_t base, len;

    if (fdt_check_header(fdt))
        return n;
    for (int i = 0; t.n < room && fdt_get_mem_rsv(fdt, i, &base, &len) == 0 && len; i++)
        reserve(&t, base, len);
    reserve_nodes(&t, fdt);
    return t.n;
}
