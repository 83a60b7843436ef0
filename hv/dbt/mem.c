/* SPDX-License-Identifier: BSD-2-Clause */
/* The software TLB's slow side: <hv/dbt_mem.h>. */
#include <hv/dbt_mem.h>
#include <string.h>

#define OFFSET (DBT_PAGE - 1)
#define LAST_CONTEXT 0x7feu          /* 0x7ff would make a tag of DBT_TLB_INVALID */
#define SPREAD 0x9e3779b97f4a7000ull /* bits 63..12 of the golden ratio */

static uint64_t mem_key_of(uint32_t number) { return ((number * SPREAD) & ~OFFSET) | number; }

void dbt_mem_flush(struct dbt_mem *m)
{
    memset(m->tlb, 0xff, sizeof m->tlb);
    memset(m->context, 0, sizeof m->context);
    m->next_context = 1;
    m->oldest = 0;
    m->large_first = UINT64_MAX;
    m->large_last = 0;
    m->stats.flushes++;
}

void dbt_mem_init(struct dbt_mem *m, const struct dbt_mem_ops *ops, void *owner)
{
    memset(m, 0, sizeof *m);
    m->ops = ops;
    m->owner = owner;
    dbt_mem_flush(m);
    m->stats.flushes = 0;
}

/* The place of the oldest context that is not selected. */
static struct dbt_context *free_place(struct dbt_mem *m)
{
    struct dbt_context *c;

    do {
        m->oldest = (m->oldest + 1) % DBT_CONTEXTS;
        c = &m->context[m->oldest];
    } while (c->key && (c->key == m->key[DBT_LOAD] || c->key == m->key[DBT_FETCH]));
    return c;
}

/* A context that was forgotten comes back under a number that no entry of the TLB has. */
static uint64_t select_one(struct dbt_mem *m, struct dbt_view view)
{
    struct dbt_context *c;

    for (c = m->context; c < m->context + DBT_CONTEXTS; c++) {
        if (c->key && c->view.space == view.space && c->view.rights == view.rights)
            return c->key;
    }
    c = free_place(m);
    c->view = view;
    c->key = mem_key_of(m->next_context++);
    m->stats.contexts++;
    return c->key;
}

void dbt_mem_select(struct dbt_mem *m, struct dbt_view data, struct dbt_view code)
{
    if (m->next_context + 1 > LAST_CONTEXT)
        dbt_mem_flush(m);
    m->key[DBT_LOAD] = m->key[DBT_STORE] = select_one(m, data);
    m->key[DBT_FETCH] = select_one(m, code);
}

void dbt_mem_forget(struct dbt_mem *m, uint64_t mask, uint64_t value)
{
    for (struct dbt_context *c = m->context; c < m->context + DBT_CONTEXTS; c++) {
        if ((c->view.space & mask) == value)
            c->key = 0;
    }
}

static void forget_entry(struct dbt_mem *m, uint64_t va, uint64_t key)
{
    uint64_t tag = (va & ~OFFSET) ^ key;

    for (unsigned access = 0; access < DBT_ACCESSES; access++) {
        struct dbt_tlb_entry *e = &m->tlb[access][dbt_tlb_index(va, key)];

        if ((e->tag & ~DBT_TLB_SLOW) == tag)
            e->tag = DBT_TLB_INVALID;
    }
}

/* One entry of the guest's for a large page may be in many of ours. */
bool dbt_mem_forget_page(struct dbt_mem *m, uint64_t va)
{
    if (va >= m->large_first && va <= m->large_last) {
        dbt_mem_forget(m, 0, 0);
        return false;
    }
    for (struct dbt_context *c = m->context; c < m->context + DBT_CONTEXTS; c++) {
        if (c->key)
            forget_entry(m, va, c->key);
    }
    return true;
}

void dbt_mem_watch(struct dbt_mem *m, uint64_t pa)
{
    for (unsigned i = 0; i < DBT_TLB_ENTRIES; i++) {
        if (m->pa[DBT_STORE][i] == (pa & ~OFFSET))
            m->tlb[DBT_STORE][i].tag |= DBT_TLB_SLOW;
    }
}

