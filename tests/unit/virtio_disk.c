/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The block device over a disk that reaches memory itself: a fake disk that keeps what it is given
 * until the test lets it go, and holds every request against the contract of <hv/blk.h>.
 */
#include "vio_device.h"
#include <hv/blk_queue.h>
#include <hv/disk.h>
#include <hv/state.h>

enum { HDR = 0x30000, DATA = 0x40000, ST = 0x31000, DISK_SECTORS = 4096, MOST = 0x8000 };
static uint8_t *store;
static struct blk_req *waiting_req;
static bool at_once;
static unsigned submitted, bounced, refuse, flushed;
static struct disk disks[2];

/* ---- the disk ---- */

static bool has_data(const struct blk_req *r) { return r->op == BLK_READ || r->op == BLK_WRITE; }

static void keep_contract(const struct disk *d, const struct blk_req *r)
{
    const struct blk_limits *l = &d->blk.limits;
    uint64_t bytes = 0;

    assert_true(r->nsectors > 0 && r->nsectors * 512 <= l->max_bytes);
    assert_int_equal((r->sector | r->nsectors) % (l->block / 512), 0);
    assert_in_range(r->nseg, 1, l->max_segs);
    for (unsigned i = 0; i < r->nseg; i++) {
        uint64_t at = r->seg[i].at.v, end = at + r->seg[i].len;

        assert_true(r->seg[i].len > 0);
        assert_int_equal(at % (i ? 4096 : l->align), 0);
        if (i + 1u < r->nseg)
            assert_int_equal(end % 4096, 0);
        bytes += r->seg[i].len;
    }
    assert_int_equal(bytes, r->nsectors * 512);
}

static bool is_guests(uint64_t at)
{
    for (unsigned i = 0; i < 2; i++)
        if (at - (uint64_t)half[i] < HALF)
            return true;
    return false;
}

static int disk_submit(struct blk_dev *b, struct blk_req *r)
{
    struct disk *d = container_of(b, struct disk, blk);

    submitted++;
    if (refuse && refuse--)
        return -EIO;
    flushed += r->op == BLK_FLUSH;
    if (!has_data(r)) {
        assert_int_equal(blk_check(b, r), 0);
    } else {
        keep_contract(d, r);
        bounced += !is_guests(r->seg[0].at.v);
    }
    r->status = -EINPROGRESS;
    r->next = waiting_req;
    waiting_req = r;
    return 0;
}

static void end_one(int status)
{
    struct blk_req *r = waiting_req;
    uint8_t *at = store + (r->base + r->sector) * 512;

    waiting_req = r->next;
    if (r->op == BLK_WRITE_ZEROES || r->op == BLK_DISCARD)
        memset(at, r->op == BLK_DISCARD ? 0xee : 0, r->nsectors * 512);
    for (unsigned i = 0; has_data(r) && status == 0 && i < r->nseg; i++) {
        if (r->op == BLK_WRITE)
            memcpy(at, (void *)r->seg[i].at.v, r->seg[i].len);
        else
            memcpy((void *)r->seg[i].at.v, at, r->seg[i].len);
        at += r->seg[i].len;
    }
    r->status = status;
    event_post(&r->done);
}

static void end_all(int status)
{
    while (waiting_req)
        end_one(status);
}

static bool disk_cancel(struct blk_dev *b, struct blk_req *r)
{
    (void)b, (void)r;
    return false;
}
static void disk_nothing(struct blk_dev *b) { (void)b; }
static void disk_done(struct event *ev) { (void)ev; }
static void disk_poll(struct blk_dev *b)
{
    (void)b;
    end_all(0);
}

static const struct blk_ops disk_ops = {
    .submit = disk_submit, .cancel = disk_cancel, .resume = disk_nothing, .poll = disk_poll
};

static void add_disks(void)
{
    for (unsigned i = 0; i < 2; i++) {
        disks[i].blk = (struct blk_dev){ .ops = &disk_ops,
                                         .sectors = DISK_SECTORS,
                                         .limits = { .block = i ? 4096 : 512,
                                                     .max_bytes = MOST,
                                                     .max_segs = 8,
                                                     .align = 4,
                                                     .dma = true,
                                                     .discard_max = i ? 512 : 0,
                                                     .zeroes_max = i ? 64 : 0,
                                                     .physical = i ? 16384 : 0 } };
        strcpy(disks[i].serial, "01234567890123456789");
        disk_add(&disks[i], "nvme");
    }
}

