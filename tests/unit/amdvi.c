/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AMD-Vi on a model of a unit, written from the specification and not from the driver, which
 * remembers what it was not told to forget.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include "drivers/iommu/amdvi.h"
#include <arch/irq.h>
#include <hv/irq.h>
#include <hv/percpu.h>
#include <hv/pmm.h>

enum { RID = 0x318, OTHER = 0x320, CACHE = 64 };

/* ---- the model ---- */

static struct {
    uint8_t regs[0x4000];
    struct {
        bool valid;
        uint16_t did;
        uint64_t page, to;
        unsigned prot;
    } cache[CACHE];
    struct {
        bool valid;
        uint16_t rid;
        uint64_t q[4];
    } dtes[CACHE];
    struct {
        bool valid;
        uint16_t rid;
        unsigned index;
        uint32_t entry;
    } irtes[CACHE];
    unsigned next;
    bool never_done, never_stops; /* how it misbehaves */
    unsigned gaps, commands;
} m;

static uint64_t m_get(uint32_t reg)
{
    uint64_t v;

    memcpy(&v, m.regs + reg, 8);
    return v;
}
static void m_set(uint32_t reg, uint64_t v) { memcpy(m.regs + reg, &v, 8); }

/* 2.4.3: which pages it names */
static void m_drop(uint16_t did, uint64_t q1)
{
    uint64_t at = q1 & ~0xfffull, size = PAGE_SIZE;

    if (q1 & 1) {
        for (size = 2 * PAGE_SIZE; size && at & size >> 1; size <<= 1)
            ;
        at &= ~(size - 1);
    }
    for (unsigned i = 0; i < CACHE; i++)
        if (m.cache[i].did == did && (!size || (m.cache[i].page & ~(size - 1)) == at))
            m.cache[i].valid = false;
}

static void m_do(const uint64_t *c)
{
    uint16_t rid = (uint16_t)c[0];

    m.commands++;
    switch (c[0] >> 60) {
    case 1:
        if (c[0] & 1)
            *(volatile uint64_t *)(c[0] & 0x000ffffffffffff8ull) = c[1];
        break;
    case 2:
        for (unsigned i = 0; i < CACHE; i++)
            if (m.dtes[i].rid == rid)
                m.dtes[i].valid = false;
        break;
    case 3: m_drop((uint16_t)(c[0] >> 32), c[1]); break;
    case 5:
        for (unsigned i = 0; i < CACHE; i++)
            if (m.irtes[i].rid == rid)
                m.irtes[i].valid = false;
        break;
    case 8:
        memset(m.cache, 0, sizeof m.cache);
        memset(m.dtes, 0, sizeof m.dtes);
        memset(m.irtes, 0, sizeof m.irtes);
        break;
    default: abort();
    }
}

static void m_run(void)
{
    const uint64_t *at = (const uint64_t *)(m_get(0x08) & 0x000ffffffffff000ull);
    uint64_t head = m_get(0x2000), tail = m_get(0x2008);

    if ((m_get(0x18) & 0x1001) != 0x1001 || m.never_done)
        return;
    for (; head != tail; head = (head + 16) & 0xfff)
        m_do(&at[head / 8]);
    m_set(0x2000, head);
}

uint32_t host_reg_read(const volatile uint8_t *p, unsigned size)
{
    uint32_t reg = (uint32_t)(p - m.regs), v;

    if (reg + 4 > sizeof m.regs || size != 4 || reg & 3)
        abort();
    memcpy(&v, m.regs + reg, 4);
    return v;
}

