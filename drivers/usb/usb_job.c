/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usb_job.c: devices come and go. What is done with one is a list of steps (xhci.h); there is one
 * list under way at a time. What was taken out is taken down first, then ports are looked at, then
 * hubs.
 */
#include <hv/log.h>
#include <hv/time.h>
#include <string.h>

#include "xhci.h"

#define MS 1000000ull
#define STEP_NS (5000 * MS) /* no step takes longer: USB section 9.2.6.1 */
#define JOB_NS (20000 * MS)
#define AGAIN_NS (500 * MS)  /* after a failure */
#define SETTLE_NS (100 * MS) /* USB section 7.1.7.3 */
#define RECOVER_NS (10 * MS)
#define HUB_NS (60 * MS) /* between two ports of a hub */
enum { FAILURES_MOST = 3, STEPS_AT_ONCE = 16, ERRORS_MOST = 8 };

static const struct usb_step usb_down_steps[];

struct usb_dev *usb_by_slot(struct xhci *x, unsigned slot)
{
    for (unsigned i = 0; slot && i < USB_DEVICES; i++)
        if (x->dev[i].used && x->dev[i].slot == slot)
            return &x->dev[i];
    return NULL;
}

static struct usb_dev *usb_new(struct xhci *x)
{
    for (unsigned i = 0; i < USB_DEVICES; i++) {
        struct usb_dev *d = &x->dev[i];
        volatile uint8_t *mem = d->mem;

        if (d->used)
            continue;
        *d = (struct usb_dev){ .used = true, .mem = mem };
        return d;
    }
    if (!x->told_full)
        log_warn("USB controller %s: more than %u hubs and keyboards: further ones are ignored",
                 x->at, USB_DEVICES);
    x->told_full = true;
    return NULL;
}

void usb_lose(struct usb_dev *d) { d->gone = true; }

void usb_forget_all(struct xhci *x)
{
    for (unsigned i = 0; i < USB_DEVICES; i++)
        x->dev[i].used = false;
    memset(&x->job, 0, sizeof x->job);
    memset(&x->answer, 0, sizeof x->answer);
}

static void usb_begin(struct xhci *x, struct usb_dev *d, const struct usb_step *steps)
{
    x->job.dev = d;
    x->job.step = steps;
    x->job.started = false;
    x->job.down = steps == usb_down_steps;
    x->job.end = time_ns() + JOB_NS;
}

/* ---- waiting ---- */

static int usb_wait(const struct xhci *x, uint64_t ns)
{
    return time_ns() - x->job.from < ns ? -EAGAIN : 0;
}

int usb_nothing(struct xhci *x, struct usb_dev *d)
{
    (void)x, (void)d;
    return 0;
}

int usb_settled(struct xhci *x, struct usb_dev *d)
{
    (void)d;
    return usb_wait(x, SETTLE_NS);
}

int usb_recovered(struct xhci *x, struct usb_dev *d)
{
    (void)d;
    return usb_wait(x, RECOVER_NS);
}

/* ---- a port of the controller's own ---- */

/* One of USB 3 comes up by itself, or is reset by its own way: xHCI section 4.3.1. */
static int usb_port_reset(struct xhci *x, struct usb_dev *d)
{
    bool super = x->port[d->port].major >= 3;

    if (super && xhci_port_read(x, d->port) & PORT_ENABLED)
        return USB_SKIP;
    xhci_port_write(x, d->port, PORT_CHANGES);
    xhci_port_write(x, d->port, super ? PORT_WARM_RESET : PORT_RESET);
    return 0;
}

static int usb_port_reset_done(struct xhci *x, struct usb_dev *d)
{
    uint32_t status = xhci_port_read(x, d->port);

    if (!(status & PORT_CONNECTED))
        return -ENODEV;
    return status & PORT_RESET || !(status & PORT_ENABLED) ? -EAGAIN : 0;
}

/* USB sections 5.5.3, and 9.6.1 of revision 3: how much endpoint 0 takes at least */
static uint16_t usb_packet0(enum usb_speed speed)
{
    return speed >= USB_SUPER ? 512 : speed == USB_HIGH ? 64 : 8;
}

static int usb_port_speed(struct xhci *x, struct usb_dev *d)
{
    unsigned speed = xhci_port_read(x, d->port) >> PORT_SPEED_SHIFT & PORT_SPEED;

    if (!speed)
        return -EIO;
    d->speed = (enum usb_speed)speed;
    d->packet0 = usb_packet0(d->speed);
    return usb_wait(x, RECOVER_NS);
}

static const struct usb_step usb_root_steps[] = {
    { "settle", usb_nothing, usb_settled, NULL },
    { "port reset", usb_port_reset, usb_port_reset_done, NULL },
    { "port", usb_nothing, usb_port_speed, NULL },
    { .then = usb_common },
};

