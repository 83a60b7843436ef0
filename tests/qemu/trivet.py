# SPDX-License-Identifier: BSD-2-Clause
"""A Trivet machine under QEMU, for tests: an image of a configuration and files, its serial
console, its answers.

One machine serves many checks: guests are started and stopped by Trivet's own commands, in JSON.
Everything that is waited for has a time-out; what the serial line showed last is part of every
failure.
"""
import contextlib
import ctypes
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import sys
import threading
import time

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import protocol  # noqa: E402  tests/protocol.py

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORK = os.path.join(TOP, "build", "qemu-tests")
GUESTS = os.path.join(TOP, "build", "guests")
DEBIAN = os.path.join(TOP, "build", "debian")
LOADERS = [os.path.join(TOP, "build/x86_64/BOOTX64.EFI"),
           os.path.join(TOP, "build/aarch64/BOOTAA64.EFI")]
SCREEN = 3000                           # characters of the serial line that a failure shows
BOOT_TIMEOUT = 120
KEPT_IMAGES = 8
ROUNDS = int(os.environ.get("TRIVET_ROUNDS", 0))    # `--rounds N`; 0: as many as each test says
# exit codes of the tiny guests, as the debug-exit port gives them
PASSED, FAILED = 0x10 << 1 | 1, 0x11 << 1 | 1


LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def die_with(parent):
    """For a new process (preexec_fn): it is killed when `parent` ends, even where that cannot clean
    up any more."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:          # it ended before
        os._exit(1)


def popen(command, **more):
    """A machine's process: a group of its own, no input, and the end of this program is its end."""
    parent = os.getpid()
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True,
                            preexec_fn=lambda: die_with(parent),
                            **{"stdout": subprocess.DEVNULL, **more})


class Failure(AssertionError):
    """Something did not come in time; holds the last of the serial line."""


def digest(paths, text):
    h = hashlib.sha256(text.encode())
    for path in paths:
        h.update(path.encode())
        with open(path, "rb") as data:
            while block := data.read(1 << 20):
                h.update(block)
    return h.hexdigest()[:16]


def last_used(path):
    """When it was; 0: it is gone, for two may clear up at the same time."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.getmtime(path)
    return 0


def make_image(conf, files, name="trivet.conf"):
    """An image of the configuration (text) and files ({path on the stick: path here}); kept while
    nothing changes."""
    os.makedirs(WORK, exist_ok=True)
    loaders = [path for path in LOADERS if os.path.exists(path)]
    key = digest([*loaders, *files.values()], conf + repr(sorted(files.items())))
    image = os.path.join(WORK, f"{key}.img")
    if os.path.exists(image):
        os.utime(image)
        return image
    old = sorted((os.path.join(WORK, f) for f in os.listdir(WORK) if f.endswith(".img")),
                 key=last_used)
    for path in old[:-KEPT_IMAGES]:
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(conf)
        command = [os.path.join(TOP, "images/build-image"), "-q", "--unchecked", "-c", path, "-o",
                   os.path.join(folder, "new.img")]
        subprocess.run(command + [f"{source}:{dest}" for dest, source in files.items()], check=True,
                       timeout=300)
        os.rename(os.path.join(folder, "new.img"), image)
    return image


def section(name, kernel, **keys):
    """One [guest NAME] of a configuration; keys with _ for -, a list gives the key several
    times."""
    lines = [f"[guest {name}]", f"kernel = {kernel}"]
    for key, value in keys.items():
        for v in value if isinstance(value, list) else [value]:
            lines.append(f"{key.replace('_', '-')} = {v}")
    return "\n".join(lines) + "\n"


def panics(machine, name):
    """A guest that tells of its panic by pvpanic, with `on_crash = restart`: `list` and an event
    say so, each time, and it starts again until somebody stops it."""
    seen, told = len(machine.client.events), []
    machine.cmd(f"start {name}", 60)
    end = time.monotonic() + 60 * machine.patience
    while machine.state(name) != "crashed" or len(told) < 2:    # asking reads what came
        if time.monotonic() > end:
            raise Failure(f"{name} has not told of two panics\n{machine.screen()}")
        time.sleep(0.2)
        told = [event for event in machine.client.events[seen:]
                if event["event"] == "guest.panic" and event["name"] == name]
    assert all(event["what"] == "panicked" for event in told), told
    why = machine.guests()[name]["why"]
    assert why.startswith("its kernel panicked; starts again in "), why
    assert machine.cmd(f"stop {name}")["state"] in ("off", "crashed")


def guest_file(name):
    return os.path.join(GUESTS, name)


def scratch(name, data):
    """A file of that contents among the tests' own; two processes may ask for it at the same
    time."""
    os.makedirs(WORK, exist_ok=True)
    path = os.path.join(WORK, name)
    with tempfile.NamedTemporaryFile("wb", dir=WORK, delete=False) as out:
        out.write(data)
    os.rename(out.name, path)
    return path


RAM_DISK = 1 << 20


def disk():
    """A guest's disk of RAM_DISK bytes, all zeros."""
    return scratch("disk.img", bytes(RAM_DISK))


