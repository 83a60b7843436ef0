# SPDX-License-Identifier: BSD-2-Clause
"""A machine with AMD's IOMMU: as test_iommu_vtd, but Trivet's own drivers unmap deferred. QEMU's
never writes its event log: what memory holds tells that the accesses were refused."""
from test_iommu_vtd import (make_rig, test_a_device_of_nobodys_reaches_nothing,  # noqa: F401
                            test_disk_and_nic_work_through_it)

IOMMU = "amd-iommu,intremap=on"
UNIT, TELLS = "amdvi0", False
UNMAPPING = "deferred"
