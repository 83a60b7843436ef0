/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An ARM64 guest's memory when it starts: kernels of every kind, the initrd, and the device tree,
 * read back with libfdt.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <hv/files.h>
#include <hv/fw_cfg.h>
#include <hv/guest_uefi.h>
#include <hv/pci.h>
#include <hv/pvpanic.h>
#include <libfdt.h>
#include "tests/unit/packed.h"
#include "hv/guest/aarch64/load.h"
#define FAKE_VCPUS 512
#include "arm_machine.h"

static uint8_t kernel[256 * KIB], initrd[3000];
static uint64_t kernel_len;

const void *file_find(const char *path, uint64_t *len)
{
    *len = path[0] == 'k' ? kernel_len : sizeof initrd;
    return path[0] == 'k' ? kernel : path[0] == 'i' ? initrd : NULL;
}

int vpci_create(struct vm *vm, const struct vpci_layout *l)
{
    (void)vm;
    assert_int_equal(l->intx_gsi, 35);
    return 0;
}
void vpci_destroy(struct vm *vm) { (void)vm; }
int vio_build(struct vm *vm, const struct guest_config *c)
{
    (void)vm, (void)c;
    return 0;
}
void vio_destroy(struct vm *vm) { (void)vm; }
int pvpanic_create(struct vm *vm)
{
    (void)vm;
    return 0;
}
void pvpanic_destroy(struct vm *vm) { (void)vm; }

int gmem_add_ram(struct vm *vm, gpa_t base, uint64_t len)
{
    (void)vm, (void)base, (void)len;
    return 0;
}

static uint64_t rom_len; /* of stolen times */
int gmem_add_rom(struct vm *vm, gpa_t base, uint64_t len)
{
    (void)vm;
    assert_int_equal(base.v, PLAT_PVTIME);
    rom_len = len;
    return 0;
}

/* ---- firmware ---- */

static struct uefi_file firmware_file;
static struct uefi_layout firmware_layout;
static struct uefi_registers firmware_registers;
static struct fw_cfg firmware_cfg;
static bool firmware_ready;
static uint64_t firmware_tables;

int uefi_find(struct vm *vm, struct uefi_file *out)
{
    (void)vm;
    *out = firmware_file;
    return 0;
}
int uefi_open(struct vm *vm, const struct uefi_file *f, const struct uefi_layout *l)
{
    (void)vm, (void)f;
    firmware_layout = *l;
    return 0;
}
int uefi_build(struct vm *vm, const struct uefi_registers *r)
{
    (void)vm;
    firmware_registers = *r;
    fw_cfg_init(&firmware_cfg);
    return 0;
}
struct uefi_place uefi_place(const struct vm *vm)
{
    (void)vm;
    return (struct uefi_place){ firmware_layout.code_at, firmware_file.code_len,
                                firmware_layout.vars_at, firmware_file.vars_len };
}
struct fw_cfg *uefi_fw_cfg(struct vm *vm)
{
    (void)vm;
    return &firmware_cfg;
}
int uefi_tables(struct vm *vm, uint8_t *tables, uint64_t room, uint64_t used)
{
    assert_memory_equal(tables, "RSD PTR ", 8);
    firmware_tables = used;
    vm_free(vm, tables, room);
    return 0;
}
int uefi_build_more(struct vm *vm)
{
    (void)vm;
    firmware_ready = !firmware_ready;
    return firmware_ready ? BUILD_WAITS : 0;
}
int uefi_guest_quiesce(struct vm *vm)
{
    (void)vm;
    return 0;
}
bool uefi_guest_release(struct vm *vm)
{
    (void)vm;
    return false;
}
void uefi_unbuild(struct vm *vm) { (void)vm; }

static int setup(void **state)
{
    (void)state;
    fake_start(3);
    strcpy(fake_config.kernel, "k");
    strcpy(fake_config.cmdline, "console=ttyAMA0 quiet");
    memset(kernel, 0, sizeof kernel);
    memset(initrd, 0x1d, sizeof initrd);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_stop();
    return 0;
}

static void put(uint64_t at, unsigned size, uint64_t v) { memcpy(kernel + at, &v, size); }

static void make_image(uint64_t text_offset, uint64_t image_size)
{
    memset(kernel, 0x77, 100000);
    put(8, 8, text_offset), put(16, 8, image_size), put(24, 8, 0xa),
        memcpy(kernel + 56, "ARM\x64", 4);
    kernel_len = 100000;
}

static int build(void)
{
    int more = guest_arm.build(&fake_vm, &fake_config);

    for (more = more ? more : 1; more > 0;) {
        /* whatever wakes it now must not let it run */
        assert_int_equal(fake_vcpu[0].mp, MP_OFF);
        more = guest_arm.build_more(&fake_vm);
    }
    assert_int_equal(fake_vcpu[0].mp, more ? MP_OFF : MP_RUNNABLE);
    fake_vcpu[0].mp = MP_OFF;
    return more;
}

static struct vcpu_regs *regs(void) { return &fake_vcpu[0].regs; }
static const void *fdt(void) { return fake_ram + (regs()->gpr[0] - PLAT_RAM); }

