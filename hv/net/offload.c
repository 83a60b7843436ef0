/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * offload.c: what a sender leaves to others of a frame: its checksum, and to cut it into frames
 * that fit; see <hv/net.h>. A receiver that takes that gets the frame as it is, with the headers
 * that were checked. For others it is done here, without memory: each segment is a copy of the
 * headers and a part of the sender's payload. What the sender changes meanwhile makes its checksum
 * wrong, and nothing else. RFC 791, 768, 9293, 8200; checksums: RFC 1071.
 */
#include <hv/assert.h>
#include <hv/net.h>
#include <hv/net_wire.h>
#include <string.h>

enum { IP_MIN = 20, IP_LEN = 2, IP_ID = 4, IP_FRAG = 6, IP_PROTO = 9, IP_SUM = 10, IP_SRC = 12 };
enum { IP6_HEAD = 40, IP6_LEN = 4, IP6_NEXT = 6, IP6_SRC = 8 };
enum { PROTO_TCP = 6, PROTO_UDP = 17, PROTO_FRAGMENT = 44 };
enum { TCP_MIN = 20, TCP_SEQ = 4, TCP_OFF = 12, TCP_FLAGS = 13, TCP_SUM = 16 };
enum { TCP_FIN = 1, TCP_PSH = 8, TCP_CWR = 0x80 };
enum { UDP_HEAD = 8, UDP_LEN = 4, UDP_SUM = 6 };
#define MORE_OR_OFFSET 0x3fff /* of IPv4's fragment field */

static bool is_tcp(const struct net_offload *o) { return o->gso != NET_GSO_UDP; }

/* ---- what the sender says ---- */

uint32_t net_offload_needs(const struct net_offload *o, bool v6)
{
    uint32_t needs = o->flags & NET_NEEDS_CSUM ? NET_TAKES_CSUM : 0;

    if (o->gso == NET_GSO_UDP)
        return needs | (v6 ? NET_TAKES_USO6 : NET_TAKES_USO4);
    if (o->gso)
        needs |= v6 ? NET_TAKES_TSO6 : NET_TAKES_TSO4;
    return needs | (o->gso & NET_GSO_ECN ? NET_TAKES_ECN : 0);
}

/* Behind the header, of a frame of which `lead` has `have` bytes. */
static bool find_ipv4(struct net_lead *l, const struct net_offload *o, uint32_t have)
{
    const uint8_t *ip = l->bytes + l->ip;
    uint32_t hl;

    if (have < l->ip + (uint32_t)IP_MIN)
        return false;
    hl = (ip[0] & 0xfu) * 4;
    l->proto = (uint16_t)(l->ip + hl);
    return ip[0] >> 4 == 4 && hl >= IP_MIN && !(net_get16(ip + IP_FRAG) & MORE_OR_OFFSET) &&
           ip[IP_PROTO] == (is_tcp(o) ? PROTO_TCP : PROTO_UDP) &&
           (o->gso & ~NET_GSO_ECN) != NET_GSO_TCP6;
}

/* What is between the header and the protocol's is the sender's business, but for fragments. */
static bool find_ipv6(struct net_lead *l, const struct net_offload *o, uint32_t have)
{
    const uint8_t *ip = l->bytes + l->ip;
    uint8_t proto = is_tcp(o) ? PROTO_TCP : PROTO_UDP;

    l->v6 = true;
    if (have < l->ip + (uint32_t)IP6_HEAD || o->csum_start < NET_HEAD + l->ip + IP6_HEAD)
        return false;
    l->proto = (uint16_t)(o->csum_start - NET_HEAD);
    return ip[0] >> 4 == 6 && ip[IP6_NEXT] != PROTO_FRAGMENT &&
           (ip[IP6_NEXT] == proto || l->proto > l->ip + IP6_HEAD) &&
           (o->gso & ~NET_GSO_ECN) != NET_GSO_TCP4;
}

