/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vlan.c: which VLAN a frame belongs to, in which form a port gets it, and how fast; see
 * <hv/net.h>. "802.1Q" is IEEE 802.1Q-2018. A tag is read once, into memory of the switch's own. A
 * frame that goes to a trunk without a tag of the switch's never carries another tag first: that
 * would be read there as its VLAN.
 */
#include <hv/assert.h>
#include <hv/net.h>
#include <hv/net_wire.h>
#include <string.h>

enum { VID = 0xfff, VID_RESERVED = 0xfff }; /* 9.5 */
#define SECOND_NS 1000000000ull
#define BURST_PARTS 8 /* of what may pass in a second, so much at once */

void net_frame_copy(const struct net_frame *f, void *to)
{
    uint32_t left = f->len - NET_HEAD - f->pre, skip = f->skip, n;
    uint8_t *p = to;

    memcpy(p, f->head, NET_HEAD);
    memcpy(p + NET_HEAD, f->tag, f->pre);
    p += NET_HEAD + f->pre;
    if (f->nlead) {
        n = (uint32_t)min_u64(f->nlead - skip, left);
        memcpy(p, f->lead + skip, n);
        p += n;
        left -= n;
        skip = 0;
    }
    skip += f->at;
    for (unsigned i = 0; i < f->niov && left; i++) {
        uint32_t past = (uint32_t)min_u64(skip, f->iov[i].len);
        n = (uint32_t)min_u64(f->iov[i].len - past, left);
        memcpy(p, (const uint8_t *)f->iov[i].base + past, n);
        skip -= past;
        p += n;
        left -= n;
    }
    debug_assert(left == 0);
}

/* ---- VLANs ---- */

/* The four bytes behind the header. */
static bool read_tag(const struct net_frame *f, uint8_t *tag)
{
    struct net_frame first = *f;
    uint8_t both[NET_HEAD + NET_TAG];

    if (f->len < NET_HEAD + NET_TAG)
        return false;
    first.len = NET_HEAD + NET_TAG;
    net_frame_copy(&first, both);
    memcpy(tag, both + NET_HEAD, NET_TAG);
    return true;
}

/* With a tag, which a trunk gets. A long frame is cut into such as fit: net_offload_in(). */
static bool fits_untagged(const struct net_port *p, const struct net_frame *f)
{
    return f->len <= (f->offload.gso ? NET_BIG_MAX - NET_TAG : p->net->mtu + NET_HEAD);
}

bool net_vlan_in(const struct net_port *p, const struct net_frame *f, struct net_tagged *t)
{
    const struct net_access *a = &p->access;
    uint16_t type = net_get16(f->head + 12);

    *t = (struct net_tagged){ .vid = a->vlan };
    if (!a->trunk) /* one of no VLAN sends tags as it likes: they are nobody's business */
        return !a->vlan || (!net_is_tag(type) && fits_untagged(p, f));
    if (!net_is_tag(type))
        return fits_untagged(p, f);
    if (type == TYPE_PROVIDER || !read_tag(f, t->tag))
        return false;
    t->tagged = true;
    if (!(net_get16(t->tag) & VID)) /* a priority alone: 802.1Q 6.9.1 */
        return true;
    t->vid = net_get16(t->tag) & VID;
    return t->vid != VID_RESERVED && net_vlan_allowed(a, t->vid);
}

static bool goes_tagged(const struct net_port *to, const struct net_tagged *t)
{
    return to->access.trunk && t->vid != to->access.vlan;
}

bool net_vlan_may(const struct net_port *to, const struct net_frame *f, const struct net_tagged *t)
{
    uint16_t inner = net_get16(t->tagged ? t->tag + 2 : f->head + 12);

    if (!to->access.trunk)
        return t->vid == to->access.vlan;
    if (goes_tagged(to, t))
        return t->vid && net_vlan_allowed(&to->access, t->vid);
    return !net_is_tag(inner);
}

/* What is left of it lies so many bytes further. */
static void shift(struct net_offload *o, int by)
{
    if (o->flags & NET_NEEDS_CSUM)
        o->csum_start = (uint16_t)(o->csum_start + by);
    if (o->gso)
        o->hdr_len = (uint16_t)(o->hdr_len + by);
}

const struct net_frame *net_vlan_out(const struct net_port *to, const struct net_frame *f,
                                     const struct net_tagged *t, struct net_frame *form)
{
    bool tag = goes_tagged(to, t);
    const uint8_t *type = t->tagged ? t->tag + 2 : f->head + 12;

    if (!tag && !t->tagged)
        return f;
    *form = *f;
    form->skip = t->tagged ? NET_TAG : 0;
    form->len = f->len - form->skip;
    shift(&form->offload, (tag ? NET_TAG : 0) - form->skip);
    if (!tag) {
        memcpy(form->head + 12, type, 2);
        return form;
    }
    form->pre = NET_TAG;
    form->len += NET_TAG;
    net_put16(form->head + 12, TYPE_VLAN);
    net_put16(form->tag, (t->tagged ? net_get16(t->tag) & ~(unsigned)VID : 0) | t->vid);
    memcpy(form->tag + 2, type, 2);
    return form;
}

/* ---- rates ---- */

bool net_bucket_take(struct net_bucket *b, uint64_t rate, uint32_t bytes, uint64_t now)
{
    uint64_t most = max_u64(rate / BURST_PARTS, 2ull * NET_FRAME_MAX);
    uint64_t more = min_u64(now - b->ns, SECOND_NS) * rate / SECOND_NS;

    if (more) { /* time that gave no whole byte is kept */
        b->credit = min_u64(b->credit + more, most);
        b->ns = now;
    }
    if (b->credit < bytes)
        return false;
    b->credit -= bytes;
    return true;
}
