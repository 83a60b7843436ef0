/* SPDX-License-Identifier: BSD-2-Clause */
/* The parser of ACPI's DMAR, on tables as machines have them and on broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/iommu/dmar.h"

/* ---- a table under construction ---- */

static uint8_t t[2048];
static uint32_t len, struct_at;

static void put(uint64_t v, unsigned bytes)
{
    memcpy(t + len, &v, bytes);
    len += bytes;
    memcpy(t + 4, &len, 4);
    if (struct_at) {
        uint32_t n = len - struct_at;

        memcpy(t + struct_at + 2, &n, 2);
    }
}

static void begin(unsigned width, unsigned flags)
{
    memset(t, 0, sizeof t);
    memcpy(t, "DMAR", 4);
    struct_at = 0;
    len = 36;
    put(width - 1, 1);
    put(flags, 1);
    put(0, 8);
    put(0, 2);
}

static void structure(unsigned type)
{
    struct_at = len;
    put(type, 2);
    put(0, 2);
}

static void drhd(unsigned flags, uint64_t base)
{
    structure(0);
    put(flags, 1);
    put(0, 1);
    put(0, 2);
    put(base, 8);
}

static void rmrr(uint64_t base, uint64_t limit)
{
    structure(1);
    put(0, 4);
    put(base, 8);
    put(limit, 8);
}

static void scope(unsigned type, unsigned id, unsigned bus, unsigned dev, unsigned fn)
{
    put(type, 1);
    put(8, 1);
    put(0, 2);
    put(id, 1);
    put(bus, 1);
    put(dev, 1);
    put(fn, 1);
}

/* ---- buses: 00:1c.0 leads to 2..4, 02:00.0 to 3 ---- */

static const struct host_pci_dev devs[] = {
    { .bus = 0, .devfn = 0x1c << 3, .header = 1 },
    { .bus = 2, .devfn = 0, .header = 1 },
    { .bus = 3, .devfn = 8, .header = 0 },
};

const struct host_pci_dev *host_pci_devs(uint32_t *count)
{
    *count = ARRAY_SIZE(devs);
    return devs;
}

uint32_t host_pci_read(const struct host_pci_dev *d, uint32_t off, unsigned size)
{
    (void)size;
    assert_int_equal(d->header, 1);
    assert_true(off == 0x19 || off == 0x1a);
    return d == &devs[0] ? (off == 0x19 ? 2 : 4) : 3;
}

static struct dmar d;

/* Two units: the graphics' own, and one for the rest; two RMRRs; ATSR and RHSA. */
static void a_client_machine(void **state)
{
    (void)state;
    begin(39, 5);
    drhd(0, 0xfed90000);
    scope(DMAR_ENDPOINT, 0, 0, 2, 0);
    drhd(1, 0xfed91000);
    scope(DMAR_IOAPIC, 2, 0xf0, 31, 0);
    scope(DMAR_HPET, 0, 0, 31, 0);
    rmrr(0x9b6d0000, 0x9b6effff);
    scope(DMAR_ENDPOINT, 0, 0, 20, 0);
    rmrr(0x9d800000, 0x9fffffff);
    scope(DMAR_ENDPOINT, 0, 0, 2, 0);
    structure(2);
    put(0, 4);
    structure(3);
    put(0, 4);
    put(0xfed91000, 8);
    put(0, 4);
    assert_true(dmar_parse(&d, t));
    assert_int_equal(d.width, 39);
    assert_true(d.irqs);
    assert_false(d.no_x2apic);
    assert_int_equal(d.nunits, 2);
    assert_int_equal(d.unit[0].base, 0xfed90000);
    assert_false(d.unit[0].all);
    assert_true(d.unit[1].all);
    assert_int_equal(d.unit[1].part.scope, 1);
    assert_int_equal(d.unit[1].part.nscopes, 2);
    assert_int_equal(d.scope[1].type, DMAR_IOAPIC);
    assert_int_equal(d.scope[1].id, 2);
    assert_int_equal(d.scope[1].bus, 0xf0);
    assert_int_equal(d.scope[1].path[0], 0xf8);
    assert_int_equal(d.nreserved, 2);
    assert_int_equal(d.reserved[1].limit, 0x9fffffff);
    assert_int_equal(d.scope[d.reserved[1].part.scope].path[0], 0x10);
    assert_int_equal(d.atsr + d.rhsa, 2);
    assert_int_equal(d.bad, 0);
}

/*
 * What Linux's log says of the tables of machines, from public logs: desktops, laptops and small
 * servers of 2013 to 2025. All have two units, the first of which is the graphics'.
 */
static const struct {
    const char *what;
    unsigned flags, ioapic, andd;
    uint64_t reserved[2][2]; /* first and last byte */
} machines[] = {
    { "Core i7-4770, 2013", 1, 8, 0, { { 0x98631000, 0x9863dfff }, { 0x9b000000, 0x9f1fffff } } },
    { "Haswell, 4 CPUs", 1, 2, 0, { { 0x8b800000, 0x8f9fffff } } },
    { "Intel BDW table", 3, 8, 0, { { 0xc8c23000, 0xc8c30fff }, { 0xcb000000, 0xcf1fffff } } },
    { "Skylake", 3, 2, 0, { { 0x370ef000, 0x3710efff }, { 0x38800000, 0x3affffff } } },
    { "ALASKA A M I", 1, 2, 0, { { 0x3988e000, 0x39ad7fff }, { 0x3b000000, 0x3f7fffff } } },
    { "a small server", 3, 2, 0, { { 0x8c16b000, 0x8c18afff }, { 0x8d800000, 0x8fffffff } } },
    { "unit of version 4.0", 1, 2, 0, { { 0x82000000, 0x8a7fffff } } },
    { "American Megatrends 3201",
      1,
      2,
      0,
      { { 0x3e2e0000, 0x3e2fffff }, { 0x8b800000, 0x8fffffff } } },
    { "with I2C in ACPI", 1, 2, 2, { { 0x64ec2000, 0x64ee1fff }, { 0x7a000000, 0x7c7fffff } } },
};

