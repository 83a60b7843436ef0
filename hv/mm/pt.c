/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pt.c: the one page-table walker. Every level has 512 entries of 8 bytes. Hardware may walk the
 * tables at any time, so a table is complete before it is linked, an entry is written as one word,
 * and a table taken out waits in limbo, its entries still holes, until the owner has flushed the
 * TLBs.
 */
#include <arch/mmu.h>
#include <hv/assert.h>
#include <hv/panic.h>
#include <hv/pmm.h>
#include <hv/pt.h>
#include <string.h>

#define ENTRIES 512u

static uint64_t *table_at(hpa_t pa) { return phys_to_virt(pa); }

static uint64_t span(unsigned level) { return PAGE_SIZE << (9 * level); }

/* log2 of the number of tables that make up the root. */
static unsigned root_order(const struct pt_format *f)
{
    unsigned one = PAGE_SHIFT + 9u * f->levels;

    return f->ia_bits > one ? f->ia_bits - one : 0;
}

/* Addresses are checked before the walk, so that the root's index needs no bound. */
static unsigned pt_index_of(const struct pt_format *f, uint64_t ia, unsigned level)
{
    unsigned n = (unsigned)(ia >> (PAGE_SHIFT + 9 * level));

    return level == f->levels - 1u ? n : n & (ENTRIES - 1);
}

/* For hardware that does not look into our caches; before it can get there. */
static void pt_clean(const struct pt *pt, const void *at, uint64_t len)
{
    if (pt->fmt->clean_to_ram)
        arch_clean_to_ram(at, len);
}

static void pt_set_entry(const struct pt *pt, uint64_t *e, uint64_t v)
{
    __atomic_store_n(e, v, __ATOMIC_RELEASE);
    pt_clean(pt, e, sizeof *e);
}

static uint64_t get_entry(const uint64_t *e) { return __atomic_load_n(e, __ATOMIC_RELAXED); }

/* 2^order tables in a row. */
static hpa_t take_tables(struct pt *pt, unsigned order)
{
    int64_t bytes = (int64_t)(PAGE_SIZE << order);
    hpa_t pa = hpa(0);

    hv_assert(order <= PMM_MAX_ORDER);
    if (pt->pay && pt->pay(pt->payer, bytes))
        return pa;
    pa = pmm_alloc_zero(order, PMM_PT); /* charge: above */
    if (!pa.v && pt->pay)
        (void)pt->pay(pt->payer, -bytes);
    if (pa.v)
        pt_clean(pt, table_at(pa), (uint64_t)bytes);
    return pa;
}

static void give_tables(struct pt *pt, hpa_t pa, unsigned order)
{
    pmm_free(pa, order, PMM_PT);
    if (pt->pay)
        (void)pt->pay(pt->payer, -(int64_t)(PAGE_SIZE << order));
}

static hpa_t pt_new_table(struct pt *pt)
{
    hpa_t pa = take_tables(pt, 0);

    assert_held(&pt->lock);
    if (pa.v)
        pt->tables++;
    return pa;
}

/* The link lies in entry 0: a page's address, whose low bits are 0, is a hole in every format. */
static void to_limbo(struct pt *pt, hpa_t pa)
{
    pt_set_entry(pt, table_at(pa), pt->limbo.v);
    pt->limbo = pa;
    pt->tables--;
}

int pt_init(struct pt *pt, const struct pt_format *fmt, pt_pay *pay, void *payer)
{
    hv_assert(fmt && fmt->levels > 0 && fmt->levels <= 6);
    *pt = (struct pt){ .fmt = fmt, .pay = pay, .payer = payer };
    spin_init(&pt->lock, LOCK_PT);
    pt->root = take_tables(pt, root_order(fmt));
    pt->tables = 1ull << root_order(fmt);
    return pt->root.v ? 0 : -ENOMEM;
}

void pt_reap(struct pt *pt)
{
    spin_lock(&pt->lock);
    hpa_t pa = pt->limbo;
    pt->limbo = hpa(0);
    spin_unlock(&pt->lock);
    while (pa.v) {
        hpa_t next = hpa(*table_at(pa));

        give_tables(pt, pa, 0);
        pa = next;
    }
}

