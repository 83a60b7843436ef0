/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vgic_dist.c: the GICv3 distributor, one security state, affinity routing always on. GICv3 §12.9.
 */
#include <hv/assert.h>
#include "vgic_int.h"

#define CTLR_ARE (1u << 4)
#define CTLR_DS (1u << 6)
#define TYPER_LPIS (1u << 17)
#define IROUTER_ANY (1ull << 31)
#define IROUTER_BITS 0xff80ffffffull

static uint64_t read_ctlr(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                          uint32_t off, unsigned size)
{
    (void)c, (void)r, (void)off, (void)size;
    return g->s.ctlr | CTLR_ARE | CTLR_DS;
}

/* What is ready stays so: a disabled group is left out where list registers are filled. */
static void write_ctlr(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r, uint32_t off,
                       unsigned size, uint64_t val)
{
    (void)c, (void)r, (void)off, (void)size;
    spin_lock(&g->lock);
    g->s.ctlr = (uint32_t)val & (GICD_CTLR_G0 | GICD_CTLR_G1);
    for (unsigned n = 0; n < g->n; n++)
        if (g->cpu[n])
            vgic_look(g->cpu[n]);
    spin_unlock(&g->lock);
}

/* ITLinesNumber 4:0, LPIS 17, IDbits 23:19. */
static uint64_t read_typer(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                           uint32_t off, unsigned size)
{
    uint32_t lines = (32u + g->nspis + 31) / 32 - 1, id_bits = g->has_its ? VGIC_ID_BITS - 1 : 9;

    (void)c, (void)r, (void)off, (void)size;
    return lines | (g->has_its ? TYPER_LPIS : 0) | id_bits << 19;
}

static uint64_t read_iidr(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                          uint32_t off, unsigned size)
{
    (void)g, (void)c, (void)r, (void)off, (void)size;
    return VGIC_IIDR;
}

static uint64_t read_pidr2(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                           uint32_t off, unsigned size)
{
    (void)g, (void)c, (void)r, (void)off, (void)size;
    return 0x3b; /* ArchRev 3, JEDEC */
}

/* Interrupts 0..31 are the redistributors' when affinity routing is on: these fields are RES0. */
static uint64_t read_prio(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                          uint32_t off, unsigned size)
{
    return off - r->first < 32 ? 0 : vgic_prio_read(g, c, off - r->first, size);
}

static void write_prio(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r, uint32_t off,
                       unsigned size, uint64_t val)
{
    if (off - r->first >= 32)
        vgic_prio_write(g, c, off - r->first, size, (uint32_t)val);
}

static uint64_t read_cfg(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r, uint32_t off,
                         unsigned size)
{
    unsigned first = (off - r->first) * 4;

    (void)size;
    return first < 32 ? 0 : vgic_cfg_read(g, c, first);
}

static void write_cfg(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r, uint32_t off,
                      unsigned size, uint64_t val)
{
    (void)size;
    vgic_cfg_write(g, c, (off - r->first) * 4, (uint32_t)val);
}

/* ---- GICD_IROUTER ---- */

uint16_t vgic_route_of(const struct vgic *g, uint64_t irouter)
{
    if (irouter & IROUTER_ANY)
        return ROUTE_ANY;
    for (unsigned n = 0; n < g->n; n++)
        if (vgic_affinity(n) == irouter)
            return (uint16_t)n;
    return ROUTE_NONE;
}

static uint64_t read_irouter(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                             uint32_t off, unsigned size)
{
    unsigned idx = (off - r->first) / 8;

    (void)c;
    if (idx < 32 || idx >= 32u + g->nspis)
        return 0;
    return vgic_half(g->s.irouter[index_nospec(idx - 32, g->nspis)], off, size);
}

static void write_irouter(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                          uint32_t off, unsigned size, uint64_t val)
{
    unsigned idx = (off - r->first) / 8;

    if (idx < 32 || idx >= 32u + g->nspis)
        return;
    unsigned n = (unsigned)index_nospec(idx - 32, g->nspis);

    spin_lock(&g->lock);
    val = vgic_merge(g->s.irouter[n], off, size, val) & IROUTER_BITS;
    g->s.irouter[n] = val;
    g->s.spi[n / 32].route[n % 32] = vgic_route_of(g, val);
    vgic_update(g, c, idx);
    spin_unlock(&g->lock);
}

