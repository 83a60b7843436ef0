/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vtimer.c: the guest's two generic timers (Arm ARM D11). The virtual one is the CPU's own while
 * its vCPU is loaded: the host takes its interrupt, leaves it active, and the guest deactivates it
 * through the list register. While the vCPU is not loaded an event stands in for it. The physical
 * one is emulated. Both count alike: time_cycles() less the VM's offset.
 */
#include <hv/assert.h>
#include <hv/percpu.h>
#include <hv/time.h>
#include "vgic_int.h"

enum { CTL_ENABLE = 1, CTL_IMASK = 2, CTL_ISTATUS = 4 };
#define FAR_CYCLES (1ull << 54) /* an event looks again then */
#define FAR_NS (1ull << 60)
/*
 * What the guest's count starts with: far more than the host's, so that CNTVOFF_EL2 is negative for
 * years. Nobody may rely on 0, and QEMU before 9 never comes back from adding a positive CNTVOFF to
 * a compare value at the end of time (gt_recalc_timer), which a guest may well set.
 */
#define COUNT_BASE (1ull << 52)

static uint64_t count_now(const struct vgic *g) { return time_cycles() - g->cntvoff; }

/* ---- events ---- */

static uint64_t host_ns(const struct vgic *g, uint64_t cval)
{
    uint64_t now = count_now(g), left = cval > now ? cval - now : 0;

    return time_ns() + min_u64(time_cycles_to_ns(min_u64(left, FAR_CYCLES)), FAR_NS) + 1;
}

static void alarm_off(struct vtimer_alarm *a)
{
    if (a->armed)
        event_cancel(&a->ev);
    a->armed = false;
}

static void alarm_set(struct vgic_cpu *c, struct vtimer_alarm *a, uint64_t cval)
{
    uint32_t cpu = this_cpu()->id;

    if (a->ev.cpu != cpu) {
        event_cancel(&a->ev);
        a->ev.cpu = (uint16_t)cpu;
    }
    a->cval = cval;
    a->armed = true;
    event_at(&a->ev, host_ns(c->g, cval));
}

static bool is_over(struct vgic_cpu *c, struct vtimer_alarm *a)
{
    if (count_now(c->g) >= a->cval) {
        a->armed = false;
        return true;
    }
    event_at(&a->ev, host_ns(c->g, a->cval));
    return false;
}

static void virt_event(struct event *e)
{
    struct vgic_cpu *c = container_of(e, struct vgic_cpu, virt.ev);

    if (is_over(c, &c->virt))
        vgic_raise(c, ARM_PPI_VTIMER, 0);
}

static void phys_event(struct event *e)
{
    struct vgic_cpu *c = container_of(e, struct vgic_cpu, phys.ev);

    if (is_over(c, &c->phys))
        vgic_raise(c, ARM_PPI_PTIMER, 0);
}

void vtimer_cpu_init(struct vgic_cpu *c)
{
    assert_cpu0();
    event_init(&c->virt.ev, virt_event, this_cpu()->id);
    event_init(&c->phys.ev, phys_event, this_cpu()->id);
}

void vtimer_cpu_fini(struct vgic_cpu *c)
{
    assert_cpu0();
    event_kill(&c->virt.ev);
    event_kill(&c->phys.ev);
}

static void set_offset(struct vgic_cpu *c)
{
    if (c->v->ops->set_sysreg)
        (void)c->v->ops->set_sysreg(c->v, ARM_CNTVOFF_EL2, c->g->cntvoff);
}

/*
 * The clock is read once: with two readings the count would be set back or forth by what came
 * between them.
 */
void vtimer_sync_clock(struct vm *vm)
{
    struct vgic *g = vm->vintc;
    uint64_t now = time_ns(), guest_now = now + (uint64_t)vm->time_offset_ns;

    assert_cpu0();
    assert_parked(vm);
    g->cntvoff = time_cycles_at(now) - time_ns_to_cycles(guest_now) - COUNT_BASE;
    for (unsigned n = 0; n < g->n; n++)
        if (g->cpu[n])
            set_offset(g->cpu[n]);
}

/* ---- the virtual timer ---- */

/* ENABLE and not IMASK: *cval is when it asserts its interrupt. */
static bool virt_enabled(struct vgic_cpu *c, uint64_t *cval)
{
    uint64_t ctl = 0;

    if (c->v->ops->get_sysreg(c->v, ARM_CNTV_CTL_EL0, &ctl) ||
        (ctl & (CTL_ENABLE | CTL_IMASK)) != CTL_ENABLE)
        return false;
    return !c->v->ops->get_sysreg(c->v, ARM_CNTV_CVAL_EL0, cval);
}

bool vtimer_due(struct vgic_cpu *c)
{
    uint64_t cval = 0;

    debug_assert_own_cpu(c->v);
    return virt_enabled(c, &cval) && count_now(c->g) >= cval;
}

void vtimer_sync_phys(struct vgic_cpu *c)
{
    debug_assert_own_cpu(c->v);
    c->phys_sync = false;
    if (this_cpu()->loaded == c->v)
        (void)c->v->ops->set_sysreg(c->v, ARM_VTIMER_PHYS_ACTIVE,
                                    c->s.local.line & PPI_VTIMER ? 1 : 0);
}

