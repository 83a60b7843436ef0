/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How people name PCI functions of the machine: "0000:03:00.0" or "03:00.0", "8086:10d3" (vendor
 * and device), "class:nvme". Pure functions.
 */
#pragma once
#include <hv/types.h>
enum pci_select_kind { PCI_SELECT_ADDRESS, PCI_SELECT_ID, PCI_SELECT_CLASS };
struct pci_select {
    enum pci_select_kind kind;
    uint16_t segment, vendor, device;
    uint8_t bus, devfn;         /* devfn: device number << 3 | function */
    uint32_t class, class_mask; /* class << 16 | subclass << 8 | prog_if */
};
/* All digits are hexadecimal, bus and device of one or two, a segment, IDs of four. -EINVAL. */
int must_check pci_select_parse(const char *, struct pci_select *);
/* "audio, display ...": the names of classes, for messages; returns buf. */
const char *pci_select_classes(char *buf, size_t n);
