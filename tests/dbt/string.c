/* SPDX-License-Identifier: BSD-2-Clause */
/* Length, comparison and search of strings, a byte at a time. */
#include "work.h"

static char text[4096], other[4096];

static size_t length(const char *s)
{
    const char *p = s;

    while (*p)
        p++;
    return (size_t)(p - s);
}

static int compare(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return (unsigned char)*a - (unsigned char)*b;
}

static const char *find(const char *s, const char *what)
{
    for (; *s; s++) {
        const char *a = s, *b = what;
        while (*b && *a == *b)
            a++, b++;
        if (!*b)
            return s;
    }
    return NULL;
}

int main(void)
{
    uint32_t seed = 1;
    uint64_t sum = 0;

    for (unsigned i = 0; i + 1 < sizeof text; i++)
        other[i] = text[i] = (char)('a' + (next_random(&seed) >> 20) % 20);
    for (int n = 0; n < 30000 * ROUNDS; n++) {
        text[4000] = (char)('A' + n % 26);
        sum += length(text) + (unsigned)compare(text, other) + (find(text, "zzz") == NULL);
    }
    return digest(sum);
}
