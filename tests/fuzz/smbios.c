/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The SMBIOS parser on hostile firmware: the input is the structure table; the entry point is made
 * good.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <hv/smbios.h>

#define ENTRY 0x1000u
#define TABLE 0x2000u

static uint8_t entry[32];
static const uint8_t *table;
static uint32_t table_len;

static const void *map(hpa_t phys, uint64_t len)
{
    if (range_within(phys.v, len, ENTRY, sizeof entry))
        return entry + (phys.v - ENTRY);
    return range_within(phys.v, len, TABLE, table_len) ? table + (phys.v - TABLE) : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n)
{
    struct smbios_info info;
    uint8_t s = 0;

    table = d;
    table_len = (uint32_t)n;
    memset(entry, 0, sizeof entry);
    memcpy(entry, "_SM3_", 5);
    entry[6] = 0x18;
    memcpy(entry + 12, &table_len, 4);
    entry[17] = TABLE >> 8;
    for (uint32_t i = 0; i < 0x18; i++)
        s = (uint8_t)(s + entry[i]);
    entry[5] = (uint8_t)-s;
    if (smbios_parse(&info, ENTRY, map) != (n != 0))
        abort();
    if (memchr(info.maker, 0, sizeof info.maker) == NULL ||
        memchr(info.product, 0, sizeof info.product) == NULL)
        abort();
    return 0;
}
