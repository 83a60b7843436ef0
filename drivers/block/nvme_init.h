/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
#include <hv/types.h>
/*
 * Boot, after host_pci_init(): every NVMe controller is stopped, started and asked, and its
 * namespaces become disks. -ENODEV: there is none.
 */
int must_check nvme_init(void);
