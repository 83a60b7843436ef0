/* SPDX-License-Identifier: BSD-2-Clause */
/* What guests of every ISA are loaded with: the device-tree writer, and the header of an Image. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <hv/fdt_write.h>
#include <hv/linux_image.h>

static uint8_t room[4096];

static void test_reads_back(void **state)
{
    const uint64_t words[] = { 0x123456789abcdef0, 7 };
    struct dt_tree t;
    int node, len;

    (void)state;
    dt_create(&t, room, sizeof room);
    dt_two_cells(&t);
    DT_LIST(&t, "compatible", "one\0two");
    dt_begin_at(&t, "memory", 0x80000000);
    dt_reg(&t, 0x80000000, 5 * GIB);
    dt_words64(&t, "words", words, 2);
    DT_CELLS(&t, "pair", DT_PAIR(words[0]), 3);
    dt_flag(&t, "flag");
    dt_text(&t, "text", "a text");
    dt_end(&t);
    assert_int_equal(dt_finish(&t), fdt_totalsize(room));
    assert_int_equal(fdt_check_header(room), 0);
    assert_string_equal(fdt_stringlist_get(room, 0, "compatible", 1, NULL), "two");
    node = fdt_path_offset(room, "/memory@80000000");
    assert_memory_equal(fdt_getprop(room, node, "reg", &len),
                        "\0\0\0\0\x80\0\0\0\0\0\0\1\x40\0\0\0", 16);
    assert_memory_equal(fdt_getprop(room, node, "words", &len), "\x12\x34\x56\x78\x9a", 5);
    assert_int_equal(len, 16);
    assert_memory_equal(fdt_getprop(room, node, "pair", &len), "\x12\x34\x56\x78", 4);
    assert_int_equal(len, 12);
    assert_non_null(fdt_getprop(room, node, "flag", &len));
    assert_int_equal(len, 0);
    assert_string_equal(fdt_getprop(room, node, "text", NULL), "a text");
}

/* INTx of slot 2, pin 3 is line (2 + 3 - 1) & 3, in whatever words the controller has for it. */
static void test_pci_bridge(void **state)
{
    struct dt_pci p = { .ecam = 0x30000000,
                        .ecam_len = MIB,
                        .mmio32 = 0x40000000,
                        .mmio32_len = GIB,
                        .mmio64 = 1ull << 40,
                        .mmio64_len = 1ull << 39,
                        .line = { 9, 0, 32, 4 },
                        .line_cells = 4,
                        .line_at = 2 };
    const uint32_t row[8] = {
        cpu_to_fdt32(2 << 11), 0, 0, cpu_to_fdt32(3), cpu_to_fdt32(9), 0, cpu_to_fdt32(32),
        cpu_to_fdt32(4)
    };
    struct dt_tree t;
    const uint8_t *map;
    int node, len;

    (void)state;
    dt_create(&t, room, sizeof room);
    dt_two_cells(&t);
    dt_pci_begin(&t, "pci", &p);
    dt_end(&t);
    assert_int_equal(dt_finish(&t), fdt_totalsize(room));
    node = fdt_path_offset(room, "/pci@30000000");
    map = fdt_getprop(room, node, "interrupt-map", &len);
    assert_int_equal(len, 16 * sizeof row);
    assert_memory_equal(map + (2 * 4 + 3 - 1) * sizeof row, row, sizeof row);
    assert_non_null(fdt_getprop(room, node, "ranges", &len));
    assert_int_equal(len, 2 * 7 * 4);
    p.line_at = 4;
    dt_create(&t, room, sizeof room);
    dt_pci_begin(&t, "pci", &p);
    dt_end(&t);
    assert_int_equal(dt_finish(&t), -FDT_ERR_BADVALUE);
}

/* The first error is the answer, whatever comes later; nothing is written beyond the room. */
static void test_errors_stick(void **state)
{
    static const uint32_t many[DT_CELLS_MAX + 1];
    struct dt_tree t;

    (void)state;
    dt_create(&t, room, sizeof room);
    dt_cells(&t, "many", many, DT_CELLS_MAX + 1);
    dt_end(&t);
    dt_end(&t); /* one too many */
    assert_int_equal(dt_finish(&t), -FDT_ERR_NOSPACE);
    memset(room, 0xee, sizeof room);
    dt_create(&t, room, 256);
    for (unsigned i = 0; i < 40; i++)
        dt_text(&t, "text", "some more of it");
    assert_int_equal(dt_finish(&t), -FDT_ERR_NOSPACE);
    assert_int_equal(room[256], 0xee);
    dt_create(&t, room, (size_t)1 << 40);
    assert_true(dt_finish(&t) < 0);
}

static void test_image(void **state)
{
    uint8_t h[LINUX_IMAGE_HEADER] = { [8] = 0, [10] = 8, [19] = 1, [24] = 0xa };
    struct linux_image image;

    (void)state;
    memcpy(h + 56, LINUX_IMAGE_RISCV64, 4);
    assert_true(linux_image_read(h, sizeof h, LINUX_IMAGE_RISCV64, &image));
    assert_int_equal(image.text_offset, 0x80000);
    assert_int_equal(image.image_size, 16 * MIB);
    assert_int_equal(image.flags, 0xa);
    assert_false(linux_image_read(h, sizeof h, LINUX_IMAGE_ARM64, &image));
    assert_false(linux_image_read(h, sizeof h - 1, LINUX_IMAGE_RISCV64, &image));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_reads_back),
                                        cmocka_unit_test(test_pci_bridge),
                                        cmocka_unit_test(test_errors_stick),
                                        cmocka_unit_test(test_image) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
