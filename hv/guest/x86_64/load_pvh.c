/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PVH boot protocol: a 32-bit entry point from an ELF note, and struct hvm_start_info (Xen's
 * public start_info.h, version 1).
 */
#include "load.h"
#include <string.h>

struct hvm_start_info {
    uint32_t magic, version, flags, nr_modules;
    uint64_t modlist_paddr, cmdline_paddr, rsdp_paddr, memmap_paddr;
    uint32_t memmap_entries, reserved;
};
struct hvm_modlist_entry {
    uint64_t paddr, size, cmdline_paddr, reserved;
};
struct hvm_memmap_entry {
    uint64_t addr, size;
    uint32_t type, reserved;
};
static_assert(sizeof(struct hvm_start_info) == 56 && sizeof(struct hvm_modlist_entry) == 32 &&
                  sizeof(struct hvm_memmap_entry) == 24,
              "ABI");
static_assert(offsetof(struct hvm_memmap_entry, size) == 8, "Xen public/arch-x86/hvm/start_info.h");
static_assert(offsetof(struct hvm_memmap_entry, type) == 16,
              "Xen public/arch-x86/hvm/start_info.h");
static_assert(offsetof(struct hvm_start_info, modlist_paddr) == 16,
              "Xen public/arch-x86/hvm/start_info.h");
static_assert(offsetof(struct hvm_start_info, cmdline_paddr) == 24,
              "Xen public/arch-x86/hvm/start_info.h");
static_assert(offsetof(struct hvm_start_info, rsdp_paddr) == 32,
              "Xen public/arch-x86/hvm/start_info.h");
static_assert(offsetof(struct hvm_start_info, memmap_paddr) == 40,
              "Xen public/arch-x86/hvm/start_info.h");
static_assert(offsetof(struct hvm_start_info, memmap_entries) == 48,
              "Xen public/arch-x86/hvm/start_info.h");
#define HVM_START_MAGIC 0x336ec578
#define PVH_MODULES (1 + ARRAY_SIZE(((struct guest_config *)0)->module))

/* Start info, memory map, module list and strings in one block of guest memory. */
struct pvh_block {
    struct hvm_start_info info;
    struct hvm_memmap_entry map[LOAD_MEMS];
    struct hvm_modlist_entry mod[PVH_MODULES];
    char cmdline[CMDLINE_LEN];
};

static int put_string(struct load *l, const char *s, uint64_t *at)
{
    uint64_t len = strlen(s) + 1;
    int err = load_alloc(l, len, 16, 0, 4 * GIB, "module arguments", at);

    return err != 0 ? err : load_copy(l, *at, s, len);
}

static int put_module(struct load *l, const char *path, const char *args,
                      struct hvm_modlist_entry *m)
{
    const uint8_t *data;
    uint64_t len;
    int err = load_file(l, path, &data, &len);

    if (err == 0)
        err = load_alloc(l, len, PAGE_SIZE, MIB, 4 * GIB, path, &m->paddr);
    if (err == 0)
        err = load_later(l, m->paddr, data, len);
    m->size = len;
    if (err == 0 && args[0] != '\0')
        err = put_string(l, args, &m->cmdline_paddr);
    return err;
}

static int put_modules(struct load *l, struct pvh_block *b)
{
    const struct guest_config *c = l->config;
    unsigned n = 0;
    int err = 0;

    if (c->initrd[0] != '\0')
        err = put_module(l, c->initrd, "", &b->mod[n++]);
    for (unsigned i = 0; err == 0 && i < c->nmodules; i++)
        err = put_module(l, c->module[i].path, c->module[i].args, &b->mod[n++]);
    b->info.nr_modules = n;
    return err;
}

static void put_map(const struct load *l, struct pvh_block *b)
{
    struct load_mem map[LOAD_MEMS];
    unsigned n = load_memory_map(l->vm, map);

    for (unsigned i = 0; i < n; i++)
        b->map[i] = (struct hvm_memmap_entry){ .addr = map[i].base,
                                               .size = map[i].len,
                                               .type = map[i].type };
    b->info.memmap_entries = n;
}

int load_pvh(struct load *l, struct load_entry *e)
{
    struct pvh_block b = { .info = {
                               .magic = HVM_START_MAGIC, .version = 1, .rsdp_paddr = l->rsdp } };
    struct load_elf elf;
    uint32_t entry;
    uint64_t at;
    int err;

    if (!load_elf_pvh_entry(l, &entry))
        return load_bad(l, "no PVH entry note in it");
    err = load_elf(l, &elf);
    if (err == 0)
        err = put_modules(l, &b);
    if (err == 0)
        err = load_alloc(l, sizeof b, PAGE_SIZE, 0, 0xa0000, "PVH start info", &at);
    if (err != 0)
        return err;
    put_map(l, &b);
    b.info.memmap_paddr = at + offsetof(struct pvh_block, map);
    b.info.modlist_paddr = b.info.nr_modules != 0 ? at + offsetof(struct pvh_block, mod) : 0;
    b.info.cmdline_paddr = at + offsetof(struct pvh_block, cmdline);
    memcpy(b.cmdline, l->config->cmdline, sizeof b.cmdline - 1);
    *e = (struct load_entry){ .pc = entry, .rbx = at, .mode = ENTRY_PROT32 };
    return load_copy(l, at, &b, sizeof b);
}
