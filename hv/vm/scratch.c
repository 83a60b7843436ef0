/* SPDX-License-Identifier: BSD-2-Clause */
/* scratch.c: large memory for a moment, from what nobody was promised. */
#include <hv/assert.h>
#include <hv/charge.h>
#include <hv/pmm.h>

void *scratch_take(size_t len)
{
    uint64_t bytes;
    hpa_t pa;

    hv_assert(len > 0 && len <= PAGE_SIZE << PMM_MAX_ORDER);
    bytes = PAGE_SIZE << pmm_order(len);
    if (pmm_promise(bytes))
        return NULL;
    pa = pmm_alloc(pmm_order(len), PMM_HV); /* charge: nobody's; given back at once */
    pmm_unpromise(bytes);
    return pa.v ? phys_to_virt(pa) : NULL;
}

void scratch_give(void *p, size_t len)
{
    if (p)
        pmm_free(virt_to_phys(p), pmm_order(len), PMM_HV);
}
