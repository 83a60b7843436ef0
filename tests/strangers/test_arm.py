# SPDX-License-Identifier: BSD-2-Clause
"""Debian's kernels for ARM64, by device tree and by ACPI."""
import pytest

import strangers
import trivet

KERNELS = ("full", "rt", "backports", "cloud")
GUESTS = {f"{name}-{how}": (name, how) for name in KERNELS for how in ("fdt", "acpi")}
CONFIG = "".join(trivet.section(guest, name, initrd="initrd.img", cmdline="console=ttyAMA0",
                                memory="512M", vcpus=2, autostart="no",
                                acpi="yes" if how == "acpi" else "no")
                 for guest, (name, how) in GUESTS.items())
MACHINE_TYPE = trivet.ArmMachine


def FILES():
    return strangers.fetched({**{name: f"arm64-{name}/vmlinuz" for name in KERNELS},
                              "initrd.img": "initrd-arm64.img"})


@pytest.mark.parametrize("guest", GUESTS)
def test_kernel(machine, guest):
    output = strangers.reach(machine, guest, [r"strangers: \d+ processor devices"])
    strangers.linux(output, 2)
