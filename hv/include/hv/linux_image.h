/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The header of Linux's `Image`, which ARM64 and riscv64 share but for its magic
 * (Documentation/arch/arm64/booting.rst, Documentation/arch/riscv/boot-image-header.rst).
 */
#pragma once
#include <hv/types.h>

#define LINUX_IMAGE_HEADER 64u /* bytes, at the file's start */
#define LINUX_IMAGE_ARM64 "ARM\x64"
#define LINUX_IMAGE_RISCV64 "RSC\x05"
#define LINUX_IMAGE_BIG_ENDIAN 1u /* in flags */
struct linux_image {
    uint64_t text_offset; /* bytes from the RAM's (ARM64: the 2 MiB-aligned base's) start */
    uint64_t image_size;  /* with what has no bytes in the file; 0: the header does not say */
    uint64_t flags;
};
/* False: the first `len` bytes of the file at `at` are no Image of the ISA with this magic. */
bool linux_image_read(const uint8_t *at, uint64_t len, const char magic[4], struct linux_image *);
