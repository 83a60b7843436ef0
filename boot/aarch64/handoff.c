/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * handoff.c: the page tables that the hypervisor is entered with at EL2 (Arm ARM D8), with the page
 * of the code that switches at its own address. The hypervisor replaces them with its own at once.
 */
#include "../loader.h"

#define PTE_VALID (1ull << 0)
#define PTE_TABLE (1ull << 1) /* at level 3: a page */
#define PTE_NC (2ull << 2)    /* MAIR: not cached */
/* without VHE must be 1; with VHE it would give EL0 access */
#define PTE_AP1 (1ull << 6)
#define PTE_RO (1ull << 7)
#define PTE_SH (3ull << 8) /* inner shareable */
#define PTE_AF (1ull << 10)
#define PTE_PXN (1ull << 53) /* with VHE */
#define PTE_XN (1ull << 54)  /* with VHE: of EL0 */
#define PTE_ADDR 0x0000fffffffff000ull

#define HCR_FMO_IMO_AMO (7ull << 3)
#define HCR_RW (1ull << 31)
#define HCR_E2H (1ull << 34)
/* 48 bits, tables in cached, shared memory */
#define TCR_COMMON (16ull | 1ull << 8 | 1ull << 10 | 3ull << 12)
#define TCR_NVHE (TCR_COMMON | 1ull << 23 | 1ull << 31)
#define TCR_VHE (TCR_COMMON | 16ull << 16 | 1ull << 23 | 2ull << 30)
/* 0: write-back, 1: device, 2: not cached; as the hypervisor has them */
#define MAIR 0x4404ffull
/* RES1, M, C, SA, I */
#define SCTLR (0x30c50830ull | 1ull << 0 | 1ull << 2 | 1ull << 3 | 1ull << 12)

const uint16_t elf_machine = 183; /* EM_AARCH64 */
const unsigned loader_isa = 1;
const uint64_t direct_limit = 1ull << 47; /* the map begins in the middle of the 48 bits */
/* the image's own addresses begin there, and it is once mapped to itself */
const uint64_t image_limit = (1ull << 46) - 1;
const uint64_t direct_base = BOOT_PHYS_BASE_AARCH64;

/* switch.S */
extern const uint8_t handoff_code[], handoff_code_end[];
struct machine {
    uint64_t hcr, tcr, mair, sctlr;
};
_Noreturn void handoff_switch(uint64_t root, uint64_t entry, uint64_t info, uint64_t hcr,
                              uint64_t tcr, uint64_t mair, uint64_t sctlr);

static uint64_t root;

#define READ(reg)                                    \
    ({                                               \
        uint64_t v_;                                 \
        __asm__ volatile("mrs %0, " reg : "=r"(v_)); \
        v_;                                          \
    })

uint64_t boot_cycles(void)
{
    __asm__ volatile("isb" : : : "memory");
    return READ("cntpct_el0");
}

static unsigned current_el(void) { return (unsigned)(READ("CurrentEL") >> 2 & 3); }

static bool has_vhe(void) { return READ("id_aa64mmfr1_el1") >> 8 & 15; }

const CHAR16 *machine_check(void)
{
    if (current_el() != 2)
        return L"the firmware runs at EL1, so that the virtualisation of this CPU is not ours to "
               L"use; "
               L"start Trivet on the bare machine (QEMU: -machine virt,virtualization=on), or turn "
               L"virtualisation on in the firmware's setup";
    if ((READ("id_aa64mmfr0_el1") >> 28 & 15) == 15)
        return L"this CPU has no page tables of 4 KiB";
    return NULL;
}

/* To the point of coherency: with its MMU off a CPU sees no cache (Arm ARM D7.5). */
static void clean(uint64_t from, uint64_t len)
{
    uint64_t line = 4ull << (READ("ctr_el0") >> 16 & 15);

    for (uint64_t a = from & ~(line - 1); a < from + len; a += line)
        __asm__ volatile("dc civac, %0" : : "r"(a) : "memory");
    __asm__ volatile("dsb sy" : : : "memory");
}

static uint64_t *new_table(void)
{
    uint64_t p = alloc_pages(4096, direct_limit - 1);

    if (p)
        SetMem((void *)p, 4096, 0);
    return (uint64_t *)p;
}

static uint64_t bits_of(unsigned flags)
{
    uint64_t bits = (flags & MAP_WRITE ? 0 : PTE_RO) | (flags & MAP_DEVICE ? PTE_NC : 0);

    if (has_vhe())
        return bits | PTE_XN | (flags & MAP_EXEC ? 0 : PTE_PXN);
    return bits | PTE_AP1 | (flags & MAP_EXEC ? 0 : PTE_XN);
}

/* Maps of firmware may overlap. */
EFI_STATUS map_block(uint64_t virt, uint64_t phys, unsigned shift, unsigned flags)
{
    uint64_t *t = (uint64_t *)root, *e;

    for (unsigned s = 39;; s -= 9) {
        e = &t[virt >> s & 511];
        if (s == shift)
            break;
        if (!(*e & PTE_VALID)) {
            uint64_t *n = new_table();
            if (!n)
                return EFI_OUT_OF_RESOURCES;
            *e = (uint64_t)n | PTE_TABLE | PTE_VALID;
        }
        if (!(*e & PTE_TABLE))
            return EFI_SUCCESS;
        t = (uint64_t *)(*e & PTE_ADDR);
    }
    if (!(*e & PTE_VALID))
        *e = phys | bits_of(flags) | PTE_AF | PTE_SH | (shift == 12 ? PTE_TABLE : 0) | PTE_VALID;
    return EFI_SUCCESS;
}

unsigned largest_block(void) { return 30; }

EFI_STATUS tables_begin(struct boot_info *bi)
{
    root = (uint64_t)new_table();
    bi->page_tables = root;
    return root ? EFI_SUCCESS : EFI_OUT_OF_RESOURCES;
}

EFI_STATUS handoff_prepare(struct boot_info *bi)
{
    uint64_t first = (uint64_t)handoff_code & ~4095ull,
             last = ((uint64_t)handoff_code_end - 1) & ~4095ull;
    EFI_STATUS st = map_block(first, first, 12, MAP_EXEC);

    if (!bad(st) && last != first)
        st = map_block(last, last, 12, MAP_EXEC);
    clean(first, last + 4096 - first);
    clean(bi->image_phys, bi->image_size);
    return st;
}

_Noreturn void handoff(struct boot_info *bi, uint64_t entry)
{
    uint64_t pa = READ("id_aa64mmfr0_el1") & 15, hcr = HCR_RW | HCR_FMO_IMO_AMO, tcr;

    if (pa > 5)
        pa = 5; /* more than 48 bits need other tables */
    tcr = has_vhe() ? TCR_VHE | pa << 32 : TCR_NVHE | pa << 16;
    hcr |= has_vhe() ? HCR_E2H : 0;
    handoff_switch(root, entry, BOOT_PHYS_BASE_AARCH64 + bi->self, hcr, tcr, MAIR, SCTLR);
}
