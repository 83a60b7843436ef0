/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest saved into host memory and restored: its life, what is kept, and what goes wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <hv/time.h>

#include "fake_stage2.h"
#include "vm_fake.h"

static uint8_t page[PAGE_SIZE];

static void put(uint64_t at, uint8_t with)
{
    memset(page, with, sizeof page);
    gmem_enter(&vm->gmem);
    assert_int_equal(gmem_write(vm, gpa(at), page, sizeof page), 0);
}

static bool holds(uint64_t at, uint8_t what)
{
    gmem_enter(&vm->gmem);
    assert_int_equal(gmem_read(vm, gpa(at), page, sizeof page), 0);
    for (unsigned i = 0; i < sizeof page; i++)
        if (page[i] != what)
            return false;
    return true;
}

static void save_it(void)
{
    assert_int_equal(vm_save(vm), 0);
    assert_true(vm->save.under_way);
    assert_int_equal(vm_save(vm), -EBUSY);
    for (unsigned i = 0; i < 100 && vm->save.under_way; i++)
        turn();
    assert_false(vm->save.under_way);
}

static uint64_t held(void)
{
    struct pmm_stats s;

    pmm_stats(&s);
    return s.by_owner[PMM_SAVED];
}

static int forget(void **state)
{
    if (vm_saved(vm, NULL))
        assert_int_equal(vm_drop(vm), 0);
    turns(20);
    assert_int_equal(held(), 0);
    fake_refuses = 0;
    return stop(state);
}

/* Registers, memory and the clock; what came after the save is gone, and zeros are zeros again. */
static void test_round(void **state)
{
    struct saved_info info;
    uint64_t then;

    (void)state;
    put(0x3000, 0x33);
    put(config.memory - PAGE_SIZE, 0x44);
    vm->vcpu[1]->regs.pc = 0x1234;
    fake_device_value = 7;
    save_it();
    assert_int_equal(vm->save.result, 0);
    assert_int_equal(vm->state, VM_RUNNING);
    assert_true(vm_saved(vm, &info));
    assert_int_equal(info.pages, 2);
    assert_int_equal(info.bytes, held());
    then = info.guest_ns;
    put(0x3000, 0x55);
    put(0x5000, 0x66);
    fake_device_value = 8;
    turns(10);
    assert_int_equal(vm_restore(vm), -EBUSY);
    vm_request_off(vm, "test");
    turns(10);
    assert_int_equal(vm->state, VM_OFF);
    assert_int_equal(vm_restore(vm), 0);
    assert_int_equal(vm_drop(vm), -EBUSY);
    for (unsigned i = 0; i < 20 && vm->state == VM_STARTING; i++)
        turn();
    assert_int_equal(vm->state, VM_RUNNING);
    assert_in_range(vm_time_ns(vm), then, then + 5000000);
    assert_true(holds(0x3000, 0x33) && holds(config.memory - PAGE_SIZE, 0x44));
    assert_true(holds(0x5000, 0));
    assert_int_equal(vm->vcpu[1]->regs.pc, 0x1234);
    assert_int_equal(fake_device_value, 7);
}

/* Of a paused guest, which stays paused; a second one replaces the first when it is done. */
static void test_paused(void **state)
{
    uint64_t one;

    (void)state;
    assert_int_equal(vm_pause(vm), 0);
    turns(4);
    assert_int_equal(vm->state, VM_PAUSED);
    save_it();
    assert_int_equal(vm->state, VM_PAUSED);
    one = held();
    save_it();
    turns(20);
    assert_int_equal(held(), one);
    assert_int_equal(vm_resume(vm), 0);
}

/* True: that many turns into the save somebody asked for a pause. In the end it is paused. */
static bool pause_into_save(unsigned after)
{
    bool saving;

    assert_int_equal(vm_save(vm), 0);
    turns(after);
    saving = vm->save.under_way;
    assert_int_equal(vm_pause_to_stay(vm), 0);
    turns(200);
    assert_false(vm->save.under_way);
    assert_int_equal(vm->save.result, 0);
    assert_int_equal(vm->state, VM_PAUSED);
    assert_int_equal(vm_resume(vm), 0);
    return saving;
}

/* Whenever somebody asks for it, a pause is not undone by a save, nor does it reach into the next.
 */
static void test_pause_into_save(void **state)
{
    unsigned n = 0;

    (void)state;
    while (pause_into_save(n))
        n++;
    assert_in_range(n, 3, 100);
    assert_int_equal(vm_pause_to_stay(vm), 0); /* before it */
    assert_int_equal(vm_save(vm), 0);
    turns(200);
    assert_int_equal(vm->state, VM_PAUSED);
    assert_int_equal(vm_resume(vm), 0);
    save_it();
    assert_int_equal(vm->state, VM_RUNNING);
}

