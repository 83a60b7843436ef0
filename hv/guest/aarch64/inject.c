/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exceptions that the guest takes to EL1: Arm ARM, AArch64.TakeException() (J1.1.1) and D1.3. Own
 * CPU; they take effect at the next entry.
 */
#include <hv/assert.h>
#include "arm.h"

/* Offsets from VBAR_EL1 (D1.3.1.5) */
enum { VECTOR_SP0 = 0x000, VECTOR_SPX = 0x200, VECTOR_A64 = 0x400, VECTOR_A32 = 0x600 };

void arm_set(struct vcpu *v, uint32_t id, uint64_t val)
{
    int err = v->ops->set_sysreg(v, id, val);

    debug_assert_own_cpu(v);
    if (err)
        vm_log(v->vm, LOG_WARN, "system register %x refuses %llx (error %d)", id,
               (unsigned long long)val, err);
}

static uint64_t vector(uint64_t pstate)
{
    if (pstate & PSTATE_NRW)
        return VECTOR_A32;
    if ((pstate & PSTATE_EL) == 0)
        return VECTOR_A64;
    return pstate & PSTATE_SP ? VECTOR_SPX : VECTOR_SP0;
}

/*
 * PSTATE at the first instruction of the handler. What the CPU does not have is 0 in the old one,
 * or reads as 0 in SCTLR_EL1.
 */
static uint64_t pstate_in_handler(uint64_t old, uint64_t sctlr)
{
    uint64_t p = (old & (PSTATE_NZCV | PSTATE_PAN)) | PSTATE_DAIF | PSTATE_EL1H;

    if (!(old & PSTATE_NRW))
        p |= old & PSTATE_DIT;
    if (!(sctlr & SCTLR_SPAN))
        p |= PSTATE_PAN;
    if (sctlr & SCTLR_DSSBS)
        p |= PSTATE_SSBS;
    return p;
}

/*
 * FEAT_PAN: ID_AA64MMFR1_EL1.PAN, bits 23:20. Without it SCTLR_EL1.SPAN is RES1, but a guest may
 * have written 0.
 */
static bool has_pan(struct vcpu *v)
{
    uint64_t mmfr1 = 0;

    return v->ops->get_sysreg(v, ARM_SYSREG(3, 0, 0, 7, 1), &mmfr1) == 0 &&
           (mmfr1 >> 20 & 0xf) != 0;
}

void arm_raise_sync(struct vcpu *v, uint64_t esr, uint64_t far)
{
    uint64_t old = v->regs.flags, sctlr = arm_get(v, ARM_SCTLR_EL1);

    debug_assert_own_cpu(v);
    if (!(sctlr & SCTLR_SPAN) && !has_pan(v))
        sctlr |= SCTLR_SPAN;
    arm_set(v, ARM_SPSR_EL1, old);
    arm_set(v, ARM_ELR_EL1, v->regs.pc);
    arm_set(v, ARM_ESR_EL1, esr);
    arm_set(v, ARM_FAR_EL1, far);
    v->regs.pc = arm_get(v, ARM_VBAR_EL1) + vector(old);
    v->regs.flags = pstate_in_handler(old, sctlr);
}

void arm_raise_undefined(struct vcpu *v)
{
    arm_raise_sync(v, (uint64_t)ESR_EC_UNKNOWN << 26 | ESR_IL, arm_get(v, ARM_FAR_EL1));
}

void arm_raise_serror(struct vcpu *v, uint64_t iss) { arm_set(v, ARM_VSESR_EL2, iss & 0x1ffffff); }

void arm_raise_abort(struct vcpu *v, uint64_t syndrome, uint64_t far, bool exec, bool write,
                     unsigned fsc)
{
    bool low = arm_at_el0(v);
    uint64_t ec =
        exec ? (low ? ESR_EC_IABT_LOW : ESR_EC_IABT) : (low ? ESR_EC_DABT_LOW : ESR_EC_DABT);
    uint64_t iss = fsc | (!exec && write ? ISS_WNR : 0) | (exec ? 0 : syndrome & ISS_CM);

    debug_assert_own_cpu(v);
    arm_raise_sync(v, ec << 26 | (exec ? ESR_IL : syndrome & ESR_IL) | iss, far);
}
