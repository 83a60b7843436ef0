/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ide.c: an IDE controller's channels, each a machine of few states that never waits: reset, used,
 * and reset again when a drive fails or does not answer. Polled: ide_step() looks what has changed;
 * the controller's event calls it while a command is under way, and the boot until all is known.
 */
#include <arch/io.h>

#include <hv/irq.h>
#include <hv/log.h>
#include <hv/pmm.h>
#include <hv/time.h>
#include <stdio.h>
#include <stdlib.h>

#include "ide.h"

enum { BAR_MASTER = 4, FAILURES_MOST = 3 };
#define MS 1000000ull
#define RESET_NS (MS / 100) /* ATA8-APT section 9.2: 5 us at least */
#define READY_NS (31000 * MS)
#define IDENT_NS (1000 * MS)
#define POLL_NS (MS / 10)
#define MEMORY_MOST (3ull * GIB) /* a PC with more has some above 4 GiB */
#define NOBODY 0xffu             /* what a channel without drives reads as */

static const struct {
    uint16_t ports, control;
} places[IDE_CHANNELS] = { { 0x1f0, 0x3f6 }, { 0x170, 0x376 } };

uint8_t ide_read(const struct ide_channel *c, enum ide_reg reg)
{
    return (uint8_t)port_read((uint16_t)(c->ports + reg), 1);
}

void ide_write(const struct ide_channel *c, enum ide_reg reg, uint8_t v)
{
    port_write((uint16_t)(c->ports + reg), 1, v);
}

/* The status; it does not clear an interrupt. */
static uint8_t status_of(const struct ide_channel *c) { return (uint8_t)port_read(c->control, 1); }

/* Of 400 ns: a drive's status is not right before. */
static void settle(const struct ide_channel *c)
{
    for (unsigned i = 0; i < 4; i++)
        (void)status_of(c);
}

/* ---- from state to state ---- */

static void enter(struct ide_channel *c, enum ide_state state, uint64_t deadline)
{
    c->state = state;
    c->deadline = deadline;
}

static void give_up(struct ide_channel *c, const char *why)
{
    if (c->disk[0] || c->disk[1])
        log_err("IDE %s port %x: %s: giving it up", c->ide->name, c->ports, why);
    enter(c, IDE_DEAD, UINT64_MAX);
    ide_fail_all(c);
}

/* The engine stops first: nothing of the command reaches memory then (BM section 3.1). */
static void reset(struct ide_channel *c, uint64_t now)
{
    port_write((uint16_t)(c->master + BM_COMMAND), 1, 0);
    port_write(c->control, 1, CONTROL_NO_IRQ | CONTROL_RESET);
    ide_ended(c, -EIO);
    enter(c, IDE_RESET, now + RESET_NS);
}

static void restart(struct ide_channel *c, uint64_t now, const char *why)
{
    log_warn("IDE %s port %x: %s: resetting it", c->ide->name, c->ports, why);
    c->failures++;
    reset(c, now);
    if (c->failures > FAILURES_MOST)
        give_up(c, "it still fails after resets");
}

static void when_reset(struct ide_channel *c, uint64_t now)
{
    if (now < c->deadline)
        return;
    port_write(c->control, 1, CONTROL_NO_IRQ);
    settle(c);
    enter(c, IDE_BUSY, now + READY_NS);
}

static void when_busy(struct ide_channel *c, uint64_t now)
{
    uint8_t status = status_of(c);

    if (status == NOBODY || (status & ATA_STATUS_BUSY && now >= c->deadline)) {
        give_up(c, "its drives did not become ready");
    } else if (!(status & ATA_STATUS_BUSY)) {
        enter(c, IDE_LIVE, UINT64_MAX);
        ide_pump(c, now);
    }
}

/*
 * 1: the command is under way; 0: it has ended; -EIO: it failed. An engine that has not moved all
 * that it was told is not done (BM section 3.1): a drive that ends too soon is late.
 */
static int look(const struct ide_channel *c)
{
    uint8_t status = status_of(c);
    uint32_t engine = port_read((uint16_t)(c->master + BM_STATUS), 1);

    if (status & ATA_STATUS_BUSY)
        return 1;
    if (status & (ATA_STATUS_ERROR | ATA_STATUS_FAULT) || engine & BM_ERROR)
        return -EIO;
    return status & ATA_STATUS_REQUEST || engine & BM_ACTIVE;
}

static void stop_engine(const struct ide_channel *c)
{
    port_write((uint16_t)(c->master + BM_COMMAND), 1, 0);
    (void)ide_read(c, IDE_STATUS);
}

