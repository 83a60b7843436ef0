/*
 * mmu.c: the hypervisor's own address space at EL2. Everything is either writable or executable, never both; the loader's mappings are
 * gone after mmu_init(). The lower half only (TTBR0_EL2), so that it is the same with VHE and without. Arm ARM D8.
 *
 *   00004000_00000000  the image
 *   00005000_00000000  devices and firmware tables, page by page, never given back
 *   00006000_00000000  heap
 *   00007000_00000000  stacks, 64 KiB apart, 32 KiB unmapped below each
 *   00008000_00000000  direct map of RAM, never executable
 */
#include <arch/mmu.h>

#include <hv/lock.h>
#include <hv/log.h>
#include <hv/panic.h>
#include <hv/pmm.h>
#include <hv/pt.h>

#include "boot/boot_info.h"
#include "private.h"

#define DIRECT_BASE  BOOT_PHYS_BASE_AARCH64
#define DEVICE_BASE  0x0000500000000000ull
#define DEVICE_SIZE  (64 * GIB)
#define EARLY_SIZE   (2 * MIB)          /* of it, what can be mapped before mmu_init() */
#define HEAP_VA      0x0000600000000000ull
#define HEAP_SIZE    (64 * GIB)
#define STACK_BASE   0x0000700000000000ull
#define STACK_STRIDE (64 * KIB)         /* entry.S: STACK_BIT */
#define STACK_ORDER  3u                 /* 32 KiB */
#define STACK_SIZE   (PAGE_SIZE << STACK_ORDER)

#define PTE_VALID (1ull << 0)
#define PTE_NEXT  (1ull << 1)           /* at the lowest level: a page */
#define PTE_INDEX(n) ((uint64_t)(n) << 2)
#define PTE_AP1   (1ull << 6)           /* without VHE must be 1; with VHE it would give EL0 access */
#define PTE_RO    (1ull << 7)
#define PTE_SH    (3ull << 8)           /* inner shareable */
#define PTE_AF    (1ull << 10)
#define PTE_GP    (1ull << 50)          /* branches must end at a BTI instruction (FEAT_BTI) */
#define PTE_PXN   (1ull << 53)          /* with VHE */
#define PTE_XN    (1ull << 54)          /* with VHE: of EL0 */
#define PTE_ADDR  0x0000fffffffff000ull

extern uint8_t __text_start[], __text_end[], __rodata_start[], __rodata_end[], __data_start[], __data_end[];
extern uint8_t __bss_start[], __bss_end[], boot_stack_guard[], boot_stack_top[];
void arm_ap_start(void);

static uint64_t never_exec(void)
{
    return arm_features.vhe ? PTE_PXN : PTE_XN;
}