void host_reg_write(volatile uint8_t *p, unsigned size, uint32_t v)
{
    uint32_t reg = (uint32_t)(p - m.regs), was;

    if (reg + 4 > sizeof m.regs || size != 4 || reg & 3)
        abort();
    memcpy(&was, m.regs + reg, 4);
    if (reg == 0x2020)
        v = was & ~(v & 3u);
    memcpy(m.regs + reg, &v, 4);
    if (reg == 0x18) {
        m.gaps += (was & 1) && !(v & 1);
        if (!m.never_stops)
            m_set(0x2020, (m_get(0x2020) & 7) | (v & 1 && v & 4 ? 8 : 0) | (v & 0x1000 ? 16 : 0));
    }
    if (reg == 0x2008)
        m_run();
}

static const uint64_t *m_dte(uint16_t rid)
{
    unsigned i;

    for (i = 0; i < CACHE; i++)
        if (m.dtes[i].valid && m.dtes[i].rid == rid)
            return m.dtes[i].q;
    i = m.next++ % CACHE;
    m.dtes[i].valid = true;
    m.dtes[i].rid = rid;
    memcpy(m.dtes[i].q, (const uint8_t *)(m_get(0) & 0x000ffffffffff000ull) + 32u * rid, 32);
    return m.dtes[i].q;
}

static void m_event(uint16_t rid, uint64_t at, bool write, uint64_t flags)
{
    uint64_t *log = (uint64_t *)(m_get(0x10) & 0x000ffffffffff000ull), tail = m_get(0x2018);

    if (((tail + 16) & 0xfff) == m_get(0x2010)) {
        m_set(0x2020, m_get(0x2020) | 1);
        return;
    }
    log[tail / 8] = rid | 2ull << 60 | (write ? 1ull << 53 : 0) | flags;
    log[tail / 8 + 1] = at;
    m_set(0x2018, (tail + 16) & 0xfff);
}

/* 2.2.3: rights are those of all entries together */
static unsigned m_walk(uint64_t e, unsigned level, uint64_t at, uint64_t *to)
{
    unsigned prot = (unsigned)(e >> 61) & 3;

    if (at >> (12 + 9 * level))
        return 0;
    while (level) {
        level--;
        e = ((const uint64_t *)(e & 0x000ffffffffff000ull))[at >> (12 + 9 * level) & 511];
        if (!(e & 1))
            return 0;
        prot &= (unsigned)(e >> 61) & 3;
        if (!(e >> 9 & 7)) {
            uint64_t mask = (PAGE_SIZE << 9 * level) - 1;

            *to = (e & 0x000ffffffffff000ull & ~mask) | (at & mask);
            return prot;
        }
        if ((e >> 9 & 7) != level) /* levels may be left out; this driver never does */
            abort();
    }
    return 0;
}

static uint64_t m_dma(uint16_t rid, uint64_t at, bool write)
{
    const uint64_t *q;
    uint64_t to = 0, page = at & ~0xfffull;
    unsigned prot, level, i;

    if (!(m_get(0x18) & 1))
        return at;
    q = m_dte(rid);
    if (!(q[0] & 1))
        return at;
    assert_true(q[0] & 2);
    level = q[0] >> 9 & 7;
    for (i = 0; i < CACHE; i++)
        if (m.cache[i].valid && m.cache[i].did == (uint16_t)q[1] && m.cache[i].page == page)
            break;
    if (level && i < CACHE) {
        prot = m.cache[i].prot;
        to = m.cache[i].to;
    } else {
        prot = level ? m_walk(q[0], level, page, &to) : 0;
        if (prot) {
            i = m.next++ % CACHE;
            m.cache[i].valid = true;
            m.cache[i].did = (uint16_t)q[1];
            m.cache[i].page = page;
            m.cache[i].to = to;
            m.cache[i].prot = prot;
        }
    }
    if (prot & (write ? 2 : 1))
        return to | (at & 0xfff);
    if (!(q[1] >> 34 & 1))
        m_event(rid, at, write, prot ? 1ull << 52 | 1ull << 54 : 0);
    return 0;
}