/* Where the headers of a frame that is to be cut are, and where they end. */
static bool find_headers(const struct net_frame *f, struct net_lead *l, uint32_t have)
{
    const struct net_offload *o = &f->offload;
    uint16_t type = net_get16(f->head + 12);
    uint32_t end;

    if (type == TYPE_VLAN && have >= NET_TAG) {
        l->ip = NET_TAG;
        type = net_get16(l->bytes + 2);
    }
    if (!(type == TYPE_IPV4 ? find_ipv4(l, o, have) : type == TYPE_IPV6 && find_ipv6(l, o, have)))
        return false;
    if (l->proto + (uint32_t)TCP_MIN > have || o->csum_start != NET_HEAD + l->proto ||
        o->csum_offset != (is_tcp(o) ? TCP_SUM : UDP_SUM))
        return false;
    end = is_tcp(o) ? (l->bytes[l->proto + TCP_OFF] >> 4) * 4u : UDP_HEAD;
    if (is_tcp(o) && end < TCP_MIN)
        return false;
    end += l->proto;
    l->len = (uint16_t)min_u64(end, NET_LEAD_MAX);
    return end < have;
}

static bool may_be_cut(const struct net_frame *f, const struct net_lead *l, uint32_t mtu)
{
    const struct net_offload *o = &f->offload;

    return o->gso_size && l->len - l->ip + (uint32_t)o->gso_size <= mtu && f->len <= NET_BIG_MAX &&
           net_offload_frames(f, (uint32_t)NET_HEAD + l->len) <= NET_SEGMENTS;
}

static bool is_known(const struct net_offload *o)
{
    uint8_t gso = o->gso & (uint8_t)~NET_GSO_ECN;

    return (o->flags & ~NET_NEEDS_CSUM) == 0 && (o->gso == 0 || (o->flags & NET_NEEDS_CSUM)) &&
           (o->gso == 0 || o->gso == NET_GSO_UDP || gso == NET_GSO_TCP4 || gso == NET_GSO_TCP6);
}

/* A checksum alone: what is before its field, and the field. */
static bool find_field(const struct net_frame *f, struct net_lead *l)
{
    uint32_t end = (uint32_t)f->offload.csum_start + f->offload.csum_offset + 2;

    if (f->offload.csum_start < NET_HEAD + IP_MIN || end > f->len || end > NET_HEAD + NET_LEAD_MAX)
        return false;
    l->len = (uint16_t)(end - NET_HEAD);
    l->proto = (uint16_t)(f->offload.csum_start - NET_HEAD);
    return true;
}

bool net_offload_in(const struct net_frame *f, uint32_t mtu, struct net_lead *l,
                    struct net_frame *form)
{
    uint8_t first[NET_HEAD + NET_LEAD_MAX];
    struct net_frame part = *f;
    uint32_t have = (uint32_t)min_u64(f->len - NET_HEAD, NET_LEAD_MAX);

    if (!is_known(&f->offload))
        return false;
    part.len = NET_HEAD + have;
    net_frame_copy(&part, first);
    memcpy(l->bytes, first + NET_HEAD, have);
    l->len = l->ip = l->proto = 0;
    l->v6 = false;
    if (!(f->offload.gso ? find_headers(f, l, have) && may_be_cut(f, l, mtu) : find_field(f, l)))
        return false;
    *form = *f;
    form->lead = l->bytes;
    form->nlead = l->len;
    form->at = l->len;
    form->offload.hdr_len = f->offload.gso ? (uint16_t)(NET_HEAD + l->len) : 0;
    if (!f->offload.gso)
        form->offload.gso_size = 0;
    return true;
}

/* ---- checksums, in the order of memory: RFC 1071 §2(B) ---- */

static uint64_t add64(uint64_t sum, uint64_t v)
{
    sum += v;
    return sum + (sum < v);
}

