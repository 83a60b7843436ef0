/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <hv/io.h>
#include <hv/vm.h>
#include <string.h>

struct dev {
    uint64_t off, val, reads, writes;
    unsigned size;
    int err;
};

static struct vm vm;

static int dev_read(void *p, uint64_t off, unsigned size, uint64_t *val)
{
    struct dev *d = p;

    d->off = off;
    d->size = size;
    d->reads++;
    *val = d->val;
    return d->err;
}

static int dev_write(void *p, uint64_t off, unsigned size, uint64_t val)
{
    struct dev *d = p;

    d->off = off;
    d->size = size;
    d->val = val;
    d->writes++;
    return d->err;
}

static const struct io_ops ops = { .read = dev_read, .write = dev_write, .sizes = 1 | 2 | 4 };

static int add(enum io_space space, uint64_t base, uint64_t len, struct dev *d)
{
    struct io_region r = {
        .name = "test", .space = space, .base = base, .len = len, .ops = &ops, .dev = d
    };

    return io_register(&vm, &r);
}

static uint64_t get(enum io_space space, uint64_t addr, uint8_t size, int want)
{
    struct io_access a = { .addr = addr, .size = size, .val = 0x1122334455667788 };

    assert_int_equal(io_dispatch(&vm, space, &a), want);
    return a.val;
}

static int setup(void **state)
{
    (void)state;
    memset(&vm, 0, sizeof vm);
    return io_init(&vm);
}

static int teardown(void **state)
{
    (void)state;
    io_fini(&vm);
    return vm.io != NULL;
}

static void test_finds(void **state)
{
    struct dev d[3] = { { .val = 0xa1a2a3a4a5a6a7a8 }, { .val = 0xb1 }, { .val = 0xc1 } };

    (void)state;
    assert_int_equal(add(IO_MEM, 0x2000, 0x1000, &d[1]), 0);
    assert_int_equal(add(IO_MEM, 0x1000, 0x1000, &d[0]), 0);
    assert_int_equal(add(IO_MEM, 0x5000, 4, &d[2]), 0);
    assert_int_equal(get(IO_MEM, 0x1ffc, 4, 0), 0xa5a6a7a8); /* masked to the size */
    assert_int_equal(d[0].off, 0xffc);
    assert_int_equal(get(IO_MEM, 0x2000, 1, 0), 0xb1);
    assert_int_equal(d[1].off, 0);
    assert_int_equal(get(IO_MEM, 0x5003, 1, 0), 0xc1);
    assert_int_equal(get(IO_MEM, 0x0fff, 1, -ENOENT), 0xff);
    assert_int_equal(get(IO_MEM, 0x3000, 2, -ENOENT), 0xffff);
    assert_int_equal(get(IO_MEM, UINT64_MAX, 8, -ENOENT), UINT64_MAX);
    assert_int_equal(get(IO_PORT, 0x1000, 4, -ENOENT), 0xffffffff);
}

/* What a device does not take never reaches it: sizes, and accesses that cross its end. */
static void test_refuses(void **state)
{
    struct dev d = { .val = 1 };

    (void)state;
    assert_int_equal(add(IO_MEM, 0x1000, 0x10, &d), 0);
    assert_int_equal(get(IO_MEM, 0x1000, 8, 0), UINT64_MAX);
    assert_int_equal(get(IO_MEM, 0x100d, 4, 0), 0xffffffff);
    assert_int_equal(d.reads, 0);
    assert_int_equal(get(IO_MEM, 0x100c, 4, 0), 1);
    d.err = -EIO;
    assert_int_equal(get(IO_MEM, 0x100c, 2, -EIO), 0xffff);
}

static void test_write(void **state)
{
    struct dev d = { 0 };
    struct io_access a = { .addr = 0x13f9, .val = 0xffffff41, .size = 1, .write = true };

    (void)state;
    assert_int_equal(add(IO_PORT, 0x3f8, 8, &d), 0);
    a.addr = 0x103f9; /* ports wrap */
    assert_int_equal(io_dispatch(&vm, IO_PORT, &a), 0);
    assert_int_equal(d.val, 0x41);
    assert_int_equal(d.off, 1);
    a.addr = 0x400;
    assert_int_equal(io_dispatch(&vm, IO_PORT, &a), -ENOENT);
    assert_int_equal(d.writes, 1);
}

