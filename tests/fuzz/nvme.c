/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The NVMe driver against a controller that does whatever the input says: answers late, twice, to
 * nobody or never, writes into its queues of answers as it likes, fails, disappears, and says
 * anything about itself. Every request ends exactly once and in bounded time, and never while the
 * controller may still reach its memory.
 */
#include "arch/host/host.h"
#include "tests/unit/nvme_model.h"
#include <stdio.h>

enum { REQUESTS = 96, OP = 4, BUFFERS = 16 };
static struct nvme *n;
/*
 * It said that a command is done, or that it has stopped, and it is not so. Against that only an
 * IOMMU would help; all else has to hold.
 */
static bool forged;
static struct disk *d;
static uint8_t *memory;
static struct request {
    struct blk_req r;
    struct blk_seg seg[2];
    bool out; /* submitted, not ended */
} requests[REQUESTS];

static void fault(const char *what)
{
    fprintf(stderr, "%s\n", what);
    abort();
}

static void done(struct event *ev)
{
    struct request *q = container_of(ev, struct request, r.done);

    if (!q->out)
        fault("a request ended twice");
    if (q->r.status == -EINPROGRESS)
        fault("a request ended without a status");
    if (!forged && q->r.op != BLK_FLUSH && model_may_reach((uint32_t)q->r.sector))
        fault("a request ended while the controller has it");
    q->out = false;
}

static void run(unsigned rounds, uint64_t ns)
{
    for (unsigned i = 0; i < rounds; i++) {
        host_now += ns;
        model_run();
        (void)event_run();
    }
}

static void once(void)
{
    if (d)
        return;
    host_init(1, 64 * MIB);
    memory = aligned_alloc(4096, BUFFERS * 4096);
    model_new();
    mv.vfs = MODEL_VFS;
    if (nvme_driver.probe(&model_dev) || !(d = disk_by_index(0)))
        abort();
    n = container_of(d, struct nvme_ns, disk)->ctrl;
}

/* As after the boot. */
static void heal(void)
{
    model_new();
    m.master = true;
    n->failures = n->strays = 0;
    n->state = NVME_STOPPING;
    n->deadline = host_now + n->timeout_ns;
    *model_reg(NVME_CC) = 0;
    event_post(&n->event);
    run(50, 1000000);
    if (n->state != NVME_LIVE)
        fault("the controller does not come up");
}

static void op_submit(const uint8_t *op)
{
    struct request *q = &requests[op[1] % REQUESTS];
    uint64_t at = (uint64_t)memory + (op[2] % (BUFFERS - 2)) * 4096ull;
    bool two = op[3] & 1;

    if (q->out)
        return;
    q->seg[0] = (struct blk_seg){ hpa(at + (two ? 0xc00 : 0)), two ? 0x400 : 0x1000 };
    q->seg[1] = (struct blk_seg){ hpa(at + 4096), 0xc00 };
    q->r = (struct blk_req){ .sector = (uint64_t)(q - requests) * 8,
                             .nsectors = 8,
                             .seg = q->seg,
                             .nseg = two ? 2 : 1,
                             .op = op[3] & 2   ? BLK_WRITE
                                   : op[3] & 4 ? BLK_FLUSH
                                               : BLK_READ };
    event_init(&q->r.done, done, 0);
    q->out = true;
    if (d->blk.ops->submit(&d->blk, &q->r))
        q->out = false;
}

static void op_cancel(const uint8_t *op)
{
    struct request *q = &requests[op[1] % REQUESTS];

    if (q->out && d->blk.ops->cancel(&d->blk, &q->r)) {
        event_cancel(&q->r.done);
        q->out = false;
    }
}

static void op_run(const uint8_t *op)
{
    run(op[1] % 16 + 1, (uint64_t)(op[2] + 1) << (op[3] & 31));
}

static void op_badly(const uint8_t *op)
{
    unsigned v = op[2] & 31;

    switch (op[1] & 7) {
    case 0: m.lost = v; break;
    case 1: m.twice = v; break;
    case 2: m.wrong = v; break;
    case 3: m.admin_lost = v; break;
    case 4:
        m.fail = v;
        m.fail_status = (uint16_t)(op[3] << 8 | 2);
        break;
    case 5: m.never_ready = v & 1; break;
    case 6: m.never_stops = v & 1; break;
    default: m.no_abort = v & 1; break;
    }
}

/* An answer from nowhere, at any place of either queue. */
static void op_forge(const uint8_t *op)
{
    struct model_sq *q = &m.q[op[1] & 1];
    struct nvme_cqe e = { .cid = (uint16_t)(op[2] | op[3] << 8),
                          .sq_id = op[1] >> 1 & 3,
                          .status = op[1] >> 3 & 3 };

    forged = true;
    if (m.running && m.master && q->cq && q->cq_size)
        q->cq[op[1] >> 5 ? q->cq_tail : op[2] % q->cq_size] = e;
}

static void op_status(const uint8_t *op)
{
    static const uint32_t values[] = { 0, 1, 2, 3, UINT32_MAX, 1, 1, 1 };

    *model_reg(NVME_CSTS) = values[op[1] & 7];
    forged |= !(values[op[1] & 7] & NVME_CSTS_READY);
}

/* Whatever was said: it ends. */
static void finish(void)
{
    for (unsigned i = 0; i < 4000; i++) {
        unsigned left = 0;

        for (unsigned k = 0; k < REQUESTS; k++)
            left += requests[k].out;
        if (!left)
            return;
        run(1, 100000000);
    }
    fault("a request does not end");
}

static void requests_and_lies(const uint8_t *data, size_t size)
{
    static void (*const ops[])(const uint8_t *) = { op_submit, op_submit, op_run,    op_run,
                                                    op_badly,  op_forge,  op_status, op_cancel };

    heal();
    forged = false;
    for (size_t at = 0; at + OP <= size && at < 400 * OP; at += OP)
        ops[data[at] & 7](data + at);
    finish();
    if (m.dma_while_no_master)
        fault("the model itself is wrong");
}

/* What it says about itself. */
static void identity(const uint8_t *data, size_t size)
{
    struct nvme c = { .nns = 0 };
    struct nvme_cqe e = { .status = 0 };

    c.ident = memory;
    c.max_bytes = NVME_MAX_BYTES;
    for (c.step = 0; c.step < 3 && size;) {
        size_t len = size < 4096 ? size : 4096;
        unsigned step = c.step;

        memset(memory, 0, 4096);
        for (size_t i = 0; i + 3 <= len; i += 3) /* a place and a byte */
            memory[(data[i] | data[i + 1] << 8) & 4095] = data[i + 2];
        data += len / 4 + 1;
        size -= len / 4 + 1 < size ? len / 4 + 1 : size;
        if (nvme_setup_answer(&c, &e) || (step == c.step && c.ns_at >= c.nids))
            break;
    }
    if (c.nids > NVME_NAMESPACES || c.nns > NVME_NAMESPACES || c.max_bytes > NVME_MAX_BYTES ||
        c.max_bytes < 8192)
        fault("a bound");
    for (unsigned i = 0; i < c.nns; i++) {
        const struct blk_dev *b = &c.ns[i]->disk.blk;

        if (!b->sectors || b->sectors >> 55 || (b->limits.block != 512 && b->limits.block != 4096))
            fault("a disk that cannot be");
        free(c.ns[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    once();
    if (size && data[0] == 0xff)
        identity(data + 1, size - 1);
    else
        requests_and_lies(data, size);
    return 0;
}
