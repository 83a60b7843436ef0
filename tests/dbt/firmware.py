#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Debian's firmware for riscv64 in build/dbt/dbt: U-Boot in M-mode; OpenSBI of both kinds, which
starts U-Boot or Debian's kernel with two harts. Each powers the machine off at the end."""
import tempfile

import debian

OPENSBI = "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin"
OPENSBI_JUMP = "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_jump.bin"
UBOOT = "/usr/lib/u-boot/qemu-riscv64/u-boot.bin"
UBOOT_OF_SBI = "/usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin"


def uboot(machine):
    machine.wait("Hit any key to stop autoboot", 60)
    machine.say("")
    machine.wait("=> ", 60)
    machine.say("version")
    machine.wait("GNU ld", 60)
    machine.end("poweroff")


def opensbi(*arguments, firmware=OPENSBI):
    machine = debian.Machine("--engine", "jit", "--harts", "2", "--firmware", firmware, *arguments)
    machine.wait("Platform HART Count       : 2", 60)
    return machine


def main():
    uboot(debian.Machine("--engine", "jit", "--firmware", UBOOT))
    uboot(debian.Machine("--engine", "interpret", "--firmware", UBOOT))
    uboot(opensbi("--kernel", UBOOT_OF_SBI))
    uboot(opensbi("--kernel", UBOOT_OF_SBI, firmware=OPENSBI_JUMP))
    with tempfile.TemporaryDirectory() as where:
        machine = opensbi("--kernel", debian.KERNEL, "--initrd", debian.initrd(where),
                          "--append", "console=ttyS0 quiet")
        debian.talk(machine, 2)


if __name__ == "__main__":
    main()
