/* SPDX-License-Identifier: BSD-2-Clause */
/* check.c: may a guest start from the files that it names, as far as their headers tell? */
#include <hv/config_files.h>
#include <hv/files.h>
#include <hv/guest.h>
#include <hv/kernel.h>
#include <hv/log.h>
#include <hv/vcpu.h>
#include <hv/vm.h>
#include <stdio.h>
#include <string.h>

#include "private.h"

static int check_kernel(struct vm *vm)
{
    int n = snprintf(vm->why, sizeof vm->why, "kernel %s: ", vm->config->kernel);
    uint64_t len = 0;
    const void *file = file_find(vm->config->kernel, &len);

    if (file && kernel_problem(vm->config, file, len, vm->why + n, sizeof vm->why - (size_t)n))
        return -ENOEXEC;
    vm->why[0] = '\0';
    return 0;
}

/* The same of its firmware; UEFI's is looked at later. */
static int check_firmware(struct vm *vm)
{
    const struct guest_config *c = vm->config;
    int n = snprintf(vm->why, sizeof vm->why, "firmware %s: ", c->firmware);
    uint64_t len = 0;
    const void *file = file_find(c->firmware, &len);

    if (c->firmware[0] && !config_uefi_file(vm->guest_ops->isa) &&
        (c->isa != ISA_RISCV64 || strcmp(c->firmware, FIRMWARE_UEFI) == 0)) {
        snprintf(vm->why, sizeof vm->why,
                 "firmware %.60s: a riscv64 guest takes a file, such as OpenSBI's fw_dynamic.bin, "
                 "with `isa = riscv64`",
                 c->firmware);
        return -ENOTSUP;
    }
    if (file && firmware_problem(c, file, len, vm->why + n, sizeof vm->why - (size_t)n))
        return -ENOEXEC;
    vm->why[0] = '\0';
    return 0;
}

int vm_check_files(struct vm *vm)
{
    int err = check_kernel(vm);

    return err ? err : check_firmware(vm);
}

/*
 * A guest for another ISA is left out, with one line that says so. Where nothing runs at all, each
 * guest may be tried and tells why not.
 */
bool vm_is_for_this_machine(struct vm *vm)
{
    const struct guest_config *g = vm->config;
    uint64_t len = 0;
    const void *file = file_find(g->kernel, &len);
    enum isa isa = guest_isa(g, file, len);
    const char *by;

    if (isa == ISA_COUNT || engine_for(isa, 0) || !engine_at(0))
        return true;
    by = g->isa == ISA_COUNT && file && kernel_is_guessed(file, len) ? kernel_packed_by(file, len)
                                                                     : NULL;
    if (by)
        vm_leave_out(vm,
                     "it is for aarch64, since its kernel is compressed with %s: if that is an x86 "
                     "kernel, unpack it with `%s -d`",
                     by, by);
    else
        vm_leave_out(vm, "it is for %s, which this machine does not run", isa_names[isa]);
    log_info("%s: left out: %s", g->name, vm->why);
    return false;
}
