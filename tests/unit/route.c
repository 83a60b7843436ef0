/* SPDX-License-Identifier: BSD-2-Clause */
/* Which SMMU and ITS a device is behind: IORTs and device trees made here, good and broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <hv/platform.h>
#include <libfdt.h>

#include "fdt_blob.h"

#include "hv/firmware/acpi_private.h"

/* ---- IORT ---- */

static uint8_t iort[4096];
static uint32_t iort_len, maps_of; /* its length; the node that the next mapping is added to */
static struct platform p;
static struct platform_route r;

static void put(uint32_t at, uint64_t val, size_t size) { memcpy(iort + at, &val, size); }
static uint32_t get32(uint32_t at)
{
    uint32_t v;

    memcpy(&v, iort + at, 4);
    return v;
}

static void seal(void) { put(4, iort_len, 4); }

static void begin(void)
{
    memset(iort, 0, sizeof iort);
    memcpy(iort, "IORT", 4);
    put(40, 48, 4);
    iort_len = 48;
    seal();
}

/* A node with `len` bytes before its mappings. */
static uint32_t add(uint8_t type, uint32_t len)
{
    uint32_t at = iort_len;

    iort[at] = type;
    put(at + 1, len, 2);
    put(at + 12, len, 4);
    put(36, get32(36) + 1, 4);
    iort_len += len;
    maps_of = at;
    seal();
    return at;
}

/* `n` ids from `in` on become those from `out` on, at the node `to`. */
static void add_map(uint32_t in, uint32_t n, uint32_t out, uint32_t to, uint32_t flags)
{
    put(iort_len, in, 4);
    put(iort_len + 4, n - 1, 4);
    put(iort_len + 8, out, 4);
    put(iort_len + 12, to, 4);
    put(iort_len + 16, flags, 4);
    put(maps_of + 8, get32(maps_of + 8) + 1, 4);
    put(maps_of + 1, get32(maps_of + 12) + 20 * get32(maps_of + 8), 2);
    iort_len += 20;
    seal();
}

static uint32_t add_its(uint32_t id)
{
    uint32_t at = add(0, 24);

    put(at + 16, 1, 4);
    put(at + 20, id, 4);
    return at;
}

static uint32_t add_smmu(uint64_t base)
{
    uint32_t at = add(4, 68);

    put(at + 16, base, 8);
    put(at + 24, 1, 4);
    put(at + 44, 106, 4);
    put(at + 52, 109, 4);
    return at;
}

static uint32_t add_root(uint32_t segment)
{
    uint32_t at = add(2, 40);

    put(at + 28, segment, 4);
    return at;
}

static void learn(void)
{
    struct bytes b = { iort, iort_len };

    memset(&p, 0, sizeof p);
    p.gic.nits = 2;
    p.gic.its_id[0] = 7;
    p.gic.its_id[1] = 9;
    iort_parse(&p, b);
}

static int route(uint16_t segment, uint16_t rid)
{
    learn();
    return iort_route(&p, iort, segment, rid, &r);
}

#define assert_way(smmu_, stream_, its_, device_)         \
    do {                                                  \
        assert_int_equal(r.smmu, smmu_);                  \
        assert_true(r.smmu < 0 || r.stream == (stream_)); \
        assert_int_equal(r.its, its_);                    \
        assert_true(r.its < 0 || r.device == (device_));  \
    } while (0)

/* Ids that do not fit 32 bits are nobody's: they do not become low ones, which are others'. */
static void ids_end(void **state)
{
    (void)state;
    begin();
    uint32_t smmu = add_smmu(0x1000);
    add_root(0);
    add_map(0, 0x10000, 0xffffff80, smmu, 0);
    assert_int_equal(route(0, 0x10), 0);
    assert_way(0, 0xffffff90, -1, 0);
    assert_int_equal(r.more, 0x6f);
    assert_int_equal(route(0, 0x80), -EINVAL);
}

