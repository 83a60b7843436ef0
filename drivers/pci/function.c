/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * function.c: what a driver does with its PCI function: BARs, the command register, capabilities,
 * interrupts by message. "PCI" is the PCI Local Bus Specification 3.0. What a function says about
 * itself is checked before it is used.
 */
#include <arch/io.h>
#include <arch/irq.h>
#include <arch/mmu.h>

#include <hv/host_pci.h>
#include <hv/iommu.h>
#include <hv/log.h>
#include <hv/order.h>
#include <hv/percpu.h>
#include "topology.h"

enum { CFG_COMMAND = 4, CFG_STATUS = 6, CFG_BAR0 = 0x10, CFG_CAPS = 0x34, BARS = 6 };
enum { STATUS_CAPS = 1 << 4, CAPS_FIRST = 0x40, CAPS_MOST = 48 };
enum { BAR_IO = 1, BAR_KIND = 6, BAR_64 = 4, BAR_PREFETCH = 8 };
/* section 6.8.1 */
enum { MSI_CONTROL = 2, MSI_ADDRESS = 4, MSI_ENABLE = 1, MSI_COUNT = 7 << 4, MSI_64 = 1 << 7 };
/* section 6.8.2 */
enum {
    MSIX_CONTROL = 2,
    MSIX_TABLE = 4,
    MSIX_SIZE = 0x7ff,
    MSIX_MASK = 1 << 14,
    MSIX_ENABLE = 1 << 15,
    ENTRY = 16,
    ENTRY_DATA = 8,
    ENTRY_CONTROL = 12
};

static bool host_pci_is_stopped(const struct host_pci_dev *d)
{
    return __atomic_load_n(&d->stopped, __ATOMIC_SEQ_CST);
}

static void write_command(const struct host_pci_dev *d, uint16_t set, uint16_t clear)
{
    uint32_t was = host_pci_read(d, CFG_COMMAND, 2), val = (was & ~(uint32_t)clear) | set;

    if (val != was)
        host_pci_write(d, CFG_COMMAND, 2, val);
    /* what it had written before the read has arrived when this comes back */
    (void)host_pci_read(d, CFG_COMMAND, 2);
}

void host_pci_command(const struct host_pci_dev *d, uint16_t set, uint16_t clear)
{
    if (host_pci_is_stopped(d))
        set &= (uint16_t)~HOST_PCI_MASTER;
    write_command(d, set, clear);
    store_before_load();
    if (set & HOST_PCI_MASTER && host_pci_is_stopped(d)) /* meanwhile, by another CPU */
        write_command(d, 0, HOST_PCI_MASTER);
}

void host_pci_stop(const struct host_pci_dev *d, bool stop)
{
    __atomic_store_n(&((struct host_pci_dev *)(uintptr_t)d)->stopped, stop, __ATOMIC_RELEASE);
    store_before_load();
    if (stop)
        write_command(d, 0, HOST_PCI_MASTER);
}

/* ---- BARs ---- */

static uint32_t bar_mask(const struct host_pci_dev *d, uint32_t reg)
{
    uint32_t was = host_pci_read(d, reg, 4), mask;

    host_pci_write(d, reg, 4, UINT32_MAX);
    mask = host_pci_read(d, reg, 4);
    host_pci_write(d, reg, 4, was);
    return mask;
}

void pci_bar_size(const struct host_pci_dev *d, uint32_t reg, bool last, struct host_pci_bar *out)
{
    uint32_t low = host_pci_read(d, reg, 4);
    uint64_t mask = bar_mask(d, reg);

    out->io = low & BAR_IO;
    out->wide = !out->io && (low & BAR_KIND) == BAR_64 && !last;
    out->prefetch = !out->io && (low & BAR_PREFETCH);
    out->base = low & (out->io ? ~3u : ~15u);
    mask &= out->io ? ~3u : ~15u;
    if (out->wide) {
        out->base |= (uint64_t)host_pci_read(d, reg + 4, 4) << 32;
        mask |= (uint64_t)bar_mask(d, reg + 4) << 32;
    }
    out->len = mask & (~mask + 1); /* its lowest bit that can be set */
}