/* Whoever is on it goes; who comes is asked. */
static void usb_look_at_port(struct xhci *x, unsigned port)
{
    struct xhci_port *p = &x->port[port];
    uint32_t status = xhci_port_read(x, port);
    struct usb_dev *d = NULL;

    p->look = false;
    if (status & PORT_CHANGES)
        xhci_port_write(x, port, status & PORT_CHANGES);
    if (!(status & PORT_CONNECTED) || status & PORT_CONNECT_CHANGE) {
        p->done = false;
        p->failures = 0;
        p->not_before = 0;
        for (unsigned i = 0; i < USB_DEVICES; i++)
            if (x->dev[i].used && !x->dev[i].parent && x->dev[i].port == port)
                usb_lose(&x->dev[i]);
    }
    for (unsigned i = 0; i < USB_DEVICES; i++)
        if (x->dev[i].used && x->dev[i].port == port)
            return;
    if (!(status & PORT_CONNECTED) || status == UINT32_MAX || p->done || time_ns() < p->not_before)
        return;
    p->look = x->job.dev; /* then it waits */
    d = x->job.dev ? NULL : usb_new(x);
    if (!d)
        return;
    d->port = (uint8_t)port;
    usb_begin(x, d, usb_root_steps);
}

/* ---- taking down ---- */

/* The slot's number can be another's now. */
static int usb_slot_gone(struct xhci *x, struct usb_dev *d)
{
    enum { NOT_ENABLED = 11 };
    int err = xhci_answered(x, d);

    if (err == -EAGAIN)
        return err;
    if (err && x->answer.code != NOT_ENABLED) {
        xhci_restart(x, "it did not free a device's slot");
        return -EIO;
    }
    x->dcbaa[d->slot] = 0;
    return 0;
}

static int usb_forget(struct xhci *x, struct usb_dev *d)
{
    (void)x;
    if (d->live && d->found.kind == USB_KEYBOARD)
        log_info("USB keyboard %04x:%04x is gone", d->vendor, d->product);
    d->used = false;
    return USB_SKIP;
}

static const struct usb_step usb_down_steps[] = {
    { "disable slot", xhci_disable_slot, usb_slot_gone, NULL },
    { "forget", usb_forget, NULL, NULL },
    { 0 },
};

static uint8_t *usb_failures(struct xhci *x, struct usb_dev *d)
{
    return d->parent ? &d->parent->failures[d->parent_port] : &x->port[d->port].failures;
}

void usb_works(struct xhci *x, struct usb_dev *d)
{
    d->errors = 0;
    x->restarts = 0;
    for (; d; d = d->parent)
        *usb_failures(x, d) = 0;
}

/* It is not asked again before something new is there, or a while has passed. */
static void usb_note_end(struct xhci *x, struct usb_dev *d, const char *what, int err)
{
    struct usb_dev *hub = d->parent;
    uint8_t *failures = usb_failures(x, d);
    bool enough = d->fine || ++*failures >= FAILURES_MOST;

    if (!d->fine && enough && err != -ENODEV)
        log_warn("USB controller %s: the device on port %u failed (%s: error %d): ignored until it "
                 "is plugged in again",
                 x->at, d->port, what, -err);
    if (hub)
        hub->done = (uint16_t)(hub->done | (enough ? 1u << d->parent_port : 0));
    else
        x->port[d->port].done = enough;
    x->port[d->port].not_before = time_ns() + AGAIN_NS;
}

static bool usb_has_children(const struct xhci *x, const struct usb_dev *d)
{
    for (unsigned i = 0; i < USB_DEVICES; i++)
        if (x->dev[i].used && x->dev[i].parent == d)
            return true;
    return false;
}

/* What hangs on what is gone is gone, too; the outermost goes first. */
static struct usb_dev *usb_next_gone(struct xhci *x)
{
    for (unsigned tier = 0; tier < USB_TIERS; tier++)
        for (unsigned i = 0; i < USB_DEVICES; i++)
            if (x->dev[i].used && x->dev[i].parent && x->dev[i].parent->gone)
                x->dev[i].gone = true;
    for (unsigned i = 0; i < USB_DEVICES; i++)
        if (x->dev[i].used && x->dev[i].gone && !usb_has_children(x, &x->dev[i]))
            return &x->dev[i];
    return NULL;
}

/* ---- a keyboard whose endpoint stands ---- */

static int usb_clear_halt(struct xhci *x, struct usb_dev *d)
{
    const struct usb_request q = { 2, 1, 0, (uint16_t)(0x80 | d->found.endpoint), 0 };

    return xhci_control(x, d, &q);
}

static int usb_reset_in(struct xhci *x, struct usb_dev *d)
{
    return d->errors > ERRORS_MOST ? -EIO : xhci_reset_in(x, d);
}

static int usb_listen_again(struct xhci *x, struct usb_dev *d)
{
    d->halted = false;
    xhci_listen(x, d);
    return USB_SKIP;
}

static const struct usb_step usb_recover_steps[] = {
    { "reset endpoint", usb_reset_in, NULL, NULL },
    { "clear halt", usb_clear_halt, NULL, NULL },
    { "dequeue", xhci_dequeue_in, NULL, NULL },
    { "listen", usb_listen_again, NULL, NULL },
    { 0 },
};

