# SPDX-License-Identifier: BSD-2-Clause
"""What test_nvme shows on x86, on ARM64: there the controllers are polled."""
import trivet
from test_nvme import (make_rig, test_an_end_in_the_middle_of_writes,  # noqa: F401
                       test_an_error_is_the_guests,
                       test_what_was_flushed_survives_the_machine, test_who_holds_what)

KERNEL, INITRD = "vmlinuz-arm64", "initrd-arm64.img"
MACHINE_TYPE = trivet.ArmMachine
