/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <cmocka.h>
#include <hv/charge.h>
#include <hv/percpu.h>
#include <hv/pmm.h>

#include "arch/host/host.h"
#include "boot/boot_info.h"

#define RAM_LEN (3 * GIB + 5 * MIB + 3 * PAGE_SIZE)

static uint64_t ram;
static bool failed;
static struct boot_info bi;

/* pmm tells its own misuse by panic(); here that is something to test. */
_Noreturn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static jmp_buf on_panic;
_Noreturn void panic(const char *fmt, ...)
{
    (void)fmt;
    failed = true;
    longjmp(on_panic, 1);
}

static int setup(void **state)
{
    static struct boot_mem map[6];

    (void)state;
    host_init(2, 0);
    ram = align_up((uint64_t)mmap(NULL, 5 * GIB, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
                   GIB);
    map[0] = (struct boot_mem){ .base = 0, .len = 0x9f000, .type = BOOT_MEM_FREE };
    map[1] = (struct boot_mem){ .base = 0x9f000, .len = 0x61000, .type = BOOT_MEM_RESERVED };
    map[2] = (struct boot_mem){ .base = ram, .len = 5 * PAGE_SIZE, .type = BOOT_MEM_FREE };
    map[3] = (struct boot_mem){ .base = ram + 5 * PAGE_SIZE, .len = MIB, .type = BOOT_MEM_LOADER };
    map[4] = (struct boot_mem){ .base = ram + 5 * PAGE_SIZE + MIB,
                                .len = RAM_LEN - MIB - 5 * PAGE_SIZE,
                                .type = BOOT_MEM_FREE };
    map[5] =
        (struct boot_mem){ .base = ram + RAM_LEN, .len = 64 * MIB, .type = BOOT_MEM_BOOT_SERVICES };
    bi = (struct boot_info){ .mem = (uint64_t)map, .nmem = 6 };
    return pmm_init(&bi);
}

static void test_init(void **state)
{
    struct pmm_stats s;

    (void)state;
    pmm_stats(&s);
    assert_int_equal(s.total, s.free);
    /* All but the hole and the bitmaps, which take less than 128 bytes a MiB. */
    assert_true(s.free <= RAM_LEN - MIB &&
                s.free > RAM_LEN - MIB - (RAM_LEN / MIB + 1024) * 128 - 5 * PAGE_SIZE);
}

static bool in_ram(hpa_t pa, unsigned order)
{
    uint64_t len = PAGE_SIZE << order, hole = ram + 5 * PAGE_SIZE;

    return range_within(pa.v, len, ram, RAM_LEN) && (pa.v + len <= hole || pa.v >= hole + MIB) &&
           !(pa.v & (len - 1));
}

/*
 * Everything can be had in every mix of sizes, nothing twice, and given back makes the largest
 * blocks again.
 */
static void test_take_all(void **state)
{
    enum { MAX = 1 << 14 };
    static struct {
        hpa_t pa;
        unsigned order;
    } got[MAX];
    unsigned n = 0, big = 0;
    struct pmm_stats before, s;

    (void)state;
    pmm_stats(&before);
    for (unsigned order = PMM_MAX_ORDER; n < MAX; order = order ? order - 1 : 0) {
        hpa_t pa = pmm_alloc(order, PMM_GUEST);

        if (!pa.v && !order)
            break;
        if (!pa.v)
            continue;
        assert_true(in_ram(pa, order));
        *(uint64_t *)phys_to_virt(pa) = n;
        got[n].order = order;
        got[n++].pa = pa;
        big += order == PMM_MAX_ORDER;
        order++;
    }
    assert_true(big == 2 && n < MAX);
    pmm_stats(&s);
    assert_int_equal(s.free, 0);
    assert_int_equal(s.by_owner[PMM_GUEST], before.free);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(*(uint64_t *)phys_to_virt(got[i].pa), i);
        host_cpu = i & 1;
        pmm_free(got[i].pa, got[i].order, PMM_GUEST);
    }
    host_cpu = 0;
    pmm_stats(&s);
    assert_int_equal(s.free, before.free);
    assert_int_equal(s.by_owner[PMM_GUEST], 0);
    for (unsigned i = 0; i < big; i++)
        assert_true((got[i].pa = pmm_alloc(PMM_MAX_ORDER, PMM_HV)).v);
    for (unsigned i = 0; i < big; i++)
        pmm_free(got[i].pa, PMM_MAX_ORDER, PMM_HV);
}

