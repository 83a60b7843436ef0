/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-blk (virtio 1.2 §5.2) over a block device of the host. */
#include "blk_data.h"
#include "blk_rate.h"
#include "vio.h"
#include <hv/blk.h>
#include <hv/nospec.h>
#include <hv/state.h>
#include <hv/time.h>
#include <hv/virtio.h>
#include <hv/vm.h>
#include <stdio.h>
#include <string.h>

enum {
    DEVICE_BLK = 2,
    SECTOR = 512,
    HEADER = 16,
    ID_LEN = 20,
    IN_FLIGHT = 8,
    SEG_MAX = 126,
    SIZE_MAX_BYTES = 1 << 20,
    RANGES = 16
};
/* §5.2.3 */
enum {
    F_SIZE_MAX = 1,
    F_SEG_MAX = 2,
    F_RO = 5,
    F_BLK_SIZE = 6,
    F_FLUSH = 9,
    F_TOPOLOGY = 10,
    F_CONFIG_WCE = 11,
    F_MQ = 12,
    F_DISCARD = 13,
    F_WRITE_ZEROES = 14
};
/* §5.2.6 */
enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { COST_REQUEST = 16 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2, S_STARTED = 0xff /* ours: no answer yet */ };
/* bytes of work on the disk that a request may do in the device's event, or in a completion */
#define AT_ONCE (128 * KIB)
#define RANGE_MAX (4u * 1024 * 1024) /* sectors of one discard or write-zeroes range: 2 GiB */

struct blk_config { /* §5.2.4 */
    uint64_t capacity;
    uint32_t size_max, seg_max;
    struct {
        uint16_t cylinders;
        uint8_t heads, sectors;
    } geometry;
    uint32_t blk_size;
    struct {
        uint8_t physical_block_exp, alignment_offset;
        uint16_t min_io_size;
        uint32_t opt_io_size;
    } topology;
    uint8_t writeback, unused0;
    uint16_t num_queues;
    uint32_t max_discard_sectors, max_discard_seg, discard_sector_alignment;
    uint32_t max_write_zeroes_sectors, max_write_zeroes_seg;
    uint8_t write_zeroes_may_unmap, unused1[3];
};
static_assert(offsetof(struct blk_config, blk_size) == 20 &&
                  offsetof(struct blk_config, max_discard_sectors) == 36,
              "virtio 1.2 §5.2.4");
static_assert(sizeof(struct blk_config) == 64 &&
                  offsetof(struct blk_config, write_zeroes_may_unmap) == 56,
              "virtio 1.2 §5.2.4");

static_assert(offsetof(struct blk_config, seg_max) == 12, "virtio 1.2 §5.2.4");
static_assert(offsetof(struct blk_config, geometry) == 16, "virtio 1.2 §5.2.4");
static_assert(offsetof(struct blk_config, topology) == 24, "virtio 1.2 §5.2.4");
enum { CONFIG_WRITEBACK = 32 };
static_assert(offsetof(struct blk_config, writeback) == CONFIG_WRITEBACK, "virtio 1.2 §5.2.4");
static_assert(offsetof(struct blk_config, num_queues) == 34, "virtio 1.2 §5.2.4");
static_assert(offsetof(struct blk_config, max_discard_seg) == 40, "virtio 1.2 §5.2.4");
static_assert(offsetof(struct blk_config, discard_sector_alignment) == 44, "virtio 1.2 §5.2.4");
static_assert(offsetof(struct blk_config, max_write_zeroes_sectors) == 48, "virtio 1.2 §5.2.4");

struct header {
    uint32_t type, reserved;
    uint64_t sector;
};
struct range {
    uint64_t sector;
    uint32_t num_sectors, flags;
}; /* flags bit 0: unmap */
static_assert(sizeof(struct header) == HEADER && sizeof(struct range) == 16, "virtio 1.2 §5.2.6");
static_assert(offsetof(struct range, num_sectors) == 8, "virtio 1.2 §5.2.6.2");
static_assert(offsetof(struct range, flags) == 12, "virtio 1.2 §5.2.6.2");
static_assert(offsetof(struct header, sector) == 8, "virtio 1.2 §5.2.6");

