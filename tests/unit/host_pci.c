/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's PCI bus, on a machine with configuration mechanism 1 and on one with ECAM: the same
 * devices.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arch/io.h>
#include <arch/mmu.h>
#include <hv/acpi.h>
#include <hv/host_pci.h>

/* of the ECAM window; the last holds a function of its own */
#define BUSES 3u
#define SPACE (BUSES << 20)

/* The machine: configuration space as ECAM lays it out. */
static uint8_t *space;
static bool ports_exist;
static uint32_t address, reads;
static struct acpi_info info;

const struct acpi_info *acpi_info(void) { return &info; }

uint32_t port_read(uint16_t port, unsigned size)
{
    uint32_t val = 0xffffffff;
    uint64_t at = ((uint64_t)(address >> 8 & 0xffff) << 12) + (address & 0xfc) + (port & 3u);

    if (!ports_exist)
        return val;
    if (port == 0xcf8) {
        assert_int_equal(size, 4);
        return address & 0x80fffffc;
    }
    assert_in_range(port, 0xcfc, 0xcff);
    reads++;
    if (!(address >> 31) || at >= SPACE)
        return val;
    memcpy(&val, space + at, size);
    return val;
}

void port_write(uint16_t port, unsigned size, uint32_t val)
{
    if (port == 0xcf8) {
        assert_int_equal(val & 0x7f000003, 0); /* reserved */
        address = val;
    } else {
        memcpy(space + ((uint64_t)(address >> 8 & 0xffff) << 12) + (address & 0xfc) + (port & 3u),
               &val, size);
    }
}

void *mmu_map_device(hpa_t at, uint64_t len)
{
    assert_int_equal(at.v, 0xe0000000 + ((uint64_t)info.mcfg[0].bus_first << 20));
    assert_in_range(len, 1, SPACE);
    return space + ((uint64_t)info.mcfg[0].bus_first << 20);
}

static uint8_t *function(unsigned bus, unsigned dev, unsigned fn)
{
    return space + (bus << 20 | dev << 15 | fn << 12);
}

static void put(unsigned bus, unsigned dev, unsigned fn, uint32_t id, uint32_t class,
                uint8_t header)
{
    uint8_t *p = function(bus, dev, fn);

    memset(p, 0, 4096);
    memcpy(p, &id, 4);
    class <<= 8;
    memcpy(p + 8, &class, 4);
    p[14] = header;
    p[0xfff] = 0x77;
}

static int setup(void **state)
{
    (void)state;
    space = malloc(SPACE);
    memset(space, 0xff, SPACE);
    put(0, 0, 0, 0x12378086, 0x060000, 0);
    put(0, 1, 0, 0x70008086, 0x060100, 0x80);
    put(0, 1, 1, 0x70108086, 0x010180, 0);
    put(0, 1, 7, 0x70208086, 0x0c0300, 0);
    put(0, 2, 3, 0xdeadbeef, 0x020000, 0); /* function 0 is absent: nobody looks at 3 */
    put(0, 3, 0, 0x11118086, 0x020000, 0);
    put(0, 3, 1, 0xdeadbeef, 0x020000, 0); /* function 0 has one function only */
    put(1, 31, 0, 0x00061b36, 0x060400, 1);
    put(2, 5, 0, 0x00101b36, 0x010802, 0);
    memset(&info, 0, sizeof info);
    ports_exist = true;
    reads = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(space);
    return 0;
}

static const struct host_pci_dev *expect(uint32_t n)
{
    uint32_t count;
    const struct host_pci_dev *d;

    assert_int_equal(host_pci_init(), 0);
    d = host_pci_devs(&count);
    assert_int_equal(count, n);
    return d;
}

