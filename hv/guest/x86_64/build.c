/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine of an x86 guest: memory, devices, tables, kernel, and the boot vCPU's registers. */
#include "load.h"
#include "platform.h"
#include "x86_dev.h"
#include "x86_devices.h"
#include <hv/assert.h>
#include <hv/guest_uefi.h>
#include <hv/files.h>
#include <hv/pci.h>
#include <hv/pvpanic.h>
#include <hv/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COPY_STEP (2 * MIB) /* of kernel, initrd and modules, at one go */

static bool pvh_probe(const struct load *l)
{
    uint32_t entry;

    return load_elf_pvh_entry(l, &entry);
}

/*
 * In the order in which `kind = auto` tries them: Linux's vmlinux has a PVH note; a Multiboot
 * kernel may be an ELF file too.
 */
static const struct {
    enum guest_kind kind;
    bool (*probe)(const struct load *);
    int (*load)(struct load *, struct load_entry *);
} loaders[] = {
    { KIND_LINUX, load_linux_probe, load_linux },
    { KIND_PVH, pvh_probe, load_pvh },
    { KIND_MULTIBOOT2, load_multiboot2_probe, load_multiboot2 },
    { KIND_MULTIBOOT, load_multiboot_probe, load_multiboot },
};

static int load_kernel(struct load *l, struct load_entry *e)
{
    int err = load_file(l, l->config->kernel, &l->file, &l->len);

    if (err != 0)
        return err;
    for (unsigned i = 0; i < ARRAY_SIZE(loaders); i++) {
        if (l->config->kind == KIND_AUTO ? loaders[i].probe(l) : l->config->kind == loaders[i].kind)
            return loaders[i].load(l, e);
    }
    return load_bad(l, "neither a Linux bzImage nor a PVH, Multiboot or Multiboot 2 ELF file");
}

/* Flat segments, as every one of the boot protocols wants them. Attributes: APM vol 2 §15.5.1. */
static void flat_segments(struct vcpu *v, bool long_mode)
{
    struct x86_segment code = { 0x10, 0, 0xffffffff, long_mode ? 0xa9b : 0xc9b },
                       data = { 0x18, 0, 0xffffffff, 0xc93 };

    x86_set_segment(v, X86_CS, code);
    for (unsigned i = X86_ES; i <= X86_GS; i++)
        if (i != X86_CS)
            x86_set_segment(v, (enum x86_seg)i, data);
    x86_set_segment(v, X86_LDTR, (struct x86_segment){ 0, 0, 0xffff, 0x082 });
    x86_set_segment(v, X86_TR, (struct x86_segment){ 0x20, 0, 0x67, 0x08b });
}

/*
 * The GDT that the segments above would have come from, in the first page: some kernels reload a
 * selector before they load their own.
 */
static int put_gdt(struct vcpu *v, bool long_mode)
{
    const uint64_t gdt[6] = { 0,
                              0,
                              long_mode ? 0x00af9b000000ffff : 0x00cf9b000000ffff,
                              0x00cf93000000ffff,
                              0x00008b0000000067,
                              0 };
    int err = gmem_write(v->vm, gpa(0x500), gdt, sizeof gdt);

    x86_set(v, X86_GDTR_BASE, 0x500);
    x86_set(v, X86_GDTR_LIMIT, sizeof gdt - 1);
    x86_set(v, X86_IDTR_BASE, 0);
    x86_set(v, X86_IDTR_LIMIT, 0);
    return err;
}

static int set_entry(struct vcpu *v, const struct load_entry *e)
{
    bool long_mode = e->mode == ENTRY_LONG64;

    assert_own_cpu(v);
    memset(&v->regs, 0, sizeof v->regs);
    v->regs.pc = e->pc;
    v->regs.flags = FLAGS_FIXED;
    v->regs.gpr[X86_RAX] = e->rax;
    v->regs.gpr[X86_RBX] = e->rbx;
    v->regs.gpr[X86_RSI] = e->rsi;
    if (long_mode) {
        x86_set(v, X86_CR3, e->cr3);
        x86_set(v, X86_CR4, CR4_PAE);
        x86_set(v, X86_EFER, EFER_LME | EFER_LMA);
    }
    x86_set(v, X86_CR0, CR0_PE | CR0_ET | CR0_NE | (long_mode ? CR0_PG : 0));
    flat_segments(v, long_mode);
    return put_gdt(v, long_mode);
}

