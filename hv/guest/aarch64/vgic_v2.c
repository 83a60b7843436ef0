/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vgic_v2.c: the GICv2 distributor (GICv2 §4.3), and the frame through which devices send MSIs to
 * it (GICv2m, SBSA appendix E). The CPU interface is the hardware's GICV, mapped into the guest. No
 * security extensions: one group, enabled by GICD_CTLR bit 0.
 */
#include <hv/assert.h>
#include "vgic_int.h"

static uint64_t read_ctlr(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                          uint32_t off, unsigned size)
{
    (void)c, (void)r, (void)off, (void)size;
    return g->s.ctlr;
}

static void write_ctlr(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r, uint32_t off,
                       unsigned size, uint64_t val)
{
    (void)c, (void)r, (void)off, (void)size;
    spin_lock(&g->lock);
    g->s.ctlr = (uint32_t)val & GICD_CTLR_G0;
    for (unsigned n = 0; n < g->n; n++)
        if (g->cpu[n])
            vgic_look(g->cpu[n]);
    spin_unlock(&g->lock);
}

/* ITLinesNumber 4:0, CPUNumber 7:5. */
static uint64_t read_typer(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                           uint32_t off, unsigned size)
{
    (void)c, (void)r, (void)off, (void)size;
    return ((32u + g->nspis + 31) / 32 - 1) | (g->n - 1u) << 5;
}

static uint64_t read_id(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r, uint32_t off,
                        unsigned size)
{
    (void)g, (void)c, (void)off, (void)size;
    return r->arg ? 0x2b : VGIC_IIDR; /* GICD_ICPIDR2: ArchRev 2 */
}

static uint64_t read_prio(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                          uint32_t off, unsigned size)
{
    return vgic_prio_read(g, c, off - r->first, size);
}

static void write_prio(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r, uint32_t off,
                       unsigned size, uint64_t val)
{
    vgic_prio_write(g, c, off - r->first, size, (uint32_t)val);
}

static uint64_t read_cfg(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r, uint32_t off,
                         unsigned size)
{
    (void)size;
    return vgic_cfg_read(g, c, (off - r->first) * 4);
}

static void write_cfg(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r, uint32_t off,
                      unsigned size, uint64_t val)
{
    (void)size;
    vgic_cfg_write(g, c, (off - r->first) * 4, (uint32_t)val);
}

/* ---- GICD_ITARGETSR: of the first 32, each CPU sees itself ---- */

static uint64_t read_targets(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                             uint32_t off, unsigned size)
{
    uint64_t val = 0;

    for (unsigned k = 0; k < size; k++) {
        unsigned idx = off - r->first + k;
        struct vgic_irq i = vgic_irq_at(g, c, idx);

        if (i.b)
            val |= (uint64_t)(idx < 32 ? 1u << c->id : i.b->route[i.n]) << 8 * k;
    }
    return val;
}

static void write_targets(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                          uint32_t off, unsigned size, uint64_t val)
{
    spin_lock(&g->lock);
    for (unsigned k = 0; k < size; k++) {
        unsigned idx = off - r->first + k;

        if (idx < 32 || idx >= 32u + g->nspis)
            continue;
        g->s.spi[index_nospec(idx - 32, g->nspis) / 32].route[idx & 31] =
            (uint8_t)(val >> 8 * k & ((1u << g->n) - 1));
        vgic_update(g, c, idx);
    }
    spin_unlock(&g->lock);
}

/* ---- SGIs ---- */

/* SGIINTID 3:0, CPUTargetList 23:16, TargetListFilter 25:24 (0 list, 1 all others, 2 oneself). */
static void write_sgir(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r, uint32_t off,
                       unsigned size, uint64_t val)
{
    uint32_t all = (1u << g->n) - 1, filter = val >> 24 & 3;
    uint32_t lists[4] = { (uint32_t)(val >> 16) & all, all & ~(1u << c->id), 1u << c->id, 0 };

    (void)r, (void)off, (void)size;
    for (uint32_t list = lists[filter]; list; list &= list - 1)
        vgic_raise(g->cpu[__builtin_ctz(list)], val & 15, c->id);
}

/* One byte for each SGI: the CPUs from which it is pending. */
static uint64_t read_pend_sgi(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                              uint32_t off, unsigned size)
{
    uint64_t val = 0;

    spin_lock(&g->lock);
    vgic_take_raised(c);
    for (unsigned k = 0; k < size; k++) {
        unsigned idx = off - r->first + k;
        struct vgic_irq i = vgic_irq_at(g, c, idx);

        val |= (uint64_t)(i.b->route[i.n] | vgic_lr_source(g, i, idx)) << 8 * k;
    }
    spin_unlock(&g->lock);
    return val;
}

static void change_sources(struct vgic *g, struct vgic_cpu *c, unsigned idx, uint8_t bits, bool set)
{
    struct vgic_irq i = vgic_irq_at(g, c, idx);

    if (!set && bits & vgic_lr_source(g, i, idx))
        i.b->unpend |= i.bit;
    i.b->route[i.n] = set ? i.b->route[i.n] | bits : i.b->route[i.n] & (uint8_t)~bits;
    vgic_put_bit(&i.b->latch, i.bit, i.b->route[i.n]);
    vgic_update(g, c, idx);
}

