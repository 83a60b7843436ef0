/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ports that have an IP address: what they may say of addresses. The sender changes each frame when
 * it has been looked at; receivers get it as it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "arch/host/host.h"
#include "net_fresh.h"
#include <hv/net.h>
#include <hv/net_wire.h>
#include <hv/time.h>

uint64_t time_ns(void) { return host_now; }

enum { PORTS = 3, LEN = 200, RA = 134, NS = 135, NA = 136, REDIRECT = 137, OTHER = 0x88b5 };
static struct net_switch *net;
static struct net_port port[PORTS];
static uint8_t frame[NET_HEAD + LEN], got[NET_HEAD + LEN];
static unsigned delivered;

static bool deliver(struct net_port *p, unsigned from, const struct net_frame *f)
{
    (void)p;
    (void)from;
    memset(frame + NET_HEAD, 0xee, LEN); /* the sender changes all of it */
    net_frame_copy(f, got);
    delivered++;
    return true;
}
static const struct net_port_ops ops = { .deliver = deliver };

static net_mac mac_of(unsigned i) { return 0x020000000001ull + i; }
static uint32_t ip_of(unsigned i) { return 0x0a150002 + i; }

static int up(void **state)
{
    (void)state;
    net = net_fresh(1500, 100000);
    for (unsigned i = 0; i < PORTS; i++) {
        port[i] = (struct net_port){ .ops = &ops, .mac = mac_of(i), .ip = ip_of(i) };
        assert_int_equal(net_port_add(net, &port[i]), 0);
        net_port_up(&port[i]);
    }
    host_now += 1000000000;
    return 0;
}

static int down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PORTS; i++) {
        net_port_down(&port[i]);
        net_port_remove(&port[i]);
    }
    return 0;
}

/* The payload: `len` bytes of `frame`, behind the header. Whether it was passed on. */
static bool send(unsigned from, uint16_t type, uint32_t len, struct net_offload offload)
{
    const struct iov iov = { frame + NET_HEAD, len };
    struct net_frame f = { .len = NET_HEAD + len, .iov = &iov, .niov = 1, .offload = offload };
    uint8_t was[LEN];
    bool passed;

    memcpy(was, frame + NET_HEAD, LEN);
    net_mac_to(mac_of((from + 1) % PORTS), f.head);
    net_mac_to(mac_of(from), f.head + 6);
    f.head[12] = (uint8_t)(type >> 8);
    f.head[13] = (uint8_t)type;
    delivered = 0;
    (void)net_send(&port[from], &f);
    passed = delivered == 1;
    if (passed && port[from].ip && !offload.flags && type != OTHER)
        assert_memory_equal(got + NET_HEAD, was, min_u64(len, type == 0x86dd ? LEN : 28));
    return passed;
}

static bool plain(unsigned from, uint16_t type, uint32_t len)
{
    if (type == 0x86dd && len > 40) /* nothing is behind the packet */
        frame[NET_HEAD + 5] = (uint8_t)(len - 40);
    return send(from, type, len, (struct net_offload){ 0 });
}

static bool arp(unsigned from, net_mac mac, uint32_t ip)
{
    memset(frame, 0, sizeof frame);
    net_mac_to(mac, frame + NET_HEAD + 8);
    net_put32(frame + NET_HEAD + 14, ip);
    return plain(from, 0x0806, 28);
}

static void test_arp(void **state)
{
    (void)state;
    assert_true(arp(0, mac_of(0), ip_of(0)));
    assert_true(arp(0, mac_of(0), 0)); /* a probe */
    assert_false(arp(0, mac_of(0), ip_of(1)));
    assert_false(arp(0, mac_of(1), ip_of(0)));
    assert_false(plain(0, 0x0806, 27));
    assert_int_equal(port[0].count.claimed, 3);
    port[0].ip = 0; /* on other switches: anything */
    assert_true(arp(0, mac_of(1), ip_of(1)));
}

static bool ipv4(unsigned from, uint32_t src, struct net_offload offload)
{
    memset(frame, 0, sizeof frame);
    frame[NET_HEAD] = 0x45;
    frame[NET_HEAD + 9] = 6;
    frame[NET_HEAD + 32] = 0x50;
    net_put32(frame + NET_HEAD + 12, src);
    return send(from, 0x0800, 100, offload);
}

static void test_ipv4(void **state)
{
    const struct net_offload tcp = { NET_NEEDS_CSUM, NET_GSO_TCP4, 54, 30, 34, 16 };

    (void)state;
    assert_true(ipv4(1, ip_of(1), (struct net_offload){ 0 }));
    assert_true(ipv4(1, 0, (struct net_offload){ 0 }));
    assert_false(ipv4(1, ip_of(2), (struct net_offload){ 0 }));
    assert_false(ipv4(1, ip_of(2), tcp));
    (void)ipv4(1, ip_of(1), tcp);
    assert_int_equal(delivered, 2); /* cut into two */
    assert_false(plain(1, 0x0800, 19));
    assert_true(plain(1, OTHER, 19));
    assert_int_equal(port[1].count.claimed, 3);
}

