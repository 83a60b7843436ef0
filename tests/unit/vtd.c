/* SPDX-License-Identifier: BSD-2-Clause */
/* Intel's VT-d on a model of a unit that remembers what it was not told to forget. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "vtd_model.h"

#include "drivers/iommu/vtd.h"
#include <arch/irq.h>

enum { QI = 2, COHERENT = 1, SNOOP = 1 << 7 };
enum { RID = 0x318, OTHER = 0x320 };

static struct host_pci_dev devs[] = { { .bus = 3, .devfn = 0x18 }, { .bus = 3, .devfn = 0x20 } };

#include "pci_quiet.h"

static struct iommu_fault faults[16];
static unsigned nfaults;

void iommu_report(struct iommu_unit *u, const struct iommu_fault *f)
{
    (void)u;
    if (nfaults < ARRAY_SIZE(faults))
        faults[nfaults] = *f;
    nfaults++;
}

static struct vtd v;
static unsigned cleaned;

void arch_clean_to_ram(const void *at, uint64_t len)
{
    (void)at;
    cleaned += len != 0;
}

static void start(uint64_t cap, uint64_t ecap)
{
    static bool there;

    if (!there)
        host_init(1, 64 * MIB);
    there = true;
    m_power_on(cap, ecap);
    v = (struct vtd){ .regs = m.regs };
    nfaults = cleaned = 0;
    assert_int_equal(vtd_begin(&v), 0);
    assert_int_equal(vtd_take_over(&v), 0);
    assert_int_equal(vtd_switch_on(&v), 0);
}

static void domain(struct iommu_domain *d)
{
    *d = (struct iommu_domain){ .unit = &v.unit };
    assert_int_equal(v.unit.ops->domain_init(&v.unit, d, NULL, NULL), 0);
}

static void no_domain(struct iommu_domain *d)
{
    v.unit.ops->domain_fini(&v.unit, d);
    pt_fini(&d->gmem.pt);
}

static int set(uint16_t rid, struct iommu_domain *d)
{
    return v.unit.ops->set(&v.unit, rid, d, false);
}

static int flush(struct iommu_domain *d, uint64_t at, uint64_t len)
{
    return v.unit.ops->flush(&v.unit, d, gpa(at), len);
}

static void map(struct iommu_domain *d, uint64_t at, uint64_t to, uint64_t len, unsigned prot)
{
    assert_int_equal(pt_map(&d->gmem.pt, gpa(at), hpa(to), len, prot, MEM_WB), 0);
}

static void unmap(struct iommu_domain *d, uint64_t at, uint64_t len)
{
    assert_int_equal(pt_unmap(&d->gmem.pt, gpa(at), len), 0);
    assert_int_equal(flush(d, at, len), 0);
    pt_reap(&d->gmem.pt);
}

static void blocked_then_attached_then_blocked(void **state)
{
    struct iommu_domain d, other;

    (void)state;
    start(0, QI | COHERENT | SNOOP);
    assert_int_equal(m_dma(RID, 0x1000, false), 0);
    domain(&d);
    domain(&other);
    assert_int_not_equal(d.id, other.id);
    map(&d, 0x1000, 0x5000, 0x2000, PROT_RW);
    map(&d, 0x10000, 0x9000, 0x1000, PROT_R);
    map(&d, 0x40000000, 0x80000000, 1 * GIB + 2 * MIB, PROT_RW);
    map(&other, 0x1000, 0xa000, 0x1000, PROT_RW);
    assert_int_equal(set(RID, &d), 0);
    assert_int_equal(m_dma(RID, 0x1234, false), 0x5234);
    assert_int_equal(m_dma(RID, 0x2008, true), 0x6008);
    assert_int_equal(m_dma(RID, 0x10000, false), 0x9000);
    assert_int_equal(m_dma(RID, 0x10000, true), 0);
    assert_int_equal(m_dma(RID, 0x3000, false), 0);
    assert_int_equal(m_dma(RID, 0x40123456, true), 0x80123456);
    assert_int_equal(m_dma(RID, 0x80023456, true), 0xc0023456);
    assert_int_equal(m_dma(RID, 1ull << 50, true), 0);
    assert_int_equal(m_dma(OTHER, 0x1000, false), 0); /* the neighbour has nothing */
    assert_int_equal(set(RID, &other), 0);
    assert_int_equal(m_dma(RID, 0x1234, false), 0xa234);
    assert_int_equal(set(RID, NULL), 0);
    assert_int_equal(m_dma(RID, 0x1234, false), 0);
    assert_int_equal(cleaned, 0);
    no_domain(&d);
    no_domain(&other);
}

