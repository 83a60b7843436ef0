/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ahci.c: an AHCI controller and its ports, each a machine of few states that never waits: stopped,
 * its link reset, asked, used, and stopped again when it fails or does not answer. ahci_step()
 * looks what has changed; the controller's event calls it while a command is under way, and the
 * boot until every port is live or has no disk. The interrupt only posts the event.
 */
#include <arch/barrier.h>
#include <hv/irq.h>
#include <hv/log.h>
#include <hv/pmm.h>
#include <hv/time.h>
#include <stdio.h>
#include <stdlib.h>

#include "ahci.h"

enum { BAR = 5, FAILURES_MOST = 3 };
#define MS 1000000ull
#define STOP_NS (500 * MS)   /* section 10.3.2 */
#define LINK_OFF_NS (2 * MS) /* section 10.4.2 wants 1 ms */
#define EMPTY_NS (100 * MS)  /* a link shows that something is there */
#define LINK_NS (1000 * MS)
#define READY_NS (15000 * MS) /* a disk spins up */
#define POLL_NS (MS / 10)     /* without interrupts, and while a port is reset */
#define WATCH_NS (500 * MS)   /* with them: how often time-outs are looked for */
#define HBA_NS (1000 * MS)    /* section 10.4.3 */

uint32_t ahci_port_read(const struct ahci_port *p, enum ahci_port_reg reg)
{
    return host_reg_read(p->regs + reg, 4);
}

void ahci_port_write(const struct ahci_port *p, enum ahci_port_reg reg, uint32_t v)
{
    host_reg_write(p->regs + reg, 4, v);
}

static void command_bits(const struct ahci_port *p, uint32_t set, uint32_t clear)
{
    ahci_port_write(p, PORT_CMD, (ahci_port_read(p, PORT_CMD) & ~clear) | set);
}

static void wr64(const struct ahci_port *p, enum ahci_port_reg reg, uint64_t v)
{
    host_reg_write(p->regs + reg, 4, (uint32_t)v);
    host_reg_write(p->regs + reg + 4, 4, (uint32_t)(v >> 32));
}

static uint32_t hba_read(const struct ahci *h, uint32_t reg)
{
    return host_reg_read(h->regs + reg, 4);
}

static void hba_write(const struct ahci *h, uint32_t reg, uint32_t v)
{
    host_reg_write(h->regs + reg, 4, v);
}

/* ---- from state to state ---- */

static void enter(struct ahci_port *p, enum ahci_state state, uint64_t deadline)
{
    p->state = state;
    p->deadline = deadline;
}

/* For good. The port does not run: it reaches no memory. */
static void give_up(struct ahci_port *p, const char *why)
{
    if (p->disk)
        log_err("AHCI %s port %u: %s: giving it up", p->hba->name, p->number, why);
    enter(p, AHCI_DEAD, UINT64_MAX);
    if (p->disk)
        ahci_fail_all(p);
}

/* A port that cannot be stopped: without bus mastering none of them reaches memory. */
static void die(struct ahci *h, const char *why)
{
    log_err("AHCI %s: %s", h->name, why);
    h->dead = true;
    host_pci_command(h->pci, 0, HOST_PCI_MASTER);
    host_pci_irq_off(h->pci);
    for (unsigned i = 0; i < AHCI_PORTS; i++)
        if (h->port[i] && h->port[i]->state != AHCI_DEAD)
            give_up(h->port[i], why);
}

static void stop(struct ahci_port *p, uint64_t now)
{
    ahci_port_write(p, PORT_IE, 0);
    command_bits(p, 0, CMD_START);
    enter(p, AHCI_STOPPING, now + STOP_NS);
}

static void restart(struct ahci_port *p, uint64_t now, const char *why)
{
    p->failures++;
    if (p->disk)
        log_warn("AHCI %s port %u: %s: resetting it", p->hba->name, p->number, why);
    stop(p, now);
}

