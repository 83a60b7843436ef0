/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Groups of the host's PCI functions and what is said of them: a switch with ACS and without, a
 * bridge to PCI, a device of several functions, virtual functions, functions of the root complex;
 * and devices that lie.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include <arch/mmu.h>
#include <hv/acpi.h>
#include <hv/iommu.h>
#include <hv/pci_select.h>
#include "pci_machine.h"

static struct iommu_unit unit;
static bool have_unit, safe_irqs;
static const struct iommu_reserved *reserved;

struct iommu_unit *iommu_unit_of(const struct host_pci_dev *d)
{
    (void)d;
    return have_unit ? &unit : NULL;
}

bool iommu_irqs_safe(const struct host_pci_dev *d)
{
    (void)d;
    return safe_irqs;
}

const struct iommu_reserved *iommu_reserved_of(const struct host_pci_dev *d, unsigned n)
{
    return reserved && n == 0 && d->devfn == reserved->first ? reserved : NULL;
}

static char said[4096];

static void say(void *ctx, const char *about, const char *text)
{
    size_t n = strlen(said);

    (void)ctx;
    n += (size_t)snprintf(said + n, sizeof said - n, "%s: %s\n", about, text);
    assert_in_range(n, 1, sizeof said - 1);
}

/* What `pci explain` says of it. */
static const char *explained(const char *name)
{
    uint32_t i;

    said[0] = '\0';
    assert_int_equal(host_pci_find(name, &i), 0);
    host_topology_explain(i, say, NULL);
    return said;
}

static void explain(const char *name, const char *expect)
{
    assert_string_equal(explained(name), expect);
}

static void explain_has(const char *name, const char *what)
{
    assert_non_null(strstr(explained(name), what));
}

static void explain_lacks(const char *name, const char *what)
{
    assert_null(strstr(explained(name), what));
}

static unsigned group_of(const char *name)
{
    uint32_t i;

    assert_int_equal(host_pci_find(name, &i), 0);
    return host_topology_of(i)->group;
}

static int fresh(void **state)
{
    (void)state;
    machine_count = 0;
    have_unit = safe_irqs = true;
    reserved = NULL;
    (void)machine_add(0, 0, 0, 0x060000);
    return 0;
}

/* A root port, a switch of two downstream ports, an NVMe and a NIC behind these. */
static void a_switch(unsigned root_acs, unsigned port_acs)
{
    uint32_t root = machine_bridge(0, 1, 0, TOPOLOGY_ROOT_PORT, 1, 4), port[2];

    (void)machine_bridge(1, 0, 0, TOPOLOGY_UPSTREAM_PORT, 2, 4);
    port[0] = machine_bridge(2, 0, 0, TOPOLOGY_DOWNSTREAM_PORT, 3, 3);
    port[1] = machine_bridge(2, 1, 0, TOPOLOGY_DOWNSTREAM_PORT, 4, 4);
    (void)machine_endpoint(3, 0, 0, 0x010802);
    (void)machine_endpoint(4, 0, 0, 0x020000);
    if (root_acs)
        machine_acs(root, root_acs);
    for (unsigned i = 0; port_acs && i < 2; i++)
        machine_acs(port[i], port_acs);
    host_topology_init();
}

static void switch_with_acs(void **state)
{
    (void)state;
    a_switch(0x1f, 0x5f);
    explain("03:00.0",
            "owner: 0000:03:00.0 (1b36:0010, storage, NVMe) belongs to nobody, and is no bus "
            "master.\n"
            "place: It is a PCI Express endpoint, behind 0000:02:00.0, which is a downstream port "
            "of a switch.\n"
            "group: Its group is 5, in which no other device is.\n"
            "why: Every port between it and the root complex sends all requests on to the IOMMU "
            "(ACS), or leads to nothing else.\n"
            "reset: It can be reset by itself (function-level reset).\n"
            "guests: A guest can have it: `passthrough = 0000:03:00.0` in trivet.conf.\n");
    assert_int_not_equal(group_of("03:00.0"), group_of("04:00.0"));
    /* what isolates was turned on, and nothing else */
    assert_int_equal(machine_cfg[1][0x106], 0x1d);
    assert_int_equal(machine_cfg[3][0x106], 0x1d);
}

