/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A modern virtio-pci driver (virtio 1.2), as plain as a test needs it: polled or by MSI-X, split
 * and packed rings, indirect descriptors, event index. Nothing is hidden: a hostile test reaches
 * into the rings.
 */
#ifndef GUEST_VIRTIO_H
#define GUEST_VIRTIO_H

#include <guest.h>

enum { VIRTIO_NET = 1, VIRTIO_BLK = 2, VIRTIO_CONSOLE = 3, VIRTIO_RNG = 4 };
enum {
    VS_ACK = 1,
    VS_DRIVER = 2,
    VS_DRIVER_OK = 4,
    VS_FEATURES_OK = 8,
    VS_NEEDS_RESET = 64,
    VS_FAILED = 128
};
#define VF_INDIRECT (1ull << 28)
#define VF_EVENT_IDX (1ull << 29)
#define VF_VERSION_1 (1ull << 32)
#define VF_PACKED (1ull << 34)
enum { VD_NEXT = 1, VD_WRITE = 2, VD_INDIRECT = 4, VD_AVAIL = 0x80, VD_USED = 0x8000 };

/* Common configuration, virtio 1.2 4.1.4.3 */
enum {
    VC_DF_SEL = 0,
    VC_DF = 4,
    VC_GF_SEL = 8,
    VC_GF = 12,
    VC_MSIX = 16,
    VC_NUM_QUEUES = 18,
    VC_STATUS = 20,
    VC_GENERATION = 21,
    VC_Q_SEL = 22,
    VC_Q_SIZE = 24,
    VC_Q_MSIX = 26,
    VC_Q_ENABLE = 28,
    VC_Q_NOTIFY_OFF = 30,
    VC_Q_DESC = 32,
    VC_Q_DRIVER = 40,
    VC_Q_DEVICE = 48
};

/* split; in a packed ring: flags = id, next = flags */
struct vdesc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};
struct vavail {
    uint16_t flags, idx, ring[];
};
struct vused_elem {
    uint32_t id, len;
};
struct vused {
    uint16_t flags, idx;
    struct vused_elem ring[];
};
/* packed ring's event suppression */
struct vevent {
    uint16_t off_wrap, flags;
};
struct viov {
    uint64_t addr;
    uint32_t len;
};

struct vdev {
    pci_t pci;
    uint64_t common, notify, isr, config; /* addresses; 0: no such capability */
    uint32_t notify_mult;
    unsigned msix; /* capability's offset */
    uint64_t msix_table;
    uint64_t features; /* accepted */
};

struct vq {
    struct vdev *dev;
    uint16_t index, size, last_used, next, free;
    bool packed, event_idx, indirect, wrap, used_wrap;
    volatile struct vdesc *desc;
    volatile struct vavail *avail;
    volatile struct vused *used;
    volatile struct vevent *driver_event, *device_event;
    struct vdesc *tables; /* 16 indirect descriptors for each entry */
    /* descriptors of the chain that starts with this id */
    uint16_t count[256];
    uint64_t notify;
    uint64_t kicks;
};

/*
 * The nth device of the type on bus 0; false: none. Maps its structures, turns memory decoding and
 * bus mastering on.
 */
bool vdev_find(unsigned type, unsigned nth, struct vdev *v);
void vdev_reset(struct vdev *v);        /* waits until it is done */
uint64_t vdev_features(struct vdev *v); /* what it offers */
/* Reset, accept wanted & offered, FEATURES_OK; false: refused. */
bool vdev_negotiate(struct vdev *v, uint64_t want);
/* Makes ring memory and enables the queue; size 0: what the device offers, at most 256. */
bool vq_setup(struct vdev *v, struct vq *q, unsigned index, unsigned size);
void vdev_ok(struct vdev *v); /* DRIVER_OK */
uint8_t vdev_status(struct vdev *v);
/* Adds one chain: nout parts the device reads, then nin it writes. Returns its id, -1: full. */
int vq_add(struct vq *q, const struct viov *iov, unsigned nout, unsigned nin);
void vq_kick(struct vq *q);               /* notifies, unless the device asked not to */
int vq_poll(struct vq *q, uint32_t *len); /* id of a finished chain, or -1 */
int vq_wait(struct vq *q, uint32_t *len); /* polls for up to 5 s */
/* The queue interrupts this CPU by the entry of the MSI-X table. */
void vdev_msix(struct vdev *v, struct vq *q, unsigned entry, void (*fn)(void));

#endif
