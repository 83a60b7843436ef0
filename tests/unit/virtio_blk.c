/* SPDX-License-Identifier: BSD-2-Clause */
/* The block device and the RAM disk below it. */
#include "vio_device.h"
#include <hv/vcpu.h>

/* ---- block ---- */

enum { HDR = 0x30000, DATA = 0x40000, ST = 0x31000 };

static int request(uint32_t type, uint64_t sector, unsigned len, bool in)
{
    const struct buf b[3] = { { HDR, 16, false }, { DATA, len, in }, { ST, 1, true } };
    const struct buf none[2] = { { HDR, 16, false }, { ST, 1, true } };
    int64_t used;
    uint8_t status = 0xee;

    p32(HDR, type);
    p32(HDR + 4, 0);
    p64(HDR + 8, sector);
    poke(ST, &status, 1);
    drvq_add(&q, len ? b : none, len ? 3 : 2, 0);
    drvq_kick(&q);
    used = drvq_used(&q, len ? 3 : 2);
    (void)gmem_read(&vm, gpa(ST), &status, 1);
    if (used != 1 + (status == 0 && in ? (type == 8 ? (len < 20 ? len : 20) : len) : 0))
        return -1;
    return status;
}

static uint8_t byte(uint64_t a)
{
    uint8_t v = 0;

    (void)gmem_read(&vm, gpa(a), &v, 1);
    return v;
}

static void test_blk(void **state)
{
    static const uint8_t ones[65536 + 512] = { [0 ... sizeof ones - 1] = 0xaa };
    uint64_t sectors = (FILE_LEN + 511) / 512;

    (void)state;
    start(SLOT_BLK, 1, 16, V1 | F(9) | F(12) | F(13) | F(14));
    assert_int_equal(request(0, 3, 1024, true), 0);
    for (unsigned i = 0; i < 1024; i++)
        assert_int_equal(byte(DATA + i), file[3 * 512 + i]);
    assert_int_equal(request(0, sectors - 1, 512, true), 0);
    assert_int_equal(byte(DATA + 99), file[FILE_LEN - 1]);
    assert_int_equal(byte(DATA + 100), 0); /* beyond the file's end */
    assert_int_equal(request(0, sectors, 512, true), 1);
    assert_int_equal(request(0, UINT64_MAX, 512, true), 1);
    assert_int_equal(request(0, 0, 100, true), 1);
    assert_int_equal(request(0, 0, 0, true), 1);
    assert_int_equal(request(99, 0, 512, true), 2);
    assert_int_equal(request(4, 0, 0, false), 0);
    assert_int_equal(request(8, 0, 20, true), 0);
    assert_int_equal(byte(DATA), 't');
    /* a write across two pieces of 64 KiB, and across the border in guest memory */
    poke(DATA, ones, sizeof ones);
    assert_int_equal(request(1, 100, sizeof ones, false), 0);
    poke(DATA, file, 1024);
    assert_int_equal(request(0, 99, 1024, true), 0);
    assert_int_equal(byte(DATA + 511), file[100 * 512 - 1]);
    assert_int_equal(byte(DATA + 512), 0xaa);
    assert_int_equal(request(0, 100 + 128, 1024, true), 0);
    assert_int_equal(byte(DATA + 511), 0xaa);
    assert_int_equal(byte(DATA + 512), file[229 * 512]);
    assert_int_equal(request(1, sectors - 1, 1024, false), 1);
    assert_int_equal(cr(&dev, C_STATUS, 1), 15);
}

static void put_range(unsigned i, uint64_t sector, uint32_t n, uint32_t flags)
{
    p64(DATA + 16 * i, sector);
    p32(DATA + 16 * i + 8, n);
    p32(DATA + 16 * i + 12, flags);
}

