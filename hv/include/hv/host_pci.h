/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's PCI devices, found once at boot; constant afterwards. Implemented by drivers/pci. The
 * virtual bus of guests is <hv/pci.h>.
 */
#pragma once
#include <hv/types.h>

#define HOST_PCI_MAX 256

/* One function, as its configuration header says (PCI Local Bus Specification 3.0 section 6.1). */
struct host_pci_dev {
    uint16_t segment, vendor, device;
    uint8_t bus, devfn; /* devfn: device number << 3 | function */
    uint8_t class, subclass, prog_if;
    uint8_t header; /* 0: a device, 1: a bridge, 2: a CardBus bridge */
    uint8_t window; /* of ECAM; for drivers/pci only */
};

/*
 * Boot step of drivers_init(), after acpi_init(). -ENODEV: neither ECAM nor configuration mechanism
 * 1.
 */
int must_check host_pci_init(void);
const struct host_pci_dev *host_pci_devs(uint32_t *count);
/* How configuration space is reached, in words. */
const char *host_pci_access(void);
/*
 * Any CPU; no DRIVER lock held. off: bytes from the start of the function's configuration space, a
 * multiple of size, which is 1, 2 or
 * 4. Beyond what the access reaches (256 bytes by mechanism 1, 4096 by ECAM) reads give all ones
 * and writes do nothing.
 */
uint32_t host_pci_read(const struct host_pci_dev *, uint32_t off, unsigned size);
void host_pci_write(const struct host_pci_dev *, uint32_t off, unsigned size, uint32_t val);
/* "storage, NVMe": never NULL. */
const char *host_pci_class(const struct host_pci_dev *);
