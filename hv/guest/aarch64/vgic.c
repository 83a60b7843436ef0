/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vgic.c: the state of the guest's interrupts, where each belongs, and the controller as vintc_ops.
 */
#include <hv/assert.h>
#include <hv/log.h>
#include <hv/percpu.h>
#include <string.h>
#include "vgic_int.h"

/* ---- where an interrupt belongs ---- */

unsigned vgic_index(const struct vgic *g, uint32_t intid)
{
    if (intid < VGIC_SPECIAL)
        return intid < 32u + g->nspis ? (unsigned)index_nospec(intid, 32u + g->nspis) : ~0u;
    if (!g->lpi || intid - VGIC_LPI_INTID >= VGIC_LPIS)
        return ~0u;
    return VGIC_LPI + (unsigned)index_nospec(intid - VGIC_LPI_INTID, VGIC_LPIS);
}

static bool is_ready(const struct vgic_cpu *c, unsigned idx)
{
    return c->ready[idx >> 6] >> (idx & 63) & 1;
}

/* 1 of N: it stays where it is; else the next vCPU whose redistributor is awake. */
static struct vgic_cpu *any_cpu(struct vgic *g, struct vgic_irq i, unsigned idx)
{
    struct vgic_cpu *home = g->cpu[i.b->home[i.n]];

    if (home && (i.b->in_lr & i.bit || is_ready(home, idx)))
        return home;
    for (unsigned n = 0; n < g->n; n++) {
        struct vgic_cpu *c = g->cpu[g->next_any++ % g->n];

        if (c && !(c->s.waker & 2))
            return c;
    }
    return g->cpu[0];
}

struct vgic_cpu *vgic_target(struct vgic *g, struct vgic_cpu *c, struct vgic_irq i, unsigned idx)
{
    debug_assert_held(&g->lock);
    if (idx < 32)
        return c;
    if (g->version == 2)
        return i.b->route[i.n] ? g->cpu[__builtin_ctz(i.b->route[i.n])] : NULL;
    if (i.b->route[i.n] == ROUTE_ANY)
        return any_cpu(g, i, idx);
    return i.b->route[i.n] < g->n ? g->cpu[index_nospec(i.b->route[i.n], g->n)] : NULL;
}

static void tell(struct vgic *g, struct vgic_cpu *c)
{
    debug_assert_held(&g->lock);
    if (c != g->servicing)
        vcpu_request(c->v, REQ_IRQ);
}

void vgic_look(struct vgic_cpu *c)
{
    debug_assert_held(&c->g->lock);
    if (c == c->g->servicing)
        return;
    __atomic_store_n(&c->stale, 1, __ATOMIC_RELEASE);
    vcpu_request(c->v, REQ_IRQ);
}

void vgic_update(struct vgic *g, struct vgic_cpu *c, unsigned idx)
{
    struct vgic_irq i = vgic_irq_at(g, c, idx);
    struct vgic_cpu *home = idx < 32 ? c : g->cpu[i.b->home[i.n]], *want;

    debug_assert_held(&g->lock);
    if (i.b->in_lr & i.bit) {
        vgic_look(home);
        return;
    }
    want = vgic_bank_wanted(i.b) & i.bit ? vgic_target(g, c, i, idx) : NULL;
    if (home && is_ready(home, idx)) {
        if (home == want)
            return;
        vgic_set_ready(home, idx, false);
    }
    if (!want || (want == g->servicing && vgic_place_at_once(want, i, idx)))
        return;
    i.b->home[i.n] = (uint16_t)want->id;
    vgic_set_ready(want, idx, true);
    tell(g, want);
}

/* ---- what becomes pending ---- */

void vgic_raise(struct vgic_cpu *c, unsigned idx, unsigned src)
{
    debug_assert(idx < 32);
    if (vgic_is_sgi_v2(c->g, idx))
        __atomic_fetch_or(&c->sgi_src[idx & 15], (uint8_t)(1u << src), __ATOMIC_RELAXED);
    vgic_raise_bit(c, 1u << idx);
}