/* QEMU's virt: ITS 0, an SMMU, one root complex, ids as they are. */
static void one_smmu(void **state)
{
    (void)state;
    begin();
    uint32_t its = add_its(9), smmu = add_smmu(0x9050000);
    add_map(0, 0x10000, 0, its, 0);
    add_root(0);
    add_map(0, 0x10000, 0, smmu, 0);
    assert_int_equal(route(0, 0x0108), 0);
    assert_way(0, 0x108, 1, 0x108);
    assert_int_equal(r.more, 0xffff - 0x108);
    assert_int_equal(p.nsmmus, 1);
    assert_int_equal(p.smmu[0].base, 0x9050000);
    assert_int_equal(p.smmu[0].event, 106);
    assert_int_equal(p.smmu[0].gerror, 109);
    assert_true(p.smmu[0].coherent);
    assert_true(p.edge[106 / 32] >> 106 % 32 & 1);
    assert_int_equal(route(1, 0x0108), -ENOENT);
}

/* Two root complexes, each in pieces, offsets at each step, part of it past the SMMU. */
static void in_pieces(void **state)
{
    (void)state;
    begin();
    uint32_t its = add_its(7), its2 = add_its(9), a = add_smmu(0x1000);
    add_map(0x20000, 0x100, 0x500, its, 0);
    add_map(0x20100, 0x100, 0x900, its2, 0);
    uint32_t b = add_smmu(0x2000);
    add_root(0);
    add_map(0x0080, 0x200, 0x20000, a, 0);
    add_map(0x1000, 0x100, 0x40, its, 0); /* no SMMU */
    add_root(4);
    add_map(0, 0x10000, 0x70000, b, 0); /* no ITS behind it */
    assert_int_equal(route(0, 0x0081), 0);
    assert_way(0, 0x20001, 0, 0x501);
    assert_int_equal(r.more, 0xfe); /* to the end of the ITS's part */
    assert_int_equal(route(0, 0x0180), 0);
    assert_way(0, 0x20100, 1, 0x900);
    assert_int_equal(route(0, 0x1002), 0);
    assert_way(-1, 0, 0, 0x42);
    assert_int_equal(r.more, 0xfd);
    assert_int_equal(route(4, 0x0300), 0);
    assert_way(1, 0x70300, -1, 0);
    assert_int_equal(route(0, 0x0010), -ENOENT);
    assert_int_equal(r.more, 0x6f);
    assert_int_equal(route(0, 0x7000), -ENOENT);
}

static void one_id_too_many(void **state)
{
    (void)state;
    begin();
    uint32_t a = add_smmu(0x1000), b = add_smmu(0x2000);
    add_root(0);
    add_map(0x0000, 0x101, 0, a, 0);
    add_map(0x0100, 0x101, 0x10, b, 0);
    assert_int_equal(route(0, 0x00ff), 0);
    assert_way(0, 0xff, -1, 0);
    assert_int_equal(route(0, 0x0100), 0);
    assert_way(1, 0x10, -1, 0);
    assert_int_equal(route(0, 0x0200), 0);
    begin(); /* the other way round */
    a = add_smmu(0x1000), b = add_smmu(0x2000);
    add_root(0);
    add_map(0x0100, 0x101, 0x10, b, 0);
    add_map(0x0000, 0x101, 0, a, 0);
    assert_int_equal(route(0, 0x0100), 0);
    assert_way(1, 0x10, -1, 0);
}

static void two_answers(void **state)
{
    (void)state;
    begin();
    uint32_t a = add_smmu(0x1000);
    add_root(0);
    add_map(0, 0x100, 0, a, 0);
    add_map(0x80, 0x100, 0, a, 0);
    assert_int_equal(route(0, 0x0090), -EINVAL);
    assert_way(-1, 0, -1, 0);
    assert_int_equal(route(0, 0x0070), 0);
    assert_int_equal(r.more, 0xf);
    add_root(0); /* another node of that segment that says something else */
    add_map(0x40, 1, 0x55, a, 0);
    assert_int_equal(route(0, 0x0040), -EINVAL);
    assert_int_equal(route(0, 0x0041), 0);
}

