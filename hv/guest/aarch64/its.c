/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * its.c: the Interrupt Translation Service: registers, tables, translation. GICv3 §5, §12.12.
 *
 * The device, collection and interrupt translation tables lie in the guest's memory, where the
 * guest put them (flat: no Indirect). An entry is 8 bytes: bit 63 valid; device: ITT address 51:8,
 * EventID bits - 1 in 4:0; collection: vCPU 15:0; translation: collection 47:32, LPI 31:0. The
 * guest may write anything there: each entry is copied, then checked, at each use. So a translation
 * is three loads, and nothing is cached that could go stale, but the LPIs' configuration, as
 * §5.1.1 allows.
 */
#include <hv/assert.h>
#include <hv/gmem.h>
#include <hv/log.h>
#include <hv/nospec.h>
#include <hv/percpu.h>
#include <hv/share.h>
#include <hv/time.h>
#include <string.h>
#include "its.h"

#define CTLR_ENABLED 1u
#define CTLR_QUIESCENT (1u << 31)
#define BASER_VALID (1ull << 63)
/* not Indirect (62), Type (58:56), Entry_Size (52:48) */
#define BASER_WRITABLE 0xb8e0ffffffffffffull
/* Page_Size (9:8): 4, 16, 64 KiB; 3 is reserved, and taken for 2 */
#define BASER_PAGE(baser) ((baser) >> 8 & 3)
#define BASER_ADDR 0xfffffffff000ull
#define BASER_ADDR_64K 0xffffffff0000ull /* and 51:48 of the address are in bits 15:12 */
#define CBASER_BITS 0xb8effffffffffcffull
#define CBASER_ADDR 0xffffffffff000ull
/* offset of a command within a queue of at most 1 MiB */
#define QUEUE_BITS 0xfffe0ull
#define STALLED 1u
#define BUDGET 128u       /* units of simple commands at once */
#define READ_AT_ONCE 512u /* pending LPIs read from the table at once */

/* ---- tables ---- */

/*
 * An entry of device table, collection table or ITT. Guest memory: read and written as a whole,
 * once.
 */
uint64_t its_load(const uint64_t *entry) { return __atomic_load_n(entry, __ATOMIC_RELAXED); }

void its_store(uint64_t *entry, uint64_t val) { __atomic_store_n(entry, val, __ATOMIC_RELAXED); }

static uint64_t page_size(uint64_t baser) { return PAGE_SIZE << 2 * min_u64(BASER_PAGE(baser), 2); }

uint64_t *its_table(struct vgic *g, unsigned which, uint32_t id)
{
    uint64_t baser = g->its.s.baser[which], len = ((baser & 0xff) + 1) * page_size(baser),
             at = baser & BASER_ADDR;

    debug_assert_held(&g->lock);
    if (!(baser & BASER_VALID) || (uint64_t)id * 8 >= len)
        return NULL;
    if (BASER_PAGE(baser) >= 2)
        at = (baser & BASER_ADDR_64K) | (baser >> 12 & 15) << 48;
    return gmem_ptr(g->vm, gpa(at + (uint64_t)id * 8), 8, PROT_RW);
}

uint64_t *its_entry(struct vgic *g, uint32_t devid, uint32_t event)
{
    uint64_t *dte = devid >> ITS_DEVICE_BITS ? NULL : its_table(g, ITS_DEVICES, devid), dev;

    debug_assert_held(&g->lock);
    if (!dte)
        return NULL;
    dev = its_load(dte);
    if (!(dev & ITS_VALID) || (uint64_t)event >> ((dev & 31) + 1))
        return NULL;
    return gmem_ptr(g->vm, gpa((dev & ITS_ITT_ADDR) + (uint64_t)event * 8), 8, PROT_RW);
}

struct vgic_cpu *its_collection(struct vgic *g, uint32_t icid)
{
    uint64_t *cte = its_table(g, ITS_COLLECTIONS, icid), coll = cte ? its_load(cte) : 0;

    debug_assert_held(&g->lock);
    if (!(coll & ITS_VALID) || (coll & 0xffff) >= g->n)
        return NULL;
    return g->cpu[index_nospec(coll & 0xffff, g->n)];
}

