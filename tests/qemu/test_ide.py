# SPDX-License-Identifier: BSD-2-Clause
"""A guest on an IDE disk of the machine: under QEMU (SVM) on a PC of the i440FX kind, under Bochs
(VMX). The stick is such a disk, too."""
import hashlib

import pytest

import bochs
import trivet
from test_nvme import by_name

CONFIG = "[host]\nlog = info\n" + trivet.section(
    "user", "virtio", cmdline="x", memory="64M", debug_exit="yes", autostart="no", disk="ide1")
SIZE = 16 * bochs.CYLINDER


def qemu(image, path):
    return trivet.Machine(image, options=("--disk", "ahci"), arguments=(
        "-M", "pc", "-drive", f"if=none,format=raw,snapshot=off,id=d,file={path}",
        "-device", "ide-hd,bus=ide.1,drive=d,serial=data"))


def intel(image, path):
    return bochs.Bochs(image, second=path)


@pytest.mark.parametrize("kind", (qemu, intel), ids=("svm", "vmx"))
def test_a_guest_on_an_ide_disk(kind, tmp_path):
    path = str(tmp_path / "data.img")
    with open(path, "wb") as out:
        out.truncate(SIZE)
    image = trivet.make_image(CONFIG, {"virtio": trivet.guest_file("virtio")})
    with kind(image, path) as machine:
        machine.boot(240)
        disks = machine.cmd("disks")
        rows = by_name(disks["disks"])
        assert {"ide0", "ide1"} <= rows.keys(), disks
        assert by_name(disks["partitions"])["ide0p1"]["holders"] == "Trivet (reads)"
        machine.pass_guest("user", 120)
        disks = machine.cmd("disks")
        traffic = by_name(disks["traffic"])["ide1"]
        assert traffic["flushes"] > 0 and traffic["written_bytes"] > 1 << 20, traffic
        assert not any(row["errors"] for row in disks["disks"]), disks
    with open(path, "rb") as disk:      # what was written is in the machine's disk
        assert hashlib.md5(disk.read()).digest() != hashlib.md5(bytes(SIZE)).digest()
