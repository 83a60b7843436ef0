/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The other CPUs: INIT and SIPI to each APIC of the MADT, then a loop that halts until there is
 * work.
 */
#include "guest.h"

extern char ap_start[], ap_end[];
void ap_main(unsigned index);

static void wake(struct frame *f)
{
    (void)f;
    apic_eoi();
}

void ap_main(unsigned index)
{
    struct cpu *c = &cpus[index];
    trap_init_cpu(index);
    if (x2apic)
        x2apic_enable();
    apic_init_cpu();
    c->apic_id = apic_id();
    c->online = true;
    for (;;) {
        if (!c->work) {
            cpu_sti_hlt_cli();
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
    cpus[cpu].work = fn;
    apic_icr(cpus[cpu].apic_id, VEC_WAKE);
}

void smp_wait(unsigned cpu)
{
    while (cpus[cpu].work)
        cpu_pause();
}

static unsigned online(void)
{
    unsigned n = 1;
    for (unsigned i = 1; i < MAX_CPUS; i++)
        n += cpus[i].online;
    return n;
}

static void start_one(uint32_t id)
{
    unsigned before = online();
    apic_icr(id, 0xc500); /* INIT, assert, level */
    /* and its de-assert, which new APICs ignore */
    apic_icr(id, 0x8500);
    delay_us(1000);
    for (unsigned attempt = 0; attempt < 2 && online() == before; attempt++) {
        apic_icr(id, 0x600 | AP_TRAMPOLINE >> 12);
        for (unsigned n = 0; n < 200 && online() == before; n++)
            delay_us(1000);
    }
    if (online() == before)
        fail("smp", "APIC %u does not answer INIT/SIPI", id);
}

unsigned smp_start(void)
{
    memcpy((void *)(uintptr_t)AP_TRAMPOLINE, ap_start, (size_t)(ap_end - ap_start));
    trap_handle(VEC_WAKE, wake);
    time_init();
    apic_init_cpu();
    cpus[0].apic_id = apic_id();
    cpus[0].online = true;
    for (unsigned i = 0; i < acpi.ncpus; i++)
        if (acpi.apic_ids[i] != cpus[0].apic_id)
            start_one(acpi.apic_ids[i]);
    return online();
}
