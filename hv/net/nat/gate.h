/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gateway's state, and what its files call of one another. All of it belongs to one event on
 * CPU 0; what it does in one run is bounded.
 */
#pragma once
#include <hv/event.h>
#include <hv/nat.h>
#include <hv/net.h>
#include "frag.h"
#include "packet.h"
#include "table.h"

enum { GUEST_FRAGS = 2, UPLINK_FRAGS = 4, DNS_PENDING = 16, DNS_QUESTION = 260 };

/* One of the two networks that the gateway is on. */
struct nat_side {
    struct net_port port;
    struct net_queue queue;
    uint8_t *ring;          /* of `queue`; the gateway changes frames in it */
    uint32_t ip, mask, mtu; /* ip 0: none yet */
    bool plugged;           /* it is a port of a switch */
};
/* A query that was passed on: RFC 5452 says how its answer is known. */
struct dns_pending {
    struct nat_map map; /* its port outside; out_port 0: unused */
    struct nat_guest *guest;
    uint64_t since_ns;
    uint32_t server;
    uint16_t id, guest_id, guest_port, len;
    unsigned tries;
    uint8_t question[DNS_QUESTION];
};
/* A guest's transfer of the file that it boots. */
struct tftp {
    uint64_t block; /* the last that was sent, from 1; 0: the answer to its options */
    uint64_t sent_ns;
    uint16_t port, peer;         /* the gateway's and the guest's; port 0: there is none */
    uint16_t size;               /* of blocks, bytes */
    bool says_block, says_total; /* in the answer to its options */
};
struct nat_guest {
    char name[NET_NAME_LEN];
    net_mac mac;
    uint32_t ip, number;
    uint64_t leased_until; /* ns; 0: not leased */
    uint64_t error_ns;     /* ICMP errors to it are paid for until then */
    uint64_t ask_ns;       /* the same for questions on the uplink on its behalf */
    uint64_t sent, received;
    struct dns_pending dns[DNS_PENDING];
    struct nat_member member;
    struct tftp tftp;
    struct frag frag[GUEST_FRAGS];
};
struct nat {
    struct nat_config config;
    struct nat_side in, out;
    char boot[NAT_BOOT_LEN]; /* what nat_boot() gave; "": guests cannot boot from here */
    const uint8_t *boot_bytes;
    uint64_t boot_len;
    const struct nic *nic; /* of the uplink; NULL: its link is always up */
    bool link;             /* as lwIP was told */
    uint32_t router;
    uint32_t dns[NAT_DNS];
    struct nat_table table;
    struct nat_guest *guest[NAT_GUESTS];
    unsigned nguests;
    struct event event;
    struct nat_guest *payer; /* for whom it works now; NULL: it is not known, or nobody's */
    unsigned clear;          /* guests whose connections are to end: the first so many */
    uint64_t tick_ns;        /* when time-outs are looked at next */
    uint64_t drops[NAT_DROPS];
    struct frag frag[UPLINK_FRAGS];
    uint8_t scratch[4096]; /* a packet of the gateway's own */
    uint8_t error[ICMP_ERROR_MAX];
};
extern struct nat *nat; /* NULL: there is none */

/* ---- gate.c ---- */
extern const struct net_port_ops gate_port_ops;
void gate_run(struct event *);
static inline void gate_drop(enum nat_drop why) { nat->drops[why]++; }
struct nat_guest *gate_guest_by_mac(net_mac);
struct nat_guest *gate_guest_by_ip(uint32_t); /* NULL: nobody's */
/* Onto one of the networks, cut where it is too long. */
void gate_to_guest(struct nat_guest *, struct packet *);
/* `who`: NULL: the gateway itself. */
void gate_to_uplink(struct nat_guest *who, struct packet *);
void gate_frame(struct nat_side *, const uint8_t *head, const struct iov *, unsigned n,
                uint32_t len);
/* Where UDP payload goes that is to be sent by the two below, and its room. */
#define GATE_PAYLOAD (nat->scratch + IP_MIN + UDP_HEAD)
#define GATE_PAYLOAD_MAX (sizeof nat->scratch - IP_MIN - UDP_HEAD)
/* `dst`: 0: the guest's own address. */
void gate_udp_to_guest(struct nat_guest *, uint16_t sport, uint32_t dst, uint16_t dport,
                       uint32_t len);
void gate_udp_to_uplink(struct nat_guest *who, uint16_t sport, uint32_t dst, uint16_t dport,
                        uint32_t len);
/* The uplink has an address now, another one, or none (ip 0); `dns`: NAT_DNS of them, 0: none. */
void gate_uplink_is(uint32_t ip, uint32_t mask, uint32_t router, uint32_t mtu, const uint32_t *dns);
static inline bool gate_is_up(void) { return nat->out.ip != 0; }

/* ---- translate.c ---- */
/* A packet from a guest, which is its own, to anywhere but the gateway; from the uplink to it. */
void translate_outward(struct nat_guest *, struct packet *, uint64_t now);
void translate_inward(struct packet *, uint64_t now);
/* TCP to the gateway's port 53 goes to the uplink's first server: for answers that are too long for
 * UDP (RFC 7766). */
void translate_dns(struct nat_guest *, struct packet *, uint64_t now);
/* An ICMP error to a guest, at most so many a second. */
void translate_refuse(struct nat_guest *, const struct packet *about, uint8_t type, uint8_t code,
                      uint16_t mtu, uint64_t now);

/* ---- dhcpd.c ---- */
/* The answer to `len` bytes from a guest, in `out` of `room` bytes; its length, 0: none. *to:
 * where. */
uint32_t dhcpd_answer(struct nat_guest *, const uint8_t *in, uint32_t len, uint8_t *out,
                      uint32_t room, uint32_t *to, uint64_t now);

/* ---- dns.c ---- */
/* A guest's query; an answer from outside to a port of the gateway's own. */
void dns_query(struct nat_guest *, const struct packet *, uint64_t now);
void dns_reply(struct dns_pending *, const struct packet *);
void dns_expire(struct nat_guest *, uint64_t now);

/* ---- tftp.c ---- */
enum { TFTP_PORT = 69 };
/* To the gateway, where there is a file: to TFTP_PORT, or to the port of the guest's transfer. */
void tftp_packet(struct nat_guest *, const struct packet *, uint64_t now);

/* ---- stack.c: lwIP ---- */
int must_check stack_start(void);
/* `frame`: with its header; ARP, or IP for the gateway itself. */
void stack_arp(struct nat_side *, const uint8_t *frame, uint32_t len);
void stack_ip(struct nat_side *, const struct packet *);
void stack_guest(const struct nat_guest *);
/* The uplink's link: without it there is no address. */
void stack_link(bool up);
/* False: the neighbour's address on the uplink is not known. */
bool must_check stack_neighbour(uint32_t ip, uint8_t mac[6]);
/* Asks for it, and sends the packet when it is known. */
void stack_ask(uint32_t ip, const struct packet *);
/* Does what is due; returns when something will be next, in ns. */
uint64_t stack_work(uint64_t now);
