/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ahci.h: what the files of the AHCI driver share. "AHCI" is the Serial ATA AHCI 1.3.1
 * Specification, "ACS" ATA/ATAPI Command Set 3, "SATA" Serial ATA Revision 3. A port has up to 32
 * queued reads and writes (NCQ), or one command of another kind. Everything of a controller is
 * under its lock, but for what is constant after the boot.
 */
#pragma once
#include <hv/blk.h>
#include <hv/blk_queue.h>
#include <hv/disk.h>
#include <hv/dma.h>
#include <hv/event.h>
#include <hv/host_pci.h>
#include <hv/lock.h>
#include <hv/types.h>

#include "ata.h"

/* AHCI section 3.1: of the controller */
enum ahci_reg { AHCI_CAP = 0, AHCI_GHC = 4, AHCI_IS = 8, AHCI_PI = 12, AHCI_CAP2 = 0x24 };
enum { AHCI_BOHC = 0x28, AHCI_PORTS = 32, AHCI_PORT0 = 0x100, AHCI_PORT_LEN = 0x80 };
#define AHCI_CAP_64 (1u << 31)
#define AHCI_CAP_NCQ (1u << 30)
#define AHCI_CAP_SLOTS(cap) (((cap) >> 8 & 31) + 1)
#define AHCI_GHC_RESET 1u
#define AHCI_GHC_IRQ 2u
#define AHCI_GHC_ENABLE (1u << 31)
/* section 3.3: of a port, from 0x100 + 0x80 * n */
enum ahci_port_reg {
    PORT_CLB = 0,
    PORT_FB = 8,
    PORT_IS = 0x10,
    PORT_IE = 0x14,
    PORT_CMD = 0x18,
    PORT_TFD = 0x20,
    PORT_SIG = 0x24,
    PORT_SSTS = 0x28,
    PORT_SCTL = 0x2c,
    PORT_SERR = 0x30,
    PORT_SACT = 0x34,
    PORT_CI = 0x38
};
enum { CMD_START = 1, CMD_SPIN_UP = 2, CMD_POWER = 4, CMD_FIS = 1 << 4 };
enum { CMD_FIS_RUNS = 1 << 14, CMD_RUNS = 1 << 15 };
enum {
    TFD_ERROR = 1,
    TFD_REQUEST = 8,
    TFD_BUSY = 0x80,
    DET_MASK = 15,
    DET_PRESENT = 3,
    SIG_DISK = 0x101
};
/* section 3.3.5: task file, host bus fatal and data, interface fatal errors */
#define IS_ERRORS (1u << 30 | 1u << 29 | 1u << 28 | 1u << 27)
#define IS_FISES 15u                 /* register, PIO, DMA and set device bits FISes have come */
#define IS_LINK (1u << 22 | 1u << 6) /* the link changed: cleared by way of SERR */
#define SERR_LINK (1u << 26 | 1u << 16)

/* section 4.2.2: a command header */
struct ahci_header {
    uint32_t flags, bytes;
    uint64_t table;
    uint32_t reserved[4];
};
static_assert(sizeof(struct ahci_header) == 32 && offsetof(struct ahci_header, table) == 8,
              "AHCI 4.2.2");
/* section 4.2.3.3 */
struct ahci_prd {
    uint64_t at;
    uint32_t reserved, count; /* bytes - 1 */
};
static_assert(sizeof(struct ahci_prd) == 16 && offsetof(struct ahci_prd, count) == 12,
              "AHCI 4.2.3.3");
enum { AHCI_SLOTS = 32, AHCI_SEGS = 65 };
struct ahci_table {
    uint8_t command[128]; /* the FIS */
    struct ahci_prd prd[72];
};
static_assert(sizeof(struct ahci_table) % 128 == 0 && offsetof(struct ahci_table, prd) == 128,
              "AHCI 4.2.3");
/* A port's: section 4.2.1. */
struct ahci_memory {
    struct ahci_header list[AHCI_SLOTS];
    uint8_t fis[256], unused[2304];
    uint8_t ranges[512];      /* of the command that discards: there is one at a time */
    uint8_t ident[PAGE_SIZE]; /* what the disk says of itself */
    struct ahci_table table[AHCI_SLOTS];
};
enum { AHCI_MEMORY_ORDER = 4 };
static_assert(sizeof(struct ahci_memory) <= PAGE_SIZE << AHCI_MEMORY_ORDER, "it fits");
static_assert(offsetof(struct ahci_memory, fis) % 256 == 0 &&
                  offsetof(struct ahci_memory, ident) == PAGE_SIZE &&
                  offsetof(struct ahci_memory, table) % 128 == 0,
              "AHCI 4.2");
