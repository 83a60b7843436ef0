/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <hv/gmem.h>
#include <hv/panic.h>
#include <hv/percpu.h>
#include <hv/pmm.h>
#include <hv/vcpu.h>
#include <hv/vm.h>

#include "arch/host/host.h"
#include "tests/unit/catch_panic.h"
#include "tests/unit/gmem_fake.h"

static uint64_t free_before;
static uint64_t synced;
static const uint8_t *synced_last;

void arch_sync_code(const void *from, uint64_t len)
{
    synced += len;
    synced_last = (const uint8_t *)from + len;
}

static uint64_t free_now(void)
{
    struct pmm_stats s;

    pmm_stats(&s);
    return s.free;
}

static uint64_t overhead(void) { return vm.charge[CHARGE_OVERHEAD].used; }

/* ---- the machine's side of a view ---- */

/* a view maps RAM at its place, as it really is: nobody may look there */
static bool windows;
static bool strict;
static const struct view *here;
static uint64_t not_direct; /* bytes taken out of the direct map */
static uint8_t taken[GIB / VIEW_BLOCK + 512];
static unsigned forgotten;
bool view_is_here(const struct view *w) { return !strict || here == w; }
void view_load(const struct view *w) { here = w; }
void view_forget(void) { forgotten++; }

int view_map(struct view *w, gpa_t at, hpa_t pa, uint64_t len, uint8_t **where)
{
    (void)w, (void)len;
    *where = windows ? (uint8_t *)(0x100000000000 + at.v) : phys_to_virt(pa);
    return 0;
}

static void direct(hpa_t pa, uint64_t len, uint8_t was)
{
    static uint64_t first;

    first = first ? first : pa.v & ~(GIB - 1);
    assert_int_equal((pa.v | len) % VIEW_BLOCK, 0);
    for (uint64_t i = (pa.v - first) / VIEW_BLOCK; len; len -= VIEW_BLOCK, i++) {
        assert_true(i < sizeof taken);
        assert_int_equal(taken[i], was);
        taken[i] = !was;
        not_direct += was ? -VIEW_BLOCK : VIEW_BLOCK;
    }
}

void view_take_direct(hpa_t pa, uint64_t len) { direct(pa, len, 0); }
void view_give_direct(hpa_t pa, uint64_t len) { direct(pa, len, 1); }

static int setup(void **state)
{
    (void)state;
    memset(&vm, 0, sizeof(vm));
    vm.ops = &ops;
    flushes = 0;
    free_before = free_now();
    return gmem_init(&vm);
}

static int teardown(void **state)
{
    (void)state;
    strict = windows = false;
    gmem_fini(&vm);
    assert_int_equal(not_direct, 0);
    return free_now() != free_before || overhead();
}

static void expect_s2(uint64_t at, unsigned prot)
{
    hpa_t oa = hpa(0);
    unsigned p = 0;

    assert_true(pt_lookup(&vm.gmem.s2, gpa(at), &oa, &p));
    assert_int_equal(p, prot);
    if (gmem_ptr(&vm, gpa(at), 1, PROT_R))
        assert_ptr_equal((void *)oa.v, gmem_ptr(&vm, gpa(at), 1, PROT_R));
}

