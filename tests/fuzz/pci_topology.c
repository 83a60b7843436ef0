/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's PCI functions as the input makes them up: places, kinds, lists of capabilities. Then
 * every group is one, what a bridge hides is in one group, and whatever is said ends. Some of them
 * have virtual functions, which are turned on: all of these have places and memory of their own, or
 * there are none.
 */
#include <arch/cpu.h>
#include <arch/mmu.h>
#include <hv/time.h>
#include <stdint.h>
#include <stdlib.h>
#include "../unit/pci_machine.h"
#include "drivers/pci/topology.h"

enum { FUNCTION = 8, WRITE = 4, VFS_AT = 0x200, VFS_END = VFS_AT + 0x40 };
static struct {
    bool stubborn; /* the number of its virtual functions cannot be changed */
    uint16_t count;
    uint8_t order; /* of the size of each BAR of them */
} vf_of[PCI_MACHINE_MOST];
static uint64_t now;

uint64_t time_ns(void) { return now; }
void cpu_relax(void) { now += 10000000; }

bool mmu_is_memory(hpa_t at, uint64_t len) { return at.v < 0x80000000 || len > 0x100000000; }

int pci_reach(struct host_pci_dev *d) { return d->bus > 100 ? -ENOSPC : 0; }

int pci_add(const struct host_pci_dev *d)
{
    if (!d->physical || machine_count == PCI_MACHINE_MOST)
        return -ENOSPC;
    machine_dev[machine_add(d->bus, d->devfn >> 3, d->devfn & 7, 0)] = *d;
    return 0;
}

/* BARs of virtual functions, 64 bits wide, and their number. */
static void wrote(uint32_t i, uint32_t off)
{
    uint64_t v, mask = ~((1ull << (vf_of[i].order & 63)) - 1);

    if (off == VFS_AT + HOST_PCI_VF_COUNT && vf_of[i].stubborn)
        machine_set(i, off, 2, vf_of[i].count);
    if (off < VFS_AT + HOST_PCI_VF_BAR || off >= VFS_AT + HOST_PCI_VF_BAR + 24)
        return;
    off -= (off - VFS_AT - HOST_PCI_VF_BAR) & 7;
    memcpy(&v, machine_cfg[i] + off, 8);
    v = (v & mask & ~15ull) | 4;
    memcpy(machine_cfg[i] + off, &v, 8);
}

/* What can be, before the input has its way with it. */
static void add_vf_cap(uint32_t i, const uint8_t *data)
{
    machine_set(i, 0x100, 4, (uint32_t)VFS_AT << 20 | 1 << 16 | HOST_PCI_EXT_ARI);
    machine_set(i, VFS_AT, 4, 1 << 16 | HOST_PCI_EXT_SRIOV);
    machine_set(i, VFS_AT + HOST_PCI_VF_INITIAL, 4, 0x00080008);
    machine_set(i, VFS_AT + HOST_PCI_VF_FIRST, 4, (data[4] & 15u) | 1u << 16);
    machine_set(i, VFS_AT + HOST_PCI_VF_PAGES, 4, 1);
    for (unsigned b = 0; b < 3; b++)
        machine_set(i, VFS_AT + HOST_PCI_VF_BAR + 8 * b, 4, 0x90000004 + (b << 24));
    vf_of[i].order = data[3];
    vf_of[i].stubborn = data[6] & 4;
    vf_of[i].count = data[6] >> 3;
}

static void say(void *ctx, const char *about, const char *text)
{
    unsigned *n = ctx;

    if (!about[0] || !text[0] || ++*n > 200)
        abort();
}

