/* SPDX-License-Identifier: BSD-2-Clause */
/* The NVMe driver over a controller of our own, which also answers late, twice, wrongly, never. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "arch/host/host.h"
#include "nvme_model.h"

#include "disk_driver.h"

static int setup(void **state)
{
    (void)state;
    memory_init();
    for (unsigned i = 0; disk_by_index(i); i++) /* of former tests: they share the registers */
        container_of(disk_by_index(i), struct nvme_ns, disk)->ctrl->state = NVME_DEAD;
    model_new();
    return 0;
}

static void boot(void)
{
    assert_int_equal(nvme_driver.probe(&model_dev), 0);
    d = newest();
    assert_non_null(d);
}

static void finds_it(void **state)
{
    (void)state;
    model_ns(2, 100, 12);
    model_ns(3, 1000, 9);
    m.ns[3][128] = 8; /* metadata: left out */
    boot();
    assert_true(m.master);
    assert_int_equal(m.resets, 1); /* what the firmware had was stopped */
    assert_int_equal(m.dma_while_no_master, 0);
    assert_string_equal(d->model, "A model");
    assert_string_equal(d->serial, "SERIAL-1");
    assert_int_equal(d->unit, 2);
    assert_int_equal(d->blk.sectors, 800);
    assert_int_equal(d->blk.limits.block, 4096);
    assert_int_equal(d->blk.limits.max_bytes, MIB);
}

static struct nvme *controller(void) { return container_of(d, struct nvme_ns, disk)->ctrl; }

/* Each of the virtual functions has two queues and two interrupts, also after a reset. */
static void virtual_functions(void **state)
{
    (void)state;
    mv.vfs = MODEL_VFS;
    boot();
    assert_int_equal(mv.resets, 1);
    assert_int_equal(controller()->nns, 1);
    assert_int_equal(m.dma_while_no_master, 0);
    assert_int_equal(mv.own[0] + mv.own[1], 0);
    for (unsigned i = 0; i < MODEL_VFS; i++) {
        assert_true(mv.online[i]);
        assert_int_equal(mv.has[i][0], 2);
        assert_int_equal(mv.has[i][1], 2);
    }
    assert_int_equal(controller()->virt.working, 2);
    *model_reg(NVME_CSTS) |= NVME_CSTS_FATAL;
    event_post(&controller()->event);
    for (unsigned i = 0; i < 100; i++) {
        host_now += 1000000;
        model_run();
        (void)event_run();
    }
    assert_true(mv.online[0] && mv.online[1]);
    assert_int_equal(mv.resets, 1);
    mv.vfs = 0;
}

/* It keeps all for itself: the controller works, and its virtual functions do not. */
static void virtual_functions_without_queues(void **state)
{
    (void)state;
    mv.vfs = MODEL_VFS;
    mv.mean = true;
    boot();
    assert_false(mv.online[0] || mv.online[1]);
    assert_int_equal(controller()->state, NVME_LIVE);
    assert_int_equal(controller()->virt.working, 0);
    assert_int_equal(mv.resets, 2); /* this one's, and that of the test before */
    mv.mean = false;
    mv.commands = 0;
    (void)setup(NULL);
    m.ctrl[256] = 0; /* it cannot share anything out: it is not asked */
    boot();
    assert_int_equal(mv.commands, 0);
    assert_int_equal(controller()->state, NVME_LIVE);
    mv.vfs = 0;
}

