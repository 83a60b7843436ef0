# SPDX-License-Identifier: BSD-2-Clause
"""A guest that runs Debian's programs: the small Debian guest of images/debian, whose first disk is
a root with them, for chroot."""
import os
import subprocess

import trivet

DIR = os.path.join(trivet.TOP, "build/tools")
CMDLINE = "console=hvc0 quiet"
BLANK = 128 << 20


def files():
    """{name on the stick: path}, after the set-up of this group."""
    subprocess.run([os.path.join(trivet.TOP, "tests/tools/setup"), DIR], check=True, timeout=3600)
    debian = trivet.debian_files()
    return {name: debian[name] for name in ("vmlinuz", "initrd.img")}


def root():
    return os.path.join(DIR, "root.img")


def blank(name):
    """A disk of zeros; QEMU keeps what is written to it only while it runs."""
    os.makedirs(trivet.WORK, exist_ok=True)
    path = os.path.join(trivet.WORK, f"blank-{name}.img")
    with open(path, "ab") as out:
        out.truncate(BLANK)
    return path


def drive(name, path, device):
    """QEMU's arguments for a disk."""
    return ("-drive", f"if=none,format=raw,id={name},file={path}",
            "-device", f"{device},drive={name}")


def enter(shell):
    """The root is at /mnt/disk, read-only, with memory where programs write."""
    text = shell.run("cd /mnt/disk && for d in dev proc sys; do mount --bind /$d $d; done; "
                     "cp -a etc /tmp/etc; mount --bind /tmp/etc etc; "
                     "for d in run tmp var; do mount -t tmpfs tmpfs $d; done; "
                     "mkdir -p var/lib/dhcp run/network; "
                     "while read -r m; do insmod modules/$m; done <modules/list; echo entered", 60)
    assert text.strip() == "entered", text
