# SPDX-License-Identifier: BSD-2-Clause
"""ARM64 behind an SMMUv3, which blocks every device but for the buffers of Trivet's own drivers:
disks work, and what another device tries is refused and told, with its address. The other device is
QEMU's `edu`, whose registers the test writes past the CPU."""
import os
import time

import pytest

import gdbstub
import trivet
from trivet import ArmMachine, guest_file, make_image, section

MIB = 1 << 20
ECAM, SMMU_CR0, SMMU_GBPA = 0x4010000000, 0x9050020, 0x9050044  # QEMU's virt
ON, OFF = 0xd, 0xc                              # CR0 with SMMUEN, and without
ABORT, UPDATE = 1 << 20, 1 << 31                # of GBPA
EDU = ECAM + (1 << 20)                          # 0000:01:00.0: its port can reset it
# registers of edu (QEMU's docs/specs/edu): from, to, how much, go; its buffer
SOURCE, TARGET, COUNT, COMMAND, BUFFER = 0x80, 0x88, 0x90, 0x98, 0x40000
READ, WRITE = 1, 3                              # of memory
SECRET = 0x5ec4e75ec4e75ec4
TARGET_MEMORY = 0x90000800                      # that nobody has


def config(unmapping):
    text = f"[host]\nlog = info\niommu = {unmapping}\n"
    for name, disks in {"on-nvme": ["serial:nv", "serial:vd,ro"],
                        "on-virtio": ["serial:vd", "serial:nv,ro"]}.items():
        text += section(name, "virtio", kind="flat", isa="aarch64", cmdline="ro", memory="64M",
                        debug_exit="yes", autostart="no", disk=disks)
    return text + section("owner", "dma", kind="flat", isa="aarch64", memory="64M",
                          cmdline=f"at={TARGET_MEMORY:#x}", debug_exit="yes", autostart="no",
                          passthrough="1234:11e8")


# QEMU 7.2 has stage 1 alone; QEMU 10, beside it, has machines with stage 2 alone. One is described
# by ACPI, the other by a device tree.
STAGES = {"stage1": (1, [], [], True),
          "stage2": (2, trivet.QEMU10, ["-M", "virt-9.1", "-global", "arm-smmuv3.stage=2"], False)}
UNMAPPING = {1: "strict", 2: "deferred"}


class SmmuMachine(ArmMachine):
    """With an SMMU, an NVMe disk, a virtio disk that is behind it (VIRTIO_F_ACCESS_PLATFORM), and
    the device that attacks."""

    def __init__(self, folder, kind, **more):
        self.stage, self.before, kind_options, acpi = STAGES[kind]
        self.stub = os.path.join(folder, "gdb")
        for name in ("nv", "vd"):
            with open(os.path.join(folder, name), "wb") as out:
                out.truncate(MIB)
        drive = "if=none,format=raw,snapshot=off"
        super().__init__(
            make_image(config(UNMAPPING[self.stage]), {name: guest_file(os.path.join("arm", name))
                                  for name in ("virtio", "dma")}),
            arguments=(*kind_options, "-M", "iommu=smmuv3",
                       "-gdb", f"unix:{self.stub},server=on,wait=off",
                       "-drive", f"{drive},id=n,file={folder}/nv",
                       "-device", "nvme,serial=nv,drive=n",
                       "-drive", f"{drive},id=v,file={folder}/vd", "-device",
                       "virtio-blk-pci,serial=vd,drive=v,iommu_platform=on,disable-legacy=on",
                       "-device", "pcie-root-port,id=above,chassis=1",
                       "-device", "edu,bus=above,dma_mask=0xffffffffffffffff"),
            acpi=acpi, **more)


