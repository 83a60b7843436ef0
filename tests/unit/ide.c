/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The IDE driver over a controller of our own, written from the specifications. The first channel
 * has a disk and a CD drive, the second nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "arch/host/host.h"
#include "drivers/block/ide.h"
#include <arch/io.h>
#include <hv/irq.h>
#include <hv/pmm.h>
#include <string.h>
#include <sys/mman.h>

enum { DISK = 1 << 20, MASTER = 0xc000, MODEL_BAR = 4 };
static struct {
    uint8_t reg[2][8]; /* what was written, before and last */
    uint8_t status, control, command, engine, engine_status;
    uint32_t table;
    unsigned word; /* of IDENTIFY data; 256: none is read */
    bool master;
    uint8_t *disk;
    uint16_t ident[256];
    unsigned lost, fail, fault; /* commands that never end, fail, are refused by the bus */
    bool never_ready, nobody, too_soon;
    unsigned reads, writes, flushes, discards, idents, resets, engine_when_off;
} m;
static struct host_pci_dev device = { .class = 1, .subclass = 1, .prog_if = 0x80 };
static uint64_t table_near; /* where Trivet's pages are */

/* ---- the bus ---- */

int host_pci_bar(const struct host_pci_dev *p, unsigned i, struct host_pci_bar *out)
{
    (void)p;
    *out = (struct host_pci_bar){ .base = MASTER, .len = 16, .io = true };
    return i == MODEL_BAR ? 0 : -ENOENT;
}

void host_pci_command(const struct host_pci_dev *p, uint16_t set, uint16_t clear)
{
    (void)p;
    m.master = (m.master || set & HOST_PCI_MASTER) && !(clear & HOST_PCI_MASTER);
}

/* ---- the drive ---- */

static unsigned selected(void) { return m.reg[1][IDE_DEVICE] >> 4 & 1; }

/* Two pages of registers: what was written last is the lower half. */
static uint64_t address(void)
{
    uint64_t at = 0;

    for (unsigned half = 0; half < 2; half++)
        for (unsigned i = 0; i < 3; i++)
            at |= (uint64_t)m.reg[!half][IDE_LBA_LOW + i] << (24 * half + 8 * i);
    return at;
}

/* In Trivet's pages, which are above 4 GiB here: its upper half is the one near the others. */
static const void *own_page(uint32_t low)
{
    uint64_t at = (table_near & ~0xffffffffull) | low;

    if (at > table_near + 0x80000000)
        at -= 1ull << 32;
    else if (at + 0x80000000 < table_near)
        at += 1ull << 32;
    return (const void *)at;
}

static void move(uint8_t *at, uint64_t bytes, bool to_memory)
{
    const struct ide_prd *prd = own_page(m.table);

    for (;; prd++) {
        uint32_t len = prd->count ? prd->count : 0x10000;

        assert_int_equal((prd->at | len) & 1, 0);
        assert_true((prd->at & 0xffff) + len <= 0x10000);
        assert_true(len <= bytes);
        if (to_memory)
            memcpy((void *)(uint64_t)prd->at, at, len);
        else
            memcpy(at, (void *)(uint64_t)prd->at, len);
        at += len;
        bytes -= len;
        if (prd->flags == 0x8000)
            break;
        assert_int_equal(prd->flags, 0);
    }
    assert_int_equal(bytes, 0);
}

static void transfer(void)
{
    uint64_t at = address() * 512;
    uint64_t bytes = (m.reg[1][IDE_COUNT] | (uint64_t)m.reg[0][IDE_COUNT] << 8) * 512;
    bool read = m.command == ATA_READ;

    m.engine_when_off += !m.master;
    assert_int_equal(m.reg[1][IDE_DEVICE] & 0x40, 0x40);
    assert_int_equal(!!(m.engine & 8), read);
    assert_true(at + bytes <= DISK);
    m.reads += read;
    m.writes += !read;
    move(m.disk + at, bytes, read);
}

