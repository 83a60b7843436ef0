/* SPDX-License-Identifier: BSD-2-Clause */
/* The Mandelbrot set. */
#include "work.h"

int main(void)
{
    uint64_t sum = 0;

    for (int n = 0; n < 8 * ROUNDS; n++)
        for (int y = 0; y < 160; y++)
            for (int x = 0; x < 200; x++) {
                double cr = x / 80.0 - 2, ci = y / 80.0 - 1, r = 0, i = 0;
                int k = 0;
                while (k < 200 && r * r + i * i < 4) {
                    double t = r * r - i * i + cr;
                    i = 2 * r * i + ci;
                    r = t;
                    k++;
                }
                sum += (unsigned)k;
            }
    return digest(sum);
}
