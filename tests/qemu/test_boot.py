# SPDX-License-Identifier: BSD-2-Clause
"""Boot: from each kind of disk, and where something is missing, in words that a person can act
on."""
import os
import struct

import pytest

import microcode
from trivet import PASSED, Machine, guest_file, make_image, scratch, section

CONFIG = "[host]\nlog = info\nmicrocode = intel.bin\nmicrocode = ucode\\amd.bin\n"
CONFIG += section("hello", "hello-mb1", memory="16M", debug_exit="yes", autostart="no")
CONFIG += section("cut", "apic", cmdline="cut", vcpus=2, memory="64M", debug_exit="yes",
                  autostart="no")
FILES = {"hello-mb1": guest_file("hello-mb1"), "apic": guest_file("apic"),
         "intel.bin": microcode.intel(2), "ucode/amd.bin": microcode.amd(0x8001399)}


# One boot for each kind of disk; each with another number of CPUs, one with memory above 4 GiB.
MACHINES = {"virtio": (1, "2G"), "ahci": (4, "2G"), "nvme": (8, "5G"), "usb": (2, "2G")}
RECORD_AT = 0x30000000                  # RAM that neither the firmware nor Trivet has used by then


def boot_error_record():
    """ACPI's BERT, and the block of UEFI's appendix N that it leads to: arguments of QEMU."""
    memory = struct.pack("<QQQ", 2, 0, 0x12345000) + bytes(56)
    entry = (bytes.fromhex("1411bca5646fde4eb8633e83ed7c83b1") +
             struct.pack("<IHBBI16x20s", 1, 0x201, 2, 0, len(memory), b"DIMM A1") + memory)
    block = struct.pack("<IIIII", 1, 0, 0, len(entry), 1) + entry
    table = struct.pack("<IQ", len(block), RECORD_AT)
    return ("-acpitable", f"sig=BERT,data={scratch('bert.bin', table)}", "-device",
            f"loader,file={scratch('bert-block.bin', block)},addr={RECORD_AT},force-raw=on")


# usb: the serial port's interrupt goes to a line that Trivet does not listen to; nvme: without the
# bit that says "under a hypervisor" microcode is loaded
MORE = {"ahci": ("-smp", "4,sockets=1,cores=2,threads=2"), "usb": ("-global", "isa-serial.irq=7"),
        "nvme": ("-cpu", "EPYC-v3,+svm,+npt,-hypervisor", *boot_error_record())}
STEPS = ("memory", "firmware tables", "clock", "files", "processors", "virtualisation",
         "configuration", "guests")


def threads_share_cores(machine):
    """QEMU's EPYC-v3 has no STIBP: between the threads of a core it leaks. Guests start and end
    under core scheduling."""
    said = machine.cmd("cpus")
    assert [row["core"] for row in said["cpus"]] in ([0, 0, 1, 1], [0, 1, 0, 1])
    assert said["smt"].startswith("core: ")
    assert "SMT: core: " in machine.text and "chosen automatically" in machine.text
    code, _, output = machine.run_guest("hello")
    assert code == PASSED, output


def an_interrupt_comes_once_beside_better_ones(machine):
    """Each is cut off by one of a higher priority, and QEMU stops all CPUs for each LOCK across a
    boundary."""
    code, _, output = machine.run_guest("cut")
    assert code == PASSED, output


def microcode_is_tried(machine, disk):
    """QEMU takes the write, and keeps its revision: each of the 8 CPUs goes on."""
    said = [line.partition("microcode: ")[2] for line in machine.text.splitlines()]
    loads = ["intel.bin is not a microcode file of this CPU's maker",
             "ucode\\amd.bin has an update",
             "the CPU does not take revision 0x8001399: it stays at 0x1000065"]
    none = ["files are not loaded: that is up to the hypervisor below"]
    assert [line for line in said if line] == [
        "revision 0x1000065", *(loads if disk == "nvme" else none)]
    assert "has microcode revision" not in machine.text