static void refuses(void **state)
{
    static const struct {
        uint64_t cap;
    } caps[] = { { 4ull << 24 | 63 },               /* no NVM command set */
                 { 1ull << 37 | 1ull << 48 | 63 },  /* pages of 8 KiB at least */
                 { 1ull << 37 },                    /* queues of one entry */
                 { 1ull << 37 | 15ull << 32 | 63 }, /* doorbells beyond the BAR */
                 { UINT64_MAX } };
    struct disk *before = newest();

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(caps); i++) {
        model_cap(caps[i].cap);
        (void)nvme_driver.probe(&model_dev);
        assert_ptr_equal(newest(), before);
        assert_false(m.master);
    }
    /* namespaces that cannot be */
    setup(NULL);
    model_ns(1, 0, 9);
    m.ns[1][128 + 2] = 9;
    model_ns(2, UINT64_MAX / 2, 9);
    model_ns(3, 100, 13);
    (void)nvme_driver.probe(&model_dev);
    assert_ptr_equal(newest(), before);
    setup(NULL);
    m.ns[1][26] = 15; /* a format beyond those there are */
    (void)nvme_driver.probe(&model_dev);
    assert_ptr_equal(newest(), before);
    setup(NULL);
    m.ctrl[512] = 0x55; /* entries of 32 bytes */
    (void)nvme_driver.probe(&model_dev);
    assert_ptr_equal(newest(), before);
    assert_false(m.master);
}

static void check(uint64_t off, uint64_t disk, uint64_t len)
{
    assert_memory_equal(memory + off, m.disk + disk, len);
}

static void transfers(void **state)
{
    const struct blk_seg one[] = { at(0, 4096) }, part[] = { at(0x204, 512) },
                         two[] = { at(0x1c00, 0x400), at(0x5000, 0xc00) },
                         many[] = { at(0x10800, 0x800), at(0x20000, 0x20000), at(0x60000, 0x200) };
    struct blk_req r;

    (void)state;
    boot();
    memset(memory, 0, AREA);
    assert_int_equal(submit(&r, BLK_READ, 16, one, 1), 0);
    run(2);
    assert_int_equal(r.status, 0);
    check(0, 16 * 512, 4096);
    assert_int_equal(m.last.prp2, 0);
    assert_int_equal(submit(&r, BLK_READ, 33, part, 1), 0);
    run(2);
    check(0x204, 33 * 512, 512);
    assert_int_equal(submit(&r, BLK_READ, 40, two, 2), 0);
    run(2);
    check(0x1c00, 40 * 512, 0x400);
    check(0x5000, 40 * 512 + 0x400, 0xc00);
    assert_int_equal(submit(&r, BLK_READ, 100, many, 3), 0);
    run(2);
    check(0x10800, 100 * 512, 0x800);
    check(0x20000, 100 * 512 + 0x800, 0x20000);
    check(0x60000, 100 * 512 + 0x20800, 0x200);
    memset(memory + 0x20000, 0xab, 0x20000);
    assert_int_equal(submit(&r, BLK_WRITE, 500, many, 3), 0);
    run(2);
    assert_int_equal(r.status, 0);
    check(0x20000, 500 * 512 + 0x800, 0x20000);
    assert_int_equal(submit(&r, BLK_FLUSH, 0, NULL, 0), 0);
    run(2);
    assert_int_equal(m.flushes, 1);
    assert_int_equal(ended, 6);
    assert_int_equal(d->stats.written, 0x20a00);
    assert_int_equal(d->stats.flushes, 1);
    assert_int_equal(m.dma_while_no_master, 0);
}

static void wrong_requests(void **state)
{
    const struct blk_seg odd[] = { at(2, 512) }, gap[] = { at(0, 512), at(0x1000, 512) },
                         inside[] = { at(0xe00, 512), at(0x1200, 512) },
                         end[] = { at(0x200, 0x400), at(0x1000, 0x200) },
                         big[] = { at(0, 2 << 20) }, whole[] = { at(0, 4096) };
    struct blk_req r;

    (void)state;
    boot();
    assert_int_equal(submit(&r, BLK_READ, 0, odd, 1), -EINVAL);
    assert_int_equal(submit(&r, BLK_READ, 0, gap, 2), -EINVAL);
    assert_int_equal(submit(&r, BLK_READ, 0, inside, 2), -EINVAL);
    assert_int_equal(submit(&r, BLK_READ, 0, end, 2), -EINVAL);
    assert_int_equal(submit(&r, BLK_READ, 0, big, 1), -EINVAL);
    assert_int_equal(submit(&r, BLK_READ, 0, whole, 0), -EINVAL);
    assert_int_equal(submit(&r, BLK_READ, MODEL_DISK / 512 - 7, whole, 1), -EINVAL);
    assert_int_equal(submit(&r, BLK_READ, UINT64_MAX - 3, whole, 1), -EINVAL);
    assert_int_equal(submit(&r, BLK_DISCARD, 0, NULL, 0), -ENOTSUP);
    run(2);
    assert_int_equal(m.reads, 1); /* of the boot */
    assert_int_equal(ended, 0);
}

