/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-net: frames between two devices on one switch. */
#include "net_driver.h"

static void test_config(void **state)
{
    (void)state;
    drv_find(&dev, SLOT_A);
    assert_int_equal(cfg_rd(SLOT_A, 2, 2), 0x1041);
    assert_int_equal(mem_rd(dev.config, 4), 0x00000002);
    assert_int_equal(mem_rd(dev.config + 4, 2), 0x0100);
    assert_int_equal(mem_rd(dev.config + 6, 2), 1); /* the link is up */
    assert_int_equal(mem_rd(dev.config + 8, 2), 2);
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

#define T(f) cmocka_unit_test_setup_teardown(f, net_up, down)

int main(void)
{
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