/*
 * From GICD_IGROUPR to GICD_ICACTIVER they are banks. Others that are not here are RES0:
 * GICD_TYPER2, STATUSR, SETSPI (MBIS 0), IGRPMODR, NSACR, ITARGETSR, SGIR, SPENDSGIR (ARE 1).
 */
static const struct vgic_reg regs[] = {
    { 0x0000, 0x0003, 4, 0, read_ctlr, write_ctlr },           /* GICD_CTLR */
    { 0x0004, 0x0007, 4, 0, read_typer, NULL },                /* GICD_TYPER */
    { 0x0008, 0x000b, 4, 0, read_iidr, NULL },                 /* GICD_IIDR */
    { 0x0400, 0x07fb, 1 | 4, 0, read_prio, write_prio },       /* GICD_IPRIORITYR */
    { 0x0c00, 0x0cff, 4, 0, read_cfg, write_cfg },             /* GICD_ICFGR */
    { 0x6000, 0x7fdf, 4 | 8, 0, read_irouter, write_irouter }, /* GICD_IROUTER */
    { 0xffe8, 0xffeb, 4, 0, read_pidr2, NULL },                /* GICD_PIDR2 */
};

static int dist_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    if (vgic_is_bank((uint32_t)off, size)) /* SGIs and PPIs are in the redistributors */
        *val = off % BANK_LEN ? vgic_bank_read(dev, NULL, vgic_bank_reg((uint32_t)off),
                                               vgic_bank_first((uint32_t)off))
                              : 0;
    else
        *val = vgic_reg_read(regs, ARRAY_SIZE(regs), dev, NULL, (uint32_t)off, size);
    return 0;
}

static int dist_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    if (!vgic_is_bank((uint32_t)off, size))
        vgic_reg_write(regs, ARRAY_SIZE(regs), dev, NULL, (uint32_t)off, size, val);
    else if (off % BANK_LEN)
        vgic_bank_write(dev, NULL, vgic_bank_reg((uint32_t)off), vgic_bank_first((uint32_t)off),
                        (uint32_t)val);
    return 0;
}

int vgic_dist_create(struct vgic *g, const struct vgic_layout *l)
{
    static const struct io_ops ops = { dist_read, dist_write, 1 | 2 | 4 | 8 };

    assert_cpu0();
    return io_register(g->vm,
                       &(struct io_region){ "gicd", IO_MEM, l->gicd, VGIC_GICD_LEN, &ops, g });
}

/* ---- software-generated interrupts: ICC_SGI1R_EL1 and its sisters, GICv3 §12.2.18..20 ---- */

/*
 * A request for group 1 raises SGIs of either group, one for group 0 only those of group 0 (GICv3
 * §12.1.8, one security state).
 */
static void sgi_to(struct vgic *g, unsigned n, unsigned sgi, bool group1)
{
    struct vgic_cpu *c = n < g->n ? g->cpu[index_nospec(n, g->n)] : NULL;

    if (c && (group1 || !(__atomic_load_n(&c->s.local.group1, __ATOMIC_RELAXED) >> sgi & 1)))
        vgic_raise_bit(c, 1u << sgi);
}

/* INTID 27:24, IRM 40, TargetList 15:0, RS 47:44, Aff1 23:16, Aff2 39:32, Aff3 55:48. */
void vgic_sgi_v3(struct vcpu *v, uint32_t id, uint64_t val)
{
    struct vgic *g = vgic_cpu_of(v)->g;
    unsigned sgi = val >> 24 & 15;
    bool group1 = id == ARM_ICC_SGI1R_EL1;

    debug_assert_own_cpu(v);
    if (!(val & 0xfffffffff0ff0000)) { /* cluster 0, as most machines have no other */
        for (uint32_t list = val & 0xffff; list; list &= list - 1)
            sgi_to(g, (unsigned)__builtin_ctz(list), sgi, group1);
        return;
    }
    if (val >> 40 & 1) {
        for (unsigned n = 0; n < g->n; n++)
            if (n != v->id)
                sgi_to(g, n, sgi, group1);
        return;
    }
    if (val & 0x00ff00ff00000000 || val >> 44 & 15)
        return; /* no vCPU has such an affinity */
    for (uint32_t list = val & 0xffff; list; list &= list - 1)
        sgi_to(g, (unsigned)(val >> 16 & 0xff) * 16 + (unsigned)__builtin_ctz(list), sgi, group1);
}
