/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kernel.c: which instruction set a kernel's file is for. Only headers are read; the loaders of
 * hv/guest check the rest.
 */
#include <hv/kernel.h>

#include "kernel_file.h"

/* PE Machine */
enum { PE_AMD64 = 0x8664, PE_ARM64 = 0xaa64, PE_RISCV64 = 0x5064 };
#define MULTIBOOT_MAGIC 0x1badb002u
#define MULTIBOOT2_MAGIC 0xe85250d6u

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
static bool multiboot(const struct kernel_file *f, uint32_t magic, unsigned words, uint64_t within)
{
    for (uint64_t off = 0; off < within && off + 16 <= f->len; off += 4) {
        uint32_t sum = 0;

        if (kernel_file_get(f, off, 4) != magic)
            continue;
        for (unsigned i = 0; i < words; i++)
            sum += kernel_file_get(f, off + 4 * i, 4);
        if (sum == 0)
            return true;
    }
    return false;
}

/* RFC 1952; RFC 8878; tukaani.org's xz-file-format */
const char *kernel_packed_by(const void *data, uint64_t len)
{
    struct kernel_file f = { data, len };

    if (kernel_file_has(&f, 0, "\x1f\x8b", 2))
        return "gzip";
    if (kernel_file_has(&f, 0, "(\xb5/\xfd", 4))
        return "zstd";
    if (kernel_file_has(&f, 0,
                        "\xfd"
                        "7zXZ\0",
                        6))
        return "xz";
    return NULL;
}

enum isa kernel_isa_plain(const void *data, uint64_t len)
{
    struct kernel_file f = { data, len };

    /* Linux Documentation/arm64/booting.rst */
    if (kernel_file_has(&f, 56, "ARM\x64", 4))
        return ISA_AARCH64;
    /* Linux Documentation/riscv/boot-image-header.rst */
    if (kernel_file_has(&f, 56, "RSC\x05", 4))
        return ISA_RISCV64;
    /* Linux Documentation/x86/boot.rst */
    if (kernel_file_has(&f, 0x1fe, "\x55\xaa", 2) && kernel_file_has(&f, 0x202, "HdrS", 4))
        return ISA_X86_64;
    if (kernel_file_has(&f, 0,
                        "\x7f"
                        "ELF",
                        4))
        return by_number(kernel_file_get(&f, 18, 2));
    if (kernel_file_has(&f, 0, "MZ", 2) &&
        kernel_file_has(&f, kernel_file_get(&f, 0x3c, 4), "PE\0\0", 4))
        return by_number(kernel_file_get(&f, kernel_file_get(&f, 0x3c, 4) + 4ull, 2));
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