def note():
    """A small file with a line of text."""
    return scratch("m.txt", b"the text of a module\n")


def debian_files():
    """{name: path} of the Debian guests' files, made by their recipe."""
    subprocess.run([os.path.join(TOP, "images/debian/build"), DEBIAN], check=True, timeout=300)
    return {name: os.path.join(DEBIAN, name) for name in ("vmlinuz", "initrd.img", "disk.img",
                                                          "vmlinuz-arm64", "initrd-arm64.img")}


QEMU10 = [os.path.join(TOP, "build/deps/qemu10/run")]    # QEMU 10 instead of the installed one


def esp_of(image):
    """An image's file system, as mtools name it."""
    return f"{image}@@{1 << 20}"


def put_files(image, files):
    """Writes {path on the stick: path here, or None: it goes} into an image, also under a machine
    that runs."""
    environment = dict(os.environ, MTOOLS_SKIP_CHECK="1", LC_ALL="C.UTF-8")
    for dest, source in files.items():
        command = (["mcopy", "-o", "-i", esp_of(image), source] if source
                   else ["mdel", "-i", esp_of(image)])
        subprocess.run([*command, f"::/{dest}"], check=True, timeout=60, env=environment)


class Machine:
    """QEMU with Trivet in it. Use as a context manager; the process is ended by its id whatever
    happens."""

    arch = "x86_64"
    patience = 1                        # what time-outs are multiplied with
    before = ()                         # what QEMU's command is put behind

    def __init__(self, image, cpus=2, memory="2G", options=(), arguments=()):
        self.folder = tempfile.mkdtemp(prefix="machine-", dir=WORK)
        path = os.path.join(self.folder, "serial")
        self.monitor = os.path.join(self.folder, "qmp")
        self.text, self.cursor, self.rest = "", 0, b""
        self.client, self.json = protocol.Client(self.send, self.next_line), False
        self.changed = threading.Condition()
        command = self._command(image, cpus, memory, options, path)
        command += ["-snapshot", "-qmp", f"unix:{self.monitor},server=on,wait=off", *arguments]
        self.began = time.monotonic()
        with open(os.path.join(self.folder, "stderr"), "w", encoding="utf-8") as errors:
            self.process = popen(command, stderr=errors)
        self.line = self._connect(path)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _command(self, image, cpus, memory, options, serial):
        run = [os.path.join(TOP, "images/run"), "--print", "--arch", self.arch, "--image", image,
               "--cpus", str(cpus), "--memory", memory,
               "--serial", f"unix:{serial}",
               *(() if "--nic" in options else ("--nic", "none")), *options]
        shown = subprocess.run(run, check=True, text=True, capture_output=True, timeout=120,
                               env=dict(os.environ, TMPDIR=self.folder))
        return [*self.before, *shlex.split(shown.stdout.splitlines()[-1])]

    def _connect(self, path):
        end = time.monotonic() + 20
        while time.monotonic() < end and self.process.poll() is None:
            line = socket.socket(socket.AF_UNIX)
            try:
                line.connect(path)
                return line
            except OSError:
                line.close()
                time.sleep(0.05)
        self.close()
        raise Failure("QEMU did not start: " + self.errors())

    def errors(self):
        with open(os.path.join(self.folder, "stderr"), encoding="utf-8", errors="replace") as text:
            return "".join(line for line in text if "TCG doesn't support" not in line)

    def _read(self):
        while True:
            try:
                data = self.line.recv(65536)
            except OSError:
                data = b""
            with self.changed:
                if not data:
                    self.line_closed = True
                    self.changed.notify_all()
                    return
                self.text += data.decode("utf-8", errors="replace")
                self.changed.notify_all()

    line_closed = False
    spoiled = False                     # a test failed on it: boot another one

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends QEMU by its process id and forgets its files; the serial text stays in the
        object."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(20)
        if hasattr(self, "line"):
            self.line.close()
        for name in os.listdir(self.folder):
            if name.startswith("trivet-vars") or name in ("serial", "qmp"):
                os.remove(os.path.join(self.folder, name))
        with open(os.path.join(self.folder, "serial.txt"), "w", encoding="utf-8") as out:
            out.write(self.text)

    # ---- the serial line as text ----

    def screen(self):
        return f"{self.errors()}\n---- the serial line's end ----\n{self.text[-SCREEN:]}\n----"

    def send(self, text):
        self.line.sendall(text.encode() if isinstance(text, str) else text)

    def expect(self, pattern, timeout=30, why=""):
        """
        Waits for a regular expression after what was last expected; returns the match. It is
        searched again whenever something came, so it must not begin with `.*`: that takes quadratic
        time, in which nothing is read.
        """
        end = time.monotonic() + timeout
        regex = re.compile(pattern, re.S) if isinstance(pattern, str) else pattern
        with self.changed:
            while True:
                found = regex.search(self.text, self.cursor)
                if found:
                    self.cursor = found.end()
                    return found
                left = end - time.monotonic()
                if left <= 0 or self.line_closed or self.process.poll() is not None:
                    raise Failure(f"{why or 'no answer'}: waited {timeout} s for "
                                  f"{regex.pattern!r}\n{self.screen()}")
                self.changed.wait(min(left, 0.5))

    def quiet(self, seconds=0.5, timeout=20):
        """Waits until nothing came for so long; returns what came."""
        start, end = self.cursor, time.monotonic() + timeout
        with self.changed:
            while time.monotonic() < end:
                before = len(self.text)
                self.changed.wait(seconds)
                if len(self.text) == before:
                    break
            self.cursor = len(self.text)
            return self.text[start:]

    def boot(self, timeout=BOOT_TIMEOUT):
        """Waits for the shell and turns JSON on."""
        self.expect(r"trivet> ", timeout, "no prompt")
        self.quiet(0.3, 5)
        self.client.open(20)
        self.json = True
        return self

    # ---- Trivet's commands ----

    @property
    def logs(self):
        """Log lines that came while JSON was on."""
        return [event["text"] for event in self.client.events if event["event"] == "log"]

    def ask(self, command, timeout=30):
        """The answer to a command as a dictionary, also where it is a refusal: `error` is its
        message then, and `code` its code."""
        try:
            value = self.client.ask(command, timeout * self.patience)
        except protocol.Broken as error:
            raise Failure(f"`{command}`: {error}\n{self.screen()}") from error
        return value if value["ok"] else {**value, "error": value["error"]["message"],
                                          "code": value["error"]["code"]}

    def cmd(self, command, timeout=30):
        """The answer to a command that must succeed."""
        value = self.ask(command, timeout)
        if not value["ok"]:
            raise Failure(f"`{command}` was refused: {value['error']}\n{self.screen()}")
        return value

    def next_line(self, seconds):
        return self.expect(r"[^\n]*\n", seconds, "an answer").group()

    def guests(self):
        return {g["name"]: g for g in self.cmd("list")["guests"]}

    def state(self, name):
        return self.guests()[name]["state"]

    def wait_state(self, name, states, timeout):
        """Polls until the guest is in one of the states; returns its `info`."""
        end = time.monotonic() + timeout
        while True:
            info = self.cmd(f"info {name}")
            if info["state"] in states:
                return info
            if time.monotonic() > end:
                raise Failure(f"{name} is {info['state']}, not {states}, after {timeout} "
                              f"s\n{self.output(name)[-SCREEN:]}\n{self.screen()}")
            time.sleep(0.25)

    def output(self, name, wait=0.4):
        """What the guest's console holds: attaches, lets it replay, leaves."""
        self.send(f"console {name}\r")
        try:
            self.expect(rf"\[console {re.escape(name)}[^\n]*\n", 10, "attach")
        except Failure:
            return ""
        text = self.quiet(wait, 10)
        self.detach()
        return text

    def detach(self):
        """Leaves a guest's console. The answer to the command that attached is shown only then: it
        would pass for the next one's."""
        self.send("\x1d")
        self.expect(r'\[Trivet[]:].*?"command":"console"[^\n]*\n', 20, "detach")

    def tail(self, name):
        """The last 4 KiB of a guest's output, without attaching: also for a guest that never falls
        silent."""
        return "\n".join(line["text"] for line in self.cmd(f"console {name} --tail")["lines"])

    def wait_output(self, name, text, timeout):
        """Until the last of the guest's output has the text."""
        end = time.monotonic() + timeout * self.patience
        while text not in (shown := self.tail(name)):
            if time.monotonic() > end:
                raise Failure(f"{name}: no {text!r} after {timeout} s\n{shown}\n{self.screen()}")
            time.sleep(1)

    def run_guest(self, name, timeout=60, start=True):
        """Starts a tiny guest, waits for its debug-exit; returns (exit code, console text,
        info)."""
        timeout *= self.patience
        if start:
            self.cmd(f"start {name}", timeout)
        info = self.wait_state(name, ("off", "crashed"), timeout)
        return info.get("exit_code"), self.output(name), info

    def pass_guest(self, name, timeout):
        """Runs a tiny guest that checks something, and must say that all is well; returns its
        output."""
        code, output, info = self.run_guest(name, timeout)
        assert code == PASSED, (f"{name}: exit code {code}, state {info['state']} "
                                f"{info.get('why', '')}:\n{output[-SCREEN:]}")
        assert "FAIL" not in output, output[-SCREEN:]
        assert info["resets"] == 0, f"{name} was reset:\n{output[-SCREEN:]}"
        return output

    def check_counted(self, name):
        """A guest that runs until it is stopped: what Trivet takes for it, to the byte, is what
        `info` and `memory` say, and all comes back."""
        found = []
        # the heap grows the first time, with tables of Trivet's own
        for again in range(2):
            before, kept = self.cmd("memory"), self.cmd(f"info {name}")["hv_bytes"]
            self.cmd(f"start {name}", 60)
            self.wait_state(name, ("running",), 60)
            time.sleep(1)
            up, info = self.cmd("memory"), self.cmd(f"info {name}")
            self.cmd(f"stop {name} --force", 30)
            self.wait_state(name, ("off",), 30)
            after = self.cmd("memory")
            own = {key: up[key] - before[key] for key in ("heap_used_bytes", "pt_bytes",
                                                          "hv_bytes")}
            found.append((sum(own.values()), info["hv_bytes"] - kept,
                          up["overhead_bytes"] - before["overhead_bytes"]))
            assert kept <= info["hv_bytes"] <= info["hv_limit_bytes"]
            assert not again or all(after[key] == before[key]
                                    for key in (*own, "overhead_bytes", "promised_bytes",
                                                "free_bytes")), (before, after)
        assert found[1][0] == found[1][1] == found[1][2] > 50_000, (found, own, before, up)
        return found[1][0], kept

    def qmp(self, command, **arguments):
        """One command to QEMU's monitor."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(20)
            monitor.connect(self.monitor)
            stream = monitor.makefile("rw", encoding="utf-8")
            stream.readline()
            for name, args in (("qmp_capabilities", {}), (command, arguments)):
                stream.write(json.dumps({"execute": name, "arguments": args}) + "\n")
                stream.flush()
                while ("return" not in (value := json.loads(stream.readline()))
                       and "error" not in value):
                    pass
            return value


class OwnImage:
    """Of a machine whose image is its own, so that a test may change it: put_files(self.image,
    ...)."""

    def __init__(self, image, **more):
        self.image = os.path.join(WORK, f"own-{os.getpid()}-{type(self).__name__}.img")
        shutil.copyfile(image, self.image)
        super().__init__(self.image, **more)

    def close(self):
        super().close()
        if os.path.exists(self.image):
            os.remove(self.image)


class ArmMachine(Machine):
    """The same on ARM64: QEMU's `virt` at EL2. MACHINE_TYPE = trivet.ArmMachine, MACHINE =
    {"model": "max"} in a test file."""

    arch = "aarch64"

    def __init__(self, image, model="neoverse-n1", gic=3, acpi=True, options=(), **rest):
        options = ["--model", model, "--gic", str(gic), *([] if acpi else ["--no-acpi"]), *options]
        super().__init__(image, options=options, **rest)
