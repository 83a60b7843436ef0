# SPDX-License-Identifier: BSD-2-Clause
"""A guest on virtio disks of the machine: what it wrote and flushed survives the machine, and an
error of the disk is the guest's. The stick is such a disk, too."""
import re

import pytest

from test_ahci import by_serial
from test_debian import Shell
from test_nvme import (BAD_SECTOR, MIB, Rig, acknowledged, bad_drive, by_name, check_records,
                       data_start, digest, write_all, write_records)
import trivet


class VirtioRig(Rig):
    stick = "virtio"
    guests = {"keeper": {"disk": ["partlabel:data", "serial:large", "serial:bad,iops=20"],
                         "memory": "192M"}}

    def drives(self):
        keep = "if=none,format=raw,snapshot=off"
        return ("-drive", f"{keep},id=p,file={self.paths['parts']}",
                "-device", "virtio-blk-pci,drive=p,serial=parts",
                "-drive", f"{keep},id=l,file={self.paths['large']}",
                "-device", "virtio-blk-pci,drive=l,serial=large,logical_block_size=4096,"
                "physical_block_size=4096",
                *bad_drive(self.paths["bad"]), "-device", "virtio-blk-pci,drive=br,serial=bad")


@pytest.fixture(scope="module", name="rig")
def make_rig(tmp_path_factory):
    return VirtioRig(trivet.Machine, "vmlinuz", "initrd.img",
                     str(tmp_path_factory.mktemp("virtio")))


def test_what_was_flushed_survives_the_machine(rig):
    start = data_start(rig.paths["parts"])
    with rig.boot() as machine:
        disks = machine.cmd("disks")
        assert by_name(disks["disks"])["virtio0"]["holders"] == "Trivet (reads)"
        assert by_serial(disks)["large"]["block"] == 4096
        rig.start(machine, "keeper")
        with Shell(machine, "keeper") as shell:
            wanted = write_all(shell)
            assert "parts-p2" in shell.run("cat /sys/block/vda/serial")
            text = shell.run(f"dd if=/dev/vdc of=/dev/null bs=4k skip={BAD_SECTOR // 8} count=1; "
                             "dd if=/dev/vdc of=/dev/null bs=4k count=64 2>&1; echo ok", 60)
            assert "Input/output error" in text and "64+0 records in" in text, text
            text = shell.run("a=$(date +%s); dd if=/dev/vdc of=/dev/null bs=4k count=80 "
                             "iflag=direct 2>&1; echo took $(($(date +%s)-a)) s", 60)
            assert int(re.search(r"took (\d+) s", text).group(1)) >= 3, text
        disks = machine.cmd("disks")
        assert {serial for serial, disk in by_serial(disks).items() if disk["errors"]} == {"bad"}
        assert by_name(disks["traffic"])[by_serial(disks)["parts"]["name"]]["flushes"] > 0
        machine.send("console keeper\r")
        write_records(machine, 40)
        machine.close()                 # the power is gone
        numbers = acknowledged(machine)
    assert digest(rig.paths["parts"], start, 8 * MIB) == wanted
    assert digest(rig.paths["large"], 0, 8 * MIB) == wanted
    check_records(rig.paths["parts"], start, numbers)