static int clear(struct blk_req *r, uint8_t op, uint64_t sector, uint64_t n)
{
    *r = (struct blk_req){ .sector = sector, .nsectors = n, .op = op };
    event_init(&r->done, done, 0);
    return d->blk.ops->submit(&d->blk, r);
}

static void without_data(void **state)
{
    struct blk_req r;

    (void)state;
    m.ctrl[520] = 1 << 2 | 1 << 3;
    m.ns[1][24] = 1 << 4; /* what it writes best: 8 blocks, counted from 0 */
    m.ns[1][64] = 7;
    boot();
    assert_int_equal(d->blk.limits.physical, 4096);
    assert_int_equal(clear(&r, BLK_WRITE_ZEROES, 600, 100), 0);
    run(2);
    assert_int_equal(r.status, 0);
    for (unsigned i = 600 * 512; i < 700 * 512; i++)
        assert_int_equal(m.disk[i], 0);
    assert_int_not_equal(m.disk[700 * 512 + 1], 0);
    assert_int_equal(clear(&r, BLK_DISCARD, 1000, 16), 0);
    run(2);
    assert_int_equal(r.status, 0);
    assert_int_equal(m.disk[1000 * 512], 0xee);
    assert_int_equal(m.disk[1016 * 512 - 1], 0xee);
    assert_int_equal(d->stats.discarded, 116 * 512);
    assert_int_equal(clear(&r, BLK_DISCARD, MODEL_DISK / 512 - 7, 8), -EINVAL);
    assert_int_equal(clear(&r, BLK_DISCARD, 0, 0), -EINVAL);
    assert_int_equal(clear(&r, BLK_WRITE_ZEROES, 0, d->blk.limits.zeroes_max + 1ull), -EINVAL);
    assert_int_equal(clear(&r, BLK_WRITE_ZEROES + 1, 0, 1), -ENOTSUP);
    assert_int_equal(m.dma_while_no_master, 0);
}

/* At the machine's end; one that does not answer holds nothing up for long. */
static void shut_down(void **state)
{
    uint64_t before;

    (void)state;
    boot();
    m.never_rests = true;
    before = host_now;
    nvme_driver.shutdown();
    assert_in_range(host_now - before, 4000000000ull, 6000000000ull);
    m.never_rests = false;
    before = host_now;
    nvme_driver.shutdown();
    assert_true(host_now - before < 1000000);
    assert_int_equal(*model_reg(NVME_CC) >> 14 & 3, 1);
    assert_int_equal(*model_reg(NVME_CC) & 1, 1);
}

/* What it tells, at boot and once a minute; it may refuse, and must not be silent. */
static void health(void **state)
{
    const struct disk_health *h;
    unsigned before;

    (void)state;
    m.log[1] = (273 + 41) & 0xff;
    m.log[2] = (273 + 41) >> 8;
    m.log[5] = 12;
    boot();
    h = &d->health;
    before = m.resets;
    assert_int_equal(m.logs, 1);
    assert_int_equal(h->celsius, 41);
    assert_int_equal(h->worn, 12);
    m.log[1] = m.log[2] = 0;
    m.log[0] = 4;
    m.log[162] = 1;
    m.log[177] = 2;
    run(59000);
    assert_int_equal(m.logs, 1);
    run(2000);
    assert_int_equal(m.logs, 2);
    assert_int_equal(h->celsius, 0);
    assert_int_equal(h->warnings, 4);
    assert_int_equal(h->media_errors, 65536);
    assert_int_equal(h->logged, 512);
    m.no_log = true; /* what it told stays */
    run(60000);
    assert_int_equal(h->media_errors, 65536);
    assert_int_equal(m.resets, before);
    m.admin_lost = 1;
    before = m.resets;
    run(70000);
    assert_int_equal(m.resets, before + 1);
    setup(NULL);
    m.no_log = true;
    boot();
    assert_int_equal(d->health.asked, 0);
    run(61000);
    assert_int_equal(m.logs, 0);
}

