/* SPDX-License-Identifier: BSD-2-Clause */
/* SMBIOS tables of guests, read back structure by structure (DSP0134 §6.1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <hv/guest_smbios.h>

static uint8_t tables[SMBIOS_ROOM], anchor[SMBIOS_ANCHOR];
static uint32_t len;

/* Of the structure at `at`: the byte behind its texts. */
static uint32_t end_of(uint32_t at)
{
    uint32_t p = at + tables[at + 1];

    while (p + 1 < len && (tables[p] || tables[p + 1]))
        p++;
    assert_true(p + 1 < len);
    return p + 2;
}

static uint32_t find(uint8_t type)
{
    for (uint32_t at = 0; at < len; at = end_of(at))
        if (tables[at] == type)
            return at;
    return UINT32_MAX;
}

/* Text n of the structure; n is what a field of it says. */
static const char *text(uint32_t at, unsigned field)
{
    const char *p = (const char *)tables + at + tables[at + 1];

    if (tables[at + field] == 0)
        return "";
    for (unsigned n = 1; n < tables[at + field]; n++)
        p += strlen(p) + 1;
    return p;
}

static void make(const struct guest_smbios *s)
{
    uint8_t sum = 0;
    uint32_t said;

    memset(tables, 0xee, sizeof tables);
    len = guest_smbios_tables(s, tables);
    assert_in_range(len, 1, SMBIOS_ROOM);
    guest_smbios_anchor(anchor, len);
    for (unsigned i = 0; i < SMBIOS_ANCHOR; i++)
        sum = (uint8_t)(sum + anchor[i]);
    memcpy(&said, anchor + 12, 4);
    assert_int_equal(sum, 0);
    assert_int_equal(said, len);
    assert_memory_equal(anchor, "_SM3_", 5);
    assert_int_equal(end_of(find(127)), len);
}

static void what_is_given_is_told(void **state)
{
    static const uint8_t uuid[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
    struct guest_smbios s = { "Maker", "Product", "", "0001", { "one", "two" }, 2, { 0 } };
    uint32_t at;

    (void)state;
    for (uint8_t i = 0; i < 16; i++)
        s.uuid[i] = i;
    make(&s);
    at = find(1);
    assert_int_equal(tables[at + 1], 27);
    assert_string_equal(text(at, 4), "Maker");
    assert_string_equal(text(at, 5), "Product");
    assert_string_equal(text(at, 6), "");
    assert_string_equal(text(at, 7), "0001");
    assert_memory_equal(tables + at + 8, uuid, 16);
    assert_string_equal(text(find(3), 7), "0001");
    at = find(11);
    assert_int_equal(tables[at + 4], 2);
    assert_string_equal(text(at, 4), "two");
}

static void the_smallest_and_the_largest(void **state)
{
    struct guest_smbios s = { 0 };

    (void)state;
    make(&s);
    assert_int_equal(find(11), UINT32_MAX);
    assert_string_equal(text(find(1), 4), "");
    memset(&s, 'x', sizeof s); /* also texts without their ends */
    s.noem = SMBIOS_OEM;
    make(&s);
    assert_int_equal(strlen(text(find(11), 4)), SMBIOS_TEXT - 1);
    assert_int_equal(strlen(text(find(1), 7)), SMBIOS_TEXT - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_given_is_told),
        cmocka_unit_test(the_smallest_and_the_largest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
