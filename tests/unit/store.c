/* SPDX-License-Identifier: BSD-2-Clause */
/* The state volume: what is in it, power cuts at every write, errors of the disk, damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <hv/store.h>
#include <stdlib.h>
#include <string.h>
#include "store_model.h"

static struct model_op op;

static void all_pages(uint32_t version)
{
    for (unsigned i = 0; i < STORE_OBJECT_PAGES; i++)
        op.version_of[i] = version;
    op.op.changed = NULL;
}

static int put(const char *name, uint32_t version, uint64_t len)
{
    all_pages(version);
    return model_do(&op, STORE_PUT, name, len);
}

/* Whether the object is there, whole, in this version. */
static bool has(const char *name, uint32_t version, uint64_t len)
{
    all_pages(version);
    return model_do(&op, STORE_GET, name, STORE_OBJECT_MAX) == 0 && !op.torn && op.op.len == len;
}

static int fresh(void **state)
{
    (void)state;
    memset(&model, 0, sizeof model);
    model_mount();
    assert_int_equal(store.state, STORE_READY);
    return 0;
}

static void test_objects(void **state)
{
    struct store_object o;
    struct store_space before, after;

    (void)state;
    store_space(&store, &before);
    assert_int_equal(before.free, (MODEL_PAGES - STORE_FIRST) * STORE_PAGE);
    assert_int_equal(put("uefi/web", 1, 3 * STORE_PAGE + 5), 0);
    assert_int_equal(put("log", 2, 0), 0);
    assert_int_equal(put("uefi/web", 3, 5000), 0);
    assert_true(has("uefi/web", 3, 5000));
    model_mount();
    assert_true(has("uefi/web", 3, 5000));
    assert_true(has("log", 2, 0));
    assert_true(store_object(&store, 0, &o) && o.len == 5000 && !o.damaged && o.sequence == 3);
    assert_true(store_object(&store, 1, &o) && strcmp(o.name, "log") == 0);
    assert_false(store_object(&store, 2, &o));
    assert_int_equal(model_do(&op, STORE_REMOVE, "uefi/web", 0), 0);
    assert_int_equal(model_do(&op, STORE_GET, "uefi/web", 5), -ENOENT);
    assert_int_equal(model_do(&op, STORE_REMOVE, "uefi/web", 0), -ENOENT);
    assert_int_equal(model_do(&op, STORE_REMOVE, "log", 0), 0);
    store_space(&store, &after);
    assert_int_equal(after.free, before.free);
    assert_int_equal(after.updates, 5);
    assert_true(after.written >= 5 * STORE_PAGE);
}

static void test_refused(void **state)
{
    char name[8] = "o";

    (void)state;
    assert_int_equal(put("a b", 1, 1), -EINVAL);
    assert_int_equal(put("", 1, 1), -EINVAL);
    assert_int_equal(put("big", 1, STORE_OBJECT_MAX + 1), -EFBIG);
    assert_int_equal(put("big", 1, (MODEL_PAGES - STORE_FIRST) * STORE_PAGE), -ENOSPC);
    assert_int_equal(put("x", 1, 2), 0);
    assert_int_equal(model_do(&op, STORE_GET, "x", 1), -EFBIG);
    for (unsigned i = 1; i < STORE_OBJECTS; i++) {
        name[1] = (char)('a' + i % 26);
        name[2] = (char)('a' + i / 26);
        assert_int_equal(put(name, 1, 0), 0);
    }
    assert_int_equal(put("more", 1, 0), -ENOSPC);
    assert_int_equal(model_do(&op, STORE_REMOVE, "oba", 0), 0);
    assert_int_equal(put("more", 1, 0), 0);
    model_mount();
    assert_true(has("x", 1, 2));
}

/* What did not change is not written again. */
static void test_changed_pages(void **state)
{
    struct store_space a, b;

    (void)state;
    assert_int_equal(put("v", 7, 40 * STORE_PAGE), 0);
    store_space(&store, &a);
    all_pages(7);
    op.version_of[3] = 8;
    op.changed[0] = 1u << 3;
    op.op.changed = op.changed;
    assert_int_equal(model_do(&op, STORE_PUT, "v", 40 * STORE_PAGE), 0);
    store_space(&store, &b);
    assert_int_equal(b.written - a.written, 3 * STORE_PAGE); /* it, its map, the root */
    model_mount();
    assert_int_equal(model_do(&op, STORE_GET, "v", 40 * STORE_PAGE), 0);
    assert_false(op.torn);
}

/* ---- power ---- */

/* Update number `n` of what the volume goes through. */
static int act(unsigned n)
{
    static const char *const names[] = { "a", "b", "c" };
    const char *name = names[n % 3];

    if (n % 7 == 6)
        return model_do(&op, STORE_REMOVE, name, 0);
    return put(name, n, n % 5 * 3000);
}

