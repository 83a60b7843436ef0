/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fdt_pci.c: a PCI host bridge in a guest's device tree. IEEE 1275 PCI binding 2.1; the kernel's
 * "pci-host-ecam-generic".
 */
#include <hv/fdt_write.h>
#include <string.h>

/* phys.hi, section 2.2.1.1 */
enum { PCI_SPACE_MEM32 = 0x02000000, PCI_SPACE_MEM64 = 0x03000000 };

/* Four slots show all of it: the mask leaves two bits of the slot, and the pin. */
static void intx_map(struct dt_tree *t, const struct dt_pci *p)
{
    uint32_t map[16 * (4 + DT_PCI_LINE_CELLS)], n = 0;

    if (p->line_cells > DT_PCI_LINE_CELLS || p->line_at >= p->line_cells) {
        t->err = t->err ? t->err : -FDT_ERR_BADVALUE;
        return;
    }
    for (uint32_t slot = 0; slot < 4; slot++)
        for (uint32_t pin = 1; pin <= 4; pin++) {
            const uint32_t unit[4] = { slot << 11, 0, 0, pin };

            memcpy(map + n, unit, sizeof unit);
            memcpy(map + n + 4, p->line, p->line_cells * sizeof *p->line);
            map[n + 4 + p->line_at] += (slot + pin - 1) & 3; /* nospec: ours */
            n += 4 + p->line_cells;
        }
    dt_cells(t, "interrupt-map", map, n);
    DT_CELLS(t, "interrupt-map-mask", 3 << 11, 0, 0, 7);
}

void dt_pci_begin(struct dt_tree *t, const char *name, const struct dt_pci *p)
{
    dt_begin_at(t, name, p->ecam);
    dt_text(t, "compatible", "pci-host-ecam-generic");
    dt_text(t, "device_type", "pci");
    DT_CELLS(t, "#address-cells", 3);
    DT_CELLS(t, "#size-cells", 2);
    DT_CELLS(t, "#interrupt-cells", 1);
    DT_CELLS(t, "linux,pci-domain", 0);
    DT_CELLS(t, "bus-range", 0, 0);
    dt_flag(t, "dma-coherent");
    dt_reg(t, p->ecam, p->ecam_len);
    DT_CELLS(t, "ranges", PCI_SPACE_MEM32, DT_PAIR(p->mmio32), DT_PAIR(p->mmio32),
             DT_PAIR(p->mmio32_len), PCI_SPACE_MEM64, DT_PAIR(p->mmio64), DT_PAIR(p->mmio64),
             DT_PAIR(p->mmio64_len));
    intx_map(t, p);
}
