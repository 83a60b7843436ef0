/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver of a host's virtio-blk device over a device of our own, written from the specification
 * (virtio 1.2): it looks at its queue when model_run() is called, and may be told to misbehave.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "arch/host/host.h"
#include <hv/host_virtio.h>
#include <hv/irq.h>
#include <stdlib.h>
#include <string.h>

extern const struct pci_driver virtio_blk_driver;

enum { DISK = 1 << 20, COMMON = 0, NOTIFY = 0x100, CONFIG = 0x200, BAR = 0x300 };
static struct {
    uint8_t bar[BAR];
    bool master, kicked;
    uint8_t *disk;
    uint8_t config[60];
    uint32_t config_len;
    uint64_t offered, driver_features;
    uint32_t dsel, gsel;
    uint8_t status;
    uint16_t size, vector, config_vector, enabled, at; /* at: free-running, of the avail ring */
    uint64_t ring[3];
    /* how it misbehaves */
    unsigned lost, twice, wrong, early, fail;
    bool never_resets, no_features, gone, jumps;
    /* what it saw */
    unsigned reads, writes, flushes, clears, ids, resets, indirect, reached_when_off;
    unsigned most; /* requests that it was given at once */
} m;
static struct host_pci_dev device = {
    .vendor = 0x1af4, .device = 0x1042, .class = 1, .devfn = 3 << 3
};

/* ---- the bus ---- */

void *host_pci_map(const struct host_pci_dev *p, unsigned i, uint64_t len)
{
    (void)p;
    return i == 4 && len <= BAR ? m.bar : NULL;
}

void host_pci_command(const struct host_pci_dev *p, uint16_t set, uint16_t clear)
{
    (void)p;
    m.master = (m.master || set & HOST_PCI_MASTER) && !(clear & HOST_PCI_MASTER);
}

int host_pci_irq(const struct host_pci_dev *p, unsigned n, uint32_t cpu, void (*fn)(void *),
                 void *arg)
{
    (void)p, (void)n, (void)cpu, (void)fn, (void)arg;
    return -ENOTSUP;
}

void host_pci_irq_off(const struct host_pci_dev *p) { (void)p; }

/* Capability n is at 0x40 + 0x20 * n: common, notify, ISR, device. */
uint32_t host_pci_cap_nth(const struct host_pci_dev *p, uint8_t id, unsigned n)
{
    (void)p;
    return id == 9 && n < 4 ? 0x40 + 0x20 * n : 0;
}

uint32_t host_pci_read(const struct host_pci_dev *p, uint32_t off, unsigned size)
{
    static const uint32_t at[] = { COMMON, NOTIFY, 0x1f0, CONFIG };
    const uint32_t len[] = { 56, 16, 4, m.config_len };
    unsigned n = (off - 0x40) / 0x20;

    (void)p, (void)size;
    switch ((off - 0x40) % 0x20) {
    case 3: return n + 1;
    case 4: return 4;
    case 8: return at[n];
    case 12: return len[n];
    default: return 4; /* the multiplier */
    }
}

/* ---- the device ---- */

static void model_reset(void)
{
    if (m.never_resets)
        return;
    m.status = 0;
    m.enabled = m.at = 0;
    m.kicked = false;
    m.resets++;
}

static uint32_t common_read(unsigned off)
{
    switch (off) {
    case 4: return (uint32_t)(m.dsel ? m.offered >> 32 : m.offered);
    case 16: return m.config_vector;
    case 20: return m.status;
    case 24: return m.size;
    case 26: return m.vector;
    case 30: return 2; /* notify offset, by the multiplier */
    default: return 0;
    }
}

