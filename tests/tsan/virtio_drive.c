/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A whole virtio device under a hostile driver, its CPU on a thread of its own, with operations
 * from a fixed sequence of random numbers: tests/fuzz/virtio_dev.h under ThreadSanitizer. Guest RAM
 * is exempt: a guest may write it whenever it likes, which is why the code copies first.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/fuzz/virtio_dev.h"
#include "tests/fuzz/virtio_threads.h"

enum { RUNS = 300 };
void AnnotateBenignRaceSized(const char *file, int line, const volatile void *mem, size_t size,
                             const char *why);

static void test_drive(void **state)
{
    uint8_t data[1 + OP_LEN * OPS_MAX];
    unsigned seed = 1;
    pthread_t thread;

    (void)state;
    fake_cpus = 2;
    fake_up();
    fake_down();
    for (unsigned i = 0; i < 2; i++)
        AnnotateBenignRaceSized(__FILE__, __LINE__, half[i], HALF, "the guest's own memory");
    assert_int_equal(pthread_create(&thread, NULL, cpu1, NULL), 0);
    for (unsigned run = 0; run < RUNS; run++) {
        for (unsigned i = 0; i < sizeof data; i++)
            data[i] = (uint8_t)(rand_r(&seed) >> 8);
        data[0] = (uint8_t)run;
        one_run(data, sizeof data);
    }
    __atomic_store_n(&cpu1_goes, 3, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_drive) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