/* Where an access that stays in one page goes. */
struct place {
    uint64_t pa;
    uint8_t *host; /* NULL: a device */
    bool watched;
};

static void note_large(struct dbt_mem *m, uint64_t va, uint64_t bytes)
{
    uint64_t first = va & ~(bytes - 1), last = va | (bytes - 1);

    if (bytes <= DBT_PAGE)
        return;
    if (first < m->large_first)
        m->large_first = first;
    if (last > m->large_last)
        m->large_last = last;
}

static enum dbt_fault mem_walk(struct dbt_mem *m, uint64_t va, enum dbt_access access,
                               unsigned size, struct dbt_translation *t)
{
    enum dbt_fault fault = m->ops->walk(m->owner, va, access, size, t);

    m->stats.walks++;
    if (fault != DBT_OK)
        m->fault_va = va;
    else
        note_large(m, va, t->page_bytes);
    return fault;
}

/* Fills *p in from p->pa. */
static void find_ram(struct dbt_mem *m, enum dbt_access access, struct place *p)
{
    uint8_t *page = m->ops->ram(m->owner, p->pa & ~OFFSET);

    p->host = page ? page + (p->pa & OFFSET) : NULL;
    p->watched = page && access == DBT_STORE && m->ops->watched && m->ops->watched(m->owner, p->pa);
}

static void mem_enter(struct dbt_mem *m, uint64_t va, enum dbt_access access, const struct place *p)
{
    unsigned i = dbt_tlb_index(va, m->key[access]);
    bool slow = !p->host || p->watched;

    m->pa[access][i] = p->pa & ~OFFSET;
    m->tlb[access][i] = (struct dbt_tlb_entry){
        .tag = ((va & ~OFFSET) ^ m->key[access]) | (slow ? DBT_TLB_SLOW : 0),
        .addend = (uint64_t)(uintptr_t)p->host - va,
    };
}

static enum dbt_fault reach(struct dbt_mem *m, uint64_t va, enum dbt_access access, unsigned size,
                            struct place *p)
{
    unsigned i = dbt_tlb_index(va, m->key[access]);
    struct dbt_translation t = { .whole_page = true };

    if ((m->tlb[access][i].tag & ~DBT_TLB_SLOW) == ((va & ~OFFSET) ^ m->key[access])) {
        p->pa = m->pa[access][i] | (va & OFFSET);
    } else {
        enum dbt_fault fault = mem_walk(m, va, access, size, &t);

        if (fault != DBT_OK)
            return fault;
        p->pa = t.pa;
    }
    find_ram(m, access, p);
    if (t.whole_page)
        mem_enter(m, va, access, p);
    return DBT_OK;
}

static enum dbt_fault no_access(struct dbt_mem *m, uint64_t va)
{
    m->fault_va = va;
    return DBT_FAULT_ACCESS;
}

static unsigned in_first_page(uint64_t va, unsigned size)
{
    uint64_t left = DBT_PAGE - (va & OFFSET);

    return left < size ? (unsigned)left : size;
}

static void mem_told(struct dbt_mem *m, const struct place *p, unsigned size)
{
    if (p->watched)
        m->ops->stored(m->owner, p->pa, size);
}

/* Both pages, before anything is read or written. */
static enum dbt_fault reach_both(struct dbt_mem *m, uint64_t va, enum dbt_access access,
                                 unsigned size, struct place p[2])
{
    unsigned first = in_first_page(va, size);
    enum dbt_fault fault = reach(m, va, access, first, &p[0]);

    if (fault != DBT_OK)
        return fault;
    fault = reach(m, va + first, access, size - first, &p[1]);
    if (fault != DBT_OK)
        return fault;
    return p[0].host && p[1].host ? DBT_OK : no_access(m, p[0].host ? va + first : va);
}

