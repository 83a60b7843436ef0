/* Counting bits with general registers only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(as_counted_slowly) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