static void test_pc_layout(void **state)
{
    (void)state;
    assert_int_equal(gmem_add_ram(&vm, gpa(0), 640 * KIB), 0);
    assert_int_equal(gmem_add_ram(&vm, gpa(MIB), 511 * MIB), 0);
    assert_int_equal(vm.gmem.ram_bytes, 511 * MIB + 640 * KIB);
    assert_true(vm.gmem.npieces <= 10);
    assert_true(vm.gmem.main.len >= 256 * MIB);
    assert_non_null(gmem_ptr(&vm, gpa(639 * KIB), KIB, PROT_RW));
    assert_null(gmem_ptr(&vm, gpa(640 * KIB), 1, PROT_R));
    assert_null(gmem_ptr(&vm, gpa(640 * KIB - 1), 2, PROT_R));
    assert_non_null(gmem_ptr(&vm, gpa(512 * MIB - 8), 8, PROT_RWX));
    assert_null(gmem_ptr(&vm, gpa(512 * MIB - 8), 9, PROT_R));
    assert_null(gmem_ptr(&vm, gpa(UINT64_MAX - 3), 8, PROT_R));
    assert_null(gmem_ptr(&vm, gpa(MIB), UINT64_MAX, PROT_R));
    /* Every byte of a range that crosses pieces, and nothing beyond RAM. */
    synced = 0;
    gmem_sync_code(&vm, gpa(MIB + 5), 300 * MIB);
    assert_int_equal(synced, 300 * MIB);
    assert_ptr_equal(synced_last - 1, gmem_ptr(&vm, gpa(301 * MIB + 4), 1, PROT_R));
    synced = 0;
    gmem_sync_code(&vm, gpa(512 * MIB - 3), 8);
    assert_int_equal(synced, 3);
    expect_s2(0, PROT_RWX);
    expect_s2(640 * KIB - 1, PROT_RWX);
    expect_s2(512 * MIB - 1, PROT_RWX);
    for (uint64_t at = 0; at < 5 * GIB; at += 64 * KIB)
        assert_int_equal(gmem_in_hole(&vm.gmem, gpa(at)), at >= 512 * MIB && at < 4 * GIB);
    assert_false(gmem_in_hole(&vm.gmem, gpa(512 * MIB - 1)));
    assert_int_equal(not_direct, 512 * MIB);
    assert_true(overhead() < 128 * KIB + 384 * KIB);
    assert_int_equal(gmem_add_ram(&vm, gpa(2 * MIB), MIB), -EEXIST);
    assert_int_equal(gmem_add_ram(&vm, gpa(GIB), 64 * GIB), -ENOMEM);
}

/*
 * Tables and lists are charged to the guest, and given back as they go; beyond its limit there are
 * none.
 */
static void test_tables_are_charged(void **state)
{
    struct memslot slot = { .base = gpa(GIB),
                            .len = PAGE_SIZE,
                            .host = hpa(GIB),
                            .prot = PROT_RW,
                            .type = MEM_UC,
                            .kind = MEMSLOT_MMIO };
    uint64_t before = overhead();

    (void)state;
    /* the root, and the events of its view */
    assert_true(before > PAGE_SIZE && before < PAGE_SIZE + KIB);
    assert_int_equal(gmem_map(&vm, &slot), 0);
    assert_int_equal(overhead(), before + 3 * PAGE_SIZE);
    assert_int_equal(gmem_unmap(&vm, slot.base, slot.len), 0);
    assert_int_equal(overhead(), before);
    vm.config = &(struct guest_config){ .name = "g" };
    assert_int_equal(pmm_promise(2 * PAGE_SIZE), 0);
    vm.charge[CHARGE_OVERHEAD].limit = before + 2 * PAGE_SIZE;
    vm.limited = true;
    assert_int_equal(gmem_map(&vm, &slot), -ENOMEM);
    pt_reap(&vm.gmem.s2);
    assert_int_equal(overhead(), before);
    assert_int_equal(gmem_add_ram(&vm, gpa(0), 64 * KIB), -ENOMEM);
    pmm_unpromise(vm.charge[CHARGE_OVERHEAD].limit - overhead());
    vm.limited = false;
}

