/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio_blk.c: the driver of a host's virtio-blk device (virtio 1.2 §5.2), modern, over PCI. It
 * is a machine of three states that never waits: reset, used, and reset again when a request does
 * not end. A request has a slot: its header, its status and its descriptors. They are an indirect
 * table where the device takes such, and a part of the ring otherwise, which makes fewer slots.
 */
#include <hv/blk.h>
#include <hv/blk_queue.h>
#include <hv/disk.h>
#include <hv/host_virtio.h>
#include <hv/irq.h>
#include <hv/lock.h>
#include <hv/log.h>
#include <hv/pmm.h>
#include <hv/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* §5.2.3 */
enum { F_SIZE_MAX = 1, F_SEG_MAX = 2, F_RO = 5, F_BLK_SIZE = 6, F_FLUSH = 9, F_TOPOLOGY = 10 };
enum { F_DISCARD = 13, F_WRITE_ZEROES = 14 };
#define BIT(n) HOST_VIRTIO_BIT(n)
#define WANTED                                                                       \
    (BIT(F_SIZE_MAX) | BIT(F_SEG_MAX) | BIT(F_RO) | BIT(F_BLK_SIZE) | BIT(F_FLUSH) | \
     BIT(F_TOPOLOGY) | BIT(F_DISCARD) | BIT(F_WRITE_ZEROES) | HOST_VIRTIO_INDIRECT | \
     HOST_VIRTIO_VERSION_1 | HOST_VIRTIO_PLATFORM)
/* §5.2.4 */
enum { CONFIG_CAPACITY = 0, CONFIG_SIZE_MAX = 8, CONFIG_SEG_MAX = 12, CONFIG_BLK_SIZE = 20 };
enum { CONFIG_PHYSICAL_EXP = 24, CONFIG_DISCARD = 36, CONFIG_ZEROES = 48 };
/* §5.2.6 */
enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK = 0, S_NONE = 0xff /* ours: no answer yet */, ID_LEN = 20 };

enum { SLOTS = 32, SLOTS_ORDER = 3, SEGS = 32, DESCS = SEGS + 2, TRIES = 2, FAILURES_MOST = 3 };
enum { CLEAR_MOST = 1 << 19 }; /* sectors of a discard, of zeroes: 256 MiB */
#define MAX_BYTES ((uint32_t)MIB)
#define REQUEST_NS 10000000000ull
#define RESET_NS 1000000000ull
#define POLL_NS 100000ull     /* without interrupts, or while it is reset */
#define WATCH_NS 500000000ull /* with them: how often time-outs are looked for */

/* What the device reads and writes of a slot. */
struct slot_memory {
    struct {
        uint32_t type, reserved;
        uint64_t sector;
    } header;
    struct { /* §5.2.6: of a discard */
        uint64_t sector;
        uint32_t sectors, flags;
    } range;
    volatile uint8_t status;
    uint8_t unused[11];
    char id[ID_LEN];
    struct host_virtio_desc table[DESCS];
    uint8_t rest[512 - 64 - 32];
};
static_assert(sizeof(struct slot_memory) == 1024, "eight slots in two pages");
static_assert(offsetof(struct slot_memory, table) % 16 == 0, "virtio 1.2 §2.7.5.3");
static_assert(sizeof(struct slot_memory) * SLOTS == PAGE_SIZE << SLOTS_ORDER, "all slots");

struct slot {
    struct blk_req *req; /* NULL: a request of ours */
    uint64_t deadline;
    bool busy;
};
enum vblk_state { VBLK_STOPPING, VBLK_LIVE, VBLK_DEAD };
struct vblk {
    struct disk disk;
    struct host_virtio v;
    struct host_virtio_queue q;
    char name[24];
    struct spinlock lock;
    struct event event; /* on CPU 0 */
    enum vblk_state state;
    uint64_t deadline; /* of VBLK_STOPPING */
    uint64_t armed;    /* when the event will run; 0: it is not armed */
    uint64_t features; /* of WANTED, which it offered when it was found */
    bool irq;
    unsigned nslots, busy, next; /* next: where the search for a free slot begins */
    struct slot slot[SLOTS];
    struct slot_memory *memory;
    struct blk_queue waiting;
    uint32_t failures; /* resets since a request succeeded */
    uint32_t strays;
};

