# SPDX-License-Identifier: BSD-2-Clause
"""Guests on NVMe disks: what they wrote and flushed is there after the machine's end, one has what
another may not, an error of the disk is the guest's and nobody else's. Also run on ARM64, by
test_arm_nvme."""
import hashlib
import os
import re
import subprocess
import time

import pytest

import trivet
from test_debian import Shell, times_ready, wait_ready

MIB = 1 << 20
KERNEL, INITRD = "vmlinuz", "initrd.img"
MACHINE_TYPE = trivet.Machine
BAD_SECTOR = 4096


GUESTS = {"keeper": {"disk": ["partlabel:data", "nvme2"], "memory": "192M"},
          "rival": {"disk": "nvme1p2"}, "whole": {"disk": "serial:parts"},
          "reader": {"disk": "nvme1p1,ro"}, "reader2": {"disk": "nvme1,ro"},
          "thief": {"disk": "nvme0p1"}, "copier": {"disk": "nvme0p1,ro"},
          "wrong": {"disk": "nvme9"}, "unlucky": {"disk": "nvme3", "memory": "192M"}}


def config(kernel, initrd, guests):
    return "".join(trivet.section(name, kernel, initrd=initrd, cmdline="console=hvc0",
                                  **{"memory": "128M", "autostart": "no", **keys})
                   for name, keys in guests.items())


def files(folder):
    """Two disks that keep what is written: one with a GPT, one of 4 KiB blocks; and a bad one."""
    paths = {name: os.path.join(folder, f"{name}.img") for name in ("parts", "large", "bad")}
    for path in paths.values():
        with open(path, "wb") as out:
            out.truncate(64 * MIB)
    subprocess.run(["sfdisk", "-q", paths["parts"]], check=True, timeout=20, text=True,
                   input="label: gpt\nsize=8M,name=first\nsize=32M,name=data\n")
    return paths


def drives(paths):
    """The stick is on NVMe, too: it is nvme0."""
    keep = "if=none,format=raw,snapshot=off"
    return ("-drive", f"{keep},id=p,file={paths['parts']}", "-device", "nvme,serial=parts,drive=p",
            "-drive", f"{keep},id=l,file={paths['large']}", "-device", "nvme,id=lc,serial=large",
            "-device", "nvme-ns,bus=lc,drive=l,logical_block_size=4096,physical_block_size=4096",
            *bad_drive(paths["bad"]), "-device", "nvme,serial=bad,drive=br")


def bad_drive(path):
    """The node `br`, one sector of which cannot be read."""
    return ("-blockdev", f"driver=file,node-name=bf,filename={path}",
            "-blockdev", f"driver=blkdebug,node-name=bb,image=bf,inject-error.0.event=read_aio,"
            f"inject-error.0.errno=5,inject-error.0.sector={BAD_SECTOR}",
            "-blockdev", "driver=raw,node-name=br,file=bb")


class Rig:
    """A machine over the same disks, as often as wanted."""

    stick = "nvme"
    guests = GUESTS

    def __init__(self, kind, kernel, initrd, folder):
        self.kind = kind
        self.paths = files(folder)
        debian = trivet.debian_files()
        self.image = trivet.make_image(config(kernel, initrd, self.guests),
                                       {name: debian[name] for name in (kernel, initrd)})

    def boot(self):
        machine = self.kind(self.image, options=("--disk", self.stick), arguments=self.drives())
        try:
            return machine.boot()
        except BaseException:
            machine.close()
            raise

    def drives(self):
        return drives(self.paths)

    def start(self, machine, name):
        before = times_ready(machine, name)
        machine.cmd(f"start {name}", 60)
        wait_ready(machine, name, before)


@pytest.fixture(scope="module", name="rig")
def make_rig(request, tmp_path_factory):
    module = request.module
    return Rig(module.MACHINE_TYPE, module.KERNEL, module.INITRD,
               str(tmp_path_factory.mktemp("nvme")))


def by_name(rows):
    return {row["name"]: row for row in rows}


def digest(path, offset, size):
    with open(path, "rb") as disk:
        disk.seek(offset)
        return hashlib.md5(disk.read(size)).hexdigest()


def data_start(path):
    text = subprocess.run(["sfdisk", "-d", path], check=True, timeout=20, text=True,
                          capture_output=True).stdout
    return int(re.search(r"start=\s*(\d+)[^\n]*name=\"data\"", text).group(1)) * 512


