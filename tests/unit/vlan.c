/* SPDX-License-Identifier: BSD-2-Clause */
/* VLANs and rates of a switch's ports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <hv/net.h>
#include <hv/time.h>
#include <stdio.h>
#include <string.h>
#include "arch/host/host.h"
#include "net_fresh.h"

uint64_t time_ns(void) { return host_now; }

enum { PLAIN, TEN, TEN_TOO, TWENTY, TRUNK, NATIVE, PORTS };
static struct station {
    struct net_port port;
    unsigned got;
    uint32_t len;
    uint8_t data[NET_FRAME_MAX];
} st[PORTS];
static struct net_switch *net;

static bool deliver(struct net_port *p, unsigned from, const struct net_frame *f)
{
    struct station *s = container_of(p, struct station, port);

    (void)from;
    s->got++;
    s->len = f->len;
    net_frame_copy(f, s->data);
    return true;
}
static const struct net_port_ops ops = { .deliver = deliver };

static net_mac mac_of(unsigned i) { return 0x020000000001ull + i; }

static void plug(unsigned i, const struct net_access *a)
{
    static struct net_learned learned[PORTS][NET_LEARNED];

    memset(learned[i], 0, sizeof learned[i]);
    st[i] = (struct station){ .port = { .ops = &ops, .mac = mac_of(i), .access = *a } };
    if (a->trunk)
        st[i].port.learned = learned[i];
    assert_int_equal(net_port_add(net, &st[i].port), 0);
    net_port_up(&st[i].port);
}

static int up(void **state)
{
    const struct net_access access[PORTS] = {
        [TEN] = { .vlan = 10 },
        [TEN_TOO] = { .vlan = 10 },
        [TWENTY] = { .vlan = 20 },
        [TRUNK] = { .trunk = true, .allowed = { 1ull << 10 | 1ull << 20 } },
        [NATIVE] = { .trunk = true, .vlan = 10, .allowed = { 1ull << 20 } },
    };

    (void)state;
    net = net_fresh(1500, 1000000);
    for (unsigned i = 0; i < PORTS; i++)
        plug(i, &access[i]);
    host_now += 1000000000;
    return 0;
}

/*
 * Of `len` bytes before a tag; tag: 0: none; else the control information, bit 16 says that it is
 * there. The tag is torn over two pieces.
 */
static void send_as(unsigned from, net_mac as, net_mac to, uint32_t tag, uint16_t type,
                    uint32_t len)
{
    static uint8_t data[NET_FRAME_MAX];
    uint32_t at = 0;
    struct iov iov[3] = { { data, 1 }, { data + 1, 0 }, { data + 1, sizeof data - 1 } };
    struct net_frame f = { .iov = iov, .niov = 3 };

    net_mac_to(to, f.head);
    net_mac_to(as, f.head + 6);
    f.head[12] = tag ? 0x81 : (uint8_t)(type >> 8);
    f.head[13] = tag ? 0 : (uint8_t)type;
    if (tag) {
        data[at++] = (uint8_t)(tag >> 8);
        data[at++] = (uint8_t)tag;
        data[at++] = (uint8_t)(type >> 8);
        data[at++] = (uint8_t)type;
    }
    f.len = len + at;
    for (uint32_t i = 0; i < len - NET_HEAD; i++)
        data[at + i] = (uint8_t)(i * 7);
    for (unsigned i = 0; i < PORTS; i++)
        st[i].got = 0;
    (void)net_send(&st[from].port, &f);
}

static void send(unsigned from, net_mac to, uint32_t tag, uint16_t type)
{
    send_as(from, mac_of(from), to, tag, type, 100);
}

/* Whether exactly these ports, bit by bit, got the frame, once. */
static bool got(unsigned ports)
{
    for (unsigned i = 0; i < PORTS; i++)
        if (st[i].got != (ports >> i & 1))
            return false;
    return true;
}

static void holds(unsigned port, uint32_t tag, uint16_t type)
{
    const uint8_t *p = st[port].data + 12;

    assert_int_equal(st[port].len, 100 + (tag ? 4 : 0));
    if (tag) {
        assert_int_equal(p[0] << 8 | p[1], 0x8100);
        assert_int_equal(p[2] << 8 | p[3], tag & 0xffff);
        p += 4;
    }
    assert_int_equal(p[0] << 8 | p[1], type);
    for (unsigned i = 0; i < 100 - NET_HEAD; i++)
        assert_int_equal(p[2 + i], (uint8_t)(i * 7));
}

#define BIT(i) (1u << (i))
#define TAG 0x10000

