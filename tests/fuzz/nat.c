/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The NAT gateway, between guests and a world that send what they like: sound packets of each kind
 * with some bytes changed, with or without right checksums, in any order, while time passes. With
 * NAT_DHCP the uplink has no address but what the world's DHCP answers say. A guest gets only what
 * is for it, from the gateway; the world gets nothing with an address from inside; what was opened
 * is over at last.
 */
#include "tests/unit/nat_net.h"

#ifndef NAT_DHCP
#define NAT_DHCP 0
#endif
uint64_t time_ns(void) { return host_now; }

static uint8_t buf[2048];
static uint32_t xid;

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

/* ---- what is sent, before the input changes it: each returns the length of the IP packet ---- */

struct ends {
    uint32_t src, dst;
    uint16_t sport, dport;
};

static uint32_t make_udp(const struct ends *e)
{
    struct packet p;

    memset(buf + 28, 0x55, 100);
    packet_make_udp(&p, buf, e->src, e->sport, e->dst, e->dport, 100);
    return p.len;
}

static uint32_t make_tcp(const struct ends *e)
{
    struct packet p;

    memset(buf + IP_MIN, 0, 40);
    net_put16(buf + IP_MIN, e->sport);
    net_put16(buf + IP_MIN + 2, e->dport);
    buf[IP_MIN + 12] = 0x60;
    buf[IP_MIN + 13] = TCP_SYN;
    net_put32(buf + IP_MIN + 20, 0x020405b4);
    packet_make(&p, buf, PROTO_TCP, e->src, e->dst, 40);
    return p.len;
}

static uint32_t make_echo(const struct ends *e)
{
    struct packet p;

    memset(buf + IP_MIN, 0, 64);
    buf[IP_MIN] = e->dport & 1 ? ICMP_ECHO : ICMP_ECHO_REPLY;
    net_put16(buf + IP_MIN + 4, e->sport);
    packet_make(&p, buf, PROTO_ICMP, e->src, e->dst, 64);
    return p.len;
}

/* About a UDP packet the other way. */
static uint32_t make_error(const struct ends *e)
{
    struct ends back = { e->dst, e->src, e->dport, e->sport };
    uint32_t len = make_udp(&back);
    struct packet p;

    memmove(buf + IP_MIN + ICMP_HEAD, buf, len);
    memset(buf + IP_MIN, 0, ICMP_HEAD);
    buf[IP_MIN] = ICMP_UNREACHABLE;
    packet_make(&p, buf, PROTO_ICMP, e->src, e->dst, ICMP_HEAD + len);
    return p.len;
}

static uint32_t make_fragment(const struct ends *e)
{
    uint32_t len = make_udp(e);

    net_put16(buf + 4, e->sport);
    net_put16(buf + 6, (uint16_t)(IP_MF | (e->dport & 3) * 13));
    return len - 4;
}

static uint32_t make_dhcp(const struct ends *e)
{
    static const uint8_t options[] = { 53, 1, 1, 55, 3, 1, 3, 6, 50, 4, 10, 21, 0, 15, 255 };
    uint8_t *d = buf + 28;
    bool world = e->dst == OUTSIDE;
    struct packet p;

    memset(d, 0, 300);
    d[0] = world ? 2 : 1;
    d[1] = 1;
    d[2] = 6;
    net_put32(d + 4, xid);
    net_put32(d + 16, world ? OUTSIDE : 0);
    net_mac_to(world ? nat->out.port.mac : station_mac(e->sport % GUESTS), d + 28);
    net_put32(d + 236, 0x63825363);
    memcpy(d + 240, options, sizeof options);
    d[242] = world ? (e->dport & 1 ? 5 : 2) : (uint8_t)(1 + e->dport % 8);
    if (world) {
        static const uint8_t offer[] = { 54, 4,  192, 168, 1,   1, 1, 4,  255, 255, 255,
                                         0,  3,  4,   192, 168, 1, 1, 51, 4,   0,   0,
                                         14, 16, 6,   4,   8,   8, 8, 8,  255 };
        memcpy(d + 243, offer, sizeof offer);
    }
    packet_make_udp(&p, buf, world ? e->src : 0, world ? 67 : 68, 0xffffffffu, world ? 68 : 67,
                    300);
    return p.len;
}

static uint32_t make_dns(const struct ends *e)
{
    static const uint8_t names[][20] = { "\3web\6trivet\0\0\1\0\1", "\7example\3org\0\0\1\0\1",
                                         "\2db\0\0\34\0\1" };
    bool world = e->dst == OUTSIDE;
    struct dns_pending *d = &nat->guest[0]->dns[e->sport % DNS_PENDING];
    struct packet p;

    memset(buf + 28, 0, 60);
    net_put16(buf + 28, world ? d->id : e->sport);
    net_put16(buf + 30, world ? 0x8180 : 0x0100);
    net_put16(buf + 32, 1);
    memcpy(buf + 40, names[world ? 1 : e->dport % 3], 20);
    packet_make_udp(&p, buf, world ? SERVER : e->src, world ? 53 : e->sport,
                    world ? OUTSIDE : INSIDE, world ? d->map.out_port : 53, 12 + 20);
    return p.len;
}

