/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ahci.h: what the files of the AHCI driver share. "AHCI" is the Serial ATA AHCI 1.3.1
 * Specification, "ACS" ATA/ATAPI Command Set 3. A port has one command at a time. Everything of a
 * controller is under its lock, but for what is constant after the boot.
 */
#pragma once
#include <hv/blk.h>
#include <hv/blk_queue.h>
#include <hv/disk.h>
#include <hv/event.h>
#include <hv/host_pci.h>
#include <hv/lock.h>
#include <hv/types.h>

/* AHCI section 3.1: of the controller */
enum ahci_reg { AHCI_CAP = 0, AHCI_GHC = 4, AHCI_IS = 8, AHCI_PI = 12, AHCI_CAP2 = 0x24 };
enum { AHCI_BOHC = 0x28, AHCI_PORTS = 32, AHCI_PORT0 = 0x100, AHCI_PORT_LEN = 0x80 };
#define AHCI_CAP_64 (1u << 31)
#define AHCI_GHC_RESET 1u
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
/* task file, host bus fatal and data, interface fatal errors */
#define IS_ERRORS (1u << 30 | 1u << 29 | 1u << 28 | 1u << 27)

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
enum { AHCI_SEGS = 65 };
/* One page of a port: section 4.2.1. */
struct ahci_memory {
    struct ahci_header list[32];
    uint8_t fis[256], unused[768];
    uint8_t command[128]; /* the table: its FIS, then the segments */
    struct ahci_prd prd[AHCI_SEGS];
};
static_assert(sizeof(struct ahci_memory) <= PAGE_SIZE, "one page");
static_assert(offsetof(struct ahci_memory, fis) % 256 == 0 &&
                  offsetof(struct ahci_memory, command) % 128 == 0 &&
                  offsetof(struct ahci_memory, prd) == offsetof(struct ahci_memory, command) + 128,
              "AHCI 4.2");
#define AHCI_MAX_BYTES ((uint32_t)(256 * KIB))
/* ACS */
enum { ATA_READ = 0x25, ATA_WRITE = 0x35, ATA_FLUSH = 0xea, ATA_IDENTIFY = 0xec };

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
struct ahci_port {
    struct ahci *hba;
    struct disk *disk; /* NULL: not known */
    volatile uint8_t *regs;
    unsigned number;
    enum ahci_state state;
    uint64_t deadline;
    struct ahci_memory *mem;
    uint8_t *ident;       /* a page */
    struct blk_req *now;  /* what the disk has */
    bool command;         /* it has one (also one of ours) */
    uint64_t command_end; /* its time */
    struct blk_queue waiting;
    uint32_t failures; /* resets since a command succeeded */
    bool known;
    bool seen; /* AHCI_LINK: its time was extended */
};
struct ahci {
    const struct host_pci_dev *pci;
    char name[24];
    struct spinlock lock;
    struct event event; /* on CPU 0 */
    volatile uint8_t *regs;
    bool dead;
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
void ahci_pump(struct ahci_port *, uint64_t now); /* the next request that waits */
/* The disk ended the command: 0, or -EIO. */
void ahci_ended(struct ahci_port *, int status);
void ahci_fail_all(struct ahci_port *);

/* ---- ahci.c ---- */
extern const struct pci_driver ahci_driver;
uint32_t ahci_port_read(const struct ahci_port *, enum ahci_port_reg);
void ahci_port_write(const struct ahci_port *, enum ahci_port_reg, uint32_t);
void ahci_step(struct ahci *, uint64_t now); /* under the lock */
void ahci_arm(struct ahci *, uint64_t now);
#define AHCI_COMMAND_NS 10000000000ull /* a disk that spins may need this long */
#define AHCI_TRIES 2