def write_all(shell):
    """8 MiB at the start of both disks, flushed; the digest."""
    text = shell.run("dd if=/dev/urandom of=/tmp/x bs=1M count=8 2>/dev/null; "
                     "dd if=/tmp/x of=/dev/vda bs=64k conv=fsync 2>&1; "
                     "dd if=/tmp/x of=/dev/vdb bs=4k conv=fsync 2>&1; "
                     "echo 3 >/proc/sys/vm/drop_caches; "
                     "for d in a b; do dd if=/dev/vd$d bs=1M count=8 2>/dev/null | md5sum; done; "
                     "md5sum </tmp/x", 120)
    sums = re.findall(r"[0-9a-f]{32}", text)
    assert len(sums) == 3 and len(set(sums)) == 1, text
    return sums[0]


def acknowledged(machine):
    """Numbers that the guest wrote, each flushed and then said."""
    return [int(n) for n in re.findall(r"kept (\d+)!", machine.text)]


def write_records(machine, at_least):
    """A record of 4 KiB each, from 16 MiB on, for ever: the machine's end comes in between."""
    machine.send("i=0; while :; do i=$((i+1)); printf '%4095d\\n' $i | dd of=/dev/vda bs=4k "
                 "seek=$((4096+i%2048)) conv=notrunc,fsync 2>/dev/null; echo kept $i\\!; done\r")
    end = time.monotonic() + 90
    while len(acknowledged(machine)) < at_least:
        assert time.monotonic() < end, machine.screen()
        time.sleep(0.2)


def check_records(path, start, numbers):
    with open(path, "rb") as disk:
        for n in numbers[-2000:]:
            disk.seek(start + (4096 + n % 2048) * 4096)
            assert int(disk.read(4096)) >= n, f"record {n} was acknowledged and is lost"


def test_what_was_flushed_survives_the_machine(rig):
    start = data_start(rig.paths["parts"])
    with rig.boot() as machine:
        rig.start(machine, "keeper")
        with Shell(machine, "keeper") as shell:
            wanted = write_all(shell)
        disks = machine.cmd("disks")
        traffic = by_name(disks["traffic"])
        assert by_name(disks["disks"])["nvme2"]["block"] == 4096
        assert traffic["nvme1"]["flushes"] > 0 and traffic["nvme2"]["flushes"] > 0
        assert traffic["nvme1"]["written_bytes"] >= 8 * MIB
        assert not any(disk["errors"] for disk in disks["disks"])
        machine.send("console keeper\r")
        write_records(machine, 40)
        machine.close()                 # the power is gone
        numbers = acknowledged(machine)
    assert len(numbers) >= 40
    assert digest(rig.paths["parts"], start, 8 * MIB) == wanted
    assert digest(rig.paths["large"], 0, 8 * MIB) == wanted
    check_records(rig.paths["parts"], start, numbers)
    with rig.boot() as machine:
        rig.start(machine, "keeper")
        with Shell(machine, "keeper") as shell:
            text = shell.run("for d in a b; do dd if=/dev/vd$d bs=1M count=8 2>/dev/null | "
                             "md5sum; done", 60)
            assert re.findall(r"[0-9a-f]{32}", text) == [wanted] * 2
            shell.run("poweroff; sleep 1")
        machine.wait_state("keeper", ("off",), 60)
        assert by_name(machine.cmd("disks")["partitions"])["nvme1p2"]["holders"] == "-"


def refusal(machine, name):
    machine.ask(f"start {name}", 30)
    why = machine.wait_state(name, ("off", "crashed"), 30).get("why", "")
    return why.removeprefix("did not start: ")


def test_who_holds_what(rig):
    with rig.boot() as machine:
        assert "disk = nvme9`: this machine has no such disk or partition" in machine.text
        partitions = by_name(machine.cmd("disks")["partitions"])
        assert partitions["nvme0p1"]["holders"] == "Trivet (reads)"
        assert partitions["nvme1p2"]["label"] == "data"
        machine.cmd("start keeper", 60)
        machine.wait_state("keeper", ("running",), 60)
        assert refusal(machine, "rival") == "disk nvme1p2: keeper writes nvme1p2"
        assert refusal(machine, "whole") == "disk serial:parts: keeper writes nvme1p2"
        assert refusal(machine, "reader2") == "disk nvme1: keeper writes nvme1p2"
        assert refusal(machine, "thief") == "disk nvme0p1: Trivet reads nvme0p1"
        for name in ("reader", "copier"):
            machine.cmd(f"start {name}", 60)
            machine.wait_state(name, ("running",), 60)
        held = by_name(machine.cmd("disks")["partitions"])
        assert held["nvme0p1"]["holders"] in ("copier (reads), Trivet (reads)",
                                              "Trivet (reads), copier (reads)")
        assert held["nvme1p1"]["holders"] == "reader (reads)"
        assert held["nvme1p2"]["holders"] == "keeper"
        for name in ("keeper", "reader", "copier"):
            machine.cmd(f"stop {name} --force", 30)
            machine.wait_state(name, ("off",), 60)
        machine.cmd("start rival", 60)
        assert machine.wait_state("rival", ("running", "off"), 30)["state"] == "running"


