/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's memory while it runs: the log of pages that are written to, against a model; the page
 * tables of its devices, which must equal its stage 2; ROM that becomes trapped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <hv/pmm.h>
#include <stdlib.h>
#include <string.h>

#include "arch/host/host.h"
#include "tests/unit/gmem_fake.h"

#define RAM (8 * MIB)
#define HIGH (4 * GIB)
#define HIGH_RAM (2 * MIB + 3 * PAGE_SIZE)
#define ROM (0xffff0000ull)
#define ROM_LEN (64 * KIB)
#define PAGES ((RAM + HIGH_RAM) / PAGE_SIZE)

static hpa_t rom;
static unsigned forgets;

static void forget(struct vcpu *v)
{
    (void)v;
    forgets++;
}

static uint64_t forgotten;

static void forget_page(struct vm *v, gpa_t at, uint64_t len)
{
    assert_ptr_equal(v, &vm);
    assert_int_equal(len, PAGE_SIZE);
    forgotten = at.v;
}

static struct vcpu_ops logged_ops = {
    .name = "t", .s2 = &format, .vcpu_tlb_flush = forget, .tlb_flush = forget_page
};
static struct vcpu vcpu = { .vm = &vm, .ops = &logged_ops };

static int setup(void **state)
{
    const struct memslot s = { .base = gpa(ROM),
                               .len = ROM_LEN,
                               .host = rom = pmm_alloc_zero(4, PMM_HV),
                               .prot = PROT_R | PROT_X,
                               .kind = MEMSLOT_ROM };

    (void)state;
    memset(&vm, 0, sizeof vm);
    vm.ops = &logged_ops;
    flushes = forgets = 0;
    return gmem_init(&vm) || gmem_add_ram(&vm, gpa(0), RAM) ||
           gmem_add_ram(&vm, gpa(HIGH), HIGH_RAM) || gmem_map(&vm, &s);
}

static int teardown(void **state)
{
    (void)state;
    gmem_fini(&vm);
    pmm_free(rom, 4, PMM_HV);
    return (int)vm.charge[CHARGE_OVERHEAD].used;
}

static uint64_t page_at(uint64_t i)
{
    return i < RAM / PAGE_SIZE ? i * PAGE_SIZE : HIGH + i * PAGE_SIZE - RAM;
}

static unsigned s2_prot(uint64_t at)
{
    unsigned p = 0;
    hpa_t oa;

    return pt_lookup(&vm.gmem.s2, gpa(at), &oa, &p) ? p : 0;
}

/* ---- the log ---- */

/* what the guest and Trivet wrote, since it was asked for; and what Trivet wrote the time before */
static bool by_guest[PAGES], by_us[PAGES], by_us_before[PAGES];

static void guest_writes(uint64_t i)
{
    bool had;

    if (i % 3 == 0) /* it executes there, too: that makes nothing writable unseen */
        assert_int_equal(gmem_make_exec(&vm, gpa(page_at(i))), 0);
    had = s2_prot(page_at(i)) & PROT_W;
    if (!had) {
        assert_true(gmem_log_exit(&vcpu, gpa(page_at(i) + 123)));
        assert_int_equal(forgotten, page_at(i));
    }
    assert_true(s2_prot(page_at(i)) & PROT_W);
    by_guest[i] = true;
}

static void we_write(uint64_t i, unsigned how)
{
    uint8_t *p = NULL, byte = (uint8_t)i;
    uint64_t len = 10;

    switch (how) {
    case 0: p = gmem_ptr(&vm, gpa(page_at(i) + 8), 8, PROT_RW); break;
    case 1: p = gmem_run(&vm, gpa(page_at(i)), &len, PROT_W); break;
    case 2: assert_int_equal(gmem_write(&vm, gpa(page_at(i) + 4095), &byte, 1), 0); break;
    default: /* a pointer that was kept */
        p = gmem_ptr(&vm, gpa(page_at(i)), 8, PROT_R);
        gmem_wrote(&vm, p, 8);
    }
    if (p)
        *p = byte;
    by_us[i] = true;
}