/* Puts a whole subtree in limbo; the depth is the number of levels. */
static void drop_table(struct pt *pt, hpa_t pa, unsigned level)
{
    const uint64_t *t = table_at(pa);

    for (unsigned i = 0; level > 0 && i < ENTRIES; i++)
        if (pt->fmt->kind(t[i], level) == PTE_TABLE)
            drop_table(pt, pt->fmt->addr(t[i], level), level - 1);
    memset(table_at(pa), 0, PAGE_SIZE);
    pt_clean(pt, table_at(pa), PAGE_SIZE);
    to_limbo(pt, pa);
}

void pt_fini(struct pt *pt)
{
    unsigned top;

    if (!pt->root.v)
        return;
    top = pt->fmt->levels - 1u;
    for (unsigned i = 0; top && i < ENTRIES << root_order(pt->fmt); i++)
        if (pt->fmt->kind(table_at(pt->root)[i], top) == PTE_TABLE)
            drop_table(pt, pt->fmt->addr(table_at(pt->root)[i], top), top - 1);
    pt_reap(pt);
    give_tables(pt, pt->root, root_order(pt->fmt));
    *pt = (struct pt){ .fmt = NULL };
}

/*
 * ---- the walk ----
 * fn gets each entry that the range touches, from the lowest level that exists.
 */

struct walk;
typedef int visit_fn(struct walk *, uint64_t *e, unsigned level, uint64_t ia, uint64_t len);
struct walk {
    struct pt *pt;
    /* NULL: skip. len: the part of the entry that lies in the range */
    visit_fn *leaf, *hole;
    /* tables that the range covers whole, or that became empty, go to limbo */
    bool drop_empty;
    bool join; /* tables whose leaves fit together become leaves */
    hpa_t oa;  /* of the range's next byte (mapping) */
    unsigned prot;
    enum memtype type;
};

static bool pt_is_empty(const struct pt *pt, const uint64_t *t, unsigned level)
{
    for (unsigned i = 0; i < ENTRIES; i++)
        if (pt->fmt->kind(t[i], level) != PTE_HOLE)
            return false;
    return true;
}

static int walk_table(struct walk *w, hpa_t table, unsigned level, uint64_t ia, uint64_t len);
static bool join_leaves(struct walk *w, uint64_t *e, unsigned level, uint64_t ia);

static int walk_entry(struct walk *w, uint64_t *e, unsigned level, uint64_t ia, uint64_t len)
{
    const struct pt_format *f = w->pt->fmt;
    enum pte_kind kind = f->kind(get_entry(e), level);
    int err;

    debug_assert(level < f->levels);
    if (kind == PTE_LEAF)
        return w->leaf ? w->leaf(w, e, level, ia, len) : 0;
    if (kind == PTE_HOLE) {
        if (!w->hole)
            return 0;
        err = w->hole(w, e, level, ia, len);
        /* The hole may have become a table, to be filled below. */
        if (err || f->kind(get_entry(e), level) != PTE_TABLE)
            return err;
    }
    if (w->join && len == span(level) && join_leaves(w, e, level, ia))
        return 0;
    hpa_t table = f->addr(get_entry(e), level);
    err = walk_table(w, table, level - 1, ia, len);
    if (!err && w->drop_empty &&
        (len == span(level) || pt_is_empty(w->pt, table_at(table), level - 1))) {
        pt_set_entry(w->pt, e, 0);
        to_limbo(w->pt, table);
    }
    return err;
}

static int walk_table(struct walk *w, hpa_t table, unsigned level, uint64_t ia, uint64_t len)
{
    int err = 0;

    while (len && !err) {
        uint64_t part = min_u64(len, span(level) - (ia & (span(level) - 1)));

        err = walk_entry(w, table_at(table) + pt_index_of(w->pt->fmt, ia, level), level, ia, part);
        ia += part;
        len -= part;
    }
    return err;
}

