/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An AHCI controller of our own, written from the specification: registers in plain memory, whose
 * bits that are cleared by writing ones are, and which it looks at when model_run() is called. It
 * interrupts by message. Port 0 has a disk, 1 nothing, 2 a CD drive.
 */
#pragma once
#include "arch/host/host.h"
#include "drivers/block/ahci.h"
#include <cmocka.h>
#include <hv/irq.h>
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
    bool no_smart, no_log, bad_sum;
    bool few_words; /* its health has none of the attributes that are looked at */
    uint8_t celsius;
    unsigned smarts; /* pages of health that were asked for */
    unsigned reads, writes, flushes, discards, idents, links, resets, reached_when_off;
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
static bool is_write(const uint8_t *f) { return f[2] == ATA_WRITE || f[2] == 0x61 || f[2] == 6; }

static uint64_t first_block(const uint8_t *f)
{
    return f[4] | (uint64_t)f[5] << 8 | (uint64_t)f[6] << 16 | (uint64_t)f[8] << 24 |
           (uint64_t)f[9] << 32;
}

/* ACS section 7.6: what is discarded reads as 0xee. */
static void data_set(const struct ahci_prd *prd, unsigned n, const uint8_t *f)
{
    uint64_t ranges[64];

    assert_int_equal(f[3], 1);
    assert_int_equal(f[12] | f[13] << 8, 1);
    assert_int_equal(n, 1);
    assert_int_equal(prd->count, 511);
    memcpy(ranges, (void *)prd->at, sizeof ranges);
    for (unsigned i = 0; i < 64; i++) {
        uint64_t block = ranges[i] & 0xffffffffffff, blocks = ranges[i] >> 48;

        assert_true((block + blocks) << m.shift <= DISK);
        memset(m.disk + (block << m.shift), 0xee, blocks << m.shift);
    }
    m.discards++;
}

/* ATA8-ACS sections 7.52.5 and 7.52.7 */
static void smart(const struct ahci_prd *prd, unsigned n, const uint8_t *f)
{
    static const uint8_t data[][12] = { { 194, 3, 0, 60, 50 },
                                        { 5, 3, 0, 100, 100, 9 },
                                        { 177, 3, 0, 93, 93, 200 },
                                        { 187, 3, 0, 100, 100, 4, 1 } };
    uint8_t page[512] = { 0 };

    assert_int_equal(f[5], 0x4f);
    assert_int_equal(f[6], 0xc2);
    assert_int_equal(f[12] | f[13] << 8, 1);
    if (f[3] == 0xd0) {
        memcpy(page + 2, data, sizeof data);
        page[2 + 5] = m.celsius;
        for (unsigned i = 0; m.few_words && i < ARRAY_SIZE(data); i++)
            page[2 + 12 * i] = (uint8_t)(1 + i);
    } else {
        assert_int_equal(f[3], 0xd5);
        assert_int_equal(f[4], 1);
        page[452] = 0x34;
        page[453] = 0x12;
    }
    for (unsigned i = 0; i < 511; i++)
        page[511] = (uint8_t)(page[511] - page[i]);
    page[511] += m.bad_sum;
    m.smarts++;
    move(prd, n, page, false, 512);
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
    } else if (f[2] == ATA_DATA_SET) {
        data_set(prd, h->flags >> 16, f);
    } else if (f[2] == ATA_SMART) {
        smart(prd, h->flags >> 16, f);
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
    if (f[2] == ATA_SMART && (m.no_smart || (m.no_log && f[3] == 0xd5)))
        return true;
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
