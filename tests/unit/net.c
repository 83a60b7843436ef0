/* SPDX-License-Identifier: BSD-2-Clause */
/* The virtual switch, its queues of frames, and MAC addresses, without any device. */
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
#include <hv/time.h>

uint64_t time_ns(void) { return host_now; }

enum { PORTS = 4, QUEUE = 65536 };
struct station {
    struct net_port port;
    struct net_queue queue;
};
static struct net_switch *net;
static struct station st[PORTS];
static uint8_t ring[PORTS][QUEUE] __attribute__((aligned(64)));
static struct net_learned learned[2][NET_LEARNED];
static const char *const names[] = { "a", "b", "c", "d" };

static bool deliver(struct net_port *p, unsigned from, const struct net_frame *f)
{
    return net_queue_put(&container_of(p, struct station, port)->queue, from, f);
}
static const struct net_port_ops ops = { .deliver = deliver };

static net_mac mac_of(unsigned i) { return 0x020000000001ull + i; }

static void plug(unsigned i)
{
    net_queue_init(&st[i].queue, ring[i], QUEUE);
    st[i].port = (struct net_port){ .ops = &ops,
                                    .mac = mac_of(i),
                                    .learned = st[i].port.learned,
                                    .isolated = st[i].port.isolated };
    snprintf(st[i].port.name, sizeof st[i].port.name, "%s", names[i]);
    assert_int_equal(net_port_add(net, &st[i].port), 0);
    net_port_up(&st[i].port);
}

static int up(void **state)
{
    (void)state;
    net = net_fresh(1500, 100);
    memset(st, 0, sizeof st);
    memset(learned, 0, sizeof learned);
    return 0;
}

static void plug_all(void)
{
    for (unsigned i = 0; i < PORTS; i++)
        plug(i);
    host_now += 1000000000; /* so that floods may be sent */
}

static int down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PORTS; i++)
        if (st[i].port.net) {
            net_port_down(&st[i].port);
            net_port_remove(&st[i].port);
        }
    return 0;
}

/* Payload in three pieces, one of them empty. Returns the bytes that receivers copied. */
static uint64_t send(unsigned from, net_mac to, net_mac as, uint32_t len)
{
    static uint8_t data[NET_FRAME_MAX + 100];
    uint32_t payload = len - NET_HEAD, first = payload / 3;
    const struct iov iov[3] = { { data, first }, { data, 0 }, { data + first, payload - first } };
    struct net_frame f = { .len = len, .iov = iov, .niov = 3 };

    for (uint32_t i = 0; i < payload; i++)
        data[i] = (uint8_t)(i * 7 + len);
    net_mac_to(to, f.head);
    net_mac_to(as, f.head + 6);
    f.head[12] = 0x88;
    f.head[13] = 0xb5;
    return net_send(&st[from].port, &f);
}

/* The length of the oldest frame that waits for a station, checked and taken; 0: none. */
static uint32_t take(unsigned i)
{
    uint32_t len;
    const uint8_t *p = net_queue_first(&st[i].queue, &len, NULL);

    if (!p)
        return 0;
    for (uint32_t k = 0; k < len - NET_HEAD; k++)
        assert_int_equal(p[NET_HEAD + k], (uint8_t)(k * 7 + len));
    net_queue_drop(&st[i].queue);
    return len;
}

static void test_macs(void **state)
{
    char text[NET_MAC_TEXT];
    net_mac m = 0;

    (void)state;
    assert_int_equal(net_mac_parse("52:54:00:aB:Cd:eF", &m), 0);
    assert_true(m == 0x525400abcdefull);
    assert_string_equal(net_mac_text(m, text), "52:54:00:ab:cd:ef");
    assert_int_equal(net_mac_parse("01:00:00:00:00:01", &m), -EINVAL);
    assert_int_equal(net_mac_parse("00:00:00:00:00:00", &m), -EINVAL);
    assert_int_equal(net_mac_parse("52:54:00:ab:cd", &m), -EINVAL);
    assert_int_equal(net_mac_parse("52:54:00:ab:cd:e", &m), -EINVAL);
    assert_int_equal(net_mac_parse("52:54:00:ab:cd:ef:", &m), -EINVAL);
    assert_int_equal(net_mac_parse("52-54-00-ab-cd-ef", &m), -EINVAL);
    assert_int_equal(net_mac_parse("", &m), -EINVAL);
    m = net_mac_of_guest("debian", 0);
    assert_true(m == net_mac_of_guest("debian", 0) && m >> 40 == 0x02);
    assert_true(m != net_mac_of_guest("debian", 1) && m != net_mac_of_guest("debia", 0));
}

