/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gate.c: the gateway's two ports, and the event in which all of its work is done: a bounded number
 * of frames in a run, from both sides in turns, then what time-outs ask for.
 */
#include "gate.h"
#include <hv/assert.h>
#include <hv/nic.h>
#include <hv/time.h>
#include <string.h>

#define FRAME_MOST_NS 2000000ull

enum { ARP_LEN = 28, DHCP_PORT = 67, DHCP_CLIENT = 68 };
enum { DNS_PORT = 53 };
enum { FRAMES = 32 /* in one run */, EXPIRE = 16 /* of each class of a guest in one run */ };
enum { ASK_NS = 50000000, ASK_BURST = 20 }; /* 20 questions a second for each guest */
#define TICK_NS 1000000000ull

struct nat *nat;

struct nat_guest *gate_guest_by_mac(net_mac mac)
{
    for (unsigned i = 0; i < nat->nguests; i++)
        if (nat->guest[i]->mac == mac)
            return nat->guest[i];
    return NULL;
}

struct nat_guest *gate_guest_by_ip(uint32_t ip)
{
    for (unsigned i = 0; i < nat->nguests; i++)
        if (nat->guest[i]->ip == ip)
            return nat->guest[i];
    return NULL;
}

/* ---- sending ---- */

void gate_frame(struct nat_side *s, const uint8_t *head, const struct iov *iov, unsigned n,
                uint32_t len)
{
    struct net_frame f = { .len = NET_HEAD + len, .iov = iov, .niov = n };

    memcpy(f.head, head, NET_HEAD);
    if (s->plugged)
        (void)net_send(&s->port, &f);
}

/* Pieces of a packet, each with the header's copy: RFC 791 §3.2. */
static void send_pieces(struct nat_side *s, const uint8_t *head, const struct packet *p)
{
    uint32_t room = (s->mtu - p->hl) & ~7u, all = p->len - p->hl;
    uint8_t h[60];

    for (uint32_t at = 0; at < all; at += room) {
        uint32_t len = (uint32_t)min_u64(room, all - at);
        const struct iov iov[2] = { { h, p->hl }, { p->l4 + at, len } };

        memcpy(h, p->ip, p->hl);
        net_put16(h + 2, (uint16_t)(p->hl + len));
        net_put16(h + 6, (uint16_t)(at / 8 | (at + len < all ? IP_MF : 0)));
        net_put16(h + 10, 0);
        net_put16(h + 10, csum_end(csum_add(0, h, p->hl)));
        gate_frame(s, head, iov, 2, p->hl + len);
    }
}

static void send_packet(struct nat_side *s, const uint8_t *to, const struct packet *p)
{
    const struct iov iov = { p->ip, p->len };
    uint8_t head[NET_HEAD];

    memcpy(head, to, 6);
    net_mac_to(s->port.mac, head + 6);
    net_put16(head + 12, TYPE_IPV4);
    if (p->len <= s->mtu)
        gate_frame(s, head, &iov, 1, p->len);
    else
        send_pieces(s, head, p);
}

void gate_to_guest(struct nat_guest *g, struct packet *p)
{
    uint8_t mac[6];

    net_mac_to(g->mac, mac);
    g->received++;
    if (!nat->payer)
        nat->payer = g;
    send_packet(&nat->in, mac, p);
}

/*
 * Whether the uplink may be asked for a neighbour's address: a guest that scans the uplink's
 * network neither fills it with broadcasts nor takes the table's entries from others.
 */
static bool may_ask(struct nat_guest *who)
{
    uint64_t now = time_ns();

    if (!who)
        return true;
    if (who->ask_ns < now)
        who->ask_ns = now;
    if (who->ask_ns - now >= (uint64_t)ASK_NS * ASK_BURST)
        return false;
    who->ask_ns += ASK_NS;
    return true;
}

void gate_to_uplink(struct nat_guest *who, struct packet *p)
{
    bool near = ((p->dst ^ nat->out.ip) & nat->out.mask) == 0;
    uint32_t hop = near ? p->dst : nat->router;
    uint8_t mac[6];

    if (!gate_is_up() || !hop || hop == nat->out.ip)
        gate_drop(NAT_DROP_NOWHERE);
    else if (stack_neighbour(hop, mac))
        send_packet(&nat->out, mac, p);
    else if (may_ask(who))
        stack_ask(hop, p);
    else
        gate_drop(NAT_DROP_NOWHERE);
}

void gate_udp_to_guest(struct nat_guest *g, uint16_t sport, uint32_t dst, uint16_t dport,
                       uint32_t len)
{
    struct packet p;

    packet_make_udp(&p, nat->scratch, nat->config.inside, sport, dst ? dst : g->ip, dport, len);
    gate_to_guest(g, &p);
}

