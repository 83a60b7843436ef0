/* SPDX-License-Identifier: BSD-2-Clause */
/* PL011, PL031, PL061 and the debug-exit register of ARM64 guests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "arm_machine.h"

#define SECOND 1000000000ull
static struct arm_devices *devices;

static int setup(void **state)
{
    (void)state;
    fake_start(1);
    fake_machine();
    assert_int_equal(arm_devices_create(&fake_vm, &fake_config, &devices), 0);
    arm_machine_of(&fake_vcpu[0])->devices = devices;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_machine_destroy(devices);
    return 0;
}

static uint32_t uart(unsigned off) { return (uint32_t)mmio_read(PLAT_PL011 + off, 4); }
static void set_uart(unsigned off, uint32_t v) { mmio_write(PLAT_PL011 + off, 4, v); }

static void type(const char *s)
{
    fake_in_len = strlen(s);
    memcpy(fake_in, s, fake_in_len);
    event_post(fake_listener);
    (void)event_run();
}

enum {
    DR = 0,
    RSR = 4,
    FR = 0x18,
    LCR_H = 0x2c,
    CR = 0x30,
    IFLS = 0x34,
    IMSC = 0x38,
    RIS = 0x3c,
    MIS = 0x40,
    ICR = 0x44
};

static void test_uart_out(void **state)
{
    (void)state;
    /* empty both ways, modem lines up */
    assert_int_equal(uart(FR), 0x97);
    /* before it is enabled, as earlycon does */
    set_uart(DR, 'a');
    set_uart(CR, 0x301);
    set_uart(IMSC, 1 << 5);
    mmio_write(PLAT_PL011, 1, 'b');
    assert_memory_equal(fake_out, "ab", 2);
    assert_int_equal(fake_out_len, 2);
    assert_true(fake_line[INTID_PL011]);
    assert_int_equal(uart(MIS), 1 << 5);
    set_uart(ICR, 1 << 5);
    assert_false(fake_line[INTID_PL011]);
    set_uart(DR, 'c');
    assert_true(fake_line[INTID_PL011]);
    set_uart(IMSC, 0);
    assert_false(fake_line[INTID_PL011]);
}

static void test_uart_in(void **state)
{
    (void)state;
    type("e");
    assert_int_equal(uart(FR) & 0x10, 0); /* as firmware leaves it: ready */
    assert_int_equal(uart(DR), 'e');
    set_uart(CR, 0x300);
    type("early");
    /* not enabled: it waits in the console */
    assert_int_equal(uart(FR) & 0x10, 0x10);
    set_uart(LCR_H, 0x70), set_uart(IMSC, 0x50), set_uart(CR, 0x301);
    assert_true(fake_line[INTID_PL011]);
    assert_int_equal(uart(RIS), 0x40); /* time-out: below 16 of 32 */
    for (const char *p = "early"; *p; p++)
        assert_int_equal(uart(DR), *p);
    assert_false(fake_line[INTID_PL011]);
    assert_int_equal(uart(FR) & 0x10, 0x10);
    type("0123456789abcdef");
    assert_int_equal(uart(RIS) & 0x50, 0x10);
    (void)uart(DR);
    assert_int_equal(uart(RIS) & 0x50, 0x40);
    type("0123456789abcdefghijklmnopqrstuvwxyz");
    assert_int_equal(uart(FR) & 0x40, 0x40);
    assert_int_equal(fake_in_len, 36 - 17); /* the rest waits */
    for (unsigned i = 0; i < 15 + 36; i++)
        assert_int_equal(uart(FR) & 0x10, 0), (void)uart(DR);
    assert_int_equal(uart(FR) & 0x10, 0x10);
    assert_int_equal(uart(DR), 0);
    set_uart(LCR_H, 0x60); /* no FIFO: one byte */
    type("xy");
    assert_int_equal(fake_in_len, 1);
    assert_int_equal(uart(DR), 'x');
    assert_int_equal(uart(DR), 'y');
}

/*
 * A driver that clears the interrupt before it has read everything is told again, but not at once.
 */
static void test_uart_left_over(void **state)
{
    (void)state;
    set_uart(LCR_H, 0x70), set_uart(IMSC, 0x50), set_uart(CR, 0x301);
    type("ab");
    assert_int_equal(uart(DR), 'a');
    set_uart(ICR, 0x50);
    assert_false(fake_line[INTID_PL011]);
    advance(1000000);
    assert_true(fake_line[INTID_PL011]);
    assert_int_equal(uart(DR), 'b');
    assert_false(fake_line[INTID_PL011]);
    set_uart(ICR, 0x50);
    advance(1000000);
    assert_false(fake_line[INTID_PL011]);
}

