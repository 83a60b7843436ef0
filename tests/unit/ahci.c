/* SPDX-License-Identifier: BSD-2-Clause */
/* The AHCI driver over a controller of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "arch/host/host.h"
#include "drivers/block/ahci.h"
#include <hv/irq.h>
#include <stdlib.h>
#include <string.h>

#include "ahci_model.h"
#include "ata_model.h"
#include "disk_driver.h"

static int setup(void **state)
{
    uint8_t *disk = ata_fill(m.disk, DISK);

    (void)state;
    memory_init();
    memset(&m, 0, sizeof m);
    m.disk = disk;
    m.shift = 9;
    ata_identify(m.ident, "SERIAL 7            ", "A disk                                  ", DISK);
    *reg(AHCI_CAP) = AHCI_CAP_64 | PORTS - 1;
    *reg(AHCI_PI) = (1 << PORTS) - 1;
    *reg(AHCI_GHC) = AHCI_GHC_ENABLE;
    *port(0, PORT_CMD) = CMD_START | CMD_FIS | CMD_RUNS | CMD_FIS_RUNS; /* the firmware's */
    return 0;
}

static void boot(void)
{
    assert_int_equal(ahci_driver.probe(&device), 0);
    d = newest();
    assert_non_null(d);
    assert_true(m.master);
}

static void finds_it(void **state)
{
    (void)state;
    boot();
    assert_int_equal(m.resets, 1);
    assert_int_equal(m.idents, 1); /* not the CD drive */
    assert_string_equal(d->model, "A disk");
    assert_string_equal(d->serial, "SERIAL 7");
    assert_int_equal(d->unit, 0);
    assert_int_equal(d->blk.sectors, DISK >> 9);
    assert_int_equal(d->blk.limits.block, 512);
    assert_int_equal(m.reached_when_off, 0);
    setup(NULL);
    m.shift = 12;
    m.ident[106] = 0x5000;
    m.ident[117] = 2048;
    m.ident[100] = DISK >> 12;
    boot();
    assert_int_equal(d->blk.limits.block, 4096);
    assert_int_equal(d->blk.sectors, DISK >> 9);
}

/* A link that the firmware has powered, and that shows nothing, is not waited for. */
static void empty_port(void **state)
{
    (void)state;
    for (unsigned powered = 0; powered < 2; powered++) {
        uint64_t from = host_now;

        setup(NULL);
        *reg(AHCI_PI) = 3;
        *port(0, PORT_SSTS) = 0x113;
        *port(1, PORT_CMD) = powered ? CMD_SPIN_UP | CMD_POWER : 0;
        boot();
        if (powered)
            assert_true(host_now - from < 20 * 1000000);
        else
            assert_true(host_now - from >= 100 * 1000000);
    }
}

static void left_out(struct disk *before)
{
    (void)ahci_driver.probe(&device);
    assert_ptr_equal(newest(), before);
    setup(NULL);
}

static void refuses(void **state)
{
    struct disk *before = newest();

    (void)state;
    m.ident[83] = 0x4000 | 1 << 13; /* 28-bit addresses only */
    left_out(before);
    m.ident[100] = 0;
    left_out(before);
    m.ident[103] = 1; /* more than 48 bits */
    left_out(before);
    m.ident[106] = 0x5000;
    m.ident[117] = 264; /* blocks of 528 bytes */
    left_out(before);
    *reg(AHCI_CAP) = 0; /* 32-bit addresses only */
    left_out(before);
    *reg(AHCI_PI) = 1u << 31; /* more ports than the BAR holds */
    left_out(before);
    m.never_linked = true;
    left_out(before);
}

