/* SPDX-License-Identifier: BSD-2-Clause */
/* NICs and who has them; a NIC as a port of a switch. The device is this test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <hv/net.h>
#include <hv/nic.h>
#include <hv/pmm.h>
#include <stdio.h>
#include <string.h>
#include "arch/host/host.h"

enum { HELD = 128 };
static struct nic nics[3];
static struct nic_frame *held[HELD];
static unsigned nheld, started, polled;
static int send_error, start_error;
static const struct net_access any;
static struct nic_mode mode;

static int start(struct nic *n, const struct nic_mode *m)
{
    (void)n;
    mode = *m;
    started++;
    return start_error;
}

static int send(struct nic *n, struct nic_frame *f)
{
    (void)n;
    if (send_error)
        return send_error;
    assert_in_range(nheld, 0, HELD - 1);
    held[nheld++] = f;
    return 0;
}

static void stop(struct nic *n) { nic_stopped(n); }
static void poll(struct nic *n) { (void)n, polled++; }

static const struct net_ops nic_ops = { .start = start, .send = send, .stop = stop, .poll = poll };

static void give_back(struct nic *n, int status)
{
    while (nheld) {
        held[--nheld]->status = status;
        n->user->ops->sent(n->user, held[nheld]);
    }
}

/* A station on the switch. */
static struct station {
    struct net_port port;
    unsigned got;
    uint32_t len;
    uint8_t first;
} st[2];

static bool deliver(struct net_port *p, unsigned from, const struct net_frame *f)
{
    struct station *s = container_of(p, struct station, port);

    (void)from;
    s->got++;
    s->len = f->len;
    s->first = f->niov ? *(const uint8_t *)f->iov[0].base : 0;
    return true;
}
static const struct net_port_ops port_ops = { .deliver = deliver };

static net_mac mac_of(unsigned i) { return 0x020000000001ull + i; }

static int once(void **state)
{
    (void)state;
    host_init(1, 64 * MIB);
    for (unsigned i = 0; i < ARRAY_SIZE(nics); i++) {
        nics[i] = (struct nic){ .ops = &nic_ops,
                                .mac = 0x525400000001ull + i,
                                .mtu_max = i ? 9000 : 1500,
                                .driver = "test",
                                .up = true };
        nic_add(&nics[i]);
    }
    assert_int_equal(net_add("lan", 1500, 1000), 0);
    assert_int_equal(net_add("wide", 9000, 1000), 0);
    for (unsigned i = 0; i < 2; i++) {
        st[i].port = (struct net_port){ .ops = &port_ops, .mac = mac_of(i) };
        assert_int_equal(net_port_add(net_find("lan"), &st[i].port), 0);
        net_port_up(&st[i].port);
    }
    return 0;
}

static uint64_t to_outside(unsigned from, uint32_t len)
{
    static uint8_t data[NET_FRAME_MAX];
    const struct iov iov[2] = { { data, 10 }, { data + 10, NET_FRAME_MAX - 10 } };
    struct net_frame f = { .len = len, .iov = iov, .niov = 2 };

    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    net_mac_to(0x0a0000000099ull, f.head);
    net_mac_to(mac_of(from), f.head + 6);
    host_now += 2000000; /* so that it may be sent to all */
    return net_send(&st[from].port, &f);
}

static void from_outside(struct nic *n, net_mac to, net_mac as, uint32_t len)
{
    static uint8_t frame[NET_FRAME_MAX];

    memset(frame, 0x5a, sizeof frame);
    net_mac_to(to, frame);
    net_mac_to(as, frame + 6);
    host_now += 2000000;
    n->user->ops->received(n->user, frame, len);
}