static void test_uart_loop(void **state)
{
    (void)state;
    set_uart(LCR_H, 0x10), set_uart(CR, 0x381 | 1 << 11);
    for (unsigned i = 0; i < 33; i++)
        set_uart(DR, i);
    assert_int_equal(fake_out_len, 0);
    assert_int_equal(uart(FR) & 7, 1);              /* RTS comes back as CTS */
    assert_int_equal(uart(RIS) & 1 << 10, 1 << 10); /* overrun */
    for (unsigned i = 0; i < 32; i++)
        assert_int_equal(uart(DR), i == 31 ? 0x800 | i : i);
    assert_int_equal(uart(RSR), 8);
    set_uart(RSR, 0);
    assert_int_equal(uart(RSR), 0);
    set_uart(CR, 0xffffffff), set_uart(LCR_H, 0xffffffff), set_uart(IFLS, 0xffffffff),
        set_uart(IMSC, 0xffffffff);
    assert_int_equal(uart(CR), 0xff87);
    assert_int_equal(uart(IFLS), 0x3f);
    assert_int_equal(uart(IMSC), 0x7ff);
    assert_int_equal(uart(0xfe0) | uart(0xfe4) << 8 | uart(0xfe8) << 16, 0x341011);
    assert_int_equal(uart(0xff0) | uart(0xff4) << 8 | uart(0xff8) << 16 | uart(0xffc) << 24,
                     0xb105f00d);
    assert_int_equal(uart(0x700), 0);
}

static uint32_t rtc(unsigned off) { return (uint32_t)mmio_read(PLAT_PL031 + off, 4); }
static void set_rtc(unsigned off, uint32_t v) { mmio_write(PLAT_PL031 + off, 4, v); }

static void test_rtc(void **state)
{
    (void)state;
    assert_int_equal(rtc(0), fake_wall);
    advance(3 * SECOND);
    assert_int_equal(rtc(0), fake_wall + 3);
    set_rtc(4, (uint32_t)fake_wall + 10), set_rtc(0x10, 1);
    advance(6 * SECOND);
    assert_false(fake_line[INTID_PL031]);
    advance(2 * SECOND);
    assert_true(fake_line[INTID_PL031]);
    assert_int_equal(rtc(0x18), 1);
    set_rtc(0x1c, 1);
    assert_false(fake_line[INTID_PL031]);
    assert_int_equal(rtc(0x14), 0);
    set_rtc(8, 1000);
    assert_int_equal(rtc(0), 1000);
    set_rtc(4, 1002);
    advance(5 * SECOND);
    assert_true(fake_line[INTID_PL031]);
    set_rtc(0x10, 0);
    assert_false(fake_line[INTID_PL031]);
    set_rtc(0x1c, 1), set_rtc(4, rtc(0) - 1); /* in the past */
    advance(5 * SECOND);
    assert_int_equal(rtc(0x14), 0);
    set_rtc(4, rtc(0)); /* now */
    assert_int_equal(rtc(0x14), 1);
    assert_int_equal(rtc(0xfe0), 0x31);
    /* left armed: destroy cancels it */
    set_rtc(4, rtc(0) + 100);
}

static uint32_t gpio(unsigned off) { return (uint32_t)mmio_read(PLAT_PL061 + off, 4); }
static void set_gpio(unsigned off, uint32_t v) { mmio_write(PLAT_PL061 + off, 4, v); }

static void test_power_button(void **state)
{
    (void)state;
    assert_int_equal(guest_arm.power_button(&fake_vm), -ENOTSUP);
    set_gpio(0x408, 8), set_gpio(0x410, 8); /* both edges of line 3 */
    assert_int_equal(guest_arm.power_button(&fake_vm), 0);
    assert_true(fake_line[INTID_PL061]);
    assert_int_equal(gpio(8 << 2), 8);
    assert_int_equal(gpio(4 << 2), 0); /* the address is a mask */
    set_gpio(0x41c, 8);
    assert_false(fake_line[INTID_PL061]);
    advance(SECOND);
    assert_int_equal(gpio(0x3fc), 0);
    assert_true(fake_line[INTID_PL061]);                        /* the release is an edge too */
    set_gpio(0x41c, 8), set_gpio(0x408, 0), set_gpio(0x40c, 8); /* rising edges only */
    assert_int_equal(guest_arm.power_button(&fake_vm), 0);
    assert_int_equal(gpio(0x418), 8);
    set_gpio(0x41c, 8);
    advance(SECOND);
    assert_int_equal(gpio(0x414), 0);
    set_gpio(0x404, 8), set_gpio(0x40c, 0); /* low level */
    assert_int_equal(gpio(0x414), 8);
    set_gpio(0x41c, 8);
    assert_int_equal(gpio(0x414), 8);
    set_gpio(0x400, 0xf0), set_gpio(0x3fc, 0xff); /* outputs */
    assert_int_equal(gpio(0x3fc), 0xf0);
}

static void test_debug_exit(void **state)
{
    (void)state;
    mmio_write(PLAT_DEBUG_EXIT, 1, 5);
    assert_int_equal(fake_exit_code, -1);
    mmio_write(PLAT_DEBUG_EXIT, 4, 5);
    assert_int_equal(fake_exit_code, 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_uart_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_uart_in, setup, teardown),
        cmocka_unit_test_setup_teardown(test_uart_left_over, setup, teardown),
        cmocka_unit_test_setup_teardown(test_uart_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rtc, setup, teardown),
        cmocka_unit_test_setup_teardown(test_power_button, setup, teardown),
        cmocka_unit_test_setup_teardown(test_debug_exit, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
