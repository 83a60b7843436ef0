/* SPDX-License-Identifier: BSD-2-Clause */
/* The driver of SMMUv3 against a model of one: good ones of each kind, and ones that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/smmu_model.h"

#include "drivers/iommu/smmuv3.h"
#include <arch/irq.h>
#include <arch/mmu.h>
#include <hv/event.h>

/* ---- the machine: two functions and the bus that they are on ---- */

static struct host_pci_dev devs[] = {
    { .bus = 0, .devfn = 3 << 3, .class = 1, .subclass = 8 },
    { .bus = 2, .devfn = 0, .class = 2 },
};
static bool master[2];

const struct host_pci_dev *host_pci_devs(uint32_t *count)
{
    *count = ARRAY_SIZE(devs);
    return devs;
}

uint32_t host_pci_read(const struct host_pci_dev *d, uint32_t off, unsigned size)
{
    (void)d, (void)off, (void)size;
    return 0;
}

void host_pci_command(const struct host_pci_dev *d, uint16_t set, uint16_t clear)
{
    if (set & HOST_PCI_MASTER)
        master[d - devs] = true;
    if (clear & HOST_PCI_MASTER)
        master[d - devs] = false;
}

void host_pci_stop(const struct host_pci_dev *d, bool stop)
{
    if (stop)
        master[d - devs] = false;
}

static void (*irq_fn)(void *);
static void *irq_arg;

int irq_register(uint32_t gsi, void (*fn)(void *), void *arg)
{
    irq_fn = fn;
    irq_arg = arg;
    return gsi == 106 || gsi == 109 ? 0 : -ENOENT;
}

static unsigned cleaned;

void arch_clean_to_ram(const void *at, uint64_t len)
{
    (void)at, (void)len;
    cleaned++;
}

/* Bus 0 as it is, bus 2 as streams from 0x1200 on, the rest behind nothing. */
int platform_route(uint16_t segment, uint16_t rid, struct platform_route *out)
{
    *out = (struct platform_route){ .smmu = -1, .its = -1, .more = 0xff - (rid & 0xff) };
    if (segment || (rid >> 8 != 0 && rid >> 8 != 2))
        return -ENOENT;
    out->smmu = 0;
    out->stream = rid >> 8 ? 0x1200u + (rid & 0xff) : rid;
    return 0;
}

bool platform_reserved(unsigned n, struct platform_reserved *out)
{
    *out = (struct platform_reserved){
        .first = 0x1180, .last = 0x1200, .base = 0x70000, .len = 0x1000
    };
    return n == 0;
}

void *mmu_map_device(hpa_t pa, uint64_t len)
{
    if (pa.v == 0x9050000 && len == MODEL_REGS)
        return m.regs;
    return (void *)pa.v; /* a queue of a unit that does not look into caches */
}

enum { STAGE1 = 2, STAGE2 = 1, COHERENT = 1 << 4, TWO_LEVEL = 1 << 27 };

/* As QEMU's: AArch64 tables, little-endian, never stalls; 48 bits, pages of 4 KiB. */
static void make(uint32_t idr0, uint32_t sid_bits, uint32_t queue_bits)
{
    memset(&m, 0, sizeof m);
    model_put(0x00, 2 << 2 | 1 << 12 | 2 << 21 | 1 << 24 | idr0);
    model_put(0x04, sid_bits | queue_bits << 21 | queue_bits << 16);
    model_put(0x14, 5 | 1 << 4);
    cleaned = 0;
}

static struct iommu_scope scopes[] = { { .last = 0xff },
                                       { .first = 0x200, .last = 0x2ff, .stream = 0x1200 } };
static struct platform_smmu is = { .base = 0x9050000, .event = 106, .gerror = 109 };
static struct smmu *s;

/* One that is started without the core. */
static int start(void)
{
    if (s)
        free(s->level2);
    free(s);
    s = calloc(1, sizeof *s);
    s->regs = m.regs;
    s->is = &is;
    s->unit.scopes = scopes;
    s->unit.nscopes = ARRAY_SIZE(scopes);
    snprintf(s->unit.name, sizeof s->unit.name, "test");
    return smmu_start(s);
}

