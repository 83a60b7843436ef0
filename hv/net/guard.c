/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guard.c: IP addresses that a guest may speak of; see <hv/net.h>. For ports with an IPv4 address
 * of their own: ARP and IPv4 come from that address, nobody answers as a DHCP server (DHCPv6: RFC
 * 7610), advertises a router (RFC 6105, 7113) or sends tags, and an IPv6 address is who claimed it
 * first by neighbour discovery, while that port is up (RFC 6620). What is looked at is copied once,
 * and that copy is what receivers get.
 */
#include <hv/assert.h>
#include <hv/net.h>
#include <hv/net_wire.h>
#include <string.h>

enum { IPV4_MIN = 20, IPV4_MOST = 60 + 2, IPV4_SRC = 12, ARP_LEN = 28, ARP_MAC = 8, ARP_IP = 14 };
enum { IPV6_HEAD = 40, IPV6_NEXT = 6, IPV6_SRC = 8 };
enum { NEXT_HOP = 0, NEXT_ROUTING = 43, NEXT_FRAGMENT = 44, NEXT_ICMP = 58, NEXT_OPTIONS = 60 };
enum { NEXT_TCP = 6, NEXT_UDP = 17, PORT_LEN = 2, CSUM_LEN = 2, NO_FIELD = 0xffff };
enum { DHCP_SERVER = 67, DHCPV6_SERVER = 547 };
enum { IPV4_FRAGMENT = 6, IPV4_PROTO = 9, IPV4_OFFSET = 0x1fff, IPV6_LEN = 4 };
enum { ICMP_ADVERTISE = 134, ICMP_SOLICIT_NEIGHBOUR, ICMP_NEIGHBOUR, ICMP_REDIRECT };
enum { ND_TARGET = 8, HEADERS = 8, FRAGMENT_LEN = 8 };

static bool guard_is_its_own(const struct net_port *p, uint32_t ip) { return !ip || ip == p->ip; }

static bool arp_may(const struct net_port *p, const uint8_t *arp, uint32_t have)
{
    return have >= ARP_LEN && net_mac_from(arp + ARP_MAC) == p->mac &&
           guard_is_its_own(p, net_get32(arp + ARP_IP));
}

/*
 * UDP whose header begins at `at`. Who answers as a DHCP server says who the gateway is. `field`:
 * where a checksum is still to be written; in place of the port it could be any number.
 */
static bool udp_may(const uint8_t *ip, uint32_t at, uint32_t have, uint32_t server, uint32_t field)
{
    bool becomes = field < at + PORT_LEN && at < field + CSUM_LEN;

    return at + PORT_LEN <= have && net_get16(ip + at) != server && !becomes;
}

/* have: of the headers, as the receiver gets them */
static bool ipv4_may(const struct net_port *p, const uint8_t *ip, uint32_t have, uint32_t field)
{
    uint32_t len = (ip[0] & 15u) * 4;

    if (have < IPV4_MIN || len < IPV4_MIN || !guard_is_its_own(p, net_get32(ip + IPV4_SRC)))
        return false;
    return ip[IPV4_PROTO] != NEXT_UDP || net_get16(ip + IPV4_FRAGMENT) & IPV4_OFFSET ||
           udp_may(ip, len, have, DHCP_SERVER, field);
}

/*
 * Where the protocol's header is, behind those that may be before it; 0: it is not there (a later
 * fragment), `have`: it is not within what is looked at, or never.
 */
static uint32_t protocol_at(const uint8_t *ip, uint32_t have, uint8_t *proto)
{
    uint32_t at = IPV6_HEAD;

    *proto = ip[IPV6_NEXT];
    for (unsigned i = 0; i < HEADERS; i++) {
        const uint8_t *h = ip + at;
        bool fragment = *proto == NEXT_FRAGMENT;

        if (*proto != NEXT_HOP && *proto != NEXT_ROUTING && *proto != NEXT_OPTIONS && !fragment)
            return at;
        if (at + FRAGMENT_LEN > have)
            return have;
        if (fragment && (net_get16(h + 2) & 0xfff8))
            return 0;
        *proto = h[0];
        at += fragment ? FRAGMENT_LEN : (h[1] + 1u) * 8;
        if (at >= have)
            return have;
    }
    return have;
}

static bool is_zero(const uint8_t *addr)
{
    static const uint8_t none[NET_IPV6];

    return memcmp(addr, none, NET_IPV6) == 0;
}

/* RFC 4861 §4: the address that the sender says it has. */
static enum net_guard icmp_says(const uint8_t *ip, const uint8_t *icmp, uint32_t have,
                                uint8_t addr[NET_IPV6])
{
    bool asks = icmp[0] == ICMP_SOLICIT_NEIGHBOUR;

    if (icmp[0] == ICMP_ADVERTISE || icmp[0] == ICMP_REDIRECT)
        return NET_GUARD_REFUSES;
    if (!asks && icmp[0] != ICMP_NEIGHBOUR)
        return NET_GUARD_PASSES;
    if (have < ND_TARGET + NET_IPV6)
        return NET_GUARD_REFUSES;
    memcpy(addr, asks && !is_zero(ip + IPV6_SRC) ? ip + IPV6_SRC : icmp + ND_TARGET, NET_IPV6);
    return NET_GUARD_CLAIMS;
}

