/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * div128.c: what gcc calls for 128-bit division. libgcc's has returns that do not go through the
 * thunks (thunks.S).
 */
#include <hv/types.h>

typedef unsigned __int128 u128;
u128 __udivti3(u128 a, u128 b);

/*
 * DIV gives two words by one: the upper word's remainder is less than b, so that it cannot
 * overflow. b = 0 traps, as DIV does.
 */
static u128 by_word(u128 a, uint64_t b)
{
    uint64_t high = (uint64_t)(a >> 64) / b, rest = (uint64_t)(a >> 64) % b, low;

    __asm__("divq %2" : "=a"(low), "+d"(rest) : "r"(b), "0"((uint64_t)a) : "cc");
    return (u128)high << 64 | low;
}

u128 __udivti3(u128 a, u128 b)
{
    u128 quotient = 0;

    if (!(b >> 64))
        return by_word(a, (uint64_t)b);
    for (unsigned shift = (unsigned)__builtin_clzll((uint64_t)(b >> 64)) + 1; shift-- > 0;) {
        if (b << shift > a)
            continue;
        a -= b << shift;
        quotient |= (u128)1 << shift;
    }
    return quotient;
}
