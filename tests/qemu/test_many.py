# SPDX-License-Identifier: BSD-2-Clause
"""A machine of more CPUs than a word has bits, and a guest of as many vCPUs as there can be."""
from trivet import PASSED, Machine, guest_file, make_image, section

CONFIG = ("[host]\nlog = info\n" +
          section("many", "aps", memory="64M", vcpus=255, cpus="64-65", cmdline="cpus=255",
                  debug_exit="yes", autostart="no"))


def test_66_cpus_and_255_vcpus():
    image = make_image(CONFIG, {"aps": guest_file("aps")})
    with Machine(image, cpus=66, memory="2G") as machine:
        machine.boot()
        assert len(machine.cmd("cpus")["cpus"]) == 66
        assert machine.cmd("info many")["cpu_mask"] == "0x30000000000000000"
        code, _, output = machine.run_guest("many")
        assert code == PASSED, output
        assert [row["guest_ns"] > 0 for row in machine.cmd("cpus")["cpus"]][:64] == [False] * 64
