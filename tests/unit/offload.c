/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a sender leaves to others of a frame: who takes it gets it whole, for others the switch sums
 * and cuts. Checked with checksums and a reassembly written anew, byte by byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <hv/net.h>
#include <hv/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "arch/host/host.h"
#include "net_fresh.h"

uint64_t time_ns(void) { return host_now; }

enum { SENDER, TAKER, PLAIN, TRUNK, PORTS, FRAMES = 300, MTU = 1500, ROOM = 2048 };
enum { ALL_TAKEN = 63, KEEP = 70000 };
static struct station {
    struct net_port port;
    unsigned got;
    uint32_t len[FRAMES];
    uint8_t data[FRAMES][ROOM];
    uint8_t big[KEEP]; /* the last one */
    struct net_offload offload;
} st[PORTS];
static struct net_switch *net;

static bool deliver(struct net_port *p, unsigned from, const struct net_frame *f)
{
    struct station *s = container_of(p, struct station, port);

    assert_int_equal(from, SENDER);
    assert_in_range(s->got, 0, FRAMES - 1);
    s->offload = f->offload;
    s->len[s->got] = f->len;
    net_frame_copy(f, s->big);
    memcpy(s->data[s->got++], s->big, f->len < ROOM ? f->len : ROOM);
    return true;
}
static const struct net_port_ops ops = { .deliver = deliver };

static net_mac mac_of(unsigned i) { return 0x020000000001ull + i; }

static int up(void **state)
{
    (void)state;
    net = net_fresh(MTU, 1000000);
    memset(st, 0, sizeof st);
    for (unsigned i = 0; i < PORTS; i++) {
        st[i].port = (struct net_port){ .ops = &ops, .mac = mac_of(i) };
        st[i].port.takes = i == TAKER ? ALL_TAKEN : 0;
        st[i].port.access.vlan = 10;
        if (i == TRUNK)
            st[i].port.access = (struct net_access){ .trunk = true, .allowed = { 1ull << 10 } };
        assert_int_equal(net_port_add(net, &st[i].port), 0);
        net_port_up(&st[i].port);
    }
    host_now += 1000000000;
    return 0;
}

static int down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PORTS; i++) {
        net_port_down(&st[i].port);
        net_port_remove(&st[i].port);
    }
    return 0;
}

/* ---- frames, and the same by other means ---- */

static unsigned g16(const uint8_t *p) { return (unsigned)(p[0] << 8 | p[1]); }
static void p16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

