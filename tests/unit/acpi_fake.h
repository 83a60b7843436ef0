/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI tables in an array, for tests of hv/firmware: the array is the physical memory from BASE on.
 */
#pragma once
#include <hv/acpi.h>
#include <string.h>

#define BASE 0x1000u

static uint8_t mem[0x4000];

static inline const void *map(hpa_t phys, uint64_t len)
{
    return range_within(phys.v, len, BASE, sizeof mem) ? mem + (phys.v - BASE) : NULL;
}

static inline void put(uint32_t at, uint64_t val, size_t size) { memcpy(mem + at, &val, size); }

static inline void fix_sum(uint32_t at, uint32_t len, uint32_t where)
{
    uint8_t s = 0;

    mem[at + where] = 0;
    for (uint32_t i = 0; i < len; i++)
        s = (uint8_t)(s + mem[at + i]);
    mem[at + where] = (uint8_t)-s;
}

static inline void table(uint32_t at, const char *sig, uint32_t len)
{
    memcpy(mem + at, sig, 4);
    put(at + 4, len, 4);
    fix_sum(at, len, 9);
}
