/* SPDX-License-Identifier: BSD-2-Clause */
/* The PCI function by which a guest tells of its panic, as Linux's pvpanic-pci uses it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <hv/notice.h>
#include <hv/pci.h>
#include <hv/pvpanic.h>
#include <hv/state.h>
#include "tests/unit/x86_fakes.h"

static const struct vpci_layout layout = { .ecam = 0xb0000000,
                                           .mmio32 = 0xc0000000,
                                           .mmio32_len = 0x10000000,
                                           .mmio64 = 0x4000000000,
                                           .mmio64_len = 0x10000000,
                                           .intx_gsi = 16 };
static uint64_t bar, seq, lost;
static struct notice seen;

static uint64_t cfg(unsigned reg) { return layout.ecam + (PVPANIC_SLOT << 15) + reg; }
static uint8_t get(uint64_t at) { return (uint8_t)fake_io(IO_MEM, at, 1, false, 0); }
static void put(uint64_t at, uint8_t val) { (void)fake_io(IO_MEM, at, 1, true, val); }
static bool told(void) { return notice_read(&seq, &seen, &lost); }

static int set_up(void **state)
{
    (void)state;
    fake_start(1);
    assert_int_equal(vpci_create(&fake_vm, &layout), 0);
    assert_int_equal(pvpanic_create(&fake_vm), 0);
    bar = mem_read(cfg(0x10)) & ~0xfu;
    while (told())
        ;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pvpanic_destroy(&fake_vm);
    vpci_destroy(&fake_vm);
    fake_stop();
    return 0;
}

static void test_identity(void **state)
{
    (void)state;
    assert_int_equal(mem_read(cfg(0)), 0x00111b36);
    assert_int_equal(mem_read(cfg(8)) >> 8, 0x088000);
    assert_int_equal(mem_read(cfg(0x2c)), 0x11001af4);
    assert_int_equal(bar, layout.mmio32);
    assert_int_equal(get(bar), 3);
    assert_int_equal(get(bar + 1), 0);
    put(bar, 4); /* no event that we know */
    put(bar + 1, 1);
    assert_false(told());
    assert_int_equal(fake_kills, 0);
}

/* The panic is a crash of the guest, once; the event for programs comes once, too. */
static void test_panicked(void **state)
{
    (void)state;
    put(bar, 1);
    assert_int_equal(fake_kills, 1);
    assert_true(told());
    assert_int_equal(seen.kind, NOTICE_GUEST_PANIC);
    assert_string_equal(seen.what, "panicked");
    put(bar, 1);
    (void)fake_io(IO_PORT, 0x505, 1, true, 1); /* the PC's port is the same device */
    assert_false(told());
    assert_int_equal(fake_kills, 1);
}

/* A kernel that dumps itself is let go on. */
static void test_crash_loaded(void **state)
{
    (void)state;
    put(bar, 2);
    assert_true(told());
    assert_string_equal(seen.what, "crash_loaded");
    assert_string_equal(fake_vm.why, "its kernel crashed and dumps itself");
    assert_int_equal(fake_kills, 0);
    put(bar, 3);
    assert_true(told());
    assert_string_equal(seen.what, "panicked");
    assert_int_equal(fake_kills, 1);
    fake_vm.why[0] = '\0';
}

/* What was told is in the state: a restored guest does not tell it again. */
static void test_state(void **state)
{
    uint32_t s[2], bad[2];

    (void)state;
    put(bar, 2);
    assert_true(told());
    assert_int_equal(pvpanic_state_ops.size(&fake_vm, 0), sizeof s);
    assert_int_equal(pvpanic_state_ops.save(&fake_vm, 0, s), 0);
    (void)tear_down(NULL);
    (void)set_up(NULL);
    bad[0] = s[0] + 1, bad[1] = s[1];
    assert_int_equal(pvpanic_state_ops.restore(&fake_vm, 0, bad), -EINVAL);
    bad[0] = s[0], bad[1] = 4;
    assert_int_equal(pvpanic_state_ops.restore(&fake_vm, 0, bad), -EINVAL);
    assert_int_equal(pvpanic_state_ops.restore(&fake_vm, 0, s), 0);
    put(bar, 2);
    assert_false(told());
    put(bar, 1);
    assert_true(told());
}

/* A device of the machine has its place: the guest goes without, and has nothing to save. */
static void test_place_taken(void **state)
{
    static const struct vpci_id id = { .vendor = 1, .device = 2 };
    struct vpci_dev other = { 0 };

    (void)state;
    pvpanic_destroy(&fake_vm);
    vpci_dev_init(&other, &fake_vm, &id);
    assert_int_equal(vpci_attach_at(&other, PVPANIC_SLOT), 0);
    assert_int_equal(pvpanic_create(&fake_vm), 0);
    assert_int_equal(mem_read(cfg(0)), 0x00020001);
    assert_int_equal(pvpanic_state_ops.size(&fake_vm, 0), 0);
    vpci_detach(&other);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_identity), T(test_panicked),    T(test_crash_loaded),
        T(test_state),    T(test_place_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
