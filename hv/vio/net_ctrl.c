/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-net's control queue (virtio 1.2 §5.1.6.5). Frames are filtered where they leave the
 * device's own queue, on its CPU: the receiver pays for what it does not want.
 */
#include "net_ctrl.h"
#include <hv/net_wire.h>
#include <hv/nospec.h>
#include <hv/state.h>
#include <string.h>

/* §5.1.6.5 */
enum { CLASS_RX = 0, CLASS_MAC = 1, CLASS_VLAN = 2, CLASS_MQ = 4 };
enum { MAC_TABLE_SET = 0, MAC_ADDR_SET = 1, VLAN_ADD = 0, VLAN_DEL = 1 };
enum { PAIRS_SET = 0, HEAD = 2 };
enum { COST_MAC = 1, VID = 0xfff };

void net_wants_reset(struct net_wants *w)
{
    *w = (struct net_wants){ .flags = NET_PROMISC, .pairs = 1 };
}

int net_wants_check(const struct net_wants *w, unsigned most)
{
    unsigned n = w->nuni + w->nmulti;

    return n <= NET_CTRL_MACS && w->pairs >= 1 && w->pairs <= most &&
                   state_all_zero(w->pad, sizeof w->pad) &&
                   state_all_zero((const uint8_t *)w->mac + n * 6, sizeof w->mac - n * 6)
               ? 0
               : -EINVAL;
}

/* ---- commands ---- */

struct ctrl {
    struct net_wants *w;
    const struct virtio_dev *d;
    const uint8_t *own; /* its address */
    const struct iov *iov;
    unsigned n;
    uint64_t bytes; /* of the whole command */
    uint8_t cmd;
    uint32_t *cost;
};

static bool ctrl_read(const struct ctrl *c, uint64_t at, void *to, uint64_t len)
{
    return iov_read(c->iov, c->n, at, to, len) == len;
}

/* PROMISC and ALLMULTI, then those of CTRL_RX_EXTRA: one byte, on or off. */
static bool ctrl_rx(const struct ctrl *c)
{
    unsigned feature = c->cmd <= 1 ? NET_F_CTRL_RX : NET_F_CTRL_RX_EXTRA;
    uint8_t bit, on;

    if (c->cmd > 5 || !virtio_has(c->d, feature) || c->bytes != HEAD + 1 ||
        !ctrl_read(c, HEAD, &on, 1))
        return false;
    bit = (uint8_t)(1u << c->cmd);
    c->w->flags = (uint8_t)(on ? c->w->flags | bit : c->w->flags & ~bit);
    return true;
}

/* One of the two lists of TABLE_SET at *at: a number, then so many addresses. Moves *at behind. */
static bool ctrl_list(const struct ctrl *c, struct net_wants *to, uint8_t *count, unsigned first,
                      uint8_t many, uint64_t *at)
{
    uint8_t number[4];
    uint32_t n;

    if (!ctrl_read(c, *at, number, sizeof number))
        return false;
    n = (uint32_t)get_le(number, sizeof number);
    *at += sizeof number;
    if (n > (c->bytes - *at) / 6)
        return false;
    if (n > NET_CTRL_MACS - first)
        to->flags |= many;
    else if (n && !ctrl_read(c, *at, to->mac + first, n * 6ull))
        return false;
    else
        *count = (uint8_t)n;
    *at += n * 6ull;
    *c->cost += n * COST_MAC;
    return true;
}

/* Both lists, or none of them is taken. */
static bool ctrl_table(const struct ctrl *c)
{
    struct net_wants to = { .flags = c->w->flags & (uint8_t) ~(NET_MANY_UNI | NET_MANY_MULTI),
                            .pairs = c->w->pairs };
    uint64_t at = HEAD;

    if (!virtio_has(c->d, NET_F_CTRL_RX) || !ctrl_list(c, &to, &to.nuni, 0, NET_MANY_UNI, &at) ||
        !ctrl_list(c, &to, &to.nmulti, to.nuni, NET_MANY_MULTI, &at) || at != c->bytes)
        return false;
    memcpy(to.vlan, c->w->vlan, sizeof to.vlan);
    *c->w = to;
    return true;
}

/* The switch lets a port send from its own address alone, so that another is of no use. */
static bool ctrl_address(const struct ctrl *c)
{
    uint8_t mac[6];

    return virtio_has(c->d, NET_F_CTRL_MAC_ADDR) && c->bytes == HEAD + sizeof mac &&
           ctrl_read(c, HEAD, mac, sizeof mac) && memcmp(mac, c->own, sizeof mac) == 0;
}

