# SPDX-License-Identifier: BSD-2-Clause
"""An ARM64 guest that UEFI firmware starts by a device tree: `acpi = no`."""
import trivet
from test_arm_uefi import FILES, starts_debian  # noqa: F401

CONFIG = """[host]
log = info
[guest tree]
firmware = uefi
acpi = no
disk = esp.img,ro
memory = 256M
autostart = no
"""
MACHINE_TYPE = trivet.ArmMachine


def test_debian_by_device_tree(machine):
    starts_debian(machine, "tree", "devicetree/base", 1)
