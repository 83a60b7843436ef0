/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usb.h: what USB devices say of themselves, and what a keyboard reports. "USB" is the Universal
 * Serial Bus Specification 2.0, "HID" the Device Class Definition for Human Interface Devices 1.11.
 * Portable; no context.
 */
#pragma once
#include <hv/keyboard.h>
#include <hv/types.h>

enum usb_speed { /* as xHCI numbers them: xHCI 1.2 section 7.2.2.1.1 */
                 USB_FULL = 1,
                 USB_LOW,
                 USB_HIGH,
                 USB_SUPER
};

enum usb_kind { USB_OTHER, USB_KEYBOARD, USB_HUB };
/* What of a device is of use here. */
struct usb_found {
    uint8_t configuration;
    enum usb_kind kind;
    /* of a keyboard: its interface, its interrupt-in endpoint (1 to 15), bInterval as it is */
    uint8_t interface, endpoint, interval;
    uint16_t packet; /* bytes, 1 to 1024 */
};
enum { USB_DEVICE_BYTES = 18, USB_CONFIG_HEAD = 9, USB_HUB_HEAD = 7 };
/*
 * The first `n` bytes of a configuration (USB section 9.6.3 and on), whatever they are. The first
 * keyboard of the boot subclass in it, else what the device's class says: hub or not. -EINVAL: it
 * is none.
 */
int must_check usb_parse_config(const uint8_t *, size_t n, uint8_t device_class,
                                struct usb_found *);
/*
 * Interval of an interrupt endpoint as xHCI has it, 0 to 15: 2^it times 125 us (xHCI 1.2 section
 * 6.2.3.6). Any bInterval gives one.
 */
uint8_t usb_interval(enum usb_speed, uint8_t interval);

/* A keyboard that speaks the boot protocol (HID appendix B.1, F). Zeroed at first. */
struct hid_keyboard {
    struct keyboard keyboard;
    uint8_t modifiers, keys[6]; /* that are down, as in the last report */
    uint8_t held;               /* the key that repeats; 0: none */
    uint64_t again;             /* when: ns */
};
enum { HID_REPORT = 8, HID_BYTES_MAX = 6 * KEY_BYTES_MAX };
/*
 * A report of n bytes; those that are missing are 0. now: ns. Returns how many bytes were typed by
 * it, into `out`.
 */
size_t hid_report(struct hid_keyboard *, const uint8_t *, size_t n, uint64_t now,
                  char out[HID_BYTES_MAX]);
/* The key that is held types again when it is time: half a second, then 30 times a second. */
size_t hid_again(struct hid_keyboard *, uint64_t now, char out[KEY_BYTES_MAX]);
