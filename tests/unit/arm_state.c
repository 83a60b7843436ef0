/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Images of an ARM64 machine without its GIC (vgic_save.c): saved, restored into a fresh machine,
 * saved again; and each field refused that cannot be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <hv/state.h>

#include "arm_machine.h"

#define SECOND 1000000000ull
#define VCPUS 2
static _Alignas(8) uint8_t image[4096], good[4096], again[4096];
static struct arm_devices *devices;

static void make(void)
{
    fake_start(VCPUS);
    fake_machine();
    assert_int_equal(arm_devices_create(&fake_vm, &fake_config, &devices), 0);
    arm_machine_of(&fake_vcpu[0])->devices = devices;
}

static void unmake(void) { fake_machine_destroy(devices); }

static int setup(void **state)
{
    (void)state;
    make();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unmake();
    return 0;
}

/* As hv/vm/vm.c pauses it, but for the clock: a test does not move it meanwhile. */
static size_t save(void *to)
{
    size_t len = state_size(&fake_vm);

    assert_true(len <= sizeof image);
    assert_int_equal(state_quiesce(&fake_vm), 0);
    assert_int_equal(event_next(), UINT64_MAX);
    assert_int_equal(state_save(&fake_vm, to, len), 0);
    return len;
}

/* Saved, and put into a machine that was just made. */
static void move(void)
{
    size_t len = save(image);
    char typed[sizeof fake_in];
    size_t n = fake_in_len;

    memcpy(typed, fake_in, n);
    unmake();
    make();
    memcpy(fake_in, typed, n);
    fake_in_len = n;
    assert_int_equal(state_restore(&fake_vm, image, len), 0);
    assert_int_equal(save(again), len);
    assert_memory_equal(image, again, len);
    fake_vm.paused_ns = 0;
    state_resume(&fake_vm);
    lock_assert_none();
    (void)event_run();
}

static void *record(uint32_t kind, uint32_t instance)
{
    size_t at = sizeof(struct state_image);
    struct state_record *r;

    do {
        r = (void *)(image + at);
        at += sizeof *r + ((r->len + 7) & ~7u);
    } while (r->kind != kind || r->instance != instance);
    return r + 1;
}

static uint32_t uart(unsigned off) { return (uint32_t)mmio_read(PLAT_PL011 + off, 4); }
static void set_uart(unsigned off, uint32_t v) { mmio_write(PLAT_PL011 + off, 4, v); }
static uint32_t rtc(unsigned off) { return (uint32_t)mmio_read(PLAT_PL031 + off, 4); }
static void set_rtc(unsigned off, uint32_t v) { mmio_write(PLAT_PL031 + off, 4, v); }
static uint32_t gpio(unsigned off) { return (uint32_t)mmio_read(PLAT_PL061 + off, 4); }
static void set_gpio(unsigned off, uint32_t v) { mmio_write(PLAT_PL061 + off, 4, v); }

enum { DR = 0, IBRD = 0x24, LCR_H = 0x2c, CR = 0x30, IMSC = 0x38, RIS = 0x3c, ICR = 0x44 };
enum { RTCDR = 0, RTCMR = 4, RTCIMSC = 0x10, RTCRIS = 0x14, RTCICR = 0x1c };
enum { GPIOIE = 0x410, GPIORIS = 0x414, GPIOIC = 0x41c, GPIOIEV = 0x40c, BUTTON = 8 };

static void type(const char *s)
{
    memcpy(fake_in + fake_in_len, s, strlen(s));
    fake_in_len += strlen(s);
    event_post(fake_listener);
    (void)event_run();
}

/* ---- what goes on after it ---- */

static void test_cpus(void **state)
{
    struct arm_state *s = &arm_of(&fake_vcpu[1])->s;

    (void)state;
    s->power = ARM_ON_PENDING, s->entry = PLAT_RAM + 0x1000, s->context = 0x1234;
    fake_vcpu[1].requests = REQ_GUEST;
    fake_vcpu[0].sched.steal_ns = 5000;
    arm_steal_update(&fake_vcpu[0]);
    move();
    assert_int_equal(fake_vcpu[1].requests, REQ_GUEST);
    arm_psci_request(&fake_vcpu[1]);
    assert_int_equal(fake_vcpu[1].regs.pc, PLAT_RAM + 0x1000);
    assert_int_equal(fake_vcpu[1].regs.gpr[0], 0x1234);
    assert_int_equal(fake_vcpu[1].mp, MP_RUNNABLE);
    /* stolen time goes on from what the guest knows; its page is made anew */
    assert_int_equal(arm_stolen_ns(&fake_vcpu[0]), 5000);
    assert_int_equal(*(uint64_t *)(fake_pvtime + 8), 5000);
    fake_vcpu[0].sched.steal_ns = 70;
    arm_steal_update(&fake_vcpu[0]);
    assert_int_equal(*(uint64_t *)(fake_pvtime + 8), 5070);
}