static void test_copies_cross_pieces(void **state)
{
    uint8_t out[4096], in[4096];

    (void)state;
    /* Two slots side by side whose memory is not: something else was taken in between. */
    assert_int_equal(gmem_add_ram(&vm, gpa(0), 4 * MIB), 0);
    hpa_t other = pmm_alloc(10, PMM_HV);
    assert_int_equal(gmem_add_ram(&vm, gpa(4 * MIB), 4 * MIB), 0);
    pmm_free(other, 10, PMM_HV);
    assert_null(gmem_ptr(&vm, gpa(4 * MIB - 4), 8, PROT_R));
    for (unsigned i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)(i * 7);
    assert_int_equal(gmem_write(&vm, gpa(4 * MIB - 1000), out, sizeof(out)), 0);
    assert_int_equal(gmem_read(&vm, gpa(4 * MIB - 1000), in, sizeof(in)), 0);
    assert_memory_equal(in, out, sizeof(in));
    assert_int_equal(gmem_zero(&vm, gpa(4 * MIB - 1), 2), 0);
    assert_int_equal(*(uint8_t *)gmem_ptr(&vm, gpa(4 * MIB - 1), 1, PROT_R) +
                         *(uint8_t *)gmem_ptr(&vm, gpa(4 * MIB), 1, PROT_R),
                     0);
    assert_int_equal(gmem_read(&vm, gpa(8 * MIB - 1), in, 2), -EFAULT);
    uint64_t len = 100 * MIB;
    assert_non_null(gmem_run(&vm, gpa(4 * MIB - 1000), &len, PROT_R));
    assert_int_equal(len, 1000);
}

static void test_scrub(void **state)
{
    uint64_t total = 0;

    (void)state;
    assert_int_equal(gmem_add_ram(&vm, gpa(0), 6 * MIB + PAGE_SIZE), 0);
    for (unsigned round = 0; round < 2; round++) {
        for (uint64_t at = 0; at < 6 * MIB + PAGE_SIZE; at += PAGE_SIZE)
            *(uint64_t *)gmem_ptr(&vm, gpa(at + 8), 8, PROT_W) = 0x5ec2e7;
        for (total = 1; gmem_scrub(&vm, MIB); total++)
            ;
        assert_int_equal(total, 7);
        for (uint64_t at = 0; at < 6 * MIB + PAGE_SIZE; at += PAGE_SIZE)
            assert_int_equal(*(uint64_t *)gmem_ptr(&vm, gpa(at + 8), 8, PROT_R), 0);
        assert_false(gmem_scrub(&vm, MIB));
        gmem_scrub_again(&vm);
    }
}

static uint64_t scrub_steps(uint64_t step)
{
    uint64_t n = 0;

    while (gmem_scrub(&vm, step))
        n++;
    return n;
}

/* What a guest leaves zeroed, the next one gets without zeroing; what another wrote to, not. */
static void test_clean_memory(void **state)
{
    uint64_t len = 8 * MIB + PAGE_SIZE;
    hpa_t other = pmm_alloc(12, PMM_HV);

    (void)state;
    memset(phys_to_virt(other), 0xa5, 16 * MIB);
    pmm_free(other, 12, PMM_HV);
    assert_int_equal(gmem_add_ram(&vm, gpa(0), len), 0);
    assert_int_equal(scrub_steps(MIB), 8);
    memset(gmem_ptr(&vm, gpa(2 * MIB), MIB, PROT_W), 0xa5, MIB);
    gmem_scrub_again(&vm);
    assert_int_equal(scrub_steps(MIB), 8);
    gmem_set_zeroed(&vm);
    gmem_fini(&vm);

    len = 10 * MIB; /* with the rest of the block of which a page was RAM */
    assert_int_equal(gmem_init(&vm), 0);
    assert_int_equal(gmem_add_ram(&vm, gpa(0), len), 0);
    assert_int_equal(scrub_steps(MIB), 1);
    for (uint64_t at = 0; at < len; at += PAGE_SIZE)
        assert_int_equal(*(uint64_t *)gmem_ptr(&vm, gpa(at), 8, PROT_R), 0);
    memset(gmem_ptr(&vm, gpa(6 * MIB), MIB, PROT_W), 0xa5, MIB);
    gmem_fini(&vm); /* not zeroed */

    other = pmm_alloc(9, PMM_HV);
    memset(phys_to_virt(other), 0xa5, 2 * MIB);
    pmm_free(other, 9, PMM_HV);
    assert_int_equal(gmem_init(&vm), 0);
    assert_int_equal(gmem_add_ram(&vm, gpa(0), len), 0);
    assert_int_equal(scrub_steps(MIB), 9);
    assert_int_equal(*(uint64_t *)gmem_ptr(&vm, gpa(6 * MIB), 8, PROT_R), 0);
}

