/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a kernel's file says of itself. For the loaders' callers; the file is distrusted. What
 * looks into a file that gzip packed takes 32 KiB and zlib's 42 KiB of the heap for a moment.
 */
#pragma once
#include <hv/config.h>
#include <hv/types.h>
/*
 * The instruction set that a kernel's file is made for, by its header: Linux `Image` (ARM64,
 * RISC-V), EFI zboot, bzImage, ELF, Multiboot; of a file that gzip packed, by the header inside
 * it. Other compressed files, and those that do not say, are taken for ARM64's `Image`. ISA_COUNT:
 * it does not say (a raw flat image).
 */
enum isa kernel_isa(const void *data, uint64_t len);
/* Whether that was taken for ARM64's only because it is compressed. */
bool kernel_is_guessed(const void *data, uint64_t len);
/* The program that compressed a file of which an Image can be unpacked: its name; or NULL. */
const char *kernel_packed_by(const void *data, uint64_t len);
/*
 * The same for a guest: `isa` if given, else what `kind` implies, else by the file (NULL: none).
 * ISA_COUNT: nothing says; this machine's then.
 */
enum isa guest_isa(const struct guest_config *, const void *file, uint64_t len);
/*
 * Is a guest's kernel a file that cannot be started, as far as headers and lengths tell? Then
 * `why`, of n bytes, says what it is and what to give instead.
 */
bool kernel_problem(const struct guest_config *, const void *file, uint64_t len, char *why,
                    size_t n);
/*
 * The same of a riscv64 guest's firmware, which is any program for M-mode; false for other guests:
 * see uefi_file_parts().
 */
bool firmware_problem(const struct guest_config *, const void *file, uint64_t len, char *why,
                      size_t n);
