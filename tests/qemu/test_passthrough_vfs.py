# SPDX-License-Identifier: BSD-2-Clause
"""Virtual functions (SR-IOV) in guests, behind Intel's IOMMU: an NVMe controller whose physical
function Trivet drives, and two Debian guests with one of its virtual functions each; and those of a
network card, which are far from it and need ARI. QEMU 10: older ones have neither."""
import re

import pytest

import trivet
from test_debian import Shell, wait_ready

MIB = 1 << 20
GUESTS = {"one": "0000:01:00.1", "two": "0000:01:00.2"}
NVME = ("nvme,serial=own,id=nv0,subsys=ss0,bus=rp1,sriov_max_vfs=2,sriov_vq_flexible=4,"
        "sriov_vi_flexible=2,max_ioqpairs=6,msix_qsize=5")


class VfMachine(trivet.Machine):
    before = trivet.QEMU10


@pytest.fixture(scope="module", name="machine")
def make_machine(tmp_path_factory):
    drive = tmp_path_factory.mktemp("nvme") / "shared.img"
    with open(drive, "wb") as out:
        out.truncate(64 * MIB)
    conf = "[host]\nlog = info\nvfs = 0000:01:00.0,2\nvfs = 8086:10c9,4\n" + "".join(
        trivet.section(name, "vmlinuz", initrd="initrd.img", cmdline="console=hvc0 quiet",
                       memory="192M", passthrough=at) for name, at in GUESTS.items())
    conf += trivet.section("greedy", "vmlinuz", autostart="no", passthrough="class:nvme")
    debian = trivet.debian_files()
    image = trivet.make_image(conf, {name: debian[name] for name in ("vmlinuz", "initrd.img")})
    with VfMachine(image, memory="1G", arguments=(
            "-device", "intel-iommu,intremap=on",
            "-device", "pcie-root-port,id=rp1,chassis=1",
            "-device", "pcie-root-port,id=rp2,chassis=2",
            "-device", "nvme-subsys,id=ss0", "-device", NVME,
            "-drive", f"if=none,format=raw,snapshot=off,id=o,file={drive}",
            "-device", "nvme-ns,drive=o,bus=nv0,shared=on",
            "-netdev", "user,id=u,restrict=on", "-device", "igb,netdev=u,bus=rp2,romfile=",
    )) as machine:
        machine.drive = drive
        yield machine.boot()


def explained(machine, at):
    return " ".join(line["text"] for line in machine.cmd(f"pci explain {at}")["sentences"])


def test_they_are_listed(machine):
    found = {device["address"]: device for device in machine.cmd("pci")["devices"]}
    card = [at for at, device in found.items() if device["id"] == "8086:10ca"]
    assert card == ["0000:02:10.0", "0000:02:10.2", "0000:02:10.4", "0000:02:10.6"]
    for at in (*GUESTS.values(), *card):
        assert found[at]["parent"].startswith("0000:00:")
        assert sum(device["group"] == found[at]["group"] for device in found.values()) == 1
    assert found["0000:01:00.0"]["owner"] == "trivet"
    assert found["0000:01:00.1"]["owner"] == "one"
    log = "\n".join(line["line"] for line in machine.cmd("log all")["lines"])
    assert "NVMe 0000:01:00.0: 2 of 2 virtual functions work" in log
    assert "PCI 0000:02:00.0: 4 virtual functions, from 0000:02:10.0 on" in log
    assert "It has 2 virtual functions (SR-IOV), and can have up to 2." in explained(
        machine, "01:00.0")
    assert "It is a virtual function of 0000:01:00.0." in explained(machine, "01:00.2")
    text = explained(machine, "02:10.2")
    assert "No driver of Trivet's serves the virtual functions of 0000:02:00.0" in text
    assert "A guest can have it: `passthrough = 0000:02:10.2`" in text


def write(shell, at, last):
    """What it has read back from the disk itself, at that MiB of it, is what it has written."""
    sums = re.findall(r"[0-9a-f]{32}", shell.run(
        f"seq {last} >/tmp/a; dd if=/tmp/a of=/dev/nvme0n1 bs=1M seek={at} conv=fsync 2>/dev/null;"
        "echo 3 >/proc/sys/vm/drop_caches; md5sum /tmp/a;"
        f"dd if=/dev/nvme0n1 bs=1M skip={at} 2>/dev/null | head -c $(wc -c </tmp/a) | md5sum"))
    assert len(sums) == 2 and sums[0] == sums[1]


def test_two_guests_have_one_each(machine):
    for name in GUESTS:
        wait_ready(machine, name)
    for number, name in enumerate(GUESTS):
        with Shell(machine, name) as shell:
            write(shell, 16 * number, 200000 + number)
            assert re.search(r"[1-9]\d* +PCI-MSI\S* +\d*-?edge +nvme0q",
                             shell.run("grep nvme /proc/interrupts"))
    with open(machine.drive, "rb") as data:
        for number in range(len(GUESTS)):
            data.seek(16 * number * MIB)
            assert data.read(14) == b"1\n2\n3\n4\n5\n6\n7\n"
    assert [disk["name"] for disk in machine.cmd("disks")["disks"]
            if disk["name"].startswith("nvme")], "the physical function is Trivet's"
    assert not [line for line in machine.logs if "refused" in line]


def test_one_is_reset_and_the_other_goes_on(machine):
    machine.cmd("stop one --force", 30)
    machine.wait_state("one", ("off",), 30)
    with Shell(machine, "two") as shell:
        write(shell, 16, 100000)
    machine.cmd("start one")
    wait_ready(machine, "one", before=1)
    with Shell(machine, "one") as shell:
        write(shell, 0, 100000)
    with Shell(machine, "two") as shell:
        write(shell, 16, 100001)


def test_the_physical_one_is_no_guests(machine):
    assert "no such device, or none that is free" in machine.ask("start greedy")["error"]
    assert "Trivet's driver NVMe works for 0000:01:00.0" in explained(machine, "01:00.0")
