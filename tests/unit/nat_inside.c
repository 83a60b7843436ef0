/* SPDX-License-Identifier: BSD-2-Clause */
/* The NAT gateway's inside, without an uplink: ARP, ping, DHCP, names. */
#include "nat_net.h"

uint64_t time_ns(void) { return host_now; }

static uint8_t buf[65536];

static void arp(unsigned from, uint32_t sender, uint32_t target)
{
    uint8_t a[28] = { 0, 1, 8, 0, 6, 4, 0, 1 };

    net_mac_to(station_mac(from), a + 8);
    net_put32(a + 14, sender);
    net_put32(a + 24, target);
    station_send(from, NET_MAC_BROADCAST, 0x0806, a, sizeof a);
}

static void test_arp(void **state)
{
    uint32_t len;
    uint8_t *f;

    (void)state;
    arp(0, guest_ip(0), INSIDE);
    f = station_next(0, &len);
    assert_non_null(f);
    assert_int_equal(net_get16(f + NET_HEAD + 6), 2);
    assert_true(net_mac_from(f + NET_HEAD + 8) == gate_mac(0));
    assert_int_equal(net_get32(f + NET_HEAD + 14), INSIDE);
    assert_null(station_next(0, &len));
    arp(0, 0, INSIDE); /* a probe: RFC 5227 */
    assert_non_null(station_next(0, &len));
    arp(0, guest_ip(1), INSIDE); /* another guest's */
    arp(0, guest_ip(0), guest_ip(1));
    assert_null(station_next(0, &len));
    assert_int_equal(nat->drops[NAT_DROP_SPOOFED], 1);
    stations_forget();
}

static void ping(unsigned from, uint32_t src, uint32_t dst, uint32_t size)
{
    struct packet p;
    uint8_t *icmp = buf + IP_MIN;

    memset(icmp, 0, ICMP_HEAD + size);
    icmp[0] = ICMP_ECHO;
    net_put16(icmp + 4, 77);
    net_put16(icmp + 2, csum_end(csum_add(0, icmp, ICMP_HEAD + size)));
    packet_make(&p, buf, PROTO_ICMP, src, dst, ICMP_HEAD + size);
    station_ip(from, &p);
}

static void test_ping(void **state)
{
    const struct packet *p;

    (void)state;
    for (uint32_t size = 0; size <= 1472; size += 368) {
        ping(1, guest_ip(1), INSIDE, size);
        p = station_packet(1);
        assert_non_null(p);
        assert_int_equal(p->l4[0], ICMP_ECHO_REPLY);
        assert_int_equal(p->len, IP_MIN + ICMP_HEAD + size);
        assert_int_equal(p->src, INSIDE);
    }
    ping(1, guest_ip(0), INSIDE, 56); /* as somebody else */
    assert_null(station_packet(1));
    assert_null(station_packet(0));
}

static void test_no_uplink_is_said(void **state)
{
    const struct packet *p;

    (void)state;
    ping(2, guest_ip(2), SERVER, 56);
    p = station_packet(2);
    assert_non_null(p);
    assert_int_equal(p->l4[0], ICMP_UNREACHABLE);
    assert_int_equal(net_get32(p->l4 + ICMP_HEAD + 16), SERVER);
    for (unsigned i = 0; i < 100; i++) /* but not always */
        ping(2, guest_ip(2), SERVER, 56);
    assert_in_range(st[2].n, 10, 25);
    stations_forget();
}

/* ---- DHCP ---- */

struct client {
    uint8_t type;
    uint16_t flags;
    uint32_t ciaddr, requested, server;
    unsigned pad; /* bytes before the options */
};

