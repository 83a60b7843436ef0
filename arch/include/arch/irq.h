/* SPDX-License-Identifier: BSD-2-Clause */
/* Host interrupts. They are taken only inside irq_window() and irq_wait(). */
#pragma once
#include <hv/types.h>
/* boot step: the host's controller, all lines off. An error is fatal, and logged where it arises */
int must_check irq_init(void);
/* gsi: as ACPI and the device tree number interrupts; on ARM64 the INTID. */
/* routed to CPU 0; level/polarity from firmware tables. -ENOENT: no such interrupt; -ENOSPC */
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
/* takes everything pending, then returns with interrupts disabled again */
void irq_window(void);
/*
 * sleeps until an interrupt came; the caller has checked for work with interrupts disabled, no
 * wake-up is lost
 */
void irq_wait(void);
void irq_send_kick(uint32_t cpu); /* an IPI that does nothing but arrive */
