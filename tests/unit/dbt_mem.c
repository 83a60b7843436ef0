/* SPDX-License-Identifier: BSD-2-Clause */
/* The translated guest's TLB: hits, contexts, forgetting, crossing, devices, watched pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <hv/dbt_mem.h>

#define PAGES 8
static uint8_t ram[PAGES * DBT_PAGE];
static struct dbt_mem m;
static uint64_t offset;     /* what walk() adds */
static uint64_t page_bytes; /* what it says of the page's size */
static bool watch, whole;
static unsigned walks, told, device_value;
static uint64_t told_pa;

/* Page 7 is a hole in the tables, 6 a device, the rest RAM. */
static enum dbt_fault walk(void *owner, uint64_t va, enum dbt_access access, unsigned size,
                           struct dbt_translation *out)
{
    (void)owner, (void)access, (void)size;
    walks++;
    if ((va >> DBT_PAGE_SHIFT) % PAGES == 7)
        return DBT_FAULT_PAGE;
    *out = (struct dbt_translation){ (va + offset) % sizeof ram, page_bytes, whole };
    return DBT_OK;
}

static uint8_t *page_of(void *owner, uint64_t pa)
{
    (void)owner;
    return pa >> DBT_PAGE_SHIFT < 6 ? ram + pa : NULL;
}

static bool dev_read(void *owner, uint64_t pa, unsigned size, uint64_t *value)
{
    (void)owner, (void)size;
    *value = device_value;
    return (pa & 0xfff) < 16;
}

static bool dev_write(void *owner, uint64_t pa, unsigned size, uint64_t value)
{
    (void)owner, (void)size;
    device_value = (unsigned)value;
    return (pa & 0xfff) < 16;
}

static bool watched(void *owner, uint64_t pa)
{
    (void)owner;
    return watch && pa >> DBT_PAGE_SHIFT == 2;
}

static void stored(void *owner, uint64_t pa, unsigned size)
{
    (void)owner, (void)size;
    told++;
    told_pa = pa;
}

static const struct dbt_mem_ops ops = { walk, page_of, dev_read, dev_write, watched, stored };

static void view(uint64_t space)
{
    dbt_mem_select(&m, (struct dbt_view){ space, 1 }, (struct dbt_view){ space, 1 });
}

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ram; i++)
        ram[i] = (uint8_t)(i * 7 + i / 256);
    offset = walks = told = 0;
    page_bytes = DBT_PAGE;
    watch = false;
    whole = true;
    dbt_mem_init(&m, &ops, NULL);
    view(1);
    return 0;
}

static uint64_t load(uint64_t va, unsigned size)
{
    uint64_t v = 0;

    assert_int_equal(dbt_load(&m, va, size, &v), DBT_OK);
    return v;
}

static void hits_after_a_walk(void **state)
{
    uint64_t v;

    (void)state;
    for (unsigned size = 1; size <= 8; size *= 2) {
        v = 0;
        memcpy(&v, ram + 0x123, size);
        assert_int_equal(load(0x123, size), v);
    }
    assert_int_equal(walks, 1);
    assert_null(dbt_hit(&m, DBT_STORE, 0x123, 1));
    assert_int_equal(dbt_store(&m, 0x200, 8, 0x1122334455667788), DBT_OK);
    assert_int_equal(load(0x204, 4), 0x11223344);
    assert_int_equal(walks, 2);
    assert_non_null(dbt_hit(&m, DBT_LOAD, 0xff8, 8));
    assert_null(dbt_hit(&m, DBT_LOAD, 0xff9, 8)); /* crosses */
    whole = false;
    assert_int_equal(load(0x1000, 1), ram[0x1000]);
    assert_null(dbt_hit(&m, DBT_LOAD, 0x1000, 1));
}

static void contexts_are_apart(void **state)
{
    (void)state;
    assert_int_equal(load(0x10, 1), ram[0x10]);
    offset = DBT_PAGE;
    view(2);
    assert_int_equal(load(0x10, 1), ram[0x1010]);
    view(1);
    assert_int_equal(load(0x10, 1), ram[0x10]); /* still there */
    assert_int_equal(walks, 2);
    dbt_mem_forget(&m, ~0ull, 1);
    view(1);
    assert_int_equal(load(0x10, 1), ram[0x1010]);
    assert_int_equal(walks, 3);
    /* more than there are numbers */
    for (uint64_t space = 3; space < 6000; space++) {
        offset = space % 4 * DBT_PAGE;
        view(space);
        assert_int_equal(load(0x10, 1), ram[0x10 + offset]);
    }
    assert_in_range(m.stats.flushes, 1, 10);
}

