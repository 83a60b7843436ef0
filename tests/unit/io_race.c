/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Regions come and go while vCPUs on other CPUs dispatch: each access reaches the device of its
 * address at the right offset, or nobody.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <hv/io.h>
#include <hv/vm.h>

#include "arch/host/host.h"

enum { DEVICES = 24, STEP = 0x1000, READERS = 3, CHANGES = 60000 };
struct dev {
    uint64_t base, len;
};

static struct vm vm;
static struct dev devs[DEVICES];
static uint32_t stop, answered, nobody, wrong;

static int dev_read(void *p, uint64_t off, unsigned size, uint64_t *val)
{
    const struct dev *d = p;

    (void)size;
    *val = d->base + off;
    return off < d->len ? 0 : -ENXIO;
}

static const struct io_ops ops = { .read = dev_read, .sizes = 1 | 2 | 4 | 8 };

/* Odd devices stay; even ones go and return, sometimes with another length. */
static void *change(void *arg)
{
    unsigned seed = 1;
    bool there[DEVICES] = { false };

    host_cpu = 0;
    for (unsigned n = 0; n < CHANGES; n++) {
        unsigned i = (unsigned)rand_r(&seed) % DEVICES & ~1u;
        struct io_region r = { .name = "test",
                               .space = IO_MEM,
                               .base = devs[i].base,
                               .len = devs[i].len,
                               .ops = &ops,
                               .dev = &devs[i] };
        int e = there[i] ? io_unregister(&vm, IO_MEM, r.base) : io_register(&vm, &r);

        if (e)
            __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
        there[i] = !there[i];
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    return arg;
}

static void *dispatch(void *arg)
{
    unsigned seed = 100 + (unsigned)(uintptr_t)arg;

    host_cpu = (uint32_t)(uintptr_t)arg;
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
        unsigned i = (unsigned)rand_r(&seed) % DEVICES;
        struct io_access a = { .addr = devs[i].base + (unsigned)rand_r(&seed) % (STEP - 8),
                               .size = 8 };
        bool in = a.addr - devs[i].base + 8 <= devs[i].len;
        int e = io_dispatch(&vm, IO_MEM, &a);

        if (e == 0 && in)
            __atomic_fetch_add(a.val == a.addr ? &answered : &wrong, 1, __ATOMIC_RELAXED);
        else if (e == -ENOENT && (i % 2 == 0 || !in))
            __atomic_fetch_add(&nobody, 1, __ATOMIC_RELAXED);
        else if (e || in)
            __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
    }
    return arg;
}

static void test_race(void **state)
{
    pthread_t writer, reader[READERS];

    (void)state;
    host_init(1 + READERS, 0);
    assert_int_equal(io_init(&vm), 0);
    for (unsigned i = 0; i < DEVICES; i++) {
        devs[i] =
            (struct dev){ .base = 0x10000000 + (uint64_t)i * STEP, .len = i % 3 ? STEP : STEP / 2 };
        if (i % 2)
            assert_int_equal(io_register(&vm, &(struct io_region){ "stays", IO_MEM, devs[i].base,
                                                                   devs[i].len, &ops, &devs[i] }),
                             0);
    }
    for (uintptr_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&reader[i], NULL, dispatch, (void *)(i + 1)), 0);
    assert_int_equal(pthread_create(&writer, NULL, change, NULL), 0);
    pthread_join(writer, NULL);
    for (unsigned i = 0; i < READERS; i++)
        pthread_join(reader[i], NULL);
    print_message("%u answered, %u by nobody\n", answered, nobody);
    assert_int_equal(wrong, 0);
    assert_true(answered > 1000);
    assert_true(nobody > 100);
    io_fini(&vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_race) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