static void forgets_what_is_unmapped(void **state)
{
    static const struct {
        uint64_t at, len;
    } cases[] = {
        { 0x1000, 0x1000 },      { 0x3000, 0x5000 },      { 0x1ff000, 0x2000 },
        { 0x200000, 0x200000 },  { 0x7ff000, 0x201000 },  { 0, 8 * MIB },
        { 0x12345000, 0x33000 }, { 0x40000000, 1 * GIB },
    };
    struct iommu_domain d;

    (void)state;
    start(0, QI | COHERENT);
    domain(&d);
    assert_int_equal(set(RID, &d), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t at = cases[i].at, last = at + cases[i].len - 8;

        map(&d, at, 0x100000000ull + at, cases[i].len, PROT_RW);
        assert_int_equal(m_dma(RID, at, true), 0x100000000ull + at);
        assert_int_equal(m_dma(RID, last, true), 0x100000000ull + last);
        unmap(&d, at, cases[i].len);
        assert_int_equal(m_dma(RID, at, true), 0);
        assert_int_equal(m_dma(RID, last, true), 0);
    }
    assert_int_equal(set(RID, NULL), 0);
    no_domain(&d);
}

/* An ID that is used again has nothing of its last owner's. */
static void ids_run_out_and_come_back(void **state)
{
    static struct iommu_domain d[300];
    struct iommu_domain more;
    unsigned n = 0;

    (void)state;
    start(0, QI | COHERENT);
    domain(&d[0]);
    map(&d[0], 0x1000, 0x5000, 0x1000, PROT_RW);
    assert_int_equal(set(RID, &d[0]), 0);
    assert_int_equal(m_dma(RID, 0x1000, true), 0x5000);
    assert_int_equal(set(RID, NULL), 0);
    no_domain(&d[0]);
    domain(&d[0]);
    assert_int_equal(set(RID, &d[0]), 0);
    assert_int_equal(m_dma(RID, 0x1000, true), 0);
    assert_int_equal(set(RID, NULL), 0);
    for (n = 1; n < 255; n++)
        domain(&d[n]);
    more = (struct iommu_domain){ .unit = &v.unit };
    assert_int_equal(v.unit.ops->domain_init(&v.unit, &more, NULL, NULL), -ENOSPC);
    while (n--)
        no_domain(&d[n]);
}

/* A unit that caches holes is told of mappings; one that does not look into caches has clean lines.
 */
static void other_kinds_of_unit(void **state)
{
    struct iommu_domain d;

    (void)state;
    start(CAP_CM | CAP_RWBF, QI);
    domain(&d);
    assert_true(d.gmem.tell_maps);
    assert_int_equal(m_dma(RID, 0x1000, true), 0); /* it remembers that */
    assert_int_equal(set(RID, &d), 0);
    assert_int_equal(m_dma(RID, 0x1000, true), 0);
    map(&d, 0x1000, 0x5000, 0x1000, PROT_RW);
    assert_int_equal(m_dma(RID, 0x1000, true), 0);
    assert_int_equal(flush(&d, 0x1000, 0x1000), 0);
    assert_int_equal(m_dma(RID, 0x1000, true), 0x5000);
    assert_true(cleaned > 0);
    assert_true(m.write_flushes > 0);
    assert_int_equal(set(RID, NULL), 0);
    no_domain(&d);
    /* 39 bits alone, small pages alone */
    m_power_on(0, QI | COHERENT);
    m_set64(VTD_CAP, (m_get64(VTD_CAP) & ~(7ull << 8 | 15ull << 34 | 1ull << 39)) | 2 << 8);
    v = (struct vtd){ .regs = m.regs };
    assert_int_equal(vtd_begin(&v), 0);
    assert_int_equal(v.format.levels, 3);
    assert_int_equal(v.format.ia_bits, 39);
    assert_int_equal(v.format.leaf_levels, 1);
    assert_int_equal(vtd_take_over(&v), 0);
    assert_int_equal(vtd_switch_on(&v), 0);
    domain(&d);
    map(&d, 0x200000, 0x600000, 2 * MIB, PROT_RW);
    assert_int_equal(set(RID, &d), 0);
    assert_int_equal(m_dma(RID, 0x2abcd0, true), 0x6abcd0);
    unmap(&d, 0x200000, 2 * MIB);
    assert_int_equal(m_dma(RID, 0x2abcd0, true), 0);
    assert_int_equal(set(RID, NULL), 0);
    no_domain(&d);
}