static void forms(void **state)
{
    (void)state;
    send(TEN, NET_MAC_BROADCAST, 0, 0x0800); /* access: to access, to both kinds of trunk */
    assert_true(got(BIT(TEN_TOO) | BIT(TRUNK) | BIT(NATIVE)));
    holds(TEN_TOO, 0, 0x0800);
    holds(TRUNK, TAG | 10, 0x0800);
    holds(NATIVE, 0, 0x0800);
    send(TRUNK, NET_MAC_BROADCAST, TAG | 0xa000 | 20, 0x86dd); /* the priority stays on a trunk */
    assert_true(got(BIT(TWENTY) | BIT(NATIVE)));
    holds(TWENTY, 0, 0x86dd);
    holds(NATIVE, TAG | 0xa000 | 20, 0x86dd);
    send(NATIVE, NET_MAC_BROADCAST, TAG | 0x6000, 0x0806); /* a priority alone: VLAN 10 */
    assert_true(got(BIT(TEN) | BIT(TEN_TOO) | BIT(TRUNK)));
    holds(TEN, 0, 0x0806);
    holds(TRUNK, TAG | 0x6000 | 10, 0x0806);
    send(TRUNK, NET_MAC_BROADCAST, 0, 0x0800); /* without a tag: of no VLAN */
    assert_true(got(BIT(PLAIN)));
    holds(PLAIN, 0, 0x0800);
    send(PLAIN, NET_MAC_BROADCAST, 0, 0x0800);
    assert_true(got(BIT(TRUNK)));
}

/* Nobody gets into a VLAN that is not its own. */
static void hops(void **state)
{
    (void)state;
    send(PLAIN, NET_MAC_BROADCAST, TAG | 10, 0x0800); /* would be VLAN 10 on the trunk */
    assert_true(got(0));
    send(TEN, NET_MAC_BROADCAST, TAG | 20, 0x0800);
    assert_true(got(0));
    assert_int_equal(st[TEN].port.count.astray, 1);
    send(TEN, NET_MAC_BROADCAST, 0, 0x88a8);
    assert_true(got(0));
    send(TRUNK, NET_MAC_BROADCAST, TAG | 30, 0x0800); /* not allowed there */
    assert_true(got(0));
    send(TRUNK, NET_MAC_BROADCAST, TAG | 0xfff, 0x0800);
    assert_true(got(0));
    assert_int_equal(st[TRUNK].port.count.astray, 2);
    /* two tags: the inner one is payload, and never becomes the outer one on a trunk */
    send(TRUNK, NET_MAC_BROADCAST, TAG | 10, 0x8100);
    assert_true(got(BIT(TEN) | BIT(TEN_TOO)));
    send(TRUNK, mac_of(TWENTY), TAG | 10, 0x0800); /* its owner is in another VLAN */
    assert_true(got(0));
    send_as(TRUNK, mac_of(TRUNK), NET_MAC_BROADCAST, TAG | 10, 0x0800, NET_HEAD); /* the least */
    assert_true(got(BIT(TEN) | BIT(TEN_TOO) | BIT(NATIVE)));
    send_as(TRUNK, mac_of(TRUNK), NET_MAC_BROADCAST, 0, 0x8100, NET_HEAD); /* a tag cut off */
    assert_true(got(0));
}

/* One address may be in several VLANs, and is known in each by itself. */
static void learning(void **state)
{
    const net_mac far = 0x0a0000000001ull;

    (void)state;
    send_as(TRUNK, far, NET_MAC_BROADCAST, TAG | 10, 0x0800, 100);
    send_as(NATIVE, far, NET_MAC_BROADCAST, TAG | 20, 0x0800, 100);
    send(TEN, far, 0, 0x0800);
    assert_true(got(BIT(TRUNK)));
    send(TWENTY, far, 0, 0x0800);
    assert_true(got(BIT(NATIVE)));
    send(PLAIN, far, 0, 0x0800); /* not known there: to all of no VLAN */
    assert_true(got(BIT(TRUNK)));
}

/* The longest frame of a VLAN, with its tag, is one that the switch's queues hold. */
static void lengths(void **state)
{
    (void)state;
    send_as(TEN, mac_of(TEN), NET_MAC_BROADCAST, 0, 0x0800, 1514);
    assert_true(got(BIT(TEN_TOO) | BIT(TRUNK) | BIT(NATIVE)));
    assert_int_equal(st[TRUNK].len, 1518);
    send_as(TEN, mac_of(TEN), NET_MAC_BROADCAST, 0, 0x0800, 1515);
    assert_true(got(0));
    send_as(NATIVE, mac_of(NATIVE), NET_MAC_BROADCAST, 0, 0x0800, 1515);
    assert_true(got(0));
}