static void when_stopping(struct ahci_port *p, uint64_t now)
{
    if (ahci_port_read(p, PORT_CMD) & CMD_RUNS)
        return;
    command_bits(p, 0, CMD_FIS);
    enter(p, AHCI_UNHEARD, now + STOP_NS);
}

static void when_unheard(struct ahci_port *p, uint64_t now)
{
    if (ahci_port_read(p, PORT_CMD) & CMD_FIS_RUNS)
        return;
    ahci_port_write(p, PORT_SCTL, 1);
    enter(p, AHCI_LINK_OFF, now + LINK_OFF_NS);
}

/*
 * The port has stopped, and its link was reset: nothing of it reaches memory now, not even what an
 * emulated disk had begun (QEMU ends that when SCTL is 0 again). What the disk had goes back.
 */
static void link_on(struct ahci_port *p, uint64_t now)
{
    ahci_port_write(p, PORT_SCTL, 0);
    ahci_take_back(p, now);
    if (p->failures > FAILURES_MOST) {
        give_up(p, "it still fails after resets");
        return;
    }
    wr64(p, PORT_CLB, dma_at(p->hba->dma, p->mem->list));
    wr64(p, PORT_FB, dma_at(p->hba->dma, p->mem->fis));
    command_bits(p, CMD_FIS | CMD_SPIN_UP | CMD_POWER, 0);
    p->seen = false;
    enter(p, AHCI_LINK, now + EMPTY_NS);
}

/* The time of this state is a pause, not a limit. */
static void when_link_off(struct ahci_port *p, uint64_t now)
{
    if (now + POLL_NS >= p->deadline)
        link_on(p, now);
}

static void when_link(struct ahci_port *p, uint64_t now)
{
    uint32_t det = ahci_port_read(p, PORT_SSTS) & DET_MASK;

    if (det == DET_PRESENT) {
        ahci_port_write(p, PORT_SERR, UINT32_MAX);
        enter(p, AHCI_BUSY, now + READY_NS);
    } else if (det && !p->seen) { /* something is there, and is not ready yet */
        p->seen = true;
        p->deadline = now + LINK_NS;
    }
}

static void go_live(struct ahci_port *p, uint64_t now)
{
    p->known = true;
    enter(p, AHCI_LIVE, UINT64_MAX);
    if (p->hba->irq)
        ahci_port_write(p, PORT_IE, IS_ERRORS | IS_FISES | IS_LINK);
    ahci_pump(p, now); /* what waited: no interrupt comes before it is sent */
}

static void when_busy(struct ahci_port *p, uint64_t now)
{
    if (ahci_port_read(p, PORT_TFD) & (TFD_BUSY | TFD_REQUEST))
        return;
    if (ahci_port_read(p, PORT_SIG) != SIG_DISK) { /* a CD drive, a multiplier */
        command_bits(p, 0, CMD_FIS);
        give_up(p, "another device was plugged in, which is no disk");
        return;
    }
    ahci_port_write(p, PORT_IS, UINT32_MAX);
    p->status = 0;
    command_bits(p, CMD_START, 0);
    if (p->known) {
        go_live(p, now);
        return;
    }
    ahci_identify(p, now);
    enter(p, AHCI_IDENT, now + AHCI_COMMAND_NS);
}

/*
 * Completes what has ended. False: the disk reports an error. What is under way is read first: an
 * error that comes later than that is not taken for a success. Of queued commands those that ended
 * well are told from the others by their bits (section 5.5.2 and SATA section 13.6); a command that
 * was alone is the one that failed, whatever its bit says.
 */
static bool reap(struct ahci_port *p)
{
    uint32_t under_way = ahci_port_read(p, PORT_CI) | ahci_port_read(p, PORT_SACT);
    uint32_t status = p->status | ahci_port_read(p, PORT_IS);
    bool bad = status & IS_ERRORS || ahci_port_read(p, PORT_TFD) & TFD_ERROR;

    dma_rmb(); /* the registers before what the disk has written */
    if (p->queued || !bad)
        ahci_ended(p, p->busy & ~under_way);
    return !bad;
}

