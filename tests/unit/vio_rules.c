/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a queue was checked under is what it works under, whatever a guest writes afterwards; and
 * how a device ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "vio_driver.h"

#define V1 F(32)
#define PACKED F(34)
#define EVENT F(29)
#define INDIRECT F(28)
enum { RING = 0x10000, BUF = 0x30000, SLOT_SLOW = 4 };
static struct drv dev;
static struct drvq q;

/* ---- a device whose reset takes as long as the test wants ---- */

static struct virtio_dev slow;
static unsigned kicks, woken;
static bool late_post, async;

static int slow_activate(struct virtio_dev *d)
{
    (void)d;
    return 0;
}

/*
 * A completion that ends during the reset posts the device's event, as virtio_kick() in a race
 * does.
 */
static int slow_reset(struct virtio_dev *d)
{
    if (late_post)
        event_post(&d->event);
    return async ? -EINPROGRESS : 0;
}

static void slow_kick(struct virtio_dev *d, unsigned i)
{
    static struct vq_chain c;

    kicks++;
    while (vq_pop(&d->vq[i], &c) > 0)
        vq_push(&d->vq[i], &c,
                c.nin ? (uint32_t)iov_write(c.iov + c.nout, c.nin, 0, "wxyz", 4) : 0);
    vq_notify(&d->vq[i]);
}

static void slow_config(struct virtio_dev *d, struct io_access *a)
{
    (void)d;
    a->val = 0;
}

static void slow_free(struct virtio_dev *d) { d->ops = NULL; }

static const struct virtio_ops slow_ops = {
    .name = "slow",
    .id = 4,
    .activate = slow_activate,
    .reset = slow_reset,
    .kick = slow_kick,
    .config = slow_config,
    .free = slow_free,
};

static void lifecycle(struct event *ev)
{
    (void)ev;
    woken++;
}

static int up(void **state)
{
    (void)state;
    fake_up();
    event_init(&vm.lifecycle, lifecycle, 0);
    slow = (struct virtio_dev){
        .ops = &slow_ops, .vm = &vm, .nqueues = 2, .features = VIRTIO_FEATURES_COMMON
    };
    kicks = woken = 0;
    late_post = async = false;
    assert_int_equal(virtio_add(&slow), 0);
    drv_find(&dev, SLOT_SLOW);
    return 0;
}

static int down(void **state)
{
    (void)state;
    if (slow.ops) {
        async = false;
        assert_int_equal(virtio_quiesce(&slow), 0);
        virtio_remove(&slow);
    }
    fake_down();
    return 0;
}

static void set_features(uint64_t f)
{
    for (unsigned i = 0; i < 2; i++) {
        cw(&dev, C_GFSEL, 4, i);
        cw(&dev, C_GF, 4, f >> (32 * i) & UINT32_MAX);
    }
}

static uint64_t features(void)
{
    uint64_t f = 0;

    for (unsigned i = 0; i < 2; i++) {
        cw(&dev, C_GFSEL, 4, i);
        f |= cr(&dev, C_GF, 4) << (32 * i);
    }
    return f;
}

static void start(uint64_t f, unsigned size, uint64_t driver, uint64_t device)
{
    memset(half[0] + RING, 0, 0x3000);
    assert_true(drv_features(&dev, f));
    drv_queue_at(&dev, &q, 0, size, RING, driver, device);
    assert_int_equal(cr(&dev, C_QEN, 2), 1);
    drv_ok(&dev);
    assert_int_equal(cr(&dev, C_STATUS, 1), 15);
}

static void one_buffer(void)
{
    drvq_add(&q, &(struct buf){ BUF, 4, true }, 1, 0);
    drvq_kick(&q);
    assert_int_equal(drvq_used(&q, 1), 4);
}

/* ---- the escape, in each form ---- */

/* A packed part of 4 bytes at the end of RAM, used as a split ring of 2 KiB. */
static void escape(unsigned part)
{
    cw(&dev, C_STATUS, 1, 0);
    cw(&dev, C_STATUS, 1, 3);
    dev.features = V1 | PACKED;
    set_features(dev.features);
    drv_queue_at(&dev, &q, 0, 256, RING, part == VQ_DRIVER ? RAM_END - 4 : RING + 0x1000,
                 part == VQ_DEVICE ? RAM_END - 4 : RING + 0x2000);
    set_features(V1);
    cw(&dev, C_STATUS, 1, 11);
    cw(&dev, C_STATUS, 1, 15);
    mem_wr(dev.notify, 2, 0);
    run_events();
}

static void test_enable_before_features_ok(void **state)
{
    (void)state;
    for (unsigned part = VQ_DRIVER; part <= VQ_DEVICE; part++) {
        logs = 0;
        slow.told_enable = false;
        escape(part);
        assert_int_equal(cr(&dev, C_QEN, 2), 0);
        assert_int_equal(kicks, 0);
        assert_int_equal(logs, 1);
        assert_non_null(strstr(last_log, "before FEATURES_OK"));
        escape(part);
        assert_int_equal(logs, 1); /* told once */
    }
    start(V1, 8, RING + 0x1000, RING + 0x2000);
    one_buffer();
}

