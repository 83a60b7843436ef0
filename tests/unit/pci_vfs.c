/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtual functions: the SR-IOV capabilities of Intel's 82576 and of an NVMe controller, as
 * `lspci -xxxx` shows them, with what the hardware does when they are written; and functions that
 * say what cannot be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include <arch/cpu.h>
#include <arch/mmu.h>
#include <hv/iommu.h>
#include <hv/time.h>
#include "drivers/pci/topology.h"
#include "pci_machine.h"

enum { ARI_AT = 0x150, SRIOV_AT = 0x160, PF = 2, PORT = 1 };
enum { BAR0 = SRIOV_AT + HOST_PCI_VF_BAR, BAR3 = BAR0 + 12 };

/*
 * 82576: 8 functions, 384 after it, or 128 when it may use numbers beyond 7, every second one; two
 * BARs of 16 KiB, 64 bits wide.
 */
static const uint32_t igb_cap[] = {
    0x00010010, 0x00000000, 0x00000000, 0x00080008, 0x00000000, 0x00020180, 0x10ca0000, 0x00000553,
    0x00000001, 0x00000004, 0x00000000, 0x00000000, 0x00000004, 0x00000000, 0x00000000, 0x00000000,
};
/* An NVMe controller's: 2 functions right after it; one BAR, of 16 KiB. */
static const uint32_t nvme_cap[] = {
    0x00010010, 0x00000000, 0x00000000, 0x00020002, 0x00000000, 0x00010001, 0x00100000, 0x00000553,
    0x00000001, 0x0000000c, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000,
};

/* What the function does. */
static struct {
    uint64_t len;
    bool is_igb;
    uint16_t was; /* the control register */
    unsigned written_on;
} hw;
static uint64_t now;
static bool all_is_memory;

uint64_t time_ns(void) { return now; }
void cpu_relax(void) { now += 10000000; }

bool mmu_is_memory(hpa_t at, uint64_t len)
{
    (void)at, (void)len;
    return all_is_memory;
}

struct iommu_unit *iommu_unit_of(const struct host_pci_dev *d)
{
    (void)d;
    return NULL;
}

bool iommu_irqs_safe(const struct host_pci_dev *d)
{
    (void)d;
    return true;
}

const struct iommu_reserved *iommu_reserved_of(const struct host_pci_dev *d, unsigned n)
{
    (void)d, (void)n;
    return NULL;
}

int pci_reach(struct host_pci_dev *d)
{
    (void)d;
    return 0;
}

int pci_add(const struct host_pci_dev *d)
{
    uint32_t i = machine_add(d->bus, d->devfn >> 3, d->devfn & 7, 0x020000);

    machine_dev[i] = *d;
    return 0;
}

static uint32_t reg(uint32_t off, unsigned size)
{
    uint32_t v = 0;

    memcpy(&v, machine_cfg[PF] + off, size);
    return v;
}

/* A BAR holds what its size leaves of what is written. */
static void bar_holds(uint32_t off)
{
    uint64_t v = reg(off, 4) | (uint64_t)reg(off + 4, 4) << 32;
    uint32_t kind = hw.is_igb ? 4 : 12;

    v = (v & ~(hw.len - 1)) | kind;
    machine_set(PF, off, 4, (uint32_t)v);
    machine_set(PF, off + 4, 4, (uint32_t)(v >> 32));
}

static void hardware(uint32_t i, uint32_t off)
{
    uint16_t control = (uint16_t)reg(SRIOV_AT + HOST_PCI_VF_CONTROL, 2);

    if (i != PF)
        return;
    if (off == SRIOV_AT + HOST_PCI_VF_COUNT && hw.was & HOST_PCI_VF_ENABLE)
        hw.written_on++;
    if (off == SRIOV_AT + HOST_PCI_VF_CONTROL && hw.is_igb)
        machine_set(PF, SRIOV_AT + HOST_PCI_VF_FIRST, 2, control & HOST_PCI_VF_ARI ? 128 : 384);
    if (off >= BAR0 && off < BAR0 + 8)
        bar_holds(BAR0);
    if (off >= BAR3 && off < BAR3 + 8 && hw.is_igb)
        bar_holds(BAR3);
    for (uint32_t at = BAR0 + 8; at < BAR0 + 24; at += 4)
        if (off == at && (at < BAR3 || at >= BAR3 + 8 || !hw.is_igb))
            machine_set(PF, at, 4, 0); /* there is none */
    hw.was = control;
}