void vgic_take_raised(struct vgic_cpu *c)
{
    uint32_t bits = __atomic_load_n(&c->raise, __ATOMIC_RELAXED);

    debug_assert_held(&c->g->lock);
    if (!bits)
        return;
    bits = __atomic_exchange_n(&c->raise, 0, __ATOMIC_SEQ_CST);
    if (c == c->g->servicing && c->g->version == 3)
        bits = vgic_place_sgis(c, bits);
    for (; bits; bits &= bits - 1) {
        unsigned idx = (unsigned)__builtin_ctz(bits);
        struct vgic_irq i = vgic_irq_at(c->g, c, idx);

        if (idx == ARM_PPI_PTIMER && !ptimer_due(c))
            continue;
        if (vgic_is_sgi_v2(c->g, idx))
            i.b->route[i.n] |= __atomic_exchange_n(&c->sgi_src[idx & 15], 0, __ATOMIC_SEQ_CST);
        *(idx < 16 ? &i.b->latch : &i.b->line) |= i.bit;
        if (c != c->g->servicing || !(vgic_bank_wanted(i.b) & ~i.b->in_lr & i.bit) ||
            !vgic_place_at_once(c, i, idx))
            vgic_update(c->g, c, idx);
    }
}

/*
 * A line fell: its own CPU looks at once, another when its guest comes by, for this is not worth a
 * kick.
 */
static void look_soon(struct vgic_cpu *c)
{
    debug_assert_held(&c->g->lock);
    __atomic_store_n(&c->stale, 1, __ATOMIC_RELEASE);
    if (c->v == this_cpu()->current)
        vcpu_request(c->v, REQ_IRQ);
}

void vgic_set_input(struct vgic *g, struct vgic_cpu *c, unsigned idx, bool level)
{
    struct vgic_irq i = vgic_irq_at(g, c, idx);
    bool was = i.b->line & i.bit;

    debug_assert_held(&g->lock);
    if (was == level)
        return;
    i.b->line ^= i.bit;
    if (level && i.b->edge & i.bit)
        i.b->latch |= i.bit;
    if (!level && i.b->in_lr & i.bit)
        look_soon(g->cpu[i.b->home[i.n]]);
    else
        vgic_update(g, c, idx);
}

void vgic_set_latch(struct vgic *g, struct vgic_cpu *c, unsigned idx)
{
    struct vgic_irq i = vgic_irq_at(g, c, idx);

    debug_assert_held(&g->lock);
    if (i.b->in_lr & i.bit)
        vgic_lr_note(g, i, idx);
    if (i.b->latch & i.bit)
        return;
    i.b->latch |= i.bit;
    vgic_update(g, c, idx);
}

/* An edge that waits in a list register is taken back by its own CPU. */
void vgic_clear_latch(struct vgic *g, struct vgic_cpu *c, unsigned idx)
{
    struct vgic_irq i = vgic_irq_at(g, c, idx);

    debug_assert_held(&g->lock);
    i.b->latch &= ~i.bit;
    if (vgic_is_sgi_v2(g, idx))
        i.b->route[i.n] = 0;
    if (i.b->in_lr & i.bit)
        i.b->unpend |= i.bit;
    vgic_update(g, c, idx);
}

static void account_active(struct vgic *g, struct vgic_cpu *c, struct vgic_irq i, unsigned idx,
                           bool on)
{
    struct vgic_cpu *home;

    debug_assert_held(&g->lock);
    if (on && idx >= 32) {
        home = vgic_target(g, c, i, idx);
        if (!home)
            home = g->cpu[0];
        vgic_set_ready(g->cpu[i.b->home[i.n]], idx, false);
        i.b->home[i.n] = (uint16_t)home->id;
    }
    home = idx < 32 ? c : g->cpu[i.b->home[i.n]];
    home->active_out += on ? 1u : ~0u;
    i.b->active ^= i.bit;
    vgic_look(home);
}

