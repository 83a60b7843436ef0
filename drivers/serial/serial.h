/* serial.h: 16550-compatible UARTs. For drivers/ only. */
#pragma once
#include <hv/acpi.h>

/* Probes the PC's usual ports; true when one answers its loop-back test. Polled from here on. */
bool serial_early(void);
/* The SPCR's port in place of the probed one, where it names another; then interrupts and the host console. */
int must_check serial_init(const struct acpi_spcr *);
const char *serial_name(void);
