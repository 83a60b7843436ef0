/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memcpy: every length up to where the way of copying does not change any more, at every alignment;
 * and nothing beside it is written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

enum { LONGEST = 600, AROUND = 16 };
void *trivet_memcpy(void *to, const void *from, size_t n);

static void test_all_lengths(void **state)
{
    static uint8_t from[LONGEST + 2 * AROUND], to[LONGEST + 2 * AROUND], want[LONGEST + 2 * AROUND];

    (void)state;
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (uint8_t)(i * 7 + i / 251 + 1);
    for (size_t n = 0; n <= LONGEST; n++)
        for (size_t at = 0; at < AROUND; at++) {
            size_t src = (at * 5 + n) % AROUND;

            memset(to, 0xee, sizeof to);
            memset(want, 0xee, sizeof want);
            memcpy(want + at, from + src, n);
            assert_ptr_equal(trivet_memcpy(to + at, from + src, n), to + at);
            assert_memory_equal(to, want, sizeof to);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_all_lengths) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
