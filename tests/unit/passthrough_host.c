/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's side of a function that a guest has, over a device that lies: its MSI-X table is
 * written only within BARs that were found to be its own, a masked interrupt is masked at the
 * IOMMU, and the first resets are over before a guest can ask for a function.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <arch/cpu.h>
#include <arch/io.h>
#include <arch/irq.h>
#include <arch/mmu.h>
#include <hv/config.h>
#include <hv/console.h>
#include <hv/iommu.h>
#include <hv/passthrough.h>
#include <hv/time.h>
#include <hv/vm.h>
#include "log_said.h"
#include "pci_machine.h"

enum { BAR_LEN = 0x1000, TABLE = 0x800, ENTRIES = 4, MSI = 0x50, MSIX = 0x60 };
#define PLACE 0xfe000000ull
enum { PORTS = 0x6000, PORTS_LEN = 0x20 };
#define MS 1000000ull

static uint8_t bar_memory[BAR_LEN + 4096];
static struct vm vm;
static const struct guest_config config = { .name = "g", .npassthrough = 1 };
static unsigned mapped, steps;
static uint32_t given; /* interrupts that the unit lets through */
static bool own, ports_own;
static struct iommu_unit a_unit, *unit; /* NULL: there is none */
static struct iommu_domain *domain;
static char shown[300]; /* on the guest's console */
static int unit_fails;
static uint64_t now;
static struct event *timer; /* the only one that waits */
static uint32_t fn;

uint64_t time_ns(void) { return now; }
void cpu_relax(void) { now += MS; }
void event_init(struct event *ev, void (*f)(struct event *), uint32_t cpu)
{
    *ev = (struct event){ .fn = f, .cpu = (uint16_t)cpu };
}
void event_post(struct event *ev) { (void)ev; }
void event_at(struct event *ev, uint64_t ns)
{
    assert_true(!timer || timer == ev);
    timer = ev;
    ev->when = ns;
}

int host_pci_kept(const char *guest, uint32_t n, const struct pci_select *s, uint32_t *i)
{
    assert_non_null(s);
    assert_string_equal(guest, "g");
    *i = fn;
    return n ? -ENOENT : 0;
}

int host_topology_may_pass(uint32_t i, const char *guest, char *why, size_t n)
{
    (void)i, (void)guest, (void)why, (void)n;
    return 0;
}

const struct host_topology *host_topology_of(uint32_t i)
{
    static struct host_topology topology;

    topology.use = i == fn ? TOPOLOGY_GUEST : TOPOLOGY_FREE;
    return &topology;
}

bool host_pci_bar_is_its_own(uint32_t i, const struct host_pci_bar *b)
{
    assert_int_equal(i, fn);
    assert_int_equal(b->base, b->io ? PORTS : PLACE);
    return b->io ? ports_own : own;
}

int host_pci_bar(const struct host_pci_dev *d, unsigned i, struct host_pci_bar *b)
{
    (void)d;
    *b = (struct host_pci_bar){ .base = PLACE, .len = BAR_LEN };
    if (i == 2)
        *b = (struct host_pci_bar){ .base = PORTS, .len = PORTS_LEN, .io = true };
    return i == 1 || i == 2 ? 0 : -ENOENT;
}

int host_pci_reset_step(uint32_t i, struct host_pci_reset *r, uint64_t *wait)
{
    assert_int_equal(i, fn);
    steps++;
    *wait = 100 * MS;
    if (r->step++ < 2)
        return -EINPROGRESS;
    return host_pci_read(&host_pci_devs(&(uint32_t){ 0 })[i], 0, 4) == UINT32_MAX ? -EIO : 0;
}

struct iommu_unit *iommu_unit_of(const struct host_pci_dev *d)
{
    (void)d;
    return unit;
}

int iommu_domain_init(struct iommu_domain *d, const struct host_pci_dev *dev, const char *owner,
                      pt_pay *pay, void *payer)
{
    (void)dev, (void)pay, (void)payer;
    assert_string_equal(owner, "guest g");
    *d = (struct iommu_domain){ .unit = unit };
    domain = d;
    return 0;
}

void iommu_domain_fini(struct iommu_domain *d)
{
    assert_ptr_equal(d, domain);
    domain = NULL;
}

