/* SPDX-License-Identifier: BSD-2-Clause */
/* The parser of ACPI's IVRS, on tables as machines have them and on broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/iommu/ivrs.h"

/* ---- a table under construction ---- */

static uint8_t t[8192];
static uint32_t len, block_at;

static void put(uint64_t v, unsigned bytes)
{
    memcpy(t + len, &v, bytes);
    len += bytes;
    memcpy(t + 4, &len, 4);
    if (block_at) {
        uint32_t n = len - block_at;

        memcpy(t + block_at + 2, &n, 2);
    }
}

static void begin(void)
{
    memset(t, 0, sizeof t);
    memcpy(t, "IVRS", 4);
    block_at = 0;
    len = 36;
    put(0x203040, 4);
    put(0, 8);
}

static void ivhd(unsigned kind, unsigned flags, unsigned rid, uint64_t base)
{
    block_at = len;
    put(kind, 1);
    put(flags, 1);
    put(0, 2);
    put(rid, 2);
    put(0x40, 2);
    put(base, 8);
    put(0, 2);
    put(0, 2);
    put(0, 4);
    if (kind != 0x10) {
        put(0x206d73ef22254adeull, 8);
        put(0, 8);
    }
}

static void entry(unsigned kind, unsigned rid)
{
    put(kind, 1);
    put(rid, 2);
    put(0, 1);
}

static void entry8(unsigned kind, unsigned rid, unsigned handle, unsigned source, unsigned variety)
{
    entry(kind, rid);
    put(handle, 1);
    put(source, 2);
    put(variety, 1);
}

static void ivmd(unsigned kind, unsigned flags, unsigned first, unsigned last, uint64_t base,
                 uint64_t size)
{
    block_at = len;
    put(kind, 1);
    put(flags, 1);
    put(0, 2);
    put(first, 2);
    put(last, 2);
    put(0, 8);
    put(base, 8);
    put(size, 8);
}

static struct ivrs v;

/* One unit told of three times, an alias, an I/O APIC, a timer, an ACPI device, memory. */
static void a_client_machine(void **state)
{
    (void)state;
    begin();
    for (unsigned kind = 0x10; kind <= 0x40; kind += kind == 0x10 ? 1 : 0x2f) {
        ivhd(kind, 0xb0, 2, 0xfd300000);
        entry(3, 0x08);
        entry(4, 0xfffe);
        entry(0, 0); /* fill bytes */
        entry8(0x43, 0xff00, 0, 0xa5, 0);
        entry(4, 0xffff);
        entry8(0x48, 0, 0x21, 0xa0, 1);
        entry8(0x48, 0, 0, 0xa0, 2);
        entry(2, 0x1234);
        if (kind == 0x40) {
            put(0xf0, 1);
            put(0xa2, 2);
            put(0, 1);
            put(0, 8);
            put(0, 8);
            put(2, 1);
            put(3, 1);
            put(0x414141, 3);
        }
    }
    ivmd(0x22, 7, 0x100, 0x1ff, 0x7e000000, 0x200000);
    ivmd(0x21, 8, 0x300, 0, 0x7f000000, 0x1000);
    ivmd(0x20, 3, 0, 0, 0x80000000, 0x1000);
    assert_true(ivrs_parse(&v, t));
    assert_int_equal(v.bad, 0);
    assert_int_equal(v.nunits, 1);
    assert_int_equal(v.unit[0].base, 0xfd300000);
    assert_int_equal(v.unit[0].rid, 2);
    assert_int_equal(v.unit[0].features, 0x206d73ef22254adeull);
    assert_false(v.unit[0].all);
    assert_int_equal(v.unit[0].nranges, 3);
    assert_int_equal(v.range[0].first, 8);
    assert_int_equal(v.range[0].last, 0xfffe);
    assert_false(v.range[0].aliased);
    assert_int_equal(v.range[1].first, 0xff00);
    assert_int_equal(v.range[1].alias, 0xa5);
    assert_true(v.range[1].aliased);
    assert_int_equal(v.range[2].first, 0x1234);
    assert_int_equal(v.nspecials, 2);
    assert_int_equal(v.special[0].kind, IVRS_IOAPIC);
    assert_int_equal(v.special[0].id, 0x21);
    assert_int_equal(v.special[0].rid, 0xa0);
    assert_int_equal(v.special[1].kind, IVRS_HPET);
    assert_int_equal(v.nreserved, 3);
    assert_int_equal(v.reserved[0].last, 0x1ff);
    assert_int_equal(v.reserved[0].prot, PROT_RW);
    assert_int_equal(v.reserved[1].last, 0x300);
    assert_int_equal(v.reserved[1].prot, PROT_RW); /* excluded from translation: both */
    assert_int_equal(v.reserved[2].last, 0xffff);
    assert_int_equal(v.reserved[2].prot, PROT_R);
}

