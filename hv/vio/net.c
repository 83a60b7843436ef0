/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-net (virtio 1.2 §5.1): a port of a virtual switch, with a pair of queues for each vCPU,
 * and a queue for commands. What the guest sends is copied into the receivers' queues at once. What
 * it is to receive waits in a queue of its own until its ring has buffers; nobody waits for that.
 */
#include "net_ctrl.h"
#include "net_steer.h"
#include <hv/charge.h>
#include <hv/nat.h>
#include <hv/net.h>
#include <hv/nospec.h>
#include <hv/pmm.h>
#include <hv/share.h>
#include <hv/state.h>
#include <hv/virtio.h>
#include <hv/vm.h>
#include <stdio.h>
#include <string.h>

enum {
    DEVICE_NET = 1,
    RX = 0,
    TX = 1,
    PAIRS = 8, /* most; pair i: queues 2i + RX, 2i + TX */
    COST_FRAME = 16,
    BYTES_PER_UNIT = 64,
    LINK_UP = 1
};
/* §5.1.3 */
enum {
    F_CSUM = 0,
    F_GUEST_CSUM = 1,
    F_MTU = 3,
    F_MAC = 5,
    F_GUEST_TSO4 = 7,
    F_GUEST_TSO6 = 8,
    F_GUEST_ECN = 9,
    F_HOST_TSO4 = 11,
    F_HOST_TSO6 = 12,
    F_HOST_ECN = 13,
    F_MRG_RXBUF = 15,
    F_STATUS = 16,
    F_GUEST_USO4 = 54, /* these three: virtio 1.3 */
    F_GUEST_USO6 = 55,
    F_HOST_USO = 56,
};
static const uint8_t offered[] = { F_CSUM,
                                   F_GUEST_CSUM,
                                   F_MTU,
                                   F_MAC,
                                   F_GUEST_TSO4,
                                   F_GUEST_TSO6,
                                   F_GUEST_ECN,
                                   F_HOST_TSO4,
                                   F_HOST_TSO6,
                                   F_HOST_ECN,
                                   F_MRG_RXBUF,
                                   F_STATUS,
                                   F_GUEST_USO4,
                                   F_GUEST_USO6,
                                   F_HOST_USO,
                                   NET_F_CTRL_VQ,
                                   NET_F_CTRL_RX,
                                   NET_F_CTRL_VLAN,
                                   NET_F_CTRL_RX_EXTRA,
                                   NET_F_CTRL_MAC_ADDR };

struct net_config { /* §5.1.4 */
    uint8_t mac[6];
    uint16_t status, max_virtqueue_pairs, mtu;
};
static_assert(sizeof(struct net_config) == 12, "virtio 1.2 §5.1.4");
static_assert(offsetof(struct net_config, status) == 6, "virtio 1.2 §5.1.4");
static_assert(offsetof(struct net_config, mtu) == 10, "virtio 1.2 §5.1.4");
struct header { /* §5.1.6 */
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};
static_assert(sizeof(struct header) == 12, "virtio 1.2 §5.1.6");
static_assert(offsetof(struct header, num_buffers) == 10, "virtio 1.2 §5.1.6");

struct vio_net {
    struct virtio_dev dev;
    struct net_port port;
    struct net_queue queue;
    hpa_t ring; /* of `queue` */
    struct net_config config;
    struct net_wants wants;
    struct net_steer steer;
    struct vq_chain first, more; /* buffers: the only one, or the first of a frame; further ones */
    struct vq_used used[VQ_SIZE_MAX]; /* of the frame being received */
};

static struct vio_net *vio_net_of(struct virtio_dev *d)
{
    return container_of(d, struct vio_net, dev);
}

/* Pairs that the driver uses. */
static unsigned pairs_of(const struct vio_net *n)
{
    return virtio_has(&n->dev, NET_F_MQ) ? n->wants.pairs : 1;
}

/* ---- sending ---- */

