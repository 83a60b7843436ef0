/* vgic_bank.c: registers that hold a field for each interrupt, the same in GICv2 and GICv3, distributor and redistributor. */
#include <hv/percpu.h>
#include "vgic_int.h"

/* vCPUs other than the one that asks in whose list registers some of these 32 interrupts are. */
static uint64_t holders(struct vgic *g, struct vgic_cpu *c, unsigned first)
{
    const struct vcpu *me = this_cpu()->current;
    uint64_t found = 0;

    for (unsigned n = 0; n < 32; n++) {
        const struct vgic_irq *i = vgic_irq_at(g, c, first + n);

        if (i && i->flags & VF_IN_LR && g->cpu[i->home]->v != me)
            found |= 1ull << i->home;
    }
    return found;
}

/* Makes the list registers tell the truth before somebody reads or changes states that they hold. */
static void settle(struct vgic *g, struct vgic_cpu *c, unsigned first)
{
    uint64_t found;

    spin_lock(&g->lock);
    found = holders(g, c, first);
    spin_unlock(&g->lock);
    if (found)
        vgic_settle(g, found);
}

static bool pending_now(struct vgic *g, struct vgic_cpu *c, const struct vgic_irq *i, unsigned idx)
{
    (void)c;
    return vgic_pending(i) || (i->flags & VF_IN_LR && vgic_lr_state(g, i, idx) & 1);
}

static bool active_now(struct vgic *g, struct vgic_cpu *c, const struct vgic_irq *i, unsigned idx)
{
    (void)c;
    return i->flags & VF_ACTIVE || (i->flags & VF_IN_LR && vgic_lr_state(g, i, idx) & 2);
}

static bool enabled_now(struct vgic *g, struct vgic_cpu *c, const struct vgic_irq *i, unsigned idx)
{
    (void)g, (void)c, (void)idx;
    return i->flags & VF_ENABLED;
}

static bool group_now(struct vgic *g, struct vgic_cpu *c, const struct vgic_irq *i, unsigned idx)
{
    (void)g, (void)c, (void)idx;
    return i->flags & VF_GROUP1;
}

static void set_flag(struct vgic *g, struct vgic_cpu *c, unsigned idx, uint16_t flag, bool on)
{
    struct vgic_irq *i = vgic_irq_at(g, c, idx);

    if (!!(i->flags & flag) == on)
        return;
    i->flags ^= flag;
    vgic_update(g, c, idx);
}

static void enable(struct vgic *g, struct vgic_cpu *c, unsigned idx) { set_flag(g, c, idx, VF_ENABLED, true); }
static void disable(struct vgic *g, struct vgic_cpu *c, unsigned idx) { set_flag(g, c, idx, VF_ENABLED, false); }
static void activate(struct vgic *g, struct vgic_cpu *c, unsigned idx) { vgic_set_active(g, c, idx, true); }
static void deactivate(struct vgic *g, struct vgic_cpu *c, unsigned idx) { vgic_set_active(g, c, idx, false); }

/* set: what a 1 does; reading says what holds now. */
static const struct {
    bool (*get)(struct vgic *, struct vgic_cpu *, const struct vgic_irq *, unsigned idx);
    void (*set)(struct vgic *, struct vgic_cpu *, unsigned idx);
    bool live;                        /* the state may lie in a list register */
} banks[] = {
    [BANK_GROUP] = { group_now, NULL, false },
    [BANK_ENABLE_SET] = { enabled_now, enable, false },
    [BANK_ENABLE_CLEAR] = { enabled_now, disable, false },
    [BANK_PEND_SET] = { pending_now, vgic_set_latch, true },
    [BANK_PEND_CLEAR] = { pending_now, vgic_clear_latch, true },
    [BANK_ACTIVE_SET] = { active_now, activate, true },
    [BANK_ACTIVE_CLEAR] = { active_now, deactivate, true },
};

uint32_t vgic_bank_read(struct vgic *g, struct vgic_cpu *c, enum vgic_bank b, unsigned first)
{
    uint32_t val = 0;

    if (banks[b].live)
        settle(g, c, first);
    spin_lock(&g->lock);
    if (first == 0 && banks[b].live)
        vgic_take_raised(c);
    for (unsigned n = 0; n < 32; n++) {
        const struct vgic_irq *i = vgic_irq_at(g, c, first + n);

        if (i && banks[b].get(g, c, i, first + n))
            val |= 1u << n;
    }
    spin_unlock(&g->lock);
    return val;
}

static void write_groups(struct vgic *g, struct vgic_cpu *c, unsigned first, uint32_t val)
{
    for (unsigned n = 0; n < 32; n++)
        if (vgic_irq_at(g, c, first + n))
            set_flag(g, c, first + n, VF_GROUP1, val >> n & 1);
}

