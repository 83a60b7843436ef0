/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cloud-init's disk, read back by the rules of the FAT specification: what the boot sector says of
 * the volume, the names, and the files by their clusters. qemu/uefi and qemu/arm_uefi have edk2's
 * driver read one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "hv/vio/nocloud.h"

static uint8_t *image;
static uint64_t image_len;
static uint8_t bytes[NOCLOUD_FILE_MAX];

static uint32_t get(uint64_t at, unsigned size)
{
    uint32_t v = 0;

    assert_true(at + size <= image_len);
    memcpy(&v, image + at, size);
    return v;
}

static uint64_t tables_at(void) { return get(14, 2) * 512u; }
static uint64_t root_at(void) { return tables_at() + (uint64_t)get(16, 1) * get(22, 2) * 512; }
static uint64_t data_at(void) { return root_at() + get(17, 2) * 32u; }
static uint64_t cluster_bytes(void) { return get(13, 1) * 512u; }

static uint32_t next_of(uint32_t cluster)
{
    uint32_t pair = get(tables_at() + cluster * 3 / 2, 2);

    return cluster & 1 ? pair >> 4 : pair & 0xfff;
}

static void check_volume(void)
{
    uint64_t clusters = (image_len - data_at()) / cluster_bytes();

    assert_int_equal(get(510, 2), 0xaa55);
    assert_int_equal(get(19, 2) * 512u, image_len);
    assert_true(clusters < 4085); /* that makes it FAT12 */
    assert_true((clusters + 2) * 3 / 2 + 1 <= get(22, 2) * 512u);
    assert_memory_equal(image + 43, "CIDATA     FAT12", 16);
    assert_memory_equal(image + root_at(), "CIDATA     \x08", 12);
    assert_int_equal(next_of(0), 0xff8);
    assert_memory_equal(image + tables_at(), image + tables_at() + get(22, 2) * 512, get(22, 2));
}

/* The entry behind the long name; each long name here is one entry. */
static uint64_t entry_of(const char *name)
{
    static const uint8_t at[13] = { 1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30 };

    for (uint64_t e = root_at(); e < data_at(); e += 32) {
        uint8_t sum = 0;
        unsigned i = 0;

        if (get(e + 11, 1) != 0xf)
            continue;
        while (i < strlen(name) && get(e + at[i], 2) == (uint8_t)name[i])
            i++;
        if (i < strlen(name) || get(e + at[i], 2))
            continue;
        for (i = 0; i < 11; i++)
            sum = (uint8_t)((unsigned)(sum << 7 | sum >> 1) + get(e + 32 + i, 1));
        assert_int_equal(get(e + 13, 1), sum);
        return e + 32;
    }
    fail_msg("no file %s", name);
    return 0;
}

static void check_file(const char *name, const struct nocloud_file *f)
{
    uint64_t e = entry_of(name), left = f->len, at = 0;
    uint32_t cluster = get(e + 26, 2);

    assert_int_equal(get(e + 28, 4), f->len);
    assert_int_equal(cluster == 0, f->len == 0);
    for (; left; cluster = next_of(cluster)) {
        uint64_t n = min_u64(left, cluster_bytes()),
                 from = data_at() + (cluster - 2) * cluster_bytes();

        assert_true(cluster >= 2 && cluster < 0xff7 && from + cluster_bytes() <= image_len);
        assert_memory_equal(image + from, (const uint8_t *)f->bytes + at, n);
        at += n;
        left -= n;
    }
    assert_true(f->len == 0 || cluster == 0xfff);
}

static void check(uint64_t user_len, uint64_t meta_len)
{
    struct nocloud_file user = { bytes, user_len }, meta = { bytes + 100, meta_len };

    image_len = nocloud_size(&user, &meta);
    image = calloc(1, image_len);
    nocloud_write(image, &user, &meta);
    check_volume();
    check_file("user-data", &user);
    check_file("meta-data", &meta);
    free(image);
}

static void files_of_all_sizes(void **state)
{
    static const uint64_t sizes[] = {
        0, 1, 2047, 2048, 2049, 4096, 100000, NOCLOUD_FILE_MAX - 100
    };

    (void)state;
    for (uint64_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 2048);
    for (unsigned u = 0; u < ARRAY_SIZE(sizes); u++)
        for (unsigned m = 0; m < ARRAY_SIZE(sizes); m++)
            check(sizes[u], sizes[m]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(files_of_all_sizes) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
