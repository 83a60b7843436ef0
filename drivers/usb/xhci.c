/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xhci.c: a USB host controller's life, as a machine of few states that never waits. It is polled:
 * what it writes is in memory, so that looking costs next to nothing. A controller that does not
 * do what it should is reset, three times; then it is no bus master any more.
 */
#include <arch/barrier.h>
#include <hv/assert.h>
#include <hv/console.h>
#include <hv/drivers.h>
#include <hv/log.h>
#include <hv/pmm.h>
#include <hv/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xhci.h"

enum { /* xHCI section 5.3 */
       CAP_LENGTH = 0,
       CAP_HCSPARAMS1 = 4,
       CAP_HCSPARAMS2 = 8,
       CAP_HCCPARAMS1 = 0x10,
       CAP_DBOFF = 0x14,
       CAP_RTSOFF = 0x18,
       CAP_END = 0x20
};
enum { /* section 5.4 */
       OP_USBCMD = 0,
       OP_USBSTS = 4,
       OP_PAGESIZE = 8,
       OP_DNCTRL = 0x14,
       OP_CRCR = 0x18,
       OP_DCBAAP = 0x30,
       OP_CONFIG = 0x38,
       OP_PORTS = 0x400,
       OP_PORT = 16
};
enum { /* section 5.5, of interrupter 0 */
       RUN_IMAN = 0x20,
       RUN_ERSTSZ = 0x28,
       RUN_ERSTBA = 0x30,
       RUN_ERDP = 0x38,
       RUN_END = 0x40,
       ERDP_BUSY = 8
};
enum { CMD_RUN = 1, CMD_RESET = 2 };
enum { STS_HALTED = 1, STS_HOST_ERROR = 4, STS_NOT_READY = 1 << 11, STS_FAILED = 1 << 12 };
enum { /* section 7 */
       EXT_LEGACY = 1,
       EXT_PROTOCOL = 2,
       EXT_MOST = 64,
       LEGACY_BIOS = 1 << 16,
       LEGACY_OS = 1 << 24,
       LEGACY_CONTROL = 4
};
#define LEGACY_KEEP 0x000e1feeu  /* section 7.1.2: reserved; the others turn SMIs on */
#define LEGACY_EVENTS (7u << 29) /* cleared by a 1 */
#define PORT_KEEP 0x0e00c200u    /* power, indicators, wake-up: section 5.4.8 */
#define MS 1000000ull
#define HANDOFF_NS (1000 * MS) /* the firmware may take so long: section 4.22.1 */
#define HALT_NS (100 * MS)     /* 16 ms: section 5.4.1.1 */
#define RESET_NS (1000 * MS)
#define WATCH_NS (250 * MS)
#define POLL_STEP_NS (2 * MS)  /* while something is under way */
#define POLL_KEYS_NS (10 * MS) /* with a keyboard */
#define POLL_IDLE_NS (50 * MS) /* without one */
#define REGS_MOST (1 * MIB)
enum { COMMANDS = 256, EVENTS = 256, EVENTS_AT_ONCE = 64, RESTARTS_MOST = 3, DEV_ORDER = 5 };
enum { SEGMENTS = 2048 }; /* where in the page of the DCBAA the event ring's only segment is told */
enum { CONTROLLERS = 8 };
static_assert(PAGE_SIZE << DEV_ORDER == USB_DEVICES * 0x2000, "a device has two pages");
static_assert(COMMANDS * sizeof(struct xhci_trb) == PAGE_SIZE, "a page");

static struct xhci *controllers[CONTROLLERS];
static unsigned ncontrollers;

/* ---- registers ---- */

uint32_t xhci_read(const struct xhci *x, uint32_t off)
{
    return off <= x->len - 4 ? host_reg_read(x->regs + off, 4) : UINT32_MAX;
}

void xhci_write(struct xhci *x, uint32_t off, uint32_t val)
{
    if (off <= x->len - 4)
        host_reg_write(x->regs + off, 4, val);
}

static void xhci_write_wide(struct xhci *x, uint32_t off, uint64_t val)
{
    xhci_write(x, off, (uint32_t)val);
    xhci_write(x, off + 4, (uint32_t)(val >> 32));
}

static uint32_t xhci_port_off(const struct xhci *x, unsigned port)
{
    return x->op + OP_PORTS + (port - 1) * OP_PORT;
}

uint32_t xhci_port_read(const struct xhci *x, unsigned port)
{
    return xhci_read(x, xhci_port_off(x, port));
}

