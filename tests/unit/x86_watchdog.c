/* SPDX-License-Identifier: BSD-2-Clause */
/* The watchdog as a driver of Intel's 6300ESB uses it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <hv/pci.h>
#include <hv/state.h>
#include "tests/unit/x86_fakes.h"

#define MS 1000000ull
/* preload of about one second, in ticks of 33 MHz / 2^15 */
#define TICKS 1007
enum { CONFIG = 0x60, LOCK = 0x68, RELOAD = 0xc };
static const struct vpci_layout layout = { .ecam = 0xb0000000,
                                           .mmio32 = 0xc0000000,
                                           .mmio32_len = 0x10000000,
                                           .mmio64 = 0x4000000000,
                                           .mmio64_len = 0x10000000,
                                           .intx_gsi = 16 };
static uint64_t bar;

static uint64_t cfg(unsigned reg) { return layout.ecam + (1u << 15) + reg; }
static void cfg_write(unsigned reg, uint8_t val) { (void)fake_io(IO_MEM, cfg(reg), 1, true, val); }
static uint8_t cfg_read(unsigned reg) { return (uint8_t)fake_io(IO_MEM, cfg(reg), 1, false, 0); }

static int set_up(void **state)
{
    (void)state;
    fake_start(1);
    assert_int_equal(vpci_create(&fake_vm, &layout), 0);
    assert_int_equal(watchdog_create(x86_devices_of(&fake_vm)), 0);
    bar = mem_read(cfg(0x10)) & ~0xfu;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    watchdog_detach(&fake_vm);
    vpci_destroy(&fake_vm);
    fake_stop();
    return 0;
}

static void unlocked(unsigned reg, uint32_t val)
{
    mem_write(bar + RELOAD, 0x80);
    mem_write(bar + RELOAD, 0x86);
    mem_write(bar + reg, val);
}

/* As the driver starts it: the reset allowed, both stages a second long. */
static void begin(unsigned lock)
{
    unlocked(0, TICKS);
    unlocked(4, TICKS);
    cfg_write(LOCK, (uint8_t)lock);
    unlocked(RELOAD, 0x100);
}

static void test_identity(void **state)
{
    (void)state;
    assert_int_equal(mem_read(cfg(0)), 0x25ab8086);
    assert_int_equal(mem_read(cfg(8)) >> 8, 0x088000);
    assert_int_equal(bar, layout.mmio32);
    advance(100000 * MS);
    assert_int_equal(fake_resets, 0);
}

static void test_bites(void **state)
{
    (void)state;
    begin(2);
    for (unsigned i = 0; i < 10; i++) {
        advance(1900 * MS); /* within the second stage */
        unlocked(RELOAD, 0x100);
    }
    assert_int_equal(fake_resets, 0);
    assert_int_equal(mem_read(bar + RELOAD), 0);
    advance(1900 * MS);
    assert_int_equal(fake_resets, 0);
    advance(200 * MS);
    assert_int_equal(fake_resets, 1);
    assert_int_equal(mem_read(bar + RELOAD), 0x200);
    unlocked(RELOAD, 0x200);
    assert_int_equal(mem_read(bar + RELOAD), 0);
}

/* A write that was not announced does nothing; a wrong announcement neither. */
static void test_unlock(void **state)
{
    (void)state;
    begin(2);
    advance(1500 * MS);
    mem_write(bar + RELOAD, 0x100);
    mem_write(bar + RELOAD, 0x86);
    mem_write(bar + RELOAD, 0x100);
    mem_write(bar + RELOAD, 0x80);
    mem_write(bar + 4, 0x86);
    mem_write(bar + RELOAD, 0x100);
    mem_write(bar, 5);
    advance(600 * MS);
    assert_int_equal(fake_resets, 1);
}

static void test_lock(void **state)
{
    (void)state;
    begin(2);
    cfg_write(LOCK, 0); /* off again */
    advance(5000 * MS);
    assert_int_equal(fake_resets, 0);
    cfg_write(LOCK, 3);
    cfg_write(LOCK, 0); /* locked: it stays on */
    assert_int_equal(cfg_read(LOCK), 3);
    advance(2100 * MS);
    assert_int_equal(fake_resets, 1);
}

static void test_no_reset(void **state)
{
    (void)state;
    cfg_write(CONFIG, 0x20);
    begin(2);
    advance(2100 * MS);
    assert_int_equal(fake_resets, 0);
    assert_int_equal(mem_read(bar + RELOAD), 0x200);
    cfg_write(CONFIG, 0);
    unlocked(RELOAD, 0x300);
    cfg_write(LOCK, 6); /* free running */
    advance(5000 * MS);
    assert_int_equal(fake_resets, 0);
    assert_int_equal(mem_read(bar + RELOAD), 0x200);
}

/* The shortest preload of all costs no more than an event each millisecond. */
static void test_short(void **state)
{
    (void)state;
    unlocked(0, 0);
    unlocked(4, 0);
    cfg_write(CONFIG, 0x24);
    cfg_write(LOCK, 6);
    advance(100 * MS);
    assert_int_equal(fake_resets, 0);
}

static void test_state(void **state)
{
    struct watchdog_state s, bad;

    (void)state;
    begin(2);
    advance(1500 * MS);
    assert_int_equal(watchdog_state_ops.quiesce(&fake_vm, 0), 0);
    assert_int_equal(watchdog_state_ops.size(&fake_vm, 0), sizeof s);
    assert_int_equal(watchdog_state_ops.save(&fake_vm, 0, &s), 0);
    assert_int_equal(watchdog_state_ops.restore(&fake_vm, 0, &s), 0);
    watchdog_state_ops.resume(&fake_vm, 0);
    advance(400 * MS);
    assert_int_equal(fake_resets, 0);
    advance(200 * MS);
    assert_int_equal(fake_resets, 1);
    bad = s, bad.stage = 2;
    assert_int_equal(watchdog_state_ops.restore(&fake_vm, 0, &bad), -EINVAL);
    bad = s, bad.preload[1] = 1 << 20;
    assert_int_equal(watchdog_state_ops.restore(&fake_vm, 0, &bad), -EINVAL);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_identity), T(test_bites), T(test_unlock), T(test_lock),
        T(test_no_reset), T(test_short), T(test_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
