/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xhci.h: a USB host controller as its files share it; for drivers/usb alone. "xHCI" is Intel's
 * eXtensible Host Controller Interface for USB, revision 1.2. All of it runs on CPU 0, from probe
 * or from the controller's event: no lock. What the controller or a device says is copied once,
 * and checked.
 */
#pragma once
#include <hv/dma.h>
#include <hv/event.h>
#include <hv/host_pci.h>

#include "usb.h"

/* xHCI section 6.4: 16 bytes, of which bit 0 of `control` is the cycle bit */
struct xhci_trb {
    uint64_t parameter;
    uint32_t status, control;
};
static_assert(sizeof(struct xhci_trb) == 16 && offsetof(struct xhci_trb, control) == 12,
              "xHCI figure 4-13");
enum xhci_trb_type { /* xHCI table 6-91 */
                     TRB_NORMAL = 1,
                     TRB_SETUP,
                     TRB_DATA,
                     TRB_STATUS,
                     TRB_LINK = 6,
                     TRB_ENABLE_SLOT = 9,
                     TRB_DISABLE_SLOT,
                     TRB_ADDRESS_DEVICE,
                     TRB_CONFIGURE_ENDPOINT,
                     TRB_EVALUATE_CONTEXT,
                     TRB_RESET_ENDPOINT,
                     TRB_SET_DEQUEUE = 16,
                     TRB_TRANSFER_EVENT = 32,
                     TRB_COMMAND_EVENT,
                     TRB_PORT_EVENT
};
#define TRB_TYPE(type) ((uint32_t)(type) << 10)
enum { TRB_CYCLE = 1, TRB_TOGGLE = 2, TRB_ISP = 4, TRB_IOC = 1 << 5, TRB_IDT = 1 << 6 };
enum xhci_code { /* xHCI table 6-90 */
                 CODE_SUCCESS = 1,
                 CODE_BABBLE = 3,
                 CODE_TRANSACTION = 4,
                 CODE_STALL = 6,
                 CODE_SHORT = 13,
                 CODE_SPLIT = 36
};

/* What we put in: commands, a device's transfers. The last TRB leads back to the first. */
struct xhci_ring {
    volatile struct xhci_trb *trb;
    uint64_t at; /* its address, as the controller sees it */
    unsigned size, put;
    uint32_t cycle;
};
void xhci_ring_init(struct xhci_ring *, volatile void *, uint64_t at, unsigned size);
/* Returns the TRB's address. The controller sees a whole TRB, or none. */
uint64_t xhci_ring_put(struct xhci_ring *, uint64_t parameter, uint32_t status, uint32_t control);
/* Of that TRB its place, or `size` when it is none of the ring's. */
unsigned xhci_ring_index(const struct xhci_ring *, uint64_t at);

/* What the controller puts in: one segment. */
struct xhci_events {
    const volatile struct xhci_trb *trb;
    uint64_t at;
    unsigned size, got;
    uint32_t cycle;
};
/* False: none is there. */
bool xhci_events_get(struct xhci_events *, struct xhci_trb *);

enum { USB_DEVICES = 16, USB_RING = 64, USB_REPORTS = 4, USB_REPORT_ROOM = 64, USB_DATA = 1024 };
enum { USB_TIERS = 5, USB_HUB_PORTS = 15, XHCI_PORTS = 255 };

/* A keyboard, a hub, or what is just being asked what it is. */
struct usb_dev {
    bool used, gone; /* gone: it was taken out, or has failed */
    bool live;       /* it is set up */
    bool halted;     /* its interrupt endpoint */
    bool fine;       /* gone because it is of no use here */
    uint8_t slot;    /* 0: none yet */
    uint8_t port, tier;
    uint32_t route;         /* xHCI section 8.9 */
    struct usb_dev *parent; /* a hub, whose port `parent_port` it is on; NULL: `port` of the root */
    uint8_t parent_port;
    enum usb_speed speed;
    uint16_t packet0; /* of endpoint 0 */
    uint8_t class;
    uint16_t vendor, product, config_bytes;
    struct usb_found found;
    volatile uint8_t *mem; /* of its own, for good */
    struct xhci_ring control, in;
    bool control_halted;
    uint8_t in_slot[USB_RING]; /* whose buffer a TRB of `in` has */
    unsigned in_got;           /* place of the oldest TRB of `in` that is with the controller */
    unsigned errors;           /* of `in`, without a report between them */
    struct hid_keyboard keyboard;
    /* a hub's */
    uint8_t ports, think, next_port;
    uint8_t wanted; /* the port where somebody new is; 0: none */
    uint16_t done;  /* by port: what is there is known, and no business of ours */
    uint8_t failures[USB_HUB_PORTS + 1];
    uint64_t look; /* when its next port is looked at */
    uint32_t port_status;
};

struct xhci_port {
    uint8_t major, slot_type; /* xHCI section 7.2; major 0: no protocol was told */
    bool look, done;          /* done: as of hubs' */
    uint8_t failures;
    uint64_t not_before;
};

enum xhci_state { XHCI_HANDOFF, XHCI_HALTING, XHCI_RESETTING, XHCI_LIVE, XHCI_DEAD };

struct xhci;
/*
 * A piece of what is done with a device, one after the other, one device at a time. start: 0: it is
 * under way; USB_SKIP; or it has failed. done, each time something may have changed: 0; -EAGAIN:
 * not yet; USB_REPEAT: start it again; or it has failed. NULL: xhci_answered().
 */
typedef int usb_step_fn(struct xhci *, struct usb_dev *);
enum { USB_SKIP = 1, USB_REPEAT = 2 };
struct usb_step {
    const char *what; /* for the log; NULL: it ends, or goes on in `then` */
    usb_step_fn *start, *done;
    const struct usb_step *then;
};

