# SPDX-License-Identifier: BSD-2-Clause
"""A second machine, Bochs: no ACPI tables at all (CPUs come from the firmware's MP services),
IDE.

Its Ryzen has SVM with what QEMU lacks (next RIP, flush by ASID). Its Intel models with VMX, which
QEMU lacks, run the tests of their own.
"""
import os
import re
import tempfile
import time

import pytest

import bochs
from trivet import GUESTS, SCREEN, WORK, guest_file, make_image, section

CONFIG = "[host]\n" + "".join(section(name, name, memory="16M", debug_exit="yes")
                              for name in ("hello-mb1", "hello-pvh"))
FILES = {name: guest_file(name) for name in ("hello-mb1", "hello-pvh")}
SECONDS = 150


def serial(folder):
    try:
        with open(os.path.join(folder, "serial"), encoding="utf-8", errors="replace") as text:
            return text.read()
    except FileNotFoundError:
        return ""


def boot(folder, model, *wanted):
    """Runs Bochs until its serial line has shown every pattern; returns the text, and fails with
    its end."""
    process = bochs.start(folder, make_image(CONFIG, FILES), model, f"file, dev={folder}/serial")
    try:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and process.poll() is None:
            text = serial(folder)
            if all(re.search(w, text) for w in wanted):
                return text
            time.sleep(0.3)
    finally:
        bochs.end(process)
    text = serial(folder)
    missing = [w for w in wanted if not re.search(w, text)]
    assert not missing, f"not seen: {missing}; the serial line ended:\n{text[-SCREEN:]}"
    return text


@pytest.fixture
def folder():
    os.makedirs(WORK, exist_ok=True)
    assert os.path.isdir(GUESTS)
    with tempfile.TemporaryDirectory(dir=WORK) as path:
        yield path


def test_amd_runs_guests_without_acpi(folder):
    text = boot(folder, "ryzen", "2 CPUs", "hello-mb1: off: debug-exit with code 33",
                "hello-pvh: off: debug-exit with code 33")
    assert "no usable ACPI tables" in text and re.search("AMD SVM: .*next RIP", text)


def test_an_old_intel_is_told_what_is_missing(folder):
    boot(folder, "core2_penryn_t9600", "2 CPUs", "VMX has no extended page tables",
         "only riscv64 guests can run on this machine", "trivet> ")
