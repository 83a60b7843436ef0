/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vgic_save.c: the controller's and the timers' state as plain words, and back. What is saved is
 * what a guest can see, with the list registers, which hold a part of it; what follows from it (who
 * is ready where, events, what the CPU has) is made anew. A saved state may come from anywhere: it
 * is checked as a whole before anything is touched, and what the code relies on is put right or
 * refused.
 */
#include <hv/percpu.h>
#include <string.h>
#include "vgic_int.h"

struct saved_head {
    uint32_t version, size; /* of all of it */
    uint8_t gic, has_its;
    uint16_t nspis, n;
    uint16_t next_any;
    uint32_t zero;
    struct vgic_state s;
    struct its_state its;
};
struct saved_cpu {
    struct vgic_cpu_state s;
    uint64_t lr[ARM_LRS_MAX]; /* of `used` only */
    uint32_t used, lr_pending, raise, zero;
    uint8_t sgi_src[16];
};
/* One after the other: the head, n of the second, and with an ITS the LPIs' banks. */
struct saved {
    struct saved_head *head;
    struct saved_cpu *cpu;
    struct vgic_bank *lpi;
};

static struct saved parts_of(const struct vgic *g, void *buf)
{
    struct saved s = { .head = buf };

    s.cpu = (struct saved_cpu *)(s.head + 1);
    s.lpi = (struct vgic_bank *)(s.cpu + g->n);
    return s;
}

size_t vgic_save_size(const struct vm *vm)
{
    const struct vgic *g = vm->vintc;

    return sizeof(struct saved_head) + g->n * sizeof(struct saved_cpu) +
           (g->has_its ? VGIC_LPI_BANKS * sizeof(struct vgic_bank) : 0);
}

/* ---- saving ---- */

static void save_cpu(const struct vgic_cpu *c, struct saved_cpu *s)
{
    s->s = c->s;
    for (uint32_t used = c->gic.used; used; used &= used - 1)
        s->lr[__builtin_ctz(used)] = c->gic.lr[__builtin_ctz(used)];
    s->used = c->gic.used;
    s->lr_pending = c->lr_pending;
    s->raise = __atomic_load_n(&c->raise, __ATOMIC_RELAXED);
    memcpy(s->sgi_src, c->sgi_src, sizeof s->sgi_src);
}

int vgic_save(struct vm *vm, void *buf, size_t len)
{
    struct vgic *g = vm->vintc;
    struct saved s = parts_of(g, buf);

    if (!g->version || len != vgic_save_size(vm))
        return -EINVAL;
    memset(buf, 0, len);
    spin_lock(&g->lock);
    for (unsigned n = 0; n < g->n; n++)
        /* what waits in guest memory is not in the state */
        (void)its_read_pending(g, g->cpu[n], UINT32_MAX);
    *s.head = (struct saved_head){ .version = VGIC_STATE_VERSION,
                                   .size = (uint32_t)len,
                                   .gic = g->version,
                                   .has_its = g->has_its,
                                   .nspis = g->nspis,
                                   .n = g->n,
                                   .next_any = g->next_any,
                                   .s = g->s,
                                   .its = g->its.s };
    for (unsigned n = 0; n < g->n; n++)
        save_cpu(g->cpu[n], &s.cpu[n]);
    if (g->has_its)
        memcpy(s.lpi, g->lpi, VGIC_LPI_BANKS * sizeof *s.lpi);
    spin_unlock(&g->lock);
    return 0;
}

/* ---- checking ---- */

/* The same machine: other sizes would need another layout. */
static bool same_machine(const struct vgic *g, const struct saved_head *h)
{
    return h->version == VGIC_STATE_VERSION && h->gic == g->version && h->has_its == g->has_its &&
           h->nspis == g->nspis && h->n == g->n && h->s.version == VGIC_STATE_VERSION &&
           (!g->has_its || h->its.version == VGIC_STATE_VERSION);
}

/* there: those that are implemented. */
static bool clean_bank(const struct vgic *g, struct vgic_bank *b, uint32_t there)
{
    uint32_t *const words[] = { &b->enabled, &b->latch, &b->line,  &b->active,
                                &b->group1,  &b->edge,  &b->deact, &b->unpend };

    for (unsigned n = 0; n < ARRAY_SIZE(words); n++)
        *words[n] &= there;
    b->in_lr = 0; /* made anew from the list registers */
    for (unsigned n = 0; n < 32; n++) {
        b->prio[n] &= VGIC_PRIO_MASK;
        if (b->home[n] >= g->n || (g->version == 2 && b->route[n] >> g->n))
            return false;
    }
    return true;
}

static bool clean_local(const struct vgic *g, struct vgic_bank *b, unsigned id)
{
    b->edge = 0xffff;
    memset(b->home, (int)id, sizeof b->home);
    if (!clean_bank(g, b, ~0u))
        return false;
    for (unsigned n = 0; n < 16 && g->version == 2; n++)
        vgic_put_bit(&b->latch, 1u << n, b->route[n]);
    return true;
}

static bool clean_lpis(const struct vgic *g, struct vgic_bank *lpi)
{
    for (unsigned n = 0; g->has_its && n < VGIC_LPI_BANKS; n++) {
        lpi[n].edge = lpi[n].group1 = ~0u;
        lpi[n].line = lpi[n].active = 0;
        if (!clean_bank(g, &lpi[n], ~0u))
            return false;
    }
    return true;
}

