/* SPDX-License-Identifier: BSD-2-Clause */
/* parked.c: whether the vCPUs of a VM stand still, for those who change what they use. */
#include <hv/vcpu.h>
#include <hv/vm.h>

static bool is_parked(const struct vcpu *v)
{
    return __atomic_load_n(&v->requests, __ATOMIC_ACQUIRE) & REQ_PARKED;
}

static bool runs(const struct vcpu *v)
{
    return __atomic_load_n(&v->sched.state, __ATOMIC_ACQUIRE) == SCHED_RUNNING;
}

/* Before they are let run, for the first time or with another state, they are not asked to park. */
bool vm_is_parked(const struct vm *vm)
{
    bool let_run = vm->state == VM_RUNNING || vm->state == VM_STOPPING;

    for (uint32_t i = 0; i < vm->nvcpus; i++)
        if (vm->vcpu[i] && !is_parked(vm->vcpu[i]) && (let_run || runs(vm->vcpu[i])))
            return false;
    return true;
}
