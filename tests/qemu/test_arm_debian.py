# SPDX-License-Identifier: BSD-2-Clause
"""Debian's kernel as an ARM64 guest: what test_debian shows on x86; and a guest that gets ACPI's
tables instead of a device tree."""
import time

import trivet
# In the order in which they run: each leaves its guest as the next one expects it.
from test_debian import (test_the_default_guest_comes_up_and_has_a_shell,  # noqa: F401
                         test_poweroff_inside_ends_the_guest_and_not_the_host,
                         test_power_button_from_the_console,
                         test_reboot_inside_restarts_it, test_four_vcpus_under_load, BAD, Shell,
                         timed, times_ready, wait_ready)

KEYS = {"initrd": "initrd-arm64.img", "cmdline": "console=ttyAMA0 console=hvc0 quiet",
        "disk": "disk.img"}
CONFIG = (trivet.section("debian", "vmlinuz-arm64", memory="512M", vcpus=2, **KEYS)
          + trivet.section("four", "vmlinuz-arm64", memory="384M", vcpus=4, autostart="no", **KEYS)
          + trivet.section("acpi", "vmlinuz-arm64", memory="256M", vcpus=2, autostart="no",
                           acpi="yes", **KEYS))
FILES = trivet.debian_files
MACHINE_TYPE = trivet.ArmMachine


def acpi_guest_is_whole(machine, tables, msi):
    """Every device that the tables name has its driver; the wall time is the clock's."""
    with Shell(machine, "acpi") as shell:
        names = shell.run("ls /sys/firmware/acpi/tables").split()
        assert not set(tables.split()) - set(names), names
        assert "private to it" in shell.run("cat /mnt/disk/README")
        irqs = shell.run("cat /proc/interrupts")
        for name in (msi, "rtc-pl031", "uart-pl011", "ACPI:Event"):
            assert name in irqs, irqs
        date, (least, most) = timed(lambda: shell.number("date +%s"), time.time)
        assert least - 60 < date < most + 60
        assert shell.number("nproc") == 2
        assert shell.number("ls -d /sys/devices/system/cpu/cpu[0-9]*/topology | wc -l") == 2
        text = shell.run("dmesg")
        assert not BAD.search(text), text


def test_a_guest_by_acpi_with_reboot_and_power_button(machine):
    machine.cmd("start acpi", 60)
    assert wait_ready(machine, "acpi") == 2
    acpi_guest_is_whole(machine, "APIC DSDT FACP GTDT IORT MCFG PPTT SPCR SSDT", "ITS-MSI")
    before = times_ready(machine, "acpi")
    with Shell(machine, "acpi"):
        machine.send("reboot\r")
        machine.quiet(2, 10)
    assert wait_ready(machine, "acpi", before) == 2
    assert machine.cmd("info acpi")["resets"] == 1
    assert machine.cmd("stop acpi", 60)["state"] == "off"
