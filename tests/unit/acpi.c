/* SPDX-License-Identifier: BSD-2-Clause */
/* The ACPI parser against tables made here: a good machine, and broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/acpi_fake.h"

static struct acpi_info info;

enum {
    RSDP = 0x10,
    XSDT = 0x100,
    MADT = 0x200,
    FADT = 0x400,
    DSDT = 0x600,
    MCFG = 0x800,
    SPCR = 0x900,
    HPET = 0xa00
};

static void make_madt(void)
{
    uint8_t *p = mem + MADT + 44;

    put(MADT + 36, 0xfee00000, 4);
    put(MADT + 40, 1, 4);
    static const uint8_t entries[] = {
        0, 8,  0, 0, 1,    0,    0,    0,                   /* CPU 0 */
        0, 8,  1, 7, 1,    0,    0,    0,                   /* CPU with APIC id 7 */
        0, 8,  2, 9, 0,    0,    0,    0,                   /* disabled */
        0, 8,  3, 7, 1,    0,    0,    0,                   /* told twice */
        1, 12, 2, 0, 0,    0,    0xc0, 0xfe, 0,    0, 0, 0, /* IOAPIC */
        2, 10, 0, 0, 2,    0,    0,    0,    0,    0,       /* IRQ 0 is GSI 2 */
        2, 10, 0, 9, 9,    0,    0,    0,    0x0d, 0,       /* IRQ 9: level, high */
        9, 16, 0, 0, 0x34, 0x12, 0,    0,    1,    0, 0, 0,
        0, 0,  0, 0, 77,   4,    1,    2, /* a type of the future */
    };
    memcpy(p, entries, sizeof entries);
    table(MADT, "APIC", 44 + sizeof entries);
}

static void make_fadt(void)
{
    put(FADT + 40, BASE + DSDT, 4);
    put(FADT + 46, 9, 2);
    put(FADT + 48, 0xb2, 4);
    put(FADT + 64, 0x604, 4);
    put(FADT + 76, 0x608, 4);
    put(FADT + 112, 1u << 10, 4);
    mem[FADT + 116] = ACPI_IO;
    put(FADT + 120, 0xcf9, 8);
    mem[FADT + 128] = 0x0f;
    table(FADT, "FACP", 276);
    static const uint8_t s5[] = { 0x70, 0x08, '_',  'S',  '5',  '_',  0x12,
                                  0x06, 0x04, 0x0a, 0x05, 0x01, 0x00, 0x00 };
    memcpy(mem + DSDT + 36, s5, sizeof s5);
    table(DSDT, "DSDT", 36 + sizeof s5);
}

static int make_machine(void **state)
{
    static const uint32_t all[] = { MADT, FADT, MCFG, SPCR, HPET };

    (void)state;
    memset(mem, 0, sizeof mem);
    make_madt();
    make_fadt();
    put(MCFG + 44, 0xb0000000, 8);
    mem[MCFG + 55] = 0xff;
    table(MCFG, "MCFG", 60);
    mem[SPCR + 40] = ACPI_IO;
    put(SPCR + 44, 0x2f8, 8);
    mem[SPCR + 52] = 3;
    mem[SPCR + 53] = 3;
    put(SPCR + 54, 19, 4);
    mem[SPCR + 58] = 7;
    table(SPCR, "SPCR", 80);
    put(HPET + 44, 0xfed00000, 8);
    table(HPET, "HPET", 56);
    for (uint32_t i = 0; i < ARRAY_SIZE(all); i++)
        put(XSDT + 36 + 8 * i, BASE + all[i], 8);
    table(XSDT, "XSDT", 36 + 8 * (uint32_t)ARRAY_SIZE(all));
    memcpy(mem + RSDP, "RSD PTR ", 8);
    memcpy(mem + RSDP + 9, "TRIVET", 6);
    mem[RSDP + 15] = 2;
    put(RSDP + 20, 36, 4);
    put(RSDP + 24, BASE + XSDT, 8);
    fix_sum(RSDP, 20, 8);
    fix_sum(RSDP, 36, 32);
    return 0;
}