static int set_up(void **state, const char *name)
{
    strcpy(config.disk[0].path, name);
    config.disk[0].source = DISK_NAME;
    if (!store) {
        host_init(1, 64 * MIB);
        store = calloc(DISK_SECTORS, 512);
        add_disks();
    }
    for (unsigned i = 0; i < DISK_SECTORS * 512; i++)
        store[i] = (uint8_t)(i ^ i >> 9 ^ i >> 16);
    waiting_req = NULL;
    at_once = true;
    submitted = bounced = refuse = flushed = 0;
    return up(state);
}

static int up_512(void **state) { return set_up(state, "nvme0"); }
static int up_few_requests(void **state)
{
    config.disk[0].iops = 10;
    return up_512(state);
}
static int up_few_bytes(void **state)
{
    config.disk[0].bandwidth = 40960;
    return up_512(state);
}
static int down_any(void **state)
{
    config.disk[0].iops = 0;
    config.disk[0].bandwidth = 0;
    return down(state);
}
static int up_4096(void **state) { return set_up(state, "nvme1"); }

/* ---- the guest ---- */

static void let(void)
{
    for (unsigned i = 0; i < 200; i++) {
        run_events();
        if (at_once)
            end_all(0);
    }
}

static void header(uint32_t type, uint64_t sector)
{
    p32(HDR, type);
    p32(HDR + 4, 0);
    p64(HDR + 8, sector);
}

/* Data in those pieces. Returns the status; -1: no answer. */
static int request(uint32_t type, uint64_t sector, const struct buf *data, unsigned n)
{
    struct buf b[40] = { { HDR, 16, false } };
    uint8_t status = 0xee;

    header(type, sector);
    poke(ST, &status, 1);
    for (unsigned i = 0; i < n; i++)
        b[1 + i] = data[i];
    b[1 + n] = (struct buf){ ST, 1, true };
    drvq_add(&q, b, n + 2, 0x20000);
    drvq_kick(&q);
    let();
    if (drvq_used(&q, 1) < 0)
        return -1;
    (void)gmem_read(&vm, gpa(ST), &status, 1);
    return status;
}

static void begin(uint64_t more) { start(SLOT_BLK, 0, 64, V1 | INDIRECT | F(9) | more); }

static void same(uint64_t at, uint64_t disk, uint64_t len)
{
    for (uint64_t i = 0; i < len; i++) {
        uint8_t v = 0;

        (void)gmem_read(&vm, gpa(at + i), &v, 1);
        if (v != store[disk + i])
            fail_msg("byte %llu differs", (unsigned long long)i);
    }
}

static void straight(void **state)
{
    const struct buf in[] = { { DATA, 0x6000, true }, { DATA + 0x8000, 0x4000, true } },
                     out[] = { { DATA, 0x6000, false }, { DATA + 0x8000, 0x4000, false } },
                     across[] = { { HALF - 0x3000, 0x5000, true } };

    (void)state;
    begin(0);
    assert_int_equal(request(0, 7, in, 2), 0);
    same(DATA, 7 * 512, 0x6000);
    same(DATA + 0x8000, 7 * 512 + 0x6000, 0x4000);
    assert_int_equal(submitted, 2); /* 40 KiB, 32 at once */
    assert_int_equal(request(0, 9, across, 1), 0);
    same(HALF - 0x3000, 9 * 512, 0x5000);
    assert_int_equal(request(1, 100, out, 2), 0);
    same(DATA, 100 * 512, 0x6000);
    same(DATA + 0x8000, 100 * 512 + 0x6000, 0x4000);
    assert_int_equal(bounced, 0);
    submitted = 0;
    assert_int_equal(request(4, 0, NULL, 0), 0); /* flush */
    assert_int_equal(submitted, 1);
    assert_int_equal(cr(&dev, C_STATUS, 1), 15);
}

