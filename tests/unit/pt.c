/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arch/mmu.h>

#include "tests/unit/fakept.h"

static struct pt pt;

static int setup(void **state)
{
    (void)state;
    return pt_init(&pt, &fake_format, NULL, NULL);
}

static int teardown(void **state)
{
    (void)state;
    pages_left = 1 << 20;
    pt_fini(&pt);
    return pages_out; /* a page that was lost is an error */
}

static void expect_map(uint64_t ia, uint64_t oa, unsigned prot)
{
    unsigned p = 99;
    hpa_t got = hpa(99);

    assert_true(pt_lookup(&pt, gpa(ia), &got, &p));
    assert_int_equal(got.v, oa);
    assert_int_equal(p, prot);
}

static enum memtype pt_type(uint64_t ia)
{
    const uint64_t *t = phys_to_virt(pt.root);

    for (unsigned level = 2;; level--) {
        uint64_t e = t[ia >> (12 + 9 * level) & 511];

        if (fake_format.kind(e, level) != PTE_TABLE)
            return fake_format.type(e, level);
        t = phys_to_virt(fake_format.addr(e, level));
    }
}

static void expect_hole(uint64_t ia)
{
    unsigned p;
    hpa_t got;

    assert_false(pt_lookup(&pt, gpa(ia), &got, &p));
}

static void test_largest_leaves(void **state)
{
    (void)state;
    /*
     * 4 KiB before 1 GiB, 1 GiB, 2 MiB + 4 KiB after it: root, one directory at each side, one
     * table at each end.
     */
    assert_int_equal(pt_map(&pt, gpa(GIB - PAGE_SIZE), hpa(5 * GIB - PAGE_SIZE),
                            GIB + 2 * MIB + 2 * PAGE_SIZE, PROT_RW, MEM_UC),
                     0);
    assert_int_equal(pt.tables, 5);
    expect_hole(GIB - 2 * PAGE_SIZE);
    expect_map(GIB - 1, 5 * GIB - 1, PROT_RW);
    expect_map(GIB + 12345, 5 * GIB + 12345, PROT_RW);
    expect_map(2 * GIB + 2 * MIB + 7, 6 * GIB + 2 * MIB + 7, PROT_RW);
    expect_hole(2 * GIB + 2 * MIB + PAGE_SIZE);
    /* An unaligned pair of addresses cannot use large leaves. */
    assert_int_equal(pt_map(&pt, gpa(4 * GIB), hpa(PAGE_SIZE), 4 * MIB, PROT_R, MEM_WB), 0);
    assert_int_equal(pt.tables, 8);
}

static void test_refuses(void **state)
{
    (void)state;
    assert_int_equal(pt_map(&pt, gpa(1), hpa(0), PAGE_SIZE, PROT_R, MEM_WB), -EINVAL);
    assert_int_equal(pt_map(&pt, gpa(0), hpa(1), PAGE_SIZE, PROT_R, MEM_WB), -EINVAL);
    assert_int_equal(pt_map(&pt, gpa(1ull << 39), hpa(0), PAGE_SIZE, PROT_R, MEM_WB), -EINVAL);
    assert_int_equal(pt_map(&pt, gpa(PAGE_SIZE), hpa(0), -PAGE_SIZE, PROT_R, MEM_WB), -EINVAL);
    assert_int_equal(pt_map(&pt, gpa(4 * MIB), hpa(0), PAGE_SIZE, PROT_R, MEM_WB), 0);
    /* Nothing of a range that overlaps in one place is mapped. */
    assert_int_equal(pt_map(&pt, gpa(0), hpa(0), 8 * MIB, PROT_R, MEM_WB), -EEXIST);
    expect_hole(0);
    expect_hole(8 * MIB - PAGE_SIZE);
    expect_map(4 * MIB, 0, PROT_R);
    expect_hole(1ull << 39);
    expect_hole(UINT64_MAX);
}