int iommu_attach(struct iommu_domain *d, const struct host_pci_dev *dev)
{
    (void)dev;
    assert_ptr_equal(d, domain);
    return 0;
}

void iommu_detach(const struct host_pci_dev *dev) { (void)dev; }

int gmem_attach(struct vm *v, struct gmem_domain *d)
{
    assert_ptr_equal(v, &vm);
    assert_ptr_equal(d, &domain->gmem);
    return 0;
}

void gmem_detach(struct vm *v, struct gmem_domain *d) { (void)v, (void)d; }

void *vm_alloc(struct vm *v, size_t size)
{
    (void)v;
    return calloc(1, size);
}

void vm_free(struct vm *v, void *p, size_t size)
{
    (void)v, (void)size;
    free(p);
}

void console_write(struct console *c, const char *text, size_t len)
{
    (void)c;
    snprintf(shown, sizeof shown, "%.*s", (int)len, text);
}

int iommu_irq(const struct host_pci_dev *d, unsigned n, const struct irq_message *plain,
              struct irq_message *out)
{
    (void)d;
    if (unit_fails)
        return unit_fails;
    given |= 1u << n;
    *out = *plain;
    out->data += n;
    return 0;
}

void iommu_irq_off(const struct host_pci_dev *d, unsigned n)
{
    (void)d;
    given &= ~(1u << n);
}

int irq_message(uint32_t cpu, void (*f)(void *), void *arg, struct irq_message *m)
{
    (void)cpu, (void)f, (void)arg;
    *m = (struct irq_message){ 0xfee01000, 0x40 };
    return 0;
}

void *mmu_map_device(hpa_t pa, uint64_t len)
{
    mapped++;
    assert_in_range(pa.v, PLACE, PLACE + BAR_LEN - 1);
    assert_in_range(len, 1, BAR_LEN - (pa.v - PLACE));
    return bar_memory + (pa.v - PLACE);
}

static uint32_t entry_word(unsigned n, unsigned word)
{
    uint32_t v;

    memcpy(&v, bar_memory + TABLE + 16 * n + 4 * word, 4);
    return v;
}

static void table_at(uint32_t off, unsigned entries)
{
    machine_set(fn, MSIX + 2, 2, entries - 1);
    machine_set(fn, MSIX + 4, 4, off | 1);
}

static struct passthrough_fn *owned(void)
{
    char why[200];
    int err;
    struct passthrough_fn *f = passthrough_ops->open(&vm, &config, 0, &err, why, sizeof why);

    assert_int_equal(err, 0);
    assert_non_null(f);
    return f;
}

/* Its guest has stopped. */
static void let_go(struct passthrough_fn *f)
{
    struct event then = { .cpu = 0 };

    while (passthrough_ops->reset(f, &then)) {
        struct event *ev = timer;

        assert_non_null(ev);
        timer = NULL;
        now = ev->when;
        ev->fn(ev);
    }
    passthrough_ops->close(f);
}

static int fresh(void **state)
{
    (void)state;
    fn = machine_add(1, 0, 0, 0x010802);
    machine_set(fn, 6, 2, 0x10);
    machine_set(fn, 0x34, 1, MSI);
    machine_set(fn, MSI, 4, 0x00800005 | MSIX << 8);
    machine_set(fn, MSIX, 2, HOST_PCI_CAP_MSIX);
    table_at(TABLE, ENTRIES);
    memset(bar_memory, 0, sizeof bar_memory);
    mapped = steps = given = 0;
    unit_fails = 0;
    own = ports_own = true;
    timer = NULL;
    passthrough_init();
    return 0;
}

static bool by_msi(void) { return machine_cfg[fn][MSI + 2] & 1; }

static void guests_find_it_reset(void **state)
{
    uint64_t from = now;

    (void)state;
    assert_int_equal(steps, 3);
    assert_null(timer);
    let_go(owned());
    assert_int_equal(steps, 6);
    assert_int_equal(now - from, 200 * MS);
}

