# SPDX-License-Identifier: BSD-2-Clause
"""
A guest that UEFI firmware starts from its own disk: Debian's OVMF finds GRUB on a FAT partition,
and GRUB starts Debian's kernel. A second guest has no disk, and comes to the EFI shell, where a
variable is set that is there after a reset.
"""
import functools
import os
import subprocess
import tempfile

import trivet

CONFIG = """[host]
log = info
[guest disk]
firmware = uefi
disk = esp.img
memory = 256M
vcpus = 2
autostart = no
[guest shell]
firmware = uefi
memory = 128M
autostart = no
[guest damaged]
firmware = esp.img
autostart = no
"""
GRUB = """serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
set timeout=0
echo "GRUB speaks: $grub_platform $grub_cpu"
menuentry debian {
    linux /vmlinuz console=ttyS0 quiet
    initrd /initrd.img
}
"""
MODULES = ("part_gpt", "fat", "normal", "configfile", "linux", "serial", "terminal", "echo")
START = 1 << 20


@functools.lru_cache(maxsize=None)
def esp_image():
    """A disk with one EFI system partition: GRUB, its configuration, kernel and initrd."""
    path = os.path.join(trivet.WORK, "esp.disk")
    debian = trivet.debian_files()
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("grub.cfg", GRUB), ("early.cfg", "set root=hd0,gpt1\n"
                                                             "configfile /grub.cfg\n")):
            with open(os.path.join(folder, name), "w", encoding="ascii") as out:
                out.write(text)
        program = os.path.join(folder, "BOOTX64.EFI")
        run("grub-mkimage", "-O", "x86_64-efi", "-p", "/", "-o", program, "-c",
            os.path.join(folder, "early.cfg"), *MODULES)
        with open(path, "wb") as image:
            image.truncate(START + (40 << 20) + START)
        run("/sbin/sfdisk", "-q", path, stdin="label: gpt\nstart=1MiB, size=40MiB, type=U\n")
        esp = f"{path}@@{START}"
        run("mformat", "-i", esp, "-F", "-T", str((40 << 20) // 512), "-h", "16", "-s", "63", "::")
        run("mmd", "-i", esp, "::/EFI", "::/EFI/BOOT")
        run("mcopy", "-i", esp, program, "::/EFI/BOOT/BOOTX64.EFI")
        for source in (os.path.join(folder, "grub.cfg"), debian["vmlinuz"], debian["initrd.img"]):
            run("mcopy", "-i", esp, source, "::/")
    return path


def run(*command, stdin=None):
    subprocess.run(command, input=stdin, text=True, check=True, capture_output=True, timeout=120,
                   env=dict(os.environ, MTOOLS_SKIP_CHECK="1"))


def FILES():
    return {"esp.img": esp_image()}


def test_disk_boots_by_grub(machine):
    machine.cmd("start disk", 60)
    machine.send("console disk\r")
    machine.expect(r"BdsDxe: starting Boot", 120, "the firmware starts nothing")
    machine.expect(r"GRUB speaks: efi x86_64", 60, "GRUB does not come up")
    machine.expect(r"trivet guest ready", 180, "Debian does not come up")
    machine.expect(r"debian:\S*# ", 60, "no prompt")
    machine.quiet(0.5, 10)
    machine.send("ls /sys/firmware\r")
    machine.expect(r"\befi\b", 60, "Linux was not started by EFI")
    machine.detach()
    assert not [line for line in machine.logs if "is taken" in line or "cannot" in line]
    machine.cmd("stop disk --force", 30)


def test_shell_and_variables(machine):
    """The EFI shell on the serial console; a variable is there again after a reset of the guest."""
    machine.cmd("start shell", 60)
    machine.send("console shell\r")
    machine.expect(r"UEFI Interactive Shell", 120, "no shell")
    machine.expect(r"any other key to continue", 30)
    machine.send("\r")
    machine.expect(r"Shell> ", 30)
    machine.send("setvar Kept -guid 5a2d2b6c-0f5e-4b57-9b59-7472697665ff -nv -bs =L\"stays\"\r")
    machine.expect(r"Shell> ", 30)
    machine.send("reset\r")
    machine.expect(r"UEFI Interactive Shell", 120, "no shell after the reset")
    machine.expect(r"any other key to continue", 30)
    machine.send("\r")
    machine.expect(r"Shell> ", 30)
    machine.send("setvar Kept -guid 5a2d2b6c-0f5e-4b57-9b59-7472697665ff\r")
    machine.expect(r"73 00 74 00 61 00 79 00 73 00", 30, "the variable is gone")
    machine.detach()
    info = machine.cmd("info shell")
    assert (info["resets"], info["firmware"], info["kernel"]) == (1, "uefi", "")
    machine.cmd("stop shell --force", 30)


def test_damaged_firmware(machine):
    answer = machine.ask("start damaged", 30)
    assert not answer["ok"] and "not UEFI firmware of edk2" in answer["error"], answer
