/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <hv/boot_order.h>
#include "vio_fake.h"

static uint64_t in(uint16_t port, unsigned size)
{
    return access_space(IO_PORT, port, size, false, 0);
}
static void out(uint16_t port, unsigned size, uint64_t v)
{
    access_space(IO_PORT, port, size, true, v);
}

static int up(void **state)
{
    (void)state;
    fake_up();
    return 0;
}

static int down(void **state)
{
    (void)state;
    fake_down();
    return 0;
}

static void test_enumeration(void **state)
{
    (void)state;
    assert_int_equal(cfg_rd(0, 0, 4), 0x00081b36);
    assert_int_equal(cfg_rd(0, 8, 4) >> 8, 0x060000);
    assert_int_equal(cfg_rd(SLOT_CONSOLE, 0, 4), 0x10431af4);
    assert_int_equal(cfg_rd(SLOT_RNG, 0, 4), 0x10441af4);
    assert_int_equal(cfg_rd(SLOT_BLK, 0, 4), 0x10421af4);
    assert_int_equal(cfg_rd(SLOT_BLK, 0, 2), 0x1af4);
    assert_int_equal(cfg_rd(SLOT_BLK, 2, 2), 0x1042);
    assert_int_equal(cfg_rd(SLOT_BLK, 1, 1), 0x1a);
    assert_int_equal(cfg_rd(4, 0, 4), UINT32_MAX);                     /* no such device */
    assert_int_equal(mem_rd(ecam(3, 0) + 0x1000, 4), UINT32_MAX);      /* no such function */
    assert_int_equal(mem_rd(layout.ecam + (1u << 20), 4), UINT32_MAX); /* no such bus */
    assert_int_equal(cfg_rd(SLOT_BLK, 0x100, 4), 0);      /* no extended capabilities */
    assert_int_equal(cfg_rd(SLOT_BLK, 2, 4), UINT32_MAX); /* across a dword */
    cfg_wr(4, 4, 4, 7);
    cfg_wr(SLOT_BLK, 0, 4, 0);
    assert_int_equal(cfg_rd(SLOT_BLK, 0, 4), 0x10421af4);
    assert_int_equal(cfg_rd(SLOT_CONSOLE, PCI_INT_LINE, 2), 0x010b);
    assert_int_equal(cfg_rd(SLOT_RNG, PCI_INT_LINE, 2), 0x010a);
}

static void test_ports(void **state)
{
    (void)state;
    assert_int_equal(in(0xcfc, 4), UINT32_MAX);
    out(0xcf8, 4, 0x80001800);
    assert_int_equal(in(0xcf8, 4), 0x80001800);
    assert_int_equal(in(0xcfc, 4), 0x10421af4);
    assert_int_equal(in(0xcfe, 2), 0x1042);
    assert_int_equal(in(0xcff, 1), 0x10);
    out(0xcf8, 1, 0); /* a byte is no CONFIG_ADDRESS */
    assert_int_equal(in(0xcf8, 4), 0x80001800);
    out(0xcf8, 4, 0x8000183c);
    out(0xcfc, 1, 5);
    assert_int_equal(cfg_rd(SLOT_BLK, PCI_INT_LINE, 1), 5);
    out(0xcf8, 4, 0x80010000 | 0x1800);
    assert_int_equal(in(0xcfc, 4), UINT32_MAX);
    out(0xcf9, 1, 2);
    assert_int_equal(resets, 0);
    assert_int_equal(in(0xcf9, 1), 2);
    out(0xcf9, 1, 6);
    assert_int_equal(resets, 1);
}