static void test_uart(void **state)
{
    (void)state;
    set_uart(LCR_H, 0x70), set_uart(IMSC, 0x50), set_uart(CR, 0x301), set_uart(IBRD, 26);
    type("ab");
    assert_true(fake_line[INTID_PL011]);
    move();
    assert_true(fake_line[INTID_PL011]);
    assert_int_equal(uart(IBRD), 26);
    assert_int_equal(uart(DR), 'a');
    set_uart(ICR, 0x50); /* with the time-out still to come */
    assert_false(fake_line[INTID_PL011]);
    move();
    assert_true(fake_line[INTID_PL011]);
    assert_int_equal(uart(DR), 'b');
    assert_false(fake_line[INTID_PL011]);
}

/* What is typed while it stands still waits in the console. */
static void test_uart_held(void **state)
{
    (void)state;
    set_uart(LCR_H, 0x70), set_uart(IMSC, 0x50);
    (void)save(image);
    type("xy");
    assert_int_equal(fake_in_len, 2);
    (void)save(again);
    assert_memory_equal(image, again, state_size(&fake_vm));
    state_resume(&fake_vm);
    (void)event_run();
    assert_int_equal(fake_in_len, 0);
    assert_int_equal(uart(DR), 'x');
    assert_true(fake_line[INTID_PL011]);
}

static void test_rtc(void **state)
{
    uint32_t now = rtc(RTCDR);

    (void)state;
    set_rtc(RTCIMSC, 1);
    set_rtc(RTCMR, now + 5);
    fake_wall += 1000; /* the clock is the guest's own */
    move();
    assert_int_equal(rtc(RTCDR), now);
    assert_false(fake_line[INTID_PL031]);
    advance(5 * SECOND);
    assert_true(fake_line[INTID_PL031]);
    move();
    assert_true(fake_line[INTID_PL031]);
    set_rtc(RTCICR, 1);
    move(); /* the second of the match is not over: it has been met already */
    assert_int_equal(rtc(RTCRIS), 0);
    assert_false(fake_line[INTID_PL031]);
}

/* The event comes late, beyond the second of the match. */
static void test_rtc_late(void **state)
{
    (void)state;
    set_rtc(RTCIMSC, 1);
    set_rtc(RTCMR, rtc(RTCDR) + 2);
    host_now += 4 * SECOND;
    (void)event_run();
    assert_true(fake_line[INTID_PL031]);
}

static void test_gpio(void **state)
{
    (void)state;
    set_gpio(GPIOIEV, BUTTON), set_gpio(GPIOIE, BUTTON);
    assert_int_equal(arm_power_button(&fake_vm), 0);
    assert_true(fake_line[INTID_PL061]);
    move();
    assert_true(fake_line[INTID_PL061]);
    assert_int_equal(gpio(BUTTON << 2), BUTTON);
    set_gpio(GPIOIC, BUTTON);
    assert_false(fake_line[INTID_PL061]);
    advance(SECOND); /* it is released */
    assert_int_equal(gpio(BUTTON << 2), 0);
    move();
    assert_int_equal(event_next(), UINT64_MAX);
}

/* ---- what is refused ---- */

static size_t len;

static void expect_refused(const char *what)
{
    assert_int_equal(state_restore(&fake_vm, image, len), -EINVAL);
    assert_non_null(strstr(fake_vm.why, what));
    memcpy(image, good, len);
}

/* A field that may have these bits and no others. */
static void expect_bits(const char *what, void *field, size_t size, uint64_t bits)
{
    for (unsigned n = 0; n < 8 * size; n++) {
        ((uint8_t *)field)[n / 8] ^= (uint8_t)(1u << n % 8);
        if (!(bits >> n & 1))
            expect_refused(what);
        else
            assert_int_equal(state_restore(&fake_vm, image, len), 0);
        memcpy(image, good, len);
    }
}
#define EXPECT_BITS(what, field, bits) expect_bits(what, &(field), sizeof(field), bits)

