/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pmm.c: the buddy allocator. Memory is a few regions (a machine's RAM has few large holes).
 * Bitmaps alone say what is free, one for each region and order; nothing is kept in free memory
 * itself, so that a write to freed memory cannot mislead the allocator. The least free block that
 * fits is found in a few steps (bittree.h). Set-up splits ranges into the largest aligned blocks:
 * it costs 65 bytes of bitmaps per MiB of RAM, and nothing per page.
 */
#include <arch/mmu.h>
#include "boot/boot_info.h"
#include <hv/assert.h>
#include <hv/bittree.h>
#include <hv/lock.h>
#include <hv/log.h>
#include <hv/panic.h>
#include <hv/percpu.h>
#include <hv/pmm.h>
#include <string.h>

#define ORDERS (PMM_MAX_ORDER + 1)
#define REGIONS_MAX 32
#define REGION_GAP (4 * GIB) /* holes smaller than this do not start a new region */
/* below lie the code that starts CPUs and what old firmware does not list */
#define FIRST_ADDR MIB
#define FRONT_MAX 32 /* single pages that a CPU keeps */
#define FRONT_BATCH 16

struct region {
    uint64_t base, end; /* base is a multiple of 1 GiB */
    struct bittree free[ORDERS];
    uint64_t *clean; /* a bit for each block of PMM_CLEAN_ORDER; under the lock */
};

struct own_line front {
    uint32_t n;
    hpa_t page[FRONT_MAX];
    int64_t by_owner[PMM_OWNERS]; /* bytes; one CPU's may be negative, the sum is not */
};

static struct region regions[REGIONS_MAX];
static uint32_t nregions;
static uint64_t nfree[ORDERS];
static struct front fronts[MAX_CPUS];
static uint64_t total_bytes, free_bytes, promised;
static struct spinlock lock = SPINLOCK_INIT(LOCK_PMM);
static void (*settle_fn)(void); /* NULL: devices forget at once */

static uint64_t pmm_block_size(unsigned order) { return PAGE_SIZE << order; }

static struct region *region_of(uint64_t pa)
{
    for (uint32_t i = 0; i < nregions; i++)
        if (pa >= regions[i].base && pa < regions[i].end)
            return &regions[i];
    return NULL;
}

/* ---- free blocks; the lock is held ---- */

static uint64_t block_number(const struct region *r, uint64_t pa, unsigned order)
{
    hv_assert(r && pa >= r->base && pa < r->end);
    return (pa - r->base) >> (PAGE_SHIFT + order);
}

static bool pmm_is_free(const struct region *r, uint64_t pa, unsigned order)
{
    return bittree_has(&r->free[order], block_number(r, pa, order));
}

static void put_block(struct region *r, uint64_t pa, unsigned order)
{
    hv_assert(order <= PMM_MAX_ORDER);
    bittree_add(&r->free[order], block_number(r, pa, order));
    nfree[order]++;
}

static void take_block(struct region *r, uint64_t pa, unsigned order)
{
    hv_assert(order <= PMM_MAX_ORDER && nfree[order] > 0);
    bittree_remove(&r->free[order], block_number(r, pa, order));
    nfree[order]--;
}

/*
 * Notes of each block that has a part in the range whether it holds zeros. Memory that is freed
 * does not, unless it is said: so whatever was taken of a block, it is dirty once all is free
 * again.
 */
static void note_clean(uint64_t pa, unsigned order, bool clean)
{
    struct region *r = region_of(pa);
    uint64_t first = block_number(r, pa, PMM_CLEAN_ORDER);
    uint64_t n = order > PMM_CLEAN_ORDER ? 1ull << (order - PMM_CLEAN_ORDER) : 1;

    for (uint64_t i = first; i < first + n; i++) {
        if (clean)
            r->clean[i / 64] |= 1ull << i % 64;
        else
            r->clean[i / 64] &= ~(1ull << i % 64);
    }
}

static void free_block(uint64_t pa, unsigned order)
{
    struct region *r = region_of(pa);

    if (!r || pa & (pmm_block_size(order) - 1) || pmm_is_free(r, pa, order))
        panic("pmm: wrong or double free of %#llx, order %u", (unsigned long long)pa, order);
    free_bytes += pmm_block_size(order);
    note_clean(pa, order, false);
    for (; order < PMM_MAX_ORDER; order++) {
        uint64_t buddy = pa ^ pmm_block_size(order);

        if (buddy >= r->end || !pmm_is_free(r, buddy, order))
            break;
        take_block(r, buddy, order);
        pa &= ~pmm_block_size(order);
    }
    put_block(r, pa, order);
}

static uint64_t first_block(unsigned order, struct region **r)
{
    uint64_t i;

    for (*r = regions; !bittree_first(&(*r)->free[order], &i); ++*r)
        ; /* nfree[] says that one region has it */
    return (*r)->base + (i << (PAGE_SHIFT + order));
}

/* The lower half is handed out, so that blocks taken in a row are neighbours. */
static uint64_t alloc_block(unsigned order)
{
    struct region *r;
    unsigned o = order;

    assert_held(&lock);
    hv_assert(order <= PMM_MAX_ORDER);
    while (o < ORDERS && !nfree[o])
        o++;
    if (o == ORDERS)
        return 0;
    uint64_t pa = first_block(o, &r);
    take_block(r, pa, o);
    while (o-- > order)
        put_block(r, pa + pmm_block_size(o), o);
    free_bytes -= pmm_block_size(order);
    return pa;
}

/* ---- the CPU's front ---- */

static bool pmm_refill(struct front *f)
{
    spin_lock(&lock);
    while (f->n < FRONT_BATCH) {
        uint64_t pa = alloc_block(0);

        if (!pa)
            break;
        f->page[f->n++] = hpa(pa);
    }
    spin_unlock(&lock);
    return f->n > 0;
}

static void drain(struct front *f, uint32_t keep)
{
    hv_assert(f->n <= FRONT_MAX);
    spin_lock(&lock);
    while (f->n > keep)
        free_block(f->page[--f->n].v, 0);
    spin_unlock(&lock);
}

static uint64_t take_free(unsigned order)
{
    uint64_t pa;

    spin_lock(&lock);
    pa = alloc_block(order);
    spin_unlock(&lock);
    return pa;
}

bool pmm_take_clean(hpa_t pa)
{
    bool clean;

    assert_aligned(pa.v, pmm_block_size(PMM_CLEAN_ORDER));
    spin_lock(&lock);
    const struct region *r = region_of(pa.v);
    uint64_t i = block_number(r, pa.v, PMM_CLEAN_ORDER);
    clean = r->clean[i / 64] >> i % 64 & 1;
    note_clean(pa.v, PMM_CLEAN_ORDER, false);
    spin_unlock(&lock);
    return clean;
}

hpa_t pmm_alloc(unsigned order, enum pmm_owner owner)
{
    struct front *f = &fronts[this_cpu()->id];
    uint64_t pa = 0;

    hv_assert(owner < PMM_OWNERS);
    if (order > PMM_MAX_ORDER)
        return hpa(0);
    if (order == 0) {
        if (f->n || pmm_refill(f))
            pa = f->page[--f->n].v;
    } else {
        pa = take_free(order);
        if (!pa && f->n) {
            drain(f, 0); /* a page of this CPU's may be all that keeps two halves apart */
            pa = take_free(order);
        }
    }
    if (pa)
        f->by_owner[owner] += (int64_t)pmm_block_size(order);
    return hpa(pa);
}

hpa_t pmm_alloc_zero(unsigned order, enum pmm_owner owner)
{
    hpa_t pa = pmm_alloc(order, owner); /* charge: the caller's */

    if (pa.v)
        memset(phys_to_virt(pa), 0, pmm_block_size(order));
    return pa;
}

void pmm_settle_by(void (*fn)(void))
{
    assert_cpu0();
    settle_fn = fn;
}

void pmm_settle(void)
{
    if (settle_fn)
        settle_fn();
}

void pmm_free(hpa_t pa, unsigned order, enum pmm_owner owner)
{
    struct front *f = &fronts[this_cpu()->id];

    hv_assert(owner < PMM_OWNERS);
    if (owner != PMM_PT && owner != PMM_HEAP)
        pmm_settle();
    hv_assert(pa.v);
    hv_assert(order <= PMM_MAX_ORDER);
    f->by_owner[owner] -= (int64_t)pmm_block_size(order);
    if (order == 0) {
        if (f->n == FRONT_MAX)
            drain(f, FRONT_MAX - FRONT_BATCH);
        f->page[f->n++] = pa;
        return;
    }
    spin_lock(&lock);
    free_block(pa.v, order);
    spin_unlock(&lock);
}

void pmm_free_clean(hpa_t pa, unsigned order)
{
    assert_aligned(pa.v, pmm_block_size(order));
    hv_assert(order >= PMM_CLEAN_ORDER && order <= PMM_MAX_ORDER);
    pmm_settle();
    fronts[this_cpu()->id].by_owner[PMM_GUEST] -= (int64_t)pmm_block_size(order);
    spin_lock(&lock);
    free_block(pa.v, order);
    note_clean(pa.v, order, true);
    spin_unlock(&lock);
}

void pmm_recount(uint64_t bytes, enum pmm_owner from, enum pmm_owner to)
{
    struct front *f = &fronts[this_cpu()->id];

    hv_assert(from < PMM_OWNERS && to < PMM_OWNERS);
    f->by_owner[from] -= (int64_t)bytes;
    f->by_owner[to] += (int64_t)bytes;
}

void pmm_stats(struct pmm_stats *s)
{
    *s = (struct pmm_stats){ .total = total_bytes,
                             .free = __atomic_load_n(&free_bytes, __ATOMIC_RELAXED) };
    s->promised = __atomic_load_n(&promised, __ATOMIC_RELAXED);
    for (uint32_t cpu = 0; cpu < cpu_count; cpu++) {
        s->free += fronts[cpu].n * PAGE_SIZE;
        for (unsigned o = 0; o < PMM_OWNERS; o++)
            s->by_owner[o] += (uint64_t)fronts[cpu].by_owner[o];
    }
}

/* ---- promises ---- */

int pmm_promise(uint64_t bytes)
{
    struct pmm_stats s;
    uint64_t had = __atomic_fetch_add(&promised, bytes, __ATOMIC_SEQ_CST);

    pmm_stats(&s);
    if (had <= s.free && s.free - had >= PMM_RESERVE && bytes <= s.free - had - PMM_RESERVE)
        return 0;
    pmm_unpromise(bytes);
    return -ENOMEM;
}

void pmm_unpromise(uint64_t bytes)
{
    uint64_t had = __atomic_fetch_sub(&promised, bytes, __ATOMIC_SEQ_CST);

    hv_assert(had >= bytes);
}

void pmm_promise_back(uint64_t bytes) { __atomic_fetch_add(&promised, bytes, __ATOMIC_SEQ_CST); }

/* ---- set-up ---- */

/* The part of a range that we manage. */
static bool clip(const struct boot_mem *m, uint64_t *base, uint64_t *end)
{
    *base = max_u64(align_up(m->base, PAGE_SIZE), FIRST_ADDR);
    *end = align_down(m->base + m->len, PAGE_SIZE);
    return m->base + m->len > m->base && *end > *base;
}

static bool pmm_usable(const struct boot_mem *m, uint64_t *base, uint64_t *end)
{
    return m->type == BOOT_MEM_FREE && clip(m, base, end);
}

static bool usable_later(const struct boot_mem *m, uint64_t *base, uint64_t *end)
{
    return m->type == BOOT_MEM_BOOT_SERVICES && clip(m, base, end);
}

static void find_regions(const struct boot_mem *m, uint32_t n)
{
    uint64_t base, end;

    for (uint32_t i = 0; i < n; i++) {
        struct region *r = nregions ? &regions[nregions - 1] : NULL;

        if (!pmm_usable(&m[i], &base, &end) && !usable_later(&m[i], &base, &end))
            continue;
        if (r && base - r->end < REGION_GAP) {
            r->end = end;
        } else if (nregions < REGIONS_MAX) {
            regions[nregions++] = (struct region){ .base = align_down(base, GIB), .end = end };
        } else {
            log_warn("memory: more than %u separate regions: %llu MiB at %#llx left unused",
                     REGIONS_MAX, (unsigned long long)((end - base) / MIB),
                     (unsigned long long)base);
        }
    }
}

static uint64_t blocks_of(const struct region *r, unsigned order)
{
    return (r->end - r->base + pmm_block_size(order) - 1) >> (PAGE_SHIFT + order);
}

static uint64_t clean_bytes(const struct region *r)
{
    return (blocks_of(r, PMM_CLEAN_ORDER) + 63) / 64 * sizeof(uint64_t);
}

static uint64_t all_bitmaps(const struct region *r)
{
    uint64_t sum = 0;

    for (unsigned o = 0; o < ORDERS; o++)
        sum += bittree_bytes(blocks_of(r, o));
    return align_up(sum + clean_bytes(r), PAGE_SIZE);
}

/*
 * The bitmaps of all regions lie in one piece at the start of the first free range that can hold
 * them.
 */
static uint64_t find_room(const struct boot_mem *m, uint32_t n, uint64_t bytes)
{
    uint64_t base, end;

    for (uint32_t i = 0; i < n; i++)
        if (pmm_usable(&m[i], &base, &end) && region_of(base) && end - base > bytes)
            return base;
    return 0;
}

static void lay_bitmaps(struct region *r, uint8_t *p)
{
    r->clean = (uint64_t *)(void *)p;
    p += clean_bytes(r);
    for (unsigned o = 0; o < ORDERS; o++) {
        bittree_init(&r->free[o], blocks_of(r, o), p);
        p += bittree_bytes(blocks_of(r, o));
    }
}

static void pmm_add_range(uint64_t base, uint64_t end)
{
    total_bytes += end - base;
    while (base < end) {
        unsigned order = (unsigned)__builtin_ctzll(base) - PAGE_SHIFT;

        if (order > PMM_MAX_ORDER)
            order = PMM_MAX_ORDER;
        while (pmm_block_size(order) > end - base)
            order--;
        free_block(base, order);
        base += pmm_block_size(order);
    }
}

int pmm_init(const struct boot_info *bi)
{
    const struct boot_mem *m = phys_to_virt(hpa(bi->mem));
    uint64_t bytes = 0, base, end;

    assert_cpu0();
    find_regions(m, bi->nmem);
    for (uint32_t i = 0; i < nregions; i++)
        bytes += all_bitmaps(&regions[i]);
    uint64_t room = find_room(m, bi->nmem, bytes);
    if (!room)
        return -ENOMEM;
    memset(phys_to_virt(hpa(room)), 0, bytes);
    for (uint64_t i = 0, at = room; i < nregions; at += all_bitmaps(&regions[i++]))
        lay_bitmaps(&regions[i], phys_to_virt(hpa(at)));
    for (uint32_t i = 0; i < bi->nmem; i++) {
        if (!pmm_usable(&m[i], &base, &end) || !region_of(base))
            continue;
        pmm_add_range(base == room ? base + bytes : base, end);
    }
    return 0;
}

void pmm_take_boot_services(const struct boot_info *bi)
{
    const struct boot_mem *m = phys_to_virt(hpa(bi->mem));
    uint64_t base, end;

    assert_cpu0();
    for (uint32_t i = 0; i < bi->nmem; i++)
        if (usable_later(&m[i], &base, &end) && region_of(base))
            pmm_add_range(base, end);
}