static void take(uint64_t first, uint64_t n)
{
    uint64_t bits[(PAGES + 63) / 64], found = 0, got = 0;

    memset(bits, 0xa5, sizeof bits);
    for (uint64_t i = first; i < first + n;) {
        /* a call for each piece */
        uint64_t end = i < RAM / PAGE_SIZE ? RAM / PAGE_SIZE : PAGES,
                 now = min_u64(end, first + n) - i;

        got += gmem_log_take(&vm, gpa(page_at(i)), now, bits);
        for (uint64_t k = 0; k < now; k++, i++) {
            bool dirty = by_guest[i] || by_us[i] || by_us_before[i];

            assert_int_equal(bits[k / 64] >> (k & 63) & 1, dirty);
            found += dirty;
            by_us_before[i] = by_us[i];
            by_guest[i] = by_us[i] = false;
        }
    }
    assert_int_equal(got, found);
}

static void start_log(void)
{
    assert_int_equal(gmem_log_start(&vm), 0);
    for (uint64_t i = 0; i < PAGES; i++) {
        by_us_before[i] = true; /* all of it, once */
        by_guest[i] = by_us[i] = false;
        assert_int_equal(s2_prot(page_at(i)), PROT_R | PROT_X);
    }
}

static void test_log_against_a_model(void **state)
{
    uint64_t tables = vm.gmem.s2.tables, used = vm.charge[CHARGE_OVERHEAD].used;

    (void)state;
    srand(1);
    start_log();
    assert_int_equal(gmem_log_start(&vm), -EBUSY);
    for (unsigned step = 0; step < 4000; step++) {
        uint64_t i = (uint64_t)rand() % PAGES;

        if (rand() % 50 == 0)
            take(i, (uint64_t)rand() % (PAGES - i) + 1);
        else if (rand() % 2)
            guest_writes(i);
        else
            we_write(i, (unsigned)rand() % 4);
    }
    take(0, PAGES);
    take(0, PAGES);
    take(0, PAGES); /* nothing is left */
    assert_null(gmem_ptr(&vm, gpa(RAM - 4), 8, PROT_RW));
    assert_true(vm.gmem.s2.tables > tables);
    gmem_log_stop(&vm);
    assert_int_equal(vm.gmem.s2.tables, tables); /* large leaves again, and paid back */
    assert_int_equal(vm.charge[CHARGE_OVERHEAD].used, used);
    for (uint64_t i = 0; i < PAGES; i++)
        assert_int_equal(s2_prot(page_at(i)), PROT_RWX);
    assert_int_equal(vm.gmem.main.len, RAM);
    assert_false(gmem_log_exit(&vcpu, gpa(0)));
}

/* What was taken is written to again only after an exit; every CPU forgets the right before. */
static void test_log_cuts_off(void **state)
{
    (void)state;
    start_log();
    assert_int_equal(flushes, 1);
    take(0, PAGES);
    assert_int_equal(flushes, 1); /* nobody had the right */
    guest_writes(5);
    assert_int_equal(forgets, 1);
    guest_writes(5); /* has the right: no exit */
    assert_int_equal(forgets, 1);
    assert_int_equal(s2_prot(4 * PAGE_SIZE), PROT_R | PROT_X);
    take(0, PAGES);
    assert_int_equal(flushes, 2);
    assert_int_equal(s2_prot(5 * PAGE_SIZE), PROT_R | PROT_X);
    assert_false(gmem_log_exit(&vcpu, gpa(ROM)));
    assert_false(gmem_log_exit(&vcpu, gpa(3 * GIB)));
}