static void common_write(unsigned off, uint32_t v)
{
    if (off == 0)
        m.dsel = v;
    else if (off == 8)
        m.gsel = v;
    else if (off == 12 && m.gsel == 0)
        m.driver_features = (m.driver_features & ~0xffffffffull) | v;
    else if (off == 12)
        m.driver_features = (m.driver_features & 0xffffffff) | (uint64_t)v << 32;
    else if (off == 16)
        m.config_vector = (uint16_t)v;
    else if (off == 20 && v == 0)
        model_reset();
    else if (off == 20)
        m.status = (uint8_t)(m.no_features ? v & ~8u : v);
    else if (off == 24)
        m.size = (uint16_t)v;
    else if (off == 26)
        m.vector = (uint16_t)v;
    else if (off == 28)
        m.enabled = (uint16_t)v;
    else if (off >= 32 && off < 56)
        memcpy((uint8_t *)m.ring + (off - 32), &v, 4);
}

uint32_t host_reg_read(const volatile uint8_t *p, unsigned size)
{
    unsigned off = (unsigned)(p - m.bar);
    uint32_t v = 0;

    if (m.gone)
        return size == 4 ? UINT32_MAX : (1u << 8 * size) - 1;
    if (off < NOTIFY)
        return common_read(off);
    assert_true(off >= CONFIG && off + size <= CONFIG + m.config_len);
    memcpy(&v, m.config + (off - CONFIG), size);
    return v;
}

void host_reg_write(volatile uint8_t *p, unsigned size, uint32_t v)
{
    unsigned off = (unsigned)(p - m.bar);

    (void)size;
    if (off == NOTIFY + 8)
        m.kicked = true;
    else if (off < NOTIFY && !m.gone)
        common_write(off, v);
}

/* ---- its queue: §2.7 ---- */

struct piece {
    uint8_t *p;
    uint32_t len;
    bool in;
};

static unsigned pieces(uint16_t head, struct piece *out)
{
    const struct host_virtio_desc *d = (void *)m.ring[0];
    unsigned n = 0, i = head;

    if (d[i].flags & 4) {
        m.indirect++;
        assert_int_equal(d[i].flags, 4);
        d = (void *)d[i].at;
        i = 0;
    }
    for (;; i = d[i].next) {
        assert_true(n < 64);
        out[n++] = (struct piece){ (uint8_t *)d[i].at, d[i].len, d[i].flags & 2 };
        if (!(d[i].flags & 1))
            return n;
    }
}

static void used(uint32_t id)
{
    uint16_t *u = (void *)m.ring[2];
    uint32_t *e = (uint32_t *)(void *)(u + 2) + 2 * (u[1] % m.size);

    e[0] = id;
    e[1] = 0;
    u[1]++;
}

static uint8_t serve(const struct piece *p, unsigned n)
{
    uint32_t type;
    uint64_t sector, at;

    memcpy(&type, p[0].p, 4);
    memcpy(&sector, p[0].p + 8, 8);
    m.flushes += type == 4;
    m.ids += type == 8;
    m.reads += type == 0;
    m.writes += type == 1;
    at = sector * 512;
    for (unsigned i = 1; i + 1 < n; i++) {
        if (type == 8)
            memcpy(p[i].p, "A serial number that", 20);
        if (type == 11 || type == 13) {
            uint32_t sectors;

            assert_false(p[i].in);
            assert_int_equal(p[i].len, 16);
            memcpy(&at, p[i].p, 8);
            memcpy(&sectors, p[i].p + 8, 4);
            assert_true(at * 512 + sectors * 512 <= DISK);
            memset(m.disk + at * 512, type == 11 ? 0xee : 0, sectors * 512ull);
            m.clears++;
        }
        if (type > 1)
            continue;
        assert_true(at + p[i].len <= DISK);
        assert_int_equal(p[i].in, type == 0);
        memcpy(type ? m.disk + at : p[i].p, type ? p[i].p : m.disk + at, p[i].len);
        at += p[i].len;
    }
    return 0;
}

static void one(uint16_t head)
{
    struct piece p[64];
    unsigned n = pieces(head, p);

    assert_int_equal(p[0].len, 16);
    assert_true(p[n - 1].in && p[n - 1].len == 1);
    if (m.lost && m.lost--)
        return;
    if (m.wrong && m.wrong--)
        used(head + 1u);
    if (m.wrong)
        used(70000);
    if (m.early && m.early--)
        used(head);
    if (m.fail && m.fail--)
        *p[n - 1].p = 1;
    else
        *p[n - 1].p = serve(p, n);
    used(head);
    if (m.twice && m.twice--)
        used(head);
}

