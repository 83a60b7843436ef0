# SPDX-License-Identifier: BSD-2-Clause
"""A Trivet machine under Bochs: the same console and the same checks as under QEMU, on a CPU with
Intel VMX."""
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import trivet

CYLINDER = 1008 * 512                   # 16 heads of 63 sectors
SETTINGS = """config_interface: textconfig
display_library: term
cpu: model={model}, count={cpus}, ips={ips}, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest={memory}, host={memory}
romimage: file=/usr/share/ovmf/OVMF.fd, address=0x0, options=none
vgaromimage: file=/usr/share/seabios/vgabios-stdvga.bin
pci: enabled=1, chipset=i440fx
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path={folder}/disk.img, mode=flat, cylinders=0, heads=16, spt=63
{second}boot: disk
com1: enabled=1, mode={serial}
clock: sync=none, time0=utc
log: {folder}/log
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
magic_break: enabled={marks}
"""


SECOND = """ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15
ata1-master: type=disk, path={path}, mode=flat, cylinders=0, heads=16, spt=63
"""


def write(path, text):
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)


DEFAULTS = {"cpus": 2, "memory": 512, "ips": 50000000, "marks": 0, "second": ""}


def start(folder, image, model, serial, commands="c\nq\n", output=subprocess.DEVNULL, **settings):
    """
    Bochs as a process, ended by its group's id. `serial`: mode and device of the serial line;
    `commands`: for its debugger, whose prompt it starts at. Settings: cpus; memory, in MiB; ips:
    instructions in a second of its time; marks: 1 lets the debugger stop at XCHG BX, BX; second:
    the path of one more disk, of whole cylinders.
    """
    shutil.copy(image, f"{folder}/disk.img")
    os.truncate(f"{folder}/disk.img",
                -(-os.path.getsize(f"{folder}/disk.img") // CYLINDER) * CYLINDER)
    settings = {**DEFAULTS, **settings}
    if settings["second"]:
        with contextlib.suppress(FileNotFoundError):    # of a Bochs that was killed, as end() does
            os.remove(settings["second"] + ".lock")
        settings["second"] = SECOND.format(path=settings["second"])
    write(f"{folder}/bochsrc", SETTINGS.format(model=model, folder=folder, serial=serial,
                                               **settings))
    write(f"{folder}/go", commands)
    return trivet.popen(["bochs", "-q", "-f", f"{folder}/bochsrc", "-rc", f"{folder}/go"],
                        stdout=output, stderr=subprocess.DEVNULL,
                        env=dict(os.environ, TERM="vt100"))


def end(process):
    os.killpg(process.pid, signal.SIGKILL)      # its terminal display ignores SIGTERM
    process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Bochs(trivet.Machine):
    """Bochs with Trivet in it; the serial line is a TCP connection to this machine only."""

    patience = 3

    def __init__(self, image, model="corei7_skylake_x", **settings):
        self.folder = tempfile.mkdtemp(prefix="machine-", dir=trivet.WORK)
        self.text, self.cursor, self.rest = "", 0, b""
        self.client, self.json = trivet.protocol.Client(self.send, self.next_line), False
        self.changed = threading.Condition()
        port = free_port()
        self.process = start(self.folder, image, model, f"socket-server, dev=127.0.0.1:{port}",
                             **settings)
        self.line = self._connect(port)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _connect(self, port):
        limit = time.monotonic() + 20
        while time.monotonic() < limit and self.process.poll() is None:
            try:
                return socket.create_connection(("127.0.0.1", port))
            except OSError:
                time.sleep(0.05)
        said = self.errors()
        self.close()
        raise trivet.Failure("Bochs did not start: " + (said or "it said nothing"))

    def errors(self):
        """What Bochs itself died of."""
        try:
            with open(f"{self.folder}/log", encoding="utf-8", errors="replace") as log:
                return "".join(line for line in log if "PANIC" in line
                               or "p[" in line[12:30])[-1000:]
        except FileNotFoundError:
            return ""

    def close(self):
        if self.process.poll() is None:
            end(self.process)
        if hasattr(self, "line"):
            self.line.close()
        for name in ("disk.img", "disk.img.lock", "log"):
            if os.path.exists(f"{self.folder}/{name}"):
                os.remove(f"{self.folder}/{name}")
        write(f"{self.folder}/serial.txt", self.text)
