/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest's UEFI variables in the state volume: what is written when, who waits, what is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <hv/config.h>
#include <hv/event.h>
#include <hv/guest.h>
#include <hv/percpu.h>
#include <hv/share.h>
#include <hv/store_volume.h>
#include <hv/vcpu.h>
#include <string.h>

#include "arch/host/host.h"
#include "hv/guest/uefi/uefi.h"
#include "log_said.h"

#define PAGES 4u
#define PACE_NS 50000000ull
#define BURST 512u

/* ---- the volume: one object; an operation ends when the test says so ---- */

static uint8_t object[PAGES * PAGE_SIZE];
static uint64_t object_len; /* 0: there is none */
static struct store_op *under_way;
static unsigned gets, puts, waits, wait_ends;
static bool usable, no_memory;

bool store_volume_usable(void) { return usable; }
uint64_t store_op_ns(const struct store_op *op) { return op->spent_ns; }
const struct store *store_volume(const char **why)
{
    *why = "a test";
    return NULL;
}

void store_volume_submit(struct store_op *op)
{
    assert_null(under_way);
    assert_string_equal(op->name, "uefi/g");
    under_way = op;
    gets += op->kind == STORE_GET;
    puts += op->kind == STORE_PUT;
}

static bool put_has(const struct store_op *op, uint32_t page)
{
    return !op->changed || !object_len || op->changed[page / 64] >> page % 64 & 1;
}

static void answer(int status)
{
    struct store_op *op = under_way;
    static uint8_t bytes[PAGE_SIZE];

    assert_non_null(op);
    under_way = NULL;
    if (op->kind == STORE_GET && !status && !object_len)
        status = -ENOENT;
    if (op->kind == STORE_GET && !status)
        op->len = object_len;
    for (uint32_t p = 0; !status && p < op->len / PAGE_SIZE; p++) {
        if (op->kind == STORE_GET)
            op->page(op, p, object + p * PAGE_SIZE);
        else if (put_has(op, p)) {
            op->page(op, p, bytes);
            memcpy(object + p * PAGE_SIZE, bytes, PAGE_SIZE);
        }
    }
    if (op->kind == STORE_PUT && !status)
        object_len = op->len;
    op->done(op, status);
}

/* ---- the rest of the machine ---- */

void vcpu_wait(void) { waits++; }
void vcpu_wait_end(struct vcpu *v)
{
    (void)v;
    wait_ends++;
}
void vcpu_request(struct vcpu *v, uint32_t requests) { (void)v, (void)requests; }
bool share_wait(struct vm *vm, struct event *ev)
{
    (void)vm, (void)ev;
    return false;
}
void share_pay(struct vm *vm, uint64_t from) { (void)vm, (void)from; }
void *vm_alloc(struct vm *vm, size_t len)
{
    (void)vm;
    return no_memory ? NULL : calloc(1, len);
}
void vm_free(struct vm *vm, void *p, size_t len)
{
    (void)vm, (void)len;
    free(p);
}

static struct guest_config config = { .name = "g" };
static struct vcpu vcpu;
static struct vm vm;
static struct uefi u;
static uint8_t flash[PAGES * PAGE_SIZE];

static void lifecycle(struct event *ev) { (void)ev; }

/* The guest is there, with a flash as its firmware's template has it; nothing is asked yet. */
static void keep_fresh(void)
{
    memset(&u, 0, sizeof u);
    memset(&vm, 0, sizeof vm);
    memset(flash, 0xff, sizeof flash);
    gets = puts = waits = wait_ends = 0;
    under_way = NULL;
    vm.config = &config;
    vm.uefi = &u;
    vm.nvcpus = 1;
    vm.vcpu[0] = &vcpu;
    event_init(&vm.lifecycle, lifecycle, 0);
    u.vm = &vm;
    u.vars = (struct cfi_flash){ .data = flash, .len = sizeof flash, .block = PAGE_SIZE };
    spin_init(&u.lock, LOCK_DEVICE);
}

