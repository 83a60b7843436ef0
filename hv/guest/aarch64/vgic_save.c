/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vgic_save.c: the controller's and the timers' state as plain words, and back. What is saved is
 * what a guest can see, with the list registers, which hold a part of it; what follows from it (who
 * is ready where, events, what the CPU has) is made anew. A saved state may come from anywhere: it
 * is checked as a whole before anything is touched, and what this code could not have saved is
 * refused.
 */
#include <hv/assert.h>
#include <hv/state.h>
#include <string.h>
#include "vgic_int.h"
#include "vgic_saved.h"

#define LR_SAVED (ARM_LR_PENDING | ARM_LR_ACTIVE | 0xffffffffull)

/* One after the other: the head, n of the second, and with an ITS the LPIs' banks. */
struct saved {
    const struct saved_head *head;
    const struct saved_cpu *cpu;
    const struct vgic_bank *lpi;
};

static struct saved parts_of(const struct vgic *g, const void *buf)
{
    struct saved s = { .head = buf };

    s.cpu = (const struct saved_cpu *)(s.head + 1);
    s.lpi = (const struct vgic_bank *)(s.cpu + g->n);
    return s;
}

static size_t gic_size(const struct vm *vm, uint32_t i)
{
    const struct vgic *g = vm->vintc;

    (void)i;
    if (!g || !g->version)
        return 0;
    return sizeof(struct saved_head) + g->n * sizeof(struct saved_cpu) +
           (g->has_its ? VGIC_LPI_BANKS * sizeof(struct vgic_bank) : 0);
}

/* ---- saving ---- */

/* What the guest has ended may still be in a register. */
static void empty_ended(struct vgic_cpu *c)
{
    for (uint32_t used = c->gic.used; used; used &= used - 1)
        if (!(c->gic.lr[__builtin_ctz(used)] >> LR_STATE_SHIFT))
            vgic_lr_ended(c, used & -used);
}

static void save_cpu(struct vgic_cpu *c, struct saved_cpu *s)
{
    s->s = c->s;
    for (uint32_t used = c->gic.used; used; used &= used - 1) {
        unsigned n = (unsigned)__builtin_ctz(used);

        if (c->lr_pending >> n & 1)
            s->lr_pending |= (uint16_t)(1u << s->nlrs);
        s->lr[s->nlrs++] = c->gic.lr[n] & LR_SAVED;
    }
    s->raise = __atomic_load_n(&c->raise, __ATOMIC_RELAXED);
    memcpy(s->sgi_src, c->sgi_src, sizeof s->sgi_src);
}

/* What waits in guest memory is read first: it is not in the state. */
static void settle_all(struct vgic *g)
{
    for (unsigned n = 0; n < g->n; n++)
        (void)its_read_pending(g, g->cpu[n], UINT32_MAX);
    for (unsigned n = 0; n < g->n; n++)
        empty_ended(g->cpu[n]);
}

/* Pending tables in guest memory that are not read yet: more than one event should read? */
#define SETTLE_MOST (4 * (VGIC_LPIS / 8)) /* bytes, of 8 LPIs each */
static bool too_much_to_settle(const struct vgic *g)
{
    unsigned left = 0;

    for (unsigned n = 0; n < g->n; n++)
        left += g->cpu[n]->lpi_left;
    return left > SETTLE_MOST;
}

static int gic_save(struct vm *vm, uint32_t i, void *buf)
{
    struct vgic *g = vm->vintc;
    struct saved_head *head = buf;
    struct saved_cpu *cpu = (void *)(head + 1);

    (void)i;
    spin_lock(&g->lock);
    if (too_much_to_settle(g)) { /* its event reads them, in pieces */
        spin_unlock(&g->lock);
        return -EAGAIN;
    }
    settle_all(g);
    *head = (struct saved_head){ .gic = g->version,
                                 .has_its = g->has_its,
                                 .nspis = g->nspis,
                                 .n = g->n,
                                 .next_any = g->next_any,
                                 .s = g->s,
                                 .its = g->its.s };
    for (unsigned n = 0; n < g->n; n++)
        save_cpu(g->cpu[n], &cpu[n]);
    if (g->has_its)
        memcpy(cpu + g->n, g->lpi, VGIC_LPI_BANKS * sizeof *g->lpi);
    spin_unlock(&g->lock);
    return 0;
}

/* ---- checking ---- */

