/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lapic_page.c: the local APIC while the CPU itself keeps it (struct vapic_ops). The truth about
 * IRR, ISR and TPR is in the CPU's page while `live`, and in l->s otherwise: lapic_take_back() and
 * lapic_hand_over() move it, on the vCPU's own CPU, while the guest does not run. Interrupts that
 * others send are noted in l->s.irr in both cases; REQ_IRQ brings the vCPU to lapic_hand_over(),
 * which adds them to the page. Where the CPU can, they are posted: a vCPU that runs takes them out
 * of l->hw.posted by itself. A vector is cleared in one place as it is set in the other, so that
 * none is lost and none is there twice. All other registers are l->s's, and the page has a copy for
 * the guest to read. Intel SDM vol 3 §11.4, §11.8, §29.
 */
#include <hv/assert.h>
#include <hv/vcpu.h>
#include <hv/vm.h>
#include <hv/x86.h>
#include "x86_devices.h"
#include "x86_intc.h"

#define TPR_BYTE (APIC_TPR << 4)

/* 32 bits, at the first of each 16 bytes. The guest's own CPU has left them alone by now. */
static uint32_t load(const struct lapic *l, unsigned reg)
{
    return *(const volatile uint32_t *)(l->hw.apic + (reg << 4));
}

static void store(struct lapic *l, unsigned reg, uint32_t val)
{
    *(volatile uint32_t *)(l->hw.apic + (reg << 4)) = val;
}

/* 64 of the 256 bits that begin at `reg`. */
static uint64_t load_vectors(const struct lapic *l, unsigned reg, unsigned i)
{
    return load(l, reg + 2 * i) | (uint64_t)load(l, reg + 2 * i + 1) << 32;
}

static void store_vectors(struct lapic *l, unsigned reg, unsigned i, uint64_t val)
{
    store(l, reg + 2 * i, (uint32_t)val);
    store(l, reg + 2 * i + 1, (uint32_t)(val >> 32));
}

/* What came since, into the page. TMR is read after IRR: lapic_raise() writes it first. */
static bool add_new(struct lapic *l, unsigned i, bool all)
{
    uint64_t new = 0, tmr;

    if (__atomic_load_n(&l->s.irr[i], __ATOMIC_RELAXED))
        new = __atomic_exchange_n(&l->s.irr[i], 0, __ATOMIC_SEQ_CST);
    if (new)
        store_vectors(l, APIC_IRR, i, load_vectors(l, APIC_IRR, i) | new);
    tmr = __atomic_load_n(&l->s.tmr[i], __ATOMIC_SEQ_CST);
    if (tmr != l->eoi_exits[i] || all) {
        l->eoi_exits[i] = tmr;
        store_vectors(l, APIC_TMR, i, tmr);
        lapic_engine(l->v->vm)->vapic->eoi_exits(l->v, l->eoi_exits);
    }
    return new != 0;
}

void lapic_hand_over(struct lapic *l)
{
    bool all = !l->live, changed = all;

    debug_assert_own_cpu(l->v);
    debug_assert(l->hw.apic);
    for (unsigned i = 0; all && i < 4; i++) {
        store_vectors(l, APIC_ISR, i, l->s.isr[i]);
        store_vectors(l, APIC_IRR, i, 0);
    }
    for (unsigned i = 0; i < 4; i++)
        changed |= add_new(l, i, all);
    l->live = true;
    if (changed)
        lapic_engine(l->v->vm)->vapic->changed(l->v);
}

/* A level-triggered one is never posted: the CPU would not know that its EOI has to exit. */
void lapic_collect(struct lapic *l)
{
    debug_assert_own_cpu(l->v);
    debug_assert(l->hw.posted);
    for (unsigned i = 0; i < 4; i++)
        if (__atomic_load_n(&l->hw.posted[i], __ATOMIC_RELAXED))
            __atomic_fetch_or(&l->s.irr[i],
                              __atomic_exchange_n(&l->hw.posted[i], 0, __ATOMIC_SEQ_CST),
                              __ATOMIC_SEQ_CST);
}

static int highest_in_service(const struct lapic *l)
{
    for (int i = 3; i >= 0; i--)
        if (l->s.isr[i])
            return i * 64 + 63 - __builtin_clzll(l->s.isr[i]);
    return -1;
}

/*
 * It is handed over before the guest runs: that looks at requests first. Nobody has to be woken or
 * kicked for it.
 */
static void look_again(struct lapic *l)
{
    __atomic_fetch_or(&l->v->requests, REQ_IRQ, __ATOMIC_SEQ_CST);
}

void lapic_take_back(struct lapic *l)
{
    debug_assert_own_cpu(l->v);
    if (!l->live)
        return;
    l->live = false;
    if (l->hw.posted)
        lapic_collect(l);
    for (unsigned i = 0; i < 4; i++) {
        l->s.isr[i] = load_vectors(l, APIC_ISR, i);
        __atomic_fetch_or(&l->s.irr[i], load_vectors(l, APIC_IRR, i), __ATOMIC_SEQ_CST);
    }
    l->isr_top = highest_in_service(l);
    l->s.tpr = l->hw.apic[TPR_BYTE];
    lapic_fetch_icr(l);
    look_again(l);
}