/* ACS section 7.6: what is discarded reads as 0xee. */
static void data_set(void)
{
    const struct ide_prd *prd = own_page(m.table);
    const uint8_t *ranges = own_page(prd->at);

    assert_int_equal(prd->flags, 0x8000);
    assert_int_equal(prd->count, 512);
    assert_int_equal(m.reg[0][1], 0); /* features */
    assert_int_equal(m.reg[1][1], 1);
    assert_int_equal(m.reg[0][IDE_COUNT], 0);
    assert_int_equal(m.reg[1][IDE_COUNT], 1);
    assert_int_equal(m.engine & 8, 0);
    m.discards++;
    for (unsigned i = 0; i < 64; i++) {
        uint64_t v, at, bytes;

        memcpy(&v, ranges + 8 * i, 8);
        at = (v & 0xffffffffffff) * 512;
        bytes = (v >> 48) * 512;
        assert_true(at <= DISK && bytes <= DISK - at);
        memset(m.disk + at, 0xee, bytes);
    }
}

static void model_run(void)
{
    if (m.control & CONTROL_RESET || !m.command || selected())
        return;
    if (m.lost) {
        if (m.command != ATA_IDENTIFY)
            return;
    }
    if (m.command == ATA_FLUSH) {
        m.flushes++;
    } else if (m.command == ATA_IDENTIFY) {
        return;
    } else if (m.too_soon) {
        m.status = 0x50;
        return;
    } else if (!(m.engine & 1)) {
        return;
    } else if (m.fail) {
        m.fail--;
        m.status = 0x51;
        m.command = 0;
        return;
    } else if (m.fault) {
        m.fault--;
        m.engine_status = BM_ERROR;
        m.status = 0x50;
        m.command = 0;
        return;
    } else if (m.command == ATA_DATA_SET) {
        data_set();
    } else {
        transfer();
    }
    m.status = 0x50;
    m.engine_status = BM_IRQ;
    m.command = 0;
}

static void begin(uint8_t command)
{
    m.command = command;
    if (command == ATA_IDENTIFY) {
        m.idents += !selected();
        m.word = 0;
        m.status = selected() ? 0x51 : 0x58; /* a CD drive refuses it */
    } else {
        assert_int_equal(m.status & (ATA_STATUS_BUSY | ATA_STATUS_REQUEST), 0);
        m.status = ATA_STATUS_BUSY;
    }
}

static void control(uint32_t v)
{
    if (v & CONTROL_RESET) {
        m.resets++;
        m.command = 0;
        m.lost -= m.lost && m.lost != UINT32_MAX;
        m.reg[1][IDE_DEVICE] = 0;
        m.status = 0x80;
    } else if (m.control & CONTROL_RESET && !m.never_ready) {
        m.status = 0x50;
    }
    m.control = (uint8_t)v;
}

/* ---- ports ---- */

uint32_t port_read(uint16_t port, unsigned size)
{
    if ((port & 0xff8) == 0x170 || port == 0x376 || m.nobody)
        return UINT32_MAX;
    if (port == 0x1f0) {
        assert_int_equal(size, 2);
        assert_true(m.word < 256);
        if (m.word == 255)
            m.status = 0x50;
        return m.ident[m.word++];
    }
    assert_int_equal(size, 1);
    if (port == MASTER + BM_STATUS)
        return m.engine_status | (m.engine & 1 && m.command ? 1u : 0u);
    return port == 0x3f6 || port == 0x1f7 ? m.status : 0;
}

void port_write(uint16_t port, unsigned size, uint32_t v)
{
    if (port == 0x3f6) {
        control(v);
    } else if (port > 0x1f0 && port < 0x1f7) {
        m.reg[0][port - 0x1f0] = m.reg[1][port - 0x1f0];
        m.reg[1][port - 0x1f0] = (uint8_t)v;
    } else if (port == 0x1f7) {
        begin((uint8_t)v);
    } else if (port == MASTER + BM_COMMAND) {
        m.engine = (uint8_t)v;
    } else if (port == MASTER + BM_STATUS) {
        m.engine_status &= (uint8_t) ~(v & 6);
    } else if (port == MASTER + BM_TABLE) {
        assert_int_equal(size, 4);
        m.table = v;
    }
}

