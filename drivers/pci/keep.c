/* SPDX-License-Identifier: BSD-2-Clause */
/* keep.c: functions that trivet.conf gives to guests, kept from Trivet's own drivers. */
#include <hv/assert.h>
#include <stdio.h>
#include <string.h>
#include "topology.h"

static struct keep {
    struct pci_select select;
    char guest[TOPOLOGY_OWNER];
    int16_t function; /* TOPOLOGY_NONE: there is none, or none is free */
} keeps[HOST_PCI_KEEP_MOST];
static uint32_t nkeeps;

int host_pci_keep(const struct pci_select *s, const char *guest)
{
    struct keep *k = &keeps[nkeeps];

    if (nkeeps == ARRAY_SIZE(keeps))
        return -ENOSPC;
    k->select = *s;
    k->function = TOPOLOGY_NONE;
    snprintf(k->guest, sizeof k->guest, "%s", guest);
    nkeeps++;
    return 0;
}

bool pci_selects(const struct pci_select *s, const struct host_pci_dev *d)
{
    uint32_t class = (uint32_t)d->class << 16 | (uint32_t)d->subclass << 8 | d->prog_if;

    switch (s->kind) {
    case PCI_SELECT_ADDRESS:
        return d->segment == s->segment && d->bus == s->bus && d->devfn == s->devfn;
    case PCI_SELECT_ID: return d->vendor == s->vendor && d->device == s->device;
    case PCI_SELECT_CLASS: return (class & s->class_mask) == s->class;
    }
    return false;
}

int host_pci_select_exists(const struct pci_select *s)
{
    for (uint32_t i = 0; i < topology_count(); i++)
        if (pci_selects(s, topology_dev(i)))
            return 0;
    return -ENOENT;
}

/* Whoever asks for any of a kind does not mean the one that others' virtual functions are of. */
static bool keep_serves(const struct keep *k, uint32_t i)
{
    return k->select.kind == PCI_SELECT_ADDRESS || !host_pci_vfs(topology_dev(i), NULL);
}

static void keep_one(struct keep *k)
{
    for (uint32_t i = 0; i < topology_count(); i++)
        if (topology_at(i)->use == TOPOLOGY_FREE && pci_selects(&k->select, topology_dev(i)) &&
            keep_serves(k, i)) {
            k->function = (int16_t)i;
            host_topology_set_owner(i, k->guest);
            return;
        }
}

/* Addresses first: what a class takes is not what somebody named. */
void topology_keep_all(void)
{
    for (uint32_t i = 0; i < nkeeps; i++)
        keeps[i].function = TOPOLOGY_NONE;
    for (unsigned kind = PCI_SELECT_ADDRESS; kind <= PCI_SELECT_CLASS; kind++)
        for (uint32_t i = 0; i < nkeeps; i++)
            if (keeps[i].select.kind == kind)
                keep_one(&keeps[i]);
}

int host_pci_kept(const char *guest, uint32_t n, const struct pci_select *s, uint32_t *i)
{
    for (uint32_t k = 0; k < nkeeps; k++)
        if (strncmp(keeps[k].guest, guest, TOPOLOGY_OWNER) == 0 && n-- == 0) {
            if (keeps[k].function < 0 || !pci_selects(s, topology_dev((uint32_t)keeps[k].function)))
                return -ENOENT;
            *i = (uint32_t)keeps[k].function;
            return 0;
        }
    return -ENOENT;
}
