/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vgic_bank.c: registers that hold a field for each interrupt, the same in GICv2 and GICv3,
 * distributor and redistributor.
 */
#include <hv/assert.h>
#include <hv/percpu.h>
#include "vgic_int.h"

/*
 * vCPUs other than the one that asks in whose list registers some of `bits` of these interrupts
 * are.
 */
static void holders(struct vgic *g, const struct vgic_bank *b, uint32_t bits,
                    struct vgic_holders *h)
{
    const struct vcpu *me = this_cpu()->current;

    h->n = 0;
    for (bits &= b->in_lr; bits; bits &= bits - 1) {
        struct vcpu *v = g->cpu[b->home[__builtin_ctz(bits)]]->v;

        if (v != me && (!h->n || h->vcpu[h->n - 1] != v)) /* twice is no mistake */
            h->vcpu[h->n++] = v;
    }
}

/*
 * Makes the list registers tell the truth before somebody reads or changes states that they hold.
 */
static void settle(struct vgic *g, const struct vgic_bank *b, uint32_t bits)
{
    struct vgic_holders h;

    spin_lock(&g->lock);
    holders(g, b, bits, &h);
    spin_unlock(&g->lock);
    vgic_settle(&h);
}

/* ---- reading: the word, and what the list registers hold ---- */

static uint32_t in_registers(struct vgic *g, struct vgic_bank *b, unsigned first, unsigned state)
{
    uint32_t val = 0;

    for (uint32_t bits = b->in_lr; bits; bits &= bits - 1) {
        unsigned n = (unsigned)__builtin_ctz(bits);

        if (vgic_lr_state(g, (struct vgic_irq){ b, 1u << n, n }, first + n) & state)
            val |= 1u << n;
    }
    return val;
}

/*
 * state: of a list register: pending 1, active 2. Most often none holds any of these: then no lock
 * is needed.
 */
static __attribute__((noinline)) uint32_t read_live(struct vgic *g, struct vgic_cpu *c,
                                                    struct vgic_bank *b, unsigned first,
                                                    unsigned state)
{
    uint32_t val;

    if (__atomic_load_n(&b->in_lr, __ATOMIC_RELAXED))
        settle(g, b, ~0u);
    spin_lock(&g->lock);
    if (first == 0)
        vgic_take_raised(c);
    val = state == 1 ? vgic_bank_pending(b) : b->active;
    if (b->in_lr)
        val |= in_registers(g, b, first, state);
    spin_unlock(&g->lock);
    return val;
}

uint32_t vgic_bank_read(struct vgic *g, struct vgic_cpu *c, enum vgic_bank_reg r, unsigned first)
{
    struct vgic_bank *b = vgic_bank_at(g, c, first);

    if (!b)
        return 0;
    if (r <= BANK_ENABLE_CLEAR)
        return __atomic_load_n(r == BANK_GROUP ? &b->group1 : &b->enabled, __ATOMIC_RELAXED);
    return read_live(g, c, b, first, r <= BANK_PEND_CLEAR ? 1 : 2);
}

/* ---- writing: only what changes is looked at ---- */

static void set_word(struct vgic *g, struct vgic_cpu *c, unsigned first, uint32_t *word,
                     uint32_t val)
{
    uint32_t changed = *word ^ val;

    debug_assert_held(&g->lock);
    __atomic_store_n(word, val, __ATOMIC_RELAXED);
    for (; changed; changed &= changed - 1)
        vgic_update(g, c, first + (unsigned)__builtin_ctz(changed));
}

static void set_state(struct vgic *g, struct vgic_cpu *c, enum vgic_bank_reg r, unsigned idx)
{
    debug_assert_held(&g->lock);
    if (r == BANK_PEND_SET)
        vgic_set_latch(g, c, idx);
    else if (r == BANK_PEND_CLEAR)
        vgic_clear_latch(g, c, idx);
    else
        vgic_set_active(g, c, idx, r == BANK_ACTIVE_SET);
}

/* Those of the 32 from `first` that there are: the distributor may end within them. */
static uint32_t implemented(const struct vgic *g, unsigned first)
{
    return first == 0 || first + 32 <= 32u + g->nspis ? ~0u : (1u << (32u + g->nspis - first)) - 1;
}

