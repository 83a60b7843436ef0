/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Linux bzImage: the 64-bit boot protocol, or the 32-bit one for kernels that have no other (Linux
 * Documentation/arch/x86/boot.rst).
 */
#include "load.h"
#include "platform.h"
#include <string.h>

/* Offsets in the file, and in struct boot_params ("zero page"). */
enum {
    BP_ACPI_RSDP = 0x070,
    BP_E820_ENTRIES = 0x1e8,
    BP_HDR = 0x1f1,
    BP_SETUP_SECTS = 0x1f1,
    BP_BOOT_FLAG = 0x1fe,
    BP_JUMP_LEN = 0x201,
    BP_MAGIC = 0x202,
    BP_VERSION = 0x206,
    BP_LOADER = 0x210,
    BP_LOADFLAGS = 0x211,
    BP_CODE32 = 0x214,
    BP_RAMDISK = 0x218,
    BP_RAMDISK_SIZE = 0x21c,
    BP_HEAP_END = 0x224,
    BP_CMDLINE = 0x228,
    BP_INITRD_MAX = 0x22c,
    BP_ALIGN = 0x230,
    BP_RELOCATABLE = 0x234,
    BP_XLOADFLAGS = 0x236,
    BP_CMDLINE_SIZE = 0x238,
    BP_PREF = 0x258,
    BP_INIT_SIZE = 0x260,
    BP_E820 = 0x2d0,
    BP_SIZE = 4096,
};
enum {
    LOADED_HIGH = 1,
    KEEP_SEGMENTS = 0x40,
    XLF_KERNEL_64 = 1,
    VERSION_MIN = 0x20a,
    LOADER_UNDEFINED = 0xff
};

/* What the header says, checked. */
struct bzimage {
    uint64_t code_off, code_len, load, init_size, initrd_max;
    bool is64;
};

static uint64_t rd(const struct load *l, unsigned off, unsigned size)
{
    return get_le(l->file + off, size);
}

bool load_linux_probe(const struct load *l)
{
    return l->len >= BP_INIT_SIZE + 4 && rd(l, BP_BOOT_FLAG, 2) == 0xaa55 &&
           memcmp(l->file + BP_MAGIC, "HdrS", 4) == 0;
}

/*
 * Before 2.10 nothing says how much memory the kernel takes, and what is started so is mostly no
 * Linux but code that calls a BIOS from its 16-bit entry (memdisk, boot managers).
 */
static int too_old(struct load *l)
{
    unsigned version = (unsigned)rd(l, BP_VERSION, 2);

    return load_bad(
        l,
        "boot protocol %u.%02u%s: guests start by 2.10 or later, without a BIOS; give a "
        "Linux of 2.6.31 or later, or a Multiboot, PVH or ELF build",
        version >> 8, version & 0xff,
        (rd(l, BP_LOADFLAGS, 1) & LOADED_HIGH) == 0 ? " (zImage)" : "");
}

static int parse(struct load *l, struct bzimage *b)
{
    uint64_t sects;

    if (!load_linux_probe(l))
        return load_bad(l, "not a Linux bzImage");
    if (rd(l, BP_VERSION, 2) < VERSION_MIN || (rd(l, BP_LOADFLAGS, 1) & LOADED_HIGH) == 0)
        return too_old(l);
    sects = rd(l, BP_SETUP_SECTS, 1);
    b->code_off = ((sects != 0 ? sects : 4) + 1) * 512;
    if (b->code_off >= l->len)
        return load_bad(l, "cut short");
    b->code_len = l->len - b->code_off;
    b->init_size = max_u64(rd(l, BP_INIT_SIZE, 4), b->code_len);
    b->initrd_max = rd(l, BP_INITRD_MAX, 4);
    b->is64 = rd(l, BP_VERSION, 2) >= 0x20c && (rd(l, BP_XLOADFLAGS, 2) & XLF_KERNEL_64) != 0;
    return 0;
}

static int no_room_above(struct load *l, const struct bzimage *b, uint64_t pref)
{
    uint64_t need = pref + b->init_size + 2 * MIB; /* and boot parameters */
    int err =
        load_bad(l, "it takes %llu MiB at or above %llu MiB; give the guest %lluM or more",
                 (unsigned long long)((b->init_size + MIB - 1) / MIB),
                 (unsigned long long)(pref / MIB), (unsigned long long)((need + MIB - 1) / MIB));
    return err != 0 ? -ENOSPC : 0;
}

/*
 * Where the kernel would like to be, if that is free; else, when it can be moved, elsewhere: above,
 * since one that lies below moves itself up to its place, whatever is there (Linux
 * arch/x86/boot/compressed/head_64.S).
 */
static int place_kernel(struct load *l, struct bzimage *b)
{
    uint64_t align = rd(l, BP_ALIGN, 4), pref = rd(l, BP_PREF, 8);
    int err;

    b->load = pref;
    err = load_take(l, b->load, b->init_size, "Linux kernel");
    if (err == 0 || rd(l, BP_RELOCATABLE, 1) == 0)
        return err;
    if (pref >= 4 * GIB)
        return load_bad(l, "its preferred address is above 4 GiB");
    if (align < PAGE_SIZE || (align & (align - 1)) != 0)
        return load_bad(l, "its alignment is no power of two");
    err = load_alloc(l, b->init_size, align, max_u64(MIB, pref), 4 * GIB, "Linux kernel", &b->load);
    return err != 0 ? no_room_above(l, b, pref) : 0;
}

