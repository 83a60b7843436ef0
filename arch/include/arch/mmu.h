/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor's own address space: W^X, NX, guard pages, direct map of RAM but the guests'
 * (hv/view.h).
 */
#pragma once
#include <hv/pmm.h> /* the direct map */
#include <hv/types.h>
struct boot_info;
/* Boot step. -EFAULT: the tables do not protect what they should; or as mmu_build(). Logged. */
int must_check mmu_init(const struct boot_info *);
/* any CPU: what is there is in RAM, for hardware that does not look into caches */
void arch_clean_to_ram(const void *at, uint64_t len);
/* much RAM, of a view: at and len are multiples of 4 KiB */
void arch_zero(void *at, uint64_t len);
/*
 * mmu_map_device() and mmu_map_firmware() before mmu_init(), for the early console: NULL where the
 * CPU has ports (x86); elsewhere (ARM64) they work through the boot program's tables, and what they
 * gave then stays valid after mmu_init().
 */
/* Any CPU. Uncached, never executable, for ever; NULL: out of address space or memory. */
void *mmu_map_device(hpa_t, uint64_t len);
/* Any CPU. Read-only, cached, for ever: ACPI tables, in RAM or outside. NULL: as above. */
const void *mmu_map_firmware(hpa_t, uint64_t len);
/* Something of that is memory, or reserved, by the firmware's map: no BAR is there. */
bool mmu_is_memory(hpa_t, uint64_t len);
/* Boot CPU. Top of a new stack with a guard page below; NULL: no memory. */
void *mmu_alloc_stack(uint32_t cpu);
/* heap growth: RW, NX; bytes, multiples of a page (else -EINVAL). -ENOMEM, -ENOSPC */
int must_check mmu_map_heap(void *va, hpa_t, uint64_t len);
/* address space for the heap: first address, length in bytes */
uint64_t arch_heap_base(void);
uint64_t arch_heap_size(void);