class Edu:
    """The machine stands still, and its physical memory is written past CPUs and SMMU."""

    def __init__(self, machine):
        self.machine = machine

    def __enter__(self):
        self.stub = gdbstub.Stub(self.machine.stub)
        assert self.stub.ask("Qqemu.PhyMemMode:1") == "OK"
        return self

    def __exit__(self, *_):
        self.stub.leave()
        self.stub.line.close()

    def get(self, at, size):
        return int.from_bytes(bytes.fromhex(self.stub.ask(f"m{at:x},{size:x}")), "little")

    def put(self, at, size, value):
        assert self.stub.ask(f"M{at:x},{size:x}:{value.to_bytes(size, 'little').hex()}") == "OK"

    def go(self, command, memory):
        """A transfer of 8 bytes between its buffer and memory; it takes 100 ms of the machine's
        time."""
        self.put(EDU + 4, 2, 6)         # memory and bus master, which Trivet had turned off
        bar = self.get(EDU + 0x10, 4) & ~15
        assert bar
        source, target = (memory, BUFFER) if command == READ else (BUFFER, memory)
        for register, value in ((SOURCE, source), (TARGET, target), (COUNT, 8),
                                (COMMAND, command)):
            self.put(bar + register, 8, value)


@pytest.fixture(scope="module", name="smmu", params=STAGES)
def make_machine(request, tmp_path_factory):
    with SmmuMachine(str(tmp_path_factory.mktemp("smmu")), request.param) as machine:
        yield machine.boot()


def test_it_is_found(smmu):
    assert f"IOMMU smmu0: SMMUv3; stage {smmu.stage}" in smmu.text
    assert "polled" not in smmu.text[smmu.text.index("IOMMU smmu0"):].split("\n", 1)[0]


@pytest.mark.parametrize("name", ["on-nvme", "on-virtio"])
def test_disks_work(smmu, name):
    smmu.pass_guest(name, 120)
    assert not [line for line in smmu.logs if "refused" in line]


def wait_log(machine, what):
    end = time.monotonic() + 60
    while not any(what in line for line in machine.logs):
        assert time.monotonic() < end, (what, machine.logs)
        machine.cmd("list")
    return next(line for line in machine.logs if what in line)


def attack(machine, command, memory):
    with Edu(machine) as edu:
        edu.put(memory, 8, SECRET)
        edu.go(command, memory)


def look(machine, memory):
    with Edu(machine) as edu:
        return edu.get(memory, 8)


def test_a_device_reaches_nothing(smmu):
    """Nobody's: memory that nobody has is written to and read."""
    memory = TARGET_MEMORY
    kept = look(smmu, memory)
    attack(smmu, WRITE, memory)
    line = wait_log(smmu, f"write to {memory:x} refused")
    assert "IOMMU smmu0: 0000:01:00.0 (no owner)" in line, line
    assert look(smmu, memory) == SECRET
    attack(smmu, READ, memory)
    wait_log(smmu, f"read of {memory:x} refused")
    # and without translation it would have: the attack can be seen to succeed
    with Edu(smmu) as edu:
        edu.put(SMMU_GBPA, 4, UPDATE)
        edu.put(SMMU_CR0, 4, OFF)
        edu.go(WRITE, memory)
    end = time.monotonic() + 60
    while look(smmu, memory) == SECRET:
        assert time.monotonic() < end, "the device does not write at all"
        smmu.cmd("list")
    with Edu(smmu) as edu:
        edu.put(memory, 8, kept)
        edu.put(SMMU_CR0, 4, ON)
        edu.put(SMMU_GBPA, 4, UPDATE | ABORT)


def test_a_guests_device_reaches_the_guest_alone(smmu):
    """Passed through, with INTx: its guest's memory is there, other memory is not."""
    kept = look(smmu, TARGET_MEMORY)
    with Edu(smmu) as edu:
        edu.put(TARGET_MEMORY, 8, SECRET)
    said = smmu.pass_guest("owner", 60)
    assert "PASS line" in said and f"{SECRET:x}" not in said
    for what in "read of", "write to":
        wait_log(smmu, f"0000:01:00.0 (guest owner): {what} {TARGET_MEMORY:x} refused")
    assert look(smmu, TARGET_MEMORY) == SECRET
    with Edu(smmu) as edu:
        edu.put(TARGET_MEMORY, 8, kept)
