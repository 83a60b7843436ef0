/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio_net.c: the driver of a host's virtio-net device (virtio 1.2 §5.1), modern, over PCI, with
 * split rings. One pair of queues; the control queue says what is to be received. A slot to send
 * from is DESCS descriptors: the header, and the frame's segments. A slot to receive in is one.
 */
#include <arch/barrier.h>

#include <hv/assert.h>
#include <hv/log.h>
#include <stdlib.h>
#include <string.h>

#include "netdev.h"

/* §4.1.4: capabilities. §4.1.4.3: the common configuration */
enum { CAP_VENDOR = 9, CAP_TYPE = 3, CAP_BAR = 4, CAP_OFFSET = 8, CAP_LENGTH = 12, CAP_MULT = 16 };
enum { CFG_COMMON = 1, CFG_NOTIFY = 2, CFG_DEVICE = 4, COMMON_LEN = 56, CONFIG_LEN = 6 };
enum {
    DEVICE_FEATURE_SELECT = 0,
    DEVICE_FEATURE = 4,
    DRIVER_FEATURE_SELECT = 8,
    DRIVER_FEATURE = 12,
    MSIX_CONFIG = 16,
    NUM_QUEUES = 18,
    DEVICE_STATUS = 20,
    QUEUE_SELECT = 22,
    QUEUE_SIZE = 24,
    QUEUE_MSIX = 26,
    QUEUE_ENABLE = 28,
    QUEUE_NOTIFY_OFF = 30,
    QUEUE_DESC = 32,
    QUEUE_DRIVER = 40,
    QUEUE_DEVICE = 48,
    NO_VECTOR = 0xffff
};
enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8, NEEDS_RESET = 64 }; /* §2.1 */
/* §5.1.3, §6 */
enum { F_MTU = 3, F_MAC = 5, F_STATUS = 16, F_CTRL_VQ = 17, F_CTRL_RX = 18 };
enum { F_VERSION_1 = 32, F_ACCESS_PLATFORM = 33, F_ORDER_PLATFORM = 36, F_SPEED = 63 };
#define BIT(n) (1ull << (n))
#define WANTED                                                                   \
    (BIT(F_MTU) | BIT(F_MAC) | BIT(F_STATUS) | BIT(F_CTRL_VQ) | BIT(F_CTRL_RX) | \
     BIT(F_VERSION_1) | BIT(F_ACCESS_PLATFORM) | BIT(F_ORDER_PLATFORM) | BIT(F_SPEED))
/* §5.1.4 */
enum { CONFIG_STATUS = 6, CONFIG_MTU = 10, CONFIG_SPEED = 12, CONFIG_END = 16, LINK_UP = 1 };
/* §5.1.6.5.1: class RX, command PROMISC, on; then the answer */
enum { CTRL_RX = 0, CTRL_PROMISC = 0, CTRL_OK = 0 };
enum { RX, TX, CTRL, QUEUES };
enum { HEADER = 12, DESCS = NIC_SEGS + 1, SIZE_MOST = NETDEV_TX * DESCS, RINGS_ORDER = 1 };
enum { DESC_NEXT = 1, DESC_WRITE = 2, AVAIL_NO_INTERRUPT = 1 }; /* §2.7.5, §2.7.6 */
/* where the parts of a queue are in its pages */
enum { AVAIL_AT = 4096, USED_AT = 4096 + 1024 };

struct desc { /* §2.7.5 */
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};
struct avail { /* §2.7.6 */
    uint16_t flags, idx, ring[SIZE_MOST];
};
struct used { /* §2.7.8 */
    uint16_t flags, idx;
    struct {
        uint32_t id, len;
    } ring[SIZE_MOST];
};
static_assert(sizeof(struct desc) == 16 && sizeof(struct desc) * SIZE_MOST <= AVAIL_AT, "§2.7");
static_assert(sizeof(struct avail) + 2 <= USED_AT - AVAIL_AT, "§2.7.6, with used_event");
static_assert(offsetof(struct used, ring) == 4, "§2.7.8");
static_assert(sizeof(struct used) + 2 <= (PAGE_SIZE << RINGS_ORDER) - USED_AT, "§2.7.8");
struct queue {
    struct desc *desc;
    struct avail *avail;
    volatile struct used *used;
    uint16_t size, put, got; /* put, got: free-running */
    volatile uint8_t *bell;
};
struct vnet {
    struct netdev dev;
    volatile uint8_t *common, *notify, *config;
    uint32_t notify_len, notify_mult, config_len;
    uint64_t usable, features; /* of WANTED: what its configuration has room for; what is agreed */
    struct queue q[QUEUES];
    uint8_t *page; /* the header of all that is sent: zeros; then the control queue's command */
    bool broken;
};

