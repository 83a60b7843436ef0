# SPDX-License-Identifier: BSD-2-Clause
"""Four guests at once on two CPUs, each making progress; the end of one disturbs none. Also run on
ARM64, by test_arm_four."""
import re
import time

import trivet

CMDLINE = "console=ttyS0 console=hvc0 quiet"
CONFIG = ("[host]\nlog = info\n"
          + trivet.section("big", "vmlinuz", initrd="initrd.img", memory="384M", vcpus=4,
                           cmdline=CMDLINE)
          + trivet.section("small", "vmlinuz", initrd="initrd.img", memory="256M", cmdline=CMDLINE)
          + trivet.section("tick-a", "hello-mb1", memory="16M", cmdline="tick")
          + trivet.section("tick-b", "hello-pvh", memory="16M", cmdline="tick"))
ALL = ("big", "small", "tick-a", "tick-b")


def FILES():
    return {**trivet.debian_files(), "hello-mb1": trivet.guest_file("hello-mb1"),
            "hello-pvh": trivet.guest_file("hello-pvh")}


def progress(machine, name):
    """A number that grows while the guest works: its ticks since it last began, or the seconds that
    its shell has counted."""
    if name in ("tick-a", "tick-b"):
        found = re.findall(r"tick (\d+)", machine.tail(name).rsplit("PASS hello", 1)[-1])
        return int(found[-1]) if found else -1
    found = re.findall(r"alive (\d+)", machine.tail(name))
    return int(found[-1]) if found else -1


def begin(machine, name):
    """Lets a Debian guest count aloud."""
    end = time.monotonic() + 180
    while "trivet guest ready" not in machine.output(name):
        assert time.monotonic() < end, f"{name} is not up"
        time.sleep(1)
    machine.send(f"console {name}\r")
    machine.expect(r"\[console [^\n]*\n", 10)
    machine.quiet(0.5)
    machine.send("i=0; while sleep 0.2; do i=$((i+1)); echo alive $i; done &\r")
    machine.expect(r"alive 2\b", 60, f"{name} counts")
    machine.detach()


def all_advance(machine, names):
    before = {name: progress(machine, name) for name in names}
    end = time.monotonic() + 60
    waiting = set(names)
    while waiting:
        assert time.monotonic() < end, f"no progress: {waiting} of {before}"
        waiting = {name for name in waiting if progress(machine, name) <= before[name]}


def test_four_guests_make_progress(machine):
    for name in ALL:
        machine.wait_state(name, ("running",), 60)
    assert machine.guests()["big"]["vcpus"] == 4
    begin(machine, "big")
    begin(machine, "small")
    all_advance(machine, ALL)


def test_the_end_of_each_disturbs_none(machine):
    left = list(ALL)
    for victim in ("tick-a", "big", "tick-b"):
        machine.cmd(f"stop {victim} --force", 30)
        left.remove(victim)
        assert machine.state(victim) == "off"
        all_advance(machine, left)
    assert machine.cmd("info small")["resets"] == 0
    old, end = progress(machine, "tick-a"), time.monotonic() + 60
    machine.cmd("start tick-a", 30)
    # the console still shows the run before: the ticks begin again
    while progress(machine, "tick-a") >= old:
        assert time.monotonic() < end, "tick-a does not count again"
    all_advance(machine, ["tick-a", "small"])


def test_memory_comes_back(machine):
    for name in ALL:
        if machine.state(name) == "running":
            machine.cmd(f"stop {name} --force", 30)
    free = []
    for _ in range(4):
        for name in ("tick-a", "tick-b"):
            machine.cmd(f"start {name}", 30)
        time.sleep(1)
        for name in ("tick-a", "tick-b"):
            machine.cmd(f"stop {name} --force", 30)
        time.sleep(1)
        free.append(machine.cmd("memory")["free_bytes"])
    assert free[-1] >= free[1], free
