# SPDX-License-Identifier: BSD-2-Clause
"""ARM64: Trivet comes up at EL2 on each kind of machine, says what is wrong in words, and its own
faults end in a dump that can be read."""
import os
import re
import struct
import subprocess
import time

import pytest

import gdbstub
import trivet
from trivet import ArmMachine, make_image

CONFIG = "[host]\nlog = debug\n"
ELF = os.path.join(trivet.TOP, "build/aarch64/trivet.elf")
# CPU model, GIC, ACPI, CPUs, memory, disk, restarted and powered off at the end
MACHINES = [
    ("cortex-a72", 2, True, 2, "1G", "virtio", False),
    ("cortex-a72", 3, True, 1, "1G", "nvme", False),
    ("cortex-a72", 2, False, 8, "1G", "usb", False),
    ("cortex-a72", 3, False, 4, "1G", "virtio", True),
    ("neoverse-n1", 3, True, 4, "5G", "virtio", True),
    ("neoverse-n1", 3, False, 2, "1G", "virtio", False),
    ("max", 3, True, 8, "1G", "virtio", False), ("max", 3, False, 3, "1G", "virtio", False),
    ("max", 2, True, 2, "1G", "virtio", False),
]


def restart_and_power_off(machine):
    machine.send("reboot\r")
    machine.expect("Trivet: started by UEFI", 60)
    machine.json = False
    machine.boot()
    machine.send("poweroff\r")
    machine.process.wait(30)


@pytest.mark.parametrize("model, gic, acpi, cpus, memory, disk, restart", MACHINES)
def test_machine(model, gic, acpi, cpus, memory, disk, restart):
    options = ("--disk", disk)
    with ArmMachine(make_image(CONFIG, {}), model=model, gic=gic, acpi=acpi, cpus=cpus,
                    memory=memory, options=options) as machine:
        machine.boot()
        assert (machine.cmd("memory")["total_bytes"] > 4 << 30) == (memory == "5G")
        assert f"EL2 {'without' if model == 'cortex-a72' else 'with'} VHE" in machine.text
        assert f"GICv{gic}" in machine.text
        assert f"machine from {'ACPI' if acpi else 'device tree'}" in machine.text
        assert "memory protection holds" in machine.text
        assert len(machine.cmd("cpus")["cpus"]) == cpus
        idle = [[cpu["idle_ns"] for cpu in machine.cmd("cpus")["cpus"]] for _ in range(2)]
        # the clock goes, and the CPU sleeps and wakes
        assert idle[0][0] < idle[1][0]
        if disk == "nvme":
            assert machine.cmd("reload", 60)["changes"] == []
        if restart:
            restart_and_power_off(machine)


@pytest.mark.parametrize("model, gic", [("cortex-a72", 2), ("neoverse-n1", 3)])
def test_u_boot_starts_it_too(model, gic):
    with ArmMachine(make_image(CONFIG, {}), model=model, gic=gic, cpus=4,
                    options=("--u-boot",)) as machine:
        machine.boot()
        assert "Das U-Boot" in machine.text and "machine from device tree" in machine.text
        assert len(machine.cmd("cpus")["cpus"]) == 4