bool its_translate(struct vgic *g, uint32_t devid, uint32_t event, struct its_target *t)
{
    uint64_t ite;

    debug_assert_held(&g->lock);
    t->entry = its_entry(g, devid, event);
    if (!t->entry)
        return false;
    ite = its_load(t->entry);
    if (!(ite & ITS_VALID))
        return false;
    t->icid = ite >> 32 & 0xffff;
    t->idx = vgic_index(g, (uint32_t)ite);
    t->cpu = its_collection(g, t->icid);
    return t->idx != ~0u && t->idx >= VGIC_LPI;
}

/* ---- LPIs ---- */

static uint64_t config_addr(const struct vgic_cpu *c, unsigned lpi)
{
    return (c->s.propbaser & 0xffffffffff000) + lpi;
}

/* How many LPIs the configuration table holds: IDbits, at most ours. */
static unsigned config_len(const struct vgic_cpu *c)
{
    unsigned bits = (c->s.propbaser & 31) + 1;

    return bits < VGIC_ID_BITS ? 0 : VGIC_LPIS;
}

/* Priority 7:2, enable 0 (GICv3 §5.1.1). */
void its_set_config(struct vgic *g, unsigned idx, uint8_t config)
{
    struct vgic_irq i = vgic_irq_at(g, NULL, idx);
    bool on = config & 1;
    uint8_t prio = config & VGIC_PRIO_MASK;

    debug_assert_held(&g->lock);
    if (on == !!(i.b->enabled & i.bit) && prio == i.b->prio[i.n])
        return;
    vgic_put_bit(&i.b->enabled, i.bit, on);
    i.b->prio[i.n] = prio;
    vgic_update(g, NULL, idx);
}

void its_load_config(struct vgic *g, struct vgic_cpu *c, unsigned idx)
{
    const uint8_t *p = NULL;

    debug_assert_held(&g->lock);
    if (idx - VGIC_LPI < config_len(c))
        p = gmem_ptr(g->vm, gpa(config_addr(c, idx - VGIC_LPI)), 1, PROT_R);
    its_set_config(g, idx, p ? __atomic_load_n(p, __ATOMIC_RELAXED) : 0);
}

/* All of one vCPU's. Bounded: VGIC_LPIS. */
void its_load_all(struct vgic *g, struct vgic_cpu *c)
{
    for (unsigned n = 0; n < VGIC_LPIS; n++)
        if (g->lpi[n / 32].route[n % 32] == c->id)
            its_load_config(g, c, VGIC_LPI + n);
}

void its_pend(struct vgic *g, const struct its_target *t)
{
    debug_assert_held(&g->lock);
    if (!t->cpu || !(t->cpu->s.ctlr & GICR_CTLR_LPIS))
        return;
    its_route_anew(g, t->idx, t->cpu);
    vgic_set_latch(g, NULL, t->idx);
}

void its_route(struct vgic *g, unsigned idx, struct vgic_cpu *c)
{
    struct vgic_irq i = vgic_irq_at(g, NULL, idx);

    debug_assert_held(&g->lock);
    i.b->route[i.n] = (uint16_t)c->id;
    vgic_update(g, NULL, idx);
}

/*
 * Where it was not before, its configuration is not known: the collection was not mapped when the
 * LPI was, or is mapped elsewhere now, and INV and INVALL went past it.
 */
void its_route_anew(struct vgic *g, unsigned idx, struct vgic_cpu *c)
{
    struct vgic_irq i = vgic_irq_at(g, NULL, idx);

    if (i.b->route[i.n] == c->id)
        return;
    its_route(g, idx, c);
    its_load_config(g, c, idx);
}

void its_unroute(struct vgic *g, unsigned idx)
{
    struct vgic_irq i = vgic_irq_at(g, NULL, idx);

    vgic_clear_latch(g, NULL, idx);
    i.b->route[i.n] = ROUTE_NONE;
    its_set_config(g, idx, 0);
}

/* The pending table: a bit for each INTID, the LPIs' from byte 1024 (GICv3 §5.1.2). */
static uint8_t *pending_table(struct vgic *g, struct vgic_cpu *c)
{
    return gmem_ptr(g->vm, gpa((c->s.pendbaser & 0xfffffffff0000) + VGIC_LPI_INTID / 8),
                    VGIC_LPIS / 8, PROT_RW);
}

