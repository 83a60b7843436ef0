# SPDX-License-Identifier: BSD-2-Clause
"""Debian's kernel on each kind of ARM64 machine: without VHE and with it, GICv2 and GICv3, ACPI and
device tree."""
import pytest

import trivet
from test_arm_debian import KEYS, acpi_guest_is_whole
from test_debian import BAD, Shell, wait_ready

CONFIG = (trivet.section("debian", "vmlinuz-arm64", memory="256M", vcpus=2, **KEYS)
          + trivet.section("acpi", "vmlinuz-arm64", memory="256M", vcpus=2, autostart="no",
                           acpi="yes", **KEYS))
MACHINES = [{"model": "cortex-a72", "gic": 2}, {"model": "cortex-a72", "gic": 3, "acpi": False},
            {"model": "cortex-a72", "gic": 2, "acpi": False},
            {"model": "max", "gic": 3}, {"model": "max", "gic": 2, "acpi": False}]
SPECULATION = {"cortex-a72": "Spectre v2: open to it; branch history: mitigated; v4: open to it",
               "max": "at each exit: nothing"}
# MSIs by GICv2m; the host's own tables are no matter
GUEST_BY_ACPI_TOO = {"model": "max", "gic": 2, "acpi": False}


@pytest.mark.parametrize("machine_is", MACHINES,
                         ids=lambda m: f"{m['model']}-gic{m['gic']}-"
                                       f"{'acpi' if m.get('acpi', True) else 'fdt'}")
def test_debian_comes_up(machine_is):
    with trivet.ArmMachine(trivet.make_image(CONFIG, trivet.debian_files()), memory="1G",
                           **machine_is) as machine:
        machine.boot()
        source = "ACPI" if machine_is.get("acpi", True) else "device tree"
        assert f"machine from {source}" in machine.text
        assert SPECULATION[machine_is["model"]] in machine.text
        assert wait_ready(machine, "debian") == 2
        with Shell(machine, "debian") as shell:
            assert "private to it" in shell.run("cat /mnt/disk/README")
            assert "MSI" in shell.run("cat /proc/interrupts")
            text = shell.run("dmesg")
            assert not BAD.search(text), text
        assert machine.cmd("stop debian", 60)["state"] == "off"
        if machine_is == GUEST_BY_ACPI_TOO:
            machine.cmd("start acpi", 60)
            assert wait_ready(machine, "acpi") == 2
            acpi_guest_is_whole(machine, "APIC DSDT FACP GTDT MCFG PPTT SPCR SSDT", "MSI")