/* A request in flight. */
struct blk_io {
    struct vio_blk *owner;
    struct blk_io *next_free;
    struct blk_req req;
    struct vq_chain chain; /* iov trimmed to the data */
    uint8_t *status;       /* in guest memory */
    /* bytes that the device will have written when all is well, without the status */
    uint32_t written;
    uint16_t queue;
    bool busy;
    bool held;            /* answered, but the device may not reach memory now */
    bool durable;         /* a flush is to follow what it writes, before it is answered */
    struct blk_data data; /* with a disk that reaches memory itself */
    uint8_t answer;
    uint8_t nranges, range;
    struct range ranges[RANGES];
};
struct vio_blk {
    struct virtio_dev dev;
    struct blk_dev *blk;
    struct blk_config config;
    uint32_t starved; /* bit per queue that waits for a free blk_io, or for its time */
    struct blk_rate rate;
    struct event later; /* the time has come */
    /*
     * atomic, with a disk that reaches memory itself: requests that it has, and one more while the
     * device is live. The last to go ends a reset.
     */
    uint32_t flying;
    struct blk_io *free;
    struct blk_io io[IN_FLIGHT];
};

static struct vio_blk *vio_blk_of(struct virtio_dev *d)
{
    return container_of(d, struct vio_blk, dev);
}

static void kick_starved(struct vio_blk *b)
{
    uint32_t starved = b->starved;

    if (!starved)
        return;
    b->starved = 0;
    for (unsigned i = 0; i < b->dev.nqueues; i++)
        if (starved >> i & 1)
            virtio_kick(&b->dev, i);
}

static void io_put(struct blk_io *io)
{
    struct vio_blk *b = io->owner;

    io->held = false;
    __atomic_store_n(&io->busy, false, __ATOMIC_RELEASE);
    io->next_free = b->free;
    b->free = io;
    kick_starved(b);
}

static void later(struct event *ev) { kick_starved(container_of(ev, struct vio_blk, later)); }

/* Another request may begin; else the device's event will run when one may. */
static bool rate_allows(struct vio_blk *b)
{
    if (!b->rate.set || b->rate.next <= time_ns())
        return true;
    event_at(&b->later, b->rate.next);
    return false;
}

static bool any_busy(struct vio_blk *b)
{
    for (unsigned i = 0; i < IN_FLIGHT; i++)
        if (__atomic_load_n(&b->io[i].busy, __ATOMIC_ACQUIRE))
            return true;
    return false;
}

/* Any CPU. Completions that are not quite over, and still tell the driver, are waited for. */
static bool busy(struct virtio_dev *d)
{
    if (any_busy(vio_blk_of(d)))
        return true;
    for (unsigned i = 0; i < IN_FLIGHT; i++)
        event_cancel(&vio_blk_of(d)->io[i].req.done);
    return false;
}

static void vio_blk_finish(struct blk_io *io, uint8_t status)
{
    struct virtqueue *q = &io->owner->dev.vq[io->queue];

    if (!virtio_may_dma(&io->owner->dev)) {
        io->busy = io->held = true;
        io->answer = status;
        return;
    }
    *io->status = status;
    gmem_wrote(io->owner->dev.vm, io->status, 1);
    vq_push(q, &io->chain, 1 + (status == S_OK ? io->written : 0));
    io_put(io);
}

/* ---- the host's side ---- */

static bool is_dma(const struct vio_blk *b) { return b->blk->limits.dma; }

/*
 * Goes on with the ranges, as long as the disk does them at once: 0: under way; 1: all done; -Exxx.
 */
