/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * translate.c: packets between a guest and the uplink (RFC 3022, 4787, 5382, 5508). Every packet is
 * one of a connection; what it changes is addresses, ports, identifiers, and their checksums.
 */
#include "gate.h"

enum { ERROR_NS = 20000000, ERROR_BURST = 20 }; /* 50 ICMP errors a second to each guest */
enum { QUOTE_AT = ICMP_HEAD };

void translate_refuse(struct nat_guest *g, const struct packet *about, uint8_t type, uint8_t code,
                      uint16_t mtu, uint64_t now)
{
    struct packet e;

    if (g->error_ns < now)
        g->error_ns = now;
    if (g->error_ns - now >= (uint64_t)ERROR_NS * ERROR_BURST ||
        !packet_make_error(&e, nat->error, about, nat->config.inside, type, code, mtu))
        return;
    g->error_ns += ERROR_NS;
    gate_to_guest(g, &e);
}

static enum nat_proto proto_of(const struct packet *p)
{
    return p->proto == PROTO_TCP ? NAT_TCP : p->proto == PROTO_UDP ? NAT_UDP : NAT_ICMP;
}

static uint8_t tcp_flags(const struct packet *p)
{
    return p->proto == PROTO_TCP ? packet_tcp_flags(p) : 0;
}