static uint16_t fold(uint64_t sum)
{
    sum = (sum & UINT32_MAX) + (sum >> 32);
    sum = (sum & UINT32_MAX) + (sum >> 32);
    sum = (sum & UINT16_MAX) + (sum >> 16);
    sum = (sum & UINT16_MAX) + (sum >> 16);
    return (uint16_t)((sum & UINT16_MAX) + (sum >> 16));
}

/* Not a call of memcpy(), which takes longer than the adding. */
static uint64_t sum_word(const uint8_t *p)
{
    uint64_t v;

    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

static uint16_t sum_of(const uint8_t *p, uint32_t len)
{
    enum { WORD = 8, AT_ONCE = 4 * WORD };
    uint64_t sum = 0, last = 0;

    for (; len >= AT_ONCE; len -= AT_ONCE, p += AT_ONCE) {
        sum = add64(sum, sum_word(p));
        sum = add64(sum, sum_word(p + WORD));
        sum = add64(sum, sum_word(p + 2 * WORD));
        sum = add64(sum, sum_word(p + 3 * WORD));
    }
    for (; len >= WORD; len -= WORD, p += WORD)
        sum = add64(sum, sum_word(p));
    memcpy(&last, p, len);
    return fold(add64(sum, last));
}

struct sum {
    uint64_t all;
    bool odd; /* bytes so far */
};

static void sum_more(struct sum *s, const uint8_t *p, uint32_t len)
{
    uint16_t v = sum_of(p, len);

    s->all += s->odd ? (uint16_t)(v << 8 | v >> 8) : v;
    s->odd ^= len & 1;
}

/* A number of the CPU's order. */
static void sum_number(struct sum *s, uint16_t v)
{
    uint8_t b[2];

    net_put16(b, v);
    sum_more(s, b, sizeof b);
}

/* 0 would say that there is none (RFC 768); to TCP both are the same. */
static void store_sum(const struct sum *s, uint8_t *at)
{
    uint16_t v = (uint16_t)~fold(s->all);

    if (v == 0)
        v = UINT16_MAX;
    memcpy(at, &v, sizeof v);
}

/* ---- one segment ---- */

/* The payload: a place in a frame's iov. */
struct place {
    const struct iov *iov;
    unsigned niov;
    uint32_t at;
};

static void sum_payload(struct sum *s, struct place p, uint32_t len)
{
    for (; len && p.niov; p.iov++, p.niov--) {
        uint32_t past = (uint32_t)min_u64(p.at, p.iov->len);
        uint32_t n = (uint32_t)min_u64(p.iov->len - past, len);

        sum_more(s, (const uint8_t *)p.iov->base + past, n);
        p.at -= past;
        len -= n;
    }
}

static void offload_step(struct place *p, uint32_t len)
{
    p->at += len;
    while (p->niov && p->at >= p->iov->len) {
        p->at -= p->iov->len;
        p->iov++;
        p->niov--;
    }
}

struct cut {
    const struct net_lead *lead; /* of the frame */
    struct place place;
    uint32_t done, left; /* bytes of payload */
    bool tcp;
    uint16_t gso_size, number;
    uint8_t bytes[NET_LEAD_MAX]; /* the segment's headers */
};

static void set_ip(struct cut *c, uint32_t n)
{
    const struct net_lead *l = c->lead;
    uint8_t *ip = c->bytes + l->ip;
    uint32_t len = l->len - l->ip + n;
    struct sum s = { 0 };
    uint16_t v;

    if (l->v6) {
        net_put16(ip + IP6_LEN, len - IP6_HEAD);
        return;
    }
    net_put16(ip + IP_LEN, len);
    net_put16(ip + IP_ID, (uint16_t)(net_get16(ip + IP_ID) + c->number));
    net_put16(ip + IP_SUM, 0);
    sum_more(&s, ip, l->proto - (uint32_t)l->ip);
    v = (uint16_t)~fold(s.all);
    memcpy(ip + IP_SUM, &v, sizeof v);
}

static void set_proto(struct cut *c, uint32_t n)
{
    uint8_t *p = c->bytes + c->lead->proto;

    if (!c->tcp) {
        net_put16(p + UDP_LEN, UDP_HEAD + n);
        return;
    }
    net_put32(p + TCP_SEQ, net_get32(p + TCP_SEQ) + c->done);
    if (c->number)
        p[TCP_FLAGS] &= (uint8_t)~TCP_CWR;
    if (n < c->left)
        p[TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
}

/* The pseudo-header: RFC 9293 §3.1, RFC 8200 §8.1. */
static void sum_pseudo(const struct cut *c, struct sum *s, uint32_t n)
{
    const struct net_lead *l = c->lead;
    const uint8_t *ip = c->bytes + l->ip;

    if (l->v6)
        sum_more(s, ip + IP6_SRC, 32);
    else
        sum_more(s, ip + IP_SRC, 8);
    sum_number(s, c->tcp ? PROTO_TCP : PROTO_UDP);
    sum_number(s, (uint16_t)(l->len - l->proto + n));
}

/* The headers of the next segment, of n bytes of payload. */
static void make_headers(struct cut *c, uint32_t n)
{
    const struct net_lead *l = c->lead;
    uint8_t *field = c->bytes + l->proto + (c->tcp ? TCP_SUM : UDP_SUM);
    struct sum s = { 0 };

    memcpy(c->bytes, l->bytes, l->len);
    set_ip(c, n);
    set_proto(c, n);
    net_put16(field, 0);
    sum_pseudo(c, &s, n);
    sum_more(&s, c->bytes + l->proto, (uint32_t)l->len - l->proto);
    sum_payload(&s, c->place, n);
    store_sum(&s, field);
}

static void hand(struct net_port *to, unsigned from, const struct net_frame *f, struct net_taken *t)
{
    bool taken = to->ops->deliver(to, from, f);

    t->frames += taken;
    t->dropped += !taken;
    t->bytes += taken ? f->len : 0;
}

static struct net_frame without(const struct net_frame *f, const uint8_t *bytes)
{
    struct net_frame form = *f;

    form.offload = (struct net_offload){ 0 };
    form.lead = bytes;
    return form;
}

/* A frame that fits, but for its checksum. */
static struct net_taken make_sum(struct net_port *to, unsigned from, const struct net_frame *f,
                                 const struct net_lead *l)
{
    const struct place payload = { f->iov, f->niov, f->at };
    struct net_taken t = { 0 };
    uint8_t bytes[NET_LEAD_MAX];
    struct net_frame form = without(f, bytes);
    struct sum s = { 0 };

    memcpy(bytes, l->bytes, l->len);
    sum_more(&s, bytes + l->proto, (uint32_t)l->len - l->proto);
    sum_payload(&s, payload, f->len - NET_HEAD - f->pre - (f->nlead - f->skip));
    store_sum(&s, bytes + l->len - 2);
    hand(to, from, &form, &t);
    return t;
}

struct net_taken net_offload_out(struct net_port *to, unsigned from, const struct net_frame *f,
                                 const struct net_lead *l)
{
    struct net_taken t = { 0 };
    struct net_frame form;
    struct cut c;
    uint32_t heads = (uint32_t)NET_HEAD + f->pre + f->nlead - f->skip;

    debug_assert(f->nlead == l->len && f->len >= heads);
    if (!f->offload.gso)
        return make_sum(to, from, f, l);
    c.lead = l;
    c.place = (struct place){ f->iov, f->niov, f->at };
    c.done = c.number = 0;
    c.left = f->len - heads;
    c.tcp = is_tcp(&f->offload);
    c.gso_size = f->offload.gso_size;
    form = without(f, c.bytes);
    for (uint32_t n; c.left; c.left -= n, c.done += n, c.number++) {
        n = (uint32_t)min_u64(c.left, c.gso_size);
        make_headers(&c, n);
        form.len = heads + n;
        form.iov = c.place.iov;
        form.niov = c.place.niov;
        form.at = c.place.at;
        hand(to, from, &form, &t);
        offload_step(&c.place, n);
    }
    return t;
}