static void a_table(void **state)
{
    struct passthrough_fn *f = owned();
    struct event ev[ENTRIES];

    (void)state;
    assert_int_equal(passthrough_ops->cap(f, HOST_PCI_CAP_MSIX, 0), MSIX);
    table_at(0xff0, 2048); /* from now on it says something else */
    for (unsigned n = 0; n < ENTRIES; n++)
        assert_int_equal(passthrough_ops->irq(f, n, &ev[n]), 0);
    assert_int_equal(passthrough_ops->irq(f, ENTRIES, &ev[0]), -ENOTSUP);
    assert_int_equal(mapped, 1);
    assert_int_equal(given, (1u << ENTRIES) - 1);
    assert_int_equal(entry_word(3, 0), 0xfee01000);
    assert_int_equal(entry_word(3, 2), 0x43);
    assert_int_equal(entry_word(ENTRIES, 0), 0);
    assert_false(by_msi());
    let_go(f);
    assert_int_equal(given, 0);
}

/* Without MSI-X then: nothing is mapped, and nothing is written but the message of MSI. */
static void without_a_table(const char *why)
{
    static const uint8_t nothing[BAR_LEN];
    struct passthrough_fn *f = owned();
    unsigned before = mapped;
    struct event ev;

    print_message("%s\n", why);
    assert_int_equal(passthrough_ops->cap(f, HOST_PCI_CAP_MSIX, 0), 0);
    assert_int_equal(passthrough_ops->irq(f, 0, &ev), 0);
    assert_int_equal(passthrough_ops->irq(f, 1, &ev), -ENOTSUP);
    assert_int_equal(mapped, before);
    assert_memory_equal(bar_memory, nothing, BAR_LEN);
    assert_true(by_msi());
    passthrough_ops->mask(f, 0, true);
    assert_false(by_msi());
    assert_int_equal(given, 0);
    passthrough_ops->mask(f, 0, false);
    assert_true(by_msi());
    assert_int_equal(given, 1);
    let_go(f);
    assert_false(by_msi());
}

static void tables_that_are_not_believed(void **state)
{
    (void)state;
    own = false;
    without_a_table("in a BAR that is refused");
    own = true;
    table_at(0xff0, 2);
    without_a_table("beyond its BAR");
    machine_set(fn, MSIX + 4, 4, 7);
    without_a_table("in BAR 7");
    machine_set(fn, MSIX + 4, 4, 2);
    without_a_table("in a BAR that is not there");
    assert_int_equal(mapped, 0);
    table_at(TABLE, ENTRIES);
    let_go(owned());
    assert_int_equal(mapped, 1);
    table_at(0x400, ENTRIES);
    without_a_table("moved since its last owner had it");
    table_at(TABLE, ENTRIES + 1);
    without_a_table("grown since then");
}

/* Its guest has brought it so far that it shows no capabilities, and tries again and again. */
static void failures_flood_no_log(void **state)
{
    (void)state;
    for (unsigned owner = 0; owner < 2; owner++) {
        struct passthrough_fn *f = owned();
        struct event ev;

        assert_int_equal(passthrough_ops->irq(f, 0, &ev), 0);
        machine_set(fn, 6, 2, 0);
        (void)said("");
        for (unsigned i = 0; i < 10; i++) {
            passthrough_ops->mode(f, i & 1 ? PASSTHROUGH_MSIX : PASSTHROUGH_MSI);
            passthrough_ops->mask(f, 0, true);
            passthrough_ops->mask(f, 0, false);
        }
        assert_int_equal(said("interrupt"), 1);
        machine_set(fn, 6, 2, 0x10);
        let_go(f);
    }
}

static uint32_t at_port;

uint32_t port_read(uint16_t port, unsigned size) { return port | size << 16; }

void port_write(uint16_t port, unsigned size, uint32_t val)
{
    (void)size, (void)val;
    at_port = port;
}

static void ports(void **state)
{
    struct passthrough_fn *f = owned();
    struct host_pci_bar bar;

    (void)state;
    assert_int_equal(passthrough_ops->bar(f, 2, &bar), 0);
    assert_int_equal(machine_cfg[fn][4] & 3, 3);
    assert_int_equal(passthrough_ops->mmio_read(f, 2, 0, 4), UINT32_MAX); /* nobody asked */
    assert_int_equal(passthrough_ops->map(f, 2, 0, PORTS_LEN + 1), -EINVAL);
    assert_int_equal(passthrough_ops->map(f, 2, 0, PORTS_LEN), 0);
    assert_int_equal(passthrough_ops->mmio_read(f, 2, 0x1c, 4), 0x4601c);
    assert_int_equal(passthrough_ops->mmio_read(f, 2, 0x20, 4), UINT32_MAX);
    passthrough_ops->mmio_write(f, 2, 0x1e, 2, 1);
    assert_int_equal(at_port, 0x601e);
    passthrough_ops->mmio_write(f, 2, 0x20, 1, 1);
    assert_int_equal(at_port, 0x601e);
    let_go(f);
    assert_int_equal(machine_cfg[fn][4] & 3, 0);
    ports_own = false; /* it says now that they are another's */
    f = owned();
    assert_int_equal(passthrough_ops->bar(f, 2, &bar), -ENOENT);
    assert_int_equal(passthrough_ops->mmio_read(f, 2, 0, 4), UINT32_MAX);
    assert_int_equal(machine_cfg[fn][4] & 3, 2);
    let_go(f);
}

