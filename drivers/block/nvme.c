/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nvme.c: an NVMe controller's life, as a machine of few states that never waits: it is stopped,
 * started, asked, used, and stopped again when it does not answer. One function, nvme_step(), looks
 * what has changed; the controller's event calls it, and the boot until it is live. The interrupt
 * only posts the event.
 */
#include <arch/io.h>

#include <hv/host_topology.h>
#include <hv/irq.h>
#include <hv/log.h>
#include <hv/percpu.h>
#include <hv/pmm.h>
#include <hv/time.h>
#include <stdio.h>
#include <stdlib.h>

#include "nvme.h"

/* Base section 3.1.3.1: CAP */
#define CAP_MQES(cap) ((cap)&0xffff)     /* counted from 0 */
#define CAP_TO(cap) ((cap) >> 24 & 0xff) /* 500 ms */
#define CAP_DSTRD(cap) ((cap) >> 32 & 15)
#define CAP_NVM(cap) ((cap) >> 37 & 1)
#define CAP_MPSMIN(cap) ((cap) >> 48 & 15)
enum { ADMIN_DEPTH = 8, FAILURES_MOST = 3, LISTS_ORDER = 6 };
#define TIMEOUT_UNIT_NS 500000000ull
#define TIMEOUT_MOST_NS 30000000000ull
#define SHUTDOWN_NS 5000000000ull
#define POLL_NS 100000ull     /* without interrupts */
#define WATCH_NS 500000000ull /* with them: how often time-outs are looked for */
static_assert(NVME_DEPTH * PAGE_SIZE == PAGE_SIZE << LISTS_ORDER, "a page for each command");
static_assert(NVME_DEPTH * sizeof(struct nvme_sqe) <= PAGE_SIZE, "a queue is one page");

uint32_t nvme_read(const struct nvme *n, enum nvme_reg reg) { return mmio_read32(n->regs + reg); }

static void wr(const struct nvme *n, enum nvme_reg reg, uint32_t v)
{
    mmio_write32(n->regs + reg, v);
}

static void wr64(const struct nvme *n, enum nvme_reg reg, uint64_t v)
{
    mmio_write32(n->regs + reg, (uint32_t)v);
    mmio_write32(n->regs + reg + 4, (uint32_t)(v >> 32));
}

/* ---- from state to state ---- */

static void enter(struct nvme *n, enum nvme_state state, uint64_t deadline)
{
    n->state = state;
    n->deadline = deadline;
}

/*
 * For good. Without bus mastering it reaches no memory, whatever it does: what it had goes back.
 */
static void die(struct nvme *n, const char *why)
{
    log_err("NVMe %s: %s: giving it up", n->name, why);
    host_pci_command(n->pci, 0, HOST_PCI_MASTER);
    host_pci_irq_off(n->pci);
    enter(n, NVME_DEAD, UINT64_MAX);
    nvme_fail_all(n);
}

static void stop(struct nvme *n, uint64_t now)
{
    wr(n, NVME_CC, nvme_read(n, NVME_CC) & ~(uint32_t)NVME_CC_ENABLE);
    enter(n, NVME_STOPPING, now + n->timeout_ns);
}

static void restart(struct nvme *n, uint64_t now, const char *why)
{
    n->failures++;
    n->resets++;
    if (n->failures > FAILURES_MOST) {
        die(n, why);
        return;
    }
    log_warn("NVMe %s: %s: resetting it", n->name, why);
    stop(n, now);
}

static void start(struct nvme *n, uint64_t now)
{
    nvme_queue_reset(&n->admin);
    nvme_queue_reset(&n->io);
    n->admin.busy = 0;
    n->health_cmd = NULL;
    for (unsigned i = 0; i < NVME_DEPTH; i++)
        n->admin.cmd[i].busy = false;
    host_pci_command(n->pci, HOST_PCI_MASTER, 0);
    wr(n, NVME_AQA, (ADMIN_DEPTH - 1) << 16 | (ADMIN_DEPTH - 1));
    wr64(n, NVME_ASQ, dma_at(n->dma, n->admin.sq));
    wr64(n, NVME_ACQ, dma_at(n->dma, n->admin.cq));
    wr(n, NVME_CC, NVME_CC_RUN);
    enter(n, NVME_STARTING, now + n->timeout_ns);
}

