/* SPDX-License-Identifier: BSD-2-Clause */
/* Changes to an image, as a fuzzer's input says. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* At most `n` changes of a byte each, taken from the input 4 bytes at a time. */
static inline void fuzz_patch(uint8_t *image, size_t len, unsigned n, const uint8_t **data,
                              size_t *size)
{
    for (; n && *size >= 4; n--, *data += 4, *size -= 4) {
        const uint8_t *op = *data;
        uint8_t *at = image + ((uint32_t)op[0] | (uint32_t)op[1] << 8) % len;

        *at = op[3] & 2 ? (uint8_t)(*at ^ op[2]) : op[2];
    }
}
