# SPDX-License-Identifier: BSD-2-Clause
"""Hostile guests that need not go on: whatever one does, Trivet answers, the log tells of it, and a
witness beside it runs on."""
import pytest

from hostile import BOCHS, HOST, contain, files, hostile

RUN = {"svm": 6, "vmx": 2}      # seconds for a guest that neither ends nor needs a CPU

# These need not end: they run for a while, and are ended by force where they still run.
ENDLESS = {
    "triple-ever": ("hostile-triple", "", 1),
    "halt": ("hostile-halt", "", 3),
    "spin": ("hostile-spin", "", 3),
    "storm": ("hostile-irq", "storm", 3),
    "pio-lethal": ("hostile-pio", "lethal", 1),
    **{f"mmio-{word}": ("hostile-mmio", f"{word} at=0xfee00000", 1)
       for word in ("cr3", "table", "idt", "gdt", "exec", "stack", "tss")},
    "hole-cr3": ("hostile-mmio", "cr3 at=0xfea00000", 1),
    "hole-exec": ("hostile-mmio", "exec at=0x10000000000", 1),
    **{word: ("hostile-cpu", word, 1) for word in ("smep", "cr3", "df-loop", "real")},
    **{f"cr{cr}-{bit}": ("hostile-cpu", f"cr{cr}flip={bit}", 1)
       for cr, bit in ((0, 0), (0, 31), (4, 5), (4, 12), (4, 40), (3, 60))},
    **{f"random-{seed}": ("hostile-cpu", f"random seed={seed} rounds=5000", 1)
       for seed in (1, 2, 3, 4, 5, 6)},
}

BACKENDS = ("svm", "vmx")
CONFIG = HOST + "".join(hostile(name, *what) for name, what in ENDLESS.items())


def FILES():
    return files(ENDLESS)


@pytest.mark.parametrize("name", ENDLESS)
def test_is_contained(machine, name):
    contain(machine, name, RUN[machine.backend])