static struct vnet *vnet_of(struct netdev *n) { return container_of(n, struct vnet, dev); }

static uint32_t rd(const struct vnet *v, uint32_t off, unsigned size)
{
    return host_reg_read(v->common + off, size);
}

static void wr(const struct vnet *v, uint32_t off, unsigned size, uint32_t val)
{
    host_reg_write(v->common + off, size, val);
}

static void wr64(const struct vnet *v, uint32_t off, const volatile void *p)
{
    uint64_t at = virt_to_phys((const void *)(uintptr_t)p).v;

    wr(v, off, 4, (uint32_t)at);
    wr(v, off + 4, 4, (uint32_t)(at >> 32));
}

/* ---- rings ---- */

static void offer(struct queue *q, uint16_t head)
{
    q->avail->ring[q->put % q->size] = head;
    q->put++;
}

static void ring_bell(struct queue *q, unsigned index)
{
    dma_wmb();
    __atomic_store_n(&q->avail->idx, q->put, __ATOMIC_RELEASE);
    dma_mb();
    host_reg_write(q->bell, 2, index);
}

/* The next answer; false: none, or the ring cannot be believed any more. */
static bool answer(struct vnet *v, struct queue *q, uint32_t *id, uint32_t *len)
{
    uint16_t ready = (uint16_t)(__atomic_load_n(&q->used->idx, __ATOMIC_ACQUIRE) - q->got);

    if (ready > q->size)
        v->broken = true;
    if (ready == 0 || v->broken)
        return false;
    dma_rmb();
    *id = q->used->ring[q->got % q->size].id;
    *len = q->used->ring[q->got % q->size].len;
    q->got++;
    return true;
}

static void vnet_tx(struct netdev *n, unsigned slot, const struct nic_frame *f)
{
    struct vnet *v = vnet_of(n);
    struct queue *q = &v->q[TX];
    uint16_t at = (uint16_t)(slot * DESCS);

    q->desc[at] = (struct desc){ virt_to_phys(v->page).v, HEADER, DESC_NEXT, (uint16_t)(at + 1) };
    for (uint16_t i = 0; i < f->nseg; i++) {
        bool last = i + 1u == f->nseg;

        q->desc[at + 1 + i] = (struct desc){ f->seg[i].at.v, f->seg[i].len, last ? 0 : DESC_NEXT,
                                             last ? 0 : (uint16_t)(at + 2 + i) };
    }
    offer(q, at);
    ring_bell(q, TX);
}

static bool vnet_tx_done(struct netdev *n, uint32_t *slot)
{
    struct vnet *v = vnet_of(n);
    uint32_t len;

    if (!answer(v, &v->q[TX], slot, &len))
        return false;
    *slot = *slot % DESCS ? UINT32_MAX : *slot / DESCS;
    return true;
}

static void vnet_rx(struct netdev *n, unsigned slot)
{
    struct queue *q = &vnet_of(n)->q[RX];

    q->desc[slot] = (struct desc){ netdev_rx_at(n, slot).v, n->rx_len, DESC_WRITE, 0 };
    offer(q, (uint16_t)slot);
}

static void vnet_rx_kick(struct netdev *n) { ring_bell(&vnet_of(n)->q[RX], RX); }

static bool vnet_rx_done(struct netdev *n, struct netdev_rx *r)
{
    struct vnet *v = vnet_of(n);
    uint32_t len;

    if (!answer(v, &v->q[RX], &r->slot, &len))
        return false;
    r->skip = HEADER;
    r->bad = len < HEADER;
    r->len = len - HEADER;
    return true;
}