static void transfers(void **state)
{
    const struct blk_seg one[] = { at(0, 4096) },
                         many[] = { at(0x10804, 0x7fc), at(0x20000, 0x20000), at(0x60000, 0x204) };
    struct blk_req r, s;

    (void)state;
    boot();
    memset(memory, 0, AREA);
    assert_int_equal(submit(&r, BLK_READ, 16, one, 1), 0);
    assert_int_equal(submit(&s, BLK_READ, 100, many, 3), 0); /* waits */
    run(4);
    assert_int_equal(r.status, 0);
    assert_int_equal(s.status, 0);
    assert_memory_equal(memory, m.disk + 16 * 512, 4096);
    assert_memory_equal(memory + 0x10804, m.disk + 100 * 512, 0x7fc);
    assert_memory_equal(memory + 0x20000, m.disk + 100 * 512 + 0x7fc, 0x20000);
    assert_memory_equal(memory + 0x60000, m.disk + 100 * 512 + 0x207fc, 0x204);
    memset(memory, 0xa5, AREA);
    assert_int_equal(submit(&r, BLK_WRITE, 200, many, 3), 0);
    assert_int_equal(submit(&s, BLK_FLUSH, 0, NULL, 0), 0);
    run(4);
    assert_int_equal(r.status, 0);
    assert_int_equal(s.status, 0);
    assert_int_equal(m.flushes, 1);
    assert_memory_equal(memory, m.disk + 200 * 512, 0x20a00);
    assert_int_not_equal(m.disk[200 * 512 + 0x20a00], 0xa5);
    assert_int_equal(submit(&r, BLK_READ, DISK / 512 - 7, one, 1), -EINVAL);
    assert_int_equal(submit(&r, BLK_DISCARD, 0, NULL, 0), -ENOTSUP);
    assert_int_equal(ended, 4);
}

static void failing(void **state)
{
    const struct blk_seg one[] = { at(0, 4096) };
    struct blk_req r, s;

    (void)state;
    boot();
    m.fail = 1;
    assert_int_equal(submit(&r, BLK_READ, 8, one, 1), 0);
    assert_int_equal(submit(&s, BLK_READ, 8, one, 1), 0);
    run(50);
    assert_int_equal(r.status, 0);
    assert_int_equal(s.status, 0);
    assert_int_equal(d->stats.retries, 1);
    m.fail = 2;
    assert_int_equal(submit(&r, BLK_READ, 8, one, 1), 0);
    run(50);
    assert_int_equal(r.status, -EIO);
    assert_int_equal(d->stats.errors, 1);
    assert_int_equal(submit(&r, BLK_READ, 8, one, 1), 0);
    run(50);
    assert_int_equal(r.status, 0);
    assert_int_equal(m.idents, 1);
}

/* A disk with queued commands. */
static void boot_queued(unsigned depth)
{
    *reg(AHCI_CAP) |= AHCI_CAP_NCQ | 31 << 8;
    m.ident[75] = (uint16_t)(depth - 1);
    m.ident[76] = 1 << 8;
    boot();
}

static void health(void **state)
{
    const struct blk_seg one[] = { at(0, 4096) };
    struct blk_req r, s;

    (void)state;
    m.ident[82] = m.ident[85] = 1;
    m.ident[84] = 0x4001;
    m.celsius = 41;
    boot_queued(32);
    run(10);
    assert_int_equal(m.smarts, 2);
    assert_int_not_equal(d->health.asked, 0);
    assert_int_equal(d->health.celsius, 41);
    assert_int_equal(d->health.worn, 7);
    assert_int_equal(d->health.media_errors, 260);
    assert_int_equal(d->health.logged, 0x1234);
    assert_true(d->health.warnings == DISK_UNTOLD);
    m.celsius = 43;
    run(59000);
    assert_int_equal(m.smarts, 2);
    assert_int_equal(d->health.celsius, 41);
    m.held = true; /* it is not asked while it has queued commands, and has no more of them then */
    assert_int_equal(submit(&r, BLK_READ, 8, one, 1), 0);
    run(1100);
    assert_int_equal(submit(&s, BLK_READ, 16, one, 1), 0);
    run(10);
    assert_int_equal(m.most, 1);
    m.held = false;
    run(10);
    assert_int_equal(r.status, 0);
    assert_int_equal(s.status, 0);
    assert_int_equal(m.smarts, 4);
    assert_int_equal(d->health.celsius, 43);
    m.celsius = 99;
    m.bad_sum = true;
    run(61000);
    assert_int_equal(m.smarts, 5);
    assert_int_equal(d->health.celsius, 43);
    m.no_smart = true; /* nor does it ask during the tests that follow */
    run(61000);
    assert_int_equal(d->health.celsius, 43);
}

