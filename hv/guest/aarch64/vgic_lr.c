/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vgic_lr.c: list registers. What is in one stays there until the guest has ended it, its CPU takes
 * it back, or something better needs the place. Edges: the pending state moves into the register.
 * Levels: it stays outside, and the register asks for a maintenance interrupt at the guest's EOI,
 * when the level is looked at again. GICv3 §6.4, §12.4.
 */
#include <hv/assert.h>
#include <hv/irq.h>
#include "vgic_int.h"

#define PENDING 1u
#define ACTIVE 2u

static unsigned state_of(uint64_t lr) { return (unsigned)(lr >> LR_STATE_SHIFT); }

static unsigned priority_of(uint64_t lr) { return lr >> ARM_LR_PRIORITY_SHIFT & 0xff; }

static unsigned lr_index(const struct vgic *g, uint64_t lr)
{
    uint32_t intid = (uint32_t)lr;

    if (g->version == 2)
        intid &= (1u << LR_SRC_SHIFT) - 1;
    return intid < VGIC_LPI ? intid : intid - VGIC_LPI_INTID + VGIC_LPI;
}

/* ---- what is ready ---- */

void vgic_set_ready(struct vgic_cpu *c, unsigned idx, bool on)
{
    unsigned w = idx >> 6;
    uint64_t bit = 1ull << (idx & 63);

    debug_assert_held(&c->g->lock);
    if (on == !!(c->ready[w] & bit))
        return;
    c->ready[w] ^= bit;
    c->nready += on ? 1u : ~0u;
    if (c->ready[w])
        c->ready_words[w >> 6] |= 1ull << (w & 63);
    else
        c->ready_words[w >> 6] &= ~(1ull << (w & 63));
}

static bool group_on(const struct vgic *g, struct vgic_irq i)
{
    return g->s.ctlr & (i.b->group1 & i.bit ? GICD_CTLR_G1 : GICD_CTLR_G0);
}

static bool lpis_on(const struct vgic_cpu *c, unsigned idx)
{
    return idx < VGIC_LPI || c->s.ctlr & GICR_CTLR_LPIS;
}

static void best_of_word(struct vgic_cpu *c, unsigned w, unsigned *best, unsigned *prio)
{
    for (uint64_t bits = c->ready[w]; bits; bits &= bits - 1) {
        unsigned idx = w * 64 + (unsigned)__builtin_ctzll(bits);
        struct vgic_irq i = vgic_irq_at(c->g, c, idx);

        if (i.b->prio[i.n] < *prio && group_on(c->g, i) && lpis_on(c, idx)) {
            *best = idx;
            *prio = i.b->prio[i.n];
        }
    }
}

/* The ready interrupt of the best priority, the lowest INTID among equals; ~0u: none. */
static unsigned best_ready(struct vgic_cpu *c, unsigned *prio)
{
    unsigned best = ~0u;

    *prio = 0x100;
    for (unsigned s = 0; s < ARRAY_SIZE(c->ready_words); s++)
        for (uint64_t words = c->ready_words[s]; words; words &= words - 1)
            best_of_word(c, s * 64 + (unsigned)__builtin_ctzll(words), &best, prio);
    return best;
}

/* ---- one list register ---- */

/* Of a v2 SGI: who it comes from, the lowest first. */
static uint64_t source_bits(struct vgic_irq i)
{
    unsigned src = (unsigned)__builtin_ctz(i.b->route[i.n] | 0x80u);

    i.b->route[i.n] &= (uint16_t) ~(1u << src);
    if (i.b->route[i.n])
        i.b->latch |= i.bit;
    return (uint64_t)src << LR_SRC_SHIFT;
}

