/* SPDX-License-Identifier: BSD-2-Clause */
/* The parser of ACPI's IVRS: the input is the table behind its ACPI header. */
#include <stdlib.h>
#include <string.h>

#include "drivers/iommu/ivrs.h"

static void check(const struct ivrs *v)
{
    uint32_t ranges = 0;

    for (uint32_t i = 0; i < v->nunits; i++) {
        if (v->unit[i].range != ranges || v->unit[i].base & (16 * KIB - 1))
            abort();
        ranges += v->unit[i].nranges;
    }
    if (ranges != v->nranges)
        abort();
    for (uint32_t i = 0; i < v->nranges; i++)
        if (v->range[i].first > v->range[i].last)
            abort();
    for (uint32_t i = 0; i < v->nspecials; i++)
        if (v->special[i].unit >= v->nunits)
            abort();
    for (uint32_t i = 0; i < v->nreserved; i++)
        if (v->reserved[i].first > v->reserved[i].last ||
            v->reserved[i].base + v->reserved[i].len < v->reserved[i].base)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct ivrs v;
    uint8_t *table = malloc(n + 36); /* of its exact length, for the sanitizer */
    uint32_t len = (uint32_t)n + 36;

    memset(table, 0, 36);
    memcpy(table + 4, &len, 4);
    memcpy(table + 36, data, n);
    if (ivrs_parse(&v, table) != (v.nunits != 0))
        abort();
    check(&v);
    free(table);
    return 0;
}
