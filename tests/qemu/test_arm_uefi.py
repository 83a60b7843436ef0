# SPDX-License-Identifier: BSD-2-Clause
"""
What test_uefi shows on x86, on ARM64 with Debian's AAVMF: the EFI shell with its variables, and
Debian's kernel, which the shell starts from a disk as the EFI program that it is, with ACPI tables.
With the device tree: guests-from-debian/uefi_tree.
"""
import functools
import os
import tempfile

import trivet
from test_uefi import (DAMAGED, SHELL, USER_DATA, esp_disk, shows_its_machine,  # noqa: F401
                       start_with_state, test_shell_and_variables,
                       test_variables_outlive_a_power_cut, test_log_is_in_the_volume,
                       test_damaged_firmware)

CONFIG = SHELL + DAMAGED + """[host]
log = info
[guest acpi]
firmware = uefi
smbios.product = Web server
disk = esp.img,ro
memory = 256M
vcpus = 2
autostart = no
[guest small]
firmware = uefi
memory = 64M
autostart = no
"""
START = "echo Starting it.\nfs0:\nvmlinuz initrd=initrd.img console=ttyAMA0 quiet\n"
MACHINE_TYPE = functools.partial(start_with_state, trivet.ArmMachine)


@functools.lru_cache(maxsize=None)
def FILES():
    debian = trivet.debian_files()
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, "startup.nsh")
        with open(script, "w", encoding="ascii") as out:
            out.write(START)
        files = {"startup.nsh": script, "vmlinuz": debian["vmlinuz-arm64"],
                 "initrd.img": debian["initrd-arm64.img"]}
        return {"user.yaml": trivet.scratch("user.yaml", USER_DATA), "disk.img": trivet.disk(),
                "esp.img": esp_disk("esp-arm64.disk", files, mib=64)}


def starts_debian(machine, guest, described_by, cpus, more=lambda *_: None):
    machine.cmd(f"start {guest}", 60)
    machine.send(f"console {guest}\r")
    machine.expect(r"Starting it", 120, "the shell does not come up")
    machine.expect(r"trivet guest ready", 240, "Debian does not come up")
    machine.expect(r"debian:\S*# ", 60, "no prompt")
    machine.quiet(0.5, 10)
    machine.send("cd /sys/firmware; ls -d acpi/tables devicetree/base 2>&- ; nproc; cd\r")
    machine.expect(rf"\n{described_by}\r\n{cpus}\r\n", 60, "another machine")
    machine.quiet(0.5, 10)
    machine.send("dd if=/dev/vda of=/dev/null bs=64k count=9 && echo it is rea''d\r")
    machine.expect(r"it is read\r", 60, "its disk cannot be read")
    more(machine, guest)
    machine.detach()
    assert not [line for line in machine.logs if "cannot" in line]
    machine.cmd(f"stop {guest} --force", 30)


def test_debian_by_acpi(machine):
    starts_debian(machine, "acpi", "acpi/tables", 2, shows_its_machine)


def test_too_little_memory(machine):
    answer = machine.ask("start small", 30)
    assert not answer["ok"] and "needs at least 128M" in answer["error"], answer
