/* SPDX-License-Identifier: BSD-2-Clause */
/* The loader's own logic: which files a configuration names, and the memory map put in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libfdt.h>

#include "boot/pure.h"
#include <hv/config_files.h>
#include <hv/types.h>

static char found[256];

static void add(void *ctx, unsigned line, const char *name, size_t len)
{
    (void)ctx;
    (void)line;
    strncat(found, name, len);
    strcat(found, "|");
}

static void files_named(void **state)
{
    (void)state;
    found[0] = 0;
    config_files("[host]\nkernel = not this\n[guest a]\nkernel = my kernel\ncmdline = initrd = "
                 "x\ninitrd=i.gz ; comment\n"
                 "disk = d.img,ro\ndisk = e.img , ro\ndisk = nvme0p1,ro\ndisk = file:nvme0\n"
                 "disk = partlabel:x\ndisk = serial:y,ro\nmodule = m.bin some args\nmodule "
                 "=\nnonsense\n[guest b]\nkernel = k\\2\n",
                 CONFIG_ALL_ISAS, add, NULL);
    assert_string_equal(found, "my kernel|i.gz|d.img|e.img|nvme0|m.bin|k\\2|");
    found[0] = 0;
    config_files("[Guest a]\nKernel = K\nDISK = \"my disk.img\"\n[guest broken\nkernel = x\n"
                 "[guests]\nkernel = y\n[guest\tb]\ninitrd = z\n",
                 CONFIG_ALL_ISAS, add, NULL);
    assert_string_equal(found, "K|my disk.img|z|");
    found[0] = 0;
    config_files("[guest a]\nfirmware = UEFI\n[guest b]\nfirmware = own.fd\n", ISA_AARCH64, add,
                 NULL);
    assert_string_equal(found, "firmware/uefi-aarch64.fd|own.fd|");
    found[0] = 0;
    config_files("[guest a]\nsecure-boot = Yes\n[guest b]\nsecure_boot = no\n", CONFIG_ALL_ISAS,
                 add, NULL);
    assert_string_equal(found, "firmware/uefi-x86_64-secure.fd|");
    found[0] = 0;
    config_files("[guest a]\ncloud-init = u.yaml , m\n[guest b]\nCloud_Init = u\n[guest c]\n"
                 "cloud-init = ,\n",
                 ISA_AARCH64, add, NULL);
    assert_string_equal(found, "u.yaml|m|u|");
    found[0] = 0;
    config_files("[guest a]\nfirmware = own.fd\ncdrom = x.iso\nCDROM = nvme0p1\ncdrom = file:y\n",
                 ISA_AARCH64, add, NULL);
    assert_string_equal(found, "own.fd|x.iso|y|");
    found[0] = 0;
    config_files("[net nat]\nboot-file = a.efi\n[net lan]\nboot-file = b\n[NET\tNAT]\nboot_file = "
                 "c\n[guest a]\nboot = disk\nboot-file = d\n[net nat2]\nboot-file = e\n",
                 ISA_AARCH64, add, NULL);
    assert_string_equal(found, "a.efi|c|");
    assert_true(config_same_file("/Dir/A", 6, "dir\\a", 5));
    assert_false(config_same_file("a", 1, "ab", 2));
}

static void paths_in_utf16(void **state)
{
    static const struct {
        const char *name;
        uint16_t path[8];
    } rows[] = {
        { "/a/b", { '\\', 'a', '\\', 'b' } },
        { "\\\\a", { '\\', 'a' } },
        { "\xc3\xbc", { '\\', 0xfc } },
        { "\xe6\x97\xa5", { '\\', 0x65e5 } },
        { "\xf0\x9f\x98\x80x", { '\\', 0xd83d, 0xde00, 'x' } },
        { "\xff\xc3", { '\\', 0xff, 0xc3 } },
        { "\xc0\x80", { '\\', 0xc0, 0x80 } },
        { "\xed\xa0\x80", { '\\', 0xed, 0xa0, 0x80 } },
        { "abcdefghi", { '\\', 'a', 'b', 'c', 'd', 'e', 0 } },
    };

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint16_t out[8] = { 0 };

        path_utf16(rows[i].name, out, 8);
        for (unsigned k = 0; k < 8; k++)
            assert_int_equal(out[k], rows[i].path[k]);
    }
}

static uint32_t order(struct boot_mem *m, const struct boot_mem *in, uint32_t n, uint32_t room)
{
    uint32_t have = 0;

    for (uint32_t i = 0; i < n; i++)
        have = ranges_insert(m, have, in[i]);
    return ranges_normalise(m, have, room);
}

static void sorted_and_joined(void **state)
{
    static const struct boot_mem in[] = { { 0x3000, 0x1000, 1, 0 },
                                          { 0, 0x1000, 1, 0 },
                                          { 0x1000, 0x2000, 1, 0 },
                                          { 0x5000, 0x1000, 2, 0 },
                                          { 0x4000, 0, 3, 0 } };
    struct boot_mem m[8];

    (void)state;
    assert_int_equal(order(m, in, 5, 8), 2);
    assert_int_equal(m[0].base, 0);
    assert_int_equal(m[0].len, 0x4000);
    assert_int_equal(m[1].base, 0x5000);
}

/* A weaker part that finds no room must not uncover the free memory beneath it. */
static void caution_wins_without_room(void **state)
{
    static const struct boot_mem in[] = { { 0, 0x9000, BOOT_MEM_RESERVED, 0 },
                                          { 0x1000, 0x1000, BOOT_MEM_MMIO, 0 },
                                          { 0x4000, 0x2000, BOOT_MEM_FREE, 0 } };
    struct boot_mem m[8];
    uint32_t n = order(m, in, 3, 3);

    (void)state;
    assert_true(n <= 3);
    for (uint32_t i = 0; i < n; i++)
        assert_int_not_equal(m[i].type, BOOT_MEM_FREE);
    assert_int_equal(order(m, in, 3, 6), 3);
    assert_int_equal(m[2].base, 0x2000);
    assert_int_equal(m[2].len, 0x7000);
}

