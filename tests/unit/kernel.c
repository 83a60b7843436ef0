/* SPDX-License-Identifier: BSD-2-Clause */
/* Which instruction set a kernel's file is for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <hv/kernel.h>

static uint8_t file[65536];

static int setup(void **state)
{
    (void)state;
    memset(file, 0, sizeof file);
    return 0;
}

static void put(uint64_t at, const void *what, size_t n) { memcpy(file + at, what, n); }

static void test_linux(void **state)
{
    (void)state;
    put(56, "ARM\x64", 4);
    assert_int_equal(kernel_isa(file, sizeof file), ISA_AARCH64);
    assert_int_equal(kernel_isa(file, 60), ISA_AARCH64);
    assert_int_equal(kernel_isa(file, 59), ISA_COUNT);
    put(56, "RSC\x05", 4);
    assert_int_equal(kernel_isa(file, sizeof file), ISA_RISCV64);
    setup(NULL);
    put(0x1fe, "\x55\xaa", 2), put(0x202, "HdrS", 4);
    assert_int_equal(kernel_isa(file, sizeof file), ISA_X86_64);
    assert_int_equal(kernel_isa(file, 0x205), ISA_COUNT);
    setup(NULL);
    assert_null(kernel_packed_by(file, sizeof file));
    put(0, "\x1f\x8b\x08", 3);
    assert_int_equal(kernel_isa(file, sizeof file), ISA_AARCH64);
    assert_string_equal(kernel_packed_by(file, sizeof file), "gzip");
    put(0, "(\xb5/\xfd", 4);
    assert_int_equal(kernel_isa(file, sizeof file), ISA_AARCH64);
    assert_string_equal(kernel_packed_by(file, sizeof file), "zstd");
    put(0, "\xfd\x37zXZ\0", 6);
    assert_int_equal(kernel_isa(file, sizeof file), ISA_AARCH64);
    assert_string_equal(kernel_packed_by(file, sizeof file), "xz");
    assert_null(kernel_packed_by(file, 5));
}

/* RFC 1952 and 1951: gzip's file with one stored block, the first n bytes of `file`. */
static uint8_t packed[65536];
static uint64_t pack(uint16_t n)
{
    static const uint8_t head[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1 };

    memset(packed, 0, sizeof packed);
    memcpy(packed, head, sizeof head);
    packed[11] = (uint8_t)n, packed[12] = (uint8_t)(n >> 8);
    packed[13] = (uint8_t)~n, packed[14] = (uint8_t)(~n >> 8);
    memcpy(packed + 15, file, n);
    return 15u + n;
}

/* Debian's Xen and GNU Mach for x86 are such. */
static void test_inside(void **state)
{
    struct guest_config c = { .isa = ISA_COUNT, .kind = KIND_AUTO };
    char why[200] = "";
    uint64_t len;

    (void)state;
    put(0,
        "\x7f"
        "ELF",
        4),
        put(18, "\x3e\0", 2);
    len = pack(50000);
    assert_int_equal(kernel_isa(packed, len), ISA_X86_64);
    assert_int_equal(guest_isa(&c, packed, len), ISA_X86_64);
    assert_false(kernel_is_guessed(packed, len));
    assert_true(kernel_problem(&c, packed, len, why, sizeof why));
    assert_non_null(strstr(why, "unpack it with `gzip -d`"));
    put(18, "\xf3\0", 2);
    assert_int_equal(kernel_isa(packed, pack(50000)), ISA_RISCV64);
    assert_int_equal(kernel_isa(packed, 15 + 20), ISA_RISCV64); /* cut behind it */
    assert_int_equal(kernel_isa(packed, 15 + 19), ISA_AARCH64); /* and before */
    assert_true(kernel_is_guessed(packed, 15 + 19));
    setup(NULL);
    put(32000, "\xd6\x50\x52\xe8\0\0\0\0\x18\0\0\0\x12\xaf\xad\x17", 16); /* Multiboot2 */
    assert_int_equal(kernel_isa(packed, pack(50000)), ISA_X86_64);
    put(56, "RSC\x05", 4);
    assert_int_equal(kernel_isa(packed, pack(50000)), ISA_RISCV64);
    packed[13] ^= 1; /* broken */
    assert_int_equal(kernel_isa(packed, 50015), ISA_AARCH64);
    assert_true(kernel_is_guessed(packed, 50015));
}

static void test_containers(void **state)
{
    (void)state;
    put(0,
        "\x7f"
        "ELF",
        4),
        put(18, "\x3e\0", 2);
    assert_int_equal(kernel_isa(file, sizeof file), ISA_X86_64);
    put(18, "\xb7\0", 2);
    assert_int_equal(kernel_isa(file, sizeof file), ISA_AARCH64);
    put(18, "\x02\0", 2);
    assert_int_equal(kernel_isa(file, sizeof file), ISA_COUNT);
    setup(NULL);
    put(0, "MZ", 2), put(0x3c, "\x80", 1), put(0x80, "PE\0\0\x64\xaa", 6);
    assert_int_equal(kernel_isa(file, sizeof file), ISA_AARCH64);
    assert_int_equal(kernel_isa(file, 0x84), ISA_COUNT);
    put(0x3c, "\xff\xff\xff\xff", 4);
    assert_int_equal(kernel_isa(file, sizeof file), ISA_COUNT);
    setup(NULL);
    put(0x100, "\x02\xb0\xad\x1b\0\0\0\0\xfe\x4f\x52\xe4", 12);
    assert_int_equal(kernel_isa(file, sizeof file), ISA_X86_64);
    put(0x108, "\0", 1);
    assert_int_equal(kernel_isa(file, sizeof file), ISA_COUNT);
}

static void test_guest(void **state)
{
    struct guest_config c = { .isa = ISA_RISCV64, .kind = KIND_FLAT };

    (void)state;
    put(56, "ARM\x64", 4);
    assert_int_equal(guest_isa(&c, file, sizeof file), ISA_RISCV64);
    c.isa = ISA_COUNT;
    assert_int_equal(guest_isa(&c, NULL, 0), ISA_AARCH64);
    c.kind = KIND_PVH;
    assert_int_equal(guest_isa(&c, file, sizeof file), ISA_X86_64);
    c.kind = KIND_AUTO;
    assert_int_equal(guest_isa(&c, file, sizeof file), ISA_AARCH64);
    assert_int_equal(guest_isa(&c, NULL, 0), ISA_COUNT);
}

/* As Debian's xen-hypervisor-4.17-arm64 has it: an Image whose first section is .reloc. */
static void test_xen(void **state)
{
    struct guest_config c = { .isa = ISA_COUNT, .kind = KIND_AUTO };
    char why[200] = "";

    (void)state;
    put(0, "MZ", 2), put(56, "ARM\x64\x40", 5), put(0x40, "PE\0\0\x64\xaa\2\0", 8);
    put(0x54, "\xa0", 1), put(0xf8, ".reloc", 6), put(0x120, ".text", 5);
    put(60000, "\nXen version %d.%d%s (%s %s)", 28);
    assert_true(kernel_problem(&c, file, sizeof file, why, sizeof why));
    assert_non_null(strstr(why, "EL2 is not given"));
    assert_false(kernel_problem(&c, file, 60000, why, sizeof why));
    put(0xf8, ".texts", 6); /* Linux */
    assert_false(kernel_problem(&c, file, sizeof file, why, sizeof why));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_linux, setup),      cmocka_unit_test_setup(test_inside, setup),
        cmocka_unit_test_setup(test_containers, setup), cmocka_unit_test_setup(test_guest, setup),
        cmocka_unit_test_setup(test_xen, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
