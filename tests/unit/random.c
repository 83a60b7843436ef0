/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <arch/cpu.h>
#include <hv/blake2s.h>
#include <hv/log.h>
#include <hv/random.h>
#include "boot/boot_info.h"

/* RFC 8439 §2.3.2 */
static void test_block(void **state)
{
    static const uint8_t nonce[12] = { 0, 0, 0, 9, 0, 0, 0, 0x4a };
    static const uint8_t want[64] = {
        0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15, 0x50, 0x0f, 0xdd, 0x1f, 0xa3,
        0x20, 0x71, 0xc4, 0xc7, 0xd1, 0xf4, 0xc7, 0x33, 0xc0, 0x68, 0x03, 0x04, 0x22,
        0xaa, 0x9a, 0xc3, 0xd4, 0x6c, 0x4e, 0xd2, 0x82, 0x64, 0x46, 0x07, 0x9f, 0xaa,
        0x09, 0x14, 0xc2, 0xd7, 0x05, 0xd9, 0x8b, 0x02, 0xa2, 0xb5, 0x12, 0x9c, 0xd1,
        0xde, 0x16, 0x4e, 0xb9, 0xcb, 0xd0, 0x83, 0xe8, 0xa2, 0x50, 0x3c, 0x4e,
    };
    uint8_t key[32], out[64];

    (void)state;
    for (unsigned i = 0; i < 32; i++)
        key[i] = (uint8_t)i;
    chacha20_block(key, 1, nonce, out);
    assert_memory_equal(out, want, sizeof out);
}

/* RFC 8439 appendix A.1, test vector 1: all zeroes */
static void test_zero(void **state)
{
    static const uint8_t zero[32], want[16] = { 0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90,
                                                0x40, 0x5d, 0x6a, 0xe5, 0x53, 0x86, 0xbd, 0x28 };
    uint8_t out[64];

    (void)state;
    chacha20_block(zero, 0, zero, out);
    assert_memory_equal(out, want, sizeof want);
}

/* RFC 7693 appendix B */
static void digest_of(const void *data, size_t len, size_t piece, uint8_t out[BLAKE2S_LEN])
{
    struct blake2s s;

    blake2s_begin(&s);
    for (size_t at = 0; at < len; at += piece)
        blake2s_add(&s, (const uint8_t *)data + at, len - at < piece ? len - at : piece);
    blake2s_end(&s, out);
}

static void test_blake2s(void **state)
{
    static const uint8_t abc[32] = {
        0x50, 0x8c, 0x5e, 0x8c, 0x32, 0x7c, 0x14, 0xe2, 0xe1, 0xa7, 0x2b,
        0xa3, 0x4e, 0xeb, 0x45, 0x2f, 0x37, 0x45, 0x8b, 0x20, 0x9e, 0xd6,
        0x3a, 0x29, 0x4d, 0x99, 0x9b, 0x4c, 0x86, 0x67, 0x59, 0x82,
    };
    uint8_t out[32];

    (void)state;
    digest_of("abc", 3, 3, out);
    assert_memory_equal(out, abc, 32);
}

/*
 * The messages of RFC 7693 appendix E; what becomes of them without a key, by another
 * implementation (CPython's).
 */
static void selftest_seq(uint8_t *out, size_t len, uint32_t seed)
{
    uint32_t a = 0xdead4bad * seed, b = 1;

    for (size_t i = 0; i < len; i++) {
        uint32_t t = a + b;

        a = b;
        b = t;
        out[i] = (uint8_t)(t >> 24);
    }
}

