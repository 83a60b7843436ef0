/* SPDX-License-Identifier: BSD-2-Clause */
/* The NAT gateway between guests and the world: connections, errors, fragments, names, time-outs.
 */
#include "nat_net.h"

uint64_t time_ns(void) { return host_now; }

static uint8_t buf[65536 + 64];

/* ---- packets ---- */

static void tcp(unsigned from, uint32_t src, uint16_t sport, uint32_t dst, uint16_t dport,
                uint8_t flags, uint16_t mss, uint32_t len)
{
    uint8_t *t = buf + IP_MIN;
    uint32_t head = mss ? 24 : 20;
    struct packet p;

    memset(t, 0, head + len);
    net_put16(t, sport);
    net_put16(t + 2, dport);
    t[12] = (uint8_t)(head / 4 << 4);
    t[13] = flags;
    if (mss) {
        net_put16(t + 20, 0x0204);
        net_put16(t + 22, mss);
    }
    packet_make(&p, buf, PROTO_TCP, src, dst, head + len);
    net_put16(t + 16,
              csum_end(csum_add(csum_add(PROTO_TCP + head + len, p.ip + 12, 8), t, head + len)));
    station_ip(from, &p);
}

static void udp(unsigned from, uint32_t src, uint16_t sport, uint32_t dst, uint16_t dport,
                const char *text)
{
    struct packet p;

    memcpy(buf + IP_MIN + UDP_HEAD, text, strlen(text));
    packet_make_udp(&p, buf, src, sport, dst, dport, (uint32_t)strlen(text));
    station_ip(from, &p);
}

static void echo(unsigned from, uint32_t src, uint32_t dst, uint8_t type, uint16_t id)
{
    uint8_t *icmp = buf + IP_MIN;
    struct packet p;

    memset(icmp, 0, ICMP_HEAD + 56);
    icmp[0] = type;
    net_put16(icmp + 4, id);
    net_put16(icmp + 2, csum_end(csum_add(0, icmp, ICMP_HEAD + 56)));
    packet_make(&p, buf, PROTO_ICMP, src, dst, ICMP_HEAD + 56);
    station_ip(from, &p);
}

/* What the world got; it must be something. */
static const struct packet *out(void)
{
    const struct packet *p = station_packet(WORLD);

    assert_non_null(p);
    assert_int_equal(p->src, OUTSIDE);
    return p;
}

static const struct packet *in(unsigned i)
{
    const struct packet *p = station_packet(i);

    assert_non_null(p);
    assert_int_equal(p->dst, guest_ip(i));
    return p;
}

static int clear(void **state)
{
    (void)state;
    for (unsigned i = 0; i < GUESTS; i++)
        table_clear(&nat->table, &nat->guest[i]->member);
    memset(nat->drops, 0, sizeof nat->drops);
    stations_forget();
    return 0;
}

/* ---- the way out and back ---- */

/* The first packet to a neighbour waits for its address, and is not lost. */
static void test_arp_first(void **state)
{
    uint32_t len;

    (void)state;
    udp(0, guest_ip(0), 4000, SERVER, 9, "first");
    assert_non_null(station_next(WORLD, &len));
    st[WORLD].taken = 0;
    world_answers_arp();
    assert_int_equal(out()->dst, SERVER);
    udp(0, guest_ip(0), 4000, ROUTER_IP + 40, 9, "near"); /* on the uplink's own network */
    world_answers_arp();
    assert_int_equal(out()->dst, ROUTER_IP + 40);
}

