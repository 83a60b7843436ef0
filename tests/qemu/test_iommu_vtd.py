# SPDX-License-Identifier: BSD-2-Clause
"""A machine with Intel's IOMMU: a guest's disk and NIC work through it, and a device that is
nobody's reaches no memory. The same attempts without an IOMMU succeed."""
import os
import re
import time

import pytest

import gdbstub
import test_uplink
import trivet
from test_debian import Shell, wait_ready

IOMMU = "intel-iommu,intremap=on"
UNIT, TELLS = "vtd0", True              # TELLS: what is refused is recorded
UNMAPPING = "strict"
EDU = "edu,dma_mask=0xffffffffffff"     # a device that copies what it is told to
SECRET, TARGET = 0x50000000, 0x50001000         # in memory that nobody has
BUFFER, COPY = 0x40000, 0x600dbeef12345678
MIB = 1 << 20


def boot(conf, files, arguments, options=()):
    image = trivet.make_image(conf, files)
    path = os.path.join(trivet.WORK, f"gdb{os.getpid()}")
    machine = trivet.Machine(image, options=("--disk", "nvme", *options),
                             arguments=(*arguments, "-device", EDU,
                                        "-gdb", f"unix:{path},server=on,wait=off"))
    machine.gdb = path
    try:
        return machine.boot()
    except BaseException:
        machine.close()
        raise


@pytest.fixture(scope="module", name="rig")
def make_rig(request, tmp_path_factory):
    files = trivet.debian_files()
    disk = tmp_path_factory.mktemp("disk") / "d.img"
    disk.write_bytes(bytes(16 * MIB))
    conf = (f"[host]\nlog = info\niommu = {request.module.UNMAPPING}\n[net lan0]\nuplink = nic0\n"
            + trivet.section("inside", "vmlinuz", initrd="initrd.img", cmdline="console=hvc0 quiet",
                             memory="192M", net="lan0", disk="nvme1"))
    arguments = ("-device", request.module.IOMMU,
                 "-drive", f"if=none,format=raw,snapshot=off,id=d,file={disk}",
                 "-device", "nvme,serial=d,drive=d")
    with test_uplink.served(tmp_path_factory.mktemp("www")) as server:
        with boot(conf, {name: files[name] for name in ("vmlinuz", "initrd.img")}, arguments,
                  ("--nic", "e1000e")) as machine:
            wait_ready(machine, "inside")
            yield machine, *server


# ---- edu, by QEMU's gdb stub: what its owner could tell it ----

def find_edu(machine):
    """Where its configuration space and its registers are; its name."""
    tree = machine.qmp("human-monitor-command", **{"command-line": "info mtree"})["return"]
    ecam = int(re.search(r"([0-9a-f]{16})-[0-9a-f]{16}[^\n]*pcie-mmcfg", tree).group(1), 16)
    for dev in machine.qmp("query-pci")["return"][0]["devices"]:
        if (dev["id"]["vendor"], dev["id"]["device"]) == (0x1234, 0x11e8):
            slot = dev["slot"]
            return ecam + (slot << 15), dev["regions"][0]["address"], f"0000:00:{slot:02x}.0"
    raise AssertionError("no edu")


def copy(machine, registers, source, target, count, to_memory):
    with gdbstub.Stub(machine.gdb) as stub:
        stub.physical()
        for offset, value in ((0x80, source), (0x88, target), (0x90, count)):
            stub.poke(registers + offset, value)
        stub.poke(registers + 0x98, 3 if to_memory else 1)
        stub.leave()
    end = time.monotonic() + 20
    busy = 1
    while busy and time.monotonic() < end:
        time.sleep(0.1)
        with gdbstub.Stub(machine.gdb) as stub:
            stub.physical()
            busy = stub.peek(registers + 0x98) & 1
            stub.leave()
    assert not busy


def attack(machine):
    """Reads a secret and writes it elsewhere; what is there then."""
    space, registers, _ = find_edu(machine)
    with gdbstub.Stub(machine.gdb) as stub:
        stub.physical()
        stub.poke(space, stub.peek(space) & 0xffffffffffff | 6 << 32)     # bus master
        stub.poke(SECRET, COPY)
        stub.poke(TARGET, 0)
        stub.leave()
    copy(machine, registers, SECRET, BUFFER, 8, False)
    copy(machine, registers, BUFFER, TARGET, 8, True)
    with gdbstub.Stub(machine.gdb) as stub:
        stub.physical()
        there = stub.peek(TARGET)
        stub.leave()
    return there


def row(machine, at):
    return next(dev for dev in machine.cmd("iommu")["devices"] if dev["at"] == at)


# ---- tests ----

def work(machine, port, digest):
    with Shell(machine, "inside") as shell:
        assert test_uplink.fetch(shell, 0, port) == digest
        text = shell.run("dd if=/dev/urandom of=/tmp/x bs=1M count=8 2>/dev/null; "
                         "dd if=/tmp/x of=/dev/vda bs=64k conv=fsync 2>/dev/null; "
                         "echo 3 >/proc/sys/vm/drop_caches; "
                         "dd if=/dev/vda bs=1M count=8 2>/dev/null | md5sum; md5sum </tmp/x", 120)
    sums = re.findall(r"[0-9a-f]{32}", text)
    assert len(sums) == 2 and len(set(sums)) == 1, text


def test_disk_and_nic_work_through_it(rig, request):
    machine, port, digest = rig
    answer = machine.cmd("iommu")
    unit = answer["units"][0]
    assert unit["name"] == request.module.UNIT and unit["works"] and unit["irqs"], unit
    owners = {dev["owner"] for dev in answer["devices"]}
    assert {"the NVMe driver", "e1000e"} <= owners, owners
    assert answer["unmapping"] == request.module.UNMAPPING
    work(machine, port, digest)
    assert machine.cmd("iommu")["units"][0]["faults"] == 0
    assert all(nic["irq"] for nic in machine.cmd("nics")["nics"])


def test_a_device_of_nobodys_reaches_nothing(rig, request):
    machine, port, digest = rig
    at = find_edu(machine)[2]
    assert row(machine, at)["reaches"] == "nothing"
    assert attack(machine) == 0
    if request.module.TELLS:
        dev = row(machine, at)
        assert dev["faults"] == 2 and dev["last"].startswith(f"write to {TARGET:x}"), dev
        log = machine.text
        assert f"{at} (no owner): read of {SECRET:x} refused: the device has no owner" in log
        assert f"{at} (no owner): write to {TARGET:x} refused: the device has no owner" in log
    work(machine, port, digest)


def test_without_it_the_same_succeeds(request):
    if request.module.UNIT != "vtd0":
        return                          # once is enough: it is the same machine
    with boot("[host]\nlog = info\n", {}, ()) as machine:
        assert not machine.cmd("iommu")["units"]
        at = find_edu(machine)[2]
        assert row(machine, at)["reaches"] == "all memory"
        assert attack(machine) == COPY
