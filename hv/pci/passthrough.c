/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * passthrough.c: what a guest sees of a function of the machine that it has. Configuration space is
 * a copy, made by the two tables below: nothing that the guest writes there reaches the function
 * but whether it masters the bus, and by what it interrupts. Its BARs are the guest's own memory,
 * except for the pages of the MSI-X table, which the guest sees as a table of its own. See
 * <hv/passthrough.h>.
 */
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/event.h>
#include <hv/log.h>
#include <hv/passthrough.h>
#include <hv/share.h>
#include <hv/time.h>
#include <hv/vintc.h>
#include <stdio.h>
#include <string.h>
#include "vpci.h"

enum { BAR_PREFETCH = 8, MSIX_ENTRY = 16, MSIX_SIZE = 0x7ff, MSIX_ENABLES = 0xc0 };
enum { MSI_ENABLE = 1, MSI_64 = 1 << 7, MSI_ADDRESS = 4, MSI_DATA = 12 };
enum { CAP_POWER = 1, CAP_MSI = 5, CAP_EXPRESS = 0x10 };
enum { FUNCTIONS = 8, STORM_MOST = 200 };
#define STORM_NS 2000000ull /* 100000 interrupts a second */
#define LINE_NS 1000000ull  /* INTx is looked at 1000 times a second, */
#define LINE_REST 16        /* and so many times as long nothing is done as a look took */
static_assert(FUNCTIONS == sizeof(((struct guest_config *)0)->passthrough) /
                               sizeof(struct guest_passthrough),
              "each line has its place");

struct pass_vector {
    struct pass_dev *d;
    struct event event; /* on CPU 0: it came */
    unsigned n;
    bool masked;
    uint64_t since; /* ns: `count` interrupts came from here on */
    unsigned count;
};
/* The part of a BAR that is trapped. */
struct pass_window {
    struct pass_dev *d;
    uint64_t off;
    unsigned bar;
};
struct pass_dev {
    struct vpci_dev pci;
    struct passthrough_fn *fn;
    struct pass_window window[VPCI_BARS];
    struct pass_vector vector[VPCI_MSIX_MAX];
    struct spinlock lock;    /* LOCK_DEVICE: what the guest wants, and what the function does */
    struct event line_event; /* on CPU 0 */
    enum passthrough_mode mode;
    unsigned nvectors, msi_cap;
    int err; /* of the interrupts */
    unsigned table_bar;
    uint64_t table, table_len; /* of the function's MSI-X table in that BAR */
};
struct passthrough {
    unsigned n;
    struct pass_dev *dev[FUNCTIONS];
};

const struct passthrough_ops *passthrough_ops;

/* ---- configuration space: what the guest sees, and why ---- */

enum pass_policy { PASS_COPY, PASS_OWN, PASS_ZERO };
static const struct {
    uint8_t at, len;
    enum pass_policy policy;
    const char *why;
} header_policy[] = {
    { PCI_VENDOR_ID, 4, PASS_COPY, "the driver chooses by it" },
    { PCI_COMMAND, 2, PASS_OWN,
      "decoding moves the guest's view alone; bus mastering is passed on" },
    { PCI_STATUS, 2, PASS_OWN, "errors of the machine's bus are Trivet's" },
    { PCI_REVISION, 4, PASS_COPY, "the driver chooses by it" },
    { PCI_CACHE_LINE, 1, PASS_OWN, "PCI Express ignores it" },
    { PCI_LATENCY, 1, PASS_ZERO, "PCI Express ignores it" },
    { PCI_HEADER_TYPE, 1, PASS_ZERO, "alone in its slot, whatever is beside it in the machine" },
    { 0x0f, 1, PASS_ZERO, "a self-test stops the function while others wait" },
    { PCI_BAR0, 24, PASS_OWN, "places are the guest's; the machine's stay where they are" },
    { 0x28, 4, PASS_ZERO, "CardBus" },
    { PCI_SUBSYS_VENDOR, 4, PASS_COPY, "the driver chooses by it" },
    { 0x30, 4, PASS_ZERO, "no option ROM: firmware of the device's maker would run in the guest" },
    { PCI_CAP_PTR, 1, PASS_OWN, "the list of those that are shown" },
    { 0x35, 7, PASS_ZERO, "reserved" },
    { PCI_INT_LINE, 1, PASS_OWN, "a note of the guest's" },
    { PCI_INT_PIN, 1, PASS_OWN,
      "the guest's line; the function's is off, and Trivet looks for what it would show" },
    { 0x3e, 2, PASS_ZERO, "PCI Express ignores them" },
};

