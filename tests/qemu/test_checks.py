# SPDX-License-Identifier: BSD-2-Clause
"""The compiler's checks fire on a whole machine, and the panic says which one failed, and where."""
import os
import re
import subprocess
import time

import pytest

import gdbstub
import trivet
from trivet import ArmMachine, Machine, make_image

ARGUMENT = {"x86_64": 5, "aarch64": 0}  # the register of a function's first argument
MACHINES = {"x86_64": (Machine, ""), "aarch64": (ArmMachine, "aarch64-linux-gnu-")}
WORDS = 128                             # of the stack, looked through for the guard


def symbol(arch, name):
    elf = os.path.join(trivet.TOP, f"build/{arch}/trivet.elf")
    table = subprocess.run([MACHINES[arch][1] + "nm", elf], check=True, text=True,
                           capture_output=True,
                           timeout=60).stdout
    return int(re.search(rf"^(\w+) \w {name}$", table, re.M)[1], 16)


def told_after_a_reset(machine, said):
    """The next run knows what the panic said, and what was logged before it."""
    machine.qmp("system_reset")
    machine.json = False
    machine.boot()
    before = machine.cmd("log --previous")
    lines = [row["line"] for row in before["lines"]]
    assert before["source"] == "memory", before
    assert said.splitlines()[0].strip() in before["panic"], (said, before["panic"])
    assert any("hv_main+" in line for line in lines), lines
    assert any("] Trivet " in line for line in lines), lines
    page = machine.cmd("hardware")
    assert {"FACP", "APIC"} <= set(page["acpi_tables"].split()), page
    assert page["machine"].strip() and page["firmware"] and page["memory_bytes"] > 0, page
    assert page["devices"] and any("] CPU: " in row["line"] for row in page["log"]), page
    assert {row["address"] for row in page["unused"]} <= {
        row["address"] for row in page["devices"] if row["owner"] == "-"}, page


def crash(arch, change, again=False):
    """Boots, lets `change` meddle with CPU 0 while it idles, and returns what the panic says."""
    path = os.path.join(trivet.WORK, f"gdb-{os.getpid()}")
    more = {"cpus": 1, "memory": "1G", "arguments": ("-gdb", f"unix:{path},server=on,wait=off")}
    with MACHINES[arch][0](make_image("[host]\nlog = debug\n", {}), **more) as machine:
        machine.boot()
        time.sleep(0.5)                 # idle
        with gdbstub.Stub(path) as stub:
            change(stub, machine)
            stub.leave()
        machine.send("\r")              # an interrupt ends the sleep
        said = machine.expect(r"\*\*\* Trivet has stopped on CPU 0: (.*)\*\*\* This is a fault", 60)
        os.unlink(path)
        if again:
            told_after_a_reset(machine, said.group(1))
        return said.group(1)


@pytest.mark.parametrize("arch", MACHINES)
def test_an_index_out_of_bounds_is_told(arch):
    def change(stub, _):
        stub.write(ARGUMENT[arch], 100000)
        stub.write(gdbstub.PC[arch], symbol(arch, "cpu_kick"))
    said = crash(arch, change, again=True)
    assert re.match(r"bounds check failed at cpu_kick\+0x", said), said


@pytest.mark.parametrize("arch", MACHINES)
def test_an_overrun_on_the_stack_is_told(arch):
    """The words that guard the callers' arrays are overwritten while one of them asks the
    allocator. Old copies lie there, too."""
    def change(stub, machine):
        machine.send("memory\r")
        stub.run_to(symbol(arch, "pmm_stats"))
        guard, top = stub.peek(symbol(arch, "__stack_chk_guard")), stub.read(gdbstub.SP[arch])
        assert guard and not guard & 0xff
        places = [at for at in range(top, top + 8 * WORDS, 8) if stub.peek(at) == guard]
        assert places
        for at in places:
            stub.poke(at, 0x4141414141414141)
    said = crash(arch, change)
    assert re.match(r"stack check failed at \w+\+0x", said), said
    assert "hv_main+" in said
