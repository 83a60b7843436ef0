/* SPDX-License-Identifier: BSD-2-Clause */
/* acpi_tables.c: from the RSDP to each table. ACPI 6.5 sections 5.2.5 to 5.2.8. */
#include <hv/acpi.h>
#include <string.h>
#include <hv/assert.h>

#include "acpi_private.h"

#define TABLES_MAX 256 /* entries of a root table that we look at */

static bool acpi_tables_sum_zero(const uint8_t *p, uint32_t len)
{
    uint8_t s = 0;

    for (uint32_t i = 0; i < len; i++)
        s = (uint8_t)(s + p[i]);
    return s == 0;
}

uint64_t acpi_get(struct bytes b, uint32_t off, uint32_t size)
{
    hv_assert(size <= 8);
    return range_within(off, size, 0, b.len) ? get_le(b.p + off, size) : 0;
}

struct acpi_gas acpi_gas_at(struct bytes b, uint32_t off)
{
    return (struct acpi_gas){ .space = (uint8_t)acpi_get(b, off, 1),
                              .bits = (uint8_t)acpi_get(b, off + 1, 1),
                              .access = (uint8_t)acpi_get(b, off + 3, 1),
                              .addr = acpi_get(b, off + 4, 8) };
}

struct bytes acpi_bytes(const struct acpi_header *h)
{
    return (struct bytes){ (const uint8_t *)h, h->len };
}

const struct acpi_header *acpi_map_table(uint64_t phys, acpi_map_fn map, uint32_t *bad)
{
    const struct acpi_header *h = phys ? map(hpa(phys), sizeof *h) : NULL;
    uint32_t len;

    if (!h)
        return NULL;
    len = h->len;
    if (len < sizeof *h || len > TABLE_MAX || !(h = map(hpa(phys), len)) ||
        !acpi_tables_sum_zero((const uint8_t *)h, len)) {
        ++*bad;
        return NULL;
    }
    return h;
}

/* The root: the XSDT where there is a good one, else the RSDT. */
struct root {
    struct bytes b;
    uint32_t entry; /* bytes of one entry: 4 or 8 */
    char oem[7];
};

static const uint8_t *map_rsdp(uint64_t rsdp, acpi_map_fn map)
{
    const uint8_t *r = rsdp ? map(hpa(rsdp), 20) : NULL;

    if (!r || memcmp(r, "RSD PTR ", 8) != 0 || !acpi_tables_sum_zero(r, 20))
        return NULL;
    if (r[15] >= 2) {
        const uint8_t *r2 = map(hpa(rsdp), 36);
        if (r2 && acpi_tables_sum_zero(r2, 36))
            return r2;
    }
    return r;
}

static bool find_root(struct root *out, uint64_t rsdp, acpi_map_fn map, uint32_t *bad)
{
    const uint8_t *r = map_rsdp(rsdp, map);
    const struct acpi_header *h = NULL;
    struct bytes b;

    if (!r)
        return false;
    b = (struct bytes){ r, r[15] >= 2 && acpi_tables_sum_zero(r, 20) ? 36 : 20 };
    memcpy(out->oem, r + 9, 6);
    out->oem[6] = 0;
    out->entry = 8;
    if (r[15] >= 2)
        h = acpi_map_table(acpi_get(b, 24, 8), map, bad);
    if (!h || memcmp(h->sig, "XSDT", 4) != 0) {
        out->entry = 4;
        h = acpi_map_table(acpi_get(b, 16, 4), map, bad);
        if (!h || memcmp(h->sig, "RSDT", 4) != 0)
            return false;
    }
    out->b = acpi_bytes(h);
    return true;
}

static uint32_t root_count(const struct root *r)
{
    uint32_t n = (r->b.len - (uint32_t)sizeof(struct acpi_header)) / r->entry;

    return n < TABLES_MAX ? n : TABLES_MAX;
}

static const struct acpi_header *root_table(const struct root *r, uint32_t i, acpi_map_fn map,
                                            uint32_t *bad)
{
    return acpi_map_table(
        acpi_get(r->b, (uint32_t)sizeof(struct acpi_header) + i * r->entry, r->entry), map, bad);
}

static const struct {
    char sig[5];
    void (*parse)(struct acpi_info *, struct bytes);
} parsers[] = {
    { "APIC", acpi_parse_madt }, { "MCFG", acpi_parse_mcfg }, { "SPCR", acpi_parse_spcr },
    { "HPET", acpi_parse_hpet }, { "SSDT", acpi_parse_aml },
};

static void parse_one(struct acpi_info *out, const struct acpi_header *h, acpi_map_fn map)
{
    if (memcmp(h->sig, "FACP", 4) == 0) {
        uint64_t dsdt = 0;
        acpi_parse_fadt(out, acpi_bytes(h), &dsdt);
        memcpy(out->table_oem, h->table_oem, 8);
        const struct acpi_header *d = acpi_map_table(dsdt, map, &out->nbad);
        if (d)
            acpi_parse_aml(out, acpi_bytes(d));
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(parsers); i++)
        if (memcmp(h->sig, parsers[i].sig, 4) == 0)
            parsers[i].parse(out, acpi_bytes(h));
}

static void note_signature(struct acpi_info *out, const struct acpi_header *h)
{
    size_t n = strlen(out->signatures);

    if (n + 6 > sizeof out->signatures)
        return;
    if (n)
        out->signatures[n++] = ' ';
    for (unsigned i = 0; i < 4; i++)
        out->signatures[n++] = h->sig[i] > ' ' && h->sig[i] < 0x7f ? h->sig[i] : '?';
    out->signatures[n] = '\0';
}

bool acpi_parse(struct acpi_info *out, uint64_t rsdp, acpi_map_fn map)
{
    struct root r;

    hv_assert(out && map);
    memset(out, 0, sizeof *out);
    if (!find_root(&r, rsdp, map, &out->nbad))
        return false;
    out->present = true;
    memcpy(out->oem, r.oem, sizeof out->oem);
    for (uint32_t i = 0, n = root_count(&r); i < n; i++) {
        const struct acpi_header *h = root_table(&r, i, map, &out->nbad);

        if (!h)
            continue;
        out->ntables++;
        note_signature(out, h);
        parse_one(out, h, map);
    }
    return true;
}

const void *acpi_find(uint64_t rsdp, acpi_map_fn map, const char *sig, unsigned nth)
{
    uint32_t bad = 0;
    struct root r;

    hv_assert(map && sig);
    if (!find_root(&r, rsdp, map, &bad))
        return NULL;
    for (uint32_t i = 0, n = root_count(&r); i < n; i++) {
        const struct acpi_header *h = root_table(&r, i, map, &bad);

        if (h && memcmp(h->sig, sig, 4) == 0 && nth-- == 0)
            return h;
    }
    return NULL;
}