static void when_ident(struct ahci_port *p, uint64_t now)
{
    struct ahci_disk *d;

    if (!reap(p)) {
        restart(p, now, "it did not answer IDENTIFY DEVICE");
        return;
    }
    if (p->busy)
        return;
    d = ahci_disk_of(p);
    if (!d) {
        command_bits(p, 0, CMD_START | CMD_FIS);
        give_up(p, "its disk is not supported");
        return;
    }
    p->disk = &d->disk;
    go_live(p, now);
}

static bool is_late(const struct ahci_port *p, uint64_t now)
{
    for (uint32_t rest = p->busy; rest; rest &= rest - 1)
        if (now >= p->slot[__builtin_ctz(rest)].end)
            return true;
    return false;
}

static void when_live(struct ahci_port *p, uint64_t now)
{
    if (p->status & IS_LINK) {
        restart(p, now, "its link was lost");
        return;
    }
    if (p->busy && !reap(p)) {
        p->failures = 0; /* it answers */
        stop(p, now);    /* what it has goes back when the port has stopped */
        return;
    }
    if (is_late(p, now)) {
        p->disk->stats.timeouts++;
        restart(p, now, "a command timed out");
        return;
    }
    ahci_pump(p, now);
}

static void when_dead(struct ahci_port *p, uint64_t now) { (void)p, (void)now; }

static const struct {
    void (*look)(struct ahci_port *, uint64_t now);
    const char *late; /* what it means when the state lasts too long */
    enum { LATE_RESTART, LATE_PORT, LATE_ALL } then;
} states[] = {
    [AHCI_STOPPING] = { when_stopping, "a port did not stop", LATE_ALL },
    [AHCI_UNHEARD] = { when_unheard, "a port did not stop", LATE_ALL },
    [AHCI_LINK_OFF] = { when_link_off, "", LATE_PORT },
    [AHCI_LINK] = { when_link, "no disk is there", LATE_PORT },
    [AHCI_BUSY] = { when_busy, "the disk did not become ready", LATE_PORT },
    [AHCI_IDENT] = { when_ident, "it did not answer IDENTIFY DEVICE in time", LATE_RESTART },
    [AHCI_LIVE] = { when_live, "", LATE_PORT },
    [AHCI_DEAD] = { when_dead, "", LATE_PORT },
};

static void late(struct ahci_port *p, uint64_t now)
{
    const char *why = states[p->state].late;

    if (states[p->state].then == LATE_ALL) {
        die(p->hba, why);
    } else if (states[p->state].then == LATE_RESTART) {
        restart(p, now, why);
    } else {
        command_bits(p, 0, CMD_FIS);
        give_up(p, why);
    }
}

static void step_port(struct ahci_port *p, uint64_t now)
{
    enum ahci_state was = p->state;

    states[was].look(p, now);
    if (p->state == was && now >= p->deadline)
        late(p, now);
}

/*
 * What a port reports, cleared. Of every port that has something to report, also one that has no
 * command: what stays set there raises the next interrupt as soon as AHCI_IS is written, for ever.
 */
static void acknowledge(struct ahci_port *p)
{
    uint32_t status = ahci_port_read(p, PORT_IS);

    p->status = status;
    if (status & IS_LINK)
        ahci_port_write(p, PORT_SERR, SERR_LINK);
    if (status)
        ahci_port_write(p, PORT_IS, status);
}

/*
 * First the ports' own bits are cleared, then the controller's (section 10.7.2.1), then it is
 * looked what has ended: whatever ends later than that is reported anew.
 */
void ahci_step(struct ahci *h, uint64_t now)
{
    uint32_t is;

    if (h->dead)
        return;
    is = hba_read(h, AHCI_IS);
    if (hba_read(h, AHCI_GHC) == UINT32_MAX) {
        die(h, "its registers read as all ones: it was removed or has failed");
        return;
    }
    for (unsigned i = 0; i < AHCI_PORTS; i++)
        if (h->port[i] && (h->port[i]->busy || is >> i & 1))
            acknowledge(h->port[i]);
    if (is)
        hba_write(h, AHCI_IS, is);
    for (unsigned i = 0; i < AHCI_PORTS && !h->dead; i++) {
        if (h->port[i]) {
            step_port(h->port[i], now);
            h->port[i]->status = 0;
        }
    }
}

