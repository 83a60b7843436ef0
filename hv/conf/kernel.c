/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kernel.c: which instruction set a kernel's file is for. Only headers are read; the loaders of
 * hv/guest check the rest.
 */
#include <hv/kernel.h>
#include <string.h>

/* ELF e_machine */
enum { EM_386 = 3, EM_X86_64 = 62, EM_AARCH64 = 183, EM_RISCV = 243 };
/* PE Machine */
enum { PE_AMD64 = 0x8664, PE_ARM64 = 0xaa64, PE_RISCV64 = 0x5064 };
#define MULTIBOOT_MAGIC 0x1badb002u
#define MULTIBOOT2_MAGIC 0xe85250d6u

struct file {
    const uint8_t *at;
    uint64_t len;
};

/* A little-endian number of up to 4 bytes; 0 beyond the end. */
static uint32_t get(const struct file *f, uint64_t off, unsigned size)
{
    uint32_t v = 0;

    if (!range_within(off, size, 0, f->len))
        return 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint32_t)f->at[off + i] << (8 * i);
    return v;
}

static bool has(const struct file *f, uint64_t off, const char *what, size_t n)
{
    return range_within(off, n, 0, f->len) && memcmp(f->at + off, what, n) == 0;
}

static enum isa by_number(uint32_t n)
{
    static const struct {
        uint32_t number;
        enum isa isa;
    } known[] = {
        { EM_386, ISA_X86_64 },      { EM_X86_64, ISA_X86_64 }, { EM_AARCH64, ISA_AARCH64 },
        { EM_RISCV, ISA_RISCV64 },   { PE_AMD64, ISA_X86_64 },  { PE_ARM64, ISA_AARCH64 },
        { PE_RISCV64, ISA_RISCV64 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (known[i].number == n)
            return known[i].isa;
    return ISA_COUNT;
}

/*
 * A header that need not be at the start: 32-bit aligned, in the first `within` bytes, its words
 * adding up to 0.
 */
static bool multiboot(const struct file *f, uint32_t magic, unsigned words, uint64_t within)
{
    for (uint64_t off = 0; off < within && off + 16 <= f->len; off += 4) {
        uint32_t sum = 0;

        if (get(f, off, 4) != magic)
            continue;
        for (unsigned i = 0; i < words; i++)
            sum += get(f, off + 4 * i, 4);
        if (sum == 0)
            return true;
    }
    return false;
}

enum isa kernel_isa(const void *data, uint64_t len)
{
    struct file f = { data, len };

    /* Linux Documentation/arm64/booting.rst */
    if (has(&f, 56, "ARM\x64", 4))
        return ISA_AARCH64;
    /* Linux Documentation/riscv/boot-image-header.rst */
    if (has(&f, 56, "RSC\x05", 4))
        return ISA_RISCV64;
    if (has(&f, 0, "\x1f\x8b", 2)) /* RFC 1952 */
        return ISA_AARCH64;
    /* Linux Documentation/x86/boot.rst */
    if (has(&f, 0x1fe, "\x55\xaa", 2) && has(&f, 0x202, "HdrS", 4))
        return ISA_X86_64;
    if (has(&f, 0,
            "\x7f"
            "ELF",
            4))
        return by_number(get(&f, 18, 2));
    if (has(&f, 0, "MZ", 2) && has(&f, get(&f, 0x3c, 4), "PE\0\0", 4))
        return by_number(get(&f, get(&f, 0x3c, 4) + 4ull, 2));
    if (multiboot(&f, MULTIBOOT_MAGIC, 3, 8192) || multiboot(&f, MULTIBOOT2_MAGIC, 4, 32768))
        return ISA_X86_64;
    return ISA_COUNT;
}

enum isa guest_isa(const struct guest_config *c, const void *file, uint64_t len)
{
    static const uint8_t implied[] = {
        [KIND_AUTO] = ISA_COUNT,       [KIND_LINUX] = ISA_COUNT,       [KIND_PVH] = ISA_X86_64,
        [KIND_MULTIBOOT] = ISA_X86_64, [KIND_MULTIBOOT2] = ISA_X86_64, [KIND_IMAGE] = ISA_COUNT,
        [KIND_FLAT] = ISA_AARCH64,
    };
    enum isa by_file;

    if (c->isa != ISA_COUNT)
        return c->isa;
    if (implied[c->kind] != ISA_COUNT)
        return implied[c->kind];
    by_file = file ? kernel_isa(file, len) : ISA_COUNT;
    /* an Image is ARM64's unless it says otherwise */
    return c->kind == KIND_IMAGE && by_file != ISA_RISCV64 ? ISA_AARCH64 : by_file;
}
