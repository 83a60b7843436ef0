/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * recognize.c: what a kernel's file is when it is none that can be started, and what to give
 * instead. Only headers are read.
 */
#include <hv/kernel.h>
#include <stdarg.h>
#include <stdio.h>

#include "kernel_file.h"

/* Linux Documentation/arch/x86/boot.rst */
enum {
    BZ_SECTS = 0x1f1,
    BZ_SYSSIZE = 0x1f4,
    BZ_FLAG = 0x1fe,
    BZ_MAGIC = 0x202,
    BZ_VERSION = 0x206
};
/* EFI zboot: how its payload is compressed, a name of up to 8 bytes */
enum { ZBOOT_METHOD = 24 };
/* PE/COFF: the header's offset; in it, sections and the size of what is between */
enum { PE_AT = 0x3c, PE_SECTIONS = 6, PE_OPTIONAL = 20, PE_HEADER = 24, PE_SECTION = 40 };

#define XEN_MOST (4 * MIB) /* of a file that is searched for Xen's mark */
#define GIVE_LINUX "give the Linux kernel itself (vmlinuz, bzImage or Image)"
#define MAGIC(off, s) off, sizeof(s) - 1, s

/* Files that no guest starts from, by what stands in them. */
static const struct {
    uint32_t off, n;
    const char *magic, *what;
} strangers[] = {
    { MAGIC(0, "P*M\x18"), "compressed with pzstd: unpack it with `zstd -d` and give the result" },
    { MAGIC(0, "\x04\"M\x18"), "compressed with lz4: unpack it with `lz4 -d` and give the result" },
    { MAGIC(0, "\x02!L\x18"), "compressed with lz4: unpack it with `lz4 -d` and give the result" },
    { MAGIC(0, "BZh"), "compressed with bzip2: unpack it with `bzip2 -d` and give the result" },
    { MAGIC(0, "\x89LZO\0\r\n"),
      "compressed with lzop: unpack it with `lzop -d` and give the result" },
    { MAGIC(0, "]\0\0"), "compressed with lzma: unpack it with `xz -d` and give the result" },
    { MAGIC(0, "PK\x03\x04"), "a zip archive: unpack it and " GIVE_LINUX },
    { MAGIC(0, "!<arch>\n"), "a Debian package or an archive: unpack it and " GIVE_LINUX },
    { MAGIC(0, "\xed\xab\xee\xdb"), "an RPM package: unpack it and " GIVE_LINUX },
    { MAGIC(257, "ustar"), "a tar archive: unpack it and " GIVE_LINUX },
    { MAGIC(0, "07070"), "a cpio archive, perhaps an initrd: give it as `initrd`" },
    { MAGIC(0, "'\x05\x19V"), "a U-Boot uImage: " GIVE_LINUX " without U-Boot's header" },
    { MAGIC(0, "\xd0\r\xfe\xed"), "a device tree or a U-Boot FIT image: " GIVE_LINUX },
    { MAGIC(0, "ANDROID!"), "an Android boot image: " GIVE_LINUX },
    { MAGIC(40, "_FVH"), "a firmware image (UEFI): give it as `firmware`, without a `kernel`" },
    { MAGIC(0x24, "\x18(o\x01"), "a 32-bit ARM kernel (zImage): ARM64 guests are 64-bit only" },
    { MAGIC(0, "QFI\xfb"),
      "a qcow2 disk: convert it with `qemu-img convert -O raw` and give it as `disk`" },
    { MAGIC(0, "KDMV"),
      "a VMDK disk: convert it with `qemu-img convert -O raw` and give it as `disk`" },
    { MAGIC(0, "hsqs"), "a squashfs file system: give it as `disk`" },
    { MAGIC(0x8001, "CD001"),
      "a CD image: give it as `disk = FILE,ro`, and its kernel as `kernel`" },
    { MAGIC(512, "EFI PART"), "a disk image: give it as `disk`, and a kernel as `kernel`" },
    { MAGIC(0, "#!"), "a script, not a kernel: " GIVE_LINUX },
};

static bool recognize_say(char *why, size_t n, const char *fmt, ...) printf_like(3, 4);
static bool recognize_say(char *why, size_t n, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, n, fmt, ap);
    va_end(ap);
    return true;
}

static bool stranger(const struct kernel_file *f, char *why, size_t n)
{
    for (size_t i = 0; i < ARRAY_SIZE(strangers); i++)
        if (kernel_file_has(f, strangers[i].off, strangers[i].magic, strangers[i].n))
            return recognize_say(why, n, "%s", strangers[i].what);
    return false;
}