static uint64_t host_leaf(hpa_t pa, unsigned level, unsigned prot, enum memtype type)
{
    static const uint64_t types[] = { [MEM_WB] = PTE_INDEX(MAIR_WB) | PTE_SH, [MEM_WC] = PTE_INDEX(MAIR_NC) | PTE_SH,
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

static const struct pt_format host_format = {
    .name = "host", .levels = 4, .ia_bits = 48, .leaf_levels = 1 | 2 | 4, .leaf = host_leaf, .table = host_table,
    .kind = host_kind, .addr = host_addr, .prot = host_prot,
};

static struct pt host;
static uint64_t device_next = DEVICE_BASE;
static struct spinlock device_lock = SPINLOCK_INIT(LOCK_DRIVER);
static const struct boot_mem *ram;      /* what the direct map covers */
static uint32_t nram;
static uint64_t image_phys, image_virt;

/* In the loader's tables, the first 2 MiB of the device window. */
static struct { uint64_t l1[512], l2[512], l3[512]; } early __attribute__((aligned(4096)));

void *phys_to_virt(hpa_t pa) { return (void *)(DIRECT_BASE + pa.v); }
uint64_t mmu_root(void) { return host.root.v; }
uint64_t mmu_image_phys(const void *p) { return image_phys + ((uint64_t)p - image_virt); }
uint64_t arch_heap_base(void) { return HEAP_VA; }
uint64_t arch_heap_size(void) { return HEAP_SIZE; }

hpa_t virt_to_phys(const void *va)
{
    return hpa((uint64_t)va - DIRECT_BASE);
}

/* Holes only are filled, and no CPU keeps a hole in its TLB: the walker just has to see the entry (D8.17.5). */
static int map(uint64_t va, uint64_t pa, uint64_t len, unsigned prot, enum memtype type)
{
    int err = pt_map(&host, gpa(va), hpa(pa), len, prot, type);

    dsb_ishst();
    isb();
    return err;
}

void mmu_early_init(const struct boot_info *bi)
{
    uint64_t *root = phys_to_virt(hpa(bi->page_tables));

    arm_features.vhe = read_sysreg(hcr_el2) & HCR_E2H;
    image_phys = bi->image_phys;
    image_virt = bi->image_virt;
    ram = phys_to_virt(hpa(bi->mem));
    nram = bi->nmem;
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

/* What was mapped before stays where it is. */
static int map_early_again(void)
{
    int err = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(early.l3) && !err; i++) {
        uint64_t e = early.l3[i];
        enum memtype type = (e >> 2 & 7) == MAIR_DEVICE ? MEM_UC : (e >> 2 & 7) == MAIR_NC ? MEM_WC : MEM_WB;

        if (e & PTE_VALID)
            err = map(DEVICE_BASE + i * PAGE_SIZE, e & PTE_ADDR, PAGE_SIZE, host_prot(e, 0), type);
    }
    return err;
}

static bool mapped_type(uint32_t type)
{
    return type == BOOT_MEM_FREE || type == BOOT_MEM_LOADER || type == BOOT_MEM_ACPI;
}

/* Neighbours are joined first, so that the largest pages can be used. */
static int map_ram(void)
{
    int err = 0;

    for (uint32_t i = 0; i < nram && !err;) {
        uint64_t base = ram[i].base, end = base;

        if (!mapped_type(ram[i].type)) {
            i++;
            continue;
        }
        for (; i < nram && mapped_type(ram[i].type) && ram[i].base == end; i++)
            end += ram[i].len;
        err = map(DIRECT_BASE + base, base, end - base, PROT_RW, MEM_WB);
    }
    if (!err) {                         /* no second, writable way to our own code */
        uint64_t len = align_up((uint64_t)__rodata_end, PAGE_SIZE) - (uint64_t)__text_start;
        err = pt_protect(&host, gpa(DIRECT_BASE + mmu_image_phys(__text_start)), len, PROT_R);
    }
    return err;
}

static int map_part(const uint8_t *from, const uint8_t *to, unsigned prot)
{
    uint64_t a = align_down((uint64_t)from, PAGE_SIZE), b = align_up((uint64_t)to, PAGE_SIZE);

    return a == b ? 0 : map(a, image_phys + (a - image_virt), b - a, prot, MEM_WB);
}

static int map_image(void)
{
    int err = map_part(__text_start, __text_end, PROT_R | PROT_X);

    if (!err)
        err = map_part(__rodata_start, __rodata_end, PROT_R);
    if (!err)
        err = map_part(__data_start, __data_end, PROT_RW);
    if (!err)
        err = map_part(__bss_start, boot_stack_guard, PROT_RW);
    if (!err)
        err = map_part(boot_stack_guard + PAGE_SIZE, __bss_end, PROT_RW);
    return err;
}

/*
 * Both sets of tables map the image by pages of 4 KiB to the same place (its parts are smaller than a block), so that what runs here
 * never meets two sizes of one translation; nothing else is touched before the old ones are gone (D8.16.1).
 */
static void switch_root(uint64_t root)
{
    __asm__ volatile("dsb ishst\n\tmsr ttbr0_el2, %0\n\tisb\n\ttlbi alle2\n\tdsb nsh\n\tisb" : : "r"(root) : "memory");
}

int mmu_init(const struct boot_info *bi)
{
    int err = pt_init(&host, &host_format);

    spin_init(&host.lock, LOCK_HOST_PT);   /* the heap grows under its own lock */
    if (!err)
        err = map_ram();
    if (!err)
        err = map_image();
    if (!err)
        err = map_early_again();
    if (err) {
        log_err("no memory for the hypervisor's page tables");
        return err;
    }
    switch_root(host.root.v);
    percpus[0].stack_top = boot_stack_top;
    return arm_protection_check(bi->image_phys, bi->image_virt);
}

static void *map_window(hpa_t pa, uint64_t len, unsigned prot, enum memtype type)
{
    uint64_t first = align_down(pa.v, PAGE_SIZE), size = align_up(pa.v + len, PAGE_SIZE) - first, va;

    if (!len || pa.v + len < pa.v || first >> 48)
        return NULL;
    spin_lock(&device_lock);
    /* The same offset within 2 MiB lets large windows use large pages. */
    va = size >= 2 * MIB ? align_up(device_next, 2 * MIB) + (first & (2 * MIB - 1)) : device_next;
    bool fits = range_within(va, size, DEVICE_BASE, DEVICE_SIZE);
    if (fits)
        device_next = va + size;
    spin_unlock(&device_lock);
    if (!fits || (host.root.v ? map : map_early)(va, first, size, prot, type))
        return NULL;
    return (void *)(va + (pa.v - first));
}

void *mmu_map_device(hpa_t pa, uint64_t len)
{
    return map_window(pa, len, PROT_RW, MEM_UC);
}

void *mmu_map_framebuffer(hpa_t pa, uint64_t len)
{
    return map_window(pa, len, PROT_RW, MEM_WC);
}

const void *mmu_map_firmware(hpa_t pa, uint64_t len)
{
    for (uint32_t i = 0; i < nram; i++)
        if (mapped_type(ram[i].type) && range_within(pa.v, len, ram[i].base, ram[i].len))
            return phys_to_virt(pa);
    return map_window(pa, len, PROT_R, MEM_WB);
}

int mmu_map_heap(void *va, hpa_t pa, uint64_t len)
{
    return map((uint64_t)va, pa.v, len, PROT_RW, MEM_WB);
}

void *mmu_alloc_stack(uint32_t cpu)
{
    uint64_t va = STACK_BASE + cpu * STACK_STRIDE + STACK_STRIDE - STACK_SIZE;
    hpa_t pa = pmm_alloc(STACK_ORDER, PMM_HV);

    if (!pa.v)
        return NULL;
    if (map(va, pa.v, STACK_SIZE, PROT_RW, MEM_WB)) {
        pmm_free(pa, STACK_ORDER, PMM_HV);
        return NULL;
    }
    return (void *)(va + STACK_SIZE);
}

uint64_t mmu_ap_root(void)
{
    uint64_t page = align_down(mmu_image_phys((const void *)arm_ap_start), PAGE_SIZE);
    static struct pt ap;
    int err = pt_init(&ap, &host_format);

    if (!err)
        err = pt_map(&ap, gpa(page), hpa(page), PAGE_SIZE, PROT_R | PROT_X, MEM_WB);
    if (err)
        return 0;
    uint64_t *to = phys_to_virt(ap.root);
    const uint64_t *from = phys_to_virt(host.root);
    for (unsigned i = DIRECT_BASE / 2 >> 39; i < 512; i++)   /* the image and all that lies behind it */
        to[i] = from[i];
    dsb_ishst();
    cache_clean(to, PAGE_SIZE);
    return ap.root.v;
}