static void test_nothing(void **state)
{
    (void)state;
    assert_false(vm_saved(vm, NULL));
    assert_int_equal(vm_drop(vm), -ENOENT);
    vm_request_off(vm, "test");
    turns(10);
    assert_int_equal(vm_restore(vm), -ENOENT);
    assert_int_equal(vm_save(vm), -EBUSY);
}

/* It cannot be resumed in between; and it ends in between: nothing is left of the attempt. */
static void test_ends(void **state)
{
    (void)state;
    assert_int_equal(vm_pause(vm), 0);
    turns(4);
    assert_int_equal(vm_save(vm), 0);
    assert_int_equal(vm_resume(vm), -EBUSY);
    vm_request_off(vm, "test");
    turns(10);
    assert_int_equal(vm->state, VM_OFF);
    assert_false(vm->save.under_way);
    assert_int_equal(vm->save.result, -EIO);
    assert_false(vm_saved(vm, NULL));
}

/* A device takes time to stand still; the pause waits for it. */
static void test_busy_device(void **state)
{
    (void)state;
    fake_standing = -EINPROGRESS;
    assert_int_equal(vm_save(vm), 0);
    turns(10);
    assert_int_equal(vm->state, VM_RUNNING);
    fake_standing = 0;
    event_post(&vm->lifecycle);
    turns(20);
    assert_false(vm->save.under_way);
    assert_int_equal(vm->save.result, 0);
    assert_int_equal(vm->state, VM_RUNNING);
}

/* A device refuses its state: the guest does not run, and what was saved stays. */
static void test_refused(void **state)
{
    (void)state;
    save_it();
    vm_request_off(vm, "test");
    turns(10);
    fake_refuses = -EINVAL;
    assert_int_equal(vm_restore(vm), 0);
    turns(30);
    assert_int_equal(vm->state, VM_OFF);
    assert_non_null(strstr(vm->why, "device"));
    assert_true(vm_saved(vm, NULL));
}

/* All memory that is free is promised to others. */
static void test_no_memory(void **state)
{
    struct pmm_stats s;
    uint64_t left;

    (void)state;
    for (uint64_t at = 0; at < config.memory; at += PAGE_SIZE)
        put(at, 1);
    pmm_stats(&s);
    left = s.free - s.promised - PMM_RESERVE - 64 * KIB;
    assert_int_equal(pmm_promise(left), 0);
    save_it();
    assert_int_equal(vm->save.result, -ENOMEM);
    assert_non_null(strstr(vm->save.why, "not enough free memory"));
    assert_int_equal(vm->state, VM_RUNNING);
    turns(20);
    assert_int_equal(held(), 0);
    pmm_unpromise(left);
}

/* ---- while it runs ---- */

static uint64_t stores, stores_saved;
static uint64_t all_until;    /* each run stores to all pages below it */
static uint64_t few_until[4]; /* the same, by the round */

static int start_live(void **state)
{
    engine.s2 = &format;
    config.memory = 24 * MIB; /* several steps, between which the guest runs */
    return start(state);
}

static int forget_live(void **state)
{
    int err = forget(state);

    all_until = 0;
    memset(few_until, 0, sizeof few_until);
    engine.s2 = NULL;
    config.memory = 4 * MIB;
    return err;
}

/* As the guest does: by stage 2, not by gmem_ptr(). */
static void guest_store(uint64_t at, uint64_t value)
{
    uint64_t *p = gmem_ptr(vm, gpa(at), 8, PROT_R);
    unsigned prot = 0;
    hpa_t oa;

    assert_true(pt_lookup(&vm->gmem.s2, gpa(at), &oa, &prot));
    if (!(prot & PROT_W))
        assert_true(gmem_log_exit(vm->vcpu[0], gpa(at)));
    *p = value;
}

static void store_on(struct vcpu *v)
{
    (void)v;
    guest_store(0x7000, ++stores);
    for (uint64_t at = 0x10000; at < all_until; at += PAGE_SIZE)
        guest_store(at, stores);
    for (uint64_t at = 0x10000; at < few_until[vm->save.round]; at += PAGE_SIZE)
        guest_store(at, stores);
    if (vm->save.under_way)
        stores_saved = stores;
    if (vm->save.phase == SAVE_LIVE && vm->save.under_way) {
        put(0x9000, 0x99);
        put(0xb000, 0);
    }
}

static void restore_it(void)
{
    during_run = NULL;
    vm_request_off(vm, "test");
    turns(20);
    assert_int_equal(vm->state, VM_OFF);
    assert_int_equal(vm_restore(vm), 0);
    for (unsigned i = 0; i < 40 && vm->state != VM_RUNNING; i++)
        turn();
    assert_int_equal(vm->state, VM_RUNNING);
}

static uint64_t word_at(uint64_t at)
{
    uint64_t v;

    gmem_enter(&vm->gmem);
    assert_int_equal(gmem_read(vm, gpa(at), &v, sizeof v), 0);
    return v;
}