static int setup(void **state)
{
    static bool there;

    (void)state;
    if (!there)
        host_init(1, 64 * MIB);
    there = true;
    return 0;
}

static bool reaches(uint32_t stream, uint64_t at, bool write, uint64_t want)
{
    uint64_t to = 0;

    return model_access(stream, at, write, &to) && (to == want || !want);
}

static unsigned records(void)
{
    uint32_t mask = (2u << s->eventq.bits) - 1;

    return (model_get(0x100a8) - model_get(0x100ac)) & mask;
}

/* The last record, and forgets all. */
static struct iommu_fault fault(void)
{
    struct iommu_fault f;
    struct smmu_event e;
    uint32_t prod = model_get(0x100a8), last = (prod - 1) & ((1u << s->eventq.bits) - 1);

    for (unsigned i = 0; i < 4; i++)
        e.word[i] = s->eventq.at[last * 4 + i];
    assert_true(smmu_decode(&e, &f));
    model_put(0x100ac, prod);
    s->eventq.cons = prod;
    return f;
}

/* ---- what every kind of unit must do ---- */

static const uint32_t kinds[] = { STAGE1 | COHERENT | TWO_LEVEL,
                                  STAGE1 | COHERENT,
                                  STAGE2 | COHERENT | TWO_LEVEL,
                                  STAGE1 | STAGE2 | COHERENT,
                                  STAGE2,
                                  STAGE1 | TWO_LEVEL };

static void all_blocked_at_first(void **state)
{
    (void)state;
    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        make(kinds[k], 16, 8);
        assert_int_equal(start(), 0);
        assert_int_equal(m.bad_commands, 0);
        for (uint32_t stream = 0; stream < 0x2000; stream += 0xff) {
            assert_false(reaches(stream, 0x5000, false, 0));
            assert_int_equal(fault().reason, IOMMU_BLOCKED);
        }
        assert_false(reaches(0x10000, 0x5000, true, 0));
        assert_int_equal(fault().stream, 0x10000);
        assert_true((cleaned > 0) == !(kinds[k] & COHERENT));
    }
}

static struct iommu_domain a, b;

static void domains(void)
{
    assert_int_equal(smmu_domain_init(&s->unit, &a, NULL, NULL), 0);
    assert_int_equal(smmu_domain_init(&s->unit, &b, NULL, NULL), 0);
    assert_int_not_equal(a.id, b.id);
    assert_int_equal(pt_map(&a.gmem.pt, gpa(0x5000), hpa(0x81000), 2 * PAGE_SIZE, PROT_RW, MEM_WB),
                     0);
    assert_int_equal(pt_map(&a.gmem.pt, gpa(0x8000), hpa(0x91000), PAGE_SIZE, PROT_R, MEM_WB), 0);
    assert_int_equal(pt_map(&a.gmem.pt, gpa(0x40000000), hpa(0x80000000), GIB, PROT_RW, MEM_WB), 0);
    assert_int_equal(pt_map(&b.gmem.pt, gpa(0x5000), hpa(0xa1000), PAGE_SIZE, PROT_RW, MEM_UC), 0);
}

static void no_domains(void)
{
    smmu_domain_fini(&s->unit, &a);
    smmu_domain_fini(&s->unit, &b);
    pt_fini(&a.gmem.pt);
    pt_fini(&b.gmem.pt);
}

