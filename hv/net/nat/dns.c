/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dns.c: names (RFC 1035). Those of guests are answered here, `web` as well as `web.trivet`; all
 * others are asked of the uplink's servers. What is passed on waits in a table of the guest's own.
 */
#include "gate.h"
#include "port.h"
#include <hv/assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { DNS_HEAD = 12, DNS_PORT = 53, NAME_MAX_LEN = 255, LABEL_MAX = 63, TTL_S = 60 };
enum {
    QR = 0x8000,
    OPCODE = 0x7800,
    AA = 0x0400,
    TC = 0x0200,
    RD = 0x0100,
    RA = 0x0080,
    RCODE = 15
};
enum { FORMERR = 1, SERVFAIL = 2, NXDOMAIN = 3, NOTIMP = 4 };
enum { TYPE_A = 1, TYPE_PTR = 12, CLASS_IN = 1 };
#define PENDING_NS (8ull * 1000000000)
#define SUFFIX "." NAT_DOMAIN
#define REVERSE ".in-addr.arpa"

struct question {
    char name[NAME_MAX_LEN + 1]; /* without a dot at its end */
    uint32_t len;                /* of it in the message, with type and class */
    uint16_t type, class;
};

/* ---- reading ---- */

/* The question that begins at `p`. False: it is none. */
static bool read_question(struct question *q, const uint8_t *p, uint32_t len)
{
    uint32_t i = 0, n = 0;

    while (i < len && p[i]) {
        uint32_t label = p[i];

        if (label > LABEL_MAX || label > len - i - 1 || n + label + 1 > NAME_MAX_LEN)
            return false;
        if (n)
            q->name[n++] = '.';
        for (uint32_t k = 1; k <= label; k++)
            q->name[n++] = p[i + k] ? (char)p[i + k] : '?';
        i += 1 + label;
    }
    q->name[n] = '\0';
    if (len - i < 5) /* the root's label, type, class */
        return false;
    q->type = net_get16(p + i + 1);
    q->class = net_get16(p + i + 3);
    q->len = i + 5;
    return q->len <= DNS_QUESTION;
}

/* ---- names of guests ---- */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);

    return n > m && strcasecmp(s + n - m, end) == 0;
}

/* The address of a name without the domain; 0: nobody's. */
static uint32_t address_of(const char *name, size_t len)
{
    if (len == 7 && strncasecmp(name, "gateway", len) == 0)
        return nat->config.inside;
    for (unsigned i = 0; i < nat->nguests; i++)
        if (strlen(nat->guest[i]->name) == len && strncasecmp(nat->guest[i]->name, name, len) == 0)
            return nat->guest[i]->ip;
    return 0;
}

/* "15.2.0.10.in-addr.arpa": 10.0.2.15. False: it is no such name. */
static bool reverse_address(const char *name, uint32_t *ip)
{
    const char *p = name;

    *ip = 0;
    if (!ends_with(name, REVERSE))
        return false;
    for (unsigned i = 0; i < 4; i++) {
        unsigned v = 0, n = 0;

        for (; *p >= '0' && *p <= '9' && n < 3; n++)
            v = v * 10 + (unsigned)(*p++ - '0');
        if (n == 0 || v > 255 || *p != '.')
            return false;
        *ip |= v << (8 * i);
        p += i < 3;
    }
    return strcasecmp(p, REVERSE) == 0;
}

/* What is known here about a name. */
struct answer {
    bool ours; /* nobody else is to be asked */
    bool exists;
    uint32_t ip;
    const char *name; /* the guest that has the address which was asked for, by itself */
};

static const char *name_of(uint32_t ip)
{
    const struct nat_guest *g = gate_guest_by_ip(ip);

    if (ip == nat->config.inside)
        return "gateway";
    return g ? g->name : NULL;
}

static struct answer look_up(const struct question *q)
{
    struct answer a = { 0 };
    size_t len = strlen(q->name);
    uint32_t ip;

