/* SPDX-License-Identifier: BSD-2-Clause */
/* What compressed kernels give, piece by piece, and what is said of broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <hv/inflate.h>

#include "tests/unit/packed.h"

static uint8_t file[1 << 16], out[2 * MIB];
static uint64_t made, most;
static unsigned steps, taken;
static size_t largest;
static bool refuse;
static char why[80];

static void *take(struct vm *vm, size_t len)
{
    (void)vm;
    taken++;
    return calloc(1, len);
}

static void give(struct vm *vm, void *p, size_t len)
{
    (void)vm, (void)len;
    taken--;
    free(p);
}

static void *take_large(size_t len)
{
    largest = len > largest ? len : largest;
    return refuse ? NULL : take(NULL, len);
}

static void give_large(void *p, size_t len) { give(NULL, p, len); }

static int setup(void **state)
{
    (void)state;
    most = sizeof out;
    refuse = false;
    return 0;
}

/* All of the file: 0 and out[made], or the error and why. */
static int unpack(const void *from, uint64_t len)
{
    struct inflation_memory m = { NULL, take, give, take_large, give_large };
    struct inflation *s;
    struct linux_file f;
    int more = linux_file_open(from, len, &f, why, sizeof why);

    made = steps = largest = 0;
    if (more)
        return more;
    s = inflation_new(&f, m, most);
    assert_non_null(s);
    do {
        const uint8_t *piece;
        uint64_t n = 0;

        more = inflation_step(s, &piece, &n, why, sizeof why);
        if (more < 0)
            break;
        assert_true(n <= INFLATION_STEP && made + n <= sizeof out);
        memcpy(out + made, piece, n);
        made += n;
        assert_true(++steps < 1000);
    } while (more > 0);
    inflation_end(s);
    assert_int_equal(taken, 0);
    return more;
}

static void refused(int err, uint64_t len, const char *what)
{
    assert_int_equal(unpack(file, len), err);
    if (!strstr(why, what))
        fail_msg("it says: %s", why);
}

static void expect_long(void)
{
    assert_int_equal(made, PACKED_LONG);
    assert_true(steps >= PACKED_LONG / INFLATION_STEP);
    for (uint32_t i = 0; i < PACKED_LONG; i++)
        if (out[i] != packed_long_byte(i))
            fail_msg("byte %u is %#x", i, out[i]);
}

static void test_zstd(void **state)
{
    (void)state;
    assert_int_equal(unpack(packed_long_zstd, sizeof packed_long_zstd), 0);
    expect_long();
    assert_int_equal(unpack(packed_zstd, sizeof packed_zstd), 0);
    assert_int_equal(made, 70000);
}

static void test_xz(void **state)
{
    (void)state;
    assert_int_equal(unpack(packed_long_xz, sizeof packed_long_xz), 0);
    expect_long();
    assert_int_equal(largest, 8 * MIB); /* xz -6 */
    assert_int_equal(unpack(packed_xz, sizeof packed_xz), 0);
    assert_int_equal(made, 70000);
}

/* Cut anywhere, a file gives its beginning and then says so. */
static void cut(const uint8_t *from, size_t len)
{
    memcpy(file, from, len);
    for (size_t n = 16; n < len; n += n < 60 || len - n < 60 ? 1 : 37)
        refused(-EINVAL, n, "its compressed data ends too early");
}

/* A bit that flips anywhere gives the same bytes, or fails. */
static void flip(const uint8_t *from, size_t len)
{
    static uint8_t right[70000];
    unsigned failed = 0;

    assert_int_equal(unpack(from, len), 0);
    memcpy(right, out, sizeof right);
    for (size_t at = 6; at < len; at++) {
        memcpy(file, from, len);
        file[at] ^= 0x10;
        if (unpack(file, len) < 0)
            failed++;
        else
            assert_true(made == sizeof right && memcmp(out, right, made) == 0);
    }
    assert_true(failed > len / 2);
}

static void test_broken(void **state)
{
    (void)state;
    cut(packed_long_zstd, sizeof packed_long_zstd);
    cut(packed_long_xz, sizeof packed_long_xz);
    flip(packed_zstd, sizeof packed_zstd);
    flip(packed_xz, sizeof packed_xz);
}

