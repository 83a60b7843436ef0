/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cper.c: hardware errors that the firmware has recorded: why the last boot ended (BERT), and what
 * the sources of HEST hold. They are read once, and not acknowledged.
 */
#include <arch/mmu.h>

#include <hv/assert.h>
#include <hv/cper.h>
#include <hv/log.h>
#include <stdio.h>
#include <string.h>

#include "acpi_private.h"

/* Generic error status block and data entry: tables 18.12 and 18.13. */
enum {
    B_STATUS = 0,
    B_DATA_LEN = 12,
    B_HEAD = 20,
    E_TYPE = 0,
    E_SEVERITY = 16,
    E_REVISION = 20,
    E_VALID = 22,
    E_LEN = 24,
    E_FRU = 44,
    E_HEAD = 64,
    E_HEAD_3 = 72, /* from revision 3 on, with a time */
};
#define STATUS_ANY 0xfu /* errors corrected or not, one or several */
#define VALID_FRU 2u    /* a text that names the part */

static const char *const severities[] = { "recoverable", "fatal", "corrected", "informational" };

/* Within the entry's data; 0 beyond it. */
static uint64_t cper_field(struct bytes b, uint32_t at, uint32_t size)
{
    return acpi_get(b, at, size);
}

/* UEFI 2.10 section N.2.5: validation bit 1 says that there is an address. */
static void cper_memory(struct bytes b, char *to, size_t n)
{
    if (cper_field(b, 0, 8) & 2)
        snprintf(to, n, "memory at %#llx", (unsigned long long)cper_field(b, 16, 8));
    else
        snprintf(to, n, "memory");
}

/* Section N.2.7: validation bit 3 is about the device's address. */
static void cper_pcie(struct bytes b, char *to, size_t n)
{
    if (cper_field(b, 0, 8) & 8)
        snprintf(to, n, "PCI device %04x:%02x:%02x.%x", (unsigned)cper_field(b, 33, 2),
                 (unsigned)cper_field(b, 35, 1), (unsigned)cper_field(b, 32, 1) & 31,
                 (unsigned)cper_field(b, 31, 1) & 7);
    else
        snprintf(to, n, "a PCI device");
}

/* Sections N.2.4 to N.2.10. */
static const struct {
    uint8_t guid[16]; /* as it lies in memory */
    const char *what;
    void (*words)(struct bytes, char *to, size_t);
} sections[] = {
    { { 0x14, 0x11, 0xbc, 0xa5, 0x64, 0x6f, 0xde, 0x4e, 0xb8, 0x63, 0x3e, 0x83, 0xed, 0x7c, 0x83,
        0xb1 },
      NULL,
      cper_memory },
    { { 0x54, 0xe9, 0x95, 0xd9, 0xc1, 0xbb, 0x0f, 0x43, 0xad, 0x91, 0xb4, 0x4d, 0xcb, 0x3c, 0x6f,
        0x35 },
      NULL,
      cper_pcie },
    { { 0xad, 0xcc, 0x76, 0x98, 0xb4, 0x47, 0xdb, 0x4b, 0xb6, 0x5e, 0x16, 0xf1, 0x93, 0xc4, 0xf3,
        0xdb },
      "the CPU",
      NULL },
    { { 0xb0, 0xa0, 0x3e, 0xdc, 0x44, 0xa1, 0x97, 0x47, 0xb9, 0x5b, 0x53, 0xfa, 0x24, 0x2b, 0x6e,
        0x1d },
      "the CPU (x86)",
      NULL },
    { { 0x16, 0x3d, 0x9e, 0xe1, 0x11, 0xbc, 0xe4, 0x11, 0x9c, 0xaa, 0xc2, 0x05, 0x1d, 0x5d, 0x46,
        0xb0 },
      "the CPU (ARM)",
      NULL },
    { { 0x96, 0x2a, 0x21, 0x81, 0xed, 0x09, 0x96, 0x49, 0x94, 0x71, 0x8d, 0x72, 0x9c, 0x8e, 0x69,
        0xed },
      "the firmware",
      NULL },
};

static void cper_part(const uint8_t *type, struct bytes data, char *to, size_t n)
{
    for (unsigned i = 0; i < ARRAY_SIZE(sections); i++) {
        if (memcmp(type, sections[i].guid, 16) != 0)
            continue;
        if (sections[i].words)
            sections[i].words(data, to, n);
        else
            snprintf(to, n, "%s", sections[i].what);
        return;
    }
    snprintf(to, n, "a part of a kind that Trivet does not know (%02x%02x%02x%02x)", type[3],
             type[2], type[1], type[0]);
}

/* The text that names the part: 20 bytes, not ended where it fills them. */
static void cper_fru(const uint8_t *text, char *to, size_t n)
{
    size_t len = 0;

    while (len < 20 && text[len] >= 0x20 && text[len] < 0x7f)
        len++;
    if (len)
        snprintf(to, n, ", \"%.*s\"", (int)len, (const char *)text);
    else
        to[0] = '\0';
}

