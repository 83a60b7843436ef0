/* SPDX-License-Identifier: BSD-2-Clause */
/* Host interrupts. They are taken only inside irq_window() and irq_wait(). */
#pragma once
#include <hv/types.h>
/*
 * Boot step: the host's controller, all lines off. -ENODEV: it was not found; -ENOTSUP: the CPU
 * lacks what it needs; -ENOMEM. Fatal, and logged where it arises.
 */
int must_check irq_init(void);
/*
 * Boot CPU. gsi: as ACPI and the device tree number interrupts; on ARM64 the INTID. fn(arg) runs on
 * CPU 0, from irq_window() or irq_wait(), for ever; trigger and polarity are those of the
 * firmware's tables. -ENOENT: no such interrupt; -ENOSPC: too many.
 */
int must_check irq_register(uint32_t gsi, void (*fn)(void *), void *arg);
/* What a device writes, and where, to interrupt (PCI: MSI, MSI-X). */
struct irq_message {
    uint64_t address;
    uint32_t data;
};
/*
 * Boot CPU. A message of its own that has fn(arg) run on `cpu`, which is up, from irq_window().
 * -ENOTSUP: this host's controller takes no messages (ARM64 so far), or the CPU cannot be named in
 * one. -ENOSPC.
 */
int must_check irq_message(uint32_t cpu, void (*fn)(void *), void *arg, struct irq_message *);
/*
 * A line as an I/O APIC knows it (x86): pin `pin` of the one with that ACPI id arrives as vector
 * `vector` on the CPU whose APIC id is dest.
 */
struct irq_line {
    uint8_t ioapic, vector;
    uint16_t pin;
    uint32_t dest;
    bool level, low;
};
/*
 * Boot CPU: from now on, and for the lines that are routed already, fn says what the entry of the
 * I/O APIC is; 0: the line stays off, and the log says so. Elsewhere than on x86: nothing.
 */
void irq_remap_lines(uint64_t (*fn)(const struct irq_line *));
/* APIC ids are of 32 bits: the CPUs are in x2APIC mode (x86). */
bool irq_is_x2apic(void);
/* This CPU, no lock held: takes everything pending; returns with interrupts disabled again. */
void irq_window(void);
/*
 * This CPU, no lock held: sleeps until an interrupt came, and takes it. The caller has checked for
 * work with interrupts disabled, so no wake-up is lost.
 */
void irq_wait(void);
/* Any CPU, any context: an IPI that does nothing but arrive. `cpu` is up. See cpu_kick(). */
void irq_send_kick(uint32_t cpu);