static void model_run(void)
{
    const volatile uint16_t *avail = (void *)m.ring[1];

    if (m.gone || !m.enabled || !(m.status & 4) || !m.kicked)
        return;
    m.reached_when_off += !m.master;
    m.kicked = false;
    if ((uint16_t)(avail[1] - m.at) > m.most)
        m.most = (uint16_t)(avail[1] - m.at);
    if (m.jumps) {
        ((uint16_t *)m.ring[2])[1] += 1000;
        m.jumps = false;
        return;
    }
    while (m.at != avail[1])
        one(avail[2 + m.at++ % m.size]);
}

void cpu_relax(void)
{
    host_now += 10000;
    model_run();
}

#include "disk_driver.h"

#define F(n) (1ull << (n))
#define USUAL (F(2) | F(6) | F(9) | F(28) | F(32) | F(33) | F(40))

static void put32(unsigned off, uint32_t v) { memcpy(m.config + off, &v, 4); }

static int setup(void **state)
{
    uint8_t *disk = m.disk ? m.disk : calloc(1, DISK);

    (void)state;
    memory_init();
    memset(&m, 0, sizeof m);
    m.disk = disk;
    for (unsigned i = 4096; i < DISK; i++)
        disk[i] = (uint8_t)(i ^ i >> 8 ^ i >> 16);
    m.offered = USUAL;
    m.config_len = sizeof m.config;
    m.size = 128;
    m.status = 15; /* the firmware left it running */
    put32(0, DISK / 512);
    put32(12, 126);
    put32(20, 512);
    return 0;
}

static void boot(void)
{
    struct disk *before = newest();

    assert_int_equal(virtio_blk_driver.probe(&device), 0);
    d = newest();
    assert_ptr_not_equal(d, before);
}

static void check(uint64_t off, uint64_t disk, uint64_t len)
{
    assert_memory_equal(memory + off, m.disk + disk, len);
}

static void finds_it(void **state)
{
    struct host_pci_dev other = { .vendor = 0x1000, .device = 0x1042, .class = 1 };

    (void)state;
    assert_int_equal(virtio_blk_driver.probe(&other), -ENODEV);
    m.offered |= F(10);
    m.config[24] = 3;
    boot();
    assert_int_equal(m.resets, 2);
    assert_int_equal(m.driver_features & ~m.offered, 0);
    assert_int_equal(m.driver_features & F(40), 0);
    assert_string_equal(d->serial, "A serial number that");
    assert_string_equal(d->at, "0000:00:03.0");
    assert_int_equal(d->blk.sectors, DISK / 512);
    assert_int_equal(d->blk.limits.max_segs, 32);
    assert_int_equal(d->blk.limits.physical, 4096);
    assert_int_equal(m.reached_when_off, 0);
}

static void refused(void)
{
    struct disk *before = newest();

    assert_int_not_equal(virtio_blk_driver.probe(&device), 0);
    assert_ptr_equal(newest(), before);
    assert_false(m.master);
    setup(NULL);
}

static void refuses(void **state)
{
    (void)state;
    m.offered &= ~F(32); /* a legacy device */
    m.offered |= F(6);
    put32(20, 2048); /* blocks of 2 KiB */
    refused();
    m.config_len = 4;
    refused();
    put32(12, 0); /* no segment at all */
    refused();
    put32(4, 0x80000000); /* its size */
    refused();
    put32(0, 0);
    refused();
    m.size = 1;
    refused();
    m.never_resets = true;
    refused();
    m.offered |= F(1);
    put32(8, 512); /* segments of less than a page */
    refused();
}

