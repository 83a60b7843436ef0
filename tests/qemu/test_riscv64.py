# SPDX-License-Identifier: BSD-2-Clause
"""riscv64 guests on an x86-64 machine, by the translator: a bare kernel that looks at its machine
and beyond it, beside a native guest; OpenSBI, which starts U-Boot; and Debian's kernel, with a disk
and a network. The last two are saved, ended and restored."""
import gzip
import hashlib
import lzma
import os
import struct
import subprocess
import sys
import tempfile

import trivet
from test_debian import Shell
from trivet import guest_file, section

CONFIG = section("one", "machine", memory="32M", debug_exit="yes", autostart="no", isa="riscv64")
CONFIG += section("two", "machine", memory="32M", vcpus=2, debug_exit="yes", autostart="no")
CONFIG += section("stays", "machine", memory="32M", cmdline="stay", autostart="no")
CONFIG += section("interpreted", "machine", memory="32M", cmdline="stay", engine="interpret",
                  autostart="no")
CONFIG += section("compiled", "machine", memory="32M", cmdline="stay", engine="jit",
                  autostart="no")
CONFIG += section("packed", "zboot", memory="32M", debug_exit="yes", autostart="no")
CONFIG += section("gzip", "gzip", memory="32M", debug_exit="yes", autostart="no", isa="riscv64")
CONFIG += section("xz", "xz", memory="32M", debug_exit="yes", autostart="no", isa="riscv64")
CONFIG += section("zstd", "zstd", memory="32M", debug_exit="yes", autostart="no")
CONFIG += section("native", "hello-mb1", cmdline="tick every=10000000", memory="16M",
                  autostart="no")


sys.path.append(os.path.join(trivet.TOP, "tests/dbt"))
import debian  # noqa: E402  tests/dbt/debian.py
import firmware  # noqa: E402  tests/dbt/firmware.py

CONFIG += section("firmware", "u-boot", firmware="opensbi", isa="riscv64", memory="64M", vcpus=2,
                  disk="disk", autostart="no")
CONFIG += section("elf", "u-boot", firmware="opensbi.elf", isa="riscv64", memory="64M",
                  autostart="no")

# Without the kernel's tests of its own ciphers, which are more than half of its work.
CONFIG += section("debian", "vmlinuz", initrd="initrd", memory="128M", autostart="no",
                  cmdline="console=ttyS0 console=hvc0 quiet cryptomgr.notests", disk="disk",
                  net="nat,ip=10.21.0.9")


def initrd():
    os.makedirs(trivet.WORK, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=trivet.WORK) as folder:
        with open(debian.initrd(folder), "rb") as data:
            return trivet.scratch("initrd-riscv64", data.read())


def packed():
    """The bare kernel as a gzip and an xz file, and by gzip and zstd in EFI zboot files."""
    with open(guest_file("riscv64/machine"), "rb") as data:
        plain = data.read()
    by_gzip = gzip.compress(plain, mtime=0)
    # as Linux's build packs it
    by_zstd = subprocess.run(["zstd", "-q", "-c", "-22", "--ultra"], input=plain, check=True,
                             capture_output=True).stdout
    return {name: trivet.scratch(f"machine-riscv64.{name}", data) for name, data in (
        ("gzip", by_gzip), ("xz", lzma.compress(plain, check=lzma.CHECK_CRC32)),
        ("zboot", zboot(by_gzip, b"gzip")), ("zstd", zboot(by_zstd, b"zstd22")))}


def zboot(payload, method):
    header = struct.pack("<4s4sII8x36sI", b"MZ", b"zimg", 128, len(payload), method, 64)
    efi = struct.pack("<4sH", b"PE\0\0", 0x5064)
    return (header + efi).ljust(128, b"\0") + payload + struct.pack("<I", len(payload))


def FILES():
    return {"machine": guest_file("riscv64/machine"), "hello-mb1": guest_file("hello-mb1"),
            **packed(), "disk": trivet.disk(),
            "opensbi": firmware.OPENSBI, "opensbi.elf": firmware.OPENSBI.replace(".bin", ".elf"),
            "u-boot": firmware.UBOOT_OF_SBI,
            "vmlinuz": debian.KERNEL, "initrd": initrd()}


def test_one_hart(machine):
    output = machine.pass_guest("one", 60)
    assert output.count("PASS") >= 9 and "the serial port" in output


def test_two_harts_beside_a_native_guest(machine):
    machine.cmd("start native", 60)
    output = machine.pass_guest("two", 60)
    assert "PASS the second hart takes an interrupt, and stops" in output
    assert "PASS a hart that starts runs what is there now" in output
    assert machine.state("native") == "running"
    assert "x86_64" not in machine.cmd("info two").get("why", "")
    machine.cmd("stop native --force", 30)


def test_compressed_kernels(machine):
    for name in ("gzip", "packed", "xz", "zstd"):
        assert "PASS" in machine.pass_guest(name, 60)


def test_a_guest_is_reset_and_stopped(machine):
    machine.cmd("start stays", 60)
    machine.cmd("reset stays", 30)
    assert machine.state("stays") == "running"
    machine.cmd("stop stays --force", 30)
    assert machine.state("stays") == "off"


