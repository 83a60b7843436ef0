/* SPDX-License-Identifier: BSD-2-Clause */
/* ide_io.c: requests become ATA commands, one at a time on a channel. */
#include <arch/barrier.h>
#include <arch/io.h>

#include <hv/log.h>
#include <hv/pmm.h>
#include <hv/time.h>

#include "ide.h"

static struct ide_disk *disk_of(struct blk_dev *b)
{
    return container_of(b, struct ide_disk, disk.blk);
}

/* ---- to the drive ---- */

static unsigned ide_slot(const struct ide_channel *c) { return (unsigned)(c - c->ide->channel); }

/* What to discard is data of Trivet's own. */
static void fill_ranges(const struct ide_channel *c, const struct blk_req *r, unsigned unit)
{
    uint8_t *ranges = c->mem->ranges;

    ata_put_ranges(ranges, (r->base + r->sector) / unit, r->nsectors / unit);
    c->mem->prd[0] = (struct ide_prd){ .at = (uint32_t)dma_at(c->ide->dma, ranges),
                                       .count = sizeof c->mem->ranges,
                                       .flags = PRD_LAST };
}

/* False: they reach beyond what the engine can. */
static bool fill(const struct ide_channel *c, const struct blk_req *r)
{
    struct ide_prd *prd = c->mem->prd;
    unsigned n = 0;

    for (unsigned i = 0; i < r->nseg; i++) {
        uint32_t len = r->seg[i].len;
        uint64_t at, end;

        if (dma_map(c->ide->dma, ide_slot(c), r->seg[i].at, len,
                    r->op == BLK_READ ? PROT_W : PROT_R, &at) ||
            at + len > 1ull << 32)
            return false;
        end = at + len;
        for (; at < end; n++) {
            uint64_t next = min_u64(end, align_down(at, PRD_SPAN) + PRD_SPAN);

            if (n == IDE_PRDS)
                return false;
            prd[n] = (struct ide_prd){ .at = (uint32_t)at, .count = (uint16_t)(next - at) };
            at = next;
        }
    }
    if (n)
        prd[n - 1].flags = PRD_LAST;
    return n;
}

/* What the registers say of a request. */
struct ide_command {
    uint8_t opcode, feature;
    uint64_t block, blocks;
};

static struct ide_command command_of(const struct blk_req *r, unsigned unit)
{
    struct ide_command k = { .opcode = (uint8_t)ata_opcode(r->op, false) };

    if (r->op == BLK_DISCARD) { /* ACS section 7.6.3: TRIM, and one block of ranges */
        k.feature = 1;
        k.blocks = 1;
    } else if (r->op != BLK_FLUSH) {
        k.block = (r->base + r->sector) / unit;
        k.blocks = r->nsectors / unit;
    }
    return k;
}

/* ACS section 4.16: 48-bit registers are written twice, the upper halves first. */
static void put_command(const struct ide_channel *c, const struct ide_disk *d, struct ide_command k)
{
    ide_write(c, IDE_DEVICE, (uint8_t)(ATA_DEVICE_LBA | d->drive << 4));
    for (unsigned i = 0; i < 4; i++) /* 400 ns */
        (void)port_read(c->control, 1);
    ide_write(c, IDE_FEATURE, 0);
    ide_write(c, IDE_FEATURE, k.feature);
    ide_write(c, IDE_COUNT, (uint8_t)(k.blocks >> 8));
    for (unsigned i = 0; i < 3; i++)
        ide_write(c, IDE_LBA_LOW + i, (uint8_t)(k.block >> (24 + 8 * i)));
    ide_write(c, IDE_COUNT, (uint8_t)k.blocks);
    for (unsigned i = 0; i < 3; i++)
        ide_write(c, IDE_LBA_LOW + i, (uint8_t)(k.block >> (8 * i)));
    ide_write(c, IDE_STATUS, k.opcode);
    for (unsigned i = 0; i < 4; i++)
        (void)port_read(c->control, 1);
}

static void start_engine(const struct ide_channel *c, uint8_t direction)
{
    port_write((uint16_t)(c->master + BM_COMMAND), 1, direction);
    port_write((uint16_t)(c->master + BM_COMMAND), 1, direction | BM_START);
}