/* ---- the event ---- */

static bool is_live(const struct ahci_port *p) { return !p || p->state >= AHCI_LIVE; }

void ahci_arm(struct ahci *h, uint64_t now)
{
    bool idle = true, live = true;
    uint64_t when;

    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        idle = idle && ahci_port_idle(h->port[i]);
        live = live && is_live(h->port[i]);
    }
    when = now + (h->irq && live ? WATCH_NS : POLL_NS);
    if (idle || h->dead || (h->armed && h->armed <= when))
        return;
    h->armed = when;
    event_at(&h->event, when);
}

static void work(struct event *ev)
{
    struct ahci *h = container_of(ev, struct ahci, event);
    uint64_t now = time_ns();

    spin_lock(&h->lock);
    h->armed = 0;
    ahci_step(h, now);
    ahci_arm(h, now);
    spin_unlock(&h->lock);
}

static void ask_health(struct event *ev)
{
    struct ahci *h = container_of(ev, struct ahci, health);
    uint64_t now = time_ns();
    bool any = false;

    spin_lock(&h->lock);
    for (unsigned i = 0; i < AHCI_PORTS && !h->dead; i++) {
        if (!h->port[i] || !h->port[i]->pages)
            continue;
        any = true;
        ahci_ask_health(h->port[i], now);
    }
    ahci_arm(h, now);
    if (any)
        event_at(ev, now + AHCI_HEALTH_NS);
    spin_unlock(&h->lock);
}

static void interrupt(void *arg) { event_post(&((struct ahci *)arg)->event); }

/* ---- finding them ---- */

static struct ahci *controllers;

static void add_port(struct ahci *h, unsigned number)
{
    struct ahci_port *p = calloc(1, sizeof *p); /* charge: the host's disks are Trivet's own */
    void *mem = dma_alloc(h->dma, AHCI_MEMORY_ORDER);

    if (!p || !mem) {
        free(p);
        dma_free(h->dma, mem, AHCI_MEMORY_ORDER);
        return;
    }
    p->first_slot = h->nports++ * AHCI_SLOTS;
    p->hba = h;
    p->number = number;
    p->regs = h->regs + AHCI_PORT0 + AHCI_PORT_LEN * number;
    p->mem = mem;
    h->port[number] = p;
}

/* Bounded. The firmware's hold on it ends (section 10.6), then it is reset (section 10.4.3). */
static bool take_over(struct ahci *h)
{
    uint64_t end = time_ns() + HBA_NS;

    if (hba_read(h, AHCI_CAP2) & 1)
        hba_write(h, AHCI_BOHC, hba_read(h, AHCI_BOHC) | 2);
    while (hba_read(h, AHCI_CAP2) & 1 && hba_read(h, AHCI_BOHC) & 1 && time_ns() < end)
        cpu_relax();
    hba_write(h, AHCI_GHC, AHCI_GHC_ENABLE);
    hba_write(h, AHCI_GHC, AHCI_GHC_ENABLE | AHCI_GHC_RESET);
    end = time_ns() + HBA_NS;
    while (hba_read(h, AHCI_GHC) & AHCI_GHC_RESET && time_ns() < end)
        cpu_relax();
    hba_write(h, AHCI_GHC, AHCI_GHC_ENABLE);
    return !(hba_read(h, AHCI_GHC) & AHCI_GHC_RESET) && hba_read(h, AHCI_CAP) & AHCI_CAP_64;
}

/*
 * Before the reset. A link that the firmware has powered, and that shows nothing, has nothing at
 * its other end (sections 3.3.7, 3.3.10, 3.3.11): it is not waited for again, which would take
 * EMPTY_NS at each boot.
 */
