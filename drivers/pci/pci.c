/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pci.c: the host's PCI devices and their configuration space. By ECAM where ACPI's MCFG describes
 * it (PCI Express Base Specification 4.0 section 7.2.2), else by configuration mechanism 1 (PCI
 * Local Bus Specification 3.0 section 3.2.2.3.2).
 */
#include <arch/io.h>
#include <arch/mmu.h>

#include <hv/acpi.h>
#include <hv/host_topology.h>
#include <hv/lock.h>
#include <hv/log.h>
#include <hv/platform.h>
#include "topology.h"

enum { CONFIG_ADDRESS = 0xcf8, CONFIG_DATA = 0xcfc };
#define CONFIG_ENABLE 0x80000000u
enum {
    CFG_VENDOR = 0,
    CFG_DEVICE = 2,
    CFG_PROG_IF = 9,
    CFG_SUBCLASS = 10,
    CFG_CLASS = 11,
    CFG_HEADER = 14,
    HEADER_MULTI = 0x80
};
enum { CLASS_DISPLAY = 3, CLASS_BRIDGE = 6 };
enum { HEADER_BRIDGE = 1 };
#define BUS_SHIFT 20

struct window {
    volatile uint8_t *at; /* of bus_first; NULL: configuration mechanism 1 */
    uint16_t segment;
    uint8_t bus_first, bus_last;
};

static struct {
    struct window windows[ACPI_MCFG_MAX];
    uint32_t nwindows, ndevs, dropped;
    struct host_pci_dev devs[HOST_PCI_MAX];
} pci;
static struct spinlock ports = SPINLOCK_INIT(LOCK_PORTS); /* address and data are two accesses */

/* ---- access ---- */

static uint32_t mech1(const struct host_pci_dev *d, uint32_t off, unsigned size, bool write,
                      uint32_t val)
{
    uint32_t address =
        CONFIG_ENABLE | (uint32_t)d->bus << 16 | (uint32_t)d->devfn << 8 | (off & 0xfc);
    uint16_t port = (uint16_t)(CONFIG_DATA + (off & 3));

    spin_lock(&ports);
    port_write(CONFIG_ADDRESS, 4, address);
    if (write)
        port_write(port, size, val);
    else
        val = port_read(port, size);
    spin_unlock(&ports);
    return val;
}

static uint32_t ecam(const struct window *w, const struct host_pci_dev *d, uint32_t off,
                     unsigned size, bool write, uint32_t val)
{
    volatile uint8_t *p =
        w->at + ((uint64_t)(d->bus - w->bus_first) << BUS_SHIFT | (uint64_t)d->devfn << 12 | off);

    if (!write)
        return host_reg_read(p, size);
    host_reg_write(p, size, val);
    return val;
}

static uint32_t access(const struct host_pci_dev *d, uint32_t off, unsigned size, bool write,
                       uint32_t val)
{
    const struct window *w = &pci.windows[d->window];
    uint32_t none = 0xffffffffu >> (32 - 8 * size);

    if (off >= (w->at ? 4096u : 256u) || (off & (size - 1)))
        return none;
    return (w->at ? ecam(w, d, off, size, write, val) : mech1(d, off, size, write, val)) & none;
}

uint32_t host_pci_read(const struct host_pci_dev *d, uint32_t off, unsigned size)
{
    return access(d, off, size, false, 0);
}

void host_pci_write(const struct host_pci_dev *d, uint32_t off, unsigned size, uint32_t val)
{
    (void)access(d, off, size, true, val);
}

/* ---- finding the devices ---- */

/*
 * What the firmware left running on a device may write to memory that is to be somebody else's: it
 * is no bus master until its driver has stopped it. Without that it sends no message interrupt
 * either (PCI Local Bus Specification 3.0 section 6.2.2). Bridges pass on what devices behind them
 * do, and a display's firmware may go on reading the picture.
 */
