/* SPDX-License-Identifier: BSD-2-Clause */
/* nat.c: the keys of [net nat], and what is checked of them when the file has been read. */
#include "parse.h"
#include <hv/nat.h>
#include <hv/words.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static_assert(sizeof(((struct config_nat *)0)->boot) <= NAT_BOOT_LEN, "nat_boot()");
enum { BITS_MIN = 8, BITS_MAX = 29 };

/* ---- values ---- */

static bool nat_is_nat(struct parse *p)
{
    if (strcmp(p->net->name, NAT_NAME) == 0)
        return true;
    complain(p, "only [net %s] has this key", NAT_NAME);
    return false;
}

/* "10.0.0.5/24" */
static bool parse_subnet(const char *s, uint32_t *ip, uint32_t *mask)
{
    size_t n = strcspn(s, "/");
    char text[IP_TEXT];
    uint64_t bits;

    if (n >= sizeof text || !s[n])
        return false;
    memcpy(text, s, n);
    text[n] = '\0';
    if (ip_parse(text, ip) || parse_number(s + n + 1, BITS_MIN, BITS_MAX, &bits))
        return false;
    *mask = ~(0xffffffffu >> bits);
    return *ip & ~*mask && (*ip | *mask) != 0xffffffffu && *ip >> 24 && *ip < 0xe0000000u;
}

void set_inside(struct parse *p, const struct key *k, void *field)
{
    struct config_nat *n = &p->out->nat;

    (void)k;
    (void)field;
    if (nat_is_nat(p) && !parse_subnet(p->value, &n->inside, &n->inside_mask))
        complain(p,
                 "give the gateway's address and the length of the subnet's prefix, %d to %d, "
                 "such as 10.21.0.1/24",
                 BITS_MIN, BITS_MAX);
}

void set_address(struct parse *p, const struct key *k, void *field)
{
    struct config_nat *n = &p->out->nat;

    (void)k;
    (void)field;
    if (nat_is_nat(p) && strcasecmp(p->value, "dhcp") != 0 &&
        !parse_subnet(p->value, &n->address, &n->mask))
        complain(p,
                 "give dhcp, or an address and the length of the subnet's prefix, %d to %d, "
                 "such as 192.168.1.5/24",
                 BITS_MIN, BITS_MAX);
}

void set_gateway(struct parse *p, const struct key *k, void *field)
{
    (void)k;
    (void)field;
    if (nat_is_nat(p) && ip_parse(p->value, &p->out->nat.gateway))
        complain(p, "give an address, such as 192.168.1.1");
}

void add_dns(struct parse *p, const struct key *k, void *field)
{
    struct config_nat *n = &p->out->nat;

    (void)k;
    (void)field;
    if (!nat_is_nat(p))
        return;
    if (n->ndns == ARRAY_SIZE(n->dns))
        complain(p, "at most %zu servers are accepted", ARRAY_SIZE(n->dns));
    else if (ip_parse(p->value, &n->dns[n->ndns]) || !n->dns[n->ndns])
        complain(p, "give an address, such as 192.168.1.1");
    else
        n->ndns++;
}

void set_net_boot(struct parse *p, const struct key *k, void *field)
{
    struct config_nat *n = &p->out->nat;

    (void)k;
    (void)field;
    if (!nat_is_nat(p))
        return;
    if (strlen(p->value) >= sizeof n->boot) {
        complain(p, "at most %zu bytes are accepted", sizeof n->boot - 1);
        return;
    }
    snprintf(n->boot, sizeof n->boot, "%s", p->value);
    check_file(p, n->boot);
}

/* ---- forwards ---- */

static bool parse_port(const char *s, size_t len, uint16_t *port)
{
    char text[8];
    uint64_t v;

    if (len == 0 || len >= sizeof text)
        return false;
    memcpy(text, s, len);
    text[len] = '\0';
    if (parse_number(text, 1, 65535, &v))
        return false;
    *port = (uint16_t)v;
    return true;
}

/* "tcp:2222->web:22" */
static bool parse_forward(const char *s, struct config_forward *f)
{
    const char *arrow = strstr(s, "->"), *colon;
    size_t n;

    f->udp = strncasecmp(s, "udp:", 4) == 0;
    if ((!f->udp && strncasecmp(s, "tcp:", 4) != 0) || !arrow ||
        !parse_port(s + 4, (size_t)(arrow - s) - 4, &f->port))
        return false;
    colon = strrchr(arrow, ':');
    n = colon ? (size_t)(colon - arrow) - 2 : 0;
    if (n == 0 || n >= sizeof f->guest || !parse_port(colon + 1, strlen(colon + 1), &f->guest_port))
        return false;
    memcpy(f->guest, arrow + 2, n);
    f->guest[n] = '\0';
    return true;
}

static const struct config_forward *same_port(const struct config_nat *n,
                                              const struct config_forward *f)
{
    for (unsigned i = 0; i < n->nforwards; i++)
        if (n->forward[i].udp == f->udp && n->forward[i].port == f->port)
            return &n->forward[i];
    return NULL;
}