static int pt_walk(struct walk *w, uint64_t ia, uint64_t len)
{
    assert_held(&w->pt->lock);
    return walk_table(w, w->pt->root, w->pt->fmt->levels - 1u, ia, len);
}

static bool bad_range(const struct pt *pt, uint64_t ia, uint64_t len)
{
    uint64_t top = pt->fmt->ia_bits >= 64 ? UINT64_MAX : 1ull << pt->fmt->ia_bits;

    return (ia | len) & (PAGE_SIZE - 1) || !range_within(ia, len, 0, top);
}

static enum memtype pt_type_of(const struct pt_format *f, uint64_t pte, unsigned level)
{
    return f->type ? f->type(pte, level) : MEM_WB;
}

/* ---- mapping ---- */

static int pt_refuse(struct walk *w, uint64_t *e, unsigned level, uint64_t ia, uint64_t len)
{
    (void)w, (void)e, (void)level, (void)ia, (void)len;
    return -EEXIST;
}

static int fill_hole(struct walk *w, uint64_t *e, unsigned level, uint64_t ia, uint64_t len)
{
    const struct pt_format *f = w->pt->fmt;
    uint64_t size = span(level);

    debug_assert_held(&w->pt->lock);
    if (f->leaf_levels >> level & 1 && len == size && !((ia | w->oa.v) & (size - 1))) {
        pt_set_entry(w->pt, e, f->leaf(w->oa, level, w->prot, w->type));
        w->oa.v += size;
        return 0;
    }
    hpa_t table = pt_new_table(w->pt);
    if (!table.v)
        return -ENOMEM;
    pt_set_entry(w->pt, e, f->table(table, level));
    return 0;
}

static int clear_leaf(struct walk *w, uint64_t *e, unsigned level, uint64_t ia, uint64_t len)
{
    (void)w, (void)ia;
    hv_assert(len == span(level)); /* split_for() has seen to it */
    pt_set_entry(w->pt, e, 0);
    return 0;
}

int pt_map(struct pt *pt, gpa_t ia, hpa_t oa, uint64_t len, unsigned prot, enum memtype type)
{
    struct walk look = { .pt = pt, .leaf = pt_refuse };
    struct walk fill = { .pt = pt, .hole = fill_hole, .oa = oa, .prot = prot, .type = type };
    struct walk undo = { .pt = pt, .leaf = clear_leaf, .drop_empty = !pt->keep };

    hv_assert(pt->root.v);
    hv_assert(!(prot & ~(unsigned)PROT_RWX) && type <= MEM_UC);
    if (bad_range(pt, ia.v, len) || oa.v & (PAGE_SIZE - 1))
        return -EINVAL;
    spin_lock(&pt->lock);
    int err = pt_walk(&look, ia.v, len);
    if (!err) {
        err = pt_walk(&fill, ia.v, len);
        if (err && pt_walk(&undo, ia.v, len))
            panic("page tables %s: undo failed", pt->fmt->name);
    }
    spin_unlock(&pt->lock);
    return err;
}

/* ---- splitting, unmapping, protecting ---- */

/*
 * Replaces a leaf that the range covers in part by a table of smaller leaves with the same meaning.
 */
static int split_leaf(struct walk *w, uint64_t *e, unsigned level, uint64_t ia, uint64_t len)
{
    const struct pt_format *f = w->pt->fmt;
    uint64_t old = get_entry(e), oa = f->addr(old, level).v;
    unsigned prot = f->prot(old, level), below = level - 1;

    hv_assert(level > 0 || len == span(level));
    if (len == span(level))
        return 0;
    hpa_t table = pt_new_table(w->pt);
    if (!table.v)
        return -ENOMEM;
    for (unsigned i = 0; i < ENTRIES; i++)
        table_at(table)[i] =
            f->leaf(hpa(oa + i * span(below)), below, prot, pt_type_of(f, old, level));
    pt_clean(w->pt, table_at(table), PAGE_SIZE);
    if (w->pt->forget) {
        pt_set_entry(w->pt, e, 0);
        w->pt->forget(w->pt, align_down(ia, span(level)), span(level));
    }
    pt_set_entry(w->pt, e, f->table(table, level));
    return 0;
}