/* Sizing, then moving: the structures are found at the new address and no longer at the old one. */
static void test_bars(void **state)
{
    uint64_t old = bar_addr(SLOT_BLK, 2), to = 0x4000100000;

    (void)state;
    assert_true(range_within(old, 0x4000, layout.mmio32, layout.mmio32_len));
    assert_int_equal(mem_rd(old + 18, 2), 2); /* num_queues */
    cfg_wr(SLOT_BLK, PCI_COMMAND, 2, 0);
    assert_int_equal(mem_rd(old + 18, 2), 0xffff);
    cfg_wr(SLOT_BLK, PCI_BAR0 + 8, 4, UINT32_MAX);
    cfg_wr(SLOT_BLK, PCI_BAR0 + 12, 4, UINT32_MAX);
    assert_int_equal(cfg_rd(SLOT_BLK, PCI_BAR0 + 8, 4), 0xffffc004);
    assert_int_equal(cfg_rd(SLOT_BLK, PCI_BAR0 + 12, 4), UINT32_MAX);
    cfg_wr(SLOT_BLK, PCI_BAR0, 4, UINT32_MAX);
    assert_int_equal(cfg_rd(SLOT_BLK, PCI_BAR0, 4), 0xfffff000);
    cfg_wr(SLOT_BLK, PCI_BAR0 + 4, 4, UINT32_MAX);
    assert_int_equal(cfg_rd(SLOT_BLK, PCI_BAR0 + 4, 4), 0);
    cfg_wr(SLOT_BLK, PCI_BAR0 + 8, 4, to & UINT32_MAX);
    cfg_wr(SLOT_BLK, PCI_BAR0 + 12, 4, to >> 32);
    cfg_wr(SLOT_BLK, PCI_BAR0, 4, 0xd0000000);
    assert_int_equal(mem_rd(to + 18, 2), 0xffff);
    cfg_wr(SLOT_BLK, PCI_COMMAND, 2, 2);
    assert_int_equal(mem_rd(to + 18, 2), 2);
    assert_int_equal(mem_rd(old + 18, 2), 0xffff);
    /* with decoding on */
    cfg_wr(SLOT_BLK, PCI_BAR0 + 8, 4, 0x200000);
    assert_int_equal(mem_rd(to + 18, 2), 0xffff);
    assert_int_equal(mem_rd(0x4000200000 + 18, 2), 2);
}

/* Two BARs at one place: the second waits until the first is gone; the log says so. */
static void test_bar_conflict(void **state)
{
    uint64_t rng = bar_addr(SLOT_RNG, 2);

    (void)state;
    cfg_wr(SLOT_BLK, PCI_BAR0 + 8, 4, rng);
    assert_true(logs > 0);
    assert_int_equal(mem_rd(rng + 18, 2), 1);
    cfg_wr(SLOT_RNG, PCI_COMMAND, 2, 0);
    assert_int_equal(mem_rd(rng + 18, 2), 2);
    cfg_wr(SLOT_RNG, PCI_COMMAND, 2, 2);
    assert_int_equal(mem_rd(rng + 18, 2), 2);
}

static void test_capabilities(void **state)
{
    unsigned msix = find_cap(SLOT_BLK, PCI_CAP_MSIX, -1);

    (void)state;
    assert_true(cfg_rd(SLOT_BLK, PCI_STATUS, 2) & PCI_STATUS_CAPS);
    assert_int_not_equal(msix, 0);
    assert_int_equal(cfg_rd(SLOT_BLK, msix + 2, 2), 2); /* 3 entries */
    cfg_wr(SLOT_BLK, msix, 4, UINT32_MAX);
    assert_int_equal(cfg_rd(SLOT_BLK, msix + 2, 2), 0xc002);
    for (int type = 1; type <= 5; type++)
        assert_int_not_equal(find_cap(SLOT_BLK, PCI_CAP_VENDOR, type), 0);
    assert_int_equal(find_cap(SLOT_RNG, PCI_CAP_VENDOR, 4), 0);
    cfg_wr(SLOT_BLK, find_cap(SLOT_BLK, PCI_CAP_VENDOR, 1) + 8, 4, 0x1234);
    assert_int_equal(cfg_rd(SLOT_BLK, find_cap(SLOT_BLK, PCI_CAP_VENDOR, 1) + 8, 4), 0);
}

static struct vpci_dev *rng_dev(void)
{
    static struct vpci_dev *d;

    d = NULL;
    for (unsigned i = 0; i < nregions; i++)
        if (strcmp(regions[i].name, "msix") == 0 &&
            ((struct vpci_dev *)regions[i].dev)->slot == SLOT_RNG)
            d = regions[i].dev;
    assert_non_null(d);
    return d;
}

