/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages between APICs: who is addressed, and what arrives. Intel SDM vol 3 §11.6, §11.12.9,
 * §11.12.10.
 */
#include <hv/assert.h>
#include <hv/log.h>
#include <hv/vcpu.h>
#include <hv/vm.h>
#include "x86_intc.h"

static uint32_t bit(unsigned id) { return 1u << id; }

static uint32_t everybody(const struct x86_intc *x)
{
    return x->nlapics >= 32 ? ~0u : bit(x->nlapics) - 1;
}

static bool match_logical(const struct lapic *l, uint32_t dest)
{
    uint32_t ldr = __atomic_load_n(&l->s.ldr, __ATOMIC_RELAXED);

    if (lapic_x2(l))
        return dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff);
    ldr >>= 24;
    if (dest > 0xff)
        return false;
    if (l->s.dfr >> 28 == 0xf) /* flat */
        return (dest & ldr) != 0;
    return dest >> 4 == ldr >> 4 && (dest & ldr & 0xf); /* cluster */
}

static uint32_t match_all_logical(const struct x86_intc *x, uint32_t dest)
{
    uint32_t hit = 0;

    for (unsigned i = 0; i < x->nlapics; i++)
        if (x->lapic[i] && match_logical(x->lapic[i], dest))
            hit |= bit(i);
    return hit;
}

/* A guest wrote identifiers: two may have the same, and 255 is everybody's in xAPIC mode. */
static uint32_t match_all_ids(const struct x86_intc *x, uint32_t dest)
{
    uint32_t hit = 0;

    for (unsigned i = 0; i < x->nlapics; i++)
        if (x->lapic[i] && __atomic_load_n(&x->lapic[i]->s.id, __ATOMIC_RELAXED) == dest)
            hit |= bit(i);
    return hit;
}

/* APIC IDs are vCPU ids, in both modes, until one is written. */
uint32_t apic_targets(const struct x86_intc *x, const struct apic_msg *m)
{
    if (m->broadcast)
        return everybody(x);
    if (m->logical)
        return match_all_logical(x, m->dest);
    if (__atomic_load_n(&x->renamed, __ATOMIC_RELAXED))
        return match_all_ids(x, m->dest);
    return m->dest < x->nlapics ? bit(m->dest) : 0;
}

static void signal_init(struct lapic *l)
{
    /* forgets a start-up message that was not taken yet */
    __atomic_store_n(&l->s.signals, SIG_INIT, __ATOMIC_SEQ_CST);
    vcpu_request(l->v, REQ_GUEST);
}

void apic_init_all(struct x86_intc *x)
{
    for (unsigned i = 0; i < x->nlapics; i++)
        if (x->lapic[i])
            signal_init(x->lapic[i]);
}

static void signal_sipi(struct lapic *l, uint8_t vector)
{
    uint32_t old = __atomic_load_n(&l->s.signals, __ATOMIC_SEQ_CST);

    while (!(old & SIG_SIPI) &&
           !__atomic_compare_exchange_n(&l->s.signals, &old, old | SIG_SIPI | (uint32_t)vector << 8,
                                        false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
    vcpu_request(l->v, REQ_GUEST);
}

static bool accept_fixed(struct lapic *l, const struct apic_msg *m)
{
    if (!lapic_sw_enabled(l))
        return false;
    if (m->vector < 16)
        lapic_error(l, ESR_RECV_ILLEGAL);
    else
        lapic_raise(l, m->vector, m->level);
    return true;
}

static bool deliver_one(struct lapic *l, const struct apic_msg *m)
{
    if (!l || !lapic_hw_enabled(l))
        return false;
    switch (m->mode) {
    case DM_FIXED:
    case DM_LOWEST: return accept_fixed(l, m);
    case DM_NMI: vcpu_request(l->v, REQ_NMI); return true;
    case DM_INIT: signal_init(l); return true;
    case DM_SIPI: signal_sipi(l, m->vector); return true;
    case DM_EXTINT:
        __atomic_store_n(&l->s.extint, 1, __ATOMIC_SEQ_CST);
        vcpu_request(l->v, REQ_IRQ);
        return true;
    default:
        vm_log(l->v->vm, LOG_DEBUG, "APIC message of mode %u to vCPU %u dropped", m->mode,
               l->v->id);
        return false;
    }
}

/* Lowest priority: in turn among those that can take it. */
static uint32_t one_of(struct x86_intc *x, uint32_t targets)
{
    uint32_t able = 0, n;

    for (unsigned i = 0; i < x->nlapics; i++)
        if (targets & bit(i) && x->lapic[i] && lapic_sw_enabled(x->lapic[i]))
            able |= bit(i);
    if (!able)
        return 0;
    n = __atomic_fetch_add(&x->rotor, 1, __ATOMIC_RELAXED) % (uint32_t)__builtin_popcount(able);
    while (n--)
        able &= able - 1;
    return able & -able;
}

unsigned apic_deliver(struct x86_intc *x, uint32_t targets, const struct apic_msg *m)
{
    unsigned taken = 0;

    debug_assert(!(targets & ~everybody(x)));
    if (m->mode == DM_LOWEST && targets & (targets - 1))
        targets = one_of(x, targets);
    for (; targets; targets &= targets - 1)
        taken += deliver_one(x->lapic[__builtin_ctz(targets)], m);
    return taken;
}

/*
 * ICR: vector 7:0, mode 10:8, logical 11, assert 14, level 15, shorthand 19:18, destination 63:56
 * or (x2APIC) 63:32.
 */
void lapic_icr_write(struct lapic *l, uint64_t icr)
{
    struct apic_msg m = { .vector = (uint8_t)icr,
                          .mode = (icr >> 8) & 7,
                          .logical = icr >> 11 & 1 };
    struct x86_intc *x = l->intc;
    uint32_t targets, self = bit(l->v->id);

    debug_assert_own_cpu(l->v);
    l->s.icr = icr & ~(1ull << 12);
    /* INIT level de-assert: no effect (SDM vol 3 §11.6.1) */
    if (m.mode == DM_INIT && (icr & 0xc000) == 0x8000)
        return;
    if (m.mode <= DM_LOWEST && m.vector < 16) {
        lapic_error(l, ESR_SEND_ILLEGAL);
        return;
    }
    switch (icr >> 18 & 3) {
    case 0:
        m.dest = lapic_x2(l) ? (uint32_t)(icr >> 32) : (uint32_t)(icr >> 56);
        m.broadcast = m.dest == (lapic_x2(l) ? ~0u : 0xffu);
        targets = apic_targets(x, &m);
        break;
    case 1: targets = self; break;
    case 2: targets = everybody(x); break;
    default: targets = everybody(x) & ~self; break;
    }
    (void)apic_deliver(x, targets, &m);
}
