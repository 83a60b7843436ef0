/* SPDX-License-Identifier: BSD-2-Clause */
/* irq.c: vectors, device interrupts, IPIs, and the two places where interrupts are taken. */
#include <arch/cpu.h>
#include <arch/io.h>
#include <arch/irq.h>
#include <arch/smp.h>

#include <hv/acpi.h>
#include <hv/assert.h>
#include <hv/log.h>
#include <hv/panic.h>
#include <hv/random.h>

#include "private.h"

struct line {
    void (*fn)(void *);
    void *arg;
    uint32_t gsi;
};
static struct line lines[VEC_GSI_MAX - VEC_GSI + 1];
static uint32_t nlines;
static volatile bool stopping; /* a CPU panics: an NMI means stop */

int irq_init(void)
{
    int err = lapic_init(acpi_info()->lapic);

    assert_cpu0();
    if (!err)
        err = lapic_cpu_init();
    if (!err)
        err = ioapic_init();
    return err;
}

/*
 * How the firmware says that the interrupt is wired: ISA lines are edge and high unless overridden,
 * others level and low.
 */
static void wiring(uint32_t gsi, bool *level, bool *low)
{
    const struct acpi_info *a = acpi_info();

    *level = *low = gsi >= 16;
    for (uint32_t i = 0; i < a->noverrides; i++) {
        if (a->overrides[i].gsi == gsi) {
            *level = a->overrides[i].level;
            *low = a->overrides[i].low;
        }
    }
}

int irq_register(uint32_t gsi, void (*fn)(void *), void *arg)
{
    bool level, low;

    hv_assert(fn);
    if (nlines == ARRAY_SIZE(lines))
        return -ENOSPC;
    lines[nlines] = (struct line){ fn, arg, gsi };
    wiring(gsi, &level, &low);
    int err = ioapic_route(gsi, (uint8_t)(VEC_GSI + nlines), level, low);
    if (!err)
        nlines++;
    return err;
}

/* Intel SDM volume 3 section 11.11: fixed delivery, edge, physical destination. */
#define MSI_ADDRESS 0xfee00000ull
#define MSI_DEST_MAX 0xffu /* more needs interrupt remapping */

int irq_message(uint32_t cpu, void (*fn)(void *), void *arg, struct irq_message *out)
{
    uint32_t dest = percpus[cpu].hw_id;

    if (dest > MSI_DEST_MAX)
        return -ENOTSUP;
    if (nlines == ARRAY_SIZE(lines))
        return -ENOSPC;
    lines[nlines] = (struct line){ .fn = fn, .arg = arg };
    *out = (struct irq_message){ MSI_ADDRESS | dest << 12, VEC_GSI + nlines };
    nlines++;
    return 0;
}

bool irq_is_x2apic(void) { return lapic_x2; }

static void device_irq(const struct line *l)
{
    random_interrupt(rdtsc());
    l->fn(l->arg);
}

void irq_dispatch(uint32_t vector)
{
    if (vector == VEC_SPURIOUS || (vector >= 0x20 && vector < 0x30))
        return; /* spurious interrupts want no EOI */
    if (vector == VEC_TIMER)
        timer_irq();
    else if (vector >= VEC_GSI && vector - VEC_GSI < nlines)
        device_irq(&lines[vector - VEC_GSI]);
    else if (vector != VEC_KICK && vector != VEC_POSTED)
        log_debug("unexpected interrupt vector %x on CPU %u", vector, this_cpu()->id);
    lapic_eoi();
}

void irq_window(void) { __asm__ volatile("sti; nop; cli" : : : "memory"); }

/* STI holds interrupts off until after HLT, so that nothing can slip in between. */
void irq_wait(void) { __asm__ volatile("sti; hlt; cli" : : : "memory"); }

void irq_send_kick(uint32_t cpu)
{
    debug_assert(cpu < cpu_count);
    lapic_send(percpus[cpu].hw_id, ICR_FIXED | VEC_KICK);
}

void x86_nmi(void)
{
    if (stopping)
        cpu_halt_forever();
    log_from_nmi("the machine reports a hardware fault");
}

void arch_stop_others(void)
{
    stopping = true;
    for (uint32_t i = 0; i < cpu_count; i++)
        if (i != this_cpu()->id)
            lapic_send(percpus[i].hw_id, ICR_NMI);
}

uint32_t port_read(uint16_t port, unsigned size)
{
    return size == 1 ? inb(port) : size == 2 ? inw(port) : inl(port);
}

void port_write(uint16_t port, unsigned size, uint32_t val)
{
    if (size == 1)
        outb(port, (uint8_t)val);
    else if (size == 2)
        outw(port, (uint16_t)val);
    else
        outl(port, val);
}
