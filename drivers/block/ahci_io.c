/* SPDX-License-Identifier: BSD-2-Clause */
/* ahci_io.c: requests become ATA commands, queued ones where the disk has them. */
#include <arch/barrier.h>

#include <hv/log.h>
#include <hv/pmm.h>
#include <hv/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ahci.h"

/* ACS section 7.12.7: words of IDENTIFY DEVICE data */
enum { ID_DEPTH = 75, ID_SATA = 76, SATA_NCQ = 1 << 8 };
/* Serial ATA 3 section 10.5.5: register FIS, host to device */
enum { FIS_H2D = 0x27, FIS_COMMAND = 0x80, FIS_LEN = 20 };
#define HEADER_WRITE (1u << 6)

static struct ahci_port *port_of(struct blk_dev *b)
{
    return container_of(b, struct ahci_disk, disk.blk)->port;
}

/* ---- to the disk ---- */

static void put_fis(uint8_t *f, uint8_t command, uint64_t block)
{
    memset(f, 0, 64);
    f[0] = FIS_H2D;
    f[1] = FIS_COMMAND;
    f[2] = command;
    f[7] = ATA_DEVICE_LBA;
    for (unsigned i = 0; i < 3; i++) {
        f[4 + i] = (uint8_t)(block >> (8 * i));
        f[8 + i] = (uint8_t)(block >> (24 + 8 * i));
    }
}

/* In the fields of its own, where queued commands have their tag: SATA section 13.6.4. */
static void put_blocks(uint8_t *f, uint64_t blocks, bool queued, unsigned slot)
{
    uint8_t *low = queued ? &f[3] : &f[12], *high = queued ? &f[11] : &f[13];

    *low = (uint8_t)blocks;
    *high = (uint8_t)(blocks >> 8);
    if (queued)
        f[12] = (uint8_t)(slot << 3);
}

static void issue(struct ahci_port *p, unsigned slot, bool write, unsigned nseg, uint64_t now)
{
    struct ahci_memory *m = p->mem;
    uint32_t bit = 1u << slot;

    m->list[slot] =
        (struct ahci_header){ .flags = FIS_LEN / 4 | (write ? HEADER_WRITE : 0) | nseg << 16,
                              .table = dma_at(p->hba->dma, &m->table[slot]) };
    p->busy |= bit;
    p->slot[slot].end = now + AHCI_COMMAND_NS;
    dma_wmb();
    if (p->queued)
        ahci_port_write(p, PORT_SACT, bit); /* section 5.5.1: before PxCI */
    ahci_port_write(p, PORT_CI, bit);
}

/* A command of ours, which has block `block`, gives 512 bytes. */
static void ask_disk(struct ahci_port *p, enum ata_command command, uint8_t feature, uint64_t block,
                     uint64_t now)
{
    struct ahci_table *t = &p->mem->table[0];

    memset(p->mem->ident, 0, PAGE_SIZE);
    put_fis(t->command, (uint8_t)command, block);
    t->command[3] = feature;
    t->command[7] = 0;
    t->command[12] = 1;
    t->prd[0] = (struct ahci_prd){ .at = dma_at(p->hba->dma, p->mem->ident), .count = 511 };
    p->slot[0].req = NULL;
    p->queued = false;
    issue(p, 0, false, 1, now);
}

void ahci_identify(struct ahci_port *p, uint64_t now) { ask_disk(p, ATA_IDENTIFY, 0, 0, now); }

static const struct {
    uint8_t feature, log;
    bool (*take)(const uint8_t *page, struct disk_health *);
} pages[] = {
    { SMART_READ_DATA, 0, ata_smart_data },
    { SMART_READ_LOG, SMART_ERROR_LOG, ata_smart_errors },
};

static void ask_page(struct ahci_port *p, uint64_t now)
{
    uint64_t block = SMART_HIGH << 16 | SMART_MID << 8 | pages[p->page - 1].log;

    ask_disk(p, ATA_SMART, pages[p->page - 1].feature, block, now);
}

void ahci_ask_health(struct ahci_port *p, uint64_t now)
{
    if (p->state != AHCI_LIVE || !p->pages || p->page)
        return;
    p->page = 1;
    p->health = (struct disk_health){ .logged = DISK_UNTOLD, .warnings = DISK_UNTOLD };
    ahci_pump(p, now);
}

/* It has said all that it has. */
static void told(struct ahci_port *p)
{
    p->page = 0;
    p->health.asked = time_ns();
    p->disk->health = p->health;
}

/* A command of ours that is not the first one has ended. */
static void took_page(struct ahci_port *p)
{
    if (!pages[p->page - 1].take(p->mem->ident, &p->health))
        p->page = 0;
    else if (p->page++ == p->pages)
        told(p);
}

