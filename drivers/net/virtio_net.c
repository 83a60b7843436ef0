/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio_net.c: the driver of a host's virtio-net device (virtio 1.2 §5.1), modern, over PCI, with
 * split rings. One pair of queues; the control queue says what is to be received. A slot to send
 * from is DESCS descriptors: the header, and the frame's segments. A slot to receive in is one.
 */
#include <hv/host_virtio.h>
#include <hv/log.h>
#include <stdlib.h>

#include "netdev.h"

/* §5.1.3, §6 */
enum { F_MTU = 3, F_MAC = 5, F_STATUS = 16, F_CTRL_VQ = 17, F_CTRL_RX = 18, F_SPEED = 63 };
#define BIT(n) HOST_VIRTIO_BIT(n)
#define WANTED                                                                                  \
    (BIT(F_MTU) | BIT(F_MAC) | BIT(F_STATUS) | BIT(F_CTRL_VQ) | BIT(F_CTRL_RX) | BIT(F_SPEED) | \
     HOST_VIRTIO_VERSION_1 | HOST_VIRTIO_PLATFORM)
/* §5.1.4 */
enum { CONFIG_LEAST = 6, CONFIG_STATUS = 6, CONFIG_MTU = 10, CONFIG_SPEED = 12 };
enum { LINK_UP = 1 };
/* §5.1.6.5.1: class RX, command PROMISC, on; then the answer */
enum { CTRL_RX = 0, CTRL_PROMISC = 0 };
enum { RX, TX, CTRL, QUEUES };
enum { HEADER = 12, DESCS = NIC_SEGS + 1 };
static_assert(NETDEV_TX * DESCS <= HOST_VIRTIO_QUEUE_MOST, "a queue holds what is sent at a time");

struct vnet {
    struct netdev dev;
    struct host_virtio v;
    struct host_virtio_queue q[QUEUES];
    uint64_t usable; /* of WANTED: what its configuration has room for */
    uint8_t *page;   /* the header of all that is sent: zeros; then the control queue's command */
    bool broken;
};

static bool virtio_net_has(const struct vnet *v, unsigned feature)
{
    return v->v.features & BIT(feature);
}

static struct vnet *vnet_of(struct netdev *n) { return container_of(n, struct vnet, dev); }

/* ---- rings ---- */

/* The next answer; false: none, or the ring cannot be believed any more. */
static bool virtio_net_answer(struct vnet *v, unsigned queue, uint32_t *id, uint32_t *len)
{
    int got = v->broken ? -EPROTO : host_virtio_take(&v->q[queue], id, len);

    v->broken = got < 0;
    return got == 1;
}

static void vnet_tx(struct netdev *n, unsigned slot, const struct nic_frame *f)
{
    struct vnet *v = vnet_of(n);
    struct host_virtio_queue *q = &v->q[TX];
    uint16_t at = (uint16_t)(slot * DESCS);

    q->desc[at] = (struct host_virtio_desc){ dma_at(n->dma, v->page), HEADER, HOST_VIRTIO_NEXT,
                                             (uint16_t)(at + 1) };
    for (uint16_t i = 0; i < f->nseg; i++) {
        bool last = i + 1u == f->nseg;

        q->desc[at + 1 + i] =
            (struct host_virtio_desc){ f->seg[i].at.v, f->seg[i].len, last ? 0 : HOST_VIRTIO_NEXT,
                                       last ? 0 : (uint16_t)(at + 2 + i) };
    }
    host_virtio_offer(q, at);
    host_virtio_ring(q);
}

static bool vnet_tx_done(struct netdev *n, uint32_t *slot)
{
    struct vnet *v = vnet_of(n);
    uint32_t len;

    if (!virtio_net_answer(v, TX, slot, &len))
        return false;
    *slot = *slot % DESCS ? UINT32_MAX : *slot / DESCS;
    return true;
}

static void vnet_rx(struct netdev *n, unsigned slot)
{
    struct host_virtio_queue *q = &vnet_of(n)->q[RX];

    q->desc[slot] =
        (struct host_virtio_desc){ netdev_rx_at(n, slot), n->rx_len, HOST_VIRTIO_DEVICE_WRITES, 0 };
    host_virtio_offer(q, (uint16_t)slot);
}

static void vnet_rx_kick(struct netdev *n) { host_virtio_ring(&vnet_of(n)->q[RX]); }

