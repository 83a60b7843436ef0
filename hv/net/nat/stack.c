/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stack.c: lwIP, as the gateway uses it: ARP on both sides, ICMP to the gateway itself, and the
 * DHCP client of the uplink. Everything that reaches it was checked by gate.c.
 */
#include "gate.h"
#include <hv/assert.h>
#include <hv/log.h>
#include <hv/time.h>
#include <string.h>

#include <lwip/dhcp.h>
#include <lwip/dns.h>
#include <lwip/etharp.h>
#include <lwip/init.h>
#include <lwip/ip4.h>
#include <lwip/netif.h>
#include <lwip/pbuf.h>
#include <lwip/timeouts.h>
#include <netif/ethernet.h>

enum { PIECES = 8, LOCAL_MAX = 16384 /* longest packet to the gateway itself */ };

static struct netif inside, outside;

static ip4_addr_t to_lwip(uint32_t ip)
{
    ip4_addr_t a;

    ip4_addr_set_u32(&a, lwip_htonl(ip));
    return a;
}

static uint32_t from_lwip(const ip4_addr_t *a) { return lwip_ntohl(ip4_addr_get_u32(a)); }
static struct netif *netif_of(const struct nat_side *s)
{
    return s == &nat->in ? &inside : &outside;
}

/* ---- frames ---- */

static err_t stack_output(struct netif *n, struct pbuf *p)
{
    struct nat_side *s = n->state;
    struct iov iov[PIECES];
    unsigned used = 0;

    if (p->len < NET_HEAD || pbuf_clen(p) > PIECES || p->tot_len > NET_FRAME_MAX)
        return ERR_BUF;
    for (const struct pbuf *q = p; q; q = q->next)
        iov[used++] = (struct iov){ q->payload, q->len };
    iov[0] = (struct iov){ (uint8_t *)p->payload + NET_HEAD, p->len - NET_HEAD };
    gate_frame(s, p->payload, iov, used, p->tot_len - NET_HEAD);
    return ERR_OK;
}

static struct pbuf *copy_of(pbuf_layer layer, const uint8_t *bytes, uint32_t len)
{
    struct pbuf *p = len <= LOCAL_MAX ? pbuf_alloc(layer, (u16_t)len, PBUF_RAM) : NULL;

    if (p)
        pbuf_take(p, bytes, (u16_t)len);
    else
        gate_drop(NAT_DROP_NO_MEMORY);
    return p;
}

void stack_arp(struct nat_side *s, const uint8_t *frame, uint32_t len)
{
    struct netif *n = netif_of(s);
    struct pbuf *p = copy_of(PBUF_RAW, frame, len);

    if (p && n->input(p, n) != ERR_OK)
        pbuf_free(p);
}

/* Room before the packet, so that answers can be made of it. */
void stack_ip(struct nat_side *s, const struct packet *in)
{
    struct pbuf *p = copy_of(PBUF_LINK, in->ip, in->len);

    if (p && ip4_input(p, netif_of(s)) != ERR_OK)
        pbuf_free(p);
}

/* ---- neighbours ---- */

void stack_guest(const struct nat_guest *g)
{
    ip4_addr_t ip = to_lwip(g->ip);
    struct eth_addr mac;

    net_mac_to(g->mac, mac.addr);
    if (etharp_add_static_entry(&ip, &mac) != ERR_OK)
        log_warn("nat: no room for the address of %s", g->name);
}

/* The router's address is kept here, too: what guests ask for does not drive it out. */
static struct {
    uint32_t ip;
    uint64_t until_ns;
    uint8_t mac[6];
} kept;
#define ROUTER_NS (30ull * 1000000000)

static bool router_known(uint32_t ip, uint8_t mac[6])
{
    if (ip != kept.ip || time_ns() >= kept.until_ns)
        return false;
    memcpy(mac, kept.mac, sizeof kept.mac);
    return true;
}

static void router_keep(uint32_t ip, const uint8_t mac[6])
{
    kept.ip = ip;
    kept.until_ns = time_ns() + ROUTER_NS;
    memcpy(kept.mac, mac, sizeof kept.mac);
}

bool stack_neighbour(uint32_t ip, uint8_t mac[6])
{
    const ip4_addr_t hop = to_lwip(ip), *unused;
    struct eth_addr *found;

    if (etharp_find_addr(&outside, &hop, &found, &unused) < 0)
        return router_known(ip, mac);
    memcpy(mac, found->addr, sizeof found->addr);
    if (ip == nat->router)
        router_keep(ip, mac);
    return true;
}

