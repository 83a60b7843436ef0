/* SPDX-License-Identifier: BSD-2-Clause */
/* Planets that attract one another. */
#include "work.h"

#define N 5
struct body {
    double p[3], v[3], m;
};
static struct body s[N];

static double root(double x)
{
    double r;

    __asm__("fsqrt.d %0, %1" : "=f"(r) : "f"(x));
    return r;
}

static void advance(double dt)
{
    for (int i = 0; i < N; i++)
        for (int j = i + 1; j < N; j++) {
            double d[3], q = 0;
            for (int k = 0; k < 3; k++) {
                d[k] = s[i].p[k] - s[j].p[k];
                q += d[k] * d[k];
            }
            double mag = dt / (q * root(q));
            for (int k = 0; k < 3; k++) {
                s[i].v[k] -= d[k] * s[j].m * mag;
                s[j].v[k] += d[k] * s[i].m * mag;
            }
        }
    for (int i = 0; i < N; i++)
        for (int k = 0; k < 3; k++)
            s[i].p[k] += dt * s[i].v[k];
}

int main(void)
{
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < 3; k++)
            s[i].p[k] = 3.0 * i + k * k, s[i].v[k] = 0.01 * (i - k);
        s[i].m = i ? 0.01 : 39.0;
    }
    for (int n = 0; n < 400000 * ROUNDS; n++)
        advance(0.001);
    return digest((uint64_t)(int64_t)(s[1].p[0] * 1e6));
}