/* ---- cut short ---- */

static bool cut_bzimage(const struct kernel_file *f, char *why, size_t n)
{
    uint64_t sects = kernel_file_get(f, BZ_SECTS, 1), units = kernel_file_get(f, BZ_SYSSIZE, 4),
             want;

    if (kernel_file_get(f, BZ_FLAG, 2) != 0xaa55 || !kernel_file_has(f, BZ_MAGIC, "HdrS", 4) ||
        kernel_file_get(f, BZ_VERSION, 2) < 0x204)
        return false;
    want = ((sects ? sects : 4) + 1) * 512 + units * 16;
    if (f->len + 15 >= want) /* syssize is rounded up */
        return false;
    return recognize_say(why, n, "cut short: %llu bytes, and its header says %llu; copy it again",
                         (unsigned long long)f->len, (unsigned long long)want);
}

/*
 * Where the last section of a PE file ends. An ARM64 Image's own size counts memory that is not in
 * the file.
 */
static uint64_t pe_end(const struct kernel_file *f)
{
    uint64_t pe = kernel_file_get(f, PE_AT, 4), end = 0, at;

    if (!kernel_file_has(f, 0, "MZ", 2) || !kernel_file_has(f, pe, "PE\0\0", 4))
        return 0;
    at = pe + PE_HEADER + kernel_file_get(f, pe + PE_OPTIONAL, 2);
    for (unsigned i = kernel_file_get(f, pe + PE_SECTIONS, 2); i && end < UINT32_MAX;
         i--, at += PE_SECTION)
        end =
            max_u64(end, (uint64_t)kernel_file_get(f, at + 16, 4) + kernel_file_get(f, at + 20, 4));
    return end;
}

static bool cut_image(const struct kernel_file *f, char *why, size_t n)
{
    uint64_t want = pe_end(f);

    if (!kernel_file_has(f, 56, "ARM\x64", 4) || f->len >= want)
        return false;
    return recognize_say(why, n, "cut short: %llu bytes, and its header says %llu; copy it again",
                         (unsigned long long)f->len, (unsigned long long)want);
}

/* ---- other machines ---- */

static bool other_elf(const struct kernel_file *f, enum isa isa, char *why, size_t n)
{
    static const struct {
        uint32_t machine;
        const char *name;
    } known[] = { { EM_386, "x86 (32-bit)" },
                  { EM_X86_64, "x86-64" },
                  { EM_AARCH64, "ARM64" },
                  { EM_ARM, "32-bit ARM" },
                  { EM_RISCV, "RISC-V" } };
    uint32_t machine = kernel_file_get(f, 18, 2);
    const char *name = "another machine";

    if (!kernel_file_has(f, 0,
                         "\x7f"
                         "ELF",
                         4))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (known[i].machine == machine)
            name = known[i].name;
    if (isa == ISA_X86_64 && (machine == EM_386 || machine == EM_X86_64))
        return false;
    if (isa == ISA_AARCH64 && machine == EM_AARCH64)
        return recognize_say(
            why, n,
            "an ELF file for ARM64 (vmlinux?): give the Image made of it (`objcopy -O binary`)");
    if (isa == ISA_RISCV64 && machine == EM_RISCV)
        return recognize_say(
            why, n,
            "an ELF file for RISC-V (vmlinux?): give the Image made of it (`objcopy -O binary`)");
    if (isa == ISA_COUNT)
        return recognize_say(why, n, "an ELF file for %s, which Trivet does not run", name);
    return recognize_say(why, n, "an ELF file for %s; this guest is for %s", name, isa_names[isa]);
}

static bool efi_program(const struct kernel_file *f, char *why, size_t n)
{
    uint64_t pe = kernel_file_get(f, PE_AT, 4);

    if (!kernel_file_has(f, 0, "MZ", 2) || !kernel_file_has(f, pe, "PE\0\0", 4) ||
        kernel_file_has(f, 4, "zimg", 4) || kernel_file_has(f, 56, "ARM\x64", 4) ||
        kernel_file_has(f, 56, "RSC\x05", 4) || kernel_file_has(f, BZ_MAGIC, "HdrS", 4))
        return false;
    return recognize_say(
        why, n, "an EFI program: " GIVE_LINUX ", or a disk that holds it, with `firmware = uefi`");
}

/*
 * Xen's file looks like an Image, but for its first section, and says its version in the format of
 * one line. It would wait for EL2 without a word.
 */