static void by_mechanism_1(void **state)
{
    const struct host_pci_dev *d = expect(7);
    static const char *const names[] = { "bridge, host",    "bridge, ISA",       "storage, IDE",
                                         "serial bus, USB", "network, Ethernet", "bridge, PCI",
                                         "storage, NVMe" };

    (void)state;
    assert_string_equal(host_pci_access(), "configuration mechanism 1");
    for (unsigned i = 0; i < 7; i++)
        assert_string_equal(host_pci_class(&d[i]), names[i]);
    assert_int_equal(d[1].header, 0);
    assert_int_equal(d[3].devfn, 1 << 3 | 7);
    assert_int_equal(d[5].bus, 1);
    assert_int_equal(d[5].header, 1);
    assert_int_equal(d[6].vendor, 0x1b36);
    assert_int_equal(d[6].device, 0x0010);
}

static void accesses_by_ports(void **state)
{
    const struct host_pci_dev *d = expect(7) + 2;

    (void)state;
    host_pci_write(d, 0x41, 1, 0x5a);
    host_pci_write(d, 0x42, 2, 0xbeef);
    assert_int_equal(host_pci_read(d, 0x40, 4), 0xbeef5a00);
    assert_int_equal(host_pci_read(d, 0x42, 2), 0xbeef);
    assert_int_equal(host_pci_read(d, 0x43, 1), 0xbe);
    assert_int_equal(function(0, 1, 1)[0x41], 0x5a);
    reads = 0;
    /* out of reach: nothing else is touched instead */
    assert_int_equal(host_pci_read(d, 0x100, 2), 0xffff);
    assert_int_equal(host_pci_read(d, 0x41, 4), 0xffffffff);
    host_pci_write(d, 0x140, 1, 0);
    assert_int_equal(reads, 0);
    assert_int_equal(host_pci_read(d, 0x40, 4), 0xbeef5a00);
}

static void by_ecam(void **state)
{
    const struct host_pci_dev *d;

    (void)state;
    info.nmcfg = 1;
    info.mcfg[0] = (struct acpi_mcfg){ .base = 0xe0000000, .segment = 4, .bus_last = BUSES - 1 };
    d = expect(7);
    assert_string_equal(host_pci_access(), "ECAM");
    assert_int_equal(reads, 0);
    assert_int_equal(d[6].segment, 4);
    assert_int_equal(host_pci_read(&d[6], 0xfff, 1), 0x77);
    assert_int_equal(host_pci_read(&d[6], 0x1000, 1), 0xff);
    host_pci_write(&d[6], 0x102, 2, 0x1234);
    assert_int_equal(host_pci_read(&d[6], 0x100, 4), 0x12340000);
    host_pci_write(&d[6], 0x103, 1, 0xab);
    assert_int_equal(host_pci_read(&d[6], 0x102, 2), 0xab34);
}

/* The base of a window is that of its bus 0, wherever it starts. */
static void ecam_from_another_bus(void **state)
{
    (void)state;
    info.nmcfg = 1;
    info.mcfg[0] = (struct acpi_mcfg){ .base = 0xe0000000, .bus_first = 1, .bus_last = 2 };
    assert_int_equal(expect(2)[1].bus, 2);
}

static void no_pci_at_all(void **state)
{
    (void)state;
    ports_exist = false;
    assert_int_equal(host_pci_init(), -ENODEV);
    assert_string_equal(host_pci_access(), "none");
}

/* More than there is room for: all places are filled, none beyond. */
static void too_many(void **state)
{
    (void)state;
    for (unsigned bus = 0; bus < BUSES; bus++)
        for (unsigned n = 0; n < 256; n++)
            put(bus, n >> 3, n & 7, 0x11112222, 0, 0x80);
    assert_int_equal(expect(HOST_PCI_MAX)[HOST_PCI_MAX - 1].devfn, 255);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(by_mechanism_1, setup, teardown),
        cmocka_unit_test_setup_teardown(accesses_by_ports, setup, teardown),
        cmocka_unit_test_setup_teardown(by_ecam, setup, teardown),
        cmocka_unit_test_setup_teardown(ecam_from_another_bus, setup, teardown),
        cmocka_unit_test_setup_teardown(no_pci_at_all, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