/* No memory to split a large leaf: all counts as written to, and the guest goes on. */
static void test_log_without_memory(void **state)
{
    struct guest_config c = { .name = "g" };
    uint64_t bits[PAGES / 64 + 1];

    (void)state;
    start_log();
    vm.config = &c;
    vm.charge[CHARGE_OVERHEAD].limit = vm.charge[CHARGE_OVERHEAD].used;
    vm.limited = true;
    assert_true(gmem_log_exit(&vcpu, gpa(PAGE_SIZE)));
    vm.limited = false;
    assert_int_equal(s2_prot(PAGE_SIZE), PROT_RWX);
    assert_int_equal(s2_prot(HIGH), PROT_RWX);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(gmem_log_take(&vm, gpa(0), RAM / PAGE_SIZE, bits), RAM / PAGE_SIZE);
}

/* ---- devices ---- */

struct fake_iommu {
    struct gmem_domain d;
    unsigned flushes;
};

static void iommu_flush(struct gmem_domain *d, gpa_t at, uint64_t len)
{
    (void)at, (void)len;
    container_of(d, struct fake_iommu, d)->flushes++;
}

static int64_t paid, pay_limit;
static int pay(void *payer, int64_t bytes)
{
    (void)payer;
    if (bytes > 0 && paid + bytes > pay_limit)
        return -ENOMEM;
    paid += bytes;
    return 0;
}

static void iommu_new(struct fake_iommu *f)
{
    *f = (struct fake_iommu){ .d.flush = iommu_flush };
    assert_int_equal(pt_init(&f->d.pt, &format, pay, NULL), 0);
}

/* Every page that either of the two has. */
static void expect_equal(const struct fake_iommu *f)
{
    static const struct {
        uint64_t at, len;
    } part[] = { { 0, RAM + MIB },
                 { ROM - MIB, ROM_LEN + MIB },
                 { HIGH - MIB, HIGH_RAM + 6 * MIB } };

    for (unsigned i = 0; i < ARRAY_SIZE(part); i++)
        for (uint64_t at = part[i].at; at < part[i].at + part[i].len; at += PAGE_SIZE) {
            hpa_t a = hpa(0), b = hpa(0);
            unsigned pa = 0, pb = 0;
            bool here = pt_lookup(&vm.gmem.s2, gpa(at), &a, &pa);

            assert_int_equal(pt_lookup(&f->d.pt, gpa(at), &b, &pb), here);
            assert_int_equal(a.v, b.v);
            assert_int_equal(pa & PROT_RW, pb);
        }
}

static void expect_nothing(const struct fake_iommu *f)
{
    assert_int_equal(f->d.pt.tables, 1);
    for (unsigned i = 0; i < 512; i++)
        assert_int_equal(((const uint64_t *)phys_to_virt(f->d.pt.root))[i], 0);
}

static const struct memslot bar = { .base = { HIGH + 6 * MIB - 16 * PAGE_SIZE },
                                    .len = 16 * PAGE_SIZE,
                                    .host = { GIB },
                                    .prot = PROT_RW,
                                    .type = MEM_UC,
                                    .kind = MEMSLOT_MMIO };

static void test_devices_reach_what_the_guest_does(void **state)
{
    struct fake_iommu f[2];

    (void)state;
    pay_limit = MIB;
    iommu_new(&f[0]);
    iommu_new(&f[1]);
    assert_int_equal(gmem_attach(&vm, &f[0].d), 0);
    expect_equal(&f[0]);
    expect_nothing(&f[1]);
    assert_int_equal(gmem_attach(&vm, &f[1].d), 0);
    assert_int_equal(gmem_map(&vm, &bar), 0);
    expect_equal(&f[0]);
    expect_equal(&f[1]);
    assert_int_equal(gmem_rom_trap(&vm, gpa(ROM), true), 0);
    expect_equal(&f[0]);
    assert_int_equal(gmem_log_start(&vm), -EBUSY);
    f[0].flushes = f[1].flushes = 0;
    assert_int_equal(gmem_unmap(&vm, bar.base, bar.len), 0);
    assert_int_equal(f[0].flushes, 1);
    assert_int_equal(f[1].flushes, 1);
    expect_equal(&f[0]);
    gmem_detach(&vm, &f[0].d);
    assert_true(f[0].flushes > 1);
    expect_nothing(&f[0]);
    expect_equal(&f[1]);
    assert_int_equal(gmem_rom_trap(&vm, gpa(ROM), false), 0);
    expect_equal(&f[1]);
    gmem_detach(&vm, &f[1].d);
    expect_nothing(&f[1]);
    pt_fini(&f[0].d.pt);
    pt_fini(&f[1].d.pt);
    assert_int_equal(paid, 0);
}

