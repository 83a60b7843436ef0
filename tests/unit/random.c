#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <hv/random.h>

/* RFC 8439 §2.3.2 */
static void test_block(void **state)
{
    static const uint8_t nonce[12] = { 0, 0, 0, 9, 0, 0, 0, 0x4a };
    static const uint8_t want[64] = {
        0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15, 0x50, 0x0f, 0xdd, 0x1f, 0xa3, 0x20, 0x71, 0xc4,
        0xc7, 0xd1, 0xf4, 0xc7, 0x33, 0xc0, 0x68, 0x03, 0x04, 0x22, 0xaa, 0x9a, 0xc3, 0xd4, 0x6c, 0x4e,
        0xd2, 0x82, 0x64, 0x46, 0x07, 0x9f, 0xaa, 0x09, 0x14, 0xc2, 0xd7, 0x05, 0xd9, 0x8b, 0x02, 0xa2,
        0xb5, 0x12, 0x9c, 0xd1, 0xde, 0x16, 0x4e, 0xb9, 0xcb, 0xd0, 0x83, 0xe8, 0xa2, 0x50, 0x3c, 0x4e,
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
    static const uint8_t zero[32], want[16] = { 0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90, 0x40, 0x5d, 0x6a, 0xe5, 0x53, 0x86, 0xbd, 0x28 };
    uint8_t out[64];

    (void)state;
    chacha20_block(zero, 0, zero, out);
    assert_memory_equal(out, want, sizeof want);
}

static void test_stream(void **state)
{
    uint8_t a[1000] = { 0 }, b[1000] = { 0 };
    unsigned count[256] = { 0 };

    (void)state;
    hv_random_fill(a, 999);
    hv_random_fill(b, 1);
    assert_int_equal(a[999], 0);
    hv_random_fill(b, sizeof b);
    assert_memory_not_equal(a, b, 32);
    for (unsigned i = 0; i < 999; i++)
        count[a[i]]++;
    for (unsigned i = 0; i < 256; i++)
        assert_in_range(count[i], 0, 30);
    assert_int_not_equal(hv_random(), hv_random());
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_block), cmocka_unit_test(test_zero), cmocka_unit_test(test_stream) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
