/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to hv/guest/uefi. */
#pragma once
#include <hv/cfi_flash.h>
#include <hv/fw_cfg.h>
#include <hv/guest_uefi.h>
#include <hv/lock.h>
#include <hv/vm.h>

struct uefi {
    struct vm *vm;
    struct spinlock lock; /* LOCK_DEVICE: of the flash's and fw_cfg's states */
    struct uefi_layout layout;
    uint64_t code_len;
    struct cfi_flash vars;
    hpa_t pages; /* what the variables are in */
    unsigned order;
    struct fw_cfg cfg;
    uint8_t *tables; /* of this machine; NULL: none yet */
    uint64_t tables_room;
    uint8_t rsdp[36], script[40 * FW_ACPI_COMMAND];
};