/* The pending bits of v2 SGIs are changed by GICD_SPENDSGIR and CPENDSGIR only. */
void vgic_bank_write(struct vgic *g, struct vgic_cpu *c, enum vgic_bank b, unsigned first, uint32_t val)
{
    if (first == 0 && g->version == 2 && (b == BANK_PEND_SET || b == BANK_PEND_CLEAR))
        val &= 0xffff0000;
    if (banks[b].live)
        settle(g, c, first);
    spin_lock(&g->lock);
    if (first == 0)
        vgic_take_raised(c);
    if (b == BANK_GROUP)
        write_groups(g, c, first, val);
    for (uint32_t bits = b == BANK_GROUP ? 0 : val; bits; bits &= bits - 1) {
        unsigned idx = first + (unsigned)__builtin_ctz(bits);

        if (vgic_irq_at(g, c, idx))
            banks[b].set(g, c, idx);
    }
    spin_unlock(&g->lock);
}

uint32_t vgic_prio_read(struct vgic *g, struct vgic_cpu *c, unsigned first, unsigned n)
{
    uint32_t val = 0;

    for (unsigned k = 0; k < n; k++) {
        const struct vgic_irq *i = vgic_irq_at(g, c, first + k);

        val |= i ? (uint32_t)i->prio << 8 * k : 0;
    }
    return val;
}

/* What lies in a list register gets its new priority when its CPU comes by. */
void vgic_prio_write(struct vgic *g, struct vgic_cpu *c, unsigned first, unsigned n, uint32_t val)
{
    spin_lock(&g->lock);
    for (unsigned k = 0; k < n; k++) {
        struct vgic_irq *i = vgic_irq_at(g, c, first + k);

        if (!i)
            continue;
        i->prio = (uint8_t)(val >> 8 * k & VGIC_PRIO_MASK);
        if (i->flags & VF_IN_LR)
            __atomic_store_n(&g->cpu[i->home]->stale, 1, __ATOMIC_SEQ_CST);
    }
    spin_unlock(&g->lock);
}

uint32_t vgic_cfg_read(struct vgic *g, struct vgic_cpu *c, unsigned first)
{
    uint32_t val = 0;

    for (unsigned n = 0; n < 16; n++) {
        const struct vgic_irq *i = vgic_irq_at(g, c, first + n);

        if (i && i->flags & VF_EDGE)
            val |= 2u << 2 * n;
    }
    return val;
}

/* SGIs are edges, PPIs levels: fixed (GICv3 §12.9.7, §12.11.9 allow it). */
void vgic_cfg_write(struct vgic *g, struct vgic_cpu *c, unsigned first, uint32_t val)
{
    if (first < 32)
        return;
    spin_lock(&g->lock);
    for (unsigned n = 0; n < 16; n++)
        if (vgic_irq_at(g, c, first + n))
            set_flag(g, c, first + n, VF_EDGE, val >> (2 * n + 1) & 1);
    spin_unlock(&g->lock);
}

/* ---- register tables ---- */

/* Drivers read one register again and again: the one that was found last is looked at first. Any CPU may write the hint; it is only a hint. */
static const struct vgic_reg *last_found;

static bool fits(const struct vgic_reg *r, uint32_t off, unsigned size)
{
    return (r->sizes & size) && !(off & (size - 1));
}

static const struct vgic_reg *find(const struct vgic_reg *r, size_t n, uint32_t off, unsigned size)
{
    const struct vgic_reg *hint = __atomic_load_n(&last_found, __ATOMIC_RELAXED);
    size_t lo = 0, hi = n;

    if ((uintptr_t)hint - (uintptr_t)r < n * sizeof *r && off >= hint->first && off <= hint->last)
        return fits(hint, off, size) ? hint : NULL;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (off < r[mid].first)
            hi = mid;
        else if (off > r[mid].last)
            lo = mid + 1;
        else
            break;
    }
    if (lo >= hi)
        return NULL;
    r += (lo + hi) / 2;
    __atomic_store_n(&last_found, r, __ATOMIC_RELAXED);
    return fits(r, off, size) ? r : NULL;
}

uint64_t vgic_reg_read(const struct vgic_reg *r, size_t n, struct vgic *g, struct vgic_cpu *c, uint32_t off, unsigned size)
{
    r = find(r, n, off, size);
    return r && r->read ? r->read(g, c, r, off, size) : 0;
}

void vgic_reg_write(const struct vgic_reg *r, size_t n, struct vgic *g, struct vgic_cpu *c, uint32_t off, unsigned size, uint64_t val)
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
