/* SPDX-License-Identifier: BSD-2-Clause */
/* elf.c: puts the embedded hypervisor where it runs. ELF-64 object file format, version 1.5. */
#include "loader.h"

struct ehdr {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct phdr {
    uint32_t type, flags; /* flags: 1 execute, 2 write, 4 read */
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

static_assert(sizeof(struct ehdr) == 64 && sizeof(struct phdr) == 56, "ELF-64 headers");
static_assert(offsetof(struct phdr, offset) == 8, "ELF-64 program header");
static_assert(offsetof(struct phdr, paddr) == 24, "ELF-64 program header");
static_assert(offsetof(struct phdr, filesz) == 32, "ELF-64 program header");
static_assert(offsetof(struct phdr, memsz) == 40, "ELF-64 program header");
static_assert(offsetof(struct ehdr, machine) == 18, "ELF-64 header");
static_assert(offsetof(struct ehdr, entry) == 24, "ELF-64 header");
static_assert(offsetof(struct ehdr, phoff) == 32, "ELF-64 header");
static_assert(offsetof(struct ehdr, phentsize) == 54, "ELF-64 header");
static_assert(offsetof(struct ehdr, phnum) == 56, "ELF-64 header");

#define PT_LOAD 1
#define PF_X 1u
#define PF_W 2u

static const struct phdr *segments(void)
{
    return (const struct phdr *)(trivet_elf + ((const struct ehdr *)trivet_elf)->phoff);
}

static bool elf_good(void)
{
    const struct ehdr *e = (const struct ehdr *)trivet_elf;
    /* cppcheck-suppress comparePointers ; both ends of one thing, by the linker */
    uint64_t size = (uint64_t)(trivet_elf_end - trivet_elf);

    return size > sizeof *e && e->ident[0] == 0x7f && e->ident[1] == 'E' && e->ident[4] == 2 &&
           e->machine == elf_machine && e->phentsize == sizeof(struct phdr) && e->phoff < size &&
           size - e->phoff >= e->phnum * sizeof(struct phdr);
}

static EFI_STATUS elf_place(struct boot_info *bi, const struct phdr *p)
{
    uint64_t phys = bi->image_phys + (p->vaddr - bi->image_virt);
    unsigned flags = (p->flags & PF_W ? MAP_WRITE : 0) | (p->flags & PF_X ? MAP_EXEC : 0);

    if (p->vaddr & 4095 || flags == (MAP_WRITE | MAP_EXEC) || p->filesz > p->memsz)
        return EFI_LOAD_ERROR;
    CopyMem((void *)phys, trivet_elf + p->offset, p->filesz);
    return map_image(p->vaddr, phys, (p->memsz + 4095) & ~4095ull, flags);
}

EFI_STATUS load_image(struct boot_info *bi, uint64_t *entry)
{
    const struct ehdr *e = (const struct ehdr *)trivet_elf;
    const struct phdr *p = segments();
    uint64_t lo = ~0ull, hi = 0;
    EFI_STATUS st = EFI_SUCCESS;

    if (!elf_good())
        return EFI_LOAD_ERROR;
    for (int i = 0; i < e->phnum; i++) {
        if (p[i].type != PT_LOAD || !p[i].memsz)
            continue;
        lo = p[i].vaddr < lo ? p[i].vaddr : lo;
        hi = p[i].vaddr + p[i].memsz > hi ? p[i].vaddr + p[i].memsz : hi;
    }
    bi->image_virt = lo;
    bi->image_size = ((hi + 4095) & ~4095ull) - lo;
    bi->image_phys = alloc_pages(bi->image_size, image_limit);
    if (!bi->image_phys)
        return EFI_OUT_OF_RESOURCES;
    SetMem((void *)bi->image_phys, bi->image_size, 0);
    for (int i = 0; i < e->phnum && !bad(st); i++)
        if (p[i].type == PT_LOAD && p[i].memsz)
            st = elf_place(bi, &p[i]);
    *entry = e->entry;
    return st;
}
