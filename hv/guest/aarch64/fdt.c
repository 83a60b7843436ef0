/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The device tree of an ARM64 guest (Devicetree Specification 0.4; bindings of the Linux kernel).
 */
#include "load.h"
#include <hv/fdt_write.h>
#include <hv/guest_uefi.h>
#include <hv/pci.h>
#include <hv/random.h>
#include <stdio.h>
#include <string.h>

enum { PHANDLE_GIC = 1, PHANDLE_MSI, PHANDLE_CLOCK, PHANDLE_GPIO };
/* interrupt specifiers: bindings/interrupt-controller/arm,gic.yaml */
enum { GIC_SPI = 0, GIC_PPI = 1, IRQ_EDGE = 1, IRQ_LEVEL = 4 };
#define APB_HZ 24000000u

static void spi(struct dt_tree *t, uint32_t intid, uint32_t type)
{
    DT_CELLS(t, "interrupts", GIC_SPI, PLAT_SPI(intid), type);
}

/* ---- nodes ---- */

static void efi(struct dt_tree *t, const struct efi_info *e)
{
    dt_words64(t, "linux,uefi-system-table", &e->system_table, 1);
    dt_words64(t, "linux,uefi-mmap-start", &e->memory_map, 1);
    DT_CELLS(t, "linux,uefi-mmap-size", e->memory_map_len);
    DT_CELLS(t, "linux,uefi-mmap-desc-size", EFI_DESCRIPTOR_LEN);
    DT_CELLS(t, "linux,uefi-mmap-desc-ver", 1);
    DT_CELLS(t, "linux,uefi-secure-boot", 2); /* Debian's kernels want it: disabled */
}

/* A guest without them finds out; one with seeds that a neighbour can work out does not. */
static void seeds(struct dt_tree *t, struct vm *vm)
{
    uint64_t seed[9];

    if (random_fill(&vm->random, seed, sizeof seed)) {
        vm_log(vm, LOG_WARN, "no kaslr-seed and no rng-seed: there are no random numbers yet");
        return;
    }
    dt_words64(t, "kaslr-seed", seed, 1);
    dt_bytes(t, "rng-seed", seed + 1, 64);
    wipe(seed, sizeof seed);
}

static void chosen(struct dt_tree *t, const struct load *l)
{
    char path[32];

    snprintf(path, sizeof path, "/pl011@%llx", (unsigned long long)PLAT_PL011);
    dt_begin(t, "chosen");
    dt_text(t, "bootargs", l->config->cmdline);
    if (!l->efi.system_table)
        dt_text(t, "stdout-path", path);
    seeds(t, l->vm);
    if (l->initrd.len) {
        dt_words64(t, "linux,initrd-start", &l->initrd.base, 1);
        dt_words64(t, "linux,initrd-end", (const uint64_t[]){ l->initrd.base + l->initrd.len }, 1);
    }
    if (l->efi.system_table)
        efi(t, &l->efi);
    dt_end(t);
}

static void memory(struct dt_tree *t, const struct load *l)
{
    dt_begin_at(t, "memory", PLAT_RAM);
    dt_text(t, "device_type", "memory");
    dt_reg(t, PLAT_RAM, l->config->memory);
    dt_end(t);
}

static void cpus(struct dt_tree *t, const struct load *l)
{
    dt_begin(t, "cpus");
    DT_CELLS(t, "#address-cells", 1);
    DT_CELLS(t, "#size-cells", 0);
    for (uint32_t i = 0; i < l->vm->nvcpus; i++) {
        dt_begin_at(t, "cpu", vgic_affinity(i));
        dt_text(t, "device_type", "cpu");
        dt_text(t, "compatible", "arm,armv8");
        dt_text(t, "enable-method", "psci");
        DT_CELLS(t, "reg", (uint32_t)vgic_affinity(i));
        dt_end(t);
    }
    dt_end(t);
}

static void psci(struct dt_tree *t)
{
    dt_begin(t, "psci");
    DT_LIST(t, "compatible", "arm,psci-1.0\0arm,psci-0.2");
    dt_text(t, "method", "hvc");
    dt_end(t);
}

/*
 * Secure, non-secure, virtual and hypervisor PPIs. With a GICv2 bits 15:8 say which CPUs have it.
 */
