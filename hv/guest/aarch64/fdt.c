/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The device tree of an ARM64 guest, written in one pass with libfdt (Devicetree Specification 0.4;
 * bindings of the Linux kernel). Errors stick in struct tree, so that one check at the end serves
 * all.
 */
#include "load.h"
#include <hv/pci.h>
#include <hv/random.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

struct tree {
    void *fdt;
    int err;
};

enum { PHANDLE_GIC = 1, PHANDLE_MSI, PHANDLE_CLOCK, PHANDLE_GPIO };
/* interrupt specifiers: bindings/interrupt-controller/arm,gic.yaml */
enum { GIC_SPI = 0, GIC_PPI = 1, IRQ_EDGE = 1, IRQ_LEVEL = 4 };
/* phys.hi, IEEE 1275 PCI binding §2.2.1.1 */
enum { PCI_SPACE_MEM32 = 0x02000000, PCI_SPACE_MEM64 = 0x03000000 };
#define APB_HZ 24000000u

static void keep(struct tree *t, int err)
{
    if (t->err == 0 && err < 0)
        t->err = err;
}

static void begin(struct tree *t, const char *name) { keep(t, fdt_begin_node(t->fdt, name)); }
static void end(struct tree *t) { keep(t, fdt_end_node(t->fdt)); }
static void flag(struct tree *t, const char *name) { keep(t, fdt_property(t->fdt, name, "", 0)); }
static void text(struct tree *t, const char *name, const char *s)
{
    keep(t, fdt_property(t->fdt, name, s, (int)strlen(s) + 1));
}
static void bytes(struct tree *t, const char *name, const void *p, size_t n)
{
    keep(t, fdt_property(t->fdt, name, p, (int)n));
}

static void begin_at(struct tree *t, const char *name, uint64_t unit)
{
    char full[40];

    snprintf(full, sizeof full, "%s@%llx", name, (unsigned long long)unit);
    begin(t, full);
}

#define CELLS_MAX 80
static void cells(struct tree *t, const char *name, const uint32_t *v, size_t n)
{
    fdt32_t be[CELLS_MAX];

    for (size_t i = 0; i < n && i < CELLS_MAX; i++)
        be[i] = cpu_to_fdt32(v[i]);
    bytes(t, name, be, n * sizeof be[0]);
}
#define CELLS(t, name, ...)                           \
    cells(t, name, (const uint32_t[]){ __VA_ARGS__ }, \
          sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))
#define HI(v) (uint32_t)((v) >> 32)
#define LO(v) (uint32_t)(v)
#define PAIR(v) HI(v), LO(v)

static void words64(struct tree *t, const char *name, const uint64_t *v, size_t n)
{
    uint32_t c[CELLS_MAX];

    for (size_t i = 0; i < n && i < CELLS_MAX / 2; i++) {
        /* cppcheck-suppress objectIndex ; of one value n is 1 */
        uint64_t word = v[i];

        c[2 * i] = HI(word);
        c[2 * i + 1] = LO(word);
    }
    cells(t, name, c, 2 * n);
}

static void reg(struct tree *t, uint64_t base, uint64_t len)
{
    const uint64_t v[] = { base, len };

    words64(t, "reg", v, ARRAY_SIZE(v));
}

static void spi(struct tree *t, uint32_t intid, uint32_t type)
{
    CELLS(t, "interrupts", GIC_SPI, PLAT_SPI(intid), type);
}

/* A list of strings; `n` counts the terminating zeros. */
#define LIST(t, name, s) bytes(t, name, s, sizeof(s))

/* ---- nodes ---- */

static void efi(struct tree *t, const struct efi_info *e)
{
    words64(t, "linux,uefi-system-table", &e->system_table, 1);
    words64(t, "linux,uefi-mmap-start", &e->memory_map, 1);
    CELLS(t, "linux,uefi-mmap-size", e->memory_map_len);
    CELLS(t, "linux,uefi-mmap-desc-size", EFI_DESCRIPTOR_LEN);
    CELLS(t, "linux,uefi-mmap-desc-ver", 1);
    CELLS(t, "linux,uefi-secure-boot", 2); /* Debian's kernels want it: disabled */
}

/* A guest without them finds out; one with seeds that a neighbour can work out does not. */
static void seeds(struct tree *t, struct vm *vm)
{
    uint64_t seed[9];

    if (random_fill(&vm->random, seed, sizeof seed)) {
        vm_log(vm, LOG_WARN, "no kaslr-seed and no rng-seed: there are no random numbers yet");
        return;
    }
    words64(t, "kaslr-seed", seed, 1);
    bytes(t, "rng-seed", seed + 1, 64);
    wipe(seed, sizeof seed);
}

