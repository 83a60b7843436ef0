/* SPDX-License-Identifier: BSD-2-Clause */
/* nat.c: making the gateway, and telling of it; see <hv/nat.h>. */
#include "gate.h"
#include <hv/assert.h>
#include <hv/blake2s.h>
#include <hv/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { RING = 256 * 1024, RING_ALIGN = 64 };
static_assert((RING & (RING - 1)) == 0 && RING >= 4 * NET_FRAME_MAX, "net_queue_init()");

const char *const nat_drop_names[NAT_DROPS] = {
    [NAT_DROP_BAD] = "broken packet",           [NAT_DROP_SPOOFED] = "address of another",
    [NAT_DROP_NOWHERE] = "no such destination", [NAT_DROP_PROTOCOL] = "not TCP, UDP, ping",
    [NAT_DROP_UNKNOWN] = "no connection",       [NAT_DROP_FULL] = "guest's table is full",
    [NAT_DROP_NO_UPLINK] = "no uplink",         [NAT_DROP_TOO_BIG] = "too big",
    [NAT_DROP_NO_MEMORY] = "no memory",         [NAT_DROP_SHARE] = "guest has had its share",
};

/* ---- making ---- */

static int plug(struct nat_side *s, struct net_switch *net, net_mac mac, const char *name)
{
    uint8_t *memory = calloc(1, RING + RING_ALIGN); /* charge: the gateway's queues are Trivet's own
                                                     */
    int e;

    if (!memory)
        return -ENOMEM;
    s->ring = memory + (-(uintptr_t)memory & (RING_ALIGN - 1));
    net_queue_init(&s->queue, s->ring, RING);
    s->port = (struct net_port){ .ops = &gate_port_ops, .mac = mac };
    snprintf(s->port.name, sizeof s->port.name, "%s", name);
    s->mtu = net->mtu;
    e = net_port_add(net, &s->port);
    if (e)
        free(memory);
    s->plugged = !e;
    return e;
}

int nat_start(const struct nat_config *c)
{
    struct net_switch *s = net_find(NAT_NAME);
    int e;

    assert_cpu0();
    hv_assert(s && !nat && c->inside);
    /* charge: the gateway is Trivet's own */
    nat = calloc(1, sizeof *nat);
    if (!nat)
        return -ENOMEM;
    nat->config = *c;
    table_init(&nat->table);
    event_init(&nat->event, gate_run, 0);
    /* no guest is called so: names have no brackets */
    e = plug(&nat->in, s, net_mac_of_guest("[gateway]", 0), "gateway");
    if (e)
        return e;
    nat->in.ip = c->inside;
    nat->in.mask = c->inside_mask;
    e = stack_start();
    if (e)
        return e;
    net_port_up(&nat->in.port);
    event_post(&nat->event);
    return 0;
}

int nat_uplink(struct net_switch *s, net_mac mac, const struct nic *nic)
{
    int e;

    assert_cpu0();
    if (nat->out.plugged)
        return -EBUSY;
    e = plug(&nat->out, s, mac, "gateway");
    if (e)
        return e;
    nat->nic = nic;
    net_port_up(&nat->out.port);
    nat->tick_ns = 0; /* its link is looked at now */
    event_post(&nat->event);
    return 0;
}

/* ---- guests ---- */

static bool nat_is_free(uint32_t ip)
{
    uint32_t host = ip & ~nat->config.inside_mask;

    return host != 0 && host != ~nat->config.inside_mask && ip != nat->config.inside &&
           ((ip ^ nat->config.inside) & nat->config.inside_mask) == 0 && !gate_guest_by_ip(ip);
}

/* The first free one from where the name says; 0: none. */
static uint32_t address_for(const char *name)
{
    uint32_t hosts = ~nat->config.inside_mask,
             subnet = nat->config.inside & nat->config.inside_mask;
    uint8_t digest[BLAKE2S_LEN];
    struct blake2s h;

    blake2s_begin(&h);
    blake2s_add(&h, name, strlen(name));
    blake2s_end(&h, digest);
    for (uint32_t i = 0; i <= NAT_GUESTS + 2; i++) {
        uint32_t ip = subnet | ((net_get32(digest) + i) & hosts);

        if (nat_is_free(ip))
            return ip;
    }
    return 0;
}