/* The same machine: other sizes would need another layout. */
static bool same_machine(const struct vgic *g, const struct saved_head *h)
{
    return h->gic == g->version && h->has_its == g->has_its && h->nspis == g->nspis && h->n == g->n;
}

/* there: those that are implemented. */
static bool bank_valid(const struct vgic *g, const struct vgic_bank *b, uint32_t there)
{
    uint32_t any = b->enabled | b->latch | b->line | b->active | b->group1 | b->edge | b->in_lr;

    if (any & ~there || (b->deact | b->unpend) & ~b->in_lr || b->active & b->in_lr)
        return false;
    for (unsigned n = 0; n < 32; n++)
        if (b->prio[n] & ~VGIC_PRIO_MASK || b->home[n] >= g->n)
            return false;
    return true;
}

/* The vCPU on which an interrupt is ready; ~0u: nowhere. local: of the first 32. */
static unsigned place_of(const struct vgic *g, bool local, uint16_t home, uint16_t route)
{
    if (local || (g->version == 3 && route == ROUTE_ANY))
        return home;
    if (g->version == 2)
        return route ? (unsigned)__builtin_ctz(route) : ~0u;
    return route < g->n ? route : ~0u;
}

static uint32_t ready_of(const struct vgic_bank *b) { return vgic_bank_wanted(b) & ~b->in_lr; }

static bool homes_valid(const struct vgic *g, const struct vgic_bank *b)
{
    for (uint32_t bits = ready_of(b); bits; bits &= bits - 1) {
        unsigned n = (unsigned)__builtin_ctz(bits);
        unsigned at = place_of(g, false, b->home[n], b->route[n]);

        if (at != ~0u && at != b->home[n])
            return false;
    }
    return true;
}

static bool spi_routes_valid(const struct vgic *g, const struct vgic_state *s, unsigned bank)
{
    const struct vgic_bank *b = &s->spi[bank];

    for (unsigned n = 0; n < 32; n++) {
        unsigned spi = bank * 32 + n;
        /* nospec: spi is this loop */
        uint64_t irouter = spi < VGIC_SPIS_MAX ? s->irouter[spi] : 0;

        if (g->version == 2 ? irouter || b->route[n] >> g->n
                            : b->route[n] != vgic_route_of(g, irouter))
            return false;
        if (spi >= g->nspis && irouter)
            return false;
    }
    return true;
}

/* How many of bank `bank`'s SPIs there are, as a mask. */
static uint32_t spis_of(const struct vgic *g, unsigned bank)
{
    unsigned n = bank * 32 >= g->nspis ? 0 : g->nspis - bank * 32;

    return n >= 32 ? ~0u : (1u << n) - 1;
}

static bool spis_valid(const struct vgic *g, const struct vgic_state *s)
{
    if (s->ctlr & ~(GICD_CTLR_G0 | (g->version == 3 ? GICD_CTLR_G1 : 0)))
        return false;
    for (unsigned n = 0; n < VGIC_SPI_BANKS; n++)
        if (!bank_valid(g, &s->spi[n], spis_of(g, n)) || !spi_routes_valid(g, s, n) ||
            !homes_valid(g, &s->spi[n]))
            return false;
    return true;
}

/* SGIs are edges, PPIs levels. A v2 SGI is pending from somebody. */
static bool local_valid(const struct vgic *g, const struct vgic_bank *b, unsigned id)
{
    if (!bank_valid(g, b, ~0u) || b->edge != 0xffff || b->line & ~(PPI_VTIMER | PPI_PTIMER))
        return false;
    for (unsigned n = 0; n < 32; n++) {
        bool sgi_v2 = vgic_is_sgi_v2(g, n);

        if (b->home[n] != id || (sgi_v2 ? b->route[n] >> g->n : b->route[n]) ||
            (sgi_v2 && (b->latch >> n & 1) != (b->route[n] != 0)))
            return false;
    }
    return true;
}

static bool lpis_valid(const struct vgic *g, const struct vgic_bank *lpi)
{
    for (unsigned bank = 0; g->has_its && bank < VGIC_LPI_BANKS; bank++) {
        const struct vgic_bank *b = &lpi[bank];

        if (!bank_valid(g, b, ~0u) || b->edge != ~0u || b->group1 != ~0u || b->line || b->active ||
            !homes_valid(g, b))
            return false;
        for (unsigned n = 0; n < 32; n++)
            if (b->route[n] >= g->n && b->route[n] != ROUTE_NONE)
                return false;
    }
    return true;
}