static void timer(struct dt_tree *t, const struct load *l)
{
    uint32_t cpu_mask =
                 arm_machine_of(l->vm->vcpu[0])->gic == 2 ? ((1u << l->vm->nvcpus) - 1) << 8 : 0,
             f = cpu_mask | IRQ_LEVEL;

    dt_begin(t, "timer");
    DT_LIST(t, "compatible", "arm,armv8-timer");
    dt_flag(t, "always-on");
    DT_CELLS(t, "interrupts", GIC_PPI, 13, f, GIC_PPI, ARM_PPI_PTIMER - 16, f, GIC_PPI,
             ARM_PPI_VTIMER - 16, f, GIC_PPI, 10, f);
    dt_end(t);
}

static void gic_common(struct dt_tree *t)
{
    DT_CELLS(t, "#interrupt-cells", 3);
    dt_flag(t, "interrupt-controller");
    DT_CELLS(t, "#address-cells", 2);
    DT_CELLS(t, "#size-cells", 2);
    dt_flag(t, "ranges");
    DT_CELLS(t, "phandle", PHANDLE_GIC);
}

static void gic_v3(struct dt_tree *t, const struct load *l)
{
    dt_begin_at(t, "interrupt-controller", PLAT_GICD);
    dt_text(t, "compatible", "arm,gic-v3");
    dt_words64(t, "reg",
               (const uint64_t[]){ PLAT_GICD, VGIC_GICD_LEN, plat_gicr(l->vm->nvcpus),
                                   VGIC_GICR_STRIDE * l->vm->nvcpus },
               4);
    gic_common(t);
    dt_begin_at(t, "msi-controller", PLAT_ITS);
    dt_text(t, "compatible", "arm,gic-v3-its");
    dt_reg(t, PLAT_ITS, VGIC_ITS_LEN);
    dt_flag(t, "msi-controller");
    DT_CELLS(t, "#msi-cells", 1);
    DT_CELLS(t, "phandle", PHANDLE_MSI);
    dt_end(t);
    dt_end(t);
}

static void gic_v2(struct dt_tree *t)
{
    dt_begin_at(t, "interrupt-controller", PLAT_GICD);
    dt_text(t, "compatible", "arm,cortex-a15-gic");
    dt_words64(t, "reg", (const uint64_t[]){ PLAT_GICD, 4 * KIB, PLAT_GICC, VGIC_GICC_LEN }, 4);
    gic_common(t);
    dt_begin_at(t, "v2m", PLAT_V2M);
    dt_text(t, "compatible", "arm,gic-v2m-frame");
    dt_reg(t, PLAT_V2M, VGIC_V2M_LEN);
    dt_flag(t, "msi-controller");
    DT_CELLS(t, "phandle", PHANDLE_MSI);
    dt_end(t);
    dt_end(t);
}

static void clock(struct dt_tree *t)
{
    dt_begin(t, "apb-pclk");
    dt_text(t, "compatible", "fixed-clock");
    DT_CELLS(t, "#clock-cells", 0);
    DT_CELLS(t, "clock-frequency", APB_HZ);
    dt_text(t, "clock-output-names", "clk24mhz");
    DT_CELLS(t, "phandle", PHANDLE_CLOCK);
    dt_end(t);
}

static void primecell(struct dt_tree *t, const char *name, uint64_t base, uint32_t intid)
{
    dt_begin_at(t, name, base);
    dt_reg(t, base, PAGE_SIZE);
    spi(t, intid, IRQ_LEVEL);
}

static void small_devices(struct dt_tree *t)
{
    primecell(t, "pl011", PLAT_PL011, INTID_PL011);
    DT_LIST(t, "compatible", "arm,pl011\0arm,primecell");
    DT_CELLS(t, "clocks", PHANDLE_CLOCK, PHANDLE_CLOCK);
    DT_LIST(t, "clock-names", "uartclk\0apb_pclk");
    dt_end(t);
    primecell(t, "pl031", PLAT_PL031, INTID_PL031);
    DT_LIST(t, "compatible", "arm,pl031\0arm,primecell");
    DT_CELLS(t, "clocks", PHANDLE_CLOCK);
    dt_text(t, "clock-names", "apb_pclk");
    dt_end(t);
    primecell(t, "pl061", PLAT_PL061, INTID_PL061);
    DT_LIST(t, "compatible", "arm,pl061\0arm,primecell");
    DT_CELLS(t, "clocks", PHANDLE_CLOCK);
    dt_text(t, "clock-names", "apb_pclk");
    dt_flag(t, "gpio-controller");
    DT_CELLS(t, "#gpio-cells", 2);
    dt_flag(t, "interrupt-controller");
    DT_CELLS(t, "#interrupt-cells", 2);
    DT_CELLS(t, "phandle", PHANDLE_GPIO);
    dt_end(t);
    dt_begin(t, "gpio-keys");
    dt_text(t, "compatible", "gpio-keys");
    dt_begin(t, "poweroff");
    dt_text(t, "label", "GPIO Key Poweroff");
    DT_CELLS(t, "linux,code", 116); /* KEY_POWER */
    DT_CELLS(t, "gpios", PHANDLE_GPIO, 3, 0);
    dt_end(t);
    dt_end(t);
}