static struct vblk *vblk_of(struct blk_dev *b) { return container_of(b, struct vblk, disk.blk); }

static bool has(const struct vblk *b, unsigned feature) { return b->features & BIT(feature); }

/* ---- to the device ---- */

struct chain {
    struct host_virtio_desc *at;
    uint16_t base, n; /* base: what the index of its first descriptor is */
};

static void add(struct chain *c, uint64_t at, uint32_t len, bool device_writes)
{
    if (c->n)
        c->at[c->n - 1].flags |= HOST_VIRTIO_NEXT;
    if (c->n)
        c->at[c->n - 1].next = (uint16_t)(c->base + c->n);
    c->at[c->n++] = (struct host_virtio_desc){
        .at = at, .len = len, .flags = device_writes ? HOST_VIRTIO_DEVICE_WRITES : 0
    };
}

/* The descriptor that the slot's chain begins with. */
static uint16_t head_of(const struct vblk *b, unsigned i)
{
    return (uint16_t)(b->features & HOST_VIRTIO_INDIRECT ? i : i * DESCS);
}

static int add_data(const struct vblk *b, unsigned slot, struct chain *c, const struct blk_req *r)
{
    int err = r->nseg > SEGS ? -EINVAL : 0;

    for (unsigned i = 0; !err && i < r->nseg; i++) {
        uint32_t len = r->seg[i].len;
        uint64_t at;

        err = dma_map(b->v.dma, slot, r->seg[i].at, len, r->op == BLK_READ ? PROT_W : PROT_R, &at);
        if (!err)
            add(c, at, len, r->op == BLK_READ);
    }
    return err;
}

static void add_range(const struct vblk *b, struct chain *c, struct slot_memory *m,
                      const struct blk_req *r)
{
    m->range.sector = r->base + r->sector;
    m->range.sectors = (uint32_t)r->nsectors;
    m->range.flags = 0;
    add(c, dma_at(b->v.dma, &m->range), sizeof m->range, false);
}

/* What is between header and status. */
static int fill(const struct vblk *b, unsigned slot, struct chain *c, const struct blk_req *r)
{
    struct slot_memory *m = &b->memory[slot];
    static const uint8_t types[] = { [BLK_READ] = T_IN,
                                     [BLK_WRITE] = T_OUT,
                                     [BLK_FLUSH] = T_FLUSH,
                                     [BLK_DISCARD] = T_DISCARD,
                                     [BLK_WRITE_ZEROES] = T_WRITE_ZEROES };

    m->header.type = types[r->op];
    if (r->op == BLK_READ || r->op == BLK_WRITE) {
        m->header.sector = r->base + r->sector;
        return add_data(b, slot, c, r);
    } else if (r->op != BLK_FLUSH) {
        add_range(b, c, m, r);
    }
    return 0;
}

/* r: NULL: the device is to say its serial number. -EINVAL: its segments cannot be. */
static int send(struct vblk *b, unsigned i, struct blk_req *r, uint64_t now)
{
    bool indirect = b->features & HOST_VIRTIO_INDIRECT;
    struct slot_memory *m = &b->memory[i];
    uint16_t head = head_of(b, i);
    struct chain c = { indirect ? m->table : b->q.desc + head, indirect ? 0 : head, 0 };

    m->header.type = T_GET_ID;
    m->header.sector = 0;
    m->status = S_NONE;
    add(&c, dma_at(b->v.dma, &m->header), sizeof m->header, false);
    if (!r)
        add(&c, dma_at(b->v.dma, m->id), ID_LEN, true);
    else if (fill(b, i, &c, r))
        return -EINVAL;
    add(&c, dma_at(b->v.dma, &m->status), 1, true);
    if (indirect)
        b->q.desc[head] = (struct host_virtio_desc){ dma_at(b->v.dma, m->table), c.n * sizeof *c.at,
                                                     HOST_VIRTIO_IS_INDIRECT, 0 };
    b->slot[i] = (struct slot){ r, now + REQUEST_NS, true };
    b->busy++;
    b->next = i + 1;
    host_virtio_offer(&b->q, head);
    return 0;
}

