/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mmu.c: the hypervisor's own address space, as it is on every ISA. Everything is either writable
 * or executable, never both; the loader's mappings are gone when the ISA's mmu_init() is through.
 * Its mmu.c has the format of the tables and says where the parts lie.
 */
#include <arch/common.h>
#include <arch/mmu.h>

#include <hv/assert.h>
#include <hv/lock.h>
#include <hv/log.h>
#include <hv/pmm.h>

#include "boot/boot_info.h"

/* what is not the stack stays unmapped below it; aarch64/entry.S: STACK_BIT */
#define STACK_STRIDE (64 * KIB)
#define STACK_ORDER 3u /* 32 KiB */
#define STACK_SIZE (PAGE_SIZE << STACK_ORDER)

extern uint8_t __text_start[], __text_end[], __rodata_start[], __rodata_end[], __data_start[],
    __data_end[];
extern uint8_t __bss_start[], __bss_end[], boot_stack_guard[];

struct pt mmu_host;
static uint64_t window_used; /* bytes of the window for devices */
static struct spinlock window_lock = SPINLOCK_INIT(LOCK_DRIVER);
static const struct boot_mem *ram; /* what the direct map covers */
static uint32_t nram;
static struct boot_fb screen;
static uint64_t image_phys, image_virt;

uint64_t mmu_root(void) { return mmu_host.root.v; }
uint64_t mmu_image_phys(const void *p) { return image_phys + ((uint64_t)p - image_virt); }
uint64_t arch_heap_base(void) { return mmu_layout.heap; }
uint64_t arch_heap_size(void) { return MMU_WINDOW; }

void mmu_know(const struct boot_info *bi)
{
    assert_cpu0();
    image_phys = bi->image_phys;
    image_virt = bi->image_virt;
    ram = phys_to_virt(hpa(bi->mem));
    nram = bi->nmem;
    screen = bi->fb;
}

static bool mapped_type(uint32_t type)
{
    return type == BOOT_MEM_FREE || type == BOOT_MEM_BOOT_SERVICES || type == BOOT_MEM_LOADER ||
           type == BOOT_MEM_ACPI;
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
        err = mmu_map(mmu_layout.direct + base, base, end - base, PROT_RW, MEM_WB);
    }
    return err;
}

/* Where the loader's tables had it, so that the screen goes on across mmu_init(). */
static int mmu_map_screen(void)
{
    uint64_t base = align_down(screen.base, PAGE_SIZE);

    if (screen.format == BOOT_FB_NONE)
        return 0;
    return mmu_map(mmu_layout.direct + base, base,
                   align_up(screen.base + screen.size, PAGE_SIZE) - base, PROT_RW, MEM_WC);
}

/* Leaves no second, writable way to our own code. */
static int protect_alias(void)
{
    uint64_t alias = mmu_layout.direct + mmu_image_phys(__text_start);
    uint64_t len = align_up((uint64_t)__rodata_end, PAGE_SIZE) - (uint64_t)__text_start;

    return pt_protect(&mmu_host, gpa(alias & MMU_VA_MASK), len, PROT_R);
}

static int map_image(void)
{
    const struct {
        const uint8_t *from, *to;
        unsigned prot;
    } parts[] = {
        { __text_start, __text_end, PROT_R | PROT_X },
        { __rodata_start, __rodata_end, PROT_R },
        { __data_start, __data_end, PROT_RW },
        { __bss_start, boot_stack_guard, PROT_RW },
        { boot_stack_guard + PAGE_SIZE, __bss_end, PROT_RW },
    };
    int err = 0;

    for (size_t i = 0; i < ARRAY_SIZE(parts) && !err; i++) {
        const uint8_t *from = (const uint8_t *)align_down((uint64_t)parts[i].from, PAGE_SIZE);
        uint64_t len = align_up((uint64_t)parts[i].to, PAGE_SIZE) - (uint64_t)from;

        err = len ? mmu_map((uint64_t)from, mmu_image_phys(from), len, parts[i].prot, MEM_WB) : 0;
    }
    return err;
}

/* Views share the tables below the root, so all that will ever be there is there from now on. */
static int keep_windows(void)
{
    const uint64_t windows[] = { mmu_layout.devices, mmu_layout.heap, mmu_layout.stacks };
    int err = 0;

    static_assert(MAX_CPUS * STACK_STRIDE < MMU_WINDOW, "stacks");
    for (size_t i = 0; i < ARRAY_SIZE(windows) && !err; i++)
        err = pt_keep(&mmu_host, gpa(windows[i] & MMU_VA_MASK), MMU_WINDOW);
    return err;
}

int mmu_build(const struct pt_format *format)
{
    int err = pt_init(&mmu_host, format, NULL, NULL);

    assert_cpu0();
    spin_init(&mmu_host.lock, LOCK_HOST_PT); /* the heap grows under its own lock */
    if (!err)
        err = map_ram();
    if (!err)
        err = mmu_map_screen();
    if (!err)
        err = protect_alias();
    if (!err)
        err = map_image();
    if (!err)
        err = keep_windows();
    if (err)
        log_err("no memory for the hypervisor's page tables");
    return err;
}

static void *map_window(hpa_t pa, uint64_t len, unsigned prot, enum memtype type)
{
    uint64_t first = align_down(pa.v, PAGE_SIZE), size = align_up(pa.v + len, PAGE_SIZE) - first;

    if (!len || pa.v + len < pa.v)
        return NULL;
    spin_lock(&window_lock);
    /* The same offset within 2 MiB lets large windows use large pages. */
    uint64_t at =
        size >= 2 * MIB ? align_up(window_used, 2 * MIB) + (first & (2 * MIB - 1)) : window_used;
    bool fits = range_within(at, size, 0, MMU_WINDOW);
    if (fits)
        window_used = at + size;
    spin_unlock(&window_lock);
    if (!fits || mmu_map(mmu_layout.devices + at, first, size, prot, type))
        return NULL;
    return (void *)(mmu_layout.devices + at + (pa.v - first));
}

void *mmu_map_device(hpa_t pa, uint64_t len) { return map_window(pa, len, PROT_RW, MEM_UC); }

const void *mmu_map_firmware(hpa_t pa, uint64_t len)
{
    for (uint32_t i = 0; i < nram; i++)
        if (mapped_type(ram[i].type) && range_within(pa.v, len, ram[i].base, ram[i].len))
            return phys_to_virt(pa);
    return map_window(pa, len, PROT_R, MEM_WB);
}

bool mmu_is_memory(hpa_t pa, uint64_t len)
{
    for (uint32_t i = 0; i < nram; i++)
        if (ram[i].type != BOOT_MEM_MMIO && pa.v < ram[i].base + ram[i].len &&
            ram[i].base < pa.v + len)
            return true;
    return false;
}

int mmu_map_heap(void *va, hpa_t pa, uint64_t len)
{
    assert_aligned((uint64_t)va | pa.v | len, PAGE_SIZE);
    return mmu_map((uint64_t)va, pa.v, len, PROT_RW, MEM_WB);
}

void *mmu_alloc_stack(uint32_t cpu)
{
    uint64_t top = mmu_layout.stacks + (cpu + 1) * STACK_STRIDE;
    hpa_t pa = pmm_alloc(STACK_ORDER, PMM_HV); /* charge: Trivet's own */

    hv_assert(cpu < MAX_CPUS);
    if (!pa.v)
        return NULL;
    if (mmu_map(top - STACK_SIZE, pa.v, STACK_SIZE, PROT_RW, MEM_WB)) {
        pmm_free(pa, STACK_ORDER, PMM_HV);
        return NULL;
    }
    return (void *)top;
}
