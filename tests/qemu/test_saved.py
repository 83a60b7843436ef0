# SPDX-License-Identifier: BSD-2-Clause
"""A guest under load is saved, ended, restored, and goes on: `vm save`, `stop --force`, `vm
restore`, again and again. tests/guests/saved.c checks its memory, registers and clocks, and counts
its interrupts; here each of the three counters must go on after each restore."""
import os
import re
import time

import pytest

from bochs import CYLINDER
from trivet import RAM_DISK, ROUNDS, WORK, disk, guest_file, scratch, section

BACKENDS = ("svm", "vmx")
# name: command line, vCPUs, memory, rounds on each engine, more keys
GUESTS = {
    "one": ("pages=256", 1, "16M", {"svm": 60, "vmx": 15}, {}),
    "two": ("pages=64", 2, "16M", {"svm": 20, "vmx": 15}, {}),
    "four": ("pages=64", 4, "32M", {"svm": 10, "vmx": 4}, {}),
    "disk": ("pages=64 disk", 2, "32M", {"svm": 15, "vmx": 6}, {"disk": "disk.img"}),
    # a disk of the host, two network devices, and pages that it writes to faster than they are
    # copied: see HOST_DISK
    "all": ("pages=16 disk net touch=1024", 2, "32M", {"svm": 5, "vmx": 2},
            {"net": ["lan,mac=02:00:00:00:00:01", "lan,mac=02:00:00:00:00:02"]}),
}
# name of the disk that `all` has: a file that each engine's machine writes to
HOST_DISK = {"svm": "nvme0", "vmx": "ide1"}
MACHINE = {"options": ("--nvme", os.path.join(WORK, "saved-svm.img"))}
BOCHS = {"second": os.path.join(WORK, "saved-vmx.img")}


def CONFIG(backend):
    more = {"all": {"disk": HOST_DISK[backend]}}
    return "[host]\nlog = info\n[net lan]\n" + "".join(
        section(name, "saved", cmdline=cmdline, vcpus=vcpus, memory=memory, autostart="no",
                **keys, **more.get(name, {}))
        for name, (cmdline, vcpus, memory, _, keys) in GUESTS.items())


LINE = re.compile(r"saved (\d+) timer (\d+) pit (\d+) token (\d+) bad (\d+) "
                  r"disk (\d+) (\d+) net (\d+)\s*$")
# the counters in a line that must grow; the fifth is `bad`
USED = {"disk": (0, 1, 2, 3, 5, 6), "all": (0, 1, 2, 3, 5, 6, 7)}


def FILES():
    for name in HOST_DISK:
        scratch(f"saved-{name}.img", bytes(16 * CYLINDER))
    return {"saved": guest_file("saved"), "disk.img": disk()}


def counters(machine, name):
    """What the guest said last, in whole lines: of one that was ended in the middle of a line, the
    restored one may go on with a word from another place of it."""
    lines = [row["text"] for row in machine.cmd(f"console {name} --tail")["lines"]]
    bad = [line for line in lines if "FAIL" in line or "TRAP" in line]
    assert not bad, bad
    said = [tuple(map(int, LINE.search(line).groups())) for line in lines if LINE.search(line)]
    return said[-1] if said else None


def wait_progress(machine, name, was, timeout=30):
    """Waits until every counter is above what it was: all but `bad`, and those of devices that it
    does not have."""
    end = time.monotonic() + timeout * machine.patience
    used = USED.get(name, (0, 1, 2, 3))
    while True:
        now = counters(machine, name)
        if now and (not was or all(now[i] > was[i] for i in used)):
            assert now[4] == 0, now
            return now
        assert time.monotonic() < end, f"{name} stands: {was}, then {now}\n{machine.screen()}"
        time.sleep(0.1)


