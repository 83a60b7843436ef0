# SPDX-License-Identifier: BSD-2-Clause
"""A guest that writes to its whole disk, a sector in each piece: it gets what it may have, its
neighbours and the shell go on."""
from hostile import HOST, check_witness, ticks
from trivet import guest_file, scratch, section

MIB = 1 << 20
MACHINE = {"cpus": 1, "memory": "640M"}
CONFIG = (HOST + section("neighbour", "hello-mb1", memory="192M", cmdline="tick every=20000000",
                         debug_exit="yes")
          + section("greedy", "hostile-disk", memory="32M", cmdline="sparse", debug_exit="yes",
                    autostart="no", disk="big.img", disk_changes="8M")
          + section("zeroes", "hostile-disk", memory="32M", cmdline="zeroes rounds=4",
                    debug_exit="yes", autostart="no", disk="big.img",
                    disk_changes="8M"))


def FILES():
    return {"big.img": scratch("big.img", bytes(192 * MIB)), "hello-mb1": guest_file("hello-mb1"),
            "hostile-disk": guest_file("hostile-disk")}


def test_sparse_writer(machine):
    before = ticks(machine)
    total = machine.cmd("memory")
    out = machine.pass_guest("greedy", 240)
    written = [int(line.split()[1]) for line in (out or machine.tail("greedy")).splitlines()
               if line.startswith("disk: ")]
    assert written == [128], "8 MiB are 128 pieces"
    assert sum("its limit disk-changes = 8 MiB is reached" in line for line in machine.logs) == 1
    machine.ask("stop neighbour --force", 30)
    machine.wait_state("neighbour", "off", 30)
    assert machine.ask("start neighbour", 60)["ok"]
    machine.wait_state("neighbour", "running", 60)
    check_witness(machine, before)
    machine.wait_state("greedy", "off", 30)
    now = machine.cmd("memory")
    assert now["disk_bytes"] == 0 and now["file_bytes"] == total["file_bytes"]
    assert now["promised_bytes"] <= total["promised_bytes"]


def test_zeroes(machine):
    before = ticks(machine)
    machine.pass_guest("zeroes", 240)
    check_witness(machine, before)
