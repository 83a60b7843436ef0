/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xhci_ask.c: what the controller is asked: commands (xHCI section 4.6), control transfers (section
 * 4.11.2.2), one at a time; the contexts that they need (section 6.2); and what it answers.
 */
#include <arch/barrier.h>

#include <hv/console.h>
#include <hv/log.h>
#include <hv/time.h>
#include <string.h>

#include "xhci.h"

/* A device's memory: nothing in it crosses a page. */
enum {
    MEM_OUTPUT = 0,
    MEM_CONTROL_RING = 0x800,
    MEM_IN_RING = 0xc00,
    MEM_INPUT = 0x1000,
    MEM_REPORTS = 0x1a00,
    MEM_DATA = 0x1c00,
    MEM_ALL = 0x2000
};
static_assert(MEM_IN_RING + USB_RING * sizeof(struct xhci_trb) == MEM_INPUT, "one page");
static_assert(MEM_INPUT + 33 * 64 <= MEM_REPORTS && MEM_DATA + USB_DATA == MEM_ALL, "another");
static_assert(MEM_REPORTS + USB_REPORTS * USB_REPORT_ROOM <= MEM_DATA, "reports");
enum { EP_CONTROL = 4, EP_INTERRUPT_IN = 7, ERRORS_3 = 3 << 1 }; /* xHCI table 6-9 */
enum { CONTROL_DCI = 1 };
enum { SLOT_HUB = 1 << 26, SLOT_ENTRIES_SHIFT = 27 }; /* xHCI table 6-4 */
enum { FLAG_SLOT = 1 << 0, FLAG_CONTROL = 1 << 1 };

static uint64_t mem_at(const struct xhci *x, const struct usb_dev *d, unsigned off)
{
    return dma_at(x->dma, d->mem + off);
}

void xhci_doorbell(struct xhci *x, unsigned slot, unsigned target)
{
    dma_wmb();
    xhci_write(x, x->doorbell + 4 * slot, target);
}

/* ---- commands ---- */

void xhci_command(struct xhci *x, struct usb_dev *d, uint64_t parameter, uint32_t control)
{
    memset(&x->answer, 0, sizeof x->answer);
    x->answer.waits = x->answer.command = true;
    x->answer.dev = d;
    x->answer.at = xhci_ring_put(&x->commands, parameter, 0, control | (uint32_t)d->slot << 24);
    xhci_doorbell(x, 0, 0);
}

/* The dword i of context n of the input context: 0 is that of flags, 1 the slot's, 2 endpoint 0's.
 */
static volatile uint32_t *input(const struct xhci *x, const struct usb_dev *d, unsigned n)
{
    return (volatile uint32_t *)(uintptr_t)(d->mem + MEM_INPUT + n * x->context);
}

static void flags_set(const struct xhci *x, const struct usb_dev *d, uint32_t add)
{
    input(x, d, 0)[0] = 0;
    input(x, d, 0)[1] = add;
}

static void endpoint_set(const struct xhci *x, const struct usb_dev *d, unsigned dci,
                         const struct xhci_ring *r, uint32_t kind, uint32_t packet)
{
    volatile uint32_t *c = input(x, d, dci + 1);

    c[1] = ERRORS_3 | kind << 3 | packet << 16;
    c[2] = (uint32_t)r->at | TRB_CYCLE;
    c[3] = (uint32_t)(r->at >> 32);
    c[4] = 8;
}

/* xHCI table 6-6: who translates for a slow device behind a fast hub */
static uint32_t translator(const struct usb_dev *d)
{
    const struct usb_dev *at = d;

    if (d->speed >= USB_HIGH)
        return 0;
    while (at->parent && at->parent->speed < USB_HIGH)
        at = at->parent;
    return at->parent ? at->parent->slot | (uint32_t)at->parent_port << 8 : 0;
}

int xhci_enable_slot(struct xhci *x, struct usb_dev *d)
{
    xhci_command(x, d, 0, TRB_TYPE(TRB_ENABLE_SLOT) | (uint32_t)x->port[d->port].slot_type << 16);
    return 0;
}

/* What number it has said: one that there is, and nobody has. */
int xhci_enabled_slot(struct xhci *x, struct usb_dev *d)
{
    int err = xhci_answered(x, d);

    if (err)
        return err;
    if (!x->answer.slot || x->answer.slot > x->slots || usb_by_slot(x, x->answer.slot)) {
        xhci_restart(x, "it assigned an impossible slot");
        return -EIO;
    }
    d->slot = x->answer.slot;
    return 0;
}

