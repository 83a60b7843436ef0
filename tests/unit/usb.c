/* SPDX-License-Identifier: BSD-2-Clause */
/* Reports of USB keyboards, descriptors, and the driver of xHCI over a controller of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "drivers/usb/xhci.c"

#include "xhci_model.h"

static void expect(const char *what, size_t n)
{
    assert_int_equal(ntyped, n);
    assert_memory_equal(typed, what, n);
    ntyped = 0;
}
#define TYPED(what) expect(what, sizeof(what) - 1)

/* ---- reports ---- */

static struct hid_keyboard hid;

static void report_of(uint8_t modifiers, const char *keys)
{
    uint8_t data[HID_REPORT] = { modifiers };
    char out[HID_BYTES_MAX];

    memcpy(data + 2, keys, strlen(keys));
    host_console_rx(out, hid_report(&hid, data, sizeof data, host_now, out));
}

static int fresh_hid(void **state)
{
    (void)state;
    memset(&hid, 0, sizeof hid);
    ntyped = 0;
    return 0;
}

static void reports(void **state)
{
    (void)state;
    report_of(0, "\x0b"); /* h */
    report_of(0, "\x0b\x08");
    report_of(0, "\x08");
    report_of(0, "");
    report_of(0, "\x08");
    TYPED("hee");
    report_of(0x02, "");
    report_of(0x02, "\x04\x1e");
    TYPED("A!");
    report_of(0x20, "");
    report_of(0x20, "\x38");
    TYPED("?");
    report_of(0, "");
    report_of(0x10, "\x06");
    TYPED("\x03"); /* right Control with c */
    report_of(0, "\x28\x52\x4c\x3a\x63");
    TYPED("\r\033[A\033[3~\033OP.");
    report_of(0, "\x39"); /* Caps Lock */
    report_of(0, "\x04");
    report_of(0, "\x39\x05");
    report_of(0, "\x04");
    TYPED("Aba");
    report_of(0, "\xff\x66\xa5\x46\x48\x03"); /* keys that type nothing, and none */
    TYPED("");
}

/* Too many keys: what was down stays down, and is not typed again. */
static void roll_over(void **state)
{
    (void)state;
    report_of(0, "\x04\x05");
    report_of(2, "\x01\x01\x01\x01\x01\x01");
    report_of(2, "\x04\x05\x06");
    TYPED("abC");
}

static void again(unsigned ms)
{
    char out[KEY_BYTES_MAX];

    host_now += ms * 1000000ull;
    host_console_rx(out, hid_again(&hid, host_now, out));
}

static void repeats_what_is_held(void **state)
{
    (void)state;
    report_of(0, "\x04");
    again(499);
    TYPED("a");
    again(1);
    again(1);
    again(32);
    TYPED("aa");
    report_of(0, "\x04\x05"); /* the last key is the one that repeats */
    again(499);
    again(1);
    TYPED("bb");
    report_of(0, "\x04");
    again(2000);
    TYPED("");
    report_of(0, "\x39"); /* a lock does not */
    again(2000);
    report_of(0, "");
    report_of(0, "\x04");
    TYPED("A");
}

static void short_reports(void **state)
{
    char out[HID_BYTES_MAX];
    static const uint8_t a[] = { 0, 0, 4 };
    (void)state;

    assert_int_equal(hid_report(&hid, a, 3, 0, out), 1);
    assert_int_equal(hid_report(&hid, a, 0, 0, out), 0);
    assert_int_equal(hid_report(&hid, a, 3, 0, out), 1);
}

/* ---- descriptors ---- */

