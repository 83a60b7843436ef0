/* SPDX-License-Identifier: BSD-2-Clause */
/* Product of two matrices of doubles. */
#include "work.h"

#define N 120
static double a[N][N], b[N][N], c[N][N];

int main(void)
{
    double sum = 0;

    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            a[i][j] = i + 0.5 * j, b[i][j] = i - 0.25 * j;
    for (int n = 0; n < 60 * ROUNDS; n++)
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                double s = 0;
                for (int k = 0; k < N; k++)
                    s += a[i][k] * b[k][j];
                c[i][j] = s;
            }
    for (int i = 0; i < N; i++)
        sum += c[i][i];
    return digest((uint64_t)(int64_t)sum);
}
