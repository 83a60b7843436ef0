/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ARM64 terms that an engine (EL2, later the translator) and hv/guest/aarch64 share. "Arm ARM" is
 * DDI 0487, "GICv3" IHI 0069, "GICv2" IHI 0048. vcpu_regs on ARM64: gpr[0..30] = X0..X30, pc, flags
 * = PSTATE as SPSR_EL2 holds it (Arm ARM C5.2.19). SP_EL0 and SP_EL1 are system registers here. No
 * event is ever put into v->event: interrupts go through list registers, exceptions are made by
 * hv/guest/aarch64 with get_sysreg() and set_sysreg().
 */
#pragma once
#include <hv/types.h>
struct vcpu;

/*
 * A system register's name is its MRS encoding: op0 15:14, op1 13:11, CRn 10:7, CRm 6:3, op2 2:0
 * (Arm ARM C6.2, MRS).
 */
#define ARM_SYSREG(op0, op1, crn, crm, op2) \
    ((uint32_t)((op0) << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2)))
#define ARM_MIDR_EL1 ARM_SYSREG(3, 0, 0, 0, 0)
#define ARM_MPIDR_EL1 ARM_SYSREG(3, 0, 0, 0, 5)
#define ARM_ID_AA64PFR0_EL1 ARM_SYSREG(3, 0, 0, 4, 0)
#define ARM_ID_AA64MMFR0_EL1 ARM_SYSREG(3, 0, 0, 7, 0)
#define ARM_SCTLR_EL1 ARM_SYSREG(3, 0, 1, 0, 0)
#define ARM_ACTLR_EL1 ARM_SYSREG(3, 0, 1, 0, 1)
#define ARM_CPACR_EL1 ARM_SYSREG(3, 0, 1, 0, 2)
#define ARM_TTBR0_EL1 ARM_SYSREG(3, 0, 2, 0, 0)
#define ARM_TTBR1_EL1 ARM_SYSREG(3, 0, 2, 0, 1)
#define ARM_TCR_EL1 ARM_SYSREG(3, 0, 2, 0, 2)
#define ARM_SPSR_EL1 ARM_SYSREG(3, 0, 4, 0, 0)
#define ARM_ELR_EL1 ARM_SYSREG(3, 0, 4, 0, 1)
#define ARM_SP_EL0 ARM_SYSREG(3, 0, 4, 1, 0)
#define ARM_SP_EL1 ARM_SYSREG(3, 4, 4, 1, 0)
#define ARM_AFSR0_EL1 ARM_SYSREG(3, 0, 5, 1, 0)
#define ARM_AFSR1_EL1 ARM_SYSREG(3, 0, 5, 1, 1)
#define ARM_ESR_EL1 ARM_SYSREG(3, 0, 5, 2, 0)
#define ARM_FAR_EL1 ARM_SYSREG(3, 0, 6, 0, 0)
#define ARM_PAR_EL1 ARM_SYSREG(3, 0, 7, 4, 0)
#define ARM_MAIR_EL1 ARM_SYSREG(3, 0, 10, 2, 0)
#define ARM_AMAIR_EL1 ARM_SYSREG(3, 0, 10, 3, 0)
#define ARM_VBAR_EL1 ARM_SYSREG(3, 0, 12, 0, 0)
#define ARM_CONTEXTIDR_EL1 ARM_SYSREG(3, 0, 13, 0, 1)
#define ARM_TPIDR_EL1 ARM_SYSREG(3, 0, 13, 0, 4)
#define ARM_CNTKCTL_EL1 ARM_SYSREG(3, 0, 14, 1, 0)
#define ARM_TPIDR_EL0 ARM_SYSREG(3, 3, 13, 0, 2)
#define ARM_TPIDRRO_EL0 ARM_SYSREG(3, 3, 13, 0, 3)
#define ARM_CNTFRQ_EL0 ARM_SYSREG(3, 3, 14, 0, 0)
#define ARM_CNTPCT_EL0 ARM_SYSREG(3, 3, 14, 0, 1)
#define ARM_CNTP_TVAL_EL0 ARM_SYSREG(3, 3, 14, 2, 0)
#define ARM_CNTP_CTL_EL0 ARM_SYSREG(3, 3, 14, 2, 1)
#define ARM_CNTP_CVAL_EL0 ARM_SYSREG(3, 3, 14, 2, 2)
#define ARM_CNTV_CTL_EL0 ARM_SYSREG(3, 3, 14, 3, 1)
#define ARM_CNTV_CVAL_EL0 ARM_SYSREG(3, 3, 14, 3, 2)
#define ARM_CNTVOFF_EL2 ARM_SYSREG(3, 4, 14, 0, 3)
#define ARM_VMPIDR_EL2 ARM_SYSREG(3, 4, 0, 0, 5)
#define ARM_ICC_SGI1R_EL1 ARM_SYSREG(3, 0, 12, 11, 5)
#define ARM_ICC_ASGI1R_EL1 ARM_SYSREG(3, 0, 12, 11, 6)
#define ARM_ICC_SGI0R_EL1 ARM_SYSREG(3, 0, 12, 11, 7)
#define ARM_ICC_SRE_EL1 ARM_SYSREG(3, 0, 12, 12, 5)
/* read only; on a GICv2 host made up from GICH_VTR */
#define ARM_ICH_VTR_EL2 ARM_SYSREG(3, 4, 12, 11, 1)
/* on a GICv2 host converted from GICH_VMCR */
#define ARM_ICH_VMCR_EL2 ARM_SYSREG(3, 4, 12, 11, 7)