static void setup_on(struct nvme *n, uint64_t now)
{
    if (nvme_setup_send(n, now)) {
        enter(n, NVME_SETUP, now + NVME_ABORT_NS);
        return;
    }
    n->known = true;
    enter(n, NVME_LIVE, UINT64_MAX);
}

static void when_stopping(struct nvme *n, uint64_t now)
{
    if (nvme_read(n, NVME_CSTS) & NVME_CSTS_READY)
        return;
    nvme_take_back(n);
    start(n, now);
}

static void when_starting(struct nvme *n, uint64_t now)
{
    if (!(nvme_read(n, NVME_CSTS) & NVME_CSTS_READY))
        return;
    n->step = 0;
    setup_on(n, now);
}

static void when_setup(struct nvme *n, uint64_t now)
{
    struct nvme_cmd *c;
    struct nvme_cqe e;

    if (!nvme_reap(n, &n->admin, &c, &e))
        return;
    nvme_put(n, &n->admin, c);
    if (nvme_setup_answer(n, &e))
        restart(n, now, "it refused a mandatory command");
    else
        setup_on(n, now);
}

/*
 * An admin command of the live controller was an abort: whatever it says, the I/O queue tells. Or
 * it asked for its health, which it may refuse to tell.
 */
static void reap_admin(struct nvme *n, uint64_t now)
{
    struct nvme_cmd *c;
    struct nvme_cqe e;

    while (nvme_reap(n, &n->admin, &c, &e)) {
        if (c == n->health_cmd && !(e.status & (uint16_t)~NVME_STATUS_PHASE))
            nvme_health_answer(n, now);
        if (c == n->health_cmd)
            n->health_cmd = NULL;
        nvme_put(n, &n->admin, c);
    }
}

static bool send_abort(struct nvme *n, const struct nvme_cmd *late, uint64_t now)
{
    struct nvme_sqe *sqe;
    struct nvme_cmd *c = n->admin.busy ? NULL : nvme_get(&n->admin, &sqe);

    if (!c)
        return false;
    c->deadline = now + NVME_ABORT_NS;
    sqe->opcode = NVME_ABORT;
    sqe->cdw10 = (uint32_t)late->cid << 16 | n->io.id;
    nvme_send(&n->admin);
    return true;
}

/* False: the controller has to be reset. */
static bool on_time(struct nvme *n, struct nvme_cmd *c, uint64_t now)
{
    if (!c->busy || now < c->deadline)
        return true;
    if (now >= c->deadline + NVME_ABORT_NS)
        return false;
    if (!c->aborted && send_abort(n, c, now)) { /* one at a time */
        c->aborted = true;
        c->ns->disk.stats.timeouts++;
        log_warn("NVMe %s: a command timed out: aborting it", n->name);
    }
    return true;
}

static void when_live(struct nvme *n, uint64_t now)
{
    nvme_reap_io(n);
    reap_admin(n, now);
    if (n->health_cmd && now >= n->health_cmd->deadline) {
        n->mute = true;
        restart(n, now, "it did not answer Get Log Page (health)");
        return;
    }
    if (nvme_read(n, NVME_CSTS) & NVME_CSTS_FATAL) {
        restart(n, now, "it reported a fatal error (CSTS.CFS)");
        return;
    }
    for (unsigned i = 0; n->io.busy && i < NVME_DEPTH; i++) {
        if (!on_time(n, &n->io.cmd[i], now)) {
            restart(n, now, "a command did not end after Abort");
            return;
        }
    }
    nvme_pump(n, now);
}

static void when_dead(struct nvme *n, uint64_t now) { (void)n, (void)now; }

static const struct {
    void (*look)(struct nvme *, uint64_t now);
    const char *late; /* what it means when the state lasts too long */
    bool fatal;       /* no reset helps */
} states[] = {
    [NVME_STOPPING] = { when_stopping, "it did not stop (CSTS.RDY stays 1)", true },
    [NVME_STARTING] = { when_starting, "it did not start (CSTS.RDY stays 0)", false },
    [NVME_SETUP] = { when_setup, "a set-up command timed out", false },
    [NVME_LIVE] = { when_live, "", false },
    [NVME_DEAD] = { when_dead, "", false },
};

void nvme_step(struct nvme *n, uint64_t now)
{
    enum nvme_state was = n->state;

    if (was != NVME_DEAD && nvme_read(n, NVME_CSTS) == UINT32_MAX) {
        die(n, "its registers read as all ones: it was removed or has failed");
        return;
    }
    states[was].look(n, now);
    if (n->state != was || now < n->deadline)
        return;
    if (states[was].fatal)
        die(n, states[was].late);
    else
        restart(n, now, states[was].late);
}

