/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gmem.c: a VM's memory. With dirty.c and domain.c the only writer of its stage 2, of its devices'
 * tables (which s2_map() and s2_unmap() keep equal to it) and of its view. RAM is got in
 * the largest chunks to be had; what is neighbours in the view makes one piece, so that nearly
 * every guest has two or three pieces and gmem_ptr() is one comparison.
 */
#include <arch/mmu.h>
#include <hv/assert.h>
#include <hv/gmem.h>
#include <hv/log.h>
#include <hv/nospec.h>
#include <hv/panic.h>
#include <hv/pmm.h>
#include <hv/vcpu.h>
#include <hv/vm.h>
#include <string.h>

#include "gmem_private.h"

#define EXEC_SPAN (2 * MIB) /* made executable at once */
#define CHECKED 0x10000u    /* debug builds look at a word in each of these */

/* ---- whose memory it is ---- */

static struct gmem *all; /* changed on CPU 0; read by a panic as it stands */

static void list_remove(struct gmem *g)
{
    assert_cpu0();
    for (struct gmem **p = &all; *p; p = &(*p)->next)
        if (*p == g) {
            *p = g->next;
            return;
        }
}

static bool owns(const struct gmem *g, hpa_t pa)
{
    for (uint32_t i = 0; i < g->nchunks; i++)
        if (pa.v - g->chunks[i].host.v < PAGE_SIZE << g->chunks[i].order)
            return true;
    return false;
}

const char *gmem_owner(hpa_t pa)
{
    for (const struct gmem *g = all; g; g = g->next)
        if (owns(g, pa))
            return g->name;
    return NULL;
}

const char *gmem_name(const struct view *w)
{
    return container_of(w, const struct gmem, view)->name;
}

/* ---- the whole ---- */

int gmem_init(struct vm *vm)
{
    struct gmem *g = &vm->gmem;
    int err;

    assert_cpu0();
    *g = (struct gmem){ .name = vm->config ? vm->config->name : "?", .next = all };
    spin_init(&g->lock, LOCK_GMEM);
    err = view_init(&g->view, vm);
    if (err)
        return err;
    err = vm->ops && vm->ops->s2 ? pt_init(&g->s2, vm->ops->s2, charge_tables, vm) : 0;
    if (err)
        view_fini(&g->view);
    else
        all = g;
    return err;
}

void gmem_settle(struct vm *vm, struct event *then)
{
    assert_cpu0();
    view_settle(&vm->gmem.view, then);
}

bool gmem_settled(const struct vm *vm) { return view_settled(&vm->gmem.view); }

static void check_entered(const struct gmem *g)
{
    if (DEBUG_LOCKS && !view_is_here(&g->view))
        panic("guest %s's RAM is used outside of its view", g->name);
}

static int s2_map(struct vm *vm, uint64_t at, hpa_t host, uint64_t len, unsigned prot,
                  enum memtype type)
{
    struct gmem *g = &vm->gmem;
    int err = domains_map(g, gpa(at), host, len, prot, type);

    if (err || !g->s2.root.v)
        return err;
    err = pt_map(&g->s2, gpa(at), host, len, prot, type);
    if (err)
        hv_assert(!domains_unmap(g, gpa(at), len)); /* whole leaves: nothing is split */
    return err;
}

/* Devices lose it first: what they reach, the guest reaches. */
static int s2_unmap(struct vm *vm, uint64_t at, uint64_t len)
{
    struct gmem *g = &vm->gmem;
    int err = domains_unmap(g, gpa(at), len);

    if (!err && g->s2.root.v)
        err = pt_unmap(&g->s2, gpa(at), len);
    if (err)
        return err;
    vm_tlb_flush(vm, gpa(at), len);
    if (g->s2.root.v)
        pt_reap(&g->s2);
    return 0;
}

/* ---- lists ---- */

