/* SPDX-License-Identifier: BSD-2-Clause */
/* inside.c: which ISA a kernel is for: by its file, or what gzip packed (RFC 1952), by zlib. */
#include "kernel_file.h"
#include <hv/kernel.h>
#include <stdlib.h>
#include <zlib.h>

#define INSIDE_INPUT (128 * KIB) /* bytes, at most, that are read: a file's header may be long */

static void *inside_alloc(void *opaque, unsigned n, unsigned size)
{
    (void)opaque;
    return calloc(n, size); /* charge: for a moment, as the configuration is Trivet's own */
}

static void inside_free(void *opaque, void *p)
{
    (void)opaque;
    free(p);
}

uint32_t kernel_inside(const void *data, uint64_t len, uint8_t *to)
{
    z_stream z = { .zalloc = inside_alloc,
                   .zfree = inside_free,
                   .next_in = data,
                   .avail_in = (unsigned)min_u64(len, INSIDE_INPUT),
                   .next_out = to,
                   .avail_out = KERNEL_INSIDE };

    if (inflateInit2(&z, 15 + 16) != Z_OK) /* of gzip */
        return 0;
    (void)inflate(&z, Z_NO_FLUSH); /* what it made before an error counts */
    (void)inflateEnd(&z);
    return (uint32_t)(KERNEL_INSIDE - z.avail_out);
}

/* By the header inside; ISA_COUNT: it is not looked into, or does not say. */
static enum isa isa_inside(const void *data, uint64_t len)
{
    uint8_t *inside = malloc(KERNEL_INSIDE); /* charge: for a moment, the configuration's */
    enum isa isa = ISA_COUNT;

    if (inside)
        isa = kernel_isa_plain(inside, kernel_inside(data, len, inside));
    free(inside);
    return isa;
}

bool kernel_is_guessed(const void *data, uint64_t len)
{
    return kernel_packed_by(data, len) && isa_inside(data, len) == ISA_COUNT;
}

enum isa kernel_isa(const void *data, uint64_t len)
{
    enum isa isa;

    if (!kernel_packed_by(data, len))
        return kernel_isa_plain(data, len);
    isa = isa_inside(data, len);
    return isa == ISA_COUNT ? ISA_AARCH64 : isa;
}