static void test_unicast_goes_to_one(void **state)
{
    (void)state;
    plug_all();
    assert_int_equal(send(0, mac_of(2), mac_of(0), 60), 60);
    assert_int_equal(take(2), 60);
    assert_int_equal(take(1) + take(3) + take(0) + take(2), 0);
    assert_int_equal(send(0, mac_of(0), mac_of(0), 60), 0); /* to itself */
    assert_int_equal(st[0].port.count.sent, 2);
    assert_int_equal(st[2].port.count.received, 1);
    assert_int_equal(st[2].port.count.received_bytes, 60);
}

static void test_broadcast_goes_to_all_others(void **state)
{
    (void)state;
    plug_all();
    assert_int_equal(send(1, NET_MAC_BROADCAST, mac_of(1), 100), 300);
    assert_int_equal(send(1, 0x333300000001ull, mac_of(1), 101), 303);
    assert_int_equal(take(1), 0);
    for (unsigned i = 0; i < PORTS; i++)
        if (i != 1) {
            assert_int_equal(take(i), 100);
            assert_int_equal(take(i), 101);
        }
    assert_int_equal(send(1, 0x0180c2000003ull, mac_of(1), 60), 0); /* no bridge forwards it */
}

static void test_floods_are_limited(void **state)
{
    unsigned sent = 0;

    (void)state;
    plug_all();
    for (unsigned i = 0; i < 1000; i++)
        sent += send(0, i & 1 ? NET_MAC_BROADCAST : 0x02ffffffff00ull, mac_of(0), 60) != 0;
    assert_int_equal(sent, 25); /* 100 a second, a quarter of one saved up */
    assert_int_equal(st[0].port.count.limited, 975);
    host_now += 10000000;
    assert_int_equal(send(0, NET_MAC_BROADCAST, mac_of(0), 60), 180);
    assert_int_equal(send(0, NET_MAC_BROADCAST, mac_of(0), 60), 0);
    assert_int_equal(send(0, mac_of(1), mac_of(0), 60), 60);          /* to one: no limit */
    assert_int_equal(send(1, NET_MAC_BROADCAST, mac_of(1), 60), 180); /* each port its own */
}

static void test_spoofed_and_bad_frames(void **state)
{
    (void)state;
    plug_all();
    assert_int_equal(send(0, mac_of(1), mac_of(2), 60), 0);
    assert_int_equal(send(0, NET_MAC_BROADCAST, 0x020000009999ull, 60), 0);
    assert_int_equal(st[0].port.count.spoofed, 2);
    assert_int_equal(send(0, mac_of(1), NET_MAC_BROADCAST, 60), 0);
    assert_int_equal(send(0, mac_of(1), 0, 60), 0);
    assert_int_equal(send(0, mac_of(1), mac_of(0), 1500 + NET_HEAD + NET_TAG + 1), 0);
    assert_int_equal(st[0].port.count.bad, 3);
    assert_int_equal(st[0].port.count.sent, 0);
    assert_int_equal(send(0, mac_of(1), mac_of(0), 1500 + NET_HEAD + NET_TAG), 1518);
    assert_int_equal(send(0, mac_of(1), mac_of(0), NET_HEAD), NET_HEAD);
}

static void test_two_ports_cannot_have_one_address(void **state)
{
    struct net_port p = { .ops = &ops, .mac = mac_of(1) };

    (void)state;
    plug_all();
    assert_int_equal(net_port_add(net, &p), -EEXIST);
}

static void test_down_ports_get_nothing(void **state)
{
    (void)state;
    plug_all();
    net_port_down(&st[2].port);
    assert_int_equal(send(0, mac_of(2), mac_of(0), 60), 0); /* known: not flooded */
    assert_int_equal(take(1) + take(2) + take(3), 0);
    assert_int_equal(send(0, NET_MAC_BROADCAST, mac_of(0), 60), 120);
    net_port_up(&st[2].port);
    assert_int_equal(send(0, mac_of(2), mac_of(0), 60), 60);
}

static void test_isolated_ports(void **state)
{
    (void)state;
    st[0].port.isolated = st[1].port.isolated = true;
    plug_all();
    assert_int_equal(send(0, mac_of(1), mac_of(0), 60), 0);
    assert_int_equal(send(0, NET_MAC_BROADCAST, mac_of(0), 60), 120);
    assert_int_equal(take(1), 0);
    assert_int_equal(send(2, mac_of(1), mac_of(2), 60), 60);
    assert_int_equal(send(1, mac_of(2), mac_of(1), 60), 60);
}

/* ---- ports with others behind them ---- */

#define BEHIND(n) (0x0a0000000000ull + (n))

static void two_uplinks(void)
{
    st[2].port.learned = learned[0];
    st[3].port.learned = learned[1];
    plug_all();
}