/* What it has said before that counts. */
static void page_refused(struct ahci_port *p)
{
    p->pages = p->page - 1;
    if (p->pages)
        told(p);
    p->page = 0;
}

static void fail(struct ahci_port *p, struct blk_req *r)
{
    disk_failed(p->disk);
    blk_complete(r, -EIO);
}

/* Reads and writes can be queued. */
static bool has_data(const struct blk_req *r) { return r->op == BLK_READ || r->op == BLK_WRITE; }

static uint64_t ahci_block_of(const struct ahci_port *p, const struct blk_req *r)
{
    return (r->base + r->sector) / (p->disk->blk.limits.block / 512);
}

static uint64_t ahci_blocks_of(const struct ahci_port *p, const struct blk_req *r)
{
    return r->nsectors / (p->disk->blk.limits.block / 512);
}

/* What to discard is data of Trivet's own. */
static int put_ranges(struct ahci_port *p, unsigned slot, const struct blk_req *r)
{
    ata_put_ranges(p->mem->ranges, ahci_block_of(p, r), ahci_blocks_of(p, r));
    p->mem->table[slot].prd[0] = (struct ahci_prd){ .at = dma_at(p->hba->dma, p->mem->ranges),
                                                    .count = sizeof p->mem->ranges - 1 };
    return 1;
}

/* How many there are; -EINVAL: they are more than a request may have. */
static int put_segments(struct ahci_port *p, unsigned slot, const struct blk_req *r)
{
    struct ahci_table *t = &p->mem->table[slot];
    int err = r->nseg > AHCI_SEGS ? -EINVAL : 0;

    if (r->op == BLK_DISCARD)
        return put_ranges(p, slot, r);
    if (!has_data(r))
        return 0;
    for (unsigned i = 0; !err && i < r->nseg; i++) {
        t->prd[i].count = r->seg[i].len - 1;
        err = dma_map(p->hba->dma, p->first_slot + slot, r->seg[i].at, t->prd[i].count + 1,
                      r->op == BLK_READ ? PROT_W : PROT_R, &t->prd[i].at);
    }
    return err ? err : r->nseg;
}

static void put_command(struct ahci_port *p, unsigned slot, const struct blk_req *r)
{
    uint8_t *f = p->mem->table[slot].command;
    bool data = has_data(r);

    put_fis(f, (uint8_t)ata_opcode(r->op, p->queued), data ? ahci_block_of(p, r) : 0);
    put_blocks(f, data ? ahci_blocks_of(p, r) : 0, p->queued, slot);
    if (r->op == BLK_DISCARD) { /* ACS section 7.6.3: TRIM, and one block of ranges */
        f[3] = 1;
        f[12] = 1;
    }
}

/* False: it has failed. */
static bool send(struct ahci_port *p, unsigned slot, struct blk_req *r, uint64_t now)
{
    int nseg = put_segments(p, slot, r);

    if (nseg < 0) {
        dma_unmap(p->hba->dma, p->first_slot + slot);
        fail(p, r);
        return false;
    }
    put_command(p, slot, r);
    p->slot[slot].req = r;
    disk_count(p->disk, r);
    issue(p, slot, r->op != BLK_READ && nseg, (unsigned)nseg, now);
    return true;
}

/* Queued commands and others are never with a disk together: SATA section 13.6.2. */
static bool may_send(const struct ahci_port *p, bool queued)
{
    if (!p->busy)
        return true;
    return queued && p->queued && (uint32_t)__builtin_popcount(p->busy) < p->depth;
}

void ahci_pump(struct ahci_port *p, uint64_t now)
{
    if (p->page && p->state == AHCI_LIVE && !p->busy) {
        p->queued = false;
        ask_page(p, now);
    }
    while (p->state == AHCI_LIVE && !p->page) {
        struct blk_queue *q = p->again.first ? &p->again : &p->waiting;
        bool queued = q->first && q == &p->waiting && p->depth && has_data(q->first);

        if (!q->first || !may_send(p, queued))
            return;
        p->queued = queued;
        (void)send(p, (unsigned)__builtin_ctz(~p->busy), blk_queue_take(q), now);
    }
}

/* ---- back ---- */

/* Its slot is free. NULL: the command was ours. */
static struct blk_req *take_slot(struct ahci_port *p, unsigned slot)
{
    p->busy &= ~(1u << slot);
    dma_unmap(p->hba->dma, p->first_slot + slot);
    return p->slot[slot].req;
}

void ahci_ended(struct ahci_port *p, uint32_t slots)
{
    for (slots &= p->busy; slots; slots &= slots - 1) {
        struct blk_req *r = take_slot(p, (unsigned)__builtin_ctz(slots));

        p->failures = r ? 0 : p->failures;
        if (r)
            blk_complete(r, 0);
        else if (p->page)
            took_page(p);
    }
}