/* What is mapped for one owner serves the next one, and no other place. */
static void mapped_once(void **state)
{
    struct passthrough_fn *f = owned();
    unsigned before = mapped;

    (void)state;
    assert_int_equal(passthrough_ops->map(f, 1, 0x400, 0x100), 0);
    assert_int_equal(passthrough_ops->map(f, 1, 0x500, 0x100), -EINVAL);
    let_go(f);
    f = owned();
    assert_int_equal(passthrough_ops->mmio_read(f, 1, 0x400, 4), UINT32_MAX);
    assert_int_equal(passthrough_ops->map(f, 1, 0x500, 0x100), -EINVAL);
    assert_int_equal(passthrough_ops->map(f, 1, 0x400, 0x100), 0);
    assert_int_equal(passthrough_ops->mmio_read(f, 1, 0x400, 4), 0);
    assert_int_equal(mapped, before + 1);
    let_go(f);
}

static void masked_at_the_unit(void **state)
{
    struct passthrough_fn *f = owned();
    struct event ev;

    (void)state;
    passthrough_ops->mask(f, 1, true); /* nobody asked for it */
    assert_int_equal(entry_word(1, 3), 0);
    assert_int_equal(passthrough_ops->irq(f, 2, &ev), 0);
    assert_int_equal(given, 4);
    assert_int_equal(entry_word(2, 3), 0);
    passthrough_ops->mask(f, 2, true);
    assert_int_equal(given, 0);
    assert_int_equal(entry_word(2, 3), 1);
    passthrough_ops->mask(f, 2, false);
    assert_int_equal(given, 4);
    assert_int_equal(entry_word(2, 3), 0);
    assert_int_equal(entry_word(2, 2), 0x42);
    passthrough_ops->mask(f, 2, true);
    unit_fails = -EIO;
    passthrough_ops->mask(f, 2, false);
    assert_int_equal(entry_word(2, 3), 1);
    unit_fails = 0;
    machine_set(fn, MSIX, 1, 0xff); /* it has no MSI-X any more */
    passthrough_ops->mask(f, 2, false);
    assert_int_equal(given, 0);
    let_go(f);
}

/* It interrupts as it is told, by what irq() has asked for. */
static void as_the_guest_chooses(void **state)
{
    struct passthrough_fn *f = owned();
    struct event ev;

    (void)state;
    assert_int_equal(passthrough_ops->irq(f, 0, &ev), 0);
    assert_int_equal(passthrough_ops->irq(f, 2, &ev), 0);
    passthrough_ops->mode(f, PASSTHROUGH_LINE);
    assert_false(by_msi());
    assert_int_equal(machine_cfg[fn][MSIX + 3] & 0x80, 0);
    memset(bar_memory, 0, sizeof bar_memory);
    passthrough_ops->mode(f, PASSTHROUGH_MSI);
    assert_true(by_msi());
    assert_int_equal(entry_word(0, 2), 0);
    passthrough_ops->mask(f, 2, true); /* of the table, which is off */
    assert_int_equal(entry_word(2, 3), 0);
    passthrough_ops->mask(f, 0, true);
    assert_false(by_msi());
    passthrough_ops->mask(f, 0, false);
    assert_true(by_msi());
    passthrough_ops->mode(f, PASSTHROUGH_MSIX);
    assert_false(by_msi());
    assert_int_equal(machine_cfg[fn][MSIX + 3] & 0x80, 0x80);
    assert_int_equal(entry_word(0, 2), 0x40);
    assert_int_equal(entry_word(1, 2), 0);
    assert_int_equal(entry_word(2, 2), 0); /* it is still masked */
    assert_int_equal(given, 1);
    passthrough_ops->mask(f, 2, false);
    assert_int_equal(entry_word(2, 2), 0x42);
    passthrough_ops->mask(f, 2, true);
    passthrough_ops->mode(f, PASSTHROUGH_LINE);
    passthrough_ops->mask(f, 2, false);
    assert_int_equal(machine_cfg[fn][MSIX + 3] & 0x80, 0);
    let_go(f);
}

