/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The NAT network: the switch `nat` with a gateway on it, which gives guests their addresses
 * (DHCP), answers their names (DNS), and lets them reach what the uplink reaches (IPv4 only). CPU
 * 0, unless said otherwise. Addresses are numbers: 10.0.0.1 is 0x0a000001.
 */
#pragma once
#include <hv/net.h>
#define NAT_NAME "nat" /* of the switch */
#define NAT_DOMAIN "trivet"
#define NAT_DNS 3
#define NAT_GUESTS_MAX (NET_PORTS - 1) /* the gateway has one port */
enum nat_forward_proto { FORWARD_TCP, FORWARD_UDP };

struct nat_config {
    uint32_t inside, inside_mask; /* the gateway's address on the switch */
    /* of the uplink; 0: by DHCP, and then the rest may replace what that says */
    uint32_t address, mask, router, dns[NAT_DNS];
};
/* Why a packet was dropped; nat_drop_names[] says it for people. */
enum nat_drop {
    NAT_DROP_BAD,      /* no sound packet */
    NAT_DROP_SPOOFED,  /* from an address that is not the sender's */
    NAT_DROP_NOWHERE,  /* to an address that cannot be reached */
    NAT_DROP_PROTOCOL, /* neither TCP, UDP nor ICMP */
    NAT_DROP_UNKNOWN,  /* of no connection */
    NAT_DROP_FULL,     /* the guest's connections are used up */
    NAT_DROP_NO_UPLINK,
    NAT_DROP_TOO_BIG,
    NAT_DROP_NO_MEMORY,
    NAT_DROP_SHARE, /* the guest is far ahead of its share of the CPU */
    NAT_DROPS
};
extern const char *const nat_drop_names[NAT_DROPS];

/*
 * Boot: makes the gateway on the switch NAT_NAME, which is there. Its subnet: a prefix of 8 to 29
 * bits. -ENOMEM; or the errors of net_port_add().
 */
int must_check nat_start(const struct nat_config *);
/*
 * Boot, after nat_start(): DHCP tells guests to boot from this file, which they read by TFTP; `len`
 * bytes, which stay. `name`: 1 to NAT_BOOT_LEN - 1 bytes (RFC 2131 §2: the field `file`), copied.
 */
#define NAT_BOOT_LEN 128
void nat_boot(const char *name, const void *bytes, uint64_t len);
/*
 * Boot, after nat_start(): the guest's device with this MAC address is called so, and has the
 * address `ip`; 0: one made from its name, the same in each boot with the same guests. -EEXIST: the
 * address is another's, or cannot be a guest's; -ENOSPC: too many; -ENOMEM.
 */
int must_check nat_add_guest(const char *name, net_mac, uint32_t ip);
/* CPU 0: the guest's address, if the switch is NAT_NAME and it has one there; else 0. */
uint32_t nat_guest_ip(const struct net_switch *, net_mac);
/* Boot: what comes to this port of the uplink goes to the guest. -ENOENT; -EEXIST; -ENOSPC. */
int must_check nat_forward(enum nat_forward_proto, uint16_t port, const char *guest,
                           uint16_t guest_port);
/*
 * Boot: the switch on which the gateway has its uplink, with this MTU, and the gateway's MAC
 * address there. `nic`: the only NIC of that switch, whose link is the uplink's; NULL: it is always
 * up. CPU 0. -EBUSY: it has an uplink; -ENOMEM; or the errors of net_port_add().
 */
struct nic;
int must_check nat_uplink(struct net_switch *, net_mac, const struct nic *);

/* "10.0.0.1": 0; -EINVAL. */
int must_check ip_parse(const char *, uint32_t *);
#define IP_TEXT 16
const char *ip_text(uint32_t, char buf[IP_TEXT]); /* returns buf. Any context */

/* ---- for `nets` ---- */
struct nat_state {
    uint32_t inside, inside_mask, address, mask, router, dns[NAT_DNS], mtu;
    bool plugged; /* there is an uplink; address 0: none yet */
    bool link;
    uint64_t drops[NAT_DROPS];
};
struct nat_guest_state {
    const char *name;
    net_mac mac;
    uint32_t ip, connections, mappings;
    uint64_t leased_s; /* seconds that the lease still lasts; 0: it has none */
    uint64_t opened, refused, sent, received, dropped;
};
struct nat_forward_state {
    const char *guest;
    enum nat_forward_proto proto;
    uint16_t port, guest_port;
    uint32_t connections;
};
/* CPU 0. False: there is no gateway; or no such guest or forward. i: from 0, without gaps. */
bool nat_state(struct nat_state *);
bool nat_guest_state(unsigned i, struct nat_guest_state *);
bool nat_forward_state(unsigned i, struct nat_forward_state *);
