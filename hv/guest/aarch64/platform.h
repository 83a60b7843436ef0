/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where an ARM64 guest finds things: addresses and interrupts of the machine that hv/guest/aarch64
 * builds. The devices, the interrupt controllers, the device tree and the ACPI tables all take them
 * from here. Where QEMU's `virt` machine has the same thing, it is at the same place.
 */
#pragma once
#include <hv/types.h>

/* Guest physical addresses. */
#define PLAT_FLASH_CODE 0x00000000ull /* guests with firmware: two banks of flash */
#define PLAT_FLASH_VARS 0x04000000ull
#define PLAT_FLASH_LEN 0x04000000ull /* room for each */
#define PLAT_GICD 0x08000000ull      /* GICv3: 64 KiB; GICv2: 4 KiB */
#define PLAT_GICC 0x08010000ull      /* GICv2: 8 KiB, the hardware's GICV */
#define PLAT_V2M 0x08020000ull       /* GICv2: MSI frame of GICv2m, 4 KiB */
#define PLAT_ITS 0x08080000ull       /* GICv3: 128 KiB: control and translation frames */
#define PLAT_GICR 0x080a0000ull      /* GICv3: 128 KiB for each vCPU: RD and SGI frames */
#define PLAT_GICR_STRIDE 0x00020000ull
/* and where they are when the guest has more vCPUs than fit there: room for ARM_VCPUS_MAX */
#define PLAT_GICR_MANY 0x0a000000ull
#define ARM_VCPUS_MAX 512u
#define PLAT_PL011 0x09000000ull /* each of the small devices: 4 KiB */
#define PLAT_PL031 0x09010000ull
#define PLAT_FW_CFG 0x09020000ull /* guests with firmware: 24 bytes */
#define PLAT_FW_CFG_LEN 24u
#define PLAT_PL061 0x09030000ull /* GPIO: line 3 is the power button */
/* pages of ROM: stolen time, 64 bytes for each vCPU (DEN0057) */
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

/* Where the redistributors of so many vCPUs are. */
static inline uint64_t plat_gicr(uint32_t vcpus)
{
    return vcpus <= (PLAT_PL011 - PLAT_GICR) / PLAT_GICR_STRIDE ? PLAT_GICR : PLAT_GICR_MANY;
}

/* Bytes of their stolen times, in whole pages. */
static inline uint64_t plat_pvtime_len(uint32_t vcpus)
{
    return align_up(vcpus * 64ull, PAGE_SIZE);
}
static_assert(PLAT_GICR_MANY + ARM_VCPUS_MAX * PLAT_GICR_STRIDE <= PLAT_ECAM &&
                  PLAT_PVTIME + ARM_VCPUS_MAX * 64 <= PLAT_DEBUG_EXIT,
              "what there is for each vCPU fits");