void vgic_set_active(struct vgic *g, struct vgic_cpu *c, unsigned idx, bool on)
{
    struct vgic_irq i = vgic_irq_at(g, c, idx);

    debug_assert_held(&g->lock);
    if (i.b->in_lr & i.bit) {
        if (!on)
            i.b->deact |= i.bit;
    } else if (on != !!(i.b->active & i.bit)) {
        account_active(g, c, i, idx, on);
        if (!on && idx == ARM_PPI_VTIMER)
            vtimer_drop(c);
    }
    vgic_update(g, c, idx);
}

struct vgic_cpu *vgic_this_cpu(const struct vgic *g)
{
    const struct vcpu *v = this_cpu()->current;

    return v && v->vm == g->vm && v->vintc ? vgic_cpu_of(v) : g->cpu[0];
}

/* ---- vintc_ops ---- */

static int gic_vm_init(struct vm *vm)
{
    struct vgic *g = vm_alloc(vm, sizeof *g);

    assert_cpu0();
    hv_assert(!vm->vintc);
    if (!g)
        return -ENOMEM;
    g->vm = vm;
    spin_init(&g->lock, LOCK_VINTC);
    vm->vintc = g;
    return 0;
}

static void gic_vm_fini(struct vm *vm)
{
    struct vgic *g = vm->vintc;

    assert_cpu0();
    assert_parked(vm);
    if (!g)
        return;
    if (g->gicc_mapped && gmem_unmap(vm, gpa(g->gicc), VGIC_GICC_LEN))
        log_err("%s: its GICC cannot be unmapped", vm->config->name);
    vm_free(vm, g->lpi, VGIC_LPI_BANKS * sizeof *g->lpi);
    vm_free(vm, g, sizeof *g);
    vm->vintc = NULL;
}

