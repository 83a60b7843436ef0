/* SPDX-License-Identifier: BSD-2-Clause */
/* What an x86 guest finds in memory: ACPI tables and the information of each boot protocol. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <hv/files.h>
#include "hv/guest/x86_64/load.h"
#include "hv/guest/x86_64/platform.h"
#include "x86_fake.h"

#define RAM (64 * MIB)
static uint8_t *ram;
static uint8_t kernel[65536];
static uint64_t kernel_len;
static struct guest_config config = {
    .name = "g", .kernel = "kernel", .cmdline = "root=x quiet", .memory = RAM, .vcpus = 5
};

static uint8_t *fake_ram(uint64_t a, uint64_t len)
{
    return range_within(a, len, 0, RAM) ? ram + a : NULL;
}
static void fake_device(struct io_access *io) { (void)io; }
static void fake_port(struct io_access *io) { (void)io; }

int gmem_zero(struct vm *vm, gpa_t a, uint64_t len)
{
    (void)vm;
    memset(fake_ram(a.v, len), 0, len);
    return 0;
}

const void *file_find(const char *path, uint64_t *len)
{
    static const char initrd[] = "I am the initrd", module[] = "module";

    if (strcmp(path, "kernel") == 0)
        return *len = kernel_len, (const void *)kernel;
    if (strcmp(path, "initrd") == 0)
        return *len = sizeof initrd, (const void *)initrd;
    return strcmp(path, "module") == 0 ? (*len = sizeof module, (const void *)module) : NULL;
}

static uint64_t rd(uint64_t at, unsigned size)
{
    uint64_t v = 0;

    memcpy(&v, ram + at, size);
    return v;
}

static int setup(void **state)
{
    (void)state;
    free(ram);
    ram = calloc(1, RAM);
    fake_reset();
    fake_vm.config = &config;
    fake_vm.nvcpus = config.vcpus;
    config.initrd[0] = '\0';
    config.nmodules = 0;
    memset(kernel, 0, sizeof kernel);
    fake_vm.why[0] = '\0';
    return 0;
}

/* ---- ACPI ---- */

static uint8_t sum(uint64_t at, uint64_t len)
{
    uint8_t s = 0;

    for (uint64_t i = 0; i < len; i++)
        s = (uint8_t)(s + ram[at + i]);
    return s;
}

static uint64_t find_table(uint64_t xsdt, const char *sig)
{
    for (uint64_t i = 36; i < rd(xsdt + 4, 4); i += 8)
        if (memcmp(ram + rd(xsdt + i, 8), sig, 4) == 0)
            return rd(xsdt + i, 8);
    fail_msg("no %s", sig);
    return 0;
}

static bool dsdt_has(uint64_t dsdt, uint64_t val, unsigned size)
{
    for (uint64_t i = 36; i + size <= rd(dsdt + 4, 4); i++)
        if (rd(dsdt + i, size) == val)
            return true;
    return false;
}

static void test_acpi(void **state)
{
    uint64_t rsdp = 0, xsdt, fadt, madt, mcfg, hpet, dsdt, cpus = 0;

    (void)state;
    assert_int_equal(x86_acpi_build(&fake_vm, &rsdp), 0);
    assert_memory_equal(ram + rsdp, "RSD PTR ", 8);
    assert_int_equal(rsdp & 15, 0);
    assert_int_equal(sum(rsdp, 20), 0);
    assert_int_equal(sum(rsdp, 36), 0);
    xsdt = rd(rsdp + 24, 8);
    fadt = find_table(xsdt, "FACP"), madt = find_table(xsdt, "APIC"),
    mcfg = find_table(xsdt, "MCFG"), hpet = find_table(xsdt, "HPET"), dsdt = rd(fadt + 140, 8);
    for (unsigned i = 0; i < 6; i++) {
        uint64_t t[] = { xsdt, fadt, madt, mcfg, hpet, dsdt };

        assert_int_equal(sum(t[i], rd(t[i] + 4, 4)), 0);
        assert_true(range_within(t[i], rd(t[i] + 4, 4), 0xe0000, 0x20000));
    }
    assert_int_equal(rd(fadt + 40, 4), dsdt);
    assert_int_equal(rd(fadt + 36, 4) & 63, 0);
    assert_int_equal(rd(fadt + 56, 4), PORT_PM1_EVT);
    assert_int_equal(rd(fadt + 120, 8), PORT_RESET);
    assert_int_equal(rd(mcfg + 44, 8), PLAT_ECAM);
    assert_int_equal(rd(hpet + 44, 8), PLAT_HPET);
    assert_int_equal(rd(hpet + 36, 4), HPET_ID);
    assert_true(dsdt_has(dsdt, PLAT_HPET | PLAT_HPET_LEN << 32, 8));
    assert_true(dsdt_has(dsdt, PLAT_MMIO32, 4) &&
                dsdt_has(dsdt, PLAT_MMIO32 + PLAT_MMIO32_LEN - 1, 4) &&
                dsdt_has(dsdt, PLAT_ECAM | PLAT_ECAM_LEN << 32, 8));
    assert_true(dsdt_has(dsdt, PLAT_MMIO64, 8) &&
                dsdt_has(dsdt, PLAT_MMIO64 + PLAT_MMIO64_LEN - 1, 8) &&
                dsdt_has(dsdt, PORT_COM1, 2));
    for (uint64_t p = madt + 44; p < madt + rd(madt + 4, 4); p += ram[p + 1]) {
        assert_true(ram[p + 1] >= 6);
        cpus += ram[p] == 0;
    }
    assert_int_equal(cpus, 5);
}