/* Where a message arrives: APIC ID << 8 | vector; 0: it is refused. */
static unsigned m_message(uint16_t rid, uint64_t address, uint32_t data)
{
    const uint64_t *q = m_dte(rid);
    unsigned index = data & 0x7ff, i;

    assert_int_equal(address >> 20, 0xfee);
    if (!(q[2] & 1))
        return (unsigned)(address >> 12 & 0xff) << 8 | (data & 0xff);
    if ((q[2] >> 60 & 3) != 2 || index >= 1u << (q[2] >> 1 & 15)) {
        m_event(rid, data, true, 1ull << 51);
        return 0;
    }
    for (i = 0; i < CACHE; i++)
        if (m.irtes[i].valid && m.irtes[i].rid == rid && m.irtes[i].index == index)
            break;
    if (i == CACHE) {
        i = m.next++ % CACHE;
        m.irtes[i].valid = true;
        m.irtes[i].rid = rid;
        m.irtes[i].index = index;
        m.irtes[i].entry = ((const uint32_t *)(q[2] & 0x000fffffffffffc0ull))[index];
    }
    if (!(m.irtes[i].entry & 1))
        m_event(rid, data, true, 1ull << 51);
    return m.irtes[i].entry & 1
               ? (m.irtes[i].entry >> 8 & 0xff) << 8 | (m.irtes[i].entry >> 16 & 0xff)
               : 0;
}

/* ---- the tests ---- */

/* Who waits lets time pass. */
void cpu_relax(void) { host_now += 1000000; }

static struct iommu_fault faults[512];
static unsigned nfaults;

void iommu_report(struct iommu_unit *u, const struct iommu_fault *f)
{
    (void)u;
    if (nfaults < ARRAY_SIZE(faults))
        faults[nfaults] = *f;
    nfaults++;
}

static struct amdvi *v;

static void power_on(uint64_t features)
{
    static bool there;

    if (!there)
        host_init(1, 128 * MIB);
    there = true;
    memset(&m, 0, sizeof m);
    m_set(0x30, features);
    if (v) { /* the unit before: its large tables */
        pmm_free(virt_to_phys(v->devtab), AMDVI_DEVTAB_ORDER, PMM_PT);
        free(v);
    }
    v = calloc(1, sizeof *v);
    v->regs = m.regs;
    nfaults = 0;
}

static void start(uint64_t features)
{
    power_on(features);
    assert_int_equal(amdvi_begin(v), 0);
    assert_int_equal(amdvi_take_over(v), 0);
}

static void domain(struct iommu_domain *d)
{
    *d = (struct iommu_domain){ .unit = &v->unit };
    assert_int_equal(v->unit.ops->domain_init(&v->unit, d, NULL, NULL), 0);
}

static void no_domain(struct iommu_domain *d)
{
    v->unit.ops->domain_fini(&v->unit, d);
    pt_fini(&d->gmem.pt);
}

static int set(uint16_t rid, struct iommu_domain *d, bool quiet)
{
    return v->unit.ops->set(&v->unit, rid, d, quiet);
}

static void map(struct iommu_domain *d, uint64_t at, uint64_t to, uint64_t len, unsigned prot)
{
    assert_int_equal(pt_map(&d->gmem.pt, gpa(at), hpa(to), len, prot, MEM_WB), 0);
}

static void unmap(struct iommu_domain *d, uint64_t at, uint64_t len)
{
    assert_int_equal(pt_unmap(&d->gmem.pt, gpa(at), len), 0);
    assert_int_equal(v->unit.ops->flush(&v->unit, d, gpa(at), len), 0);
    pt_reap(&d->gmem.pt);
}

/* Every requester there can be. */
static void all_is_blocked(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 2; kind++) {
        start(kind ? FEATURE_ALL_INVALIDATED : 0);
        for (unsigned rid = 0; rid < 65536; rid += 7) {
            assert_int_equal(m_dma((uint16_t)rid, 0x1000, rid & 1), 0);
            assert_int_equal(m_message((uint16_t)rid, 0xfee00000, 0x41), 0);
        }
    }
}