static void pass_header(struct pass_dev *p)
{
    for (size_t i = 0; i < ARRAY_SIZE(header_policy); i++)
        for (unsigned k = 0; k < header_policy[i].len; k += 1) {
            unsigned at = header_policy[i].at + k;
            unsigned word = at & ~1u;

            if (header_policy[i].policy == PASS_COPY)
                vpci_cfg_set(&p->pci, at, 1,
                             passthrough_ops->read(p->fn, word, 2) >> (8 * (at & 1)));
        }
}

static bool pass_has_room(const struct pass_dev *p, unsigned len)
{
    return p->pci.cap_free + len <= sizeof p->pci.s.cfg;
}

/* State D0 for ever: the guest may ask for others, and reads what it asked for. */
static void pass_power(struct pass_dev *p, uint32_t at)
{
    uint8_t body[6] = { 0 }, wmask[6] = { [2] = 3 };
    uint32_t pmc = passthrough_ops->read(p->fn, at + 2, 2) & 7; /* the version; no PME */

    body[0] = (uint8_t)pmc;
    body[2] = 1 << 3; /* No_Soft_Reset */
    (void)vpci_add_cap(&p->pci, CAP_POWER, body, wmask, sizeof body);
}

/*
 * What the function's first n interrupts are is made before it is shown: there may be fewer
 * messages left than it could send. Returns how many it gets; p->err where that is none.
 */
static unsigned pass_vectors(struct pass_dev *p, unsigned n)
{
    int err = 0;

    for (unsigned i = p->nvectors; i < n && !err; i++) {
        err = passthrough_ops->irq(p->fn, i, &p->vector[i].event); /* nospec: at creation */
        p->nvectors += !err;
    }
    if (err && !p->nvectors)
        p->err = err;
    if (err)
        vm_log(p->pci.vm, LOG_WARN,
               "PCI %s has %u interrupts instead of %u: the machine has no more",
               passthrough_ops->name(p->fn), p->nvectors, n);
    return p->nvectors;
}

/* One message, 64-bit, without masks. */
static void pass_msi(struct pass_dev *p, uint32_t at)
{
    static const uint8_t wmask[12] = { MSI_ENABLE, 0,    0xfc, 0xff, 0xff, 0xff,
                                       0xff,       0xff, 0xff, 0xff, 0xff, 0xff };
    uint8_t body[12] = { MSI_64 };

    (void)at;
    if (pass_vectors(p, 1))
        p->msi_cap = vpci_add_cap(&p->pci, CAP_MSI, body, wmask, sizeof body);
}

/*
 * A table where the function has its own, of no more entries than Trivet keeps. False: what the
 * function says cannot be.
 */
static bool pass_msix_place(struct pass_dev *p, uint32_t at)
{
    uint32_t control = passthrough_ops->read(p->fn, at + 2, 2);
    uint32_t table = passthrough_ops->read(p->fn, at + 4, 4);
    struct host_pci_bar bar;

    p->table_bar = table & 7;
    p->table = table & ~7u;
    p->table_len = (uint64_t)MSIX_ENTRY * ((control & MSIX_SIZE) + 1);
    return p->table_bar < VPCI_BARS && !passthrough_ops->bar(p->fn, p->table_bar, &bar) &&
           !bar.io && range_within(p->table, p->table_len, 0, bar.len);
}

static void pass_msix(struct pass_dev *p, uint32_t at)
{
    uint32_t control = passthrough_ops->read(p->fn, at + 2, 2);
    uint32_t pba = passthrough_ops->read(p->fn, at + 8, 4);
    unsigned n = (unsigned)min_u64((control & MSIX_SIZE) + 1, VPCI_MSIX_MAX);
    uint32_t table;
    uint8_t body[10] = { 0 }, wmask[10] = { 0, MSIX_ENABLES };

    if (!pass_msix_place(p, at)) {
        p->table_len = 0;
        return;
    }
    n = pass_vectors(p, n);
    if (!n)
        return;
    body[0] = (uint8_t)(n - 1);
    table = (uint32_t)p->table | p->table_bar;
    memcpy(body + 2, &table, 4);
    memcpy(body + 6, &pba, 4);
    p->pci.nmsix = (uint8_t)n;
    p->pci.msix_cap = (uint8_t)vpci_add_cap(&p->pci, PCI_CAP_MSIX, body, wmask, sizeof body);
    for (unsigned i = 0; i < n; i++)
        p->pci.s.msix[i].ctrl = 1;
}