static void test_unmap_splits(void **state)
{
    (void)state;
    assert_int_equal(pt_map(&pt, gpa(0), hpa(8 * GIB), 2 * GIB, PROT_RWX, MEM_WC), 0);
    assert_int_equal(pt.tables, 1);
    assert_int_equal(pt_unmap(&pt, gpa(GIB - PAGE_SIZE), 2 * PAGE_SIZE), 0);
    expect_map(GIB - PAGE_SIZE - 1, 9 * GIB - PAGE_SIZE - 1, PROT_RWX);
    expect_hole(GIB - PAGE_SIZE);
    expect_hole(GIB + PAGE_SIZE - 1);
    expect_map(GIB + PAGE_SIZE, 9 * GIB + PAGE_SIZE, PROT_RWX);
    expect_map(2 * GIB - 1, 10 * GIB - 1, PROT_RWX);
    assert_int_equal(pt.tables, 5);
    /* Whole again: everything goes, and waits in limbo with nothing but holes in it. */
    assert_int_equal(pt_unmap(&pt, gpa(0), 2 * GIB), 0);
    assert_int_equal(pt.tables, 1);
    assert_int_equal(pages_out, 5);
    for (uint64_t t = pt.limbo.v; t; t = *(uint64_t *)t)
        for (unsigned i = 0; i < 512; i++)
            assert_int_equal(fake_kind(((uint64_t *)t)[i], 0), PTE_HOLE);
    pt_reap(&pt);
    assert_int_equal(pages_out, 1);
}

static void test_protect(void **state)
{
    (void)state;
    assert_int_equal(pt_map(&pt, gpa(2 * MIB), hpa(4 * MIB), 4 * MIB, PROT_RWX, MEM_UC), 0);
    assert_int_equal(pt_protect(&pt, gpa(2 * MIB + PAGE_SIZE), 3 * MIB, PROT_R), 0);
    expect_map(2 * MIB, 4 * MIB, PROT_RWX);
    expect_map(2 * MIB + PAGE_SIZE, 4 * MIB + PAGE_SIZE, PROT_R);
    expect_map(5 * MIB + PAGE_SIZE - 1, 7 * MIB + PAGE_SIZE - 1, PROT_R);
    expect_map(5 * MIB + PAGE_SIZE, 7 * MIB + PAGE_SIZE, PROT_RWX);
}

/* Whatever page is the one that is missing, nothing changes. */
static void test_no_memory(void **state)
{
    int needed;

    (void)state;
    for (needed = 0;; needed++) {
        pages_left = needed;
        int err = pt_map(&pt, gpa(GIB - PAGE_SIZE), hpa(GIB - PAGE_SIZE), GIB + 2 * PAGE_SIZE,
                         PROT_R, MEM_WB);
        if (!err)
            break;
        assert_int_equal(err, -ENOMEM);
        expect_hole(GIB - PAGE_SIZE);
        expect_hole(GIB);
        pt_reap(&pt);
        assert_int_equal(pages_out, 1);
    }
    assert_int_equal(needed, 4);
    for (needed = 0; needed < 2; needed++) {
        pages_left = needed;
        assert_int_equal(pt_unmap(&pt, gpa(GIB + MIB), PAGE_SIZE), -ENOMEM);
        expect_map(GIB + MIB, GIB + MIB, PROT_R);
    }
}

/* A root of four tables in a row, as ARM's stage 2 has it: 41 bits in 3 levels. */
static void test_wide_root(void **state)
{
    struct pt_format wide = fake_format;
    struct pt w;

    (void)state;
    wide.ia_bits = 41;
    assert_int_equal(pt_init(&w, &wide, NULL, NULL), 0);
    assert_int_equal(w.root.v & (4 * PAGE_SIZE - 1), 0);
    assert_int_equal(w.tables, 4);
    assert_int_equal(pt_map(&w, gpa(0), hpa(64 * GIB), PAGE_SIZE, PROT_R, MEM_WB), 0);
    assert_int_equal(pt_map(&w, gpa((1ull << 41) - GIB), hpa(GIB), GIB, PROT_RW, MEM_WB), 0);
    assert_int_equal(
        pt_map(&w, gpa((1ull << 41) - GIB - PAGE_SIZE), hpa(0), PAGE_SIZE, PROT_RW, MEM_WB), 0);
    assert_int_equal(pt_map(&w, gpa(1ull << 41), hpa(0), PAGE_SIZE, PROT_R, MEM_WB), -EINVAL);
    hpa_t oa;
    unsigned prot;
    assert_true(pt_lookup(&w, gpa((1ull << 41) - 1), &oa, &prot));
    assert_int_equal(oa.v, 2 * GIB - 1);
    /* the second table's first entry, not the first's */
    assert_false(pt_lookup(&w, gpa(1ull << 39), &oa, &prot));
    assert_int_equal(((uint64_t *)w.root.v)[2047], fake_leaf(hpa(GIB), 2, PROT_RW, MEM_WB));
    assert_int_equal(pt_unmap(&w, gpa(0), 1ull << 41), 0);
    assert_int_equal(w.tables, 4);
    assert_int_equal(pt_map(&w, gpa((1ull << 41) - PAGE_SIZE), hpa(0), PAGE_SIZE, PROT_RW, MEM_WB),
                     0);
    pt_fini(&w);
    assert_int_equal(pages_out, 1);
}

