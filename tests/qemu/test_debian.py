# SPDX-License-Identifier: BSD-2-Clause
"""Debian's kernel as a guest: console, four vCPUs under load for a while, power and reset from
inside. Also run on ARM64, by test_arm_debian."""
import re
import time

import pytest

import trivet

CONFIG = trivet.section("debian", "vmlinuz", initrd="initrd.img",
                        cmdline="console=ttyS0 console=hvc0 quiet", memory="512M", vcpus=2,
                        disk="disk.img")
CONFIG += trivet.section("four", "vmlinuz", initrd="initrd.img", memory="384M", vcpus=4,
                         cmdline="console=ttyS0 console=hvc0 quiet",
                         disk="disk.img", autostart="no")
FILES = trivet.debian_files
MACHINE = {"memory": "2G"}
READY = r"trivet guest ready: (\d+) CPUs"
# Unsynchronized is what Linux calls every TSC that is not said to be invariant: QEMU's own is not.
BAD = re.compile(r"unstable(?! due to TSCs unsynchronized)|clocksource.*(skew|watchdog)|stall|"
                 r"unexpected irq|lockup|BUG:|WARNING: (?!See)|Call Trace|Oops|segfault|I/O error|"
                 r"nobody cared", re.I)
SECONDS = 60


class Shell:
    """A guest's shell on its console: attached while in use."""

    def __init__(self, machine, name):
        self.machine, self.name = machine, name

    def __enter__(self):
        self.machine.send(f"console {self.name}\r")
        self.machine.expect(rf"\[console {self.name}[^\n]*\n", 10, "attach")
        self.machine.quiet(0.5)
        return self

    def __exit__(self, *_):
        if self.machine.process.poll() is None:
            self.machine.detach()

    def number(self, command, timeout=60):
        return int(re.search(r"\d+", self.run(command, timeout)).group())

    def run(self, command, timeout=60):
        """The output of a command, between two words that the echo does not hold: the prompt and
        what it asks of a terminal have digits, too."""
        self.machine.send(f"echo be''gin; {command}; echo do''ne-$?\r")
        start = self.machine.expect(r"begin\r?\n", timeout, f"{self.name}: {command}").end()
        end = self.machine.expect(r"done-\d+", timeout, f"{self.name}: {command}")
        return self.machine.text[start:end.start()]


def times_ready(machine, name):
    """How often the guest said that it is up, as far back as its console remembers (64 KiB: several
    boots)."""
    return len(re.findall(READY, machine.output(name)))


def wait_ready(machine, name, before=0, timeout=150):
    """Waits until the guest has said that it is up more often than `before`; returns the number of
    CPUs. Two such lines may be the same."""
    end = time.monotonic() + timeout
    while True:
        found = re.findall(READY, machine.output(name))
        if len(found) > before:
            return int(found[-1])
        if time.monotonic() > end:
            raise trivet.Failure(f"{name} is not up after {timeout} s\n{machine.screen()}")
        time.sleep(1)


def bring_up(machine, name):
    """Starts it unless it runs, and waits until it is up: what an earlier start of it said, and its
    console still remembers, does not count. Returns the number of CPUs."""
    before = 0
    if machine.state(name) not in ("starting", "running"):
        before = times_ready(machine, name)
        machine.cmd(f"start {name}", 60)
    return wait_ready(machine, name, before)


def test_the_default_guest_comes_up_and_has_a_shell(machine):
    machine.wait_state("debian", ("running",), 60)
    assert wait_ready(machine, "debian") == 2
    with Shell(machine, "debian") as shell:
        assert shell.number("nproc") == 2
        assert "hvc0" in shell.run("tty")
        assert "private to it" in shell.run("cat /mnt/disk/README")
        assert "virtio" in shell.run("ls /sys/bus/virtio/drivers/*/")
        shell.run("echo hello >/mnt/disk/new && sync && cat /mnt/disk/new | grep -q hello")
        assert not BAD.search(shell.run("dmesg"))


def test_poweroff_inside_ends_the_guest_and_not_the_host(machine):
    wait_ready(machine, "debian")
    before = times_ready(machine, "debian")
    with Shell(machine, "debian"):
        machine.send("poweroff\r")
        machine.quiet(2, 10)
    info = machine.wait_state("debian", ("off", "crashed"), 60)
    assert info["state"] == "off", info
    assert machine.cmd("list")["ok"]
    machine.cmd("start debian", 60)
    wait_ready(machine, "debian", before)


