/* SPDX-License-Identifier: BSD-2-Clause */
/* packet.c: reading and changing IPv4 packets; see packet.h. */
#include "packet.h"
#include <hv/assert.h>
#include <string.h>

enum {
    IP_SUM = 10,
    IP_SRC = 12,
    IP_DST = 16,
    TCP_SUM = 16,
    UDP_SUM = 6,
    ICMP_SUM = 2,
    ECHO_ID = 4
};
enum {
    OPTION_END = 0,
    OPTION_NOP = 1,
    TCP_OPTION_MSS = 2,
    IP_OPTION_LSRR = 131,
    IP_OPTION_SSRR = 137
};
enum { OWN_TTL = 64, QUOTED = 8 }; /* an ICMP error quotes at least so much behind the header */

uint32_t csum_add(uint32_t sum, const uint8_t *p, uint32_t len)
{
    uint64_t s = sum;

    for (; len > 1; len -= 2, p += 2)
        s += net_get16(p);
    if (len)
        s += (uint32_t)*p << 8;
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return (uint32_t)s;
}

uint16_t csum_end(uint32_t sum) { return (uint16_t)~csum_add(sum, NULL, 0); }

void csum_change(uint8_t *at, uint16_t before, uint16_t now)
{
    net_put16(at, csum_end((uint32_t)(uint16_t)~net_get16(at) + (uint16_t)~before + now));
}

/* ---- reading ---- */

/* Source routes make a packet go where its sender may not reach. */
static bool options_allowed(const uint8_t *p, uint32_t len)
{
    for (uint32_t i = 0; i < len && p[i] != OPTION_END;) {
        if (p[i] == OPTION_NOP) {
            i++;
            continue;
        }
        if (len - i < 2 || p[i + 1] < 2 || p[i + 1] > len - i || p[i] == IP_OPTION_LSRR ||
            p[i] == IP_OPTION_SSRR)
            return false;
        i += p[i + 1];
    }
    return true;
}

bool packet_parse(struct packet *p, uint8_t *b, uint32_t len)
{
    if (len < IP_MIN || b[0] >> 4 != 4)
        return false;
    p->ip = b;
    p->hl = (b[0] & 15u) * 4;
    p->len = net_get16(b + 2);
    if (p->hl < IP_MIN || p->len < p->hl || p->len > len || csum_end(csum_add(0, b, p->hl)) ||
        !options_allowed(b + IP_MIN, p->hl - IP_MIN))
        return false;
    p->l4 = b + p->hl;
    p->frag = net_get16(b + 6);
    p->ttl = b[8];
    p->proto = b[9];
    p->src = net_get32(b + IP_SRC);
    p->dst = net_get32(b + IP_DST);
    p->sport = p->dport = 0;
    return true;
}

static bool tcp_sound(const struct packet *p, uint32_t len)
{
    uint32_t head = len < TCP_MIN ? 0 : (p->l4[12] >> 4) * 4u;

    return head >= TCP_MIN && head <= len;
}

static bool udp_sound(const struct packet *p, uint32_t len)
{
    return len >= UDP_HEAD && net_get16(p->l4 + 4) >= UDP_HEAD && net_get16(p->l4 + 4) <= len;
}

bool packet_ports(struct packet *p)
{
    uint32_t len = p->len - p->hl;

    if (packet_is_fragment(p))
        return false;
    if (p->proto == PROTO_ICMP) {
        if (len < ICMP_HEAD || (p->l4[0] != ICMP_ECHO && p->l4[0] != ICMP_ECHO_REPLY))
            return false;
        p->sport = p->dport = net_get16(p->l4 + ECHO_ID);
        return true;
    }
    if (!(p->proto == PROTO_TCP && tcp_sound(p, len)) &&
        !(p->proto == PROTO_UDP && udp_sound(p, len)))
        return false;
    p->sport = net_get16(p->l4);
    p->dport = net_get16(p->l4 + 2);
    return true;
}

/* ---- changing ---- */

/* Where the checksum of the packet's payload is; NULL: it has none. */
static uint8_t *l4_sum(const struct packet *p)
{
    if (p->proto == PROTO_TCP)
        return p->l4 + TCP_SUM;
    if (p->proto == PROTO_ICMP)
        return p->l4 + ICMP_SUM;
    return net_get16(p->l4 + UDP_SUM) ? p->l4 + UDP_SUM : NULL;
}

static void packet_set_address(struct packet *p, uint32_t at, uint32_t ip, uint8_t *sum)
{
    for (uint32_t i = at; i < at + 4; i += 2) {
        uint16_t before = net_get16(p->ip + i), now = (uint16_t)(i == at ? ip >> 16 : ip);

        net_put16(p->ip + i, now);
        csum_change(p->ip + IP_SUM, before, now);
        if (sum && p->proto != PROTO_ICMP) /* the others cover the addresses, too */
            csum_change(sum, before, now);
    }
}

static void set_port(struct packet *p, uint32_t at, uint16_t port, uint8_t *sum)
{
    uint16_t before = net_get16(p->l4 + at);

    net_put16(p->l4 + at, port);
    if (sum)
        csum_change(sum, before, port);
    if (sum && p->proto == PROTO_UDP && net_get16(sum) == 0) /* 0 would say that there is none */
        net_put16(sum, 0xffff);
}

void packet_set_source(struct packet *p, uint32_t ip, uint16_t port)
{
    uint8_t *sum = l4_sum(p);

    packet_set_address(p, IP_SRC, ip, sum);
    set_port(p, p->proto == PROTO_ICMP ? ECHO_ID : 0, port, sum);
    p->src = ip;
    p->sport = port;
}

