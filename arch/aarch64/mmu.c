/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mmu.c: the format of the hypervisor's own page tables at EL2, and where it puts what (the rest is
 * common/mmu.c). The loader's mappings are gone after mmu_init(). The lower half only (TTBR0_EL2),
 * so that it is the same with VHE and without. Arm ARM D8.
 *
 *   00001000_00000000  in a guest's view: its RAM, never executable
 *   00004000_00000000  the image
 *   00005000_00000000  devices and firmware tables, page by page, never given back
 *   00006000_00000000  heap
 *   00007000_00000000  stacks, 64 KiB apart, 32 KiB unmapped below each
 *   00008000_00000000  direct map of RAM that no guest has, never executable
 */
#include <arch/common.h>
#include <arch/mmu.h>

#include <hv/assert.h>
#include <hv/log.h>
#include <hv/view.h>

#include "boot/boot_info.h"
#include "private.h"

#define DIRECT_BASE BOOT_PHYS_BASE_AARCH64
#define DEVICE_BASE 0x0000500000000000ull
#define EARLY_SIZE (2 * MIB) /* of it, what can be mapped before mmu_init() */

#define PTE_VALID (1ull << 0)
#define PTE_NEXT (1ull << 1) /* at the lowest level: a page */
#define PTE_INDEX(n) ((uint64_t)(n) << 2)
/* without VHE must be 1; with VHE it would give EL0 access */
#define PTE_AP1 (1ull << 6)
#define PTE_RO (1ull << 7)
#define PTE_SH (3ull << 8) /* inner shareable */
#define PTE_AF (1ull << 10)
#define PTE_NG (1ull << 11)  /* with VHE: of one ASID; without it EL2 has none */
#define PTE_GP (1ull << 50)  /* branches must end at a BTI instruction (FEAT_BTI) */
#define PTE_PXN (1ull << 53) /* with VHE */
#define PTE_XN (1ull << 54)  /* with VHE: of EL0 */
#define PTE_ADDR 0x0000fffffffff000ull

extern uint8_t boot_stack_top[];
void arm_ap_start(void);

const struct mmu_layout mmu_layout = {
    .direct = DIRECT_BASE,
    .devices = DEVICE_BASE,
    .heap = 0x0000600000000000ull,
    .stacks = 0x0000700000000000ull,
};

static uint64_t never_exec(void) { return arm_features.vhe ? PTE_PXN : PTE_XN; }

static uint64_t host_leaf(hpa_t pa, unsigned level, unsigned prot, enum memtype type)
{
    static const uint64_t types[] = { [MEM_WB] = PTE_INDEX(MAIR_WB) | PTE_SH,
                                      [MEM_WC] = PTE_INDEX(MAIR_NC) | PTE_SH,
                                      [MEM_UC] = PTE_INDEX(MAIR_DEVICE) };
    uint64_t e = pa.v | PTE_VALID | PTE_AF | types[type] | (level ? 0 : PTE_NEXT);

    e |= arm_features.vhe ? PTE_XN : PTE_AP1;
    e |= arm_features.bti && prot & PROT_X ? PTE_GP : 0;
    return e | (prot & PROT_W ? 0 : PTE_RO) | (prot & PROT_X ? 0 : never_exec());
}

static uint64_t host_table(hpa_t pa, unsigned level)
{
    (void)level;
    return pa.v | PTE_VALID | PTE_NEXT;
}

static enum pte_kind host_kind(uint64_t pte, unsigned level)
{
    if (!(pte & PTE_VALID))
        return PTE_HOLE;
    return level && (pte & PTE_NEXT) ? PTE_TABLE : PTE_LEAF;
}

static hpa_t host_addr(uint64_t pte, unsigned level)
{
    (void)level;
    return hpa(pte & PTE_ADDR);
}

