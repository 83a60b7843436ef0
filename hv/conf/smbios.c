/* SPDX-License-Identifier: BSD-2-Clause */
/* smbios.c: the keys `smbios.…`: what a guest's firmware says of its machine. */
#include "parse.h"
#include <string.h>

/* Programs print them: ASCII, so that each does it right. */
static bool smbios_copy(struct parse *p, char *to)
{
    size_t n = strlen(p->value);

    if (n >= SMBIOS_TEXT) {
        complain(p, "%zu bytes are too long; at most %d are accepted", n, SMBIOS_TEXT - 1);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (p->value[i] < ' ' || p->value[i] > '~') {
            complain(p, "only ASCII characters are accepted here");
            return false;
        }
    }
    memcpy(to, p->value, n + 1);
    return true;
}

void set_smbios_text(struct parse *p, const struct key *k, void *field)
{
    (void)k;
    (void)smbios_copy(p, field);
}

/* "8-4-4-4-12" hexadecimal digits; -EINVAL. */
static int smbios_uuid_parse(const char *s, uint8_t uuid[16])
{
    uint8_t out[16];

    for (unsigned i = 0; i < 16; i++, s += 2) {
        int hi, lo;

        if ((i == 4 || i == 6 || i == 8 || i == 10) && *s++ != '-')
            return -EINVAL;
        hi = hex_digit(s[0]);
        lo = hi < 0 ? -1 : hex_digit(s[1]);
        if (lo < 0)
            return -EINVAL;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    if (*s)
        return -EINVAL;
    memcpy(uuid, out, sizeof out);
    return 0;
}

void set_smbios_uuid(struct parse *p, const struct key *k, void *field)
{
    (void)k;
    if (smbios_uuid_parse(p->value, field))
        complain(p, "not a UUID such as 6f1c1b9e-52cb-4b2f-9d3b-1f5a3c0e7d42");
}

void add_smbios_oem(struct parse *p, const struct key *k, void *field)
{
    struct guest_smbios *s = &((struct guest_config *)field)->smbios;

    (void)k;
    if (s->noem == SMBIOS_OEM)
        complain(p, "at most %d texts are accepted", SMBIOS_OEM);
    else if (smbios_copy(p, s->oem[s->noem]))
        s->noem++;
}