static void test_discard(void **state)
{
    struct pmm_stats before, now;
    static const uint8_t ones[65536] = { [0 ... 65535] = 0xaa };

    (void)state;
    start(SLOT_BLK, 0, 16, V1 | F(13) | F(14));
    pmm_stats(&before);
    poke(DATA, ones, sizeof ones);
    assert_int_equal(request(1, 128, 65536, false), 0);
    pmm_stats(&now);
    assert_int_equal(before.free - now.free, 65536); /* its own copy of one piece */
    put_range(0, 130, 2, 1);
    put_range(1, 140, 1, 0);
    assert_int_equal(request(13, 0, 32, false), 0); /* write zeroes */
    assert_int_equal(request(0, 130, 1024, true), 0);
    assert_int_equal(byte(DATA), 0);
    assert_int_equal(byte(DATA + 1023), 0);
    assert_int_equal(request(0, 132, 512, true), 0);
    assert_int_equal(byte(DATA), 0xaa);
    put_range(0, 128, 128, 0);
    assert_int_equal(request(11, 0, 16, false), 0); /* discard: the memory comes back */
    pmm_stats(&now);
    assert_int_equal(before.free, now.free);
    assert_int_equal(request(0, 128, 512, true), 0);
    assert_int_equal(byte(DATA), 0);
    put_range(0, 0, 1, 1);
    assert_int_equal(request(11, 0, 16, false), 2); /* unmap is no flag of discard */
    put_range(0, 600, 10, 0);
    assert_int_equal(request(11, 0, 16, false), 1);
    assert_int_equal(request(13, 0, 17, false), 2);
    assert_int_equal(request(13, 0, 17 * 16, false), 2);
    /* to the very end: the short last piece too */
    put_range(0, 300, 301, 0);
    assert_int_equal(request(13, 0, 16, false), 0);
    assert_int_equal(request(0, 600, 512, true), 0);
    assert_int_equal(byte(DATA), 0);
}

/*
 * The header and the status may lie anywhere in the descriptors; what is broken breaks the device
 * only.
 */
static void test_blk_layout(void **state)
{
    const struct buf odd[4] = {
        { HDR, 7, false }, { HDR + 7, 9, false }, { DATA, 300, true }, { DATA + 300, 213, true }
    };
    const struct buf no_status[1] = { { HDR, 16, false } },
                     no_header[2] = { { HDR, 15, false }, { ST, 1, true } };

    (void)state;
    start(SLOT_BLK, 0, 16, V1);
    p32(HDR, 0);
    p64(HDR + 8, 5);
    drvq_add(&q, odd, 4, 0);
    drvq_kick(&q);
    assert_int_equal(drvq_used(&q, 4), 513);
    assert_int_equal(byte(DATA + 512), 0);
    assert_int_equal(byte(DATA + 511), file[6 * 512 - 1]);
    drvq_add(&q, no_status, 1, 0);
    drvq_kick(&q);
    needs_reset();
    logs = 0;
    start(SLOT_BLK, 0, 16, V1);
    drvq_add(&q, no_header, 2, 0);
    drvq_kick(&q);
    needs_reset();
}

/*
 * More requests than can be in flight, each larger than what is done at once; a reset in the middle
 * ends them all.
 */
static void test_blk_queueing(void **state)
{
    (void)state;
    for (unsigned packed = 0; packed < 2; packed++) {
        start(SLOT_BLK, 0, 256, V1 | INDIRECT | (packed ? PACKED : 0));
        p32(HDR, 0);
        p64(HDR + 8, 0);
        for (unsigned lap = 0; lap < 2; lap++) {
            for (unsigned i = 0; i < 40; i++) {
                const struct buf b[3] = { { HDR, 16, false },
                                          { DATA, 0x40000, true },
                                          { ST + i, 1, true } };

                drvq_add(&q, b, 3, 0x20000 + 64 * i);
            }
            mem_wr(dev.notify, 2, 0);
            if (lap == 1) {
                tick = 3000000; /* each run of events ends soon */
                for (unsigned i = 0; i < 4; i++)
                    assert_true(event_run());
                tick = 0;
                assert_int_equal(cr(&dev, C_STATUS, 1), 15);
                break;
            }
            run_events();
            for (unsigned i = 0; i < 40; i++)
                assert_int_equal(drvq_used(&q, 1), 0x40001);
        }
        cw(&dev, C_STATUS, 1, 0);
        assert_int_equal(cr(&dev, C_STATUS, 1), 0);
        memset(half[0] + DATA, 0x55, 4096);
        run_events();
        assert_int_equal(byte(DATA), 0x55);
    }
}

