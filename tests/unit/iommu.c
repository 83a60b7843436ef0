/* SPDX-License-Identifier: BSD-2-Clause */
/* The portable core of the IOMMUs, on two units that note what they are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include <arch/irq.h>
#include <hv/event.h>
#include <hv/iommu.h>
#include <hv/pmm.h>

#include "gmem_fake.h"

/* ---- the PCI bus: a NIC, a bridge with two old cards behind it, a NIC that is another unit's ----
 */

enum { NIC, OTHER, BRIDGE, CARD1, CARD2, FAR, DEVS };
static struct host_pci_dev devs[DEVS] = {
    [NIC] = { .bus = 0, .devfn = 3 << 3, .class = 2 },
    [OTHER] = { .bus = 0, .devfn = 4 << 3, .class = 1 },
    [BRIDGE] = { .bus = 0, .devfn = 30 << 3, .class = 6, .subclass = 4, .header = 1 },
    [CARD1] = { .bus = 5, .devfn = 1 << 3, .class = 2 },
    [CARD2] = { .bus = 5, .devfn = 2 << 3, .class = 2 },
    [FAR] = { .bus = 9, .devfn = 0, .class = 2 },
};
static bool master[DEVS];

const struct host_pci_dev *host_pci_devs(uint32_t *count)
{
    *count = DEVS;
    return devs;
}

uint32_t host_pci_read(const struct host_pci_dev *d, uint32_t off, unsigned size)
{
    (void)size;
    if (off == 4)
        return master[d - devs] ? HOST_PCI_MASTER : 0;
    if (d == &devs[BRIDGE] && (off == 0x19 || off == 0x1a))
        return 5;
    return 0;
}

void host_pci_write(const struct host_pci_dev *d, uint32_t off, unsigned size, uint32_t val)
{
    (void)size;
    assert_int_equal(off, 4);
    master[d - devs] = val & HOST_PCI_MASTER;
}

/* ---- units ---- */

static struct fake {
    struct iommu_unit unit;
    const struct iommu_domain *has[0x10000]; /* by stream */
    bool quiet[0x10000];
    int answer; /* of set and flush */
    unsigned flushes, domains;
    struct iommu_fault fault; /* recorded `faults` times */
    unsigned faults, irqs;
} fakes[2];

static struct fake *fake_of(struct iommu_unit *u) { return container_of(u, struct fake, unit); }

static int f_domain_init(struct iommu_unit *u, struct iommu_domain *d, pt_pay *pay, void *payer)
{
    d->id = ++fake_of(u)->domains;
    return pt_init(&d->gmem.pt, &format, pay, payer);
}

static void f_domain_fini(struct iommu_unit *u, struct iommu_domain *d)
{
    for (unsigned i = 0; i < 0x10000; i++)
        assert_ptr_not_equal(fake_of(u)->has[i], d);
}

static int f_set(struct iommu_unit *u, uint32_t stream, struct iommu_domain *d, bool quiet)
{
    struct fake *f = fake_of(u);

    if (f->answer)
        return f->answer;
    f->has[stream] = d;
    f->quiet[stream] = quiet;
    return 0;
}

static int f_flush(struct iommu_unit *u, struct iommu_domain *d, gpa_t at, uint64_t len)
{
    (void)d, (void)at, (void)len;
    fake_of(u)->flushes++;
    return fake_of(u)->answer;
}

static bool f_poll(struct iommu_unit *u, unsigned most)
{
    struct fake *f = fake_of(u);

    for (; f->faults && most; most--, f->faults--)
        iommu_report(u, &f->fault);
    return f->faults;
}

static int f_irq(struct iommu_unit *u, uint32_t stream, unsigned n, uint32_t sender,
                 const struct irq_message *plain, struct irq_message *out)
{
    assert_int_equal(sender, stream == 0x508 ? 30 << 3 : stream);
    fake_of(u)->irqs++;
    *out = (struct irq_message){ plain->address + 0x1000, stream << 16 | n };
    return 0;
}

static void f_irq_off(struct iommu_unit *u, uint32_t stream, unsigned n, uint32_t sender)
{
    (void)stream, (void)n, (void)sender;
    fake_of(u)->irqs--;
}

static const struct iommu_ops f_ops = { "fake",  f_domain_init, f_domain_fini, f_set,
                                        f_flush, f_poll,        f_irq,         f_irq_off };
static const struct iommu_scope far_scope[] = {
    { .first = 0x900, .last = 0x9ff, .stream = 0x100 },
};

static void run(void)
{
    while (event_run())
        ;
}

