/* SPDX-License-Identifier: BSD-2-Clause */
/* Single precision: a filter over samples. */
#include "work.h"

static float in[1024], out[1024];

int main(void)
{
    float sum = 0;

    for (int i = 0; i < 1024; i++)
        in[i] = (float)(i % 37) * 0.25f - 3.0f;
    for (int n = 0; n < 10000 * ROUNDS; n++) {
        for (int i = 4; i < 1024; i++)
            out[i] = 0.1f * in[i] + 0.2f * in[i - 1] + 0.4f * in[i - 2] + 0.2f * in[i - 3] +
                     0.1f * in[i - 4];
        in[n & 1023] = out[(n + 5) & 1023];
    }
    for (int i = 0; i < 1024; i++)
        sum += out[i];
    return digest((uint64_t)(int64_t)(sum * 1000));
}
