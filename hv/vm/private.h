/* SPDX-License-Identifier: BSD-2-Clause */
/* private.h: what the files of hv/vm share. */
#pragma once
#include <hv/vcpu.h>
#include <hv/vm.h>

/* exit.c. By reason: each handles one exit. 0: go on; -Exxx: the guest cannot go on. Own CPU. */
extern int (*const vcpu_exit_handlers[EXIT_REASONS])(struct vcpu *, struct vcpu_exit *);
/* save.c; CPU 0 */
void save_init(struct vm *);
void save_paused(struct vm *); /* it is paused now */
void save_stop(struct vm *);   /* its machine goes away */
void restore_begin(struct vm *);
/* the machine is built: > 0: call it again from another event; 0: all is restored; -Exxx */
int must_check restore_step(struct vm *);
/* vm.c. Kills the VM with the reason that guest code left in vm->why, or this one. Any CPU. */
void vm_kill_error(struct vm *, const struct vcpu *, const struct vcpu_exit *, int err);

void vm_lifecycle(struct event *); /* vm.c: of vm->lifecycle */
/* vm.c; CPU 0: vm_start(), with the files of this generation */
int must_check vm_start_with(struct vm *, uint64_t files);
/* list.c; CPU 0: it is removed, and may be off for good now. */
void vm_go_if_removed(struct vm *);

/* check.c; CPU 0, its ISA is known: 0, or -Exxx with vm->why */
int must_check vm_check_files(struct vm *);
/* change.c; CPU 0, it is off: what vm_change() said holds now */
void vm_take_change(struct vm *);
/* policy.c; CPU 0 */
void policy_init(struct vm *);
/* wishes: enum vm_pending, one of KILL, EXITED, OFF, RESET at least */
enum policy policy_of(const struct vm *, uint32_t wishes);
void policy_reset(struct vm *); /* it is being reset: how long that waits */
void policy_ended(struct vm *, bool restart);
