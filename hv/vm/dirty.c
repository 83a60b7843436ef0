/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dirty.c: which pages of a guest's RAM were written to since somebody asked last.
 *
 * The guest's writes: stage 2 maps RAM without the right to write; the first write to a page exits,
 * is noted, and has that right again until the page is asked for. Ours and the devices': gmem_ptr()
 * and gmem_run() note what they are asked to write to, before it is written. Between the note and
 * the write somebody may take the note; so what we wrote is told of twice, and an exit is over long
 * before the second time. Who keeps such a pointer for longer (a queue's rings, a request's memory)
 * notes it again afterwards, by gmem_wrote().
 */
#include <hv/assert.h>
#include <hv/gmem.h>
#include <hv/vcpu.h>
#include <hv/vm.h>

#include "gmem_private.h"

/* Of one piece, a bit for each page. */
struct dirty_piece {
    uint64_t words;
    /* by the guest: stage 2 lets it write there; with the lock held */
    uint64_t *guest;
    uint64_t *ours, *before; /* by us, atomic; the same, told of once */
};

struct gmem_log {
    /* There was no memory to split large leaves: the guest writes where it likes. */
    bool all;
    uint32_t npieces;
    struct dirty_piece piece[];
};

static size_t log_size(const struct gmem_log *l)
{
    return sizeof *l + l->npieces * sizeof l->piece[0];
}

static uint64_t words_of(const struct gmem_piece *p)
{
    return p->prot & PROT_W ? (p->len / PAGE_SIZE + 63) / 64 : 0;
}

static void free_log(struct vm *vm, struct gmem_log *l)
{
    for (uint32_t i = 0; i < l->npieces; i++)
        vm_free(vm, l->piece[i].guest, 3 * l->piece[i].words * sizeof(uint64_t));
    vm_free(vm, l, log_size(l));
}

static int alloc_piece(struct vm *vm, struct dirty_piece *d, const struct gmem_piece *p)
{
    d->words = words_of(p);
    if (!d->words)
        return 0;
    d->guest = vm_alloc(vm, 3 * d->words * sizeof(uint64_t));
    if (!d->guest)
        return -ENOMEM;
    d->ours = d->guest + d->words;
    d->before = d->ours + d->words;
    /* Nobody has seen any of it; told of once is enough: the VM is parked, so no write goes on. */
    for (uint64_t i = 0; i < d->words; i++)
        d->before[i] = UINT64_MAX;
    return 0;
}

static struct gmem_log *new_log(struct vm *vm)
{
    const struct gmem *g = &vm->gmem;
    struct gmem_log *l = vm_alloc(vm, sizeof *l + g->npieces * sizeof l->piece[0]);
    int err = 0;

    if (!l)
        return NULL;
    l->npieces = g->npieces;
    for (uint32_t i = 0; !err && i < l->npieces; i++)
        err = alloc_piece(vm, &l->piece[i], &g->pieces[i]);
    if (!err)
        return l;
    free_log(vm, l);
    return NULL;
}

/* All RAM, whole pieces: no leaf crosses an edge, so that nothing is split. */
static void protect_all(struct gmem *g, unsigned without)
{
    assert_held(&g->lock);
    for (uint32_t i = 0; i < g->npieces; i++) {
        const struct gmem_piece *p = &g->pieces[i];

        if (p->prot & PROT_W)
            hv_assert(!pt_protect(&g->s2, gpa(p->gpa), p->len, p->prot & ~without));
    }
}

/* As it was before the log, large leaves included. No vCPU runs. */
static void end_protection(struct gmem *g)
{
    assert_held(&g->lock);
    for (uint32_t i = 0; i < g->npieces; i++) {
        const struct gmem_piece *p = &g->pieces[i];

        if (p->prot & PROT_W)
            hv_assert(!pt_join(&g->s2, gpa(p->gpa), p->len, p->prot));
    }
}

/* gmem_ptr() looks at the log only where the largest piece does not answer. */
static void use_log(struct gmem *g, struct gmem_log *l)
{
    const struct gmem_piece *p = gmem_find_piece(g, g->main.gpa);

    __atomic_store_n(&g->log, l, __ATOMIC_RELEASE);
    __atomic_store_n(&g->main.len, l || !p ? 0 : p->len, __ATOMIC_RELEASE);
}

int gmem_log_start(struct vm *vm)
{
    struct gmem *g = &vm->gmem;
    struct gmem_log *l;

    assert_cpu0();
    assert_parked(vm);
    if (!g->s2.root.v)
        return -ENOTSUP;
    if (g->ram_bytes > LOGGED_MAX)
        return -E2BIG;
    if (g->log || g->domains)
        return -EBUSY;
    l = new_log(vm);
    if (!l)
        return -ENOMEM;
    spin_lock(&g->lock);
    use_log(g, l);
    protect_all(g, PROT_W);
    spin_unlock(&g->lock);
    vm_tlb_flush(vm, gpa(0), UINT64_MAX);
    return 0;
}