static uint64_t attributes(struct vgic_irq i, unsigned idx)
{
    uint64_t lr = (uint64_t)i.b->prio[i.n] << ARM_LR_PRIORITY_SHIFT |
                  (i.b->group1 & i.bit ? ARM_LR_GROUP1 : 0);

    if (idx == ARM_PPI_VTIMER && i.b->line & i.bit) /* not when software made it pending */
        return lr | ARM_LR_HW | (uint64_t)idx << ARM_LR_PINTID_SHIFT;
    return i.b->edge & i.bit ? lr : lr | ARM_LR_EOI;
}

static void put(struct vgic_cpu *c, unsigned n, uint64_t lr)
{
    uint32_t bit = 1u << n;

    c->gic.lr[n] = lr;
    c->gic.used |= bit;
    c->gic.dirty |= bit;
    c->lr_pending |= bit;
    c->v->stats.injected_irqs++;
}

static void place(struct vgic_cpu *c, unsigned n, struct vgic_irq i, unsigned idx)
{
    uint64_t lr = vgic_intid(idx) | attributes(i, idx) | ARM_LR_PENDING;

    debug_assert_held(&c->g->lock);
    debug_assert(n < c->g->nlrs);
    if (i.b->edge & i.bit)
        i.b->latch &= ~i.bit;
    if (vgic_is_sgi_v2(c->g, idx)) {
        lr |= source_bits(i);
        if (i.b->latch & i.bit) /* another source waits for its turn */
            lr |= ARM_LR_EOI;
    }
    i.b->in_lr |= i.bit;
    i.b->home[i.n] = (uint16_t)c->id;
    put(c, n, lr);
}

/*
 * The virtual timer may have been set anew since its interrupt came. True: it still wants it, or
 * software does.
 */
static bool still_wanted(struct vgic_cpu *c, unsigned idx)
{
    if (idx != ARM_PPI_VTIMER || !(c->s.local.line & PPI_VTIMER) || c->just_fired || vtimer_due(c))
        return true;
    vtimer_drop(c);
    return false;
}

/* Most often nothing else waits and a register is free: no need to look for the best. */
bool vgic_place_at_once(struct vgic_cpu *c, struct vgic_irq i, unsigned idx)
{
    uint32_t left = ~c->gic.used & ((1u << c->g->nlrs) - 1);

    debug_assert_held(&c->g->lock);
    if (c->nready || !left || (idx == ARM_PPI_VTIMER && !c->just_fired) || !group_on(c->g, i) ||
        !lpis_on(c, idx))
        return false;
    place(c, (unsigned)__builtin_ctz(left), i, idx);
    return true;
}

/*
 * GICv3 SGIs, which are most of what vCPUs send one another, straight from `raise` into a register:
 * nothing about them need be written down elsewhere. Others go the long way.
 */
uint32_t vgic_place_sgis(struct vgic_cpu *c, uint32_t raised)
{
    struct vgic_bank *b = &c->s.local;
    uint32_t groups = (c->g->s.ctlr & GICD_CTLR_G1 ? b->group1 : 0) |
                      (c->g->s.ctlr & GICD_CTLR_G0 ? ~b->group1 : 0);
    uint32_t can = raised & 0xffff & groups & b->enabled & ~(b->active | b->in_lr | b->latch);
    uint32_t left = c->nready ? 0 : ~c->gic.used & ((1u << c->g->nlrs) - 1);

    debug_assert_held(&c->g->lock);
    debug_assert_own_cpu(c->v);
    uint32_t placed = 0, now = 0;

    for (; can && left; can &= can - 1, left &= left - 1) {
        unsigned idx = (unsigned)__builtin_ctz(can);
        uint64_t group = (uint64_t)(b->group1 >> idx & 1) << ARM_LR_GROUP1_SHIFT;

        c->gic.lr[__builtin_ctz(left)] =
            ARM_LR_PENDING | group | (uint64_t)b->prio[idx] << ARM_LR_PRIORITY_SHIFT | idx;
        placed |= can & -can;
        now |= left & -left;
        c->v->stats.injected_irqs++;
    }
    b->in_lr |= placed;
    c->gic.used |= now;
    c->gic.dirty |= now;
    c->lr_pending |= now;
    return raised & ~placed;
}

