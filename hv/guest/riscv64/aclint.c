/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RISC-V ACLINT 1.0: MSWI and MTIMER, laid out as the SiFive CLINT, and SSWI. mtime is the
 * machine's time: it is not written.
 */
#include "machine_parts.h"

enum { MSIP = 0, MTIMECMP = 0x4000, MTIME = 0xbff8 };

static uint64_t now(const struct rv_machine *m) { return m->host->time(m->ctx); }

void aclint_poll(struct rv_machine *m, unsigned n)
{
    uint64_t bit = 1ull << RV_IRQ_MTI;
    bool due = now(m) >= __atomic_load_n(&m->aclint.mtimecmp[n], __ATOMIC_RELAXED);

    if (due == !!(__atomic_load_n(&m->hart[n]->cpu.mip, __ATOMIC_RELAXED) & bit))
        return;
    if (due)
        rvm_raise(m, n, bit);
    else
        rv_clear_mip(m->hart[n], bit);
}

/* 4 or 8 bytes of a register of 8. */
static uint64_t part(uint64_t reg, uint64_t off, unsigned size)
{
    return size == 8 ? reg : reg >> (off & 4) * 8 & 0xffffffff;
}

static uint64_t merged(uint64_t reg, uint64_t off, unsigned size, uint64_t value)
{
    unsigned shift = (unsigned)(off & 4) * 8;

    if (size == 8)
        return value;
    return (reg & ~(0xffffffffull << shift)) | (value & 0xffffffff) << shift;
}

bool aclint_read(struct rv_machine *m, uint64_t off, unsigned size, uint64_t *value)
{
    uint64_t n = off >= MTIMECMP ? (off - MTIMECMP) / 8 : off / 4;

    *value = 0;
    if (size < 4)
        return false;
    if (off >= MTIME)
        *value = part(now(m), off, size);
    else if (n < m->harts && off >= MTIMECMP)
        *value = part(m->aclint.mtimecmp[index_nospec(n, m->harts)], off, size);
    else if (n < m->harts)
        *value = __atomic_load_n(&rvm_hart(m, n)->cpu.mip, __ATOMIC_RELAXED) >> RV_IRQ_MSI & 1;
    return true;
}

/* n: masked. */
static void set_mtimecmp(struct rv_machine *m, unsigned n, uint64_t off, unsigned size,
                         uint64_t value)
{
    uint64_t *at = m->aclint.mtimecmp + n;

    __atomic_store_n(at, merged(*at, off, size, value), __ATOMIC_RELAXED);
    aclint_poll(m, n);
}

bool aclint_write(struct rv_machine *m, uint64_t off, unsigned size, uint64_t value)
{
    uint64_t n = off >= MTIMECMP ? (off - MTIMECMP) / 8 : off / 4, bit = 1ull << RV_IRQ_MSI;

    if (size < 4)
        return false;
    if (n >= m->harts)
        return true;
    if (off >= MTIMECMP) {
        n = index_nospec(n, m->harts);
        set_mtimecmp(m, (unsigned)n, off, size, value);
    } else if (value & 1) {
        rvm_raise(m, (unsigned)index_nospec(n, m->harts), bit);
    } else {
        rv_clear_mip(rvm_hart(m, n), bit);
    }
    return true;
}

void sswi_write(struct rv_machine *m, uint64_t off, uint64_t value)
{
    if (off / 4 < m->harts && value & 1)
        rvm_raise(m, (unsigned)index_nospec(off / 4, m->harts), 1ull << RV_IRQ_SSI);
}