static void each_its_own(uint32_t x, uint32_t y)
{
    assert_true(reaches(x, 0x5010, true, 0x81010));
    assert_true(reaches(x, 0x6ff8, false, 0x82ff8));
    assert_true(reaches(x, 0x7fffffff, true, 0xbfffffff));
    assert_true(reaches(y, 0x5010, true, 0xa1010));
    assert_true(reaches(x, 0x8000, false, 0x91000));
    assert_int_equal(records(), 0);
    assert_false(reaches(x, 0x8000, true, 0));
    assert_int_equal(fault().reason, IOMMU_DENIED);
    assert_false(reaches(y, 0x6000, true, 0));
    struct iommu_fault f = fault();
    assert_int_equal(f.reason, IOMMU_UNMAPPED);
    assert_int_equal(f.addr, 0x6000);
    assert_int_equal(f.access, IOMMU_WRITE);
    assert_int_equal(f.stream, y);
    assert_false(reaches(y, 0x123456789abc0000, false, 0));
    assert_int_equal(fault().access, IOMMU_READ);
}

static void attach_and_back(void **state)
{
    (void)state;
    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        make(kinds[k], 16, k % 2 ? 2 : 8); /* a command queue of 4 as well */
        assert_int_equal(start(), 0);
        domains();
        assert_int_equal(smmu_set(&s->unit, 0x18, &a, false), 0);
        assert_int_equal(smmu_set(&s->unit, 0x1200, &b, false), 0);
        each_its_own(0x18, 0x1200);
        assert_false(reaches(0x19, 0x5000, false, 0)); /* its neighbour reaches nothing */
        assert_int_equal(fault().reason, IOMMU_BLOCKED);
        assert_false(smmu_is_blocked(s, 0x18));
        assert_int_equal(smmu_set(&s->unit, 0x18, NULL, false), 0);
        assert_true(smmu_is_blocked(s, 0x18));
        assert_false(reaches(0x18, 0x5000, false, 0));
        assert_int_equal(fault().addr, 0x5000); /* with the address */
        assert_int_equal(smmu_set(&s->unit, 0x18, NULL, true), 0);
        assert_true(smmu_is_blocked(s, 0x18));
        assert_false(reaches(0x18, 0x5000, false, 0));
        assert_int_equal(records(), 0);
        assert_true(reaches(0x1200, 0x5000, false, 0xa1000));
        assert_int_equal(smmu_set(&s->unit, 0x1200, NULL, false), 0);
        assert_int_equal(smmu_set(&s->unit, 0x10000, NULL, false), -EINVAL);
        no_domains();
        assert_int_equal(m.bad_commands, 0);
    }
}

/* What is unmapped is out of reach when it was flushed, by page and by domain. */
static void flushes(void **state)
{
    (void)state;
    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        make(kinds[k], 16, 8);
        assert_int_equal(start(), 0);
        domains();
        assert_int_equal(smmu_set(&s->unit, 0x18, &a, false), 0);
        assert_true(reaches(0x18, 0x5000, true, 0x81000));
        assert_true(reaches(0x18, 0x6000, true, 0x82000));
        assert_int_equal(pt_unmap(&a.gmem.pt, gpa(0x5000), 2 * PAGE_SIZE), 0);
        assert_true(reaches(0x18, 0x5000, true, 0)); /* the model has it still */
        assert_int_equal(smmu_forget(s, a.id, 0x5000, PAGE_SIZE), 0);
        assert_false(reaches(0x18, 0x5000, true, 0));
        assert_true(reaches(0x18, 0x6000, true, 0));
        assert_int_equal(smmu_forget(s, a.id, 0, GIB), 0);
        assert_false(reaches(0x18, 0x6000, true, 0));
        assert_true(reaches(0x18, 0x8000, false, 0x91000));
        assert_int_equal(smmu_forget(s, b.id, 0, 0), 0);
        assert_int_equal(
            pt_map(&a.gmem.pt, gpa(0x5000), hpa(0x81000), 2 * PAGE_SIZE, PROT_R, MEM_WB), 0);
        assert_true(reaches(0x18, 0x5000, false, 0x81000));
        assert_true(reaches(0x18, 0x6000, false, 0x82000));
        assert_int_equal(pt_unmap(&a.gmem.pt, gpa(0x5000), 2 * PAGE_SIZE), 0);
        assert_int_equal(smmu_forget(s, a.id, 0x5000, 2 * PAGE_SIZE), 0);
        assert_false(reaches(0x18, 0x5000, false, 0));
        assert_false(reaches(0x18, 0x6000, false, 0));
        assert_int_equal(smmu_set(&s->unit, 0x18, NULL, false), 0);
        no_domains();
    }
}