/* The same way back: the guest has ended one, and nothing more is to be done about it. */
static bool sgi_ended(struct vgic_cpu *c, unsigned n)
{
    struct vgic_bank *b = &c->s.local;
    uint32_t idx = (uint32_t)c->gic.lr[n], bit = 1u << (idx & 31);

    if (idx >= 16 || c->g->version != 3 || (b->latch | b->deact | b->unpend) & bit)
        return false;
    b->in_lr &= ~bit;
    c->gic.lr[n] = 0;
    c->gic.used &= ~(1u << n);
    c->lr_pending &= ~(1u << n);
    return true;
}

/* Register n no longer holds it; it goes where it now belongs. */
static void release(struct vgic_cpu *c, unsigned n, struct vgic_irq i, unsigned idx, bool by_guest)
{
    uint32_t bit = 1u << n;

    debug_assert_held(&c->g->lock);
    /*
     * What the guest has ended is empty in the CPU already, but for the EOI that asks for a
     * maintenance interrupt (GICv3 §12.4.8).
     */
    if (!by_guest || c->gic.lr[n] & ARM_LR_EOI)
        c->gic.dirty |= bit;
    c->gic.lr[n] = 0;
    c->gic.used &= ~bit;
    c->lr_pending &= ~bit;
    i.b->in_lr &= ~i.bit;
    if (i.b->deact | i.b->unpend) {
        i.b->deact &= ~i.bit;
        i.b->unpend &= ~i.bit;
    }
    if (by_guest && idx == ARM_PPI_VTIMER)
        /* the hardware deactivated the physical one with it (ICH_LR.HW) */
        i.b->line &= ~i.bit;
    if ((i.b->latch | i.b->line) & i.bit)
        vgic_update(c->g, c, idx);
}

/* The pending state goes back out of a list register. */
static void unlatch(const struct vgic *g, struct vgic_irq i, uint64_t lr, unsigned idx)
{
    if (!(i.b->edge & i.bit))
        return;
    i.b->latch |= i.bit;
    if (vgic_is_sgi_v2(g, idx))
        i.b->route[i.n] |= (uint8_t)(1u << (lr >> LR_SRC_SHIFT & 7));
}

/* ---- looking after them ---- */

static bool stays_pending(struct vgic_cpu *c, struct vgic_irq i, unsigned idx, unsigned st)
{
    if (st == PENDING)
        (void)still_wanted(c, idx);
    return i.b->enabled & i.bit && group_on(c->g, i) && lpis_on(c, idx) &&
           vgic_target(c->g, c, i, idx) == c &&
           (i.b->edge & i.bit || vgic_bank_pending(i.b) & i.bit);
}

/* Register n still holds something pending: may it stay? Returns the new state. */
static unsigned check_pending(struct vgic_cpu *c, struct vgic_irq i, uint64_t lr, unsigned idx,
                              unsigned st)
{
    if (i.b->unpend & i.bit && i.b->edge & i.bit)
        return st & ~PENDING;
    if (!stays_pending(c, i, idx, st)) {
        unlatch(c->g, i, lr, idx);
        return st & ~PENDING;
    }
    if (i.b->edge & i.bit && !vgic_is_sgi_v2(c->g, idx))
        i.b->latch &= ~i.bit; /* a second edge joins the first */
    return st;
}

/*
 * It is active, and perhaps pending again: an edge may join it in its register; a level waits for
 * the EOI.
 */
static unsigned check_active(struct vgic_cpu *c, struct vgic_irq i, unsigned idx, unsigned st)
{
    if (!(i.b->edge & i.b->latch & i.b->enabled & i.bit) || vgic_is_sgi_v2(c->g, idx))
        return st;
    if (!stays_pending(c, i, idx, st))
        return st;
    i.b->latch &= ~i.bit;
    c->v->stats.injected_irqs++;
    return st | PENDING;
}