static void attached_and_back(void **state)
{
    struct iommu_domain d, other;

    (void)state;
    start(0);
    domain(&d);
    domain(&other);
    map(&d, 0x1000, 0x5000, 0x2000, PROT_RW);
    map(&d, 0x10000, 0x9000, 0x1000, PROT_R);
    map(&d, 0x11000, 0x9000, 0x1000, PROT_W);
    map(&d, 0x40000000, 0x80000000, 1 * GIB + 2 * MIB, PROT_RW);
    map(&other, 0x1000, 0xa000, 0x1000, PROT_RW);
    assert_int_equal(set(RID, &d, false), 0);
    assert_int_equal(m_dma(RID, 0x1234, false), 0x5234);
    assert_int_equal(m_dma(RID, 0x2008, true), 0x6008);
    assert_int_equal(m_dma(RID, 0x10000, false), 0x9000);
    assert_int_equal(m_dma(RID, 0x10000, true), 0);
    assert_int_equal(m_dma(RID, 0x11000, false), 0);
    assert_int_equal(m_dma(RID, 0x11010, true), 0x9010);
    assert_int_equal(m_dma(RID, 0x3000, false), 0);
    assert_int_equal(m_dma(RID, 0x40123456, true), 0x80123456);
    assert_int_equal(m_dma(RID, 0x80023456, true), 0xc0023456);
    assert_int_equal(m_dma(RID, 1ull << 50, true), 0);
    assert_int_equal(m_dma(OTHER, 0x1000, false), 0);
    assert_int_equal(set(RID, &other, false), 0);
    assert_int_equal(m_dma(RID, 0x1234, false), 0xa234);
    assert_int_equal(set(RID, NULL, false), 0);
    assert_int_equal(m_dma(RID, 0x1234, false), 0);
    no_domain(&d);
    no_domain(&other);
}

static void forgets_what_is_unmapped(void **state)
{
    static const struct {
        uint64_t at, len;
    } cases[] = {
        { 0x1000, 0x1000 },      { 0x3000, 0x5000 },          { 0x1ff000, 0x2000 },
        { 0x200000, 0x200000 },  { 0x7ff000, 0x201000 },      { 0, 8 * MIB },
        { 0x12345000, 0x33000 }, { 0x40000000, 1 * GIB },     { 0x7ffff000, 0x2000 },
        { 0, 1ull << 47 },       { 0x7fffc0000000, 1 * GIB },
    };
    struct iommu_domain d;

    (void)state;
    start(0);
    domain(&d);
    assert_int_equal(set(RID, &d, false), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t at = cases[i].at, last = at + cases[i].len - 8, to = 1ull << 48;

        map(&d, at, to + at, cases[i].len, PROT_RW);
        assert_int_equal(m_dma(RID, at, true), to + at);
        assert_int_equal(m_dma(RID, last, true), to + last);
        unmap(&d, at, cases[i].len);
        assert_int_equal(m_dma(RID, at, true), 0);
        assert_int_equal(m_dma(RID, last, true), 0);
    }
    assert_int_equal(set(RID, NULL, false), 0);
    no_domain(&d);
}

/* An ID that is used again has nothing of its last owner's. */
static void ids_come_back(void **state)
{
    struct iommu_domain d;

    (void)state;
    start(0);
    domain(&d);
    map(&d, 0x1000, 0x5000, 0x1000, PROT_RW);
    assert_int_equal(set(RID, &d, false), 0);
    assert_int_equal(m_dma(RID, 0x1000, true), 0x5000);
    assert_int_equal(set(RID, NULL, false), 0);
    no_domain(&d);
    domain(&d);
    assert_int_equal(set(RID, &d, false), 0);
    assert_int_equal(m_dma(RID, 0x1000, true), 0);
    assert_int_equal(set(RID, NULL, false), 0);
    no_domain(&d);
}