    if (q->class != CLASS_IN)
        return a;
    if (reverse_address(q->name, &ip)) {
        a.ours = ((ip ^ nat->config.inside) & nat->config.inside_mask) == 0;
        a.name = a.ours ? name_of(ip) : NULL;
        a.exists = a.name != NULL;
        return a;
    }
    a.ip = address_of(q->name, len);
    a.ours = a.ip != 0;
    if (!a.ours && ends_with(q->name, SUFFIX)) {
        a.ours = true;
        a.ip = address_of(q->name, len - (sizeof SUFFIX - 1));
    }
    a.exists = a.ip != 0;
    return a;
}

/* ---- answering ---- */

/* A header and the question, in GATE_PAYLOAD; the length. */
static uint32_t begin_reply(const uint8_t *query, uint32_t question, unsigned rcode, bool found)
{
    uint8_t *out = GATE_PAYLOAD;
    uint16_t flags = net_get16(query + 2);

    net_put16(out, net_get16(query));
    net_put16(out + 2,
              (uint16_t)(QR | RA | (flags & (OPCODE | RD)) | (rcode == SERVFAIL ? 0 : AA) | rcode));
    net_put16(out + 4, question != 0);
    net_put16(out + 6, found);
    net_put32(out + 8, 0);
    memcpy(out + DNS_HEAD, query + DNS_HEAD, question);
    return DNS_HEAD + question;
}

static uint32_t put_name(uint8_t *out, const char *name)
{
    uint32_t n = 0;
    char full[NET_NAME_LEN + sizeof SUFFIX];
    const char *p = full;

    snprintf(full, sizeof full, "%s" SUFFIX, name);
    while (*p) {
        size_t label = strcspn(p, ".");

        if (label) {
            out[n] = (uint8_t)label;
            memcpy(out + n + 1, p, label);
            n += 1 + (uint32_t)label;
        }
        p += label + (p[label] == '.');
    }
    out[n++] = 0;
    return n;
}

/* The record that answers, behind `at` bytes; the length of all. */
static uint32_t put_record(uint32_t at, const struct answer *a)
{
    uint8_t *out = GATE_PAYLOAD + at;
    uint32_t len = 4;

    net_put16(out, 0xc000 | DNS_HEAD); /* the name of the question */
    net_put16(out + 2, a->name ? TYPE_PTR : TYPE_A);
    net_put16(out + 4, CLASS_IN);
    net_put32(out + 6, TTL_S);
    if (a->name)
        len = put_name(out + 12, a->name);
    else
        net_put32(out + 12, a->ip);
    net_put16(out + 10, (uint16_t)len);
    return at + 12 + len;
}

static void refuse(struct nat_guest *g, const struct packet *p, const uint8_t *query,
                   uint32_t question, unsigned rcode)
{
    gate_udp_to_guest(g, DNS_PORT, 0, p->sport, begin_reply(query, question, rcode, false));
}

static void dns_answer(struct nat_guest *g, const struct packet *p, const uint8_t *query,
                       const struct question *q, const struct answer *a)
{
    bool found = a->exists && q->type == (a->name ? TYPE_PTR : TYPE_A);
    uint32_t len = begin_reply(query, q->len, a->exists ? 0 : NXDOMAIN, found);

    if (found)
        len = put_record(len, a);
    gate_udp_to_guest(g, DNS_PORT, 0, p->sport, len);
}

/* ---- passing on ---- */

static void dns_forget(struct dns_pending *d)
{
    if (d->map.out_port)
        table_give_port(&nat->table, &d->map);
}

void dns_expire(struct nat_guest *g, uint64_t now)
{
    for (unsigned i = 0; i < DNS_PENDING; i++)
        if (g->dns[i].map.out_port && now - g->dns[i].since_ns >= PENDING_NS)
            dns_forget(&g->dns[i]);
}