/* ---- one after the other ---- */

static void usb_give_up(struct xhci *x, struct usb_dev *d, int err)
{
    usb_lose(d);
    usb_note_end(x, d, x->job.step->what, err);
}

/*
 * Who was asked and has not answered, or whose control endpoint stands now, is given up as well:
 * for what is on a hub it can be the hub.
 */
static void usb_fail(struct xhci *x, int err)
{
    struct usb_dev *d = x->job.dev, *asked = x->answer.dev;

    if (asked && asked != d && asked->used && (x->answer.waits || asked->control_halted))
        usb_give_up(x, asked, err);
    usb_give_up(x, d, err);
    x->answer.waits = false;
    x->job.dev = NULL;
}

/* The next step begins, or the list ends. */
static void usb_advance(struct xhci *x)
{
    const struct usb_step *s = ++x->job.step;

    if (!s->what)
        x->job.step = s->then;
    if (!x->job.step)
        x->job.dev = NULL;
    x->job.started = false;
}

static int usb_start_step(struct xhci *x, const struct usb_step *s)
{
    int err = s->start(x, x->job.dev);

    if (err)
        return err;
    x->job.started = true;
    x->job.from = time_ns();
    x->job.deadline = x->job.from + STEP_NS;
    return 0;
}

static bool usb_awaits_command(const struct xhci *x)
{
    return x->answer.waits && x->answer.command;
}

/* A command is always waited for: the controller answers it, or is reset. */
static int usb_late(struct xhci *x, uint64_t now)
{
    if (now < x->job.deadline)
        return -EAGAIN;
    if (usb_awaits_command(x))
        xhci_restart(x, "a command timed out");
    return -ETIMEDOUT;
}

/* It, or a hub that it hangs on. */
static bool usb_is_gone(const struct usb_dev *d)
{
    while (d && !d->gone)
        d = d->parent;
    return d;
}

/* It was taken out meanwhile: what was asked of it is not waited for. True: nothing is left. */
static bool usb_abandon(struct xhci *x)
{
    if (x->job.down || !usb_is_gone(x->job.dev) || usb_awaits_command(x))
        return false;
    usb_lose(x->job.dev);
    x->answer.waits = false;
    x->job.dev = NULL;
    return true;
}

/* True: there may be more to do at once. */
static bool usb_run(struct xhci *x, uint64_t now)
{
    const struct usb_step *s = x->job.step;
    int err = x->job.started ? 0 : usb_start_step(x, s);

    if (!err)
        err = (s->done ? s->done : xhci_answered)(x, x->job.dev);
    if (x->state != XHCI_LIVE)
        return false;
    if (err == -EAGAIN)
        err = usb_late(x, now);
    if (x->state != XHCI_LIVE || err == -EAGAIN)
        return false;
    if (err >= 0 && now >= x->job.end && !x->job.down)
        err = -ETIMEDOUT;
    if (err == USB_REPEAT)
        x->job.started = false;
    else if (err >= 0)
        usb_advance(x);
    else
        usb_fail(x, err);
    return true;
}

/* Somebody new on a hub. */
static void usb_begin_child(struct xhci *x, struct usb_dev *hub)
{
    struct usb_dev *d = usb_new(x);

    if (d) {
        d->parent = hub;
        d->parent_port = hub->wanted;
        d->port = hub->port;
        d->tier = (uint8_t)(hub->tier + 1);
        d->route = hub->route | (uint32_t)hub->wanted << 4 * hub->tier;
        usb_begin(x, d, usb_hub_child);
    }
    hub->wanted = 0;
}

static void usb_serve(struct xhci *x, struct usb_dev *d, uint64_t now)
{
    if (d->halted) {
        usb_begin(x, d, usb_recover_steps);
    } else if (d->wanted) {
        usb_begin_child(x, d);
    } else if (d->found.kind == USB_HUB && now >= d->look) {
        d->look = now + HUB_NS;
        usb_begin(x, d, usb_hub_look);
    }
}

/* What is to be done next. */
static void usb_choose(struct xhci *x, uint64_t now)
{
    struct usb_dev *d = usb_next_gone(x);

    if (d) {
        usb_begin(x, d, usb_down_steps);
        return;
    }
    for (unsigned i = 0; !x->job.dev && i < USB_DEVICES; i++)
        if (x->dev[i].used && x->dev[i].live)
            usb_serve(x, &x->dev[i], now);
}

void usb_step(struct xhci *x, uint64_t now)
{
    for (unsigned i = 1; i <= x->nports; i++)
        if (x->port[i].look)
            usb_look_at_port(x, i);
    for (unsigned i = 0; i < STEPS_AT_ONCE && x->state == XHCI_LIVE; i++) {
        if (x->job.dev && usb_abandon(x))
            continue;
        if (!x->job.dev)
            usb_choose(x, now);
        if (!x->job.dev || !usb_run(x, now))
            break;
    }
}
