/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pci: enumeration by CF8 and ECAM alike, sizes and moves of BARs, capability lists, absent
 * functions.
 */
#include "lib/guest.h"

enum { PVPANIC_ID = 0x00111b36 };

/*
 * virtio's window to its BARs (virtio 1.2 4.1.4.9): its data register is no plain register. 0:
 * none.
 */
static unsigned window(pci_t d)
{
    for (unsigned c = pci_cap(d, 9, 0); c; c = pci_cap(d, 9, c))
        if ((pci_read(d, 0, 4) & 0xffff) == 0x1af4 && pci_read(d, c + 3, 1) == 5)
            return c + 16;
    return 0;
}

static void same_both_ways(pci_t d)
{
    uint32_t cf8[64];
    unsigned skip = window(d);
    for (unsigned i = 0; i < 64; i++)
        cf8[i] = pci_read(d, i * 4, 4);
    pci_use_ecam = true;
    for (unsigned i = 0; i < 64; i++) {
        if (skip && i == skip / 4)
            continue;
        if (pci_read(d, i * 4, 4) != cf8[i])
            fail("pci ECAM", "%x register %x: %x, by CF8 %x", d, i * 4, pci_read(d, i * 4, 4),
                 cf8[i]);
        if (pci_read(d, i * 4 + 2, 2) != cf8[i] >> 16 || pci_read(d, i * 4 + 3, 1) != cf8[i] >> 24)
            fail("pci ECAM", "%x register %x: narrow reads differ", d, i * 4);
    }
    pci_use_ecam = false;
}

/*
 * Moves a memory BAR within its window, and sees the same contents there and nothing where it was.
 */
static void move_bar(pci_t d, unsigned bar)
{
    uint64_t size = 0, at = pci_bar(d, bar, &size);
    if (!at || at >= 0x100000000ull || size > 0x1000000)
        return;
    unsigned reg = 0x10 + bar * 4;
    uint64_t to = 0xd8000000 & ~(size - 1);
    uint32_t low = pci_read(d, reg, 4), before = mmio_r32(at);
    if (size < 16 || (size & (size - 1)) || (at & (size - 1)))
        fail("pci BAR", "%x bar %u: %lx, size %lx", d, bar, at, size);
    pci_write(d, reg, 4, (uint32_t)to);
    uint32_t there = mmio_r32(to), here = mmio_r32(at);
    pci_write(d, 4, 2, pci_read(d, 4, 2) & ~2u);
    uint32_t off = mmio_r32(to);
    pci_write(d, 4, 2, pci_read(d, 4, 2) | 2);
    pci_write(d, reg, 4, low);
    if (there != before || here != 0xffffffff || off != 0xffffffff || mmio_r32(at) != before)
        fail("pci BAR move", "%x bar %u: %x before, %x moved, %x left behind, %x switched off", d,
             bar, before, there, here, off);
}

/* As Linux's driver of pvpanic: the panic is told, and that is the end. */
static void tell_panic(const pci_t *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (pci_read(list[i], 0, 4) == PVPANIC_ID) {
            volatile uint8_t *told = (volatile uint8_t *)pci_bar(list[i], 0, NULL);

            pci_write(list[i], 4, 2, 2); /* memory */
            if (*told != 3)
                fail("pvpanic", "%x", *told);
            print("telling of a panic\n");
            *told = 1;
        }
}

void guest_main(void)
{
    pci_t list[32];
    acpi_init();
    unsigned n = pci_scan(list, 32);

    if (cmdline_has("panic"))
        tell_panic(list, n);
    for (unsigned i = 0; i < n; i++) {
        pci_t d = list[i];
        print("%x: %x class %x, capabilities:", d, pci_read(d, 0, 4), pci_read(d, 8, 4) >> 8);
        for (unsigned c = pci_read(d, 6, 2) & 0x10 ? pci_read(d, 0x34, 1) : 0, k = 0; c && k < 48;
             c = pci_read(d, c + 1, 1), k++)
            print(" %x", pci_read(d, c, 1));
        print("\n");
        if (acpi.ecam)
            same_both_ways(d);
        for (unsigned b = 0; b < 6 && !cmdline_has("emulator"); b++)
            move_bar(d, b);
    }
    if (pci_read(0xf8, 0, 4) != 0xffffffff && !cmdline_has("emulator"))
        fail("pci absent", "%x", pci_read(0xf8, 0, 4));
    if (n < 2)
        fail("pci", "%u functions", n);
    if (!failures)
        pass("pci");
}
