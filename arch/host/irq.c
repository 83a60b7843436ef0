/* SPDX-License-Identifier: BSD-2-Clause */
#include "arch/host/host.h"
#include <arch/io.h>
#include <arch/irq.h>
#include <hv/percpu.h>

uint32_t host_kicks[MAX_CPUS];

__attribute__((weak)) void irq_send_kick(uint32_t cpu)
{
    __atomic_fetch_add(&host_kicks[cpu], 1, __ATOMIC_RELAXED);
}
__attribute__((weak)) int irq_register(uint32_t gsi, void (*fn)(void *), void *arg)
{
    (void)gsi, (void)fn, (void)arg;
    return 0;
}
__attribute__((weak)) int irq_message(uint32_t cpu, void (*fn)(void *), void *arg,
                                      struct irq_message *out)
{
    (void)cpu, (void)fn, (void)arg, (void)out;
    return -ENOTSUP;
}
__attribute__((weak)) void irq_remap_lines(uint64_t (*fn)(const struct irq_line *)) { (void)fn; }
__attribute__((weak)) bool irq_is_x2apic(void) { return false; }
__attribute__((weak)) void irq_window(void) {}
/* nothing will ever come */
__attribute__((weak)) void irq_wait(void)
{
    __atomic_store_n(&this_cpu()->wake, 1, __ATOMIC_RELAXED);
}

__attribute__((weak)) uint32_t port_read(uint16_t port, unsigned size)
{
    (void)port;
    return size >= 4 ? UINT32_MAX : (1u << 8 * size) - 1;
}

__attribute__((weak)) void port_write(uint16_t port, unsigned size, uint32_t val)
{
    (void)port, (void)size, (void)val;
}
