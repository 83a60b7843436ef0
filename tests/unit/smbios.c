/* SPDX-License-Identifier: BSD-2-Clause */
/* The SMBIOS parser: a good table, and tables cut at every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <hv/smbios.h>

#define ENTRY 0x1000u
#define TABLE 0x2000u

static const uint8_t good[] = "\x00\x18\x00\x00\x01\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
                              "\x00\x00\x00\x00\x00\x00\x00"
                              "Maker of firmware\0"
                              "v1.2\0\0"
                              "\x03\x06\x00\x00\x00\x00\0\0"
                              "\x01\x08\x00\x00\x02\x01\x00\x00"
                              "Product \x80 1  \0"
                              "Maker\0\0"
                              "\x7f\x04\x00\x00\0\0";
static uint8_t entry[32], *table;
static uint32_t table_len;

static const void *map(hpa_t phys, uint64_t len)
{
    if (range_within(phys.v, len, ENTRY, sizeof entry))
        return entry + (phys.v - ENTRY);
    return range_within(phys.v, len, TABLE, table_len) ? table + (phys.v - TABLE) : NULL;
}

/*
 * The first `len` bytes of the good table, in a block of exactly that size, so that ASan sees every
 * step beyond.
 */
static void make(uint32_t len)
{
    uint8_t s = 0;

    free(table);
    table = malloc(len + 1);
    table = realloc(table, len ? len : 1);
    memcpy(table, good, len);
    table_len = len;
    memset(entry, 0, sizeof entry);
    memcpy(entry, "_SM3_", 5);
    entry[6] = 0x18;
    memcpy(entry + 12, &len, 4);
    entry[17] = TABLE >> 8;
    for (uint32_t i = 0; i < 0x18; i++)
        s = (uint8_t)(s + entry[i]);
    entry[5] = (uint8_t)-s;
}

static void good_table(void **state)
{
    struct smbios_info info;

    (void)state;
    make(sizeof good - 1);
    assert_true(smbios_parse(&info, ENTRY, map));
    assert_string_equal(info.firmware, "v1.2");
    assert_string_equal(info.product, "Product ? 1");
    assert_string_equal(info.maker, "Maker");
}

static void cut_anywhere(void **state)
{
    struct smbios_info info;

    (void)state;
    for (uint32_t len = 1; len < sizeof good; len++) {
        make(len);
        assert_true(smbios_parse(&info, ENTRY, map));
    }
}

static void no_entry(void **state)
{
    struct smbios_info info;

    (void)state;
    make(sizeof good - 1);
    entry[10] ^= 1;
    assert_false(smbios_parse(&info, ENTRY, map));
    assert_false(smbios_parse(&info, 0, map));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(good_table),
                                        cmocka_unit_test(cut_anywhere),
                                        cmocka_unit_test(no_entry) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