static int fresh(void **state)
{
    (void)state;
    host_now += (BURST + 1) * PACE_NS;
    object_len = 0;
    usable = true;
    no_memory = false;
    keep_fresh();
    return 0;
}

static void run(void)
{
    while (event_run())
        ;
}

/* Nothing of it is left in a queue. */
static void keep_gone(void)
{
    for (unsigned i = 0; i < 3; i++) {
        if (under_way)
            answer(0);
        run();
    }
    keep_end(&u);
    event_kill(&vm.lifecycle);
}

static int gone(void **state)
{
    (void)state;
    keep_gone();
    return 0;
}

/* The guest writes a byte, and gives its flash back to reads. */
static void guest_writes(uint32_t at, uint8_t byte)
{
    spin_lock(&u.lock);
    flash[at] = byte;
    if (u.vars.changed)
        u.vars.changed(&u.vars, at, 1);
    keep_wait(&u);
    spin_unlock(&u.lock);
}

/* Up, with its flash on the disk. */
static void started(void)
{
    keep_start(&u);
    assert_int_equal(uefi_build_more(&vm), BUILD_WAITS);
    answer(0);
    run();
    if (under_way)
        answer(0);
    run();
    assert_int_equal(uefi_build_more(&vm), 0);
    assert_int_equal(vm.variables, VARIABLES_KEPT);
    assert_memory_equal(object, flash, sizeof flash);
    waits = wait_ends = puts = 0;
}

/* ---- tests ---- */

/* What was written while an update is under way goes with the next; its writer waits for that. */
static void test_one_instant(void **state)
{
    (void)state;
    started();
    guest_writes(5, 1);
    assert_int_equal(waits, 1);
    run();
    assert_non_null(under_way);
    guest_writes(5, 2);
    guest_writes(PAGE_SIZE + 5, 3);
    answer(0);
    assert_int_equal(object[5], 1); /* as it was when the update began */
    assert_int_equal(object[PAGE_SIZE + 5], 0xff);
    assert_int_equal(wait_ends, 0);
    run();
    answer(0);
    assert_int_equal(wait_ends, 1);
    assert_memory_equal(object, flash, sizeof flash);
    run();
    assert_null(under_way);
    assert_int_equal(puts, 2);
}

static void test_there_again(void **state)
{
    (void)state;
    started();
    guest_writes(7, 9);
    assert_int_equal(uefi_quiesce(&vm), -EINPROGRESS);
    run();
    assert_true(uefi_busy(&vm));
    answer(0);
    assert_int_equal(uefi_quiesce(&vm), 0);
    keep_gone();
    keep_fresh();
    keep_start(&u);
    answer(0);
    assert_int_equal(flash[7], 9);
    run();
    assert_int_equal(puts, 0); /* nothing is new */
}

/* A burst, then one update each PACE_NS; a reset lets one more through, and no new burst. */
static void test_reset_renews_no_burst(void **state)
{
    unsigned n;

    (void)state;
    started();
    for (n = 0; n < 2 * BURST; n++) {
        guest_writes(0, (uint8_t)n);
        run();
        if (!under_way)
            break;
        answer(0);
    }
    assert_in_range(n, BURST - 2, BURST + 1);
    for (unsigned reset = 0; reset < 3; reset++) {
        assert_int_equal(uefi_quiesce(&vm), -EINPROGRESS);
        run();
        answer(0);
        assert_int_equal(uefi_quiesce(&vm), 0);
        guest_writes(0, (uint8_t)(reset + 1));
        run();
        assert_null(under_way);
    }
    host_now += 3 * PACE_NS; /* those that came early were counted */
    run();
    assert_null(under_way);
    host_now += 2 * PACE_NS;
    run();
    answer(0);
    assert_memory_equal(object, flash, sizeof flash);
}

