/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * firmware.c: the machine that UEFI firmware of virtual machines (edk2's ArmVirtQemu, which Debian
 * calls AAVMF) knows: flash at 0 with its code, a bank of flash for variables behind it, fw_cfg in
 * memory, and a device tree at the start of RAM that names them. Only guests that have firmware see
 * any of it. Where QEMU's `virt` machine has it, it is at the same place.
 */
#include "tables.h"
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/fw_cfg.h>
#include <hv/gmem.h>
#include <hv/guest_uefi.h>
#include <stdio.h>

/* Its first stack is there before it asks how much memory it has. */
#define FIRMWARE_RAM_MIN (128 * MIB)

int arm_firmware_layout(struct vm *vm)
{
    /* two chips of 16 bits side by side, as the driver for virtual machines has it built in */
    static const struct uefi_layout at = {
        .vars_at = PLAT_FLASH_VARS, .code_at = PLAT_FLASH_CODE, .block = 256 * KIB, 4, 2
    };
    struct uefi_file f;
    int err = uefi_find(vm, &f);

    assert_cpu0();
    if (err)
        return err;
    if (f.vars || f.code_len > PLAT_FLASH_LEN) {
        snprintf(vm->why, sizeof vm->why, "firmware: %s",
                 f.vars ? "it is for x86-64" : "larger than 64M");
        return -ENOEXEC;
    }
    if (vm->config->memory < FIRMWARE_RAM_MIN) {
        snprintf(vm->why, sizeof vm->why, "memory: UEFI firmware needs at least 128M");
        return -ENOSPC;
    }
    arch_sync_code(f.code, f.code_len);
    return uefi_open(vm, &f, &at);
}

/* The firmware gives what it finds here to what it starts; else its device tree. */
static int tell_acpi(struct vm *vm)
{
    uint64_t room = load_tables_room(vm->config);
    struct tables t = { .vm = vm, .room = room, .model = "TRIVETA6" };

    t.buf = vm_alloc(vm, room);
    if (!t.buf)
        return -ENOMEM;
    (void)arm_acpi_build(&t);
    if (t.full) {
        vm_free(vm, t.buf, room);
        return -ENOSPC;
    }
    return uefi_tables(vm, t.buf, room, t.used);
}

int arm_firmware_build(struct vm *vm, const struct guest_config *c)
{
    const struct uefi_registers r = { .ports = false, .at = PLAT_FW_CFG };
    int err = uefi_build(vm, &r);

    assert_cpu0();
    return err || !c->acpi ? err : tell_acpi(vm);
}

int arm_firmware_load(struct load *l)
{
    int more = uefi_build_more(l->vm);

    assert_cpu0();
    l->entry = PLAT_FLASH_CODE;
    l->fdt = PLAT_RAM;
    return more;
}