/* The same query again, else a free place, else the oldest's. */
static struct dns_pending *pending_for(struct nat_guest *g, const struct packet *p,
                                       const uint8_t *query, const struct question *q)
{
    struct dns_pending *best = g->dns;

    for (unsigned i = 0; i < DNS_PENDING; i++) {
        struct dns_pending *d = &g->dns[i];

        if (d->map.out_port && d->guest_port == p->sport && d->guest_id == net_get16(query) &&
            d->len == q->len && memcmp(d->question, query + DNS_HEAD, q->len) == 0)
            return d;
        if (best->map.out_port && (!d->map.out_port || d->since_ns < best->since_ns))
            best = d;
    }
    dns_forget(best);
    best->tries = 0;
    return best;
}

/* The servers take turns with each repetition; 0: there is none. */
static uint32_t server_for(unsigned tries)
{
    unsigned n = 0;

    while (n < NAT_DNS && nat->dns[n])
        n++;
    return n ? nat->dns[tries % n] : 0;
}

/* Another port and identifier each time: RFC 5452 §9. */
static void pass_on(struct nat_guest *g, const struct packet *p, const uint8_t *query, uint32_t len,
                    const struct question *q, uint64_t now)
{
    struct dns_pending *d = pending_for(g, p, query, q);
    unsigned tries = d->tries;

    dns_forget(d);
    memset(d, 0, sizeof *d);
    d->server = server_for(tries);
    if (!gate_is_up() || !d->server || len > GATE_PAYLOAD_MAX ||
        !table_take_port(&nat->table, NAT_UDP, &d->map)) {
        refuse(g, p, query, q->len, SERVFAIL);
        return;
    }
    d->guest = g;
    d->since_ns = now;
    d->id = (uint16_t)nat_random();
    d->guest_id = net_get16(query);
    d->guest_port = p->sport;
    d->len = (uint16_t)q->len;
    d->tries = tries + 1;
    memcpy(d->question, query + DNS_HEAD, q->len);
    memcpy(GATE_PAYLOAD, query, len);
    net_put16(GATE_PAYLOAD, d->id);
    gate_udp_to_uplink(g, d->map.out_port, d->server, DNS_PORT, len);
}

void dns_query(struct nat_guest *g, const struct packet *p, uint64_t now)
{
    const uint8_t *query = p->l4 + UDP_HEAD;
    uint32_t len = net_get16(p->l4 + 4) - UDP_HEAD;
    struct question q;
    struct answer a;

    if (len < DNS_HEAD || net_get16(query + 2) & QR) {
        gate_drop(NAT_DROP_BAD);
    } else if (net_get16(query + 2) & OPCODE) {
        refuse(g, p, query, 0, NOTIMP);
    } else if (net_get16(query + 4) != 1 || !read_question(&q, query + DNS_HEAD, len - DNS_HEAD)) {
        refuse(g, p, query, 0, FORMERR);
    } else {
        a = look_up(&q);
        if (a.ours)
            dns_answer(g, p, query, &q, &a);
        else
            pass_on(g, p, query, len, &q, now);
    }
}

void dns_reply(struct dns_pending *d, const struct packet *p)
{
    const uint8_t *in = p->l4 + UDP_HEAD;
    uint32_t len = net_get16(p->l4 + 4) - UDP_HEAD;

    hv_assert(d->map.out_port);
    if (p->src != d->server || p->sport != DNS_PORT || len < (uint32_t)DNS_HEAD + d->len ||
        len > GATE_PAYLOAD_MAX || net_get16(in) != d->id || !(net_get16(in + 2) & QR) ||
        net_get16(in + 4) != 1 || memcmp(in + DNS_HEAD, d->question, d->len) != 0) {
        gate_drop(NAT_DROP_UNKNOWN);
        return;
    }
    memcpy(GATE_PAYLOAD, in, len);
    net_put16(GATE_PAYLOAD, d->guest_id);
    dns_forget(d);
    gate_udp_to_guest(d->guest, DNS_PORT, 0, d->guest_port, len);
}
