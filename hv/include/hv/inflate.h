/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernel files that hold a Linux `Image` plain, as a gzip file (RFC 1952), or in an EFI zboot file
 * whose payload is one (Linux drivers/firmware/efi/libstub/zboot-header.S). CPU 0, while a VM is
 * built; no byte of the file is trusted.
 */
#pragma once
#include <hv/types.h>

struct vm;

struct linux_file {
    const uint8_t *at; /* of the Image, or of the gzip file that holds it */
    uint64_t len;
    bool gzip;
};
/* By its first bytes: a gzip or zboot file. */
bool linux_file_is_packed(const uint8_t *at, uint64_t len);
/* 0; -EINVAL: why[room] says what is wrong with it. A file that is not packed is taken as it is. */
int must_check linux_file_open(const uint8_t *at, uint64_t len, struct linux_file *f, char *why,
                               size_t room);

#define INFLATION_STEP (128u << 10) /* bytes, at most, that a step makes: it is a short one */
struct inflation;
/* Where its memory comes from: vm_alloc() and vm_free(). */
struct inflation_memory {
    struct vm *vm;
    void *(*alloc)(struct vm *vm, size_t len); /* zeroed */
    void (*free)(struct vm *vm, void *p, size_t len);
};
/* Of f, which lasts as long. NULL: there is no memory. */
struct inflation *inflation_new(const struct linux_file *f, struct inflation_memory m);
/* Harmless for NULL. */
void inflation_end(struct inflation *);
/*
 * *piece: the next *n bytes, until the next call. > 0: there are more; 0: these were the last;
 * -EINVAL: why[room] says how the file is broken.
 */
int must_check inflation_step(struct inflation *, const uint8_t **piece, uint64_t *n, char *why,
                              size_t room);
