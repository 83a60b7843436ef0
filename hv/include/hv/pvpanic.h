/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pvpanic: how a guest tells that its kernel panicked (QEMU's docs/specs/pvpanic): a byte with a
 * bit for each event, as a PCI function, on PCs at port 0x505 too. A panic is a crash of the guest,
 * which its on_crash answers.
 */
#pragma once
#include <hv/types.h>
struct state_ops;
struct vm;
/* as the guest writes them; a read gives those that are known */
enum pvpanic_event { PVPANIC_PANICKED = 1, PVPANIC_CRASH_LOADED = 2, PVPANIC_EVENTS = 3 };
#define PVPANIC_SLOT 30u /* 31 is where UEFI firmware expects the bridge of a PC with a Q35 */
/*
 * CPU 0, no vCPU runs, vm->pci exists, after all other devices. The function is at 00:1e.0; where a
 * device of the machine has that place, or has left no room (as vpci_attach_at() says), the guest
 * goes without it, and the log tells. -ENOMEM.
 */
int must_check pvpanic_create(struct vm *);
/* CPU 0, no vCPU runs, before vpci_destroy(). Harmless when there is none. */
void pvpanic_destroy(struct vm *);
/*
 * The guest wrote this byte. Each event is told once in a machine's life, so that no guest fills
 * the line of a program that listens. Any vCPU's CPU, no lock held.
 */
void pvpanic_tell(struct vm *, uint64_t val);
extern const struct state_ops pvpanic_state_ops; /* <hv/state.h> */
