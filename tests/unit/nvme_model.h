/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An NVMe controller for tests, written from the specification and not from the driver: registers
 * in plain memory, which it looks at when model_run() is called. It can be told to misbehave.
 */
#pragma once
#include "drivers/block/nvme.h"
#include <hv/host_topology.h>
#include <hv/irq.h>
#include <hv/percpu.h>
#include <stdlib.h>
#include <string.h>

enum { MODEL_DISK = 1 << 20, MODEL_REGS = 0x1000 + 64, MODEL_NS = 3 };
struct model_sq {
    struct nvme_sqe *at;
    struct nvme_cqe *cq;
    uint32_t size, cq_size, head, cq_tail;
    bool phase;
};
static struct {
    uint8_t regs[0x4000];
    bool master, mapped_far, running;
    struct model_sq q[2];
    uint8_t *disk;
    uint8_t ctrl[4096], ns[MODEL_NS + 1][4096]; /* what identify answers */
    uint8_t log[512];                           /* its health */
    unsigned logs;                              /* how often it told */
    /* how it misbehaves */
    bool no_log;
    unsigned lost;        /* so many I/O commands are taken and never answered */
    unsigned twice;       /* so many are answered twice */
    unsigned wrong;       /* so many have an answer with another identifier before the right one */
    unsigned admin_lost;  /* so many admin commands are never answered */
    unsigned fail;        /* so many I/O commands fail, with */
    uint16_t fail_status; /* this status, phase aside */
    bool never_ready, never_stops, never_rests, no_abort, reordered;
    /* what it saw */
    unsigned resets, aborts, flushes, reads, writes, dma_while_no_master;
    uint32_t held[256], nheld; /* first blocks of commands that it has and has not answered */
    uint16_t held_cid[256];
    struct nvme_sqe last;
} m;
/*
 * Its virtual functions (Base sections 5.28, 8.26): queues and interrupts that are shared out, of
 * which it has all itself at first.
 */
enum { MODEL_VFS = 2, MODEL_SHARED = 5, MODEL_ID = 9 };
static struct {
    unsigned vfs, resets, commands;
    uint16_t own[2], later[2], has[MODEL_VFS][2];
    bool online[MODEL_VFS], mean; /* mean: it keeps what it has */
} mv;
static struct host_pci_dev model_dev = { .class = 1, .subclass = 8, .prog_if = 2, .devfn = 4 << 3 };

const struct host_pci_dev *host_pci_devs(uint32_t *count)
{
    *count = 1;
    return &model_dev;
}

void *host_pci_map(const struct host_pci_dev *d, unsigned i, uint64_t len)
{
    (void)d;
    return i == 0 && len <= sizeof m.regs ? m.regs : NULL;
}

void host_pci_command(const struct host_pci_dev *d, uint16_t set, uint16_t clear)
{
    (void)d;
    if (set & HOST_PCI_MASTER)
        m.master = true;
    if (clear & HOST_PCI_MASTER)
        m.master = false;
}

int host_pci_irq(const struct host_pci_dev *d, unsigned n, uint32_t cpu, void (*fn)(void *),
                 void *arg)
{
    (void)d, (void)n, (void)cpu, (void)fn, (void)arg;
    return -ENOTSUP;
}

void host_pci_irq_off(const struct host_pci_dev *d) { (void)d; }

unsigned host_pci_vfs(const struct host_pci_dev *d, const char **why)
{
    (void)d, (void)why;
    return mv.vfs;
}

static uint32_t *model_reg(unsigned off) { return (uint32_t *)(void *)(m.regs + off); }

static uint64_t model_reg64(unsigned off)
{
    return *model_reg(off) | (uint64_t)*model_reg(off + 4) << 32;
}

static void model_cap(uint64_t cap) { memcpy(m.regs, &cap, sizeof cap); }

static void model_answer(struct model_sq *q, unsigned id, uint16_t cid, uint16_t status,
                         uint32_t dw0)
{
    struct nvme_cqe e = { .dw0 = dw0,
                          .sq_head = (uint16_t)q->head,
                          .sq_id = (uint16_t)id,
                          .cid = cid,
                          .status = (uint16_t)(status | q->phase) };

    m.dma_while_no_master += !m.master;
    q->cq[q->cq_tail] = e;
    if (++q->cq_tail == q->cq_size) {
        q->cq_tail = 0;
        q->phase = !q->phase;
    }
}

