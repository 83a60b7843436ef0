/* SPDX-License-Identifier: BSD-2-Clause */
#include "vio_device.h"

/*
 * The first of all tests: there is no random number yet, hence no virtio-rng, and the disk has its
 * place; then there are.
 */
static int up_without(void **state)
{
    fake_no_random = true;
    return up(state);
}

static void test_no_random_numbers(void **state)
{
    enum { DEVICE_ID = 2, BLK = 0x1040 + 2, RNG = 0x1040 + 4 };

    (void)state;
    assert_int_equal(cfg_rd(SLOT_RNG, DEVICE_ID, 2), BLK);
    assert_true(logs > 0);
    fake_no_random = false;
    fake_down();
    fake_up();
    assert_int_equal(cfg_rd(SLOT_RNG, DEVICE_ID, 2), RNG);
    assert_int_equal(cfg_rd(SLOT_BLK, DEVICE_ID, 2), BLK);
}

/* ---- negotiation and registers ---- */

static void test_features(void **state)
{
    uint64_t offered = 0;

    (void)state;
    drv_find(&dev, SLOT_BLK);
    for (unsigned i = 0; i < 3; i++) {
        cw(&dev, C_DFSEL, 4, i);
        if (i < 2)
            offered |= cr(&dev, C_DF, 4) << (32 * i);
        else
            assert_int_equal(cr(&dev, C_DF, 4), 0);
    }
    assert_true((offered & (V1 | PACKED | INDIRECT | EVENT)) == (V1 | PACKED | INDIRECT | EVENT));
    assert_false(drv_features(&dev, 0)); /* legacy */
    assert_false(drv_features(&dev, V1 | F(63)));
    assert_false(drv_features(&dev, V1 | F(3)));
    assert_true(drv_features(&dev, V1));
    cw(&dev, C_GFSEL, 4, 0);
    cw(&dev, C_GF, 4, UINT32_MAX); /* too late */
    assert_int_equal(cr(&dev, C_GF, 4), 0);
    cw(&dev, C_STATUS, 1, 0);
    cw(&dev, C_STATUS, 1, 7); /* DRIVER_OK without FEATURES_OK */
    assert_int_equal(cr(&dev, C_STATUS, 1), 3);
}

static void test_registers(void **state)
{
    (void)state;
    drv_find(&dev, SLOT_BLK);
    assert_int_equal(cr(&dev, C_NQ, 2), 2);
    assert_int_equal(cr(&dev, C_QSIZE, 2), 256);
    assert_int_equal(cr(&dev, C_QSIZE, 1), 0);
    assert_int_equal(cr(&dev, C_QSIZE + 1, 1), 1);
    cw(&dev, C_QSIZE, 2, 512);
    cw(&dev, C_QSIZE, 2, 0);
    cw(&dev, C_QSIZE, 1, 16); /* half a field */
    assert_int_equal(cr(&dev, C_QSIZE, 2), 256);
    cw(&dev, C_QSEL, 2, 1);
    assert_int_equal(cr(&dev, C_QNOFF, 2), 1);
    cw(&dev, C_QVEC, 2, 2);
    assert_int_equal(cr(&dev, C_QVEC, 2), 2);
    cw(&dev, C_QVEC, 2, 3); /* the table has 3 entries: 0..2 */
    assert_int_equal(cr(&dev, C_QVEC, 2), 0xffff);
    cw(&dev, C_QSEL, 2, 2);
    assert_int_equal(cr(&dev, C_QSIZE, 2), 0);
    cw(&dev, C_QEN, 2, 1);
    assert_int_equal(cr(&dev, C_QEN, 2), 0);
    assert_int_equal(mem_rd(dev.config, 8), (FILE_LEN + 511) / 512);
    assert_int_equal(mem_rd(dev.config + 12, 4), 126);
    assert_int_equal(mem_rd(dev.config + 34, 2), 2);
    assert_int_equal(mem_rd(dev.config + 0x800, 4), UINT32_MAX);
}