/* An ICMPv6 message behind further headers: each a protocol's number. */
static bool icmp(unsigned from, const char *headers, uint8_t type, uint8_t src, uint8_t target)
{
    uint8_t *ip = frame + NET_HEAD, *next = ip + 6, *at = ip + 40;

    memset(frame, 0, sizeof frame);
    ip[0] = 0x60;
    ip[8 + 15] = src;
    for (; *headers; headers++) {
        *next = headers[0] == 'h' ? 0 : headers[0] == 'r' ? 43 : headers[0] == 'f' ? 44 : 60;
        next = at;
        at += 8;
    }
    *next = 58;
    at[0] = type;
    at[8 + 15] = target;
    return plain(from, 0x86dd, LEN);
}

static void test_ra_guard(void **state)
{
    static const char *const headers[] = { "", "h", "d", "hrd", "f", "hfd", "ddddddd" };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(headers); i++) {
        assert_false(icmp(0, headers[i], RA, 1, 0));
        assert_false(icmp(0, headers[i], REDIRECT, 1, 0));
        assert_true(icmp(0, headers[i], 128, 1, 0));
    }
    assert_int_equal(port[0].count.claimed, 2 * ARRAY_SIZE(headers));
    assert_false(icmp(0, "dddddddd", 128, 1, 0)); /* headers without end */
    (void)icmp(0, "f", RA, 1, 0);
    assert_int_equal(delivered, 0);
}

/* What the guard cannot see the end of is refused; a later fragment says nothing. */
static void test_cut_short(void **state)
{
    (void)state;
    for (uint32_t len = 1; len <= 40; len++) {
        memset(frame, 0, sizeof frame);
        frame[NET_HEAD + 6] = 58;
        assert_false(plain(0, 0x86dd, len));
    }
    for (uint32_t len = 41; len < 64; len++) {
        memset(frame, 0, sizeof frame);
        frame[NET_HEAD + 6] = 58;
        frame[NET_HEAD + 40] = NA;
        assert_false(plain(0, 0x86dd, len));
    }
    memset(frame, 0, sizeof frame);
    frame[NET_HEAD + 6] = 60;
    frame[NET_HEAD + 40] = 58;
    frame[NET_HEAD + 41] = 255; /* 2048 bytes */
    assert_false(plain(0, 0x86dd, LEN));
    memset(frame, 0, sizeof frame);
    frame[NET_HEAD + 6] = 44;
    frame[NET_HEAD + 40] = 58;
    frame[NET_HEAD + 43] = 8;
    frame[NET_HEAD + 48] = RA;
    assert_true(plain(0, 0x86dd, LEN));
}

/* With a checksum that is left to others only TCP and UDP, which the header itself names. */
static void test_left_checksums(void **state)
{
    const struct net_offload sum = { .flags = NET_NEEDS_CSUM, .csum_start = 54, .csum_offset = 6 };
    static const struct {
        uint8_t next;
        bool passes;
    } cases[] = { { 6, true }, { 17, true }, { 58, false }, { 60, false }, { 44, false } };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        memset(frame, 0, sizeof frame);
        frame[NET_HEAD] = 0x60;
        frame[NET_HEAD + 6] = cases[i].next;
        assert_int_equal(send(0, 0x86dd, LEN, sum), cases[i].passes);
    }
}

static bool udp(unsigned from, unsigned words, uint16_t offset, uint16_t source, uint32_t len)
{
    memset(frame, 0, sizeof frame);
    frame[NET_HEAD] = (uint8_t)(0x40 | words);
    frame[NET_HEAD + 6] = (uint8_t)(offset >> 8);
    frame[NET_HEAD + 7] = (uint8_t)offset;
    frame[NET_HEAD + 9] = 17;
    net_put32(frame + NET_HEAD + 12, ip_of(from));
    frame[NET_HEAD + 4 * words] = (uint8_t)(source >> 8);
    frame[NET_HEAD + 4 * words + 1] = (uint8_t)source;
    return plain(from, 0x0800, len);
}

static bool udp6(uint16_t source, struct net_offload offload)
{
    memset(frame, 0, sizeof frame);
    frame[NET_HEAD] = 0x60;
    frame[NET_HEAD + 5] = 20;
    frame[NET_HEAD + 6] = 17;
    frame[NET_HEAD + 40] = (uint8_t)(source >> 8);
    frame[NET_HEAD + 41] = (uint8_t)source;
    return send(0, 0x86dd, 60, offload);
}

/* Who answers as a DHCP server says who the gateway is. */
static void test_dhcp(void **state)
{
    const struct net_offload sum = { .flags = NET_NEEDS_CSUM, .csum_start = 54, .csum_offset = 6 };

    (void)state;
    assert_true(udp(0, 5, 0, 68, 60));
    for (unsigned words = 5; words < 16; words++) {
        assert_false(udp(0, words, 0, 67, 4 * words + 8));
        assert_false(udp(0, words, 0x2000, 67, 4 * words + 8)); /* a first fragment */
        assert_true(udp(0, words, 0x2001, 67, 4 * words + 8));  /* a later one */
        assert_true(udp(0, words, 0, 66, 4 * words + 2));
        assert_false(udp(0, words, 0, 66, 4 * words + 1));
    }
    assert_false(udp(0, 4, 0, 68, 60));
    for (uint16_t source = 546; source < 549; source++) {
        assert_int_equal(udp6(source, (struct net_offload){ 0 }), source != 547);
        assert_int_equal(udp6(source, sum), source != 547);
    }
}