/*
 * Two firmwares of HiSilicon's D06 (HIP08), from the tables that edk2-platforms and its forks
 * build: an early one with an SMMU for two of its host bridges, a later one with none. Their counts
 * of ids are one too high, so that neighbours overlap by one.
 */
static void recorded_d06_early(void **state)
{
    static const struct {
        uint16_t rid;
        int smmu, its;
    } want[] = {
        { 0x0000, 0, 0 },  { 0x3fff, 0, 0 },  { 0x7e00, 0, 0 },  { 0x7eff, 0, 0 },
        { 0x7c00, -1, 0 }, { 0x7dff, -1, 0 }, { 0x7400, -1, 0 }, { 0x76ff, -1, 0 },
    };

    (void)state;
    begin();
    put(40, 0x34, 4);
    iort_len = 0x34;
    uint32_t its = add_its(7), smmu = add(4, 0x40);
    assert_int_equal(smmu, 0x4c);
    put(smmu + 16, 0x148000000, 8);
    put(smmu + 24, 9, 4);
    add_map(0, 0x4001, 0, its, 0);
    add_map(0x7e00, 0x101, 0x7e00, its, 0);
    put(add(2, 0x20) + 16, 1, 4);
    add_map(0, 0x4001, 0, smmu, 0);
    add_map(0x7e00, 0x101, 0x7e00, smmu, 0);
    add_map(0x7c00, 0x201, 0x7c00, its, 0);
    add_map(0x7400, 0x301, 0x7400, its, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
        assert_int_equal(route(0, want[i].rid), 0);
        assert_way(want[i].smmu, want[i].rid, want[i].its, want[i].rid);
    }
    assert_int_equal(route(0, 0x5000), -ENOENT);
    assert_int_equal(p.smmu[0].base, 0x148000000);
    assert_true(p.smmu[0].coherent);
    assert_int_equal(p.smmu[0].event, 0); /* by message only */
}

static void recorded_d06(void **state)
{
    static const uint16_t hosts[][2] = {
        { 0x0000, 0x4000 }, { 0x7b00, 0x100 }, { 0x7a00, 0x100 },  { 0x7800, 0x200 },
        { 0x7c00, 0x200 },  { 0x7400, 0x300 }, { 0x8000, 0x2000 }, { 0xbb00, 0x100 },
        { 0xba00, 0x100 },  { 0xb800, 0x200 }, { 0xbc00, 0x200 },  { 0xb400, 0x300 },
    };

    (void)state;
    begin();
    put(40, 0x34, 4);
    iort_len = 0x34;
    uint32_t its = add_its(7);
    put(add(2, 0x24) + 16, 1, 4);
    for (unsigned i = 0; i < ARRAY_SIZE(hosts); i++)
        add_map(hosts[i][0], hosts[i][1] + 1u, hosts[i][0], its, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(hosts); i++) {
        assert_int_equal(route(0, hosts[i][0]), 0);
        assert_way(-1, 0, 0, hosts[i][0]);
        assert_int_equal(route(0, (uint16_t)(hosts[i][0] + hosts[i][1] - 1)), 0);
    }
    assert_int_equal(route(0, 0x7700 + 2), -ENOENT);
    assert_int_equal(p.nsmmus, 0);
}