void stack_ask(uint32_t ip, const struct packet *packet)
{
    const ip4_addr_t hop = to_lwip(ip);
    struct pbuf *p =
        packet->len <= nat->out.mtu ? copy_of(PBUF_LINK, packet->ip, packet->len) : NULL;

    if (etharp_query(&outside, &hop, p) != ERR_OK)
        gate_drop(NAT_DROP_NO_MEMORY);
    if (p)
        pbuf_free(p);
}

/* ---- the uplink's address ---- */

static void read_dns(uint32_t *dns)
{
    memset(dns, 0, sizeof nat->dns);
    for (unsigned i = 0, n = 0; i < NAT_DNS; i++) {
        uint32_t server = from_lwip(ip_2_ip4(dns_getserver((u8_t)i)));

        if (nat->config.dns[0])
            dns[i] = nat->config.dns[i];
        else if (server)
            dns[n++] = server;
    }
}

/* Both would claim the same addresses: nobody could be reached. */
static bool overlap(uint32_t ip, uint32_t mask)
{
    return ((ip ^ nat->config.inside) & mask & nat->config.inside_mask) == 0;
}

static void address_changed(struct netif *n)
{
    uint32_t ip = from_lwip(netif_ip4_addr(n)), mask = from_lwip(netif_ip4_netmask(n));
    uint32_t router = from_lwip(netif_ip4_gw(n)), dns[NAT_DNS];
    char a[IP_TEXT], b[IP_TEXT];

    if (n != &outside || ip == nat->out.ip)
        return;
    if (ip && overlap(ip, mask)) {
        log_err("nat: the uplink's address %s is in the subnet of %s inside: give another one, "
                "such as inside = 10.99.0.1/24 in [net nat]",
                ip_text(ip, a), ip_text(nat->config.inside, b));
        ip = 0;
    } else if (ip) {
        log_info("nat: the uplink has the address %s", ip_text(ip, a));
    } else {
        log_warn("nat: the uplink has lost its address");
    }
    read_dns(dns);
    gate_uplink_is(ip, mask, router, nat->out.port.net->mtu, dns);
}

void stack_link(bool up)
{
    const struct nat_config *c = &nat->config;
    ip4_addr_t ip = to_lwip(c->address), mask = to_lwip(c->mask), router = to_lwip(c->router);

    net_mac_to(nat->out.port.mac, outside.hwaddr);
    outside.mtu = (u16_t)nat->out.mtu;
    kept.until_ns = 0; /* it may be another network */
    if (up)
        netif_set_link_up(&outside);
    else
        netif_set_link_down(&outside);
    if (up && c->address)
        netif_set_addr(&outside, &ip, &mask, &router);
    else if (up && !netif_dhcp_data(&outside) && dhcp_start(&outside) != ERR_OK)
        log_warn("nat: no memory for the uplink's DHCP client");
}

/* ---- life ---- */

static err_t start_netif(struct netif *n)
{
    struct nat_side *s = n->state;

    n->name[0] = s == &nat->in ? 'i' : 'o';
    n->name[1] = 'n';
    n->hwaddr_len = 6;
    n->mtu = (u16_t)s->mtu;
    n->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET;
    n->hostname = "trivet";
    n->output = etharp_output;
    n->linkoutput = stack_output;
    return ERR_OK;
}

static int stack_add(struct netif *n, struct nat_side *s, uint32_t ip, uint32_t mask)
{
    ip4_addr_t a = to_lwip(ip), m = to_lwip(mask), none = to_lwip(0);

    if (!netif_add(n, &a, &m, &none, s, start_netif, ethernet_input))
        return -ENOMEM;
    netif_set_status_callback(n, address_changed);
    netif_set_up(n);
    return 0;
}

int stack_start(void)
{
    int e;

    lwip_init();
    e = stack_add(&inside, &nat->in, nat->config.inside, nat->config.inside_mask);
    if (e)
        return e;
    net_mac_to(nat->in.port.mac, inside.hwaddr);
    netif_set_link_up(&inside);
    nat->out.mtu = nat->in.mtu;
    return stack_add(&outside, &nat->out, 0, 0);
}

/* Renewals may bring other servers. */
static void look_at_dns(void)
{
    uint32_t dns[NAT_DNS];

    if (!gate_is_up())
        return;
    read_dns(dns);
    memcpy(nat->dns, dns, sizeof nat->dns);
}

uint64_t stack_work(uint64_t now)
{
    u32_t sleep;

    sys_check_timeouts();
    look_at_dns();
    sleep = sys_timeouts_sleeptime();
    return sleep == SYS_TIMEOUTS_SLEEPTIME_INFINITE ? UINT64_MAX
                                                    : now + (uint64_t)(sleep ? sleep : 1) * 1000000;
}