/* What software made pending was taken: a level's latch goes out, so that it can be set again. */
static inline void note_taken(struct vgic_cpu *c, struct vgic_irq i, unsigned n)
{
    if (c->gic.lr[n] & ARM_LR_PENDING || !(c->lr_pending >> n & 1))
        return;
    c->lr_pending &= ~(1u << n);
    if (!(i.b->edge & i.bit))
        i.b->latch &= ~i.bit;
}

void vgic_lr_note(struct vgic *g, struct vgic_irq i, unsigned idx)
{
    struct vgic_cpu *c = g->cpu[i.b->home[i.n]];

    debug_assert_held(&g->lock);
    for (uint32_t used = c->gic.used; used; used &= used - 1)
        if (lr_index(g, c->gic.lr[__builtin_ctz(used)]) == idx)
            note_taken(c, i, (unsigned)__builtin_ctz(used));
}

static void look_after(struct vgic_cpu *c, unsigned n)
{
    uint64_t lr = c->gic.lr[n];
    unsigned idx = lr_index(c->g, lr), st = state_of(lr), was = st;
    struct vgic_irq i = vgic_irq_at(c->g, c, idx);

    note_taken(c, i, n);
    if (i.b->deact & i.bit && st & ACTIVE) {
        st &= ~ACTIVE;
        if (idx == ARM_PPI_VTIMER)
            vtimer_drop(c);
    }
    if (st & PENDING)
        st = check_pending(c, i, lr, idx, st);
    else if (st)
        st = check_active(c, i, idx, st);
    if (!st) {
        release(c, n, i, idx, !was);
        return;
    }
    i.b->deact &= ~i.bit;
    i.b->unpend &= ~i.bit;
    c->lr_pending = (c->lr_pending & ~(1u << n)) | (st & PENDING ? 1u << n : 0);
    lr &= (1ull << 32) - 1;
    lr |= attributes(i, idx) | (uint64_t)st << LR_STATE_SHIFT;
    if (vgic_is_sgi_v2(c->g, idx) && i.b->latch & i.bit)
        lr |= ARM_LR_EOI;
    if (lr != c->gic.lr[n])
        c->gic.dirty |= 1u << n;
    c->gic.lr[n] = lr;
}

static __attribute__((noinline)) void ended(struct vgic_cpu *c, unsigned n)
{
    unsigned idx = lr_index(c->g, c->gic.lr[n]);
    struct vgic_irq i = vgic_irq_at(c->g, c, idx);

    note_taken(c, i, n);
    release(c, n, i, idx, true);
}

void vgic_lr_ended(struct vgic_cpu *c, uint32_t lrs)
{
    debug_assert_held(&c->g->lock);
    debug_assert_own_cpu(c->v);
    for (; lrs; lrs &= lrs - 1) {
        unsigned n = (unsigned)__builtin_ctz(lrs);

        if (!sgi_ended(c, n))
            ended(c, n);
    }
}

/* ---- active, but in no list register ---- */

static bool best_active(struct vgic_cpu *c, unsigned *idx)
{
    unsigned best = 0x100;

    for (unsigned first = 0; first < 32u + c->g->nspis; first += 32) {
        const struct vgic_bank *b = vgic_bank_at(c->g, c, first);

        for (uint32_t bits = b->active; bits; bits &= bits - 1) {
            unsigned n = (unsigned)__builtin_ctz(bits);

            if ((first == 0 || b->home[n] == c->id) && b->prio[n] < best) {
                best = b->prio[n];
                *idx = first + n;
            }
        }
    }
    return best < 0x100;
}

/*
 * The guest ended `count` interrupts that are in no list register: those of the best priority
 * (GICv3 §12.4.3, EOIcount).
 */
static void end_outside(struct vgic_cpu *c, unsigned count)
{
    unsigned idx = 0;

    while (count-- && c->active_out && best_active(c, &idx))
        vgic_set_active(c->g, c, idx, false);
}

