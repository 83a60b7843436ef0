/* SPDX-License-Identifier: BSD-2-Clause */
/* Quicksort of random numbers. */
#include "work.h"

#define N 20000
static int32_t v[N];

static void sort(int32_t *a, long n)
{
    while (n > 1) {
        int32_t p = a[n / 2];
        long i = 0, j = n - 1;
        while (i <= j) {
            while (a[i] < p)
                i++;
            while (a[j] > p)
                j--;
            if (i <= j) {
                int32_t t = a[i];
                a[i++] = a[j];
                a[j--] = t;
            }
        }
        sort(a, j + 1);
        a += i;
        n -= i;
    }
}

int main(void)
{
    uint32_t seed = 1;
    uint64_t sum = 0;

    for (int n = 0; n < 150 * ROUNDS; n++) {
        for (int i = 0; i < N; i++)
            v[i] = (int32_t)next_random(&seed);
        sort(v, N);
        sum = sum * 31 + (uint32_t)v[N / 3];
    }
    return digest(sum);
}
