/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In which order a guest's firmware tries its devices: `boot` of trivet.conf, as the file
 * `bootorder` of fw_cfg tells edk2: an OpenFirmware device path a line, a NUL at the end
 * (edk2 OvmfPkg/Library/QemuBootOrderLib).
 */
#pragma once
#include <hv/config.h>
#include <hv/types.h>
struct vm;

/* A device that something can be started from. Several of a kind stand in the guest's order. */
struct boot_device {
    enum boot_kind kind;
    uint8_t slot;   /* on the guest's bus */
    bool passed;    /* of the machine: the firmware knows it by its function alone */
    uint16_t id[2]; /* of those: vendor and device */
};
#define BOOT_DEVICES 32     /* of a bus */
#define BOOT_ORDER_MAX 2048 /* bytes of the file */

/*
 * Writes the file for these devices: each is in it once, where `order` names it first; what
 * `order` does not name is not tried. Returns its bytes, at most BOOT_ORDER_MAX; 0: it would name
 * none. Pure.
 */
uint32_t boot_order_write(const struct guest_boot *order, unsigned n, const struct boot_device *,
                          unsigned ndevs, char *out);
/* The same of a guest's configuration and devices. CPU 0, after vio_build(); 0: none is asked for.
 */
uint32_t vio_boot_order(const struct vm *, char *out);