static void finds_the_keyboard(void **state)
{
    struct usb_found f;
    (void)state;

    assert_int_equal(usb_parse_config(m_keyboard_config, 59, 0, &f), 0);
    assert_int_equal(f.kind, USB_KEYBOARD);
    assert_true(f.configuration == 1 && f.interface == 1 && f.endpoint == 1 && f.packet == 8 &&
                f.interval == 10);
    assert_int_equal(usb_parse_config(m_mouse_config, sizeof m_mouse_config, 0, &f), 0);
    assert_int_equal(f.kind, USB_OTHER);
    assert_int_equal(usb_parse_config(m_hub_config, sizeof m_hub_config, 9, &f), 0);
    assert_int_equal(f.kind, USB_HUB);
    /* cut short anywhere: a keyboard only when its endpoint is whole */
    for (size_t n = 0; n < 59; n++) {
        uint8_t *cut = malloc(n + 1); /* ASan looks */

        memcpy(cut, m_keyboard_config, n);
        cut = realloc(cut, n ? n : 1);
        assert_int_equal(usb_parse_config(cut, n, 0, &f), n < 9 ? -EINVAL : 0);
        assert_int_equal(f.kind, USB_OTHER);
        free(cut);
    }
}

static void bad_descriptors(void **state)
{
    static const struct {
        size_t at;
        uint8_t is;
    } wrong[] = {
        { 9, 0 },  { 9, 1 },  { 34, 200 }, { 34, 8 },    { 37, 1 }, { 39, 2 }, { 40, 0 },
        { 41, 2 }, { 52, 6 }, { 54, 1 },   { 54, 0x80 }, { 55, 2 }, { 56, 0 }, { 57, 7 },
    };
    uint8_t config[59];
    struct usb_found f;
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        memcpy(config, m_keyboard_config, 59);
        config[wrong[i].at] = wrong[i].is;
        assert_int_equal(usb_parse_config(config, 59, 0, &f), 0);
        assert_int_equal(f.kind, USB_OTHER);
    }
}

static void intervals(void **state)
{
    (void)state;
    assert_int_equal(usb_interval(USB_LOW, 0), 3);
    assert_int_equal(usb_interval(USB_LOW, 1), 3);
    assert_int_equal(usb_interval(USB_LOW, 10), 6);
    assert_int_equal(usb_interval(USB_FULL, 255), 10);
    assert_int_equal(usb_interval(USB_HIGH, 0), 0);
    assert_int_equal(usb_interval(USB_HIGH, 7), 6);
    assert_int_equal(usb_interval(USB_HIGH, 255), 15);
}

/* ---- the controller ---- */

static struct xhci *x;
static struct gadget keys, other, hub, keys2;
static const uint8_t press_a[8] = { 0, 0, 4 }, none[8];

static int setup(void **state)
{
    static bool once;

    (void)state;
    if (!once)
        host_init(1, 64 * MIB);
    once = true;
    model_new();
    model_screen = true;
    keys = keys2 = (struct gadget){ .kind = M_KEYBOARD, .speed = 2, .packet0 = 8, .protocol = 1 };
    other = (struct gadget){ .kind = M_MOUSE, .speed = 1, .packet0 = 64 };
    hub = (struct gadget){ .kind = M_HUB, .speed = 3, .packet0 = 64 };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (x) {
        m.never_halts = m.gone = false;
        xhci_shutdown();
        assert_false(m.master);
        x->dma ? xhci_unmake(x) : (void)0;
    }
    x = NULL;
    ncontrollers = 0;
    return 0;
}

static void boot(void)
{
    assert_int_equal(xhci_driver.probe(&model_dev), 0);
    x = controllers[0];
}

static void type_a(struct gadget *g)
{
    model_report(g, press_a);
    model_report(g, none);
    model_run(60);
    TYPED("a");
}

static void finds_keyboards(void **state)
{
    (void)state;
    model_plug(2, &keys);
    model_plug(6, &other);
    boot();
    assert_int_equal(m.resets, 0); /* nothing is waited for */
    model_run(1000);
    assert_int_equal(x->state, XHCI_LIVE);
    assert_int_equal(m.resets, 1);
    assert_int_equal(m.handoffs, 1);
    assert_int_equal(m.smi, 7u << 29);
    assert_true(keys.config == 1 && keys.protocol == 0 && keys.idles == 1);
    assert_int_equal(other.config, 0);
    assert_false(m.slot[2].enabled);   /* the mouse's was given back */
    for (unsigned i = 0; i < 300; i++) /* the rings wrap */
        type_a(&keys);
    assert_int_equal(m.broken, 0);
}

static void narrow_contexts(void **state)
{
    (void)state;
    m.csz = m.pads = 0;
    model_plug(1, &keys);
    boot();
    model_run(1000);
    type_a(&keys);
    assert_int_equal(m.broken, 0);
}

