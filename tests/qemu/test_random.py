# SPDX-License-Identifier: BSD-2-Clause
"""Where random numbers come from, and that guests get none before there are any: machines with and
without a generator."""
import re

import pytest

import trivet
from trivet import guest_file, section

MACHINES = {
    "x86-none": (trivet.Machine, {"options": ["--model", "EPYC-v3,+svm,+npt,-rdrand"]}, None),
    "x86-firmware": (trivet.Machine, {"options": ["--model", "EPYC-v3,+svm,+npt,-rdrand"],
                                      "arguments": ["-device", "virtio-rng-pci"]},
                     "the firmware (EFI_RNG_PROTOCOL)"),
    "x86-cpu": (trivet.Machine, {}, "the CPU (RDRAND)"),
    "arm-none": (trivet.ArmMachine, {"options": ["--no-random"]}, None),
    "arm-firmware": (trivet.ArmMachine, {}, "the firmware (EFI_RNG_PROTOCOL)"),
    "arm-cpu": (trivet.ArmMachine, {"options": ["--no-random"], "model": "max"}, "the CPU (RNDR)"),
}
CONFIG = ("[host]\nlog = info\n" + section("x86", "hello-mb1", memory="16M", autostart="no",
                                           cmdline="tick")
          + section("arm", "hello-flat", memory="16M", autostart="no", cmdline="tick", kind="flat"))


def files():
    return {"hello-mb1": guest_file("hello-mb1"), "hello-flat": guest_file("arm/hello-flat")}


@pytest.mark.parametrize("name", MACHINES)
def test_random(name):
    kind, arguments, source = MACHINES[name]
    with kind(trivet.make_image(CONFIG, files()), **arguments) as machine:
        machine.boot()
        line = re.search(r"random numbers: [^\r\n]*", machine.text).group()
        assert f" {source}" in line if source else "not seeded" in line, line
        guest = "arm" if kind is trivet.ArmMachine else "x86"
        machine.cmd(f"start {guest}", 60)
        log = "\n".join(line["line"] for line in machine.cmd("log")["lines"])
        assert (f"{guest}: no virtio-rng" in log) == (source is None), log
        assert ("no kaslr-seed" in log) == (source is None and guest == "arm"), log
