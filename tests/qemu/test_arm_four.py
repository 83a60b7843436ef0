# SPDX-License-Identifier: BSD-2-Clause
"""Four ARM64 guests at once on two CPUs: what test_four shows on x86."""
import trivet
# noqa: F401
from test_four import (test_four_guests_make_progress, test_the_end_of_each_disturbs_none,
                       test_memory_comes_back)

KEYS = {"initrd": "initrd-arm64.img", "cmdline": "console=ttyAMA0 console=hvc0 quiet"}
CONFIG = ("[host]\nlog = info\n"
          + trivet.section("big", "vmlinuz-arm64", memory="384M", vcpus=4, **KEYS)
          + trivet.section("small", "vmlinuz-arm64", memory="256M", **KEYS)
          + trivet.section("tick-a", "hello-flat", memory="16M", cmdline="tick", kind="flat")
          + trivet.section("tick-b", "hello-image", memory="16M", cmdline="tick"))
MACHINE_TYPE = trivet.ArmMachine


def FILES():
    return {**trivet.debian_files(), "hello-flat": trivet.guest_file("arm/hello-flat"),
            "hello-image": trivet.guest_file("arm/hello-image")}