/* Frames of 1000 bytes that pass in so many ms, one sent every 0.1 ms. */
static unsigned pass(unsigned from, unsigned to, unsigned ms)
{
    unsigned n = 0;

    for (unsigned i = 0; i < ms * 10; i++) {
        host_now += 100000;
        send_as(from, mac_of(from), mac_of(to), 0, 0x0800, 1000);
        n += st[to].got;
    }
    return n;
}

static void rates(void **state)
{
    (void)state;
    st[TEN].port.access.rate = 1000000;
    assert_in_range(pass(TEN, TEN_TOO, 1000), 990, 1140); /* a burst, then the rate */
    assert_in_range(pass(TEN, TEN_TOO, 1000), 990, 1010);
    assert_true(st[TEN].port.count.slowed > 15000);
    assert_in_range(pass(TEN_TOO, TEN, 1000), 990, 1140); /* the other way as well */
    st[TEN].port.access.rate = 0;
    assert_int_equal(pass(TEN, TEN_TOO, 100), 1000);
    st[TEN].port.access.rate = 1024; /* the least: time that gives no byte is not lost */
    (void)pass(TEN, TEN_TOO, 20000);
    assert_in_range(pass(TEN, TEN_TOO, 10000), 9, 12);
}

static void bucket(void **state)
{
    struct net_bucket b = { 0, 0 };

    (void)state;
    assert_false(net_bucket_take(&b, NET_RATE_MAX, 1, 0));
    assert_true(net_bucket_take(&b, NET_RATE_MAX, 9018, UINT64_MAX / 2));
    assert_true(b.credit <= NET_RATE_MAX / 8);
    assert_true(net_bucket_take(&b, NET_RATE_MAX, 9018, UINT64_MAX));
}

static uint32_t word(const uint8_t *p, size_t off)
{
    uint32_t v;

    memcpy(&v, p + off, 4);
    return v;
}

/* As a pcap file; of one port; full; gone with its port. */
static void captures(void **state)
{
    struct net_capture_state s;
    const uint8_t *p;

    (void)state;
    assert_null(net_capture_get(&s));
    assert_int_equal(net_capture_start(net, NULL), 0);
    send(TEN, NET_MAC_BROADCAST, 0, 0x0800);
    send(TEN, NET_MAC_BROADCAST, TAG | 20, 0x0800); /* refused: it does not come in */
    send_as(TRUNK, mac_of(TRUNK), NET_MAC_BROADCAST, TAG | 20, 0x0800, 1000);
    net_capture_stop();
    send(TEN, NET_MAC_BROADCAST, 0, 0x0800);
    p = net_capture_get(&s);
    assert_int_equal(s.frames, 2);
    assert_int_equal(s.len, 24 + 16 + 100 + 16 + 256);
    assert_int_equal(word(p, 0), 0xa1b23c4d);
    assert_int_equal(word(p, 20), 1);
    assert_int_equal(word(p, 24), host_now / 1000000000);
    assert_int_equal(word(p, 28), host_now % 1000000000);
    assert_int_equal(word(p, 32), 100);
    assert_int_equal(word(p, 36), 100);
    assert_int_equal(p[40 + 11], 2); /* the sender's address */
    assert_int_equal(p[40 + NET_HEAD + 5], 35);
    assert_int_equal(word(p, 140 + 8), 256);
    assert_int_equal(word(p, 140 + 12), 1004);
    assert_int_equal(net_capture_start(net, &st[TEN_TOO].port), 0);
    send(TEN, mac_of(TEN_TOO), 0, 0x0800);
    send(TEN_TOO, mac_of(TEN), 0, 0x0800);
    send(TEN, mac_of(0x99), 0, 0x0800); /* to all: to it as well */
    send(TWENTY, NET_MAC_BROADCAST, 0, 0x0800);
    (void)net_capture_get(&s);
    assert_int_equal(s.frames, 3);
    for (unsigned i = 0; i < 2000; i++)
        send(TEN, mac_of(TEN_TOO), 0, 0x0800);
    (void)net_capture_get(&s);
    assert_true(s.on && s.missed > 800 && s.len <= 131072 && s.frames == 2003);
    net_port_down(&st[TEN_TOO].port);
    net_port_remove(&st[TEN_TOO].port);
    (void)net_capture_get(&s);
    assert_false(s.on);
    net_capture_drop();
    assert_null(net_capture_get(&s));
    assert_int_equal(s.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(forms, up),
        cmocka_unit_test_setup(hops, up),
        cmocka_unit_test_setup(learning, up),
        cmocka_unit_test_setup(lengths, up),
        cmocka_unit_test_setup(captures, up),
        cmocka_unit_test_setup(rates, up),
        cmocka_unit_test(bucket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
