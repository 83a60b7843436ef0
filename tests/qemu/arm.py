# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of tiny ARM64 guests share: sections and files for images of tests/guests/arm."""
import os

from hostile import firmware
from trivet import disk, guest_file, section

HOST = "[host]\nlog = debug\n" + section("witness", "hello-image", memory="16M", cmdline="tick",
                                         debug_exit="yes")


def guest(name, image, cmdline, vcpus, memory="64M", **more):
    """A guest by the image of its file: flat, unless its name says that it has a Linux Image's
    header."""
    if image == "hostile-firmware":
        return firmware(name, image, vcpus=vcpus, memory=memory, isa="aarch64")
    kind = {} if image.endswith("-image") else {"kind": "flat"}
    disks = {"virtio": ["disk.img", "disk.img,ro"], "hostile-ring": ["disk.img"],
             "hostile-escape": ["disk.img"]}
    if image in disks:
        more["disk"] = disks[image]
    return section(name, image, cmdline=cmdline or "x", vcpus=vcpus, memory=memory,
                   debug_exit="yes", autostart="no", isa="aarch64", **kind, **more)


def files(guests):
    """The images of the guests ({name: (image, ...)}), the witness's and a disk."""
    images = sorted({what[0] for what in guests.values()} | {"hello-image"})
    return {"disk.img": disk(), **{image: guest_file(os.path.join("arm", image))
                                   for image in images}}