static int submit_ranges(struct blk_io *io)
{
    struct blk_dev *blk = io->owner->blk;
    uint32_t most = io->req.op == BLK_DISCARD ? blk->limits.discard_max : blk->limits.zeroes_max;
    int e = 1;

    while (e == 1 && io->range < io->nranges) {
        struct range *r = &io->ranges[io->range];
        uint32_t n = (uint32_t)min_u64(r->num_sectors, most);

        virtio_charge(&io->owner->dev, is_dma(io->owner) ? COST_REQUEST : 0);
        io->req.sector = r->sector;
        io->req.nsectors = n;
        r->sector += n;
        r->num_sectors -= n;
        if (r->num_sectors == 0)
            io->range++;
        e = n ? blk->ops->submit(blk, &io->req) : 1;
        if (e == 1 && n && io->req.status)
            e = io->req.status;
    }
    return e;
}

/* ---- a disk that reaches memory itself ---- */

/* The last thing that is done for a request: the device may be gone on return. */
static void landed(struct vio_blk *b)
{
    if (__atomic_sub_fetch(&b->flying, 1, __ATOMIC_ACQ_REL) == 0)
        virtio_reset_done(&b->dev);
}

/* The next step of a transfer. 0: under way; 1: all is done; -Exxx. */
static int submit_data(struct blk_io *io)
{
    struct vio_blk *b = io->owner;
    uint64_t bytes;
    int e;

    if (blk_data_left(&io->data) == 0)
        return 1;
    e = blk_data_next(&io->data, b->dev.vm, &b->blk->limits, &bytes);
    if (e)
        return e;
    if (io->data.bounced)
        virtio_charge(&b->dev, (uint32_t)(bytes / 64));
    io->req.sector = io->data.sector + io->data.at / SECTOR;
    io->req.nsectors = bytes / SECTOR;
    io->req.seg = io->data.seg;
    io->req.nseg = io->data.nseg;
    return b->blk->ops->submit(b->blk, &io->req);
}

/* Without a cache, a write is answered when it is durable: §5.2.5.2. */
static bool writes_through(const struct vio_blk *b)
{
    if (virtio_has(&b->dev, F_CONFIG_WCE))
        return !__atomic_load_n(&b->config.writeback, __ATOMIC_RELAXED);
    return !virtio_has(&b->dev, F_FLUSH);
}

/* The next step of a request. 0: under way; 1: all is done; -Exxx. */
static int go_on(struct blk_io *io)
{
    struct blk_dev *blk = io->owner->blk;
    int e = io->req.op == BLK_FLUSH ? 1 : io->nranges ? submit_ranges(io) : submit_data(io);

    if (e == 1 && io->durable) {
        io->durable = false;
        io->req.op = BLK_FLUSH;
        e = blk->ops->submit(blk, &io->req);
    }
    return e;
}

/* A reset of the device or of its queue is under way: nobody is told. */
static bool vio_blk_is_over(const struct blk_io *io)
{
    const struct virtio_dev *d = &io->owner->dev;

    return !virtio_live(d) || virtio_queue_resets(d, io->queue);
}

static void dma_done(struct blk_io *io)
{
    struct vio_blk *b = io->owner;
    int e = io->req.status;

    if (vio_blk_is_over(io)) {
        io_put(io);
        event_post(&b->dev.event); /* its queue's reset goes on */
        landed(b);
        return;
    }
    if (e == 0) {
        if (!io->nranges && io->req.op != BLK_FLUSH)
            blk_data_took(&io->data);
        e = go_on(io);
        if (e == 0)
            return;
    }
    vio_blk_finish(io, (uint8_t)(e < 0 ? S_IOERR : S_OK));
    vq_notify(&b->dev.vq[io->queue]);
    if (!any_busy(b))
        virtio_idle(&b->dev);
    landed(b);
}