/*
 * PCIe §7.5.3, as of a function of the root complex: on the guest's only bus no port is above it,
 * so there is no link to speak of. Control registers are notes of the guest's.
 */
static void pass_express(struct pass_dev *p, uint32_t at)
{
    uint8_t body[0x3a] = { 0 }, wmask[0x3a] = { 0 };
    uint32_t flags = passthrough_ops->read(p->fn, at + 2, 2), cap;

    flags = (flags & 15) | 9 << 4;
    cap = passthrough_ops->read(p->fn, at + 4, 4) & ~(1u << 28); /* resets are Trivet's */
    memcpy(body, &flags, 2);
    memcpy(body + 2, &cap, 4);
    memset(wmask + 6, 0xff, 2);
    wmask[7] = 0x7f; /* bit 15 would be a reset */
    (void)vpci_add_cap(&p->pci, CAP_EXPRESS, body, wmask, sizeof body);
}

/* Read-only, as it was when the guest started. */
static void pass_vendor(struct pass_dev *p, uint32_t at)
{
    unsigned len = passthrough_ops->read(p->fn, at + 2, 1);
    uint8_t body[0x40];

    if (len < 3 || len - 2 > sizeof body || !pass_has_room(p, len))
        return;
    for (unsigned i = 0; i < len - 2; i++)
        body[i] = (uint8_t)passthrough_ops->read(p->fn, at + 2 + i, 1);
    (void)vpci_add_cap(&p->pci, PCI_CAP_VENDOR, body, NULL, len - 2);
}

/* All others are hidden: what nobody knows may write to flash, or move the function elsewhere. */
static const struct {
    uint8_t id, len; /* len: most bytes that it takes */
    void (*show)(struct pass_dev *, uint32_t at);
    const char *why;
} cap_policy[] = {
    { PCI_CAP_MSIX, 12, pass_msix, "the guest's table; the function's is Trivet's to write" },
    { CAP_MSI, 14, pass_msi, "the guest's message; the function's is Trivet's to write" },
    { CAP_EXPRESS, 0x3c, pass_express, "sizes and errors are the machine's; drivers look for it" },
    { CAP_POWER, 8, pass_power, "a function that sleeps would lose what Trivet set up" },
    { PCI_CAP_VENDOR, 3, pass_vendor, "drivers find their registers by it" },
};

static void pass_caps(struct pass_dev *p)
{
    for (size_t i = 0; i < ARRAY_SIZE(cap_policy); i++)
        for (unsigned n = 0; n < FUNCTIONS; n++) {
            uint32_t at = passthrough_ops->cap(p->fn, cap_policy[i].id, n);

            if (!at || (n && cap_policy[i].id != PCI_CAP_VENDOR) ||
                !pass_has_room(p, cap_policy[i].len))
                break;
            cap_policy[i].show(p, at);
        }
}

/* ---- BARs ---- */

static uint64_t pass_forward_read(const struct pass_window *w, uint64_t off, unsigned size)
{
    if (size == 8)
        return pass_forward_read(w, off, 4) | pass_forward_read(w, off + 4, 4) << 32;
    return passthrough_ops->mmio_read(w->d->fn, w->bar, off, size);
}

/* Of an access that only begins or ends in the table, nothing reaches the function. */
static bool pass_in_table(const struct pass_window *w, uint64_t off, unsigned size)
{
    const struct pass_dev *p = w->d;

    return p->table_len && w->bar == p->table_bar && off + size > p->table &&
           off < p->table + p->table_len;
}

static int pass_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    const struct pass_window *w = dev;

    off += w->off;
    if (pass_in_table(w, off, size))
        *val = vpci_msix_table_read(&w->d->pci, off - w->d->table, size);
    else
        *val = pass_forward_read(w, off, size);
    return 0;
}