/* CAP and ECAP of machines, as public logs of Linux have them. */
static const struct {
    uint64_t cap, ecap;
    uint8_t levels, bits, leaves;
    bool coherent, snoops, irqs;
} real[] = {
    /* Haswell: graphics, the rest */
    { 0xc0000020660462, 0xf0101a, 4, 39, 1, false, false, true },
    { 0xd2008020660462, 0xf010da, 4, 39, 1, false, true, true },
    /* Broadwell's rest, Skylake's, both of 2018 */
    { 0xd2008c20660462, 0xf010da, 4, 39, 7, false, true, true },
    { 0x1c0000c40660462, 0x7e3ff0501e, 4, 39, 7, false, false, true },
    { 0xd2008c40660462, 0xf050da, 4, 39, 7, false, true, true },
    { 0x1c0000c40660462, 0x19e2ff0505e, 4, 39, 7, false, false, true },
    { 0x1c0000c40660462, 0x69e2ff0505e, 4, 39, 7, false, false, true },
    /* a server's */
    { 0x8d2078c106f0466, 0xf020df, 4, 48, 7, true, true, true },
};

static void units_of_real_machines(void **state)
{
    (void)state;
    start(0, QI);
    for (unsigned i = 0; i < ARRAY_SIZE(real); i++) {
        m_set64(VTD_CAP, real[i].cap);
        m_set64(VTD_ECAP, real[i].ecap);
        v = (struct vtd){ .regs = m.regs };
        assert_int_equal(vtd_begin(&v), 0);
        assert_int_equal(v.format.levels, real[i].levels);
        assert_int_equal(v.format.ia_bits, real[i].bits);
        assert_int_equal(v.format.leaf_levels, real[i].leaves);
        assert_int_equal(v.format.clean_to_ram, !real[i].coherent);
        assert_int_equal(v.format.leaf(hpa(0), 0, PROT_R, MEM_WB) >> 11 & 1, real[i].snoops);
        assert_int_equal(!!(v.ecap & ECAP_IR), real[i].irqs);
    }
}

/* Left on by the firmware, with a queue of its own: it goes on without a gap, with our tables. */
static void takes_over_what_is_on(void **state)
{
    static uint64_t root[512] __attribute__((aligned(4096)));
    static uint64_t queue[512] __attribute__((aligned(4096)));

    (void)state;
    m_power_on(0, QI | COHERENT);
    m_set64(VTD_RTADDR, (uint64_t)root);
    m_set64(VTD_IQA, (uint64_t)queue);
    m_command(1u << 30);
    m_command(1u << 31 | 1u << 26 | 1u << 25 | 1u << 23);
    v = (struct vtd){ .regs = m.regs };
    assert_int_equal(vtd_begin(&v), 0);
    assert_int_equal(vtd_take_over(&v), 0);
    assert_int_equal(vtd_switch_on(&v), 0);
    assert_int_equal(m.gaps, 0);
    assert_int_equal(m_get(VTD_GSTS) & (1u << 31 | 1u << 26 | 1u << 25 | 1u << 23),
                     1u << 31 | 1u << 26);
    assert_int_not_equal(m.root, (uint64_t)root);
    assert_int_equal(m_dma(RID, 0x1000, true), 0);
}