static int dma_start(struct blk_io *io)
{
    struct vio_blk *b = io->owner;
    int e;

    __atomic_fetch_add(&b->flying, 1, __ATOMIC_RELAXED);
    io->durable = io->req.op == BLK_FLUSH || (io->req.op != BLK_READ && writes_through(b));
    e = go_on(io);
    if (e)
        landed(b); /* the device is live: this is not the last */
    return e;
}

static void done(struct event *ev)
{
    struct blk_io *io = container_of(ev, struct blk_io, req.done);
    struct virtqueue *q = &io->owner->dev.vq[io->queue];
    int e = io->req.status;

    gmem_enter(&io->owner->dev.vm->gmem);
    if (is_dma(io->owner)) {
        dma_done(io);
        return;
    }
    io->req.may = AT_ONCE;
    if (!virtio_live(&io->owner->dev))
        return; /* only a reset helps now, and it forgets the request */
    if (e == 0 && io->range < io->nranges) {
        e = submit_ranges(io);
        if (e == 0)
            return;
    }
    vio_blk_finish(io, (uint8_t)(e < 0 ? S_IOERR : S_OK));
    vq_notify(q);
    if (!any_busy(io->owner))
        virtio_idle(&io->owner->dev);
}

static bool vio_blk_may_go(const struct blk_req *q)
{
    return virtio_may_dma(&container_of(q, struct blk_io, req)->owner->dev);
}

static uint8_t vio_blk_start(struct blk_io *io, uint8_t op, const struct iov *iov, uint16_t niov)
{
    struct vio_blk *b = io->owner;
    int e;

    io->req.op = op;
    io->req.iov = iov;
    io->req.niov = niov;
    io->busy = true;
    io->req.may = AT_ONCE;
    if (is_dma(b))
        e = dma_start(io);
    else
        e = io->nranges ? submit_ranges(io) : b->blk->ops->submit(b->blk, &io->req);
    virtio_charge(&b->dev, COST_REQUEST + (uint32_t)((AT_ONCE - io->req.may) / 64));
    if (e == 0)
        return S_STARTED;
    return (uint8_t)(e < 0 || io->req.status ? S_IOERR : S_OK); /* busy until vio_blk_finish() */
}

/* ---- the guest's side: each returns what to answer, or S_STARTED ---- */

static uint8_t vio_blk_transfer(struct blk_io *io, const struct header *h)
{
    struct vio_blk *b = io->owner;
    bool out = h->type == T_OUT;
    const struct iov *iov = out ? io->chain.iov : io->chain.iov + io->chain.nout;
    uint16_t n = out ? io->chain.nout : io->chain.nin;
    uint64_t bytes = iov_bytes(iov, n);
    uint32_t block = b->config.blk_size;

    if (bytes == 0 || bytes % block || h->sector % (block / SECTOR) ||
        !range_within(h->sector, bytes / SECTOR, 0, b->config.capacity) || (out && b->blk->ro))
        return S_IOERR;
    io->req.sector = h->sector;
    io->req.nsectors = bytes / SECTOR;
    if (is_dma(b))
        blk_data_begin(&io->data, h->sector, iov, n, bytes, out);
    io->written = out ? 0 : (uint32_t)min_u64(bytes, UINT32_MAX - 1);
    return vio_blk_start(io, out ? BLK_WRITE : BLK_READ, iov, n);
}

static uint8_t vio_blk_flush(struct blk_io *io, const struct header *h)
{
    (void)h;
    io->req.sector = io->req.nsectors = 0;
    return vio_blk_start(io, BLK_FLUSH, NULL, 0);
}

static bool range_is_good(const struct vio_blk *b, const struct range *r)
{
    uint32_t mask = b->blk->limits.block / SECTOR - 1;

    return r->num_sectors <= RANGE_MAX && !((r->sector | r->num_sectors) & mask) &&
           range_within(r->sector, r->num_sectors, 0, b->blk->sectors);
}