static void one_page_is_forgotten(void **state)
{
    (void)state;
    load(0x10, 1);
    load(0x1010, 1);
    assert_true(dbt_mem_forget_page(&m, 0xfff));
    assert_null(dbt_hit(&m, DBT_LOAD, 0x10, 1));
    assert_non_null(dbt_hit(&m, DBT_LOAD, 0x1010, 1));
    page_bytes = 4 * DBT_PAGE;
    load(0x10, 1);
    load(0x2010, 1);
    assert_false(dbt_mem_forget_page(&m, 0x3000)); /* in the same large page */
    view(1);
    assert_null(dbt_hit(&m, DBT_LOAD, 0x10, 1));
    assert_null(dbt_hit(&m, DBT_LOAD, 0x2010, 1));
}

static void crossing_faults_store_nothing(void **state)
{
    uint8_t before = ram[0x5fff];
    uint64_t v;

    (void)state;
    assert_int_equal(load(0xfff, 2), ram[0xfff] | ram[0x1000] << 8);
    assert_int_equal(dbt_store(&m, 0xffd, 8, 0x0102030405060708), DBT_OK);
    assert_int_equal(load(0xffd, 8), 0x0102030405060708);
    assert_int_equal(dbt_store(&m, 0x5fff, 4, 0), DBT_FAULT_ACCESS); /* into the device */
    assert_int_equal(m.fault_va, 0x6000);
    assert_int_equal(ram[0x5fff], before);
    assert_int_equal(dbt_load(&m, 0x6fff, 2, &v), DBT_FAULT_PAGE);
    assert_int_equal(m.fault_va, 0x7000);
}

static void devices_are_asked(void **state)
{
    uint64_t v, pa;
    void *host;
    uint16_t code;

    (void)state;
    device_value = 0;
    assert_int_equal(dbt_store(&m, 0x6004, 4, 77), DBT_OK);
    assert_int_equal(load(0x6004, 4), 77);
    assert_int_equal(dbt_load(&m, 0x6005, 4, &v), DBT_FAULT_ACCESS);
    assert_int_equal(dbt_load(&m, 0x6020, 4, &v), DBT_FAULT_ACCESS);
    assert_int_equal(dbt_atomic(&m, 0x6000, 4, DBT_STORE, &host, &pa), DBT_FAULT_ACCESS);
    assert_int_equal(dbt_fetch_slow(&m, 0x6000, &code), DBT_FAULT_ACCESS);
    assert_int_equal(dbt_atomic(&m, 0x1002, 4, DBT_STORE, &host, &pa), DBT_FAULT_MISALIGNED);
    assert_int_equal(dbt_atomic(&m, 0x1004, 4, DBT_STORE, &host, &pa), DBT_OK);
    assert_ptr_equal(host, ram + 0x1004);
}

static void stores_to_watched_pages_are_told(void **state)
{
    (void)state;
    assert_int_equal(dbt_store(&m, 0x2010, 1, 1), DBT_OK);
    assert_int_equal(told, 0);
    watch = true;
    dbt_mem_watch(&m, 0x2abc);
    assert_int_equal(dbt_store(&m, 0x2010, 1, 2), DBT_OK);
    assert_int_equal(told, 1);
    assert_int_equal(told_pa, 0x2010);
    assert_int_equal(dbt_store(&m, 0x1fff, 2, 0), DBT_OK);
    assert_int_equal(told, 2);
    assert_int_equal(told_pa, 0x2000);
    watch = false;
    assert_int_equal(dbt_store(&m, 0x2010, 1, 3), DBT_OK);
    assert_non_null(dbt_hit(&m, DBT_STORE, 0x2010, 1));
    assert_int_equal(told, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(hits_after_a_walk, setup),
        cmocka_unit_test_setup(contexts_are_apart, setup),
        cmocka_unit_test_setup(one_page_is_forgotten, setup),
        cmocka_unit_test_setup(crossing_faults_store_nothing, setup),
        cmocka_unit_test_setup(devices_are_asked, setup),
        cmocka_unit_test_setup(stores_to_watched_pages_are_told, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
