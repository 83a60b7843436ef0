/* SPDX-License-Identifier: BSD-2-Clause */
/* ARM64 machines from device trees made here with libfdt: a good one, odd ones, broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <hv/platform.h>
#include <libfdt.h>

#include "fdt_blob.h"

#define ROOM sizeof tree

static struct platform p;
static uint64_t stride;
static bool soc, disabled, v2, no_stdout; /* what the next tree is like */

static uint64_t room = UINT64_MAX;

static const void *anywhere(hpa_t phys, uint64_t len)
{
    return len <= room ? (const void *)phys.v : NULL;
}

static void add_cpus(void)
{
    static const uint32_t affinity[][2] = {
        { 0, 0 }, { 0, 0x100 }, { 1, 0x80000003 }, { 0, 0x100 }, { 0, 7 }
    };
    char name[16] = "cpu@0";

    node("cpus", NULL);
    CELLS("#address-cells", 2);
    CELLS("#size-cells", 0);
    for (unsigned i = 0; i < ARRAY_SIZE(affinity); i++) {
        name[4] = (char)('0' + i);
        node(name, "arm,cortex-a72");
        must(fdt_property_string(tree, "device_type", "cpu"));
        if (i == 4)
            must(fdt_property_string(tree, "status", "disabled"));
        CELLS("reg", affinity[i][0], affinity[i][1]);
        end();
    }
    node("cpu-map", NULL);
    end();
    end();
}

static void add_gic(void)
{
    node("intc", v2 ? "arm,cortex-a15-gic" : "arm,gic-v3");
    CELLS("#interrupt-cells", 3);
    CELLS("#address-cells", 1);
    CELLS("#size-cells", 1);
    CELLS("interrupts", 1, 9, 4);
    must(fdt_property(tree, "ranges", "", 0));
    if (v2) {
        CELLS("reg", 0x8000000, 0x10000, 0x8010000, 0x2000, 0x8030000, 0x2000, 0x8040000, 0x2000);
    } else {
        CELLS("#redistributor-regions", 2);
        if (stride)
            CELLS("redistributor-stride", (uint32_t)(stride >> 32), (uint32_t)stride);
        CELLS("reg", 0x8000000, 0x10000, 0x80a0000, 0x200000, 0x9a0000, 0x100000);
        node("its", "arm,gic-v3-its");
        CELLS("reg", 0x8080000, 0x20000);
        end();
    }
    end();
}

static void add_uart(const char *name, uint32_t base, uint32_t irq)
{
    must(fdt_begin_node(tree, name));
    must(fdt_property(tree, "compatible", "arm,pl011\0arm,primecell", 24));
    if (disabled)
        must(fdt_property_string(tree, "status", "disabled"));
    CELLS("reg", base, 0x1000);
    CELLS("interrupts", 0, irq, irq == 8 ? 1 : 4);
    CELLS("clocks", 5);
    end();
}

static void add_devices(void)
{
    node("soc", "simple-bus");
    CELLS("#address-cells", 1);
    CELLS("#size-cells", 1);
    if (soc)
        CELLS("ranges", 0, 0x1, 0, 0x10000000, 0x40000000, 0x2, 0, 0x10000000);
    else
        CELLS("ranges", 0, 0, 0, 0x80000000);
    add_gic();
    add_uart("serial@9000000", 0x9000000, 1);
    add_uart("serial@9040000", 0x9040000, 8);
    node("pcie", "pci-host-ecam-generic");
    CELLS("reg", 0x3000000, 0x400000);
    CELLS("bus-range", 0, 0xff);
    CELLS("linux,pci-domain", 3);
    end();
    end();
}

static int make(void)
{
    memset(tree, 0, sizeof tree);
    must(fdt_create(tree, sizeof tree));
    must(fdt_finish_reservemap(tree));
    must(fdt_begin_node(tree, ""));
    CELLS("#address-cells", 2);
    CELLS("#size-cells", 1);
    node("chosen", NULL);
    if (!no_stdout)
        must(fdt_property_string(tree, "stdout-path", "console:115200n8"));
    end();
    node("aliases", NULL);
    must(fdt_property_string(tree, "console", "/soc/serial@9040000"));
    end();
    node("clock", "fixed-clock");
    CELLS("clock-frequency", 48000000);
    CELLS("phandle", 5);
    end();
    add_cpus();
    node("timer", "arm,armv8-timer");
    CELLS("interrupts", 1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4, 1, 12, 4);
    end();
    node("psci", "arm,psci-1.0");
    must(fdt_property_string(tree, "method", "smc"));
    end();
    add_devices();
    end();
    must(fdt_finish(tree));
    return 0;
}

static bool parse(void) { return fdt_parse_platform(&p, (uint64_t)tree, map); }

static int reset(void **state)
{
    (void)state;
    soc = disabled = v2 = no_stdout = false;
    stride = 0;
    return make();
}

static void good_machine(void **state)
{
    (void)state;
    assert_true(parse());
    assert_int_equal(p.source, PLATFORM_FDT);
    assert_int_equal(p.ncpus, 3);
    assert_int_equal(p.mpidr[1], 0x100);
    assert_int_equal(p.mpidr[2], 0x100000003); /* only affinity fields */
    assert_int_equal(p.psci, PSCI_SMC);
    assert_int_equal(p.gic.version, 3);
    assert_int_equal(p.gic.dist, 0x8000000);
    assert_int_equal(p.gic.ngicr, 2);
    assert_int_equal(p.gic.gicr[1].base, 0x9a0000);
    assert_int_equal(p.gic.gicr[1].len, 0x100000);
    assert_int_equal(p.gic.gicc, 0);
    assert_int_equal(p.gic.nits, 1);
    assert_int_equal(p.gic.its[0], 0x8080000);
    assert_int_equal(p.gic.maintenance, 25);
    assert_int_equal(p.timer.phys, 30);
    assert_int_equal(p.timer.virt, 27);
    assert_int_equal(p.timer.hyp, 26);
    assert_int_equal(p.timer.hyp_virt, 28);
}

