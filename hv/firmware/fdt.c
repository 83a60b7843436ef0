/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fdt.c: an ARM64 machine from its device tree (Devicetree Specification 0.4, and the bindings of
 * Linux that are named below), read with libfdt, which checks each offset against the tree's
 * length. One walk over all nodes: a node's parents are on a stack.
 */
#include <hv/assert.h>
#include <hv/platform.h>
#include <libfdt.h>
#include <string.h>

#include "fdt_private.h"

#define NODES_MAX 65536
#define TREE_MAX (2u << 20)
#define MPIDR_AFFINITY 0xff00ffffffull
#define SPI_FIRST 32u
#define PPI_FIRST 16u
#define REDISTRIBUTOR 0x20000u /* its two frames */
#define STRIDE_MAX (1u << 30)

/* Cell `i` of a property, big-endian; 0 beyond its end. */
uint32_t fdt_cell(const void *prop, int len, uint32_t i)
{
    fdt32_t v = 0;

    if (prop && len > 0 && i < (uint32_t)len / FDT_CELL)
        memcpy(&v, (const uint8_t *)prop + (size_t)i * FDT_CELL, sizeof v);
    return fdt32_to_cpu(v);
}

static uint64_t fdt_cells(const void *prop, int len, uint32_t i, uint32_t n)
{
    uint64_t v = 0;

    for (uint32_t k = 0; k < n; k++)
        v = v << 32 | fdt_cell(prop, len, i + k);
    return v;
}

uint32_t fdt_u32(const struct fdt_walk *w, int node, const char *name, uint32_t missing)
{
    int len;
    const void *p = fdt_getprop(w->fdt, node, name, &len);

    return p && len >= (int)FDT_CELL ? fdt_cell(p, len, 0) : missing;
}

/*
 * #address-cells and #size-cells for the children of the node at `depth`; sections 2.3.5. More than
 * 2 are no address of ours.
 */
static uint32_t address_cells(const struct fdt_walk *w, int depth)
{
    return fdt_u32(w, w->node[depth], "#address-cells", 2);
}
static uint32_t size_cells(const struct fdt_walk *w, int depth)
{
    return fdt_u32(w, w->node[depth], "#size-cells", 1);
}

/*
 * From the address space of the children of the node at `depth` to that of its siblings; section
 * 2.3.8.
 */
static bool translate_once(const struct fdt_walk *w, int depth, uint64_t *addr)
{
    int len;
    const void *p = fdt_getprop(w->fdt, w->node[depth], "ranges", &len);
    uint32_t child = address_cells(w, depth), parent = address_cells(w, depth - 1),
             size = size_cells(w, depth), row = child + parent + size;

    if (!p || child > 2 || parent > 2 || size > 2 || row == 0)
        return false;
    if (len == 0)
        return true;
    for (uint32_t i = 0; (i + row) * FDT_CELL <= (uint32_t)len; i += row) {
        uint64_t from = fdt_cells(p, len, i, child),
                 n = fdt_cells(p, len, i + child + parent, size);

        if (*addr >= from && *addr - from < n) {
            *addr = fdt_cells(p, len, i + child, parent) + (*addr - from);
            return true;
        }
    }
    return false;
}

/*
 * Entry `n` of the node's `reg`, as the CPUs see it. False: there is none, or no way leads there.
 */
static bool reg(const struct fdt_walk *w, uint32_t n, struct platform_range *r)
{
    int len;
    const void *p = fdt_getprop(w->fdt, w->node[w->depth], "reg", &len);
    uint32_t ac, sc;

    if (!p || w->depth < 1)
        return false;
    ac = address_cells(w, w->depth - 1);
    sc = size_cells(w, w->depth - 1);
    if (ac > 2 || sc > 2 || (n + 1) * (ac + sc) * FDT_CELL > (uint32_t)len)
        return false;
    r->base = fdt_cells(p, len, n * (ac + sc), ac);
    r->len = fdt_cells(p, len, n * (ac + sc) + ac, sc);
    for (int d = w->depth - 1; d > 0; d--)
        if (!translate_once(w, d, &r->base))
            return false;
    return r->base != 0 && r->base + r->len >= r->base;
}

