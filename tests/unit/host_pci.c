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
#include <arch/irq.h>
#include <arch/mmu.h>
#include <hv/acpi.h>
#include <hv/host_pci.h>
#include <hv/log.h>
#include <hv/percpu.h>

/* of the ECAM window; the last holds a function of its own */
#define BUSES 3u
#define SPACE (BUSES << 20)

/* The machine: configuration space as ECAM lays it out. */
static uint8_t *space;
static bool ports_exist;
static uint32_t address, reads;
static struct acpi_info info;

const struct acpi_info *acpi_info(void) { return &info; }

/* The NVMe function of bus 2: what its BARs can hold, and what is fixed in them. */
#define NVME_AT ((uint64_t)(2 << 8 | 5 << 3) << 12)
#define NVME_BAR 0x9000000000ull
static const uint32_t bar_can[6] = { 0xffffc000, 0xffffffff, 0xffffff00, 0, 0xfffff000, 0 };
static uint32_t bar_fixed[6] = { 4, 0, 1, 0, 8, 0 };
static uint8_t bar_memory[0x4000];
static unsigned decoded; /* a BAR was written while the function decoded memory */

static uint32_t bar_write(unsigned i, uint32_t val)
{
    decoded += (space[NVME_AT + 4] & 3) != 0;
    return (val & bar_can[i]) | bar_fixed[i];
}

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
        uint64_t at = ((uint64_t)(address >> 8 & 0xffff) << 12) + (address & 0xfc) + (port & 3u);

        if (at >= NVME_AT + 0x10 && at < NVME_AT + 0x28)
            val = bar_write((unsigned)(at - NVME_AT - 0x10) / 4, val);
        memcpy(space + at, &val, size);
    }
}

