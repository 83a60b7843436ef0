/* PCI configuration space through CF8/CFC (PCI 3.0, 3.2.2.3.2) or ECAM (PCIe 7.2.2), BARs, capabilities. */
#include "guest.h"

bool pci_use_ecam;

static uint64_t ecam_addr(pci_t d, unsigned reg)
{
    return acpi.ecam + ((uint64_t)d << 12) + reg;
}

uint32_t pci_read(pci_t d, unsigned reg, unsigned size)
{
    uint16_t port = (uint16_t)(0xcfc + (reg & 3));
    if (pci_use_ecam) {
        uint64_t a = ecam_addr(d, reg);
        return size == 1 ? mmio_r8(a) : size == 2 ? mmio_r16(a) : mmio_r32(a);
    }
    outl(0xcf8, 0x80000000u | (uint32_t)d << 8 | (reg & 0xfc));
    return size == 1 ? inb(port) : size == 2 ? inw(port) : inl(port);
}

void pci_write(pci_t d, unsigned reg, unsigned size, uint32_t v)
{
    uint16_t port = (uint16_t)(0xcfc + (reg & 3));
    uint64_t a = ecam_addr(d, reg);
    if (!pci_use_ecam)
        outl(0xcf8, 0x80000000u | (uint32_t)d << 8 | (reg & 0xfc));
    if (size == 1)
        pci_use_ecam ? mmio_w8(a, (uint8_t)v) : outb(port, (uint8_t)v);
    else if (size == 2)
        pci_use_ecam ? mmio_w16(a, (uint16_t)v) : outw(port, (uint16_t)v);
    else
        pci_use_ecam ? mmio_w32(a, v) : outl(port, v);
}

/* Bus 0 only: what a flat virtual machine has. */
unsigned pci_scan(pci_t *list, unsigned max)
{
    unsigned n = 0;
    for (unsigned d = 0; d < 256 && n < max; d++) {
        if ((d & 7) && !(pci_read((pci_t)(d & ~7u), 0x0e, 1) & 0x80))
            continue;
        uint32_t id = pci_read((pci_t)d, 0, 4);
        if (id != 0xffffffff && id != 0)
            list[n++] = (pci_t)d;
    }
    return n;
}

uint64_t pci_bar(pci_t d, unsigned bar, uint64_t *size)
{
    unsigned reg = 0x10 + bar * 4;
    uint32_t lo = pci_read(d, reg, 4), hi = 0, cmd = pci_read(d, 4, 2);
    bool is64 = (lo & 6) == 4;
    uint64_t mask = 0xffffffff00000000ull;
    if (lo & 1)
        return 0;
    pci_write(d, 4, 2, cmd & ~3u);
    pci_write(d, reg, 4, 0xffffffff);
    mask |= pci_read(d, reg, 4) & ~0xfu;
    pci_write(d, reg, 4, lo);
    if (is64) {
        hi = pci_read(d, reg + 4, 4);
        pci_write(d, reg + 4, 4, 0xffffffff);
        mask = (mask & 0xffffffff) | (uint64_t)pci_read(d, reg + 4, 4) << 32;
        pci_write(d, reg + 4, 4, hi);
    }
    pci_write(d, 4, 2, cmd);
    if (!(mask & 0xffffffff) && !hi)
        return 0;
    if (size)
        *size = 0 - mask;
    return (uint64_t)hi << 32 | (lo & ~0xfu);
}

unsigned pci_cap(pci_t d, uint8_t id, unsigned after)
{
    unsigned p = after ? pci_read(d, after + 1, 1) : pci_read(d, 6, 2) & 0x10 ? pci_read(d, 0x34, 1) : 0;
    for (unsigned n = 0; p >= 0x40 && n < 48; n++, p = pci_read(d, p + 1, 1))
        if (pci_read(d, p, 1) == id)
            return p;
    return 0;
}
