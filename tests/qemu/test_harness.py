# SPDX-License-Identifier: BSD-2-Clause
"""The harness itself: what must hold when a test program is killed and cannot clean up."""
import os
import signal
import subprocess
import sys
import time

import trivet

CHILD = ("import sys; sys.path.insert(0, sys.argv[1]); import trivet; "
         "print(trivet.popen(['sleep', '600']).pid, flush=True); input()")


def runs(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_machine_dies_with_its_program():
    command = [sys.executable, "-B", "-c", CHILD, os.path.join(trivet.TOP, "tests/qemu")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as program:
        machine = int(program.stdout.readline())
        assert runs(machine)
        os.kill(program.pid, signal.SIGKILL)
    end = time.monotonic() + 10
    while runs(machine):
        assert time.monotonic() < end, "it outlived the program"
        time.sleep(0.1)
