/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nvme.h: what the files of the NVMe driver share. "Base" is the NVM Express Base Specification
 * 2.0, "NVM" the NVM Command Set Specification 1.0. Everything of a controller is under its lock,
 * but for what is constant after the boot.
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

/* Base section 3.1.3: controller properties */
enum nvme_reg {
    NVME_CAP = 0,
    NVME_CC = 0x14,
    NVME_CSTS = 0x1c,
    NVME_AQA = 0x24,
    NVME_ASQ = 0x28,
    NVME_ACQ = 0x30,
    NVME_DOORBELLS = 0x1000
};
enum { NVME_CC_ENABLE = 1, NVME_CSTS_READY = 1, NVME_CSTS_FATAL = 2 };
/* Base sections 3.1.3.5, 3.1.3.6: CC.SHN: a normal shutdown; CSTS.SHST: it is over */
enum { NVME_CC_SHUTDOWN = 1 << 14, NVME_CSTS_SHUTDOWN = 3 << 2, NVME_CSTS_AT_REST = 2 << 2 };
/* enabled, NVM command set, 4 KiB pages, entries of 64 and 16 bytes */
#define NVME_CC_RUN (6u << 16 | 4u << 20 | NVME_CC_ENABLE)

/* Base section 5, figure 138; NVM section 3 */
enum nvme_admin { NVME_CREATE_SQ = 1, NVME_GET_LOG = 2, NVME_CREATE_CQ = 5, NVME_IDENTIFY = 6 };
enum { NVME_ABORT = 8 };
enum { NVME_SET_FEATURES = 9, NVME_FEATURE_QUEUES = 7 };
enum { NVME_VIRTUALIZATION = 0x1c };
enum nvme_io {
    NVME_FLUSH = 0,
    NVME_WRITE = 1,
    NVME_READ = 2,
    NVME_WRITE_ZEROES = 8,
    NVME_DATASET = 9
};
#define NVME_DEALLOCATE 4u /* NVM section 3.2.3: of dataset management, in cdw11 */

/* Base section 3.3.3.1, figure 87 */
struct nvme_sqe {
    uint8_t opcode, flags;
    uint16_t cid;
    uint32_t nsid, cdw2, cdw3;
    uint64_t metadata, prp1, prp2;
    uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};
static_assert(sizeof(struct nvme_sqe) == 64, "Base 3.3.3.1");
static_assert(offsetof(struct nvme_sqe, nsid) == 4, "Base 3.3.3.1");
static_assert(offsetof(struct nvme_sqe, prp1) == 24, "Base 3.3.3.1");
static_assert(offsetof(struct nvme_sqe, prp2) == 32, "Base 3.3.3.1");
static_assert(offsetof(struct nvme_sqe, cdw10) == 40, "Base 3.3.3.1");
/* Base section 3.3.3.2, figure 90. status: bit 0 phase, then the status field */
struct nvme_cqe {
    uint32_t dw0, dw1;
    uint16_t sq_head, sq_id, cid, status;
};
static_assert(sizeof(struct nvme_cqe) == 16, "Base 3.3.3.2");
static_assert(offsetof(struct nvme_cqe, cid) == 12, "Base 3.3.3.2");
static_assert(offsetof(struct nvme_cqe, status) == 14, "Base 3.3.3.2");
/* NVM section 3.2.3.1, figure 45: one range of dataset management */
struct nvme_range {
    uint32_t attributes, blocks;
    uint64_t first;
};
static_assert(sizeof(struct nvme_range) == 16 && offsetof(struct nvme_range, first) == 8,
              "NVM 3.2.3.1");
enum { NVME_STATUS_PHASE = 1, NVME_STATUS_DNR = 1 << 15 };

enum {
    NVME_DEPTH = 64,    /* entries of a queue: one page of commands */
    NVME_NAMESPACES = 8 /* of one controller that become disks */
};
#define NVME_MAX_BYTES ((uint32_t)MIB)
#define NVME_LIST_PAGES (NVME_MAX_BYTES / PAGE_SIZE + 1)
static_assert(NVME_LIST_PAGES * sizeof(uint64_t) <= PAGE_SIZE, "a list of PRPs is one page");

