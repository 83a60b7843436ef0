/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's PCI functions as the input makes them up: places, kinds, lists of capabilities. Then
 * every group is one, what a bridge hides is in one group, and whatever is said ends.
 */
#include <stdint.h>
#include <stdlib.h>
#include "../unit/pci_machine.h"

enum { FUNCTION = 8, WRITE = 4 };

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
    if (host_topology_may_pass(i, "web", why, sizeof why) == 0 && t->is_bridge)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    machine_count = 0;
    machine_reads = 0;
    while (size >= FUNCTION && machine_count < PCI_MACHINE_MOST) {
        size_t n = add(data, size);

        data += n;
        size -= n;
    }
    host_topology_init();
    if (machine_reads > 20000)
        abort();
    for (uint32_t i = 0; i < machine_count; i++)
        check(i);
    return 0;
}
