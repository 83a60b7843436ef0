/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unmapping with a delay, for `iommu = deferred` (the promise is in <hv/dma.h>). A window, a range
 * of a device's addresses whose pages are unmapped already, is late until its unit was told to
 * forget them: nobody gets it meanwhile. One lock, LOCK_DMA, is for all devices.
 */
#pragma once
#include <hv/dma.h>
struct gmem_domain;

struct dma_late {
    struct dma_late *next;
    struct gmem_domain *domain; /* NULL: it unmaps strictly */
    uint64_t base, len;         /* of all windows */
    uint16_t late[DMA_LATE_MOST], nlate;
    uint16_t nclean, *clean; /* windows of which the unit knows nothing: a stack */
};
#define DMA_LATE_WINDOWS UINT16_MAX /* numbers are below */

/*
 * For `windows` windows in [base, base + len) of the domain, which stays until dma_late_close():
 * DMA_LATE_MOST more than are taken at any time. CPU 0. -ENOMEM.
 */
int must_check dma_late_open(struct dma_late *, struct gmem_domain *, uint64_t base, uint64_t len,
                             unsigned windows);
/* CPU 0. The domain's device reaches nothing any more. Harmless when it was not opened. */
void dma_late_close(struct dma_late *);
/* A window of which the unit knows nothing: there is one. Any CPU, LOCK_DRIVER or below held. */
unsigned dma_late_take(struct dma_late *);
/* It was unmapped. Any CPU, as above. */
void dma_late_give(struct dma_late *, unsigned window);