static const struct {
    size_t len;
    uint8_t digest[32];
} lengths[] = {
    { 0, { 0x69, 0x21, 0x7a, 0x30, 0x79, 0x90, 0x80, 0x94, 0xe1, 0x11, 0x21,
           0xd0, 0x42, 0x35, 0x4a, 0x7c, 0x1f, 0x55, 0xb6, 0x48, 0x2c, 0xa1,
           0xa5, 0x1e, 0x1b, 0x25, 0x0d, 0xfd, 0x1e, 0xd0, 0xee, 0xf9 } },
    { 3, { 0x77, 0x01, 0x2b, 0xe5, 0xf6, 0xfb, 0x6b, 0x23, 0x84, 0x67, 0x95,
           0xe1, 0xe8, 0xe2, 0x2f, 0xb5, 0x98, 0xa1, 0xba, 0x60, 0xea, 0x59,
           0xa3, 0x78, 0xd9, 0xd9, 0x08, 0xd8, 0xb6, 0xde, 0xa6, 0x46 } },
    { 64, { 0xea, 0x13, 0x87, 0x74, 0x8c, 0x70, 0xa7, 0x95, 0x48, 0xf4, 0xe1,
            0x94, 0x53, 0xca, 0xcf, 0x84, 0xe6, 0xea, 0xdf, 0x88, 0xbe, 0xb5,
            0x51, 0x1a, 0xd5, 0x31, 0x81, 0x27, 0x1c, 0x6f, 0x40, 0xe5 } },
    { 65, { 0xf4, 0x0d, 0x1a, 0xfe, 0xdd, 0x62, 0x65, 0x43, 0x7e, 0x1c, 0xc4,
            0x9a, 0x2b, 0xae, 0x67, 0xc3, 0xbf, 0x93, 0x6f, 0x84, 0x95, 0x6e,
            0xf2, 0xd5, 0x48, 0xe0, 0xa3, 0x23, 0xdf, 0x58, 0xaa, 0x59 } },
    { 255, { 0xad, 0x42, 0x86, 0xd0, 0xcb, 0x75, 0x44, 0xfe, 0x3b, 0x1c, 0x1a,
             0xff, 0x31, 0xb8, 0xa9, 0xaa, 0x3b, 0x60, 0x76, 0xd9, 0xa2, 0xc6,
             0xb4, 0xbb, 0xdb, 0x79, 0x75, 0xba, 0x7f, 0x74, 0x08, 0xa1 } },
    { 1024, { 0xc7, 0x95, 0xe9, 0xac, 0x66, 0xad, 0x49, 0x54, 0x0e, 0x9c, 0xe4,
              0x3e, 0xfc, 0xc6, 0xda, 0x14, 0x2c, 0x61, 0xc1, 0xe6, 0x05, 0x1f,
              0x06, 0x08, 0xbb, 0x10, 0x9c, 0x14, 0xd2, 0x4e, 0x4e, 0xbb } },
};

static void test_blake2s_lengths(void **state)
{
    uint8_t in[1024], out[32];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        selftest_seq(in, lengths[i].len, (uint32_t)lengths[i].len);
        for (size_t piece = 1; piece < 1100; piece += 21) {
            digest_of(in, lengths[i].len, piece, out);
            assert_memory_equal(out, lengths[i].digest, 32);
        }
    }
}

/* ---- the pool: on a machine whose generator and firmware the test is ---- */

static uint32_t words_there;
static uint64_t next_word;
static bool stuck;
static unsigned asked;

uint32_t arch_entropy(uint64_t *words, uint32_t n, const char **name)
{
    uint32_t got = n < words_there ? n : words_there;

    asked++;
    for (uint32_t i = 0; i < got; i++)
        words[i] = stuck ? 0x1234 : ++next_word;
    if (got)
        *name = "the test";
    return got;
}

static struct boot_info bi;

/*
 * In the order of a boot without any generator; there is one pool, and it never forgets, so that
 * all of it is one test.
 */
static void test_not_seeded(void **state)
{
    static const uint8_t clock[64] = "2026-01-01 00:00:00, the stick's serial number";
    uint8_t a[8] = { 0 }, zero[8] = { 0 };

    (void)state;
    random_init(&bi);
    assert_int_equal(random_start(), 0);
    assert_false(random_ready());
    assert_int_equal(random_fill(&random_own, a, sizeof a), -EAGAIN);
    assert_memory_equal(a, zero, sizeof a);
    for (unsigned i = 0; i < 1000; i++)
        random_add(clock, sizeof clock, 0);
    assert_false(random_ready());
    words_there = 8;
    stuck = true; /* a broken generator */
    random_init(&bi);
    assert_false(random_ready());
    words_there = 0;
    stuck = false;
    for (uint64_t t = 0; t < 1000000; t += 1000) /* a clock's interrupts, exactly in time */
        random_interrupt(t);
    assert_false(random_ready());
}