void xhci_port_write(struct xhci *x, unsigned port, uint32_t bits)
{
    uint32_t was = xhci_port_read(x, port);

    if (was != UINT32_MAX)
        xhci_write(x, xhci_port_off(x, port), (was & PORT_KEEP) | bits);
}

/* ---- from state to state ---- */

static void xhci_enter(struct xhci *x, enum xhci_state state, uint64_t deadline)
{
    x->state = state;
    x->deadline = deadline;
}

/* For good. Its memory stays where it is: it may be asked for by what is no bus master any more. */
static void xhci_die(struct xhci *x, const char *why)
{
    log_warn("USB controller %s: %s: giving it up", x->at, why);
    xhci_write(x, x->op + OP_USBCMD, 0);
    host_pci_command(x->pci, 0, HOST_PCI_MASTER);
    usb_forget_all(x);
    xhci_enter(x, XHCI_DEAD, UINT64_MAX);
}

static void xhci_halt(struct xhci *x, uint64_t now)
{
    uint32_t command = xhci_read(x, x->op + OP_USBCMD);

    xhci_write(x, x->op + OP_USBCMD, command & ~(uint32_t)CMD_RUN);
    xhci_enter(x, XHCI_HALTING, now + HALT_NS);
}

void xhci_restart(struct xhci *x, const char *why)
{
    if (x->state == XHCI_DEAD || x->state == XHCI_HALTING)
        return;
    if (++x->restarts > RESTARTS_MOST) {
        xhci_die(x, why);
        return;
    }
    log_warn("USB controller %s: %s: resetting it", x->at, why);
    usb_forget_all(x);
    xhci_halt(x, time_ns());
}

void xhci_stray(struct xhci *x, const char *what, uint64_t which)
{
    if (!x->told_stray)
        log_info("USB controller %s: it answered a request that it was not given (%s, %llx): "
                 "ignored, as "
                 "are further ones",
                 x->at, what, (unsigned long long)which);
    x->told_stray = true;
}

/* Section 4.22.1: asks the firmware for it, once. */
static void xhci_ask_firmware(struct xhci *x, uint64_t now)
{
    uint32_t owner = x->legacy ? xhci_read(x, x->legacy) : 0;

    if (owner & LEGACY_BIOS)
        xhci_write(x, x->legacy, owner | LEGACY_OS);
    xhci_enter(x, XHCI_HANDOFF, now + HANDOFF_NS);
}

static void xhci_when_handoff(struct xhci *x, uint64_t now)
{
    if (x->legacy) {
        uint32_t owner = xhci_read(x, x->legacy);
        uint32_t smi;

        if (owner & LEGACY_BIOS && now < x->deadline)
            return;
        if (owner & LEGACY_BIOS)
            log_info("USB controller %s: the firmware did not release it: taken over", x->at);
        xhci_write(x, x->legacy, (owner & ~(uint32_t)LEGACY_BIOS) | LEGACY_OS);
        smi = xhci_read(x, x->legacy + LEGACY_CONTROL);
        xhci_write(x, x->legacy + LEGACY_CONTROL, (smi & LEGACY_KEEP) | LEGACY_EVENTS);
    }
    xhci_halt(x, now);
}

static void xhci_when_halting(struct xhci *x, uint64_t now)
{
    if (!(xhci_read(x, x->op + OP_USBSTS) & STS_HALTED)) {
        if (now >= x->deadline)
            xhci_die(x, "it did not stop");
        return;
    }
    xhci_write(x, x->op + OP_USBCMD, CMD_RESET);
    xhci_enter(x, XHCI_RESETTING, now + RESET_NS);
}

