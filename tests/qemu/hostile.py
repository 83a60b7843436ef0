"""What the tests of hostile guests share: their configuration with a witness beside them, and whether it runs on."""
import os
import re
import time

from trivet import WORK, guest_file, section

HOST = "[host]\nlog = debug\n" + section("witness", "hello-mb1", memory="16M", cmdline="tick every=20000000", debug_exit="yes")


BOCHS = {"ips": 150000000}  # a timer at its fastest must leave instructions in between, as on a machine of today


def hostile(name, image, cmdline, vcpus):
    more = {"disk": "disk.img"} if image == "hostile-ring" else {}
    return section(name, image, cmdline=cmdline or "x", vcpus=vcpus, memory="64M", debug_exit="yes", autostart="no", **more)


def files(guests):
    """The images of the guests, and a disk."""
    os.makedirs(WORK, exist_ok=True)
    disk = os.path.join(WORK, "disk.img")
    with open(disk, "wb") as out:
        out.truncate(1 << 20)
    return {"disk.img": disk, **{image: guest_file(image) for image in sorted({what[0] for what in guests.values()} | {"hello-mb1"})}}


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
