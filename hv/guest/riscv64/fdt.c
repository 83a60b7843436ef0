/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's device tree (Devicetree Specification 0.4; bindings of the Linux kernel). */
#include "machine_parts.h"
#include <hv/fdt_write.h>

enum { PHANDLE_SYSCON = 1, PHANDLE_PLIC, PHANDLE_INTC }; /* of hart 0; then of hart 1 ... */

static void cell(struct dt_tree *t, const char *name, uint32_t v) { dt_cells(t, name, &v, 1); }

static const char extensions[] =
    "i\0m\0a\0f\0d\0c\0zicntr\0zicsr\0zifencei\0zba\0zbb\0zbs\0sstc\0svadu";

static void interrupt_controller_of(struct dt_tree *t, unsigned n)
{
    dt_begin(t, "interrupt-controller");
    cell(t, "#interrupt-cells", 1);
    dt_flag(t, "interrupt-controller");
    dt_text(t, "compatible", "riscv,cpu-intc");
    cell(t, "phandle", PHANDLE_INTC + n);
    dt_end(t);
}

static void fdt_cpus(struct dt_tree *t, const struct rv_machine *m)
{
    dt_begin(t, "cpus");
    cell(t, "#address-cells", 1);
    cell(t, "#size-cells", 0);
    cell(t, "timebase-frequency", RVM_TIMEBASE);
    for (unsigned n = 0; n < m->harts; n++) {
        dt_begin_at(t, "cpu", n);
        dt_text(t, "device_type", "cpu");
        cell(t, "reg", n);
        dt_text(t, "status", "okay");
        dt_text(t, "compatible", "riscv");
        dt_text(t, "riscv,isa", "rv64imafdc_zicntr_zicsr_zifencei_zba_zbb_zbs_sstc_svadu");
        dt_text(t, "riscv,isa-base", "rv64i");
        dt_bytes(t, "riscv,isa-extensions", extensions, sizeof extensions);
        dt_text(t, "mmu-type", "riscv,sv57");
        interrupt_controller_of(t, n);
        dt_end(t);
    }
    dt_end(t);
}

/* interrupts-extended of a controller: two interrupts of each hart. */
static void to_harts(struct dt_tree *t, const struct rv_machine *m, uint32_t first, uint32_t second)
{
    uint32_t v[4 * RVM_HARTS];

    for (unsigned n = 0; n < m->harts; n++) {
        v[4 * n] = v[4 * n + 2] = PHANDLE_INTC + n;
        v[4 * n + 1] = first;
        v[4 * n + 3] = second;
    }
    dt_cells(t, "interrupts-extended", v, 4 * m->harts);
}

static void plic(struct dt_tree *t, const struct rv_machine *m)
{
    static const char compatible[] = "sifive,plic-1.0.0\0riscv,plic0";

    dt_begin_at(t, "plic", RVM_PLIC);
    dt_bytes(t, "compatible", compatible, sizeof compatible);
    cell(t, "phandle", PHANDLE_PLIC);
    cell(t, "#address-cells", 0);
    cell(t, "#interrupt-cells", 1);
    dt_flag(t, "interrupt-controller");
    cell(t, "riscv,ndev", RVM_SOURCES - 1);
    to_harts(t, m, RV_IRQ_MEI, RV_IRQ_SEI);
    dt_reg(t, RVM_PLIC, PLIC_SIZE);
    dt_end(t);
}

static void clint(struct dt_tree *t, const struct rv_machine *m)
{
    static const char compatible[] = "sifive,clint0\0riscv,clint0";

    if (m->sbi)
        return; /* its interrupts are M-mode's */
    dt_begin_at(t, "clint", RVM_ACLINT);
    dt_bytes(t, "compatible", compatible, sizeof compatible);
    to_harts(t, m, RV_IRQ_MSI, RV_IRQ_MTI);
    dt_reg(t, RVM_ACLINT, ACLINT_SIZE);
    dt_end(t);
}

static void uart(struct dt_tree *t)
{
    dt_begin_at(t, "serial", RVM_UART);
    dt_text(t, "compatible", "ns16550a");
    dt_reg(t, RVM_UART, 0x100);
    cell(t, "clock-frequency", 3686400);
    cell(t, "interrupt-parent", PHANDLE_PLIC);
    cell(t, "interrupts", RVM_UART_IRQ);
    dt_end(t);
}

static void power(struct dt_tree *t, const char *name, const char *compatible, uint32_t value)
{
    dt_begin(t, name);
    dt_text(t, "compatible", compatible);
    cell(t, "regmap", PHANDLE_SYSCON);
    cell(t, "offset", 0);
    cell(t, "value", value);
    dt_end(t);
}

static void syscon(struct dt_tree *t)
{
    dt_begin_at(t, "syscon", RVM_SYSCON);
    dt_text(t, "compatible", "syscon");
    cell(t, "phandle", PHANDLE_SYSCON);
    dt_reg(t, RVM_SYSCON, 0x1000);
    dt_end(t);
}

static void pci(struct dt_tree *t, const struct rvm_pci *p)
{
    if (!p)
        return;
    const struct dt_pci bridge = { .ecam = p->ecam,
                                   .ecam_len = p->ecam_bytes,
                                   .mmio32 = p->mmio32,
                                   .mmio32_len = p->mmio32_bytes,
                                   .mmio64 = p->mmio64,
                                   .mmio64_len = p->mmio64_bytes,
                                   .line = { PHANDLE_PLIC, p->inta },
                                   .line_cells = 2,
                                   .line_at = 1 };

    dt_pci_begin(t, "pci", &bridge);
    dt_end(t);
}

static void soc(struct dt_tree *t, const struct rv_machine *m)
{
    dt_begin(t, "soc");
    dt_two_cells(t);
    dt_text(t, "compatible", "simple-bus");
    dt_flag(t, "ranges");
    plic(t, m);
    clint(t, m);
    uart(t);
    syscon(t);
    pci(t, m->pci);
    dt_end(t);
}

static void fdt_chosen(struct dt_tree *t, const struct rv_machine *m, const char *append,
                       uint64_t initrd, uint64_t initrd_end)
{
    dt_begin(t, "chosen");
    dt_text(t, "bootargs", append);
    dt_text(t, "stdout-path", "/soc/serial@10000000");
    if (m->seed)
        dt_bytes(t, "rng-seed", m->seed, RVM_SEED * sizeof *m->seed);
    if (initrd) {
        dt_words64(t, "linux,initrd-start", &initrd, 1);
        dt_words64(t, "linux,initrd-end", &initrd_end, 1);
    }
    dt_end(t);
}

int rvm_fdt(const struct rv_machine *m, void *at, size_t room, const char *append, uint64_t initrd,
            uint64_t initrd_end)
{
    struct dt_tree t;

    dt_create(&t, at, room);
    dt_two_cells(&t);
    dt_text(&t, "model", "Trivet riscv64");
    dt_text(&t, "compatible", "riscv-virtio");
    fdt_chosen(&t, m, append, initrd, initrd_end);
    dt_begin_at(&t, "memory", RVM_RAM);
    dt_text(&t, "device_type", "memory");
    dt_reg(&t, RVM_RAM, m->ram_size);
    dt_end(&t);
    fdt_cpus(&t, m);
    soc(&t, m);
    power(&t, "poweroff", "syscon-poweroff", 0x5555);
    power(&t, "reboot", "syscon-reboot", 0x7777);
    return dt_finish(&t);
}
