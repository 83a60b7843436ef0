/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Order of this CPU's accesses to memory that a device shares (rings, tables), as the device sees
 * them, and between them and its registers (<arch/io.h>). Any CPU, any context. The memory is
 * write-back, and the device looks into caches; for one that does not: arch_clean_to_ram().
 *
 * x86: stores stay in order, and so do loads, uncached ones among them (SDM volume 3 §9.2.2); only
 * a load that passes an earlier store needs a fence. ARM64: a DMB of the outer shareable domain, as
 * nothing says that devices are in the inner one with the CPUs (Arm ARM B2.3, C6.2 DMB).
 */
#pragma once

#ifdef __aarch64__
#define DMA_BARRIER(dmb, order) __asm__ volatile("dmb " dmb : : : "memory")
#else
#define DMA_BARRIER(dmb, order) __atomic_thread_fence(order)
#endif

/*
 * Loads and stores before it come before stores after it: a descriptor before the doorbell, and
 * what was read of a ring before the register that gives its place back to the device.
 */
static inline void dma_wmb(void) { DMA_BARRIER("osh", __ATOMIC_RELEASE); }
/* Loads before it are done before loads after it: an index before the entries that it covers. */
static inline void dma_rmb(void) { DMA_BARRIER("oshld", __ATOMIC_ACQUIRE); }
/* All before it comes before all after it: an index is stored, then the device's is read. */
static inline void dma_mb(void) { DMA_BARRIER("osh", __ATOMIC_SEQ_CST); }