static void test_udp(void **state)
{
    const struct packet *p;
    uint16_t port;

    (void)state;
    udp(0, guest_ip(0), 4000, SERVER, 123, "time?");
    p = out();
    port = p->sport;
    assert_int_equal(port, 4000);
    assert_int_equal(p->ttl, 63);
    assert_memory_equal(p->l4 + UDP_HEAD, "time?", 5);
    udp(WORLD, SERVER, 123, OUTSIDE, port, "late");
    p = in(0);
    assert_int_equal(p->dport, 4000);
    assert_int_equal(p->src, SERVER);
    udp(1, guest_ip(1), 4000, SERVER, 123, "me, too");
    p = out();
    assert_int_not_equal(p->sport, 4000);
    assert_true(p->sport >= 1024);
    udp(WORLD, SERVER, 123, OUTSIDE, p->sport, "later");
    assert_int_equal(in(1)->dport, 4000);
    udp(WORLD, SERVER, 999, OUTSIDE, port, "the same host"); /* RFC 4787 REQ-8 */
    assert_int_equal(in(0)->sport, 999);
    udp(WORLD, SERVER + 1, 123, OUTSIDE, port, "another host");
    assert_null(station_packet(0));
    assert_int_equal(nat->drops[NAT_DROP_UNKNOWN], 1);
    udp(0, guest_ip(0), 4000, SERVER + 1, 123, "the same port"); /* RFC 4787 REQ-1 */
    assert_int_equal(out()->sport, port);
}

static void test_udp_without_checksum(void **state)
{
    struct packet p;

    (void)state;
    packet_make_udp(&p, buf, guest_ip(0), 5000, SERVER, 7, 10);
    net_put16(p.l4 + 6, 0);
    station_ip(0, &p);
    assert_int_equal(net_get16(out()->l4 + 6), 0);
}

static void handshake(unsigned i, uint16_t port)
{
    uint16_t ext;

    tcp(i, guest_ip(i), port, SERVER, 80, TCP_SYN, 1460, 0);
    ext = out()->sport;
    tcp(WORLD, SERVER, 80, OUTSIDE, ext, TCP_SYN | TCP_ACK, 1460, 0);
    assert_int_equal(in(i)->dport, port);
    tcp(i, guest_ip(i), port, SERVER, 80, TCP_ACK, 0, 0);
    assert_int_equal(out()->sport, ext);
}

static void test_tcp(void **state)
{
    struct nat_member *m = &nat->guest[0]->member;

    (void)state;
    handshake(0, 40000);
    assert_non_null(m->class[NAT_ESTABLISHED].oldest);
    tcp(WORLD, SERVER, 81, OUTSIDE, 40000, TCP_SYN, 0, 0);
    tcp(WORLD, SERVER, 81, OUTSIDE, 40000, TCP_ACK, 0, 0);
    assert_null(station_packet(0));
    tcp(0, guest_ip(0), 40000, SERVER, 80, TCP_FIN | TCP_ACK, 0, 0);
    (void)out();
    tcp(WORLD, SERVER, 80, OUTSIDE, 40000, TCP_FIN | TCP_ACK, 0, 0);
    (void)in(0);
    assert_null(m->class[NAT_ESTABLISHED].oldest);
    assert_non_null(m->class[NAT_OPENING].oldest);
    handshake(0, 40000); /* the same ports again */
    assert_non_null(m->class[NAT_ESTABLISHED].oldest);
    tcp(WORLD, SERVER, 80, OUTSIDE, 40000, TCP_RST, 0, 0);
    (void)in(0);
    assert_null(m->class[NAT_ESTABLISHED].oldest);
    tcp(0, guest_ip(0), 40001, SERVER, 80, TCP_ACK, 0, 0); /* of no connection */
    assert_null(station_packet(WORLD));
}

static void test_ping(void **state)
{
    uint16_t id;

    (void)state;
    echo(0, guest_ip(0), SERVER, ICMP_ECHO, 5000);
    assert_int_equal(out()->sport, 5000);
    echo(1, guest_ip(1), SERVER, ICMP_ECHO, 5000);
    id = out()->sport;
    assert_int_not_equal(id, 5000);
    echo(WORLD, SERVER, OUTSIDE, ICMP_ECHO_REPLY, id);
    assert_int_equal(in(1)->sport, 5000);
    echo(WORLD, SERVER, OUTSIDE, ICMP_ECHO_REPLY, 9999);
    assert_null(station_packet(0));
    echo(WORLD, SERVER, OUTSIDE, ICMP_ECHO, 5000); /* the gateway itself */
    assert_int_equal(out()->l4[0], ICMP_ECHO_REPLY);
    echo(0, guest_ip(0), OUTSIDE, ICMP_ECHO, 5001);
    assert_null(station_packet(WORLD));
}

