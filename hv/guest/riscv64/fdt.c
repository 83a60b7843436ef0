/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's device tree (Devicetree Specification 0.4; bindings of the Linux kernel). */
#include "machine_parts.h"
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

struct tree {
    void *fdt;
    int err; /* the first one */
};

enum { PHANDLE_SYSCON = 1, PHANDLE_PLIC, PHANDLE_INTC }; /* of hart 0; then of hart 1 ... */

static void keep(struct tree *t, int err)
{
    if (t->err == 0 && err < 0)
        t->err = err;
}

static void begin(struct tree *t, const char *name, uint64_t unit)
{
    char full[40];

    snprintf(full, sizeof full, "%s@%llx", name, (unsigned long long)unit);
    keep(t, fdt_begin_node(t->fdt, full));
}

static void end(struct tree *t) { keep(t, fdt_end_node(t->fdt)); }

static void bytes(struct tree *t, const char *name, const void *p, size_t n)
{
    keep(t, fdt_property(t->fdt, name, p, (int)n));
}

/* `strings`: one, or several each ended by a zero. */
static void texts(struct tree *t, const char *name, const char *strings, size_t n)
{
    bytes(t, name, strings, n);
}
static void text(struct tree *t, const char *name, const char *s)
{
    texts(t, name, s, strlen(s) + 1);
}

static void cells(struct tree *t, const char *name, const uint32_t *v, size_t n)
{
    fdt32_t be[4 * RVM_HARTS];

    for (size_t i = 0; i < n; i++)
        be[i] = cpu_to_fdt32(v[i]);
    bytes(t, name, be, n * sizeof be[0]);
}

static void cell(struct tree *t, const char *name, uint32_t v) { cells(t, name, &v, 1); }

static void reg(struct tree *t, uint64_t base, uint64_t size)
{
    uint32_t v[4] = { (uint32_t)(base >> 32), (uint32_t)base, (uint32_t)(size >> 32),
                      (uint32_t)size };

    cells(t, "reg", v, 4);
}

static void two_cells(struct tree *t)
{
    cell(t, "#address-cells", 2);
    cell(t, "#size-cells", 2);
}

static const char extensions[] =
    "i\0m\0a\0f\0d\0c\0zicntr\0zicsr\0zifencei\0zba\0zbb\0zbs\0sstc\0svadu";

static void interrupt_controller_of(struct tree *t, unsigned n)
{
    keep(t, fdt_begin_node(t->fdt, "interrupt-controller"));
    cell(t, "#interrupt-cells", 1);
    bytes(t, "interrupt-controller", "", 0);
    text(t, "compatible", "riscv,cpu-intc");
    cell(t, "phandle", PHANDLE_INTC + n);
    end(t);
}

static void cpus(struct tree *t, const struct rv_machine *m)
{
    keep(t, fdt_begin_node(t->fdt, "cpus"));
    cell(t, "#address-cells", 1);
    cell(t, "#size-cells", 0);
    cell(t, "timebase-frequency", RVM_TIMEBASE);
    for (unsigned n = 0; n < m->harts; n++) {
        begin(t, "cpu", n);
        text(t, "device_type", "cpu");
        cell(t, "reg", n);
        text(t, "status", "okay");
        text(t, "compatible", "riscv");
        text(t, "riscv,isa", "rv64imafdc_zicntr_zicsr_zifencei_zba_zbb_zbs_sstc_svadu");
        text(t, "riscv,isa-base", "rv64i");
        texts(t, "riscv,isa-extensions", extensions, sizeof extensions);
        text(t, "mmu-type", "riscv,sv57");
        interrupt_controller_of(t, n);
        end(t);
    }
    end(t);
}

/* interrupts-extended of a controller: two interrupts of each hart. */
static void to_harts(struct tree *t, const struct rv_machine *m, uint32_t first, uint32_t second)
{
    uint32_t v[4 * RVM_HARTS];

    for (unsigned n = 0; n < m->harts; n++) {
        v[4 * n] = v[4 * n + 2] = PHANDLE_INTC + n;
        v[4 * n + 1] = first;
        v[4 * n + 3] = second;
    }
    cells(t, "interrupts-extended", v, 4 * m->harts);
}