/* In xAPIC mode the guest writes ICR's high half, and sends itself interrupts, without exits. */
void lapic_fetch_icr(struct lapic *l)
{
    if (lapic_delivers(l) && l->mode & VAPIC_PAGE)
        l->s.icr = (uint64_t)(load(l, APIC_ICR2) & 0xff000000) << 32 | load(l, APIC_ICR);
}

/* Those that the CPU keeps, and the current count, which it does not serve, are left alone. */
static bool is_copy(unsigned reg)
{
    return reg < APIC_REGS && reg != APIC_TPR && reg != APIC_PPR && reg != APIC_TMCCT &&
           !(reg >= APIC_ISR && reg < APIC_ESR);
}

void lapic_show(struct lapic *l, unsigned reg)
{
    if (!lapic_delivers(l) || !is_copy(reg))
        return;
    store(l, reg, lapic_show_reg(l, reg));
    if (reg == APIC_ICR && lapic_x2(l))
        *(volatile uint32_t *)(l->hw.apic + (APIC_ICR << 4) + 4) = (uint32_t)(l->s.icr >> 32);
    if (reg == APIC_LVT) /* another mode of the timer clears it */
        store(l, APIC_TMICT, lapic_show_reg(l, APIC_TMICT));
}

/* ---- modes ---- */

static bool at_reset_base(const struct lapic *l)
{
    return (l->s.base & ~(BASE_BSP | 0xffull)) == (PLAT_LAPIC | BASE_EN);
}

static unsigned wanted(const struct lapic *l)
{
    unsigned mode = at_reset_base(l) ? VAPIC_PAGE : 0;

    if (lapic_sw_enabled(l))
        mode |= VAPIC_DELIVERS | (lapic_x2(l) ? VAPIC_X2 : 0);
    return mode;
}

/*
 * Once a vCPU's APIC page is elsewhere, or off, accesses are looked at one by one, for all: the
 * page would be there for that vCPU, too.
 */
static void close_window(struct x86_intc *x)
{
    spin_lock(&x->window_lock);
    if (x->window)
        (void)lapic_engine(x->vm)->vapic->window(x->vm, false);
    x->window = 0;
    spin_unlock(&x->window_lock);
}

static void enter_delivery(struct lapic *l)
{
    assert_own_cpu(l->v);
    hv_assert(l->hw.apic);
    if (l->pv_flag && lapic_pv_disarm(l))
        lapic_end(l);
    if (l->watched)
        lapic_engine(l->v->vm)->tpr_window(l->v, l->watched = 0);
    for (unsigned i = 0; i < APIC_REGS; i++)
        lapic_show(l, i);
    look_again(l);
}

void lapic_set_mode(struct lapic *l)
{
    unsigned mode = l->hw.apic ? wanted(l) : 0;

    assert_own_cpu(l->v);
    if (mode == l->mode)
        return;
    lapic_take_back(l);
    if (!(mode & VAPIC_PAGE))
        close_window(l->intc);
    l->mode = (uint8_t)mode;
    lapic_engine(l->v->vm)->vapic->mode(l->v, mode);
    if (mode & VAPIC_DELIVERS)
        enter_delivery(l);
}

void lapic_window(struct x86_intc *x)
{
    bool all = x->nlapics != 0;

    assert_cpu0();
    assert_parked(x->vm);
    for (unsigned i = 0; i < x->nlapics; i++)
        all &= x->lapic[i] && x->lapic[i]->mode & VAPIC_PAGE;
    spin_lock(&x->window_lock);
    if (all && !x->window)
        x->window = lapic_engine(x->vm)->vapic->window(x->vm, true) == 0;
    spin_unlock(&x->window_lock);
}

void lapic_restored(struct lapic *l)
{
    l->isr_top = highest_in_service(l);
    lapic_set_mode(l);
    if (l->hw.apic)
        *l->hw.tpr = (uint8_t)l->s.tpr;
    else if (l->v->ops->set_sysreg)
        (void)l->v->ops->set_sysreg(l->v, X86_CR8, l->s.tpr >> 4);
    for (unsigned i = 0; lapic_delivers(l) && i < APIC_REGS; i++)
        lapic_show(l, i);
    look_again(l);
}

/* ---- what the CPU did ---- */

void lapic_exit(struct vcpu *v, struct vcpu_exit *e)
{
    struct lapic *l = lapic_of(v);
    unsigned reg = e->vintc.reg >> 4;

    debug_assert_own_cpu(v);
    if (!lapic_delivers(l) || reg >= APIC_REGS)
        return;
    if (reg == APIC_EOI) {
        ioapic_eoi(l->intc, e->vintc.vector);
        return;
    }
    lapic_fetch_icr(l);
    lapic_written(l, reg, load(l, reg));
}