static void switch_without_acs(void **state)
{
    (void)state;
    a_switch(0x1f, 0);
    explain("03:00.0",
            "owner: 0000:03:00.0 (1b36:0010, storage, NVMe) belongs to nobody, and is no bus "
            "master.\n"
            "place: It is a PCI Express endpoint, behind 0000:02:00.0, which is a downstream port "
            "of a switch.\n"
            "group: Its group is 3. It cannot be kept apart from 0000:04:00.0.\n"
            "why: 0000:02:00.0, a downstream port of a switch, has no ACS that redirects requests: "
            "devices below that switch reach one another without passing the IOMMU.\n"
            "change: Put it into a slot that is not below the switch of 0000:02:00.0, use a switch "
            "with ACS, or give all devices below it to one guest.\n"
            "why: 0000:02:01.0, a downstream port of a switch, has no ACS that redirects requests: "
            "devices below that switch reach one another without passing the IOMMU.\n"
            "change: Put it into a slot that is not below the switch of 0000:02:01.0, use a switch "
            "with ACS, or give all devices below it to one guest.\n"
            "reset: It can be reset by itself (function-level reset).\n"
            "guests: A guest can have it: `passthrough = 0000:03:00.0` in trivet.conf.\n");
    assert_int_equal(group_of("03:00.0"), group_of("04:00.0"));
}

/* Half of it is no isolation; nor is what does not go on. */
static void weak_acs(void **state)
{
    (void)state;
    a_switch(0x1f, TOPOLOGY_ACS_SOURCE | TOPOLOGY_ACS_REQUESTS);
    assert_int_equal(group_of("03:00.0"), group_of("04:00.0"));
    (void)fresh(NULL);
    a_switch(0, 0x1f);
    assert_int_equal(group_of("03:00.0"), group_of("04:00.0"));
    explain("04:00.0",
            "owner: 0000:04:00.0 (1b36:0010, network, Ethernet) belongs to nobody, and is no bus "
            "master.\n"
            "place: It is a PCI Express endpoint, behind 0000:02:01.0, which is a downstream port "
            "of a switch.\n"
            "group: Its group is 2. It cannot be kept apart from 0000:03:00.0.\n"
            "why: 0000:00:01.0, a root port, has no ACS: what is below it may reach one another "
            "without passing the IOMMU.\n"
            "change: Put it below another root port than 0000:00:01.0, or give all devices below "
            "that one to one guest.\n"
            "reset: It can be reset by itself (function-level reset).\n"
            "guests: A guest can have it: `passthrough = 0000:04:00.0` in trivet.conf.\n");
}

/* A root port that leads to one device needs no ACS. */
static void one_below_a_root_port(void **state)
{
    uint32_t i;

    (void)state;
    (void)machine_bridge(0, 1, 0, TOPOLOGY_ROOT_PORT, 1, 1);
    i = machine_endpoint(1, 0, 0, 0x010802);
    (void)machine_bridge(0, 2, 0, TOPOLOGY_ROOT_PORT, 2, 2);
    (void)machine_endpoint(2, 0, 0, 0x010802);
    host_topology_init();
    assert_int_equal(group_of("01:00.0"), i);
    assert_int_not_equal(group_of("02:00.0"), i);
    assert_null(host_topology_join(0));
}

static void behind_a_bridge_to_pci(void **state)
{
    char why[300];
    uint32_t nic;

    (void)state;
    machine_acs(machine_bridge(0, 1, 0, TOPOLOGY_ROOT_PORT, 1, 3), 0x1f);
    (void)machine_bridge(1, 0, 0, TOPOLOGY_TO_PCI, 2, 3);
    (void)machine_add(2, 3, 0, 0x040100);
    (void)machine_bridge(2, 4, 0, TOPOLOGY_CONVENTIONAL, 3, 3);
    nic = machine_add(3, 0, 0, 0x020000);
    host_topology_init();
    assert_int_equal(host_topology_of(nic)->alias, 0x0200);
    assert_int_equal(host_topology_of(2)->alias, 0x0100);
    host_topology_set_driver(&machine_dev[nic], "e1000");
    explain("02:03.0",
            "owner: 0000:02:03.0 (1b36:0010, multimedia) belongs to nobody, and is no bus master.\n"
            "place: It is a conventional PCI device, behind 0000:01:00.0, which is a bridge from "
            "PCI Express to PCI.\n"
            "place: The IOMMU takes its requests for those of 02:00.0.\n"
            "group: Its group is 2. It cannot be kept apart from 0000:03:00.0.\n"
            "why: Behind 0000:01:00.0, a bridge from PCI Express to PCI, all devices share one "
            "requester ID: the IOMMU cannot tell them apart.\n"
            "change: Put it into a PCI Express slot that is not behind 0000:01:00.0, or give all "
            "devices behind that bridge to one guest.\n"
            "reset: It has no reset of its own: 0000:01:00.0 can reset it, with all else that is "
            "below that bridge.\n"
            "guests: No guest can have it now: it cannot be kept apart from 0000:03:00.0, and "
            "Trivet's driver e1000 works for 0000:03:00.0; what a guest is to have by "
            "`passthrough` when Trivet starts, no driver takes; `pci explain 0000:02:03.0` tells "
            "why.\n");
    assert_int_equal(host_topology_may_pass(nic, "web", why, sizeof why), -EBUSY);
    assert_int_equal(host_topology_may_pass(2, "web", why, sizeof why), -ENOTSUP);
    assert_string_equal(why, "0000:01:00.0 is a bridge from PCI Express to PCI: no guest can have "
                             "a bridge");
}

