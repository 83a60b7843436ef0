/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * topology.c: what the host's PCI functions say of their place: bridges and the buses behind them,
 * kinds of ports, access control, resets, virtual functions. See <hv/host_topology.h>.
 */
#include <hv/assert.h>
#include <hv/pci_select.h>
#include <stdio.h>
#include <string.h>
#include "topology.h"

enum { CFG_HEADER = 0x0e, CFG_SECONDARY = 0x19, CFG_SUBORDINATE = 0x1a, HEADER_MULTI = 0x80 };
enum { CLASS_BRIDGE = 6 };
/* PCIe §7.5.3 */
enum { CAP_POWER = 1, CAP_AF = 0x13, EXPRESS_FLAGS = 2, EXPRESS_DEVCAP = 4 };
#define DEVCAP_FLR (1u << 28)
/* Power Management 1.2 §3.2.4; AF ECN §6.x.2 */
enum { POWER_CONTROL = 4, POWER_NO_RESET = 1 << 3, AF_CAP = 3, AF_NEEDED = 3 };
/* PCIe §7.6.3, §7.7.8 */
enum { EXT_FIRST = 0x100, EXT_MOST = (4096 - 256) / 8 };
enum { ACS_CAP = 4, ACS_CONTROL = 6 };

static struct host_topology all[HOST_PCI_MAX];
static uint32_t nall;

uint32_t topology_count(void) { return nall; }

const struct host_topology *host_topology_of(uint32_t i)
{
    hv_assert(i < nall);
    return &all[i];
}

struct host_topology *topology_at(uint32_t i)
{
    hv_assert(i < nall);
    return &all[i];
}

const struct host_pci_dev *topology_dev(uint32_t i)
{
    uint32_t n;
    const struct host_pci_dev *d = host_pci_devs(&n);

    hv_assert(i < n);
    return &d[i];
}

uint16_t topology_rid(uint32_t i)
{
    return (uint16_t)(topology_dev(i)->bus << 8 | topology_dev(i)->devfn);
}

const char *host_pci_name(const struct host_pci_dev *d, char name[TOPOLOGY_NAME])
{
    snprintf(name, TOPOLOGY_NAME, "%04x:%02x:%02x.%u", d->segment, d->bus, d->devfn >> 3,
             d->devfn & 7u);
    return name;
}

int host_pci_find(const char *name, uint32_t *i)
{
    struct pci_select a;

    if (pci_select_parse(name, &a) || a.kind != PCI_SELECT_ADDRESS)
        return -EINVAL;
    for (*i = 0; *i < nall; (*i)++) {
        const struct host_pci_dev *d = topology_dev(*i);

        if (d->segment == a.segment && d->bus == a.bus && d->devfn == a.devfn)
            return 0;
    }
    return -ENODEV;
}

uint32_t host_pci_ext_cap(const struct host_pci_dev *d, uint16_t id)
{
    uint32_t at = EXT_FIRST;

    for (unsigned i = 0; i < EXT_MOST && at >= EXT_FIRST; i++) {
        uint32_t head = host_pci_read(d, at, 4);

        if (head == 0 || head == UINT32_MAX)
            return 0;
        if ((head & 0xffff) == id)
            return at;
        at = head >> 20 & ~3u;
    }
    return 0;
}

/* ---- one function ---- */

static uint8_t topology_resets(const struct host_pci_dev *d, const struct host_topology *t)
{
    uint32_t power = host_pci_cap(d, CAP_POWER), af = host_pci_cap(d, CAP_AF);
    uint8_t resets = 0;

    if (t->express && host_pci_read(d, t->express + EXPRESS_DEVCAP, 4) & DEVCAP_FLR)
        resets |= TOPOLOGY_RESET_FLR;
    if (af && (host_pci_read(d, af + AF_CAP, 1) & AF_NEEDED) == AF_NEEDED)
        resets |= TOPOLOGY_RESET_AF_FLR;
    if (power && !(host_pci_read(d, power + POWER_CONTROL, 2) & POWER_NO_RESET))
        resets |= TOPOLOGY_RESET_PM;
    return resets;
}

/* Turns on what isolates, and believes what can be read back. */
static void topology_acs_on(const struct host_pci_dev *d, struct host_topology *t)
{
    uint32_t at = t->express ? host_pci_ext_cap(d, HOST_PCI_EXT_ACS) : 0, can, is;

    if (!at)
        return;
    can = host_pci_read(d, at + ACS_CAP, 2) & TOPOLOGY_ACS_ISOLATES;
    is = host_pci_read(d, at + ACS_CONTROL, 2);
    if ((is & can) != can)
        host_pci_write(d, at + ACS_CONTROL, 2, is | can);
    t->has_acs = true;
    t->acs = (uint16_t)(can & host_pci_read(d, at + ACS_CONTROL, 2));
    t->acs_lacks = (uint16_t)(can & ~t->acs);
}

static uint8_t topology_kind(const struct host_pci_dev *d, const struct host_topology *t)
{
    uint8_t type = t->express ? host_pci_read(d, t->express + EXPRESS_FLAGS, 2) >> 4 & 15
                              : TOPOLOGY_CONVENTIONAL;
    bool port = type >= TOPOLOGY_ROOT_PORT && type <= TOPOLOGY_FROM_PCI;

    /* a bridge that says it is none isolates nothing; nothing is behind what is no bridge */
    if (t->is_bridge)
        return port ? type : TOPOLOGY_CONVENTIONAL;
    return port ? TOPOLOGY_ENDPOINT : type;
}

