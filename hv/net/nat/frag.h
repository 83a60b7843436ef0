/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fragments of IPv4 packets, put together (RFC 791 §3.2, RFC 815). Each sender has buffers of its
 * own, so that none can take what others need. What overlaps is dropped (RFC 5722 §3), as is what
 * is not whole in time.
 */
#pragma once
#include "packet.h"
#define FRAG_NS (15ull * 1000000000)
struct frag {
    uint32_t src, dst;
    uint16_t id;
    uint8_t proto;
    bool used;
    uint32_t hl, have, end; /* end: of what was seen */
    uint32_t total;         /* of the payload; 0: not known yet */
    uint64_t since_ns;
    uint8_t seen[(IP_MAX + 1) / 8 / 8]; /* a bit for each 8 bytes of payload */
    uint8_t head[60];                   /* the first fragment's header ends where data begins */
    uint8_t data[IP_MAX + 1];
};
/*
 * Takes a fragment, which the caller may drop afterwards. True: *whole is a packet in one of the
 * `n` buffers, valid until the next call with them.
 */
bool must_check frag_add(struct frag *, unsigned n, const struct packet *, uint64_t now,
                         struct packet *whole);
