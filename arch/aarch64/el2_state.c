/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * el2_state.c: what an image has of a vCPU, and this engine knows. Parked: all of it is in memory.
 * Arm ARM: C5.2.19 (SPSR_EL2), D1.3.4 (virtual SErrors).
 */
#include <hv/vm.h>
#include <string.h>

#include "el2.h"

#define PFR0_EL0_A32 2u /* ID_AA64PFR0_EL1.EL0: AArch32, too */
#define VSESR_BITS 0x1ffffffull
/* SPSR_EL2 of AArch64: NZCV, TCO DIT UAO PAN SS IL, SSBS BTYPE DAIF, M */
#define PSTATE_A64_BITS 0xf3f01fcfull
#define PSTATE_M 0x1full
#define PSTATE_EL0T 0ull
#define PSTATE_EL1T 4ull
#define PSTATE_EL1H 5ull
#define PSTATE_USR32 0x10ull

/* ---- registers ---- */

#define NAME_OF(name, a, b, c, d, e, v) ARM_SYSREG(a, b, c, d, e),
#define ID_ROW(m)                                                                        \
    ARM_SYSREG(3, 0, 0, m, 0), ARM_SYSREG(3, 0, 0, m, 1), ARM_SYSREG(3, 0, 0, m, 2),     \
        ARM_SYSREG(3, 0, 0, m, 3), ARM_SYSREG(3, 0, 0, m, 4), ARM_SYSREG(3, 0, 0, m, 5), \
        ARM_SYSREG(3, 0, 0, m, 6), ARM_SYSREG(3, 0, 0, m, 7)
#define ARM_VDISR_EL2 ARM_SYSREG(3, 4, 12, 1, 1)

/* What the CPU is comes first: a guest is not moved to one that has less. */
const uint32_t el2_sysreg_list[EL2_SYSREGS] = { ARM_MIDR_EL1,
                                                ID_ROW(1),
                                                ID_ROW(2),
                                                ID_ROW(3),
                                                ID_ROW(4),
                                                ID_ROW(5),
                                                ID_ROW(6),
                                                ID_ROW(7),
                                                ARM_ICH_VMCR_EL2,
                                                ARM_VDISR_EL2,
                                                GUEST_REGS(NAME_OF) PAUTH_IA_REGS(NAME_OF)
                                                    PAUTH_REGS(NAME_OF) };

/* ---- the rest ---- */

static uint32_t engine_count(const struct vm *vm) { return vm->nvcpus; }

static size_t engine_size(const struct vm *vm, uint32_t i)
{
    (void)vm, (void)i;
    return sizeof(struct el2_state);
}

static int engine_save(struct vm *vm, uint32_t i, void *buf)
{
    const struct el2_vcpu *e = el2_of(vm->vcpu[i]);
    struct el2_state *s = buf;

    s->flags = (e->hcr & HCR_VSE ? EL2_STATE_VSE : 0u) |
               (e->watch_mmu ? (uint32_t)EL2_STATE_WATCH_MMU : 0u);
    s->vsesr = e->sys[R_VSESR_EL2];
    memcpy(s->ap0r, e->gic.ap0r, sizeof s->ap0r);
    memcpy(s->ap1r, e->gic.ap1r, sizeof s->ap1r);
    s->dbg = e->dbg;
    return 0;
}

/*
 * Other processor states make ERET an illegal return: the CPU would stay at EL2, with the guest's
 * pc.
 */
static bool pstate_valid(uint64_t spsr)
{
    if ((spsr & PSTATE_M) == PSTATE_USR32)
        return (el2_caps.id[ID_AA64PFR0] & 0xf) == PFR0_EL0_A32 && !(spsr >> 32);
    if (spsr & ~PSTATE_A64_BITS)
        return false;
    return (spsr & PSTATE_M) == PSTATE_EL0T || (spsr & PSTATE_M) == PSTATE_EL1T ||
           (spsr & PSTATE_M) == PSTATE_EL1H;
}

/* from: the first that the CPU does not have. */
static uint64_t any_beyond(const uint64_t *r, unsigned from, unsigned n)
{
    uint64_t any = 0;

    for (; from < n; from++)
        any |= r[from];
    return any;
}

static bool debug_valid(const struct el2_debug *d)
{
    return !(any_beyond(d->bvr, el2_caps.breakpoints, DBG_PAIRS) |
             any_beyond(d->bcr, el2_caps.breakpoints, DBG_PAIRS) |
             any_beyond(d->wvr, el2_caps.watchpoints, DBG_PAIRS) |
             any_beyond(d->wcr, el2_caps.watchpoints, DBG_PAIRS));
}

/* GICv2's one register is ap1r[0]. */
static bool priorities_valid(const struct el2_state *s)
{
    unsigned n = el2_caps.gic_version == 2 ? 1 : el2_gic_aprs(el2_gic_vtr);
    uint32_t any = el2_caps.gic_version == 2 ? s->ap0r[0] : 0;

    for (; n < ARRAY_SIZE(s->ap0r); n++)
        any |= s->ap0r[n] | s->ap1r[n];
    return !any;
}

static bool engine_valid(const struct el2_state *s)
{
    uint32_t flags = EL2_STATE_VSE | (el2_caps.fwb ? 0u : (uint32_t)EL2_STATE_WATCH_MMU);

    return !(s->flags & ~flags) && !s->zero && s->vsesr <= VSESR_BITS && priorities_valid(s) &&
           debug_valid(&s->dbg);
}

/* As el2_trap.c's follow_mmu() leaves it, for the SCTLR_EL1 that was restored before. */
static uint64_t hcr_of(const struct el2_vcpu *e, const struct el2_state *s)
{
    uint64_t hcr = e->hcr & ~(HCR_VSE | HCR_DC | HCR_TVM);

    if (s->flags & EL2_STATE_VSE)
        hcr |= HCR_VSE;
    if (!el2_caps.fwb && !(e->sys[R_SCTLR_EL1] & SCTLR_EL1_M))
        hcr |= HCR_DC | HCR_TVM;
    else if (s->flags & EL2_STATE_WATCH_MMU)
        hcr |= HCR_TVM;
    return hcr;
}

static int engine_restore(struct vm *vm, uint32_t i, const void *buf)
{
    const struct el2_state *s = buf;
    struct vcpu *v = vm->vcpu[i];
    struct el2_vcpu *e = el2_of(v);

    if (!pstate_valid(v->regs.flags) || !engine_valid(s))
        return -EINVAL;
    e->hcr = hcr_of(e, s);
    e->watch_mmu = s->flags & EL2_STATE_WATCH_MMU;
    e->sys[R_VSESR_EL2] = s->vsesr;
    memcpy(e->gic.ap0r, s->ap0r, sizeof s->ap0r);
    memcpy(e->gic.ap1r, s->ap1r, sizeof s->ap1r);
    e->dbg = s->dbg;
    return 0;
}

static const struct state_ops el2_state_ops = { .name = "EL2 engine's vCPU",
                                                .kind = STATE_ENGINE,
                                                .version = 1,
                                                .count = engine_count,
                                                .size = engine_size,
                                                .save = engine_save,
                                                .restore = engine_restore };
const struct state_ops *const el2_states[] = { &el2_state_ops, NULL };
