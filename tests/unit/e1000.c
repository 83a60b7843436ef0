/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver of Intel's gigabit NICs, and what NICs have in common, over a controller of our own,
 * which also answers wrongly, late, never.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "e1000_model.h"

#include "nic_user.h"

extern const struct pci_driver e1000_driver;
enum { K82540 = 0x100e, K82574 = 0x10d3, K82576 = 0x10c9 };

static int setup(void **state)
{
    (void)state;
    if (!nic)
        host_init(1, 128 * MIB);
    memset(frames, 0, sizeof frames);
    forget_all();
    model_new();
    return 0;
}

/* The last test's NIC is left alone: its model is another's now. */
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

static void boot(uint16_t device, bool irq)
{
    model_dev.vendor = 0x8086;
    model_dev.device = device;
    m.has_irq = irq;
    m.msix = irq && device != K82540;
    assert_int_equal(e1000_driver.probe(&model_dev), 0);
    nic = newest();
}

static void begin(uint16_t device, bool irq)
{
    boot(device, irq);
    assert_int_equal(open_nic(1500, true), 0);
    run(20);
    assert_true(nic->up);
}

static void finds_it(void **state)
{
    char mac[NET_MAC_TEXT];

    (void)state;
    boot(K82574, true);
    assert_int_equal(m.resets, 1);
    assert_int_equal(m_get(0x100) & 2, 0); /* what the firmware left is stopped */
    assert_false(m.master);
    assert_string_equal(net_mac_text(nic->mac, mac), "52:54:00:12:34:56");
    assert_string_equal(nic->driver, "e1000e");
    assert_string_equal(nic->at, "0000:00:03.0");
    assert_true(nic->irq);
    assert_int_equal(m.dma_while_no_master, 0);
}

static void refuses(void **state)
{
    const struct nic *before = newest();

    (void)state;
    model_dev.vendor = 0x8086;
    model_dev.device = 0x1234;
    assert_int_equal(e1000_driver.probe(&model_dev), -ENODEV);
    model_dev.device = K82574;
    m.never_resets = true;
    assert_int_equal(e1000_driver.probe(&model_dev), -EIO);
    setup(NULL);
    m.gone = true;
    assert_int_equal(e1000_driver.probe(&model_dev), -EIO);
    assert_ptr_equal(newest(), before);
    assert_false(m.master);
    /* an address that is none: one is made */
    setup(NULL);
    m_set(0x5400, UINT32_MAX);
    boot(K82574, false);
    assert_true(net_mac_is_station(nic->mac));
}

static void both_ways(uint16_t device, bool irq)
{
    begin(device, irq);
    for (unsigned n = 1; n <= NIC_SEGS; n++) {
        assert_int_equal(send(n, 600 + n, n), 0);
        run(3);
        assert_int_equal(m.last_len, 600 + n);
        assert_memory_equal(m.last, frames[n].data, 600 + n);
    }
    for (unsigned i = 0; i < 500; i++) { /* round the rings */
        assert_int_equal(send(i % FRAMES, 60 + i, 1 + i % NIC_SEGS), 0);
        assert_true(model_receive(60 + i, 0, 1));
        run(irq ? 1 : 3);
    }
    run(3);
    assert_int_equal(back, 503);
    assert_int_equal(got_ended[0], 503);
    assert_int_equal(got, 500);
    assert_int_equal(got_wrong, 0);
    assert_int_equal(nic->stats.sent, 503);
    assert_int_equal(nic->stats.received, 500);
    assert_int_equal(nic->speed, 1000);
    assert_int_equal(links, 1);
    assert_true(!irq || m.irqs);
    assert_int_equal(m.dma_while_no_master, 0);
    assert_int_equal(nic->stats.bad + nic->stats.strays + nic->stats.resets, 0);
}

static void both_ways_82540(void **state)
{
    (void)state;
    both_ways(K82540, false);
}

static void both_ways_82574(void **state)
{
    (void)state;
    both_ways(K82574, true);
}

static void both_ways_82576(void **state)
{
    (void)state;
    both_ways(K82576, true);
}

/* What is set up for interrupts, receiving and large frames. */
static void modes(void **state)
{
    (void)state;
    boot(K82576, true);
    assert_int_equal(open_nic(9001, true), -EINVAL);
    assert_int_equal(open_nic(9000, false), 0);
    assert_int_equal(open_nic(1500, false), -EBUSY);
    run(20);
    assert_int_equal(m_get(0x100) & (1 << 5 | 1 << 3), 1 << 5); /* long, not promiscuous */
    assert_int_equal(m_get(0x280c) & 127, 16);
    assert_int_equal(send(0, 9018, 2), 0);
    assert_true(model_receive(9018, 0, 1));
    run(5);
    assert_int_equal(m.last_len, 9018);
    assert_int_equal(got_bytes, 9018);
    assert_false(m.irqs == 0);
}

static void wrong_frames(void **state)
{
    (void)state;
    boot(K82574, true);
    assert_int_equal(send(0, 100, 1), -EINVAL); /* not started: it has no limit yet */
    assert_int_equal(open_nic(1500, true), 0);
    assert_int_equal(send(0, 100, 1), -ENETDOWN);
    run(20);
    assert_int_equal(send(0, 59, 1), -EINVAL);
    assert_int_equal(send(0, 1519, 1), -EINVAL);
    assert_int_equal(send(0, 100, NIC_SEGS + 1), -EINVAL);
    frames[0].f.len = 101;
    assert_int_equal(nic->ops->send(nic, &frames[0].f), -EINVAL);
    frames[0].f.nseg = 0;
    assert_int_equal(nic->ops->send(nic, &frames[0].f), -EINVAL);
    model_link(false);
    run(1100);
    assert_false(nic->up);
    assert_int_equal(send(0, 100, 1), -ENETDOWN);
    model_link(true);
    run(1100);
    assert_int_equal(links, 3);
    assert_int_equal(nic->stats.flaps, 1);
    assert_int_equal(send(0, 100, 1), 0);
}

