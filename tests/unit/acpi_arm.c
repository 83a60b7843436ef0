/* SPDX-License-Identifier: BSD-2-Clause */
/* ARM64 machines from ACPI tables made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <hv/platform.h>

#include "tests/unit/acpi_fake.h"

enum {
    RSDP = 0x10,
    XSDT = 0x100,
    MADT = 0x200,
    GTDT = 0x800,
    FADT = 0xa00,
    SPCR = 0xc00,
    DBG2 = 0xd00,
    MCFG = 0xe00
};

static struct platform p;
static uint32_t madt_len;

static uint32_t entry(uint8_t type, uint8_t len)
{
    uint32_t at = MADT + madt_len;

    mem[at] = type;
    mem[at + 1] = len;
    madt_len += len;
    return at;
}

static void gicc(uint64_t mpidr, uint32_t flags, uint64_t gicr, uint8_t len)
{
    uint32_t at = entry(0xb, len);

    put(at + 12, flags, 4);
    put(at + 32, 0x8010000, 8);
    put(at + 40, 0x8040000, 8);
    put(at + 48, 0x8030000, 8);
    put(at + 56, 25, 4);
    put(at + 60, gicr, 8);
    put(at + 68, mpidr, 8);
}

static void make_madt(uint8_t version, bool gicr)
{
    uint32_t at;

    memset(mem + MADT, 0, 0x600);
    madt_len = 44;
    gicc(0x80000000, 1, gicr ? 0 : 0x80a0000, 80);
    gicc(0x80000101, 1, gicr ? 0 : 0x80c0000, 76);
    gicc(0x2, 0, 0, 80);   /* disabled */
    gicc(0x101, 1, 0, 80); /* told twice */
    at = entry(0xc, 24);
    put(at + 8, 0x8000000, 8);
    mem[at + 20] = version;
    if (gicr) {
        at = entry(0xe, 16);
        put(at + 4, 0x80a0000, 8);
        put(at + 12, 0xf60000, 4);
        at = entry(0xf, 20);
        put(at + 4, 7, 4);
        put(at + 8, 0x8080000, 8);
    }
    table(MADT, "APIC", madt_len);
}

static int make(void **state)
{
    static const uint32_t all[] = { MADT, GTDT, FADT, SPCR, DBG2, MCFG };

    (void)state;
    memset(mem, 0, sizeof mem);
    make_madt(3, true);
    put(GTDT + 48, 29, 4);
    put(GTDT + 56, 30, 4);
    put(GTDT + 64, 27, 4);
    put(GTDT + 72, 26, 4);
    put(GTDT + 96, 28, 4);
    table(GTDT, "GTDT", 104);
    put(FADT + 129, 1, 2);
    table(FADT, "FACP", 276);
    mem[SPCR + 36] = 3;
    mem[SPCR + 41] = 32;
    put(SPCR + 44, 0x9000000, 8);
    mem[SPCR + 52] = 8;
    put(SPCR + 54, 33, 4);
    mem[SPCR + 58] = 3;
    table(SPCR, "SPCR", 80);
    put(DBG2 + 36, 44, 4);
    put(DBG2 + 40, 1, 4);
    put(DBG2 + 44 + 1, 40, 2);
    mem[DBG2 + 44 + 3] = 1;
    put(DBG2 + 44 + 12, 0x8000, 2);
    put(DBG2 + 44 + 14, 0xe, 2);
    put(DBG2 + 44 + 18, 22, 2);
    put(DBG2 + 44 + 22 + 4, 0x9100000, 8);
    table(DBG2, "DBG2", 84);
    put(MCFG + 44, 0x4010000000, 8);
    mem[MCFG + 55] = 0xff;
    table(MCFG, "MCFG", 60);
    for (uint32_t i = 0; i < ARRAY_SIZE(all); i++)
        put(XSDT + 36 + 8 * i, BASE + all[i], 8);
    table(XSDT, "XSDT", 36 + 8 * (uint32_t)ARRAY_SIZE(all));
    memcpy(mem + RSDP, "RSD PTR ", 8);
    mem[RSDP + 15] = 2;
    put(RSDP + 20, 36, 4);
    put(RSDP + 24, BASE + XSDT, 8);
    fix_sum(RSDP, 20, 8);
    fix_sum(RSDP, 36, 32);
    return 0;
}

static bool parse(void) { return acpi_parse_platform(&p, BASE + RSDP, map); }