/* What a PC's bus does with an access wider than the device, or that reaches beyond it. */
static void test_split(void **state)
{
    static const struct io_ops byte_ops = { .read = dev_read, .write = dev_write, .sizes = 1 };
    struct dev d[3] = { { .val = 0xa1 }, { .val = 0xb1 }, { .val = 0xc1c2 } };
    struct io_access w = { .addr = 0x70, .size = 2, .write = true, .val = 0x3344 };

    (void)state;
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(
            io_register(&vm, &(struct io_region){ "byte", IO_PORT, 0x70 + i, 1, &byte_ops, &d[i] }),
            0);
    assert_int_equal(add(IO_PORT, 0x72, 2, &d[2]), 0);
    assert_int_equal(get(IO_PORT, 0x70, 2, 0), 0xb1a1);
    assert_int_equal(get(IO_PORT, 0x70, 4, 0), 0xc1c2b1a1);
    /* a half that fits stays whole */
    assert_int_equal(d[2].size, 2);
    assert_int_equal(get(IO_PORT, 0x71, 2, 0), 0xc2b1);
    assert_int_equal(get(IO_PORT, 0x6f, 2, 0), 0xa1ff);
    assert_int_equal(get(IO_PORT, 0x73, 2, 0), 0xffc2);
    assert_int_equal(get(IO_PORT, 0x80, 4, -ENOENT), 0xffffffff);
    assert_int_equal(io_dispatch(&vm, IO_PORT, &w), 0);
    assert_int_equal(d[0].val, 0x44);
    assert_int_equal(d[1].val, 0x33);
    assert_int_equal(w.val, 0x3344);
}

static void test_overlap(void **state)
{
    struct dev d = { 0 };

    (void)state;
    assert_int_equal(add(IO_MEM, 0x1000, 0x1000, &d), 0);
    assert_int_equal(add(IO_MEM, 0x1000, 0x1000, &d), -EEXIST);
    assert_int_equal(add(IO_MEM, 0x1fff, 1, &d), -EEXIST);
    assert_int_equal(add(IO_MEM, 0xfff, 2, &d), -EEXIST);
    assert_int_equal(add(IO_MEM, 0x0, 0x10000, &d), -EEXIST);
    assert_int_equal(add(IO_MEM, 0xfff, 1, &d), 0);
    assert_int_equal(add(IO_MEM, 0x2000, 1, &d), 0);
    assert_int_equal(add(IO_MEM, 0x3000, 0, &d), -EINVAL);
    assert_int_equal(add(IO_MEM, UINT64_MAX, 2, &d), -EINVAL);
    assert_int_equal(add(IO_PORT, 0xffff, 2, &d), -EINVAL);
    assert_int_equal(io_unregister(&vm, IO_MEM, 0x1001), -ENOENT);
    assert_int_equal(io_unregister(&vm, IO_MEM, 0x1000), 0);
    assert_int_equal(get(IO_MEM, 0x1000, 1, -ENOENT), 0xff);
    assert_int_equal(get(IO_MEM, 0x2000, 1, 0), 0);
}

/* The hint of the last hit must not outlive the region. */
static void test_moves(void **state)
{
    struct dev a = { .val = 1 }, b = { .val = 2 };

    (void)state;
    assert_int_equal(add(IO_MEM, 0x1000, 0x1000, &a), 0);
    assert_int_equal(add(IO_MEM, 0x2000, 0x1000, &b), 0);
    assert_int_equal(get(IO_MEM, 0x2800, 1, 0), 2);
    assert_int_equal(io_unregister(&vm, IO_MEM, 0x2000), 0);
    assert_int_equal(get(IO_MEM, 0x2800, 1, -ENOENT), 0xff);
    assert_int_equal(add(IO_MEM, 0x800, 0x100, &b), 0);
    assert_int_equal(get(IO_MEM, 0x1800, 1, 0), 1);
    assert_int_equal(get(IO_MEM, 0x880, 1, 0), 2);
    assert_int_equal(b.off, 0x80);
}

static void test_full(void **state)
{
    struct dev d = { .val = 7 };
    unsigned n = 0;

    (void)state;
    while (n < 10000 && add(IO_MEM, 0x100000 - n * 16ull, 8, &d) == 0)
        n++;
    assert_in_range(n, 64, 1000);
    assert_int_equal(add(IO_MEM, 0x200000, 8, &d), -ENOSPC);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(get(IO_MEM, 0x100000 - i * 16ull + 4, 4, 0), 7);
        assert_int_equal(get(IO_MEM, 0x100000 - i * 16ull + 8, 4, -ENOENT), 0xffffffff);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = { T(test_finds),   T(test_refuses), T(test_write),
                                        T(test_overlap), T(test_split),   T(test_moves),
                                        T(test_full) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