static void put_cap(const uint32_t *cap)
{
    machine_set(PF, 0x100, 4, ARI_AT << 20 | 1 << 16 | 1);
    machine_set(PF, ARI_AT, 4, SRIOV_AT << 20 | 1 << 16 | HOST_PCI_EXT_ARI);
    memcpy(machine_cfg[PF] + SRIOV_AT, cap, 64);
}

/* A root port that leads to buses 1 to 2, an 82576 behind it, and memory as its firmware gives. */
static int fresh(void **state)
{
    (void)state;
    machine_wrote = NULL;
    machine_count = 0;
    all_is_memory = false;
    machine_deaf = -1;
    memset(&hw, 0, sizeof hw);
    hw.len = 0x4000;
    hw.is_igb = true;
    (void)machine_add(0, 0, 0, 0x060000);
    (void)machine_bridge(0, 1, 0, TOPOLOGY_ROOT_PORT, 1, 2);
    machine_set(PORT, 0x20, 4, 0xfe10fe00);
    machine_set(PORT, 0x40 + 0x24, 4, 1 << 5);
    machine_acs(PORT, 0x1f);
    (void)machine_endpoint(1, 0, 0, 0x020000);
    put_cap(igb_cap);
    machine_set(PF, BAR0, 4, 0xfe000004);
    machine_set(PF, BAR3, 4, 0xfe040004);
    machine_wrote = hardware;
    return 0;
}

/* trivet.conf wants n of the function at 01:00.0: once for all tests. */
static void want(uint16_t n)
{
    static struct pci_select s;
    static bool asked;

    if (asked)
        return;
    asked = true;
    assert_int_equal(pci_select_parse("01:00.0", &s), 0);
    assert_int_equal(host_pci_want_vfs(&s, n, "01:00.0"), 0);
}

static bool made(void)
{
    const char *why = NULL;
    bool any;

    want(4);
    host_topology_init();
    any = vfs_all();
    (void)host_pci_vfs(&machine_dev[PF], &why);
    if (why)
        print_message("%s\n", why);
    return any;
}

static const struct host_pci_dev *the_pf(void) { return &machine_dev[PF]; }

static void of_a_network_card(void **state)
{
    struct host_pci_bar b;
    uint64_t from = now;

    (void)state;
    assert_true(made());
    assert_in_range(now - from, 100000000, 200000000);
    assert_int_equal(host_pci_vfs(the_pf(), NULL), 4);
    assert_int_equal(reg(SRIOV_AT + HOST_PCI_VF_CONTROL, 2), 0x19);
    assert_int_equal(machine_cfg[PORT][0x40 + 0x28], 1 << 5);
    assert_int_equal(machine_count, PF + 5);
    assert_int_equal(machine_dev[PF + 1].bus, 1);
    assert_int_equal(machine_dev[PF + 1].devfn, 0x80);
    assert_int_equal(machine_dev[PF + 4].devfn, 0x86);
    assert_int_equal(machine_dev[PF + 4].device, 0x10ca);
    assert_int_equal(machine_dev[PF + 4].vendor, the_pf()->vendor);
    assert_int_equal(host_pci_bar(&machine_dev[PF + 3], 0, &b), 0);
    assert_int_equal(b.base, 0xfe008000);
    assert_int_equal(b.len, 0x4000);
    assert_int_equal(host_pci_bar(&machine_dev[PF + 3], 3, &b), 0);
    assert_int_equal(b.base, 0xfe048000);
    assert_int_equal(host_pci_bar(&machine_dev[PF + 3], 1, &b), -ENOENT);
    assert_int_equal(host_pci_bar(&machine_dev[PF + 3], 6, &b), -ENOENT);
    host_topology_init();
    assert_int_equal(host_topology_of(PF + 2)->physical, PF);
    assert_int_equal(host_topology_of(PF + 2)->parent, PORT);
    assert_int_equal(host_topology_of(PF + 2)->group, PF + 2);
}