/* What is written while RAM is copied is in it as it was when the guest stood. */
static void test_live(void **state)
{
    struct saved_info info;

    (void)state;
    put(0x3000, 0x33);
    put(0xb000, 0xbb);
    during_run = store_on;
    save_it();
    assert_int_equal(vm->save.result, 0);
    assert_null(vm->gmem.log);
    assert_true(vm_saved(vm, &info));
    assert_in_range(info.live_pages, 2, 4);
    assert_in_range(info.pages - info.live_pages, 3, 4); /* 7, 9 and b */
    turns(4);
    assert_true(stores > stores_saved);
    restore_it();
    assert_true(holds(0x3000, 0x33) && holds(0x9000, 0x99) && holds(0xb000, 0));
    assert_int_equal(word_at(0x7000), stores_saved);
}

/* All of its memory holds something, and it stores to all of it in each turn. */
static void begin_fast(void)
{
    for (uint64_t at = 0; at < config.memory; at += PAGE_SIZE)
        put(at, 1);
    all_until = config.memory;
    during_run = store_on;
}

/* It stores faster than is copied: once all, then half at most, and it stands for all the rest. */
static void test_live_too_fast(void **state)
{
    uint64_t all = config.memory / PAGE_SIZE;
    struct saved_info info;

    (void)state;
    begin_fast();
    save_it();
    assert_int_equal(vm->save.result, 0);
    assert_int_equal(vm->save.round, 1);
    assert_true(vm_saved(vm, &info));
    assert_in_range(info.live_pages, all, all + all / 2 + 1024);
    assert_in_range(info.pages - info.live_pages, all - 1040, all);
    restore_it();
    assert_int_equal(word_at(config.memory - PAGE_SIZE), stores_saved);
}

/* Each round has less to do than the one before, and the last one is the last. */
static void test_live_rounds(void **state)
{
    static const uint64_t by_round[] = { 2000, 900, 400, 300 };
    struct saved_info info;

    (void)state;
    begin_fast();
    all_until = 0;
    for (unsigned i = 0; i < 4; i++)
        few_until[i] = by_round[i] * PAGE_SIZE;
    save_it();
    assert_int_equal(vm->save.result, 0);
    assert_int_equal(vm->save.round, 3);
    assert_true(vm_saved(vm, &info));
    assert_in_range(info.pages - info.live_pages, 284, 300);
    restore_it();
    assert_int_equal(word_at(0x20000), stores_saved);
}

/* It ends while it is copied, and the log ends with it. */
static void test_live_ends(void **state)
{
    (void)state;
    assert_int_equal(vm_save(vm), 0);
    for (unsigned i = 0; i < 20 && vm->save.phase != SAVE_LIVE; i++)
        turn();
    assert_int_equal(vm->save.phase, SAVE_LIVE);
    vm_request_off(vm, "test");
    turns(20);
    assert_int_equal(vm->state, VM_OFF);
    assert_int_equal(vm->save.result, -EIO);
    assert_false(vm_saved(vm, NULL));
}

/* There is room for each page once: what does not fit twice is copied while the guest stands. */
static void test_live_without_room(void **state)
{
    struct saved_info info;
    struct pmm_stats s;
    uint64_t left;

    (void)state;
    begin_fast();
    pmm_stats(&s);
    left = s.free - s.promised - PMM_RESERVE - 28 * MIB;
    assert_int_equal(pmm_promise(left), 0);
    save_it();
    assert_int_equal(vm->save.result, 0);
    assert_true(vm_saved(vm, &info));
    assert_int_equal(info.live_pages, 0);
    assert_int_equal(info.pages, config.memory / PAGE_SIZE - 1); /* 0xb000 holds zeros */
    restore_it();
    assert_int_equal(word_at(0x20000), stores_saved);
    pmm_unpromise(left);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round, start, forget),
        cmocka_unit_test_setup_teardown(test_paused, start, forget),
        cmocka_unit_test_setup_teardown(test_pause_into_save, start, forget),
        cmocka_unit_test_setup_teardown(test_pause_into_save, start_live, forget_live),
        cmocka_unit_test_setup_teardown(test_live, start_live, forget_live),
        cmocka_unit_test_setup_teardown(test_live_too_fast, start_live, forget_live),
        cmocka_unit_test_setup_teardown(test_live_rounds, start_live, forget_live),
        cmocka_unit_test_setup_teardown(test_live_ends, start_live, forget_live),
        cmocka_unit_test_setup_teardown(test_live_without_room, start_live, forget_live),
        cmocka_unit_test_setup_teardown(test_nothing, start, forget),
        cmocka_unit_test_setup_teardown(test_ends, start, forget),
        cmocka_unit_test_setup_teardown(test_busy_device, start, forget),
        cmocka_unit_test_setup_teardown(test_refused, start, forget),
        cmocka_unit_test_setup_teardown(test_no_memory, start, forget),
    };

    host_init(1, 128 * MIB);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
