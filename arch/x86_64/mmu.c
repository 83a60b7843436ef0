/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mmu.c: the format of the hypervisor's own page tables, and where it puts what (the rest is
 * common/mmu.c). The identity map of the loader is gone after mmu_init(). AMD APM volume 2
 * section 5.3.
 *
 *   00001000_00000000  in a guest's view: its RAM, never executable
 *   ffff8000_00000000  direct map of RAM that no guest has, never executable
 *   ffffc000_00000000  devices and firmware tables, page by page, never given back
 *   ffffd000_00000000  heap
 *   ffffe000_00000000  stacks, 64 KiB apart, an unmapped page below each
 *   ffffffff_80000000  the image
 */
#include <arch/common.h>
#include <arch/mmu.h>

#include <hv/assert.h>
#include <hv/log.h>
#include <hv/view.h>

#include "boot/boot_info.h"
#include "private.h"

#define DIRECT_BASE BOOT_PHYS_BASE_X86_64

#define PTE_P (1ull << 0)
#define PTE_W (1ull << 1)
#define PTE_PWT (1ull << 3)
#define PTE_PCD (1ull << 4)
#define PTE_A (1ull << 5)
#define PTE_D (1ull << 6)
#define PTE_PS (1ull << 7)
#define PTE_G (1ull << 8)
#define PTE_NX (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull

extern uint8_t boot_stack_top[];

const struct mmu_layout mmu_layout = {
    .direct = DIRECT_BASE,
    .devices = 0xffffc00000000000ull,
    .heap = 0xffffd00000000000ull,
    .stacks = 0xffffe00000000000ull,
};

/* Memory types by PAT entry (cpu.c): 0 WB, 1 WC, 3 UC. */
static uint64_t host_leaf(hpa_t pa, unsigned level, unsigned prot, enum memtype type)
{
    uint64_t e = pa.v | PTE_P | PTE_A | PTE_D | PTE_G | (level ? PTE_PS : 0);

    e |= type == MEM_UC ? PTE_PCD | PTE_PWT : type == MEM_WC ? PTE_PWT : 0;
    return e | (prot & PROT_W ? PTE_W : 0) | (prot & PROT_X ? 0 : PTE_NX);
}

static uint64_t host_table(hpa_t pa, unsigned level)
{
    (void)level;
    return pa.v | PTE_P | PTE_W;
}

static enum pte_kind host_kind(uint64_t pte, unsigned level)
{
    if (!(pte & PTE_P))
        return PTE_HOLE;
    return level == 0 || (pte & PTE_PS) ? PTE_LEAF : PTE_TABLE;
}

static hpa_t host_addr(uint64_t pte, unsigned level)
{
    (void)level;
    return hpa(pte & PTE_ADDR);
}

static unsigned host_prot(uint64_t pte, unsigned level)
{
    (void)level;
    return PROT_R | (pte & PTE_W ? PROT_W : 0u) | (pte & PTE_NX ? 0u : PROT_X);
}

/* Nothing larger than what guests take out of the direct map (VIEW_BLOCK). */
static const struct pt_format host_format = {
    .name = "host",
    .levels = 4,
    .ia_bits = 48,
    .leaf_levels = 1 | 2,
    .leaf = host_leaf,
    .table = host_table,
    .kind = host_kind,
    .addr = host_addr,
    .prot = host_prot,
};

/* Not global: gone when CR3 is written (section 5.5.1). */
static uint64_t view_leaf(hpa_t pa, unsigned level, unsigned prot, enum memtype type)
{
    return host_leaf(pa, level, prot, type) & ~PTE_G;
}

static struct pt_format view_format = {
    .name = "view",
    .levels = 4,
    .ia_bits = 48,
    .leaf_levels = 1 | 2,
    .leaf = view_leaf,
    .table = host_table,
    .kind = host_kind,
    .addr = host_addr,
    .prot = host_prot,
};

const struct pt_format *mmu_view_format(void)
{
    if (x86_features.page1g)
        view_format.leaf_levels |= 4;
    return &view_format;
}

uint64_t mmu_view_root(hpa_t root, uint32_t id)
{
    (void)id;
    return root.v;
}

void view_load(const struct view *w) { write_cr3(w ? w->root : mmu_root()); }

/* Clearing CR4.PGE drops global translations, too (section 5.5.2). */
void view_forget(void)
{
    uint64_t cr4 = read_cr4();

    write_cr4(cr4 & ~(uint64_t)CR4_PGE);
    write_cr4(cr4);
    write_cr3(read_cr3());
}

void *phys_to_virt(hpa_t pa) { return (void *)(DIRECT_BASE + pa.v); }
hpa_t virt_to_phys(const void *va) { return hpa((uint64_t)va - DIRECT_BASE); }

/* Nothing to make visible: no CPU keeps a hole in its TLB (section 5.5.2). */
int mmu_map(uint64_t va, uint64_t pa, uint64_t len, unsigned prot, enum memtype type)
{
    if (pa >> x86_features.phys_bits)
        return -EINVAL;
    return pt_map(&mmu_host, gpa(va & MMU_VA_MASK), hpa(pa), len, prot, type);
}

int mmu_init(const struct boot_info *bi)
{
    assert_cpu0();
    mmu_know(bi);
    int err = mmu_build(&host_format);
    if (err)
        return err;
    write_cr3(mmu_root());
    percpus[0].stack_top = boot_stack_top;
    err = protection_check();
    if (!err)
        log_debug("memory protection holds: W^X, guard pages%s%s",
                  x86_features.smep ? ", SMEP" : "", x86_features.smap ? ", SMAP" : "");
    return err;
}

void arch_clean_to_ram(const void *at, uint64_t len) { cache_flush(at, len); }
