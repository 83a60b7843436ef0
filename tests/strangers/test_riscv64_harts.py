# SPDX-License-Identifier: BSD-2-Clause
"""Debian's riscv64 kernel with two harts, each on a CPU of its own, on an x86-64 machine."""
import test_riscv64
import trivet
from test_debian import Shell

CONFIG = trivet.section("debian", "vmlinuz", initrd="initrd", memory="128M", vcpus=2,
                        autostart="no",
                        cmdline="console=ttyS0 console=hvc0 quiet cryptomgr.notests")


def FILES():
    return {"vmlinuz": test_riscv64.debian.KERNEL, "initrd": test_riscv64.initrd()}


def test_debian_has_a_shell(machine):
    test_riscv64.boots(machine, "debian")
    with Shell(machine, "debian") as shell:
        test_riscv64.answers(shell, 2)