static int pass_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    const struct pass_window *w = dev;

    off += w->off;
    if (pass_in_table(w, off, size)) {
        vpci_msix_table_write(&w->d->pci, off - w->d->table, size, val);
        return 0;
    }
    passthrough_ops->mmio_write(w->d->fn, w->bar, off, size == 8 ? 4 : size, (uint32_t)val);
    if (size == 8)
        passthrough_ops->mmio_write(w->d->fn, w->bar, off + 4, 4, (uint32_t)(val >> 32));
    return 0;
}

static const struct io_ops pass_io = { pass_read, pass_write, 1 | 2 | 4 | 8 };
static const struct io_ops pass_ports = { pass_read, pass_write, 1 | 2 | 4 };

static int pass_trap(struct pass_dev *p, unsigned i, const struct io_ops *by, uint64_t off,
                     uint64_t len)
{
    struct pass_window *w = &p->window[i];
    int err = passthrough_ops->map(p->fn, i, off, len);

    if (err)
        return err;
    *w = (struct pass_window){ .d = p, .off = off, .bar = i };
    vpci_add_region(
        &p->pci, i,
        &(struct vpci_region){ .name = "passed", .off = off, .len = len, .ops = by, .dev = w });
    return 0;
}

static void pass_direct(struct pass_dev *p, unsigned i, const struct host_pci_bar *b, uint64_t off,
                        uint64_t end)
{
    if (off < end)
        vpci_add_region(&p->pci, i,
                        &(struct vpci_region){ .name = "passed",
                                               .off = off,
                                               .len = end - off,
                                               .host = b->base + off,
                                               .combine = b->prefetch });
}

/* Ports (PCI 3.0 §6.2.5.1: at most 256): each access of the guest is Trivet's to make. */
static int pass_io_bar(struct pass_dev *p, unsigned i, const struct host_pci_bar *b)
{
    if (!vpci_has_ports(p->pci.vm))
        return 0;
    if (b->len < 4 || b->len > 256 || b->len & (b->len - 1))
        return -EINVAL;
    vpci_add_io_bar(&p->pci, i, (uint32_t)b->len);
    return pass_trap(p, i, &pass_ports, 0, b->len);
}

/* What is smaller than a page shares it with others: the guest reaches it through Trivet. */
static int pass_bar(struct pass_dev *p, unsigned i, const struct host_pci_bar *b)
{
    uint64_t from = b->len, to = b->len;

    if (b->io)
        return pass_io_bar(p, i, b);
    if (b->len < 16 || b->len & (b->len - 1))
        return -EINVAL;
    vpci_add_bar(&p->pci, i, b->len, b->wide);
    if (b->prefetch)
        p->pci.s.cfg[PCI_BAR0 + 4 * i] |= BAR_PREFETCH; /* nospec: at creation */
    if (b->len < PAGE_SIZE || b->base & (PAGE_SIZE - 1))
        return pass_trap(p, i, &pass_io, 0, b->len < PAGE_SIZE ? b->len : PAGE_SIZE);
    if (p->table_len && i == p->table_bar) {
        from = align_down(p->table, PAGE_SIZE);
        to = align_up(p->table + p->table_len, PAGE_SIZE);
    }
    pass_direct(p, i, b, 0, from);
    pass_direct(p, i, b, to, b->len);
    return from < to ? pass_trap(p, i, &pass_io, from, to - from) : 0;
}

static int pass_bars(struct pass_dev *p)
{
    struct host_pci_bar b;
    int err = 0;

    for (unsigned i = 0; !err && i < VPCI_BARS; i++)
        if (!passthrough_ops->bar(p->fn, i, &b))
            err = pass_bar(p, i, &b);
    return err;
}

/* ---- interrupts ---- */

static bool pass_msi_enabled(const struct pass_dev *p)
{
    return p->msi_cap && vpci_cfg_get(&p->pci, p->msi_cap + 2, 1) & MSI_ENABLE;
}

static void pass_msi_send(struct pass_dev *p)
{
    const struct vpci_dev *d = &p->pci;
    uint64_t addr;

    if (!pass_msi_enabled(p) || !vpci_bus_master(d))
        return;
    addr = vpci_cfg_get(d, p->msi_cap + MSI_ADDRESS, 4) |
           (uint64_t)vpci_cfg_get(d, p->msi_cap + MSI_ADDRESS + 4, 4) << 32;
    (void)!virq_msi(d->vm, (uint32_t)d->slot << 3, addr, vpci_cfg_get(d, p->msi_cap + MSI_DATA, 2));
}

