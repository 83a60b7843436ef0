/* SPDX-License-Identifier: BSD-2-Clause */
/* The driver of the host's virtio-net devices, over a device of our own, which also misbehaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "vnet_model.h"

#include "nic_user.h"

extern const struct pci_driver virtio_net_driver;

static int setup(void **state)
{
    static bool begun;

    (void)state;
    if (!begun)
        host_init(1, 128 * MIB);
    begun = true;
    memset(frames, 0, sizeof frames);
    forget_all();
    model_new();
    model_dev.vendor = 0x1af4;
    model_dev.device = 0x1041;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (nic && nic->user) {
        m.never_resets = m.gone = false;
        nic_stop(nic);
        run(100);
    }
    return 0;
}

static void boot(bool irq)
{
    m.has_irq = irq;
    assert_int_equal(virtio_net_driver.probe(&model_dev), 0);
    nic = newest();
}

static void begin(bool irq)
{
    boot(irq);
    assert_int_equal(open_nic(1500, true), 0);
    run(20);
    assert_true(nic->up);
}

static void finds_it(void **state)
{
    char mac[NET_MAC_TEXT];

    (void)state;
    boot(true);
    assert_in_range(m.resets, 1, 2);
    assert_int_equal(m.status, 0);
    assert_false(m.master);
    assert_string_equal(net_mac_text(nic->mac, mac), "52:54:00:12:34:57");
    assert_int_equal(nic->mtu_max, 9000);
    assert_int_equal(open_nic(1500, true), 0);
    run(20);
    assert_int_equal(m.status, 15);
    assert_int_equal(m.promisc, 1);
    assert_int_equal(nic->speed, 2500);
    assert_int_equal(m.agreed & 1 << 15, 0); /* buffers hold whole frames */
    assert_int_equal(m.q[0].vector, 0);
    assert_int_equal(m.q[2].vector, 0xffff);
}

static void refuse(int err)
{
    const struct nic *before = newest();

    assert_int_equal(virtio_net_driver.probe(&model_dev), err);
    assert_ptr_equal(newest(), before);
    assert_false(m.master);
    setup(NULL);
}

static void refuses(void **state)
{
    (void)state;
    model_dev.device = 0x1042; /* a disk */
    refuse(-ENODEV);
    m.pci[0x40] = 0; /* no place for notifications */
    refuse(-ENOTSUP);
    m.pci[0x40 + 0x20 * 2 + 12] = 55; /* common configuration too short */
    refuse(-ENOTSUP);
    m.pci[0x40 + 0x20 * 1 + 4] = 0; /* in a BAR that there is not */
    refuse(-ENOTSUP);
    m.offered &= ~(1ull << 32); /* not modern */
    refuse(-ENOTSUP);
    m.config[0] = 1; /* its address is a group's */
    refuse(-ENOTSUP);
    m.config[10] = 100; /* MTU */
    m.config[11] = 0;
    refuse(-ENOTSUP);
    m.never_resets = true;
    refuse(-EIO);
    m.gone = true;
    refuse(-EIO);
}

static void both_ways(bool irq)
{
    begin(irq);
    for (unsigned i = 0; i < 600; i++) { /* round the rings */
        unsigned nseg = 1 + i % NIC_SEGS, len = 60 + i;

        assert_int_equal(send(i % FRAMES, len, nseg), 0);
        assert_true(model_receive(len, 0));
        run(irq ? 1 : 3);
        assert_int_equal(m.last_len, len);
        assert_memory_equal(m.last, frames[i % FRAMES].data, len);
    }
    run(3);
    assert_int_equal(got_ended[0], 600);
    assert_int_equal(got, 600);
    assert_int_equal(got_wrong, 0);
    assert_int_equal(nic->stats.received, 600);
    assert_int_equal(m.dma_while_no_master, 0);
    assert_int_equal(nic->stats.bad + nic->stats.strays + nic->stats.resets, 0);
}

static void both_ways_by_message(void **state)
{
    (void)state;
    both_ways(true);
}

static void both_ways_polled(void **state)
{
    (void)state;
    both_ways(false);
    assert_int_equal(m.q[0].vector, 0xffff);
}

static void small_queues(void **state)
{
    (void)state;
    m.offered &= ~(1ull << 17 | 1ull << 16 | 1ull << 63);
    m.q[0].size = 2;
    boot(true);
    m.q[0].size = 2; /* a reset of the model's gives it back its own */
    (void)open_nic(1500, false);
    run(5);
    assert_int_equal(m.promisc, 0);
    assert_true(nic->up); /* it cannot tell: it is */
}

static void twice_and_wrong(void **state)
{
    struct model_queue *q = &m.q[1];

    (void)state;
    begin(true);
    m.twice = 30;
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(send(i, 100, 1), 0);
        run(1);
    }
    assert_int_equal(back, 50);
    assert_int_equal(nic->stats.strays, 30);
    m_answer(q, 2, 0);           /* in the middle of a slot */
    m_answer(q, 1 << 20, 0);     /* beyond them */
    m_answer(&m.q[0], 4000, 60); /* a buffer that there is not */
    run(2);
    assert_int_equal(nic->stats.strays, 33);
    assert_int_equal(got, 0);
    assert_int_equal(nic->stats.resets, 0);
}

static void lengths(void **state)
{
    static const uint32_t said[] = { 1, 11, 12, 25, 12 + 1519, 2048, 2049, UINT32_MAX, 1u << 31 };

    (void)state;
    begin(true);
    for (unsigned i = 0; i < ARRAY_SIZE(said); i++) {
        assert_true(model_receive(100, said[i]));
        run(1);
    }
    assert_int_equal(nic->stats.bad, ARRAY_SIZE(said));
    assert_int_equal(got, 0);
    assert_true(model_receive(1518, 0));
    run(1);
    assert_int_equal(got, 1);
}

/* An index that cannot be: it is reset, and works again. */
static void a_ring_that_cannot_be(void **state)
{
    (void)state;
    begin(true);
    m.keep = 2;
    assert_int_equal(send(0, 100, 1), 0);
    assert_int_equal(send(1, 100, 1), 0);
    run(2);
    *(uint16_t *)(void *)(m_used(&m.q[1]) + 2) += 5000;
    run(1100);
    assert_int_equal(nic->stats.resets, 1);
    assert_int_equal(got_ended[1], 2);
    assert_int_equal(send(0, 100, 1), 0);
    run(2);
    assert_int_equal(got_ended[0], 1);
    m.status |= 64; /* it asks for a reset */
    run(1100);
    assert_int_equal(nic->stats.resets, 2);
    assert_int_equal(m.status, 15);
}

static void it_refuses_to_start(void **state)
{
    (void)state;
    boot(true);
    m.no_features = true;
    assert_int_equal(open_nic(1500, true), 0);
    run(1000);
    assert_true(nic->dead);
    assert_false(m.master);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(finds_it),
        TEST(refuses),
        TEST(both_ways_by_message),
        TEST(both_ways_polled),
        TEST(small_queues),
        TEST(twice_and_wrong),
        TEST(lengths),
        TEST(it_refuses_to_start),
        TEST(a_ring_that_cannot_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