static uint32_t make_tftp(const struct ends *e)
{
    static const char ask[] = "boot.efi\0octet\0blksize\0"
                              "100\0tsize\0"
                              "0";
    const struct tftp *t = &nat->guest[e->sport % GUESTS]->tftp;
    bool first = e->dport % 4 == 0;
    struct packet p;

    net_put16(buf + 28, first ? 1 : 4);
    net_put16(buf + 30, (uint16_t)t->block);
    if (first)
        memcpy(buf + 30, ask, sizeof ask);
    packet_make_udp(&p, buf, e->src, first ? 2000 : t->peer, INSIDE, first ? 69 : t->port,
                    first ? 2 + sizeof ask : 4);
    return p.len;
}

static uint32_t make_arp(const struct ends *e)
{
    memset(buf, 0, 28);
    memcpy(buf, (uint8_t[]){ 0, 1, 8, 0, 6, 4, 0, 1 }, 8);
    buf[7] = e->dport & 1 ? 2 : 1;
    net_mac_to(station_mac(e->dst == OUTSIDE ? WORLD : e->sport % GUESTS), buf + 8);
    net_put32(buf + 14, e->src);
    net_put32(buf + 24, e->dst == OUTSIDE ? OUTSIDE : INSIDE);
    return 28;
}

static uint32_t (*const kinds[])(const struct ends *) = { make_udp,   make_tcp,      make_echo,
                                                          make_error, make_fragment, make_dhcp,
                                                          make_dns,   make_arp,      make_tftp };

/* ---- what must hold ---- */

static void check_guest(unsigned i)
{
    uint32_t len;
    uint8_t *f;

    while ((f = station_next(i, &len))) {
        uint32_t dst = net_get32(f + NET_HEAD + 16);

        if (net_mac_from(f + 6) != nat->in.port.mac)
            continue; /* another guest's broadcast */
        must(net_mac_from(f) == station_mac(i), "a frame for somebody else");
        must(len <= NET_HEAD + 1500, "a frame that is too long");
        if (net_get16(f + 12) == 0x0800 && !(net_get16(f + NET_HEAD + 6) & IP_OFFSET) &&
            f[NET_HEAD + 9] != PROTO_UDP)
            must(dst == guest_ip(i), "a packet for somebody else");
    }
}

static void check_world(void)
{
    uint32_t len;
    uint8_t *f;

    world_answers_arp();
    while ((f = station_next(WORLD, &len))) {
        uint32_t src = net_get32(f + NET_HEAD + 12);

        must(len <= NET_HEAD + 1500, "a frame that is too long");
        if (net_get16(f + 12) != 0x0800)
            continue;
        must(src == 0 || src == nat->out.ip || NAT_DHCP, "an address that is not the gateway's");
        must(((src ^ INSIDE) & 0xffffff00u) != 0, "an address from inside");
        if (net_get16(f + NET_HEAD + 22) == 67) /* what the client asks, for its answers */
            xid = net_get32(f + NET_HEAD + 28 + 4);
    }
}

/* ---- the input ---- */

static void fix(uint32_t len)
{
    uint32_t hl = (buf[0] & 15u) * 4;

    if (hl < IP_MIN || hl > len)
        return;
    net_put16(buf + 2, (uint16_t)len);
    net_put16(buf + 10, 0);
    net_put16(buf + 10, csum_end(csum_add(0, buf, hl)));
    if (buf[9] == PROTO_UDP && len >= hl + 8)
        net_put16(buf + hl + 6, 0);
}

static void send_one(const uint8_t *op, const uint8_t *patch, unsigned n)
{
    unsigned who = op[0] % STATIONS, kind = op[1] % ARRAY_SIZE(kinds);
    uint16_t inner = (uint16_t)(1024 + op[2] % 8), outer = (uint16_t)(op[3] % 8);
    uint32_t world = SERVER + op[3] / 64;
    struct ends e = who == WORLD ? (struct ends){ world, OUTSIDE, outer, inner }
                                 : (struct ends){ guest_ip(who), world, inner, outer };
    uint32_t len = kinds[kind](&e);

    for (unsigned i = 0; i < n; i++)
        buf[net_get16(patch + 3 * i) % (len + 8)] = patch[3 * i + 2];
    if (op[4] & 1)
        fix(len);
    if (op[4] & 2)
        len = len > 20 ? len - op[5] % 20 : len;
    station_send(who, op[4] & 4 ? NET_MAC_BROADCAST : gate_mac(who), kind == 7 ? 0x0806 : 0x0800,
                 buf, len);
}

static void end(void)
{
    host_now += 8000 * SECOND;
    advance(3 * SECOND);
    check_world();
    for (unsigned i = 0; i < GUESTS; i++) {
        check_guest(i);
        must(nat->guest[i]->member.conns == 0 && nat->guest[i]->member.maps == 0,
             "a connection that does not end");
        nat->guest[i]->leased_until = 0;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(nat->table.conn); i++)
        must(!nat->table.conn[i], "a chain that is not empty");
}

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!nat) {
        static uint8_t file[1000];

        nat_begin(!NAT_DHCP, true);
        nat_boot("boot.efi", file, sizeof file);
    }
    while (size >= 8) {
        unsigned n = data[6] % 6;

        if (size < 8 + 3 * n)
            break;
        send_one(data, data + 8, n);
        if (data[7])
            advance((data[7] & 0x80 ? SECOND : MS) * data[7]);
        check_world();
        for (unsigned i = 0; i < GUESTS; i++)
            check_guest(i);
        data += 8 + 3 * n;
        size -= 8 + 3 * n;
    }
    end();
    return 0;
}
