/* SPDX-License-Identifier: BSD-2-Clause */
/* PSCI, and with it the other CPUs: each waits for work in WFI. */
#include "guest.h"

void cpu_main(struct cpu *c);

int64_t psci(uint64_t fn, uint64_t a, uint64_t b, uint64_t c)
{
    return boot.smc ? smc_call(fn, a, b, c) : hvc_call(fn, a, b, c);
}

void cpu_main(struct cpu *c)
{
    trap_init_cpu();
    mmu_on();
    gic_init_cpu();
    gic_enable(INTID_WAKE);
    c->online = true;
    for (;;) {
        if (!c->work) {
            wait_irq();
            continue;
        }
        c->work(c->work_arg);
        c->work = NULL;
    }
}

void smp_run(unsigned cpu, void (*fn)(void *), void *arg)
{
    smp_wait(cpu);
    cpus[cpu].work_arg = arg;
    dsb();
    cpus[cpu].work = fn;
    dsb();
    gic_sgi(cpu, INTID_WAKE);
}

void smp_wait(unsigned cpu)
{
    while (cpus[cpu].work)
        cpu_pause();
    dsb();
}

/*
 * The block is kept for the next time. What the new CPU reads with its MMU off is cleaned to
 * memory.
 */
int64_t smp_start_one(unsigned i)
{
    static uint64_t *block[MAX_CPUS];
    struct cpu *c = &cpus[i];
    if (!block[i]) {
        block[i] = page_alloc(CPU_BLOCK / 4096);
        c->irqs = page_alloc(2);
        c->index = i;
    }
    *block[i] = (uint64_t)c;
    __asm__ volatile("dc cvac, %0; dsb sy" : : "r"(block[i]) : "memory");
    c->online = false;
    c->work = NULL;
    int64_t v = psci(PSCI_CPU_ON, c->mpidr, (uint64_t)cpu_boot, (uint64_t)block[i]);
    for (uint64_t t = ticks(); v == 0 && !c->online && ticks() - t < ticks_hz * 5;)
        cpu_pause();
    return v;
}

unsigned smp_start(void)
{
    unsigned n = 1;
    gic_init();
    gic_enable(INTID_WAKE);
    cpus[0].online = true;
    for (unsigned i = 0; i < boot.ncpus; i++) {
        if (boot.mpidr[i] == cpus[0].mpidr)
            continue;
        cpus[n].mpidr = boot.mpidr[i];
        int64_t v = smp_start_one(n);
        if (v || !cpus[n].online)
            fail("smp", "CPU %lx does not start: %ld", boot.mpidr[i], v);
        else
            n++;
    }
    return n;
}
