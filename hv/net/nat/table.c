/* SPDX-License-Identifier: BSD-2-Clause */
/* table.c: mappings and connections; see table.h. */
#include "table.h"
#include "port.h"
#include <hv/assert.h>
#include <string.h>
#include "packet.h"

#define SECONDS 1000000000ull
const uint64_t nat_idle_ns[NAT_CLASSES] = { [NAT_PING] = 60 * SECONDS,
                                            [NAT_OPENING] = 240 * SECONDS,
                                            [NAT_DATAGRAMS] = 300 * SECONDS,
                                            [NAT_ESTABLISHED] = 7440 * SECONDS };
enum { SYN_OUT = 1, SYN_IN = 2, FIN_OUT = 4, FIN_IN = 8, RESET = 16 };
enum { TRIES = 128 }; /* at a free port: at most half of them are in use */
static_assert(NAT_GUESTS * NAT_MAPS <= (65536 - NAT_PORT_MIN) / 2, "half of the ports are free");

/* ---- chains ---- */

static uint32_t hash(const struct nat_table *t, uint64_t a, uint64_t b)
{
    uint64_t h = (a ^ t->key[0]) * 0x9e3779b97f4a7c15ull;

    h = (h ^ h >> 29 ^ b ^ t->key[1]) * 0xbf58476d1ce4e5b9ull;
    h = (h ^ h >> 32 ^ t->key[0]) * 0x94d049bb133111ebull;
    return (uint32_t)(h >> 40);
}

static struct nat_map **in_chain(struct nat_table *t, uint32_t member, uint8_t proto, uint16_t port)
{
    return &t->in[hash(t, member, (uint64_t)proto << 16 | port) % ARRAY_SIZE(t->in)];
}

static struct nat_map **out_chain(struct nat_table *t, uint8_t proto, uint16_t port)
{
    return &t->out[hash(t, 1u << 20, (uint64_t)proto << 16 | port) % ARRAY_SIZE(t->out)];
}

static struct nat_conn **conn_chain(struct nat_table *t, const struct nat_map *m, uint32_t remote,
                                    uint16_t port)
{
    return &t->conn[hash(t, (uint64_t)m->out_port << 8 | m->proto, (uint64_t)remote << 16 | port) %
                    ARRAY_SIZE(t->conn)];
}

void table_init(struct nat_table *t)
{
    memset(t, 0, sizeof *t);
    for (unsigned i = 0; i < ARRAY_SIZE(t->key); i++)
        t->key[i] = (uint64_t)nat_random() << 32 | nat_random();
}

void table_member(struct nat_member *m, uint32_t number)
{
    hv_assert(number < NAT_GUESTS);
    memset(m, 0, sizeof *m);
    m->number = number;
    for (unsigned i = NAT_CONNS; i-- > 0;) {
        m->conn[i].next = m->free_conn;
        m->free_conn = &m->conn[i];
    }
    for (unsigned i = NAT_MAPS; i-- > 0;) {
        m->map[i].next_in = m->free_map;
        m->free_map = &m->map[i];
    }
}

/* ---- mappings ---- */

struct nat_map *table_port(struct nat_table *t, enum nat_proto proto, uint16_t out_port)
{
    struct nat_map *m = *out_chain(t, (uint8_t)proto, out_port);

    while (m && (m->out_port != out_port || m->proto != proto))
        m = m->next_out;
    return m;
}

static struct nat_map *map_inside(struct nat_table *t, const struct nat_member *member,
                                  uint8_t proto, uint16_t port)
{
    struct nat_map *m = *in_chain(t, member->number, proto, port);

    while (m && (m->in_port != port || m->proto != proto || m->member != member))
        m = m->next_in;
    return m;
}

/* The guest's own port where that is free (RFC 4787 §4.2.1), else any; 0: none was found. */
static uint16_t free_port(struct nat_table *t, uint8_t proto, uint16_t wanted)
{
    if (wanted >= NAT_PORT_MIN && !table_port(t, proto, wanted))
        return wanted;
    for (unsigned i = 0; i < TRIES; i++) {
        uint16_t port = (uint16_t)(NAT_PORT_MIN + nat_random() % (65536 - NAT_PORT_MIN));

        if (!table_port(t, proto, port))
            return port;
    }
    return 0;
}

static void map_chain(struct nat_table *t, struct nat_map *m)
{
    struct nat_map **out = out_chain(t, m->proto, m->out_port), **in;

    m->next_out = *out;
    *out = m;
    if (!m->member)
        return;
    in = in_chain(t, m->member->number, m->proto, m->in_port);
    m->next_in = *in;
    *in = m;
}