/* Left on by the firmware: what it kept of its settings stays, but nothing of its tables. */
static void takes_over_what_is_on(void **state)
{
    static uint8_t table[4096] __attribute__((aligned(4096)));

    (void)state;
    power_on(0);
    m_set(0, (uint64_t)table);
    m_set(0x18, 0x1005 | 1 << 10);
    m_set(0x2020, 0x18);
    m_set(0x20, 3);
    m_set(0x2008, 0x40);
    assert_int_equal(amdvi_begin(v), 0);
    assert_int_equal(amdvi_take_over(v), 0);
    assert_int_equal(m_get(0x18) & (1 << 10 | 1), 1 << 10 | 1);
    assert_int_equal(m_get(0x20), 0);
    assert_int_equal(m_dma(RID, 0x1000, true), 0);
    power_on(0);
    memset(m.regs, 0xff, sizeof m.regs);
    assert_int_equal(amdvi_begin(v), -ENOTSUP);
    v->devtab = phys_to_virt(pmm_alloc(AMDVI_DEVTAB_ORDER, PMM_PT)); /* for power_on() */
}

static void unit_that_does_not_answer(void **state)
{
    struct iommu_domain d;
    uint64_t before;

    (void)state;
    start(0);
    domain(&d);
    before = host_now;
    m.never_done = true;
    assert_int_equal(v->unit.ops->flush(&v->unit, &d, gpa(0x1000), 0x1000), -EIO);
    assert_int_equal(set(RID, &d, false), -EIO);
    assert_true(host_now - before < 1000000000);
    no_domain(&d);
    power_on(0);
    m_set(0x2020, 0x18);
    m.never_stops = true;
    assert_int_equal(amdvi_begin(v), 0);
    assert_int_equal(amdvi_take_over(v), -EIO);
}

static void faults_are_told(void **state)
{
    struct iommu_domain d;

    (void)state;
    start(0);
    domain(&d);
    map(&d, 0x10000, 0x9000, 0x1000, PROT_R);
    assert_int_equal(set(RID, &d, false), 0);
    assert_int_equal(m_dma(RID, 0x123456, true), 0);
    assert_int_equal(m_dma(RID, 0x10008, true), 0);
    assert_int_equal(m_dma(OTHER, 0x7000, false), 0);
    assert_int_equal(m_message(OTHER, 0xfee00000, 0x41), 0);
    assert_false(v->unit.ops->poll(&v->unit, 16));
    assert_int_equal(nfaults, 4);
    assert_int_equal(faults[0].stream, RID);
    assert_int_equal(faults[0].addr, 0x123456);
    assert_int_equal(faults[0].access, IOMMU_WRITE);
    assert_int_equal(faults[0].reason, IOMMU_UNMAPPED);
    assert_int_equal(faults[1].reason, IOMMU_DENIED);
    assert_int_equal(faults[2].access, IOMMU_READ);
    assert_int_equal(faults[3].reason, IOMMU_INTERRUPT);
    assert_int_equal(set(OTHER, NULL, true), 0); /* quiet */
    assert_int_equal(m_dma(OTHER, 0x8000, false), 0);
    assert_false(v->unit.ops->poll(&v->unit, 16));
    assert_int_equal(nfaults, 4);
    /* more than the log holds: in pieces, then from the start */
    for (unsigned i = 0; i < 300; i++)
        (void)m_dma(RID, 0x123456, true);
    assert_true(v->unit.ops->poll(&v->unit, 100));
    assert_int_equal(nfaults, 104);
    while (v->unit.ops->poll(&v->unit, 100))
        ;
    assert_int_equal(nfaults, 4 + 255);
    assert_int_equal(v->lost, 1);
    assert_int_equal(m_get(0x2020) & 1, 0);
    (void)m_dma(RID, 0x123456, true);
    assert_false(v->unit.ops->poll(&v->unit, 16));
    assert_int_equal(nfaults, 260);
    assert_int_equal(set(RID, NULL, false), 0);
    no_domain(&d);
}

