/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A translated guest's memory as one vCPU sees it: a software TLB, the guest's RAM behind host
 * pointers, devices behind callbacks. The interpreter looks into this TLB at each access; compiled
 * code has a smaller one of its own, whose misses are answered from here (riscv64/engine.c). It
 * knows no guest ISA: the front end translates addresses (walk) and says what translations depend
 * on (dbt_mem_select). Owned by the thread or CPU that runs the vCPU, which alone calls these
 * functions. Nothing here allocates. Guests and hosts are little-endian.
 */
#ifndef HV_DBT_MEM_H
#define HV_DBT_MEM_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <hv/nospec.h>

#define DBT_PAGE_SHIFT 12
#define DBT_PAGE (1ull << DBT_PAGE_SHIFT)
#define DBT_TLB_BITS 12
#define DBT_TLB_ENTRIES (1u << DBT_TLB_BITS)
#define DBT_CONTEXTS 16 /* remembered; one more takes the oldest's place */

enum dbt_access { DBT_LOAD, DBT_STORE, DBT_FETCH, DBT_ACCESSES };

/*
 * One entry. An access of `size` bytes (1, 2, 4, 8) at va hits when
 *
 *     i   = ((va ^ key[access]) >> 12) & (DBT_TLB_ENTRIES - 1)
 *     tag = ((va + size - 1) & ~0xfff) ^ key[access]
 *     tlb[access][i].tag == tag
 *
 * and is then at host address va + addend: wholly in one page of RAM, allowed, accessed and dirty
 * bits set, nobody to be told. Misaligned accesses hit too; those that cross a page miss.
 * Bits 10..0 of a key are the number of the context, bits 63..12 spread contexts over the entries.
 * DBT_TLB_SLOW in a tag keeps it from hitting: a device, or a page whose stores are watched.
 */
struct dbt_tlb_entry {
    uint64_t tag;
    uint64_t addend;
};
#define DBT_TLB_SLOW (1ull << 11)
#define DBT_TLB_INVALID UINT64_MAX

/* Why an access failed. */
enum dbt_fault {
    DBT_OK,
    DBT_FAULT_PAGE,       /* the front end's tables do not allow it */
    DBT_FAULT_ACCESS,     /* nothing there, or physical protection */
    DBT_FAULT_MISALIGNED, /* an atomic that is not naturally aligned */
};

struct dbt_translation {
    uint64_t pa;         /* of the byte asked for */
    uint64_t page_bytes; /* what one entry of the guest's tables maps there, at least DBT_PAGE */
    bool whole_page;     /* holds for all the page: may be kept in the TLB */
};

/* What stands behind: set once, constant. `owner` is dbt_mem.owner. */
struct dbt_mem_ops {
    /* One address to a physical one, with permissions; sets accessed and dirty bits. */
    enum dbt_fault (*walk)(void *owner, uint64_t va, enum dbt_access access, unsigned size,
                           struct dbt_translation *out);
    /* Host address of the page of RAM that holds pa, or NULL: no RAM there. */
    uint8_t *(*ram)(void *owner, uint64_t pa);
    /* A device's register; naturally aligned. false: nothing there. */
    bool (*read)(void *owner, uint64_t pa, unsigned size, uint64_t *value);
    bool (*write)(void *owner, uint64_t pa, unsigned size, uint64_t value);
    /* May be NULL both. Does anybody want to know of stores to this page of RAM? Then each is told,
     * after it was done. */
    bool (*watched)(void *owner, uint64_t pa);
    void (*stored)(void *owner, uint64_t pa, unsigned size);
};

struct dbt_view {
    uint64_t space;  /* the front end's word for an address space: satp */
    uint64_t rights; /* what else translations depend on: mode, SUM, MXR */
};

struct dbt_context {
    struct dbt_view view;
    uint64_t key; /* 0: free */
};

struct dbt_mem_stats {
    uint64_t walks, flushes, contexts, device_accesses;
};

struct dbt_mem {
    uint64_t key[DBT_ACCESSES]; /* what an address is mixed with */
    uint64_t spare[5];
    struct dbt_tlb_entry tlb[DBT_ACCESSES][DBT_TLB_ENTRIES]; /* 64 */
    uint64_t pa[DBT_ACCESSES][DBT_TLB_ENTRIES];              /* page address of each entry */
    const struct dbt_mem_ops *ops;
    void *owner;
    uint64_t fault_va;                /* of the last fault: the byte that could not be reached */
    uint64_t large_first, large_last; /* large pages that were entered lie in here; first > last:
                                         none */
    uint32_t next_context, oldest;
    struct dbt_context context[DBT_CONTEXTS];
    struct dbt_mem_stats stats;
};
static_assert(offsetof(struct dbt_mem, key) == 0, "layout");
static_assert(offsetof(struct dbt_mem, tlb) == 64, "layout");
static_assert(sizeof(struct dbt_tlb_entry) == 16, "layout");

