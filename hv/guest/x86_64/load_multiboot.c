/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Multiboot 0.6.96 (version 1): ELF or address-fields kernels, modules, command line, memory map.
 * No framebuffer.
 */
#include "load.h"
#include <string.h>

enum {
    MB_MAGIC = 0x1badb002,
    MB_BOOT_MAGIC = 0x2badb002,
    MB_SEARCH = 8192,
    MB_ADDRESSES = 1 << 16
};
enum { INFO_MEMORY = 1, INFO_CMDLINE = 4, INFO_MODS = 8, INFO_MMAP = 64, INFO_NAME = 512 };
#define MB_MODULES (1 + ARRAY_SIZE(((struct guest_config *)0)->module))

struct mb_header {
    uint32_t magic, flags, checksum, header_addr, load_addr, load_end_addr, bss_end_addr,
        entry_addr;
};
struct mb_info {
    uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4],
        mmap_length, mmap_addr, drives_length, drives_addr, config_table, boot_loader_name,
        apm_table;
};
struct mb_module {
    uint32_t start, end, string, reserved;
};
struct mb_mmap {
    uint32_t size;
    uint64_t base, len;
    uint32_t type;
} __attribute__((packed));
static_assert(sizeof(struct mb_info) == 72 && sizeof(struct mb_mmap) == 24 &&
                  sizeof(struct mb_module) == 16,
              "Multiboot §3.3");
static_assert(offsetof(struct mb_header, checksum) == 8, "Multiboot 0.6.96 §3.1");
static_assert(offsetof(struct mb_header, load_addr) == 16, "Multiboot 0.6.96 §3.1");
static_assert(offsetof(struct mb_header, entry_addr) == 28, "Multiboot 0.6.96 §3.1");
static_assert(sizeof(struct mb_header) == 32, "Multiboot 0.6.96 §3.1");
static_assert(offsetof(struct mb_mmap, base) == 4, "Multiboot 0.6.96 §3.3");
static_assert(offsetof(struct mb_mmap, len) == 12, "Multiboot 0.6.96 §3.3");
static_assert(offsetof(struct mb_mmap, type) == 20, "Multiboot 0.6.96 §3.3");
static_assert(offsetof(struct mb_info, cmdline) == 16, "Multiboot 0.6.96 §3.3");
static_assert(offsetof(struct mb_info, mods_count) == 20, "Multiboot 0.6.96 §3.3");
static_assert(offsetof(struct mb_info, mods_addr) == 24, "Multiboot 0.6.96 §3.3");
static_assert(offsetof(struct mb_info, mmap_length) == 44, "Multiboot 0.6.96 §3.3");
static_assert(offsetof(struct mb_info, mmap_addr) == 48, "Multiboot 0.6.96 §3.3");
static_assert(offsetof(struct mb_info, boot_loader_name) == 64, "Multiboot 0.6.96 §3.3");

/* All that the kernel is told, in one block. Strings of modules follow the command line. */
struct mb_block {
    struct mb_info info;
    struct mb_mmap map[LOAD_MEMS];
    struct mb_module mod[MB_MODULES];
    char name[8];
    char cmdline[CMDLINE_LEN];
    char args[MB_MODULES][PATH_LEN + 256];
};

static bool find_header(const struct load *l, struct mb_header *h, uint64_t *at)
{
    for (uint64_t off = 0; off < MB_SEARCH && off + 12 <= l->len; off += 4) {
        memset(h, 0, sizeof *h);
        memcpy(h, l->file + off, min_u64(sizeof *h, l->len - off));
        *at = off;
        if (h->magic == MB_MAGIC && h->magic + h->flags + h->checksum == 0)
            return true;
    }
    return false;
}

bool load_multiboot_probe(const struct load *l)
{
    struct mb_header h;
    uint64_t at;

    return find_header(l, &h, &at);
}

/*
 * Shared with Multiboot 2: the kernel by its header's addresses instead of ELF. load_end 0: the
 * whole file; bss_end 0: no BSS.
 */
int load_addressed(struct load *l, const struct load_addresses *a)
{
    uint64_t off, len, end;
    int err;

    if (a->load_addr > a->header_addr || a->header_addr - a->load_addr > a->header_off)
        return load_bad(l, "its header's addresses lie outside the file");
    off = a->header_off - (a->header_addr - a->load_addr);
    len = a->load_end_addr != 0 ? (uint64_t)a->load_end_addr - a->load_addr : l->len - off;
    if (a->load_end_addr != 0 && a->load_end_addr < a->load_addr)
        return load_bad(l, "its header's load addresses are in the wrong order");
    if (!range_within(off, len, 0, l->len))
        return load_bad(l, "its header wants more than the file has");
    end = max_u64(a->load_addr + len, a->bss_end_addr);
    err = load_take(l, a->load_addr, end - a->load_addr, "kernel");
    if (err == 0)
        err = load_later(l, a->load_addr, l->file + off, len);
    return err;
}