/* arg 1: GICD_SPENDSGIR, 0: GICD_CPENDSGIR. */
static void write_pend_sgi(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                           uint32_t off, unsigned size, uint64_t val)
{
    spin_lock(&g->lock);
    vgic_take_raised(c);
    for (unsigned k = 0; k < size; k++) {
        uint8_t bits = (uint8_t)(val >> 8 * k & ((1u << g->n) - 1));

        if (bits)
            change_sources(g, c, off - r->first + k, bits, r->arg);
    }
    spin_unlock(&g->lock);
}

/*
 * GICD_ISENABLER to GICD_ICACTIVER are banks. Not here, RES0: GICD_IGROUPR, NSACR (no security
 * extensions).
 */
static const struct vgic_reg regs[] = {
    { 0x000, 0x003, 4, 0, read_ctlr, write_ctlr },             /* GICD_CTLR */
    { 0x004, 0x007, 4, 0, read_typer, NULL },                  /* GICD_TYPER */
    { 0x008, 0x00b, 4, 0, read_id, NULL },                     /* GICD_IIDR */
    { 0x400, 0x7fb, 1 | 4, 0, read_prio, write_prio },         /* GICD_IPRIORITYR */
    { 0x800, 0xbfb, 1 | 4, 0, read_targets, write_targets },   /* GICD_ITARGETSR */
    { 0xc00, 0xcff, 4, 0, read_cfg, write_cfg },               /* GICD_ICFGR */
    { 0xf00, 0xf03, 4, 0, NULL, write_sgir },                  /* GICD_SGIR */
    { 0xf10, 0xf1f, 1 | 4, 0, read_pend_sgi, write_pend_sgi }, /* GICD_CPENDSGIR */
    { 0xf20, 0xf2f, 1 | 4, 1, read_pend_sgi, write_pend_sgi }, /* GICD_SPENDSGIR */
    { 0xfe8, 0xfeb, 4, 1, read_id, NULL },                     /* ICPIDR2 */
};

static int dist_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    if (vgic_is_bank((uint32_t)off, size) && vgic_bank_reg((uint32_t)off) != BANK_GROUP)
        *val = vgic_bank_read(dev, vgic_this_cpu(dev), vgic_bank_reg((uint32_t)off),
                              vgic_bank_first((uint32_t)off));
    else
        *val = vgic_reg_read(regs, ARRAY_SIZE(regs), dev, vgic_this_cpu(dev), (uint32_t)off, size);
    return 0;
}

static int dist_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    if (vgic_is_bank((uint32_t)off, size) && vgic_bank_reg((uint32_t)off) != BANK_GROUP)
        vgic_bank_write(dev, vgic_this_cpu(dev), vgic_bank_reg((uint32_t)off),
                        vgic_bank_first((uint32_t)off), (uint32_t)val);
    else
        vgic_reg_write(regs, ARRAY_SIZE(regs), dev, vgic_this_cpu(dev), (uint32_t)off, size, val);
    return 0;
}

/* ---- GICv2m ---- */

enum { V2M_TYPER = 0x008, V2M_IIDR = 0xfcc };

static int v2m_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    const struct vgic *g = dev;

    (void)size;
    *val = 0;
    if (off == V2M_TYPER)
        *val = g->v2m_first << 16 | g->v2m_count;
    else if (off == V2M_IIDR)
        *val = VGIC_IIDR;
    return 0;
}

static int v2m_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct vgic *g = dev;

    (void)size;
    return off == V2M_SETSPI_NS ? vintc_arm.send_msi(g->vm, 0, g->v2m + off, (uint32_t)val) : 0;
}

/* ---- making it ---- */

static int map_gicv(struct vgic *g, const struct vgic_layout *l)
{
    uint32_t f[4] = { 0, 0, 0, 0 };
    struct memslot slot = { .base = gpa(l->gicc),
                            .len = VGIC_GICC_LEN,
                            .prot = PROT_RW,
                            .type = MEM_UC,
                            .kind = MEMSLOT_MMIO };
    int err;

    if (g->vm->ops && g->vm->ops->features)
        g->vm->ops->features(ARM_FEATURE_GIC, 0, f);
    slot.host = hpa((uint64_t)f[3] << 32 | f[2]);
    if (!slot.host.v)
        return -ENOTSUP;
    err = gmem_map(g->vm, &slot);
    if (err)
        return err;
    g->gicc = l->gicc;
    g->gicc_mapped = true;
    return 0;
}

static int v2m_create(struct vgic *g, const struct vgic_layout *l)
{
    static const struct io_ops ops = { v2m_read, v2m_write, 4 };

    if (l->v2m_first < 32 || l->v2m_count > g->nspis || l->v2m_first - 32 > g->nspis - l->v2m_count)
        return -EINVAL;
    g->v2m = l->v2m;
    g->v2m_first = l->v2m_first;
    g->v2m_count = l->v2m_count;
    return io_register(g->vm, &(struct io_region){ "v2m", IO_MEM, l->v2m, VGIC_V2M_LEN, &ops, g });
}

int vgic_v2_create(struct vgic *g, const struct vgic_layout *l)
{
    static const struct io_ops ops = { dist_read, dist_write, 1 | 2 | 4 };
    int err =
        io_register(g->vm, &(struct io_region){ "gicd", IO_MEM, l->gicd, PAGE_SIZE, &ops, g });

    assert_cpu0();
    err = err ? err : map_gicv(g, l);
    return err || !l->v2m ? err : v2m_create(g, l);
}