/* Section 4.2 */
static void xhci_start(struct xhci *x, uint64_t now)
{
    struct { /* section 6.5 */
        uint64_t base;
        uint32_t size, reserved;
    } segment = { .base = x->events.at, .size = EVENTS };

    memset((void *)(uintptr_t)x->dcbaa, 0, PAGE_SIZE);
    memset((void *)(uintptr_t)x->event_ring, 0, PAGE_SIZE);
    memcpy((uint8_t *)(uintptr_t)x->dcbaa + SEGMENTS, &segment, sizeof segment);
    if (x->scratchpads)
        x->dcbaa[0] = dma_at(x->dma, x->pads);
    xhci_ring_init(&x->commands, x->commands.trb, x->commands.at, COMMANDS);
    x->events.got = 0;
    x->events.cycle = TRB_CYCLE;
    dma_wmb(); /* the registers below make it read all that */
    host_pci_command(x->pci, HOST_PCI_MASTER, 0);
    xhci_write(x, x->op + OP_CONFIG, x->slots);
    xhci_write(x, x->op + OP_DNCTRL, 0);
    xhci_write_wide(x, x->op + OP_DCBAAP, dma_at(x->dma, x->dcbaa));
    xhci_write_wide(x, x->op + OP_CRCR, x->commands.at | TRB_CYCLE);
    xhci_write(x, x->run + RUN_IMAN, 0);
    xhci_write(x, x->run + RUN_ERSTSZ, 1);
    xhci_write_wide(x, x->run + RUN_ERDP, x->events.at);
    xhci_write_wide(x, x->run + RUN_ERSTBA, dma_at(x->dma, x->dcbaa) + SEGMENTS);
    xhci_write(x, x->op + OP_USBCMD, CMD_RUN);
    for (unsigned i = 1; i <= x->nports; i++) {
        if (!(xhci_port_read(x, i) & PORT_POWER))
            xhci_port_write(x, i, PORT_POWER);
        x->port[i].look = true;
        x->port[i].done = false;
    }
    x->watched = now;
    xhci_enter(x, XHCI_LIVE, UINT64_MAX);
}

static void xhci_when_resetting(struct xhci *x, uint64_t now)
{
    bool busy = xhci_read(x, x->op + OP_USBCMD) & CMD_RESET ||
                xhci_read(x, x->op + OP_USBSTS) & STS_NOT_READY;

    if (!busy)
        xhci_start(x, now);
    else if (now >= x->deadline)
        xhci_die(x, "it did not reset");
}

/* ---- what it says ---- */

static void xhci_event(struct xhci *x, const struct xhci_trb *t)
{
    unsigned type = t->control >> 10 & 63, port = t->parameter >> 24 & 0xff;

    if (type == TRB_COMMAND_EVENT)
        xhci_command_event(x, t);
    else if (type == TRB_TRANSFER_EVENT)
        xhci_transfer_event(x, t);
    else if (type == TRB_PORT_EVENT && port && port <= x->nports)
        x->port[port].look = true;
    else
        xhci_stray(x, "an event", type);
}

static void xhci_take_events(struct xhci *x)
{
    struct xhci_trb t;
    unsigned i = 0;

    while (i < EVENTS_AT_ONCE && x->state == XHCI_LIVE && xhci_events_get(&x->events, &t)) {
        xhci_event(x, &t);
        i++;
    }
    dma_wmb(); /* the events are read before their places are given back */
    if (i && x->state == XHCI_LIVE)
        xhci_write_wide(x, x->run + RUN_ERDP,
                        (x->events.at + x->events.got * sizeof t) | ERDP_BUSY);
}

/* Now and then: whether it is still there, and all ports, of which a change may have been missed.
 */
static void xhci_watch(struct xhci *x, uint64_t now)
{
    uint32_t status;

    if (now - x->watched < WATCH_NS)
        return;
    x->watched = now;
    status = xhci_read(x, x->op + OP_USBSTS);
    if (status == UINT32_MAX)
        xhci_die(x, "its registers read as all ones: it was removed or has failed");
    else if (status & (STS_HALTED | STS_HOST_ERROR | STS_FAILED))
        xhci_restart(x, "it stopped");
    for (unsigned i = 1; i <= x->nports; i++)
        x->port[i].look = true;
}

static void xhci_when_live(struct xhci *x, uint64_t now)
{
    xhci_take_events(x);
    if (x->state == XHCI_LIVE)
        xhci_watch(x, now);
    if (x->state == XHCI_LIVE)
        usb_step(x, now);
}

/* A key that is held. True: there are keyboards. */
static bool xhci_keys(struct xhci *x, uint64_t now)
{
    char typed[KEY_BYTES_MAX];
    bool any = false;

    for (unsigned i = 0; i < USB_DEVICES; i++) {
        struct usb_dev *d = &x->dev[i];

        if (!d->used || !d->live || d->gone || d->found.kind != USB_KEYBOARD)
            continue;
        size_t n = hid_again(&d->keyboard, now, typed);
        if (n)
            host_console_rx(typed, n);
        any = true;
    }
    return any;
}