static int build_machine(struct vm *vm, const struct guest_config *c)
{
    struct vpci_layout pci = { .ecam = c->firmware[0] ? PLAT_Q35_ECAM : PLAT_ECAM,
                               .mmio32 = PLAT_MMIO32,
                               .mmio32_len = PLAT_MMIO32_LEN,
                               .mmio64 = PLAT_MMIO64,
                               .mmio64_len = PLAT_MMIO64_LEN,
                               .io = PLAT_PCI_IO,
                               .io_len = PLAT_PCI_IO_LEN,
                               .cf8 = true,
                               .q35 = c->firmware[0] != '\0',
                               .intx_gsi = LINE_INTA };
    int err;

    for (unsigned i = 0; i < ARRAY_SIZE(pci.intx_line); i++)
        pci.intx_line[i] = (uint8_t)plat_pic_irq(LINE_INTA + i);
    err = x86_devices_create(vm, c);
    if (err == 0)
        err = vpci_create(vm, &pci);
    if (err == 0)
        err = vio_build(vm, c);
    if (err == 0 && c->watchdog)
        err = watchdog_create(x86_devices_of(vm));
    if (err == 0)
        err = pvpanic_create(vm);
    if (err != 0 && vm->why[0] == '\0')
        snprintf(vm->why, sizeof vm->why, "its devices could not be made: error %d", err);
    return err;
}

uint64_t x86_wall_s(const struct vm *vm) { return time_wall_s() - vm_time_ns(vm) / 1000000000; }

static void init_machine(struct vm *vm, const struct guest_config *c, struct x86_machine *m)
{
    m->pv = c->pv;
    m->tsc_offset = 0 - time_cycles();
    x86_pv_origin(vm, m);
    m->wall_boot_ns = time_wall_s() * 1000000000ull - vm_time_ns(vm);
    m->wall_s = x86_wall_s(vm);
    x86_cpuid_build(vm, c, m);
}

static int begin_load(struct vm *vm, const struct guest_config *c, struct x86_machine *m,
                      struct load_entry *e)
{
    struct load *l = m->load = vm_alloc(vm, sizeof *l);

    if (l == NULL)
        return -ENOMEM;
    l->vm = vm;
    l->config = c;
    l->rsdp = m->rsdp;
    return load_kernel(l, e);
}

static void end_load(struct vm *vm, struct x86_machine *m)
{
    vm_free(vm, m->load, sizeof *m->load);
    m->load = NULL;
}

int x86_build_more(struct vm *vm)
{
    struct x86_machine *m = vm->guest;
    int more;

    assert_cpu0();
    if (m->firmware)
        return uefi_build_more(vm);
    hv_assert(m->load);
    more = load_copy_step(m->load, COPY_STEP);
    if (more == 0)
        end_load(vm, m);
    return more;
}

/* From its kernel, as a boot loader would. */
static int build_loaded(struct vm *vm, const struct guest_config *c, struct x86_machine *m,
                        struct load_entry *e)
{
    int err = load_bda(vm);

    if (err == 0)
        err = x86_acpi_build(vm, &m->rsdp);
    return err ? err : begin_load(vm, c, m, e);
}

static int enter(struct vcpu *v, const struct x86_machine *m, const struct load_entry *e)
{
    if (!m->firmware)
        return set_entry(v, e);
    x86_firmware_entry(v);
    return 0;
}

int x86_build(struct vm *vm, const struct guest_config *c)
{
    struct load_entry e = { 0 };
    struct x86_machine *m = vm_alloc(vm, sizeof *m);
    int err;

    assert_cpu0();
    hv_assert(!vm->guest);
    assert_parked(vm);
    if (m == NULL)
        return -ENOMEM;
    vm->guest = m;
    init_machine(vm, c, m);
    err = build_machine(vm, c);
    if (err == 0)
        err = c->firmware[0] ? x86_firmware_build(vm, m) : build_loaded(vm, c, m, &e);
    for (unsigned i = 0; i < vm->nvcpus; i++) {
        x86_set(vm->vcpu[i], X86_TSC_OFFSET, m->tsc_offset);
        vm->vcpu[i]->mp = i == 0 ? MP_RUNNABLE : MP_WAIT_SIPI;
        vm->vcpu[i]->regs.gpr[X86_RDX] = m->cpuid.basic[1].eax;
    }
    return err != 0 ? err : enter(vm->vcpu[0], m, &e);
}

void x86_destroy(struct vm *vm)
{
    struct x86_machine *m = vm->guest;

    assert_cpu0();
    assert_parked(vm);
    if (m == NULL)
        return;
    vio_destroy(vm);
    watchdog_detach(vm);
    pvpanic_destroy(vm);
    x86_firmware_destroy(vm, m);
    vpci_destroy(vm);
    x86_devices_destroy(vm);
    end_load(vm, m);
    vm_free(vm, m, sizeof *m);
    vm->guest = NULL;
}