static void caution_wins(void **state)
{
    static const struct boot_mem in[] = { { 0, 0x10000, BOOT_MEM_FREE, 0 },
                                          { 0x4000, 0x1000, BOOT_MEM_RESERVED, 0 },
                                          { 0xf000, 0x3000, BOOT_MEM_MMIO, 0 } };
    struct boot_mem m[8];

    (void)state;
    assert_int_equal(order(m, in, 3, 8), 4);
    assert_int_equal(m[0].len, 0x4000);
    assert_int_equal(m[1].type, BOOT_MEM_RESERVED);
    assert_int_equal(m[2].base, 0x5000);
    assert_int_equal(m[2].len, 0xa000);
    assert_int_equal(m[3].type, BOOT_MEM_MMIO);
    assert_int_equal(m[3].len, 0x3000);
}

#define PAGES 48

/*
 * Random ranges against one byte a page: the strongest type that covers a page must be what the map
 * says.
 */
static void random_maps(void **state)
{
    (void)state;
    srand(1);
    for (int round = 0; round < 20000; round++) {
        struct boot_mem in[6], m[64];
        uint8_t want[PAGES] = { 0 }, have[PAGES] = { 0 };
        uint32_t n = (uint32_t)rand() % 6 + 1;

        for (uint32_t i = 0; i < n; i++) {
            in[i] = (struct boot_mem){ (uint64_t)rand() % 32, (uint64_t)rand() % 16,
                                       (uint32_t)rand() % 4 + 1, 0 };
            for (uint64_t p = in[i].base; p < in[i].base + in[i].len; p++)
                want[p] = want[p] > in[i].type ? want[p] : (uint8_t)in[i].type;
        }
        n = order(m, in, n, 64);
        for (uint32_t i = 0; i < n; i++) {
            assert_true(m[i].len > 0);
            assert_true(i == 0 || m[i].base >= m[i - 1].base + m[i - 1].len);
            assert_false(i && m[i].type == m[i - 1].type &&
                         m[i].base == m[i - 1].base + m[i - 1].len);
            memset(have + m[i].base, (int)m[i].type, m[i].len);
        }
        assert_memory_equal(want, have, PAGES);
    }
}

static void no_room_never_frees(void **state)
{
    static const struct boot_mem in[] = { { 0, 0x10000, BOOT_MEM_FREE, 0 },
                                          { 0x4000, 0x1000, BOOT_MEM_RESERVED, 0 } };
    struct boot_mem m[2];

    (void)state;
    assert_int_equal(order(m, in, 2, 2), 2);
    assert_int_equal(m[0].len, 0x4000);
    assert_int_equal(m[1].type, BOOT_MEM_RESERVED);
}