static unsigned read_byte(struct vgic *g, struct vgic_cpu *c, unsigned byte, uint8_t bits)
{
    unsigned n = 0;

    for (; bits; bits &= (uint8_t)(bits - 1), n++) {
        unsigned idx = VGIC_LPI + byte * 8 + (unsigned)__builtin_ctz(bits);

        its_route(g, idx, c);
        its_load_config(g, c, idx);
        vgic_set_latch(g, NULL, idx);
    }
    return n;
}

bool its_read_pending(struct vgic *g, struct vgic_cpu *c, unsigned most)
{
    const uint8_t *p = pending_table(g, c);

    debug_assert_held(&g->lock);
    for (unsigned n = 0; c->lpi_left && n < most; c->lpi_left--) {
        unsigned byte = VGIC_LPIS / 8 - c->lpi_left;

        if (p)
            n += read_byte(g, c, byte, __atomic_load_n(&p[byte], __ATOMIC_RELAXED));
    }
    return !c->lpi_left;
}

/* Thousands may be pending: what is beyond the first follows in the ITS's event. */
void its_lpis_on(struct vgic *g, struct vgic_cpu *c)
{
    debug_assert_held(&g->lock);
    c->lpi_left = c->s.pendbaser >> 62 & 1 ? 0 : VGIC_LPIS / 8;
    its_load_all(g, c);
    if (!its_read_pending(g, c, READ_AT_ONCE))
        event_post(&g->its.work);
}

void its_lpis_off(struct vgic *g, struct vgic_cpu *c)
{
    uint8_t *p = pending_table(g, c);

    debug_assert_held(&g->lock);
    for (unsigned n = 0; n < VGIC_LPIS; n++) {
        struct vgic_irq i = vgic_irq_at(g, NULL, VGIC_LPI + n);

        if (i.b->route[i.n] != c->id)
            continue;
        bool on = i.b->latch & i.bit;

        if (p && n / 8 >= VGIC_LPIS / 8u - c->lpi_left)
            on = on || p[n / 8] >> n % 8 & 1; /* not yet read, so still there */
        if (p)
            p[n / 8] = (uint8_t)((p[n / 8] & ~(1u << n % 8)) | (unsigned)on << n % 8);
        if (on || i.b->in_lr & i.bit)
            vgic_clear_latch(g, NULL, VGIC_LPI + n);
    }
    c->lpi_left = 0;
}

/* ---- messages ---- */

int its_msi(struct vgic *g, uint32_t devid, uint32_t event)
{
    struct its_target t;
    bool known;

    spin_lock(&g->lock);
    known =
        g->version && g->its.s.ctlr & CTLR_ENABLED && its_translate(g, devid, event, &t) && t.cpu;
    if (known)
        its_pend(g, &t);
    spin_unlock(&g->lock);
    return known ? 0 : -ENOENT;
}

/* ---- the command queue ---- */

static uint64_t queue_len(const struct its *s) { return ((s->s.cbaser & 0xff) + 1) * PAGE_SIZE; }

/* One command, under the lock. False: the queue is empty, stalled or off. */
static bool step(struct vgic *g, unsigned *cost)
{
    struct its *s = &g->its;
    uint64_t cmd[4], at = s->s.creadr & QUEUE_BITS;

    debug_assert_held(&g->lock);
    if (!g->version || !(s->s.ctlr & CTLR_ENABLED) || !(s->s.cbaser & BASER_VALID) ||
        s->s.creadr & STALLED || at == (s->s.cwriter & QUEUE_BITS))
        return false;
    if (at >= queue_len(s) || (s->s.cwriter & QUEUE_BITS) >= queue_len(s) ||
        gmem_read(g->vm, gpa((s->s.cbaser & CBASER_ADDR) + at), cmd, sizeof cmd)) {
        s->s.creadr |= STALLED; /* until GITS_CWRITER.Retry */
        return false;
    }
    *cost = its_command(g, cmd);
    at += sizeof cmd;
    s->s.creadr = at == queue_len(s) ? 0 : at;
    return true;
}

bool its_process(struct vgic *g, unsigned budget)
{
    unsigned cost = 0;
    bool more = true;

    debug_assert_no_locks();
    for (unsigned spent = 0; more && spent < budget; spent += cost) {
        spin_lock(&g->lock);
        more = step(g, &cost);
        spin_unlock(&g->lock);
    }
    return more;
}