/*
 * A command that the controller has. Its identifier is made of its place and of a count that
 * changes at each use, so that an answer that comes twice, or to a command of before a reset, is
 * told from the right one.
 */
struct nvme_cmd {
    struct blk_req *req;
    struct nvme_ns *ns;
    uint64_t deadline; /* ns of time_ns() */
    uint16_t cid;
    uint8_t use;
    bool busy, aborted;
    bool bad; /* ends with an error whatever the controller says */
};
struct nvme_queue {
    struct nvme_sqe *sq;
    volatile struct nvme_cqe *cq;
    volatile uint8_t *sq_bell, *cq_bell;
    uint16_t id, depth, tail, head, busy;
    bool phase;
    struct nvme_cmd cmd[NVME_DEPTH]; /* the last is never used: a full queue has one entry free */
};

enum nvme_state {
    NVME_STOPPING, /* waits until it is not ready */
    NVME_STARTING, /* waits until it is */
    NVME_SETUP,    /* admin commands, one after the other */
    NVME_LIVE,
    NVME_DEAD /* for good; it is no bus master */
};
struct nvme_ns {
    struct disk disk;
    struct nvme *ctrl;
    uint32_t id, shift; /* a block is 1 << shift bytes */
};
/*
 * The virtual functions of a controller (Base section 8.26), each of which is a controller with a
 * share of its queues and interrupts.
 */
enum { NVME_VFS = 127, NVME_SHARES = 2 }; /* of queues, of interrupts */
struct nvme_virt {
    unsigned vfs; /* how many there are */
    uint16_t id;  /* the controller's own */
    bool manages; /* it can give them something */
    bool tried;   /* it was told to keep no share for itself */
    bool waits;   /* and does so from its reset as a PCI function on */
    bool release[NVME_SHARES];
    uint16_t each[NVME_SHARES]; /* what each gets */
    uint16_t ids[NVME_VFS];     /* of controllers, by number of the function; 0: none */
    unsigned step, working;
};
struct nvme {
    const struct host_pci_dev *pci;
    struct dma *dma; /* a slot for each command of io */
    char name[24];   /* of the PCI function, for the log */
    struct spinlock lock;
    struct event event; /* on CPU 0 */
    volatile uint8_t *regs;
    uint32_t stride;     /* bytes from a doorbell to the next */
    uint64_t timeout_ns; /* for becoming ready or not */
    enum nvme_state state;
    uint64_t deadline; /* of the state */
    unsigned step;     /* NVME_SETUP: in the table of steps */
    unsigned ns_at;    /* of it: which of ids[] */
    bool known;        /* identified once; later set-ups make the queues only */
    bool irq;          /* else it is polled */
    uint32_t max_bytes;
    bool dataset, zeroes; /* it knows these commands */
    char model[41], serial[21];
    uint32_t ids[NVME_NAMESPACES];
    unsigned nids, nns;
    struct nvme_ns *ns[NVME_NAMESPACES];
    struct nvme_cmd *health_cmd; /* of the live controller: its answer is for nvme_health_answer()
                                  */
    struct event health;         /* on CPU 0: asks, once a minute */
    struct nvme_queue admin, io;
    uint64_t *lists; /* a page for each command of io */
    uint8_t *ident;  /* a page for answers */
    struct nvme_virt virt;
    struct blk_queue waiting; /* for a free command */
    uint64_t armed;           /* when the event will run; 0: it is not armed */
    uint32_t failures;        /* resets since a command succeeded */
    uint32_t resets, strays;
    bool told_stray;
    bool mute;         /* it did not answer when asked for its health: not asked again */
    struct nvme *next; /* the driver's list */
};

