/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * heap.c: what newlib's malloc grows. The caller holds malloc's lock, so nothing here is taken
 * twice.
 */
#include <arch/mmu.h>
#include <hv/assert.h>
#include <hv/heap.h>
#include <hv/pmm.h>

#define GROW_ORDER 6 /* 256 KiB at a time when there is such a block */

static uint64_t base, used, mapped, limit;

int heap_init(void)
{
    assert_cpu0();
    base = arch_heap_base();
    limit = arch_heap_size();
    return base && limit ? 0 : -ENOMEM;
}

static bool heap_grow(void)
{
    hv_assert(mapped <= limit);
    for (unsigned order = GROW_ORDER;; order--) {
        uint64_t len = PAGE_SIZE << order;
        /* charge: by what malloc() gives of it */
        hpa_t pa = len <= limit - mapped ? pmm_alloc(order, PMM_HEAP) : hpa(0);

        if (pa.v) {
            if (mmu_map_heap((void *)(base + mapped), pa, len) == 0) {
                mapped += len;
                return true;
            }
            pmm_free(pa, order, PMM_HEAP);
        }
        if (order == 0)
            return false;
    }
}

void *heap_sbrk(ptrdiff_t by)
{
    uint64_t old = used;

    hv_assert(used <= mapped);
    if (by < 0) {
        if ((uint64_t)-by > used)
            return (void *)-1;
        used -= (uint64_t)-by;
        return (void *)(base + old);
    }
    if ((uint64_t)by > limit - used)
        return (void *)-1;
    while (used + (uint64_t)by > mapped)
        if (!heap_grow())
            return (void *)-1;
    used += (uint64_t)by;
    return (void *)(base + old);
}

void heap_stats(uint64_t *u, uint64_t *m)
{
    *u = heap_in_use();
    *m = mapped;
}