static void transfers(void **state)
{
    const struct blk_seg parts[] = { at(0x10800, 0x800), at(0x20000, 0x2000), at(0x60000, 0x200) };
    struct blk_req r;

    (void)state;
    boot();
    memset(memory, 0, AREA);
    assert_int_equal(submit(&r, BLK_READ, 100, parts, 3), 0);
    run(2);
    assert_int_equal(r.status, 0);
    check(0x10800, 100 * 512, 0x800);
    check(0x20000, 100 * 512 + 0x800, 0x2000);
    check(0x60000, 100 * 512 + 0x2800, 0x200);
    memset(memory + 0x20000, 0xab, 0x2000);
    assert_int_equal(submit(&r, BLK_WRITE, 500, parts, 3), 0);
    run(2);
    check(0x20000, 500 * 512 + 0x800, 0x2000);
    assert_int_equal(submit(&r, BLK_FLUSH, 0, NULL, 0), 0);
    run(2);
    assert_int_equal(m.flushes, 1);
    assert_int_equal(d->stats.flushes, 1);
    assert_int_equal(d->stats.written, 0x2a00);
    assert_int_equal(submit(&r, BLK_DISCARD, 0, NULL, 0), -ENOTSUP);
    assert_int_equal(submit(&r, BLK_READ, DISK / 512 - 1, parts, 1), -EINVAL);
    assert_int_equal(ended, 3);
    assert_true(m.indirect > 3);
}

/* Without indirect tables, flushes and a size of segments. */
static void old_device(void **state)
{
    static struct blk_req r[40];
    const struct blk_seg one_page[] = { at(0, 4096) };

    (void)state;
    m.offered = F(32);
    m.config_len = 8;
    boot();
    assert_int_equal(d->blk.limits.max_segs, 1);
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(submit(&r[i], BLK_READ, 8 * i, one_page, 1), 0);
    run(20);
    assert_int_equal(ended, 40);
    check(0, 39 * 8 * 512, 4096);
    assert_int_equal(m.indirect, 0);
    assert_int_equal(m.most, 3); /* 128 descriptors, 34 of them for each */
    assert_int_equal(submit(&r[0], BLK_FLUSH, 0, NULL, 0), 0);
    run(2);
    assert_int_equal(r[0].status, 0);
    assert_int_equal(m.flushes, 0);
}

static void without_data(void **state)
{
    struct blk_req r = { .sector = 40, .nsectors = 16, .op = BLK_DISCARD };

    (void)state;
    m.offered |= F(13) | F(14);
    put32(36, 1000);
    put32(48, 100000);
    boot();
    assert_int_equal(d->blk.limits.discard_max, 1000);
    event_init(&r.done, done, 0);
    assert_int_equal(d->blk.ops->submit(&d->blk, &r), 0);
    run(2);
    assert_int_equal(m.disk[40 * 512] & m.disk[56 * 512 - 1], 0xee);
    r.op = BLK_WRITE_ZEROES;
    assert_int_equal(d->blk.ops->submit(&d->blk, &r), 0);
    run(2);
    assert_int_equal(r.status, 0);
    assert_int_equal(m.disk[40 * 512] | m.disk[56 * 512 - 1], 0);
    assert_int_equal(m.clears, 2);
    assert_int_equal(d->stats.discarded, 2 * 16 * 512);
}

static void read_only(void **state)
{
    const struct blk_seg one_page[] = { at(0, 4096) };
    struct blk_req r;

    (void)state;
    m.offered |= F(5);
    boot();
    assert_int_equal(submit(&r, BLK_WRITE, 8, one_page, 1), -EROFS);
}

/* More than it takes at once; the last can be taken back. */
static void many(void **state)
{
    static struct blk_req r[100];
    const struct blk_seg one_page[] = { at(0, 4096) };

    (void)state;
    boot();
    m.most = 0;
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(submit(&r[i], BLK_READ, i, one_page, 1), 0);
    assert_true(d->blk.ops->cancel(&d->blk, &r[99]));
    assert_false(d->blk.ops->cancel(&d->blk, &r[0]));
    run(20);
    assert_int_equal(ended, 99);
    assert_int_equal(m.most, 32);
    assert_int_equal(m.reads, 99 + 1); /* and the boot's */
}