/* Where the port cannot, the card puts them on the next bus; which has to be there. */
static void without_ari(void **state)
{
    const char *why;

    (void)state;
    machine_set(PORT, 0x40 + 0x24, 4, 0);
    assert_true(made());
    assert_int_equal(machine_dev[PF + 1].bus, 2);
    assert_int_equal(machine_dev[PF + 1].devfn, 0x80);
    assert_int_equal(reg(SRIOV_AT + HOST_PCI_VF_CONTROL, 2), 9);
    (void)fresh(NULL);
    machine_set(PORT, 0x40 + 0x24, 4, 0);
    machine_set(PORT, 0x1a, 1, 1);
    assert_false(made());
    assert_int_equal(host_pci_vfs(the_pf(), &why), 0);
    assert_non_null(strstr(why, "on bus 2, to which nothing leads"));
    assert_int_equal(reg(SRIOV_AT + HOST_PCI_VF_CONTROL, 2), 0);
}

static void of_a_disk(void **state)
{
    (void)state;
    put_cap(nvme_cap);
    machine_set(PF, SRIOV_AT + HOST_PCI_VF_TOTAL, 2, 4);
    machine_set(PF, SRIOV_AT + HOST_PCI_VF_INITIAL, 2, 4);
    machine_set(PF, BAR0, 4, 0xfe00000c);
    hw.is_igb = false;
    assert_true(made());
    assert_int_equal(machine_dev[PF + 1].devfn, 1);
    assert_int_equal(machine_dev[PF + 4].devfn, 4);
}

/* What the firmware left on is turned off before the number is changed. */
static void of_the_firmware(void **state)
{
    uint64_t from = now;

    (void)state;
    machine_set(PF, SRIOV_AT + HOST_PCI_VF_COUNT, 2, 2);
    machine_set(PF, SRIOV_AT + HOST_PCI_VF_CONTROL, 2, 9);
    hw.was = 9;
    assert_true(made());
    assert_int_equal(hw.written_on, 0);
    assert_true(now - from >= 1100000000);
    assert_int_equal(host_pci_vfs(the_pf(), NULL), 4);
}

static void refused(const char *what)
{
    const char *why;

    assert_false(made());
    assert_int_equal(machine_count, PF + 1);
    assert_int_equal(host_pci_vfs(the_pf(), &why), 0);
    assert_non_null(why);
    assert_non_null(strstr(why, what));
    assert_int_equal(reg(SRIOV_AT + HOST_PCI_VF_CONTROL, 2) & 9, 0);
    (void)fresh(NULL);
}

static void lies(void **state)
{
    (void)state;
    machine_set(PF, SRIOV_AT + HOST_PCI_VF_TOTAL, 2, 3);
    refused("it can have 3 at most");
    machine_set(PF, SRIOV_AT + HOST_PCI_VF_INITIAL, 2, 0);
    refused("it can have 0 at most");
    machine_set(PF, SRIOV_AT + HOST_PCI_VF_PAGES, 4, 2);
    refused("pages of 4 KiB");
    hw.is_igb = false; /* its places are those that follow, whatever it is told */
    machine_set(PF, SRIOV_AT + HOST_PCI_VF_FIRST, 2, 0);
    refused("no places of their own");
    machine_set(PF, SRIOV_AT + HOST_PCI_VF_STRIDE, 2, 0);
    refused("no places of their own");
    machine_set(PF, SRIOV_AT + HOST_PCI_VF_STRIDE, 2, 0xffff);
    refused("to which nothing leads");
    hw.is_igb = false;
    machine_set(PF, SRIOV_AT + HOST_PCI_VF_FIRST, 2, 0xff00);
    refused("to which nothing leads");
    hw.is_igb = false;
    machine_set(PF, SRIOV_AT + HOST_PCI_VF_FIRST, 2, 8);
    machine_set(PORT, 0x40 + 0x24, 4, 0);
    refused("lacks ARI");
    (void)machine_endpoint(1, 0x10, 2, 0x020000);
    assert_false(made());
    assert_int_equal(host_pci_vfs(the_pf(), NULL), 0);
}