static void begin_refusing(void)
{
    len = save(good);
    memcpy(image, good, len);
}

static void test_refused_machine(void **state)
{
    struct state_arm_machine *m;

    (void)state;
    begin_refusing();
    m = record(STATE_ARM_MACHINE, 0);
    EXPECT_BITS("machine 0", m->hz, 0);
    EXPECT_BITS("machine 0", m->pv, 0);
    EXPECT_BITS("machine 0", m->zero, 0);
}

static void test_refused_cpu(void **state)
{
    struct arm_state *s;
    struct state_vcpu *v;

    (void)state;
    begin_refusing();
    s = record(STATE_ARM_CPU, 1);
    v = record(STATE_VCPU, 1);
    EXPECT_BITS("CPU 1", s->power, 3); /* ARM_OFF: one bit */
    s->power = ARM_ON + 1;
    expect_refused("CPU 1");
    EXPECT_BITS("CPU 1", s->zero, 0);
    EXPECT_BITS("CPU 1", s->entry, ~3ull);
    EXPECT_BITS("CPU 1", s->context, ~0ull);
    EXPECT_BITS("CPU 1", s->stolen_ns, ~0ull >> 1);
    v->mp = MP_WAIT_SIPI;
    expect_refused("CPU 1");
    v->requests = REQ_NMI;
    expect_refused("CPU 1");
    v->event_type = VEV_EXCEPTION;
    expect_refused("CPU 1");
}

static void test_refused_uart(void **state)
{
    struct pl011_state *s;

    (void)state;
    set_uart(LCR_H, 0x70);
    begin_refusing();
    s = record(STATE_PL011, 0);
    EXPECT_BITS("UART", s->ibrd, 0xffff);
    EXPECT_BITS("UART", s->fbrd, 0x3f);
    EXPECT_BITS("UART", s->lcr_h, 0xff);
    EXPECT_BITS("UART", s->cr, 0xff87);
    EXPECT_BITS("UART", s->ifls, 0x3f);
    EXPECT_BITS("UART", s->imsc, 0x7ff);
    EXPECT_BITS("UART", s->ris, 0x7ff);
    EXPECT_BITS("UART", s->dmacr, 7);
    EXPECT_BITS("UART", s->ilpr, 0xff);
    EXPECT_BITS("UART", s->rsr, 0xf);
    EXPECT_BITS("UART", s->rx[31], 0x8ff);
    EXPECT_BITS("UART", s->head, PL011_FIFO - 1);
    s->fill = PL011_FIFO + 1;
    expect_refused("UART");
    s->lcr_h = 0x60, s->fill = 2; /* without the FIFO there is room for one */
    expect_refused("UART");
}

static void test_refused_rtc(void **state)
{
    struct pl031_state *s;

    (void)state;
    begin_refusing();
    s = record(STATE_PL031, 0);
    EXPECT_BITS("real-time clock", s->base, ~0ull);
    EXPECT_BITS("real-time clock", s->imsc, 1);
    EXPECT_BITS("real-time clock", s->ris, 1);
    EXPECT_BITS("real-time clock", s->armed, 1);
}

static void test_refused_gpio(void **state)
{
    struct pl061_state *s;

    (void)state;
    set_gpio(GPIOIEV, 0xff);
    mmio_write(PLAT_PL061 + 0x404, 4, 1); /* GPIOIS: line 0 is level-sensitive, and low */
    begin_refusing();
    s = record(STATE_PL061, 0);
    EXPECT_BITS("GPIO", s->ris, 0xfe);
    EXPECT_BITS("GPIO", s->data, 0xfe); /* then line 0 would interrupt */
    EXPECT_BITS("GPIO", s->ie, 0xff);
    EXPECT_BITS("GPIO", s->pressed, 1);
    EXPECT_BITS("GPIO", s->zero[0], 0);
    EXPECT_BITS("GPIO", s->zero[6], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cpus, setup, teardown),
        cmocka_unit_test_setup_teardown(test_uart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_uart_held, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rtc, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rtc_late, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gpio, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_machine, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_cpu, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_uart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_rtc, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_gpio, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