/* What is taken in a row lies in a row, so that a guest's memory is one piece. */
static void test_neighbours(void **state)
{
    hpa_t first = pmm_alloc(9, PMM_GUEST), second = pmm_alloc(9, PMM_GUEST),
          third = pmm_alloc(9, PMM_GUEST);

    (void)state;
    assert_true(second.v == first.v + 2 * MIB && third.v == second.v + 2 * MIB);
    pmm_free(first, 9, PMM_GUEST);
    pmm_free(second, 9, PMM_GUEST);
    pmm_free(third, 9, PMM_GUEST);
}

static void test_zero(void **state)
{
    hpa_t pa = pmm_alloc_zero(2, PMM_HV);

    (void)state;
    for (unsigned i = 0; i < 4 * PAGE_SIZE; i++)
        assert_int_equal(((uint8_t *)phys_to_virt(pa))[i], 0);
    pmm_free(pa, 2, PMM_HV);
    assert_int_equal(pmm_alloc(PMM_MAX_ORDER + 1, PMM_HV).v, 0);
}

/* Free memory holds nothing of the allocator's: it works while nobody can touch any of it. */
static void test_free_memory_is_not_touched(void **state)
{
    enum { MAX = 1000 };
    static struct {
        hpa_t pa;
        unsigned order;
    } got[MAX];
    uint64_t from = ram + 16 * MIB, len = 3 * GIB - 16 * MIB, seed = 1;
    struct pmm_stats before, s;

    (void)state;
    pmm_stats(&before);
    assert_int_equal(mprotect((void *)from, len, PROT_NONE), 0);
    for (unsigned round = 0; round < 20000; round++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        unsigned i = (unsigned)(seed >> 40) % MAX, order = (unsigned)(seed >> 33) % 13;

        if (got[i].pa.v) {
            pmm_free(got[i].pa, got[i].order, PMM_HV);
            got[i].pa = hpa(0);
        } else {
            got[i].pa = pmm_alloc(order, PMM_HV);
            got[i].order = order;
            assert_true(!got[i].pa.v || in_ram(got[i].pa, order));
        }
    }
    for (unsigned i = 0; i < MAX; i++)
        if (got[i].pa.v)
            pmm_free(got[i].pa, got[i].order, PMM_HV);
    assert_int_equal(mprotect((void *)from, len, PROT_READ | PROT_WRITE), 0);
    pmm_stats(&s);
    assert_int_equal(s.free, before.free);
}

/* Memory that was never written holds zeros here, and what the allocator calls clean must, too. */
static void test_clean_blocks(void **state)
{
    enum { MAX = 64 };
    static struct {
        hpa_t pa;
        unsigned order;
        enum pmm_owner owner;
        bool zeroed;
    } got[MAX];
    uint64_t seed = 7, clean = 0;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        unsigned i = (unsigned)(seed >> 40) % MAX, order = (unsigned)(seed >> 33) % 12;

        if (!got[i].pa.v) {
            got[i].owner = seed >> 60 & 1 ? PMM_GUEST : PMM_HV;
            got[i].order = order;
            got[i].pa = pmm_alloc(order, got[i].owner);
            uint64_t step = order < 9 ? 0 : 2 * MIB;
            for (uint64_t off = 0; off < PAGE_SIZE << order; off += step ? step : GIB) {
                uint64_t *word = (uint64_t *)(got[i].pa.v + off);
                if (got[i].owner == PMM_GUEST && step && pmm_take_clean(hpa(got[i].pa.v + off))) {
                    assert_int_equal(*word, 0);
                    assert_false(pmm_take_clean(hpa(got[i].pa.v + off)));
                    clean++;
                }
                *word = seed | 1;
            }
            got[i].zeroed = got[i].owner == PMM_GUEST && step && seed >> 61 & 1;
        } else {
            for (uint64_t off = 0; got[i].zeroed && off < PAGE_SIZE << got[i].order; off += 2 * MIB)
                *(uint64_t *)(got[i].pa.v + off) = 0;
            if (got[i].zeroed)
                pmm_free_clean(got[i].pa, got[i].order);
            else
                pmm_free(got[i].pa, got[i].order, got[i].owner);
            got[i].pa = hpa(0);
        }
    }
    for (unsigned i = 0; i < MAX; i++)
        if (got[i].pa.v)
            pmm_free(got[i].pa, got[i].order, got[i].owner);
    assert_true(clean > 500);
}

