# SPDX-License-Identifier: BSD-2-Clause
"""Hostile ARM64 guests that need not go on: whatever one does, Trivet answers, the log tells of it,
and a witness beside it runs on."""
import pytest

import arm
from hostile import contain
from trivet import ArmMachine, make_image

MACHINE_TYPE = ArmMachine
RUN = 4             # seconds for a guest that neither ends nor needs a CPU

HOLE, GICD, GICR, UART, ECAM = 0x0b000000, 0x08000000, 0x080a0000, 0x09000000, 0x10000000
DEVICES = {"ttbr": (HOLE,), "table": (HOLE, UART), "vbar": (HOLE,), "exec": (HOLE, GICD),
           "stack": (GICR,), "nommu": (HOLE, ECAM)}
ONES = 0xffffffffffffffff
FLIPS = {"sctlr": (0x30d0183f, ONES), "tcr": (ONES,), "mair": (0,), "ttbr": (ONES,),
         "vbar": (ONES,), "mdscr": (ONES,), "spsr": (ONES, 0x1d)}
# name: image, command line, vcpus. These need not end: they run for a while, and are ended by force
# where they still run.
ENDLESS = {
    **{word: ("hostile-end", word, 3) for word in ("spin", "wfi", "wfe", "undefined", "abort",
                                                   "hvc", "reset")},
    "gic-storm": ("hostile-gic", "storm", 3),
    "timer-storm": ("hostile-timer", "storm", 3),
    **{f"{word}-{at:x}": ("hostile-mmio", f"{word} at={at:#x}", 1)
       for word, places in DEVICES.items() for at in places},
    **{f"{reg}-{val:x}": ("hostile-sysreg", f"flip {reg} val={val:#x}", 1)
       for reg, values in FLIPS.items() for val in values},
    **{f"random-{seed}": ("hostile-code", f"seed={seed}", 1) for seed in (1, 5, 9, 11)},
}
HOSTS = {"cortex-a72-gic2": {"model": "cortex-a72", "gic": 2}, "max": {"model": "max"}}
CONFIG = arm.HOST + "".join(arm.guest(name, *what) for name, what in ENDLESS.items())


def FILES():
    return arm.files(ENDLESS)


@pytest.mark.parametrize("name", ENDLESS)
def test_is_contained(machine, name):
    contain(machine, name, RUN)


@pytest.mark.parametrize("host", HOSTS)
def test_host(host):
    with ArmMachine(make_image(CONFIG, FILES()), **HOSTS[host]) as machine:
        machine.boot()
        for name in ("spin", "wfi", "undefined", "gic-storm", "timer-storm", "vbar-b000000",
                     "exec-8000000", "random-5"):
            contain(machine, name, RUN)
