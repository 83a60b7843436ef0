/* SPDX-License-Identifier: BSD-2-Clause */
/* path.c: paths of trivet.conf as the firmware takes them. */
#include "pure.h"

/* The code point at *s, which goes past it; a byte that is no UTF-8 (RFC 3629) stands for itself.
 */
static uint32_t next(const char **s)
{
    static const uint8_t lead[] = { 0xc0, 0xe0, 0xf0 }, mask[] = { 0x1f, 0x0f, 0x07 };
    static const uint32_t least[] = { 0x80, 0x800, 0x10000 };
    const uint8_t *p = (const uint8_t *)*s;

    *s += 1;
    for (unsigned n = 0; n < 3; n++) {
        uint32_t v = *p & mask[n];
        unsigned i = 1;

        if ((*p & ~(uint32_t)mask[n] & 0xff) != lead[n])
            continue;
        for (; i <= n + 1 && (p[i] & 0xc0) == 0x80; i++)
            v = v << 6 | (p[i] & 0x3f);
        if (i <= n + 1 || v < least[n] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
            break;
        *s += n + 1;
        return v;
    }
    return *p;
}

void path_utf16(const char *name, uint16_t *out, size_t room)
{
    size_t o = 0;

    out[o++] = '\\';
    while (*name == '/' || *name == '\\')
        name++;
    while (*name && o + 2 < room) {
        uint32_t v = next(&name);

        if (v >= 0x10000) {
            out[o++] = (uint16_t)(0xd800 + ((v - 0x10000) >> 10));
            v = 0xdc00 + ((v - 0x10000) & 0x3ff);
        }
        out[o++] = v == '/' ? '\\' : (uint16_t)v;
    }
    out[o] = 0;
}