/* RFC 1071, a word at a time, in the numbers' order */
static unsigned add_words(unsigned sum, const uint8_t *p, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        sum += i % 2 ? p[i] : (unsigned)p[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

static unsigned pseudo(const uint8_t *ip, bool v6, unsigned proto, unsigned len)
{
    return add_words(proto + len, v6 ? ip + 8 : ip + 12, v6 ? 32 : 8);
}

struct kind {
    bool v6, udp, tag;
    unsigned options; /* of TCP, bytes */
    unsigned payload, gso_size;
    uint8_t flags;
};
static uint8_t frame[KEEP];
static unsigned frame_len, l3, l4, heads;

/* Sequence 0xffffff00, so that it wraps; IPv4 identification 0xfffe, for the same reason. */
static void build(const struct kind *k)
{
    uint8_t *ip, *p;
    unsigned proto = k->udp ? 17 : 6, hl = k->udp ? 8 : 20 + k->options;

    memset(frame, 0, sizeof frame);
    l3 = k->tag ? 18 : 14;
    l4 = l3 + (k->v6 ? 40 : 24);
    heads = l4 + hl;
    frame_len = heads + k->payload;
    p16(frame + 12, 0x8100);
    p16(frame + 14, 10);
    p16(frame + l3 - 2, k->v6 ? 0x86dd : 0x0800);
    ip = frame + l3;
    for (unsigned i = 0; i < 40; i++)
        ip[i] = (uint8_t)(i * 37 + 11);
    ip[0] = k->v6 ? 0x60 : 0x46; /* IPv4 with four bytes of options */
    if (k->v6) {
        p16(ip + 4, hl + k->payload);
        ip[6] = (uint8_t)proto;
    } else {
        p16(ip + 2, 24 + hl + k->payload);
        p16(ip + 4, 0xfffe);
        p16(ip + 6, 0x4000);
        ip[9] = (uint8_t)proto;
    }
    p = frame + l4;
    memset(p, 0, hl);
    p16(p, 1234);
    p16(p + 2, 80);
    if (k->udp) {
        p16(p + 4, 8 + k->payload);
        p16(p + 6, pseudo(ip, k->v6, 17, 8 + k->payload));
    } else {
        p16(p + 4, 0xffff);
        p16(p + 6, 0xff00);
        p[12] = (uint8_t)(hl / 4 << 4);
        p[13] = k->flags;
        memset(p + 20, 1, k->options);
        p16(p + 16, pseudo(ip, k->v6, 6, hl + k->payload));
    }
    for (unsigned i = 0; i < k->payload; i++)
        frame[heads + i] = (uint8_t)(i * 7 + i / 256);
}

static struct net_offload left_of(const struct kind *k)
{
    struct net_offload o = { .flags = NET_NEEDS_CSUM,
                             .csum_start = (uint16_t)l4,
                             .csum_offset = k->udp ? 6 : 16 };

    if (k->gso_size) {
        o.gso = k->udp ? NET_GSO_UDP : k->v6 ? NET_GSO_TCP6 : NET_GSO_TCP4;
        o.gso |= !k->udp && (k->flags & 0x80) ? NET_GSO_ECN : 0;
        o.gso_size = (uint16_t)k->gso_size;
    }
    return o;
}

/* In pieces of sizes that come round, odd ones and empty ones among them. */
static void send_to(unsigned to, const struct net_offload *o)
{
    static const unsigned sizes[] = { 1, 0, 13, 700, 64, 3001, 0, 4096 };
    struct iov iov[500];
    struct net_frame f = { .len = frame_len, .iov = iov, .offload = *o };
    unsigned at = NET_HEAD;

    net_mac_to(mac_of(to), frame);
    net_mac_to(mac_of(SENDER), frame + 6);
    memcpy(f.head, frame, NET_HEAD);
    for (unsigned i = 0; at < frame_len; i++) {
        unsigned n = sizes[i % 8] < frame_len - at ? sizes[i % 8] : frame_len - at;

        iov[f.niov++] = (struct iov){ frame + at, n };
        at += n;
    }
    for (unsigned i = 0; i < PORTS; i++)
        st[i].got = 0;
    (void)net_send(&st[SENDER].port, &f);
}

static int shifted; /* bytes of a tag that the receiver has and the sender has not */

static void check_ip(const struct kind *k, const uint8_t *f, unsigned len, unsigned number)
{
    unsigned at = l3 + (unsigned)shifted;

    if (k->v6) {
        assert_int_equal(g16(f + at + 4), len - at - 40);
        return;
    }
    assert_int_equal(g16(f + at + 2), len - at);
    assert_int_equal(g16(f + at + 4), (0xfffe + number) & 0xffff);
    assert_int_equal(add_words(0, f + at, 24), 0xffff);
}

static void check_proto(const struct kind *k, const uint8_t *f, unsigned len, unsigned number,
                        unsigned done, bool last)
{
    unsigned ip = l3 + (unsigned)shifted, p = l4 + (unsigned)shifted, flags = k->flags;

    assert_int_equal(add_words(pseudo(f + ip, k->v6, k->udp ? 17 : 6, len - p), f + p, len - p),
                     0xffff);
    if (k->udp) {
        assert_int_equal(g16(f + p + 4), len - p);
        return;
    }
    assert_int_equal(g16(f + p + 4) << 16 | g16(f + p + 6), (0xffffff00u + done));
    flags &= number ? ~0x80u : ~0u;
    flags &= last ? ~0u : ~0x09u;
    assert_int_equal(f[p + 13], flags);
}

/* What `port` got is the frame, cut. */
static void check_cut(const struct kind *k, unsigned port)
{
    const struct station *s = &st[port];
    unsigned done = 0, i;

    for (i = 0; i < s->got; i++) {
        unsigned n = s->len[i] - heads - (unsigned)shifted;

        assert_int_equal(n, k->payload - done < k->gso_size ? k->payload - done : k->gso_size);
        check_ip(k, s->data[i], s->len[i], i);
        check_proto(k, s->data[i], s->len[i], i, done, done + n == k->payload);
        assert_memory_equal(s->data[i] + heads + shifted, frame + heads + done, n);
        done += n;
    }
    assert_int_equal(done, k->payload);
    assert_int_equal(s->offload.flags, 0);
    assert_int_equal(s->offload.gso, 0);
}

static const struct kind kinds[] = {
    { .payload = 65000, .gso_size = 1436, .flags = 0x99 },
    { .payload = 2872, .gso_size = 1436, .flags = 0x18 },
    { .payload = 1436, .gso_size = 1436, .flags = 0x10 },
    { .payload = 1, .gso_size = 1, .flags = 0x11 },
    { .payload = 9001, .gso_size = 501, .options = 12, .flags = 0x19 },
    { .payload = 255, .gso_size = 1, .options = 40, .flags = 0x90 },
    { .v6 = true, .payload = 64000, .gso_size = 1420, .options = 20, .flags = 0x99 },
    { .v6 = true, .payload = 4000, .gso_size = 1401, .flags = 0x10 },
    { .udp = true, .payload = 20000, .gso_size = 1001 },
    { .udp = true, .v6 = true, .payload = 5000, .gso_size = 1452 },
};

static void test_cut(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct net_offload o;

        build(&kinds[i]);
        o = left_of(&kinds[i]);
        send_to(PLAIN, &o);
        check_cut(&kinds[i], PLAIN);
        assert_int_equal(st[PLAIN].port.count.cut, i + 1);
    }
    assert_int_equal(st[PLAIN].port.count.segments, st[PLAIN].port.count.received);
    assert_int_equal(st[PLAIN].port.count.summed, st[PLAIN].port.count.received);
    assert_int_equal(st[SENDER].port.count.bad, 0);
}

/* To a trunk, from an access port, and the reverse: a tag comes in between, or goes. */
static void test_tags(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct kind k = kinds[i];
        struct net_offload o;

        build(&k);
        o = left_of(&k);
        send_to(TRUNK, &o);
        shifted = 4;
        check_cut(&k, TRUNK);
        assert_int_equal(g16(st[TRUNK].data[0] + 12), 0x8100);
        shifted = 0;
        st[TRUNK].port.takes = ALL_TAKEN;
        send_to(TRUNK, &o);
        assert_int_equal(st[TRUNK].got, 1);
        assert_int_equal(st[TRUNK].offload.csum_start, o.csum_start + 4);
        assert_int_equal(st[TRUNK].offload.hdr_len, heads + 4);
        st[TRUNK].port.takes = 0;
    }
}

