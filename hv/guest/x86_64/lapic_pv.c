/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's paravirtual interface to the LAPIC (documented in the Linux kernel's
 * Documentation/virt/kvm/x86/{msr,hypercalls}.rst). PV EOI: while one edge interrupt is in service
 * and nothing waits behind it, bit 0 of a byte in guest memory is set; the guest ends the interrupt
 * by clearing it, without an exit. The next exit sees that (lapic_pv_leave).
 */
#include <hv/assert.h>
#include <hv/gmem.h>
#include <hv/vcpu.h>
#include <hv/vm.h>
#include "x86_devices.h"
#include "x86_intc.h"

static uint8_t *flag_at(const struct lapic *l)
{
    return gmem_ptr(l->v->vm, gpa(l->s.pv_eoi & ~3ull), 4, PROT_RW);
}

void lapic_pv_arm(struct lapic *l, int vec)
{
    debug_assert_own_cpu(l->v);
    debug_assert(!l->pv_flag);
    if (l->s.tmr[vec >> 6] >> (vec & 63) & 1) /* the IOAPIC waits for a level interrupt's EOI */
        return;
    l->pv_flag = flag_at(l);
    if (!l->pv_flag)
        return;
    __atomic_store_n(l->pv_flag, 1, __ATOMIC_RELEASE);
    l->v->vintc_hooks = true;
}

bool lapic_pv_disarm(struct lapic *l)
{
    uint8_t *p = l->pv_flag;
    bool ended;

    debug_assert_own_cpu(l->v);
    debug_assert(p);
    l->pv_flag = NULL;
    l->v->vintc_hooks = false;
    ended = !(__atomic_exchange_n(p, 0, __ATOMIC_SEQ_CST) & 1);
    gmem_wrote(l->v->vm, p, 4);
    return ended;
}

void lapic_pv_leave(struct vcpu *v)
{
    struct lapic *l = lapic_of(v);

    debug_assert_own_cpu(v);
    if (!l->pv_flag || __atomic_load_n(l->pv_flag, __ATOMIC_SEQ_CST) & 1)
        return;
    (void)lapic_pv_disarm(l);
    lapic_end(l);
}

bool lapic_pv_valid(const struct lapic *l, uint64_t msr)
{
    return !(msr & 2) && (!(msr & 1) || gmem_ptr(l->v->vm, gpa(msr & ~3ull), 4, PROT_RW) != NULL);
}

int lapic_set_pv_eoi(struct vcpu *v, uint64_t msr)
{
    struct lapic *l = lapic_of(v);

    debug_assert_own_cpu(v);
    if (msr & 2)
        return -EINVAL;
    if (l->pv_flag && lapic_pv_disarm(l))
        lapic_end(l);
    l->s.pv_eoi = msr;
    if (msr & 1 && !flag_at(l))
        l->s.pv_eoi = 0; /* not RAM: never armed */
    return 0;
}

uint64_t lapic_get_pv_eoi(const struct vcpu *v) { return lapic_of(v)->s.pv_eoi; }

/* The bitmap's bits that name vCPUs, as targets. */
static struct apic_set pv_targets(const struct x86_intc *x, uint64_t low, uint64_t high,
                                  uint64_t min)
{
    struct apic_set targets = { { 0 } };

    for (unsigned i = 0; i < 128 && min + i < x->nlapics; i++)
        if ((i < 64 ? low >> i : high >> (i - 64)) & 1)
            targets.w[(min + i) / 64] |= 1ull << ((min + i) & 63);
    return targets;
}

int64_t lapic_pv_ipi(struct vcpu *v, uint64_t low, uint64_t high, uint64_t min, uint64_t icr)
{
    struct x86_intc *x = lapic_of(v)->intc;
    struct apic_msg m = { .vector = (uint8_t)icr, .mode = (icr >> 8) & 7 };

    debug_assert_own_cpu(v);
    if (min >= X86_VCPUS_MAX || (m.mode != DM_FIXED && m.mode != DM_NMI) ||
        (m.mode == DM_FIXED && m.vector < 16))
        return -EINVAL;
    struct apic_set to = pv_targets(x, low, high, min);
    return apic_deliver(x, &to, &m);
}
