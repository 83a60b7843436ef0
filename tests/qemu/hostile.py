"""What the tests of hostile guests share: their configuration with a witness beside them, and whether it runs on."""
import re
import time

from trivet import FAILED, disk, guest_file, section

HOST = "[host]\nlog = debug\n" + section("witness", "hello-mb1", memory="16M", cmdline="tick every=20000000", debug_exit="yes")


BOCHS = {"ips": 150000000}  # a timer at its fastest must leave instructions in between, as on a machine of today


def hostile(name, image, cmdline, vcpus):
    more = {"disk": "disk.img"} if image == "hostile-ring" else {}
    return section(name, image, cmdline=cmdline or "x", vcpus=vcpus, memory="64M", debug_exit="yes", autostart="no", **more)


def files(guests):
    """The images of the guests, and a disk."""
    return {"disk.img": disk(), **{image: guest_file(image) for image in sorted({what[0] for what in guests.values()} | {"hello-mb1"})}}


def ticks(machine):
    found = re.findall(r"tick (\d+)", machine.tail("witness"))
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


def survive(machine, name, seconds):
    """Runs a guest that does its worst and ends by itself, having checked that it still works."""
    before = ticks(machine)
    machine.pass_guest(name, seconds)
    check_witness(machine, before)


CPU_NS = 10**9              # what each vCPU of a guest that cannot end by itself has of a CPU before it is ended


def contain(machine, name, seconds):
    """Runs a guest that need not end: until it does, has had its time on a CPU, or so many seconds are over (it may sleep); then by force."""
    before, seen = ticks(machine), len(machine.logs)
    answer = machine.ask(f"start {name}", 60)
    assert answer["ok"] or "did not start" in answer["error"], answer     # it may be over before the answer
    end = time.monotonic() + seconds
    while (info := machine.cmd(f"info {name}"))["state"] not in ("off", "crashed"):
        if info["cpu_ns"] >= CPU_NS * info["vcpus"] or time.monotonic() > end:
            answer = machine.ask(f"stop {name} --force", 30)
            assert answer["state"] == "off" if answer["ok"] else "is not running" in answer["error"], answer    # it may have ended at last
            break
        time.sleep(0.25)
    assert info.get("exit_code", -1) != FAILED or "unexpected" in machine.output(name)
    check_witness(machine, before)
    assert any(name in line for line in machine.logs[seen:]), "the log does not tell of it"