/* What a BIOS leaves: ports, EBDA, base memory. */
static void test_bda(void **state)
{
    (void)state;
    assert_int_equal(load_bda(&fake_vm), 0);
    assert_int_equal(rd(0x400, 8), PORT_COM1); /* COM1, no others */
    assert_int_equal(rd(0x408, 6), 0);         /* no printers */
    assert_int_equal(rd(0x40e, 2), 0x9fc0);
    assert_int_equal(rd(0x413, 2), 639);
    assert_int_equal(rd(0x410, 2) >> 9 & 7, 1);
    assert_int_equal(rd(0x40e, 2) << 4, rd(0x413, 2) * KIB);
    assert_int_equal(rd(0x9fc00, 1), 1);
    assert_int_equal(rd(0x467, 4) | rd(0x472, 2), 0);
}

/* ---- kernels ---- */

static void put(uint64_t at, unsigned size, uint64_t v) { memcpy(kernel + at, &v, size); }

/* An ELF-64 file with one segment of 4 KiB at 2 MiB, and a PVH note. */
static void make_elf(void)
{
    memcpy(kernel,
           "\x7f"
           "ELF\2\1\1",
           7);
    put(16, 2, 2), put(18, 2, 62), put(24, 8, 0x200010), put(32, 8, 64), put(54, 2, 56),
        put(56, 2, 2);
    put(64, 4, 1), put(72, 8, 0x1000), put(80, 8, 0x200000), put(88, 8, 0x200000),
        put(96, 8, 0x1000), put(104, 8, 0x3000);
    put(120, 4, 4), put(128, 8, 0x800), put(152, 8, 20), put(160, 8, 20);
    put(0x800, 4, 4), put(0x804, 4, 4), put(0x808, 4, 18), memcpy(kernel + 0x80c, "Xen", 4),
        put(0x810, 4, 0x200020);
    memset(kernel + 0x1000, 0x90, 0x1000);
    kernel_len = 0x2000;
}

static int run(int (*load)(struct load *, struct load_entry *), struct load_entry *e)
{
    struct load l = {
        .vm = &fake_vm, .config = &config, .file = kernel, .len = kernel_len, .rsdp = 0xe0000
    };

    int err = load(&l, e);

    /* In pieces of a size that divides nothing. */
    while (err == 0 && (err = load_copy_step(&l, 1000)) > 0)
        err = 0;
    return err;
}

static void modules(void)
{
    strcpy(config.initrd, "initrd");
    config.nmodules = 1;
    strcpy(config.module[0].path, "module");
    strcpy(config.module[0].args, "with args");
}

static void test_pvh(void **state)
{
    struct load_entry e;
    uint64_t mods;

    (void)state;
    make_elf();
    modules();
    memset(ram + 0x201000, 0xee, 0x2000);
    assert_int_equal(run(load_pvh, &e), 0);
    assert_int_equal(e.pc, 0x200020);
    assert_int_equal(e.mode, ENTRY_PROT32);
    assert_int_equal(rd(0x200000, 4), 0x90909090);
    /* BSS: the RAM was zeroed before */
    assert_int_equal(rd(0x201000, 4), 0xeeeeeeee);
    assert_int_equal(rd(e.rbx, 4), 0x336ec578);
    assert_int_equal(rd(e.rbx + 12, 4), 2);
    mods = rd(e.rbx + 16, 8);
    assert_string_equal((char *)ram + rd(mods, 8), "I am the initrd");
    assert_string_equal((char *)ram + rd(mods + 32 + 16, 8), "with args");
    assert_string_equal((char *)ram + rd(e.rbx + 24, 8), "root=x quiet");
    assert_int_equal(rd(e.rbx + 32, 8), 0xe0000);
    assert_int_equal(rd(rd(e.rbx + 40, 8) + 16, 4), 1);
}