static void xhci_look(struct event *ev)
{
    struct xhci *x = container_of(ev, struct xhci, event);
    uint64_t now = time_ns(), pause = POLL_STEP_NS;

    assert_cpu0();
    if (x->state == XHCI_HANDOFF)
        xhci_when_handoff(x, now);
    else if (x->state == XHCI_HALTING)
        xhci_when_halting(x, now);
    else if (x->state == XHCI_RESETTING)
        xhci_when_resetting(x, now);
    else if (x->state == XHCI_LIVE)
        xhci_when_live(x, now);
    if (x->state == XHCI_LIVE) {
        pause = xhci_keys(x, now) ? POLL_KEYS_NS : POLL_IDLE_NS;
        if (x->job.dev)
            pause = POLL_STEP_NS;
    }
    if (x->state != XHCI_DEAD)
        event_at(ev, now + pause);
}

/* ---- finding it ---- */

/* Section 7.2: of which kind ports are. */
static void xhci_protocol(struct xhci *x, uint32_t at)
{
    uint32_t kind = xhci_read(x, at), ports = xhci_read(x, at + 8), type = xhci_read(x, at + 12);
    unsigned first = ports & 0xff, count = ports >> 8 & 0xff;

    for (unsigned i = 0; i < count && first + i <= x->nports; i++) {
        x->port[first + i].major = (uint8_t)(kind >> 24);
        x->port[first + i].slot_type = type & 31;
    }
}

/* Section 7: a list in the registers; so many of it are read, wherever they lead. */
static void xhci_extended(struct xhci *x, uint32_t hccparams1)
{
    uint32_t at = (hccparams1 >> 16) * 4;

    for (unsigned i = 0; i < EXT_MOST && at && at <= x->len - 16; i++) {
        uint32_t head = xhci_read(x, at);

        if ((head & 0xff) == EXT_LEGACY)
            x->legacy = at;
        else if ((head & 0xff) == EXT_PROTOCOL)
            xhci_protocol(x, at);
        at = head >> 8 & 0xff ? at + (head >> 8 & 0xff) * 4 : 0;
    }
}

/* What it has. NULL, or why it cannot be driven. */
static const char *xhci_capabilities(struct xhci *x)
{
    uint32_t cap = xhci_read(x, CAP_LENGTH), hcs1 = xhci_read(x, CAP_HCSPARAMS1);
    uint32_t hcs2 = xhci_read(x, CAP_HCSPARAMS2), hcc1 = xhci_read(x, CAP_HCCPARAMS1);

    if (cap == UINT32_MAX)
        return "it does not answer";
    x->op = cap & 0xff;
    x->nports = hcs1 >> 24;
    x->slots = min_u32(hcs1 & 0xff, USB_DEVICES);
    x->scratchpads = (hcs2 >> 21 & 31) << 5 | hcs2 >> 27;
    x->wide = hcc1 & 1;
    x->context = hcc1 & 4 ? 64 : 32;
    x->run = xhci_read(x, CAP_RTSOFF) & ~31u;
    x->doorbell = xhci_read(x, CAP_DBOFF) & ~3u;
    if (!x->nports || !x->slots)
        return "it has no ports or no slots";
    if (x->op < CAP_END || (x->op & 3) || x->op + OP_PORTS + x->nports * OP_PORT > x->len ||
        x->run > x->len - RUN_END || x->doorbell > x->len - 4 * (USB_DEVICES + 1))
        return "its registers are outside of its BAR";
    if (!(xhci_read(x, x->op + OP_PAGESIZE) & 1))
        return "it does not support pages of 4 KiB";
    xhci_extended(x, hcc1);
    return NULL;
}

static volatile void *xhci_alloc(struct xhci *x, unsigned order)
{
    volatile uint8_t *p = dma_alloc(x->dma, order);

    if (p)
        x->highest = max_u64(x->highest, dma_at(x->dma, p) + (PAGE_SIZE << order) - 1);
    return p;
}

static int xhci_make_pads(struct xhci *x)
{
    if (!x->scratchpads)
        return 0;
    x->pad_order = pmm_order(x->scratchpads * PAGE_SIZE);
    x->pads = xhci_alloc(x, 1);
    x->pad_pages = xhci_alloc(x, x->pad_order);
    if (!x->pads || !x->pad_pages)
        return -ENOMEM;
    for (unsigned i = 0; i < x->scratchpads; i++)
        x->pads[i] = dma_at(x->dma, x->pad_pages) + i * PAGE_SIZE;
    return 0;
}