/* Makes room for one more of `size` bytes. */
static int gmem_grow(struct vm *vm, void **list, uint32_t n, uint32_t *room, size_t size)
{
    uint32_t want = *room ? *room * 2 : 8;
    void *p;

    hv_assert(n <= *room && size > 0);
    if (n < *room)
        return 0;
    p = vm_alloc(vm, want * size);
    if (!p)
        return -ENOMEM;
    if (n)
        memcpy(p, *list, n * size);
    vm_free(vm, *list, *room * size);
    *list = p;
    *room = want;
    return 0;
}

static bool joins(const struct gmem_piece *a, const struct gmem_piece *b)
{
    return a->gpa + a->len == b->gpa && a->host + a->len == b->host && a->prot == b->prot;
}

static void note_largest(struct gmem *g, const struct gmem_piece *p)
{
    if (p->len >= g->main.len)
        g->main = *p;
}

static void note_hole(struct gmem *g)
{
    uint64_t from = 0;

    g->hole_len = 0;
    for (uint32_t i = 0; i <= g->npieces && from < 4 * GIB; i++) {
        uint64_t to = i < g->npieces ? min_u64(g->pieces[i].gpa, 4 * GIB) : 4 * GIB;

        if (to - from > g->hole_len) {
            g->hole_at = from;
            g->hole_len = to - from;
        }
        from = i < g->npieces ? g->pieces[i].gpa + g->pieces[i].len : 4 * GIB;
    }
}

static int insert_piece(struct vm *vm, struct gmem_piece new)
{
    struct gmem *g = &vm->gmem;
    uint32_t i = g->npieces;

    assert_held(&g->lock);
    assert_aligned(new.gpa | new.len, PAGE_SIZE);
    while (i > 0 && g->pieces[i - 1].gpa > new.gpa)
        i--;
    if (i > 0 && joins(&g->pieces[i - 1], &new)) {
        g->pieces[i - 1].len += new.len;
        note_largest(g, &g->pieces[i - 1]);
        return 0;
    }
    int err = gmem_grow(vm, (void **)&g->pieces, g->npieces, &g->room_pieces, sizeof(new));
    if (err)
        return err;
    memmove(&g->pieces[i + 1], &g->pieces[i], (g->npieces - i) * sizeof(new));
    g->pieces[i] = new;
    g->npieces++;
    note_largest(g, &new);
    return 0;
}

static int add_piece(struct vm *vm, struct gmem_piece new)
{
    int err = insert_piece(vm, new);

    if (!err)
        note_hole(&vm->gmem);
    return err;
}

/* -EEXIST: it overlaps one that is there. */
static int add_slot(struct gmem *g, const struct memslot *s)
{
    uint32_t i = g->nslots;

    assert_held(&g->lock);
    if (!s->len || (s->base.v | s->len | s->host.v) & (PAGE_SIZE - 1) ||
        s->base.v + s->len < s->base.v)
        return -EINVAL;
    if (g->nslots == GMEM_SLOTS)
        return -ENOSPC;
    while (i > 0 && g->slot[i - 1].base.v > s->base.v)
        i--;
    if (i > 0 && g->slot[i - 1].base.v + g->slot[i - 1].len > s->base.v)
        return -EEXIST;
    if (i < g->nslots && s->base.v + s->len > g->slot[i].base.v)
        return -EEXIST;
    memmove(&g->slot[i + 1], &g->slot[i], (g->nslots - i) * sizeof(*s));
    g->slot[i] = *s;
    g->nslots++;
    return 0;
}

static void remove_slot(struct gmem *g, uint32_t i)
{
    assert_held(&g->lock);
    hv_assert(i < g->nslots);
    g->nslots--;
    memmove(&g->slot[i], &g->slot[i + 1], (g->nslots - i) * sizeof(g->slot[0]));
}

/* ---- RAM ---- */

/* What leaves the direct map is also what is known to hold zeros. */
#define BLOCK_ORDER ((unsigned)PMM_CLEAN_ORDER)
static_assert(PAGE_SIZE << BLOCK_ORDER == VIEW_BLOCK, "the least that leaves the direct map");