/* What a driver may leave to others of a frame, by what it negotiated. */
static bool may_leave(const struct virtio_dev *d, const struct header *h)
{
    uint8_t gso = h->gso_type & (uint8_t)~NET_GSO_ECN;

    if (!h->flags && !h->gso_type)
        return true;
    return virtio_has(d, F_CSUM) && (gso != NET_GSO_TCP4 || virtio_has(d, F_HOST_TSO4)) &&
           (gso != NET_GSO_TCP6 || virtio_has(d, F_HOST_TSO6)) &&
           (gso != NET_GSO_UDP || virtio_has(d, F_HOST_USO)) &&
           (!(h->gso_type & NET_GSO_ECN) || virtio_has(d, F_HOST_ECN));
}

/* The guest's frame, after its header was copied. False: it cannot be one. */
static bool make_frame(struct vio_net *n, struct net_frame *f)
{
    struct vq_chain *c = &n->first;
    uint64_t bytes = iov_bytes(c->iov, c->nout);
    struct header h;

    if (bytes > sizeof h + NET_BIG_MAX || !iov_take(c->iov, c->nout, &h, sizeof h) ||
        !iov_take(c->iov, c->nout, f->head, NET_HEAD) || !may_leave(&n->dev, &h))
        return false;
    f->len = (uint32_t)(bytes - sizeof h);
    f->offload = (struct net_offload){ h.flags,    h.gso_type,   h.hdr_len,
                                       h.gso_size, h.csum_start, h.csum_offset };
    f->pre = f->skip = 0;
    f->nlead = 0;
    f->at = 0;
    f->iov = c->iov;
    f->niov = c->nout;
    return true;
}

/* What the driver sends by a pair, it wants to receive by it. */
static void vio_net_steer(struct vio_net *n, const struct net_frame *f, unsigned pair)
{
    uint8_t head[NET_FLOW_HEAD];
    size_t len;

    if (pairs_of(n) == 1)
        return;
    memcpy(head, f->head, NET_HEAD);
    len = iov_read(f->iov, f->niov, 0, head + NET_HEAD, sizeof head - NET_HEAD);
    net_steer_note(&n->steer, net_flow(head, NET_HEAD + (uint32_t)len), pair);
}

static void vio_net_transmit(struct vio_net *n, unsigned pair)
{
    struct virtqueue *q = &n->dev.vq[2 * pair + TX];
    struct net_frame f;

    while (vq_pop(q, &n->first) > 0) {
        uint64_t bytes = 0;

        if (make_frame(n, &f)) {
            vio_net_steer(n, &f, pair);
            bytes = net_send(&n->port, &f);
        } else {
            net_count_bad(&n->port);
        }
        virtio_charge(&n->dev, COST_FRAME + (uint32_t)(bytes / BYTES_PER_UNIT));
        vq_push(q, &n->first, 0);
    }
    vq_notify(q);
}

/* ---- receiving ---- */

/* On a sender's CPU, in the sender's view. */
static bool vio_net_deliver(struct net_port *p, unsigned from, const struct net_frame *f)
{
    struct vio_net *n = container_of(p, struct vio_net, port);

    if (!virtio_live(&n->dev) || !net_queue_put(&n->queue, from, f))
        return false;
    event_post(&n->dev.event);
    return true;
}

/* The NAT gateway's work for the guest: as that of its devices. */
static bool vio_net_is_far_ahead(const struct net_port *p)
{
    return share_is_far_ahead(container_of(p, struct vio_net, port)->dev.vm);
}

static void vio_net_pay(struct net_port *p, uint64_t from)
{
    share_pay(container_of(p, struct vio_net, port)->dev.vm, from);
}

/*
 * The next buffer, and what of the frame's `len` bytes it takes, behind `skip` bytes. The count of
 * bytes; 0: there is none now, or the ring is broken.
 */
static uint32_t fill_buffer(struct vio_net *n, struct virtqueue *q, struct vq_chain *c,
                            struct vq_used *u, uint32_t skip, const uint8_t *from, uint32_t len)
{
    const struct iov *in;
    uint32_t bytes;

