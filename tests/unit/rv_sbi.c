/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SBI's remote fences: which harts they reach, and what those forget; arguments that mean nothing;
 * and the queue that they wait in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/rv_board.h"

#define HARTS 4
#define PAGES 256
#define RFENCE 0x52464e43
#define INVALID_PARAM ((uint64_t)-3)
#define INVALID_ADDRESS ((uint64_t)-5)
#define NOT_SUPPORTED ((uint64_t)-2)

static struct rv_machine m;
static struct rvm_host host;
static struct {
    unsigned hart;
    bool code;
    struct rv_fence f;
} asked[64];
static unsigned n_asked;

static void note(void *ctx, unsigned n, const struct rv_fence *f)
{
    (void)ctx;
    assert_in_range(n, 0, HARTS - 1);
    asked[n_asked].hart = n;
    asked[n_asked].code = !f;
    if (f)
        asked[n_asked].f = *f;
    n_asked++;
}

static int make(void **state)
{
    (void)state;
    n_asked = 0;
    host = (struct rvm_host){ .fence = note };
    rv_board_make(&m, &host, HARTS, PAGES * DBT_PAGE, true);
    for (unsigned n = 0; n < HARTS - 1; n++) /* the last one is stopped */
        rvm_start(&m, n, RVM_RAM, n, 0);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    rv_board_drop(&m);
    return 0;
}

static uint64_t fence(uint64_t function, uint64_t mask, uint64_t base, uint64_t at, uint64_t bytes)
{
    uint64_t *x = m.hart[0]->cpu.x;

    n_asked = 0;
    x[17] = RFENCE;
    x[16] = function;
    x[10] = mask;
    x[11] = base;
    x[12] = at;
    x[13] = bytes;
    x[14] = 0x12345;
    rvm_sbi(&m, m.hart[0]);
    return x[10];
}

static void is(unsigned k, unsigned hart, uint64_t va, uint32_t pages, uint32_t asid)
{
    assert_true(k < n_asked);
    assert_int_equal(asked[k].hart, hart);
    assert_false(asked[k].code);
    assert_int_equal(asked[k].f.va, va);
    assert_int_equal(asked[k].f.pages, pages);
    assert_int_equal(asked[k].f.asid, asid);
}

static void only_who_is_named(void **state)
{
    (void)state;
    assert_int_equal(fence(1, 2, 0, 0x5000, 0x2000), 0);
    assert_int_equal(n_asked, 1);
    is(0, 1, 0x5000, 2, RV_FENCE_ALL);
    assert_int_equal(fence(1, 1, 2, 0x5800, 0x1000), 0); /* hart 2; it touches two pages */
    assert_int_equal(n_asked, 1);
    is(0, 2, 0x5000, 2, RV_FENCE_ALL);
    assert_int_equal(fence(2, 0, UINT64_MAX, 0x5000, 1), 0); /* all, but the stopped one */
    assert_int_equal(n_asked, 3);
    is(2, 2, 0x5000, 1, 0x2345);
    assert_int_equal(fence(0, 6, 0, 0, 0), 0);
    assert_int_equal(n_asked, 2);
    assert_true(asked[0].code && asked[1].code);
    assert_int_equal(fence(1, 8, 0, 0, 0), 0); /* stopped */
    assert_int_equal(n_asked, 0);
}

/* Never more than 64 pages, wherever they are said to be. */
static void hostile_arguments(void **state)
{
    static const struct {
        uint64_t at, bytes;
    } whole[] = { { 0, 0 },
                  { 0, UINT64_MAX },
                  { 1, UINT64_MAX },
                  { 0x1fff, UINT64_MAX - 0xffe },
                  { 0x5000, RV_FENCE_PAGES * DBT_PAGE + 1 },
                  { 0x5001, RV_FENCE_PAGES * DBT_PAGE },
                  { UINT64_MAX, UINT64_MAX },
                  { 0x5000, 1ull << 63 } };

    (void)state;
    for (unsigned k = 0; k < ARRAY_SIZE(whole); k++) {
        assert_int_equal(fence(1, 1, 1, whole[k].at, whole[k].bytes), 0);
        assert_int_equal(n_asked, 1);
        is(0, 1, 0, 0, RV_FENCE_ALL);
        assert_int_equal(fence(2, 1, 1, whole[k].at, whole[k].bytes), 0);
        is(0, 1, 0, 0, 0x2345);
    }
    assert_int_equal(fence(1, 1, 1, UINT64_MAX & ~0xfffull, 0x3000), 0); /* around the end */
    is(0, 1, UINT64_MAX & ~0xfffull, 3, RV_FENCE_ALL);
    assert_int_equal(fence(1, 1, 1, 0x5000, RV_FENCE_PAGES * DBT_PAGE), 0);
    is(0, 1, 0x5000, RV_FENCE_PAGES, RV_FENCE_ALL);
    assert_int_equal(fence(1, 1, HARTS, 0, 0), INVALID_PARAM);
    assert_int_equal(fence(1, 2, HARTS - 1, 0, 0), INVALID_PARAM);
    assert_int_equal(fence(1, UINT64_MAX, 0, 0, 0), INVALID_PARAM);
    assert_int_equal(fence(1, 1, UINT64_MAX - 1, 0, 0), INVALID_PARAM);
    assert_int_equal(n_asked, 0);
    assert_int_equal(fence(3, 1, 0, 0, 0), NOT_SUPPORTED);
    assert_int_equal(fence(UINT64_MAX, 1, 0, 0, 0), NOT_SUPPORTED);
    assert_int_equal(n_asked, 0);
}