void packet_set_target(struct packet *p, uint32_t ip, uint16_t port)
{
    uint8_t *sum = l4_sum(p);

    packet_set_address(p, IP_DST, ip, sum);
    set_port(p, p->proto == PROTO_ICMP ? ECHO_ID : 2, port, sum);
    p->dst = ip;
    p->dport = port;
}

void packet_hop(struct packet *p)
{
    uint16_t before = net_get16(p->ip + 8);

    hv_assert(p->ttl > 1);
    p->ip[8] = --p->ttl;
    csum_change(p->ip + IP_SUM, before, net_get16(p->ip + 8));
}

/* A 16-bit value that may begin at an odd place is part of two words of the sum. */
static void set_mss(struct packet *p, uint32_t at, uint16_t mss)
{
    uint32_t first = at & ~1u;

    for (uint32_t i = first; i < at + 2; i += 2) {
        uint16_t before = net_get16(p->l4 + i);

        for (uint32_t k = i; k < i + 2; k++)
            if (k == at || k == at + 1)
                p->l4[k] = (uint8_t)(k == at ? mss >> 8 : mss);
        csum_change(p->l4 + TCP_SUM, before, net_get16(p->l4 + i));
    }
}

void packet_limit_mss(struct packet *p, uint16_t mss)
{
    uint32_t end = (p->l4[12] >> 4) * 4u; /* a multiple of 4, so words do not cross it */

    for (uint32_t i = TCP_MIN; i < end && p->l4[i] != OPTION_END;) {
        if (p->l4[i] == OPTION_NOP) {
            i++;
            continue;
        }
        if (end - i < 2 || p->l4[i + 1] < 2 || p->l4[i + 1] > end - i)
            return;
        if (p->l4[i] == TCP_OPTION_MSS && p->l4[i + 1] == 4 && net_get16(p->l4 + i + 2) > mss)
            set_mss(p, i + 2, mss);
        i += p->l4[i + 1];
    }
}

/* ---- making ---- */

void packet_make(struct packet *p, uint8_t *at, uint8_t proto, uint32_t src, uint32_t dst,
                 uint32_t payload)
{
    hv_assert(payload <= IP_MAX - IP_MIN);
    memset(at, 0, IP_MIN);
    at[0] = 0x45;
    net_put16(at + 2, (uint16_t)(IP_MIN + payload));
    at[8] = OWN_TTL;
    at[9] = proto;
    net_put32(at + IP_SRC, src);
    net_put32(at + IP_DST, dst);
    net_put16(at + IP_SUM, csum_end(csum_add(0, at, IP_MIN)));
    *p = (struct packet){ .ip = at,
                          .l4 = at + IP_MIN,
                          .len = IP_MIN + payload,
                          .hl = IP_MIN,
                          .src = src,
                          .dst = dst,
                          .proto = proto,
                          .ttl = OWN_TTL };
}

/* Of a UDP header and its payload, with the pseudo header of RFC 768; its checksum included. */
static uint16_t udp_sum(const struct packet *p, uint32_t len)
{
    uint32_t sum = csum_add(PROTO_UDP + len, p->ip + IP_SRC, 8);

    return csum_end(csum_add(sum, p->l4, len));
}

bool packet_udp_intact(const struct packet *p)
{
    return net_get16(p->l4 + UDP_SUM) == 0 || udp_sum(p, net_get16(p->l4 + 4)) == 0;
}

void packet_make_udp(struct packet *p, uint8_t *at, uint32_t src, uint16_t sport, uint32_t dst,
                     uint16_t dport, uint32_t len)
{
    uint16_t sum;

    packet_make(p, at, PROTO_UDP, src, dst, UDP_HEAD + len);
    net_put16(p->l4, sport);
    net_put16(p->l4 + 2, dport);
    net_put16(p->l4 + 4, (uint16_t)(UDP_HEAD + len));
    net_put16(p->l4 + UDP_SUM, 0);
    sum = udp_sum(p, UDP_HEAD + len);
    net_put16(p->l4 + UDP_SUM, sum ? sum : 0xffff);
    p->sport = sport;
    p->dport = dport;
}

/* RFC 1122 §3.2.2: not about an error, nor about what is no first fragment. */
static bool error_allowed(const struct packet *about)
{
    if (about->frag & IP_OFFSET || about->len - about->hl < QUOTED)
        return false;
    return about->proto != PROTO_ICMP || about->l4[0] == ICMP_ECHO ||
           about->l4[0] == ICMP_ECHO_REPLY;
}

bool packet_make_error(struct packet *p, uint8_t *buf, const struct packet *about, uint32_t from,
                       uint8_t type, uint8_t code, uint16_t mtu)
{
    uint32_t quoted = (uint32_t)min_u64(about->len, ICMP_ERROR_MAX - IP_MIN - ICMP_HEAD);
    uint8_t *icmp = buf + IP_MIN;

    if (!error_allowed(about))
        return false;
    memset(icmp, 0, ICMP_HEAD);
    icmp[0] = type;
    icmp[1] = code;
    net_put16(icmp + 6, mtu);
    memcpy(icmp + ICMP_HEAD, about->ip, quoted);
    net_put16(icmp + ICMP_SUM, csum_end(csum_add(0, icmp, ICMP_HEAD + quoted)));
    packet_make(p, buf, PROTO_ICMP, from, about->src, ICMP_HEAD + quoted);
    return true;
}