static void ready_engine(const struct ide_channel *c, uint8_t direction)
{
    uint32_t status = port_read((uint16_t)(c->master + BM_STATUS), 1);

    port_write((uint16_t)(c->master + BM_TABLE), 4, (uint32_t)dma_at(c->ide->dma, c->mem->prd));
    port_write((uint16_t)(c->master + BM_COMMAND), 1, direction);
    port_write((uint16_t)(c->master + BM_STATUS), 1, (status & 0x60) | BM_ERROR | BM_IRQ);
}

static void fail(struct ide_disk *d, struct blk_req *r)
{
    disk_failed(&d->disk);
    blk_complete(r, -EIO);
}

/* False: it has failed. */
static bool send(struct ide_channel *c, struct blk_req *r, uint64_t now)
{
    struct ide_disk *d = (struct ide_disk *)(uintptr_t)r->at;
    unsigned unit = d->disk.blk.limits.block / 512;
    uint8_t direction = r->op == BLK_READ ? BM_TO_MEMORY : 0;
    bool flush = r->op == BLK_FLUSH;

    if (r->op == BLK_DISCARD) {
        fill_ranges(c, r, unit);
    } else if (!flush && !fill(c, r)) {
        dma_unmap(c->ide->dma, ide_slot(c));
        fail(d, r);
        return false;
    }
    dma_wmb();
    disk_count(&d->disk, r);
    c->now = r;
    c->end = now + IDE_COMMAND_NS;
    r->tries++;
    if (!flush)
        ready_engine(c, direction);
    put_command(c, d, command_of(r, unit));
    if (!flush)
        start_engine(c, direction);
    return true;
}

void ide_pump(struct ide_channel *c, uint64_t now)
{
    while (c->state == IDE_LIVE && !c->now && c->waiting.first &&
           !send(c, blk_queue_take(&c->waiting), now))
        ;
}

/* ---- back ---- */

void ide_ended(struct ide_channel *c, int status)
{
    struct blk_req *r = c->now;
    struct ide_disk *d = r ? (struct ide_disk *)(uintptr_t)r->at : NULL;

    c->now = NULL;
    dma_unmap(c->ide->dma, ide_slot(c));
    if (!r)
        return;
    if (!status) {
        c->failures = 0;
        blk_complete(r, 0);
    } else if (r->tries < IDE_TRIES) {
        d->disk.stats.retries++;
        blk_queue_add(&c->waiting, r);
    } else {
        fail(d, r);
    }
}

void ide_fail_all(struct ide_channel *c)
{
    struct blk_req *r = c->now;

    c->now = NULL;
    dma_unmap(c->ide->dma, ide_slot(c));
    if (r)
        fail((struct ide_disk *)(uintptr_t)r->at, r);
    while ((r = blk_queue_take(&c->waiting)))
        fail((struct ide_disk *)(uintptr_t)r->at, r);
}

/* ---- blk_ops ---- */

static int submit(struct blk_dev *b, struct blk_req *r)
{
    struct ide_disk *d = disk_of(b);
    struct ide_channel *c = d->channel;
    uint64_t now = time_ns();
    int err = blk_check(b, r);

    if (err)
        return err;
    spin_lock(&c->ide->lock);
    err = c->state == IDE_DEAD ? -EIO : 0;
    if (!err) {
        r->status = -EINPROGRESS;
        r->tries = 0;
        r->at = (uintptr_t)d;
        blk_queue_add(&c->waiting, r);
        ide_pump(c, now);
        ide_arm(c->ide, now);
    }
    spin_unlock(&c->ide->lock);
    return err;
}

static bool cancel(struct blk_dev *b, struct blk_req *r)
{
    struct ide_channel *c = disk_of(b)->channel;
    bool found;

    spin_lock(&c->ide->lock);
    found = blk_queue_remove(&c->waiting, r);
    spin_unlock(&c->ide->lock);
    return found;
}

static void poll(struct blk_dev *b)
{
    struct ide *ide = disk_of(b)->channel->ide;

    spin_lock(&ide->lock);
    ide_step(ide, time_ns());
    spin_unlock(&ide->lock);
}

const struct blk_ops ide_ops = { .submit = submit, .cancel = cancel, .poll = poll };