/* The VM's own from here on; no longer in the direct map. */
static int own(struct vm *vm, hpa_t host, unsigned order, bool parts)
{
    struct gmem *g = &vm->gmem;
    int err = gmem_grow(vm, (void **)&g->chunks, g->nchunks, &g->room_chunks, sizeof(*g->chunks));

    assert_held(&g->lock);
    hv_assert(order >= BLOCK_ORDER);
    if (err) {
        pmm_free(host, order, PMM_GUEST);
        return err;
    }
    view_take_direct(host, PAGE_SIZE << order);
    g->chunks[g->nchunks++] =
        (struct gmem_chunk){ .host = host, .order = (uint8_t)order, .parts = parts };
    return 0;
}

/* The largest chunk of that order or a lower one that is to be had. */
static int get_chunk(struct vm *vm, unsigned *order, hpa_t *host, bool parts)
{
    hv_assert(*order >= BLOCK_ORDER && *order <= PMM_MAX_ORDER);
    for (;; --*order) {
        *host = pmm_alloc(*order, PMM_GUEST); /* charge: the guest's own RAM; what is not, in
                                                 get_block() */
        if (host->v)
            return own(vm, *host, *order, parts);
        if (*order == BLOCK_ORDER)
            return -ENOMEM;
    }
}

/*
 * What is not RAM of blocks of which parts are: the guest pays for it, and it counts as Trivet's.
 */
static void take_rest(struct gmem *g, uint64_t bytes)
{
    g->rests += bytes;
    pmm_recount(bytes, PMM_GUEST, PMM_HV);
}

static void give_rest(struct vm *vm, uint64_t bytes)
{
    hv_assert(bytes <= vm->gmem.rests);
    vm->gmem.rests -= bytes;
    pmm_recount(bytes, PMM_HV, PMM_GUEST);
    uncharge(vm, CHARGE_OVERHEAD, bytes);
}

/* A block of which parts become RAM. */
static int get_block(struct vm *vm)
{
    struct gmem *g = &vm->gmem;
    unsigned order = BLOCK_ORDER;
    int err;

    assert_held(&g->lock);
    if (charge(vm, CHARGE_OVERHEAD, VIEW_BLOCK))
        return -ENOMEM;
    err = get_chunk(vm, &order, &g->part, true);
    if (err)
        uncharge(vm, CHARGE_OVERHEAD, VIEW_BLOCK);
    else
        take_rest(g, VIEW_BLOCK);
    g->part_left = err ? 0 : VIEW_BLOCK;
    return err;
}

/* Less than a block. Parts are given out in rising order. */
static int get_part(struct vm *vm, unsigned order, hpa_t *host)
{
    struct gmem *g = &vm->gmem;
    uint64_t size = PAGE_SIZE << order, skip = align_up(g->part.v, size) - g->part.v;
    int err = 0;

    hv_assert(order < BLOCK_ORDER);
    if (g->part_left < skip + size) {
        err = get_block(vm);
        skip = 0;
    }
    if (err)
        return err;
    *host = hpa(g->part.v + skip);
    g->part.v += skip + size;
    g->part_left -= skip + size;
    give_rest(vm, size);
    return 0;
}

/* The largest that fits at `at`. */
static int get_ram(struct vm *vm, uint64_t at, uint64_t left, unsigned *order, hpa_t *host)
{
    unsigned o = at ? (unsigned)__builtin_ctzll(at) - PAGE_SHIFT : PMM_MAX_ORDER;

    if (o > PMM_MAX_ORDER)
        o = PMM_MAX_ORDER;
    while (PAGE_SIZE << o > left)
        o--;
    *order = o;
    return o < BLOCK_ORDER ? get_part(vm, o, host) : get_chunk(vm, order, host, false);
}

static int add_dirty(struct vm *vm, uint8_t *host, uint64_t len)
{
    struct gmem *g = &vm->gmem;
    struct gmem_range *last = g->ndirty ? &g->dirty[g->ndirty - 1] : NULL;
    int err;

    assert_held(&g->lock);
    if (last && last->host + last->len == host) {
        last->len += len;
        return 0;
    }
    err = gmem_grow(vm, (void **)&g->dirty, g->ndirty, &g->room_dirty, sizeof *last);
    if (!err)
        g->dirty[g->ndirty++] = (struct gmem_range){ host, len };
    return err;
}