static void circles_and_strays(void **state)
{
    (void)state;
    begin();
    uint32_t a = add_smmu(0x1000);
    add_map(0, 0x10000, 0, a, 0); /* to itself */
    uint32_t root = add_root(0);
    add_map(0, 0x100, 0, a, 0);
    add_map(0x100, 0x100, 0, root, 0);
    add_map(0x200, 0x100, 0, a + 4, 0); /* into the middle of a node */
    add_map(0x300, 0x100, 0, 0xfffffff0, 0);
    add_map(0x400, 0x100, 0xffffff80, a, 0); /* wraps */
    assert_int_equal(route(0, 0x0000), -EINVAL);
    assert_int_equal(route(0, 0x0100), -EINVAL);
    assert_int_equal(route(0, 0x0200), -EINVAL);
    assert_int_equal(route(0, 0x0300), -EINVAL);
    assert_int_equal(route(0, 0x0480), -EINVAL);
}

static void cut_off(void **state)
{
    (void)state;
    begin();
    uint32_t a = add_smmu(0x1000);
    add_root(0);
    add_map(0, 0x100, 0, a, 0);
    assert_int_equal(route(0, 5), 0);
    for (uint32_t whole = iort_len; iort_len > 0; iort_len--) { /* of any length */
        put(4, iort_len, 4);
        learn();
        assert_int_equal(iort_route(&p, iort, 0, 5, &r), iort_len == whole ? 0 : -ENOENT);
    }
    iort_len = 200;
    put(4, iort_len, 4);
    put(a + 1, 3, 2); /* a node shorter than its header: nothing behind it */
    assert_int_equal(route(0, 5), -ENOENT);
    assert_int_equal(p.nsmmus, 0);
    assert_int_equal(iort_route(&p, NULL, 0, 5, &r), -ENOENT);
}

static void old_ones_and_too_many(void **state)
{
    (void)state;
    begin();
    uint32_t old = add(3, 60);
    add_root(0);
    add_map(0, 0x100, 0, old, 0);
    assert_int_equal(route(0, 5), 0);
    assert_way(-1, 0, -1, 0);
    assert_true(r.old_smmu);
    assert_int_equal(p.old_smmus, 1);
    for (uint32_t i = 0; i < PLATFORM_SMMUS_MAX + 2; i++)
        (void)add_smmu(0x1000 * (i + 1));
    learn();
    assert_int_equal(p.nsmmus, PLATFORM_SMMUS_MAX);
    assert_int_equal(p.smmus_dropped, 2);
}

static void named_component(void **state)
{
    static const char name[] = "\\_SB.USB0";

    (void)state;
    begin();
    uint32_t its = add_its(7), a = add_smmu(0x1000);
    add_map(0, 0x100, 0, its, 0);
    uint32_t n = add(1, 40);
    memcpy(iort + n + 29, name, sizeof name);
    add_map(0, 1, 0x21, a, 1);
    add_map(0, 1, 0x22, a, 1);
    learn();
    assert_int_equal(iort_route_named(&p, iort, name, 1, &r), 0);
    assert_way(0, 0x22, 0, 0x22);
    assert_int_equal(iort_route_named(&p, iort, name, 2, &r), -ENOENT);
    assert_int_equal(iort_route_named(&p, iort, "\\_SB.USB", 0, &r), -ENOENT);
}

static void reserved_memory(void **state)
{
    struct platform_reserved m;

    (void)state;
    begin();
    uint32_t a = add_smmu(0x1000), b = add_smmu(0x2000);
    uint32_t n = add(6, 28 + 3 * 20);
    put(n + 20, 3, 4);
    put(n + 24, 28, 4);
    put(n + 28, 0x80000000, 8);
    put(n + 36, 0x10000, 8);
    put(n + 48, 0x80000800, 8); /* no page */
    put(n + 56, 0x10000, 8);
    put(n + 68, 0xfffffffffffff000, 8);
    put(n + 76, 0x1000, 8); /* ends at 2^64 */
    add_map(0, 1, 0x18, a, 1);
    add_map(0, 0x20, 0x40, b, 0);
    add_map(0, 1, 0, b + 4, 0); /* no SMMU */
    learn();
    assert_true(iort_reserved(&p, iort, 0, &m));
    assert_int_equal(m.smmu, 0);
    assert_int_equal(m.first, 0x18);
    assert_int_equal(m.last, 0x18);
    assert_int_equal(m.base, 0x80000000);
    assert_int_equal(m.len, 0x10000);
    assert_true(iort_reserved(&p, iort, 1, &m));
    assert_int_equal(m.smmu, 1);
    assert_int_equal(m.last, 0x5f);
    assert_false(iort_reserved(&p, iort, 2, &m));
    put(n + 20, 0xffffffff, 4); /* more ranges than the node has room for */
    assert_false(iort_reserved(&p, iort, 9, &m));
    assert_false(iort_reserved(&p, NULL, 0, &m));
}