/*
 * A device that interrupts without end would leave the CPU no time for others. After STORM_MOST
 * interrupts of a vector within STORM_NS the function's entry is masked until that time is over;
 * what comes meanwhile is one interrupt then.
 */
static void pass_mask(const struct pass_vector *v, bool on)
{
    spin_lock(&v->d->lock);
    passthrough_ops->mask(v->d->fn, v->n, on);
    spin_unlock(&v->d->lock);
}

static void pass_storms(struct pass_vector *v)
{
    uint64_t now = time_ns();

    if (v->masked) {
        v->masked = false;
        pass_mask(v, false);
    }
    if (now - v->since >= STORM_NS) {
        v->since = now;
        v->count = 0;
    }
    if (++v->count < STORM_MOST)
        return;
    v->masked = true;
    pass_mask(v, true);
    event_at(&v->event, v->since + STORM_NS);
}

static void pass_came(struct event *ev)
{
    struct pass_vector *v = container_of(ev, struct pass_vector, event);

    pass_storms(v);
    if (vpci_msix_enabled(&v->d->pci))
        vpci_msix_notify(&v->d->pci, v->n);
    else if (v->n == 0)
        pass_msi_send(v->d);
}

static void pass_events(struct pass_dev *p)
{
    for (unsigned n = 0; n < VPCI_MSIX_MAX; n++) {
        p->vector[n] = (struct pass_vector){ .d = p, .n = n };
        event_init(&p->vector[n].event, pass_came, 0);
    }
}

/*
 * INTx. The function's own stays disabled, so that no line of the machine's is held, and nobody has
 * to know which one it is, or who shares it. What it would show is in its status register (PCI 3.0
 * §6.2.3): that is read LINE_NS after LINE_NS, and, while the guest's line is up, whenever a vCPU
 * leaves the guest.
 */
static enum passthrough_mode pass_wants(const struct pass_dev *p)
{
    return vpci_msix_enabled(&p->pci) ? PASSTHROUGH_MSIX
           : pass_msi_enabled(p)      ? PASSTHROUGH_MSI
                                      : PASSTHROUGH_LINE;
}

/* The guest has a line, listens to it, and lets the function do something. */
static bool pass_line_used(const struct pass_dev *p)
{
    uint32_t command = vpci_cfg_get(&p->pci, PCI_COMMAND, 2);

    return p->pci.pin && pass_wants(p) == PASSTHROUGH_LINE && !(command & PCI_CMD_INTX_OFF) &&
           command & (PCI_CMD_IO | PCI_CMD_MEM | PCI_CMD_MASTER);
}

static bool pass_line_level(struct vpci_dev *d)
{
    struct pass_dev *p = container_of(d, struct pass_dev, pci);

    return pass_line_used(p) && passthrough_ops->line(p->fn);
}

static void pass_line_look(struct event *ev)
{
    struct pass_dev *p = container_of(ev, struct pass_dev, line_event);
    uint64_t from = time_ns();

    if (share_wait(p->pci.vm, ev))
        return;
    vpci_intx_set(&p->pci, pass_line_level(&p->pci));
    if (pass_line_used(p)) /* a function that hardly answers holds this CPU up for so long */
        event_at(ev, max_u64(from + LINE_NS, time_ns() + (time_ns() - from) * LINE_REST));
    share_pay(p->pci.vm, from);
}

static void pass_line_init(struct pass_dev *p)
{
    event_init(&p->line_event, pass_line_look, 0);
    if (!passthrough_ops->has_line(p->fn))
        return;
    p->pci.pin = 1;
    p->pci.intx_level = pass_line_level;
    vpci_cfg_set(&p->pci, PCI_INT_PIN, 1, 1);
}

/* ---- life ---- */

/* p->lock held */
static void pass_set_mode(struct pass_dev *p, enum passthrough_mode mode)
{
    if (mode != p->mode)
        passthrough_ops->mode(p->fn, mode);
    p->mode = mode;
}

static void pass_command(struct vpci_dev *d)
{
    struct pass_dev *p = container_of(d, struct pass_dev, pci);

    spin_lock(&p->lock);
    passthrough_ops->master(p->fn, vpci_bus_master(d));
    pass_set_mode(p, pass_wants(p));
    spin_unlock(&p->lock);
    if (pass_line_used(p))
        event_post(&p->line_event);
}