/* ---- the event ---- */

static bool idle(const struct nvme *n)
{
    return n->state == NVME_DEAD ||
           (n->state == NVME_LIVE && !n->waiting.first && !n->io.busy && !n->admin.busy);
}

void nvme_arm(struct nvme *n, uint64_t now)
{
    uint64_t when = now + (n->irq && n->state == NVME_LIVE ? WATCH_NS : POLL_NS);

    if (idle(n) || (n->armed && n->armed <= when))
        return;
    n->armed = when;
    event_at(&n->event, when);
}

static void work(struct event *ev)
{
    struct nvme *n = container_of(ev, struct nvme, event);
    uint64_t now = time_ns();

    spin_lock(&n->lock);
    n->armed = 0;
    nvme_step(n, now);
    nvme_arm(n, now);
    spin_unlock(&n->lock);
}

/* Once a minute, of a controller that told it before, while it has no abort to do. */
static void ask_health(struct event *ev)
{
    struct nvme *n = container_of(ev, struct nvme, health);
    uint64_t now = time_ns();
    struct nvme_sqe *sqe;

    spin_lock(&n->lock);
    if (!n->mute && n->state == NVME_LIVE && !n->admin.busy &&
        (n->health_cmd = nvme_get(&n->admin, &sqe))) {
        n->health_cmd->deadline = now + NVME_IO_NS;
        nvme_health_ask(n, sqe);
        nvme_send(&n->admin);
        nvme_arm(n, now);
    }
    if (n->state != NVME_DEAD && !n->mute)
        event_at(ev, now + NVME_HEALTH_NS);
    spin_unlock(&n->lock);
}

static void interrupt(void *arg) { event_post(&((struct nvme *)arg)->event); }

/* ---- finding them ---- */

static struct nvme *controllers;

static bool make_queue(struct nvme *n, struct nvme_queue *q, uint16_t id, uint16_t depth)
{
    q->id = id;
    q->depth = depth;
    q->sq = dma_alloc(n->dma, 0);
    q->cq = dma_alloc(n->dma, 0);
    q->sq_bell = n->regs + NVME_DOORBELLS + 2u * id * n->stride;
    q->cq_bell = q->sq_bell + n->stride;
    return q->sq && q->cq;
}

/* What CAP says, checked; maps the registers. */
static int map(struct nvme *n, uint16_t *depth)
{
    uint64_t cap;
    int err = -ENODEV;

    n->regs = host_pci_map(n->pci, 0, NVME_DOORBELLS);
    if (!n->regs)
        return err;
    cap = nvme_read(n, NVME_CAP) | (uint64_t)mmio_read32(n->regs + NVME_CAP + 4) << 32;
    if (cap == UINT64_MAX || !CAP_NVM(cap) || CAP_MPSMIN(cap) || CAP_MQES(cap) < 1) {
        log_warn("NVMe %s: not used: it needs the NVM command set, pages of 4 KiB and 2 queue "
                 "entries (CAP %016llx)",
                 n->name, (unsigned long long)cap);
        return -ENOTSUP;
    }
    *depth = (uint16_t)min_u64(CAP_MQES(cap) + 1, NVME_DEPTH);
    n->stride = 4u << CAP_DSTRD(cap);
    n->timeout_ns = min_u64((CAP_TO(cap) + 1) * TIMEOUT_UNIT_NS, TIMEOUT_MOST_NS);
    n->regs = host_pci_map(n->pci, 0, NVME_DOORBELLS + 4ull * n->stride);
    return n->regs ? 0 : err;
}

static int make(struct nvme *n)
{
    uint16_t depth;
    int err = map(n, &depth);

    if (!err)
        err = dma_open(&n->dma, n->pci, "the NVMe driver", NVME_DEPTH, NVME_MAX_BYTES, 1);
    if (err)
        return err;
    n->lists = dma_alloc(n->dma, LISTS_ORDER);
    n->ident = dma_alloc(n->dma, 0);
    if ((!make_queue(n, &n->admin, 0, ADMIN_DEPTH) || !make_queue(n, &n->io, 1, depth) ||
         !n->lists || !n->ident))
        err = -ENOMEM;
    return err;
}