/* Whether a packet may begin a connection. */
static bool may_open(const struct packet *p, uint8_t echo)
{
    if (p->proto == PROTO_TCP)
        return (packet_tcp_flags(p) & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
    return p->proto == PROTO_UDP || p->l4[0] == echo;
}

static void limit_mss(struct packet *p)
{
    uint64_t mtu = min_u64(nat->in.mtu, nat->out.mtu);

    if (tcp_flags(p) & TCP_SYN)
        packet_limit_mss(p, (uint16_t)(mtu - IP_MIN - TCP_MIN));
}

/* ---- errors about packets of a connection: RFC 5508 §4 ---- */

static bool is_error(const struct packet *p)
{
    uint8_t type = p->proto == PROTO_ICMP && p->len - p->hl > QUOTE_AT ? p->l4[0] : 0;

    return !packet_is_fragment(p) &&
           (type == ICMP_UNREACHABLE || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER);
}

/*
 * The packet that an error is about, of which only the beginning is there: 8 bytes behind its
 * header. False: less, or it is of no connection.
 */
struct quote {
    uint8_t *ip, *l4;
    uint32_t src, dst;
    uint16_t sport, dport;
    uint8_t proto;
};

static bool read_quote(struct quote *q, const struct packet *p)
{
    uint32_t len = p->len - p->hl - QUOTE_AT, hl;

    q->ip = p->l4 + QUOTE_AT;
    hl = (q->ip[0] & 15u) * 4;
    if (len < IP_MIN || q->ip[0] >> 4 != 4 || hl < IP_MIN || len < hl + 8 ||
        net_get16(q->ip + 6) & IP_OFFSET)
        return false;
    q->l4 = q->ip + hl;
    q->proto = q->ip[9];
    q->src = net_get32(q->ip + 12);
    q->dst = net_get32(q->ip + 16);
    if (q->proto == PROTO_ICMP) {
        q->sport = q->dport = net_get16(q->l4 + 4);
        return q->l4[0] == ICMP_ECHO || q->l4[0] == ICMP_ECHO_REPLY;
    }
    q->sport = net_get16(q->l4);
    q->dport = net_get16(q->l4 + 2);
    return q->proto == PROTO_TCP || q->proto == PROTO_UDP;
}

static enum nat_proto quote_proto(const struct quote *q)
{
    return q->proto == PROTO_TCP ? NAT_TCP : q->proto == PROTO_UDP ? NAT_UDP : NAT_ICMP;
}

/* The checksum behind the quoted header; NULL: it has none, or it is not among the 8 bytes. */
static uint8_t *quote_sum(const struct quote *q)
{
    if (q->proto == PROTO_ICMP)
        return q->l4 + 2;
    return q->proto == PROTO_UDP && net_get16(q->l4 + 6) ? q->l4 + 6 : NULL;
}

/* Writes into the quote, and makes good for it in the checksums that are there. */
static void requote(struct quote *q, bool source, uint32_t ip, uint16_t port)
{
    uint8_t *at = q->ip + (source ? 12 : 16), *port_at = q->l4 + (source ? 0 : 2);
    uint8_t *sum = quote_sum(q);

    if (q->proto == PROTO_ICMP)
        port_at = q->l4 + 4;
    for (unsigned i = 0; i < 4; i += 2) {
        csum_change(q->ip + 10, net_get16(at + i), (uint16_t)(ip >> (i ? 0 : 16)));
        if (sum && q->proto == PROTO_UDP)
            csum_change(sum, net_get16(at + i), (uint16_t)(ip >> (i ? 0 : 16)));
    }
    net_put32(at, ip);
    if (sum)
        csum_change(sum, net_get16(port_at), port);
    net_put16(port_at, port);
}

/* The outer packet's new address, and its checksums. */
static void readdress(struct packet *p, bool source, uint32_t ip)
{
    uint8_t *at = p->ip + (source ? 12 : 16);

    for (unsigned i = 0; i < 4; i += 2)
        csum_change(p->ip + 10, net_get16(at + i), (uint16_t)(ip >> (i ? 0 : 16)));
    net_put32(at, ip);
    *(source ? &p->src : &p->dst) = ip;
    net_put16(p->l4 + 2, 0);
    net_put16(p->l4 + 2, csum_end(csum_add(0, p->l4, p->len - p->hl)));
}

/* From outside, about what a guest sent. */
static void error_inward(struct packet *p, uint64_t now)
{
    struct nat_conn *c = NULL;
    struct quote q;

    if (read_quote(&q, p) && q.src == nat->out.ip)
        c = table_inward(&nat->table, quote_proto(&q), q.sport, q.dst, q.dport, false, now);
    if (c) {
        struct nat_guest *g = nat->guest[c->map->member->number];

        requote(&q, true, g->ip, c->map->in_port);
        readdress(p, false, g->ip);
        gate_to_guest(g, p);
    } else {
        gate_drop(NAT_DROP_UNKNOWN);
    }
}

/* From a guest, about what came to it. */
static void error_outward(struct nat_guest *g, struct packet *p, uint64_t now)
{
    struct nat_conn *c = NULL;
    struct quote q;

    if (read_quote(&q, p) && q.dst == g->ip)
        c = table_outward(&nat->table, &g->member, quote_proto(&q), q.dport, q.src, q.sport, false,
                          now);
    if (c) {
        requote(&q, false, nat->out.ip, c->map->out_port);
        readdress(p, true, nat->out.ip);
        gate_to_uplink(g, p);
    } else {
        gate_drop(NAT_DROP_UNKNOWN);
    }
}

/* ---- connections ---- */

/* RFC 1191: what may not be cut and does not fit is answered. */
static bool translate_fits(const struct packet *p, const struct nat_side *s)
{
    return p->len <= s->mtu || !(p->frag & IP_DF);
}

/* A guest's packet that goes back in: for a forward, or for a mapping of another guest. */
static void hairpin(struct packet *p, uint64_t now)
{
    if (p->ttl > 1)
        translate_inward(p, now);
}

/* `to`: the packet's destination, or who stands behind it. */
static void connection_outward(struct nat_guest *g, struct packet *p, uint32_t to, uint64_t now)
{
    bool open = may_open(p, ICMP_ECHO);
    struct nat_conn *c =
        table_outward(&nat->table, &g->member, proto_of(p), p->sport, to, p->dport, open, now);

    if (!c) {
        gate_drop(open ? NAT_DROP_FULL : NAT_DROP_UNKNOWN);
        return;
    }
    limit_mss(p);
    table_pass(c, true, tcp_flags(p), now);
    c->dns = to != p->dst;
    if (c->dns)
        packet_set_target(p, to, p->dport);
    packet_set_source(p, nat->out.ip, c->map->out_port);
    if (p->dst == nat->out.ip)
        hairpin(p, now);
    else
        gate_to_uplink(g, p);
}

static bool reachable(uint32_t ip)
{
    uint32_t subnet = nat->config.inside & nat->config.inside_mask;
    bool uplink_all =
        (ip | nat->out.mask) == 0xffffffffu && ((ip ^ nat->out.ip) & nat->out.mask) == 0;

    /* 0/8, 127/8, 224/4 and above: RFC 6890; those inside know one another themselves */
    return ip >> 24 != 0 && ip >> 24 != 127 && ip < 0xe0000000u &&
           (ip & nat->config.inside_mask) != subnet && !(gate_is_up() && uplink_all);
}

void translate_outward(struct nat_guest *g, struct packet *p, uint64_t now)
{
    bool error = is_error(p);

    if (!reachable(p->dst)) {
        gate_drop(NAT_DROP_NOWHERE);
    } else if (!gate_is_up()) {
        gate_drop(NAT_DROP_NO_UPLINK);
        translate_refuse(g, p, ICMP_UNREACHABLE, UNREACHABLE_NET, 0, now);
    } else if (!error && !packet_ports(p)) {
        gate_drop(NAT_DROP_PROTOCOL);
        translate_refuse(g, p, ICMP_UNREACHABLE, UNREACHABLE_PROTOCOL, 0, now);
    } else if (p->ttl <= 1) {
        gate_drop(NAT_DROP_NOWHERE);
        translate_refuse(g, p, ICMP_TIME_EXCEEDED, 0, 0, now);
    } else if (!translate_fits(p, &nat->out)) {
        gate_drop(NAT_DROP_TOO_BIG);
        translate_refuse(g, p, ICMP_UNREACHABLE, UNREACHABLE_TOO_BIG, (uint16_t)nat->out.mtu, now);
    } else {
        packet_hop(p);
        if (error)
            error_outward(g, p, now);
        else
            connection_outward(g, p, p->dst, now);
    }
}

void translate_dns(struct nat_guest *g, struct packet *p, uint64_t now)
{
    if (!gate_is_up() || !nat->dns[0]) {
        gate_drop(NAT_DROP_NO_UPLINK);
        translate_refuse(g, p, ICMP_UNREACHABLE, UNREACHABLE_NET, 0, now);
    } else if (!packet_ports(p) || p->ttl <= 1 || !translate_fits(p, &nat->out)) {
        gate_drop(NAT_DROP_BAD);
    } else {
        packet_hop(p);
        connection_outward(g, p, nat->dns[0], now);
    }
}

/* Told to the sender outside: only of a connection, so that nobody else learns anything. */
static void refuse_outside(const struct packet *p)
{
    struct packet e;

    gate_drop(NAT_DROP_TOO_BIG);
    if (packet_make_error(&e, nat->error, p, nat->out.ip, ICMP_UNREACHABLE, UNREACHABLE_TOO_BIG,
                          (uint16_t)nat->in.mtu))
        gate_to_uplink(NULL, &e);
}

static void connection_inward(struct packet *p, uint64_t now)
{
    bool open = may_open(p, ICMP_ECHO_REPLY) && p->proto != PROTO_ICMP;
    struct nat_conn *c =
        table_inward(&nat->table, proto_of(p), p->dport, p->src, p->sport, open, now);
    struct nat_guest *g;

    if (!c) {
        gate_drop(NAT_DROP_UNKNOWN);
        return;
    }
    g = nat->guest[c->map->member->number];
    if (!translate_fits(p, &nat->in)) {
        refuse_outside(p);
        return;
    }
    packet_hop(p);
    limit_mss(p);
    table_pass(c, false, tcp_flags(p), now);
    packet_set_target(p, g->ip, c->map->in_port);
    if (c->dns)
        packet_set_source(p, nat->config.inside, p->sport);
    gate_to_guest(g, p);
}

void translate_inward(struct packet *p, uint64_t now)
{
    struct nat_map *m;

    if (is_error(p)) {
        error_inward(p, now);
        return;
    }
    if (!packet_ports(p) || p->ttl <= 1 || (p->proto == PROTO_ICMP && p->l4[0] == ICMP_ECHO)) {
        gate_drop(NAT_DROP_UNKNOWN);
        return;
    }
    m = p->proto == PROTO_UDP ? table_port(&nat->table, NAT_UDP, p->dport) : NULL;
    if (!m || m->member)
        connection_inward(p, now);
    else if (packet_udp_intact(p))
        dns_reply(container_of(m, struct dns_pending, map), p);
    else
        gate_drop(NAT_DROP_BAD);
}