static enum dbt_fault load_crossing(struct dbt_mem *m, uint64_t va, unsigned size, uint64_t *value)
{
    unsigned first = in_first_page(va, size);
    struct place p[2];
    enum dbt_fault fault = reach_both(m, va, DBT_LOAD, size, p);

    if (fault != DBT_OK)
        return fault;
    *value = 0;
    for (unsigned i = 0; i < size; i++)
        *value |= (uint64_t)(i < first ? p[0].host[i] : p[1].host[i - first]) << 8 * i;
    return DBT_OK;
}

enum dbt_fault dbt_load_slow(struct dbt_mem *m, uint64_t va, unsigned size, uint64_t *value)
{
    struct place p;
    enum dbt_fault fault;

    if (in_first_page(va, size) < size)
        return load_crossing(m, va, size, value);
    fault = reach(m, va, DBT_LOAD, size, &p);
    if (fault != DBT_OK)
        return fault;
    if (p.host) {
        *value = dbt_get(p.host, size);
        return DBT_OK;
    }
    m->stats.device_accesses++;
    return va & (size - 1) || !m->ops->read(m->owner, p.pa, size, value) ? no_access(m, va)
                                                                         : DBT_OK;
}

static enum dbt_fault store_crossing(struct dbt_mem *m, uint64_t va, unsigned size, uint64_t value)
{
    unsigned first = in_first_page(va, size);
    struct place p[2];
    enum dbt_fault fault = reach_both(m, va, DBT_STORE, size, p);

    if (fault != DBT_OK)
        return fault;
    for (unsigned i = 0; i < size; i++)
        *(i < first ? p[0].host + i : p[1].host + (i - first)) = (uint8_t)(value >> 8 * i);
    mem_told(m, &p[0], first);
    mem_told(m, &p[1], size - first);
    return DBT_OK;
}

enum dbt_fault dbt_store_slow(struct dbt_mem *m, uint64_t va, unsigned size, uint64_t value)
{
    struct place p;
    enum dbt_fault fault;

    if (in_first_page(va, size) < size)
        return store_crossing(m, va, size, value);
    fault = reach(m, va, DBT_STORE, size, &p);
    if (fault != DBT_OK)
        return fault;
    if (p.host) {
        dbt_put(p.host, size, value);
        mem_told(m, &p, size);
        return DBT_OK;
    }
    m->stats.device_accesses++;
    return va & (size - 1) || !m->ops->write(m->owner, p.pa, size, value) ? no_access(m, va)
                                                                          : DBT_OK;
}

enum dbt_fault dbt_fetch_slow(struct dbt_mem *m, uint64_t va, uint16_t *value)
{
    struct place p;
    enum dbt_fault fault = reach(m, va, DBT_FETCH, 2, &p);

    if (fault != DBT_OK)
        return fault;
    if (!p.host)
        return no_access(m, va); /* no code in devices */
    *value = (uint16_t)dbt_get(p.host, 2);
    return DBT_OK;
}

enum dbt_fault dbt_fetch_pa(struct dbt_mem *m, uint64_t va, uint64_t *pa)
{
    struct place p;
    enum dbt_fault fault = reach(m, va, DBT_FETCH, 2, &p);

    if (fault != DBT_OK)
        return fault;
    *pa = p.pa;
    return p.host ? DBT_OK : no_access(m, va);
}

enum dbt_fault dbt_atomic(struct dbt_mem *m, uint64_t va, unsigned size, enum dbt_access access,
                          void **host, uint64_t *pa)
{
    struct place p;
    enum dbt_fault fault;

    if (va & (size - 1)) {
        m->fault_va = va;
        return DBT_FAULT_MISALIGNED;
    }
    fault = reach(m, va, access, size, &p);
    if (fault != DBT_OK)
        return fault;
    *host = p.host;
    *pa = p.pa;
    return p.host ? DBT_OK : no_access(m, va);
}

void dbt_atomic_done(struct dbt_mem *m, uint64_t pa, unsigned size)
{
    if (m->ops->watched && m->ops->watched(m->owner, pa))
        m->ops->stored(m->owner, pa, size);
}
