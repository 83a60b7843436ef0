/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dhcpd.c: the DHCP server inside (RFC 2131, 2132). Each guest has one address from the start, so
 * that there is nothing to allocate, to run out of, or to take from another.
 */
#include "gate.h"
#include <stdio.h>
#include <string.h>

enum {
    OP = 0,
    HTYPE = 1,
    HLEN = 2,
    XID = 4,
    FLAGS = 10,
    CIADDR = 12,
    YIADDR = 16,
    SIADDR = 20,
    GIADDR = 24,
    CHADDR = 28,
    BOOT_FILE = 108, /* 128 bytes */
    COOKIE = 236,
    OPTIONS = 240,
    LEAST = 300
};
enum { BOOT_REQUEST = 1, BOOT_REPLY = 2, ETHERNET = 1, BROADCAST = 0x8000 };
enum {
    PAD = 0,
    SUBNET_MASK = 1,
    ROUTER = 3,
    DNS_SERVERS = 6,
    HOST_NAME = 12,
    DOMAIN_NAME = 15,
    MTU = 26,
    BROADCAST_ADDRESS = 28,
    REQUESTED = 50,
    LEASE_TIME = 51,
    MESSAGE_TYPE = 53,
    SERVER = 54,
    RENEWAL = 58,
    REBINDING = 59,
    SERVER_NAME = 66,
    FILE_NAME = 67,
    END = 255
};
enum {
    DISCOVER = 1,
    OFFER = 2,
    REQUEST = 3,
    DECLINE = 4,
    ACK = 5,
    NAK = 6,
    RELEASE = 7,
    INFORM = 8
};
enum { LEASE_S = 86400 };
#define MAGIC 0x63825363u

struct request {
    uint32_t ciaddr, requested, server; /* 0: not given */
    uint16_t flags;
    uint8_t type;
};

/* ---- reading ---- */

static void take_option(struct request *r, uint8_t code, const uint8_t *p, uint32_t len)
{
    if (code == MESSAGE_TYPE && len == 1)
        r->type = *p;
    else if (code == REQUESTED && len == 4)
        r->requested = net_get32(p);
    else if (code == SERVER && len == 4)
        r->server = net_get32(p);
}

/* False: they are cut off. */
static bool take_options(struct request *r, const uint8_t *p, uint32_t len)
{
    uint32_t i = 0;

    while (i < len && p[i] != END) {
        if (p[i] == PAD) {
            i++;
            continue;
        }
        if (len - i < 2 || p[i + 1] > len - i - 2)
            return false;
        take_option(r, p[i], p + i + 2, p[i + 1]);
        i += 2u + p[i + 1];
    }
    return true;
}

static bool take_request(struct request *r, const struct nat_guest *g, const uint8_t *in,
                         uint32_t len)
{
    memset(r, 0, sizeof *r);
    if (len < OPTIONS || in[OP] != BOOT_REQUEST || in[HTYPE] != ETHERNET || in[HLEN] != 6 ||
        net_get32(in + GIADDR) || net_mac_from(in + CHADDR) != g->mac ||
        net_get32(in + COOKIE) != MAGIC)
        return false;
    r->ciaddr = net_get32(in + CIADDR);
    r->flags = net_get16(in + FLAGS);
    return take_options(r, in + OPTIONS, len - OPTIONS) && r->type;
}

/* ---- deciding: RFC 2131 §4.3 ---- */

/* The type of the answer; 0: none. */
static uint8_t decide(const struct request *r, const struct nat_guest *g)
{
    uint32_t wants = r->requested ? r->requested : r->ciaddr;

    if (r->type == DISCOVER)
        return OFFER;
    if (r->type == INFORM)
        return ACK;
    if (r->type != REQUEST || (r->server && r->server != nat->config.inside))
        return 0;
    return wants == g->ip ? ACK : NAK;
}

/* ---- answering ---- */

struct writer {
    uint8_t *p;
    uint32_t len, room;
};