/* The unit looks at an entry while it changes, and has what is right afterwards all the same. */
static void changed_while_it_is_used(void **state)
{
    (void)state;
    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        make(kinds[k], 16, 8);
        assert_int_equal(start(), 0);
        domains();
        m.busy = 0x18 + 1;
        m.busy_at = 0x5000;
        assert_int_equal(smmu_set(&s->unit, 0x18, &a, false), 0);
        assert_true(reaches(0x18, 0x5000, true, 0x81000));
        assert_int_equal(smmu_set(&s->unit, 0x18, NULL, false), 0);
        assert_false(reaches(0x18, 0x5000, true, 0));
        assert_int_equal(smmu_set(&s->unit, 0x18, &b, false), 0);
        assert_true(reaches(0x18, 0x5000, true, 0xa1000));
        assert_int_equal(smmu_set(&s->unit, 0x18, NULL, true), 0);
        assert_false(reaches(0x18, 0x5000, true, 0));
        no_domains();
    }
}

/* An id that comes again finds nothing of who had it before. */
static void ids_come_again(void **state)
{
    static struct iommu_domain d[SMMU_IDS];
    unsigned n = 0;

    (void)state;
    make(STAGE1 | COHERENT, 16, 8);
    assert_int_equal(start(), 0);
    while (n < SMMU_IDS && !smmu_domain_init(&s->unit, &d[n], NULL, NULL))
        n++;
    assert_int_equal(n, SMMU_IDS - 1);
    assert_int_equal(smmu_domain_init(&s->unit, &a, NULL, NULL), -ENOSPC);
    assert_int_equal(pt_map(&d[7].gmem.pt, gpa(0x5000), hpa(0x81000), PAGE_SIZE, PROT_RW, MEM_WB),
                     0);
    assert_int_equal(smmu_set(&s->unit, 0x18, &d[7], false), 0);
    assert_true(reaches(0x18, 0x5000, true, 0x81000));
    assert_int_equal(smmu_set(&s->unit, 0x18, NULL, false), 0);
    smmu_domain_fini(&s->unit, &d[7]);
    pt_fini(&d[7].gmem.pt);
    assert_int_equal(smmu_domain_init(&s->unit, &a, NULL, NULL), 0);
    assert_int_equal(a.id, d[7].id);
    assert_int_equal(smmu_set(&s->unit, 0x18, &a, false), 0);
    assert_false(reaches(0x18, 0x5000, true, 0));
    assert_int_equal(smmu_set(&s->unit, 0x18, NULL, false), 0);
    d[7] = a;
    for (unsigned i = 0; i < n; i++) {
        smmu_domain_fini(&s->unit, &d[i]);
        pt_fini(&d[i].gmem.pt);
    }
}

/* ---- units that Trivet cannot drive ---- */

static void refused_with_a_reason(void **state)
{
    static const struct {
        unsigned reg, low, bits, val;
        const char *why;
    } odd[] = {
        { 0x00, 0, 2, 0, "S1P" },       { 0x00, 2, 2, 1, "TTF" },
        { 0x00, 21, 2, 3, "TTENDIAN" }, { 0x00, 24, 2, 2, "STALL_MODEL" },
        { 0x04, 29, 1, 1, "QUEUES" },   { 0x04, 30, 1, 1, "TABLES" },
        { 0x14, 4, 1, 0, "GRAN4K" },    { 0x04, 0, 6, 40, "SIDSIZE" },
    };
    struct smmu_caps c;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(odd); i++) {
        uint32_t mask = (1u << odd[i].bits) - 1;

        make(STAGE1 | COHERENT, 16, 8);
        model_put(odd[i].reg,
                  (model_get(odd[i].reg) & ~(mask << odd[i].low)) | odd[i].val << odd[i].low);
        model_put(0x20, 0xd); /* as the firmware left it: it is not touched */
        assert_int_equal(start(), -ENOTSUP);
        assert_non_null(strstr(smmu_read_caps(s, &c), odd[i].why));
        assert_int_equal(model_get(0x20), 0xd);
    }
    make(STAGE1 | COHERENT, 4, 8); /* fewer streams than the devices need */
    assert_int_equal(start(), -ENOTSUP);
}