/* A restore that is cut short leaves a mix of two flashes in memory, and none on the disk. */
static void test_cut_restore_is_not_saved(void **state)
{
    (void)state;
    started();
    flash[0] = 1;
    keep_page(&u, 0);
    run();
    assert_null(under_way);
    host_now += 10 * PACE_NS;
    assert_int_equal(uefi_quiesce(&vm), 0); /* its end does not wait for it, either */
    run();
    assert_null(under_way);
    assert_int_equal(puts, 0);
    assert_int_equal(object[0], 0xff);
    flash[PAGE_SIZE] = 2;
    keep_page(&u, 1);
    keep_restored(&u);
    run();
    answer(0);
    assert_int_equal(object[0], 1);
    assert_int_equal(object[PAGE_SIZE], 2);
}

/* What `info` says is so: kept only once it was read or may be replaced, and the last update came
 * to its end. */
static void test_what_is_promised(void **state)
{
    (void)state;
    assert_int_equal(vm.variables, VARIABLES_NOT_ASKED);
    started();
    guest_writes(1, 1);
    run();
    answer(-EIO);
    assert_int_equal(vm.variables, VARIABLES_FORGOTTEN);
    assert_int_equal(wait_ends, 1);
    assert_int_equal(uefi_quiesce(&vm), 0);
    guest_writes(2, 2);
    assert_int_equal(waits, 1); /* after a failure nobody waits */
    host_now += PACE_NS;
    run();
    answer(0); /* and the next brings all */
    assert_int_equal(vm.variables, VARIABLES_KEPT);
    assert_memory_equal(object, flash, sizeof flash);
}

/* On a volume that is nearly full, a guest chooses which of its updates fail. */
static void test_failures_flood_no_log(void **state)
{
    (void)state;
    started();
    (void)said("");
    for (unsigned i = 0; i < 60; i++) {
        guest_writes(0, (uint8_t)i);
        host_now += PACE_NS;
        run();
        answer(i & 1 ? 0 : -ENOSPC);
        run();
    }
    assert_in_range(said("cannot be saved"), 1, 26); /* twenty at once, then two a second */
}

static void test_unreadable_is_left(void **state)
{
    (void)state;
    memset(object, 0x77, sizeof object);
    object_len = sizeof object;
    keep_start(&u);
    answer(-EIO);
    assert_int_equal(vm.variables, VARIABLES_FORGOTTEN);
    assert_int_equal(uefi_build_more(&vm), 0);
    guest_writes(3, 3);
    run();
    assert_int_equal(waits + puts, 0);
    assert_int_equal(object[3], 0x77);
}

static void test_of_another_firmware(void **state)
{
    (void)state;
    memset(object, 0x77, sizeof object);
    object_len = PAGE_SIZE;
    keep_start(&u);
    answer(0);
    assert_int_equal(vm.variables, VARIABLES_KEPT);
    assert_int_equal(flash[0], 0xff);
    run();
    answer(0);
    assert_int_equal(object_len, sizeof flash);
    assert_memory_equal(object, flash, sizeof flash);
}

static void test_nowhere_to_keep(void **state)
{
    (void)state;
    usable = false;
    keep_start(&u);
    assert_int_equal(vm.variables, VARIABLES_FORGOTTEN);
    assert_int_equal(uefi_build_more(&vm), 0);
    guest_writes(1, 1);
    assert_int_equal(waits + gets + puts, 0);
    keep_gone();
    keep_fresh();
    usable = no_memory = true;
    keep_start(&u);
    assert_int_equal(vm.variables, VARIABLES_FORGOTTEN);
    assert_int_equal(uefi_quiesce(&vm), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_instant, fresh, gone),
        cmocka_unit_test_setup_teardown(test_there_again, fresh, gone),
        cmocka_unit_test_setup_teardown(test_reset_renews_no_burst, fresh, gone),
        cmocka_unit_test_setup_teardown(test_cut_restore_is_not_saved, fresh, gone),
        cmocka_unit_test_setup_teardown(test_what_is_promised, fresh, gone),
        cmocka_unit_test_setup_teardown(test_failures_flood_no_log, fresh, gone),
        cmocka_unit_test_setup_teardown(test_unreadable_is_left, fresh, gone),
        cmocka_unit_test_setup_teardown(test_of_another_firmware, fresh, gone),
        cmocka_unit_test_setup_teardown(test_nowhere_to_keep, fresh, gone),
    };

    host_init(1, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
