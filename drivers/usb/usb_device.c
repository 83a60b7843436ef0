/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usb_device.c: what is asked of a device from its slot on (xHCI section 4.3, USB section 9.4, HID
 * section 7.2), until it is a keyboard, a hub, or nothing for us.
 */
#include <hv/log.h>

#include "xhci.h"

enum { IN = 0x80, CLASS_REQUEST = 0x21 };
enum { GET_DESCRIPTOR = 6, SET_CONFIGURATION = 9, SET_IDLE = 10, SET_PROTOCOL = 11 };
enum { DEVICE = 1, CONFIGURATION = 2, DEVICE_HEAD = 8 };

static int device_descriptor(struct xhci *x, struct usb_dev *d, unsigned type, uint16_t n)
{
    const struct usb_request q = { IN, GET_DESCRIPTOR, (uint16_t)(type << 8), 0, n };

    return xhci_control(x, d, &q);
}

/* It has answered, with a descriptor of that type of so many bytes at least. */
static int device_answered(struct xhci *x, struct usb_dev *d, unsigned type, unsigned least)
{
    int err = xhci_answered(x, d);

    if (err)
        return err;
    return x->answer.got >= least && x->copy[0] >= least && x->copy[1] == type ? 0 : -EINVAL;
}

static int device_head(struct xhci *x, struct usb_dev *d)
{
    return device_descriptor(x, d, DEVICE, DEVICE_HEAD);
}

static int device_head_got(struct xhci *x, struct usb_dev *d)
{
    return device_answered(x, d, DEVICE, DEVICE_HEAD);
}

/* The size of its packets is a question at full speed alone: at others there is one. */
static int device_packet(struct xhci *x, struct usb_dev *d)
{
    uint8_t packet = x->copy[7];

    if (d->speed != USB_FULL || packet == d->packet0)
        return USB_SKIP;
    if (packet != 16 && packet != 32 && packet != 64)
        return -EINVAL;
    d->packet0 = packet;
    return xhci_packet_size(x, d);
}

static int device_all(struct xhci *x, struct usb_dev *d)
{
    return device_descriptor(x, d, DEVICE, USB_DEVICE_BYTES);
}

static int device_all_got(struct xhci *x, struct usb_dev *d)
{
    int err = device_answered(x, d, DEVICE, USB_DEVICE_BYTES);

    if (err)
        return err;
    d->class = x->copy[4];
    d->vendor = (uint16_t)get_le(x->copy + 8, 2);
    d->product = (uint16_t)get_le(x->copy + 10, 2);
    return 0;
}

static int device_config_head(struct xhci *x, struct usb_dev *d)
{
    return device_descriptor(x, d, CONFIGURATION, USB_CONFIG_HEAD);
}

static int device_config_head_got(struct xhci *x, struct usb_dev *d)
{
    int err = device_answered(x, d, CONFIGURATION, USB_CONFIG_HEAD);
    uint16_t total = (uint16_t)get_le(x->copy + 2, 2);

    if (err)
        return err;
    if (total < USB_CONFIG_HEAD)
        return -EINVAL;
    d->config_bytes = (uint16_t)min_u32(total, USB_DATA);
    return 0;
}

static int device_config(struct xhci *x, struct usb_dev *d)
{
    return device_descriptor(x, d, CONFIGURATION, d->config_bytes);
}

static int device_config_got(struct xhci *x, struct usb_dev *d)
{
    int err = xhci_answered(x, d);
    enum usb_kind kind;

    if (!err)
        err = usb_parse_config(x->copy, x->answer.got, d->class, &d->found);
    if (err)
        return err;
    kind = d->found.kind;
    log_debug("USB controller %s: port %u has %04x:%04x: %s", x->at, d->port, d->vendor, d->product,
              kind == USB_KEYBOARD ? "a keyboard"
              : kind == USB_HUB    ? "a hub"
                                   : "nothing for Trivet");
    /* the half of a hub that is for USB 3 has no keyboards: they are behind its other half */
    d->fine =
        kind == USB_OTHER || (kind == USB_HUB && (d->speed >= USB_SUPER || d->tier >= USB_TIERS));
    return d->fine ? -ENODEV : 0;
}

static int device_endpoint(struct xhci *x, struct usb_dev *d)
{
    return d->found.kind == USB_KEYBOARD ? xhci_configure(x, d) : USB_SKIP;
}

static int device_set_config(struct xhci *x, struct usb_dev *d)
{
    const struct usb_request q = { 0, SET_CONFIGURATION, d->found.configuration, 0, 0 };

    return xhci_control(x, d, &q);
}

static int device_hub(struct xhci *x, struct usb_dev *d)
{
    return d->found.kind == USB_HUB ? xhci_configure(x, d) : USB_SKIP;
}

static int device_of_keyboard(struct xhci *x, struct usb_dev *d, uint8_t request)
{
    const struct usb_request q = { CLASS_REQUEST, request, 0, d->found.interface, 0 };

    return d->found.kind == USB_KEYBOARD ? xhci_control(x, d, &q) : USB_SKIP;
}

static int device_protocol(struct xhci *x, struct usb_dev *d)
{
    return device_of_keyboard(x, d, SET_PROTOCOL);
}

/* A report when something changes, and else none. */
static int device_idle(struct xhci *x, struct usb_dev *d)
{
    return device_of_keyboard(x, d, SET_IDLE);
}

/* It may refuse, and is used as it is. */
static int device_may_refuse(struct xhci *x, struct usb_dev *d)
{
    int err = xhci_answered(x, d);

    return err == -EPIPE ? 0 : err;
}

static int device_ready(struct xhci *x, struct usb_dev *d)
{
    d->live = true;
    if (d->found.kind == USB_KEYBOARD) {
        log_info("USB keyboard %04x:%04x on port %u of %s, US layout", d->vendor, d->product,
                 d->port, x->at);
        xhci_listen(x, d);
    } else {
        log_info("USB hub %04x:%04x on port %u of %s, %u ports", d->vendor, d->product, d->port,
                 x->at, d->ports);
    }
    return USB_SKIP;
}

const struct usb_step usb_common[] = {
    { "enable slot", xhci_enable_slot, xhci_enabled_slot, NULL },
    { "address", xhci_address, NULL, NULL },
    { "addressed", usb_nothing, usb_recovered, NULL },
    { "device descriptor", device_head, device_head_got, NULL },
    { "packet size", device_packet, NULL, NULL },
    { "whole device descriptor", device_all, device_all_got, NULL },
    { "configuration", device_config_head, device_config_head_got, NULL },
    { "whole configuration", device_config, device_config_got, NULL },
    { "endpoint", device_endpoint, NULL, NULL },
    { "set configuration", device_set_config, NULL, NULL },
    { "hub descriptor", usb_hub_describe, usb_hub_described, NULL },
    { "hub", device_hub, NULL, NULL },
    { "hub power", usb_hub_power, usb_hub_powered, NULL },
    { "boot protocol", device_protocol, device_may_refuse, NULL },
    { "after boot protocol", xhci_reset_control, NULL, NULL },
    { "after boot protocol", xhci_dequeue_control, NULL, NULL },
    { "idle", device_idle, device_may_refuse, NULL },
    { "after idle", xhci_reset_control, NULL, NULL },
    { "after idle", xhci_dequeue_control, NULL, NULL },
    { "ready", device_ready, NULL, NULL },
    { .then = NULL },
};
