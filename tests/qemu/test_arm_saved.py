# SPDX-License-Identifier: BSD-2-Clause
"""An ARM64 guest under load is saved, ended, restored, and goes on: `vm save`, `stop --force`, `vm
restore`, again and again. tests/guests/arm/saved.c checks its memory, registers and clocks; its
interrupts come in chains, each of which ends for good when one is lost: here all of them must go on
after each restore."""
import re
import time

import pytest

import arm
from trivet import PASSED, ROUNDS, ArmMachine, make_image

# name: image, command line, vCPUs, memory
GUESTS = {
    "one": ("saved", "pages=256", 1, "16M"),
    "two": ("saved", "pages=64", 2, "16M"),
    "four": ("saved", "pages=32", 4, "32M"),
}
# Guests that check something and end: saved on the way, they must find all as it should be.
# `virtio` counts interrupts, of which there are fewer when the device finds two requests at once.
OTHERS = {
    "cpu": ("cpu", "rounds=200", 3, "64M"),
    "debug": ("debug", "on=1", 1, "64M"),
    "gic": ("gic", "", 3, "64M"),
    "psci": ("psci", "", 3, "64M"),
    "smp": ("smp", "rounds=20000", 4, "64M"),
    "sve": ("sve", "", 3, "64M"),
    "timers": ("timers", "", 2, "64M"),
}
CONFIG = "[host]\nlog = info\n" + "".join(arm.guest(name, *what)
                                          for name, what in {**GUESTS, **OTHERS}.items())
FILES = {**GUESTS, **OTHERS}
# host: its arguments, and how often each guest is saved
HOSTS = {
    "max": ({"model": "max"}, {"one": 20, "two": 100, "four": 20}),
    "neoverse-n1": ({}, {"two": 20}),
    "cortex-a72-gic2": ({"model": "cortex-a72", "gic": 2}, {"one": 10, "two": 20, "four": 10}),
}
LINE = re.compile(r"saved (\d+) at (\d+) ms: virt (\d+) phys (\d+) token (\d+) spi (\d+) lpi (\d+) "
                  r"alarm (\d+) bad (\d+)\s*$")  # a line that ends: see counters()
LINES, AT, LPI, ALARM, BAD = 0, 1, 6, 7, 8
AWAY = 3  # seconds


def counters(machine, name):
    """What the guest said last, in whole lines: of one that was ended in the middle of a line, the
    restored one may go on with a word from another place of it."""
    lines = [row["text"] for row in machine.cmd(f"console {name} --tail")["lines"]]
    wrong = [line for line in lines if "FAIL" in line or "TRAP" in line]
    assert not wrong, wrong
    said = [tuple(map(int, found.groups())) for found in map(LINE.search, lines) if found]
    return said[-1] if said else None


def wait_progress(machine, name, was, its, timeout=30):
    """Waits until every counter is above what it was; an alarm comes once in a second."""
    end = time.monotonic() + timeout
    chains = [n for n in range(BAD) if n != ALARM and (its or n != LPI)]
    while True:
        now = counters(machine, name)
        if now and (not was or all(now[n] > was[n] for n in chains)):
            assert now[BAD] == 0, now
            return now
        assert time.monotonic() < end, f"{name} stands: {was}, then {now}\n{machine.screen()}"
        time.sleep(0.05)


def restore(machine, name):
    answer = machine.cmd(f"vm restore {name}", 60)
    assert answer["state"] == "running", answer


def again_and_again(machine, name, rounds, its):
    """The one that was saved goes on, too, until it is stopped: what it said then is not taken for
    the restored one's."""
    machine.cmd(f"start {name}", 60)
    first = now = wait_progress(machine, name, None, its, 60)
    sums = {"live_pages": 0, "paused_pages": 0, "stood_ns": 0, "took_ns": 0}
    for n in range(rounds):
        said = machine.cmd(f"vm save {name}", 60)
        sums = {key: sums[key] + said[key] for key in sums}
        if n % 5 == 0:
            wait_progress(machine, name, now, its)
        machine.cmd(f"stop {name} --force", 30)
        was = counters(machine, name)
        restore(machine, name)
        now = wait_progress(machine, name, was, its)
    print(f"{name}: {rounds} saves, {sums}")
    # what it does not write to is copied while it runs; the rest, while it stands
    assert 0 < sums["paused_pages"] and 0 < sums["live_pages"], sums
    alarms, seconds = now[ALARM] - first[ALARM], (now[AT] - first[AT]) / 1000
    assert abs(alarms - seconds) <= 2, (first, now)


def time_stands_still(machine, name, its):
    """While it is away its clock does not move."""
    machine.cmd(f"pause {name}", 30)
    machine.wait_state(name, ("paused",), 30)
    began = time.monotonic()
    was = counters(machine, name)
    sizes = {row["object"]: row["bytes"] for row in machine.cmd(f"vm sizes {name}")["sizes"]}
    assert sizes["system registers"] and sizes["UART"], sizes
    machine.cmd(f"vm save {name}", 60)
    machine.cmd(f"stop {name} --force", 30)
    time.sleep(AWAY)
    restore(machine, name)
    now = wait_progress(machine, name, was, its)
    passed = (now[AT] - was[AT]) / 1000
    assert 0 < passed < time.monotonic() - began - AWAY + 0.5, (was, now)


@pytest.mark.parametrize("host", HOSTS)
def test_saved(host):
    options, rounds = HOSTS[host]
    with ArmMachine(make_image(CONFIG, arm.files(FILES)), **options) as machine:
        machine.boot()
        its = options.get("gic", 3) == 3
        for name, times in rounds.items():
            again_and_again(machine, name, ROUNDS or times, its)
            time_stands_still(machine, name, its)
            sizes = {row["name"]: row["state_bytes"] for row in machine.cmd("vm saved")["saved"]}
            assert sizes[name] < 1 << 20, sizes
            machine.cmd(f"stop {name} --force", 30)
            machine.cmd(f"vm drop {name}")
        assert machine.cmd("vm saved")["saved"] == []


def save_standing(machine, name):
    """Saves it where it is paused: in a save that begins while it runs it may end by itself. False:
    it has."""
    if not machine.ask(f"pause {name}", 30)["ok"]:
        return False
    stands = machine.wait_state(name, ("paused", "off", "crashed"), 30)["state"] == "paused"
    return stands and machine.cmd(f"vm save {name}", 60)["ok"]


def until_it_ends(machine, name, most=30):
    """Saved and restored as often as it can be before it ends by itself; how often, and its
    `info`."""
    machine.cmd(f"start {name}", 60)
    rounds = 0
    while rounds < most and save_standing(machine, name):
        machine.ask(f"stop {name} --force", 30)  # it may have ended in the meantime
        machine.wait_state(name, ("off",), 30)
        answer = machine.ask(f"vm restore {name}", 60)
        assert answer["ok"] or "debug-exit" in answer["error"], answer  # it was soon done
        rounds += 1
        time.sleep(0.2)
    info = machine.wait_state(name, ("off", "crashed"), 240)
    machine.cmd(f"vm drop {name}")
    return rounds, info


def test_others():
    with ArmMachine(make_image(CONFIG, arm.files(FILES)), model="max") as machine:
        machine.boot()
        for name in OTHERS:
            rounds, info = until_it_ends(machine, name)
            output = machine.output(name)
            assert info.get("exit_code") == PASSED and "FAIL" not in output, (
                f"{name}, saved {rounds} times: {info['state']} {info.get('why', '')}:\n"
                f"{output[-2000:]}")
            assert rounds > 0, name
            print(f"{name}: saved {rounds} times")
