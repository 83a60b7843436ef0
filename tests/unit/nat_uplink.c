/* SPDX-License-Identifier: BSD-2-Clause */
/* The NAT gateway's uplink by DHCP: its lease, its name servers, its renewal and its end. */
#include "nat_net.h"

uint64_t time_ns(void) { return host_now; }

enum { LEASE_S = 3600 };
static uint8_t buf[2048];

/* What the gateway's client has sent last: its type, 0: nothing; its identifier. */
static uint8_t asked(uint32_t *xid)
{
    const struct packet *p;
    uint8_t type = 0;

    while ((p = station_packet(WORLD)))
        if (p->proto == PROTO_UDP && p->dport == 67) {
            *xid = net_get32(p->l4 + UDP_HEAD + 4);
            type = p->l4[UDP_HEAD + 240 + 2];
        }
    return type;
}

static uint32_t put_option(uint8_t *at, uint8_t code, uint32_t value)
{
    at[0] = code;
    at[1] = 4;
    net_put32(at + 2, value);
    return 6;
}

static void answer(uint8_t type, uint32_t xid, uint32_t ip, uint32_t dns)
{
    uint8_t *d = buf + IP_MIN + UDP_HEAD;
    uint32_t n = 243;
    struct packet p;

    memset(d, 0, 400);
    memcpy(d, (uint8_t[]){ 2, 1, 6 }, 3);
    net_put32(d + 4, xid);
    net_put32(d + 16, ip);
    net_mac_to(nat->out.port.mac, d + 28);
    net_put32(d + 236, 0x63825363);
    memcpy(d + 240, (uint8_t[]){ 53, 1, type }, 3);
    n += put_option(d + n, 54, ROUTER_IP);
    n += put_option(d + n, 1, 0xffffff00);
    n += put_option(d + n, 3, (ip & ~255u) | 1);
    n += put_option(d + n, 6, dns);
    n += put_option(d + n, 51, LEASE_S);
    d[n] = 255;
    packet_make_udp(&p, buf, ROUTER_IP, 67, 0xffffffff, 68, 300);
    station_send(WORLD, NET_MAC_BROADCAST, 0x0800, p.ip, p.len);
}

/* Waits until the client has sent a message of this type. */
static uint32_t wait_for(uint8_t type, unsigned seconds)
{
    uint32_t xid = 0;

    for (unsigned i = 0; i < 10 * seconds; i++) {
        world_answers_arp();
        if (asked(&xid) == type)
            return xid;
        advance(100 * MS);
    }
    fail_msg("no message %u", type);
    return 0;
}

static void test_no_address_yet(void **state)
{
    struct nat_state s;

    (void)state;
    assert_true(nat_state(&s));
    assert_true(s.plugged && s.address == 0);
}

static void test_lease(void **state)
{
    struct nat_state s;
    uint32_t xid = wait_for(1, 100);

    (void)state;
    answer(2, xid + 1, OUTSIDE, SERVER); /* of another client */
    assert_int_equal(asked(&xid), 0);
    answer(2, xid, OUTSIDE, SERVER);
    xid = wait_for(3, 10);
    answer(5, xid, OUTSIDE, SERVER);
    advance(3 * SECOND); /* it makes sure that nobody has the address */
    assert_true(nat_state(&s));
    assert_int_equal(s.address, OUTSIDE);
    assert_int_equal(s.mask, 0xffffff00);
    assert_int_equal(s.router, ROUTER_IP);
    assert_int_equal(s.dns[0], SERVER);
}

static void test_renewal(void **state)
{
    struct nat_state s;
    uint32_t xid = wait_for(3, LEASE_S / 2 + 120);

    (void)state;
    answer(5, xid, OUTSIDE, SERVER + 1);
    advance(SECOND);
    assert_true(nat_state(&s));
    assert_int_equal(s.address, OUTSIDE);
    assert_int_equal(s.dns[0], SERVER + 1);
    advance((LEASE_S / 2 + 600) * SECOND); /* beyond the end of the first lease */
    assert_int_equal(nat->out.ip, OUTSIDE);
}

/* A link that was away may be to another network: the address is asked for again. */
static void test_link(void **state)
{
    struct nat_state s;
    uint32_t xid;

    (void)state;
    world_nic.up = false;
    advance(2 * SECOND);
    assert_true(nat_state(&s) && !s.link);
    stations_forget();
    world_nic.up = true;
    xid = wait_for(3, 5);
    answer(5, xid, OUTSIDE, SERVER);
    advance(SECOND);
    assert_true(nat_state(&s) && s.link);
    assert_int_equal(s.address, OUTSIDE);
}

/* Without a server the address is lost, and asked for again. */
static void test_end_of_lease(void **state)
{
    uint32_t xid;

    (void)state;
    for (unsigned i = 0; i < 3 * LEASE_S / 30 && nat->out.ip; i++) {
        advance(30 * SECOND);
        stations_forget();
    }
    assert_int_equal(nat->out.ip, 0);
    xid = wait_for(1, 200);
    answer(2, xid, INSIDE + 5, SERVER); /* the subnet of the inside */
    xid = wait_for(3, 10);
    answer(5, xid, INSIDE + 5, SERVER);
    advance(3 * SECOND);
    assert_int_equal(nat->out.ip, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_address_yet), cmocka_unit_test(test_lease),
        cmocka_unit_test(test_renewal),        cmocka_unit_test(test_link),
        cmocka_unit_test(test_end_of_lease),
    };

    nat_begin(false, true);
    return cmocka_run_group_tests_name("nat_uplink", tests, NULL, NULL);
}