/* Of full speed, with large packets; a request that is refused does no harm. */
static void refuses_idle(void **state)
{
    (void)state;
    keys.speed = 1;
    keys.packet0 = 64;
    keys.refuses_idle = true;
    model_plug(3, &keys);
    boot();
    model_run(1000);
    type_a(&keys);
    assert_int_equal(keys.idles, 1);
    assert_int_equal(m.broken, 0);
}

static void holds_a_key(void **state)
{
    (void)state;
    model_plug(1, &keys);
    boot();
    model_run(1000);
    model_report(&keys, press_a);
    model_run(1000);
    assert_in_range(ntyped, 10, 20);
    model_unplug(1); /* with the key down */
    model_run(200);
    ntyped = 0;
    model_run(1000);
    TYPED("");
    model_plug(4, &keys);
    model_run(1000);
    type_a(&keys);
    assert_false(m.slot[2].enabled);
    assert_int_equal(m.broken, 0);
}

static void behind_a_hub(void **state)
{
    (void)state;
    model_plug(1, &hub);
    model_plug_hub(&hub, 3, &keys);
    model_plug_hub(&hub, 1, &other);
    boot();
    model_run(3000);
    type_a(&keys);
    /* its translator is the hub's, by slot and port */
    assert_int_equal(m.slot[1].slot[0] >> 26 & 1, 1);
    assert_int_equal(m.slot[1].slot[1] >> 24, M_HUB_PORTS);
    for (unsigned i = 2; i <= M_SLOTS; i++)
        if (m.slot[i].gadget == &keys) {
            assert_int_equal(m.slot[i].slot[0] & 0xfffff, 3);
            assert_int_equal(m.slot[i].slot[2] & 0xffff, 1 | 3 << 8);
        }
    model_plug_hub(&hub, 3, NULL);
    model_run(1000);
    model_plug_hub(&hub, 4, &keys2);
    model_run(2000);
    type_a(&keys2);
    model_unplug(1); /* all of it */
    model_run(1000);
    for (unsigned i = 1; i <= M_SLOTS; i++)
        assert_false(m.slot[i].enabled);
    model_plug(1, &keys);
    model_run(1000);
    type_a(&keys);
    assert_int_equal(m.broken, 0);
}

static void hub_behind_a_hub(void **state)
{
    struct gadget inner = hub;
    (void)state;

    model_plug(1, &hub);
    model_plug_hub(&hub, 2, &inner);
    model_plug_hub(&inner, 4, &keys);
    boot();
    model_run(3000);
    type_a(&keys);
    for (unsigned i = 1; i <= M_SLOTS; i++)
        if (m.slot[i].gadget == &keys)
            assert_int_equal(m.slot[i].slot[0] & 0xfffff, 0x42);
    model_unplug(1);
    model_run(1000);
    assert_int_equal(m.broken, 0);
}

/* An endpoint that stands is set going again, so often; then the device is left out. */
static void endpoint_halts(void **state)
{
    (void)state;
    model_plug(1, &keys);
    boot();
    model_run(1000);
    keys.babbles = 5;
    model_report(&keys, press_a);
    model_report(&keys, none);
    model_run(200);
    TYPED("a");
    keys.babbles = UINT32_MAX;
    model_report(&keys, press_a);
    model_run(10000);
    assert_true(x->port[1].done);
    assert_false(m.slot[1].enabled);
    assert_int_equal(x->state, XHCI_LIVE);
    keys.babbles = 0;
    keys.got = keys.put;
    model_unplug(1);
    model_plug(1, &keys);
    model_run(1000);
    type_a(&keys);
}

/* One device that never answers does not keep others from working, and is left out. */
static void deaf_device(void **state)
{
    unsigned before;
    (void)state;

    other.deaf = true;
    model_plug(1, &other);
    model_plug(2, &keys);
    boot();
    model_run(10000);
    type_a(&keys);
    before = m.enabled;
    assert_int_equal(before, 4); /* three times it, once the keyboard */
    model_run(10000);
    assert_int_equal(m.enabled, before);
}

