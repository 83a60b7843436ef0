/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BLAKE2s (RFC 7693), unkeyed, with a digest of 32 bytes. No state but the caller's; any CPU, any
 * context.
 */
#pragma once
#include <hv/types.h>
enum { BLAKE2S_LEN = 32 }; /* bytes of a digest */
struct blake2s {
    uint32_t h[8];
    uint64_t len;  /* bytes so far, without those in `block` */
    uint32_t fill; /* bytes in `block` */
    uint8_t block[64];
};
void blake2s_begin(struct blake2s *);
void blake2s_add(struct blake2s *, const void *, size_t bytes);
void blake2s_end(struct blake2s *, uint8_t digest[BLAKE2S_LEN]); /* and wipes the state */