/* Whether BAR i is the upper half of the one before. */
static bool bar_upper(const struct host_pci_dev *d, unsigned i)
{
    bool upper = false;

    for (unsigned n = 0; n < i; n++) {
        uint32_t low = host_pci_read(d, CFG_BAR0 + 4 * n, 4);

        upper = !upper && !(low & BAR_IO) && (low & BAR_KIND) == BAR_64;
    }
    return upper;
}

int host_pci_bar(const struct host_pci_dev *d, unsigned i, struct host_pci_bar *out)
{
    uint32_t command;

    if (d->physical)
        return vfs_bar(d, i, out);
    command = host_pci_read(d, CFG_COMMAND, 2);
    *out = (struct host_pci_bar){ .len = 0 };
    if (d->header != 0 || i >= BARS || bar_upper(d, i))
        return -ENOENT;
    host_pci_command(d, 0, HOST_PCI_IO | HOST_PCI_MEMORY);
    pci_bar_size(d, CFG_BAR0 + 4 * i, i + 1 == BARS, out);
    host_pci_write(d, CFG_COMMAND, 2, command);
    if (out->len == 0)
        return -ENOENT;
    return out->base & (out->len - 1) || out->base + out->len < out->base ? -EINVAL : 0;
}

void *host_pci_map(const struct host_pci_dev *d, unsigned i, uint64_t len)
{
    struct host_pci_bar bar;
    int err = host_pci_bar(d, i, &bar);
    void *at = NULL;

    if (!err && !bar.io && bar.base && len && len <= bar.len)
        at = mmu_map_device(hpa(bar.base), len);
    if (at)
        host_pci_command(d, HOST_PCI_MEMORY, 0);
    else
        log_warn("PCI %02x:%02x.%u: BAR %u (%llx, %llu bytes) is unassigned, too small, or cannot "
                 "be mapped",
                 d->bus, d->devfn >> 3, d->devfn & 7u, i, (unsigned long long)bar.base,
                 (unsigned long long)bar.len);
    return at;
}

/* ---- capabilities ---- */

uint32_t host_pci_cap_nth(const struct host_pci_dev *d, uint8_t id, unsigned n)
{
    uint32_t at;

    if (!(host_pci_read(d, CFG_STATUS, 2) & STATUS_CAPS))
        return 0;
    at = host_pci_read(d, CFG_CAPS, 1) & ~3u;
    for (unsigned i = 0; i < CAPS_MOST && at >= CAPS_FIRST; i++) {
        if (host_pci_read(d, at, 1) == id && n-- == 0)
            return at;
        at = host_pci_read(d, at + 1, 1) & ~3u;
    }
    return 0;
}

uint32_t host_pci_cap(const struct host_pci_dev *d, uint8_t id)
{
    return host_pci_cap_nth(d, id, 0);
}

/* ---- interrupts ---- */

/* The first n entries of the MSI-X table, which stay mapped. NULL: it has none, or not so many. */
static volatile uint8_t *msix_table(const struct host_pci_dev *d, unsigned n)
{
    uint32_t cap = host_pci_cap(d, HOST_PCI_CAP_MSIX), table, size;
    uint8_t *bar;

    if (!cap)
        return NULL;
    table = host_pci_read(d, cap + MSIX_TABLE, 4);
    size = (host_pci_read(d, cap + MSIX_CONTROL, 2) & MSIX_SIZE) + 1;
    if (n > size)
        return NULL;
    bar = host_pci_map(d, table & 7, (table & ~7u) + (uint64_t)ENTRY * n);
    return bar ? bar + (table & ~7u) : NULL;
}

static void msix_on(const struct host_pci_dev *d, uint32_t cap, volatile uint8_t *table, unsigned n,
                    const struct irq_message *m)
{
    uint32_t control = host_pci_read(d, cap + MSIX_CONTROL, 2);
    volatile uint8_t *entry = table + (size_t)ENTRY * n;

    host_pci_write(d, cap + MSIX_CONTROL, 2, control | MSIX_ENABLE | MSIX_MASK);
    mmio_write32(entry + ENTRY_CONTROL, 1);
    mmio_write32(entry, (uint32_t)m->address);
    mmio_write32(entry + 4, (uint32_t)(m->address >> 32));
    mmio_write32(entry + ENTRY_DATA, m->data);
    mmio_write32(entry + ENTRY_CONTROL, 0);
    (void)mmio_read32(entry + ENTRY_CONTROL);
    host_pci_write(d, cap + MSIX_CONTROL, 2, (control | MSIX_ENABLE) & ~(uint32_t)MSIX_MASK);
}

