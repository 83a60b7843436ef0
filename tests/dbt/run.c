/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs a workload in compiled code; the exit status is what it wrote to the test device.
 *   run FILE [INSNS]
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/rv_flat.h"

static void load(struct flat *m, const char *name)
{
    static uint8_t file[1 << 20];
    FILE *f = fopen(name, "rb");
    size_t n = f ? fread(file, 1, sizeof file, f) : 0;
    const Elf64_Ehdr *e = (const void *)file;

    if (n < sizeof *e || memcmp(e->e_ident, ELFMAG, SELFMAG) || e->e_machine != EM_RISCV)
        exit(2);
    for (unsigned k = 0; k < e->e_phnum; k++) {
        const Elf64_Phdr *p = (const void *)(file + e->e_phoff + k * sizeof *p);
        if (p->p_type != PT_LOAD)
            continue;
        if (!range_within(p->p_offset, p->p_filesz, 0, n) ||
            !range_within(p->p_paddr, p->p_memsz, FLAT_BASE, m->bytes))
            exit(2);
        memcpy(m->ram + (p->p_paddr - FLAT_BASE), file + p->p_offset, p->p_filesz);
    }
    m->cpu.pc = e->e_entry;
    fclose(f);
}

int main(int argc, char **argv)
{
    struct flat *m = flat_new(64 << 20, true, getenv("HOT") ? (unsigned)atoi(getenv("HOT")) : 0);
    struct rv_jit_stats s;

    if (argc < 2)
        return 2;
    load(m, argv[1]);
    flat_run(m, UINT64_MAX / 2);
    rv_jit_stats(m->jit, &s);
    if (getenv("STATS"))
        fprintf(stderr,
                "pc %#llx fault %#llx insns %llu units %llu (%llu insns, %llu bytes) chains %llu "
                "entries %llu "
                "indirect %llu slow %llu steps %llu\n",
                (unsigned long long)m->cpu.pc, (unsigned long long)m->fault,
                (unsigned long long)m->cpu.instret, (unsigned long long)s.units,
                (unsigned long long)s.insns, (unsigned long long)s.bytes,
                (unsigned long long)s.chains, (unsigned long long)s.entries,
                (unsigned long long)s.indirect, (unsigned long long)s.slow_memory,
                (unsigned long long)s.steps);
    return (int)m->result;
}
