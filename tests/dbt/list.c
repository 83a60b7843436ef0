/* SPDX-License-Identifier: BSD-2-Clause */
/* A walk through a linked list in random order. */
#include "work.h"

#define N 4096
struct node {
    struct node *next;
    uint64_t value;
};
static struct node v[N];
static uint16_t order[N];

int main(void)
{
    uint32_t seed = 1;
    uint64_t sum = 0;

    for (int i = 0; i < N; i++)
        order[i] = (uint16_t)i;
    for (int i = N - 1; i > 0; i--) {
        unsigned j = (next_random(&seed) >> 8) % (unsigned)(i + 1);
        uint16_t t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
    for (int i = 0; i < N; i++) {
        v[order[i]].next = &v[order[(i + 1) % N]];
        v[order[i]].value = (uint64_t)i;
    }
    struct node *p = v;
    for (long n = 0; n < 60000000L * ROUNDS; n++) {
        sum += p->value;
        p = p->next;
    }
    return digest(sum);
}