static bool xen_arm64(const struct kernel_file *f, char *why, size_t n)
{
    static const char banner[] = "Xen version %d.%d%s";
    uint64_t pe = kernel_file_get(f, PE_AT, 4), end = min_u64(f->len, XEN_MOST),
             section = pe + PE_HEADER + kernel_file_get(f, pe + PE_OPTIONAL, 2);
    bool found = false;

    if (!kernel_file_has(f, 56, "ARM\x64", 4) || !kernel_file_has(f, section, ".reloc", 6))
        return false;
    for (uint64_t at = section; !found && at + sizeof banner <= end; at++)
        found = f->at[at] == 'X' && kernel_file_has(f, at, banner, sizeof banner - 1);
    return found && recognize_say(why, n,
                                  "Xen: EL2 is not given, which it needs; give its guests' kernels "
                                  "to guests of Trivet");
}

static bool wrong_linux(const struct kernel_file *f, enum isa isa, char *why, size_t n)
{
    enum isa is =
        kernel_file_has(f, 56, "ARM\x64", 4)   ? ISA_AARCH64
        : kernel_file_has(f, 56, "RSC\x05", 4) ? ISA_RISCV64
        : kernel_file_get(f, BZ_FLAG, 2) == 0xaa55 && kernel_file_has(f, BZ_MAGIC, "HdrS", 4)
            ? ISA_X86_64
            : ISA_COUNT;

    if (is == ISA_COUNT || is == isa || isa == ISA_COUNT)
        return false;
    return recognize_say(why, n, "a Linux kernel for %s; this guest is for %s", isa_names[is],
                         isa_names[isa]);
}

/* ARM64's and riscv64's Image may be compressed; a bzImage unpacks itself. */
static bool packed_for_x86(const struct kernel_file *f, enum isa isa, char *why, size_t n)
{
    const char *by = kernel_packed_by(f->at, f->len);

    return by && isa == ISA_X86_64 &&
           recognize_say(why, n, "compressed with %s: unpack it with `%s -d` and give the result",
                         by, by);
}

/* Linux drivers/firmware/efi/libstub/zboot-header.S */
static bool odd_zboot(const struct kernel_file *f, char *why, size_t n)
{
    static const char *const known[] = { "gzip", "zstd", "xz" };

    if (!kernel_file_has(f, 0, "MZ", 2) || !kernel_file_has(f, 4, "zimg", 4))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (kernel_file_has(f, ZBOOT_METHOD, known[i], strlen(known[i])))
            return false;
    return recognize_say(why, n,
                         "an EFI zboot file compressed with %.8s: give the Image that it was made "
                         "of, or gzip, zstd or xz in its place",
                         f->len >= ZBOOT_METHOD + 8 ? (const char *)f->at + ZBOOT_METHOD : "");
}

bool kernel_problem(const struct guest_config *c, const void *data, uint64_t len, char *why,
                    size_t n)
{
    struct kernel_file f = { data, len };
    enum isa isa = guest_isa(c, data, len);

    if (len == 0)
        return recognize_say(why, n, "the file is empty");
    if (c->kind == KIND_FLAT)
        return false;
    return stranger(&f, why, n) || packed_for_x86(&f, isa, why, n) || odd_zboot(&f, why, n) ||
           other_elf(&f, isa, why, n) || wrong_linux(&f, isa, why, n) || xen_arm64(&f, why, n) ||
           efi_program(&f, why, n) || cut_bzimage(&f, why, n) || cut_image(&f, why, n);
}

bool firmware_problem(const struct guest_config *c, const void *data, uint64_t len, char *why,
                      size_t n)
{
    static const struct {
        uint32_t off, n;
        const char *magic, *what;
    } known[] = {
        { MAGIC(0, "\x7f"
                   "ELF"),
          "an ELF file: give the binary made of it, such as OpenSBI's fw_dynamic.bin" },
        { MAGIC(40, "_FVH"), "UEFI firmware, which riscv64 guests do not take: give OpenSBI's "
                             "fw_dynamic.bin, and U-Boot as `kernel`" },
        { MAGIC(56, "RSC\x05"), "a Linux kernel: give it as `kernel`, with firmware or without" },
        { MAGIC(0, "\xd0\r\xfe\xed"), "a device tree or a U-Boot FIT image: give the program" },
        { MAGIC(0, "\x1f\x8b"), "compressed with gzip: unpack it with `gzip -d`" },
    };
    struct kernel_file f = { data, len };

    if (c->isa != ISA_RISCV64)
        return false;
    if (len == 0)
        return recognize_say(why, n, "the file is empty");
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (kernel_file_has(&f, known[i].off, known[i].magic, known[i].n))
            return recognize_say(why, n, "%s", known[i].what);
    return false;
}
