/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-net: two devices of the fake machine on one switch, each with its driver. */
#include <hv/guest.h>
#include <hv/net.h>
#include <hv/state.h>
#include <hv/vcpu.h>
#include "hv/vio/net_ctrl.h"
#include "vio_device.h"

enum { SLOT_A = 4, SLOT_B = 5, HDR = 12, RX = 0, TX = 1, RING = 64 };
enum { RINGS_A = 0x10000, RINGS_B = 0x18000, BUFS = 0x20000, OUT = 0x60000, BUF_STEP = 0x1000 };
enum { MRG = 15, STATUS = 16, MTU = 3, MAC = 5 };
enum { CSUM = 0, GUEST_CSUM = 1, GUEST_TSO4 = 7, HOST_TSO4 = 11 };
#define MAC_A 0x020000000001ull
#define MAC_B 0x020000000002ull

static struct station {
    struct drv d;
    struct drvq rx, tx;
    unsigned posted;
} a, b;

static int net_up(void **state)
{
    config.nnets = 2;
    config.net[0] = (struct guest_net){ .net = "lan", .mac = MAC_A };
    config.net[1] = (struct guest_net){ .net = "lan", .mac = MAC_B };
    if (!net_find("lan") && net_add("lan", NET_MTU_MAX, 1000))
        return -1;
    return up(state);
}

static void bring_up(struct station *s, unsigned slot, uint64_t rings, uint64_t features)
{
    drv_find(&s->d, slot);
    assert_true(drv_features(&s->d, features));
    drv_queue(&s->d, &s->rx, RX, RING, rings);
    drv_queue(&s->d, &s->tx, TX, RING, rings + 0x4000);
    drv_ok(&s->d);
    assert_int_equal(cr(&s->d, C_STATUS, 1), 15);
    s->posted = 0;
}

static void both_up(uint64_t features)
{
    bring_up(&a, SLOT_A, RINGS_A, V1 | features);
    bring_up(&b, SLOT_B, RINGS_B, V1 | features);
}

/* A receive buffer of `len` bytes at a page of its own; only the receiver `b` has any. */
static void post(uint32_t len)
{
    const struct buf one = { BUFS + (uint64_t)(b.posted++ % RING) * BUF_STEP, len, true };

    drvq_add(&b.rx, &one, 1, 0);
}

static uint8_t pattern(uint32_t i, uint32_t len) { return (uint8_t)(i * 13 + len * 5); }

/* From `a` to `to`: the header apart, then the frame in `pieces`. */
static void send_as(net_mac to, net_mac from, uint32_t len, unsigned pieces)
{
    static const uint8_t zero[HDR];
    uint8_t frame[NET_FRAME_MAX + 8];
    struct buf parts[1 + 4] = { { OUT, HDR, false } };
    uint32_t at = 0;

    net_mac_to(to, frame);
    net_mac_to(from, frame + 6);
    for (uint32_t i = 12; i < len; i++)
        frame[i] = pattern(i, len);
    poke(OUT, zero, HDR);
    poke(OUT + 0x100, frame, len);
    for (unsigned i = 0; i < pieces; i++) {
        uint32_t n = i + 1 == pieces ? len - at : 5;

        parts[1 + i] = (struct buf){ OUT + 0x100 + at, n, false };
        at += n;
    }
    drvq_add(&a.tx, parts, 1 + pieces, 0);
    drvq_kick(&a.tx);
    assert_true(drvq_used(&a.tx, 1 + pieces) == 0);
}

static void send(uint32_t len, unsigned pieces) { send_as(MAC_B, MAC_A, len, pieces); }