static void dhcp(unsigned from, const struct client *c, uint32_t src, uint32_t dst)
{
    uint8_t *d = buf + IP_MIN + UDP_HEAD;
    uint32_t n = 240;
    struct packet p;

    memset(d, 0, 600);
    d[0] = d[1] = 1;
    d[2] = 6;
    net_put32(d + 4, 0x12345678);
    net_put16(d + 10, c->flags);
    net_put32(d + 12, c->ciaddr);
    net_mac_to(station_mac(from), d + 28);
    net_put32(d + 236, 0x63825363);
    n += c->pad;
    memcpy(d + n, (uint8_t[]){ 53, 1, c->type }, 3);
    n += 3;
    memcpy(d + n, (uint8_t[]){ 55, 4, 1, 3, 6, 15 }, 6);
    n += 6;
    if (c->requested) {
        memcpy(d + n, (uint8_t[]){ 50, 4 }, 2);
        net_put32(d + n + 2, c->requested);
        n += 6;
    }
    if (c->server) {
        memcpy(d + n, (uint8_t[]){ 54, 4 }, 2);
        net_put32(d + n + 2, c->server);
        n += 6;
    }
    d[n++] = 255;
    packet_make_udp(&p, buf, src, 68, dst, 67, n < 300 ? 300 : n);
    station_send(from, dst == INSIDE ? gate_mac(from) : NET_MAC_BROADCAST, 0x0800, p.ip, p.len);
}

/* An option of a reply; NULL: it has none. */
static const uint8_t *option(const struct packet *p, uint8_t code, uint8_t len)
{
    const uint8_t *o = p->l4 + UDP_HEAD + 240, *end = p->ip + p->len;

    for (; o < end && *o != 255; o += *o ? 2 + o[1] : 1)
        if (*o == code) {
            assert_int_equal(o[1], len);
            return o + 2;
        }
    return NULL;
}

static const struct packet *reply(unsigned i, uint8_t type)
{
    const struct packet *p = station_packet(i);
    const uint8_t *d;

    if (!type) {
        assert_null(p);
        return NULL;
    }
    assert_non_null(p);
    d = p->l4 + UDP_HEAD;
    assert_int_equal(p->sport, 67);
    assert_int_equal(p->dport, 68);
    assert_int_equal(d[0], 2);
    assert_int_equal(net_get32(d + 4), 0x12345678);
    assert_true(net_mac_from(d + 28) == station_mac(i));
    assert_int_equal(*option(p, 53, 1), type);
    assert_int_equal(net_get32(option(p, 54, 4)), INSIDE);
    return p;
}

static void check_network(const struct packet *p, unsigned i)
{
    assert_int_equal(net_get32(p->l4 + UDP_HEAD + 16), guest_ip(i));
    assert_int_equal(net_get32(option(p, 1, 4)), 0xffffff00);
    assert_int_equal(net_get32(option(p, 3, 4)), INSIDE);
    assert_int_equal(net_get32(option(p, 6, 4)), INSIDE);
    assert_int_equal(net_get16(option(p, 26, 2)), 1500);
    assert_int_equal(net_get32(option(p, 28, 4)), INSIDE | 255);
    assert_memory_equal(option(p, 12, (uint8_t)strlen(station_names[i])), station_names[i],
                        strlen(station_names[i]));
    assert_memory_equal(option(p, 15, 6), "trivet", 6);
    assert_int_equal(net_get32(option(p, 51, 4)), 86400);
}

/* As busybox's udhcpc does: no broadcast flag, so that the answers go to the address that is new.
 */
static void test_dhcp_plain(void **state)
{
    const struct packet *p;

    (void)state;
    dhcp(0, &(struct client){ .type = 1 }, 0, 0xffffffff);
    p = reply(0, 2);
    check_network(p, 0);
    assert_int_equal(p->dst, guest_ip(0));
    dhcp(0, &(struct client){ .type = 3, .requested = guest_ip(0), .server = INSIDE }, 0,
         0xffffffff);
    check_network(reply(0, 5), 0);
    assert_true(nat->guest[0]->leased_until > host_now);
    assert_int_equal(guest_ip(0), INSIDE + 14);
}

/* As isc-dhcp-client and Windows do: the broadcast flag, padding, the address of another network.
 */
static void test_dhcp_broadcast(void **state)
{
    const struct packet *p;

    (void)state;
    dhcp(1, &(struct client){ .type = 3, .flags = 0x8000, .requested = 0xc0a80005 }, 0, 0xffffffff);
    p = reply(1, 6);
    assert_int_equal(p->dst, 0xffffffff);
    assert_null(option(p, 51, 4));
    dhcp(1, &(struct client){ .type = 1, .flags = 0x8000, .pad = 20 }, 0, 0xffffffff);
    p = reply(1, 2);
    assert_int_equal(p->dst, 0xffffffff);
    check_network(p, 1);
    for (unsigned i = 0; i < GUESTS; i++) /* nobody else got any of it */
        assert_null(station_packet(i));
}