static void andd(unsigned number)
{
    structure(4);
    put(0, 3);
    put(number, 1);
    put(0x3042535f5cull, 8); /* its name */
}

static void machines_as_linux_reads_them(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(machines); i++) {
        unsigned n = machines[i].reserved[1][0] ? 2 : 1;

        begin(39, machines[i].flags);
        drhd(0, 0xfed90000);
        scope(DMAR_ENDPOINT, 0, 0, 2, 0);
        drhd(1, 0xfed91000);
        scope(DMAR_IOAPIC, machines[i].ioapic, 0xf0, 31, 0);
        scope(DMAR_HPET, 0, 0xf0, 15, 0);
        for (unsigned k = 0; k < n; k++) {
            rmrr(machines[i].reserved[k][0], machines[i].reserved[k][1]);
            scope(DMAR_ENDPOINT, 0, 0, k + 1 == n ? 2 : 20, 0);
        }
        for (unsigned k = 0; k < machines[i].andd; k++)
            andd(k + 1);
        assert_true(dmar_parse(&d, t));
        assert_int_equal(d.bad, 0);
        assert_int_equal(d.width, 39);
        assert_int_equal(d.no_x2apic, machines[i].flags >> 1);
        assert_int_equal(d.nunits, 2);
        assert_true(d.unit[1].all);
        assert_int_equal(d.scope[d.unit[1].part.scope].id, machines[i].ioapic);
        assert_int_equal(d.nreserved, n);
        for (unsigned k = 0; k < n; k++) {
            assert_int_equal(d.reserved[k].base, machines[i].reserved[k][0]);
            assert_int_equal(d.reserved[k].limit, machines[i].reserved[k][1]);
        }
    }
}

static void paths_and_bridges(void **state)
{
    struct iommu_scope r[2];

    (void)state;
    begin(48, 0);
    drhd(0, 0xd0000000);
    put(DMAR_ENDPOINT, 1);
    put(12, 1);
    put(0, 4);
    put(0x1c, 2); /* 00:1c.0, then below it 00.0, then 01.0 */
    put(0, 2);
    put(1, 2);
    scope(DMAR_BRIDGE, 0, 0, 0x1c, 0);
    scope(DMAR_BRIDGE, 0, 0, 0x1d, 0); /* is not there */
    assert_true(dmar_parse(&d, t));
    assert_int_equal(d.nscopes, 3);
    assert_int_equal(d.scope[0].npath, 3);
    assert_int_equal(dmar_scope_rids(&d.scope[0], 0, r), 1);
    assert_int_equal(r[0].first, 0x308);
    assert_int_equal(r[0].last, 0x308);
    assert_int_equal(r[0].stream, 0x308);
    assert_int_equal(dmar_scope_rids(&d.scope[1], 0, r), 2);
    assert_int_equal(r[0].first, 0x1c << 3);
    assert_int_equal(r[1].first, 0x200);
    assert_int_equal(r[1].last, 0x4ff);
    assert_int_equal(r[1].stream, 0x200);
    assert_int_equal(dmar_scope_rids(&d.scope[2], 0, r), 1);
    assert_int_equal(dmar_scope_rids(&d.scope[0], 1, r), 0); /* no such bridge in that segment */
}

/* Each is left out and counted; what is behind it is still read where its length can be believed.
 */
static void broken_tables(void **state)
{
    (void)state;
    begin(39, 0);
    drhd(1, 0xfed91001); /* not on a page */
    rmrr(0x2000, 0x1fff);
    rmrr(0x2000, 0x2ffe);
    rmrr(0, UINT64_MAX);
    drhd(1, 0xfed92000);
    scope(DMAR_ENDPOINT, 0, 0, 32, 0); /* no such device */
    put(1, 1);
    put(0, 1); /* a scope of no length */
    assert_true(dmar_parse(&d, t));
    assert_int_equal(d.nunits, 1);
    assert_int_equal(d.nreserved, 0);
    assert_int_equal(d.nscopes, 0);
    assert_int_equal(d.bad, 6);

    drhd(1, 0xfed93000);
    len -= 1; /* cut off */
    memcpy(t + 4, &len, 4);
    assert_true(dmar_parse(&d, t));
    assert_int_equal(d.nunits, 1);

    begin(39, 0);
    assert_false(dmar_parse(&d, t));
    t[4] = 47; /* shorter than its head */
    assert_false(dmar_parse(&d, t));
    begin(39, 0);
    structure(0);
    memset(t + struct_at + 2, 0, 2);
    assert_false(dmar_parse(&d, t));
    assert_int_equal(d.bad, 1);
}

static void too_many(void **state)
{
    (void)state;
    begin(39, 0);
    for (unsigned i = 0; i < DMAR_UNITS + 1; i++) {
        drhd(1, 0xfed00000 + i * 0x1000);
        scope(DMAR_ENDPOINT, 0, 0, i & 31, 0);
    }
    assert_true(dmar_parse(&d, t));
    assert_int_equal(d.nunits, DMAR_UNITS);
    assert_int_equal(d.bad, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_machine),  cmocka_unit_test(machines_as_linux_reads_them),
        cmocka_unit_test(paths_and_bridges), cmocka_unit_test(broken_tables),
        cmocka_unit_test(too_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
