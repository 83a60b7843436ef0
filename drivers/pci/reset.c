/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reset.c: brings a function to its initial state, by the best way that it has, and gives it back
 * what the firmware had assigned. In steps: between them time has to pass. "PCIe" as in
 * <hv/host_topology.h>; PM: PCI Bus Power Management Interface Specification 1.2.
 */
#include <hv/assert.h>
#include <hv/log.h>
#include "topology.h"

enum {
    CFG_COMMAND = 4,
    CFG_CLASS = 8,
    CFG_CACHE_LINE = 0x0c,
    CFG_LATENCY = 0x0d,
    CFG_BAR0 = 0x10,
    CFG_LINE = 0x3c
};
enum { BARS = 6 };
/* PCIe §7.5.3.4; PM §3.2.4; AF ECN; PCI-to-PCI Bridge Architecture 1.2 §3.2.5.18 */
enum { EXPRESS_CONTROL = 8, EXPRESS_FLR = 1 << 15, CAP_POWER = 1, CAP_AF = 0x13 };
enum { POWER_CONTROL = 4, POWER_STATE = 3, AF_CONTROL = 4, AF_FLR = 1 };
enum { BRIDGE_CONTROL = 0x3e, BRIDGE_RESET = 1 << 6 };
#define MS 1000000ull /* ns */
/* PCIe §6.6.1, §6.6.2: after 100 ms it answers; twice that for those that take their time */
#define SETTLE (100 * MS)
enum { STEPS_MOST = 12 };

static void reset_save(const struct host_pci_dev *d, struct host_pci_reset *r)
{
    for (unsigned i = 0; i < BARS; i++)
        r->bar[i] = host_pci_read(d, CFG_BAR0 + 4 * i, 4);
    r->cache_line = (uint8_t)host_pci_read(d, CFG_CACHE_LINE, 1);
    r->latency = (uint8_t)host_pci_read(d, CFG_LATENCY, 1);
    r->line = (uint8_t)host_pci_read(d, CFG_LINE, 1);
    r->express = (uint16_t)host_pci_cap(d, HOST_PCI_CAP_EXPRESS);
    if (r->express)
        r->control = host_pci_read(d, r->express + EXPRESS_CONTROL, 2) & (EXPRESS_FLR - 1);
}

static void reset_restore(const struct host_pci_dev *d, const struct host_pci_reset *r)
{
    for (unsigned i = 0; i < BARS; i++)
        host_pci_write(d, CFG_BAR0 + 4 * i, 4, r->bar[i]);
    host_pci_write(d, CFG_CACHE_LINE, 1, r->cache_line);
    host_pci_write(d, CFG_LATENCY, 1, r->latency);
    host_pci_write(d, CFG_LINE, 1, r->line);
    if (r->express)
        host_pci_write(d, r->express + EXPRESS_CONTROL, 2, r->control);
}

static void reset_power(const struct host_pci_dev *d, unsigned state)
{
    uint32_t at = host_pci_cap(d, CAP_POWER) + POWER_CONTROL;

    host_pci_write(d, at, 2, (host_pci_read(d, at, 2) & ~(uint32_t)POWER_STATE) | state);
}

/*
 * A function that the firmware left asleep wakes up; ns until it may be asked for something else
 * (PM §5.6.1). What it forgets by that was saved.
 */
static uint64_t reset_wake(const struct host_pci_dev *d)
{
    uint32_t at = host_pci_cap(d, CAP_POWER);

    if (!at || !(host_pci_read(d, at + POWER_CONTROL, 2) & POWER_STATE))
        return 0;
    reset_power(d, 0);
    return 10 * MS;
}

static void reset_bus(int16_t bridge, bool on)
{
    const struct host_pci_dev *b = topology_dev((uint32_t)bridge);
    uint32_t was = host_pci_read(b, BRIDGE_CONTROL, 2);

    host_pci_write(b, BRIDGE_CONTROL, 2, on ? was | BRIDGE_RESET : was & ~(uint32_t)BRIDGE_RESET);
}

/* Nothing but it would be reset. */
static bool reset_bus_is_its_own(uint32_t i)
{
    int16_t above = topology_at(i)->parent;

    for (uint32_t k = 0; k < topology_count(); k++)
        if (k != i && above >= 0 && topology_below(k, (uint32_t)above))
            return false;
    return above >= 0;
}

enum topology_reset host_pci_reset_kind(uint32_t i)
{
    uint8_t has = topology_at(i)->resets;

    if (!reset_bus_is_its_own(i))
        has &= (uint8_t)~TOPOLOGY_RESET_BUS;
    /* the lowest bit is the best */
    return has & (uint8_t)-has;
}

/* Begins or goes on; ns until the next step. */
static uint64_t reset_act(uint32_t i, const struct host_pci_dev *d, struct host_pci_reset *r)
{
    bool first = r->step == 2; /* the step after the one that saved */

    switch (r->kind) {
    case TOPOLOGY_RESET_FLR:
        host_pci_write(d, r->express + EXPRESS_CONTROL, 2, r->control | EXPRESS_FLR);
        return SETTLE;
    case TOPOLOGY_RESET_AF_FLR:
        host_pci_write(d, host_pci_cap(d, CAP_AF) + AF_CONTROL, 1, AF_FLR);
        return SETTLE;
    case TOPOLOGY_RESET_PM: reset_power(d, first ? POWER_STATE : 0); return 20 * MS;
    case TOPOLOGY_RESET_BUS:
        reset_bus(topology_at(i)->parent, first);
        return first ? 2 * MS : 2 * SETTLE;
    }
    return 0;
}

/*
 * Saved once, before the first owner: a device whose BARs can be written by another way than its
 * configuration space would else keep the places that an owner gave them.
 */
static int reset_begin(const struct host_pci_dev *d, struct host_pci_reset *r)
{
    if (!r->saved)
        reset_save(d, r);
    r->saved = true;
    if (r->kind)
        return -EINPROGRESS;
    host_pci_command(d, 0, HOST_PCI_IO | HOST_PCI_MEMORY);
    reset_restore(d, r);
    return -ENOTSUP;
}

int host_pci_reset_step(uint32_t i, struct host_pci_reset *r, uint64_t *wait)
{
    const struct host_pci_dev *d = topology_dev(i);
    bool twice;
    int err;

    assert_cpu0();
    if (r->step++ == 0) {
        r->kind = host_pci_reset_kind(i);
        host_pci_command(d, HOST_PCI_NO_INTX, HOST_PCI_MASTER);
        *wait = 0;
        err = reset_begin(d, r);
        if (err == -EINPROGRESS)
            *wait = reset_wake(d);
        return err;
    }
    twice = r->kind == TOPOLOGY_RESET_PM || r->kind == TOPOLOGY_RESET_BUS;
    if (r->step <= 2 + (unsigned)twice) {
        *wait = reset_act(i, d, r);
        return -EINPROGRESS;
    }
    /* a virtual function names no vendor: its class is looked at (PCIe §9.3.4.1) */
    if (host_pci_read(d, d->physical ? CFG_CLASS : 0, 4) == UINT32_MAX) {
        *wait = SETTLE;
        return r->step < STEPS_MOST ? -EINPROGRESS : -EIO;
    }
    reset_restore(d, r);
    host_pci_command(d, HOST_PCI_NO_INTX, HOST_PCI_MASTER);
    return 0;
}
