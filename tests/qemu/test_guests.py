# SPDX-License-Identifier: BSD-2-Clause
"""The tiny guests of tests/guests: the machine that Trivet shows, checked from inside; on both
engines, with the same output."""
import os
import re
import shutil
import tempfile
import time

import pytest

import trivet
from trivet import disk, guest_file, note, section

BACKENDS = ("svm", "vmx")
# name: image, command line, vcpus, memory, seconds
GUESTS = {
    "hello-mb1": ("hello-mb1", "a=1 b", 1, "16M", 30),
    "hello-mb2": ("hello-mb2", "a=1 b", 1, "16M", 30),
    "hello-pvh": ("hello-pvh", "a=1 b", 1, "16M", 30),
    "cpu": ("cpu", "", 1, "64M", 60),
    "cpu-4": ("cpu", "rounds=100", 4, "64M", 120),
    "apic": ("apic", "", 1, "64M", 60),
    "apic-x2": ("apic", "x2apic", 2, "64M", 60),
    "smp-2": ("smp", "cpus=2 fpu=20000", 2, "64M", 60),
    "smp-4-x2": ("smp", "x2apic cpus=4", 4, "64M", 90),
    "smp-32": ("smp", "cpus=32 rounds=200", 32, "64M", 240),
    "timers": ("timers", "", 1, "64M", 60),
    "timers-2": ("timers", "", 2, "64M", 90),
    "acpi": ("acpi", "", 3, "64M", 30),
    "acpi-warm": ("acpi", "warm", 2, "64M", 30),
    "pci": ("pci", "", 1, "64M", 30),
    "virtio": ("virtio", "ro", 1, "64M", 120),
    "virtio-small": ("virtio", "size=16 rounds=100", 1, "64M", 120),
}
MODULE = ["m.txt first module", "m.txt"]
# With everything against attacks by speculation that can run here: these guests test its entries
# and exits too.
CONFIG = "[host]\nlog = info\nmitigations = all\n" + "".join(
    section(name, image, cmdline=cmdline or "x", vcpus=vcpus, memory=memory, debug_exit="yes",
            autostart="no",
            **({"module": MODULE} if name.startswith("hello")
               else {"disk": ["disk.img", "disk.img,ro"]} if image == "virtio" else {}))
    for name, (image, cmdline, vcpus, memory, _) in GUESTS.items())
CONFIG += section("ticker", "hello-mb1", cmdline="tick every=10000000", memory="16M",
                  autostart="no")
WAYS_OUT = {"cf9": "port 0xcf9", "kbd": "keyboard", "fadt": "port 0xcf9", "triple": "triple fault",
            "s5": "S5"}
CONFIG += "".join(section(f"out-{how}", "acpi", cmdline=how, memory="64M", autostart="no")
                  for how in WAYS_OUT)


CONFIG += section("panics", "pci", cmdline="panic", memory="64M", autostart="no",
                  on_crash="restart")


def FILES():
    return {"m.txt": note(), "disk.img": disk(),
            **{image: guest_file(image) for image in sorted({g[0] for g in GUESTS.values()})}}


def first_output(name, output):
    """What the engine that came first said, of the same binaries: the engines' tests may run side
    by side, or on different days."""
    files = FILES()
    loader = os.path.join(trivet.TOP, "build", "x86_64", "BOOTX64.EFI")
    top = os.path.join(trivet.WORK, "outputs")
    folder = os.path.join(top, trivet.digest([loader, *(files[f] for f in sorted(files))], CONFIG))
    os.makedirs(folder, exist_ok=True)
    for old in os.listdir(top):
        if old != os.path.basename(folder):
            shutil.rmtree(os.path.join(top, old), ignore_errors=True)
    path = os.path.join(folder, name)
    with tempfile.NamedTemporaryFile("w", dir=folder, encoding="utf-8", newline="") as new:
        new.write(output)
        new.flush()
        try:
            os.link(new.name, path)
        except FileExistsError:
            pass
    with open(path, encoding="utf-8", newline="") as text:
        return text.read()


def essence(output):
    """What must not depend on the engine: every line, but for numbers and the CPU's maker."""
    return re.sub(r"-?\b(0x[0-9a-f]+|[0-9a-f]*[0-9][0-9a-f]*)\b", "N",
                  output).replace("GenuineIntel", "AuthenticAMD")


@pytest.mark.parametrize("name", GUESTS)
def test_guest(machine, name):
    output = machine.pass_guest(name, GUESTS[name][4])
    if name.startswith("hello"):
        assert "a=1 b" in output and "the text of a module" in output and "first module" in output
    assert essence(output) == essence(first_output(name, output))
    machine.cmd(f"info {name}")


def test_stats(machine):
    """Exits by reason, while a guest runs: each entry has one, and they become more."""
    machine.cmd("start ticker", 60)
    sums = []
    for _ in range(2):
        time.sleep(1 * machine.patience)
        stats = machine.cmd("stats ticker")
        exits = {e["exit"]: e for e in stats["exits"]}
        assert {"port", "interrupt"} <= set(exits) and "failure" not in exits, exits
        assert all(e["count"] > 0 and (e["mean_cycles"] > 0 or name == "none")
                   for name, e in exits.items()), exits
        sums.append(exits["port"]["count"])
        total = sum(e["count"] for e in exits.values())
        assert abs(total - stats["entries"]) <= 1, stats         # one may be under way
    assert sums[1] > sums[0], sums
    machine.cmd("stop ticker --force", 30)


def test_memory_is_counted(machine):
    machine.check_counted("ticker")


def test_a_panic_that_a_guest_tells_of(machine):
    trivet.panics(machine, "panics")


@pytest.mark.parametrize("how", WAYS_OUT)
def test_way_out(machine, how):
    """Each register that ends or resets a machine: off stays off; who resets again and again is
    stopped, and both are told."""
    name = f"out-{how}"
    machine.cmd(f"start {name}", 60)
    info = machine.wait_state(name, ("off", "crashed"), 60 * machine.patience)
    assert info["state"] == ("off" if how == "s5" else "crashed")
    assert WAYS_OUT[how] in info["why"]
    boots = machine.output(name).count("PASS acpi tables")
    assert boots == 1 if how == "s5" else boots > 1
