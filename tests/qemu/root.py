# SPDX-License-Identifier: BSD-2-Clause
"""A Debian root on a partition, which guests boot from and write to, and what is left of it when
the power goes. For test_root and tests/rounds."""
import os
import re
import shutil
import subprocess
import time

import trivet

IMAGE = os.path.join(trivet.TOP, "build/debian/root.img")
START, SIZE = 1 << 20, 384 << 20            # where images/debian/root puts the partition
RECORD = 4096
DEVICES = {"nvme": "nvme,serial=root,drive=root", "virtio": "virtio-blk-pci,serial=root,drive=root",
           "ahci": "ide-hd,bus=ide.1,serial=root,drive=root"}
COMMANDS = "console=hvc0 root=/dev/vda quiet"
# `writer` is in run level 4, where a journal is kept
GUESTS = {"root": COMMANDS, "writer": COMMANDS + " 4"}
# in place of Debian's, whose scripts take a minute of CPU time under emulation
INITTAB = """id:2:initdefault:
si::sysinit:/bin/mount -o remount,rw /
jo:4:respawn:/usr/bin/perl /opt/journal.pl >/dev/hvc0 2>&1
h0:24:respawn:/sbin/agetty -L hvc0 115200 vt100
"""


def tool(*command, codes=(0,)):
    done = subprocess.run(command, text=True, capture_output=True, timeout=120, check=False)
    assert done.returncode in codes, (f"{' '.join(command)}: {done.returncode}\n{done.stdout}"
                                      f"{done.stderr}")
    return done.stdout


def debugfs(path, command, write=False):
    return tool("/sbin/debugfs", *(["-w"] if write else []), "-R", command, path)


def partition(disk, path):
    """A copy of the partition of a disk, for e2fsprogs."""
    tool("dd", f"if={disk}", f"of={path}", "bs=1M", f"skip={START >> 20}", f"count={SIZE >> 20}",
         "conv=sparse", "status=none")


def make_disk(folder):
    """The root with the journal's program in it; its path."""
    subprocess.run([os.path.join(trivet.TOP, "images/debian/root"), IMAGE], check=True, timeout=300)
    disk, part = os.path.join(folder, "root.img"), os.path.join(folder, "part")
    shutil.copyfile(IMAGE, disk)
    partition(disk, part)
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "journal.pl")
    table = os.path.join(folder, "inittab")
    with open(table, "w", encoding="utf-8") as out:
        out.write(INITTAB)
    debugfs(part, f"write {program} /opt/journal.pl", True)
    debugfs(part, "rm /etc/inittab", True)
    debugfs(part, f"write {table} /etc/inittab", True)
    tool("dd", f"if={part}", f"of={disk}", "bs=1M", f"seek={START >> 20}", "conv=notrunc,sparse",
         "status=none")
    return disk


def records(part, path):
    """How many whole records the journal has, each as it was written."""
    with open(path, "wb"):
        pass
    debugfs(part, f"dump /var/journal.data {path}")
    n = 0
    with open(path, "rb") as journal:
        while len(record := journal.read(RECORD)) == RECORD:
            n += 1
            wanted = b"%010d" % n + bytes([97 + n % 26]) * (RECORD - 11) + b"\n"
            if record != wanted:
                return n - 1
    return n


def check(disk, folder, acknowledged):
    """The file system mends itself by its own log, has no further fault, and lacks no record."""
    part = os.path.join(folder, "part")
    partition(disk, part)
    tool("/sbin/e2fsck", "-p", part, codes=(0, 1))
    tool("/sbin/e2fsck", "-f", "-n", part)
    found = records(part, os.path.join(folder, "journal"))
    assert found >= acknowledged, f"record {acknowledged} was acknowledged; {found} are there"
    return found


def kept(machine):
    """The last record that the guest was told is on the disk; 0: none."""
    numbers = re.findall(r"kept (\d+)!", machine.text)
    return int(numbers[-1]) if numbers else 0


class Root:
    """A machine over one such disk, as often as wanted."""

    def __init__(self, folder, device="nvme"):
        debian = trivet.debian_files()
        self.folder, self.device = folder, DEVICES[device]
        self.disk = make_disk(folder)
        config = "".join(trivet.section(name, "vmlinuz", initrd="initrd.img", cmdline=line,
                                        memory="384M", disk="partlabel:root", autostart="no")
                         for name, line in GUESTS.items())
        self.image = trivet.make_image(config, {name: debian[name]
                                                for name in ("vmlinuz", "initrd.img")})

    def boot(self):
        drive = f"if=none,format=raw,snapshot=off,id=root,file={self.disk}"
        os.utime(self.image)            # in use: other tests leave it where it is
        machine = trivet.Machine(self.image, arguments=("-drive", drive, "-device",
                                                         self.device))
        try:
            return machine.boot()
        except BaseException:
            machine.close()
            raise

    def start(self, machine, name):
        """Its console is attached."""
        machine.cmd(f"start {name}", 60)
        machine.send(f"console {name}\r")
        machine.expect(rf"\[console {name}[^\n]*\n", 10, "attach")

    def login(self, machine, patience=300):
        machine.expect(r"login: ", patience, "no login")
        machine.send("root\r")
        machine.expect(r"# ", 60, "no shell")

    def write(self, machine, more, patience=300):
        """Waits until so many further records were acknowledged."""
        first, end = kept(machine), time.monotonic() + patience
        while kept(machine) < first + more:
            assert time.monotonic() < end, machine.screen()
            time.sleep(0.05)

    def cut(self, machine):
        """The power is gone, in the middle of writes. How many records are there."""
        machine.close()
        return check(self.disk, self.folder, kept(machine))
