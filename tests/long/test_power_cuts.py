# SPDX-License-Identifier: BSD-2-Clause
"""
A guest sets UEFI variables until the power of the machine goes, many times on one state volume.
After each cut the workstation's reader must find the volume whole, in it every variable that the
guest was told is stored, and of the log of that run what it said before the guest was up.
`--rounds N`: so many cuts.
"""
import os
import random
import subprocess
import time

import pytest

import trivet
from test_uefi import VARIABLE, to_shell

CUTS = trivet.ROUNDS or 50
CONFIG = "[host]\nlog = info\n[guest shell]\nfirmware = uefi\nmemory = 128M\nautostart = no\n"
READER = os.path.join(trivet.TOP, "images/state")
VAR_ADDED = 0x3f                    # the state of a variable that counts: edk2's VariableFormat.h
HEADER = 60                         # of an authenticated variable, before its name


def reader(*arguments):
    return subprocess.run([READER, *arguments], check=True, capture_output=True, timeout=60).stdout


def lost(disk, numbers):
    """Those of the variables that are not in the store as it is on the disk."""
    store, missing = reader("get", disk, "uefi/shell"), []
    for number in numbers:
        want, at = f"V{number:05}\0".encode("utf-16-le"), -1
        while (at := store.find(want, at + 1)) >= 0:
            if store[at - HEADER] == 0xaa and store[at - HEADER + 2] == VAR_ADDED:
                break
        if at < 0:
            missing.append(number)
    return missing


def unlogged(disk, lines):
    """Those of the lines that neither log has whole, of the log that lacks fewer."""
    names = [row.split()[-1] for row in reader("list", disk).decode().splitlines()
             if "log/" in row]
    logs = [reader("get", disk, name).decode() for name in names]
    return min(([line for line in lines if line not in log] for log in logs), key=len,
               default=lines)


class Life:
    """A disk with a state volume, and what was acknowledged of what is on it."""

    def __init__(self, folder):
        self.image = trivet.make_image(CONFIG, {})
        self.disk = os.path.join(folder, "state.img")
        self.number = 0                 # of the next variable
        self.said = []                  # by the log of this run, before the guest was up
        reader("make", self.disk, "8M")

    def cut(self):
        """One machine's life."""
        options = ("-drive", f"if=none,id=state,format=raw,snapshot=off,file={self.disk}",
                   "-device", "nvme,serial=state,drive=state")
        with trivet.Machine(self.image, arguments=options) as machine:
            machine.boot()
            machine.cmd("start shell", 60)
            while not machine.logs:
                machine.cmd("list")
            self.said = machine.logs
            machine.send("console shell\r")
            to_shell(machine)
            end = time.monotonic() + random.uniform(0, 6)
            while True:
                name = f"V{self.number:05}"
                machine.send(f"setvar {name} {VARIABLE} -nv -bs =0x{self.number:08x}\r")
                if time.monotonic() > end:
                    time.sleep(random.uniform(0, 0.1))
                    return
                machine.expect(r"Shell> ", 30)
                self.number += 1


@pytest.fixture(scope="module", name="life")
def make_life(tmp_path_factory):
    return Life(tmp_path_factory.mktemp("state"))


@pytest.mark.parametrize("number", range(1, CUTS + 1))
def test_cut(life, number):
    life.cut()
    print(f"cut {number}: {reader('check', life.disk).decode().strip()}, {life.number} variables")
    missing = lost(life.disk, range(life.number))
    assert not missing, f"acknowledged, and lost: {missing}"
    missing = unlogged(life.disk, life.said)
    assert not missing, f"said, and not in the log: {missing}"