static void fail(struct vblk *b, struct blk_req *r)
{
    disk_failed(&b->disk);
    blk_complete(r, -EIO);
}

/* A free slot, as late as possible the one that was used last; SLOTS: there is none. */
static unsigned free_slot(const struct vblk *b)
{
    for (unsigned n = 0; n < b->nslots; n++)
        if (!b->slot[(b->next + n) % b->nslots].busy)
            return (b->next + n) % b->nslots;
    return SLOTS;
}

static void pump(struct vblk *b, uint64_t now)
{
    bool any = false;
    unsigned i;

    while (b->state == VBLK_LIVE && b->waiting.first && (i = free_slot(b)) < SLOTS) {
        struct blk_req *r = blk_queue_take(&b->waiting);

        r->tries++;
        disk_count(&b->disk, r);
        if (send(b, i, r, now)) {
            dma_unmap(b->v.dma, i);
            fail(b, r);
            continue;
        }
        any = true;
    }
    if (any)
        host_virtio_ring(&b->q);
}

/* ---- back ---- */

/* The device does not have the slot any more. */
static void ended(struct vblk *b, unsigned i, bool good)
{
    struct blk_req *r = b->slot[i].req;

    b->slot[i].busy = false;
    b->busy--;
    dma_unmap(b->v.dma, i);
    if (good)
        b->failures = 0;
    if (!r)
        return;
    if (good) {
        blk_complete(r, 0);
    } else if (r->tries < TRIES) {
        b->disk.stats.retries++;
        blk_queue_add(&b->waiting, r);
    } else {
        fail(b, r);
    }
}

/* Nothing of it reaches memory now. */
static void take_back(struct vblk *b)
{
    for (unsigned i = 0; i < b->nslots; i++)
        if (b->slot[i].busy)
            ended(b, i, false);
}

/* An answer to what was not asked, or whose status was not written: it is none. */
static void stray(struct vblk *b, uint32_t head)
{
    if (b->strays++ == 0)
        log_warn("virtio-blk %s: it answered a request that it was not given (%u): ignored, as are "
                 "further ones",
                 b->name, head);
}

/* -EPROTO: the ring is broken. As many answers as it has entries; more come in the next run. */
static int reap(struct vblk *b)
{
    unsigned unit = b->features & HOST_VIRTIO_INDIRECT ? 1 : DESCS;
    uint32_t head, len; /* how much it wrote, its status tells */
    int got = 1;

    for (unsigned n = 0; n < b->q.size && (got = host_virtio_take(&b->q, &head, &len)) == 1; n++) {
        unsigned i = head / unit;

        if (i < b->nslots && head % unit == 0 && b->slot[i].busy && b->memory[i].status != S_NONE)
            ended(b, i, b->memory[i].status == S_OK);
        else
            stray(b, head);
    }
    return got < 0 ? got : 0;
}

/* ---- from state to state ---- */

/* For good. Without bus mastering it reaches no memory: what it had goes back. */
static void die(struct vblk *b, const char *why)
{
    struct blk_req *r;

    log_err("virtio-blk %s: %s: giving it up", b->name, why);
    host_pci_command(b->v.pci, 0, HOST_PCI_MASTER);
    host_pci_irq_off(b->v.pci);
    b->state = VBLK_DEAD;
    take_back(b);
    while ((r = blk_queue_take(&b->waiting)))
        fail(b, r);
}

static void stop(struct vblk *b, uint64_t now)
{
    host_virtio_reset(&b->v);
    b->state = VBLK_STOPPING;
    b->deadline = now + RESET_NS;
}

