/* pending.c: TEMPORARY: what other parts will define. */
#include <arch/cpu.h>
#include <arch/mmu.h>
#include <hv/console.h>
#include <hv/sched.h>
#include <hv/time.h>
#include <hv/vcpu.h>

__attribute__((weak)) void vcpu_run(struct vcpu *v) { sched_put(v, false); }
__attribute__((weak)) void vcpu_unload_remote(struct vcpu *v) { (void)v; }
__attribute__((weak)) void console_panic_write(const char *s, size_t n) { (void)s, (void)n; }
__attribute__((weak)) uint64_t time_ns(void) { return 0; }
__attribute__((weak)) void arch_stop_others(void) { }
__attribute__((weak)) int mmu_map_heap(void *va, hpa_t pa, uint64_t len) { (void)va, (void)pa, (void)len; return -ENOMEM; }
__attribute__((weak)) void *phys_to_virt(hpa_t pa) { return (void *)pa.v; }
__attribute__((weak)) hpa_t virt_to_phys(const void *p) { return hpa((uint64_t)p); }
__attribute__((weak)) uint64_t arch_heap_base(void) { return 0; }
__attribute__((weak)) uint64_t arch_heap_size(void) { return 0; }