static void test_bad_queues(void **state)
{
    static const struct {
        unsigned size;
        uint64_t at, features;
    } bad[] = {
        { 100, 0x10000, V1 },
        { 128, 0x10008, V1 },
        { 128, RAM_END - 0x2100, V1 },
        { 128, RAM_END, V1 },
        { 128, UINT64_MAX - 0x1fff, V1 | PACKED },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        drv_find(&dev, SLOT_RNG);
        logs = 0;
        assert_true(drv_features(&dev, bad[i].features));
        drv_queue(&dev, &q, 0, bad[i].size, bad[i].at);
        assert_int_equal(cr(&dev, C_QEN, 2), 0);
        assert_int_equal(cr(&dev, C_STATUS, 1), 11 | 64);
        assert_int_equal(logs, 1);
    }
    assert_true(drv_features(&dev, V1 | PACKED)); /* packed rings may have any size */
    drv_queue(&dev, &q, 0, 100, 0x10000);
    assert_int_equal(cr(&dev, C_QEN, 2), 1);
    cw(&dev, C_QDESC, 8, 0x5000); /* live: the registers stay */
    cw(&dev, C_QSIZE, 2, 4);
    assert_int_equal(cr(&dev, C_QDESC, 8), 0x10000);
    assert_int_equal(cr(&dev, C_QSIZE, 2), 100);
}

/* ---- rings, by the rng device: each run of a few laps ---- */

static const uint64_t ring_kinds[] = {
    V1, V1 | EVENT, V1 | INDIRECT, V1 | PACKED, V1 | PACKED | EVENT, V1 | PACKED | EVENT | INDIRECT
};

static void test_laps(void **state)
{
    (void)state;
    for (unsigned k = 0; k < ARRAY_SIZE(ring_kinds); k++) {
        static const uint8_t zero[600];
        uint8_t got[600];

        start(SLOT_RNG, 0, 8, ring_kinds[k]);
        for (unsigned i = 0; i < 50; i++) {
            unsigned n = 1 + i % 3;
            const struct buf b[3] = { { HALF - 100, 200, true },
                                      { 0x30000, 300, true },
                                      { 0x40000, 1, true } };

            poke(HALF - 100, zero, 200);
            poke(0x30000, zero, 300);
            drvq_add(&q, b, n, ring_kinds[k] & INDIRECT && i % 2 ? 0x50000 : 0);
            host_now += 10000000;
            drvq_kick(&q);
            assert_int_equal(drvq_used(&q, ring_kinds[k] & INDIRECT && i % 2 ? 1 : n), n == 1 ? 200
                                                                                       : n == 2
                                                                                           ? 500
                                                                                           : 501);
            assert_int_equal(drvq_used(&q, 1), -1);
            assert_int_equal(gmem_read(&vm, gpa(HALF - 100), got, 200), 0);
            assert_memory_not_equal(got, zero, 20);
            /* behind the border of the two pieces */
            assert_memory_not_equal(got + 180, zero, 20);
        }
        assert_int_equal(cr(&dev, C_STATUS, 1), 15);
    }
}

/* A chain of as many descriptors as the ring has. */
static void test_whole_ring(void **state)
{
    struct buf b[7];

    (void)state;
    for (unsigned i = 0; i < 7; i++)
        b[i] = (struct buf){ 0x30000 + 64 * i, 10, true };
    start(SLOT_RNG, 0, 7, V1 | PACKED);
    for (unsigned lap = 0; lap < 6; lap++) {
        unsigned n = lap == 4 ? 3 : 7;

        drvq_add(&q, b, n, 0);
        host_now += 10000000;
        drvq_kick(&q);
        assert_int_equal(drvq_used(&q, n), 10 * n);
        assert_int_equal(drvq_used(&q, 1), -1);
    }
}