static int setup(void **state)
{
    static bool there;

    (void)state;
    if (!there) {
        host_init(1, 16 * MIB);
        fakes[0].unit = (struct iommu_unit){ .ops = &f_ops, .name = "fake0", .all = true };
        fakes[1].unit = (struct iommu_unit){
            .ops = &f_ops, .name = "fake1", .scopes = far_scope, .nscopes = 1, .no_irqs = true
        };
        iommu_add(&fakes[0].unit);
        iommu_add(&fakes[1].unit);
        there = true;
    }
    for (unsigned i = 0; i < DEVS; i++)
        master[i] = true;
    host_now += 1000ull * 1000000000;
    run();
    return 0;
}

/* Every test leaves all blocked. */
static int teardown(void **state)
{
    (void)state;
    for (unsigned f = 0; f < 2; f++)
        for (unsigned i = 0; i < 0x10000; i++)
            assert_null(fakes[f].has[i]);
    return 0;
}

static struct iommu_domain d1, d2;

static void two_domains(void)
{
    assert_int_equal(iommu_domain_init(&d1, &devs[NIC], "guest one", NULL, NULL), 0);
    assert_int_equal(iommu_domain_init(&d2, &devs[NIC], "guest two", NULL, NULL), 0);
    assert_int_not_equal(d1.id, d2.id);
}

static void no_domains(void)
{
    iommu_domain_fini(&d1);
    iommu_domain_fini(&d2);
}

static void finds_units(void **state)
{
    uint32_t stream;

    (void)state;
    assert_ptr_equal(iommu_unit_of(&devs[NIC]), &fakes[0].unit);
    assert_ptr_equal(iommu_unit_of(&devs[FAR]), &fakes[1].unit);
    assert_true(iommu_stream_of(&fakes[1].unit, 0, 0x903, &stream));
    assert_int_equal(stream, 0x103);
    assert_true(iommu_stream_of(&fakes[0].unit, 0, 0x18, &stream));
    assert_int_equal(stream, 0x18);
    assert_false(iommu_stream_of(&fakes[0].unit, 0, 0x903, &stream));
    assert_false(iommu_stream_of(&fakes[0].unit, 1, 0x18, &stream));
    assert_ptr_equal(iommu_by_index(1), &fakes[1].unit);
    assert_null(iommu_by_index(2));
}

/* Behind the unit of its physical function, which alone is named. */
static void a_virtual_function(void **state)
{
    struct host_pci_dev was = devs[OTHER];
    uint32_t stream;

    (void)state;
    devs[OTHER] = (struct host_pci_dev){ .bus = 0x0a, .devfn = 1, .physical = &devs[FAR] };
    assert_ptr_equal(iommu_unit_of(&devs[OTHER]), &fakes[1].unit);
    assert_true(iommu_stream_of(&fakes[1].unit, 0, 0xa01, &stream));
    assert_int_equal(stream, 0xa01);
    assert_false(iommu_stream_of(&fakes[0].unit, 0, 0xa01, &stream));
    devs[OTHER] = was;
}

static void attach_and_back(void **state)
{
    (void)state;
    two_domains();
    assert_null(iommu_owner(&devs[NIC]));
    assert_int_equal(iommu_attach(&d1, &devs[NIC]), 0);
    assert_ptr_equal(fakes[0].has[0x18], &d1);
    assert_string_equal(iommu_owner(&devs[NIC]), "guest one");
    assert_int_equal(iommu_attach(&d1, &devs[NIC]), -EBUSY);
    assert_int_equal(iommu_attach(&d2, &devs[NIC]), -EBUSY);
    assert_int_equal(iommu_attach(&d1, &devs[FAR]), -EXDEV);
    assert_ptr_equal(fakes[0].has[0x18], &d1);
    iommu_detach(&devs[NIC]);
    iommu_detach(&devs[NIC]);
    assert_null(fakes[0].has[0x18]);
    assert_null(iommu_owner(&devs[NIC]));
    assert_int_equal(iommu_attach(&d2, &devs[NIC]), 0);
    iommu_detach(&devs[NIC]);
    no_domains();
}

/* Both cards may send by the bridge's ID: one owner has them both, or one of them. */
static void behind_a_bridge(void **state)
{
    uint16_t rid[IOMMU_RIDS];

    (void)state;
    two_domains();
    assert_int_equal(iommu_rids(&devs[CARD1], rid), 2);
    assert_int_equal(rid[0], 0x508);
    assert_int_equal(rid[1], 30 << 3);
    assert_int_equal(iommu_attach(&d1, &devs[CARD1]), 0);
    assert_ptr_equal(fakes[0].has[0x508], &d1);
    assert_ptr_equal(fakes[0].has[30 << 3], &d1);
    assert_int_equal(iommu_attach(&d2, &devs[CARD2]), -EBUSY);
    assert_null(fakes[0].has[0x510]);
    assert_int_equal(iommu_attach(&d1, &devs[CARD2]), 0);
    iommu_detach(&devs[CARD1]);
    assert_null(fakes[0].has[0x508]);
    assert_ptr_equal(fakes[0].has[30 << 3], &d1);
    iommu_detach(&devs[CARD2]);
    no_domains();
}