static bool is_empty(const struct ahci *h, unsigned number)
{
    const struct ahci_port p = { .regs = h->regs + AHCI_PORT0 + AHCI_PORT_LEN * number };

    return ahci_port_read(&p, PORT_CMD) & CMD_SPIN_UP &&
           !(ahci_port_read(&p, PORT_SCTL) & DET_MASK) &&
           !(ahci_port_read(&p, PORT_SSTS) & DET_MASK);
}

static uint32_t worth_a_look(const struct ahci *h)
{
    uint32_t ports = hba_read(h, AHCI_PI);

    for (unsigned i = 0; i < AHCI_PORTS; i++)
        if (ports >> i & 1 && is_empty(h, i))
            ports &= ~(1u << i);
    return ports;
}

/* As far as the ports that it has. *ports: those that may have a disk. */
static bool map(struct ahci *h, uint32_t *ports)
{
    uint64_t len = AHCI_PORT0;

    h->regs = host_pci_map(h->pci, BAR, len);
    if (!h->regs)
        return false;
    for (uint32_t rest = hba_read(h, AHCI_PI); rest; rest >>= 1)
        len += AHCI_PORT_LEN;
    h->regs = host_pci_map(h->pci, BAR, len);
    if (h->regs)
        *ports = worth_a_look(h);
    return h->regs;
}

static bool coming_up(const struct ahci *h)
{
    for (unsigned i = 0; i < AHCI_PORTS && !h->dead; i++)
        if (h->port[i] && h->port[i]->state != AHCI_LIVE && h->port[i]->state != AHCI_DEAD)
            return true;
    return false;
}

static void bring_up(struct ahci *h, uint32_t ports)
{
    unsigned slots = (unsigned)__builtin_popcount(ports) * AHCI_SLOTS;

    if (slots && dma_open(&h->dma, h->pci, "the AHCI driver", slots, AHCI_MAX_BYTES, 1)) {
        log_err("AHCI %s: not used: the IOMMU could not map its memory", h->name);
        return;
    }
    host_pci_command(h->pci, HOST_PCI_MASTER, 0);
    h->irq = host_pci_irq(h->pci, 0, 0, interrupt, h) == 0;
    hba_write(h, AHCI_GHC, AHCI_GHC_ENABLE | (h->irq ? AHCI_GHC_IRQ : 0));
    spin_lock(&h->lock);
    for (unsigned i = 0; i < AHCI_PORTS; i++)
        if (ports >> i & 1)
            add_port(h, i);
    for (unsigned i = 0; i < AHCI_PORTS; i++)
        if (h->port[i])
            stop(h->port[i], time_ns());
    while (coming_up(h)) {
        ahci_step(h, time_ns());
        cpu_relax();
    }
    spin_unlock(&h->lock);
}

static int ahci_probe(const struct host_pci_dev *pci)
{
    struct ahci *h = calloc(1, sizeof *h); /* charge: the host's disks are Trivet's own */
    uint32_t ports = 0;

    if (!h)
        return -ENOMEM;
    h->pci = pci;
    snprintf(h->name, sizeof h->name, "%04x:%02x:%02x.%u", pci->segment, pci->bus, pci->devfn >> 3,
             pci->devfn & 7u);
    spin_init(&h->lock, LOCK_DRIVER);
    event_init(&h->event, work, 0);
    event_init(&h->health, ask_health, 0);
    if (!map(h, &ports) || !take_over(h)) {
        log_warn("AHCI %s: not used: it cannot be reset, or cannot reach all memory", h->name);
        free(h);
        return -ENODEV;
    }
    h->next = controllers;
    controllers = h;
    bring_up(h, ports);
    log_info("AHCI %s: %s", h->name, h->irq ? "interrupts by message" : "polled");
    for (unsigned i = 0; i < AHCI_PORTS; i++)
        if (h->port[i] && h->port[i]->disk)
            disk_add(h->port[i]->disk, "ahci");
    event_post(&h->health);
    return 0;
}

const struct pci_driver ahci_driver = { .name = "AHCI", .class = 0x010601, .probe = ahci_probe };
PCI_DRIVER(ahci_driver);
