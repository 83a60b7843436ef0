/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stage 1 (Arm ARM D8): 39 bits of address from TTBR0, 4 KiB granule, so that level 1 is the root.
 * Blocks of 1 GiB, all identity: those that hold RAM are normal memory, the rest nGnRE. One GiB at
 * MAP_BASE holds 4 KiB pages.
 */
#include "guest.h"

#define TABLE 3ull
#define BLOCK 1ull
#define AF (1ull << 10)
#define ISH (3ull << 8)
#define UXN (1ull << 54)
#define PXN (1ull << 53)
#define ATTR(n) ((uint64_t)(n) << 2)
enum { A_NORMAL, A_DEVICE, A_NC };

static uint64_t root[512] __attribute__((aligned(4096)));
static uint64_t map_l2[512] __attribute__((aligned(4096)));
uint64_t *page_table = root;

void mmu_init(void)
{
    uint64_t first = boot.ram_base >> 30, last = (boot.ram_end - 1) >> 30;
    for (uint64_t i = 0; i < 512; i++)
        root[i] =
            i << 30 | BLOCK | AF |
            (i >= first && i <= last ? ATTR(A_NORMAL) | ISH | UXN : ATTR(A_DEVICE) | PXN | UXN);
    root[MAP_BASE >> 30] = root[MAP_LOW >> 30] = (uint64_t)map_l2 | TABLE;
}

void mmu_on(void)
{
    uint64_t pa = read_reg(id_aa64mmfr0_el1) & 7;
    write_reg(mair_el1, 0xffull | 0x04ull << 8 * A_DEVICE | 0x44ull << 8 * A_NC);
    /* T0SZ 25, WBWA, inner shareable, EPD1 */
    write_reg(tcr_el1,
              25ull | 1ull << 8 | 1ull << 10 | 3ull << 12 | 1ull << 23 | (pa > 5 ? 5 : pa) << 32);
    write_reg(ttbr0_el1, root);
    write_reg(cpacr_el1, 3ull << 20);
    __asm__ volatile("tlbi vmalle1; dsb nsh; isb" : : : "memory");
    /* M, C, I, RES1; unaligned access allowed, SP not checked */
    write_reg(sctlr_el1, 0x30d01805);
}

static uint64_t *entry(uint64_t va)
{
    uint64_t *l2 = &map_l2[va >> 21 & 511];
    if (!(*l2 & 1))
        *l2 = (uint64_t)page_alloc(1) | TABLE;
    return (uint64_t *)(*l2 & 0xfffffffff000) + (va >> 12 & 511);
}

void map_page(uint64_t va, uint64_t pa, unsigned how)
{
    uint64_t e = (pa & 0xfffffffff000) | 3 | AF;
    e |= how & MAP_DEVICE ? ATTR(A_DEVICE) : how & MAP_NC ? ATTR(A_NC) : ATTR(A_NORMAL) | ISH;
    e |= how & MAP_USER ? 1ull << 6 | PXN : UXN;
    e |= (how & MAP_RO ? 1ull << 7 : 0) | (how & MAP_NOEXEC ? UXN | PXN : 0);
    *entry(va) = e;
    __asm__ volatile("dsb ishst; isb" : : : "memory");
}

void unmap_page(uint64_t va)
{
    *entry(va) = 0;
    __asm__ volatile("dsb ishst; isb" : : : "memory");
}
