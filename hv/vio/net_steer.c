/* SPDX-License-Identifier: BSD-2-Clause */
/* net_steer.c: flows and their queues; see net_steer.h. Addresses and ports: RFC 791, 8200, 9293.
 */
#include "net_steer.h"
#include <hv/net.h>
#include <hv/net_wire.h>
#include <hv/nospec.h>

enum { IPV4_HEAD = 20, IPV6_HEAD = 40, PROTO_TCP = 6, PROTO_UDP = 17, FRAGMENTS = 0x3fff };
static_assert(NET_FLOW_HEAD == NET_HEAD + NET_TAG + IPV6_HEAD + 4, "what is looked at");

/* Both ports are below `len`, or there are none. */
static uint32_t steer_ports(const uint8_t *ip, uint32_t len, uint32_t at, uint8_t proto)
{
    if ((proto != PROTO_TCP && proto != PROTO_UDP) || at + 4 > len)
        return 0;
    return (uint32_t)net_get16(ip + at) ^ net_get16(ip + at + 2);
}

static uint32_t steer_ipv4(const uint8_t *ip, uint32_t len)
{
    uint32_t mix;

    if (len < IPV4_HEAD)
        return 0;
    mix = net_get32(ip + 12) ^ net_get32(ip + 16);
    if (net_get16(ip + 6) & FRAGMENTS) /* only the first one has ports */
        return mix;
    return mix ^ steer_ports(ip, len, (ip[0] & 15u) * 4, ip[9]) << 8;
}

static uint32_t steer_ipv6(const uint8_t *ip, uint32_t len)
{
    uint32_t mix = 0;

    if (len < IPV6_HEAD)
        return 0;
    for (unsigned i = 8; i < IPV6_HEAD; i += 4)
        mix ^= net_get32(ip + i);
    return mix ^ steer_ports(ip, len, IPV6_HEAD, ip[6]) << 8;
}

unsigned net_flow(const uint8_t *frame, uint32_t len)
{
    uint32_t at = NET_HEAD, type, mix;

    if (len < NET_HEAD + NET_TAG)
        return 0;
    type = net_get16(frame + NET_HEAD - 2);
    if (type == TYPE_VLAN) {
        type = net_get16(frame + NET_HEAD + NET_TAG - 2);
        at += NET_TAG;
    }
    if (type != TYPE_IPV4 && type != TYPE_IPV6)
        return 0;
    mix = (type == TYPE_IPV4 ? steer_ipv4 : steer_ipv6)(frame + at, len - at);
    return (uint32_t)(mix * 0x9e3779b1u) >> 24;
}
static_assert(NET_FLOWS == 1 << 8, "the upper byte is the flow");

void net_steer_note(struct net_steer *s, unsigned flow, unsigned pair)
{
    s->pair[index_nospec(flow, NET_FLOWS)] = (uint8_t)pair;
}

unsigned net_steer_pair(const struct net_steer *s, unsigned flow, unsigned pairs)
{
    unsigned pair = s->pair[index_nospec(flow, NET_FLOWS)];

    return pair < pairs ? (unsigned)index_nospec(pair, pairs) : 0;
}