/* After `n` updates: what each object must be; 0: not there. */
static void expected(unsigned n, unsigned version[3])
{
    version[0] = version[1] = version[2] = 0;
    for (unsigned i = 1; i <= n; i++)
        version[i % 3] = i % 7 == 6 ? 0 : i;
}

static bool is_after(unsigned n)
{
    static const char *const names[] = { "a", "b", "c" };
    unsigned version[3];

    expected(n, version);
    for (unsigned i = 0; i < 3; i++) {
        bool there = version[i] != 0;

        if (there ? !has(names[i], version[i], version[i] % 5 * 3000)
                  : model_do(&op, STORE_GET, names[i], STORE_OBJECT_MAX) != -ENOENT)
            return false;
    }
    return true;
}

/*
 * The power goes at the cut-th I/O: every update that was acknowledged is there, and the one under
 * way is there or not. Then more updates on what is left, so that nothing leans on lost pages.
 */
static bool survives(unsigned cut, uint64_t subset, bool *reached)
{
    unsigned done = 0;

    memset(&model, 0, sizeof model);
    model_mount();
    model.cut = model.ios + cut;
    for (unsigned n = 1; n <= 14 && !model.off; n++) {
        int status = act(n);

        if (status != 1)
            done = n;
    }
    *reached = model.off;
    model_lose(subset);
    model_mount();
    if (store.state != STORE_READY || (!is_after(done) && !is_after(done + 1)))
        return false;
    done = is_after(done) ? done : done + 1;
    for (unsigned n = done + 1; n < done + 8; n++)
        if (act(n) == 1 || !is_after(n))
            return false;
    model_lose(0);
    model_mount();
    return is_after(done + 7);
}

static void test_power_cut_at_every_write(void **state)
{
    uint64_t random = 88172645463325252ull;
    bool reached = true;
    unsigned cut = 1;

    (void)state;
    for (; reached; cut++) {
        assert_true(survives(cut, 0, &reached));
        assert_true(survives(cut, UINT64_MAX, &reached));
        for (unsigned i = 0; i < 3; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            assert_true(survives(cut, random, &reached));
        }
    }
    assert_in_range(cut, 60, 300);
}

/* Every subset of a root's sectors is on the disk when the power goes before the last flush. */
static void test_torn_root(void **state)
{
    static struct model before;
    unsigned new = 0;

    (void)state;
    for (unsigned i = 1; i < 4; i++)
        assert_int_equal(put("a", i, 9000), 0);
    model.cut = model.ios + 8; /* a map, 3 pages, their map, a flush, the root, and this flush */
    assert_int_equal(put("a", 4, 9000), 1);
    before = model;
    for (uint64_t subset = 0; subset < 1u << MODEL_SECTORS; subset++) {
        model = before;
        model_lose(subset);
        model_mount();
        new += has("a", 4, 9000);
        assert_true(has("a", 3, 9000) || has("a", 4, 9000));
    }
    assert_in_range(new, 1, 255);
}

/* The newest root is lost for good: the one before is whole, with all that it names. */
static void test_newest_root_lost(void **state)
{
    (void)state;
    for (unsigned n = 1; n < 30; n++) {
        uint32_t at;

        assert_true(act(n) <= 0);
        at = store.current * STORE_SLOT_PAGES;
        if (op.status)
            continue;
        memset(model.disk[at], 0x5a, STORE_PAGE);
        model_lose(0);
        model_mount();
        assert_int_equal(store.state, n > 1 ? STORE_READY : STORE_DAMAGED);
        if (n == 1)
            fresh(NULL);
        else
            assert_true(is_after(n - 1));
        assert_true(act(n) <= 0);
        assert_true(is_after(n));
    }
}

/* ---- errors ---- */

static void test_io_errors(void **state)
{
    bool failed = true;

    (void)state;
    for (unsigned at = 1; failed; at++) {
        fresh(NULL);
        for (unsigned n = 1; n <= 5; n++)
            assert_true(act(n) <= 0);
        model.fail = model.ios + at;
        failed = put("a", 9, 5 * 3000) != 0;
        model.fail = 0;
        assert_true(failed ? is_after(5) : has("a", 9, 15000));
        assert_int_equal(put("b", 10, 0), 0);
        assert_true(failed || has("a", 9, 15000));
        model_lose(0);
        model_mount();
        assert_true(has("b", 10, 0));
    }
}

/* A root that was written though the disk said no is either there or not, and whole. */
static void test_failed_root(void **state)
{
    (void)state;
    for (unsigned cut = 1; cut < 40; cut++) {
        bool old, new;

        fresh(NULL);
        assert_int_equal(put("a", 1, 9000), 0);
        assert_int_equal(put("a", 2, 9000), 0);
        model.fail = model.ios + 8; /* map, 3 pages, map, flush, root, flush */
        assert_int_equal(put("a", 3, 9000), -EIO);
        model.cut = model.ios + cut;
        (void)put("a", 4, 9000);
        model_lose(cut & 1 ? 0 : UINT64_MAX);
        model_mount();
        old = has("a", 2, 9000) || (store.root.sequence == 3 && has("a", 3, 9000));
        new = has("a", 4, 9000);
        assert_true(old || new);
    }
}

