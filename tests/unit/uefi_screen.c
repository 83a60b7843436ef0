/* SPDX-License-Identifier: BSD-2-Clause */
/* A screenshot: when its pieces are made, what is kept, and how it ends when something is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <hv/config.h>
#include <hv/event.h>
#include <hv/percpu.h>
#include <hv/png.h>
#include <hv/screen.h>
#include <hv/share.h>
#include <hv/state.h>
#include <hv/store_volume.h>
#include <string.h>

#include "arch/host/host.h"
#include "hv/guest/uefi/uefi.h"

enum { WIDTH = 640, HEIGHT = 480, AT = 0x100000, PIECE = 32 * 1024 };

/* ---- the rest of the machine ---- */

static struct store_op *under_way;
static bool usable;
static unsigned rows, rows_at_once, most_at_once;
static uint64_t memory_end;

bool store_volume_usable(void) { return usable; }
uint64_t store_op_ns(const struct store_op *op) { return op->spent_ns; }
void store_volume_submit(struct store_op *op)
{
    assert_null(under_way);
    assert_string_equal(op->name, "screen/g");
    assert_int_equal(op->kind, STORE_PUT);
    under_way = op;
}
bool share_wait(struct vm *vm, struct event *ev)
{
    (void)vm, (void)ev;
    return false;
}
void share_pay(struct vm *vm, uint64_t from)
{
    (void)vm, (void)from;
    most_at_once = rows_at_once > most_at_once ? rows_at_once : most_at_once;
    rows_at_once = 0;
}
int gmem_read(struct vm *vm, gpa_t at, void *to, uint64_t len)
{
    (void)vm;
    if (!range_within(at.v, len, 0, memory_end))
        return -EFAULT;
    memset(to, (int)(rows & 0xff), len);
    rows++;
    rows_at_once++;
    return 0;
}

static struct guest_config config = { .name = "g", .screen = true };
static struct vm vm;
static struct uefi u;

static void lifecycle(struct event *ev) { (void)ev; }

static void shows(uint64_t at, uint32_t width, uint32_t height)
{
    uint64_t a = __builtin_bswap64(at);
    uint32_t rest[5] = { __builtin_bswap32(0x34325258), 0, __builtin_bswap32(width),
                         __builtin_bswap32(height), 0 };

    memcpy(u.ramfb.config, &a, 8);
    memcpy(u.ramfb.config + 8, rest, sizeof rest);
}

static int fresh(void **state)
{
    (void)state;
    memset(&u, 0, sizeof u);
    memset(&vm, 0, sizeof vm);
    rows = rows_at_once = most_at_once = 0;
    under_way = NULL;
    usable = config.screen = true;
    memory_end = 64 * MIB;
    vm.config = &config;
    vm.uefi = &u;
    vm.state = VM_RUNNING;
    event_init(&vm.lifecycle, lifecycle, 0);
    u.vm = &vm;
    spin_init(&u.lock, LOCK_DEVICE);
    fw_cfg_init(&u.cfg);
    assert_int_equal(shot_build(&u), 0);
    return 0;
}

static int gone(void **state)
{
    (void)state;
    assert_null(u.shot);
    event_kill(&vm.lifecycle);
    return 0;
}

static void run(void)
{
    while (event_run())
        ;
}

static void ends_with(const char *why)
{
    assert_false(vm.shot.under_way);
    assert_null(u.shot);
    assert_non_null(vm.shot.why);
    assert_non_null(strstr(vm.shot.why, why));
    assert_int_equal(vm.shot.bytes, 0);
}

/* ---- tests ---- */

