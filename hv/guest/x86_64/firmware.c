/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * firmware.c: the machine that UEFI firmware of virtual machines (edk2's OVMF) knows: host bridge
 * and LPC bridge of Intel's Q35 with ICH9, flash that ends at 4 GiB, fw_cfg. Only guests that have
 * firmware see any of it. Registers: Intel 3 Series Express Chipset Family data sheet §5.1, I/O
 * Controller Hub 9 data sheet §13.1.
 */
#include "load.h"
#include "platform.h"
#include "x86.h"
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/fw_cfg.h>
#include <hv/guest_uefi.h>
#include <hv/pci.h>
#include <hv/vm.h>
#include <stdio.h>
#include <string.h>

enum { LPC_SLOT = 0x1f, LPC_PMBASE = 0x40, LPC_ACPI_CNTL = 0x44 };
enum { LPC_PIRQ_A = 0x60, LPC_PIRQ_E = 0x68, LPC_RCBA = 0xf0 };
enum { LPC_COMMAND = 7, ACPI_CNTL_EN = 0x80, PIRQ_OFF = 0x80, PMBASE_IO = 1 };
/* E820, ACPI 6.4 §15: as etc/e820 has it */
struct e820 {
    uint64_t base, len;
    uint32_t type;
} __attribute__((packed));
static_assert(sizeof(struct e820) == 20, "QEMU hw/i386/e820_memory_layout.h");

struct x86_firmware {
    struct vpci_dev lpc;
    struct e820 e820[2];
};

static const struct vpci_id lpc_id = { .vendor = 0x8086,
                                       .device = 0x2918,
                                       .subsys_vendor = 0x1af4,
                                       .subsys = 0x1100,
                                       .class_code = 0x060100,
                                       .revision = 2 };

int x86_firmware_layout(struct vm *vm)
{
    struct uefi_layout at = { .block = 4 * KIB, .bank = 1, .chip = 1 };
    struct uefi_file f;
    int err = uefi_find(vm, &f);

    if (err)
        return err;
    if (!f.vars || f.vars_len + f.code_len > PLAT_FLASH_MAX || f.vars_len % at.block) {
        snprintf(vm->why, sizeof vm->why, "firmware: %s",
                 f.vars ? "larger than 16M" : "it is for ARM64");
        return -ENOEXEC;
    }
    at.code_at = 4 * GIB - f.code_len;
    at.vars_at = at.code_at - f.vars_len;
    return uefi_open(vm, &f, &at);
}

/*
 * PMBASE and its enable bit are what the firmware would set: our ports do not move. The PIRQ
 * registers keep what is written; interrupts go as the DSDT says.
 */
static int lpc_bridge(struct vm *vm, struct vpci_dev *d)
{
    vpci_dev_init(d, vm, &lpc_id);
    d->wmask[PCI_COMMAND] = 0; /* it decodes ports and memory, and is a master, always */
    vpci_cfg_set(d, PCI_COMMAND, 1, LPC_COMMAND);
    vpci_cfg_set(d, LPC_PMBASE, 4, PORT_PM1_EVT | PMBASE_IO);
    vpci_cfg_set(d, LPC_ACPI_CNTL, 1, ACPI_CNTL_EN);
    for (unsigned i = 0; i < 4; i++) {
        vpci_cfg_set(d, LPC_PIRQ_A + i, 1, PIRQ_OFF);
        vpci_cfg_set(d, LPC_PIRQ_E + i, 1, PIRQ_OFF);
        d->wmask[LPC_PIRQ_A + i] = d->wmask[LPC_PIRQ_E + i] = 0x8f;
    }
    memset(d->wmask + LPC_RCBA, 0xff, 4);
    return vpci_attach_at(d, LPC_SLOT);
}

static int tell_memory(struct vm *vm, struct x86_firmware *w)
{
    uint64_t ram = vm->config->memory, low = x86_low_ram(vm->config);
    unsigned n = ram > low ? 2 : 1;

    w->e820[0] = (struct e820){ 0, low, 1 };
    w->e820[1] = (struct e820){ 4 * GIB, ram - low, 1 };
    return fw_cfg_file(uefi_fw_cfg(vm), "etc/e820", w->e820, n * (uint32_t)sizeof w->e820[0]);
}

static int tell(struct vm *vm, struct x86_firmware *w)
{
    struct fw_cfg *f = uefi_fw_cfg(vm);
    int err = fw_cfg_number(f, FW_CFG_MAX_CPUS, 2, vm->nvcpus);

    if (!err)
        err = tell_memory(vm, w);
    return err ? err : x86_acpi_firmware(vm);
}

int x86_firmware_build(struct vm *vm, struct x86_machine *m)
{
    const struct uefi_registers r = { .ports = true, .at = PORT_FW_CFG };
    struct x86_firmware *w = vm_alloc(vm, sizeof *w);
    int err;

    assert_cpu0();
    if (!w)
        return -ENOMEM;
    m->firmware = w;
    err = lpc_bridge(vm, &w->lpc);
    if (!err)
        err = uefi_build(vm, &r);
    return err ? err : tell(vm, w);
}

void x86_firmware_destroy(struct vm *vm, struct x86_machine *m)
{
    struct x86_firmware *w = m->firmware;

    assert_cpu0();
    uefi_unbuild(vm);
    if (!w)
        return;
    vpci_detach(&w->lpc);
    vm_free(vm, w, sizeof *w);
    m->firmware = NULL;
}

/* SDM vol 3 §9.1.4: the first instruction after a reset. */
void x86_firmware_entry(struct vcpu *v)
{
    struct x86_segment cs = { 0xf000, 0xffff0000, 0xffff, 0x09b };

    assert_own_cpu(v);
    memset(&v->regs, 0, sizeof v->regs);
    v->regs.flags = FLAGS_FIXED;
    v->regs.pc = 0xfff0;
    v->regs.gpr[X86_RDX] = x86_machine_of(v)->cpuid.basic[1].eax;
    x86_set_segment(v, X86_CS, cs);
}