static void when_live(struct ide_channel *c, uint64_t now)
{
    int r = c->now ? look(c) : 1;

    if (r == 0) {
        stop_engine(c);
        ide_ended(c, 0);
    } else if (r < 0) {
        c->failures = 0; /* it answers */
        reset(c, now);
        return;
    } else if (c->now && now >= c->end) {
        ((struct ide_disk *)(uintptr_t)c->now->at)->disk.stats.timeouts++;
        restart(c, now, "a command timed out");
        return;
    }
    ide_pump(c, now);
}

static void when_dead(struct ide_channel *c, uint64_t now) { (void)c, (void)now; }

void ide_step(struct ide *ide, uint64_t now)
{
    static void (*const looks[])(struct ide_channel *, uint64_t) = { [IDE_RESET] = when_reset,
                                                                     [IDE_BUSY] = when_busy,
                                                                     [IDE_LIVE] = when_live,
                                                                     [IDE_DEAD] = when_dead };

    for (unsigned i = 0; i < IDE_CHANNELS; i++)
        looks[ide->channel[i].state](&ide->channel[i], now);
}

/* ---- the event ---- */

static bool idle(const struct ide_channel *c)
{
    return c->state == IDE_DEAD || (c->state == IDE_LIVE && !c->now && !c->waiting.first);
}

void ide_arm(struct ide *ide, uint64_t now)
{
    if (ide->armed || (idle(&ide->channel[0]) && idle(&ide->channel[1])))
        return;
    ide->armed = now + POLL_NS;
    event_at(&ide->event, ide->armed);
}

static void work(struct event *ev)
{
    struct ide *ide = container_of(ev, struct ide, event);
    uint64_t now = time_ns();

    spin_lock(&ide->lock);
    ide->armed = 0;
    ide_step(ide, now);
    ide_arm(ide, now);
    spin_unlock(&ide->lock);
}

/* ---- finding them ---- */

static bool wait_data(const struct ide_channel *c)
{
    uint64_t end = time_ns() + IDENT_NS;
    uint8_t status;

    settle(c);
    while ((status = status_of(c)) & ATA_STATUS_BUSY && time_ns() < end)
        cpu_relax();
    return !(status & (ATA_STATUS_BUSY | ATA_STATUS_ERROR | ATA_STATUS_FAULT)) &&
           status & ATA_STATUS_REQUEST;
}

/*
 * Programmed I/O, at boot only: 256 words. False: no ATA drive is there. One that is a CD drive
 * refuses the command.
 */
static bool identify(const struct ide_channel *c, unsigned drive, uint8_t *ident)
{
    ide_write(c, IDE_DEVICE, (uint8_t)(drive << 4));
    settle(c);
    if (status_of(c) == 0 || status_of(c) == NOBODY)
        return false;
    ide_write(c, IDE_STATUS, ATA_IDENTIFY);
    if (!wait_data(c))
        return false;
    for (unsigned i = 0; i < ATA_IDENT_LEN; i += 2) {
        uint32_t word = port_read((uint16_t)(c->ports + IDE_DATA), 2);

        ident[i] = (uint8_t)word;
        ident[i + 1] = (uint8_t)(word >> 8);
    }
    return true;
}

static void add_drive(struct ide_channel *c, unsigned drive)
{
    uint8_t ident[ATA_IDENT_LEN];
    struct ide_disk *d;

    if (!identify(c, drive, ident))
        return;
    d = calloc(1, sizeof *d); /* charge: the host's disks are Trivet's own */
    if (!d)
        return;
    if (ata_describe(ident, &d->disk)) {
        log_warn("IDE %s port %x drive %u: not used: its size or a feature is not supported",
                 c->ide->name, c->ports, drive);
        free(d);
        return;
    }
    d->channel = c;
    d->drive = (uint8_t)drive;
    d->disk.blk.ops = &ide_ops;
    d->disk.blk.limits.max_bytes = IDE_MAX_BYTES;
    d->disk.blk.limits.max_segs = IDE_SEGS;
    d->disk.blk.limits.align = 4;
    d->disk.blk.limits.dma = true;
    d->disk.blk.limits.discard_max = ata_discard_most(ident, d->disk.blk.limits.block);
    snprintf(d->disk.at, sizeof d->disk.at, "%s", c->ide->name);
    d->disk.unit = (uint32_t)(c - c->ide->channel) * IDE_DRIVES + drive;
    c->disk[drive] = d;
}