/* ---- data: PRPs as the specification has them ---- */

static uint8_t *model_prp(const struct nvme_sqe *s, uint64_t bytes, uint64_t at, uint64_t *len)
{
    uint64_t first = 4096 - (s->prp1 & 4095), page;
    const uint64_t *list = (const uint64_t *)s->prp2;

    if (at < first) {
        *len = first - at < bytes - at ? first - at : bytes - at;
        return (uint8_t *)s->prp1 + at;
    }
    page = (at - first) / 4096;
    *len = 4096 < bytes - at ? 4096 : bytes - at;
    return bytes - first <= 4096 ? (uint8_t *)s->prp2 : (uint8_t *)list[page];
}

/* Write zeroes; dataset management, one range, after which a block is as never written. */
static void model_clear(const struct nvme_sqe *s, unsigned shift)
{
    uint64_t from = s->cdw10 | (uint64_t)s->cdw11 << 32, blocks = (uint64_t)(s->cdw12 & 0xffff) + 1;

    if (s->opcode == NVME_DATASET) {
        const uint32_t *range = (const uint32_t *)s->prp1;

        if (s->cdw10 != 0 || s->cdw11 != 4)
            abort();
        m.dma_while_no_master += !m.master;
        blocks = range[1];
        from = range[2] | (uint64_t)range[3] << 32;
    }
    if ((from + blocks) << shift > MODEL_DISK)
        abort();
    memset(m.disk + (from << shift), s->opcode == NVME_DATASET ? 0xee : 0, blocks << shift);
}

static void model_transfer(const struct nvme_sqe *s, unsigned shift)
{
    uint64_t bytes = (uint64_t)((s->cdw12 & 0xffff) + 1) << shift, len;
    uint64_t from = (s->cdw10 | (uint64_t)s->cdw11 << 32) << shift;

    if (from + bytes > MODEL_DISK)
        abort();
    m.dma_while_no_master += !m.master;
    for (uint64_t at = 0; at < bytes; at += len) {
        uint8_t *p = model_prp(s, bytes, at, &len);

        if (s->opcode == NVME_WRITE)
            memcpy(m.disk + from + at, p, len);
        else
            memcpy(p, m.disk + from + at, len);
    }
}

/* ---- commands ---- */

static void model_list(void *to)
{
    uint32_t ids[1024] = { 0 };
    unsigned n = 0;

    for (uint32_t id = 1; id <= MODEL_NS; id++)
        if (m.ns[id][128 + 2] || m.ns[id][0])
            ids[n++] = id;
    memcpy(to, ids, sizeof ids);
}

static void model_put(void *to, unsigned at, unsigned v)
{
    uint16_t word = (uint16_t)v;

    memcpy((uint8_t *)to + at, &word, 2);
}

static void model_primary(void *to)
{
    memset(to, 0, 4096);
    model_put(to, 0, MODEL_ID);
    model_put(to, 4, 3);
    for (unsigned kind = 0; kind < 2; kind++) {
        model_put(to, 32 + 32 * kind, MODEL_SHARED);
        model_put(to, 40 + 32 * kind, mv.own[kind]);
        model_put(to, 44 + 32 * kind, 2);
        model_put(to, 46 + 32 * kind, 1);
    }
}

static void model_secondary(void *to)
{
    memset(to, 0, 4096);
    model_put(to, 0, MODEL_VFS);
    for (unsigned i = 0; i < MODEL_VFS; i++) {
        model_put(to, 32 + 32 * i, MODEL_ID + 1 + i);
        model_put(to, 32 + 32 * i + 8, i + 1);
    }
}

static uint16_t model_share(const struct nvme_sqe *s)
{
    unsigned id = s->cdw10 >> 16, kind = s->cdw10 >> 8 & 7, act = s->cdw10 & 15, vf, used;

    mv.commands++;
    if (act == 1 && id == MODEL_ID && kind < 2) {
        mv.later[kind] = (uint16_t)s->cdw11;
        return 0;
    }
    vf = id - MODEL_ID - 1;
    if (vf >= MODEL_VFS || kind > 1)
        return 0x11f << 1; /* invalid controller identifier */
    if (act == 7) {
        mv.online[vf] = false;
        mv.has[vf][0] = mv.has[vf][1] = 0;
        return 0;
    }
    used = mv.own[kind] + mv.has[!vf][kind];
    if (act == 8 && (mv.online[vf] || s->cdw11 > 2 || s->cdw11 + used > MODEL_SHARED))
        return 0x121 << 1; /* invalid number of controller resources */
    if (act == 8)
        mv.has[vf][kind] = (uint16_t)s->cdw11;
    else if (act != 9 || mv.has[vf][0] < 2 || !mv.has[vf][1])
        return 0x120 << 1; /* invalid secondary controller state */
    else
        mv.online[vf] = true;
    return 0;
}