/* It says that it has that, and refuses: what others asked of it is done, and it is left alone. */
static void health_refused(void **state)
{
    const struct blk_seg one[] = { at(0, 4096) };
    struct blk_req r;

    (void)state;
    m.ident[82] = m.ident[85] = 1;
    m.ident[84] = 0x8001; /* no word on a log of errors: ACS says how it is told from one */
    boot();
    run(10);
    assert_int_equal(m.smarts, 1);
    assert_true(d->health.logged == DISK_UNTOLD);
    m.no_smart = true;
    run(60100);
    assert_int_equal(submit(&r, BLK_READ, 8, one, 1), 0);
    run(200);
    assert_int_equal(r.status, 0);
    assert_int_equal(d->stats.errors, 0);
    m.no_smart = false;
    run(130000);
    assert_int_equal(m.smarts, 1);
}

/* What it does not tell is not 0. */
static void health_of_few_words(void **state)
{
    (void)state;
    m.ident[82] = m.ident[85] = 1;
    m.ident[84] = 0x4001;
    m.few_words = true;
    boot();
    run(200);
    assert_int_not_equal(d->health.asked, 0);
    assert_true(d->health.celsius == DISK_UNTOLD && d->health.worn == DISK_UNTOLD);
    assert_true(d->health.media_errors == DISK_UNTOLD && d->health.warnings == DISK_UNTOLD);
    assert_int_equal(d->health.logged, 0x1234);
    m.no_smart = true; /* nor does it ask during the tests that follow */
    run(61000);
}

/* It refuses to tell its log of errors: the rest of its health is asked for all the same. */
static void health_without_a_log(void **state)
{
    (void)state;
    m.ident[82] = m.ident[85] = 1;
    m.ident[84] = 0x4001;
    m.no_log = true;
    m.celsius = 41;
    boot();
    run(200);
    assert_int_equal(m.smarts, 1);
    assert_int_equal(d->health.celsius, 41);
    m.celsius = 43;
    run(60000);
    assert_int_equal(m.smarts, 2);
    assert_int_equal(d->health.celsius, 43);
    m.no_smart = true; /* nor does it ask during the tests that follow */
    run(61000);
}

static void discards(void **state)
{
    const struct blk_seg one[] = { at(0, 4096) };
    struct blk_req r, s;
    uint8_t ranges[512];

    (void)state;
    for (unsigned depth = 0; depth <= 32; depth += 32) {
        setup(NULL);
        m.ident[169] = 1;
        if (depth)
            boot_queued(depth);
        else
            boot();
        assert_int_equal(d->blk.limits.discard_max, 256 * MIB / 512);
        memset(m.disk, 0, DISK);
        assert_int_equal(submit(&s, BLK_READ, 8, one, 1), 0);
        assert_int_equal(discard(&r, 16, 24), 0); /* not with the other */
        run(10);
        assert_int_equal(s.status, 0);
        assert_int_equal(r.status, 0);
        assert_int_equal(m.discards, 1);
        for (unsigned i = 15 * 512; i < 41 * 512; i++)
            assert_int_equal(m.disk[i] == 0xee, i >= 16 * 512 && i < 40 * 512);
        assert_int_equal(discard(&r, 0, 256 * MIB / 512 + 1), -EINVAL);
        assert_int_equal(discard(&r, DISK / 512, 1), -EINVAL);
    }
    /* many ranges, as many as there may be */
    ata_put_ranges(ranges, 7, 64 * 0xffff);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(get_le(ranges + 8 * i, 8), (7 + i * 0xffffull) | 0xffffull << 48);
}