static void units_that_cannot_be_used(void **state)
{
    (void)state;
    start(0, QI);
    m_set64(VTD_ECAP, 0);
    assert_int_equal(vtd_begin(&v), -ENOTSUP);
    m_set64(VTD_ECAP, UINT64_MAX);
    m_set64(VTD_CAP, UINT64_MAX);
    assert_int_equal(vtd_begin(&v), -ENOTSUP);
    m_power_on(0, QI);
    m_set64(VTD_CAP, m_get64(VTD_CAP) & ~(0x1full << 8));
    assert_int_equal(vtd_begin(&v), -ENOTSUP);
    m_power_on(0x3ffull << 24, QI); /* records beyond what is mapped */
    m_set64(VTD_CAP, m_get64(VTD_CAP) | 255ull << 40);
    assert_int_equal(vtd_begin(&v), -ENOTSUP);
}

/* Bounded, and an error, whatever it does not do. */
static void unit_that_does_not_answer(void **state)
{
    struct iommu_domain d;
    uint64_t before;

    (void)state;
    start(0, QI | COHERENT);
    domain(&d);
    before = host_now;
    m.never_done = true;
    assert_int_equal(flush(&d, 0x1000, 0x1000), -EIO);
    assert_int_equal(set(RID, &d), -EIO);
    assert_true(host_now - before < 1000000000);
    m.never_done = false;
    m.queue_error = true;
    assert_int_equal(flush(&d, 0x1000, 0x1000), -EIO);
    no_domain(&d);
    m_power_on(0, QI | COHERENT);
    m.stuck = true;
    v = (struct vtd){ .regs = m.regs };
    assert_int_equal(vtd_begin(&v), 0);
    assert_int_equal(vtd_take_over(&v), -EIO);
    assert_int_equal(vtd_switch_on(&v), -EIO);
}

static void faults_are_told(void **state)
{
    (void)state;
    start(0, QI | COHERENT);
    assert_int_equal(m_dma(RID, 0x123456, true), 0);
    assert_int_equal(m_dma(OTHER, 0x7000, false), 0);
    assert_int_equal(m_dma(OTHER, 0x8000, false), 0); /* no record is left */
    assert_false(v.unit.ops->poll(&v.unit, 16));
    assert_int_equal(nfaults, 2);
    assert_int_equal(faults[0].stream, RID);
    assert_int_equal(faults[0].addr, 0x123000);
    assert_int_equal(faults[0].access, IOMMU_WRITE);
    assert_int_equal(faults[0].reason, IOMMU_BLOCKED);
    assert_int_equal(faults[1].access, IOMMU_READ);
    assert_int_equal(v.lost, 1);
    assert_false(v.unit.ops->poll(&v.unit, 16));
    assert_int_equal(nfaults, 2);
    assert_int_equal(v.unit.ops->set(&v.unit, OTHER, NULL, true), 0); /* quiet */
    assert_int_equal(m_dma(OTHER, 0x8000, false), 0);
    assert_false(v.unit.ops->poll(&v.unit, 16));
    assert_int_equal(nfaults, 2);
}

/* Any bits in a record: it is told as it is, or as "other". */
static void bad_records(void **state)
{
    (void)state;
    start(0, QI | COHERENT);
    for (unsigned code = 0; code < 256; code++) {
        m_set64(M_FRO, 0xffff123456789fffull);
        m_set(M_FRO + 8, 0xffffffff);
        m_set(M_FRO + 12, 0xffffff00 | code);
        nfaults = 0;
        (void)v.unit.ops->poll(&v.unit, 16);
        assert_int_equal(nfaults, 1);
        assert_int_equal(faults[0].stream, 0xffff);
        assert_true(faults[0].reason < IOMMU_REASONS);
        assert_int_equal(faults[0].code, code);
    }
    assert_int_equal(vtd_reason(2), IOMMU_BLOCKED);
    assert_int_equal(vtd_reason(6), IOMMU_UNMAPPED);
    assert_int_equal(vtd_reason(0x22), IOMMU_INTERRUPT);
    assert_int_equal(vtd_reason(0x1f), IOMMU_OTHER);
    assert_int_equal(vtd_reason(0xff), IOMMU_OTHER);
}

/* ---- interrupts ---- */

static bool x2apic;

bool irq_is_x2apic(void) { return x2apic; }