static void devices(void **state)
{
    (void)state;
    assert_true(parse());
    /* the one that an alias names, not the first */
    assert_int_equal(p.uart.kind, UART_PL011);
    assert_int_equal(p.uart.base, 0x9040000);
    assert_int_equal(p.uart.intid, 40);
    for (unsigned i = 0; i < ARRAY_SIZE(p.edge); i++)
        assert_int_equal(p.edge[i], i == 40 / 32 ? 1u << 40 % 32 : 0);
    assert_int_equal(p.uart.clock, 48000000);
    assert_int_equal(p.necam, 1);
    assert_int_equal(p.ecam[0].base, 0x3000000);
    assert_int_equal(p.ecam[0].bus_last, 3); /* 4 MiB hold 4 buses */
    assert_int_equal(p.ecam[0].segment, 3);
    no_stdout = true;
    make();
    assert_true(parse());
    assert_int_equal(p.uart.base, 0x9000000);
}

static void bus_addresses_are_translated(void **state)
{
    (void)state;
    soc = true;
    make();
    assert_true(parse());
    assert_int_equal(p.gic.dist, 0x108000000);
    assert_int_equal(p.gic.its[0], 0x108080000); /* through two buses */
    assert_int_equal(p.uart.base, 0x109040000);
}

static void redistributors_may_lie_apart(void **state)
{
    /* no multiple of 64 KiB, less than two frames, beyond any board: as if it were not there */
    static const uint64_t bad[] = { 0x20400, 0x10000, 0x100020000, 0xffffffffffff0000 };

    (void)state;
    assert_true(parse());
    assert_int_equal(p.gic.gicr_stride, 0);
    stride = 0x40000;
    make();
    assert_true(parse());
    assert_int_equal(p.gic.gicr_stride, 0x40000);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        stride = bad[i];
        make();
        assert_true(parse());
        assert_int_equal(p.gic.gicr_stride, 0);
    }
}

static void gicv2(void **state)
{
    (void)state;
    v2 = true;
    make();
    assert_true(parse());
    assert_int_equal(p.gic.version, 2);
    assert_int_equal(p.gic.gicc, 0x8010000);
    assert_int_equal(p.gic.gich, 0x8030000);
    assert_int_equal(p.gic.gicv, 0x8040000);
    assert_int_equal(p.gic.ngicr, 0);
}

static void disabled_devices_are_left_out(void **state)
{
    (void)state;
    disabled = true;
    make();
    assert_true(parse());
    assert_int_equal(p.uart.kind, UART_NONE);
}

static void too_many_cpus(void **state)
{
    static _Alignas(8) uint8_t big[1 << 18];
    int root, cpus;

    (void)state;
    must(fdt_open_into(tree, big, sizeof big));
    for (uint32_t i = 0; i < PLATFORM_CPUS_MAX + 5; i++) {
        char name[16];

        snprintf(name, sizeof name, "cpu@x%x", i);
        cpus = fdt_path_offset(big, "/cpus");
        root = fdt_add_subnode(big, cpus, name);
        must(fdt_setprop_string(big, root, "device_type", "cpu"));
        must(fdt_setprop_u64(big, root, "reg", 0x10000 + i));
    }
    must(fdt_pack(big));
    assert_true(fdt_parse_platform(&p, (uint64_t)big, anywhere));
    assert_int_equal(p.ncpus, PLATFORM_CPUS_MAX);
    /* the four of before among them, one of them told twice */
    assert_int_equal(p.cpus_dropped, 9);
}

static void no_machine(void **state)
{
    (void)state;
    assert_false(fdt_parse_platform(&p, 0, map));
    assert_false(fdt_parse_platform(&p, (uint64_t)tree + 4, map));
    tree[0] = 0;
    assert_false(parse());
    make();
    fdt_set_totalsize(tree, 16u << 20);
    assert_false(parse());
    assert_int_equal(p.ncpus, 0);
}

/* A tree that is cut off anywhere gives an answer, whichever (ASan watches). */
static void cut_off(void **state)
{
    (void)state;
    for (uint32_t len = fdt_totalsize(tree); len > 4; len -= 4) {
        void *copy = aligned_alloc(8, align_up(len, 8));

        memcpy(copy, tree, len);
        if (len >= sizeof(struct fdt_header))
            fdt_set_totalsize(copy, len);
        room = len;
        (void)fdt_parse_platform(&p, (uint64_t)copy, anywhere);
        free(copy);
    }
    room = UINT64_MAX;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(good_machine, reset),
        cmocka_unit_test_setup(devices, reset),
        cmocka_unit_test_setup(bus_addresses_are_translated, reset),
        cmocka_unit_test_setup(redistributors_may_lie_apart, reset),
        cmocka_unit_test_setup(gicv2, reset),
        cmocka_unit_test_setup(disabled_devices_are_left_out, reset),
        cmocka_unit_test_setup(too_many_cpus, reset),
        cmocka_unit_test_setup(no_machine, reset),
        cmocka_unit_test_setup(cut_off, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
