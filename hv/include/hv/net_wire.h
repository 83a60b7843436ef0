/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * net_wire.h: numbers as frames carry them, the highest byte first, at any address; and what a
 * frame's type says (IEEE 802 numbers, RFC 9542 appendix B; tags: 802.1Q §9.6). For the switches
 * and the NAT gateway.
 */
#pragma once
#include <hv/types.h>

enum {
    TYPE_IPV4 = 0x0800,
    TYPE_ARP = 0x0806,
    TYPE_VLAN = 0x8100,
    TYPE_IPV6 = 0x86dd,
    TYPE_PROVIDER = 0x88a8
};

static inline uint16_t net_get16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t net_get32(const uint8_t *p)
{
    return (uint32_t)net_get16(p) << 16 | net_get16(p + 2);
}
static inline void net_put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}
static inline void net_put32(uint8_t *p, uint32_t v)
{
    net_put16(p, v >> 16);
    net_put16(p + 2, v);
}

/* What follows the type is a tag, and then another type. */
static inline bool net_is_tag(uint16_t type) { return type == TYPE_VLAN || type == TYPE_PROVIDER; }
