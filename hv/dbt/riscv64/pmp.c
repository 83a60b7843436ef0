/* SPDX-License-Identifier: BSD-2-Clause */
/* Physical memory protection, 16 entries, of 4 bytes at least: volume II, 3.7. */
#include "cpu.h"

enum { PMP_R = 1, PMP_W = 2, PMP_X = 4, PMP_A = 0x18, PMP_L = 0x80, PMP_KEPT = 0x9f };
enum { PMP_OFF = 0, PMP_TOR = 0x08, PMP_NA4 = 0x10, PMP_NAPOT = 0x18 };

struct range {
    uint64_t first, last; /* bytes; first > last: empty */
};

static struct range napot(uint64_t addr)
{
    uint64_t ones = addr ^ (addr + 1); /* the trailing ones and the zero above them */

    return (struct range){ (addr & ~ones) << 2, (addr | ones) << 2 | 3 };
}

static struct range range_of(const struct rv_cpu *c, unsigned n)
{
    uint64_t addr = c->pmpaddr[n];

    switch (c->pmpcfg[n] & PMP_A) {
    case PMP_TOR: {
        uint64_t below = n ? c->pmpaddr[n - 1] << 2 : 0;

        return addr << 2 > below ? (struct range){ below, (addr << 2) - 1 }
                                 : (struct range){ 1, 0 };
    }
    case PMP_NA4: return (struct range){ addr << 2, addr << 2 | 3 };
    case PMP_NAPOT: return napot(addr);
    default: return (struct range){ 1, 0 };
    }
}

static bool pmp_overlaps(struct range r, uint64_t first, uint64_t last)
{
    return r.first <= r.last && r.first <= last && r.last >= first;
}

static bool contains(struct range r, uint64_t first, uint64_t last)
{
    return r.first <= first && last <= r.last;
}

static bool entry_allows(uint8_t cfg, unsigned mode, enum dbt_access access)
{
    static const uint8_t need[DBT_ACCESSES] = {
        [DBT_LOAD] = PMP_R,
        [DBT_STORE] = PMP_W,
        [DBT_FETCH] = PMP_X,
    };

    return (mode == RV_M && !(cfg & PMP_L)) || cfg & need[access];
}

bool rv_pmp_allows(const struct rv_cpu *c, unsigned mode, uint64_t pa, unsigned size,
                   enum dbt_access access, bool *whole_page)
{
    uint64_t page = pa & ~(DBT_PAGE - 1);

    for (unsigned n = 0; n < RV_PMPS; n++) {
        struct range r = range_of(c, n);

        if (!pmp_overlaps(r, page, page + DBT_PAGE - 1))
            continue;
        if (!contains(r, page, page + DBT_PAGE - 1))
            *whole_page = false;
        if (pmp_overlaps(r, pa, pa + size - 1))
            return contains(r, pa, pa + size - 1) && entry_allows(c->pmpcfg[n], mode, access);
    }
    return mode == RV_M;
}

bool rv_pmpcfg_valid(uint8_t cfg) { return !(cfg & ~PMP_KEPT) && (cfg & (PMP_R | PMP_W)) != PMP_W; }

/* Eight entries from `first`. A locked one stays; W without R is reserved and becomes neither. */
void rv_pmpcfg_write(struct rv_cpu *c, unsigned first, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        uint8_t cfg = (uint8_t)(value >> 8 * i) & PMP_KEPT;

        if ((cfg & (PMP_R | PMP_W)) == PMP_W)
            cfg = (uint8_t)(cfg & ~PMP_W);
        if (!(c->pmpcfg[first + i] & PMP_L))
            c->pmpcfg[first + i] = cfg;
    }
}

/* An entry below a locked TOR one is locked with it. */
void rv_pmpaddr_write(struct rv_cpu *c, unsigned n, uint64_t value)
{
    if (c->pmpcfg[n] & PMP_L)
        return;
    if (n + 1 < RV_PMPS && (c->pmpcfg[n + 1] & (PMP_L | PMP_A)) == (PMP_L | PMP_TOR))
        return;
    c->pmpaddr[n] = value & ((1ull << 54) - 1);
}
