/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where an x86 guest finds things: addresses, ports and interrupt lines of the machine that
 * hv/guest/x86_64 builds. The devices, the ACPI tables and the boot protocols all take them from
 * here.
 */
#pragma once
/* APIC IDs are the vCPUs' numbers, and 255 is everybody's in xAPIC mode. */
#define X86_VCPUS_MAX 255u

/* Guest physical addresses. RAM: 0..640K, PLAT_SHADOW..1M, 1M..PLAT_RAM_LOW_END, and from 4 GiB. */
#define PLAT_RAM_LOW_END 0xc0000000ull
#define PLAT_MMIO32 0xc0000000ull
#define PLAT_MMIO32_LEN 0x20000000ull
/* PCI segment 0, bus 0: a kernel that is told of more looks for devices on each */
#define PLAT_ECAM 0xe0000000ull
#define PLAT_ECAM_LEN 0x00100000ull /* VPCI_ECAM_LEN */
#define PLAT_MMIO64 0x4000000000ull /* 256 GiB: above all RAM */
#define PLAT_MMIO64_LEN 0x1000000000ull
#define PLAT_IOAPIC 0xfec00000ull
#define PLAT_IOAPIC_LEN 0x1000ull
#define PLAT_HPET 0xfed00000ull
#define PLAT_HPET_LEN 0x400ull
/* vendor, legacy replacement, 64 bits, number of timers - 1, revision (HPET 1.0a §2.3.4) */
#define HPET_ID (0x8086u << 16 | 1 << 15 | 1 << 13 | 2 << 8 | 1)
#define PLAT_LAPIC 0xfee00000ull /* of every vCPU at reset; the page is private to each */
#define PLAT_MSI 0xfee00000ull   /* MSI addresses: bits 31:20 (Intel SDM vol 3 §11.11.1) */
#define PLAT_EBDA 0x0009fc00ull  /* extended BIOS data area: RAM, reserved, up to 640 KiB */
#define PLAT_EBDA_LEN 0x400ull
/* RAM, reserved, where a PC has its adapters' ROMs: kernels read all of it in search of them */
#define PLAT_SHADOW 0x000c0000ull
#define PLAT_ACPI_LOW 0x000e0000ull     /* ACPI tables ... */
#define PLAT_ACPI_LOW_END 0x00100000ull /* ... up to here */

/*
 * Guests with firmware: OVMF puts configuration space at PLAT_Q35_ECAM, where low memory has to
 * end, and BARs from PLAT_MMIO32 up to PLAT_Q35_MMIO_END.
 */
#define PLAT_Q35_ECAM 0xb0000000ull
#define PLAT_Q35_MMIO_END 0xfc000000ull
#define PLAT_FLASH_MAX (16 * MIB) /* of firmware, up to 4 GiB */

/* Ports */
enum plat_port {
    PORT_PIC1 = 0x20,
    PORT_PIT = 0x40,
    PORT_KBC_DATA = 0x60,
    PORT_SYSCTL_B = 0x61,
    PORT_KBC_CMD = 0x64,
    PORT_RTC = 0x70,
    PORT_POST = 0x80,
    PORT_SYSCTL_A = 0x92,
    PORT_PIC2 = 0xa0,
    PORT_DEBUG_EXIT = 0xf4,
    PORT_COM1 = 0x3f8,
    PORT_ELCR = 0x4d0,
    PORT_PVPANIC = 0x505,
    PORT_FW_CFG = 0x510, /* to 0x51b, of guests with firmware */
    /* PM1a event block: status word, enable word (ACPI 6.4 §4.8.3.1); PM1_EVT_LEN 4 */
    PORT_PM1_EVT = 0x600,
    PORT_PM1_CNT = 0x604, /* PM1a control block, one word (§4.8.3.2) */
    PORT_PM_TMR = 0x608,  /* 32-bit power management timer (§4.8.3.3); TMR_VAL_EXT = 1 */
    PORT_PCI_CF8 = 0xcf8, /* PCI configuration, 8 ports (hv/pci) ... */
    /*
     * ... with the reset control register as a byte inside: hv/pci calls vm_request_reset() for bit
     * 2
     */
    PORT_RESET = 0xcf9,
    PLAT_PCI_IO = 0xc000, /* BARs of ports, up to 0xffff */
    PLAT_PCI_IO_LEN = 0x4000,
};
#define RESET_VALUE 0x06 /* FADT RESET_VALUE for PORT_RESET */
#define PM_TIMER_HZ 3579545
#define SLP_TYP_S5 5 /* \_S5 package: 5, 0 */

/*
 * Interrupt lines, as given to virq_set(). Lines 0..15 are the ISA IRQs: they reach the PIC input
 * of that number and the IOAPIC pin of that number, except that IRQ 0 reaches pin 2 (MADT interrupt
 * source override) and that pin 0 is the PIC's output (ExtINT). Lines 16..23 reach IOAPIC
 * pins 16..23 and, so that kernels without IOAPIC see PCI interrupts, PIC input plat_pic_irq(line),
 * level-triggered.
 */
enum plat_line {
    LINE_PIT = 0,
    LINE_KBD = 1,
    LINE_COM1 = 4,
    LINE_RTC = 8,
    LINE_SCI = 9,
    LINE_INTA = 16,
    LINE_INTD = 19
};
#define PLAT_GSI_PIT 2 /* override IRQ 0 -> GSI 2, edge, active high */
#define PLAT_GSI_SCI 9 /* override IRQ 9 -> GSI 9, level, active high */
#define IOAPIC_PINS 24
#define IOAPIC_ID 0 /* MADT and the IOAPIC's ID register at reset */
static inline unsigned plat_pic_irq(unsigned line) { return line < 16 ? line : 10 + (line & 1); }

/* Clocks of the guest */
/* bus clock of the LAPIC timer before its divider (CPUID leaf 40000010h EBX: kHz) */
#define LAPIC_TIMER_HZ 1000000000ull