static int gic_vcpu_init(struct vcpu *v)
{
    struct vgic *g = v->vm->vintc;
    struct vgic_cpu *c;

    assert_cpu0();
    if (!g || v->id >= MAX_VCPUS)
        return -EINVAL;
    c = vm_alloc(v->vm, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->v = v;
    c->g = g;
    c->id = v->id;
    c->s.waker = 6;
    c->s.local.edge = 0xffff; /* SGIs */
    vgic_fill(c->s.local.home, (uint16_t)v->id);
    vtimer_cpu_init(c);
    v->vintc = c;
    g->cpu[v->id] = c; /* nospec: at creation */
    if (g->n <= v->id)
        g->n = (uint16_t)(v->id + 1);
    return 0;
}

static void gic_vcpu_fini(struct vcpu *v)
{
    struct vgic *g = v->vm->vintc;
    struct vgic_cpu *c = v->vintc;

    assert_cpu0();
    if (!c)
        return;
    its_stop(g);
    vtimer_cpu_fini(c);
    spin_lock(&g->lock);
    g->cpu[c->id] = NULL;
    /* the machine is being taken apart: nothing is delivered any more */
    g->version = 0;
    spin_unlock(&g->lock);
    v->vintc = NULL;
    vm_free(v->vm, c, sizeof *c);
}

static void gic_set_line(struct vm *vm, uint32_t line, bool level)
{
    struct vgic *g = vm->vintc;

    if (!g || line < 32 || line >= 32u + g->nspis)
        return;
    spin_lock(&g->lock);
    if (g->version)
        vgic_set_input(g, NULL, line, level);
    spin_unlock(&g->lock);
}

static int v2m_msi(struct vgic *g, uint32_t intid)
{
    if (intid - g->v2m_first >= g->v2m_count)
        return -EINVAL;
    spin_lock(&g->lock);
    if (g->version)
        vgic_set_latch(g, NULL, intid);
    spin_unlock(&g->lock);
    return 0;
}

static int gic_send_msi(struct vm *vm, uint32_t devid, uint64_t addr, uint32_t data)
{
    struct vgic *g = vm->vintc;
    int err = -ENOENT;

    if (g && g->has_its && addr == g->its.base + GITS_TRANSLATER)
        err = its_msi(g, devid, data);
    else if (g && g->v2m && addr == g->v2m + V2M_SETSPI_NS)
        err = v2m_msi(g, data);
    if (err)
        vm_log(vm, LOG_DEBUG, "device %#x: MSI %#x to %#llx leads nowhere", (unsigned)devid,
               (unsigned)data, (unsigned long long)addr);
    return err;
}

/* Whoever changes this after we looked asks again (REQ_IRQ). */
static inline __attribute__((always_inline)) bool nothing_to_do(const struct vgic_cpu *c)
{
    if (__atomic_load_n(&c->raise, __ATOMIC_RELAXED) |
        __atomic_load_n(&c->nready, __ATOMIC_RELAXED) |
        __atomic_load_n(&c->stale, __ATOMIC_RELAXED) | c->phys_sync)
        return false;
    return c->looked || !(c->gic.used | c->gic.hcr);
}

static __attribute__((noinline)) void service(struct vcpu *v)
{
    struct vgic_cpu *c = vgic_cpu_of(v);

    debug_assert_own_cpu(v);
    spin_lock(&c->g->lock);
    vgic_service(c);
    spin_unlock(&c->g->lock);
    v->vintc_hooks = (c->gic.used | c->gic.hcr) != 0;
}

/* Own CPU: nothing is ever injected as an event; what waits goes into the list registers. */
static int gic_pending(struct vcpu *v)
{
    struct vgic_cpu *c = vgic_cpu_of(v);

    debug_assert_own_cpu(v);
    if (c->woken)
        c->woken = false;
    else if (!nothing_to_do(c))
        service(v);
    return -1;
}

static int gic_accept(struct vcpu *v, int vec)
{
    (void)v;
    return vec;
}

static void gic_enter(struct vcpu *v) { vgic_cpu_of(v)->looked = false; }

static __attribute__((noinline)) void empty(struct vcpu *v, struct vgic_cpu *c, uint32_t ended)
{
    debug_assert_own_cpu(v);
    spin_lock(&c->g->lock);
    vgic_lr_ended(c, ended);
    spin_unlock(&c->g->lock);
    v->vintc_hooks = c->gic.used != 0;
}

/*
 * hw: the virtual timer's interrupt waits in a list register: perhaps the guest has set its timer
 * anew.
 */
static __attribute__((noinline)) void look_at_exit(struct vcpu *v, struct vgic_cpu *c,
                                                   uint32_t ended, bool hw)
{
    bool look =
        __atomic_load_n(&c->stale, __ATOMIC_RELAXED) || c->gic.hcr || (hw && !vtimer_due(c));

    if (look && !nothing_to_do(c))
        service(v);
    else if (!look && ended)
        empty(v, c, ended);
}

/*
 * Called only while list registers are in use. Nothing to do unless one of them was emptied, or
 * somebody wants one looked at.
 */
static void gic_leave(struct vcpu *v)
{
    struct vgic_cpu *c = vgic_cpu_of(v);
    uint32_t ended = 0;
    bool hw = false;

    debug_assert_own_cpu(v);
    for (uint32_t used = c->gic.used; used; used &= used - 1) {
        uint64_t lr = c->gic.lr[__builtin_ctz(used)];

        if (!(lr >> LR_STATE_SHIFT))
            ended |= used & -used;
        hw |= (lr & (ARM_LR_HW | ARM_LR_PENDING | ARM_LR_ACTIVE)) == (ARM_LR_HW | ARM_LR_PENDING);
    }
    if (hw | __atomic_load_n(&c->stale, __ATOMIC_RELAXED) | c->gic.hcr)
        look_at_exit(v, c, ended, hw);
    else if (ended)
        empty(v, c, ended);
}

const struct vintc_ops vintc_arm = {
    .vm_init = gic_vm_init,
    .vm_fini = gic_vm_fini,
    .vcpu_init = gic_vcpu_init,
    .vcpu_fini = gic_vcpu_fini,
    .set_line = gic_set_line,
    .send_msi = gic_send_msi,
    .pending = gic_pending,
    .accept = gic_accept,
    .enter = gic_enter,
    .leave = gic_leave,
};

/* ---- for the rest of hv/guest/aarch64 ---- */

unsigned vgic_host_version(const struct vm *vm)
{
    uint32_t r[4] = { 0, 0, 0, 0 };

    if (vm->ops && vm->ops->features)
        vm->ops->features(ARM_FEATURE_GIC, 0, r);
    return r[0];
}

static unsigned host_lrs(const struct vm *vm)
{
    uint32_t r[4] = { 0, 0, 0, 0 };

    if (vm->ops && vm->ops->features)
        vm->ops->features(ARM_FEATURE_GIC, 0, r);
    return r[1] < 1 ? 1 : r[1] > ARM_LRS_MAX ? ARM_LRS_MAX : r[1];
}

/* SPIs start as level-triggered, group 0, routed to vCPU 0. */
int vgic_create(struct vm *vm, const struct vgic_layout *l)
{
    struct vgic *g = vm->vintc;
    int err;

    assert_cpu0();
    assert_parked(vm);
    if (!g || l->nr_spis > VGIC_SPIS_MAX || (l->version != 2 && l->version != 3) ||
        (l->version == 2 && g->n > VGIC_V2_VCPUS))
        return -EINVAL;
    g->nspis = (uint16_t)l->nr_spis;
    g->nlrs = (uint8_t)host_lrs(vm);
    for (unsigned n = 0; n < VGIC_SPI_BANKS; n++)
        vgic_fill(g->s.spi[n].route, l->version == 2);
    g->version = l->version;
    if (l->version == 2)
        return vgic_v2_create(g, l);
    err = vgic_dist_create(g, l);
    err = err ? err : vgic_redist_create(g, l);
    return err || !l->its ? err : its_create(g, l);
}

/* When it wakes, vcpu.c asks gic_pending() at once: nothing new can have come without a request. */
bool vgic_wakeable(struct vcpu *v)
{
    struct vgic_cpu *c = vgic_cpu_of(v);

    debug_assert_own_cpu(v);
    if (!nothing_to_do(c))
        service(v);
    c->woken = c->gic.used && vgic_lr_wakes(c);
    return c->woken;
}

void vgic_vcpu_reset(struct vcpu *v)
{
    struct vgic_cpu *c = vgic_cpu_of(v);

    assert_own_cpu(v);
    vtimer_cpu_reset(c);
    spin_lock(&c->g->lock);
    vgic_lr_reset(c);
    vgic_look(c);
    spin_unlock(&c->g->lock);
}

static int sre_access(bool write, uint64_t *val)
{
    if (!write)
        *val = 7; /* SRE, DFB, DIB: fixed (GICv3 §12.2.24) */
    return 0;
}

int vgic_sysreg(struct vcpu *v, uint32_t id, bool write, uint64_t *val)
{
    struct vgic_cpu *c = vgic_cpu_of(v);

    debug_assert_own_cpu(v);
    switch (id) {
    case ARM_ICC_SGI1R_EL1:
    case ARM_ICC_ASGI1R_EL1:
    case ARM_ICC_SGI0R_EL1:
        if (c->g->version != 3 || !write)
            return -ENOENT;
        vgic_sgi_v3(v, id, *val);
        return 0;
    case ARM_ICC_SRE_EL1: return c->g->version == 3 ? sre_access(write, val) : -ENOENT;
    default: return ptimer_access(c, id, write, val);
    }
}
