"""Debian's kernel as a guest on Intel VMX, under Bochs: a shell with a few commands, then poweroff; 1 and 2 CPUs."""
import pytest

import trivet
from bochs import Bochs
from test_debian import BAD, Shell, wait_ready

MACHINE_TYPE = Bochs
BOOT_SECONDS = 240
CMDLINE = "console=ttyS0 console=hvc0 quiet mitigations=off lpj=4000000"
CONFIG = "[host]\nlog = info\n" + "".join(
    trivet.section(f"debian-{n}", "vmlinuz", initrd="initrd.img", memory="128M", vcpus=n, cmdline=CMDLINE, disk="disk.img", autostart="no")
    for n in (1, 2))
FILES = trivet.debian_files
MACHINE = {"memory": 768}
SECONDS = 300


@pytest.mark.parametrize("cpus", [1, 2])
def test_shell_and_poweroff(machine, cpus):
    name = f"debian-{cpus}"
    assert "Intel VMX" in machine.text
    machine.cmd(f"start {name}", 60)
    assert wait_ready(machine, name, timeout=SECONDS) == cpus
    with Shell(machine, name) as shell:
        assert shell.number("nproc") == cpus
        assert "private to it" in shell.run("cat /mnt/disk/README")
        shell.run("echo hello >/mnt/disk/new && sync && cat /mnt/disk/new | grep -q hello")
        log = shell.run("dmesg")
        assert not BAD.search(log), BAD.search(log).group() + "\n" + log[-3000:]
        machine.send("poweroff\r")
        machine.quiet(2, 10)
    info = machine.wait_state(name, ("off", "crashed"), 120)
    assert info["state"] == "off", info
