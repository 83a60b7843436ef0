/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who behind the gateway talks to whom. Two kinds of entries:
 *
 *   A mapping gives an endpoint inside (guest, protocol, port) a port outside, the same one whoever
 *   it talks to (RFC 4787 §4.1, endpoint-independent). A forward is a mapping that stays.
 *   A connection is a mapping and one that it talks to. What comes from outside must belong to
 *   one (UDP: any port of the same host, RFC 4787 §5), or be for a forward.
 *
 * All memory is the guest's own: a guest that opens what it can takes nothing from others. When its
 * connections are used up, the one that was idle longest of those that are not established goes.
 * ICMP echo: the identifier is the port. One CPU, in the gateway's event.
 */
#pragma once
#include <hv/net.h>
#include <hv/types.h>

enum nat_proto { NAT_TCP, NAT_UDP, NAT_ICMP, NAT_PROTOS };
/* How long one may be idle: RFC 5382 §5 (4 min, 2 h 4 min), RFC 4787 §4.3, RFC 5508 §3.2. */
enum nat_class { NAT_PING, NAT_OPENING, NAT_DATAGRAMS, NAT_ESTABLISHED, NAT_CLASSES };
extern const uint64_t nat_idle_ns[NAT_CLASSES];
enum {
    NAT_GUESTS = NET_PORTS - 1, /* as NAT_GUESTS_MAX */
    NAT_CONNS = 1024,           /* of each guest */
    NAT_MAPS = 512,
    NAT_FORWARDS = 64,
    NAT_PORT_MIN = 1024
};

struct nat_map {
    struct nat_map *next_in, *next_out; /* in their chains; next_in: also of free ones */
    struct nat_member *member;          /* NULL: the gateway's own */
    uint16_t in_port, out_port;
    uint8_t proto; /* enum nat_proto */
    bool fixed;    /* a forward */
    uint32_t conns;
};
struct nat_conn {
    struct nat_conn *next;          /* in its chain, or of free ones */
    struct nat_conn *older, *newer; /* of its class */
    struct nat_map *map;
    uint64_t seen_ns;
    uint32_t remote;
    uint16_t remote_port; /* TCP only; else 0 */
    uint8_t class, flags; /* enum nat_class; SYN_OUT and so on in table.c */
    bool dns;             /* the guest thinks that it talks to the gateway's port 53 */
};
struct nat_class_list {
    struct nat_conn *oldest, *newest;
};
/* A guest's part of the table. */
struct nat_member {
    struct nat_conn conn[NAT_CONNS], *free_conn;
    struct nat_map map[NAT_MAPS], *free_map;
    struct nat_class_list class[NAT_CLASSES];
    uint32_t number, conns, maps; /* number: of the guest */
    uint64_t opened, refused;     /* refused: for want of room, or of a port */
};
struct nat_table {
    uint64_t key[2]; /* of the hash, so that nobody can aim at one chain */
    struct nat_map *in[1024], *out[1024];
    struct nat_conn *conn[4096];
    struct nat_map forward[NAT_FORWARDS];
    unsigned nforwards;
};

/* Empty, with random keys. */
void table_init(struct nat_table *);
/* `number`: 0..NAT_GUESTS-1. */
void table_member(struct nat_member *, uint32_t number);
/* -EEXIST: the port is taken; -ENOSPC: there are too many. */
int must_check table_forward(struct nat_table *, struct nat_member *, enum nat_proto,
                             uint16_t out_port, uint16_t in_port);
/*
 * A port of the gateway's own outside, chosen at random, in the caller's struct until it is given
 * back. False: none was found.
 */
bool must_check table_take_port(struct nat_table *, enum nat_proto, struct nat_map *);
void table_give_port(struct nat_table *, struct nat_map *);
/* Whose port it is outside; NULL: nobody's. */
struct nat_map *table_port(struct nat_table *, enum nat_proto, uint16_t out_port);
/*
 * The connection that a guest's packet belongs to; `open`: one is made where there is none. NULL:
 * there is none.
 */
struct nat_conn *table_outward(struct nat_table *, struct nat_member *, enum nat_proto,
                               uint16_t in_port, uint32_t remote, uint16_t remote_port, bool open,
                               uint64_t now);
/* The same for a packet from outside; `open`: only for a forward. */
struct nat_conn *table_inward(struct nat_table *, enum nat_proto, uint16_t out_port,
                              uint32_t remote, uint16_t remote_port, bool open, uint64_t now);
/* A packet of it passes. `tcp_flags`: of TCP's header, else 0. */
void table_pass(struct nat_conn *, bool outward, uint8_t tcp_flags, uint64_t now);
/* Ends what was idle for too long, at most `most` of each class. True: there may be more. */
bool table_expire(struct nat_table *, struct nat_member *, unsigned most, uint64_t now);
/* Ends all connections: the address outside has changed. */
void table_clear(struct nat_table *, struct nat_member *);
