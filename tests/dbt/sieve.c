/* SPDX-License-Identifier: BSD-2-Clause */
/* Primes by the sieve of Eratosthenes. */
#include "work.h"

#define N 1000000
static uint8_t no[N];

int main(void)
{
    uint64_t sum = 0;

    for (int n = 0; n < 120 * ROUNDS; n++) {
        for (int i = 0; i < N; i++)
            no[i] = 0;
        for (int i = 2; i < N; i++) {
            if (no[i])
                continue;
            sum += (unsigned)i;
            for (long j = (long)i * i; j < N; j += i)
                no[j] = 1;
        }
    }
    return digest(sum);
}
