# SPDX-License-Identifier: BSD-2-Clause
"""riscv64 guests on an x86-64 machine, by the translator: a bare kernel that looks at its machine
and beyond it, beside a native guest."""
import trivet
from trivet import guest_file, section

CONFIG = section("one", "machine", memory="32M", debug_exit="yes", autostart="no", isa="riscv64")
CONFIG += section("two", "machine", memory="32M", vcpus=2, debug_exit="yes", autostart="no")
CONFIG += section("stays", "machine", memory="32M", cmdline="stay", autostart="no")
CONFIG += section("native", "hello-mb1", cmdline="tick every=10000000", memory="16M",
                  autostart="no")


def FILES():
    return {"machine": guest_file("riscv64/machine"), "hello-mb1": guest_file("hello-mb1")}


def test_one_hart(machine):
    output = machine.pass_guest("one", 60)
    assert output.count("PASS") >= 9 and "the serial port" in output


def test_two_harts_beside_a_native_guest(machine):
    machine.cmd("start native", 60)
    output = machine.pass_guest("two", 60)
    assert "PASS the second hart takes an interrupt, and stops" in output
    assert machine.state("native") == "running"
    assert "x86_64" not in machine.cmd("info two").get("why", "")
    machine.cmd("stop native --force", 30)


def test_a_guest_is_reset_and_stopped(machine):
    machine.cmd("start stays", 60)
    machine.cmd("reset stays", 30)
    assert machine.state("stays") == "running"
    machine.cmd("stop stays --force", 30)
    assert machine.state("stays") == "off"


def test_without_svm_riscv64_runs_all_the_same():
    with trivet.Machine(trivet.make_image(CONFIG, FILES()),
                        arguments=("-cpu", "EPYC-v3,-svm")) as machine:
        machine.boot()
        machine.pass_guest("one", 60)