static void keep_off(const struct host_pci_dev *d)
{
    if (d->header != HEADER_BRIDGE && d->class != CLASS_BRIDGE && d->class != CLASS_DISPLAY)
        host_pci_command(d, 0, HOST_PCI_MASTER);
}

static bool is_listed(const struct host_pci_dev *d)
{
    for (uint32_t i = 0; i < pci.ndevs; i++)
        if (pci.devs[i].segment == d->segment && pci.devs[i].bus == d->bus &&
            pci.devs[i].devfn == d->devfn)
            return true;
    return false;
}

/* False: nothing there. *multi: function 0 says that there are others. */
static bool pci_probe(struct host_pci_dev d, bool *multi)
{
    d.vendor = (uint16_t)host_pci_read(&d, CFG_VENDOR, 2);
    if (d.vendor == 0xffff || is_listed(&d)) /* two windows may overlap */
        return false;
    d.device = (uint16_t)host_pci_read(&d, CFG_DEVICE, 2);
    d.prog_if = (uint8_t)host_pci_read(&d, CFG_PROG_IF, 1);
    d.subclass = (uint8_t)host_pci_read(&d, CFG_SUBCLASS, 1);
    d.class = (uint8_t)host_pci_read(&d, CFG_CLASS, 1);
    d.header = (uint8_t)host_pci_read(&d, CFG_HEADER, 1);
    *multi = (d.header & HEADER_MULTI) != 0;
    d.header &= (uint8_t)~HEADER_MULTI;
    keep_off(&d);
    if (pci.ndevs < HOST_PCI_MAX)
        pci.devs[pci.ndevs++] = d;
    else
        pci.dropped++;
    return true;
}

static void scan_bus(uint8_t window, unsigned bus)
{
    struct host_pci_dev d = { .segment = pci.windows[window].segment,
                              .bus = (uint8_t)bus,
                              .window = window };

    for (unsigned dev = 0; dev < 32; dev++) {
        bool multi = false, ignored;

        d.devfn = (uint8_t)(dev << 3);
        if (!pci_probe(d, &multi) || !multi)
            continue;
        for (unsigned fn = 1; fn < 8; fn++) {
            d.devfn = (uint8_t)(dev << 3 | fn);
            (void)pci_probe(d, &ignored);
        }
    }
}

/* ECAM window that reaches this bus; UINT32_MAX: none. */
static uint32_t pci_window_of(uint16_t segment, uint32_t bus)
{
    for (uint32_t w = 0; w < pci.nwindows; w++)
        if (pci.windows[w].segment == segment && bus >= pci.windows[w].bus_first &&
            bus <= pci.windows[w].bus_last)
            return w;
    return UINT32_MAX;
}

int pci_reach(struct host_pci_dev *d)
{
    uint32_t w = pci_window_of(d->segment, d->bus);

    d->window = (uint8_t)w;
    return w == UINT32_MAX ? -ENOSPC : 0;
}

int pci_add(const struct host_pci_dev *like)
{
    struct host_pci_dev d = *like;

    if (is_listed(&d))
        return -EEXIST;
    if (pci_reach(&d) || pci.ndevs == HOST_PCI_MAX)
        return -ENOSPC;
    keep_off(&d);
    pci.devs[pci.ndevs++] = d;
    return 0;
}

static void add_ecam(uint64_t base, uint16_t segment, uint8_t first, uint8_t last)
{
    volatile uint8_t *at = last < first ? NULL
                                        : mmu_map_device(hpa(base + ((uint64_t)first << BUS_SHIFT)),
                                                         (uint64_t)(last - first + 1) << BUS_SHIFT);

    if (at && pci.nwindows < ARRAY_SIZE(pci.windows))
        pci.windows[pci.nwindows++] = (struct window){ at, segment, first, last };
    else
        log_warn("PCI: the ECAM window of segment %u at %llx cannot be used", segment,
                 (unsigned long long)base);
}

