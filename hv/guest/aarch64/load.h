/* SPDX-License-Identifier: BSD-2-Clause */
/* A kernel, its initrd and its device tree in guest memory. Every byte of a file is distrusted. */
#pragma once
#include "arm.h"

struct load_range {
    uint64_t base, len;
};
/* Guest-physical addresses; system_table 0: no ACPI and no EFI. */
struct efi_info {
    uint64_t system_table, memory_map;
    uint32_t memory_map_len;
};
#define EFI_DESCRIPTOR_LEN 40u
/* What is being put together for one start of a guest. */
struct load {
    struct vm *vm;
    const struct guest_config *config;
    /* guest-physical; what the kernel's own header wants beyond its file is in `kernel` */
    struct load_range kernel, initrd;
    uint64_t entry, fdt;
    /*
     * ACPI's and EFI's, load_tables_room() bytes below the device tree; the device tree's address
     * when there are none
     */
    uint64_t tables;
    struct efi_info efi;
    unsigned phase; /* private to load.c, as is the rest */
    uint64_t copy_to, copy_left;
    const uint8_t *copy_from;
    struct inflation *inflation; /* of a compressed kernel */
    uint64_t inflated;           /* bytes */
};
#define FDT_ROOM (64 * KIB) /* device trees of ours are smaller, with up to 64 vCPUs */
#define TABLES_ROOM (64 * KIB)
static inline uint64_t load_fdt_room(const struct guest_config *c)
{
    return c->vcpus > 64 ? 4 * FDT_ROOM : FDT_ROOM;
}
static inline uint64_t load_tables_room(const struct guest_config *c)
{
    return c->vcpus > 64 ? 4 * TABLES_ROOM : TABLES_ROOM;
}

/*
 * The kernel (sets `kernel` and `entry`), then the initrd below the tables. > 0: call again, from
 * another event; 0: all is there; -Exxx with vm->why.
 */
int must_check arm_load_step(struct load *l);
void arm_load_end(struct load *l); /* frees what the steps hold; NULL: nothing */

/* efi.c: for `acpi = yes`: writes the tables at l->tables, sets l->efi. */
int must_check arm_efi_build(struct load *l);
/*
 * firmware.c: a guest that UEFI firmware starts (<hv/guest_uefi.h>). In guest_ops.ram_layout, with
 * vm->why; then the machine's part, its tables with it; then, as arm_load_step(), once its
 * variables are there.
 */
int must_check arm_firmware_layout(struct vm *);
int must_check arm_firmware_build(struct vm *, const struct guest_config *);
int must_check arm_firmware_load(struct load *);
/* fdt.c: writes the tree at l->fdt. */
int must_check arm_fdt_build(struct load *l);