/* The bank of a saved state that idx is in; NULL: there is none. */
static const struct vgic_bank *saved_bank(const struct vgic *g, const struct saved *s, unsigned cpu,
                                          unsigned idx)
{
    if (idx < 32)
        return &s->cpu[cpu].s.local;
    if (idx < VGIC_LPI)
        return idx - 32 < g->nspis ? &s->head->s.spi[index_nospec(idx - 32, g->nspis) / 32] : NULL;
    if (!g->has_its || idx - VGIC_LPI >= VGIC_LPIS)
        return NULL;
    return &s->lpi[index_nospec(idx - VGIC_LPI, VGIC_LPIS) / 32];
}

/* The INTID of a saved list register, and of a v2 SGI where it comes from. */
static bool lr_intid(const struct vgic *g, uint64_t lr, uint32_t *intid)
{
    *intid = (uint32_t)lr;
    if (g->version != 2)
        return true;
    *intid &= (1u << LR_SRC_SHIFT) - 1;
    return (uint32_t)lr >> LR_SRC_SHIFT < (*intid < 16 ? g->n : 1u);
}

/* A list register: an interrupt that there is, of this vCPU. */
static bool lr_valid(const struct vgic *g, const struct saved *s, unsigned cpu, uint64_t lr)
{
    uint64_t state = lr & (ARM_LR_PENDING | ARM_LR_ACTIVE);
    const struct vgic_bank *b;
    uint32_t intid;
    unsigned idx;

    if (!state || lr & ~LR_SAVED || !lr_intid(g, lr, &intid))
        return false;
    idx = vgic_index(g, intid);
    b = idx == ~0u ? NULL : saved_bank(g, s, cpu, idx);
    return b && b->in_lr >> (idx & 31) & 1 && b->home[idx & 31] == cpu;
}

/* Each interrupt is in one list register only. */
static bool lrs_valid(const struct vgic *g, const struct saved *s, unsigned cpu)
{
    const struct saved_cpu *c = &s->cpu[cpu];
    uint32_t a, b;

    for (unsigned n = 0; n < c->nlrs; n++) {
        if (!lr_valid(g, s, cpu, c->lr[n]) || !lr_intid(g, c->lr[n], &a))
            return false;
        for (unsigned k = 0; k < n; k++)
            if (!lr_intid(g, c->lr[k], &b) || a == b)
                return false;
    }
    return state_all_zero(&c->lr[c->nlrs], (ARM_LRS_MAX - c->nlrs) * sizeof c->lr[0]);
}

static bool sources_valid(const struct vgic *g, const struct saved_cpu *c)
{
    for (unsigned n = 0; n < 16; n++)
        if (g->version == 2 ? c->sgi_src[n] >> g->n : c->sgi_src[n])
            return false;
    return !(c->raise & ~(0xffffu | PPI_VTIMER | PPI_PTIMER));
}

static bool cpu_valid(const struct vgic *g, const struct saved *s, unsigned n)
{
    const struct saved_cpu *c = &s->cpu[n];

    return local_valid(g, &c->s.local, n) && vgic_redist_valid(g, &c->s) && c->s.cntp_ctl <= 3 &&
           c->nlrs <= ARM_LRS_MAX && !(c->lr_pending >> c->nlrs) && sources_valid(g, c) &&
           lrs_valid(g, s, n);
}

/* All that shall be in a list register is: each of these has a bank's bit of its own. */
static bool all_in_lrs(const struct vgic *g, const struct saved *s)
{
    unsigned lrs = 0, bits = 0;

    for (unsigned n = 0; n < g->n; n++) {
        lrs += s->cpu[n].nlrs;
        bits += (unsigned)__builtin_popcount(s->cpu[n].s.local.in_lr);
    }
    for (unsigned n = 0; n < VGIC_SPI_BANKS; n++)
        bits += (unsigned)__builtin_popcount(s->head->s.spi[n].in_lr);
    for (unsigned n = 0; g->has_its && n < VGIC_LPI_BANKS; n++)
        bits += (unsigned)__builtin_popcount(s->lpi[n].in_lr);
    return lrs == bits;
}

static bool valid(const struct vgic *g, const struct saved *s)
{
    if (!same_machine(g, s->head) || !spis_valid(g, &s->head->s) || !lpis_valid(g, s->lpi))
        return false;
    if (g->has_its ? !its_state_valid(&s->head->its)
                   : !state_all_zero(&s->head->its, sizeof s->head->its))
        return false;
    for (unsigned n = 0; n < g->n; n++)
        if (!cpu_valid(g, s, n))
            return false;
    return all_in_lrs(g, s);
}

