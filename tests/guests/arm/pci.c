/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pci: enumeration by ECAM, narrow reads, sizes and moves of BARs, capability lists, absent
 * functions. Options: emulator.
 */
#include "lib/guest.h"

enum { PVPANIC_ID = 0x00111b36 };

static void narrow(pci_t d)
{
    for (unsigned i = 0; i < 64; i += 4) {
        uint32_t v = pci_read(d, i, 4);
        if (pci_read(d, i + 2, 2) != v >> 16 || pci_read(d, i + 3, 1) != v >> 24 ||
            pci_read(d, i + 1, 1) != (v >> 8 & 0xff))
            fail("pci ECAM", "%x register %x: narrow reads differ from %x", d, i, v);
    }
}

/*
 * Moves a memory BAR within the window, and sees the same contents there and nothing (an abort, or
 * all ones) where it was.
 */
static uint64_t value;
static void load(void *at) { value = mmio_r32((uint64_t)at); }

static bool gone(uint64_t at)
{
    value = 0;
    int v = trap_try(load, (void *)at);
    return v == EC_DABT || (v < 0 && value == 0xffffffff);
}

static void move_bar(pci_t d, unsigned bar)
{
    uint64_t size = 0, at = pci_bar(d, bar, &size);
    unsigned reg = 0x10 + bar * 4;
    if (!at || at >= 0x100000000ull || size > 0x1000000)
        return;
    if (size < 16 || (size & (size - 1)) || (at & (size - 1)) || at < boot.pci_window ||
        at + size > boot.pci_window + boot.pci_window_size)
        fail("pci BAR", "%x bar %u: %lx, size %lx", d, bar, at, size);
    uint64_t to = (boot.pci_window + boot.pci_window_size / 2) & ~(size - 1);
    uint32_t low = pci_read(d, reg, 4);
    pci_write(d, 4, 2, pci_read(d, 4, 2) | 2);
    uint32_t before = mmio_r32(at);
    pci_write(d, reg, 4, (uint32_t)to | (low & 15));
    uint32_t there = mmio_r32(to);
    bool here = gone(at);
    pci_write(d, 4, 2, pci_read(d, 4, 2) & ~2u);
    bool off = gone(to);
    pci_write(d, 4, 2, pci_read(d, 4, 2) | 2);
    pci_write(d, reg, 4, low);
    if (there != before || !here || !off || mmio_r32(at) != before)
        fail("pci BAR move", "%x bar %u: %x before, %x moved, gone %u, switched off %u", d, bar,
             before, there, here, off);
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
    unsigned n = pci_scan(list, 32);

    if (cmdline_has("panic"))
        tell_panic(list, n);
    for (unsigned i = 0; i < n; i++) {
        pci_t d = list[i];
        print("%x: %x class %x, capabilities:", d, pci_read(d, 0, 4), pci_read(d, 8, 4) >> 8);
        for (unsigned c = pci_read(d, 6, 2) & 0x10 ? pci_read(d, 0x34, 1) : 0, k = 0; c && k < 48;
             c = pci_read(d, c + 1, 1), k++)
            print(" %x", pci_read(d, c, 1));
        print(", bars");
        for (unsigned b = 0; b < 6; b++)
            print(" %lx", pci_bar(d, b, NULL));
        print("\n");
        narrow(d);
        for (unsigned b = 0; b < 6 && !cmdline_has("emulator"); b++)
            move_bar(d, b);
    }
    if (pci_read(0xf8, 0, 4) != 0xffffffff)
        fail("pci absent", "%x", pci_read(0xf8, 0, 4));
    if (boot.ecam_size > 0x0f00000 && pci_read(0x0f00, 0, 4) != 0xffffffff)
        fail("pci absent bus", "%x", pci_read(0x0f00, 0, 4));
    if (n < 2)
        fail("pci", "%u functions", n);
    if (!failures)
        pass("pci");
}
