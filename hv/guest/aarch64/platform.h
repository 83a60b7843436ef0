/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where an ARM64 guest finds things: addresses and interrupts of the machine that hv/guest/aarch64
 * builds. The devices, the interrupt controllers, the device tree and the ACPI tables all take them
 * from here. Where QEMU's `virt` machine has the same thing, it is at the same place.
 */
#pragma once

/* Guest physical addresses. */
#define PLAT_GICD 0x08000000ull /* GICv3: 64 KiB; GICv2: 4 KiB */
#define PLAT_GICC 0x08010000ull /* GICv2: 8 KiB, the hardware's GICV */
#define PLAT_V2M 0x08020000ull  /* GICv2: MSI frame of GICv2m, 4 KiB */
#define PLAT_ITS 0x08080000ull  /* GICv3: 128 KiB: control and translation frames */
#define PLAT_GICR 0x080a0000ull /* GICv3: 128 KiB for each vCPU: RD and SGI frames */
#define PLAT_GICR_STRIDE 0x00020000ull
/* bits of masks, a page of stolen times, and room for their redistributors */
#define ARM_VCPUS_MAX 64u
#define PLAT_PL011 0x09000000ull /* each of the small devices: 4 KiB */
#define PLAT_PL031 0x09010000ull
#define PLAT_PL061 0x09030000ull /* GPIO: line 3 is the power button */
/* a page of RAM: stolen time, 64 bytes for each vCPU (DEN0057) */
#define PLAT_PVTIME 0x090a0000ull
/*
 * `debug-exit = yes`: a 32-bit write of v ends the guest with the code (v << 1) | 1, as port 0xf4
 * does on x86
 */
#define PLAT_DEBUG_EXIT 0x090f0000ull
#define PLAT_ECAM 0x10000000ull   /* PCI segment 0, bus 0; VPCI_ECAM_LEN */
#define PLAT_MMIO32 0x20000000ull /* PCI window: bus addresses are guest-physical ones */
#define PLAT_MMIO32_LEN 0x20000000ull
#define PLAT_RAM 0x40000000ull
#define PLAT_MMIO64 0x4000000000ull /* 256 GiB: above all RAM */
#define PLAT_MMIO64_LEN 0x1000000000ull

/*
 * Interrupt IDs, as given to virq_set(). Shared peripheral interrupt n of a device tree is INTID 32
 * + n.
 */
enum plat_intid {
    INTID_PL011 = 33,
    INTID_PL031 = 34,
    INTID_PCI_INTA = 35 /* .. 38: INTD */,
    INTID_PL061 = 39,
    INTID_PMU = 23,
};
#define PLAT_SPI(intid) ((intid)-32u)
