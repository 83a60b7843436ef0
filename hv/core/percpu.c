/* SPDX-License-Identifier: BSD-2-Clause */
/* percpu.c: the table of CPUs, and how one gets another's attention. */
#include <arch/cpu.h>
#include <arch/irq.h>
#include <hv/assert.h>
#include <hv/percpu.h>

struct percpu percpus[MAX_CPUS];
uint32_t cpu_count = 1, cpu_most = MAX_CPUS;

const char *host_cpu_name(void) { return arch_cpu_name(); }

/*
 * The target looks at `wake` after it has written `where` and before it sleeps or enters a guest,
 * with interrupts disabled; we write `wake` before we read `where`. So either it sees our work, or
 * the interrupt ends its sleep or its guest. When `wake` was set already, whoever set it has sent
 * the interrupt or is about to.
 */
void cpu_kick(uint32_t cpu)
{
    struct percpu *c = &percpus[cpu];

    debug_assert(cpu < MAX_CPUS);
    if (__atomic_exchange_n(&c->wake, 1, __ATOMIC_SEQ_CST))
        return;
    if (c != this_cpu() && __atomic_load_n(&c->where, __ATOMIC_SEQ_CST) != CPU_IN_LOOP)
        irq_send_kick(cpu);
}