def test_an_error_is_the_guests(rig):
    with rig.boot() as machine:
        rig.start(machine, "unlucky")
        with Shell(machine, "unlucky") as shell:
            text = shell.run(f"dd if=/dev/vda of=/dev/null bs=4k skip={BAD_SECTOR // 8} count=1; "
                             "dmesg | tail -3", 60)
            assert "Input/output error" in text and "I/O error, dev vda" in text, text
            text = shell.run("dd if=/dev/vda of=/dev/null bs=4k skip=0 count=64 2>&1; "
                             "dd if=/dev/zero of=/dev/vda bs=4k count=64 conv=fsync 2>&1; echo ok",
                             60)
            assert "error" not in text and "ok" in text, text
        rows = by_name(machine.cmd("disks")["disks"])
        assert rows["nvme3"]["errors"] > 0
        assert not any(rows[name]["errors"] for name in ("nvme0", "nvme1", "nvme2"))
        rig.start(machine, "keeper")
        with Shell(machine, "keeper") as shell:
            write_all(shell)


def busy(machine, name):
    """The guest writes to its first disk without end."""
    machine.send(f"console {name}\r")
    machine.expect(rf"\[console {name}[^\n]*\n", 10, "attach")
    machine.send("while :; do dd if=/dev/zero of=/dev/vda bs=64k count=128 conv=fsync; done "
                 ">/dev/null 2>&1 &\r")
    machine.quiet(1.0, 10)
    machine.detach()


def test_an_end_in_the_middle_of_writes(rig):
    """A reset and an end by force wait for what the disk has; all memory comes back, and so does
    the partition."""
    with rig.boot() as machine:
        rig.start(machine, "keeper")
        machine.cmd("stop keeper --force", 30)
        machine.wait_state("keeper", ("off",), 30)
        before = machine.cmd("memory")
        for _ in range(2):
            rig.start(machine, "keeper")
            busy(machine, "keeper")
            ready = times_ready(machine, "keeper")
            assert machine.ask("reset keeper", 30)["ok"]
            wait_ready(machine, "keeper", ready)
            busy(machine, "keeper")
            machine.cmd("stop keeper --force", 30)
            machine.wait_state("keeper", ("off",), 30)
        after = machine.cmd("memory")
        assert all(after[key] == before[key] for key in ("overhead_bytes", "promised_bytes",
                                                         "guest_bytes")), (before, after)
        disks = machine.cmd("disks")
        assert by_name(disks["partitions"])["nvme1p2"]["holders"] == "-"
        assert not any(disk["errors"] for disk in disks["disks"])


def throttle(machine, drive, iops):
    rates = {key: 0 for key in ("bps", "bps_rd", "bps_wr", "iops_rd", "iops_wr")}
    assert "return" in machine.qmp("block_set_io_throttle", device=drive, iops=iops, **rates)


def test_a_disk_that_hardly_answers(rig):
    """One request a second: commands are late, are aborted, the controller is reset; the guest gets
    its data, and the guest's other disk and the shell go on."""
    with rig.boot() as machine:
        rig.start(machine, "keeper")
        throttle(machine, "p", 1)
        with Shell(machine, "keeper") as shell:
            # so many that the disk always has eight of them, however slowly they begin
            shell.run("for i in $(seq 24); do dd if=/dev/vda of=/tmp/$i bs=64k "
                      "skip=$((i*20)) count=2 2>/dev/null & done; sleep 12", 120)
            assert "error" not in shell.run("dd if=/dev/vdb of=/dev/null bs=64k count=64", 60)
        end = time.monotonic() + 60
        while not by_name(machine.cmd("disks")["traffic"])["nvme1"]["timeouts"]:
            assert time.monotonic() < end, (machine.cmd("disks"), machine.output("keeper")[-1500:])
            time.sleep(0.5)
        throttle(machine, "p", 0)
        with Shell(machine, "keeper") as shell:
            text = shell.run("wait; ls -l /tmp/[1-9] /tmp/[12][0-9]; dd if=/dev/vda of=/dev/null "
                             "bs=64k count=64 2>&1; dmesg | grep -c 'I/O error'", 90)
            assert text.count(" 131072 ") == 24, text
        rows = by_name(machine.cmd("disks")["disks"])
        assert not any(row["errors"] for row in rows.values())
        assert any("aborting it" in line["line"] for line in machine.cmd("log all")["lines"])