/* Whether `ia` lies inside a leaf and not at its start. */
static bool edge_inside_leaf(const struct pt *pt, uint64_t ia)
{
    const struct pt_format *f = pt->fmt;
    hpa_t table = pt->root;

    assert_held(&pt->lock);
    for (unsigned level = f->levels - 1u;; level--) {
        uint64_t e = get_entry(table_at(table) + pt_index_of(f, ia, level));
        enum pte_kind kind = f->kind(e, level);

        if (kind == PTE_LEAF)
            return ia & (span(level) - 1);
        if (kind == PTE_HOLE)
            return false;
        table = f->addr(e, level);
    }
}

/* After this no leaf crosses `ia`: those around it are split as far down as needed. */
static int split_at(struct pt *pt, uint64_t ia)
{
    struct walk w = { .pt = pt, .leaf = split_leaf };
    int err = 0;

    while (!err && edge_inside_leaf(pt, ia))
        err = pt_walk(&w, ia, PAGE_SIZE);
    return err;
}

static int split_for(struct pt *pt, uint64_t ia, uint64_t len)
{
    uint64_t end = ia + len, top = pt->fmt->ia_bits >= 64 ? UINT64_MAX : 1ull << pt->fmt->ia_bits;
    int err = split_at(pt, ia);

    return err || end >= top ? err : split_at(pt, end);
}

/* Runs `w` over leaves that lie in the range whole. */
static int change_range(struct walk *w, uint64_t ia, uint64_t len)
{
    hv_assert(w->pt->root.v);
    if (bad_range(w->pt, ia, len))
        return -EINVAL;
    if (!len)
        return 0;
    spin_lock(&w->pt->lock);
    int err = split_for(w->pt, ia, len);
    if (!err)
        err = pt_walk(w, ia, len);
    spin_unlock(&w->pt->lock);
    return err;
}

int pt_unmap(struct pt *pt, gpa_t ia, uint64_t len)
{
    struct walk w = { .pt = pt, .leaf = clear_leaf, .drop_empty = !pt->keep };

    return change_range(&w, ia.v, len);
}

static int reprotect(struct walk *w, uint64_t *e, unsigned level, uint64_t ia, uint64_t len)
{
    const struct pt_format *f = w->pt->fmt;
    uint64_t old = get_entry(e);

    (void)ia;
    hv_assert(len == span(level));
    pt_set_entry(w->pt, e, f->leaf(f->addr(old, level), level, w->prot, pt_type_of(f, old, level)));
    return 0;
}

int pt_protect(struct pt *pt, gpa_t ia, uint64_t len, unsigned prot)
{
    struct walk w = { .pt = pt, .leaf = reprotect, .prot = prot };

    hv_assert(!(prot & ~(unsigned)PROT_RWX));
    return change_range(&w, ia.v, len);
}

/* One leaf of that level with these rights says the same as a table full of smaller ones would. */
static bool large_says_it(const struct walk *w, hpa_t oa, unsigned level, enum memtype type)
{
    const struct pt_format *f = w->pt->fmt;

    return f->leaf_levels >> level & 1 && !(oa.v & (span(level) - 1)) &&
           f->prot(f->leaf(oa, level, w->prot, type), level) ==
               f->prot(f->leaf(oa, level - 1, w->prot, type), level - 1);
}

/* All of the table's entries are leaves, and each begins where the one before it ends. */
static bool leaves_in_a_row(const struct pt_format *f, const uint64_t *t, unsigned level)
{
    uint64_t oa = f->addr(t[0], level).v;

    for (unsigned i = 0; i < ENTRIES; i++)
        if (f->kind(t[i], level) != PTE_LEAF || f->addr(t[i], level).v != oa + i * span(level) ||
            pt_type_of(f, t[i], level) != pt_type_of(f, t[0], level))
            return false;
    return true;
}

