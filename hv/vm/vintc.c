/* SPDX-License-Identifier: BSD-2-Clause */
/* Interrupt lines and messages of a VM, handed to the controllers of its guest ISA. */
#include <hv/assert.h>
#include <hv/guest.h>
#include <hv/vintc.h>
#include <hv/vm.h>

void virq_set(struct vm *vm, uint32_t line, bool level)
{
    debug_assert(!(this_cpu()->locks_held >> LOCK_VINTC));
    vm->guest_ops->vintc->set_line(vm, line, level);
}

int virq_msi(struct vm *vm, uint32_t devid, uint64_t addr, uint32_t data)
{
    debug_assert(!(this_cpu()->locks_held >> LOCK_VINTC));
    return vm->guest_ops->vintc->send_msi(vm, devid, addr, data);
}