static void test_many_at_once(void **state)
{
    (void)state;
    for (unsigned k = 0; k < ARRAY_SIZE(ring_kinds); k++) {
        start(SLOT_RNG, 0, 16, ring_kinds[k]);
        for (unsigned lap = 0; lap < 5; lap++) {
            for (unsigned i = 0; i < 16; i++)
                drvq_add(&q, &(struct buf){ 0x30000 + 64 * i, 16, true }, 1, 0);
            host_now += 10000000;
            drvq_kick(&q);
            for (unsigned i = 0; i < 16; i++)
                assert_int_equal(drvq_used(&q, 1), 16);
            assert_int_equal(drvq_used(&q, 1), -1);
        }
    }
}

/*
 * A driver that asks for no interrupt gets none; with the event index only when the index it named
 * is passed.
 */
static void test_interrupts(void **state)
{
    (void)state;
    start(SLOT_RNG, 0, 8, V1);
    drvq_add(&q, &(struct buf){ 0x30000, 16, true }, 1, 0);
    drvq_kick(&q);
    assert_int_equal(lines_high, 1u << 18);
    assert_int_equal(mem_rd(dev.isr, 1), 1);
    p16(q.driver, 1);
    drvq_add(&q, &(struct buf){ 0x30000, 16, true }, 1, 0);
    drvq_kick(&q);
    assert_int_equal(lines_high, 0);

    start(SLOT_RNG, 0, 8, V1 | EVENT);
    p16(q.driver + 4 + 2 * 8, 1); /* used_event: after the second */
    for (unsigned i = 0; i < 3; i++) {
        drvq_add(&q, &(struct buf){ 0x30000, 16, true }, 1, 0);
        drvq_kick(&q);
        assert_int_equal(mem_rd(dev.isr, 1), i == 1);
    }

    start(SLOT_RNG, 0, 4, V1 | PACKED | EVENT);
    p16(q.driver, 1); /* slot 1 of the second lap */
    p16(q.driver + 2, 2);
    for (unsigned i = 0; i < 8; i++) {
        drvq_add(&q, &(struct buf){ 0x30000, 16, true }, 1, 0);
        drvq_kick(&q);
        assert_int_equal(mem_rd(dev.isr, 1), i == 5);
        drvq_used(&q, 1);
        if (i == 0)
            p16(q.driver, 1); /* wrap counter 0 */
    }
    p16(q.driver + 2, 1); /* disabled */
    drvq_add(&q, &(struct buf){ 0x30000, 16, true }, 1, 0);
    drvq_kick(&q);
    assert_int_equal(mem_rd(dev.isr, 1), 0);
}

static void test_msix_vectors(void **state)
{
    uint64_t table;

    (void)state;
    start(SLOT_RNG, 0, 8, V1);
    table = bar_addr(SLOT_RNG, 0);
    mem_wr(table, 8, 0xfee00000);
    mem_wr(table + 8, 8, 0x33);
    cfg_wr(SLOT_RNG, find_cap(SLOT_RNG, PCI_CAP_MSIX, -1) + 2, 2, 0x8000);
    drvq_add(&q, &(struct buf){ 0x30000, 16, true }, 1, 0);
    drvq_kick(&q);
    assert_int_equal(msis, 1);
    assert_int_equal(msi_data, 0x33);
    assert_int_equal(lines_high, 0);
    assert_int_equal(mem_rd(dev.isr, 1), 0);
}

/* Without bus mastering a device touches nothing; when it comes, what was asked for is done. */
static void test_bus_master(void **state)
{
    (void)state;
    start(SLOT_RNG, 0, 8, V1);
    cfg_wr(SLOT_RNG, PCI_COMMAND, 2, PCI_CMD_MEM);
    drvq_add(&q, &(struct buf){ 0x30000, 16, true }, 1, 0);
    drvq_kick(&q);
    assert_int_equal(drvq_used(&q, 1), -1);
    cfg_wr(SLOT_RNG, PCI_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER);
    run_events();
    assert_int_equal(drvq_used(&q, 1), 16);
}