/*
 * Requests in flight stop between two pieces when the bus master bit goes, and end when it comes
 * back.
 */
static void test_blk_bus_master(void **state)
{
    static uint8_t before[0x40000 + 0x3000];

    (void)state;
    for (unsigned packed = 0; packed < 2; packed++)
        for (unsigned steps = 0; steps < 14; steps++) {
            start(SLOT_BLK, 0, 256, V1 | INDIRECT | (packed ? PACKED : 0));
            p32(HDR, 0);
            p64(HDR + 8, 0);
            for (unsigned i = 0; i < 20; i++) {
                const struct buf b[3] = { { HDR, 16, false },
                                          { DATA, 0x40000, true },
                                          { ST + i, 1, true } };

                drvq_add(&q, b, 3, 0x20000 + 64 * i);
            }
            mem_wr(dev.notify, 2, 0);
            tick = 3000000; /* each run of events ends soon */
            for (unsigned i = 0; i < steps; i++)
                assert_true(event_run());
            tick = 0;
            cfg_wr(SLOT_BLK, PCI_COMMAND, 2, PCI_CMD_MEM);
            memset(half[0] + DATA, 0x55, 0x40000);
            memset(half[0] + ST, 0xee, 20);
            memcpy(before, half[0] + DATA, 0x40000);
            memcpy(before + 0x40000, half[0] + q.desc, 0x3000);
            run_events();
            assert_memory_equal(before, half[0] + DATA, 0x40000);
            assert_memory_equal(before + 0x40000, half[0] + q.desc, 0x3000);
            assert_int_equal(byte(ST + 19), 0xee);
            cfg_wr(SLOT_BLK, PCI_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER);
            run_events();
            for (unsigned i = 0; i < 20; i++)
                assert_int_equal(drvq_used(&q, 1), 0x40001);
            assert_int_equal(byte(ST + 19), 0);
            assert_int_equal(byte(DATA + 0x3ffff), file[0x3ffff]);
        }
}

static void test_queue_reset(void **state)
{
    (void)state;
    start(SLOT_BLK, 0, 16, V1 | F(40));
    assert_int_equal(request(0, 3, 1024, true), 0);
    cw(&dev, C_QSEL, 2, 0);
    cw(&dev, C_QRESET, 2, 1);
    assert_int_equal(cr(&dev, C_QRESET, 2), 1);
    assert_int_equal(cr(&dev, C_QEN, 2), 0);
    run_events();
    assert_int_equal(cr(&dev, C_QRESET, 2), 0);
    p16(0x11002, 0);
    p16(0x12002, 0);
    drv_queue(&dev, &q, 0, 8, 0x10000);
    assert_int_equal(request(0, 3, 1024, true), 0);
    assert_int_equal(cr(&dev, C_STATUS, 1), 15);
}

/* What a guest wrote is there after its reset, and gone after power-off. */
static void test_disk_survives_reset(void **state)
{
    (void)state;
    start(SLOT_BLK, 0, 16, V1);
    half[0][DATA] = 0x77;
    assert_int_equal(request(1, 0, 512, false), 0);
    vio_destroy(&vm);
    assert_int_equal(vio_build(&vm, &config), 0);
    start(SLOT_BLK, 0, 16, V1);
    assert_int_equal(request(0, 0, 512, true), 0);
    assert_int_equal(byte(DATA), 0x77);
    vio_destroy(&vm);
    while (vio_release(&vm))
        ;
    assert_int_equal(vio_build(&vm, &config), 0);
    start(SLOT_BLK, 0, 16, V1);
    assert_int_equal(request(0, 0, 512, true), 0);
    assert_int_equal(byte(DATA), file[0]);
}

static void test_read_only(void **state)
{
    (void)state;
    fake_down();
    config.disk[0].ro = true;
    fake_up();
    start(SLOT_BLK, 0, 16, V1 | F(5));
    assert_int_equal(request(0, 0, 512, true), 0);
    assert_int_equal(request(1, 0, 512, false), 1);
    put_range(0, 0, 1, 0);
    assert_int_equal(request(13, 0, 16, false), 1);
    config.disk[0].ro = false;
}