static void test_multiboot(void **state)
{
    struct load_entry e;
    uint64_t mods;

    (void)state;
    make_elf();
    put(0x100, 4, 0x1badb002), put(0x108, 4, 0 - 0x1badb002u);
    modules();
    assert_int_equal(run(load_multiboot, &e), 0);
    assert_int_equal(e.rax, 0x2badb002);
    assert_int_equal(e.pc, 0x200010);
    assert_string_equal((char *)ram + rd(e.rbx + 16, 4), "root=x quiet");
    assert_int_equal(rd(e.rbx + 20, 4), 2);
    mods = rd(e.rbx + 24, 4);
    assert_string_equal((char *)ram + rd(mods + 16, 4), "module");
    assert_int_equal(rd(mods + 20, 4) - rd(mods + 16, 4), 7);
    assert_string_equal((char *)ram + rd(mods + 24, 4), "module with args");
    assert_int_equal(rd(mods, 4) & 0xfff, 0);
    assert_int_equal(rd(rd(e.rbx + 48, 4), 4), 20);
    put(0x104, 4, 0x10000), put(0x108, 4, 0 - 0x1badb002u - 0x10000), put(0x10c, 4, 0x300100),
        put(0x110, 4, 0x300000);
    put(0x118, 4, 0x304000), put(0x11c, 4, 0x300800);
    /* by addresses: the whole file from its start */
    assert_int_equal(run(load_multiboot, &e), 0);
    assert_int_equal(e.pc, 0x300800);
    assert_int_equal(rd(0x300100, 4), 0x1badb002);
    put(0x10c, 4, 0x2fff00);
    assert_int_equal(run(load_multiboot, &e), -EINVAL);
    assert_non_null(strstr(fake_vm.why, "address"));
}

static uint64_t mb2_tag(uint64_t info, uint32_t type)
{
    for (uint64_t p = info + 8; p < info + rd(info, 4); p += align_up(rd(p + 4, 4), 8)) {
        if (rd(p, 4) == type)
            return p;
        assert_true(rd(p + 4, 4) >= 8);
    }
    fail_msg("no tag %u", type);
    return 0;
}

static void test_multiboot2(void **state)
{
    struct load_entry e;
    uint64_t t;

    (void)state;
    make_elf();
    put(0x200, 4, 0xe85250d6), put(0x208, 4, 24), put(0x20c, 4, 0 - 0xe85250d6u - 24),
        put(0x214, 4, 8);
    modules();
    memcpy(ram + 0xe0000, "RSD PTR ", 8);
    assert_int_equal(run(load_multiboot2, &e), 0);
    assert_int_equal(e.rax, 0x36d76289);
    assert_int_equal(e.rbx & 7, 0);
    assert_string_equal((char *)ram + mb2_tag(e.rbx, 1) + 8, "root=x quiet");
    t = mb2_tag(e.rbx, 3);
    assert_string_equal((char *)ram + rd(t + 8, 4), "I am the initrd");
    assert_memory_equal(ram + mb2_tag(e.rbx, 15) + 8, "RSD PTR ", 8);
    assert_int_equal(rd(mb2_tag(e.rbx, 6) + 8, 4), 24);
    (void)mb2_tag(e.rbx, 0);
}

static void make_bzimage(uint32_t init_size)
{
    put(0x1f1, 1, 3), put(0x1fe, 2, 0xaa55), put(0x201, 1, 0x6a), memcpy(kernel + 0x202, "HdrS", 4),
        put(0x206, 2, 0x20f), put(0x211, 1, 1);
    put(0x22c, 4, 0x7fffffff), put(0x230, 4, 0x200000), put(0x234, 1, 1), put(0x236, 2, 1),
        put(0x238, 4, 2047);
    put(0x258, 8, 0x1000000), put(0x260, 4, init_size);
    memset(kernel + 2048, 0x77, 4096);
    kernel_len = 2048 + 4096;
}

static void test_linux(void **state)
{
    struct load_entry e;
    uint64_t initrd;

    (void)state;
    make_bzimage(0x100000);
    strcpy(config.initrd, "initrd");
    assert_int_equal(run(load_linux, &e), 0);
    assert_int_equal(e.pc, 0x1000200);
    assert_int_equal(e.mode, ENTRY_LONG64);
    assert_int_equal(rd(0x1000000, 4), 0x77777777);
    assert_int_equal(rd(e.rsi + 0x70, 8), 0xe0000);
    assert_memory_equal(ram + e.rsi + 0x202, "HdrS", 4);
    assert_string_equal((char *)ram + rd(e.rsi + 0x228, 4), "root=x quiet");
    initrd = rd(e.rsi + 0x218, 4);
    assert_string_equal((char *)ram + initrd, "I am the initrd");
    assert_int_equal(rd(e.rsi + 0x21c, 4), 16);
    assert_int_equal(rd(e.rsi + 0x2d0 + 16, 4), 1);
    /* address 0, 2 MiB, writable */
    assert_int_equal(rd(rd(rd(e.cr3, 8) & ~0xfffull, 8) & ~0xfffull, 8), 0x83);
}

