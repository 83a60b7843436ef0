/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine of an ARM64 guest: memory, devices, tables, kernel, and the boot vCPU's registers. */
#include "load.h"
#include "arm_dev.h"
#include <hv/assert.h>
#include <hv/guest_uefi.h>
#include <hv/pci.h>
#include <hv/pvpanic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPIS_V3 64u
#define SPIS_V2 128u  /* the upper half for MSIs */
#define V2M_FIRST 96u /* INTID */

int arm_ram_layout(struct vm *vm, const struct guest_config *c)
{
    int err;

    assert_cpu0();
    if (c->memory > PLAT_MMIO64 - PLAT_RAM) {
        snprintf(vm->why, sizeof vm->why, "memory: an ARM64 guest can have at most 255G");
        return -EINVAL;
    }
    if (c->vcpus > ARM_VCPUS_MAX) {
        snprintf(vm->why, sizeof vm->why, "vcpus: at most %u for ARM64 guests", ARM_VCPUS_MAX);
        return -EINVAL;
    }
    err = gmem_add_rom(vm, gpa(PLAT_PVTIME), plat_pvtime_len(c->vcpus));
    if (err == 0)
        err = gmem_add_ram(vm, gpa(PLAT_RAM), c->memory);
    if (err == 0 && c->firmware[0])
        err = arm_firmware_layout(vm);
    if (err != 0 && vm->why[0] == '\0')
        snprintf(vm->why, sizeof vm->why, "not enough free memory for %llu MiB",
                 (unsigned long long)(c->memory / MIB));
    return err;
}

static int build_gic(struct vm *vm, struct arm_machine *m)
{
    struct vgic_layout l = { .gicd = PLAT_GICD,
                             .gicr = plat_gicr(vm->nvcpus),
                             .its = PLAT_ITS,
                             .gicc = PLAT_GICC,
                             .v2m = PLAT_V2M };

    m->gic = (uint8_t)vgic_host_version(vm);
    l.version = m->gic;
    l.nr_spis = m->gic == 2 ? SPIS_V2 : SPIS_V3;
    if (m->gic == 2) {
        l.v2m_first = V2M_FIRST;
        l.v2m_count = 32 + SPIS_V2 - V2M_FIRST;
    }
    if (m->gic != 2 && m->gic != 3) {
        snprintf(vm->why, sizeof vm->why, "this machine has no virtual interrupt controller");
        return -ENOTSUP;
    }
    if (m->gic == 2 && vm->nvcpus > VGIC_V2_VCPUS) {
        snprintf(vm->why, sizeof vm->why,
                 "vcpus: this machine has a GICv2, which serves at most %u", VGIC_V2_VCPUS);
        return -EINVAL;
    }
    return vgic_create(vm, &l);
}

static int build_machine(struct vm *vm, const struct guest_config *c, struct arm_machine *m)
{
    static const struct vpci_layout pci = { .ecam = PLAT_ECAM,
                                            .mmio32 = PLAT_MMIO32,
                                            .mmio32_len = PLAT_MMIO32_LEN,
                                            .mmio64 = PLAT_MMIO64,
                                            .mmio64_len = PLAT_MMIO64_LEN,
                                            .intx_gsi = INTID_PCI_INTA };
    int err = build_gic(vm, m);

    if (err == 0)
        err = arm_devices_create(vm, c, &m->devices);
    if (err == 0)
        err = vpci_create(vm, &pci);
    if (err == 0)
        err = vio_build(vm, c);
    if (err == 0)
        err = pvpanic_create(vm);
    if (err == 0 && c->firmware[0])
        err = arm_firmware_build(vm, c);
    if (err != 0 && vm->why[0] == '\0')
        snprintf(vm->why, sizeof vm->why, "its devices could not be made: error %d", err);
    return err;
}

static void drop_load(struct arm_machine *m)
{
    arm_load_end(m->load);
    if (m->load)
        vm_free(m->load->vm, m->load, sizeof *m->load);
    m->load = NULL;
}

/*
 * booting.rst: X0 = device tree, X1..X3 = 0, MMU off, interrupts masked, EL1. The engine has made
 * the rest as at reset.
 */
static void set_entry(struct vcpu *v, const struct load *l)
{
    assert_own_cpu(v);
    memset(&v->regs, 0, sizeof v->regs);
    v->regs.pc = l->entry;
    v->regs.gpr[0] = l->fdt;
    v->regs.flags = PSTATE_RESET;
    v->mp = MP_RUNNABLE;
}

int arm_build(struct vm *vm, const struct guest_config *c)
{
    struct arm_machine *m = vm_alloc(vm, sizeof *m);
    int err;

    assert_cpu0();
    assert_parked(vm);
    if (m == NULL)
        return -ENOMEM;
    vm->guest = m;
    spin_init(&m->lock, LOCK_DEVICE);
    m->pv = c->pv;
    for (uint32_t i = 0; i < vm->nvcpus; i++)
        arm_set(vm->vcpu[i], ARM_VMPIDR_EL2, 1ull << 31 | vgic_affinity(i));
    err = build_machine(vm, c, m);
    m->load = err ? NULL : vm_alloc(vm, sizeof *m->load);
    if (m->load == NULL)
        return err ? err : -ENOMEM;
    m->load->vm = vm;
    m->load->config = c;
    return 0;
}

/* > 0: more. */
static int load_kernel(struct load *l)
{
    int more = arm_load_step(l);

    return more || !l->config->acpi ? more : arm_efi_build(l);
}

int arm_build_more(struct vm *vm)
{
    struct load *l = ((struct arm_machine *)vm->guest)->load;
    int err = l->config->firmware[0] ? arm_firmware_load(l) : load_kernel(l);

    assert_cpu0();
    if (err == 0)
        err = arm_fdt_build(l);
    if (err != 0)
        return err;
    arm_steal_init(vm);
    vtimer_sync_clock(vm);
    set_entry(vm->vcpu[0], l);
    drop_load(vm->guest);
    return 0;
}

void arm_destroy(struct vm *vm)
{
    struct arm_machine *m = vm->guest;

    assert_cpu0();
    assert_parked(vm);
    if (m == NULL)
        return;
    vio_destroy(vm);
    pvpanic_destroy(vm);
    uefi_unbuild(vm);
    vpci_destroy(vm);
    arm_devices_destroy(m->devices);
    drop_load(m);
    vm_free(vm, m, sizeof *m);
    vm->guest = NULL;
}
