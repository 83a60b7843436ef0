/* SPDX-License-Identifier: BSD-2-Clause */
/* Fences of address translation: <hv/rv_fence.h>; volume II, 4.2.1. */
#include <hv/rv_fence.h>
#include <hv/types.h>

#define SATP_ASID (0xffffull << 44)

void rv_fence(struct rv_hart *h, const struct rv_fence *f)
{
    if (f->pages && f->pages <= RV_FENCE_PAGES) {
        for (uint32_t k = 0; k < f->pages; k++)
            if (!rv_forget_page(h, f->va + k * (uint64_t)DBT_PAGE))
                break;
        return;
    }
    if (f->asid == RV_FENCE_ALL || f->pages)
        dbt_mem_forget(&h->mem, 0, 0);
    else
        dbt_mem_forget(&h->mem, SATP_ASID, (uint64_t)f->asid << 44 & SATP_ASID);
    rv_refresh(h);
}

void rv_fences_post(struct rv_fences *q, const struct rv_fence *f)
{
    uint32_t posted = __atomic_load_n(&q->posted, __ATOMIC_RELAXED);

    if (posted - __atomic_load_n(&q->done, __ATOMIC_ACQUIRE) >= RV_FENCES) {
        __atomic_store_n(&q->all, 1, __ATOMIC_RELEASE);
        return;
    }
    q->ring[posted % RV_FENCES] = *f;
    __atomic_store_n(&q->posted, posted + 1, __ATOMIC_RELEASE);
}

/* Are these cheaper one by one? */
static bool fences_are_few(const struct rv_fences *q, uint32_t from, uint32_t to)
{
    uint32_t pages = 0, whole = 0;

    for (uint32_t k = from; k != to; k++) {
        pages += q->ring[k % RV_FENCES].pages;
        whole += !q->ring[k % RV_FENCES].pages;
    }
    return pages <= RV_FENCE_PAGES && whole <= 1;
}

void rv_fences_do(struct rv_fences *q, struct rv_hart *h)
{
    static const struct rv_fence everything = { .asid = RV_FENCE_ALL };
    uint32_t done = __atomic_load_n(&q->done, __ATOMIC_RELAXED);
    uint32_t posted = __atomic_load_n(&q->posted, __ATOMIC_ACQUIRE);
    bool all = __atomic_exchange_n(&q->all, 0, __ATOMIC_ACQUIRE);

    if (all || !fences_are_few(q, done, posted))
        rv_fence(h, &everything);
    else
        for (uint32_t k = done; k != posted; k++)
            rv_fence(h, &q->ring[k % RV_FENCES]);
    __atomic_store_n(&q->done, posted, __ATOMIC_RELEASE);
}