static void restart(struct vblk *b, uint64_t now, const char *why)
{
    if (++b->failures > FAILURES_MOST) {
        die(b, why);
        return;
    }
    log_warn("virtio-blk %s: %s: resetting it", b->name, why);
    stop(b, now);
}

static void start(struct vblk *b)
{
    uint16_t vector = b->irq ? 0 : HOST_VIRTIO_NO_VECTOR;

    take_back(b);
    host_pci_command(b->v.pci, HOST_PCI_MASTER, 0);
    if ((host_virtio_hello(&b->v) & b->features) != b->features ||
        host_virtio_agree(&b->v, b->features, HOST_VIRTIO_NO_VECTOR) ||
        host_virtio_start_queue(&b->v, &b->q, vector)) {
        die(b, "it refused its features or its queue");
        return;
    }
    host_virtio_live(&b->v);
    b->state = VBLK_LIVE;
}

static bool any_late(const struct vblk *b, uint64_t now)
{
    for (unsigned i = 0; b->busy && i < b->nslots; i++)
        if (b->slot[i].busy && now >= b->slot[i].deadline)
            return true;
    return false;
}

static void when_live(struct vblk *b, uint8_t status, uint64_t now)
{
    if (reap(b) || status & HOST_VIRTIO_NEEDS_RESET) {
        restart(b, now, "its ring is broken, or it asked for a reset");
    } else if (any_late(b, now)) {
        b->disk.stats.timeouts++;
        restart(b, now, "a request timed out");
    }
    pump(b, now);
}

/* Under the lock: looks what has changed. */
static void step(struct vblk *b, uint64_t now)
{
    uint8_t status;

    if (b->state == VBLK_DEAD)
        return;
    status = host_virtio_status(&b->v);
    if (status == UINT8_MAX) {
        die(b, "its registers read as all ones: it was removed or has failed");
    } else if (b->state == VBLK_LIVE) {
        when_live(b, status, now);
    } else if (status == 0) {
        start(b);
        pump(b, now);
    } else if (now >= b->deadline) {
        die(b, "it did not reset");
    }
}

static void arm(struct vblk *b, uint64_t now)
{
    uint64_t when = now + (b->irq && b->state == VBLK_LIVE ? WATCH_NS : POLL_NS);
    bool idle = b->state == VBLK_DEAD || (b->state == VBLK_LIVE && !b->busy && !b->waiting.first);

    if (idle || (b->armed && b->armed <= when))
        return;
    b->armed = when;
    event_at(&b->event, when);
}

static void work(struct event *ev)
{
    struct vblk *b = container_of(ev, struct vblk, event);
    uint64_t now = time_ns();

    spin_lock(&b->lock);
    b->armed = 0;
    step(b, now);
    arm(b, now);
    spin_unlock(&b->lock);
}

static void interrupt(void *arg) { event_post(&((struct vblk *)arg)->event); }

/* ---- blk_ops ---- */

static int submit(struct blk_dev *dev, struct blk_req *r)
{
    struct vblk *b = vblk_of(dev);
    uint64_t now = time_ns();
    int err = blk_check(dev, r);

    if (err)
        return err;
    if (r->op == BLK_FLUSH && !has(b, F_FLUSH)) { /* it writes through: §5.2.5.2 */
        blk_complete(r, 0);
        return 0;
    }
    spin_lock(&b->lock);
    err = b->state == VBLK_DEAD ? -EIO : 0;
    if (!err) {
        r->status = -EINPROGRESS;
        r->tries = 0;
        blk_queue_add(&b->waiting, r);
        pump(b, now);
        arm(b, now);
    }
    spin_unlock(&b->lock);
    return err;
}

static bool cancel(struct blk_dev *dev, struct blk_req *r)
{
    struct vblk *b = vblk_of(dev);
    bool found;

    spin_lock(&b->lock);
    found = blk_queue_remove(&b->waiting, r);
    spin_unlock(&b->lock);
    return found;
}