static void test_from_a_trunk(void **state)
{
    (void)state;
    st[SENDER].port.access = (struct net_access){ .trunk = true, .allowed = { 1ull << 10 } };
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct kind k = kinds[i];
        struct net_offload o;

        k.tag = true;
        build(&k);
        o = left_of(&k);
        send_to(TRUNK, &o);
        check_cut(&k, TRUNK);
        send_to(TAKER, &o);
        assert_int_equal(st[TAKER].got, 1);
        assert_int_equal(st[TAKER].offload.csum_start, o.csum_start - 4);
        assert_int_equal(st[TAKER].offload.hdr_len, heads - 4);
        assert_memory_equal(st[TAKER].big + 14, frame + 18, frame_len - 18);
        send_to(PLAIN, &o);
        shifted = -4;
        check_cut(&k, PLAIN);
        shifted = 0;
    }
}

static void test_whole(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct net_offload o, *got = &st[TAKER].offload;

        build(&kinds[i]);
        o = left_of(&kinds[i]);
        send_to(TAKER, &o);
        assert_int_equal(st[TAKER].got, 1);
        assert_int_equal(st[TAKER].len[0], frame_len);
        assert_memory_equal(st[TAKER].big, frame, frame_len);
        assert_int_equal(got->hdr_len, heads); /* whatever the sender said */
        o.hdr_len = got->hdr_len;
        assert_memory_equal(got, &o, sizeof o);
    }
    assert_int_equal(st[TAKER].port.count.whole, ARRAY_SIZE(kinds));
    assert_int_equal(st[TAKER].port.count.cut, 0);
}