/* Every day of 500 years, counted the slow way. */
static void every_day_follows_the_last(void **state)
{
    static const uint8_t length[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    uint64_t n = 0;

    (void)state;
    for (uint64_t y = 1970; y < 2470; y++) {
        unsigned leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

        for (uint64_t m = 1; m <= 12; m++)
            for (uint64_t d = 1; d <= length[m - 1] + (m == 2 ? leap : 0); d++)
                assert_int_equal(date_days(y, m, d), n++);
    }
    assert_int_equal(date_days(2026, 1, 1) * 86400, 1767225600);
}

/* ---- what a device tree keeps for itself ---- */

static _Alignas(8) uint8_t tree[4096];

static void node(const char *name, const uint32_t *reg, size_t n)
{
    fdt32_t be[16];

    for (size_t i = 0; i < n; i++)
        be[i] = cpu_to_fdt32(reg[i]);
    assert_int_equal(fdt_begin_node(tree, name), 0);
    if (n)
        assert_int_equal(fdt_property(tree, "reg", be, (int)(n * sizeof be[0])), 0);
    assert_int_equal(fdt_end_node(tree), 0);
}

static void make_tree(bool cells)
{
    assert_int_equal(fdt_create(tree, sizeof tree), 0);
    assert_int_equal(fdt_add_reservemap_entry(tree, 0x8001000, 0x800), 0);
    assert_int_equal(fdt_add_reservemap_entry(tree, ~0ull - 10, 0x800), 0); /* wraps */
    assert_int_equal(fdt_finish_reservemap(tree), 0);
    assert_int_equal(fdt_begin_node(tree, ""), 0);
    assert_int_equal(fdt_begin_node(tree, "reserved-memory"), 0);
    if (cells) {
        assert_int_equal(fdt_property_u32(tree, "#address-cells", 2), 0);
        assert_int_equal(fdt_property_u32(tree, "#size-cells", 2), 0);
    }
    if (cells)
        node("optee@3e0000000",
             (const uint32_t[]){ 3, 0xe0000000, 0, 0x200000, 3, 0xf0000010, 0, 8, 7 },
             9); /* two
                    ranges,
                    and a
                    cell
                    too
                    many
                  */
    else
        node("a@140000000", (const uint32_t[]){ 1, 0x40000000, 0x100000 }, 3);
    node("cma", NULL, 0); /* where it lies is still to be chosen */
    assert_int_equal(fdt_end_node(tree), 0);
    assert_int_equal(fdt_end_node(tree), 0);
    assert_int_equal(fdt_finish(tree), 0);
}

static void device_tree_reserves(void **state)
{
    struct boot_mem m[8] = { { 0x8000000, 0x400000000, BOOT_MEM_FREE, 0 } };
    uint32_t n;

    (void)state;
    make_tree(true);
    n = ranges_normalise(m, fdt_reserved(tree, m, 1, 8), 8);
    assert_int_equal(n, 7);
    assert_int_equal(m[1].base, 0x8001000);
    assert_int_equal(m[1].len, 0x1000);
    assert_int_equal(m[1].type, BOOT_MEM_RESERVED);
    assert_int_equal(m[3].base, 0x3e0000000);
    assert_int_equal(m[3].len, 0x200000);
    assert_int_equal(m[5].base, 0x3f0000000);
    assert_int_equal(m[5].len, 0x1000);
    assert_int_equal(m[6].type, BOOT_MEM_FREE);
    /* the cells that the specification gives to a node that says nothing */
    make_tree(false);
    assert_int_equal(fdt_reserved(tree, m, 0, 8), 2);
    assert_int_equal(m[1].base, 0x140000000);
    assert_int_equal(m[1].len, 0x100000);
}

static void device_trees_that_are_none(void **state)
{
    struct boot_mem m[8] = { { 0 } };

    (void)state;
    make_tree(true);
    assert_int_equal(fdt_reserved(tree, m, 0, 2), 2); /* no more than there is room for */
    assert_int_equal(fdt_reserved(tree, m, 2, 2), 2);
    tree[0] = 0;
    assert_int_equal(fdt_reserved(tree, m, 1, 8), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_named),
        cmocka_unit_test(paths_in_utf16),
        cmocka_unit_test(sorted_and_joined),
        cmocka_unit_test(caution_wins),
        cmocka_unit_test(device_tree_reserves),
        cmocka_unit_test(device_trees_that_are_none),
        cmocka_unit_test(caution_wins_without_room),
        cmocka_unit_test(random_maps),
        cmocka_unit_test(no_room_never_frees),
        cmocka_unit_test(every_day_follows_the_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