static void test_msix(void **state)
{
    struct vpci_dev *d = rng_dev();
    uint64_t table = bar_addr(SLOT_RNG, 0);
    unsigned control = find_cap(SLOT_RNG, PCI_CAP_MSIX, -1) + 2;

    (void)state;
    cfg_wr(SLOT_RNG, PCI_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER);
    assert_int_equal(mem_rd(table + 12, 4), 1); /* masked after reset */
    mem_wr(table + 16, 4, 0xfee01003);
    mem_wr(table + 24, 8, 0x41);
    assert_int_equal(mem_rd(table + 16, 8), 0xfee01000);
    vpci_msix_notify(d, 1);
    /* not enabled: lost, as INTx is used then */
    assert_int_equal(msis, 0);
    cfg_wr(SLOT_RNG, control, 2, 0x8000);
    vpci_msix_notify(d, 1);
    assert_int_equal(msis, 1);
    assert_int_equal(msi_addr, 0xfee01000);
    assert_int_equal(msi_data, 0x41);
    vpci_msix_notify(d, 0); /* masked: pending */
    assert_int_equal(msis, 1);
    assert_int_equal(mem_rd(table + 2048, 8), 1);
    mem_wr(table + 2048, 8, 0); /* the PBA is read-only */
    assert_int_equal(mem_rd(table + 2048, 4), 1);
    mem_wr(table + 8, 4, 0x42);
    mem_wr(table + 12, 4, 0);
    assert_int_equal(msis, 2);
    assert_int_equal(msi_data, 0x42);
    assert_int_equal(mem_rd(table + 2048, 8), 0);
    cfg_wr(SLOT_RNG, control, 2, 0xc000); /* function mask */
    vpci_msix_notify(d, 0);
    vpci_msix_notify(d, 1);
    vpci_msix_notify(d, 1);
    vpci_msix_notify(d, 15); /* no such entry */
    assert_int_equal(msis, 2);
    assert_int_equal(mem_rd(table + 2048, 8), 3);
    cfg_wr(SLOT_RNG, control, 2, 0x8000);
    assert_int_equal(msis, 4);
    assert_int_equal(mem_rd(table + 48, 4), 0);    /* beyond the table */
    cfg_wr(SLOT_RNG, PCI_COMMAND, 2, PCI_CMD_MEM); /* no bus master: nothing is sent */
    vpci_msix_notify(d, 1);
    assert_int_equal(msis, 4);
    assert_int_equal(mem_rd(table + 2048, 8), 2);
    mem_wr(table + 28, 4, 1);
    mem_wr(table + 28, 4, 0);
    assert_int_equal(msis, 4);
    /* sent without memory decoding, too */
    cfg_wr(SLOT_RNG, PCI_COMMAND, 2, PCI_CMD_MASTER);
    assert_int_equal(msis, 5);
    cfg_wr(SLOT_RNG, PCI_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER);
    assert_int_equal(mem_rd(table + 2048, 8), 0);
}

/*
 * The table serves wherever its BAR lies, and what was masked stays so while it moves or is not
 * decoded.
 */
static void test_msix_moves(void **state)
{
    struct vpci_dev *d = rng_dev();
    uint64_t was = bar_addr(SLOT_RNG, 0), now = was + 0x100000;
    unsigned control = find_cap(SLOT_RNG, PCI_CAP_MSIX, -1) + 2;

    (void)state;
    mem_wr(was, 4, 0xfee02000);
    mem_wr(was + 8, 4, 0x51);
    cfg_wr(SLOT_RNG, control, 2, 0x8000);
    cfg_wr(SLOT_RNG, PCI_COMMAND, 2, PCI_CMD_MASTER);
    assert_int_equal(mem_rd(was, 4), UINT32_MAX);
    mem_wr(was + 12, 4, 0);
    vpci_msix_notify(d, 0);
    assert_int_equal(msis, 0);
    cfg_wr(SLOT_RNG, PCI_BAR0, 4, now);
    cfg_wr(SLOT_RNG, PCI_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER);
    assert_int_equal(mem_rd(was, 4), UINT32_MAX);
    assert_int_equal(mem_rd(now + 2048, 4), 1);
    mem_wr(now + 12, 4, 0);
    assert_int_equal(msis, 1);
    assert_int_equal(msi_addr, 0xfee02000);
    cfg_wr(SLOT_RNG, PCI_BAR0, 4, was);
}

static void test_intx(void **state)
{
    struct vpci_dev *d = rng_dev();
    uint64_t isr = structure(SLOT_RNG, 3);

    (void)state;
    vpci_intx_raise(d, 1);
    assert_int_equal(lines_high, 1u << 18); /* slot 2, INTA -> 16 + 2 */
    assert_true(cfg_rd(SLOT_RNG, PCI_STATUS, 2) & PCI_STATUS_INTX);
    assert_true(cfg_rd(SLOT_RNG, PCI_COMMAND, 4) >> 16 & PCI_STATUS_INTX);
    cfg_wr(SLOT_RNG, PCI_COMMAND, 2, 0x406);
    assert_int_equal(lines_high, 0);
    cfg_wr(SLOT_RNG, PCI_COMMAND, 2, 6);
    assert_int_equal(lines_high, 1u << 18);
    vpci_intx_raise(d, 2);
    assert_int_equal(mem_rd(isr, 1), 3);
    assert_int_equal(lines_high, 0);
    assert_int_equal(mem_rd(isr, 1), 0);
    vpci_intx_raise(d, 1);
    cfg_wr(SLOT_RNG, find_cap(SLOT_RNG, PCI_CAP_MSIX, -1) + 2, 2, 0x8000);
    assert_int_equal(lines_high, 0); /* MSI-X takes the line's place */
}