    if (vq_pop(q, c) <= 0)
        return 0;
    in = c->iov + c->nout;
    if (c->nout || iov_bytes(in, c->nin) <= skip) {
        virtio_broken(&n->dev, "queue %u: a receive buffer without room", q->index);
        return 0;
    }
    bytes = (uint32_t)iov_write(in, c->nin, skip, from, len);
    *u = (struct vq_used){ .id = c->id, .slots = c->slots, .in = true, .written = skip + bytes };
    virtio_charge(&n->dev, bytes / BYTES_PER_UNIT);
    return bytes;
}

/*
 * The number of buffers that hold the frame; 0: they do not suffice. *never: nor will they, for
 * those are all that the ring can offer.
 */
static unsigned fill_buffers(struct vio_net *n, struct virtqueue *q, const uint8_t *frame,
                             uint32_t len, bool *never)
{
    unsigned most = virtio_has(&n->dev, F_MRG_RXBUF) ? q->set.size : 1, used = 0;
    uint32_t done = 0;

    while (done < len && used < most) {
        uint32_t part = fill_buffer(n, q, used ? &n->more : &n->first, &n->used[used],
                                    used ? 0 : sizeof(struct header), frame + done, len - done);

        if (part == 0)
            return 0;
        done += part;
        used++;
    }
    *never = done < len;
    return done == len ? used : 0;
}

/*
 * One frame into the guest's ring, all of it or nothing: buffers that do not suffice are left as
 * they were, for later. `whole`: this run's budget is untouched, so what it does not suffice for
 * would wait for ever. True: the frame is done with.
 */
static bool vio_net_receive(struct vio_net *n, struct virtqueue *q, const uint8_t *frame,
                            uint32_t len, const struct net_offload *o, bool whole)
{
    struct vq_mark mark = vq_mark(q);
    struct header h = {
        o->flags, o->gso, o->hdr_len, o->gso_size, o->csum_start, o->csum_offset, 0
    };
    bool never = false;
    unsigned used = fill_buffers(n, q, frame, len, &never);

    if (used) {
        h.num_buffers = (uint16_t)used;
        (void)iov_write(n->first.iov, n->first.nin, 0, &h, sizeof h);
        vq_push_all(q, n->used, used);
        virtio_charge(&n->dev, COST_FRAME);
        return true;
    }
    vq_rewind(q, mark);
    if (!virtio_live(&n->dev) || !(never || (whole && n->dev.budget <= 0)))
        return false;
    net_count_dropped(&n->port);
    return true;
}

/*
 * The queue that a frame goes to: the first, while the driver has not enabled the flow's. Another
 * CPU may enable it now; the first was looked at before this run.
 */
static struct virtqueue *queue_for(struct vio_net *n, const uint8_t *frame, uint32_t len)
{
    unsigned pairs = pairs_of(n), pair = 0;
    struct virtqueue *q;

    if (pairs > 1)
        pair = net_steer_pair(&n->steer, net_flow(frame, (uint32_t)min_u64(len, NET_FLOW_HEAD)),
                              pairs);
    q = &n->dev.vq[2 * pair + RX]; /* nospec: net_steer_pair() has masked it */
    return vq_is_enabled(q) ? q : &n->dev.vq[RX];
}

/*
 * All queues' frames wait in one order; while the first one's queue has no buffers, they all do.
 */
static void vio_net_receive_all(struct vio_net *n)
{
    const uint8_t *frame;
    struct net_offload o;
    bool whole = true;
    uint32_t len;

    while ((frame = net_queue_first(&n->queue, &len, &o))) {
        if (!net_wants(&n->wants, &n->dev, n->config.mac, frame, len)) {
            virtio_charge(&n->dev, COST_FRAME);
            net_count_filtered(&n->port);
        } else if (!vio_net_receive(n, queue_for(n, frame, len), frame, len, &o, whole)) {
            break;
        }
        net_queue_drop(&n->queue);
        whole = false;
        if (n->dev.budget <= 0) { /* no buffer was asked for that would tell */
            event_post(&n->dev.event);
            break;
        }
    }
    for (unsigned i = 0; i < pairs_of(n); i++)
        vq_notify(&n->dev.vq[2 * i + RX]);
}

