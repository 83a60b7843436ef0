/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio 1.2: the ring (hv/vio/virtqueue.c), the device (console.c, rng.c, blk.c, net.c) and the
 * transport (virtio_pci.c) meet here. Device work runs in the device's event on one CPU; registers
 * are accessed on any vCPU's CPU. Guests are hostile: a ring that breaks the rules puts the device
 * into DEVICE_NEEDS_RESET and costs nobody else anything.
 */
#pragma once
#include <hv/assert.h>
#include <hv/event.h>
#include <hv/exit.h>
#include <hv/lock.h>
#include <hv/pci.h>
#include <hv/percpu.h>
#include <hv/types.h>
struct vm;
struct guest_net;
struct virtio_dev;
#define VIRTIO_QUEUES 17 /* most queues of a device */
#define VQ_SIZE_MAX 256  /* most entries of a ring */
/* most pieces of one buffer, after it was cut at the borders of contiguous memory */
#define VQ_IOV_MAX 512
#define VIRTIO_NO_VECTOR 0xffff

/* §2.1 */
enum virtio_status {
    VIRTIO_ACKNOWLEDGE = 1,
    VIRTIO_DRIVER = 2,
    VIRTIO_DRIVER_OK = 4,
    VIRTIO_FEATURES_OK = 8,
    VIRTIO_NEEDS_RESET = 64,
    VIRTIO_FAILED = 128
};
/* §6: feature bit numbers */
enum virtio_feature {
    VIRTIO_F_INDIRECT_DESC = 28,
    VIRTIO_F_EVENT_IDX = 29,
    VIRTIO_F_VERSION_1 = 32,
    VIRTIO_F_ACCESS_PLATFORM = 33,
    VIRTIO_F_RING_PACKED = 34,
    VIRTIO_F_RING_RESET = 40,
};
#define VIRTIO_BIT(n) (1ull << (n))
#define VIRTIO_FEATURES_COMMON                                               \
    (VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX) |   \
     VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM) | \
     VIRTIO_BIT(VIRTIO_F_RING_PACKED) | VIRTIO_BIT(VIRTIO_F_RING_RESET))

/*
 * What a guest can see and change of a queue. Written by registers while the queue is disabled, by
 * the device's event while it is enabled.
 */
struct vq_state {
    uint64_t desc, driver, device; /* guest physical addresses of the three parts */
    uint16_t size, vector;
    uint16_t next_avail, next_used; /* split: free-running; packed: index into the ring */
    /* entries used since the last decision about an interrupt; stops at UINT16_MAX */
    uint16_t unsignalled;
    uint8_t enabled, avail_wrap, used_wrap, pad[3];
};
struct virtio_state {
    uint32_t version;
    uint32_t device_feature_select, driver_feature_select, pad;
    uint64_t driver_features;
    uint16_t queue_select, config_vector;
    uint8_t status, generation;
    uint16_t pad1;
    struct vq_state vq[VIRTIO_QUEUES];
};
enum vq_part { VQ_DESC, VQ_DRIVER, VQ_DEVICE, VQ_PARTS };
/*
 * One part of an enabled ring, of `len` bytes. When it is contiguous in our memory, `mapped` of
 * them (all) lie at `host`; else 0, NULL.
 */
struct vq_region {
    uint8_t *host;
    uint64_t gpa;
    uint32_t len, mapped;
};
/*
 * What an enabled queue works under: copied from its registers and the driver's features and
 * checked by vq_enable(), then constant until vq_clear(). While the queue is enabled, nothing else
 * that a guest can write says where its ring is, how long, or of which layout. All zero: not
 * enabled.
 */
struct vq_setup {
    struct vq_region part[VQ_PARTS];
    uint16_t size;
    bool packed, event_idx, indirect;
};
struct virtqueue {
    struct virtio_dev *dev;
    struct vq_state *s;
    struct vq_setup set;
    uint16_t index;
    bool quiet; /* the driver was told not to notify */
};
/*
 * One buffer: what the driver wrote (out) first, then what the device writes (in). The iovs point
 * into guest memory.
 */