static enum net_guard ipv6_says(const uint8_t *ip, uint32_t have, uint8_t addr[NET_IPV6])
{
    uint8_t proto;
    uint32_t at;

    if (have <= IPV6_HEAD)
        return NET_GUARD_REFUSES;
    /* what is behind the packet is no part of it: the receiver cuts it off */
    have = min_u32(have, IPV6_HEAD + net_get16(ip + IPV6_LEN));
    at = protocol_at(ip, have, &proto);
    if (at >= have)
        return NET_GUARD_REFUSES;
    if (at && proto == NEXT_UDP && !udp_may(ip, at, have, DHCPV6_SERVER, NO_FIELD))
        return NET_GUARD_REFUSES;
    if (at == 0 || proto != NEXT_ICMP)
        return NET_GUARD_PASSES;
    return icmp_says(ip, ip + at, have - at, addr);
}

/*
 * A frame of which something is left has its own copy of the headers, which may end behind the
 * first 20 bytes: enough for ARP, IPv4, and the IPv6 header's word for what follows it. have: how
 * long that copy is.
 */
static bool ipv6_left_may(const uint8_t *ip, uint32_t have, uint32_t field)
{
    if (have <= IPV6_HEAD)
        return false;
    return ip[IPV6_NEXT] == NEXT_TCP ||
           (ip[IPV6_NEXT] == NEXT_UDP && udp_may(ip, IPV6_HEAD, have, DHCPV6_SERVER, field));
}

static enum net_guard guard_says(const struct net_port *p, uint16_t type, const struct net_frame *f,
                                 struct net_looked *l, uint32_t have)
{
    /* net_offload_in(): the field ends where the lead does; long frames have it where it belongs */
    uint32_t field = f->nlead && !f->offload.gso ? f->nlead - (uint32_t)CSUM_LEN : NO_FIELD;
    bool may;

    if (type == TYPE_IPV6 && !f->nlead)
        return ipv6_says(l->bytes, have, l->addr);
    if (type == TYPE_IPV6)
        may = ipv6_left_may(l->bytes, have, field);
    else if (type == TYPE_ARP)
        may = arp_may(p, l->bytes, have);
    else
        may = ipv4_may(p, l->bytes, have, field);
    return may ? NET_GUARD_PASSES : NET_GUARD_REFUSES;
}

enum net_guard net_guard_look(const struct net_port *p, const struct net_frame *f,
                              struct net_looked *l, struct net_frame *form)
{
    uint16_t type = net_get16(f->head + 12);
    uint32_t most = type == TYPE_IPV6 ? NET_LOOKED_AT : type == TYPE_IPV4 ? IPV4_MOST : ARP_LEN;
    bool left = f->nlead; /* what is behind the lead is not copied, and may still change */
    uint32_t have = (uint32_t)min_u64(f->len - NET_HEAD, left ? min_u32(most, f->nlead) : most);
    uint8_t copy[NET_HEAD + NET_LOOKED_AT];
    struct net_frame part = *f;

    if (form != f)
        *form = *f;
    if (net_is_tag(type)) /* a tag for priorities alone hides the rest */
        return NET_GUARD_REFUSES;
    if (type != TYPE_IPV4 && type != TYPE_ARP && type != TYPE_IPV6)
        return NET_GUARD_PASSES;
    part.len = NET_HEAD + have;
    net_frame_copy(&part, copy);
    memcpy(l->bytes, copy + NET_HEAD, have);
    if (!left) {
        form->lead = l->bytes;
        form->nlead = (uint16_t)have;
        form->at = have;
    }
    return guard_says(p, type, &part, l, have);
}

static bool guard_has(const struct net_port *p, const uint8_t addr[NET_IPV6])
{
    for (unsigned i = 0; i < NET_CLAIMS; i++)
        if (memcmp(p->claim[i], addr, NET_IPV6) == 0)
            return true;
    return false;
}

/* The link-local address that follows from a MAC (RFC 4291 appendix A) is kept for its owner. */
static bool guard_is_made_of(net_mac mac, const uint8_t addr[NET_IPV6])
{
    uint8_t m[6];

    net_mac_to(mac, m);
    const uint8_t made[NET_IPV6] = {
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, (uint8_t)(m[0] ^ 2), m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]
    };
    return memcmp(made, addr, NET_IPV6) == 0;
}

bool net_guard_claim(struct net_port *p, const uint8_t addr[NET_IPV6])
{
    debug_assert_held(&p->net->lock);
    if (is_zero(addr) || guard_has(p, addr))
        return true;
    for (unsigned i = 0; i < NET_PORTS; i++) {
        const struct net_port *o = p->net->port[i];

        if (o && o != p && ((o->up && guard_has(o, addr)) || guard_is_made_of(o->mac, addr)))
            return false;
    }
    memcpy(p->claim[p->nclaims++ % NET_CLAIMS], addr, NET_IPV6);
    return true;
}