static unsigned forgotten;

/* When the owner is asked to make CPUs forget a leaf, it is a hole. */
static void forget(struct pt *p, uint64_t ia, uint64_t len)
{
    hpa_t oa;
    unsigned prot;

    forgotten++;
    assert_int_equal(len, forgotten == 1 ? GIB : 2 * MIB);
    assert_int_equal(ia, forgotten == 1 ? GIB : GIB + 4 * MIB);
    assert_false(pt_lookup(p, gpa(ia), &oa, &prot));
    assert_false(pt_lookup(p, gpa(ia + len - 1), &oa, &prot));
}

static void test_break_before_make(void **state)
{
    (void)state;
    forgotten = 0;
    assert_int_equal(pt_map(&pt, gpa(GIB), hpa(GIB), GIB, PROT_RWX, MEM_WB), 0);
    pt.forget = forget;
    assert_int_equal(pt_protect(&pt, gpa(GIB + 4 * MIB + PAGE_SIZE), PAGE_SIZE, PROT_R), 0);
    assert_int_equal(forgotten, 2);
    expect_map(GIB + 4 * MIB + PAGE_SIZE, GIB + 4 * MIB + PAGE_SIZE, PROT_R);
    expect_map(GIB, GIB, PROT_RWX);
}

static void forget_any(struct pt *p, uint64_t ia, uint64_t len)
{
    hpa_t oa;
    unsigned prot;

    forgotten++;
    assert_false(pt_lookup(p, gpa(ia), &oa, &prot));
    assert_false(pt_lookup(p, gpa(ia + len - 1), &oa, &prot));
}

/* Whatever was split and has one set of rights again is as it was before. */
static void test_join(void **state)
{
    uint64_t tables, some[] = { 0, PAGE_SIZE, 4 * MIB + 7 * PAGE_SIZE, GIB - PAGE_SIZE };

    (void)state;
    assert_int_equal(pt_map(&pt, gpa(GIB), hpa(3 * GIB), GIB + 4 * MIB, PROT_RWX, MEM_UC), 0);
    tables = pt.tables;
    for (unsigned i = 0; i < ARRAY_SIZE(some); i++)
        assert_int_equal(pt_protect(&pt, gpa(GIB + some[i]), PAGE_SIZE, PROT_R), 0);
    assert_int_equal(pt.tables, tables + 4);
    forgotten = 0;
    pt.forget = forget_any;
    assert_int_equal(pt_join(&pt, gpa(GIB), GIB + 4 * MIB, PROT_R | PROT_X), 0);
    assert_int_equal(pt.tables, tables);
    assert_int_equal(forgotten, 4);
    for (uint64_t at = 0; at < GIB + 4 * MIB; at += PAGE_SIZE)
        expect_map(GIB + at, 3 * GIB + at, PROT_R | PROT_X);
    assert_int_equal(pt_type(GIB + 5), MEM_UC);
    pt_reap(&pt);
}

