/*
 * stub.c: the seam of arch/include/arch on ARM64, not built yet: it lets the portable code compile and link. Nothing here
 * is ever run; each function fails, or returns what its contract gives for "not there".
 */
#include <arch/cpu.h>
#include <arch/io.h>
#include <arch/irq.h>
#include <arch/mmu.h>
#include <arch/smp.h>
#include <arch/timer.h>

#include <hv/percpu.h>
#include <hv/time.h>
#include <stddef.h>

struct vcpu_ops;
const struct vcpu_ops *const arch_vcpu_backends[] = { NULL };

int arch_early_init(struct boot_info *bi) { (void)bi; return -ENOTSUP; }
int arch_cpu_init(void) { return -ENOTSUP; }
const char *arch_cpu_name(void) { return "ARM64"; }
void cpu_relax(void) { __asm__ volatile("yield" : : : "memory"); }
void arch_stop_others(void) { }
uint64_t arch_random(void) { return 0; }

_Noreturn void cpu_halt_forever(void)
{
    for (;;)
        __asm__ volatile("wfi");
}

_Noreturn void arch_reboot(void) { cpu_halt_forever(); }
_Noreturn void arch_poweroff(void) { cpu_halt_forever(); }

/* No ports on this ISA: all ones. */
uint32_t port_read(uint16_t port, unsigned size) { (void)port; (void)size; return 0xffffffff; }
void port_write(uint16_t port, unsigned size, uint32_t val) { (void)port; (void)size; (void)val; }

int irq_init(void) { return -ENOTSUP; }
int irq_register(uint32_t gsi, void (*fn)(void *), void *arg) { (void)gsi; (void)fn; (void)arg; return -ENOTSUP; }
void irq_window(void) { }
void irq_wait(void) { }
void irq_send_kick(uint32_t cpu) { (void)cpu; }

int mmu_init(const struct boot_info *bi) { (void)bi; return -ENOTSUP; }
void *phys_to_virt(hpa_t pa) { return (void *)pa.v; }
hpa_t virt_to_phys(const void *va) { return hpa((uint64_t)va); }
void *mmu_map_device(hpa_t pa, uint64_t len) { (void)pa; (void)len; return NULL; }
void *mmu_map_framebuffer(hpa_t pa, uint64_t len) { (void)pa; (void)len; return NULL; }
const void *mmu_map_firmware(hpa_t pa, uint64_t len) { (void)pa; (void)len; return NULL; }
void *mmu_alloc_stack(uint32_t cpu) { (void)cpu; return NULL; }
int mmu_map_heap(void *va, hpa_t pa, uint64_t len) { (void)va; (void)pa; (void)len; return -ENOTSUP; }
uint64_t arch_heap_base(void) { return 0; }
uint64_t arch_heap_size(void) { return 0; }

int smp_init(const struct boot_info *bi) { (void)bi; return -ENOTSUP; }
int timer_init(void) { return -ENOTSUP; }
int timer_cpu_init(void) { return -ENOTSUP; }
void timer_arm(uint64_t ns) { (void)ns; }

uint64_t time_ns(void) { return 0; }
uint64_t time_cycles(void) { return 0; }
uint64_t time_cycles_hz(void) { return 1; }
uint64_t time_cycles_to_ns(uint64_t cycles) { return cycles; }
uint64_t time_ns_to_cycles(uint64_t ns) { return ns; }
uint64_t time_wall_s(void) { return 0; }
void time_delay_ns(uint64_t ns) { (void)ns; }

struct percpu *this_cpu(void)
{
    struct percpu *p;

    __asm__("mrs %0, tpidr_el2" : "=r"(p));
    return p;
}