#define AHCI_MAX_BYTES ((uint32_t)(256 * KIB))

enum ahci_state {
    AHCI_STOPPING, /* commands are to end */
    AHCI_UNHEARD,  /* FISes are to end */
    AHCI_LINK_OFF, /* the link is reset */
    AHCI_LINK,     /* and is to come up */
    AHCI_BUSY,     /* the disk is to be ready */
    AHCI_IDENT,    /* it says what it is */
    AHCI_LIVE,
    AHCI_DEAD /* or there is no disk */
};
struct ahci;
struct ahci_slot {
    struct blk_req *req; /* NULL: a command of ours */
    uint64_t end;        /* its time */
};
struct ahci_port {
    struct ahci *hba;
    struct disk *disk; /* NULL: not known */
    volatile uint8_t *regs;
    unsigned number;
    unsigned first_slot; /* of the HBA's dma */
    enum ahci_state state;
    uint64_t deadline;
    struct ahci_memory *mem;
    struct ahci_slot slot[AHCI_SLOTS];
    uint32_t depth;  /* queued commands at a time; 0: it has none of that kind */
    uint32_t busy;   /* slots that the disk has, a bit each */
    bool queued;     /* and they are queued commands */
    uint32_t status; /* what PxIS said in this step; it is cleared there */
    struct blk_queue waiting;
    /* Requests that a disk had when it failed: before the others, one at a time, so that the disk's
     * next word on one is about that one. */
    struct blk_queue again;
    uint32_t failures; /* resets since a command succeeded */
    bool known;
    bool seen; /* AHCI_LINK: its time was extended */
    /*
     * Pages that it tells of its health; the number of the one that it is asked for, from 1, when
     * nothing else is under way, 0: none; and what those before said.
     */
    unsigned pages, page;
    struct disk_health health;
};
struct ahci {
    const struct host_pci_dev *pci;
    struct dma *dma; /* AHCI_SLOTS slots for each port */
    unsigned nports;
    char name[24];
    struct spinlock lock;
    struct event event;  /* on CPU 0 */
    struct event health; /* on CPU 0: asks, once a minute */
    volatile uint8_t *regs;
    bool dead, irq;
    uint64_t armed;
    struct ahci_port *port[AHCI_PORTS];
    struct ahci *next;
};
struct ahci_disk {
    struct disk disk;
    struct ahci_port *port;
};

/* ---- ahci_io.c: under the lock, but for ahci_ops ---- */
extern const struct blk_ops ahci_ops;
/* Gives the disk a command of ours: identify. */
void ahci_identify(struct ahci_port *, uint64_t now);
/* The page that it answered: the disk, for disk_add(), or NULL, and why not in the log. */
struct ahci_disk *ahci_disk_of(struct ahci_port *);
/*
 * It is asked for its health before its next request. A page that it refuses, and those behind it,
 * are not asked for again.
 */
void ahci_ask_health(struct ahci_port *, uint64_t now);
void ahci_pump(struct ahci_port *, uint64_t now); /* the next requests that wait */
/* The disk has ended these, a bit each, without an error. */
void ahci_ended(struct ahci_port *, uint32_t slots);
/* It reaches no memory any more. What it had goes again, or fails: one that is late, or was alone.
 */
void ahci_take_back(struct ahci_port *, uint64_t now);
void ahci_fail_all(struct ahci_port *); /* as above; with what waits */
bool ahci_port_idle(const struct ahci_port *);

/* ---- ahci.c ---- */
extern const struct pci_driver ahci_driver;
uint32_t ahci_port_read(const struct ahci_port *, enum ahci_port_reg);
void ahci_port_write(const struct ahci_port *, enum ahci_port_reg, uint32_t);
void ahci_step(struct ahci *, uint64_t now); /* under the lock */
void ahci_arm(struct ahci *, uint64_t now);
#define AHCI_COMMAND_NS 10000000000ull /* a disk that spins may need this long */
#define AHCI_HEALTH_NS 60000000000ull  /* how often it is asked for its health */
#define AHCI_TRIES 2