def test_power_button_from_the_console(machine):
    wait_ready(machine, "debian")
    answer = machine.cmd("stop debian", 60)
    assert answer["state"] == "off"


def test_reboot_inside_restarts_it(machine):
    assert bring_up(machine, "four") == 4
    before = times_ready(machine, "four")
    with Shell(machine, "four"):
        machine.send("reboot\r")
        machine.quiet(2, 10)
    assert wait_ready(machine, "four", before) == 4
    assert machine.cmd("info four")["resets"] == 1


def timed(ask, clock=time.monotonic):
    """The answer, and two readings of a clock between which it was given: a busy machine gives it
    late."""
    before = clock()
    return ask(), (before, clock())


LOAD = ("for i in 1 2 3 4; do (while :; do dd if=/dev/urandom bs=64k count=16 2>/dev/null | "
        "md5sum; sleep 0.1; done) >/dev/null & done; "
        "(while :; do dd if=/dev/zero of=/mnt/disk/load bs=64k count=32 conv=fsync 2>/dev/null; "
        "done) & true")


@pytest.mark.parametrize("seconds", [SECONDS])
def test_four_vcpus_under_load(machine, seconds):
    bring_up(machine, "four")
    with Shell(machine, "four") as shell:
        shell.run("stty -echo; " + LOAD)
        first, began = timed(lambda: shell.number("date +%s"))
        time.sleep(seconds)
        last, ended = timed(lambda: shell.number("date +%s", 120))
        least, most = ended[0] - began[1], ended[1] - began[0]
        assert least - 2 < last - first < most + 2, (
            f"{last - first} s by the guest's clock, {least} to {most} by ours")
        shell.run("kill $(jobs -p); killall dd md5sum; sleep 1", 120)
        irqs = [sum(map(int, re.findall(r"\d+", line.split(":", 1)[1])[:4]))
                for line in shell.run("cat /proc/interrupts").splitlines()
                if "LOC:" in line or "arch_timer" in line]
        assert irqs and irqs[0] > 100
        text = shell.run("dmesg | tail -n 200", 180)
        assert not BAD.search(text), BAD.search(text).group() + "\n" + text[-3000:]
        source = shell.run("cat /sys/devices/system/clocksource/clocksource0/current_clocksource")
        assert source.split()[-1] in ("tsc", "kvm-clock", "arch_sys_counter")
        assert shell.number("nproc") == 4
    machine.cmd("stop four --force", 30)


# A disk's contents that must stay, checked without end; and all that the CPUs can give.
CHECKS = ("dd if=/dev/urandom of=/mnt/disk/kept bs=64k count=16 2>/dev/null; sync; "
          "md5sum /mnt/disk/kept >/tmp/sum; (while :; do echo 3 >/proc/sys/vm/drop_caches; "
          "md5sum -c /tmp/sum >/dev/null 2>&1 || touch /tmp/differs; done) & "
          "for i in 1 2 3; do (while :; do :; done) & done; true")


def test_saved_and_restored_under_load(machine):
    """It goes on where it was, with its disk; its uptime does not count the time away."""
    bring_up(machine, "four")
    with Shell(machine, "four") as shell:
        shell.run(CHECKS)
        up, began = timed(lambda: shell.number("cat /proc/uptime"))
    away = 0
    for _ in range(5):
        machine.cmd("vm save four", 120)
        left = time.monotonic()
        machine.cmd("stop four --force", 60)
        machine.cmd("vm restore four", 120)
        away += time.monotonic() - left
        with Shell(machine, "four") as shell:
            now, ended = timed(lambda: shell.number("cat /proc/uptime", 120))
            assert up <= now <= up + ended[1] - began[0] + 2, (up, now, began, ended)
            assert "gone" in shell.run("test -e /tmp/differs || echo gone", 120)
    assert now <= up + ended[1] - began[0] - away + 5
    with Shell(machine, "four") as shell:
        text = shell.run("dmesg | tail -n 200", 180)
        assert not BAD.search(text), BAD.search(text).group() + "\n" + text[-3000:]
    machine.cmd("stop four --force", 30)
    machine.cmd("vm drop four")