void cpu_relax(void)
{
    host_now += 100000;
    model_run();
}

/* ---- the tests' side ---- */

#include "ata_model.h"
#include "disk_driver.h"

static void low_memory(void)
{
    hpa_t page;

    if (memory)
        return;
    memory_init();
    free(memory);
    memory =
        mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    assert_true((uint64_t)memory < 1ull << 32);
    page = pmm_alloc(0, PMM_HV);
    table_near = page.v;
    pmm_free(page, 0, PMM_HV);
}

static int setup(void **state)
{
    uint8_t *disk = ata_fill(m.disk, DISK);

    (void)state;
    low_memory();
    memset(&m, 0, sizeof m);
    ended = 0;
    m.disk = disk;
    m.status = 0x50;
    ata_identify(m.ident, "SERIAL 8            ", "An old disk                             ", DISK);
    return 0;
}

static void boot(void)
{
    assert_int_equal(ide_driver.probe(&device), 0);
    d = newest();
    assert_non_null(d);
    assert_true(m.master);
}

static void finds_it(void **state)
{
    struct disk *before;

    (void)state;
    boot();
    assert_int_equal(m.idents, 1);
    assert_string_equal(d->model, "An old disk");
    assert_string_equal(d->serial, "SERIAL 8");
    assert_int_equal(d->unit, 0);
    assert_int_equal(d->blk.sectors, DISK >> 9);
    assert_int_equal(d->blk.limits.block, 512);
    before = d;
    setup(NULL);
    m.nobody = true;
    assert_int_equal(ide_driver.probe(&device), 0);
    setup(NULL);
    m.never_ready = true;
    assert_int_equal(ide_driver.probe(&device), 0);
    setup(NULL);
    m.ident[83] = 0x4000;
    assert_int_equal(ide_driver.probe(&device), 0);
    assert_ptr_equal(newest(), before);
}

static void transfers(void **state)
{
    const struct blk_seg one[] = { at(0, 4096) },
                         many[] = { at(0x10804, 0x7fc), at(0x2f000, 0x20000), at(0x60000, 0x204) };
    const struct blk_seg high[] = { { hpa((1ull << 32) - 2048), 4096 } };
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
    assert_memory_equal(memory + 0x2f000, m.disk + 100 * 512 + 0x7fc, 0x20000);
    memset(memory, 0xa5, AREA);
    assert_int_equal(submit(&r, BLK_WRITE, 200, many, 3), 0);
    assert_int_equal(submit(&s, BLK_FLUSH, 0, NULL, 0), 0);
    run(4);
    assert_int_equal(r.status, 0);
    assert_int_equal(s.status, 0);
    assert_int_equal(m.flushes, 1);
    assert_memory_equal(memory + 0x2f000, m.disk + 200 * 512 + 0x7fc, 0x20000);
    assert_int_not_equal(m.disk[200 * 512 + 0x20a00], 0xa5);
    assert_int_equal(m.engine_when_off, 0);
    assert_int_equal(submit(&r, BLK_READ, 0, high, 1), 0); /* beyond what the engine reaches */
    run(4);
    assert_int_equal(r.status, -EIO);
    assert_int_equal(submit(&r, BLK_READ, DISK / 512 - 7, one, 1), -EINVAL);
    assert_int_equal(ended, 5);
}

