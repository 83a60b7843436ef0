/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * zero.c: much memory: as fast as memset on hardware, and several times faster under an emulator,
 * where string instructions are slow.
 */
#include <arch/mmu.h>

void arch_zero(void *at, uint64_t len)
{
    volatile uint64_t *p = at;

    for (; len; len -= 64, p += 8) {
        p[0] = 0, p[1] = 0, p[2] = 0, p[3] = 0;
        p[4] = 0, p[5] = 0, p[6] = 0, p[7] = 0;
    }
}