static void map_unchain(struct nat_table *t, struct nat_map *m)
{
    struct nat_map **p = out_chain(t, m->proto, m->out_port);

    while (*p != m)
        p = &(*p)->next_out;
    *p = m->next_out;
    if (!m->member)
        return;
    p = in_chain(t, m->member->number, m->proto, m->in_port);
    while (*p != m)
        p = &(*p)->next_in;
    *p = m->next_in;
}

static struct nat_map *map_open(struct nat_table *t, struct nat_member *member, uint8_t proto,
                                uint16_t in_port)
{
    struct nat_map *m = member->free_map;
    uint16_t port = m ? free_port(t, proto, in_port) : 0;

    if (!port)
        return NULL;
    member->free_map = m->next_in;
    member->maps++;
    *m = (struct nat_map){ .member = member, .in_port = in_port, .out_port = port, .proto = proto };
    map_chain(t, m);
    return m;
}

/* When the last connection of it has gone. */
static void map_close(struct nat_table *t, struct nat_map *m)
{
    map_unchain(t, m);
    m->member->maps--;
    m->next_in = m->member->free_map;
    m->member->free_map = m;
}

int table_forward(struct nat_table *t, struct nat_member *member, enum nat_proto proto,
                  uint16_t out_port, uint16_t in_port)
{
    struct nat_map *m = &t->forward[t->nforwards];

    if (t->nforwards == NAT_FORWARDS)
        return -ENOSPC;
    if (table_port(t, proto, out_port))
        return -EEXIST;
    *m = (struct nat_map){ .member = member,
                           .in_port = in_port,
                           .out_port = out_port,
                           .proto = (uint8_t)proto,
                           .fixed = true };
    t->nforwards++;
    map_chain(t, m);
    return 0;
}

bool table_take_port(struct nat_table *t, enum nat_proto proto, struct nat_map *m)
{
    *m = (struct nat_map){ .proto = (uint8_t)proto, .out_port = free_port(t, (uint8_t)proto, 0) };
    if (m->out_port)
        map_chain(t, m);
    return m->out_port != 0;
}

void table_give_port(struct nat_table *t, struct nat_map *m)
{
    hv_assert(!m->member && m->out_port);
    map_unchain(t, m);
    m->out_port = 0;
}

/* ---- connections ---- */

static void class_leave(struct nat_conn *c)
{
    struct nat_class_list *l = &c->map->member->class[c->class];

    *(c->older ? &c->older->newer : &l->oldest) = c->newer;
    *(c->newer ? &c->newer->older : &l->newest) = c->older;
}

static void class_join(struct nat_conn *c)
{
    struct nat_class_list *l = &c->map->member->class[c->class];

    c->newer = NULL;
    c->older = l->newest;
    *(l->newest ? &l->newest->newer : &l->oldest) = c;
    l->newest = c;
}

static void conn_close(struct nat_table *t, struct nat_conn *c)
{
    struct nat_conn **p = conn_chain(t, c->map, c->remote, c->remote_port);
    struct nat_member *member = c->map->member;

    while (*p != c)
        p = &(*p)->next;
    *p = c->next;
    class_leave(c);
    member->conns--;
    if (--c->map->conns == 0 && !c->map->fixed)
        map_close(t, c->map);
    c->map = NULL;
    c->next = member->free_conn;
    member->free_conn = c;
}

/* The one that is missed least; NULL: all are established. */
static struct nat_conn *least_needed(struct nat_member *member)
{
    for (unsigned i = 0; i < NAT_ESTABLISHED; i++)
        if (member->class[i].oldest)
            return member->class[i].oldest;
    return NULL;
}

/* Room for one more mapping and connection of the guest, where there can be. */
static void table_make_room(struct nat_table *t, struct nat_member *member)
{
    struct nat_conn *c;

    while ((!member->free_conn || !member->free_map) && (c = least_needed(member)))
        conn_close(t, c);
}

static struct nat_conn *conn_find(struct nat_table *t, const struct nat_map *m, uint32_t remote,
                                  uint16_t port)
{
    struct nat_conn *c = *conn_chain(t, m, remote, port);

    while (c && (c->map != m || c->remote != remote || c->remote_port != port))
        c = c->next;
    return c;
}

static uint8_t table_class_of(const struct nat_conn *c)
{
    static const uint8_t of[NAT_PROTOS] = { [NAT_UDP] = NAT_DATAGRAMS, [NAT_ICMP] = NAT_PING };

    if (c->map->proto != NAT_TCP)
        return of[c->map->proto];
    return (c->flags & (SYN_OUT | SYN_IN)) == (SYN_OUT | SYN_IN) && !(c->flags & RESET) &&
                   (c->flags & (FIN_OUT | FIN_IN)) != (FIN_OUT | FIN_IN)
               ? NAT_ESTABLISHED
               : NAT_OPENING;
}

