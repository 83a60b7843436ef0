/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bits.c: what the compiler calls to count bits, in place of libgcc's, which on ARM64 uses SIMD
 * registers: they hold a guest's state.
 */
#include <stdint.h>

int __popcountdi2(int64_t);
int __paritydi2(int64_t);

int __popcountdi2(int64_t v)
{
    uint64_t x = (uint64_t)v;

    x -= x >> 1 & 0x5555555555555555ull;
    x = (x & 0x3333333333333333ull) + (x >> 2 & 0x3333333333333333ull);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0full;
    return (int)(x * 0x0101010101010101ull >> 56);
}

int __paritydi2(int64_t v) { return __popcountdi2(v) & 1; }