/* ---- starting ---- */

static void vnet_reset(struct netdev *n) { wr(vnet_of(n), DEVICE_STATUS, 1, 0); }

static bool vnet_is_reset(struct netdev *n) { return rd(vnet_of(n), DEVICE_STATUS, 1) == 0; }

static uint64_t offered(const struct vnet *v)
{
    uint64_t low;

    wr(v, DEVICE_FEATURE_SELECT, 4, 0);
    low = rd(v, DEVICE_FEATURE, 4);
    wr(v, DEVICE_FEATURE_SELECT, 4, 1);
    return low | (uint64_t)rd(v, DEVICE_FEATURE, 4) << 32;
}

static int agree(struct vnet *v)
{
    v->features = offered(v) & v->usable;
    if (!(v->features & BIT(F_VERSION_1)))
        return -ENOTSUP;
    wr(v, DRIVER_FEATURE_SELECT, 4, 0);
    wr(v, DRIVER_FEATURE, 4, (uint32_t)v->features);
    wr(v, DRIVER_FEATURE_SELECT, 4, 1);
    wr(v, DRIVER_FEATURE, 4, (uint32_t)(v->features >> 32));
    wr(v, DEVICE_STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    return rd(v, DEVICE_STATUS, 1) & FEATURES_OK ? 0 : -ENOTSUP;
}

/* Empty, where it was made to be; `vector`: of its interrupt. */
static int start_queue(struct vnet *v, unsigned i, uint16_t vector)
{
    struct queue *q = &v->q[i];
    uint32_t off;

    wr(v, QUEUE_SELECT, 2, i);
    off = rd(v, QUEUE_NOTIFY_OFF, 2) * v->notify_mult;
    if (rd(v, QUEUE_SIZE, 2) < q->size || off > v->notify_len - 2)
        return -ENOTSUP;
    memset(q->desc, 0, PAGE_SIZE << RINGS_ORDER);
    q->put = q->got = 0;
    q->avail->flags = vector == NO_VECTOR ? AVAIL_NO_INTERRUPT : 0;
    q->bell = v->notify + off;
    wr(v, QUEUE_SIZE, 2, q->size);
    wr(v, QUEUE_MSIX, 2, vector);
    wr64(v, QUEUE_DESC, q->desc);
    wr64(v, QUEUE_DRIVER, q->avail);
    wr64(v, QUEUE_DEVICE, q->used);
    if (rd(v, QUEUE_MSIX, 2) != vector) /* §4.1.5.1.2.1: it could not */
        return -EIO;
    wr(v, QUEUE_ENABLE, 2, 1);
    return 0;
}

/* What it says of it nobody waits for: a device that refuses receives less. */
static void receive_all(struct vnet *v)
{
    struct queue *q = &v->q[CTRL];
    uint64_t at = virt_to_phys(v->page).v + HEADER;
    uint8_t *command = v->page + HEADER;

    command[0] = CTRL_RX;
    command[1] = CTRL_PROMISC;
    command[2] = 1;
    q->desc[0] = (struct desc){ at, 2, DESC_NEXT, 1 };
    q->desc[1] = (struct desc){ at + 2, 1, DESC_NEXT, 2 };
    q->desc[2] = (struct desc){ at + 3, 1, DESC_WRITE, 0 };
    offer(q, 0);
    ring_bell(q, CTRL);
}

static int vnet_start(struct netdev *n)
{
    struct vnet *v = vnet_of(n);
    uint16_t vector = n->nic.irq ? 0 : NO_VECTOR;
    bool ctrl;
    int err;

    v->broken = false;
    wr(v, DEVICE_STATUS, 1, ACKNOWLEDGE);
    wr(v, DEVICE_STATUS, 1, ACKNOWLEDGE | DRIVER);
    err = agree(v);
    ctrl = v->features & BIT(F_CTRL_VQ) && v->features & BIT(F_CTRL_RX);
    wr(v, MSIX_CONFIG, 2, vector);
    for (unsigned i = 0; !err && i < (ctrl ? QUEUES : CTRL); i++)
        err = start_queue(v, i, i == CTRL ? NO_VECTOR : vector);
    if (err)
        return err;
    wr(v, DEVICE_STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    if (ctrl && n->mode.all)
        receive_all(v);
    return 0;
}

static enum netdev_health vnet_health(struct netdev *n)
{
    const struct vnet *v = vnet_of(n);
    uint32_t status = rd(v, DEVICE_STATUS, 1);

    if (status == UINT8_MAX)
        return NETDEV_GONE;
    return v->broken || status & NEEDS_RESET ? NETDEV_FAILED : NETDEV_FINE;
}

static void vnet_ack(struct netdev *n) { (void)n; } /* messages need none */

static void vnet_link(struct netdev *n)
{
    const struct vnet *v = vnet_of(n);

    n->nic.up =
        !(v->features & BIT(F_STATUS)) || host_reg_read(v->config + CONFIG_STATUS, 2) & LINK_UP;
    n->nic.speed = v->features & BIT(F_SPEED) ? host_reg_read(v->config + CONFIG_SPEED, 4) : 0;
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

/* The part of this type: its place and its length; NULL: there is none that can be used. */
static volatile uint8_t *find_part(const struct vnet *v, uint8_t type, uint32_t least,
                                   uint32_t *len, uint32_t *mult)
{
    const struct host_pci_dev *d = v->dev.pci;
    uint32_t at, off;
    uint8_t *bar;
    unsigned i = 0;

    do
        at = host_pci_cap_nth(d, CAP_VENDOR, i++);
    while (at && host_pci_read(d, at + CAP_TYPE, 1) != type);
    if (!at)
        return NULL;
    off = host_pci_read(d, at + CAP_OFFSET, 4);
    *len = host_pci_read(d, at + CAP_LENGTH, 4);
    if (mult)
        *mult = host_pci_read(d, at + CAP_MULT, 4);
    if (*len < least)
        return NULL;
    bar = host_pci_map(d, host_pci_read(d, at + CAP_BAR, 1), (uint64_t)off + *len);
    return bar ? bar + off : NULL;
}

static int map(struct vnet *v)
{
    uint32_t len;

    v->common = find_part(v, CFG_COMMON, COMMON_LEN, &len, NULL);
    v->notify = find_part(v, CFG_NOTIFY, 2, &v->notify_len, &v->notify_mult);
    v->config = find_part(v, CFG_DEVICE, CONFIG_LEN, &v->config_len, NULL);
    if (v->common && v->notify && v->config && v->notify_mult <= UINT16_MAX)
        return 0;
    log_warn("virtio-net %04x:%02x:%02x.%u: left out: it is no modern device", v->dev.pci->segment,
             v->dev.pci->bus, v->dev.pci->devfn >> 3, v->dev.pci->devfn & 7u);
    return -ENOTSUP;
}

/* Memory for a queue of `most` entries, or what the device can do; 0: it cannot do `least`. */
static uint16_t make_queue(struct vnet *v, unsigned i, uint16_t least)
{
    hpa_t at = pmm_alloc_zero(RINGS_ORDER, PMM_HV); /* charge: the host's NICs are Trivet's own */
    struct queue *q = &v->q[i];
    uint32_t can;
    uint8_t *p;

    wr(v, QUEUE_SELECT, 2, i);
    can = rd(v, QUEUE_SIZE, 2);
    if (at.v && (can < least || can > 32768))
        pmm_free(at, RINGS_ORDER, PMM_HV);
    if (!at.v || can < least || can > 32768)
        return 0;
    for (q->size = least; q->size * 2u <= can && q->size < SIZE_MOST; q->size *= 2)
        continue;
    p = phys_to_virt(at);
    q->desc = (struct desc *)(void *)p;
    q->avail = (struct avail *)(void *)(p + AVAIL_AT);
    q->used = (volatile struct used *)(void *)(p + USED_AT);
    return q->size;
}

/* The features that its configuration has room for. */
static uint64_t usable(const struct vnet *v)
{
    uint64_t can = WANTED;

    if (v->config_len < CONFIG_STATUS + 2)
        can &= ~BIT(F_STATUS);
    if (v->config_len < CONFIG_MTU + 2)
        can &= ~BIT(F_MTU);
    if (v->config_len < CONFIG_SPEED + 4)
        can &= ~BIT(F_SPEED);
    return can;
}

/* What it says about itself. Before the features are agreed on a driver may read that: §3.1.1. */
static int identify(struct vnet *v)
{
    struct nic *nic = &v->dev.nic;
    uint64_t can;
    uint8_t mac[6];

    wr(v, DEVICE_STATUS, 1, ACKNOWLEDGE);
    wr(v, DEVICE_STATUS, 1, ACKNOWLEDGE | DRIVER);
    v->usable = usable(v);
    can = offered(v) & v->usable;
    for (unsigned i = 0; i < sizeof mac; i++)
        mac[i] = (uint8_t)host_reg_read(v->config + i, 1);
    nic->mac = can & BIT(F_MAC) ? net_mac_from(mac) : net_mac_of_guest(nic->at, 0);
    nic->mtu_max = NET_MTU_MAX;
    if (can & BIT(F_MTU))
        nic->mtu_max = (uint32_t)min_u64(host_reg_read(v->config + CONFIG_MTU, 2), NET_MTU_MAX);
    return can & BIT(F_VERSION_1) && net_mac_is_station(nic->mac) && nic->mtu_max >= NET_MTU_MIN
               ? 0
               : -ENOTSUP;
}

static int make(struct vnet *v)
{
    hpa_t at = pmm_alloc_zero(0, PMM_HV); /* charge: as above */
    uint16_t tx, rx;

    if (!at.v)
        return -ENOMEM;
    v->page = phys_to_virt(at);
    rx = make_queue(v, RX, 1);
    tx = make_queue(v, TX, DESCS);
    if (!rx || !tx)
        return -ENOTSUP;
    if (!make_queue(v, CTRL, DESCS))
        v->usable &= ~(BIT(F_CTRL_VQ) | BIT(F_CTRL_RX));
    v->dev.nrx = (unsigned)min_u64(rx, NETDEV_RX);
    v->dev.ntx = tx / DESCS;
    return 0;
}

static int set_up(struct vnet *v)
{
    struct netdev *n = &v->dev;
    int err = map(v);

    if (!err)
        err = netdev_begin(n);
    if (!err)
        err = identify(v);
    if (!err)
        err = make(v);
    if (err)
        return err;
    vnet_reset(n);
    n->nic.irq = host_pci_irq(n->pci, 0, 0, netdev_interrupt, n) == 0;
    if (!n->nic.irq)
        host_pci_command(n->pci, HOST_PCI_NO_INTX, 0);
    netdev_add(n);
    return 0;
}

static void unmake(struct vnet *v)
{
    for (unsigned i = 0; i < QUEUES; i++)
        if (v->q[i].desc)
            pmm_free(virt_to_phys(v->q[i].desc), RINGS_ORDER, PMM_HV);
    if (v->page)
        pmm_free(virt_to_phys(v->page), 0, PMM_HV);
    free(v);
}

/* §4.1.2: the modern one, and a transitional one, whose modern side is used */
static bool is_ours(const struct host_pci_dev *d)
{
    return d->vendor == 0x1af4 && (d->device == 0x1041 || d->device == 0x1000);
}

static int vnet_probe(const struct host_pci_dev *pci)
{
    struct vnet *v;
    int err;

    if (!is_ours(pci))
        return -ENODEV;
    v = calloc(1, sizeof *v); /* charge: as above */
    if (!v)
        return -ENOMEM;
    v->dev.hw = &vnet_hw;
    v->dev.pci = pci;
    err = set_up(v);
    if (err)
        unmake(v);
    return err;
}

const struct pci_driver virtio_net_driver = { "virtio-net", 0x020000, vnet_probe, netdev_shutdown };
PCI_DRIVER(virtio_net_driver);