static void several_functions(void **state)
{
    char why[300];
    uint32_t a, b;

    (void)state;
    machine_acs(machine_bridge(0, 1, 0, TOPOLOGY_ROOT_PORT, 1, 1), 0x1f);
    a = machine_endpoint(1, 0, 0, 0x020000);
    b = machine_endpoint(1, 0, 1, 0x020000);
    machine_set(a, 0x0e, 1, 0x80);
    machine_acs(a, TOPOLOGY_ACS_REQUESTS | TOPOLOGY_ACS_COMPLETIONS);
    host_topology_init();
    host_topology_set_owner(b, "web");
    explain("01:00.0",
            "owner: 0000:01:00.0 (1b36:0010, network, Ethernet) belongs to nobody, and is no bus "
            "master.\n"
            "place: It is a PCI Express endpoint, behind 0000:00:01.0, which is a root port.\n"
            "group: Its group is 2. It cannot be kept apart from 0000:01:00.1.\n"
            "why: 0000:01:00.1, a PCI Express endpoint, is one of several functions of a device, "
            "without ACS: they may reach one another within it.\n"
            "change: All functions of the device of 0000:01:00.1 have to go to one guest; firmware "
            "set-up may switch some of them off.\n"
            "reset: It can be reset by itself (function-level reset).\n"
            "guests: No guest can have it now: it cannot be kept apart from 0000:01:00.1, and "
            "0000:01:00.1 belongs to guest web; `pci explain 0000:01:00.0` tells why.\n");
    assert_int_equal(host_topology_may_pass(a, "web", why, sizeof why), 0);
    assert_int_equal(host_topology_may_pass(a, "db", why, sizeof why), -EPERM);
    machine_acs(b, TOPOLOGY_ACS_REQUESTS);
    host_topology_init();
    assert_int_not_equal(group_of("01:00.0"), group_of("01:00.1"));
}

/* With ARI, functions of one device have any number; what is on a root bus has not. */
static void functions_beyond_eight(void **state)
{
    (void)state;
    machine_acs(machine_bridge(0, 1, 0, TOPOLOGY_ROOT_PORT, 1, 1), 0x1f);
    (void)machine_endpoint(1, 0, 0, 0x020000);
    (void)machine_endpoint(1, 1, 2, 0x020000);
    (void)machine_endpoint(0, 2, 0, 0x020000);
    (void)machine_endpoint(0, 3, 0, 0x020000);
    host_topology_init();
    assert_int_equal(group_of("01:00.0"), group_of("01:01.2"));
    assert_int_not_equal(group_of("00:02.0"), group_of("00:03.0"));
}

static unsigned vfs_on;

unsigned host_pci_vfs(const struct host_pci_dev *d, const char **why)
{
    unsigned n = vfs_on && d->devfn == 0 && d->bus == 1 ? vfs_on : 0;

    if (why)
        *why = NULL;
    return n;
}

