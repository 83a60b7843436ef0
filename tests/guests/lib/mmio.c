/* SPDX-License-Identifier: BSD-2-Clause */
/* Accesses to devices whose size is known only when they are made. */
#include <guest.h>

uint64_t mmio_read(uint64_t a, unsigned size)
{
    return size == 1 ? mmio_r8(a) : size == 2 ? mmio_r16(a) : size == 4 ? mmio_r32(a) : mmio_r64(a);
}

void mmio_write(uint64_t a, unsigned size, uint64_t v)
{
    if (size == 1)
        mmio_w8(a, (uint8_t)v);
    else if (size == 2)
        mmio_w16(a, (uint16_t)v);
    else if (size == 4)
        mmio_w32(a, (uint32_t)v);
    else
        mmio_w64(a, v);
}