int load_module(struct load *l, const char *path, uint64_t *start, uint64_t *len)
{
    const uint8_t *data;
    int err = load_file(l, path, &data, len);

    if (err == 0)
        err = load_alloc_low(l, *len, PAGE_SIZE, MIB, path, start);
    return err != 0 ? err : load_later(l, *start, data, *len);
}

unsigned load_module_list(const struct guest_config *c, struct load_module_name *list)
{
    unsigned n = 0;

    if (c->initrd[0] != '\0')
        list[n++] = (struct load_module_name){ c->initrd, "" };
    for (unsigned i = 0; i < c->nmodules; i++)
        list[n++] = (struct load_module_name){ c->module[i].path, c->module[i].args };
    return n;
}

/* A module's string is its name and its arguments, as GRUB gives it. */
void load_module_string(char *out, size_t size, const struct load_module_name *m)
{
    size_t n = strnlen(m->path, size - 1);

    memcpy(out, m->path, n);
    if (m->args[0] != '\0' && n + 1 < size) {
        out[n++] = ' ';
        strncpy(out + n, m->args, size - 1 - n);
    }
}

static int put_modules(struct load *l, struct mb_block *b, uint64_t at)
{
    struct load_module_name list[MB_MODULES];
    unsigned n = load_module_list(l->config, list);

    for (unsigned i = 0; i < n; i++) {
        uint64_t start, len;
        int err = load_module(l, list[i].path, &start, &len);

        if (err != 0)
            return err;
        load_module_string(b->args[i], sizeof b->args[i], &list[i]);
        b->mod[i] = (struct mb_module){
            (uint32_t)start, (uint32_t)(start + len),
            (uint32_t)(at + offsetof(struct mb_block, args) + i * sizeof b->args[0]), 0
        };
    }
    b->info.mods_count = n;
    b->info.mods_addr = (uint32_t)(at + offsetof(struct mb_block, mod));
    return 0;
}

static void put_memory(struct load *l, struct mb_block *b, uint64_t at)
{
    struct load_mem map[LOAD_MEMS];
    unsigned n = load_memory_map(l->vm, map);

    for (unsigned i = 0; i < n; i++) {
        b->map[i] = (struct mb_mmap){ 20, map[i].base, map[i].len, map[i].type };
        if (map[i].base == 0)
            b->info.mem_lower = (uint32_t)(map[i].len / KIB);
        if (map[i].base == MIB)
            b->info.mem_upper = (uint32_t)(map[i].len / KIB);
    }
    b->info.mmap_length = n * (uint32_t)sizeof b->map[0];
    b->info.mmap_addr = (uint32_t)(at + offsetof(struct mb_block, map));
}

static int put_info(struct load *l, uint64_t *at)
{
    struct mb_block *b;
    int err = load_alloc(l, sizeof *b, PAGE_SIZE, 0, 0xa0000, "Multiboot information", at);

    if (err != 0)
        return err;
    b = vm_alloc(l->vm, sizeof *b);
    if (b == NULL)
        return -ENOMEM;
    b->info.flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODS | INFO_MMAP | INFO_NAME;
    b->info.cmdline = (uint32_t)(*at + offsetof(struct mb_block, cmdline));
    b->info.boot_loader_name = (uint32_t)(*at + offsetof(struct mb_block, name));
    memcpy(b->name, "Trivet", 7);
    memcpy(b->cmdline, l->config->cmdline, sizeof b->cmdline - 1);
    put_memory(l, b, *at);
    err = put_modules(l, b, *at);
    if (err == 0)
        err = load_copy(l, *at, b, sizeof *b);
    vm_free(l->vm, b, sizeof *b);
    return err;
}

int load_multiboot(struct load *l, struct load_entry *e)
{
    struct mb_header h;
    struct load_elf elf = { 0 };
    uint64_t off, info = 0;
    int err;

    if (!find_header(l, &h, &off))
        return load_bad(l, "no Multiboot header in its first 8 KiB");
    if ((h.flags & 0xffff & ~7u) != 0)
        return load_bad(l, "its Multiboot header requires features %#x that are unknown",
                        h.flags & 0xffff & ~7u);
    if ((h.flags & MB_ADDRESSES) != 0)
        err = load_addressed(l, &(struct load_addresses){ off, h.header_addr, h.load_addr,
                                                          h.load_end_addr, h.bss_end_addr });
    else
        err = load_elf(l, &elf);
    if (err == 0)
        err = put_info(l, &info);
    *e = (struct load_entry){ .pc = (h.flags & MB_ADDRESSES) != 0 ? h.entry_addr : elf.entry,
                              .rax = MB_BOOT_MAGIC,
                              .rbx = info,
                              .mode = ENTRY_PROT32 };
    return err;
}