static unsigned host_prot(uint64_t pte, unsigned level)
{
    (void)level;
    return PROT_R | (pte & PTE_RO ? 0u : PROT_W) | (pte & never_exec() ? 0u : PROT_X);
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

static uint64_t view_leaf(hpa_t pa, unsigned level, unsigned prot, enum memtype type)
{
    return host_leaf(pa, level, prot, type) | (arm_features.vhe ? PTE_NG : 0);
}

static const struct pt_format view_format = {
    .name = "view",
    .levels = 4,
    .ia_bits = 48,
    .leaf_levels = 1 | 2 | 4,
    .leaf = view_leaf,
    .table = host_table,
    .kind = host_kind,
    .addr = host_addr,
    .prot = host_prot,
};

const struct pt_format *mmu_view_format(void) { return &view_format; }

/* 8 bits of ASID are everywhere: the views beyond that share the last. */
#define ASID_SHARED 255u

/* TTBR0_EL2: ASID 0 is Trivet's own (D19.2.150). */
uint64_t mmu_view_root(hpa_t root, uint32_t id)
{
    uint64_t asid = id + 1 < ASID_SHARED ? id + 1 : ASID_SHARED;

    return root.v | (arm_features.vhe ? asid << 48 : 0);
}

void view_forget(void)
{
    __asm__ volatile("dsb ishst\n\ttlbi alle2\n\tdsb nsh\n\tisb" : : : "memory");
}

/*
 * Without VHE there is no ASID, and some views share one: nothing tells one view's translations
 * from another's.
 */
void view_load(const struct view *w)
{
    dsb_ishst();
    write_sysreg(ttbr0_el2, w ? w->root : mmu_root());
    isb();
    if (!arm_features.vhe || (w && w->root >> 48 == ASID_SHARED))
        view_forget();
}

/* In the loader's tables, the first 2 MiB of the device window. */
static struct {
    uint64_t l1[512], l2[512], l3[512];
} early __attribute__((aligned(4096)));

void *phys_to_virt(hpa_t pa) { return (void *)(DIRECT_BASE + pa.v); }
hpa_t virt_to_phys(const void *va) { return hpa((uint64_t)va - DIRECT_BASE); }

void mmu_early_init(const struct boot_info *bi)
{
    uint64_t *root = phys_to_virt(hpa(bi->page_tables));

    arm_features.vhe = read_sysreg(hcr_el2) & HCR_E2H;
    mmu_know(bi);
    early.l2[0] = host_table(hpa(mmu_image_phys(early.l3)), 1);
    early.l1[0] = host_table(hpa(mmu_image_phys(early.l2)), 2);
    root[DEVICE_BASE >> 39] = host_table(hpa(mmu_image_phys(early.l1)), 3);
    dsb_ishst();
    isb();
}

static int map_early(uint64_t va, uint64_t pa, uint64_t len, unsigned prot, enum memtype type)
{
    if (va + len > DEVICE_BASE + EARLY_SIZE)
        return -ENOSPC;
    for (uint64_t o = 0; o < len; o += PAGE_SIZE)
        early.l3[(va + o - DEVICE_BASE) / PAGE_SIZE] = host_leaf(hpa(pa + o), 0, prot, type);
    dsb_ishst();
    isb();
    return 0;
}

/*
 * Holes only are filled, and no CPU keeps a hole in its TLB: the walker just has to see the entry
 * (D8.17.5).
 */
int mmu_map(uint64_t va, uint64_t pa, uint64_t len, unsigned prot, enum memtype type)
{
    if (pa >> 48)
        return -EINVAL;
    if (!mmu_host.root.v)
        return map_early(va, pa, len, prot, type);
    int err = pt_map(&mmu_host, gpa(va), hpa(pa), len, prot, type);

    dsb_ishst();
    isb();
    return err;
}

/* What was mapped before stays where it is. */
static int map_early_again(void)
{
    int err = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(early.l3) && !err; i++) {
        uint64_t e = early.l3[i];
        enum memtype type = (e >> 2 & 7) == MAIR_DEVICE ? MEM_UC
                            : (e >> 2 & 7) == MAIR_NC   ? MEM_WC
                                                        : MEM_WB;

        if (e & PTE_VALID)
            err = mmu_map(DEVICE_BASE + i * PAGE_SIZE, e & PTE_ADDR, PAGE_SIZE, host_prot(e, 0),
                          type);
    }
    return err;
}

/*
 * Both sets of tables map the image by pages of 4 KiB to the same place (its parts are smaller than
 * a block), so that what runs here never meets two sizes of one translation; nothing else is
 * touched before the old ones are gone (D8.16.1).
 */
static void switch_root(uint64_t root)
{
    __asm__ volatile("dsb ishst\n\tmsr ttbr0_el2, %0\n\tisb\n\ttlbi alle2\n\tdsb nsh\n\tisb"
                     :
                     : "r"(root)
                     : "memory");
}

int mmu_init(const struct boot_info *bi)
{
    int err = mmu_build(&host_format);

    assert_cpu0();
    (void)bi;
    if (!err)
        err = map_early_again();
    if (err)
        return err;
    switch_root(mmu_root());
    percpus[0].stack_top = boot_stack_top;
    err = protection_check();
    if (!err && arm_features.bti &&
        !must_fault(PROBE_EXEC, arch_a_return + 4, "an indirect call may end anywhere"))
        err = -EFAULT;
    if (!err)
        log_info("memory protection holds: W^X, guard pages%s", arm_features.bti ? ", BTI" : "");
    return err;
}

uint64_t mmu_ap_root(void)
{
    uint64_t page = align_down(mmu_image_phys((const void *)arm_ap_start), PAGE_SIZE);
    static struct pt ap;
    int err = pt_init(&ap, &host_format, NULL, NULL);

    if (!err)
        err = pt_map(&ap, gpa(page), hpa(page), PAGE_SIZE, PROT_R | PROT_X, MEM_WB);
    if (err)
        return 0;
    uint64_t *to = phys_to_virt(ap.root);
    const uint64_t *from = phys_to_virt(mmu_host.root);
    /* the image and all that lies behind it */
    for (unsigned i = DIRECT_BASE / 2 >> 39; i < 512; i++)
        to[i] = from[i];
    dsb_ishst();
    cache_clean(to, PAGE_SIZE);
    return ap.root.v;
}

void arch_clean_to_ram(const void *at, uint64_t len)
{
    dsb_ishst();
    cache_clean(at, len);
}
