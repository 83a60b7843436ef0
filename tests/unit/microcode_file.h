/* SPDX-License-Identifier: BSD-2-Clause */
/* microcode_file.h: files of microcode as the makers' tools would write them, without microcode. */
#pragma once
#include <hv/types.h>
#include <string.h>

static inline uint32_t words_sum(const uint8_t *p, uint32_t bytes)
{
    uint32_t s = 0;

    for (uint32_t i = 0; i < bytes; i += 4)
        s += (uint32_t)get_le(p + i, 4);
    return s;
}

/*
 * Intel SDM volume 3 table 9-7: an update of 2048 bytes; with `more`, another signature of the
 * same flags, one of 3072. Returns its length.
 */
static inline uint32_t intel_update(uint8_t *to, uint32_t signature, uint32_t flags,
                                    uint32_t revision, uint32_t more)
{
    uint32_t total = more ? 3072 : 2048;
    const uint32_t head[] = { 1, revision, 0x02132019, signature, 0, 1, flags, 2000, total };

    memset(to, 0, total);
    for (uint32_t i = 0; i < sizeof head / sizeof head[0]; i++)
        put_le(to + 4 * i, 4, head[i]);
    for (uint32_t i = 48; i < 2048; i++)
        to[i] = (uint8_t)(i * 7 + revision);
    put_le(to + 16, 4, 0u - words_sum(to, 2048));
    if (more) {
        put_le(to + 2048, 4, 1);
        put_le(to + 2068, 4, more);
        put_le(to + 2072, 4, flags);
        put_le(to + 2076, 4, (uint32_t)get_le(to + 16, 4) + signature - more);
        put_le(to + 2052, 4, 0u - words_sum(to + 2048, 32));
    }
    return total;
}

/* A container's head with two CPUs: 800f12h is 8012h, 830f10h is 8310h. */
static inline uint32_t amd_container(uint8_t *to)
{
    memset(to, 0, 12 + 3 * 16);
    put_le(to, 4, 0x00414d44);
    put_le(to + 8, 4, 3 * 16);
    put_le(to + 12, 4, 0x800f12);
    put_le(to + 24, 2, 0x8012);
    put_le(to + 28, 4, 0x830f10);
    put_le(to + 40, 2, 0x8310);
    return 12 + 3 * 16;
}

/* chipset: not 0 is for one that nobody has. */
static inline uint32_t amd_patch(uint8_t *to, uint32_t equiv, uint32_t revision, uint32_t chipset)
{
    memset(to, 0, 8 + 256);
    put_le(to, 4, 1);
    put_le(to + 4, 4, 256);
    put_le(to + 8, 4, 0x02132019);
    put_le(to + 12, 4, revision);
    put_le(to + 24, 4, chipset);
    put_le(to + 32, 2, equiv);
    return 8 + 256;
}