static void refused(int err, const char *what)
{
    assert_int_equal(build(), err);
    if (!strstr(fake_vm.why, what))
        fail_msg("it says: %s", fake_vm.why);
    guest_arm.destroy(&fake_vm);
    fake_vm.why[0] = '\0';
}

static void test_image(void **state)
{
    (void)state;
    make_image(0, 0x200000);
    assert_int_equal(build(), 0);
    assert_int_equal(regs()->pc, PLAT_RAM);
    assert_int_equal(regs()->flags, 0x3c5);
    assert_memory_equal(fake_ram, kernel, kernel_len);
    assert_int_equal(regs()->gpr[0] & 7, 0);
    assert_int_equal(fdt_check_full(fdt(), FDT_ROOM), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(sysreg(i, ARM_VMPIDR_EL2), 0x80000000 + i);
    guest_arm.destroy(&fake_vm);
    put(16, 8, 0), put(8, 8, 0x12345); /* before 3.17 */
    assert_int_equal(build(), 0);
    assert_int_equal(regs()->pc, PLAT_RAM + 0x80000);
    guest_arm.destroy(&fake_vm);
    put(16, 8, FAKE_RAM);
    refused(-ENOSPC, "more memory");
    put(16, 8, UINT64_MAX);
    refused(-ENOSPC, "more memory");
    put(16, 8, FAKE_RAM - FDT_ROOM), put(8, 8, UINT64_MAX);
    refused(-ENOSPC, "more memory");
    put(8, 8, 0), put(24, 8, 1);
    refused(-EINVAL, "big-endian");
    fake_config.kind = KIND_PVH;
    refused(-EINVAL, "image or flat");
    fake_config.kind = KIND_IMAGE;
    put(56, 4, 0);
    refused(-EINVAL, "not an ARM64");
    strcpy(fake_config.kernel, "x");
    refused(-ENOENT, "not loaded");
}

/* A small Image of 70000 bytes (text_offset 0x80000, image_size 0x40000), compressed by gzip. */
static const uint8_t gz[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xed, 0xca, 0xc1, 0xd2, 0xf1, 0x58,
    0x17, 0x86, 0xe1, 0x88, 0x60, 0x23, 0x88, 0x2d, 0x08, 0x82, 0xd8, 0x82, 0x90, 0x88, 0xd8, 0x82,
    0x20, 0xa8, 0x3e, 0x80, 0x7f, 0xf2, 0x0f, 0x7b, 0xdc, 0xe7, 0x7f, 0x0c, 0xfd, 0x56, 0xf5, 0xd7,
    0x3d, 0xee, 0x51, 0x8f, 0xee, 0x6b, 0xd5, 0x53, 0xf7, 0x64, 0x19, 0xc6, 0xdf, 0xc4, 0xaf, 0x5a,
    0xc6, 0xbf, 0xf1, 0xdb, 0xff, 0xff, 0xf7, 0xc7, 0x5f, 0xef, 0xc2, 0x76, 0xdc, 0xc9, 0x5c, 0x6d,
    0xe3, 0x53, 0xfe, 0xf8, 0x54, 0x45, 0x47, 0x8e, 0xfd, 0xd5, 0x2e, 0xd1, 0xf7, 0xb7, 0x29, 0xba,
    0xee, 0x34, 0xd8, 0x26, 0xba, 0xf8, 0xd4, 0xda, 0xd2, 0x5b, 0x6e, 0x92, 0xcb, 0xb3, 0x22, 0x7a,
    0xa3, 0x79, 0x18, 0x5f, 0x9e, 0x66, 0xb3, 0xef, 0x05, 0x51, 0x56, 0x18, 0xc2, 0xf9, 0xe9, 0xf9,
    0x61, 0xb6, 0x06, 0xb3, 0xf0, 0x78, 0xfb, 0x8a, 0xfe, 0x74, 0x9d, 0x5c, 0xbf, 0x42, 0xce, 0x36,
    0x69, 0x61, 0xda, 0xa3, 0xe0, 0x90, 0x7f, 0x84, 0x9c, 0xef, 0x74, 0xd9, 0xe8, 0xfb, 0x3b, 0xfd,
    0x16, 0x83, 0xc5, 0x3e, 0xff, 0xb6, 0x47, 0xea, 0xf8, 0xb0, 0x1c, 0x3f, 0xca, 0x0d, 0xdb, 0x0b,
    0xb3, 0xb2, 0x39, 0x54, 0xe9, 0xab, 0xe1, 0xae, 0xd2, 0x97, 0x18, 0xaa, 0x53, 0xd9, 0x1c, 0x87,
    0xfa, 0xdb, 0x99, 0x46, 0x37, 0x4b, 0x06, 0x69, 0xd9, 0xf2, 0xb6, 0xd7, 0xaa, 0x0c, 0x4e, 0x6f,
    0x7b, 0x76, 0x78, 0x88, 0xf1, 0xf6, 0x6a, 0x0d, 0xd6, 0xda, 0xec, 0xaf, 0x32, 0xc3, 0x09, 0x7e,
    0x6d, 0x75, 0x36, 0xe5, 0xfa, 0x62, 0x0d, 0xb7, 0x77, 0x31, 0x39, 0xbc, 0xec, 0xf9, 0xc9, 0x90,
    0xeb, 0x6b, 0xdd, 0x3b, 0x94, 0xdd, 0x40, 0x5b, 0xa3, 0xe8, 0xd9, 0x59, 0x6a, 0x6b, 0xbc, 0x2f,
    0x7b, 0xea, 0x2a, 0x66, 0x69, 0xc5, 0xdd, 0xbd, 0xba, 0xea, 0xda, 0xf4, 0x33, 0xcb, 0x4b, 0x0c,
    0x37, 0x2a, 0x9d, 0xf0, 0xd1, 0x51, 0xb7, 0xf6, 0x32, 0x6f, 0x2e, 0x2e, 0x62, 0xae, 0x1b, 0xfe,
    0xb9, 0xe1, 0xeb, 0xc6, 0x5c, 0x8b, 0x45, 0xde, 0x0a, 0x6e, 0xb6, 0x2a, 0xba, 0x9b, 0x97, 0x8c,
    0xbe, 0xc3, 0xa4, 0x3a, 0x3d, 0x8b, 0xe5, 0xad, 0x13, 0xbe, 0x06, 0x07, 0x73, 0x72, 0x16, 0x41,
    0xe1, 0x44, 0x86, 0x97, 0xfd, 0xb4, 0xbf, 0x37, 0xa7, 0x97, 0x76, 0xf8, 0x1e, 0x9d, 0xc4, 0xea,
    0x39, 0x48, 0x6a, 0xcb, 0x42, 0xc6, 0xb5, 0x45, 0x21, 0x93, 0x7a, 0xf0, 0x74, 0x53, 0xa1, 0xde,
    0x63, 0x6d, 0xef, 0x2a, 0xfe, 0x5d, 0x1e, 0xc5, 0xfa, 0x33, 0xc9, 0x7b, 0x71, 0x5d, 0xbd, 0x27,
    0xb9, 0x93, 0x88, 0xd0, 0xf0, 0x0b, 0x37, 0xb3, 0xf7, 0x35, 0xf5, 0x99, 0xdd, 0xdd, 0x73, 0x37,
    0x16, 0x1b, 0x73, 0x59, 0x4e, 0xee, 0xae, 0xee, 0x1d, 0x5b, 0x51, 0x3d, 0x34, 0x83, 0x8f, 0xff,
    0xf4, 0x6e, 0xc3, 0x8b, 0xcc, 0x7a, 0x47, 0x3b, 0x6e, 0xed, 0xc5, 0xae, 0xbe, 0xb1, 0xd6, 0x55,
    0x65, 0xae, 0x2a, 0x81, 0xf1, 0xcf, 0x55, 0x56, 0xa6, 0xaa, 0xae, 0xad, 0x4d, 0x7d, 0x27, 0xf6,
    0xad, 0xd8, 0x3e, 0xf6, 0x32, 0x79, 0x19, 0xde, 0xbc, 0xa7, 0xff, 0x09, 0xcc, 0xb0, 0x1e, 0xb5,
    0x8e, 0x3d, 0xed, 0xde, 0x27, 0xe5, 0xd2, 0xdc, 0x88, 0xb8, 0x7b, 0x76, 0xef, 0xb3, 0x8f, 0xaa,
    0xed, 0xed, 0xcc, 0x2d, 0x7c, 0x23, 0x14, 0x89, 0x93, 0x4f, 0xde, 0xaa, 0x1e, 0xf7, 0xf2, 0xc9,
    0x67, 0x2d, 0x8e, 0xf2, 0xee, 0x57, 0x76, 0xb6, 0x1e, 0xbf, 0x95, 0x48, 0xdd, 0x67, 0x50, 0x4f,
    0x64, 0xb1, 0xa8, 0xc5, 0xb2, 0x58, 0xd6, 0x92, 0xc1, 0x73, 0x25, 0x4e, 0xa3, 0x77, 0xd8, 0xbe,
    0x4c, 0xcd, 0x7d, 0xbf, 0x08, 0x44, 0xe6, 0x19, 0x91, 0xf3, 0xd3, 0xf3, 0xc4, 0x3c, 0x0c, 0x5e,
    0x61, 0xe7, 0xb6, 0x14, 0xe7, 0x69, 0x35, 0x19, 0x7e, 0x23, 0xf9, 0xda, 0x74, 0x0b, 0x65, 0xdf,
    0x82, 0x56, 0xbe, 0x10, 0x7a, 0xde, 0xd0, 0x7e, 0xe3, 0xec, 0x37, 0xf4, 0x5c, 0x5c, 0x16, 0xcd,
    0x7c, 0xd9, 0xbe, 0xa9, 0xce, 0x23, 0x74, 0xca, 0xc8, 0x35, 0x12, 0xcf, 0xca, 0xfc, 0xe6, 0x55,
    0x75, 0x5f, 0x3b, 0xb7, 0x92, 0xce, 0xc4, 0x55, 0xf5, 0xca, 0xfd, 0xd8, 0xd2, 0xcb, 0xce, 0x33,
    0x1a, 0x59, 0x3a, 0xe8, 0x96, 0x07, 0xaf, 0x7e, 0x5d, 0x4b, 0xe3, 0x34, 0xb7, 0x5f, 0x87, 0x89,
    0xb8, 0x6f, 0x87, 0xd6, 0x65, 0x2d, 0xcd, 0xf3, 0xca, 0x31, 0xb2, 0xe0, 0xd7, 0x56, 0x7d, 0x53,
    0xaf, 0x07, 0xd6, 0x75, 0x3b, 0x16, 0x8f, 0xc3, 0xcc, 0x7e, 0x9f, 0x02, 0x59, 0xbd, 0x6e, 0xbd,
    0x56, 0x99, 0x06, 0xd2, 0xba, 0x45, 0xd3, 0xce, 0x57, 0x87, 0xe3, 0x66, 0x79, 0x52, 0x43, 0xf1,
    0x4a, 0x57, 0x6e, 0xe3, 0x95, 0xaa, 0x61, 0xb3, 0xcc, 0x42, 0xcf, 0x36, 0xf2, 0xc8, 0x77, 0xac,
    0xc7, 0x51, 0x8d, 0xda, 0xdf, 0x7c, 0xbf, 0x18, 0x88, 0xb7, 0xde, 0xf9, 0xfd, 0x46, 0xa9, 0x77,
    0x73, 0x29, 0x3e, 0xf9, 0x21, 0x18, 0xd9, 0x66, 0x91, 0x6e, 0x66, 0x52, 0x7c, 0xaf, 0xc9, 0x7a,
    0xda, 0x17, 0xdf, 0xdb, 0x31, 0x9c, 0x0d, 0x5a, 0xe6, 0xe3, 0x1c, 0x05, 0x9e, 0x23, 0x8c, 0x22,
    0xfb, 0x69, 0xbf, 0x69, 0x3e, 0x2f, 0x71, 0x38, 0x1f, 0xf5, 0x44, 0xe5, 0x79, 0x49, 0x36, 0x4b,
    0x4f, 0xb6, 0x6b, 0x9f, 0x42, 0x27, 0xdb, 0x60, 0xea, 0x76, 0x85, 0xf9, 0xbe, 0xeb, 0x64, 0xb7,
    0xf2, 0xc7, 0xb2, 0x23, 0xaa, 0x9f, 0x47, 0x7e, 0x8a, 0xb7, 0x6a, 0x3e, 0x71, 0x1d, 0x5b, 0x58,
    0x46, 0x59, 0xe4, 0x59, 0xb2, 0xdf, 0xa8, 0xc5, 0x6c, 0xec, 0xf6, 0xbb, 0x6d, 0x51, 0x33, 0xbf,
    0xe5, 0xe3, 0x9e, 0xeb, 0xd3, 0xf1, 0x10, 0x6d, 0x43, 0x15, 0x2c, 0xfc, 0xa9, 0x37, 0x1a, 0x0e,
    0x7e, 0x07, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0xf0, 0x9f, 0xfb, 0x13, 0x2f, 0xdb, 0xc3, 0x1f, 0x70, 0x11, 0x01,
    0x00,
};

static void expect_inflated(void)
{
    const uint8_t *at = fake_ram + 0x80000;

    assert_int_equal(build(), 0);
    assert_int_equal(regs()->pc, PLAT_RAM + 0x80000);
    assert_memory_equal(at + 56, "ARM\x64", 4);
    for (unsigned i = 64; i < 70000; i++)
        assert_int_equal(at[i], i < 1000 ? (i * i >> 5) & 0x3f : 0x5a);
    assert_int_equal(at[70000], 0);
    guest_arm.destroy(&fake_vm);
    memset(fake_ram, 0, FAKE_RAM);
}

static void test_compressed(void **state)
{
    (void)state;
    memcpy(kernel, gz, sizeof gz);
    kernel_len = sizeof gz;
    expect_inflated();
    kernel_len = sizeof gz - 20;
    refused(-EINVAL, "compressed data");
    kernel_len = sizeof gz;
    kernel[40] ^= 0x10;
    refused(-EINVAL, "");
    memset(kernel, 0, sizeof kernel); /* EFI zboot */
    memcpy(kernel, "MZ\0\0zimg", 8), put(8, 4, 512), put(12, 4, sizeof gz),
        memcpy(kernel + 24, "gzip", 5);
    memcpy(kernel + 512, gz, sizeof gz);
    kernel_len = 512 + sizeof gz;
    expect_inflated();
    put(12, 4, sizeof gz + 1);
    refused(-EINVAL, "outside");
    put(8, 4, 0xffffffff);
    refused(-EINVAL, "outside");
    memcpy(kernel + 24, "lzma", 5);
    refused(-EINVAL, "compressed with lzma; gzip, zstd and xz are supported");
    memcpy(kernel, packed_zstd, sizeof packed_zstd);
    kernel_len = sizeof packed_zstd;
    expect_inflated();
    memcpy(kernel, packed_xz, sizeof packed_xz);
    kernel_len = sizeof packed_xz;
    expect_inflated();
    kernel_len--;
    refused(-EINVAL, "ends too early");
    memcpy(kernel, packed_long_zstd, sizeof packed_long_zstd);
    kernel_len = sizeof packed_long_zstd;
    refused(-EINVAL, "the compressed data is not an ARM64 Linux Image");
}

static void test_flat(void **state)
{
    (void)state;
    memset(kernel, 0xd5, 5000);
    kernel_len = 5000;
    assert_int_equal(build(), 0);
    assert_int_equal(regs()->pc, PLAT_RAM + 0x80000);
    assert_int_equal(regs()->pc & 0xffff, 0);
    assert_memory_equal(fake_ram + 0x80000, kernel, 5000);
    guest_arm.destroy(&fake_vm);
    memcpy(kernel,
           "\x7f"
           "ELF",
           4);
    refused(-EINVAL, "neither");
    fake_config.kind = KIND_FLAT;
    assert_int_equal(build(), 0); /* asked for */
    guest_arm.destroy(&fake_vm);
    kernel_len = 0;
    refused(-EINVAL, "empty");
    kernel_len = 100000;
    fake_config.memory = 640 * KIB;
    refused(-ENOSPC, "more memory");
    fake_config.memory = 704 * KIB;
    assert_int_equal(build(), 0);
    guest_arm.destroy(&fake_vm);
    strcpy(fake_config.initrd, "i");
    fake_config.memory = 512 * KIB + 100 * KIB + FDT_ROOM;
    refused(-ENOSPC, "");
}

/* ---- the device tree ---- */

static uint64_t prop(const char *path, const char *name, unsigned cell)
{
    int len, node = fdt_path_offset(fdt(), path);
    const fdt32_t *p = node < 0 ? NULL : fdt_getprop(fdt(), node, name, &len);

    if (!p || (unsigned)len < 4 * (cell + 1))
        fail_msg("%s %s is not there", path, name);
    return fdt32_to_cpu(p[cell]);
}

static uint64_t prop64(const char *path, const char *name, unsigned cell)
{
    return prop(path, name, cell) << 32 | prop(path, name, cell + 1);
}

static const char *string(const char *path, const char *name)
{
    const char *s = fdt_getprop(fdt(), fdt_path_offset(fdt(), path), name, NULL);

    if (!s)
        fail_msg("%s %s is not there", path, name);
    return s;
}

static void test_tree(void **state)
{
    uint64_t start;

    (void)state;
    strcpy(fake_config.initrd, "i");
    make_image(0, 0x200000);
    assert_int_equal(build(), 0);
    assert_null(fdt_getprop(fdt(), fdt_path_offset(fdt(), "/chosen"), "kaslr-seed", NULL));
    assert_null(fdt_getprop(fdt(), fdt_path_offset(fdt(), "/chosen"), "rng-seed", NULL));
    /* now there are random numbers */
    assert_int_equal(random_start(), 0);
    teardown(state);
    setup(state);
    strcpy(fake_config.initrd, "i");
    make_image(0, 0x200000);
    assert_int_equal(build(), 0);
    assert_int_equal(fdt_check_full(fdt(), FDT_ROOM), 0);
    assert_string_equal(string("/chosen", "bootargs"), "console=ttyAMA0 quiet");
    assert_true(fdt_path_offset(fdt(), string("/chosen", "stdout-path")) > 0);
    assert_true(prop64("/chosen", "kaslr-seed", 0) != 0);
    start = prop64("/chosen", "linux,initrd-start", 0);
    assert_int_equal(start & 0xfff, 0);
    assert_int_equal(prop64("/chosen", "linux,initrd-end", 0) - start, sizeof initrd);
    assert_memory_equal(fake_ram + (start - PLAT_RAM), initrd, sizeof initrd);
    assert_true(start + sizeof initrd <= regs()->gpr[0] && start >= PLAT_RAM + 0x200000);
    assert_int_equal(prop64("/memory@40000000", "reg", 0), PLAT_RAM);
    assert_int_equal(prop64("/memory@40000000", "reg", 2), FAKE_RAM);
    assert_int_equal(prop("/cpus/cpu@2", "reg", 0), 2);
    assert_int_equal(fdt_path_offset(fdt(), "/cpus/cpu@3"), -FDT_ERR_NOTFOUND);
    assert_string_equal(string("/cpus/cpu@1", "enable-method"), "psci");
    assert_string_equal(string("/psci", "method"), "hvc");
    assert_int_equal(prop("/timer", "interrupts", 7), 11);        /* virtual: PPI 11 */
    assert_int_equal(prop("/pl011@9000000", "interrupts", 1), 1); /* SPI 1 is INTID 33 */
    assert_int_equal(prop64("/pl031@9010000", "reg", 0), PLAT_PL031);
    assert_int_equal(prop("/", "interrupt-parent", 0),
                     prop("/interrupt-controller@8000000", "phandle", 0));
    assert_int_equal(prop64("/interrupt-controller@8000000", "reg", 4), PLAT_GICR);
    assert_int_equal(prop64("/interrupt-controller@8000000", "reg", 6), 3 * 0x20000);
    assert_int_equal(prop64("/pcie@10000000", "reg", 0), PLAT_ECAM);
    assert_int_equal(prop64("/pcie@10000000", "ranges", 1), PLAT_MMIO32);
    assert_int_equal(prop64("/pcie@10000000", "ranges", 3), PLAT_MMIO32);
    assert_int_equal(prop64("/pcie@10000000", "ranges", 12), PLAT_MMIO64_LEN);
    assert_int_equal(prop("/pcie@10000000", "msi-map", 1),
                     prop("/interrupt-controller@8000000/msi-controller@8080000", "phandle", 0));
    /* slot 0 INTA: SPI 3, INTID 35 */
    assert_int_equal(prop("/pcie@10000000", "interrupt-map", 8), 3);
    assert_int_equal(prop("/pcie@10000000", "interrupt-map", 9 * 10 + 0), 2 << 11);
    assert_int_equal(prop("/pcie@10000000", "interrupt-map", 9 * 10 + 3), 2);
    assert_int_equal(prop("/pcie@10000000", "interrupt-map", 9 * 10 + 8), 3 + ((2 + 1) & 3));
    assert_int_equal(prop("/gpio-keys/poweroff", "gpios", 0), prop("/pl061@9030000", "phandle", 0));
    guest_arm.destroy(&fake_vm);
    strcpy(fake_config.initrd, "x");
    refused(-ENOENT, "initrd");
}

static void test_tree_v2(void **state)
{
    (void)state;
    fake_gic = 2;
    make_image(0, 0x200000);
    assert_int_equal(build(), 0);
    assert_string_equal(string("/interrupt-controller@8000000", "compatible"),
                        "arm,cortex-a15-gic");
    assert_int_equal(prop64("/interrupt-controller@8000000", "reg", 4), PLAT_GICC);
    assert_int_equal(prop("/pcie@10000000", "msi-parent", 0),
                     prop("/interrupt-controller@8000000/v2m@8020000", "phandle", 0));
    assert_int_equal(prop("/timer", "interrupts", 8), 0x704);
    guest_arm.destroy(&fake_vm);
    fake_gic = 0;
    refused(-ENOTSUP, "interrupt controller");
}

/* ---- ACPI ---- */

static uint64_t ram(uint64_t at, unsigned size)
{
    uint64_t v = 0;

    assert_int_equal(gmem_read(&fake_vm, gpa(at), &v, size), 0);
    return v;
}

static void sums_to_0(uint64_t at, uint64_t len)
{
    uint8_t sum = 0;

    for (uint64_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + ram(at + i, 1));
    assert_int_equal(sum, 0);
}

static uint64_t acpi_table(const char *signature)
{
    uint64_t systab = prop64("/chosen", "linux,uefi-system-table", 0),
             rsdp = ram(ram(systab + 112, 8) + 16, 8), xsdt = ram(rsdp + 24, 8);

    assert_memory_equal(fake_at(systab, 8), "IBI SYST", 8);
    assert_memory_equal(fake_at(rsdp, 8), "RSD PTR ", 8);
    sums_to_0(rsdp, 20), sums_to_0(rsdp, 36);
    sums_to_0(xsdt, ram(xsdt + 4, 4));
    for (uint64_t at = xsdt + 36; at < xsdt + ram(xsdt + 4, 4); at += 8) {
        uint64_t table = ram(at, 8);

        sums_to_0(table, ram(table + 4, 4));
        if (memcmp(fake_at(table, 4), signature, 4) == 0)
            return table;
    }
    return 0;
}

/* EFI's memory map: all of RAM, in order, without gaps; one piece holds the tables. */
static void check_memory_map(void)
{
    uint64_t at = prop64("/chosen", "linux,uefi-mmap-start", 0),
             end = at + prop("/chosen", "linux,uefi-mmap-size", 0), next = PLAT_RAM;
    uint64_t systab = prop64("/chosen", "linux,uefi-system-table", 0);

    for (; at < end; at += prop("/chosen", "linux,uefi-mmap-desc-size", 0)) {
        uint64_t base = ram(at + 8, 8), len = ram(at + 24, 8) * 4096;

        assert_int_equal(base, next);
        assert_int_equal(ram(at, 4), range_within(systab, 120, base, len) ? 9 : 7);
        next = base + len;
    }
    assert_int_equal(next, PLAT_RAM + fake_config.memory);
}

static bool dsdt_names(uint64_t dsdt, uint32_t value)
{
    for (uint64_t i = 36; i + 4 <= ram(dsdt + 4, 4); i++)
        if (ram(dsdt + i, 4) == value)
            return true;
    return false;
}

static void check_acpi(void)
{
    static const uint32_t addresses[] = { PLAT_PL011,  PLAT_PL031,
                                          PLAT_PL061,  PLAT_ECAM,
                                          PLAT_MMIO32, PLAT_MMIO32 + PLAT_MMIO32_LEN - 1,
                                          INTID_PL011, INTID_PL031,
                                          INTID_PL061 };
    uint64_t fadt = acpi_table("FACP"), dsdt = ram(fadt + 140, 8);

    assert_int_equal(ram(fadt + 129, 2), 3);
    sums_to_0(dsdt, ram(dsdt + 4, 4));
    for (unsigned i = 0; i < ARRAY_SIZE(addresses); i++)
        assert_true(dsdt_names(dsdt, addresses[i]));
    assert_int_equal(ram(acpi_table("MCFG") + 44, 8), PLAT_ECAM);
    assert_int_equal(ram(acpi_table("SPCR") + 44, 8), PLAT_PL011);
    assert_int_equal(ram(acpi_table("SPCR") + 54, 4), INTID_PL011);
    assert_int_equal(ram(acpi_table("GTDT") + 64, 4), ARM_PPI_VTIMER);
    assert_int_equal(fdt_path_offset(fdt(), "/memory@40000000"), -FDT_ERR_NOTFOUND);
    assert_int_equal(fdt_path_offset(fdt(), "/psci"), -FDT_ERR_NOTFOUND);
    check_memory_map();
}

/* Entries of one type in the MADT, and the last of them. */
static unsigned madt_entries(uint8_t type, uint64_t *last)
{
    uint64_t madt = acpi_table("APIC"), end = madt + ram(madt + 4, 4);
    unsigned n = 0;

    for (uint64_t at = madt + 44; at < end; at += ram(at + 1, 1)) {
        assert_in_range(ram(at + 1, 1), 20, end - at);
        if (ram(at, 1) == type)
            n++, *last = at;
    }
    return n;
}

/* Each processor of the MADT is a device with its UID, and a core of the one package. */
static void check_processors(unsigned n)
{
    uint64_t ssdt = acpi_table("SSDT"), pptt = acpi_table("PPTT"), at = ssdt + 36;
    uint32_t end = (uint32_t)ram(ssdt + 4, 4);

    assert_int_equal(ram(at, 1), 0x10); /* Scope of all that follows */
    assert_int_equal((ram(at + 1, 1) & 15) | ram(at + 2, 1) << 4 | ram(at + 3, 1) << 12, end - 37);
    assert_int_equal(ram(at + 1, 1) >> 6, 2);
    assert_memory_equal(fake_ram + (at - PLAT_RAM + 4), "\\_SB_", 5);
    at += 9;
    for (unsigned i = 0; i < n; i++, at += 32) {
        assert_int_equal(ram(at, 2), 0x825b);
        assert_int_equal(ram(at + 2, 1), 2 << 6 | (30 & 15));
        assert_int_equal(ram(at + 3, 1), 30 >> 4);
        assert_memory_equal(fake_ram + (at - PLAT_RAM + 9),
                            "\x08_HID\x0d"
                            "ACPI0007",
                            15);
        assert_memory_equal(fake_ram + (at - PLAT_RAM + 24), "\x08_UID\x0b", 6);
        assert_int_equal(ram(at + 30, 2), i);
        assert_int_equal(ram(pptt + 36 + 20 + 20 * i + 4, 4), 1 << 3 | 1 << 1);
        assert_int_equal(ram(pptt + 36 + 20 + 20 * i + 8, 4), 36);
        assert_int_equal(ram(pptt + 36 + 20 + 20 * i + 12, 4), i);
    }
    assert_int_equal(at, ssdt + end);
    assert_int_equal(ram(pptt + 4, 4), 36 + 20 + 20 * n);
    assert_int_equal(ram(pptt + 40, 4) & 1, 1); /* the package */
}

/* As many as there can be: more redistributors than there is room for before the small devices. */
static void test_512(void **state)
{
    uint64_t at;

    (void)state;
    fake_stop();
    fake_start(ARM_VCPUS_MAX);
    strcpy(fake_config.kernel, "k");
    fake_config.acpi = true;
    make_image(0, 0x200000);
    assert_int_equal(build(), 0);
    check_acpi();
    check_processors(ARM_VCPUS_MAX);
    assert_int_equal(madt_entries(11, &at), ARM_VCPUS_MAX);
    assert_int_equal(ram(at + 68, 8), 0x1f0f);
    assert_int_equal(ram(at + 60, 8), PLAT_GICR_MANY + 511 * 0x20000);
    fake_stop();
    fake_start(ARM_VCPUS_MAX);
    strcpy(fake_config.kernel, "k");
    assert_int_equal(build(), 0);
    assert_int_equal(fdt_check_full(fdt(), 4 * FDT_ROOM), 0);
    assert_int_equal(prop64("/interrupt-controller@8000000", "reg", 4), PLAT_GICR_MANY);
    assert_int_equal(prop64("/interrupt-controller@8000000", "reg", 6), 512 * 0x20000);
    assert_true(fdt_path_offset(fdt(), "/cpus/cpu@1f0f") > 0);
    fake_config.vcpus = ARM_VCPUS_MAX + 1;
    assert_int_equal(arm_ram_layout(&fake_vm, &fake_config), -EINVAL);
    assert_non_null(strstr(fake_vm.why, "at most 512"));
    fake_config.vcpus = ARM_VCPUS_MAX;
}

static void test_acpi(void **state)
{
    uint64_t at;

    (void)state;
    fake_stop();
    fake_start(20);
    strcpy(fake_config.kernel, "k");
    strcpy(fake_config.initrd, "i");
    fake_config.acpi = true;
    make_image(0, 0x200000);
    assert_int_equal(build(), 0);
    assert_int_equal(fdt_check_full(fdt(), FDT_ROOM), 0);
    check_acpi();
    check_processors(20);
    assert_int_equal(madt_entries(11, &at), 20);
    assert_int_equal(ram(at + 68, 8), 0x103);
    assert_int_equal(ram(at + 60, 8), PLAT_GICR + 19 * 0x20000);
    assert_int_equal(madt_entries(12, &at), 1);
    assert_int_equal(ram(at + 20, 1), 3);
    assert_int_equal(madt_entries(15, &at), 1);
    assert_int_equal(ram(at + 8, 8), PLAT_ITS);
    assert_true(acpi_table("IORT") != 0);
    assert_true(prop64("/chosen", "linux,initrd-end", 0) <=
                prop64("/chosen", "linux,uefi-system-table", 0));
    fake_stop();
    fake_start(2);
    strcpy(fake_config.kernel, "k");
    fake_config.acpi = true;
    fake_gic = 2;
    assert_int_equal(build(), 0);
    check_acpi();
    check_processors(2);
    assert_int_equal(madt_entries(11, &at), 2);
    assert_int_equal(ram(at + 32, 8), PLAT_GICC);
    assert_int_equal(madt_entries(13, &at), 1);
    assert_int_equal(ram(at + 8, 8), PLAT_V2M);
    assert_int_equal(madt_entries(15, &at), 0);
    assert_int_equal(acpi_table("IORT"), 0);
}

static void test_layout(void **state)
{
    struct guest_config c = { .memory = PLAT_MMIO64 };

    (void)state;
    assert_int_equal(guest_arm.ram_layout(&fake_vm, &c), -EINVAL);
    assert_non_null(strstr(fake_vm.why, "255G"));
}

static void test_firmware(void **state)
{
    uint64_t reg = 0;

    (void)state;
    strcpy(fake_config.firmware, "uefi");
    firmware_file = (struct uefi_file){ NULL, kernel, 768 * KIB, sizeof kernel };
    fake_config.memory = 128 * MIB;
    assert_int_equal(guest_arm.ram_layout(&fake_vm, &fake_config), 0);
    assert_int_equal(rom_len, plat_pvtime_len(fake_config.vcpus));
    assert_int_equal(firmware_layout.code_at, 0);
    assert_int_equal(firmware_layout.vars_at, 64 * MIB);
    assert_int_equal(build(), 0);
    assert_int_equal(firmware_tables, 0);
    assert_int_equal(regs()->pc, 0);
    assert_int_equal(regs()->gpr[0], PLAT_RAM);
    assert_int_equal(fdt_check_full(fdt(), FDT_ROOM), 0);
    for (unsigned i = 0; i < 4; i++, reg = 0) {
        const uint64_t want[] = { 0, sizeof kernel, 64 * MIB, 768 * KIB };

        reg = prop64("/flash@0", "reg", 2 * i);
        assert_int_equal(reg, want[i]);
    }
    assert_int_equal(prop("/flash@0", "bank-width", 0), 4);
    assert_int_equal(prop64("/fw-cfg@9020000", "reg", 0), firmware_registers.at);
    assert_false(firmware_registers.ports);
    assert_string_equal(string("/fw-cfg@9020000", "compatible"), "qemu,fw-cfg-mmio");
    guest_arm.destroy(&fake_vm);
    fake_config.acpi = true;
    assert_int_equal(build(), 0);
    assert_true(firmware_tables > 1000);
}

static void test_firmware_refused(void **state)
{
    (void)state;
    strcpy(fake_config.firmware, "uefi");
    firmware_file = (struct uefi_file){ NULL, kernel, 768 * KIB, sizeof kernel };
    fake_config.memory = 128 * MIB - PAGE_SIZE;
    assert_int_equal(guest_arm.ram_layout(&fake_vm, &fake_config), -ENOSPC);
    assert_non_null(strstr(fake_vm.why, "at least 128M"));
    fake_config.memory = 128 * MIB;
    firmware_file.code_len = 64 * MIB + PAGE_SIZE;
    assert_int_equal(guest_arm.ram_layout(&fake_vm, &fake_config), -ENOEXEC);
    firmware_file = (struct uefi_file){ kernel, kernel, 528 * KIB, sizeof kernel };
    assert_int_equal(guest_arm.ram_layout(&fake_vm, &fake_config), -ENOEXEC);
    assert_non_null(strstr(fake_vm.why, "for x86-64"));
}

static void test_full_house(void **state)
{
    (void)state;
    fake_stop();
    fake_start(20);
    strcpy(fake_config.kernel, "k");
    memset(fake_config.cmdline, 'c', sizeof fake_config.cmdline - 1);
    make_image(0, 0x200000);
    assert_int_equal(build(), 0);
    assert_int_equal(fdt_check_full(fdt(), FDT_ROOM), 0);
    assert_int_equal(prop("/cpus/cpu@103", "reg", 0), 0x103);
    assert_int_equal(sysreg(19, ARM_VMPIDR_EL2), 0x80000103);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_image, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compressed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flat, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tree, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tree_v2, setup, teardown),
        cmocka_unit_test_setup_teardown(test_acpi, setup, teardown),
        cmocka_unit_test_setup_teardown(test_512, setup, teardown),
        cmocka_unit_test_setup_teardown(test_layout, setup, teardown),
        cmocka_unit_test_setup_teardown(test_firmware, setup, teardown),
        cmocka_unit_test_setup_teardown(test_firmware_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_house, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
