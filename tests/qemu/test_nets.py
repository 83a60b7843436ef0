# SPDX-License-Identifier: BSD-2-Clause
"""Guests on virtual switches: frames of all sizes between two of them, every byte checked; what
`nets` says of it; Debian's driver with a ping."""
import re
import time

import trivet
from test_debian import Shell, wait_ready

MAC = {"ask": "02:00:00:00:00:01", "answer": "02:00:00:00:00:02", "small": "02:00:00:00:00:03"}
LINUX = "console=ttyS0 console=hvc0 quiet"
CONFIG = ("[host]\nlog = info\n[net wide]\nmtu = 9000\nfloods = 100\n"
          "[net nat]\nfloods = 100\n[net lan]\n"
          + "".join(trivet.section(name, "net", cmdline=f"{name} x", memory="64M", vcpus=1,
                                   debug_exit="yes", autostart="no", net=f"wide,mac={mac}")
                    for name, mac in MAC.items())
          + trivet.section("flood", "hostile-net", cmdline="x", memory="64M", vcpus=1,
                           debug_exit="yes", autostart="no", net=["wide", "nat"])
          + "".join(trivet.section(name, "vmlinuz", initrd="initrd.img", cmdline=LINUX,
                                   memory="256M", vcpus=2, autostart="no",
                                   net=["lan", "lan,vlan=10", f"lan,vlan={vlan}"])
                    for name, vlan in (("left", 10), ("right", 20))))