/* RAM at `host` of the view, of which some is known to hold zeros. */
static int note_dirty(struct vm *vm, uint8_t *host, hpa_t pa, uint64_t len)
{
    int err = 0;

    if (len < VIEW_BLOCK)
        return add_dirty(vm, host, len);
    for (uint64_t off = 0; !err && off < len; off += VIEW_BLOCK)
        if (!pmm_take_clean(hpa(pa.v + off)))
            err = add_dirty(vm, host + off, VIEW_BLOCK);
    return err;
}

static int add_chunk(struct vm *vm, uint64_t at, hpa_t host, uint64_t len)
{
    struct gmem *g = &vm->gmem;
    struct gmem_piece piece = { .gpa = at, .len = len, .prot = PROT_RWX };
    int err = view_map(&g->view, gpa(at), host, len, &piece.host);

    assert_held(&g->lock);
    assert_aligned(at | len, PAGE_SIZE);
    if (err)
        return err;
    g->ram_bytes += len;
    err = note_dirty(vm, piece.host, host, len);
    if (!err)
        err = add_piece(vm, piece);
    return err ? err : s2_map(vm, at, host, len, PROT_RWX, MEM_WB);
}

static bool enough_left(uint64_t len)
{
    struct pmm_stats s;

    pmm_stats(&s);
    return s.free >= PMM_RESERVE + s.promised && len <= s.free - PMM_RESERVE - s.promised;
}

int gmem_add_ram(struct vm *vm, gpa_t base, uint64_t len)
{
    struct memslot slot = {
        .base = base, .len = len, .prot = PROT_RWX, .type = MEM_WB, .kind = MEMSLOT_RAM
    };
    struct gmem *g = &vm->gmem;
    int err;

    assert_cpu0();
    hv_assert(vm->nvcpus == 0);
    if (!enough_left(len))
        return -ENOMEM;
    spin_lock(&g->lock);
    err = add_slot(g, &slot);
    for (uint64_t done = 0; !err && done < len;) {
        unsigned order;
        hpa_t host;

        err = get_ram(vm, base.v + done, len - done, &order, &host);
        if (!err)
            err = add_chunk(vm, base.v + done, host, PAGE_SIZE << order);
        done += PAGE_SIZE << order;
    }
    spin_unlock(&g->lock);
    return err;
}

static void give_chunk(const struct gmem_chunk *c, bool zeroed)
{
    view_give_direct(c->host, PAGE_SIZE << c->order);
    if (zeroed && !c->parts)
        pmm_free_clean(c->host, c->order);
    else
        pmm_free(c->host, c->order, PMM_GUEST);
}

static void forget_dirty(struct vm *vm)
{
    struct gmem *g = &vm->gmem;

    vm_free(vm, g->dirty, g->room_dirty * sizeof *g->dirty);
    g->dirty = NULL;
    g->ndirty = g->room_dirty = 0;
}

void gmem_fini(struct vm *vm)
{
    struct gmem *g = &vm->gmem;

    assert_cpu0();
    hv_assert(vm->nvcpus == 0 && !g->domains);
    if (g->log)
        gmem_log_stop(vm);
    list_remove(g);
    pt_fini(&g->s2);
    view_fini(&g->view);
    give_rest(vm, g->rests);
    for (uint32_t i = 0; i < g->nchunks; i++)
        give_chunk(&g->chunks[i], g->zeroed);
    for (uint32_t i = 0; i < g->nslots; i++)
        if (g->slot[i].owned)
            vm_pages_free(vm, g->slot[i].host, pmm_order(g->slot[i].len));
    forget_dirty(vm);
    vm_free(vm, g->chunks, g->room_chunks * sizeof(*g->chunks));
    vm_free(vm, g->pieces, g->room_pieces * sizeof(*g->pieces));
    *g = (struct gmem){ .nslots = 0 };
}

