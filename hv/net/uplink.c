/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * uplink.c: a NIC as a port of a switch. What ports send to it is copied once, into buffers that
 * the device reads; what it receives is copied from the device's buffers by who gets it. A sender
 * gets no more buffers than it leaves to others.
 */
#include <hv/assert.h>
#include <hv/irq.h>
#include <hv/log.h>
#include <hv/nic.h>
#include <hv/pmm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFERS = 128, SMALL = 2048, LARGE = 16384 };
static_assert(NET_FRAME_MAX <= LARGE, "a frame is in one buffer");

struct buffer {
    struct nic_frame frame;
    struct nic_seg seg;
    uint8_t *at;
    uint32_t from; /* the sender's port */
    struct buffer *next;
};
struct uplink {
    struct nic_user user;
    struct net_port port;
    hpa_t memory; /* of the buffers */
    unsigned order;
    struct spinlock lock;
    struct buffer *free; /* under lock, as are: */
    uint32_t nfree;
    uint32_t held[NET_PORTS]; /* buffers of each sender */
    struct net_learned learned[NET_LEARNED];
    struct buffer buffer[BUFFERS];
};

/* ---- from the switch to the NIC ---- */

static struct buffer *uplink_take(struct uplink *u, unsigned from)
{
    struct buffer *b;

    spin_lock(&u->lock);
    b = u->held[from] < u->nfree ? u->free : NULL;
    if (b) {
        u->free = b->next;
        u->nfree--;
        u->held[from]++;
    }
    spin_unlock(&u->lock);
    return b;
}

static void uplink_give(struct uplink *u, struct buffer *b)
{
    spin_lock(&u->lock);
    u->held[b->from]--;
    u->nfree++;
    b->next = u->free;
    u->free = b;
    spin_unlock(&u->lock);
}

/* The frame, filled up with zeros to the least length. */
static void uplink_fill(struct buffer *b, const struct net_frame *f)
{
    net_frame_copy(f, b->at);
    b->frame.len = f->len;
    if (f->len < NIC_FRAME_MIN) {
        memset(b->at + f->len, 0, NIC_FRAME_MIN - f->len);
        b->frame.len = NIC_FRAME_MIN;
    }
    b->seg.len = b->frame.len;
}

static bool uplink_deliver(struct net_port *p, unsigned from, const struct net_frame *f)
{
    struct uplink *u = container_of(p, struct uplink, port);
    struct nic *n = u->user.nic;
    struct buffer *b = uplink_take(u, from);

    if (!b)
        return false;
    b->from = from;
    uplink_fill(b, f);
    if (n->ops->send(n, &b->frame) == 0)
        return true;
    uplink_give(u, b);
    return false;
}

static void sent(struct nic_user *user, struct nic_frame *f)
{
    uplink_give(container_of(user, struct uplink, user), container_of(f, struct buffer, frame));
}

/* ---- from the NIC to the switch ---- */

static void received(struct nic_user *user, const uint8_t *frame, uint32_t len)
{
    struct uplink *u = container_of(user, struct uplink, user);
    struct iov rest = { .base = (uint8_t *)(uintptr_t)frame + NET_HEAD, .len = len - NET_HEAD };
    struct net_frame f = { .len = len, .iov = &rest, .niov = 1 };

    memcpy(f.head, frame, NET_HEAD);
    net_send(&u->port, &f);
}

static void uplink_link(struct nic_user *user)
{
    const struct nic *n = user->nic;

    if (!n->up)
        log_warn("%s: no link", n->name);
    else if (n->speed)
        log_info("%s: link up, %u Mbit/s", n->name, n->speed);
    else
        log_info("%s: link up", n->name);
}

static const struct nic_user_ops user_ops = { .received = received,
                                              .sent = sent,
                                              .link = uplink_link };
static const struct net_port_ops port_ops = { .deliver = uplink_deliver };

/* ---- making it ---- */

static bool uplink_make_buffers(struct uplink *u, uint32_t each)
{
    u->order = pmm_order((uint64_t)each * BUFFERS);
    u->memory = pmm_alloc_zero(u->order, PMM_HV); /* charge: an uplink is Trivet's own */
    for (unsigned i = 0; u->memory.v && i < BUFFERS; i++) {
        struct buffer *b = &u->buffer[i];

        b->seg.at = hpa(u->memory.v + (uint64_t)i * each);
        b->at = phys_to_virt(b->seg.at);
        b->frame = (struct nic_frame){ .seg = &b->seg, .nseg = 1 };
        b->next = u->free;
        u->free = b;
        u->nfree++;
    }
    return u->memory.v != 0;
}

static struct uplink *uplink_make(const struct nic *n, const struct net_switch *s)
{
    struct uplink *u = calloc(1, sizeof *u); /* charge: as above */

    if (!u)
        return NULL;
    if (!uplink_make_buffers(u, s->mtu + NET_HEAD + NET_TAG <= SMALL ? SMALL : LARGE)) {
        free(u);
        return NULL;
    }
    spin_init(&u->lock, LOCK_NET);
    u->user.ops = &user_ops;
    snprintf(u->user.holder, sizeof u->user.holder, "switch %s", s->name);
    u->port = (struct net_port){ .ops = &port_ops, .mac = n->mac, .learned = u->learned };
    snprintf(u->port.name, sizeof u->port.name, "%s", n->name);
    return u;
}

static int plug_in(struct uplink *u, struct nic *n, struct net_switch *s, char *why, size_t len)
{
    const struct nic_mode mode = { .mtu = s->mtu, .all = true };
    int err = net_port_add(s, &u->port);

    if (err) {
        snprintf(why, len, "the switch has no port left");
        return err;
    }
    err = nic_open(n, &u->user, &mode, why, len);
    if (err) {
        net_port_remove(&u->port);
        return err;
    }
    net_port_up(&u->port);
    n->ops->poll(n); /* it starts now, not beside the first guests */
    return 0;
}

int nic_uplink(struct nic *n, struct net_switch *s, const struct net_access *access, char *why,
               size_t len)
{
    struct uplink *u = uplink_make(n, s);
    int err;

    assert_cpu0();
    if (!u) {
        snprintf(why, len, "out of memory");
        return -ENOMEM;
    }
    u->port.access = *access;
    err = plug_in(u, n, s, why, len);
    if (err) {
        pmm_free(u->memory, u->order, PMM_HV);
        free(u);
    }
    return err;
}