/* ---- hostile rings: each way to break one, and the device works again after a reset ---- */

static void chain(uint16_t i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
    put_desc(q.desc + 16u * i, addr, len, flags, next);
}

static void offer(uint16_t head)
{
    p16(q.driver + 4 + 2u * (q.next % q.size), head);
    p16(q.driver + 2, ++q.next);
    mem_wr(dev.notify, 2, 0);
}

static void bad_addr(void)
{
    chain(0, RAM_END - 8, 16, 2, 0);
    offer(0);
}
static void bad_wrap(void)
{
    chain(0, UINT64_MAX - 8, 16, 2, 0);
    offer(0);
}
static void bad_zero(void)
{
    chain(0, 0x30000, 0, 2, 0);
    offer(0);
}
static void bad_head(void) { offer(8); }
static void bad_next(void)
{
    chain(0, 0x30000, 16, 3, 9);
    offer(0);
}
static void bad_loop(void)
{
    chain(0, 0x30000, 16, 3, 1);
    chain(1, 0x30000, 16, 3, 0);
    offer(0);
}
static void bad_self(void)
{
    chain(0, 0x30000, 16, 3, 0);
    offer(0);
}
static void bad_order(void)
{
    chain(0, 0x30000, 16, 3, 1);
    chain(1, 0x30000, 16, 0, 0);
    offer(0);
}
static void bad_jump(void)
{
    p16(q.driver + 2, 9);
    mem_wr(dev.notify, 2, 0);
}
static void bad_back(void)
{
    p16(q.driver + 2, 0xffff);
    mem_wr(dev.notify, 2, 0);
}
static void bad_table_len(void)
{
    chain(0, 0x30000, 24, 4, 0);
    offer(0);
}
static void bad_table_none(void)
{
    chain(0, 0x30000, 0, 4, 0);
    offer(0);
}
static void bad_table_huge(void)
{
    chain(0, 0x30000, 16 * 513, 4, 0);
    offer(0);
}
static void bad_table_addr(void)
{
    chain(0, RAM_END - 16, 32, 4, 0);
    put_desc(RAM_END - 16, 0x30000, 4, 3, 1);
    offer(0);
}
static void bad_nested(void)
{
    chain(0, 0x40000, 16, 4, 0);
    put_desc(0x40000, 0x50000, 16, 4, 0);
    offer(0);
}
static void bad_table_next(void)
{
    chain(0, 0x40000, 16, 4, 0);
    put_desc(0x40000, 0x50000, 16, 3, 1);
    offer(0);
}
static void bad_table_loop(void)
{
    chain(0, 0x40000, 32, 4, 0);
    put_desc(0x40000, 0x50000, 16, 3, 0);
    offer(0);
}
static void bad_table_and_next(void)
{
    chain(0, 0x40000, 16, 5, 1);
    put_desc(0x40000, 0x50000, 16, 2, 0);
    chain(1, 0x30000, 16, 2, 0);
    offer(0);
}

static void test_hostile_split(void **state)
{
    static const struct {
        void (*make)(void);
        const char *said;
    } bad[] = {
        { bad_addr, "not RAM" },
        { bad_wrap, "not RAM" },
        { bad_zero, "no bytes" },
        { bad_head, "number beyond the ring (0x8)" },
        { bad_next, "number beyond the ring (0x9)" },
        { bad_loop, "a loop of" },
        { bad_self, "a loop of" },
        { bad_order, "after a writable" },
        { bad_jump, "index jumped" },
        { bad_back, "index jumped" },
        { bad_table_len, "table of bad length" },
        { bad_table_none, "table of bad length" },
        { bad_table_huge, "table of bad length" },
        { bad_table_addr, "outside of RAM" },
        { bad_nested, "inside another" },
        { bad_table_next, "next beyond" },
        { bad_table_loop, "a loop in" },
        { bad_table_and_next, "inside a chain" },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        start(SLOT_RNG, 0, 8, V1 | INDIRECT);
        p16(q.device + 2, 0);
        logs = 0;
        bad[i].make();
        needs_reset();
        assert_non_null(strstr(last_log, bad[i].said));
        assert_int_equal(g16(q.device + 2), 0); /* nothing was used */
        mem_wr(dev.notify, 2, 0);               /* and it stays so */
        run_events();
        assert_int_equal(logs, 1);
    }
    /* an indirect table without the feature */
    start(SLOT_RNG, 0, 8, V1);
    chain(0, 0x40000, 16, 4, 0);
    put_desc(0x40000, 0x50000, 16, 2, 0);
    offer(0);
    needs_reset();
}

