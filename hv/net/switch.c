/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * switch.c: from which port to which; see <hv/net.h>. The lock of a switch guards who is there and
 * what was learned. It is never held while a frame is handed over: a port that was chosen is kept
 * from going by its count of users.
 */
#include <hv/assert.h>
#include <hv/irq.h>
#include <hv/net.h>
#include <hv/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS 1000000000ull
/* A port may save up what it may send to all for so long, and send it at once. */
#define FLOOD_BURST_NS (SECOND_NS / 4)
/* Of one long frame: it is cut for each receiver, at one go. 64 KiB in frames of 1500 bytes are 45.
 */
#define FLOOD_FRAMES 64
#define GROUP_LINK_LOCAL 0x0180c2000000ull /* IEEE 802.1Q §8.6.3: 16 that no bridge forwards */

static struct net_switch *switches;

static void switch_add(uint64_t *counter, uint64_t n)
{
    __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

void net_count_bad(struct net_port *p) { switch_add(&p->count.bad, 1); }
void net_count_dropped(struct net_port *p) { switch_add(&p->count.dropped, 1); }
void net_count_filtered(struct net_port *p) { switch_add(&p->count.filtered, 1); }

/* ---- switches ---- */

int net_add(const char *name, uint32_t mtu, uint32_t floods)
{
    struct net_switch **p = &switches;
    /* charge: the configuration's switches are Trivet's own */
    struct net_switch *s = calloc(1, sizeof *s);

    hv_assert(mtu >= NET_MTU_MIN && mtu <= NET_MTU_MAX && floods > 0);
    hv_assert(!net_find(name));
    if (!s)
        return -ENOMEM;
    snprintf(s->name, sizeof s->name, "%s", name);
    s->mtu = mtu;
    s->floods = floods;
    spin_init(&s->lock, LOCK_NET);
    while (*p)
        p = &(*p)->next;
    *p = s;
    return 0;
}

struct net_switch *net_by_index(unsigned i)
{
    struct net_switch *s = switches;

    for (; s && i; i--)
        s = s->next;
    return s;
}

struct net_switch *net_find(const char *name)
{
    struct net_switch *s = switches;

    while (s && strcmp(s->name, name) != 0)
        s = s->next;
    return s;
}

/* ---- ports ---- */

/* The port whose own address this is, or NULL. Under the lock. */
static struct net_port *owner_of(const struct net_switch *s, net_mac mac)
{
    debug_assert_held(&s->lock);
    for (unsigned i = 0; i < NET_PORTS; i++)
        if (s->port[i] && !s->port[i]->learned && s->port[i]->mac == mac)
            return s->port[i];
    return NULL;
}

struct net_port *net_port_of(struct net_switch *s, net_mac mac)
{
    struct net_port *p;

    assert_cpu0();
    spin_lock(&s->lock);
    p = owner_of(s, mac);
    spin_unlock(&s->lock);
    return p;
}

static int switch_place(struct net_switch *s, struct net_port *p)
{
    if (!p->learned && owner_of(s, p->mac))
        return -EEXIST;
    for (unsigned i = 0; i < NET_PORTS; i++) {
        if (s->port[i])
            continue;
        s->port[i] = p;
        p->index = i;
        return 0;
    }
    return -ENOSPC;
}

int net_port_add(struct net_switch *s, struct net_port *p)
{
    int err;

    assert_cpu0();
    hv_assert(p->ops && (p->learned || net_mac_is_station(p->mac)));
    p->net = s;
    p->up = false;
    p->users = 0;
    p->flood_credit_ns = 0;
    p->flood_ns = p->out.ns = p->in.ns = time_ns();
    p->out.credit = p->in.credit = 0;
    spin_lock(&s->lock);
    err = switch_place(s, p);
    spin_unlock(&s->lock);
    return err;
}

void net_port_up(struct net_port *p)
{
    spin_lock(&p->net->lock);
    p->up = true;
    p->nclaims = 0;
    memset(p->claim, 0, sizeof p->claim);
    spin_unlock(&p->net->lock);
}

void net_port_down(struct net_port *p)
{
    debug_assert_no_locks();
    spin_lock(&p->net->lock);
    p->up = false;
    spin_unlock(&p->net->lock);
    while (__atomic_load_n(&p->users, __ATOMIC_ACQUIRE))
        cpu_relax();
}

void net_port_remove(struct net_port *p)
{
    struct net_switch *s = p->net;

    assert_cpu0();
    net_capture_forget(p);
    spin_lock(&s->lock);
    hv_assert(s->port[p->index] == p && !p->up);
    s->port[p->index] = NULL;
    spin_unlock(&s->lock);
}

/* ---- learning: an address is known by VLAN ---- */

static net_mac switch_key_of(net_mac mac, const struct net_tagged *t)
{
    return mac | (uint64_t)t->vid << 48;
}

static struct net_learned *set_of(struct net_port *p, net_mac mac)
{
    uint32_t h = (uint32_t)((mac * 0x9e3779b97f4a7c15ull) >> 40);

    return &p->learned[h % (NET_LEARNED / NET_LEARNED_WAYS) * NET_LEARNED_WAYS];
}

static bool is_fresh(const struct net_learned *l, uint64_t now)
{
    return l->mac && now - l->seen_ns < NET_AGE_NS;
}

/* Under the lock. Other ports are not looked at: an address that moved is forgotten by `forget`. */
static void switch_learn(struct net_port *p, net_mac mac, uint64_t now)
{
    struct net_learned *set = set_of(p, mac), *free = NULL;

    for (unsigned i = 0; i < NET_LEARNED_WAYS; i++) {
        if (set[i].mac == mac) {
            set[i].seen_ns = now;
            return;
        }
        if (!is_fresh(&set[i], now))
            free = &set[i];
    }
    if (free)
        *free = (struct net_learned){ mac, now };
    else
        switch_add(&p->count.unlearned, 1);
}

static struct net_learned *switch_known(struct net_port *p, net_mac mac, uint64_t now)
{
    struct net_learned *set = set_of(p, mac);

    for (unsigned i = 0; i < NET_LEARNED_WAYS; i++)
        if (set[i].mac == mac && is_fresh(&set[i], now))
            return &set[i];
    return NULL;
}

/* The sender is seen on `p` now: nowhere else. Under the lock. */
static void note_sender(struct net_port *p, net_mac mac, uint64_t now)
{
    struct net_switch *s = p->net;

    switch_learn(p, mac, now);
    for (unsigned i = 0; i < NET_PORTS; i++) {
        struct net_port *o = s->port[i];
        struct net_learned *l = o && o != p && o->learned ? switch_known(o, mac, now) : NULL;

        if (l)
            l->mac = 0;
    }
}

/* ---- where a frame goes ---- */

/*
 * Who is to get a frame: n of them, each counted as a user. Under the lock.
 */
struct chosen {
    struct net_port *port[NET_PORTS];
    unsigned n;
    const struct net_frame *frame;
    struct net_frame form; /* *frame, where the sender left something of it to others */
    struct net_lead lead;
    struct net_tagged tagged;
    enum net_guard guard;
    struct net_looked looked;
    uint64_t now;
};

static void switch_choose(struct chosen *c, struct net_port *from, struct net_port *to)
{
    if (!to->up || to == from || (to->isolated && from->isolated) ||
        !net_vlan_may(to, c->frame, &c->tagged))
        return;
    if (to->access.rate && !net_bucket_take(&to->in, to->access.rate, c->frame->len, c->now)) {
        switch_add(&to->count.slowed, 1);
        return;
    }
    __atomic_fetch_add(&to->users, 1, __ATOMIC_ACQUIRE);
    c->port[c->n++] = to;
}

/* Frames that it is, or is to be cut into. */
static uint32_t switch_frames_of(const struct net_frame *f)
{
    return f->offload.gso ? net_offload_frames(f, (uint32_t)NET_HEAD + f->nlead) : 1;
}

/* Whether the port may send `frames` more to all. Under the lock. */
static bool may_flood(struct net_port *p, uint32_t frames, uint64_t now)
{
    uint64_t cost = SECOND_NS / p->net->floods * frames, most = max_u64(FLOOD_BURST_NS, cost);
    uint64_t have = min_u64(p->flood_credit_ns + (now - p->flood_ns), most);

    p->flood_ns = now;
    p->flood_credit_ns = have < cost ? have : have - cost;
    return have >= cost;
}

static void flood(struct chosen *c, struct net_port *from)
{
    uint32_t frames = switch_frames_of(c->frame);

    if (frames > FLOOD_FRAMES || !may_flood(from, frames, c->now)) {
        switch_add(&from->count.limited, 1);
        return;
    }
    for (unsigned i = 0; i < NET_PORTS; i++)
        if (from->net->port[i])
            switch_choose(c, from, from->net->port[i]);
}

static struct net_port *learned_where(const struct net_switch *s, net_mac mac, uint64_t now)
{
    for (unsigned i = 0; i < NET_PORTS; i++)
        if (s->port[i] && s->port[i]->learned && switch_known(s->port[i], mac, now))
            return s->port[i];
    return NULL;
}

static void route(struct chosen *c, struct net_port *from, net_mac to)
{
    struct net_port *one;

    if ((to & ~0xfull) == GROUP_LINK_LOCAL)
        return;
    one = net_mac_is_group(to) ? NULL : owner_of(from->net, to);
    if (!one && !net_mac_is_group(to))
        one = learned_where(from->net, switch_key_of(to, &c->tagged), c->now);
    if (one)
        switch_choose(c, from, one);
    else
        flood(c, from);
}

/* ---- sending ---- */

static bool switch_is_sound(struct net_port *p, const struct net_frame *f, net_mac from)
{
    uint32_t most = p->net->mtu + NET_HEAD + NET_TAG;

    if (f->len >= NET_HEAD && (f->len <= most || f->offload.gso) && net_mac_is_station(from))
        return true;
    switch_add(&p->count.bad, 1);
    return false;
}

/* Under the lock. A port without learning has one address; no other may use one of those. */
static bool is_its_own(const struct net_port *p, net_mac from)
{
    return p->learned ? !owner_of(p->net, from) : from == p->mac;
}

/* Whether the port gets the frame as it is. */
static bool takes(const struct net_port *to, const struct net_frame *f, const struct chosen *c)
{
    uint32_t needs = f->offload.flags ? net_offload_needs(&f->offload, c->lead.v6) : 0;

    return !(needs & ~__atomic_load_n(&to->takes, __ATOMIC_RELAXED));
}

static void count_offload(struct net_port *to, const struct net_frame *f, const struct net_taken *t,
                          bool whole)
{
    if (whole) {
        switch_add(&to->count.whole, f->offload.gso ? t->frames : 0);
        return;
    }
    switch_add(&to->count.summed, t->frames + t->dropped);
    if (f->offload.gso) {
        switch_add(&to->count.cut, 1);
        switch_add(&to->count.segments, t->frames + t->dropped);
    }
}

static uint64_t hand_over(struct net_port *to, unsigned from, const struct chosen *c)
{
    struct net_frame form;
    const struct net_frame *f = net_vlan_out(to, c->frame, &c->tagged, &form);
    struct net_taken t;
    bool whole = takes(to, f, c);

    if (whole) {
        bool taken = to->ops->deliver(to, from, f);

        t = (struct net_taken){ taken, !taken, taken ? f->len : 0 };
    } else {
        t = net_offload_out(to, from, f, &c->lead);
    }
    switch_add(&to->count.received, t.frames);
    switch_add(&to->count.received_bytes, t.bytes);
    switch_add(&to->count.dropped, t.dropped);
    if (f->offload.flags)
        count_offload(to, f, &t, whole);
    /* the last that is done with the port: it may be gone then */
    __atomic_fetch_sub(&to->users, 1, __ATOMIC_RELEASE);
    return whole ? t.bytes : f->len + t.bytes;
}

/* Under the lock. False: above its rate. */
static bool in_time(struct net_port *p, const struct chosen *c)
{
    if (!p->access.rate || net_bucket_take(&p->out, p->access.rate, c->frame->len, c->now))
        return true;
    switch_add(&p->count.slowed, 1);
    return false;
}

/* Under the lock. False: it is not sent at all. */
static bool switch_admit(struct net_port *p, const struct chosen *c, net_mac from)
{
    if (!is_its_own(p, from)) {
        switch_add(&p->count.spoofed, 1);
        return false;
    }
    if (c->guard == NET_GUARD_CLAIMS && !net_guard_claim(p, c->looked.addr)) {
        switch_add(&p->count.claimed, 1);
        return false;
    }
    if (!in_time(p, c))
        return false;
    if (p->learned)
        note_sender(p, switch_key_of(from, &c->tagged), c->now);
    return true;
}

/* What is left of the frame is checked, and its headers are kept. */
static bool look_at_offload(struct net_port *p, struct chosen *c)
{
    const struct net_offload *o = &c->frame->offload;

    if (!o->flags && !o->gso)
        return true;
    if (!net_offload_in(c->frame, p->net->mtu, &c->lead, &c->form)) {
        switch_add(&p->count.bad, 1);
        return false;
    }
    c->frame = &c->form;
    return true;
}

/* The sender may speak of the IP addresses that it speaks of. */
static bool look_at_addresses(struct net_port *p, struct chosen *c)
{
    c->guard = NET_GUARD_PASSES;
    if (!p->ip)
        return true;
    c->guard = net_guard_look(p, c->frame, &c->looked, &c->form);
    c->frame = &c->form;
    if (c->guard != NET_GUARD_REFUSES)
        return true;
    switch_add(&p->count.claimed, 1);
    return false;
}

/* False: it is not sent at all. */
static bool choose_all(struct net_port *p, struct chosen *c)
{
    const struct net_frame *f = c->frame;
    net_mac from = net_mac_from(f->head + 6);
    bool may;

    if (!switch_is_sound(p, f, from) || !look_at_offload(p, c) || !look_at_addresses(p, c))
        return false;
    f = c->frame;
    if (!net_vlan_in(p, f, &c->tagged)) {
        switch_add(&p->count.astray, 1);
        return false;
    }
    c->now = time_ns();
    spin_lock(&p->net->lock);
    may = switch_admit(p, c, from);
    if (may)
        route(c, p, net_mac_from(f->head));
    spin_unlock(&p->net->lock);
    return may;
}

uint64_t net_send(struct net_port *p, const struct net_frame *f)
{
    struct chosen c;
    uint64_t bytes = 0;

    debug_assert_no_locks();
    c.n = 0;
    c.frame = f;
    if (!choose_all(p, &c))
        return 0;
    f = c.frame;
    net_capture(p, f, c.port, c.n);
    switch_add(&p->count.sent, 1);
    switch_add(&p->count.sent_bytes, f->len);
    for (unsigned i = 0; i < c.n; i++)
        bytes += hand_over(c.port[i], p->index, &c);
    return bytes;
}
