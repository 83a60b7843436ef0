/* SPDX-License-Identifier: BSD-2-Clause */
/* descriptor.c: see usb.h. */
#include "usb.h"

enum { CONFIGURATION = 2, INTERFACE = 4, ENDPOINT = 5 }; /* USB table 9-5 */
enum { CLASS_HID = 3, CLASS_HUB = 9, SUBCLASS_BOOT = 1, PROTOCOL_KEYBOARD = 1 };
enum { INTERFACE_BYTES = 9, ENDPOINT_BYTES = 7, PACKET_MAX = 1024 };
enum { ENDPOINT_IN = 0x80, ENDPOINT_NUMBER = 15, KIND = 3, KIND_INTERRUPT = 3 };

static bool is_keyboard(const uint8_t *d)
{
    return d[0] >= INTERFACE_BYTES && d[3] == 0 && d[5] == CLASS_HID && d[6] == SUBCLASS_BOOT &&
           d[7] == PROTOCOL_KEYBOARD;
}

/* Of the interface before it. True: it is what a keyboard reports with. */
static bool take_endpoint(const uint8_t *d, struct usb_found *f)
{
    uint16_t packet = d[0] >= ENDPOINT_BYTES ? (uint16_t)((d[4] | d[5] << 8) & 0x7ff) : 0;

    if (!packet || packet > PACKET_MAX || !(d[2] & ENDPOINT_IN) || !(d[2] & ENDPOINT_NUMBER) ||
        (d[3] & KIND) != KIND_INTERRUPT)
        return false;
    f->endpoint = d[2] & ENDPOINT_NUMBER;
    f->packet = packet;
    f->interval = d[6];
    return true;
}

int usb_parse_config(const uint8_t *data, size_t n, uint8_t device_class, struct usb_found *f)
{
    bool keyboard = false;

    *f = (struct usb_found){ .kind = device_class == CLASS_HUB ? USB_HUB : USB_OTHER };
    if (n < USB_CONFIG_HEAD || data[0] < USB_CONFIG_HEAD || data[1] != CONFIGURATION)
        return -EINVAL;
    f->configuration = data[5];
    for (size_t at = data[0]; at + 2 <= n && data[at] >= 2 && data[at] <= n - at; at += data[at]) {
        const uint8_t *d = data + at;

        if (d[1] == INTERFACE) {
            keyboard = is_keyboard(d);
            f->interface = keyboard ? d[2] : f->interface;
        } else if (d[1] == ENDPOINT && keyboard && take_endpoint(d, f)) {
            f->kind = USB_KEYBOARD;
            return 0;
        }
    }
    return 0;
}

uint8_t usb_interval(enum usb_speed speed, uint8_t interval)
{
    uint8_t exponent = 3; /* a frame of 1 ms */

    if (speed >= USB_HIGH) /* 2^(bInterval - 1) microframes */
        return (uint8_t)(interval < 1 ? 0 : interval > 16 ? 15 : interval - 1);
    while (exponent < 10 && 2u << (exponent - 3) <= interval)
        exponent++;
    return exponent;
}