/* Virtual functions go offline with each reset. */
static void model_all_offline(void)
{
    memset(mv.has, 0, sizeof mv.has);
    memset(mv.online, 0, sizeof mv.online);
}

int host_pci_vfs_reset(const struct host_pci_dev *d)
{
    (void)d;
    mv.resets++;
    if (!mv.mean)
        memcpy(mv.own, mv.later, sizeof mv.own);
    model_all_offline();
    m.running = m.master = false;
    *model_reg(NVME_CC) = *model_reg(NVME_CSTS) = 0;
    return 0;
}

static void model_identify(const struct nvme_sqe *s)
{
    if (s->cdw10 == 0x14)
        model_primary((void *)s->prp1);
    else if (s->cdw10 == 0x15)
        model_secondary((void *)s->prp1);
    else if (s->cdw10 == 1)
        memcpy((void *)s->prp1, m.ctrl, 4096);
    else if (s->cdw10 == 2)
        model_list((void *)s->prp1);
    else if (s->nsid <= MODEL_NS)
        memcpy((void *)s->prp1, m.ns[s->nsid], 4096);
}

static void model_hold(const struct nvme_sqe *s)
{
    if (m.nheld == 256)
        return;
    m.held_cid[m.nheld] = s->cid;
    m.held[m.nheld++] = s->opcode == NVME_FLUSH ? UINT32_MAX : s->cdw10;
}

static void model_let_go(uint16_t cid)
{
    for (uint32_t i = 0; i < m.nheld; i++)
        if (m.held_cid[i] == cid) {
            m.held_cid[i] = m.held_cid[--m.nheld];
            m.held[i] = m.held[m.nheld];
            return;
        }
}

/* Whether it may still reach the memory of the command that begins at this block. */
static inline bool model_may_reach(uint32_t block)
{
    for (uint32_t i = 0; m.running && m.master && i < m.nheld; i++)
        if (m.held[i] == block)
            return true;
    return false;
}

static uint16_t model_admin(const struct nvme_sqe *s)
{
    struct model_sq *io = &m.q[1];

    if (s->opcode == NVME_IDENTIFY)
        model_identify(s);
    else if (s->opcode == NVME_CREATE_CQ) {
        io->cq = (void *)s->prp1;
        io->cq_size = (s->cdw10 >> 16) + 1;
    } else if (s->opcode == NVME_CREATE_SQ) {
        io->at = (void *)s->prp1;
        io->size = (s->cdw10 >> 16) + 1;
    } else if (s->opcode == 0x1c) {
        return model_share(s);
    } else if (s->opcode == NVME_ABORT) {
        m.aborts++;
        if (!m.no_abort)
            model_let_go((uint16_t)(s->cdw10 >> 16));
        if (!m.no_abort)
            model_answer(io, 1, (uint16_t)(s->cdw10 >> 16), 7 << 1, 0);
    } else if (s->opcode == NVME_GET_LOG && !m.no_log) {
        if (s->cdw10 != (127u << 16 | 2) || s->nsid != UINT32_MAX)
            abort();
        m.dma_while_no_master += !m.master;
        m.logs++;
        memcpy((void *)s->prp1, m.log, sizeof m.log);
    } else if (s->opcode != NVME_SET_FEATURES) {
        return 1 << 1;
    }
    return 0;
}

static unsigned model_shift(uint32_t nsid)
{
    return m.ns[nsid][128 + 4 * (m.ns[nsid][26] & 15) + 2];
}