/* So with an unreadable page of a root, whichever: it may be the newest. What is read stays whole.
 */
static void test_unreadable_root(void **state)
{
    (void)state;
    for (unsigned page = 1; page <= 2 * STORE_SLOT_PAGES; page++) {
        fresh(NULL);
        assert_int_equal(put("a", 1, 9000), 0);
        assert_int_equal(put("a", 2, 9000), 0);
        memset(&store, 0, sizeof store);
        model.ios = 0;
        model.fail = page;
        store.disk = &model_ops;
        store.page = model_page;
        store.pages = MODEL_PAGES;
        store_open(&store, NULL);
        assert_true(store.frozen);
        assert_int_not_equal(put("a", 3, 9000), 0);
        model_mount(); /* the disk reads it this time */
        assert_true(has("a", 2, 9000));
    }
}

/* An unreadable map: nothing is written, since what it names is not known. */
static void test_unreadable_map(void **state)
{
    (void)state;
    assert_int_equal(put("a", 1, 9000), 0);
    memset(&store, 0, sizeof store);
    model.ios = 0;
    model.fail = 2 * STORE_SLOT_PAGES + 1;
    store.disk = &model_ops;
    store.page = model_page;
    store.pages = MODEL_PAGES;
    store_open(&store, NULL);
    assert_int_equal(put("b", 1, 1), -EROFS);
}

/* ---- damage ---- */

static uint32_t place(unsigned page)
{
    assert_true(has("a", 1, 20000));
    return store.map[page].page;
}

static void test_damage_is_confined(void **state)
{
    struct store_object o;

    (void)state;
    assert_int_equal(put("a", 1, 20000), 0);
    assert_int_equal(put("b", 2, 20000), 0);
    model.disk[place(2)][77] ^= 1;
    model_lose(0);
    model_mount();
    assert_false(has("a", 1, 20000));
    assert_int_equal(op.status, -EIO);
    assert_true(has("b", 2, 20000));
    model.disk[store.root.entry[0].map][5] ^= 1;
    model_lose(0);
    model_mount();
    assert_true(store_object(&store, 0, &o) && o.damaged);
    assert_false(has("a", 1, 20000));
    assert_true(has("b", 2, 20000));
    assert_int_equal(put("a", 3, 20000), 0);
    assert_true(has("a", 3, 20000) && has("b", 2, 20000));
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(put("c", i, 60000), 0);
    assert_true(has("a", 3, 20000) && has("b", 2, 20000));
}

static void test_not_a_volume(void **state)
{
    (void)state;
    memset(model.disk[0], 0xff, STORE_PAGE);
    model_lose(0);
    model_mount();
    assert_int_equal(store.state, STORE_DAMAGED);
    assert_int_equal(put("a", 1, 1), -ENODEV);
    assert_int_equal(model.disk[0][0], 0xff);
}

static struct store_root *newest(void)
{
    return (struct store_root *)(void *)model.disk[store.current * STORE_SLOT_PAGES];
}

static void resealed(void)
{
    store_root_seal(newest());
    model_lose(0);
    model_mount();
}

/* Roots with a good checksum that no update makes. */
static void test_hostile_roots(void **state)
{
    (void)state;
    assert_int_equal(put("a", 1, 20000), 0);
    assert_null(store_root_wrong(newest(), MODEL_PAGES));
    newest()->entry[0].map = MODEL_PAGES;
    resealed();
    assert_int_equal(store.state, STORE_DAMAGED);
    fresh(NULL);
    assert_int_equal(put("a", 1, 20000), 0);
    assert_int_equal(put("b", 1, 20000), 0);
    newest()->entry[1].map = newest()->entry[0].map; /* both have the same pages */
    memcpy(newest()->entry[1].map_digest, newest()->entry[0].map_digest, 32);
    resealed();
    assert_int_equal(store.state, STORE_READY);
    assert_true(store.damaged[1]);
    assert_int_equal(put("b", 2, 20000), 0);
    assert_true(has("a", 1, 20000) && has("b", 2, 20000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_objects, fresh),
        cmocka_unit_test_setup(test_refused, fresh),
        cmocka_unit_test_setup(test_changed_pages, fresh),
        cmocka_unit_test_setup(test_power_cut_at_every_write, fresh),
        cmocka_unit_test_setup(test_torn_root, fresh),
        cmocka_unit_test_setup(test_newest_root_lost, fresh),
        cmocka_unit_test_setup(test_io_errors, fresh),
        cmocka_unit_test_setup(test_failed_root, fresh),
        cmocka_unit_test_setup(test_unreadable_root, fresh),
        cmocka_unit_test_setup(test_unreadable_map, fresh),
        cmocka_unit_test_setup(test_damage_is_confined, fresh),
        cmocka_unit_test_setup(test_not_a_volume, fresh),
        cmocka_unit_test_setup(test_hostile_roots, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
