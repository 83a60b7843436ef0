/*
 * mmu.c: the hypervisor's own address space. Everything is either writable or executable, never both; the identity map of
 * the loader is gone after mmu_init(). AMD APM volume 2 section 5.3.
 *
 *   ffff8000_00000000  direct map of RAM, never executable
 *   ffffc000_00000000  devices and firmware tables, page by page, never given back
 *   ffffd000_00000000  heap
 *   ffffe000_00000000  stacks, 64 KiB apart, an unmapped page below each
 *   ffffffff_80000000  the image
 */
#include <arch/mmu.h>

#include <hv/lock.h>
#include <hv/log.h>
#include <hv/panic.h>
#include <hv/pmm.h>
#include <hv/pt.h>

#include "boot/boot_info.h"
#include "private.h"

#define DIRECT_BASE  BOOT_PHYS_BASE_X86_64
#define DEVICE_BASE  0xffffc00000000000ull
#define DEVICE_SIZE  (64 * GIB)
#define HEAP_VA      0xffffd00000000000ull
#define HEAP_SIZE    (64 * GIB)
#define STACK_BASE   0xffffe00000000000ull
#define STACK_STRIDE (64 * KIB)
#define STACK_ORDER  3u                 /* 32 KiB */
#define STACK_SIZE   (PAGE_SIZE << STACK_ORDER)
#define VA_MASK      0x0000ffffffffffffull

#define PTE_P   (1ull << 0)
#define PTE_W   (1ull << 1)
#define PTE_PWT (1ull << 3)
#define PTE_PCD (1ull << 4)
#define PTE_A   (1ull << 5)
#define PTE_D   (1ull << 6)
#define PTE_PS  (1ull << 7)
#define PTE_G   (1ull << 8)
#define PTE_NX  (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull

extern uint8_t __text_start[], __text_end[], __rodata_start[], __rodata_end[], __data_start[], __data_end[];
extern uint8_t __bss_start[], __bss_end[], boot_stack_guard[], boot_stack_top[];

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

static struct pt_format host_format = {
    .name = "host", .levels = 4, .ia_bits = 48, .leaf_levels = 1 | 2, .leaf = host_leaf, .table = host_table,
    .kind = host_kind, .addr = host_addr, .prot = host_prot,
};

static struct pt host;
static uint64_t device_next = DEVICE_BASE;
static struct spinlock device_lock = SPINLOCK_INIT(LOCK_DRIVER);
static const struct boot_mem *ram;      /* what the direct map covers */
static uint32_t nram;

void *phys_to_virt(hpa_t pa) { return (void *)(DIRECT_BASE + pa.v); }
uint64_t mmu_root(void) { return host.root.v; }
uint64_t arch_heap_base(void) { return HEAP_VA; }
uint64_t arch_heap_size(void) { return HEAP_SIZE; }

hpa_t virt_to_phys(const void *va)
{
    return hpa((uint64_t)va - DIRECT_BASE);
}

static int map(uint64_t va, uint64_t pa, uint64_t len, unsigned prot, enum memtype type)
{
    return pt_map(&host, gpa(va & VA_MASK), hpa(pa), len, prot, type);
}

static bool mapped_type(uint32_t type)
{
    return type == BOOT_MEM_FREE || type == BOOT_MEM_LOADER || type == BOOT_MEM_ACPI;
}

/* Neighbours are joined first, so that the largest pages can be used. */
static int map_ram(const struct boot_info *bi)
{
    int err = 0;

    ram = phys_to_virt(hpa(bi->mem));
    nram = bi->nmem;
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
        uint64_t first = bi->image_phys + ((uint64_t)__text_start - bi->image_virt);
        uint64_t len = align_up((uint64_t)__rodata_end, PAGE_SIZE) - (uint64_t)__text_start;
        err = pt_protect(&host, gpa((DIRECT_BASE + first) & VA_MASK), len, PROT_R);
    }
    return err;
}

static int map_part(const struct boot_info *bi, const uint8_t *from, const uint8_t *to, unsigned prot)
{
    uint64_t a = align_down((uint64_t)from, PAGE_SIZE), b = align_up((uint64_t)to, PAGE_SIZE);

    return a == b ? 0 : map(a, bi->image_phys + (a - bi->image_virt), b - a, prot, MEM_WB);
}

static int map_image(const struct boot_info *bi)
{
    int err = map_part(bi, __text_start, __text_end, PROT_R | PROT_X);

    if (!err)
        err = map_part(bi, __rodata_start, __rodata_end, PROT_R);
    if (!err)
        err = map_part(bi, __data_start, __data_end, PROT_RW);
    if (!err)
        err = map_part(bi, __bss_start, boot_stack_guard, PROT_RW);
    if (!err)
        err = map_part(bi, boot_stack_guard + PAGE_SIZE, __bss_end, PROT_RW);
    return err;
}

int mmu_init(const struct boot_info *bi)
{
    int err;

    if (x86_features.page1g)
        host_format.leaf_levels |= 4;
    err = pt_init(&host, &host_format);
    spin_init(&host.lock, LOCK_HOST_PT);   /* the heap grows under its own lock */
    if (!err)
        err = map_ram(bi);
    if (!err)
        err = map_image(bi);
    if (err) {
        log_err("no memory for the hypervisor's page tables");
        return err;
    }
    write_cr3(host.root.v);
    percpus[0].stack_top = boot_stack_top;
    return x86_protection_check(bi->image_phys, bi->image_virt);
}

static void *map_window(hpa_t pa, uint64_t len, unsigned prot, enum memtype type)
{
    uint64_t first = align_down(pa.v, PAGE_SIZE), size = align_up(pa.v + len, PAGE_SIZE) - first, va;

    if (!len || pa.v + len < pa.v || first >> x86_features.phys_bits)
        return NULL;
    spin_lock(&device_lock);
    /* The same offset within 2 MiB lets large windows use large pages. */
    va = size >= 2 * MIB ? align_up(device_next, 2 * MIB) + (first & (2 * MIB - 1)) : device_next;
    bool fits = range_within(va, size, DEVICE_BASE, DEVICE_SIZE);
    if (fits)
        device_next = va + size;
    spin_unlock(&device_lock);
    if (!fits || map(va, first, size, prot, type))
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
