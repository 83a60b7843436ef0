/* SPDX-License-Identifier: BSD-2-Clause */
/* BLAKE2s, RFC 7693: the names are those of its section 3. */
#include <hv/assert.h>
#include <hv/blake2s.h>
#include <string.h>

static const uint32_t iv[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

/* §2.7 */
static const uint8_t sigma[10][16] = {
    { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
    { 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3 },
    { 11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4 },
    { 7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8 },
    { 9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13 },
    { 2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9 },
    { 12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11 },
    { 13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10 },
    { 6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5 },
    { 10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0 },
};

static uint32_t blake2s_rotr(uint32_t v, unsigned n) { return v >> n | v << (32 - n); }

/* §3.1 */
static void mix(uint32_t v[16], unsigned a, unsigned b, unsigned c, unsigned d, uint32_t x,
                uint32_t y)
{
    v[a] += v[b] + x;
    v[d] = blake2s_rotr(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = blake2s_rotr(v[b] ^ v[c], 12);
    v[a] += v[b] + y;
    v[d] = blake2s_rotr(v[d] ^ v[a], 8);
    v[c] += v[d];
    v[b] = blake2s_rotr(v[b] ^ v[c], 7);
}

/* §3.2 */
static void compress(struct blake2s *s, bool last)
{
    uint32_t v[16], m[16];

    memcpy(m, s->block, sizeof m); /* every machine that we run on is little-endian */
    memcpy(v, s->h, sizeof s->h);
    memcpy(v + 8, iv, sizeof iv);
    v[12] ^= (uint32_t)s->len;
    v[13] ^= (uint32_t)(s->len >> 32);
    v[14] ^= last ? UINT32_MAX : 0;
    for (unsigned round = 0; round < 10; round++) {
        const uint8_t *p = sigma[round];

        for (unsigned i = 0; i < 4; i++)
            mix(v, i, 4 + i, 8 + i, 12 + i, m[p[2 * i]], m[p[2 * i + 1]]);
        for (unsigned i = 0; i < 4; i++)
            mix(v, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, m[p[8 + 2 * i]],
                m[p[9 + 2 * i]]);
    }
    for (unsigned i = 0; i < 8; i++)
        s->h[i] ^= v[i] ^ v[8 + i];
}

void blake2s_begin(struct blake2s *s)
{
    memset(s, 0, sizeof *s);
    memcpy(s->h, iv, sizeof iv);
    s->h[0] ^= 0x01010000 | BLAKE2S_LEN;
}

/* The last block is compressed by blake2s_end() only, so a full one waits here until more comes. */
void blake2s_add(struct blake2s *s, const void *data, size_t bytes)
{
    const uint8_t *p = data;

    hv_assert(s->fill <= sizeof s->block);
    while (bytes) {
        size_t n = min_u64(bytes, sizeof s->block - s->fill);

        if (n == 0) {
            s->len += sizeof s->block;
            compress(s, false);
            s->fill = 0;
            continue;
        }
        memcpy(s->block + s->fill, p, n);
        s->fill += (uint32_t)n;
        p += n;
        bytes -= n;
    }
}

void blake2s_end(struct blake2s *s, uint8_t digest[BLAKE2S_LEN])
{
    hv_assert(s->fill <= sizeof s->block);
    s->len += s->fill;
    memset(s->block + s->fill, 0, sizeof s->block - s->fill);
    compress(s, true);
    memcpy(digest, s->h, BLAKE2S_LEN);
    wipe(s, sizeof *s);
}