static void virtual_functions(void **state)
{
    char why[300];
    uint32_t pf;

    (void)state;
    machine_acs(machine_bridge(0, 1, 0, TOPOLOGY_ROOT_PORT, 1, 2), 0x1f);
    pf = machine_endpoint(1, 0, 0, 0x020000);
    machine_set(pf, 0x100, 4, 0x10 | 1 << 16);
    machine_set(pf, 0x10e, 2, 7);
    for (unsigned n = 0; n < 2; n++)
        machine_dev[machine_endpoint(2, 0, 2 * n, 0x020000)].physical = &machine_dev[pf];
    vfs_on = 2;
    host_topology_init();
    assert_int_equal(host_topology_may_pass(pf, "web", why, sizeof why), -ENOTSUP);
    assert_string_equal(why, "its reset would take the virtual functions of 0000:01:00.0 away: "
                             "give these to guests, or take `vfs` out of trivet.conf");
    host_topology_set_driver(&machine_dev[pf], "igb");
    explain("02:00.2",
            "owner: 0000:02:00.2 (1b36:0010, network, Ethernet) belongs to nobody, and is no bus "
            "master.\n"
            "place: It is a virtual function of 0000:01:00.0.\n"
            "vfs: No driver of Trivet's serves the virtual functions of 0000:01:00.0: what they "
            "need from it, they do not get.\n"
            "group: Its group is 4, in which no other device is.\n"
            "why: A virtual function has a requester ID of its own, and the ports above it let "
            "nothing pass between their devices (ACS).\n"
            "reset: It can be reset by itself (function-level reset).\n"
            "guests: A guest can have it: `passthrough = 0000:02:00.2` in trivet.conf.\n");
    explain("01:00.0",
            "owner: 0000:01:00.0 (1b36:0010, network, Ethernet) belongs to Trivet, whose driver "
            "igb works for it.\n"
            "place: It is a PCI Express endpoint, behind 0000:00:01.0, which is a root port.\n"
            "vfs: It has 2 virtual functions (SR-IOV), and can have up to 7.\n"
            "group: Its group is 2, in which no other device is.\n"
            "why: Every port between it and the root complex sends all requests on to the IOMMU "
            "(ACS), or leads to nothing else.\n"
            "reset: It can be reset by itself (function-level reset).\n"
            "guests: No guest can have it now: Trivet's driver igb works for 0000:01:00.0; what a "
            "guest is to have by `passthrough` when Trivet starts, no driver takes.\n");
    assert_int_equal(host_topology_of(4)->physical, pf);
    assert_int_equal(host_topology_of(pf)->physical, TOPOLOGY_NONE);
    for (uint32_t i = pf; i < machine_count; i++) {
        machine_dev[i].class = 1;
        machine_dev[i].subclass = 8;
    }
    explain_lacks("02:00.2", "vfs:"); /* NVMe's are served */
    vfs_on = 0;
    explain_has("01:00.0", "vfs: It can have up to 7 virtual functions (SR-IOV): `vfs = "
                           "0000:01:00.0,7` in [host] of trivet.conf.\n");
}

static void in_the_root_complex(void **state)
{
    uint32_t usb, sata;

    (void)state;
    usb = machine_add(0, 0x14, 0, 0x0c0330);
    machine_express(usb, TOPOLOGY_INTEGRATED, false);
    machine_set(usb, 0x41, 1, 0x60); /* power management follows */
    machine_set(usb, 0x60, 4, 1);
    (void)machine_add(0, 0x1f, 0, 0x060100);
    sata = machine_add(0, 0x1f, 2, 0x010601);
    host_topology_init();
    explain("00:14.0",
            "owner: 0000:00:14.0 (1b36:0010, serial bus, USB) belongs to nobody, and is no bus "
            "master.\n"
            "place: It is integrated into the root complex, on root bus 00.\n"
            "group: Its group is 1, in which no other device is.\n"
            "why: It is on a root bus, has a requester ID of its own, and shares its device with "
            "no function that could reach it.\n"
            "reset: It has no function-level reset; switching it to D3hot and back resets it.\n"
            "guests: A guest can have it: `passthrough = 0000:00:14.0` in trivet.conf.\n");
    /* what nobody wants is in the group, and in nobody's way */
    assert_int_equal(group_of("00:1f.0"), group_of("00:1f.2"));
    explain("00:1f.2",
            "owner: 0000:00:1f.2 (1b36:0010, storage, SATA) belongs to nobody, and is no bus "
            "master.\n"
            "place: It is a conventional PCI device, on root bus 00.\n"
            "group: Its group is 2, in which no other device is.\n"
            "why: It is on a root bus, has a requester ID of its own, and shares its device with "
            "no function that could reach it.\n"
            "reset: Nothing can reset it: what one owner left in it, the next one finds.\n"
            "guests: No guest can have it now: nothing resets 0000:00:1f.2, so that its next owner "
            "would find what the last one left.\n");
    host_topology_set_owner(sata, "web");
    assert_string_equal(host_topology_of(sata)->owner, "web");
    host_topology_set_owner(sata, "");
    assert_int_equal(host_topology_of(sata)->use, TOPOLOGY_FREE);
}