static void faulty(const char *what)
{
    boot();
    model_run(60000);
    if (x->state != XHCI_DEAD || m.master)
        fail_msg("%s: it is still used", what);
    teardown(NULL);
    setup(NULL);
}

/* A controller that does not do what it should is left alone in bounded time. */
static void faulty_controllers(void **state)
{
    (void)state;
    m.never_halts = true;
    m.status = 0;
    faulty("never halts");
    m.never_resets = true;
    faulty("never resets");
    model_plug(1, &keys);
    m.mute = true;
    faulty("mute");
    model_plug(1, &keys);
    m.wrong_slot = 99;
    faulty("gives slots that there are not");
    boot();
    model_run(500);
    m.gone = true;
    model_run(1000);
    assert_int_equal(x->state, XHCI_DEAD);
}

static void firmware_keeps_it(void **state)
{
    (void)state;
    m.bios_keeps = true;
    model_plug(1, &keys);
    boot();
    model_run(900);
    assert_int_equal(m.resets, 0);
    model_run(1500);
    type_a(&keys);
}

/* What is not there, or cannot be, is not driven. */
static void left_alone(void **state)
{
    (void)state;
    model_screen = false;
    assert_int_equal(xhci_driver.probe(&model_dev), -ENODEV);
    model_screen = true;
    m.gone = true;
    assert_int_equal(xhci_driver.probe(&model_dev), -EIO);
    m.gone = false;
    assert_int_equal(ncontrollers, 0);
}

/* It stops by itself: all starts anew, and the keyboard works again. */
static void stops_by_itself(void **state)
{
    (void)state;
    model_plug(1, &keys);
    boot();
    model_run(1000);
    for (unsigned i = 0; i < 10; i++) {
        m.status |= 1 << 2;
        model_run(1500);
        type_a(&keys);
    }
    assert_int_equal(m.resets, 11);
}

/* More is left of a report than there was room for: it is none. */
static void report_of_no_length(void **state)
{
    (void)state;
    model_plug(1, &keys);
    boot();
    model_run(1000);
    for (uint32_t left = 9; left < 0x1000000; left = left * 2 + 1)
        m_say_transfer(1, 3, x->dev[0].in.at, 1, left);
    model_run(100);
    TYPED("");
    type_a(&keys);
}

/* Events that nobody asked for, with every slot, endpoint and pointer. */
static void lies(void **state)
{
    static const uint32_t types[] = { 32, 33, 34, 37, 0, 63 };
    (void)state;

    model_plug(1, &keys);
    boot();
    model_run(1000);
    for (unsigned i = 0; i < 256 * 32; i++) {
        m_say(i & 1 ? x->dev[0].in.at + i % 1024 : (uint64_t)i << 24, i << 20,
              types[i % 6] << 10 | (i & 31) << 16 | (i >> 5) << 24);
        if (i % 32 == 0)
            model_run(50);
    }
    model_unplug(1);
    model_run(1000);
    ntyped = 0;
    model_plug(1, &keys);
    model_run(3000);
    assert_int_equal(x->state, XHCI_LIVE);
    type_a(&keys);
}

#define CONTROLLER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(reports, fresh_hid),
        cmocka_unit_test_setup(roll_over, fresh_hid),
        cmocka_unit_test_setup(repeats_what_is_held, fresh_hid),
        cmocka_unit_test_setup(short_reports, fresh_hid),
        cmocka_unit_test(finds_the_keyboard),
        cmocka_unit_test(bad_descriptors),
        cmocka_unit_test(intervals),
        CONTROLLER(finds_keyboards),
        CONTROLLER(narrow_contexts),
        CONTROLLER(refuses_idle),
        CONTROLLER(holds_a_key),
        CONTROLLER(behind_a_hub),
        CONTROLLER(hub_behind_a_hub),
        CONTROLLER(endpoint_halts),
        CONTROLLER(deaf_device),
        CONTROLLER(faulty_controllers),
        CONTROLLER(firmware_keeps_it),
        CONTROLLER(left_alone),
        CONTROLLER(stops_by_itself),
        CONTROLLER(report_of_no_length),
        CONTROLLER(lies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
