# SPDX-License-Identifier: BSD-2-Clause
"""Hostile ARM64 guests that go on afterwards: each has done its worst, still works, and a witness
beside it runs on."""
import pytest

import arm
from hostile import check_witness, neighbours, no_escape, survive, ticks
from trivet import ArmMachine, make_image

MACHINE_TYPE = ArmMachine
# name: image, command line, vcpus, memory, seconds. These end by themselves, having checked that
# they still work.
ENDING = {
    "sysreg": ("hostile-sysreg", "", 1, "64M", 120),
    "sysreg-5": ("hostile-sysreg", "seed=5 from=0xc000", 1, "64M", 120),
    "mmio": ("hostile-mmio", "", 1, "64M", 240),
    "gic": ("hostile-gic", "", 1, "64M", 120),
    "gic-5": ("hostile-gic", "seed=5", 2, "64M", 120),
    "call": ("hostile-call", "", 1, "64M", 120),
    "call-3": ("hostile-call", "seed=9", 3, "64M", 120),
    "timer": ("hostile-timer", "", 1, "64M", 120),
    "timer-3": ("hostile-timer", "", 3, "64M", 120),
    "firmware": ("hostile-firmware", "", 1, "128M", 120),
    "ring": ("hostile-ring", "", 1, "64M", 240),
}
HOSTS = {"max": {"model": "max"}, "cortex-a72-gic2": {"model": "cortex-a72", "gic": 2}}
NEIGHBOURS = neighbours(0x40000000, "16M")
CONFIG = arm.HOST + "".join(arm.guest(name, *what[:4]) for name, what in ENDING.items()) + "".join(
    arm.guest(name, *what) for name, what in NEIGHBOURS.items())


def FILES():
    return arm.files({**ENDING, **NEIGHBOURS})


def test_no_escape(machine):
    before = ticks(machine)
    no_escape(machine, 120)
    check_witness(machine, before)


@pytest.mark.parametrize("name", ENDING)
def test_survives(machine, name):
    survive(machine, name, ENDING[name][4])


@pytest.mark.parametrize("host", HOSTS)
def test_host(host):
    with ArmMachine(make_image(CONFIG, FILES()), **HOSTS[host]) as machine:
        machine.boot()
        for name in ("sysreg", "mmio", "gic", "call"):
            survive(machine, name, ENDING[name][4])