int xhci_address(struct xhci *x, struct usb_dev *d)
{
    volatile uint32_t *slot = input(x, d, 1);

    memset((void *)(uintptr_t)d->mem, 0, MEM_ALL);
    xhci_ring_init(&d->control, d->mem + MEM_CONTROL_RING, mem_at(x, d, MEM_CONTROL_RING),
                   USB_RING);
    flags_set(x, d, FLAG_SLOT | FLAG_CONTROL);
    slot[0] = d->route | (uint32_t)d->speed << 20 | 1u << SLOT_ENTRIES_SHIFT;
    slot[1] = (uint32_t)d->port << 16;
    slot[2] = translator(d);
    endpoint_set(x, d, CONTROL_DCI, &d->control, EP_CONTROL, d->packet0);
    x->dcbaa[d->slot] = mem_at(x, d, MEM_OUTPUT);
    xhci_command(x, d, mem_at(x, d, MEM_INPUT), TRB_TYPE(TRB_ADDRESS_DEVICE));
    return 0;
}

int xhci_packet_size(struct xhci *x, struct usb_dev *d)
{
    flags_set(x, d, FLAG_CONTROL);
    endpoint_set(x, d, CONTROL_DCI, &d->control, EP_CONTROL, d->packet0);
    xhci_command(x, d, mem_at(x, d, MEM_INPUT), TRB_TYPE(TRB_EVALUATE_CONTEXT));
    return 0;
}

static unsigned in_dci(const struct usb_dev *d) { return d->found.endpoint * 2u + 1; }

/* Of a hub its slot says that it is one; a keyboard gets its endpoint. */
int xhci_configure(struct xhci *x, struct usb_dev *d)
{
    volatile uint32_t *slot = input(x, d, 1);
    unsigned dci = in_dci(d);

    if (d->found.kind == USB_HUB) {
        flags_set(x, d, FLAG_SLOT);
        slot[0] |= SLOT_HUB;
        slot[1] |= (uint32_t)d->ports << 24;
        slot[2] |= (uint32_t)(d->speed == USB_HIGH ? d->think : 0) << 16;
    } else {
        volatile uint32_t *c = input(x, d, dci + 1);

        xhci_ring_init(&d->in, d->mem + MEM_IN_RING, mem_at(x, d, MEM_IN_RING), USB_RING);
        flags_set(x, d, FLAG_SLOT | 1u << dci);
        slot[0] = (slot[0] & ~(31u << SLOT_ENTRIES_SHIFT)) | dci << SLOT_ENTRIES_SHIFT;
        endpoint_set(x, d, dci, &d->in, EP_INTERRUPT_IN, d->found.packet);
        c[0] = (uint32_t)usb_interval(d->speed, d->found.interval) << 16;
        c[4] |= (uint32_t)d->found.packet << 16;
    }
    xhci_command(x, d, mem_at(x, d, MEM_INPUT), TRB_TYPE(TRB_CONFIGURE_ENDPOINT));
    return 0;
}

int xhci_disable_slot(struct xhci *x, struct usb_dev *d)
{
    if (!d->slot)
        return USB_SKIP;
    xhci_command(x, d, 0, TRB_TYPE(TRB_DISABLE_SLOT));
    return 0;
}

static int reset_endpoint(struct xhci *x, struct usb_dev *d, unsigned dci)
{
    xhci_command(x, d, 0, TRB_TYPE(TRB_RESET_ENDPOINT) | dci << 16);
    return 0;
}

/* What was not done yet is forgotten: the controller goes on where we do. */
static int skip_all(struct xhci *x, struct usb_dev *d, const struct xhci_ring *r, unsigned dci)
{
    xhci_command(x, d, (r->at + r->put * sizeof(struct xhci_trb)) | r->cycle,
                 TRB_TYPE(TRB_SET_DEQUEUE) | dci << 16);
    return 0;
}

int xhci_reset_in(struct xhci *x, struct usb_dev *d) { return reset_endpoint(x, d, in_dci(d)); }

int xhci_dequeue_in(struct xhci *x, struct usb_dev *d) { return skip_all(x, d, &d->in, in_dci(d)); }

int xhci_reset_control(struct xhci *x, struct usb_dev *d)
{
    return d->control_halted ? reset_endpoint(x, d, CONTROL_DCI) : USB_SKIP;
}

int xhci_dequeue_control(struct xhci *x, struct usb_dev *d)
{
    if (!d->control_halted)
        return USB_SKIP;
    d->control_halted = false;
    return skip_all(x, d, &d->control, CONTROL_DCI);
}

/* ---- control transfers ---- */

int xhci_control(struct xhci *x, struct usb_dev *d, const struct usb_request *q)
{
    uint64_t setup = q->type | (uint64_t)q->request << 8 | (uint64_t)q->value << 16 |
                     (uint64_t)q->index << 32 | (uint64_t)q->length << 48;
    bool in = q->length; /* nothing is sent beside the request */
    uint64_t data = 0;

    if (q->length > USB_DATA)
        return -EINVAL;
    (void)xhci_ring_put(&d->control, setup, 8, TRB_TYPE(TRB_SETUP) | TRB_IDT | (in ? 3u << 16 : 0));
    if (in)
        data = xhci_ring_put(&d->control, mem_at(x, d, MEM_DATA), q->length,
                             TRB_TYPE(TRB_DATA) | TRB_ISP | 1u << 16);
    memset(&x->answer, 0, sizeof x->answer);
    x->answer.waits = true;
    x->answer.dev = d;
    x->answer.data = data;
    x->answer.asked = x->answer.got = q->length;
    x->answer.at =
        xhci_ring_put(&d->control, 0, 0, TRB_TYPE(TRB_STATUS) | TRB_IOC | (in ? 0 : 1u << 16));
    xhci_doorbell(x, d->slot, CONTROL_DCI);
    return 0;
}