static void good_machine(void **state)
{
    (void)state;
    assert_true(acpi_parse(&info, BASE + RSDP, map));
    assert_string_equal(info.oem, "TRIVET");
    assert_int_equal(info.ntables, 5);
    assert_int_equal(strlen(info.signatures), 5 * 5 - 1);
    assert_non_null(strstr(info.signatures, "APIC"));
    assert_int_equal(info.nbad, 0);
    assert_int_equal(info.lapic, 0xfee00000);
    assert_int_equal(info.ncpus, 3);
    assert_int_equal(info.cpus[1], 7);
    assert_int_equal(info.cpus[2], 0x1234);
    assert_int_equal(info.nioapics, 1);
    assert_int_equal(info.ioapics[0].addr, 0xfec00000);
    assert_int_equal(info.noverrides, 2);
    assert_int_equal(info.overrides[0].gsi, 2);
    assert_true(info.overrides[1].level && !info.overrides[1].low);
    assert_int_equal(info.nmcfg, 1);
    assert_int_equal(info.mcfg[0].bus_last, 0xff);
    assert_true(info.spcr.present);
    assert_int_equal(info.spcr.gsi, 19);
    assert_int_equal(info.spcr.baud, 115200);
    assert_int_equal(info.hpet.addr, 0xfed00000);
}

static void power(void **state)
{
    (void)state;
    assert_true(acpi_parse(&info, BASE + RSDP, map));
    assert_int_equal(info.power.pm1a.addr, 0x604);
    assert_int_equal(info.power.pm_timer.addr, 0x608);
    assert_true(info.power.reset_valid);
    assert_int_equal(info.power.reset_value, 0x0f);
    assert_true(info.power.s5_valid);
    assert_int_equal(info.power.slp_typa, 5);
    assert_int_equal(info.power.slp_typb, 1);
    assert_int_equal(info.power.sci, 9);
    assert_false(info.power.no_rtc);
    put(FADT + 109, 1u << 5, 2);
    table(FADT, "FACP", 276);
    assert_true(acpi_parse(&info, BASE + RSDP, map));
    assert_true(info.power.no_rtc);
}

static void find(void **state)
{
    (void)state;
    assert_ptr_equal(acpi_find(BASE + RSDP, map, "HPET", 0), mem + HPET);
    assert_null(acpi_find(BASE + RSDP, map, "HPET", 1));
    assert_null(acpi_find(BASE + RSDP, map, "DMAR", 0));
}

static void bad_checksum_leaves_one_out(void **state)
{
    (void)state;
    mem[MADT + 20] ^= 1;
    assert_true(acpi_parse(&info, BASE + RSDP, map));
    assert_int_equal(info.nbad, 1);
    assert_int_equal(info.ncpus, 0);
    assert_int_equal(info.nmcfg, 1);
}

static void bad_root(void **state)
{
    (void)state;
    mem[RSDP]++;
    assert_false(acpi_parse(&info, BASE + RSDP, map));
    assert_false(acpi_parse(&info, 0, map));
    assert_false(acpi_parse(&info, ~0ull - 3, map));
}

/* Lengths that lie must neither hang the parser nor take it past the end (ASan watches). */
static void lying_lengths(void **state)
{
    (void)state;
    mem[MADT + 45] = 0; /* an entry of length 0 */
    fix_sum(MADT, 44, 9);
    put(MADT + 4, 46, 4);
    fix_sum(MADT, 46, 9);
    put(HPET + 4, 0xfffffff0, 4);
    put(SPCR + 4, 10, 4);
    assert_true(acpi_parse(&info, BASE + RSDP, map));
    assert_int_equal(info.ncpus, 0);
    assert_int_equal(info.nbad, 2);
    assert_false(info.spcr.present);
}

static void s5_at_the_very_end(void **state)
{
    (void)state;
    for (uint32_t cut = 1; cut < 12; cut++) {
        make_machine(NULL);
        table(DSDT, "DSDT", 36 + 14 - cut);
        assert_true(acpi_parse(&info, BASE + RSDP, map));
        assert_true(info.power.s5_valid == (cut <= 3));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(good_machine, make_machine),
        cmocka_unit_test_setup(power, make_machine),
        cmocka_unit_test_setup(find, make_machine),
        cmocka_unit_test_setup(bad_checksum_leaves_one_out, make_machine),
        cmocka_unit_test_setup(bad_root, make_machine),
        cmocka_unit_test_setup(lying_lengths, make_machine),
        cmocka_unit_test_setup(s5_at_the_very_end, make_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
