/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lapic.c: the local APIC of the CPU we run on, as a page (xAPIC) or as MSRs (x2APIC). AMD APM
 * volume 2 chapter 16.
 */
#include <arch/cpu.h>
#include <arch/io.h>
#include <arch/mmu.h>

#include <hv/acpi.h>
#include <hv/assert.h>
#include <hv/log.h>

#include "lapic_mode.h"
#include "private.h"

/* Register offsets, APM volume 2 table 16-2; as MSRs: 0x800 + offset / 16. */
enum {
    R_ID = 0x20,
    R_VERSION = 0x30,
    R_TPR = 0x80,
    R_EOI = 0xb0,
    R_LDR = 0xd0,
    R_DFR = 0xe0,
    R_SVR = 0xf0,
    R_ESR = 0x280,
    R_ICR = 0x300,
    R_ICR_HIGH = 0x310,
    R_TIMER = 0x320,
    R_THERMAL = 0x330,
    R_PERF = 0x340,
    R_LINT0 = 0x350,
    R_LINT1 = 0x360,
    R_ERROR = 0x370,
    R_INITIAL = 0x380,
    R_CURRENT = 0x390,
    R_DIVIDE = 0x3e0
};

#define BASE_ENABLE (1ull << 11)
#define BASE_X2 (1ull << 10)
#define SVR_ENABLE 0x100u
#define LVT_MASKED 0x10000u
#define LVT_NMI 0x400u
#define TIMER_DEADLINE 0x40000u
#define DIVIDE_BY_1 0xbu
#define ICR_PENDING 0x1000u

bool lapic_x2;
static volatile uint8_t *page;

static uint32_t lapic_rd(uint32_t reg)
{
    return lapic_x2 ? (uint32_t)rdmsr(MSR_X2APIC + (reg >> 4)) : mmio_read32(page + reg);
}

static void lapic_wr(uint32_t reg, uint32_t val)
{
    if (lapic_x2)
        wrmsr(MSR_X2APIC + (reg >> 4), val);
    else
        mmio_write32(page + reg, val);
}

enum { DMAR_FLAGS = 37, DMAR_IRQS = 1, DMAR_OPT_OUT = 2 };

static bool dmar_opts_out(void)
{
    const uint8_t *t = acpi_table("DMAR", 0);

    return t && get_le(t + 4, 4) > DMAR_FLAGS &&
           (t[DMAR_FLAGS] & (DMAR_IRQS | DMAR_OPT_OUT)) == (DMAR_IRQS | DMAR_OPT_OUT);
}

static void choose_mode(uint64_t base)
{
    const struct acpi_info *a = acpi_info();
    struct lapic_facts f = { .has_x2 = x86_features.x2apic,
                             .is_x2 = (base & BASE_X2) && x86_features.x2apic,
                             .opt_out = dmar_opts_out() };
    struct lapic_mode m;

    for (uint32_t i = 0; i < a->ncpus; i++)
        f.greatest_id = a->cpus[i] > f.greatest_id ? a->cpus[i] : f.greatest_id;
    m = lapic_mode(&f);
    lapic_x2 = m.x2;
    if (m.warn)
        log_warn("local APICs: %s", m.why);
    else
        log_info("local APICs: %s", m.why);
}

int lapic_init(uint64_t base)
{
    uint64_t msr = rdmsr(MSR_APIC_BASE);

    assert_cpu0();
    choose_mode(msr);
    if (lapic_x2)
        return 0;
    if (!base)
        base = msr & 0x000ffffffffff000ull;
    page = mmu_map_device(hpa(base), PAGE_SIZE);
    if (!page)
        log_err("the local APIC at %llx cannot be mapped", (unsigned long long)base);
    return page ? 0 : -ENOMEM;
}

int lapic_cpu_init(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE) | BASE_ENABLE;

    if (!lapic_x2 && (base & BASE_X2)) {
        log_err("the firmware left CPU %u in x2APIC mode, which the CPU does not report",
                this_cpu()->id);
        return -ENOTSUP;
    }
    wrmsr(MSR_APIC_BASE, base);
    if (lapic_x2)
        wrmsr(MSR_APIC_BASE, base | BASE_X2);
    lapic_wr(R_TPR, 0);
    lapic_wr(R_SVR, SVR_ENABLE | VEC_SPURIOUS);
    lapic_wr(R_TIMER, LVT_MASKED);
    lapic_wr(R_DIVIDE, DIVIDE_BY_1);
    lapic_wr(R_LINT0, LVT_MASKED);
    lapic_wr(R_LINT1, LVT_NMI);
    lapic_wr(R_ERROR, VEC_ERROR);
    lapic_wr(R_ESR, 0);
    lapic_wr(R_EOI, 0);
    this_cpu()->hw_id = lapic_id();
    return 0;
}

void lapic_eoi(void) { lapic_wr(R_EOI, 0); }

uint32_t lapic_id(void) { return lapic_x2 ? lapic_rd(R_ID) : lapic_rd(R_ID) >> 24; }

static void icr(uint32_t dest, uint32_t low)
{
    if (lapic_x2) {
        /* x2APIC writes are not ordered with memory */
        __asm__ volatile("mfence; lfence" : : : "memory");
        wrmsr(MSR_X2APIC + (R_ICR >> 4), (uint64_t)dest << 32 | low);
        return;
    }
    while (lapic_rd(R_ICR) & ICR_PENDING)
        cpu_relax();
    lapic_wr(R_ICR_HIGH, dest << 24);
    lapic_wr(R_ICR, low);
}

void lapic_send(uint32_t apic_id, uint32_t low) { icr(apic_id, low); }

void lapic_timer_mode(bool tsc_deadline)
{
    lapic_wr(R_TIMER, VEC_TIMER | (tsc_deadline ? TIMER_DEADLINE : 0));
    if (tsc_deadline)
        /* Intel SDM volume 3 section 11.5.4.1 */
        __asm__ volatile("mfence" : : : "memory");
}

void lapic_timer_start(uint32_t count) { lapic_wr(R_INITIAL, count); }

uint32_t lapic_timer_count(void) { return lapic_rd(R_CURRENT); }