uint64_t fdt_reg_base(const struct fdt_walk *w, uint32_t n)
{
    struct platform_range r;

    return reg(w, n, &r) ? r.base : 0;
}

/*
 * Interrupt `n` of the node: <type number flags>, arm,gic-v3.yaml; flags 1 and 2 are edges. 0:
 * none.
 */
uint32_t fdt_intid(const struct fdt_walk *w, uint32_t n)
{
    int len;
    const void *p = fdt_getprop(w->fdt, w->node[w->depth], "interrupts", &len);
    uint32_t i = n * w->irq_cells, number = fdt_cell(p, len, i + 1), id;

    if (!p || (i + 3) * FDT_CELL > (uint32_t)len || number >= 1020)
        return 0;
    id = number + (fdt_cell(p, len, i) == 0 ? SPI_FIRST : PPI_FIRST);
    if (id < 1020 && (fdt_cell(p, len, i + 2) & 3))
        w->out->edge[id / 32] |= 1u << id % 32;
    return id;
}

/* section 2.3.4, of the node and those above it. */
static bool okay(const struct fdt_walk *w)
{
    for (int d = 1; d <= w->depth; d++) {
        int len;
        const char *s = fdt_getprop(w->fdt, w->node[d], "status", &len);

        if (s && !(len >= 3 && memcmp(s, "ok", 3) == 0) && !(len >= 5 && memcmp(s, "okay", 5) == 0))
            return false;
    }
    return true;
}

/* arm,gic-v3.yaml; two cells as Linux reads it. What is no multiple of 64 KiB is not believed. */
static uint64_t stride(const struct fdt_walk *w)
{
    int len;
    const void *p = fdt_getprop(w->fdt, w->node[w->depth], "redistributor-stride", &len);
    uint64_t bytes = p && len >= 2 * (int)FDT_CELL ? fdt_cells(p, len, 0, 2) : 0;

    return bytes >= REDISTRIBUTOR && bytes <= STRIDE_MAX && bytes % 0x10000 == 0 ? bytes : 0;
}

static void on_gicv3(struct fdt_walk *w)
{
    struct platform *out = w->out;
    uint32_t regions = fdt_u32(w, w->node[w->depth], "#redistributor-regions", 1), i;

    if (out->gic.dist)
        return;
    out->gic.version = 3;
    out->gic.dist = fdt_reg_base(w, 0);
    out->gic.gicr_stride = stride(w);
    for (i = 0; i < regions && i < PLATFORM_GICR_MAX && reg(w, 1 + i, &out->gic.gicr[i]); i++)
        out->gic.ngicr++;
    out->gic.gicc = fdt_reg_base(w, 1 + i);
    out->gic.gich = fdt_reg_base(w, 2 + i);
    out->gic.gicv = fdt_reg_base(w, 3 + i);
    out->gic.maintenance = fdt_intid(w, 0);
}

static void on_gicv2(struct fdt_walk *w)
{
    if (w->out->gic.dist)
        return;
    w->out->gic.version = 2;
    w->out->gic.dist = fdt_reg_base(w, 0);
    w->out->gic.gicc = fdt_reg_base(w, 1);
    w->out->gic.gich = fdt_reg_base(w, 2);
    w->out->gic.gicv = fdt_reg_base(w, 3);
    w->out->gic.maintenance = fdt_intid(w, 0);
}

static void fdt_on_its(struct fdt_walk *w)
{
    uint64_t base = fdt_reg_base(w, 0);

    if (base && w->out->gic.nits < PLATFORM_ITS_MAX) {
        w->out->gic.its_id[w->out->gic.nits] = w->out->gic.nits;
        w->out->gic.its_node[w->out->gic.nits] = fdt_get_phandle(w->fdt, w->node[w->depth]);
        w->out->gic.its[w->out->gic.nits++] = base;
    }
}

/*
 * arm,arch_timer.yaml: secure, non-secure physical, virtual, hypervisor physical, hypervisor
 * virtual.
 */
static void on_timer(struct fdt_walk *w)
{
    w->out->timer.phys = fdt_intid(w, 1);
    w->out->timer.virt = fdt_intid(w, 2);
    w->out->timer.hyp = fdt_intid(w, 3);
    w->out->timer.hyp_virt = fdt_intid(w, 4);
}

