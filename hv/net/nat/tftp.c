/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tftp.c: the file that guests boot by PXE, read by TFTP (RFC 1350) with the options blksize and
 * tsize (RFC 2347 to 2349). A guest has one transfer, which lives in its own struct; each block is
 * sent as the answer to a packet of the guest's, at its cost. What was lost the guest asks for
 * again.
 */
#include "gate.h"
#include "port.h"
#include <hv/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { RRQ = 1, WRQ = 2, DATA = 3, ACK = 4, ERROR = 5, OACK = 6 };
enum { NOT_FOUND = 1, ACCESS_VIOLATION = 2, ILLEGAL = 4, UNKNOWN_TID = 5 };
enum { TFTP_HEAD = 4, REQUEST_MAX = 512 /* RFC 2347 */, BLOCK_MIN = 8, BLOCK = 512 };
enum { TID_BASE = 49152, TIDS = 16384 };
/*
 * What was sent less long ago is not sent again. Else one acknowledgement that came twice would
 * double every block behind it (RFC 1123 §4.2.3.1).
 */
#define RESEND_NS 200000000ull

/* ---- sending ---- */

static void say(struct nat_guest *g, uint16_t from, uint16_t to, uint32_t len)
{
    gate_udp_to_guest(g, from, 0, to, len);
}

static void tftp_refuse(struct nat_guest *g, const struct packet *p, uint16_t code, const char *why)
{
    size_t n = strlen(why) + 1;

    net_put16(GATE_PAYLOAD, ERROR);
    net_put16(GATE_PAYLOAD + 2, code);
    memcpy(GATE_PAYLOAD + TFTP_HEAD, why, n);
    say(g, p->dport, p->sport, TFTP_HEAD + (uint32_t)n);
}

static uint32_t put_option(uint32_t at, const char *name, uint64_t value)
{
    char *to = (char *)GATE_PAYLOAD + at;
    size_t n = strlen(name) + 1;

    memcpy(to, name, n);
    return at + (uint32_t)n + (uint32_t)snprintf(to + n, 24, "%llu", (unsigned long long)value) + 1;
}

static void send_options(struct nat_guest *g)
{
    const struct tftp *t = &g->tftp;
    uint32_t len = 2;

    net_put16(GATE_PAYLOAD, OACK);
    if (t->says_block)
        len = put_option(len, "blksize", t->size);
    if (t->says_total)
        len = put_option(len, "tsize", nat->boot_len);
    say(g, t->port, t->peer, len);
}

/* Of the block that was sent last. */
static uint32_t block_len(const struct tftp *t)
{
    return (uint32_t)min_u64(t->size, nat->boot_len - (t->block - 1) * t->size);
}

static void send_now(struct nat_guest *g, uint64_t now)
{
    struct tftp *t = &g->tftp;
    uint32_t len;

    t->sent_ns = now;
    if (!t->block) {
        send_options(g);
        return;
    }
    len = block_len(t);
    net_put16(GATE_PAYLOAD, DATA);
    net_put16(GATE_PAYLOAD + 2, (uint16_t)t->block);
    memcpy(GATE_PAYLOAD + TFTP_HEAD, nat->boot_bytes + (t->block - 1) * t->size, len);
    say(g, t->port, t->peer, TFTP_HEAD + len);
}

/* ---- requests ---- */

/* The string at *p, behind which *p is then; NULL: it does not end. */
static const char *next_string(const uint8_t **p, const uint8_t *end)
{
    const uint8_t *s = *p, *nul = s < end ? memchr(s, 0, (size_t)(end - s)) : NULL;

    if (!nul)
        return NULL;
    *p = nul + 1;
    return (const char *)s;
}

/* A block is never fragmented. What is no number, or too small, is left out: RFC 2347. */
static void take_block_size(struct tftp *t, const char *value)
{
    uint32_t most = nat->in.mtu - IP_MIN - UDP_HEAD - TFTP_HEAD, v = 0;

    for (; *value >= '0' && *value <= '9' && v <= 65535; value++)
        v = v * 10 + (uint32_t)(*value - '0');
    if (*value || v < BLOCK_MIN || v > 65464)
        return;
    t->size = (uint16_t)min_u64(min_u64(v, most), GATE_PAYLOAD_MAX - TFTP_HEAD);
    t->says_block = true;
}

static bool is_boot_file(const char *name)
{
    const char *own = nat->boot;

    while (*name == '/')
        name++;
    while (*own == '/')
        own++;
    return strcasecmp(name, own) == 0;
}

static void tftp_read(struct nat_guest *g, const struct packet *p, const uint8_t *in,
                      const uint8_t *end, uint64_t now)
{
    const char *name = next_string(&in, end), *mode = next_string(&in, end), *option, *value;
    struct tftp t = { .peer = p->sport, .size = BLOCK };

    if (!name || !mode || strcasecmp(mode, "octet") != 0) {
        tftp_refuse(g, p, ILLEGAL, "only mode octet is served");
        return;
    }
    if (!is_boot_file(name)) {
        tftp_refuse(g, p, NOT_FOUND, "no such file");
        return;
    }
    while ((option = next_string(&in, end)) && (value = next_string(&in, end))) {
        if (strcasecmp(option, "blksize") == 0)
            take_block_size(&t, value);
        else if (strcasecmp(option, "tsize") == 0)
            t.says_total = true;
    }
    t.port = (uint16_t)(TID_BASE + nat_random() % TIDS);
    t.block = t.says_block || t.says_total ? 0 : 1;
    g->tftp = t;
    send_now(g, now);
}

/* ---- acknowledgements ---- */

static void tftp_ack(struct nat_guest *g, uint16_t ack, uint64_t now)
{
    struct tftp *t = &g->tftp;

    if (ack == (uint16_t)t->block) {
        if (t->block && block_len(t) < t->size) {
            t->port = 0; /* it was the last */
            return;
        }
        t->block++;
        send_now(g, now);
    } else if (ack == (uint16_t)(t->block - 1) && now - t->sent_ns >= RESEND_NS) {
        send_now(g, now);
    }
}

void tftp_packet(struct nat_guest *g, const struct packet *p, uint64_t now)
{
    const uint8_t *in = p->l4 + UDP_HEAD;
    uint32_t len = net_get16(p->l4 + 4) - UDP_HEAD;
    uint16_t op = len >= TFTP_HEAD ? net_get16(in) : 0;

    if (!op || len > REQUEST_MAX) {
        gate_drop(NAT_DROP_BAD);
    } else if (p->dport == TFTP_PORT) {
        if (op == RRQ)
            tftp_read(g, p, in + 2, in + len, now);
        else if (op == WRQ)
            tftp_refuse(g, p, ACCESS_VIOLATION, "nothing can be written");
    } else if (p->sport != g->tftp.peer) {
        if (op != ERROR)
            tftp_refuse(g, p, UNKNOWN_TID, "no such transfer");
    } else if (op == ACK) {
        tftp_ack(g, net_get16(in + 2), now);
    } else if (op == ERROR) {
        g->tftp.port = 0;
    }
}