/* The next frame that `b` has, of buffers of `size` bytes from page `page` on; the buffers used. */
static unsigned received(unsigned page, uint32_t size, uint32_t len)
{
    uint32_t left = len, at = 0;
    unsigned n = g16(BUFS + page % RING * BUF_STEP + 10), used = 0;

    for (; left; used++) {
        uint64_t base = BUFS + (uint64_t)((page + used) % RING) * BUF_STEP;
        uint32_t skip = used ? 0 : HDR, part = (uint32_t)min_u64(left, size - skip);

        assert_int_equal(drvq_used(&b.rx, 1), skip + part);
        for (uint32_t i = 0; i < part; i++, at++) {
            uint8_t v;

            (void)peek(base + skip + i, &v, 1);
            if (at >= 12)
                assert_int_equal(v, pattern(at, len));
        }
        left -= part;
    }
    assert_int_equal(n, used);
    return used;
}

static const struct net_counters *counters(unsigned port)
{
    return &net_find("lan")->port[port]->count;
}

static void test_config(void **state)
{
    (void)state;
    drv_find(&dev, SLOT_A);
    assert_int_equal(cfg_rd(SLOT_A, 2, 2), 0x1041);
    assert_int_equal(mem_rd(dev.config, 4), 0x00000002);
    assert_int_equal(mem_rd(dev.config + 4, 2), 0x0100);
    assert_int_equal(mem_rd(dev.config + 6, 2), 1); /* the link is up */
    assert_int_equal(mem_rd(dev.config + 8, 2), 1);
    assert_int_equal(mem_rd(dev.config + 10, 2), NET_MTU_MAX);
    cw(&dev, C_DFSEL, 4, 0);
    assert_int_equal(cr(&dev, C_DF, 4) & (F(MRG) | F(STATUS) | F(MTU) | F(MAC)),
                     F(MRG) | F(STATUS) | F(MTU) | F(MAC));
}

static void test_frames_of_all_sizes(void **state)
{
    static const uint64_t kinds[] = { 0, F(MRG), EVENT, PACKED, PACKED | EVENT | F(MRG) };

    (void)state;
    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        memset(half[0] + RINGS_A, 0, 0x10000);
        both_up(kinds[k]);
        for (uint32_t len = 14, page = 0; len <= 3000; len += len < 1600 ? 17 : 211, page++) {
            post(BUF_STEP);
            drvq_kick(&b.rx);
            send(len, 1 + len % 2);
            assert_int_equal(received(page, BUF_STEP, len), 1);
        }
    }
}

static void test_merged_buffers(void **state)
{
    static const uint64_t kinds[] = { F(MRG), F(MRG) | PACKED };
    unsigned page, used;

    (void)state;
    for (unsigned k = 0; k < 2; k++) {
        memset(half[0] + RINGS_A, 0, 0x10000);
        both_up(kinds[k]);
        page = 0;
        for (uint32_t len = 100; len <= NET_MTU_MAX; len += 445) {
            unsigned need = (unsigned)((len + HDR + 511) / 512);

            for (unsigned i = 0; i + 1 < need; i++)
                post(512);
            drvq_kick(&b.rx);
            send(len, 1);
            if (need > 1)
                assert_int_equal(drvq_used(&b.rx, 1), -1); /* all of it, or nothing */
            post(512);
            drvq_kick(&b.rx);
            used = received(page, 512, len);
            assert_int_equal(used, need);
            page += used;
        }
    }
}

/* Without merging, a frame that its buffer cannot hold is dropped, and the buffer stays. */
static void test_a_small_buffer(void **state)
{
    (void)state;
    both_up(0);
    post(512);
    drvq_kick(&b.rx);
    send(600, 1);
    assert_int_equal(drvq_used(&b.rx, 1), -1);
    assert_int_equal(counters(1)->dropped, 1);
    send(500, 1);
    assert_int_equal(received(0, 512, 500), 1);
}

/* The sender never waits for it, and what comes later is what is lost. */
static void test_a_receiver_without_buffers(void **state)
{
    unsigned waits = 0;

    (void)state;
    both_up(0);
    for (unsigned i = 0; i < 1000; i++)
        send(1000, 1);
    assert_int_equal(counters(0)->sent, 1000);
    waits = 1000 - (unsigned)counters(1)->dropped;
    assert_in_range(waits, 230, 260); /* half of 512 KiB */
    for (unsigned i = 0; i < waits; i++) {
        post(BUF_STEP);
        drvq_kick(&b.rx);
        assert_int_equal(received(i, BUF_STEP, 1000), 1);
    }
    post(BUF_STEP);
    drvq_kick(&b.rx);
    assert_int_equal(drvq_used(&b.rx, 1), -1);
}