struct vq_chain {
    uint16_t id, slots, nout, nin;
    struct iov iov[VQ_IOV_MAX];
};

/* A buffer that was used, without what it consisted of. */
struct vq_used {
    uint16_t id, slots;
    bool in; /* the device could write to it */
    uint32_t written;
};
/* A place in the ring of what the driver offers. */
struct vq_mark {
    uint16_t next_avail;
    uint8_t avail_wrap;
};

#define VIRTIO_OWN 720 /* bytes that a device may have of its own in a saved state */
struct virtio_ops {
    const char *name;
    uint32_t id;         /* §5 */
    uint32_t class_code; /* PCI */
    uint16_t config_len;
    /* DRIVER_OK, on the writing vCPU's CPU, which becomes the device's; -Exxx: needs reset */
    int (*activate)(struct virtio_dev *);
    /* no buffer may be touched after it; 0, or -EINPROGRESS until virtio_reset_done() */
    int (*reset)(struct virtio_dev *);
    /*
     * the same for one queue, on the device's CPU; optional. -EINPROGRESS: asked again when the
     * device's event is posted
     */
    int (*queue_reset)(struct virtio_dev *, unsigned q);
    /* on the device's CPU: take buffers until vq_pop says 0 */
    void (*kick)(struct virtio_dev *, unsigned q);
    /* on the device's CPU: it is a bus master again; optional */
    void (*resume)(struct virtio_dev *);
    /* any vCPU; addr, size lie within config_len */
    void (*config)(struct virtio_dev *, struct io_access *);
    /*
     * CPU 0, the device's event is held; optional. busy: a request is under way; when none is any
     * more, virtio_idle() is called. save, restore: what is not in struct virtio_state, in
     * VIRTIO_OWN bytes (zeroed); restore: before activate; -EINVAL: it cannot be.
     */
    bool (*busy)(struct virtio_dev *);
    void (*save)(struct virtio_dev *, uint8_t *own);
    int (*restore)(struct virtio_dev *, const uint8_t *own);
    void (*free)(struct virtio_dev *); /* after reset; frees the device */
};
struct virtio_dev {
    struct virtio_state s;
    const struct virtio_ops *ops;
    struct vm *vm;
    uint64_t features; /* offered */
    uint16_t nqueues;
    struct virtqueue vq[VIRTIO_QUEUES];
    struct spinlock lock; /* registers */
    struct event event;
    uint32_t pending; /* atomic: bit per queue to look at, on the device's CPU */
    /* bit per queue to look at whenever the event runs: others post it for their input */
    uint32_t input_queues;
    uint32_t reset_queues;           /* atomic: bit per queue to reset */
    uint32_t held;                   /* atomic: 1: the VM is paused, or about to be */
    bool resetting, placed;          /* under lock */
    bool told_features, told_enable; /* under lock: each misuse is logged once */
    int32_t budget;                  /* of this run of the event; see virtio_charge */
    uint16_t turn;                   /* counts runs of the event; the device's CPU's */
    bool at_once; /* what a notification asks for takes no longer than posting it, or little */
    struct vpci_dev pci;
    /* configuration-space offset of the PCI configuration access capability */
    uint8_t window;
};

/* This is the device's CPU, as of its last DRIVER_OK. */
static inline bool virtio_is_here(const struct virtio_dev *d)
{
    return d->event.cpu == this_cpu()->id;
}

/* ---- ring; all on the device's CPU, from its event ---- */
/* If so, what the driver set up is there to be used. Other CPUs enable; only this one disables. */
static inline bool vq_is_enabled(const struct virtqueue *q)
{
    return __atomic_load_n(&q->s->enabled, __ATOMIC_ACQUIRE);
}
/* 1: got one. 0: empty (the driver will notify again), or the budget of this run is spent (the
 * queue is looked at again soon). -EPROTO: the guest broke the ring, and the device needs a reset.
 */
