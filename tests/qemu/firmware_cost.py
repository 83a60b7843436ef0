# SPDX-License-Identifier: BSD-2-Clause
"""
What UEFI firmware takes from its first instruction to what GRUB's menu starts, by phase, for
tests/bench: the disk, QEMU's arguments, and the counts. OVMF is Debian's, unmodified; its phases
are told from outside, by what is executed where (counter.c):

  reset vector       code at the CPU's first address
  PEI                the first code in the volume that SEC unpacks to 8.125 MiB, where OVMF has it
  interrupts on      the first STI: a driver of DXE, which the CPU's own is among the first of
  GRUB               the entry of its program, which has a mark put before it
  started            a program of a mark alone, which GRUB's menu starts
"""
import os
import struct
import tempfile
import time

import test_uefi
import trivet

RESET, PEI, DXE, GRUB, STARTED = 1, 2, 3, 4, 5
MARKS = [RESET, PEI, DXE, GRUB, STARTED]
PHASES = ("SEC: to the first code of PEI", "PEI, DXE's first drivers", "DXE, BDS: to GRUB's entry",
          "GRUB: to what its menu starts")
VARS, CODE = "/usr/share/OVMF/OVMF_VARS_4M.fd", "/usr/share/OVMF/OVMF_CODE_4M.fd"
CONFIG = """[guest firmware]
firmware = uefi
disk = esp.img
memory = 256M
"""
MENU = test_uefi.SERIAL + """set timeout=0
menuentry started {
    chainloader /mark.efi
}
"""
ALIGN = 4096                            # of sections in memory
# offsets in a PE32+ file (Microsoft PE and COFF specification): from "PE\\0\\0" on
SECTIONS, OPTIONAL_SIZE, OPTIONAL = 6, 20, 24
ENTRY, IMAGE_SIZE, HEADERS_SIZE = OPTIONAL + 16, OPTIONAL + 56, OPTIONAL + 60
CODE_SECTION = 0x60000020               # code, executable, readable


def mark(number):
    """`nopl 0x5452NNNN(%rax)`"""
    return b"\x0f\x1f\x80" + struct.pack("<I", 0x5452 << 16 | number)


def section(name, size, at, file_size, file_at):
    return struct.pack("<8sIIIIIIHHI", name, size, at, file_size, file_at, 0, 0, 0, 0, CODE_SECTION)


def marked(program, number):
    """An EFI program with a mark before its first instruction, in a section of its own."""
    program = bytearray(program + bytes(-len(program) % 512))
    pe = struct.unpack_from("<I", program, 60)[0]
    count, = struct.unpack_from("<H", program, pe + SECTIONS)
    entry, = struct.unpack_from("<I", program, pe + ENTRY)
    size, headers = struct.unpack_from("<II", program, pe + IMAGE_SIZE)
    optional, = struct.unpack_from("<H", program, pe + OPTIONAL_SIZE)
    table, at = pe + OPTIONAL + optional + 40 * count, size + -size % ALIGN
    assert table + 40 <= headers and not any(program[table:table + 40]), "no room for a section"
    code = mark(number)
    code += b"\xe9" + struct.pack("<i", entry - (at + len(code) + 5))
    program[table:table + 40] = section(b".mark", len(code), at, 512, len(program))
    struct.pack_into("<H", program, pe + SECTIONS, count + 1)
    struct.pack_into("<I", program, pe + ENTRY, at)
    struct.pack_into("<I", program, pe + IMAGE_SIZE, at + ALIGN)
    return bytes(program) + code.ljust(512, b"\0")


def mark_alone(number):
    """An EFI program that is a mark, then returns success."""
    code = mark(number) + b"\x31\xc0\xc3"
    out = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64) + b"PE\0\0"
    out += struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, 240, 0x22)
    out += struct.pack("<HBBIIIII", 0x20b, 0, 0, 512, 0, 0, ALIGN, ALIGN)
    out += struct.pack("<QIIHHHHHHIIIIHHQQQQII", 0, ALIGN, 512, 0, 0, 0, 0, 0, 0, 0, 2 * ALIGN, 512,
                       0, 10, 0, 0, 0, 0, 0, 0, 16) + bytes(128)
    out += section(b".text", len(code), ALIGN, 512, 512)
    return out.ljust(512, b"\0") + code.ljust(512, b"\0")


def disk(folder):
    """An EFI system partition with GRUB, its menu, and what that starts."""
    with tempfile.TemporaryDirectory(dir=folder) as work:
        def put(name, data):
            path = os.path.join(work, name)
            with open(path, "wb") as out:
                out.write(data)
            return path

        early = put("early.cfg", b"set root=hd0,gpt1\nconfigfile /grub.cfg\n")
        grub = os.path.join(work, "grub.efi")
        test_uefi.run("grub-mkimage", "-O", "x86_64-efi", "-p", "/", "-o", grub, "-c", early,
                      *test_uefi.MODULES, "chain")
        with open(grub, "rb") as program:
            loader = put("BOOTX64.EFI", marked(program.read(), GRUB))
        return test_uefi.esp_disk("firmware-cost.disk", {
            "EFI/BOOT/BOOTX64.EFI": loader, "grub.cfg": put("grub.cfg", MENU.encode()),
            "mark.efi": put("mark.efi", mark_alone(STARTED))})


def counter(out, own):
    """QEMU's arguments: what is counted goes to the file `out`."""
    return ["-plugin", f"file={trivet.guest_file('counter.so')},out={out},own={own},"
                       f"begin={RESET}:fffffff0-100000000,first={PEI}:820000-900000,sti={DXE}"]


def alone(disk_file, out, own):
    """QEMU's command for the same firmware on a machine like the guest's."""
    variables = out + ".vars"
    with open(VARS, "rb") as source, open(variables, "wb") as copy:
        copy.write(source.read())
    return ["qemu-system-x86_64", "-M", "q35", "-cpu", "EPYC-v3", "-accel", "tcg", "-smp", "1",
            "-m", "256M", "-nodefaults", "-display", "none", "-serial", "null", "-icount",
            "shift=0,sleep=off", "-rtc", "base=2026-01-01T00:00:00,clock=vm", "-seed", "42",
            "-drive", f"if=pflash,format=raw,readonly=on,file={CODE}",
            "-drive", f"if=pflash,format=raw,file={variables}",
            "-device", "virtio-serial-pci", "-device", "virtio-rng-pci",
            "-drive", f"if=none,id=esp,format=raw,snapshot=on,file={disk_file}",
            "-device", "virtio-blk-pci,drive=esp", *counter(out, own)]


def counts(path, process, timeout):
    """[(instructions, Trivet's own among them)] of each phase, when the last has ended."""
    end = time.monotonic() + timeout
    while process.poll() is None and time.monotonic() < end:
        marks = []
        if os.path.exists(path):
            with open(path, encoding="ascii") as lines:
                marks = [[int(word) for word in line.split()] for line in lines
                         if line.endswith("\n")]
        if marks and marks[-1][0] == STARTED:
            begin = max(i for i, row in enumerate(marks) if row[0] == RESET)
            assert [row[0] for row in marks[begin:]] == MARKS, marks
            return [(b[1] - a[1], b[2] - a[2]) for a, b in zip(marks[begin:], marks[begin + 1:])]
        time.sleep(0.5)
    raise SystemExit(f"bench: the firmware did not come to GRUB's menu; {path} has what it passed")
