# SPDX-License-Identifier: BSD-2-Clause
"""Guests on AHCI disks, on x86 and on ARM64: what they wrote and flushed survives the machine, and
an error of the disk is the guest's."""
import pytest

import trivet
from test_debian import Shell
from test_nvme import (BAD_SECTOR, MIB, Rig, acknowledged, bad_drive, by_name, check_records,
                       data_start, digest, throttle, write_all, write_records)

# On ARM64 the firmware has no driver for AHCI: the stick is elsewhere.
MACHINES = {"x86_64": (trivet.Machine, "vmlinuz", "initrd.img", "ahci"),
            "aarch64": (trivet.ArmMachine, "vmlinuz-arm64", "initrd-arm64.img", "virtio")}


class AhciRig(Rig):
    guests = {"keeper": {"disk": ["partlabel:data", "serial:large"], "memory": "192M"},
              "unlucky": {"disk": "serial:bad", "memory": "192M"}}

    def __init__(self, arch, folder):
        kind, kernel, initrd, self.stick = MACHINES[arch]
        self.arch = arch
        super().__init__(kind, kernel, initrd, folder)

    def drives(self):
        keep = "if=none,format=raw,snapshot=off"
        more, bus = (), "ide"           # q35 has a controller
        if self.arch == "aarch64":
            more, bus = ("-device", "ich9-ahci,id=sata"), "sata"
        return (*more, "-drive", f"{keep},id=p,file={self.paths['parts']}",
                "-device", f"ide-hd,bus={bus}.1,drive=p,serial=parts",
                "-drive", f"{keep},id=l,file={self.paths['large']}",
                "-device", f"ide-hd,bus={bus}.2,drive=l,serial=large",
                *bad_drive(self.paths["bad"]),
                "-device", f"ide-hd,bus={bus}.4,drive=br,serial=bad")


@pytest.fixture(scope="module", name="rig", params=MACHINES)
def make_rig(request, tmp_path_factory):
    return AhciRig(request.param, str(tmp_path_factory.mktemp("ahci")))


def by_serial(disks):
    return {disk["serial"]: disk for disk in disks["disks"]}


def test_what_was_flushed_survives_the_machine(rig):
    start = data_start(rig.paths["parts"])
    with rig.boot() as machine:
        disks = machine.cmd("disks")
        held = [part for part in disks["partitions"] if part["holders"] == "Trivet (reads)"]
        assert len(held) == 1, disks      # the stick
        assert by_serial(disks)["bad"]["unit"] == 4
        rig.start(machine, "keeper")
        with Shell(machine, "keeper") as shell:
            wanted = write_all(shell)
        disks = machine.cmd("disks")
        name = by_serial(disks)["parts"]["name"]
        assert by_name(disks["traffic"])[name]["flushes"] > 0
        assert not any(disk["errors"] for disk in disks["disks"])
        told = by_name(disks["health"])[name]
        assert told["celsius"] == 31 and told["media_errors"] is None, told   # QEMU's SMART data
        machine.send("console keeper\r")
        write_records(machine, 40)
        machine.close()                 # the power is gone
        numbers = acknowledged(machine)
    assert digest(rig.paths["parts"], start, 8 * MIB) == wanted
    assert digest(rig.paths["large"], 0, 8 * MIB) == wanted
    check_records(rig.paths["parts"], start, numbers)


def test_errors_and_a_disk_that_hardly_answers(rig):
    with rig.boot() as machine:
        rig.start(machine, "unlucky")
        with Shell(machine, "unlucky") as shell:
            text = shell.run(f"dd if=/dev/vda of=/dev/null bs=4k skip={BAD_SECTOR // 8} count=1; "
                             "dd if=/dev/vda of=/dev/null bs=4k count=64 2>&1; echo ok", 60)
            assert "Input/output error" in text and "64+0 records in" in text, text
        assert {serial for serial, disk in by_serial(machine.cmd("disks")).items()
                if disk["errors"]} == {"bad"}
        rig.start(machine, "keeper")
        throttle(machine, "p", 1)
        with Shell(machine, "keeper") as shell:
            text = shell.run("dd if=/dev/vda of=/dev/null bs=64k skip=99 count=2 2>&1; "
                             "dd if=/dev/vdb of=/dev/null bs=64k count=64 2>&1", 120)
            assert "2+0 records in" in text and "64+0 records in" in text, text
