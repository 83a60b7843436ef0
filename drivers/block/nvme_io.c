/* SPDX-License-Identifier: BSD-2-Clause */
/* nvme_io.c: requests become commands; their answers, or the loss of them, ends them. */
#include <hv/time.h>

#include "nvme.h"

static struct nvme_ns *ns_of(struct blk_dev *b)
{
    return container_of(b, struct nvme_ns, disk.blk);
}

/* A status of Base section 3.3.3.2.1 that another try may mend. */
static bool may_retry(uint16_t status) { return !(status & NVME_STATUS_DNR); }

static void fail(struct nvme_ns *ns, struct blk_req *r)
{
    disk_failed(&ns->disk);
    blk_complete(r, -EIO);
}

/* ---- to the controller ---- */

static const uint8_t opcodes[] = { [BLK_READ] = NVME_READ,
                                   [BLK_WRITE] = NVME_WRITE,
                                   [BLK_FLUSH] = NVME_FLUSH,
                                   [BLK_DISCARD] = NVME_DATASET,
                                   [BLK_WRITE_ZEROES] = NVME_WRITE_ZEROES };

/* The range is in the command's page. */
static void fill_dataset(const struct nvme *n, struct nvme_sqe *sqe, void *page, uint64_t first,
                         uint32_t blocks)
{
    *(struct nvme_range *)page = (struct nvme_range){ .blocks = blocks, .first = first };
    sqe->cdw10 = 0; /* ranges, counted from 0 */
    sqe->cdw11 = NVME_DEALLOCATE;
    sqe->prp1 = dma_at(n->dma, page);
}

static int fill(const struct nvme_cmd *c, const struct nvme_ns *ns, struct nvme_sqe *sqe,
                uint64_t *list)
{
    const struct blk_req *r = c->req;
    uint64_t block = (r->base + r->sector) >> (ns->shift - 9);
    uint32_t blocks = (uint32_t)(r->nsectors >> (ns->shift - 9));

    sqe->nsid = ns->id;
    sqe->opcode = opcodes[r->op];
    if (r->op == BLK_FLUSH)
        return 0;
    if (r->op == BLK_DISCARD) {
        fill_dataset(ns->ctrl, sqe, list, block, blocks);
        return 0;
    }
    sqe->cdw10 = (uint32_t)block;
    sqe->cdw11 = (uint32_t)(block >> 32);
    sqe->cdw12 = blocks - 1;
    return r->op == BLK_WRITE_ZEROES ? 0 : nvme_prp(ns->ctrl, c, r, list, sqe);
}

/* The page of a command. */
static uint64_t *list_of(const struct nvme *n, const struct nvme_cmd *c)
{
    return n->lists + (size_t)(c - n->io.cmd) * (PAGE_SIZE / sizeof *n->lists);
}

/* False: no command is free. */
static bool start(struct nvme *n, struct blk_req *r, uint64_t now)
{
    struct nvme_ns *ns = (struct nvme_ns *)(uintptr_t)r->at;
    struct nvme_sqe *sqe;
    struct nvme_cmd *c = nvme_get(&n->io, &sqe);

    if (!c)
        return false;
    c->req = r;
    c->ns = ns;
    c->deadline = now + NVME_IO_NS;
    r->tries++;
    /* submit() has tried the segments; were they changed since, a flush goes in their place */
    c->bad = fill(c, ns, sqe, list_of(n, c)) != 0;
    if (c->bad)
        sqe->opcode = NVME_FLUSH;
    disk_count(&ns->disk, r);
    return true;
}

void nvme_pump(struct nvme *n, uint64_t now)
{
    bool any = false;

    while (n->state == NVME_LIVE && n->waiting.first && start(n, n->waiting.first, now)) {
        (void)blk_queue_take(&n->waiting);
        any = true;
    }
    if (any)
        nvme_send(&n->io);
}

/* ---- back ---- */

static void answer(struct nvme *n, struct nvme_cmd *c, const struct nvme_cqe *e)
{
    uint16_t status = e->status & (uint16_t)~NVME_STATUS_PHASE;
    struct blk_req *r = c->req;
    struct nvme_ns *ns = c->ns;

    nvme_put(n, &n->io, c);
    if (c->bad) {
        fail(ns, r);
    } else if (!status) {
        n->failures = 0;
        blk_complete(r, 0);
    } else if (may_retry(status) && r->tries < NVME_TRIES) {
        ns->disk.stats.retries++;
        blk_queue_add(&n->waiting, r);
    } else {
        fail(ns, r);
    }
}

void nvme_reap_io(struct nvme *n)
{
    struct nvme_cmd *c;
    struct nvme_cqe e;

    /* as many answers as there are commands; more come in the next run */
    for (unsigned i = 0; i < n->io.depth && nvme_reap(n, &n->io, &c, &e); i++)
        answer(n, c, &e);
}

void nvme_take_back(struct nvme *n)
{
    for (unsigned i = 0; i < NVME_DEPTH; i++) {
        struct nvme_cmd *c = &n->io.cmd[i];
        struct blk_req *r = c->req;
        struct nvme_ns *ns = c->ns;

        if (!c->busy)
            continue;
        nvme_put(n, &n->io, c);
        if (r->tries < NVME_TRIES) {
            ns->disk.stats.retries++;
            blk_queue_add(&n->waiting, r);
        } else {
            fail(ns, r);
        }
    }
}

void nvme_fail_all(struct nvme *n)
{
    struct blk_req *r;

    nvme_take_back(n);
    while ((r = blk_queue_take(&n->waiting)))
        fail((struct nvme_ns *)(uintptr_t)r->at, r);
}

/* ---- blk_ops ---- */

static int submit(struct blk_dev *b, struct blk_req *r)
{
    struct nvme_ns *ns = ns_of(b);
    struct nvme *n = ns->ctrl;
    uint64_t now = time_ns();
    int err = blk_check(b, r);

    if (err)
        return err;
    spin_lock(&n->lock);
    err = n->state == NVME_DEAD ? -EIO : 0;
    if (!err) {
        r->status = -EINPROGRESS;
        r->tries = 0;
        r->at = (uintptr_t)ns;
        blk_queue_add(&n->waiting, r);
        nvme_pump(n, now);
        nvme_arm(n, now);
    }
    spin_unlock(&n->lock);
    return err;
}

static bool cancel(struct blk_dev *b, struct blk_req *r)
{
    struct nvme *n = ns_of(b)->ctrl;
    bool found;

    spin_lock(&n->lock);
    found = blk_queue_remove(&n->waiting, r);
    spin_unlock(&n->lock);
    return found;
}

static void poll(struct blk_dev *b)
{
    struct nvme *n = ns_of(b)->ctrl;

    spin_lock(&n->lock);
    nvme_step(n, time_ns());
    spin_unlock(&n->lock);
}

const struct blk_ops nvme_ops = { .submit = submit, .cancel = cancel, .poll = poll };
