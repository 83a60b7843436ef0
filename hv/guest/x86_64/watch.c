/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Breakpoints on data and ports, for accesses that the CPU leaves to us: it looks at them only when
 * it makes the access itself. APM vol 2 section 13.1.1, SDM vol 3 sections 17.2.4 and 17.2.5.
 */
#include "x86.h"

#define CR4_DE 8u /* breakpoints on ports exist */
#define DR6_HITS 0xfull

/* R/W: 1 writes, 2 ports, 3 reads and writes. 0 is for fetches, which the CPU makes. */
static bool watches(unsigned rw, enum x86_watch kind, uint64_t cr4)
{
    switch (kind) {
    case WATCH_READ: return rw == 3;
    case WATCH_WRITE: return (rw & 1) != 0;
    case WATCH_PORT:
    default: return rw == 2 && (cr4 & CR4_DE) != 0;
    }
}

uint32_t x86_watch_hits(struct vcpu *v, uint64_t dr7, enum x86_watch kind, uint64_t at,
                        unsigned size)
{
    static const uint8_t bytes[4] = { 1, 2, 8, 4 };
    uint32_t hits = 0;

    if ((dr7 & DR7_ENABLED) == 0)
        return 0;
    for (unsigned i = 0; i < 4; i++) {
        unsigned control = (unsigned)(dr7 >> (16 + 4 * i)), len = bytes[control >> 2 & 3];
        uint64_t from = x86_get(v, X86_DR0 + i) & ~(uint64_t)(len - 1);

        if ((dr7 >> 2 * i & 3) != 0 && watches(control & 3, kind, x86_get(v, X86_CR4)) &&
            from <= at + size - 1 && at <= from + len - 1)
            hits |= 1u << i;
    }
    return hits;
}

void x86_watch_trap(struct vcpu *v, uint32_t hits)
{
    if (hits == 0)
        return;
    x86_set(v, X86_DR6, (x86_get(v, X86_DR6) & ~DR6_HITS) | hits);
    if (v->event.type == VEV_NONE)
        x86_raise(v, X86_DB, 0);
}