static void chosen(struct tree *t, const struct load *l)
{
    char path[32];

    snprintf(path, sizeof path, "/pl011@%llx", (unsigned long long)PLAT_PL011);
    begin(t, "chosen");
    text(t, "bootargs", l->config->cmdline);
    if (!l->efi.system_table)
        text(t, "stdout-path", path);
    seeds(t, l->vm);
    if (l->initrd.len) {
        words64(t, "linux,initrd-start", &l->initrd.base, 1);
        words64(t, "linux,initrd-end", (const uint64_t[]){ l->initrd.base + l->initrd.len }, 1);
    }
    if (l->efi.system_table)
        efi(t, &l->efi);
    end(t);
}

static void memory(struct tree *t, const struct load *l)
{
    begin_at(t, "memory", PLAT_RAM);
    text(t, "device_type", "memory");
    reg(t, PLAT_RAM, l->config->memory);
    end(t);
}

static void cpus(struct tree *t, const struct load *l)
{
    begin(t, "cpus");
    CELLS(t, "#address-cells", 1);
    CELLS(t, "#size-cells", 0);
    for (uint32_t i = 0; i < l->vm->nvcpus; i++) {
        begin_at(t, "cpu", vgic_affinity(i));
        text(t, "device_type", "cpu");
        text(t, "compatible", "arm,armv8");
        text(t, "enable-method", "psci");
        CELLS(t, "reg", (uint32_t)vgic_affinity(i));
        end(t);
    }
    end(t);
}

static void psci(struct tree *t)
{
    begin(t, "psci");
    LIST(t, "compatible", "arm,psci-1.0\0arm,psci-0.2");
    text(t, "method", "hvc");
    end(t);
}

/*
 * Secure, non-secure, virtual and hypervisor PPIs. With a GICv2 bits 15:8 say which CPUs have it.
 */
static void timer(struct tree *t, const struct load *l)
{
    uint32_t cpu_mask =
                 arm_machine_of(l->vm->vcpu[0])->gic == 2 ? ((1u << l->vm->nvcpus) - 1) << 8 : 0,
             f = cpu_mask | IRQ_LEVEL;

    begin(t, "timer");
    LIST(t, "compatible", "arm,armv8-timer");
    flag(t, "always-on");
    CELLS(t, "interrupts", GIC_PPI, 13, f, GIC_PPI, ARM_PPI_PTIMER - 16, f, GIC_PPI,
          ARM_PPI_VTIMER - 16, f, GIC_PPI, 10, f);
    end(t);
}

static void gic_common(struct tree *t)
{
    CELLS(t, "#interrupt-cells", 3);
    flag(t, "interrupt-controller");
    CELLS(t, "#address-cells", 2);
    CELLS(t, "#size-cells", 2);
    flag(t, "ranges");
    CELLS(t, "phandle", PHANDLE_GIC);
}

static void gic_v3(struct tree *t, const struct load *l)
{
    begin_at(t, "interrupt-controller", PLAT_GICD);
    text(t, "compatible", "arm,gic-v3");
    words64(
        t, "reg",
        (const uint64_t[]){ PLAT_GICD, VGIC_GICD_LEN, PLAT_GICR, VGIC_GICR_STRIDE * l->vm->nvcpus },
        4);
    gic_common(t);
    begin_at(t, "msi-controller", PLAT_ITS);
    text(t, "compatible", "arm,gic-v3-its");
    reg(t, PLAT_ITS, VGIC_ITS_LEN);
    flag(t, "msi-controller");
    CELLS(t, "#msi-cells", 1);
    CELLS(t, "phandle", PHANDLE_MSI);
    end(t);
    end(t);
}

static void gic_v2(struct tree *t)
{
    begin_at(t, "interrupt-controller", PLAT_GICD);
    text(t, "compatible", "arm,cortex-a15-gic");
    words64(t, "reg", (const uint64_t[]){ PLAT_GICD, 4 * KIB, PLAT_GICC, VGIC_GICC_LEN }, 4);
    gic_common(t);
    begin_at(t, "v2m", PLAT_V2M);
    text(t, "compatible", "arm,gic-v2m-frame");
    reg(t, PLAT_V2M, VGIC_V2M_LEN);
    flag(t, "msi-controller");
    CELLS(t, "phandle", PHANDLE_MSI);
    end(t);
    end(t);
}

static void clock(struct tree *t)
{
    begin(t, "apb-pclk");
    text(t, "compatible", "fixed-clock");
    CELLS(t, "#clock-cells", 0);
    CELLS(t, "clock-frequency", APB_HZ);
    text(t, "clock-output-names", "clk24mhz");
    CELLS(t, "phandle", PHANDLE_CLOCK);
    end(t);
}

static void primecell(struct tree *t, const char *name, uint64_t base, uint32_t intid)
{
    begin_at(t, name, base);
    reg(t, base, PAGE_SIZE);
    spi(t, intid, IRQ_LEVEL);
}