static void full(void **state)
{
    unsigned taken = 0;

    (void)state;
    begin(K82574, true);
    m.keep = UINT32_MAX;
    while (send(taken, 100, 3) == 0)
        taken++;
    assert_int_equal(taken, NETDEV_TX);
    assert_int_equal(send(taken, 100, 1), -ENOBUFS);
    assert_int_equal(nic->stats.refused, 2);
    run(100);
    assert_int_equal(back, 0);
    m.keep = 0;
    run(8000); /* late: it is reset, and all come back, lost */
    assert_int_equal(m.resets, 2);
    assert_int_equal(back, NETDEV_TX);
    assert_int_equal(got_ended[1], NETDEV_TX);
    assert_int_equal(nic->stats.lost, NETDEV_TX);
    assert_int_equal(nic->stats.resets, 1);
    assert_int_equal(send(0, 100, 1), 0);
    assert_true(model_receive(100, 0, 1));
    run(3);
    assert_int_equal(back, NETDEV_TX + 1);
    assert_int_equal(got, 1);
}

static void bad_frames(void **state)
{
    (void)state;
    begin(K82540, false);
    assert_true(model_receive(100, 1, 1));   /* a wrong checksum */
    assert_true(model_receive(13, 0, 1));    /* shorter than a header */
    assert_true(model_receive(1519, 0, 1));  /* longer than any may be */
    assert_true(model_receive(65535, 0, 1)); /* than its buffer */
    assert_true(model_receive(1000, 0, 3));  /* in three buffers */
    assert_true(model_receive(100, 0, 1));
    run(10);
    assert_int_equal(nic->stats.bad, 7);
    assert_int_equal(got, 1);
    assert_int_equal(got_wrong, 0);
    for (unsigned i = 0; i < 300; i++) { /* the buffers are all still there */
        assert_true(model_receive(100, i & 1, 1));
        run(3);
    }
    assert_int_equal(got, 151);
}

/* More than one run of the event receives. */
static void flood(void **state)
{
    unsigned sent = 0;

    (void)state;
    begin(K82574, true);
    while (model_receive(64, 0, 1))
        sent++;
    assert_int_equal(sent, NETDEV_RX);
    (void)event_run();
    assert_in_range(got, 1, NETDEV_RX - 1); /* others have their turn in between */
    run(2);
    assert_int_equal(got, NETDEV_RX);
}

static void stopping(void **state)
{
    (void)state;
    begin(K82574, true);
    m.keep = 3;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(send(i, 100, 1), 0);
    run(2);
    nic_stop(nic);
    assert_int_equal(send(4, 100, 1), -ENETDOWN);
    run(50);
    assert_int_equal(stops, 1);
    assert_int_equal(got_ended[2], 3);
    assert_null(nic->user);
    assert_false(model_receive(100, 0, 1));
    forget_all();
    assert_int_equal(open_nic(1500, true), 0); /* and again */
    run(20);
    assert_int_equal(send(0, 100, 1), 0);
    run(3);
    assert_int_equal(got_ended[0], 1);
    assert_int_equal(nic->stats.resets, 0);
}

static void it_never_sends(void **state)
{
    (void)state;
    begin(K82574, true);
    m.keep = UINT32_MAX;
    for (unsigned i = 0; i < 10 && !nic->dead; i++) {
        (void)send(i, 100, 1);
        run(8000);
    }
    assert_true(nic->dead);
    assert_false(m.master);
    assert_int_equal(nic->stats.resets, 4);
    assert_int_equal(outstanding(), 0);
    assert_int_equal(send(0, 100, 1), -ENETDOWN);
    nic_stop(nic);
    run(10);
    assert_int_equal(stops, 1);
    assert_int_equal(open_nic(1500, true), -EIO);
}

static void it_never_stops(void **state)
{
    (void)state;
    begin(K82574, true);
    m.keep = 1;
    assert_int_equal(send(0, 100, 1), 0);
    m.never_resets = true;
    nic_stop(nic);
    run(500);
    assert_int_equal(back, 0); /* it may still read it */
    run(1000);
    assert_true(nic->dead);
    assert_false(m.master);
    assert_int_equal(got_ended[2], 1);
    assert_int_equal(stops, 1);
}

static void it_is_gone(void **state)
{
    (void)state;
    begin(K82574, true);
    m.keep = 1;
    assert_int_equal(send(0, 100, 1), 0);
    run(2);
    m.gone = true;
    run(1000);
    assert_true(nic->dead);
    assert_int_equal(got_ended[1], 1);
    assert_int_equal(links, 2);
    assert_false(nic->up);
}

static void the_machines_end(void **state)
{
    (void)state;
    begin(K82574, true);
    e1000_driver.shutdown();
    model_run();
    assert_false(m.master);
    assert_int_equal(m_get(0x100) & 2, 0);
    assert_int_equal(m.resets, 2);
    run(1000);
    assert_int_equal(m_get(0x100) & 2, 0);
    nic = NULL;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(finds_it),        TEST(refuses),    TEST(both_ways_82540),  TEST(both_ways_82574),
        TEST(both_ways_82576), TEST(modes),      TEST(wrong_frames),     TEST(full),
        TEST(bad_frames),      TEST(flood),      TEST(stopping),         TEST(it_never_sends),
        TEST(it_never_stops),  TEST(it_is_gone), TEST(the_machines_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
