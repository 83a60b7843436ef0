/* SPDX-License-Identifier: BSD-2-Clause */
/* Two network devices of the fake machine on one switch, each with its driver. */
#pragma once
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