/* More than the queue holds, in order; one that waits can be taken back. */
static void many(void **state)
{
    static struct blk_req r[200];
    const struct blk_seg one[] = { at(0, 4096) };

    (void)state;
    boot();
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(submit(&r[i], BLK_READ, i, one, 1), 0);
    assert_true(d->blk.ops->cancel(&d->blk, &r[150]));
    assert_true(d->blk.ops->cancel(&d->blk, &r[199]));
    assert_false(d->blk.ops->cancel(&d->blk, &r[0]));
    run(10);
    assert_int_equal(ended, 198);
    assert_false(d->blk.ops->cancel(&d->blk, &r[1]));
    for (unsigned i = 0; i < 199; i++)
        assert_int_equal(r[i].status, i == 150 ? -EINPROGRESS : 0);
}

static void twice_and_wrong(void **state)
{
    static struct blk_req r[100];
    const struct blk_seg one[] = { at(0, 4096) };

    (void)state;
    boot();
    m.twice = 30;
    m.wrong = 40;
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(submit(&r[i], BLK_READ, i, one, 1), 0);
        if (i % 20 == 19) /* the queue of answers must not run over */
            run(4);
    }
    assert_int_equal(ended, 100);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(r[i].status, 0);
    assert_int_equal(container_of(d, struct nvme_ns, disk)->ctrl->strays, 70);
    assert_int_equal(d->stats.errors, 0);
}

static void failing(void **state)
{
    const struct blk_seg one[] = { at(0, 4096) };
    struct blk_req r;

    (void)state;
    boot();
    m.fail = 1;
    m.fail_status = 0x281 << 1; /* unrecovered read error; a retry may help */
    assert_int_equal(submit(&r, BLK_READ, 8, one, 1), 0);
    run(5);
    assert_int_equal(r.status, 0);
    assert_int_equal(d->stats.retries, 1);
    m.fail = 2;
    assert_int_equal(submit(&r, BLK_READ, 8, one, 1), 0);
    run(5);
    assert_int_equal(r.status, -EIO);
    m.fail = 1;
    m.fail_status = 1 << 15 | 0x281 << 1; /* do not retry */
    assert_int_equal(submit(&r, BLK_READ, 8, one, 1), 0);
    run(5);
    assert_int_equal(r.status, -EIO);
    assert_int_equal(d->stats.errors, 2);
    assert_int_equal(submit(&r, BLK_READ, 8, one, 1), 0);
    run(5);
    assert_int_equal(r.status, 0);
}

/* One command is never answered: it is aborted, and tried once more. */
static void aborted(void **state)
{
    const struct blk_seg one[] = { at(0, 4096) };
    struct blk_req r, s;

    (void)state;
    boot();
    m.lost = 1;
    assert_int_equal(submit(&r, BLK_READ, 8, one, 1), 0);
    assert_int_equal(submit(&s, BLK_READ, 16, one, 1), 0);
    run(4000);
    assert_int_equal(r.status, -EINPROGRESS);
    assert_int_equal(s.status, 0);
    assert_int_equal(m.aborts, 0);
    run(2000);
    assert_int_equal(m.aborts, 1);
    assert_int_equal(r.status, 0);
    assert_int_equal(m.resets, 1);
    assert_int_equal(d->stats.timeouts, 1);
}