/* Of eight irregular interrupts, at most two bits are counted. */
static void test_seeded_by_interrupts(void **state)
{
    uint64_t t = 0, x = 1;
    unsigned n = 0;

    (void)state;
    for (; !random_ready() && n < 100000; n++) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        t += 1000 + (x >> 40);
        random_interrupt(t);
    }
    assert_in_range(n, 4 * RANDOM_BITS, 5 * RANDOM_BITS);
    assert_true(random_ready());
}

static void test_firmware_is_wiped(void **state)
{
    static const uint8_t zero[sizeof bi.random];

    (void)state;
    memset(bi.random, 0xa5, sizeof bi.random);
    bi.random_bytes = sizeof bi.random;
    random_init(&bi);
    assert_memory_equal(bi.random, zero, sizeof zero);
    assert_int_equal(bi.random_bytes, 0);
}

static struct random_stream one, two;

static void test_stream(void **state)
{
    uint8_t a[1000] = { 0 }, b[1000] = { 0 };
    unsigned count[256] = { 0 };

    (void)state;
    random_stream_init(&one);
    random_stream_init(&two);
    assert_int_equal(random_fill(&one, a, 999), 0);
    assert_int_equal(random_fill(&one, b, 1), 0);
    assert_int_equal(a[999], 0);
    assert_int_equal(random_fill(&one, b, sizeof b), 0);
    assert_memory_not_equal(a, b, 32);
    for (unsigned i = 0; i < 999; i++)
        count[a[i]]++;
    for (unsigned i = 0; i < 256; i++)
        assert_in_range(count[i], 0, 30);
}

/*
 * Streams have nothing in common, also where nothing new came in between; a guest that begins again
 * gets another one.
 */
static void test_streams_are_apart(void **state)
{
    struct random_stream before;
    uint8_t a[64], b[64];

    (void)state;
    random_stream_init(&one);
    random_stream_init(&two);
    assert_int_equal(random_fill(&one, a, sizeof a), 0);
    assert_int_equal(random_fill(&two, b, sizeof b), 0);
    assert_memory_not_equal(a, b, sizeof a);
    assert_memory_not_equal(one.key, two.key, sizeof one.key);
    before = one;
    random_forget(&one);
    for (unsigned i = 0; i < sizeof one.key; i++)
        assert_int_equal(one.key[i] | one.out[i], 0);
    assert_int_equal(random_fill(&one, b, sizeof b), 0);
    assert_memory_not_equal(one.key, before.key, sizeof before.key);
    assert_memory_not_equal(a, b, sizeof a);
}

/*
 * What was given out is no more in the state, and cannot be computed from it: the key is not the
 * one that made it.
 */
static void test_erasure(void **state)
{
    static const uint8_t nonce[12] = "trivet";
    uint8_t out[32], key[32], block[64];

    (void)state;
    random_stream_init(&one);
    assert_int_equal(random_fill(&one, out, 1), 0);
    memcpy(key, one.key, sizeof key);
    assert_int_equal(random_fill(&one, out, 31), 0);
    for (unsigned i = 0; i < 32; i++)
        assert_int_equal(one.out[i], 0);
    assert_int_equal(random_fill(&one, out, 32), 0);
    chacha20_block(key, 0, nonce, block);
    assert_memory_equal(out, block + 32, 32); /* the generator is what it says */
    assert_memory_equal(one.key, block, 32);
    assert_memory_not_equal(one.key, key, 32);
}

/* After many blocks the CPU's generator is asked again. */
static void test_reseed(void **state)
{
    uint8_t out[4096];

    (void)state;
    random_stream_init(&one);
    assert_int_equal(random_fill(&one, out, 1), 0);
    asked = 0;
    for (unsigned i = 0; i < 4096 * 32 / sizeof out + 1; i++)
        assert_int_equal(random_fill(&one, out, sizeof out), 0);
    assert_int_equal(asked, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_block),
        cmocka_unit_test(test_zero),
        cmocka_unit_test(test_blake2s),
        cmocka_unit_test(test_blake2s_lengths),
        cmocka_unit_test(test_not_seeded),
        cmocka_unit_test(test_seeded_by_interrupts),
        cmocka_unit_test(test_firmware_is_wiped),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_streams_are_apart),
        cmocka_unit_test(test_erasure),
        cmocka_unit_test(test_reseed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