/* ---- commands ---- */

static void vio_net_command(struct vio_net *n, struct virtqueue *q)
{
    struct vq_chain *c = &n->first;

    while (vq_pop(q, c) > 0) {
        unsigned pairs = pairs_of(n);
        uint32_t cost = COST_FRAME;
        bool done = net_ctrl(&n->wants, &n->dev, n->config.mac, c->iov, c->nout, &cost);
        const uint8_t ack = done ? 0 : 1; /* §5.1.6.5: VIRTIO_NET_OK, VIRTIO_NET_ERR */

        virtio_charge(&n->dev, cost);
        for (; pairs < pairs_of(n); pairs++) /* it may have kicked them while they were not in use
                                              */
            virtio_kick(&n->dev, 2 * pairs + TX);
        if (iov_write(c->iov + c->nout, c->nin, 0, &ack, sizeof ack) != sizeof ack) {
            virtio_broken(&n->dev, "queue %u: a command without room for the answer", q->index);
            return;
        }
        vq_push(q, c, sizeof ack);
    }
    vq_notify(q);
}

/*
 * §5.1.2: without VIRTIO_NET_F_MQ the device has one pair, and what is behind is for commands.
 * Input is looked at once in each run, as that of the first queue.
 */
static void vio_net_kick(struct virtio_dev *d, unsigned q)
{
    struct vio_net *n = vio_net_of(d);
    unsigned commands = virtio_has(d, NET_F_MQ) ? 2 * net_pairs(d) : 2;

    if (q == commands)
        vio_net_command(n, &d->vq[index_nospec(q, d->nqueues)]);
    else if (q == RX)
        vio_net_receive_all(n);
    else if ((q & 1) == TX && q / 2 < pairs_of(n))
        vio_net_transmit(n, (unsigned)index_nospec(q / 2, PAIRS));
}

/* ---- life ---- */

/* What the driver takes, of what only goes beside checksums: §5.1.3.1. */
static uint32_t taken_by(const struct virtio_dev *d)
{
    static const struct {
        uint8_t feature, takes;
    } map[] = { { F_GUEST_TSO4, NET_TAKES_TSO4 },
                { F_GUEST_TSO6, NET_TAKES_TSO6 },
                { F_GUEST_ECN, NET_TAKES_ECN },
                { F_GUEST_USO4, NET_TAKES_USO4 },
                { F_GUEST_USO6, NET_TAKES_USO6 } };
    uint32_t takes = NET_TAKES_CSUM;

    if (!virtio_has(d, F_GUEST_CSUM))
        return 0;
    for (unsigned i = 0; i < ARRAY_SIZE(map); i++)
        takes |= virtio_has(d, map[i].feature) ? map[i].takes : 0;
    return takes;
}

static int vio_net_activate(struct virtio_dev *d)
{
    __atomic_store_n(&vio_net_of(d)->port.takes, taken_by(d), __ATOMIC_RELAXED);
    net_port_up(&vio_net_of(d)->port);
    return 0;
}

static int vio_net_reset(struct virtio_dev *d)
{
    net_port_down(&vio_net_of(d)->port);
    net_queue_clear(&vio_net_of(d)->queue);
    net_wants_reset(&vio_net_of(d)->wants);
    return 0;
}

static void vio_net_config(struct virtio_dev *d, struct io_access *a)
{
    virtio_config_read(&vio_net_of(d)->config, a);
}

static void vio_net_release(struct vio_net *n)
{
    struct vm *vm = n->dev.vm;

    if (n->ring.v)
        vm_pages_free(vm, n->ring, NET_RING_ORDER);
    vm_free(vm, n, sizeof *n);
}

static void vio_net_destroy(struct virtio_dev *d)
{
    net_port_remove(&vio_net_of(d)->port);
    vio_net_release(vio_net_of(d));
}

