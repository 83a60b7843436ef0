/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's network devices (NICs): the contract `net_ops` between a driver and the one who uses
 * its NIC, such as an uplink (below), which makes it a port of a virtual switch. NICs are added at
 * boot and never go. Nothing sleeps: frames end by a call from the NIC's event.
 *
 * Who owns a frame that is sent, its memory and its segments:
 *   before send()             the user
 *   from send() to sent()     the device: the user neither writes nor frees any of it. Memory that
 *                             a device was told of cannot be taken back by a call: it comes back
 *                             when the device says so, or when it was reset, in bounded time
 *   from sent() on            the user; within the call it may be sent again
 * A frame that is received is the driver's; it is lent to the user during received() alone. The
 * device may still write to it meanwhile: what is read twice may differ.
 *
 *   no user     the device is reset: it reaches no memory
 *   nic_open()  it is the user's from now on; it starts, and may take a while to have a link
 *   nic_stop()  no received() from now on; each frame comes back by sent(), then stopped() is
 *               called: the NIC has no user any more
 */
#pragma once
#include <hv/event.h>
#include <hv/net.h>
#include <hv/types.h>

#define NIC_SEGS 3 /* most segments of a frame */
/* Memory as a device sees it. */
struct nic_seg {
    hpa_t at;
    uint32_t len; /* bytes; not 0 */
};
/* A frame to send: whole, with its Ethernet header, without its checksum; at least NIC_FRAME_MIN.
 */
#define NIC_FRAME_MIN 60 /* IEEE 802.3 §4.2.3.3, without the checksum: the sender pads */
struct nic_frame {
    const struct nic_seg *seg;
    uint16_t nseg;
    uint32_t len;           /* of all segments together */
    int status;             /* at sent(): 0; -EIO: the device lost it; -ECANCELED: it was stopped */
    struct nic_frame *next; /* the driver's, from send() until sent() */
};

struct nic;
struct nic_user;
/* Called from the NIC's event, on its CPU, one at a time, with no lock held. */
struct nic_user_ops {
    /* `len` bytes: at least NET_HEAD, at most what nic_open() was told of. */
    void (*received)(struct nic_user *, const uint8_t *frame, uint32_t len);
    void (*sent)(struct nic_user *, struct nic_frame *);
    void (*link)(struct nic_user *);    /* nic->up has changed */
    void (*stopped)(struct nic_user *); /* may be NULL for who never stops it */
};
struct nic_user {
    const struct nic_user_ops *ops;
    struct nic *nic;
    char holder[48]; /* for people: who has it */
};

struct nic_mode {
    uint32_t mtu; /* the most that a frame carries, not above nic->mtu_max */
    bool all;     /* promiscuous; else frames to nic->mac and to groups are received alone */
};
struct net_ops {
    /* CPU 0, once, from nic_open(). It takes effect in the NIC's event. -ENOMEM; -EIO: dead */
    int (*start)(struct nic *, const struct nic_mode *);
    /*
     * Any CPU, no lock above LOCK_DRIVER held, also from sent(). 0: sent() will be called.
     * -ENETDOWN: no link, or it is not started; -ENOBUFS: the device has all that it can hold;
     * -EINVAL: too long, too short, too many segments.
     */
    int (*send)(struct nic *, struct nic_frame *);
    void (*stop)(struct nic *); /* any CPU */
    /* CPU 0, when no event runs: what has happened is noticed now. For tests and the boot. */
    void (*poll)(struct nic *);
};
/* Counted by the driver; read while it does. Frames, bytes, times. */
struct nic_stats {
    uint64_t sent, sent_bytes, received, received_bytes;
    uint64_t refused; /* sends that found no room or no link */
    uint64_t lost;    /* frames that the device had when it was reset */
    uint64_t bad;     /* received, with an error, or of a length that cannot be */
    uint64_t strays;  /* answers to nothing of ours */
    uint64_t resets, flaps;
};
/* What the driver fills in: all but name, user and next. up and speed change while it runs. */
struct nic {
    const struct net_ops *ops;
    net_mac mac;      /* its own */
    uint32_t mtu_max; /* NET_MTU_MIN..NET_MTU_MAX */
    uint32_t speed;   /* Mbit/s; 0: not known */
    bool up;          /* it has a link */
    bool dead;        /* it is not used any more: the log says why */
    bool irq;         /* it interrupts; else it is polled */
    const char *driver;
    char at[24]; /* "0000:00:04.0" */
    struct nic_stats stats;
    char name[16]; /* "nic0" */
    struct nic_user *user;
    struct nic *next;
};

/* Boot, from a driver's probe function: gives it a name, logs a line. */
void nic_add(struct nic *);
struct nic *nic_by_index(unsigned i);   /* the i-th, or NULL. Any CPU */
struct nic *nic_find(const char *name); /* NULL: there is none. Any CPU */
bool nic_exists(const char *name);
/*
 * CPU 0. The user's ops and holder are filled in; it stays until stopped(). -EBUSY: somebody has
 * it; -EINVAL: the MTU is beyond the device's; -EIO: it is dead; -ENOMEM. *why, in words.
 */
int must_check nic_open(struct nic *, struct nic_user *, const struct nic_mode *, char *why,
                        size_t len);
void nic_stop(struct nic *); /* any CPU; it has a user whose stopped() is not NULL */
/* The driver, from the NIC's event, after stop(): every frame was given back. */
void nic_stopped(struct nic *);

/*
 * Boot, CPU 0: makes the NIC a port of the switch, for ever: what is behind it is reached from all
 * other ports, and its own address is none of theirs. Errors as nic_open(), and those of
 * net_port_add(); -ENOMEM; `why`, of len bytes, says it in words.
 */
int must_check nic_uplink(struct nic *, struct net_switch *, const struct net_access *, char *why,
                          size_t len);
