# SPDX-License-Identifier: BSD-2-Clause
"""A switch with a NIC of the machine's as its uplink: a guest gets a lease from QEMU's network and
a file from this machine; the link goes and comes. Also run on ARM64, by test_arm_uplink."""
import contextlib
import functools
import hashlib
import http.server
import os
import re
import threading

import pytest

import trivet
from test_debian import Shell, wait_ready

NICS = ("virtio", "e1000e", "e1000")
MACHINE_TYPE = trivet.Machine
KERNEL, INITRD = "vmlinuz", "initrd.img"
SIZE = 4 << 20


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder):
    """Serves a file `f` on this machine's loopback: its port and its digest."""
    data = os.urandom(SIZE)
    with open(os.path.join(folder, "f"), "wb") as out:
        out.write(data)
    with http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], hashlib.md5(data).hexdigest()
        server.shutdown()


def config(module):
    guest = {"initrd": module.INITRD, "cmdline": "console=hvc0 quiet", "memory": "192M"}
    nets = "".join(f"[net lan{i}]\nuplink = nic{i}\n" for i in range(len(module.NICS)))
    return ("[host]\nlog = info\n" + nets
            + "[net thief]\nuplink = nic0\n[net wrong]\nuplink = nic9\n"
            + trivet.section("inside", module.KERNEL, **guest,
                             net=[f"lan{i}" for i in range(len(module.NICS))]))


@pytest.fixture(scope="module", name="rig")
def make_rig(request, tmp_path_factory):
    """A booted machine with the NICs of the module, and a server."""
    module = request.module
    files = trivet.debian_files()
    image = trivet.make_image(config(module),
                              {name: files[name] for name in (module.KERNEL, module.INITRD)})
    options = [word for kind in module.NICS for word in ("--nic", kind)]
    with served(tmp_path_factory.mktemp("www")) as server:
        with module.MACHINE_TYPE(image, options=options) as machine:
            machine.boot()
            wait_ready(machine, "inside")
            yield machine, *server, module.NICS


def nic(machine, i):
    answer = machine.cmd("nics")
    return {**answer["nics"][i], **answer["traffic"][i], **answer["errors"][i]}


def fetch(shell, i, port):
    """A lease, and the file's digest, through one device; the others are down meanwhile."""
    shell.run("for d in /sys/class/net/eth*; do ip addr flush dev ${d##*/}; "
              "ip link set ${d##*/} down; done")
    text = shell.run(f"udhcpc -i eth{i} -n -q", 60)
    assert "lease of 10.0.2.15 obtained" in text, text
    return shell.run(f"wget -q -O - http://10.0.2.2:{port}/f | md5sum", 120).split()[0]


def test_a_lease_and_a_file(rig):
    machine, port, digest, kinds = rig
    with Shell(machine, "inside") as shell:
        for i in range(len(kinds)):
            assert fetch(shell, i, port) == digest, kinds[i]
    for i, kind in enumerate(kinds):
        row = nic(machine, i)
        assert row["user"] == f"switch lan{i}" and row["driver"].startswith(kind), row
        assert row["up"] and row["works"] and row["received_bytes"] > SIZE, row
        assert not any(row[key] for key in ("bad", "strays", "resets", "lost", "flaps")), row
    losses = machine.cmd("nets")["losses"]
    assert not any(row[key] for row in losses for key in ("spoofed", "bad", "limited")), losses


def test_who_has_it(rig):
    machine = rig[0]
    assert "uplink = nic0`: [net lan0] has it, too" in machine.text
    assert "uplink = nic9`: this machine has no such network device" in machine.text


def test_the_link_goes_and_comes(rig):
    machine, port, digest, kinds = rig
    for i in range(len(kinds)):
        for up in (False, True):
            assert "return" in machine.qmp("set_link", name=f"net{i}", up=up)
            machine.expect(f"nic{i}: " + ("link up" if up else "no link"), 20)
            row = nic(machine, i)
            assert row["up"] is up and row["flaps"] == 1, row
    with Shell(machine, "inside") as shell:
        for i in range(len(kinds)):
            assert fetch(shell, i, port) == digest
            assert re.search(r"0% packet loss",
                             shell.run("ping -q -c 3 -W 10 10.0.2.2", 60))
