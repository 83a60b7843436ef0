/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ACPI parser on hostile firmware. The input is a list of tables: one byte for the signature,
 * two for the length told, one for the length there, then the body. Headers and checksums are made
 * good, so that the input reaches the parsers.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <hv/platform.h>

#define BASE 0x10000u
#define MAX_TABLES 12u

static uint8_t mem[0x8000];

static const void *map(hpa_t phys, uint64_t len)
{
    /* A copy of exactly that length, so that ASan sees each step beyond it; freed after the run. */
    static void *old[4096];
    static unsigned n;
    void *p;

    if (!range_within(phys.v, len, BASE, sizeof mem))
        return NULL;
    p = malloc(len ? len : 1);
    memcpy(p, mem + (phys.v - BASE), len);
    free(old[n]);
    old[n] = p;
    n = (n + 1) % 4096;
    return p;
}

static void put(uint32_t at, uint64_t val, size_t size) { memcpy(mem + at, &val, size); }

static void fix_sum(uint32_t at, uint32_t len, uint32_t where)
{
    uint8_t s = 0;

    mem[at + where] = 0;
    for (uint32_t i = 0; i < len && at + i < sizeof mem; i++)
        s = (uint8_t)(s + mem[at + i]);
    mem[at + where] = (uint8_t)-s;
}

static const uint8_t *add_table(uint32_t *at, const uint8_t *d, const uint8_t *end)
{
    static const char sigs[][5] = { "APIC", "FACP", "MCFG", "SPCR", "HPET",
                                    "SSDT", "DSDT", "XYZW", "GTDT", "DBG2" };
    uint32_t told = d[1] | (uint32_t)d[2] << 8, len = d[3];
    const char *sig = sigs[d[0] % ARRAY_SIZE(sigs)];

    d += 4;
    if (len > (size_t)(end - d))
        len = (uint32_t)(end - d);
    memcpy(mem + *at, sig, 4);
    memcpy(mem + *at + 36, d, len);
    put(*at + 4, told & 0x8000 ? told & 0x7fff : 36 + len, 4);
    if (sig[0] == 'F')
        put(*at + 40, BASE + *at + 1024, 4);
    fix_sum(*at, told & 0x8000 ? told & 0x7fff : 36 + len, 9);
    *at += 1024;
    return d + len;
}

int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n)
{
    static struct acpi_info info;
    static struct platform machine;
    const uint8_t *end = d + n;
    uint32_t at = 1024, tables = 0;

    memset(mem, 0, sizeof mem);
    while (end - d >= 4 && tables < MAX_TABLES) {
        put(0x100 + 36 + 8 * tables++, BASE + at, 8);
        d = add_table(&at, d, end);
    }
    memcpy(mem + 0x100, "XSDT", 4);
    put(0x104, 36 + 8 * tables, 4);
    fix_sum(0x100, 36 + 8 * tables, 9);
    memcpy(mem, "RSD PTR ", 8);
    mem[15] = 2;
    put(24, BASE + 0x100, 8);
    fix_sum(0, 20, 8);
    fix_sum(0, 36, 32);
    if (!acpi_parse(&info, BASE, map))
        abort();
    if (info.ncpus > ACPI_CPUS_MAX || info.nioapics > ACPI_IOAPICS_MAX ||
        info.nmcfg > ACPI_MCFG_MAX)
        abort();
    (void)acpi_find(BASE, map, "XYZW", 1);
    if (acpi_parse_platform(&machine, BASE, map) != (machine.ncpus != 0))
        abort();
    if (machine.ncpus > PLATFORM_CPUS_MAX || machine.gic.ngicr > PLATFORM_GICR_MAX ||
        machine.gic.nits > PLATFORM_ITS_MAX || machine.necam > PLATFORM_ECAM_MAX)
        abort();
    return 0;
}