static uint8_t discard(struct blk_io *io, const struct header *h)
{
    struct vio_blk *b = io->owner;
    const struct blk_limits *l = &b->blk->limits;
    uint64_t bytes = iov_bytes(io->chain.iov, io->chain.nout), n = bytes / sizeof(struct range);
    uint32_t known = h->type == T_WRITE_ZEROES ? 1 : 0;

    if (h->type == T_DISCARD ? !l->discard_max : !l->zeroes_max)
        return S_UNSUPP;
    if (b->blk->ro)
        return S_IOERR;
    if (n == 0 || n > RANGES || bytes % sizeof(struct range))
        return S_UNSUPP;
    iov_read(io->chain.iov, io->chain.nout, 0, io->ranges, bytes);
    for (unsigned i = 0; i < n; i++) {
        const struct range *r = &io->ranges[i];

        if (r->flags & ~known)
            return S_UNSUPP;
        if (!range_is_good(b, r))
            return S_IOERR;
    }
    io->nranges = (uint8_t)n;
    return vio_blk_start(io, h->type == T_DISCARD ? BLK_DISCARD : BLK_WRITE_ZEROES, NULL, 0);
}

static uint8_t get_id(struct blk_io *io, const struct header *h)
{
    char id[ID_LEN + 1] = ""; /* full, it has no NUL in the guest: §5.2.6 */

    (void)h;
    snprintf(id, sizeof id, "%s", io->owner->blk->id);
    io->written = (uint32_t)iov_write(io->chain.iov + io->chain.nout, io->chain.nin, 0, id, ID_LEN);
    return S_OK;
}

/* By type; NULL: there is no such request. */
static uint8_t (*const types[])(struct blk_io *, const struct header *) = {
    [T_IN] = vio_blk_transfer, [T_OUT] = vio_blk_transfer, [T_FLUSH] = vio_blk_flush,
    [T_GET_ID] = get_id,       [T_DISCARD] = discard,      [T_WRITE_ZEROES] = discard,
};

static uint8_t vio_blk_answer(struct blk_io *io, const struct header *h)
{
    uint64_t type = index_nospec(h->type, ARRAY_SIZE(types));

    return type == h->type && types[type] ? types[type](io, h) : S_UNSUPP;
}

/* The status is the last writable byte. */
static uint8_t *cut_status(struct vq_chain *c)
{
    struct iov *last = &c->iov[c->nout + c->nin - 1];

    return (uint8_t *)last->base + --last->len;
}

static void request(struct blk_io *io)
{
    struct header h;
    uint8_t status;

    if (io->owner->rate.set)
        blk_rate_took(&io->owner->rate, time_ns(),
                      iov_bytes(io->chain.iov, io->chain.nout + io->chain.nin));
    if (io->chain.nin == 0 || !iov_take(io->chain.iov, io->chain.nout, &h, sizeof h)) {
        virtio_broken(&io->owner->dev,
                      "queue %u: a request without a whole header or a status byte", io->queue);
        io_put(io);
        return;
    }
    io->status = cut_status(&io->chain);
    io->nranges = io->range = 0;
    io->written = 0;
    status = vio_blk_answer(io, &h);
    if (status != S_STARTED)
        vio_blk_finish(io, status);
}

static void vio_blk_kick(struct virtio_dev *d, unsigned i)
{
    struct vio_blk *b = vio_blk_of(d);
    struct blk_io *io = NULL;
    bool may;

    while ((may = rate_allows(b)) && (io = b->free)) {
        io->queue = (uint16_t)i;
        if (vq_pop(&d->vq[i], &io->chain) <= 0)
            break;
        b->free = io->next_free;
        request(io);
    }
    if (!may || !io)
        b->starved |= 1u << i;
    vq_notify(&d->vq[i]);
}