/* Both layouts: nothing that is written after the queue was enabled has an effect on it. */
static void test_live_registers(void **state)
{
    static const uint64_t kinds[] = { V1, V1 | EVENT, V1 | PACKED, V1 | PACKED | EVENT | INDIRECT };

    (void)state;
    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        start(kinds[k], 8, RING + 0x1000, RING + 0x2000);
        logs = 0;
        slow.told_features = false;
        set_features(kinds[k] ^ (PACKED | EVENT | INDIRECT));
        assert_int_equal(features(), kinds[k]);
        assert_int_equal(logs, 1);
        assert_non_null(strstr(last_log, "too late"));
        for (unsigned off = C_QDESC; off <= C_QDEVICE; off += 8) {
            uint64_t was = cr(&dev, off, 8);

            cw(&dev, off, 8, RAM_END - 4);
            cw(&dev, off, 4, RAM_END - 4);
            cw(&dev, off + 4, 4, 1);
            assert_int_equal(cr(&dev, off, 8), was);
        }
        cw(&dev, C_QSIZE, 2, 256);
        cw(&dev, C_QEN, 2, 1);
        assert_int_equal(cr(&dev, C_QSIZE, 2), 8);
        one_buffer();
        for (unsigned i = 0; i < 20; i++)
            one_buffer();
    }
}

/*
 * The same while a reset waits: the registers stand still until it is over, and then nothing is
 * left of before.
 */
static void test_during_reset(void **state)
{
    (void)state;
    async = true;
    start(V1 | PACKED, 256, RING + 0x1000, RAM_END - 4);
    one_buffer();
    cw(&dev, C_STATUS, 1, 0);
    assert_int_equal(cr(&dev, C_STATUS, 1), 64);
    set_features(V1);
    assert_int_equal(features(), V1 | PACKED);
    cw(&dev, C_STATUS, 1, 11);
    cw(&dev, C_STATUS, 1, 15);
    cw(&dev, C_QEN, 2, 1);
    cw(&dev, C_QRESET, 2, 1);
    cw(&dev, C_QDEVICE, 8, RING);
    assert_int_equal(cr(&dev, C_STATUS, 1), 64);
    assert_int_equal(cr(&dev, C_QDEVICE, 8), RAM_END - 4);
    kicks = 0;
    mem_wr(dev.notify, 2, 0);
    run_events();
    assert_int_equal(kicks, 0);
    cw(&dev, C_STATUS, 1, 0); /* once more changes nothing */
    virtio_reset_done(&slow);
    run_events();
    assert_int_equal(woken, 1);
    assert_int_equal(cr(&dev, C_STATUS, 1), 0);
    assert_int_equal(features(), 0);
    assert_int_equal(cr(&dev, C_QEN, 2), 0);
    assert_int_equal(cr(&dev, C_QSIZE, 2), 256);
    assert_int_equal(cr(&dev, C_QDEVICE, 8), 0);
    for (unsigned part = 0; part < VQ_PARTS; part++)
        assert_int_equal(slow.vq[0].set.part[part].len, 0);
    async = false;
    start(V1, 8, RING + 0x1000, RING + 0x2000);
    one_buffer();
}

/* ---- the bounds hold even if the registers of a live queue changed ---- */

static void test_registers_are_copied(void **state)
{
    struct vq_state *s = slow.vq[0].s;

    (void)state;
    start(V1, 8, RING + 0x1000, RING + 0x2000);
    one_buffer();
    s->size = 256;
    s->desc = s->driver = s->device = RAM_END - 4;
    slow.s.driver_features = V1 | PACKED | EVENT;
    for (unsigned i = 0; i < 20; i++)
        one_buffer();
}

static void test_part_bounds(void **state)
{
    static const uint64_t kinds[] = { V1, V1 | EVENT, V1 | PACKED, V1 | PACKED | EVENT };

    (void)state;
    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++)
        for (unsigned part = 0; part < VQ_PARTS; part++) {
            uint8_t after[64];

            start(kinds[k], 8, RING + 0x1000, RING + 0x2000);
            /* as if it had been checked under other rules */
            slow.vq[0].set.part[part].len = slow.vq[0].set.part[part].mapped = 1;
            memcpy(after, half[0] + RING + 0x2000, sizeof after);
            logs = 0;
            drvq_add(&q, &(struct buf){ BUF, 4, true }, 1, 0);
            drvq_kick(&q);
            assert_int_equal(cr(&dev, C_STATUS, 1), 15 | 64);
            assert_int_equal(logs, 1);
            assert_non_null(strstr(last_log, "beyond part"));
            if (part == VQ_DEVICE)
                assert_memory_equal(half[0] + RING + 0x2000, after, sizeof after);
        }
}

