# SPDX-License-Identifier: BSD-2-Clause
"""What a vCPU takes with it when another has the CPU: FP, SIMD and SVE registers, breakpoints and
watchpoints. All guests at once on one CPU."""
import pytest

import arm
from trivet import PASSED, ArmMachine, make_image

# name: image, command line, vcpus, memory
GUESTS = {
    "debug-on": ("debug", "on=1", 1, "64M"),
    "debug-off": ("debug", "on=0", 1, "64M"),
    "debug-too": ("debug", "on=1", 1, "64M"),
    "sve-3": ("sve", "", 3, "64M"),
    "sve-2": ("sve", "rounds=150", 2, "64M"),
    "fp": ("cpu", "rounds=50", 3, "64M"),
}
CONFIG = "[host]\nlog = info\n" + "".join(arm.guest(name, *what) for name, what in GUESTS.items())
HOSTS = {"max": {"model": "max"}, "neoverse-n1": {},
         "cortex-a72-gic2": {"model": "cortex-a72", "gic": 2}}


@pytest.mark.parametrize("host", HOSTS)
def test_state(host):
    with ArmMachine(make_image(CONFIG, arm.files(GUESTS)), cpus=1, **HOSTS[host]) as machine:
        machine.boot()
        for name in GUESTS:
            machine.cmd(f"start {name}", 60)
        for name in GUESTS:
            info = machine.wait_state(name, ("off", "crashed"), 120)
            output = machine.output(name)
            assert info.get("exit_code") == PASSED, (
                f"{name}: {info['state']} {info.get('why', '')}:\n{output[-2000:]}")
            if name.startswith("sve") and host == "max":
                assert "vectors of" in output