static void taken_over(void **state)
{
    (void)state;
    make(STAGE1 | COHERENT, 16, 8);
    model_put(0x20, 0xd);
    model_put(0x24, 0xd);
    assert_int_equal(start(), 0);
    assert_true(model_get(0x44) >> 20 & 1); /* aborts, should it ever be off */
    make(STAGE1 | COHERENT, 16, 8);
    m.no_gbpa = true;
    assert_int_equal(start(), 0);
}

/* ---- units that lie ---- */

static void bounded(void **state)
{
    uint64_t began;

    (void)state;
    make(STAGE1 | COHERENT, 16, 8);
    assert_int_equal(start(), 0);
    domains();
    m.never_takes = true;
    began = host_now;
    assert_int_equal(smmu_forget(s, a.id, 0, GIB), -EIO);
    assert_true(host_now - began < 2 * SMMU_WAIT_NS);
    began = host_now;
    assert_int_equal(smmu_forget(s, a.id, 0, GIB), -EIO); /* nobody waits again */
    assert_int_equal(smmu_set(&s->unit, 0x18, &a, false), -EIO);
    assert_true(host_now - began < 1000000);
    assert_false(smmu_poll(&s->unit, 16));
    assert_true(smmu_is_blocked(s, 0x18));
    no_domains();
}

static void odd_answers(void **state)
{
    uint64_t began;

    (void)state;
    make(STAGE1 | COHERENT, 16, 8);
    assert_int_equal(start(), 0);
    m.takes_too_much = true;
    began = host_now;
    assert_int_equal(smmu_forget(s, 1, 0, 0), -EIO);
    assert_true(host_now - began < 1000000); /* at once */
    make(STAGE1 | COHERENT, 16, 8);
    assert_int_equal(start(), 0);
    m.refuses = true;
    assert_int_equal(smmu_forget(s, 1, 0, 0), -EIO);
    make(STAGE1 | COHERENT, 16, 8);
    assert_int_equal(start(), 0);
    model_put(0x60, 0x100); /* GERROR.SFM_ERR */
    assert_false(smmu_poll(&s->unit, 16));
    assert_int_equal(smmu_forget(s, 1, 0, 0), -EIO);
    make(STAGE1 | COHERENT, 16, 8);
    m.never_on = true;
    assert_int_equal(start(), -EIO);
    make(STAGE1 | COHERENT, 16, 8);
    assert_int_equal(start(), 0);
    model_put(0x60, 4); /* an event's write failed: acknowledged */
    (void)smmu_poll(&s->unit, 16);
    assert_int_equal(model_get(0x64), 4);
    assert_int_equal(smmu_forget(s, 1, 0, 0), 0);
}

static void events_that_lie(void **state)
{
    (void)state;
    make(STAGE1 | COHERENT, 16, 2); /* four records */
    assert_int_equal(start(), 0);
    m.told = 5;
    assert_false(smmu_poll(&s->unit, 16));
    assert_int_equal(s->lies, 1);
    m.told = 0;
    s->eventq.cons = 0;
    model_put(0x100ac, 0);
    for (unsigned i = 0; i < 7; i++)
        assert_false(reaches(0x18, 0x1000 * i, true, 0));
    assert_true(smmu_poll(&s->unit, 3)); /* there is more */
    assert_int_equal(s->lost, 1);
    assert_false(smmu_poll(&s->unit, 3));
    assert_int_equal(records(), 0);
    assert_int_equal(model_get(0x100a8) >> 31, model_get(0x100ac) >> 31);
    assert_false(reaches(0x18, 0x1000, true, 0));
    assert_int_equal(records(), 1);
}

