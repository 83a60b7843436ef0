/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * el2_trap.c: what a guest's access to a caught system register does: the acts of el2_sysregs.c's
 * table. Arm ARM (DDI 0487): what HCR_EL2 and MDCR_EL2 catch is in D19.2 and D19.3, what the ID
 * registers' reserved encodings read as in D19.1.
 */
#include <hv/assert.h>
#include <hv/pt.h>

#include "el2.h"
#include "el2_sysregs.h"
#include "private.h"

/* OSLSR_EL1, D19.3: the OS lock is implemented; bit 1, OSLK, would say that it is locked */
#define OSLSR_OSLM1 8u

typedef bool act_fn(struct vcpu *, struct vcpu_exit *);

static void set_reg(struct vcpu *v, const struct vcpu_exit *e, uint64_t val)
{
    if (e->sysreg.reg < 31)
        v->regs.gpr[e->sysreg.reg] = val;
}

static bool undefined(struct vcpu *v)
{
    el2_guest(v)->raise_undefined(v);
    return true;
}

static bool el2_trap_read_only(struct vcpu *v, const struct vcpu_exit *e, uint64_t val)
{
    if (e->sysreg.write)
        return undefined(v);
    set_reg(v, e, val);
    el2_skip_insn(v, 4);
    return true;
}

static bool act_forward(struct vcpu *v, struct vcpu_exit *e)
{
    (void)v, (void)e;
    return false;
}

static bool act_id(struct vcpu *v, struct vcpu_exit *e)
{
    return el2_trap_read_only(v, e,
                              el2_caps.id[e->sysreg.id - ARM_SYSREG(3, 0, 0, ID_FIRST_CRM, 0)]);
}

static bool act_raz(struct vcpu *v, struct vcpu_exit *e) { return el2_trap_read_only(v, e, 0); }

static bool act_raz_wi(struct vcpu *v, struct vcpu_exit *e)
{
    if (!e->sysreg.write)
        set_reg(v, e, 0);
    el2_skip_insn(v, 4);
    return true;
}

static bool act_undef(struct vcpu *v, struct vcpu_exit *e)
{
    (void)e;
    return undefined(v);
}

static bool act_oslsr(struct vcpu *v, struct vcpu_exit *e)
{
    return el2_trap_read_only(v, e, OSLSR_OSLM1);
}

/*
 * Without FWB the guest's memory is made cacheable for as long as its MMU is off (HCR_EL2.DC), so
 * that what the loaders and the guest's other CPUs wrote is seen without cache maintenance. The
 * write that turns the MMU on is waited for (TVM); from then on the registers are the guest's,
 * unless it has cleaned caches by set and way, which nobody can do for it: such a guest is watched
 * for good.
 */
static void follow_mmu(struct vcpu *v, uint64_t sctlr)
{
    struct el2_vcpu *s = el2_of(v);
    uint64_t hcr = s->hcr & ~(HCR_DC | HCR_TVM);

    if (!(sctlr & SCTLR_EL1_M))
        hcr |= HCR_DC | HCR_TVM;
    else if (s->watch_mmu)
        hcr |= HCR_TVM;
    if (hcr == s->hcr)
        return;
    el2_hcr_set(v, hcr);
    isb();
    __asm__ volatile("tlbi vmalle1" : : : "memory");
    dsb_nsh();
    isb();
}

static bool act_set_way(struct vcpu *v, struct vcpu_exit *e)
{
    (void)e;
    if (!el2_caps.fwb) {
        el2_of(v)->watch_mmu = true;
        follow_mmu(v, el2_reg_get(v, R_SCTLR_EL1));
    }
    el2_skip_insn(v, 4);
    return true;
}

static bool act_vm(struct vcpu *v, struct vcpu_exit *e)
{
    int r = el2_reg_index(e->sysreg.id);

    if (!e->sysreg.write || r < 0)
        return undefined(v);
    el2_reg_set(v, (enum el2_reg)r, e->sysreg.val);
    if (r == R_SCTLR_EL1)
        follow_mmu(v, e->sysreg.val);
    el2_skip_insn(v, 4);
    return true;
}

/* The guest tries again, and finds the registers. */
static bool act_debug(struct vcpu *v, struct vcpu_exit *e)
{
    struct el2_vcpu *s = el2_of(v);

    (void)e;
    if (s->dbg_live)
        return undefined(v); /* caught for another reason: not there */
    el2_debug_give(s);
    return true;
}

bool el2_trap_sysreg(struct vcpu *v, struct vcpu_exit *e)
{
    static act_fn *const acts[TRAP_ACTS] = {
        [TRAP_FORWARD] = act_forward, [TRAP_ID] = act_id,       [TRAP_RAZ_WI] = act_raz_wi,
        [TRAP_RAZ] = act_raz,         [TRAP_UNDEF] = act_undef, [TRAP_OSLSR] = act_oslsr,
        [TRAP_SET_WAY] = act_set_way, [TRAP_VM] = act_vm,       [TRAP_DEBUG] = act_debug,
    };

    debug_assert_own_cpu(v);
    return acts[sysreg_trap_act(e->sysreg.id)](v, e);
}
