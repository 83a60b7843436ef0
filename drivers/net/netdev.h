/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * netdev.h: what the drivers of NICs share. netdev.c is a NIC's life, its frames and its event;
 * a driver (struct netdev_hw) is rings and registers. A slot is a place for one frame: of those to
 * send, or of the buffers to receive in.
 */
#pragma once
#include <hv/dma.h>
#include <hv/host_pci.h>
#include <hv/lock.h>
#include <hv/nic.h>
#include <hv/pmm.h>
#include <hv/types.h>

enum { NETDEV_TX = 64, NETDEV_RX = 128 };

enum netdev_state {
    NETDEV_STOPPING, /* was told to reset; waits until it has */
    NETDEV_IDLE,     /* is reset, and nobody uses it */
    NETDEV_LIVE,
    NETDEV_DEAD /* for good; it is no bus master */
};
enum netdev_health { NETDEV_FINE, NETDEV_FAILED, NETDEV_GONE };
struct netdev;
/* A frame that was received: where in its buffer, how long. */
struct netdev_rx {
    uint32_t slot, skip, len;
    bool bad;
};
/*
 * A driver. All are called under the NIC's lock, but for those of receiving: the NIC's event alone
 * calls these. Whatever the device says is passed on as it is; netdev.c checks slots and lengths.
 */
struct netdev_hw {
    const char *name;
    uint32_t skip;                     /* bytes of a receive buffer before the frame */
    void (*reset)(struct netdev *);    /* begins it */
    bool (*is_reset)(struct netdev *); /* it has ended: the device reaches no memory */
    /* After a reset; it is a bus master: empty rings, as n->mode says. -Exxx: it refuses. */
    int (*start)(struct netdev *);
    enum netdev_health (*health)(struct netdev *);
    void (*ack)(struct netdev *);  /* what it interrupted for is being looked at */
    void (*link)(struct netdev *); /* what n->nic.up and n->nic.speed are now */
    /* A slot that is free; the doorbell is rung. The frame's addresses are the device's. */
    void (*tx)(struct netdev *, unsigned slot, const struct nic_frame *);
    bool (*tx_done)(struct netdev *, uint32_t *slot); /* false: none */
    void (*rx)(struct netdev *, unsigned slot);       /* gives it this buffer */
    void (*rx_kick)(struct netdev *);                 /* rings for all that rx() gave */
    bool (*rx_done)(struct netdev *, struct netdev_rx *);
};
struct netdev {
    struct nic nic;
    const struct netdev_hw *hw;
    const struct host_pci_dev *pci;
    struct dma *dma; /* a slot for each frame to send; see netdev_dma */
    struct spinlock lock;
    struct event event; /* on CPU 0 */
    enum netdev_state state;
    uint64_t deadline; /* of the state */
    bool wanted, stop; /* it has a user; who does not want it any more */
    bool stopped;      /* to be told to the user, without the lock */
    bool link_changed; /* as well */
    struct nic_mode mode;
    unsigned failures; /* resets since a frame went through */
    uint64_t armed;    /* when the event will run; 0: it is not armed */
    uint64_t watched;  /* when link and time-outs were looked at */
    uint64_t pause;    /* ns between two polls */
    bool told_stray;
    /* sending; under the lock */
    unsigned ntx, nfree; /* slots; free ones */
    uint8_t free[NETDEV_TX];
    struct nic_frame *tx[NETDEV_TX];
    uint64_t tx_end[NETDEV_TX]; /* when it must have ended */
    struct nic_frame *ended;    /* to be given back, newest first */
    /* receiving; the event's */
    unsigned nrx, order;
    uint8_t *rx; /* buffers */
    uint32_t rx_len;
    bool rx_with[NETDEV_RX]; /* the device has it */
};

/*
 * Boot, from probe, with hw, dma, pci and the driver's own filled in: resets it, bounded. -EIO: it
 * does not do it; the log tells.
 */
int must_check netdev_begin(struct netdev *);
/* Then, with all of nic filled in that nic_add() wants, but ops and at; ntx and nrx as well. */
void netdev_add(struct netdev *);
/* The device's address of a receive buffer. */
static inline uint64_t netdev_rx_at(const struct netdev *n, unsigned slot)
{
    return dma_at(n->dma, n->rx) + (uint64_t)slot * n->rx_len;
}
/* dma_open() for what netdev.c asks of n->dma: bytes of a frame, and pages that its pieces begin in
 */
enum { NETDEV_BYTES = 16384, NETDEV_PIECES = 2 * NIC_SEGS };
void netdev_interrupt(void *netdev); /* for host_pci_irq() */

/* pci_driver.shutdown: of all NICs, whatever their driver; harmless when called again. */
void netdev_shutdown(void);
