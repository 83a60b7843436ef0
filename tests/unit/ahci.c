/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The AHCI driver over a controller of our own, written from the specification: registers in plain
 * memory, whose bits that are cleared by writing ones are, and which it looks at when model_run()
 * is called. It interrupts by message. Port 0 has a disk, 1 nothing, 2 a CD drive.
 */
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

enum { DISK = 1 << 20, PORTS = 3 };
static struct {
    uint8_t regs[0x1000];
    bool master;
    uint8_t *disk;
    uint16_t ident[256];
    uint32_t shift; /* of a block */
    unsigned lost, fail;
    bool no_message, held, in_between;
    void (*message)(void *);
    void *arg;
    uint32_t fail_at;        /* a block that cannot be read; 0: none */
    unsigned messages, most; /* commands that it had at a time */
    bool never_stops, never_ready, never_linked;
    unsigned reads, writes, flushes, idents, links, resets, reached_when_off;
} m;
static struct host_pci_dev device = { .class = 1, .subclass = 6, .prog_if = 1 };

/* ---- the bus ---- */

void *host_pci_map(const struct host_pci_dev *p, unsigned i, uint64_t len)
{
    (void)p;
    return i == 5 && len <= sizeof m.regs ? m.regs : NULL;
}

void host_pci_command(const struct host_pci_dev *p, uint16_t set, uint16_t clear)
{
    (void)p;
    m.master = (m.master || set & HOST_PCI_MASTER) && !(clear & HOST_PCI_MASTER);
}

int host_pci_irq(const struct host_pci_dev *p, unsigned n, uint32_t cpu, void (*fn)(void *),
                 void *arg)
{
    (void)p;
    assert_int_equal(n, 0);
    assert_int_equal(cpu, 0);
    m.message = fn;
    m.arg = arg;
    return m.no_message ? -ENOTSUP : 0;
}

void host_pci_irq_off(const struct host_pci_dev *p) { (void)p; }

/* ---- the controller ---- */

static uint32_t *reg(unsigned off) { return (uint32_t *)(void *)(m.regs + off); }
static uint32_t *port(unsigned n, unsigned off) { return reg(0x100 + 0x80 * n + off); }
static uint64_t port64(unsigned n, unsigned off)
{
    return *port(n, off) | (uint64_t)*port(n, off + 4) << 32;
}

/* A message for every change while something is pending: more than section 10.6.2 asks. */
static void interrupt_if_due(void)
{
    *reg(AHCI_IS) = 0;
    for (unsigned n = 0; n < PORTS; n++)
        if (*port(n, PORT_IS) & *port(n, PORT_IE))
            *reg(AHCI_IS) |= 1u << n;
    if (*reg(AHCI_IS) && *reg(AHCI_GHC) & AHCI_GHC_IRQ && !m.no_message) {
        assert_true(++m.messages < 1000); /* a storm */
        m.message(m.arg);
    }
}

static void raise(unsigned n, uint32_t status)
{
    *port(n, PORT_IS) |= status;
    interrupt_if_due();
}

static void command(unsigned n);

uint32_t host_reg_read(const volatile uint8_t *p, unsigned size)
{
    unsigned off = (unsigned)(p - m.regs);
    uint32_t v;

    assert_int_equal(size, 4);
    v = *reg(off);
    if (m.in_between && off == 0x100 + PORT_IS && *port(0, PORT_CI)) {
        m.in_between = false; /* the command ends just after PxIS was read */
        command(0);
    }
    return v;
}

void host_reg_write(volatile uint8_t *p, unsigned size, uint32_t v)
{
    unsigned off = (unsigned)(p - m.regs), of_port = off < 0x100 ? 0x100 : off & 0x7f;

    assert_int_equal(size, 4);
    if (of_port == PORT_IS || of_port == PORT_SERR || off == AHCI_IS)
        *reg(off) &= ~v;
    else if (of_port == PORT_CI || of_port == PORT_SACT)
        *reg(off) |= v;
    else
        *reg(off) = v;
    if (of_port == PORT_IS || of_port == PORT_IE || off == AHCI_IS)
        interrupt_if_due();
}

static void model_reset(void)
{
    memset(m.regs + 0x100, 0, sizeof m.regs - 0x100);
    *reg(AHCI_GHC) = AHCI_GHC_ENABLE;
    for (unsigned n = 0; n < PORTS; n++)
        *port(n, PORT_TFD) = 0x7f;
    m.resets++;
}

static void move(const struct ahci_prd *prd, unsigned n, uint8_t *at, bool to_disk, uint64_t bytes)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t len = (prd[i].count & 0x3fffff) + 1;

        assert_int_equal(prd[i].at & 1, 0);
        assert_int_equal(len & 1, 0);
        assert_true(len <= bytes);
        if (to_disk)
            memcpy(at, (void *)prd[i].at, len);
        else
            memcpy((void *)prd[i].at, at, len);
        at += len;
        bytes -= len;
    }
    assert_int_equal(bytes, 0);
}

static bool is_queued(const uint8_t *f) { return f[2] == 0x60 || f[2] == 0x61; }
static bool is_write(const uint8_t *f) { return f[2] == ATA_WRITE || f[2] == 0x61; }