static void memory_that_is_not_theirs(void **state)
{
    (void)state;
    machine_set(PF, BAR0, 4, 4);
    refused("the firmware gave them no memory (BAR 0)");
    machine_set(PF, BAR3, 4, 0xfe1fc004); /* the first one is within the window, the last is not */
    refused("their BAR 3 is not where");
    machine_set(PF, BAR3, 4, 0xfe008004); /* on top of those of BAR 0 */
    refused("their BAR 3 is not where");
    machine_set(PF, BAR0 + 4, 4, 0xffffffff);
    refused("what it says of their BAR 0 cannot be");
    hw.len = 0x800;
    refused("what it says of their BAR 0 cannot be");
    all_is_memory = true;
    refused("their BAR 0 is not where");
    machine_wrote = NULL; /* a BAR of ports */
    machine_set(PF, BAR0, 4, 0xc001);
    refused("cannot be");
}

/* Where nothing answers all ones are read: it is waited for, for a second. */
static void they_do_not_answer(void **state)
{
    uint64_t from = now;

    (void)state;
    machine_deaf = 2;
    refused("number 2 does not answer");
    assert_in_range(now - from, 1000000000, 2000000000);
}

/* Another's BAR on top of what they have is not its own. */
static void others_keep_off(void **state)
{
    struct host_pci_bar b = { .base = 0xfe004000, .len = 0x1000 };

    (void)state;
    assert_true(made());
    host_topology_init();
    assert_false(vfs_claim(PF + 1, &b)); /* one of them */
    assert_true(vfs_claim(0, &b));
    assert_true(vfs_claim(PF, &b));
    b.base = 0xfe010000;
    assert_false(vfs_claim(0, &b));
    assert_int_equal(host_pci_bar(&machine_dev[PF + 1], 0, &b), 0);
    assert_true(host_pci_bar_is_its_own(PF + 1, &b));
}

/* A reset of the function takes them; they are where they were afterwards. */
static void after_a_reset(void **state)
{
    uint64_t from;

    (void)state;
    assert_true(made());
    host_topology_init();
    from = now;
    machine_set(PF, SRIOV_AT + HOST_PCI_VF_CONTROL, 2, 0); /* as the reset would */
    machine_set(PF, SRIOV_AT + HOST_PCI_VF_COUNT, 2, 0);
    hw.was = 0;
    machine_set(PF, BAR0, 4, 4);
    machine_set(PF, BAR3, 4, 4);
    assert_int_equal(host_pci_vfs_reset(the_pf()), 0);
    assert_int_equal(reg(SRIOV_AT + HOST_PCI_VF_CONTROL, 2), 0x19);
    assert_int_equal(reg(SRIOV_AT + HOST_PCI_VF_COUNT, 2), 4);
    assert_int_equal(reg(BAR0, 4), 0xfe000004);
    assert_int_equal(reg(BAR3, 4), 0xfe040004);
    assert_in_range(now - from, 200000000, 400000000);
    assert_int_equal(host_pci_vfs_reset(&machine_dev[PORT]), -ENOTSUP);
    machine_set(PORT, 0x40 + 0x24, 4, 0);
    hw.is_igb = false; /* they come back somewhere else */
    machine_set(PF, SRIOV_AT + HOST_PCI_VF_FIRST, 2, 384);
    assert_int_equal(host_pci_vfs_reset(the_pf()), -EIO);
    machine_set(PF, 0x44, 4, 0); /* nothing resets it alone: it is left as it is */
    machine_set(PF, 4, 2, 6);
    host_topology_init();
    assert_int_equal(host_pci_vfs_reset(the_pf()), -ENOTSUP);
    assert_int_equal(reg(4, 2), 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(of_a_network_card, fresh),
        cmocka_unit_test_setup(without_ari, fresh),
        cmocka_unit_test_setup(of_a_disk, fresh),
        cmocka_unit_test_setup(of_the_firmware, fresh),
        cmocka_unit_test_setup(lies, fresh),
        cmocka_unit_test_setup(memory_that_is_not_theirs, fresh),
        cmocka_unit_test_setup(they_do_not_answer, fresh),
        cmocka_unit_test_setup(others_keep_off, fresh),
        cmocka_unit_test_setup(after_a_reset, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
