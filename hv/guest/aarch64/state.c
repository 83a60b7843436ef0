/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state.c: the objects of an ARM64 machine as an image has them, <hv/state.h>: the table, and what
 * has no file of its own: the machine, and PSCI's view of each vCPU.
 */
#include <hv/guest_uefi.h>
#include <hv/pci.h>
#include <hv/pvpanic.h>
#include <hv/state.h>
#include <hv/time.h>
#include <string.h>
#include "arm.h"
#include "arm_dev.h"

/* ---- the machine: what its guest was told, and cannot be told anew ---- */

static size_t arm_machine_size(const struct vm *vm, uint32_t i)
{
    (void)vm, (void)i;
    return sizeof(struct state_arm_machine);
}

static struct state_arm_machine arm_machine_now(const struct vm *vm)
{
    const struct arm_machine *m = vm->guest;

    return (struct state_arm_machine){ .hz = time_cycles_hz(), .pv = m->pv };
}

static int arm_machine_save(struct vm *vm, uint32_t i, void *buf)
{
    struct state_arm_machine now = arm_machine_now(vm);

    (void)i;
    memcpy(buf, &now, sizeof now);
    return 0;
}

static int arm_machine_restore(struct vm *vm, uint32_t i, const void *buf)
{
    struct state_arm_machine now = arm_machine_now(vm);

    (void)i;
    return memcmp(buf, &now, sizeof now) ? -EINVAL : 0;
}

static const struct state_ops arm_machine_ops = { .name = "machine",
                                                  .kind = STATE_ARM_MACHINE,
                                                  .version = 1,
                                                  .size = arm_machine_size,
                                                  .save = arm_machine_save,
                                                  .restore = arm_machine_restore };

/* ---- vCPUs ---- */

static uint32_t arm_cpu_count(const struct vm *vm) { return vm->nvcpus; }

static size_t arm_cpu_size(const struct vm *vm, uint32_t i)
{
    (void)vm, (void)i;
    return sizeof(struct arm_state);
}

static int arm_cpu_save(struct vm *vm, uint32_t i, void *buf)
{
    memcpy(buf, &arm_of(vm->vcpu[i])->s, sizeof(struct arm_state));
    return 0;
}

/* cpu_on() takes aligned entries only. */
static bool arm_cpu_valid(const struct arm_state *s)
{
    return s->power <= ARM_ON && !s->zero && !(s->entry & 3) && s->stolen_ns <= INT64_MAX;
}

/* What no ARM64 vCPU has (<hv/arm.h>) was in the record of its general registers. */
static bool arm_regs_valid(const struct vcpu *v)
{
    return v->mp != MP_WAIT_SIPI && v->event.type == VEV_NONE && !(v->requests & REQ_NMI);
}

static int arm_cpu_restore(struct vm *vm, uint32_t i, const void *buf)
{
    const struct arm_state *s = buf;
    struct vcpu *v = vm->vcpu[i];

    if (!arm_cpu_valid(s) || !arm_regs_valid(v))
        return -EINVAL;
    arm_of(v)->s = *s;
    arm_of(v)->stolen_before = s->stolen_ns - v->sched.steal_ns;
    arm_steal_tell(v);
    return 0;
}

static const struct state_ops arm_cpu_ops = { .name = "CPU",
                                              .kind = STATE_ARM_CPU,
                                              .version = 1,
                                              .count = arm_cpu_count,
                                              .size = arm_cpu_size,
                                              .save = arm_cpu_save,
                                              .restore = arm_cpu_restore };

/* ---- the table ---- */

const struct state_pages *const arm_pages[] = { &vio_disk_pages, &uefi_vars_pages, NULL };

const struct state_ops *const arm_states[] = {
    &vio_dev_ops,          &vio_disk_ops,         &vpci_bus_ops,
    &vpci_dev_ops,         &arm_machine_ops,      &arm_cpu_ops,
    &vgic_state,           &arm_pl011_state,      &arm_pl031_state,
    &arm_pl061_state,      &uefi_flash_state_ops, &uefi_cfg_state_ops,
    &uefi_ramfb_state_ops, &pvpanic_state_ops,    NULL
};