static int msi_on(const struct host_pci_dev *d, uint32_t cap, const struct irq_message *m)
{
    uint32_t control = host_pci_read(d, cap + MSI_CONTROL, 2);
    bool wide = control & MSI_64;

    if (!wide && m->address >> 32)
        return -ENOTSUP;
    host_pci_write(d, cap + MSI_ADDRESS, 4, (uint32_t)m->address);
    if (wide)
        host_pci_write(d, cap + MSI_ADDRESS + 4, 4, (uint32_t)(m->address >> 32));
    host_pci_write(d, cap + MSI_ADDRESS + (wide ? 8 : 4), 2, m->data);
    host_pci_write(d, cap + MSI_CONTROL, 2, (control & ~(uint32_t)MSI_COUNT) | MSI_ENABLE);
    return 0;
}

int host_pci_irq_write(const struct host_pci_dev *d, volatile uint8_t *table, unsigned n,
                       const struct irq_message *m)
{
    uint32_t cap = host_pci_cap(d, table ? HOST_PCI_CAP_MSIX : HOST_PCI_CAP_MSI);

    if (!cap || (!table && n))
        return -ENOTSUP;
    host_pci_command(d, HOST_PCI_NO_INTX, 0);
    if (!table)
        return msi_on(d, cap, m);
    msix_on(d, cap, table, n, m);
    return 0;
}

void host_pci_irq_mask(const struct host_pci_dev *d, volatile uint8_t *table, unsigned n, bool on)
{
    uint32_t msi = host_pci_cap(d, HOST_PCI_CAP_MSI), control;

    if (table) {
        mmio_write32(table + (size_t)ENTRY * n + ENTRY_CONTROL, on);
        (void)mmio_read32(table + (size_t)ENTRY * n + ENTRY_CONTROL);
    } else if (msi) {
        control = host_pci_read(d, msi + MSI_CONTROL, 2) & ~(uint32_t)MSI_ENABLE;
        host_pci_write(d, msi + MSI_CONTROL, 2, on ? control : control | MSI_ENABLE);
    }
}

int host_pci_irq(const struct host_pci_dev *d, unsigned n, uint32_t cpu, void (*fn)(void *),
                 void *arg)
{
    uint32_t msix = host_pci_cap(d, HOST_PCI_CAP_MSIX), msi = host_pci_cap(d, HOST_PCI_CAP_MSI);
    volatile uint8_t *table = NULL;
    struct irq_message plain, m;
    int err;

    if (cpu >= cpu_count || (!msix && (!msi || n)))
        return -ENOTSUP;
    if (msix)
        table = msix_table(d, n + 1);
    if (msix && !table)
        return -ENOTSUP;
    err = irq_message(cpu, fn, arg, &plain);
    if (!err)
        err = iommu_irq(d, n, &plain, &m);
    if (err)
        return err;
    return host_pci_irq_write(d, table, n, &m);
}

void host_pci_irq_off(const struct host_pci_dev *d)
{
    uint32_t msix = host_pci_cap(d, HOST_PCI_CAP_MSIX), msi = host_pci_cap(d, HOST_PCI_CAP_MSI);

    if (msix)
        host_pci_write(d, msix + MSIX_CONTROL, 2,
                       (host_pci_read(d, msix + MSIX_CONTROL, 2) | MSIX_MASK) &
                           ~(uint32_t)MSIX_ENABLE);
    if (msi)
        host_pci_write(d, msi + MSI_CONTROL, 2,
                       host_pci_read(d, msi + MSI_CONTROL, 2) & ~(uint32_t)MSI_ENABLE);
    host_pci_command(d, HOST_PCI_NO_INTX, 0);
}
