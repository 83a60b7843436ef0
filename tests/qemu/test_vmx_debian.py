# SPDX-License-Identifier: BSD-2-Clause
"""Debian's kernel as a guest on Intel VMX, under Bochs: a shell with a few commands, then poweroff;
1 and 2 CPUs."""
import os

import pytest

import trivet
from bochs import Bochs
from test_debian import BAD, Shell, wait_ready

MACHINE_TYPE = Bochs
BOOT_SECONDS = 240
# with them Linux uses PCIDs and INVPCID, two page tables a process
MORE = {1: "mitigations=off", 2: ""}
CONFIG = "[host]\nlog = info\n" + "".join(
    trivet.section(f"debian-{n}", "vmlinuz", initrd="initrd.img", memory="128M", vcpus=n,
                   disk="disk.img", autostart="no",
                   cmdline=f"console=ttyS0 console=hvc0 quiet {more}".rstrip())
    for n, more in MORE.items())
FILES = trivet.debian_files
MACHINE = {"memory": 768, "cpus": int(os.environ.get("VMX_CPUS", "2"))}
SECONDS = 300


def faults(log):
    """The lines that should not be in a kernel's log; what it says of leaks in this kind of CPU is
    no fault."""
    return [line for line in log.splitlines() if BAD.search(line) and "leaks possible" not in line]


@pytest.mark.parametrize("cpus", MORE)
def test_shell_and_poweroff(machine, cpus):
    name = f"debian-{cpus}"
    assert "Intel VMX" in machine.text
    machine.cmd(f"start {name}", 60)
    assert wait_ready(machine, name, timeout=SECONDS) == cpus
    with Shell(machine, name) as shell:
        assert shell.number("nproc") == cpus
        assert "private to it" in shell.run("cat /mnt/disk/README")
        shell.run("echo hello >/mnt/disk/new && sync && cat /mnt/disk/new | grep -q hello")
        assert not faults(shell.run("dmesg"))
        assert "acpid" in shell.run("ps")
        machine.send("poweroff\r")
        machine.quiet(2, 10)
    info = machine.wait_state(name, ("off", "crashed"), 120)
    assert info["state"] == "off", info