/* Nor does the abort help: the controller is reset, and does the rest. */
static void reset(void **state)
{
    static struct blk_req r[80];
    const struct blk_seg one[] = { at(0, 4096) };

    (void)state;
    boot();
    m.lost = 3;
    m.no_abort = true;
    for (unsigned i = 0; i < 80; i++)
        assert_int_equal(submit(&r[i], BLK_READ, 8 * i, one, 1), 0);
    run(6900);
    assert_int_equal(ended, 77);
    run(1000);
    assert_int_equal(m.resets, 2);
    assert_int_equal(ended, 80);
    for (unsigned i = 0; i < 80; i++)
        assert_int_equal(r[i].status, 0);
    assert_int_equal(container_of(d, struct nvme_ns, disk)->ctrl->resets, 1);
}

/* It answers nothing any more: everything ends, with an error, in bounded time. */
static void silent(void **state)
{
    static struct blk_req r[80];
    const struct blk_seg one[] = { at(0, 4096) };

    (void)state;
    boot();
    m.lost = 1000000;
    m.no_abort = true;
    for (unsigned i = 0; i < 80; i++)
        assert_int_equal(submit(&r[i], BLK_READ, i, one, 1), 0);
    run(32000);
    assert_int_equal(ended, 80);
    for (unsigned i = 0; i < 80; i++)
        assert_int_equal(r[i].status, -EIO);
    assert_int_equal(d->stats.errors, 80);
}

static void gone(const char *how, unsigned ms)
{
    const struct blk_seg one[] = { at(0, 4096) };
    struct blk_req r;

    (void)how;
    assert_int_equal(submit(&r, BLK_READ, 0, one, 1), 0);
    run(ms);
    assert_int_equal(r.status, -EIO);
    assert_int_equal(ended, 1);
    assert_false(m.master);
    assert_int_equal(submit(&r, BLK_READ, 0, one, 1), -EIO);
    run(1000);
    assert_int_equal(ended, 1);
}

/* Memory goes back to its owner only when the controller is no bus master any more. */
static void does_not_stop(void **state)
{
    (void)state;
    boot();
    m.lost = 1000000;
    m.no_abort = m.never_stops = true;
    gone("it does not stop", 11000);
}

static void pulled_out(void **state)
{
    (void)state;
    boot();
    m.lost = 1;
    *model_reg(NVME_CSTS) = UINT32_MAX;
    gone("all registers read as ones", 2);
}

static void does_not_come_back(void **state)
{
    (void)state;
    boot();
    m.lost = 1;
    m.no_abort = m.never_ready = true;
    gone("it is never ready", 30000);
}

static void no_admin(void **state)
{
    (void)state;
    boot();
    m.lost = 1;
    m.no_abort = true;
    m.admin_lost = 1000000;
    gone("it answers no admin command", 30000);
}

static void fatal(void **state)
{
    const struct blk_seg one[] = { at(0, 4096) };
    struct blk_req r;

    (void)state;
    boot();
    m.lost = 1;
    assert_int_equal(submit(&r, BLK_READ, 0, one, 1), 0);
    model_run();
    *model_reg(NVME_CSTS) |= NVME_CSTS_FATAL;
    run(10);
    assert_int_equal(m.resets, 2);
    assert_int_equal(r.status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(finds_it, setup),
        cmocka_unit_test_setup(virtual_functions, setup),
        cmocka_unit_test_setup(virtual_functions_without_queues, setup),
        cmocka_unit_test_setup(refuses, setup),
        cmocka_unit_test_setup(transfers, setup),
        cmocka_unit_test_setup(wrong_requests, setup),
        cmocka_unit_test_setup(without_data, setup),
        cmocka_unit_test_setup(shut_down, setup),
        cmocka_unit_test_setup(health, setup),
        cmocka_unit_test_setup(many, setup),
        cmocka_unit_test_setup(twice_and_wrong, setup),
        cmocka_unit_test_setup(failing, setup),
        cmocka_unit_test_setup(aborted, setup),
        cmocka_unit_test_setup(reset, setup),
        cmocka_unit_test_setup(silent, setup),
        cmocka_unit_test_setup(does_not_stop, setup),
        cmocka_unit_test_setup(pulled_out, setup),
        cmocka_unit_test_setup(does_not_come_back, setup),
        cmocka_unit_test_setup(no_admin, setup),
        cmocka_unit_test_setup(fatal, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