/* The pending bits of v2 SGIs are changed by GICD_SPENDSGIR and CPENDSGIR only. */
void vgic_bank_write(struct vgic *g, struct vgic_cpu *c, enum vgic_bank_reg r, unsigned first,
                     uint32_t val)
{
    struct vgic_bank *b = vgic_bank_at(g, c, first);

    if (!b)
        return;
    val &= implemented(g, first);
    if (first == 0 && g->version == 2 && (r == BANK_PEND_SET || r == BANK_PEND_CLEAR))
        val &= 0xffff0000;
    if (!val && r != BANK_GROUP)
        return;
    if (r >= BANK_PEND_SET)
        settle(g, b, val);
    spin_lock(&g->lock);
    if (first == 0)
        vgic_take_raised(c);
    if (r == BANK_GROUP)
        set_word(g, c, first, &b->group1, val);
    else if (r <= BANK_ENABLE_CLEAR)
        set_word(g, c, first, &b->enabled,
                 r == BANK_ENABLE_SET ? b->enabled | val : b->enabled & ~val);
    for (uint32_t bits = r >= BANK_PEND_SET ? val : 0; bits; bits &= bits - 1)
        set_state(g, c, r, first + (unsigned)__builtin_ctz(bits));
    spin_unlock(&g->lock);
}

/* ---- priorities: n bytes, within one bank ---- */

uint32_t vgic_prio_read(struct vgic *g, struct vgic_cpu *c, unsigned first, unsigned n)
{
    const struct vgic_bank *b = vgic_bank_at(g, c, first);
    uint32_t val = 0;

    for (unsigned k = 0; b && k < n; k++)
        val |= (uint32_t)b->prio[(first + k) & 31] << 8 * k;
    return val;
}

/* What lies in a list register gets its new priority when its CPU comes by. */
void vgic_prio_write(struct vgic *g, struct vgic_cpu *c, unsigned first, unsigned n, uint32_t val)
{
    spin_lock(&g->lock);
    for (unsigned k = 0; k < n; k++) {
        struct vgic_irq i = vgic_irq_at(g, c, first + k);

        if (!i.b)
            continue;
        i.b->prio[i.n] = (uint8_t)(val >> 8 * k & VGIC_PRIO_MASK);
        if (i.b->in_lr & i.bit)
            __atomic_store_n(&g->cpu[i.b->home[i.n]]->stale, 1, __ATOMIC_RELEASE);
    }
    spin_unlock(&g->lock);
}

/* ---- triggers: 16 fields of 2 bits, of which the upper says edge ---- */

uint32_t vgic_cfg_read(struct vgic *g, struct vgic_cpu *c, unsigned first)
{
    const struct vgic_bank *b = vgic_bank_at(g, c, first);
    uint32_t val = 0;

    for (uint32_t bits = b ? b->edge >> (first & 31) & 0xffff : 0; bits; bits &= bits - 1)
        val |= 2u << 2 * __builtin_ctz(bits);
    return val;
}

/* SGIs are edges, PPIs levels: fixed (GICv3 §12.9.7, §12.11.9 allow it). */
void vgic_cfg_write(struct vgic *g, struct vgic_cpu *c, unsigned first, uint32_t val)
{
    unsigned shift = first & 31, bank = first - shift;
    struct vgic_bank *b = first < 32 ? NULL : vgic_bank_at(g, c, first);
    uint32_t edge = 0;

    if (!b)
        return;
    for (unsigned n = 0; n < 16; n++)
        edge |= (val >> (2 * n + 1) & 1) << (n + shift);
    spin_lock(&g->lock);
    set_word(g, c, bank, &b->edge, ((b->edge & ~(0xffffu << shift)) | edge) & implemented(g, bank));
    spin_unlock(&g->lock);
}

/* ---- register tables ---- */

/* The tables are short, and what is used most stands first: faster than halving. */
static inline __attribute__((always_inline)) const struct vgic_reg *find(const struct vgic_reg *r,
                                                                         size_t n, uint32_t off,
                                                                         unsigned size)
{
    const struct vgic_reg *end = r + n;

    while (r < end && off > r->last)
        r++;
    return r < end && off >= r->first && r->sizes & size && !(off & (size - 1)) ? r : NULL;
}

uint64_t vgic_reg_read(const struct vgic_reg *r, size_t n, struct vgic *g, struct vgic_cpu *c,
                       uint32_t off, unsigned size)
{
    r = find(r, n, off, size);
    return r && r->read ? r->read(g, c, r, off, size) : 0;
}

void vgic_reg_write(const struct vgic_reg *r, size_t n, struct vgic *g, struct vgic_cpu *c,
                    uint32_t off, unsigned size, uint64_t val)
{
    r = find(r, n, off, size);
    if (r && r->write)
        r->write(g, c, r, off, size, val);
}

uint64_t vgic_half(uint64_t reg, uint32_t off, unsigned size)
{
    return size == 8 ? reg : (uint32_t)(reg >> (off & 4) * 8);
}

uint64_t vgic_merge(uint64_t reg, uint32_t off, unsigned size, uint64_t val)
{
    unsigned shift = (off & 4) * 8;

    return size == 8 ? val : (reg & ~(0xffffffffull << shift)) | (val & 0xffffffff) << shift;
}
