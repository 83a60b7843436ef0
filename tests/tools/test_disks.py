# SPDX-License-Identifier: BSD-2-Clause
"""fio on NVMe, AHCI and virtio-blk disks of the machine, through a guest's virtio-blk with four
queues: blocks of mixed sizes, at several depths, each written, read again and verified by its
CRC-32C."""
import re

import pytest

import tools
import trivet
from test_debian import Shell, bring_up

DISKS = {"nvme": "nvme,serial=nvme", "ahci": "ide-hd,bus=ide.1,serial=ahci",
         "virtio": "virtio-blk-pci,serial=virtio"}
DEPTHS = (1, 8, 32)
SIZE = "24M"                            # of each of the four jobs
CONFIG = ("[host]\nlog = info\n"
          + trivet.section("fio", "vmlinuz", initrd="initrd.img", cmdline=tools.CMDLINE,
                           memory="512M", vcpus=4, autostart="no",
                           disk=["serial:tools,ro", *(f"serial:{name}" for name in DISKS)]))
BACKENDS = ("svm",)
FILES = tools.files
MACHINE = {"cpus": 2, "memory": "2G",
           "arguments": tools.drive("tools", tools.root(), "nvme,serial=tools")
           + tuple(word for name, device in DISKS.items()
                   for word in tools.drive(name, tools.blank(name), device))}


def job(disk, depth):
    """Four jobs, each in its own part of the disk."""
    return ("fio --output-format=terse --terse-version=3 --name=mixed --ioengine=libaio --direct=1 "
            f"--filename=/dev/vd{'bcd'[list(DISKS).index(disk)]} --rw=randwrite --numjobs=4 "
            f"--size={SIZE} --offset_increment={SIZE} --iodepth={depth} --thread "
            "--bssplit=512/10:4k/40:16k/20:64k/20:256k/10 --verify=crc32c --verify_fatal=1 "
            "--do_verify=1 --randrepeat=1 --group_reporting")


def rows(machine):
    """What `disks` says of the disk with a serial number."""
    disks = machine.cmd("disks")
    traffic = {row["name"]: row for row in disks["traffic"]}
    return {row["serial"]: {**traffic[row["name"]], **row} for row in disks["disks"]}


@pytest.mark.parametrize("disk", DISKS)
def test_fio(machine, disk):
    if machine.state("fio") != "running":
        bring_up(machine, "fio")
        with Shell(machine, "fio") as shell:
            tools.enter(shell)
    before = rows(machine)[disk]
    with Shell(machine, "fio") as shell:
        queues = shell.run(f"ls /sys/block/vd{'bcd'[list(DISKS).index(disk)]}/mq")
        assert re.findall(r"\d", queues) == list("0123"), queues
        for depth in DEPTHS:
            text = shell.run(f"chroot /mnt/disk {job(disk, depth)}", 600)
            found = re.search(r"^3;fio-[^\n]*", text, re.M)
            assert found, text
            fields = found[0].split(";")
            assert fields[4] == "0", text                    # its error
            print(f"{disk}, depth {depth}: {int(fields[5]) >> 10} MiB verified, "
                  f"{int(fields[46]) >> 10} MiB written, {fields[7]} and {fields[48]} a second")
        assert "I/O error" not in shell.run("dmesg")
    after = rows(machine)[disk]
    assert after["written_bytes"] - before["written_bytes"] >= len(DEPTHS) * 4 * (24 << 20), after
    assert after["read_bytes"] - before["read_bytes"] >= len(DEPTHS) * 4 * (24 << 20), after
    assert after["errors"] == after["timeouts"] == 0, after