static void what_a_guest_would_miss(void **state)
{
    uint32_t nic = machine_endpoint(0, 3, 0, 0x020000);

    (void)state;
    machine_set(nic, 0x10, 4, 0xfe00000c);
    machine_set(nic, 0x14, 4, 1); /* the upper half of the one before: no I/O ports */
    machine_set(nic, 0x18, 4, 0xc001);
    machine_set(nic, 0x30, 4, 0xfeb00000);
    machine_set(nic, 0x3d, 1, 1);
    host_topology_init();
    explain(
        "00:03.0",
        "owner: 0000:00:03.0 (1b36:0010, network, Ethernet) belongs to nobody, and is no bus "
        "master.\n"
        "place: It is a PCI Express endpoint, on root bus 00.\n"
        "group: Its group is 1, in which no other device is.\n"
        "why: It is on a root bus, has a requester ID of its own, and shares its device with "
        "no function that could reach it.\n"
        "reset: It can be reset by itself (function-level reset).\n"
        "bars: BAR 2 is of I/O ports, which Trivet reaches for a guest: slower than memory. On "
        "ARM64 a guest does not see them.\n"
        "rom: Its option ROM is not shown to a guest, so that UEFI in a guest has no driver "
        "from it.\n"
        "interrupts: It interrupts by a line alone (INTx): for a guest Trivet looks 1000 times a "
        "second whether it would, so that no other device shares the line.\n"
        "guests: A guest can have it: `passthrough = 0000:00:03.0` in trivet.conf.\n");
    machine_set(nic, 0x41, 1, 0x60); /* MSI follows */
    machine_set(nic, 0x60, 4, HOST_PCI_CAP_MSI);
    machine_set(nic, 0x18, 4, 0);
    machine_set(nic, 0x30, 4, 0);
    explain_lacks("00:03.0", "interrupts:");
    explain_lacks("00:03.0", "bars:");
    explain_lacks("00:03.0", "rom:");
    machine_set(nic, 8, 4, UINT32_MAX);
    machine_set(nic, 0x18, 4, UINT32_MAX);
    explain_lacks("00:03.0", "bars:"); /* it does not answer */
}

/* Without an IOMMU, without interrupt remapping, with memory of the firmware's. */
static void what_does_not_isolate(void **state)
{
    static const struct iommu_reserved range = {
        .first = 2 << 3, .last = 2 << 3, .base = 0x7e000000, .len = 0x20000
    };
    uint32_t usb = machine_endpoint(0, 2, 0, 0x0c0330);
    char why[300];

    (void)state;
    host_topology_init();
    assert_int_equal(host_topology_may_pass(usb, "web", why, sizeof why), 0);
    reserved = &range;
    assert_int_equal(host_topology_may_pass(usb, "web", why, sizeof why), -EACCES);
    explain("00:02.0",
            "owner: 0000:00:02.0 (1b36:0010, serial bus, USB) belongs to nobody, and is no bus "
            "master.\n"
            "place: It is a PCI Express endpoint, on root bus 00.\n"
            "group: Its group is 1, in which no other device is.\n"
            "why: It is on a root bus, has a requester ID of its own, and shares its device with "
            "no function that could reach it.\n"
            "reset: It can be reset by itself (function-level reset).\n"
            "memory: The firmware binds it to memory from 0x7e000000 to 0x7e01ffff (RMRR, unity "
            "map), which it has to go on reaching.\n"
            "change: A setting of the firmware may free it of that: legacy support of USB, or "
            "management of the machine.\n"
            "guests: No guest can have it now: the firmware uses 0000:00:02.0 with memory at "
            "0x7e000000, and it would go on reaching that.\n");
    safe_irqs = false;
    assert_int_equal(host_topology_may_pass(usb, "web", why, sizeof why), -EACCES);
    assert_string_equal(why, "its IOMMU does not check interrupts, and 0000:00:02.0 could send "
                             "any");
    have_unit = false;
    assert_int_equal(host_topology_may_pass(usb, "web", why, sizeof why), -EACCES);
    assert_non_null(strstr(why, "no IOMMU stands before 0000:00:02.0"));
    host_topology_set_owner(usb, "web");
    said[0] = '\0';
    host_topology_explain(usb, say, NULL);
    assert_non_null(strstr(said, "guests: Guest web cannot start with it: no IOMMU stands"));
}

/* Circles of capabilities and of bridges end; two bridges to one bus are one group. */
static void lies(void **state)
{
    uint32_t a, b;

    (void)state;
    a = machine_bridge(0, 1, 0, TOPOLOGY_ROOT_PORT, 1, 1);
    machine_acs(a, 0x1f);
    b = machine_bridge(0, 2, 0, TOPOLOGY_ROOT_PORT, 1, 1);
    machine_acs(b, 0x1f);
    (void)machine_endpoint(1, 0, 0, 0x010802);
    (void)machine_endpoint(1, 1, 0, 0x010802);
    (void)machine_bridge(1, 2, 0, TOPOLOGY_UPSTREAM_PORT, 0, 255); /* leads up again */
    (void)machine_bridge(1, 3, 0, TOPOLOGY_UPSTREAM_PORT, 1, 1);   /* and to itself */
    machine_set(3, 0x41, 1, 0x40);
    machine_set(4, 0x100, 4, 0x0001 | 0x100u << 20);
    machine_reads = 0;
    host_topology_init();
    assert_in_range(machine_reads, 1, 5000);
    assert_int_equal(group_of("01:00.0"), group_of("00:01.0"));
    assert_int_equal(group_of("01:01.0"), group_of("00:02.0"));
    assert_int_equal(group_of("00:01.0"), group_of("00:02.0"));
    assert_int_equal(host_topology_of(5)->parent, (int)a);
    /* an endpoint that says it is a port leads nowhere and isolates nothing */
    (void)fresh(NULL);
    a = machine_endpoint(0, 3, 0, 0x020000);
    machine_express(a, TOPOLOGY_DOWNSTREAM_PORT, false);
    machine_set(a, 0x19, 2, 0x0505);
    (void)machine_endpoint(5, 0, 0, 0x020000);
    host_topology_init();
    assert_int_equal(host_topology_of(2)->parent, TOPOLOGY_NONE);
    assert_int_equal(host_topology_of(1)->type, TOPOLOGY_ENDPOINT);
}