/* From the lowest level up. True: the table at *e is a leaf now. */
static bool join_leaves(struct walk *w, uint64_t *e, unsigned level, uint64_t ia)
{
    const struct pt_format *f = w->pt->fmt;
    hpa_t table = f->addr(get_entry(e), level), oa;
    uint64_t *t = table_at(table);
    enum memtype type;

    debug_assert_held(&w->pt->lock);
    for (unsigned i = 0; level > 1 && i < ENTRIES; i++)
        if (f->kind(get_entry(&t[i]), level - 1) == PTE_TABLE &&
            !join_leaves(w, &t[i], level - 1, ia + i * span(level - 1)))
            return false;
    if (!leaves_in_a_row(f, t, level - 1))
        return false;
    oa = f->addr(t[0], level - 1);
    type = pt_type_of(f, t[0], level - 1);
    if (!large_says_it(w, oa, level, type))
        return false;
    pt_set_entry(w->pt, e, 0);
    if (w->pt->forget)
        w->pt->forget(w->pt, ia, span(level));
    pt_set_entry(w->pt, e, f->leaf(oa, level, w->prot, type));
    to_limbo(w->pt, table);
    return true;
}

int pt_join(struct pt *pt, gpa_t ia, uint64_t len, unsigned prot)
{
    struct walk w = { .pt = pt, .leaf = reprotect, .prot = prot, .join = !pt->keep };

    hv_assert(!(prot & ~(unsigned)PROT_RWX));
    return change_range(&w, ia.v, len);
}

bool pt_lookup(const struct pt *pt, gpa_t ia, hpa_t *oa, unsigned *prot)
{
    const struct pt_format *f = pt->fmt;
    hpa_t table = pt->root;

    debug_assert(pt->root.v && oa && prot);
    if (bad_range(pt, align_down(ia.v, PAGE_SIZE), PAGE_SIZE))
        return false;
    for (unsigned level = f->levels - 1u;; level--) {
        uint64_t e = get_entry(table_at(table) + pt_index_of(f, ia.v, level));
        enum pte_kind kind = f->kind(e, level);

        if (kind == PTE_HOLE)
            return false;
        if (kind == PTE_LEAF) {
            *oa = hpa(f->addr(e, level).v + (ia.v & (span(level) - 1)));
            *prot = f->prot(e, level);
            return true;
        }
        table = f->addr(e, level);
    }
}

/* ---- roots that share tables ---- */

int pt_keep(struct pt *pt, gpa_t ia, uint64_t len)
{
    unsigned top = pt->fmt->levels - 1u;
    uint64_t *root = table_at(pt->root);
    int err = bad_range(pt, ia.v, len) ? -EINVAL : 0;

    spin_lock(&pt->lock);
    pt->keep = true;
    for (uint64_t at = align_down(ia.v, span(top)); !err && at < ia.v + len; at += span(top)) {
        uint64_t *e = root + pt_index_of(pt->fmt, at, top);
        bool there = pt->fmt->kind(get_entry(e), top) != PTE_HOLE;
        hpa_t table = there ? hpa(0) : pt_new_table(pt);

        if (table.v)
            pt_set_entry(pt, e, pt->fmt->table(table, top));
        err = there || table.v ? 0 : -ENOMEM;
    }
    spin_unlock(&pt->lock);
    return err;
}

void pt_share(struct pt *to, const struct pt *from)
{
    unsigned n = ENTRIES << root_order(from->fmt);

    hv_assert(to->root.v && from->root.v);
    hv_assert(from->keep && from->fmt->levels == to->fmt->levels &&
              from->fmt->ia_bits == to->fmt->ia_bits);
    for (unsigned i = 0; i < n; i++)
        pt_set_entry(to, table_at(to->root) + i, get_entry(table_at(from->root) + i));
}

void pt_unshare(struct pt *to, const struct pt *from)
{
    unsigned top = from->fmt->levels - 1u, n = ENTRIES << root_order(from->fmt);

    hv_assert(to->root.v && from->root.v);
    for (unsigned i = 0; i < n; i++)
        if (from->fmt->kind(get_entry(table_at(from->root) + i), top) != PTE_HOLE)
            pt_set_entry(to, table_at(to->root) + i, 0);
}
