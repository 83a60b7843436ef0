# SPDX-License-Identifier: BSD-2-Clause
"""What test_nat shows on x86, on ARM64."""
import trivet
from test_nat import (make_rig, test_a_file, test_a_forward,  # noqa: F401
                      test_an_address_of_another, test_leases, test_pings_and_names)

MACHINE_TYPE = trivet.ArmMachine
KERNEL, INITRD, CMDLINE = "vmlinuz-arm64", "initrd-arm64.img", "console=hvc0 quiet"