/* Bounded: each state has its time. */
static void bring_up(struct ide_channel *c)
{
    if (status_of(c) == NOBODY) {
        enter(c, IDE_DEAD, UINT64_MAX);
        return;
    }
    reset(c, time_ns());
    while (c->state == IDE_RESET || c->state == IDE_BUSY) {
        ide_step(c->ide, time_ns());
        cpu_relax();
    }
    for (unsigned i = 0; i < IDE_DRIVES && c->state == IDE_LIVE; i++)
        add_drive(c, i);
    if (!c->disk[0] && !c->disk[1])
        enter(c, IDE_DEAD, UINT64_MAX);
}

static bool make(struct ide *ide, uint16_t master)
{
    if (dma_open(&ide->dma, ide->pci, "the IDE driver", IDE_CHANNELS, IDE_MAX_BYTES, 1))
        return false;
    for (unsigned i = 0; i < IDE_CHANNELS; i++) {
        ide->channel[i] = (struct ide_channel){ .ide = ide,
                                                .ports = places[i].ports,
                                                .control = places[i].control,
                                                .master = (uint16_t)(master + BM_LEN * i),
                                                .state = IDE_DEAD };
        ide->channel[i].mem = dma_alloc(ide->dma, 0); /* below 4 GiB, as all is: ide_probe() */
        if (!ide->channel[i].mem)
            return false;
    }
    return true;
}

static void unmake(struct ide *ide)
{
    for (unsigned i = 0; i < IDE_CHANNELS; i++)
        dma_free(ide->dma, ide->channel[i].mem, 0);
    dma_close(ide->dma);
    free(ide);
}

static bool has_disks(const struct ide *ide)
{
    bool any = false;

    for (unsigned i = 0; i < IDE_CHANNELS; i++)
        any = any || ide->channel[i].disk[0] || ide->channel[i].disk[1];
    return any;
}

static void add_disks(struct ide *ide)
{
    for (unsigned i = 0; i < IDE_CHANNELS; i++)
        for (unsigned k = 0; k < IDE_DRIVES; k++)
            if (ide->channel[i].disk[k])
                disk_add(&ide->channel[i].disk[k]->disk, "ide");
}

/* False: there is no disk, and the controller is none of ours. */
static bool start(struct ide *ide)
{
    host_pci_command(ide->pci, HOST_PCI_IO | HOST_PCI_MASTER, 0);
    spin_lock(&ide->lock);
    for (unsigned i = 0; i < IDE_CHANNELS; i++)
        bring_up(&ide->channel[i]);
    spin_unlock(&ide->lock);
    if (!has_disks(ide)) {
        host_pci_command(ide->pci, 0, HOST_PCI_MASTER);
        return false;
    }
    log_info("IDE %s: polled", ide->name);
    add_disks(ide);
    return true;
}

static int ide_probe(const struct host_pci_dev *pci)
{
    struct host_pci_bar bar;
    struct pmm_stats memory;
    struct ide *ide;

    if (host_pci_bar(pci, BAR_MASTER, &bar) || !bar.io || !bar.base || bar.base > 0xfff0)
        return -ENODEV;
    pmm_stats(&memory);
    if (memory.total > MEMORY_MOST) {
        log_warn("IDE %02x:%02x.%u: not used: it cannot reach memory above 4 GiB (the machine may "
                 "have at most 3 GiB)",
                 pci->bus, pci->devfn >> 3, pci->devfn & 7u);
        return 0;
    }
    ide = calloc(1, sizeof *ide); /* charge: the host's disks are Trivet's own */
    if (!ide)
        return -ENOMEM;
    ide->pci = pci;
    snprintf(ide->name, sizeof ide->name, "%04x:%02x:%02x.%u", pci->segment, pci->bus,
             pci->devfn >> 3, pci->devfn & 7u);
    spin_init(&ide->lock, LOCK_DRIVER);
    event_init(&ide->event, work, 0);
    if (!make(ide, (uint16_t)bar.base) || !start(ide))
        unmake(ide);
    return 0;
}

/* Both channels at the compatible ports; the second kind could be elsewhere, and is not. */
const struct pci_driver ide_driver = { .name = "IDE", .class = 0x010180, .probe = ide_probe };
PCI_DRIVER(ide_driver);
const struct pci_driver ide_switchable_driver = { .name = "IDE",
                                                  .class = 0x01018a,
                                                  .probe = ide_probe };
PCI_DRIVER(ide_switchable_driver);
