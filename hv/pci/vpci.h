/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to hv/pci. */
#pragma once
#include <hv/nospec.h>
#include <hv/pci.h>
#include <hv/vm.h>

#define VPCI_STATE_VERSION 2

struct vpci {
    struct vm *vm;
    struct vpci_layout layout;
    struct vpci_dev *dev[VPCI_SLOTS];
    struct vpci_dev bridge;
    /*
     * configuration space and BAR mappings; level LOCK_VM, so that io_register is allowed under it
     */
    struct spinlock cfg_lock;
    struct spinlock intx_lock; /* level LOCK_DEVICE */
    uint32_t intx_held[4];     /* bit per slot that asserts this line */
    uint32_t intx_asked;       /* atomic; bit per slot with reasons and intx_level */
    uint64_t next32, next64;   /* where the next BAR goes */
    uint32_t next_io;
    uint32_t cf8;  /* atomic: CONFIG_ADDRESS */
    uint64_t ecam; /* where configuration space is in memory; 0: nowhere */
    uint8_t reset_control;
};

/*
 * Configuration access to a function that exists. size 1, 2 or 4, inside one dword. No lock held.
 */
uint32_t vpci_cfg_read(struct vpci *, struct vpci_dev *, unsigned reg, unsigned size);
void vpci_cfg_write(struct vpci *, struct vpci_dev *, unsigned reg, unsigned size, uint32_t val);

/* Puts configuration space where the guest wants it; cfg_lock held, or no vCPU runs. */
void vpci_ecam_sync(struct vpci *);
/* bar.c; cfg_lock held, or no vCPU runs */
int must_check vpci_bars_assign(struct vpci *, struct vpci_dev *);
/* registers and unregisters until trapped ranges agree with BARs and commands */
void vpci_bars_sync(struct vpci *);
void vpci_bars_unmap(struct vpci_dev *);
/* msi.c */
void vpci_msix_control_changed(struct vpci_dev *);
void vpci_intx_update(struct vpci_dev *);
/* it has reasons, and may: its line is high. intx_lock held, or no vCPU runs */
bool vpci_intx_holds(const struct vpci_dev *);
