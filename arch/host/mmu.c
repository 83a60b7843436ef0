#include "arch/host/host.h"
#include <arch/mmu.h>
#include <malloc.h>
#include <string.h>
#include <hv/heap.h>

__attribute__((weak)) void arch_zero(void *at, uint64_t len) { memset(at, 0, len); }
__attribute__((weak)) void *phys_to_virt(hpa_t pa) { return (void *)pa.v; }
__attribute__((weak)) hpa_t virt_to_phys(const void *p) { return hpa((uint64_t)p); }
__attribute__((weak)) uint64_t arch_heap_base(void) { return 0; }
__attribute__((weak)) uint64_t arch_heap_size(void) { return 0; }
__attribute__((weak)) uint64_t heap_in_use(void) { return 0; }
__attribute__((weak)) uint64_t heap_cost(void *p) { return malloc_usable_size(p); }

__attribute__((weak)) int mmu_map_heap(void *va, hpa_t pa, uint64_t len)
{
    (void)va, (void)pa, (void)len;
    return -ENOMEM;
}

/* Devices and firmware tables lie in plain memory, where a test puts them. */
__attribute__((weak)) void *mmu_map_device(hpa_t pa, uint64_t len) { (void)len; return (void *)pa.v; }
__attribute__((weak)) void *mmu_map_framebuffer(hpa_t pa, uint64_t len) { (void)len; return (void *)pa.v; }
__attribute__((weak)) const void *mmu_map_firmware(hpa_t pa, uint64_t len) { (void)len; return (void *)pa.v; }