/* ---- nvme_queue.c: all under the controller's lock ---- */
/*
 * Maps a request's segments for the command (dma.h), and makes PRPs of them (Base 4.1.1), `list`
 * holding the second and later ones where they are more than two in all. -EINVAL: they do not keep
 * to the limits, or are not the request's length in all; some may be mapped.
 */
int must_check nvme_prp(struct nvme *, const struct nvme_cmd *, const struct blk_req *,
                        uint64_t *list, struct nvme_sqe *);
void nvme_queue_reset(struct nvme_queue *); /* empty, as the controller will take it */
/* A free command, or NULL; its entry with everything but the identifier zero is *sqe. */
struct nvme_cmd *nvme_get(struct nvme_queue *, struct nvme_sqe **sqe);
void nvme_send(struct nvme_queue *); /* rings for all that nvme_get() gave */
/* The next answer to a command of ours; strays are counted. False: no more. */
bool nvme_reap(struct nvme *, struct nvme_queue *, struct nvme_cmd **, struct nvme_cqe *);
/* The controller does not have it, and reaches its buffers no more. */
void nvme_put(struct nvme *, struct nvme_queue *, struct nvme_cmd *);

/* ---- nvme_io.c: under the lock, but for nvme_ops ---- */
extern const struct blk_ops nvme_ops;
void nvme_pump(struct nvme *, uint64_t now); /* gives waiting requests to the controller */
void nvme_reap_io(struct nvme *);
/* The controller was reset: what it had is tried once more, or fails. */
void nvme_take_back(struct nvme *);
void nvme_fail_all(struct nvme *);

/* ---- nvme_setup.c ---- */
/* Sends the command of this step. False: no step is left. */
bool nvme_setup_send(struct nvme *, uint64_t now);
/* Takes its answer. 0; -Exxx: the controller cannot be used. */
int must_check nvme_setup_answer(struct nvme *, const struct nvme_cqe *);

/* Sends nothing yet: into n->ident, which is zero before. */
void nvme_identify(struct nvme *, struct nvme_sqe *, uint32_t cns, uint32_t nsid);

/* ---- nvme_virt.c: steps of the set-up, as there ---- */
void nvme_virt_can(struct nvme *, uint16_t oacs); /* what the controller knows */
/* Of the capabilities, of what it releases, of the list, of what each function gets. */
bool nvme_virt_lacks(struct nvme *);
void nvme_virt_ask_primary(struct nvme *, struct nvme_sqe *);
int must_check nvme_virt_got_primary(struct nvme *, uint32_t dw0);
bool nvme_virt_keeps(struct nvme *);
void nvme_virt_ask_release(struct nvme *, struct nvme_sqe *);
int must_check nvme_virt_got_release(struct nvme *, uint32_t dw0);
bool nvme_virt_is_early(struct nvme *);
void nvme_virt_ask_list(struct nvme *, struct nvme_sqe *);
int must_check nvme_virt_got_list(struct nvme *, uint32_t dw0);
bool nvme_virt_is_done(struct nvme *);
void nvme_virt_ask_share(struct nvme *, struct nvme_sqe *);
int must_check nvme_virt_got_share(struct nvme *, uint32_t dw0);

/* The health log: the command, and what its answer says. It works without. */
void nvme_health_ask(struct nvme *, struct nvme_sqe *);
void nvme_health_answer(struct nvme *, uint64_t now);

/* ---- nvme.c ---- */
extern const struct pci_driver nvme_driver;
void nvme_step(struct nvme *, uint64_t now); /* under the lock */
void nvme_arm(struct nvme *, uint64_t now);  /* under the lock: the event runs when it must */
uint32_t nvme_read(const struct nvme *, enum nvme_reg);
#define NVME_IO_NS 5000000000ull      /* a command may take so long */
#define NVME_ABORT_NS 2000000000ull   /* and so long after it was aborted; admin commands, too */
#define NVME_TRIES 2                  /* of a request */
#define NVME_HEALTH_NS 60000000000ull /* how often it is asked for its health */