void add_forward(struct parse *p, const struct key *k, void *field)
{
    struct config_nat *n = &p->out->nat;
    struct config_forward f = { .line = p->line };

    (void)k;
    (void)field;
    if (!nat_is_nat(p))
        return;
    if (n->nforwards == ARRAY_SIZE(n->forward))
        complain(p, "at most %zu forwards are accepted", ARRAY_SIZE(n->forward));
    else if (!parse_forward(p->value, &f))
        complain(p, "give tcp or udp, a port, and a guest with a port, such as tcp:2222->web:22");
    else if (same_port(n, &f))
        complain(p, "line %u forwards this port, too", same_port(n, &f)->line);
    else
        n->forward[n->nforwards++] = f;
}

/* ---- when all was read ---- */

static bool in_subnet(const struct config_nat *n, uint32_t ip)
{
    return ((ip ^ n->inside) & n->inside_mask) == 0;
}

/* The first device, in the file's order, that asks for this address. */
static const struct guest_net *nat_first_with(const struct config *c, uint32_t ip)
{
    for (unsigned g = 0; g < c->nguests; g++)
        for (unsigned i = 0; i < c->guest[g].nnets; i++)
            if (c->guest[g].net[i].ip == ip)
                return &c->guest[g].net[i];
    return NULL;
}

static void check_device(struct parse *p, const struct guest_net *d)
{
    const struct config_nat *n = &p->out->nat;
    uint32_t host = d->ip & ~n->inside_mask;
    char a[IP_TEXT], b[IP_TEXT];

    if (!d->ip)
        return;
    if (strcmp(d->net, NAT_NAME) != 0)
        complain(p, "`net = %s`: only `net = %s` takes `ip=ADDRESS`", d->net, NAT_NAME);
    else if (!in_subnet(n, d->ip) || !host || host == ~n->inside_mask || d->ip == n->inside)
        complain(p, "`net = %s`: %s is no address for a guest; the gateway is %s in [net %s]",
                 d->net, ip_text(d->ip, a), ip_text(n->inside, b), NAT_NAME);
    else if (nat_first_with(p->out, d->ip) != d)
        complain(p, "`net = %s`: line %u has the address %s, too", d->net,
                 nat_first_with(p->out, d->ip)->line, ip_text(d->ip, a));
}

/* Devices of the guest on the NAT network. */
static unsigned check_guest(struct parse *p, const struct guest_config *g)
{
    unsigned count = 0;

    for (unsigned i = 0; i < g->nnets; i++) {
        p->line = g->net[i].line;
        check_device(p, &g->net[i]);
        count += strcmp(g->net[i].net, NAT_NAME) == 0;
    }
    return count;
}

static bool has_nat(const struct config *c, const char *guest)
{
    for (unsigned g = 0; g < c->nguests; g++)
        for (unsigned i = 0; strcmp(c->guest[g].name, guest) == 0 && i < c->guest[g].nnets; i++)
            if (strcmp(c->guest[g].net[i].net, NAT_NAME) == 0)
                return true;
    return false;
}

static void check_section(struct parse *p, const struct config_net *net)
{
    const struct config_nat *n = &p->out->nat;

    p->line = net->line;
    if (n->address && ((n->address ^ n->inside) & n->mask & n->inside_mask) == 0)
        complain(p, "[net %s]: `address` and `inside` are in one subnet; give two", net->name);
    if (n->address && n->gateway && (n->address ^ n->gateway) & n->mask)
        complain(p, "[net %s]: `gateway` is not in the subnet of `address`", net->name);
    for (unsigned i = 0; i < n->nforwards; i++) {
        p->line = n->forward[i].line;
        if (!has_nat(p->out, n->forward[i].guest))
            complain(p, "`forward`: no guest %s has `net = %s`", n->forward[i].guest, NAT_NAME);
    }
}

struct config_net *config_nat_net(struct config *c)
{
    for (unsigned i = 0; i < c->nnets; i++)
        if (strcmp(c->net[i].name, NAT_NAME) == 0)
            return &c->net[i];
    return NULL;
}

/* Each device gets an address of its own: not the subnet's, the gateway's, nor that of all. */
static uint32_t nat_most(const struct config_nat *n)
{
    return min_u32(NAT_GUESTS_MAX, ~n->inside_mask - 2);
}

void check_nat(struct parse *p)
{
    struct config *c = p->out;
    unsigned devices = 0;

    if (!c->nat.inside) {
        c->nat.inside = 0x0a150001;
        c->nat.inside_mask = 0xffffff00;
    }
    p->name = NULL;
    for (unsigned i = 0; i < c->nguests; i++) {
        p->guest = &c->guest[i];
        devices += check_guest(p, p->guest);
        if (devices > nat_most(&c->nat))
            complain(p, "`net = %s`: at most %u devices are accepted on it", NAT_NAME,
                     nat_most(&c->nat));
    }
    p->guest = NULL;
    if (devices && !config_nat_net(c)) {
        c->net[c->nnets] = net_defaults;
        memcpy(c->net[c->nnets++].name, NAT_NAME, sizeof NAT_NAME);
    }
    if (config_nat_net(c))
        check_section(p, config_nat_net(c));
}
