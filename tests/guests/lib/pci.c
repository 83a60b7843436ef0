/* SPDX-License-Identifier: BSD-2-Clause */
/* PCI functions, BARs and capabilities (PCI 3.0, 6). */
#include <guest.h>

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
    unsigned p = after                      ? pci_read(d, after + 1, 1)
                 : pci_read(d, 6, 2) & 0x10 ? pci_read(d, 0x34, 1)
                                            : 0;
    for (unsigned n = 0; p >= 0x40 && n < 48; n++, p = pci_read(d, p + 1, 1))
        if (pci_read(d, p, 1) == id)
            return p;
    return 0;
}