static void test_bad_frames(void **state)
{
    const uint8_t gso[HDR] = { 0, 1 }, sum[HDR] = { 1 };
    struct buf whole = { OUT, HDR + 60, false };

    (void)state;
    both_up(0);
    post(BUF_STEP);
    send_as(MAC_B, MAC_B, 60, 1);
    assert_int_equal(counters(0)->spoofed, 1);
    send(NET_FRAME_MAX + 1, 1);
    assert_int_equal(counters(0)->bad, 1);
    poke(OUT, gso, HDR);
    drvq_add(&a.tx, &whole, 1, 0);
    drvq_kick(&a.tx);
    poke(OUT, sum, HDR);
    drvq_add(&a.tx, &whole, 1, 0);
    drvq_kick(&a.tx);
    whole.len = HDR + 13; /* not even a header */
    poke(OUT, (const uint8_t[HDR]){ 0 }, HDR);
    drvq_add(&a.tx, &whole, 1, 0);
    drvq_kick(&a.tx);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(drvq_used(&a.tx, 1), 0);
    assert_int_equal(counters(0)->bad, 4);
    assert_int_equal(drvq_used(&b.rx, 1), -1);
    assert_int_equal(cr(&a.d, C_STATUS, 1), 15);
}

/* ---- what the driver leaves to others ---- */

/* An IPv4 header, TCP's, and `bytes` of payload; all of the frame behind virtio's header. */
static void send_tcp(uint32_t bytes, uint16_t mss)
{
    uint8_t f[HDR + 54] = {
        NET_NEEDS_CSUM, mss ? NET_GSO_TCP4 : 0, 99, 0, mss & 0xff, mss >> 8, 34, 0, 16, 0
    };
    const struct buf parts[2] = { { OUT, sizeof f, false }, { OUT + 0x100, bytes, false } };

    net_mac_to(MAC_B, f + HDR);
    net_mac_to(MAC_A, f + HDR + 6);
    f[HDR + 12] = 8;
    f[HDR + 14] = 0x45;
    f[HDR + 14 + 9] = 6;
    f[HDR + 34 + 12] = 0x50;
    poke(OUT, f, sizeof f);
    drvq_add(&a.tx, parts, 2, 0);
    drvq_kick(&a.tx);
    assert_int_equal(drvq_used(&a.tx, 2), 0);
}

static void starts_with(unsigned page, const uint8_t *want)
{
    uint8_t got[HDR];

    (void)peek(BUFS + page * BUF_STEP, got, HDR);
    assert_memory_equal(got, want, HDR);
}

static void two_up(uint64_t of_a, uint64_t of_b)
{
    memset(half[0] + RINGS_A, 0, 0x10000);
    bring_up(&a, SLOT_A, RINGS_A, V1 | of_a);
    bring_up(&b, SLOT_B, RINGS_B, V1 | F(MRG) | of_b);
    for (unsigned i = 0; i < 3; i++)
        post(BUF_STEP);
    drvq_kick(&b.rx);
}