int must_check vq_pop(struct virtqueue *, struct vq_chain *);
/* Gives it back. written: bytes from its first that the device wrote, at most what it could. */
void vq_push(struct virtqueue *, const struct vq_chain *, uint32_t written);
/*
 * The same for n buffers that belong together, n >= 1: the driver sees all of them, or none yet.
 */
void vq_push_all(struct virtqueue *, const struct vq_used *, unsigned n);
/*
 * Takes back what vq_pop() gave since the mark, none of which was pushed: it will give it again,
 * as it is in the ring then.
 */
struct vq_mark vq_mark(const struct virtqueue *);
void vq_rewind(struct virtqueue *, struct vq_mark);
void vq_notify(struct virtqueue *); /* raise the interrupt unless the guest asked not to */
/*
 * Register side, under the device's lock, queue disabled: fixes the queue's set-up from its
 * registers and the accepted features. 0, or -EINVAL and *why when its size, addresses or alignment
 * cannot work.
 */
int must_check vq_enable(struct virtqueue *, uint64_t features, const char **why);
void vq_clear(struct virtqueue *); /* back to reset values; under the device's lock */

/* ---- device ---- */
/* Any CPU: look at queue q soon. Nothing happens unless the device is live. */
void virtio_kick(struct virtio_dev *, unsigned q);
/*
 * The same, from the exit in which the driver notified the queue, no lock held: a device that works
 * `at_once` does so in this exit where it can, in the vCPU's time.
 */
void virtio_notified(struct virtio_dev *, unsigned q);
/*
 * Device's CPU: takes from this run's budget (about 50 ns a unit), so that the others get their
 * turn. What is owed beyond it is at most as much again.
 */
#define VIRTIO_RUN_BUDGET 8192
static inline void virtio_charge(struct virtio_dev *d, uint32_t units)
{
    int32_t left = d->budget - (int32_t)min_u64(units, VIRTIO_RUN_BUDGET);

    debug_assert(virtio_is_here(d));
    d->budget = left < -VIRTIO_RUN_BUDGET ? -VIRTIO_RUN_BUDGET : left;
}
/* Device's CPU: the guest broke the rules: logs, sets DEVICE_NEEDS_RESET, tells the driver. */
void virtio_broken(struct virtio_dev *, const char *fmt, ...) printf_like(2, 3);
static inline bool virtio_live(const struct virtio_dev *d) /* DRIVER_OK and not broken */
{
    return (__atomic_load_n(&d->s.status, __ATOMIC_ACQUIRE) &
            (VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET)) == VIRTIO_DRIVER_OK;
}
/* Device's CPU: the last of what ops->busy() told of is done. */
void virtio_idle(struct virtio_dev *);
static inline bool virtio_has(const struct virtio_dev *d, unsigned bit)
{
    return d->s.driver_features >> bit & 1;
}
/* The transport lets the device reach memory: it is a bus master. Any CPU. */
static inline bool virtio_transport_ready(const struct virtio_dev *d)
{
    return vpci_bus_master(&d->pci);
}
/* Device's CPU: live, and a bus master: it may reach guest memory now. */
static inline bool virtio_may_dma(const struct virtio_dev *d)
{
    return virtio_live(d) && virtio_transport_ready(d);
}
/*
 * After reset() said -EINPROGRESS, once: nothing of the device runs any more. It may be gone on
 * return.
 */
void virtio_reset_done(struct virtio_dev *);
/* A read of configuration space from its image; writes are dropped. */
void virtio_config_read(const void *image, struct io_access *);

/*
 * CPU 0, before the guest runs: ops, vm, features and nqueues are set; dev is zeroed otherwise.
 * Attaches to vm->pci: errors as of vpci_attach().
 */
int must_check virtio_add(struct virtio_dev *);
/*
 * CPU 0, no vCPU runs: resets the device. 0: done: it touches no guest memory, and no event of it
 * is queued or runs. -EINPROGRESS: not yet; vm->lifecycle is posted when it is, to call this again.
 */
