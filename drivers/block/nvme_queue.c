/* SPDX-License-Identifier: BSD-2-Clause */
/* nvme_queue.c: a pair of queues. What the controller writes is copied once and checked. */
#include <arch/barrier.h>
#include <arch/io.h>

#include <hv/log.h>
#include <hv/pt.h>
#include <string.h>

#include "nvme.h"

#define PAGE_REST(at) (PAGE_SIZE - ((at) & (PAGE_SIZE - 1)))

/* ---- PRPs ---- */

struct prp_walk {
    uint64_t *list, first;
    unsigned n; /* entries so far, the first included */
};

static bool prp_add(struct prp_walk *w, uint64_t at)
{
    if (w->n > NVME_LIST_PAGES - 1)
        return false;
    if (w->n == 0)
        w->first = at;
    else
        w->list[w->n - 1] = at;
    w->n++;
    return true;
}

/* One segment. last: it may end anywhere. */
static bool prp_segment(struct prp_walk *w, struct blk_seg s, bool last)
{
    uint64_t at = s.at.v, end = at + s.len;

    if (s.len == 0 || end < at || at & 3 || (w->n && at & (PAGE_SIZE - 1)) ||
        (!last && end & (PAGE_SIZE - 1)))
        return false;
    for (; at < end; at += PAGE_REST(at))
        if (!prp_add(w, at))
            return false;
    return true;
}

int nvme_prp(struct nvme *n, const struct nvme_cmd *c, const struct blk_req *r, uint64_t *list,
             struct nvme_sqe *sqe)
{
    struct prp_walk w = { .list = list };
    uint64_t sum = 0;

    for (unsigned i = 0; i < r->nseg; i++) {
        struct blk_seg s = r->seg[i]; /* once: the device's address of it next */

        sum += s.len;
        if (dma_map(n->dma, (unsigned)(c - n->io.cmd), s.at, s.len,
                    r->op == BLK_READ ? PROT_W : PROT_R, &s.at.v) ||
            !prp_segment(&w, s, i + 1u == r->nseg))
            return -EINVAL;
    }
    if (sum != r->nsectors << 9 || w.n == 0)
        return -EINVAL;
    sqe->prp1 = w.first;
    sqe->prp2 = w.n == 1 ? 0 : w.n == 2 ? list[0] : dma_at(n->dma, list);
    return 0;
}

/* ---- commands ---- */

void nvme_queue_reset(struct nvme_queue *q)
{
    q->tail = q->head = 0;
    q->phase = true;
    memset((void *)(uintptr_t)q->cq, 0, q->depth * sizeof *q->cq);
}

struct nvme_cmd *nvme_get(struct nvme_queue *q, struct nvme_sqe **sqe)
{
    for (unsigned i = 0; i + 1u < q->depth; i++) {
        struct nvme_cmd *c = &q->cmd[i];

        if (c->busy)
            continue;
        c->busy = true;
        c->aborted = false;
        c->cid = (uint16_t)((unsigned)++c->use << 8 | i);
        *sqe = &q->sq[q->tail];
        **sqe = (struct nvme_sqe){ .cid = c->cid };
        q->tail = (uint16_t)(q->tail + 1u == q->depth ? 0 : q->tail + 1);
        q->busy++;
        return c;
    }
    return NULL;
}

void nvme_send(struct nvme_queue *q)
{
    dma_wmb();
    mmio_write32(q->sq_bell, q->tail);
}

void nvme_put(struct nvme *n, struct nvme_queue *q, struct nvme_cmd *c)
{
    if (q == &n->io)
        dma_unmap(n->dma, (unsigned)(c - n->io.cmd));
    c->busy = false;
    c->req = NULL;
    q->busy--;
}

/* The command that an answer is for. */
static struct nvme_cmd *answered(struct nvme_queue *q, const struct nvme_cqe *e)
{
    struct nvme_cmd *c = &q->cmd[(e->cid & 0xff) % NVME_DEPTH];

    return c->busy && c->cid == e->cid && e->sq_id == q->id ? c : NULL;
}

static void stray(struct nvme *n, const struct nvme_queue *q, const struct nvme_cqe *e)
{
    n->strays++;
    if (!n->told_stray)
        log_warn("NVMe %s: queue %u: it answered a command that it was not given (%04x, queue %u): "
                 "ignored, "
                 "as are further ones",
                 n->name, q->id, e->cid, e->sq_id);
    n->told_stray = true;
}

/* False: there is none. The phase is read before the rest. */
static bool next_answer(struct nvme_queue *q, struct nvme_cqe *out)
{
    volatile struct nvme_cqe *e = &q->cq[q->head];
    uint16_t status = e->status;

    if (((status & NVME_STATUS_PHASE) != 0) != q->phase)
        return false;
    dma_rmb();
    *out = (struct nvme_cqe){ .dw0 = e->dw0, .sq_id = e->sq_id, .cid = e->cid, .status = status };
    if (++q->head == q->depth) {
        q->head = 0;
        q->phase = !q->phase;
    }
    return true;
}

bool nvme_reap(struct nvme *n, struct nvme_queue *q, struct nvme_cmd **c, struct nvme_cqe *e)
{
    /* a controller that never stops answering is looked at again later */
    for (unsigned i = 0; i < q->depth && next_answer(q, e); i++) {
        dma_wmb(); /* the answer is read before its place is given back */
        mmio_write32(q->cq_bell, q->head);
        *c = answered(q, e);
        if (*c)
            return true;
        stray(n, q, e);
    }
    return false;
}