/* The i-th of the ranges to zero; empty after the last. ROM is somebody else's: nowhere. */
static struct gmem_range scrub_range(const struct gmem *g, uint32_t i)
{
    if (!g->scrub_all && i < g->ndirty)
        return g->dirty[i];
    if (!g->scrub_all || i >= g->npieces)
        return (struct gmem_range){ .len = 0 };
    return (struct gmem_range){ g->pieces[i].prot & PROT_W ? g->pieces[i].host : NULL,
                                g->pieces[i].len };
}

/* Of what was not zeroed just now, too: the first word of every so many bytes. */
static void check_zeroed(const struct gmem *g)
{
    for (uint32_t i = 0; DEBUG_LOCKS && i < g->npieces; i++)
        for (uint64_t off = 0; g->pieces[i].prot & PROT_W && off < g->pieces[i].len; off += CHECKED)
            if (*(const volatile uint64_t *)(const void *)(g->pieces[i].host + off))
                panic("guest %s would get memory that was not zeroed", g->name);
}

bool gmem_scrub(struct vm *vm, uint64_t budget)
{
    struct gmem *g = &vm->gmem;
    struct gmem_range r;

    assert_cpu0();
    hv_assert(vm->nvcpus == 0 || vm->state == VM_STARTING); /* no vCPU was woken yet */
    check_entered(&vm->gmem);
    pmm_settle(); /* no device writes behind the zeroes */
    while ((r = scrub_range(g, g->scrub_piece)).len && budget) {
        uint64_t n = r.host ? min_u64(align_up(budget, PAGE_SIZE), r.len - g->scrub_off) : r.len;

        if (r.host) {
            arch_zero(r.host + g->scrub_off, n);
            budget -= min_u64(n, budget);
        }
        g->scrub_off += n;
        if (g->scrub_off == r.len) {
            g->scrub_piece++;
            g->scrub_off = 0;
        }
    }
    if (r.len)
        return true;
    if (!g->scrub_all)
        check_zeroed(g);
    forget_dirty(vm);
    return false;
}

void gmem_scrub_again(struct vm *vm)
{
    assert_cpu0();
    hv_assert(vm->nvcpus == 0 || vm->state == VM_STARTING); /* no vCPU was woken yet */
    vm->gmem.scrub_all = true;
    vm->gmem.scrub_piece = 0;
    vm->gmem.scrub_off = 0;
}

void gmem_set_zeroed(struct vm *vm)
{
    assert_cpu0();
    hv_assert(vm->nvcpus == 0);
    hv_assert(vm->gmem.scrub_all && vm->gmem.scrub_piece == vm->gmem.npieces);
    vm->gmem.zeroed = true;
}

/* ---- what somebody else owns ---- */

int gmem_map(struct vm *vm, const struct memslot *slot)
{
    struct gmem *g = &vm->gmem;
    struct memslot s = *slot;
    int err;

    hv_assert(!(slot->prot & ~(unsigned)PROT_RWX));
    hv_assert(slot->kind <= MEMSLOT_MMIO);
    if (s.kind == MEMSLOT_RAM)
        return -EINVAL;
    if (s.kind == MEMSLOT_ROM)
        s.prot &= ~(unsigned)PROT_W;
    spin_lock(&g->lock);
    err = add_slot(g, &s);
    if (!err) {
        err = s2_map(vm, s.base.v, s.host, s.len, s.prot, s.type);
        if (!err && s.kind == MEMSLOT_ROM) {
            err = add_piece(vm, (struct gmem_piece){ .gpa = s.base.v,
                                                     .len = s.len,
                                                     .host = phys_to_virt(s.host),
                                                     .prot = s.prot });
            if (err) /* the caller takes its memory back */
                hv_assert(!s2_unmap(vm, s.base.v, s.len));
        }
        for (uint32_t i = 0; err && i < g->nslots; i++)
            if (g->slot[i].base.v == s.base.v)
                remove_slot(g, i--);
    }
    spin_unlock(&g->lock);
    return err;
}