/* The physical interrupt may come again; when the timer is not on a CPU, an event stands in. */
void vtimer_drop(struct vgic_cpu *c)
{
    uint64_t cval = 0;

    debug_assert_held(&c->g->lock);
    c->s.local.line &= ~PPI_VTIMER;
    if (this_cpu()->current != c->v) {
        c->phys_sync = true;
        vcpu_request(c->v, REQ_IRQ);
    } else if (this_cpu()->loaded == c->v) {
        vtimer_sync_phys(c);
    } else if (virt_enabled(c, &cval)) {
        alarm_set(c, &c->virt, cval);
    }
    vgic_update(c->g, c, ARM_PPI_VTIMER);
}

void arm_vtimer_irq(struct vcpu *v)
{
    debug_assert_own_cpu(v);
    vgic_cpu_of(v)->just_fired = true;
    vgic_raise(vgic_cpu_of(v), ARM_PPI_VTIMER, 0);
}

void arm_vtimer_loaded(struct vcpu *v)
{
    debug_assert_own_cpu(v);
    alarm_off(&vgic_cpu_of(v)->virt);
}

bool arm_vtimer_active(const struct vcpu *v)
{
    const struct vgic_cpu *c = vgic_cpu_of(v);

    return c->s.local.line & PPI_VTIMER ||
           __atomic_load_n(&c->raise, __ATOMIC_RELAXED) >> ARM_PPI_VTIMER & 1;
}

/* When the guest has its interrupt already, there is nothing to wake it for. */
void arm_vtimer_unloaded(struct vcpu *v, uint64_t ctl, uint64_t cval)
{
    struct vgic_cpu *c = vgic_cpu_of(v);

    debug_assert_own_cpu(v);
    if ((ctl & (CTL_ENABLE | CTL_IMASK)) == CTL_ENABLE && !arm_vtimer_active(v))
        alarm_set(c, &c->virt, cval);
}

/* ---- the physical timer ---- */

static bool phys_enabled(const struct vgic_cpu *c)
{
    return (c->s.cntp_ctl & (CTL_ENABLE | CTL_IMASK)) == CTL_ENABLE;
}

bool ptimer_due(struct vgic_cpu *c)
{
    debug_assert_held(&c->g->lock);
    if (!phys_enabled(c))
        return false;
    if (count_now(c->g) >= c->s.cntp_cval)
        return true;
    alarm_set(c, &c->phys, c->s.cntp_cval);
    return false;
}

static void phys_changed(struct vgic_cpu *c)
{
    bool due;

    debug_assert_held(&c->g->lock);
    alarm_off(&c->phys);
    due = ptimer_due(c);
    vgic_set_input(c->g, c, ARM_PPI_PTIMER, due);
}

static uint64_t read_ctl(const struct vgic_cpu *c)
{
    bool met = c->s.cntp_ctl & CTL_ENABLE && count_now(c->g) >= c->s.cntp_cval;

    return c->s.cntp_ctl | (met ? CTL_ISTATUS : 0);
}

static void write_ctl(struct vgic_cpu *c, uint64_t val)
{
    c->s.cntp_ctl = (uint32_t)val & (CTL_ENABLE | CTL_IMASK);
}
static uint64_t read_cval(const struct vgic_cpu *c) { return c->s.cntp_cval; }
static void write_cval(struct vgic_cpu *c, uint64_t val) { c->s.cntp_cval = val; }
static uint64_t read_tval(const struct vgic_cpu *c)
{
    return (uint32_t)(c->s.cntp_cval - count_now(c->g));
}
static void write_tval(struct vgic_cpu *c, uint64_t val)
{
    c->s.cntp_cval = count_now(c->g) + (uint64_t)(int32_t)(uint32_t)val;
}
static uint64_t read_count(const struct vgic_cpu *c) { return count_now(c->g); }

int ptimer_access(struct vgic_cpu *c, uint32_t id, bool write, uint64_t *val)
{
    static const struct {
        uint32_t id;
        uint64_t (*read)(const struct vgic_cpu *);
        void (*write)(struct vgic_cpu *, uint64_t);
    } regs[] = {
        { ARM_CNTPCT_EL0, read_count, NULL },
        { ARM_CNTP_CTL_EL0, read_ctl, write_ctl },
        { ARM_CNTP_CVAL_EL0, read_cval, write_cval },
        { ARM_CNTP_TVAL_EL0, read_tval, write_tval },
    };

    for (unsigned n = 0; n < ARRAY_SIZE(regs); n++) {
        if (regs[n].id != id)
            continue;
        if (!write) {
            *val = regs[n].read(c);
            return 0;
        }
        if (!regs[n].write)
            return -ENOENT;
        spin_lock(&c->g->lock);
        regs[n].write(c, *val);
        phys_changed(c);
        spin_unlock(&c->g->lock);
        return 0;
    }
    return -ENOENT;
}

void vtimer_cpu_quiesce(struct vgic_cpu *c)
{
    event_cancel(&c->virt.ev);
    event_cancel(&c->phys.ev);
}

void vtimer_cpu_resume(struct vgic_cpu *c)
{
    uint64_t cval = 0;

    alarm_off(&c->virt);
    if (virt_enabled(c, &cval) && !arm_vtimer_active(c->v))
        alarm_set(c, &c->virt, cval);
    spin_lock(&c->g->lock);
    phys_changed(c);
    spin_unlock(&c->g->lock);
}

void vtimer_cpu_reset(struct vgic_cpu *c)
{
    debug_assert_own_cpu(c->v);
    alarm_off(&c->virt);
    if (c->v->ops->set_sysreg)
        (void)c->v->ops->set_sysreg(c->v, ARM_CNTVOFF_EL2, c->g->cntvoff);
    spin_lock(&c->g->lock);
    c->s.cntp_ctl = 0;
    phys_changed(c);
    spin_unlock(&c->g->lock);
}