/* Each kind is cut for who takes all but what it needs. */
static void test_what_each_needs(void **state)
{
    static const uint32_t missing[] = { NET_TAKES_CSUM, NET_TAKES_TSO4, NET_TAKES_TSO6,
                                        NET_TAKES_ECN,  NET_TAKES_USO4, NET_TAKES_USO6 };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
        for (unsigned m = 0; m < ARRAY_SIZE(missing); m++) {
            const struct kind *k = &kinds[i];
            bool ecn = !k->udp && (k->flags & 0x80);
            struct net_offload o;
            uint32_t needs = NET_TAKES_CSUM | (ecn ? NET_TAKES_ECN : 0) |
                             (k->udp  ? k->v6 ? NET_TAKES_USO6 : NET_TAKES_USO4
                              : k->v6 ? NET_TAKES_TSO6
                                      : NET_TAKES_TSO4);

            build(k);
            o = left_of(k);
            st[TAKER].port.takes = ALL_TAKEN & ~missing[m];
            send_to(TAKER, &o);
            assert_int_equal(st[TAKER].offload.flags, needs & missing[m] ? 0 : NET_NEEDS_CSUM);
        }
}

static void test_sums(void **state)
{
    (void)state;
    for (unsigned len = 0; len < 1400; len += 1 + len / 9)
        for (unsigned v6 = 0; v6 < 2; v6++) {
            const struct kind k = { .v6 = v6, .udp = len % 2, .payload = len };
            struct net_offload o;

            build(&k);
            o = left_of(&k);
            send_to(PLAIN, &o);
            assert_int_equal(st[PLAIN].got, 1);
            assert_int_equal(st[PLAIN].len[0], frame_len);
            check_proto(&(struct kind){ .v6 = v6, .udp = len % 2 }, st[PLAIN].data[0], frame_len, 0,
                        0, true);
            send_to(TAKER, &o);
            assert_memory_equal(st[TAKER].big, frame, frame_len);
            assert_memory_equal(&st[TAKER].offload, &o, sizeof o);
        }
}

/* A sum of 0 is written as 0xffff: in UDP 0 says that there is none. */
static void test_a_sum_of_nothing(void **state)
{
    const struct kind k = { .udp = true, .payload = 2 };
    struct net_offload o;
    unsigned sum;

    (void)state;
    build(&k);
    sum = add_words(0, frame + l4, 8);
    p16(frame + heads, ~sum & 0xffff);
    o = left_of(&k);
    send_to(PLAIN, &o);
    assert_int_equal(st[PLAIN].data[0][l4 + 6] << 8 | st[PLAIN].data[0][l4 + 7], 0xffff);
}

/* ---- what cannot be ---- */

static void refused(const struct net_offload *o)
{
    uint64_t bad = st[SENDER].port.count.bad;

    send_to(PLAIN, o);
    assert_int_equal(st[PLAIN].got, 0);
    send_to(TAKER, o);
    assert_int_equal(st[TAKER].got, 0);
    assert_int_equal(st[SENDER].port.count.bad, bad + 2);
}

/* A value that is changed in the frame or in what is said of it. */
static void test_bad_headers(void **state)
{
    const struct {
        struct kind k;
        unsigned at;
        uint8_t v;
    } changes[] = {
        { { .payload = 3000, .gso_size = 1000 }, 14, 0x56 },      /* version 5 */
        { { .payload = 3000, .gso_size = 1000 }, 14, 0x44 },      /* a short header */
        { { .payload = 3000, .gso_size = 1000 }, 14, 0x4f },      /* a longer one than said */
        { { .payload = 3000, .gso_size = 1000 }, 14 + 6, 0x20 },  /* a fragment */
        { { .payload = 3000, .gso_size = 1000 }, 14 + 7, 1 },     /* another */
        { { .payload = 3000, .gso_size = 1000 }, 14 + 9, 17 },    /* UDP */
        { { .payload = 3000, .gso_size = 1000 }, 13, 6 },         /* ARP */
        { { .payload = 3000, .gso_size = 1000 }, 38 + 12, 0x40 }, /* TCP's header too short */
        { { .v6 = true, .payload = 3000, .gso_size = 1000 }, 14, 0x40 },
        { { .v6 = true, .payload = 3000, .gso_size = 1000 }, 14 + 6, 17 },
        { { .v6 = true, .payload = 3000, .gso_size = 1000 }, 14 + 6, 44 },
        { { .payload = 5, .gso_size = 5 }, 38 + 12, 0xf0 }, /* headers beyond the frame */
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(changes); i++) {
        struct net_offload o;

        build(&changes[i].k);
        o = left_of(&changes[i].k);
        frame[changes[i].at] = changes[i].v;
        refused(&o);
    }
}

