#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""images/check-config finds what is wrong: each file of wrong/ gives the line and the words that
EXPECTED says, each stranger among the kernels is told by name, and what is right passes.

Run as build/check-config by tests/run.
"""
import glob
import gzip
import os
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
CHECK = os.path.join(TOP, "images", "check-config")
PROGRAM = os.path.join(TOP, "build", "check-config")
WRONG = os.path.join(HERE, "wrong")


def check(conf, *files, command=(PROGRAM,)):
    """files: PATH=FILE; for the command of people, FILE[:DEST]."""
    done = subprocess.run([*command, conf, *files], capture_output=True, text=True, check=False,
                          errors="replace")
    return done.returncode, done.stdout + done.stderr


def expected():
    """[(file, "LINE: " or "", words)]"""
    with open(os.path.join(WRONG, "EXPECTED"), encoding="utf-8") as lines:
        for line in lines:
            name, number, words = line.rstrip("\n").split(":", 2)
            yield name, number, words.strip()


def wrong_files():
    known = list(expected())
    names = {name for name, _, _ in known}
    for path in glob.glob(os.path.join(WRONG, "*.conf")):
        if os.path.basename(path) not in names:
            yield f"{path}: EXPECTED does not say what is wrong with it"
    for name, number, words in known:
        path = os.path.join(WRONG, name)
        status, text = check(path)
        begin = f"{path}:{number}: " if number else f"{path}: "
        if status != 1 or not any(line.startswith(begin) and words in line
                                  for line in text.splitlines()):
            yield f"{name}: status {status}, want `{number}: ...{words}`:\n{text}"


def pe(machine, at=0x80):
    head = bytearray(at + 64)
    head[0:2], head[0x3c:0x40] = b"MZ", struct.pack("<I", at)
    head[at:at + 6] = b"PE\0\0" + struct.pack("<H", machine)
    return bytes(head)


def elf(machine):
    return b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HH", 2, machine) + bytes(100)


def at(offset, magic, size=65536):
    return (bytes(offset) + magic).ljust(size, b"\0")


def zboot(method):
    return b"MZ\0\0zimg" + bytes(16) + method.ljust(8, b"\0") + bytes(100)


def bzimage(size):
    head = bytearray(size)
    head[0x1f1], head[0x1f4:0x1f8] = 4, struct.pack("<I", 0x1000)
    head[0x1fe:0x200], head[0x202:0x208] = b"\x55\xaa", b"HdrS\x0f\x02"
    return bytes(head)


def image(size):
    """An ARM64 Image with the header of an EFI program, one section to 0x9000."""
    head = bytearray(pe(0xaa64))
    head[56:60] = b"ARM\x64"
    head[0x86:0x88], head[0x94:0x96] = struct.pack("<H", 1), struct.pack("<H", 16)
    head[0xa8:0xd0] = b".text\0\0\0" + struct.pack("<IIII", 0, 0, 0x8000, 0x1000) + bytes(16)
    return bytes(head).ljust(size, b"\0")


KERNELS = [     # (bytes, more of the section, what is said)
    (b"\xfd7zXZ\0" + bytes(60), "isa = x86_64\n", "compressed with xz: unpack it with `xz -d`"),
    (b"(\xb5/\xfd" + bytes(60), "kind = pvh\n",
     "compressed with zstd: unpack it with `zstd -d`"),
    (b"P*M\x18" + bytes(60), "", "compressed with pzstd"),
    (zboot(b"lz4"), "", "an EFI zboot file compressed with lz4: give the Image"),
    (zboot(b"lzma"), "", "an EFI zboot file compressed with lzma"),
    (b"\x04\"M\x18" + bytes(60), "", "compressed with lz4"),
    (b"\x02!L\x18" + bytes(60), "", "compressed with lz4"),
    (b"BZh91AY&SY", "", "compressed with bzip2"),
    (b"\x89LZO\0\r\n\x1a\n", "", "compressed with lzop"),
    (b"]\0\0\x80\0" + bytes(60), "", "compressed with lzma"),
    (b"PK\3\4" + bytes(60), "", "a zip archive"),
    (b"!<arch>\ndebian-binary", "", "a Debian package"),
    (b"\xed\xab\xee\xdb\3\0", "", "an RPM package"),
    (at(257, b"ustar"), "", "a tar archive"),
    (b"070701" + bytes(100), "", "give it as `initrd`"),
    (b"\x27\x05\x19\x56" + bytes(60), "", "uImage"),
    (b"\xd0\x0d\xfe\xed" + bytes(60), "", "FIT"),
    (b"ANDROID!" + bytes(60), "", "an Android boot image"),
    (at(40, b"_FVH"), "", "a firmware image"),
    (at(0x24, b"\x18\x28\x6f\x01"), "", "a 32-bit ARM kernel"),
    (b"QFI\xfb" + bytes(60), "", "qcow2"),
    (b"KDMV" + bytes(60), "", "VMDK"),
    (b"hsqs" + bytes(60), "", "squashfs"),
    (at(0x8001, b"CD001"), "", "a CD image"),
    (at(512, b"EFI PART"), "", "a disk image"),
    (b"#!/bin/sh\n", "", "a script"),
    (b"\x1f\x8b\x08" + bytes(60), "isa = x86_64\n", "compressed with gzip: unpack"),
    (b"\x1f\x8b\x08" + bytes(60), "kind = multiboot2\n", "compressed with gzip: unpack"),
    (gzip.compress(elf(62)), "", "compressed with gzip: unpack it with `gzip -d`"),
    (b"", "", "the file is empty"),
    (elf(40), "", "an ELF file for 32-bit ARM, which Trivet does not run"),
    (elf(183), "", "give the Image made of it"),
    (elf(183), "isa = x86_64\n", "an ELF file for ARM64; this guest is for x86_64"),
    (elf(62), "isa = aarch64\n", "an ELF file for x86-64; this guest is for aarch64"),
    (elf(243), "isa = x86_64\n", "an ELF file for RISC-V; this guest"),
    (elf(243), "isa = riscv64\n", "an ELF file for RISC-V (vmlinux?): give the Image"),
    (elf(8), "", "an ELF file for another machine"),
    (pe(0x8664), "", "an EFI program"),
    (pe(0xaa64), "", "an EFI program"),
    (bzimage(0x5000), "", "cut short: 20480 bytes, and its header says 68096"),
    (bzimage(0x10a00), "isa = aarch64\n", "a Linux kernel for x86_64; this guest is for aarch64"),
    (image(0x5000), "", "cut short: 20480 bytes, and its header says 36864"),
    (image(0x9000), "isa = x86_64\n", "a Linux kernel for aarch64; this guest is for x86_64"),
]
# Firmware of a riscv64 guest
FIRMWARE = [
    (elf(243), "an ELF file: give the binary made of it"), (at(40, b"_FVH"), "UEFI firmware"),
    (at(56, b"RSC\5"), "give it as `kernel`"), (b"\xd0\x0d\xfe\xed" + bytes(60), "FIT"),
    (b"\x1f\x8b\x08" + bytes(60), "compressed with gzip"), (b"", "the file is empty"),
    (bytes(64), None),
]
RIGHT = [
    (b"\xfd7zXZ\0" + bytes(60), ""), (b"(\xb5/\xfd" + bytes(60), "isa = riscv64\n"),
    (b"\x1f\x8b\x08" + bytes(60), ""), (zboot(b"zstd22"), ""), (gzip.compress(image(9)), ""),
    (zboot(b"xzkern"), ""),
    (zboot(b"gzip"), ""),
    (bzimage(0x10a00), ""), (bzimage(0x109f8), ""), (image(0x9000), ""), (elf(62), ""),
    (elf(3), ""), (b"\xfd7zXZ\0", "kind = flat\n"), (bytes(64), ""),
]


def kernels(folder):
    conf, kernel = os.path.join(folder, "t.conf"), os.path.join(folder, "k")
    cases = [("kernel", *case) for case in KERNELS]
    cases += [("kernel", data, more, None) for data, more in RIGHT]
    cases += [("firmware", data, "isa = riscv64\n", words) for data, words in FIRMWARE]
    for key, data, more, words in cases:
        with open(conf, "w", encoding="utf-8") as text:
            text.write(f"; a file\n[guest a]\n{key} = K ; it\n{more}")
        with open(kernel, "wb") as file:
            file.write(data)
        status, text = check(conf, f"K={kernel}")
        if words is None and status:
            yield f"{data[:16]!r} {more!r}: refused: {text}"
        elif words and (status != 1 or f"{conf}:3: " not in text or words not in text):
            yield f"{data[:16]!r} {more!r}: status {status}, want {words}: {text}"


def texts(folder):
    """Files that cannot stand in a folder of text files."""
    conf = os.path.join(folder, "t.conf")
    good = "[guest a]\nkernel = k\n"
    for data, words in ((good.encode("utf-16"), "1: this file is UTF-16"),
                        (good.encode("utf-16-be"), "1: this file is UTF-16"),
                        (good.encode() + b"memory = 1\0G\n", "3: a NUL byte"),
                        (b";" * (1 << 21), "longer than 1048576 bytes"),
                        (b"\xef\xbb\xbf" + good.encode(), None),
                        (good.replace("\n", "\r\n").encode(), None)):
        with open(conf, "wb") as file:
            file.write(data)
        status, text = check(conf)
        if (status == 0) != (words is None) or (words or "") not in text:
            yield f"{data[:20]!r}: status {status}, want {words}: {text}"
    with open(conf, "w", encoding="utf-8") as text:
        text.write(good + "disk = dir\\d.img\n" + "".join(f"module = m{i}\n" for i in range(2)))
    with open(os.path.join(folder, "k"), "wb") as file:
        file.write(bytes(64))
    status, text = check(conf, os.path.join(folder, "k"), f"{folder}/k:Dir/D.IMG", f"{folder}/k:m0",
                         command=(CHECK,))
    if status != 1 or f"{conf}:5: m1: this file is not given" not in text or \
            f"{conf}:3: disk dir\\d.img: 64 bytes: less than a sector" not in text or "m0" in text:
        yield f"missing files: status {status}: {text}"
    if check(os.path.join(folder, "none"))[0] != 2:
        yield "a configuration that is not there was not noticed"


def main():
    with tempfile.TemporaryDirectory() as folder:
        found = [*wrong_files(), *kernels(folder), *texts(folder)]
    print("\n".join(found) if found else
          f"{len(list(expected()))} wrong files, {len(KERNELS)} kernels that are none: all told")
    return len(found) > 0


if __name__ == "__main__":
    sys.exit(main())
