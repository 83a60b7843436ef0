/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Physical pages: a buddy allocator (orders 0..18: 4 KiB..1 GiB) with a small per-CPU front for
 * single pages.
 */
#pragma once
#include <hv/types.h>
struct boot_info;
#define PMM_MAX_ORDER 18
enum pmm_owner { PMM_HV, PMM_PT, PMM_HEAP, PMM_GUEST, PMM_FILE, PMM_SAVED, PMM_STICK, PMM_OWNERS };
/* Boot step: the memory that was nobody's when the firmware let go. -ENOMEM */
int must_check pmm_init(const struct boot_info *);
/*
 * CPU 0, once, when no device of the firmware's writes to memory any more: what its boot services
 * had is ours, too.
 */
void pmm_take_boot_services(const struct boot_info *);
/*
 * 2^order pages, naturally aligned. Contents are undefined. Any CPU. No memory: returns hpa(0),
 * which is never valid memory.
 */
hpa_t must_check pmm_alloc(unsigned order, enum pmm_owner);
/* The least order of which a block holds so many bytes. */
static inline unsigned pmm_order(uint64_t bytes)
{
    unsigned order = 0;

    while (PAGE_SIZE << order < bytes)
        order++;
    return order;
}
/*
 * Any CPU. The order and the owner that it was allocated with; as pmm_settle(), but of page tables
 * and of the heap, which no device reaches as a request's buffer.
 */
void pmm_free(hpa_t, unsigned order, enum pmm_owner);
/*
 * Until this returns, devices that were told to forget memory may still reach what they had. Called
 * before memory is zeroed for its next owner; pmm_free() does it, too. Any CPU, locks below
 * LOCK_DMA held. pmm_settle_by(): the function that does it; CPU 0, at boot.
 */
void pmm_settle(void);
void pmm_settle_by(void (*fn)(void));
/*
 * Blocks of 2 MiB that hold zeros are known, so that a guest gets them without zeroing.
 * pmm_free_clean(): as pmm_free() of a guest's blocks (order at least PMM_CLEAN_ORDER) that the
 * caller zeroed. pmm_take_clean(): of such a block that the caller got by pmm_alloc(PMM_GUEST):
 * whether it holds zeros; false when asked again. Any CPU.
 */
#define PMM_CLEAN_ORDER 9
void pmm_free_clean(hpa_t, unsigned order);
bool must_check pmm_take_clean(hpa_t);
/* Counts `bytes` of what one owner has as another's. Any CPU. */
void pmm_recount(uint64_t bytes, enum pmm_owner from, enum pmm_owner to);
hpa_t must_check pmm_alloc_zero(unsigned order, enum pmm_owner); /* pmm_alloc(), and zeroed */
/*
 * Memory that is set aside: pmm_promise() says whether so much is free beyond what was promised
 * before and PMM_RESERVE, and keeps it from later promises; -ENOMEM. The one it was promised to
 * calls pmm_unpromise() for what it takes or no longer needs, and pmm_promise_back() for what it
 * gave back but may take again. Any CPU. pmm_alloc() itself does not look at promises.
 */
#define PMM_RESERVE (16 * MIB) /* stays free for Trivet itself */
int must_check pmm_promise(uint64_t bytes);
void pmm_unpromise(uint64_t bytes);
void pmm_promise_back(uint64_t bytes);
struct pmm_stats {
    uint64_t total, free, by_owner[PMM_OWNERS], promised; /* bytes */
};
void pmm_stats(struct pmm_stats *); /* any CPU */
/* The direct map (arch). Any CPU. */
void *phys_to_virt(hpa_t);
hpa_t virt_to_phys(const void *); /* of a direct-map address only */