static int irq(uint16_t rid, unsigned n, uint64_t dest, unsigned vector, struct irq_message *out)
{
    struct irq_message plain = { 0xfee00000 | dest << 12, vector };

    return v.unit.ops->irq(&v.unit, rid, n, rid, &plain, out);
}

static void interrupts_of_ones_own(void **state)
{
    struct irq_message a, b, c, bad = { 0xfee00008, 0x41 };

    (void)state;
    for (unsigned mode = 0; mode < 2; mode++) {
        x2apic = mode;
        start(0, QI | COHERENT | ECAP_IR | ECAP_EIM);
        assert_int_equal(m_message(RID, 0xfee03000, 0x55), 0x355); /* before: as it is */
        assert_int_equal(vtd_irqs_on(&v), 0);
        assert_int_equal(m_message(RID, 0xfee03000, 0x55), 0);
        assert_int_equal(irq(RID, 0, 3, 0x55, &a), 0);
        assert_int_equal(irq(RID, 1, 7, 0x66, &b), 0);
        assert_int_equal(irq(OTHER, 0, 9, 0x77, &c), 0);
        assert_int_equal(m_message(RID, a.address, a.data), 0x355);
        assert_int_equal(m_message(RID, b.address, b.data), 0x766);
        assert_int_equal(m_message(OTHER, c.address, c.data), 0x977);
        assert_int_equal(m_message(OTHER, a.address, a.data), 0); /* it is not its own */
        assert_int_equal(irq(RID, 0, 4, 0x56, &b), 0);            /* moved: the same message */
        assert_int_equal(a.address, b.address);
        assert_int_equal(m_message(RID, a.address, a.data), 0x456);
        v.unit.ops->irq_off(&v.unit, RID, 0, RID);
        v.unit.ops->irq_off(&v.unit, RID, 0, RID);
        assert_int_equal(m_message(RID, a.address, a.data), 0);
        assert_int_equal(v.unit.ops->irq(&v.unit, RID, 5, RID, &bad, &b), -EINVAL);
        bad = (struct irq_message){ 0xfee00000, 0x141 };
        assert_int_equal(v.unit.ops->irq(&v.unit, RID, 5, RID, &bad, &b), -EINVAL);
    }
    for (unsigned n = 0; n < VTD_IRQS - 2; n++)
        assert_int_equal(irq(RID, 100 + n, 1, 0x30, &a), 0);
    assert_int_equal(irq(RID, 99, 1, 0x30, &a), -ENOSPC);
    assert_int_equal(m_message(RID, 0xfee00010 | 0x7fff << 5, 0), 0); /* beyond the table */
    m.never_done = true;
    assert_int_equal(irq(RID, 100, 2, 0x31, &a), -EIO);
}

static void lines(void **state)
{
    const struct irq_line l = { .vector = 0x33, .pin = 4, .dest = 5, .level = true, .low = true };
    uint64_t e;

    (void)state;
    start(0, QI | COHERENT | ECAP_IR);
    assert_int_equal(vtd_irqs_on(&v), 0);
    e = vtd_line(&v, 0xf0f8, &l);
    assert_int_equal(e & 0xffff, 0x33 | 1 << 15 | 1 << 13);
    assert_int_equal(e >> 48 & 1, 1);
    assert_int_equal(m_message(0xf0f8, 0xfee00010 | (e >> 49) << 5, 0x33), 0x533);
    assert_int_equal(m_message(RID, 0xfee00010 | (e >> 49) << 5, 0x33), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocked_then_attached_then_blocked),
        cmocka_unit_test(forgets_what_is_unmapped),
        cmocka_unit_test(ids_run_out_and_come_back),
        cmocka_unit_test(other_kinds_of_unit),
        cmocka_unit_test(units_of_real_machines),
        cmocka_unit_test(takes_over_what_is_on),
        cmocka_unit_test(units_that_cannot_be_used),
        cmocka_unit_test(unit_that_does_not_answer),
        cmocka_unit_test(faults_are_told),
        cmocka_unit_test(bad_records),
        cmocka_unit_test(interrupts_of_ones_own),
        cmocka_unit_test(lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
