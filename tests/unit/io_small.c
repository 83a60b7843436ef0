/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The look-up of trapped addresses in a small world, all of it: up to three regions in seven places
 * at the beginning, in the middle and at the end of a space, registered in any order, with the hint
 * of the last hit at any place; accesses of each size in and around them. What a plain search finds
 * says what must come of each. Then a region goes, the hint stays, and all is asked again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <hv/vm.h>
#include <string.h>
#include "hv/vm/io.c"

enum { PLACES = 7, MOST = 3, AROUND = 9 };
/* Without padding: it is compared byte by byte. */
struct call {
    uint64_t dev, off, val;
    uint32_t size, write;
};
struct calls {
    unsigned n;
    struct call call[8];
};

static struct vm vm;
static struct io_table *table;
static struct io_region region[MOST]; /* as they are registered; len 0: not */
static unsigned number[MOST] = { 0, 1, 2 };
static struct calls done;
static unsigned long cases;

static uint64_t answer(unsigned dev, uint64_t off) { return 0x1122334455667788 + (dev << 4) + off; }

static void note(struct calls *c, struct call call)
{
    assert_in_range(c->n, 0, ARRAY_SIZE(c->call) - 1);
    c->call[c->n++] = call;
}

static int dev_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    const unsigned *n = dev;

    note(&done, (struct call){ *n, off, 0, size, false });
    *val = answer(*n, off);
    return 0;
}

static int dev_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    const unsigned *n = dev;

    note(&done, (struct call){ *n, off, val, size, true });
    return 0;
}

/* The devices differ in what they take. */
static const struct io_ops ops[MOST] = { { dev_read, dev_write, 1 | 2 | 4 | 8 },
                                         { dev_read, dev_write, 1 },
                                         { dev_read, dev_write, 2 | 4 } };

/* ---- what must come of it ---- */

static unsigned at(enum io_space space, uint64_t addr)
{
    unsigned i = 0;

    while (i < MOST && !(region[i].len && region[i].space == space && addr >= region[i].base &&
                         addr - region[i].base < region[i].len))
        i++;
    return i;
}

static uint64_t ones(unsigned size) { return UINT64_MAX >> (64 - 8 * size); }

/* Is there a region at one of the places that an access covers? */
static bool covers(uint64_t addr, unsigned size)
{
    bool any = false;

    for (unsigned i = 0; i < size; i++)
        any |= addr + i <= 0xffff && at(IO_PORT, addr + i) < MOST;
    return any;
}

static int expect(enum io_space space, struct io_access *a, struct calls *c)
{
    uint64_t addr = space == IO_PORT ? a->addr & 0xffff : a->addr;
    unsigned i = at(space, addr), half = a->size / 2u;
    struct io_access part[2];
    int err[2];

    if (i < MOST && (ops[i].sizes & a->size) &&
        region[i].len - (addr - region[i].base) >= a->size) {
        uint64_t off = addr - region[i].base;

        note(c, (struct call){ i, off, a->write ? a->val & ones(a->size) : 0, a->size, a->write });
        if (!a->write)
            a->val = answer(i, off) & ones(a->size);
        return 0;
    }
    if (space == IO_MEM || a->size == 1 || !covers(addr, a->size)) {
        if (!a->write)
            a->val = ones(a->size);
        return i < MOST ? 0 : -ENOENT;
    }
    for (unsigned n = 0; n < 2; n++) {
        part[n] = (struct io_access){ .addr = addr + n * half,
                                      .size = (uint8_t)half,
                                      .write = a->write,
                                      .val = a->val >> (8 * half * n) };
        err[n] = expect(space, &part[n], c);
    }
    if (!a->write)
        a->val = (part[0].val & ones(half)) | (part[1].val & ones(half)) << (8 * half);
    return err[0] == -ENOENT ? err[1] : 0;
}

/* ---- what comes ---- */

