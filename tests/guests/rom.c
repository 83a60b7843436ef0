/* SPDX-License-Identifier: BSD-2-Clause */
/* See rom.h: flash up to 4 GiB, fw_cfg by ports (QEMU docs/specs/fw_cfg). */
#include "rom.h"

enum { SELECT = 0x510, DATA = 0x511, DMA_HIGH = 0x514, DMA_LOW = 0x518 };

const struct rom rom = { .vars = 0x100000000 - 0x10000 - 0x4000,
                         .vars_len = 0x4000,
                         .code = 0x100000000 - 0x10000,
                         .code_len = 0x10000,
                         .chips = 1,
                         .device = APIC_PAGE };

void cfg_select(uint16_t key) { outw(SELECT, key); }
uint8_t cfg_byte(void) { return inb(DATA); }

void cfg_dma(uint64_t at)
{
    outl(DMA_HIGH, __builtin_bswap32((uint32_t)(at >> 32)));
    outl(DMA_LOW, __builtin_bswap32((uint32_t)at));
}

void cfg_garbage(uint32_t seed, uint64_t value)
{
    uint16_t port = (uint16_t)(SELECT + seed % 12);

    switch (seed / 12 % 6) {
    case 0: outb(port, (uint8_t)value); break;
    case 1: outw(port, (uint16_t)value); break;
    case 2: outl(port, (uint32_t)value); break;
    case 3: inb(port); break;
    case 4: inw(port); break;
    default: inl(port); break;
    }
}