struct xhci {
    const struct host_pci_dev *pci;
    char at[16];
    volatile uint8_t *regs;
    uint64_t len;               /* of them */
    uint32_t op, run, doorbell; /* offsets */
    uint32_t legacy;            /* offset of the capability; 0: none */
    unsigned nports, slots, scratchpads, context;
    bool wide; /* 64-bit addresses */
    uint64_t highest;
    struct xhci_port port[XHCI_PORTS + 1]; /* from 1 */
    struct dma *dma;
    volatile uint64_t *dcbaa, *pads;
    volatile uint8_t *pad_pages, *dev_pages;
    unsigned pad_order;
    struct xhci_ring commands;
    struct xhci_events events;
    volatile struct xhci_trb *event_ring;

    enum xhci_state state;
    uint64_t deadline, watched;
    unsigned restarts; /* without success between them */
    struct usb_dev dev[USB_DEVICES];
    struct {
        const struct usb_step *step;
        struct usb_dev *dev;          /* NULL: nothing is under way */
        bool started, down;           /* down: what is gone is taken down */
        uint64_t deadline, from, end; /* of the step; when all of it must be over */
    } job;
    /* what was asked, one at a time */
    struct {
        bool waits, come, command;
        uint64_t at, data; /* TRBs: the last one; of a transfer that of its data */
        struct usb_dev *dev;
        uint8_t code, slot;
        uint16_t asked, got; /* bytes */
    } answer;
    uint8_t copy[USB_DATA]; /* what a device has said */
    bool told_stray, told_full;
    struct event event;
};

/* ---- xhci.c: the controller ---- */
uint32_t xhci_read(const struct xhci *, uint32_t off);
void xhci_write(struct xhci *, uint32_t off, uint32_t);
uint32_t xhci_port_read(const struct xhci *, unsigned port);
/* Sets bits of PORTSC, or clears its change bits, and changes nothing else there. */
void xhci_port_write(struct xhci *, unsigned port, uint32_t bits);
/* It does not do what it should: all of it starts anew, or it is given up. */
void xhci_restart(struct xhci *, const char *why);
/* What came that nobody asked for is ignored. */
void xhci_stray(struct xhci *, const char *what, uint64_t which);
enum { /* xHCI table 5-27 */
       PORT_CONNECTED = 1 << 0,
       PORT_ENABLED = 1 << 1,
       PORT_RESET = 1 << 4,
       PORT_POWER = 1 << 9,
       PORT_SPEED_SHIFT = 10,
       PORT_SPEED = 15,
       PORT_CONNECT_CHANGE = 1 << 17,
       PORT_RESET_CHANGE = 1 << 21,
       PORT_CHANGES = 0x7f << 17
};
#define PORT_WARM_RESET (1u << 31)

/* ---- xhci_ask.c: commands, control transfers, contexts ---- */
void xhci_command(struct xhci *, struct usb_dev *, uint64_t parameter, uint32_t control);
/* The request's 8 bytes: USB section 9.3. Data come to x->copy. -EINVAL: too many. */
struct usb_request {
    uint8_t type, request;
    uint16_t value, index, length;
};
int must_check xhci_control(struct xhci *, struct usb_dev *, const struct usb_request *);
/* 0: done. -EAGAIN; -EPIPE: the device refuses; -EIO. */
int must_check xhci_answered(struct xhci *, struct usb_dev *);
void xhci_command_event(struct xhci *, const struct xhci_trb *);
void xhci_transfer_event(struct xhci *, const struct xhci_trb *);
void xhci_doorbell(struct xhci *, unsigned slot, unsigned target);
int must_check xhci_enable_slot(struct xhci *, struct usb_dev *);
int must_check xhci_enabled_slot(struct xhci *, struct usb_dev *);
int must_check xhci_address(struct xhci *, struct usb_dev *);
int must_check xhci_packet_size(struct xhci *, struct usb_dev *);
int must_check xhci_configure(struct xhci *, struct usb_dev *);
int must_check xhci_disable_slot(struct xhci *, struct usb_dev *);
int must_check xhci_reset_in(struct xhci *, struct usb_dev *);
int must_check xhci_dequeue_in(struct xhci *, struct usb_dev *);
int must_check xhci_reset_control(struct xhci *, struct usb_dev *);
int must_check xhci_dequeue_control(struct xhci *, struct usb_dev *);
/* All buffers of a keyboard's go to the controller. */
void xhci_listen(struct xhci *, struct usb_dev *);

/* ---- usb_job.c: devices come and go ---- */
/* Everything that can go on now does. */
void usb_step(struct xhci *, uint64_t now);
/* It is not to be used any more; without its children. */
void usb_lose(struct usb_dev *);
/* Nothing is left of any device: the controller was reset. */
void usb_forget_all(struct xhci *);
struct usb_dev *usb_by_slot(struct xhci *, unsigned slot);
/* It has shown that it works: failures before do not count any more. */
void usb_works(struct xhci *, struct usb_dev *);
/*
 * Steps of all lists: nothing is started; 100 ms pass, so that plugs sit well (USB
 * section 7.1.7.3); 10 ms pass, in which who was reset or addressed recovers.
 */
usb_step_fn usb_nothing, usb_settled, usb_recovered;
extern const struct usb_step usb_common[]; /* usb_device.c: from its slot on */

/* ---- usb_hub.c ---- */
extern const struct usb_step usb_hub_look[], usb_hub_child[];
usb_step_fn usb_hub_describe, usb_hub_described, usb_hub_power, usb_hub_powered;