MACHINE = {"memory": "2G"}
# frames that `ask` sends: from the least size to the most, beginning a little later each time
EACH = sum((9014 - 28 - kind) // 61 + 1 for kind in range(5))


def FILES():
    return {**trivet.debian_files(), "net": trivet.guest_file("net"),
            "hostile-net": trivet.guest_file("hostile-net")}


def ports(machine):
    """The first port of each guest."""
    return {row["guest"]: row for row in reversed(machine.cmd("nets")["ports"])}


def frames(machine, other):
    """`ask` and another guest, until both have ended well."""
    machine.cmd(f"start {other}", 60)
    machine.cmd("start ask", 60)
    for name in ("ask", other):
        machine.wait_state(name, ("off", "crashed"), 180 * machine.patience)
    for name in ("ask", other):
        output = machine.output(name)
        assert "FAIL" not in output and "TRAP" not in output, output
    assert len(re.findall("PASS ", machine.output("ask").rsplit("PASS split\n", 1)[-1])) >= 4
    return int(re.findall(r"answered (\d+)", machine.output(other))[-1])


def test_frames_of_all_sizes(machine):
    assert frames(machine, "answer") == EACH


def test_merged_buffers(machine):
    assert frames(machine, "small") == EACH


def flood_is_counted(machine):
    """What must be counted of the flood, and whether it was."""
    nets = machine.cmd("nets")
    mine = [(row["switch"], row["port"]) for row in nets["ports"] if row["guest"] == "flood"]
    rows = [row for row in nets["losses"] if (row["switch"], row["port"]) in mine]
    assert len(rows) == 2, nets
    counted = {f"{row['switch']} {what}": row[what] > 0
               for row in rows for what in ("bad", "spoofed", "limited")}
    # the gateway's answers, which it does not take
    return {**counted, "nat dropped": rows[1]["dropped"] > 0}


def test_a_flood(machine):
    """One guest sends without end to a neighbour and to the gateway. What others send to that
    neighbour all arrives; the work is the sender's, and what it may not do is counted at its
    port."""
    machine.cmd("start flood", 60)
    machine.wait_output("flood", "flood 4", 60)
    assert frames(machine, "answer") == EACH
    assert "FAIL" not in machine.tail("flood")
    end = time.monotonic() + 120 * machine.patience
    while not all(flood_is_counted(machine).values()):  # it goes on until it is stopped
        assert time.monotonic() < end, flood_is_counted(machine)
        time.sleep(1)
    assert machine.cmd("info flood")["worked_ns"] > 1000000
    machine.cmd("stop flood --force")
    machine.wait_state("flood", ("off",), 60)


def vlans(machine):
    """eth1 of both is in one VLAN; eth2 is not, nor does it reach eth1."""
    for number, name in enumerate(("left", "right"), 1):
        with Shell(machine, name) as shell:
            shell.run(f"ip addr add 10.0.1.{number}/24 dev eth1; ip link set eth1 up; "
                      f"ip addr add 10.0.2.{number}/24 dev eth2; ip link set eth2 up")
    with Shell(machine, "left") as shell:
        assert "3 packets received" in shell.run("ping -q -c 3 -W 10 -s 1472 10.0.1.2", 60)
        assert "0 packets received" in shell.run("ping -q -c 2 -W 2 10.0.2.2", 60)
    rows = [row for row in machine.cmd("nets")["access"] if row["guest"] == "right"]
    assert [row["vlan"] for row in rows] == [10, 20], rows


def pairs(machine):
    """A pair of queues for each vCPU: answers come by the one that was sent by."""
    count = "awk '/virtio.*-input.1/ {print \"got\", $2 + $3}' /proc/interrupts | head -n 1"
    with Shell(machine, "left") as shell:
        assert "rx-1" in shell.run("ls /sys/class/net/eth0/queues")
        before = int(re.search(r"got (\d+)", shell.run(count))[1])
        assert "3 packets received" in shell.run("taskset 2 ping -q -c 3 -W 10 10.0.0.2", 60)
        assert int(re.search(r"got (\d+)", shell.run(count))[1]) >= before + 3


def lost(machine, *reasons):
    """Nothing was lost for these reasons."""
    for row in machine.cmd("nets")["losses"]:
        assert not any(row[reason] for reason in reasons), row


def long_frames(machine):
    """TCP with frames as long as the drivers make them, which nobody sums or cuts. TCP finds the
    room there is by sending more than that: a queue may drop frames, and all arrives in the end."""
    with Shell(machine, "right") as shell:
        shell.run("nc -l -p 5000 >/tmp/got & true")
    with Shell(machine, "left") as shell:
        text = shell.run("dd if=/dev/urandom of=/tmp/sent bs=64k count=32 2>/dev/null; "
                         "nc -w 20 10.0.0.2 5000 </tmp/sent; md5sum </tmp/sent", 90)
    with Shell(machine, "right") as shell:
        assert re.search(r"[0-9a-f]{32}", text)[0] in shell.run("md5sum </tmp/got", 60)
    rows = {row["port"]: row for row in machine.cmd("nets")["offloads"]
            if row["switch"] == "lan"}
    assert rows[ports(machine)["right"]["port"]]["whole"] > 0, rows
    assert all(row["cut"] == row["summed"] == 0 for row in rows.values()), rows


def test_linux_pings_linux(machine):
    for name in ("left", "right"):
        machine.cmd(f"start {name}", 60)
    for number, name in enumerate(("left", "right"), 1):
        wait_ready(machine, name)
        with Shell(machine, name) as shell:
            shell.run(f"ip addr add 10.0.0.{number}/24 dev eth0; ip link set eth0 up")
            address = re.search(r"link/ether ([0-9a-f:]+)", shell.run("ip link show eth0")).group(1)
        assert address == ports(machine)[name]["mac"]
    with Shell(machine, "left") as shell:
        for size in (8, 56, 1400, 1472, 8000, 60000):
            text = shell.run(f"ping -q -c 3 -W 10 -s {size} 10.0.0.2", 90)
            assert "3 packets received" in text, text
    there = ports(machine)
    assert there["left"]["up"] and there["left"]["sent"] > 100 < there["right"]["sent"], there
    lost(machine, "dropped", "bad", "spoofed")
    pairs(machine)
    long_frames(machine)
    vlans(machine)
    lost(machine, "bad", "spoofed")
