# SPDX-License-Identifier: BSD-2-Clause
"""Devices of the machine in guests, behind Intel's IOMMU: Debian on an NVMe disk of its own beside
a guest with a NIC of its own, and a guest that has its device reach for memory that is not its own:
nothing changes, and the log says who did what. Without the IOMMU the same attempt succeeds."""
import mmap
import os
import re
import time

import pytest

import trivet
from hostile import wait_output
from test_debian import Shell, wait_ready

MIB = 1 << 20
ATTACKER = 16 * MIB                     # of memory
PATTERN = b"victim's pattern" * 8       # of hostile-dma's
# a text of Trivet's that is used in no test: what overwrites it does no further harm
TEXT = b"look for a newer firmware"
CHUNK = 64
GUESTS = {"attacker": {"memory": "16M", "debug_exit": "yes", "passthrough": "1234:11e8"},
          "victim": {"memory": "64M", "debug_exit": "yes", "cmdline": "victim"}}
PORTS = tuple(word for port in (1, 2, 3, 4)
              for word in ("-device", f"pcie-root-port,id=rp{port},chassis={port}"))
EDU = "edu,dma_mask=0xffffffffff"
IOMMU, TELLS = "intel-iommu,intremap=on", True  # TELLS: what is refused is recorded
# what the machine has besides, where QEMU puts edu and the NVMe disk, and where they are
BUSES, EDU_ON, NVME_ON, EDU_AT, NVME_AT = PORTS, "bus=rp1", "bus=rp2", "01:00.0", "02:00.0"
NIC_ON, OLD_NIC_ON, NIC_AT = "bus=rp3", "bus=rp4", "03:00.0"
UNRESET = {}                            # further keys of guests whose devices nothing may reset


def config(**attacker):
    guests = {**GUESTS, "attacker": {**GUESTS["attacker"], **attacker}}
    return "[host]\nlog = info\n" + "".join(
        trivet.section(name, "hostile-dma", autostart="no", **keys)
        for name, keys in guests.items())


def files(*names):
    debian = trivet.debian_files() if names else {}
    return {"hostile-dma": trivet.guest_file("hostile-dma"),
            **{name: debian[name] for name in names}}


def memory(machine, at=0, size=768 * MIB):
    """The machine's own memory, as its memory chips hold it."""
    path = os.path.join(machine.folder, "memory")
    assert "return" in machine.qmp("pmemsave", val=at, size=size, filename=path)
    return path


def places(machine, *what):
    """Addresses of each of these byte strings."""
    path, found = memory(machine), []
    with open(path, "rb") as data, mmap.mmap(data.fileno(), 0, access=mmap.ACCESS_READ) as ram:
        for text in what:
            at, here = -1, []
            while (at := ram.find(text, at + 1)) >= 0 and len(here) < 2:
                here.append(at)
            found.append(here)
    os.remove(path)
    return found


def peek(machine, at):
    path = memory(machine, at, CHUNK)
    with open(path, "rb") as data:
        return data.read()


def start(machine):
    for name in ("victim", "attacker"):
        machine.cmd(f"start {name}")
    wait_output(machine, "victim", "ready", 30)
    return int(wait_output(machine, "attacker", r"ready ([0-9a-f]+)", 30)[1], 16)


def wait_log(machine, text):
    """Lines of the log come between answers."""
    end = time.monotonic() + 60 * machine.patience
    while not any(text in line for line in machine.logs):
        assert time.monotonic() < end, f"{text!r} is not in the log"
        machine.cmd("list")


class Device:
    """The attacker's device, told over the guest's console what to copy: attached while in use."""

    def __init__(self, machine):
        self.machine = machine

    def __enter__(self):
        self.machine.send("console attacker\r")
        self.machine.expect(r"\[console attacker[^\n]*\n", 10)
        self.machine.quiet(0.5)
        return self

    def __exit__(self, *_):
        self.machine.detach()

    def insist(self, source):
        """It reads there until it is cut off, and the guest is told."""
        self.machine.send(f"r {source:x}\r")
        self.machine.expect(r"\[Trivet: PCI \S+ is cut off from this guest's memory: too many", 30)
        self.machine.expect(r"insisted\r?\n", 30)

    def copy(self, source, to):
        """It copies 64 bytes; the first 8 of the guest's own buffer afterwards."""
        self.machine.send(f"c {source:x} {to:x}\r")
        found = self.machine.expect(f"copied {source:x} to {to:x}, own ([0-9a-f ]+)\r?\n", 20)
        return bytes(int(byte, 16) for byte in found[1].split())


def end(machine):
    """The victim looks at its memory; both guests go."""
    machine.send("console victim\r")
    machine.expect(r"\[console victim[^\n]*\n", 10)
    machine.send("x")
    machine.detach()
    return machine.wait_state("victim", ("off", "crashed"), 20)["exit_code"]