int gmem_add_rom(struct vm *vm, gpa_t base, uint64_t len)
{
    struct memslot s = {
        .base = base, .len = len, .prot = PROT_R, .kind = MEMSLOT_ROM, .owned = true
    };
    int err;

    assert_cpu0();
    hv_assert(len && !(len & (PAGE_SIZE - 1)));
    s.host = vm_pages(vm, pmm_order(len));
    if (!s.host.v)
        return -ENOMEM;
    err = gmem_map(vm, &s);
    if (err)
        vm_pages_free(vm, s.host, pmm_order(len));
    return err;
}

/* 0: slot i lies in the range and may go. -ENOENT: it is outside. */
static int may_unmap(const struct memslot *s, uint64_t at, uint64_t len)
{
    if (s->base.v >= at + len || s->base.v + s->len <= at)
        return -ENOENT;
    return s->kind == MEMSLOT_MMIO && range_within(s->base.v, s->len, at, len) ? 0 : -EINVAL;
}

int gmem_unmap(struct vm *vm, gpa_t at, uint64_t len)
{
    struct gmem *g = &vm->gmem;
    int err = at.v + len < at.v ? -EINVAL : 0;

    spin_lock(&g->lock);
    for (uint32_t i = 0; !err && i < g->nslots; i++)
        err = may_unmap(&g->slot[i], at.v, len) == -EINVAL ? -EINVAL : 0;
    for (uint32_t i = 0; !err && i < g->nslots; i++)
        if (may_unmap(&g->slot[i], at.v, len) == 0)
            remove_slot(g, i--);
    if (!err)
        err = s2_unmap(vm, at.v, len);
    spin_unlock(&g->lock);
    return err;
}

static struct memslot *rom_slot(struct gmem *g, gpa_t base)
{
    for (uint32_t i = 0; i < g->nslots; i++)
        if (g->slot[i].base.v == base.v && g->slot[i].kind == MEMSLOT_ROM)
            return &g->slot[i];
    return NULL;
}

/* Others look at pieces meanwhile: each sees the old rights or the new ones. */
static void set_piece_prot(struct gmem *g, uint64_t at, unsigned prot)
{
    for (uint32_t i = 0; i < g->npieces; i++)
        if (g->pieces[i].gpa == at)
            __atomic_store_n(&g->pieces[i].prot, prot, __ATOMIC_RELEASE);
    if (g->main.gpa == at)
        __atomic_store_n(&g->main.prot, prot, __ATOMIC_RELEASE);
}

static int set_trapped(struct vm *vm, struct memslot *s, bool trapped)
{
    int err = trapped ? s2_unmap(vm, s->base.v, s->len)
                      : s2_map(vm, s->base.v, s->host, s->len, s->prot, s->type);

    assert_held(&vm->gmem.lock);
    if (err)
        return err;
    s->trapped = trapped;
    set_piece_prot(&vm->gmem, s->base.v, trapped ? 0 : s->prot);
    return 0;
}

int gmem_rom_trap(struct vm *vm, gpa_t base, bool trapped)
{
    struct gmem *g = &vm->gmem;
    struct memslot *s;
    int err;

    spin_lock(&g->lock);
    s = rom_slot(g, base);
    err = !s ? -ENOENT : s->trapped == trapped ? 0 : set_trapped(vm, s, trapped);
    spin_unlock(&g->lock);
    return err;
}

/* ---- access ---- */

const struct gmem_piece *gmem_find_piece(const struct gmem *g, uint64_t at)
{
    uint32_t lo = 0, hi = g->npieces;

    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;

        if (at < g->pieces[mid].gpa)
            hi = mid;
        else if (at - g->pieces[mid].gpa >= g->pieces[mid].len)
            lo = mid + 1;
        else
            return &g->pieces[mid];
    }
    return NULL;
}

/* The rare half of gmem_ptr(), apart: the common one needs no stack. */
__attribute__((noinline)) void *gmem_ptr_elsewhere(const struct gmem *g, uint64_t at, uint64_t len,
                                                   unsigned prot)
{
    const struct gmem_piece *p = gmem_find_piece(g, at);

    check_entered(g);
    if (!p || !range_within(at, len, p->gpa, p->len))
        return NULL;
    if (prot & PROT_W && g->log)
        gmem_log_note(g, p, at - p->gpa, len);
    return prot & ~p->prot ? NULL : p->host + index_nospec(at - p->gpa, p->len);
}

