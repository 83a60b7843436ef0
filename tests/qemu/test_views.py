# SPDX-License-Identifier: BSD-2-Clause
"""A guest's RAM is mapped while its exits and devices are worked on, and nowhere else: Trivet
cannot reach it by mistake, and says so."""
import os
import re
import time

import pytest

import arm
import gdbstub
import hostile
import trivet
from test_checks import ARGUMENT, MACHINES, symbol
from trivet import make_image

DIRECT = {"x86_64": 0xffff800000000000, "aarch64": 0x0000800000000000}
WINDOW = 0x0000100000000000             # where a view has its guest's RAM
MARK = 0x7265686374697773
RAM = {"x86_64": 0, "aarch64": 0x40000000}
FILES = {"x86_64": (hostile.HOST, lambda: hostile.files({})),
         "aarch64": (arm.HOST, lambda: arm.files({}))}


def mapped(stub, at):
    return not stub.ask(f"m{at:x},8").startswith("E")


def first_block(stub, arch):
    """The physical address of the beginning of its RAM, just before it leaves the direct map: of
    the first block that it gets."""
    stub.run_to(symbol(arch, "pmm_alloc"))
    stub.run_to(symbol(arch, "view_take_direct"))
    at = stub.read(ARGUMENT[arch])
    assert mapped(stub, DIRECT[arch] + at)
    return at


@pytest.mark.parametrize("arch", MACHINES)
def test_ram_is_mapped_in_its_view_only(arch):
    path = os.path.join(trivet.WORK, f"gdb-{os.getpid()}")
    conf, files = FILES[arch]
    image = make_image(conf + "autostart = no\n", files())
    with MACHINES[arch][0](image, cpus=1, memory="1G",
                           arguments=("-gdb", f"unix:{path},server=on,wait=off")) as machine:
        machine.boot()
        time.sleep(0.5)                 # idle
        with gdbstub.Stub(path) as stub:
            machine.send("start witness\r")
            ram = first_block(stub, arch)
            assert not mapped(stub, WINDOW + RAM[arch])
            stub.run_to(symbol(arch, "io_dispatch"))
            assert not mapped(stub, DIRECT[arch] + ram)
            was = stub.peek(WINDOW + RAM[arch])
            stub.poke(WINDOW + RAM[arch], MARK)
            assert stub.ask("Qqemu.PhyMemMode:1") == "OK"
            assert stub.peek(ram) == MARK
            stub.poke(ram, was)
            assert stub.ask("Qqemu.PhyMemMode:0") == "OK"
            stub.leave()
        machine.cmd("pause witness")
        machine.wait_state("witness", ("paused",), 20)
        time.sleep(0.5)                 # idle
        with gdbstub.Stub(path) as stub:
            assert not mapped(stub, WINDOW + RAM[arch])
            assert not mapped(stub, DIRECT[arch] + ram)
            assert mapped(stub, symbol(arch, "percpus"))
            stub.write(ARGUMENT[arch], DIRECT[arch] + ram)
            stub.write(gdbstub.PC[arch], symbol(arch, "strlen"))
            stub.leave()
        machine.send("\r")              # an interrupt ends the sleep
        said = machine.expect(r"\*\*\* Trivet has stopped on CPU 0: (.*?)\*\*\* This is a fault",
                              60).group(1)
        os.unlink(path)
    assert re.match(r"(#PF page fault|data abort: translation), .*: guest witness's RAM is not "
                    r"mapped here", said), said