static void poll(struct blk_dev *dev)
{
    struct vblk *b = vblk_of(dev);

    spin_lock(&b->lock);
    step(b, time_ns());
    spin_unlock(&b->lock);
}

static const struct blk_ops vblk_ops = { .submit = submit, .cancel = cancel, .poll = poll };

/* ---- finding it ---- */

static uint32_t config(const struct vblk *b, uint32_t off)
{
    return host_virtio_config(&b->v, off, 4);
}

/* The features that its configuration has room for. */
static uint64_t usable(const struct vblk *b)
{
    static const struct {
        uint64_t feature;
        uint32_t end;
    } room[] = {
        { BIT(F_SIZE_MAX), CONFIG_SIZE_MAX + 4 }, { BIT(F_SEG_MAX), CONFIG_SEG_MAX + 4 },
        { BIT(F_BLK_SIZE), CONFIG_BLK_SIZE + 4 }, { BIT(F_TOPOLOGY), CONFIG_PHYSICAL_EXP + 4 },
        { BIT(F_DISCARD), CONFIG_DISCARD + 4 },   { BIT(F_WRITE_ZEROES), CONFIG_ZEROES + 4 }
    };
    uint64_t can = WANTED;

    for (unsigned i = 0; i < ARRAY_SIZE(room); i++)
        if (b->v.config_len < room[i].end)
            can &= ~room[i].feature;
    return can;
}

static uint32_t physical_block(const struct vblk *b, uint32_t block)
{
    uint32_t exp = has(b, F_TOPOLOGY) ? host_virtio_config(&b->v, CONFIG_PHYSICAL_EXP, 1) : 0;

    return exp < 8 ? block << exp : 0;
}

static uint32_t clear_most(const struct vblk *b, unsigned feature, uint32_t off)
{
    return has(b, feature) ? (uint32_t)min_u64(config(b, off), CLEAR_MOST) & ~7u : 0;
}

/* What it says about itself, checked. */
static int read_config(struct vblk *b)
{
    uint32_t block = has(b, F_BLK_SIZE) ? config(b, CONFIG_BLK_SIZE) : 512;
    uint32_t size = has(b, F_SIZE_MAX) ? config(b, CONFIG_SIZE_MAX) : MAX_BYTES;
    uint32_t segs = has(b, F_SEG_MAX) ? config(b, CONFIG_SEG_MAX) : 1;
    uint64_t sectors = config(b, CONFIG_CAPACITY) | (uint64_t)config(b, CONFIG_CAPACITY + 4) << 32;

    if ((block != 512 && block != 4096) || size < PAGE_SIZE || segs == 0 ||
        sectors > INT64_MAX / 512 || sectors < block / 512)
        return -ENOTSUP;
    b->disk.blk.sectors = sectors & ~(uint64_t)(block / 512 - 1);
    b->disk.blk.ro = has(b, F_RO);
    b->disk.blk.limits =
        (struct blk_limits){ .block = block,
                             .max_bytes = (uint32_t)min_u64(size, MAX_BYTES) & ~0xfffu,
                             .max_segs = (uint16_t)min_u64(segs, SEGS),
                             .align = 4,
                             .dma = true,
                             .discard_max = clear_most(b, F_DISCARD, CONFIG_DISCARD),
                             .zeroes_max = clear_most(b, F_WRITE_ZEROES, CONFIG_ZEROES),
                             .physical = physical_block(b, block) };
    return 0;
}

/* Bounded. What the firmware had under way ends. */
static int first_reset(struct vblk *b)
{
    uint64_t end = time_ns() + RESET_NS;

    host_virtio_reset(&b->v);
    while (!host_virtio_is_reset(&b->v))
        if (time_ns() >= end)
            return -EIO;
        else
            cpu_relax();
    return 0;
}