/* Blocks of 2048 bytes, to the end of the last; reads that begin inside one are none of a CD's. */
static void test_cdrom(void **state)
{
    uint64_t sectors = (FILE_LEN + 2047) / 2048 * 4;

    (void)state;
    fake_down();
    config.disk[0].ro = config.disk[0].cdrom = true;
    fake_up();
    start(SLOT_BLK, 0, 16, V1 | F(5) | F(6));
    assert_int_equal(mem_rd(dev.config, 4), sectors);
    assert_int_equal(mem_rd(dev.config + 20, 4), 2048);
    assert_int_equal(request(0, 64, 4096, true), 0);
    assert_int_equal(byte(DATA + 4095), file[64 * 512 + 4095]);
    assert_int_equal(request(0, sectors - 4, 2048, true), 0);
    assert_int_equal(byte(DATA + 99), file[FILE_LEN - 1]);
    assert_int_equal(byte(DATA + 2047), 0); /* beyond the file's end */
    assert_int_equal(request(0, sectors, 2048, true), 1);
    assert_int_equal(request(0, 65, 2048, true), 1);
    assert_int_equal(request(0, 64, 512, true), 1);
    assert_int_equal(request(1, 64, 2048, false), 1);
    config.disk[0].ro = config.disk[0].cdrom = false;
}

/*
 * One sector in each piece, until the limit: errors then, one line that says what to change, and
 * what was written stays.
 */
static void test_disk_limit(void **state)
{
    unsigned good = 0, said;
    struct pmm_stats s;

    (void)state;
    vm.limited = true;
    assert_int_equal(pmm_promise(2 * RAMDISK_PIECE), 0);
    vm.charge[CHARGE_DISK].limit = 2 * RAMDISK_PIECE;
    start(SLOT_BLK, 0, 16, V1);
    said = logs;
    half[0][DATA] = 0x77;
    for (unsigned i = 0; i < 4; i++)
        good += request(1, 128 * i, 512, false) == 0;
    assert_int_equal(good, 2);
    assert_int_equal(logs, said + 1);
    assert_non_null(strstr(last_log, "disk-changes = 128 KiB is reached"));
    pmm_stats(&s);
    assert_int_equal(s.by_owner[PMM_FILE], 2 * RAMDISK_PIECE);
    assert_int_equal(s.promised, 0);
    assert_int_equal(request(0, 128, 512, true), 0);
    assert_int_equal(byte(DATA), 0x77);
    assert_int_equal(request(0, 256, 512, true), 0); /* one that failed is as before */
    assert_int_equal(byte(DATA), file[256 * 512]);
    half[0][DATA] = 0x66;
    assert_int_equal(request(1, 1, 512, false), 0); /* a piece that it has already */
    put_range(0, 0, 128, 0);
    assert_int_equal(request(11, 0, 16, false), 0); /* discarded: there is room again */
    assert_int_equal(request(1, 384, 512, false), 0);
    vio_destroy(&vm);
    while (vio_release(&vm))
        ;
    pmm_stats(&s);
    assert_int_equal(s.by_owner[PMM_FILE], 0);
    assert_int_equal(vm.charge[CHARGE_DISK].used, 0);
    pmm_unpromise(2 * RAMDISK_PIECE);
    vm.limited = false;
    assert_int_equal(vio_build(&vm, &config), 0);
}

/*
 * Requests that write zeroes to 16 ranges each are paid for by what they cost, not by their
 * descriptors: one run of the event does few.
 */
