/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The NAT gateway between guests and the world, all of them fakes: what each gets is kept, and the
 * world is a station with the addresses that it likes.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "advance.h"
#include "arch/host/host.h"
#include "hv/net/nat/gate.h"
#include <hv/nat.h>
#include <hv/net.h>
#include <hv/nic.h>
#include <hv/time.h>

enum { GUESTS = 3, WORLD = GUESTS, STATIONS, KEPT = 256 };
#define MS 1000000ull
#define SECOND (1000 * MS)
#define INSIDE 0x0a150001u
#define OUTSIDE 0xc0a80102u /* the gateway's, 192.168.1.2 */
#define ROUTER_IP 0xc0a80101u
#define SERVER 0x08080808u

struct station {
    struct net_port port;
    struct {
        uint8_t bytes[NET_FRAME_MAX];
        uint32_t len;
    } got[KEPT];
    unsigned n, taken;
    bool far_ahead;
    unsigned paid; /* how often */
};
static struct station st[STATIONS];

/* Also in fuzzers, which have no cmocka. */
static inline void need(bool ok)
{
    if (!ok)
        abort();
}

static bool station_deliver(struct net_port *p, unsigned from, const struct net_frame *f)
{
    struct station *s = container_of(p, struct station, port);
    uint32_t at = NET_HEAD;

    (void)from;
    if (s->n == KEPT)
        return false;
    memcpy(s->got[s->n].bytes, f->head, NET_HEAD);
    for (unsigned i = 0; i < f->niov && at < f->len; i++) {
        uint32_t n = (uint32_t)min_u64(f->iov[i].len, f->len - at);

        memcpy(s->got[s->n].bytes + at, f->iov[i].base, n);
        at += n;
    }
    s->got[s->n++].len = f->len;
    return true;
}

static bool station_is_far_ahead(const struct net_port *p)
{
    return container_of(p, const struct station, port)->far_ahead;
}

static void station_pay(struct net_port *p, uint64_t from)
{
    need(from <= time_ns());
    container_of(p, struct station, port)->paid++;
}

static const struct net_port_ops station_ops = { .deliver = station_deliver,
                                                 .is_far_ahead = station_is_far_ahead,
                                                 .pay = station_pay };
static const char *const station_names[STATIONS] = { "web", "db", "mail", "world" };

static inline net_mac station_mac(unsigned i) { return 0x020000000001ull + i; }
static inline net_mac gate_mac(unsigned i) { return (i == WORLD ? &nat->out : &nat->in)->port.mac; }

/* A frame of `len` bytes behind its header. */
static inline void station_queue(unsigned i, net_mac to, uint16_t type, const uint8_t *data,
                                 uint32_t len)
{
    static uint8_t copy[NET_FRAME_MAX];
    const struct iov iov = { copy, len };
    struct net_frame f = { .len = NET_HEAD + len, .iov = &iov, .niov = 1 };

    memcpy(copy, data, len);
    net_mac_to(to, f.head);
    net_mac_to(station_mac(i), f.head + 6);
    net_put16(f.head + 12, type);
    (void)net_send(&st[i].port, &f);
}

/* The same, and the gateway's event runs. */
static inline void station_send(unsigned i, net_mac to, uint16_t type, const uint8_t *data,
                                uint32_t len)
{
    station_queue(i, to, type, data, len);
    while (event_run())
        ;
}

/* An IP packet to the gateway. */
static inline void station_ip(unsigned i, const struct packet *p)
{
    station_send(i, gate_mac(i), 0x0800, p->ip, p->len);
}

/* The next frame that a station got and has not looked at; NULL: none. */
static inline uint8_t *station_next(unsigned i, uint32_t *len)
{
    struct station *s = &st[i];

    if (s->taken == s->n) {
        s->taken = s->n = 0;
        return NULL;
    }
    *len = s->got[s->taken].len;
    return s->got[s->taken++].bytes;
}