static void error_leaves_it_blocked(void **state)
{
    (void)state;
    two_domains();
    fakes[0].answer = -ENOMEM;
    assert_int_equal(iommu_attach(&d1, &devs[NIC]), -ENOMEM);
    fakes[0].answer = 0;
    assert_null(iommu_owner(&devs[NIC]));
    assert_false(fakes[0].unit.broken);
    no_domains();
}

/* What the firmware wants is mapped as it is; it stays out of the way of nothing else. */
static void reserved_memory(void **state)
{
    const struct iommu_reserved r = {
        .first = 0x20, .last = 0x20, .prot = PROT_RW, .base = 0x7000000, .len = 0x2000
    };
    unsigned prot;
    hpa_t at;

    (void)state;
    two_domains();
    assert_int_equal(iommu_reserve(&r), 0);
    assert_null(iommu_reserved_of(&devs[NIC], 0));
    assert_int_equal(iommu_reserved_of(&devs[OTHER], 0)->base, 0x7000000);
    assert_null(iommu_reserved_of(&devs[OTHER], 1));
    assert_int_equal(iommu_attach(&d1, &devs[OTHER]), 0);
    assert_true(pt_lookup(&d1.gmem.pt, gpa(0x7001000), &at, &prot));
    assert_int_equal(at.v, 0x7001000);
    assert_false(pt_lookup(&d1.gmem.pt, gpa(0x7002000), &at, &prot));
    iommu_detach(&devs[OTHER]);
    assert_int_equal(iommu_attach(&d1, &devs[OTHER]), 0); /* once more: it is there */
    iommu_detach(&devs[OTHER]);
    assert_int_equal(pt_map(&d2.gmem.pt, gpa(0x7001000), hpa(0), 0x1000, PROT_RW, MEM_WB), 0);
    assert_int_equal(iommu_attach(&d2, &devs[OTHER]), -EEXIST);
    assert_null(iommu_owner(&devs[OTHER]));
    no_domains();
}

/* ---- faults ---- */

static unsigned told, told_cut;

static void on_fault(struct iommu_domain *d, const struct host_pci_dev *dev,
                     const struct iommu_fault *f, bool cut)
{
    assert_ptr_equal(d, &d1);
    assert_ptr_equal(dev, &devs[NIC]);
    assert_int_equal(f->addr, 0xdead000);
    told++;
    told_cut += cut;
}

static void fault(unsigned f, uint32_t stream, unsigned times)
{
    fakes[f].fault = (struct iommu_fault){ .addr = 0xdead000, .stream = stream };
    fakes[f].faults = times;
    iommu_kick(&fakes[f].unit);
    run();
    assert_int_equal(fakes[f].faults, 0);
}

static void faults_are_told_and_cut(void **state)
{
    struct iommu_stats st;

    (void)state;
    two_domains();
    d1.fault = on_fault;
    assert_int_equal(iommu_attach(&d1, &devs[NIC]), 0);
    fault(0, 0x18, IOMMU_FAULT_BURST);
    assert_int_equal(told, IOMMU_FAULT_BURST);
    host_now += 1000000000; /* one is forgotten */
    fault(0, 0x18, 1);
    assert_int_equal(told_cut, 0);
    assert_true(master[NIC]);
    fault(0, 0x18, 100);
    assert_int_equal(told, IOMMU_FAULT_BURST + 2);
    assert_int_equal(told_cut, 1);
    assert_false(master[NIC]);
    assert_true(master[OTHER]);
    assert_null(fakes[0].has[0x18]);
    assert_true(fakes[0].quiet[0x18]);
    host_pci_command(&devs[NIC], HOST_PCI_MASTER, 0); /* its guest, or driver, wants to go on */
    assert_false(master[NIC]);
    iommu_dev_stats(&devs[NIC], &st);
    assert_true(st.cut);
    assert_int_equal(st.faults, IOMMU_FAULT_BURST + 101);
    assert_string_equal(iommu_owner(&devs[NIC]), "guest one"); /* it has it, but blocked */
    iommu_detach(&devs[NIC]);
    assert_int_equal(iommu_attach(&d2, &devs[NIC]), 0);
    iommu_dev_stats(&devs[NIC], &st);
    assert_false(st.cut);
    assert_ptr_equal(fakes[0].has[0x18], &d2);
    assert_false(fakes[0].quiet[0x18]);
    host_pci_command(&devs[NIC], HOST_PCI_MASTER, 0);
    assert_true(master[NIC]);
    fault(0, 0x18, IOMMU_FAULT_BURST); /* what its last owner did is forgotten */
    iommu_dev_stats(&devs[NIC], &st);
    assert_false(st.cut);
    iommu_detach(&devs[NIC]);
    no_domains();
}