enum { MANY = 40 };

static void submit_many(struct blk_req *r, struct blk_seg *seg)
{
    for (unsigned i = 0; i < MANY; i++) {
        seg[i] = at(0x1000 * i, 4096);
        assert_int_equal(submit(&r[i], BLK_READ, 8 * i, &seg[i], 1), 0);
    }
}

static void queue(void **state)
{
    struct blk_seg seg[MANY], one[] = { at(0x100000, 4096) };
    struct blk_req r[MANY], w, f;

    (void)state;
    for (unsigned depth = 1; depth <= 32; depth += 31) {
        setup(NULL);
        boot_queued(depth);
        memset(memory, 0, AREA);
        submit_many(r, seg);
        assert_int_equal(submit(&f, BLK_FLUSH, 0, NULL, 0), 0); /* not with the others */
        assert_int_equal(submit(&w, BLK_WRITE, 800, one, 1), 0);
        run(10);
        assert_int_equal(ended, MANY + 2);
        assert_int_equal(m.most, depth);
        assert_memory_equal(memory, m.disk, MANY * 4096);
        assert_int_equal(m.flushes, 1);
        assert_int_equal(m.disk[800 * 512], 0);
    }
}

/* It is not said which of many failed: each goes again alone, and the one fails. */
static void queue_with_a_bad_block(void **state)
{
    struct blk_seg seg[MANY];
    struct blk_req r[MANY];

    (void)state;
    boot_queued(32);
    m.fail_at = 8 * 7;
    memset(memory, 0, AREA);
    submit_many(r, seg);
    run(1000);
    assert_int_equal(ended, MANY);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(r[i].status, i == 7 ? -EIO : 0);
    assert_memory_equal(memory + 0x8000, m.disk + 0x8000, (MANY - 8) * 4096);
    assert_int_equal(d->stats.errors, 1);
    m.fail_at = 0;
    m.most = 0;
    ended = 0;
    submit_many(r, seg);
    run(10);
    assert_int_equal(ended, MANY);
    assert_int_equal(m.most, 32); /* queued as before */
}

static void queue_that_is_late(void **state)
{
    struct blk_seg seg[MANY];
    struct blk_req r[MANY];

    (void)state;
    boot_queued(32);
    m.lost = 1;
    submit_many(r, seg);
    run(9900);
    assert_int_equal(ended, 0);
    run(200);
    assert_int_equal(ended, MANY);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(r[i].status, 0);
    m.held = true;
    submit_many(r, seg);
    assert_true(d->blk.ops->cancel(&d->blk, &r[MANY - 1]));
    assert_false(d->blk.ops->cancel(&d->blk, &r[0]));
    m.held = false;
    run(10);
    assert_int_equal(ended, 2 * MANY - 1);
}

/*
 * A command that ends between the reads of PxIS and of PxCI leaves its bit in PxIS, and the port
 * without a command: the bit must go nevertheless, or the messages never end.
 */
static void status_without_command(void **state)
{
    const struct blk_seg one[] = { at(0, 4096) };
    struct blk_req r;

    (void)state;
    boot();
    for (unsigned i = 1; i <= 10; i++) {
        m.held = true; /* until somebody looks */
        assert_int_equal(submit(&r, BLK_READ, 8, one, 1), 0);
        run(1);
        m.held = false;
        m.in_between = true;
        d->blk.ops->poll(&d->blk);
        run(4);
        assert_int_equal(ended, i);
        assert_int_equal(*port(0, PORT_IS), 0);
        assert_int_equal(*reg(AHCI_IS), 0);
    }
}

static void polled(void **state)
{
    m.no_message = true;
    transfers(state);
    assert_int_equal(m.messages, 0);
}