/* A page of a clean block that somebody else had makes the block dirty. */
static void test_a_page_makes_a_block_dirty(void **state)
{
    hpa_t pa = pmm_alloc(9, PMM_GUEST), page;

    (void)state;
    pmm_free_clean(pa, 9);
    do
        page = pmm_alloc(1, PMM_HV);
    while (page.v - pa.v >= 2 * MIB);
    pmm_free(page, 1, PMM_HV);
    assert_false(pmm_take_clean(pa));
}

/* What the firmware had is nobody's until its devices are quiet; then all of it can be had. */
static void test_boot_services(void **state)
{
    struct pmm_stats before, s;
    hpa_t pa;

    (void)state;
    pmm_stats(&before);
    pmm_take_boot_services(&bi);
    pmm_stats(&s);
    assert_int_equal(s.total, before.total + 64 * MIB);
    assert_int_equal(s.free, before.free + 64 * MIB);
    do
        pa = pmm_alloc(9, PMM_HV);
    while (pa.v && !range_within(pa.v, 2 * MIB, ram + RAM_LEN, 64 * MIB));
    assert_true(pa.v);
}

static void expect_panic(uint64_t pa, unsigned order)
{
    failed = false;
    if (!setjmp(on_panic))
        pmm_free(hpa(pa), order, PMM_HV);
    assert_true(failed);
}

/* Last: a panic leaves the lock taken. */
static void test_misuse(void **state)
{
    hpa_t pa = pmm_alloc(3, PMM_HV);

    (void)state;
    pmm_free(pa, 3, PMM_HV);
    hpa_t a = pmm_alloc(3, PMM_HV), b = pmm_alloc(3, PMM_HV);
    pmm_free(a, 3, PMM_HV);
    (void)b;
    expect_panic(a.v, 3);
}

/* Of what nobody was promised, and all of it comes back. */
static void test_scratch(void **state)
{
    struct pmm_stats before, during, after;
    uint64_t rest;
    void *p;

    (void)state;
    pmm_stats(&before);
    p = scratch_take(5 * MIB);
    assert_non_null(p);
    pmm_stats(&during);
    assert_int_equal(before.free - during.free, 8 * MIB);
    assert_int_equal(during.promised, before.promised);
    scratch_give(p, 5 * MIB);
    scratch_give(NULL, 1);
    pmm_stats(&after);
    assert_int_equal(after.free, before.free);
    rest = before.free - before.promised - PMM_RESERVE;
    assert_int_equal(pmm_promise(rest - 4 * MIB), 0);
    assert_null(scratch_take(5 * MIB));
    p = scratch_take(4 * MIB);
    assert_non_null(p);
    scratch_give(p, 4 * MIB);
    pmm_unpromise(rest - 4 * MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init),
        cmocka_unit_test(test_take_all),
        cmocka_unit_test(test_neighbours),
        cmocka_unit_test(test_zero),
        cmocka_unit_test(test_free_memory_is_not_touched),
        cmocka_unit_test(test_clean_blocks),
        cmocka_unit_test(test_a_page_makes_a_block_dirty),
        cmocka_unit_test(test_boot_services),
        cmocka_unit_test(test_scratch),
        cmocka_unit_test(test_misuse),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