/* One that does not fit where it wants to be is moved, but never below: it would move itself up. */
static void test_linux_moved(void **state)
{
    struct load_entry e;

    (void)state;
    make_bzimage(0x100000);
    put(0x258, 8, 0x80000); /* into the hole below 1 MiB */
    assert_int_equal(run(load_linux, &e), 0);
    assert_true(e.pc >= MIB && e.pc < RAM && ((e.pc - 0x200) & 0x1fffff) == 0);
    put(0x258, 8, 0x3ff0000); /* over the end of RAM */
    assert_int_equal(run(load_linux, &e), -ENOSPC);
    assert_non_null(strstr(fake_vm.why, "it takes 1 MiB at or above 63 MiB"));
    assert_non_null(strstr(fake_vm.why, "67M or more"));
    put(0x258, 8, 0x8000000);
    assert_int_equal(run(load_linux, &e), -ENOSPC);
    put(0x258, 8, 0x100000000);
    assert_int_equal(run(load_linux, &e), -EINVAL);
    put(0x258, 8, 0x1000000);
    put(0x260, 4, RAM);
    assert_int_equal(run(load_linux, &e), -ENOSPC);
    assert_non_null(strstr(fake_vm.why, "82M or more"));
}

static void test_linux_too_old(void **state)
{
    struct load_entry e;

    (void)state;
    make_bzimage(0x100000);
    put(0x206, 2, 0x203);
    assert_int_equal(run(load_linux, &e), -EINVAL);
    assert_non_null(strstr(fake_vm.why, "boot protocol 2.03: guests"));
    assert_non_null(strstr(fake_vm.why, "PVH or ELF build"));
    put(0x206, 2, 0x20f), put(0x211, 1, 0);
    assert_int_equal(run(load_linux, &e), -EINVAL);
    assert_non_null(strstr(fake_vm.why, "(zImage)"));
}

/* Pieces that would lie on each other, or outside of RAM. */
static void test_placement(void **state)
{
    struct load l = { .vm = &fake_vm, .config = &config };
    uint64_t a, b;

    (void)state;
    assert_int_equal(load_take(&l, 0x100000, 0x1000, "x"), 0);
    assert_int_equal(load_take(&l, 0x100fff, 1, "x"), -ENOSPC);
    assert_int_equal(load_take(&l, 0xa0000, 1, "x"), -ENOSPC);
    assert_int_equal(load_take(&l, 0, 16, "x"), -ENOSPC);
    assert_int_equal(load_take(&l, RAM - 1, 2, "x"), -ENOSPC);
    assert_int_equal(load_take(&l, UINT64_MAX, 2, "x"), -ENOSPC);
    assert_int_equal(load_alloc(&l, 0x1000, 0x1000, 0, 4 * GIB, "x", &a), 0);
    assert_int_equal(a, RAM - 0x1000);
    assert_int_equal(load_alloc(&l, 0x1000, 0x1000, 0, 4 * GIB, "x", &b), 0);
    assert_int_equal(b, RAM - 0x2000);
    assert_int_equal(load_alloc_low(&l, 0x1000, 0x1000, MIB, "x", &b), 0);
    assert_int_equal(b, 0x101000);
    assert_int_equal(load_alloc(&l, RAM, 16, 0, UINT64_MAX, "x", &b), -ENOSPC);
    for (unsigned i = l.nused; i < LOAD_RANGES; i++)
        assert_int_equal(load_alloc(&l, 16, 16, 0, 4 * GIB, "x", &b), 0);
    assert_int_equal(load_alloc(&l, 16, 16, 0, 4 * GIB, "x", &b), -ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_acpi, setup),
        cmocka_unit_test_setup(test_bda, setup),
        cmocka_unit_test_setup(test_pvh, setup),
        cmocka_unit_test_setup(test_multiboot, setup),
        cmocka_unit_test_setup(test_multiboot2, setup),
        cmocka_unit_test_setup(test_linux, setup),
        cmocka_unit_test_setup(test_linux_moved, setup),
        cmocka_unit_test_setup(test_linux_too_old, setup),
        cmocka_unit_test_setup(test_placement, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
