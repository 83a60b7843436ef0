/* SPDX-License-Identifier: BSD-2-Clause */
/* Local APIC in both modes, the IOAPIC's two registers, and the masked PIC. */
#include "guest.h"

#define IOAPIC_DEFAULT 0xfec00000ull
bool x2apic;

bool x2apic_supported(void) { return cpuid(1, 0).ecx >> 21 & 1; }

void x2apic_enable(void)
{
    wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 0xc00);
    x2apic = true;
}

uint32_t apic_read(unsigned reg)
{
    return x2apic ? (uint32_t)rdmsr(MSR_X2APIC + reg / 16) : mmio_r32(APIC_PAGE + reg);
}

void apic_write(unsigned reg, uint32_t v)
{
    if (x2apic)
        wrmsr(MSR_X2APIC + reg / 16, v);
    else
        mmio_w32(APIC_PAGE + reg, v);
}

void apic_eoi(void) { apic_write(APIC_EOI, 0); }

unsigned apic_id(void)
{
    uint32_t id = apic_read(APIC_ID);
    return x2apic ? id : id >> 24;
}

void apic_icr(uint32_t dest, uint32_t low)
{
    if (x2apic) {
        wrmsr(MSR_X2APIC + APIC_ICR / 16, (uint64_t)dest << 32 | low);
        return;
    }
    mmio_w32(APIC_PAGE + APIC_ICR2, dest << 24);
    mmio_w32(APIC_PAGE + APIC_ICR, low);
    for (unsigned n = 0; n < 1000000 && (mmio_r32(APIC_PAGE + APIC_ICR) & 0x1000); n++)
        cpu_pause();
}

bool apic_bit(unsigned base, unsigned vec)
{
    return apic_read(base + vec / 32 * 16) >> (vec % 32) & 1;
}

/*
 * Software-enabled, nothing masked by priority, timer and LINT pins masked, spurious vector 0xff.
 */
void apic_init_cpu(void)
{
    apic_write(APIC_LVTT, 0x10000);
    apic_write(APIC_LVT_LINT0, 0x10000);
    apic_write(APIC_LVT_LINT1, 0x400);
    apic_write(APIC_LVT_ERR, 0xfe);
    apic_write(APIC_TPR, 0);
    apic_write(APIC_SVR, 0x1ff);
}

uint32_t ioapic_read(unsigned reg)
{
    mmio_w32(IOAPIC_DEFAULT, reg);
    return mmio_r32(IOAPIC_DEFAULT + 0x10);
}

void ioapic_write(unsigned reg, uint32_t v)
{
    mmio_w32(IOAPIC_DEFAULT, reg);
    mmio_w32(IOAPIC_DEFAULT + 0x10, v);
}

/* Masked while it changes, so that no half-written entry fires. */
void ioapic_route(unsigned pin, uint64_t entry)
{
    ioapic_write(0x10 + pin * 2, 0x10000);
    ioapic_write(0x11 + pin * 2, (uint32_t)(entry >> 32));
    ioapic_write(0x10 + pin * 2, (uint32_t)entry);
}

void pic_init(unsigned base)
{
    outb(0x20, 0x11);
    outb(0x21, (uint8_t)base);
    outb(0x21, 4);
    outb(0x21, 1);
    outb(0xa0, 0x11);
    outb(0xa1, (uint8_t)(base + 8));
    outb(0xa1, 2);
    outb(0xa1, 1);
    pic_mask_all();
}

void pic_mask_all(void)
{
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
}
