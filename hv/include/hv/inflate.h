/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernel files that hold a Linux `Image` plain, compressed by gzip (RFC 1952), zstd (RFC 8878) or
 * xz (tukaani.org's xz-file-format), or in an EFI zboot file whose payload is one of these (Linux
 * drivers/firmware/efi/libstub/zboot-header.S). CPU 0, while a VM is built; no byte of the file is
 * trusted.
 */
#pragma once
#include <hv/types.h>

struct vm;

enum packing { PACKED_NOT, PACKED_GZIP, PACKED_ZSTD, PACKED_XZ, PACKINGS };
struct linux_file {
    const uint8_t *at; /* of the Image, or of the compressed file that holds it */
    uint64_t len;
    enum packing packing;
};
/* By its first bytes: a compressed or zboot file. */
bool linux_file_is_packed(const uint8_t *at, uint64_t len);
/* 0; -EINVAL: why[room] says what is wrong with it. A file that is not packed is taken as it is. */
int must_check linux_file_open(const uint8_t *at, uint64_t len, struct linux_file *f, char *why,
                               size_t room);

#define INFLATION_STEP (128u << 10) /* bytes, at most, that a step makes: it is a short one */
/* Bytes, at most, of what was made before that a file may look back at: as Linux's own build packs
 */
#define INFLATION_WINDOW (128 * MIB)
struct inflation;
/* Where its memory comes from: vm_alloc() and vm_free(), scratch_take() and scratch_give(). */
struct inflation_memory {
    struct vm *vm;
    void *(*alloc)(struct vm *vm, size_t len); /* zeroed */
    void (*free)(struct vm *vm, void *p, size_t len);
    void *(*scratch)(size_t len); /* for more than a MiB; up to twice INFLATION_WINDOW */
    void (*scratch_free)(void *p, size_t len);
};
/*
 * Of f, which lasts as long; the caller fails when it makes more than `most` bytes. NULL: there is
 * no memory.
 */
struct inflation *inflation_new(const struct linux_file *f, struct inflation_memory m,
                                uint64_t most);
/* Harmless for NULL. */
void inflation_end(struct inflation *);
/*
 * *piece: the next *n bytes, until the next call. > 0: there are more, even if *n is 0; 0: these
 * were the last; -EINVAL, -ENOMEM: why[room] says how the file is broken, or what is short.
 */
int must_check inflation_step(struct inflation *, const uint8_t **piece, uint64_t *n, char *why,
                              size_t room);