/* §2.7.5.3.2: descriptors, then one with a table; that one's WRITE flag means nothing. */
static void test_table_ends_a_chain(void **state)
{
    (void)state;
    for (uint16_t flag = 0; flag <= 2; flag += 2) {
        start(SLOT_RNG, 0, 8, V1 | INDIRECT);
        p16(q.device + 2, 0);
        chain(0, 0x30000, 16, 3, 1);
        chain(1, 0x31000, 8, 3, 2);
        chain(2, 0x40000, 32, 4 | flag, 0);
        put_desc(0x40000, 0x50000, 16, 3, 1);
        put_desc(0x40010, 0x50100, 4, 2, 0);
        host_now += 10000000; /* random numbers have their rate */
        offer(0);
        run_events();
        assert_int_equal(g16(q.device + 2), 1);
        assert_int_equal(g32(q.device + 8), 16 + 8 + 16 + 4);
    }
}

static void pbad_addr(void) { put_desc(q.desc, RAM_END, 16, 0, 0x82); }
static void pbad_zero(void) { put_desc(q.desc, 0x30000, 0, 0, 0x82); }
static void pbad_id(void) { put_desc(q.desc, 0x30000, 16, 8, 0x82); }
static void pbad_endless(void)
{
    for (unsigned i = 0; i < 8; i++)
        put_desc(q.desc + 16 * i, 0x30000, 16, 0, 0x83);
}
static void pbad_order(void)
{
    put_desc(q.desc, 0x30000, 16, 0, 0x83);
    put_desc(q.desc + 16, 0x30000, 16, 0, 0x80);
}
static void pbad_table_zero(void)
{
    put_desc(q.desc, 0x40000, 16, 0, 0x84);
    put_desc(0x40000, 0x50000, 0, 0, 4);
}
static void pbad_table_len(void) { put_desc(q.desc, 0x40000, 40, 0, 0x84); }
static void pbad_table_next(void)
{
    put_desc(q.desc, 0x40000, 16, 0, 0x85);
    put_desc(0x40000, 0x50000, 16, 0, 2);
}

static void test_hostile_packed(void **state)
{
    static const struct {
        void (*make)(void);
        const char *said;
    } bad[] = {
        { pbad_addr, "not RAM" },           { pbad_zero, "no bytes" },
        { pbad_id, "id beyond" },           { pbad_endless, "longer than the ring" },
        { pbad_order, "after a writable" }, { pbad_table_zero, "no bytes" },
        { pbad_table_len, "bad length" },   { pbad_table_next, "inside a chain" },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        start(SLOT_RNG, 0, 8, V1 | INDIRECT | PACKED);
        logs = 0;
        bad[i].make();
        mem_wr(dev.notify, 2, 0);
        needs_reset();
        assert_non_null(strstr(last_log, bad[i].said));
        assert_int_equal(logs, 1);
    }
}

/* ---- console ---- */