static void crooked(void **state)
{
    const struct buf odd[] = { { DATA + 1, 512, true } },
                     pages[] = { { DATA + 0x200, 512, true },
                                 { DATA + 0x2200, 512, true },
                                 { DATA + 0x4200, 0x1000, true } },
                     tail[] = { { DATA, 0x2000, true }, { DATA + 0x9004, 0x400, true } };

    (void)state;
    begin(0);
    assert_int_equal(request(0, 3, odd, 1), 0);
    same(DATA + 1, 3 * 512, 512);
    assert_int_equal(bounced, 1);
    assert_int_equal(request(0, 20, pages, 3), 0);
    same(DATA + 0x200, 20 * 512, 512);
    same(DATA + 0x2200, 21 * 512, 512);
    same(DATA + 0x4200, 22 * 512, 0x1000);
    assert_int_equal(submitted, 2);
    bounced = 0;
    assert_int_equal(request(0, 40, tail, 2), 0); /* what can go straight does */
    same(DATA, 40 * 512, 0x2000);
    same(DATA + 0x9004, 40 * 512 + 0x2000, 0x400);
    assert_int_equal(bounced, 0);
    assert_int_equal(submitted, 4);
}

/* Buffers cut anywhere, both ways: the data is right, and the contract held. */
static void any_cut(uint32_t block)
{
    uint64_t seed = 5;

    for (unsigned lap = 0; lap < 400; lap++) {
        struct buf b[12];
        uint64_t at = DATA + (seed >> 20) % 9000, first = at, sector = seed % 490 * (block / 512);
        uint64_t left = ((seed >> 40) % 20 + 1) * block;
        unsigned n = 0;
        bool out = lap & 1;

        for (; left; n++) {
            uint64_t len = n == 11 ? left : (seed >> (n * 3)) % 9001 + 1;

            len = len < left ? len : left;
            b[n] = (struct buf){ at, (uint32_t)len, !out };
            at += len + (n % 3 ? 0 : (seed >> 7) % 5000);
            left -= len;
        }
        for (uint64_t i = first; out && i < at; i++) {
            uint8_t v = (uint8_t)(i * 7 + lap);

            poke(i, &v, 1);
        }
        assert_int_equal(request(out, sector, b, n), 0);
        for (unsigned i = 0; i < n; left += b[i++].len)
            same(b[i].addr, sector * 512 + left, b[i].len);
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    }
}

static void any_cut_512(void **state)
{
    (void)state;
    begin(0);
    any_cut(512);
    assert_true(bounced > 20);
}

static void blocks_of_4096(void **state)
{
    const struct buf half_block[] = { { DATA, 2048, true } }, one[] = { { DATA, 4096, true } };

    (void)state;
    begin(F(6));
    assert_int_equal(mem_rd(dev.config + 20, 4), 4096);
    assert_int_equal(request(0, 0, half_block, 1), 1);
    assert_int_equal(request(0, 4, one, 1), 1);
    assert_int_equal(submitted, 0);
    assert_int_equal(request(0, 8, one, 1), 0);
    same(DATA, 4096, 4096);
    any_cut(4096);
}

static void put_range(unsigned i, uint64_t sector, uint32_t n)
{
    p64(DATA + 16 * i, sector);
    p32(DATA + 16 * i + 8, n);
    p32(DATA + 16 * i + 12, 0);
}

/* Ranges go to the disk in pieces that it takes. */
static void without_data(void **state)
{
    const struct buf ranges[] = { { DATA, 48, false } };

    (void)state;
    begin(F(10) | F(13) | F(14));
    assert_int_equal(mem_rd(dev.config + 24, 1), 2);  /* physical blocks of 4 */
    assert_int_equal(mem_rd(dev.config + 44, 4), 32); /* discard's alignment */
    put_range(0, 8, 136);
    put_range(1, 2048, 0);
    put_range(2, 1024, 64);
    assert_int_equal(request(13, 0, ranges, 1), 0);
    assert_int_equal(submitted, 4);
    for (unsigned i = 0; i < 64 * 512; i++)
        assert_int_equal(store[8 * 512 + i] | store[80 * 512 + i] | store[1024 * 512 + i], 0);
    assert_int_equal(store[144 * 512 + 1], (uint8_t)(1 ^ 144 ^ 144 >> 7));
    put_range(0, 1000, 1024);
    put_range(1, 0, 0);
    put_range(2, 0, 0);
    assert_int_equal(request(11, 0, ranges, 1), 0);
    assert_int_equal(submitted, 6);
    assert_int_equal(store[2023 * 512], 0xee);
    put_range(0, 1001, 8); /* within a block */
    assert_int_equal(request(11, 0, ranges, 1), 1);
    put_range(0, 1000, 9);
    assert_int_equal(request(13, 0, ranges, 1), 1);
    put_range(0, DISK_SECTORS - 8, 16);
    assert_int_equal(request(13, 0, ranges, 1), 1);
    assert_int_equal(submitted, 6);
}