static void who_has_it(void **state)
{
    struct nic *n = nic_find("nic1");
    char why[100];

    (void)state;
    assert_ptr_equal(n, &nics[1]);
    assert_null(nic_find("nic3"));
    assert_true(nic_exists("nic2"));
    assert_ptr_equal(nic_by_index(2), &nics[2]);
    assert_null(nic_by_index(3));
    assert_int_equal(nic_uplink(n, net_find("lan"), &any, why, sizeof why), 0);
    assert_string_equal(n->user->holder, "switch lan");
    assert_int_equal(started, 1);
    assert_int_equal(polled, 1);
    assert_int_equal(mode.mtu, 1500);
    assert_true(mode.all);
    assert_int_equal(nic_uplink(n, net_find("wide"), &any, why, sizeof why), -EBUSY);
    assert_string_equal(why, "switch lan has it");
    assert_int_equal(nic_uplink(&nics[0], net_find("wide"), &any, why, sizeof why), -EINVAL);
    assert_string_equal(why, "its frames carry 1500 bytes at most, not 9000");
    start_error = -EIO;
    assert_int_equal(nic_uplink(&nics[2], net_find("wide"), &any, why, sizeof why), -EIO);
    assert_string_equal(why, "it does not work");
    assert_null(nics[2].user);
    start_error = 0;
    for (unsigned i = 0; i < NET_PORTS; i++) /* nothing was left on the switch */
        assert_null(net_find("wide")->port[i]);
}

static void out_and_in(void **state)
{
    struct nic *n = &nics[1];
    const uint8_t *sent;

    (void)state;
    from_outside(n, NET_MAC_BROADCAST, 0x0a0000000099ull, 60); /* it is learned */
    assert_int_equal(to_outside(0, 700), 700);
    assert_int_equal(nheld, 1);
    assert_int_equal(held[0]->len, 700);
    assert_int_equal(held[0]->seg[0].len, 700);
    sent = phys_to_virt(held[0]->seg[0].at);
    for (unsigned i = 0; i < 700 - NET_HEAD; i++)
        assert_int_equal(sent[NET_HEAD + i], (uint8_t)(i * 7));
    give_back(n, 0);
    to_outside(1, 20); /* filled up with zeros, not with what was there */
    assert_int_equal(held[0]->len, NIC_FRAME_MIN);
    assert_ptr_equal(phys_to_virt(held[0]->seg[0].at), sent);
    for (unsigned i = 20; i < NIC_FRAME_MIN; i++)
        assert_int_equal(sent[i], 0);
    give_back(n, -EIO);
    /* what is behind it is learned; one station's frames are not the other's */
    st[0].got = st[1].got = 0;
    from_outside(n, mac_of(1), 0x0a0000000099ull, 300);
    assert_int_equal(st[0].got, 0);
    assert_int_equal(st[1].got, 1);
    assert_int_equal(st[1].len, 300);
    assert_int_equal(st[1].first, 0x5a);
    from_outside(n, NET_MAC_BROADCAST, 0x0a0000000099ull, 60);
    assert_int_equal(st[0].got, 1);
    from_outside(n, mac_of(0), mac_of(1), 60); /* a guest's address comes from outside */
    assert_int_equal(st[0].got, 1);
    assert_int_equal(nheld, 0); /* never back to where it came from */
}

/* One that floods leaves buffers to the other; what the device refuses is dropped, and counted. */
static void fairness(void **state)
{
    struct nic *n = &nics[1];
    unsigned first, second;

    (void)state;
    for (first = 0; to_outside(0, 100); first++)
        continue;
    for (second = 0; to_outside(1, 100); second++)
        continue;
    assert_int_equal(first, 64);
    assert_int_equal(second, 32);
    give_back(n, 0);
    send_error = -ENETDOWN;
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(to_outside(0, 100), 0);
    send_error = 0;
    for (first = 0; to_outside(0, 100); first++)
        continue;
    assert_int_equal(first, 64);
    give_back(n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(who_has_it), cmocka_unit_test(out_and_in),
                                        cmocka_unit_test(fairness) };

    return cmocka_run_group_tests(tests, once, NULL);
}
