/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls through a table of functions. */
#include "work.h"

typedef uint64_t (*fn)(uint64_t);
#define OP(name, e) \
    __attribute__((noinline)) static uint64_t name(uint64_t v) { return e; }
OP(f0, v + 1)
OP(f1, v * 3)
OP(f2, v ^ 0x55)
OP(f3, v - 7)
OP(f4, v >> 1)
OP(f5, v | 9)
OP(f6, v + (v << 2))
OP(f7, ~v)
static const fn table[8] = { f0, f1, f2, f3, f4, f5, f6, f7 };

int main(void)
{
    uint64_t v = 1;
    uint32_t seed = 1;

    for (long n = 0; n < 20000000L * ROUNDS; n++)
        v = table[next_random(&seed) >> 24 & 7](v);
    return digest(v);
}