/* Addresses come before classes; a driver is told; what is not there is kept for nobody. */
static void kept_for_guests(void **state)
{
    static const char *const lines[][2] = {
        { "web", "class:nvme" }, { "db", "01:00.0" }, { "db", "1b36:0010" }, { "db", "class:usb" }
    };
    struct pci_select all[ARRAY_SIZE(lines)], s;
    uint32_t i;

    (void)state;
    for (size_t n = 0; n < ARRAY_SIZE(lines); n++) {
        assert_int_equal(pci_select_parse(lines[n][1], &all[n]), 0);
        assert_int_equal(host_pci_keep(&all[n], lines[n][0]), 0);
    }
    s = all[3];
    for (unsigned n = 1; n < 4; n++)
        (void)machine_endpoint(n, 0, 0, 0x010802);
    host_topology_init();
    assert_int_equal(host_pci_kept("db", 0, &all[1], &i), 0);
    assert_int_equal(i, 1);
    assert_int_equal(host_pci_kept("db", 1, &all[2], &i), 0);
    assert_int_equal(i, 2);
    assert_int_equal(host_pci_kept("web", 0, &all[0], &i), 0);
    assert_int_equal(i, 3);
    assert_int_equal(host_pci_kept("db", 2, &all[3], &i), -ENOENT);
    assert_int_equal(host_pci_kept("web", 1, &all[0], &i), -ENOENT);
    assert_int_equal(pci_select_parse("02:00.0", &all[0]), 0); /* after a reload: another's */
    assert_int_equal(host_pci_kept("db", 0, &all[0], &i), -ENOENT);
    assert_int_equal(host_pci_kept("db", 1, &all[0], &i), 0);
    assert_true(host_topology_is_kept(&machine_dev[3]));
    assert_false(host_topology_is_kept(&machine_dev[0]));
    assert_int_equal(host_pci_select_exists(&s), -ENOENT);
}

static bool all_is_memory;

bool mmu_is_memory(hpa_t at, uint64_t len)
{
    (void)at, (void)len;
    return all_is_memory;
}

/* What a BAR claims: memory, what the bridge does not lead to it, another's. */
static void claims(void **state)
{
    uint32_t port, nvme, other;
    struct host_pci_bar b = { .base = 0xfe000000, .len = 0x4000 };

    (void)state;
    port = machine_bridge(0, 1, 0, TOPOLOGY_ROOT_PORT, 1, 1);
    nvme = machine_endpoint(1, 0, 0, 0x010802);
    other = machine_endpoint(0, 2, 0, 0x020000);
    machine_set(port, 0x20, 4, 0xfe00fe00);
    machine_set(port, 0x24, 4, 0x80f10001);
    machine_set(port, 0x28, 4, 8);
    machine_set(port, 0x2c, 4, 8);
    host_topology_init();
    assert_true(host_pci_bar_is_its_own(nvme, &b));
    b.base = 0xfe100000 - 0x3000; /* beyond the window's end */
    assert_false(host_pci_bar_is_its_own(nvme, &b));
    b.base = 0x800000000; /* in the other one */
    assert_true(host_pci_bar_is_its_own(nvme, &b));
    b.base = 0x900000000;
    assert_false(host_pci_bar_is_its_own(nvme, &b));
    b.base = 0xfe000000;
    machine_set(other, 0x10, 4, 0xfe003004);
    assert_false(host_pci_bar_is_its_own(nvme, &b));
    machine_set(other, 0x14, 4, 1); /* it is above 4 GiB */
    assert_true(host_pci_bar_is_its_own(nvme, &b));
    all_is_memory = true;
    assert_false(host_pci_bar_is_its_own(nvme, &b));
    all_is_memory = false;
    b.len = UINT64_MAX;
    assert_false(host_pci_bar_is_its_own(nvme, &b));
}

static struct acpi_info acpi;
const struct acpi_info *acpi_info(void) { return &acpi; }

/* What a BAR of ports claims: a PC's own, ACPI's, what the bridge does not lead to it, another's.
 */