int nat_add_guest(const char *name, net_mac mac, uint32_t ip)
{
    struct nat_guest *g;

    assert_cpu0();
    if (nat->nguests == NAT_GUESTS)
        return -ENOSPC;
    if (ip && !nat_is_free(ip))
        return -EEXIST;
    if (!ip)
        ip = address_for(name);
    if (!ip)
        return -ENOSPC;
    /* charge: the configuration's guests are Trivet's own */
    g = calloc(1, sizeof *g);
    if (!g)
        return -ENOMEM;
    snprintf(g->name, sizeof g->name, "%s", name);
    g->mac = mac;
    g->ip = ip;
    g->number = nat->nguests;
    table_member(&g->member, g->number);
    nat->guest[nat->nguests++] = g;
    stack_guest(g);
    return 0;
}

void nat_boot(const char *name, const void *bytes, uint64_t len)
{
    assert_cpu0();
    snprintf(nat->boot, sizeof nat->boot, "%s", name);
    nat->boot_bytes = bytes;
    nat->boot_len = len;
}

uint32_t nat_guest_ip(const struct net_switch *s, net_mac mac)
{
    const struct nat_guest *g = nat && nat->in.port.net == s ? gate_guest_by_mac(mac) : NULL;

    assert_cpu0();
    return g ? g->ip : 0;
}

int nat_forward(enum nat_forward_proto proto, uint16_t port, const char *guest, uint16_t guest_port)
{
    assert_cpu0();
    for (unsigned i = 0; i < nat->nguests; i++)
        if (strcasecmp(nat->guest[i]->name, guest) == 0)
            return table_forward(&nat->table, &nat->guest[i]->member,
                                 proto == FORWARD_TCP ? NAT_TCP : NAT_UDP, port, guest_port);
    return -ENOENT;
}

/* ---- telling ---- */

bool nat_state(struct nat_state *s)
{
    assert_cpu0();
    if (!nat)
        return false;
    *s = (struct nat_state){ .inside = nat->config.inside,
                             .inside_mask = nat->config.inside_mask,
                             .address = nat->out.ip,
                             .mask = nat->out.mask,
                             .router = nat->router,
                             .mtu = nat->out.mtu,
                             .plugged = nat->out.plugged,
                             .link = nat->link };
    memcpy(s->dns, nat->dns, sizeof s->dns);
    memcpy(s->drops, nat->drops, sizeof s->drops);
    return true;
}

bool nat_guest_state(unsigned i, struct nat_guest_state *s)
{
    const struct nat_guest *g = nat && i < nat->nguests ? nat->guest[i] : NULL;
    uint64_t now = time_ns();

    assert_cpu0();
    if (!g)
        return false;
    *s = (struct nat_guest_state){ .name = g->name,
                                   .mac = g->mac,
                                   .ip = g->ip,
                                   .connections = g->member.conns,
                                   .mappings = g->member.maps,
                                   .opened = g->member.opened,
                                   .refused = g->member.refused,
                                   .sent = g->sent,
                                   .received = g->received };
    if (g->leased_until > now)
        s->leased_s = (g->leased_until - now) / 1000000000;
    return true;
}

bool nat_forward_state(unsigned i, struct nat_forward_state *s)
{
    const struct nat_map *m = nat && i < nat->table.nforwards ? &nat->table.forward[i] : NULL;

    assert_cpu0();
    if (!m)
        return false;
    *s = (struct nat_forward_state){ .guest = nat->guest[m->member->number]->name,
                                     .proto = m->proto == NAT_TCP ? FORWARD_TCP : FORWARD_UDP,
                                     .port = m->out_port,
                                     .guest_port = m->in_port,
                                     .connections = m->conns };
    return true;
}
