# SPDX-License-Identifier: BSD-2-Clause
"""Devices of the machine in guests, behind AMD's IOMMU: as test_passthrough_vtd. QEMU's never
writes its event log: what memory holds tells that the accesses were refused. It takes devices
behind bridges for 00:00.0: these two are on the root bus, where nothing resets edu."""
from test_passthrough_vtd import (  # noqa: F401
    EDU, config, files, make_machine, test_a_device_reaches_no_memory_but_its_guests,
    test_debian_has_an_nvme_disk_of_its_own, test_errors_of_devices_are_told)

IOMMU, TELLS = "amd-iommu,intremap=on", False
BUSES, EDU_ON, NVME_ON, EDU_AT, NVME_AT = (), "addr=10.0", "addr=11.0", "00:10.0", "00:11.0"
NIC_ON, OLD_NIC_ON, NIC_AT = "addr=12.0", "addr=13.0", "00:12.0"
UNRESET = {"unsafe_passthrough": "yes"}


def test_what_is_missing_is_told(machine):
    assert any("UNSAFE: 0000:00:10.0 is passed through although nothing resets" in line
               for line in machine.logs)
