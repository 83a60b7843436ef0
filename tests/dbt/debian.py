#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""tests/dbt/debian.py [--engine NAME] [--harts N]: Debian's riscv64 kernel in build/dbt/dbt, to a
shell on the serial port that answers, counts CPUs and powers the machine off."""
import argparse
import glob
import lzma
import os
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEPS = os.path.join(TOP, "build/deps")
KERNEL = os.path.join(DEPS, "debian-kernel-riscv64/vmlinuz")
INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
exec /bin/busybox setsid /bin/busybox cttyhack /bin/busybox sh
"""
# What is typed, and what must come back.
TALK = [("echo sum $((6 * 7000 + 1))", "sum 42001"),
        ("/bin/busybox grep -c ^processor /proc/cpuinfo | /bin/busybox sed s/^/harts-/",
         "harts-{}"),
        ("/bin/busybox seq 1 2000 | /bin/busybox sha256sum | /bin/busybox cut -c1-16",
         "6251e5743b6fd6a7"),
        # time asks for the clock, which the C library reads by itself
        ("/bin/busybox time /bin/busybox awk 'BEGIN { printf \"%.12f\\n\", 1 / 7 * 22.5 }'",
         "3.214285714286")]


# Modules of the kernel, which are loaded by who wants a disk or a network, in this order.
MODULES = ["kernel/drivers/block/virtio_blk.ko", "kernel/net/core/failover.ko",
           "kernel/drivers/net/net_failover.ko", "kernel/drivers/net/virtio_net.ko"]


def unpack(module, path):
    """A module of the kernel without its debugging information."""
    packed, = glob.glob(os.path.join(DEPS, "debian-kernel-riscv64/usr/lib/modules/*", module) +
                        ".xz")
    with lzma.open(packed) as data, open(path, "wb") as out:
        out.write(data.read())
    subprocess.run(["riscv64-linux-gnu-strip", "--strip-unneeded", path], check=True)


def initrd(where):
    """busybox, an init that is its shell, and the modules."""
    root = os.path.join(where, "root")
    for name in ("bin", "dev", "lib", "proc"):
        os.makedirs(os.path.join(root, name))
    modules = [os.path.join("lib", os.path.basename(module)) for module in MODULES]
    for module, name in zip(MODULES, modules):
        unpack(module, os.path.join(root, name))
    busybox = os.path.join(DEPS, "busybox-riscv64/usr/bin/busybox")
    subprocess.run(["cp", busybox, os.path.join(root, "bin/busybox")], check=True)
    with open(os.path.join(root, "init"), "w", encoding="utf-8") as out:
        out.write(INIT)
    os.chmod(os.path.join(root, "init"), 0o755)
    path = os.path.join(where, "initrd")
    names = [".", "bin", "bin/busybox", "dev", "init", "lib", *modules, "proc"]
    for name in names:                  # the same bytes each time
        os.utime(os.path.join(root, name), (0, 0))
    with open(path, "wb") as out:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet", "--reproducible", "-R", "0:0"],
                       cwd=root, input="\n".join(names).encode(), stdout=out, check=True)
    return path


class Machine:
    """The program with these arguments, and a talk with its serial port."""

    def __init__(self, *arguments):
        self.text = ""
        self.process = subprocess.Popen(
            [os.path.join(TOP, "build/dbt/dbt"), "--stats", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        os.set_blocking(self.process.stdout.fileno(), False)

    def wait(self, what, limit):
        end = time.monotonic() + limit
        while what not in self.text:
            data = self.process.stdout.read()
            self.text += (data or b"").decode(errors="replace")
            if data == b"" or time.monotonic() > end:
                self.process.kill()
                sys.exit(f"{self.text[-3000:]}\nno {what!r}")
            time.sleep(0.02)

    def say(self, line):
        self.text = ""
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()


    def end(self, line):
        """It powers itself off; its counts are printed."""
        self.say(line)
        self.wait("device accesses", 60)
        if self.process.wait(10) != 0:
            sys.exit(f"{self.text}\nended with {self.process.returncode}")
        print(self.text[self.text.rindex("hart 0"):].strip())


def talk(machine, harts):
    """From the kernel's start to the end."""
    machine.wait("# ", 250)
    for line, answer in TALK:
        machine.say(line)
        machine.wait(answer.format(harts), 60)
    machine.end("/bin/busybox poweroff -f")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", default="interpret")
    parser.add_argument("--harts", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as where:
        machine = Machine("--kernel", KERNEL, "--initrd", initrd(where), "--append",
                          "console=ttyS0 quiet", "--harts", str(options.harts), "--engine",
                          options.engine)
        talk(machine, options.harts)


if __name__ == "__main__":
    main()
