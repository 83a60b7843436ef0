/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's PCI functions, as a test makes them up: a configuration space of 4 KiB for each. */
#pragma once
#include <string.h>
#include <hv/host_topology.h>

#define PCI_MACHINE_MOST 24
static struct host_pci_dev machine_dev[PCI_MACHINE_MOST];
static uint8_t machine_cfg[PCI_MACHINE_MOST][4096];
static uint32_t machine_count, machine_reads;
/* What a write does besides, if anything. */
static void (*machine_wrote)(uint32_t i, uint32_t off);
/* A virtual function that does not answer; others that are not listed yet read as zero. */
static int machine_deaf = -1;

const struct host_pci_dev *host_pci_devs(uint32_t *count)
{
    *count = machine_count;
    return machine_dev;
}

uint32_t host_pci_read(const struct host_pci_dev *d, uint32_t off, unsigned size)
{
    uint32_t v = 0;

    machine_reads++;
    if (off >= 4096 || (off & (size - 1)))
        return 0xffffffffu >> (32 - 8 * size);
    if (d >= machine_dev && d < machine_dev + PCI_MACHINE_MOST)
        memcpy(&v, machine_cfg[d - machine_dev] + off, size);
    else if (d->vf == machine_deaf)
        v = 0xffffffffu >> (32 - 8 * size);
    return v;
}

void host_pci_write(const struct host_pci_dev *d, uint32_t off, unsigned size, uint32_t val)
{
    if (off < 4096 && !(off & (size - 1)))
        memcpy(machine_cfg[d - machine_dev] + off, &val, size);
    if (machine_wrote)
        machine_wrote((uint32_t)(d - machine_dev), off);
}

static inline void machine_set(uint32_t i, uint32_t off, unsigned size, uint32_t v)
{
    memcpy(machine_cfg[i] + off, &v, size);
}

/* A function "bus:dev.fn", conventional. Returns its index. */
static inline uint32_t machine_add(unsigned bus, unsigned dev, unsigned fn, uint32_t class)
{
    uint32_t i = machine_count++;

    memset(machine_cfg[i], 0, sizeof machine_cfg[i]);
    machine_dev[i] = (struct host_pci_dev){ .vendor = 0x1b36,
                                            .device = 0x10,
                                            .bus = (uint8_t)bus,
                                            .devfn = (uint8_t)(dev << 3 | fn),
                                            .class = (uint8_t)(class >> 16),
                                            .subclass = (uint8_t)(class >> 8),
                                            .prog_if = (uint8_t) class };
    return i;
}

/* Capabilities: PCI Express at 0x40 of that type; access control at 0x100. */
static inline void machine_express(uint32_t i, unsigned type, bool flr)
{
    machine_set(i, 6, 2, 0x10);
    machine_set(i, 0x34, 1, 0x40);
    machine_set(i, 0x40, 4, 0x10 | (type << 4 | 2) << 16);
    machine_set(i, 0x44, 4, flr ? 1u << 28 : 0);
}

static inline void machine_acs(uint32_t i, unsigned bits)
{
    machine_set(i, 0x100, 4, 0x0d | 1 << 16);
    machine_set(i, 0x104, 4, bits);
}

static inline uint32_t machine_endpoint(unsigned bus, unsigned dev, unsigned fn, uint32_t class)
{
    uint32_t i = machine_add(bus, dev, fn, class);

    machine_express(i, TOPOLOGY_ENDPOINT, true);
    return i;
}

/* type TOPOLOGY_CONVENTIONAL: no PCI Express capability */
static inline uint32_t machine_bridge(unsigned bus, unsigned dev, unsigned fn, unsigned type,
                                      unsigned secondary, unsigned subordinate)
{
    uint32_t i = machine_add(bus, dev, fn, 0x060400);

    machine_dev[i].header = 1;
    machine_set(i, 0x0e, 1, 1);
    machine_set(i, 0x19, 1, secondary);
    machine_set(i, 0x1a, 1, subordinate);
    if (type != TOPOLOGY_CONVENTIONAL)
        machine_express(i, type, false);
    return i;
}