/* The last 4 bytes of a frame are its checksum. */
static void test_claims(void **state)
{
    const size_t n = sizeof packed_long_zstd, m = sizeof packed_long_xz;

    (void)state;
    memcpy(file, packed_long_zstd, n);
    file[n - 1] ^= 1;
    refused(-EINVAL, n, "its checksum is wrong");
    memcpy(file, packed_long_zstd, n);
    memcpy(file + n, packed_long_zstd, n);
    refused(-EINVAL, 2 * n, "more than one zstd stream: unpack it with `zstd -d`");
    memcpy(file, packed_long_xz, m);
    memcpy(file + m, packed_long_xz, m);
    refused(-EINVAL, 2 * m, "more than one xz stream: unpack it with `xz -d`");
    refuse = true;
    refused(-ENOMEM, m, "not enough free memory");
}

/*
 * A frame's header alone: no content size, no checksum, a window of 2^(10 + code) bytes; one block
 * of `len` bytes that are all 7 (RFC 8878, 3.1.1).
 */
static size_t frame(unsigned code, uint32_t len)
{
    static const uint8_t magic[] = { 0x28, 0xb5, 0x2f, 0xfd, 0 };

    memcpy(file, magic, sizeof magic);
    file[5] = (uint8_t)(code << 3);
    file[6] = (uint8_t)(len << 3 | 3); /* the last; RLE */
    file[7] = (uint8_t)(len >> 5);
    file[8] = (uint8_t)(len >> 13);
    file[9] = 7;
    return 10;
}

static void test_window(void **state)
{
    (void)state;
    assert_int_equal(unpack(file, frame(10, 1000)), 0);
    assert_true(made == 1000 && out[0] == 7 && out[999] == 7);
    assert_true(largest > MIB && largest < 2 * MIB);
    most = 4 * MIB; /* the guest's memory bounds what is taken */
    assert_int_equal(unpack(file, frame(20, 1000)), 0);
    assert_int_equal(largest, 4 * MIB + 1);
    most = 4 * GIB;
    assert_int_equal(unpack(file, frame(17, 1000)), 0);
    assert_true(largest > 128 * MIB && largest <= 256 * MIB);
    refused(-EINVAL, frame(18, 1000), "looks back more than 128 MiB");
    assert_int_equal(largest, 0);
    refused(-EINVAL, frame(10, 128 * KIB + 1), "broken");
    most = 500;
    refused(-EINVAL, frame(10, 1000), "longer than its header says, or than the guest's memory");
}

/* Empty blocks give nothing, and a step does not read all of them. */
static void test_empty_blocks(void **state)
{
    size_t n = frame(10, 0);

    (void)state;
    file[6] = 0; /* raw, empty, not the last */
    for (n = 9; n + 3 < sizeof file; n += 3)
        memset(file + n, 0, 3);
    refused(-EINVAL, n, "ends too early");
    assert_true(steps > n / 3 / 100);
}

static void test_zboot(void **state)
{
    static const char *const names[] = { "zstd22", "zstd", "xzkern" };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        const uint8_t *from = i < 2 ? packed_long_zstd : packed_long_xz;
        uint32_t n = i < 2 ? sizeof packed_long_zstd : sizeof packed_long_xz, at = 512;

        memset(file, 0, sizeof file);
        memcpy(file, "MZ\0\0zimg", 8);
        memcpy(file + 8, &at, 4);
        memcpy(file + 12, &n, 4);
        strcpy((char *)file + 24, names[i]);
        memcpy(file + at, from, n);
        assert_true(linux_file_is_packed(file, at + n));
        assert_int_equal(unpack(file, at + n + 4), 0); /* and its length, as Linux appends it */
        expect_long();
        refused(-EINVAL, at + n - 1, "outside");
    }
    strcpy((char *)file + 24, "lz4");
    refused(-EINVAL, sizeof file, "compressed with lz4; gzip, zstd and xz are supported");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_zstd, setup),
        cmocka_unit_test_setup(test_xz, setup),
        cmocka_unit_test_setup(test_broken, setup),
        cmocka_unit_test_setup(test_claims, setup),
        cmocka_unit_test_setup(test_window, setup),
        cmocka_unit_test_setup(test_empty_blocks, setup),
        cmocka_unit_test_setup(test_zboot, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