/* Ten requests a second, after what a tenth of a second allows at once. */
static void few_requests(void **state)
{
    const struct buf one[] = { { DATA, 4096, true } };

    (void)state;
    begin(0);
    host_now = 1000000000;
    assert_int_equal(request(0, 0, one, 1), 0);
    assert_int_equal(request(0, 8, one, 1), 0);
    assert_int_equal(request(0, 16, one, 1), -1);
    host_now += 99000000;
    let();
    assert_true(drvq_used(&q, 1) < 0);
    host_now += 2000000;
    let();
    assert_true(drvq_used(&q, 1) > 0);
    same(DATA, 16 * 512, 4096);
    assert_int_equal(submitted, 3);
    assert_int_equal(request(0, 24, one, 1), -1);
    cw(&dev, C_STATUS, 1, 0); /* a reset forgets what waits, and gives no time back */
    run_events();
    begin(0);
    assert_int_equal(request(0, 24, one, 1), -1);
    host_now += 1000000000;
    let();
    assert_int_equal(submitted, 4);
}

/* 40 KiB a second, 4 of them at once; a large request makes those after it wait. */
static void few_bytes(void **state)
{
    const struct buf large[] = { { DATA, 0x5000, true } }, one[] = { { DATA, 512, true } };

    (void)state;
    begin(0);
    host_now = 1000000000;
    assert_int_equal(request(0, 0, large, 1), 0);
    assert_int_equal(request(0, 8, one, 1), -1);
    host_now += 395000000;
    let();
    assert_true(drvq_used(&q, 1) < 0);
    host_now += 10000000;
    let();
    assert_true(drvq_used(&q, 1) > 0);
}

static void serial(void **state)
{
    const struct buf id[] = { { DATA, 20, true } };
    uint8_t got[21] = "";

    (void)state;
    begin(0);
    poke(DATA, got, 20);
    assert_int_equal(request(8, 0, id, 1), 0);
    (void)gmem_read(&vm, gpa(DATA), got, 20);
    assert_string_equal((char *)got, "01234567890123456789");
}

/* One write of 4 KiB; how many flushes the disk saw. */
static unsigned flushes_of_a_write(void)
{
    const struct buf one[] = { { DATA, 4096, false } };

    flushed = 0;
    assert_int_equal(request(1, 64, one, 1), 0);
    same(DATA, 64 * 512, 4096);
    return flushed;
}

/* With the cache switched off, or never spoken of, what is answered is durable. */
static void write_cache(void **state)
{
    const struct buf one[] = { { DATA, 4096, true } };

    (void)state;
    begin(F(11));
    assert_int_equal(mem_rd(dev.config + 32, 1), 1);
    assert_int_equal(flushes_of_a_write(), 0);
    mem_wr(dev.config + 32, 1, 0);
    assert_int_equal(mem_rd(dev.config + 32, 1), 0);
    assert_int_equal(flushes_of_a_write(), 1);
    assert_int_equal(request(0, 64, one, 1), 0);
    assert_int_equal(flushed, 1); /* not after a read */
    mem_wr(dev.config + 32, 1, 1);
    assert_int_equal(flushes_of_a_write(), 0);
    begin(0); /* flush only: there is a cache, and no switch */
    mem_wr(dev.config + 32, 1, 0);
    assert_int_equal(flushes_of_a_write(), 0);
    start(SLOT_BLK, 0, 64, V1 | INDIRECT);
    assert_int_equal(flushes_of_a_write(), 1);
    refuse = 0;
    at_once = false;
    assert_int_equal(request(1, 0, (struct buf[]){ { DATA, 4096, false } }, 1), -1);
    end_one(0);
    run_events();
    assert_true(drvq_used(&q, 1) < 0); /* the flush is still to come */
    end_one(-EIO);
    run_events();
    assert_true(drvq_used(&q, 1) > 0);
    assert_int_equal(g32(ST) & 0xff, 1);
}

static void errors(void **state)
{
    const struct buf one[] = { { DATA, 4096, true } };

    (void)state;
    begin(0);
    at_once = false;
    assert_int_equal(request(0, 0, one, 1), -1);
    end_all(-EIO);
    run_events();
    assert_true(drvq_used(&q, 1) > 0);
    assert_int_equal(g32(ST) & 0xff, 1);
    at_once = true;
    refuse = 1;
    assert_int_equal(request(0, 0, one, 1), 1);
    assert_int_equal(request(0, 0, one, 1), 0);
    assert_int_equal(request(11, 0, one, 0), 2); /* no discard */
    assert_int_equal(request(0, DISK_SECTORS - 7, one, 1), 1);
}

