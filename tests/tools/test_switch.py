# SPDX-License-Identifier: BSD-2-Clause
"""iperf3 between two guests on one switch, both ways: on a switch without VLANs, and with a VLAN
that one of them has by tags (Linux' 8021q on a trunk port) and the other without (an access
port)."""
import json
import re

import pytest

import tools
import trivet
from test_debian import Shell, bring_up

BYTES = 20_000_000
GUEST = {"memory": "384M", "vcpus": 1, "autostart": "no", "disk": "serial:tools,ro",
         "initrd": "initrd.img", "cmdline": tools.CMDLINE}
CONFIG = ("[host]\nlog = info\n[net lan]\n[net tags]\n"
          + trivet.section("left", "vmlinuz", net=["lan", "tags,trunk=10/20"], **GUEST)
          + trivet.section("right", "vmlinuz", net=["lan", "tags,vlan=10"], **GUEST))
BACKENDS = ("svm",)
FILES = tools.files
MACHINE = {"cpus": 2, "memory": "2G",
           "arguments": tools.drive("tools", tools.root(), "nvme,serial=tools")}
ADDRESSES = {"left": ("ip addr add 10.50.0.1/24 dev eth0; ip link set eth0 up; "
                      "ip link set eth1 up; "
                      "for v in 10 20; do chroot /mnt/disk ip link add link eth1 name eth1.$v type "
                      "vlan id $v; ip addr add 10.50.$v.1/24 dev eth1.$v; ip link set eth1.$v up; "
                      "done"),
             "right": ("ip addr add 10.50.0.2/24 dev eth0; ip link set eth0 up; "
                       "ip addr add 10.50.10.2/24 dev eth1; ip addr add 10.50.20.2/24 dev eth1; "
                       "ip link set eth1 up; chroot /mnt/disk iperf3 -s -D")}


@pytest.fixture(scope="module", name="pair")
def make_pair():
    """A machine with both guests up, `right` with a server."""
    with trivet.Machine(trivet.make_image(CONFIG, tools.files()), **MACHINE) as machine:
        machine.boot()
        for name, commands in ADDRESSES.items():
            bring_up(machine, name)
            with Shell(machine, name) as shell:
                tools.enter(shell)
                text = shell.run(f"killall udhcpc; {commands}", 120)
                assert "rror" not in text and "annot" not in text, text
        yield machine


def ports(machine, net):
    """{guest: its port} of a switch."""
    return {row["guest"]: row for row in machine.cmd("nets")["ports"] if row["switch"] == net}


@pytest.mark.parametrize("way", ("there", "back"))
@pytest.mark.parametrize("net, address", (("lan", "10.50.0.2"), ("tags", "10.50.10.2")))
def test_iperf3(pair, net, address, way):
    before = ports(pair, net)
    with Shell(pair, "left") as shell:
        reverse = "-R" if way == "back" else ""
        text = shell.run(f"chroot /mnt/disk iperf3 -c {address} -n {BYTES} -J {reverse}", 600)
    found = json.loads(re.search(r"^\{.*^\}", text, re.S | re.M)[0])
    assert "error" not in found, text
    sent, took = found["end"]["sum_sent"], found["end"]["sum_received"]
    # what is still under way at the end is not counted by who receives
    assert sent["bytes"] >= BYTES and took["bytes"] >= BYTES * 0.9, (sent, took)
    after = ports(pair, net)
    sender = "right" if way == "back" else "left"
    moved = {key: after[sender][key] - before[sender][key] for key in after[sender]
             if key.endswith("bytes") and key != "rate_bytes"}
    assert max(moved.values()) >= took["bytes"], moved
    print(f"{net}, {way}: {took['bits_per_second'] / 1e6:.0f} Mbit/s, "
          f"{sent.get('retransmits', '-')} sent again")


def test_a_vlan_that_the_other_is_not_in(pair):
    """Tagged 20 by a port that has it: the access port, in 10, gets nothing of it."""
    with Shell(pair, "left") as shell:
        assert "0 packets received" in shell.run("ping -c 3 -W 1 10.50.20.2", 60)
        assert "3 packets received" in shell.run("ping -c 3 -W 5 10.50.10.2", 60)