static void discards(void **state)
{
    const struct blk_seg one[] = { at(0, 4096) };
    uint8_t before[512], after[512], gone[512];
    struct blk_req r, s;

    (void)state;
    boot();
    assert_int_equal(d->blk.limits.discard_max, 0);
    assert_int_equal(submit(&r, BLK_DISCARD, 0, NULL, 0), -ENOTSUP);
    setup(NULL);
    m.ident[169] = 1;
    boot();
    assert_int_equal(d->blk.limits.discard_max, 256 * MIB / 512);
    memcpy(before, m.disk + 15 * 512, 512);
    memcpy(after, m.disk + 40 * 512, 512);
    memset(gone, 0xee, sizeof gone);
    assert_int_equal(submit(&s, BLK_READ, 100, one, 1), 0);
    assert_int_equal(discard(&r, 16, 24), 0); /* waits */
    run(4);
    assert_int_equal(r.status, 0);
    assert_int_equal(s.status, 0);
    assert_int_equal(m.discards, 1);
    assert_memory_equal(m.disk + 15 * 512, before, 512);
    assert_memory_equal(m.disk + 16 * 512, gone, 512);
    assert_memory_equal(m.disk + 39 * 512, gone, 512);
    assert_memory_equal(m.disk + 40 * 512, after, 512);
    assert_int_equal(submit(&r, BLK_READ, 0, one, 1), 0); /* features are not left behind */
    run(4);
    assert_int_equal(m.reg[1][1], 0);
    m.fail = 2;
    assert_int_equal(discard(&r, 16, 24), 0);
    run(10);
    assert_int_equal(r.status, -EIO);
}

static void failing(void **state)
{
    const struct blk_seg one[] = { at(0, 4096) };
    struct blk_req r, s;
    uint64_t errors;

    (void)state;
    boot();
    errors = d->stats.errors; /* the partition table: Trivet's pages are above 4 GiB here */
    m.fail = 1;
    assert_int_equal(submit(&r, BLK_READ, 8, one, 1), 0);
    assert_int_equal(submit(&s, BLK_READ, 8, one, 1), 0);
    run(10);
    assert_int_equal(r.status, 0);
    assert_int_equal(s.status, 0);
    assert_int_equal(d->stats.retries, 1);
    m.fault = 2;
    assert_int_equal(submit(&r, BLK_READ, 8, one, 1), 0);
    run(10);
    assert_int_equal(r.status, -EIO);
    assert_int_equal(d->stats.errors, errors + 1);
    assert_int_equal(submit(&r, BLK_READ, 8, one, 1), 0);
    run(10);
    assert_int_equal(r.status, 0);
}

/* A drive that is done before the engine has moved all of it has moved nothing one can rely on. */
static void late(void **state)
{
    const struct blk_seg one[] = { at(0, 4096) };
    struct blk_req r, s;

    (void)state;
    for (unsigned soon = 0; soon < 2; soon++) {
        setup(NULL);
        boot();
        m.lost = soon ? 0 : 1;
        m.too_soon = soon;
        assert_int_equal(submit(&r, BLK_READ, 8, one, 1), 0);
        assert_int_equal(submit(&s, BLK_READ, 8, one, 1), 0);
        run(9900);
        assert_int_equal(ended, 0);
        m.too_soon = false;
        run(200);
        assert_int_equal(r.status, 0);
        assert_int_equal(s.status, 0);
        assert_int_equal(d->stats.timeouts, !soon);
    }
}

static void silent(void **state)
{
    const struct blk_seg one[] = { at(0, 4096) };
    struct blk_req r, s;

    (void)state;
    for (unsigned how = 0; how < 2; how++) {
        setup(NULL);
        boot();
        m.lost = UINT32_MAX;
        m.never_ready = how;
        assert_int_equal(submit(&r, BLK_READ, 0, one, 1), 0);
        assert_int_equal(submit(&s, BLK_READ, 0, one, 1), 0);
        run(45000);
        assert_int_equal(r.status, -EIO);
        assert_int_equal(s.status, -EIO);
        assert_int_equal(ended, 2);
        assert_int_equal(m.engine & 1, 0);
        if (how)
            assert_int_equal(submit(&r, BLK_READ, 0, one, 1), -EIO);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(finds_it, setup), cmocka_unit_test_setup(transfers, setup),
        cmocka_unit_test_setup(discards, setup), cmocka_unit_test_setup(failing, setup),
        cmocka_unit_test_setup(late, setup),     cmocka_unit_test_setup(silent, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
