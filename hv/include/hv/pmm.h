/* Physical pages: a buddy allocator (orders 0..18: 4 KiB..1 GiB) with a small per-CPU front for single pages. */
#pragma once
#include <hv/types.h>
struct boot_info;
#define PMM_MAX_ORDER 18
enum pmm_owner { PMM_HV, PMM_PT, PMM_HEAP, PMM_GUEST, PMM_FILE, PMM_OWNERS };
int must_check pmm_init(const struct boot_info *);
/* 2^order pages, naturally aligned. Contents are undefined. -ENOMEM: returns hpa(0), which is never valid memory. */
hpa_t must_check pmm_alloc(unsigned order, enum pmm_owner);
void pmm_free(hpa_t, unsigned order, enum pmm_owner);
hpa_t must_check pmm_alloc_zero(unsigned order, enum pmm_owner);
struct pmm_stats { uint64_t total, free, by_owner[PMM_OWNERS]; }; /* bytes */
void pmm_stats(struct pmm_stats *);
/* Direct map, also declared in <arch/mmu.h>: */
void *phys_to_virt(hpa_t);
hpa_t virt_to_phys(const void *);   /* of a direct-map address only */