/* ---- making room ---- */

/*
 * Takes what is in register n back: the pending state goes out, the active state stays with the
 * interrupt.
 */
static void take_back(struct vgic_cpu *c, unsigned n)
{
    uint64_t lr = c->gic.lr[n];
    unsigned idx = lr_index(c->g, lr), st = state_of(lr);
    struct vgic_irq i = vgic_irq_at(c->g, c, idx);

    debug_assert_held(&c->g->lock);
    if (st & PENDING)
        unlatch(c->g, i, lr, idx);
    if (st & ACTIVE && idx < VGIC_LPI) {
        i.b->active |= i.bit;
        c->active_out++;
    }
    release(c, n, i, idx, false);
}

/*
 * A register for an interrupt of this priority: one that holds something merely pending and less
 * urgent; when all are active, the least urgent.
 */
static int make_room(struct vgic_cpu *c, unsigned prio)
{
    int worst = -1, active = -1;

    for (unsigned n = 0; n < c->g->nlrs; n++) {
        uint64_t lr = c->gic.lr[n];
        int *slot = state_of(lr) == PENDING ? &worst : &active;

        /* nospec: *slot is a number that this loop has stored */
        if (*slot < 0 || priority_of(lr) > priority_of(c->gic.lr[*slot]))
            *slot = (int)n;
    }
    /* nospec: the loop has stored it */
    if (worst >= 0 && priority_of(c->gic.lr[worst]) <= prio)
        return -1;
    for (unsigned n = 0; worst < 0 && n < c->g->nlrs; n++)
        if (state_of(c->gic.lr[n]) & PENDING)
            return -1; /* pending and active: progress is possible without */
    worst = worst >= 0 ? worst : active;
    take_back(c, (unsigned)worst);
    return worst;
}

static void fill(struct vgic_cpu *c)
{
    uint32_t all = (1u << c->g->nlrs) - 1;
    bool more = false;

    while (c->nready && !more) {
        unsigned prio, idx = best_ready(c, &prio);
        int n;

        if (idx == ~0u)
            break;
        if (!still_wanted(c, idx))
            continue;
        n = c->gic.used == all ? make_room(c, prio) : __builtin_ctz(~c->gic.used);
        more = n < 0;
        if (!more) {
            vgic_set_ready(c, idx, false);
            place(c, (unsigned)n, vgic_irq_at(c->g, c, idx), idx);
        }
    }
    c->gic.hcr = (more ? ARM_HCR_NPIE : 0) | (c->active_out ? ARM_HCR_LRENPIE : 0);
}

/* used: those that were in use before. */
static __attribute__((noinline)) void look_after_all(struct vgic_cpu *c, uint32_t used)
{
    uint32_t count = c->gic.hcr >> ARM_HCR_EOICOUNT_SHIFT;

    for (; used; used &= used - 1)
        look_after(c, (unsigned)__builtin_ctz(used));
    if (count)
        end_outside(c, count);
    fill(c);
}

void vgic_service(struct vgic_cpu *c)
{
    uint32_t used = c->gic.used;

    debug_assert_held(&c->g->lock);
    debug_assert_own_cpu(c->v);
    debug_assert(!c->g->servicing);
    c->g->servicing = c;
    __atomic_store_n(&c->stale, 0, __ATOMIC_RELEASE);
    if (c->phys_sync)
        vtimer_sync_phys(c);
    vgic_take_raised(c);
    if (used | c->gic.hcr | c->nready | c->active_out)
        look_after_all(c, used);
    c->just_fired = false;
    c->looked = true;
    c->g->servicing = NULL;
}

