/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * window.c: whether memory or ports that a function claims by a BAR are its own. A function that
 * lies would give a guest what is somebody else's. PCI-to-PCI Bridge Architecture 1.2 §3.2.5.
 */
#include <arch/mmu.h>
#include <hv/acpi.h>
#include <hv/assert.h>
#include "topology.h"

enum { MEMORY_BASE = 0x20, PREFETCH_BASE = 0x24, PREFETCH_UPPER = 0x28, LIMIT_UPPER = 0x2c };
enum { IO_BASE = 0x1c, IO_UPPER = 0x30, PORTS_OF_PCS = 0x1000, PORTS_END = 0x10000 };
enum { GAS_IO = 1 }; /* ACPI 6.4 §5.2.3.2 */
enum { BAR0 = 0x10, BARS = 6, BAR_IO = 1, BAR_KIND = 6, BAR_64 = 4 };
#define WINDOW_UNIT 0xfffffull /* the low bits of a limit are ones */

/* A window's first and last address, as the register with both says. */
static bool window_holds(uint32_t reg, uint64_t upper, uint64_t upper_limit,
                         const struct host_pci_bar *b)
{
    uint64_t base = upper << 32 | (uint64_t)(reg & 0xfff0) << 16;
    uint64_t limit = upper_limit << 32 | (reg & 0xfff00000) | WINDOW_UNIT;

    return base <= b->base && b->base + b->len - 1 <= limit;
}

static bool window_of_bridge(const struct host_pci_dev *bridge, const struct host_pci_bar *b)
{
    uint32_t prefetch = host_pci_read(bridge, PREFETCH_BASE, 4);
    bool wide = (prefetch & 15) == 1; /* bits 3:0: 64-bit addresses */

    return window_holds(host_pci_read(bridge, MEMORY_BASE, 4), 0, 0, b) ||
           window_holds(prefetch, wide ? host_pci_read(bridge, PREFETCH_UPPER, 4) : 0,
                        wide ? host_pci_read(bridge, LIMIT_UPPER, 4) : 0, b);
}

/* ---- ports ---- */

/* Registers of 16 bytes at most: ACPI 6.4 §4.8.3 */
static bool window_is_acpis(const struct acpi_gas *g, const struct host_pci_bar *b)
{
    return g->space == GAS_IO && g->addr && g->addr < b->base + b->len && b->base < g->addr + 16;
}

static bool window_is_the_machines(const struct host_pci_bar *b)
{
    const struct acpi_power *p = &acpi_info()->power;
    const struct acpi_gas *const named[] = { &p->pm1a, &p->pm1b, &p->pm_timer, &p->reset,
                                             &p->sleep_control };

    if (b->base < PORTS_OF_PCS || b->base + b->len > PORTS_END)
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(named); i++)
        if (window_is_acpis(named[i], b))
            return true;
    return p->smi_cmd - b->base < b->len;
}

/* §3.2.5.6: bits 15:12 of the first and the last port, in one byte each */
static bool window_of_ports(const struct host_pci_dev *bridge, const struct host_pci_bar *b)
{
    uint32_t reg = host_pci_read(bridge, IO_BASE, 2);

    if ((reg & 1) && host_pci_read(bridge, IO_UPPER, 4)) /* beyond 64 KiB */
        return false;
    return (reg & 0xf0) << 8 <= b->base && b->base + b->len - 1 <= ((reg & 0xf000) | 0xfff);
}

static bool window_has_others_ports(uint32_t i, const struct host_pci_bar *b)
{
    const struct host_pci_dev *d = topology_dev(i);

    for (unsigned k = 0; d->header == 0 && k < BARS; k++) {
        uint32_t low = host_pci_read(d, BAR0 + 4 * k, 4);

        if ((low & BAR_IO) && (low & ~3u) && (low & ~3u) - b->base < b->len)
            return true;
        if (!(low & BAR_IO) && (low & BAR_KIND) == BAR_64)
            k++;
    }
    return false;
}

static bool window_ports_are_its_own(uint32_t i, const struct host_pci_bar *b)
{
    int16_t above = topology_at(i)->parent;

    if (window_is_the_machines(b) ||
        (above >= 0 && !window_of_ports(topology_dev((uint32_t)above), b)))
        return false;
    for (uint32_t k = 0; k < topology_count(); k++)
        if (k != i && window_has_others_ports(k, b))
            return false;
    return true;
}

/* ---- memory ---- */

/* Another function's memory begins in it. */
static bool window_has_another(uint32_t i, const struct host_pci_bar *b)
{
    const struct host_pci_dev *d = topology_dev(i);

    for (unsigned k = 0; d->header == 0 && k < BARS; k++) {
        uint32_t low = host_pci_read(d, BAR0 + 4 * k, 4);
        bool wide = !(low & BAR_IO) && (low & BAR_KIND) == BAR_64 && k + 1 < BARS;
        uint64_t base = low & ~15u;

        if (wide)
            base |= (uint64_t)host_pci_read(d, BAR0 + 4 * ++k, 4) << 32;
        if (!(low & BAR_IO) && base && base - b->base < b->len)
            return true;
    }
    return false;
}

bool host_pci_bar_is_its_own(uint32_t i, const struct host_pci_bar *b)
{
    int16_t above = topology_at(i)->parent;

    assert_cpu0();
    if (!b->base || !b->len || b->base + b->len - 1 < b->base)
        return false;
    if (b->io)
        return window_ports_are_its_own(i, b);
    if (mmu_is_memory(hpa(b->base), b->len))
        return false;
    if (above >= 0 && !window_of_bridge(topology_dev((uint32_t)above), b))
        return false;
    if (vfs_claim(i, b))
        return false;
    for (uint32_t k = 0; k < topology_count(); k++)
        if (k != i && window_has_another(k, b))
            return false;
    return true;
}
