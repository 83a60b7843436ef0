/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An IPv4 packet in memory that the gateway owns and may change: checked once, then read by these
 * fields only. Numbers are in the CPU's order. RFC 791, 768, 792, 9293; checksums: RFC 1624.
 */
#pragma once
#include <hv/net_wire.h>
#include <hv/types.h>

enum { IP_MIN = 20, UDP_HEAD = 8, TCP_MIN = 20, ICMP_HEAD = 8, IP_MAX = 65535 };
enum { PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_UDP = 17 };
enum { IP_DF = 0x4000, IP_MF = 0x2000, IP_OFFSET = 0x1fff };
enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_ACK = 16 };
enum {
    ICMP_ECHO_REPLY = 0,
    ICMP_UNREACHABLE = 3,
    ICMP_ECHO = 8,
    ICMP_TIME_EXCEEDED = 11,
    ICMP_PARAMETER = 12
};
enum { UNREACHABLE_NET = 0, UNREACHABLE_PROTOCOL = 2, UNREACHABLE_TOO_BIG = 4 };

struct packet {
    uint8_t *ip;  /* the header's first byte; `len` bytes belong to the packet */
    uint8_t *l4;  /* what follows the header: len - hl bytes */
    uint32_t len; /* the whole, as its header says; IP_MIN..IP_MAX */
    uint32_t hl;  /* of the header: 20..60 */
    uint32_t src, dst;
    uint16_t frag; /* IP_DF, IP_MF, IP_OFFSET */
    uint8_t proto, ttl;
    /* after packet_ports(): for ICMP echo both are the identifier */
    uint16_t sport, dport;
};

/* The Internet checksum (RFC 1071) of `len` bytes; `sum`: what was added up before. */
uint32_t csum_add(uint32_t sum, const uint8_t *, uint32_t len);
uint16_t csum_end(uint32_t sum);
/* A checksum at `at` after a 16-bit word that it covers changed. RFC 1624 equation 3. */
void csum_change(uint8_t *at, uint16_t before, uint16_t now);

/*
 * Of `len` bytes, of which a frame may have padded the last: a whole header with a right checksum,
 * and as many bytes as it says. False: it is none, or asks for source routing (RFC 7126 §4.3).
 */
bool must_check packet_parse(struct packet *, uint8_t *bytes, uint32_t len);
/*
 * TCP, UDP, ICMP echo and its reply, not a fragment: sport, dport. False: it is none of them, or
 * too short for what it says.
 */
bool must_check packet_ports(struct packet *);
/* Of a packet with ports: changes an address and a port, and every checksum that covers them. */
void packet_set_source(struct packet *, uint32_t ip, uint16_t port);
void packet_set_target(struct packet *, uint32_t ip, uint16_t port);
/* The time to live, one less; the caller knows that it is more than 1. */
void packet_hop(struct packet *);
/* TCP with SYN: the option "maximum segment size" is at most `mss` afterwards. */
void packet_limit_mss(struct packet *, uint16_t mss);
static inline bool packet_is_fragment(const struct packet *p)
{
    return p->frag & (IP_MF | IP_OFFSET);
}
static inline uint8_t packet_tcp_flags(const struct packet *p) { return p->l4[13]; }
/* UDP with ports: its checksum is right, or it has none. */
bool must_check packet_udp_intact(const struct packet *);
/*
 * A UDP packet at `at`, with 28 bytes of headers before the `len` bytes of payload that are there
 * already.
 */
void packet_make_udp(struct packet *, uint8_t *at, uint32_t src, uint16_t sport, uint32_t dst,
                     uint16_t dport, uint32_t len);
/* A new header without options at p->ip (20 bytes) for `payload` bytes behind it. */
void packet_make(struct packet *, uint8_t *at, uint8_t proto, uint32_t src, uint32_t dst,
                 uint32_t payload);
/*
 * An ICMP error (RFC 1812 §4.3.2) about `about`, into `buf` of ICMP_ERROR_MAX bytes. False: none
 * may be sent about it.
 */
#define ICMP_ERROR_MAX 128
bool must_check packet_make_error(struct packet *, uint8_t *buf, const struct packet *about,
                                  uint32_t from, uint8_t type, uint8_t code, uint16_t mtu);