void gate_udp_to_uplink(struct nat_guest *who, uint16_t sport, uint32_t dst, uint16_t dport,
                        uint32_t len)
{
    struct packet p;

    packet_make_udp(&p, nat->scratch, nat->out.ip, sport, dst, dport, len);
    gate_to_uplink(who, &p);
}

/* ---- from guests ---- */

/* Only what asks for the gateway, from the guest's own address, or to find out whether it is free.
 */
static void guest_arp(const struct nat_guest *g, const uint8_t *frame, uint32_t len)
{
    const uint8_t *arp = frame + NET_HEAD;
    uint32_t sender;

    if (len < NET_HEAD + ARP_LEN) {
        gate_drop(NAT_DROP_BAD);
        return;
    }
    sender = net_get32(arp + 14);
    if (net_get32(arp + 24) != nat->config.inside)
        return;
    if (net_mac_from(arp + 8) != g->mac || (sender && sender != g->ip))
        gate_drop(NAT_DROP_SPOOFED);
    else
        stack_arp(&nat->in, frame, len);
}

static void serve_dhcp(struct nat_guest *g, const struct packet *p, uint64_t now)
{
    uint32_t to, len = dhcpd_answer(g, p->l4 + UDP_HEAD, net_get16(p->l4 + 4) - UDP_HEAD,
                                    GATE_PAYLOAD, GATE_PAYLOAD_MAX, &to, now);

    if (len)
        gate_udp_to_guest(g, DHCP_PORT, to, DHCP_CLIENT, len);
}

static bool is_tftp(const struct nat_guest *g, const struct packet *p)
{
    return nat->boot[0] && p->dst == nat->config.inside &&
           (p->dport == TFTP_PORT || (g->tftp.port && p->dport == g->tftp.port));
}

/* For the gateway itself, or for all. */
static void guest_to_gate(struct nat_guest *g, struct packet *p, uint64_t now)
{
    bool udp = p->proto == PROTO_UDP && packet_ports(p);

    if (udp && !packet_udp_intact(p))
        gate_drop(NAT_DROP_BAD);
    else if (udp && p->dport == DHCP_PORT)
        serve_dhcp(g, p, now);
    else if (p->src != g->ip)
        gate_drop(NAT_DROP_SPOOFED);
    else if (udp && p->dport == DNS_PORT && p->dst == nat->config.inside)
        dns_query(g, p, now);
    else if (udp && is_tftp(g, p))
        tftp_packet(g, p, now);
    else if (p->proto == PROTO_TCP && p->dst == nat->config.inside && packet_ports(p) &&
             p->dport == DNS_PORT)
        translate_dns(g, p, now);
    else if (p->dst == nat->config.inside)
        stack_ip(&nat->in, p);
}

static bool is_for_gate(uint32_t ip)
{
    return ip == nat->config.inside || ip == 0xffffffffu ||
           ip == (nat->config.inside | ~nat->config.inside_mask);
}

static void guest_packet(struct nat_guest *g, uint8_t *ip, uint32_t len, uint64_t now)
{
    struct packet p;

    if (!packet_parse(&p, ip, len)) {
        gate_drop(NAT_DROP_BAD);
        return;
    }
    if (p.src != g->ip && p.proto != PROTO_UDP) {
        gate_drop(NAT_DROP_SPOOFED);
        return;
    }
    if (packet_is_fragment(&p) && !frag_add(g->frag, GUEST_FRAGS, &p, now, &p))
        return;
    if (is_for_gate(p.dst))
        guest_to_gate(g, &p, now);
    else if (p.src != g->ip)
        gate_drop(NAT_DROP_SPOOFED);
    else
        translate_outward(g, &p, now);
}

/* Its own device waits already when it is ahead, where that is on this CPU. */
static bool is_far_ahead(const struct nat_guest *g)
{
    const struct net_port *p = net_port_of(nat->in.port.net, g->mac);

    return p && p->ops->is_far_ahead && p->ops->is_far_ahead(p);
}

/*
 * What took longer than any frame can was not the frame's doing: an interrupt by the firmware, or
 * an emulator that was held up. Else it would count as a flood.
 */
static void pay(const struct nat_guest *g, uint64_t from)
{
    struct net_port *p = g ? net_port_of(nat->in.port.net, g->mac) : NULL;
    uint64_t now = time_ns();

    if (p && p->ops->pay)
        p->ops->pay(p, now - from > FRAME_MOST_NS ? now - FRAME_MOST_NS : from);
}

static void guest_frame(uint8_t *frame, uint32_t len, uint64_t now)
{
    struct nat_guest *g = gate_guest_by_mac(net_mac_from(frame + 6));

    if (!g) {
        gate_drop(NAT_DROP_SPOOFED);
        return;
    }
    nat->payer = g;
    g->sent++;
    if (is_far_ahead(g))
        gate_drop(NAT_DROP_SHARE);
    else if (net_get16(frame + 12) == TYPE_ARP)
        guest_arp(g, frame, len);
    else if (net_get16(frame + 12) == TYPE_IPV4)
        guest_packet(g, frame + NET_HEAD, len - NET_HEAD, now);
}