/* Whole where both negotiated it: the header says what is left. Cut, or summed, for others. */
static void test_offloads(void **state)
{
    const uint8_t whole[HDR] = { 1, 1, 54, 0, 0xe8, 3, 34, 0, 16, 0, 2, 0 };
    const uint8_t summed[HDR] = { [10] = 1 }, partial[HDR] = { 1, [6] = 34, [8] = 16, [10] = 1 };

    (void)state;
    two_up(F(CSUM) | F(HOST_TSO4), F(GUEST_CSUM) | F(GUEST_TSO4));
    send_tcp(5000, 1000);
    assert_int_equal(drvq_used(&b.rx, 1), BUF_STEP);
    assert_int_equal(drvq_used(&b.rx, 1), 5000 + 54 + HDR - BUF_STEP);
    starts_with(0, whole);
    assert_int_equal(counters(1)->whole, 1);
    two_up(F(CSUM) | F(HOST_TSO4), F(GUEST_CSUM));
    send_tcp(2500, 1000);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(drvq_used(&b.rx, 1), (i < 2 ? 1000 : 500) + 54 + HDR);
        starts_with(i, summed);
    }
    two_up(F(CSUM), F(GUEST_CSUM));
    send_tcp(100, 0);
    assert_int_equal(drvq_used(&b.rx, 1), 100 + 54 + HDR);
    starts_with(0, partial);
    two_up(F(CSUM), F(GUEST_TSO4)); /* which means nothing alone */
    send_tcp(100, 0);
    assert_int_equal(drvq_used(&b.rx, 1), 100 + 54 + HDR);
    starts_with(0, summed);
}

/* What was not negotiated is refused. */
static void test_offloads_that_were_not_offered(void **state)
{
    (void)state;
    two_up(0, F(GUEST_CSUM) | F(GUEST_TSO4));
    send_tcp(100, 0);
    two_up(F(CSUM), F(GUEST_CSUM) | F(GUEST_TSO4));
    send_tcp(3000, 1000);
    two_up(F(HOST_TSO4), F(GUEST_CSUM) | F(GUEST_TSO4));
    send_tcp(3000, 1000);
    assert_int_equal(counters(0)->bad, 3);
    assert_int_equal(drvq_used(&b.rx, 1), -1);
}

static void test_broken_receive_buffers(void **state)
{
    const struct buf readable = { BUFS, 100, false }, tiny = { BUFS, HDR, true };

    (void)state;
    both_up(0);
    drvq_add(&b.rx, &readable, 1, 0);
    send(60, 1);
    assert_int_equal(cr(&b.d, C_STATUS, 1), 15 | 64);
    send(60, 1); /* to a broken device: dropped */
    assert_int_equal(counters(1)->dropped, 1);
    memset(half[0] + RINGS_B, 0, 0x8000);
    bring_up(&b, SLOT_B, RINGS_B, V1);
    drvq_add(&b.rx, &tiny, 1, 0);
    drvq_kick(&b.rx);
    send(60, 1);
    assert_int_equal(cr(&b.d, C_STATUS, 1), 15 | 64);
}

/* Nothing of before a reset comes after it. */
static void test_reset(void **state)
{
    (void)state;
    both_up(0);
    send(60, 1);
    cw(&b.d, C_STATUS, 1, 0);
    run_events();
    assert_int_equal(cr(&b.d, C_STATUS, 1), 0);
    send(61, 1); /* it is down: nothing happens */
    memset(half[0] + RINGS_B, 0, 0x8000);
    bring_up(&b, SLOT_B, RINGS_B, V1);
    post(BUF_STEP);
    drvq_kick(&b.rx);
    assert_int_equal(drvq_used(&b.rx, 1), -1);
    send(62, 1);
    assert_int_equal(received(0, BUF_STEP, 62), 1);
}

/* A frame that all of the ring's buffers together cannot hold is dropped, and they stay. */
static void test_a_ring_that_is_too_small(void **state)
{
    (void)state;
    both_up(F(MRG));
    for (unsigned i = 0; i < RING; i++)
        post(16);
    drvq_kick(&b.rx);
    send(RING * 16 - HDR + 1, 1);
    assert_int_equal(drvq_used(&b.rx, 1), -1);
    assert_int_equal(counters(1)->dropped, 1);
    send(RING * 16 - HDR, 1);
    assert_int_equal(received(0, 16, RING * 16 - HDR), RING);
}

/* Buffers of single bytes, so many that a run's budget does not suffice: the frame is dropped. */
static void test_costly_buffers(void **state)
{
    struct buf part[256];

    (void)state;
    both_up(F(MRG) | INDIRECT);
    for (unsigned n = 0; n < 40; n++) {
        for (unsigned i = 0; i < 256; i++)
            part[i] = (struct buf){ BUFS + n * 256 + i, 1, true };
        drvq_add(&b.rx, part, 256, 0x30000 + n * 0x1000);
    }
    send(NET_MTU_MAX, 1);
    assert_int_equal(counters(1)->dropped, 1);
    assert_int_equal(drvq_used(&b.rx, 1), -1);
    send(100, 1); /* the next one fits */
    assert_int_equal(drvq_used(&b.rx, 1), 100 + HDR);
}

