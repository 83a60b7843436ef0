# SPDX-License-Identifier: BSD-2-Clause
"""Guests behind the NAT gateway with Debian's own clients: leases for isc-dhcp-client,
systemd-networkd and busybox's udhcpc; 100 MB from this machine's loopback, names, a forwarded
port."""
import hashlib
import re
import socket
import time

import pytest

import test_uplink
import tools
import trivet
from test_debian import Shell, bring_up
from test_nat import free_port, leases

GUEST = {"memory": "384M", "vcpus": 1, "autostart": "no", "disk": "serial:tools,ro", "net": "nat",
         "initrd": "initrd.img"}
CONFIG = ("[host]\nlog = info\n[net nat]\nforward = tcp:2222->isc:80\n"
          + "".join(trivet.section(name, "vmlinuz", cmdline=tools.CMDLINE, **GUEST)
                    for name in ("isc", "udhcpc"))
          + trivet.section("networkd", "vmlinuz", cmdline=f"{tools.CMDLINE} root=/dev/vda",
                           **GUEST))
BIG = 100_000_000
ARGUMENTS = tools.drive("tools", tools.root(), "nvme,serial=tools")


@pytest.fixture(scope="module", name="rig")
def make_rig(tmp_path_factory):
    """A machine, the port and digest of what this machine serves, the port that is forwarded."""
    port = free_port()
    test_uplink.SIZE = BIG
    image = trivet.make_image(CONFIG, tools.files())
    options = ["--netdev", f"user,hostfwd=tcp:127.0.0.1:{port}-:2222", "--nic", "virtio"]
    with test_uplink.served(tmp_path_factory.mktemp("www")) as server:
        with trivet.Machine(image, options=options, arguments=ARGUMENTS) as machine:
            machine.boot()
            yield machine, *server, port


def lease(machine, name, seconds=60):
    """Its row, once the gateway has given it a lease."""
    end = time.monotonic() + seconds
    while not (row := leases(machine)[name])["lease"]:
        assert time.monotonic() < end, row
        time.sleep(1)
    return row


def test_udhcpc(rig):
    machine = rig[0]
    bring_up(machine, "udhcpc")
    row = lease(machine, "udhcpc")
    with Shell(machine, "udhcpc") as shell:
        tools.enter(shell)
        assert f"inet {row['address']}/24" in shell.run("ip addr show eth0")
        # the package's, which asks again, gives the lease back and takes it anew
        shell.run("killall -USR2 udhcpc; sleep 2; killall udhcpc; ip addr flush dev eth0")
        text = shell.run("chroot /mnt/disk udhcpc -i eth0 -n -q -f 2>&1", 60)
        assert f"lease of {row['address']} obtained" in text, text
        assert f"inet {row['address']}/" in shell.run("ip addr show eth0")


def test_isc_dhcp_client(rig):
    machine = rig[0]
    bring_up(machine, "isc")
    with Shell(machine, "isc") as shell:
        tools.enter(shell)
        shell.run("killall udhcpc; ip addr flush dev eth0; : >/etc/resolv.conf")
        bound = shell.run("chroot /mnt/disk dhclient -v -1 eth0 2>&1", 120)
    row = lease(machine, "isc")
    assert f"bound to {row['address']} " in bound, bound
    with Shell(machine, "isc") as shell:
        text = shell.run("ip addr show eth0; ip route; cat /mnt/disk/etc/resolv.conf")
        for part in (f"inet {row['address']}/24", "default via 10.21.0.1", "nameserver 10.21.0.1"):
            assert part in text, text
        text = shell.run("chroot /mnt/disk dhclient -v -r eth0 2>&1; ip addr show eth0", 60)
        assert "DHCPRELEASE" in text and "inet 10.21" not in text, text
        text = shell.run("chroot /mnt/disk dhclient -v -1 eth0 2>&1", 120)
        assert f"bound to {row['address']} " in text, text


def test_systemd_networkd(rig):
    machine = rig[0]
    machine.cmd("start networkd", 60)
    machine.send("console networkd\r")
    machine.expect(r"\[console networkd[^\n]*\n", 10, "attach")
    try:
        machine.expect(r"login: ", 600, "no login")
        machine.send("root\r")
        machine.expect(r"# ", 120, "no shell")
    finally:
        machine.detach()
    row = lease(machine, "networkd", 120)
    with Shell(machine, "networkd") as shell:
        text = shell.run("ip addr; ip route", 120)
        assert "default via 10.21.0.1 dev enp0s4 proto dhcp" in text, text
        assert f"inet {row['address']}/24" in text, text
        assert "active" in shell.run("systemctl is-active systemd-networkd")


def test_a_large_file(rig):
    """By its guests' programs: wget, names by glibc's resolver."""
    machine, port, digest, _ = rig
    with Shell(machine, "isc") as shell:
        began = time.monotonic()
        text = shell.run(f"chroot /mnt/disk wget -q -O - http://10.0.2.2:{port}/f | md5sum", 900)
        assert text.split()[0] == digest, text
        print(f"{BIG} bytes in {time.monotonic() - began:.0f} s")


def test_names(rig):
    machine = rig[0]
    rows = leases(machine)
    with Shell(machine, "isc") as shell:
        for name in ("udhcpc", "udhcpc.trivet", "networkd.trivet"):
            text = shell.run(f"chroot /mnt/disk getent hosts {name}", 60)
            assert rows[name.split(".")[0]]["address"] in text, text


def test_a_forwarded_port(rig):
    machine, _, _, port = rig
    with Shell(machine, "isc") as shell:
        shell.run("mkdir -p /www; head -c 3000000 /dev/urandom >/www/f; httpd -h /www")
        wanted = re.search(r"[0-9a-f]{32}", shell.run("md5sum /www/f"))[0]
    with socket.create_connection(("127.0.0.1", port), 60) as s:
        s.sendall(b"GET /f HTTP/1.0\r\n\r\n")
        text = b""
        while part := s.recv(65536):
            text += part
    assert hashlib.md5(text.split(b"\r\n\r\n", 1)[1]).hexdigest() == wanted
    (row,) = machine.cmd("nets")["forwards"]
    assert (row["port"], row["guest"], row["guest_port"]) == (2222, "isc", 80), row
