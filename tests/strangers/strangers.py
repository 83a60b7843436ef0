# SPDX-License-Identifier: BSD-2-Clause
"""Kernels and programs from Debian's packages as guests: each to the screen that shows that it
works."""
import os
import re
import subprocess
import time

import trivet

DIR = os.path.join(trivet.TOP, "build/strangers")


def fetched(files):
    """{name on the stick: path}, after the set-up of this group."""
    names = sorted({path.split("/", 1)[0] for path in files.values()})
    subprocess.run([os.path.join(trivet.TOP, "tests/strangers/setup"), DIR, *names], check=True,
                   timeout=3600)
    return {name: os.path.join(DIR, path) for name, path in files.items()}


def reach(machine, name, patterns, timeout=600):
    """Starts a guest and waits until its console has shown all of the patterns, in any order."""
    machine.cmd(f"start {name}", 120)
    end = time.monotonic() + timeout * machine.patience
    while True:
        output = machine.output(name)
        missing = [pattern for pattern in patterns if not re.search(pattern, output)]
        if not missing:
            break
        info = machine.cmd(f"info {name}", 60)
        assert info["state"] != "crashed", f"{info['why']}\n{output[-3000:]}"
        assert time.monotonic() < end, f"{name}: no {missing[0]!r} in\n{output[-3000:]}"
        time.sleep(2)
    if machine.state(name) == "running":
        machine.cmd(f"stop {name} --force", 60)
    return output


def linux(output, cpus):
    """A kernel that came to its first program, with all its CPUs and no complaint."""
    said = re.search(r"strangers: Linux (\S+) \S+, (\d+) CPUs, (\d+) complaints", output)
    assert int(said.group(2)) == cpus and said.group(3) == "0", output[-4000:]
    assert f"strangers: {cpus} processor devices" in output, output[-2000:]
