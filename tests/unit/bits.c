/* SPDX-License-Identifier: BSD-2-Clause */
/* Counting bits with general registers only; masking an index. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <hv/nospec.h>

int __popcountdi2(int64_t);
int __paritydi2(int64_t);

static int slowly(uint64_t v)
{
    int n = 0;

    for (; v; v >>= 1)
        n += (int)(v & 1);
    return n;
}

static void as_counted_slowly(void **state)
{
    uint64_t v = 0x9e3779b97f4a7c15ull;

    (void)state;
    assert_int_equal(__popcountdi2(0), 0);
    assert_int_equal(__popcountdi2(-1), 64);
    for (int i = 0; i < 10000; i++) {
        uint64_t x = i < 64 ? 1ull << i : v >> i % 64;

        assert_int_equal(__popcountdi2((int64_t)x), slowly(x));
        assert_int_equal(__paritydi2((int64_t)x), slowly(x) & 1);
        v = v * 6364136223846793005ull + 1442695040888963407ull;
    }
}

static void index_is_kept_or_0(void **state)
{
    static const uint64_t n[] = { 0,  1,    2,          3,          8,         31,
                                  32, 1000, 1ull << 31, 1ull << 32, INT64_MAX, 1ull << 63 };
    static const uint64_t far[] = { UINT32_MAX, 1ull << 32,     INT64_MAX,
                                    1ull << 63, UINT64_MAX - 1, UINT64_MAX };

    (void)state;
    for (unsigned k = 0; k < ARRAY_SIZE(n); k++) {
        for (int64_t d = -4; d < 40; d++) {
            uint64_t near = n[k] + (uint64_t)d, low = (uint64_t)d;

            assert_int_equal(index_nospec(near, n[k]), near < n[k] ? near : 0);
            assert_int_equal(equal_nospec(~near, near, n[k]), near == n[k] ? ~near : 0);
            assert_int_equal(equal_nospec(~near, near, near), ~near);
            assert_int_equal(index_nospec(low, n[k]), low < n[k] ? low : 0);
        }
        for (unsigned i = 0; i < ARRAY_SIZE(far); i++)
            assert_int_equal(index_nospec(far[i], n[k]), far[i] < n[k] ? far[i] : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_counted_slowly),
        cmocka_unit_test(index_is_kept_or_0),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