/* What a guest may not send, and what may not come in. */
static void test_filters(void **state)
{
    static const uint32_t bad[] = { 0x7f000001, 0xe0000001, 0xffffff00u, 5, OUTSIDE | 255 };

    (void)state;
    udp(0, guest_ip(1), 1, SERVER, 1, "spoofed");
    udp(0, 0xc0a80105, 1, SERVER, 1, "spoofed");
    udp(0, guest_ip(0), 1, guest_ip(1), 1, "around isolation");
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        udp(0, guest_ip(0), 1, bad[i], 1, "nowhere");
    assert_null(station_packet(WORLD));
    assert_null(station_packet(1));
    assert_int_equal(nat->drops[NAT_DROP_SPOOFED], 2);
    assert_int_equal(nat->drops[NAT_DROP_NOWHERE], 1 + ARRAY_SIZE(bad));
    udp(0, guest_ip(0), 4000, SERVER, 1, "good");
    (void)out();
    udp(WORLD, guest_ip(1), 1, OUTSIDE, 4000, "from inside");
    udp(WORLD, SERVER, 1, guest_ip(0), 4000, "past the gateway");
    udp(WORLD, SERVER, 1, INSIDE, 53, "the gateway's inside");
    assert_null(station_packet(0));
    assert_null(station_packet(WORLD));
}

static void test_broken_packets(void **state)
{
    struct packet p;

    (void)state;
    for (unsigned i = 0; i < IP_MIN; i++) {
        packet_make_udp(&p, buf, guest_ip(0), 4000, SERVER, 1, 10);
        buf[i] ^= 0x11;
        station_ip(0, &p);
    }
    assert_null(station_packet(WORLD));
    packet_make_udp(&p, buf, guest_ip(0), 4000, SERVER, 1, 10);
    net_put16(p.l4 + 4, 19); /* longer than the packet */
    station_ip(0, &p);
    assert_null(station_packet(WORLD));
    packet_make(&p, buf, 50, guest_ip(0), SERVER, 100); /* ESP */
    station_ip(0, &p);
    assert_null(station_packet(WORLD));
    assert_int_equal(in(0)->l4[1], UNREACHABLE_PROTOCOL);
}

static void test_traceroute(void **state)
{
    struct packet p;

    (void)state;
    packet_make_udp(&p, buf, guest_ip(0), 4000, SERVER, 33434, 10);
    p.ip[8] = 1;
    net_put16(p.ip + 10, 0);
    net_put16(p.ip + 10, csum_end(csum_add(0, p.ip, IP_MIN)));
    station_ip(0, &p);
    assert_null(station_packet(WORLD));
    assert_int_equal(in(0)->l4[0], ICMP_TIME_EXCEEDED);
}

/* ---- errors about connections ---- */

static void error_about(unsigned from, uint32_t src, uint32_t dst, const struct packet *about,
                        uint8_t type)
{
    uint8_t copy[64];
    uint8_t *icmp = buf + IP_MIN;
    struct packet p;

    memcpy(copy, about->ip, 28);
    memset(icmp, 0, ICMP_HEAD);
    icmp[0] = type;
    icmp[1] = 3;
    memcpy(icmp + ICMP_HEAD, copy, 28);
    net_put16(icmp + 2, csum_end(csum_add(0, icmp, ICMP_HEAD + 28)));
    packet_make(&p, buf, PROTO_ICMP, src, dst, ICMP_HEAD + 28);
    station_ip(from, &p);
}