void *gmem_ptr(struct vm *vm, gpa_t at, uint64_t len, unsigned prot)
{
    return gmem_ptr_in(&vm->gmem, at, len, prot);
}

void *gmem_run(struct vm *vm, gpa_t at, uint64_t *len, unsigned prot)
{
    const struct gmem_piece *p = gmem_find_piece(&vm->gmem, at.v);

    check_entered(&vm->gmem);
    if (!p || prot & ~p->prot)
        return NULL;
    *len = min_u64(*len, p->len - (at.v - p->gpa));
    if (prot & PROT_W && vm->gmem.log)
        gmem_log_note(&vm->gmem, p, at.v - p->gpa, *len);
    return p->host + index_nospec(at.v - p->gpa, p->len);
}

int gmem_phys(struct vm *vm, const void *host, uint64_t *len, hpa_t *at)
{
    const uint8_t *p = host;
    uint64_t run = min_u64(*len, PAGE_SIZE - ((uintptr_t)p & (PAGE_SIZE - 1)));
    hpa_t next;

    if (!*len || !view_phys(&vm->gmem.view, p, at))
        return -EFAULT;
    while (run < *len && view_phys(&vm->gmem.view, p + run, &next) && next.v == at->v + run)
        run += min_u64(PAGE_SIZE, *len - run);
    *len = run;
    return 0;
}

enum copy { COPY_IN, COPY_OUT, COPY_ZERO };

/* Protecting one page splits the large leaf around it; then what it became is made executable. */
int gmem_make_exec(struct vm *vm, gpa_t at)
{
    const struct gmem_piece *p = gmem_find_piece(&vm->gmem, at.v);
    uint64_t page = at.v & ~(PAGE_SIZE - 1), from, to;
    unsigned prot;
    int err;

    if (!p || !(p->prot & PROT_X))
        return -EFAULT;
    from = max_u64(p->gpa, page & ~(EXEC_SPAN - 1));
    to = min_u64(p->gpa + p->len, (page & ~(EXEC_SPAN - 1)) + EXEC_SPAN);
    spin_lock(&vm->gmem.lock);
    prot = gmem_log_prot(&vm->gmem, p);
    err = pt_protect(&vm->gmem.s2, gpa(page), PAGE_SIZE, prot);
    if (!err)
        err = pt_protect(&vm->gmem.s2, gpa(from), to - from, prot);
    spin_unlock(&vm->gmem.lock);
    return err;
}

static int gmem_copy(struct vm *vm, uint64_t at, void *buf, uint64_t len, enum copy what)
{
    unsigned prot = what == COPY_IN ? PROT_R : PROT_W;

    debug_assert(buf || what == COPY_ZERO);
    while (len) {
        uint64_t n = len;
        uint8_t *p = gmem_run(vm, gpa(at), &n, prot);

        if (!p)
            return -EFAULT;
        if (what == COPY_IN)
            memcpy(buf, p, n);
        else if (what == COPY_OUT)
            memcpy(p, buf, n);
        else
            memset(p, 0, n);
        at += n;
        len -= n;
        if (buf)
            buf = (uint8_t *)buf + n;
    }
    return 0;
}

int gmem_read(struct vm *vm, gpa_t at, void *dst, uint64_t len)
{
    return gmem_copy(vm, at.v, dst, len, COPY_IN);
}

int gmem_write(struct vm *vm, gpa_t at, const void *src, uint64_t len)
{
    return gmem_copy(vm, at.v, (void *)(uintptr_t)src, len, COPY_OUT);
}

int gmem_zero(struct vm *vm, gpa_t at, uint64_t len)
{
    return gmem_copy(vm, at.v, NULL, len, COPY_ZERO);
}

void gmem_sync_code(struct vm *vm, gpa_t at, uint64_t len)
{
    while (len) {
        uint64_t n = len;
        const void *p = gmem_run(vm, at, &n, PROT_R);

        if (!p)
            return;
        arch_sync_code(p, n);
        at.v += n;
        len -= n;
    }
}