/* What waits is paid for by the receiver, and does not keep it from anything. */
static void test_while_others_want_the_cpu(void **state)
{
    (void)state;
    both_up(0);
    post(BUF_STEP);
    drvq_kick(&b.rx);
    waiting = 1;
    for (unsigned i = 0; i < 100; i++)
        host_now += 1000000;
    send(777, 1);
    run_events();
    waiting = 0;
    run_events();
    assert_int_equal(received(0, BUF_STEP, 777), 1);
}

/* What the NAT gateway does for the guest is work like its devices'. */
static void test_work_beside_it(void **state)
{
    struct net_port *p = net_port_of(net_find("lan"), MAC_A);
    uint64_t worked = vm.share.worked_ns;

    (void)state;
    host_now += 15000000;
    p->ops->pay(p, host_now - 12000000);
    assert_int_equal(vm.share.worked_ns - worked, 12000000);
    assert_false(p->ops->is_far_ahead(p));
    waiting = 1;
    assert_true(p->ops->is_far_ahead(p));
    host_now += 20000000;
    assert_false(p->ops->is_far_ahead(p));
    waiting = 0;
}

/* ---- the control queue ---- */

enum { CTRL = 2, COMMAND = 0x58000, ANSWER = 0x59000 };
#define CTRL_ALL (F(17) | F(18) | F(19) | F(20) | F(23))
static struct drvq ctrl;
static bool spare; /* `b` has a buffer */

static void control_up(uint64_t features)
{
    memset(half[0] + RINGS_A, 0, 0x10000);
    drv_find(&b.d, SLOT_B);
    assert_true(drv_features(&b.d, V1 | features));
    drv_queue(&b.d, &b.rx, RX, RING, RINGS_B);
    drv_queue(&b.d, &ctrl, CTRL, 8, RINGS_B + 0x6000);
    drv_ok(&b.d);
    assert_int_equal(cr(&b.d, C_STATUS, 1), 15);
    b.posted = 0;
    spare = false;
    bring_up(&a, SLOT_A, RINGS_A, V1);
}

/* The answer: 0 or 1. */
static unsigned command(uint8_t class, uint8_t cmd, const void *data, uint32_t len)
{
    const uint8_t head[2] = { class, cmd };
    const struct buf parts[] = { { COMMAND, 2, false },
                                 { COMMAND + 2, len, false },
                                 { ANSWER, 1, true } };
    uint8_t answer = 0xee;

    poke(COMMAND, head, sizeof head);
    if (len)
        poke(COMMAND + 2, data, len);
    poke(ANSWER, &answer, 1);
    if (len) {
        drvq_add(&ctrl, parts, 3, 0);
    } else {
        const struct buf short_one[] = { parts[0], parts[2] };

        drvq_add(&ctrl, short_one, 2, 0);
    }
    drvq_kick(&ctrl);
    assert_int_equal(drvq_used(&ctrl, len ? 3 : 2), 1);
    (void)peek(ANSWER, &answer, 1);
    return answer;
}

static unsigned rx_mode(uint8_t cmd, uint8_t on) { return command(0, cmd, &on, 1); }

/* Whether `b` gets a frame to that address; a buffer that is not used stays for the next. */
static bool gets(net_mac to)
{
    uint64_t at;

    if (!spare)
        post(BUF_STEP);
    at = BUFS + (uint64_t)((b.posted - 1) % RING) * BUF_STEP;
    p16(at + 10, 0);
    host_now += 2000000; /* the switch allows 1000 a second to groups */
    drvq_kick(&b.rx);
    send_as(to, MAC_A, 100, 1);
    run_events();
    spare = g16(at + 10) == 0;
    if (!spare)
        assert_int_equal(received(b.posted - 1, BUF_STEP, 100), 1);
    return !spare;
}