static uint64_t first_block(const uint8_t *f)
{
    return f[4] | (uint64_t)f[5] << 8 | (uint64_t)f[6] << 16 | (uint64_t)f[8] << 24 |
           (uint64_t)f[9] << 32;
}

static void execute(const struct ahci_header *h)
{
    const uint8_t *f = (const uint8_t *)h->table;
    const struct ahci_prd *prd = (const void *)(f + 128);
    uint64_t block = first_block(f);
    uint64_t bytes = (is_queued(f) ? f[3] | (uint64_t)f[11] << 8 : f[12] | (uint64_t)f[13] << 8)
                     << m.shift;

    assert_int_equal(f[0], 0x27);
    assert_int_equal(f[1], 0x80);
    assert_int_equal(h->flags & 31, 5);
    assert_int_equal(!!(h->flags & 64), is_write(f));
    if (f[2] == ATA_IDENTIFY) {
        m.idents++;
        move(prd, h->flags >> 16, (uint8_t *)m.ident, false, 512);
    } else if (f[2] == ATA_FLUSH) {
        m.flushes++;
        assert_int_equal(h->flags >> 16, 0);
    } else {
        m.reads += !is_write(f);
        m.writes += is_write(f);
        assert_int_equal(f[7], 0x40);
        assert_true((block << m.shift) + bytes <= DISK);
        move(prd, h->flags >> 16, m.disk + (block << m.shift), is_write(f), bytes);
    }
}

static const struct ahci_header *header(unsigned n, unsigned slot)
{
    return (const struct ahci_header *)port64(n, PORT_CLB) + slot;
}

/* CI and SACT stay: sections 6.2.2 and 5.5.2. Nothing else is done before the port stops. */
static void failed(unsigned n)
{
    *port(n, PORT_TFD) = 0x51;
    raise(n, 1u << 30);
}

static bool fails(const uint8_t *f)
{
    if (m.fail_at && f[2] != ATA_FLUSH && first_block(f) == m.fail_at)
        return true;
    if (!m.fail || !m.idents)
        return false;
    m.fail--;
    return true;
}

static void one_command(unsigned n, unsigned slot)
{
    const struct ahci_header *h = header(n, slot);
    const uint8_t *f = (const uint8_t *)h->table;
    uint32_t bit = 1u << slot;
    bool queued = *port(n, PORT_SACT) & bit;

    assert_int_equal(queued, is_queued(f));
    assert_true(!queued || f[12] == slot << 3);
    m.reached_when_off += !m.master;
    if (fails(f)) {
        failed(n);
        return;
    }
    execute(h);
    *port(n, PORT_CI) &= ~bit;
    *port(n, PORT_SACT) &= ~bit;
    raise(n, queued ? 8 : 1);
}

static void command(unsigned n)
{
    uint32_t ci = *port(n, PORT_CI), sact = *port(n, PORT_SACT);
    unsigned had = (unsigned)__builtin_popcount(ci);

    assert_true(!sact || sact == ci); /* queued ones are not mixed with others */
    assert_true(sact || had < 2);
    m.most = had > m.most ? had : m.most;
    if (m.lost && m.idents) {
        m.lost--;
        *port(n, PORT_TFD) |= TFD_BUSY; /* and it stays so */
        return;
    }
    /* the last first: queued commands end in any order */
    while (!m.held && *port(n, PORT_CI) && !(*port(n, PORT_TFD) & (TFD_BUSY | TFD_ERROR)))
        one_command(n, 31 - (unsigned)__builtin_clz(*port(n, PORT_CI)));
}

static void model_link(unsigned n)
{
    uint32_t *ssts = port(n, PORT_SSTS);

    if (*port(n, PORT_SCTL) & 1) {
        *ssts = 0;
        *port(n, PORT_TFD) = 0x7f;
    } else if (n != 1 && !m.never_linked && *ssts != 0x113) {
        *ssts = 0x113;
        m.links++;
        *port(n, PORT_TFD) = m.never_ready && m.idents ? 0x80 : 0x50;
        *port(n, PORT_SIG) = n == 2 ? 0xeb140101 : 0x101;
    }
}

static void model_port(unsigned n)
{
    uint32_t *cmd = port(n, PORT_CMD);
    bool started = *cmd & CMD_START;

    if (!(m.never_stops && m.idents))
        *cmd = (*cmd & ~(uint32_t)(CMD_RUNS | CMD_FIS_RUNS)) | (started ? CMD_RUNS : 0u) |
               (*cmd & CMD_FIS ? CMD_FIS_RUNS : 0u);
    if (!started)
        *port(n, PORT_CI) = *port(n, PORT_SACT) = 0;
    model_link(n);
    if (started && *port(n, PORT_CI))
        command(n);
}

static void model_run(void)
{
    if (*reg(AHCI_GHC) == UINT32_MAX)
        return;
    if (*reg(AHCI_GHC) & AHCI_GHC_RESET)
        model_reset();
    for (unsigned n = 0; n < PORTS; n++)
        model_port(n);
}

void cpu_relax(void)
{
    host_now += 100000;
    model_run();
}

/* ---- the tests' side ---- */

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