/* ---- device trees ---- */

static void tree_gic(void)
{
    node("cpus", NULL);
    CELLS("#address-cells", 1);
    CELLS("#size-cells", 0);
    node("cpu@0", NULL);
    must(fdt_property_string(tree, "device_type", "cpu"));
    CELLS("reg", 0);
    end();
    end();
    node("intc", "arm,gic-v3");
    CELLS("reg", 0x8000000, 0x10000, 0x80a0000, 0x200000);
    CELLS("#address-cells", 1);
    CELLS("#size-cells", 1);
    must(fdt_property(tree, "ranges", "", 0));
    node("its", "arm,gic-v3-its");
    CELLS("reg", 0x8080000, 0x20000);
    CELLS("phandle", 0x11);
    end();
    end();
}

static void tree_smmus(void)
{
    static const char names[] = "eventq\0priq\0cmdq-sync\0gerror";

    node("smmu@1", "arm,smmu-v3");
    CELLS("reg", 0x9050000, 0x20000);
    CELLS("interrupts", 0, 74, 1, 0, 75, 1, 0, 76, 1, 0, 77, 1);
    must(fdt_property(tree, "interrupt-names", names, sizeof names));
    must(fdt_property(tree, "dma-coherent", "", 0));
    CELLS("phandle", 0x21);
    end();
    node("smmu@2", "arm,smmu-v3");
    CELLS("reg", 0x9150000, 0x20000);
    CELLS("interrupts", 0, 80, 1);
    must(fdt_property_string(tree, "interrupt-names", "combined"));
    CELLS("phandle", 0x22);
    end();
    node("smmu@3", "arm,mmu-500");
    CELLS("phandle", 0x23);
    end();
}

static void tree_buses(void)
{
    node("pcie@1", "pci-host-ecam-generic");
    CELLS("reg", 0x30000000, 0x10000000);
    CELLS("bus-range", 0, 0xff);
    CELLS("linux,pci-domain", 0);
    CELLS("iommu-map", 0, 0x21, 0, 0x100, 0x200, 0x22, 0x1000, 0x100, 0x400, 0x23, 0, 0x100, //
          0x500, 0x77, 0, 0x100);
    CELLS("msi-map", 0, 0x11, 0x8000, 0x200);
    end();
    node("pcie@2", "pci-host-ecam-generic");
    CELLS("reg", 0x40000000, 0x10000000);
    CELLS("linux,pci-domain", 2);
    CELLS("iommu-map", 0, 0x21, 0x5000, 0x8, 0, 0x21, 0x5000, 0x4, 0x10, 0x21, 0, 1, //
          0x10, 0x22, 0, 1);
    CELLS("iommu-map-mask", 0x18);
    CELLS("msi-parent", 0x11);
    end();
    node("pcie@3", "pci-host-ecam-generic");
    CELLS("reg", 0x50000000, 0x10000000);
    CELLS("linux,pci-domain", 3);
    CELLS("iommu-map", 0x600, 0x22, 0xffffffc0, 0x100);
    end();
    node("usb@1", "generic-xhci");
    CELLS("iommus", 0x22, 5, 0x21, 6);
    end();
}