/* Attributes and priority come when its CPU looks after it, before the guest is entered. */
void vgic_lr_put_back(struct vgic_cpu *c, uint64_t lr, bool was_pending)
{
    uint32_t left = ~c->gic.used & ((1u << c->g->nlrs) - 1);
    unsigned n = (unsigned)__builtin_ctz(left | 1u << 31), idx = lr_index(c->g, lr);
    struct vgic_irq i = vgic_irq_at(c->g, c, idx);

    assert_held(&c->g->lock);
    if (left) {
        c->gic.lr[n] = lr;
        c->gic.used |= 1u << n;
        c->lr_pending |= was_pending ? 1u << n : 0;
        c->v->vintc_hooks = true;
        return;
    }
    if (lr & ARM_LR_PENDING && !(i.b->unpend & i.bit))
        unlatch(c->g, i, lr, idx);
    else if (was_pending && !(lr & ARM_LR_PENDING) && !(i.b->edge & i.bit))
        i.b->latch &= ~i.bit; /* note_taken() */
    if (lr & ARM_LR_ACTIVE && !(i.b->deact & i.bit) && idx < VGIC_LPI)
        i.b->active |= i.bit; /* counted by the caller */
    i.b->in_lr &= ~i.bit;
    i.b->deact &= ~i.bit;
    i.b->unpend &= ~i.bit;
}

void vgic_lr_reset(struct vgic_cpu *c)
{
    assert_held(&c->g->lock);
    assert_own_cpu(c->v);
    hv_assert(!c->g->servicing);
    c->g->servicing = c;
    for (uint32_t used = c->gic.used; used; used &= used - 1)
        take_back(c, (unsigned)__builtin_ctz(used));
    end_outside(c, ~0u);
    c->gic.hcr = 0;
    c->g->servicing = NULL;
}

/* ---- looking into them ---- */

static uint64_t find_lr(struct vgic *g, struct vgic_irq i, unsigned idx)
{
    const struct vgic_cpu *c = g->cpu[i.b->home[i.n]];

    debug_assert_held(&g->lock);
    for (uint32_t used = c->gic.used; used; used &= used - 1) {
        uint64_t lr = __atomic_load_n(&c->gic.lr[__builtin_ctz(used)], __ATOMIC_RELAXED);

        if (lr_index(g, lr) == idx)
            return lr;
    }
    return 0;
}

unsigned vgic_lr_state(struct vgic *g, struct vgic_irq i, unsigned idx)
{
    return state_of(find_lr(g, i, idx));
}

uint8_t vgic_lr_source(struct vgic *g, struct vgic_irq i, unsigned idx)
{
    uint64_t lr = i.b->in_lr & i.bit ? find_lr(g, i, idx) : 0;

    return lr & ARM_LR_PENDING ? (uint8_t)(1u << (lr >> LR_SRC_SHIFT & 7)) : 0;
}

void vgic_settle(const struct vgic_holders *h)
{
    debug_assert(!(this_cpu()->locks_held >> LOCK_VINTC));
    for (unsigned n = 0; n < h->n; n++) {
        struct vcpu *v = h->vcpu[n];

        vcpu_request(v, REQ_IRQ);
        while (__atomic_load_n(&v->in_guest, __ATOMIC_SEQ_CST) &&
               __atomic_load_n(&v->requests, __ATOMIC_SEQ_CST) & REQ_IRQ)
            cpu_relax();
    }
}

/* ICH_VMCR_EL2: VPMR 31:24, VENG1 bit 1, VENG0 bit 0 (GICv3 §12.4.9). */
bool vgic_lr_wakes(struct vgic_cpu *c)
{
    uint64_t vmcr = 0;

    debug_assert_own_cpu(c->v);
    if (!c->gic.used || c->v->ops->get_sysreg(c->v, ARM_ICH_VMCR_EL2, &vmcr))
        return false;
    for (uint32_t used = c->gic.used; used; used &= used - 1) {
        uint64_t lr = c->gic.lr[__builtin_ctz(used)];

        if (state_of(lr) == PENDING && priority_of(lr) < (vmcr >> 24 & 0xff) &&
            vmcr >> (lr & ARM_LR_GROUP1 ? 1 : 0) & 1)
            return true;
    }
    return false;
}
