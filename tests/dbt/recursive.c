/* SPDX-License-Identifier: BSD-2-Clause */
/* Fibonacci numbers by recursion. */
#include "work.h"

__attribute__((noinline, optimize("no-optimize-sibling-calls"))) static uint64_t fib(unsigned n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

int main(void)
{
    uint64_t sum = 0;

    for (int n = 0; n < 4 * ROUNDS; n++)
        sum += fib(32);
    return digest(sum);
}