static void pcie(struct dt_tree *t, const struct load *l)
{
    static const struct dt_pci bridge = {
        .ecam = PLAT_ECAM,
        .ecam_len = VPCI_ECAM_LEN,
        .mmio32 = PLAT_MMIO32,
        .mmio32_len = PLAT_MMIO32_LEN,
        .mmio64 = PLAT_MMIO64,
        .mmio64_len = PLAT_MMIO64_LEN,
        .line = { PHANDLE_GIC, 0, 0, GIC_SPI, PLAT_SPI(INTID_PCI_INTA), IRQ_LEVEL },
        .line_cells = 6,
        .line_at = 4,
    };

    dt_pci_begin(t, "pcie", &bridge);
    if (arm_machine_of(l->vm->vcpu[0])->gic == 3)
        DT_CELLS(t, "msi-map", 0, PHANDLE_MSI, 0, 0x10000);
    else
        DT_CELLS(t, "msi-parent", PHANDLE_MSI);
    dt_end(t);
}

/* bindings/mtd/mtd-physmap.yaml; QEMU docs/specs/fw_cfg */
static void firmware(struct dt_tree *t, const struct load *l)
{
    struct uefi_place at = uefi_place(l->vm);

    dt_begin_at(t, "flash", PLAT_FLASH_CODE);
    dt_text(t, "compatible", "cfi-flash");
    dt_words64(t, "reg", (const uint64_t[]){ at.code_at, at.code_len, at.vars_at, at.vars_len }, 4);
    DT_CELLS(t, "bank-width", 4);
    dt_end(t);
    dt_begin_at(t, "fw-cfg", PLAT_FW_CFG);
    dt_text(t, "compatible", "qemu,fw-cfg-mmio");
    dt_reg(t, PLAT_FW_CFG, PLAT_FW_CFG_LEN);
    dt_flag(t, "dma-coherent");
    dt_end(t);
}

static void hardware(struct dt_tree *t, const struct load *l)
{
    dt_text(t, "model", "Trivet ARM64 guest");
    DT_CELLS(t, "interrupt-parent", PHANDLE_GIC);
    dt_flag(t, "dma-coherent");
    memory(t, l);
    cpus(t, l);
    psci(t);
    timer(t, l);
    if (arm_machine_of(l->vm->vcpu[0])->gic == 3)
        gic_v3(t, l);
    else
        gic_v2(t);
    clock(t);
    small_devices(t);
    pcie(t, l);
    if (l->config->firmware[0])
        firmware(t, l);
}

/*
 * With ACPI the tree holds nothing but /chosen: that is how Linux knows which of the two to
 * believe.
 */
static int write_tree(struct dt_tree *t, const struct load *l)
{
    if (!l->efi.system_table)
        DT_LIST(t, "compatible", "linux,dummy-virt");
    dt_two_cells(t);
    if (!l->efi.system_table)
        hardware(t, l);
    chosen(t, l);
    return dt_finish(t);
}

int arm_fdt_build(struct load *l)
{
    uint64_t room = load_fdt_room(l->config);
    void *at = vm_alloc(l->vm, room);
    struct dt_tree t;
    int len, err;

    if (!at)
        return -ENOMEM;
    dt_create(&t, at, room);
    len = write_tree(&t, l);
    err = len < 0 ? -EINVAL : gmem_write(l->vm, gpa(l->fdt), at, (uint64_t)len);
    if (err)
        snprintf(l->vm->why, sizeof l->vm->why, "its device tree could not be written: %s",
                 len < 0 ? fdt_strerror(len) : "no RAM there");
    vm_free(l->vm, at, room);
    return err;
}
