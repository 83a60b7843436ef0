# SPDX-License-Identifier: BSD-2-Clause
"""The NAT network: two Debian guests with `net = nat` and no more have leases, names, a file from
this machine through QEMU's network, and a port that is reached from here. Also run on ARM64, by
test_arm_nat."""
import re
import socket
import time

import pytest

import trivet
from test_debian import Shell, wait_ready
from test_uplink import served

MACHINE_TYPE = trivet.Machine
KERNEL, INITRD, CMDLINE = "vmlinuz", "initrd.img", "console=hvc0 quiet"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def config(module):
    guest = {"initrd": module.INITRD, "cmdline": module.CMDLINE, "memory": "192M"}
    return ("[host]\nlog = info\n[net nat]\nforward = tcp:2222->web:80\n"
            + trivet.section("web", module.KERNEL, **guest, net="nat,ip=10.21.0.15")
            + trivet.section("db", module.KERNEL, **guest, net="nat"))


def leases(machine):
    return {row["guest"]: row for row in machine.cmd("nets")["leases"]}


def wait_leases(machine):
    """Until both guests have a lease, and the gateway an address outside."""
    end = time.monotonic() + 90 * machine.patience
    while time.monotonic() < end:
        nets = machine.cmd("nets")
        if (all(row["lease"] for row in nets["leases"])
                and nets["gateway"][0]["uplink"] == "up"):
            return
        time.sleep(1)
    raise AssertionError(nets)


@pytest.fixture(scope="module", name="rig")
def make_rig(request, tmp_path_factory):
    """A booted machine, what the server of this machine's loopback offers, and the port here that
    is the gateway's port 2222."""
    module = request.module
    files = trivet.debian_files()
    image = trivet.make_image(config(module),
                              {name: files[name] for name in (module.KERNEL, module.INITRD)})
    port = free_port()
    options = ["--netdev", f"user,hostfwd=tcp:127.0.0.1:{port}-:2222", "--nic", "virtio"]
    with served(tmp_path_factory.mktemp("www")) as server:
        with module.MACHINE_TYPE(image, options=options) as machine:
            machine.boot()
            for name in ("web", "db"):
                wait_ready(machine, name)
            wait_leases(machine)
            yield machine, *server, port


def test_leases(rig):
    machine = rig[0]
    rows = leases(machine)
    assert rows["web"]["address"] == "10.21.0.15" and rows["web"]["lease"] > 86000, rows
    with Shell(machine, "db") as shell:
        text = shell.run("ip addr show eth0; ip route; cat /etc/resolv.conf")
    assert f"inet {rows['db']['address']}/24" in text, text
    assert "default via 10.21.0.1" in text and "nameserver 10.21.0.1" in text, text
    (gateway,) = machine.cmd("nets")["gateway"]
    assert (gateway["uplink"], gateway["address"]) == ("up", "10.0.2.15"), gateway


def test_pings_and_names(rig):
    machine = rig[0]
    with Shell(machine, "db") as shell:
        for target in ("10.21.0.1", "web", "web.trivet", "10.0.2.2"):
            for size in (56, 4000) if target == "web" else (56,):
                text = shell.run(f"ping -q -c 2 -W 20 -s {size} {target}", 60)
                assert "2 packets received" in text, text
        assert "web.trivet" in shell.run("nslookup 10.21.0.15", 60)
        assert "NXDOMAIN" in shell.run("nslookup nobody.trivet", 60)


def test_a_file(rig):
    machine, port, digest, _ = rig
    with Shell(machine, "db") as shell:
        text = shell.run(f"wget -q -O - http://10.0.2.2:{port}/f | md5sum", 120)
    assert text.split()[0] == digest
    row = leases(machine)["db"]
    assert row["opened"] >= 1 and row["refused"] == 0, row


def test_a_forward(rig):
    machine, _, _, port = rig
    with Shell(machine, "web") as shell:
        shell.run("mkdir -p /www; echo hello from web >/www/index.html; httpd -h /www")
    with socket.create_connection(("127.0.0.1", port), 30 * machine.patience) as s:
        s.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
        text = b""
        while part := s.recv(4096):
            text += part
    assert b"hello from web" in text, text
    (row,) = machine.cmd("nets")["forwards"]
    assert (row["protocol"], row["port"], row["guest"], row["guest_port"]) == ("tcp", 2222, "web",
                                                                                80)


def test_an_address_of_another(rig):
    """What a guest sends from a neighbour's address goes nowhere."""
    machine = rig[0]
    with Shell(machine, "db") as shell:
        shell.run("ip addr add 10.21.0.15/24 dev eth0")
        text = shell.run("ping -q -c 2 -W 2 -I 10.21.0.15 10.0.2.2; true", 60)
        shell.run("ip addr del 10.21.0.15/24 dev eth0")
    assert re.search("0 packets received", text), text
    nets = machine.cmd("nets")
    (port,) = [row["port"] for row in nets["ports"] if row["guest"] == "db"]
    (losses,) = [row for row in nets["losses"] if (row["switch"], row["port"]) == ("nat", port)]
    assert losses["claimed"] >= 2, losses
    assert leases(machine)["web"]["refused"] == 0