static void test_errors_inward(void **state)
{
    const struct packet *p;
    const uint8_t *quote;
    struct packet sent;

    (void)state;
    udp(0, guest_ip(0), 4000, SERVER, 7, "x");
    (void)out();
    udp(1, guest_ip(1), 4000, SERVER, 7, "x");
    sent = *out();
    error_about(WORLD, SERVER + 9, OUTSIDE, &sent, ICMP_UNREACHABLE);
    p = in(1);
    quote = p->l4 + ICMP_HEAD;
    assert_int_equal(p->src, SERVER + 9);
    assert_int_equal(net_get32(quote + 12), guest_ip(1));
    assert_int_equal(net_get16(quote + IP_MIN), 4000);
    assert_int_equal(csum_end(csum_add(0, quote, IP_MIN)), 0);
    assert_null(station_packet(0));
    net_put16(sent.l4, 4444); /* of nobody's connection */
    error_about(WORLD, SERVER, OUTSIDE, &sent, ICMP_UNREACHABLE);
    assert_null(station_packet(0));
    assert_null(station_packet(1));
}

static void test_errors_outward(void **state)
{
    const struct packet *p;
    struct packet got;

    (void)state;
    udp(1, guest_ip(1), 900, SERVER, 7, "x");
    p = out();
    assert_int_not_equal(p->sport, 900); /* a privileged port is not used outside */
    udp(WORLD, SERVER, 7, OUTSIDE, p->sport, "y");
    got = *in(1);
    error_about(1, guest_ip(1), SERVER, &got, ICMP_UNREACHABLE);
    p = out();
    assert_int_equal(net_get32(p->l4 + ICMP_HEAD + 16), OUTSIDE);
    assert_int_not_equal(net_get16(p->l4 + ICMP_HEAD + IP_MIN + 2), 900);
}

/* ---- sizes ---- */

static void test_mss(void **state)
{
    (void)state;
    nat->out.mtu = 1400;
    tcp(0, guest_ip(0), 40000, SERVER, 80, TCP_SYN, 1460, 0);
    assert_int_equal(net_get16(out()->l4 + 22), 1360);
    tcp(WORLD, SERVER, 80, OUTSIDE, 40000, TCP_SYN | TCP_ACK, 9000, 0);
    assert_int_equal(net_get16(in(0)->l4 + 22), 1360);
    nat->out.mtu = 1500;
}

static void test_too_big(void **state)
{
    const struct packet *p;
    struct packet big;

    (void)state;
    nat->out.mtu = 1000;
    packet_make_udp(&big, buf, guest_ip(0), 4000, SERVER, 7, 1200);
    net_put16(big.ip + 6, IP_DF);
    net_put16(big.ip + 10, 0);
    net_put16(big.ip + 10, csum_end(csum_add(0, big.ip, IP_MIN)));
    station_ip(0, &big);
    p = in(0);
    assert_int_equal(p->l4[1], UNREACHABLE_TOO_BIG);
    assert_int_equal(net_get16(p->l4 + 6), 1000);
    assert_null(station_packet(WORLD));
    packet_make_udp(&big, buf, guest_ip(0), 4000, SERVER, 7, 1200); /* it may be cut */
    station_ip(0, &big);
    assert_int_equal(out()->len, IP_MIN + 976);
    p = out();
    assert_int_equal(p->len, IP_MIN + UDP_HEAD + 1200 - 976);
    assert_int_equal(p->frag, 976 / 8);
    nat->out.mtu = 1500;
}

/* A datagram in pieces of `step` bytes, in the order that `order` gives. */
static void pieces(unsigned from, uint32_t src, uint32_t dst, uint32_t len, uint32_t step,
                   bool backwards)
{
    static uint8_t whole[65536], piece[2000];
    struct packet p, q;
    uint32_t all = UDP_HEAD + len, n = (all + step - 1) / step;

    for (uint32_t i = 0; i < len; i++)
        whole[IP_MIN + UDP_HEAD + i] = (uint8_t)(i * 5);
    packet_make_udp(&p, whole, src, from == WORLD ? 7 : 4000, dst, from == WORLD ? 4000 : 7, len);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = (backwards ? n - 1 - i : i) * step, size = all - at < step ? all - at : step;

        memcpy(piece + IP_MIN, p.l4 + at, size);
        packet_make(&q, piece, PROTO_UDP, src, dst, size);
        net_put16(piece + 4, (uint16_t)len);
        net_put16(piece + 6, (uint16_t)(at / 8 | (at + size < all ? IP_MF : 0)));
        net_put16(piece + 10, 0);
        net_put16(piece + 10, csum_end(csum_add(0, piece, IP_MIN)));
        station_ip(from, &q);
    }
}

