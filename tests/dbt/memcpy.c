/* SPDX-License-Identifier: BSD-2-Clause */
/* Copying words. */
#include "work.h"

static uint64_t a[8192], b[8192];

static void copy(volatile uint64_t *to, const volatile uint64_t *from, size_t n)
{
    for (size_t i = 0; i < n; i += 4) {
        uint64_t v0 = from[i], v1 = from[i + 1], v2 = from[i + 2], v3 = from[i + 3];
        to[i] = v0, to[i + 1] = v1, to[i + 2] = v2, to[i + 3] = v3;
    }
}

int main(void)
{
    for (unsigned i = 0; i < 8192; i++)
        a[i] = i * 0x9e3779b97f4a7c15ull;
    for (int n = 0; n < 50000 * ROUNDS; n++) {
        copy(b, a, 8192);
        a[n & 8191] = b[(n + 1) & 8191] + 1;
    }
    return digest(b[77]);
}