static struct nat_conn *conn_open(struct nat_table *t, struct nat_map *m, uint32_t remote,
                                  uint16_t port, uint64_t now)
{
    struct nat_member *member = m->member;
    struct nat_conn *c = member->free_conn, **chain;

    if (!c)
        return NULL;
    member->free_conn = c->next;
    member->conns++;
    member->opened++;
    m->conns++;
    chain = conn_chain(t, m, remote, port);
    *c = (struct nat_conn){
        .next = *chain, .map = m, .seen_ns = now, .remote = remote, .remote_port = port
    };
    *chain = c;
    c->class = table_class_of(c);
    class_join(c);
    return c;
}

static bool is_stale(const struct nat_conn *c, uint64_t now)
{
    return now - c->seen_ns >= nat_idle_ns[c->class];
}

/* One that has not timed out, found or made. */
static struct nat_conn *conn_of(struct nat_table *t, struct nat_map *m, uint32_t remote,
                                uint16_t port, bool open, uint64_t now)
{
    struct nat_conn *c = conn_find(t, m, remote, port);

    if (c && !is_stale(c, now))
        return c;
    if (!open)
        return NULL;
    if (c) { /* the same again, from the beginning */
        class_leave(c);
        c->flags = 0;
        c->seen_ns = now;
        c->class = table_class_of(c);
        class_join(c);
        return c;
    }
    return conn_open(t, m, remote, port, now);
}

struct nat_conn *table_outward(struct nat_table *t, struct nat_member *member, enum nat_proto proto,
                               uint16_t in_port, uint32_t remote, uint16_t remote_port, bool open,
                               uint64_t now)
{
    uint16_t port = proto == NAT_TCP ? remote_port : 0;
    struct nat_map *m = map_inside(t, member, (uint8_t)proto, in_port);
    struct nat_conn *c = m ? conn_of(t, m, remote, port, false, now) : NULL;

    if (c || !open)
        return c;
    table_make_room(t, member);
    m = map_inside(t, member, (uint8_t)proto, in_port); /* it may have gone for room */
    if (!m)
        m = map_open(t, member, (uint8_t)proto, in_port);
    c = m ? conn_of(t, m, remote, port, true, now) : NULL;
    if (!c)
        member->refused++;
    return c;
}

struct nat_conn *table_inward(struct nat_table *t, enum nat_proto proto, uint16_t out_port,
                              uint32_t remote, uint16_t remote_port, bool open, uint64_t now)
{
    uint16_t port = proto == NAT_TCP ? remote_port : 0;
    struct nat_map *m = table_port(t, proto, out_port);
    struct nat_conn *c = m && m->member ? conn_of(t, m, remote, port, false, now) : NULL;

    if (c || !m || !m->fixed || !open)
        return c;
    table_make_room(t, m->member);
    c = conn_of(t, m, remote, port, true, now);
    if (!c)
        m->member->refused++;
    return c;
}

void table_pass(struct nat_conn *c, bool outward, uint8_t tcp, uint64_t now)
{
    if ((tcp & (TCP_SYN | TCP_ACK)) == TCP_SYN && c->class != NAT_ESTABLISHED)
        c->flags = 0; /* the same ports, from the beginning */
    if (tcp & TCP_SYN)
        c->flags |= outward ? SYN_OUT : SYN_IN;
    if (tcp & TCP_FIN)
        c->flags |= outward ? FIN_OUT : FIN_IN;
    if (tcp & TCP_RST)
        c->flags |= RESET;
    else if (tcp & TCP_ACK) /* it lives: the reset was not for it (RFC 7857 §2.2) */
        c->flags &= (uint8_t)~RESET;
    class_leave(c);
    c->seen_ns = now;
    c->class = table_class_of(c);
    class_join(c);
}

bool table_expire(struct nat_table *t, struct nat_member *member, unsigned most, uint64_t now)
{
    bool more = false;

    for (unsigned i = 0; i < NAT_CLASSES; i++) {
        struct nat_conn *c;
        unsigned n = 0;

        for (; (c = member->class[i].oldest) && is_stale(c, now) && n < most; n++)
            conn_close(t, c);
        more |= n == most;
    }
    return more;
}

void table_clear(struct nat_table *t, struct nat_member *member)
{
    for (unsigned i = 0; i < NAT_CLASSES; i++)
        while (member->class[i].oldest)
            conn_close(t, member->class[i].oldest);
}