/* ---- restoring ---- */

static void restore_cpu(struct vgic_cpu *c, const struct saved_cpu *s)
{
    c->s = s->s;
    c->raise = s->raise;
    memcpy(c->sgi_src, s->sgi_src, sizeof c->sgi_src);
    memset(c->ready, 0, sizeof c->ready);
    memset(c->ready_words, 0, sizeof c->ready_words);
    memset(c->gic.lr, 0, sizeof c->gic.lr);
    c->nready = c->active_out = c->gic.used = c->gic.hcr = c->lr_pending = 0;
    c->gic.dirty = (1u << c->g->nlrs) - 1;
    c->looked = c->woken = c->just_fired = c->phys_sync = c->v->vintc_hooks = false;
    c->lpi_left = 0;
    c->stale = 1; /* who resumes the VM asks each vCPU to look */
}

/* This machine may have fewer list registers: what has no room is taken back (vgic_lr.c). */
static void restore_lrs(struct vgic_cpu *c, const struct saved_cpu *s)
{
    for (unsigned n = 0; n < s->nlrs; n++)
        vgic_lr_put_back(c, s->lr[n], s->lr_pending >> n & 1);
}

/*
 * What is active in no list register counts where its home is; what is wanted becomes ready, of 1
 * of N where it was.
 */
static void restore_bank(struct vgic *g, struct vgic_cpu *c, unsigned first)
{
    struct vgic_bank *b = vgic_bank_at(g, c, first);

    for (uint32_t bits = b ? b->active : 0; bits; bits &= bits - 1)
        g->cpu[b->home[__builtin_ctz(bits)]]->active_out++;
    for (uint32_t bits = b ? ready_of(b) : 0; bits; bits &= bits - 1) {
        unsigned n = (unsigned)__builtin_ctz(bits);
        unsigned at = place_of(g, first == 0, b->home[n], b->route[n]);

        if (at == ~0u)
            continue;
        b->home[n] = (uint16_t)at;
        vgic_set_ready(g->cpu[at], first + n, true);
    }
}

static void restore_all(struct vgic *g, const struct saved *s)
{
    g->s = s->head->s;
    g->its.s = s->head->its;
    g->next_any = s->head->next_any;
    if (g->has_its)
        memcpy(g->lpi, s->lpi, VGIC_LPI_BANKS * sizeof *g->lpi);
    for (unsigned n = 0; n < g->n; n++)
        restore_cpu(g->cpu[n], &s->cpu[n]);
    for (unsigned n = 0; n < g->n; n++)
        restore_lrs(g->cpu[n], &s->cpu[n]);
    for (unsigned n = 0; n < g->n; n++)
        restore_bank(g, g->cpu[n], 0);
    for (unsigned first = 32; first < VGIC_LPI + (g->has_its ? VGIC_LPIS : 0); first += 32)
        restore_bank(g, NULL, first);
}

static int gic_restore(struct vm *vm, uint32_t i, const void *buf)
{
    struct vgic *g = vm->vintc;
    struct saved s = parts_of(g, buf);

    assert_cpu0();
    assert_parked(vm);
    (void)i;
    if (!valid(g, &s))
        return -EINVAL;
    spin_lock(&g->lock);
    restore_all(g, &s);
    spin_unlock(&g->lock);
    return 0;
}

/* ---- standing still ---- */

static int gic_quiesce(struct vm *vm, uint32_t i)
{
    struct vgic *g = vm->vintc;

    assert_cpu0();
    assert_parked(vm);
    (void)i;
    for (unsigned n = 0; g && n < g->n; n++)
        vtimer_cpu_quiesce(g->cpu[n]);
    if (g && g->has_its)
        its_quiesce(g);
    return 0;
}

static void gic_resume(struct vm *vm, uint32_t i)
{
    struct vgic *g = vm->vintc;

    assert_cpu0();
    assert_parked(vm);
    (void)i;
    for (unsigned n = 0; g && n < g->n; n++)
        vtimer_cpu_resume(g->cpu[n]);
    if (g && g->has_its)
        its_resume(g);
}

const struct state_ops vgic_state = { .name = "GIC and timers",
                                      .kind = STATE_VGIC,
                                      .version = 2,
                                      .quiesce = gic_quiesce,
                                      .size = gic_size,
                                      .save = gic_save,
                                      .restore = gic_restore,
                                      .resume = gic_resume };
