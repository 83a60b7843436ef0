/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Device access by the host's own drivers. Any CPU, any context. p: from mmu_map_device(), aligned
 * to the access, which the device sees once and whole, in program order with this CPU's others to
 * the same device. No order with memory: <arch/barrier.h>.
 */
#pragma once
#include <hv/types.h>
static inline uint8_t mmio_read8(const volatile void *p) { return *(const volatile uint8_t *)p; }
static inline uint16_t mmio_read16(const volatile void *p) { return *(const volatile uint16_t *)p; }
static inline uint32_t mmio_read32(const volatile void *p) { return *(const volatile uint32_t *)p; }
static inline uint64_t mmio_read64(const volatile void *p) { return *(const volatile uint64_t *)p; }
static inline void mmio_write8(volatile void *p, uint8_t v) { *(volatile uint8_t *)p = v; }
static inline void mmio_write16(volatile void *p, uint16_t v) { *(volatile uint16_t *)p = v; }
static inline void mmio_write32(volatile void *p, uint32_t v) { *(volatile uint32_t *)p = v; }
static inline void mmio_write64(volatile void *p, uint64_t v) { *(volatile uint64_t *)p = v; }
/*
 * Ports: x86 only. Other ISAs read all ones, and writes do nothing. size: 1, 2 or 4 bytes. Any CPU,
 * any context.
 */
uint32_t port_read(uint16_t port, unsigned size);
void port_write(uint16_t port, unsigned size, uint32_t val);
