/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages between APICs: who is addressed, and what arrives. Intel SDM vol 3 §11.6, §11.12.9,
 * §11.12.10.
 */
#include <hv/assert.h>
#include <hv/log.h>
#include <hv/nospec.h>
#include <hv/vcpu.h>
#include <hv/vm.h>
#include "x86_intc.h"

static void add(struct apic_set *s, uint32_t id) { s->w[id / 64] |= 1ull << (id & 63); }

/* The first at or above `from`; X86_VCPUS_MAX: none. */
static uint32_t next_in(const struct apic_set *s, uint32_t from)
{
    for (uint32_t i = from / 64; i < APIC_SET_WORDS; i++) {
        uint64_t w = s->w[i] & (i == from / 64 ? UINT64_MAX << (from & 63) : UINT64_MAX);

        if (w)
            return i * 64 + (uint32_t)__builtin_ctzll(w);
    }
    return X86_VCPUS_MAX;
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

/*
 * In x2APIC mode a cluster is 16 vCPUs, whose numbers say which: a destination above 255 reaches
 * those alone. Others may be anybody's in xAPIC mode.
 */
static void match_all_logical(const struct x86_intc *x, uint32_t dest, struct apic_set *hit)
{
    uint32_t first = dest > 0xff ? dest >> 16 << 4 : 0,
             end = dest > 0xff ? first + 16 : X86_VCPUS_MAX;

    for (uint32_t i = first; i < end && i < x->nlapics; i++) {
        uint32_t id = (uint32_t)index_nospec(i, x->nlapics);

        if (x->lapic[id] && match_logical(x->lapic[id], dest))
            add(hit, id);
    }
}

/* A guest wrote identifiers: two may have the same, and 255 is everybody's in xAPIC mode. */
static void match_all_ids(const struct x86_intc *x, uint32_t dest, struct apic_set *hit)
{
    for (unsigned i = 0; i < x->nlapics; i++)
        if (x->lapic[i] && __atomic_load_n(&x->lapic[i]->s.id, __ATOMIC_RELAXED) == dest)
            add(hit, i);
}

static bool renamed(const struct x86_intc *x)
{
    return __atomic_load_n(&x->renamed, __ATOMIC_RELAXED);
}

/* APIC IDs are vCPU ids, in both modes, until one is written. */
void apic_targets(const struct x86_intc *x, const struct apic_msg *m, struct apic_set *to)
{
    *to = (struct apic_set){ { 0 } };
    for (uint32_t i = 0; m->broadcast && i < x->nlapics; i++)
        add(to, i);
    if (m->broadcast)
        return;
    if (m->logical)
        match_all_logical(x, m->dest, to);
    else if (renamed(x))
        match_all_ids(x, m->dest, to);
    else if (m->dest < x->nlapics)
        add(to, (uint32_t)index_nospec(m->dest, x->nlapics));
}

static void signal_init(struct lapic *l)
{
    /* forgets a start-up message that was not taken yet */
    __atomic_store_n(&l->s.signals, SIG_INIT, __ATOMIC_RELEASE);
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
        __atomic_store_n(&l->s.extint, 1, __ATOMIC_RELEASE);
        vcpu_request(l->v, REQ_IRQ);
        return true;
    default:
        vm_log(l->v->vm, LOG_DEBUG, "APIC message of mode %u to vCPU %u dropped", m->mode,
               l->v->id);
        return false;
    }
}

/* Lowest priority: in turn among those that can take it. X86_VCPUS_MAX: nobody can. */
static uint32_t one_of(struct x86_intc *x, const struct apic_set *targets)
{
    struct apic_set able = { { 0 } };
    uint32_t n = 0, id;

    for (id = next_in(targets, 0); id < x->nlapics; id = next_in(targets, id + 1))
        if (x->lapic[id] && lapic_sw_enabled(x->lapic[id])) {
            add(&able, id);
            n++;
        }
    if (!n)
        return X86_VCPUS_MAX;
    n = __atomic_fetch_add(&x->rotor, 1, __ATOMIC_RELAXED) % n;
    for (id = next_in(&able, 0); n; n--)
        id = next_in(&able, id + 1);
    return id;
}

unsigned apic_deliver(struct x86_intc *x, const struct apic_set *targets, const struct apic_msg *m)
{
    uint32_t id = next_in(targets, 0);
    unsigned taken = 0;

    if (m->mode == DM_LOWEST && id < X86_VCPUS_MAX && next_in(targets, id + 1) < X86_VCPUS_MAX) {
        id = one_of(x, targets);
        if (id >= x->nlapics)
            return 0;
        return deliver_one(x->lapic[id], m); /* nospec: of our own set */
    }
    for (; id < x->nlapics; id = next_in(targets, id + 1))
        taken += deliver_one(x->lapic[id], m); /* nospec: of a set of those there are */
    return taken;
}

unsigned apic_send(struct x86_intc *x, const struct apic_msg *m)
{
    struct apic_set to;

    if (m->logical || m->broadcast || renamed(x)) {
        apic_targets(x, m, &to);
        return apic_deliver(x, &to, m);
    }
    if (m->dest >= x->nlapics)
        return 0;
    return deliver_one(x->lapic[index_nospec(m->dest, x->nlapics)], m);
}

static void to_all(struct x86_intc *x, const struct apic_msg *m, const struct lapic *but)
{
    for (uint32_t i = 0; i < x->nlapics; i++)
        if (x->lapic[i] != but)
            (void)deliver_one(x->lapic[i], m);
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
    static_assert(X86_VCPUS_MAX <= 255, "APIC ID 255 is everybody's in xAPIC mode");

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
        (void)apic_send(x, &m);
        break;
    case 1: (void)deliver_one(l, &m); break;
    case 2: to_all(x, &m, NULL); break;
    default: to_all(x, &m, l); break;
    }
}
