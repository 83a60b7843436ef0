/* SPDX-License-Identifier: BSD-2-Clause */
/* A terminal may send any bytes. */
#include "hv/mgmt/lineedit.h"
#include <stdlib.h>
#include <string.h>

static void out(void *ctx, const char *s, size_t n)
{
    size_t *total = ctx;

    for (size_t i = 0; i < n; i++)
        *total += (unsigned char)s[i];
}

static unsigned complete(void *ctx, const char *buf, unsigned cur, unsigned *start,
                         const char **words, unsigned max)
{
    static const char *const all[] = { "start", "stats",
                                       "a-very-long-word-that-fills-much-of-a-line", "" };
    unsigned n = 0;

    (void)ctx;
    (void)max;
    *start = cur;
    while (*start > 0 && buf[*start - 1] != ' ')
        (*start)--;
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        if (strncmp(all[i], buf + *start, cur - *start) == 0)
            words[n++] = all[i];
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct lineedit le;
    size_t total = 0;

    le_init(&le, "trivet> ", 80, out, &total);
    le.complete = complete;
    le_start(&le);
    for (size_t i = 0; i < size; i++) {
        if (le_feed(&le, (char)data[i]) != LE_NONE)
            le_start(&le);
        if (le.cur > le.len || le.len >= LE_LINE || le.buf[le.len] != '\0')
            abort();
    }
    return 0;
}
