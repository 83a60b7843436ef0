/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Multiboot 2 (specification 2.0), i386 protected-mode entry: ELF-32, ELF-64 or address-tag
 * kernels.
 */
#include "load.h"
#include <string.h>

enum {
    MB2_MAGIC = 0xe85250d6,
    MB2_BOOT_MAGIC = 0x36d76289,
    MB2_SEARCH = 32768,
    HEADER_ADDRESS = 2,
    HEADER_ENTRY = 3,
    HEADER_MAX_TAGS = 64
};
enum { TAG_END, TAG_CMDLINE, TAG_NAME, TAG_MODULE, TAG_MEMORY, TAG_MMAP = 6, TAG_ACPI_NEW = 15 };
#define INFO_MAX (16 * KIB)
#define MODULES (1 + ARRAY_SIZE(((struct guest_config *)0)->module))

struct header {
    uint64_t off;
    uint32_t len;
    bool addressed, has_entry;
    struct load_addresses a;
    uint32_t entry;
};
struct info {
    uint8_t *buf;
    uint32_t len;
    bool full;
};

static uint32_t rd32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

static bool find_header(const struct load *l, struct header *h)
{
    for (uint64_t off = 0; off < MB2_SEARCH && off + 16 <= l->len; off += 8) {
        const uint8_t *p = l->file + off;

        if (rd32(p) != MB2_MAGIC || rd32(p) + rd32(p + 4) + rd32(p + 8) + rd32(p + 12) != 0)
            continue;
        h->off = off;
        h->len = rd32(p + 8);
        return rd32(p + 4) == 0 && range_within(off, h->len, 0, l->len) && h->len >= 16;
    }
    return false;
}

bool load_multiboot2_probe(const struct load *l)
{
    struct header h = { 0 };

    return find_header(l, &h);
}

static void take_tag(struct header *h, unsigned type, const uint8_t *p, uint32_t size)
{
    if (type == HEADER_ADDRESS && size >= 24) {
        h->addressed = true;
        h->a = (struct load_addresses){ h->off, rd32(p + 8), rd32(p + 12), rd32(p + 16),
                                        rd32(p + 20) };
    } else if (type == HEADER_ENTRY && size >= 12) {
        h->has_entry = true;
        h->entry = rd32(p + 8);
    }
}

/*
 * Tags lie 8-aligned, each at least 8 bytes, so the loop ends. Tags that only ask for more are left
 * unanswered.
 */
static void parse_tags(const struct load *l, struct header *h)
{
    uint32_t at = 16;

    for (unsigned i = 0; i < HEADER_MAX_TAGS && at + 8 <= h->len; i++) {
        const uint8_t *p = l->file + h->off + at;
        unsigned type = rd32(p) & 0xffff;
        uint32_t size = rd32(p + 4);

        if (type == 0 || size < 8 || size > h->len - at)
            return;
        take_tag(h, type, p, size);
        at += (size + 7) & ~7u;
    }
}

/* Adds a tag of len bytes after the 8 of its head; returns where they go. */
static uint8_t *add_tag(struct info *i, uint32_t type, uint64_t len)
{
    uint8_t *p = i->buf + i->len;
    uint32_t head[2] = { type, (uint32_t)len + 8 };

    if (len + 16 > INFO_MAX - i->len) {
        i->full = true;
        return i->buf + INFO_MAX; /* behind it lies as much again, that nobody reads */
    }
    memcpy(p, head, 8);
    i->len += ((uint32_t)len + 8 + 7) & ~7u;
    return p + 8;
}

static void add_string(struct info *i, uint32_t type, const char *s)
{
    size_t n = strlen(s) + 1;

    memcpy(add_tag(i, type, n), s, n);
}

static int add_modules(struct load *l, struct info *i)
{
    struct load_module_name list[MODULES];
    unsigned n = load_module_list(l->config, list);

    for (unsigned k = 0; k < n; k++) {
        char text[PATH_LEN + 256] = "";
        uint64_t start, len;
        uint32_t range[2];
        uint8_t *p;
        int err = load_module(l, list[k].path, &start, &len);

        if (err != 0)
            return err;
        load_module_string(text, sizeof text, &list[k]);
        range[0] = (uint32_t)start, range[1] = (uint32_t)(start + len);
        p = add_tag(i, TAG_MODULE, 8 + strlen(text) + 1);
        memcpy(p, range, 8);
        memcpy(p + 8, text, strlen(text) + 1);
    }
    return 0;
}

static void add_memory(struct load *l, struct info *i)
{
    struct load_mem map[LOAD_MEMS];
    unsigned n = load_memory_map(l->vm, map);
    uint32_t basic[2] = { 0, 0 }, head[2] = { 24, 0 };
    uint8_t *p = add_tag(i, TAG_MMAP, 8 + 24 * n);

    memcpy(p, head, 8);
    for (unsigned k = 0; k < n; k++) {
        uint64_t e[3] = { map[k].base, map[k].len, map[k].type };

        memcpy(p + 8 + 24 * k, e, 24);
        basic[0] = map[k].base == 0 ? (uint32_t)(map[k].len / KIB) : basic[0];
        basic[1] = map[k].base == MIB ? (uint32_t)(map[k].len / KIB) : basic[1];
    }
    memcpy(add_tag(i, TAG_MEMORY, 8), basic, 8);
}

static int fill(struct load *l, struct info *i)
{
    uint32_t head[2];
    int err;

    i->len = 8;
    add_string(i, TAG_CMDLINE, l->config->cmdline);
    add_string(i, TAG_NAME, "Trivet");
    add_memory(l, i);
    if (l->rsdp != 0 && gmem_read(l->vm, gpa(l->rsdp), add_tag(i, TAG_ACPI_NEW, 36), 36) != 0)
        return -EFAULT;
    err = add_modules(l, i);
    (void)add_tag(i, TAG_END, 0);
    if (err == 0 && i->full)
        return load_bad(l, "command line and module arguments are too long together");
    head[0] = i->len, head[1] = 0;
    memcpy(i->buf, head, 8);
    return err;
}

static int put_info(struct load *l, uint64_t *at)
{
    struct info i = { .buf = vm_alloc(l->vm, 2 * INFO_MAX) };
    int err;

    if (i.buf == NULL)
        return -ENOMEM;
    err = load_alloc(l, INFO_MAX, PAGE_SIZE, 0, 0xa0000, "Multiboot 2 information", at);
    if (err == 0)
        err = fill(l, &i);
    if (err == 0)
        err = load_copy(l, *at, i.buf, i.len);
    vm_free(l->vm, i.buf, 2 * INFO_MAX);
    return err;
}

int load_multiboot2(struct load *l, struct load_entry *e)
{
    struct header h = { 0 };
    struct load_elf elf = { 0 };
    uint64_t info = 0;
    int err;

    if (!find_header(l, &h))
        return load_bad(l, "no Multiboot 2 header in its first 32 KiB");
    parse_tags(l, &h);
    if (h.addressed && !h.has_entry)
        return load_bad(l, "its Multiboot 2 header has addresses but no entry point");
    err = h.addressed ? load_addressed(l, &h.a) : load_elf(l, &elf);
    if (err == 0)
        err = put_info(l, &info);
    *e = (struct load_entry){ .pc = h.has_entry ? h.entry : elf.entry,
                              .rax = MB2_BOOT_MAGIC,
                              .rbx = info,
                              .mode = ENTRY_PROT32 };
    return err;
}
