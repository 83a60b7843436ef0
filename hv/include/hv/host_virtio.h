/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtio devices of the host, as their drivers reach them: modern ones over PCI (virtio 1.2 §4.1),
 * with split rings (§2.7). Implemented by drivers/pci. The virtio devices of guests are
 * <hv/virtio.h>. All of it is for one CPU at a time: the driver's lock. What the device writes is
 * checked where it is read.
 */
#pragma once
#include <hv/dma.h>
#include <hv/host_pci.h>
#include <hv/types.h>

/* §2.1, §6 */
enum host_virtio_status {
    HOST_VIRTIO_ACKNOWLEDGE = 1,
    HOST_VIRTIO_DRIVER = 2,
    HOST_VIRTIO_DRIVER_OK = 4,
    HOST_VIRTIO_FEATURES_OK = 8,
    HOST_VIRTIO_NEEDS_RESET = 64
};
#define HOST_VIRTIO_BIT(n) (1ull << (n))
#define HOST_VIRTIO_INDIRECT HOST_VIRTIO_BIT(28)
#define HOST_VIRTIO_VERSION_1 HOST_VIRTIO_BIT(32)
/* what every driver of ours can: the platform's addresses and its order of memory accesses */
#define HOST_VIRTIO_PLATFORM (HOST_VIRTIO_BIT(33) | HOST_VIRTIO_BIT(36))
enum { HOST_VIRTIO_QUEUE_MOST = 256, HOST_VIRTIO_NO_VECTOR = 0xffff };

struct host_virtio_desc { /* §2.7.5 */
    uint64_t at;
    uint32_t len;
    uint16_t flags, next;
};
enum host_virtio_desc_flag {
    HOST_VIRTIO_NEXT = 1,
    HOST_VIRTIO_DEVICE_WRITES = 2,
    HOST_VIRTIO_IS_INDIRECT = 4
};
struct host_virtio_avail;
struct host_virtio_used;
struct host_virtio_queue {
    struct host_virtio_desc *desc;
    struct host_virtio_avail *avail;
    volatile struct host_virtio_used *used;
    volatile uint8_t *bell;
    uint16_t index, size; /* size: entries, a power of two */
    uint16_t put, got;    /* free-running */
};
struct host_virtio {
    const struct host_pci_dev *pci;
    struct dma *dma;
    bool platform; /* it must agree to the platform's addresses */
    volatile uint8_t *common, *notify, *config;
    uint32_t notify_len, notify_mult, config_len;
    uint64_t features; /* agreed on */
};

/*
 * Boot. Finds and maps the device's parts; config_least: bytes of its own configuration that it
 * must have. -ENOTSUP: it is no modern device, or it cannot be used.
 */
int must_check host_virtio_map(struct host_virtio *, uint32_t config_least);
/*
 * Boot, after DRIVER was said: memory for queue `index`, of `most` entries at most. -ENOTSUP: the
 * device's has fewer than `least`. -ENOMEM.
 */
int must_check host_virtio_make_queue(struct host_virtio *, struct host_virtio_queue *,
                                      uint16_t index, uint16_t least, uint16_t most);
void host_virtio_free_queue(struct host_virtio *, struct host_virtio_queue *); /* harmless for one
                                                                                  that was never
                                                                                  made */

/* A reset is over when it says so; until then it may reach memory. */
void host_virtio_reset(const struct host_virtio *);
bool host_virtio_is_reset(const struct host_virtio *);
uint8_t host_virtio_status(const struct host_virtio *); /* 0xff: it is gone */
/* Says ACKNOWLEDGE and DRIVER; the features that it offers. */
uint64_t host_virtio_hello(const struct host_virtio *);
/*
 * Boot, when the device was reset and has said which features it offers: what it reaches, as
 * dma_open(). One that offers no VIRTIO_F_ACCESS_PLATFORM (§6) goes past the IOMMU. A driver that
 * gives the device up calls dma_close(v->dma).
 */
int must_check host_virtio_dma(struct host_virtio *, uint64_t offered, const char *owner,
                               unsigned slots, uint32_t bytes, unsigned pieces);
/*
 * vector: of the interrupt that tells of changes of its configuration, or HOST_VIRTIO_NO_VECTOR.
 * -ENOTSUP: it does not want these features, or is none of version 1. -EIO: it has no such vector.
 */
int must_check host_virtio_agree(struct host_virtio *, uint64_t features, uint16_t vector);
/* Empty, enabled. vector: of its interrupt, or HOST_VIRTIO_NO_VECTOR. -EIO: the device will not. */
int must_check host_virtio_start_queue(const struct host_virtio *, struct host_virtio_queue *,
                                       uint16_t vector);
void host_virtio_live(const struct host_virtio *); /* DRIVER_OK */

/* The chain that begins at descriptor `head` is the device's when the bell has been rung. */
void host_virtio_offer(struct host_virtio_queue *, uint16_t head);
void host_virtio_ring(const struct host_virtio_queue *);
/*
 * 1: a chain came back; *head, and *len, the bytes written to it, are what the device says. 0:
 * none. -EPROTO: the ring is broken.
 */
int must_check host_virtio_take(struct host_virtio_queue *, uint32_t *head, uint32_t *len);
/* Of the device's own configuration; off + size lies within config_len. */
uint32_t host_virtio_config(const struct host_virtio *, uint32_t off, unsigned size);