/* As systemd-networkd does: it begins with the address that it had, and renews from it. */
static void test_dhcp_renewal(void **state)
{
    const struct packet *p;

    (void)state;
    dhcp(2, &(struct client){ .type = 3, .requested = guest_ip(2) }, 0, 0xffffffff);
    check_network(reply(2, 5), 2);
    dhcp(2, &(struct client){ .type = 3, .ciaddr = guest_ip(2) }, guest_ip(2), INSIDE);
    p = reply(2, 5);
    assert_int_equal(p->dst, guest_ip(2));
    dhcp(2, &(struct client){ .type = 3, .ciaddr = guest_ip(1) }, guest_ip(1), INSIDE);
    (void)reply(2, 6);
    dhcp(2, &(struct client){ .type = 8, .ciaddr = guest_ip(2) }, guest_ip(2), INSIDE);
    p = reply(2, 5);
    assert_int_equal(net_get32(p->l4 + UDP_HEAD + 16), 0);
    assert_null(option(p, 51, 4));
    dhcp(2, &(struct client){ .type = 3, .requested = guest_ip(2), .server = INSIDE + 9 }, 0,
         0xffffffff);
    (void)reply(2, 0); /* another server was chosen */
    dhcp(2, &(struct client){ .type = 7, .ciaddr = guest_ip(2), .server = INSIDE }, guest_ip(2),
         INSIDE);
    (void)reply(2, 0);
    assert_int_equal(nat->guest[2]->leased_until, 0);
}

static void test_dhcp_hostile(void **state)
{
    struct packet p;
    uint8_t *d = buf + IP_MIN + UDP_HEAD;

    (void)state;
    dhcp(0, &(struct client){ .type = 1 }, 0, 0xffffffff);
    (void)reply(0, 2);
    net_mac_to(station_mac(1), d + 28); /* for another guest's address */
    packet_make_udp(&p, buf, 0, 68, 0xffffffff, 67, 300);
    station_send(0, NET_MAC_BROADCAST, 0x0800, p.ip, p.len);
    net_mac_to(station_mac(0), d + 28);
    net_put32(d + 24, INSIDE + 20); /* through a relay */
    packet_make_udp(&p, buf, 0, 68, 0xffffffff, 67, 300);
    station_send(0, NET_MAC_BROADCAST, 0x0800, p.ip, p.len);
    net_put32(d + 24, 0);
    d[244] = 255; /* an option that is cut off */
    packet_make_udp(&p, buf, 0, 68, 0xffffffff, 67, 300);
    station_send(0, NET_MAC_BROADCAST, 0x0800, p.ip, p.len);
    (void)reply(0, 0);
    for (uint32_t n = 0; n < 300; n += 7) { /* too short for what it says, or at all */
        dhcp(0, &(struct client){ .type = 1 }, 0, 0xffffffff);
        (void)reply(0, 2);
        packet_make_udp(&p, buf, 0, 68, 0xffffffff, 67, n);
        station_send(0, NET_MAC_BROADCAST, 0x0800, p.ip, p.len);
        if (n < 243)
            (void)reply(0, 0);
        stations_forget();
    }
}

/* ---- booting ---- */

static uint8_t boot_file[5000];

/* With its NULs: `request` is a string that ends with one more. */
static const struct packet *tftp(uint16_t port, uint16_t op, const char *body, uint32_t len)
{
    uint8_t *d = buf + IP_MIN + UDP_HEAD;
    struct packet p;

    net_put16(d, op);
    memcpy(d + 2, body, len);
    packet_make_udp(&p, buf, guest_ip(0), 2000, INSIDE, port, 2 + len);
    station_ip(0, &p);
    return station_packet(0);
}

static const struct packet *tftp_ack(uint16_t port, uint16_t block)
{
    uint8_t b[2];

    net_put16(b, block);
    return tftp(port, 4, (const char *)b, 2);
}