/* One that was never started. */
static void unmake(struct nvme *n)
{
    dma_free(n->dma, n->admin.sq, 0);
    dma_free(n->dma, n->admin.cq, 0);
    dma_free(n->dma, n->io.sq, 0);
    dma_free(n->dma, n->io.cq, 0);
    dma_free(n->dma, n->ident, 0);
    dma_free(n->dma, n->lists, LISTS_ORDER);
    dma_close(n->dma);
    free(n);
}

/* Bounded: each state has its time, and there are few resets. */
static void bring_up(struct nvme *n)
{
    spin_lock(&n->lock);
    stop(n, time_ns());
    while (n->state != NVME_LIVE && n->state != NVME_DEAD) {
        nvme_step(n, time_ns());
        cpu_relax();
    }
    spin_unlock(&n->lock);
}

/*
 * What its virtual functions are to have is the controller's own at first, and stays so until it is
 * reset as a PCI function (Base section 5.28). Before it has an interrupt.
 */
static void make_room(struct nvme *n)
{
    int err;

    bring_up(n);
    if (n->state != NVME_LIVE || !n->virt.waits)
        return;
    err = host_pci_vfs_reset(n->pci);
    if (err)
        log_warn("NVMe %s: it cannot be reset for its virtual functions: error %d", n->name, -err);
    n->virt.waits = false;
}

/*
 * A controller is stopped, started and asked, and its namespaces become disks. 0, too, if it does
 * not answer: the log has it, with its name.
 */
static int nvme_probe(const struct host_pci_dev *pci)
{
    struct nvme *n = calloc(1, sizeof *n); /* charge: the host's disks are Trivet's own */
    int err;

    if (!n)
        return -ENOMEM;
    n->pci = pci;
    snprintf(n->name, sizeof n->name, "%04x:%02x:%02x.%u", pci->segment, pci->bus, pci->devfn >> 3,
             pci->devfn & 7u);
    spin_init(&n->lock, LOCK_DRIVER);
    event_init(&n->event, work, 0);
    event_init(&n->health, ask_health, 0);
    err = make(n);
    if (err) {
        unmake(n);
        return err;
    }
    n->next = controllers;
    controllers = n;
    n->virt.vfs = (unsigned)min_u64(host_pci_vfs(pci, NULL), NVME_VFS);
    if (n->virt.vfs)
        make_room(n);
    n->irq = host_pci_irq(pci, 0, 0, interrupt, n) == 0;
    if (n->state != NVME_DEAD)
        bring_up(n);
    if (n->virt.vfs)
        log_info("NVMe %s: %u of %u virtual functions work", n->name, n->virt.working, n->virt.vfs);
    log_info("NVMe %s: %s, %u namespace%s, %s", n->name, n->model, n->nns, n->nns == 1 ? "" : "s",
             n->irq ? "interrupts by message" : "polled");
    for (unsigned i = 0; i < n->nns; i++)
        disk_add(&n->ns[i]->disk, "nvme");
    if (n->nns && n->ns[0]->disk.health.asked)
        event_at(&n->health, time_ns() + NVME_HEALTH_NS);
    return 0;
}

static bool at_rest(const struct nvme *n)
{
    uint32_t csts = nvme_read(n, NVME_CSTS);

    return csts == UINT32_MAX || (csts & NVME_CSTS_SHUTDOWN) == NVME_CSTS_AT_REST;
}

/*
 * Base section 3.6.1: all are told first, so that they come to rest at the same time. What one
 * holds that does not say so in time may be lost.
 */
static void nvme_shutdown(void)
{
    uint64_t end = time_ns() + SHUTDOWN_NS;

    for (struct nvme *n = controllers; n; n = n->next)
        if (n->state == NVME_LIVE)
            wr(n, NVME_CC, NVME_CC_RUN | NVME_CC_SHUTDOWN);
    for (struct nvme *n = controllers; n; n = n->next) {
        while (n->state == NVME_LIVE && !at_rest(n) && time_ns() < end)
            cpu_relax();
        if (n->state == NVME_LIVE && !at_rest(n))
            log_warn("NVMe %s: it did not shut down in time: data in its cache may be lost",
                     n->name);
    }
}

const struct pci_driver nvme_driver = {
    .name = "NVMe", .class = 0x010802, .probe = nvme_probe, .shutdown = nvme_shutdown
};
PCI_DRIVER(nvme_driver);