/* What a station got in pieces: its length. Its bytes are as pieces() made them. */
static uint32_t gather(unsigned i)
{
    const struct packet *p;
    uint32_t end = 0;

    while ((p = station_packet(i))) {
        uint32_t at = (p->frag & IP_OFFSET) * 8u, n = p->len - p->hl, skip = at ? 0 : UDP_HEAD;

        for (uint32_t k = skip; k < n; k++)
            assert_int_equal(p->l4[k], (uint8_t)((at + k - UDP_HEAD) * 5));
        end = (uint32_t)max_u64(end, at + n);
    }
    return end;
}

static void test_fragments(void **state)
{
    (void)state;
    for (unsigned back = 0; back < 2; back++)
        for (uint32_t len = 1800; len < 60000; len += 19000) {
            pieces(0, guest_ip(0), SERVER, len, 1480, back);
            assert_int_equal(gather(WORLD), UDP_HEAD + len);
            pieces(WORLD, SERVER, OUTSIDE, len, 1480, back);
            assert_int_equal(gather(0), UDP_HEAD + len);
        }
    pieces(0, guest_ip(0), SERVER, 65535 - 28 - 40, 1480, true);
    assert_int_equal(gather(WORLD), 65535 - IP_MIN - 40);
}

static void one_piece(uint32_t at, uint32_t len, bool more, uint16_t id)
{
    struct packet p;

    packet_make(&p, buf, PROTO_UDP, guest_ip(0), SERVER, len);
    net_put16(buf + 4, id);
    net_put16(buf + 6, (uint16_t)(at / 8 | (more ? IP_MF : 0)));
    net_put16(buf + 10, 0);
    net_put16(buf + 10, csum_end(csum_add(0, buf, IP_MIN)));
    station_ip(0, &p);
}

static void test_hostile_fragments(void **state)
{
    (void)state;
    memset(buf, 0, sizeof buf);
    net_put16(buf + IP_MIN + 4, 64);
    one_piece(0, 40, true, 1); /* overlap */
    one_piece(32, 32, false, 1);
    assert_null(station_packet(WORLD));
    one_piece(0, 36, true, 2);       /* no multiple of 8 */
    one_piece(65528, 100, false, 3); /* beyond the end */
    one_piece(0, 0, true, 4);
    one_piece(64, 8, true, 5); /* something behind the end */
    one_piece(32, 8, false, 5);
    one_piece(0, 32, true, 5);
    assert_null(station_packet(WORLD));
    one_piece(0, 32, true, 6); /* too late */
    advance(FRAG_NS);
    one_piece(32, 32, false, 6);
    assert_null(station_packet(WORLD));
    for (uint16_t i = 100; i < 200; i++) /* of many, none is finished; then one is */
        one_piece(0, 32, true, i);
    one_piece(0, 32, true, 7);
    one_piece(0, 32, true, 7); /* twice */
    net_put16(buf + IP_MIN + 4, 64);
    one_piece(32, 32, false, 7);
    assert_int_equal(out()->len, IP_MIN + 64);
}

/* ---- forwards ---- */