/* Debug builds look before a guest gets it. */
static void test_memory_that_was_not_zeroed(void **state)
{
    (void)state;
    assert_int_equal(gmem_add_ram(&vm, gpa(0), 4 * MIB), 0);
    gmem_scrub_again(&vm);
    assert_int_equal(scrub_steps(4 * MIB), 0);
    *(uint64_t *)gmem_ptr(&vm, gpa(3 * MIB), 8, PROT_W) = 1;
    gmem_set_zeroed(&vm);
    gmem_fini(&vm);
    assert_int_equal(gmem_init(&vm), 0);
    assert_int_equal(gmem_add_ram(&vm, gpa(0), 4 * MIB), 0);
    panic_text[0] = '\0';
    if (!setjmp(on_panic))
        (void)gmem_scrub(&vm, MIB);
    assert_non_null(strstr(panic_text, "not zeroed"));
}

static void test_rom_and_mmio(void **state)
{
    hpa_t rom = pmm_alloc_zero(0, PMM_HV);
    struct memslot s = { .base = gpa(0xfffff000),
                         .len = PAGE_SIZE,
                         .host = rom,
                         .prot = PROT_RWX,
                         .kind = MEMSLOT_ROM };

    (void)state;
    assert_int_equal(gmem_add_ram(&vm, gpa(0), 2 * MIB), 0);
    assert_int_equal(gmem_map(&vm, &s), 0);
    assert_int_equal(gmem_map(&vm, &s), -EEXIST);
    assert_ptr_equal(gmem_ptr(&vm, gpa(0xfffff010), 16, PROT_R), (char *)phys_to_virt(rom) + 16);
    assert_null(gmem_ptr(&vm, gpa(0xfffff010), 16, PROT_W));
    assert_int_equal(gmem_zero(&vm, gpa(0xfffff000), 1), -EFAULT);
    expect_s2(0xfffff000, PROT_R | PROT_X);
    s = (struct memslot){ .base = gpa(4 * GIB),
                          .len = 4 * MIB,
                          .host = hpa(GIB),
                          .prot = PROT_RW,
                          .kind = MEMSLOT_MMIO,
                          .type = MEM_UC };
    assert_int_equal(gmem_map(&vm, &s), 0);
    assert_null(gmem_ptr(&vm, gpa(4 * GIB), 1, PROT_R));
    expect_s2(4 * GIB, PROT_RW);
    assert_int_equal(gmem_unmap(&vm, gpa(4 * GIB), 2 * MIB), -EINVAL);
    assert_int_equal(gmem_unmap(&vm, gpa(0), 5 * GIB), -EINVAL);
    assert_int_equal(gmem_unmap(&vm, gpa(4 * GIB), 4 * MIB), 0);
    assert_int_equal(flushes, 1);
    hpa_t oa;
    unsigned p;
    assert_false(pt_lookup(&vm.gmem.s2, gpa(4 * GIB), &oa, &p));
    s.base = gpa(1);
    assert_int_equal(gmem_map(&vm, &s), -EINVAL);
    s.kind = MEMSLOT_RAM;
    assert_int_equal(gmem_map(&vm, &s), -EINVAL);
    pmm_free(rom, 0, PMM_HV);
}

static unsigned prot_at(uint64_t at)
{
    unsigned p = 0;
    hpa_t oa;

    assert_true(pt_lookup(&vm.gmem.s2, gpa(at), &oa, &p));
    assert_ptr_equal(phys_to_virt(oa), gmem_ptr(&vm, gpa(at), 1, PROT_R));
    return p;
}

/*
 * What is executed becomes small and executable, 2 MiB at a time; nothing else does, and one table
 * holds it.
 */