static uint16_t opcode(const struct packet *p) { return net_get16(p->l4 + UDP_HEAD); }

static void test_no_boot_file(void **state)
{
    static const char ask[] = "/net/boot.efi\0octet";

    (void)state;
    assert_int_equal(tftp(69, 1, ask, sizeof ask)->proto, PROTO_ICMP); /* nobody listens */
    dhcp(0, &(struct client){ .type = 1 }, 0, 0xffffffff);
    assert_null(option(reply(0, 2), 67, 0));
    for (size_t i = 0; i < sizeof boot_file; i++)
        boot_file[i] = (uint8_t)(i * 7 + i / 256);
}

static void test_boot_is_told(void **state)
{
    const struct packet *p;

    (void)state;
    nat_boot("net/boot.efi", boot_file, sizeof boot_file);
    dhcp(0, &(struct client){ .type = 1 }, 0, 0xffffffff);
    p = reply(0, 2);
    check_network(p, 0);
    assert_int_equal(net_get32(p->l4 + UDP_HEAD + 20), INSIDE);
    assert_string_equal((const char *)p->l4 + UDP_HEAD + 108, "net/boot.efi");
    assert_memory_equal(option(p, 66, 9), "10.21.0.1", 9);
    assert_memory_equal(option(p, 67, 12), "net/boot.efi", 12);
}

/* The whole file in blocks of `size`, of which the first packet came; each is asked for twice. */
static void read_file(const struct packet *p, uint32_t size)
{
    uint16_t port = p->sport;
    uint32_t at = 0, n = size;

    for (uint16_t block = 1; n == size; block++) {
        assert_non_null(p);
        assert_int_equal(opcode(p), 3);
        assert_int_equal(net_get16(p->l4 + UDP_HEAD + 2), block);
        n = p->len - p->hl - UDP_HEAD - 4;
        assert_true(at + n <= sizeof boot_file);
        assert_memory_equal(p->l4 + UDP_HEAD + 4, boot_file + at, n);
        assert_null(tftp_ack(port, (uint16_t)(block - 1))); /* too soon */
        host_now += SECOND;
        p = tftp_ack(port, (uint16_t)(block - 1));
        assert_int_equal(net_get16(p->l4 + UDP_HEAD + 2), block);
        at += n;
        p = tftp_ack(port, block);
    }
    assert_int_equal(at, sizeof boot_file);
    assert_null(p);
    assert_int_equal(nat->guest[0]->tftp.port, 0);
}

static void test_boot_file_is_read(void **state)
{
    static const char plain[] = "/NET/boot.efi\0octet", small[] = "net/boot.efi\0octet\0blksize\08",
                      big[] = "net/boot.efi\0OCTET\0tsize\0"
                              "0\0windowsize\0"
                              "9\0blksize\0"
                              "60000";
    static const char told[] = "\0\6blksize\0"
                               "1468\0tsize\0"
                               "5000";
    const struct packet *p;

    (void)state;
    read_file(tftp(69, 1, plain, sizeof plain), 512);
    p = tftp(69, 1, small, sizeof small);
    assert_int_equal(opcode(p), 6);
    read_file(tftp_ack(p->sport, 0), 8); /* its last block is empty */
    p = tftp(69, 1, big, sizeof big);
    assert_int_equal(p->len - p->hl - UDP_HEAD, sizeof told);
    assert_memory_equal(p->l4 + UDP_HEAD, told, sizeof told);
    read_file(tftp_ack(p->sport, 0), 1468);
}