static int make(struct vblk *b)
{
    int err = host_virtio_map(&b->v, CONFIG_CAPACITY + 8);
    uint16_t least;

    if (!err)
        err = first_reset(b);
    if (err)
        return err;
    b->features = host_virtio_hello(&b->v) & usable(b);
    err = host_virtio_dma(&b->v, b->features, "the virtio-blk driver", SLOTS, MAX_BYTES, SEGS);
    if (err)
        return err;
    b->memory = dma_alloc(b->v.dma, SLOTS_ORDER);
    if (!b->memory)
        return -ENOMEM;
    least = b->features & HOST_VIRTIO_INDIRECT ? 2 : DESCS;
    err = host_virtio_make_queue(&b->v, &b->q, 0, least, HOST_VIRTIO_QUEUE_MOST);
    b->nslots = (unsigned)min_u64(b->q.size / (least == DESCS ? DESCS : 1u), SLOTS);
    return err ? err : read_config(b);
}

/* One that never was a bus master. */
static void unmake(struct vblk *b)
{
    host_virtio_free_queue(&b->v, &b->q);
    dma_free(b->v.dma, b->memory, SLOTS_ORDER);
    dma_close(b->v.dma);
    free(b);
}

static void read_serial(struct vblk *b)
{
    size_t end = 0;

    (void)send(b, 0, NULL, time_ns());
    host_virtio_ring(&b->q);
    while (b->slot[0].busy && b->state == VBLK_LIVE) {
        step(b, time_ns());
        cpu_relax();
    }
    for (size_t i = 0; b->memory[0].status == S_OK && i < ID_LEN && b->memory[0].id[i]; i++) {
        char c = b->memory[0].id[i];

        b->disk.serial[i] = c > ' ' && c < 0x7f ? c : ' ';
        if (b->disk.serial[i] != ' ')
            end = i + 1;
    }
    b->disk.serial[end] = '\0';
}

/* Bounded, as each state is. */
static void bring_up(struct vblk *b)
{
    spin_lock(&b->lock);
    stop(b, time_ns());
    while (b->state == VBLK_STOPPING) {
        step(b, time_ns());
        cpu_relax();
    }
    if (b->state == VBLK_LIVE)
        read_serial(b);
    spin_unlock(&b->lock);
}

static void found(struct vblk *b)
{
    b->disk.blk.ops = &vblk_ops;
    snprintf(b->disk.model, sizeof b->disk.model, "virtio-blk");
    snprintf(b->disk.at, sizeof b->disk.at, "%s", b->name);
    b->irq = host_pci_irq(b->v.pci, 0, 0, interrupt, b) == 0;
    bring_up(b);
    log_info("virtio-blk %s: %u requests at a time, %s", b->name, b->nslots,
             b->irq ? "interrupts by message" : "polled");
    disk_add(&b->disk, "virtio");
}

/* §4.1.2: the modern one, and a transitional one, whose modern side is used */
static bool is_ours(const struct host_pci_dev *d)
{
    return d->vendor == 0x1af4 && (d->device == 0x1042 || d->device == 0x1001);
}

static int vblk_probe(const struct host_pci_dev *pci)
{
    struct vblk *b;
    int err;

    if (!is_ours(pci))
        return -ENODEV;
    b = calloc(1, sizeof *b); /* charge: as above */
    if (!b)
        return -ENOMEM;
    b->v.pci = pci;
    snprintf(b->name, sizeof b->name, "%04x:%02x:%02x.%u", pci->segment, pci->bus, pci->devfn >> 3,
             pci->devfn & 7u);
    spin_init(&b->lock, LOCK_DRIVER);
    event_init(&b->event, work, 0);
    err = make(b);
    if (!err) {
        found(b);
        return 0;
    }
    log_warn("virtio-blk %s: not used: a legacy device, too small a queue, or no memory (error %d)",
             b->name, -err);
    unmake(b);
    return err;
}

extern const struct pci_driver virtio_blk_driver;
const struct pci_driver virtio_blk_driver = { .name = "virtio-blk",
                                              .class = 0x010000,
                                              .probe = vblk_probe };
PCI_DRIVER(virtio_blk_driver);
