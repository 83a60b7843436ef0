/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reader of the host's device tree. The input is a list of operations that write a tree with
 * libfdt, so that it is deep and well formed; then bytes of it are changed. An input that begins
 * with an odd byte is the tree itself.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <hv/platform.h>
#include <libfdt.h>

#define ROOM 16384u

static uint64_t at, room;

static const void *map(hpa_t phys, uint64_t len)
{
    return range_within(phys.v, len, at, room) ? (const void *)phys.v : NULL;
}

/* A copy of exactly that length, so that ASan sees each step beyond it. */
static void parse(const void *tree, size_t len)
{
    static struct platform p;
    void *copy = aligned_alloc(8, align_up(len ? len : 8, 8));

    memcpy(copy, tree, len);
    at = (uint64_t)copy;
    room = len;
    if (fdt_parse_platform(&p, at, map) != (p.ncpus != 0))
        abort();
    for (uint32_t rid = 0, n = 0; rid <= 0xffff && n < 32; n++) {
        struct platform_route r;
        int err = p.source == PLATFORM_FDT
                      ? fdt_route(&p, copy, (uint16_t)(n & 1), (uint16_t)rid, &r)
                      : -ENOENT;

        if (!err && (r.smmu >= (int)p.nsmmus || r.its >= (int)p.gic.nits))
            abort();
        rid += err == -EINVAL || p.source != PLATFORM_FDT ? 1 : r.more + 1;
    }
    if (p.ncpus > PLATFORM_CPUS_MAX || p.nsmmus > PLATFORM_SMMUS_MAX ||
        p.gic.ngicr > PLATFORM_GICR_MAX || p.gic.nits > PLATFORM_ITS_MAX ||
        p.necam > PLATFORM_ECAM_MAX)
        abort();
    free(copy);
}

static const char *const names[] = {
    "cpus",  "cpu@0", "chosen", "aliases", "soc", "intc", "its", "serial",
    "timer", "psci",  "pcie",   "clock",   "a",   "b",    "c",   "d",
};
static const char *const props[] = {
    "compatible",
    "reg",
    "ranges",
    "#address-cells",
    "#size-cells",
    "interrupts",
    "status",
    "device_type",
    "stdout-path",
    "clocks",
    "phandle",
    "clock-frequency",
    "bus-range",
    "linux,pci-domain",
    "#redistributor-regions",
    "#interrupt-cells",
    "method",
    "reg-shift",
    "iommu-map",
    "iommu-map-mask",
    "msi-map",
    "msi-parent",
    "interrupt-names",
};
static const char *const texts[] = {
    "arm,gic-v3",   "arm,gic-v3-its",
    "arm,gic-400",  "arm,armv8-timer",
    "arm,psci-1.0", "pci-host-ecam-generic",
    "arm,pl011",    "ns16550a",
    "cpu",          "okay",
    "disabled",     "/soc/serial:115200",
    "serial:",      "hvc",
    "smc",          "",
    "arm,smmu-v3",  "eventq",
};

/* One operation: a node begins, a node ends, a property of text or of cells. Advances *d. */
static void step(void *tree, const uint8_t **d, const uint8_t *end, unsigned *depth)
{
    uint8_t op = *(*d)++, arg = *d < end ? *(*d)++ : 0;
    fdt32_t v[8];
    unsigned n = op >> 2 & 7;

    switch (op & 3) {
    case 0: *depth += fdt_begin_node(tree, names[arg % ARRAY_SIZE(names)]) == 0; break;
    case 1:
        if (*depth > 1 && fdt_end_node(tree) == 0)
            --*depth;
        break;
    case 2:
        (void)fdt_property_string(tree, props[(op >> 2) % ARRAY_SIZE(props)],
                                  texts[arg % ARRAY_SIZE(texts)]);
        break;
    default:
        for (unsigned i = 0; i < n; i++)
            v[i] = cpu_to_fdt32(*d < end ? (uint32_t) * (*d)++ << (op >> 5) * 3 : 0);
        (void)fdt_property(tree, props[arg % ARRAY_SIZE(props)], v, (int)(n * 4));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n)
{
    static _Alignas(8) uint8_t tree[ROOM];
    const uint8_t *end = d + n, *body = d + 1 + (n > 8 ? 8 : 0);
    unsigned depth = 1;
    uint32_t size;

    if (n == 0 || (d[0] & 1)) {
        parse(n ? d + 1 : d, n ? n - 1 : 0);
        return 0;
    }
    if (fdt_create(tree, sizeof tree) || fdt_finish_reservemap(tree) || fdt_begin_node(tree, ""))
        abort();
    while (body < end)
        step(tree, &body, end, &depth);
    while (depth-- > 0)
        (void)fdt_end_node(tree);
    if (fdt_finish(tree))
        return 0;
    size = fdt_totalsize(tree);
    parse(tree, size);
    for (size_t i = 1; i + 2 < 9 && n > 8; i += 3) /* up to two bytes changed */
        tree[(d[i] | (uint32_t)d[i + 1] << 8) % size] = d[i + 2];
    parse(tree, size);
    return 0;
}