static int put_initrd(struct load *l, const struct bzimage *b, uint8_t *bp)
{
    const uint8_t *data;
    uint64_t len, at;
    int err;

    if (l->config->initrd[0] == '\0')
        return 0;
    err = load_file(l, l->config->initrd, &data, &len);
    if (err == 0)
        err = load_alloc(l, len, PAGE_SIZE, MIB, min_u64(b->initrd_max + 1, PLAT_RAM_LOW_END),
                         "initrd", &at);
    if (err == 0)
        err = load_later(l, at, data, len);
    if (err != 0)
        return err;
    put_le(bp + BP_RAMDISK, 4, at);
    put_le(bp + BP_RAMDISK_SIZE, 4, len);
    return 0;
}

static int put_cmdline(struct load *l, uint8_t *bp)
{
    uint64_t len = strlen(l->config->cmdline), max = rd(l, BP_CMDLINE_SIZE, 4), at;
    int err;

    if (len > (max != 0 ? max : 255))
        return load_bad(l, "command line longer than the kernel's %llu bytes",
                        (unsigned long long)max);
    err = load_alloc(l, len + 1, 16, 0, 0xa0000, "command line", &at);
    put_le(bp + BP_CMDLINE, 4, at);
    return err != 0 ? err : load_copy(l, at, l->config->cmdline, len + 1);
}

static void put_e820(struct load *l, uint8_t *bp)
{
    struct load_mem map[LOAD_MEMS];
    unsigned n = load_memory_map(l->vm, map);

    for (unsigned i = 0; i < n; i++) {
        put_le(bp + BP_E820 + 20 * i, 8, map[i].base);
        put_le(bp + BP_E820 + 20 * i + 8, 8, map[i].len);
        put_le(bp + BP_E820 + 20 * i + 16, 4, map[i].type);
    }
    put_le(bp + BP_E820_ENTRIES, 1, n);
}

static void put_header(struct load *l, const struct bzimage *b, uint8_t *bp)
{
    unsigned end = (unsigned)min_u64(BP_MAGIC + rd(l, BP_JUMP_LEN, 1), BP_E820);

    memcpy(bp + BP_HDR, l->file + BP_HDR, end - BP_HDR);
    put_le(bp + BP_LOADER, 1, LOADER_UNDEFINED);
    put_le(bp + BP_LOADFLAGS, 1, rd(l, BP_LOADFLAGS, 1) & ~(uint64_t)KEEP_SEGMENTS & 0xff);
    put_le(bp + BP_CODE32, 4, b->load);
    put_le(bp + BP_ACPI_RSDP, 8, l->rsdp);
    put_e820(l, bp);
}

/* Identity map of the first 4 GiB with 2 MiB pages: PML4, PDPT and four page directories. */
static int put_page_tables(struct load *l, uint64_t *cr3)
{
    uint64_t at, *t;
    int err = load_alloc(l, 6 * PAGE_SIZE, PAGE_SIZE, 0, 0xa0000, "page tables", &at);

    if (err != 0)
        return err;
    t = vm_alloc(l->vm, 6 * PAGE_SIZE);
    if (t == NULL)
        return -ENOMEM;
    t[0] = (at + PAGE_SIZE) | 3;
    for (unsigned i = 0; i < 4; i++)
        t[512 + i] = (at + (2 + i) * PAGE_SIZE) | 3;
    for (unsigned i = 0; i < 2048; i++)
        t[1024 + i] = (uint64_t)i << 21 | 0x83;
    err = load_copy(l, at, t, 6 * PAGE_SIZE);
    vm_free(l->vm, t, 6 * PAGE_SIZE);
    *cr3 = at;
    return err;
}

static int put_boot_params(struct load *l, const struct bzimage *b, uint64_t *at)
{
    uint8_t *bp = vm_alloc(l->vm, BP_SIZE);
    int err;

    if (bp == NULL)
        return -ENOMEM;
    put_header(l, b, bp);
    err = put_cmdline(l, bp);
    if (err == 0)
        err = put_initrd(l, b, bp);
    if (err == 0)
        err = load_alloc(l, BP_SIZE, PAGE_SIZE, 0, 0xa0000, "boot parameters", at);
    if (err == 0)
        err = load_copy(l, *at, bp, BP_SIZE);
    vm_free(l->vm, bp, BP_SIZE);
    return err;
}

int load_linux(struct load *l, struct load_entry *e)
{
    struct bzimage b = { 0 };
    uint64_t params = 0, cr3 = 0;
    int err = parse(l, &b);

    if (err == 0)
        err = place_kernel(l, &b);
    if (err == 0)
        err = load_later(l, b.load, l->file + b.code_off, b.code_len);
    if (err == 0)
        err = put_boot_params(l, &b, &params);
    if (err == 0 && b.is64)
        err = put_page_tables(l, &cr3);
    *e = (struct load_entry){ .pc = b.load + (b.is64 ? 0x200 : 0),
                              .rsi = params,
                              .mode = b.is64 ? ENTRY_LONG64 : ENTRY_PROT32,
                              .cr3 = cr3 };
    return err;
}
