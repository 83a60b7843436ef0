/* SPDX-License-Identifier: BSD-2-Clause */
/* See rom.h: flash at 0 and at 64 MiB, two chips of 16 bits; fw_cfg in memory. */
#include "rom.h"

#define FW_CFG 0x09020000ull
enum { DATA = 0, SELECT = 8, DMA = 16 };

const struct rom rom = { .vars = 0x4000000,
                         .vars_len = 0xc0000,
                         .code = 0,
                         .code_len = 0x10000,
                         .chips = 0x10001,
                         .device = 0x09000000 };

void cfg_select(uint16_t key) { mmio_w16(FW_CFG + SELECT, __builtin_bswap16(key)); }
uint8_t cfg_byte(void) { return mmio_r8(FW_CFG + DATA); }
void cfg_dma(uint64_t at) { mmio_w64(FW_CFG + DMA, __builtin_bswap64(at)); }

/* The page has nothing else in it: what is not a register's is a hole's. */
static void access_garbage(void *arg)
{
    const uint64_t *a = arg;
    uint64_t at = FW_CFG + a[0] % 32;

    switch (a[0] / 32 % 8) {
    case 0: mmio_w8(at, (uint8_t)a[1]); break;
    case 1: mmio_w16(at & ~1ull, (uint16_t)a[1]); break;
    case 2: mmio_w32(at & ~3ull, (uint32_t)a[1]); break;
    case 3: mmio_w64(at & ~7ull, a[1]); break;
    case 4: mmio_r8(at); break;
    case 5: mmio_r16(at & ~1ull); break;
    case 6: mmio_r32(at & ~3ull); break;
    default: mmio_r64(at & ~7ull); break;
    }
}

void cfg_garbage(uint32_t seed, uint64_t value)
{
    trap_try(access_garbage, &(uint64_t[]){ seed, value });
}
