/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Resets from one CPU while the device works on another: whatever the moment, nothing touches guest
 * memory afterwards, and the device works again.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <hv/state.h>
#include "vio_driver.h"

enum {
    RING = 0x10000,
    TABLE = 0x20000,
    HDR = 0x30000,
    ST = 0x31000,
    DATA = 0x40000,
    LEN = 0x40000,
    REQUESTS = 60,
    ROUNDS = 200,
    PAUSES = 40
};
static bool stop, hammered;

static void *cpu1(void *arg)
{
    host_cpu = 1;
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
        if (!event_run())
            sched_yield();
    return arg;
}

static void begin(struct drv *d, struct drvq *q, uint32_t type)
{
    memset(half[0] + RING, 0, 0x3000);
    assert_true(drv_features(d, F(32) | F(28)));
    drv_queue(d, q, 0, 64, RING);
    cw(d, C_STATUS, 1, 15);
    p32(HDR, type);
    p64(HDR + 8, 0);
    for (unsigned i = 0; i < REQUESTS; i++) {
        const struct buf b[3] = { { HDR, 16, false }, { DATA, LEN, true }, { ST + i, 1, true } };

        drvq_add(q, b, 3, TABLE + 64 * i);
    }
    mem_wr(d->notify, 2, 0);
}

static void test_reset(void **state)
{
    static uint8_t fives[LEN];
    struct drv d;
    struct drvq q;
    pthread_t t;
    unsigned before = 0, within = 0;

    (void)state;
    memset(fives, 0x55, LEN);
    fake_cpus = 3;
    fake_up();
    drv_find(&d, SLOT_BLK);
    /* the device's CPU is where the driver first says DRIVER_OK */
    host_cpu = 1;
    begin(&d, &q, 0);
    cw(&d, C_STATUS, 1, 0);
    host_cpu = 0;
    assert_int_equal(pthread_create(&t, NULL, cpu1, NULL), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        begin(&d, &q, 0);
        for (unsigned i = 0; i < 1000000 && g16(q.device + 2) < round % REQUESTS; i++)
            ;
        for (volatile unsigned i = 0; i < round * 997 % 20000; i++)
            ;
        cw(&d, C_STATUS, 1, 0);
        assert_int_equal(cr(&d, C_STATUS, 1), 0);
        *(g16(q.device + 2) ? &within : &before) += g16(q.device + 2) < REQUESTS;
        memset(half[0] + DATA, 0x55, LEN);
        p16(q.device + 2, 0x5555);
        for (unsigned i = 0; i < 20; i++)
            sched_yield();
        assert_memory_equal(half[0] + DATA, fives, LEN);
        assert_int_equal(g16(q.device + 2), 0x5555);
    }
    begin(&d, &q, 0);
    while (g16(q.device + 2) != REQUESTS)
        sched_yield();
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    pthread_join(t, NULL);
    print_message("%u resets before the first request was through, %u before the last\n", before,
                  within);
    fake_down();
}

static void nothing(struct event *ev) { (void)ev; }

static void stand_still(void)
{
    uint32_t n = vio_dev_ops.count(&vm);

    for (uint32_t i = 0; i < n; i++)
        while (vio_dev_ops.quiesce(&vm, i))
            sched_yield();
}

static void move_again(void)
{
    uint32_t n = vio_dev_ops.count(&vm);

    for (uint32_t i = 0; i < n; i++)
        vio_dev_ops.resume(&vm, i);
}

static unsigned messages(void)
{
    unsigned n;

    pthread_mutex_lock(&fake_lock);
    n = msis + lines_high;
    pthread_mutex_unlock(&fake_lock);
    return n;
}