static void any_event_is_decoded(void **state)
{
    struct smmu_event e = { .word = { 0 } };
    struct iommu_fault f;
    unsigned known = 0;

    (void)state;
    for (unsigned type = 0; type < 256; type++) {
        e.word[0] = type | 0x1234ull << 32;
        e.word[2] = 0xabc000;
        if (!smmu_decode(&e, &f))
            continue;
        known++;
        assert_int_equal(f.stream, 0x1234);
        assert_int_equal(f.code, type);
        assert_true(f.reason < IOMMU_REASONS);
    }
    assert_int_equal(known, 17);
}

/* ---- as the machine does it ---- */

static void run(void)
{
    while (event_run())
        ;
}

static void with_the_core(void **state)
{
    struct iommu_stats stats;
    uint64_t to;

    (void)state;
    make(STAGE1 | COHERENT | TWO_LEVEL, 16, 8);
    the_platform.necam = 1;
    the_platform.ecam[0] = (struct platform_ecam){ .bus_last = 3 };
    the_platform.nsmmus = 1;
    the_platform.smmu[0] = is;
    assert_int_equal(smmuv3_init(), 0);
    assert_non_null(irq_fn);
    const struct iommu_unit *u = iommu_unit_of(&devs[0]);
    assert_non_null(u);
    assert_false(u->polled);
    assert_int_equal(u->nscopes, 2);
    assert_ptr_equal(iommu_unit_of(&devs[1]), u);
    assert_int_equal(iommu_domain_init(&a, &devs[1], "guest web", NULL, NULL), 0);
    assert_int_equal(pt_map(&a.gmem.pt, gpa(0), hpa(0x2000), PAGE_SIZE, PROT_RW, MEM_WB), 0);
    assert_null(iommu_reserved_of(&devs[0], 0));
    assert_non_null(iommu_reserved_of(&devs[1], 0));
    assert_int_equal(iommu_reserved_of(&devs[1], 0)->last, 0x200);
    assert_int_equal(iommu_attach(&a, &devs[1]), 0);
    assert_true(model_access(0x1200, 0x10, true, &to));
    assert_int_equal(to, 0x2010);
    for (unsigned i = 0; i < 100; i++) { /* too many: it is cut off, and another is not */
        assert_false(model_access(0x1200, 0xdead000, true, &to));
        irq_fn(irq_arg);
        run();
    }
    iommu_dev_stats(&devs[1], &stats);
    assert_true(stats.cut);
    assert_true(stats.faults > 64 && stats.faults < 100);
    assert_int_equal(stats.last.addr, 0xdead000);
    assert_false(model_access(0x1200, 0x10, true, &to));
    assert_false(model_access(0x18, 0x77000, false, &to));
    irq_fn(irq_arg);
    run();
    iommu_dev_stats(&devs[0], &stats);
    assert_int_equal(stats.faults, 1);
    assert_int_equal(stats.last.reason, IOMMU_BLOCKED);
    assert_int_equal(stats.last.addr, 0x77000);
    assert_true(iommu_irqs_safe(&devs[1])); /* it can send none */
    assert_int_equal(iommu_irq(&devs[1], 0, &(struct irq_message){ .data = 1 },
                               &(struct irq_message){ .data = 0 }),
                     -ENOTSUP);
    iommu_detach(&devs[1]);
    iommu_domain_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_blocked_at_first, setup),
        cmocka_unit_test_setup(attach_and_back, setup),
        cmocka_unit_test_setup(flushes, setup),
        cmocka_unit_test_setup(ids_come_again, setup),
        cmocka_unit_test_setup(changed_while_it_is_used, setup),
        cmocka_unit_test_setup(refused_with_a_reason, setup),
        cmocka_unit_test_setup(taken_over, setup),
        cmocka_unit_test_setup(bounded, setup),
        cmocka_unit_test_setup(odd_answers, setup),
        cmocka_unit_test_setup(events_that_lie, setup),
        cmocka_unit_test_setup(any_event_is_decoded, setup),
        cmocka_unit_test_setup(with_the_core, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
