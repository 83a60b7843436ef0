/* SPDX-License-Identifier: BSD-2-Clause */
#include "arch/host/host.h"
#include <arch/mmu.h>
#include <malloc.h>
#include <string.h>
#include <hv/heap.h>
#include <hv/view.h>

__attribute__((weak)) void arch_zero(void *at, uint64_t len) { memset(at, 0, len); }
__attribute__((weak)) void arch_clean_to_ram(const void *at, uint64_t len) { (void)at, (void)len; }
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
__attribute__((weak)) void *mmu_map_device(hpa_t pa, uint64_t len)
{
    (void)len;
    return (void *)pa.v;
}
__attribute__((weak)) const void *mmu_map_firmware(hpa_t pa, uint64_t len)
{
    (void)len;
    return (void *)pa.v;
}

__attribute__((weak)) bool mmu_is_memory(hpa_t pa, uint64_t len)
{
    (void)pa, (void)len;
    return false;
}

/* Views: all memory is mapped always, and a view is nothing but a number. */
__attribute__((weak)) bool view_is_here(const struct view *w)
{
    (void)w;
    return true;
}
__attribute__((weak)) void view_load(const struct view *w) { (void)w; }
__attribute__((weak)) void view_forget(void) {}
__attribute__((weak)) int view_make(struct view *w, uint32_t id, pt_pay *pay, void *payer)
{
    (void)pay;
    (void)payer;
    w->root = id + 1;
    return 0;
}
__attribute__((weak)) void view_unmake(struct view *w) { w->root = 0; }
__attribute__((weak)) bool view_phys(const struct view *w, const void *at, hpa_t *out)
{
    (void)w;
    *out = virt_to_phys(at);
    return true;
}
__attribute__((weak)) int view_map_code(struct view *w, unsigned n, hpa_t pa, uint64_t len,
                                        uint8_t **where)
{
    (void)w, (void)n, (void)pa, (void)len, (void)where;
    return -ENOTSUP;
}
__attribute__((weak)) void view_take_direct(hpa_t pa, uint64_t len) { (void)pa, (void)len; }
__attribute__((weak)) void view_give_direct(hpa_t pa, uint64_t len) { (void)pa, (void)len; }

__attribute__((weak)) int view_map(struct view *w, gpa_t at, hpa_t pa, uint64_t len,
                                   uint8_t **where)
{
    (void)w, (void)at, (void)len;
    *where = phys_to_virt(pa);
    return 0;
}
