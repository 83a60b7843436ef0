/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PCI configuration space through ECAM (PCIe 7.2.2); BARs that no firmware has placed are placed in
 * the 32-bit window.
 */
#include "guest.h"

static uint64_t config(pci_t d, unsigned reg) { return boot.ecam + ((uint64_t)d << 12) + reg; }

static uint64_t window_next;
static bool placed;

static void place_bar(pci_t d, unsigned reg)
{
    uint32_t lo = mmio_r32(config(d, reg));
    if ((lo & 1) || (lo & ~0xfu) || ((lo & 6) == 4 && mmio_r32(config(d, reg + 4))))
        return;
    mmio_w32(config(d, reg), 0xffffffff);
    uint64_t size = 0 - (uint64_t)(int64_t)(int32_t)(mmio_r32(config(d, reg)) & ~0xfu);
    mmio_w32(config(d, reg), lo);
    if (!size || size > boot.pci_window_size / 4)
        return;
    window_next = (window_next + size - 1) & ~(size - 1);
    mmio_w32(config(d, reg), (uint32_t)window_next);
    window_next += size;
}

static void place(void)
{
    placed = true;
    window_next = boot.pci_window;
    for (unsigned d = 0; d < 256; d++) {
        uint32_t id = mmio_r32(config((pci_t)d, 0));
        if (id == 0xffffffff || id == 0 || (mmio_r8(config((pci_t)d, 0xe)) & 0x7f))
            continue;
        for (unsigned reg = 0x10; reg < 0x28;
             reg += (mmio_r32(config((pci_t)d, reg)) & 7) == 4 ? 8 : 4)
            place_bar((pci_t)d, reg);
        mmio_w16(config((pci_t)d, 4), (uint16_t)(mmio_r16(config((pci_t)d, 4)) | 2));
    }
}

uint32_t pci_read(pci_t d, unsigned reg, unsigned size)
{
    uint64_t a = config(d, reg);
    if (!boot.ecam)
        return 0xffffffff;
    if (!placed)
        place();
    return (uint32_t)mmio_read(a, size);
}

void pci_write(pci_t d, unsigned reg, unsigned size, uint32_t v)
{
    uint64_t a = config(d, reg);
    if (!boot.ecam)
        return;
    mmio_write(a, size, v);
}