/*
 * A controller that keeps bits of PxCI over the reset finds commands without a FIS: what it had is
 * others' memory by then.
 */
static void forget(struct ahci_memory *m)
{
    for (unsigned i = 0; i < AHCI_SLOTS; i++) {
        memset(m->table[i].command, 0, sizeof m->table[i].command);
        m->list[i].flags = FIS_LEN / 4;
    }
}

void ahci_take_back(struct ahci_port *p, uint64_t now)
{
    forget(p->mem);
    while (p->busy) {
        unsigned slot = (unsigned)__builtin_ctz(p->busy);
        bool its_fault = !p->queued || now >= p->slot[slot].end;
        struct blk_req *r = take_slot(p, slot);

        if (!r) {
            if (p->page)
                page_refused(p);
            continue;
        }
        r->tries += its_fault;
        if (r->tries < AHCI_TRIES) {
            p->disk->stats.retries++;
            blk_queue_add(&p->again, r);
        } else {
            fail(p, r);
        }
    }
}

void ahci_fail_all(struct ahci_port *p)
{
    struct blk_req *r;

    while (p->busy) {
        r = take_slot(p, (unsigned)__builtin_ctz(p->busy));
        if (r)
            fail(p, r);
    }
    while ((r = blk_queue_take(&p->again)) || (r = blk_queue_take(&p->waiting)))
        fail(p, r);
}

bool ahci_port_idle(const struct ahci_port *p)
{
    return !p || p->state == AHCI_DEAD ||
           (p->state == AHCI_LIVE && !p->busy && !p->waiting.first && !p->again.first);
}

/* ---- what the disk says ---- */

/* Queued commands at a time; 0: none. */
static uint32_t queue_depth(const struct ahci_port *p)
{
    uint32_t cap = host_reg_read(p->hba->regs + AHCI_CAP, 4),
             sata = ata_word(p->mem->ident, ID_SATA);

    if (!(cap & AHCI_CAP_NCQ) || sata == 0xffff || !(sata & SATA_NCQ))
        return 0;
    return (uint32_t)min_u64((ata_word(p->mem->ident, ID_DEPTH) & 31) + 1, AHCI_CAP_SLOTS(cap));
}

struct ahci_disk *ahci_disk_of(struct ahci_port *p)
{
    struct ahci_disk *d = calloc(1, sizeof *d); /* charge: the host's disks are Trivet's own */

    if (!d || ata_describe(p->mem->ident, &d->disk)) {
        log_warn("AHCI %s port %u: not used: its size or a feature is not supported", p->hba->name,
                 p->number);
        free(d);
        return NULL;
    }
    d->port = p;
    p->depth = queue_depth(p);
    p->pages = ata_smart_pages(p->mem->ident);
    d->disk.blk.ops = &ahci_ops;
    d->disk.blk.limits.max_bytes = AHCI_MAX_BYTES;
    d->disk.blk.limits.max_segs = AHCI_SEGS;
    d->disk.blk.limits.align = 4;
    d->disk.blk.limits.dma = true;
    d->disk.blk.limits.discard_max = ata_discard_most(p->mem->ident, d->disk.blk.limits.block);
    snprintf(d->disk.at, sizeof d->disk.at, "%s", p->hba->name);
    d->disk.unit = p->number;
    return d;
}

/* ---- blk_ops ---- */

static int submit(struct blk_dev *b, struct blk_req *r)
{
    struct ahci_port *p = port_of(b);
    uint64_t now = time_ns();
    int err = blk_check(b, r);

    if (err)
        return err;
    spin_lock(&p->hba->lock);
    err = p->state == AHCI_DEAD ? -EIO : 0;
    if (!err) {
        r->status = -EINPROGRESS;
        r->tries = 0;
        blk_queue_add(&p->waiting, r);
        ahci_pump(p, now);
        ahci_arm(p->hba, now);
    }
    spin_unlock(&p->hba->lock);
    return err;
}

static bool cancel(struct blk_dev *b, struct blk_req *r)
{
    struct ahci_port *p = port_of(b);
    bool found;

    spin_lock(&p->hba->lock);
    found = blk_queue_remove(&p->waiting, r) || blk_queue_remove(&p->again, r);
    spin_unlock(&p->hba->lock);
    return found;
}

static void poll(struct blk_dev *b)
{
    struct ahci *h = port_of(b)->hba;

    spin_lock(&h->lock);
    ahci_step(h, time_ns());
    spin_unlock(&h->lock);
}

const struct blk_ops ahci_ops = { .submit = submit, .cancel = cancel, .poll = poll };