static void claims_ports(void **state)
{
    uint32_t port, nic, other;
    struct host_pci_bar b = { .base = 0x6000, .len = 0x40, .io = true };

    (void)state;
    port = machine_bridge(0, 1, 0, TOPOLOGY_ROOT_PORT, 1, 1);
    nic = machine_endpoint(1, 0, 0, 0x020000);
    other = machine_endpoint(0, 2, 0, 0x020000);
    machine_set(port, 0x1c, 2, 0x7061);
    host_topology_init();
    assert_true(host_pci_bar_is_its_own(nic, &b));
    b.base = 0x5fc0;
    assert_false(host_pci_bar_is_its_own(nic, &b));
    b.base = 0x7fc0;
    assert_true(host_pci_bar_is_its_own(nic, &b));
    b.base = 0x8000;
    assert_false(host_pci_bar_is_its_own(nic, &b));
    b.base = 0x6000;
    machine_set(port, 0x30, 4, 1);
    assert_false(host_pci_bar_is_its_own(nic, &b));
    machine_set(port, 0x30, 4, 0);
    machine_set(other, 0x14, 4, 0x6021);
    assert_false(host_pci_bar_is_its_own(nic, &b));
    machine_set(other, 0x14, 4, 0x6041);
    assert_true(host_pci_bar_is_its_own(nic, &b));
    acpi.power.pm_timer = (struct acpi_gas){ .addr = 0x6038, .space = 1 };
    assert_false(host_pci_bar_is_its_own(nic, &b));
    acpi.power.pm_timer.space = 0;
    assert_true(host_pci_bar_is_its_own(nic, &b));
    acpi.power.smi_cmd = 0x603f;
    assert_false(host_pci_bar_is_its_own(nic, &b));
    acpi.power.smi_cmd = 0;
    b.base = 0xfc0; /* of the other, on the root bus */
    assert_false(host_pci_bar_is_its_own(other, &b));
    b.base = 0x1000;
    assert_true(host_pci_bar_is_its_own(other, &b));
    b.len = 0x10000;
    assert_false(host_pci_bar_is_its_own(other, &b));
}

/* All steps of it; returns how many. */
static unsigned reset_again(uint32_t i, struct host_pci_reset *r, int expect)
{
    uint64_t wait;
    unsigned n = 1;
    int err;

    r->step = 0;
    while ((err = host_pci_reset_step(i, r, &wait)) == -EINPROGRESS) {
        assert_in_range(n++, 0, 20);
        if (machine_cfg[i][0x49] & 0x80) { /* an FLR: all is gone */
            assert_false(machine_cfg[i][4] & 4);
            machine_set(i, 0x48, 2, 0);
            memset(machine_cfg[i] + 0x10, 0, 24);
        }
    }
    assert_int_equal(err, expect);
    return n;
}

static unsigned reset(uint32_t i, int expect)
{
    return reset_again(i, &(struct host_pci_reset){ .step = 0 }, expect);
}

/* An owner moved its BARs by another way: the next one finds them where they were at first. */
static void resets_bring_bars_back(void **state)
{
    struct host_pci_reset r = { .step = 0 };
    uint32_t nvme = machine_endpoint(1, 0, 0, 0x010802);

    (void)state;
    machine_set(nvme, 4, 2, 6);
    machine_set(nvme, 0x10, 4, 0xfe000004);
    host_topology_init();
    (void)reset_again(nvme, &r, 0);
    machine_set(nvme, 0x10, 4, 0xfed90004);
    (void)reset_again(nvme, &r, 0);
    assert_int_equal(host_pci_read(host_pci_devs(&(uint32_t){ 0 }) + nvme, 0x10, 4), 0xfe000004);
    machine_set(nvme, 0x44, 4, 0); /* nothing resets it */
    machine_set(nvme, 4, 2, 7);
    machine_set(nvme, 0x10, 4, 0xfed90004);
    host_topology_init();
    (void)reset_again(nvme, &r, -ENOTSUP);
    assert_int_equal(host_pci_read(host_pci_devs(&(uint32_t){ 0 }) + nvme, 0x10, 4), 0xfe000004);
    assert_int_equal(machine_cfg[nvme][4] & 7, 0);
}

/* The firmware left it in D3hot: it wakes up first, and has the time that it takes. */
static void resets_wake(void **state)
{
    struct host_pci_reset r = { .step = 0 };
    uint32_t nvme = machine_endpoint(1, 0, 0, 0x010802);
    uint64_t wait = 1;

    (void)state;
    machine_set(nvme, 0x41, 1, 0x90);
    machine_set(nvme, 0x90, 4, 1);
    machine_set(nvme, 0x94, 2, 3 | 1 << 3);
    machine_set(nvme, 0x10, 4, 0xfe000004);
    host_topology_init();
    assert_int_equal(host_pci_reset_step(nvme, &r, &wait), -EINPROGRESS);
    assert_int_equal(wait, 10000000);
    assert_int_equal(machine_cfg[nvme][0x94], 1 << 3);
    machine_set(nvme, 0x10, 4, 4); /* it forgot where it was */
    (void)reset_again(nvme, &r, 0);
    assert_int_equal(machine_cfg[nvme][0x13], 0xfe);
    r.step = 0;
    assert_int_equal(host_pci_reset_step(nvme, &r, &wait), -EINPROGRESS);
    assert_int_equal(wait, 0);
}