static void test_commands_refused(void **state)
{
    static const uint8_t data[8], other[6] = { 2, 0, 0, 0, 0, 9 };
    uint8_t own[6];

    (void)state;
    net_mac_to(MAC_B, own);
    control_up(0);
    assert_int_equal(rx_mode(0, 1), 1); /* nothing was negotiated */
    control_up(F(17));
    for (uint8_t class = 0; class < 4; class ++)
        for (uint8_t cmd = 0; cmd < 7; cmd++)
            for (uint32_t len = 0; len < 8; len++)
                assert_int_equal(command(class, cmd, data, len), 1);
    control_up(CTRL_ALL);
    assert_int_equal(rx_mode(6, 1), 1);
    assert_int_equal(command(0, 0, data, 2), 1);
    assert_int_equal(command(0, 0, data, 0), 1);
    assert_int_equal(command(1, 0, "\1\0\0\0", 4), 1);
    assert_int_equal(command(1, 0, "\377\377\377\377\0\0\0", 8), 1);
    assert_int_equal(command(1, 0, data, 7), 1);
    assert_int_equal(command(1, 1, other, 6), 1);
    assert_int_equal(command(1, 1, own, 6), 0);
    assert_int_equal(command(2, 0, "\0\20", 2), 1); /* VLAN 4096 */
    assert_int_equal(command(2, 2, data, 2), 1);
    assert_int_equal(cr(&b.d, C_STATUS, 1), 15);
}

/* What it wants, by address; a reset has it want all again. */
static void test_wants(void **state)
{
    const net_mac group = 0x01005e000001, another = 0x01005e000002;
    uint8_t table[8 + 6] = { [4] = 1 };

    (void)state;
    net_mac_to(group, table + 8);
    control_up(CTRL_ALL);
    assert_true(gets(MAC_B) && gets(NET_MAC_BROADCAST) && gets(group));
    assert_int_equal(rx_mode(0, 0), 0);
    assert_true(gets(MAC_B) && gets(NET_MAC_BROADCAST) && !gets(group));
    assert_int_equal(counters(1)->filtered, 1);
    assert_int_equal(command(1, 0, table, sizeof table), 0);
    assert_true(gets(group) && !gets(another));
    assert_int_equal(rx_mode(1, 1), 0);
    assert_true(gets(another));
    assert_int_equal(rx_mode(3, 1), 0);
    assert_true(!gets(group) && gets(MAC_B));
    assert_int_equal(rx_mode(5, 1), 0);
    assert_true(!gets(NET_MAC_BROADCAST));
    assert_int_equal(rx_mode(4, 1), 0);
    assert_true(!gets(MAC_B));
    control_up(CTRL_ALL);
    assert_true(gets(MAC_B) && gets(group));
}

/* With more addresses than it can list, all of their kind come. */
static void test_long_table(void **state)
{
    uint8_t table[8 + 6 * 40] = { [4] = 40 };

    (void)state;
    control_up(CTRL_ALL);
    for (unsigned i = 0; i < 40; i++)
        net_mac_to(0x01005e000100 + i, table + 8 + 6 * i);
    assert_int_equal(rx_mode(0, 0), 0);
    assert_int_equal(command(1, 0, table, sizeof table), 0);
    assert_true(gets(0x01005e0001ff));
    table[4] = 32;
    assert_int_equal(command(1, 0, table, 8 + 6 * 32), 0);
    assert_true(!gets(0x01005e0001ff) && gets(0x01005e00011f));
}