/* From ACPI's MCFG, else from the device tree. */
static void find_ecam(void)
{
    const struct acpi_info *a = acpi_info();
    const struct platform *p = &the_platform;

    for (uint32_t i = 0; i < a->nmcfg; i++)
        add_ecam(a->mcfg[i].base, a->mcfg[i].segment, a->mcfg[i].bus_first, a->mcfg[i].bus_last);
    for (uint32_t i = 0; !a->nmcfg && i < p->necam; i++)
        add_ecam(p->ecam[i].base, p->ecam[i].segment, p->ecam[i].bus_first, p->ecam[i].bus_last);
}

/*
 * CONFIG_ADDRESS is a register that can be read back where the mechanism exists; what it held is
 * put back.
 */
static bool has_mech1(void)
{
    uint32_t before = port_read(CONFIG_ADDRESS, 4);
    bool found;

    port_write(CONFIG_ADDRESS, 4, CONFIG_ENABLE);
    found = port_read(CONFIG_ADDRESS, 4) == CONFIG_ENABLE;
    if (found)
        port_write(CONFIG_ADDRESS, 4, before);
    return found;
}

const char *host_pci_access(void)
{
    return !pci.nwindows ? "none" : pci.windows[0].at ? "ECAM" : "configuration mechanism 1";
}

int host_pci_init(void)
{
    pci.nwindows = pci.ndevs = pci.dropped = 0;
    find_ecam();
    if (!pci.nwindows && has_mech1())
        pci.windows[pci.nwindows++] = (struct window){ .bus_last = 255 };
    if (!pci.nwindows)
        return -ENODEV;
    for (unsigned w = 0; w < pci.nwindows; w++)
        for (unsigned bus = pci.windows[w].bus_first; bus <= pci.windows[w].bus_last; bus++)
            scan_bus((uint8_t)w, bus);
    host_topology_init();
    if (vfs_all())
        host_topology_init();
    log_info("PCI: %u functions, by %s", pci.ndevs, host_pci_access());
    if (pci.dropped)
        log_warn("PCI: more functions than Trivet can list: %u are ignored", pci.dropped);
    return 0;
}

const struct host_pci_dev *host_pci_devs(uint32_t *count)
{
    *count = pci.ndevs;
    return pci.devs;
}

/* ---- names ---- */

/* PCI Code and ID Assignment Specification 1.11; the first line that fits. subclass 0xff: any. */
static const struct {
    uint8_t class, subclass;
    const char *name;
} names[] = {
    { 0x01, 0x01, "storage, IDE" },
    { 0x01, 0x04, "storage, RAID" },
    { 0x01, 0x06, "storage, SATA" },
    { 0x01, 0x07, "storage, SAS" },
    { 0x01, 0x08, "storage, NVMe" },
    { 0x01, 0xff, "storage" },
    { 0x02, 0x00, "network, Ethernet" },
    { 0x02, 0xff, "network" },
    { 0x03, 0xff, "display" },
    { 0x04, 0xff, "multimedia" },
    { 0x05, 0xff, "memory" },
    { 0x06, 0x00, "bridge, host" },
    { 0x06, 0x01, "bridge, ISA" },
    { 0x06, 0x04, "bridge, PCI" },
    { 0x06, 0xff, "bridge" },
    { 0x07, 0xff, "communication" },
    { 0x08, 0x06, "system, IOMMU" },
    { 0x08, 0xff, "system" },
    { 0x09, 0xff, "input" },
    { 0x0b, 0xff, "processor" },
    { 0x0c, 0x03, "serial bus, USB" },
    { 0x0c, 0x05, "serial bus, SMBus" },
    { 0x0c, 0xff, "serial bus" },
    { 0x0d, 0xff, "wireless" },
    { 0x10, 0xff, "encryption" },
    { 0x11, 0xff, "signal processing" },
    { 0x12, 0xff, "accelerator" },
};

const char *host_pci_class(const struct host_pci_dev *d)
{
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (names[i].class == d->class &&
            (names[i].subclass == d->subclass || names[i].subclass == 0xff))
            return names[i].name;
    return "other";
}
