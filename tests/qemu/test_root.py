# SPDX-License-Identifier: BSD-2-Clause
"""Debian from a partition of an NVMe disk: it comes up to a login, and a power cut in the middle of
writes leaves a clean file system with all that was flushed. Many rounds: tests/rounds."""
from root import Root


def test_a_debian_root_survives_a_power_cut(tmp_path):
    rig = Root(str(tmp_path))
    with rig.boot() as machine:
        rig.start(machine, "writer")
        rig.login(machine)
        machine.send("findmnt -no SOURCE,FSTYPE,OPTIONS /\r")
        machine.expect(r"/dev/vda\s+ext4\s+rw,", 60, "the root")
        rig.write(machine, 20)
        assert rig.cut(machine) >= 20
