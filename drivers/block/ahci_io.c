/* SPDX-License-Identifier: BSD-2-Clause */
/* ahci_io.c: requests become ATA commands, one at a time on a port. */
#include <arch/barrier.h>

#include <hv/log.h>
#include <hv/pmm.h>
#include <hv/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ahci.h"

/* ACS section 7.12.7: words of IDENTIFY DEVICE data */
enum { ID_SERIAL = 10, ID_MODEL = 27, ID_SETS = 83, ID_SECTORS = 100, ID_SIZES = 106 };
enum { ID_WORDS = 117, SETS_LBA48 = 1 << 10, SETS_FLUSH = 1 << 13, SIZES_LONG = 1 << 12 };
/* Serial ATA 3 section 10.5.5: register FIS, host to device */
enum { FIS_H2D = 0x27, FIS_COMMAND = 0x80, FIS_LEN = 20, DEVICE_LBA = 0x40 };
#define HEADER_WRITE (1u << 6)

static struct ahci_port *port_of(struct blk_dev *b)
{
    return container_of(b, struct ahci_disk, disk.blk)->port;
}

/* ---- to the disk ---- */

static void put_fis(uint8_t *f, uint8_t command, uint64_t block, uint64_t blocks)
{
    memset(f, 0, 64);
    f[0] = FIS_H2D;
    f[1] = FIS_COMMAND;
    f[2] = command;
    f[7] = DEVICE_LBA;
    for (unsigned i = 0; i < 3; i++) {
        f[4 + i] = (uint8_t)(block >> (8 * i));
        f[8 + i] = (uint8_t)(block >> (24 + 8 * i));
    }
    f[12] = (uint8_t)blocks;
    f[13] = (uint8_t)(blocks >> 8);
}

static void issue(struct ahci_port *p, bool write, unsigned nseg, uint64_t now)
{
    struct ahci_memory *m = p->mem;

    m->list[0] =
        (struct ahci_header){ .flags = FIS_LEN / 4 | (write ? HEADER_WRITE : 0) | nseg << 16,
                              .table = virt_to_phys(m->command).v };
    p->command = true;
    p->command_end = now + AHCI_COMMAND_NS;
    ahci_port_write(p, PORT_IS, ahci_port_read(p, PORT_IS));
    dma_wmb();
    ahci_port_write(p, PORT_CI, 1);
}

void ahci_identify(struct ahci_port *p, uint64_t now)
{
    memset(p->ident, 0, PAGE_SIZE);
    put_fis(p->mem->command, ATA_IDENTIFY, 0, 0);
    p->mem->command[7] = 0;
    p->mem->prd[0] = (struct ahci_prd){ .at = virt_to_phys(p->ident).v, .count = 511 };
    issue(p, false, 1, now);
}

static void send(struct ahci_port *p, struct blk_req *r, uint64_t now)
{
    unsigned unit = p->disk->blk.limits.block / 512;
    uint8_t command = r->op == BLK_FLUSH ? ATA_FLUSH : r->op == BLK_WRITE ? ATA_WRITE : ATA_READ;
    unsigned nseg = r->op == BLK_FLUSH ? 0 : r->nseg;

    for (unsigned i = 0; i < nseg && i < AHCI_SEGS; i++)
        p->mem->prd[i] = (struct ahci_prd){ .at = r->seg[i].at.v, .count = r->seg[i].len - 1 };
    put_fis(p->mem->command, command, nseg ? (r->base + r->sector) / unit : 0,
            nseg ? r->nsectors / unit : 0);
    p->now = r;
    r->tries++;
    disk_count(p->disk, r);
    issue(p, r->op == BLK_WRITE, nseg, now);
}

void ahci_pump(struct ahci_port *p, uint64_t now)
{
    if (p->state == AHCI_LIVE && !p->command && p->waiting.first)
        send(p, blk_queue_take(&p->waiting), now);
}

/* ---- back ---- */

static void fail(struct ahci_port *p, struct blk_req *r)
{
    disk_failed(p->disk);
    blk_complete(r, -EIO);
}

void ahci_ended(struct ahci_port *p, int status)
{
    struct blk_req *r = p->now;

    p->command = false;
    p->now = NULL;
    if (!r)
        return;
    if (!status) {
        p->failures = 0;
        blk_complete(r, 0);
    } else if (r->tries < AHCI_TRIES) {
        p->disk->stats.retries++;
        blk_queue_add(&p->waiting, r);
    } else {
        fail(p, r);
    }
}

void ahci_fail_all(struct ahci_port *p)
{
    struct blk_req *r;

    ahci_ended(p, -EIO);
    while ((r = blk_queue_take(&p->waiting)))
        fail(p, r);
}

/* ---- what the disk says ---- */

static uint32_t word(const struct ahci_port *p, unsigned i)
{
    return p->ident[2 * i] | (uint32_t)p->ident[2 * i + 1] << 8;
}

/* Two characters in each word, the first in its upper half. */
static void words(const struct ahci_port *p, unsigned from, unsigned n, char *dst)
{
    size_t end = 0;

    for (unsigned i = 0; i < 2 * n; i++) {
        uint8_t c = p->ident[2 * from + (i ^ 1)];

        dst[i] = c > ' ' && c < 0x7f ? (char)c : ' ';
        if (dst[i] != ' ')
            end = i + 1;
    }
    dst[end] = '\0';
}

/* Bytes of a block; 0: a size that Trivet does not use. */
static uint32_t block_size(const struct ahci_port *p)
{
    uint32_t sizes = word(p, ID_SIZES), n;

    if ((sizes & 0xc000) != 0x4000 || !(sizes & SIZES_LONG))
        return 512;
    n = word(p, ID_WORDS) | word(p, ID_WORDS + 1) << 16;
    return n == 2048 ? 4096 : n == 256 ? 512 : 0;
}

struct ahci_disk *ahci_disk_of(struct ahci_port *p)
{
    uint32_t sets = word(p, ID_SETS), block = block_size(p);
    uint64_t blocks = 0;
    struct ahci_disk *d;

    for (unsigned i = 0; i < 4; i++)
        blocks |= (uint64_t)word(p, ID_SECTORS + i) << (16 * i);
    if ((sets & 0xc000) != 0x4000 || !(sets & SETS_LBA48) || !(sets & SETS_FLUSH) || !block ||
        !blocks || blocks >> 48) {
        log_warn("AHCI %s port %u: left out: its size or what it can is not supported",
                 p->hba->name, p->number);
        return NULL;
    }
    d = calloc(1, sizeof *d); /* charge: the host's disks are Trivet's own */
    if (!d)
        return NULL;
    d->port = p;
    d->disk.blk.ops = &ahci_ops;
    d->disk.blk.sectors = blocks * (block / 512);
    d->disk.blk.limits = (struct blk_limits){
        .block = block, .max_bytes = AHCI_MAX_BYTES, .max_segs = AHCI_SEGS, .align = 4, .dma = true
    };
    words(p, ID_MODEL, 20, d->disk.model);
    words(p, ID_SERIAL, 10, d->disk.serial);
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
    found = blk_queue_remove(&p->waiting, r);
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