static void ignore(struct event *ev) { (void)ev; }

/* The disk has requests: the reset lasts until it gave them back, and nobody is told of them. */
static void reset_waits(void **state)
{
    const struct buf one[] = { { DATA, 4096, true } };

    (void)state;
    event_init(&vm.lifecycle, ignore, 0);
    for (unsigned lap = 0; lap < 3; lap++) {
        begin(0);
        at_once = false;
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(request(0, 8 * i, one, 1), -1);
        cw(&dev, C_STATUS, 1, 0);
        run_events();
        assert_int_not_equal(cr(&dev, C_STATUS, 1), 0);
        assert_int_equal(vio_quiesce(&vm), -EINPROGRESS);
        end_one(0);
        end_one(-EIO);
        run_events();
        assert_int_not_equal(cr(&dev, C_STATUS, 1), 0);
        end_one(0);
        if (lap == 0)
            assert_int_not_equal(cr(&dev, C_STATUS, 1), 0); /* its event has not run */
        run_events();
        assert_int_equal(cr(&dev, C_STATUS, 1), 0);
        assert_int_equal(g32(ST) & 0xff, 0xee);
    }
    at_once = true;
    begin(0);
    assert_int_equal(request(0, 8, one, 1), 0);
}

static void queue_reset_waits(void **state)
{
    const struct buf one[] = { { DATA, 4096, true } };

    (void)state;
    begin(F(40));
    at_once = false;
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(request(0, 8 * i, one, 1), -1);
    cw(&dev, C_QSEL, 2, 0);
    cw(&dev, C_QRESET, 2, 1);
    run_events();
    assert_int_equal(cr(&dev, C_QRESET, 2), 1);
    end_all(0);
    run_events();
    assert_int_equal(cr(&dev, C_QRESET, 2), 0);
    assert_int_equal(g32(ST) & 0xff, 0xee);
    at_once = true;
    drv_queue(&dev, &q, 0, 64, 0x10000);
    memset(half[0] + 0x10000, 0, 0x3000);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(request(0, 8, one, 1), 0);
    assert_int_equal(cr(&dev, C_STATUS, 1), 15);
}

static void held(void **state)
{
    struct volume v;
    char why[100];

    (void)state;
    assert_int_equal(volume_open(&v, DISK_NAME, "nvme0", false, "other", why, sizeof why), -EBUSY);
    assert_string_equal(why, "test writes nvme0");
    assert_int_equal(volume_open(&v, DISK_NAME, "nvme0", true, "other", why, sizeof why), -EBUSY);
    assert_int_equal(volume_open(&v, DISK_NAME, "nvme7", true, "other", why, sizeof why), -ENOENT);
    assert_int_equal(volume_open(&v, DISK_NAME, "nvme1", true, "other", why, sizeof why), 0);
    assert_int_equal(v.blk.ops->submit(&v.blk, &(struct blk_req){ .op = BLK_WRITE }), -EROFS);
    volume_close(&v);
    assert_null(disks[1].volumes);
}

