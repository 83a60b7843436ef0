/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * handoff.c: the page tables that the hypervisor is entered with (AMD APM volume 2 section 5.3),
 * with an identity page for the code that switches. The hypervisor replaces them with its own at
 * once.
 */
#include "../loader.h"

#define PTE_P (1ull << 0)
#define PTE_W (1ull << 1)
#define PTE_PWT (1ull << 3)
#define PTE_PCD (1ull << 4)
#define PTE_PS (1ull << 7)
#define PTE_NX (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull

const uint16_t elf_machine = 62; /* EM_X86_64 */
const unsigned loader_isa = 0;
/* the hypervisor keeps the rest of the upper half for itself */
const uint64_t direct_limit = 1ull << 46;
const uint64_t image_limit = ~0ull;
const uint64_t direct_base = BOOT_PHYS_BASE_X86_64;

/* switch.S, and the parameters at its end. */
extern const uint8_t handoff_code[], handoff_params[], handoff_code_end[];
struct params {
    uint64_t gdt[4];
    uint16_t gdtr_limit;
    uint64_t gdtr_base;
    uint16_t pad;
    uint32_t far64;
    uint16_t sel64, pad64;
    uint64_t root, entry, info;
} __attribute__((packed));
static_assert(sizeof(struct params) == 32 + 12 + 8 + 24, "switch.S: handoff_params");

typedef void switch_fn(uint64_t page) __attribute__((sysv_abi));

static uint64_t root;
static struct params *params; /* in the page that switch.S was copied to */
static uint64_t switch_page;

uint64_t boot_cycles(void)
{
    uint32_t lo, hi;

    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return (uint64_t)hi << 32 | lo;
}

struct cpuid {
    uint32_t a, b, c, d;
};

static struct cpuid cpuid(uint32_t leaf)
{
    struct cpuid r;

    __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(0));
    return r;
}

static uint32_t features_80000001_d(void)
{
    return cpuid(0x80000000).a >= 0x80000001 ? cpuid(0x80000001).d : 0;
}

const CHAR16 *machine_check(void)
{
    if (!(features_80000001_d() & 1u << 20))
        return L"pages cannot be made non-executable; enable \"NX\" or \"Execute Disable\" in the "
               L"firmware's setup";
    return NULL;
}

static uint64_t *new_table(void)
{
    uint64_t p = alloc_pages(4096, ~0ull);

    if (p)
        SetMem((void *)p, 4096, 0);
    return (uint64_t *)p;
}

static uint64_t bits_of(unsigned flags)
{
    return (flags & MAP_WRITE ? PTE_W : 0) | (flags & MAP_EXEC ? 0 : PTE_NX) |
           (flags & MAP_DEVICE ? PTE_PCD | PTE_PWT : 0);
}

EFI_STATUS map_block(uint64_t virt, uint64_t phys, unsigned shift, unsigned flags)
{
    uint64_t *t = (uint64_t *)root, *e;

    for (unsigned s = 39;; s -= 9) {
        e = &t[virt >> s & 511];
        if (s == shift)
            break;
        if (!(*e & PTE_P)) {
            uint64_t *n = new_table();
            if (!n)
                return EFI_OUT_OF_RESOURCES;
            *e = (uint64_t)n | PTE_P | PTE_W;
        }
        if (*e & PTE_PS)
            return EFI_SUCCESS;
        t = (uint64_t *)(*e & PTE_ADDR);
    }
    if (!(*e & PTE_P))
        *e = phys | bits_of(flags) | PTE_P | (shift > 12 ? PTE_PS : 0);
    return EFI_SUCCESS;
}

unsigned largest_block(void) { return features_80000001_d() & 1u << 26 ? 30 : 21; }

EFI_STATUS tables_begin(struct boot_info *bi)
{
    root = alloc_pages(4096, 0xffffffff); /* switch.S loads it with 32 bits */
    if (!root)
        return EFI_OUT_OF_RESOURCES;
    SetMem((void *)root, 4096, 0);
    bi->page_tables = root;
    return EFI_SUCCESS;
}

/* Executable memory as the firmware sees it; free again for the hypervisor. */
static EFI_STATUS place_switch(void)
{
    EFI_PHYSICAL_ADDRESS page = 0xffffffff;
    EFI_STATUS st = BS->AllocatePages(AllocateMaxAddress, EfiLoaderCode, 1, &page);

    if (bad(st))
        return st;
    /* cppcheck-suppress comparePointers ; both ends of one thing, by the linker */
    CopyMem((void *)page, handoff_code, (UINTN)(handoff_code_end - handoff_code));
    /* cppcheck-suppress comparePointers ; both ends of one thing, by the linker */
    params = (struct params *)(page + (uint64_t)(handoff_params - handoff_code));
    params->gdtr_base = (uint64_t)params->gdt;
    params->far64 += (uint32_t)page;
    params->root = root;
    switch_page = page;
    return map_block(page, page, 12, MAP_EXEC);
}

EFI_STATUS handoff_prepare(struct boot_info *bi)
{
    bi->trampoline = alloc_pages(8192, 0xfffff);
    if (!bi->trampoline)
        Print(L"trivet: no memory below 1 MiB: other CPUs cannot be started\r\n");
    return place_switch();
}

_Noreturn void handoff(struct boot_info *bi, uint64_t entry)
{
    switch_fn *go = (switch_fn *)switch_page;

    params->entry = entry;
    params->info = BOOT_PHYS_BASE_X86_64 + bi->self;
    go(switch_page);
    for (;;)
        ;
}
