/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ELF kernels (System V ABI, ELF-32 and ELF-64 object files): segments to their physical addresses,
 * and the PVH note.
 */
#include "load.h"
#include <string.h>

enum {
    EI_CLASS = 4,
    ELFCLASS32 = 1,
    ELFCLASS64 = 2,
    PT_LOAD = 1,
    PT_NOTE = 4,
    EM_386 = 3,
    EM_X86_64 = 62,
    PHNUM_MAX = 64
};
#define XEN_ELFNOTE_PHYS32_ENTRY 18

/* A program header in either class, widened. */
struct phdr {
    uint32_t type;
    uint64_t offset, vaddr, paddr, filesz, memsz;
};
struct ehdr {
    uint64_t entry, phoff;
    uint16_t machine, phentsize, phnum;
    bool is64;
};

static uint16_t rd16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return v;
}
static uint32_t rd32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}
static uint64_t rd64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

bool load_is_elf(const struct load *l)
{
    return l->len >= 52 && memcmp(l->file,
                                  "\x7f"
                                  "ELF",
                                  4) == 0;
}

static bool read_ehdr(const struct load *l, struct ehdr *h)
{
    const uint8_t *f = l->file;

    if (!load_is_elf(l) || f[5] != 1)
        return false;
    h->is64 = f[EI_CLASS] == ELFCLASS64;
    if ((!h->is64 && f[EI_CLASS] != ELFCLASS32) || (h->is64 && l->len < 64))
        return false;
    h->machine = rd16(f + 18);
    h->entry = h->is64 ? rd64(f + 24) : rd32(f + 24);
    h->phoff = h->is64 ? rd64(f + 32) : rd32(f + 28);
    h->phentsize = rd16(f + (h->is64 ? 54 : 42));
    h->phnum = rd16(f + (h->is64 ? 56 : 44));
    if (h->machine != EM_386 && h->machine != EM_X86_64)
        return false;
    if (h->phentsize < (h->is64 ? 56 : 32) || h->phnum > PHNUM_MAX)
        return false;
    return range_within(h->phoff, (uint64_t)h->phentsize * h->phnum, 0, l->len);
}

static struct phdr read_phdr(const struct load *l, const struct ehdr *h, unsigned i)
{
    const uint8_t *p = l->file + h->phoff + (uint64_t)i * h->phentsize;

    if (h->is64)
        return (struct phdr){ rd32(p),      rd64(p + 8),  rd64(p + 16),
                              rd64(p + 24), rd64(p + 32), rd64(p + 40) };
    return (struct phdr){ rd32(p),      rd32(p + 4),  rd32(p + 8),
                          rd32(p + 12), rd32(p + 16), rd32(p + 20) };
}

/* What lies beyond filesz is zero already: guest memory is, before anything is loaded. */
static int load_segment(struct load *l, const struct phdr *p)
{
    int err;

    if (p->filesz > p->memsz || !range_within(p->offset, p->filesz, 0, l->len))
        return load_bad(l, "an ELF segment lies outside the file");
    err = load_take(l, p->paddr, p->memsz, "ELF segment");
    if (err == 0)
        err = load_later(l, p->paddr, l->file + p->offset, p->filesz);
    return err;
}

int load_elf(struct load *l, struct load_elf *out)
{
    struct ehdr h;

    if (!read_ehdr(l, &h))
        return load_bad(l, "not a sound x86 ELF file");
    *out = (struct load_elf){ .entry = h.entry, .low = UINT64_MAX, .is64 = h.is64 };
    for (unsigned i = 0; i < h.phnum; i++) {
        struct phdr p = read_phdr(l, &h, i);
        int err;

        if (p.type != PT_LOAD || p.memsz == 0)
            continue;
        err = load_segment(l, &p);
        if (err != 0)
            return err;
        /*
         * An entry point given as a virtual address is of no use before paging: take its physical
         * place.
         */
        if (h.entry - p.vaddr < p.memsz && p.vaddr != p.paddr)
            out->entry = h.entry - p.vaddr + p.paddr;
        out->low = min_u64(out->low, p.paddr);
        out->high = max_u64(out->high, p.paddr + p.memsz);
    }
    return out->high != 0 ? 0 : load_bad(l, "no ELF segment to load");
}

/*
 * Notes: namesz, descsz, type, name and desc, each padded to 4 bytes. Every turn moves on by 12
 * bytes or more.
 */
static bool find_note(const uint8_t *p, uint64_t len, uint32_t *entry)
{
    while (len >= 12) {
        uint64_t name = align_up(rd32(p), 4), desc = align_up(rd32(p + 4), 4);
        uint32_t type = rd32(p + 8);

        if (name > len - 12 || desc > len - 12 - name)
            return false;
        if (type == XEN_ELFNOTE_PHYS32_ENTRY && rd32(p) == 4 && memcmp(p + 12, "Xen", 4) == 0 &&
            desc >= 4) {
            *entry = rd32(p + 12 + name);
            return true;
        }
        p += 12 + name + desc;
        len -= 12 + name + desc;
    }
    return false;
}

bool load_elf_pvh_entry(const struct load *l, uint32_t *entry)
{
    struct ehdr h;

    if (!read_ehdr(l, &h))
        return false;
    for (unsigned i = 0; i < h.phnum; i++) {
        struct phdr p = read_phdr(l, &h, i);

        if (p.type == PT_NOTE && range_within(p.offset, p.filesz, 0, l->len) &&
            find_note(l->file + p.offset, p.filesz, entry))
            return true;
    }
    return false;
}