def sbsa_tree(path):
    """QEMU's device tree, but the console is an SBSA UART (a PL011's subset) whose interrupt is
    edge-triggered; the names are of the same length."""
    command = ["qemu-system-aarch64", "-M",
               f"virt,virtualization=on,gic-version=3,acpi=off,dumpdtb={path}", "-cpu",
               "neoverse-n1", "-smp", "2", "-m", "1G",
               "-nodefaults", "-display", "none"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    with open(path, "rb") as tree:
        text = tree.read()
    for old, new in ((b"arm,pl011\0arm,primecell\0", b"arm,sbsa-uart\0arm,pl011\0"),
                     (struct.pack(">3I", 0, 1, 4), struct.pack(">3I", 0, 1, 1))):
        assert text.count(old) == 1 and len(old) == len(new)
        text = text.replace(old, new)
    _, _, structure, strings, _, _, _, _, strings_len, structure_len = struct.unpack(">10I",
                                                                                     text[:40])
    # without the megabyte that QEMU leaves for changes, and would double
    end = max(structure + structure_len, strings + strings_len)
    with open(path, "wb") as tree:
        tree.write(text[:4] + struct.pack(">I", end) + text[8:end])


def test_sbsa_uart_with_an_edge_triggered_interrupt():
    path = os.path.join(trivet.WORK, f"sbsa-{os.getpid()}.dtb")
    image = make_image(CONFIG, {})
    sbsa_tree(path)
    with ArmMachine(image, acpi=False, memory="1G", arguments=("-dtb", path)) as machine:
        machine.boot()
        assert "SBSA UART at 9000000, by interrupt 33" in machine.text
        for _ in range(20):                             # in and out by interrupts
            assert len(machine.cmd("cpus")["cpus"]) == 2
    os.remove(path)


def test_below_el2_is_said():
    with ArmMachine(make_image(CONFIG, {}),
                    arguments=("-M", "virt,virtualization=off,gic-version=3")) as machine:
        machine.expect("cannot run on this machine: the firmware runs at EL1", 60)


def symbol(name):
    table = subprocess.run(["aarch64-linux-gnu-nm", ELF], check=True, text=True,
                           capture_output=True, timeout=60).stdout
    return int(re.search(rf"^(\w+) \w {name}$", table, re.M)[1], 16)


def crash(model, change):
    """Boots, changes registers of CPU 0 while it idles, and returns what the panic says."""
    path = os.path.join(trivet.WORK, f"gdb-{os.getpid()}")
    with ArmMachine(make_image(CONFIG, {}), model=model, memory="1G",
                    arguments=("-gdb", f"unix:{path},server=on,wait=off")) as machine:
        machine.boot()
        time.sleep(0.5)                 # idle: asleep in WFI
        with gdbstub.Stub(path) as stub:
            change(stub, machine)
            stub.leave()
        machine.send("\r")              # an interrupt ends WFI
        said = machine.expect(r"\*\*\* Trivet has stopped on CPU 0: (.*)\*\*\* This is a fault of "
                              r"Trivet's own", 30).group(1)
        os.unlink(path)
        return said


def jump(stub, to):
    stub.write(gdbstub.PC["aarch64"], to)


@pytest.mark.parametrize("model", ["cortex-a72", "max"])
@pytest.mark.parametrize("where, what", [("cpu_count", "permission"),
                                         ("symbol_count", "permission"), (None, "translation")])
def test_data_is_not_executed(model, where, what):
    said = crash(model, lambda stub, _: jump(stub, symbol(where) & ~3 if where else 0))
    assert re.match(rf"instruction abort: {what}", said), said
    assert re.search(r"^\s*1 0000\w{12} \w+\+0x", said, re.M), said      # a back trace with names
    assert re.search(r"sp  0000\w{12}", said) and "hv_main+" in said


def test_code_is_not_written():
    """A store to the image's text: memset() is entered with its address."""
    def change(stub, machine):
        stub.write(0, symbol("hv_main"))
        stub.write(1, 0)
        stub.write(2, 64)
        jump(stub, symbol("memset"))
    said = crash("neoverse-n1", change)
    assert re.match(r"data abort: permission", said), said
    assert "memset+" in said and f"address {symbol('hv_main'):016x}" in said


@pytest.mark.parametrize("model", ["cortex-a72", "neoverse-n1"])
def test_stack_overflow_is_told(model):
    def change(stub, machine):
        stub.write(gdbstub.SP["aarch64"], symbol("boot_stack_guard") + 4096 + 16)
        jump(stub, symbol("guests_start"))
    said = crash(model, change)
    assert re.match(r"data abort: translation", said), said
    assert f"address {symbol('boot_stack_guard') >> 12:013x}" in said and "hv_main+" in said




def after_prologue(name):
    """The first instruction of a function that has its frame."""
    start = symbol(name)
    code = subprocess.run(["aarch64-linux-gnu-objdump", "-d", f"--start-address={start}",
                           f"--stop-address={start + 64}", ELF], check=True,
                          text=True, capture_output=True, timeout=60).stdout
    return int(re.search(r"^\s*(\w+):\s+\w+\s+mov\s+x29, sp$", code, re.M)[1], 16) + 4


def test_return_address_is_signed():
    """One that somebody has put on the stack leads nowhere, though it is a good address of code."""
    def change(stub, machine):
        machine.send("\r")
        stub.run_to(after_prologue("event_run"))
        stub.poke(stub.read(gdbstub.FP["aarch64"]) + 8, symbol("arch_a_return"))
    said = crash("max", change)
    assert re.match(r"instruction abort|pointer authentication", said), said
    assert not re.search(rf"at {symbol('arch_a_return'):016x}", said) and "hv_main+" in said