/* data[0..8): bus, devfn, kind, secondary, subordinate, class, flags, count of writes */
static size_t add(const uint8_t *data, size_t size)
{
    unsigned bus = data[0] & 7, dev = data[1] >> 3, fn = data[1] & 7, kind = data[2] & 15;
    uint32_t i = data[2] & 16 ? machine_bridge(bus, dev, fn, kind ? kind : TOPOLOGY_CONVENTIONAL,
                                               data[3] & 7, data[4])
                              : machine_endpoint(bus, dev, fn, (uint32_t)data[5] << 16);
    size_t at = FUNCTION;

    if (data[6] & 1)
        machine_acs(i, data[6]);
    if (data[6] & 2)
        add_vf_cap(i, data);
    for (unsigned n = data[7] & 15; n && at + WRITE <= size; n--, at += WRITE)
        machine_cfg[i][(data[at] | (unsigned)data[at + 1] << 8) & 0xfff] = data[at + 2];
    return at;
}

static void check(uint32_t i)
{
    const struct host_topology *t = host_topology_of(i);
    unsigned depth = 0, sentences = 0;
    char why[200];

    if (t->group > i || host_topology_of(t->group)->group != t->group)
        abort();
    for (int p = t->parent; p >= 0; p = host_topology_of((uint32_t)p)->parent) {
        const struct host_topology *b = host_topology_of((uint32_t)p);

        if (++depth > 8 || !b->is_bridge)
            abort();
        if ((b->type == TOPOLOGY_CONVENTIONAL || b->type == TOPOLOGY_TO_PCI) &&
            b->group != t->group)
            abort();
    }
    host_topology_explain(i, say, &sentences);
    if (host_topology_may_pass(i, "web", why, sizeof why) == 0 &&
        (t->is_bridge || host_pci_vfs(&machine_dev[i], NULL)))
        abort();
}

static bool vfs_meet(const struct host_pci_bar *a, const struct host_pci_bar *b)
{
    return a->base < b->base + b->len && b->base < a->base + a->len;
}

/* No other function is where it is, and no memory of another virtual function is its own. */
static void check_vf(uint32_t i)
{
    const struct host_pci_dev *d = &machine_dev[i];
    struct host_pci_bar a, b;

    if (host_topology_of(i)->physical < 0 || !host_pci_vfs(d->physical, NULL))
        abort();
    for (uint32_t k = 0; k < machine_count; k++) {
        if (k == i)
            continue;
        if (machine_dev[k].bus == d->bus && machine_dev[k].devfn == d->devfn)
            abort();
        for (unsigned n = 0; machine_dev[k].physical && n < 36; n++)
            if (!host_pci_bar(d, n / 6, &a) && !host_pci_bar(&machine_dev[k], n % 6, &b) &&
                vfs_meet(&a, &b))
                abort();
    }
    for (unsigned n = 0; n < 6; n++)
        if (!host_pci_bar(d, n, &a) && (a.base < 0x80000000 || a.len < 4096 ||
                                        a.base + a.len < a.base || !host_pci_bar_is_its_own(i, &a)))
            abort();
}

static void turn_on(void)
{
    uint64_t from = now;
    struct pci_select s;

    if (pci_select_parse("1b36:0010", &s))
        abort();
    for (unsigned n = 0; n < HOST_PCI_VFS_MOST; n++)
        (void)!host_pci_want_vfs(&s, (uint16_t)(1 + n % 3), "1b36:0010"); /* once for all inputs */
    if (vfs_all())
        host_topology_init();
    if (now - from > HOST_PCI_VFS_MOST * 3000000000ull)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    machine_count = 0;
    machine_reads = 0;
    machine_wrote = NULL;
    memset(machine_dev, 0, sizeof machine_dev);
    while (size >= FUNCTION && machine_count < PCI_MACHINE_MOST) {
        size_t n = add(data, size);

        data += n;
        size -= n;
    }
    host_topology_init();
    if (machine_reads > 20000)
        abort();
    machine_wrote = wrote;
    turn_on();
    for (uint32_t i = 0; i < machine_count; i++) {
        check(i);
        if (machine_dev[i].physical)
            check_vf(i);
    }
    return 0;
}
