# SPDX-License-Identifier: BSD-2-Clause
"""
EFI programs of Debian's packages, each on the disk of a guest with UEFI firmware, used by its
serial console. The EFI shell is in the firmware itself: qemu/uefi. With Secure Boot, shim starts
Debian's signed GRUB, and that the signed kernel.
"""
import functools
import os

import strangers
import trivet
from test_uefi import SERIAL, esp_disk, run, start_with_state

PROGRAMS = ("grub", "systemd-boot", "ipxe")
CONFIG = "[host]\nlog = info\n" + "".join(
    f"[guest {name}]\nfirmware = uefi\ndisk = {name}.disk\nboot-menu = 0\n"
    "memory = 256M\nautostart = no\n"
    for name in PROGRAMS) + """[guest secure]
firmware = uefi
secure-boot = yes
disk = secure.disk
boot-menu = 0
memory = 512M
autostart = no
"""
ENTRY = "title Debian\nlinux /vmlinuz\ninitrd /initrd.img\noptions console=ttyS0 quiet\n"
SIGNED_GRUB = SERIAL + """set timeout=0
menuentry debian {
    linux /vmlinuz console=ttyS0
    initrd /initrd.img
}
"""
MACHINE_TYPE = functools.partial(start_with_state, trivet.Machine)
MACHINE = {"memory": "3G"}
UP = r"strangers: \d+ processor devices"
BOOT = "EFI/BOOT/BOOTX64.EFI"


def scratch(name, text):
    return trivet.scratch(name, text.encode("ascii"))


def grub_shell():
    """GRUB without a configuration: its shell, on the firmware's console. (With `terminal_input
    serial` the firmware reads the same UART, and takes some of what is typed.)"""
    path = os.path.join(trivet.WORK, "grub-shell.efi")
    run("grub-mkimage", "-O", "x86_64-efi", "-p", "/none", "-o", path, "-c",
        scratch("grub-shell.cfg", "# nothing\n"), "part_gpt", "fat", "normal", "ls", "echo", "halt")
    return path


@functools.lru_cache(maxsize=None)
def FILES():
    have = strangers.fetched({
        "systemd-boot": "systemd-boot/usr/lib/systemd/boot/efi/systemd-bootx64.efi",
        "ipxe": "ipxe/boot/ipxe.efi",
        "shim": "shim/usr/lib/shim/shimx64.efi.signed",
        "grub": "shim/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
        "vmlinuz": "cloud-main/vmlinuz", "initrd.img": "initrd.img"})
    linux = {name: have[name] for name in ("vmlinuz", "initrd.img")}
    disks = {
        "grub": {BOOT: grub_shell()},
        "systemd-boot": {BOOT: have["systemd-boot"], **linux,
                         "debian.conf": scratch("debian.conf", ENTRY),
                         "loader.conf": scratch("loader.conf", "timeout 30\n")},
        "ipxe": {BOOT: have["ipxe"]},
        "secure": {BOOT: have["shim"], "EFI/BOOT/grubx64.efi": have["grub"], **linux,
                   "grub.cfg": scratch("signed-grub.cfg", SIGNED_GRUB)}}
    where = {"debian.conf": "loader/entries/debian.conf", "loader.conf": "loader/loader.conf",
             "grub.cfg": "EFI/debian/grub.cfg"}
    return {f"{name}.disk": esp_disk(f"{name}.disk", {where.get(there, there): here
                                                      for there, here in files.items()}, mib=64)
            for name, files in disks.items()}


def begin(machine, name):
    machine.cmd(f"start {name}", 120)
    machine.send(f"console {name}\r")


def end(machine, name):
    machine.detach()
    machine.cmd(f"stop {name} --force", 60)


def test_grub_shell(machine):
    begin(machine, "grub")
    machine.expect(r"grub> ", 300, "no shell")
    machine.send("echo platform $grub_platform on $grub_cpu\r")
    machine.expect(r"platform efi on x86_64", 60, "it does not listen")
    machine.send("ls\r")
    machine.expect(r"\(hd0,gpt1\)", 60, "it has no disk")
    end(machine, "grub")


def test_systemd_boot(machine):
    """Its menu waits; a key starts Debian."""
    begin(machine, "systemd-boot")
    machine.expect(r"Debian.*Boot in ", 300, "no menu")
    machine.send("\r")
    machine.expect(UP, 300, "Debian does not come up")
    end(machine, "systemd-boot")


def test_ipxe(machine):
    begin(machine, "ipxe")
    machine.expect(r"Ctrl-B", 300, "it does not start")
    machine.send("\x02")
    machine.expect(r"iPXE> ", 120, "no shell")
    machine.send("echo ${platform} ${buildarch}\r")
    machine.expect(r"\nefi x86_64", 60, "it does not listen")
    end(machine, "ipxe")


def test_secure_boot(machine):
    """From the firmware to the kernel all is signed, and the kernel knows."""
    begin(machine, "secure")
    machine.expect(r"[Ss]ecure boot enabled", 400, "the kernel does not see Secure Boot")
    machine.expect(UP, 300, "Debian does not come up")
    end(machine, "secure")