void dbt_mem_init(struct dbt_mem *m, const struct dbt_mem_ops *ops, void *owner);

/*
 * From now on loads and stores translate as data says, fetches as code says. What the TLB holds of
 * other contexts stays.
 */
void dbt_mem_select(struct dbt_mem *m, struct dbt_view data, struct dbt_view code);

/* Forgets translations of every context whose space & mask == value; then the caller selects again.
 */
void dbt_mem_forget(struct dbt_mem *m, uint64_t mask, uint64_t value);
/*
 * Forgets those of one address, in every context. False: it may be in a large page, so everything
 * was forgotten, and the caller selects again.
 */
bool dbt_mem_forget_page(struct dbt_mem *m, uint64_t va);
/* Forgets everything. The caller selects again. */
void dbt_mem_flush(struct dbt_mem *m);
/* Stores to this page of RAM no longer hit: it became watched. */
void dbt_mem_watch(struct dbt_mem *m, uint64_t pa);

/*
 * Accesses of 1, 2, 4 or 8 bytes at any address, little-endian. A load is zero-extended. On a fault
 * nothing was stored, and m->fault_va says where.
 */
enum dbt_fault dbt_load_slow(struct dbt_mem *m, uint64_t va, unsigned size, uint64_t *value);
enum dbt_fault dbt_store_slow(struct dbt_mem *m, uint64_t va, unsigned size, uint64_t value);
/* 2 bytes of code, at an even address. */
enum dbt_fault dbt_fetch_slow(struct dbt_mem *m, uint64_t va, uint16_t *value);

/*
 * The host address of `size` bytes of RAM for an atomic operation, which may be read and written;
 * `access` is that of the fault. The operation done, the caller calls dbt_atomic_done.
 */
enum dbt_fault dbt_atomic(struct dbt_mem *m, uint64_t va, unsigned size, enum dbt_access access,
                          void **host, uint64_t *pa);
void dbt_atomic_done(struct dbt_mem *m, uint64_t pa, unsigned size);

/* The physical address of code at va: what blocks are looked up by. */
enum dbt_fault dbt_fetch_pa(struct dbt_mem *m, uint64_t va, uint64_t *pa);

/* i of the TLB, as above. */
static inline unsigned dbt_tlb_index(uint64_t va, uint64_t key)
{
    return (unsigned)((va ^ key) >> DBT_PAGE_SHIFT) & (DBT_TLB_ENTRIES - 1);
}

static inline uint8_t *dbt_hit(const struct dbt_mem *m, enum dbt_access access, uint64_t va,
                               unsigned size)
{
    uint64_t key = m->key[access];
    const struct dbt_tlb_entry *e = &m->tlb[access][dbt_tlb_index(va, key)];
    uint64_t tag = ((va + size - 1) & ~(DBT_PAGE - 1)) ^ key;

    if (e->tag != tag)
        return NULL;
    return (uint8_t *)(uintptr_t)equal_nospec(va + e->addend, e->tag, tag);
}

/* The physical address of a page that hits. */
static inline uint64_t dbt_hit_pa(const struct dbt_mem *m, enum dbt_access access, uint64_t page)
{
    return m->pa[access][dbt_tlb_index(page, m->key[access])];
}

/* One plain access each where host and address allow it. */
static inline uint64_t dbt_get(const uint8_t *at, unsigned size)
{
    uint64_t v8 = 0;
    uint32_t v4;
    uint16_t v2;

    if (size == 8) {
        memcpy(&v8, at, 8);
    } else if (size == 4) {
        memcpy(&v4, at, 4);
        v8 = v4;
    } else if (size == 2) {
        memcpy(&v2, at, 2);
        v8 = v2;
    } else {
        v8 = *at;
    }
    return v8;
}

static inline void dbt_put(uint8_t *at, unsigned size, uint64_t value)
{
    uint32_t v4 = (uint32_t)value;
    uint16_t v2 = (uint16_t)value;

    if (size == 8)
        memcpy(at, &value, 8);
    else if (size == 4)
        memcpy(at, &v4, 4);
    else if (size == 2)
        memcpy(at, &v2, 2);
    else
        *at = (uint8_t)value;
}

static inline enum dbt_fault dbt_load(struct dbt_mem *m, uint64_t va, unsigned size,
                                      uint64_t *value)
{
    const uint8_t *host = dbt_hit(m, DBT_LOAD, va, size);

    if (!host)
        return dbt_load_slow(m, va, size, value);
    *value = dbt_get(host, size);
    return DBT_OK;
}

static inline enum dbt_fault dbt_store(struct dbt_mem *m, uint64_t va, unsigned size,
                                       uint64_t value)
{
    uint8_t *host = dbt_hit(m, DBT_STORE, va, size);

    if (!host)
        return dbt_store_slow(m, va, size, value);
    dbt_put(host, size, value);
    return DBT_OK;
}

#endif