void *mmu_map_device(hpa_t at, uint64_t len)
{
    if (at.v == NVME_BAR) {
        assert_in_range(len, 1, sizeof bar_memory);
        return bar_memory;
    }
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

/* Nobody but bridges and displays masters the bus after the scan. */
static void firmware_s_masters_are_stopped(void **state)
{
    static const struct {
        uint8_t bus, dev, fn;
        bool kept;
    } all[] = { { 0, 0, 0, true },  { 0, 1, 0, true }, { 0, 1, 1, false }, { 0, 1, 7, false },
                { 0, 3, 0, false }, { 0, 4, 0, true }, { 1, 31, 0, true }, { 2, 5, 0, false } };

    (void)state;
    put(0, 4, 0, 0x11111234, 0x030000, 0);
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        function(all[i].bus, all[i].dev, all[i].fn)[4] = 7;
    (void)expect(8);
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        assert_int_equal(function(all[i].bus, all[i].dev, all[i].fn)[4], all[i].kept ? 7 : 3);
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

/* ---- what a driver does with its function ---- */

static void set(uint32_t off, uint32_t val, unsigned size)
{
    memcpy(space + NVME_AT + off, &val, size);
}

/* As the firmware leaves it: a 64-bit BAR with a place, MSI-X behind MSI behind power management */
static const struct host_pci_dev *nvme(void)
{
    set(4, 0x0407, 2);
    set(6, 0x10, 2);
    set(0x10, 4, 4);
    set(0x14, NVME_BAR >> 32, 4);
    set(0x18, 0xc001, 4);
    set(0x20, 0xfebd0008, 4);
    set(0x34, 0x43, 1); /* the low two bits are reserved */
    set(0x40, 0x5001, 2);
    set(0x50, 0x6005, 2);
    set(0x52, 0x0080 | 3 << 4, 2);
    set(0x60, 0x0011, 2);
    set(0x62, 3, 2);
    set(0x64, 0x2000, 4);
    memset(bar_memory, 0, sizeof bar_memory);
    decoded = 0;
    return expect(7) + 6;
}

static void bars(void **state)
{
    const struct host_pci_dev *d = nvme();
    struct host_pci_bar bar;

    (void)state;
    assert_int_equal(host_pci_read(d, 4, 2), 0x0403); /* no bus master after the scan */
    assert_int_equal(host_pci_bar(d, 0, &bar), 0);
    assert_true(bar.wide && !bar.io && !bar.prefetch);
    assert_int_equal(bar.base, NVME_BAR);
    assert_int_equal(bar.len, 0x4000);
    assert_int_equal(host_pci_bar(d, 1, &bar), -ENOENT); /* the upper half of 0 */
    assert_int_equal(host_pci_bar(d, 2, &bar), 0);
    assert_true(bar.io);
    assert_int_equal(bar.base, 0xc000);
    assert_int_equal(host_pci_bar(d, 3, &bar), -ENOENT);
    assert_int_equal(host_pci_bar(d, 4, &bar), 0);
    assert_true(bar.prefetch);
    assert_int_equal(bar.len, 0x1000);
    assert_int_equal(host_pci_bar(d, 6, &bar), -ENOENT);
    assert_int_equal(decoded, 0);
    assert_int_equal(host_pci_read(d, 4, 2), 0x0403);
    assert_int_equal(host_pci_read(d, 0x10, 4), 4);
    assert_int_equal(host_pci_read(d, 0x14, 4), NVME_BAR >> 32);
    assert_ptr_equal(host_pci_map(d, 0, 0x4000), bar_memory);
    assert_null(host_pci_map(d, 0, 0x4001));
    assert_null(host_pci_map(d, 2, 16));
    set(0x14, 0, 4); /* no place */
    assert_null(host_pci_map(d, 0, 0x1000));
    set(0x10, 0x1000 | 4, 4); /* not aligned to its size */
    assert_int_equal(host_pci_bar(d, 0, &bar), -EINVAL);
}

static uint32_t message_cpu;
int irq_message(uint32_t cpu, void (*fn)(void *), void *arg, struct irq_message *m)
{
    (void)fn, (void)arg;
    message_cpu = cpu;
    *m = (struct irq_message){ 0xfee01000, 0x31 };
    return 0;
}

static uint32_t entry_word(unsigned n, unsigned word)
{
    uint32_t v;

    memcpy(&v, bar_memory + 0x2000 + 16 * n + 4 * word, 4);
    return v;
}

static void messages(void **state)
{
    const struct host_pci_dev *d = nvme();

    (void)state;
    cpu_count = 2;
    assert_int_equal(host_pci_cap(d, 1), 0x40);
    assert_int_equal(host_pci_cap(d, HOST_PCI_CAP_MSIX), 0x60);
    assert_int_equal(host_pci_cap(d, 0x99), 0);
    assert_int_equal(host_pci_irq(d, 2, 1, NULL, NULL), 0);
    assert_int_equal(message_cpu, 1);
    assert_int_equal(entry_word(2, 0), 0xfee01000);
    assert_int_equal(entry_word(2, 2), 0x31);
    assert_int_equal(entry_word(2, 3), 0);
    assert_int_equal(host_pci_read(d, 0x62, 2), 0x8003);
    assert_int_equal(host_pci_irq(d, 4, 1, NULL, NULL), -ENOTSUP); /* the table has 4 */
    assert_int_equal(host_pci_irq(d, 0, 2, NULL, NULL), -ENOTSUP); /* no such CPU */
    host_pci_irq_off(d);
    assert_int_equal(host_pci_read(d, 0x62, 2) & 0x8000, 0);
    set(0x64, 0x3ff8, 4); /* a table that the BAR does not hold */
    assert_int_equal(host_pci_irq(d, 0, 0, NULL, NULL), -ENOTSUP);
    set(0x60, 0xff, 1); /* no MSI-X: MSI, one message whatever the firmware allowed */
    assert_int_equal(host_pci_irq(d, 1, 0, NULL, NULL), -ENOTSUP);
    assert_int_equal(host_pci_irq(d, 0, 0, NULL, NULL), 0);
    assert_int_equal(host_pci_read(d, 0x52, 2), 0x81);
    assert_int_equal(host_pci_read(d, 0x54, 4), 0xfee01000);
    assert_int_equal(host_pci_read(d, 0x5c, 2), 0x31);
    assert_int_equal(host_pci_read(d, 4, 2) & HOST_PCI_NO_INTX, HOST_PCI_NO_INTX);
    set(0x51, 0x40, 1); /* a circle */
    assert_int_equal(host_pci_cap(d, 0x99), 0);
}

/* ---- which driver gets which function ---- */

static const struct host_pci_dev *probed[4];
static unsigned nprobed;

static int take(const struct host_pci_dev *d)
{
    assert_in_range(nprobed, 0, ARRAY_SIZE(probed) - 1);
    probed[nprobed++] = d;
    return 0;
}

static int refuse(const struct host_pci_dev *d)
{
    (void)take(d);
    return -EIO;
}

static const struct pci_driver ethernet = { .name = "Ethernet", .class = 0x020000, .probe = take };
static const struct pci_driver uhci = { .name = "UHCI", .class = 0x0c0300, .probe = refuse };
/* no function is one */
static const struct pci_driver xhci = { .name = "xHCI", .class = 0x0c0330, .probe = take };
PCI_DRIVER(ethernet);
PCI_DRIVER(uhci);
PCI_DRIVER(xhci);

static bool logged(const char *text)
{
    char line[256];
    uint64_t seq = 0;

    while (log_read(&seq, LOG_ERR, line, sizeof line)) {
        if (strstr(line, text))
            return true;
    }
    return false;
}

static void drivers_by_class(void **state)
{
    const struct host_pci_dev *d = expect(7);

    (void)state;
    nprobed = 0;
    assert_int_equal(host_pci_probe(), 0);
    assert_int_equal(nprobed, 2);
    assert_ptr_equal(probed[0], d + 3);
    assert_ptr_equal(probed[1], d + 4);
    assert_true(logged("PCI 0000:00:01.7: driver UHCI failed: error 5"));
    assert_false(logged("driver Ethernet"));
    put(0, 1, 7, 0x70208086, 0x0c0310, 0);
    put(0, 3, 0, 0x11118086, 0x020001, 0);
    (void)expect(7);
    assert_int_equal(host_pci_probe(), -ENODEV);
    assert_int_equal(nprobed, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(by_mechanism_1, setup, teardown),
        cmocka_unit_test_setup_teardown(firmware_s_masters_are_stopped, setup, teardown),
        cmocka_unit_test_setup_teardown(accesses_by_ports, setup, teardown),
        cmocka_unit_test_setup_teardown(by_ecam, setup, teardown),
        cmocka_unit_test_setup_teardown(ecam_from_another_bus, setup, teardown),
        cmocka_unit_test_setup_teardown(no_pci_at_all, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many, setup, teardown),
        cmocka_unit_test_setup_teardown(bars, setup, teardown),
        cmocka_unit_test_setup_teardown(messages, setup, teardown),
        cmocka_unit_test_setup_teardown(drivers_by_class, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
