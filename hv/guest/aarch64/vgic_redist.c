/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vgic_redist.c: the GICv3 redistributors, two 64 KiB frames for each vCPU, one after the other.
 * GICv3 §12.10, §12.11.
 */
#include <hv/assert.h>
#include "vgic_int.h"

#define CTLR_CES (1u << 1) /* EnableLPIs can be cleared again */
#define WAKER_SLEEP 2u
#define WAKER_ASLEEP 4u
#define PENDBASER_PTZ (1ull << 62)
#define PROPBASER_BITS 0x070fffffffffff9full
#define PENDBASER_BITS 0x470fffffffff0f80ull
#define SGI_FRAME 0x10000u

static uint64_t read_ctlr(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                          uint32_t off, unsigned size)
{
    (void)r, (void)off, (void)size;
    return c->s.ctlr | (g->has_its ? CTLR_CES : 0);
}

static void write_ctlr(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r, uint32_t off,
                       unsigned size, uint64_t val)
{
    (void)r, (void)off, (void)size;
    if (!g->has_its)
        return;
    spin_lock(&g->lock);
    if (val & GICR_CTLR_LPIS && !(c->s.ctlr & GICR_CTLR_LPIS)) {
        c->s.ctlr |= GICR_CTLR_LPIS;
        its_lpis_on(g, c);
    } else if (!(val & GICR_CTLR_LPIS) && c->s.ctlr & GICR_CTLR_LPIS) {
        c->s.ctlr &= ~GICR_CTLR_LPIS;
        its_lpis_off(g, c);
    }
    vgic_look(c);
    spin_unlock(&g->lock);
}

static uint64_t read_iidr(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                          uint32_t off, unsigned size)
{
    (void)g, (void)c, (void)r, (void)off, (void)size;
    return VGIC_IIDR;
}

/*
 * PLPIS 0, Last 4, Processor_Number 23:8, CommonLPIAff 25:24 (0: all share one configuration
 * table), affinity 63:32.
 */
static uint64_t read_typer(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                           uint32_t off, unsigned size)
{
    uint64_t val = (uint64_t)g->has_its | (c->id == g->n - 1u ? 1u << 4 : 0) |
                   (uint64_t)c->id << 8 | vgic_affinity(c->id) << 32;

    (void)r;
    return vgic_half(val, off, size);
}

static uint64_t read_waker(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                           uint32_t off, unsigned size)
{
    (void)g, (void)r, (void)off, (void)size;
    return c->s.waker;
}

/* Sleep takes effect at once. It only keeps 1-of-N interrupts away. */
static void write_waker(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r, uint32_t off,
                        unsigned size, uint64_t val)
{
    (void)r, (void)off, (void)size;
    spin_lock(&g->lock);
    c->s.waker = val & WAKER_SLEEP ? WAKER_SLEEP | WAKER_ASLEEP : 0;
    spin_unlock(&g->lock);
}

/* The two tables' addresses are fixed while LPIs are enabled. */
static uint64_t read_base(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                          uint32_t off, unsigned size)
{
    (void)g;
    return vgic_half(r->arg ? c->s.pendbaser & ~PENDBASER_PTZ : c->s.propbaser, off, size);
}

static void write_base(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r, uint32_t off,
                       unsigned size, uint64_t val)
{
    uint64_t *base = r->arg ? &c->s.pendbaser : &c->s.propbaser;

    if (!g->has_its)
        return;
    spin_lock(&g->lock);
    if (!(c->s.ctlr & GICR_CTLR_LPIS))
        *base = vgic_merge(*base, off, size, val) & (r->arg ? PENDBASER_BITS : PROPBASER_BITS);
    spin_unlock(&g->lock);
}

bool vgic_redist_valid(const struct vgic *g, const struct vgic_cpu_state *s)
{
    uint64_t its = g->has_its ? UINT64_MAX : 0;

    return (!s->waker || s->waker == (WAKER_SLEEP | WAKER_ASLEEP)) &&
           !(s->ctlr & ~(GICR_CTLR_LPIS & its)) && !(s->propbaser & ~(PROPBASER_BITS & its)) &&
           !(s->pendbaser & ~(PENDBASER_BITS & its));
}

static uint64_t read_pidr2(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                           uint32_t off, unsigned size)
{
    (void)g, (void)c, (void)r, (void)off, (void)size;
    return 0x3b;
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

/*
 * GICR_IGROUPR0 to GICR_ICACTIVER0 are banks. Not here, RES0: GICR_STATUSR, SETLPIR, CLRLPIR,
 * INVLPIR, INVALLR (there is an ITS), SYNCR (never busy), IGRPMODR0, NSACR.
 */
static const struct vgic_reg regs[] = {
    /* GICR_CTLR */
    { 0x0000, 0x0003, 4, 0, read_ctlr, write_ctlr },
    /* GICR_IIDR */
    { 0x0004, 0x0007, 4, 0, read_iidr, NULL },
    /* GICR_TYPER */
    { 0x0008, 0x000f, 4 | 8, 0, read_typer, NULL },
    /* GICR_WAKER */
    { 0x0014, 0x0017, 4, 0, read_waker, write_waker },
    /* GICR_PROPBASER */
    { 0x0070, 0x0077, 4 | 8, 0, read_base, write_base },
    /* GICR_PENDBASER */
    { 0x0078, 0x007f, 4 | 8, 1, read_base, write_base },
    /* GICR_PIDR2 */
    { 0xffe8, 0xffeb, 4, 0, read_pidr2, NULL },
    /* GICR_IPRIORITYR */
    { SGI_FRAME + 0x400, SGI_FRAME + 0x41f, 1 | 4, 0, read_prio, write_prio },
    /* GICR_ICFGR0, ICFGR1: fixed */
    { SGI_FRAME + 0xc00, SGI_FRAME + 0xc07, 4, 0, read_cfg, NULL },
};

static struct vgic_cpu *frame_of(struct vgic *g, uint64_t off)
{
    return g->cpu[off / VGIC_GICR_STRIDE];
}

static int redist_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    uint32_t at = off % VGIC_GICR_STRIDE;

    if (vgic_is_bank(at - SGI_FRAME, size)) /* of each kind there is one */
        *val = at % BANK_LEN
                   ? 0
                   : vgic_bank_read(dev, frame_of(dev, off), vgic_bank_reg(at - SGI_FRAME), 0);
    else
        *val = vgic_reg_read(regs, ARRAY_SIZE(regs), dev, frame_of(dev, off), at, size);
    return 0;
}

static int redist_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    uint32_t at = off % VGIC_GICR_STRIDE;

    if (!vgic_is_bank(at - SGI_FRAME, size))
        vgic_reg_write(regs, ARRAY_SIZE(regs), dev, frame_of(dev, off), at, size, val);
    else if (!(at % BANK_LEN))
        vgic_bank_write(dev, frame_of(dev, off), vgic_bank_reg(at - SGI_FRAME), 0, (uint32_t)val);
    return 0;
}

int vgic_redist_create(struct vgic *g, const struct vgic_layout *l)
{
    static const struct io_ops ops = { redist_read, redist_write, 1 | 2 | 4 | 8 };

    assert_cpu0();
    return io_register(
        g->vm, &(struct io_region){ "gicr", IO_MEM, l->gicr, g->n * VGIC_GICR_STRIDE, &ops, g });
}