static void model_io(const struct nvme_sqe *s)
{
    m.last = *s;
    m.flushes += s->opcode == NVME_FLUSH;
    m.reads += s->opcode == NVME_READ;
    m.writes += s->opcode == NVME_WRITE;
    if (m.lost && m.lost--) {
        model_hold(s);
        return;
    }
    if (m.wrong && m.wrong--)
        model_answer(&m.q[1], 1, (uint16_t)(s->cid ^ 0x0100), 1 << 15 | 2, 0);
    if (m.fail && m.fail--) {
        model_answer(&m.q[1], 1, s->cid, m.fail_status, 0);
        return;
    }
    if (s->opcode == NVME_WRITE_ZEROES || s->opcode == NVME_DATASET)
        model_clear(s, model_shift(s->nsid));
    else if (s->opcode != NVME_FLUSH)
        model_transfer(s, model_shift(s->nsid));
    model_answer(&m.q[1], 1, s->cid, 0, 0);
    if (m.twice && m.twice--)
        model_answer(&m.q[1], 1, s->cid, 0, 0);
}

static void model_queue(unsigned id)
{
    struct model_sq *q = &m.q[id];
    uint32_t tail = *model_reg(0x1000 + 8 * id);

    while (q->at && q->head != tail && tail < q->size) {
        struct nvme_sqe s = q->at[q->head];

        q->head = (q->head + 1) % q->size;
        if (id) {
            model_io(&s);
        } else if (m.admin_lost) {
            m.admin_lost--;
        } else {
            uint16_t status = model_admin(&s);

            model_answer(q, 0, s.cid, status, 0);
        }
    }
}

static void model_start(void)
{
    uint32_t aqa = *model_reg(NVME_AQA);

    memset(m.q, 0, sizeof m.q);
    m.q[0] = (struct model_sq){ .at = (void *)model_reg64(NVME_ASQ),
                                .cq = (void *)model_reg64(NVME_ACQ),
                                .size = (aqa & 0xfff) + 1,
                                .cq_size = (aqa >> 16) + 1,
                                .phase = true };
    m.q[1].phase = true;
    memset(m.regs + 0x1000, 0, 16);
    m.running = true;
    *model_reg(NVME_CSTS) = NVME_CSTS_READY;
}

static void model_run(void)
{
    bool on = *model_reg(NVME_CC) & NVME_CC_ENABLE;

    if (*model_reg(NVME_CSTS) == UINT32_MAX)
        return;
    if (on && *model_reg(NVME_CC) >> 14 & 3 && !m.never_rests)
        *model_reg(NVME_CSTS) |= 2 << 2;
    if (!on && m.running && !m.never_stops) {
        m.running = false;
        m.nheld = 0;
        m.resets++;
        model_all_offline();
        *model_reg(NVME_CSTS) = 0;
    } else if (on && !m.running && !m.never_ready) {
        model_start();
    }
    for (unsigned id = 0; on && m.running && m.master && id < 2; id++)
        model_queue(id);
}

/* The boot waits for it: time passes, and it works. */
void cpu_relax(void)
{
    host_now += 10000;
    model_run();
}

static void model_ns(unsigned id, uint64_t blocks, unsigned shift)
{
    memset(m.ns[id], 0, sizeof m.ns[id]);
    memcpy(m.ns[id], &blocks, 8);
    m.ns[id][128 + 2] = (uint8_t)shift;
}

static void model_new(void)
{
    uint8_t *disk = m.disk;

    if (!disk) {
        disk = calloc(1, MODEL_DISK); /* no partition table */
        for (unsigned i = 4096; i < MODEL_DISK; i++)
            disk[i] = (uint8_t)(i ^ i >> 8 ^ i >> 16);
    }
    memset(&m, 0, sizeof m);
    m.disk = disk;
    model_cap(1ull << 37 | 4ull << 24 | 63);
    memcpy(m.ctrl + 4, "SERIAL-1            ", 20);
    memcpy(m.ctrl + 24, "A model                                 ", 40);
    m.ctrl[256] = 1 << 7;
    for (unsigned kind = 0; kind < 2; kind++)
        mv.own[kind] = mv.later[kind] = MODEL_SHARED;
    m.ctrl[512] = 0x66;
    m.ctrl[513] = 0x44;
    model_ns(1, MODEL_DISK >> 9, 9);
    *model_reg(NVME_CC) = NVME_CC_ENABLE; /* the firmware left it running */
    *model_reg(NVME_CSTS) = NVME_CSTS_READY;
    m.running = true;
}