void gmem_log_stop(struct vm *vm)
{
    struct gmem *g = &vm->gmem;
    struct gmem_log *l = g->log;

    assert_cpu0();
    assert_parked(vm);
    if (!l)
        return;
    spin_lock(&g->lock);
    use_log(g, NULL);
    end_protection(g);
    spin_unlock(&g->lock);
    vm_tlb_flush(vm, gpa(0), UINT64_MAX);
    pt_reap(&g->s2);
    free_log(vm, l);
}

/* ---- noting ---- */

static struct dirty_piece *piece_of(const struct gmem *g, const struct gmem_piece *p)
{
    uint64_t i = (uint64_t)(p - g->pieces);

    hv_assert(i < g->log->npieces);
    return &g->log->piece[i];
}

void gmem_log_note(const struct gmem *g, const struct gmem_piece *p, uint64_t off, uint64_t len)
{
    struct dirty_piece *d = piece_of(g, p);
    uint64_t last;

    if (!len || !range_within(off, len, 0, p->len))
        return;
    last = (off + len - 1) / PAGE_SIZE;
    for (uint64_t i = off / PAGE_SIZE; d->words && i <= last; i++)
        __atomic_fetch_or(&d->ours[i / 64], 1ull << (i & 63), __ATOMIC_SEQ_CST);
}

void gmem_log_wrote(struct vm *vm, const void *host, uint64_t len)
{
    const struct gmem *g = &vm->gmem;
    const uint8_t *at = host;

    for (uint32_t i = 0; i < g->npieces; i++) {
        const struct gmem_piece *p = &g->pieces[i];

        if (range_within((uintptr_t)at, len, (uintptr_t)p->host, p->len))
            gmem_log_note(g, p, (uint64_t)(at - p->host), len);
    }
}

unsigned gmem_log_prot(const struct gmem *g, const struct gmem_piece *p)
{
    assert_held(&g->lock);
    return g->log && !g->log->all ? p->prot & ~(unsigned)PROT_W : p->prot;
}

static void may_write(struct gmem *g, const struct gmem_piece *p, uint64_t page)
{
    uint64_t i = page - p->gpa / PAGE_SIZE;

    assert_held(&g->lock);
    piece_of(g, p)->guest[i / 64] |= 1ull << (i & 63);
    if (g->log->all || !pt_protect(&g->s2, gpa(page * PAGE_SIZE), PAGE_SIZE, p->prot))
        return;
    protect_all(g, 0);
    g->log->all = true;
}

bool gmem_log_exit(struct vcpu *v, gpa_t at)
{
    struct gmem *g = &v->vm->gmem;
    const struct gmem_piece *p;
    bool ram;

    if (!g->log)
        return false;
    spin_lock(&g->lock);
    p = gmem_find_piece(g, at.v);
    ram = g->log && p && p->prot & PROT_W;
    if (ram)
        may_write(g, p, at.v / PAGE_SIZE);
    spin_unlock(&g->lock);
    if (!ram)
        return false;
    /* a TLB may still hold the page as one without the right: any CPU's (Arm), this vCPU's (x86) */
    v->vm->ops->tlb_flush(v->vm, gpa(align_down(at.v, PAGE_SIZE)), PAGE_SIZE);
    v->ops->vcpu_tlb_flush(v);
    return ram;
}

/* ---- asking ---- */

/* True: page i of the piece was written to. The guest's next write to it exits again. */
static bool take_page(struct gmem *g, const struct gmem_piece *p, uint64_t i, bool *cut)
{
    struct dirty_piece *d = piece_of(g, p);
    uint64_t *word = &d->guest[i / 64], bit = 1ull << (i & 63), ours;
    bool guest = *word & bit || g->log->all, before = d->before[i / 64] & bit;

    assert_held(&g->lock);
    ours = __atomic_fetch_and(&d->ours[i / 64], ~bit, __ATOMIC_SEQ_CST) & bit;
    d->before[i / 64] = (d->before[i / 64] & ~bit) | ours;
    if (*word & bit && !g->log->all &&
        !pt_protect(&g->s2, gpa(p->gpa + i * PAGE_SIZE), PAGE_SIZE, p->prot & ~(unsigned)PROT_W)) {
        *word &= ~bit; /* else it stays, and is told of again */
        *cut = true;
    }
    return guest || ours || before;
}

uint64_t gmem_log_take(struct vm *vm, gpa_t from, uint64_t pages, uint64_t *bits)
{
    struct gmem *g = &vm->gmem;
    uint64_t found = 0;
    bool cut = false;

    assert_cpu0();
    hv_assert(g->log && !(from.v & (PAGE_SIZE - 1)));
    spin_lock(&g->lock);
    for (uint64_t n = 0; n < pages; n++) {
        uint64_t at = from.v + n * PAGE_SIZE;
        const struct gmem_piece *p = gmem_find_piece(g, at);
        bool dirty = p && p->prot & PROT_W && take_page(g, p, (at - p->gpa) / PAGE_SIZE, &cut);

        bits[n / 64] = (n & 63 ? bits[n / 64] : 0) | (uint64_t)dirty << (n & 63);
        found += dirty;
    }
    spin_unlock(&g->lock);
    if (cut)
        vm_tlb_flush(vm, from, pages * PAGE_SIZE);
    return found;
}