static void small_devices(struct tree *t)
{
    primecell(t, "pl011", PLAT_PL011, INTID_PL011);
    LIST(t, "compatible", "arm,pl011\0arm,primecell");
    CELLS(t, "clocks", PHANDLE_CLOCK, PHANDLE_CLOCK);
    LIST(t, "clock-names", "uartclk\0apb_pclk");
    end(t);
    primecell(t, "pl031", PLAT_PL031, INTID_PL031);
    LIST(t, "compatible", "arm,pl031\0arm,primecell");
    CELLS(t, "clocks", PHANDLE_CLOCK);
    text(t, "clock-names", "apb_pclk");
    end(t);
    primecell(t, "pl061", PLAT_PL061, INTID_PL061);
    LIST(t, "compatible", "arm,pl061\0arm,primecell");
    CELLS(t, "clocks", PHANDLE_CLOCK);
    text(t, "clock-names", "apb_pclk");
    flag(t, "gpio-controller");
    CELLS(t, "#gpio-cells", 2);
    flag(t, "interrupt-controller");
    CELLS(t, "#interrupt-cells", 2);
    CELLS(t, "phandle", PHANDLE_GPIO);
    end(t);
    begin(t, "gpio-keys");
    text(t, "compatible", "gpio-keys");
    begin(t, "poweroff");
    text(t, "label", "GPIO Key Poweroff");
    CELLS(t, "linux,code", 116); /* KEY_POWER */
    CELLS(t, "gpios", PHANDLE_GPIO, 3, 0);
    end(t);
    end(t);
}

/*
 * INTx of slot s, pin p goes to line (s + p - 1) & 3: four slots show all of it, the mask leaves
 * two bits of the slot and the pin.
 */
static void intx_map(struct tree *t)
{
    uint32_t c[16 * 10], n = 0;

    for (uint32_t slot = 0; slot < 4; slot++)
        for (uint32_t pin = 1; pin <= 4; pin++) {
            const uint32_t row[10] = {
                slot << 11, 0,           0,
                pin,        PHANDLE_GIC, 0,
                0,          GIC_SPI,     PLAT_SPI(INTID_PCI_INTA) + ((slot + pin - 1) & 3),
                IRQ_LEVEL
            };

            memcpy(c + n, row, sizeof row);
            n += 10;
        }
    for (uint32_t i = 0; i < n; i++)
        c[i] = cpu_to_fdt32(c[i]);
    bytes(t, "interrupt-map", c, sizeof c);
    CELLS(t, "interrupt-map-mask", 3 << 11, 0, 0, 7);
}

static void pcie(struct tree *t, const struct load *l)
{
    begin_at(t, "pcie", PLAT_ECAM);
    text(t, "compatible", "pci-host-ecam-generic");
    text(t, "device_type", "pci");
    CELLS(t, "#address-cells", 3);
    CELLS(t, "#size-cells", 2);
    CELLS(t, "#interrupt-cells", 1);
    CELLS(t, "linux,pci-domain", 0);
    CELLS(t, "bus-range", 0, 0);
    flag(t, "dma-coherent");
    reg(t, PLAT_ECAM, VPCI_ECAM_LEN);
    CELLS(t, "ranges", PCI_SPACE_MEM32, PAIR(PLAT_MMIO32), PAIR(PLAT_MMIO32), PAIR(PLAT_MMIO32_LEN),
          PCI_SPACE_MEM64, PAIR(PLAT_MMIO64), PAIR(PLAT_MMIO64), PAIR(PLAT_MMIO64_LEN));
    intx_map(t);
    if (arm_machine_of(l->vm->vcpu[0])->gic == 3)
        CELLS(t, "msi-map", 0, PHANDLE_MSI, 0, 0x10000);
    else
        CELLS(t, "msi-parent", PHANDLE_MSI);
    end(t);
}

static void hardware(struct tree *t, const struct load *l)
{
    text(t, "model", "Trivet ARM64 guest");
    CELLS(t, "interrupt-parent", PHANDLE_GIC);
    flag(t, "dma-coherent");
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
}

/*
 * With ACPI the tree holds nothing but /chosen: that is how Linux knows which of the two to
 * believe.
 */
static void write_tree(struct tree *t, const struct load *l)
{
    keep(t, fdt_create(t->fdt, (int)FDT_ROOM));
    keep(t, fdt_finish_reservemap(t->fdt));
    begin(t, "");
    if (!l->efi.system_table)
        LIST(t, "compatible", "linux,dummy-virt");
    CELLS(t, "#address-cells", 2);
    CELLS(t, "#size-cells", 2);
    if (!l->efi.system_table)
        hardware(t, l);
    chosen(t, l);
    end(t);
    keep(t, fdt_finish(t->fdt));
}

int arm_fdt_build(struct load *l)
{
    struct tree t = { .fdt = vm_alloc(l->vm, FDT_ROOM) };
    int err;

    if (!t.fdt)
        return -ENOMEM;
    write_tree(&t, l);
    err = t.err ? -EINVAL : gmem_write(l->vm, gpa(l->fdt), t.fdt, fdt_totalsize(t.fdt));
    if (err)
        snprintf(l->vm->why, sizeof l->vm->why, "its device tree could not be written: %s",
                 t.err ? fdt_strerror(t.err) : "no RAM there");
    vm_free(l->vm, t.fdt, FDT_ROOM);
    return err;
}