static int xhci_make_memory(struct xhci *x)
{
    x->dcbaa = xhci_alloc(x, 0);
    x->commands.trb = xhci_alloc(x, 0);
    x->event_ring = xhci_alloc(x, 0);
    x->dev_pages = xhci_alloc(x, DEV_ORDER);
    if (!x->dcbaa || !x->commands.trb || !x->event_ring || !x->dev_pages || xhci_make_pads(x))
        return -ENOMEM;
    if (!x->wide && x->highest > UINT32_MAX) {
        log_warn("USB controller %s: not used: it cannot reach memory above 4 GiB, where its "
                 "rings would be",
                 x->at);
        return -ENOTSUP;
    }
    x->commands.at = dma_at(x->dma, x->commands.trb);
    x->events = (struct xhci_events){ .trb = x->event_ring,
                                      .at = dma_at(x->dma, x->event_ring),
                                      .size = EVENTS };
    for (unsigned i = 0; i < USB_DEVICES; i++)
        x->dev[i].mem = x->dev_pages + i * 2 * PAGE_SIZE;
    return 0;
}

static void xhci_unmake(struct xhci *x)
{
    if (x->dma) {
        dma_free(x->dma, x->dcbaa, 0);
        dma_free(x->dma, x->commands.trb, 0);
        dma_free(x->dma, x->event_ring, 0);
        dma_free(x->dma, x->dev_pages, DEV_ORDER);
        dma_free(x->dma, x->pads, 1);
        dma_free(x->dma, x->pad_pages, x->pad_order);
    }
    dma_close(x->dma);
    free(x);
}

static int xhci_set_up(struct xhci *x)
{
    struct host_pci_bar bar;
    const char *why;
    int err = host_pci_bar(x->pci, 0, &bar);

    if (err)
        return err;
    x->len = min_u64(bar.len, REGS_MOST);
    x->regs = x->len >= CAP_END ? host_pci_map(x->pci, 0, x->len) : NULL;
    if (!x->regs)
        return -EINVAL;
    why = xhci_capabilities(x);
    if (why) {
        log_warn("USB controller %s: not used: %s", x->at, why);
        return -EIO;
    }
    err = dma_open(&x->dma, x->pci, "the xHCI driver", 1, PAGE_SIZE, 1);
    if (!err)
        err = xhci_make_memory(x);
    return err;
}

/* One who types wants to see it: without a screen, it is left as it is. */
static int xhci_probe(const struct host_pci_dev *pci)
{
    struct xhci *x;
    uint32_t version;
    int err;

    assert_cpu0();
    if (!drivers_have_screen() || ncontrollers == CONTROLLERS)
        return -ENODEV;
    x = calloc(1, sizeof *x); /* charge: the host's devices are Trivet's own */
    if (!x)
        return -ENOMEM;
    x->pci = pci;
    snprintf(x->at, sizeof x->at, "%04x:%02x:%02x.%u", pci->segment, pci->bus, pci->devfn >> 3,
             pci->devfn & 7u);
    err = xhci_set_up(x);
    if (err) {
        xhci_unmake(x);
        return err;
    }
    version = xhci_read(x, CAP_LENGTH) >> 16; /* HCIVERSION, BCD: §5.3.2 */
    log_info("USB controller %s: xHCI %x.%02x, %u ports", x->at, version >> 8, version & 0xff,
             x->nports);
    host_pci_command(pci, HOST_PCI_NO_INTX, 0);
    event_init(&x->event, xhci_look, 0);
    controllers[ncontrollers++] = x;
    xhci_ask_firmware(x, time_ns());
    event_at(&x->event, time_ns() + POLL_STEP_NS);
    return 0;
}

/* ---- the machine's end ---- */

static void xhci_rest(struct xhci *x)
{
    uint64_t end = time_ns() + HALT_NS;

    event_cancel(&x->event);
    if (x->state != XHCI_DEAD) {
        xhci_halt(x, 0);
        while (!(xhci_read(x, x->op + OP_USBSTS) & STS_HALTED) && time_ns() < end)
            continue;
    }
    host_pci_command(x->pci, 0, HOST_PCI_MASTER);
    xhci_enter(x, XHCI_DEAD, UINT64_MAX);
}

static void xhci_shutdown(void)
{
    assert_cpu0();
    for (unsigned i = 0; i < ncontrollers; i++)
        xhci_rest(controllers[i]);
}

const struct pci_driver xhci_driver = { "xhci", 0x0c0330, xhci_probe, xhci_shutdown };
PCI_DRIVER(xhci_driver);
