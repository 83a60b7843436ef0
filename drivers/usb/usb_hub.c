/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usb_hub.c: hubs (USB chapter 11). A hub's ports are asked one after the other; its own endpoint
 * for changes is not used.
 */
#include "xhci.h"

enum { TO_HUB = 0x20, FROM_HUB = 0xa0, TO_PORT = 0x23, FROM_PORT = 0xa3 };
enum { GET_STATUS = 0, CLEAR_FEATURE = 1, SET_FEATURE = 3, GET_DESCRIPTOR = 6, HUB = 0x29 };
enum { FEATURE_RESET = 4, FEATURE_POWER = 8, FEATURE_C_CONNECTION = 16, FEATURE_C_RESET = 20 };
enum { /* USB tables 11-21 and 11-22 */
       CONNECTED = 1 << 0,
       ENABLED = 1 << 1,
       LOW_SPEED = 1 << 9,
       HIGH_SPEED = 1 << 10,
       C_CONNECTION = 1 << 16,
       C_RESET = 1 << 20
};

static int hub_feature(struct xhci *x, struct usb_dev *hub, uint8_t request, uint16_t feature,
                       unsigned port)
{
    const struct usb_request q = { TO_PORT, request, feature, (uint16_t)port, 0 };

    return xhci_control(x, hub, &q);
}

static int hub_status(struct xhci *x, struct usb_dev *hub, unsigned port)
{
    const struct usb_request q = { FROM_PORT, GET_STATUS, 0, (uint16_t)port, 4 };

    return xhci_control(x, hub, &q);
}

static int hub_status_got(struct xhci *x, struct usb_dev *hub)
{
    int err = xhci_answered(x, hub);

    if (err)
        return err;
    if (x->answer.got < 4)
        return -EINVAL;
    hub->port_status = (uint32_t)get_le(x->copy, 4);
    return 0;
}

/* ---- setting one up: USB section 11.23.2.1 ---- */

int usb_hub_describe(struct xhci *x, struct usb_dev *d)
{
    const struct usb_request q = { FROM_HUB, GET_DESCRIPTOR, HUB << 8, 0, USB_HUB_HEAD };

    return d->found.kind == USB_HUB ? xhci_control(x, d, &q) : USB_SKIP;
}

int usb_hub_described(struct xhci *x, struct usb_dev *d)
{
    int err = xhci_answered(x, d);

    if (err)
        return err;
    if (x->answer.got < USB_HUB_HEAD || x->copy[1] != HUB || !x->copy[2])
        return -EINVAL;
    d->ports = (uint8_t)min_u32(x->copy[2], USB_HUB_PORTS);
    d->think = x->copy[3] >> 5 & 3;
    d->next_port = 1;
    return 0;
}

int usb_hub_power(struct xhci *x, struct usb_dev *d)
{
    return d->found.kind == USB_HUB ? hub_feature(x, d, SET_FEATURE, FEATURE_POWER, d->next_port)
                                    : USB_SKIP;
}

int usb_hub_powered(struct xhci *x, struct usb_dev *d)
{
    int err = xhci_answered(x, d);

    if (err)
        return err;
    d->next_port = (uint8_t)(d->next_port % d->ports + 1);
    return d->next_port == 1 ? 0 : USB_REPEAT;
}

/* ---- looking at a port ---- */

static int hub_look(struct xhci *x, struct usb_dev *d) { return hub_status(x, d, d->next_port); }

static int hub_clear(struct xhci *x, struct usb_dev *d)
{
    return d->port_status & C_CONNECTION
               ? hub_feature(x, d, CLEAR_FEATURE, FEATURE_C_CONNECTION, d->next_port)
               : USB_SKIP;
}

static struct usb_dev *hub_child(struct xhci *x, const struct usb_dev *hub, unsigned port)
{
    for (unsigned i = 0; i < USB_DEVICES; i++)
        if (x->dev[i].used && x->dev[i].parent == hub && x->dev[i].parent_port == port)
            return &x->dev[i];
    return NULL;
}

/* As usb_look_at_port() does: who was there goes, who comes is asked, next. */
static int hub_decide(struct xhci *x, struct usb_dev *d)
{
    struct usb_dev *child = hub_child(x, d, d->next_port);
    uint16_t bit = (uint16_t)(1u << d->next_port);

    if (!(d->port_status & CONNECTED) || d->port_status & C_CONNECTION) {
        d->done = (uint16_t)(d->done & ~bit);
        d->failures[d->next_port] = 0;
        if (child)
            usb_lose(child);
    }
    if (d->port_status & CONNECTED && !child && !(d->done & bit))
        d->wanted = d->next_port;
    d->next_port = (uint8_t)(d->next_port % d->ports + 1);
    return USB_SKIP;
}

const struct usb_step usb_hub_look[] = {
    { "hub port", hub_look, hub_status_got, NULL },
    { "hub port change", hub_clear, NULL, NULL },
    { "hub port", hub_decide, NULL, NULL },
    { .then = NULL },
};

/* ---- a device on one ---- */

static int child_reset(struct xhci *x, struct usb_dev *d)
{
    return hub_feature(x, d->parent, SET_FEATURE, FEATURE_RESET, d->parent_port);
}

static int child_look(struct xhci *x, struct usb_dev *d)
{
    return hub_status(x, d->parent, d->parent_port);
}

static int child_is_reset(struct xhci *x, struct usb_dev *d)
{
    int err = hub_status_got(x, d->parent);
    uint32_t status = d->parent->port_status;

    if (err)
        return err;
    if (!(status & CONNECTED))
        return -ENODEV;
    if (!(status & C_RESET) || !(status & ENABLED))
        return USB_REPEAT;
    d->speed = status & LOW_SPEED ? USB_LOW : status & HIGH_SPEED ? USB_HIGH : USB_FULL;
    d->packet0 = d->speed == USB_HIGH ? 64 : 8;
    return 0;
}

static int child_clear(struct xhci *x, struct usb_dev *d)
{
    return hub_feature(x, d->parent, CLEAR_FEATURE, FEATURE_C_RESET, d->parent_port);
}

const struct usb_step usb_hub_child[] = {
    { "settle", usb_nothing, usb_settled, NULL },
    { "reset", child_reset, NULL, NULL },
    { "hub port reset", child_look, child_is_reset, NULL },
    { "hub port reset", child_clear, NULL, NULL },
    { "recover", usb_nothing, usb_recovered, NULL },
    { .then = usb_common },
};
