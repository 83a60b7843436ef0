/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a driver of virtio-net asks for by its control queue (virtio 1.2 §5.1.6.5): which frames it
 * wants, and by how many pairs of queues. Plain state, saved as it is. All calls on the device's
 * CPU, or while it stands.
 */
#pragma once
#include <hv/net.h>
#include <hv/types.h>
#include <hv/virtio.h>

/* §5.1.3 */
enum {
    NET_F_CTRL_VQ = 17,
    NET_F_CTRL_RX = 18,
    NET_F_CTRL_VLAN = 19,
    NET_F_CTRL_RX_EXTRA = 20,
    NET_F_MQ = 22,
    NET_F_CTRL_MAC_ADDR = 23,
};
/* One bit for each command of the class RX, by its number; then what did not fit into the table. */
enum {
    NET_PROMISC = 1,
    NET_ALLMULTI = 2,
    NET_ALLUNI = 4,
    NET_NOMULTI = 8,
    NET_NOUNI = 16,
    NET_NOBCAST = 32,
    NET_MANY_UNI = 64,
    NET_MANY_MULTI = 128,
};
#define NET_CTRL_MACS 32 /* addresses that it may list; with more, all of their kind come */
struct net_wants {
    uint8_t flags;
    uint8_t nuni, nmulti; /* first so many stations, then so many groups */
    uint8_t pairs;        /* that are in use: the first so many; at least 1 */
    uint8_t pad[4];       /* 0 */
    uint8_t mac[NET_CTRL_MACS][6];
    uint64_t vlan[4096 / 64]; /* a bit each */
};
static_assert(sizeof(struct net_wants) == 712, "a saved state");

void net_wants_reset(struct net_wants *); /* all frames, one pair: as without a control queue */
/* A saved one, of a device with `most` pairs; -EINVAL: it cannot be. */
int must_check net_wants_check(const struct net_wants *, unsigned most);
/* How many pairs of queues a device has: §5.1.2. */
static inline unsigned net_pairs(const struct virtio_dev *d) { return (d->nqueues - 1u) / 2; }
/*
 * One command in the buffers of a chain, each byte of which is read once, bounded. Checked against
 * the features that were negotiated. True: it was done; false: it is none, or is refused. *cost:
 * units of work.
 */
bool net_ctrl(struct net_wants *, const struct virtio_dev *, const uint8_t mac[6],
              const struct iov *, unsigned n, uint32_t *cost);
/* Whether the driver wants a frame: `len` bytes, at least NET_HEAD, with its tag if it has one. */
bool net_wants(const struct net_wants *, const struct virtio_dev *, const uint8_t mac[6],
               const uint8_t *frame, uint32_t len);
