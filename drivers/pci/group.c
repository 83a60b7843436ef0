/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * group.c: which functions cannot be kept apart. Each rule names a set of functions and the one
 * that makes it so; sets that touch become one group. PCIe §6.12 says what a port or a function
 * may pass on to its neighbours without asking the root complex, and thus the IOMMU.
 */
#include <hv/assert.h>
#include <string.h>
#include "topology.h"

struct group_set {
    bool in[HOST_PCI_MAX];
};

static struct topology_join joins[HOST_PCI_MAX];
static uint32_t njoins;

const struct topology_join *host_topology_join(uint32_t i) { return i < njoins ? &joins[i] : NULL; }

static void group_relabel(uint16_t from, uint16_t to)
{
    for (uint32_t i = 0; i < topology_count(); i++)
        if (topology_at(i)->group == from)
            topology_at(i)->group = to;
}

static void group_unite(uint32_t a, uint32_t b)
{
    uint16_t x = topology_at(a)->group, y = topology_at(b)->group;

    if (x != y)
        group_relabel(x < y ? y : x, x < y ? x : y);
}

/* A set of which at most one is no bridge needs no reason: nobody wants the others. */
static void group_join(const struct group_set *s, uint32_t culprit, enum topology_why why)
{
    uint32_t first = UINT32_MAX, wanted = 0;

    for (uint32_t i = 0; i < topology_count(); i++) {
        if (!s->in[i])
            continue;
        first = first == UINT32_MAX ? i : first;
        wanted += !topology_at(i)->is_bridge;
        group_unite(first, i);
    }
    if (wanted > 1 && njoins < ARRAY_SIZE(joins))
        joins[njoins++] = (struct topology_join){ .group = (uint16_t)first,
                                                  .culprit = (uint16_t)culprit,
                                                  .why = (uint8_t)why };
}

/* ---- the rules ---- */

bool topology_isolates(uint32_t i)
{
    const struct host_topology *t = topology_at(i);

    /* Switches must have all of it. Others leave out what they never pass on (§6.12.1). */
    return t->type == TOPOLOGY_DOWNSTREAM_PORT ? t->acs == TOPOLOGY_ACS_ISOLATES
                                               : t->has_acs && !t->acs_lacks;
}

static bool group_same_bus(uint32_t a, uint32_t b)
{
    return topology_dev(a)->segment == topology_dev(b)->segment &&
           topology_dev(a)->bus == topology_dev(b)->bus;
}

/* A port leads to one device, whose functions may have any number (ARI, PCIe §6.13). */
static bool group_one_device(uint32_t i)
{
    int16_t p = topology_at(i)->parent;
    uint8_t above = p < 0 ? TOPOLOGY_CONVENTIONAL : topology_at((uint32_t)p)->type;

    return topology_at(i)->express &&
           (above == TOPOLOGY_ROOT_PORT || above == TOPOLOGY_DOWNSTREAM_PORT);
}

bool topology_same_device(uint32_t a, uint32_t b)
{
    return group_same_bus(a, b) && topology_at(a)->physical < 0 && topology_at(b)->physical < 0 &&
           (topology_dev(a)->devfn >> 3 == topology_dev(b)->devfn >> 3 ||
            (group_one_device(a) && group_one_device(b)));
}

static bool group_in_switch(uint32_t a, uint32_t b)
{
    return group_same_bus(a, b) && topology_at(b)->physical < 0;
}

/* What is `like` the culprit, and all below that. */
static void group_with_below(struct group_set *s, uint32_t culprit,
                             bool (*like)(uint32_t, uint32_t))
{
    memset(s, 0, sizeof *s);
    for (uint32_t i = 0; i < topology_count(); i++)
        for (int32_t p = (int32_t)i; p >= 0 && !s->in[i]; p = topology_at((uint32_t)p)->parent)
            s->in[i] = like(culprit, (uint32_t)p);
}

static void group_below(struct group_set *s, uint32_t bridge)
{
    memset(s, 0, sizeof *s);
    for (uint32_t i = 0; i < topology_count(); i++)
        s->in[i] = topology_below(i, bridge);
}

static bool group_has_sibling(uint32_t i)
{
    for (uint32_t k = 0; k < topology_count(); k++)
        if (k != i && topology_same_device(i, k))
            return true;
    return false;
}

static bool group_claims_same(uint32_t a, uint32_t b)
{
    const struct host_topology *x = topology_at(a), *y = topology_at(b);

    return x->is_bridge && y->is_bridge && x->secondary && x->secondary == y->secondary &&
           topology_dev(a)->segment == topology_dev(b)->segment;
}

static bool group_claimed_twice(uint32_t i)
{
    for (uint32_t k = 0; k < i; k++)
        if (group_claims_same(i, k))
            return true;
    return false;
}

static void group_rules(uint32_t i)
{
    const struct host_topology *t = topology_at(i);
    static struct group_set s;

    if (topology_hides(i)) {
        group_below(&s, i);
        s.in[i] = true;
        group_join(&s, i, TOPOLOGY_SAME_REQUESTER);
    }
    if (t->type == TOPOLOGY_DOWNSTREAM_PORT && !topology_isolates(i)) {
        group_with_below(&s, i, group_in_switch);
        group_join(&s, i, TOPOLOGY_NO_ACS_SWITCH);
    } else if (t->physical < 0 && !topology_isolates(i) && group_has_sibling(i)) {
        group_with_below(&s, i, topology_same_device);
        group_join(&s, i, TOPOLOGY_FUNCTIONS);
    }
    if (t->type == TOPOLOGY_ROOT_PORT && !topology_isolates(i)) {
        group_below(&s, i);
        group_join(&s, i, TOPOLOGY_NO_ACS_ROOT);
    }
    if (group_claimed_twice(i)) {
        group_with_below(&s, i, group_claims_same);
        group_join(&s, i, TOPOLOGY_CLAIMED_TWICE);
    }
}

void topology_group_all(void)
{
    njoins = 0;
    for (uint32_t i = 0; i < topology_count(); i++)
        topology_at(i)->group = (uint16_t)i;
    for (uint32_t i = 0; i < topology_count(); i++)
        group_rules(i);
    for (uint32_t i = 0; i < njoins; i++)
        joins[i].group = topology_at(joins[i].group)->group;
}
