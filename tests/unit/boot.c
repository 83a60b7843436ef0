/* SPDX-License-Identifier: BSD-2-Clause */
/* The loader's own logic: which files a configuration names, and the memory map put in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/pure.h"
#include <hv/config_files.h>

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
                 add, NULL);
    assert_string_equal(found, "my kernel|i.gz|d.img|e.img|nvme0|m.bin|k\\2|");
    found[0] = 0;
    config_files("[Guest a]\nKernel = K\nDISK = \"my disk.img\"\n[guest broken\nkernel = x\n"
                 "[guests]\nkernel = y\n[guest\tb]\ninitrd = z\n",
                 add, NULL);
    assert_string_equal(found, "K|my disk.img|z|");
    assert_true(config_same_file("/Dir/A", 6, "dir\\a", 5));
    assert_false(config_same_file("a", 1, "ab", 2));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_named),
        cmocka_unit_test(sorted_and_joined),
        cmocka_unit_test(caution_wins),
        cmocka_unit_test(caution_wins_without_room),
        cmocka_unit_test(random_maps),
        cmocka_unit_test(no_room_never_frees),
        cmocka_unit_test(every_day_follows_the_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