static void a_line(void **state)
{
    struct passthrough_fn *f = owned();

    (void)state;
    assert_false(passthrough_ops->has_line(f));
    machine_set(fn, 0x3d, 1, 3);
    assert_true(passthrough_ops->has_line(f));
    machine_set(fn, 5, 1, 0); /* it does not keep it off */
    assert_false(passthrough_ops->has_line(f));
    machine_set(fn, 5, 1, 4);
    machine_set(fn, 0x3d, 1, 5);
    assert_false(passthrough_ops->has_line(f));
    assert_false(passthrough_ops->line(f));
    machine_set(fn, 6, 2, 0x18);
    assert_true(passthrough_ops->line(f));
    machine_set(fn, 6, 2, 0xffff); /* it does not answer */
    assert_false(passthrough_ops->line(f));
    let_go(f);
}

static void its_guest_is_told(void **state)
{
    const struct iommu_fault fault = { .addr = 0xdead000 };
    struct passthrough_fn *f;

    (void)state;
    unit = &a_unit;
    vm.config = &config;
    f = owned();
    domain->fault(domain, &host_pci_devs(&(uint32_t){ 0 })[fn], &fault, false);
    assert_string_equal(shown, "");
    domain->fault(domain, &host_pci_devs(&(uint32_t){ 0 })[fn], &fault, true);
    assert_non_null(strstr(shown, "is cut off from this guest's memory: too many faults"));
    assert_non_null(strstr(shown, "dead000"));
    assert_non_null(strstr(shown, "It is back when the guest is reset"));
    domain->fault(domain, &host_pci_devs(&(uint32_t){ 0 })[fn], NULL, true);
    assert_non_null(strstr(shown, "its IOMMU does not answer.]"));
    let_go(f);
    assert_null(domain);
    unit = NULL;
}

/* A second passes. */
static void a_look(void)
{
    struct event *ev = timer;

    assert_non_null(ev);
    assert_int_equal(ev->when, now + 1000 * MS);
    timer = NULL;
    now = ev->when;
    ev->fn(ev);
}

/* It is pulled out while it is used: told once, and its reset ends with an error, not a hang. */
static void pulled_out(void **state)
{
    struct passthrough_fn *f;
    char why[200];
    uint64_t from;
    int err;

    (void)state;
    vm.config = &config;
    f = owned();
    shown[0] = 0;
    a_look();
    machine_set(fn, 6, 2, 0xffff); /* its link is trained again */
    a_look();
    machine_set(fn, 6, 2, 0x10);
    a_look();
    memset(machine_cfg[fn], 0xff, sizeof machine_cfg[fn]);
    a_look();
    assert_string_equal(shown, "");
    a_look();
    assert_non_null(strstr(shown, "does not answer any more: it was removed, or has failed"));
    assert_null(timer);
    from = now;
    let_go(f);
    assert_true(now - from < 3000 * MS);
    assert_null(passthrough_ops->open(&vm, &config, 0, &err, why, sizeof why));
    assert_int_equal(err, -EIO);
    assert_non_null(strstr(why, "did not come back from its last reset"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(its_guest_is_told, fresh),
        cmocka_unit_test_setup(guests_find_it_reset, fresh),
        cmocka_unit_test_setup(a_table, fresh),
        cmocka_unit_test_setup(tables_that_are_not_believed, fresh),
        cmocka_unit_test_setup(failures_flood_no_log, fresh),
        cmocka_unit_test_setup(masked_at_the_unit, fresh),
        cmocka_unit_test_setup(ports, fresh),
        cmocka_unit_test_setup(as_the_guest_chooses, fresh),
        cmocka_unit_test_setup(a_line, fresh),
        cmocka_unit_test_setup(mapped_once, fresh),
        cmocka_unit_test_setup(pulled_out, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