static void one(enum io_space space, uint64_t addr, uint8_t size, bool write)
{
    struct io_access a = { .addr = addr, .size = size, .write = write, .val = 0x8877665544332211 },
                     e = a;
    struct calls want = { 0 };
    int err = expect(space, &e, &want);

    done.n = 0;
    assert_int_equal(io_dispatch(&vm, space, &a), err);
    assert_int_equal(a.val, e.val);
    assert_int_equal(done.n, want.n);
    assert_memory_equal(done.call, want.call, done.n * sizeof done.call[0]);
    assert_in_range(table->last, 0, IO_REGIONS_MAX - 1);
    cases++;
}

static void look_around(enum io_space space, uint64_t first)
{
    uint32_t hints = table->n + 1; /* one that no region has any more */

    for (uint32_t hint = 0; hint <= hints; hint++)
        for (unsigned i = 0; i < PLACES + 2 * AROUND; i++)
            for (uint8_t size = 1; size <= (space == IO_PORT ? 4 : 8); size *= 2) {
                table->last = hint < hints ? hint : IO_REGIONS_MAX - 1;
                one(space, first - AROUND + i, size, (hint + i) & 1);
            }
}

static void check_sorted(void)
{
    for (uint32_t i = 1; i < table->n; i++)
        assert_true(table->region[i - 1].base + table->region[i - 1].len <= table->region[i].base);
    assert_int_equal(table->seq % 2, 0);
}

/* Takes one away; what a look finds does not depend on what was found before. */
static void take_away(enum io_space space, uint64_t first, unsigned i)
{
    struct io_region was = region[i];

    assert_int_equal(io_unregister(&vm, space, was.base), 0);
    region[i].len = 0;
    check_sorted();
    look_around(space, first);
    assert_int_equal(io_unregister(&vm, space, was.base), -ENOENT);
    region[i] = was;
    assert_int_equal(io_register(&vm, &was), 0);
    assert_int_equal(io_register(&vm, &was), -EEXIST);
}

/* A further region of any place and length is taken where nothing is, and nowhere else. */
static void try_each(enum io_space space, uint64_t first)
{
    struct io_region r = { "more", space, 0, 0, &ops[0], &number[0] };

    for (unsigned from = 0; from < PLACES; from++)
        for (r.len = 1; from + r.len <= PLACES; r.len++) {
            bool taken = false;

            r.base = first + from;
            for (uint64_t i = 0; i < r.len; i++)
                taken |= at(space, r.base + i) < MOST;
            assert_int_equal(io_register(&vm, &r), taken ? -EEXIST : 0);
            assert_int_equal(taken ? 0 : io_unregister(&vm, space, r.base), 0);
        }
}

static void set_of_regions(enum io_space space, uint64_t first, unsigned n)
{
    table = &vm.io->table[space];
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(io_register(&vm, &region[i]), 0);
    assert_int_equal(table->n, n);
    check_sorted();
    look_around(space, first);
    try_each(space, first);
    for (unsigned i = 0; i < n; i++)
        take_away(space, first, i);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(io_unregister(&vm, space, region[i].base), 0);
    assert_int_equal(table->n, 0);
}

/* Every way to put region i and those after it into places that are free (a bit each). */
static void each_way(enum io_space space, uint64_t first, unsigned i, unsigned used)
{
    set_of_regions(space, first, i);
    for (unsigned from = 0; i < MOST && from < PLACES; from++)
        for (unsigned len = 1; from + len <= PLACES; len++) {
            unsigned mine = ((1u << len) - 1) << from;

            if (mine & used)
                break;
            region[i] =
                (struct io_region){ "small", space, first + from, len, &ops[i], &number[i] };
            each_way(space, first, i + 1, used | mine);
            region[i].len = 0;
        }
}

static void test_all(void **state)
{
    static const struct {
        enum io_space space;
        uint64_t first;
    } world[] = { { IO_MEM, 0 },
                  { IO_MEM, UINT64_MAX - PLACES },
                  { IO_PORT, 0 },
                  { IO_PORT, 0x10000 - PLACES } };

    (void)state;
    memset(&vm, 0, sizeof vm);
    assert_int_equal(io_init(&vm), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(world); i++)
        each_way(world[i].space, world[i].first, 0, 0);
    io_fini(&vm);
    print_message("%lu accesses\n", cases);
    assert_in_range(cases, 1000000, UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_all) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