static void test_pieces(void **state)
{
    static uint8_t page[PAGE_SIZE];

    (void)state;
    shows(AT, WIDTH, HEIGHT);
    assert_int_equal(uefi_screenshot(&vm), 0);
    assert_int_equal(rows, 0); /* not within the command */
    assert_true(vm.shot.under_way);
    assert_int_equal(uefi_screenshot(&vm), -EBUSY);
    run();
    assert_int_equal(rows, HEIGHT);
    assert_in_range(most_at_once, 2, (PIECE + 3 * WIDTH - 1) / (3 * WIDTH));
    assert_non_null(under_way);
    assert_true(vm.shot.under_way && uefi_busy(&vm));
    under_way->page(under_way, 0, page);
    assert_memory_equal(page, "\x89PNG", 4);
    assert_true(under_way->len > 100);
    vm.shot.bytes = 0;
    under_way->done(under_way, 0);
    assert_null(vm.shot.why);
    assert_false(vm.shot.under_way || uefi_busy(&vm));
    assert_int_equal(vm.shot.width, WIDTH);
    assert_int_equal(vm.shot.height, HEIGHT);
    assert_true(vm.shot.bytes > 100);
    run();
}

static void test_refused(void **state)
{
    (void)state;
    assert_int_equal(uefi_screenshot(&vm), -ENODATA);
    ends_with("shows no picture");
    shows(AT, WIDTH, HEIGHT);
    usable = false;
    assert_int_equal(uefi_screenshot(&vm), -ENODEV);
    ends_with("no state volume");
    config.screen = false;
    assert_int_equal(uefi_screenshot(&vm), -ENOTSUP);
    ends_with("`screen = yes`");
    vm.uefi = NULL;
    assert_int_equal(uefi_screenshot(&vm), -ENOTSUP);
    vm.uefi = &u;
}

/* The guest says that its picture ends behind its memory. */
static void test_not_ram(void **state)
{
    (void)state;
    memory_end = AT + 4 * WIDTH * (HEIGHT - 1);
    shows(AT, WIDTH, HEIGHT);
    assert_int_equal(uefi_screenshot(&vm), 0);
    run();
    assert_int_equal(rows, HEIGHT - 1);
    assert_null(under_way);
    ends_with("not in its memory");
}

/* The guest stops meanwhile: its end waits for no more than the piece that is made. */
static void test_given_up(void **state)
{
    (void)state;
    assert_int_equal(uefi_quiesce(&vm), 0);
    shows(AT, WIDTH, HEIGHT);
    assert_int_equal(uefi_screenshot(&vm), 0);
    assert_int_equal(uefi_quiesce(&vm), -EINPROGRESS);
    assert_true(uefi_busy(&vm));
    run();
    assert_int_equal(rows, 0);
    ends_with("stopped");
    assert_int_equal(uefi_quiesce(&vm), 0);
}

static void test_not_kept(void **state)
{
    static const struct {
        int status;
        const char *why;
    } ends[] = { { -ENOSPC, "full" }, { -EROFS, "cannot be written" }, { -EIO, "disk failed" } };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
        shows(AT, 3, 2);
        assert_int_equal(uefi_screenshot(&vm), 0);
        run();
        under_way->done(under_way, ends[i].status);
        under_way = NULL;
        ends_with(ends[i].why);
        run();
    }
}

static void test_state(void **state)
{
    struct ramfb_state s, bad;

    (void)state;
    shows(AT, WIDTH, HEIGHT);
    assert_int_equal(uefi_ramfb_state_ops.size(&vm, 0), sizeof s);
    assert_int_equal(uefi_ramfb_state_ops.save(&vm, 0, &s), 0);
    fw_cfg_init(&u.cfg);
    assert_int_equal(shot_build(&u), 0); /* as at a reset */
    assert_int_equal(uefi_screenshot(&vm), -ENODATA);
    bad = s;
    bad.version++;
    assert_int_equal(uefi_ramfb_state_ops.restore(&vm, 0, &bad), -EINVAL);
    bad = s;
    bad.zeroes[3] = 1;
    assert_int_equal(uefi_ramfb_state_ops.restore(&vm, 0, &bad), -EINVAL);
    assert_int_equal(uefi_ramfb_state_ops.restore(&vm, 0, &s), 0);
    assert_memory_equal(&u.ramfb, &s, sizeof s);
    config.screen = false;
    assert_int_equal(uefi_ramfb_state_ops.size(&vm, 0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, gone)

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(test_pieces),   TEST(test_refused),
                                        TEST(test_not_ram),  TEST(test_given_up),
                                        TEST(test_not_kept), TEST(test_state) };

    host_init(1, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