static bool vnet_rx_done(struct netdev *n, struct netdev_rx *r)
{
    struct vnet *v = vnet_of(n);
    uint32_t len;

    if (!virtio_net_answer(v, RX, &r->slot, &len))
        return false;
    r->skip = HEADER;
    r->bad = len < HEADER;
    r->len = len - HEADER;
    return true;
}

/* ---- starting ---- */

static void vnet_reset(struct netdev *n) { host_virtio_reset(&vnet_of(n)->v); }

static bool vnet_is_reset(struct netdev *n) { return host_virtio_is_reset(&vnet_of(n)->v); }

/* What it says of it nobody waits for: a device that refuses receives less. */
static void receive_all(struct vnet *v)
{
    struct host_virtio_queue *q = &v->q[CTRL];
    uint64_t at = dma_at(v->v.dma, v->page) + HEADER;
    uint8_t *command = v->page + HEADER;

    command[0] = CTRL_RX;
    command[1] = CTRL_PROMISC;
    command[2] = 1;
    q->desc[0] = (struct host_virtio_desc){ at, 2, HOST_VIRTIO_NEXT, 1 };
    q->desc[1] = (struct host_virtio_desc){ at + 2, 1, HOST_VIRTIO_NEXT, 2 };
    q->desc[2] = (struct host_virtio_desc){ at + 3, 1, HOST_VIRTIO_DEVICE_WRITES, 0 };
    host_virtio_offer(q, 0);
    host_virtio_ring(q);
}

static int vnet_start(struct netdev *n)
{
    struct vnet *v = vnet_of(n);
    uint16_t vector = n->nic.irq ? 0 : HOST_VIRTIO_NO_VECTOR;
    int err = host_virtio_agree(&v->v, host_virtio_hello(&v->v) & v->usable, vector);
    bool ctrl = virtio_net_has(v, F_CTRL_VQ) && virtio_net_has(v, F_CTRL_RX);

    v->broken = false;
    for (unsigned i = 0; !err && i < (ctrl ? QUEUES : CTRL); i++)
        err = host_virtio_start_queue(&v->v, &v->q[i], i == CTRL ? HOST_VIRTIO_NO_VECTOR : vector);
    if (err)
        return err;
    host_virtio_live(&v->v);
    if (ctrl && n->mode.all)
        receive_all(v);
    return 0;
}

static enum netdev_health vnet_health(struct netdev *n)
{
    const struct vnet *v = vnet_of(n);
    uint8_t status = host_virtio_status(&v->v);

    if (status == UINT8_MAX)
        return NETDEV_GONE;
    return v->broken || status & HOST_VIRTIO_NEEDS_RESET ? NETDEV_FAILED : NETDEV_FINE;
}

static void vnet_ack(struct netdev *n) { (void)n; } /* messages need none */

static void vnet_link(struct netdev *n)
{
    const struct vnet *v = vnet_of(n);

    n->nic.up =
        !virtio_net_has(v, F_STATUS) || host_virtio_config(&v->v, CONFIG_STATUS, 2) & LINK_UP;
    n->nic.speed = virtio_net_has(v, F_SPEED) ? host_virtio_config(&v->v, CONFIG_SPEED, 4) : 0;
    if (n->nic.speed > INT32_MAX) /* §5.1.4: not known */
        n->nic.speed = 0;
}

static const struct netdev_hw vnet_hw = {
    .name = "virtio-net",
    .reset = vnet_reset,
    .is_reset = vnet_is_reset,
    .start = vnet_start,
    .health = vnet_health,
    .ack = vnet_ack,
    .link = vnet_link,
    .tx = vnet_tx,
    .tx_done = vnet_tx_done,
    .rx = vnet_rx,
    .rx_kick = vnet_rx_kick,
    .rx_done = vnet_rx_done,
};

/* ---- finding it ---- */

static int virtio_net_map(struct vnet *v)
{
    v->v.pci = v->dev.pci;
    if (host_virtio_map(&v->v, CONFIG_LEAST) == 0)
        return 0;
    log_warn("virtio-net %04x:%02x:%02x.%u: not used: it is a legacy device (virtio 1.0 is needed)",
             v->dev.pci->segment, v->dev.pci->bus, v->dev.pci->devfn >> 3, v->dev.pci->devfn & 7u);
    return -ENOTSUP;
}

