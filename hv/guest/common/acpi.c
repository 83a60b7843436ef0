/* SPDX-License-Identifier: BSD-2-Clause */
/* acpi.c: what the ACPI tables of every ISA's guests have in common. */
#include <hv/guest_acpi.h>

uint8_t *tables_take(struct tables *t, uint64_t len, uint64_t align)
{
    t->used = align_up(t->used, align) + len;
    if (t->used > t->room) {
        t->full = true;
        t->used = len;
    }
    return t->buf + t->used - len;
}

uint64_t tables_address(const struct tables *t, const uint8_t *p)
{
    return t->base + (uint64_t)(p - t->buf);
}

/* What makes the bytes' sum 0. */
static uint8_t checksum(const uint8_t *p, uint64_t len)
{
    uint8_t s = 0;

    for (uint64_t i = 0; i < len; i++)
        s = (uint8_t)(s - p[i]);
    return s;
}

uint8_t *tables_begin(struct tables *t, const char *signature, unsigned revision, uint32_t len)
{
    uint8_t *p = tables_take(t, len, 16);

    memcpy(p, signature, 4);
    tables_put(p, 4, 4, len);
    p[8] = (uint8_t)revision;
    memcpy(p + 10, "TRIVET", 6);
    memcpy(p + 16, t->model, 8);
    tables_put(p, 24, 4, 1);
    memcpy(p + 28, "TRVT", 4);
    tables_put(p, 32, 4, 1);
    return p;
}

uint64_t tables_seal(const struct tables *t, uint8_t *p)
{
    uint32_t len;

    memcpy(&len, p + 4, sizeof len);
    p[9] = 0;
    p[9] = checksum(p, len);
    return tables_address(t, p);
}

uint64_t tables_copy(struct tables *t, const uint8_t *table, uint64_t len)
{
    return tables_address(t, memcpy(tables_take(t, len, 16), table, len));
}

uint64_t tables_root(struct tables *t, uint8_t *rsdp, const uint64_t *addresses, unsigned n)
{
    uint8_t *xsdt = tables_begin(t, "XSDT", 1, TABLE_HEADER + 8 * n);

    for (unsigned i = 0; i < n; i++)
        tables_put(xsdt, TABLE_HEADER + 8 * i, 8, addresses[i]);
    memcpy(rsdp, "RSD PTR ", 8);
    memcpy(rsdp + 9, "TRIVET", 6);
    rsdp[15] = 2;
    tables_put(rsdp, 20, 4, RSDP_LEN);
    tables_put(rsdp, 24, 8, tables_seal(t, xsdt));
    rsdp[8] = checksum(rsdp, 20);
    rsdp[32] = checksum(rsdp, RSDP_LEN);
    return tables_address(t, rsdp);
}