static void pass_remove(struct pass_dev *p)
{
    struct vm *vm = p->pci.vm;

    vpci_detach(&p->pci);
    passthrough_ops->close(p->fn);
    for (unsigned n = 0; n < VPCI_MSIX_MAX; n++)
        if (p->vector[n].event.fn)
            event_kill(&p->vector[n].event);
    if (p->line_event.fn)
        event_kill(&p->line_event);
    vm_free(vm, p, sizeof *p);
}

static int pass_make(struct vm *vm, struct pass_dev *p)
{
    const struct vpci_id id = { .class_code = 0 };
    int err;

    vpci_dev_init(&p->pci, vm, &id);
    spin_init(&p->lock, LOCK_DEVICE);
    p->pci.command_changed = pass_command;
    pass_events(p);
    pass_header(p);
    pass_caps(p);
    pass_line_init(p);
    if (!p->nvectors && !p->pci.pin)
        vm_log(vm, LOG_WARN,
               "PCI %s has no interrupts in this guest: it has neither MSI nor MSI-X that can be "
               "passed on, nor INTx that can be held back",
               passthrough_ops->name(p->fn));
    err = p->err == -ENOSPC && p->pci.pin ? 0 : p->err; /* it has INTx */
    if (!err)
        err = pass_bars(p);
    p->mode = PASSTHROUGH_LINE;
    if (!err)
        passthrough_ops->mode(p->fn, p->mode);
    return err ? err : vpci_attach(&p->pci);
}

/* vm->why of a function that is there and cannot be shown. */
static void pass_explain(struct vm *vm, const char *line, int err)
{
    const char *what = err == -ENOTSUP ? "no interrupt of it reaches this machine's CPUs by message"
                       : err == -ENOSPC ? "no slot, place for a BAR, or interrupt is left for it"
                       : err == -ENOMEM ? "out of memory"
                       : err == -EINVAL ? "what it says of its BARs cannot be"
                                        : "error";

    snprintf(vm->why, sizeof vm->why, "passthrough %s: %s", line, what);
}

static int pass_one(struct vm *vm, const struct guest_config *c, unsigned n)
{
    struct passthrough *all = vm->passthrough;
    struct pass_dev *p = vm_alloc(vm, sizeof *p);
    char why[200] = "out of memory";
    int err = -ENOMEM;

    if (p)
        p->fn = passthrough_ops->open(vm, c, n, &err, why, sizeof why);
    if (!p || !p->fn) {
        if (p)
            vm_free(vm, p, sizeof *p);
        snprintf(vm->why, sizeof vm->why, "passthrough %s: %s", c->passthrough[n].text, why);
        return err;
    }
    err = pass_make(vm, p);
    if (err) {
        pass_explain(vm, c->passthrough[n].text, err);
        p->pci.vm = vm;
        pass_remove(p);
        return err;
    }
    all->dev[all->n++] = p;
    return 0;
}

int passthrough_build(struct vm *vm, const struct guest_config *c)
{
    int err = 0;

    assert_cpu0();
    if (!c->npassthrough)
        return 0;
    if (!passthrough_ops)
        return -ENOTSUP;
    vm->passthrough = vm_alloc(vm, sizeof *vm->passthrough);
    if (!vm->passthrough)
        return -ENOMEM;
    for (unsigned n = 0; !err && n < c->npassthrough; n++)
        err = pass_one(vm, c, n);
    if (err)
        passthrough_destroy(vm);
    return err;
}

int passthrough_quiesce(struct vm *vm)
{
    struct passthrough *all = vm->passthrough;
    int err = 0;

    assert_cpu0();
    assert_parked(vm);
    for (unsigned i = 0; all && i < all->n; i++) {
        event_cancel(&all->dev[i]->line_event); /* it may not be read while it is reset */
        if (passthrough_ops->reset(all->dev[i]->fn, &vm->lifecycle))
            err = -EINPROGRESS;
    }
    return err;
}

void passthrough_destroy(struct vm *vm)
{
    struct passthrough *all = vm->passthrough;

    assert_cpu0();
    if (!all)
        return;
    while (all->n)
        pass_remove(all->dev[--all->n]);
    vm->passthrough = NULL;
    vm_free(vm, all, sizeof *all);
}