/* The device is a bus master again. */
static void vio_blk_resume(struct virtio_dev *d)
{
    struct vio_blk *b = vio_blk_of(d);

    for (unsigned i = 0; i < IN_FLIGHT; i++)
        if (b->io[i].busy && b->io[i].held) {
            vio_blk_finish(&b->io[i], b->io[i].answer);
            vq_notify(&d->vq[b->io[i].queue]);
        }
    b->blk->ops->resume(b->blk);
}

/* ---- life ---- */

static int vio_blk_activate(struct virtio_dev *d)
{
    struct vio_blk *b = vio_blk_of(d);

    b->free = NULL;
    b->starved = 0;
    event_init(&b->later, later, d->event.cpu);
    __atomic_store_n(&b->flying, 1, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        b->io[i].busy = b->io[i].held = false;
        event_init(&b->io[i].req.done, done, d->event.cpu);
        b->io[i].next_free = b->free;
        b->free = &b->io[i];
    }
    return 0;
}

/* On the device's CPU. What the hardware has of the queue's comes back by itself. */
static int queue_reset(struct virtio_dev *d, unsigned q)
{
    struct vio_blk *b = vio_blk_of(d);
    int e = 0;

    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        struct blk_io *io = &b->io[i];

        if (!io->busy || io->queue != q)
            continue;
        if (!io->held && !b->blk->ops->cancel(b->blk, &io->req)) {
            e = -EINPROGRESS;
            continue;
        }
        if (is_dma(b) && !io->held)
            landed(b); /* the device is live: this is not the last */
        io_put(io);
    }
    return e;
}

/*
 * On any CPU; the device's event is over and the device is not live, but completions may run on its
 * CPU. First those that began while it was live, so that nobody submits; then the disk; then the
 * completions that the disk had posted meanwhile.
 */
static int vio_blk_reset(struct virtio_dev *d)
{
    struct vio_blk *b = vio_blk_of(d);

    event_cancel(&b->later);
    if (is_dma(b))
        return __atomic_sub_fetch(&b->flying, 1, __ATOMIC_ACQ_REL) ? -EINPROGRESS : 0;
    for (unsigned i = 0; i < IN_FLIGHT; i++)
        event_cancel(&b->io[i].req.done);
    b->blk->ops->stop(b->blk);
    for (unsigned i = 0; i < IN_FLIGHT; i++)
        event_cancel(&b->io[i].req.done);
    return 0;
}

static void vio_blk_config(struct virtio_dev *d, struct io_access *a)
{
    struct vio_blk *b = vio_blk_of(d);

    if (!a->write)
        virtio_config_read(&b->config, a);
    else if (a->addr == CONFIG_WRITEBACK && a->size == 1 && virtio_has(d, F_CONFIG_WCE))
        __atomic_store_n(&b->config.writeback, a->val & 1, __ATOMIC_RELAXED);
}

static void vio_blk_save(struct virtio_dev *d, uint8_t *own)
{
    own[0] = vio_blk_of(d)->config.writeback;
}

static int vio_blk_restore(struct virtio_dev *d, const uint8_t *own)
{
    bool may = d->features & VIRTIO_BIT(F_CONFIG_WCE);

    if (own[0] > 1 || (!may && own[0] != vio_blk_of(d)->config.writeback) ||
        !state_all_zero(own + 1, VIRTIO_OWN - 1))
        return -EINVAL;
    vio_blk_of(d)->config.writeback = own[0];
    return 0;
}

static void vio_blk_destroy(struct virtio_dev *d)
{
    event_kill(&vio_blk_of(d)->later);
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        event_kill(&vio_blk_of(d)->io[i].req.done);
        blk_data_free(&vio_blk_of(d)->io[i].data, d->vm);
    }
    vm_free(d->vm, vio_blk_of(d), sizeof *vio_blk_of(d));
}