static void test_tftp_hostile(void **state)
{
    static const char other[] = "trivet.conf\0octet", mail[] = "net/boot.efi\0mail",
                      odd[] = "net/boot.efi\0octet\0blksize\0"
                              "7";
    static const char cut[] = "net/boot.efi\0octet\0blksize\0"
                              "1024";
    const struct packet *p;
    uint16_t port;

    (void)state;
    assert_int_equal(opcode(tftp(69, 1, other, sizeof other)), 5);
    assert_int_equal(opcode(tftp(69, 1, mail, sizeof mail)), 5);
    assert_int_equal(opcode(tftp(69, 2, other, sizeof other)), 5);
    assert_null(tftp(69, 1, (const char *)boot_file, 600));
    assert_int_equal(opcode(tftp(69, 1, odd, sizeof odd)), 3); /* 7 is too little: left out */
    for (uint32_t n = 2; n < sizeof cut; n++) {
        p = tftp(69, 1, cut, n);
        assert_non_null(p);
        assert_int_equal(opcode(p), n < 19 ? 5 : 3);
    }
    p = tftp(69, 1, odd, sizeof odd);
    port = p->sport;
    assert_null(tftp_ack(port, 77));
    assert_null(tftp(port, 5, "\0\0x", 4)); /* the guest gives up */
    assert_int_equal(tftp_ack(port, 1)->proto, PROTO_ICMP);
    stations_forget();
}

/* ---- names ---- */

static uint32_t put_labels(uint8_t *at, const char *name)
{
    uint32_t n = 0;

    while (*name) {
        uint32_t len = (uint32_t)strcspn(name, ".");

        at[n] = (uint8_t)len;
        memcpy(at + n + 1, name, len);
        n += 1 + len;
        name += len + (name[len] == '.');
    }
    at[n] = 0;
    return n + 1;
}

/* The answer to a question; its packet. */
static const struct packet *ask(unsigned from, const char *name, uint16_t type)
{
    uint8_t *d = buf + IP_MIN + UDP_HEAD;
    uint32_t n = 12;
    struct packet p;

    memset(d, 0, 12);
    net_put16(d, 0xbeef);
    net_put16(d + 2, 0x0100);
    net_put16(d + 4, 1);
    n += put_labels(d + n, name);
    net_put16(d + n, type);
    net_put16(d + n + 2, 1);
    packet_make_udp(&p, buf, guest_ip(from), 5353, INSIDE, 53, n + 4);
    station_ip(from, &p);
    return station_packet(from);
}

static unsigned rcode(const struct packet *p) { return p->l4[UDP_HEAD + 3] & 15; }
static unsigned answers(const struct packet *p) { return net_get16(p->l4 + UDP_HEAD + 6); }

static void test_names(void **state)
{
    static const struct {
        const char *name;
        uint32_t ip;
    } known[] = { { "web", INSIDE + 14 },
                  { "web.trivet", INSIDE + 14 },
                  { "WEB.Trivet", INSIDE + 14 },
                  { "gateway", INSIDE } };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        const struct packet *p = ask(1, known[i].name, 1);

        assert_non_null(p);
        assert_int_equal(net_get16(p->l4 + UDP_HEAD), 0xbeef);
        assert_int_equal(p->dport, 5353);
        assert_int_equal(rcode(p), 0);
        assert_int_equal(answers(p), 1);
        assert_int_equal(net_get32(p->ip + p->len - 4), known[i].ip);
        p = ask(1, known[i].name, 28); /* AAAA: it exists, but has none */
        assert_int_equal(rcode(p), 0);
        assert_int_equal(answers(p), 0);
    }
    assert_int_equal(rcode(ask(1, "nobody.trivet", 1)), 3);
    assert_int_equal(rcode(ask(1, "example.org", 1)), 2); /* without an uplink */
    assert_int_equal(rcode(ask(1, "9.9.21.10.in-addr.arpa", 12)), 2);
}

static void test_reverse_names(void **state)
{
    const struct packet *p = ask(1, "15.0.21.10.in-addr.arpa", 12);

    (void)state;
    assert_int_equal(answers(p), 1);
    assert_memory_equal(p->ip + p->len - 12, "\3web\6trivet", 12);
    assert_int_equal(rcode(ask(1, "254.0.21.10.in-addr.arpa", 12)), 3);
}

static void test_bad_queries(void **state)
{
    struct packet p;
    uint8_t *d = buf + IP_MIN + UDP_HEAD;

    (void)state;
    for (uint32_t n = 0; n < 29; n++) {
        const struct packet *r = ask(1, "web.trivet", 1);

        assert_non_null(r);
        packet_make_udp(&p, buf, guest_ip(1), 5353, INSIDE, 53, n);
        station_ip(1, &p);
        r = station_packet(1);
        assert_true(n < 12 ? !r : n < 28 ? rcode(r) == 1 : answers(r) == 1);
    }
    d[12] = 0xc0; /* a pointer where none may be */
    d[13] = 12;
    packet_make_udp(&p, buf, guest_ip(1), 5353, INSIDE, 53, 28);
    station_ip(1, &p);
    assert_int_equal(rcode(station_packet(1)), 1);
}