static void test_bad_offloads(void **state)
{
    const struct kind k = { .payload = 3000, .gso_size = 1000 };
    struct net_offload good, o;
    const struct net_offload *const g = &good;

    (void)state;
    build(&k);
    good = left_of(&k);
#define BAD(change) (o = *g, o.change, refused(&o))
    BAD(flags = 0);
    BAD(flags = 3);
    BAD(gso = 3);
    BAD(gso = NET_GSO_ECN);
    BAD(gso = NET_GSO_UDP);
    BAD(gso = NET_GSO_UDP | NET_GSO_ECN);
    BAD(gso = NET_GSO_TCP6);
    BAD(gso_size = 0);
    BAD(gso_size = 1500 - 24 - 20 + 1);
    BAD(gso_size = 11); /* more than 256 segments */
    BAD(csum_start++);
    BAD(csum_offset = 6);
    BAD(csum_offset = 0xffff);
    good.gso = 0;
    BAD(gso = 0); /* longer than what fits */
    frame_len = 300;
    BAD(csum_start = 0xffff);
    BAD(csum_start = 33);
    BAD(csum_start = 299);
    BAD(csum_offset = 300);
    BAD(flags = 2);
}

/* The least and the most that may be said of the same frame. */
static void test_edges(void **state)
{
    const struct kind k = { .payload = 2560, .gso_size = 10, .flags = 0x10 };
    struct net_offload o;

    (void)state;
    build(&k);
    o = left_of(&k);
    send_to(PLAIN, &o);
    assert_int_equal(st[PLAIN].got, 256);
    check_cut(&k, PLAIN);
    o.gso_size = 1500 - 24 - 20;
    send_to(PLAIN, &o);
    assert_int_equal(st[PLAIN].got, 2);
    assert_int_equal(st[PLAIN].len[0], 1514);
    frame_len = 14 + 24 + 20; /* nothing to cut */
    refused(&o);
}

/* A trunk gets it with a tag, and the longest frame of all has room for one. */
static void test_longest_to_a_trunk(void **state)
{
    struct kind k = { .gso_size = 1400, .payload = NET_BIG_MAX - NET_TAG - 14 - 24 - 20 };
    struct net_offload o;

    (void)state;
    st[TRUNK].port.takes = ALL_TAKEN;
    build(&k);
    o = left_of(&k);
    send_to(TRUNK, &o);
    assert_int_equal(st[TRUNK].got, 1);
    assert_int_equal(st[TRUNK].len[0], NET_BIG_MAX);
    for (unsigned more = 1; more <= NET_TAG; more++) {
        k.payload++;
        build(&k);
        send_to(TRUNK, &o);
        assert_int_equal(st[TRUNK].got, 0);
    }
    assert_int_equal(st[SENDER].port.count.astray, NET_TAG);
}

/* What goes to all is limited by the frames that come of it, in a second and at one go. */
static void test_to_all(void **state)
{
    const struct kind few = { .payload = 2500, .gso_size = 100 },
                      most = { .payload = 6400, .gso_size = 100 },
                      many = { .payload = 6401, .gso_size = 100 };
    struct net_offload o;

    (void)state;
    net->floods = 100; /* so many may be saved up as `few` is cut into */
    build(&few);
    o = left_of(&few);
    send_to(PORTS, &o);
    check_cut(&few, PLAIN);
    send_to(PORTS, &o);
    assert_int_equal(st[PLAIN].got, 0);
    host_now += 249999999;
    send_to(PORTS, &o);
    assert_int_equal(st[PLAIN].got, 0);
    host_now += 1;
    send_to(PORTS, &o);
    assert_int_equal(st[PLAIN].got, 25);
    assert_int_equal(st[SENDER].port.count.limited, 2);
    net->floods = 1000000;
    host_now += 250000000;
    build(&many);
    send_to(PORTS, &o);
    assert_int_equal(st[PLAIN].got, 0);
    build(&most);
    send_to(PORTS, &o);
    check_cut(&most, PLAIN);
    assert_int_equal(st[SENDER].port.count.limited, 3);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, up, down)
    const struct CMUnitTest tests[] = {
        T(test_cut),
        T(test_tags),
        T(test_from_a_trunk),
        T(test_whole),
        T(test_what_each_needs),
        T(test_sums),
        T(test_a_sum_of_nothing),
        T(test_bad_headers),
        T(test_bad_offloads),
        T(test_edges),
        T(test_longest_to_a_trunk),
        T(test_to_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