static const struct virtio_ops ops = {
    .name = "blk",
    .id = DEVICE_BLK,
    .class_code = 0x010000,
    .config_len = offsetof(struct blk_config, write_zeroes_may_unmap) + 4,
    .activate = vio_blk_activate,
    .reset = vio_blk_reset,
    .queue_reset = queue_reset,
    .kick = vio_blk_kick,
    .resume = vio_blk_resume,
    .config = vio_blk_config,
    .busy = busy,
    .save = vio_blk_save,
    .restore = vio_blk_restore,
    .free = vio_blk_destroy,
};

/* What it can do beside reads and writes. */
static void set_extras(struct vio_blk *b)
{
    const struct blk_limits *l = &b->blk->limits;
    uint32_t physical = l->physical / l->block;

    if (physical > 1) {
        b->dev.features |= VIRTIO_BIT(F_TOPOLOGY);
        b->config.topology.physical_block_exp = (uint8_t)__builtin_ctz(physical);
        b->config.topology.min_io_size = (uint16_t)physical;
    }
    if (b->blk->ro)
        return;
    if (l->dma)
        b->dev.features |= VIRTIO_BIT(F_CONFIG_WCE);
    if (l->discard_max) {
        b->dev.features |= VIRTIO_BIT(F_DISCARD);
        b->config.max_discard_sectors = RANGE_MAX;
        b->config.max_discard_seg = RANGES;
        b->config.discard_sector_alignment =
            l->dma ? (uint32_t)max_u64(l->physical, l->block) / SECTOR : 128;
    }
    if (l->zeroes_max) {
        b->dev.features |= VIRTIO_BIT(F_WRITE_ZEROES);
        b->config.max_write_zeroes_sectors = RANGE_MAX;
        b->config.max_write_zeroes_seg = RANGES;
        b->config.write_zeroes_may_unmap = !l->dma;
    }
}

static void vio_blk_set_config(struct vio_blk *b, unsigned nqueues)
{
    b->config = (struct blk_config){
        .capacity = b->blk->sectors,
        .size_max = SIZE_MAX_BYTES,
        .seg_max = SEG_MAX,
        .blk_size = b->blk->limits.block,
        .writeback = 1,
        .num_queues = (uint16_t)nqueues,
    };
    b->dev.features = VIRTIO_FEATURES_COMMON | VIRTIO_BIT(F_SIZE_MAX) | VIRTIO_BIT(F_SEG_MAX) |
                      VIRTIO_BIT(F_BLK_SIZE) | VIRTIO_BIT(F_FLUSH);
    if (nqueues > 1)
        b->dev.features |= VIRTIO_BIT(F_MQ);
    if (b->blk->ro)
        b->dev.features |= VIRTIO_BIT(F_RO);
    set_extras(b);
}

void vio_blk_cdrom(struct virtio_dev *d)
{
    struct vio_blk *b = vio_blk_of(d);

    hv_assert(b->blk->ro && b->blk->limits.block <= CD_BLOCK);
    b->config.blk_size = CD_BLOCK;
    b->config.capacity = align_down(b->blk->sectors, CD_BLOCK / SECTOR);
}

void vio_blk_limit(struct virtio_dev *d, uint32_t iops, uint64_t bandwidth)
{
    vio_blk_of(d)->rate = blk_rate_of(iops, bandwidth);
}

int vio_blk_create(struct vm *vm, struct blk_dev *blk, unsigned nqueues, struct virtio_dev **out)
{
    struct vio_blk *b = vm_alloc(vm, sizeof *b);
    int e;

    if (!b)
        return -ENOMEM;
    b->dev = (struct virtio_dev){ .ops = &ops, .vm = vm, .nqueues = (uint16_t)nqueues };
    b->blk = blk;
    b->dev.at_once = !blk->limits.dma; /* memory alone */
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        b->io[i].owner = b;
        b->io[i].req.who = vm;
        b->io[i].req.may_go = vio_blk_may_go;
    }
    vio_blk_set_config(b, nqueues);
    e = virtio_add(&b->dev);
    if (e) {
        vm_free(vm, b, sizeof *b);
        return e;
    }
    *out = &b->dev;
    return 0;
}