int must_check virtio_quiesce(struct virtio_dev *);
/* CPU 0, after virtio_quiesce() said 0: detaches and frees. */
void virtio_remove(struct virtio_dev *);

/* ---- transport side (virtio.c offers, virtio_pci.c calls, and the reverse) ---- */
/*
 * For accesses to registers: any vCPU's CPU, no lock held. What the rules forbid at that time
 * (§2.1, §3.1.1) is ignored, and logged once for each device.
 */
/* 0: resets the device, which may still be under way on return. */
void virtio_set_status(struct virtio_dev *, uint8_t);
void virtio_resume(struct virtio_dev *); /* the device became a bus master */
/* Half `sel` (0, 1) of the driver's features; ignored unless they are still being negotiated. */
void virtio_set_features(struct virtio_dev *, uint32_t sel, uint32_t v);
/* i: as the driver wrote it. §4.1.4.3: queue_enable, and queue_reset. */
void virtio_enable_queue(struct virtio_dev *, unsigned i);
void virtio_reset_queue(struct virtio_dev *, unsigned i);
/* The queue's own reset is under way on the device's CPU. */
static inline bool virtio_queue_resets(const struct virtio_dev *d, unsigned q)
{
    return __atomic_load_n(&d->reset_queues, __ATOMIC_ACQUIRE) >> q & 1;
}
int must_check virtio_transport_attach(struct virtio_dev *); /* CPU 0; as vpci_attach() */
void virtio_transport_detach(struct virtio_dev *);           /* CPU 0, no vCPU runs */
void virtio_transport_reset(struct virtio_dev *);            /* any CPU: its INTx line goes down */
/* MSI-X or INTx, as the driver set it up. Of a queue: on the device's CPU; else any. */
void virtio_irq_queue(struct virtio_dev *, unsigned q);
void virtio_irq_config(struct virtio_dev *);

/*
 * ---- iov helpers ----
 * Copies between a buffer and iov[0..n), `off` bytes in; they return the bytes copied.
 */
size_t iov_read(const struct iov *, unsigned n, size_t off, void *, size_t len);
size_t iov_write(const struct iov *, unsigned n, size_t off, const void *, size_t len);
static inline uint64_t iov_bytes(const struct iov *iov, unsigned n)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < n; i++)
        sum += iov[i].len;
    return sum;
}
/* Takes `len` bytes off the front; what becomes empty stays, with length 0. */
void iov_cut(struct iov *, unsigned n, size_t len);
/*
 * Copies the first `len` bytes once and takes them off. False: there are not as many; what dst then
 * holds means nothing.
 */
bool iov_take_pieces(struct iov *, unsigned n, void *dst, size_t len);
static inline bool iov_take(struct iov *iov, unsigned n, void *dst, size_t len)
{
    if (__builtin_expect(n == 0 || iov->len < len, 0))
        return iov_take_pieces(iov, n, dst, len);
    __builtin_memcpy(dst, iov->base, len);
    /* what was copied is not read from the guest again */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    iov->base = (uint8_t *)iov->base + len;
    iov->len -= (uint32_t)len;
    return true;
}

/*
 * ---- the devices ----
 * CPU 0, while the machine is built. Each allocates from its guest's overhead, and virtio_remove()
 * frees it. -ENOMEM, or those of virtio_transport_attach().
 */
struct console;
struct blk_dev;
struct net_switch;
int must_check vio_console_create(struct vm *, struct console *, struct virtio_dev **);
int must_check vio_rng_create(struct vm *, struct virtio_dev **);
int must_check vio_blk_create(struct vm *, struct blk_dev *, unsigned nqueues,
                              struct virtio_dev **);
/* What waits for a guest to receive it: 2^NET_RING_ORDER pages. */
#define NET_RING_ORDER 7
/* mac: of a station, see <hv/net.h>. -EEXIST, -ENOSPC: of net_port_add(). */
int must_check vio_net_create(struct vm *, struct net_switch *, const struct guest_net *,
                              struct virtio_dev **);
