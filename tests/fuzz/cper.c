/* SPDX-License-Identifier: BSD-2-Clause */
/* Firmware's records of hardware errors, and HEST: the input is a block, or a table's bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <hv/cper.h>

static void say(void *ctx, const char *words)
{
    if (strlen(words) >= CPER_WORDS)
        abort();
    ++*(unsigned *)ctx;
}

int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n)
{
    unsigned lines = 0, sources = 0;
    struct hest_source s;
    uint8_t *table;

    if (cper_block(d, n, say, &lines) != lines || lines > CPER_ENTRIES_MAX)
        abort();
    if (n < 8)
        return 0;
    table = malloc(n);
    memcpy(table, d, n);
    put_le(table + 4, 4, n);
    for (uint32_t at = 0; hest_next(table, &at, &s); sources++)
        if (at > n || sources > n / 64)
            abort();
    free(table);
    return 0;
}
