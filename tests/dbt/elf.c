/* SPDX-License-Identifier: BSD-2-Clause */
/* ELF files of bare programs: their segments by physical address, the symbol tohost. */
#include <elf.h>
#include <string.h>

#include "hosted.h"

static const void *at(const struct hosted_file *f, uint64_t offset, uint64_t size)
{
    if (offset > f->size || size > f->size - offset)
        hosted_die("a cut ELF file");
    return (const char *)f->data + offset;
}

static void load_segment(struct rv_machine *m, const struct hosted_file *f, const Elf64_Phdr *ph)
{
    uint64_t off = ph->p_paddr - RVM_RAM;

    if (ph->p_memsz < ph->p_filesz || off > m->ram_size || ph->p_memsz > m->ram_size - off)
        hosted_die("a segment at %llx is not in RAM", (unsigned long long)ph->p_paddr);
    memcpy(m->ram + off, at(f, ph->p_offset, ph->p_filesz), ph->p_filesz);
    memset(m->ram + off + ph->p_filesz, 0, ph->p_memsz - ph->p_filesz);
}

static uint64_t symbol_in(const struct hosted_file *f, const Elf64_Shdr *table,
                          const Elf64_Shdr *names, const char *name)
{
    const Elf64_Sym *s = at(f, table->sh_offset, table->sh_size);
    const char *strings = at(f, names->sh_offset, names->sh_size);

    for (uint64_t i = 0; i < table->sh_size / sizeof *s; i++) {
        if (s[i].st_name < names->sh_size && strcmp(strings + s[i].st_name, name) == 0)
            return s[i].st_value;
    }
    return 0;
}

static uint64_t symbol(const struct hosted_file *f, const Elf64_Ehdr *eh, const char *name)
{
    const Elf64_Shdr *sh = at(f, eh->e_shoff, (uint64_t)eh->e_shnum * sizeof *sh);

    for (unsigned i = 0; i < eh->e_shnum; i++) {
        if (sh[i].sh_type == SHT_SYMTAB && sh[i].sh_link < eh->e_shnum)
            return symbol_in(f, &sh[i], &sh[sh[i].sh_link], name);
    }
    return 0;
}

struct hosted_elf hosted_load_elf(struct rv_machine *m, const struct hosted_file *f)
{
    const Elf64_Ehdr *eh = at(f, 0, sizeof *eh);
    const Elf64_Phdr *ph;

    if (memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0 || eh->e_ident[EI_CLASS] != ELFCLASS64 ||
        eh->e_machine != EM_RISCV)
        hosted_die("not an ELF file of riscv64");
    ph = at(f, eh->e_phoff, (uint64_t)eh->e_phnum * sizeof *ph);
    for (unsigned i = 0; i < eh->e_phnum; i++) {
        if (ph[i].p_type == PT_LOAD && ph[i].p_memsz)
            load_segment(m, f, &ph[i]);
    }
    return (struct hosted_elf){ .entry = eh->e_entry, .tohost = symbol(f, eh, "tohost") };
}