/* Frames of VLANs that were added, and those of none; with the feature only. */
static void test_vlans(void **state)
{
    uint8_t frame[64] = { 2, 0, 0, 0, 0, 2, [12] = 0x81, 0, 0xe0, 7 };
    struct virtio_dev d = { .s.driver_features = CTRL_ALL };
    struct net_wants w;

    (void)state;
    net_wants_reset(&w);
    assert_true(net_wants(&w, &d, frame, frame, sizeof frame));
    w.flags = 0;
    assert_true(net_wants(&w, &d, frame, frame, sizeof frame)); /* the table is empty */
    w.vlan[0] = 1u << 6;
    assert_false(net_wants(&w, &d, frame, frame, sizeof frame));
    w.vlan[0] = 1u << 7;
    assert_true(net_wants(&w, &d, frame, frame, sizeof frame));
    frame[15] = 8;
    assert_false(net_wants(&w, &d, frame, frame, sizeof frame));
    frame[12] = 8;
    assert_true(net_wants(&w, &d, frame, frame, sizeof frame));
    frame[12] = 0x81;
    d.s.driver_features = 0;
    assert_true(net_wants(&w, &d, frame, frame, sizeof frame));
    control_up(CTRL_ALL);
    assert_int_equal(command(2, 0, "\377\17", 2), 0);
    assert_int_equal(command(2, 1, "\377\17", 2), 0);
}

/* ---- saved states ---- */

static state_table net_objects = { &vio_dev_ops, &vpci_bus_ops, &vpci_dev_ops, NULL };
static const struct guest_ops net_guest = { .isa = ISA_X86_64, .state = net_objects };
static const struct vcpu_ops no_engine = { .name = "none" };
static uint8_t kept_ram[2][HALF];

/* What `b` wants and the rings of both, saved; the machine goes. Returns the length. */
static size_t net_saved(void *image, size_t room)
{
    size_t len;

    memcpy(kept_ram[0], half[0], HALF);
    memcpy(kept_ram[1], half[1], HALF);
    vm.ops = &no_engine;
    vm.guest_ops = &net_guest;
    vm.paused_ns = time_ns();
    assert_int_equal(state_quiesce(&vm), 0);
    len = state_size(&vm);
    assert_true(len <= room);
    assert_int_equal(state_save(&vm, image, len), 0);
    fake_down();
    return len;
}

/* A new machine with that memory: what state_restore() says. */
static int net_restored(const void *image, size_t len)
{
    fake_up();
    memcpy(half[0], kept_ram[0], HALF);
    memcpy(half[1], kept_ram[1], HALF);
    vm.ops = &no_engine;
    vm.guest_ops = &net_guest;
    return state_restore(&vm, image, len);
}

/* Frames go both ways again, and `b` gets what it wanted; with another address it is refused. */
static void test_saved(void **state)
{
    static _Alignas(8) uint8_t image[16384], again[16384];
    const net_mac group = 0x01005e000001, another = 0x01005e000002;
    uint8_t table[8 + 6] = { [4] = 1 };
    size_t len;

    (void)state;
    net_mac_to(group, table + 8);
    control_up(CTRL_ALL);
    assert_int_equal(rx_mode(0, 0), 0);
    assert_int_equal(command(1, 0, table, sizeof table), 0);
    assert_true(gets(group) && !gets(another));
    len = net_saved(image, sizeof image);
    assert_int_equal(net_restored(image, len), 0);
    assert_int_equal(state_save(&vm, again, len), 0);
    assert_memory_equal(image, again, len);
    state_resume(&vm);
    assert_true(gets(MAC_B) && gets(group) && !gets(another));
    fake_down();
    config.net[1].mac = MAC_B + 1;
    assert_int_equal(net_restored(image, len), -EINVAL);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, net_up, down)
    const struct CMUnitTest tests[] = {
        T(test_config),
        T(test_frames_of_all_sizes),
        T(test_merged_buffers),
        T(test_a_small_buffer),
        T(test_a_receiver_without_buffers),
        T(test_bad_frames),
        T(test_offloads),
        T(test_offloads_that_were_not_offered),
        T(test_broken_receive_buffers),
        T(test_reset),
        T(test_a_ring_that_is_too_small),
        T(test_costly_buffers),
        T(test_while_others_want_the_cpu),
        T(test_work_beside_it),
        T(test_commands_refused),
        T(test_wants),
        T(test_long_table),
        T(test_vlans),
        T(test_saved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