def check_reload(machine, disk):
    """What it started from can be read again, or Trivet says why not."""
    if disk == "usb":
        assert machine.ask("reload")["error"].startswith(
            "what Trivet started from cannot be read again: it is on no partition of a disk that "
            "Trivet drives; `disks` lists those.")
    else:
        answer = machine.cmd("reload", 60)
        assert answer["read_bytes"] > sum(map(os.path.getsize, FILES.values())), answer
        assert answer["new_bytes"] == 0 and answer["changes"] == answer["errors"] == []


def inject(machine, cpu, bank, status, address):
    """A machine check, as QEMU's monitor makes them (MCG_STATUS: MCIP, RIPV)."""
    machine.qmp("human-monitor-command", **{
        "command-line": f"mce {cpu} {bank} {status:#x} {5 if status >> 61 & 1 else 0} {address} 0"})


def a_fatal_error_is_told(machine):
    """The CPU's own state is lost (PCC)."""
    inject(machine, 0, 5, 0xbe00000000800400, 0x2000)
    machine.expect("Trivet has stopped on CPU 0: #MC machine check, .*: bank 5: uncorrected error "
                   "of an internal timer at 0x2000", timeout=20)


@pytest.mark.parametrize("disk", MACHINES)
def test_machine(disk):
    """The disk is read, every processor and all memory found, and each boot step tells its time."""
    cpus, memory = MACHINES[disk]
    arguments = MORE.get(disk, ())
    with Machine(make_image(CONFIG, FILES), cpus=cpus, memory=memory, options=("--disk", disk),
                 arguments=arguments) as machine:
        machine.boot()
        if disk == "ahci":
            threads_share_cores(machine)
        if disk == "usb":
            an_interrupt_comes_once_beside_better_ones(machine)
        if disk == "ahci":
            inject(machine, 2, 3, 0x8c00004000010091, 0x12345640)
        microcode_is_tried(machine, disk)
        check_reload(machine, disk)
        assert "hello" in machine.guests()
        assert len(machine.cmd("cpus")["cpus"]) == cpus
        assert (machine.cmd("memory")["total_bytes"] > 4 << 30) == (memory == "5G")
        assert not [step for step in STEPS if f"boot: {step}" not in machine.text]
        assert "local APICs: xAPIC, as the firmware left them" in machine.text
        if disk == "ahci":
            machine.expect("machine check, CPU 2: bank 3: corrected error of the memory "
                           "controller, reading, channel 1 at 0x12345640", timeout=20)
        assert ("the firmware has recorded that the last boot ended with: fatal error of memory at "
                '0x12345000, "DIMM A1"' in machine.text) == (disk == "nvme")
        if disk == "virtio":
            a_fatal_error_is_told(machine)


def test_no_svm_is_said_and_the_console_works():
    with Machine(make_image(CONFIG, FILES), arguments=("-cpu", "EPYC-v3,-svm")) as machine:
        machine.boot()
        assert "SVM" in machine.text and "only riscv64 guests can run" in machine.text
        answer = machine.ask("start hello")
        assert not answer["ok"]


def test_an_interrupt_comes_once_where_qemu_stops_the_cpu_anywhere():
    """With one thread for all CPUs, QEMU stops the one that runs ten times a second, at any
    instruction."""
    config = section("once", "apic", cmdline="once", memory="64M", debug_exit="yes", autostart="no")
    with Machine(make_image(config, {"apic": guest_file("apic")})) as machine:
        machine.boot()
        code, _, output = machine.run_guest("once")
        assert code == PASSED, output


def test_broken_configuration_boots_and_says_why():
    conf = ("[host]\nlog = verbose\n[guest bad]\nkernel = hello-mb1\nmemory = 12Q\nvcpus = 256\n"
            + section("good", "hello-mb1", memory="16M", debug_exit="yes", autostart="no"))
    with Machine(make_image(conf, FILES)) as machine:
        machine.boot()
        errors = machine.cmd("config check")["errors"]
        assert [e["line"] for e in errors] == [2, 5, 6]
        assert "12Q" in errors[1]["error"] and "255" in errors[2]["error"]
        code, _, _ = machine.run_guest("good")
        assert code == PASSED
        assert not machine.ask("start bad")["ok"]


def test_no_guest_at_all():
    with Machine(make_image("[host]\n", {})) as machine:
        machine.boot()
        assert machine.cmd("list")["guests"] == []