/* A split used ring whose entries lie across the border of two pieces of memory. */
static void test_entry_across_pieces(void **state)
{
    (void)state;
    start(V1, 256, RING + 0x1000, HALF - 0x800);
    for (unsigned i = 0; i < 300; i++)
        one_buffer();
}

/* ---- registers out of range ---- */

static void test_out_of_range(void **state)
{
    static const uint16_t beyond[] = { 2, 7, 8, 31, 32, 0x7fff, 0xffff };

    (void)state;
    assert_true(drv_features(&dev, V1 | F(40)));
    for (unsigned i = 0; i < ARRAY_SIZE(beyond); i++) {
        cw(&dev, C_QSEL, 2, beyond[i]);
        cw(&dev, C_QSIZE, 2, 8);
        cw(&dev, C_QVEC, 2, 0);
        cw(&dev, C_QDESC, 8, RING);
        cw(&dev, C_QEN, 2, 1);
        cw(&dev, C_QRESET, 2, 1);
        assert_int_equal(cr(&dev, C_QSIZE, 2), 0);
        assert_int_equal(cr(&dev, C_QVEC, 2), 0xffff);
        assert_int_equal(cr(&dev, C_QDESC, 8), 0);
        assert_int_equal(cr(&dev, C_QEN, 2), 0);
        assert_int_equal(cr(&dev, C_QRESET, 2), 0);
        mem_wr(dev.notify + 4 * beyond[i], 2, beyond[i]);
    }
    for (uint64_t sel = 2; sel < 0x100000000; sel = 3 * sel + 1) {
        cw(&dev, C_GFSEL, 4, sel);
        cw(&dev, C_GF, 4, UINT32_MAX);
        assert_int_equal(cr(&dev, C_GF, 4), 0);
        cw(&dev, C_DFSEL, 4, sel);
        assert_int_equal(cr(&dev, C_DF, 4), 0);
    }
    assert_int_equal(features(), V1 | F(40));
    cw(&dev, C_QSEL, 2, 0);
    for (uint32_t v = 3; v < 0x10000; v = 2 * v + 1) {
        cw(&dev, C_QVEC, 2, v);
        cw(&dev, C_CFGVEC, 2, v);
        assert_int_equal(cr(&dev, C_QVEC, 2), 0xffff);
        assert_int_equal(cr(&dev, C_CFGVEC, 2), 0xffff);
    }
    run_events();
    assert_int_equal(kicks, 0);
    assert_int_equal(cr(&dev, C_STATUS, 1), 11);
}

/* ---- reset of one queue ---- */

static void test_queue_reset_forgets(void **state)
{
    (void)state;
    for (unsigned live = 0; live < 2; live++) {
        assert_true(drv_features(&dev, V1 | PACKED | F(40)));
        memset(half[0] + RING, 0, 0x3000);
        drv_queue_at(&dev, &q, 0, 8, RING, RING + 0x1000, RAM_END - 4);
        if (live)
            drv_ok(&dev);
        cw(&dev, C_QRESET, 2, 1);
        /* too early when live: it is still being reset */
        cw(&dev, C_QEN, 2, 1);
        run_events();
        cw(&dev, C_QSEL, 2, 0);
        assert_int_equal(cr(&dev, C_QRESET, 2), 0);
        if (live) {
            assert_int_equal(cr(&dev, C_QEN, 2), 0);
            assert_int_equal(slow.vq[0].set.part[VQ_DESC].len, 0);
        }
    }
}

/* ---- the order in which a device ends ---- */

static void test_quiesce(void **state)
{
    (void)state;
    async = late_post = true;
    start(V1, 8, RING + 0x1000, RING + 0x2000);
    assert_int_equal(virtio_quiesce(&slow), -EINPROGRESS);
    assert_int_equal(virtio_quiesce(&slow), -EINPROGRESS);
    assert_int_equal(woken, 0);
    event_post(&slow.event); /* a completion at the last moment */
    virtio_reset_done(&slow);
    assert_int_equal(slow.event.state, 0); /* its own event is the last to end */
    run_events();
    assert_int_equal(woken, 1);
    async = late_post = false;
    assert_int_equal(virtio_quiesce(&slow), 0);
    virtio_remove(&slow);
    assert_null(slow.ops);
}

static void test_late_completion(void **state)
{
    (void)state;
    late_post = true;
    start(V1, 8, RING + 0x1000, RING + 0x2000);
    cw(&dev, C_STATUS, 1, 0);
    assert_int_equal(cr(&dev, C_STATUS, 1), 0);
    assert_int_equal(slow.event.state, 0);
    start(V1, 8, RING + 0x1000, RING + 0x2000);
    assert_int_equal(virtio_quiesce(&slow), 0);
    assert_int_equal(slow.event.state, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, up, down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_enable_before_features_ok),
        T(test_live_registers),
        T(test_during_reset),
        T(test_registers_are_copied),
        T(test_part_bounds),
        T(test_entry_across_pieces),
        T(test_out_of_range),
        T(test_queue_reset_forgets),
        T(test_quiesce),
        T(test_late_completion),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