static void on_psci(struct fdt_walk *w)
{
    int len;
    const char *method = fdt_getprop(w->fdt, w->node[w->depth], "method", &len);

    if (method && len == 4)
        w->out->psci = memcmp(method, "smc", 4) == 0   ? PSCI_SMC
                       : memcmp(method, "hvc", 4) == 0 ? PSCI_HVC
                                                       : PSCI_NONE;
}

static void on_ecam(struct fdt_walk *w)
{
    struct platform_range r;
    int len;
    const void *buses = fdt_getprop(w->fdt, w->node[w->depth], "bus-range", &len);
    uint32_t n = w->out->necam, first = fdt_cell(buses, len, 0),
             last = buses ? fdt_cell(buses, len, 1) : 255;

    if (n == PLATFORM_ECAM_MAX || !reg(w, 0, &r) || first > last || last > 255)
        return;
    if (r.len >> 20 && last - first + 1 > r.len >> 20)
        last = first + (uint32_t)(r.len >> 20) - 1;
    w->out->ecam[n] = (struct platform_ecam){ .base = r.base,
                                              .bus_first = (uint8_t)first,
                                              .bus_last = (uint8_t)last,
                                              .node = w->node[w->depth],
                                              .segment = (uint16_t)fdt_u32(w, w->node[w->depth],
                                                                           "linux,pci-domain", n) };
    w->out->necam = n + 1;
}

static uint32_t clock_of(const struct fdt_walk *w)
{
    int node = w->node[w->depth],
        provider = fdt_node_offset_by_phandle(w->fdt, fdt_u32(w, node, "clocks", 0));

    return fdt_u32(w, node, "clock-frequency",
                   provider >= 0 ? fdt_u32(w, provider, "clock-frequency", 0) : 0);
}

/* The port that /chosen names wins over the first one in the tree. */
static void fdt_set_uart(struct fdt_walk *w, enum platform_uart kind)
{
    struct platform_serial *u = &w->out->uart;
    uint64_t base = fdt_reg_base(w, 0);

    if (!base || (u->kind != UART_NONE && w->node[w->depth] != w->stdout_node))
        return;
    *u = (struct platform_serial){
        .kind = kind,
        .base = base,
        .intid = fdt_intid(w, 0),
        .clock = clock_of(w),
        .reg_shift = (uint8_t)(fdt_u32(w, w->node[w->depth], "reg-shift", 0) & 3)
    };
}

static void on_pl011(struct fdt_walk *w) { fdt_set_uart(w, UART_PL011); }
static void on_sbsa(struct fdt_walk *w) { fdt_set_uart(w, UART_SBSA); }
static void on_16550(struct fdt_walk *w) { fdt_set_uart(w, UART_16550); }

/* The subset comes before what it is a subset of: who calls a port both wants only that used. */
static const struct {
    const char *compatible;
    void (*fn)(struct fdt_walk *);
} nodes[] = {
    { "arm,gic-v3", on_gicv3 },
    { "arm,gic-v3-its", fdt_on_its },
    { "arm,gic-400", on_gicv2 },
    { "arm,cortex-a15-gic", on_gicv2 },
    { "arm,armv8-timer", on_timer },
    { "arm,psci-1.0", on_psci },
    { "arm,psci-0.2", on_psci },
    { "pci-host-ecam-generic", on_ecam },
    { "arm,sbsa-uart", on_sbsa },
    { "arm,pl011", on_pl011 },
    { "arm,smmu-v3", fdt_on_smmu },
    { "arm,mmu-500", fdt_on_old_smmu },
    { "arm,smmu-v2", fdt_on_old_smmu },
    { "ns16550a", on_16550 },
    { "ns16550", on_16550 },
    { "snps,dw-apb-uart", on_16550 },
};

