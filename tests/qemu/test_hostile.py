# SPDX-License-Identifier: BSD-2-Clause
"""Hostile guests that go on afterwards: each has done its worst, still works, and a witness beside
it runs on."""
import pytest

from hostile import (BOCHS, HOST, check_witness, files, hostile, neighbours, no_escape, survive,
                     ticks)

# name: image, command line, vcpus, seconds. These end by themselves, having checked that they still
# work.
ENDING = {
    "mmio": ("hostile-mmio", "", 1, 120),
    "pio": ("hostile-pio", "step=7", 1, 240),
    "msr": ("hostile-msr", "step=5", 1, 120),
    "cpu": ("hostile-cpu", "", 1, 120),
    "irq": ("hostile-irq", "rounds=5000", 2, 120),
    "irq-x2": ("hostile-irq", "x2apic seed=5 rounds=5000", 2, 120),
    "ring": ("hostile-ring", "rounds=150", 1, 240),
    "task": ("hostile-cpu", "task", 1, 60),
    "nmi-storm": ("hostile-cpu", "nmi-storm rounds=10000", 1, 120),
    "firmware": ("hostile-firmware", "", 1, 120),
    "exits": ("hostile-cpu", "exits rounds=100000", 1, 120),
}
NEIGHBOURS = neighbours(0, "32M")
BACKENDS = ("svm", "vmx")
# What takes very many exits takes fewer of them under Bochs, by the same guests.
LIGHTER = {"pio": "step=31", "ring": "rounds=20", "msr": "step=13", "exits": "exits rounds=30000",
           "nmi-storm": "nmi-storm rounds=4000",
           "escape": "rounds=10"}


def CONFIG(backend):
    lighter = LIGHTER if backend == "vmx" else {}
    ending = (hostile(name, image, lighter.get(name, cmdline), vcpus)
              for name, (image, cmdline, vcpus, _) in ENDING.items())
    beside = (hostile(name, image, lighter.get(name, cmdline), vcpus, memory)
              for name, (image, cmdline, vcpus, memory) in NEIGHBOURS.items())
    return HOST + "".join(ending) + "".join(beside)


def FILES():
    return files({**ENDING, **NEIGHBOURS})


def test_no_escape(machine):
    before = ticks(machine)
    no_escape(machine, 120)
    check_witness(machine, before)


@pytest.mark.parametrize("name", ENDING)
def test_survives(machine, name):
    survive(machine, name, ENDING[name][3])
