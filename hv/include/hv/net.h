/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtual switches, and what is plugged into them. A port is whatever sends and takes Ethernet
 * frames: a guest's network device, a NIC of the host's, the NAT gateway. Portable; knows no
 * device.
 *
 * Who owns a frame, phase by phase:
 *
 *   net_send()     The sender's: the frame and all its pieces, which the CPU must reach during the
 *                  call (they may be in the sender's view). The switch reads the header from `head`
 *                  alone, the sender's one copy of it.
 *   deliver()      Still the sender's, on the sender's CPU, within net_send(). The receiver copies
 *                  what it wants into memory of its own (such as a net_queue) before it returns. It
 *                  never waits and keeps no pointer; without room it drops the frame and counts
 *                  that. It has the sender's view: the receiver's guest memory is out of reach.
 *   afterwards     The receiver's copy is the receiver's; the sender may use its memory again. So a
 *                  receiver that takes nothing costs a sender nothing.
 *
 * Both ends pay for their own part: the sender for net_send(), the receiver for what it does with
 * its copy in an event of its own. No lock is held while deliver() runs.
 */
#pragma once
#include <hv/lock.h>
#include <hv/types.h>
#define NET_NAME_LEN 32
#define NET_PORTS 64    /* most ports of a switch */
#define NET_HEAD 14     /* destination, source, type: IEEE 802.3 */
#define NET_TAG 4       /* an 802.1Q tag, which may follow */
#define NET_MTU_MIN 576 /* payload of a frame */
#define NET_MTU_MAX 9000
#define NET_FRAME_MAX (NET_HEAD + NET_TAG + NET_MTU_MAX)
/*
 * The longest frame of all, to be cut by its receiver, or for one that cannot take it whole.
 */
#define NET_BIG_MAX (NET_HEAD + NET_TAG + 65535)
#define NET_LEARNED 256 /* most addresses that one port is known for; a power of two */
#define NET_LEARNED_WAYS 4
#define NET_AGE_NS (300ull * 1000000000) /* IEEE 802.1Q: 300 s */

/* A MAC address as a number: its first byte is the highest of 48 bits. */
typedef uint64_t net_mac;
#define NET_MAC_BROADCAST 0xffffffffffffull
net_mac net_mac_from(const uint8_t *); /* of 6 bytes */
void net_mac_to(net_mac, uint8_t *);
static inline bool net_mac_is_group(net_mac m) { return m >> 40 & 1; }
/* A unicast address other than 0. */
static inline bool net_mac_is_station(net_mac m) { return m && !net_mac_is_group(m); }
#define NET_MAC_TEXT 18
const char *net_mac_text(net_mac, char buf[NET_MAC_TEXT]);
/* "52:54:00:12:34:56": 0; -EINVAL: it is none of a station. */
int must_check net_mac_parse(const char *, net_mac *);
/*
 * The `i`-th address of a guest that was given none: locally administered, always the same for the
 * same name.
 */
net_mac net_mac_of_guest(const char *name, unsigned i);

/*
 * What the sender left to others of a frame, as virtio 1.2 §5.1.6 has it; all zero: nothing. It
 * goes as it is to a port that `takes` that; for others the switch does what is left.
 */
enum net_offload_flags { NET_NEEDS_CSUM = 1 };
enum net_gso {
    NET_GSO_NONE = 0,
    NET_GSO_TCP4 = 1,
    NET_GSO_TCP6 = 4,
    NET_GSO_UDP = 5,    /* datagrams, not fragments: UDP_L4 */
    NET_GSO_ECN = 0x80, /* beside TCP4, TCP6: only the first segment has CWR */
};
struct net_offload {
    uint8_t flags, gso;
    uint16_t hdr_len, gso_size; /* gso: bytes before the payload; payload of each segment */
    /*
     * NET_NEEDS_CSUM: the checksum is of what begins here, in the frame; so many bytes behind it is
     * its field, which holds the sum of the pseudo-header
     */
    uint16_t csum_start, csum_offset;
};
/* net_port.takes; the others only beside NET_TAKES_CSUM */
enum net_takes {
    NET_TAKES_CSUM = 1,
    NET_TAKES_TSO4 = 2,
    NET_TAKES_TSO6 = 4,
    NET_TAKES_ECN = 8,
    NET_TAKES_USO4 = 16,
    NET_TAKES_USO6 = 32,
};
#define NET_LEAD_MAX 256 /* the headers of a frame of which something is left must end here */
#define NET_SEGMENTS 256 /* most frames that one is cut into */

struct net_frame {
    uint8_t head[NET_HEAD];
    uint32_t len;          /* with the header; at least NET_HEAD */
    const struct iov *iov; /* what follows the header: len - NET_HEAD bytes at least */
    unsigned niov;
    struct net_offload offload;
    /*
     * The switch's, 0 in a frame that is sent: behind the header there are so many bytes of `tag`;
     * then the `nlead` bytes at `lead`; then iov, without its first `at` bytes. So many bytes at
     * the beginning of lead and iov are left out.
     */
    uint8_t pre, skip;
    uint8_t tag[NET_TAG];
    uint16_t nlead;
    uint32_t at;
    const uint8_t *lead;
};
/* Receivers: the frame in one piece, f->len bytes. */
void net_frame_copy(const struct net_frame *, void *to);

#define NET_VLANS 4095 /* 1..4094; 0: of ports that know nothing of VLANs */
/*
 * What a port may do on its switch. A frame belongs to one VLAN: that of the access port that sent
 * it, or what its 802.1Q tag says on a trunk; without a tag there, to `vlan`. It reaches ports of
 * that VLAN alone, without the tag on an access port, with it on a trunk.
 */
struct net_access {
    uint16_t vlan; /* access port: its VLAN. Trunk: that of frames without a tag */
    bool trunk;
    uint64_t rate;                           /* bytes a second each way; 0: any. At most 10^10 */
    uint64_t allowed[(NET_VLANS + 64) / 64]; /* trunk: bit per VLAN */
};
#define NET_RATE_MAX 10000000000ull
static inline bool net_vlan_allowed(const struct net_access *a, uint16_t vid)
{
    return a->allowed[vid / 64] >> (vid % 64) & 1;
}

struct net_port;
struct net_switch;
struct net_port_ops {
    /*
     * A frame for this port, on any CPU, several at once; see above. `from`: the number of the
     * sender's port. True: it was taken; false: there is no room.
     */
    bool (*deliver)(struct net_port *, unsigned from, const struct net_frame *);
    /*
     * Both or none. An event of CPU 0 works for this port's owner among others: whether that has
     * had so much of this CPU, which others want, that its work is to be dropped; the owner pays
     * for what was done since time_ns() was `from`.
     */
    bool (*is_far_ahead)(const struct net_port *);
    void (*pay)(struct net_port *, uint64_t from);
};
/* Since the port was added; each is written by any CPU, and read as it stands. */
struct net_counters {
    uint64_t sent, sent_bytes;         /* by this port */
    uint64_t received, received_bytes; /* taken by it */
    uint64_t dropped;                  /* for it: it had no room */
    uint64_t filtered;                 /* taken by it, and not wanted by its driver */
    uint64_t spoofed;                  /* by it, with a source address that is not its own */
    uint64_t bad;                      /* by it: too short, too long, or from a group address */
    uint64_t limited;                  /* by it: above the limit of floods */
    uint64_t slowed;                   /* by it or for it: above its rate */
    uint64_t astray;                   /* by it: of a VLAN that it may not send to */
    uint64_t claimed;                  /* by it: of an IP address that it may not speak of */
    uint64_t unlearned;                /* source addresses of it that found no room */
    uint64_t summed;                   /* for it: checksums that the switch made */
    uint64_t cut, segments;            /* for it: long frames, and what they were cut into */
    uint64_t whole;                    /* taken by it: long frames as they were */
};
/* One address that was seen on a port; 0: none. */
struct net_learned {
    net_mac mac; /* above bit 48: the VLAN */
    uint64_t seen_ns;
};
#define NET_IPV6 16  /* bytes of such an address */
#define NET_CLAIMS 8 /* IPv6 addresses that a port may have at a time; older ones are forgotten */
/* What may pass now, in bytes, at a rate; since when. Under the switch's lock. */
struct net_bucket {
    uint64_t credit, ns;
};
/*
 * What its owner fills in before net_port_add(): ops, name, mac, ip, isolated, learned, access. The
 * rest is the switch's, and the counters.
 */
struct net_port {
    const struct net_port_ops *ops;
    char name[NET_NAME_LEN]; /* for people: the guest's */
    /*
     * The only address that it sends from, while `learned` is NULL. The switch knows it without
     * learning, and nobody else can claim it.
     */
    net_mac mac;
    uint32_t ip;    /* 0, or the only IPv4 address that it speaks of; see guard.c */
    bool isolated;  /* reaches no other isolated port */
    uint32_t takes; /* atomic: enum net_takes; its owner may change it at any time */
    /*
     * NULL, or NET_LEARNED zeroed entries: it sends from any address (a NIC with others behind it),
     * and those are learned here. So no port's addresses take the room of another's.
     */
    struct net_learned *learned;
    struct net_access access;
    struct net_bucket out, in; /* what it sends, what it gets */
    struct net_switch *net;
    struct net_counters count;
    uint32_t index; /* in net->port */
    uint32_t users; /* atomic: CPUs that are in deliver(), or about to be */
    bool up;        /* under net->lock, as are: */
    uint8_t claim[NET_CLAIMS][NET_IPV6];
    uint32_t nclaims; /* so far, since it is up */
    /* what it may still send to all, as ns at net->floods; when that was; under net->lock */
    uint64_t flood_credit_ns, flood_ns;
};
struct net_switch {
    char name[NET_NAME_LEN];
    uint32_t mtu;
    uint32_t floods; /* frames a second that a port may send to all */
    struct net_switch *next;
    struct spinlock lock;
    struct net_port *port[NET_PORTS];
};

/* ---- switches: CPU 0 ---- */
/* Boot: a new switch; it stays. NET_MTU_MIN <= mtu <= NET_MTU_MAX. -ENOMEM. */
int must_check net_add(const char *name, uint32_t mtu, uint32_t floods);
struct net_switch *net_find(const char *name); /* NULL: there is none */
struct net_switch *net_by_index(unsigned i);   /* NULL: there are fewer */

/* ---- ports ---- */
/*
 * CPU 0. The struct is the caller's, until net_port_remove(). It is down at first. -ENOSPC: the
 * switch is full. -EEXIST: another port has its address.
 */
int must_check net_port_add(struct net_switch *, struct net_port *);
/* Any CPU, also with a lock of LOCK_DEVICE held: frames are delivered to it from now on. */
void net_port_up(struct net_port *);
/*
 * Any CPU, no lock held, not from deliver(): on return no CPU is in its deliver(), nor will be. It
 * waits for a copy of one frame at most.
 */
void net_port_down(struct net_port *);
void net_port_remove(struct net_port *); /* CPU 0; it is down */
/*
 * Any CPU, one at a time for each port, no lock held. Returns the bytes that receivers copied, for
 * the sender's account of its time. The header is the sender's copy, checked here.
 */
uint64_t net_send(struct net_port *, const struct net_frame *);
/* CPU 0: the port with this address of its own, which stays until the event is over; or NULL. */
struct net_port *net_port_of(struct net_switch *, net_mac);
/* Any CPU: counts one that the port's owner refuses to send, or did not take after all. */
void net_count_bad(struct net_port *);
void net_count_dropped(struct net_port *);
void net_count_filtered(struct net_port *);

/* ---- vlan.c: the switch's own ---- */
/* A frame's VLAN, and its tag where it came with one that the switch understands. */
struct net_tagged {
    uint16_t vid;
    bool tagged;
    uint8_t tag[NET_TAG]; /* the control information, then the type behind it */
};
/* False: the port may not send it. */
bool net_vlan_in(const struct net_port *, const struct net_frame *, struct net_tagged *);
/* Whether the port is of the frame's VLAN, and may have it in the form that it would get. */
bool net_vlan_may(const struct net_port *, const struct net_frame *, const struct net_tagged *);
/* The frame as this port gets it: *f, or *form. */
const struct net_frame *net_vlan_out(const struct net_port *, const struct net_frame *f,
                                     const struct net_tagged *, struct net_frame *form);
/* Whether so many bytes may pass; if so, they have. */
bool net_bucket_take(struct net_bucket *, uint64_t rate, uint32_t bytes, uint64_t now);

/* ---- guard.c: the switch's own, for ports with an `ip` ---- */
enum net_guard { NET_GUARD_PASSES, NET_GUARD_REFUSES, NET_GUARD_CLAIMS };
#define NET_LOOKED_AT 256 /* bytes behind the header in which IPv6's headers must end */
struct net_looked {
    uint8_t bytes[NET_LOOKED_AT]; /* the copy that was looked at */
    uint8_t addr[NET_IPV6];
};
/*
 * What a frame says. NET_GUARD_CLAIMS: that the sender has the IPv6 address `addr`. *form: the
 * frame, with that copy as its lead where it has none. It may be the frame itself.
 */
enum net_guard net_guard_look(const struct net_port *, const struct net_frame *,
                              struct net_looked *, struct net_frame *form);
/* Whether the port may have the address; if so, it has. Under the switch's lock. */
bool net_guard_claim(struct net_port *, const uint8_t addr[NET_IPV6]);

/* ---- offload.c: the switch's own ---- */
/* The sender's headers, copied once, and what they say. */
struct net_lead {
    uint8_t bytes[NET_LEAD_MAX]; /* of the frame, from NET_HEAD on */
    uint16_t len;
    uint16_t ip, proto; /* gso: where these headers begin in `bytes` */
    bool v6;
};
/*
 * A frame of which something is left: checks what it says, and makes of it *form, which has the
 * lead's copy of its headers. False: it says what cannot be.
 */
bool net_offload_in(const struct net_frame *, uint32_t mtu, struct net_lead *,
                    struct net_frame *form);
/* Frames that it is to be cut into; `heads`: bytes of its headers. gso_size is not 0. */
static inline uint32_t net_offload_frames(const struct net_frame *f, uint32_t heads)
{
    return (f->len - heads + f->offload.gso_size - 1) / f->offload.gso_size;
}
/* What a port must take to get such a frame as it is: enum net_takes. */
uint32_t net_offload_needs(const struct net_offload *, bool v6);
/*
 * Does what is left, and calls deliver() of the port: for each segment, or once. The bytes that it
 * read and that were taken; 0: the port took nothing. `taken`: frames that it took, and their
 * bytes.
 */
struct net_taken {
    uint32_t frames, dropped;
    uint64_t bytes;
};
struct net_taken net_offload_out(struct net_port *, unsigned from, const struct net_frame *,
                                 const struct net_lead *);

/* ---- capture.c: what comes to one switch, kept in memory as a pcap file ---- */
struct net_capture_state {
    bool on;
    size_t len;              /* bytes of the file so far; those stay as they are */
    uint64_t frames, missed; /* seen; of these not kept, for want of room */
};
/*
 * CPU 0. Begins anew: of a whole switch, or (only) what one port of it sends and gets, as it was
 * sent. -ENOMEM.
 */
int must_check net_capture_start(const struct net_switch *, const struct net_port *only);
void net_capture_stop(void); /* any CPU; what was kept stays */
void net_capture_drop(void); /* CPU 0: stops, and gives the memory back */
/* CPU 0: the file, until the next start or drop; NULL: there is none. */
const uint8_t *net_capture_get(struct net_capture_state *);
/* The switch's own: a frame that goes to these ports; a port that goes. */
void net_capture(const struct net_port *from, const struct net_frame *, struct net_port *const *to,
                 unsigned n);
void net_capture_forget(const struct net_port *);

/* ---- a queue of frames, for receivers ---- */
/*
 * Frames that wait in memory of the receiver's own. Any CPU puts, several at once; one CPU takes.
 * Nobody waits for anybody: one that puts takes its place under the lock, and copies without it.
 * A sender gets no more room than what it leaves to others: one that floods a receiver that is slow
 * cannot take all of the queue.
 */
struct net_queue {
    uint8_t *ring;     /* the owner's: `size` zeroed bytes, aligned to 64 */
    uint32_t size;     /* a power of two, at least 4 * NET_FRAME_MAX; frames may be longer */
    uint32_t put, got; /* bytes since the start, free-running; put: under lock; got: atomic */
    struct spinlock lock;
    uint32_t held[NET_PORTS]; /* bytes in it of each sender; atomic */
};
void net_queue_init(struct net_queue *, void *ring, uint32_t size);
/* `from`: the sender's port number. False: no room. */
bool must_check net_queue_put(struct net_queue *, unsigned from, const struct net_frame *);
/*
 * The taker: the oldest frame, whole, and its length; NULL: none is ready. It stays until
 * net_queue_drop(). *offload (may be NULL): what is left of it.
 */
const uint8_t *net_queue_first(const struct net_queue *, uint32_t *len,
                               struct net_offload *offload);
void net_queue_drop(struct net_queue *);
/* Nobody puts or takes: all that waits is dropped. */
void net_queue_clear(struct net_queue *);
