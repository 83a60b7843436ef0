/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to hv/guest/uefi. */
#pragma once
#include <hv/boot_order.h>
#include <hv/cfi_flash.h>
#include <hv/fw_cfg.h>
#include <hv/guest_smbios.h>
#include <hv/guest_uefi.h>
#include <hv/lock.h>
#include <hv/ramfb.h>
#include <hv/store.h>
#include <hv/vm.h>

/*
 * What is kept of the variables. Under the lock: dirty, unsaved, kept, failed. The rest is CPU 0's;
 * it changes busy under the lock, too.
 */
struct uefi_keep {
    struct store_op op;
    struct event work; /* CPU 0: begins an update */
    char name[STORE_NAME];
    uint8_t *shadow; /* the flash as it is on the disk, or on its way there; NULL: it is not kept */
    uint64_t dirty[STORE_OBJECT_PAGES / 64], going[STORE_OBJECT_PAGES / 64]; /* pages: a bit each */
    uint64_t next_ns;                                                        /* no update before */
    bool asked, loaded; /* the volume was; it answered */
    bool busy;          /* `op` is under way */
    bool hurry;         /* one update need not wait until next_ns; it counts all the same */
    bool partial;       /* a restore is under way: the flash is a mix of two. CPU 0 */
    bool kept;          /* there is a volume */
    bool unsaved;       /* the flash is not what is on the disk */
    bool failed, told;  /* the last update did; the log says so */
};

struct uefi {
    struct vm *vm;
    struct spinlock lock; /* LOCK_DEVICE: of the flash's and fw_cfg's states */
    struct uefi_keep keep;
    struct uefi_layout layout;
    uint64_t code_len;
    struct cfi_flash vars;
    hpa_t pages; /* what the variables are in */
    unsigned order;
    struct fw_cfg cfg;
    struct ramfb_state ramfb;
    struct uefi_shot *shot; /* CPU 0; NULL: none is under way */
    uint8_t *tables;        /* of this machine; NULL: none yet */
    uint64_t tables_room;
    uint8_t rsdp[36], script[40 * FW_ACPI_COMMAND];
    char boot_order[BOOT_ORDER_MAX];
    uint16_t boot_menu_ms;
    uint8_t smbios[SMBIOS_ROOM], smbios_anchor[SMBIOS_ANCHOR];
};

/* ---- keep.c. CPU 0 unless stated ---- */

void keep_start(struct uefi *); /* once a guest's start: reads what is kept */
/* Any CPU, from an exit, under the lock: its vCPU waits until all that it changed is on the disk.
 */
void keep_wait(struct uefi *);
/* It was changed by a restore: nothing is saved until keep_restored(), or ever if that fails. */
void keep_page(struct uefi *, uint64_t page);
void keep_restored(struct uefi *);
void keep_end(struct uefi *);

/* ---- screen.c ---- */

/* The machine's start: the guest shows nothing yet. Errors as of fw_cfg_writable(). */
int must_check shot_build(struct uefi *);
/* One is under way: it ends soon, with nothing kept, and posts vm->lifecycle. */
bool shot_give_up(struct uefi *);