/* One piece of one pending table. True: there was one to read. */
static bool read_some(struct vgic *g)
{
    bool found = false;

    spin_lock(&g->lock);
    for (unsigned n = 0; n < g->n && !found; n++) {
        found = g->cpu[n] && g->cpu[n]->lpi_left;
        if (found) {
            (void)its_read_pending(g, g->cpu[n], READ_AT_ONCE);
            vgic_look(g->cpu[n]);
        }
    }
    spin_unlock(&g->lock);
    return found;
}

static void work_event(struct event *e)
{
    struct vgic *g = container_of(e, struct vgic, its.work);
    uint64_t from = time_ns();
    bool more;

    if (share_wait(g->vm, e))
        return;
    gmem_enter(&g->vm->gmem);
    more = read_some(g) || its_process(g, BUDGET);
    share_pay(g->vm, from);
    if (more)
        event_post(e);
}

static void kick_queue(struct vgic *g)
{
    if (its_process(g, BUDGET))
        event_post(&g->its.work);
}

/* ---- registers ---- */

static uint64_t read_ctlr(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                          uint32_t off, unsigned size)
{
    (void)c, (void)r, (void)off, (void)size;
    return g->its.s.ctlr | (g->its.s.ctlr & CTLR_ENABLED ? 0 : CTLR_QUIESCENT);
}

static void write_ctlr(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r, uint32_t off,
                       unsigned size, uint64_t val)
{
    (void)c, (void)r, (void)off, (void)size;
    spin_lock(&g->lock);
    g->its.s.ctlr = (uint32_t)val & CTLR_ENABLED;
    spin_unlock(&g->lock);
    kick_queue(g);
}

static uint64_t read_iidr(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                          uint32_t off, unsigned size)
{
    (void)g, (void)c, (void)r, (void)off, (void)size;
    return VGIC_IIDR;
}

/*
 * Physical 0, ITT_entry_size - 1 7:4, ID_bits - 1 12:8, Devbits - 1 17:13, PTA 19 (0: vCPU
 * numbers), HCC 0.
 */
static uint64_t read_typer(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                           uint32_t off, unsigned size)
{
    uint64_t val = 1 | 7u << 4 | (ITS_EVENT_BITS - 1) << 8 | (ITS_DEVICE_BITS - 1) << 13;

    (void)g, (void)c, (void)r;
    return vgic_half(val, off, size);
}

enum { REG_CBASER, REG_CWRITER, REG_CREADR };

static uint64_t read_queue(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                           uint32_t off, unsigned size)
{
    const uint64_t *const reg[] = { &g->its.s.cbaser, &g->its.s.cwriter, &g->its.s.creadr };

    (void)c;
    return vgic_half(*reg[r->arg], off, size);
}

/* Writable while the ITS is off; resets GITS_CREADR. */
static void write_cbaser(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r, uint32_t off,
                         unsigned size, uint64_t val)
{
    (void)c, (void)r;
    spin_lock(&g->lock);
    if (!(g->its.s.ctlr & CTLR_ENABLED)) {
        g->its.s.cbaser = vgic_merge(g->its.s.cbaser, off, size, val) & CBASER_BITS;
        g->its.s.creadr = 0;
    }
    spin_unlock(&g->lock);
}

/* Retry (bit 0) ends a stall. */
static void write_cwriter(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                          uint32_t off, unsigned size, uint64_t val)
{
    (void)c, (void)r;
    spin_lock(&g->lock);
    val = vgic_merge(g->its.s.cwriter, off, size, val);
    g->its.s.cwriter = val & QUEUE_BITS;
    if (val & 1)
        g->its.s.creadr &= ~(uint64_t)STALLED;
    spin_unlock(&g->lock);
    kick_queue(g);
}

/* Type and entry size: devices (1), collections (4), of 8 bytes. */
static const uint64_t baser_fixed[ITS_BASERS] = {
    [ITS_DEVICES] = 1ull << 56 | 7ull << 48, [ITS_COLLECTIONS] = 4ull << 56 | 7ull << 48
};

static uint64_t read_baser(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                           uint32_t off, unsigned size)
{
    unsigned n = (off - r->first) / 8;

    (void)c;
    if (n >= ITS_BASERS)
        return 0;
    n = (unsigned)index_nospec(n, ITS_BASERS);
    return vgic_half(g->its.s.baser[n] | baser_fixed[n], off, size);
}

