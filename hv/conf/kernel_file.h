/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel_file.h: reading the headers of a kernel's file, which is distrusted. For hv/conf only. */
#pragma once
#include <hv/types.h>
#include <string.h>

/* ELF e_machine */
enum { EM_386 = 3, EM_ARM = 40, EM_X86_64 = 62, EM_AARCH64 = 183, EM_RISCV = 243 };

struct kernel_file {
    const uint8_t *at;
    uint64_t len; /* bytes */
};

/* A little-endian number of up to 4 bytes; 0 beyond the end. */
static inline uint32_t kernel_file_get(const struct kernel_file *f, uint64_t off, unsigned size)
{
    uint32_t v = 0;

    if (!range_within(off, size, 0, f->len))
        return 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint32_t)f->at[off + i] << (8 * i);
    return v;
}

/* Whether the n bytes at `off` are these; false beyond the end. */
static inline bool kernel_file_has(const struct kernel_file *f, uint64_t off, const char *what,
                                   size_t n)
{
    return range_within(off, n, 0, f->len) && memcmp(f->at + off, what, n) == 0;
}

/* By the header of a file that is not packed; ISA_COUNT: it does not say. */
enum isa kernel_isa_plain(const void *data, uint64_t len);
/*
 * The first bytes of what gzip packed, into `to`, where there is room for KERNEL_INSIDE; returns
 * how many, 0 for a file that is packed otherwise, or broken. Heap: for a moment.
 */
#define KERNEL_INSIDE (32 * KIB) /* Multiboot2's header is in them */
uint32_t kernel_inside(const void *data, uint64_t len, uint8_t *to);