/* The features that its configuration has room for. */
static uint64_t virtio_net_usable(const struct vnet *v)
{
    uint64_t can = WANTED;

    if (v->v.config_len < CONFIG_STATUS + 2)
        can &= ~BIT(F_STATUS);
    if (v->v.config_len < CONFIG_MTU + 2)
        can &= ~BIT(F_MTU);
    if (v->v.config_len < CONFIG_SPEED + 4)
        can &= ~BIT(F_SPEED);
    return can;
}

/* What it says about itself. Before the features are agreed on a driver may read that: §3.1.1. */
static int virtio_net_identify(struct vnet *v)
{
    struct nic *nic = &v->dev.nic;
    uint64_t can;
    uint8_t mac[6];

    v->usable = virtio_net_usable(v);
    can = host_virtio_hello(&v->v) & v->usable;
    for (unsigned i = 0; i < sizeof mac; i++)
        mac[i] = (uint8_t)host_virtio_config(&v->v, i, 1);
    nic->mac = can & BIT(F_MAC) ? net_mac_from(mac) : net_mac_of_guest(nic->at, 0);
    nic->mtu_max = NET_MTU_MAX;
    if (can & BIT(F_MTU))
        nic->mtu_max = (uint32_t)min_u64(host_virtio_config(&v->v, CONFIG_MTU, 2), NET_MTU_MAX);
    if (!(can & HOST_VIRTIO_VERSION_1) || !net_mac_is_station(nic->mac) ||
        nic->mtu_max < NET_MTU_MIN)
        return -ENOTSUP;
    return host_virtio_dma(&v->v, can, "the virtio-net driver", NETDEV_TX, NETDEV_BYTES,
                           NETDEV_PIECES);
}

static int virtio_net_make_queue(struct vnet *v, uint16_t i, uint16_t least)
{
    return host_virtio_make_queue(&v->v, &v->q[i], i, least, HOST_VIRTIO_QUEUE_MOST);
}

static int virtio_net_make(struct vnet *v)
{
    int err;

    v->page = dma_alloc(v->v.dma, 0);
    if (!v->page)
        return -ENOMEM;
    err = virtio_net_make_queue(v, RX, 1);
    if (!err)
        err = virtio_net_make_queue(v, TX, DESCS);
    if (err)
        return err;
    if (virtio_net_make_queue(v, CTRL, DESCS))
        v->usable &= ~(BIT(F_CTRL_VQ) | BIT(F_CTRL_RX));
    v->dev.nrx = (unsigned)min_u64(v->q[RX].size, NETDEV_RX);
    v->dev.ntx = (unsigned)min_u64(v->q[TX].size / DESCS, NETDEV_TX);
    return 0;
}

static int virtio_net_set_up(struct vnet *v)
{
    struct netdev *n = &v->dev;
    int err = virtio_net_map(v);

    if (!err)
        err = netdev_begin(n);
    if (!err)
        err = virtio_net_identify(v);
    n->dma = v->v.dma;
    if (!err)
        err = virtio_net_make(v);
    if (err)
        return err;
    vnet_reset(n);
    n->nic.irq = host_pci_irq(n->pci, 0, 0, netdev_interrupt, n) == 0;
    if (!n->nic.irq)
        host_pci_command(n->pci, HOST_PCI_NO_INTX, 0);
    netdev_add(n);
    return 0;
}

static void virtio_net_unmake(struct vnet *v)
{
    for (unsigned i = 0; i < QUEUES; i++)
        host_virtio_free_queue(&v->v, &v->q[i]);
    dma_free(v->v.dma, v->page, 0);
    dma_close(v->v.dma);
    free(v);
}

/* §4.1.2: the modern one, and a transitional one, whose modern side is used */
static bool virtio_net_is_ours(const struct host_pci_dev *d)
{
    return d->vendor == 0x1af4 && (d->device == 0x1041 || d->device == 0x1000);
}

static int vnet_probe(const struct host_pci_dev *pci)
{
    struct vnet *v;
    int err;

    if (!virtio_net_is_ours(pci))
        return -ENODEV;
    v = calloc(1, sizeof *v); /* charge: as above */
    if (!v)
        return -ENOMEM;
    v->dev.hw = &vnet_hw;
    v->dev.pci = pci;
    err = virtio_net_set_up(v);
    if (err)
        virtio_net_unmake(v);
    return err;
}

const struct pci_driver virtio_net_driver = { "virtio-net", 0x020000, vnet_probe, netdev_shutdown };
PCI_DRIVER(virtio_net_driver);