static void test_console(void **state)
{
    static const char hello[] = "hello, world";
    char got[16] = "";

    (void)state;
    drv_find(&dev, SLOT_CONSOLE);
    assert_true(drv_features(&dev, V1));
    drv_queue(&dev, &q, 0, 8, 0x10000);
    drv_queue(&dev, &q2, 1, 8, 0x20000);
    drv_ok(&dev);
    assert_null(con_ready); /* the UART has what is typed until the guest writes here */
    poke(HALF - 5, hello, 12);
    drvq_add(&q2, &(struct buf){ HALF - 5, 12, false }, 1, 0);
    drvq_kick(&q2);
    assert_int_equal(drvq_used(&q2, 1), 0);
    assert_int_equal(con_len, 12);
    assert_memory_equal(con_out, hello, 12);
    /* input that comes before there is a buffer waits */
    con_in = "0123456789";
    event_post(con_ready);
    run_events();
    drvq_add(&q, &(struct buf){ 0x30000, 4, true }, 1, 0);
    drvq_kick(&q);
    assert_int_equal(drvq_used(&q, 1), 4);
    drvq_add(&q, &(struct buf){ 0x30004, 15, true }, 1, 0);
    drvq_kick(&q);
    assert_int_equal(drvq_used(&q, 1), 6);
    assert_int_equal(gmem_read(&vm, gpa(0x30000), got, 10), 0);
    assert_string_equal(got, "0123456789");
    drvq_add(&q, &(struct buf){ 0x30000, 4, true }, 1, 0);
    drvq_kick(&q);
    assert_int_equal(drvq_used(&q, 1), -1);
    con_in = "x";
    event_post(con_ready);
    run_events();
    assert_int_equal(drvq_used(&q, 1), 1);
    mem_wr(dev.config + 8, 4, '!');
    assert_int_equal(con_out[12], '!');
    cw(&dev, C_STATUS, 1, 0);
    assert_null(con_ready);
}

enum { HDR = 0x30000 };

/* A guest that asks for random bytes without end gets a bounded number a second. */
static void test_rng_rate(void **state)
{
    uint64_t total = 0, from;
    int64_t n;

    (void)state;
    start(SLOT_RNG, 0, 8, V1);
    host_now += 1000000000;
    from = host_now;
    for (unsigned i = 0; i < 8; i++)
        drvq_add(&q, &(struct buf){ 0x30000, 1024, true }, 1, 0);
    while (host_now < from + 1000000000) {
        drvq_kick(&q);
        while ((n = drvq_used(&q, 1)) >= 0) {
            total += (uint64_t)n;
            drvq_add(&q, &(struct buf){ 0x30000, 1024, true }, 1, 0);
        }
        host_now += 100000;
    }
    assert_in_range(total, 900 * 1024, 1200 * 1024);
}

/* While others want the CPU, the devices of one guest get about half of it. */
static void test_fair(void **state)
{
    (void)state;
    for (waiting = 0; waiting < 2; waiting++) {
        uint64_t from, done = 0, added = 0;

        start(SLOT_CONSOLE, 1, 16, V1);
        con_cost = 300000;                            /* ns of work for each buffer */
        memset(vm.share.had, 0, sizeof vm.share.had); /* no debt */
        from = host_now;
        while (host_now < from + 300000000) {
            if (added - done < 8) {
                drvq_add(&q, &(struct buf){ HDR, 16, false }, 1, 0);
                added++;
            }
            drvq_kick(&q);
            host_now += 10000; /* what the guest takes in between */
            while (drvq_used(&q, 1) >= 0)
                done++;
        }
        con_cost = 0;
        run_events();
        if (waiting)
            assert_in_range(done, 450, 550);
        else
            assert_in_range(done, 900, 1000);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, up, down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_random_numbers, up_without, down),
        T(test_features),
        T(test_table_ends_a_chain),
        T(test_registers),
        T(test_bad_queues),
        T(test_laps),
        T(test_whole_ring),
        T(test_many_at_once),
        T(test_interrupts),
        T(test_msix_vectors),
        T(test_bus_master),
        T(test_hostile_split),
        T(test_hostile_packed),
        T(test_console),
        T(test_rng_rate),
        T(test_fair),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