/* A hole, a page from elsewhere, a part of a leaf: these stay as small as they are. */
static void test_join_what_fits(void **state)
{
    uint64_t tables;

    (void)state;
    assert_int_equal(pt_map(&pt, gpa(0), hpa(GIB), 8 * MIB, PROT_RW, MEM_WB), 0);
    assert_int_equal(pt_unmap(&pt, gpa(5 * PAGE_SIZE), PAGE_SIZE), 0);
    assert_int_equal(pt_unmap(&pt, gpa(2 * MIB), PAGE_SIZE), 0);
    assert_int_equal(pt_map(&pt, gpa(2 * MIB), hpa(9 * GIB), PAGE_SIZE, PROT_RW, MEM_WB), 0);
    assert_int_equal(pt_protect(&pt, gpa(6 * MIB), PAGE_SIZE, PROT_R), 0);
    tables = pt.tables;
    assert_int_equal(pt_join(&pt, gpa(0), 7 * MIB, PROT_R), 0);
    assert_int_equal(pt.tables, tables);
    expect_hole(5 * PAGE_SIZE);
    expect_map(2 * MIB, 9 * GIB, PROT_R);
    expect_map(7 * MIB - 1, GIB + 7 * MIB - 1, PROT_R);
    expect_map(7 * MIB, GIB + 7 * MIB, PROT_RW);
    assert_int_equal(pt_join(&pt, gpa(0), 8 * MIB, PROT_RW), 0);
    assert_int_equal(pt.tables, tables - 1);
    expect_map(8 * MIB - 1, GIB + 8 * MIB - 1, PROT_RW);
    expect_hole(5 * PAGE_SIZE);
}

static uint64_t leaf_without_exec(hpa_t at, unsigned level, unsigned prot, enum memtype type)
{
    return fake_leaf(at, level, level ? prot & ~(unsigned)PROT_X : prot, type);
}

/* Where a large leaf cannot have a right, the small ones stay. */
static void test_join_keeps_rights(void **state)
{
    struct pt_format f = fake_format;
    struct pt p;
    hpa_t oa;
    unsigned prot = 0;

    (void)state;
    f.leaf = leaf_without_exec;
    assert_int_equal(pt_init(&p, &f, NULL, NULL), 0);
    assert_int_equal(pt_map(&p, gpa(0), hpa(GIB), 2 * MIB, PROT_RWX, MEM_WB), 0);
    assert_int_equal(pt_protect(&p, gpa(0), PAGE_SIZE, PROT_RWX), 0);
    assert_int_equal(pt_join(&p, gpa(0), 2 * MIB, PROT_RWX), 0);
    assert_true(pt_lookup(&p, gpa(MIB), &oa, &prot));
    assert_int_equal(prot, PROT_RWX);
    assert_int_equal(pt_join(&p, gpa(0), 2 * MIB, PROT_RW), 0);
    assert_int_equal(p.tables, 2);
    pt_fini(&p);
}

/*
 * Two roots: what the first has is seen in the second, what it gets later, too; its tables stay
 * when they fall empty, and need no memory then.
 */
static void test_shared_tables(void **state)
{
    const struct pt own = pt;
    struct pt other;
    int before;

    (void)state;
    assert_int_equal(pt_map(&pt, gpa(4 * GIB), hpa(4 * GIB), 4 * MIB, PROT_RW, MEM_WB), 0);
    assert_int_equal(pt_keep(&pt, gpa(8 * GIB), 2 * GIB), 0);
    assert_int_equal(pt_keep(&pt, gpa(511 * GIB), 2 * GIB), -EINVAL);
    assert_int_equal(pt.tables, own.tables + 3);
    assert_int_equal(pt_init(&other, &fake_format, NULL, NULL), 0);
    pt_share(&other, &pt);
    assert_int_equal(pt_map(&other, gpa(GIB), hpa(7 * GIB), 2 * MIB, PROT_RW, MEM_WB), 0);
    assert_int_equal(pt_map(&pt, gpa(9 * GIB), hpa(9 * GIB), PAGE_SIZE, PROT_RW, MEM_WB), 0);
    expect_hole(GIB);
    before = pages_out;
    pages_left = 0;
    assert_int_equal(pt_unmap(&pt, gpa(4 * GIB), 4 * MIB), 0);
    assert_int_equal(pt.limbo.v, 0);
    assert_int_equal(pages_out, before);
    expect_hole(4 * GIB);
    assert_int_equal(pt_map(&pt, gpa(4 * GIB), hpa(4 * GIB), 4 * MIB, PROT_RW, MEM_WB), 0);
    for (unsigned i = 0; i < 2; i++) {
        unsigned p;
        hpa_t got;
        const uint64_t at[] = { 4 * GIB + 3 * MIB, 9 * GIB };

        assert_true(pt_lookup(&other, gpa(at[i]), &got, &p));
        assert_int_equal(got.v, at[i]);
    }
    pages_left = 1 << 20;
    pt_unshare(&other, &pt);
    pt_fini(&other);
    expect_map(4 * GIB, 4 * GIB, PROT_RW);
    expect_map(9 * GIB, 9 * GIB, PROT_RW);
}