/* A state fits the disk until something is written to it, and is refused with any bit turned. */
static void saved(void **state)
{
    const struct buf one[] = { { DATA, 4096, true } }, out[] = { { DATA, 4096, false } };
    size_t len = vio_disk_ops.size(&vm, 0);
    uint8_t buf[64];

    (void)state;
    begin(0);
    assert_in_range(len, 1, sizeof buf);
    assert_int_equal(vio_disk_ops.save(&vm, 0, buf), 0);
    assert_int_equal(request(0, 8, one, 1), 0);
    assert_int_equal(vio_disk_ops.restore(&vm, 0, buf), 0);
    for (unsigned bit = 0; bit < len * 8; bit++) {
        buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(vio_disk_ops.restore(&vm, 0, buf) < 0);
        buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(request(1, 8, out, 1), 0);
    assert_int_equal(vio_disk_ops.restore(&vm, 0, buf), -EPERM);
    assert_string_equal(vm.why, "nvme0 was written to since the guest was saved");
    assert_int_equal(vio_disk_ops.save(&vm, 0, buf), 0);
    assert_int_equal(vio_disk_ops.restore(&vm, 0, buf), 0);
}

static uint64_t changes_of(const char *name)
{
    struct volume v;
    char why[100];
    uint64_t n;

    assert_int_equal(volume_open(&v, DISK_NAME, name, true, "test", why, sizeof why), 0);
    n = volume_changes(&v);
    volume_close(&v);
    return n;
}

static void change(const char *name)
{
    struct blk_req r = { .op = BLK_WRITE_ZEROES, .nsectors = 8 };
    struct volume v;
    char why[100];

    event_init(&r.done, disk_done, 0);
    assert_int_equal(volume_open(&v, DISK_NAME, name, false, "test", why, sizeof why), 0);
    assert_int_equal(v.blk.ops->submit(&v.blk, &r), 0);
    end_all(0);
    run_events();
    volume_close(&v);
}

/* A partition's neighbour is none of its business; the whole disk is. */
static void changes(void **state)
{
    static struct part_table two = { .kind = PART_GPT,
                                     .n = 2,
                                     .part = { { .first = 64, .sectors = 64, .number = 1 },
                                               { .first = 128, .sectors = 64, .number = 5 } } };
    struct part_table *was = disks[1].table;
    uint64_t all, one_of, other;

    (void)state;
    disks[1].table = &two;
    all = changes_of("nvme1"), one_of = changes_of("nvme1p1"), other = changes_of("nvme1p5");
    change("nvme1p5");
    assert_int_equal(changes_of("nvme1p1"), one_of);
    assert_true(changes_of("nvme1p5") > other && changes_of("nvme1") > all);
    other = changes_of("nvme1p5");
    change("nvme1");
    assert_true(changes_of("nvme1p1") > one_of && changes_of("nvme1p5") > other);
    disks[1].table = was;
}

/* A volume as a CD: the last block is left out where it is not whole; 4096 bytes are too many. */
static void cdrom(void **state)
{
    const struct buf two[] = { { DATA, 2048, true } };

    fake_down();
    config.disk[0].ro = config.disk[0].cdrom = true;
    disks[0].blk.sectors -= 1;
    assert_int_equal(set_up(state, "nvme0"), 0);
    start(SLOT_BLK, 0, 64, V1 | INDIRECT | F(5) | F(6));
    assert_int_equal(mem_rd(dev.config, 4), DISK_SECTORS - 4);
    assert_int_equal(mem_rd(dev.config + 20, 4), 2048);
    assert_int_equal(request(0, 8, two, 1), 0);
    assert_int_equal(request(0, DISK_SECTORS - 8, two, 1), 0);
    assert_int_equal(request(0, DISK_SECTORS - 4, two, 1), 1);
    assert_int_equal(request(0, 9, two, 1), 1);
    fake_down();
    disks[0].blk.sectors += 1;
    strcpy(config.disk[0].path, "nvme1");
    assert_int_equal(vpci_create(&vm, &layout), 0);
    assert_int_equal(vio_build(&vm, &config), -ENOTSUP);
    assert_non_null(strstr(vm.why, "cdrom nvme1: its blocks are larger than a CD's 2048 bytes"));
    assert_null(disks[1].volumes);
    fake_down();
    config.disk[0].ro = config.disk[0].cdrom = false;
    fake_up();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(straight, up_512, down),
        cmocka_unit_test_setup_teardown(crooked, up_512, down),
        cmocka_unit_test_setup_teardown(any_cut_512, up_512, down),
        cmocka_unit_test_setup_teardown(blocks_of_4096, up_4096, down),
        cmocka_unit_test_setup_teardown(without_data, up_4096, down),
        cmocka_unit_test_setup_teardown(few_requests, up_few_requests, down_any),
        cmocka_unit_test_setup_teardown(few_bytes, up_few_bytes, down_any),
        cmocka_unit_test_setup_teardown(serial, up_512, down),
        cmocka_unit_test_setup_teardown(write_cache, up_512, down),
        cmocka_unit_test_setup_teardown(errors, up_512, down),
        cmocka_unit_test_setup_teardown(reset_waits, up_512, down),
        cmocka_unit_test_setup_teardown(queue_reset_waits, up_512, down),
        cmocka_unit_test_setup_teardown(held, up_512, down),
        cmocka_unit_test_setup_teardown(saved, up_512, down),
        cmocka_unit_test_setup_teardown(changes, up_512, down),
        cmocka_unit_test_setup_teardown(cdrom, up_512, down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
