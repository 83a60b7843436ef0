/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's drivers, in the order of drivers/drivers.c. */
#pragma once
#include <hv/smbios.h>
#include <hv/types.h>
struct boot_info;
/*
 * First thing on the boot CPU, before memory and interrupts: takes the framebuffer and looks for a
 * serial port at the PC's usual places and where the firmware's tables name one; both show the log
 * from here on. Without either, the log stays in its ring.
 */
void drivers_early_console(const struct boot_info *);
/*
 * Boot step, after acpi_init(), irq_init() and timer_init(): every driver; registers the host's
 * console line. Always 0: a driver that fails is logged, and the machine goes on without it.
 */
int must_check drivers_init(const struct boot_info *);
/* True: there is a screen that shows the console. Constant after drivers_early_console(). */
bool drivers_have_screen(void);
/*
 * CPU 0, before the machine is switched off or restarted, when all guests are off: devices write
 * what they hold. Bounded: seconds.
 */
void drivers_shutdown(void);
/* What the firmware says of itself; constant after drivers_init(). Any CPU. */
struct drivers_firmware {
    struct smbios_info smbios;
    char tables[160]; /* the ACPI tables' signatures, with a blank between; "" : none */
};
void drivers_firmware(struct drivers_firmware *);