static void test_executable_pages_are_small(void **state)
{
    uint64_t tables;

    (void)state;
    small_exec = true;
    assert_int_equal(gmem_add_ram(&vm, gpa(0), 16 * MIB), 0);
    assert_int_equal(prot_at(5 * MIB), PROT_RW);
    tables = vm.gmem.s2.tables;
    assert_int_equal(gmem_make_exec(&vm, gpa(5 * MIB + 0x123)), 0);
    assert_int_equal(vm.gmem.s2.tables, tables + 1);
    for (uint64_t at = 0; at < 16 * MIB; at += PAGE_SIZE)
        assert_int_equal(prot_at(at), at >= 4 * MIB && at < 6 * MIB ? PROT_RWX : PROT_RW);
    assert_int_equal(gmem_make_exec(&vm, gpa(5 * MIB)), 0);
    assert_int_equal(vm.gmem.s2.tables, tables + 1);
    assert_int_equal(gmem_make_exec(&vm, gpa(16 * MIB)), -EFAULT);
    assert_int_equal(gmem_make_exec(&vm, gpa(UINT64_MAX)), -EFAULT);
    small_exec = false;
}

/*
 * Whatever the host's memory looks like, what lies side by side in the guest does so in its view.
 */
static void test_one_piece_in_a_view(void **state)
{
    hpa_t other;

    (void)state;
    windows = true;
    assert_int_equal(gmem_add_ram(&vm, gpa(0), 640 * KIB), 0);
    assert_int_equal(gmem_add_ram(&vm, gpa(MIB), 5 * MIB), 0);
    other = pmm_alloc(10, PMM_HV);
    assert_int_equal(gmem_add_ram(&vm, gpa(6 * MIB), 100 * MIB), 0);
    pmm_free(other, 10, PMM_HV);
    assert_int_equal(vm.gmem.npieces, 2);
    assert_ptr_equal(gmem_ptr(&vm, gpa(MIB), 105 * MIB, PROT_RW), 0x100000000000 + MIB);
    assert_null(gmem_ptr(&vm, gpa(640 * KIB), 1, PROT_R));
    assert_null(gmem_ptr(&vm, gpa(106 * MIB), 1, PROT_R));
}

/*
 * Every page of RAM belongs to one guest, is in the direct map before and after, and never
 * meanwhile.
 */
static void test_memory_has_an_owner(void **state)
{
    static const struct guest_config config = { .name = "alice" };
    struct pmm_stats s;
    hpa_t at;
    unsigned prot;

    (void)state;
    gmem_fini(&vm);
    vm.config = &config;
    assert_int_equal(gmem_init(&vm), 0);
    assert_int_equal(gmem_add_ram(&vm, gpa(PAGE_SIZE), 3 * PAGE_SIZE), 0);
    assert_int_equal(gmem_add_ram(&vm, gpa(MIB), 9 * MIB), 0);
    for (uint64_t i = PAGE_SIZE; i < 10 * MIB; i += PAGE_SIZE) {
        if (!pt_lookup(&vm.gmem.s2, gpa(i), &at, &prot))
            continue;
        assert_string_equal(gmem_owner(at), "alice");
        direct(hpa(at.v & ~(VIEW_BLOCK - 1)), VIEW_BLOCK, 1);
        direct(hpa(at.v & ~(VIEW_BLOCK - 1)), VIEW_BLOCK, 0);
    }
    assert_int_equal(not_direct, 10 * MIB);
    pmm_stats(&s);
    assert_int_equal(s.by_owner[PMM_GUEST], 9 * MIB + 3 * PAGE_SIZE);
    assert_int_equal(s.by_owner[PMM_HV], MIB - 3 * PAGE_SIZE);
    assert_true(overhead() > MIB - 3 * PAGE_SIZE);
    assert_string_equal(gmem_name(&vm.gmem.view), "alice");
    gmem_fini(&vm);
    assert_null(gmem_owner(at));
    vm.config = NULL;
}

static void use(void) { (void)gmem_ptr(&vm, gpa(0), 1, PROT_R); }
static void run(void)
{
    uint64_t n = 1;
    (void)gmem_run(&vm, gpa(0), &n, PROT_R);
}
static void scrub(void) { (void)gmem_scrub(&vm, PAGE_SIZE); }