static void resets(void **state)
{
    uint32_t port, nvme, old;

    (void)state;
    port = machine_bridge(0, 1, 0, TOPOLOGY_ROOT_PORT, 1, 1);
    nvme = machine_endpoint(1, 0, 0, 0x010802);
    machine_set(nvme, 4, 2, 6);
    machine_set(nvme, 0x10, 4, 0xfe000004);
    host_topology_init();
    assert_int_equal(reset(nvme, 0), 3);
    assert_int_equal(machine_cfg[nvme][0x13], 0xfe);
    assert_int_equal(machine_cfg[nvme][4] & 4, 0);
    machine_set(nvme, 0x44, 4, 0); /* no FLR: by the port, which has nothing else below it */
    host_topology_init();
    assert_int_equal(host_pci_reset_kind(nvme), TOPOLOGY_RESET_BUS);
    assert_int_equal(reset(nvme, 0), 4);
    assert_int_equal(machine_cfg[port][0x3e] & 0x40, 0);
    old = machine_endpoint(1, 0, 1, 0x020000);
    machine_set(old, 0x44, 4, 0);
    host_topology_init();
    assert_int_equal(reset(nvme, -ENOTSUP), 1);
    memset(machine_cfg[nvme], 0xff, 4); /* it does not come back */
    machine_set(nvme, 0x44, 4, 1u << 28);
    host_topology_init();
    assert_true(reset(nvme, -EIO) > 5);
}

static void names(void **state)
{
    static const char *const bad[] = { "",           "3",          "03:00",     "03:00.8",
                                       "03:20.0",    "100:00.0",   "0:03:00.0", "03:00.0 ",
                                       "03.00.0",    "xx:00.0",    "8086",      "ffff:0010",
                                       "8086:10d",   "8086:10d33", "class:",    "class:nvmes",
                                       "class: nvme" };
    struct pci_select s;
    char text[128];
    uint32_t i;

    (void)state;
    (void)machine_endpoint(0x3f, 0x1f, 7, 0x020000);
    host_topology_init();
    assert_int_equal(host_pci_find("3f:1f.7", &i), 0);
    assert_int_equal(i, 1);
    assert_int_equal(host_pci_find("0000:3F:1f.7", &i), 0);
    assert_int_equal(host_pci_find("0001:3f:1f.7", &i), -ENODEV);
    assert_int_equal(host_pci_find("8086:10d3", &i), -EINVAL);
    for (size_t k = 0; k < ARRAY_SIZE(bad); k++)
        assert_int_equal(pci_select_parse(bad[k], &s), -EINVAL);
    assert_int_equal(pci_select_parse("8086:10D3", &s), 0);
    assert_int_equal(s.kind, PCI_SELECT_ID);
    assert_int_equal(s.device, 0x10d3);
    assert_int_equal(pci_select_parse("class:NVMe", &s), 0);
    assert_int_equal(s.class, 0x010802);
    assert_string_equal(pci_select_classes(text, sizeof text),
                        "audio, display, ethernet, network, nvme, sata, storage, usb");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(switch_with_acs, fresh),
        cmocka_unit_test_setup(switch_without_acs, fresh),
        cmocka_unit_test_setup(weak_acs, fresh),
        cmocka_unit_test_setup(one_below_a_root_port, fresh),
        cmocka_unit_test_setup(behind_a_bridge_to_pci, fresh),
        cmocka_unit_test_setup(several_functions, fresh),
        cmocka_unit_test_setup(functions_beyond_eight, fresh),
        cmocka_unit_test_setup(virtual_functions, fresh),
        cmocka_unit_test_setup(in_the_root_complex, fresh),
        cmocka_unit_test_setup(what_a_guest_would_miss, fresh),
        cmocka_unit_test_setup(what_does_not_isolate, fresh),
        cmocka_unit_test_setup(kept_for_guests, fresh),
        cmocka_unit_test_setup(claims, fresh),
        cmocka_unit_test_setup(claims_ports, fresh),
        cmocka_unit_test_setup(resets, fresh),
        cmocka_unit_test_setup(resets_wake, fresh),
        cmocka_unit_test_setup(resets_bring_bars_back, fresh),
        cmocka_unit_test_setup(lies, fresh),
        cmocka_unit_test_setup(names, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