/* A link that went away and came back: the disk has forgotten what it had. */
static void unplugged(bool back)
{
    const struct blk_seg one[] = { at(0, 4096) };
    struct blk_req r;

    setup(NULL);
    boot();
    m.held = true;
    assert_int_equal(submit(&r, BLK_READ, 8, one, 1), 0);
    run(10);
    *port(0, PORT_SERR) = 1 << 16;
    *port(0, PORT_SSTS) = back ? 0x113 : 0;
    m.never_linked = !back;
    m.held = false;
    raise(0, 1 << 22);
    run(400);
    assert_int_equal(ended, 1);
    assert_int_equal(r.status, back ? 0 : -EIO);
    assert_int_equal(submit(&r, BLK_READ, 8, one, 1), back ? 0 : -EIO);
    run(10);
    assert_int_equal(ended, 1 + back);
}

static void hot_plug(void **state)
{
    (void)state;
    unplugged(true);
    unplugged(false);
}

static void late(void **state)
{
    const struct blk_seg one[] = { at(0, 4096) };
    struct blk_req r, s;

    (void)state;
    boot();
    m.lost = 1;
    assert_int_equal(submit(&r, BLK_READ, 8, one, 1), 0);
    assert_int_equal(submit(&s, BLK_READ, 8, one, 1), 0);
    run(9900);
    assert_int_equal(ended, 0);
    run(200);
    assert_int_equal(r.status, 0);
    assert_int_equal(s.status, 0);
    assert_int_equal(d->stats.timeouts, 1);
}

static void gone(unsigned ms, bool master)
{
    const struct blk_seg one[] = { at(0, 4096) };
    struct blk_req r, s;

    boot();
    m.lost = 1000000;
    assert_int_equal(submit(&r, BLK_READ, 0, one, 1), 0);
    assert_int_equal(submit(&s, BLK_READ, 0, one, 1), 0);
    run(ms);
    assert_int_equal(r.status, -EIO);
    assert_int_equal(s.status, -EIO);
    assert_int_equal(ended, 2);
    assert_int_equal(m.master, master);
}

static void silent(void **state)
{
    (void)state;
    gone(45000, true);
}

static void does_not_stop(void **state)
{
    (void)state;
    m.never_stops = true;
    gone(11000, false);
}

static void does_not_come_back(void **state)
{
    (void)state;
    m.never_ready = true;
    gone(26000, true);
}

static void pulled_out(void **state)
{
    const struct blk_seg one[] = { at(0, 4096) };
    struct blk_req r;

    (void)state;
    boot();
    assert_int_equal(submit(&r, BLK_READ, 0, one, 1), 0);
    *reg(AHCI_GHC) = UINT32_MAX;
    run(2);
    assert_int_equal(r.status, -EIO);
    assert_false(m.master);
    assert_int_equal(submit(&r, BLK_READ, 0, one, 1), -EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(finds_it, setup),
        cmocka_unit_test_setup(empty_port, setup),
        cmocka_unit_test_setup(refuses, setup),
        cmocka_unit_test_setup(transfers, setup),
        cmocka_unit_test_setup(polled, setup),
        cmocka_unit_test_setup(discards, setup),
        cmocka_unit_test_setup(health, setup),
        cmocka_unit_test_setup(health_refused, setup),
        cmocka_unit_test_setup(health_without_a_log, setup),
        cmocka_unit_test_setup(health_of_few_words, setup),
        cmocka_unit_test_setup(status_without_command, setup),
        cmocka_unit_test_setup(queue, setup),
        cmocka_unit_test_setup(queue_with_a_bad_block, setup),
        cmocka_unit_test_setup(queue_that_is_late, setup),
        cmocka_unit_test_setup(hot_plug, setup),
        cmocka_unit_test_setup(failing, setup),
        cmocka_unit_test_setup(late, setup),
        cmocka_unit_test_setup(silent, setup),
        cmocka_unit_test_setup(does_not_stop, setup),
        cmocka_unit_test_setup(does_not_come_back, setup),
        cmocka_unit_test_setup(pulled_out, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