/* The bank of a saved state that idx is in; NULL: there is none. */
static struct vgic_bank *saved_bank(const struct vgic *g, const struct saved *s, unsigned cpu,
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

/*
 * A list register: an interrupt that there is, in this one only, and not active elsewhere. Its
 * attributes are those of the interrupt.
 */
static bool clean_lr(const struct vgic *g, const struct saved *s, unsigned cpu, uint64_t *lr)
{
    uint64_t state = *lr & (ARM_LR_PENDING | ARM_LR_ACTIVE);
    uint32_t intid = (uint32_t)*lr, source = 0;
    struct vgic_bank *b;
    unsigned idx;

    if (g->version == 2) {
        source = intid & 0x3ff & ~15u ? 0 : intid & 7u << LR_SRC_SHIFT;
        intid &= 0x3ff;
    }
    idx = vgic_index(g, intid);
    b = idx == ~0u ? NULL : saved_bank(g, s, cpu, idx);
    if (!b || !state || (idx >= VGIC_LPI && state & ARM_LR_ACTIVE) ||
        (b->in_lr | b->active) >> (idx & 31) & 1)
        return false;
    b->in_lr |= 1u << (idx & 31);
    b->home[idx & 31] = (uint8_t)cpu;
    *lr = state | source | intid;
    return true;
}

static bool clean_cpu(const struct vgic *g, const struct saved *s, unsigned n)
{
    struct saved_cpu *c = &s->cpu[n];

    if (c->s.version != VGIC_STATE_VERSION || c->used >> ARM_LRS_MAX)
        return false;
    c->lr_pending &= c->used;
    c->s.waker = c->s.waker & 2 ? 6 : 0;
    c->s.ctlr &= g->has_its ? GICR_CTLR_LPIS : 0;
    c->s.cntp_ctl &= 3;
    for (uint32_t used = c->used; used; used &= used - 1)
        if (!clean_lr(g, s, n, &c->lr[__builtin_ctz(used)]))
            return false;
    return true;
}

/* Only what is in a list register can wait for it to lose a state. */
static void clean_waiting(const struct vgic *g, const struct saved *s)
{
    for (unsigned idx = 0; idx < VGIC_LPI + (g->has_its ? VGIC_LPIS : 0); idx += 32)
        for (unsigned n = 0; n < (idx ? 1u : g->n); n++) {
            struct vgic_bank *b = saved_bank(g, s, n, idx);

            if (b) {
                b->deact &= b->in_lr;
                b->unpend &= b->in_lr;
            }
        }
}

static bool clean(const struct vgic *g, const struct saved *s)
{
    bool ok = same_machine(g, s->head) && clean_lpis(g, s->lpi);

    for (unsigned n = 0; ok && n < VGIC_SPI_BANKS; n++) {
        uint32_t past = n * 32 >= g->nspis        ? 32
                        : g->nspis - n * 32 >= 32 ? 0
                                                  : 32 - (g->nspis - n * 32);

        ok = clean_bank(g, &s->head->s.spi[n], past == 32 ? 0 : ~0u >> past);
    }
    for (unsigned n = 0; ok && n < g->n; n++)
        ok = clean_local(g, &s->cpu[n].s.local, n);
    for (unsigned n = 0; ok && n < g->n; n++)
        ok = clean_cpu(g, s, n);
    s->head->s.ctlr &= GICD_CTLR_G0 | (g->version == 3 ? GICD_CTLR_G1 : 0);
    s->head->its.ctlr &= 1;
    if (ok)
        clean_waiting(g, s);
    return ok;
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
    c->looked = c->woken = c->just_fired = c->phys_sync = false;
}

/* This machine may have fewer list registers: what has no room is taken back (vgic_lr.c). */
static void restore_lrs(struct vgic_cpu *c, const struct saved_cpu *s)
{
    for (uint32_t used = s->used; used; used &= used - 1) {
        unsigned n = (unsigned)__builtin_ctz(used);

        vgic_lr_put_back(c, s->lr[n], s->lr_pending >> n & 1);
    }
}

/* What is active in no list register counts where its home is; what is wanted becomes ready. */
static void restore_bank(struct vgic *g, struct vgic_cpu *c, unsigned first)
{
    struct vgic_bank *b = vgic_bank_at(g, c, first);

    for (uint32_t bits = b ? b->active : 0; bits; bits &= bits - 1)
        g->cpu[b->home[__builtin_ctz(bits)]]->active_out++;
    for (uint32_t bits = b ? vgic_bank_wanted(b) & ~b->in_lr : 0; bits; bits &= bits - 1)
        vgic_update(g, c, first + (unsigned)__builtin_ctz(bits));
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
    for (unsigned n = 0; n < g->n; n++)
        vgic_look(g->cpu[n]);
}

int vgic_restore(struct vm *vm, const void *buf, size_t len)
{
    struct vgic *g = vm->vintc;
    void *copy = len == vgic_save_size(vm) ? vm_alloc(vm, len) : NULL;
    struct saved s;

    if (!copy)
        return len == vgic_save_size(vm) ? -ENOMEM : -EINVAL;
    memcpy(copy, buf, len);
    s = parts_of(g, copy);
    if (!g->version || !clean(g, &s)) {
        vm_free(vm, copy, len);
        return -EINVAL;
    }
    spin_lock(&g->lock);
    restore_all(g, &s);
    spin_unlock(&g->lock);
    vm_free(vm, copy, len);
    vtimer_sync_clock(vm);
    for (unsigned n = 0; n < g->n; n++)
        vtimer_cpu_restored(g->cpu[n]);
    if (g->has_its)
        event_post(&g->its.work); /* commands may wait */
    return 0;
}
