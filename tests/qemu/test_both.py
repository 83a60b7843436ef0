# SPDX-License-Identifier: BSD-2-Clause
"""One image, two machines: on each the guest that is made for it starts, and the other is left out
with one line."""
import pytest

import trivet
from test_debian import wait_ready

with open(trivet.TOP + "/images/trivet.conf", encoding="utf-8") as default:
    CONFIG = default.read()
# Nothing but the kernel's header tells what these are for.
CONFIG += trivet.section("by-header-x86", "vmlinuz",
                         autostart="no") + trivet.section("by-header-arm", "vmlinuz-arm64",
                                                          autostart="no")
MACHINES = {"x86_64": (trivet.Machine, "debian", "aarch64"),
            "aarch64": (trivet.ArmMachine, "debian-arm64", "x86_64")}


@pytest.mark.parametrize("arch", MACHINES)
def test_each_machine_starts_its_guest(arch):
    kind, own, other = MACHINES[arch]
    with kind(trivet.make_image(CONFIG, trivet.debian_files())) as machine:
        machine.boot()
        left = [line for line in machine.text.splitlines() if ": left out: " in line]
        assert len(left) == 2 and all(other in line for line in left), left
        guests = machine.guests()
        mine = {own, "by-header-x86" if arch == "x86_64" else "by-header-arm"}
        assert mine == {name for name, g in guests.items() if not g["why"].startswith("left out")}
        assert len(guests) == 4
        engine = {"x86_64": "svm", "aarch64": "el2"}[arch]
        assert machine.cmd("version")["engine"] == f"{engine}, dbt"
        assert wait_ready(machine, own) == 2
        assert "error" not in machine.text.lower()