def restore_again_and_again(machine, name, rounds):
    machine.cmd(f"start {name}", 60)
    now = wait_progress(machine, name, None, 60)
    sums = {"live_pages": 0, "paused_pages": 0, "stood_ns": 0, "took_ns": 0}
    for n in range(rounds):
        if name == "all":   # after one more write to its disk it could not be restored
            machine.cmd(f"pause {name}", 30)
        said = machine.cmd(f"vm save {name}", 60)
        sums = {key: sums[key] + said[key] for key in sums}
        machine.cmd(f"stop {name} --force", 30)
        state = machine.cmd(f"vm restore {name}", 60)
        assert state["state"] == "running", (n, state)
        now = wait_progress(machine, name, now)
    print(f"{name}: {rounds} saves, {sums}")
    # what it does not write to is copied while it runs; the rest, while it stands, and so is what
    # changed of a RAM disk: how much that is of `disk`'s depends on how far it has come
    changed = rounds * RAM_DISK // 4096 if name == "disk" else 0
    assert name == "all" or 0 < sums["paused_pages"] < sums["live_pages"] + changed, sums
    saved = {row["name"]: row for row in machine.cmd("vm saved")["saved"]}
    assert saved[name]["state_bytes"] < 1 << 20 < saved[name]["bytes"], saved
    if name == "all":
        check_sizes(machine, name)
        refused_after_a_write(machine, name)
    else:
        machine.cmd(f"stop {name} --force", 30)
    machine.cmd(f"vm drop {name}")
    assert machine.cmd("vm saved")["saved"] == []


def check_sizes(machine, name):
    """`vm sizes` lists what is saved: heads of records, and of the image, are 16 and 32 bytes."""
    machine.cmd(f"pause {name}", 30)
    said = machine.cmd(f"vm sizes {name}")
    machine.cmd(f"resume {name}", 30)
    rows = said["sizes"]
    print("\n".join("{object:<28} version {version}  {count:>2}  {bytes:>6} bytes".format(**row)
                    for row in rows))
    known = ("vCPU", "system registers", "virtio device")
    assert all(row["count"] and row["bytes"] for row in rows if row["object"] in known), rows
    assert said["state_bytes"] >= 32 + sum(16 * row["count"] + row["bytes"] for row in rows)
    devices = {row["object"]: row["count"] for row in rows}
    assert devices["virtio device"] == 5 and devices["disk"] == 1, rows


def refused_after_a_write(machine, name):
    """A disk of the host is not saved: after a write that came later, nothing is restored."""
    now = counters(machine, name)
    said = machine.cmd(f"vm save {name}", 60)
    assert said["live_pages"] > 1024 and said["paused_pages"] > 0, said
    wait_progress(machine, name, now)
    machine.cmd(f"stop {name} --force", 30)
    assert "was written to since" in machine.ask(f"vm restore {name}", 60)["error"]


@pytest.mark.parametrize("name", GUESTS)
def test_saved(machine, name):
    restore_again_and_again(machine, name, ROUNDS or GUESTS[name][3][machine.backend])


def test_memory_comes_back(machine):
    """What saved guests took is free again when they are dropped."""
    before = machine.cmd("memory")
    machine.cmd("start one", 60)
    wait_progress(machine, "one", None)
    machine.cmd("vm save one", 60)
    assert machine.cmd("memory")["saved_bytes"] > 1 << 20
    machine.cmd("stop one --force", 30)
    machine.cmd("vm drop one")
    end = time.monotonic() + 10
    while machine.cmd("memory")["saved_bytes"] and time.monotonic() < end:
        time.sleep(0.1)
    assert machine.cmd("memory")["saved_bytes"] == before["saved_bytes"] == 0


def test_refusals(machine):
    """What cannot be done is said, with what can be."""
    assert "vm save one" in machine.ask("vm restore one")["error"]
    assert "neither running nor paused" in machine.ask("vm save one")["error"]
    assert "nothing is saved" in machine.ask("vm drop one")["error"]
    assert "there is no guest" in machine.ask("vm save nobody")["error"]
    machine.cmd("start one", 60)
    machine.cmd("vm save one", 60)
    assert "stop one --force" in machine.ask("vm restore one")["error"]
    machine.cmd("stop one --force", 30)
    machine.cmd("vm drop one")
