/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * serial.h: the host's console line: a 16550 (uart16550.c) or a PL011 (pl011.c), chosen by
 * serial.c. For drivers/ only.
 */
#pragma once
#include <hv/acpi.h>
#include <hv/console.h>
#include <hv/platform.h>

struct boot_info;
/*
 * First on the PC's usual ports, then where the firmware's tables name one; true when there is a
 * line, which is polled from here on.
 */
bool serial_early(const struct boot_info *);
/* The log's text, polled, after serial_early() has found a line and until the shell shows it. */
void serial_early_write(const char *, size_t);
/*
 * The SPCR's port in place of the probed one, where it names another; then interrupts and the host
 * console.
 */
int must_check serial_init(void);

/* What serial.c asks of a chip's driver. All polled until `irq` was called. */
struct serial_chip {
    struct host_console line;
    bool (*receive)(void); /* what has come in goes to the console; false: nothing had */
    bool (*tx_idle)(void);
    void (*irq)(void *);  /* handler */
    void (*irq_on)(void); /* the chip's interrupts on */
};
extern const struct serial_chip uart16550, pl011;
#define SERIAL_NAME_MAX 48
bool uart16550_probe(uint16_t port);
bool uart16550_mmio(const struct platform_serial *);
/* another port than the one in use: true, and it is in use now */
bool uart16550_spcr(const struct acpi_spcr *, char name[SERIAL_NAME_MAX]);
bool pl011_start(const struct platform_serial *);