static void good_machine(void **state)
{
    (void)state;
    assert_true(parse());
    assert_int_equal(p.source, PLATFORM_ACPI);
    assert_int_equal(p.ncpus, 2);
    assert_int_equal(p.mpidr[0], 0);
    assert_int_equal(p.mpidr[1], 0x101);
    assert_int_equal(p.psci, PSCI_SMC);
    assert_int_equal(p.gic.version, 3);
    assert_int_equal(p.gic.dist, 0x8000000);
    assert_int_equal(p.gic.ngicr, 1);
    assert_int_equal(p.gic.gicr[0].len, 0xf60000);
    assert_int_equal(p.gic.nits, 1);
    assert_int_equal(p.gic.its_id[0], 7);
    assert_int_equal(p.gic.maintenance, 25);
    assert_int_equal(p.timer.phys, 30);
    assert_int_equal(p.timer.virt, 27);
    assert_int_equal(p.timer.hyp, 26);
    assert_int_equal(p.timer.hyp_virt, 28);
    assert_int_equal(p.necam, 1);
    assert_int_equal(p.ecam[0].base, 0x4010000000);
    assert_int_equal(p.ecam[0].bus_last, 255);
}

static void console(void **state)
{
    (void)state;
    assert_true(parse());
    assert_int_equal(p.uart.kind, UART_PL011);
    assert_int_equal(p.uart.base, 0x9000000);
    assert_int_equal(p.uart.intid, 33);
    /* a kind that nobody knows: the debug port then */
    mem[SPCR + 36] = 0x0c;
    table(SPCR, "SPCR", 80);
    assert_true(parse());
    assert_int_equal(p.uart.kind, UART_SBSA);
    assert_int_equal(p.uart.base, 0x9100000);
    assert_int_equal(p.uart.intid, 0);
}

static void psci_by_hvc_or_not_at_all(void **state)
{
    (void)state;
    put(FADT + 129, 3, 2);
    table(FADT, "FACP", 276);
    assert_true(parse());
    assert_int_equal(p.psci, PSCI_HVC);
    table(FADT, "FACP", 129); /* before ACPI 5.1 */
    assert_true(parse());
    assert_int_equal(p.psci, PSCI_NONE);
}

static void gic_versions(void **state)
{
    static const uint8_t want[] = { 3, 2, 2, 3, 3 }; /* told 0..4; 0 with redistributors */

    (void)state;
    for (uint8_t told = 0; told < ARRAY_SIZE(want); told++) {
        make_madt(told, true);
        assert_true(parse());
        assert_int_equal(p.gic.version, want[told]);
    }
    make_madt(0, false);
    assert_true(parse());
    assert_int_equal(p.gic.version, 3); /* a CPU names its redistributor */
    assert_int_equal(p.gic.gicr_cpu[1], 0x80c0000);
    assert_int_equal(p.gic.gicc, 0x8010000);
    assert_int_equal(p.gic.gich, 0x8030000);
    assert_int_equal(p.gic.gicv, 0x8040000);
}

static void no_arm_machine(void **state)
{
    (void)state;
    memset(mem + MADT, 0, 0x600);
    madt_len = 44;
    put(entry(0, 8) + 4, 1, 4); /* an x86 CPU */
    table(MADT, "APIC", madt_len);
    assert_false(parse());
    assert_int_equal(p.uart.kind, UART_NONE);
    assert_false(acpi_parse_platform(&p, 0, map));
}

static void lying_lengths(void **state)
{
    (void)state;
    for (uint32_t len = 36; len < 84; len++) {
        table(DBG2, "DBG2", len);
        table(SPCR, "SPCR", len < 76 ? len : 40);
        assert_true(parse());
        assert_int_equal(p.uart.kind, UART_NONE);
    }
    /* an address register that reaches beyond its device */
    put(DBG2 + 44 + 18, 36, 2);
    table(DBG2, "DBG2", 84);
    assert_true(parse());
    assert_int_equal(p.uart.kind, UART_NONE);
    for (uint32_t len = madt_len; len >= 36; len--) {
        table(MADT, "APIC", len);
        (void)parse();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(good_machine, make),
        cmocka_unit_test_setup(console, make),
        cmocka_unit_test_setup(psci_by_hvc_or_not_at_all, make),
        cmocka_unit_test_setup(gic_versions, make),
        cmocka_unit_test_setup(no_arm_machine, make),
        cmocka_unit_test_setup(lying_lengths, make),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