static bool ctrl_mac(const struct ctrl *c)
{
    return c->cmd == MAC_TABLE_SET ? ctrl_table(c) : c->cmd == MAC_ADDR_SET && ctrl_address(c);
}

static bool ctrl_vlan(const struct ctrl *c)
{
    uint8_t number[2];
    uint64_t *word, bit;
    unsigned vid;

    if (c->cmd > VLAN_DEL || !virtio_has(c->d, NET_F_CTRL_VLAN) ||
        c->bytes != HEAD + sizeof number || !ctrl_read(c, HEAD, number, sizeof number))
        return false;
    vid = (unsigned)get_le(number, sizeof number);
    if (vid > VID)
        return false;
    word = &c->w->vlan[index_nospec(vid / 64, ARRAY_SIZE(c->w->vlan))];
    bit = 1ull << vid % 64;
    *word = c->cmd == VLAN_ADD ? *word | bit : *word & ~bit;
    return true;
}

/* VQ_PAIRS_SET: §5.1.6.5.6 */
static bool ctrl_pairs(const struct ctrl *c)
{
    uint8_t number[2];
    unsigned n;

    if (c->cmd != PAIRS_SET || !virtio_has(c->d, NET_F_MQ) || c->bytes != HEAD + sizeof number ||
        !ctrl_read(c, HEAD, number, sizeof number))
        return false;
    n = (unsigned)get_le(number, sizeof number);
    if (n < 1 || n > net_pairs(c->d))
        return false;
    c->w->pairs = (uint8_t)n;
    return true;
}

bool net_ctrl(struct net_wants *w, const struct virtio_dev *d, const uint8_t mac[6],
              const struct iov *iov, unsigned n, uint32_t *cost)
{
    static bool (*const classes[])(const struct ctrl *) = { [CLASS_RX] = ctrl_rx,
                                                            [CLASS_MAC] = ctrl_mac,
                                                            [CLASS_VLAN] = ctrl_vlan,
                                                            [CLASS_MQ] = ctrl_pairs };
    struct ctrl c = {
        .w = w, .d = d, .own = mac, .iov = iov, .n = n, .bytes = iov_bytes(iov, n), .cost = cost
    };
    bool (*class)(const struct ctrl *);
    uint8_t head[HEAD];

    if (!virtio_has(d, NET_F_CTRL_VQ) || !ctrl_read(&c, 0, head, sizeof head) ||
        head[0] >= ARRAY_SIZE(classes))
        return false;
    c.cmd = head[1];
    class = classes[index_nospec(head[0], ARRAY_SIZE(classes))];
    return class && class(&c);
}

/* ---- frames ---- */

static bool wants_listed(const struct net_wants *w, unsigned from, unsigned n, const uint8_t *to)
{
    for (unsigned i = from; i < from + n; i++)
        if (memcmp(w->mac[i], to, 6) == 0)
            return true;
    return false;
}

/*
 * Untagged frames are of no VLAN. With no VLAN in the table nothing is left out: drivers negotiate
 * the filter and then do without (FreeBSD's, unless it is told otherwise).
 */
static bool wants_vlan(const struct net_wants *w, const uint8_t *frame, uint32_t len)
{
    unsigned vid;

    if (len < NET_HEAD + NET_TAG || net_get16(frame + 12) != TYPE_VLAN ||
        state_all_zero(w->vlan, sizeof w->vlan))
        return true;
    vid = net_get16(frame + 14) & VID;
    return w->vlan[index_nospec(vid / 64, ARRAY_SIZE(w->vlan))] >> vid % 64 & 1;
}

bool net_wants(const struct net_wants *w, const struct virtio_dev *d, const uint8_t mac[6],
               const uint8_t *frame, uint32_t len)
{
    net_mac to = net_mac_from(frame);

    if (w->flags & NET_PROMISC)
        return true;
    if (virtio_has(d, NET_F_CTRL_VLAN) && !wants_vlan(w, frame, len))
        return false;
    if (to == NET_MAC_BROADCAST)
        return !(w->flags & NET_NOBCAST);
    if (net_mac_is_group(to))
        return !(w->flags & NET_NOMULTI) && (w->flags & (NET_ALLMULTI | NET_MANY_MULTI) ||
                                             wants_listed(w, w->nuni, w->nmulti, frame));
    return !(w->flags & NET_NOUNI) &&
           (w->flags & (NET_ALLUNI | NET_MANY_UNI) || memcmp(mac, frame, 6) == 0 ||
            wants_listed(w, 0, w->nuni, frame));
}
