"""Hostile guests: whatever one does, Trivet answers, the log says what it did, and a witness beside it runs on."""
import re
import time

import pytest

from trivet import FAILED, PASSED, WORK, Failure, guest_file, section

RUN = 6             # seconds that a guest which cannot end by itself is left to run

# name: image, command line, vcpus, seconds. These end by themselves, having checked that they still work.
ENDING = {
    "mmio": ("hostile-mmio", "", 1, 120),
    "pio": ("hostile-pio", "", 1, 240),
    "msr": ("hostile-msr", "", 1, 120),
    "cpu": ("hostile-cpu", "", 1, 120),
    "irq": ("hostile-irq", "", 2, 120),
    "irq-x2": ("hostile-irq", "x2apic seed=5", 2, 120),
    "ring": ("hostile-ring", "", 1, 240),
    "nmi-storm": ("hostile-cpu", "nmi-storm rounds=20000", 1, 120),
    "exits": ("hostile-cpu", "exits rounds=300000", 1, 120),
}
# These need not end: they run for a while, and are ended by force where they still run.
ENDLESS = {
    "triple-ever": ("hostile-triple", "", 1),
    "halt": ("hostile-halt", "", 3),
    "spin": ("hostile-spin", "", 3),
    "storm": ("hostile-irq", "storm", 3),
    "pio-lethal": ("hostile-pio", "lethal", 1),
    **{f"mmio-{word}": ("hostile-mmio", f"{word} at=0xfee00000", 1) for word in ("cr3", "table", "idt", "gdt", "exec", "stack", "tss")},
    "hole-cr3": ("hostile-mmio", "cr3 at=0xfea00000", 1),
    "hole-exec": ("hostile-mmio", "exec at=0x10000000000", 1),
    **{word: ("hostile-cpu", word, 1) for word in ("smep", "cr3", "df-loop", "task", "real")},
    **{f"cr{cr}-{bit}": ("hostile-cpu", f"cr{cr}flip={bit}", 1) for cr, bit in ((0, 0), (0, 31), (4, 5), (4, 12), (4, 40), (3, 60))},
    **{f"random-{seed}": ("hostile-cpu", f"random seed={seed} rounds=5000", 1) for seed in (1, 2, 3, 4, 5, 6)},
}


def hostile(name, image, cmdline, vcpus):
    more = {"disk": "disk.img"} if image == "hostile-ring" else {}
    return section(name, image, cmdline=cmdline or "x", vcpus=vcpus, memory="64M", debug_exit="yes", autostart="no", **more)


CONFIG = ("[host]\nlog = debug\n" + section("witness", "hello-mb1", memory="16M", cmdline="tick", debug_exit="yes")
          + "".join(hostile(name, *what[:3]) for name, what in {**ENDING, **ENDLESS}.items()))


def FILES():
    import os
    os.makedirs(WORK, exist_ok=True)
    disk = os.path.join(WORK, "disk.img")
    with open(disk, "wb") as out:
        out.truncate(1 << 20)
    images = {what[0] for what in {**ENDING, **ENDLESS}.values()} | {"hello-mb1"}
    return {"disk.img": disk, **{image: guest_file(image) for image in sorted(images)}}


def ticks(machine):
    found = re.findall(r"tick (\d+)", machine.output("witness"))
    return int(found[-1]) if found else -1


def check_witness(machine, before):
    """The witness counts on, was never reset, and Trivet answers at once."""
    info = machine.cmd("info witness")
    assert info["state"] == "running" and info["resets"] == 0, info
    end = time.monotonic() + 30
    while ticks(machine) <= before:
        assert time.monotonic() < end, f"the witness stands still at tick {before}"
        time.sleep(0.5)
    assert "panic" not in "\n".join(machine.logs).lower()


@pytest.mark.parametrize("name", ENDING)
def test_survives(machine, name):
    before = ticks(machine)
    code, output, info = machine.run_guest(name, ENDING[name][3])
    assert code == PASSED, f"exit code {code}, state {info['state']} {info.get('why', '')}:\n{output[-3000:]}"
    assert "FAIL" not in output
    check_witness(machine, before)


@pytest.mark.parametrize("name", ENDLESS)
def test_is_contained(machine, name):
    before, seen = ticks(machine), len(machine.logs)
    answer = machine.ask(f"start {name}", 60)
    assert answer["ok"] or "did not start" in answer["error"], answer     # it may be over before the answer
    try:
        info = machine.wait_state(name, ("off", "crashed"), RUN)
    except Failure:
        info = machine.cmd(f"info {name}")
        assert machine.cmd(f"stop {name} --force", 30)["state"] == "off"
    assert info.get("exit_code", -1) != FAILED or "unexpected" in machine.output(name)
    check_witness(machine, before)
    assert any(name in line for line in machine.logs[seen:]), "the log does not tell of it"
