/* SPDX-License-Identifier: BSD-2-Clause */
/* Each key is new once, to one of several threads, and only the first keys are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <hv/seen.h>
#include <pthread.h>

static struct seen set;

static void test_first_keys(void **state)
{
    (void)state;
    set = (struct seen){ .key = { 0 } };
    for (uint64_t round = 0; round < 3; round++)
        for (uint64_t key = 0; key < 2 * SEEN_MAX; key++)
            assert_int_equal(seen_first(&set, key << 40), round == 0 && key < SEEN_MAX);
}

static void *look(void *news)
{
    for (unsigned i = 0; i < 200 * SEEN_MAX; i++)
        *(unsigned *)news += seen_first(&set, i / 200);
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t t[4];
    unsigned news[4] = { 0 };

    (void)state;
    set = (struct seen){ .key = { 0 } };
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, look, &news[i]), 0);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(news[0] + news[1] + news[2] + news[3], SEEN_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_first_keys),
                                        cmocka_unit_test(test_threads) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
