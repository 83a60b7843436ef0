/* SPDX-License-Identifier: BSD-2-Clause */
/* regs.c: registers by width, in a file of its own so that tests can be the device. */
#include <arch/io.h>

#include <hv/host_pci.h>

uint32_t host_reg_read(const volatile uint8_t *p, unsigned size)
{
    return size == 1 ? mmio_read8(p) : size == 2 ? mmio_read16(p) : mmio_read32(p);
}

void host_reg_write(volatile uint8_t *p, unsigned size, uint32_t val)
{
    if (size == 1)
        mmio_write8(p, (uint8_t)val);
    else if (size == 2)
        mmio_write16(p, (uint16_t)val);
    else
        mmio_write32(p, val);
}
