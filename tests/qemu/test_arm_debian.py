"""Debian's kernel as an ARM64 guest: what test_debian shows on x86."""
import trivet
# In the order in which they run: each leaves its guest as the next one expects it.
from test_debian import (test_the_default_guest_comes_up_and_has_a_shell,  # noqa: F401
                         test_poweroff_inside_ends_the_guest_and_not_the_host, test_power_button_from_the_console,
                         test_reboot_inside_restarts_it, test_four_vcpus_under_load)

KEYS = {"initrd": "initrd-arm64.img", "cmdline": "console=ttyAMA0 console=hvc0 quiet", "disk": "disk.img"}
CONFIG = (trivet.section("debian", "vmlinuz-arm64", memory="512M", vcpus=2, **KEYS)
          + trivet.section("four", "vmlinuz-arm64", memory="384M", vcpus=4, autostart="no", **KEYS))
FILES = trivet.debian_files
MACHINE_TYPE = trivet.ArmMachine
