/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts of devices, for code that every machine shares: an LPI, or a v2m frame's SPI (SBSA 3,
 * MSI_TYPER), and the lines.
 */
#include "guest.h"

static void (*msi_fn)(void), (*intx_fn)(void);

static void on_msi(uint32_t intid)
{
    (void)intid;
    msi_fn();
}

static void on_intx(uint32_t intid)
{
    (void)intid;
    if (intx_fn)
        intx_fn();
}

void irq_init(void)
{
    gic_init();
    its_init();
}

static struct msi_msg by_v2m(unsigned entry)
{
    uint32_t t = boot.v2m ? mmio_r32(boot.v2m + 8) : 0, spi = (t >> 16 & 0x3ff) + entry;
    if (!t)
        return (struct msi_msg){ 0, 0 };
    irq_handle(spi, on_msi);
    gic_edge(spi, true);
    gic_route(spi, this_cpu()->index);
    gic_enable(spi);
    return (struct msi_msg){ boot.v2m + 0x40, spi };
}

/* Every entry of every device has an LPI of its own, as long as there are few. */
struct msi_msg irq_msi(pci_t d, unsigned entry, void (*fn)(void))
{
    static uint64_t mapped[4];
    uint32_t lpi = LPI_FIRST + d % 32u * 8 + entry % 8;
    msi_fn = fn;
    if (!its_init())
        return by_v2m(entry);
    if (!(mapped[d / 64 % 4] >> d % 64 & 1)) {
        mapped[d / 64 % 4] |= 1ull << d % 64;
        its_map_device(d);
    }
    irq_handle(lpi, on_msi);
    lpi_set(lpi, PRIO_DEFAULT, true);
    its_map(d, entry, lpi, this_cpu()->index);
    its_cmd(ITS_INV | (uint64_t)d << 32, entry, 0, 0);
    its_sync(this_cpu()->index);
    if (!its_wait())
        fail("its", "commands for device %x are not done", d);
    return (struct msi_msg){ boot.its + 0x10040, entry };
}

/* Pin A of device d is interrupt 35 + d % 4, level, as the tree's interrupt-map says. */
bool irq_intx(pci_t d, unsigned pin, void (*fn)(void))
{
    uint32_t intid = INTID_PCI + ((d >> 3) + pin - 1) % 4;
    intx_fn = fn;
    irq_handle(intid, on_intx);
    gic_edge(intid, false);
    gic_route(intid, this_cpu()->index);
    if (fn)
        gic_enable(intid);
    else
        gic_disable(intid);
    return true;
}
