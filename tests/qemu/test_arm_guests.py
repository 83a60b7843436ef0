# SPDX-License-Identifier: BSD-2-Clause
"""The tiny ARM64 guests of tests/guests/arm: the machine that Trivet shows at EL1, checked from
inside, on every kind of host."""
import pytest

import arm
from trivet import ArmMachine, OwnImage, make_image, note, panics, put_files, scratch


class Own(OwnImage, ArmMachine):
    """Its image is its own."""


MACHINE_TYPE = Own
# name: image, command line, vcpus, memory, seconds
GUESTS = {
    "hello-flat": ("hello-flat", "a=1 b", 1, "16M", 30),
    "hello-image": ("hello-image", "a=1 b", 1, "16M", 30),
    "hello-512": ("hello-image", "a=1 b", 512, "64M", 60),
    "cpu": ("cpu", "", 1, "64M", 60),
    "cpu-4": ("cpu", "rounds=100", 4, "64M", 120),
    "gic": ("gic", "", 1, "64M", 60),
    "gic-3": ("gic", "", 3, "64M", 60),
    "smp-2": ("smp", "cpus=2", 2, "64M", 60),
    "smp-4": ("smp", "cpus=4", 4, "64M", 90),
    "smp-20": ("smp", "cpus=20 rounds=200", 20, "64M", 240),
    "smp-100": ("smp", "cpus=100 rounds=20", 100, "64M", 240),
    "psci": ("psci", "rounds=50", 3, "64M", 60),
    "timers": ("timers", "", 1, "64M", 60),
    "timers-4": ("timers", "", 4, "64M", 90),
    "pci": ("pci", "", 1, "64M", 30),
    "virtio": ("virtio", "ro", 1, "64M", 120),
    "virtio-small": ("virtio", "size=16 rounds=100", 1, "64M", 120),
}
SOME = ("hello-image", "cpu-4", "gic-3", "smp-4", "psci", "timers-4", "virtio")
# hosts that differ in what Trivet stands on: arguments of ArmMachine
HOSTS = {
    "max": {"model": "max"},
    "cortex-a72": {"model": "cortex-a72", "acpi": False},
    "cortex-a72-gic2": {"model": "cortex-a72", "gic": 2},
}
WAYS_OUT = {"off": "SYSTEM_OFF", "reset": "SYSTEM_RESET", "reset2": "SYSTEM_RESET2"}
CONFIG = "[host]\nlog = info\n"
CONFIG += "".join(arm.guest(name, *what[:4],
                            **({"initrd": "m.txt"} if name.startswith("hello") else {}))
                  for name, what in GUESTS.items())
CONFIG += arm.guest("ticker", "hello-image", "tick", 2, memory="16M")
CONFIG += arm.guest("panics", "pci", "panic", 1, on_crash="restart")
CONFIG += "".join(arm.guest(f"out-{how}", "psci", how, 1) for how in WAYS_OUT)


def FILES():
    return {**arm.files(GUESTS), "m.txt": note()}


def run(machine, name):
    output = machine.pass_guest(name, GUESTS[name][4])
    if name.startswith("hello"):
        assert "a=1 b" in output and "the text of a module" in output
    machine.cmd(f"info {name}")


@pytest.mark.parametrize("name", GUESTS)
def test_guest(machine, name):
    run(machine, name)


def test_memory_is_counted(machine):
    machine.check_counted("ticker")


def test_a_panic_that_a_guest_tells_of(machine):
    panics(machine, "panics")


@pytest.mark.parametrize("how", WAYS_OUT)
def test_way_out(machine, how):
    """Each call that ends or resets a machine: off stays off; who resets again and again is
    stopped, and both are told."""
    name = f"out-{how}"
    machine.cmd(f"start {name}", 60)
    info = machine.wait_state(name, ("off", "crashed"), 60)
    assert info["state"] == ("off" if how == "off" else "crashed")
    boots = machine.output(name).count("PASS psci version")
    assert boots == 1 if how == "off" else boots > 1


def test_reload(machine):
    """A new guest starts from a file that was not there at boot; a removed one has gone."""
    text = CONFIG[:CONFIG.index("[guest out-off]")] + arm.guest("newer", "newer-image", "a=1 b", 1)
    put_files(machine.image, {"trivet.conf": scratch("arm-reload.conf", text.encode()),
                              "newer-image": arm.files(GUESTS)["hello-image"]})
    answer = machine.cmd("reload", 60)
    assert [(row["section"], row["change"]) for row in answer["changes"]] == [
        ("guest newer", "new"), *((f"guest out-{how}", "removed") for how in WAYS_OUT)], answer
    assert "a=1 b" in machine.pass_guest("newer", 30)
    assert not any(name.startswith("out-") for name in machine.guests())


@pytest.mark.parametrize("host", HOSTS)
def test_host(host):
    """Other CPUs, no VHE, a GICv2, a device tree in place of ACPI."""
    with ArmMachine(make_image(CONFIG, FILES()), **HOSTS[host]) as machine:
        machine.boot()
        for name in SOME:
            run(machine, name)