/* The room suffices for all options that there are: 576 bytes, RFC 2131 §2. */
static void dhcpd_add(struct writer *w, uint8_t code, const void *data, size_t len)
{
    if (w->len + 2 + len > w->room || len > 255)
        return;
    w->p[w->len] = code;
    w->p[w->len + 1] = (uint8_t)len;
    memcpy(w->p + w->len + 2, data, len);
    w->len += 2 + (uint32_t)len;
}

static void add32(struct writer *w, uint8_t code, uint32_t v)
{
    uint8_t b[4];

    net_put32(b, v);
    dhcpd_add(w, code, b, sizeof b);
}

static void add_network(struct writer *w, const struct nat_guest *g)
{
    uint8_t mtu[2];

    net_put16(mtu, (uint16_t)nat->in.mtu);
    add32(w, SUBNET_MASK, nat->config.inside_mask);
    add32(w, ROUTER, nat->config.inside);
    add32(w, DNS_SERVERS, nat->config.inside);
    dhcpd_add(w, HOST_NAME, g->name, strlen(g->name));
    dhcpd_add(w, DOMAIN_NAME, NAT_DOMAIN, sizeof NAT_DOMAIN - 1);
    dhcpd_add(w, MTU, mtu, sizeof mtu);
    add32(w, BROADCAST_ADDRESS, nat->config.inside | ~nat->config.inside_mask);
}

/* In the header and as options (RFC 2132 §9.4, §9.5): firmware looks at either. */
static void add_boot(struct writer *w)
{
    char server[IP_TEXT];

    if (!nat->boot[0])
        return;
    ip_text(nat->config.inside, server);
    net_put32(w->p + SIADDR, nat->config.inside);
    memcpy(w->p + BOOT_FILE, nat->boot, strlen(nat->boot));
    dhcpd_add(w, SERVER_NAME, server, strlen(server));
    dhcpd_add(w, FILE_NAME, nat->boot, strlen(nat->boot));
}

static uint32_t write_reply(const struct request *r, const struct nat_guest *g, uint8_t type,
                            const uint8_t *in, uint8_t *out, uint32_t room)
{
    struct writer w = { out, OPTIONS, room - 1 };

    memset(out, 0, room);
    memcpy(out, in, OPTIONS < CHADDR + 16 ? OPTIONS : CHADDR + 16);
    out[OP] = BOOT_REPLY;
    memset(out + 8, 0, 2); /* secs */
    memset(out + YIADDR, 0, CHADDR - YIADDR);
    if (type == NAK)
        memset(out + CIADDR, 0, 4);
    else if (r->type != INFORM)
        net_put32(out + YIADDR, g->ip);
    net_put32(out + COOKIE, MAGIC);
    dhcpd_add(&w, MESSAGE_TYPE, &type, 1);
    add32(&w, SERVER, nat->config.inside);
    if (type != NAK && r->type != INFORM) {
        add32(&w, LEASE_TIME, LEASE_S);
        add32(&w, RENEWAL, LEASE_S / 2);
        add32(&w, REBINDING, LEASE_S / 8 * 7);
    }
    if (type != NAK) {
        add_network(&w, g);
        add_boot(&w);
    }
    out[w.len++] = END;
    return w.len < LEAST ? LEAST : w.len;
}

/* RFC 2131 §4.1, fourth paragraph. */
static uint32_t where_to(const struct request *r, const struct nat_guest *g, uint8_t type)
{
    if (type == NAK || (!r->ciaddr && r->flags & BROADCAST))
        return 0xffffffffu;
    return r->ciaddr ? r->ciaddr : g->ip;
}

uint32_t dhcpd_answer(struct nat_guest *g, const uint8_t *in, uint32_t len, uint8_t *out,
                      uint32_t room, uint32_t *to, uint64_t now)
{
    struct request r;
    uint8_t type;

    if (room < 576 || !take_request(&r, g, in, len))
        return 0;
    if (r.type == RELEASE && r.ciaddr == g->ip)
        g->leased_until = 0;
    type = decide(&r, g);
    if (!type)
        return 0;
    if (type == ACK && r.type == REQUEST)
        g->leased_until = now + LEASE_S * 1000000000ull;
    *to = where_to(&r, g, type);
    return write_reply(&r, g, type, in, out, 576);
}