@pytest.fixture(scope="module", name="machine")
def make_machine(request, tmp_path_factory):
    rig, drive = request.module, tmp_path_factory.mktemp("nvme") / "own.img"
    with open(drive, "wb") as out:
        out.truncate(64 * MIB)
    conf = config(**rig.UNRESET) + trivet.section(
        "owner", "vmlinuz", initrd="initrd.img", cmdline="console=hvc0 quiet", memory="256M",
        passthrough="class:nvme")
    conf += trivet.section("talker", "own-nic", memory="16M", debug_exit="yes", autostart="no",
                           passthrough="8086:10d3")
    conf += trivet.section("old", "own-nic", memory="16M", debug_exit="yes", autostart="no",
                           passthrough="8086:100e", **rig.UNRESET)
    image = trivet.make_image(conf, {**files("vmlinuz", "initrd.img"),
                                     "own-nic": trivet.guest_file("own-nic")})
    with trivet.Machine(image, memory="768M", arguments=(
            "-device", rig.IOMMU, *rig.BUSES, "-device", f"{EDU},{rig.EDU_ON}",
            "-device", f"nvme,{rig.NVME_ON},serial=own,drive=o",
            "-drive", f"if=none,format=raw,snapshot=off,id=o,file={drive}",
            "-netdev", "user,id=n,restrict=on", "-device", f"e1000e,id=nic,netdev=n,{rig.NIC_ON}",
            "-netdev", "user,id=m,restrict=on", "-device", f"e1000,netdev=m,{rig.OLD_NIC_ON}",
    )) as machine:
        machine.drive = drive
        yield machine.boot()


def test_debian_has_an_nvme_disk_of_its_own(machine, request):
    wait_ready(machine, "owner")
    assert not [disk for disk in machine.cmd("disks")["disks"] if disk["name"].startswith("nvme")]
    with Shell(machine, "owner") as shell:
        shell.run("seq 200000 >/tmp/a; dd if=/tmp/a of=/dev/nvme0n1 bs=64k conv=fsync 2>/dev/null; "
                  "echo 3 >/proc/sys/vm/drop_caches")
        sums = re.findall(r"[0-9a-f]{32}", shell.run(
            "md5sum /tmp/a; head -c $(wc -c </tmp/a) /dev/nvme0n1 | md5sum"))
        assert len(sums) == 2 and sums[0] == sums[1]
        assert re.search(r"[1-9]\d* +PCI-MSI\S* +\d*-?edge +nvme0q1",
                         shell.run("grep nvme /proc/interrupts"))
    with open(machine.drive, "rb") as data:
        assert data.read(14) == b"1\n2\n3\n4\n5\n6\n7\n"
    machine.cmd("start talker")         # meanwhile another guest uses its NIC
    machine.cmd("start old")            # and one that has no interrupts but INTx
    for name in ("talker", "old"):
        assert machine.wait_state(name, ("off", "crashed"), 60)["exit_code"] == trivet.PASSED
    assert not machine.cmd("nics")["nics"]
    assert "passthrough" in machine.ask("vm save owner")["error"]
    machine.cmd("stop owner --force", 30)
    machine.wait_state("owner", ("off",), 30)
    assert machine.cmd(f"pci explain {request.module.NVME_AT}")["owner"] == "owner"


def test_errors_of_devices_are_told(machine, request):
    at = request.module.NIC_AT
    machine.qmp("human-monitor-command",
                **{"command-line": "pcie_aer_inject_error nic COMP_TIME"})
    wait_log(machine, f"PCI 0000:{at} (guest talker) reports an error: no answer to a request")
    assert "since Trivet started: 1, last: no answer" in str(machine.cmd(f"pci explain {at}"))


def test_a_device_reaches_no_memory_but_its_guests(machine, request):
    own = start(machine)
    assert "PASS own" in machine.tail("attacker")
    texts, patterns = places(machine, TEXT, PATTERN)
    assert texts and patterns
    assert patterns[0] >= ATTACKER, "an address that the attacker has, too"
    targets = [*texts, patterns[0]]
    kept = {at: peek(machine, at) for at in targets}
    with Device(machine) as device:
        for at in targets:
            assert device.copy(at, own) != kept[at][:8], f"it read {at:x}"
            device.copy(own, at)
    rig = request.module
    for what in ("read of", "write to") if rig.TELLS else ():
        for at in targets:
            wait_log(machine,
                     f"0000:{rig.EDU_AT} (guest attacker): {what} {at & ~0xfff:x} refused")
    if rig.TELLS:
        with Device(machine) as device:
            device.insist(targets[0])
            assert device.copy(targets[0], own) == b"\x5a" * 8, "its guest's memory changed"
        wait_log(machine, f"attacker: PCI 0000:{rig.EDU_AT} is cut off from this guest's memory")
    assert {at: peek(machine, at) for at in targets} == kept
    assert end(machine) == trivet.PASSED
    machine.cmd("reset attacker")       # the device is reset, and the guest's again
    wait_output(machine, "attacker", "(?s)PASS own.*ready.*PASS own.*ready", 30)
    machine.cmd("stop attacker --force", 30)
    machine.wait_state("attacker", ("off",), 30)


def test_without_an_iommu_it_is_refused_and_would_succeed():
    others = "".join(trivet.section(name, "hostile-dma", memory="16M", autostart="no",
                                    passthrough=what)
                     for name, what in (("careful", "02:00.0"), ("greedy", "00:1f.3")))
    conf = config(cmdline="unmapped", unsafe_passthrough="yes") + others
    with trivet.Machine(trivet.make_image(conf, files()), memory="768M", arguments=(
            *PORTS, "-device", f"{EDU},{EDU_ON}", "-device", f"edu,{NVME_ON}")) as machine:
        machine.boot()
        assert "cannot start with it: no IOMMU" in str(machine.cmd("pci explain 02:00.0"))
        assert "no IOMMU stands before 0000:02:00.0" in machine.ask("start careful")["error"]
        assert "cannot be kept apart from 0000:00:1f.2" in machine.ask("start greedy")["error"]
        start(machine)
        assert any("UNSAFE: 0000:01:00.0" in line for line in machine.logs)
        texts, patterns = places(machine, TEXT, PATTERN)
        with Device(machine) as device:
            device.copy(texts[0], patterns[0])
        assert peek(machine, patterns[0])[:len(TEXT)] == TEXT
        assert end(machine) == trivet.FAILED
