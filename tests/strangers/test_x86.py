# SPDX-License-Identifier: BSD-2-Clause
"""What Debian has for x86 PCs."""
import pytest

import strangers
import trivet

UP = r"strangers: \d+ processor devices"
KERNELS = ("full", "rt", "backports", "cloud", "686")
# name: (kernel's file, kind, command line, more keys, what its screen shows)
OTHERS = {
    "memtest": ("memtest", "auto", "console=ttyS0,115200", {},
                [r"Moving inversions", r"Errors: 0"]),
    "ipxe": ("ipxe", "auto", "", {}, [r"iPXE"]),
    "grub": ("grub", "multiboot", "", {}, [r"GRUB for i386-coreboot is up"]),
    "gnumach": ("gnumach", "multiboot", "console=com0", {}, [r"GNU Mach|gnumach"]),
    **{f"xen-{kind}": ("xen", kind, "console=com1 com1=115200,8n1 dom0_mem=320M loglvl=all",
                       {"module": ["full console=hvc0 earlyprintk=xen", "initrd.img"]},
                       [r"Xen version 4\.17|Xen-4\.17", UP])
       for kind in ("multiboot2", "pvh")},
}
CONFIG = "".join(trivet.section(name, name, initrd="initrd-686.img" if name == "686"
                                else "initrd.img", cmdline="console=ttyS0", memory="512M", vcpus=2,
                                autostart="no") for name in KERNELS)
CONFIG += "".join(trivet.section(name, kernel, kind=kind, cmdline=cmdline or "x", memory="768M",
                                 vcpus=1, autostart="no", **more)
                  for name, (kernel, kind, cmdline, more, _) in OTHERS.items())
BACKENDS = ("svm",)
MACHINE = {"memory": "3G"}


def FILES():
    return strangers.fetched({
        **{name: f"{name}/vmlinuz" for name in KERNELS},
        "initrd.img": "initrd.img", "initrd-686.img": "initrd-686.img",
        "memtest": "memtest/boot/memtest86+x64.bin", "ipxe": "ipxe/boot/ipxe.lkrn",
        "grub": "grub/grub", "xen": "xen/xen", "gnumach": "gnumach/gnumach"})


@pytest.mark.parametrize("name", KERNELS)
def test_kernel(machine, name):
    output = strangers.reach(machine, name, [UP])
    strangers.linux(output, 2)
    assert "hpet" in output.split("strangers: clocks")[1].split("\n")[0], output[-2000:]


@pytest.mark.parametrize("name", OTHERS)
def test_program(machine, name):
    strangers.reach(machine, name, OTHERS[name][4])
