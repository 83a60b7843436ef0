# SPDX-License-Identifier: BSD-2-Clause
"""The log on the machine's screen beside the serial line, and panics on both, with more CPUs than
Trivet uses."""
import os
import re
import time

import pytest

import gdbstub
import screen
import trivet
from test_checks import ARGUMENT, symbol
from trivet import ArmMachine, Failure, Machine, make_image

CONFIG = "[host]\nlog = info\n"


def shown(machine, wanted, device=None):
    """Waits until the screen shows it; returns the screen."""
    end = time.monotonic() + 60 * machine.patience
    while time.monotonic() < end:
        rows = screen.read(machine, device)
        if any(wanted in row for row in rows):
            return rows
        time.sleep(0.2)
    raise Failure(f"the screen does not show {wanted!r}:\n" + "\n".join(rows))


def test_panic_with_more_cpus_than_are_used():
    """The log and what is typed are on both; a panic stops our CPUs and wakes no others, which
    would run what is left of the firmware's code and reset the machine."""
    path = os.path.join(trivet.WORK, f"gdb-{os.getpid()}")
    arguments = ("-device", "VGA", "-gdb", f"unix:{path},server=on,wait=off", "-no-reboot")
    config = CONFIG + "max-cpus = 64\n"
    # one CPU more than is left over: on a busy host one may be too late to be used
    with Machine(make_image(config, {}), cpus=66, arguments=arguments) as machine:
        machine.boot()
        assert "this machine has 66 CPUs; Trivet uses the first 64" in machine.text, (
            machine.screen())
        # each CPU logs for itself, and no line is cut by another's
        up = re.findall(r"^\[ *[0-9.]+\] CPU \d+: APIC id \d+ is up\r?$", machine.text, re.M)
        assert len(up) == 63, machine.screen()
        assert machine.cmd("version")
        rows = shown(machine, '"command":"version"')
        assert any("Trivet uses the first 64" in row for row in rows)
        with gdbstub.Stub(path) as stub:
            stub.write(ARGUMENT["x86_64"], 100000)
            stub.write(gdbstub.PC["x86_64"], symbol("x86_64", "cpu_kick"))
            stub.leave()
        machine.send("\r")
        machine.expect(r"\*\*\* Trivet has stopped on CPU 0: .*\*\*\* This is a fault", 60)
        os.unlink(path)
        shown(machine, "*** This is a fault of Trivet's own")
        assert any("bounds check failed at cpu_kick+" in row for row in screen.read(machine))
        time.sleep(1)
        assert machine.process.poll() is None


def press(machine, keys):
    """Presses keys of the PC's keyboard one after the other; "shift-a" is both at once."""
    for key in keys:
        both = [{"type": "qcode", "data": name} for name in key.split("-")]
        machine.qmp("send-key", keys=both, **{"hold-time": 20})
        time.sleep(0.1)


@pytest.mark.parametrize("arch", ("x86_64", "aarch64"))
def test_the_screen_that_has_a_framebuffer(arch):
    """Beside a display that has none: UEFI lists both, and its console is on both. What is typed on
    a USB keyboard, here behind an IOMMU, on a PC on a hub, is a command, with the shell's own keys;
    when it was taken out, a PC's own keyboard types."""
    kind, card, *usb = {
        "x86_64": (Machine, "VGA", "-device", "intel-iommu,intremap=on", "-device", "qemu-xhci",
                   "-device", "usb-hub,port=2", "-device", "usb-kbd,id=keys,port=2.3"),
        "aarch64": (ArmMachine, "ramfb", "-M", "iommu=smmuv3", "-device", "qemu-xhci",
                    "-device", "usb-kbd,id=keys")}[arch]
    arguments = ("-device", "virtio-gpu-pci", "-device", card + ",id=seen", *usb)
    with kind(make_image(CONFIG, {}), arguments=arguments) as machine:
        machine.boot()
        assert "screen: framebuffer" in machine.text
        rows = shown(machine, "trivet>", "seen")
        assert any("starting 0 of 0 guests" in row for row in rows)
        shown(machine, "USB keyboard 0627:0001 on port", "seen")
        press(machine, [*"json", "spc", *"off", "ret"]) # programs that talk JSON edit no lines
        shown(machine, '"command":"json"', "seen")
        press(machine, [*"mem", "shift-x", "backspace", *"ory", "ret"])
        machine.expect(r"Guests' RAM +0 B", 30)
        shown(machine, "trivet> memory", "seen")
        machine.qmp("device_del", id="keys")
        machine.expect("USB keyboard 0627:0001 is gone", 30)
        if arch == "x86_64": # its own keyboard
            press(machine, ["up", "ctrl-c"])
            shown(machine, "trivet> memory^C", "seen")