static void test_forward(void **state)
{
    const struct packet *p;

    (void)state;
    assert_int_equal(nat_forward(FORWARD_TCP, 2222, "nobody", 22), -ENOENT);
    assert_int_equal(nat_forward(FORWARD_TCP, 2222, "db", 22), 0);
    assert_int_equal(nat_forward(FORWARD_TCP, 2222, "web", 22), -EEXIST);
    assert_int_equal(nat_forward(FORWARD_UDP, 2222, "web", 5000), 0);
    tcp(WORLD, SERVER, 5555, OUTSIDE, 2222, TCP_SYN, 1460, 0);
    p = in(1);
    assert_int_equal(p->dport, 22);
    assert_int_equal(p->src, SERVER);
    tcp(1, guest_ip(1), 22, SERVER, 5555, TCP_SYN | TCP_ACK, 1460, 0);
    assert_int_equal(out()->sport, 2222);
    udp(WORLD, SERVER, 5, OUTSIDE, 2222, "x");
    assert_int_equal(in(0)->dport, 5000);
    tcp(0, guest_ip(0), 6000, OUTSIDE, 2222, TCP_SYN, 1460, 0); /* from inside: RFC 5382 REQ-8 */
    p = in(1);
    assert_int_equal(p->src, OUTSIDE);
    assert_int_equal(p->dport, 22);
    tcp(1, guest_ip(1), 22, OUTSIDE, p->sport, TCP_SYN | TCP_ACK, 1460, 0);
    p = in(0);
    assert_int_equal(p->dport, 6000);
    assert_int_equal(p->sport, 2222);
    tcp(0, guest_ip(0), 2222, SERVER, 80, TCP_SYN, 0, 0); /* the port is taken */
    assert_int_not_equal(out()->sport, 2222);
}

/* ---- time and room ---- */

static void test_time_outs(void **state)
{
    struct nat_member *m = &nat->guest[0]->member;

    (void)state;
    handshake(0, 40000);
    tcp(0, guest_ip(0), 40001, SERVER, 80, TCP_SYN, 0, 0);
    udp(0, guest_ip(0), 4000, SERVER, 7, "x");
    echo(0, guest_ip(0), SERVER, ICMP_ECHO, 1);
    assert_int_equal(m->conns, 4);
    advance(59 * SECOND);
    assert_int_equal(m->conns, 4);
    advance(2 * SECOND);
    assert_int_equal(m->conns, 3);
    advance(180 * SECOND);
    assert_int_equal(m->conns, 2);
    advance(60 * SECOND);
    assert_int_equal(m->conns, 1);
    advance(7100 * SECOND);
    assert_int_equal(m->conns, 1);
    stations_forget();
    tcp(WORLD, SERVER, 80, OUTSIDE, 40000, TCP_ACK, 0, 0); /* it is still there */
    world_answers_arp();
    (void)in(0);
    advance(7441 * SECOND);
    assert_int_equal(m->conns, 0);
    assert_int_equal(m->maps, 0);
}

/* A guest that opens all that it can: its own new ones replace what it has not established. */
static void test_exhaustion(void **state)
{
    struct nat_member *m = &nat->guest[0]->member;

    (void)state;
    world_answers_arp();
    udp(2, guest_ip(2), 1, ROUTER_IP, 1, "x");
    world_answers_arp();
    stations_forget();
    handshake(0, 40000);
    for (unsigned i = 0; i < 5000; i++) {
        udp(0, guest_ip(0), (uint16_t)(1024 + i), SERVER + i % 7, 7, "x");
        if (i % 3 == 0)
            echo(0, guest_ip(0), SERVER, ICMP_ECHO, (uint16_t)i);
        stations_forget();
    }
    assert_int_equal(m->maps, NAT_MAPS);
    assert_int_equal(m->conns, NAT_MAPS);
    for (unsigned i = 0; i < 5000; i++) {
        udp(0, guest_ip(0), 1024, SERVER + i, 7, "x");
        stations_forget();
    }
    assert_int_equal(m->conns, NAT_CONNS);
    tcp(WORLD, SERVER, 80, OUTSIDE, 40000, TCP_ACK, 0, 0); /* the established one lives */
    (void)in(0);
    udp(1, guest_ip(1), 4000, SERVER, 7, "x"); /* and the neighbour notices nothing */
    (void)out();
    assert_int_equal(nat->guest[1]->member.refused, 0);
}

static void test_only_established(void **state)
{
    struct nat_member *m = &nat->guest[0]->member;

    (void)state;
    for (uint16_t i = 0; i < NAT_MAPS; i++) {
        handshake(0, (uint16_t)(20000 + i));
        stations_forget();
    }
    udp(0, guest_ip(0), 4000, SERVER, 7, "x");
    assert_null(station_packet(WORLD));
    assert_int_equal(nat->drops[NAT_DROP_FULL], 1);
    assert_int_equal(m->refused, 1);
    advance(7500 * SECOND);
    assert_int_equal(m->conns, 0);
}