/* A pause at any moment: nothing moves until the resume, and then each request is done once. */
static void test_pause(void **state)
{
    static uint8_t fives[LEN];
    struct drv d;
    struct drvq q;
    pthread_t t;
    unsigned within = 0;

    (void)state;
    memset(fives, 0x55, LEN);
    fake_up();
    event_init(&vm.lifecycle, nothing, 0);
    drv_find(&d, SLOT_BLK);
    __atomic_store_n(&stop, false, __ATOMIC_RELAXED);
    host_cpu = 1;
    begin(&d, &q, 0);
    cw(&d, C_STATUS, 1, 0);
    host_cpu = 0;
    assert_int_equal(pthread_create(&t, NULL, cpu1, NULL), 0);
    for (unsigned round = 0; round < PAUSES; round++) {
        unsigned used, said;

        memset(half[0] + ST, 0xee, REQUESTS);
        begin(&d, &q, 0);
        for (unsigned i = 0; i < 1000000 && g16(q.device + 2) < round * 7 % REQUESTS; i++)
            ;
        for (volatile unsigned i = 0; i < round * 997 % 20000; i++)
            ;
        stand_still();
        used = g16(q.device + 2);
        said = messages();
        within += used < REQUESTS;
        memset(half[0] + DATA, 0x55, LEN);
        for (unsigned i = 0; i < 20; i++)
            sched_yield();
        assert_memory_equal(half[0] + DATA, fives, LEN);
        assert_int_equal(g16(q.device + 2), used);
        assert_int_equal(messages(), said);
        move_again();
        while (g16(q.device + 2) != REQUESTS)
            sched_yield();
        for (unsigned i = 0; i < REQUESTS; i++)
            assert_int_equal(half[0][ST + i], 0);
        cw(&d, C_STATUS, 1, 0);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    pthread_join(t, NULL);
    print_message("%u pauses before the last request was through\n", within);
    event_kill(&vm.lifecycle);
    fake_down();
}

/*
 * Another vCPU takes the packed layout back and moves the queue, whatever the first one does with
 * the device.
 */
static void *hammer(void *arg)
{
    const struct drv *d = arg;

    host_cpu = 2;
    while (!__atomic_load_n(&hammered, __ATOMIC_RELAXED)) {
        cw(d, C_GFSEL, 4, 1);
        cw(d, C_GF, 4, 1);
        cw(d, C_QDEVICE, 8, RAM_END - 4);
        cw(d, C_QSIZE, 2, 256);
        cw(d, C_QEN, 2, 1);
    }
    return arg;
}

/* What a packed ring may have at the end of RAM is too short for a split one. */
static void begin_packed(struct drv *d, struct drvq *q, unsigned pause)
{
    cw(d, C_STATUS, 1, 0);
    cw(d, C_STATUS, 1, 3);
    cw(d, C_GFSEL, 4, 0);
    cw(d, C_GF, 4, F(28));
    cw(d, C_GFSEL, 4, 1);
    cw(d, C_GF, 4, 5);
    cw(d, C_STATUS, 1, 11);
    for (volatile unsigned i = 0; i < pause; i++)
        ; /* the other one may enable the queue first, and break the device */
    memset(half[0] + RING, 0, 0x3000);
    d->features = F(34);
    drv_queue_at(d, q, 0, 256, RING, RING + 0x1000, RAM_END - 4);
    cw(d, C_STATUS, 1, 15);
    for (unsigned i = 0; i < REQUESTS; i++) {
        const struct buf b[3] = { { HDR, 16, false },
                                  { DATA, LEN / 2, true },
                                  { ST + i, 1, true } };

        drvq_add(q, b, 3, TABLE + 64 * i);
    }
    p16(RING + 0x1002, REQUESTS); /* and for a split one */
    mem_wr(d->notify, 2, 0);
}

/* Nothing is read or written beyond RAM: AddressSanitizer watches what lies there. */
static void test_hammer(void **state)
{
    struct drv d;
    struct drvq q;
    pthread_t t[2];

    (void)state;
    fake_up();
    drv_find(&d, SLOT_BLK);
    __atomic_store_n(&stop, false, __ATOMIC_RELAXED);
    p32(HDR, 0);
    p64(HDR + 8, 0);
    host_cpu = 1;
    begin(&d, &q, 0);
    cw(&d, C_STATUS, 1, 0);
    host_cpu = 0;
    assert_int_equal(pthread_create(&t[0], NULL, cpu1, NULL), 0);
    assert_int_equal(pthread_create(&t[1], NULL, hammer, &d), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        __atomic_store_n(&log_takes, round * 1733 % 400000, __ATOMIC_RELAXED);
        begin_packed(&d, &q, round % 2 * 20000);
        for (volatile unsigned i = 0; i < round * 997 % 20000; i++)
            ;
    }
    __atomic_store_n(&hammered, true, __ATOMIC_RELAXED);
    pthread_join(t[1], NULL);
    __atomic_store_n(&log_takes, 0, __ATOMIC_RELAXED);
    cw(&d, C_STATUS, 1, 0);
    assert_int_equal(cr(&d, C_STATUS, 1), 0);
    begin(&d, &q, 0);
    while (g16(q.device + 2) != REQUESTS)
        sched_yield();
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    pthread_join(t[0], NULL);
    fake_down();
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_reset), cmocka_unit_test(test_pause),
                                        cmocka_unit_test(test_hammer) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