def test_the_engine_is_chosen_and_counts(machine):
    found = {}
    for name in ("interpreted", "compiled", "stays"):
        machine.cmd(f"start {name}", 60)
        machine.wait_output(name, "it stays", 60)
        found[name] = machine.cmd(f"stats {name}")
        machine.cmd(f"stop {name} --force", 30)
    plain, compiled, auto = found["interpreted"], found["compiled"], found["stays"]
    assert plain["units"] == plain["code_bytes"] == plain["compiled_ns"] == 0
    assert plain["interpreted"] == plain["instructions"] > 1000
    assert compiled["units"] > auto["units"] and compiled["units_live"] > 0
    assert compiled["interpreted"] < auto["interpreted"] < auto["instructions"]
    assert 0 < compiled["compiled_ns"] < compiled["engine_ns"]


def moved(machine, guest):
    """The guest is saved, ended and restored."""
    machine.cmd(f"vm save {guest}", 120)
    machine.cmd(f"stop {guest} --force", 30)
    machine.cmd(f"vm restore {guest}", 120)
    machine.wait_state(guest, ("running",), 60)
    machine.cmd(f"vm drop {guest}")


def attach(machine, guest):
    machine.send(f"console {guest}\r")
    machine.expect(rf"\[console {guest}[^\n]*\n", 10, "attach")


def test_opensbi_starts_uboot(machine):
    machine.cmd("start firmware", 60)
    attach(machine, "firmware")
    machine.expect(r"OpenSBI v\d.*Platform HART Count       : 2.*U-Boot \d.*Hit any key", 120)
    machine.send("\r")
    machine.expect("=> ", 60)
    machine.send("pci enum; virtio scan; virtio info\r")
    machine.expect(r"VirtIO Block Device.*Capacity: 1\.0 MB.*=> ", 60)
    machine.send("setenv here before; sleep 1; echo slept\r")
    machine.expect(r"\nslept.*=> ", 60)
    machine.detach()
    moved(machine, "firmware")
    attach(machine, "firmware")
    machine.send("sleep 1; echo now and $here; virtio read 83000000 0 8; sbi\r")
    machine.expect(r"now and before.*8 blocks read: OK.*SBI 1\.\d.*OpenSBI 1\.\d.*=> ", 60)
    machine.send("poweroff\r")
    machine.quiet(1, 10)
    machine.detach()
    info = machine.wait_state("firmware", ("off", "crashed"), 60)
    assert info["state"] == "off" and "powered itself off" in info["why"], info
    assert info["firmware"] == "opensbi" and info["variables_kept"] is None, info


def test_firmware_of_another_kind_is_refused(machine):
    assert "fw_dynamic.bin" in machine.ask("start elf", 60)["error"]


# The last one that closes a block device has its pages written and forgotten.
DISK = ("/bin/busybox insmod /lib/virtio_blk.ko; /bin/busybox seq 1 20000 >/dev/vda; "
        "/bin/busybox head -c 108894 /dev/vda | /bin/busybox sha256sum")


NETWORK = ("for m in failover net_failover virtio_net; do /bin/busybox insmod /lib/$m.ko; done; "
           "/bin/busybox ip link set eth0 up; /bin/busybox ip addr add 10.21.0.9/24 dev eth0; "
           "/bin/busybox ping -q -c 1 -W 20 10.21.0.1")


def boots(machine, guest):
    """Debian's kernel to its shell."""
    machine.cmd(f"start {guest}", 60)
    machine.wait_output(guest, "# ", 600)


def answers(shell, harts):
    for line, answer in debian.TALK:
        assert answer.format(harts) in shell.run(line)


def uptime(shell):
    return shell.number("/bin/busybox cut -d . -f 1 /proc/uptime")


def goes_on(machine, guest):
    """Debian's kernel, saved and restored: its shell, clock, disk and network."""
    with Shell(machine, guest) as shell:
        assert "1 packets received" in shell.run(NETWORK, 120)
        shell.run("here=before; (while :; do /bin/busybox seq 1 500; done >/dev/null) & :")
        was = uptime(shell)
    moved(machine, guest)
    with Shell(machine, guest) as shell:
        assert "now and before" in shell.run("echo now and $here")
        assert was <= uptime(shell) < was + 120
        assert "1 packets received" in shell.run("/bin/busybox ping -q -c 1 -W 20 10.21.0.1", 60)
        shell.run("kill $!")


def test_debian_has_a_shell_a_disk_and_a_network(machine):
    boots(machine, "debian")
    with Shell(machine, "debian") as shell:
        answers(shell, 1)
        consoles = shell.run("/bin/busybox cat /proc/consoles")
        assert "hvc0" in consoles and "ttyS0" in consoles
        assert "by the serial port" in shell.run("echo by the serial port >/dev/ttyS0")
        written = "".join(f"{n}\n" for n in range(1, 20001)).encode()
        assert hashlib.sha256(written).hexdigest() in shell.run(DISK, 300)
    goes_on(machine, "debian")
    with Shell(machine, "debian") as shell:
        again = shell.run("/bin/busybox head -c 108894 /dev/vda | /bin/busybox sha256sum", 60)
        assert hashlib.sha256(written).hexdigest() in again
        machine.send("/bin/busybox poweroff -f\r")
        machine.quiet(1, 10)
    info = machine.wait_state("debian", ("off", "crashed"), 60)
    assert info["state"] == "off" and "powered itself off" in info["why"], info


def test_without_svm_riscv64_runs_all_the_same():
    with trivet.Machine(trivet.make_image(CONFIG, FILES()),
                        arguments=("-cpu", "EPYC-v3,-svm")) as machine:
        machine.boot()
        machine.pass_guest("one", 60)