static void make_tree(void)
{
    memset(tree, 0, sizeof tree);
    must(fdt_create(tree, sizeof tree));
    must(fdt_finish_reservemap(tree));
    must(fdt_begin_node(tree, ""));
    CELLS("#address-cells", 1);
    CELLS("#size-cells", 1);
    tree_gic();
    tree_smmus();
    tree_buses();
    end();
    must(fdt_finish(tree));
    assert_true(fdt_parse_platform(&p, (uint64_t)tree, map));
}

static void from_a_tree(void **state)
{
    (void)state;
    make_tree();
    assert_int_equal(p.nsmmus, 2);
    assert_int_equal(p.old_smmus, 1);
    assert_int_equal(p.smmu[0].event, 106);
    assert_int_equal(p.smmu[0].gerror, 109);
    assert_true(p.smmu[0].coherent);
    assert_int_equal(p.smmu[1].event, 112);
    assert_int_equal(p.smmu[1].gerror, 112);
    assert_false(p.smmu[1].coherent);
    assert_int_equal(fdt_route(&p, tree, 0, 0x42, &r), 0);
    assert_way(0, 0x42, 0, 0x8042);
    assert_int_equal(r.more, 0xff - 0x42);
    assert_int_equal(fdt_route(&p, tree, 0, 0x210, &r), 0);
    assert_way(1, 0x1010, -1, 0);
    assert_int_equal(fdt_route(&p, tree, 0, 0x180, &r), 0); /* no SMMU */
    assert_way(-1, 0, 0, 0x8180);
    assert_int_equal(r.more, 0x7f);
    assert_int_equal(fdt_route(&p, tree, 0, 0x380, &r), -ENOENT);
    assert_int_equal(fdt_route(&p, tree, 0, 0x410, &r), 0);
    assert_true(r.old_smmu);
    assert_int_equal(fdt_route(&p, tree, 0, 0x510, &r), -EINVAL); /* no such node */
    assert_int_equal(fdt_route(&p, tree, 3, 0x610, &r), 0);
    assert_way(1, 0xffffffd0, -1, 0);
    assert_int_equal(r.more, 0x2f); /* the next one does not fit 32 bits */
    assert_int_equal(fdt_route(&p, tree, 3, 0x640, &r), -EINVAL);
    assert_int_equal(fdt_route(&p, tree, 1, 0, &r), -ENOENT);
}

static void masks_and_names(void **state)
{
    (void)state;
    make_tree();
    assert_int_equal(fdt_route(&p, tree, 2, 0x0107, &r), 0); /* 0 under the mask, said twice */
    assert_way(0, 0x5000, 0, 0x0107);
    assert_int_equal(r.more, 0);
    assert_int_equal(fdt_route(&p, tree, 2, 0x0110, &r), -EINVAL); /* two answers */
    assert_int_equal(fdt_route_named(&p, tree, "/usb@1", 0, &r), 0);
    assert_way(1, 5, -1, 0);
    assert_int_equal(fdt_route_named(&p, tree, "/usb@1", 1, &r), 0);
    assert_way(0, 6, -1, 0);
    assert_int_equal(fdt_route_named(&p, tree, "/usb@1", 2, &r), -ENOENT);
    assert_int_equal(fdt_route_named(&p, tree, "/usb@2", 0, &r), -ENOENT);
    assert_int_equal(fdt_route(&p, NULL, 0, 0, &r), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_smmu),        cmocka_unit_test(ids_end),
        cmocka_unit_test(in_pieces),       cmocka_unit_test(one_id_too_many),
        cmocka_unit_test(two_answers),     cmocka_unit_test(circles_and_strays),
        cmocka_unit_test(cut_off),         cmocka_unit_test(recorded_d06_early),
        cmocka_unit_test(recorded_d06),    cmocka_unit_test(named_component),
        cmocka_unit_test(reserved_memory), cmocka_unit_test(old_ones_and_too_many),
        cmocka_unit_test(from_a_tree),     cmocka_unit_test(masks_and_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