/*
 * A checksum that is left to others and belongs where the port is: the sender chooses what it comes
 * to, and receivers that leave nothing to others would get that as the port.
 */
static void test_a_sum_as_the_port(void **state)
{
    struct net_offload o = { .flags = NET_NEEDS_CSUM, .csum_start = 34 };

    (void)state;
    for (unsigned words = 5; words < 16; words++)
        for (unsigned at = 4 * words - 2; at <= 4 * words + 2; at++) {
            bool behind = at == 4 * words + 2; /* before it, the port was not looked at */

            if (at < 20) /* what is before is the address */
                continue;
            memset(frame, 0, sizeof frame);
            net_put16(frame + NET_HEAD, (0x40 | words) << 8);
            frame[NET_HEAD + 9] = 17;
            net_put32(frame + NET_HEAD + 12, ip_of(0));
            net_put16(frame + NET_HEAD + 4 * words, 68);
            net_put16(frame + NET_HEAD + 80, 0xffff - 68 - 67); /* all comes to 67 */
            o.csum_offset = (uint16_t)(at - 20);
            assert_int_equal(send(0, 0x0800, 100, o), behind);
        }
    o.csum_start = 54;
    for (unsigned at = 40; at < 43; at++) {
        o.csum_offset = (uint16_t)(at - 40);
        assert_int_equal(udp6(546, o), at == 42);
    }
}

/* The receiver cuts off what is behind the packet: it is no part of a message. */
static void test_padding(void **state)
{
    uint8_t *ip = frame + NET_HEAD;

    (void)state;
    memset(frame, 0, sizeof frame);
    ip[5] = 16;
    ip[6] = 44;  /* a first fragment, */
    ip[40] = 60; /* of options alone, */
    ip[43] = 1;
    ip[48] = 58;  /* and a message behind */
    ip[56] = 128; /* the packet */
    assert_false(send(0, 0x86dd, LEN, (struct net_offload){ 0 }));
    ip[5] = 24;
    assert_true(send(0, 0x86dd, LEN, (struct net_offload){ 0 }));
}

static bool claims(unsigned from, const uint8_t addr[16])
{
    memset(frame, 0, sizeof frame);
    frame[NET_HEAD + 6] = 58;
    frame[NET_HEAD + 40] = NA;
    memcpy(frame + NET_HEAD + 48, addr, 16);
    return plain(from, 0x86dd, 64);
}

/* The address that follows from a MAC is its owner's, who need not have claimed it, nor be up. */
static void test_made_of_a_mac(void **state)
{
    uint8_t mac[6];

    (void)state;
    net_mac_to(mac_of(0), mac);
    const uint8_t addr[16] = { 0xfe,       0x80,   0,      0,    0,    0,      0,      0,
                               mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5] };
    net_port_down(&port[0]);
    assert_false(claims(1, addr));
    net_port_up(&port[0]);
    assert_true(claims(0, addr));
}

/* Receivers take a tag of VLAN 0 off and believe what is behind it. */
static void test_tags(void **state)
{
    (void)state;
    memset(frame, 0, sizeof frame);
    assert_false(plain(0, 0x8100, LEN));
    assert_false(plain(0, 0x88a8, LEN));
    assert_true(plain(0, 0x88b5, LEN)); /* for experiments */
    assert_int_equal(port[0].count.claimed, 2);
}

/* An address is who claimed it first, while that port is up. */
static void test_neighbours(void **state)
{
    (void)state;
    assert_true(icmp(0, "", NS, 0, 5)); /* is it free? RFC 4862 §5.4 */
    assert_true(icmp(0, "", NA, 5, 5));
    assert_false(icmp(1, "", NA, 6, 5));
    assert_false(icmp(1, "", NS, 5, 7)); /* asks from that address */
    assert_true(icmp(1, "", NS, 8, 5));  /* asks for it from its own */
    assert_false(icmp(0, "", NA, 5, 8));
    assert_int_equal(port[1].count.claimed, 2);
    net_port_down(&port[0]);
    assert_true(icmp(1, "", NA, 5, 5));
    net_port_up(&port[0]);
    assert_false(icmp(0, "", NA, 5, 5));
    for (unsigned i = 0; i < NET_CLAIMS; i++) /* it may have so many */
        assert_true(icmp(1, "", NA, 8, (uint8_t)(20 + i)));
    assert_true(icmp(0, "", NA, 5, 5));
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_arp),        T(test_ipv4),           T(test_ra_guard),
        T(test_cut_short),  T(test_left_checksums), T(test_a_sum_as_the_port),
        T(test_neighbours), T(test_tags),           T(test_dhcp),
        T(test_padding),    T(test_made_of_a_mac),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
