"""The tiny guests and the hostile ones on Intel VMX, under Bochs: the lists are those of test_guests.py and test_hostile.py."""
import pytest

import test_guests
import test_hostile
from bochs import Bochs
from trivet import PASSED, guest_file, section

MACHINE_TYPE = Bochs
BOOT_SECONDS = 240
SLOWER = 3          # than QEMU, about
TINY = ["hello-mb1", "hello-mb2", "hello-pvh", "cpu", "apic", "smp-2", "timers"]
HOSTILE = ["task", "msr", "mmio", "cpu", "nmi-storm", "exits"]


def FILES():
    files = test_guests.FILES()
    images = {test_guests.GUESTS[name][0] for name in TINY} | {test_hostile.ENDING[name][0] for name in HOSTILE} | {"hello-mb1"}
    return {"m.txt": files["m.txt"], **{image: guest_file(image) for image in sorted(images)}}


def tiny(name):
    image, cmdline, vcpus, memory, _ = test_guests.GUESTS[name]
    more = {"module": test_guests.MODULE} if name.startswith("hello") else {}
    return section(name, image, cmdline=cmdline or "x", vcpus=vcpus, memory=memory, debug_exit="yes", autostart="no", **more)


CONFIG = ("[host]\nlog = info\n" + "".join(tiny(name) for name in TINY)
          + "".join(test_hostile.hostile("hostile-" + name, *test_hostile.ENDING[name][:3]) for name in HOSTILE)
          + section("witness", "hello-mb1", memory="16M", cmdline="tick", debug_exit="yes"))


def run(machine, name, seconds):
    code, output, info = machine.run_guest(name, seconds * SLOWER)
    assert code == PASSED, f"exit code {code}, state {info['state']} {info.get('why', '')}:\n{output[-3000:]}"
    assert "FAIL" not in output


@pytest.mark.parametrize("name", TINY)
def test_guest(machine, name):
    assert "Intel VMX" in machine.text
    run(machine, name, test_guests.GUESTS[name][4])


@pytest.mark.parametrize("name", HOSTILE)
def test_survives(machine, name):
    """A guest beside it that spins with interrupts off runs on."""
    run(machine, "hostile-" + name, test_hostile.ENDING[name][3])
    assert machine.state("witness") == "running"
