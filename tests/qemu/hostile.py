# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of hostile guests share: their configuration with a witness beside them, and
whether it runs on."""
import re
import time

from trivet import FAILED, PASSED, disk, guest_file, section

HOST = "[host]\nlog = debug\n" + section("witness", "hello-mb1", memory="16M",
                                         cmdline="tick every=20000000", debug_exit="yes")


# a timer at its fastest must leave instructions in between, as on a machine of today
BOCHS = {"ips": 150000000}


def hostile(name, image, cmdline, vcpus, memory="64M"):
    more = {"disk": "disk.img"} if image in ("hostile-ring", "hostile-escape") else {}
    if image == "hostile-firmware":
        return firmware(name, image, vcpus=vcpus, memory=memory)
    return section(name, image, cmdline=cmdline or "x", vcpus=vcpus, memory=memory,
                   debug_exit="yes", autostart="no", **more)


def firmware(name, image, **more):
    """A guest that is its machine's firmware."""
    return (f"[guest {name}]\nfirmware = {image}\ndebug-exit = yes\nscreen = yes\nautostart = no\n"
            + "".join(f"{key} = {value}\n" for key, value in more.items()))


def files(guests):
    """The images of the guests, and a disk."""
    return {"disk.img": disk(),
            **{image: guest_file(image)
               for image in sorted({what[0] for what in guests.values()} | {"hello-mb1"})}}


def ticks(machine, name="witness"):
    found = re.findall(r"tick (\d+)", machine.tail(name))
    return int(found[-1]) if found else -1


def check_witness(machine, before):
    """The witness counts on, was never reset, and Trivet answers at once."""
    info = machine.cmd("info witness")
    assert info["state"] == "running" and info["resets"] == 0, info
    end = time.monotonic() + 30
    while ticks(machine) <= before:
        assert time.monotonic() < end, f"the witness stands still at tick {before}"
        time.sleep(0.5)
    assert "Trivet has stopped" not in machine.text


def survive(machine, name, seconds):
    """Runs a guest that does its worst and ends by itself, having checked that it still works."""
    before = ticks(machine)
    machine.pass_guest(name, seconds)
    check_witness(machine, before)


# An attacker with victims on both sides of its memory, started in this order: free memory is handed
# out from below.
def neighbours(low, memory):
    """
    {name: (image, command line, vcpus, memory)}. low: where the victims' RAM begins; their images
    lie higher. memory: of a victim, so that it is made of pieces as large as the attacker's last
    one.
    """
    victim = ("hostile-victim", f"low={low:#x}", 1, memory)
    return {"victim-a": victim, "escape": ("hostile-escape", "rounds=60", 2, "16M"),
            "victim-b": victim}


def wait_output(machine, name, pattern, seconds):
    """Waits until the guest has printed something; returns the match."""
    end = time.monotonic() + seconds * machine.patience
    while not (found := re.search(pattern, machine.tail(name))):
        assert time.monotonic() < end, f"{name} has not said {pattern!r}:\n{machine.tail(name)}"
        time.sleep(0.25)
    return found


def start_and_wait(machine, name, pattern):
    machine.cmd(f"start {name}")
    wait_output(machine, name, pattern, 60)


def check_victim(machine, name):
    """The whole of its memory was looked at again since now, and nothing has changed."""
    before = ticks(machine, name)
    end = time.monotonic() + 60 * machine.patience
    while ticks(machine, name) < before + 2:
        info = machine.cmd(f"info {name}")
        assert info["state"] == "running" and info["resets"] == 0, (info, machine.tail(name))
        assert time.monotonic() < end, f"{name} stands still at tick {before}"
        time.sleep(0.25)
    assert "FAIL" not in machine.tail(name)


def no_escape(machine, seconds):
    """One guest tries to reach beyond its memory through its devices, while its neighbours watch
    theirs."""
    start_and_wait(machine, "victim-a", "watching")
    start_and_wait(machine, "escape", "ready")
    start_and_wait(machine, "victim-b", "watching")
    machine.send("console escape\r")
    machine.expect(r"\[console escape[^\n]*\n", 10, "attach")
    machine.send("g")
    machine.quiet(0.3, 2)
    machine.detach()
    code, output, info = machine.run_guest("escape", seconds, start=False)
    for name in ("victim-a", "victim-b"):
        check_victim(machine, name)
        machine.cmd(f"stop {name} --force")
    assert code == PASSED and "FAIL" not in output, (info, output[-2000:])


# what each vCPU of a guest that cannot end by itself has of a CPU before it is ended
CPU_NS = 10**9


def contain(machine, name, seconds):
    """Runs a guest that need not end: until it does, has had its time on a CPU, or so many seconds
    are over (it may sleep); then by force."""
    before, seen = ticks(machine), len(machine.logs)
    answer = machine.ask(f"start {name}", 60)
    # it may be over before the answer
    assert answer["ok"] or "did not start" in answer["error"], answer
    end = time.monotonic() + seconds
    while (info := machine.cmd(f"info {name}"))["state"] not in ("off", "crashed"):
        if info["cpu_ns"] >= CPU_NS * info["vcpus"] or time.monotonic() > end:
            answer = machine.ask(f"stop {name} --force", 30)
            # it may have ended at last
            assert (answer["state"] == "off" if answer["ok"]
                    else "is not running" in answer["error"]), answer
            break
        time.sleep(0.25)
    assert info.get("exit_code", -1) != FAILED or "unexpected" in machine.output(name)
    check_witness(machine, before)
    assert any(name in line for line in machine.logs[seen:]), "the log does not tell of it"