/* ---- hardware that does not look into caches ---- */

/* What RAM holds of the tables' pages: what was cleaned; before that, nothing that makes sense. */
static struct ram_page {
    uint64_t at;
    uint8_t byte[PAGE_SIZE];
} ram[256];
static unsigned nram;
static const struct pt *walked; /* the hardware may walk it at any time; NULL: there is none */

static struct ram_page *ram_page(uint64_t at)
{
    unsigned i = 0;

    while (i < nram && ram[i].at != at)
        i++;
    assert_true(i < ARRAY_SIZE(ram));
    if (i == nram) {
        ram[nram++].at = at;
        memset(ram[i].byte, 0xff, PAGE_SIZE);
    }
    return &ram[i];
}

/* fake_kind() aborts on what makes no sense. */
static bool hardware_finds(const struct pt *p, uint64_t ia, hpa_t *oa)
{
    uint64_t at = p->root.v;

    for (unsigned level = 2;; level--) {
        uint64_t e, span = PAGE_SIZE << 9 * level, i = ia / span % 512;

        memcpy(&e, ram_page(at)->byte + 8 * i, 8);
        if (fake_kind(e, level) == PTE_HOLE)
            return false;
        if (fake_kind(e, level) == PTE_LEAF) {
            *oa = hpa(fake_addr(e, level).v + ia % span);
            return true;
        }
        at = fake_addr(e, level).v;
    }
}

void arch_clean_to_ram(const void *at, uint64_t len)
{
    uint64_t from = align_down((uint64_t)at, 64), to = align_up((uint64_t)at + len, 64);
    hpa_t oa;

    for (; from < to; from += 64)
        memcpy(ram_page(align_down(from, PAGE_SIZE))->byte + from % PAGE_SIZE, (const void *)from,
               64);
    for (uint64_t ia = 0; walked && ia < 4 * GIB; ia += 512 * MIB + PAGE_SIZE)
        (void)hardware_finds(walked, ia, &oa);
}

static void expect_in_ram(const struct pt *p, uint64_t ia)
{
    hpa_t a = hpa(0), b = hpa(0);
    unsigned prot;

    assert_int_equal(hardware_finds(p, ia, &a), pt_lookup(p, gpa(ia), &b, &prot));
    assert_int_equal(a.v, b.v);
}

/* After each change RAM has what the caches have, and in the middle of it nothing half done. */
static void test_clean_to_ram(void **state)
{
    struct pt_format f = fake_format;
    struct pt p;

    (void)state;
    f.clean_to_ram = true;
    nram = 0;
    assert_int_equal(pt_init(&p, &f, NULL, NULL), 0);
    walked = &p;
    srand(3);
    for (unsigned i = 0; i < 300; i++) {
        uint64_t unit = rand() % 3 ? PAGE_SIZE : 2 * MIB, len = ((uint64_t)rand() % 4 + 1) * unit,
                 ia = (uint64_t)rand() % 8 * 2 * MIB;

        if (unit == PAGE_SIZE)
            ia += (uint64_t)rand() % 508 * PAGE_SIZE;
        if (rand() % 2)
            (void)!pt_map(&p, gpa(ia), hpa(8 * GIB + ia), len, PROT_RW, MEM_WB);
        else if (rand() % 2)
            assert_int_equal(pt_unmap(&p, gpa(ia), len), 0);
        else if (rand() % 2)
            assert_int_equal(pt_join(&p, gpa(ia), len, PROT_RW), 0);
        else
            assert_int_equal(pt_protect(&p, gpa(ia), len, PROT_R), 0);
        for (uint64_t at = 0; at < 24 * MIB; at += 3 * PAGE_SIZE)
            expect_in_ram(&p, at);
        pt_reap(&p);
    }
    walked = NULL;
    pt_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_largest_leaves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unmap_splits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_protect, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wide_root, setup, teardown),
        cmocka_unit_test_setup_teardown(test_break_before_make, setup, teardown),
        cmocka_unit_test_setup_teardown(test_join, setup, teardown),
        cmocka_unit_test_setup_teardown(test_join_what_fits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_join_keeps_rights, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shared_tables, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clean_to_ram, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