static void test_fixed_addresses(void **state)
{
    (void)state;
    assert_int_equal(nat_add_guest("x", station_mac(9), INSIDE), -EEXIST);
    assert_int_equal(nat_add_guest("x", station_mac(9), guest_ip(1)), -EEXIST);
    assert_int_equal(nat_add_guest("x", station_mac(9), INSIDE & ~255u), -EEXIST);
    assert_int_equal(nat_add_guest("x", station_mac(9), INSIDE | 255), -EEXIST);
    assert_int_equal(nat_add_guest("x", station_mac(9), 0x0a160005), -EEXIST);
    assert_int_not_equal(guest_ip(1), guest_ip(2));
}

/* Each frame to the gateway is paid for by the guest that sent it, whatever it is. */
static void test_who_pays(void **state)
{
    static const uint8_t junk[64];

    (void)state;
    stations_forget();
    arp(0, guest_ip(0), INSIDE);
    arp(0, guest_ip(1), INSIDE);
    ping(0, guest_ip(0), INSIDE, 56);
    ping(0, guest_ip(0), SERVER, 56);
    ping(0, guest_ip(1), SERVER, 56);
    station_send(0, gate_mac(0), 0x0800, junk, sizeof junk);
    station_send(0, gate_mac(0), 0x86dd, junk, sizeof junk);
    assert_int_equal(st[0].paid, 7);
    ping(1, guest_ip(1), INSIDE, 56);
    assert_int_equal(st[1].paid, 1);
    assert_int_equal(st[2].paid, 0);
    stations_forget();
}

/* One that floods loses its own frames; those of others between them are answered. */
static void test_a_flood(void **state)
{
    uint64_t drops = nat->drops[NAT_DROP_SHARE];

    (void)state;
    st[0].far_ahead = true;
    for (unsigned i = 0; i < 100; i++) {
        ping(0, guest_ip(0), INSIDE, 56);
        arp(0, guest_ip(0), INSIDE);
        ping(1, guest_ip(1), INSIDE, 56);
        assert_non_null(station_packet(1));
    }
    assert_null(station_packet(0));
    assert_int_equal(nat->drops[NAT_DROP_SHARE] - drops, 200);
    st[0].far_ahead = false;
    ping(0, guest_ip(0), INSIDE, 56);
    assert_non_null(station_packet(0));
}

/* A guest that is gone pays for nothing, nor do others. */
static void test_a_guest_that_went(void **state)
{
    (void)state;
    stations_forget();
    station_queue(2, gate_mac(2), 0x0800, buf, 60);
    net_port_down(&st[2].port);
    net_port_remove(&st[2].port);
    while (event_run())
        ;
    assert_int_equal(st[2].paid + st[0].paid + st[1].paid, 0);
    plug_station(2, net_find(NAT_NAME));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arp),
        cmocka_unit_test(test_ping),
        cmocka_unit_test(test_no_uplink_is_said),
        cmocka_unit_test(test_dhcp_plain),
        cmocka_unit_test(test_dhcp_broadcast),
        cmocka_unit_test(test_dhcp_renewal),
        cmocka_unit_test(test_dhcp_hostile),
        cmocka_unit_test(test_no_boot_file),
        cmocka_unit_test(test_boot_is_told),
        cmocka_unit_test(test_boot_file_is_read),
        cmocka_unit_test(test_tftp_hostile),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_reverse_names),
        cmocka_unit_test(test_bad_queries),
        cmocka_unit_test(test_fixed_addresses),
        cmocka_unit_test(test_who_pays),
        cmocka_unit_test(test_a_flood),
        cmocka_unit_test(test_a_guest_that_went),
    };

    nat_begin(false, false);
    return cmocka_run_group_tests_name("nat_inside", tests, NULL, NULL);
}