/* True: the hart had forgotten it, and walks. */
static bool forgot(unsigned n, uint64_t at)
{
    struct rv_hart *h = m.hart[n];
    uint64_t walks = h->mem.stats.walks, v;

    assert_int_equal(dbt_load(&h->mem, at, 8, &v), DBT_OK);
    return h->mem.stats.walks != walks;
}

static void touch(void)
{
    for (unsigned n = 0; n < 3; n++)
        for (unsigned k = 0; k < PAGES; k++)
            (void)forgot(n, RVM_RAM + k * DBT_PAGE);
}

/* All harts on one thread: done at once. */
static void what_is_forgotten(void **state)
{
    (void)state;
    host.fence = NULL;
    touch();
    assert_false(forgot(1, RVM_RAM));
    assert_int_equal(fence(1, 2, 0, RVM_RAM + 0x1000, 0x2000), 0);
    assert_false(forgot(1, RVM_RAM));
    assert_true(forgot(1, RVM_RAM + 0x1000));
    assert_true(forgot(1, RVM_RAM + 0x2000));
    assert_false(forgot(1, RVM_RAM + 0x3000));
    assert_false(forgot(0, RVM_RAM + 0x1000));
    assert_false(forgot(2, RVM_RAM + 0x1000));
    assert_int_equal(fence(1, 4, 0, 0, UINT64_MAX), 0);
    assert_true(forgot(2, RVM_RAM) && forgot(2, RVM_RAM + 0x7000));
    assert_false(forgot(1, RVM_RAM));
    touch();
    assert_int_equal(fence(2, 2, 0, 0, UINT64_MAX), 0); /* another address space than 0 */
    assert_false(forgot(1, RVM_RAM));
}

/* One of them may be in many places, so that a fence forgets all: at its first page. */
static void large_pages(void **state)
{
    const struct rv_fence f = { .va = RVM_RAM, .pages = RV_FENCE_PAGES, .asid = RV_FENCE_ALL };
    struct rv_hart *h = m.hart[1];
    uint64_t before;

    (void)state;
    touch();
    h->mem.large_first = RVM_RAM;
    h->mem.large_last = RVM_RAM + PAGES * DBT_PAGE - 1;
    before = h->mem.stats.contexts;
    rv_fence(h, &f);
    assert_int_equal(h->mem.stats.contexts, before + 1);
    assert_true(forgot(1, RVM_RAM) && forgot(1, RVM_RAM + (PAGES - 1) * DBT_PAGE));
}

static unsigned code_fences;

static void note_code(void *owner, struct rv_hart *h)
{
    (void)owner;
    assert_ptr_equal(h, m.hart[HARTS - 1]);
    code_fences++;
}

/* What was fenced while a hart was stopped, it has not heard of. */
static void a_start_fences_code(void **state)
{
    struct rv_hart *h = m.hart[HARTS - 1];
    struct rv_machine_ops ops = *h->machine;
    uint64_t *x = m.hart[0]->cpu.x;

    (void)state;
    ops.fence_i = note_code;
    h->machine = &ops;
    x[17] = 0x48534d; /* HSM */
    x[16] = 0;
    x[10] = HARTS - 1;
    x[11] = RVM_RAM + 1; /* no address of an instruction */
    code_fences = 0;
    rvm_sbi(&m, m.hart[0]);
    assert_int_equal(x[10], INVALID_ADDRESS);
    assert_int_equal(code_fences, 0);
    x[10] = HARTS - 1;
    x[11] = RVM_RAM;
    rvm_sbi(&m, m.hart[0]);
    assert_int_equal(x[10], 0);
    assert_int_equal(code_fences, 1);
}

static struct rv_fence one_page(unsigned k)
{
    return (struct rv_fence){ .va = RVM_RAM + k * DBT_PAGE, .pages = 1, .asid = RV_FENCE_ALL };
}

static unsigned forgotten(void)
{
    unsigned n = 0;

    for (unsigned k = 0; k < PAGES; k++)
        n += forgot(1, RVM_RAM + k * DBT_PAGE);
    return n;
}

/* One by one while they are few; nothing is lost when they are many. */
static void the_queue(void **state)
{
    struct rv_fences q = { .posted = UINT32_MAX - 3, .done = UINT32_MAX - 3 };
    struct rv_fence f;

    (void)state;
    touch();
    for (unsigned k = 0; k < RV_FENCES; k++) {
        f = one_page(k);
        rv_fences_post(&q, &f);
    }
    rv_fences_do(&q, m.hart[1]);
    assert_int_equal(forgotten(), RV_FENCES);
    rv_fences_do(&q, m.hart[1]);
    assert_int_equal(forgotten(), 0);
    for (unsigned k = 0; k <= RV_FENCES; k++) {
        f = one_page(k);
        rv_fences_post(&q, &f);
    }
    rv_fences_do(&q, m.hart[1]);
    assert_int_equal(forgotten(), PAGES);
    f = one_page(0);
    f.pages = RV_FENCE_PAGES / 2 + 1;
    rv_fences_post(&q, &f);
    rv_fences_post(&q, &f);
    rv_fences_do(&q, m.hart[1]);
    assert_int_equal(forgotten(), PAGES);
    f.pages = UINT32_MAX;
    rv_fences_post(&q, &f);
    rv_fences_do(&q, m.hart[1]);
    assert_int_equal(forgotten(), PAGES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_who_is_named, make, drop),
        cmocka_unit_test_setup_teardown(hostile_arguments, make, drop),
        cmocka_unit_test_setup_teardown(what_is_forgotten, make, drop),
        cmocka_unit_test_setup_teardown(large_pages, make, drop),
        cmocka_unit_test_setup_teardown(a_start_fences_code, make, drop),
        cmocka_unit_test_setup_teardown(the_queue, make, drop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
