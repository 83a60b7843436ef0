# SPDX-License-Identifier: BSD-2-Clause
"""The least of gdb's remote protocol (QEMU's stub): stop a machine, change a register, let it go on
as if that had happened by itself."""
import re
import socket
import time

PC = {"aarch64": 32, "x86_64": 16}
SP = {"aarch64": 31, "x86_64": 7}
FP = {"aarch64": 29}


class Stub:
    """One connection to `-gdb unix:PATH,server=on,wait=off`; while it is open the machine stands
    still."""

    def __init__(self, path):
        end = time.monotonic() + 20
        while True:
            self.line = socket.socket(socket.AF_UNIX)
            self.line.settimeout(20)
            try:
                self.line.connect(path)
                break
            except OSError:
                self.line.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
        self.rest = b""
        # QEMU takes single registers only from those who have asked
        self.ask("qXfer:features:read:target.xml:0,80")
        assert self.ask("Hg0") == "OK"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.line.close()

    def _receive(self):
        while b"#" not in self.rest or len(self.rest) < self.rest.index(b"#") + 3:
            data = self.line.recv(65536)
            if not data:
                raise EOFError("gdb stub closed")
            self.rest += data
        start, end = self.rest.index(b"$"), self.rest.index(b"#")
        body, self.rest = self.rest[start + 1:end], self.rest[end + 3:]
        self.line.sendall(b"+")
        return body.decode()

    def ask(self, command):
        self.line.sendall(b"$" + command.encode() + b"#%02x" % (sum(command.encode()) & 255))
        # that it has stopped, which QEMU tells unasked
        while re.match("[ST][0-9a-f]{2}", answer := self._receive()):
            pass
        return answer

    def read(self, register):
        return int.from_bytes(bytes.fromhex(self.ask(f"p{register:x}")), "little")

    def write(self, register, value):
        answer = self.ask(f"P{register:x}={value.to_bytes(8, 'little').hex()}")
        assert answer == "OK", answer

    def peek(self, address):
        """A word of 8 bytes, by the address that the CPU would use."""
        return int.from_bytes(bytes.fromhex(self.ask(f"m{address:x},8")), "little")

    def poke(self, address, value):
        """A word of 8 bytes, by the address that the CPU would use."""
        assert self.ask(f"M{address:x},8:{value.to_bytes(8, 'little').hex()}") == "OK"

    def physical(self):
        """From now on peek() and poke() take the addresses of memory and devices themselves."""
        assert self.ask("Qqemu.PhyMemMode:1") == "OK"

    def run_to(self, address):
        """Goes on to an instruction, and stands there."""
        assert self.ask(f"Z0,{address:x},4") == "OK"
        self.line.sendall(b"$c#63")
        stop = self._receive()
        assert re.match("[ST]", stop), stop
        assert self.ask(f"z0,{address:x},4") == "OK"

    def leave(self):
        """The machine runs on."""
        assert self.ask("D") == "OK"
