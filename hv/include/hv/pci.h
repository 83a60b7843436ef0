/* A guest's PCI Express bus: host bridge, configuration space by CF8/CFC (x86) and ECAM, BARs, MSI-X. PCIe base spec 5.0 §7. */
#pragma once
#include <hv/io.h>
#include <hv/types.h>
struct guest_config;
struct vm;
struct vpci_layout { uint64_t ecam, mmio32, mmio32_len, mmio64, mmio64_len; bool cf8; uint32_t intx_gsi; /* GSIs intx_gsi..+3 for INTA..D by swizzle */ };
int must_check vpci_create(struct vm *, const struct vpci_layout *);   /* sets vm->pci; BARs of devices added later are assigned by it */
void vpci_destroy(struct vm *);
/* virtio devices for a guest, in this order on the bus: console, rng, blk ... (hv/vio/build.c); bdf 00:01.0 up. */
int must_check vio_build(struct vm *, const struct guest_config *);
void vio_destroy(struct vm *);