static void test_zeroes_are_charged(void **state)
{
    unsigned runs = 0, most = 0;

    (void)state;
    start(SLOT_BLK, 0, 256, V1);
    for (unsigned i = 0; i < 16; i++)
        put_range(i, 1, 126, 0);
    p32(HDR, 13);
    for (unsigned i = 0; i < 60; i++) {
        const struct buf b[3] = { { HDR, 16, false }, { DATA, 256, false }, { ST + i, 1, true } };

        drvq_add(&q, b, 3, 0);
    }
    mem_wr(dev.notify, 2, 0);
    for (; runs < 10000 && g16(q.device + 2) < 60; runs++) {
        unsigned before = g16(q.device + 2);

        host_now += 3000000; /* each event_run() is one round */
        tick = 3000000;
        event_run();
        tick = 0;
        most = g16(q.device + 2) - before > most ? g16(q.device + 2) - before : most;
    }
    assert_int_equal(g16(q.device + 2), 60);
    assert_in_range(most, 1, 6);
}

/*
 * Whatever allocation of its devices goes beyond the guest's limit: they are not made, and nothing
 * is left.
 */
static void test_each_allocation_refused(void **state)
{
    uint64_t need = vm.charge[CHARGE_OVERHEAD].used, limit;
    int e = -1;

    (void)state;
    fake_down();
    assert_int_equal(pmm_promise(MIB), 0);
    vm.limited = true;
    for (limit = 0; limit <= need; limit += 256) {
        vm.charge[CHARGE_OVERHEAD].limit = limit;
        e = vpci_create(&vm, &layout);
        if (!e)
            e = vio_build(&vm, &config);
        assert_true(e == -ENOMEM || limit + 256 > need);
        fake_down();
    }
    vm.charge[CHARGE_OVERHEAD].limit = need;
    assert_int_equal(vpci_create(&vm, &layout), 0);
    assert_int_equal(vio_build(&vm, &config), 0);
    fake_down();
    pmm_unpromise(MIB);
    fake_up();
}

/*
 * What a vCPU of the guest asks for is done in its exit, as far as one run goes; the rest, and what
 * other vCPUs ask for, by the device's event.
 */
static void test_in_the_exit(void **state)
{
    static struct vcpu ours, other;
    const struct buf b[3] = { { HDR, 16, false }, { DATA, 0x10000, true }, { ST, 1, true } };
    unsigned done;
    uint64_t worked;

    (void)state;
    start(SLOT_BLK, 0, 256, V1 | INDIRECT);
    run_events();
    p32(HDR, 0);
    p64(HDR + 8, 0);
    ours.vm = &vm;
    other.stats.entries = 1;
    ours.stats.entries = 1;
    percpus[0].current = &other;
    drvq_add(&q, b, 3, 0x20000);
    mem_wr(dev.notify, 2, 0);
    assert_int_equal(g16(q.device + 2), 0);
    run_events();
    assert_int_equal(drvq_used(&q, 1), 0x10001);
    percpus[0].current = &ours;
    host_now += 1000000;
    worked = vm.share.worked_ns;
    drvq_add(&q, b, 3, 0x20000);
    mem_wr(dev.notify, 2, 0);
    assert_int_equal(drvq_used(&q, 1), 0x10001);
    assert_int_equal(vm.share.worked_ns, worked); /* the vCPU pays */
    drvq_add(&q, b, 3, 0x20000);
    mem_wr(dev.notify, 2, 0); /* in the same exit */
    assert_int_equal(drvq_used(&q, 1), -1);
    percpus[0].current = NULL;
    run_events();
    assert_int_equal(drvq_used(&q, 1), 0x10001);
    percpus[0].current = &ours;
    ours.stats.entries++;
    for (unsigned i = 0; i < 40; i++)
        drvq_add(&q, b, 3, 0x20000);
    mem_wr(dev.notify, 2, 0);
    done = g16(q.device + 2);
    percpus[0].current = NULL;
    assert_in_range(done, 3 + 2, 3 + 12);
    run_events();
    assert_int_equal(g16(q.device + 2), 3 + 40);
}

#define T(name) cmocka_unit_test_setup_teardown(name, up, down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_blk),
        T(test_discard),
        T(test_blk_layout),
        T(test_blk_queueing),
        T(test_in_the_exit),
        T(test_blk_bus_master),
        T(test_queue_reset),
        T(test_disk_survives_reset),
        T(test_read_only),
        T(test_cdrom),
        T(test_disk_limit),
        T(test_each_allocation_refused),
        T(test_zeroes_are_charged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