/* ---- from the uplink ---- */

/* RFC 6890: what no packet comes from; nor from inside, nor from the gateway itself. */
static bool may_come_from(uint32_t ip)
{
    return ip >> 24 != 0 && ip >> 24 != 127 && ip < 0xe0000000u && ip != nat->out.ip &&
           ((ip ^ nat->config.inside) & nat->config.inside_mask) != 0;
}

static void uplink_packet(uint8_t *ip, uint32_t len, uint64_t now)
{
    struct packet p;

    if (!packet_parse(&p, ip, len)) {
        gate_drop(NAT_DROP_BAD);
        return;
    }
    if (p.proto == PROTO_UDP && !packet_is_fragment(&p) && packet_ports(&p) &&
        p.dport == DHCP_CLIENT && p.sport == DHCP_PORT) {
        stack_ip(&nat->out, &p);
        return;
    }
    if (!gate_is_up() || p.dst != nat->out.ip || !may_come_from(p.src)) {
        gate_drop(NAT_DROP_NOWHERE);
        return;
    }
    if (packet_is_fragment(&p) && !frag_add(nat->frag, UPLINK_FRAGS, &p, now, &p))
        return;
    if (p.proto == PROTO_ICMP && p.len > p.hl && p.l4[0] == ICMP_ECHO)
        stack_ip(&nat->out, &p);
    else
        translate_inward(&p, now);
}

static void uplink_frame(uint8_t *frame, uint32_t len, uint64_t now)
{
    if (net_get16(frame + 12) == TYPE_ARP && len >= NET_HEAD + ARP_LEN)
        stack_arp(&nat->out, frame, len);
    else if (net_get16(frame + 12) == TYPE_IPV4)
        uplink_packet(frame + NET_HEAD, len - NET_HEAD, now);
}

/* ---- the event ---- */

static bool gate_deliver(struct net_port *p, unsigned from, const struct net_frame *f)
{
    struct nat_side *s = container_of(p, struct nat_side, port);

    if (!net_queue_put(&s->queue, from, f))
        return false;
    event_post(&nat->event);
    return true;
}
const struct net_port_ops gate_port_ops = { .deliver = gate_deliver };

/* One frame, at the cost of the guest that it is from or for; false: none waits. */
static bool gate_take(struct nat_side *s, void (*use)(uint8_t *, uint32_t, uint64_t), uint64_t now)
{
    uint32_t len;
    const uint8_t *first = s->plugged ? net_queue_first(&s->queue, &len, NULL) : NULL;
    uint64_t from;
    uint8_t *frame;
    net_mac to;

    if (!first)
        return false;
    from = time_ns();
    nat->payer = NULL;
    frame = s->ring + (first - s->ring); /* its memory is the gateway's to change */
    to = net_mac_from(frame);
    if (to == s->port.mac || to == NET_MAC_BROADCAST)
        use(frame, len, now);
    net_queue_drop(&s->queue);
    pay(nat->payer, from);
    nat->payer = NULL;
    return true;
}

/* The NIC's event writes it, perhaps on another CPU. */
static void look_at_link(void)
{
    bool up = nat->out.plugged && (!nat->nic || __atomic_load_n(&nat->nic->up, __ATOMIC_RELAXED));

    if (up == nat->link)
        return;
    nat->link = up;
    stack_link(up);
}

/* True: there is more to do at once. */
static bool tick(uint64_t now)
{
    bool more = false;

    if (now < nat->tick_ns)
        return false;
    look_at_link();
    for (unsigned i = 0; i < nat->nguests; i++) {
        more |= table_expire(&nat->table, &nat->guest[i]->member, EXPIRE, now);
        dns_expire(nat->guest[i], now);
    }
    if (!more)
        nat->tick_ns = now + TICK_NS;
    return more;
}

void gate_run(struct event *e)
{
    uint64_t now = time_ns(), next;
    unsigned n = 0;
    bool more;

    do {
        more = gate_take(&nat->in, guest_frame, now);
        more |= gate_take(&nat->out, uplink_frame, now);
    } while (more && ++n < FRAMES);
    if (nat->clear)
        table_clear(&nat->table, &nat->guest[--nat->clear]->member);
    more |= tick(now) || nat->clear;
    next = stack_work(now);
    if (more)
        event_post(e);
    else
        event_at(e, min_u64(next, nat->tick_ns));
}

void gate_uplink_is(uint32_t ip, uint32_t mask, uint32_t router, uint32_t mtu, const uint32_t *dns)
{
    if (ip && ip != nat->out.ip)
        nat->clear = nat->nguests;
    nat->out.ip = ip;
    nat->out.mask = mask;
    nat->out.mtu = mtu;
    nat->router = router;
    memcpy(nat->dns, dns, sizeof nat->dns);
}
