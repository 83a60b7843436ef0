/* SPDX-License-Identifier: BSD-2-Clause */
/* image_bytes.h: where to change an image of a machine, <hv/state.h>. */
#pragma once
#include <hv/state.h>

/*
 * A byte of the n-th record, or of its head, in `image`, a copy of the good one: small records are
 * changed as often as large ones.
 */
static inline uint8_t *image_byte(uint8_t *image, const uint8_t *good, unsigned n, uint32_t off)
{
    const struct state_image *h = (const void *)good;
    const struct state_record *r = (const void *)(h + 1);

    for (n %= h->records; n > 0; n--)
        r = (const void *)((const uint8_t *)(r + 1) + ((r->len + 7) & ~7u));
    return image + ((const uint8_t *)r - good) + off % (r->len + sizeof *r);
}
