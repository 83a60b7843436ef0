# SPDX-License-Identifier: BSD-2-Clause
"""What test_uplink shows on x86, on ARM64: there the NIC is polled."""
import trivet
from test_uplink import (make_rig, test_a_lease_and_a_file,  # noqa: F401
                         test_the_link_goes_and_comes, test_who_has_it)

NICS = ("virtio", "e1000e")
MACHINE_TYPE = trivet.ArmMachine
KERNEL, INITRD = "vmlinuz-arm64", "initrd-arm64.img"
