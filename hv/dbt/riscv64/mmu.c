/* SPDX-License-Identifier: BSD-2-Clause */
/* Address translation: Sv39, Sv48 and Sv57, volume II, 4.3 to 4.6; Svadu's update of A and D. */
#include "cpu.h"

enum { PTE_V = 1, PTE_R = 2, PTE_W = 4, PTE_X = 8, PTE_U = 16, PTE_A = 64, PTE_D = 128 };
#define PTE_PPN(pte) ((pte) >> 10 & ((1ull << 44) - 1))
#define PTE_RESERVED (0x3ffull << 54) /* Svnapot's and Svpbmt's, which are not there, too */

/* What a walk is for. */
struct wish {
    struct rv_hart *h;
    uint64_t va;
    enum dbt_access access;
    unsigned mode;
};

unsigned rv_data_mode(const struct rv_cpu *c)
{
    if (c->mstatus & RV_MSTATUS_MPRV)
        return (unsigned)(c->mstatus >> 11 & 3);
    return c->mode;
}

static bool translates(const struct rv_cpu *c, unsigned mode)
{
    return mode != RV_M && SATP_MODE(c->satp) != SATP_BARE;
}

/* rights: bit 0 translated, bits 2..1 mode, then SUM and MXR where they matter. */
static struct dbt_view view(const struct rv_cpu *c, unsigned mode, uint64_t sum_mxr)
{
    if (!translates(c, mode))
        return (struct dbt_view){ .rights = mode << 1 };
    if (mode == RV_U)
        sum_mxr &= ~RV_MSTATUS_SUM;
    return (struct dbt_view){ .space = c->satp, .rights = 1 | mode << 1 | sum_mxr };
}

void rv_select(struct rv_hart *h)
{
    const struct rv_cpu *c = &h->cpu;

    dbt_mem_select(&h->mem,
                   view(c, rv_data_mode(c), c->mstatus & (RV_MSTATUS_SUM | RV_MSTATUS_MXR)),
                   view(c, c->mode, 0));
}

/* Volume II, 4.3.2, steps 5 to 7. */
static bool leaf_allows(const struct wish *w, uint64_t pte)
{
    uint64_t mstatus = w->h->cpu.mstatus;

    if (w->mode == RV_U && !(pte & PTE_U))
        return false;
    if (w->mode == RV_S && pte & PTE_U && (w->access == DBT_FETCH || !(mstatus & RV_MSTATUS_SUM)))
        return false;
    if (w->access == DBT_FETCH)
        return pte & PTE_X;
    if (w->access == DBT_STORE)
        return pte & PTE_W;
    return pte & PTE_R || (mstatus & RV_MSTATUS_MXR && pte & PTE_X);
}

static bool pte_is_bad(uint64_t pte)
{
    return !(pte & PTE_V) || (pte & PTE_W && !(pte & PTE_R)) || pte & PTE_RESERVED;
}

