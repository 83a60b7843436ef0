/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The buddy allocator under any order of calls on two CPUs: blocks are aligned, inside the memory,
 * never handed out twice, and all comes back.
 */
#include <hv/percpu.h>
#include <hv/pmm.h>
#include <stdlib.h>
#include <string.h>

#include "arch/host/host.h"

#define RAM (64 * MIB)
#define LIVE 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    uint64_t pa;
    unsigned order;
} live[LIVE];
static unsigned nlive;
static uint64_t lowest = UINT64_MAX;

static void take(unsigned order)
{
    uint64_t pa = pmm_alloc(order, PMM_HV).v, len = PAGE_SIZE << order;

    if (!pa)
        return;
    if (pa & (len - 1) || (lowest != UINT64_MAX && !range_within(pa, len, lowest, RAM)))
        abort();
    for (unsigned i = 0; i < nlive; i++)
        if (pa < live[i].pa + (PAGE_SIZE << live[i].order) && live[i].pa < pa + len)
            abort();
    memset((void *)pa, 0xa5, PAGE_SIZE);
    live[nlive].order = order;
    live[nlive++].pa = pa;
}

static void give(unsigned i)
{
    pmm_free(hpa(live[i].pa), live[i].order, PMM_HV);
    live[i] = live[--nlive];
}

static uint64_t free_bytes(void)
{
    struct pmm_stats s;

    pmm_stats(&s);
    return s.free;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint64_t all;

    if (!all) {
        host_init(2, RAM);
        all = free_bytes();
    }
    for (; size >= 2; data += 2, size -= 2) {
        host_cpu = data[0] >> 7;
        if (data[0] & 1 && nlive < LIVE)
            take((data[0] >> 1) % 15);
        else if (nlive)
            give(data[1] % nlive);
    }
    while (nlive)
        give(0);
    if (free_bytes() != all)
        abort();
    /*
     * Whole again: a CPU that cannot have a large block gives up its front, and all has merged once
     * both have.
     */
    host_cpu = 1;
    hpa_t big = pmm_alloc(12, PMM_HV);
    if (big.v)
        pmm_free(big, 12, PMM_HV);
    host_cpu = 0;
    big = pmm_alloc(12, PMM_HV);
    if (!big.v)
        abort();
    lowest = align_down(big.v, GIB);
    pmm_free(big, 12, PMM_HV);
    return 0;
}