/* virtio's window into the BARs: §4.1.4.9 */
static void test_window(void **state)
{
    unsigned cap = find_cap(SLOT_BLK, PCI_CAP_VENDOR, 5);

    (void)state;
    cfg_wr(SLOT_BLK, cap + 4, 1, 2);
    cfg_wr(SLOT_BLK, cap + 8, 4, 18);
    cfg_wr(SLOT_BLK, cap + 12, 4, 2);
    assert_int_equal(cfg_rd(SLOT_BLK, cap + 16, 4) & 0xffff, 2);
    cfg_wr(SLOT_BLK, cap + 8, 4, 20);
    cfg_wr(SLOT_BLK, cap + 12, 4, 1);
    cfg_wr(SLOT_BLK, cap + 16, 1, 3);
    assert_int_equal(mem_rd(structure(SLOT_BLK, 1) + 20, 1), 3);
    cfg_wr(SLOT_BLK, cap + 8, 4, 0xfffffff0);
    assert_int_equal(cfg_rd(SLOT_BLK, cap + 16, 1), 0xff);
    cfg_wr(SLOT_BLK, cap + 4, 1, 77);
    assert_int_equal(cfg_rd(SLOT_BLK, cap + 16, 1), 0xff);
}

/* ---- the file by which firmware learns what to try ---- */

static char order[BOOT_ORDER_MAX];

static void expect_order(const struct guest_boot *boot, unsigned n, const char *text)
{
    static const struct boot_device devices[] = {
        { .kind = BOOT_DISK, .slot = 3 },
        { .kind = BOOT_NET, .slot = 0x1f },
        { .kind = BOOT_DISK, .slot = 12 },
        { .kind = BOOT_CDROM, .slot = 4 },
        { .kind = BOOT_NET, .slot = 6, .passed = true, .id = { 0x8086, 0x10d3 } },
    };
    uint32_t len;

    len = boot_order_write(boot, n, devices, ARRAY_SIZE(devices), order);
    assert_int_equal(len, text ? strlen(text) + 1 : 0);
    if (text)
        assert_memory_equal(order, text, len);
}

static void test_boot_order(void **state)
{
    (void)state;
    expect_order((struct guest_boot[]){ { BOOT_DISK, 0 }, { BOOT_CDROM, 0 }, { BOOT_NET, 0 } }, 3,
                 "/pci@i0cf8/scsi@3/disk@0,0\n/pci@i0cf8/scsi@c/disk@0,0\n"
                 "/pci@i0cf8/scsi@4/disk@0,0\n/pci@i0cf8/ethernet@1f/ethernet-phy@0\n"
                 "/pci@i0cf8/pci8086,10d3@6");
    expect_order((struct guest_boot[]){ { BOOT_DISK, 2 }, { BOOT_NET, 1 }, { BOOT_DISK, 0 } }, 3,
                 "/pci@i0cf8/scsi@c/disk@0,0\n/pci@i0cf8/ethernet@1f/ethernet-phy@0\n"
                 "/pci@i0cf8/scsi@3/disk@0,0");
    expect_order((struct guest_boot[]){ { BOOT_NET, 2 } }, 1, "/pci@i0cf8/pci8086,10d3@6");
    expect_order((struct guest_boot[]){ { BOOT_NET, 3 } }, 1, NULL);
    expect_order(NULL, 0, NULL);
}

static void test_boot_order_of_guest(void **state)
{
    (void)state;
    config.boot[0] = (struct guest_boot){ BOOT_DISK, 0 };
    assert_int_equal(vio_boot_order(&vm, order), 0);
    config.nboot = 1;
    assert_int_equal(vio_boot_order(&vm, order), sizeof "/pci@i0cf8/scsi@3/disk@0,0");
    assert_string_equal(order, "/pci@i0cf8/scsi@3/disk@0,0");
    config.disk[0].source = DISK_CLOUD_INIT;
    assert_int_equal(vio_boot_order(&vm, order), 0);
    config.disk[0].source = DISK_FILE;
    config.nboot = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_enumeration, up, down),
        cmocka_unit_test_setup_teardown(test_ports, up, down),
        cmocka_unit_test_setup_teardown(test_bars, up, down),
        cmocka_unit_test_setup_teardown(test_bar_conflict, up, down),
        cmocka_unit_test_setup_teardown(test_capabilities, up, down),
        cmocka_unit_test_setup_teardown(test_msix, up, down),
        cmocka_unit_test_setup_teardown(test_msix_moves, up, down),
        cmocka_unit_test_setup_teardown(test_intx, up, down),
        cmocka_unit_test_setup_teardown(test_window, up, down),
        cmocka_unit_test(test_boot_order),
        cmocka_unit_test_setup_teardown(test_boot_order_of_guest, up, down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
