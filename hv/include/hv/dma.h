/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that a host driver's device reaches: what dma_alloc() gave it, for as long as it has it,
 * and the buffers of its requests, from dma_map() to dma_unmap(), and nothing else. Behind an IOMMU
 * (hv/iommu.h) the device's addresses are none of memory's: below 4 GiB, and of no use to another
 * device. Where there is none they are those of memory, and the device is trusted.
 *
 * A request is in a slot, a number that its driver has for it anyway. Unmapping is strict, unless
 * dma_defer() said otherwise: when dma_unmap() returns, the device has forgotten the buffers.
 *
 * Deferred: what a request had is unmapped by then, but the unit may remember it until it is told
 * to forget, for many requests at once: with the DMA_LATE_MOST-th of the device's, and at the
 * latest DMA_LATE_NS after the first (and what an event takes to run). Until then a device that
 * goes on after it said that it had ended still reaches these buffers, and nothing else. A device's
 * address is not used again before that, and no page gets another owner: pmm_settle() tells the
 * units first.
 *
 * All of a `struct dma` is for one CPU at a time: the driver's lock, LOCK_DRIVER or below.
 * dma_open, dma_close, dma_alloc and dma_free: CPU 0.
 */
#pragma once
#include <hv/host_pci.h>
#include <hv/pt.h>
#include <hv/types.h>
struct dma;

#define DMA_LATE_MOST 32u /* requests of one device */
#define DMA_LATE_NS 10000000ull
/*
 * What is opened from here on unmaps in one way or the other. One whose slots leave no room for
 * DMA_LATE_MOST more stays strict, with a line in the log. CPU 0, at boot.
 */
void dma_defer(bool deferred);
bool dma_deferred(void); /* any CPU, after boot */

/*
 * For requests in `slots` slots, each of `bytes` in all and `pieces` pieces at most. owner, for
 * people: "NVMe". -EIO: the device is blocked for good; -EBUSY: it, or one that it cannot be told
 * from, is somebody's; -ENOSPC: the slots are too many for its window; -ENOMEM; or as of
 * iommu_attach(), but for -ENODEV, which is 0 here.
 */
int must_check dma_open(struct dma **, const struct host_pci_dev *, const char *owner,
                        unsigned slots, uint32_t bytes, unsigned pieces);
/* The device is blocked. All memory was freed before; NULL is harmless. */
void dma_close(struct dma *);
/*
 * The device goes past the IOMMU, whatever the tables say (a virtio device without
 * VIRTIO_F_ACCESS_PLATFORM): from now on its addresses are those of memory. Before dma_at() and
 * dma_map().
 */
void dma_bypass(struct dma *);
/* 2^order pages of zeros. NULL: no memory. */
void *dma_alloc(struct dma *, unsigned order);
void dma_free(struct dma *, const volatile void *, unsigned order); /* NULL is harmless */
/* The device's address of what lies in memory that dma_alloc() gave. */
uint64_t dma_at(const struct dma *, const volatile void *);
/*
 * One more piece of the slot's request: the device may read it (PROT_R) or write to it (PROT_W).
 * Its address is in *out. A piece that ends on a page's edge and one that begins on one, mapped one
 * after the other, follow each other in the device's view, too. -EINVAL: it is more than the slot
 * holds.
 */
int must_check dma_map(struct dma *, unsigned slot, hpa_t, uint32_t len, unsigned prot,
                       uint64_t *out);
/* All of the slot's pieces, strictly or deferred. Harmless for a slot that has none. */
void dma_unmap(struct dma *, unsigned slot);