/* Answers to nobody, early ones, double ones: each request ends once, with its data. */
static void lies(void **state)
{
    const struct blk_seg one_page[] = { at(0, 4096) };
    struct blk_req r;

    (void)state;
    boot();
    m.wrong = m.early = m.twice = 200;
    for (unsigned i = 0; i < 60; i++) {
        memset(memory, 0xcc, 4096);
        assert_int_equal(submit(&r, BLK_READ, 16 + i, one_page, 1), 0);
        run(2);
        assert_int_equal(r.status, 0);
        assert_int_equal(ended, i + 1);
        check(0, (16 + i) * 512, 4096);
    }
    assert_int_equal(m.resets, 2);
}

static void failing(void **state)
{
    const struct blk_seg one_page[] = { at(0, 4096) };
    struct blk_req r;

    (void)state;
    boot();
    m.fail = 1;
    assert_int_equal(submit(&r, BLK_READ, 16, one_page, 1), 0);
    run(2);
    assert_int_equal(r.status, 0);
    assert_int_equal(d->stats.retries, 1);
    m.fail = 2;
    assert_int_equal(submit(&r, BLK_READ, 16, one_page, 1), 0);
    run(2);
    assert_int_equal(r.status, -EIO);
    assert_int_equal(d->stats.errors, 1);
}

/* A request that does not end: the device is reset, and the request tried again; then it fails. */
static void silent(void **state)
{
    const struct blk_seg one_page[] = { at(0, 4096) };
    struct blk_req r;

    (void)state;
    boot();
    m.lost = 1;
    assert_int_equal(submit(&r, BLK_READ, 16, one_page, 1), 0);
    run(9000);
    assert_int_equal(r.status, -EINPROGRESS);
    run(2000);
    assert_int_equal(r.status, 0);
    check(0, 16 * 512, 4096);
    assert_int_equal(m.resets, 3);
    assert_int_equal(d->stats.timeouts, 1);
    m.lost = 2;
    assert_int_equal(submit(&r, BLK_READ, 16, one_page, 1), 0);
    run(22000);
    assert_int_equal(r.status, -EIO);
    assert_int_equal(ended, 2);
}

static void broken_ring(void **state)
{
    const struct blk_seg one_page[] = { at(0, 4096) };
    struct blk_req r;

    (void)state;
    boot();
    m.jumps = true;
    assert_int_equal(submit(&r, BLK_READ, 16, one_page, 1), 0);
    run(10);
    assert_int_equal(m.resets, 3);
    assert_int_equal(r.status, 0);
    m.status |= 64; /* it needs a reset, and says so */
    assert_int_equal(submit(&r, BLK_READ, 16, one_page, 1), 0);
    run(10);
    assert_int_equal(m.resets, 4);
    assert_int_equal(r.status, 0);
}

static void ends(void)
{
    const struct blk_seg one_page[] = { at(0, 4096) };
    struct blk_req r;

    assert_int_equal(submit(&r, BLK_READ, 16, one_page, 1), 0);
    run(60000);
    assert_int_equal(r.status, -EIO);
    assert_int_equal(ended, 1);
    assert_false(m.master);
    assert_int_equal(submit(&r, BLK_READ, 16, one_page, 1), -EIO);
}

static void pulled_out(void **state)
{
    (void)state;
    boot();
    m.gone = true;
    ends();
}

static void does_not_stop(void **state)
{
    (void)state;
    boot();
    m.lost = 1000;
    m.never_resets = true;
    ends();
}

static void does_not_come_back(void **state)
{
    (void)state;
    boot();
    m.lost = 1000;
    m.no_features = true;
    ends();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(finds_it, setup),
        cmocka_unit_test_setup(refuses, setup),
        cmocka_unit_test_setup(transfers, setup),
        cmocka_unit_test_setup(old_device, setup),
        cmocka_unit_test_setup(without_data, setup),
        cmocka_unit_test_setup(read_only, setup),
        cmocka_unit_test_setup(many, setup),
        cmocka_unit_test_setup(lies, setup),
        cmocka_unit_test_setup(failing, setup),
        cmocka_unit_test_setup(silent, setup),
        cmocka_unit_test_setup(broken_ring, setup),
        cmocka_unit_test_setup(pulled_out, setup),
        cmocka_unit_test_setup(does_not_stop, setup),
        cmocka_unit_test_setup(does_not_come_back, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
