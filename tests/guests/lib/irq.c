/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts of devices, for code that every machine shares: a vector each for MSI-X and for the
 * line.
 */
#include "guest.h"

#define VEC_MSI 0x55
#define VEC_INTX 0x56

static void (*msi_fn)(void), (*intx_fn)(void);

static void on_msi(struct frame *f)
{
    (void)f;
    msi_fn();
    apic_eoi();
}

static void on_intx(struct frame *f)
{
    (void)f;
    if (intx_fn)
        intx_fn();
    apic_eoi();
}

void irq_init(void)
{
    time_init();
    apic_init_cpu();
    pic_mask_all();
    trap_handle(VEC_MSI, on_msi);
    trap_handle(VEC_INTX, on_intx);
}

struct msi_msg irq_msi(pci_t d, unsigned entry, void (*fn)(void))
{
    (void)d;
    (void)entry;
    msi_fn = fn;
    return (struct msi_msg){ 0xfee00000 | apic_id() << 12, VEC_MSI };
}

/*
 * As configured by the firmware tables: pin A of device d is GSI 16 + d % 4; the IOAPIC must see it
 * as level.
 */
bool irq_intx(pci_t d, unsigned pin, void (*fn)(void))
{
    unsigned gsi = 16 + ((d >> 3) + pin - 1) % 4;
    intx_fn = fn;
    ioapic_route(gsi, fn ? (uint64_t)apic_id() << 56 | 0x8000 | VEC_INTX : 0x10000);
    return true;
}