static void test_outside_of_the_view(void **state)
{
    static void (*const what[])(void) = { use, run, scrub };

    (void)state;
    assert_int_equal(gmem_add_ram(&vm, gpa(0), 2 * MIB), 0);
    strict = true;
    for (unsigned i = 0; i < 3; i++) {
        view_enter(this_cpu(), NULL);
        panic_text[0] = '\0';
        if (!setjmp(on_panic))
            what[i]();
        assert_non_null(strstr(panic_text, "outside of its view"));
        gmem_enter(&vm.gmem);
        what[i]();
    }
    view_enter(this_cpu(), NULL);
}

static unsigned thens;
static void then_fn(struct event *ev)
{
    (void)ev;
    thens++;
}

/* A CPU that is in the view leaves it, any other stays where it is; both forget what they knew. */
static void test_settle(void **state)
{
    static struct view other;
    struct event then;

    (void)state;
    event_init(&then, then_fn, 0);
    assert_true(gmem_settled(&vm));
    for (unsigned i = 0; i < 2; i++) {
        view_enter(this_cpu(), i ? &other : &vm.gmem.view);
        gmem_settle(&vm, &then);
        assert_false(gmem_settled(&vm));
        while (event_run())
            ;
        assert_true(gmem_settled(&vm));
        assert_ptr_equal(here, i ? &other : NULL);
        assert_ptr_equal(this_cpu()->view, here);
        assert_int_equal(thens, i + 1);
        assert_int_equal(forgotten, i + 1);
    }
    view_enter(this_cpu(), NULL);
}

/* Pages that Trivet writes and the guest reads: small, whatever a block of RAM is. */
static void test_own_rom(void **state)
{
    uint64_t before = overhead();
    uint32_t *p;

    (void)state;
    assert_int_equal(gmem_add_rom(&vm, gpa(GIB), 2 * PAGE_SIZE), 0);
    assert_in_range(overhead() - before, 2 * PAGE_SIZE, 8 * PAGE_SIZE);
    assert_int_equal(not_direct, 0);
    expect_s2(GIB + PAGE_SIZE, PROT_R);
    assert_null(gmem_ptr(&vm, gpa(GIB), 4, PROT_W));
    p = gmem_ptr(&vm, gpa(GIB + PAGE_SIZE), 4, PROT_R);
    assert_non_null(p);
    assert_int_equal(*p, 0);
    assert_int_equal(gmem_add_rom(&vm, gpa(GIB + PAGE_SIZE), PAGE_SIZE), -EEXIST);
}

/* A page that could not be listed is freed, and the guest must not reach it. */
static void test_no_room_for_rom(void **state)
{
    uint64_t at = GIB, before;
    hpa_t oa;
    unsigned prot;

    (void)state;
    do {
        assert_int_equal(gmem_add_rom(&vm, gpa(at), PAGE_SIZE), 0);
        at += 2 * PAGE_SIZE;
    } while (vm.gmem.npieces < vm.gmem.room_pieces);
    before = overhead();
    vm.config = &(struct guest_config){ .name = "g" };
    assert_int_equal(pmm_promise(PAGE_SIZE), 0);
    vm.charge[CHARGE_OVERHEAD].limit = before + PAGE_SIZE;
    vm.limited = true;
    assert_int_equal(gmem_add_rom(&vm, gpa(at), PAGE_SIZE), -ENOMEM);
    pmm_unpromise(vm.charge[CHARGE_OVERHEAD].limit - overhead());
    vm.limited = false;
    assert_int_equal(overhead(), before);
    assert_false(pt_lookup(&vm.gmem.s2, gpa(at), &oa, &prot));
    assert_int_equal(gmem_add_rom(&vm, gpa(at), PAGE_SIZE), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pc_layout, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tables_are_charged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_copies_cross_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scrub, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clean_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_that_was_not_zeroed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rom_and_mmio, setup, teardown),
        cmocka_unit_test_setup_teardown(test_executable_pages_are_small, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_piece_in_a_view, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_has_an_owner, setup, teardown),
        cmocka_unit_test_setup_teardown(test_outside_of_the_view, setup, teardown),
        cmocka_unit_test_setup_teardown(test_settle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_own_rom, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_room_for_rom, setup, teardown),
    };

    host_init(1, GIB);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