/*
 * vcpu_ops.features() of an ARM64 engine: leaf is the MRS encoding of an ID register -> its host
 * value in regs[0] (low) and regs[1] (high), or:
 */
/*
 * regs[0]: version of the virtual CPU interface, 2 or 3; regs[1]: list registers; regs[3]:regs[2]:
 * GICV's host physical address (version 2)
 */
#define ARM_FEATURE_GIC 0x10000u
/* regs[n - 1]: what SMCCC_ARCH_WORKAROUND_n is to guests; an enum arm_workaround */
#define ARM_FEATURE_WORKAROUNDS 0x10002u
enum arm_workaround {
    ARM_WORKAROUND_ABSENT, /* it is needed, or may be, and nobody does it */
    ARM_WORKAROUND_CALL,   /* a call does it: the way from a guest to the engine */
    ARM_WORKAROUND_NOT_NEEDED,
};

/*
 * The virtual CPU interface of a vCPU, at the start of what v->vintc points to. The vGIC fills it
 * in vintc_ops.pending() and looks at what came back in leave(). The engine loads lr[n] for each
 * bit of `dirty` at entry, and reads back those of `used` at exit. VMCR and the active-priority
 * registers are the engine's: they move with the vCPU, by load() and unload().
 */
#define ARM_LRS_MAX 16
struct arm_gic_cpu {
    /*
     * layout of ICH_LR<n>_EL2 (GICv3 §12.4.8); a GICv2 engine converts; bits 12:10 of the INTID:
     * source of a v2 SGI
     */
    uint64_t lr[ARM_LRS_MAX];
    /*
     * bit per list register that holds an interrupt: these are read back at exit; 0 costs the
     * engine nothing
     */
    uint32_t used;
    /*
     * bit per list register whose lr[n] is not what the CPU has: written at entry, or after load().
     * An empty one is lr 0
     */
    uint32_t dirty;
    /*
     * ICH_HCR_EL2 bits 7:1 wanted: NPIE, LRENPIE (§12.4.3); En is the engine's. When LRENPIE is
     * wanted, the engine puts EOIcount (bits 31:27) here at exit, and enters with EOIcount 0. It
     * may be wanted with `used` 0. 0: nothing wanted, nothing to read back
     */
    uint32_t hcr;
};
#define ARM_HCR_LRENPIE (1u << 2)
#define ARM_HCR_NPIE (1u << 3)
#define ARM_HCR_EOICOUNT_SHIFT 27
#define ARM_LR_PENDING (1ull << 62)
#define ARM_LR_ACTIVE (1ull << 63)
#define ARM_LR_HW (1ull << 61)
#define ARM_LR_GROUP1_SHIFT 60
#define ARM_LR_GROUP1 (1ull << ARM_LR_GROUP1_SHIFT)
#define ARM_LR_EOI (1ull << 41) /* HW 0: maintenance interrupt at the guest's EOI */
#define ARM_LR_PRIORITY_SHIFT 48
#define ARM_LR_PINTID_SHIFT 32

#define ARM_PPI_VTIMER 27u
#define ARM_PPI_PTIMER 30u

/*
 * Nor are these: half 0 or 1 (bits 127:64) of V<n>. To set half 0 is to write a D register: what
 * lies above becomes 0.
 */
#define ARM_VREG(n, half) (0x20000u | (uint32_t)(n) << 1 | (uint32_t)(half))

/*
 * Not a register: set_sysreg(v, ARM_VTIMER_PHYS_ACTIVE, 0 or 1) while v is loaded makes the
 * physical PPI of the virtual timer inactive or active (the guest deactivated it by MMIO, or its
 * timer no longer wants the interrupt). Not loaded: nothing to do, load
 * asks arm_calls.vtimer_active().
 * time_cycles() is the physical count; the guest's virtual count is time_cycles() - CNTVOFF_EL2,
 * and vtimer.c alone sets CNTVOFF_EL2. CNTPCT_EL0, CNTP_CTL/CVAL/TVAL_EL0 are trapped (CNTHCTL_EL2:
 * EL1PCTEN, EL1PCEN 0): hv/guest/aarch64 gives them the virtual count.
 */
#define ARM_VTIMER_PHYS_ACTIVE 0x10001u

/*
 * What an engine asks of hv/guest/aarch64: guest_ops.engine_calls. All on the vCPU's CPU. The
 * guest's virtual timer is the CPU's own while its vCPU is loaded. The host leaves the physical PPI
 * active when it fires (EOImode 1), so it does not fire again before the guest deactivates it
 * through the list register (HW 1).
 */
struct arm_calls {
    /* PPI 27 fired while v was loaded, perhaps halted: from irq_window() or irq_wait() */
    void (*vtimer_irq)(struct vcpu *);
    /* the CPU's timer has v's CVAL and CTL again */
    void (*vtimer_loaded)(struct vcpu *);
    /* at load: the vGIC holds the PPI, so the physical one must be made active, else inactive */
    bool (*vtimer_active)(const struct vcpu *);
    /* timer off and saved: v is to be woken at cval */
    void (*vtimer_unloaded)(struct vcpu *, uint64_t ctl, uint64_t cval);
    /* Exceptions that an engine meets and only passes on; they take effect at the next run. */
    void (*raise_undefined)(struct vcpu *); /* ESR_EL1.EC 0 */
    void (*raise_sync)(struct vcpu *, uint64_t esr, uint64_t far);
    /* pended by HCR_EL2.VSE through set_sysreg(ARM_VSESR_EL2) */
    void (*raise_serror)(struct vcpu *, uint64_t iss);
};
/* set: makes a virtual SError pending with this syndrome */
#define ARM_VSESR_EL2 ARM_SYSREG(3, 4, 5, 2, 3)