/* ---- names of others ---- */

static uint32_t query(unsigned from, uint16_t id, uint16_t port)
{
    static const uint8_t q[] = "\7example\3org\0\0\1\0\1";
    uint8_t *d = buf + IP_MIN + UDP_HEAD;
    struct packet p;

    memset(d, 0, 12);
    net_put16(d, id);
    net_put16(d + 2, 0x0100);
    net_put16(d + 4, 1);
    memcpy(d + 12, q, sizeof q - 1);
    packet_make_udp(&p, buf, guest_ip(from), port, INSIDE, 53, 12 + sizeof q - 1);
    station_ip(from, &p);
    return 12 + sizeof q - 1;
}

/* The answer of a server to what the world got. */
static void respond(const struct packet *to, uint32_t src, unsigned wrong)
{
    static uint8_t r[200];
    uint32_t len = net_get16(to->l4 + 4) - UDP_HEAD;
    uint16_t port = to->sport;
    struct packet p;

    memcpy(r + IP_MIN + UDP_HEAD, to->l4 + UDP_HEAD, len);
    r[IP_MIN + UDP_HEAD + 2] |= 0x80;
    if (wrong)
        r[IP_MIN + UDP_HEAD + wrong] ^= 0x80;
    packet_make_udp(&p, r, src, 53, OUTSIDE, port, len);
    station_ip(WORLD, &p);
}

static void test_dns_is_passed_on(void **state)
{
    const struct packet *p;
    struct packet asked;
    static uint8_t copy[200];

    (void)state;
    (void)query(0, 0x1234, 5353);
    p = out();
    assert_int_equal(p->dst, SERVER);
    assert_int_equal(p->dport, 53);
    assert_int_not_equal(p->sport, 5353);
    memcpy(copy, p->ip, p->len);
    assert_true(packet_parse(&asked, copy, p->len) && packet_ports(&asked));
    respond(&asked, SERVER + 1, 0); /* not who was asked */
    respond(&asked, SERVER, 1);     /* another identifier */
    respond(&asked, SERVER, 2);     /* a query */
    respond(&asked, SERVER, 15);    /* another question */
    assert_null(station_packet(0));
    respond(&asked, SERVER, 0);
    p = in(0);
    assert_int_equal(net_get16(p->l4 + UDP_HEAD), 0x1234);
    assert_int_equal(p->dport, 5353);
    assert_int_equal(p->src, INSIDE);
    respond(&asked, SERVER, 0); /* once */
    assert_null(station_packet(0));
}

static void test_dns_by_tcp(void **state)
{
    const struct packet *p;

    (void)state;
    tcp(0, guest_ip(0), 40000, INSIDE, 53, TCP_SYN, 1460, 0);
    p = out();
    assert_int_equal(p->dst, SERVER);
    assert_int_equal(p->dport, 53);
    tcp(WORLD, SERVER, 53, OUTSIDE, p->sport, TCP_SYN | TCP_ACK, 1460, 0);
    p = in(0);
    assert_int_equal(p->src, INSIDE);
    assert_int_equal(p->dport, 40000);
    tcp(0, guest_ip(0), 40000, INSIDE, 80, TCP_SYN, 1460, 0); /* nothing else */
    assert_null(station_packet(WORLD));
    stations_forget();
}

static void test_dns_is_bounded(void **state)
{
    uint16_t id = 0;

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        (void)query(0, (uint16_t)i, 5353);
        assert_int_not_equal(net_get16(out()->l4 + UDP_HEAD), id);
    }
    (void)query(1, 1, 5353);
    (void)out();
    id = 0;
    for (unsigned i = 0; i < DNS_PENDING; i++)
        id = (uint16_t)(id + (nat->guest[0]->dns[i].map.out_port != 0));
    assert_int_equal(id, DNS_PENDING);
    advance(10 * SECOND);
    for (unsigned i = 0; i < DNS_PENDING; i++)
        assert_int_equal(nat->guest[0]->dns[i].map.out_port, 0);
}