static void topology_read(uint32_t i)
{
    const struct host_pci_dev *d = topology_dev(i);
    struct host_topology *t = &all[i];
    uint32_t vfs;

    *t = (struct host_topology){ .parent = TOPOLOGY_NONE, .physical = TOPOLOGY_NONE };
    t->is_bridge = d->header != 0;
    t->use = t->is_bridge || d->class == CLASS_BRIDGE ? TOPOLOGY_BRIDGE : TOPOLOGY_FREE;
    t->multi = host_pci_read(d, CFG_HEADER, 1) & HEADER_MULTI;
    t->express = (uint16_t)host_pci_cap(d, HOST_PCI_CAP_EXPRESS);
    t->type = topology_kind(d, t);
    t->resets = topology_resets(d, t);
    topology_acs_on(d, t);
    if (t->is_bridge) {
        t->secondary = (uint8_t)host_pci_read(d, CFG_SECONDARY, 1);
        t->subordinate = (uint8_t)host_pci_read(d, CFG_SUBORDINATE, 1);
    }
    vfs = t->express && !t->is_bridge && !d->physical ? host_pci_ext_cap(d, HOST_PCI_EXT_SRIOV) : 0;
    t->vfs = vfs ? (uint16_t)host_pci_read(d, vfs + HOST_PCI_VF_TOTAL, 2) : 0;
    t->vf_cap = (uint16_t)vfs;
}

/* ---- their places ---- */

static bool topology_leads_to(uint32_t bridge, const struct host_pci_dev *d)
{
    const struct host_topology *t = &all[bridge];

    return t->is_bridge && topology_dev(bridge)->segment == d->segment &&
           t->secondary > topology_dev(bridge)->bus && t->secondary <= d->bus &&
           d->bus <= t->subordinate;
}

/* The innermost bridge that leads to its bus: that one's own bus has a lower number, always. */
static int16_t topology_above(uint32_t i)
{
    int16_t best = TOPOLOGY_NONE;

    for (uint32_t b = 0; b < nall; b++)
        if (topology_leads_to(b, topology_dev(i)) &&
            (best < 0 || all[b].secondary > all[best].secondary))
            best = (int16_t)b;
    return best;
}

static int16_t topology_physical(uint32_t i)
{
    const struct host_pci_dev *d = topology_dev(i);

    return d->physical ? (int16_t)(d->physical - topology_dev(0)) : TOPOLOGY_NONE;
}

/* What the IOMMU takes its requests for: the outermost conventional bridge hides all behind it. */
static uint16_t topology_alias(uint32_t i)
{
    uint16_t alias = topology_rid(i);

    for (int16_t p = all[i].parent; p >= 0; p = all[p].parent)
        if (topology_hides((uint32_t)p))
            alias = all[p].type == TOPOLOGY_TO_PCI ? (uint16_t)(all[p].secondary << 8)
                                                   : topology_rid((uint32_t)p);
    return alias;
}

bool topology_hides(uint32_t i)
{
    const struct host_topology *t = &all[i];

    return t->is_bridge && (t->type == TOPOLOGY_TO_PCI || t->type == TOPOLOGY_FROM_PCI ||
                            t->type == TOPOLOGY_CONVENTIONAL);
}

bool topology_below(uint32_t i, uint32_t bridge)
{
    for (int16_t p = all[i].parent; p >= 0; p = all[p].parent)
        if ((uint32_t)p == bridge)
            return true;
    return false;
}

void host_topology_init(void)
{
    (void)host_pci_devs(&nall);
    for (uint32_t i = 0; i < nall; i++)
        topology_read(i);
    for (uint32_t i = 0; i < nall; i++) {
        all[i].physical = topology_physical(i);
        all[i].parent = topology_above(i);
        all[i].resets |= all[i].parent >= 0 ? TOPOLOGY_RESET_BUS : 0;
    }
    for (uint32_t i = 0; i < nall; i++)
        all[i].alias = topology_alias(i);
    topology_group_all();
    topology_keep_all();
}

/* ---- who has it ---- */

static struct host_topology *topology_of_dev(const struct host_pci_dev *d)
{
    uint32_t n;
    const struct host_pci_dev *first = host_pci_devs(&n);

    return d >= first && d < first + nall ? &all[d - first] : NULL;
}

bool host_topology_is_kept(const struct host_pci_dev *d)
{
    const struct host_topology *t = topology_of_dev(d);

    return t && t->use == TOPOLOGY_GUEST;
}

void host_topology_set_driver(const struct host_pci_dev *d, const char *driver)
{
    struct host_topology *t = topology_of_dev(d);

    assert_cpu0();
    if (!t)
        return;
    t->driver = driver;
    t->use = TOPOLOGY_TRIVET;
}

void host_topology_set_owner(uint32_t i, const char *guest)
{
    assert_cpu0();
    hv_assert(i < nall && all[i].use != TOPOLOGY_BRIDGE && all[i].use != TOPOLOGY_TRIVET);
    snprintf(all[i].owner, sizeof all[i].owner, "%s", guest);
    all[i].use = guest[0] ? TOPOLOGY_GUEST : TOPOLOGY_FREE;
}