struct net_saved {
    uint8_t mac[6];
    uint8_t pad[2]; /* 0 */
    struct net_wants wants;
};
static_assert(sizeof(struct net_saved) == VIRTIO_OWN, "a saved state");

/* What waits in the queue is lost, as on any network: it is no part of the state. */
static void vio_net_save(struct virtio_dev *d, uint8_t *own)
{
    struct net_saved s = { .wants = vio_net_of(d)->wants };

    memcpy(s.mac, vio_net_of(d)->config.mac, sizeof s.mac);
    memcpy(own, &s, sizeof s);
}

/* The driver knows the address, and the switch lets it send from no other. */
static int vio_net_restore(struct virtio_dev *d, const uint8_t *own)
{
    struct net_saved s;

    memcpy(&s, own, sizeof s);
    if (memcmp(s.mac, vio_net_of(d)->config.mac, sizeof s.mac) != 0 ||
        !state_all_zero(s.pad, sizeof s.pad) || net_wants_check(&s.wants, net_pairs(d)))
        return -EINVAL;
    vio_net_of(d)->wants = s.wants;
    return 0;
}

static const struct virtio_ops ops = {
    .name = "net",
    .id = DEVICE_NET,
    .class_code = 0x020000,
    .config_len = sizeof(struct net_config),
    .activate = vio_net_activate,
    .reset = vio_net_reset,
    .kick = vio_net_kick,
    .config = vio_net_config,
    .save = vio_net_save,
    .restore = vio_net_restore,
    .free = vio_net_destroy,
};
static const struct net_port_ops port_ops = { .deliver = vio_net_deliver,
                                              .is_far_ahead = vio_net_is_far_ahead,
                                              .pay = vio_net_pay };

static void vio_net_set_up(struct vio_net *n, struct vm *vm, const struct net_switch *s,
                           const struct guest_net *g)
{
    unsigned pairs = (unsigned)min_u64(max_u64(vm->config->vcpus, 1), PAIRS);

    n->dev = (struct virtio_dev){ .ops = &ops,
                                  .vm = vm,
                                  .nqueues = (uint16_t)(2 * pairs + 1),
                                  .input_queues = 1u << RX,
                                  .features = VIRTIO_FEATURES_COMMON };
    for (unsigned i = 0; i < ARRAY_SIZE(offered); i++)
        n->dev.features |= VIRTIO_BIT(offered[i]);
    n->dev.features |= pairs > 1 ? VIRTIO_BIT(NET_F_MQ) : 0;
    n->config = (struct net_config){ .status = LINK_UP,
                                     .max_virtqueue_pairs = (uint16_t)pairs,
                                     .mtu = (uint16_t)s->mtu };
    net_mac_to(g->mac, n->config.mac);
    net_wants_reset(&n->wants);
    n->port = (struct net_port){ .ops = &port_ops,
                                 .mac = g->mac,
                                 .ip = nat_guest_ip(s, g->mac),
                                 .isolated = g->isolated,
                                 .access = g->access };
    snprintf(n->port.name, sizeof n->port.name, "%s", vm->config->name);
}

/* With memory for its queue, on the switch, and on the bus. */
static int vio_net_plug_in(struct vio_net *n, struct net_switch *s)
{
    int e;

    n->ring = vm_pages(n->dev.vm, NET_RING_ORDER);
    if (!n->ring.v)
        return -ENOMEM;
    net_queue_init(&n->queue, phys_to_virt(n->ring), PAGE_SIZE << NET_RING_ORDER);
    e = net_port_add(s, &n->port);
    if (e)
        return e;
    e = virtio_add(&n->dev);
    if (e)
        net_port_remove(&n->port);
    return e;
}

int vio_net_create(struct vm *vm, struct net_switch *s, const struct guest_net *g,
                   struct virtio_dev **out)
{
    struct vio_net *n = vm_alloc(vm, sizeof *n);
    int e;

    if (!n)
        return -ENOMEM;
    vio_net_set_up(n, vm, s, g);
    e = vio_net_plug_in(n, s);
    if (e)
        vio_net_release(n);
    else
        *out = &n->dev;
    return e;
}