/* One entry of at least E_HEAD bytes; returns its length, 0: it does not fit. */
static uint32_t entry_words(struct bytes b, uint32_t at, char *words)
{
    uint32_t head = cper_field(b, at + E_REVISION, 2) >= 0x300 ? E_HEAD_3 : E_HEAD,
             len = (uint32_t)cper_field(b, at + E_LEN, 4), severity;
    char what[80], name[32] = "";

    if (head > b.len - at || len > b.len - at - head)
        return 0;
    severity = (uint32_t)cper_field(b, at + E_SEVERITY, 4);
    cper_part(b.p + at + E_TYPE, (struct bytes){ b.p + at + head, len }, what, sizeof what);
    if (cper_field(b, at + E_VALID, 1) & VALID_FRU)
        cper_fru(b.p + at + E_FRU, name, sizeof name);
    snprintf(words, CPER_WORDS, "%s error of %s%s",
             severity < ARRAY_SIZE(severities) ? severities[severity] : "some", what, name);
    return head + len;
}

unsigned cper_block(const uint8_t *block, uint64_t len, void (*say)(void *ctx, const char *words),
                    void *ctx)
{
    struct bytes b = { block, (uint32_t)min_u64(len, CPER_BLOCK_MAX) };
    uint64_t end;
    unsigned n = 0;
    char words[CPER_WORDS];

    if (b.len < B_HEAD || !(cper_field(b, B_STATUS, 4) & STATUS_ANY))
        return 0;
    end = B_HEAD + cper_field(b, B_DATA_LEN, 4);
    b.len = (uint32_t)min_u64(end, b.len);
    for (uint32_t at = B_HEAD; n < CPER_ENTRIES_MAX && b.len - at >= E_HEAD; n++) {
        uint32_t step = entry_words(b, at, words);

        if (!step)
            break;
        say(ctx, words);
        at += step;
    }
    if (!n) {
        say(ctx, "an error without a record that can be read");
        n = 1;
    }
    return n;
}

/* ---- HEST: sources by type, with their lengths (tables 18.2 to 18.11) ---- */

enum { H_COUNT = 36, H_FIRST = 40, TYPE_MCE = 0, TYPE_CMC = 1, TYPE_GHES = 9, TYPE_GHES2 = 10 };

static uint32_t cper_source_len(struct bytes b, uint32_t at)
{
    static const uint8_t fixed[12] = {
        [2] = 20, [6] = 48, [7] = 44, [8] = 56, [TYPE_GHES] = 64, [TYPE_GHES2] = 92
    };
    uint32_t type = (uint32_t)acpi_get(b, at, 2);

    if (type == TYPE_MCE)
        return 40 + 28 * (uint32_t)acpi_get(b, at + 32, 1);
    if (type == TYPE_CMC || type == 11)
        return 48 + 28 * (uint32_t)acpi_get(b, at + 44, 1);
    return type < sizeof fixed ? fixed[type] : 0;
}

bool hest_next(const uint8_t *table, uint32_t *at, struct hest_source *s)
{
    struct bytes b = { table, (uint32_t)get_le(table + 4, 4) };

    *at = *at ? *at : H_FIRST;
    for (uint32_t len; *at < b.len; *at += len) {
        uint32_t here = *at, type = (uint32_t)acpi_get(b, here, 2);

        len = cper_source_len(b, here);
        if (!len || len > b.len - here)
            return false;
        if (type != TYPE_GHES && type != TYPE_GHES2)
            continue;
        *s = (struct hest_source){ acpi_gas_at(b, here + 20), (uint32_t)acpi_get(b, here + 60, 4) };
        *at = here + len;
        return true;
    }
    return false;
}

/* ---- this machine ---- */

static void cper_log_words(void *ctx, const char *words)
{
    log_warn("the firmware has recorded%s: %s", (const char *)ctx, words);
}

static void cper_look_at(uint64_t phys, uint32_t len, const char *when)
{
    const uint8_t *p;
    char text[48];

    len = (uint32_t)min_u64(len, CPER_BLOCK_MAX);
    p = phys && len >= B_HEAD ? mmu_map_firmware(hpa(phys), len) : NULL;
    snprintf(text, sizeof text, "%s", when);
    if (p)
        (void)cper_block(p, len, cper_log_words, text);
}

static void cper_look_at_source(const struct hest_source *s)
{
    const uint8_t *p;

    if (s->where.space != ACPI_MEMORY || !s->where.addr)
        return;
    p = mmu_map_firmware(hpa(s->where.addr), 8);
    if (p)
        cper_look_at(get_le(p, 8), s->len, "");
}

void cper_boot(void)
{
    const uint8_t *bert = acpi_table("BERT", 0), *hest = acpi_table("HEST", 0);
    struct hest_source s;
    uint32_t at = 0;

    assert_cpu0();
    if (bert && get_le(bert + 4, 4) >= 48)
        cper_look_at(get_le(bert + 40, 8), (uint32_t)get_le(bert + 36, 4),
                     " that the last boot ended with");
    while (hest && hest_next(hest, &at, &s))
        cper_look_at_source(&s);
}