/* Memory that runs out anywhere leaves all tables as they were. */
static void test_all_or_none(void **state)
{
    struct fake_iommu f;
    unsigned tries = 0;
    int err = -ENOMEM;

    (void)state;
    for (pay_limit = PAGE_SIZE; err; pay_limit += PAGE_SIZE, tries++) {
        iommu_new(&f);
        err = gmem_attach(&vm, &f.d);
        if (!err)
            break;
        assert_int_equal(err, -ENOMEM);
        expect_nothing(&f);
        pt_fini(&f.d.pt);
        assert_int_equal(paid, 0);
    }
    assert_in_range(tries, 3, 20);
    pay_limit = paid; /* no table more */
    assert_int_equal(gmem_map(&vm, &bar), -ENOMEM);
    expect_equal(&f);
    assert_int_equal(s2_prot(bar.base.v), 0);
    pay_limit = MIB;
    assert_int_equal(gmem_map(&vm, &bar), 0);
    expect_equal(&f);
    gmem_detach(&vm, &f.d);
    pt_fini(&f.d.pt);
}

static void test_no_devices_while_logging(void **state)
{
    struct fake_iommu f;

    (void)state;
    pay_limit = MIB;
    iommu_new(&f);
    start_log();
    assert_int_equal(gmem_attach(&vm, &f.d), -EBUSY);
    expect_nothing(&f);
    gmem_log_stop(&vm);
    assert_int_equal(gmem_attach(&vm, &f.d), 0);
    gmem_detach(&vm, &f.d);
    pt_fini(&f.d.pt);
}

/* ---- flash ---- */

static void test_rom_becomes_trapped(void **state)
{
    uint8_t *flash = phys_to_virt(rom), byte = 0;

    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        flash[5] = (uint8_t)(7 + round);
        assert_int_equal(gmem_read(&vm, gpa(ROM + 5), &byte, 1), 0);
        assert_int_equal(byte, 7 + round);
        assert_int_equal(s2_prot(ROM), PROT_R | PROT_X);
        flushes = 0;
        assert_int_equal(gmem_rom_trap(&vm, gpa(ROM), true), 0);
        assert_int_equal(flushes, 1);
        assert_int_equal(s2_prot(ROM), 0);
        assert_null(gmem_ptr(&vm, gpa(ROM), 1, PROT_R));
        assert_int_equal(gmem_read(&vm, gpa(ROM + 5), &byte, 1), -EFAULT);
        assert_int_equal(gmem_rom_trap(&vm, gpa(ROM), true), 0); /* it is: nothing to do */
        assert_int_equal(flushes, 1);
        assert_int_equal(gmem_rom_trap(&vm, gpa(ROM), false), 0);
        assert_null(gmem_ptr(&vm, gpa(ROM), 1, PROT_W));
    }
    assert_int_equal(gmem_rom_trap(&vm, gpa(ROM + PAGE_SIZE), true), -ENOENT);
    assert_int_equal(gmem_rom_trap(&vm, gpa(0), true), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_log_against_a_model, setup, teardown),
        cmocka_unit_test_setup_teardown(test_log_cuts_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_log_without_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_devices_reach_what_the_guest_does, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all_or_none, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_devices_while_logging, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rom_becomes_trapped, setup, teardown),
    };

    host_init(1, 128 * MIB);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