/* A device that is nobody's is cut, too; one that does not exist is counted. */
static void faults_of_strangers(void **state)
{
    struct iommu_stats st;
    uint64_t before = fakes[0].unit.unknown;

    (void)state;
    fault(0, 0x20, IOMMU_FAULT_BURST + 1);
    iommu_dev_stats(&devs[OTHER], &st);
    assert_true(st.cut);
    assert_false(master[OTHER]);
    fault(0, 0xffff, 1000);
    assert_int_equal(fakes[0].unit.unknown - before, 1000);
    for (unsigned r = 0; r < 256; r++)
        assert_non_null(iommu_reason_text((uint8_t)r));
}

/* ---- interrupts ---- */

static void interrupts(void **state)
{
    struct irq_message plain = { 0xfee00000, 0x41 }, out;

    (void)state;
    two_domains();
    assert_int_equal(iommu_attach(&d1, &devs[NIC]), 0);
    assert_true(iommu_irqs_safe(&devs[NIC]));
    assert_int_equal(iommu_irq(&devs[NIC], 7, &plain, &out), 0);
    assert_int_equal(out.data, 0x180007);
    assert_int_equal(iommu_irq(&devs[NIC], 2048, &plain, &out), -ENOSPC);
    assert_int_equal(iommu_irq(&devs[NIC], 8, &plain, &out), 0);
    iommu_irq_off(&devs[NIC], 8);
    iommu_irq_off(&devs[NIC], 8);
    assert_int_equal(fakes[0].irqs, 1);
    iommu_detach(&devs[NIC]);
    assert_int_equal(fakes[0].irqs, 0);
    assert_int_equal(iommu_irq(&devs[CARD1], 0, &plain, &out), 0);
    iommu_irq_off(&devs[CARD1], 0);
    assert_false(iommu_irqs_safe(&devs[FAR]));
    assert_int_equal(iommu_irq(&devs[FAR], 0, &plain, &out), 0);
    assert_int_equal(out.data, 0x41);
    no_domains();
}

/* ---- last: it stays broken ---- */

static unsigned stopped;

static void on_stop(struct iommu_domain *d, const struct host_pci_dev *dev,
                    const struct iommu_fault *f, bool cut)
{
    assert_ptr_equal(d, &d1);
    assert_ptr_equal(dev, &devs[NIC]);
    assert_null(f);
    assert_true(cut);
    stopped++;
}

static void unit_that_does_not_answer(void **state)
{
    struct iommu_domain d;
    struct irq_message plain = { 0, 0 }, out;

    (void)state;
    two_domains();
    d1.fault = on_stop;
    assert_int_equal(iommu_attach(&d1, &devs[NIC]), 0);
    fakes[0].answer = -EIO;
    d1.gmem.flush(&d1.gmem, gpa(0), 4096);
    assert_true(fakes[0].unit.broken);
    assert_int_equal(stopped, 0); /* whoever flushed may hold locks */
    run();
    iommu_kick(&fakes[0].unit);
    run();
    assert_int_equal(stopped, 1);
    host_pci_command(&devs[NIC], HOST_PCI_MASTER, 0);
    assert_false(master[NIC]);
    assert_true(master[FAR]);
    assert_int_equal(iommu_attach(&d2, &devs[OTHER]), -EIO);
    assert_int_equal(iommu_domain_init(&d, &devs[NIC], "x", NULL, NULL), -EIO);
    assert_int_equal(iommu_irq(&devs[NIC], 0, &plain, &out), -EIO);
    iommu_detach(&devs[NIC]);
    assert_null(iommu_owner(&devs[NIC]));
    memset(fakes[0].has, 0, sizeof fakes[0].has);
    no_domains();
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(finds_units),
        T(a_virtual_function),
        T(attach_and_back),
        T(behind_a_bridge),
        T(error_leaves_it_blocked),
        T(reserved_memory),
        T(faults_are_told_and_cut),
        T(faults_of_strangers),
        T(interrupts),
        T(unit_that_does_not_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
