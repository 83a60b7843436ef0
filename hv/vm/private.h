/* private.h: what the files of hv/vm share. */
#pragma once
#include <hv/vcpu.h>
#include <hv/vm.h>

/* exit.c. Handles one exit. 0: go on; -Exxx: the guest cannot go on. Own CPU. */
int vcpu_exit_handle(struct vcpu *, struct vcpu_exit *);
/* vm.c. Kills the VM with the reason that guest code left in vm->why, or this one. Any CPU. */
void vm_kill_error(struct vm *, const struct vcpu *, const struct vcpu_exit *, int err);
