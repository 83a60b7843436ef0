/* vgic_bank.c: registers that hold a field for each interrupt, the same in GICv2 and GICv3, distributor and redistributor. */
#include <hv/percpu.h>
#include "vgic_int.h"

/* The 32 interrupts of one register; fewer (perhaps none) where the distributor ends. */
static unsigned bank_of(struct vgic *g, struct vgic_cpu *c, unsigned first, struct vgic_irq **irqs)
{
    *irqs = vgic_irq_at(g, c, first);
    if (!*irqs)
        return 0;
    return first == 0 || first + 32 <= 32u + g->nspis ? 32 : g->nspis + 32 - first;
}

/* Which of them have any of these flags. */
static uint32_t flagged(const struct vgic_irq *irqs, unsigned n, uint16_t flags)
{
    uint32_t val = 0;

    for (unsigned k = 0; k < n; k++)
        val |= (uint32_t)((irqs[k].flags & flags) != 0) << k;
    return val;
}

/* vCPUs other than the one that asks in whose list registers some of `bits` of these interrupts are. */
static uint64_t holders(struct vgic *g, struct vgic_cpu *c, unsigned first, uint32_t bits)
{
    const struct vcpu *me = this_cpu()->current;
    struct vgic_irq *irqs;
    unsigned n = bank_of(g, c, first, &irqs);
    uint64_t found = 0;

    for (bits &= flagged(irqs, n, VF_IN_LR); bits; bits &= bits - 1) {
        unsigned home = irqs[__builtin_ctz(bits)].home;

        if (g->cpu[home]->v != me)
            found |= 1ull << home;
    }
    return found;
}

/* Makes the list registers tell the truth before somebody reads or changes states that they hold. */
static void settle(struct vgic *g, struct vgic_cpu *c, unsigned first, uint32_t bits)
{
    uint64_t found;

    spin_lock(&g->lock);
    found = holders(g, c, first, bits);
    spin_unlock(&g->lock);
    if (found)
        vgic_settle(g, found);
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

/*
 * Reading gives the interrupts with any of `flags`, and those in a list register in state `live` (pending 1, active 2). set: what a 1 does.
 * LINE of an edge-triggered interrupt does not count.
 */
static const struct { uint16_t flags; uint8_t live; void (*set)(struct vgic *, struct vgic_cpu *, unsigned idx); } banks[] = {
    [BANK_GROUP] = { VF_GROUP1, 0, NULL },
    [BANK_ENABLE_SET] = { VF_ENABLED, 0, enable },
    [BANK_ENABLE_CLEAR] = { VF_ENABLED, 0, disable },
    [BANK_PEND_SET] = { VF_LATCH, 1, vgic_set_latch },
    [BANK_PEND_CLEAR] = { VF_LATCH, 1, vgic_clear_latch },
    [BANK_ACTIVE_SET] = { VF_ACTIVE, 2, activate },
    [BANK_ACTIVE_CLEAR] = { VF_ACTIVE, 2, deactivate },
};

static uint32_t in_registers(struct vgic *g, const struct vgic_irq *irqs, unsigned n, unsigned first, unsigned state)
{
    uint32_t val = 0;

    for (uint32_t bits = flagged(irqs, n, VF_IN_LR); bits; bits &= bits - 1) {
        unsigned k = (unsigned)__builtin_ctz(bits);

        if (vgic_lr_state(g, &irqs[k], first + k) & state)
            val |= 1u << k;
    }
    return val;
}

static uint32_t read_live(struct vgic *g, struct vgic_cpu *c, enum vgic_bank b, unsigned first)
{
    struct vgic_irq *irqs;
    unsigned n = bank_of(g, c, first, &irqs);
    uint32_t val;

    settle(g, c, first, ~0u);
    spin_lock(&g->lock);
    if (first == 0)
        vgic_take_raised(c);
    val = flagged(irqs, n, banks[b].flags) | in_registers(g, irqs, n, first, banks[b].live);
    if (banks[b].live == 1)
        val |= flagged(irqs, n, VF_LINE) & ~flagged(irqs, n, VF_EDGE);
    spin_unlock(&g->lock);
    return val;
}

uint32_t vgic_bank_read(struct vgic *g, struct vgic_cpu *c, enum vgic_bank b, unsigned first)
{
    struct vgic_irq *irqs;
    unsigned n = bank_of(g, c, first, &irqs);

    return banks[b].live ? read_live(g, c, b, first) : flagged(irqs, n, banks[b].flags);
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
    if (!val && b != BANK_GROUP)
        return;
    if (banks[b].live)
        settle(g, c, first, val);
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

/* The tables are short, and what is used most stands first: faster than halving. */
static const struct vgic_reg *find(const struct vgic_reg *r, size_t n, uint32_t off, unsigned size)
{
    const struct vgic_reg *end = r + n;

    while (r < end && off > r->last)
        r++;
    return r < end && off >= r->first && r->sizes & size && !(off & (size - 1)) ? r : NULL;
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