static uint64_t legal_baser(uint64_t val)
{
    return val & (BASER_PAGE(val) == 3 ? BASER_WRITABLE & ~(1ull << 8) : BASER_WRITABLE);
}

static void write_baser(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r, uint32_t off,
                        unsigned size, uint64_t val)
{
    unsigned n = (off - r->first) / 8;

    (void)c;
    if (n >= ITS_BASERS)
        return;
    n = (unsigned)index_nospec(n, ITS_BASERS);
    spin_lock(&g->lock);
    if (!(g->its.s.ctlr & CTLR_ENABLED))
        g->its.s.baser[n] = legal_baser(vgic_merge(g->its.s.baser[n], off, size, val));
    spin_unlock(&g->lock);
}

static uint64_t read_pidr2(struct vgic *g, struct vgic_cpu *c, const struct vgic_reg *r,
                           uint32_t off, unsigned size)
{
    (void)g, (void)c, (void)r, (void)off, (void)size;
    return 0x3b;
}

/* GITS_TRANSLATER has no entry: a CPU's write has no DeviceID and does nothing. */
static const struct vgic_reg regs[] = {
    { 0x0000, 0x0003, 4, 0, read_ctlr, write_ctlr },                   /* GITS_CTLR */
    { 0x0004, 0x0007, 4, 0, read_iidr, NULL },                         /* GITS_IIDR */
    { 0x0008, 0x000f, 4 | 8, 0, read_typer, NULL },                    /* GITS_TYPER */
    { 0x0080, 0x0087, 4 | 8, REG_CBASER, read_queue, write_cbaser },   /* GITS_CBASER */
    { 0x0088, 0x008f, 4 | 8, REG_CWRITER, read_queue, write_cwriter }, /* GITS_CWRITER */
    { 0x0090, 0x0097, 4 | 8, REG_CREADR, read_queue, NULL },           /* GITS_CREADR */
    { 0x0100, 0x013f, 4 | 8, 0, read_baser, write_baser },             /* GITS_BASER0..7 */
    { 0xffe8, 0xffeb, 4, 0, read_pidr2, NULL },                        /* GITS_PIDR2 */
};

static int its_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    *val = vgic_reg_read(regs, ARRAY_SIZE(regs), dev, NULL, (uint32_t)off, size);
    return 0;
}

static int its_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    vgic_reg_write(regs, ARRAY_SIZE(regs), dev, NULL, (uint32_t)off, size, val);
    return 0;
}

int its_create(struct vgic *g, const struct vgic_layout *l)
{
    static const struct io_ops ops = { its_read, its_write, 1 | 2 | 4 | 8 };

    assert_cpu0();
    g->lpi = vm_alloc(g->vm, VGIC_LPI_BANKS * sizeof *g->lpi);
    if (!g->lpi)
        return -ENOMEM;
    for (unsigned n = 0; n < VGIC_LPI_BANKS; n++) {
        g->lpi[n].edge = g->lpi[n].group1 = ~0u;
        vgic_fill(g->lpi[n].route, ROUTE_NONE);
    }
    g->its.base = l->its;
    event_init(&g->its.work, work_event, this_cpu()->id);
    g->has_its = true;
    return io_register(g->vm, &(struct io_region){ "its", IO_MEM, l->its, VGIC_ITS_LEN, &ops, g });
}

void its_stop(struct vgic *g)
{
    assert_cpu0();
    event_kill(&g->its.work);
}

void its_quiesce(struct vgic *g) { event_cancel(&g->its.work); }

/* Commands, or a part of a pending table, may have waited for the event. */
void its_resume(struct vgic *g) { event_post(&g->its.work); }

bool its_state_valid(const struct its_state *s)
{
    uint64_t wrong = (s->ctlr & ~CTLR_ENABLED) | s->zero | (s->cbaser & ~CBASER_BITS) |
                     (s->cwriter & ~QUEUE_BITS) | (s->creadr & ~(QUEUE_BITS | STALLED));

    for (unsigned n = 0; n < ITS_BASERS; n++)
        wrong |= s->baser[n] ^ legal_baser(s->baser[n]);
    return !wrong;
}
