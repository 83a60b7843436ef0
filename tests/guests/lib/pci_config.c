/* SPDX-License-Identifier: BSD-2-Clause */
/* PCI configuration space through CF8/CFC (PCI 3.0, 3.2.2.3.2) or ECAM (PCIe 7.2.2). */
#include "guest.h"

bool pci_use_ecam;

static uint64_t ecam_addr(pci_t d, unsigned reg) { return acpi.ecam + ((uint64_t)d << 12) + reg; }

uint32_t pci_read(pci_t d, unsigned reg, unsigned size)
{
    uint16_t port = (uint16_t)(0xcfc + (reg & 3));
    if (pci_use_ecam)
        return (uint32_t)mmio_read(ecam_addr(d, reg), size);
    outl(0xcf8, 0x80000000u | (uint32_t)d << 8 | (reg & 0xfc));
    return size == 1 ? inb(port) : size == 2 ? inw(port) : inl(port);
}

void pci_write(pci_t d, unsigned reg, unsigned size, uint32_t v)
{
    uint16_t port = (uint16_t)(0xcfc + (reg & 3));
    if (pci_use_ecam) {
        mmio_write(ecam_addr(d, reg), size, v);
        return;
    }
    outl(0xcf8, 0x80000000u | (uint32_t)d << 8 | (reg & 0xfc));
    if (size == 1)
        outb(port, (uint8_t)v);
    else if (size == 2)
        outw(port, (uint16_t)v);
    else
        outl(port, v);
}