/* Step 7. DBT_OK with *again: the entry changed meanwhile. */
static enum dbt_fault mmu_set_accessed(const struct wish *w, uint64_t *at, uint64_t pa,
                                       uint64_t pte, bool *again)
{
    const struct rv_cpu *c = &w->h->cpu;
    uint64_t want = pte | PTE_A | (w->access == DBT_STORE ? PTE_D : 0);
    bool whole;

    if (want == pte)
        return DBT_OK;
    if (!(c->menvcfg & MENVCFG_ADUE))
        return DBT_FAULT_PAGE;
    if (!rv_pmp_allows(c, RV_S, pa, 8, DBT_STORE, &whole))
        return DBT_FAULT_ACCESS;
    *again =
        !__atomic_compare_exchange_n(at, &pte, want, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    return DBT_OK;
}

static enum dbt_fault mmu_finish(const struct wish *w, uint64_t pte, unsigned level,
                                 struct dbt_translation *out)
{
    uint64_t bytes = DBT_PAGE << 9 * level;

    out->page_bytes = bytes;
    out->pa = (PTE_PPN(pte) << 12 & ~(bytes - 1)) | (w->va & (bytes - 1));
    return DBT_OK;
}

/* The entry at pa; DBT_FAULT_ACCESS: not RAM, or not for S-mode to read. */
static enum dbt_fault read_pte(const struct wish *w, uint64_t pa, uint64_t **at, uint64_t *pte)
{
    bool whole;
    uint8_t *page = w->h->machine->ram(w->h->owner, pa & ~(DBT_PAGE - 1));

    if (!page || !rv_pmp_allows(&w->h->cpu, RV_S, pa, 8, DBT_LOAD, &whole))
        return DBT_FAULT_ACCESS;
    *at = (uint64_t *)(void *)(page + (pa & (DBT_PAGE - 1)));
    *pte = __atomic_load_n(*at, __ATOMIC_ACQUIRE);
    return DBT_OK;
}

static enum dbt_fault leaf(const struct wish *w, uint64_t pte, unsigned level)
{
    uint64_t low = (1ull << 9 * level) - 1; /* of a large page: must be zero */

    return leaf_allows(w, pte) && !(PTE_PPN(pte) & low) ? DBT_OK : DBT_FAULT_PAGE;
}

/* One descent from the root. */
static enum dbt_fault mmu_descend(const struct wish *w, unsigned levels,
                                  struct dbt_translation *out, bool *again)
{
    uint64_t table = SATP_PPN(w->h->cpu.satp) << 12, pte, *at;

    for (unsigned level = levels; level-- > 0;) {
        uint64_t pa = table + (w->va >> (12 + 9 * level) & 511) * 8;
        enum dbt_fault fault = read_pte(w, pa, &at, &pte);

        if (fault != DBT_OK)
            return fault;
        if (pte_is_bad(pte))
            return DBT_FAULT_PAGE;
        if (pte & (PTE_R | PTE_X)) {
            fault = leaf(w, pte, level);
            if (fault == DBT_OK)
                fault = mmu_set_accessed(w, at, pa, pte, again);
            return fault == DBT_OK ? mmu_finish(w, pte, level, out) : fault;
        }
        if (pte & (PTE_A | PTE_D | PTE_U))
            return DBT_FAULT_PAGE; /* reserved in a pointer */
        table = PTE_PPN(pte) << 12;
    }
    return DBT_FAULT_PAGE;
}

static enum dbt_fault mmu_translate(const struct wish *w, struct dbt_translation *out)
{
    unsigned levels = (unsigned)SATP_MODE(w->h->cpu.satp) - SATP_SV39 + 3;
    unsigned shift = 64 - (12 + 9 * levels);
    enum dbt_fault fault;
    bool again;

    if ((uint64_t)((int64_t)(w->va << shift) >> shift) != w->va)
        return DBT_FAULT_PAGE;
    /* A neighbour that changes the entry each time only delays its own guest; give up after some.
     */
    for (unsigned i = 0; i < 64; i++) {
        again = false;
        fault = mmu_descend(w, levels, out, &again);
        if (!again)
            return fault;
    }
    return DBT_FAULT_PAGE;
}

enum dbt_fault rv_walk(void *owner, uint64_t va, enum dbt_access access, unsigned size,
                       struct dbt_translation *out)
{
    struct rv_hart *h = owner;
    struct wish w = { h, va, access, access == DBT_FETCH ? h->cpu.mode : rv_data_mode(&h->cpu) };

    *out = (struct dbt_translation){ .pa = va, .page_bytes = DBT_PAGE, .whole_page = true };
    if (translates(&h->cpu, w.mode)) {
        enum dbt_fault fault = mmu_translate(&w, out);

        if (fault != DBT_OK)
            return fault;
    }
    return rv_pmp_allows(&h->cpu, w.mode, out->pa, size, access, &out->whole_page)
               ? DBT_OK
               : DBT_FAULT_ACCESS;
}
