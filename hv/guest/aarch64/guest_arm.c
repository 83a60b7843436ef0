/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest_ops of ARM64 guests. */
#include "arm.h"
#include "arm_dev.h"
#include <hv/assert.h>
#include <hv/guest_uefi.h>
#include <hv/pci.h>

static int arm_vcpu_init(struct vcpu *v)
{
    struct arm_vcpu *a = vm_alloc(v->vm, sizeof *a);

    assert_cpu0();
    if (a == NULL)
        return -ENOMEM;
    a->s.power = v->id == 0 ? ARM_ON : ARM_OFF;
    v->guest = a;
    v->mp = MP_OFF; /* also the first, until the kernel is there */
    return 0;
}

static void arm_vcpu_fini(struct vcpu *v)
{
    assert_cpu0();
    vm_free(v->vm, v->guest, sizeof(struct arm_vcpu));
    v->guest = NULL;
}

/* Ports: no ARM64 engine has such exits. */
static int arm_none(struct vcpu *v, struct vcpu_exit *e)
{
    (void)v, (void)e;
    return -EINVAL;
}

static int arm_sysreg(struct vcpu *v, struct vcpu_exit *e)
{
    uint64_t val = e->sysreg.write ? e->sysreg.val : 0;

    debug_assert_own_cpu(v);
    if (vgic_sysreg(v, e->sysreg.id, e->sysreg.write, &val)) {
        arm_raise_undefined(v);
        return 0;
    }
    if (!e->sysreg.write)
        arm_set_x(v, e->sysreg.reg, val);
    v->ops->skip_insn(v, 4);
    return 0;
}

static int arm_halt(struct vcpu *v, struct vcpu_exit *e)
{
    debug_assert_own_cpu(v);
    v->ops->skip_insn(v, e->insn_len ? e->insn_len : 4);
    if (arm_of(v)->s.stolen_ns != arm_stolen_ns(v))
        arm_steal_update(v);
    v->mp = MP_HALTED;
    return 0;
}

static void arm_off_cpu(struct vcpu *v, bool off)
{
    if (!off)
        arm_steal_update(v);
}

static void arm_resumed(struct vm *vm) { vtimer_sync_clock(vm); }

static const struct arm_calls calls_of_engines = {
    .vtimer_irq = arm_vtimer_irq,
    .vtimer_loaded = arm_vtimer_loaded,
    .vtimer_active = arm_vtimer_active,
    .vtimer_unloaded = arm_vtimer_unloaded,
    .raise_undefined = arm_raise_undefined,
    .raise_sync = arm_raise_sync,
    .raise_serror = arm_raise_serror,
};

const struct guest_ops guest_arm = {
    .isa = ISA_AARCH64,
    .vcpus_max = ARM_VCPUS_MAX,
    .build = arm_build,
    .build_more = arm_build_more,
    .quiesce = uefi_guest_quiesce,
    .destroy = arm_destroy,
    .release = uefi_guest_release,
    .ram_layout = arm_ram_layout,
    .vcpu_init = arm_vcpu_init,
    .vcpu_fini = arm_vcpu_fini,
    .emulate = arm_emulate,
    .pio = arm_none,
    .sysreg = arm_sysreg,
    .call = arm_call,
    .halt = arm_halt,
    .request = arm_psci_request,
    .off_cpu = arm_off_cpu,
    .resumed = arm_resumed,
    .power_button = arm_power_button,
    .screenshot = uefi_screenshot,
    .wakeable = vgic_wakeable,
    .vintc = &vintc_arm,
    .engine_calls = &calls_of_engines,
    .state = arm_states,
    .pages = arm_pages,
};