/* A guest that scans the uplink's network: few questions go out, and its neighbours' packets pass.
 */
static void test_scan(void **state)
{
    unsigned n = 0;
    uint32_t len;
    const uint8_t *f;

    (void)state;
    advance(SECOND);
    for (unsigned i = 0; i < 200; i++)
        udp(0, guest_ip(0), 4000, ROUTER_IP + 20 + i, 9, "x");
    while ((f = station_next(WORLD, &len)))
        n += net_get16(f + 12) == 0x0806;
    assert_in_range(n, 15, 25);
    udp(1, guest_ip(1), 4000, SERVER, 9, "x");
    assert_int_equal(out()->dst, SERVER);
}

/* A packet is paid for by the guest that sent it, else by the one that gets it, once. */
static void test_who_pays(void **state)
{
    uint16_t port;

    (void)state;
    stations_forget();
    udp(0, guest_ip(0), 4000, SERVER, 123, "time?");
    port = out()->sport;
    assert_int_equal(st[0].paid, 1);
    udp(WORLD, SERVER, 123, OUTSIDE, port, "late");
    assert_int_equal(st[0].paid, 2);
    udp(WORLD, SERVER + 1, 123, OUTSIDE, port, "nobody's");
    udp(1, guest_ip(1), 123, OUTSIDE, port, "back in, and refused");
    assert_int_equal(st[0].paid, 2);
    assert_int_equal(st[1].paid, 1);
    assert_int_equal(st[WORLD].paid, 0);
}

/* One run of the event takes so many frames, whatever waits. */
static void test_one_run_is_bounded(void **state)
{
    struct packet p;
    const struct iov iov = { buf, 60 };
    struct net_frame f = { .len = NET_HEAD + 60, .iov = &iov, .niov = 1 };

    (void)state;
    packet_make_udp(&p, buf, guest_ip(0), 4000, SERVER, 7, 32);
    net_mac_to(gate_mac(0), f.head);
    net_mac_to(station_mac(0), f.head + 6);
    net_put16(f.head + 12, 0x0800);
    for (unsigned i = 0; i < 200; i++)
        (void)net_send(&st[0].port, &f);
    gate_run(&nat->event);
    assert_int_equal(st[WORLD].n, 32);
    advance(MS);
    assert_int_equal(st[WORLD].n, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_arp_first, clear),
        cmocka_unit_test_setup(test_udp, clear),
        cmocka_unit_test_setup(test_udp_without_checksum, clear),
        cmocka_unit_test_setup(test_tcp, clear),
        cmocka_unit_test_setup(test_ping, clear),
        cmocka_unit_test_setup(test_filters, clear),
        cmocka_unit_test_setup(test_broken_packets, clear),
        cmocka_unit_test_setup(test_traceroute, clear),
        cmocka_unit_test_setup(test_errors_inward, clear),
        cmocka_unit_test_setup(test_errors_outward, clear),
        cmocka_unit_test_setup(test_mss, clear),
        cmocka_unit_test_setup(test_too_big, clear),
        cmocka_unit_test_setup(test_fragments, clear),
        cmocka_unit_test_setup(test_scan, clear),
        cmocka_unit_test_setup(test_one_run_is_bounded, clear),
        cmocka_unit_test_setup(test_who_pays, clear),
        cmocka_unit_test_setup(test_dns_is_passed_on, clear),
        cmocka_unit_test_setup(test_dns_by_tcp, clear),
        cmocka_unit_test_setup(test_dns_is_bounded, clear),
        cmocka_unit_test_setup(test_forward, clear),
        cmocka_unit_test_setup(test_hostile_fragments, clear),
        cmocka_unit_test_setup(test_time_outs, clear),
        cmocka_unit_test_setup(test_exhaustion, clear),
        cmocka_unit_test_setup(test_only_established, clear),
    };

    nat_begin(true, true);
    return cmocka_run_group_tests_name("nat_out", tests, NULL, NULL);
}
