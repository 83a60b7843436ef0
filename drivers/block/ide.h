/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ide.h: an IDE controller at the compatible ports, with bus mastering (PIIX and what is like it).
 * "ACS" is ATA/ATAPI Command Set 3, "ATA8-APT" its parallel transport, "BM" the Programming
 * Interface for Bus Master IDE Controller, revision 1.0. A channel has two drives and one command
 * at a time. Everything of a controller is under its lock, but for what is constant after the boot.
 */
#pragma once
#include <hv/blk.h>
#include <hv/blk_queue.h>
#include <hv/dma.h>
#include <hv/event.h>
#include <hv/host_pci.h>
#include <hv/lock.h>
#include <hv/types.h>

#include "ata.h"

/* Registers of a channel, from its first port. Reads and writes differ: IDE_STATUS, IDE_ERROR. */
enum ide_reg {
    IDE_DATA = 0,
    IDE_FEATURE = 1, /* written */
    IDE_COUNT = 2,
    IDE_LBA_LOW = 3,
    IDE_LBA_MID = 4,
    IDE_LBA_HIGH = 5,
    IDE_DEVICE = 6,
    IDE_STATUS = 7, /* read: clears the interrupt; written: the command */
};
/* In a port of its own: read, the status without a side effect; written, the device control. */
enum { CONTROL_NO_IRQ = 2, CONTROL_RESET = 4 };
/* BM section 2: of a channel, from the first port of BAR 4, 8 for each */
enum { BM_COMMAND = 0, BM_STATUS = 2, BM_TABLE = 4, BM_LEN = 8 };
enum { BM_START = 1, BM_TO_MEMORY = 8 };
enum { BM_ACTIVE = 1, BM_ERROR = 2, BM_IRQ = 4 };
/* BM section 1.2: memory below 4 GiB that crosses no multiple of 64 KiB */
struct ide_prd {
    uint32_t at;
    uint16_t count, flags; /* count: bytes, 0 is 65536 */
};
static_assert(sizeof(struct ide_prd) == 8, "BM 1.2");
#define PRD_LAST 0x8000
#define PRD_SPAN ((uint32_t)(64 * KIB))
enum { IDE_SEGS = 65, IDE_CHANNELS = 2, IDE_DRIVES = 2, IDE_PRDS = 448 };
#define IDE_MAX_BYTES ((uint32_t)(256 * KIB))
/* What a channel's engine reads beside a request's data. */
struct ide_memory {
    struct ide_prd prd[IDE_PRDS];
    uint8_t ranges[512]; /* of the command that discards */
};
static_assert(sizeof(struct ide_memory) == PAGE_SIZE, "a page");

enum ide_state {
    IDE_RESET, /* the reset is held */
    IDE_BUSY,  /* the drives are to be ready */
    IDE_LIVE,
    IDE_DEAD /* or there is no drive */
};
struct ide;
struct ide_channel;
struct ide_disk {
    struct disk disk;
    struct ide_channel *channel;
    uint8_t drive; /* 0 or 1 */
};
struct ide_channel {
    struct ide *ide;
    uint16_t ports, control, master; /* I/O ports */
    enum ide_state state;
    uint64_t deadline;
    struct ide_disk *disk[IDE_DRIVES];
    struct blk_req *now; /* what a drive has; its `at` is the disk */
    uint64_t end;        /* its time */
    struct blk_queue waiting;
    uint32_t failures; /* resets since a command succeeded */
    struct ide_memory *mem;
};
struct ide {
    const struct host_pci_dev *pci;
    struct dma *dma; /* a slot for each channel */
    char name[24];
    struct spinlock lock;
    struct event event; /* on CPU 0 */
    uint64_t armed;
    struct ide_channel channel[IDE_CHANNELS];
};

/* ---- ide_io.c: under the lock, but for ide_ops ---- */
extern const struct blk_ops ide_ops;
void ide_pump(struct ide_channel *, uint64_t now);
/* The command is over, and nothing of it reaches memory: 0, or -EIO. */
void ide_ended(struct ide_channel *, int status);
void ide_fail_all(struct ide_channel *);

/* ---- ide.c ---- */
extern const struct pci_driver ide_driver, ide_switchable_driver;
uint8_t ide_read(const struct ide_channel *, enum ide_reg);
void ide_write(const struct ide_channel *, enum ide_reg, uint8_t);
void ide_step(struct ide *, uint64_t now); /* under the lock */
void ide_arm(struct ide *, uint64_t now);
#define IDE_COMMAND_NS 10000000000ull /* a disk that spins may need this long */
#define IDE_TRIES 2
