/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * UEFI firmware in a guest: its flash and its fw_cfg. A firmware's file is what edk2 builds for
 * virtual machines: a firmware volume that holds the variables (UEFI Platform Initialization 1.7,
 * vol 3 §3.2.1), then the code. The code is mapped read-only from the file, one copy for all
 * guests; the variables are the guest's own, a bank of flash, from start to stop. CPU 0 unless
 * stated.
 */
#pragma once
#include <hv/types.h>
struct fw_cfg;
struct state_ops;
struct state_pages;
struct vm;

#define UEFI_FILE_MAX (128 * MIB)
/* A file in its two parts. vars NULL: the store is empty at first, as ARM64's firmware wants it. */
struct uefi_file {
    const uint8_t *vars, *code;
    uint64_t vars_len, code_len; /* multiples of a page */
};
/* Where the parts are in guest memory, and what the bank of the variables is made of. */
struct uefi_layout {
    uint64_t vars_at, code_at;
    uint32_t block;     /* bytes that one erase takes */
    uint8_t bank, chip; /* see <hv/cfi_flash.h> */
};
/* What a guest has of it: for those who describe its machine. */
struct uefi_place {
    uint64_t code_at, code_len, vars_at, vars_len;
};
/* Where fw_cfg's registers are: offsets as on every machine that has them so. */
struct uefi_registers {
    bool ports; /* at port 510h, as PCs have them; else in memory */
    uint64_t at;
};

/* A file's two parts; NULL, or what is wrong with it, for people. Pure. */
const char *uefi_file_parts(const uint8_t *file, uint64_t len, struct uefi_file *out);

/* The guest's configuration names one; -ENOENT, -ENOEXEC, with vm->why. */
int must_check uefi_find(struct vm *, struct uefi_file *);
/* In guest_ops.ram_layout: maps both parts. Errors as of gmem_map(). */
int must_check uefi_open(struct vm *, const struct uefi_file *, const struct uefi_layout *);
/*
 * In guest_ops.build, after io_init(): flash and fw_cfg as at power-on. fw_cfg has the numbers of
 * CPUs and of bytes of memory, and SMBIOS tables. Errors as of io_register(), gmem_rom_trap() and
 * fw_cfg_file().
 */
int must_check uefi_build(struct vm *, const struct uefi_registers *);
/* After uefi_open(). */
struct uefi_place uefi_place(const struct vm *);
/* Then: what it tells. The bytes are not copied, and stay until the machine's end. */
struct fw_cfg *uefi_fw_cfg(struct vm *);
/*
 * The ACPI tables, made for the address 0 (see fw_acpi_script()): `tables`, from vm_alloc() with
 * `room` bytes, becomes the firmware's to free.
 */
int must_check uefi_tables(struct vm *, uint8_t *tables, uint64_t room, uint64_t used);
/* In guest_ops.build_more: BUILD_WAITS until its variables are there. */
int must_check uefi_build_more(struct vm *);
/* -EINPROGRESS until its variables are saved; true: the state volume still reads or writes them. */
int must_check uefi_quiesce(struct vm *);
bool must_check uefi_busy(const struct vm *);
void uefi_unbuild(struct vm *); /* the machine's end */
void uefi_close(struct vm *);   /* the guest is off */
/*
 * All of these are harmless without a firmware, and so are the two for
 * guest_ops.quiesce and .release of an ISA whose guests may have one: devices (<hv/pci.h>)
 * and variables.
 */
int must_check uefi_guest_quiesce(struct vm *);
bool must_check uefi_guest_release(struct vm *);
/* guest_ops.screenshot of those ISAs: <hv/screen.h>. -EBUSY, -ENOTSUP, -ENODATA, -ENODEV, -ENOMEM
 */
int must_check uefi_screenshot(struct vm *);

/* <hv/state.h> */
extern const struct state_ops uefi_flash_state_ops, uefi_cfg_state_ops, uefi_ramfb_state_ops;
extern const struct state_pages uefi_vars_pages;