static void several_units(void **state)
{
    (void)state;
    begin();
    for (unsigned i = 0; i < 4; i++) {
        ivhd(0x11, 0, i << 8 | 2, 0xf0000000 + i * 0x100000);
        entry(3, i << 12);
        entry(4, i << 12 | 0xfff);
    }
    ivhd(0x10, 0, 2, 0xe0000000); /* an older kind of the same */
    entry(1, 0);
    assert_true(ivrs_parse(&v, t));
    assert_int_equal(v.nunits, 4);
    assert_int_equal(v.unit[3].range, 3);
    assert_int_equal(v.range[3].first, 0x3000);
    begin();
    ivhd(0x10, 0, 2, 0xe0000000);
    entry(1, 0);
    assert_true(ivrs_parse(&v, t));
    assert_true(v.unit[0].all);
}

static void broken_tables(void **state)
{
    (void)state;
    begin();
    ivhd(0x10, 0, 2, 0xe0001000);        /* not on 16 KiB */
    ivmd(0x21, 7, 0, 0, 0x1001, 0x1000); /* not on a page */
    ivmd(0x21, 7, 0, 0, 0x1000, 0);
    ivmd(0x22, 7, 5, 4, 0x1000, 0x1000);
    ivmd(0x21, 7, 0, 0, ~0xfffull, 0x2000);
    ivhd(0x10, 0, 2, 0xe0000000);
    entry(4, 8); /* the end of nothing */
    entry(3, 8);
    entry(3, 9); /* begins again */
    entry(4, 7); /* ends before it begins */
    entry(3, 9); /* never ends */
    assert_true(ivrs_parse(&v, t));
    assert_int_equal(v.nunits, 1);
    assert_int_equal(v.nranges, 0);
    assert_int_equal(v.nreserved, 0);
    assert_int_equal(v.bad, 9);
    put(0x48, 1); /* cut off */
    assert_true(ivrs_parse(&v, t));
    assert_int_equal(v.bad, 10);
    begin();
    assert_false(ivrs_parse(&v, t));
    t[4] = 47; /* shorter than its head */
    assert_false(ivrs_parse(&v, t));
    begin();
    ivhd(0x10, 0, 2, 0xe0000000);
    memset(t + block_at + 2, 0, 2);
    assert_false(ivrs_parse(&v, t));
}

static void too_many(void **state)
{
    (void)state;
    begin();
    for (unsigned i = 0; i < IVRS_UNITS + 1; i++) {
        ivhd(0x10, 0, 2, 0xe0000000 + i * 0x10000);
        for (unsigned k = 0; k < 9; k++)
            entry(2, k);
    }
    assert_true(ivrs_parse(&v, t));
    assert_int_equal(v.nunits, IVRS_UNITS);
    assert_int_equal(v.nranges, IVRS_RANGES);
    assert_int_equal(v.bad, 1 + 9 * IVRS_UNITS - IVRS_RANGES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_machine),
        cmocka_unit_test(several_units),
        cmocka_unit_test(broken_tables),
        cmocka_unit_test(too_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