/* Section 3.8: the children of /cpus, whose `reg` are MPIDR affinities. */
static void on_cpu(struct fdt_walk *w)
{
    struct platform *out = w->out;
    int len;
    const char *type = fdt_getprop(w->fdt, w->node[w->depth], "device_type", &len);
    const void *p;

    if (!type || len != 4 || memcmp(type, "cpu", 4) != 0)
        return;
    p = fdt_getprop(w->fdt, w->node[w->depth], "reg", &len);
    uint32_t ac = address_cells(w, w->depth - 1);
    uint64_t mpidr = fdt_cells(p, len, 0, ac > 2 ? 2 : ac) & MPIDR_AFFINITY;
    if (!p)
        return;
    for (uint32_t i = 0; i < out->ncpus; i++)
        if (out->mpidr[i] == mpidr)
            return;
    if (out->ncpus == PLATFORM_CPUS_MAX)
        out->cpus_dropped++;
    else
        out->mpidr[out->ncpus++] = mpidr;
}

static bool in_cpus(const struct fdt_walk *w)
{
    const char *name = w->depth == 2 ? fdt_get_name(w->fdt, w->node[1], NULL) : NULL;

    return name && strcmp(name, "cpus") == 0;
}

static void visit(struct fdt_walk *w)
{
    if (in_cpus(w)) {
        if (okay(w))
            on_cpu(w);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
        if (fdt_node_check_compatible(w->fdt, w->node[w->depth], nodes[i].compatible) == 0) {
            if (okay(w))
                nodes[i].fn(w);
            return;
        }
    }
}

/* Section 3.6: a path or an alias, perhaps followed by `:` and the line's settings. */
static int find_stdout(const void *fdt)
{
    int len, chosen = fdt_path_offset(fdt, "/chosen");
    const char *path = chosen >= 0 ? fdt_getprop(fdt, chosen, "stdout-path", &len) : NULL;
    const char *end;

    if (!path || len < 2)
        return -1;
    end = memchr(path, ':', (size_t)len);
    return fdt_path_offset_namelen(fdt, path,
                                   end ? (int)(end - path) : (int)strnlen(path, (size_t)len));
}

static uint32_t find_irq_cells(const struct fdt_walk *w)
{
    uint32_t n = 0;

    for (size_t i = 0; i < ARRAY_SIZE(nodes) && n == 0; i++) {
        int node = nodes[i].fn == on_gicv3 || nodes[i].fn == on_gicv2
                       ? fdt_node_offset_by_compatible(w->fdt, -1, nodes[i].compatible)
                       : -1;

        n = node >= 0 ? fdt_u32(w, node, "#interrupt-cells", 3) : 0;
    }
    return n < 3 || n > 8 ? 3 : n;
}

const void *fdt_map_tree(uint64_t fdt, acpi_map_fn map)
{
    const void *p = fdt && !(fdt & 7) ? map(hpa(fdt), sizeof(struct fdt_header)) : NULL;

    if (!p || fdt_magic(p) != FDT_MAGIC || fdt_totalsize(p) < sizeof(struct fdt_header) ||
        fdt_totalsize(p) > TREE_MAX)
        return NULL;
    p = map(hpa(fdt), fdt_totalsize(p));
    /*
     * libfdt loads whole cells from the structure block, which section 5.1 puts on a 32-bit
     * boundary.
     */
    return p && fdt_check_header(p) == 0 && fdt_off_dt_struct(p) % FDT_CELL == 0 ? p : NULL;
}

bool fdt_parse_platform(struct platform *out, uint64_t fdt, acpi_map_fn map)
{
    struct fdt_walk w = { .fdt = fdt_map_tree(fdt, map), .out = out };
    int depth = 0;

    hv_assert(out && map);
    memset(out, 0, sizeof *out);
    if (!w.fdt)
        return false;
    w.stdout_node = find_stdout(w.fdt);
    w.irq_cells = find_irq_cells(&w);
    w.node[0] = 0;
    for (int node = fdt_next_node(w.fdt, 0, &depth), n = 0; node >= 0 && depth > 0 && n < NODES_MAX;
         n++) {
        if (depth < FDT_DEPTH_MAX) {
            w.depth = depth;
            w.node[depth] = node;
            visit(&w);
        }
        node = fdt_next_node(w.fdt, node, &depth);
    }
    out->source = PLATFORM_FDT;
    if (out->ncpus && out->gic.dist)
        return true;
    memset(out, 0, sizeof *out);
    return false;
}