static void plic(struct tree *t, const struct rv_machine *m)
{
    static const char compatible[] = "sifive,plic-1.0.0\0riscv,plic0";

    begin(t, "plic", RVM_PLIC);
    texts(t, "compatible", compatible, sizeof compatible);
    cell(t, "phandle", PHANDLE_PLIC);
    cell(t, "#address-cells", 0);
    cell(t, "#interrupt-cells", 1);
    bytes(t, "interrupt-controller", "", 0);
    cell(t, "riscv,ndev", RVM_SOURCES - 1);
    to_harts(t, m, RV_IRQ_MEI, RV_IRQ_SEI);
    reg(t, RVM_PLIC, PLIC_SIZE);
    end(t);
}

static void clint(struct tree *t, const struct rv_machine *m)
{
    static const char compatible[] = "sifive,clint0\0riscv,clint0";

    if (m->sbi)
        return; /* its interrupts are M-mode's */
    begin(t, "clint", RVM_ACLINT);
    texts(t, "compatible", compatible, sizeof compatible);
    to_harts(t, m, RV_IRQ_MSI, RV_IRQ_MTI);
    reg(t, RVM_ACLINT, ACLINT_SIZE);
    end(t);
}

static void uart(struct tree *t)
{
    begin(t, "serial", RVM_UART);
    text(t, "compatible", "ns16550a");
    reg(t, RVM_UART, 0x100);
    cell(t, "clock-frequency", 3686400);
    cell(t, "interrupt-parent", PHANDLE_PLIC);
    cell(t, "interrupts", RVM_UART_IRQ);
    end(t);
}

static void power(struct tree *t, const char *name, const char *compatible, uint32_t value)
{
    keep(t, fdt_begin_node(t->fdt, name));
    text(t, "compatible", compatible);
    cell(t, "regmap", PHANDLE_SYSCON);
    cell(t, "offset", 0);
    cell(t, "value", value);
    end(t);
}

static void syscon(struct tree *t)
{
    begin(t, "syscon", RVM_SYSCON);
    text(t, "compatible", "syscon");
    cell(t, "phandle", PHANDLE_SYSCON);
    reg(t, RVM_SYSCON, 0x1000);
    end(t);
}

static void soc(struct tree *t, const struct rv_machine *m)
{
    keep(t, fdt_begin_node(t->fdt, "soc"));
    two_cells(t);
    text(t, "compatible", "simple-bus");
    bytes(t, "ranges", "", 0);
    plic(t, m);
    clint(t, m);
    uart(t);
    syscon(t);
    end(t);
}

static void chosen(struct tree *t, const char *append, uint64_t initrd, uint64_t initrd_end)
{
    keep(t, fdt_begin_node(t->fdt, "chosen"));
    text(t, "bootargs", append);
    text(t, "stdout-path", "/soc/serial@10000000");
    if (initrd) {
        keep(t, fdt_property_u64(t->fdt, "linux,initrd-start", initrd));
        keep(t, fdt_property_u64(t->fdt, "linux,initrd-end", initrd_end));
    }
    end(t);
}

int rvm_fdt(const struct rv_machine *m, void *at, size_t room, const char *append, uint64_t initrd,
            uint64_t initrd_end)
{
    struct tree t = { at, fdt_create(at, (int)room) };

    keep(&t, fdt_finish_reservemap(at));
    keep(&t, fdt_begin_node(at, ""));
    two_cells(&t);
    text(&t, "model", "Trivet riscv64");
    text(&t, "compatible", "riscv-virtio");
    chosen(&t, append, initrd, initrd_end);
    begin(&t, "memory", RVM_RAM);
    text(&t, "device_type", "memory");
    reg(&t, RVM_RAM, m->ram_size);
    end(&t);
    cpus(&t, m);
    soc(&t, m);
    power(&t, "poweroff", "syscon-poweroff", 0x5555);
    power(&t, "reboot", "syscon-reboot", 0x7777);
    end(&t);
    keep(&t, fdt_finish(at));
    return t.err ? -1 : (int)fdt_totalsize(at);
}