static void test_learning(void **state)
{
    (void)state;
    two_uplinks();
    assert_int_equal(send(0, BEHIND(1), mac_of(0), 60), 180); /* unknown: to all */
    assert_int_equal(send(2, mac_of(0), BEHIND(1), 60), 60);
    assert_int_equal(send(0, BEHIND(1), mac_of(0), 60), 60);
    assert_int_equal(send(3, BEHIND(1), BEHIND(2), 60), 60);
    assert_int_equal(send(2, BEHIND(1), BEHIND(3), 60), 0); /* on its own side */
    /* it moved */
    assert_int_equal(send(3, mac_of(0), BEHIND(1), 60), 60);
    while (take(2) || take(3))
        ;
    assert_int_equal(send(0, BEHIND(1), mac_of(0), 61), 61);
    assert_int_equal(take(2), 0);
    assert_int_equal(take(3), 61);
    /* it aged */
    host_now += NET_AGE_NS;
    assert_int_equal(send(0, BEHIND(1), mac_of(0), 60), 180);
}

static void test_nobody_takes_a_guests_address(void **state)
{
    (void)state;
    two_uplinks();
    assert_int_equal(send(2, mac_of(1), mac_of(0), 60), 0);
    assert_int_equal(st[2].port.count.spoofed, 1);
    assert_int_equal(send(1, mac_of(0), mac_of(1), 60), 60);
    assert_int_equal(take(0), 60);
}

/* A port that claims to be everybody fills what is its own, and nothing else. */
static void test_a_full_table(void **state)
{
    (void)state;
    two_uplinks();
    assert_int_equal(send(3, mac_of(0), BEHIND(0x5000000), 60), 60);
    for (unsigned i = 0; i < 100000; i++) {
        (void)send(2, mac_of(0), BEHIND(i), 60);
        (void)take(0);
    }
    assert_in_range(st[2].port.count.unlearned, 100000 - NET_LEARNED, 100000 - 1);
    host_now += 1000000;
    assert_int_equal(send(0, BEHIND(0x5000000), mac_of(0), 60), 60);
}

/* ---- queues ---- */

static void test_a_receiver_that_takes_nothing(void **state)
{
    unsigned taken = 0;

    (void)state;
    plug_all();
    for (unsigned i = 0; i < 1000; i++)
        taken += send(0, mac_of(1), mac_of(0), 1000) != 0;
    assert_in_range(taken, 28, 33); /* half of the queue */
    assert_int_equal(st[1].port.count.dropped, 1000 - taken);
    assert_int_equal(send(0, mac_of(2), mac_of(0), 1000), 1000); /* another one is not affected */
    assert_int_equal(send(2, mac_of(1), mac_of(2), 1000), 1000); /* nor is another sender */
    for (unsigned i = 0; i < taken + 1; i++)
        assert_int_equal(take(1), 1000);
    assert_int_equal(take(1), 0);
    for (unsigned i = 0; i < NET_PORTS; i++)
        assert_int_equal(st[1].queue.held[i], 0);
}

/* Every length at every place in the ring. */
static void test_all_lengths(void **state)
{
    (void)state;
    plug_all();
    for (unsigned round = 0; round < 3; round++)
        for (uint32_t len = NET_HEAD; len <= 1518; len++) {
            assert_int_equal(send(0, mac_of(1), mac_of(0), len), len);
            if (len % 5 == 0)
                assert_int_equal(send(2, mac_of(1), mac_of(2), len), len);
            assert_int_equal(take(1), len);
            if (len % 5 == 0)
                assert_int_equal(take(1), len);
        }
}

static void test_clear(void **state)
{
    (void)state;
    plug_all();
    for (unsigned i = 0; i < 10; i++)
        (void)send(0, mac_of(1), mac_of(0), 100);
    net_queue_clear(&st[1].queue);
    assert_int_equal(take(1), 0);
    assert_int_equal(st[1].queue.held[0], 0);
    assert_int_equal(send(0, mac_of(1), mac_of(0), 100), 100);
    assert_int_equal(take(1), 100);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, up, down)
    const struct CMUnitTest tests[] = {
        T(test_macs),
        T(test_unicast_goes_to_one),
        T(test_broadcast_goes_to_all_others),
        T(test_floods_are_limited),
        T(test_spoofed_and_bad_frames),
        T(test_two_ports_cannot_have_one_address),
        T(test_down_ports_get_nothing),
        T(test_isolated_ports),
        T(test_learning),
        T(test_nobody_takes_a_guests_address),
        T(test_a_full_table),
        T(test_a_receiver_that_takes_nothing),
        T(test_all_lengths),
        T(test_clear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