/* Whatever the unit, or what broke it, says. */
static void bad_events(void **state)
{
    struct iommu_fault f;
    unsigned told = 0;

    (void)state;
    for (uint64_t code = 0; code < 16; code++)
        for (uint64_t flags = 0; flags < 4096; flags++) {
            const struct amdvi_entry e = { { code << 60 | flags << 48 | 0xffff, UINT64_MAX } };

            told += amdvi_decode(&e, &f);
            assert_true(f.reason < IOMMU_REASONS && f.access <= IOMMU_WRITE);
            assert_int_equal(f.stream, 0xffff);
        }
    assert_int_equal(told, 13 * 4096);
    start(0);
    m_set(0x2010, 0xffffffffffffffffull);
    m_set(0x2018, 0x123456789abcdef8ull);
    for (unsigned i = 0; i < 100 && v->unit.ops->poll(&v->unit, 16); i++)
        ;
    assert_false(v->unit.ops->poll(&v->unit, 16));
}

static int irq(uint16_t rid, unsigned n, uint64_t dest, unsigned vector, struct irq_message *out)
{
    struct irq_message plain = { 0xfee00000 | dest << 12, vector };

    return v->unit.ops->irq(&v->unit, rid, n, rid, &plain, out);
}

static void interrupts_of_ones_own(void **state)
{
    struct irq_message a, b, c, bad = { 0xfee00008, 0x41 };

    (void)state;
    start(0);
    assert_int_equal(m_message(RID, 0xfee03000, 0x55), 0);
    assert_int_equal(irq(RID, 0, 3, 0x55, &a), 0);
    assert_int_equal(irq(RID, 1, 7, 0x66, &b), 0);
    assert_int_equal(irq(OTHER, 5, 9, 0x77, &c), 0);
    assert_int_equal(m_message(RID, a.address, a.data), 0x355);
    assert_int_equal(m_message(RID, b.address, b.data), 0x766);
    assert_int_equal(m_message(OTHER, c.address, c.data), 0x977);
    assert_int_equal(m_message(OTHER, b.address, b.data), 0);
    assert_int_equal(irq(RID, 0, 4, 0x56, &b), 0); /* moved: the same message */
    assert_int_equal(a.data, b.data);
    assert_int_equal(m_message(RID, a.address, a.data), 0x456);
    v->unit.ops->irq_off(&v->unit, RID, 0, RID);
    v->unit.ops->irq_off(&v->unit, RID, 0, RID);
    assert_int_equal(m_message(RID, a.address, a.data), 0);
    assert_int_equal(v->unit.ops->irq(&v->unit, RID, 5, RID, &bad, &b), -EINVAL);
    for (unsigned n = 0; n < 1023; n++)
        assert_int_equal(irq(RID, 100 + n, 1, 0x30, &a), 0);
    assert_int_equal(irq(RID, 99, 1, 0x30, &a), -ENOSPC);
    percpus[0].hw_id = 6;
    assert_int_equal(amdvi_let_lines(v, 0xa0), 0);
    assert_int_equal(m_message(0xa0, 0xfee06000, 0x33), 0x633);
    assert_int_equal(m_message(0xa0, 0xfee06000, 0x433), 0); /* an NMI, or so */
    percpus[0].hw_id = 0;
    m.never_done = true;
    assert_int_equal(irq(RID, 100, 2, 0x31, &a), -EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_blocked),           cmocka_unit_test(attached_and_back),
        cmocka_unit_test(forgets_what_is_unmapped), cmocka_unit_test(ids_come_back),
        cmocka_unit_test(takes_over_what_is_on),    cmocka_unit_test(unit_that_does_not_answer),
        cmocka_unit_test(faults_are_told),          cmocka_unit_test(bad_events),
        cmocka_unit_test(interrupts_of_ones_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