/* The next IP packet that it got of the gateway, sound, with right checksums; NULL: none. */
static inline const struct packet *station_packet(unsigned i)
{
    static struct packet p;
    uint32_t len;
    uint8_t *f = station_next(i, &len);

    while (f && (net_get16(f + 12) != 0x0800 || net_mac_from(f + 6) != gate_mac(i)))
        f = station_next(i, &len);
    if (!f)
        return NULL;
    assert_true(packet_parse(&p, f + NET_HEAD, len - NET_HEAD));
    assert_true(net_mac_from(f) == station_mac(i) || net_mac_from(f) == NET_MAC_BROADCAST);
    if (packet_is_fragment(&p))
        return &p;
    if (p.proto == PROTO_ICMP)
        assert_int_equal(csum_end(csum_add(0, p.l4, p.len - p.hl)), 0);
    if (packet_ports(&p) && p.proto == PROTO_UDP)
        assert_true(packet_udp_intact(&p));
    if (p.proto == PROTO_TCP)
        assert_int_equal(csum_end(csum_add(csum_add(PROTO_TCP + p.len - p.hl, p.ip + 12, 8), p.l4,
                                           p.len - p.hl)),
                         0);
    return &p;
}

static inline void stations_forget(void)
{
    for (unsigned i = 0; i < STATIONS; i++)
        st[i].n = st[i].taken = st[i].paid = 0;
}

/* The world answers ARP for the router and everything else on its network. */
static inline void world_answers_arp(void)
{
    struct station *s = &st[WORLD];
    unsigned n = s->n;

    for (unsigned i = s->taken; i < n; i++) {
        uint8_t *arp = s->got[i].bytes + NET_HEAD, reply[28], target[4];

        if (net_get16(s->got[i].bytes + 12) != 0x0806 || net_get16(arp + 6) != 1 ||
            net_get32(arp + 24) == net_get32(arp + 14))
            continue;
        memcpy(target, arp + 24, 4);
        memcpy(reply, arp, sizeof reply);
        net_put16(reply + 6, 2);
        net_mac_to(station_mac(WORLD), reply + 8);
        memcpy(reply + 14, target, 4);
        memcpy(reply + 18, arp + 8, 10);
        station_send(WORLD, gate_mac(WORLD), 0x0806, reply, sizeof reply);
    }
}

static inline void plug_station(unsigned i, struct net_switch *s)
{
    st[i].port = (struct net_port){ .ops = &station_ops, .mac = station_mac(i) };
    snprintf(st[i].port.name, sizeof st[i].port.name, "%s", station_names[i]);
    need(net_port_add(s, &st[i].port) == 0);
    net_port_up(&st[i].port);
}

static struct nic world_nic = { .up = true };

/* Once per program. `fixed`: the uplink has its address; else DHCP asks for one. */
static inline void nat_begin(bool fixed, bool uplink)
{
    struct nat_config c = { .inside = INSIDE, .inside_mask = 0xffffff00u };

    if (fixed)
        c = (struct nat_config){ .inside = INSIDE,
                                 .inside_mask = 0xffffff00u,
                                 .address = OUTSIDE,
                                 .mask = 0xffffff00u,
                                 .router = ROUTER_IP,
                                 .dns = { SERVER } };
    host_init(1, 64 * MIB);
    host_now = 1000 * SECOND;
    need(net_add(NAT_NAME, 1500, 1000) == 0);
    need(net_add("wan", 1500, 1000) == 0);
    need(nat_start(&c) == 0);
    for (unsigned i = 0; i < GUESTS; i++) {
        need(nat_add_guest(station_names[i], station_mac(i), i ? 0 : INSIDE + 14) == 0);
        plug_station(i, net_find(NAT_NAME));
    }
    plug_station(WORLD, net_find("wan"));
    if (uplink)
        need(nat_uplink(net_find("wan"), 0x0200000000aaull, &world_nic) == 0);
    advance(SECOND);
}

static inline uint32_t guest_ip(unsigned i) { return nat->guest[i]->ip; }
