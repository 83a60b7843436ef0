/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * smbios.c: the machine's maker and product, and the firmware's version. DSP0134 sections 5.2, 6.1,
 * 7.1 and 7.2.
 */
#include <hv/assert.h>
#include <hv/smbios.h>
#include <string.h>

#define TABLE_MAX (1u << 20)
#define STRUCTS_MAX 4096

enum { TYPE_FIRMWARE = 0, TYPE_SYSTEM = 1, TYPE_END = 127 };

struct table {
    const uint8_t *p;
    uint32_t len;
};

static bool smbios_sum_zero(const uint8_t *p, uint32_t len)
{
    uint8_t s = 0;

    for (uint32_t i = 0; i < len; i++)
        s = (uint8_t)(s + p[i]);
    return s == 0;
}

static struct table find_table(uint64_t entry, acpi_map_fn map)
{
    const uint8_t *e = entry ? map(hpa(entry), 32) : NULL;
    uint64_t addr;
    uint32_t len;

    if (!e)
        return (struct table){ 0 };
    if (memcmp(e, "_SM3_", 5) == 0 && e[6] >= 0x18 && e[6] <= 32 && smbios_sum_zero(e, e[6])) {
        len = (uint32_t)get_le(e + 12, 4);
        addr = get_le(e + 16, 8);
    } else if (memcmp(e, "_SM_", 4) == 0 && e[5] >= 0x1e && e[5] <= 32 &&
               smbios_sum_zero(e, e[5])) {
        len = (uint32_t)get_le(e + 22, 2);
        addr = get_le(e + 24, 4);
    } else {
        return (struct table){ 0 };
    }
    if (len > TABLE_MAX)
        len = TABLE_MAX;
    return (struct table){ len ? map(hpa(addr), len) : NULL, len };
}

/*
 * String number `n` (from 1) of the strings at [off, len), cut to what fits; other than printable
 * ASCII becomes '?'.
 */
static void string(struct table t, uint32_t off, uint32_t n, char *out, size_t room)
{
    size_t o = 0;

    if (!n)
        return;
    for (; n > 1 && off < t.len && t.p[off]; n--) {
        while (off < t.len && t.p[off])
            off++;
        off++;
    }
    for (; off < t.len && t.p[off] && o + 1 < room; off++)
        out[o++] = t.p[off] >= ' ' && t.p[off] < 0x7f ? (char)t.p[off] : '?';
    while (o && out[o - 1] == ' ')
        o--;
    out[o] = 0;
}

/* The end of the strings: two zero bytes. */
static uint32_t after_strings(struct table t, uint32_t off)
{
    while (off + 1 < t.len && (t.p[off] || t.p[off + 1]))
        off++;
    return off + 2;
}

bool smbios_parse(struct smbios_info *out, uint64_t entry, acpi_map_fn map)
{
    struct table t = find_table(entry, map);
    uint32_t off = 0;

    hv_assert(out && map);
    memset(out, 0, sizeof *out);
    if (!t.p)
        return false;
    for (int i = 0; i < STRUCTS_MAX && off + 4 <= t.len; i++) {
        const uint8_t *s = t.p + off;
        uint32_t type = s[0], len = s[1];

        if (type == TYPE_END || len < 4 || len > t.len - off)
            break;
        if (type == TYPE_SYSTEM && len >= 6) {
            string(t, off + len, s[4], out->maker, sizeof out->maker);
            string(t, off + len, s[5], out->product, sizeof out->product);
        } else if (type == TYPE_FIRMWARE && len >= 6) {
            string(t, off + len, s[5], out->firmware, sizeof out->firmware);
        }
        off = after_strings(t, off + len);
    }
    return true;
}