int xhci_answered(struct xhci *x, struct usb_dev *d)
{
    (void)d;
    if (!x->answer.come)
        return -EAGAIN;
    return x->answer.code == CODE_SUCCESS || x->answer.code == CODE_SHORT ? 0
           : x->answer.code == CODE_STALL                                 ? -EPIPE
                                                                          : -EIO;
}

static uint8_t code_in(const struct xhci_trb *t) { return (uint8_t)(t->status >> 24); }

void xhci_command_event(struct xhci *x, const struct xhci_trb *t)
{
    if (!x->answer.waits || !x->answer.command || t->parameter != x->answer.at) {
        xhci_stray(x, "a command", t->parameter);
        return;
    }
    x->answer.waits = false;
    x->answer.come = true;
    x->answer.code = code_in(t);
    x->answer.slot = (uint8_t)(t->control >> 24);
}

static void control_event(struct xhci *x, struct usb_dev *d, const struct xhci_trb *t)
{
    uint32_t left = t->status & 0xffffff;
    uint8_t code = code_in(t);
    bool fine = code == CODE_SUCCESS || code == CODE_SHORT;

    if (!x->answer.waits || x->answer.command || x->answer.dev != d ||
        xhci_ring_index(&d->control, t->parameter) == d->control.size) {
        xhci_stray(x, "a request", t->parameter);
        return;
    }
    if (fine && t->parameter == x->answer.data && left <= x->answer.asked)
        x->answer.got = (uint16_t)(x->answer.asked - left);
    if (fine && t->parameter != x->answer.at)
        return;
    x->answer.waits = false;
    x->answer.come = true;
    x->answer.code = code;
    d->control_halted |= !fine;
    if (fine)
        memcpy(x->copy, (const void *)(uintptr_t)(d->mem + MEM_DATA), x->answer.got);
}

/* ---- reports ---- */

static uint32_t report_room(const struct usb_dev *d)
{
    return min_u32(d->found.packet, USB_REPORT_ROOM);
}

static void report_ask(struct xhci *x, struct usb_dev *d, unsigned slot)
{
    d->in_slot[d->in.put] = (uint8_t)slot;
    (void)xhci_ring_put(&d->in, mem_at(x, d, MEM_REPORTS + slot * USB_REPORT_ROOM), report_room(d),
                        TRB_TYPE(TRB_NORMAL) | TRB_IOC | TRB_ISP);
}

void xhci_listen(struct xhci *x, struct usb_dev *d)
{
    d->in_got = d->in.put;
    for (unsigned i = 0; i < USB_REPORTS; i++)
        report_ask(x, d, i);
    xhci_doorbell(x, d->slot, in_dci(d));
}

static void xhci_ask_report(struct usb_dev *d, const volatile uint8_t *p, uint32_t n)
{
    uint8_t copy[USB_REPORT_ROOM];
    char typed[HID_BYTES_MAX];
    size_t bytes;

    memcpy(copy, (const void *)(uintptr_t)p, n);
    bytes = hid_report(&d->keyboard, copy, n, time_ns(), typed);
    if (bytes)
        host_console_rx(typed, bytes);
}

/* Reports come in the order of their buffers; anything else is not believed. */
static void report_event(struct xhci *x, struct usb_dev *d, const struct xhci_trb *t)
{
    uint32_t left = t->status & 0xffffff, room = report_room(d);
    unsigned slot = d->in_slot[d->in_got];
    uint8_t code = code_in(t);

    if (d->halted || t->parameter != d->in.at + d->in_got * sizeof(struct xhci_trb) ||
        left > room) {
        xhci_stray(x, "a report", t->parameter);
        return;
    }
    if (code != CODE_SUCCESS && code != CODE_SHORT) {
        d->halted = true;
        d->errors++;
        return;
    }
    d->in_got = (d->in_got + 1) % (d->in.size - 1);
    usb_works(x, d);
    xhci_ask_report(d, d->mem + MEM_REPORTS + slot * USB_REPORT_ROOM, room - left);
    report_ask(x, d, slot);
    xhci_doorbell(x, d->slot, in_dci(d));
}

void xhci_transfer_event(struct xhci *x, const struct xhci_trb *t)
{
    struct usb_dev *d = usb_by_slot(x, t->control >> 24);
    unsigned dci = t->control >> 16 & 31;

    if (d && dci == CONTROL_DCI)
        control_event(x, d, t);
    else if (d && d->live && !d->gone && d->found.kind == USB_KEYBOARD && dci == in_dci(d))
        report_event(x, d, t);
    else
        xhci_stray(x, "an endpoint", t->control >> 16);
}
