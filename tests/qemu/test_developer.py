# SPDX-License-Identifier: BSD-2-Clause
"""`images/run --gdb` and `--screen`, as a developer types them: the line that is printed for gdb
leads to a back trace with names, and the address that is printed for the screen shows it."""
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

import trivet

CONFIG = "[host]\nlog = info\n"
BREAK = ("-batch", "-ex", "hbreak do_drivers", "-ex", "continue", "-ex", "backtrace")
RFB = b"RFB 003.008\n"                  # RFC 6143


class Run:
    """images/run with a screen, waiting for gdb, as a context manager: `said` is what it told."""

    def __init__(self, arch):
        self.folder = tempfile.mkdtemp(prefix="developer-", dir=trivet.WORK)
        command = [os.path.join(trivet.TOP, "images/run"), "--arch", arch, "--cpus", "1",
                   "--memory", "1G", "--image", trivet.make_image(CONFIG, {}), "--nic", "none",
                   "--serial", f"file:{self.folder}/serial", "--gdb", "--screen",
                   "--", "-snapshot"]
        plain = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
        self.process = trivet.popen(command, text=True, env=plain,
                                    stderr=subprocess.PIPE)
        self.said = ""
        while "another terminal" not in self.said:
            line = self.process.stderr.readline()
            assert line, f"images/run ended: {self.said}"
            self.said += line

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(20)
        self.process.stderr.close()
        shutil.rmtree(self.folder)

    def gdb(self, more=(), change=lambda words: words):
        """gdb by the line that was printed, which then goes on by itself; (status, output)."""
        words = shlex.split(re.search(r"another terminal: (gdb.*)", self.said)[1])
        done = subprocess.run(change([*words, *more]), text=True, capture_output=True, timeout=120,
                              stdin=subprocess.DEVNULL, check=False)
        return done.returncode, done.stdout + done.stderr


def screen_size(port):
    """Width and height of the screen, by RFC 6143's greeting without a password."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        stream = line.makefile("rb")
        assert stream.read(12) == RFB
        line.sendall(RFB)
        assert 1 in stream.read(stream.read(1)[0])      # no password
        line.sendall(b"\1")
        assert stream.read(4) == bytes(4)
        line.sendall(b"\1")                             # shared with other viewers
        start = stream.read(4)
        return int.from_bytes(start[:2], "big"), int.from_bytes(start[2:], "big")


@pytest.mark.parametrize("arch", ("x86_64", "aarch64"))
def test_gdb_and_the_screen(arch):
    with Run(arch) as run:
        status, output = run.gdb(BREAK)
        assert status == 0, output
        assert re.search(r"trivet: build [0-9a-f]{40}; stopped at hv_main", output), output
        trace = output.split("Breakpoint 2, ")[-1]
        assert re.search(r"#0  do_drivers .*#\d+ +(?:0x\w+ in )?hv_main ", trace, re.S), output
        port = int(re.search(r"vnc://127\.0\.0\.1:(\d+)", run.said)[1])
        assert screen_size(port)[0] >= 640


def test_symbols_of_another_build_are_refused():
    """A copy of the program whose build ID differs in a byte."""
    with Run("x86_64") as run:
        other = os.path.join(run.folder, "trivet.elf")
        elf = os.path.join(trivet.TOP, "build/x86_64/trivet.elf")
        note = subprocess.run(["readelf", "-n", elf], text=True, capture_output=True, check=True,
                              timeout=60).stdout
        build = bytes.fromhex(re.search(r"Build ID: (\w+)", note)[1])
        with open(elf, "rb") as file:
            data = file.read()
        assert data.count(build) == 1
        with open(other, "wb") as file:
            file.write(data.replace(build, build[:-1] + bytes([build[-1] ^ 1])))
        status, output = run.gdb(BREAK, lambda words: [other if w == elf else w for w in words])
        assert status == 3 and f"the machine runs build {build.hex()}" in output, output
